//! A stream from another server (RFC 6120 §4, XEP-0220 §2): who it speaks for, proven for each domain, and stanzas of those alone.

use alloc::boxed::Box;

use super::deadline::Deadline;
use super::{Cx, Event, Hearing, State, Stream, Violation};
use crate::federation::{Claim, Verified};
use crate::port::{Opening, TlsInfo};
use crate::xml::{Element, Header};

/// Where it stands.
#[derive(Debug)]
pub(super) struct Server {
    opening: Opening,
}

impl Server {
    /// A connection was made.
    pub(super) const fn new(opening: Opening) -> Self {
        Self { opening }
    }

    /// What becomes of what it sends.
    pub(super) const fn hearing(&self) -> Hearing {
        match self.opening {
            Opening::Clear => Hearing::Header,
            Opening::Tls => Hearing::Tls,
        }
    }

    /// What its deadline is for.
    pub(super) const fn deadline(&self) -> Deadline {
        Deadline::Tls
    }
}

impl Stream {
    /// TLS is up. The state was taken out of the stream.
    pub(super) fn server_secured(
        &mut self,
        cx: &mut Cx<'_>,
        server: Box<Server>,
        _tls: TlsInfo,
    ) -> Option<Event> {
        self.state = State::Server(server);
        Some(self.bug(cx, "secured"))
    }

    /// Its opening tag. The state was taken out of the stream.
    pub(super) fn on_server_header(
        &mut self,
        cx: &mut Cx<'_>,
        server: Box<Server>,
        _header: &Header,
    ) -> Option<Event> {
        self.state = State::Server(server);
        Some(self.fail(cx, Violation::HostUnknown))
    }

    /// An element of it. The state was taken out of the stream.
    pub(super) fn on_server_element(
        &mut self,
        cx: &mut Cx<'_>,
        server: Box<Server>,
        _element: Element,
    ) -> Option<Event> {
        self.state = State::Server(server);
        Some(self.bug(cx, "an element where none was wanted"))
    }

    /// What the server of a domain says to a key that was shown on this stream.
    pub(crate) fn claim_verified(
        &mut self,
        _cx: &mut Cx<'_>,
        _claim: &Claim,
        _verified: Verified,
    ) -> Option<Event> {
        None
    }
}
