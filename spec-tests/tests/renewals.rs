//! What is kept of a password becomes what its host keeps now, once the password is known to be right: quietly, and never over a change.

mod stage;

use std::collections::VecDeque;

use spec_tests::element::SASL;
use spec_tests::memory::{Fate, StorePace, Workers, World};
use spec_tests::sasl::{Binding, Scram, decode};
use spec_tests::talk::{Talk, plain_auth};
use spondee_core::config::Config;
use spondee_core::jid::BareJid;
use spondee_core::port::{Command, CommandError, CommandReply, CommandResult, Opening};
use spondee_core::sasl::{Form, Hash, Mechanism, Plus, Provider};
use spondee_core::secret::Secret;
use spondee_core::store::StoreError;
use stage::{Outcome, stream_error, world};

const ROMEO: &str = "romeo@localhost";
const DONE: CommandResult = Ok(CommandReply::Done);

fn romeo() -> BareJid {
    BareJid::parse(ROMEO).expect("an address")
}

fn keeps(config: &mut Config, provider: Provider) {
    for host in config.accounts_mut() {
        host.provider = provider;
    }
}

/// Accounts of which the passwords are kept, on hosts that keep keys by now.
fn switched(shards: u16) -> World {
    let mut world = world(shards, |config| keeps(config, Provider::Plain));
    assert_eq!(form(&mut world), Form::Plain);
    reload(&mut world, |config| keeps(config, Provider::Hashed));
    world
}

fn reload(world: &mut World, change: impl FnOnce(&mut Config)) {
    let mut config = world.config().clone();
    change(&mut config);
    world.reload(config);
}

/// What is kept of Romeo's password.
fn form(world: &mut World) -> Form {
    match world.command(Command::Show { account: romeo() }) {
        Ok(CommandReply::User(details)) => details.password,
        other => panic!("{other:?}"),
    }
}

fn passwd(password: &str) -> Command {
    Command::Passwd {
        account: romeo(),
        password: Secret::new(password.into()),
    }
}

fn upgrade() -> Command {
    Command::Upgrade { account: romeo() }
}

fn scram(world: &mut World, password: &str) -> Result<Talk, String> {
    let mut talk = Talk::connect(world, Opening::Tls);
    talk.open(world, "localhost")?;
    talk.sign_in(world, ROMEO, password)?;
    Ok(talk)
}

/// By PLAIN; the name of the answer, or its condition.
fn plain(world: &mut World, password: &str) -> Result<String, String> {
    let mut talk = Talk::connect(world, Opening::Tls);
    talk.open(world, "localhost")?;
    talk.send(world, &plain_auth("romeo", password));
    let answer = talk.next(world)?;
    Ok(answer.condition().unwrap_or(&answer.name).to_owned())
}

/// Rounds that a challenge shows.
fn rounds(world: &mut World) -> Result<String, String> {
    let mut talk = Talk::connect(world, Opening::Tls);
    talk.open(world, "localhost")?;
    let mechanism = Mechanism::Scram(Hash::Sha1, Plus::No);
    let scram = Scram::new(mechanism, "romeo", "", "n", Binding::Unsupported);
    let first = scram.ok_or("no SCRAM")?.first();
    talk.send(
        world,
        &format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{first}</auth>"),
    );
    let challenge = decode(&talk.next(world)?.text())?;
    let rounds = challenge
        .split(',')
        .find_map(|part| part.strip_prefix("i="));
    Ok(rounds.ok_or("no rounds")?.to_owned())
}

