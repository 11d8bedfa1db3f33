//! Who comes back to much that waited, goes in the middle of it, and comes again.

use std::time::Duration;

use spec_tests::acks::acknowledge;
use spec_tests::element::Element;
use spec_tests::memory::{World, archiving, config};
use spec_tests::talk::Talk;

use crate::phone::Phone;
use crate::{JULIET, Outcome, ROMEO, message, numbered, refused, same, texts, world};

const OWED: usize = 700;

/// How somebody goes who has not acknowledged all.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Expires,
    Goodbye,
    /// Another session takes the resource.
    Replaced,
    /// The server stops in order and is started again.
    Stop,
}

const LEAVES: [Leave; 4] = [Leave::Expires, Leave::Goodbye, Leave::Replaced, Leave::Stop];

/// Romeo has written so much to her, who is away.
fn owe(world: &mut World, count: usize) -> Result<(Talk, Vec<String>), String> {
    let mut romeo = Talk::session(world, ROMEO, "orchard")?;
    let sent = numbered("m", 0..count);
    for part in sent.chunks(50) {
        let part: String = part.iter().map(|text| message(JULIET, text)).collect();
        romeo.send(world, &part);
    }
    assert_eq!(refused(&romeo.rest(world)?), Vec::<String>::new());
    Ok((romeo, sent))
}

/// Reads, and acknowledges what is read until so many messages are. The stanzas behind them.
fn take(world: &mut World, phone: &mut Phone, count: usize) -> Result<Vec<String>, String> {
    let mut before = phone.acks.handled();
    let mut had = 0;
    let mut came = Vec::new();
    loop {
        let stanzas = phone.come(world)?;
        if stanzas.is_empty() {
            return Ok(came);
        }
        for stanza in &stanzas {
            before = before.wrapping_add(1);
            let is_message = !texts(std::slice::from_ref(stanza)).is_empty();
            if is_message {
                had += 1;
            }
            if had <= count && (is_message || had < count) {
                // Every one by itself, as some clients do.
                world.write(phone.talk.peer(), acknowledge(before).as_bytes());
            }
        }
        came.extend(texts(&stanzas));
        world.run();
    }
}

fn leave(world: &mut World, phone: &mut Phone, leave: Leave) -> Outcome {
    match leave {
        Leave::Expires => {
            phone.cut(world);
            world.advance(Duration::from_secs(601));
        }
        Leave::Goodbye => phone.close(world),
        Leave::Replaced => {
            phone.cut(world);
            let mut other = Phone::enter(world, JULIET, "phone")?;
            other.close(world);
        }
        Leave::Stop => {
            world.shut_down();
            world.advance(Duration::from_secs(10));
            world.crash();
        }
    }
    Ok(())
}

/// To the message: what she acknowledged never comes again, and what she did not comes to the next.
#[test]
fn what_waited_is_owed_until_it_is_acknowledged_and_no_longer() -> Outcome {
    for archived in [true, false] {
        for how in LEAVES {
            for count in [0, 1, 99, 255, 256, 257, 500, OWED - 1, OWED] {
                let mut world = world(if archived {
                    archiving(|_| {})
                } else {
                    config()
                });
                let (_romeo, sent) = owe(&mut world, OWED)?;
                let context = |e: String| format!("archived: {archived}, {how:?}, {count}: {e}");
                let mut phone = Phone::enter(&mut world, JULIET, "phone")?;
                phone.send(&mut world, "<presence/>");
                let came = take(&mut world, &mut phone, count)?;
                // Whether the next page waits for that is the server's business.
                assert!(sent.starts_with(&came) && came.len() >= count, "{came:?}");
                leave(&mut world, &mut phone, how)?;
                let mut next = Phone::enter(&mut world, JULIET, "tablet")?;
                next.send(&mut world, "<presence/>");
                let came = take(&mut world, &mut next, OWED)?;
                same(&came, &sent[count..]).map_err(context)?;
                next.close(&mut world);
                let mut last = Phone::enter(&mut world, JULIET, "phone")?;
                last.send(&mut world, "<presence/>");
                same(&texts(&last.come_all(&mut world)?), &[]).map_err(context)?;
                assert_eq!(world.is_sound(), Ok(()));
            }
        }
    }
    Ok(())
}

