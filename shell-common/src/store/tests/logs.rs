//! What a back end does with logs: all of them alike.

use spondee_core::limits::{
    STORE_OWED_BYTES, STORE_OWED_ENTRIES, STORE_PAGE_BYTES, STORE_PAGE_ENTRIES, STORE_SWEEP_OWNERS,
    STORE_TRIM_ENTRIES,
};
use spondee_core::store::{End, Entry, Kept, Order, Owed, Page, Payload, Peer, Pick};

use super::*;

const DAY: i64 = 86_400_000_000;
pub(super) const A: &str = "a@x.example";

pub(super) fn entry(key: i64, peer: &str, kept: Kept) -> Entry {
    Entry {
        key,
        peer: Bytes::copy_from_slice(peer.as_bytes()),
        resource: None,
        kept,
        payload: Payload(vec![Bytes::from(format!("<message id='{key}'/>"))]),
    }
}

pub(super) fn append(entries: Vec<Entry>) -> Op {
    Op::Append { log: LOG, entries }
}

pub(super) fn everything() -> Pick {
    Pick {
        kept: Kept::Archived,
        peer: None,
        ids: None,
        after: None,
        before: None,
        upto: i64::MAX,
        order: Order::Forward,
        limit: STORE_PAGE_ENTRIES,
    }
}

fn with(peer: &str) -> Option<Peer> {
    Some(Peer {
        bare: Bytes::copy_from_slice(peer.as_bytes()),
        resource: None,
    })
}

fn ask(stores: &mut Backends, pick: Pick) -> Reply {
    let pick = Box::new(pick);
    stores.one(A, Op::Page { log: LOG, pick })
}

fn page(stores: &mut Backends, pick: Pick) -> (Vec<i64>, bool) {
    let reply = ask(stores, pick);
    let Reply::Page(Page { entries, more, .. }) = reply else {
        panic!("{reply:?}");
    };
    (entries.iter().map(|entry| entry.key).collect(), more)
}

pub(super) fn trim(stores: &mut Backends, before: i64, kept: Kept, limit: u32) -> (u32, bool) {
    let op = Op::Trim {
        log: LOG,
        before,
        kept,
        limit,
    };
    let reply = stores.one(A, op);
    let Reply::Trimmed { entries, more } = reply else {
        panic!("{reply:?}");
    };
    (entries, more)
}

/// Ten entries, three days apart from the first to the last: even keys with `b`, odd ones with `c`.
fn filled() -> Backends {
    let mut stores = Backends::new();
    let entries = (0..10).map(|n| {
        let peer = if n % 2 == 0 {
            "b@y.example"
        } else {
            "c@y.example"
        };
        entry(n * DAY / 3, peer, Kept::Archived)
    });
    stores.one(A, append(entries.collect()));
    stores
}

fn keys(numbers: impl IntoIterator<Item = i64>) -> Vec<i64> {
    numbers.into_iter().map(|n| n * DAY / 3).collect()
}

#[test]
fn pages_go_forward_and_backward_and_are_in_order_either_way() {
    let mut stores = filled();
    let mut forward = |after: Option<i64>, limit| {
        let after = after.map(|n| n * DAY / 3);
        page(
            &mut stores,
            Pick {
                after,
                limit,
                ..everything()
            },
        )
    };
    assert_eq!(forward(None, 4), (keys(0..4), true));
    assert_eq!(forward(Some(3), 4), (keys(4..8), true));
    assert_eq!(forward(Some(7), 4), (keys(8..10), false));
    assert_eq!(forward(Some(9), 4), (Vec::new(), false));
    let mut backward = |before: Option<i64>, limit| {
        let before = before.map(|n| n * DAY / 3);
        let order = Order::Backward;
        page(
            &mut stores,
            Pick {
                before,
                limit,
                order,
                ..everything()
            },
        )
    };
    assert_eq!(backward(None, 4), (keys(6..10), true));
    assert_eq!(backward(Some(6), 4), (keys(2..6), true));
    assert_eq!(backward(Some(2), 4), (keys(0..2), false));
}

