//! How long a stream may take for what it does, and what comes then.

use core::time::Duration;

use super::{Cx, Event, State, Stream, Violation};
use crate::config::Config;
use crate::limits::{CONNECT_PATIENCE, OPENING_PATIENCE, S2S_IDLE};
use crate::time::Instant;
use crate::xml::Content;

/// What a stream's deadline came to.
#[derive(Debug)]
pub(crate) enum Expiry {
    /// Look again after this long.
    Again(Duration),
    /// Close the connection at once.
    Close,
    /// The stream was closed in order.
    Finished,
    /// End the stream with an error.
    Fail(Violation),
    /// It has said what it had held up, and goes on.
    Said(Option<Event>),
}

/// What a stream's deadline is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Deadline {
    /// Our closing tag is sent: for the peer's.
    Close,
    /// For a connection of ours, from when it was wanted.
    Connection,
    /// For the handshake that makes TLS, from the first.
    Handshake,
    /// For the answer that was held up at this moment.
    HeldUp(Instant),
    /// A session: for silence, from the last word.
    Idle,
    /// A link that is proven: for silence, from the last word of either side.
    Link,
    /// For sign-in and resource, from the first.
    Negotiation,
    /// For what the peer of a stream of ours offers, from the connection.
    Opening,
    /// For the first domain that a server proves, from the connection.
    Proof,
    /// A server that has proven a domain: for silence, from the last word.
    Quiet,
    /// A stream, of whichever side, by which keys are asked about and nothing else: for its end, from the connection.
    Questions,
    /// For the request for TLS, from the first, where nothing goes on without.
    Tls,
}

impl Stream {
    fn deadline(&self, cx: &Cx<'_>) -> Deadline {
        match &self.state {
            State::Client(client) => client.deadline(cx.config),
            State::Server(server) => server.deadline(),
            State::Outgoing(outgoing) => outgoing.deadline(),
            State::Component(component) => component.deadline(),
            State::Closing(_) | State::Closed => Deadline::Close,
        }
    }

    /// How long until the deadline of what the stream does at present.
    pub(crate) fn patience(&self, cx: &Cx<'_>) -> Duration {
        let limits = &cx.config.limits;
        let now = cx.now.mono;
        let since = now.since(self.accepted);
        match self.deadline(cx) {
            Deadline::Close => self.close_timeout(cx.config),
            Deadline::Connection => CONNECT_PATIENCE.saturating_sub(since),
            Deadline::Opening => OPENING_PATIENCE.saturating_sub(since),
            // The timer stays when the stream of a peer that has proven itself begins anew: it is for its certificate's end, too.
            Deadline::Proof => {
                let left = cx.config.federation.timeout.saturating_sub(since);
                left.min(self.certificate_left(cx))
            }
            Deadline::Questions => cx.config.federation.timeout.saturating_sub(since),
            Deadline::Link | Deadline::Quiet => {
                let idle = S2S_IDLE.saturating_sub(now.since(self.heard));
                idle.min(self.certificate_left(cx))
            }
            Deadline::Idle => limits.idle.saturating_sub(now.since(self.heard)),
            Deadline::Handshake | Deadline::Tls => limits.until_tls.saturating_sub(since),
            Deadline::HeldUp(held_up) => {
                let left = limits.negotiation.saturating_sub(since);
                let waited = now.since(held_up);
                limits.sasl_delay.saturating_sub(waited).min(left)
            }
            Deadline::Negotiation => limits.negotiation.saturating_sub(since),
        }
    }

    /// How long its peer has for its closing tag.
    pub(crate) const fn close_timeout(&self, config: &Config) -> Duration {
        match self.scan.content() {
            Content::Server => config.federation.close_timeout,
            // `Choice:` Prosody has no option for components.
            Content::Client | Content::Component => config.limits.close,
        }
    }

    /// For how long what the peer has shown of itself is good.
    ///
    /// RFC 6120 §13.7.2.3: "a long-lived connection" does not outlive it. A clock may be set, so it is looked at anew each time.
    fn certificate_left(&self, cx: &Cx<'_>) -> Duration {
        let until = match &self.state {
            State::Server(server) => server.certified_until(),
            State::Outgoing(outgoing) => outgoing.certified_until(),
            State::Client(_) | State::Component(_) | State::Closing(_) | State::Closed => None,
        };
        until.map_or(Duration::MAX, |until| {
            let left = until.0.saturating_sub(cx.now.wall.0);
            Duration::from_millis(u64::try_from(left).unwrap_or(0))
        })
    }

    /// For how long nothing came from the peer.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        now.since(self.heard)
    }

    /// A deadline was reached, perhaps one that has moved since.
    pub(crate) fn expire(&mut self, cx: &mut Cx<'_>) -> Expiry {
        let left = self.patience(cx);
        let deadline = self.deadline(cx);
        if !left.is_zero() && deadline != Deadline::Close {
            return Expiry::Again(left);
        }
        match deadline {
            // RFC 6120 §4.6.1: a space makes TCP find out whether anybody is there.
            Deadline::Idle => {
                self.heard = cx.now.mono;
                match cx.fx.is_managed(cx.conn) {
                    // A client that counts says so itself.
                    true => cx.fx.ask(cx.conn),
                    false => cx.say(|out| out.push(b' ')),
                }
                Expiry::Again(cx.config.limits.idle)
            }
            // In the middle of a TLS handshake nothing of ours could be read.
            Deadline::Close | Deadline::Handshake => Expiry::Close,
            Deadline::HeldUp(_)
                if cx.now.mono.since(self.accepted) < cx.config.limits.negotiation =>
            {
                Expiry::Said(self.let_go(cx))
            }
            Deadline::Link | Deadline::Proof | Deadline::Quiet
                if self.certificate_left(cx).is_zero() =>
            {
                Expiry::Fail(Violation::CertificateExpired)
            }
            Deadline::Link | Deadline::Questions if matches!(self.state, State::Outgoing(_)) => {
                self.finish_link(cx);
                Expiry::Finished
            }
            // RFC 6120 §4.6.3, "Idle Peer".
            Deadline::Link | Deadline::Quiet | Deadline::Questions => {
                Expiry::Said(Some(self.finish(cx, None)))
            }
            Deadline::Connection
            | Deadline::HeldUp(_)
            | Deadline::Negotiation
            | Deadline::Opening
            | Deadline::Proof
            | Deadline::Tls => Expiry::Fail(Violation::Timeout),
        }
    }
}