#[test]
fn a_password_that_is_kept_signs_in_before_and_after_it_becomes_keys() -> Outcome {
    for shards in [1, 3] {
        let mut world = switched(shards);
        let wrong = plain(&mut world, "Secret")?;
        assert_eq!(wrong, "not-authorized");
        assert!(scram(&mut world, "Secret").is_err());
        assert_eq!(form(&mut world), Form::Plain, "nobody knew it");
        let mut first = scram(&mut world, "secret")?;
        first.bind(&mut world, "orchard")?;
        assert_eq!(form(&mut world), Form::Hashed);
        assert_eq!(first.rest(&mut world)?, [], "it has noticed nothing");
        scram(&mut world, "secret")?;
        assert_eq!(plain(&mut world, "secret")?, "success");
        assert_eq!(plain(&mut world, "Secret")?, "not-authorized");
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn plain_makes_keys_as_well() -> Outcome {
    let mut world = switched(3);
    assert_eq!(plain(&mut world, "secret")?, "success");
    assert_eq!(form(&mut world), Form::Hashed);
    scram(&mut world, "secret")?;
    Ok(())
}

#[test]
fn success_is_said_before_the_keys_are_made_or_written() -> Outcome {
    for failing in [None, Some(StoreError::Full), Some(StoreError::Failed)] {
        let mut world = switched(1);
        let mut talk = Talk::connect(&mut world, Opening::Tls);
        talk.open(&mut world, "localhost")?;
        let fates: VecDeque<Fate> = match failing {
            // The credentials are read twice.
            Some(error) => [Fate::Kept, Fate::Kept, Fate::Failed(error)].into(),
            None => VecDeque::new(),
        };
        world.fates = fates;
        talk.send(&mut world, &plain_auth("romeo", "secret"));
        assert_eq!(talk.next(&mut world)?.name, "success");
        assert_eq!(world.fates.len(), 0, "the last batch was the renewal");
        let expected = if failing.is_some() {
            Form::Plain
        } else {
            Form::Hashed
        };
        assert_eq!(form(&mut world), expected);
        talk.open(&mut world, "localhost")?;
        talk.bind(&mut world, "orchard")?;
        // The next sign-in tries again.
        assert_eq!(plain(&mut world, "secret")?, "success");
        assert_eq!(form(&mut world), Form::Hashed);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// A worker and the store are slow: the session is there long before.
#[test]
fn nobody_waits_for_keys_that_only_the_server_wants() -> Outcome {
    let mut world = switched(1);
    let mut talk = Talk::connect(&mut world, Opening::Tls);
    talk.open(&mut world, "localhost")?;
    world.workers = Workers::Slow;
    world.store_pace = StorePace::Slow;
    talk.send(&mut world, &plain_auth("romeo", "secret"));
    let mut turns = 0;
    while world.take_received(talk.peer()).is_empty() {
        world.turns(1);
        turns += 1;
        assert!(turns < 1000, "nothing is said");
    }
    world.workers = Workers::default();
    world.store_pace = StorePace::Prompt;
    world.run();
    assert_eq!(form(&mut world), Form::Hashed);
    Ok(())
}

#[test]
fn a_change_that_comes_meanwhile_is_what_is_kept() -> Outcome {
    let mut world = switched(1);
    let mut talk = Talk::connect(&mut world, Opening::Tls);
    talk.open(&mut world, "localhost")?;
    world.workers = Workers::Slow;
    world.write(talk.peer(), plain_auth("romeo", "secret").as_bytes());
    let answers = world.commands(vec![passwd("Montague"), passwd("Capulet")]);
    assert_eq!(answers, [DONE, DONE]);
    assert_eq!(form(&mut world), Form::Hashed);
    assert_eq!(plain(&mut world, "Capulet")?, "success");
    assert_eq!(plain(&mut world, "secret")?, "not-authorized");
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// XEP-0077: what the server does of itself is nothing that a user's own wish waits for in vain.
#[test]
fn who_changes_the_password_right_behind_the_sign_in_may() -> Outcome {
    let mut world = switched(1);
    world.workers = Workers::Slow;
    let mut talk = scram(&mut world, "secret")?;
    let bind = spec_tests::talk::bind_request("orchard");
    let change = "<iq type='set' id='c'><query xmlns='jabber:iq:register'><username>romeo</username>\
                  <password>Montague</password></query></iq>";
    world.write(talk.peer(), format!("{bind}{change}").as_bytes());
    world.run();
    let kinds: Vec<_> = talk.rest(&mut world)?;
    let kinds: Vec<_> = kinds.iter().filter_map(|iq| iq.attribute("type")).collect();
    assert_eq!(kinds, ["result", "result"]);
    assert_eq!(plain(&mut world, "Montague")?, "success");
    Ok(())
}

/// Verified against the password a moment before keys took its place: it is the same password.
#[test]
fn who_signs_in_while_keys_are_made_comes_in() -> Outcome {
    let mut world = switched(1);
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut talk = Talk::connect(&mut world, Opening::Tls);
        talk.open(&mut world, "localhost")?;
        waiting.push(talk);
    }
    world.workers = Workers::Slow;
    for (turns, talk) in (0..).zip(&waiting) {
        world.write(talk.peer(), plain_auth("romeo", "secret").as_bytes());
        world.turns(turns);
    }
    world.run();
    for mut talk in waiting {
        assert_eq!(talk.next(&mut world)?.name, "success");
    }
    assert_eq!(form(&mut world), Form::Hashed);
    Ok(())
}

#[test]
fn keys_do_not_become_a_password_again_until_it_is_set_anew() -> Outcome {
    let mut world = world(1, |_| {});
    reload(&mut world, |config| keeps(config, Provider::Plain));
    let mut session = Talk::session(&mut world, ROMEO, "orchard")?;
    assert_eq!(plain(&mut world, "secret")?, "success");
    assert_eq!(form(&mut world), Form::Hashed);
    assert_eq!(world.command(passwd("secret")), DONE);
    assert_eq!(stream_error(&mut world, &mut session)?, "reset");
    assert_eq!(form(&mut world), Form::Plain);
    scram(&mut world, "secret")?;
    assert_eq!(form(&mut world), Form::Plain);
    Ok(())
}

#[test]
fn rounds_that_were_raised_are_so_by_the_next_sign_in_that_shows_the_password() -> Outcome {
    for provider in [Provider::Hashed, Provider::Plain] {
        let mut world = world(1, |_| {});
        assert_eq!(rounds(&mut world)?, "16");
        reload(&mut world, |config| {
            keeps(config, provider);
            for host in config.accounts_mut() {
                host.rounds = 20;
            }
        });
        assert_eq!(plain(&mut world, "Secret")?, "not-authorized");
        scram(&mut world, "secret")?;
        assert_eq!(rounds(&mut world)?, "16", "SCRAM shows no password");
        assert_eq!(plain(&mut world, "secret")?, "success");
        assert_eq!(rounds(&mut world)?, "20");
        assert_eq!(form(&mut world), Form::Hashed);
        // They are never lowered.
        reload(&mut world, |config| {
            for host in config.accounts_mut() {
                host.rounds = 17;
            }
        });
        assert_eq!(plain(&mut world, "secret")?, "success");
        assert_eq!(rounds(&mut world)?, "20");
    }
    Ok(())
}

#[test]
fn an_administrator_has_keys_made_and_nobody_notices() -> Outcome {
    let mut world = switched(3);
    let mut talk = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    assert_eq!(world.command(upgrade()), DONE);
    assert_eq!(form(&mut world), Form::Hashed);
    assert_eq!(world.command(upgrade()), DONE, "there is nothing to do");
    scram(&mut world, "secret")?;
    assert_eq!(talk.rest(&mut world)?, []);
    let nobody = Command::Upgrade {
        account: BareJid::parse("nobody@localhost").map_err(|e| e.to_string())?,
    };
    assert_eq!(world.command(nobody), Err(CommandError::NoSuchUser));
    Ok(())
}

#[test]
fn where_passwords_are_kept_they_are_not_upgraded() {
    let mut world = world(1, |config| keeps(config, Provider::Plain));
    assert_eq!(world.command(upgrade()), Err(CommandError::KeepsPasswords));
    assert_eq!(form(&mut world), Form::Plain);
}
