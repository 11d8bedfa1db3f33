//! What the tests of a running server share: the accounts they are played with, and how a stream ends.

use spec_tests::element::{Element, Item, STREAMS};
use spec_tests::memory::{World, config};
use spec_tests::talk::Talk;
use spondee_core::config::Config;

/// Every test tells what was not as expected by returning it.
pub(crate) type Outcome = Result<(), String>;

/// The accounts of `world`, all with the password `secret`. With three shards, each owns one or two.
pub(crate) const CAST: [&str; 4] = [
    "romeo@localhost",
    "juliet@localhost",
    "nurse@localhost",
    "tybalt@other.test",
];

/// A server with this many shards, a configuration of the test's own and the accounts.
pub(crate) fn world(shards: u16, configure: impl FnOnce(&mut Config)) -> World {
    let mut config = config();
    config.shards = shards;
    configure(&mut config);
    let mut world = World::new(config);
    for account in CAST {
        world.add_user(account, "secret");
    }
    world
}

/// The stream error that the server wrote next, followed by its closing tag and nothing else.
pub(crate) fn stream_error(world: &mut World, talk: &mut Talk) -> Result<String, String> {
    let error: Element = talk.next(world)?;
    if !error.is(STREAMS, "error") {
        return Err(format!("expected a stream error, not {error}"));
    }
    match talk.poll(world)? {
        Some(Item::Close) => {}
        other => return Err(format!("expected the closing tag, not {other:?}")),
    }
    let behind = world.take_received(talk.peer());
    if !behind.is_empty() {
        let behind = String::from_utf8_lossy(&behind);
        return Err(format!("{behind} behind the closing tag"));
    }
    let condition = error.condition().ok_or("an error without a condition")?;
    Ok(condition.to_owned())
}
