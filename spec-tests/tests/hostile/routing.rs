//! What a client that is signed in must not be able to do to others: RFC 6120 §8, RFC 6121 §8.

use spec_tests::element::{CLIENT, Element, Item};
use spec_tests::memory::Ended;
use spec_tests::talk::{Talk, header, plain_auth};
use spondee_core::limits::{FLOW_PATIENCE, Limits};
use spondee_core::port::Opening;

use crate::scene::{Scene, Stage, VICTIM};
use crate::stage::Outcome;

/// The attacker's session.
const ROMEO_THERE: &str = "romeo@localhost/orchard";

const PING: &str = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";

/// RFC 6120 §8.1.2.1: whoever is not the sender does not stand in `from`, whatever carries it.
#[test]
fn a_forged_from_is_overridden_in_every_form() -> Outcome {
    let mut scene = Scene::new()?;
    let mut romeo = scene.enter(Stage::Session)?;
    for from in [
        "juliet@localhost",
        VICTIM,
        "JULIET@LOCALHOST/balcony",
        "&#106;uliet@localhost",
        "nurse@localhost/kitchen",
        "nobody@localhost",
        "romeo@localhost/garden",
        "romeo@localhost/Orchard",
        "romeo@localhost/orchard/x",
        "romeo@localhost.other.test",
        "romeo@other.test/orchard",
        "localhost",
        "localhost/orchard",
        "far.example",
        "r\u{43e}meo@localhost",
        "romeo\u{200b}@localhost",
        "romeo@localhost@localhost",
        "@localhost",
        "romeo@",
        "romeo@localhost/",
        "",
        " ",
    ] {
        for stanza in [
            format!("<message from='{from}' to='{VICTIM}'><body>x</body></message>"),
            format!("<message from='{from}' to='{VICTIM}' type='error'/>"),
            format!("<presence from='{from}' to='{VICTIM}'/>"),
            format!("<presence from='{from}' to='{VICTIM}' type='subscribe'/>"),
            format!("<iq from='{from}' to='{VICTIM}' type='get' id='1'><x xmlns='x'/></iq>"),
            format!("<iq from='{from}' to='{VICTIM}' type='result' id='1'/>"),
            // Refused for what it is, were it not forged.
            format!("<iq from='{from}' to='{VICTIM}'/>"),
            format!("<c:message xmlns:c='{CLIENT}' from='{from}' to='{VICTIM}'/>"),
        ] {
            romeo.send(&mut scene.world, &stanza);
            let (world, juliet) = scene.juliet();
            for arrived in juliet.rest(world)? {
                assert_eq!(arrived.attribute("from"), Some(ROMEO_THERE), "{stanza}");
            }
            // What she would answer comes to who sent it, whatever it said.
            juliet.send(world, &format!("<message to='{ROMEO_THERE}'/>"));
            let answers = romeo.rest(world)?;
            assert!(!answers.is_empty(), "{stanza}");
            assert!(answers.iter().all(is_to_romeo), "{stanza}: {answers:?}");
        }
    }
    scene.world.hang_up(romeo.peer());
    scene.world.run();
    let (world, juliet) = scene.juliet();
    for farewell in juliet.rest(world)? {
        assert_eq!(farewell.attribute("from"), Some(ROMEO_THERE));
    }
    scene.is_quiet()
}

fn is_to_romeo(stanza: &Element) -> bool {
    stanza.attribute("to") == Some(ROMEO_THERE)
}

