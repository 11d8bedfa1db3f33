//! Sessions that sleep, and those who fill them.

use std::time::Duration;

use allocation_counter::measure;
use spec_tests::acks::Resumed;
use spec_tests::element::Element;
use spec_tests::memory::{Taking, World, archiving, config};
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::store::{Expect, Field, Row};

use crate::phone::Phone;
use crate::{
    JULIET, NURSE, Outcome, ROMEO, message, numbered, once, refused, same, texts, with, world,
};

/// `who` and `with` see each other's presence.
pub(crate) fn befriend(world: &mut World, who: &str, others: &[String]) {
    for (owner, contacts) in std::iter::once((who.to_owned(), others.to_vec())).chain(
        others
            .iter()
            .map(|other| (other.clone(), vec![who.to_owned()])),
    ) {
        let account = BareJid::parse(&owner).expect("an address");
        for contact in contacts {
            let row = Row(vec![
                Field::text(&contact),
                Field::Absent,
                Field::text("both"),
                Field::Absent,
                Field::Absent,
                Field::Absent,
            ]);
            world.keep(account.clone(), &ROSTER, row, Expect::Absent);
        }
        let version = Row(vec![Field::Int(7)]);
        world.keep(account, &ROSTER_VERSION, version, Expect::Absent);
    }
}

