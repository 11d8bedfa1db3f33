//! Two accounts that change where they stand with each other, in every order that chance finds: whatever crosses, gets lost, fails or is
//! forgotten on the way, at rest both sides agree, and each sees the other as it is.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::super::{Account, Binding, Cx, Kept, Manner, Saying, SessionKey, Spoken};
use super::super::{StoreRoom, brings_in};
use crate::arena::Arena;
use crate::config::{Config, HostConfig, of_localhost};
use crate::entropy::Entropy;
use crate::envelope::{Receipt, Settled, To, Told};
use crate::jid::{BareJid, Jid, Resource};
use crate::port::ConnId;
use crate::roster::{Act, Ask, Request};
use crate::stanza::{IqType, Kind, PresenceType, Stanza};
use crate::store::{Loaded, Op, Row, Table};
use crate::time::Now;

const NAMES: [&str; 2] = ["juliet@localhost", "romeo@localhost"];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(end).unwrap()).unwrap()
    }
}

/// What goes from one to the other.
#[derive(Clone, Debug)]
enum Parcel {
    Stanza(Arc<Stanza>, Jid, Manner, Option<Receipt>),
    Settled(Told),
}

type Disk = BTreeMap<(&'static str, Row), Row>;

/// One of the two.
#[derive(Default)]
struct Side {
    account: Option<Account>,
    session: Option<SessionKey>,
    disk: Disk,
    /// What is with the store, and what is said then.
    committing: Option<(Vec<Op>, Vec<Saying>)>,
    inbox: VecDeque<Parcel>,
    /// What comes to it.
    coming: VecDeque<Parcel>,
    /// Whether its client, that is there, believes the other available.
    sees: bool,
}

/// What goes wrong, of so many steps one each.
#[derive(Clone, Copy)]
struct Weather {
    lost: usize,
    failed: usize,
    crash: usize,
}

struct Pair {
    sides: [Side; 2],
    config: Config,
    host: HostConfig,
    entropy: Entropy,
    dice: Dice,
    weather: Option<Weather>,
    told: Vec<String>,
}

fn tables() -> [Table; 4] {
    use crate::roster::{ROSTER, ROSTER_REQUESTS, ROSTER_UNSAID, ROSTER_VERSION};
    [&ROSTER, &ROSTER_REQUESTS, &ROSTER_UNSAID, &ROSTER_VERSION]
}

fn write(disk: &mut Disk, ops: &[Op]) {
    for op in ops {
        if let Op::Put { table, row, .. } = op {
            let key = Row(row.0.iter().take(table.key.len()).cloned().collect());
            disk.insert((table.name, key), row.clone());
        } else if let Op::Delete { table, key } = op {
            disk.remove(&(table.name, key.clone()));
        } else {
            panic!("{op:?}");
        }
    }
}

fn read(disk: &Disk) -> Kept {
    let rows = |table: Table| {
        let rows = disk.iter().filter(|((name, _), _)| *name == table.name);
        (table, rows.map(|(_, row)| row.clone()).collect())
    };
    let loaded = Loaded {
        tables: tables().map(rows).into(),
        ends: Vec::new(),
    };
    Kept::from_loaded(&loaded).unwrap()
}

impl Pair {
    fn new(seed: u64, weather: Weather) -> Self {
        Self {
            sides: Default::default(),
            config: of_localhost(),
            host: HostConfig::default(),
            entropy: Entropy::new([0; 32]),
            dice: Dice(seed),
            weather: Some(weather),
            told: Vec::new(),
        }
    }

    /// Whether it happens now.
    fn goes(&mut self, which: impl Fn(Weather) -> usize) -> bool {
        match self.weather.map(which) {
            Some(one_of @ 1..) => self.dice.below(one_of) == 0,
            Some(0) | None => false,
        }
    }

    fn call(&mut self, at: usize, call: impl FnOnce(&mut Account, &mut Cx<'_>)) {
        let mut spoken = Spoken::default();
        let mut cx = Cx {
            now: Now::default(),
            config: &self.config,
            host: &self.host,
            entropy: &mut self.entropy,
            spoken: &mut spoken,
            store: StoreRoom::Room,
        };
        let Some(account) = &mut self.sides[at].account else {
            panic!("called, and not in memory");
        };
        call(account, &mut cx);
        if !spoken.quiet.is_empty() && !self.goes(|weather| weather.failed) {
            write(&mut self.sides[at].disk, &spoken.quiet);
        }
        if spoken.changes.is_empty() {
            self.say(at, spoken.said);
        } else {
            self.sides[at].committing = Some((spoken.changes, spoken.said));
        }
    }

    fn say(&mut self, at: usize, said: Vec<Saying>) {
        for saying in said {
            match saying {
                Saying::Answer(_, stanza)
                | Saying::Tell(_, stanza, ..)
                | Saying::TellEach(_, stanza, ..) => {
                    self.hear(at, &stanza);
                }
                Saying::CatchUp(_) | Saying::Handled(_) | Saying::Late(..) | Saying::Stored(..) => {
                    panic!("nothing is kept here, and nobody has stream management")
                }
                Saying::Settle(Settled { receipt, .. }) => {
                    self.sides[1 - at]
                        .coming
                        .push_back(Parcel::Settled(receipt));
                }
                Saying::Route(delivery) => {
                    let named = delivery.stanza.to().cloned();
                    let (each, manner) = match delivery.to {
                        To::Named => (named.into_iter().collect(), Manner::Directed),
                        To::Each(each) => (each, Manner::FanOut),
                    };
                    for to in each {
                        assert_eq!(to.bare(), NAMES[1 - at]);
                        let stanza = Arc::clone(&delivery.stanza);
                        self.leak(at, &stanza);
                        let parcel = Parcel::Stanza(stanza, to, manner, delivery.receipt);
                        self.sides[1 - at].coming.push_back(parcel);
                    }
                }
            }
        }
    }

    /// Presence goes to who may see it, as far as is on disk.
    fn leak(&self, at: usize, stanza: &Stanza) {
        if stanza.kind() == Kind::Presence(PresenceType::Available) {
            let kept = read(&self.sides[at].disk);
            assert!(kept.shows_to(NAMES[1 - at]), "{}", self.told.join("\n"));
        }
    }

    fn hear(&mut self, at: usize, stanza: &Stanza) {
        if stanza.from().map(Jid::bare) == Some(NAMES[1 - at]) {
            let available = stanza.kind() == Kind::Presence(PresenceType::Available);
            if available || stanza.kind() == Kind::Presence(PresenceType::Unavailable) {
                self.sides[at].sees = available;
            }
        }
    }

    fn come_in(&mut self, at: usize) {
        if self.sides[at].account.is_none() {
            let jid = BareJid::parse(NAMES[at]).unwrap();
            let mut account = Account::new(jid, Some([0; 32]));
            account.keep(read(&self.sides[at].disk));
            self.sides[at].account = Some(account);
            self.call(at, Account::say_again);
        }
    }

    fn is_busy(&self, at: usize) -> bool {
        let side = &self.sides[at];
        side.committing.is_some() || !side.inbox.is_empty()
    }

    fn run(&mut self, at: usize, parcel: Parcel) {
        match parcel {
            Parcel::Stanza(stanza, to, manner, receipt) => self.call(at, |account, cx| {
                account.deliver(cx, &stanza, &to, manner, receipt);
            }),
            Parcel::Settled(receipt) => {
                let contact = BareJid::parse(NAMES[1 - at]).unwrap();
                self.call(at, |account, cx| account.settled(cx, &contact, receipt));
            }
        }
    }

    /// The next that comes to it.
    fn arrive(&mut self, at: usize) {
        let Some(parcel) = self.sides[at].coming.pop_front() else {
            return;
        };
        let brings_in = match &parcel {
            Parcel::Stanza(stanza, to, manner, _) => brings_in(stanza, to, *manner),
            Parcel::Settled(_) => false,
        };
        // A full lane.
        let can_be_lost = match &parcel {
            Parcel::Stanza(_, _, manner, receipt) => {
                *manner == Manner::Directed && receipt.is_some()
            }
            Parcel::Settled(_) => true,
        };
        if can_be_lost && self.goes(|weather| weather.lost) {
            self.told.push(format!("{at} never gets {}", told(&parcel)));
            return;
        }
        if self.sides[at].account.is_none() {
            if !brings_in {
                return;
            }
            self.come_in(at);
        }
        self.told.push(format!("{at} gets {}", told(&parcel)));
        match self.is_busy(at) {
            true => self.sides[at].inbox.push_back(parcel),
            false => self.run(at, parcel),
        }
    }

    fn drain(&mut self, at: usize) {
        while self.sides[at].committing.is_none()
            && let Some(parcel) = self.sides[at].inbox.pop_front()
        {
            self.run(at, parcel);
        }
    }

    /// The store answers.
    fn commit(&mut self, at: usize) {
        let Some((ops, said)) = self.sides[at].committing.take() else {
            return;
        };
        if self.goes(|weather| weather.failed) {
            self.told.push(format!("{at} fails"));
            if self.dice.below(3) == 0 {
                // It is there, and nobody knows.
                write(&mut self.sides[at].disk, &ops);
            }
            let kept = read(&self.sides[at].disk);
            if let Some(account) = &mut self.sides[at].account {
                account.forget_kept();
                account.keep(kept);
            }
            self.call(at, Account::say_again);
        } else {
            write(&mut self.sides[at].disk, &ops);
            self.say(at, said);
        }
        self.drain(at);
    }

    fn log_in(&mut self, at: usize) {
        self.come_in(at);
        if self.is_busy(at) || self.sides[at].session.is_some() {
            return;
        }
        self.told.push(format!("{at} logs in"));
        let conn = Arena::<ConnId, ()>::default().insert(());
        let account = self.sides[at].account.as_mut().unwrap();
        account.admitted.push(conn);
        self.call(at, |account, cx| {
            let wish = Resource::parse("x").ok();
            let bound = account.bind(cx, conn, wish);
            assert!(matches!(bound, Binding::Bound(_, None)));
        });
        let account = self.sides[at].account.as_ref().unwrap();
        self.sides[at].session = account.session_on(conn);
        self.sides[at].sees = false;
        let get = Stanza::build(Kind::Iq(IqType::Get), Some("1"), None, None, |w| {
            w.open("query")
                .attribute("xmlns", "jabber:iq:roster")
                .close();
        });
        self.send(at, get);
        let kind = Kind::Presence(PresenceType::Available);
        let presence = Stanza::build(kind, None, None, None, |_| {});
        self.send(at, presence);
    }

    fn log_out(&mut self, at: usize) {
        if !self.is_busy(at)
            && let Some(session) = self.sides[at].session.take()
        {
            self.told.push(format!("{at} logs out"));
            self.call(at, |account, cx| account.end(cx, session, None));
        }
    }

    fn send(&mut self, at: usize, mut stanza: Stanza) {
        let session = self.sides[at].session.unwrap();
        let from = format!("{}/x", NAMES[at]);
        stanza.set_from(Jid::parse(&from).unwrap());
        let stanza = Arc::new(stanza);
        self.call(at, |account, cx| {
            account.outbound(cx, session, stanza);
        });
    }

    fn act(&mut self, at: usize, act: Act) {
        if self.sides[at].session.is_none() || self.is_busy(at) {
            return;
        }
        self.told.push(format!("{at} says {act:?}"));
        let to = Jid::parse(NAMES[1 - at]).unwrap();
        let kind = Kind::Presence(act.kind());
        self.send(at, Stanza::build(kind, None, None, Some(to), |_| {}));
    }

    fn remove(&mut self, at: usize) {
        if self.sides[at].session.is_none() || self.is_busy(at) {
            return;
        }
        self.told.push(format!("{at} removes"));
        let set = Stanza::build(Kind::Iq(IqType::Set), Some("1"), None, None, |w| {
            w.open("query").attribute("xmlns", "jabber:iq:roster");
            w.open("item").attribute("jid", NAMES[1 - at]);
            w.attribute("subscription", "remove").close().close();
        });
        self.send(at, set);
    }

    /// An account that nobody is signed in to leaves memory.
    fn evict(&mut self, at: usize) {
        if self.sides[at].session.is_none() && !self.is_busy(at) {
            self.sides[at].account = None;
        }
    }

    /// The server is killed.
    fn crash(&mut self) {
        self.told.push("crash".into());
        for at in 0..2 {
            let disk = self.sides[at].disk.clone();
            let committing = self.sides[at].committing.take();
            self.sides[at] = Side {
                disk,
                ..Side::default()
            };
            if let Some((ops, _)) = committing
                && self.dice.below(2) == 0
            {
                write(&mut self.sides[at].disk, &ops);
            }
        }
    }

    fn step(&mut self) {
        let at = self.dice.below(2);
        match self.dice.below(20) {
            0 => self.act(at, Act::Subscribe),
            1 => self.act(at, Act::Subscribed),
            2 => self.act(at, Act::Unsubscribe),
            3 => self.act(at, Act::Unsubscribed),
            4 => {
                // One after the other, as people do.
                let asks = self.dice.below(2);
                let acts = [Act::Subscribe, Act::Subscribed];
                self.act(at, acts[asks]);
            }
            5 if self.dice.below(2) == 0 => self.remove(at),
            6 => self.log_in(at),
            7 if self.dice.below(3) == 0 => self.log_out(at),
            8 => self.evict(at),
            9 if self.goes(|weather| weather.crash) => self.crash(),
            10..=14 => self.arrive(at),
            _ => self.commit(at),
        }
    }

    fn settle(&mut self) {
        let is_quiet = |side: &Side| side.coming.is_empty() && side.committing.is_none();
        while !self.sides.iter().all(is_quiet) {
            for at in 0..2 {
                self.arrive(at);
                self.commit(at);
            }
        }
    }

    /// Nothing goes wrong any more, and both sign in again.
    fn rest(&mut self) {
        self.weather = None;
        self.settle();
        for at in [0, 1, 0, 1] {
            self.log_out(at);
            self.settle();
            self.log_in(at);
            self.settle();
        }
    }

    /// What was settled, but could not be forgotten on disk, is said once more.
    fn restart(&mut self) {
        self.crash();
        self.rest();
    }

    fn states(&self) -> [crate::roster::State; 2] {
        [0, 1].map(|at| read(&self.sides[at].disk).state(NAMES[1 - at]))
    }

    /// What is wrong.
    fn fault(&self) -> Option<String> {
        let states = self.states();
        for (at, of, by) in [(0, states[0], states[1]), (1, states[1], states[0])] {
            let asks = (of.standing.subscription.is_to(), of.standing.ask);
            let shows = (by.standing.subscription.is_from(), by.request);
            let agree = matches!(
                (asks, shows),
                ((false, Ask::Nothing), (false, Request::Nothing))
                    | ((false, Ask::Subscribe), (false, Request::Waits))
                    | ((true, Ask::Nothing), (true, Request::Nothing))
            );
            if !agree {
                return Some(format!("{at}: {asks:?} and {shows:?}"));
            }
            if self.sides[at].sees != asks.0 {
                return Some(format!("{at} sees {}: {asks:?}", self.sides[at].sees));
            }
        }
        None
    }
}

fn told(parcel: &Parcel) -> String {
    match parcel {
        Parcel::Stanza(stanza, _, manner, receipt) => {
            format!("{:?} {manner:?} {receipt:?}", stanza.kind())
        }
        Parcel::Settled(receipt) => format!("settled {receipt:?}"),
    }
}

fn play(weather: Weather, seeds: u64) {
    let mut faults = Vec::new();
    for seed in 0..seeds {
        for steps in [20, 60, 150] {
            let mut pair = Pair::new(seed, weather);
            for at in 0..2 {
                pair.log_in(at);
            }
            for _ in 0..steps {
                pair.step();
            }
            pair.rest();
            let fault = pair.fault().or_else(|| {
                pair.restart();
                let unsaid = [0, 1].map(|at| read(&pair.sides[at].disk).unsaid.is_empty());
                let unsaid = (unsaid != [true, true]).then(|| format!("unsaid: {unsaid:?}"));
                pair.fault().or(unsaid)
            });
            if let Some(fault) = fault {
                faults.push((pair.told.len(), seed, fault, pair.told.join("\n")));
                break;
            }
        }
    }
    faults.sort();
    if let Some((_, seed, fault, told)) = faults.first() {
        panic!("{} faults; seed {seed}: {fault}\n{told}", faults.len());
    }
}

#[test]
fn where_nothing_gets_lost_both_agree() {
    play(
        Weather {
            lost: 0,
            failed: 0,
            crash: 0,
        },
        300,
    );
}

#[test]
fn whatever_gets_lost_on_the_way_both_agree() {
    play(
        Weather {
            lost: 5,
            failed: 0,
            crash: 0,
        },
        300,
    );
}

#[test]
fn whatever_the_store_does_both_agree() {
    play(
        Weather {
            lost: 0,
            failed: 5,
            crash: 0,
        },
        300,
    );
}

#[test]
fn whenever_the_server_is_killed_both_agree() {
    play(
        Weather {
            lost: 0,
            failed: 0,
            crash: 2,
        },
        300,
    );
}

#[test]
fn whatever_befalls_them_together_both_agree() {
    play(
        Weather {
            lost: 6,
            failed: 8,
            crash: 4,
        },
        500,
    );
}
