//! Oracle: what must hold when nothing is under way any more, and at the end of a run.

use std::time::Duration;

use spondee_core::limits::{FLOW_PATIENCE, LEAVE_AGAIN, LEAVE_TRIES, LOAD_AGAIN};
use spondee_core::port::Opening;
use spondee_core::sasl::Mechanism;
use spondee_core::stanza::PresenceType;

use super::accounts::{NAMES, PASSWORDS};
use super::client::{Intent, Nature, Stage};
use super::faults::Credit;
use super::judge::Circumstances;
use super::kept::{Course, Ending, Reach};
use super::lives::Attention;
use super::stanzas::Sent;
use super::{RATE_REST, Simulation, guesses};
use crate::memory::{Mesh, World};

/// Rest comes long before that many rounds.
const ROUNDS_MAX: usize = 1000;

impl Simulation {
    /// The faults end, and everything under way comes to its end; then the oracles are asked.
    pub(super) fn come_to_rest(&mut self, reach: Reach) -> Result<(), String> {
        self.now += 1;
        self.note(format_args!("all comes to rest"));
        self.mend();
        self.world.mesh = Mesh::Free;
        self.world.lane_capacity = usize::MAX;
        for index in self.active.clone() {
            self.take_again(index);
        }
        // However slow one was that is gone, the network tells in the end.
        for peer in std::mem::take(&mut self.deserted) {
            self.world.take_again(peer);
        }
        self.awake_all();
        self.exhaust()?;
        self.wait_for_store()?;
        self.wait_for_leave()?;
        self.wait_for_slowed()?;
        self.wait_for_held_up()?;
        self.wake_sleepers()?;
        self.sign_in_everybody()?;
        if self.random.percent(20) {
            let minutes = self.random.pick(&[1, 2, 15, 60]);
            self.note(format_args!("{minutes} minutes pass"));
            self.let_pass(Duration::from_secs(minutes * 60))?;
            self.judge_patience()?;
        }
        self.judge_connections()?;
        // Some may have found only now that they have no connection.
        self.wake_sleepers()?;
        self.accounts.rest()?;
        self.judge_parted();
        self.judge_rosters()?;
        self.settle_subscriptions()?;
        self.blocks.settle(self.now);
        self.now += 1;
        self.read_blocklists()?;
        let readings = self.read_archives(reach)?;
        self.judge_management()?;
        let now = self.now;
        for life in &mut self.ledger.lives {
            life.settle(now);
        }
        let courses = self.judge_sent()?;
        self.judge_kept(courses, readings, Ending::Rest)?;
        self.judge_sessions()?;
        self.judge_contacts()?;
        for index in self.active.clone() {
            let client = &mut self.clients[index];
            client.silence = Duration::ZERO;
            if client.nature != Nature::Deaf {
                client.peak = 0;
            }
        }
        self.now += 1;
        self.ledger.turn_page(self.now);
        self.faults.rest = self.now;
        self.flooded.clear();
        self.now += 1;
        self.dismiss_witnesses();
        self.sm.goes_on();
        Ok(())
    }

    /// What became of everything that was sent since the last time.
    pub(super) fn judge_sent(&self) -> Result<Vec<Course>, String> {
        let may_be_full = |account| {
            let open = self.ledger.open.values();
            let waits =
                |sent: &&Sent| sent.receiver() == Some(account) && sent.content.is_owed(sent.kind);
            self.kept.may_be_full(account, open.filter(waits).count())
        };
        let has_read = |sent: &Sent, client| {
            let receiver = sent.receiver();
            receiver.is_some_and(|account| self.kept.has_read(account, &sent.mark, client))
        };
        let may_be_copied = |sent: &Sent| self.may_be_copied(sent);
        let stirred = |one, two| self.stirred(one, two);
        self.ledger.judge(&Circumstances {
            now: self.now,
            faults: &self.faults,
            blocks: &self.blocks,
            accounts: &self.accounts,
            may_be_full: &may_be_full,
            has_read: &has_read,
            may_be_copied: &may_be_copied,
            stirred: &stirred,
        })
    }

