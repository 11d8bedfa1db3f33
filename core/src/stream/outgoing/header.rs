//! The headers of a stream of ours: what we say, and what is to be thought of what the peer says (RFC 6120 §4.7).

use alloc::boxed::Box;

use super::features::cut;
use super::{Outgoing, Phase, Purpose, Sought};
use crate::jid::Domain;
use crate::port::{Protocol, Secured};
use crate::stream::header::{is_1_0_or_later, lang};
use crate::stream::{Cx, Event, Hearing, State, Stream, Violation};
use crate::xml::{Header, Ns, escape_attribute};

/// What a header says.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) from: From,
    /// The id of the stream, empty if it has none (RFC 6120 §4.7.3).
    pub(super) id: Box<str>,
}

/// From whom a header is.
#[derive(Debug, Default)]
pub(super) enum From {
    /// From whom we sought, or nobody says from whom.
    #[default]
    Fits,
    /// From this one. It is heard out all the same: some who do not serve a host say so in their own name.
    Other(Box<str>),
}

impl Sought {
    /// Our opening tag.
    pub(super) fn write_header(&self, cx: &mut Cx<'_>, secured: Option<&Secured>) {
        // RFC 6120 §4.7.1: a server says below TLS which one it is. `Choice:` of several hosts the first, where nothing is done in its name; a
        // link says so before TLS, too: it must be the same (`improper-addressing` with Prosody), and who has no TLS would never hear it.
        let from = match (&self.purpose, self.service, secured) {
            (Purpose::Explain(ours) | Purpose::Link(ours), ..) => Some(ours),
            (Purpose::Look, Protocol::XmppServer, Some(_)) => {
                cx.config.realms().map(|(host, _)| host).next()
            }
            (Purpose::Look, Protocol::XmppServer, None)
            | (Purpose::Look, Protocol::XmppClient, _) => None,
        };
        let content = self.content().ns().uri();
        cx.say(|out| {
            out.extend_from_slice(b"<?xml version='1.0'?><stream:stream xmlns='");
            out.extend_from_slice(content.as_bytes());
            out.extend_from_slice(
                b"' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'",
            );
            if matches!(self.purpose, Purpose::Explain(_) | Purpose::Link(_)) {
                // XEP-0220 §2.1.1.
                out.extend_from_slice(b" xmlns:db='jabber:server:dialback'");
            }
            if let Some(from) = from {
                out.extend_from_slice(b" from='");
                escape_attribute(out, from.as_str());
                out.push(b'\'');
            }
            out.extend_from_slice(b" to='");
            escape_attribute(out, self.domain.as_str());
            out.extend_from_slice(b"'>");
        });
    }

    fn check(&self, header: &Header) -> Result<From, Violation> {
        if header.ns != Ns::Streams {
            return Err(Violation::Namespace);
        }
        if header.name != "stream" {
            return Err(Violation::NotAStream);
        }
        // RFC 6120 §4.8.2: without a default content namespace, each stanza declares its own.
        let content = [self.content().ns(), Ns::None, Ns::Streams];
        if !content.contains(&header.content) {
            return Err(Violation::Namespace);
        }
        // RFC 6120 §4.7.5: who is older has no features.
        if !header.version.as_deref().is_some_and(is_1_0_or_later) {
            return Err(Violation::Version);
        }
        Ok(match header.from.as_deref() {
            None | Some("") => From::Fits,
            Some(from) if Domain::parse(from).is_ok_and(|from| from == self.domain) => From::Fits,
            Some(other) => From::Other(cut(other)),
        })
    }
}

impl Stream {
    /// The peer's opening tag. The state was taken out of the stream.
    pub(in crate::stream) fn on_peer_header(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        header: &Header,
    ) -> Option<Event> {
        let checked = match &outgoing.phase {
            Phase::Header(_) => outgoing.sought.check(header),
            Phase::Linked(linked) if linked.hearing() == Hearing::Header => {
                outgoing.sought.check(header)
            }
            Phase::Connecting
            | Phase::Handshake(_)
            | Phase::Features(..)
            | Phase::Starttls(_)
            | Phase::Linked(_) => Err(Violation::StreamElement),
        };
        let from = match checked {
            Ok(from) => from,
            Err(violation) => {
                self.state = State::Outgoing(outgoing);
                return Some(self.fail(cx, violation));
            }
        };
        self.lang = lang(header);
        let id = header.id.as_deref().unwrap_or_default();
        match &mut outgoing.phase {
            Phase::Header(secured) => {
                let id = id.into();
                outgoing.phase = Phase::Features(secured.take(), Opened { from, id });
            }
            Phase::Linked(linked) => linked.opened_anew(id),
            Phase::Connecting | Phase::Handshake(_) | Phase::Features(..) | Phase::Starttls(_) => {}
        }
        self.state = State::Outgoing(outgoing);
        None
    }
}
