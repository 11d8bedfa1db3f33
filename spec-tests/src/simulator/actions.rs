//! How each thing happens that can happen: the world moves, clients connect and speak. What goes wrong stands in `trouble.rs`.

use spondee_core::port::Opening;
use spondee_core::sasl::Mechanism;
use spondee_core::stanza::{IqType, Kind, MessageType, PresenceType};

use super::accounts::{NAMES, PASSWORDS, WRONG};
use super::client::{Client, Intent, MECHANISMS, Manner, Nature, Phase, Stage};
use super::content::{Content, Copying, Hint};
use super::lives::State;
use super::stanzas::{Question, Sent, To};
use super::weather::Action;
use super::{Disk, QUEUE_BYTES, Simulation, guesses};
use crate::memory::{Fate, Step};
use crate::talk::{bind_request, plain_auth};

/// How many connections there are at a time.
pub(super) const CLIENTS_MAX: usize = 14;

/// A message of those that somebody is flooded with.
const FLOOD_BYTES: usize = 4000;

/// A mark that nobody may ever read.
const FORGED: &str = "<mark xmlns='urn:example:mark' n='forged'/>";

/// What is no XML, or no stanza.
const BABBLE: [&str; 9] = [
    "<!-- -->",
    "<message><body></message>",
    "<message to='romeo@localhost'><body>&lol;</body></message>",
    "<x xmlns='urn:example:x'/>",
    "<stream:stream xmlns='jabber:client'>",
    "\u{0}",
    "hello",
    "<x:message/>",
    "]]>",
];

/// A stanza that would be many times as large if each child declared its namespace.
fn much_of_little() -> String {
    let uri = "u".repeat(1_000);
    let children = "<x/>".repeat(190);
    format!(
        "<c:message to='romeo@localhost' xmlns:c='jabber:client' xmlns='{uri}'>{children}</c:message>"
    )
}

