//! What is sent to whom one has blocked, and what comes from there.

use std::time::Duration;

use spec_tests::memory::World;
use spec_tests::talk::Talk;
use spondee_core::limits::ACCOUNT_IDLE;
use spondee_core::store::Class;

use super::stage::{Outcome, world};
use super::{JULIET, NOTHING, NURSE, ROMEO, arrive, ask, friends, heard, hush, set};

/// XEP-0191 §3.3: what is sent to somebody blocked is refused, or dropped where nothing may answer.
#[test]
fn nothing_reaches_whom_one_has_blocked() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO)]);
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        ask(&mut world, &mut juliet, &set("block", &[ROMEO]))?;
        hush(&mut world, &mut [&mut romeo])?;
        for to in [ROMEO, "romeo@localhost/orchard"] {
            for (name, kinds) in [
                ("message", &["chat", "normal", "headline", "groupchat"][..]),
                ("iq", &["get", "set"]),
                (
                    "presence",
                    &[
                        "",
                        "unavailable",
                        "probe",
                        "subscribe",
                        "subscribed",
                        "unsubscribe",
                        "unsubscribed",
                    ],
                ),
            ] {
                for kind in kinds {
                    let kind = match *kind {
                        "" => String::new(),
                        kind => format!("type='{kind}'"),
                    };
                    let payload = match name {
                        "iq" => "<ping xmlns='urn:xmpp:ping'/>",
                        _ => "",
                    };
                    let stanza = format!("<{name} to='{to}' {kind} id='1'>{payload}</{name}>");
                    let told = ask(&mut world, &mut juliet, &stanza)?;
                    let refused = format!("{name} error cancel not-acceptable blocked");
                    assert_eq!(told, [refused], "{stanza}");
                }
            }
            for stanza in [
                format!("<iq to='{to}' type='result' id='1'/>"),
                format!("<iq to='{to}' type='error' id='1'/>"),
                format!("<message to='{to}' type='error'/>"),
                format!("<presence to='{to}' type='error'/>"),
            ] {
                assert_eq!(ask(&mut world, &mut juliet, &stanza)?, NOTHING, "{stanza}");
            }
        }
        // What is for everybody is not for who is blocked.
        assert_eq!(
            ask(
                &mut world,
                &mut juliet,
                "<presence><show>away</show></presence>"
            )?,
            ["juliet@localhost/balcony available"]
        );
        world.hang_up(juliet.peer());
        world.run();
        assert_eq!(heard(&mut world, &mut romeo)?, NOTHING);
        // The roster is as it was.
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        assert_eq!(
            heard(&mut world, &mut juliet)?,
            [
                "blocklist romeo@localhost",
                "query romeo@localhost both",
                "juliet@localhost/balcony available"
            ]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn the_refusal_is_that_of_the_example() -> Outcome {
    let mut world = world(1, |_| {});
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    ask(&mut world, &mut juliet, &set("block", &[ROMEO]))?;
    let message =
        "<message to='romeo@localhost/x' id='m'><body>Can you hear me now?</body></message>";
    juliet.send(&mut world, message);
    let error = juliet.next(&mut world)?;
    assert_eq!(error.attribute("from"), Some("romeo@localhost/x"));
    assert_eq!(error.attribute("id"), Some("m"));
    let namespaces = error.children().next().ok_or("no error")?.children();
    let namespaces: Vec<_> = namespaces.map(|child| child.ns.as_str()).collect();
    assert_eq!(
        namespaces,
        [
            "urn:ietf:params:xml:ns:xmpp-stanzas",
            "urn:xmpp:blocking:errors"
        ]
    );
    Ok(())
}

/// All that somebody may send who is blocked, to `to`.
fn everything(to: &str) -> Vec<String> {
    let mut all = Vec::new();
    for to in [to.to_owned(), format!("{to}/balcony"), format!("{to}/away")] {
        for kind in ["chat", "normal", "headline", "groupchat", "error"] {
            all.push(format!(
                "<message to='{to}' type='{kind}' id='1'><body>b</body></message>"
            ));
        }
        for kind in ["get", "set"] {
            for ns in [
                "urn:xmpp:ping",
                "jabber:iq:roster",
                "urn:xmpp:blocking",
                "http://jabber.org/protocol/disco#info",
                "http://jabber.org/protocol/disco#items",
            ] {
                all.push(format!(
                    "<iq to='{to}' type='{kind}' id='1'><query xmlns='{ns}'/></iq>"
                ));
            }
        }
        for kind in ["result", "error"] {
            all.push(format!("<iq to='{to}' type='{kind}' id='1'/>"));
        }
        all.push(format!("<presence to='{to}'/>"));
        for kind in ["probe", "unavailable", "error", "subscribe"] {
            all.push(format!("<presence to='{to}' type='{kind}'/>"));
        }
    }
    all
}

/// XEP-0191 §3.3: "the user will appear offline to the blocked JID", and more: as if there were no such user.
#[test]
fn who_is_blocked_cannot_tell_the_blocker_from_nobody() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        ask(&mut world, &mut juliet, &set("block", &[NURSE]))?;
        let mut nurse = arrive(&mut world, NURSE, "house")?;
        let mut answers = Vec::new();
        for present in [true, false] {
            hush(&mut world, &mut [&mut nurse, &mut juliet])?;
            for stanza in everything(JULIET) {
                answers.push(ask(&mut world, &mut nurse, &stanza)?);
            }
            if present {
                assert_eq!(heard(&mut world, &mut juliet)?, NOTHING);
                world.hang_up(juliet.peer());
                world.run();
                juliet = Talk::session(&mut world, ROMEO, "orchard")?;
            }
        }
        for stanza in everything("nobody@localhost") {
            answers.push(ask(&mut world, &mut nurse, &stanza)?);
        }
        // What its own roster says of a request.
        for told in &mut answers {
            told.retain(|word| !word.ends_with(" none"));
        }
        let (online, others) = answers.split_at(everything(JULIET).len());
        let (offline, unknown) = others.split_at(online.len());
        for (((stanza, online), offline), unknown) in everything(JULIET)
            .iter()
            .zip(online)
            .zip(offline)
            .zip(unknown)
        {
            assert_eq!(online, unknown, "{stanza}");
            assert_eq!(offline, unknown, "{stanza}");
        }
        assert!(online.contains(&vec!["message error cancel service-unavailable".into()]));
        assert!(online.contains(&vec!["iq error cancel service-unavailable".into()]));
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// What only contacts may have takes as long to be refused as where the account must be read for it (XEP-0030 §8).
#[test]
fn a_contact_who_is_blocked_costs_the_store_what_a_stranger_costs() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO)]);
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let mut read = |world: &mut World, to: &str| -> Result<usize, String> {
            let before = world.asked(Class::Load);
            let query = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
            let request = format!("<iq to='{to}' type='get' id='1'>{query}</iq>");
            let told = ask(world, &mut romeo, &request)?;
            let told: Vec<_> = told.iter().filter(|word| word.starts_with("iq ")).collect();
            match to == JULIET && told.is_empty() {
                true => Ok(0),
                false => {
                    assert_eq!(told, ["iq error cancel service-unavailable"]);
                    Ok(world.asked(Class::Load) - before)
                }
            }
        };
        assert_eq!(read(&mut world, JULIET)?, 0, "a contact");
        ask(&mut world, &mut juliet, &set("block", &[ROMEO]))?;
        let present = read(&mut world, JULIET)?;
        world.hang_up(juliet.peer());
        world.advance(ACCOUNT_IDLE + Duration::from_secs(1));
        let absent = read(&mut world, JULIET)?;
        let unknown = read(&mut world, "nobody@localhost")?;
        assert_eq!([present, absent], [unknown, unknown]);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// One resource of a contact: what is sent to it, and what comes from it.
