use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;
use spondee_core::arena::Arena;
use tracing::level_filters::LevelFilter;

use super::*;
use crate::log::capture;

/// What a thread is told.
#[derive(Debug, Default)]
struct Letters(Mutex<(Census, Vec<ConnId>)>);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Census {
    #[default]
    Taken,
    Due,
}

impl Mailbox for Letters {
    fn post(&self, letters: Vec<Letter>) {
        let (census, told) = &mut *self.0.lock().unwrap();
        for letter in letters {
            match letter {
                Letter::Census => *census = Census::Due,
                Letter::Evict(conn) => told.push(conn),
                Letter::Command(..)
                | Letter::Derived(..)
                | Letter::Handshake(..)
                | Letter::Judged(..)
                | Letter::Resolved(..)
                | Letter::Stored(..) => {
                    panic!("{letter:?}")
                }
            }
        }
    }
}

/// A thread and its connections.
struct Thread {
    mailbox: Arc<dyn Mailbox>,
    letters: Arc<Letters>,
    conns: Vec<(ConnId, Permit)>,
}

impl Thread {
    fn new(permits: &Permits) -> Self {
        let letters = Arc::new(Letters::default());
        permits.add_thread(letters.clone());
        Self {
            mailbox: letters.clone(),
            letters,
            conns: Vec::new(),
        }
    }

    fn told(&self) -> Vec<ConnId> {
        std::mem::take(&mut self.letters.0.lock().unwrap().1)
    }

    fn turn(&mut self) {
        let census = std::mem::take(&mut self.letters.0.lock().unwrap().0);
        if census == Census::Due {
            for (conn, permit) in &mut self.conns {
                let _ = permit.settle(&self.mailbox, *conn);
            }
        }
    }

    fn index(&self, conn: ConnId) -> usize {
        self.conns.iter().position(|one| one.0 == conn).unwrap()
    }

    fn take(&mut self, conn: ConnId) -> Permit {
        self.conns.remove(self.index(conn)).1
    }
}

/// One that accepts, and one to which connections move.
struct Scene {
    permits: Arc<Permits>,
    names: Arena<ConnId, ()>,
    here: Thread,
    there: Thread,
    now: Instant,
}

impl Scene {
    fn new(limit: usize) -> Self {
        let permits = Arc::new(Permits::new(limit, Waker::noop().clone()));
        Self {
            names: Arena::default(),
            here: Thread::new(&permits),
            there: Thread::new(&permits),
            permits,
            now: Instant(1),
        }
    }

    fn try_accept(&mut self, address: &str) -> Option<ConnId> {
        let mut permit = self.permits.take()?;
        permit.assign(self.now, address.parse().unwrap()).unwrap();
        let conn = self.names.insert(());
        permit.enter(self.now, &self.here.mailbox, conn);
        self.here.conns.push((conn, permit));
        self.turn();
        Some(conn)
    }

    fn accept(&mut self, address: &str) -> ConnId {
        self.try_accept(address).unwrap()
    }

    fn crowd(&mut self, address: &str, count: usize) -> VecDeque<ConnId> {
        (0..count).map(|_| self.accept(address)).collect()
    }

    fn member(&mut self, address: &str) -> ConnId {
        let conn = self.accept(address);
        self.stand(conn, Standing::Member);
        conn
    }

    fn members(&mut self, address: &str, count: usize) -> Vec<ConnId> {
        (0..count).map(|_| self.member(address)).collect()
    }

    fn turn(&mut self) {
        self.here.turn();
        self.there.turn();
    }

    fn stand(&mut self, conn: ConnId, standing: Standing) {
        let index = self.here.index(conn);
        let permit = &mut self.here.conns[index].1;
        permit.stand(standing, &self.here.mailbox, conn);
        self.turn();
    }

    fn close(&mut self, conn: ConnId) {
        drop(self.here.take(conn));
        self.turn();
    }

