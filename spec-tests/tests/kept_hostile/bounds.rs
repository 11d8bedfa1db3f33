//! Who writes more than is kept.

use spec_tests::element::STANZA_ERRORS;
use spec_tests::kept::{Query, forwards, page};

use crate::{Outcome, come_back, condition, id, message, owed, same, settle, start, write_all};

const MESSAGES: usize = 10_000;
/// `offline_max_messages`, as nobody said otherwise.
const OWED: usize = 5_000;

fn texts(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|number| format!("text {number}")).collect()
}

/// XEP-0160 §3: over the bound the sender is told. What was taken before is there, and nothing else is.
#[test]
fn who_writes_ten_thousand_to_somebody_away_is_told_from_the_bound_on() -> Outcome {
    let (_server, door) = start(&["romeo", "juliet", "nurse"], "")?;
    let mut romeo = door.device("romeo", "orchard")?;
    let stanzas: Vec<_> = (0..MESSAGES)
        .map(|number| {
            message(
                "juliet@localhost",
                &number.to_string(),
                &format!("text {number}"),
            )
        })
        .collect();
    let mut refused = write_all(&mut romeo, &stanzas)?;
    refused.extend(settle(&mut romeo, "juliet@localhost")?);
    for refusal in &refused {
        assert_eq!(condition(refusal), "service-unavailable", "{refusal}");
        let error = refusal.child("jabber:client", "error");
        let text = error.and_then(|error| error.child(STANZA_ERRORS, "text"));
        assert!(text.is_some(), "without a word: {refusal}");
    }
    let ids: Vec<_> = refused.iter().map(id).collect();
    let over: Vec<_> = (OWED..MESSAGES).map(|number| number.to_string()).collect();
    same(&ids, &over.iter().map(String::as_str).collect::<Vec<_>>())?;

    // Another one is told so, too.
    let mut nurse = door.device("nurse", "x")?;
    let other = message("juliet@localhost", "n", "Madam!");
    let refused = write_all(&mut nurse, std::slice::from_ref(&other))?;
    let refused = [refused, settle(&mut nurse, "juliet@localhost")?].concat();
    assert_eq!(
        refused.iter().map(condition).collect::<Vec<_>>(),
        ["service-unavailable"]
    );

    let mut archive = door.device("juliet", "archive")?;
    let (entries, _) = forwards(&mut archive, None, &Query::new().max(256))?;
    let bodies: Vec<_> = entries.iter().map(spec_tests::kept::Entry::body).collect();
    same(&bodies, &texts(0..OWED))?;
    archive.close()?;

    let mut juliet = door.device("juliet", "balcony")?;
    let seen = come_back(&mut juliet, "juliet@localhost/balcony", &mut nurse)?;
    owed(&seen, &texts(0..OWED))?;
    juliet.close()?;

    // And there is room again.
    let refused = write_all(&mut nurse, &[other])?;
    let refused = [refused, settle(&mut nurse, "juliet@localhost")?].concat();
    assert!(refused.is_empty(), "{refused:?}");
    let mut juliet = door.device("juliet", "balcony")?;
    let seen = come_back(&mut juliet, "juliet@localhost/balcony", &mut romeo)?;
    owed(&seen, &["Madam!".to_owned()])
}

/// 16 MiB are owed to one account at most, whatever the number.
#[test]
fn who_writes_many_long_messages_to_somebody_away_is_told_from_the_bound_on() -> Outcome {
    const LONG: usize = 100_000;
    let (server, door) = start(&["romeo", "juliet", "nurse"], "")?;
    let mut romeo = door.device("romeo", "orchard")?;
    let long = "x".repeat(LONG);
    let before = server.pss_kib()?;
    let mut refused = Vec::new();
    for number in 0..200 {
        let stanza = message(
            "juliet@localhost",
            &number.to_string(),
            &format!("{long}{number}"),
        );
        refused.extend(write_all(&mut romeo, &[stanza])?);
    }
    refused.extend(settle(&mut romeo, "juliet@localhost")?);
    let kept = 200 - refused.len();
    let bytes = kept * LONG;
    assert!(
        ((16 << 20) - LONG..=(16 << 20) + LONG).contains(&bytes),
        "{bytes}"
    );
    assert!(
        refused
            .iter()
            .all(|refusal| condition(refusal) == "service-unavailable")
    );
    let mut nurse = door.device("nurse", "x")?;
    let mut juliet = door.device("juliet", "balcony")?;
    let seen = come_back(&mut juliet, "juliet@localhost/balcony", &mut nurse)?;
    owed(
        &seen,
        &(0..kept)
            .map(|number| format!("{long}{number}"))
            .collect::<Vec<_>>(),
    )?;
    let after = server.pss_kib()?;
    assert!(
        after < before + 64 * 1024,
        "{before} KiB before, {after} after"
    );
    Ok(())
}

