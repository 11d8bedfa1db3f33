//! What clients say once they are bound. Every stanza carries a mark of its own, by which the ledger knows it again.

use spondee_core::stanza::{IqType, Kind, MessageType, PresenceType};

use super::Moment;
use super::accounts::NAMES;
use super::client::Manner;
use super::content::Content;
use super::kept::Way;
use super::random::Random;
use super::subscriptions::account_of;
use crate::element::{CLIENT, Element, escape};

/// The namespace of chat states (XEP-0085).
const STATES: &str = "http://jabber.org/protocol/chatstates";
/// The namespace of marks.
pub(super) const MARKS: &str = "urn:example:mark";

/// Whom a stanza is addressed to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum To {
    /// It has no `to`.
    Unsaid,
    /// What is no address.
    Malformed,
    /// An address of a server that is not there.
    Remote,
    /// A host of ours.
    Host(String),
    /// An account of ours, or nobody's address at a host of ours.
    Bare(String),
    /// A resource there.
    Full(String),
}

impl To {
    /// The attribute's value.
    pub(super) fn address(&self) -> Option<&str> {
        match self {
            Self::Unsaid => None,
            Self::Malformed => Some("@localhost"),
            Self::Remote => Some("somebody@remote.example"),
            Self::Host(to) | Self::Bare(to) | Self::Full(to) => Some(to),
        }
    }

    /// What answers come from.
    pub(super) fn answers_from(&self) -> Option<&str> {
        match self {
            Self::Malformed => None,
            Self::Unsaid | Self::Remote | Self::Host(_) | Self::Bare(_) | Self::Full(_) => {
                self.address()
            }
        }
    }

    /// The account or host of ours it concerns.
    pub(super) fn bare(&self) -> Option<&str> {
        match self {
            Self::Unsaid | Self::Malformed | Self::Remote => None,
            Self::Host(to) | Self::Bare(to) | Self::Full(to) => to.split('/').next(),
        }
    }
}

/// What a request asks the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Question {
    Ping,
    Version,
    /// What items there are (XEP-0030).
    Items,
    /// Its own roster or blocklist: what exactly is known to `rosters` and `blocks`, and the payload stands in the body.
    Kept,
    Unknown,
}

/// One stanza that a client sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) mark: String,
    pub(super) id: String,
    pub(super) by: usize,
    pub(super) number: u32,
    pub(super) at: Moment,
    pub(super) kind: Kind,
    pub(super) to: To,
    pub(super) question: Question,
    pub(super) content: Content,
    /// Who sent it, as far as it was told who it is.
    pub(super) from: String,
    /// What the server's clock said, in milliseconds.
    pub(super) clock: i64,
    /// The clients that got it live.
    pub(super) delivered: Vec<usize>,
    /// Those that got it from what was owed.
    pub(super) spooled: Vec<usize>,
    /// Those that got a copy.
    pub(super) copied: Vec<(usize, Way)>,
    /// What was answered: `result`, or the condition of an error.
    pub(super) answers: Vec<String>,
    /// What its sender was told of it.
    pub(super) receipt: Receipt,
    /// Those that got it and died, and what the server could know of that.
    pub(super) lapsed: Vec<(usize, Lapse)>,
}

/// Whether the server has said that it has handled a stanza.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Receipt {
    #[default]
    None,
    Handled,
    /// It said that it had not, and that the session is over.
    Never,
}

/// Whether the server may have known that a client had got something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Lapse {
    /// It was never told.
    Unheard,
    /// That may have been lost.
    Perhaps,
}

impl Sent {
    /// Something that a client might say, to one of these full addresses or to somebody else.
    pub(super) fn any(random: &mut Random, known: &[&str], own: usize) -> (Kind, To, Question) {
        let full = |random: &mut Random| match known.is_empty() {
            true => format!("{}/gone", random.pick(&NAMES)),
            false => random.pick(known).to_owned(),
        };
        let to = match random.below(20) {
            0..=9 => To::Full(full(random)),
            10..=13 => To::Bare(random.pick(&NAMES).to_owned()),
            14 => To::Full(format!("{}/gone", random.pick(&NAMES))),
            15 => To::Bare("nobody@localhost".to_owned()),
            16 => To::Host(random.pick(&["localhost", "other.test"]).to_owned()),
            17 => To::Remote,
            18 => To::Malformed,
            _ => To::Unsaid,
        };
        let kind = match random.below(20) {
            0..=3 => Kind::Message(MessageType::Normal),
            4..=7 => Kind::Message(MessageType::Chat),
            8 => Kind::Message(MessageType::Headline),
            9 => Kind::Message(MessageType::Groupchat),
            10 => Kind::Message(MessageType::Error),
            11..=14 => Kind::Iq(IqType::Get),
            15..=16 if to != To::Unsaid => Kind::Presence(PresenceType::Available),
            17 if to != To::Unsaid => Kind::Presence(PresenceType::Unavailable),
            _ => Kind::Iq(IqType::Set),
        };
        let server = matches!(&to, To::Host(_) | To::Unsaid)
            || matches!(&to, To::Bare(to) if to == NAMES[own]);
        let question = match kind {
            Kind::Iq(IqType::Get) if server => random.pick(&[
                Question::Ping,
                Question::Version,
                Question::Items,
                Question::Unknown,
            ]),
            // A server answers for its accounts, existing or not.
            Kind::Iq(IqType::Get) if matches!(to, To::Bare(_)) => {
                random.pick(&[Question::Items, Question::Unknown])
            }
            Kind::Iq(_) | Kind::Message(_) | Kind::Presence(_) => Question::Unknown,
        };
        (kind, to, question)
    }