#[test]
fn what_is_appended_after_a_page_was_asked_for_does_not_show() {
    let mut stores = filled();
    let upto = 5 * DAY / 3;
    let picked = Pick {
        upto,
        ..everything()
    };
    assert_eq!(page(&mut stores, picked.clone()), (keys(0..6), false));
    let backward = Pick {
        order: Order::Backward,
        limit: 2,
        ..picked
    };
    assert_eq!(page(&mut stores, backward), (keys(4..6), true));
    let count = |peer, upto| Op::Count {
        log: LOG,
        kept: Kept::Archived,
        peer,
        after: None,
        before: None,
        upto,
    };
    let between = |peer, after, before| Op::Count {
        log: LOG,
        kept: Kept::Archived,
        peer,
        after: Some(after),
        before: Some(before),
        upto,
    };
    assert_eq!(
        stores.one(A, between(None, DAY / 3, 4 * DAY / 3)),
        Reply::Count(2)
    );
    let c = with("c@y.example");
    assert_eq!(stores.one(A, between(c, 0, 3 * DAY)), Reply::Count(3));
    assert_eq!(
        stores.one(A, between(None, 4 * DAY / 3, 2 * DAY / 3)),
        Reply::Count(0)
    );
    assert_eq!(stores.one(A, count(None, upto)), Reply::Count(6));
    assert_eq!(
        stores.one(A, count(with("c@y.example"), upto)),
        Reply::Count(3)
    );
    assert_eq!(stores.one(A, count(None, i64::MAX)), Reply::Count(10));
    assert_eq!(
        stores.one(A, count(with("d@y.example"), i64::MAX)),
        Reply::Count(0)
    );
}

#[test]
fn a_page_by_contact_crosses_days_and_knows_who_is_not_there() {
    let mut stores = filled();
    let peer = with("c@y.example");
    let all = Pick {
        peer,
        ..everything()
    };
    assert_eq!(
        page(&mut stores, all.clone()),
        (keys([1, 3, 5, 7, 9]), false)
    );
    let some = Pick {
        after: Some(DAY),
        limit: 2,
        ..all.clone()
    };
    assert_eq!(page(&mut stores, some), (keys([5, 7]), true));
    let last = Pick {
        order: Order::Backward,
        limit: 2,
        ..all.clone()
    };
    assert_eq!(page(&mut stores, last), (keys([7, 9]), true));
    let before = Pick {
        order: Order::Backward,
        before: Some(DAY),
        ..all.clone()
    };
    assert_eq!(page(&mut stores, before), (keys([1]), false));
    let nobody = Pick {
        peer: with("d@y.example"),
        ..all
    };
    assert_eq!(page(&mut stores, nobody), (Vec::new(), false));
}

#[test]
fn a_page_by_full_address_has_only_that_resource() {
    let mut stores = Backends::new();
    let mut entries = Vec::new();
    for (key, resource) in [(1, None), (2, Some("phone")), (3, Some("phone2"))] {
        let mut one = entry(key, "b@y.example", Kept::Archived);
        one.resource = resource.map(Bytes::from);
        entries.push(one);
    }
    stores.one(A, append(entries));
    let peer = Some(Peer {
        bare: Bytes::from("b@y.example"),
        resource: Some(Bytes::from("phone")),
    });
    assert_eq!(
        page(
            &mut stores,
            Pick {
                peer,
                ..everything()
            }
        ),
        (vec![2], false)
    );
}

