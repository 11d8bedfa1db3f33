use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::thread::{self, Thread};
use std::time::Duration;

use spondee_core::envelope::{Body, Delivery, To};
use spondee_core::jid::Jid;
use spondee_core::port::{DeriveError, Ticket};
use spondee_core::stanza::{Kind, MessageType, Stanza};
use spondee_core::store::StoreError;

use super::*;

#[derive(Debug, Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The two ends of a mesh of two shards, and the second one's bell. What moves is a number.
fn pair() -> (Mesh<u32>, Mesh<u32>, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let inboxes: Arc<[Arc<Inbox<u32>>]> = [
        Arc::new(Inbox::new(Waker::noop().clone(), 2)),
        Arc::new(Inbox::new(bell.clone().into(), 2)),
    ]
    .into();
    let end = |shard| Mesh::new(Place { node: 0, shard }, Arc::clone(&inboxes));
    (end(0), end(1), bell)
}

const FIRST: Place = Place { node: 0, shard: 0 };
const SECOND: Place = Place { node: 0, shard: 1 };

fn numbers(parcels: Vec<Parcel<u32>>) -> Vec<u32> {
    parcels
        .into_iter()
        .map(|parcel| match parcel {
            Parcel::Moved(number) => *number,
            Parcel::Envelope(envelope) => panic!("{envelope:?}"),
        })
        .collect()
}

fn ticket() -> Ticket {
    let mut arena = spondee_core::arena::Arena::default();
    arena.insert(())
}

#[test]
fn parcels_arrive_in_order_though_the_way_was_full_between_them() {
    let (mut first, second, _) = pair();
    let total = 3000;
    for number in 0..total {
        first.hand_off(SECOND, Box::new(number));
    }
    assert_eq!(all(&mut first, &second), (0..total).collect::<Vec<_>>());
    assert!(!first.is_congested());
}

/// Everything on the way from `first` to `second`, turn by turn.
fn all(first: &mut Mesh<u32>, second: &Mesh<u32>) -> Vec<u32> {
    let mut arrived = Vec::new();
    loop {
        first.dispatch();
        let parcels = second.collect();
        if parcels.is_empty() {
            return arrived;
        }
        arrived.append(&mut numbers(parcels));
    }
}

#[test]
fn what_one_turn_does_not_take_in_keeps_the_thread_awake_for_the_next() {
    let (mut first, second, bell) = pair();
    assert!(second.inbox().wake_up());
    let large = 64 * 1024;
    for _ in 0..20 {
        first.send(letter(SECOND, large)).unwrap();
    }
    first.dispatch();
    let mut turns = 0;
    let mut came = 0;
    while second.inbox().wake_up() {
        let parcels = second.collect();
        assert!(
            parcels.len() * large <= TURN_BYTES + large,
            "one turn's share"
        );
        came += parcels.len();
        turns += 1;
    }
    assert_eq!(came, 20);
    assert!(turns >= 20 * large / (TURN_BYTES + large), "{turns}");
    assert!(second.inbox().may_sleep(), "nothing was left behind");
    assert_eq!(
        bell.0.load(Ordering::Relaxed),
        0,
        "it was awake all the while"
    );
}

#[test]
fn bytes_that_many_copies_share_fill_the_way_once() {
    let (mut first, ..) = pair();
    let mut letter = letter(SECOND, 250_000);
    let Body::Deliver(deliveries) = &mut letter.body else {
        panic!("{letter:?}");
    };
    for delivery in deliveries {
        let nurse = Jid::parse("nurse@localhost/balcony").unwrap();
        delivery.to = To::Each(vec![nurse; 10_000]);
    }
    first.send(letter).unwrap();
    assert!(first.has_room(SECOND), "they take no more memory than one");
}

