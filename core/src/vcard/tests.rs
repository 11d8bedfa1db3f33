use alloc::vec;
use std::format;

use super::*;
use crate::limits::VCARD_BYTES;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::store::{Field, Op, Row};

fn iq(payload: &str) -> Stanza {
    Stanza::build(Kind::Iq(IqType::Set), Some("1"), None, None, |w| {
        w.raw(payload.as_bytes());
    })
}

fn set_of(payload: &str) -> Result<Op, Condition> {
    set(&iq(payload).payload().unwrap())
}

fn kept(payload: &str) -> Row {
    match set_of(payload) {
        Ok(Op::Put { row, .. }) if row.fits(&VCARD) => row,
        other => panic!("{other:?}"),
    }
}

/// XEP-0054 §3.2.
#[test]
fn a_card_is_kept_as_it_came_and_declares_what_it_uses() {
    let card = "<vCard xmlns='vcard-temp'><FN>Peter &amp; Paul</FN><N><MIDDLE/></N></vCard>";
    let row = kept(card);
    assert_eq!(xml(&row).unwrap(), card.as_bytes());
    let row = kept("<v:vCard xmlns:v='vcard-temp'><v:FN>x</v:FN></v:vCard>");
    let standalone = "<v:vCard xmlns:v='vcard-temp'><v:FN>x</v:FN></v:vCard>";
    assert_eq!(xml(&row).unwrap(), standalone.as_bytes());
    let bad = Row(vec![Field::Int(1)]);
    assert_eq!(xml(&bad), Err(Condition::InternalServerError));
}

#[test]
fn an_empty_card_is_none() {
    for empty in [
        "<vCard xmlns='vcard-temp'/>",
        "<vCard xmlns='vcard-temp'> </vCard>",
    ] {
        assert!(matches!(set_of(empty), Ok(Op::Delete { .. })), "{empty}");
    }
}

#[test]
fn a_card_is_bounded() {
    let card = |bytes: usize| {
        let picture = "x".repeat(bytes);
        format!("<vCard xmlns='vcard-temp'><PHOTO>{picture}</PHOTO></vCard>")
    };
    let most = VCARD_BYTES - card(0).len();
    kept(&card(most));
    assert_eq!(set_of(&card(most + 1)), Err(Condition::PolicyViolation));
}

/// RFC 6120 §8.3.3.3.
#[test]
fn what_is_no_card_is_not_understood() {
    let other = iq("<vcard xmlns='vcard-temp'/>");
    let refused = Err(Condition::FeatureNotImplemented);
    assert_eq!(get(&other.payload().unwrap()), refused);
    assert!(set_of("<x xmlns='vcard-temp'/>").is_err());
    let card = iq("<vCard xmlns='vcard-temp'><FN/></vCard>");
    assert_eq!(get(&card.payload().unwrap()), Ok(()));
}
