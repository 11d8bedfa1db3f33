//! What a client does about what it read, and what the oracles say to it.

use super::Simulation;
use super::accounts::NAMES;
use super::client::{Heard, Nature, Stage};
use super::content::Content;
use super::kept::MAM;
use super::lives::{Attention, Life};
use super::rosters::ROSTER;
use super::scales::wrapped;
use super::sm::{Death, News};
use super::stanzas::{Question, Receipt, Sent, To, mark};
use crate::element::{CLIENT, Element};
use spondee_core::stanza::{IqType, Kind, MessageType};

impl Simulation {
    /// A client reads what arrived. Whether there was anything.
    pub(super) fn listen(&mut self, mut index: usize) -> Result<bool, String> {
        let bytes = self.world.take_received(self.clients[index].peer);
        if bytes.is_empty() {
            return Ok(false);
        }
        self.clients[index].push(&bytes);
        let mut last = None;
        loop {
            let heard = self.clients[index].next();
            let heard = heard.map_err(|fault| format!("client {index}: {fault}"))?;
            let Some(heard) = heard else {
                self.judge_waking(index, last.as_ref())?;
                return Ok(true);
            };
            if let Heard::Stanza(stanza, _) = &heard {
                last = Some(stanza.clone());
            }
            self.react(index, heard)?;
            if let Stage::Moved(to) = self.clients[index].stage {
                self.clients[index].stage = Stage::Over;
                index = to;
            } else if matches!(self.clients[index].stage, Stage::Asleep) {
                return Ok(true);
            }
        }
    }

    fn react(&mut self, index: usize, heard: Heard) -> Result<(), String> {
        let waits = self.clients[index].nature != Nature::Hasty;
        match heard {
            Heard::Nothing => {}
            Heard::Say(words) if waits => self.say(index, &words),
            Heard::Secure(words) => {
                self.world.secure(self.clients[index].peer);
                self.say(index, &words);
            }
            Heard::Begin(words) if waits => {
                self.begin(index);
                self.say(index, &words);
                if self.clients[index].nature == Nature::Quitter {
                    self.clients[index].stage = Stage::Over;
                }
            }
            Heard::Bind(words) if waits => {
                self.wish(index);
                self.say(index, &words);
            }
            Heard::Say(_) | Heard::Begin(_) | Heard::Bind(_) => {}
            Heard::SignedIn(words) => {
                self.signed_in(index)?;
                if waits {
                    self.say(index, &words);
                }
            }
            Heard::SignInFailed(condition) => self.sign_in_failed(index, &condition)?,
            Heard::Bound(jid) => {
                self.counts.sessions += 1;
                self.note(format_args!("client {index} is {jid}"));
                self.ledger.bound(self.now, index, &jid)?;
                self.may_manage(index);
            }
            Heard::Resume if waits => {
                let words = self.ask_to_resume(index);
                self.say(index, &words);
            }
            Heard::Resume => {}
            Heard::Managed(element) => self.heard_of_management(index, &element)?,
            Heard::BindRefused(condition) => self.bind_refused(index, &condition)?,
            Heard::Stanza(stanza, size) => {
                // Of what an account keeps comes what was kept, not what was sent for it.
                let of_account = stanza.child(ROSTER, "query").is_some()
                    || stanza.children().any(|child| child.is(MAM, "prefs"));
                if !of_account {
                    self.scales.heard(&stanza, size)?;
                }
                if self.counts_in(index, &stanza)? == News::Yes {
                    self.heard(index, &stanza)?;
                }
            }
            Heard::Failed(condition) => self.failed(index, &condition)?,
            Heard::Closed => self.closed(index)?,
        }
        Ok(())
    }

    /// Its sign-in begins.
    pub(super) fn begin(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.began = self.now;
        let (account, address) = (client.account, client.address);
        self.accounts.begin(account, address, client.password);
    }

