//! Work for the core, ready to be measured: everything that is not the work is done when a scenario is made.
//!
//! For criterion today, for a count of instructions as well: a scenario depends on no clock and no chance.

mod kept;
mod managed;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use spondee_core::archive::{ArchiveOptions, Policy};
use spondee_core::config::{Config, Host, HostConfig, Software};
use spondee_core::entropy::Entropy;
use spondee_core::envelope::placement::Placement;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::limits::{ACCOUNT_IDLE, Limits};
use spondee_core::port::{Closed, Input, Opening, TlsInfo};
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::sasl::{Credentials, Dates, DeriveParams, Status};
use spondee_core::secret::Secret;
use spondee_core::store::{Class, Expect, Field, Row};
use spondee_core::testing::{Handshakes, Peer, Taking, World};
use spondee_core::xml::{ScanLimits, Scanner, Token};

use crate::scram::{Account, Proven};

pub use kept::Page;
pub use managed::{Managed, Resume};

/// The host of every scenario.
pub const HOST: &str = "localhost";
/// The resource of every session.
pub const RESOURCE: &str = "load";
/// Bytes of a chat message as its sender writes it.
pub const CHAT_BYTES: usize = 279;

/// Of whoever has any.
const CONTACTS: usize = 50;

/// The password of every account.
pub const PASSWORD: &str = "a password for the bench";
const SECRET: [u8; 32] = [0x5e; 32];
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
/// The stored keys cost the same however many rounds made them.
const ROUNDS: u32 = 16;

/// What a client opens its streams with.
pub const HEADER: &[u8] = b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' \
    xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

/// What a client asks for TLS with.
pub const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// A message as chat clients write it, 279 bytes long.
///
/// # Panics
/// The address is so long that no text is left.
#[must_use]
pub fn chat_message(to: &str) -> Vec<u8> {
    message(to, CHAT_BYTES)
}

/// A chat message that tells its number, as long as all of them.
///
/// # Panics
/// The address is so long that no text is left.
#[must_use]
pub fn numbered_message(to: &str, number: usize) -> Vec<u8> {
    message_of(to, &format!("{NUMBERED}{number:09}"), CHAT_BYTES)
}

/// The number it told.
#[must_use]
pub fn number_of(message: &[u8]) -> Option<usize> {
    let at = memmem::find(message, NUMBERED.as_bytes())? + NUMBERED.len();
    let digits = message.get(at..at + 9)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// How the id of a message begins.
const NUMBERED: &str = "b7e2c9d4-";

/// A message of this many bytes.
///
/// # Panics
/// That is too short for the address and what surrounds the text.
#[must_use]
pub fn message(to: &str, bytes: usize) -> Vec<u8> {
    message_of(to, "b7e2c9d4-51f0-4a6e", bytes)
}

fn message_of(to: &str, id: &str, bytes: usize) -> Vec<u8> {
    let before = format!("<message to='{to}' type='chat' id='{id}'><body>");
    let after = "</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>";
    let text = "Shall we meet at the usual place tonight? ";
    let fill = bytes.checked_sub(before.len() + after.len());
    let fill = fill.filter(|fill| *fill > 0).expect("room for a text");
    let text: String = text.chars().cycle().take(fill).collect();
    [before, text, after.to_owned()].concat().into_bytes()
}

/// A change of presence that tells its number.
#[must_use]
pub fn presence_change(number: usize) -> Vec<u8> {
    let show = match number % 2 {
        0 => "away",
        _ => "dnd",
    };
    format!(
        "<presence id='p{number:06}'><show>{show}</show><status>Change {number}</status>\
         <priority>5</priority></presence>"
    )
    .into_bytes()
}

/// A stream that holds one stanza, for the scanner.
#[derive(Debug)]
pub struct Scan {
    limits: ScanLimits,
    stanza: Vec<u8>,
    opened: Scanner,
}

impl Scan {
    /// A chat message.
    #[must_use]
    pub fn chat() -> Self {
        Self::of(chat_message("juliet@localhost/balcony"))
    }

    /// A presence with its capabilities.
    #[must_use]
    pub fn presence() -> Self {
        let text = "<presence id='p1'><show>away</show><status>Back at six</status>\
            <priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
            node='https://client.example' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>";
        Self::of(text.as_bytes().to_vec())
    }

    /// A roster of 20 KB.
    #[must_use]
    pub fn roster() -> Self {
        let mut text =
            String::from("<iq type='result' id='r1'><query xmlns='jabber:iq:roster' ver='7'>");
        let mut n = 0;
        while text.len() < 20_000 {
            n += 1;
            text.push_str(&format!(
                "<item jid='contact{n}@example.org' name='Contact {n}' subscription='both'>\
                 <group>Friends</group><group>Verona</group></item>"
            ));
        }
        text.push_str("</query></iq>");
        Self::of(text.into_bytes())
    }

    fn of(stanza: Vec<u8>) -> Self {
        let limits = ScanLimits::client(&Limits::default());
        let mut opened = Scanner::new(limits);
        let header = opened.scan(&mut &HEADER[..]);
        assert!(matches!(header, Ok(Some(Token::Header(_)))), "{header:?}");
        Self {
            limits,
            stanza,
            opened,
        }
    }

    /// Bytes scanned in one go.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.stanza.len() as u64
    }

    /// The bounds in force.
    #[must_use]
    pub const fn limits(&self) -> &ScanLimits {
        &self.limits
    }

    /// Scans the stanza, whole in one read.
    ///
    /// # Panics
    /// It is refused.
    pub fn run(&mut self) -> Token {
        let mut input = &self.stanza[..];
        let token = self.opened.scan(&mut input);
        token.expect("a well-formed stanza").expect("a whole one")
    }
}

