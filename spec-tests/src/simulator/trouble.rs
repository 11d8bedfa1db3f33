//! What goes wrong: network, store, ways between shards, administrators, time, and the server itself.

use std::time::Duration;

use spondee_core::config::{ConflictResolve, Host, HostConfig};
use spondee_core::jid::Domain;

use super::accounts::{NAMES, Order, PASSWORDS};
use super::client::{Nature, Place, Stage};
use super::faults::Served;
use super::kept::Ending;
use super::lives::Attention;
use super::sm::Death;
use super::{Disk, Known, QUEUE_BYTES, Simulation};
use crate::memory::{Mesh, StorePace, Workers};

/// Until an administrator gives the next command, or the server is up again, the clock goes on.
pub(super) const RESTART: Duration = Duration::from_secs(1);

/// As long as a server that stops waits for what its clients have got.
const STOPPING: Duration = Duration::from_secs(6);

impl Simulation {
    pub(super) fn slow(&mut self) {
        let lost = |index: &usize| {
            let mut lives = self.ledger.lives.iter();
            lives.any(|life| life.client == *index && life.attention == Attention::Loses)
        };
        let slow: Vec<usize> = self
            .active
            .iter()
            .copied()
            .filter(|index| !lost(index))
            .collect();
        if slow.is_empty() {
            return;
        }
        let index = self.random.pick(&slow);
        let peer = self.clients[index].peer;
        self.world.stop_taking(peer);
        let owed = self.world.owed(peer);
        let count = self.random.below(owed + 1);
        self.world.take(peer, count);
        self.clients[index].peak = QUEUE_BYTES;
    }

    pub(super) fn cut(&mut self) {
        let active: Vec<usize> = self.active.iter().copied().collect();
        if active.is_empty() {
            return;
        }
        let index = self.random.pick(&active);
        self.counts.cuts += 1;
        self.note(format_args!("the connection of client {index} breaks"));
        let peer = self.clients[index].peer;
        if self.random.percent(50) {
            self.world.cut(peer);
        } else {
            // What was written arrives, and then nothing.
            self.world.hang_up(peer);
        }
        self.vanish(index);
    }

    /// A shell that has no place left asks for one, whosever it is.
    pub(super) fn evict(&mut self) {
        let active: Vec<usize> = self.active.iter().copied().collect();
        if active.is_empty() {
            return;
        }
        let index = self.random.pick(&active);
        self.note(format_args!("the place of client {index} is needed"));
        let client = &mut self.clients[index];
        if client.signed == 0 {
            client.place = Place::Needed;
            self.counts.evictions += 1;
        }
        self.world.post_evict(self.clients[index].peer);
    }

    /// The client is gone from its connection.
    pub(super) fn vanish(&mut self, index: usize) {
        let now = self.now;
        self.deserted.push(self.clients[index].peer);
        if self.is_kept_asleep(index) {
            return self.sleeps(index);
        }
        self.abandon(index);
        if let Some(life) = self.ledger.life(index) {
            life.ends(now);
        }
        self.clients[index].stage = Stage::Over;
        self.active.remove(&index);
        self.dies(index, Death::Over);
    }

    pub(super) fn command(&mut self) {
        self.counts.commands += 1;
        let account = self.random.below(NAMES.len());
        let password = self.random.pick(&PASSWORDS);
        let order = match self.random.below(12) {
            0..=3 => Order::Add(password),
            4..=6 => Order::Passwd(password),
            7 => Order::Delete,
            8..=9 => Order::Disable,
            _ => Order::Enable,
        };
        self.give(account, order);
    }

    /// An administrator gives a command.
    pub(super) fn give(&mut self, account: usize, order: Order) {
        let (id, command) = self.accounts.order(self.now, account, order);
        self.note(format_args!(
            "command {}: {order:?} {}",
            id.0, NAMES[account]
        ));
        if order == Order::Delete {
            self.rosters.deleted(self.now, account, id);
            let name = super::rosters::command(id);
            self.subscriptions.deleted(self.now, &name, account);
            self.blocks.deleted(self.now, account, &name);
            self.kept.deleted(self.now, account, &name);
        }
        self.world.post_command(id, command);
    }

    pub(super) fn store_fault(&mut self) -> Result<(), String> {
        if self.disk == Disk::Stalled {
            // A stalled disk does not always come back.
            if self.random.percent(40) {
                return self.crash();
            }
            self.mend();
            return Ok(());
        }
        match self.random.below(6) {
            0..=1 => {
                self.note(format_args!("the disk stalls"));
                self.disk = Disk::Stalled;
            }
            2 => {
                self.note(format_args!("the store is busy"));
                self.world.store_pace = StorePace::Busy;
            }
            3 => {
                self.note(format_args!("the workers are busy"));
                self.world.workers = Workers::Busy;
            }
            _ => self.mend(),
        }
        Ok(())
    }

    /// Store and workers are well again.
    pub(super) fn mend(&mut self) {
        self.note(format_args!("the store is well"));
        self.world.fates.clear();
        self.world.store_pace = StorePace::Slow;
        self.world.workers = Workers::Free;
        self.disk = Disk::Fast;
    }

