//! What is kept, and what was kept wrongly.

use super::*;
use crate::store::BadRow;

/// A usual row, changed.
pub(super) fn row(change: impl FnOnce(&mut Vec<Field>)) -> Row {
    let mut fields = vec![
        Field::text("nurse@example.com"),
        Field::Absent,
        Field::text("none"),
        Field::Absent,
        Field::Absent,
        Field::Absent,
    ];
    change(&mut fields);
    Row(fields)
}

fn load(rows: Vec<Row>, versions: Vec<Row>) -> Result<Roster, BadRow> {
    Roster::from_loaded(&Loaded {
        tables: vec![(&ROSTER, rows), (&ROSTER_VERSION, versions)],
        ends: Vec::new(),
    })
}

pub(super) fn roster(rows: &[&Row]) -> Result<Roster, BadRow> {
    let rows = rows.iter().map(|row| (*row).clone()).collect();
    load(rows, vec![Row(vec![Field::Int(1)])])
}

#[test]
fn nothing_kept_is_the_first_version() {
    assert_eq!(
        Roster::from_loaded(&Loaded::default()),
        Ok(Roster::default())
    );
    assert_eq!(Roster::default().version().to_text(), "0");
}

#[test]
fn a_row_reads_back_whatever_stands_in_it() {
    for change in [
        (|_: &mut Vec<Field>| ()) as fn(&mut Vec<Field>),
        |row| row[1] = Field::text("N\"u'r<s&e\n"),
        |row| row[2] = Field::text("to"),
        |row| row[2] = Field::text("both"),
        |row| row[3] = Field::text("subscribe"),
        |row| row[4] = Field::text("true"),
        |row| row[5] = Field::text(r#"["a","\"\\","\u00e9"," "]"#),
        |row| row[5] = Field::text(r#"["a"]"#),
    ] {
        let row = row(change);
        assert!(row.fits(&ROSTER), "{row:?}");
        let item = Item::from_row(&row).unwrap();
        let again = item.to_row();
        assert!(again.fits(&ROSTER));
        assert_eq!(Item::from_row(&again).unwrap(), item);
        assert_eq!(&again.0[..5], &row.0[..5]);
    }
}

#[test]
fn a_row_that_makes_no_sense_makes_the_roster_unreadable() {
    for (change, why) in [
        (
            (|row: &mut Vec<Field>| row.clear()) as fn(&mut Vec<Field>),
            "roster: no contact",
        ),
        (|row| row[0] = Field::Int(1), "roster: no contact"),
        (
            |row| row[0] = Field::text("@"),
            "roster, contact \"@\": no bare address",
        ),
        (
            |row| row[0] = Field::text("a@b/c"),
            "roster, contact \"a@b/c\": no bare address",
        ),
        (
            |row| row[0] = Field::text("A@b"),
            "roster, contact \"A@b\": an address that is not prepared",
        ),
        (|row| row.truncate(5), "not as many columns as there are"),
        (
            |row| row.push(Field::Absent),
            "not as many columns as there are",
        ),
        (|row| row[1] = Field::Int(1), "no name"),
        (|row| row[1] = Field::text("a\0b"), "no name"),
        (|row| row[1] = Field::Text(b"\xff"[..].into()), "no name"),
        (|row| row[2] = Field::text("remove"), "no such subscription"),
        (|row| row[2] = Field::Absent, "no such subscription"),
        (
            |row| row[3] = Field::text("unsubscribe"),
            "nothing that is asked",
        ),
        (
            |row| row[4] = Field::text("false"),
            "neither approved nor not",
        ),
        (
            |row| {
                row[2] = Field::text("to");
                row[3] = Field::text("subscribe");
            },
            "asked for what is there",
        ),
        (|row| row[5] = Field::text(""), "no list of groups"),
        (|row| row[5] = Field::text("a"), "no list of groups"),
        (|row| row[5] = Field::text("[1]"), "no list of groups"),
        (|row| row[5] = Field::text(r#"[""]"#), "no list of groups"),
        (
            |row| row[5] = Field::text(r#"["a","a"]"#),
            "no list of groups",
        ),
        (
            |row| row[5] = Field::text(r#"["a\u0000"]"#),
            "no list of groups",
        ),
    ] {
        let bad = roster(&[&row(change)]).unwrap_err();
        assert!(format!("{bad}").ends_with(why), "{bad}, not {why}");
    }
}

#[test]
fn rows_are_in_order_each_once() {
    let named = |name: &str| row(|row| row[0] = Field::text(name));
    assert!(roster(&[&named("a@b"), &named("b@b")]).is_ok());
    assert!(roster(&[&named("b@b"), &named("a@b")]).is_err());
    assert!(roster(&[&named("a@b"), &named("a@b")]).is_err());
}

#[test]
fn a_version_that_makes_no_sense_makes_the_roster_unreadable() {
    let version = |number| Row(vec![Field::Int(number)]);
    let row = row(|_| ());
    assert!(load(vec![row.clone()], vec![version(1)]).is_ok());
    assert!(load(Vec::new(), vec![version(i64::MAX)]).is_ok());
    for versions in [
        vec![],
        vec![version(0)],
        vec![version(-1)],
        vec![version(1), version(2)],
        vec![Row(vec![])],
        vec![Row(vec![Field::text("1")])],
    ] {
        let bad = load(vec![row.clone()], versions).unwrap_err();
        assert_eq!(bad.table, &ROSTER_VERSION);
    }
}

/// A stanza of a row that the server could only have written on behalf of somebody else, or not at all.
#[test]
fn what_waits_or_is_unsaid_and_makes_no_sense_is_not_read() {
    use crate::roster::{ROSTER_REQUESTS, ROSTER_UNSAID, Requests, Unsaid};
    let nurse = "nurse@localhost";
    let stanza = |name: &str, attributes: &str| {
        let xml = format!("<{name} {attributes}/>");
        Field::Xml(xml.into_bytes().into())
    };
    let load = |table, row: Vec<Field>| Loaded {
        tables: vec![(table, vec![Row(row)])],
        ends: Vec::new(),
    };
    let own = "juliet@localhost";
    for (name, attributes, good) in [
        (
            "presence",
            format!("from='{nurse}' to='{own}' type='subscribe'"),
            true,
        ),
        (
            "presence",
            format!("from='{nurse}' to='{own}' type='subscribed'"),
            false,
        ),
        ("presence", format!("from='{nurse}' to='{own}'"), false),
        ("message", format!("from='{nurse}' to='{own}'"), false),
        (
            "presence",
            format!("from='romeo@localhost' to='{own}' type='subscribe'"),
            false,
        ),
        ("presence", format!("to='{own}' type='subscribe'"), false),
    ] {
        let row = vec![
            Field::text(nurse),
            Field::Time(0),
            stanza(name, &attributes),
        ];
        let read = Requests::from_loaded(&load(&ROSTER_REQUESTS, row));
        assert_eq!(read.is_ok(), good, "{name} {attributes}");
    }
    let subscribe = |to: &str| stanza("presence", &format!("from='{own}'{to} type='subscribe'"));
    for (asking, granting, good) in [
        (subscribe(" to='nurse@localhost'"), Field::Absent, true),
        (Field::Absent, subscribe(" to='nurse@localhost'"), false),
        (subscribe(" to='nurse@localhost/x'"), Field::Absent, false),
        (subscribe(" to='romeo@localhost'"), Field::Absent, false),
        (subscribe(""), Field::Absent, false),
        (Field::Absent, Field::Absent, false),
    ] {
        let row = vec![Field::text(nurse), asking, granting];
        let read = Unsaid::from_loaded(&load(&ROSTER_UNSAID, row.clone()));
        assert_eq!(read.is_ok(), good, "{row:?}");
    }
}
