//! A session's stream: elements become stanzas with a true `from`.

use super::negotiate::misplaced;
use super::state::State;
use super::{Cx, Event, Stream, Violation};
use crate::jid::Jid;
use crate::stanza::{ParseError, Stanza};
use crate::xml::{Element, Ns};

impl Stream {
    pub(super) fn on_established(
        &mut self,
        cx: &mut Cx<'_>,
        jid: Jid,
        element: Element,
    ) -> Option<Event> {
        let (ns, is_error) = (element.ns(), element.name() == "error");
        let parsed = Stanza::parse(element, self.lang.as_ref());
        self.state = State::Established(jid.clone());
        match parsed {
            Ok(mut stanza) => match stamp(&mut stanza, jid) {
                Ok(()) => Some(Event::Stanza(stanza)),
                Err(violation) => Some(self.fail(cx, violation)),
            },
            Err(ParseError::Refuse(mut stanza, condition)) => {
                if let Err(violation) = stamp(&mut stanza, jid) {
                    return Some(self.fail(cx, violation));
                }
                if let Some(error) = stanza.refusal(condition, None) {
                    // Counted like what others send: a peer that reads no answers must not make us keep them.
                    cx.fx.deliver(cx.conn, &error);
                }
                None
            }
            Err(ParseError::From) => Some(self.fail(cx, Violation::From)),
            Err(ParseError::NotAStanza) if ns == Ns::Streams && is_error => Some(self.on_end(cx)),
            Err(ParseError::NotAStanza) => Some(self.fail(cx, misplaced(ns, ""))),
        }
    }
}

/// RFC 6120 §8.1.2.1 lets us override `from`. `Choice:` what is neither the session's full address nor its account is a
/// forgery and ends the stream (§4.9.3.9), as in Prosody.
fn stamp(stanza: &mut Stanza, jid: Jid) -> Result<(), Violation> {
    let honest = stanza.from().is_none_or(|from| {
        *from == jid || (from.resource().is_none() && from.as_str() == jid.bare())
    });
    if honest {
        stanza.set_from(jid);
        Ok(())
    } else {
        Err(Violation::From)
    }
}