/// Nor does it give anybody another's session in the header of a stream (RFC 6120 §6.4.6): the credentials decide.
#[test]
fn a_forged_from_of_a_stream_is_worth_nothing() -> Outcome {
    let mut scene = Scene::new()?;
    let header = header("localhost");
    for from in [VICTIM, "juliet@localhost", "romeo@other.test", "@", ""] {
        let forged = header.replacen(" to=", &format!(" from='{from}' to="), 1);
        let mut talk = Talk::connect(&mut scene.world, Opening::Tls);
        for user in ["juliet", "romeo"] {
            let password = if user == "romeo" { "secret" } else { "wrong" };
            if user == "juliet" {
                talk.send(&mut scene.world, &forged);
                talk.poll(&mut scene.world)?;
                talk.next(&mut scene.world)?;
            }
            talk.send(&mut scene.world, &plain_auth(user, password));
            let answer = talk.next(&mut scene.world)?;
            assert_eq!(answer.name == "success", user == "romeo", "{answer}");
        }
        talk.restart();
        talk.send(&mut scene.world, &forged);
        talk.poll(&mut scene.world)?;
        talk.next(&mut scene.world)?;
        assert_eq!(talk.bind(&mut scene.world, "orchard")?, ROMEO_THERE);
        scene.leaves(talk.peer())?;
    }
    Ok(())
}

/// RFC 6120 §8.3.1: "An entity that receives an error stanza MUST NOT respond to it with a further error stanza".
#[test]
fn an_error_is_never_answered_with_an_error() -> Outcome {
    let mut scene = Scene::new()?;
    let mut romeo = scene.enter(Stage::Session)?;
    for to in [
        "nobody@localhost",
        "nobody@localhost/x",
        "juliet@localhost/nowhere",
        "localhost",
        "localhost/x",
        "far.example",
        "somebody@far.example/x",
        "@",
        "romeo@localhost",
        "",
    ] {
        for stanza in [
            format!("<message type='error' to='{to}'/>"),
            format!("<presence type='error' to='{to}'/>"),
            format!("<iq type='error' id='1' to='{to}'/>"),
            format!("<iq type='error' to='{to}'/>"),
            format!("<iq type='result' id='1' to='{to}'/>"),
        ] {
            romeo.send(&mut scene.world, &stanza);
            assert_eq!(romeo.rest(&mut scene.world)?, [], "{stanza}");
        }
    }
    scene.nothing_arrived()?;
    scene.leaves(romeo.peer())
}

/// RFC 6121 §8.5.2.1.3 and §8.5.3.1: the server answers for accounts; a contact's client is never asked.
#[test]
fn a_request_to_a_bare_address_is_answered_by_the_server_and_never_by_a_contact() -> Outcome {
    let mut scene = Scene::new()?;
    {
        let (world, juliet) = scene.juliet();
        juliet.send(world, "<presence/>");
        juliet.next(world)?;
    }
    let mut romeo = scene.enter(Stage::Session)?;
    for payload in ["<ping xmlns='urn:xmpp:ping'/>", "<x xmlns='urn:x'/>"] {
        for kind in ["get", "set"] {
            let request = format!("<iq type='{kind}' id='1' to='juliet@localhost'>{payload}</iq>");
            romeo.send(&mut scene.world, &request);
            let answers = romeo.rest(&mut scene.world)?;
            assert_eq!(answers.len(), 1, "{request}: {answers:?}");
            assert_eq!(answers[0].attribute("from"), Some("juliet@localhost"));
        }
    }
    // An answer without a question, to where only the server could have asked.
    for kind in ["result", "error"] {
        romeo.send(
            &mut scene.world,
            &format!("<iq type='{kind}' id='1' to='juliet@localhost'/>"),
        );
        assert_eq!(romeo.rest(&mut scene.world)?, []);
    }
    scene.nothing_arrived()?;
    scene.leaves(romeo.peer())
}