    /// From here on somebody may have that address.
    pub(super) fn wish(&mut self, index: usize) {
        let client = &self.clients[index];
        let jid = format!("{}/{}", NAMES[client.account], client.resource);
        self.ledger
            .lives
            .push(Life::new(index, client.account, jid, self.now));
    }

    fn signed_in(&mut self, index: usize) -> Result<(), String> {
        let client = &mut self.clients[index];
        client.signed = self.now;
        let (account, password) = (client.account, client.password);
        let address = client.address;
        let window = (client.began, self.now);
        if matches!(
            client.nature,
            Nature::Careless | Nature::Smuggler | Nature::Guesser
        ) {
            return Err(format!("client {index}, {:?}, signed in", client.nature));
        }
        self.note(format_args!(
            "client {index} signed in to {}",
            NAMES[account]
        ));
        self.accounts.signed_in(window, account, address, password)
    }

    fn sign_in_failed(&mut self, index: usize, condition: &str) -> Result<(), String> {
        self.note(format_args!("client {index} cannot sign in: {condition}"));
        let client = &self.clients[index];
        let window = (client.began, self.now);
        if client.nature != Nature::Careless || condition != "encryption-required" {
            let whose = (client.account, client.address);
            self.accounts
                .refused(window, whose, client.password, condition, &self.faults)?;
        }
        if self.clients[index].nature == Nature::Guesser {
            if let Heard::Begin(words) = self.clients[index].begin() {
                self.begin(index);
                self.say(index, &words);
            }
            return Ok(());
        }
        self.give_up(index);
        Ok(())
    }

    fn bind_refused(&mut self, index: usize, condition: &str) -> Result<(), String> {
        self.note(format_args!("client {index} cannot bind: {condition}"));
        let account = self.clients[index].account;
        let rest = self.ledger.rest;
        let excused = match condition {
            "conflict" => true, // the policy may say so, and others of the account are there: judged by its absence
            "not-allowed" => {
                self.faults.reload_since(rest)
                    || self.accounts.excuses(account, rest, "not-authorized")
                    || self.accounts.excuses(account, rest, "reset")
            }
            _ => false,
        };
        if !excused {
            return Err(format!("client {index} cannot bind: {condition}"));
        }
        self.give_up(index);
        Ok(())
    }

    /// The client closes its connection: there is nothing more for it here.
    pub(super) fn give_up(&mut self, index: usize) {
        let (rest, peer) = (self.ledger.rest, self.clients[index].peer);
        self.abandon(index);
        self.clients[index].stage = Stage::Over;
        if let Some(life) = self.ledger.life(index) {
            life.ends(rest);
        }
        self.world.hang_up(peer);
    }

    fn heard(&mut self, index: usize, stanza: &Element) -> Result<(), String> {
        match mark(stanza) {
            Some(_) => self.counts.deliveries += 1,
            None => self.counts.answers += 1,
        }
        self.trace.mix(&stanza.to_string());
        self.note(format_args!(
            "client {index} gets {} {} {} from {}",
            stanza.name,
            stanza.attribute("type").unwrap_or_default(),
            mark(wrapped(stanza).unwrap_or(stanza))
                .or_else(|| stanza.attribute("id"))
                .unwrap_or_default(),
            stanza.attribute("from").unwrap_or_default(),
        ));
        self.acknowledge(index, stanza);
        if !self.heard_of_kept(index, stanza)?
            && !self.heard_of_blocks(index, stanza)?
            && !self.heard_of_contacts(index, stanza)?
            && !self.heard_of_subscriptions(index, stanza)?
        {
            self.ledger.heard(index, stanza)?;
            self.sees(index, stanza)?;
        }
        let asked = stanza.name == "iq"
            && stanza.ns == CLIENT
            && matches!(stanza.attribute("type"), Some("get" | "set"));
        let session = matches!(self.clients[index].stage, Stage::Session(_));
        if asked && session && self.random.percent(90) {
            let to = stanza.attribute("from");
            let to = to.map_or(To::Unsaid, |from| To::Full(from.to_owned()));
            let id = stanza.attribute("id").unwrap_or_default().to_owned();
            let kind = match self.random.percent(80) {
                true => Kind::Iq(IqType::Result),
                false => Kind::Iq(IqType::Error),
            };
            self.send(index, kind, to, Question::Unknown, Some(id));
        }
        Ok(())
    }