/// A whole sign-in: what a client writes, step by step. The server's part of it depends on its seed alone, so the answers to its
/// challenges are known beforehand.
#[derive(Debug)]
pub struct SignIn {
    config: Arc<Config>,
    record: (BareJid, Row),
    script: Vec<Step>,
}

/// What a client's side tells the shard.
#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Secured,
}

impl Default for SignIn {
    fn default() -> Self {
        Self::new()
    }
}

impl SignIn {
    /// STARTTLS (without the TLS), SCRAM-SHA-256 and bind.
    ///
    /// # Panics
    /// The server refuses.
    #[must_use]
    pub fn new() -> Self {
        let mut account = Account::new("juliet", PASSWORD);
        let mut scenario = Self {
            config: config(1, Policy::Always),
            record: record(account.name()),
            script: Vec::new(),
        };
        let mut world = scenario.server().0;
        let peer = accept(&mut world, &scenario.record.0);
        scenario.script = sign_in(&mut world, peer, &mut account, RESOURCE);
        scenario
    }

    /// The server before the client comes.
    #[must_use]
    pub fn server(&self) -> Server {
        Server(world(&self.config, [self.record.clone()].into_iter()))
    }

    /// Signs in, and returns how many bytes the server wrote.
    pub fn run(&self, server: &mut Server) -> usize {
        let world = &mut server.0;
        let peer = accept(world, &self.record.0);
        world.set_taking(peer, Taking::Counted);
        let before = world.taken();
        for step in &self.script {
            self::step(world, peer, step);
        }
        world.taken() - before
    }

    /// What the server answers to a client, round trip by round trip: two before TLS begins, five after. The address at the end is
    /// `juliet`'s, whoever asked.
    #[must_use]
    pub fn replies(&self) -> Replies {
        let mut world = self.server().0;
        let peer = accept(&mut world, &self.record.0);
        let mut replies = Replies::default();
        let mut now = &mut replies.before_tls;
        for step in &self.script {
            self::step(&mut world, peer, step);
            match step {
                Step::Bytes(_) => now.push(world.take_received(peer)),
                Step::Secured => now = &mut replies.after_tls,
            }
        }
        replies
    }
}

