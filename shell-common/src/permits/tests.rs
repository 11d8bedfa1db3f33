use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use spondee_core::arena::Arena;
use tracing::level_filters::LevelFilter;

use super::*;
use crate::log::capture;

/// What a thread is told.
#[derive(Debug, Default)]
struct Box(Mutex<Vec<ConnId>>);

impl Mailbox for Box {
    fn post(&self, letters: Vec<Letter>) {
        let mut told = self.0.lock().unwrap();
        told.extend(letters.into_iter().map(|letter| match letter {
            Letter::Evict(conn) => conn,
            other @ (Letter::Command(..) | Letter::Derived(..) | Letter::Stored(..)) => {
                panic!("{other:?}")
            }
        }));
    }
}

/// One thread that accepts.
struct Scene {
    permits: Arc<Permits>,
    conns: Arena<ConnId, ()>,
    told: Arc<Box>,
    mailbox: Arc<dyn Mailbox>,
    now: Instant,
}

impl Scene {
    fn new(limit: usize) -> Self {
        let told = Arc::new(Box::default());
        Self {
            permits: Arc::new(Permits::new(limit, Waker::noop().clone())),
            conns: Arena::default(),
            mailbox: told.clone(),
            told,
            now: Instant(1),
        }
    }

    fn name(&mut self) -> ConnId {
        self.conns.insert(())
    }

    fn accept(&mut self, address: &str) -> Option<(Permit, ConnId)> {
        let mut permit = self.permits.take()?;
        permit.assign(self.now, address.parse().unwrap()).unwrap();
        let conn = self.name();
        assert_eq!(permit.settle(&self.mailbox, conn), Claim::Good);
        Some((permit, conn))
    }

    fn stand(&self, (permit, conn): &mut (Permit, ConnId), standing: Standing) {
        permit.stand(standing, &self.mailbox, *conn);
    }

    fn member(&mut self, address: &str) -> (Permit, ConnId) {
        let mut one = self.accept(address).unwrap();
        self.stand(&mut one, Standing::Member);
        one
    }