    /// On the wire, with this `from`.
    pub(super) fn xml(&self, from: Option<&str>, priority: Option<i8>, manner: Manner) -> String {
        let (c, mark) = match manner {
            Manner::Plain => ("", format!("<mark xmlns='{MARKS}' n='{}'/>", self.mark)),
            Manner::Prefixed => ("c:", format!("<m:mark n='{}' u:u=''/>", self.mark)),
        };
        let name = format!("{c}{}", self.kind.element());
        let mut out = format!("<{name} id='{}'", self.id);
        for (name, value) in [
            ("to", self.to.address()),
            ("from", from),
            ("type", self.kind.type_attribute()),
        ] {
            if let Some(value) = value {
                out += &format!(" {name}='{}'", escape(value));
            }
        }
        out.push('>');
        match (self.kind, self.question) {
            (Kind::Iq(_), Question::Ping) => out += "<ping xmlns='urn:xmpp:ping'/>",
            (Kind::Iq(_), Question::Version) => out += "<query xmlns='jabber:iq:version'/>",
            (Kind::Iq(_), Question::Items) => {
                out += "<query xmlns='http://jabber.org/protocol/disco#items'/>";
            }
            (Kind::Iq(_), Question::Kept) => out += &self.content.text,
            (Kind::Iq(_), Question::Unknown) | (Kind::Presence(_), _) => out += &mark,
            (Kind::Message(_), _) => {
                out += &self.content.xml(c, &self.from, self.to.address(), &mark);
            }
        }
        if let Some(priority) = priority {
            out += &format!("<{c}priority>{priority}</{c}priority>");
        }
        out += &format!("</{name}>");
        out
    }

    /// The account that sent it.
    pub(super) fn account(&self) -> &str {
        self.from.split('/').next().unwrap_or_default()
    }

    /// Whom it is for: without an address the sender's own account (RFC 6120 §10.3.1).
    pub(super) fn target(&self) -> &str {
        self.to.address().unwrap_or_else(|| self.account())
    }

    /// The account it is for, if it is one of ours.
    pub(super) fn receiver(&self) -> Option<usize> {
        let bare = match &self.to {
            To::Unsaid => Some(self.account()),
            To::Malformed | To::Remote | To::Host(_) => None,
            To::Bare(_) | To::Full(_) => self.to.bare(),
        };
        bare.and_then(account_of)
    }

    /// Whether it is for the sender's own account.
    pub(super) fn is_to_self(&self) -> bool {
        self.receiver() == account_of(self.account())
    }

    /// Whether a client has it, by whatever way.
    pub(super) fn is_with(&self, client: usize) -> bool {
        self.delivered.contains(&client)
            || self.spooled.contains(&client)
            || self.copied.iter().any(|(copied, _)| *copied == client)
    }

    /// Whether somebody got it who is gone, and of whom the server may have known that.
    pub(super) fn may_have_come(&self) -> bool {
        self.lapsed
            .iter()
            .any(|(_, lapse)| *lapse == Lapse::Perhaps)
    }

    /// The number of the stanza with this mark, if it is of this client.
    pub(super) fn number_of(mark: &str, client: usize) -> Option<u32> {
        let number = mark.strip_prefix(&format!("c{client}-"))?;
        number.parse().ok()
    }

    /// Whether this is presence for everybody concerned.
    pub(super) fn is_broadcast(&self) -> bool {
        matches!(
            self.kind,
            Kind::Presence(PresenceType::Available | PresenceType::Unavailable)
        ) && self.to == To::Unsaid
    }
}

/// The mark of a stanza that a client wrote. A chat state that is to be nothing else has it for its id alone.
pub(super) fn mark(stanza: &Element) -> Option<&str> {
    let mark = stanza.child(MARKS, "mark");
    mark.and_then(|mark| mark.attribute("n")).or_else(|| {
        let state = stanza.children().any(|child| child.ns == STATES);
        let is_error = stanza.attribute("type") == Some("error");
        let id = stanza.attribute("id").filter(|_| state && !is_error);
        id.filter(|id| id.starts_with('c') && id.contains('-'))
    })
}

/// Text of any length that stays one stanza; some of it must be escaped.
pub(super) fn body(random: &mut Random) -> String {
    let length = match random.below(20) {
        0 => 1500,
        1..=4 => 200,
        _ => 12,
    };
    let length = random.below(length);
    (0..length)
        .map(|_| {
            random.pick(&[
                'a',
                'b',
                'c',
                ' ',
                '<',
                '&',
                '\'',
                '\u{e9}',
                '\u{1f339}',
                '\n',
            ])
        })
        .collect()
}

/// Whether `element` is of this kind, by its name and type.
pub(super) fn is_of(element: &Element, kind: Kind) -> bool {
    element.is(CLIENT, kind.element()) && element.attribute("type") == kind.type_attribute()
}