/// A kill forgets the last marks, and no message.
#[test]
fn what_waited_comes_again_after_a_kill_if_at_all_and_none_is_lost() -> Outcome {
    for count in [0, 1, 256, 300, OWED] {
        let mut world = world(archiving(|_| {}));
        let (_romeo, sent) = owe(&mut world, OWED)?;
        let mut phone = Phone::enter(&mut world, JULIET, "phone")?;
        phone.send(&mut world, "<presence/>");
        take(&mut world, &mut phone, count)?;
        world.crash();
        let mut next = Phone::enter(&mut world, JULIET, "tablet")?;
        next.send(&mut world, "<presence/>");
        let came = take(&mut world, &mut next, OWED)?;
        assert!(
            sent.ends_with(&came) && came.len() >= OWED - count,
            "{}",
            came.len()
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Cut again and again in the middle: the session goes on where it was, with what is written to her meanwhile behind all that waited.
#[test]
fn who_is_cut_in_the_middle_of_what_waited_goes_on_there() -> Outcome {
    for archived in [true, false] {
        let mut world = world(if archived {
            archiving(|_| {})
        } else {
            config()
        });
        let (mut romeo, mut sent) = owe(&mut world, OWED)?;
        let mut phone = Phone::enter(&mut world, JULIET, "phone")?;
        world.set_taking(phone.talk.peer(), spec_tests::memory::Taking::Halves);
        phone.send(&mut world, "<presence/>");
        let mut came = Vec::new();
        for number in 0..40 {
            let stanzas = phone.come(&mut world)?;
            came.extend(texts(&stanzas));
            if number % 3 == 0 {
                phone.answer(&mut world);
            }
            let live = format!("live{number}");
            romeo.send(&mut world, &message(JULIET, &live));
            sent.push(live);
            phone.cut(&mut world);
            phone.resume(&mut world)?;
        }
        loop {
            phone.answer(&mut world);
            let stanzas = phone.come(&mut world)?;
            if stanzas.is_empty() {
                break;
            }
            came.extend(texts(&stanzas));
        }
        same(&came, &sent)?;
        phone.close(&mut world);
        let mut next = Phone::enter(&mut world, JULIET, "tablet")?;
        next.send(&mut world, "<presence/>");
        same(&texts(&next.come_all(&mut world)?), &[])?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Another device is there when the first dies in the middle of what waited: it has the rest, once.
#[test]
fn who_is_there_when_another_dies_in_the_middle_of_what_waited_has_the_rest() -> Outcome {
    for count in [0, 10, 256, 300] {
        let mut world = world(archiving(|_| {}));
        let (mut romeo, mut sent) = owe(&mut world, OWED)?;
        let mut phone = Phone::enter(&mut world, JULIET, "phone")?;
        phone.send(&mut world, "<presence/>");
        take(&mut world, &mut phone, count)?;
        let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
        tablet.send(&mut world, "<presence/>");
        tablet.come(&mut world)?;
        tablet.answer(&mut world);
        phone.cut(&mut world);
        world.advance(Duration::from_secs(601));
        let mut came = take(&mut world, &mut tablet, OWED)?;
        romeo.send(&mut world, &message(JULIET, "then"));
        sent.push("then".to_owned());
        came.extend(take(&mut world, &mut tablet, OWED)?);
        // What the phone had not acknowledged may come now, or to who is available next.
        tablet.close(&mut world);
        let mut last = Phone::enter(&mut world, JULIET, "last")?;
        last.send(&mut world, "<presence/>");
        came.extend(take(&mut world, &mut last, OWED)?);
        came.sort_by_key(|text| sent.iter().position(|one| one == text));
        same(&came, &sent[count..])?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Pages of an archive that were not acknowledged are nobody's debt.
#[test]
fn pages_of_an_archive_that_were_not_acknowledged_are_not_owed() -> Outcome {
    let mut world = world(archiving(|_| {}));
    let (_romeo, sent) = owe(&mut world, 40)?;
    let mut first = Phone::enter(&mut world, JULIET, "first")?;
    first.send(&mut world, "<presence/>");
    take(&mut world, &mut first, 40)?;
    first.close(&mut world);
    let mut phone = Phone::there(&mut world, JULIET, "phone")?;
    phone.send(
        &mut world,
        "<iq type='set' id='a'><query xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let pages = phone.come(&mut world)?;
    let results = |stanzas: &[Element]| {
        let is_result = |stanza: &&Element| stanza.child("urn:xmpp:mam:2", "result").is_some();
        stanzas.iter().filter(is_result).count()
    };
    assert_eq!(results(&pages), sent.len());
    // They are resent to who resumes, and to nobody else.
    phone.cut(&mut world);
    phone.acks.forget_to(1);
    phone.resume(&mut world)?;
    assert_eq!(results(&phone.come(&mut world)?), sent.len());
    phone.cut(&mut world);
    world.advance(Duration::from_secs(601));
    let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
    tablet.send(&mut world, "<presence/>");
    let came = tablet.come(&mut world)?;
    assert_eq!((results(&came), texts(&came).len()), (0, 0));
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