    fn told(&self) -> Vec<ConnId> {
        std::mem::take(&mut self.told.0.lock().unwrap())
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
fn while_permits_are_many_nobody_goes() {
    let mut scene = Scene::new(80);
    let _crowd: Vec<_> = (0..70).map(|_| scene.accept("192.0.2.1")).collect();
    assert_eq!(scene.told(), []);
}

#[test]
fn when_permits_run_low_the_oldest_of_the_fullest_address_goes_for_each_who_comes() {
    let mut scene = Scene::new(80);
    let mut juliet = scene.member("192.0.2.1");
    let early = scene.accept("198.51.100.1").unwrap();
    let mut crowd: VecDeque<_> = VecDeque::new();
    // 79 are left by members, of which nine are kept.
    for _ in 0..200 {
        crowd.push_back(scene.accept("192.0.2.1").unwrap());
        if let [told] = scene.told()[..] {
            let (_permit, oldest) = crowd.pop_front().unwrap();
            assert_eq!(told, oldest);
            assert_eq!(crowd.len(), 69);
        }
    }
    // One from elsewhere is let in, and goes no more than the one who was there, however long both take.
    scene.now = Instant(60_000_000);
    let late = scene.accept("203.0.113.1").unwrap();
    let oldest = crowd.pop_front().unwrap();
    assert_eq!(scene.told(), [oldest.1]);
    drop(oldest);
    for _ in 0..200 {
        crowd.push_back(scene.accept("192.0.2.1").unwrap());
        let oldest = crowd.pop_front().unwrap();
        assert_eq!(scene.told(), [oldest.1]);
    }
    // A session that is over: now it is the oldest there.
    scene.stand(&mut juliet, Standing::Stranger);
    let _new = scene.accept("192.0.2.7").unwrap();
    assert_eq!(scene.told(), [juliet.1]);
    drop((early, late));
}

#[test]
fn a_network_of_ipv6_is_one_crowd_and_mapped_addresses_are_ipv4() {
    let mut scene = Scene::new(8);
    let _honest = scene.accept("2001:db8:0:1::1");
    let first = scene.accept("2001:db8::1").unwrap();
    let _others: Vec<_> = (2..7)
        .map(|n| scene.accept(&format!("2001:db8::{n:x}:1")))
        .collect();
    assert_eq!(scene.told(), []);
    let _last = scene.accept("::ffff:192.0.2.1").unwrap();
    assert_eq!(scene.told(), [first.1]);
}

#[test]
fn the_reserve_is_a_part_of_what_members_leave() {
    let mut scene = Scene::new(100);
    let _members: Vec<_> = (0..90).map(|_| scene.member("192.0.2.1")).collect();
    // Ten are left: nine strangers are let alone.
    let first = scene.accept("192.0.2.1").unwrap();
    let _others: Vec<_> = (0..8).map(|_| scene.accept("192.0.2.1")).collect();
    assert_eq!(scene.told(), []);
    let _tenth = scene.accept("192.0.2.1").unwrap();
    assert_eq!(scene.told(), [first.1]);
}

#[test]
fn whoever_is_alone_at_its_address_has_time_to_sign_in() {
    let mut scene = Scene::new(4);
    let first = scene.accept("192.0.2.1").unwrap();
    let _others: Vec<_> = (2..5)
        .map(|n| scene.accept(&format!("192.0.2.{n}")).unwrap())
        .collect();
    assert_eq!(scene.told(), []);
    assert!(scene.permits.take().is_none());
    assert_eq!(scene.permits.make_room(scene.now), Room::None);
    scene.now = scene.now + ALONE;
    assert_eq!(scene.permits.make_room(scene.now), Room::Coming);
    assert_eq!(scene.told(), [first.1]);
    // One at a time.
    assert_eq!(scene.permits.make_room(scene.now), Room::Coming);
    assert_eq!(scene.told(), []);
    drop(first);
    assert!(scene.accept("192.0.2.5").is_some());
}

#[test]
fn members_are_never_asked_to_make_room() {
    let mut scene = Scene::new(3);
    let _members: Vec<_> = (0..3).map(|_| scene.member("192.0.2.1")).collect();
    scene.now = Instant(1_000_000_000);
    assert!(scene.permits.take().is_none());
    assert_eq!(scene.permits.make_room(scene.now), Room::None);
    assert_eq!(scene.told(), []);
}

/// Nearly full, and flooded: an address that has several places gives them up at once, and who comes from elsewhere has time.
#[test]
fn the_last_permits_are_for_signing_in() {
    let mut scene = Scene::new(32);
    let mut members: Vec<_> = (0..29).map(|_| scene.member("192.0.2.1")).collect();
    // Three are left, two of them for nobody but strangers.
    let mut honest = scene.accept("198.51.100.1").unwrap();
    let mut intruder = scene.accept("203.0.113.1").unwrap();
    for _ in 0..100 {
        let next = scene.accept("203.0.113.1").unwrap();
        assert_eq!(scene.told(), [intruder.1]);
        intruder = next;
    }
    scene.stand(&mut honest, Standing::Member);
    assert!(scene.permits.take().is_none());
    assert_eq!(scene.permits.make_room(scene.now), Room::None);
    assert_eq!(scene.told(), []);
    members.pop();
    assert!(scene.accept("198.51.100.1").is_some());
}

#[test]
fn who_signs_in_when_it_is_told_to_go_stays_and_another_goes() {
    let mut scene = Scene::new(3);
    let mut romeo = scene.accept("192.0.2.1").unwrap();
    let second = scene.accept("192.0.2.1").unwrap();
    let third = scene.accept("192.0.2.1").unwrap();
    assert_eq!(scene.told(), [romeo.1]);
    scene.stand(&mut romeo, Standing::Member);
    assert_eq!(scene.permits.make_room(scene.now), Room::Coming);
    assert_eq!(scene.told(), [second.1]);
    drop((second, third));
    assert_eq!(scene.permits.make_room(scene.now), Room::None);
}

#[test]
fn who_is_chosen_between_two_threads_is_told_where_it_arrives() {
    let mut scene = Scene::new(3);
    let mut unsettled = scene.permits.take().unwrap();
    unsettled
        .assign(scene.now, "192.0.2.1".parse().unwrap())
        .unwrap();
    let moved = scene.accept("192.0.2.1").unwrap();
    let _third = scene.accept("192.0.2.1").unwrap();
    assert_eq!(scene.told(), []);
    let conn = scene.name();
    assert_eq!(unsettled.settle(&scene.mailbox, conn), Claim::Revoked);
    drop(unsettled);

    let other = Arc::new(Box::default());
    let there: Arc<dyn Mailbox> = other.clone();
    let conn = scene.name();
    assert_eq!(moved.0.settle(&there, conn), Claim::Good);
    let _fourth = scene.accept("192.0.2.1").unwrap();
    assert_eq!(scene.told(), []);
    assert_eq!(*other.0.lock().unwrap(), [conn]);
}

#[test]
fn the_log_tells_of_an_address_once_a_minute() {
    let mut scene = Scene::new(8);
    let mut crowd = Vec::new();
    let mut lines = |scene: &mut Scene, seconds: u64, address: &str| {
        scene.now = Instant(seconds * 1_000_000);
        let (new, lines) = capture(LevelFilter::WARN, || scene.accept(address));
        crowd.push(new.unwrap());
        let told = scene.told();
        crowd.retain(|(_, conn)| !told.contains(conn));
        lines.into_iter().filter(|line| !line.is_empty()).count()
    };
    let mut count = |scene: &mut Scene, from: u64, address: &str| {
        (from..from + 60)
            .map(|second| lines(scene, second, address))
            .sum::<usize>()
    };
    // The first seven go unnoticed.
    assert_eq!(count(&mut scene, 1000, "192.0.2.1"), 1);
    assert_eq!(count(&mut scene, 1060, "192.0.2.1"), 1);
    // First those from the old address go, then one from the new one for each that comes.
    assert_eq!(count(&mut scene, 1180, "192.0.2.2"), 2);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Accept(u8),
    Move(usize),
    Stand(usize, Standing),
    Close(usize),
    MakeRoom,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..30_usize;
    prop_oneof![
        6 => (0..4_u8).prop_map(Step::Accept),
        2 => which.clone().prop_map(Step::Move),
        3 => which.clone().prop_map(|at| Step::Stand(at, Standing::Member)),
        1 => which.clone().prop_map(|at| Step::Stand(at, Standing::Stranger)),
        2 => which.prop_map(Step::Close),
        1 => Just(Step::MakeRoom),
        1 => (0..3_000_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens: who is told to go is a stranger and is told once, the table knows all there are and nothing else, and
    /// when everybody is gone nothing is left of them.
    #[test]
    fn the_table_is_true(steps in proptest::collection::vec(step(), 0..200)) {
        let mut scene = Scene::new(12);
        let mut open: Vec<(Permit, ConnId)> = Vec::new();
        let mut told = BTreeMap::new();
        for step in steps {
            match step {
                Step::Accept(last) => open.extend(scene.accept(&format!("192.0.2.{last}"))),
                Step::Move(at) => {
                    let new = scene.name();
                    if let Some((permit, conn)) = open.get_mut(at) {
                        let claim = permit.settle(&scene.mailbox, new);
                        prop_assert_eq!(claim == Claim::Revoked, told.contains_key(conn));
                        if claim == Claim::Good {
                            *conn = new;
                        }
                    }
                }
                Step::Stand(at, standing) => {
                    if let Some(one) = open.get_mut(at) {
                        if standing == Standing::Member {
                            told.remove(&one.1);
                        }
                        scene.stand(one, standing);
                    }
                }
                Step::Close(at) if at < open.len() => drop(open.swap_remove(at)),
                Step::Close(_) => {}
                Step::MakeRoom => {
                    let room = scene.permits.make_room(scene.now);
                    let waits = open.iter().any(|(_, conn)| told.contains_key(conn));
                    prop_assert!(room == Room::Coming || !waits);
                }
                Step::Wait(time) => scene.now = Instant(scene.now.0 + time),
            }
            for conn in scene.told() {
                let one = open.iter().find(|(_, other)| *other == conn);
                let standing = one.and_then(|(permit, _)| permit.holder.as_ref()).map(|h| h.standing);
                prop_assert_eq!(standing, Some(Standing::Stranger));
                prop_assert!(told.insert(conn, ()).is_none(), "told twice");
            }
            let table = scene.permits.table();
            let waiting = open.iter().filter(|(_, conn)| told.contains_key(conn)).count();
            prop_assert_eq!(table.revoked.len(), waiting);
            prop_assert_eq!(scene.permits.members() + table.strangers.count() + waiting, open.len());
        }
        open.clear();
        let table = scene.permits.table();
        prop_assert_eq!((scene.permits.members(), table.strangers.count(), table.revoked.len()), (0, 0, 0));
        prop_assert!(scene.permits.is_empty());
    }
}
