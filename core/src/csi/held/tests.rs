use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

fn stanza(xml: &str) -> Arc<Stanza> {
    Arc::new(Stanza::from_xml(xml.as_bytes()).expect(xml))
}

fn presence(from: &str, status: &str) -> Arc<Stanza> {
    stanza(&format!(
        "<presence from='{from}'><status>{status}</status></presence>"
    ))
}

fn state(from: &str, id: &str) -> Arc<Stanza> {
    stanza(&format!("<message from='{from}' id='{id}'/>"))
}

/// What each of those that are taken says: its id, or its status.
fn taken<T>(held: &mut Held<T>) -> Vec<(String, T)> {
    held.take_all()
        .map(|(stanza, beside)| {
            let id = stanza.id().map(|id| id.to_string());
            let status = || stanza.payload().map(|status| status.text().to_string());
            (id.or_else(status).unwrap_or_default(), beside)
        })
        .collect()
}

fn words<T>(held: &mut Held<T>) -> Vec<String> {
    taken(held).into_iter().map(|(word, _)| word).collect()
}

#[test]
fn what_is_held_comes_back_in_order_with_what_stood_beside_it() {
    let mut held = Held::default();
    assert!(held.is_empty());
    for (n, stanza) in [
        state("a@b/c", "1"),
        presence("d@e/f", "2"),
        state("a@b/c", "3"),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(held.hold(stanza, n, 256), Room::Some);
    }
    assert_eq!(held.len(), 3);
    let expected = ["1", "2", "3"].map(String::from);
    assert_eq!(
        taken(&mut held),
        expected.into_iter().zip(0..).collect::<Vec<_>>()
    );
    assert!(held.is_empty());
    assert_eq!(held.bytes(), 0);
    assert_eq!(taken(&mut held), []);
}

#[test]
fn of_the_presence_of_each_full_address_the_last_stays() {
    let mut held = Held::default();
    for n in 0..20 {
        for from in [
            "romeo@localhost/a",
            "romeo@localhost/b",
            "nurse@localhost/a",
        ] {
            let status = format!("{from} {n}");
            assert_eq!(held.hold(presence(from, &status), (), 256), Room::Some);
        }
    }
    assert_eq!(
        words(&mut held),
        [
            "romeo@localhost/a 19",
            "romeo@localhost/b 19",
            "nurse@localhost/a 19"
        ]
    );
}

#[test]
fn that_somebody_left_takes_the_place_of_what_he_said_before_and_the_other_way_round() {
    let mut held = Held::default();
    let left = stanza("<presence from='a@b/c' type='unavailable'><status>left</status></presence>");
    let _ = held.hold(presence("a@b/c", "there"), (), 256);
    let _ = held.hold(Arc::clone(&left), (), 256);
    assert_eq!(words(&mut held), ["left"]);
    let _ = held.hold(left, (), 256);
    let _ = held.hold(presence("a@b/c", "back"), (), 256);
    assert_eq!(words(&mut held), ["back"]);
}

#[test]
fn a_later_presence_does_not_overtake_what_its_sender_said_before_it() {
    let mut held = Held::default();
    for stanza in [
        presence("a@b/c", "first"),
        state("a@b/c", "between"),
        presence("a@b/c", "last"),
        state("a@b/c", "behind"),
    ] {
        let _ = held.hold(stanza, (), 256);
    }
    assert_eq!(words(&mut held), ["between", "last", "behind"]);
}

#[test]
fn what_is_no_announcement_is_never_merged() {
    let mut held = Held::default();
    for kind in ["error", "probe", "subscribe"] {
        for _ in 0..2 {
            let xml = format!("<presence from='a@b/c' type='{kind}' id='{kind}'/>");
            let _ = held.hold(stanza(&xml), (), 256);
        }
    }
    let expected = ["error", "error", "probe", "probe", "subscribe", "subscribe"];
    assert_eq!(words(&mut held), expected);
}

#[test]
fn one_more_than_there_may_be_leaves_no_room_and_is_held_all_the_same() {
    let mut held = Held::default();
    for n in 0..3 {
        assert_eq!(held.hold(state("a@b/c", &n.to_string()), (), 3), Room::Some);
    }
    assert_eq!(held.hold(state("a@b/c", "3"), (), 3), Room::None);
    assert_eq!(words(&mut held), ["0", "1", "2", "3"]);
    assert_eq!(held.hold(state("a@b/c", "4"), (), 3), Room::Some);
}

#[test]
fn presence_that_replaces_another_needs_no_room() {
    let mut held = Held::default();
    let long = "x".repeat(CSI_QUEUE_BYTES / 3);
    for _ in 0..10 {
        assert_eq!(held.hold(presence("a@b/c", &long), (), 1), Room::Some);
    }
    assert_eq!(held.len(), 1);
    assert!(held.bytes() < CSI_QUEUE_BYTES / 2);
}

#[test]
fn bytes_are_bounded_as_well() {
    let mut held = Held::default();
    let long = "x".repeat(CSI_QUEUE_BYTES / 3);
    for n in 0..2 {
        let from = format!("a@b/{n}");
        assert_eq!(held.hold(presence(&from, &long), (), 256), Room::Some);
    }
    assert_eq!(held.hold(presence("a@b/c", &long), (), 256), Room::None);
    let _ = held.take_all();
    assert_eq!(held.bytes(), 0);
}

proptest! {
    /// Held against a list from which each presence takes away the one before.
    #[test]
    fn it_is_a_list_without_what_is_needless(
        told in proptest::collection::vec((0..4_usize, any::<bool>()), 0..60)
    ) {
        let mut held = Held::default();
        let mut list: Vec<(Option<usize>, String)> = Vec::new();
        let mut sizes = BTreeMap::new();
        for (n, (sender, is_presence)) in told.into_iter().enumerate() {
            let (from, word) = (format!("a@b/{sender}"), n.to_string());
            let stanza = match is_presence {
                true => presence(&from, &word),
                false => state(&from, &word),
            };
            if is_presence {
                list.retain(|(of, _)| *of != Some(sender));
            }
            list.push((is_presence.then_some(sender), word.clone()));
            sizes.insert(word, stanza.size());
            let _ = held.hold(stanza, (), usize::MAX);
            prop_assert_eq!(held.len(), list.len());
            let bytes: usize = list.iter().map(|(_, word)| sizes[word]).sum();
            prop_assert_eq!(held.bytes(), bytes);
        }
        let list: Vec<String> = list.into_iter().map(|(_, word)| word).collect();
        prop_assert_eq!(words(&mut held), list);
    }
}
