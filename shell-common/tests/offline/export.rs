//! `user export` and `user import` of all that an account may have.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use spondee_core::archive::{ARCHIVE, ARCHIVE_PREFS, ARCHIVE_RULE, SPOOL};
use spondee_core::blocking::BLOCKLIST;
use spondee_core::jid::BareJid;
use spondee_core::private::PRIVATE;
use spondee_core::roster::{ROSTER, ROSTER_REQUESTS, ROSTER_UNSAID, ROSTER_VERSION};
use spondee_core::sasl::{CREDENTIALS, IMPORTS, TOMBSTONES};
use spondee_core::store::{
    Batch, Class, Entry, Expect, Field, Kept, Op, Order, Payload, Pick, Reply, Row, Table,
};
use spondee_core::vcard::VCARD;
use spondee_core::xep::ACTIVITY;
use spondee_shell_common::boot::DataDirectory;
use spondee_shell_common::store::Backend as _;

use super::place::Place;

pub(super) const JULIET: &str = "juliet@example.org";
const ROMEO: &str = "romeo@example.net";

/// 2026-11-22T03:04:05Z.
const NOON: i64 = 1_795_316_645_000_000;

pub(super) fn apply(place: &Place, account: &str, class: Class, ops: Vec<Op>) -> Vec<Reply> {
    let mut store = DataDirectory::open(&place.path("data"))
        .unwrap()
        .store()
        .unwrap();
    let batch = Batch {
        owner: BareJid::parse(account).unwrap(),
        tenure: 0,
        class,
        ops,
    };
    store.apply(&[batch]).remove(0).unwrap()
}

fn xml(text: &str) -> Field {
    Field::Xml(text.to_owned().into())
}

fn put(table: Table, fields: Vec<Field>) -> Op {
    Op::Put {
        table,
        row: Row(fields),
        expect: Expect::Anything,
    }
}

pub(super) fn entry(key: i64, kept: Kept, payload: &str) -> Entry {
    Entry {
        key,
        peer: ROMEO.into(),
        resource: (key % 2 == 0).then(|| "orchard".into()),
        kept,
        payload: Payload(match payload {
            "" => vec![],
            payload => vec![payload.to_owned().into()],
        }),
    }
}

/// Text that is hard to carry: quotes of both kinds, references, characters beyond the first plane, a carriage return.
const HARD: &str = "a'b\"c&amp;d &lt;e&gt; \u{e9}\u{1f600}&#13;\n ]]&gt;";

fn message(number: i64) -> String {
    format!(
        "<message to='{JULIET}' from='{ROMEO}/orchard' type='chat' id=\"n'{number}\" xml:lang='it'><body>{HARD} {number}</body>\
         <x:x xmlns:x='urn:x' x:y='1'><x:z/></x:x></message>"
    )
}

/// An account with something of everything.
pub(super) fn furnish(place: &Place) {
    let add = format!("spondee user add {JULIET}");
    place.run(&add, "secret\n").is_done();
    let disable = format!("spondee user disable {JULIET}");
    place.run(&disable, "").is_done();
    let mut ops = contacts();
    ops.extend(lists());
    apply(place, JULIET, Class::Change, ops);
    // Of each kind on both sides of the mark.
    let kinds = [Kept::Archived, Kept::Owed, Kept::Both];
    let mut entries = Vec::new();
    for (kept, at) in kinds.into_iter().cycle().zip(0..9) {
        entries.push(entry(NOON - 9_000 + 1_000 * at, kept, &message(at)));
    }
    entries.push(entry(NOON - 1, Kept::Archived, ""));
    let empty = format!("<message to='{JULIET}' from='{ROMEO}'/>");
    entries.push(entry(NOON, Kept::Both, &empty));
    let log = ARCHIVE;
    apply(
        place,
        JULIET,
        Class::Append,
        vec![Op::Append { log, entries }],
    );
}

fn time(ago: i64) -> Field {
    Field::Time(NOON - ago)
}

