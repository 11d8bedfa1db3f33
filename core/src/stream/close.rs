//! How a stream ends: by the peer's closing tag, or by an error of one of the two (RFC 6120 §4.4, §4.9).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::component::write_component_header;
use super::server::write_server_header;
use super::{Cx, Event, Hearing, State, Stream, Violation, header};
use crate::federation::Judged;
use crate::jid::BareJid;

/// Ours.
pub(super) const CLOSING_TAG: &[u8] = b"</stream:stream>";

/// How a stream ends with an error.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) violation: Violation,
    /// Whose stream it was, or was to be.
    pub(crate) account: Option<BareJid>,
    /// What was decided of a server, if that is why.
    pub(crate) judged: Option<Box<Judged>>,
}

/// What becomes of input after our closing tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Closing {
    /// The scanner is dead: all is ignored.
    Deaf,
    /// Elements are ignored, the peer's closing tag is awaited.
    Listening,
}

impl Stream {
    /// Ends the stream from our side: an error if there is one, the closing tag, and `Closing` or `Close` for the shell.
    pub(crate) fn fail(&mut self, cx: &mut Cx<'_>, violation: Violation) -> Event {
        self.fail_from(cx, "", header::Version::Ours, violation)
    }

    /// As `fail`; `from` is the host named by the opening tag, if that is still owed, and `version` what it speaks.
    pub(super) fn fail_from(
        &mut self,
        cx: &mut Cx<'_>,
        from: &str,
        version: header::Version,
        violation: Violation,
    ) -> Event {
        if matches!(self.state, State::Outgoing(_)) {
            return self.fail_outgoing(cx, violation);
        }
        let account = self.account();
        // A scanner that failed cannot find the peer's closing tag: only its end of file or the deadline remain.
        let closing = State::Closing(if matches!(violation, Violation::Xml(_)) {
            Closing::Deaf
        } else {
            Closing::Listening
        });
        if matches!(self.state, State::Closed) || self.state.hearing() == Hearing::Tls {
            self.state = State::Closed;
            return Event::Close;
        }
        if matches!(self.state, State::Closing(_)) {
            self.state = closing;
            return Event::Closing(None);
        }
        if let State::Component(component) = &self.state {
            if component.owes_header() {
                write_component_header(cx, from);
            }
        } else if let State::Server(server) = &self.state {
            if server.owes_header() {
                write_server_header(cx, from, None, version);
            }
        } else if self.state.hearing() == Hearing::Header {
            // RFC 6120 §4.9.1.2: an error during setup still needs the opening tag.
            self.write_header(cx, from, None, version);
        }
        cx.say(|out| violation.write(out));
        cx.say(|out| out.extend_from_slice(CLOSING_TAG));
        self.forget_input();
        self.state = closing;
        Event::Closing(Some(Ending {
            violation,
            account,
            judged: None,
        }))
    }

    /// Ends the stream from our side, in order (RFC 6120 §4.4): there was no error, or it is told already.
    pub(super) fn finish(&mut self, cx: &mut Cx<'_>, judged: Option<Box<Judged>>) -> Event {
        cx.say(|out| out.extend_from_slice(CLOSING_TAG));
        self.forget_input();
        self.state = State::Closing(Closing::Listening);
        Event::Finished(judged)
    }

    /// The closing tag of the peer.
    pub(super) fn on_end(&mut self, cx: &mut Cx<'_>) -> Event {
        if matches!(self.state, State::Outgoing(_)) {
            return self.on_peer_end(cx);
        }
        let cut_off = self.signs_in().then(|| self.account());
        // RFC 6120 §4.4: answered with our own, if that was not sent before.
        if !matches!(self.state, State::Closing(_)) {
            cx.say(|out| out.extend_from_slice(CLOSING_TAG));
        }
        self.state = State::Closed;
        self.forget_input();
        match cut_off {
            Some(account) => Event::CutOff(account),
            None => Event::Close,
        }
    }

    /// The stream ends because of a fault of ours: the state and the event do not fit.
    pub(super) fn bug(&mut self, cx: &mut Cx<'_>, what: &'static str) -> Event {
        cx.fx.bug(what);
        self.fail(cx, Violation::Bug)
    }

    pub(super) fn forget_input(&mut self) {
        self.held = Vec::new();
    }
}
