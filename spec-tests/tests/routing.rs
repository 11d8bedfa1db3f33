//! Where stanzas go: RFC 6121 §8.5 and RFC 6120 §10, on one shard and across three.

mod stage;

use std::collections::BTreeSet;

use spec_tests::element::{CLIENT, Element};
use spec_tests::memory::{Drain, StorePace, World};
use spec_tests::talk::{Talk, header, plain_auth};
use spondee_core::envelope::placement::Placement;
use spondee_core::port::Opening;
use stage::{CAST, Outcome, stream_error, world};

/// Sessions of one account, by resource.
type Sessions = Vec<(&'static str, Talk)>;

/// What becomes of a stanza.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// These resources get it, in the order of `Sessions`.
    To(&'static [&'static str]),
    /// The sender is told `service-unavailable`.
    Bounced,
    /// Nobody hears of it.
    Ignored,
}

use Fate::{Bounced as E, Ignored as S, To};

/// It waits until somebody is there, of which nobody hears.
const O: Fate = S;

const TYPES: [&str; 5] = ["normal", "chat", "groupchat", "headline", "error"];

/// A condition of RFC 6121 §8.5.4: whom the messages are to, which resources there are with which priority (`None` has sent
/// no presence), and the fate of each of `TYPES` for each address.
struct Condition {
    account: &'static str,
    resources: &'static [(&'static str, Option<&'static str>)],
    fates: &'static [(&'static str, [Fate; 5])],
}

const HALL: Fate = To(&["hall"]);
const ATTIC: Fate = To(&["attic"]);
const BEST: Fate = To(&["hall", "garden"]);
const ALL: Fate = To(&["hall", "garden", "cellar"]);

/// RFC 6121 §8.5.4, with `E` where it leaves `S/E`, and the highest priority for `M/A`. A headline to
/// an absent resource is ignored. The last column is §8.5.2.1.1 and §8.5.3.2.1.
const TABLE: &[Condition] = &[
    Condition {
        account: "nobody@localhost",
        resources: &[],
        fates: &[("", [E, E, E, S, S]), ("/hall", [E, E, E, S, S])],
    },
    Condition {
        account: "juliet@localhost",
        resources: &[],
        fates: &[("", [O, O, E, S, S]), ("/hall", [E, O, E, S, S])],
    },
    Condition {
        account: "juliet@localhost",
        resources: &[("hall", None)],
        fates: &[
            ("", [O, O, E, S, S]),
            ("/hall", [HALL, HALL, HALL, HALL, HALL]),
            ("/absent", [E, O, E, S, S]),
        ],
    },
    Condition {
        account: "juliet@localhost",
        resources: &[("hall", Some("-1")), ("attic", Some("-128"))],
        fates: &[
            ("", [O, O, E, S, S]),
            ("/hall", [HALL, HALL, HALL, HALL, HALL]),
            ("/attic", [ATTIC, ATTIC, ATTIC, ATTIC, ATTIC]),
            ("/absent", [E, O, E, S, S]),
        ],
    },
    Condition {
        account: "juliet@localhost",
        resources: &[("hall", Some("0")), ("attic", Some("-1")), ("porch", None)],
        fates: &[
            ("", [HALL, HALL, E, HALL, S]),
            ("/hall", [HALL, HALL, HALL, HALL, HALL]),
            ("/attic", [ATTIC, ATTIC, ATTIC, ATTIC, ATTIC]),
            ("/absent", [E, HALL, E, S, S]),
        ],
    },
    Condition {
        account: "juliet@localhost",
        resources: &[
            ("hall", Some("127")),
            ("garden", Some("127")),
            ("cellar", Some("0")),
            ("attic", Some("-1")),
            ("porch", None),
        ],
        fates: &[
            ("", [BEST, BEST, E, ALL, S]),
            ("/hall", [HALL, HALL, HALL, HALL, HALL]),
            ("/attic", [ATTIC, ATTIC, ATTIC, ATTIC, ATTIC]),
            ("/absent", [E, BEST, E, S, S]),
        ],
    },
];

/// RFC 6121 §8.5.4.
#[test]
fn messages_go_where_the_table_says_on_one_shard() -> Outcome {
    TABLE.iter().try_for_each(|condition| check(condition, 1))
}

