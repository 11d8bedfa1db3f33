//! How clients ask for their rosters and change them.

use super::super::Simulation;
use super::super::accounts::NAMES;
use super::super::client::{Nature, Stage};
use super::super::lives::Attention;
use super::super::stanzas::{Question, Sent, To, mark};
use super::{ROSTER, Request, Wish};
use crate::element::{CLIENT, Element};

impl Simulation {
    /// A device asks for its roster or changes it, perhaps with something behind it in the same breath.
    pub(in super::super) fn keep_contacts(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        for _ in 0..=self.random.below(3) {
            self.ask_for_contacts(index);
            if self.random.percent(30) {
                self.speak_to_own(index);
            }
        }
        if self.random.percent(50) {
            self.world.coalesce(self.clients[index].peer);
        }
    }

    /// Whatever it may ask of its roster.
    pub(in super::super) fn ask_for_contacts(&mut self, index: usize) {
        let client = &self.clients[index];
        let (account, next) = (client.account, client.sent + 1);
        let mark = format!("c{index}-{next}");
        let wish = self.rosters.wish(&mut self.random, account, &mark);
        self.ask_roster(index, wish);
    }

    fn ask_roster(&mut self, index: usize, wish: Wish) {
        let account = self.clients[index].account;
        let to = match self.random.percent(20) {
            true => To::Bare(NAMES[account].to_owned()),
            false => To::Unsaid,
        };
        match wish {
            Wish::Get(_) => self.counts.roster_gets += 1,
            Wish::Set(..) | Wish::Remove(_) | Wish::Bad(..) => self.counts.roster_sets += 1,
        }
        let what = (wish.kind(), to, Question::Kept, None);
        self.send_with(index, what, wish.payload().into(), None);
        let number = self.clients[index].sent;
        let request = Request {
            by: index,
            account,
            number,
            at: self.now,
            wish,
        };
        let id = format!("c{index}-{number}");
        if let Wish::Remove(jid) = &request.wish {
            let jid = (*jid).to_owned();
            let by = (index, number);
            self.subscriptions.removed(self.now, &id, account, &jid, by);
        }
        self.rosters.asked(self.now, id, request);
    }

    /// It reads its roster.
    pub(in super::super) fn read_roster(&mut self, index: usize) {
        self.ask_roster(index, Wish::Get(None));
    }

    /// A message to itself or another device, which hear of the change first.
    fn speak_to_own(&mut self, index: usize) {
        let account = self.clients[index].account;
        let own = self.sessions(|_| true).into_iter();
        let own = own.filter(|other| self.clients[*other].account == account);
        let to = self.random.pick(&own.collect::<Vec<_>>());
        let to = self.clients[to].jid().unwrap_or_default().to_owned();
        let kind = spondee_core::stanza::Kind::Message(spondee_core::stanza::MessageType::Normal);
        self.send(index, kind, To::Full(to), Question::Unknown, None);
    }

    /// What a client hears of its roster. Whether that was all there is to it.
    pub(in super::super) fn heard_of_contacts(
        &mut self,
        index: usize,
        stanza: &Element,
    ) -> Result<bool, String> {
        if let Some(mark) = mark(stanza) {
            let number = Sent::number_of(mark, index);
            if number.is_some_and(|number| self.rosters.waits(index, number)) {
                return Err(format!(
                    "client {index} got {stanza} before what it asked first"
                ));
            }
            return Ok(false);
        }
        if stanza.name != "iq" || stanza.ns != CLIENT {
            return Ok(false);
        }
        match stanza.attribute("type") {
            Some("set") if stanza.child(ROSTER, "query").is_some() => {
                self.counts.pushes += 1;
                // RFC 6121 §2.1.6: from the account itself, said or not.
                let from = stanza.attribute("from");
                let own = NAMES[self.clients[index].account];
                if from.is_some_and(|from| from != own) {
                    return Err(format!(
                        "client {index} got {stanza}, a push of somebody else"
                    ));
                }
                let to = stanza.attribute("to");
                if to.is_some_and(|to| to != self.ledger.name(index)) {
                    return Err(format!(
                        "client {index} got {stanza}, a push to somebody else"
                    ));
                }
                let last = |by| self.ledger.last(by, index);
                let (jid, bond) = self.rosters.pushed(self.now, index, stanza, last)?;
                self.subscriptions.pushed(index, &jid, bond)?;
                Ok(true)
            }
            Some("result" | "error") => {
                let now = self.now;
                self.rosters.answered(now, index, stanza, &self.faults)?;
                let id = stanza.attribute("id").unwrap_or_default();
                let done = stanza.attribute("type") == Some("result");
                self.subscriptions.answered(now, id, Some(done));
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// At rest: one device of each account reads its roster, and all others must have the same.
    pub(in super::super) fn judge_rosters(&mut self) -> Result<(), String> {
        self.rosters.settle(self.now);
        self.now += 1;
        let mut readers = Vec::new();
        for account in 0..NAMES.len() {
            let there = self.devices_of(account);
            if !there.is_empty() {
                let index = self.random.pick(&there);
                self.ask_roster(index, Wish::Get(None));
                readers.push(index);
            }
        }
        self.exhaust()?;
        self.wait_for_slowed()?;
        for index in readers {
            let there = self.devices_of(self.clients[index].account);
            if there.contains(&index) {
                self.rosters.judge(self.now, index, &there)?;
            }
        }
        self.now += 1;
        Ok(())
    }

    /// Sessions that read whatever comes.
    pub(in super::super) fn devices_of(&self, account: usize) -> Vec<usize> {
        let reads = |index: &usize| {
            let client = &self.clients[*index];
            let mut lives = self.ledger.lives.iter();
            let life = lives.find(|life| life.client == *index);
            client.account == account
                && client.nature != Nature::Deaf
                && matches!(client.stage, Stage::Session(_))
                && self.world.ended(client.peer).is_none()
                && life.is_some_and(|life| life.attention == Attention::Reads)
        };
        self.active.iter().copied().filter(reads).collect()
    }
}
