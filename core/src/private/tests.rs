use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use std::format;

use super::*;
use crate::limits::{
    PRIVATE_BYTES, PRIVATE_KEY_BYTES, PRIVATE_SET_BYTES, PRIVATE_SET_ITEMS, STORE_LIST_ROWS,
};
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::store::{Batch, Class, Expect, Field, Op, Reply, Row};

fn iq(payload: &str) -> Stanza {
    Stanza::build(Kind::Iq(IqType::Set), Some("1"), None, None, |w| {
        w.raw(payload.as_bytes());
    })
}

fn query(inside: &str) -> Stanza {
    iq(&format!(
        "<query xmlns='jabber:iq:private'>{inside}</query>"
    ))
}

fn set_of(inside: &str) -> Result<Set, Condition> {
    set(&query(inside).payload().unwrap())
}

fn get_of(inside: &str) -> Result<Key, Condition> {
    let query = query(inside);
    get(&query.payload().unwrap()).map(|(key, _)| key)
}

fn row(namespace: &str, name: &str, xml: &str) -> Row {
    let [namespace, name] = [namespace, name].map(Field::text);
    Row(vec![
        namespace,
        name,
        Field::Xml(xml.as_bytes().to_vec().into()),
    ])
}

fn puts(inside: &str) -> Vec<Row> {
    let ops = set_of(inside).unwrap().ops();
    let rows = ops.into_iter().map(|op| {
        let Op::Put { row, expect, .. } = op else {
            panic!("{op:?}");
        };
        assert_eq!(expect, Expect::Anything);
        assert!(row.fits(&PRIVATE));
        row
    });
    rows.collect()
}

/// XEP-0049 §2.3, examples 1 and 2.
#[test]
fn what_is_set_is_kept_under_its_namespace_and_name() {
    let exodus = "<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>";
    assert_eq!(puts(exodus), [row("exodus:prefs", "exodus", exodus)]);
    let key = get_of("<exodus xmlns='exodus:prefs'/>").unwrap();
    assert_eq!(key, Key::from(("exodus:prefs", "exodus")));
    let Op::Get { key, .. } = key.read() else {
        panic!("{key:?}");
    };
    assert!(key.is_key(&PRIVATE));
    assert_eq!(key.0[..], row("exodus:prefs", "exodus", "").0[..2]);
}

