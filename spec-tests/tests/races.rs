//! Races that seeds of the simulator found, each told by itself.

use spec_tests::memory::{Step, StorePace, World, config};
use spec_tests::talk::Talk;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::{Command, CommandError, CommandId, Opening};
use spondee_core::sasl::Tombstones;
use spondee_core::secret::Secret;
use spondee_core::store::StoreError;

/// With three shards, each owns one or two.
const CAST: [&str; 3] = ["romeo@localhost", "juliet@localhost", "nurse@localhost"];

#[test]
fn a_stanza_that_overtakes_a_reload_is_answered() -> Result<(), String> {
    for first in 0..3 {
        for sender in CAST {
            let mut fewer = config();
            fewer.shards = 3;
            let mut world = World::new(fewer.clone());
            world.add_user(sender, "secret");
            let mut talk = Talk::session(&mut world, sender, "r")?;
            let other = Domain::parse("other.test").map_err(|e| format!("{e:?}"))?;
            fewer.hosts.remove(&other);
            // One shard has heard that the host is gone when the stanza is sent.
            world.post_reload(fewer);
            world.step(Step::Letter(first));
            let iq =
                "<iq type='get' id='1' to='tybalt@other.test/x'><ping xmlns='urn:xmpp:ping'/></iq>";
            world.write(talk.peer(), iq.as_bytes());
            world.step(Step::Read(talk.peer()));
            (0..3).for_each(|shard| world.step(Step::Drain(shard)));
            world.run();
            let answers = talk.rest(&mut world)?;
            let [answer] = answers.as_slice() else {
                return Err(format!("{sender}, shard {first} first: {answers:?}"));
            };
            if answer.attribute("type") != Some("error") {
                return Err(format!("{answer}"));
            }
        }
    }
    Ok(())
}

#[test]
fn a_handshake_that_ends_as_the_server_stops_is_no_fault() {
    let mut world = World::new(config());
    let peer = world.connect(Opening::Tls);
    world.secure(peer);
    world.post_shutdown();
    world.run();
    assert_eq!(world.is_sound(), Ok(()));
    assert!(world.ended(peer).is_some());
}

/// Found by the fuzzer, as a slow input: such an account was made with the rounds of no host.
#[test]
fn a_command_that_waited_until_its_host_was_gone_makes_no_account() -> Result<(), String> {
    let mut fewer = config();
    let mut world = World::new(fewer.clone());
    let account = BareJid::parse("romeo@other.test").map_err(|e| format!("{e:?}"))?;
    for id in 1..=2 {
        let account = account.clone();
        let password = Secret::new("secret".into());
        world.post_command(
            CommandId(id),
            Command::Add {
                account,
                password,
                tombstones: Tombstones::Ignore,
            },
        );
    }
    let other = Domain::parse("other.test").map_err(|e| format!("{e:?}"))?;
    fewer.hosts.remove(&other);
    world.post_reload(fewer);
    world.run();
    let answers = world.take_answers();
    let [(_, first), (_, second)] = answers.as_slice() else {
        return Err(format!("{answers:?}"));
    };
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(*second, Err(CommandError::NoSuchHost));
    Ok(())
}

/// A command reads before it writes, and what was read has changed nothing, whatever the store can tell of it.
#[test]
fn only_a_write_of_unknown_outcome_may_have_taken_effect() -> Result<(), String> {
    for reads in 0..2 {
        let mut world = World::new(config());
        world.add_user(CAST[0], "secret");
        let talk = Talk::session(&mut world, CAST[0], "r")?;
        world.store_pace = StorePace::Slow;
        let account = BareJid::parse(CAST[0]).map_err(|e| format!("{e:?}"))?;
        world.post_command(CommandId(7), Command::Disable { account });
        world.step_all_but_commits();
        let expected = match reads {
            0 => {
                world.fail(0, StoreError::Unknown);
                CommandError::Store
            }
            _ => {
                world.step(Step::Commit(0));
                world.step_all_but_commits();
                world.lose_answer(0);
                CommandError::Unknown
            }
        };
        world.run();
        let answers = world.take_answers();
        assert_eq!(answers, [(CommandId(7), Err(expected))]);
        // Nobody stays who perhaps may not.
        let ended = world.take_received(talk.peer());
        let ended = ended.ends_with(b"</stream:stream>");
        assert_eq!(ended, expected == CommandError::Unknown);
    }
    Ok(())
}

/// Found by the simulator once a fault of the store excused nobody but those it was about.
#[test]
fn an_account_that_was_away_while_it_was_disabled_signs_in_once_it_is_enabled() -> Result<(), String>
{
    let mut world = World::new(config());
    world.add_user(CAST[0], "secret");
    let talk = Talk::session(&mut world, CAST[0], "r")?;
    world.hang_up(talk.peer());
    world.run();
    let account = BareJid::parse(CAST[0]).map_err(|e| format!("{e:?}"))?;
    let disable = Command::Disable {
        account: account.clone(),
    };
    assert!(world.command(disable).is_ok());
    assert!(world.command(Command::Enable { account }).is_ok());
    Talk::session(&mut world, CAST[0], "r").map(drop)
}