impl Simulation {
    pub(super) fn perform(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Step => self.step(),
            Action::Listen => return self.listen_to_one(),
            Action::Connect => self.connect(),
            Action::Speak => self.speak(),
            Action::Contacts => self.keep_contacts(),
            Action::Befriend => self.befriend(),
            Action::Block => self.block(),
            Action::Copies => self.turn_copies(),
            Action::Consult => self.consult(),
            Action::Manage => self.manage(),
            Action::Lose => return self.lose(),
            Action::Return => self.come_back(),
            Action::CatchUp => self.catch_up(),
            Action::Probe => self.probe(),
            Action::Presence => self.presence(),
            Action::Leave => self.leave(),
            Action::Part => self.part(),
            Action::Misbehave => self.misbehave(),
            Action::Slow => self.slow(),
            Action::Cut => self.cut(),
            Action::Evict => self.evict(),
            Action::Command => self.command(),
            Action::StoreFault => return self.store_fault(),
            Action::Narrow => self.narrow(),
            Action::Elapse => self.elapse(),
            Action::Reload => self.reload(),
            Action::Shutdown => return self.shut_down(),
            Action::Crash => return self.crash(),
        }
        Ok(())
    }

    pub(super) fn step(&mut self) {
        let mut steps = self.world.steps();
        if self.disk == Disk::Stalled {
            let stalls =
                |step: &Step| matches!(step, Step::Commit(at) if self.world.is_change(*at));
            steps.retain(|step| !stalls(step));
        }
        if !steps.is_empty() {
            let step = self.random.pick(&steps);
            if let Step::Read(peer) = step
                && self.random.percent(50)
            {
                self.world.coalesce(peer);
            }
            self.trace.mix(&format!("{step:?}"));
            self.world.step(step);
        }
    }

    pub(super) fn listen_to_one(&mut self) -> Result<(), String> {
        let has_mail = |index: &usize| self.world.has_received(self.clients[*index].peer);
        let clients: Vec<usize> = self.active.iter().copied().filter(has_mail).collect();
        if !clients.is_empty() {
            let index = self.random.pick(&clients);
            self.listen(index)?;
        }
        Ok(())
    }

    fn connect(&mut self) {
        if self.active.len() >= CLIENTS_MAX {
            return;
        }
        let nature = match self.random.below(40) {
            0..=19 => Nature::Honest,
            20..=25 => Nature::Hasty,
            26 => Nature::Silent,
            27 => Nature::Quitter,
            28 => Nature::Early,
            29 => Nature::Guesser,
            30 => Nature::Careless,
            31 => Nature::Smuggler,
            32..=33 => Nature::Babbler,
            34..=36 => Nature::Forger,
            _ => Nature::Deaf,
        };
        let account = self.random.below(NAMES.len());
        let password = match self.random.below(8) {
            0 => self.random.pick(&PASSWORDS),
            _ => self.accounts.password(account).unwrap_or(PASSWORDS[0]),
        };
        let opening = match nature {
            Nature::Hasty => Opening::Tls,
            Nature::Careless | Nature::Smuggler => Opening::Clear,
            Nature::Honest
            | Nature::Silent
            | Nature::Quitter
            | Nature::Early
            | Nature::Guesser
            | Nature::Babbler
            | Nature::Forger
            | Nature::Deaf => self.random.pick(&[Opening::Clear, Opening::Tls]),
        };
        let mechanism = if nature == Nature::Hasty {
            Mechanism::Plain
        } else {
            self.random.pick(&MECHANISMS)
        };
        let resource = self.random.pick(&["a", "b", "c", "d"]).to_owned();
        let address = guesses::home(&mut self.random);
        self.connect_as(Intent {
            nature,
            account,
            password: if nature == Nature::Guesser {
                WRONG
            } else {
                password
            },
            resource,
            mechanism,
            opening,
            address,
            returns: None,
        });
    }

    /// A client connects and says what it says first.
    pub(super) fn connect_as(&mut self, intent: Intent) -> usize {
        let opening = intent.opening;
        let nature = intent.nature;
        let index = self.clients.len();
        let shard = self.random.below(usize::from(self.config.shards));
        self.note(format_args!(
            "client {index}, {intent:?}, connects to shard {shard}"
        ));
        let address = intent.address;
        let peer = self.world.connect_from(address, shard, opening);
        let accepted = self.world.now().mono;
        let manner = match self.former(&intent) {
            // What it sends again is written as it was.
            Some(old) => self.clients[old].manner,
            None if self.random.percent(20) => Manner::Prefixed,
            None => Manner::Plain,
        };
        self.clients
            .push(Client::new(peer, intent, manner, accepted));
        self.active.insert(index);
        if nature == Nature::Silent {
            return index;
        }
        if opening == Opening::Tls {
            self.world.secure(peer);
        }
        let client = &mut self.clients[index];
        let header = client.header();
        match nature {
            Nature::Hasty => {
                client.stage = Stage::Header(Phase::Tls);
                self.begin(index);
                let last = match self.clients[index].returns {
                    Some(_) => self.ask_to_resume(index),
                    None => {
                        self.wish(index);
                        bind_request(&self.clients[index].resource)
                    }
                };
                let words = self.clients[index].whole_sign_in(&last);
                self.say(index, &words);
            }
            Nature::Early => {
                let message = format!("{header}<message to='romeo@localhost'>{FORGED}</message>");
                self.say(index, &message);
            }
            Nature::Smuggler => {
                let user = NAMES[self.clients[index].account]
                    .split('@')
                    .next()
                    .unwrap_or_default();
                let auth = plain_auth(user, self.clients[index].password);
                let bind = bind_request("smuggled");
                let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
                self.say(
                    index,
                    &format!("{header}{starttls}{header}{auth}{header}{bind}"),
                );
            }
            Nature::Honest
            | Nature::Silent
            | Nature::Quitter
            | Nature::Guesser
            | Nature::Careless
            | Nature::Babbler
            | Nature::Forger
            | Nature::Deaf => self.say(index, &header),
        }
        index
    }

    /// A client writes; the network cuts it into pieces.
    pub(super) fn say(&mut self, index: usize, words: &str) {
        if words.is_empty() {
            return;
        }
        let peer = self.clients[index].peer;
        if self.world.ended(peer).is_none() {
            let now = self.world.now().mono;
            let client = &mut self.clients[index];
            client.silence = client.silence.max(now.since(client.wrote));
            client.wrote = now;
        }
        let shown: String = words.chars().take(160).collect();
        self.note(format_args!("client {index} says {shown}"));
        self.trace.mix(words);
        let mut rest = words.as_bytes();
        if self.random.percent(40) {
            for _ in 0..self.random.below(5) {
                let (piece, tail) = rest.split_at(self.random.below(rest.len() + 1));
                if !piece.is_empty() {
                    self.world.write(peer, piece);
                }
                rest = tail;
            }
        }
        if !rest.is_empty() {
            self.world.write(peer, rest);
        }
    }

    /// Those who are bound.
    pub(super) fn sessions(&self, of: impl Fn(Nature) -> bool) -> Vec<usize> {
        let session = |index: &usize| {
            let client = &self.clients[*index];
            client.jid().is_some() && of(client.nature)
        };
        self.active.iter().copied().filter(session).collect()
    }

    fn speak(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if !sessions.is_empty() {
            let index = self.random.pick(&sessions);
            self.speak_as(index);
        }
    }

    pub(super) fn speak_as(&mut self, index: usize) {
        let known: Vec<&str> = self.ledger.lives.iter().map(|life| life.jid()).collect();
        let own = self.clients[index].account;
        let (kind, to, question) = Sent::any(&mut self.random, &known, own);
        self.send(index, kind, to, question, None);
    }

    fn presence(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        self.tell_presence(index);
    }

    fn tell_presence(&mut self, index: usize) {
        let (kind, priority) = match self.random.below(8) {
            0 => (PresenceType::Unavailable, None),
            1 => (PresenceType::Available, Some(-1)),
            2 => (PresenceType::Available, Some(5)),
            _ => (PresenceType::Available, Some(0)),
        };
        self.announce(index, kind, priority);
    }

    /// It tells everybody.
    pub(super) fn announce(&mut self, index: usize, kind: PresenceType, priority: Option<i8>) {
        if let Some(life) = self.ledger.life(index) {
            life.becomes(self.now, State::Bound(priority));
        }
        let what = (Kind::Presence(kind), To::Unsaid, Question::Unknown, None);
        self.send_with(index, what, Content::default(), priority);
    }

    fn leave(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        self.leave_as(index);
    }

    pub(super) fn leave_as(&mut self, index: usize) {
        let now = self.now;
        if let Some(life) = self.ledger.life(index) {
            life.ends(now);
        }
        let words = self.last_words(index, "good-bye");
        self.clients[index].stage = Stage::Leaving;
        self.say(index, &(words + "</stream:stream>"));
    }

    /// Stanzas and the end of the stream, of the connection, or of both, to be read at once: none of them may be lost because of it.
    fn part(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        for _ in 0..=self.random.below(4) {
            match self.random.below(3) {
                0 => self.ask_for_contacts(index),
                1 => self.manage_subscription(index),
                _ => self.speak_as(index),
            }
        }
        let hangs_up = self.random.percent(40);
        if !hangs_up || self.random.percent(50) {
            self.leave_as(index);
        }
        self.counts.partings += 1;
        self.world.coalesce(self.clients[index].peer);
        if hangs_up {
            // Late, so that others come in between.
            if self.random.percent(50) {
                self.world.fates.push_front(Fate::Delayed(60));
            }
            self.note(format_args!("client {index} closes its connection"));
            self.world.hang_up(self.clients[index].peer);
            self.parted.insert(index);
            self.vanish(index);
            self.look_for(index);
        }
    }

    /// Others ask for somebody who has just gone: they are answered, whoever is there.
    fn look_for(&mut self, gone: usize) {
        let sessions = self.sessions(|nature| nature == Nature::Honest);
        if sessions.is_empty() {
            return;
        }
        let bare = NAMES[self.clients[gone].account];
        for _ in 0..self.random.below(4) {
            let index = self.random.pick(&sessions);
            let to = match self.random.percent(50) {
                true => To::Bare(bare.to_owned()),
                false => To::Full(format!("{bare}/gone")),
            };
            let kind = Kind::Iq(IqType::Get);
            self.send(index, kind, to, Question::Unknown, None);
        }
    }

    /// What those who do not mean well do once they are bound.
    fn misbehave(&mut self) {
        let sessions = self
            .sessions(|nature| matches!(nature, Nature::Babbler | Nature::Forger | Nature::Deaf));
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        let nature = self.clients[index].nature;
        if nature == Nature::Babbler {
            let words = match self.random.percent(10) {
                true => much_of_little(),
                false => self.random.pick(&BABBLE).to_owned(),
            };
            self.say(index, &words);
        } else if nature == Nature::Forger {
            self.forge(index);
        } else {
            self.flood(index);
        }
    }

    /// What it sends is its own, whomever it says it is from (RFC 6120 §8.1.2.1).
    fn forge(&mut self, index: usize) {
        let other = self.random.pick(&NAMES);
        let from = match self.random.below(4) {
            0 => format!("{other}/forged"),
            1 => format!("{}/forged", NAMES[self.clients[index].account]),
            2 => "localhost".to_owned(),
            _ => "@".to_owned(),
        };
        let to = To::Bare(self.random.pick(&NAMES).to_owned());
        let kind = Kind::Message(MessageType::Normal);
        let what = (kind, to, Question::Unknown, None);
        self.send_as(index, Some(&from), what, Content::default(), None);
    }

    /// A client reads no more, and somebody sends it more than it may leave unread.
    fn flood(&mut self, index: usize) {
        let peer = self.clients[index].peer;
        self.world.stop_taking(peer);
        self.loses(index);
        self.note(format_args!("client {index} reads no more"));
        let to = self.clients[index]
            .jid()
            .map(str::to_owned)
            .unwrap_or_default();
        let senders = self.sessions(|nature| nature == Nature::Honest);
        if senders.is_empty() {
            return;
        }
        let sender = self.random.pick(&senders);
        self.flooded.insert(to.clone());
        let content = Content {
            text: "x".repeat(FLOOD_BYTES),
            hint: Hint::NoStore,
            copying: Copying::Private,
            ..Content::default()
        };
        for _ in 0..self.random.below(2 * QUEUE_BYTES / FLOOD_BYTES) {
            let what = (
                Kind::Message(MessageType::Normal),
                To::Full(to.clone()),
                Question::Unknown,
                None,
            );
            self.send_with(sender, what, content.clone(), None);
        }
    }
}