/// The same, with every message crossing from shard to shard.
#[test]
fn messages_go_where_the_table_says_across_three_shards() -> Outcome {
    let secret = spec_tests::memory::config().server_secret;
    let placement = Placement::new(&secret, 3);
    let shards = BTreeSet::from(CAST.map(|account| placement.owner(account).shard));
    assert_eq!(shards.len(), 3, "every shard owns one of the cast");
    assert_ne!(placement.owner(CAST[0]), placement.owner(CAST[1]));
    TABLE.iter().try_for_each(|condition| check(condition, 3))
}

fn check(condition: &Condition, shards: u16) -> Outcome {
    let mut world = world(shards, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let mut sessions = sessions(&mut world, "juliet@localhost", condition.resources)?;
    for (resource, fates) in condition.fates {
        for (kind, fate) in TYPES.into_iter().zip(fates) {
            let to = format!("{}{resource}", condition.account);
            let message =
                format!("<message to='{to}' type='{kind}' id='m'><body>b</body></message>");
            romeo.send(&mut world, &message);
            expect(&mut world, &mut romeo, &mut sessions, &to, *fate)
                .map_err(|e| format!("{kind} to {to} of {:?}: {e}", condition.resources))?;
        }
    }
    Ok(())
}

/// Signs these resources in and lets them become available; what they hear of each other is dropped.
fn sessions(
    world: &mut World,
    account: &str,
    resources: &[(&'static str, Option<&str>)],
) -> Result<Sessions, String> {
    let mut sessions = Vec::new();
    for (resource, priority) in resources {
        let mut talk = Talk::session(world, account, resource)?;
        if let Some(priority) = priority {
            set_priority(world, &mut talk, priority);
        }
        sessions.push((*resource, talk));
    }
    for (_, talk) in &mut sessions {
        talk.rest(world)?;
    }
    Ok(sessions)
}

fn set_priority(world: &mut World, talk: &mut Talk, priority: &str) {
    let presence = format!("<presence><priority>{priority}</priority></presence>");
    talk.send(world, &presence);
}

/// Checks what became of a stanza with `to` and without payload that matters: delivered as it was sent with a true `from`,
/// bounced by the rules of RFC 6120 §8.3.1, or neither.
fn expect(
    world: &mut World,
    sender: &mut Talk,
    sessions: &mut Sessions,
    to: &str,
    fate: Fate,
) -> Outcome {
    let mut reached = Vec::new();
    for (resource, talk) in sessions {
        for stanza in talk.rest(world)? {
            // RFC 6121 §8.5.2.1.1: `to` is not rewritten. RFC 6120 §8.1.2.1: `from` is the full JID.
            let from = stanza.attribute("from");
            if stanza.attribute("to") != Some(to) || from != Some("romeo@localhost/orchard") {
                return Err(format!("changed on its way: {stanza}"));
            }
            reached.push(*resource);
        }
    }
    let answers = sender.rest(world)?;
    let bounced = answers.iter().try_fold(S, |_, answer| {
        is_refusal(answer, to, "service-unavailable")?;
        Ok::<_, String>(E)
    })?;
    match fate {
        To(wanted) if reached == wanted && answers.is_empty() => Ok(()),
        E | S if reached.is_empty() && answers.len() < 2 && bounced == fate => Ok(()),
        To(_) | E | S => Err(format!("reached {reached:?}, answered {answers:?}")),
    }
}

/// Whether this is the error, from `to` and with the id of the stanza, that says `condition`.
fn is_refusal(answer: &Element, to: &str, condition: &str) -> Outcome {
    let error = answer.child(CLIENT, "error").and_then(Element::condition);
    let well = answer.attribute("type") == Some("error")
        && answer.attribute("from") == Some(to)
        && answer.attribute("to") == Some("romeo@localhost/orchard")
        && answer.attribute("id") == Some("m")
        && error == Some(condition);
    well.then_some(())
        .ok_or_else(|| format!("expected {condition} from {to}, not {answer}"))
}

/// RFC 6121 §8.5.2.1.1: "most available" follows the priority as it changes; RFC 6121 §4.7.2.3 gives its range.
#[test]
fn a_message_follows_the_priorities_as_they_change() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
        let mut sessions = sessions(
            &mut world,
            "juliet@localhost",
            &[("hall", Some("1")), ("garden", Some("2"))],
        )?;
        let steps: &[(usize, &str, Fate)] = &[
            (
                0,
                "<presence><priority>1</priority></presence>",
                To(&["garden"]),
            ),
            (0, "<presence><priority>2</priority></presence>", BEST),
            (
                0,
                "<presence><priority>3</priority><show>away</show></presence>",
                HALL,
            ),
            (
                1,
                "<presence><priority> 127\n</priority></presence>",
                To(&["garden"]),
            ),
            (1, "<presence><priority>-128</priority></presence>", HALL),
            // Neither is an integer between -128 and 127: as if none was said.
            (1, "<presence><priority>128</priority></presence>", HALL),
            (0, "<presence><priority>high</priority></presence>", BEST),
            (0, "<presence/>", BEST),
            (0, "<presence type='unavailable'/>", To(&["garden"])),
            (1, "<presence><priority>-1</priority></presence>", E),
            (0, "<presence/>", HALL),
        ];
        for (who, presence, fate) in steps {
            sessions[*who].1.send(&mut world, presence);
            for (_, talk) in &mut sessions {
                talk.rest(&mut world)?;
            }
            romeo.send(
                &mut world,
                "<message to='juliet@localhost' type='chat' id='m'/>",
            );
            expect(
                &mut world,
                &mut romeo,
                &mut sessions,
                "juliet@localhost",
                *fate,
            )
            .map_err(|e| format!("after {presence}: {e}"))?;
        }
    }
    Ok(())
}

/// RFC 6121 §8.5.1, §8.5.2.1.2, §8.5.3.1, §8.5.3.2.2.
#[test]
fn presence_goes_to_all_available_resources_or_to_the_one_named() -> Outcome {
    const AVAILABLE: Fate = To(&["hall", "attic"]);
    const PORCH: Fate = To(&["porch"]);
    let rows: &[(&str, &[&str], Fate)] = &[
        ("juliet@localhost", &["", "type='unavailable'"], AVAILABLE),
        ("juliet@localhost", &["type='error'", "type='probe'"], S),
        (
            "juliet@localhost/attic",
            &["", "type='unavailable'", "type='error'"],
            ATTIC,
        ),
        (
            "juliet@localhost/porch",
            &["", "type='unavailable'", "type='error'"],
            PORCH,
        ),
        ("juliet@localhost/porch", &["type='probe'"], S),
        (
            "juliet@localhost/absent",
            &["", "type='unavailable'", "type='error'", "type='probe'"],
            S,
        ),
        (
            "nobody@localhost",
            &["", "type='unavailable'", "type='error'", "type='probe'"],
            S,
        ),
        (
            "nobody@localhost/hall",
            &["", "type='unavailable'", "type='error'"],
            S,
        ),
        ("tybalt@other.test", &["", "type='unavailable'"], S),
    ];
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
        let resources = &[("hall", Some("1")), ("attic", Some("-1")), ("porch", None)];
        let mut sessions = sessions(&mut world, "juliet@localhost", resources)?;
        for (to, kinds, fate) in rows {
            for kind in *kinds {
                romeo.send(&mut world, &format!("<presence to='{to}' {kind} id='m'/>"));
                expect(&mut world, &mut romeo, &mut sessions, to, *fate)
                    .map_err(|e| format!("presence {kind} to {to}: {e}"))?;
            }
        }
    }
    Ok(())
}

