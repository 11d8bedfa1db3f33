//! Stanzas of another server: of domains that it has proven, to those it has proven itself to (RFC 6120 §8.1.1.2, §8.1.2.2).

use alloc::sync::Arc;

use super::{Talk, open};
use crate::jid::{Domain, Jid};
use crate::planted::{Fault, is_planted};
use crate::stanza::{ParseError, Stanza};
use crate::stream::{Cx, Event, Stream, Violation};
use crate::xml::Element;

impl Stream {
    pub(super) fn on_peer_stanza(
        &mut self,
        cx: &mut Cx<'_>,
        mut talk: Talk,
        element: Element,
    ) -> Option<Event> {
        let sender = talk.sender(cx, &element);
        let counted = talk.counted.as_mut().filter(|_| sender.is_ok());
        let number = counted.map(|counted| counted.begin());
        self.state = open(talk);
        match sender {
            Ok(from) => self.on_stanza_from(cx, from, element, number),
            Err(violation) => Some(self.fail(cx, violation)),
        }
    }

    /// A stanza that another server may send, the one of this number, if that is counted.
    pub(in crate::stream) fn on_stanza_from(
        &mut self,
        cx: &mut Cx<'_>,
        from: Jid,
        element: Element,
        number: Option<u32>,
    ) -> Option<Event> {
        match Stanza::parse(element, self.lang.as_ref()) {
            Ok(mut stanza) => {
                stanza.set_from(from);
                Some(Event::Remote(Arc::new(stanza), number))
            }
            Err(ParseError::Refuse(mut stanza, condition)) => {
                stanza.set_from(from);
                Some(Event::RemoteRefused(
                    stanza.refusal(condition, None),
                    number,
                ))
            }
            Err(ParseError::NotAStanza) => Some(self.bug(cx, "a stanza that is none")),
        }
    }
}

impl Talk {
    /// Who sent a stanza, if this server may send it.
    fn sender(&self, cx: &Cx<'_>, element: &Element) -> Result<Jid, Violation> {
        if self.pairs.is_empty() {
            return Err(Violation::StanzaBeforeProof);
        }
        let pairs = self.pairs.iter().map(|pair| (&pair.ours, &pair.theirs));
        sender(cx, element, pairs)
    }
}

/// Who sent a stanza, if one of these pairs of domains, ours first, lets it (RFC 6120 §8.1.1.2, §8.1.2.2).
pub(in crate::stream) fn sender<'a>(
    cx: &Cx<'_>,
    element: &Element,
    pairs: impl Iterator<Item = (&'a Domain, &'a Domain)>,
) -> Result<Jid, Violation> {
    let address = |name| {
        let value = element.attribute(name);
        let jid = value.and_then(|value| Jid::parse(&value).ok());
        jid.ok_or(Violation::StanzaUnaddressed)
    };
    let (from, to) = (address("from")?, address("to")?);
    if is_planted(Fault::FromUnchecked) {
        return Ok(from);
    }
    let mut proven = pairs
        .filter(|(_, theirs)| theirs.as_str() == from.domain())
        .peekable();
    if proven.peek().is_none() {
        return Err(Violation::FromUnproven);
    }
    // A reload may have taken it away.
    let is_to = proven.any(|(ours, _)| ours.as_str() == to.domain());
    match is_to && cx.config.hosts.contains_key(to.domain()) {
        true => Ok(from),
        false => Err(Violation::ToUnproven),
    }
}
