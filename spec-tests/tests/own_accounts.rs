//! What people ask of accounts of their own (XEP-0077), what their clients keep (XEP-0049) and what others see of them (XEP-0054), where the
//! store is slow, fails or is lost, and where many ask at once.

mod stage;

use spec_tests::element::Element;
use spec_tests::memory::{Fate, StorePace, Workers, World};
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::limits::CARD_READS;
use spondee_core::port::{Command, Opening};
use spondee_core::registration::WhoRegisters;
use spondee_core::secret::Secret;
use spondee_core::store::{Class, StoreError};

use stage::{Outcome, stream_error, world};

const JULIET: &str = "juliet@localhost";
const ROMEO: &str = "romeo@localhost";
const NURSE: &str = "nurse@localhost";

/// An answer in a word: its type, or the condition of the error.
fn word(answer: &Element) -> String {
    let kind = answer.attribute("type").unwrap_or_default();
    match answer.children().find(|child| child.name == "error") {
        Some(error) => error.children().next().map_or("?", |c| &c.name).to_owned(),
        None => kind.to_owned(),
    }
}

fn words(world: &mut World, talk: &mut Talk) -> Result<Vec<String>, String> {
    Ok(talk.rest(world)?.iter().map(word).collect())
}

fn ask(world: &mut World, talk: &mut Talk, xml: &str) -> Result<Vec<String>, String> {
    talk.send(world, xml);
    words(world, talk)
}

fn set(id: &str, inside: &str) -> String {
    format!("<iq type='set' id='{id}'>{inside}</iq>")
}

fn change(user: &str, password: &str) -> String {
    let inside = format!("<username>{user}</username><password>{password}</password>");
    set(
        "c",
        &format!("<query xmlns='jabber:iq:register'>{inside}</query>"),
    )
}

fn remove() -> String {
    set("r", "<query xmlns='jabber:iq:register'><remove/></query>")
}

fn card_of(account: &str) -> String {
    format!("<iq type='get' id='v' to='{account}'><vCard xmlns='vcard-temp'/></iq>")
}

fn signs_in(world: &mut World, account: &str, password: &str) -> bool {
    let mut talk = Talk::connect(world, Opening::Tls);
    let opened = talk.open(world, "localhost");
    opened
        .and_then(|_| talk.sign_in(world, account, password))
        .is_ok()
}

