//! What only PostgreSQL does.

mod lost;

use spondee_core::archive::ARCHIVE;
use spondee_core::catalog::CATALOG;
use spondee_core::entropy::Entropy;
use spondee_core::jid::BareJid;
use spondee_core::sasl::{CREDENTIALS, Credentials, Dates, DeriveParams, Status, Verifier};
use spondee_core::secret::Secret;
use spondee_core::store::{
    Batch, Class, Entry, Expect, Kept, Kind, Need, Op, Payload, Reply, Row, StoreError,
};

use super::connect::Ask;
use super::fields::read_row;
use super::*;
use crate::store::tests::cluster;
use crate::store::unseen::Fill;

fn open() -> Option<Postgresql> {
    cluster::postgresql(&CATALOG)
}

fn batch(ops: Vec<Op>) -> Batch {
    Batch {
        owner: BareJid::parse("juliet@x.example").unwrap(),
        tenure: 0,
        class: Class::Change,
        ops,
    }
}

fn append(key: i64) -> Batch {
    batch(vec![Op::Append {
        log: ARCHIVE,
        entries: vec![Entry {
            key,
            peer: "romeo@y.example".into(),
            resource: Some("balcony".into()),
            kept: Kept::Both,
            payload: Payload(vec!["<message/>".into()]),
        }],
    }])
}

#[test]
fn every_table_has_the_columns_of_its_shape() {
    let Some(mut store) = open() else { return };
    for table in CATALOG.tables {
        let columns = table.all().map(|column| {
            let kind = match column.kind {
                Kind::Bytes => "bytea",
                Kind::Int | Kind::Time => "bigint",
                Kind::Text | Kind::Xml => "text",
            };
            let need = match column.need {
                Need::Always => "NO",
                Need::Sometimes => "YES",
            };
            format!("{} {kind} {need}", column.name)
        });
        let expected: Vec<String> = ["owner bigint NO".to_owned()]
            .into_iter()
            .chain(columns)
            .collect();
        let found = store.texts(&format!(
            "SELECT column_name || ' ' || data_type || ' ' || is_nullable FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = '{}' ORDER BY ordinal_position",
            table.name
        ));
        assert_eq!(found, expected, "{table:?}");
    }
}

/// Every statement finds its rows by an index, and in their order, however little there is.
#[test]
fn no_statement_reads_a_whole_table_or_sorts_one() {
    let Some(mut store) = open() else { return };
    let sql = store.sql.clone();
    for words in sql.all() {
        let count = (1..)
            .take_while(|n| words.contains(&format!("${n}")))
            .count();
        let nothing = vec!["NULL"; count].join(", ");
        let given = if count == 0 {
            String::new()
        } else {
            format!("({nothing})")
        };
        store.say(&format!("PREPARE plan AS {words}"));
        let plan = store.texts(&format!("EXPLAIN (COSTS OFF) EXECUTE plan{given}"));
        store.say("DEALLOCATE plan");
        // The keys of entries that are wanted one by one are few.
        let may_sort = words.contains("key = ANY");
        let bad = |line: &&String| {
            let joins = ["Seq Scan", "Hash", "Merge"];
            joins.iter().any(|join| line.contains(join)) || (line.contains("Sort") && !may_sort)
        };
        assert_eq!(plan.iter().find(bad), None, "{words}\n{}", plan.join("\n"));
        // By contact in the index of contacts, and what is owed in that of what is owed.
        let by = |sign: &str, index: &str| {
            !words.contains(sign) || plan.iter().any(|line| line.contains(index))
        };
        assert!(by("kept >= 2", "archive_owed "), "{words}");
        assert!(by("kept = 2", "archive_owed_only "), "{words}");
        let owed = words.contains("kept >= 2");
        assert!(by("peer = $4", "archive_by_peer ") || owed, "{words}");
    }
}

#[test]
fn people_can_read_what_is_there() {
    let Some(mut store) = open() else { return };
    for key in [1_700_000_000_000_000, i64::MAX - 1] {
        assert_eq!(store.apply(&[append(key)]), [Ok(vec![Reply::Done])]);
    }
    let found = store.texts(
        "SELECT address || ' ' || time || ' ' || peer || ' ' || kept FROM readable_archive ORDER BY time",
    );
    let who = "romeo@y.example archived and owed";
    assert_eq!(
        found,
        [
            format!("juliet@x.example 2023-11-14T22:13:20.000Z {who}"),
            format!("juliet@x.example 9223372036854775806 {who}")
        ]
    );
    for table in CATALOG.tables {
        store.texts(&format!(
            "SELECT address::text FROM readable_{}",
            table.name
        ));
    }
}

#[test]
fn what_was_kept_is_there_when_it_is_opened_again() {
    let Some(mut store) = open() else { return };
    assert_eq!(store.apply(&[append(1)]), [Ok(vec![Reply::Done])]);
    let (config, schema) = (store.config.clone(), store.schema.clone());
    drop(store);
    let mut again = Postgresql::open_in(config, &schema, &CATALOG).unwrap();
    assert_eq!(again.number("SELECT count(*) FROM archive"), 1);
}

