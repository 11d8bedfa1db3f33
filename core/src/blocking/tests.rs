use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::jid::BareJid;
use crate::limits::{BLOCKLIST_BYTES, BLOCKLIST_REQUEST_ITEMS, STORE_LIST_ROWS};
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::store::tests::in_words;
use crate::store::{Field, Loaded, Op, Row};
use crate::time::{Now, UnixTime};

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

fn read_get(payload: &str) -> Result<(), Condition> {
    get(&iq(payload).payload().unwrap())
}

/// `block` or `unblock` with these items.
fn request(name: &str, addresses: &[&str]) -> String {
    let item = |address: &&str| format!("<item jid='{address}'/>");
    let items: String = addresses.iter().map(item).collect();
    format!("<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>")
}

fn at(ms: i64) -> Now {
    Now {
        wall: UnixTime(ms),
        ..Now::default()
    }
}

/// Does what this request says.
fn apply(list: &mut Blocklist, name: &str, addresses: &[&str]) -> Change {
    let set = read_set(&request(name, addresses)).unwrap();
    list.apply(set, at(7), 1000).unwrap()
}

fn list(addresses: &[&str]) -> Blocklist {
    let mut list = Blocklist::default();
    apply(&mut list, "block", addresses);
    list
}

fn text(write: impl FnOnce(&mut Writer<'_>)) -> String {
    let mut xml = Vec::new();
    write(&mut Writer::new(&mut xml));
    String::from_utf8(xml).unwrap()
}

fn pushed(change: &Change) -> String {
    text(|w| change.push.write(w))
}

fn addresses(list: &Blocklist) -> Vec<&str> {
    list.addresses().collect()
}

fn changed(change: &Change) -> Vec<&str> {
    change.changed.iter().map(Jid::as_str).collect()
}

fn blocks(list: &Blocklist, jid: &str) -> bool {
    list.blocks(&Jid::parse(jid).unwrap())
}

/// What is written, in words.
fn written(change: &Change) -> Vec<String> {
    in_words(&change.ops)
}

/// XEP-0191 §3.2.
#[test]
fn a_list_is_told_with_an_item_for_each_address() {
    let empty = "<blocklist xmlns='urn:xmpp:blocking'/>";
    assert_eq!(text(|w| Blocklist::default().result(w)), empty);
    let list = list(&["romeo@montague.net", "iago@shakespeare.lit"]);
    assert_eq!(
        text(|w| list.result(w)),
        "<blocklist xmlns='urn:xmpp:blocking'><item jid='iago@shakespeare.lit'/><item jid='romeo@montague.net'/></blocklist>"
    );
}

/// XEP-0191 §3.3.
#[test]
fn what_is_blocked_is_kept_pushed_and_told() {
    let mut list = Blocklist::default();
    let change = apply(
        &mut list,
        "block",
        &["Romeo@Montague.NET", "a@b/C", "romeo@montague.net"],
    );
    assert_eq!(
        pushed(&change),
        request("block", &["a@b/C", "romeo@montague.net"])
    );
    assert_eq!(
        written(&change),
        [
            r#"put blocklist [b"a@b/C", 7000 us]"#,
            r#"put blocklist [b"romeo@montague.net", 7000 us]"#,
        ]
    );
    assert_eq!(change.before, Blocklist::default());
    assert_eq!(changed(&change), ["a@b/C", "romeo@montague.net"]);
    assert_eq!(addresses(&list), ["a@b/C", "romeo@montague.net"]);
    assert_eq!(list.len(), 2);
}

#[test]
fn what_is_blocked_already_is_pushed_and_not_written() {
    let mut list = list(&["a@b", "c@d"]);
    let before = list.clone();
    let change = apply(&mut list, "block", &["c@d", "a@b"]);
    assert_eq!(pushed(&change), request("block", &["a@b", "c@d"]));
    assert!(change.ops.is_empty() && change.changed.is_empty());
    assert_eq!(change.before, before);
    let change = apply(&mut list, "block", &["c@d", "b@c"]);
    assert_eq!(changed(&change), ["b@c"]);
    assert_eq!(written(&change).len(), 1);
    assert_eq!(addresses(&list), ["a@b", "b@c", "c@d"]);
}

/// XEP-0191 §3.4.
#[test]
fn what_is_unblocked_goes_and_what_was_not_blocked_is_no_error() {
    let mut list = list(&["a@b", "c@d", "e@f"]);
    let before = list.clone();
    let change = apply(&mut list, "unblock", &["x@y", "C@d"]);
    assert_eq!(pushed(&change), request("unblock", &["c@d", "x@y"]));
    assert_eq!(written(&change), [r#"delete blocklist [b"c@d"]"#]);
    assert_eq!(change.before, before);
    assert_eq!(changed(&change), ["c@d"]);
    assert_eq!(addresses(&list), ["a@b", "e@f"]);
    let change = apply(&mut list, "unblock", &["x@y"]);
    assert!(change.ops.is_empty() && change.changed.is_empty());
}

/// XEP-0191 §3.5.
#[test]
fn all_are_unblocked_at_once_however_many_there_are() {
    for (count, pages) in [(0, 0), (1, 1), (512, 1), (513, 2), (1000, 2)] {
        let mut list = Blocklist::default();
        for n in 0..count {
            apply(&mut list, "block", &[&format!("a{n}@b")]);
        }
        let before = list.clone();
        let change = apply(&mut list, "unblock", &[]);
        assert_eq!(pushed(&change), "<unblock xmlns='urn:xmpp:blocking'/>");
        assert_eq!(
            written(&change),
            vec!["delete all blocklist []".to_string(); pages]
        );
        assert!(pages * STORE_LIST_ROWS as usize >= count);
        assert_eq!(changed(&change), addresses(&before));
        assert_eq!(change.before, before);
        assert!(list.is_empty());
    }
}

/// XEP-0191 §6.
#[test]
fn an_address_matches_by_itself_its_bare_form_and_its_domain() {
    let all = ["a@b/r", "a@b/s", "a@b", "c@b", "c@b/r", "b/r", "b/s", "b"];
    for (blocked, matching) in [
        ("a@b/r", &["a@b/r"][..]),
        ("a@b", &["a@b/r", "a@b/s", "a@b"]),
        ("b/r", &["b/r"]),
        ("b", &all),
        ("x.b", &[]),
        ("B", &all),
        ("a@x", &[]),
    ] {
        let list = list(&[blocked]);
        for jid in all {
            assert_eq!(
                blocks(&list, jid),
                matching.contains(&jid),
                "{blocked} {jid}"
            );
        }
        for other in ["a@x.b", "x.b", "a@bb", "aa@b.c", "r", "a@r"] {
            let same = other == blocked || other.ends_with(&format!("@{blocked}"));
            assert_eq!(blocks(&list, other), same, "{blocked} {other}");
        }
    }
    assert!(!blocks(&Blocklist::default(), "a@b"));
}

/// XEP-0191 §3.3 and §3.5; RFC 6120 §8.3.3.
#[test]
fn a_request_that_cannot_be_done_is_refused_as_a_whole() {
    let ns = "xmlns='urn:xmpp:blocking'";
    for (payload, condition) in [
        (format!("<block {ns}/>"), Condition::BadRequest),
        (
            format!("<block {ns}><item xmlns='x' jid='a@b'/></block>"),
            Condition::BadRequest,
        ),
        (
            format!("<block {ns}><item/></block>"),
            Condition::BadRequest,
        ),
        (
            format!("<block {ns}><item jid='a@b'/><item/></block>"),
            Condition::BadRequest,
        ),
        (
            format!("<unblock {ns}><item jid='a@b'/><item/></unblock>"),
            Condition::BadRequest,
        ),
        // Nobody means everybody who says something else.
        (
            format!("<unblock {ns}><all xmlns='x'/></unblock>"),
            Condition::BadRequest,
        ),
        (
            format!("<block {ns}><item jid=''/></block>"),
            Condition::JidMalformed,
        ),
        (
            format!("<block {ns}><item jid='a@b'/><item jid='@b'/></block>"),
            Condition::JidMalformed,
        ),
        (
            format!("<unblock {ns}><item jid='a@b/'/></unblock>"),
            Condition::JidMalformed,
        ),
        (
            request("block", &["juliet@example.com"]),
            Condition::NotAllowed,
        ),
        (
            request("block", &["a@b", "Juliet@example.com/balcony"]),
            Condition::NotAllowed,
        ),
        (request("blocklist", &[]), Condition::BadRequest),
        (request("blocked", &[]), Condition::FeatureNotImplemented),
        (
            "<block xmlns='x'/>".into(),
            Condition::FeatureNotImplemented,
        ),
    ] {
        assert_eq!(read_set(&payload), Err(condition), "{payload}");
    }
    assert_eq!(read_get(&request("blocklist", &[])), Ok(()));
    for (name, condition) in [
        ("block", Condition::BadRequest),
        ("unblock", Condition::BadRequest),
        ("item", Condition::FeatureNotImplemented),
    ] {
        assert_eq!(read_get(&request(name, &["a@b"])), Err(condition));
    }
}

/// XEP-0191 §5, the note: one's own resources stay together, which is the business of who asks the list.
#[test]
fn ones_domain_can_be_blocked_and_oneself_unblocked() {
    assert!(read_set(&request("block", &["example.com"])).is_ok());
    assert!(read_set(&request("unblock", &["juliet@example.com"])).is_ok());
}

#[test]
fn what_else_a_request_holds_does_not_matter() {
    let report = "<item jid='a@b'><report xmlns='urn:xmpp:reporting:1'/></item><x xmlns='y'/>";
    let payload = format!("<block xmlns='urn:xmpp:blocking'>{report}</block>");
    let mut list = Blocklist::default();
    let change = list.apply(read_set(&payload).unwrap(), at(0), 9).unwrap();
    assert_eq!(pushed(&change), request("block", &["a@b"]));
    let payload = "<unblock xmlns='urn:xmpp:blocking'> \n</unblock>";
    list.apply(read_set(payload).unwrap(), at(0), 9).unwrap();
    assert!(list.is_empty());
}

#[test]
fn who_blocks_as_many_as_may_be_can_unblock_but_not_block() {
    let mut list = list(&["a@b", "c@d", "e@f"]);
    let before = list.clone();
    for max_items in [3, 2] {
        let block = |address| read_set(&request("block", &[address])).unwrap();
        let more = list.apply(block("x@y"), at(0), max_items);
        assert_eq!(more, Err(Condition::PolicyViolation));
        assert_eq!(list, before);
        assert!(list.apply(block("c@d"), at(0), max_items).is_ok());
    }
    apply(&mut list, "unblock", &["a@b"]);
    let one = read_set(&request("block", &["x@y"])).unwrap();
    assert!(list.apply(one, at(0), 3).is_ok());
}

#[test]
fn a_request_has_so_many_items_at_most() {
    let named = |n: usize| format!("a{n}@b");
    let all: Vec<String> = (0..=BLOCKLIST_REQUEST_ITEMS).map(named).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for name in ["block", "unblock"] {
        let most = &all[1..];
        assert!(read_set(&request(name, most)).is_ok());
        let more = read_set(&request(name, &all));
        assert_eq!(more, Err(Condition::PolicyViolation));
    }
    let mut list = Blocklist::default();
    let change = apply(&mut list, "block", &all[1..]);
    assert_eq!(written(&change).len(), BLOCKLIST_REQUEST_ITEMS);
}

#[test]
fn all_addresses_together_are_bounded() {
    let mut list = Blocklist::default();
    let longest = |n: usize| {
        let (local, resource) = ("a".repeat(1023), "\"".repeat(1019));
        let domain = [["d"; 63].concat(), ["e"; 60].concat()].join(".");
        format!("{local}@{domain}/{n:04}{}", resource.replace('"', "&quot;"))
    };
    let mut most = 0;
    loop {
        let one = read_set(&request("block", &[&longest(most)])).unwrap();
        match list.apply(one, at(0), 2000) {
            Ok(change) => assert_eq!(written(&change).len(), 1),
            Err(condition) => break assert_eq!(condition, Condition::PolicyViolation),
        }
        most += 1;
    }
    let kept = list.addresses.len();
    assert!(kept <= BLOCKLIST_BYTES && kept + 2200 > BLOCKLIST_BYTES);
    // What no longer fits fits once something else is gone.
    apply(&mut list, "unblock", &[&longest(0)]);
    apply(&mut list, "block", &[&longest(most)]);
    // All of it is one batch, and so is to forget it.
    assert!(most > 100 && most < BLOCKLIST_REQUEST_ITEMS);
    let all: Vec<String> = (1..=most).map(longest).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(written(&apply(&mut list, "unblock", &all)).len(), most);
    assert_eq!(written(&apply(&mut list, "block", &all)).len(), most);
}

#[test]
fn a_list_takes_no_more_memory_than_its_addresses() {
    assert_eq!(size_of::<Blocklist>(), 2 * size_of::<usize>());
    let list = list(&["a@b", "c@d"]);
    assert_eq!(&*list.addresses, "a@b\0c@d\0");
}

#[test]
fn whom_a_list_blocks_can_be_printed() {
    assert_eq!(format!("{:?}", list(&["a@b", "c"])), r#"{"a@b", "c"}"#);
}