fn contacts() -> Vec<Op> {
    let text = Field::text;
    let subscribe = format!(
        "<presence to='{JULIET}' from='tybalt@example.net' type='subscribe'><status>{HARD}</status></presence>"
    );
    let subscribed = format!("<presence to='{ROMEO}' from='{JULIET}' type='subscribed'/>");
    let romeo = vec![
        text(ROMEO),
        text("Romeo <\"M'&\r\n\u{1f600}>"),
        text("both"),
        Field::Absent,
        Field::Absent,
        text("[\"Friends & \\\"family\\\"\",\"b\"]"),
    ];
    let nurse = vec![
        text("nurse@example.org"),
        Field::Absent,
        text("none"),
        text("subscribe"),
        text("true"),
        Field::Absent,
    ];
    let request = vec![text("tybalt@example.net"), time(5), xml(&subscribe)];
    vec![
        put(&ROSTER, romeo),
        put(&ROSTER, nurse),
        put(&ROSTER_VERSION, vec![Field::Int(NOON)]),
        put(&ROSTER_REQUESTS, request),
        put(
            &ROSTER_UNSAID,
            vec![text(ROMEO), Field::Absent, xml(&subscribed)],
        ),
    ]
}

fn lists() -> Vec<Op> {
    let text = Field::text;
    let bookmarks = "<storage xmlns='storage:bookmarks'><conference name='a &amp; b'/></storage>";
    let prefs = "<exodus xmlns='exodus:prefs'><defaultnick>J</defaultnick></exodus>";
    let card = "<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>";
    let spool = vec![
        time(4_000),
        Field::Time(NOON),
        Field::Int(7),
        Field::Int(700),
    ];
    vec![
        put(&BLOCKLIST, vec![text("paris@example.net"), time(6)]),
        put(&BLOCKLIST, vec![text("spam.example/x"), time(7)]),
        put(&ACTIVITY, vec![time(8), text("gone <home>")]),
        put(&SPOOL, spool),
        put(&ARCHIVE_PREFS, vec![text("roster")]),
        put(&ARCHIVE_RULE, vec![text(ROMEO), text("always")]),
        put(&ARCHIVE_RULE, vec![text("spam.example"), text("never")]),
        put(
            &PRIVATE,
            vec![text("storage:bookmarks"), text("storage"), xml(bookmarks)],
        ),
        put(
            &PRIVATE,
            vec![text("exodus:prefs"), text("exodus"), xml(prefs)],
        ),
        put(&VCARD, vec![xml(card)]),
    ]
}

/// All that is kept of an account, table by table and message by message.
pub(super) fn everything(place: &Place, account: &str) -> (Vec<(Table, Vec<Row>)>, Vec<Entry>) {
    let tables: [Table; 15] = [
        &ACTIVITY,
        &ARCHIVE_PREFS,
        &ARCHIVE_RULE,
        &BLOCKLIST,
        &CREDENTIALS,
        &IMPORTS,
        &PRIVATE,
        &ROSTER,
        &ROSTER_REQUESTS,
        &ROSTER_UNSAID,
        &ROSTER_VERSION,
        &SPOOL,
        &TOMBSTONES,
        &VCARD,
        &ROSTER,
    ];
    let list = |table: &Table| Op::List {
        table,
        prefix: Row::default(),
        after: None,
        limit: 512,
    };
    let lists = tables.iter().map(list).collect();
    let rows = apply(place, account, Class::Load, lists)
        .into_iter()
        .map(|reply| {
            let Reply::Rows { rows, .. } = reply else {
                panic!("{reply:?}");
            };
            rows
        });
    let rows = tables.into_iter().zip(rows).collect();
    let pick = Pick {
        kept: Kept::Both,
        peer: None,
        ids: None,
        after: None,
        before: None,
        upto: i64::MAX,
        order: Order::Forward,
        limit: 256,
    };
    let page = Op::Page {
        log: ARCHIVE,
        pick: Box::new(pick),
    };
    let replies = apply(place, account, Class::Page, vec![page]);
    let [Reply::Page(page)] = <[Reply; 1]>::try_from(replies).unwrap() else {
        panic!("no page");
    };
    (rows, page.entries)
}

pub(super) fn export(place: &Place, account: &str) -> String {
    place
        .run(&format!("spondee user export {account}"), "")
        .is_done()
        .out
        .clone()
}