#[test]
fn a_password_that_was_not_kept_is_not_changed_and_nobody_goes() -> Outcome {
    for (error, condition) in [
        (StoreError::Busy, "resource-constraint"),
        (StoreError::Full, "resource-constraint"),
        (StoreError::Failed, "internal-server-error"),
    ] {
        let mut world = world(3, |_| {});
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
        // The record is read, then written.
        world.fates = [Fate::Kept, Fate::Failed(error)].into();
        let said = ask(&mut world, &mut balcony, &change("juliet", "Capulet"))?;
        assert_eq!(said, [condition]);
        assert_eq!(words(&mut world, &mut chamber)?, [""; 0]);
        assert!(signs_in(&mut world, JULIET, "secret"));
        // It goes on.
        let said = ask(&mut world, &mut balcony, &change("juliet", "Capulet"))?;
        assert_eq!(said, ["result"]);
        assert_eq!(stream_error(&mut world, &mut chamber)?, "reset");
        assert!(signs_in(&mut world, JULIET, "Capulet"));
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// The result promises that it is on disk: where nobody can know, there is none, and all learn anew what is so.
#[test]
fn where_nobody_knows_whether_a_password_was_kept_all_sessions_end() -> Outcome {
    let mut world = world(1, |_| {});
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
    world.fates = [Fate::Kept, Fate::Lost].into();
    balcony.send(&mut world, &change("juliet", "Capulet"));
    for talk in [&mut balcony, &mut chamber] {
        assert_eq!(stream_error(&mut world, talk)?, "reset");
    }
    assert!(signs_in(&mut world, JULIET, "Capulet"));
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

#[test]
fn nobody_hears_of_a_password_before_it_is_on_disk_and_what_comes_behind_waits() -> Outcome {
    let mut world = world(1, |_| {});
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    world.store_pace = StorePace::Slow;
    world.workers = Workers::Slow;
    let behind = "<message to='romeo@localhost/orchard'><body>x</body></message>";
    let all = change("juliet", "Capulet") + behind;
    world.write(balcony.peer(), all.as_bytes());
    world.turns(3);
    assert_eq!(words(&mut world, &mut balcony)?, [""; 0]);
    assert_eq!(words(&mut world, &mut romeo)?, [""; 0]);
    world.run();
    assert_eq!(words(&mut world, &mut balcony)?, ["result"]);
    assert_eq!(romeo.rest(&mut world)?.len(), 1);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// One at a time for each account, so that an administrator has room always.
#[test]
fn of_two_wishes_about_one_account_the_second_is_refused() -> Outcome {
    let mut world = world(1, |_| {});
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
    world.write(balcony.peer(), change("juliet", "Capulet").as_bytes());
    world.write(chamber.peer(), change("juliet", "Montague").as_bytes());
    world.run();
    assert_eq!(words(&mut world, &mut balcony)?, ["result"]);
    assert_eq!(word(&chamber.next(&mut world)?), "resource-constraint");
    assert_eq!(stream_error(&mut world, &mut chamber)?, "reset");
    assert!(!signs_in(&mut world, JULIET, "Montague"));
    assert!(signs_in(&mut world, JULIET, "Capulet"));
    // An administrator has the last word.
    let account = BareJid::parse(JULIET).unwrap();
    let disabled = world.command(Command::Disable { account });
    assert!(disabled.is_ok(), "{disabled:?}");
    assert_eq!(stream_error(&mut world, &mut balcony)?, "not-authorized");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

#[test]
fn an_account_that_could_not_be_removed_is_there_and_its_user_is_told() -> Outcome {
    let mut world = world(1, |_| {});
    let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
    let mut chamber = Talk::session(&mut world, JULIET, "chamber")?;
    // The record is read; everything goes.
    world.fates = [Fate::Kept, Fate::Failed(StoreError::Failed)].into();
    balcony.send(&mut world, &remove());
    assert_eq!(word(&balcony.next(&mut world)?), "internal-server-error");
    assert_eq!(
        stream_error(&mut world, &mut balcony)?,
        "internal-server-error"
    );
    assert_eq!(stream_error(&mut world, &mut chamber)?, "not-authorized");
    assert!(signs_in(&mut world, JULIET, "secret"));
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// XEP-0077 §3.2: the result comes first, and promises that it is so.
#[test]
fn who_removes_the_account_hears_so_once_nothing_is_left_of_it() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut balcony = Talk::session(&mut world, JULIET, "balcony")?;
        world.store_pace = StorePace::Slow;
        world.write(balcony.peer(), remove().as_bytes());
        world.turns(4);
        assert_eq!(words(&mut world, &mut balcony)?, [""; 0]);
        world.run();
        assert_eq!(word(&balcony.next(&mut world)?), "result");
        assert_eq!(stream_error(&mut world, &mut balcony)?, "not-authorized");
        world.hang_up(balcony.peer());
        world.run();
        world.crash();
        assert!(!signs_in(&mut world, JULIET, "secret"));
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn who_hangs_up_while_its_account_goes_has_removed_it_all_the_same() -> Outcome {
    let mut world = world(1, |_| {});
    let balcony = Talk::session(&mut world, JULIET, "balcony")?;
    world.store_pace = StorePace::Slow;
    world.write(balcony.peer(), remove().as_bytes());
    world.turns(5);
    world.hang_up(balcony.peer());
    world.run();
    assert!(!signs_in(&mut world, JULIET, "secret"));
    world.advance(std::time::Duration::from_secs(120));
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

fn open_world(shards: u16) -> World {
    world(shards, |config| {
        for host in config.accounts_mut() {
            host.registration.by = WhoRegisters::Anybody;
        }
    })
}

#[test]
fn a_newcomer_gets_an_account_whichever_shard_it_comes_to() -> Outcome {
    let mut world = open_world(3);
    for user in ["will", "bill", "jill", "phil"] {
        let mut talk = Talk::connect(&mut world, Opening::Tls);
        talk.open(&mut world, "localhost")?;
        let said = ask(&mut world, &mut talk, &change(user, "Calliope"))?;
        assert_eq!(said, ["result"], "{user}");
        talk.sign_in(&mut world, &format!("{user}@localhost"), "Calliope")?;
        talk.bind(&mut world, "globe")?;
    }
    assert!(world.handed_off() > 0);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

#[test]
fn of_two_newcomers_with_one_name_one_gets_it() -> Outcome {
    let mut world = open_world(1);
    let mut talks = [0, 1].map(|_| Talk::connect(&mut world, Opening::Tls));
    for talk in &mut talks {
        talk.open(&mut world, "localhost")?;
    }
    world.workers = Workers::Slow;
    for talk in &talks {
        world.write(talk.peer(), change("bill", "Calliope").as_bytes());
    }
    world.run();
    let mut said = Vec::new();
    for talk in &mut talks {
        said.extend(words(&mut world, talk)?);
    }
    assert_eq!(said, ["result", "resource-constraint"]);
    let said = ask(&mut world, &mut talks[1], &change("bill", "Calliope"))?;
    assert_eq!(said, ["conflict"]);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Its place may be needed meanwhile, or its minute be over.
#[test]
fn a_newcomer_that_does_not_wait_leaves_nothing_behind() -> Outcome {
    let mut world = open_world(1);
    for way in 0..3 {
        let mut talk = Talk::connect(&mut world, Opening::Tls);
        talk.open(&mut world, "localhost")?;
        world.workers = Workers::Slow;
        let user = format!("user{way}");
        world.write(talk.peer(), change(&user, "Calliope").as_bytes());
        world.turns(3);
        match way {
            0 => world.hang_up(talk.peer()),
            1 => world.evict(talk.peer()),
            _ => world.advance(std::time::Duration::from_secs(120)),
        }
        world.workers = Workers::Free;
        world.run();
        world.hang_up(talk.peer());
        world.run();
        assert!(signs_in(
            &mut world,
            &format!("{user}@localhost"),
            "Calliope"
        ));
    }
    world.advance(std::time::Duration::from_secs(300));
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Neither the answer nor what is done for it tells who exists, who was there a moment ago, and who has blocked whom.
#[test]
fn what_is_read_for_a_card_is_the_same_for_every_name() -> Outcome {
    let mut world = world(1, |_| {});
    let mut nurse = Talk::session(&mut world, NURSE, "kitchen")?;
    let said = ask(
        &mut world,
        &mut nurse,
        &set(
            "b",
            "<block xmlns='urn:xmpp:blocking'><item jid='juliet@localhost'/></block>",
        ),
    )?;
    assert_eq!(said, ["result"]);
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    for account in ["nobody@localhost", ROMEO, NURSE] {
        let classes = [Class::Change, Class::Load, Class::Page, Class::SignIn];
        let before = classes.map(|class| world.asked(class));
        let said = ask(&mut world, &mut juliet, &card_of(account))?;
        assert_eq!(said, ["service-unavailable"], "{account}");
        let after = classes.map(|class| world.asked(class));
        let [change, others @ ..] = before;
        assert_eq!(after[0], change + 1, "{account}");
        assert_eq!(after[1..], others, "{account}");
    }
    assert_eq!(words(&mut world, &mut nurse)?, [""; 0]);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// Cards are as long as 128 KiB: a client that asks for those of all its contacts at once is not drowned in them.
#[test]
fn a_client_that_asks_for_many_cards_gets_them_all() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |config| {
            config.limits.session_queue_bytes = 400 * 1024
        });
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        let picture = "x".repeat(120 * 1024);
        let card = format!("<vCard xmlns='vcard-temp'><PHOTO>{picture}</PHOTO></vCard>");
        assert_eq!(ask(&mut world, &mut romeo, &set("s", &card))?, ["result"]);
        let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
        let behind = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
        let all = card_of(ROMEO).repeat(40) + &card_of("nobody@localhost") + behind;
        world.write(juliet.peer(), all.as_bytes());
        world.run();
        let said = words(&mut world, &mut juliet)?;
        assert_eq!(said.len(), 42);
        assert!(said[..40].iter().all(|word| word == "result"), "{said:?}");
        assert_eq!(said[40..], ["service-unavailable", "result"]);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn so_many_read_one_card_at_a_time_and_others_are_told_to_wait() -> Outcome {
    let most = usize::from(CARD_READS);
    let mut world = world(1, |_| {});
    let mut talks = Vec::new();
    for n in 0..=most {
        talks.push(Talk::session(&mut world, JULIET, &n.to_string())?);
    }
    world.store_pace = StorePace::Slow;
    for talk in &talks {
        world.write(talk.peer(), card_of(ROMEO).as_bytes());
    }
    world.turns(3);
    let said = words(&mut world, &mut talks[most])?;
    assert_eq!(said, ["resource-constraint"]);
    world.store_pace = StorePace::Prompt;
    world.run();
    for talk in &mut talks[..most] {
        assert_eq!(words(&mut world, talk)?, ["service-unavailable"]);
    }
    let said = ask(&mut world, &mut talks[most], &card_of(ROMEO))?;
    assert_eq!(said, ["service-unavailable"]);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// What clients were told is kept, is kept.
#[test]
fn private_xml_and_cards_survive_a_crash() -> Outcome {
    let mut world = world(1, |_| {});
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    let private = "<query xmlns='jabber:iq:private'><a xmlns='x'>1</a></query>";
    let card = "<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>";
    for inside in [private, card] {
        assert_eq!(ask(&mut world, &mut juliet, &set("s", inside))?, ["result"]);
    }
    world.crash();
    let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
    for (get, kept) in [
        (
            "<query xmlns='jabber:iq:private'><a xmlns='x'/></query>",
            "1",
        ),
        ("<vCard xmlns='vcard-temp'/>", "Juliet"),
    ] {
        juliet.send(&mut world, &format!("<iq type='get' id='g'>{get}</iq>"));
        let answer = juliet.next(&mut world)?.to_string();
        assert!(answer.contains(kept), "{answer}");
    }
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

#[test]
fn what_could_not_be_kept_is_refused_and_what_was_there_stays() -> Outcome {
    let private =
        |text: &str| format!("<query xmlns='jabber:iq:private'><a xmlns='x'>{text}</a></query>");
    let card = |text: &str| format!("<vCard xmlns='vcard-temp'><FN>{text}</FN></vCard>");
    type Shape<'a> = (&'a dyn Fn(&str) -> String, usize);
    let shapes: [Shape<'_>; 2] = [(&private, 1), (&card, 0)];
    for (shape, reads) in shapes {
        let mut world = world(1, |_| {});
        let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
        assert_eq!(
            ask(&mut world, &mut juliet, &set("s", &shape("old")))?,
            ["result"]
        );
        let fates = std::iter::repeat_n(Fate::Kept, reads);
        world.fates = fates.chain([Fate::Failed(StoreError::Full)]).collect();
        let said = ask(&mut world, &mut juliet, &set("s", &shape("new")))?;
        assert_eq!(said, ["resource-constraint"]);
        let get = match reads {
            0 => "<vCard xmlns='vcard-temp'/>".to_owned(),
            _ => "<query xmlns='jabber:iq:private'><a xmlns='x'/></query>".to_owned(),
        };
        juliet.send(&mut world, &format!("<iq type='get' id='g'>{get}</iq>"));
        let answer = juliet.next(&mut world)?.to_string();
        assert!(answer.contains("old"), "{answer}");
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// An administrator's word on a name that is being made holds, too.
#[test]
fn an_administrator_and_a_newcomer_do_not_make_one_account_twice() -> Outcome {
    let mut world = open_world(1);
    let mut talk = Talk::connect(&mut world, Opening::Tls);
    talk.open(&mut world, "localhost")?;
    world.workers = Workers::Slow;
    world.write(talk.peer(), change("bill", "Calliope").as_bytes());
    world.turns(3);
    let made = world.command(Command::Add {
        account: BareJid::parse("bill@localhost").unwrap(),
        password: Secret::new(b"secret".to_vec()),
        tombstones: spondee_core::sasl::Tombstones::Heed,
    });
    assert!(made.is_err(), "{made:?}");
    assert_eq!(words(&mut world, &mut talk)?, ["result"]);
    assert!(signs_in(&mut world, "bill@localhost", "Calliope"));
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
