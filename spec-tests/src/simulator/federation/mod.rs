//! The simulator of several servers: two to four of them, their users, a network that stalls and breaks, DNS that fails and moves, servers that
//! stop and fall, and one that lies, all out of one seed.
//!
//! A run is some epochs of disorder, each followed by rest: all that is broken heals, time passes, and the oracles are asked (`judge.rs`). What may
//! be lost or come twice stands in `excuses.rs`, and nowhere else.

mod book;
mod excuses;
mod judge;
mod liar;
mod rosters;
mod sites;
mod taps;
mod trouble;
mod users;

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use spondee_core::port::Note;
use spondee_core::testing::{Federation, Presence};

use self::book::Book;
use self::liar::Liar;
use self::rosters::Rosters;
use self::sites::{Plan, Site};
use self::taps::Taps;
use self::users::User;
use super::random::Random;
use super::seeds::{Failure, Outcome, Report};
use super::trace::Trace;

/// Counts what happened: one number for each thing.
type Moment = u64;

/// How many of what there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Servers.
    pub sites: usize,
    /// Users of each.
    pub users: usize,
    /// Epochs of disorder.
    pub epochs: usize,
    /// Things that happen in each.
    pub acts: usize,
    /// What comes of them by and by, behind each: so many steps at most.
    pub moves: usize,
}

/// How often things happened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Counts {
    pub sites: usize,
    pub users: usize,
    pub wires: usize,
    pub links: usize,
    /// Links that went by a stream of the other server.
    pub taken: usize,
    /// Connections that carried messages both ways.
    pub both_ways: usize,
    pub messages: usize,
    pub acknowledged: usize,
    pub delivered: usize,
    pub bounced: usize,
    /// Delivered more than once, as is allowed.
    pub twice: usize,
    /// Bounced although they arrived, as is allowed.
    pub unsure: usize,
    /// Neither, as is allowed for now.
    pub lost: usize,
    pub requests: usize,
    pub answers: usize,
    pub presences: usize,
    /// Both sides of a pair of servers sent at once, with no connection between them.
    pub met: usize,
    /// Subscriptions of which both sides knew.
    pub agreed: usize,
    /// Those that were said again, since one side did not.
    pub said_again: usize,
    /// Those that never can be, between servers that may not talk to each other.
    pub apart: usize,
    pub cuts: usize,
    pub half_cuts: usize,
    pub stalls: usize,
    pub refused_dials: usize,
    pub dns_faults: usize,
    pub moves: usize,
    pub stops: usize,
    pub crashes: usize,
    pub lies: usize,
    pub liar_proven: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.sites += more.sites;
        self.users += more.users;
        self.wires += more.wires;
        self.links += more.links;
        self.taken += more.taken;
        self.both_ways += more.both_ways;
        self.messages += more.messages;
        self.acknowledged += more.acknowledged;
        self.delivered += more.delivered;
        self.bounced += more.bounced;
        self.twice += more.twice;
        self.unsure += more.unsure;
        self.lost += more.lost;
        self.requests += more.requests;
        self.answers += more.answers;
        self.presences += more.presences;
        self.met += more.met;
        self.agreed += more.agreed;
        self.said_again += more.said_again;
        self.apart += more.apart;
        self.cuts += more.cuts;
        self.half_cuts += more.half_cuts;
        self.stalls += more.stalls;
        self.refused_dials += more.refused_dials;
        self.dns_faults += more.dns_faults;
        self.moves += more.moves;
        self.stops += more.stops;
        self.crashes += more.crashes;
        self.lies += more.lies;
        self.liar_proven += more.liar_proven;
    }
}

/// Runs one seed.
///
/// # Errors
/// An oracle was offended: a server is at fault, or the oracle.
pub fn run(seed: u64) -> Outcome<Counts> {
    let mut random = Random::new(seed);
    let size = Size {
        sites: random.pick(&[2, 2, 3, 4]),
        users: 2 + random.below(5),
        epochs: 1 + random.below(3),
        acts: 60 + random.below(140),
        moves: 60,
    };
    run_sized(seed, size)
}

/// Runs one of so many servers and users.
///
/// # Errors
/// As `run`.
pub fn run_sized(seed: u64, size: Size) -> Outcome<Counts> {
    let mut simulation = Simulation::new(seed, size);
    let outcome = simulation.play(size);
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
            test: "federation_sim",
            seed,
            fault,
            trace,
        })),
    }
}

/// What the network and the administrators do in an epoch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Weather {
    /// Nothing bad.
    Fair,
    /// All kinds of it.
    Foul,
}

/// One run.
struct Simulation {
    net: Federation,
    random: Random,
    trace: Trace,
    now: Moment,
    plan: Plan,
    weather: Weather,
    /// Whether nothing bad has happened yet.
    undisturbed: bool,
    /// How long messages may be: sockets are full sooner.
    filling: usize,
    /// How often, in a hundred, the liar does something.
    boldness: usize,
    sites: Vec<Site>,
    users: Vec<User>,
    book: Book,
    rosters: Rosters,
    taps: Taps,
    liar: Liar,
    counts: Counts,
}

