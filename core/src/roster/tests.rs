use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::jid::BareJid;
use crate::limits::{ROSTER_BYTES, ROSTER_GROUP_BYTES, ROSTER_GROUPS, ROSTER_NAME_BYTES};
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::store::tests::in_words;
use crate::store::{Field, Loaded, Op, Row};
use crate::time::{Now, UnixTime};
use crate::xml::Writer;

mod bounds;
mod properties;
mod rows;

/// A payload in the way a client sends it.
fn iq(payload: &str) -> Stanza {
    Stanza::build(Kind::Iq(IqType::Set), Some("1"), None, None, |w| {
        w.raw(payload.as_bytes());
    })
}

fn own() -> BareJid {
    BareJid::parse("juliet@example.com").unwrap()
}

fn read_set(payload: &str) -> Result<Set, Condition> {
    set(&iq(payload).payload().unwrap(), &own())
}

/// A roster set with this in its query.
fn set_of(items: &str) -> Result<Set, Condition> {
    read_set(&format!("<query xmlns='jabber:iq:roster'>{items}</query>"))
}

fn read_get(payload: &str) -> Result<Get, Condition> {
    get(&iq(payload).payload().unwrap())
}

fn at(ms: i64) -> Now {
    Now {
        wall: UnixTime(ms),
        ..Now::default()
    }
}

/// Does what this item says.
fn apply(roster: &mut Roster, ms: i64, item: &str) -> Change {
    roster.apply(set_of(item).unwrap(), at(ms), 1000).unwrap()
}

