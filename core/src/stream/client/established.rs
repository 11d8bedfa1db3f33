//! A session's stream: elements become stanzas with a true `from`.

use alloc::sync::Arc;

use super::Client;
use super::negotiate::misplaced;
use crate::jid::Jid;
use crate::sm::Nonza;
use crate::stanza::{ParseError, Stanza};
use crate::stream::{Cx, Event, State, Stream};
use crate::xml::{Element, Ns};

impl Stream {
    pub(in crate::stream) fn on_established(
        &mut self,
        cx: &mut Cx<'_>,
        jid: Jid,
        element: Element,
    ) -> Option<Event> {
        let (ns, is_error) = (element.ns(), element.name() == "error");
        if matches!(ns, Ns::StreamManagement | Ns::ClientState)
            && let Some(nonza) = Nonza::parse(&element)
        {
            self.state = State::Client(Client::Established(jid));
            return Some(Event::Nonza(nonza));
        }
        let parsed = Stanza::parse(element, self.lang.as_ref());
        self.state = State::Client(Client::Established(jid.clone()));
        match parsed {
            // RFC 6120 §8.1.2.1: "MUST add a 'from' attribute to the stanza or override the 'from' attribute specified by the client".
            // `Choice:` whatever was specified, a forgery too: nobody gets to see it, so that the stream need not end for it
            // (§4.9.3.9), as in Prosody.
            Ok(mut stanza) => {
                stanza.set_from(jid);
                Some(Event::Stanza(Arc::new(stanza)))
            }
            Err(ParseError::Refuse(mut stanza, condition)) => {
                stanza.set_from(jid);
                // Counted like what others send: a peer that reads no answers must not make us keep them.
                Some(Event::Refused(stanza.refusal(condition, None)))
            }
            Err(ParseError::NotAStanza) if ns == Ns::Streams && is_error => Some(self.on_end(cx)),
            Err(ParseError::NotAStanza) => Some(self.fail(cx, misplaced(ns, ""))),
        }
    }
}
