//! From a validated element to a stanza: the head is read, the rest stays bytes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Condition, IqType, Kind, Lang, MessageType, PresenceType, Span, Stanza};
use crate::jid::Jid;
use crate::xml::{Element, Ns};

/// Why an element is not a stanza that can be routed.
#[derive(Clone, Debug)]
pub enum ParseError {
    /// Neither message, presence nor iq (RFC 6120 §4.9.3.24).
    NotAStanza,
    /// The sender is told with this condition. The stanza has no `to` and serves to answer.
    Refuse(Box<Stanza>, Condition),
}

impl Stanza {
    /// Reads the head. `stream_lang` is the language of the stream (RFC 6120 §4.7.4). `from` is not read: it is ours to set (§8.1.2.1).
    ///
    /// # Errors
    /// See `ParseError`. `to` malformed, an IQ without id, type or its one child, or a presence of unknown type are
    /// answered with a stanza error; a message of unknown type is `normal` (RFC 6121 §5.2.2).
    pub fn parse(element: Element, stream_lang: Option<&Arc<str>>) -> Result<Self, ParseError> {
        if element.ns() != Ns::Client || !matches!(element.name(), "iq" | "message" | "presence") {
            return Err(ParseError::NotAStanza);
        }
        let mut head = Head::read(&element);
        let kind = kind(&element, &head.kind);
        let mut refusal = kind.err();
        let kind = kind.unwrap_or_else(|_| fallback(&element));
        if let Kind::Iq(iq) = kind {
            refusal = refusal.or_else(|| iq_fault(&element, iq, head.id));
        }
        // Last, so that whoever needs no `to` knows that nothing else is wrong.
        let to = match head.to.take() {
            Some(Ok(to)) => Some(to),
            Some(Err(())) => {
                refusal = refusal.or(Some(Condition::JidMalformed));
                None
            }
            None => None,
        };
        let lang = match (head.lang, stream_lang) {
            (Some(span), _) => Lang::Own(span),
            (None, Some(lang)) => Lang::Stream(lang.clone()),
            (None, None) => Lang::Unsaid,
        };
        let stanza = Self {
            element,
            kind,
            to,
            from: None,
            id: head.id,
            lang,
            rest: head.rest,
            cause: None,
            found: None,
        };
        match refusal {
            None => Ok(stanza),
            Some(condition) => Err(ParseError::Refuse(Box::new(stanza), condition)),
        }
    }
}

#[derive(Default)]
struct Head {
    to: Option<Result<Jid, ()>>,
    id: Option<Span>,
    lang: Option<Span>,
    kind: Option<alloc::string::String>,
    rest: Vec<Span>,
}

impl Head {
    fn read(element: &Element) -> Self {
        let raw = element.raw();
        let mut head = Self::default();
        for attribute in element.attributes() {
            match attribute.name {
                "to" => head.to = Some(Jid::parse(&attribute.value()).map_err(|_| ())),
                "id" => head.id = Some(span_of(raw, attribute.quoted)),
                "type" => head.kind = Some(attribute.value().into_owned()),
                "xml:lang" => head.lang = Some(span_of(raw, attribute.quoted)),
                // The sender is who we know it to be, and the stream declares the content namespace.
                "from" | "xmlns" => {}
                name => {
                    let (name, value) = (
                        span_of(raw, name.as_bytes()),
                        span_of(raw, attribute.quoted),
                    );
                    head.rest.push(Span {
                        start: name.start,
                        end: value.end,
                    });
                }
            }
        }
        head
    }
}

/// Where `part`, a slice of `raw`, lies in it.
pub(super) fn span_of(raw: &[u8], part: &[u8]) -> Span {
    let start = (part.as_ptr() as usize).saturating_sub(raw.as_ptr() as usize);
    let end = start.saturating_add(part.len());
    // A stanza is far smaller than 4 GiB (limits), so neither conversion ever fails.
    Span {
        start: u32::try_from(start).unwrap_or(0),
        end: u32::try_from(end).unwrap_or(0),
    }
}

fn kind(element: &Element, kind: &Option<alloc::string::String>) -> Result<Kind, Condition> {
    match (element.name(), kind.as_deref()) {
        ("message", None) => Ok(Kind::Message(MessageType::Normal)),
        ("message", Some(name)) => Ok(Kind::Message(
            MessageType::from_name(name).unwrap_or(MessageType::Normal),
        )),
        ("presence", None) => Ok(Kind::Presence(PresenceType::Available)),
        // "available" is not a value of the attribute (RFC 6121 §4.7.1).
        ("presence", Some(name)) => PresenceType::from_name(name)
            .filter(|kind| *kind != PresenceType::Available)
            .map(Kind::Presence)
            .ok_or(Condition::BadRequest),
        (_, name) => name
            .and_then(IqType::from_name)
            .map(Kind::Iq)
            .ok_or(Condition::BadRequest),
    }
}

/// What a stanza of unreadable type is taken for when it is refused.
fn fallback(element: &Element) -> Kind {
    match element.name() {
        "presence" => Kind::Presence(PresenceType::Available),
        _ => Kind::Iq(IqType::Get),
    }
}

/// RFC 6120 §8.2.3: an id always, exactly one child in a request, at most one in a result.
fn iq_fault(element: &Element, iq: IqType, id: Option<Span>) -> Option<Condition> {
    let children = element.children().take(2).count();
    let well = id.is_some()
        && match iq {
            IqType::Get | IqType::Set => children == 1,
            IqType::Result => children <= 1,
            IqType::Error => true,
        };
    (!well).then_some(Condition::BadRequest)
}
