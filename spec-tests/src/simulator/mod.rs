//! The simulator: whole servers in memory, their clients, administrators, network, store and clock, all out of one seed.
//!
//! A run is some epochs of disorder, each followed by rest: everything under way comes to its end, and the oracles are asked.
//! What can happen is the table in `weather.rs`, how it happens `actions.rs` and `trouble.rs`; what must be true of it stands in the oracles:
//! `client` (what a stream may say), `ledger` and `judge` (stanzas), `sm` (sessions that outlive their connections), `csi`, `rosters`, `scales` (their size), `accounts` (sign-ins and commands), `rest` (what must hold
//! when nothing is under way). There are no threads here and no real time, and the same seed gives the same run to the byte.

mod accounts;
mod actions;
mod blocks;
mod client;
mod content;
mod csi;
mod faults;
pub mod federation;
mod guesses;
mod judge;
mod kept;
mod ledger;
mod listen;
mod lives;
mod random;
mod rest;
mod rosters;
mod scales;
pub mod seeds;
mod seeing;
mod sight;
mod sm;
mod stanzas;
mod subscriptions;
mod trace;
mod trouble;
mod verdict;
mod weather;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use spondee_core::config::Config;
use spondee_core::limits::{ACCOUNTS_IDLE_MAX, ENDINGS_PER_TICK, StoreCredit};
use spondee_core::port::{CloseReason, CommandError, Note};
use spondee_core::rate::Rate;
use spondee_core::store::{Class, StoreError};

use self::accounts::{Accounts, NAMES, PASSWORDS};
use self::blocks::Blocks;
use self::client::Client;
use self::faults::{Credit, Faults};
use self::kept::{Kept, Reach};
use self::ledger::Ledger;
use self::random::Random;
use self::rosters::Rosters;
use self::scales::Scales;
use self::seeds::{Failure, Outcome, Report};
use self::sight::Watches;
use self::sm::Management;
use self::subscriptions::Subscriptions;
use self::trace::Trace;
use self::weather::Weather;
use crate::memory::{Bounds, Mesh, Peer, StorePace, Workers, World, config};

/// Counts what happened: one number for each thing. Finer than virtual time, in which much happens at once.
type Moment = u64;

/// What a peer may leave unread: little, so that it is reached, but more than a page of what is kept.
const QUEUE_BYTES: usize = 128 * 1024;

/// How fast clients may send in some runs: whatever one has ahead of it is read within `RATE_REST`.
const RATE: Rate = Rate {
    bytes_per_second: 100_000,
    burst: Duration::from_millis(100),
};
/// A hundred pieces and more, each of which may cost a step of the timers.
const RATE_REST: Duration = Duration::from_secs(20);

/// How many batches ahead their fates are known: more than one action can ask for.
const FATES: usize = 8;

/// What may come on top of the bound: one stanza and the end of the stream.
const QUEUE_SLACK: usize = 4 * 1024;

/// How often things happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub clients: usize,
    pub sessions: usize,
    pub stanzas: usize,
    pub deliveries: usize,
    pub answers: usize,
    pub commands: usize,
    pub cuts: usize,
    pub crashes: usize,
    pub hand_offs: usize,
    pub returned: usize,
    pub store_faults: usize,
    pub overflows: usize,
    pub evictions: usize,
    pub partings: usize,
    pub roster_gets: usize,
    pub roster_sets: usize,
    pub pushes: usize,
    pub subscriptions: usize,
    pub blocks: usize,
    pub requests: usize,
    pub loads: usize,
    pub queries: usize,
    pub results: usize,
    pub copies: usize,
    pub spooled: usize,
    pub managed: usize,
    pub acks: usize,
    pub sleeps: usize,
    pub resumed: usize,
    pub unresumed: usize,
    pub resent: usize,
    pub lapses: usize,
    pub inactive: usize,
    pub stops: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.clients += more.clients;
        self.sessions += more.sessions;
        self.stanzas += more.stanzas;
        self.deliveries += more.deliveries;
        self.answers += more.answers;
        self.commands += more.commands;
        self.cuts += more.cuts;
        self.crashes += more.crashes;
        self.hand_offs += more.hand_offs;
        self.returned += more.returned;
        self.store_faults += more.store_faults;
        self.overflows += more.overflows;
        self.evictions += more.evictions;
        self.partings += more.partings;
        self.roster_gets += more.roster_gets;
        self.roster_sets += more.roster_sets;
        self.pushes += more.pushes;
        self.subscriptions += more.subscriptions;
        self.blocks += more.blocks;
        self.requests += more.requests;
        self.loads += more.loads;
        self.queries += more.queries;
        self.results += more.results;
        self.copies += more.copies;
        self.spooled += more.spooled;
        self.managed += more.managed;
        self.acks += more.acks;
        self.sleeps += more.sleeps;
        self.resumed += more.resumed;
        self.unresumed += more.unresumed;
        self.resent += more.resent;
        self.lapses += more.lapses;
        self.inactive += more.inactive;
        self.stops += more.stops;
    }
}