    /// What a client hears of what it sent tells that what it sent before was done.
    fn acknowledge(&mut self, index: usize, stanza: &Element) {
        let own = mark(stanza).or_else(|| stanza.attribute("id"));
        if let Some(number) = own.and_then(|own| Sent::number_of(own, index)) {
            self.was_done(index, number);
            self.heard_state(index, number);
        }
    }

    /// What a client sent before what has this number was done at its account.
    pub(super) fn was_done(&mut self, index: usize, number: u32) {
        let faults = &self.faults;
        let account = NAMES[self.clients[index].account];
        let held = |since| faults.store_since(since, account);
        self.subscriptions
            .acknowledged(self.now, index, number, &held);
    }

    /// A session sends this.
    pub(super) fn send(
        &mut self,
        index: usize,
        kind: Kind,
        to: To,
        question: Question,
        id: Option<String>,
    ) {
        let body = super::stanzas::body(&mut self.random);
        let content = match kind {
            Kind::Message(MessageType::Error | MessageType::Groupchat)
            | Kind::Iq(_)
            | Kind::Presence(_) => body.into(),
            Kind::Message(_) => Content::any(&mut self.random, body),
        };
        self.send_with(index, (kind, to, question, id), content, None);
    }

    /// A session sends this, with all that can be said of it.
    pub(super) fn send_with(
        &mut self,
        index: usize,
        what: (Kind, To, Question, Option<String>),
        content: Content,
        priority: Option<i8>,
    ) {
        let from = match self.random.below(10) {
            0 => self.clients[index].jid().map(str::to_owned),
            1 => Some(NAMES[self.clients[index].account].to_owned()),
            _ => None,
        };
        self.send_as(index, from.as_deref(), what, content, priority);
    }

    /// A session sends this and says that it is from there.
    pub(super) fn send_as(
        &mut self,
        index: usize,
        from: Option<&str>,
        (kind, to, question, id): (Kind, To, Question, Option<String>),
        content: Content,
        priority: Option<i8>,
    ) {
        self.counts.stanzas += 1;
        let clock = self.clock();
        let client = &mut self.clients[index];
        client.sent += 1;
        let mark = format!("c{index}-{}", client.sent);
        let sent = Sent {
            id: id.unwrap_or_else(|| mark.clone()),
            mark,
            by: index,
            number: client.sent,
            at: self.now,
            kind,
            to,
            question,
            content,
            from: self.ledger.name(index).to_owned(),
            clock,
            delivered: Vec::new(),
            spooled: Vec::new(),
            copied: Vec::new(),
            answers: Vec::new(),
            receipt: Receipt::None,
            lapsed: Vec::new(),
        };
        let manner = self.clients[index].manner;
        let xml = sent.xml(from, priority, manner);
        for name in [&sent.mark, &sent.id] {
            self.scales.sent(name, &xml);
        }
        let (number, kind) = (sent.number, sent.kind);
        let to = sent.to.address().map(str::to_owned);
        if !self.notes_subscription(&sent) {
            self.ledger.sent(sent);
            self.note_announced(index, number, kind, to.as_deref());
        }
        if let Some(managed) = &mut self.clients[index].managed {
            managed.sends(number, &xml);
        }
        self.say(index, &xml);
    }