/// The sender is served to the last of its stanzas, held up once and for ten seconds at most; what is kept for the receiver stays below the
/// bound, and then its session ends (RFC 6120 §4.9.3.17): with the bound that administrators get.
#[test]
fn a_receiver_that_never_reads_is_closed_and_its_sender_is_served() -> Outcome {
    let queue = Limits::default().session_queue_bytes;
    let mut scene = Scene::new()?;
    let romeo = scene.enter(Stage::Session)?;
    scene.world.stop_taking(romeo.peer());
    let body = "x".repeat(64 * 1024);
    let flood =
        format!("<message to='romeo@localhost/orchard'><body>{body}</body></message>{PING}");
    let count = 2 * queue / body.len();
    let (mut most, mut refused, mut waits) = (0, 0, 0);
    for number in 0..count {
        let (world, nurse) = scene.nurse();
        nurse.send(world, &flood);
        most = most.max(world.owed(romeo.peer()));
        let mut answers = nurse.rest(world)?;
        if answers.is_empty() {
            waits += 1;
            world.advance(FLOW_PATIENCE);
            answers = nurse.rest(world)?;
        }
        let pong = answers
            .iter()
            .filter(|a| a.attribute("type") == Some("result"));
        assert_eq!(pong.count(), 1, "after {number}: {answers:?}");
        refused += answers.len() - 1;
    }
    // Beside the stanzas: why the stream ends.
    assert!(most <= queue + 1000, "{most} bytes were kept");
    assert!(refused >= count / 2 - 2, "{refused} of {count}");
    assert_eq!(waits, 1);
    scene.world.advance(Limits::default().close);
    assert_eq!(scene.world.ended(romeo.peer()), Some(Ended::Closed));
    scene.is_quiet()?;
    // The account is free for a client that reads.
    let mut again = scene.enter(Stage::Session)?;
    again.send(&mut scene.world, PING);
    again.next(&mut scene.world)?;
    scene.leaves(again.peer())
}

/// The same for answers and refusals that a client brings upon itself: it is not read any more, and ends when it has had its time.
#[test]
fn a_client_that_never_reads_its_own_answers_is_closed() -> Outcome {
    const QUEUE: usize = 20_000;
    let mut scene = Scene::with(|config| config.limits.session_queue_bytes = QUEUE)?;
    for request in [
        PING,
        "<presence/>",
        "<message to='a@far.example'/>",
        "<iq type='get' id='p'/>",
    ] {
        let mut romeo = scene.enter(Stage::Session)?;
        scene.world.stop_taking(romeo.peer());
        for _ in 0..10 {
            scene
                .world
                .write(romeo.peer(), request.repeat(100).as_bytes());
            scene.world.run();
            assert!(scene.world.owed(romeo.peer()) < QUEUE + 1000, "{request}");
        }
        scene.world.advance(FLOW_PATIENCE);
        scene.world.take_again(romeo.peer());
        let mut last = None;
        while let Some(item) = romeo.poll(&mut scene.world)? {
            if let Item::Element(element) = item {
                last = element.condition().map(str::to_owned);
            }
        }
        assert_eq!(last.as_deref(), Some("resource-constraint"), "{request}");
        scene.is_closed(romeo.peer())?;
    }
    Ok(())
}

/// Whatever a client says to itself comes once, and what the server says to it is answered by nobody.
#[test]
fn nobody_can_make_the_server_talk_to_itself() -> Outcome {
    let mut scene = Scene::new()?;
    let mut romeo = scene.enter(Stage::Session)?;
    for (stanza, answers) in [
        ("<message to='localhost' type='error'/>", 0),
        ("<message to='localhost' from='romeo@localhost'/>", 1),
        (
            "<iq type='get' id='1' to='localhost'><x xmlns='x'/></iq>",
            1,
        ),
        ("<message to='romeo@localhost/orchard'/>", 1),
        (
            "<iq type='get' id='1' to='romeo@localhost/orchard'><x xmlns='x'/></iq>",
            1,
        ),
        ("<presence to='romeo@localhost/orchard'/>", 1),
    ] {
        romeo.send(&mut scene.world, stanza);
        let came = romeo.rest(&mut scene.world)?;
        assert_eq!(came.len(), answers, "{stanza}: {came:?}");
    }
    scene.leaves(romeo.peer())
}