/// See [`SignIn::replies`].
#[derive(Clone, Debug, Default)]
pub struct Replies {
    /// To a stream header and to `<starttls/>`.
    pub before_tls: Vec<Vec<u8>>,
    /// From the stream header to the address bound.
    pub after_tls: Vec<Vec<u8>>,
}

/// A server with a single shard.
#[derive(Debug)]
pub struct Server(World);

/// Messages between two sessions, signed in already.
#[derive(Debug)]
pub struct Route {
    world: World,
    from: Peer,
    /// Sessions that hear it.
    to: Vec<Peer>,
    /// Whose session it comes from.
    sender: String,
    input: Vec<u8>,
}

impl Route {
    /// Both on one shard; `count` messages come in one read. Nothing is archived.
    #[must_use]
    pub fn same_shard(count: usize) -> Self {
        Self::new(1, count, Policy::Never)
    }

    /// Each on a shard of its own.
    #[must_use]
    pub fn cross_shard(count: usize) -> Self {
        Self::new(2, count, Policy::Never)
    }

    /// One message to the bare address of an account on another shard, which has so many sessions.
    ///
    /// # Panics
    /// An account has not so many.
    #[must_use]
    pub fn fan_out(sessions: usize) -> Self {
        let (mut route, receiver) = Self::between(2, sessions, Policy::Never);
        let message = chat_message(&receiver);
        let text = String::from_utf8(message).expect("text");
        route.input = text.replace("type='chat'", "type='headline'").into_bytes();
        let written = route.run();
        assert!(
            written > sessions * route.input.len(),
            "the message does not arrive"
        );
        route
    }

    fn new(shards: u16, count: usize, policy: Policy) -> Self {
        let (mut route, receiver) = Self::between(shards, 1, policy);
        route.input = chat_message(&format!("{receiver}/{RESOURCE}")).repeat(count);
        let written = route.run();
        assert!(written > route.input.len(), "the messages do not arrive");
        route
    }

    /// A sender on the first shard, and a receiver on the last with so many available sessions; whose address that is.
    fn between(shards: u16, sessions: usize, policy: Policy) -> (Self, String) {
        let config = config(shards, policy);
        let placement = Placement::new(&config.server_secret, shards);
        let owner = |name: &String| placement.owner(&format!("{name}@{HOST}")).shard;
        let mut names = (0..).map(|n| format!("user{n}"));
        let mut on = |shard| names.find(|name| owner(name) == shard).expect("a name");
        let (sender, receiver) = (on(0), on(shards - 1));
        let mut world = world(
            &config,
            [&sender, &receiver].map(|name| record(name)).into_iter(),
        );
        let mut session = |name: &str, resource: &str| {
            let mut account = Account::new(name, PASSWORD);
            let peer = accept(&mut world, &address(name));
            sign_in(&mut world, peer, &mut account, resource);
            world.tell_bytes(peer, b"<presence/>");
            world.settle();
            world.set_taking(peer, Taking::Counted);
            peer
        };
        let from = session(&sender, RESOURCE);
        let to = (0..sessions).map(|n| match n {
            0 => session(&receiver, RESOURCE),
            _ => session(&receiver, &format!("{RESOURCE}{n}")),
        });
        let to = to.collect();
        let route = Self {
            world,
            from,
            to,
            sender: address(&sender).to_string(),
            input: Vec::new(),
        };
        (route, address(&receiver).to_string())
    }

    /// Bytes that go in.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.input.len() as u64
    }

    /// Sends the messages, and returns how many bytes the receivers get.
    pub fn run(&mut self) -> usize {
        told(&mut self.world, self.from, &self.input)
    }
}

/// Says something and lets all happen that comes of it; how many bytes all get.
fn told(world: &mut World, from: Peer, input: &[u8]) -> usize {
    let before = world.taken();
    world.tell_bytes(from, input);
    world.settle();
    world.taken() - before
}