    fn arrive(&mut self, mut permit: Permit) -> (ConnId, Claim) {
        let conn = self.names.insert(());
        let claim = permit.settle(&self.there.mailbox, conn);
        self.there.conns.push((conn, permit));
        self.turn();
        (conn, claim)
    }

    fn told(&self) -> Vec<ConnId> {
        assert_eq!(self.there.told(), []);
        self.here.told()
    }

    fn make_room(&self) -> Room {
        self.permits.make_room(self.now)
    }
}

#[test]
fn a_permit_too_many_is_refused_and_a_dropped_one_is_free_again() {
    let permits = Arc::new(Permits::new(1, Waker::noop().clone()));
    let permit = permits.take();
    assert!(permit.is_some());
    assert!(permits.take().is_none());
    drop(permit);
    assert!(permits.is_empty());
    assert!(permits.take().is_some());
}

#[test]
fn an_address_has_its_share_and_a_network_of_ipv6_is_one() {
    let permits = Arc::new(Permits::new(100, Waker::noop().clone()));
    let connect = |address: &str| {
        let mut permit = permits.take().unwrap();
        let assigned = permit.assign(Instant(0), address.parse().unwrap());
        assigned.map(|()| permit)
    };
    let early = connect("192.0.2.1").unwrap();
    permits.limit_addresses(Some(2), &["198.51.100.0/24".parse().unwrap()]);
    let first = connect("192.0.2.1").unwrap();
    let _second = connect("::ffff:192.0.2.1").unwrap();
    assert_eq!(connect("192.0.2.1").unwrap_err(), AddressFull);
    // Who came before the limit is not counted, nor missed.
    drop(early);
    assert_eq!(connect("192.0.2.1").unwrap_err(), AddressFull);
    drop(first);
    let _third = connect("192.0.2.1").unwrap();
    let _v6 = [
        connect("2001:db8::1").unwrap(),
        connect("2001:db8::ff:1").unwrap(),
    ];
    assert_eq!(connect("2001:db8::2").unwrap_err(), AddressFull);
    let _next = connect("2001:db8:0:1::2").unwrap();
    let _unlimited: Vec<_> = (0..5).map(|_| connect("198.51.100.9").unwrap()).collect();
    permits.limit_addresses(None, &[]);
    let _any: Vec<_> = (0..5).map(|_| connect("192.0.2.1").unwrap()).collect();
}

#[test]
fn complaints_are_a_second_apart() {
    let permits = Permits::new(0, Waker::noop().clone());
    let said: Vec<bool> = [5, 999_999, 1_000_004, 1_000_005, 9_000_000]
        .into_iter()
        .map(|at| permits.may_complain(Instant(at)))
        .collect();
    assert_eq!(said, [true, false, false, true, true]);
}

#[test]
fn while_permits_are_many_nobody_goes_and_nobody_is_listed() {
    let mut scene = Scene::new(80);
    scene.crowd("192.0.2.1", 40);
    assert_eq!(scene.permits.table().strangers.count(), 0);
    scene.crowd("192.0.2.1", 30);
    assert_eq!(scene.permits.table().strangers.count(), 70);
    assert_eq!(scene.told(), []);
}

#[test]
fn when_permits_run_low_the_oldest_of_the_fullest_address_goes_for_each_who_comes() {
    let mut scene = Scene::new(80);
    let juliet = scene.member("192.0.2.1");
    let _early = scene.accept("198.51.100.1");
    // 79 are left by members, of which nine are kept.
    let mut crowd = scene.crowd("192.0.2.1", 69);
    for _ in 0..200 {
        crowd.push_back(scene.accept("192.0.2.1"));
        let oldest = crowd.pop_front().unwrap();
        assert_eq!(scene.told(), [oldest]);
        scene.close(oldest);
    }
    // One from elsewhere is let in, and goes no more than the one who was there, however long both take.
    scene.now = Instant(60_000_000);
    let _late = scene.accept("203.0.113.1");
    for _ in 0..200 {
        let oldest = crowd.pop_front().unwrap();
        assert_eq!(scene.told(), [oldest]);
        scene.close(oldest);
        crowd.push_back(scene.accept("192.0.2.1"));
    }
    scene.close(scene.told()[0]);
    // A session that is over: now it is the oldest there.
    scene.stand(juliet, Standing::Stranger);
    scene.accept("192.0.2.7");
    assert_eq!(scene.told(), [juliet]);
}

