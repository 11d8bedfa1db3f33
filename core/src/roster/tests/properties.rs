//! Whatever is set: memory, disk and clients agree.

use alloc::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::Table;

/// What one table holds.
type Rows = BTreeMap<Row, Row>;

/// A store that holds rosters, and no more.
#[derive(Default)]
struct Disk {
    contacts: Rows,
    version: Rows,
}

impl Disk {
    fn table(&mut self, table: Table) -> &mut Rows {
        match table == &ROSTER {
            true => &mut self.contacts,
            false => &mut self.version,
        }
    }

    fn write(&mut self, ops: &[Op]) {
        for op in ops {
            if let Op::Put { table, row, .. } = op {
                let key = Row(row.0[..table.key.len()].to_vec());
                self.table(table).insert(key, row.clone());
            } else if let Op::Delete { table, key } = op {
                self.table(table).remove(key).unwrap();
            } else {
                panic!("{op:?}");
            }
        }
    }

    fn load(&self) -> Roster {
        let rows = |rows: &Rows| rows.values().cloned().collect();
        let mut loaded = Loaded::default();
        loaded.tables.push((&ROSTER, rows(&self.contacts)));
        loaded.tables.push((&ROSTER_VERSION, rows(&self.version)));
        Roster::from_loaded(&loaded).unwrap()
    }
}

/// What a client makes of results and pushes: name and groups by address.
#[derive(Debug, Default, Eq, PartialEq)]
struct Client {
    version: String,
    contacts: BTreeMap<String, (String, Vec<String>)>,
}

impl Client {
    fn hear(&mut self, query: &str) {
        let iq = iq(query);
        let query = iq.payload().unwrap();
        let attribute = |node: &crate::xml::Node<'_>, name| {
            node.attribute(name).unwrap_or_default().into_owned()
        };
        self.version = attribute(&query, "ver");
        for item in query.children() {
            let jid = attribute(&item, "jid");
            match &*attribute(&item, "subscription") {
                "remove" => {
                    self.contacts.remove(&jid).unwrap();
                }
                _ => {
                    let groups = item.children().map(|group| group.text().into_owned());
                    let name = attribute(&item, "name");
                    self.contacts.insert(jid, (name, groups.collect()));
                }
            }
        }
    }
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{0,2}",
        "[<>&'\"\\\\\t\n \r\u{e9}\u{1f600}]{0,4}",
        "\\PC{0,5}"
    ]
}

/// The payload of a roster set, and how far the clock goes.
fn sets() -> impl Strategy<Value = (String, i64)> {
    let jids = proptest::sample::select(vec![
        "a@x",
        "B@x",
        "b@x",
        "x",
        "\u{e9}@x",
        "\u{c9}@x",
        "juliet@example.com",
        "a@x/r",
        "",
    ]);
    let update = (texts(), proptest::collection::vec(texts(), 0..4));
    let wish = prop_oneof![3 => update.prop_map(Some), 1 => Just(None)];
    (jids, wish, -2..3_i64).prop_map(|(jid, wish, later)| {
        let payload = text(|w| {
            w.open("query").attribute("xmlns", "jabber:iq:roster");
            w.open("item").attribute("jid", jid);
            match &wish {
                Some((name, groups)) => {
                    w.attribute("name", name);
                    for group in groups {
                        w.leaf("group", group);
                    }
                }
                None => {
                    w.attribute("subscription", "remove");
                }
            }
            w.close().close();
        });
        (payload, later)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn memory_disk_and_clients_agree_after_each_change(
        sets in proptest::collection::vec(sets(), 0..24),
        max_contacts in 2..6_usize,
    ) {
        let (mut roster, mut disk, mut client) = (Roster::default(), Disk::default(), Client::default());
        client.hear(&whole(&roster));
        let mut clock = 5;
        for (payload, later) in sets {
            clock += later;
            let before = roster.clone();
            let done = read_set(&payload).and_then(|set| roster.apply(set, at(clock), max_contacts));
            let Ok(change) = done else {
                prop_assert_eq!(&roster, &before);
                continue;
            };
            prop_assert!(roster.version() > before.version());
            prop_assert!(roster.len() <= max_contacts);
            prop_assert!(!written(&change).is_empty());
            disk.write(&change.ops);
            prop_assert_eq!(&disk.load(), &roster);
            client.hear(&pushed(&change));
            let mut afresh = Client::default();
            afresh.hear(&whole(&roster));
            prop_assert_eq!(&client, &afresh);
            prop_assert!(whole(&roster).len() <= roster.written + 80);
        }
    }

    #[test]
    fn no_row_panics(fields in proptest::collection::vec(
        prop_oneof![
            Just(Field::Absent),
            any::<i64>().prop_map(Field::Int),
            "(a@b|none|to|subscribe|true|\\[(\"a\",?)*\\]|\\PC{0,4})".prop_map(|text| Field::text(&text)),
        ],
        0..9,
    )) {
        if let Ok(item) = Item::from_row(&Row(fields)) {
            prop_assert_eq!(Item::from_row(&item.to_row()), Ok(item));
        }
    }
}
