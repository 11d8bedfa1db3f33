//! The list itself: asked for, changed, and told to the devices that asked for it.

use spec_tests::talk::Talk;
use spondee_core::config::Config;

use super::stage::{Outcome, world};
use super::{JULIET, NOTHING, ROMEO, arrive, ask, get, heard, hush, set};

/// XEP-0191 §3.2 to §3.5.
#[test]
fn a_list_is_told_changed_and_pushed_to_all_who_asked_for_it() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
        let mut garden = Talk::session(&mut world, JULIET, "garden")?;
        for talk in [&mut balcony, &mut chamber] {
            assert_eq!(ask(&mut world, talk, &get("1"))?, ["blocklist"]);
        }
        let block = set("block", &["Romeo@localhost", "a@b/c"]);
        let told = ask(&mut world, &mut balcony, &block)?;
        let push = "block a@b/c romeo@localhost";
        assert_eq!(told, ["result", push]);
        assert_eq!(heard(&mut world, &mut chamber)?, [push]);
        // Who has not asked hears of no change, and can make one.
        assert_eq!(heard(&mut world, &mut garden)?, NOTHING);
        let unblock = set("unblock", &["a@b/c", "x@y"]);
        assert_eq!(ask(&mut world, &mut garden, &unblock)?, ["result"]);
        let push = "unblock a@b/c x@y";
        assert_eq!(heard(&mut world, &mut chamber)?, [push]);
        let whole = ["blocklist romeo@localhost"];
        assert_eq!(ask(&mut world, &mut garden, &get("2"))?, whole);
        hush(&mut world, &mut [&mut balcony])?;
        let all = set("unblock", &[]);
        assert_eq!(ask(&mut world, &mut balcony, &all)?, ["result", "unblock"]);
        assert_eq!(heard(&mut world, &mut chamber)?, ["unblock"]);
        assert_eq!(ask(&mut world, &mut balcony, &get("3"))?, ["blocklist"]);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn a_push_has_an_id_of_its_own_and_may_be_answered() -> Outcome {
    let mut world = world(1, |_| {});
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    ask(&mut world, &mut balcony, &get("1"))?;
    let mut ids = Vec::new();
    for address in ["a@b", "c@d"] {
        balcony.send(&mut world, &set("block", &[address]));
        let elements = balcony.rest(&mut world)?;
        let push = elements.last().ok_or("no push")?;
        assert_eq!(push.attribute("to"), Some("juliet@localhost/balcony"));
        assert_eq!(push.attribute("from"), None);
        ids.push(push.attribute("id").ok_or("no id")?.to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    for id in ids {
        let result = format!("<iq id='{id}' type='result'/>");
        assert_eq!(ask(&mut world, &mut balcony, &result)?, NOTHING);
        let error = format!(
            "<iq id='{id}' type='error'><block xmlns='urn:xmpp:blocking'/><error type='cancel'/></iq>"
        );
        assert_eq!(ask(&mut world, &mut balcony, &error)?, NOTHING);
    }
    Ok(())
}

#[test]
fn a_request_that_is_none_is_refused() -> Outcome {
    let mut world = world(1, |_| {});
    let mut balcony = arrive(&mut world, JULIET, "balcony")?;
    hush(&mut world, &mut [&mut balcony])?;
    for (request, condition) in [
        (set("block", &[]), "modify bad-request"),
        (set("block", &["@"]), "modify jid-malformed"),
        (set("block", &[JULIET]), "cancel not-allowed"),
        (set("blocklist", &[]), "modify bad-request"),
        (
            get("1").replace("blocklist", "x"),
            "cancel feature-not-implemented",
        ),
    ] {
        let told = ask(&mut world, &mut balcony, &request)?;
        assert_eq!(told, [format!("iq error {condition}")], "{request}");
    }
    // Others have no business with it, and the host has no list.
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    for to in [JULIET, "nobody@localhost", "localhost"] {
        for request in [get("1"), set("block", &["a@b"])] {
            let request = request.replace("<iq ", &format!("<iq to='{to}' "));
            let told = ask(&mut world, &mut romeo, &request)?;
            assert_eq!(told, ["iq error cancel service-unavailable"], "{request}");
        }
    }
    assert_eq!(ask(&mut world, &mut balcony, &get("2"))?, ["blocklist"]);
    Ok(())
}

#[test]
fn who_blocks_as_many_as_may_be_is_refused_one_more() -> Outcome {
    let few = |config: &mut Config| {
        for host in config.accounts_mut() {
            host.blocking.max_items = 2;
        }
    };
    let mut world = world(1, few);
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    let block = set("block", &["a@b", "c@d"]);
    assert_eq!(ask(&mut world, &mut balcony, &block)?, ["result"]);
    let more = ask(&mut world, &mut balcony, &set("block", &["e@f"]))?;
    assert_eq!(more, ["iq error modify policy-violation"]);
    let whole = ["blocklist a@b c@d"];
    assert_eq!(ask(&mut world, &mut balcony, &get("1"))?, whole);
    Ok(())
}