/// Those who came while permits were many are known when they are few, on whichever thread they are by then.
#[test]
fn whoever_was_there_before_permits_were_scarce_is_chosen_all_the_same() {
    let mut scene = Scene::new(80);
    let first = scene.accept("192.0.2.1");
    let moved = scene.here.take(first);
    let (first, claim) = scene.arrive(moved);
    assert_eq!(claim, Claim::Good);
    let second = scene.accept("192.0.2.1");
    scene.crowd("192.0.2.1", 68);
    scene.accept("192.0.2.1");
    assert_eq!(scene.there.told(), [first]);
    scene.there.conns.clear();
    scene.accept("192.0.2.1");
    assert_eq!(scene.told(), [second]);
    scene.close(second);
    // Few are left, and come again; among them some of before.
    let old: Vec<_> = scene.here.conns.drain(20..).collect();
    scene.turn();
    drop(old);
    scene.turn();
    let third = scene.here.conns[0].0;
    while scene.here.conns.len() < 71 {
        scene.accept("192.0.2.1");
    }
    assert_eq!(scene.told(), [third]);
}

/// The system gives no descriptor though there are permits: who is there is looked up, then the oldest goes.
#[test]
fn where_the_system_has_no_more_strangers_make_room_too() {
    let mut scene = Scene::new(1000);
    scene.members("192.0.2.1", 5);
    let crowd = scene.crowd("192.0.2.1", 5);
    for oldest in crowd {
        scene.now = scene.now + ALONE;
        while scene.make_room() != Room::Coming || scene.permits.table().revoked.is_empty() {
            scene.turn();
        }
        assert_eq!(scene.told(), [oldest]);
        scene.close(oldest);
    }
    assert_eq!(scene.make_room(), Room::None);
}

#[test]
fn a_network_of_ipv6_is_one_crowd_and_mapped_addresses_are_ipv4() {
    let mut scene = Scene::new(8);
    scene.accept("2001:db8:0:1::1");
    let first = scene.accept("2001:db8::1");
    for n in 2..7 {
        scene.accept(&format!("2001:db8::{n:x}:1"));
    }
    assert_eq!(scene.told(), []);
    scene.accept("::ffff:192.0.2.1");
    assert_eq!(scene.told(), [first]);
}

#[test]
fn the_reserve_is_a_part_of_what_members_leave() {
    let mut scene = Scene::new(100);
    scene.members("192.0.2.1", 90);
    // Ten are left: nine strangers are let alone.
    let crowd = scene.crowd("192.0.2.1", 9);
    assert_eq!(scene.told(), []);
    scene.accept("192.0.2.1");
    assert_eq!(scene.told(), [crowd[0]]);
}

#[test]
fn whoever_is_alone_at_its_address_has_time_to_sign_in() {
    let mut scene = Scene::new(4);
    let first = scene.accept("192.0.2.1");
    for n in 2..5 {
        scene.accept(&format!("192.0.2.{n}"));
    }
    assert_eq!(scene.told(), []);
    assert_eq!(scene.try_accept("192.0.2.5"), None);
    assert_eq!(scene.make_room(), Room::None);
    scene.now = scene.now + ALONE;
    assert_eq!(scene.make_room(), Room::Coming);
    assert_eq!(scene.told(), [first]);
    // One at a time.
    assert_eq!(scene.make_room(), Room::Coming);
    assert_eq!(scene.told(), []);
    scene.close(first);
    scene.accept("192.0.2.5");
}