/// RFC 6121 §8.5.1, §8.5.2.1.3, §8.5.3.1, §8.5.3.2.3: a stranger cannot tell which accounts exist.
#[test]
fn an_iq_is_answered_for_the_account_or_delivered_to_the_resource() -> Outcome {
    const PORCH: Fate = To(&["porch"]);
    let rows: &[(&str, [Fate; 4])] = &[
        ("juliet@localhost", [E, E, S, S]),
        ("nurse@localhost", [E, E, S, S]),
        ("nobody@localhost", [E, E, S, S]),
        ("nobody@localhost/hall", [E, E, S, S]),
        ("juliet@localhost/hall", [HALL, HALL, HALL, HALL]),
        ("juliet@localhost/porch", [PORCH, PORCH, PORCH, PORCH]),
        ("juliet@localhost/absent", [E, E, S, S]),
        ("localhost/resource", [E, E, S, S]),
    ];
    let payloads = [
        "<ping xmlns='urn:xmpp:ping'/>",
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        "<query xmlns='jabber:iq:roster'/>",
        "<x xmlns='urn:x'/>",
    ];
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
        let resources = &[("hall", Some("1")), ("porch", None)];
        let mut sessions = sessions(&mut world, "juliet@localhost", resources)?;
        for (to, fates) in rows {
            for (kind, fate) in ["get", "set", "result", "error"].into_iter().zip(fates) {
                for payload in payloads {
                    let iq = format!("<iq to='{to}' type='{kind}' id='m'>{payload}</iq>");
                    romeo.send(&mut world, &iq);
                    // RFC 6121 §2.3.3: a roster is its owner's, whether there is such an account or not.
                    let of_roster = kind == "set" && payload.contains("roster");
                    let fated = match of_roster && !to.contains('/') {
                        true => is_refusal(&romeo.next(&mut world)?, to, "forbidden")
                            .and_then(|()| expect(&mut world, &mut romeo, &mut sessions, to, S)),
                        false => expect(&mut world, &mut romeo, &mut sessions, to, *fate),
                    };
                    fated.map_err(|e| format!("{iq}: {e}"))?;
                }
            }
        }
    }
    Ok(())
}

