//! One contact: kept in few bytes, and written for clients.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;
use core::str::Split;

use memchr::memchr;

use crate::jid::BareJid;
use crate::xml::Writer;

/// A contact (RFC 6121 §2.1.2).
#[derive(Clone, Eq, PartialEq)]
pub struct Item<'a> {
    /// Address, name, then the groups, with NUL between them, which neither XML nor the store can hold.
    pub(super) texts: Cow<'a, str>,
    pub(super) standing: Standing,
}

/// Where user and contact stand with each other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Standing {
    pub(crate) subscription: Subscription,
    pub(crate) ask: Ask,
    pub(crate) approval: Approval,
}

/// Who sees whose presence (RFC 6121 §2.1.2.5).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Subscription {
    /// Neither.
    #[default]
    None,
    /// The user that of the contact.
    To,
    /// The contact that of the user.
    From,
    /// Both.
    Both,
}

/// Whether a request of the user is not answered yet (RFC 6121 §2.1.2.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ask {
    /// None was made, or it was answered.
    #[default]
    Nothing,
    /// One to see the contact's presence.
    Subscribe,
}

/// Whether the user has approved beforehand that the contact may see its presence (RFC 6121 §2.1.2.1).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Approval {
    /// No.
    #[default]
    Missing,
    /// Yes.
    Given,
}

impl Subscription {
    const ALL: [Self; 4] = [Self::None, Self::To, Self::From, Self::Both];

    /// The attribute's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::To => "to",
            Self::From => "from",
            Self::Both => "both",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|this| this.name() == name)
    }

    /// Whether the user sees the contact's presence.
    #[must_use]
    pub const fn is_to(self) -> bool {
        matches!(self, Self::To | Self::Both)
    }

    /// Whether the contact sees the user's presence.
    #[must_use]
    pub const fn is_from(self) -> bool {
        matches!(self, Self::From | Self::Both)
    }

    pub(super) const fn with_to(self) -> Self {
        match self {
            Self::None | Self::To => Self::To,
            Self::From | Self::Both => Self::Both,
        }
    }

    pub(super) const fn without_to(self) -> Self {
        match self {
            Self::None | Self::To => Self::None,
            Self::From | Self::Both => Self::From,
        }
    }

    pub(super) const fn with_from(self) -> Self {
        match self {
            Self::None | Self::From => Self::From,
            Self::To | Self::Both => Self::Both,
        }
    }

    pub(super) const fn without_from(self) -> Self {
        match self {
            Self::None | Self::From => Self::None,
            Self::To | Self::Both => Self::To,
        }
    }
}

impl Ask {
    /// The attribute's value, if there is one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Subscribe => Some("subscribe"),
        }
    }
}

impl Standing {
    /// All of it in one letter.
    pub(super) const fn letter(self) -> char {
        let subscription = match self.subscription {
            Subscription::None => 0,
            Subscription::To => 1,
            Subscription::From => 2,
            Subscription::Both => 3,
        };
        let ask = match self.ask {
            Ask::Nothing => 0,
            Ask::Subscribe => 4,
        };
        let approval = match self.approval {
            Approval::Missing => 0,
            Approval::Given => 8,
        };
        (b'@' | subscription | ask | approval) as char
    }

    /// What such a letter says.
    pub(super) const fn of_letter(letter: u8) -> Self {
        Self {
            subscription: match letter & 3 {
                0 => Subscription::None,
                1 => Subscription::To,
                2 => Subscription::From,
                _ => Subscription::Both,
            },
            ask: match letter & 4 {
                0 => Ask::Nothing,
                _ => Ask::Subscribe,
            },
            approval: match letter & 8 {
                0 => Approval::Missing,
                _ => Approval::Given,
            },
        }
    }
}

impl Approval {
    /// The attribute's value, if there is one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Missing => None,
            Self::Given => Some("true"),
        }
    }
}

impl Item<'_> {
    /// None of the texts holds NUL, and no group is empty.
    pub(super) fn new<'a>(
        contact: &BareJid,
        standing: Standing,
        name: &'a str,
        groups: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut texts = String::from(contact.as_str());
        for text in [name].into_iter().chain(groups) {
            texts.push('\0');
            texts.push_str(text);
        }
        Self {
            texts: texts.into(),
            standing,
        }
    }

    /// The bare address.
    #[must_use]
    pub fn contact(&self) -> &str {
        first(&self.texts)
    }

    /// The same as a value of its own.
    pub(crate) fn address(&self) -> BareJid {
        BareJid::of_prepared(self.contact())
    }

    /// What the user calls it; empty if nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        self.texts.split('\0').nth(1).unwrap_or_default()
    }

    /// The groups in which the user has put it, in the order in which they came.
    #[must_use]
    pub fn groups(&self) -> Groups<'_> {
        let mut parts = self.texts.split('\0');
        let _contact = parts.next();
        let _name = parts.next();
        Groups(parts)
    }

    /// Where the two stand.
    pub(crate) const fn standing(&self) -> Standing {
        self.standing
    }

    /// Who sees whose presence.
    #[must_use]
    pub const fn subscription(&self) -> Subscription {
        self.standing.subscription
    }

    /// Whether a request of the user is not answered yet.
    #[must_use]
    pub const fn ask(&self) -> Ask {
        self.standing.ask
    }

    /// Whether the user has approved a request that is still to come.
    #[must_use]
    pub const fn approval(&self) -> Approval {
        self.standing.approval
    }

    /// As clients see it, in a result and in a push.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.open("item").attribute("jid", self.contact());
        // RFC 6121 §2.4.1: no name is an empty one.
        let name = Some(self.name()).filter(|name| !name.is_empty());
        for (attribute, value) in [
            ("name", name),
            ("subscription", Some(self.subscription().name())),
            ("ask", self.ask().name()),
            ("approved", self.approval().name()),
        ] {
            if let Some(value) = value {
                w.attribute(attribute, value);
            }
        }
        for group in self.groups() {
            w.leaf("group", group);
        }
        w.close();
    }

    /// How many bytes `write` makes of it, at most.
    pub(super) fn written(&self) -> usize {
        let item =
            "<item jid='' name='' subscription='none' ask='subscribe' approved='true'></item>";
        let group = "<group></group>";
        let groups = self.groups().map(|text| group.len() + escaped(text));
        item.len() + self.contact().len() + escaped(self.name()) + groups.sum::<usize>()
    }
}

/// Addresses only: what people call each other is not for logs.
impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("contact", &self.contact())
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

/// The groups of a contact.
#[derive(Clone, Debug)]
pub struct Groups<'a>(Split<'a, char>);

impl<'a> Iterator for Groups<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }
}

/// The first of some texts with NUL between them. Asked for at each step of each search, and not by `split`, which takes three times as
/// long.
pub(super) fn first(texts: &str) -> &str {
    let end = memchr(0, texts.as_bytes()).unwrap_or(texts.len());
    texts.get(..end).unwrap_or_default()
}

/// How many bytes a text takes once `xml::escape_attribute` has seen it, at most; as text it takes fewer.
fn escaped(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'\'' | b'"' => "&quot;".len(),
        b'&' | b'\n' | b'\r' => "&amp;".len(),
        b'<' | b'>' | b'\t' => "&lt;".len(),
        0..b' ' => "\u{FFFD}".len(),
        b' '.. => 1,
    };
    text.bytes().map(escaped).sum()
}
