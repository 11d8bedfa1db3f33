//! Random batches: all back ends give the same answers.

use proptest::prelude::*;
use spondee_core::store::{Amount, Entry, Kept, Order, Payload, Peer, Pick};

use super::super::{Begun, Quiet, Tended};
use super::*;

const KEYS: [&str; 4] = ["", "a", "b", "\u{e9}"];
const PEERS: [&str; 3] = ["b@y.example", "c@y.example", "y.example"];

/// A third of a day: pages by contact cross days.
const STEP: i64 = 28_800_000_000;

fn any_text() -> impl Strategy<Value = Field> {
    prop::sample::select(KEYS.to_vec()).prop_map(Field::text)
}

fn any_place_key() -> impl Strategy<Value = Row> {
    (any_text(), 0..4_i64).prop_map(|(room, number)| Row(vec![room, Field::Int(number)]))
}

fn any_prefix() -> impl Strategy<Value = Row> {
    (any_place_key(), 0..3_usize).prop_map(|(key, length)| Row(key.0[..length].to_vec()))
}

fn any_expect() -> impl Strategy<Value = Expect> {
    prop::sample::select(vec![Expect::Absent, Expect::Anything, Expect::Present])
}

fn any_kept() -> impl Strategy<Value = Kept> {
    prop::sample::select(vec![Kept::Archived, Kept::Owed, Kept::Both])
}

fn any_peer() -> impl Strategy<Value = Option<Peer>> {
    let bare = prop::sample::select(PEERS.to_vec()).prop_map(Bytes::from);
    let resource = prop::option::of(Just(Bytes::from("phone")));
    prop::option::of((bare, resource).prop_map(|(bare, resource)| Peer { bare, resource }))
}

fn any_write() -> impl Strategy<Value = Op> {
    let place = (any_place_key(), prop::option::of(any::<i64>()), any_text());
    let place = place.prop_map(|(Row(mut fields), since, card)| {
        let Field::Text(card) = card else {
            unreachable!("a text");
        };
        fields.push(since.map_or(Field::Absent, Field::Time));
        fields.extend([Field::Xml(card.clone()), Field::Bytes(card)]);
        Row(fields)
    });
    let note = (any_text(), any_text()).prop_map(|(key, value)| Row(vec![key, value]));
    prop_oneof![
        1 => any_place_key().prop_map(|key| Op::Delete { table: &PLACES, key }),
        1 => any_prefix().prop_map(|prefix| Op::DeletePrefix { table: &PLACES, prefix }),
        1 => Just(Op::Purge),
        4 => (place, any_expect())
            .prop_map(|(row, expect)| Op::Put { table: &PLACES, row, expect }),
        2 => (note, any_expect()).prop_map(|(row, expect)| Op::Put { table: &NOTES, row, expect }),
        1 => any_text().prop_map(|word| Op::Put {
            table: &STATE,
            row: Row(vec![word]),
            expect: Expect::Anything,
        }),
        2 => (0..40_i64, any_kept(), 1..6_u32).prop_map(|(before, kept, limit)| Op::Trim {
            log: LOG,
            before: before * STEP,
            kept,
            limit,
        }),
        1 => (0..40_i64).prop_map(|key| done(key * STEP)),
        1 => (0..40_i64).prop_map(|key| Op::Blank { log: LOG, key: key * STEP }),
        // Its keys are made later: they rise.
        5 => (any_peer(), any_kept(), any_text()).prop_map(|(peer, kept, text)| {
            let Field::Text(text) = text else {
                unreachable!("a text");
            };
            let peer = peer.unwrap_or(Peer { bare: Bytes::from("a@x.example"), resource: None });
            Op::Append {
                log: LOG,
                entries: vec![Entry {
                    key: 0,
                    peer: peer.bare,
                    resource: peer.resource,
                    kept,
                    payload: Payload(vec![text]),
                }],
            }
        }),
    ]
}

fn any_pick() -> impl Strategy<Value = Pick> {
    let bound = || prop::option::of((0..40_i64).prop_map(|n| n * STEP));
    let ids = prop::collection::vec((0..40_i64).prop_map(|n| n * STEP), 1..3);
    let upto = prop_oneof![Just(i64::MAX), (0..40_i64).prop_map(|n| n * STEP)];
    let order = prop::sample::select(vec![Order::Backward, Order::Forward]);
    let rest = (upto, order, 1..6_u32);
    (
        any_kept(),
        any_peer(),
        prop::option::weighted(0.2, ids),
        bound(),
        bound(),
        rest,
    )
        .prop_map(
            |(kept, peer, ids, after, before, (upto, order, limit))| Pick {
                kept,
                peer,
                ids,
                after,
                before,
                upto,
                order,
                limit,
            },
        )
}

fn any_read() -> impl Strategy<Value = Op> {
    let after = prop::option::of(any_owner());
    let bound = || prop::option::of((0..40_i64).prop_map(|n| n * STEP));
    let list = (any_prefix(), prop::option::of(any_place_key()), 1..4_u32);
    prop_oneof![
        2 => any_place_key().prop_map(|key| Op::Get { table: &PLACES, key }),
        1 => any_text().prop_map(|key| Op::Get { table: &NOTES, key: Row(vec![key]) }),
        3 => list.prop_map(|(prefix, after, limit)| {
            let after = after.filter(|after| after.0.starts_with(&prefix.0));
            Op::List { table: &PLACES, prefix, after, limit }
        }),
        1 => Just(Op::Load),
        1 => (after, 1..4_u32)
            .prop_map(|(after, limit)| Op::Owners { table: &STATE, after, limit }),
        4 => any_pick().prop_map(|pick| Op::Page { log: LOG, pick: Box::new(pick) }),
        1 => (any_kept(), any_peer(), bound(), bound(), 0..40_i64).prop_map(
            |(kept, peer, after, before, upto)| Op::Count {
                log: LOG,
                kept,
                peer,
                after,
                before,
                upto: upto * STEP,
            },
        ),
        1 => (any_kept(), 0..9_u64, 0..99_u64, 0..40_i64).prop_map(
            |(kept, entries, bytes, upto)| Op::Measure {
                log: LOG,
                kept,
                most: Amount { entries, bytes },
                upto: upto * STEP,
            },
        ),
    ]
}