/// RFC 6120 §8.2.3: the answer finds its way back, from whoever was asked.
#[test]
fn a_client_answers_a_request_across_shards() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    romeo.send(
        &mut world,
        "<iq to='juliet@localhost/balcony' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    let request = juliet.next(&mut world)?;
    assert!(
        request.child("urn:xmpp:ping", "ping").is_some(),
        "{request}"
    );
    juliet.send(
        &mut world,
        "<iq to='romeo@localhost/orchard' type='result' id='1'/>",
    );
    let result = romeo.next(&mut world)?;
    assert_eq!(result.attribute("type"), Some("result"));
    assert_eq!(result.attribute("from"), Some("juliet@localhost/balcony"));
    Ok(())
}

/// RFC 6120 §10.5.1, §10.5.2.
#[test]
fn a_host_answers_iq_refuses_messages_and_ignores_presence() -> Outcome {
    let mut world = world(1, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    for host in ["localhost", "other.test"] {
        let ping = format!("<iq to='{host}' type='get' id='m'><ping xmlns='urn:xmpp:ping'/></iq>");
        romeo.send(&mut world, &ping);
        let pong = romeo.next(&mut world)?;
        assert_eq!(pong.attribute("type"), Some("result"));
        assert_eq!(pong.attribute("from"), Some(host));
        assert_eq!(pong.attribute("to"), Some("romeo@localhost/orchard"));
        romeo.send(
            &mut world,
            &format!("<iq to='{host}' type='set' id='m'><x xmlns='urn:x'/></iq>"),
        );
        is_refusal(&romeo.next(&mut world)?, host, "service-unavailable")?;
        for to in [host.to_owned(), format!("{host}/resource")] {
            for kind in ["normal", "chat", "groupchat", "headline"] {
                romeo.send(
                    &mut world,
                    &format!("<message to='{to}' type='{kind}' id='m'/>"),
                );
                is_refusal(&romeo.next(&mut world)?, &to, "service-unavailable")?;
            }
            for presence in ["", "type='unavailable'", "type='probe'"] {
                romeo.send(&mut world, &format!("<presence to='{to}' {presence}/>"));
            }
            assert_eq!(romeo.rest(&mut world)?, []);
        }
    }
    Ok(())
}

/// RFC 6120 §10.3.1, §10.3.3.
#[test]
fn without_to_a_stanza_is_for_the_senders_own_account() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    romeo.send(&mut world, "<message type='chat' id='m'/>");
    is_refusal(
        &romeo.next(&mut world)?,
        "romeo@localhost",
        "service-unavailable",
    )?;
    romeo.send(&mut world, "<presence/>");
    romeo.next(&mut world)?;
    romeo.send(&mut world, "<message type='chat' id='m'/>");
    let own = romeo.next(&mut world)?;
    assert_eq!(own.attribute("to"), Some("romeo@localhost"));
    assert_eq!(own.attribute("from"), Some("romeo@localhost/orchard"));

    for to in ["", "to='romeo@localhost'"] {
        for (kind, payload, answer) in [
            ("get", "<ping xmlns='urn:xmpp:ping'/>", None),
            ("get", "<x xmlns='urn:x'/>", Some("service-unavailable")),
            ("set", "<x xmlns='urn:x'/>", Some("service-unavailable")),
        ] {
            romeo.send(
                &mut world,
                &format!("<iq {to} type='{kind}' id='m'>{payload}</iq>"),
            );
            let reply = romeo.next(&mut world)?;
            // RFC 6120 §8.1.2.1: no `from`, or the account's.
            assert!(matches!(
                reply.attribute("from"),
                None | Some("romeo@localhost")
            ));
            let error = reply.child(CLIENT, "error").and_then(Element::condition);
            assert_eq!(error, answer, "{reply}");
        }
        for kind in ["result", "error"] {
            romeo.send(&mut world, &format!("<iq {to} type='{kind}' id='m'/>"));
            assert_eq!(romeo.rest(&mut world)?, []);
        }
    }
    Ok(())
}