#[test]
fn contacts_with_the_same_tag_are_told_apart() {
    // FNV-1a, folded to 24 bits, of both is the same; found by trying.
    let tag = |text: &str| {
        let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        (hash >> 24) ^ (hash & 0x00ff_ffff)
    };
    let mut seen = std::collections::HashMap::new();
    let mut names = (0..).map(|n| format!("{n}@y.example"));
    let (one, two) = loop {
        let name = names.next().unwrap();
        if let Some(other) = seen.insert(tag(&name), name.clone()) {
            break (other, name);
        }
    };
    let mut stores = Backends::new();
    let entries = vec![
        entry(1, &one, Kept::Archived),
        entry(2, &two, Kept::Archived),
    ];
    stores.one(A, append(entries));
    let peer = with(&one);
    assert_eq!(
        page(
            &mut stores,
            Pick {
                peer,
                ..everything()
            }
        ),
        (vec![1], false)
    );
}

#[test]
fn ids_are_all_there_or_missing() {
    let mut stores = filled();
    let pick = |numbers: &[i64]| Pick {
        ids: Some(keys(numbers.iter().copied())),
        ..everything()
    };
    assert_eq!(page(&mut stores, pick(&[7, 2, 2])), (keys([2, 7]), false));
    assert_eq!(ask(&mut stores, pick(&[2, 11])), Reply::Missing);
    let with_b = Pick {
        peer: with("b@y.example"),
        ..pick(&[2, 4])
    };
    assert_eq!(page(&mut stores, with_b), (keys([2, 4]), false));
    let with_b = Pick {
        peer: with("b@y.example"),
        ..pick(&[2, 3])
    };
    assert_eq!(ask(&mut stores, with_b), Reply::Missing);
    let future = Pick {
        upto: DAY,
        ..pick(&[7])
    };
    assert_eq!(ask(&mut stores, future), Reply::Missing);
    let pick = Box::new(pick(&[2]));
    let stranger = stores.one("z@x.example", Op::Page { log: LOG, pick });
    assert_eq!(stranger, Reply::Missing);
}

#[test]
fn what_is_owed_and_what_is_archived_are_two_views_of_one_log() {
    let mut stores = Backends::new();
    let kept = [Kept::Archived, Kept::Owed, Kept::Both, Kept::Archived];
    let entries = (1..)
        .zip(kept)
        .map(|(key, kept)| entry(key, "b@y.example", kept));
    stores.one(A, append(entries.collect()));
    let mut view = |kept, peer| {
        page(
            &mut stores,
            Pick {
                kept,
                peer,
                ..everything()
            },
        )
        .0
    };
    for peer in [None, with("b@y.example")] {
        assert_eq!(view(Kept::Archived, peer.clone()), [1, 3, 4]);
        assert_eq!(view(Kept::Owed, peer.clone()), [2, 3]);
        assert_eq!(view(Kept::Both, peer), [1, 2, 3, 4]);
    }
    // Retention ends the archive and leaves what is owed, and the reverse.
    assert_eq!(trim(&mut stores, 4, Kept::Archived, 500), (2, false));
    let mut view = |kept| {
        page(
            &mut stores,
            Pick {
                kept,
                ..everything()
            },
        )
        .0
    };
    assert_eq!(view(Kept::Both), [2, 3, 4]);
    assert_eq!(view(Kept::Archived), [4]);
    assert_eq!(view(Kept::Owed), [2, 3]);
    assert_eq!(trim(&mut stores, i64::MAX, Kept::Owed, 500), (2, false));
    let left = page(
        &mut stores,
        Pick {
            kept: Kept::Both,
            ..everything()
        },
    );
    assert_eq!(left.0, [4]);
}

#[test]
fn a_trim_takes_the_oldest_and_leaves_no_holes() {
    let mut stores = filled();
    assert_eq!(trim(&mut stores, 7 * DAY / 3, Kept::Archived, 3), (3, true));
    assert_eq!(page(&mut stores, everything()).0, keys(3..10));
    assert_eq!(
        trim(&mut stores, 7 * DAY / 3, Kept::Archived, 500),
        (4, false)
    );
    let Reply::Page(left) = ask(&mut stores, everything()) else {
        panic!();
    };
    assert_eq!(left.oldest, Some(7 * DAY / 3));
    // Half a day is left of the day of the cut, and its contacts are found.
    let c = Pick {
        peer: with("c@y.example"),
        ..everything()
    };
    assert_eq!(page(&mut stores, c), (keys([7, 9]), false));
}

