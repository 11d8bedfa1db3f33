//! How long a stream may take for what it does, and what comes then.

use core::time::Duration;

use super::client::state::{Phase, State};
use super::{Cx, Event, Stream, Violation};
use crate::sasl::Transport;

/// What a stream's deadline came to.
#[derive(Debug)]
pub(crate) enum Expiry {
    /// Look again after this long.
    Again(Duration),
    /// Close the connection at once.
    Close,
    /// End the stream with an error.
    Fail(Violation),
    /// It has said what it had held up, and goes on.
    Said(Option<Event>),
}

impl Stream {
    /// How long until the deadline of the stream's present phase.
    pub(crate) fn patience(&self, cx: &Cx<'_>) -> Duration {
        let limits = &cx.config.limits;
        let since = cx.now.mono.since(self.accepted);
        match &self.state {
            State::Closing(_) | State::Closed => limits.close,
            State::Established(_) => limits.idle.saturating_sub(cx.now.mono.since(self.heard)),
            State::Secure(_) => limits.until_tls.saturating_sub(since),
            State::Header(Phase::Fresh(Transport::Clear, _)) => {
                limits.until_tls.saturating_sub(since)
            }
            State::Negotiate(n) | State::Exchange(n, _) if n.must_secure(cx.config) => {
                limits.until_tls.saturating_sub(since)
            }
            State::HeldUp(_, held_up) => {
                let left = limits.negotiation.saturating_sub(since);
                let waited = cx.now.mono.since(*held_up);
                limits.sasl_delay.saturating_sub(waited).min(left)
            }
            State::Header(_)
            | State::Negotiate(_)
            | State::Exchange(..)
            | State::Lookup(..)
            | State::Derive(..)
            | State::Admit(..)
            | State::Reject(..)
            | State::Bind(..) => limits.negotiation.saturating_sub(since),
        }
    }

    /// A deadline was reached, perhaps one that has moved since.
    pub(crate) fn expire(&mut self, cx: &mut Cx<'_>) -> Expiry {
        let left = self.patience(cx);
        let closing = matches!(self.state, State::Closing(_) | State::Closed);
        if !left.is_zero() && !closing {
            return Expiry::Again(left);
        }
        match &self.state {
            // RFC 6120 §4.6.1: a space makes TCP find out whether anybody is there.
            State::Established(_) => {
                self.heard = cx.now.mono;
                cx.fx.out(cx.conn, |out| out.push(b' '));
                Expiry::Again(cx.config.limits.idle)
            }
            // In the middle of a TLS handshake nothing of ours could be read.
            State::Closing(_) | State::Closed | State::Secure(_) => Expiry::Close,
            State::HeldUp(..)
                if cx.now.mono.since(self.accepted) < cx.config.limits.negotiation =>
            {
                Expiry::Said(self.let_go(cx))
            }
            State::Header(_)
            | State::Negotiate(_)
            | State::Exchange(..)
            | State::Lookup(..)
            | State::Derive(..)
            | State::Admit(..)
            | State::Reject(..)
            | State::HeldUp(..)
            | State::Bind(..) => Expiry::Fail(Violation::Timeout),
        }
    }
}
