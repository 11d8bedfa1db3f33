//! What was said in a round, and what of it must be where.

use std::time::Instant;

use spec_tests::element::Element;

/// Who is written to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Receiver {
    /// Not there as long as a round lasts.
    Away,
    /// There with one device.
    There,
    /// There with one device, and with another that is sent copies.
    Copies,
    /// Not there, and wants nothing archived.
    Never,
    /// Comes and goes.
    Flits,
}

impl Receiver {
    pub(crate) const ALL: [Self; 5] = [
        Self::Away,
        Self::There,
        Self::Copies,
        Self::Never,
        Self::Flits,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::There => "there",
            Self::Copies => "copies",
            Self::Never => "never",
            Self::Flits => "flits",
        }
    }

    pub(crate) const fn is_archived(self) -> bool {
        !matches!(self, Self::Never)
    }

    /// Whether it has a device in every moment of a round.
    pub(crate) const fn is_there(self) -> bool {
        matches!(self, Self::There | Self::Copies)
    }
}

/// Who writes.
pub(crate) const SENDERS: [&str; 3] = ["ann", "ben", "cal"];

/// Bare address of an account.
pub(crate) fn bare(name: &str) -> String {
    format!("{name}@localhost")
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Chat,
    Normal,
    /// To the one device.
    Full,
    /// `<private/>`, XEP-0280 §9.
    Private,
    /// `<no-store/>`, XEP-0334 §4.3.
    Fleeting,
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Post {
    /// Index in `SENDERS`.
    pub(crate) from: usize,
    pub(crate) to: Receiver,
    /// Counts what this sender wrote to this receiver, in all rounds.
    pub(crate) number: usize,
    pub(crate) kind: Kind,
}

impl Post {
    pub(crate) fn body(&self) -> String {
        format!("{}>{} {}", SENDERS[self.from], self.to.name(), self.number)
    }

    pub(crate) fn xml(&self) -> String {
        let mut to = bare(self.to.name());
        let (mut kind, mut more) = (" type='chat'", "");
        match self.kind {
            Kind::Chat => {}
            Kind::Normal => kind = "",
            Kind::Full => to += "/phone",
            Kind::Private => more = "<private xmlns='urn:xmpp:carbons:2'/>",
            Kind::Fleeting => more = "<no-store xmlns='urn:xmpp:hints'/>",
        }
        let body = self.body();
        format!("<message{kind} to='{to}' id='{body}'><body>{body}</body>{more}</message>")
    }

    pub(crate) fn is_kept(&self) -> bool {
        self.kind != Kind::Fleeting
    }

    pub(crate) fn is_copied(&self) -> bool {
        self.kind != Kind::Private
    }
}

/// What a sender asked behind some of its messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum About {
    /// A page of the own archive.
    Own,
    /// Nothing: a ping.
    Ping,
}

#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) id: String,
    pub(crate) about: About,
    /// How many messages went before it.
    pub(crate) behind: usize,
    pub(crate) answered: Option<Instant>,
}

/// What a sender did in a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) posts: Vec<Post>,
    pub(crate) looks: Vec<Look>,
    /// Stanzas that it did not expect.
    pub(crate) strange: Vec<Element>,
}

impl Said {
    /// How many of the messages went before the last look of this kind that was answered.
    pub(crate) fn promised(&self, about: About) -> usize {
        let looks = self.looks.iter().rev();
        looks
            .filter(|look| look.about == about && look.answered.is_some())
            .map(|look| look.behind)
            .next()
            .unwrap_or(0)
    }
}