/// RFC 6120 §10.4.3.
#[test]
fn nothing_goes_to_remote_domains_and_the_sender_hears_so() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    for to in [
        "far.example",
        "far.example/r",
        "juliet@far.example",
        "juliet@localhost.example/x",
    ] {
        for stanza in [
            format!("<message to='{to}' id='m'/>"),
            format!("<message to='{to}' id='m' type='headline'/>"),
            format!("<presence to='{to}' id='m'/>"),
            format!("<iq to='{to}' id='m' type='get'><x xmlns='urn:x'/></iq>"),
            format!("<iq to='{to}' id='m' type='set'><x xmlns='urn:x'/></iq>"),
        ] {
            romeo.send(&mut world, &stanza);
            is_refusal(&romeo.next(&mut world)?, to, "remote-server-not-found")?;
        }
    }
    assert_eq!(romeo.rest(&mut world)?, []);
    Ok(())
}

/// RFC 6120 §8.3.1: "MUST NOT respond to the stanza with a further error stanza"; §8.2.3 says the same of results.
#[test]
fn an_error_or_a_result_to_nowhere_is_answered_with_nothing() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    romeo.send(&mut world, "<presence/>");
    romeo.next(&mut world)?;
    for to in [
        "",
        "to='nobody@localhost'",
        "to='nobody@localhost/x'",
        "to='juliet@localhost'",
        "to='juliet@localhost/x'",
        "to='localhost'",
        "to='localhost/x'",
        "to='far.example'",
        "to='juliet@far.example/x'",
        "to='@'",
    ] {
        for stanza in [
            format!("<message {to} type='error' id='m'/>"),
            format!("<presence {to} type='error' id='m'/>"),
            format!("<iq {to} type='error' id='m'/>"),
            format!("<iq {to} type='error'/>"),
            format!("<iq {to} type='result' id='m'/>"),
            format!("<iq {to} type='result' id='m'><a xmlns='a'/><b xmlns='b'/></iq>"),
        ] {
            romeo.send(&mut world, &stanza);
            assert_eq!(romeo.rest(&mut world)?, [], "{stanza}");
        }
    }
    Ok(())
}