/// The eleventh ends the one that has slept longest, and nothing of that is lost.
#[test]
fn of_an_account_ten_sessions_sleep_and_what_the_others_had_goes_on() -> Outcome {
    const PHONES: usize = 15;
    let mut world = world(archiving(|_| {}));
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut phones = Vec::new();
    let sent = numbered("m", 0..PHONES);
    for (number, text) in sent.iter().enumerate() {
        let name = format!("r{number}");
        let phone = Phone::there(&mut world, JULIET, &name)?;
        phone.cut(&mut world);
        world.advance(Duration::from_secs(1));
        romeo.send(&mut world, &message(&format!("{JULIET}/{name}"), text));
        phones.push(phone);
    }
    let mut came = Vec::new();
    let mut resumed = Vec::new();
    for (number, phone) in phones.iter_mut().enumerate() {
        match phone.try_resume(&mut world)? {
            Resumed::Yes(_) => resumed.push(number),
            Resumed::Over(_) => {}
            Resumed::Unknown => return Err(format!("{number} was forgotten")),
        }
    }
    same(&resumed, &(PHONES - 10..PHONES).collect::<Vec<_>>())?;
    for number in resumed {
        came.extend(texts(&phones[number].come(&mut world)?));
    }
    // What was for one alone and had to go on is at each of the others.
    came.sort_unstable();
    came.dedup();
    once(&sent, &came, &refused(&romeo.rest(&mut world)?))?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// The whole of it is counted: whoever would fill a shard with sleepers ends those of them that have slept longest.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn sleepers_that_are_filled_take_no_more_than_a_shard_has_for_them() -> Outcome {
    const SLEEPERS: usize = 26;
    const EACH: usize = 20;
    const MIB: i64 = 1 << 20;
    let mut world = World::unrecorded(std::sync::Arc::new(config()));
    let accounts: Vec<_> = (0..SLEEPERS).map(|n| format!("s{n}@localhost")).collect();
    world.add_user(ROMEO, "secret");
    for account in &accounts {
        world.add_user(account, "secret");
    }
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    world.set_taking(romeo.peer(), Taking::Counted);
    let mut phones = Vec::new();
    for account in &accounts {
        let phone = Phone::there(&mut world, account, "phone")?;
        phone.cut(&mut world);
        world.advance(Duration::from_secs(1));
        phones.push(phone);
    }
    let filler = "x".repeat(200_000);
    let taken = measure(|| {
        for account in &accounts {
            for number in 0..EACH {
                let words = format!(
                    "<message type='chat' to='{account}' id='{number}'><body>{filler}</body>\
                     <no-store xmlns='urn:xmpp:hints'/></message>"
                );
                romeo.send(&mut world, &words);
            }
        }
    });
    let (most, left) = (taken.bytes_max as i64, taken.bytes_current);
    println!(
        "{} MiB were sent to {SLEEPERS} sleepers: {} MiB at most, {} MiB then",
        SLEEPERS * EACH * filler.len() / (1 << 20),
        most / MIB,
        left / MIB
    );
    assert!((48 * MIB..=72 * MIB).contains(&left), "{left} bytes");
    assert!(most <= 96 * MIB, "{most} bytes");
    let mut there = Vec::new();
    for (number, phone) in phones.iter_mut().enumerate() {
        if let Resumed::Yes(_) = phone.try_resume(&mut world)? {
            there.push(number);
        }
        world.take_received(phone.talk.peer());
    }
    assert!(there.len() > 10, "{there:?}");
    same(
        &there,
        &(SLEEPERS - there.len()..SLEEPERS).collect::<Vec<_>>(),
    )?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// By number or by bytes: the session ends, what it had waits for the next as far as there is room, and who is told is told of the rest.
#[test]
fn a_flood_to_a_sleeper_ends_it_and_is_delivered_or_refused() -> Outcome {
    for (count, size, archived) in [
        (1000, 1, true),
        (1000, 1, false),
        (60, 100_000, true),
        (60, 100_000, false),
    ] {
        let config = match archived {
            true => archiving(|_| {}),
            false => config(),
        };
        let mut world = world(with(config, |sm| sm.max_queue = 300));
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        juliet.cut(&mut world);
        let filler = "x".repeat(size);
        let sent: Vec<_> = (0..count)
            .map(|number| format!("{number}-{filler}"))
            .collect();
        for text in &sent {
            romeo.send(&mut world, &message(JULIET, text));
        }
        assert!(
            matches!(juliet.try_resume(&mut world)?, Resumed::Over(_)),
            "{count} times {size} bytes did not end it"
        );
        let mut tablet = Phone::enter(&mut world, JULIET, "tablet")?;
        tablet.send(&mut world, "<presence/>");
        let mut came = texts(&tablet.come_all(&mut world)?);
        // What is owed comes as it is acknowledged.
        loop {
            tablet.answer(&mut world);
            let more = texts(&tablet.come_all(&mut world)?);
            if more.is_empty() {
                break;
            }
            came.extend(more);
        }
        let refused = refused(&romeo.rest(&mut world)?);
        once(&sent, &came, &refused)?;
        assert!(
            came.is_sorted_by_key(|text| text
                .split('-')
                .next()
                .and_then(|n| n.parse::<usize>().ok()))
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Who is written to by many while it sleeps holds up none of them.
#[test]
fn who_writes_to_a_sleeper_is_not_held_up() -> Outcome {
    let mut world = world(archiving(|_| {}));
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let nurse = Talk::session(&mut world, NURSE, "x")?;
    let juliet = Phone::there(&mut world, JULIET, "phone")?;
    juliet.cut(&mut world);
    for number in 0..200 {
        let part: String = (0..10)
            .map(|n| message(JULIET, &format!("{number}.{n}")))
            .collect();
        world.write(romeo.peer(), part.as_bytes());
        world.write(nurse.peer(), part.as_bytes());
        world.run();
        assert!(
            world.reads(romeo.peer()) && world.reads(nurse.peer()),
            "behind {number}"
        );
    }
    assert_eq!(romeo.rest(&mut world)?, []);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Of each sender the last, whatever it said before.
#[test]
fn of_presence_a_sleeper_keeps_the_last_of_each_sender() -> Outcome {
    const CONTACTS: usize = 50;
    const ROUNDS: usize = 20;
    for shards in [1, 2] {
        let mut config = config();
        config.shards = shards;
        let mut world = world(config);
        let names: Vec<_> = (0..CONTACTS).map(|n| format!("c{n}@localhost")).collect();
        for name in &names {
            world.add_user(name, "secret");
        }
        befriend(&mut world, JULIET, &names);
        let mut contacts = Vec::new();
        for name in &names {
            let mut talk = Talk::session(&mut world, name, "x")?;
            talk.send(&mut world, "<presence/>");
            contacts.push(talk);
        }
        let mut juliet = Phone::there(&mut world, JULIET, "phone")?;
        juliet.cut(&mut world);
        for round in 0..ROUNDS {
            for talk in &mut contacts {
                talk.send(
                    &mut world,
                    &format!("<presence><status>{round}</status></presence>"),
                );
            }
        }
        contacts[0].send(&mut world, &message(JULIET, "m"));
        juliet.resume(&mut world)?;
        let came = juliet.come(&mut world)?;
        last_of_each(&came, &names, ROUNDS - 1)?;
        same(&texts(&came), &["m".to_owned()])?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Presence of each of these once, and it is what they said last.
pub(crate) fn last_of_each(came: &[Element], names: &[String], last: usize) -> Outcome {
    let presence: Vec<_> = came
        .iter()
        .filter(|stanza| stanza.name == "presence")
        .collect();
    let mut from: Vec<_> = presence
        .iter()
        .filter_map(|stanza| stanza.attribute("from")?.split('/').next())
        .collect();
    from.sort_unstable();
    let mut wanted: Vec<_> = names.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    same(&from, &wanted)?;
    let says = |stanza: &&&Element| {
        let status = stanza.child("jabber:client", "status").map(Element::text);
        status != Some(last.to_string())
    };
    match presence.iter().find(says) {
        Some(stanza) => Err(format!("not the last: {stanza}")),
        None => Ok(()),
    }
}

/// Sessions come and go by hundreds; what is left of them is nothing.
#[test]
fn sleepers_by_hundreds_leave_nothing_behind() -> Outcome {
    let mut world = world(config());
    world.advance(Duration::from_secs(3600));
    let before = world.residue();
    for number in 0..300 {
        let phone = Phone::there(&mut world, JULIET, &format!("r{number}"))?;
        phone.cut(&mut world);
    }
    world.advance(Duration::from_secs(3600));
    assert_eq!(world.residue(), before);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
