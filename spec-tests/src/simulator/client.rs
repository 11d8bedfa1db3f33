//! One client: a small state machine that reads everything through the reference parser and says what comes next.
//!
//! Oracle: nothing but what belongs to its phase may reach it, above all no stanza before it is bound.

use std::net::IpAddr;
use std::time::Duration;

use spondee_core::port::Opening;
use spondee_core::sasl::{Hash, Mechanism, Plus};
use spondee_core::time::Instant;

use super::Moment;
use super::accounts::NAMES;
use super::csi::Csi;
use super::sm::{Managed, Return, SM};
use super::stanzas::MARKS;
use crate::element::{BIND, CLIENT, Element, Item, Reader, SASL, STREAMS, TLS};
use crate::memory::Peer;
use crate::sasl::{Binding, Scram, Signed};
use crate::talk::{bind_request, header, plain_auth};

/// What a client is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nature {
    /// Signs in step by step and keeps the rules.
    Honest,
    /// Keeps the rules, and writes its whole sign-in without waiting.
    Hasty,
    /// Never writes.
    Silent,
    /// Signs in half.
    Quitter,
    /// Sends stanzas before it signs in.
    Early,
    /// Tries a wrong password until it is thrown out.
    Guesser,
    /// Sends its password in clear.
    Careless,
    /// Pipelines its sign-in in clear behind `<starttls/>`.
    Smuggler,
    /// Once it is bound, it writes what is no XML, or no stanza.
    Babbler,
    /// Once it is bound, it claims to be somebody else.
    Forger,
    /// Once it is bound, it reads no more.
    Deaf,
}

/// How it writes namespaces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Manner {
    /// As nearly everybody.
    Plain,
    /// With prefixes that its header declares, also for the content namespace.
    Prefixed,
}

/// Where it stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its header is written; then features.
    Header(Phase),
    /// `<starttls/>` is written.
    Proceed,
    /// `<auth/>` is written: a challenge of SCRAM.
    Challenge(Box<Scram>),
    /// Everything is written: the outcome. With SCRAM it must prove itself.
    Outcome(Option<Signed>),
    /// The request to bind is written.
    Bind,
    /// The request to resume a former session is written.
    Resume,
    /// Bound to this full address.
    Session(String),
    /// The same, without a connection.
    Asleep,
    /// This one goes on with its connection.
    Moved(usize),
    /// Its closing tag is written.
    Leaving,
    /// It expects nothing any more.
    Over,
}

/// Whether it may keep its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Kept,
    /// Unless it has signed in by then, it must go.
    Needed,
}

/// Which stream a header opens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    Clear,
    Tls,
    Authenticated,
}

/// What a client makes of something it read.
#[derive(Debug)]
pub(super) enum Heard {
    Nothing,
    /// It has this to say.
    Say(String),
    /// It begins TLS, then says this.
    Secure(String),
    /// Its sign-in begins.
    Begin(String),
    SignedIn(String),
    SignInFailed(String),
    Bind(String),
    Bound(String),
    BindRefused(String),
    /// It may ask for its former session.
    Resume,
    /// About the management of its stream.
    Managed(Element),
    /// With its size in bytes.
    Stanza(Element, usize),
    /// The server ended its stream with this error.
    Failed(String),
    Closed,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) peer: Peer,
    pub(super) address: IpAddr,
    pub(super) nature: Nature,
    pub(super) account: usize,
    pub(super) password: &'static str,
    pub(super) resource: String,
    pub(super) mechanism: Mechanism,
    pub(super) manner: Manner,
    pub(super) stage: Stage,
    pub(super) accepted: Instant,
    /// When its sign-in began.
    pub(super) began: Moment,
    /// When it was told that it is signed in.
    pub(super) signed: Moment,
    pub(super) place: Place,
    /// How many stanzas it sent.
    pub(super) sent: u32,
    /// The most bytes that the server owed it.
    pub(super) peak: usize,
    /// When it last wrote.
    pub(super) wrote: Instant,
    /// For how long it wrote nothing, since all was at rest.
    pub(super) silence: Duration,
    /// What the server offered it.
    pub(super) offer: Offer,
    pub(super) managed: Option<Box<Managed>>,
    /// Whether it comes back to a former session.
    pub(super) returns: Option<Return>,
    pub(super) csi: Csi,
    reader: Reader,
    opened: Opened,
}