/// A user on one of two shards with 50 contacts, half of them on each. Some are on line: every other one.
#[derive(Debug)]
struct Acquainted {
    world: World,
    user: String,
    /// Sessions of contacts.
    on_line: Vec<Peer>,
}

impl Acquainted {
    fn new(on_line: OnLine) -> Self {
        let mut config = Config::clone(&config(2, Policy::Always));
        // Those on line say nothing for as long as others come and go.
        config.limits.idle = Duration::from_secs(365 * 24 * 60 * 60);
        let placement = Placement::new(&config.server_secret, config.shards);
        let owner = |name: &String| placement.owner(&format!("{name}@{HOST}")).shard;
        let mut names = [0, 1].map(|shard| {
            let names = (0..).map(|n| format!("user{n}"));
            names.filter(move |name| owner(name) == shard)
        });
        let mut on = |shard: usize| names[shard].next().expect("a name");
        let user = on(0);
        let contacts: Vec<String> = (0..CONTACTS).map(|n| on(n % 2)).collect();
        let everybody = contacts.iter().chain([&user]);
        let mut world = world(&Arc::new(config), everybody.map(|name| record(name)));
        for contact in &contacts {
            befriend(&mut world, &user, contact);
            befriend(&mut world, contact, &user);
        }
        for name in contacts.iter().chain([&user]) {
            let version = Row(vec![Field::Int(7)]);
            world.keep(address(name), &ROSTER_VERSION, version, Expect::Absent);
        }
        let on_line = match on_line {
            OnLine::All => CONTACTS,
            OnLine::Half => CONTACTS / 2,
        };
        let on_line = contacts.iter().take(on_line).map(|contact| {
            let mut account = Account::new(contact, PASSWORD);
            let (peer, _) = arrive(&mut world, &mut account, RESOURCE);
            world.set_taking(peer, Taking::Counted);
            peer
        });
        let on_line = on_line.collect();
        Self {
            world,
            user,
            on_line,
        }
    }
}

/// How many of somebody's contacts are.
#[derive(Clone, Copy, Debug)]
enum OnLine {
    All,
    Half,
}

/// A presence to 50 contacts on two shards, all on line.
#[derive(Debug)]
pub struct Broadcast {
    world: World,
    from: Peer,
    /// Whom it reaches.
    to: Vec<Peer>,
    input: Vec<u8>,
}

impl Default for Broadcast {
    fn default() -> Self {
        Self::new()
    }
}

impl Broadcast {
    /// # Panics
    /// It does not arrive.
    #[must_use]
    pub fn new() -> Self {
        let Acquainted {
            mut world,
            user,
            on_line,
        } = Acquainted::new(OnLine::All);
        let mut account = Account::new(&user, PASSWORD);
        let (from, heard) = arrive(&mut world, &mut account, RESOURCE);
        // One's own, and everybody's.
        assert_eq!(heard.matches("<presence").count(), 1 + CONTACTS, "{heard}");
        world.set_taking(from, Taking::Counted);
        let input = presence_change(1);
        let mut broadcast = Self {
            world,
            from,
            to: on_line,
            input,
        };
        let written = broadcast.run();
        let least = (1 + CONTACTS) * broadcast.input.len();
        assert!(written > least, "the presence does not arrive: {written}");
        broadcast
    }

    /// Changes the presence, and returns how many bytes all get.
    pub fn run(&mut self) -> usize {
        told(&mut self.world, self.from, &self.input)
    }
}

/// Sign-ins of one with 50 contacts, of whom 25 on two shards are on line, and its end. It was out of memory before. The client's part of
/// SCRAM is in it.
#[derive(Debug)]
pub struct Arrive {
    world: World,
    account: Account,
}

impl Default for Arrive {
    fn default() -> Self {
        Self::new()
    }
}

impl Arrive {
    /// Before the first.
    #[must_use]
    pub fn new() -> Self {
        let Acquainted { world, user, .. } = Acquainted::new(OnLine::Half);
        let account = Account::new(&user, PASSWORD);
        Self { world, account }
    }