fn text(write: impl FnOnce(&mut Writer<'_>)) -> String {
    let mut xml = Vec::new();
    write(&mut Writer::new(&mut xml));
    String::from_utf8(xml).unwrap()
}

fn pushed(change: &Change) -> String {
    text(|w| change.push.write(w))
}

/// What a client gets that says nothing of versions.
fn whole(roster: &Roster) -> String {
    text(|w| roster.result(&Get { known: None }, w))
}

/// What is written, in words.
fn written(change: &Change) -> Vec<String> {
    in_words(&change.ops)
}

/// RFC 6121 §2.3.1 and §2.3.2.
#[test]
fn a_new_contact_is_kept_pushed_and_returned() {
    let mut roster = Roster::default();
    let change = apply(
        &mut roster,
        7,
        "<item jid='Nurse@Example.COM' name='Nurse'><group>Servants</group></item>",
    );
    let item = "<item jid='nurse@example.com' name='Nurse' subscription='none'><group>Servants</group></item>";
    let query = format!("<query xmlns='jabber:iq:roster' ver='7000'>{item}</query>");
    assert_eq!(pushed(&change), query);
    assert_eq!(whole(&roster), query);
    assert_eq!(
        written(&change),
        [
            r#"put roster [b"nurse@example.com", b"Nurse", b"none", -, -, b"[\"Servants\"]"]"#,
            "put roster_version [7000]",
        ]
    );
}

/// RFC 6121 §2.4.1: "the item MUST be updated exactly as provided in the roster set".
#[test]
fn an_update_replaces_name_and_groups_and_nothing_else() {
    let mut roster = rows::roster(&[&rows::row(|row| {
        row[0] = Field::text("romeo@example.net");
        row[1] = Field::text("Romeo");
        row[2] = Field::text("from");
        row[3] = Field::text("subscribe");
        row[4] = Field::text("true");
        row[5] = Field::text(r#"["Friends"]"#);
    })])
    .unwrap();
    for (set, item) in [
        (
            "<item jid='romeo@example.net' name='Romeo'><group>Friends</group><group>Lovers</group></item>",
            "name='Romeo' subscription='from' ask='subscribe' approved='true'><group>Friends</group>\
             <group>Lovers</group></item>",
        ),
        (
            "<item jid='romeo@example.net' name='MyRomeo'><group>Lovers</group></item>",
            "name='MyRomeo' subscription='from' ask='subscribe' approved='true'><group>Lovers</group></item>",
        ),
        (
            "<item jid='romeo@example.net' name='MyRomeo'/>",
            "name='MyRomeo' subscription='from' ask='subscribe' approved='true'/>",
        ),
        (
            "<item jid='romeo@example.net' name=''/>",
            "subscription='from' ask='subscribe' approved='true'/>",
        ),
    ] {
        let change = apply(&mut roster, 0, set);
        let item = format!("<item jid='romeo@example.net' {item}</query>");
        assert!(pushed(&change).ends_with(&item), "{}", pushed(&change));
        assert_eq!(whole(&roster), pushed(&change));
    }
}

/// RFC 6121 §2.5.
#[test]
fn a_contact_is_removed_whatever_else_is_said_of_it() {
    let mut roster = Roster::default();
    apply(&mut roster, 0, "<item jid='nurse@example.com' name='x'/>");
    let change = apply(
        &mut roster,
        0,
        "<item jid='nurse@example.com' subscription='remove' name='y'><group/></item>",
    );
    assert_eq!(
        pushed(&change),
        "<query xmlns='jabber:iq:roster' ver='2'><item jid='nurse@example.com' subscription='remove'/></query>"
    );
    assert_eq!(
        written(&change),
        [
            r#"delete roster [b"nurse@example.com"]"#,
            "put roster_version [2]"
        ]
    );
    assert_eq!(
        whole(&roster),
        "<query xmlns='jabber:iq:roster' ver='2'/>",
        "RFC 6121 §2.1.4: no empty result"
    );
}

/// RFC 6121 §2.5.3.
#[test]
fn what_is_not_there_cannot_be_removed() {
    let mut roster = Roster::default();
    apply(&mut roster, 0, "<item jid='nurse@example.com'/>");
    let before = roster.clone();
    let set = set_of("<item jid='nurse@example.net' subscription='remove'/>").unwrap();
    assert_eq!(roster.apply(set, at(9), 1000), Err(Condition::ItemNotFound));
    assert_eq!(roster, before);
}

/// RFC 6121 §2.3.2 has no exception for it, and §2.6.3 wants the version of each push to be unique.
#[test]
fn a_set_that_says_what_is_so_is_pushed_and_costs_the_version_alone() {
    let mut roster = Roster::default();
    let item = "<item jid='nurse@example.com' name='Nurse'><group>a</group></item>";
    apply(&mut roster, 0, item);
    let change = apply(&mut roster, 0, item);
    assert_eq!(written(&change), ["put roster_version [2]"]);
    assert_eq!(pushed(&change), whole(&roster));
}

/// RFC 6121 §2.1.5, and §2.1.2.1 and §2.1.2.2: what is the server's to say.
#[test]
fn what_a_client_says_of_subscriptions_is_ignored() {
    let mut roster = Roster::default();
    for said in [
        "subscription='both'",
        "subscription='none'",
        "subscription='Remove'",
        "subscription=''",
        "ask='subscribe'",
        "approved='true'",
        "x='y'",
    ] {
        let item = format!("<item jid='nurse@example.com' {said}/>");
        let change = apply(&mut roster, 0, &item);
        let end = "<item jid='nurse@example.com' subscription='none'/></query>";
        assert!(pushed(&change).ends_with(end), "{said}");
    }
}

/// RFC 6121 §2.1.5 and §2.3.3.
#[test]
fn a_set_has_exactly_one_item() {
    for items in [
        "",
        "<item jid='a@b.example'/><item jid='c@d.example'/>",
        "<item jid='a@b.example'/><item jid='a@b.example'/>",
        "<item xmlns='jabber:iq:private' jid='a@b.example'/>",
        "<x xmlns='y'><item xmlns='jabber:iq:roster' jid='a@b.example'/></x>",
    ] {
        assert_eq!(set_of(items), Err(Condition::BadRequest), "{items}");
    }
    assert!(set_of("<x xmlns='y'/>text<item jid='a@b.example'/><item xmlns='y'/>").is_ok());
    assert!(
        read_set(
            "<r:query xmlns:r='jabber:iq:roster'><r:item jid='a@b.example'><r:group>x</r:group></r:item></r:query>"
        )
        .is_ok()
    );
}

#[test]
fn a_contact_is_a_bare_address() {
    for item in [
        "<item/>",
        "<item jid=''/>",
        "<item jid='@'/>",
        "<item jid='a b@example.com'/>",
        "<item jid='nurse@example.com/x'/>",
        "<item jid='nurse@example.com/'/>",
        "<item jid='nurse@example.com/x' subscription='remove'/>",
        "<item subscription='remove'/>",
    ] {
        assert_eq!(set_of(item), Err(Condition::BadRequest), "{item}");
    }
    for item in ["<item jid='example.com'/>", "<item jid='[::1]'/>"] {
        assert!(set_of(item).is_ok(), "{item}");
    }
}

/// RFC 6121 §2.3.3, the note on interoperability.
#[test]
fn nobody_is_a_contact_of_oneself_but_can_cease_to_be() {
    let item = "<item jid='Juliet@example.com' name='me'/>";
    assert_eq!(set_of(item), Err(Condition::NotAllowed));
    assert!(set_of("<item jid='juliet@example.com' subscription='remove'/>").is_ok());
}

/// RFC 6120 §8.3.3.3.
#[test]
fn another_element_of_the_namespace_is_not_implemented() {
    for payload in ["<x xmlns='jabber:iq:roster'/>", "<query xmlns='y'/>"] {
        assert_eq!(read_get(payload), Err(Condition::FeatureNotImplemented));
        assert_eq!(read_set(payload), Err(Condition::FeatureNotImplemented));
    }
}

/// RFC 6121 §2.1.3.
#[test]
fn a_get_has_no_item() {
    let payload = "<query xmlns='jabber:iq:roster'><item jid='a@b.example'/></query>";
    assert_eq!(read_get(payload), Err(Condition::BadRequest));
    assert!(read_get("<query xmlns='jabber:iq:roster'><x xmlns='y'/></query>").is_ok());
}

/// RFC 6121 §2.6.2 and §2.6.3.
#[test]
fn only_who_has_the_last_version_gets_nothing() {
    let answer = |roster: &Roster, ver: &str| {
        let get = read_get(&format!("<query xmlns='jabber:iq:roster'{ver}/>")).unwrap();
        text(|w| roster.result(&get, w))
    };
    let mut roster = Roster::default();
    let empty = "<query xmlns='jabber:iq:roster' ver='0'/>";
    assert_eq!(answer(&roster, ""), empty);
    assert_eq!(answer(&roster, " ver=''"), empty);
    assert_eq!(answer(&roster, " ver='0'"), "");
    apply(&mut roster, 5, "<item jid='nurse@example.com'/>");
    assert_eq!(answer(&roster, " ver='5000'"), "");
    for ver in [
        "",
        " ver=''",
        " ver='0'",
        " ver='4999'",
        " ver='5001'",
        " ver='+5000'",
        " ver='05000'",
        " ver=' 5000'",
        " ver='ver14'",
        " ver='-1'",
        " ver='99999999999999999999999'",
        " xmlns:x='y' x:ver='5000'",
    ] {
        assert_eq!(answer(&roster, ver), whole(&roster), "{ver}");
    }
    assert!(!whole(&roster).is_empty());
}

#[test]
fn versions_follow_the_clock_and_rise_when_it_does_not() {
    let mut roster = Roster::default();
    let mut version_at = |ms| {
        apply(&mut roster, ms, "<item jid='nurse@example.com'/>");
        roster.version().to_text()
    };
    assert_eq!(version_at(1_795_316_645_678), "1795316645678000");
    assert_eq!(version_at(1_795_316_645_678), "1795316645678001");
    assert_eq!(version_at(3), "1795316645678002");
    assert_eq!(version_at(-3), "1795316645678003");
    assert_eq!(version_at(1_795_316_645_679), "1795316645679000");
}

/// An account that is made again under the same name, a moment later.
#[test]
fn a_version_is_not_told_twice_though_the_account_was_deleted() {
    let mut told = Vec::new();
    for life in 0..3 {
        let mut roster = Roster::default();
        for _ in 0..100 {
            apply(&mut roster, 1_000 + life, "<item jid='nurse@example.com'/>");
            told.push(roster.version());
        }
    }
    assert!(told.is_sorted_by(|a, b| a < b));
}

#[test]
fn contacts_are_in_the_order_of_their_addresses_and_found_by_them() {
    let mut roster = Roster::default();
    for name in ["nurse@x", "a@x", "z@x", "b@x", "a@b"] {
        apply(
            &mut roster,
            0,
            &format!("<item jid='{name}' name='{name}'/>"),
        );
    }
    let names: Vec<String> = roster.items().map(|item| item.name().into()).collect();
    assert_eq!(names, ["a@b", "a@x", "b@x", "nurse@x", "z@x"]);
    assert_eq!(roster.len(), 5);
    assert!(!roster.is_empty() && Roster::default().is_empty());
    assert_eq!(roster.item("b@x").unwrap().contact(), "b@x");
    assert!(roster.item("c@x").is_none());
}

#[test]
fn what_is_said_of_a_contact_is_not_for_logs() {
    let mut roster = Roster::default();
    apply(
        &mut roster,
        0,
        "<item jid='a@b' name='SECRET'><group>SECRET</group></item>",
    );
    let printed = format!("{roster:?}");
    assert!(
        printed.contains("a@b") && !printed.contains("SECRET"),
        "{printed}"
    );
}
