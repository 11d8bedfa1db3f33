//! Acknowledgements that never come, that say too much, or that are all there is.

use std::time::Duration;

use spec_tests::acks::{ENABLE, REQUEST, SM, acknowledge};
use spec_tests::element::STREAM_ERRORS;
use spec_tests::memory::{archiving, config};
use spec_tests::talk::Talk;

use crate::phone::{Phone, signed_in};
use crate::{
    JULIET, NURSE, Outcome, ROMEO, answers, message, numbered, once, refused, same, texts, with,
    world,
};

/// Everything that a connection was sent, but requests for acknowledgements.
fn stanzas(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(REQUEST, "")
}

/// One request, one minute, and what comes at the resumption is what came before, to the byte.
#[test]
fn who_never_acknowledges_is_asked_once_and_sleeps_after_a_minute() -> Outcome {
    let mut world = world(config());
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    let (asked, handled) = (juliet.asked, juliet.acks.handled());
    for text in numbered("m", 0..100) {
        romeo.send(&mut world, &message(JULIET, &text));
    }
    let bytes = world.take_received(juliet.talk.peer());
    let requests = String::from_utf8_lossy(&bytes).matches(REQUEST).count();
    assert_eq!(asked + requests, asked + 1, "asked more than once");
    world.advance(Duration::from_secs(59));
    assert!(!juliet.is_dropped(&mut world)?);
    world.advance(Duration::from_secs(1));
    assert!(juliet.is_dropped(&mut world)?, "{:?}", juliet.error);
    // Twice, since nothing was ever acknowledged.
    juliet.acks.forget_to(handled);
    for _ in 0..2 {
        let talk = signed_in(&mut world, JULIET)?;
        world.write(talk.peer(), juliet.acks.resume()?.as_bytes());
        world.run();
        let again = stanzas(&world.take_received(talk.peer()));
        let (_, again) = again.split_once("/>").ok_or("no answer")?;
        assert_eq!(again, stanzas(&bytes));
        world.cut(talk.peer());
        world.run();
    }
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Bytes of hers show that the connection stands; what she does not acknowledge is bounded all the same.
#[test]
fn who_lives_and_never_acknowledges_is_bounded_and_loses_nothing() -> Outcome {
    let config = with(archiving(|_| {}), |sm| sm.max_queue = 300);
    let mut world = world(config);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    let sent = numbered("m", 0..400);
    for part in sent.chunks(10) {
        for text in part {
            romeo.send(&mut world, &message(JULIET, text));
        }
        juliet.say(&mut world, " ");
        world.advance(Duration::from_secs(30));
    }
    assert!(world.ended(juliet.talk.peer()).is_some(), "no end");
    let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
    tablet.send(&mut world, "<presence/>");
    let came = texts(&tablet.come_all(&mut world)?);
    once(&sent, &came, &refused(&romeo.rest(&mut world)?))?;
    same(&came, &sent)?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// XEP-0198 §6: the stream ends, and says what is wrong; what was sent is delivered otherwise.
#[test]
fn who_acknowledges_more_than_was_sent_is_sent_away_and_loses_nothing() -> Outcome {
    for more in [1, 2, 100, (1 << 31) - 10] {
        let mut world = world(archiving(|_| {}));
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        let sent = numbered("m", 0..2);
        for text in &sent {
            romeo.send(&mut world, &message(JULIET, text));
        }
        juliet.come(&mut world)?;
        let count = juliet.acks.handled();
        let h = count + more;
        juliet.say(&mut world, &acknowledge(h));
        juliet.come(&mut world)?;
        let error = juliet.error.take().ok_or("no stream error")?;
        assert_eq!(error.condition(), Some("undefined-condition"), "{error}");
        let names: Vec<_> = error.children().map(|child| child.name.as_str()).collect();
        assert_eq!(
            names,
            ["undefined-condition", "handled-count-too-high", "text"]
        );
        let high = error.child(SM, "handled-count-too-high");
        let number = |name| high.and_then(|high| high.attribute(name)?.parse().ok());
        assert_eq!((number("h"), number("send-count")), (Some(h), Some(count)));
        let text = error.child(STREAM_ERRORS, "text").map(|text| text.text());
        let wanted = format!("You acknowledged {h} stanzas, but I only sent you {count} so far.");
        assert_eq!(text, Some(wanted));
        assert!(juliet.closed);
        let mut tablet = Phone::there(&mut world, JULIET, "tablet")?;
        assert_eq!(tablet.come(&mut world)?, []);
        // `there` has read and acknowledged it.
        assert_eq!(tablet.acks.handled(), 1 + 2);
        assert_eq!(romeo.rest(&mut world)?, []);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn who_acknowledges_no_number_is_sent_away_and_loses_nothing() -> Outcome {
    for wrong in [
        "",
        " h=''",
        " h='x'",
        " h='-1'",
        " h='4294967296'",
        " h='1.0'",
        " H='1'",
    ] {
        let mut world = world(archiving(|_| {}));
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        romeo.send(&mut world, &message(JULIET, "m"));
        juliet.come(&mut world)?;
        juliet.say(&mut world, &format!("<a xmlns='{SM}'{wrong}/>"));
        juliet.come(&mut world)?;
        let error = juliet.error.take().ok_or("no stream error")?;
        assert_eq!(error.condition(), Some("bad-format"), "{wrong}: {error}");
        let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
        tablet.send(&mut world, "<presence/>");
        same(&texts(&tablet.come_all(&mut world)?), &["m".to_owned()])?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn acknowledgements_of_what_is_known_are_answered_with_nothing_and_change_nothing() -> Outcome {
    let mut world = world(config());
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    let known = juliet.acks.handled();
    let sent = numbered("m", 0..5);
    for text in &sent {
        romeo.send(&mut world, &message(JULIET, text));
    }
    juliet.come(&mut world)?;
    let asked = juliet.asked;
    for h in [known, known.saturating_sub(1), 0] {
        juliet.say(&mut world, &acknowledge(h).repeat(3000));
    }
    assert_eq!(juliet.come(&mut world)?, []);
    assert!(juliet.error.is_none() && !juliet.closed);
    // Each is an answer, behind which something is still unacknowledged.
    assert!(juliet.asked <= asked + 9000, "{}", juliet.asked);
    juliet.lives(&mut world)?;
    juliet.cut(&mut world);
    juliet.acks.forget_to(known);
    juliet.resume(&mut world)?;
    let came = texts(&juliet.come(&mut world)?);
    same(&came, &sent)?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Also before she has a session.
#[test]
fn who_asks_for_nothing_without_end_and_reads_nothing_asks_no_more() -> Outcome {
    let mut world = world(config());
    let guess = spec_tests::acks::resume("guess", 0);
    for element in [REQUEST, guess.as_str()] {
        for bound in [true, false] {
            let mut talk = signed_in(&mut world, JULIET)?;
            if bound {
                talk.bind(&mut world, "x")?;
            }
            world.stop_taking(talk.peer());
            let mut most = 0;
            for _ in 0..500 {
                world.write(talk.peer(), element.repeat(100).as_bytes());
                world.run();
                most = most.max(world.owed(talk.peer()));
            }
            assert!(
                most < 5 << 19,
                "{element}, bound: {bound}: {most} bytes are owed"
            );
            world.cut(talk.peer());
        }
    }
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// An answer for a question, not much longer than it, and who does not read them asks no more.
#[test]
fn who_asks_without_end_is_answered_as_long_as_she_reads() -> Outcome {
    const ASKED: usize = 20_000;
    let mut world = world(config());
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    for _ in 0..20 {
        juliet.say(&mut world, &REQUEST.repeat(ASKED / 20));
    }
    let bytes = world.take_received(juliet.talk.peer());
    let answer = acknowledge(1);
    let answers_given = String::from_utf8_lossy(&bytes)
        .matches(answer.as_str())
        .count();
    assert_eq!(answers_given, ASKED);
    assert!(bytes.len() <= 2 * ASKED * REQUEST.len(), "{}", bytes.len());

    world.stop_taking(juliet.talk.peer());
    let mut most = 0;
    for _ in 0..500 {
        world.write(juliet.talk.peer(), REQUEST.repeat(1000).as_bytes());
        world.run();
        most = most.max(world.owed(juliet.talk.peer()));
    }
    assert!(
        most < 5 << 19,
        "{most} bytes are owed to who asks and reads nothing"
    );
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    answers(&mut world, &mut romeo)?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

#[test]
fn who_acknowledges_each_stanza_by_itself_is_asked_no_more_than_once_for_each() -> Outcome {
    const SENT: usize = 3000;
    let mut world = world(config());
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    let asked = juliet.asked;
    let sent = numbered("m", 0..SENT);
    let mut came = Vec::new();
    for part in sent.chunks(10) {
        let part: String = part.iter().map(|text| message(JULIET, text)).collect();
        romeo.send(&mut world, &part);
        for stanza in juliet.come(&mut world)? {
            came.extend(texts(std::slice::from_ref(&stanza)));
        }
        let handled = juliet.acks.handled();
        for h in handled - 10..=handled {
            juliet.say(&mut world, &acknowledge(h));
        }
    }
    same(&came, &sent)?;
    juliet.come(&mut world)?;
    // One of eleven acknowledges nothing new, and is an answer, too.
    let most = SENT / 10 * 11 + 1;
    assert!(juliet.asked - asked <= most, "asked {} times", juliet.asked);
    // There is nothing left.
    juliet.cut(&mut world);
    juliet.resume(&mut world)?;
    assert_eq!(juliet.come(&mut world)?, []);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Without resumption it is the connection that ends, and the session with it.
#[test]
fn who_cannot_resume_and_never_acknowledges_is_gone_after_a_minute_and_loses_nothing() -> Outcome {
    let mut world = world(archiving(|_| {}));
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let enable = ENABLE.replace(" resume='true'", "");
    let mut juliet = Phone::enter_with(&mut world, JULIET, "phone", &enable)?;
    assert_eq!(juliet.acks.id(), None);
    juliet.send(&mut world, "<presence/>");
    juliet.come(&mut world)?;
    juliet.answer(&mut world);
    let sent = numbered("m", 0..10);
    for text in &sent {
        romeo.send(&mut world, &message(JULIET, text));
    }
    world.advance(Duration::from_secs(60));
    assert!(juliet.is_dropped(&mut world)?);
    let mut nurse = Talk::session(&mut world, NURSE, "x")?;
    nurse.send(&mut world, &message(JULIET, "later"));
    let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
    tablet.send(&mut world, "<presence/>");
    let wanted: Vec<_> = sent.into_iter().chain(["later".to_owned()]).collect();
    same(&texts(&tablet.come_all(&mut world)?), &wanted)?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
