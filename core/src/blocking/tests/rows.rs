//! What is kept, and what was kept wrongly.

use super::*;
use crate::store::BadRow;

fn row(address: &str) -> Row {
    Row(vec![Field::text(address), Field::Time(1)])
}

fn load(rows: Vec<Row>) -> Result<Blocklist, BadRow> {
    Blocklist::from_loaded(&Loaded {
        tables: vec![(&BLOCKLIST, rows)],
        ends: Vec::new(),
    })
}

#[test]
fn nothing_kept_is_nobody_blocked() {
    let none = Blocklist::from_loaded(&Loaded::default());
    assert_eq!(none, Ok(Blocklist::default()));
    assert_eq!(load(Vec::new()), Ok(Blocklist::default()));
}

#[test]
fn rows_read_back() {
    let all = ["a@b", "a@b/r", "b", "b/r", "\u{e9}@b/\u{1f600} x"];
    let rows: Vec<Row> = all.iter().map(|address| row(address)).collect();
    assert!(rows.iter().all(|row| row.fits(&BLOCKLIST)));
    let loaded = load(rows).unwrap();
    assert_eq!(addresses(&loaded), all);
    assert_eq!(loaded, list(&all));
}

#[test]
fn a_row_that_makes_no_sense_makes_the_list_unreadable() {
    for (row, why) in [
        (Row(vec![]), "blocklist: no address and when it was blocked"),
        (Row(vec![Field::text("a@b")]), "when it was blocked"),
        (
            Row(vec![Field::text("a@b"), Field::Int(1)]),
            "when it was blocked",
        ),
        (
            Row(vec![Field::Time(1), Field::Time(1)]),
            "when it was blocked",
        ),
        (
            Row(vec![Field::Text(b"\xff"[..].into()), Field::Time(1)]),
            "blocklist: an address that is no text",
        ),
        (row("@"), "blocklist, contact \"@\": no address"),
        (row("a@b\0"), "no address"),
        (row(""), "no address"),
        (row("A@b"), "an address that is not prepared"),
    ] {
        let bad = load(vec![row]).unwrap_err();
        assert_eq!(bad.table, &BLOCKLIST);
        assert!(format!("{bad}").ends_with(why), "{bad}, not {why}");
    }
}

#[test]
fn rows_are_in_order_each_once() {
    assert!(load(vec![row("a@b"), row("b@b")]).is_ok());
    assert!(load(vec![row("b@b"), row("a@b")]).is_err());
    assert!(load(vec![row("a@b"), row("a@b")]).is_err());
}
