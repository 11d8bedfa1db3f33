//! Who writes what to whom, and what is noted down of it.

use std::collections::{BTreeSet, HashMap};

use spec_tests::element::Element;
use spec_tests::kept::Seen;

/// Who is written to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Receiver {
    /// Not there as long as a round lasts.
    Away,
    /// There with one device, which is cut and resumes.
    There,
    /// The same, and with another that is sent copies.
    Copies,
    /// Not there, and wants nothing archived.
    Never,
    /// Comes and goes, and resumes nothing.
    Flits,
    /// Is cut and resumes, sometimes when it is too late.
    Sleeps,
}

impl Receiver {
    pub(crate) const ALL: [Self; 6] = [
        Self::Away,
        Self::There,
        Self::Copies,
        Self::Never,
        Self::Flits,
        Self::Sleeps,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::There => "there",
            Self::Copies => "copies",
            Self::Never => "never",
            Self::Flits => "flits",
            Self::Sleeps => "sleeps",
        }
    }

    pub(crate) const fn is_archived(self) -> bool {
        !matches!(self, Self::Never)
    }

    /// The device that is to have all that is written to it.
    pub(crate) const fn device(self) -> Device {
        let resource = match self {
            Self::Away | Self::Never => "desk",
            Self::There | Self::Copies => "phone",
            Self::Flits | Self::Sleeps => "tablet",
        };
        (self.name(), resource)
    }
}

/// An account's name and a resource.
pub(crate) type Device = (&'static str, &'static str);

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
}

/// A message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Post {
    /// Index in `SENDERS`.
    pub(crate) from: usize,
    pub(crate) to: Receiver,
    /// Counts what this sender wrote to this receiver, in all rounds.
    pub(crate) number: usize,
    pub(crate) kind: Kind,
}

impl Post {
    /// What it says, which is its origin id (XEP-0359 §3), too: the same whenever it is sent again.
    pub(crate) fn body(&self) -> String {
        format!("{}>{} {}", SENDERS[self.from], self.to.name(), self.number)
    }

    pub(crate) fn xml(&self) -> String {
        let mut to = bare(self.to.name());
        let (mut kind, mut more) = (" type='chat'", "");
        match self.kind {
            Kind::Chat => {}
            Kind::Normal => kind = "",
            Kind::Full => to = format!("{to}/{}", self.to.device().1),
            Kind::Private => more = "<private xmlns='urn:xmpp:carbons:2'/>",
        }
        let body = self.body();
        format!(
            "<message{kind} to='{to}' id='{body}'><body>{body}</body>{more}<origin-id xmlns='urn:xmpp:sid:0' id='{body}'/></message>"
        )
    }

    pub(crate) fn is_copied(&self) -> bool {
        self.kind != Kind::Private
    }
}

/// What a sender did in a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// In order, each once, however often it was sent.
    pub(crate) posts: Vec<Post>,
    /// What was sent once more although the server may have it, because nobody could say: how often.
    pub(crate) again: HashMap<String, usize>,
    /// What the server acknowledged.
    pub(crate) acknowledged: BTreeSet<String>,
    /// What was sent in each session, by its id, in order; what is no message stands there as nothing.
    pub(crate) sessions: HashMap<String, Vec<Option<String>>>,
    /// Stanzas that it did not expect.
    pub(crate) strange: Vec<Element>,
    pub(crate) cuts: usize,
}

/// What happened at a device, in order.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The server was killed since.
    Crash,
    /// A new session begins. Whether something may be missing in front of the first message of each pair.
    Bound(Holes),
    /// From here on it is sent what comes for its account.
    Available,
    /// It was sent this.
    Push(Box<Seen>),
    /// It fetched this from the archive: its id and text.
    Pull(String, String),
    /// The server knows that it has all that is in front of this event in the list.
    Confirmed(usize),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Holes {
    No,
    /// The device looks into the archive for that.
    Yes,
}

/// What a device did in a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) events: Vec<Event>,
    pub(crate) cuts: usize,
    pub(crate) resumed: usize,
    pub(crate) over: usize,
}

/// A round of the crowd.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    pub(crate) said: Vec<Said>,
    pub(crate) heard: HashMap<Device, Heard>,
}

impl Round {
    /// How often what says this may be there.
    pub(crate) fn copies(&self, post: &Post) -> usize {
        let said = self.said.get(post.from);
        let again = said.and_then(|said| said.again.get(&post.body()));
        1 + again.copied().unwrap_or(0)
    }

    /// All that was written, by its text.
    pub(crate) fn posts(&self) -> HashMap<String, Post> {
        let posts = self.said.iter().flat_map(|said| &said.posts);
        posts.map(|post| (post.body(), *post)).collect()
    }
}
