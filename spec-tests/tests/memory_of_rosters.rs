//! What a roster takes in memory, counted by the allocator: below twenty bytes for each contact beside its text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "figures are part of what this test is for"
)]

use allocation_counter::measure;
use spondee_core::jid::BareJid;
use spondee_core::roster::{ROSTER, ROSTER_VERSION, Roster, set};
use spondee_core::stanza::{IqType, Kind, Stanza};
use spondee_core::store::{Field, Loaded, Row};
use spondee_core::time::{Now, UnixTime};

/// For each contact, beside the text of its address, name and groups.
const PER_CONTACT: u64 = 20;

const CONTACTS: usize = 50;

/// Address, name and group of a usual contact.
fn contact(number: usize) -> [String; 3] {
    let groups = ["Friends", "Colleagues", "Family"];
    [
        format!("capulet.{number:02}@example.org"),
        format!("Tybalt Capulet {number:02}"),
        groups[number % groups.len()].to_owned(),
    ]
}

fn text_bytes() -> u64 {
    let texts = (0..CONTACTS).flat_map(contact);
    texts.map(|text| text.len() as u64).sum()
}

fn loaded() -> Loaded {
    let row = |number| {
        let [jid, name, group] = contact(number);
        Row(vec![
            Field::text(&jid),
            Field::text(&name),
            Field::text("both"),
            Field::Absent,
            Field::Absent,
            Field::text(&format!("[\"{group}\"]")),
        ])
    };
    Loaded {
        tables: vec![
            (&ROSTER, (0..CONTACTS).map(row).collect()),
            (&ROSTER_VERSION, vec![Row(vec![Field::Int(7)])]),
        ],
        ends: Vec::new(),
    }
}

fn add(roster: &mut Roster, number: usize) {
    let [jid, name, group] = contact(number);
    let iq = Stanza::build(Kind::Iq(IqType::Set), Some("1"), None, None, |w| {
        w.open("query").attribute("xmlns", "jabber:iq:roster");
        w.open("item")
            .attribute("jid", &jid)
            .attribute("name", &name);
        w.leaf("group", &group).close().close();
    });
    let own = BareJid::parse("juliet@example.org").unwrap();
    let now = Now {
        wall: UnixTime(7),
        ..Now::default()
    };
    let wish = set(&iq.payload().unwrap(), &own).unwrap();
    roster.apply(wish, now, CONTACTS).unwrap();
}

/// How much `make` leaves in memory for a roster of `CONTACTS`.
fn hold(what: &str, make: impl FnOnce() -> Roster) {
    let mut roster = None;
    let info = measure(|| roster = Some(make()));
    let held = u64::try_from(info.bytes_current).unwrap() + size_of::<Roster>() as u64;
    assert_eq!(roster.unwrap().len(), CONTACTS);
    let beside = (held - text_bytes()) / CONTACTS as u64;
    println!("{what}: {held} bytes for {CONTACTS} contacts, {beside} each beside its text");
    assert!(beside < PER_CONTACT, "{what}: {beside} bytes a contact");
}

#[test]
fn a_roster_takes_little_more_than_its_text_whether_loaded_or_grown() {
    let loaded = loaded();
    hold("loaded", || Roster::from_loaded(&loaded).unwrap());
    hold("grown", || {
        let mut roster = Roster::default();
        for number in 0..CONTACTS {
            add(&mut roster, number);
        }
        roster
    });
}

#[test]
fn an_empty_roster_takes_nothing() {
    let info = measure(|| drop(Roster::from_loaded(&Loaded::default()).unwrap()));
    assert_eq!(info.bytes_total, 0);
}