/// Runs one seed.
///
/// # Errors
/// An oracle was offended: the server is at fault, or the oracle.
pub fn run(seed: u64) -> Outcome<Counts> {
    let mut simulation = Simulation::new(seed);
    let outcome = simulation.play();
    let counts = simulation.counts();
    let digest = simulation.trace.digest();
    let trace = simulation.trace.into_lines();
    match outcome {
        Ok(()) => Ok(Report {
            digest,
            trace,
            counts,
        }),
        Err(fault) => Err(Box::new(Failure {
            test: "simulator",
            seed,
            fault,
            trace,
        })),
    }
}

/// What becomes of changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Disk {
    /// They are committed as it comes.
    Fast,
    /// None is committed until that ends: a crash loses them all.
    Stalled,
}

/// Of each shard, and whether sign-ins must do without.
fn bounds(random: &mut Random, shards: u16) -> (Bounds, Credit) {
    let StoreCredit { batches, bytes } = StoreCredit::of_one(shards);
    let (batches, credit) = match random.below(6) {
        0 => (2, Credit::Scarce),
        1 => (6, Credit::Scarce),
        _ => (batches, Credit::Ample),
    };
    let bounds = Bounds {
        credit: StoreCredit { batches, bytes },
        idle: random.pick(&[ACCOUNTS_IDLE_MAX, ACCOUNTS_IDLE_MAX, 0, 1]),
        endings: random.pick(&[ENDINGS_PER_TICK, 1, 2]),
    };
    (bounds, credit)
}

/// Whether the server knows what it has kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Known {
    Yes,
    No,
}