/// XEP-0049 §2.3: "MAY contain multiple elements qualified by the same namespace".
#[test]
fn several_elements_are_kept_each_by_itself() {
    let rows = puts("<b xmlns='x'>1</b><a xmlns='x'>2</a><a xmlns='w'>3</a>");
    let expected = [
        row("w", "a", "<a xmlns='w'>3</a>"),
        row("x", "a", "<a xmlns='x'>2</a>"),
        row("x", "b", "<b xmlns='x'>1</b>"),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn what_is_kept_declares_what_it_uses() {
    let payload =
        "<p:query xmlns:p='jabber:iq:private' xmlns:q='x' xmlns:r='y'><q:a r:b='1'/></p:query>";
    let ops = set(&iq(payload).payload().unwrap()).unwrap().ops();
    let Op::Put { row: kept, .. } = &ops[0] else {
        panic!("{ops:?}");
    };
    assert_eq!(
        *kept,
        row("x", "a", "<q:a xmlns:r='y' xmlns:q='x' r:b='1'/>")
    );
}

#[test]
fn an_empty_element_takes_away_what_was_kept() {
    for empty in [
        "<a xmlns='x'/>",
        "<a xmlns='x'> \n </a>",
        "<q:a xmlns:q='x' xmlns:r='y'></q:a>",
    ] {
        let set = set_of(empty).unwrap();
        assert!(set.only_removes());
        let [Op::Delete { key, .. }] = &set.ops()[..] else {
            panic!("{set:?}");
        };
        assert_eq!(key.0[..], row("x", "a", "").0[..2]);
    }
    for full in [
        "<a xmlns='x' b=''/>",
        "<a xmlns='x'>b</a>",
        "<a xmlns='x'><b/></a>",
        "<a xmlns='x'/><b xmlns='x'>c</b>",
    ] {
        assert!(!set_of(full).unwrap().only_removes(), "{full}");
    }
}

/// XEP-0049 §2.3.
#[test]
fn a_request_without_an_element_of_a_namespace_of_its_own_is_not_acceptable() {
    let refused = Condition::NotAcceptable;
    for nothing in [
        "",
        "text",
        "<a/>",
        "<a xmlns=''/>",
        "<a xmlns='jabber:iq:private'/>",
        "<a xmlns='x'/><b/>",
    ] {
        assert_eq!(set_of(nothing), Err(refused), "{nothing}");
        assert_eq!(get_of(nothing), Err(refused), "{nothing}");
    }
    assert_eq!(get_of("<a xmlns='x'/><b xmlns='x'/>"), Err(refused));
    assert_eq!(set_of("<a xmlns='x'>1</a><a xmlns='x'>2</a>"), Err(refused));
    let other = iq("<storage xmlns='jabber:iq:private'><a xmlns='x'/></storage>");
    let other = other.payload().unwrap();
    assert_eq!(set(&other), Err(Condition::FeatureNotImplemented));
    assert_eq!(get(&other).err(), Some(Condition::FeatureNotImplemented));
}

#[test]
fn a_request_is_bounded() {
    let refused = Err(Condition::PolicyViolation);
    let items = |count: usize| -> String {
        let items = (0..count).map(|n| format!("<a{n} xmlns='x'>b</a{n}>"));
        items.collect()
    };
    let most = set_of(&items(PRIVATE_SET_ITEMS)).unwrap();
    assert_eq!(most.ops().len(), PRIVATE_SET_ITEMS);
    assert_eq!(set_of(&items(PRIVATE_SET_ITEMS + 1)), refused);
    let long = "x".repeat(PRIVATE_KEY_BYTES);
    assert_eq!(set_of(&format!("<a xmlns='{long}'>b</a>")), refused);
    assert!(set_of(&format!("<a xmlns='{}'>b</a>", &long[1..])).is_ok());
    let element = |bytes: usize| format!("<a xmlns='x'>{}</a>", "y".repeat(bytes));
    let most = PRIVATE_SET_BYTES - element(0).len() - 2;
    let set = set_of(&element(most)).unwrap();
    assert_eq!(set_of(&element(most + 1)), refused);
    let batch = Batch {
        owner: crate::jid::BareJid::parse("juliet@localhost").unwrap(),
        tenure: 0,
        class: Class::Change,
        ops: set.ops(),
    };
    assert_eq!(batch.check(), Ok(()));
    assert!(batch.weight() <= crate::limits::CALL_BYTES);
}

/// A tally of these rows, a page at a time.
fn tally(set: &Set, rows: &[Row]) -> Tally {
    let mut tally = Tally::default();
    let Op::List { after: None, .. } = Tally::begin() else {
        panic!("it does not begin at the beginning");
    };
    let mut pages = rows.chunks(2).peekable();
    while let Some(page) = pages.next() {
        let more = pages.peek().is_some();
        let reply = Reply::Rows {
            rows: page.to_vec(),
            more,
        };
        match tally.count(set, &reply) {
            Ok(Some(Op::List { after, limit, .. })) => {
                assert!(more && limit <= STORE_LIST_ROWS);
                assert_eq!(after.unwrap().0[..], page.last().unwrap().0[..2]);
            }
            other => assert!(!more && other == Ok(None), "{other:?}"),
        }
    }
    tally
}

#[test]
fn what_is_no_answer_is_not_counted() {
    let set = set_of("<a xmlns='x'>1</a>").unwrap();
    let refused = Tally::default().count(&set, &Reply::Done);
    assert_eq!(refused, Err(Condition::InternalServerError));
}

#[test]
fn as_many_elements_are_kept_as_are_allowed() {
    let refused = Err(Condition::PolicyViolation);
    let names = ["a", "b", "c"];
    let rows = names.map(|name| row("x", name, "<..>"));
    let new = set_of("<d xmlns='x'>1</d>").unwrap();
    assert_eq!(tally(&new, &rows).judge(&new, 4), Ok(()));
    assert_eq!(tally(&new, &rows).judge(&new, 3), refused);
    let replaced = set_of("<a xmlns='x'>1</a>").unwrap();
    assert_eq!(tally(&replaced, &rows).judge(&replaced, 3), Ok(()));
    let swapped = set_of("<a xmlns='x'/><d xmlns='x'>1</d>").unwrap();
    assert_eq!(tally(&swapped, &rows).judge(&swapped, 3), Ok(()));
    // The bound was higher once.
    assert_eq!(tally(&replaced, &rows).judge(&replaced, 1), Ok(()));
    assert_eq!(tally(&new, &rows).judge(&new, 1), refused);
}

#[test]
fn as_many_bytes_are_kept_as_are_allowed() {
    let half = "x".repeat(PRIVATE_BYTES / 2);
    let rows = [
        row("x", "a", &half),
        row("x", "b", &half[..half.len() - 64]),
    ];
    let judge = |inside: &str| {
        let set = set_of(inside).unwrap();
        tally(&set, &rows).judge(&set, 1000)
    };
    assert_eq!(judge("<c xmlns='x'>1</c>"), Ok(()));
    let long = format!("<c xmlns='x'>{}</c>", "1".repeat(64));
    assert_eq!(judge(&long), Err(Condition::PolicyViolation));
    assert_eq!(judge(&format!("<a xmlns='x'/>{long}")), Ok(()));
    // More than is allowed, from elsewhere: it may become less.
    let rows = [
        row("x", "a", &half),
        row("x", "b", &half),
        row("x", "c", &half),
    ];
    let set = set_of("<c xmlns='x'>1</c>").unwrap();
    assert_eq!(tally(&set, &rows).judge(&set, 1000), Ok(()));
}

/// XEP-0049 §2.3, example 2.
#[test]
fn the_answer_is_what_is_kept_or_what_was_asked_for() {
    let stanza = query("<p:a xmlns:p='x'/>");
    let (_, wanted) = get(&stanza.payload().unwrap()).unwrap();
    let answered =
        |row: Option<&Row>| answer(&wanted, row).map(|xml| String::from_utf8(xml).unwrap());
    let query = |inside: &str| Ok(format!("<query xmlns='jabber:iq:private'>{inside}</query>"));
    assert_eq!(answered(None), query("<p:a xmlns:p='x'/>"));
    let kept = row("x", "a", "<a xmlns='x'>1</a>");
    assert_eq!(answered(Some(&kept)), query("<a xmlns='x'>1</a>"));
    let bad = Row(vec![Field::Int(1)]);
    assert_eq!(answered(Some(&bad)), Err(Condition::InternalServerError));
}