    /// Signs in, gets the roster, hears from everybody, and goes.
    ///
    /// # Panics
    /// Something is missing.
    pub fn run(&mut self) -> usize {
        let Self { world, account } = self;
        world.advance(ACCOUNT_IDLE + Duration::from_secs(1));
        let before = world.taken();
        let (peer, heard) = arrive(world, account, RESOURCE);
        assert_eq!(heard.matches("<item ").count(), CONTACTS, "{heard}");
        let on_line = 1 + CONTACTS / 2;
        assert_eq!(heard.matches("<presence").count(), on_line, "{heard}");
        world.tell_closed(peer, Closed::Eof);
        world.settle();
        world.notes.clear();
        heard.len() + world.taken() - before
    }

    /// How many accounts were loaded so far.
    #[must_use]
    pub const fn loads(&self) -> usize {
        self.world.asked(Class::Load)
    }
}

/// Makes a contact of one, who is subscribed to it and it to them.
fn befriend(world: &mut World, one: &str, contact: &str) {
    let row = Row(vec![
        Field::text(address(contact).as_str()),
        Field::text("Tybalt Capulet"),
        Field::text("both"),
        Field::Absent,
        Field::Absent,
        Field::text("[\"Friends\"]"),
    ]);
    world.keep(address(one), &ROSTER, row, Expect::Absent);
}

/// Signs in, asks for the roster and says that it is there; what it hears of that.
fn arrive(world: &mut World, account: &mut Account, resource: &str) -> (Peer, String) {
    let peer = accept(world, &address(account.name()));
    sign_in(world, peer, account, resource);
    let get = "<iq type='get' id='r1'><query xmlns='jabber:iq:roster'/></iq>";
    for said in [get, "<presence><priority>5</priority></presence>"] {
        world.tell_bytes(peer, said.as_bytes());
        world.settle();
    }
    let heard = String::from_utf8(world.take_received(peer));
    (peer, heard.expect("text"))
}

/// Shards with any number of accounts, for connections that come with an account and are brought to its shard at once.
#[derive(Debug)]
pub struct Many(World);

impl Many {
    /// Accounts by their localparts, all with [`PASSWORD`]. Nothing is archived: an archive would be in this memory, too.
    #[must_use]
    pub fn new(shards: u16, accounts: impl Iterator<Item = String>) -> Self {
        Self(world(
            &config(shards, Policy::Never),
            accounts.map(|name| record(&name)),
        ))
    }

    /// A connection of someone who will sign in to this account.
    pub fn accept(&mut self, account: &str) -> Peer {
        accept(&mut self.0, &address(account))
    }

    /// Its TLS is up.
    pub fn secured(&mut self, peer: Peer, tls: TlsInfo) {
        if let Some((shard, conn)) = self.0.seat(peer) {
            let tls = Box::new(tls);
            self.0.tell(shard, Input::Secured { conn, tls });
        }
    }

    /// It is gone.
    pub fn close(&mut self, peer: Peer) {
        self.0.tell_closed(peer, Closed::Eof);
        self.settle();
    }

    /// It says this, and is answered.
    pub fn bytes(&mut self, peer: Peer, bytes: &[u8]) -> Vec<u8> {
        self.0.tell_bytes(peer, bytes);
        self.settle();
        self.0.take_received(peer)
    }

    fn settle(&mut self) {
        self.0.settle();
        // Nobody reads them, and there may be a hundred thousand sessions.
        self.0.notes.clear();
    }
}

/// A server with these accounts that does at once what is to be done.
fn world(config: &Arc<Config>, records: impl Iterator<Item = (BareJid, Row)>) -> World {
    let mut world = World::unrecorded(Arc::clone(config));
    world.handshakes = Handshakes::WhenTold;
    for (account, row) in records {
        world.keep_account(account, row);
    }
    world
}

/// Somebody connects to the shard of an account.
fn accept(world: &mut World, account: &BareJid) -> Peer {
    world.connect_to(world.owner(account.as_str()), Opening::Clear)
}

