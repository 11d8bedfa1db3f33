//! How presence is seen, and what the oracles say to it.

use std::collections::BTreeMap;

use spondee_core::stanza::{Kind, PresenceType};

use super::Simulation;
use super::accounts::NAMES;
use super::client::{Nature, Stage};
use super::lives::{Attention, Life, Name, State};
use super::rosters::Toward;
use super::sight::{Around, Own, Presence};
use super::stanzas::{Question, To, is_of, mark};
use super::subscriptions::account_of;
use crate::element::Element;

impl Simulation {
    /// Whether anything between two accounts makes presence come and go.
    pub(super) fn stirred(&self, one: usize, two: usize) -> bool {
        one != two && (self.subscriptions.stirred(one, two) || self.blocks.between(one, two))
    }

    /// Whether a client was without a connection lately, or nobody looked at it.
    pub(super) fn was_muted(&self, index: usize) -> bool {
        let mut lives = self.ledger.lives.iter();
        let rest = self.ledger.rest;
        lives.any(|life| life.client == index && life.was_muted(rest))
    }

    /// A client asks how available somebody is.
    pub(super) fn probe(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        let to = match self.random.percent(50) {
            true => To::Bare(self.random.pick(&NAMES).to_owned()),
            false => {
                let known: Vec<&str> = self.ledger.lives.iter().map(Life::jid).collect();
                To::Full(self.random.pick(&known).to_owned())
            }
        };
        let kind = Kind::Presence(PresenceType::Probe);
        self.send(index, kind, to, Question::Unknown, None);
    }

    /// A client sends a stanza: what it says of its availability, and whom it asks for theirs.
    pub(super) fn note_announced(
        &mut self,
        index: usize,
        number: u32,
        kind: Kind,
        to: Option<&str>,
    ) {
        match (kind, to) {
            (Kind::Presence(PresenceType::Available), to) => {
                self.watches.announced.available(index, number, to);
                if to.is_none() {
                    self.watches.announced.last.insert(index, number);
                }
            }
            (Kind::Presence(PresenceType::Unavailable), None) => {
                self.watches.announced.last.insert(index, number);
            }
            (Kind::Presence(PresenceType::Probe), Some(to)) => {
                let bare = to.split('/').next().unwrap_or_default();
                if let Some(other) = account_of(bare) {
                    self.watches.probed(self.now, index, other);
                }
            }
            _ => {}
        }
    }

    /// A client sees somebody's presence.
    pub(super) fn sees(&mut self, index: usize, stanza: &Element) -> Result<(), String> {
        let available = is_of(stanza, Kind::Presence(PresenceType::Available));
        if !available && !is_of(stanza, Kind::Presence(PresenceType::Unavailable)) {
            return Ok(());
        }
        let from = stanza.attribute("from").unwrap_or_default();
        let bare = from.split('/').next().unwrap_or_default();
        let fail = |what: &str| Err(format!("client {index} got {stanza}, {what}"));
        let Some(other) = account_of(bare).filter(|_| from != bare) else {
            return fail("which is from nobody");
        };
        let presence = match mark(stanza) {
            None => Presence::Bare,
            Some(mark) => {
                let said = mark.strip_prefix('c').and_then(|mark| mark.split_once('-'));
                let said = said.and_then(|(by, n)| Some((by.parse().ok()?, n.parse().ok()?)));
                let Some((by, number)) = said else {
                    return fail("which nobody said");
                };
                match self.ledger.is_broadcast(mark) {
                    true => Presence::Broadcast(by, number),
                    false => Presence::Directed(by, number),
                }
            }
        };
        if let Presence::Broadcast(by, number) = presence
            && by == index
        {
            let own = match available {
                true => Own::Available,
                false => Own::Connected,
            };
            self.watches.echo(index, own, number);
            if self.was_muted(index) {
                // What came of others before may have come behind.
                for name in NAMES {
                    self.watches.forget(index, name);
                    self.ledger.forget(index, name);
                }
            }
            if !available {
                return Ok(());
            }
        }
        let account = self.clients[index].account;
        let own_name = NAMES[account];
        let lives = self.ledger.lives.iter().filter(|life| life.may_be(from));
        let holders: Vec<usize> = lives.map(|life| life.client).collect();
        let may_share = self.subscriptions.may_share(account, other);
        let told = self.rosters.told(index, bare);
        let around = Around {
            account,
            other,
            shares: account == other
                || may_share && told.is_none_or(|(toward, _)| toward == Toward::Subscribed),
            may_share,
            directed: self.ledger.directed_from(&holders, self.ledger.name(index)),
            stirred: self.stirred(account, other),
            holders: &holders,
            own_name,
            muted: self.was_muted(index),
        };
        // Its own list acts first.
        if self.blocks.firmly(other, account) && account != other {
            return fail("from somebody who blocked it");
        }
        let fault = match available {
            true => self.watches.rises(index, from, presence, &around),
            false => self.watches.sets(index, from, presence, &around),
        };
        fault.map_err(|fault| format!("client {index} got {stanza}, {fault}"))
    }