    /// Somebody of each account takes what is owed to it.
    fn collect_owed(&mut self) -> Result<(), String> {
        for index in self.sessions(|nature| nature == Nature::Hasty) {
            if self.clients[index].resource == "probe" {
                self.announce(index, PresenceType::Available, Some(0));
            }
        }
        self.exhaust()
    }

    /// What the store could not give before is asked of it again a moment later.
    fn wait_for_store(&mut self) -> Result<(), String> {
        // Timers are a little late.
        self.world.advance(LOAD_AGAIN + Duration::from_millis(200));
        self.exhaust()
    }

    /// Who is to be deleted tells contacts again that did not hear.
    fn wait_for_leave(&mut self) -> Result<(), String> {
        for _ in 0..=LEAVE_TRIES {
            if !self.accounts.is_awaited() {
                break;
            }
            self.world.advance(LEAVE_AGAIN + Duration::from_millis(200));
            self.exhaust()?;
        }
        Ok(())
    }

    /// Who writes to somebody that does not read waits for a while.
    pub(super) fn wait_for_slowed(&mut self) -> Result<(), String> {
        let slowed = |world: &World| world.residue().iter().any(|residue| residue[6] > 0);
        for _ in 0..ROUNDS_MAX {
            // Also for those who waited until now.
            if self.config.limits.c2s_rate.is_some() {
                self.world.advance(RATE_REST);
                self.exhaust()?;
            }
            if !slowed(&self.world) {
                return Ok(());
            }
            self.world.advance(FLOW_PATIENCE);
            self.exhaust()?;
        }
        Err("some wait for others without end".to_owned())
    }

    /// After many failures sign-ins are answered late.
    pub(super) fn wait_for_held_up(&mut self) -> Result<(), String> {
        for _ in 0..=self.config.limits.sasl_failures {
            let held_up = |index: &usize| {
                let client = &self.clients[*index];
                client.waits() && self.accounts.may_be_held_up(client.account, client.address)
            };
            if self.active.iter().any(held_up) {
                // Timers are a little late.
                let delay = self.config.limits.sasl_delay;
                self.world.advance(delay + Duration::from_secs(1));
                self.exhaust()?;
            }
        }
        Ok(())
    }

    /// Slow ones read what they are owed; those who never read do not.
    fn take_again(&mut self, index: usize) {
        let deaf = self
            .ledger
            .life(index)
            .is_some_and(|life| life.attention == Attention::Loses);
        if !deaf {
            self.world.take_again(self.clients[index].peer);
        }
    }

