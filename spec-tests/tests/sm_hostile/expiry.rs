//! When a session is asleep, and when it is over, by the clock.

use std::time::Duration;

use spec_tests::acks::{ENABLE, Resumed};
use spec_tests::memory::{World, archiving, config};
use spec_tests::talk::Talk;

use crate::phone::Phone;
use crate::sleepers::befriend;
use crate::{JULIET, Outcome, ROMEO, fleeting, message, refused, texts, with, world};

const MINUTE: Duration = Duration::from_secs(60);

/// What a contact sees of her: whether she is there, for each presence that came.
fn sees(world: &mut World, contact: &mut Talk) -> Result<Vec<bool>, String> {
    let came = contact.rest(world)?;
    let presence = came.iter().filter(|stanza| {
        stanza.name == "presence"
            && stanza
                .attribute("from")
                .is_some_and(|from| from.starts_with(JULIET))
    });
    Ok(presence
        .map(|stanza| stanza.attribute("type").is_none())
        .collect())
}

fn friends() -> Result<(World, Talk), String> {
    let mut world = world(config());
    befriend(&mut world, JULIET, &[ROMEO.to_owned()]);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    romeo.send(&mut world, "<presence/>");
    romeo.rest(&mut world)?;
    Ok((world, romeo))
}

/// Nothing comes back any more: it is noticed in the stated time, and nobody sees anything of it.
#[test]
fn behind_a_black_hole_she_is_asleep_a_minute_after_something_was_sent() -> Outcome {
    for reads in [true, false] {
        let (mut world, mut romeo) = friends()?;
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        assert_eq!(sees(&mut world, &mut romeo)?, [true]);
        world.advance(5 * MINUTE);
        if !reads {
            world.stop_taking(juliet.talk.peer());
        }
        romeo.send(&mut world, &fleeting(JULIET, "m"));
        world.advance(MINUTE - Duration::from_secs(1));
        assert!(world.ended(juliet.talk.peer()).is_none());
        world.advance(Duration::from_secs(1));
        assert!(juliet.is_dropped(&mut world)?);
        assert!(sees(&mut world, &mut romeo)?.is_empty());
        juliet.acks.forget_to(1);
        juliet.resume(&mut world)?;
        assert_eq!(texts(&juliet.come(&mut world)?), ["m"]);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn behind_a_black_hole_she_is_asleep_after_a_quarter_of_an_hour_of_silence() -> Outcome {
    let (mut world, mut romeo) = friends()?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    assert_eq!(sees(&mut world, &mut romeo)?, [true]);
    world.advance(15 * MINUTE);
    assert!(juliet.is_dropped(&mut world)?);
    assert!(sees(&mut world, &mut romeo)?.is_empty());
    juliet.resume(&mut world)?;
    juliet.lives(&mut world)?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// And who answers when asked stays, at the cost of a few words an hour.
#[test]
fn who_answers_is_there_for_ever_and_seldom_asked() -> Outcome {
    let (mut world, mut romeo) = friends()?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    sees(&mut world, &mut romeo)?;
    let asked = juliet.asked;
    let mut heard = asked;
    for _ in 0..6 * 60 * 6 {
        world.advance(Duration::from_secs(10));
        juliet.come(&mut world)?;
        if juliet.asked > heard {
            heard = juliet.asked;
            juliet.answer(&mut world);
        }
    }
    assert!(world.ended(juliet.talk.peer()).is_none());
    assert!(
        (1..=6 * 5).contains(&(heard - asked)),
        "asked {} times in six hours",
        heard - asked
    );
    assert!(sees(&mut world, &mut romeo)?.is_empty());
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Contacts see her until her time is over, and then see her go, once.
#[test]
fn a_session_sleeps_for_its_time_and_not_longer() -> Outcome {
    for (enable, max) in [
        (ENABLE.to_owned(), 600),
        (ENABLE.replace("/>", " max='60'/>"), 60),
        (ENABLE.replace("/>", " max='100000'/>"), 600),
    ] {
        for late in [false, true] {
            let (mut world, mut romeo) = friends()?;
            let mut juliet = Phone::enter_with(&mut world, JULIET, "phone", &enable)?;
            juliet.send(&mut world, "<presence/>");
            juliet.come(&mut world)?;
            assert_eq!(sees(&mut world, &mut romeo)?, [true]);
            juliet.cut(&mut world);
            world.advance(Duration::from_secs(max) - Duration::from_millis(10));
            assert!(sees(&mut world, &mut romeo)?.is_empty());
            if late {
                world.advance(Duration::from_millis(10));
                assert_eq!(sees(&mut world, &mut romeo)?, [false]);
                let resumed = juliet.try_resume(&mut world)?;
                assert!(matches!(resumed, Resumed::Over(sent) if sent.len() == 1));
            } else {
                juliet.resume(&mut world)?;
                // The time begins anew.
                juliet.cut(&mut world);
                world.advance(Duration::from_secs(max) - Duration::from_millis(10));
                assert!(sees(&mut world, &mut romeo)?.is_empty());
                juliet.resume(&mut world)?;
                juliet.lives(&mut world)?;
            }
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// Where an administrator wants no sleepers there are none.
#[test]
fn where_no_session_sleeps_a_cut_ends_it() -> Outcome {
    let mut world = world(with(config(), |sm| sm.hibernation = Duration::ZERO));
    befriend(&mut world, JULIET, &[ROMEO.to_owned()]);
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    romeo.send(&mut world, "<presence/>");
    romeo.rest(&mut world)?;
    let juliet = Phone::there(&mut world, JULIET, "phone")?;
    assert_eq!(juliet.acks.id(), None);
    assert_eq!(sees(&mut world, &mut romeo)?, [true]);
    juliet.cut(&mut world);
    assert_eq!(sees(&mut world, &mut romeo)?, [false]);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// She goes in order: at once, whatever she might have resumed.
#[test]
fn who_says_goodbye_is_gone_at_once() -> Outcome {
    let (mut world, mut romeo) = friends()?;
    let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
    assert_eq!(sees(&mut world, &mut romeo)?, [true]);
    juliet.close(&mut world);
    assert_eq!(sees(&mut world, &mut romeo)?, [false]);
    let resumed = juliet.try_resume(&mut world)?;
    assert!(matches!(resumed, Resumed::Over(_)), "{resumed:?}");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// What came before he was blocked is refused when the session is over, but not what she will read in her archive.
#[test]
fn of_who_was_blocked_meanwhile_what_is_archived_is_not_refused() -> Outcome {
    for (archived, wanted) in [(true, &[][..]), (false, &["m".to_owned()][..])] {
        let mut world = world(if archived {
            archiving(|_| {})
        } else {
            config()
        });
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let juliet = Phone::there(&mut world, JULIET, "phone")?;
        juliet.cut(&mut world);
        romeo.send(&mut world, &message(JULIET, "m"));
        let mut desk = Talk::session(&mut world, JULIET, "desk")?;
        let block = format!(
            "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ROMEO}'/></block></iq>"
        );
        desk.send(&mut world, &block);
        desk.rest(&mut world)?;
        world.advance(Duration::from_secs(601));
        assert_eq!(refused(&romeo.rest(&mut world)?), wanted);
        let query = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>";
        desk.send(&mut world, query);
        let page = desk.rest(&mut world)?;
        let has_it = page.iter().any(|stanza| stanza.name == "message");
        assert_eq!(has_it, archived);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}