/// Whether features have sessions that outlive their connections, and clients that nobody looks at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Offer {
    #[default]
    None,
    Management,
}

/// Whether the server's header of the present stream was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Opened {
    No,
    Yes,
    /// It was, and is read no more.
    Left,
}

/// Who signs in and how.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) nature: Nature,
    pub(super) account: usize,
    pub(super) password: &'static str,
    pub(super) resource: String,
    pub(super) mechanism: Mechanism,
    pub(super) opening: Opening,
    pub(super) address: IpAddr,
    pub(super) returns: Option<Return>,
}

impl Client {
    pub(super) fn new(peer: Peer, intent: Intent, manner: Manner, accepted: Instant) -> Self {
        let Intent {
            nature,
            account,
            password,
            resource,
            mechanism,
            opening,
            address,
            returns,
        } = intent;
        Self {
            peer,
            address,
            nature,
            account,
            password,
            resource,
            mechanism,
            manner,
            stage: Stage::Header(match opening {
                Opening::Clear => Phase::Clear,
                Opening::Tls => Phase::Tls,
            }),
            accepted,
            began: 0,
            signed: 0,
            place: Place::Kept,
            sent: 0,
            peak: 0,
            wrote: accepted,
            silence: Duration::ZERO,
            offer: Offer::None,
            managed: None,
            returns,
            csi: Csi::Active,
            reader: Reader::new(),
            opened: Opened::No,
        }
    }