#[test]
fn one_resource_can_be_blocked_and_the_others_not() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO)]);
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let mut orchard = arrive(&mut world, ROMEO, "orchard")?;
        let mut street = arrive(&mut world, ROMEO, "street")?;
        hush(&mut world, &mut [&mut juliet, &mut orchard, &mut street])?;
        ask(
            &mut world,
            &mut juliet,
            &set("block", &["romeo@localhost/street"]),
        )?;
        let gone = ["juliet@localhost/balcony unavailable"];
        assert_eq!(heard(&mut world, &mut street)?, gone);
        assert_eq!(heard(&mut world, &mut orchard)?, NOTHING);
        let message = "<message to='juliet@localhost/balcony'><body>b</body></message>";
        let refused = ["message error cancel service-unavailable"];
        assert_eq!(ask(&mut world, &mut street, message)?, refused);
        assert_eq!(ask(&mut world, &mut orchard, message)?, NOTHING);
        assert_eq!(
            heard(&mut world, &mut juliet)?,
            ["romeo@localhost/orchard: b"]
        );
        let message = "<message to='romeo@localhost/street'/>";
        assert_eq!(
            ask(&mut world, &mut juliet, message)?,
            ["message error cancel not-acceptable blocked"]
        );
        street.send(&mut world, "<presence><show>away</show></presence>");
        assert_eq!(heard(&mut world, &mut juliet)?, NOTHING);
        hush(&mut world, &mut [&mut orchard, &mut street])?;
        let told = ask(
            &mut world,
            &mut juliet,
            &set("unblock", &["romeo@localhost/street"]),
        )?;
        let street_again = "romeo@localhost/street available".to_owned();
        assert!(told.contains(&street_again), "{told:?}");
        let back = ["juliet@localhost/balcony available"];
        assert_eq!(heard(&mut world, &mut street)?, back);
        assert_eq!(heard(&mut world, &mut orchard)?, NOTHING);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// XEP-0191 §5, the note: "MUST NOT block communications from one of a user's resources to another".
#[test]
fn ones_own_resources_are_never_blocked() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO)]);
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut balcony = arrive(&mut world, JULIET, "balcony")?;
        ask(&mut world, &mut balcony, &set("block", &["localhost"]))?;
        let mut chamber = arrive(&mut world, JULIET, "chamber")?;
        let told = heard(&mut world, &mut chamber)?;
        assert!(
            told.contains(&"juliet@localhost/balcony available".to_owned()),
            "{told:?}"
        );
        hush(&mut world, &mut [&mut balcony, &mut romeo])?;
        for to in [JULIET, "juliet@localhost/chamber"] {
            let message = format!("<message to='{to}' type='headline'><body>b</body></message>");
            balcony.send(&mut world, &message);
            assert_eq!(
                heard(&mut world, &mut chamber)?,
                ["juliet@localhost/balcony: b"]
            );
        }
        hush(&mut world, &mut [&mut balcony])?;
        world.hang_up(chamber.peer());
        world.run();
        assert_eq!(
            heard(&mut world, &mut balcony)?,
            ["juliet@localhost/chamber unavailable"]
        );
        assert_eq!(heard(&mut world, &mut romeo)?, NOTHING);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}