/// RFC 6120 §4.3.5 and §7.1: who has not bound a resource gets nothing, whatever it is to.
#[test]
fn no_stanza_reaches_a_connection_without_a_resource() -> Outcome {
    let mut world = world(3, |_| {});
    world.store_pace = StorePace::Slow;
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let silent = Talk::connect(&mut world, Opening::Tls);
    let mut greeted = Talk::connect(&mut world, Opening::Tls);
    greeted.open(&mut world, "localhost")?;
    let mut clear = Talk::connect(&mut world, Opening::Clear);
    clear.open(&mut world, "localhost")?;
    let mut failed = Talk::connect(&mut world, Opening::Tls);
    failed.open(&mut world, "localhost")?;
    failed.send(&mut world, &plain_auth("juliet", "wrong"));
    failed.next(&mut world)?;
    let mut signed_in = Talk::connect(&mut world, Opening::Tls);
    signed_in.open(&mut world, "localhost")?;
    signed_in.sign_in(&mut world, "juliet@localhost", "secret")?;
    for to in ["juliet@localhost", "juliet@localhost/balcony", "localhost"] {
        for stanza in [
            format!("<message to='{to}' type='chat'/>"),
            format!("<message to='{to}' type='headline'/>"),
            format!("<presence to='{to}'/>"),
            format!("<iq to='{to}' id='1' type='set'><x xmlns='urn:x'/></iq>"),
        ] {
            romeo.send(&mut world, &stanza);
        }
    }
    for talk in [&silent, &greeted, &clear, &failed, &signed_in] {
        let received = world.take_received(talk.peer());
        assert!(
            received.is_empty(),
            "{}",
            String::from_utf8_lossy(&received)
        );
    }
    // Nor do they get one away.
    for talk in [&mut greeted, &mut failed, &mut signed_in] {
        talk.send(&mut world, "<message to='romeo@localhost/orchard'/>");
        assert_eq!(stream_error(&mut world, talk)?, "not-authorized");
    }
    let received = romeo.rest(&mut world)?;
    assert!(
        received
            .iter()
            .all(|s| s.attribute("type") == Some("error"))
    );
    Ok(())
}

/// RFC 6120 §10.1: bare and full address are the same queue.
#[test]
fn messages_of_a_pair_keep_their_order_across_shards() -> Outcome {
    const COUNT: usize = 200;
    for drain in [Drain::EachInput, Drain::EachTurn] {
        let mut world = world(3, |_| {});
        world.drain = drain;
        let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
        juliet.send(&mut world, "<presence/>");
        juliet.next(&mut world)?;
        let senders = ["romeo@localhost", "nurse@localhost", "tybalt@other.test"];
        let mut talks = Vec::new();
        for sender in senders {
            talks.push(Talk::session(&mut world, sender, "r")?);
        }
        for number in 0..COUNT {
            for talk in &talks {
                let to = ["juliet@localhost", "juliet@localhost/balcony"][number % 2];
                let filler = "x".repeat(number * 7 % 90);
                let message = format!(
                    "<message to='{to}' type='chat' id='{number}'><body>{filler}</body></message>"
                );
                // Cut in the middle, so that a turn finds parts of several messages.
                let (first, second) = message.split_at(message.len() / 2);
                world.write(talk.peer(), first.as_bytes());
                world.write(talk.peer(), second.as_bytes());
            }
        }
        world.run();
        let received = juliet.rest(&mut world)?;
        assert_eq!(received.len(), senders.len() * COUNT);
        for sender in senders {
            let ids = received
                .iter()
                .filter(|m| m.attribute("from").unwrap().starts_with(sender))
                .map(|m| m.attribute("id").unwrap().parse::<usize>().unwrap());
            assert!(ids.eq(0..COUNT), "{sender}");
        }
    }
    Ok(())
}

/// RFC 6120 §10.1: what a client writes in one go is processed in order, over a slow store too.
#[test]
fn a_sign_in_with_a_hundred_messages_behind_it_keeps_their_order() -> Outcome {
    let mut world = world(3, |_| {});
    world.store_pace = StorePace::Slow;
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    let mut romeo = Talk::connect(&mut world, Opening::Tls);
    romeo.open(&mut world, "localhost")?;
    let mut all = plain_auth("romeo", "secret");
    all.push_str(&header("localhost"));
    all.push_str(&spec_tests::talk::bind_request("orchard"));
    for number in 0..100 {
        all.push_str(&format!(
            "<message to='juliet@localhost/balcony' id='{number}'/>"
        ));
    }
    romeo.send(&mut world, &all);
    let ids: Vec<_> = juliet
        .rest(&mut world)?
        .iter()
        .map(|m| m.attribute("id").unwrap().parse::<usize>().unwrap())
        .collect();
    assert!(ids.iter().copied().eq(0..100), "{ids:?}");
    Ok(())
}