    /// At rest: everybody who is to see somebody sees what was said last, and nobody sees anybody else. `stirred` tells between whom
    /// anything changed until now.
    #[expect(
        clippy::too_many_lines,
        reason = "one case after the other, each a few lines"
    )]
    pub(super) fn judge_sights(
        &mut self,
        stirred: &dyn Fn(usize, usize) -> bool,
    ) -> Result<(), String> {
        let reads = |life: &&Life| {
            let client = &self.clients[life.client];
            life.attention == Attention::Reads
                && client.nature != Nature::Deaf
                && matches!(client.stage, Stage::Session(_))
                && self.world.ended(client.peer).is_none()
        };
        let mut void = Vec::new();
        let lives: Vec<&Life> = self
            .ledger
            .lives
            .iter()
            .filter(|life| !life.is_over())
            .collect();
        for life in lives.iter().copied().filter(reads) {
            if !matches!(life.state(), State::Bound(Some(_))) {
                continue;
            }
            let (client, account) = (life.client, life.account);
            for (other, name) in NAMES.iter().enumerate() {
                let shares = self.subscriptions.shares(account, other);
                let stirred = stirred(account, other);
                if self.watches.is_void(client, name) {
                    // What it was told aside may be over for the same reason.
                    if stirred && shares != Some(true) {
                        void.push((client, *name));
                    }
                    continue;
                }
                let seen = self.watches.seen(client, name);
                let firmly =
                    self.blocks.firmly(account, other) || self.blocks.firmly(other, account);
                if account != other && firmly && !seen.is_empty() {
                    return Err(format!("client {client} sees {seen:?}, who is blocked"));
                }
                let blocked = self.blocks.between(account, other);
                let (Some(shares), false) = (shares, blocked) else {
                    void.push((client, *name));
                    continue;
                };
                let others = lives.iter().copied().filter(|life| life.account == other);
                let (sure, unsure): (Vec<&Life>, Vec<&Life>) = others.partition(|life| reads(life));
                let mut expected = BTreeMap::new();
                for life in sure {
                    if let (State::Bound(Some(_)), Name::Known(jid)) = (life.state(), &life.name)
                        && shares
                    {
                        let last = self.watches.announced.last.get(&life.client).copied();
                        expected.insert(jid.as_str(), last.unwrap_or_default());
                    }
                }
                for (jid, last) in &expected {
                    let merged = self.watches.was_told_since(client, jid, *last);
                    if seen.get(jid) != Some(last)
                        && !merged
                        && !self.faults.presence_came_back(jid, NAMES[account])
                    {
                        return Err(format!(
                            "client {client}, {}, should see {jid} as it said in c..-{last}, but sees {seen:?}",
                            life.jid()
                        ));
                    }
                }
                for jid in seen.keys().filter(|jid| !expected.contains_key(*jid)) {
                    let holders = lives.iter().filter(|life| life.may_be(jid));
                    let holders: Vec<usize> = holders.map(|life| life.client).collect();
                    let excused = self.ledger.directed_from(&holders, life.jid()) > 0
                        || self.ledger.withdrawn.contains(&client)
                            && self.ledger.was_directed(jid, life.jid())
                        || unsure.iter().any(|life| life.may_be(jid))
                        || self.is_waited_for(jid)
                        || self.faults.presence_came_back(jid, NAMES[account])
                        || stirred;
                    if !excused {
                        return Err(format!("client {client}, {}, still sees {jid}", life.jid()));
                    }
                }
                if stirred && !shares {
                    void.push((client, *name));
                }
            }
        }
        for (client, name) in void {
            self.watches.forget(client, name);
            self.ledger.forget(client, name);
        }
        Ok(())
    }
}
