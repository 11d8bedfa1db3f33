use alloc::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};

use super::*;
use crate::config::Software;
use crate::federation::FederationOptions;
use crate::limits::Limits;
use crate::stanza::{Kind, Stanza};
use crate::time::{Instant, UnixTime};

const OWN_ACCOUNT: Entity<'_> = Entity::Account(Asker::Owner(Seen::Connected));

fn ask(entity: Entity<'_>, iq: IqType, payload: &str) -> Answer {
    let config = Config {
        hosts: BTreeMap::new(),
        limits: Limits::default(),
        federation: FederationOptions::isolated(),
        server_secret: [0; 32],
        shards: 1,
        software: Software {
            name: "Spon<dee>".to_string(),
            version: "1.2".to_string(),
        },
    };
    let stanza = Stanza::build(Kind::Iq(iq), Some("1"), None, None, |w| {
        w.raw(payload.as_bytes());
    });
    answer(&Asked {
        now: Now {
            mono: Instant(123_456_999_999),
            wall: UnixTime(1_795_316_645_678),
        },
        config: &config,
        domain: Some("localhost"),
        host: None,
        iq,
        payload: &stanza.payload().unwrap(),
        entity,
    })
}

fn result(entity: Entity<'_>, payload: &str) -> String {
    match ask(entity, IqType::Get, payload) {
        Answer::Result(xml) => String::from_utf8(xml).unwrap().replace('"', "'"),
        Answer::Refuse(condition) => format!("{condition:?}"),
    }
}