/// Ids of archives are each server's own.
fn without_ids(text: &str) -> String {
    let mut parts = text.split(" id='");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |before, part| {
        let (id, behind) = part.split_once('\'').unwrap();
        let id = if id.len() == 22 { "ID" } else { id };
        format!("{before} id='{id}'{behind}")
    })
}

#[test]
fn what_is_exported_comes_back_whole_and_is_exported_alike() {
    let (from, to) = (Place::new(), Place::new());
    furnish(&from);
    let file = export(&from, JULIET);
    fs::write(to.path("juliet.xml"), &file).unwrap();
    let line = format!("spondee user import {}", to.path("juliet.xml").display());
    let done = to.run(&line, "");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(
        done.out,
        format!(
            "{JULIET} was imported: 2 contacts, 8 archived messages, 3 that wait, 1 requests, 2 blocked addresses, 2 elements of private XML, \
             1 card\n"
        )
    );
    let (rows_before, messages_before) = everything(&from, JULIET);
    let (rows, messages) = everything(&to, JULIET);
    assert_eq!(rows, rows_before);
    // What was owed and is delivered is there as what it is; what is merely waiting for upkeep is not.
    let expected: Vec<Entry> = messages_before
        .into_iter()
        .filter_map(|entry| {
            let delivered = entry.key <= NOON - 4_000;
            let kept = match delivered {
                true => entry.kept.without(Kept::Owed)?,
                false => entry.kept,
            };
            Some(Entry { kept, ..entry })
        })
        .collect();
    assert_eq!(messages, expected);
    for (entry, expected) in messages.iter().zip(&expected) {
        assert_eq!(entry.payload.joined(), expected.payload.joined());
    }
    assert_eq!(without_ids(&export(&to, JULIET)), without_ids(&file));
    // The day of its making included, and that it is disabled.
    to.run(&format!("spondee user enable {JULIET}"), "")
        .is_done();
}

#[test]
fn a_file_has_its_name_when_it_is_whole_and_is_for_its_owner_only() {
    let place = Place::new();
    furnish(&place);
    let file = place.path("out/juliet.xml");
    let line = format!("spondee user export {JULIET} --output {}", file.display());
    place
        .run(&line, "")
        .is_refused(3, "No such file or directory");
    fs::create_dir(place.path("out")).unwrap();
    fs::write(&file, "what was there before").unwrap();
    let said = format!(
        "{JULIET} was written to {}: 8 archived messages, 3 that wait\n",
        file.display()
    );
    assert_eq!(place.run(&line, "").is_done().out, said);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), export(&place, JULIET));
    // Nothing else is left there, also by one that came to nothing.
    let nobody = format!(
        "spondee user export nobody@example.org --output {}",
        place.path("out/nobody.xml").display()
    );
    place
        .run(&nobody, "")
        .is_refused(1, "there is no user nobody@example.org");
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 1);
    let directory = format!(
        "spondee user export {JULIET} --output {}",
        place.path("out").display()
    );
    place
        .run(&directory, "")
        .is_refused(3, "what is there is no file");
}

#[test]
fn an_account_that_has_nothing_is_a_file_and_comes_back() {
    let (from, to) = (Place::new(), Place::new());
    from.run(&format!("spondee user add {JULIET}"), "secret\n")
        .is_done();
    fs::write(to.path("juliet.xml"), export(&from, JULIET)).unwrap();
    let line = format!("spondee user import {}", to.path("juliet.xml").display());
    let said = format!("{JULIET} was imported: 0 contacts, 0 archived messages, 0 that wait\n");
    assert_eq!(to.run(&line, "").is_done().out, said);
    assert_eq!(everything(&to, JULIET), everything(&from, JULIET));
}

/// Other programs that use the database, such as a server that runs.
#[test]
fn an_account_is_exported_while_somebody_else_has_the_database() {
    let place = Place::new();
    furnish(&place);
    let alone = export(&place, JULIET);
    let data = DataDirectory::open(&place.path("data")).unwrap();
    let store = data.store().unwrap();
    assert_eq!(export(&place, JULIET), alone);
    drop(store);
    drop(data);
    place
        .run("spondee user export juliet@example.com", "")
        .is_refused(1, "the host example.com is not served");
}