    pub(super) fn narrow(&mut self) {
        let capacity = self.random.pick(&[0, 1, 3, usize::MAX]);
        self.note(format_args!("{capacity} envelopes fit between two shards"));
        self.world.lane_capacity = capacity;
    }

    pub(super) fn elapse(&mut self) {
        let wait = self
            .random
            .pick(&[1, 10, 300, 2_000, 5_500, 20_000, 61_000]);
        self.note(format_args!("{wait} ms pass"));
        self.world.elapse(Duration::from_millis(wait));
    }

    pub(super) fn reload(&mut self) {
        let conflict = self.random.pick(&[
            ConflictResolve::KickOld,
            ConflictResolve::KickOld,
            ConflictResolve::KickNew,
            ConflictResolve::Random,
            ConflictResolve::Increment,
        ]);
        let served = self.random.pick(&[Served::Yes, Served::Yes, Served::No]);
        let second = Domain::parse("other.test").expect("a domain");
        let one = self.config.accounts_mut().next();
        let HostConfig {
            rounds,
            roster,
            archive,
            sm,
            csi,
            ..
        } = one.cloned().unwrap_or_default();
        let host = Host::Accounts(HostConfig {
            conflict,
            rounds,
            roster,
            archive,
            sm,
            csi,
            ..HostConfig::default()
        });
        match served {
            Served::No => drop(self.config.hosts.remove(&second)),
            Served::Yes | Served::Unsure => {
                self.config.hosts.insert(second, host);
            }
        }
        for host in self.config.accounts_mut() {
            host.conflict = conflict;
        }
        self.note(format_args!(
            "a new configuration: {conflict:?}, other.test served: {served:?}"
        ));
        self.faults.reload(self.now, served);
        self.world.post_reload(self.config.clone());
    }

    pub(super) fn shut_down(&mut self) -> Result<(), String> {
        self.note(format_args!("the server is told to stop"));
        self.faults.shutdown(self.now);
        let stops = self.random.percent(50);
        if stops {
            self.mend();
            self.world.mesh = Mesh::Free;
            self.world.lane_capacity = usize::MAX;
        }
        self.world.post_shutdown();
        if stops {
            // It waits until all that its sessions had is where it belongs.
            self.exhaust()?;
            self.world.advance(STOPPING);
            self.exhaust()?;
            self.counts.stops += 1;
            return self.go_down(Ending::Stop);
        }
        for _ in 0..self.random.below(60) {
            self.now += 1;
            self.step();
            self.listen_to_one()?;
            self.observe()?;
        }
        self.crash()
    }

    /// A client has read all that was sent to it, unless it is slow.
    fn reads_out(&mut self, index: usize) {
        let reads = self.clients[index].nature != Nature::Deaf
            && self.clients[index].peak < QUEUE_BYTES
            && self
                .ledger
                .life(index)
                .is_some_and(|life| life.attention == Attention::Reads);
        if reads {
            self.ledger.read_out.insert(index);
        }
    }

    /// The server dies. What arrived before can still be read.
    pub(super) fn crash(&mut self) -> Result<(), String> {
        self.counts.crashes += 1;
        self.go_down(Ending::Crash)
    }

    /// The server is over, and starts again.
    fn go_down(&mut self, ending: Ending) -> Result<(), String> {
        self.note(format_args!(
            "the server dies with {} batches waiting",
            self.world.batches()
        ));
        for log in self.world.logs() {
            self.trace.mix(log.transcript());
        }
        self.world.crash();
        self.world.mesh = Mesh::Full;
        self.disk = Disk::Fast;
        self.fate = Known::Yes;
        self.accounts.crash(self.now);
        for index in self.active.clone() {
            self.listen(index)?;
            self.reads_out(index);
        }
        self.rosters.crash(self.now);
        self.subscriptions.crash();
        self.blocks.crash(self.now);
        self.parted.clear();
        // It takes a moment to start, and so versions of rosters that follow the clock are new.
        self.world.pass(RESTART);
        if self.random.percent(30) {
            let seconds = self.random.pick(&[1, 5, 3600]);
            self.note(format_args!("the clock is set back by {seconds} s"));
            self.latest_clock = self.latest_clock.max(self.clock());
            self.world.set_back(Duration::from_secs(seconds));
        }
        self.all_die(match ending {
            Ending::Crash => Death::Crash,
            Ending::Rest | Ending::Stop => Death::Over,
        });
        let (rest, now) = (self.ledger.rest, self.now);
        for life in &mut self.ledger.lives {
            life.ends(rest);
            life.settle(now);
        }
        for index in std::mem::take(&mut self.active) {
            self.clients[index].stage = Stage::Over;
        }
        let courses = self.judge_sent()?;
        self.judge_kept(courses, Vec::new(), ending)?;
        self.now += 1;
        self.ledger.turn_page(self.now);
        self.faults.rest = self.now;
        self.now += 1;
        Ok(())
    }
}