#[test]
fn a_log_that_was_emptied_takes_entries_of_the_same_day() {
    let mut stores = filled();
    assert_eq!(
        trim(&mut stores, i64::MAX, Kept::Both, STORE_TRIM_ENTRIES),
        (10, false)
    );
    assert_eq!(page(&mut stores, everything()), (Vec::new(), false));
    stores.one(
        A,
        append(vec![entry(3 * DAY + 1, "c@y.example", Kept::Archived)]),
    );
    let c = Pick {
        peer: with("c@y.example"),
        ..everything()
    };
    assert_eq!(page(&mut stores, c), (vec![3 * DAY + 1], false));
}

#[test]
fn a_blanked_entry_stays_without_what_it_said() {
    let mut stores = filled();
    for key in [DAY, 77] {
        assert_eq!(stores.one(A, Op::Blank { log: LOG, key }), Reply::Done);
    }
    let Reply::Page(all) = ask(&mut stores, everything()) else {
        panic!();
    };
    assert_eq!(all.entries.len(), 10);
    let blank = |entry: &&Entry| entry.payload.is_empty();
    let blank: Vec<i64> = all.entries.iter().filter(blank).map(|e| e.key).collect();
    assert_eq!(blank, [DAY]);
    assert_eq!(&all.entries[3].peer[..], b"c@y.example");
}