#[test]
fn members_are_never_asked_to_make_room() {
    let mut scene = Scene::new(3);
    scene.members("192.0.2.1", 3);
    scene.now = Instant(1_000_000_000);
    assert_eq!(scene.try_accept("192.0.2.1"), None);
    assert_eq!(scene.make_room(), Room::None);
    assert_eq!(scene.told(), []);
}

/// Nearly full, and flooded: an address that has several places gives them up at once, and who comes from elsewhere has time.
#[test]
fn the_last_permits_are_for_signing_in() {
    let mut scene = Scene::new(32);
    let members = scene.members("192.0.2.1", 29);
    // Three are left, two of them for nobody but strangers.
    let honest = scene.accept("198.51.100.1");
    let mut intruder = scene.accept("203.0.113.1");
    for _ in 0..100 {
        let next = scene.accept("203.0.113.1");
        assert_eq!(scene.told(), [intruder]);
        scene.close(intruder);
        intruder = next;
    }
    scene.stand(honest, Standing::Member);
    assert_eq!(scene.try_accept("198.51.100.1"), None);
    assert_eq!(scene.make_room(), Room::None);
    assert_eq!(scene.told(), []);
    scene.close(members[0]);
    scene.accept("198.51.100.1");
}

#[test]
fn who_signs_in_when_it_is_told_to_go_stays_and_another_goes() {
    let mut scene = Scene::new(3);
    let crowd = scene.crowd("192.0.2.1", 3);
    assert_eq!(scene.told(), [crowd[0]]);
    scene.stand(crowd[0], Standing::Member);
    assert_eq!(scene.make_room(), Room::Coming);
    assert_eq!(scene.told(), [crowd[1]]);
    scene.close(crowd[1]);
    scene.close(crowd[2]);
    assert_eq!(scene.make_room(), Room::None);
}

#[test]
fn who_is_chosen_between_two_threads_hears_of_it_on_arrival() {
    let mut scene = Scene::new(8);
    let crowd = scene.crowd("192.0.2.1", 7);
    let moved = scene.here.take(crowd[0]);
    scene.accept("192.0.2.1");
    // Told where it is not any more.
    assert_eq!(scene.told(), [crowd[0]]);
    let (conn, claim) = scene.arrive(moved);
    assert_eq!(claim, Claim::Revoked);
    drop(scene.there.take(conn));

    let moved = scene.here.take(crowd[1]);
    let (conn, claim) = scene.arrive(moved);
    assert_eq!(claim, Claim::Good);
    scene.accept("192.0.2.1");
    assert_eq!(scene.there.told(), [conn]);
}

#[test]
fn the_log_tells_of_an_address_once_a_minute() {
    let mut scene = Scene::new(8);
    let mut count = |from: u64, address: &str| {
        let mut lines = Vec::new();
        for second in from..from + 60 {
            scene.now = Instant(second * 1_000_000);
            lines.extend(capture(LevelFilter::WARN, || scene.accept(address)).1);
            for conn in scene.told() {
                scene.close(conn);
            }
        }
        lines.retain(|line| !line.is_empty());
        lines.len()
    };
    assert_eq!(count(1000, "192.0.2.1"), 1);
    assert_eq!(count(1060, "192.0.2.1"), 1);
    // First those from the old address go, then one from the new one for each that comes.
    assert_eq!(count(1180, "192.0.2.2"), 2);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Accept(u8),
    Leave(usize),
    Arrive,
    Stand(usize, Standing),
    Close(usize),
    MakeRoom,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..12_usize;
    prop_oneof![
        6 => (0..4_u8).prop_map(Step::Accept),
        1 => which.clone().prop_map(Step::Leave),
        2 => Just(Step::Arrive),
        2 => which.clone().prop_map(|at| Step::Stand(at, Standing::Member)),
        1 => which.clone().prop_map(|at| Step::Stand(at, Standing::Stranger)),
        2 => which.prop_map(Step::Close),
        1 => Just(Step::MakeRoom),
        1 => (0..3_000_000_u64).prop_map(Step::Wait),
    ]
}

