//! At rest: who sleeps comes back or is over, all that was sent is acknowledged, and all that came was asked about.

use std::time::Duration;

use super::super::Simulation;
use super::super::accounts::NAMES;
use super::super::client::Stage;
use super::super::csi::Csi;
use super::super::faults::Struck;
use super::{Answers, Death, Managed, Pulse};

/// Less than a client may take to answer.
const STEP: Duration = Duration::from_secs(40);

/// Timers are a little late.
const LATE: Duration = Duration::from_secs(2);

impl Simulation {
    /// Everybody looks, and answers at once.
    pub(in super::super) fn awake_all(&mut self) {
        self.sm.answers = Answers::AtOnce;
        for index in self.active.clone() {
            let client = &self.clients[index];
            if !matches!(client.stage, Stage::Session(_)) {
                continue;
            }
            let owes = client
                .managed
                .as_ref()
                .is_some_and(|managed| managed.owes_answer.is_some());
            let sent = client.sent;
            if matches!(client.csi, Csi::Asked(_) | Csi::Inactive) {
                self.turn_to(index, Csi::Woken(sent));
            }
            if owes {
                self.answer(index);
            }
        }
    }

    /// Time passes, and clients go on answering.
    pub(in super::super) fn let_pass(&mut self, mut time: Duration) -> Result<(), String> {
        while !time.is_zero() {
            let step = time.min(STEP);
            self.world.advance(step);
            self.exhaust()?;
            time -= step;
        }
        Ok(())
    }

    /// Those without a connection come back, or stay away for so long that they are over.
    pub(in super::super) fn wake_sleepers(&mut self) -> Result<(), String> {
        for peer in std::mem::take(&mut self.sm.holes) {
            self.world.cut(peer);
        }
        self.exhaust()?;
        for _ in 0..3 {
            self.notice_ends();
            let asleep = self.sm.sleepers.clone();
            let asleep: Vec<usize> = asleep
                .into_iter()
                .filter(|index| self.means_to_return(*index))
                .collect();
            for index in asleep {
                if self.random.percent(80) {
                    self.return_to(index);
                }
            }
            self.exhaust()?;
            self.wait_for_held_up()?;
            self.wait_for_slowed()?;
        }
        self.notice_ends();
        if self.sm.sleepers.is_empty() {
            return Ok(());
        }
        let time = self.sm.hibernation + LATE;
        self.note(format_args!("{time:?} pass, and who sleeps is over"));
        self.let_pass(time)?;
        for index in self.sm.sleepers.clone() {
            let managed = self.clients[index].managed.as_ref();
            if let Some(Pulse::Asleep(sleep)) = managed.map(|managed| managed.pulse)
                && let Some(life) = self.ledger.life(index)
            {
                life.ends(sleep.at);
            }
            self.dies(index, Death::Over);
        }
        self.exhaust()
    }

    /// Clients see that their connections are gone.
    fn notice_ends(&mut self) {
        for index in self.active.clone() {
            let client = &self.clients[index];
            if !matches!(client.stage, Stage::Session(_) | Stage::Leaving) {
                continue;
            }
            let peer = client.peer;
            let is_gone = self.world.ended(peer).is_some() && !self.world.has_received(peer);
            if is_gone && self.may_be_cut_off(index) {
                self.loses_line(index);
            }
        }
    }

    /// Whether something that was sent may never be handled: the store does not know what became of it, and a server would have ended.
    fn may_hang(&self, managed: &Managed) -> bool {
        let unknown = |name: &&str| {
            self.faults
                .struck_since(managed.born, name, Struck::Unknown)
        };
        NAMES.iter().any(unknown)
    }

    /// Whether a client may wait for ever for its former session, because what that sent is never handled.
    pub(in super::super) fn waits_for_ever(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let former = client.returns.map(|returns| returns.former);
        let managed = former.and_then(|former| self.clients[former].managed.as_ref());
        matches!(client.stage, Stage::Resume)
            && managed.is_some_and(|managed| self.may_hang(managed))
    }

    /// Whether the session of this address may stay, asleep, for a client that waits so.
    pub(in super::super) fn is_waited_for(&self, jid: &str) -> bool {
        let mut clients = 0..self.clients.len();
        clients.any(|index| {
            let returns = self.clients[index].returns;
            let former = returns.map(|returns| self.ledger.name(returns.former));
            former == Some(jid) && self.waits_for_ever(index)
        })
    }

    /// All that clients sent is acknowledged, and of all that they got they were asked.
    pub(in super::super) fn judge_management(&mut self) -> Result<(), String> {
        let there = |simulation: &Self, index: &usize| {
            let account = simulation.clients[*index].account;
            simulation.devices_of(account).contains(index)
        };
        let mut those = self.managed();
        those.retain(|index| there(self, index));
        for index in &those {
            let Some(managed) = &self.clients[*index].managed else {
                continue;
            };
            let hangs = self.may_hang(managed);
            if !hangs && managed.asked.is_some_and(|asked| managed.acked < asked) {
                return Err(format!(
                    "client {index} was never told that what it sent was handled: {managed:?}"
                ));
            }
            // Where nobody looked at it, it was asked later.
            let most = match self.was_muted(*index) {
                true => self.sm.max_unacked.max(super::UNLOOKED),
                false => self.sm.max_unacked,
            };
            if u64::from(managed.heard - managed.told) > most as u64 {
                return Err(format!(
                    "client {index} was never asked what it has got: {managed:?}"
                ));
            }
            self.answer(*index);
            self.ask(*index);
        }
        self.exhaust()?;
        self.wait_for_slowed()?;
        those.retain(|index| there(self, index));
        for index in those {
            let Some(managed) = &self.clients[index].managed else {
                continue;
            };
            let hangs = self.may_hang(managed);
            if !hangs && managed.asked.is_some_and(|asked| managed.acked < asked) {
                return Err(format!(
                    "client {index} sent what was never handled: {managed:?}"
                ));
            }
            self.is_heard(index);
        }
        for (client, peer) in std::mem::take(&mut self.sm.stale) {
            let told = self.world.take_received(peer);
            let told = String::from_utf8_lossy(&told);
            if self.world.ended(peer).is_none() && !told.contains("<conflict") {
                return Err(format!(
                    "client {client} was resumed, and its old connection stands"
                ));
            }
        }
        let sleeping = self.sm.sleepers.len();
        if sleeping > 0 {
            return Err(format!("{sleeping} clients sleep at rest"));
        }
        Ok(())
    }
}
