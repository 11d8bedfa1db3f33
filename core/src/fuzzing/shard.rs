//! `shard`: several clients of several accounts on two shards, administrators, servers that are reached, and a shell that takes its time.
//!
//! The first byte chooses configuration and the number of shards; each step behind it is one byte that says what happens,
//! followed by whatever that needs. The highest bit of that byte holds the shell up: it does nothing until the next step.

use core::time::Duration;

use super::cursor::Cursor;
use super::peer::{Ears, Speech};
use super::phrase;
use super::reaching;
use super::world::{ACCOUNTS, Answer, HOSTS, PASSWORDS, World, account};
use crate::jid::Domain;
use crate::port::{Closed, Command, Opening};
use crate::sasl::Tombstones;
use crate::secret::Secret;
use crate::testing::Mesh;

/// Enough to come anywhere, and few enough to be fast.
const STEPS_MAX: usize = 200;
const PEERS_MAX: usize = 12;
/// What a peer may leave unread: little, so that fuzzers reach it.
const QUEUE_BYTES: usize = 16 * 1024;

/// Plays the steps and lets everybody leave.
///
/// # Panics
/// If the core breaks a promise; see `world`.
pub fn shard(data: &[u8]) {
    let mut bytes = Cursor::new(data);
    let choice = bytes.byte();
    let shards = if choice & 0x40 == 0 { 2 } else { 1 };
    let mut world = World::new(shards, choice & 0x3f, QUEUE_BYTES);
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        let what = bytes.byte();
        step(&mut world, what & 0x7f, &mut bytes);
        if what & 0x80 == 0 {
            world.drain();
        }
    }
    world.end();
}

fn step(world: &mut World, what: u8, bytes: &mut Cursor<'_>) {
    match what {
        // By far the most of it is clients speaking.
        0..=39 => {
            let peer = peer(world, bytes);
            let phrase = phrase::any(world, peer, bytes);
            world.say(peer, phrase.as_bytes());
        }
        40..=47 => accept(world, bytes),
        48..=63 => {
            let at = usize::from(what & 7);
            world.answer(at, Answer::True);
        }
        64..=71 => world.hand_off(usize::from(what & 7)),
        72..=78 => world.deliver(Mesh::Free),
        79 => world.deliver(Mesh::Full),
        80..=83 => {
            let peer = peer(world, bytes);
            world.secure(peer);
        }
        84..=87 => {
            let how = bytes.pick(&[Closed::Eof, Closed::Reset, Closed::Tls]);
            let peer = peer(world, bytes);
            world.close(peer, how);
        }
        88..=95 => command(world, bytes),
        96..=99 => {
            let seconds = bytes.pick(&[0, 1, 6, 31, 61, 900]);
            world.wait(Duration::from_secs(seconds));
        }
        100..=103 => say_freely(world, bytes),
        104..=107 => world.settle(),
        108..=109 => toggle_ears(world, bytes),
        110..=111 => world.doom_batches(bytes.byte()),
        112 => world.reload(bytes.byte()),
        113 => world.shut_down(),
        114..=115 => world.answer(bytes.below(8), Answer::Twice),
        116..=117 => world.answer(bytes.below(8), Answer::Busy),
        118 => world.answer(bytes.below(8), Answer::Mismatched),
        119 => {
            let peer = peer(world, bytes);
            world.secure_falsely(peer);
        }
        120..=123 => {
            let peer = peer(world, bytes);
            let phrase = phrase::rare(world, peer, bytes);
            world.say(peer, phrase.as_bytes());
        }
        124..=125 => {
            let peer = peer(world, bytes);
            world.evict(peer);
        }
        126..=127 => reaching::step(world, bytes),
        _ => {}
    }
}

fn peer(world: &World, bytes: &mut Cursor<'_>) -> usize {
    bytes.below(world.peers.len())
}

fn accept(world: &mut World, bytes: &mut Cursor<'_>) {
    let choice = bytes.byte();
    if world.peers.len() < PEERS_MAX {
        let opening = match choice & 6 {
            0 => Opening::Tls,
            _ => Opening::Clear,
        };
        world.accept(usize::from(choice & 1), opening);
    }
}

fn say_freely(world: &mut World, bytes: &mut Cursor<'_>) {
    let at = peer(world, bytes);
    let length = usize::from(bytes.byte());
    let said = bytes.take(length);
    if let Some(peer) = world.peers.get_mut(at) {
        peer.speech = Speech::Free;
    }
    world.say(at, said);
}

fn toggle_ears(world: &mut World, bytes: &mut Cursor<'_>) {
    let at = peer(world, bytes);
    let ears = world.peers.get(at).map(|peer| peer.ears);
    world.set_ears(
        at,
        match ears {
            Some(Ears::Open) | None => Ears::Shut,
            Some(Ears::Shut) => Ears::Open,
        },
    );
}

fn command(world: &mut World, bytes: &mut Cursor<'_>) {
    let what = bytes.below(6);
    let account = account(bytes.below(ACCOUNTS.len()));
    let password = |world: &mut World, bytes: &mut Cursor<'_>| {
        // The last is never good.
        let good = PASSWORDS.split_last().map_or(&[][..], |(_, good)| good);
        let password = bytes.pick(good);
        world.learn_password(account.clone(), password);
        Secret::new(password.into())
    };
    let command = match what {
        0 => Command::Add {
            password: password(world, bytes),
            account,
            tombstones: Tombstones::Ignore,
        },
        1 => Command::Delete { account },
        2 => Command::Disable { account },
        3 => Command::Enable { account },
        4 => Command::Passwd {
            password: password(world, bytes),
            account,
        },
        _ => match (bytes.pick(&HOSTS), bytes.byte()) {
            (_, 128..) => Command::Show { account },
            (host, limit) => Command::List {
                host: Domain::parse(host).expect("a domain"),
                after: Some(account),
                limit: u32::from(limit),
            },
        },
    };
    world.command(command);
}
