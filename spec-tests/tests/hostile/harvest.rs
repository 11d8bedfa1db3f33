//! Who looks for accounts by writing to them: what becomes of each stanza to one that does not exist (RFC 6121 §8.5.1, XEP-0030 §8),
//! and that nothing tells it from one whose owner shares no presence with the sender (RFC 6120 §13.11).

use spec_tests::element::{CLIENT, Element};
use spec_tests::memory::World;
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::port::{Command, CommandReply};

use crate::stage::{Outcome, world};

/// What becomes of a stanza to an account that does not exist.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    /// `service-unavailable`.
    Refused,
    /// Silence.
    Ignored,
    /// A result with an empty set of items.
    Empty,
}

use Fate::{Empty, Ignored, Refused};

/// What it is worth to know whether somebody is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shows {
    /// A message shows its sender whether it was delivered.
    Delivery,
    /// One to the account that is kept for who is away shows that there is such an account.
    Keeping,
    /// Nothing.
    Nothing,
}

/// A stanza without its address, its fate at a bare and at a full address, and what it shows where somebody is there.
type Row = (&'static str, Fate, Fate, Shows);

const ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// Every kind and type, and of requests those that a server might answer on behalf of an account.
const TABLE: &[Row] = &[
    // RFC 6121 §8.5.1: "either (a) silently ignore the message or (b) return a <service-unavailable/>", as §8.5.2.2.1.
    (
        "<message id='1' TO><body>x</body></message>",
        Refused,
        Refused,
        Shows::Keeping,
    ),
    (
        "<message id='1' type='normal' TO/>",
        Refused,
        Refused,
        Shows::Delivery,
    ),
    (
        "<message id='1' type='chat' TO/>",
        Refused,
        Refused,
        Shows::Delivery,
    ),
    (
        "<message id='1' type='unheard-of' TO/>",
        Refused,
        Refused,
        Shows::Delivery,
    ),
    (
        "<message id='1' type='groupchat' TO/>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<message id='1' type='headline' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    (
        "<message id='1' type='error' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    // "the server MUST silently ignore the stanza".
    ("<presence id='1' TO/>", Ignored, Ignored, Shows::Nothing),
    (
        "<presence id='1' type='unavailable' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    (
        "<presence id='1' type='subscribe' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    (
        "<presence id='1' type='subscribed' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    (
        "<presence id='1' type='unsubscribe' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    (
        "<presence id='1' type='unsubscribed' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    // "MUST either (a) silently ignore the stanza or (b) return a presence stanza of type 'unsubscribed'".
    (
        "<presence id='1' type='probe' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    (
        "<presence id='1' type='error' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    // XEP-0030 §8: "MUST return an empty result set", "no matter if the request specifies a node or not".
    (
        "<iq id='1' type='get' TO><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
        Empty,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><query xmlns='http://jabber.org/protocol/disco#items' node='x'/></iq>",
        Empty,
        Refused,
        Shows::Nothing,
    ),
    // "MUST return a <service-unavailable/>", the same.
    (
        "<iq id='1' type='get' TO><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><query xmlns='http://jabber.org/protocol/disco#info' node='x'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    // RFC 6121 §8.5.1: "For an IQ stanza, the server MUST return a <service-unavailable/>".
    (
        "<iq id='1' type='set' TO><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><items xmlns='http://jabber.org/protocol/disco#items'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><ping xmlns='urn:xmpp:ping'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><query xmlns='jabber:iq:version'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><time xmlns='urn:xmpp:time'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><query xmlns='jabber:iq:last'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><query xmlns='jabber:iq:roster'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><vCard xmlns='vcard-temp'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='get' TO><x xmlns='urn:example:x'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='set' TO><x xmlns='urn:example:x'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='set' TO><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
        Refused,
        Refused,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='result' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
    (
        "<iq id='1' type='error' TO/>",
        Ignored,
        Ignored,
        Shows::Nothing,
    ),
];

/// What an account can be to a stranger.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Subject {
    /// There is none.
    Nobody,
    /// There was one.
    Deleted,
    /// Nobody is signed in.
    Away,
    /// Nobody may sign in.
    Disabled,
    /// A session that has sent no presence.
    Silent,
    /// A session of negative priority.
    Negative,
    /// A session that takes messages.
    Available,
}

const SUBJECTS: [Subject; 7] = [
    Subject::Nobody,
    Subject::Deleted,
    Subject::Away,
    Subject::Disabled,
    Subject::Silent,
    Subject::Negative,
    Subject::Available,
];

/// Makes `nurse@localhost` what it is to be. A session must be kept.
fn prepare(world: &mut World, subject: Subject) -> Result<Option<Talk>, String> {
    let account = BareJid::parse("nurse@localhost").map_err(|e| format!("{e:?}"))?;
    let mut settle = |command| assert_eq!(world.command(command), Ok(CommandReply::Done));
    let presence = match subject {
        Subject::Nobody | Subject::Away => return Ok(None),
        Subject::Deleted => {
            settle(Command::Delete { account });
            return Ok(None);
        }
        Subject::Disabled => {
            settle(Command::Disable { account });
            return Ok(None);
        }
        Subject::Silent => "",
        Subject::Negative => "<presence><priority>-1</priority></presence>",
        Subject::Available => "<presence/>",
    };
    let mut nurse = Talk::session(world, "nurse@localhost", "kitchen")?;
    nurse.send(world, presence);
    nurse.rest(world)?;
    Ok(Some(nurse))
}

fn fate(answers: &[Element], to: &str) -> Result<Fate, String> {
    let [answer] = answers else {
        return match answers {
            [] => Ok(Ignored),
            _ => Err(format!("{} answers", answers.len())),
        };
    };
    if answer.attribute("from") != Some(to) || answer.attribute("id") != Some("1") {
        return Err(format!("{answer} answers for somebody else"));
    }
    let empty = answer
        .child(ITEMS, "query")
        .map(|query| query.children().count());
    let error = answer.child(CLIENT, "error").and_then(Element::condition);
    match (answer.attribute("type"), error, empty) {
        (Some("error"), Some("service-unavailable"), None) => Ok(Refused),
        (Some("result"), None, Some(0)) => Ok(Empty),
        _ => Err(format!("answered {answer}")),
    }
}

#[test]
fn each_stanza_to_nobody_has_the_fate_that_the_standards_say() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    for (stanza, bare, full, _) in TABLE {
        for (to, expected) in [("nobody@localhost", bare), ("nobody@localhost/x", full)] {
            romeo.send(&mut world, &stanza.replace("TO", &format!("to='{to}'")));
            let answers = romeo.rest(&mut world)?;
            let had = fate(&answers, to).map_err(|fault| format!("{stanza} to {to}: {fault}"))?;
            assert_eq!(had, *expected, "{stanza} to {to}");
        }
    }
    Ok(())
}

/// Whatever the account is, and on whichever shard: the sender hears the same, to the byte.
#[test]
fn nothing_tells_an_account_from_nobody() -> Outcome {
    for shards in [1, 3] {
        let mut heard: Vec<(Subject, Vec<String>)> = Vec::new();
        for subject in SUBJECTS {
            let mut world = world(shards, |_| {});
            let nurse = prepare(&mut world, subject)?;
            let name = if subject == Subject::Nobody {
                "nobody"
            } else {
                "nurse"
            };
            let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
            let mut all = Vec::new();
            for (stanza, _, _, shows) in TABLE {
                for resource in ["", "/x"] {
                    let to = format!("to='{name}@localhost{resource}'");
                    romeo.send(&mut world, &stanza.replace("TO", &to));
                    let answers = romeo.rest(&mut world)?;
                    let answers: Vec<String> = answers.iter().map(Element::to_string).collect();
                    let answers = answers.concat().replace(name, "somebody");
                    // That a message came to somebody is no secret, nor that it waits.
                    let is_there = !matches!(subject, Subject::Nobody | Subject::Deleted);
                    let shown = match shows {
                        Shows::Delivery => subject == Subject::Available,
                        Shows::Keeping => is_there && resource.is_empty(),
                        Shows::Nothing => false,
                    };
                    all.push(match shown {
                        true => String::new(),
                        false => format!("{stanza}{resource}: {answers}"),
                    });
                }
            }
            heard.push((subject, all));
            drop(nurse);
        }
        let (_, nobody) = heard.first().ok_or("nobody was asked")?;
        for (subject, all) in &heard {
            for (had, expected) in all.iter().zip(nobody) {
                let told = !had.is_empty() && had != expected;
                assert!(!told, "{subject:?} on {shards}: {had}\nnot {expected}");
            }
        }
    }
    Ok(())
}