/// XEP-0030 §3.1.
#[test]
fn a_host_says_that_it_is_an_im_server_and_what_it_can() {
    assert_eq!(
        result(
            Entity::Host,
            "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        ),
        "<query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='server' type='im' name='Spon&lt;dee&gt;'/>\
         <feature var='jabber:iq:last'/>\
         <feature var='http://jabber.org/protocol/disco#info'/>\
         <feature var='http://jabber.org/protocol/disco#items'/>\
         <feature var='jabber:iq:private'/><feature var='vcard-temp'/><feature var='jabber:iq:register'/>\
         <feature var='jabber:iq:version'/><feature var='http://jabber.org/protocol/caps'/>\
         <feature var='msgoffline'/><feature var='urn:xmpp:blocking'/>\
         <feature var='urn:xmpp:ping'/><feature var='urn:xmpp:time'/><feature var='urn:xmpp:carbons:2'/>\
         <feature var='urn:xmpp:sid:0'/><feature var='urn:xmpp:message-retract:1'/></query>"
    );
}

/// XEP-0030 §3.1.
#[test]
fn an_account_says_to_its_owner_that_it_is_registered() {
    assert_eq!(
        result(
            OWN_ACCOUNT,
            "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        ),
        "<query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='account' type='registered'/>\
         <feature var='jabber:iq:last'/>\
         <feature var='http://jabber.org/protocol/disco#info'/>\
         <feature var='http://jabber.org/protocol/disco#items'/>\
         <feature var='jabber:iq:private'/><feature var='vcard-temp'/><feature var='http://jabber.org/protocol/rsm'/>\
         <feature var='jabber:iq:register'/>\
         <feature var='urn:xmpp:ping'/>\
         <feature var='urn:xmpp:time'/><feature var='urn:xmpp:carbons:2'/>\
         <feature var='urn:xmpp:mam:2'/>\
         <feature var='urn:xmpp:mam:2#extended'/><feature var='urn:xmpp:mam:2#groupchat-field'/>\
         <feature var='urn:xmpp:sid:0'/><feature var='urn:xmpp:message-retract:1'/></query>"
    );
}

/// XEP-0030 §8: who has a subscription of type "both" or "from".
#[test]
fn an_account_says_to_its_contacts_what_they_can_ask() {
    let contact = Entity::Account(Asker::Contact(Seen::Connected));
    assert_eq!(
        result(
            contact,
            "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        ),
        "<query xmlns='http://jabber.org/protocol/disco#info'>\
         <identity category='account' type='registered'/>\
         <feature var='jabber:iq:last'/>\
         <feature var='http://jabber.org/protocol/disco#info'/>\
         <feature var='http://jabber.org/protocol/disco#items'/><feature var='vcard-temp'/></query>"
    );
    // What is its own only is refused as to anybody else.
    for own in [
        "<ping xmlns='urn:xmpp:ping'/>",
        "<time xmlns='urn:xmpp:time'/>",
    ] {
        assert_eq!(result(contact, own), "ServiceUnavailable");
    }
    let roster = "<query xmlns='jabber:iq:roster'/>";
    assert_eq!(result(contact, roster), "ServiceUnavailable");
    // RFC 6121 §2.3.3.
    let forbidden = Answer::Refuse(Condition::Forbidden);
    assert_eq!(ask(contact, IqType::Set, roster), forbidden);
}

const LAST: &str = "<query xmlns='jabber:iq:last'/>";

/// XEP-0012 §3.
#[test]
fn an_account_says_to_its_own_and_its_contacts_when_it_was_active() {
    let status = Some("Heading <Home>".into());
    let left = |ms: i64| Activity::new(UnixTime(1_795_316_645_678 - ms), status.clone());
    let [now, before, ahead] = [0, 903_999, -5000].map(left);
    let quiet = Activity::new(now.ended, None);
    for (seen, expected) in [
        (Seen::Connected, "seconds='0'/>"),
        (
            Seen::Left(&before),
            "seconds='903'>Heading &lt;Home&gt;</query>",
        ),
        (Seen::Left(&now), "seconds='0'>Heading &lt;Home&gt;</query>"),
        // The clock went back.
        (
            Seen::Left(&ahead),
            "seconds='0'>Heading &lt;Home&gt;</query>",
        ),
        (Seen::Left(&quiet), "seconds='0'/>"),
    ] {
        for asker in [Asker::Owner(seen), Asker::Contact(seen)] {
            let told = result(Entity::Account(asker), LAST);
            assert_eq!(told, format!("<query xmlns='jabber:iq:last' {expected}"));
        }
    }
    let unknown = Entity::Account(Asker::Contact(Seen::Unknown));
    assert_eq!(result(unknown, LAST), "ServiceUnavailable");
}

/// XEP-0012 §5.
#[test]
fn a_host_says_for_how_long_it_has_been_running() {
    let told = "<query xmlns='jabber:iq:last' seconds='123456'/>";
    assert_eq!(result(Entity::Host, LAST), told);
}

/// XEP-0030 §4.1 and §7.
#[test]
fn there_are_no_items_and_no_nodes() {
    let contact = Entity::Account(Asker::Contact(Seen::Unknown));
    for entity in [Entity::Host, OWN_ACCOUNT, contact] {
        assert_eq!(
            result(
                entity,
                "<query xmlns='http://jabber.org/protocol/disco#items'/>"
            ),
            "<query xmlns='http://jabber.org/protocol/disco#items'/>"
        );
        for kind in ["info", "items"] {
            let query =
                format!("<query xmlns='http://jabber.org/protocol/disco#{kind}' node='x'/>");
            assert_eq!(result(entity, &query), "ItemNotFound");
        }
    }
}

/// XEP-0199 §4.2, XEP-0092 §2, XEP-0202 §2.
#[test]
fn a_host_answers_ping_version_and_time() {
    for (request, response) in [
        ("<ping xmlns='urn:xmpp:ping'/>", ""),
        (
            "<query xmlns='jabber:iq:version'/>",
            "<query xmlns='jabber:iq:version'><name>Spon&lt;dee&gt;</name><version>1.2</version></query>",
        ),
        (
            "<time xmlns='urn:xmpp:time'/>",
            "<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2026-11-22T03:04:05.678Z</utc></time>",
        ),
        ("<x:ping xmlns:x='urn:xmpp:ping'/>", ""),
    ] {
        assert_eq!(result(Entity::Host, request), response, "{request}");
    }
}

#[test]
fn an_account_answers_its_owner_a_ping_and_the_time_but_no_version() {
    assert_eq!(result(OWN_ACCOUNT, "<ping xmlns='urn:xmpp:ping'/>"), "");
    let time = result(OWN_ACCOUNT, "<time xmlns='urn:xmpp:time'/>");
    assert_eq!(time, result(Entity::Host, "<time xmlns='urn:xmpp:time'/>"));
    let version = "<query xmlns='jabber:iq:version'/>";
    assert_eq!(result(OWN_ACCOUNT, version), "ServiceUnavailable");
}

/// XEP-0030 §8.
#[test]
fn an_account_answers_a_stranger_as_if_it_did_not_exist() {
    let stranger = Entity::Account(Asker::Stranger);
    let refused = Answer::Refuse(Condition::ServiceUnavailable);
    for request in [
        "<ping xmlns='urn:xmpp:ping'/>",
        "<time xmlns='urn:xmpp:time'/>",
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>",
        "<items xmlns='http://jabber.org/protocol/disco#items'/>",
        LAST,
        "<x xmlns='y'/>",
    ] {
        for iq in [IqType::Get, IqType::Set] {
            assert_eq!(ask(stranger, iq, request), refused, "{request}");
        }
    }
    for (request, empty) in [
        (
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        ),
        (
            "<query node='&quot;&#x41;&lt;x' xmlns='http://jabber.org/protocol/disco#items'><x/></query>",
            "<query xmlns='http://jabber.org/protocol/disco#items' node='&quot;&#x41;&lt;x'/>",
        ),
        (
            "<d:query xmlns:d='http://jabber.org/protocol/disco#items' d:node='x' node='a'/>",
            "<query xmlns='http://jabber.org/protocol/disco#items' node='a'/>",
        ),
    ] {
        assert_eq!(result(stranger, request), empty, "{request}");
        assert_eq!(ask(stranger, IqType::Set, request), refused, "{request}");
    }
}

/// RFC 6120 §8.4, §8.3.3.3 and §8.3.3.10.
#[test]
fn what_it_does_not_know_is_refused_by_what_is_wrong_with_it() {
    for (iq, request, condition) in [
        (IqType::Get, "<x xmlns='y'/>", Condition::ServiceUnavailable),
        (IqType::Set, "<x xmlns='y'/>", Condition::ServiceUnavailable),
        (IqType::Get, "<ping/>", Condition::ServiceUnavailable),
        (
            IqType::Get,
            "<query xmlns='urn:xmpp:ping'/>",
            Condition::FeatureNotImplemented,
        ),
        (
            IqType::Set,
            "<ping xmlns='urn:xmpp:ping'/>",
            Condition::NotAllowed,
        ),
        (
            IqType::Set,
            "<query xmlns='jabber:iq:version'/>",
            Condition::NotAllowed,
        ),
    ] {
        assert_eq!(
            ask(Entity::Host, iq, request),
            Answer::Refuse(condition),
            "{request}"
        );
    }
}

#[test]
fn the_tables_agree_and_are_in_order() {
    assert!(INDEX.is_sorted_by(|a, b| a.number < b.number));
    for xep in INDEX {
        assert!(xep.file.ends_with(".rs") && !xep.name.is_empty() && !xep.version.is_empty());
    }
    // XEP-0199 §5, XEP-0202 §4: what is answered is advertised, of the same entities.
    for request in REQUESTS {
        assert!(
            INDEX
                .iter()
                .any(|xep| xep.bearer == request.bearer && xep.features.contains(&request.ns.uri())),
            "{:?}",
            request.ns
        );
    }
}
