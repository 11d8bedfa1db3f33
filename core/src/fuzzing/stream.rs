//! `stream`: one client says anything, cut anywhere, to a server where somebody else has a session.
//!
//! The first byte chooses configuration and port, the second the cuts, the third when questions are answered; the rest is what
//! the client sends. A TLS handshake takes none of it.

use alloc::vec::Vec;

use super::cursor::{Cursor, Cuts};
use super::peer::{Course, Speech};
use super::phrase;
use super::world::{Answer, World};
use crate::port::Opening;

/// Below the bound of a stream before authentication, which depends on how much is read at a time.
const BYTES_MAX: usize = 32 * 1024;
/// More than those can have as answers: how much waits at a time depends on the cuts, too.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// Plays the same bytes twice, cut in two ways.
///
/// # Panics
/// If the server says something that is not well-formed, says something else for other cuts, or lets anybody hear from a client
/// that has no session.
pub fn stream(data: &[u8]) {
    let mut bytes = Cursor::new(data);
    let choice = bytes.byte();
    let cuts = bytes.byte();
    let patience = bytes.byte();
    let said = bytes.take(BYTES_MAX);
    let whole = play(choice, Cuts::new(0), 0, said);
    let cut = play(choice, Cuts::new(cuts), patience, said);
    assert_eq!(whole, cut, "cut by {cuts}");
}

/// What both clients heard.
fn play(choice: u8, mut cuts: Cuts, patience: u8, mut said: &[u8]) -> Vec<Vec<u8>> {
    let mut world = World::new(1, choice & 0x3f, QUEUE_BYTES);
    let witness = world.accept(0, Opening::Clear);
    let address = phrase::session(&mut world, witness);
    let opening = if choice & 0x40 == 0 {
        Opening::Clear
    } else {
        Opening::Tls
    };
    let client = world.accept(0, opening);
    let before = heard(&world, witness);
    if let Some(client) = world.peers.get_mut(client) {
        client.speech = Speech::Free;
    }
    world.settle();
    let mut piece_number = 0_u8;
    while !said.is_empty() {
        world.say(client, cuts.piece(&mut said));
        world.drain();
        piece_number = piece_number.wrapping_add(1);
        if patience == 0 || piece_number.is_multiple_of(patience) {
            world.settle();
        }
        for _ in 0..patience % 4 {
            world.answer(0, Answer::True);
            world.drain();
        }
    }
    world.settle();
    let is_bound = world
        .peers
        .get(client)
        .is_some_and(|peer| peer.jid.is_some());
    if !is_bound && address.is_some() {
        assert_eq!(before, heard(&world, witness), "heard of a stranger");
        let witness = world.peers.get(witness);
        assert_eq!(witness.map(|witness| witness.stream), Some(Course::On));
    }
    let all = (0..world.peers.len()).map(|peer| heard(&world, peer));
    let all = all.collect();
    world.end();
    all
}

fn heard(world: &World, peer: usize) -> Vec<u8> {
    let peer = world.peers.get(peer);
    peer.map(|peer| peer.heard.clone()).unwrap_or_default()
}