#[test]
fn a_full_way_stops_the_sender_until_the_receiver_has_emptied_it() {
    let (mut first, second, _) = pair();
    assert!(!first.inbox().may_sleep(), "a new inbox is looked at once");
    assert!(first.inbox().wake_up());
    while first.has_room(SECOND) {
        first.hand_off(SECOND, Box::new(1));
    }
    first.hand_off(SECOND, Box::new(2));
    first.dispatch();
    assert!(first.is_congested() && !first.has_room(SECOND));
    assert!(first.inbox().may_sleep());
    loop {
        assert!(
            !second.collect().is_empty(),
            "the sender is rung when there is room"
        );
        if first.inbox().wake_up() {
            break;
        }
        assert!(first.inbox().may_sleep());
    }
    first.dispatch();
    assert!(!first.is_congested() && first.has_room(SECOND));
    assert_eq!(all(&mut first, &second).last(), Some(&2));
}

fn letter(to: Place, bytes: usize) -> Box<Envelope> {
    let body = "x".repeat(bytes);
    let stanza = Stanza::build(Kind::Message(MessageType::Chat), None, None, None, |w| {
        w.open("body");
        w.text(&body);
        w.close();
    });
    Box::new(Envelope {
        from: FIRST,
        to,
        body: Body::Deliver(vec![Delivery::named(stanza)]),
    })
}

#[test]
fn an_envelope_for_a_full_way_waits_and_none_comes_back() {
    let (mut first, second, _) = pair();
    let large = 256 * 1024;
    let total = 2 * LANE_BYTES / large;
    for _ in 0..total {
        first.send(letter(SECOND, large)).unwrap();
    }
    first.dispatch();
    assert!(first.is_congested());
    let mut came = 0;
    while came < total {
        let parcels = second.collect();
        assert!(!parcels.is_empty(), "after {came}");
        came += parcels.len();
        first.dispatch();
    }
    assert!(!first.is_congested());
}

#[test]
fn nothing_goes_to_a_shard_that_does_not_exist() {
    let (mut first, ..) = pair();
    let nowhere = Place { node: 0, shard: 9 };
    assert_eq!(first.send(letter(nowhere, 1)).unwrap_err().to, nowhere);
    assert!(!first.has_room(Place { node: 0, shard: 2 }));
    assert!(!first.has_room(Place { node: 1, shard: 1 }));
}

#[test]
fn a_sleeping_thread_is_woken_once_and_one_that_is_awake_never() {
    let (mut first, second, bell) = pair();
    let wakes = || bell.0.load(Ordering::Relaxed);
    let inbox = second.inbox();
    assert!(inbox.wake_up());
    let busy = || vec![Letter::Stored(ticket(), Err(StoreError::Busy))];
    inbox.post(busy());
    assert_eq!(wakes(), 0, "it is in a turn");
    assert!(!inbox.may_sleep(), "and looks before it sleeps");
    assert!(inbox.wake_up());
    assert_eq!(inbox.take_mail().len(), 1);

    assert!(inbox.may_sleep());
    inbox.post(busy());
    inbox.post(busy());
    first.hand_off(SECOND, Box::new(1));
    assert_eq!(first.dispatch().batches, 1);
    assert_eq!(wakes(), 1);
    assert_eq!(inbox.wakes(), 1);
    assert!(inbox.wake_up());
    assert_eq!(inbox.take_mail().len(), 2);
    assert_eq!(numbers(second.collect()), [1]);
    assert!(inbox.may_sleep(), "nothing was left behind");
}

#[derive(Debug)]
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn no_letter_is_overslept() {
    let waker = Arc::new(Unpark(thread::current())).into();
    let inbox: Arc<Inbox<u32>> = Arc::new(Inbox::new(waker, 1));
    let total = 20_000;
    let senders: Vec<_> = (0..2)
        .map(|_| {
            let inbox = Arc::clone(&inbox);
            thread::spawn(move || {
                for _ in 0..total {
                    inbox.post(vec![Letter::Derived(ticket(), Err(DeriveError::Busy))]);
                }
            })
        })
        .collect();
    let mut got = 0;
    while got < 2 * total {
        if inbox.may_sleep() {
            // Far beyond any scheduling delay: only a wake that was lost leaves the state as it is.
            thread::park_timeout(Duration::from_secs(30));
        }
        if inbox.wake_up() {
            got += inbox.take_mail().len();
        }
    }
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!(got, 2 * total);
}