#[test]
fn refuses_a_newer_schema_and_tables_of_others() {
    let Some(mut store) = open() else { return };
    let (config, schema) = (store.config.clone(), store.schema.clone());
    let refused = || Postgresql::open_in(config.clone(), &schema, &CATALOG).unwrap_err();
    store.say("UPDATE meta SET value = '99' WHERE name = 'schema'");
    assert!(
        refused().contains("made by a newer version"),
        "{}",
        refused()
    );
    store.say("UPDATE meta SET value = '1' WHERE name = 'schema'; DROP TABLE roster CASCADE");
    assert!(
        refused().contains("the table roster is gone"),
        "{}",
        refused()
    );
    store.say("DROP TABLE meta");
    assert!(
        refused().contains("tables of another program"),
        "{}",
        refused()
    );
}

#[test]
fn says_what_to_do_where_there_is_no_database() {
    let Some(store) = open() else { return };
    let mut config = store.config;
    config.dbname("elsewhere");
    let refused = Postgresql::open(config.clone(), &CATALOG).unwrap_err();
    assert!(refused.contains("createdb --owner=postgres"), "{refused}");
    config.port(1);
    let refused = Postgresql::open(config, &CATALOG).unwrap_err();
    assert!(refused.contains("cannot reach"), "{refused}");
}

/// As many rows are read for a name that nobody has as for an account with keys, and for one with its password.
#[test]
fn nobody_is_read_as_accounts_of_either_kind_are() {
    let Some(mut store) = open() else { return };
    let put = |jid: &str, row| Batch {
        owner: BareJid::parse(jid).unwrap(),
        ..batch(vec![Op::Put {
            table: &CREDENTIALS,
            row,
            expect: Expect::Anything,
        }])
    };
    let credentials = |verifier| {
        let status = Status::Enabled;
        Credentials { status, verifier }.to_row(Dates::default())
    };
    let jobs = DeriveParams::for_new_password(1, &mut Entropy::new([3; 32]));
    let keys = jobs.iter().map(|job| job.derive(&Secret::default()));
    let keys = credentials(Verifier::Keys(keys.collect()));
    let plain = credentials(Verifier::Password(Secret::new(b"rosemary".to_vec())));
    let names = [
        "keys@x.example",
        "keys2@x.example",
        "plain@x.example",
        "plain2@x.example",
    ];
    for (name, row) in names.iter().zip([&keys, &keys, &plain, &plain]) {
        assert!(store.apply(&[put(name, row.clone())])[0].is_ok());
    }
    let mut read = |name: &str| {
        let get = Op::Get {
            table: &CREDENTIALS,
            key: Row(Vec::new()),
        };
        let get = Batch {
            owner: BareJid::parse(name).unwrap(),
            class: Class::SignIn,
            ..batch(vec![get])
        };
        // Several at once, in which who stands in is learnt and forgotten.
        let outcomes = store.apply(&[get.clone(), get.clone()]);
        assert_eq!(outcomes[0], outcomes[1]);
        let owner = get.owner.clone();
        let rows = store.with(|runtime, link, sql, owners| {
            let ask = reads::ask(sql, owners, &owner, &get.ops[0]).map_err(Stop::fault)?;
            link.ask(runtime, &ask).map_err(Stop::failed)
        });
        let fills = |row: &tokio_postgres::Row| Fill::of(&read_row(&CREDENTIALS, row, 2).unwrap());
        let mut fills: Vec<Fill> = rows.unwrap()[0].iter().map(fills).collect();
        fills.sort_by_key(|fill| *fill == Fill::Sparse);
        (outcomes[0].clone(), fills)
    };
    for name in ["keys@x.example", "plain@x.example"] {
        assert!(read(name).0.is_ok());
    }
    for (name, row) in [
        ("keys2@x.example", Some(keys.clone())),
        ("plain2@x.example", Some(plain.clone())),
        ("keys@x.example", Some(keys)),
        ("plain@x.example", Some(plain)),
        ("nobody@x.example", None),
    ] {
        let (outcome, fills) = read(name);
        assert_eq!(outcome, Ok(vec![Reply::Row(row)]), "{name}");
        assert_eq!(fills, [Fill::Full, Fill::Sparse], "{name}");
    }
}

/// Ends the connection of a back end, as a server that is started anew does.
fn cut(store: &mut Postgresql, other: &mut Postgresql) {
    let process = store.number("SELECT pg_backend_pid()::bigint");
    let ended =
        format!("SELECT 1::bigint FROM pg_terminate_backend({process}, 5000) AS done WHERE done");
    assert_eq!(other.number(&ended), 1);
}

/// It is seen before anything is asked: a server that is started anew when nobody writes is noticed by nobody.
#[test]
fn a_connection_that_was_lost_meanwhile_is_made_anew() {
    let (Some(mut store), Some(mut other)) = (open(), open()) else {
        return;
    };
    for key in 1..4 {
        assert_eq!(store.apply(&[append(key)]), [Ok(vec![Reply::Done])]);
        cut(&mut store, &mut other);
    }
    assert_eq!(store.number("SELECT count(*) FROM archive"), 3);
}