    /// Until nobody has anything to say.
    pub(super) fn exhaust(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            self.world.run();
            self.now += 1;
            self.observe()?;
            let mut quiet = true;
            for index in self.active.clone() {
                quiet &= !self.listen(index)?;
            }
            if quiet {
                return Ok(());
            }
        }
        Err("clients and server talk without end".to_owned())
    }

    /// Nobody waits for the server; who is gone is known to be.
    fn judge_connections(&mut self) -> Result<(), String> {
        let rest = self.ledger.rest;
        for index in self.active.clone() {
            let client = &self.clients[index];
            let ended = self.world.ended(client.peer);
            let reads = self
                .ledger
                .lives
                .iter()
                .find(|life| life.client == index)
                .is_none_or(|life| life.attention == Attention::Reads);
            match (&client.stage, ended) {
                (Stage::Session(_) | Stage::Leaving, Some(_)) if self.may_be_cut_off(index) => {
                    self.loses_line(index);
                }
                (Stage::Session(_), Some(_)) if reads && client.peak < super::QUEUE_BYTES => {
                    return Err(format!("client {index} was hung up on without a word"));
                }
                (_, Some(_)) => {
                    self.active.remove(&index);
                    self.clients[index].stage = Stage::Over;
                    if let Some(life) = self.ledger.life(index) {
                        life.ends(rest);
                    }
                }
                (_, None) if client.must_go() => {
                    return Err(format!(
                        "client {index} keeps a place that is needed: {client:?}"
                    ));
                }
                (_, None)
                    if client.waits()
                        && reads
                        && !client.nature.may_wait()
                        && !self.waits_for_ever(index) =>
                {
                    return Err(format!("client {index} waits for ever: {client:?}"));
                }
                (_, None) => {}
            }
        }
        Ok(())
    }

    /// What was sent by those who closed their connections behind it was accepted, unless something kept the server from it.
    fn judge_parted(&mut self) {
        let rest = self.ledger.rest;
        for index in std::mem::take(&mut self.parted) {
            let client = &self.clients[index];
            let name = self.ledger.name(index);
            let mut lives = self.ledger.lives.iter();
            let excused = !matches!(client.nature, Nature::Honest | Nature::Hasty)
                || client.peak >= super::QUEUE_BYTES / 2
                || self.may_be_silenced(index)
                || self.flooded.contains(name)
                || self.faults.store_since(rest, NAMES[client.account])
                || self.faults.reload_since(rest)
                || self.faults.shutdown_since(rest)
                || self.accounts.ordered_since(client.account, rest)
                || lives.any(|life| life.client != index && life.may_be(name));
            if !excused {
                self.ledger.parted.insert(index);
                if self.faults.credit == Credit::Ample {
                    self.rosters.accepted(self.now, index);
                }
            }
        }
    }

    /// Who is not signed in for longer than the deadline is gone.
    fn judge_patience(&self) -> Result<(), String> {
        let limits = &self.config.limits;
        let now = self.world.now().mono;
        for index in &self.active {
            let client = &self.clients[*index];
            let age = now.since(client.accepted);
            let session = matches!(client.stage, Stage::Session(_));
            let late = age > limits.negotiation + limits.close;
            if late && !session && self.world.ended(client.peer).is_none() {
                return Err(format!(
                    "client {index} is still there after {age:?}: {client:?}"
                ));
            }
        }
        Ok(())
    }

    /// Nobody is there with a password that is not good.
    fn judge_sessions(&self) -> Result<(), String> {
        for index in self.sessions(|_| true) {
            let client = &self.clients[index];
            let deaf = client.nature == Nature::Deaf && client.peak > 0;
            if !deaf {
                self.accounts
                    .may_stay(client.signed, client.account, client.password)
                    .map_err(|fault| format!("client {index}: {fault}"))?;
            }
        }
        Ok(())
    }

    /// The end: a crash, every password tried against what was reported, and nothing left behind.
    pub(super) fn finale(&mut self) -> Result<(), String> {
        if self.random.percent(50) {
            self.crash()?;
        }
        self.mend();
        self.world.mesh = Mesh::Free;
        self.world.lane_capacity = usize::MAX;
        self.note(format_args!("the end: every password is tried"));
        for account in 0..NAMES.len() {
            for password in PASSWORDS {
                let address = guesses::home(&mut self.random);
                self.connect_as(Intent {
                    nature: Nature::Hasty,
                    account,
                    password,
                    resource: "probe".to_owned(),
                    mechanism: Mechanism::Plain,
                    opening: Opening::Tls,
                    address,
                    returns: None,
                });
                self.exhaust()?;
                self.wait_for_held_up()?;
            }
        }
        self.collect_owed()?;
        self.come_to_rest(Reach::Whole)?;
        // Also those that are gone without a word, which the network has not told.
        for client in &self.clients {
            self.world.take_again(client.peer);
            self.world.hang_up(client.peer);
        }
        self.world.run();
        self.world.advance(self.sm.patience());
        for (shard, residue) in self.world.residue().into_iter().enumerate() {
            if residue.iter().any(|count| *count > 0) {
                return Err(format!("shard {shard} keeps {residue:?} of those who left"));
            }
        }
        for log in self.world.logs() {
            self.trace.mix(log.transcript());
        }
        Ok(())
    }
}
