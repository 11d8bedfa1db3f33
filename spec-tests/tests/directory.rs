//! A host whose passwords a directory has: who comes in, what is kept of whom, and what happens while the directory is late, cannot be reached or
//! says nothing any more. spec-tests/tests/ldap.rs has a real one.

mod stage;

use std::time::Duration;

use spec_tests::element::SASL;
use spec_tests::memory::{Directory, Fate, StorePace, Workers, World};
use spec_tests::talk::{Talk, plain_auth};
use spondee_core::config::Config;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::{
    AccountChange, Command, CommandError, CommandReply, CommandResult, ImportStep, Imported,
    ImportedProof, Note, Opening,
};
use spondee_core::sasl::{Form, Provider, Status, Tombstones};
use spondee_core::secret::Secret;
use spondee_core::store::StoreError;

use stage::{Outcome, stream_error, world};

/// Had an account before its host asked a directory.
const ROMEO: &str = "romeo@localhost";
/// Has none.
const MERCUTIO: &str = "mercutio@localhost";
const DONE: CommandResult = Ok(CommandReply::Done);

fn jid(account: &str) -> BareJid {
    BareJid::parse(account).expect("an address")
}

fn ask(config: &mut Config, provider: Provider) {
    for (name, host) in config.realms_mut() {
        if name.as_str() == "localhost" {
            host.provider = provider;
        }
    }
}

fn reload(world: &mut World, provider: Provider) {
    let mut config = world.config().clone();
    ask(&mut config, provider);
    world.reload(config);
}

/// `localhost` asks a directory, which knows Romeo and Mercutio; `other.test` keeps keys. Everybody who was there before has the password `secret`.
fn asking(shards: u16) -> World {
    let mut world = world(shards, |_| {});
    reload(&mut world, Provider::Ldap);
    world.know(ROMEO, "r0m30");
    world.know(MERCUTIO, "queen mab");
    world
}

fn stream(world: &mut World) -> Result<Talk, String> {
    let mut talk = Talk::connect(world, Opening::Tls);
    talk.open(world, "localhost")?;
    Ok(talk)
}

/// What a sign-in comes to at once: `success`, the name of a failure, or `nothing`.
fn answer(world: &mut World, talk: &mut Talk) -> Result<String, String> {
    let Some(answer) = talk.rest(world)?.into_iter().next() else {
        return Ok("nothing".to_owned());
    };
    match answer.is(SASL, "failure") {
        true => Ok(answer.condition().unwrap_or("none").to_owned()),
        false => Ok(answer.name),
    }
}

fn auth(account: &str, password: &str) -> String {
    let user = account.split('@').next().unwrap_or_default();
    plain_auth(user, password)
}

/// One sign-in on a stream of its own.
fn attempt(world: &mut World, account: &str, password: &str) -> Result<(Talk, String), String> {
    let mut talk = stream(world)?;
    talk.send(world, &auth(account, password));
    let answer = answer(world, &mut talk)?;
    Ok((talk, answer))
}

#[track_caller]
fn comes_to(world: &mut World, account: &str, password: &str, expected: &str) {
    let came = attempt(world, account, password).map(|(_, came)| came);
    assert_eq!(came.as_deref(), Ok(expected), "{account} {password}");
}