#[test]
fn a_payload_of_several_parts_comes_back_in_one() {
    let mut stores = Backends::new();
    let mut whole = entry(1, "b@y.example", Kept::Archived);
    // A character may be cut between two parts.
    let parts: [&'static [u8]; 3] = [b"<message>\xc3", b"\xa9", b"</message>"];
    whole.payload = Payload(parts.map(Bytes::from_static).to_vec());
    stores.one(A, append(vec![whole]));
    let Reply::Page(all) = ask(&mut stores, everything()) else {
        panic!();
    };
    let text = Bytes::from("<message>\u{e9}</message>");
    assert_eq!(all.entries[0].payload, Payload(vec![text]));
}

#[test]
fn a_page_is_cut_at_its_bytes_but_never_before_its_first_entry() {
    let mut stores = Backends::new();
    for key in 1..=4 {
        let mut long = entry(key, "b@y.example", Kept::Archived);
        let text = "x".repeat(STORE_PAGE_BYTES / 3);
        long.payload = Payload(vec![Bytes::from(text)]);
        stores.one(A, append(vec![long]));
    }
    let mut huge = entry(5, "b@y.example", Kept::Archived);
    huge.payload = Payload(vec![Bytes::from("x".repeat(2 * STORE_PAGE_BYTES))]);
    stores.one(A, append(vec![huge]));
    let ids = Some((1..=5).collect());
    for pick in [
        everything(),
        Pick {
            peer: with("b@y.example"),
            ..everything()
        },
        Pick {
            ids,
            ..everything()
        },
    ] {
        assert_eq!(page(&mut stores, pick), (vec![1, 2], true));
    }
    let order = Order::Backward;
    assert_eq!(
        page(
            &mut stores,
            Pick {
                order,
                ..everything()
            }
        ),
        (vec![5], true)
    );
}

#[test]
fn a_load_tells_the_last_key_and_a_purge_leaves_nothing() {
    let mut stores = filled();
    let Reply::Loaded(loaded) = stores.one(A, Op::Load) else {
        panic!();
    };
    let end = End {
        log: LOG,
        last: 3 * DAY,
        owed: Owed::default(),
    };
    assert_eq!(loaded.ends, [end]);
    stores.one(A, Op::Purge);
    assert_eq!(page(&mut stores, everything()), (Vec::new(), false));
    stores.one(A, append(vec![entry(1, "c@y.example", Kept::Archived)]));
    let c = Pick {
        peer: with("c@y.example"),
        ..everything()
    };
    assert_eq!(page(&mut stores, c), (vec![1], false));
}

pub(super) fn end(stores: &mut Backends, owner: &str) -> Option<End> {
    let Reply::Loaded(loaded) = stores.one(owner, Op::Load) else {
        panic!();
    };
    loaded.end(LOG).copied()
}

#[test]
fn a_load_counts_what_is_owed_behind_the_mark() {
    let mut stores = Backends::new();
    let entries = vec![
        entry(1, "b@y.example", Kept::Owed),
        entry(2, "b@y.example", Kept::Archived),
        entry(3, "c@y.example", Kept::Both),
        entry(40, "c@y.example", Kept::Owed),
    ];
    let bytes = |entries: &[Entry]| entries.iter().map(|entry| entry.payload.len()).sum();
    let owed = |entries, bytes| Some(Owed { entries, bytes });
    let mut append_and_mark = vec![append(entries.clone())];
    stores.all(A, append_and_mark.clone()).unwrap();
    let found = |stores: &mut Backends| end(stores, A).map(|end| end.owed);
    let all = [&entries[..1], &entries[2..]].concat();
    assert_eq!(found(&mut stores), owed(3, bytes(&all)));
    // The mark travels with appends.
    append_and_mark = vec![
        append(vec![entry(50, "b@y.example", Kept::Archived)]),
        done(3),
    ];
    let quiet = Batch {
        class: Class::Append,
        ..batch(A, append_and_mark)
    };
    let outcomes = stores.apply(&[quiet]);
    assert_eq!(outcomes, [Ok(vec![Reply::Done, Reply::Done])]);
    assert_eq!(found(&mut stores), owed(1, entries[3].payload.len()));
    stores.one(A, Op::Blank { log: LOG, key: 40 });
    assert_eq!(found(&mut stores), owed(1, 0));
    stores.one(A, done(40));
    assert_eq!(found(&mut stores), owed(0, 0));
    assert_eq!(end(&mut stores, A).map(|end| end.last), Some(50));
    assert_eq!(end(&mut stores, "b@x.example"), None);
}

#[test]
fn what_is_owed_is_counted_up_to_its_bounds_and_no_further() {
    let mut stores = Backends::new();
    let bound = i64::from(STORE_OWED_ENTRIES);
    let keys: Vec<i64> = (0..bound + 20).collect();
    for keys in keys.chunks(500) {
        let entry = |key: &i64| entry(*key, "b@y.example", Kept::Owed);
        stores.one(A, append(keys.iter().map(entry).collect()));
    }
    let owed = end(&mut stores, A).unwrap().owed;
    assert_eq!(owed.entries, STORE_OWED_ENTRIES + 1);
    let long = Bytes::from(vec![b'x'; STORE_OWED_BYTES / 4]);
    for key in 0..9 {
        let mut entry = entry(key, "b@y.example", Kept::Owed);
        entry.payload = Payload(vec![long.clone()]);
        stores.one("b@x.example", append(vec![entry]));
    }
    let owed = end(&mut stores, "b@x.example").unwrap().owed;
    assert_eq!((owed.entries, owed.bytes), (5, long.len() * 5));
}

fn sweep(from: Option<&str>, limit: u32) -> Op {
    Op::Sweep {
        log: LOG,
        before: 10,
        kept: Kept::Archived,
        from: from.map(jid),
        limit,
    }
}

#[test]
fn a_sweep_trims_every_owner_of_a_domain_in_steps() {
    let mut stores = Backends::new();
    for owner in [
        "a@x.example",
        "b@x.example",
        "c@x.example",
        "a@y.example",
        "x.example",
    ] {
        let entries = [1, 2, 3, 10].map(|key| {
            let kept = if key == 2 { Kept::Both } else { Kept::Archived };
            entry(key, "d@y.example", kept)
        });
        stores.one(owner, append(entries.to_vec()));
    }
    stores.one(
        "a@x.example",
        Op::Trim {
            log: LOG,
            before: 10,
            kept: Kept::Archived,
            limit: 9,
        },
    );
    let mut step = |from, limit| {
        let Reply::Swept { entries, next } = stores.one("x.example", sweep(from, limit)) else {
            panic!();
        };
        (entries, next.map(|owner| owner.as_str().to_owned()))
    };
    let here = |owner: &str| Some(owner.to_owned());
    assert_eq!(step(None, 2), (2, here("b@x.example")));
    assert_eq!(step(Some("b@x.example"), 2), (2, here("c@x.example")));
    assert_eq!(step(Some("c@x.example"), 500), (5, None));
    assert_eq!(step(None, 500), (0, None));
    for owner in ["a@x.example", "b@x.example", "c@x.example", "x.example"] {
        let all = Kept::Both;
        let pick = Box::new(Pick {
            kept: all,
            ..everything()
        });
        let Reply::Page(page) = stores.one(owner, Op::Page { log: LOG, pick }) else {
            panic!();
        };
        let left: Vec<_> = page.entries.iter().map(|e| (e.key, e.kept)).collect();
        assert_eq!(left, [(2, Kept::Owed), (10, Kept::Archived)], "{owner}");
    }
    assert_eq!(end(&mut stores, "a@y.example").unwrap().owed.entries, 1);
    let Reply::Count(elsewhere) = stores.one(
        "a@y.example",
        Op::Count {
            log: LOG,
            kept: Kept::Archived,
            peer: None,
            after: None,
            before: None,
            upto: 100,
        },
    ) else {
        panic!();
    };
    assert_eq!(elsewhere, 4);
}

#[test]
fn a_sweep_looks_at_so_many_owners_and_says_where_to_go_on() {
    let directory = Scratch::new();
    for store in databases(&directory) {
        sweeps_in_steps(store);
    }
}

/// Not the one in memory: its steps are as long as they need be.
fn sweeps_in_steps(mut store: Box<dyn Backend>) {
    let owner = |number: u32| format!("u{number:05}@x.example");
    let add = |number| {
        batch(
            &owner(number),
            vec![append(vec![entry(1, "b@y.example", Kept::Archived)])],
        )
    };
    let batches: Vec<Batch> = (0..=STORE_SWEEP_OWNERS).map(add).collect();
    assert!(store.apply(&batches).iter().all(Result::is_ok));
    // None of these has anything to be taken: they are looked at all the same.
    let old = |from, before| {
        let op = Op::Sweep {
            log: LOG,
            before,
            kept: Kept::Archived,
            from,
            limit: 500,
        };
        batch("x.example", vec![op])
    };
    let next = Some(jid(&owner(STORE_SWEEP_OWNERS)));
    let entries = 0;
    let swept = store.apply(&[old(None, 1)]);
    let next_of = next.clone();
    assert_eq!(swept, [Ok(vec![Reply::Swept { entries, next }])]);
    let swept = store.apply(&[old(next_of, 2)]);
    let (entries, next) = (1, None);
    assert_eq!(swept, [Ok(vec![Reply::Swept { entries, next }])]);
}

#[test]
fn entries_whose_keys_do_not_rise_are_refused() {
    let mut stores = Backends::new();
    let two = |first, second| {
        let peer = "b@y.example";
        let first = entry(first, peer, Kept::Archived);
        vec![append(vec![first, entry(second, peer, Kept::Archived)])]
    };
    assert_eq!(stores.all(A, two(2, 1)), Err(StoreError::Failed));
    assert_eq!(stores.all(A, two(2, 2)), Err(StoreError::Failed));
    assert_eq!(
        stores.all(A, vec![append(Vec::new())]),
        Err(StoreError::Failed)
    );
    assert_eq!(stores.all(A, two(1, 2)), Ok(vec![Reply::Done]));
}