#[test]
fn a_batch_that_the_database_refuses_leaves_the_others_of_its_group_alone() {
    let Some(mut store) = open() else { return };
    let outcomes = store.apply(&[append(1), append(1), append(2)]);
    let done = Ok(vec![Reply::Done]);
    assert_eq!(outcomes, [done.clone(), Err(StoreError::Failed), done]);
    assert_eq!(store.number("SELECT count(*) FROM archive"), 2);
}

/// Has the database fail with this code when an entry of this key is appended.
fn fail(store: &mut Postgresql, key: i64, code: &str) {
    store.say(&format!(
        "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.key = {key} THEN RAISE EXCEPTION 'as asked' USING ERRCODE = '{code}'; END IF;
            RETURN NEW;
        END $$;
        CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON archive FOR EACH ROW EXECUTE FUNCTION fail()"
    ));
}

#[test]
fn an_error_means_the_same_as_with_sqlite() {
    let Some(mut store) = open() else { return };
    for (code, meaning) in [
        ("53100", StoreError::Full),
        ("40P01", StoreError::Busy),
        ("53200", StoreError::Busy),
        ("57014", StoreError::Busy),
    ] {
        fail(&mut store, 1, code);
        // None of the group is tried again: it would end as the first did.
        let all = vec![Err(meaning); 2];
        assert_eq!(store.apply(&[append(1), append(2)]), all, "{code}");
        assert_eq!(store.number("SELECT count(*) FROM archive"), 0);
    }
    fail(&mut store, 1, "XX001");
    let done = Ok(vec![Reply::Done]);
    let outcomes = store.apply(&[append(1), append(2)]);
    assert_eq!(outcomes, [Err(StoreError::Failed), done.clone()]);
    // Nothing is remembered of what was rolled back: not even who was new in it.
    store.say("DELETE FROM archive; DELETE FROM owner");
    let (config, schema) = (store.config.clone(), store.schema.clone());
    let mut store = Postgresql::open_in(config, &schema, &CATALOG).unwrap();
    assert_eq!(store.apply(&[append(1)]), [Err(StoreError::Failed)]);
    assert_eq!(store.number("SELECT count(*) FROM owner"), 0);
    assert_eq!(store.apply(&[append(2)]), [done]);
    assert_eq!(
        store.number("SELECT count(*) FROM archive JOIN owner ON owner.id = owner"),
        1
    );
}

#[test]
fn what_purged_owners_have_left_goes_in_steps() {
    let Some(mut store) = open() else { return };
    let entries = |from: i64| {
        let entries = (from..from + 400).map(|key| Entry {
            key,
            peer: "romeo@y.example".into(),
            resource: None,
            kept: Kept::Archived,
            payload: Payload(vec!["<message/>".into()]),
        });
        batch(vec![Op::Append {
            log: ARCHIVE,
            entries: entries.collect(),
        }])
    };
    for batch in [entries(0), entries(400), batch(vec![Op::Purge]), append(9)] {
        assert!(store.apply(&[batch])[0].is_ok());
    }
    let erase = || Batch {
        class: Class::Upkeep,
        ..batch(vec![Op::Erase])
    };
    let erased = |erased| [Ok(vec![Reply::Erased(erased)])];
    for left in [301, 1, 1] {
        assert_eq!(store.apply(&[erase()]), erased(Erased::Some));
        assert_eq!(store.number("SELECT count(*) FROM archive"), left);
    }
    assert_eq!(store.apply(&[erase()]), erased(Erased::All));
    assert_eq!(store.number("SELECT count(*) FROM owner"), 1);
}

#[test]
fn who_waits_for_another_program_may_try_again() {
    let (Some(mut store), Some(other)) = (open(), open()) else {
        return;
    };
    let table = format!("{}.archive", store.schema);
    let mut other = other;
    other.say(&format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE"));
    store.say("SET lock_timeout = 10");
    let busy = vec![Err(StoreError::Busy); 2];
    assert_eq!(store.apply(&[append(1), append(2)]), busy);
    other.say("COMMIT");
    assert_eq!(store.apply(&[append(1)]), [Ok(vec![Reply::Done])]);
}

impl Postgresql {
    /// The first number that a query finds.
    pub(in crate::store) fn number(&mut self, sql: &str) -> i64 {
        let found = self.with(|runtime, link, _, _| {
            let found = link.ask(runtime, &[Ask::new(sql, Vec::new())]);
            found.map_err(Stop::failed)
        });
        found.unwrap()[0][0].get(0)
    }

    fn say(&mut self, words: &str) {
        let said = self.with(|runtime, link, _, _| link.say(runtime, words).map_err(Stop::failed));
        said.unwrap();
    }

    fn texts(&mut self, sql: &str) -> Vec<String> {
        let found = self.with(|runtime, link, _, _| {
            let found = link.ask(runtime, &[Ask::new(sql, Vec::new())]);
            found.map_err(Stop::failed)
        });
        let found = found.unwrap().remove(0);
        found.iter().map(|row| row.get(0)).collect()
    }
}