/// Who was told to go.
fn revoked(scene: &Scene) -> BTreeSet<Number> {
    scene.permits.table().revoked.clone()
}

fn number(permit: &Permit) -> Number {
    permit.holder.as_ref().unwrap().number
}

proptest! {
    /// Whatever happens: who is told to go is a stranger and is told where it is, or hears on arrival; the table knows no others
    /// than there are, and all when permits are scarce; and when everybody is gone nothing is left of them.
    #[test]
    fn the_table_is_true(steps in proptest::collection::vec(step(), 0..200)) {
        let mut scene = Scene::new(16);
        let mut moving: Vec<Permit> = Vec::new();
        for step in steps {
            let before = revoked(&scene);
            let here = scene.here.conns.len();
            match step {
                Step::Accept(last) => {
                    scene.try_accept(&format!("192.0.2.{last}"));
                }
                Step::Leave(at) if at < here => moving.push(scene.here.conns.remove(at).1),
                Step::Arrive => {
                    if let Some(permit) = moving.pop() {
                        let was_chosen = before.contains(&number(&permit));
                        let claim = scene.arrive(permit).1;
                        prop_assert_eq!(claim == Claim::Revoked, was_chosen);
                    }
                }
                Step::Stand(at, standing) if at < here => {
                    scene.stand(scene.here.conns[at].0, standing);
                }
                Step::Close(at) if at < here => scene.close(scene.here.conns[at].0),
                Step::Leave(_) | Step::Stand(..) | Step::Close(_) => {}
                Step::MakeRoom => {
                    let listed = scene.permits.lists();
                    let room = scene.make_room();
                    let coming = !listed || !revoked(&scene).is_empty();
                    prop_assert_eq!(room == Room::Coming, coming);
                    scene.turn();
                }
                Step::Wait(time) => scene.now = Instant(scene.now.0 + time),
            }
            let after = revoked(&scene);
            let mut chosen: Vec<_> = after.difference(&before).copied().collect();
            for thread in [&scene.here, &scene.there] {
                for conn in thread.told() {
                    let permit = thread.conns.iter().find(|one| one.0 == conn);
                    let permit = permit.map(|one| &one.1).or_else(|| {
                        moving.iter().find(|permit| chosen.contains(&number(permit)))
                    });
                    let number = permit.map(number);
                    prop_assert!(number.is_some_and(|number| chosen.contains(&number)));
                    chosen.retain(|one| Some(*one) != number);
                }
            }
            prop_assert_eq!(chosen, [0; 0], "not told");
            let all = || {
                let there = scene.here.conns.iter().chain(&scene.there.conns);
                there.map(|one| &one.1).chain(&moving)
            };
            let strangers: Vec<_> = all()
                .filter(|permit| permit.holder.as_ref().unwrap().standing == Standing::Stranger)
                .map(number)
                .collect();
            prop_assert!(after.iter().all(|number| strangers.contains(number)));
            prop_assert_eq!(scene.permits.members() + strangers.len(), all().count());
            let known = scene.permits.table().strangers.count() + after.len();
            prop_assert!(known <= strangers.len());
            if scene.permits.lists() {
                prop_assert!(known + moving.len() >= strangers.len());
            }
        }
        (scene.here.conns, scene.there.conns) = (Vec::new(), Vec::new());
        moving.clear();
        let table = scene.permits.table();
        prop_assert_eq!((table.strangers.count(), table.revoked.len()), (0, 0));
        prop_assert!(scene.permits.members() == 0 && scene.permits.is_empty());
    }
}