fn any_owner() -> impl Strategy<Value = BareJid> {
    let owners = vec!["a@x.example", "b@x.example", "a@y.example", "x.example"];
    prop::sample::select(owners).prop_map(jid)
}

fn any_sweep() -> impl Strategy<Value = Op> {
    let from = prop::option::of(any_owner());
    (0..40_i64, any_kept(), from, 1..6_u32).prop_map(|(before, kept, from, limit)| Op::Sweep {
        log: LOG,
        before: before * STEP,
        kept,
        from,
        limit,
    })
}

fn any_batch() -> impl Strategy<Value = Batch> {
    let ops = prop_oneof![
        5 => prop::collection::vec(any_write(), 1..5),
        5 => prop::collection::vec(any_read(), 1..5),
        1 => any_sweep().prop_map(|sweep| vec![sweep]),
    ];
    (any_owner(), ops).prop_map(|(owner, ops)| batch(owner.as_str(), ops))
}

fn any_groups() -> impl Strategy<Value = Vec<Vec<Batch>>> {
    prop::collection::vec(prop::collection::vec(any_batch(), 1..8), 1..8)
}

/// Gives every entry a key above all before it.
fn number(groups: &mut [Vec<Batch>]) {
    let mut last = 0;
    for op in groups.iter_mut().flatten().flat_map(|batch| &mut batch.ops) {
        if let Op::Append { entries, .. } = op {
            for entry in entries {
                last += 1;
                entry.key = last * STEP;
            }
        }
    }
}

const A: &str = "a@x.example";

/// What a reader answers in the end.
fn in_steps(reader: &mut dyn Backend, page: &Batch) -> Option<Result<Vec<Reply>, StoreError>> {
    let mut begun = Begun::default();
    // More than there are days.
    (0..100).find_map(|_| reader.page(page, &mut begun))
}

/// Nothing belongs to nobody, and every entry can be found by its contact.
fn check_whole(sqlite: &Sqlite) {
    let none = |sql: String| {
        let count = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let found = sqlite.connection().query_row(&sql, [], count).unwrap();
        assert_eq!(found, 0, "{sql}");
    };
    let tables = TESTED.tables.iter().map(|table| table.name);
    for table in tables.chain(["archive", "archive_day"]) {
        none(format!(
            "SELECT count(*) FROM {table} WHERE owner NOT IN (SELECT id FROM owner)"
        ));
    }
    none(
        "SELECT count(*) FROM archive WHERE NOT EXISTS
         (SELECT 1 FROM archive_day AS seen WHERE seen.owner = archive.owner
          AND seen.tag = archive.tag AND seen.day = archive.key / 86400000000)"
            .to_owned(),
    );
}

/// Nothing belongs to nobody.
fn check_owners(postgresql: &mut Postgresql) {
    let tables = TESTED.tables.iter().map(|table| table.name);
    for table in tables.chain(["archive"]) {
        let strays =
            format!("SELECT count(*) FROM {table} WHERE owner NOT IN (SELECT id FROM owner)");
        assert_eq!(postgresql.number(&strays), 0, "{table}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn all_back_ends_give_the_same_answers(mut groups in any_groups()) {
        number(&mut groups);
        let mut stores = Backends::new();
        // A page by contact takes many steps.
        stores.sqlite.set_page_steps(1);
        let mut memory = stores.memory.reader().unwrap();
        let mut readers = vec![stores.sqlite.reader().unwrap()];
        readers.extend(stores.postgresql.as_ref().map(|store| store.reader().unwrap()));
        for batches in groups {
            stores.apply(&batches);
            check_whole(&stores.sqlite);
            stores.sqlite.tend(Quiet::Yes);
            if let Some(postgresql) = &mut stores.postgresql {
                postgresql.tend(Quiet::Yes);
                check_owners(postgresql);
            }
            let reads: Vec<_> = batches.into_iter().filter(Batch::is_read_only).collect();
            for reader in &mut readers {
                prop_assert_eq!(memory.apply(&reads), reader.apply(&reads));
                for op in reads.iter().flat_map(|batch| &batch.ops) {
                    let page = batch(A, vec![op.clone()]);
                    prop_assert_eq!(in_steps(&mut **reader, &page), memory.apply(&[page]).pop());
                }
            }
        }
        while stores.sqlite.tend(Quiet::Yes) == Tended::More {}
        check_whole(&stores.sqlite);
        let left = "SELECT count(*) FROM owner WHERE jid IS NULL";
        let connection = stores.sqlite.connection();
        let found: i64 = connection.query_row(left, [], |row| row.get(0)).unwrap();
        prop_assert_eq!(found, 0);
        if let Some(postgresql) = &mut stores.postgresql {
            while postgresql.tend(Quiet::Yes) == Tended::More {}
            check_owners(postgresql);
            prop_assert_eq!(postgresql.number(left), 0);
        }
    }
}