/// Who has an account at `localhost`, and what is kept of the password.
fn accounts(world: &mut World) -> Vec<(String, Form)> {
    let host = Domain::parse("localhost").expect("a host");
    let list = Command::List {
        host,
        after: None,
        limit: 100,
    };
    match world.command(list) {
        Ok(CommandReply::Users(users)) => users
            .into_iter()
            .map(|user| (user.account.as_str().to_owned(), user.password))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn has(world: &mut World, account: &str) -> bool {
    accounts(world).iter().any(|(known, _)| known == account)
}

fn added(world: &World) -> usize {
    let is_it = |note: &&Note| {
        let added = AccountChange::Added;
        matches!(note, Note::AccountChanged { account, change, by: Some(_) } if *change == added && account.as_str() == MERCUTIO)
    };
    world.notes.iter().filter(is_it).count()
}

fn is_at_rest(world: &mut World) {
    world.advance(Duration::from_secs(200));
    assert_eq!(world.is_sound(), Ok(()));
    for residue in world.residue() {
        assert_eq!(residue, [0; 9]);
    }
}

#[test]
fn plain_is_all_that_is_offered() -> Outcome {
    let mut world = asking(1);
    let mut talk = Talk::connect(&mut world, Opening::Tls);
    let features = talk.open(&mut world, "localhost")?;
    let mechanisms = features.child(SASL, "mechanisms").ok_or("no mechanisms")?;
    let names: Vec<String> = mechanisms.children().map(|name| name.text()).collect();
    assert_eq!(names, ["PLAIN"]);
    let mut clear = Talk::connect(&mut world, Opening::Clear);
    let features = clear.open(&mut world, "localhost")?;
    assert!(features.child(SASL, "mechanisms").is_none());
    Ok(())
}

#[test]
fn who_the_directory_knows_has_an_account_from_the_first_sign_in_on() -> Outcome {
    for shards in 1..4 {
        let mut world = asking(shards);
        assert!(!has(&mut world, MERCUTIO));
        for _ in 0..2 {
            let (mut talk, came) = attempt(&mut world, MERCUTIO, "queen mab")?;
            assert_eq!(came, "success");
            talk.open(&mut world, "localhost")?;
            talk.bind(&mut world, "r")?;
            talk.send(&mut world, "</stream:stream>");
        }
        assert_eq!(added(&world), 1);
        let all = accounts(&mut world);
        assert!(all.iter().all(|(_, form)| *form == Form::Elsewhere));
        assert!(has(&mut world, MERCUTIO));
        // It is an account like others.
        let mut romeo = stream(&mut world)?;
        romeo.send(&mut world, &auth(ROMEO, "r0m30"));
        assert_eq!(answer(&mut world, &mut romeo)?, "success");
        is_at_rest(&mut world);
    }
    Ok(())
}

#[test]
fn a_wrong_password_and_somebody_unknown_are_refused_alike_and_leave_nothing() {
    let mut world = asking(2);
    for (account, password) in [
        (ROMEO, "wrong"),
        // What was good before the host asked a directory.
        (ROMEO, "secret"),
        ("juliet@localhost", "secret"),
        (MERCUTIO, "r0m30"),
        ("nobody@localhost", "x"),
    ] {
        comes_to(&mut world, account, password, "not-authorized");
    }
    assert_eq!(world.judged, 5);
    assert!(!has(&mut world, MERCUTIO));
    is_at_rest(&mut world);
}

#[test]
fn names_reach_the_directory_as_addresses_have_them() {
    let mut world = asking(1);
    comes_to(&mut world, "MerCutio@localhost", "queen mab", "success");
    comes_to(&mut world, MERCUTIO, "queen\u{a0}mab", "success");
    assert_eq!(added(&world), 1);
}

#[test]
fn of_a_directory_that_cannot_be_reached_no_password_is_wrong_and_none_is_counted() {
    let mut world = asking(1);
    world.directory = Directory::Unreachable;
    for _ in 0..40 {
        comes_to(&mut world, ROMEO, "wrong", "temporary-auth-failure");
        comes_to(
            &mut world,
            "nobody@localhost",
            "x",
            "temporary-auth-failure",
        );
    }
    // Others are not concerned.
    let other = Talk::session(&mut world, "tybalt@other.test", "r");
    assert!(other.is_ok(), "{other:?}");
    world.directory = Directory::Prompt;
    comes_to(&mut world, ROMEO, "r0m30", "success");
    let held_up = |note: &Note| {
        matches!(
            note,
            Note::AccountHeldUp { .. } | Note::AddressHeldUp { .. }
        )
    };
    assert!(!world.notes.iter().any(held_up));
}

#[test]
fn after_too_many_failures_the_directory_is_not_even_asked() {
    let mut world = asking(1);
    for _ in 0..20 {
        comes_to(&mut world, ROMEO, "wrong", "not-authorized");
    }
    assert_eq!(world.judged, 20);
    comes_to(&mut world, ROMEO, "r0m30", "nothing");
    comes_to(&mut world, ROMEO, "wrong", "nothing");
    assert_eq!(world.judged, 20);
}

/// Attempts that were looked up before the first of them failed. A directory that is prompt is not even asked about the rest.
#[test]
fn of_many_attempts_at_once_no_more_are_answered_than_of_one_after_the_other() -> Outcome {
    for (directory, judged) in [(Directory::Late, 30), (Directory::Prompt, 20)] {
        let mut world = asking(1);
        world.directory = directory;
        world.store_pace = StorePace::Slow;
        let mut talks = Vec::new();
        for _ in 0..30 {
            talks.push(stream(&mut world)?);
        }
        for talk in &talks {
            world.write(talk.peer(), auth(ROMEO, "wrong").as_bytes());
        }
        world.run();
        let mut refused = 0;
        for talk in &mut talks {
            match answer(&mut world, talk)?.as_str() {
                "not-authorized" => refused += 1,
                other => assert_eq!(other, "nothing"),
            }
        }
        assert_eq!((refused, world.judged), (20, judged), "{directory:?}");
    }
    Ok(())
}

#[test]
fn a_directory_that_is_late_holds_up_who_asks_it_and_nobody_else() -> Outcome {
    let mut world = asking(1);
    world.directory = Directory::Late;
    let mut late = stream(&mut world)?;
    world.write(late.peer(), auth(ROMEO, "r0m30").as_bytes());
    while world.questions() == 0 {
        world.turns(1);
    }
    // What else it says waits, unread, and others go on.
    let mut other = Talk::connect(&mut world, Opening::Clear);
    world.write(late.peer(), b" ");
    world.write(
        other.peer(),
        spec_tests::talk::header("other.test").as_bytes(),
    );
    world.turns(1);
    assert_eq!(world.questions(), 1);
    assert!(other.poll(&mut world)?.is_some());
    assert_eq!(answer(&mut world, &mut late)?, "nothing");
    assert!(!world.reads(late.peer()));
    world.run();
    assert_eq!(answer(&mut world, &mut late)?, "success");
    Ok(())
}

#[test]
fn who_gets_no_answer_has_a_minute_as_anybody() -> Outcome {
    let mut world = asking(1);
    world.directory = Directory::Silent;
    let (mut talk, came) = attempt(&mut world, ROMEO, "r0m30")?;
    assert_eq!(came, "nothing");
    world.advance(Duration::from_secs(61));
    assert_eq!(stream_error(&mut world, &mut talk)?, "connection-timeout");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// What a client does while it waits leads to nothing when the answer comes.
#[test]
fn who_has_gone_when_the_answer_comes_leaves_nothing() -> Outcome {
    let mut world = asking(1);
    world.directory = Directory::Late;
    for account in [ROMEO, MERCUTIO] {
        let mut talk = stream(&mut world)?;
        let password = if account == ROMEO {
            "r0m30"
        } else {
            "queen mab"
        };
        world.write(talk.peer(), auth(account, password).as_bytes());
        while world.questions() == 0 {
            world.turns(1);
        }
        world.hang_up(talk.peer());
        world.cut(talk.peer());
        world.run();
        assert_eq!(answer(&mut world, &mut talk)?, "nothing");
    }
    assert!(!has(&mut world, MERCUTIO));
    is_at_rest(&mut world);
    Ok(())
}

#[test]
fn who_is_disabled_here_stays_out_until_enabled() {
    let mut world = asking(2);
    comes_to(&mut world, MERCUTIO, "queen mab", "success");
    for account in [ROMEO, MERCUTIO] {
        let account = jid(account);
        assert_eq!(world.command(Command::Disable { account }), DONE);
    }
    comes_to(&mut world, ROMEO, "r0m30", "account-disabled");
    comes_to(&mut world, MERCUTIO, "queen mab", "account-disabled");
    comes_to(&mut world, MERCUTIO, "wrong", "not-authorized");
    let account = jid(MERCUTIO);
    assert_eq!(world.command(Command::Enable { account }), DONE);
    comes_to(&mut world, MERCUTIO, "queen mab", "success");
}

/// A change that happens while the directory is asked voids what it says.
#[test]
fn who_is_disabled_or_deleted_while_the_directory_is_asked_does_not_come_in() -> Outcome {
    let commands: [fn() -> Command; 2] = [
        || Command::Disable {
            account: jid(ROMEO),
        },
        || Command::Delete {
            account: jid(ROMEO),
        },
    ];
    for command in commands {
        let mut world = asking(1);
        world.directory = Directory::Late;
        let mut talk = stream(&mut world)?;
        world.write(talk.peer(), auth(ROMEO, "r0m30").as_bytes());
        while world.questions() == 0 {
            world.turns(1);
        }
        world.post_command(spondee_core::port::CommandId(7), command());
        world.run();
        assert_eq!(answer(&mut world, &mut talk)?, "temporary-auth-failure");
        is_at_rest(&mut world);
    }
    Ok(())
}

/// Who has which name is for the directory to say. Who is to stay out is disabled.
#[test]
fn who_is_deleted_here_has_a_new_account_with_the_next_sign_in() {
    let mut world = asking(3);
    comes_to(&mut world, MERCUTIO, "queen mab", "success");
    for again in 2..4 {
        let account = jid(MERCUTIO);
        assert_eq!(world.command(Command::Delete { account }), DONE);
        assert!(!has(&mut world, MERCUTIO));
        comes_to(&mut world, MERCUTIO, "queen mab", "success");
        assert_eq!(added(&world), again);
    }
    is_at_rest(&mut world);
}

#[test]
fn two_devices_of_somebody_new_come_in_together() -> Outcome {
    for shards in 1..4 {
        let mut world = asking(shards);
        world.store_pace = StorePace::Slow;
        world.directory = Directory::Late;
        let mut talks = [
            stream(&mut world)?,
            stream(&mut world)?,
            stream(&mut world)?,
        ];
        for talk in &talks {
            world.write(talk.peer(), auth(MERCUTIO, "queen mab").as_bytes());
        }
        world.run();
        for talk in &mut talks {
            assert_eq!(answer(&mut world, talk)?, "success");
        }
        assert_eq!(added(&world), 1);
        world.store_pace = StorePace::Prompt;
        is_at_rest(&mut world);
    }
    Ok(())
}

#[test]
fn an_account_that_could_not_be_made_is_made_the_next_time() -> Outcome {
    for error in [
        StoreError::Busy,
        StoreError::Full,
        StoreError::Failed,
        StoreError::Unknown,
    ] {
        let mut world = asking(2);
        // The credentials are read, then written.
        world.fates = [Fate::Kept, Fate::Failed(error)].into();
        let (mut talk, came) = attempt(&mut world, MERCUTIO, "queen mab")?;
        assert_eq!(came, "temporary-auth-failure", "{error:?}");
        talk.send(&mut world, &auth(MERCUTIO, "queen mab"));
        assert_eq!(answer(&mut world, &mut talk)?, "success");
        is_at_rest(&mut world);
    }
    // It took effect, and nobody knew.
    let mut world = asking(2);
    world.fates = [Fate::Kept, Fate::Lost].into();
    comes_to(&mut world, MERCUTIO, "queen mab", "temporary-auth-failure");
    comes_to(&mut world, MERCUTIO, "queen mab", "success");
    is_at_rest(&mut world);
    Ok(())
}

#[test]
fn passwords_are_not_set_here() -> Outcome {
    let mut world = asking(2);
    let password = || Secret::new(b"secret".to_vec());
    let refused: [Command; 2] = [
        Command::Add {
            account: jid(MERCUTIO),
            password: password(),
            tombstones: Tombstones::Ignore,
        },
        Command::Passwd {
            account: jid(ROMEO),
            password: password(),
        },
    ];
    for command in refused {
        assert_eq!(world.command(command), Err(CommandError::Directory));
    }
    let mut talk = stream(&mut world)?;
    talk.send(&mut world, &auth(ROMEO, "r0m30"));
    assert_eq!(answer(&mut world, &mut talk)?, "success");
    talk.open(&mut world, "localhost")?;
    talk.bind(&mut world, "r")?;
    talk.send(
        &mut world,
        "<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>",
    );
    let fields = talk.next(&mut world)?.to_string();
    assert!(
        fields.contains("is changed there") && !fields.contains("<password"),
        "{fields}"
    );
    talk.send(
        &mut world,
        "<iq type='set' id='s'><query xmlns='jabber:iq:register'><username>romeo</username><password>something else</password></query></iq>",
    );
    let refused = talk.next(&mut world)?.to_string();
    assert!(
        refused.contains("<not-allowed") && refused.contains("is changed there"),
        "{refused}"
    );
    Ok(())
}

#[test]
fn who_wants_to_register_is_told_to_sign_in() -> Outcome {
    let mut world = asking(1);
    let mut talk = stream(&mut world)?;
    talk.send(
        &mut world,
        "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>",
    );
    let refused = talk.next(&mut world)?.to_string();
    assert!(
        refused.contains("<service-unavailable") && refused.contains("sign in with the name"),
        "{refused}"
    );
    Ok(())
}

/// A server that stops does not wait for a directory that does not answer.
#[test]
fn who_waits_for_a_directory_holds_up_no_end() -> Outcome {
    let mut world = asking(1);
    world.directory = Directory::Silent;
    let (mut talk, came) = attempt(&mut world, ROMEO, "r0m30")?;
    assert_eq!(came, "nothing");
    assert!(!world.is_at_rest());
    world.shut_down();
    assert_eq!(stream_error(&mut world, &mut talk)?, "system-shutdown");
    world.hang_up(talk.peer());
    world.run();
    assert!(world.is_at_rest());
    Ok(())
}

/// Lets everything happen in an order of this seed's.
fn shuffle(world: &mut World, seed: u64) {
    let mut draw = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    loop {
        let steps = world.steps();
        if steps.is_empty() {
            return;
        }
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        let at = usize::try_from(draw >> 33).unwrap_or(0) % steps.len();
        if let Some(step) = steps.get(at) {
            world.step(*step);
        }
    }
}

/// What strangers send to somebody who has no account yet, and is just getting one, and what the store, the directory and two devices do about it,
/// in many orders.
#[test]
fn whatever_comes_in_between_a_first_sign_in_ends_well() -> Outcome {
    for seed in 0..300_u64 {
        let mut world = asking(1 + u16::try_from(seed % 3).unwrap_or(0));
        let mut romeo = stream(&mut world)?;
        romeo.send(&mut world, &auth(ROMEO, "r0m30"));
        assert_eq!(answer(&mut world, &mut romeo)?, "success");
        romeo.open(&mut world, "localhost")?;
        romeo.bind(&mut world, "r")?;
        world.store_pace = StorePace::Slow;
        world.directory = Directory::Late;
        let mut talks = [stream(&mut world)?, stream(&mut world)?];
        for talk in &talks {
            world.write(talk.peer(), auth(MERCUTIO, "queen mab").as_bytes());
        }
        for stanza in [
            format!("<message to='{MERCUTIO}' type='chat'><body>x</body></message>"),
            format!("<presence to='{MERCUTIO}' type='subscribe'/>"),
            format!("<iq to='{MERCUTIO}' type='get' id='v'><vCard xmlns='vcard-temp'/></iq>"),
        ] {
            world.write(romeo.peer(), stanza.as_bytes());
        }
        shuffle(&mut world, seed);
        world.run();
        for talk in &mut talks {
            let came = answer(&mut world, talk)?;
            assert_eq!(came, "success", "seed {seed}");
        }
        assert_eq!(added(&world), 1, "seed {seed}");
        world.store_pace = StorePace::Prompt;
        romeo.send(&mut world, "</stream:stream>");
        is_at_rest(&mut world);
    }
    Ok(())
}

/// Commands about somebody who is just getting an account, or is there already, in many orders: each of them is answered, and whoever did not come
/// in then comes in the next time.
#[test]
fn commands_in_between_a_sign_in_leave_nothing_half_done() -> Outcome {
    for seed in 0..400_u64 {
        let mut world = asking(1 + u16::try_from(seed % 3).unwrap_or(0));
        if seed % 2 == 0 {
            comes_to(&mut world, MERCUTIO, "queen mab", "success");
        }
        world.store_pace = StorePace::Slow;
        world.directory = Directory::Late;
        let mut talks = [stream(&mut world)?, stream(&mut world)?];
        for talk in &talks {
            world.write(talk.peer(), auth(MERCUTIO, "queen mab").as_bytes());
        }
        let account = || jid(MERCUTIO);
        let command = match seed % 5 {
            0 | 1 => Command::Delete { account: account() },
            2 => Command::Disable { account: account() },
            3 => Command::Disconnect {
                account: account(),
                resource: None,
            },
            _ => Command::Import {
                account: account(),
                step: Box::new(ImportStep::Begin(7, Tombstones::Ignore)),
            },
        };
        world.post_command(spondee_core::port::CommandId(1), command);
        shuffle(&mut world, seed);
        world.run();
        assert_eq!(world.take_answers().len(), 1, "seed {seed}");
        for talk in &mut talks {
            // Or its stream has ended by the command.
            let came = answer(&mut world, talk).unwrap_or_else(|_| "ended".to_owned());
            let known = [
                "success",
                "temporary-auth-failure",
                "account-disabled",
                "ended",
            ];
            assert!(known.contains(&came.as_str()), "seed {seed}: {came}");
        }
        world.store_pace = StorePace::Prompt;
        world.directory = Directory::Prompt;
        if has(&mut world, MERCUTIO) {
            let enable = Command::Enable { account: account() };
            assert_eq!(world.command(enable), DONE, "seed {seed}");
        }
        let came = attempt(&mut world, MERCUTIO, "queen mab")?.1;
        assert_eq!(came, "success", "seed {seed}");
        is_at_rest(&mut world);
    }
    Ok(())
}

/// As after `authentication` was changed and the configuration read again.
#[test]
fn an_account_of_the_directory_is_nobodys_once_the_host_keeps_passwords() -> Outcome {
    let mut world = asking(2);
    comes_to(&mut world, MERCUTIO, "queen mab", "success");
    for provider in [Provider::Hashed, Provider::Plain] {
        reload(&mut world, provider);
        for password in ["queen mab", "secret", ""] {
            let (_, came) = attempt(&mut world, MERCUTIO, password)?;
            assert!(
                came == "not-authorized" || came == "malformed-request",
                "{came}"
            );
        }
        let mut talk = stream(&mut world)?;
        assert!(talk.sign_in(&mut world, MERCUTIO, "queen mab").is_err());
        let all = accounts(&mut world);
        assert!(all.contains(&(MERCUTIO.to_owned(), Form::None)), "{all:?}");
        // What was kept before is good again.
        assert!(Talk::session(&mut world, ROMEO, "r").is_ok());
    }
    let passwd = Command::Passwd {
        account: jid(MERCUTIO),
        password: Secret::new(b"secret".to_vec()),
    };
    assert_eq!(world.command(passwd), DONE);
    assert!(Talk::session(&mut world, MERCUTIO, "r").is_ok());
    Ok(())
}

#[test]
fn what_a_directory_says_is_worth_nothing_to_a_host_that_asks_it_no_more() -> Outcome {
    for account in [ROMEO, MERCUTIO] {
        let mut world = asking(1);
        world.directory = Directory::Late;
        let mut talk = stream(&mut world)?;
        let password = if account == ROMEO {
            "r0m30"
        } else {
            "queen mab"
        };
        world.write(talk.peer(), auth(account, password).as_bytes());
        while world.questions() == 0 {
            world.turns(1);
        }
        let mut config = world.config().clone();
        ask(&mut config, Provider::Hashed);
        world.post_reload(config);
        world.run();
        assert_eq!(answer(&mut world, &mut talk)?, "temporary-auth-failure");
        assert!(!has(&mut world, MERCUTIO));
    }
    Ok(())
}

/// Nor is a password that a worker held against keys when the host began to ask a directory.
#[test]
fn a_password_that_was_right_by_keys_is_worth_nothing_to_a_host_that_asks_a_directory() -> Outcome {
    let mut world = asking(1);
    reload(&mut world, Provider::Hashed);
    world.workers = Workers::Slow;
    let mut talk = stream(&mut world)?;
    world.write(talk.peer(), auth(ROMEO, "secret").as_bytes());
    while world.questions() == 0 {
        world.turns(1);
    }
    let mut config = world.config().clone();
    ask(&mut config, Provider::Ldap);
    world.post_reload(config);
    world.run();
    assert_eq!(answer(&mut world, &mut talk)?, "temporary-auth-failure");
    Ok(())
}

/// A challenge of SCRAM that was given out before is no way around the directory.
#[test]
fn a_proof_of_keys_is_worth_nothing_to_a_host_that_asks_a_directory() -> Outcome {
    let mut world = asking(1);
    reload(&mut world, Provider::Hashed);
    let mut talk = stream(&mut world)?;
    let mechanism = spondee_core::sasl::Mechanism::from_name("SCRAM-SHA-256").ok_or("none")?;
    let mut config = world.config().clone();
    ask(&mut config, Provider::Ldap);
    talk.prove(&mut world, mechanism, "romeo", |challenge| {
        Ok(challenge.to_owned())
    })?;
    assert_eq!(answer(&mut world, &mut talk)?, "success");

    let mut talk = stream(&mut world)?;
    world.store_pace = StorePace::Slow;
    let scram = spec_tests::sasl::Scram::new(
        mechanism,
        "romeo",
        "secret",
        "nonce",
        spec_tests::sasl::Binding::Unsupported,
    );
    let scram = scram.ok_or("no SCRAM")?;
    let first = scram.first();
    talk.send(
        &mut world,
        &format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>"),
    );
    let challenge = talk.next(&mut world)?.text();
    world.reload(config);
    let (response, _) = scram.respond(&challenge)?;
    talk.send(
        &mut world,
        &format!("<response xmlns='{SASL}'>{response}</response>"),
    );
    assert_eq!(answer(&mut world, &mut talk)?, "temporary-auth-failure");
    Ok(())
}

#[test]
fn an_import_brings_no_password_to_a_host_that_asks_a_directory() {
    let mut world = asking(2);
    let account = || jid("benvolio@localhost");
    let imported = Imported {
        status: Status::Disabled,
        proof: ImportedProof::Password(Secret::new(b"secret".to_vec())),
        created: None,
        updated: None,
    };
    for step in [
        ImportStep::Begin(7, Tombstones::Heed),
        ImportStep::End(7, imported),
    ] {
        let command = Command::Import {
            account: account(),
            step: Box::new(step),
        };
        assert_eq!(world.command(command), DONE);
    }
    world.know("benvolio@localhost", "peace");
    comes_to(
        &mut world,
        "benvolio@localhost",
        "peace",
        "account-disabled",
    );
    assert_eq!(world.command(Command::Enable { account: account() }), DONE);
    comes_to(&mut world, "benvolio@localhost", "peace", "success");
    reload(&mut world, Provider::Hashed);
    comes_to(&mut world, "benvolio@localhost", "secret", "not-authorized");
}
