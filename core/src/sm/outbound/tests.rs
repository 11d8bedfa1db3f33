use alloc::format;
use alloc::string::String;

use super::*;
use crate::stanza::{Kind, MessageType, PresenceType};

fn jid(text: &str) -> Jid {
    Jid::parse(text).unwrap()
}

fn piece(kind: Kind, from: &str, id: &str, due: Due) -> Piece {
    let from = jid(from);
    let stanza = Stanza::build(
        kind,
        Some(id),
        Some(from),
        Some(jid("juliet@localhost")),
        |_| {},
    );
    Piece {
        what: Written::Stanza(Arc::new(stanza), None, due),
        at: UnixTime(0),
    }
}

fn message(id: &str) -> Piece {
    let kind = Kind::Message(MessageType::Chat);
    piece(kind, "romeo@localhost/orchard", id, Due::Alone)
}

fn presence(from: &str, id: &str) -> Piece {
    let kind = Kind::Presence(PresenceType::Available);
    piece(kind, from, id, Due::Nothing)
}

fn ids(outbound: &Outbound) -> Vec<String> {
    let id = |piece: &Piece| match &piece.what {
        Written::Stanza(stanza, ..) => stanza.id().unwrap_or_default().into_owned(),
        Written::Stored(..) => String::new(),
    };
    let waiting = outbound.waiting.iter();
    let waiting = waiting.flat_map(|waiting| waiting.values());
    outbound.written.iter().chain(waiting).map(id).collect()
}

#[test]
fn what_is_acknowledged_goes_and_the_rest_stays_in_order() {
    let mut outbound = Outbound::new(100, 0);
    for n in 0..5 {
        outbound.push(message(&format!("{n}")));
    }
    assert_eq!(outbound.ack(2), Ok(Acked::default()));
    assert_eq!(ids(&outbound), ["2", "3", "4"]);
    assert_eq!(outbound.ack(2), Ok(Acked::default()));
    assert_eq!(outbound.ack(1), Ok(Acked::default()), "a late one");
    assert_eq!(outbound.ack(5), Ok(Acked::default()));
    assert_eq!((outbound.len(), outbound.bytes()), (0, 0));
}

#[test]
fn more_than_was_sent_cannot_be_acknowledged() {
    let mut outbound = Outbound::new(100, 0);
    for n in 0..8 {
        outbound.push(message(&format!("{n}")));
    }
    outbound.put_by(message("waits"));
    assert_eq!(outbound.ack(10), Err(TooHigh { h: 10, sent: 8 }));
    assert_eq!(
        outbound.ack(9),
        Err(TooHigh { h: 9, sent: 8 }),
        "was not written"
    );
    assert_eq!(outbound.len(), 9);
}

#[test]
fn counters_begin_anew_behind_the_last_number() {
    let mut outbound = Outbound::new(100, 0);
    outbound.acked = u32::MAX - 1;
    for n in 0..4 {
        outbound.push(message(&format!("{n}")));
    }
    assert_eq!(outbound.ack(3), Err(TooHigh { h: 3, sent: 2 }));
    assert_eq!(outbound.ack(0), Ok(Acked::default()));
    assert_eq!(ids(&outbound), ["2", "3"]);
    assert_eq!(outbound.ack(u32::MAX), Ok(Acked::default()), "a late one");
    assert_eq!(outbound.ack(2), Ok(Acked::default()));
    assert_eq!(outbound.len(), 0);
}

#[test]
fn who_has_not_answered_is_not_asked_again() {
    let mut outbound = Outbound::new(100, 1);
    outbound.push(message("0"));
    assert!(!outbound.asks(Instant(0)));
    outbound.push(message("1"));
    assert!(outbound.asks(Instant(0)));
    outbound.push(message("2"));
    assert!(!outbound.asks(Instant(0)));
    outbound.ack(1).unwrap();
    assert!(outbound.asks(Instant(0)));
}

#[test]
fn of_each_sender_the_last_presence_waits_unless_it_was_written() {
    let mut outbound = Outbound::new(100, 0);
    outbound.push(presence("romeo@localhost/orchard", "written"));
    for (from, id) in [
        ("romeo@localhost/orchard", "1"),
        ("nurse@localhost/hall", "2"),
        ("romeo@localhost/orchard", "3"),
    ] {
        outbound.put_by(presence(from, id));
    }
    outbound.put_by(message("4"));
    outbound.put_by(presence("romeo@localhost/orchard", "5"));
    assert_eq!(ids(&outbound), ["written", "2", "4", "5"]);
}

#[test]
fn what_others_have_and_how_far_owed_messages_came_is_told() {
    let mut outbound = Outbound::new(100, 0);
    let stored = |key| Piece {
        what: Written::Stored(Bytes::from_static(b"<message/>"), key),
        at: UnixTime(0),
    };
    let kind = Kind::Message(MessageType::Chat);
    outbound.push(piece(kind, "romeo@localhost/a", "0", Due::Shared(7)));
    outbound.push(stored(Some(11)));
    outbound.push(stored(None));
    outbound.push(stored(Some(12)));
    assert!(outbound.has_owed());
    let acked = outbound.ack(3).unwrap();
    assert_eq!((acked.shared, acked.upto), ([7].into(), Some(11)));
    assert_eq!(outbound.ack(4).unwrap().upto, Some(12));
    assert!(!outbound.has_owed());
}

#[test]
fn all_is_sent_again_in_its_order() {
    let mut outbound = Outbound::new(100, 0);
    outbound.push(message("0"));
    outbound.push(message("1"));
    outbound.ack(1).unwrap();
    outbound.put_by(message("2"));
    let mut out = Vec::new();
    outbound.resend(&mut out);
    let text = String::from_utf8(out).unwrap();
    let at = |id: &str| {
        text.find(&format!("id=\"{id}\""))
            .or_else(|| text.find(&format!("id='{id}'")))
    };
    assert!(at("0").is_none() && at("1") < at("2") && at("1").is_some());
    assert_eq!(outbound.ack(3), Ok(Acked::default()));
}

#[test]
fn it_is_full_by_number() {
    let mut outbound = Outbound::new(2, 0);
    for n in 0..3 {
        assert!(!outbound.is_full());
        outbound.push(message(&format!("{n}")));
    }
    assert!(outbound.is_full());
}