    /// The server ended the client's stream with an error: it must have had a reason.
    fn failed(&mut self, index: usize, condition: &str) -> Result<(), String> {
        self.note(format_args!("client {index} is thrown out: {condition}"));
        if !self.excused(index, condition) {
            let client = &self.clients[index];
            return Err(format!(
                "client {index}, {:?} at {:?}, was thrown out for no reason: {condition}",
                client.nature, client.stage
            ));
        }
        let strained = condition == "resource-constraint" && self.is_kept_asleep(index);
        if strained && let Some(managed) = &mut self.clients[index].managed {
            managed.strained = true;
        }
        if condition == "conflict" && self.was_abandoned(index) || strained {
            // It was resumed by a request that its client had given up, or read too little.
            self.world.hang_up(self.clients[index].peer);
            self.sleeps(index);
            return Ok(());
        }
        let rest = self.ledger.rest;
        self.ledger.read_out.insert(index);
        if let Some(life) = self.ledger.life(index) {
            life.ends(rest);
        }
        let words = self.last_words(index, condition);
        self.abandon(index);
        self.clients[index].stage = Stage::Over;
        if self.random.percent(50) {
            self.say(index, &(words + "</stream:stream>"));
        } else {
            self.say(index, &words);
            self.world.hang_up(self.clients[index].peer);
        }
        self.dies(index, Death::Over);
        Ok(())
    }

    fn excused(&self, index: usize, condition: &str) -> bool {
        let client = &self.clients[index];
        let rest = self.ledger.rest;
        let session = matches!(client.stage, Stage::Session(_) | Stage::Leaving);
        let age = self.world.now().mono.since(client.accepted);
        let nature = client.nature;
        match condition {
            "conflict" if client.returns.is_some() || self.was_abandoned(index) => true,
            "conflict" => {
                let jid = self.ledger.name(index);
                let other = |life: &Life| life.client != index && life.may_be(jid);
                session && self.ledger.lives.iter().any(other)
            }
            "reset" => self.accounts.excuses(client.account, rest, condition),
            "not-authorized" => {
                nature == Nature::Early
                    || nature == Nature::Hasty && !session
                    || self.accounts.excuses(client.account, rest, condition)
            }
            "host-gone" | "host-unknown" => {
                self.faults.served(NAMES[client.account], rest) != super::faults::Served::Yes
            }
            "system-shutdown" => self.faults.shutdown_since(rest),
            "connection-timeout" => !session && age >= self.config.limits.until_tls,
            "resource-constraint" => {
                client.must_go()
                    || client.peak >= super::QUEUE_BYTES / 2
                    || self.flooded.contains(self.ledger.name(index))
                    || self.may_lack_room(index)
                    || !session && age >= self.config.limits.until_tls
            }
            "undefined-condition" => self.lied(index),
            "policy-violation" if nature == Nature::Babbler => session,
            "policy-violation" => nature == Nature::Guesser,
            // The header of a stream that should have been restarted.
            "restricted-xml" if nature == Nature::Hasty => !session,
            // What its account keeps could not be read, or its last change may have taken effect or not.
            "internal-server-error" => self.faults.store_since(rest, NAMES[client.account]),
            _ => nature == Nature::Babbler,
        }
    }

    fn closed(&mut self, index: usize) -> Result<(), String> {
        let rest = self.ledger.rest;
        let client = &mut self.clients[index];
        match std::mem::replace(&mut client.stage, Stage::Over) {
            Stage::Leaving => {
                self.ledger.left.insert(index);
                self.ledger.read_out.insert(index);
                self.is_heard(index);
            }
            Stage::Over => {}
            stage @ (Stage::Header(_)
            | Stage::Proceed
            | Stage::Challenge(_)
            | Stage::Outcome(_)
            | Stage::Bind
            | Stage::Resume
            | Stage::Asleep
            | Stage::Moved(_)
            | Stage::Session(_)) => {
                return Err(format!("client {index} is hung up on at {stage:?}"));
            }
        }
        if let Some(life) = self.ledger.life(index) {
            life.ends(rest);
        }
        self.dies(index, Death::Over);
        Ok(())
    }

    /// The client will read no more, or may have missed something.
    pub(super) fn loses(&mut self, index: usize) {
        if let Some(life) = self.ledger.life(index) {
            life.attention = Attention::Loses;
        }
    }
}