    pub(super) fn host(&self) -> &'static str {
        let name = NAMES[self.account];
        name.split_once('@').map_or(name, |(_, host)| host)
    }

    fn user(&self) -> &'static str {
        let name = NAMES[self.account];
        name.split_once('@').map_or(name, |(user, _)| user)
    }

    pub(super) fn header(&self) -> String {
        let plain = header(self.host());
        match self.manner {
            Manner::Plain => plain,
            Manner::Prefixed => {
                let start = plain.strip_suffix('>').unwrap_or(&plain);
                let long = "u".repeat(500);
                format!("{start} xmlns:c='{CLIENT}' xmlns:m='{MARKS}' xmlns:u='{long}'>")
            }
        }
    }

    /// Everything up to the binding, for those who do not wait.
    pub(super) fn whole_sign_in(&self, last: &str) -> String {
        let auth = plain_auth(self.user(), self.password);
        let header = self.header();
        format!("{header}{auth}{header}{last}")
    }

    /// It goes on with the connection of another, which has its own in return.
    pub(super) fn take_over(&mut self, other: &mut Self) {
        use std::mem::swap;
        swap(&mut self.peer, &mut other.peer);
        swap(&mut self.reader, &mut other.reader);
        swap(&mut self.opened, &mut other.opened);
        swap(&mut self.peak, &mut other.peak);
        swap(&mut self.wrote, &mut other.wrote);
        swap(&mut self.silence, &mut other.silence);
        swap(&mut self.accepted, &mut other.accepted);
        (self.address, self.password) = (other.address, other.password);
    }

    /// Its full address, once it is bound.
    pub(super) fn jid(&self) -> Option<&str> {
        match &self.stage {
            Stage::Session(jid) => Some(jid),
            Stage::Header(_)
            | Stage::Proceed
            | Stage::Challenge(_)
            | Stage::Outcome(_)
            | Stage::Bind
            | Stage::Resume
            | Stage::Asleep
            | Stage::Moved(_)
            | Stage::Leaving
            | Stage::Over => None,
        }
    }

    /// Whether the server has something to say before this client goes on.
    pub(super) const fn waits(&self) -> bool {
        match &self.stage {
            Stage::Header(_)
            | Stage::Proceed
            | Stage::Challenge(_)
            | Stage::Outcome(_)
            | Stage::Bind
            | Stage::Resume
            | Stage::Leaving => true,
            Stage::Session(_) | Stage::Asleep | Stage::Moved(_) | Stage::Over => false,
        }
    }

    /// Whether it must make room, as far as it knows.
    pub(super) fn must_go(&self) -> bool {
        self.place == Place::Needed && self.signed == 0
    }

    /// It reads no more of what came, and of what is on its way.
    pub(super) fn drop_unread(&mut self) {
        self.reader = Reader::new();
        self.opened = Opened::Left;
    }

    /// Takes what arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.opened != Opened::Left {
            self.reader.push(bytes);
        }
    }

    /// The next thing it makes of what arrived.
    ///
    /// # Errors
    /// The server wrote what it must not.
    pub(super) fn next(&mut self) -> Result<Option<Heard>, String> {
        match self.reader.next_item()? {
            None => Ok(None),
            Some(item) => self.on_item(item).map(Some),
        }
    }

    fn on_item(&mut self, item: Item) -> Result<Heard, String> {
        match item {
            Item::Open(header) if self.opened == Opened::No && header.is(STREAMS, "stream") => {
                self.opened = Opened::Yes;
                Ok(Heard::Nothing)
            }
            Item::Open(header) => Err(format!("a header that nobody asked for: {header}")),
            Item::Close => {
                // What comes behind it is none of this stream's.
                self.reader = Reader::new();
                Ok(Heard::Closed)
            }
            Item::Element(element) if element.is(STREAMS, "error") => {
                let condition = element.condition().unwrap_or_default().to_owned();
                Ok(Heard::Failed(condition))
            }
            Item::Element(element) => self.on_element(element),
        }
    }

    fn on_element(&mut self, element: Element) -> Result<Heard, String> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Header(phase) if element.is(STREAMS, "features") => {
                if element.child(SM, "sm").is_some() {
                    self.offer = Offer::Management;
                }
                Ok(self.on_features(phase))
            }
            Stage::Proceed if element.is(TLS, "proceed") => {
                self.restart();
                self.stage = Stage::Header(Phase::Tls);
                Ok(Heard::Secure(self.header()))
            }
            Stage::Challenge(scram) if element.is(SASL, "challenge") => {
                let (response, signed) = scram.respond(&element.text())?;
                self.stage = Stage::Outcome(Some(signed));
                let response = format!("<response xmlns='{SASL}'>{response}</response>");
                Ok(Heard::Say(response))
            }
            Stage::Outcome(signed) if element.is(SASL, "success") => {
                if let Some(signed) = signed {
                    signed.verify(&element.text())?;
                }
                self.restart();
                self.stage = Stage::Header(Phase::Authenticated);
                Ok(Heard::SignedIn(self.header()))
            }
            Stage::Challenge(_) | Stage::Outcome(_) if element.is(SASL, "failure") => {
                let condition = element.condition().unwrap_or_default().to_owned();
                Ok(Heard::SignInFailed(condition))
            }
            Stage::Bind if element.is(CLIENT, "iq") && element.attribute("id") == Some("bind") => {
                self.on_bind_answer(&element)
            }
            stage @ (Stage::Resume | Stage::Session(_) | Stage::Leaving) if element.ns == SM => {
                self.stage = stage;
                Ok(Heard::Managed(element))
            }
            stage @ Stage::Session(_) if element.ns == CLIENT => {
                self.stage = stage;
                Ok(Heard::Stanza(element, self.reader.size()))
            }
            // A stanza may be on its way when a session ends.
            stage @ Stage::Leaving if element.ns == CLIENT => {
                self.stage = stage;
                Ok(Heard::Stanza(element, self.reader.size()))
            }
            // After a failure the rest of what was pipelined may be answered, but not with stanzas.
            Stage::Over if element.ns != CLIENT => Ok(Heard::Nothing),
            stage @ (Stage::Header(_)
            | Stage::Proceed
            | Stage::Challenge(_)
            | Stage::Outcome(_)
            | Stage::Bind
            | Stage::Resume
            | Stage::Session(_)
            | Stage::Asleep
            | Stage::Moved(_)
            | Stage::Leaving
            | Stage::Over) => Err(format!("{element} at {stage:?}")),
        }
    }

    fn on_features(&mut self, phase: Phase) -> Heard {
        let quits = self.nature == Nature::Quitter;
        match phase {
            Phase::Clear if self.nature == Nature::Careless => {
                self.stage = Stage::Outcome(None);
                Heard::Begin(plain_auth(self.user(), self.password))
            }
            Phase::Clear => {
                self.stage = Stage::Proceed;
                Heard::Say(format!("<starttls xmlns='{TLS}'/>"))
            }
            Phase::Tls if quits => Heard::Nothing,
            Phase::Tls => self.begin(),
            Phase::Authenticated if self.returns.is_some() => {
                self.stage = Stage::Resume;
                Heard::Resume
            }
            Phase::Authenticated => self.bind(),
        }
    }

    /// It asks for its resource.
    pub(super) fn bind(&mut self) -> Heard {
        self.stage = Stage::Bind;
        Heard::Bind(bind_request(&self.resource))
    }

    /// Its first word of SASL.
    pub(super) fn begin(&mut self) -> Heard {
        let nonce = format!("nonce-of-{:?}", self.peer);
        let scram = Scram::new(
            self.mechanism,
            self.user(),
            self.password,
            &nonce.replace(['(', ')'], ""),
            Binding::Unsupported,
        );
        let Some(scram) = scram else {
            self.stage = Stage::Outcome(None);
            return Heard::Begin(plain_auth(self.user(), self.password));
        };
        let first = scram.first();
        let name = self.mechanism.name();
        self.stage = Stage::Challenge(Box::new(scram));
        Heard::Begin(format!(
            "<auth xmlns='{SASL}' mechanism='{name}'>{first}</auth>"
        ))
    }

    fn on_bind_answer(&mut self, answer: &Element) -> Result<Heard, String> {
        let bind = answer.child(BIND, "bind");
        match bind.and_then(|bind| bind.child(BIND, "jid")) {
            Some(jid) if answer.attribute("type") == Some("result") => {
                let jid = jid.text();
                if jid.split('/').next() != Some(NAMES[self.account]) {
                    return Err(format!("{} was bound to {jid}", NAMES[self.account]));
                }
                self.stage = Stage::Session(jid.clone());
                Ok(Heard::Bound(jid))
            }
            _ => {
                let error = answer.child(CLIENT, "error");
                let condition = error.and_then(Element::condition).unwrap_or_default();
                Ok(Heard::BindRefused(condition.to_owned()))
            }
        }
    }

    fn restart(&mut self) {
        let unread = self.reader.take_unread();
        self.reader = Reader::new();
        self.reader.push(&unread);
        self.opened = Opened::No;
    }
}

/// The ways to sign in, PLAIN among them.
pub(super) const MECHANISMS: [Mechanism; 4] = [
    Mechanism::Plain,
    Mechanism::Scram(Hash::Sha1, Plus::No),
    Mechanism::Scram(Hash::Sha256, Plus::No),
    Mechanism::Scram(Hash::Sha512, Plus::No),
];

impl Nature {
    /// Whether it is its own fault if the server waits for it.
    pub(super) const fn may_wait(self) -> bool {
        match self {
            Self::Silent | Self::Quitter | Self::Smuggler | Self::Deaf => true,
            Self::Honest
            | Self::Hasty
            | Self::Early
            | Self::Guesser
            | Self::Careless
            | Self::Babbler
            | Self::Forger => false,
        }
    }
}