/// Everybody whom one address makes up costs a look at the disk, and nobody else's.
#[test]
fn who_writes_to_thousands_that_do_not_exist_is_refused_and_costs_others_nothing() -> Outcome {
    const NOBODIES: usize = 3000;
    let (server, door) = start(&["mallory", "romeo", "juliet"], "")?;
    let before = server.pss_kib()?;
    let mut mallory = door.device("mallory", "x")?;
    let stanzas: Vec<_> = (0..NOBODIES)
        .map(|number| {
            message(
                &format!("nobody{number}@localhost"),
                &number.to_string(),
                "hello",
            )
        })
        .collect();
    let mut refused = write_all(&mut mallory, &stanzas)?;
    let rest = spec_tests::kept::ask(
        &mut mallory,
        "settled",
        &spec_tests::kept::ping_of("nobody0@localhost", "settled"),
        |stanza| {
            refused.extend(crate::refusal(stanza));
            Ok(())
        },
    )?;
    assert_eq!(rest.attribute("type"), Some("error"));
    while refused.len() < NOBODIES {
        refused.extend(crate::refusal(mallory.next(spec_tests::client::PATIENCE)?));
    }
    assert!(
        refused
            .iter()
            .all(|refusal| condition(refusal) == "service-unavailable")
    );
    // Whatever its archive has of it, it has once, and finds it by address.
    let (entries, _) = forwards(&mut mallory, None, &Query::new().max(256))?;
    assert!(entries.len() <= NOBODIES, "{}", entries.len());
    for entry in entries.iter().step_by(500) {
        let of = Query::new().field("with", &[entry.address("to")]);
        let found = page(&mut mallory, "with", &of)?;
        assert_eq!(found.entries, std::slice::from_ref(entry));
    }
    let after = server.pss_kib()?;
    assert!(
        after < before + 48 * 1024,
        "{before} KiB before, {after} after"
    );
    let mut romeo = door.device("romeo", "orchard")?;
    assert!(write_all(&mut romeo, &[message("juliet@localhost", "1", "Ho!")])?.is_empty());
    assert!(settle(&mut romeo, "juliet@localhost")?.is_empty());
    Ok(())
}

/// A flood from new addresses: each is found by its address, and all are there.
#[test]
fn an_archive_of_hundreds_of_strangers_is_paged_by_each() -> Outcome {
    const EACH: usize = 10;
    let strangers: Vec<String> = (0..crate::long(300, 60))
        .map(|number| format!("stranger{number}"))
        .collect();
    let (server, door) = start(&["juliet"], "")?;
    let mut control =
        spec_tests::changes::Teller::connect(&server.data()).map_err(|e| e.to_string())?;
    for name in &strangers {
        crate::loops::add(&mut control, name)?;
    }
    let mut sessions = Vec::new();
    for name in &strangers {
        sessions.push(door.device(name, "x")?);
    }
    // In turn, so that what one wrote lies among what all others did.
    for round in 0..EACH {
        for session in &mut sessions {
            session.send(&message("juliet@localhost", "1", &format!("text {round}")))?;
        }
    }
    for session in &mut sessions {
        let refused = settle(session, "juliet@localhost")?;
        assert!(refused.is_empty(), "{refused:?}");
    }
    let mut juliet = door.device("juliet", "archive")?;
    let (all, _) = forwards(&mut juliet, None, &Query::new().max(256))?;
    assert_eq!(all.len(), EACH * strangers.len());
    for name in &strangers {
        let of = Query::new()
            .field("with", &[&format!("{name}@localhost")])
            .max(3);
        let (entries, _) = forwards(&mut juliet, None, &of)?;
        let bodies: Vec<_> = entries.iter().map(spec_tests::kept::Entry::body).collect();
        same(&bodies, &texts(0..EACH))?;
        let from = format!("{name}@localhost/x");
        assert!(entries.iter().all(|entry| entry.address("from") == from));
    }
    let nobody = Query::new().field("with", &["stranger@localhost"]);
    assert!(page(&mut juliet, "nobody", &nobody)?.entries.is_empty());
    Ok(())
}