fn step(world: &mut World, peer: Peer, step: &Step) {
    match step {
        Step::Bytes(bytes) => world.tell_bytes(peer, bytes),
        Step::Secured => world.shake_hands(peer),
    }
    world.settle();
}

/// Signs in for real, and returns what the client said.
fn sign_in(world: &mut World, peer: Peer, account: &mut Account, resource: &str) -> Vec<Step> {
    let mut script = authenticate(world, peer, account);
    let request = Step::Bytes(bind(resource).into_bytes());
    let bound = say(world, peer, &request);
    assert!(bound.contains("</jid>"), "{bound}");
    script.push(request);
    script
}

/// What the server answers to this.
fn say(world: &mut World, peer: Peer, step: &Step) -> String {
    self::step(world, peer, step);
    String::from_utf8(world.take_received(peer)).expect("text")
}

/// Goes as far as the features of an authenticated stream, and returns what the client said.
fn authenticate(world: &mut World, peer: Peer, account: &mut Account) -> Vec<Step> {
    let mut script = Vec::new();
    let mut say = |step: Step| {
        let answer = say(world, peer, &step);
        script.push(step);
        answer
    };
    let bytes = |text: &str| Step::Bytes(text.as_bytes().to_vec());
    say(Step::Bytes(HEADER.to_vec()));
    say(bytes(STARTTLS));
    say(Step::Secured);
    say(Step::Bytes(HEADER.to_vec()));
    let challenge = say(bytes(&auth("SCRAM-SHA-256", &account.first(NONCE))));
    let (answer, proven) = scram(account, &challenge);
    let success = say(bytes(&response(&answer)));
    let last = content(&success, "success").expect("success");
    assert!(proven.holds(last), "{success}");
    say(Step::Bytes(HEADER.to_vec()));
    script
}

fn scram(account: &mut Account, challenge: &str) -> (String, Proven) {
    let challenge = content(challenge, "challenge").expect("a challenge");
    account.answer(NONCE, challenge).expect("a proof")
}

/// What a client asks to be authenticated with.
#[must_use]
pub fn auth(mechanism: &str, first: &str) -> String {
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{first}</auth>")
}

/// A client's answer to a challenge.
#[must_use]
pub fn response(answer: &str) -> String {
    format!("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{answer}</response>")
}

/// A client's request for its resource.
#[must_use]
pub fn bind(resource: &str) -> String {
    format!(
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <resource>{resource}</resource></bind></iq>"
    )
}

/// The text of the first element of this name.
#[must_use]
pub fn content<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = memmem::find(text.as_bytes(), format!("<{name}").as_bytes())?;
    let text = &text[start..];
    let text = &text[text.find('>')? + 1..];
    Some(&text[..text.find("</")?])
}

fn config(shards: u16, policy: Policy) -> Arc<Config> {
    let host = Domain::parse(HOST).expect("a valid name");
    let settings = HostConfig {
        archive: ArchiveOptions {
            policy,
            ..ArchiveOptions::default()
        },
        ..HostConfig::default()
    };
    Arc::new(Config {
        federation: spondee_core::federation::FederationOptions::isolated(),
        hosts: [(host, Host::Accounts(settings))].into(),
        limits: Limits::default(),
        server_secret: SECRET,
        shards,
        software: Software {
            name: "Spondee".to_owned(),
            version: "0".to_owned(),
        },
    })
}

fn address(name: &str) -> BareJid {
    BareJid::parse(&format!("{name}@{HOST}")).expect("an address")
}

/// What is kept of an account.
pub(crate) fn record(name: &str) -> (BareJid, Row) {
    let mut entropy = Entropy::new([1; 32]);
    let password = Secret::new(PASSWORD.as_bytes().to_vec());
    let jobs = DeriveParams::for_new_password(ROUNDS, &mut entropy);
    let keys = jobs.iter().map(|job| job.derive(&password)).collect();
    let credentials = Credentials::hashed(Status::Enabled, keys);
    (address(name), credentials.to_row(Dates::default()))
}
