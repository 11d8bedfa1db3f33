//! Whatever is blocked and unblocked: memory, disk, clients and a naive model agree.

use alloc::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::request::Wish;
use super::*;

/// XEP-0191 §6, word by word, about addresses in parts.
fn matches(item: &str, jid: &str) -> bool {
    let parts = |text: &str| {
        let (bare, resource) = text
            .split_once('/')
            .map_or((text, None), |(bare, resource)| {
                (bare, Some(resource.to_string()))
            });
        let (local, domain) = bare
            .split_once('@')
            .map_or((None, bare), |(local, domain)| {
                (Some(local.to_string()), domain)
            });
        (local, domain.to_string(), resource)
    };
    let (jid, item) = (parts(jid), parts(item));
    match item {
        (Some(_), _, Some(_)) | (None, _, Some(_)) => jid == item,
        (Some(_), _, None) => (&jid.0, &jid.1) == (&item.0, &item.1),
        (None, domain, None) => jid.1 == domain,
    }
}

/// Addresses of few letters, so that they meet.
fn jids() -> impl Strategy<Value = String> {
    "([ab\u{e9}]{1,2}@)?[ab]{1,2}(\\.[ab])?(/[ab' ]?[ab])?"
}

/// A store that holds one list.
#[derive(Default)]
struct Disk(BTreeMap<Row, Row>);

impl Disk {
    fn write(&mut self, ops: &[Op]) {
        for op in ops {
            if let Op::Put { row, .. } = op {
                assert!(row.fits(&BLOCKLIST));
                self.0.insert(Row(row.0[..1].to_vec()), row.clone());
            } else if let Op::Delete { key, .. } = op {
                self.0.remove(key).unwrap();
            } else if let Op::DeletePrefix { .. } = op {
                for _ in 0..STORE_LIST_ROWS {
                    self.0.pop_first();
                }
            } else {
                panic!("{op:?}");
            }
        }
    }

    fn load(&self) -> Blocklist {
        Blocklist::from_loaded(&Loaded {
            tables: vec![(&BLOCKLIST, self.0.values().cloned().collect())],
            ends: Vec::new(),
        })
        .unwrap()
    }
}

/// What a client makes of a list and its pushes.
fn hear(client: &mut BTreeSet<String>, payload: &str) {
    let iq = iq(payload);
    let payload = iq.payload().unwrap();
    let items = payload.children().map(|item| {
        let jid = item.attribute("jid").unwrap();
        jid.into_owned()
    });
    match payload.name() {
        "blocklist" => *client = items.collect(),
        "block" => client.extend(items),
        _ => {
            let gone: BTreeSet<String> = items.collect();
            client.retain(|jid| !gone.is_empty() && !gone.contains(jid));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_list_blocks_what_one_of_its_items_matches(
        items in proptest::collection::vec(jids(), 1..12),
        jid in jids(),
    ) {
        let mut list = Blocklist::default();
        for item in &items {
            let wish = Wish::Block(vec![Jid::parse(item).unwrap()]);
            list.apply(Set { wish }, at(0), 1000).unwrap();
        }
        prop_assert_eq!(blocks(&list, &jid), items.iter().any(|item| matches(item, &jid)));
        for item in &items {
            prop_assert!(blocks(&list, item));
        }
    }

    #[test]
    fn memory_disk_and_clients_agree_after_each_change(
        requests in proptest::collection::vec(
            ("(un)?block", proptest::collection::vec("[abAB\u{e9}]@?[ab](/[&'ab ]b)?", 0..6)),
            0..24,
        ),
        max_items in 1..20_usize,
    ) {
        let (mut list, mut disk) = (Blocklist::default(), Disk::default());
        let mut client = BTreeSet::new();
        for (name, jids) in requests {
            let payload = text(|w| {
                w.open(if name == "block" { "block" } else { "unblock" });
                w.attribute("xmlns", "urn:xmpp:blocking");
                for jid in &jids {
                    w.open("item").attribute("jid", jid).close();
                }
                w.close();
            });
            let before = list.clone();
            let done = read_set(&payload).and_then(|set| list.apply(set, at(1), max_items));
            let Ok(change) = done else {
                prop_assert_eq!(&list, &before);
                continue;
            };
            prop_assert_eq!(&change.before, &before);
            prop_assert!(list.len() <= max_items);
            prop_assert_eq!(list.len(), list.addresses().count());
            for jid in &change.changed {
                prop_assert!(list.contains(jid.as_str()) != before.contains(jid.as_str()));
            }
            let moved = list.len().abs_diff(before.len());
            prop_assert_eq!(moved, change.changed.len());
            disk.write(&change.ops);
            prop_assert_eq!(&disk.load(), &list);
            hear(&mut client, &pushed(&change));
            let mut afresh = BTreeSet::new();
            hear(&mut afresh, &text(|w| list.result(w)));
            prop_assert_eq!(&client, &afresh);
        }
    }

    #[test]
    fn no_row_panics(fields in proptest::collection::vec(
        prop_oneof![
            any::<i64>().prop_map(Field::Time),
            "(a@b|b/c|@|\\PC{0,4})".prop_map(|text| Field::text(&text)),
        ],
        0..4,
    )) {
        let tables = vec![(&BLOCKLIST, vec![Row(fields)])];
        let read = Blocklist::from_loaded(&Loaded { tables, ends: Vec::new() });
        if let Ok(list) = read {
            prop_assert_eq!(list.len(), 1);
        }
    }
}