impl Simulation {
    fn new(seed: u64, size: Size) -> Self {
        let mut random = Random::new(seed ^ 0xfed);
        let plan = Plan::draw(&mut random);
        let (net, sites) = sites::build(&mut random, plan, size.sites, seed);
        let mut simulation = Self {
            net,
            trace: Trace::default(),
            now: 1,
            plan,
            weather: Weather::Fair,
            undisturbed: true,
            filling: match random.percent(20) {
                true => 30_000,
                false => 0,
            },
            boldness: random.pick(&[0, 8, 8, 50]),
            users: users::all(&sites, size.users),
            sites,
            book: Book::default(),
            rosters: Rosters::default(),
            taps: Taps::default(),
            liar: Liar::default(),
            random,
            counts: Counts::default(),
        };
        for user in &simulation.users {
            simulation.net.worlds[user.site].add_user(&user.bare, "secret");
        }
        for site in 0..simulation.sites.len() {
            simulation.net.pump(site);
            simulation.publish(site);
        }
        simulation.publish_liar();
        simulation
    }

    fn play(&mut self, size: Size) -> Result<(), String> {
        let plan = self.plan;
        self.note(format_args!("{size:?} {plan:?}"));
        for index in 0..self.sites.len() {
            let line = self.sites[index].to_string();
            self.note(format_args!("{line}"));
        }
        self.sign_in_all()?;
        for _ in 0..size.epochs {
            self.weather = match self.random.percent(25) {
                true => Weather::Fair,
                false => Weather::Foul,
            };
            let weather = self.weather;
            self.note(format_args!("{weather:?} weather"));
            for _ in 0..size.acts {
                self.act(size.moves)?;
            }
            self.come_to_rest()?;
            self.judge()?;
            self.agree()?;
        }
        self.finale()
    }

    /// One thing happens, and what comes of it by and by.
    fn act(&mut self, most: usize) -> Result<(), String> {
        self.now += 1;
        if self.random.percent(self.boldness) {
            self.liar_acts();
        }
        match self.random.below(100) {
            0..50 => self.user_acts(),
            50..68 => self.time_passes(),
            _ if self.weather == Weather::Foul => self.trouble()?,
            _ => {}
        }
        let moves = self.random.below(most);
        for _ in 0..moves {
            if !self.one_move() {
                break;
            }
            self.tap()?;
        }
        self.liar_answers();
        self.observe()
    }

    /// Something happens within a server or between two.
    fn one_move(&mut self) -> bool {
        let count = self.sites.len();
        let first = self.random.below(count + 1);
        for turn in 0..=count {
            let moves = match (first + turn) % (count + 1) {
                site if site < count => self.net.moves_within(site),
                _ => self.net.moves_between(),
            };
            if moves.is_empty() {
                continue;
            }
            let next = self.random.pick(&moves);
            let most = match self.random.below(4) {
                0 => 1 + self.random.below(40),
                1 => 1 + self.random.below(400),
                _ => usize::MAX,
            };
            if let Some(carried) = self.net.make(next, most) {
                self.taps.arrived(&carried);
            }
            return true;
        }
        false
    }

    fn time_passes(&mut self) {
        let ms = match (self.weather, self.random.below(12)) {
            (Weather::Foul, 0) => 30_000 + self.random.below(90_000),
            (Weather::Foul, 1 | 2) => 5_000 + self.random.below(30_000),
            _ => self.random.below(1_500),
        };
        let ms = u64::try_from(ms).unwrap_or(0);
        self.net.pass(Duration::from_millis(ms));
    }

    /// What is to be looked at after everything that happens.
    fn observe(&mut self) -> Result<(), String> {
        self.tap()?;
        self.hear_all()?;
        for site in 0..self.sites.len() {
            for note in std::mem::take(&mut self.net.worlds[site].notes) {
                match note {
                    Note::Bug(what) => return Err(format!("site {site}: impossible: {what}")),
                    Note::LinkProven { .. } => self.counts.links += 1,
                    Note::LinkTaken { .. } => self.counts.taken += 1,
                    Note::LinkFailed { ours, theirs, why } => {
                        self.note(format_args!("{ours} does not reach {theirs}: {why:?}"));
                    }
                    Note::PeerJudged { judged, .. } => self.judged(site, &judged)?,
                    Note::AccountChanged { .. }
                    | Note::AccountHeldUp { .. }
                    | Note::AddressHeldUp { .. }
                    | Note::Bound { .. }
                    | Note::Closed { .. }
                    | Note::Component { .. }
                    | Note::Disconnected { .. }
                    | Note::KeysMissing { .. }
                    | Note::NothingOffered { .. }
                    | Note::Resumed { .. }
                    | Note::SignInCutOff { .. }
                    | Note::SignInFailed { .. }
                    | Note::SignedIn { .. }
                    | Note::LinkQueue { .. }
                    | Note::Unkept { .. }
                    | Note::Unreadable { .. } => {}
                }
            }
        }
        Ok(())
    }

    fn is_up(&self, site: usize) -> bool {
        self.net.presence(site) == Presence::Up && self.sites[site].state == sites::State::Up
    }

    fn note(&mut self, what: fmt::Arguments<'_>) {
        let now = self.net.worlds[0].now().mono;
        self.trace.note(now, what);
    }

    fn counts(&self) -> Counts {
        Counts {
            sites: self.sites.len(),
            users: self.users.len(),
            wires: self.taps.len(),
            both_ways: self.taps.both_ways(),
            ..self.counts
        }
    }
}