/// One run.
struct Simulation {
    world: World,
    random: Random,
    weather: Weather,
    trace: Trace,
    now: Moment,
    clients: Vec<Client>,
    accounts: Accounts,
    ledger: Ledger,
    rosters: Rosters,
    subscriptions: Subscriptions,
    blocks: Blocks,
    kept: Kept,
    watches: Watches,
    sm: Management,
    scales: Scales,
    faults: Faults,
    config: Config,
    counts: Counts,
    disk: Disk,
    /// What the server's clock said, in milliseconds, before it was last set back.
    latest_clock: i64,
    /// Addresses that were sent more than a session may leave unread. Who takes one over may be in for it.
    flooded: BTreeSet<String>,
    /// Who signed in of each account when all was last at rest.
    witnesses: BTreeMap<usize, usize>,
    /// Clients whose connections may still do something.
    active: BTreeSet<usize>,
    /// Those who closed their connections behind the last they sent, since everything was at rest.
    parted: BTreeSet<usize>,
    /// Whether nobody knows what became of a batch: the server ends then.
    fate: Known,
    /// Connections that their clients left: nothing holds up what is on its way to them for long.
    deserted: Vec<Peer>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut config = config();
        config.shards = random.pick(&[2, 2, 3, 4]);
        config.limits.session_queue_bytes = QUEUE_BYTES;
        config.limits.account_queue_bytes = 2 * QUEUE_BYTES;
        if random.below(3) == 0 {
            config.limits.c2s_rate = Some(RATE);
        }
        guesses::limit(&mut random, &mut config.limits);
        let max_contacts = random.pick(&[1000, 1000, 3]);
        for host in config.accounts_mut() {
            host.rounds = 1; // nothing here is secret, and time is spent better
            host.roster.max_contacts = max_contacts;
        }
        let kept = kept::bounds(&mut random, &mut config);
        config.server_secret[..8].copy_from_slice(&random.next().to_le_bytes());
        let sm = Management::new(&mut random, &mut config);
        let (bounds, credit) = bounds(&mut random, config.shards);
        let mut world = World::with_bounds(config.clone(), seed, bounds);
        for name in &NAMES[..NAMES.len() - 1] {
            world.add_user(name, PASSWORDS[0]);
        }
        Self {
            weather: Weather::new(&mut random),
            world,
            random,
            trace: Trace::default(),
            now: 1,
            clients: Vec::new(),
            accounts: Accounts::new(config.limits.clone()),
            ledger: Ledger::default(),
            rosters: Rosters::new(max_contacts),
            subscriptions: Subscriptions::default(),
            blocks: Blocks::default(),
            kept: Kept::new(kept),
            watches: Watches::default(),
            sm,
            scales: Scales::default(),
            faults: Faults::new(credit),
            config,
            counts: Counts::default(),
            disk: Disk::Fast,
            latest_clock: 0,
            flooded: BTreeSet::new(),
            witnesses: BTreeMap::new(),
            active: BTreeSet::new(),
            parted: BTreeSet::new(),
            fate: Known::Yes,
            deserted: Vec::new(),
        }
    }

    fn play(&mut self) -> Result<(), String> {
        let shards = self.config.shards;
        self.note(format_args!("{shards} shards"));
        let bounds = self.kept.bounds;
        self.note(format_args!("{bounds:?}"));
        let epochs = self.random.below(5) + 3;
        for _ in 0..epochs {
            self.weather.turn(&mut self.random);
            self.world.mesh = Mesh::Full; // hand-offs happen step by step
            self.world.store_pace = StorePace::Slow;
            let steps = self.random.below(250) + 50;
            for _ in 0..steps {
                self.act()?;
            }
            self.come_to_rest(Reach::News)?;
        }
        self.finale()
    }

    /// One thing happens.
    fn act(&mut self) -> Result<(), String> {
        let action = self.weather.choose(&mut self.random);
        self.now += 1;
        while self.world.fates.len() < FATES {
            let fate = self.weather.fate(&mut self.random);
            self.world.fates.push_back(fate);
        }
        if self.fate == Known::No {
            // As a server does.
            return self.crash();
        }
        self.perform(action)?;
        self.observe()
    }

    /// What the server has to say of itself.
    fn read_notes(&mut self) -> Result<(), String> {
        for note in std::mem::take(&mut self.world.notes) {
            match note {
                Note::Bug(what) => {
                    return Err(format!("the server holds this impossible: {what}"));
                }
                Note::Unreadable { account, why } => {
                    return Err(format!("{account} cannot be read: {why}"));
                }
                Note::Closed {
                    reason: CloseReason::Failed(error),
                    ..
                } if error.condition == "resource-constraint" => self.counts.overflows += 1,
                Note::AccountChanged { .. }
                | Note::AccountHeldUp { .. }
                | Note::AddressHeldUp { .. }
                | Note::Bound { .. }
                | Note::Closed { .. }
                | Note::Component { .. }
                | Note::Disconnected { .. }
                | Note::LinkFailed { .. }
                | Note::LinkProven { .. }
                | Note::LinkTaken { .. }
                | Note::KeysMissing { .. }
                | Note::NothingOffered { .. }
                | Note::PeerJudged { .. }
                | Note::Resumed { .. }
                | Note::SignInCutOff { .. }
                | Note::SignInFailed { .. }
                | Note::LinkQueue { .. }
                | Note::Unkept { .. }
                | Note::SignedIn { .. } => {}
            }
        }
        Ok(())
    }

    /// What is to be looked at after everything that happens.
    fn observe(&mut self) -> Result<(), String> {
        if self.world.store_pace == StorePace::Busy || self.world.workers == Workers::Busy {
            self.faults.busy(self.now);
        }
        for (owner, error) in self.world.take_struck() {
            self.counts.store_faults += 1;
            self.note(format_args!("a batch of {owner} is answered {error:?}"));
            self.subscriptions.lost();
            if error == StoreError::Unknown && self.sm.is_wanted() {
                self.fate = Known::No;
            }
            self.faults.batch(self.now, &owner, error);
        }
        for (id, result) in self.world.take_answers() {
            self.note(format_args!("command {} is answered {result:?}", id.0));
            let answered = self.accounts.answered(self.now, id, &result, &self.faults);
            answered?;
            self.rosters.command_answered(self.now, id, &result)?;
            let done = match result {
                Ok(_) => Some(true),
                Err(CommandError::NoSuchUser | CommandError::NoSuchHost) => Some(false),
                Err(_) => None,
            };
            let name = rosters::command(id);
            self.subscriptions.answered(self.now, &name, done);
            self.blocks.settled(self.now, &name, done);
            self.kept.settled(self.now, &name, done);
            self.world.pass(trouble::RESTART);
        }
        for returned in self.world.take_returned() {
            self.counts.returned += 1;
            self.subscriptions.lost();
            self.note(format_args!("the way is full for {returned:?}"));
            self.faults.returned(returned);
        }
        self.read_notes()?;
        for index in self.active.clone() {
            let owed = self.world.owed(self.clients[index].peer);
            let client = &mut self.clients[index];
            client.peak = client.peak.max(owed);
            // Beyond its own bound only while those who feed it have not heard that they are to wait.
            if owed > 2 * QUEUE_BYTES + QUEUE_SLACK {
                return Err(format!("{owed} bytes are kept for client {index}"));
            }
        }
        Ok(())
    }

    fn note(&mut self, what: fmt::Arguments<'_>) {
        self.trace.note(self.world.now().mono, what);
    }

    fn counts(&self) -> Counts {
        Counts {
            clients: self.clients.len(),
            hand_offs: self.world.handed_off(),
            loads: self.world.asked(Class::Load),
            // Who is evicted hears the same.
            overflows: self.counts.overflows.saturating_sub(self.counts.evictions),
            ..self.counts
        }
    }
}
