//! What becomes of batches.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::config::{Host, HostConfig, Software};
use crate::federation::FederationOptions;
use crate::jid::Domain;
use crate::limits::Limits;
use crate::port::{CommandError, CommandReply};
use crate::sasl::Tombstones;

fn world() -> World {
    let host = HostConfig {
        rounds: 1,
        ..HostConfig::default()
    };
    let name = Domain::parse("localhost").unwrap();
    World::new(Config {
        hosts: BTreeMap::from([(name, Host::Accounts(host))]),
        limits: Limits::default(),
        federation: FederationOptions::isolated(),
        server_secret: [1; 32],
        shards: 1,
        software: Software {
            name: "Spondee".into(),
            version: "0".into(),
        },
    })
}

fn account(name: &str) -> BareJid {
    BareJid::parse(name).unwrap()
}

fn add(name: &str) -> Command {
    Command::Add {
        account: account(name),
        password: Secret::new(b"secret".to_vec()),
        // One batch, and no question before it.
        tombstones: Tombstones::Ignore,
    }
}

fn is_there(world: &mut World, name: &str) -> bool {
    let host = Domain::parse("localhost").unwrap();
    let (after, limit) = (None, 9);
    let list = world.command(Command::List { host, after, limit });
    let Ok(CommandReply::Users(users)) = list else {
        panic!("{list:?}");
    };
    users.iter().any(|user| user.account == account(name))
}

#[test]
fn a_batch_that_fails_takes_no_effect_and_one_that_is_lost_does() {
    for (fate, answer, there) in [
        (Fate::Kept, Ok(CommandReply::Done), true),
        (Fate::Delayed(9), Ok(CommandReply::Done), true),
        (
            Fate::Failed(StoreError::Full),
            Err(CommandError::Full),
            false,
        ),
        (
            Fate::Failed(StoreError::Unknown),
            Err(CommandError::Unknown),
            false,
        ),
        (Fate::Lost, Err(CommandError::Unknown), true),
    ] {
        let mut world = world();
        world.fates = vec![fate].into();
        assert_eq!(world.command(add("juliet@localhost")), answer, "{fate:?}");
        assert_eq!(is_there(&mut world, "juliet@localhost"), there, "{fate:?}");
        let struck: Vec<StoreError> = world.take_struck().into_iter().map(|(_, e)| e).collect();
        assert_eq!(struck.is_empty(), answer.is_ok(), "{fate:?}");
    }
}

/// Lets everything happen that comes first in each list of steps, until `last` is all there is.
fn step_until(world: &mut World, last: impl Fn(&World) -> bool) {
    while !last(world) {
        let step = world.steps().first().copied();
        world.step(step.expect("something that happens"));
    }
}

#[test]
fn a_batch_that_is_delayed_holds_up_its_owner_alone() {
    let mut world = world();
    world.store_pace = StorePace::Slow;
    world.fates = vec![Fate::Delayed(1000)].into();
    world.post_command(CommandId(1), add("juliet@localhost"));
    step_until(&mut world, |world| world.batches() == 1);
    world.post_command(CommandId(2), add("romeo@localhost"));
    step_until(&mut world, |world| !world.answers.is_empty());
    let answers = world.take_answers();
    assert_eq!(answers, [(CommandId(2), Ok(CommandReply::Done))]);
    assert!(world.commits().is_empty() && world.batches() == 1);
    // Nothing else happens for which it could be too early.
    world.run();
    let answers = world.take_answers();
    assert_eq!(answers, [(CommandId(1), Ok(CommandReply::Done))]);
}
