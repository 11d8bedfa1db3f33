//! Messages that are kept, where the server is killed and where the disk forgets: what was promised to their senders is at their
//! receivers, once, in order, and with nobody else.
//!
//! What promises: what an account tells of what it keeps. What was seen in a page of an archive is there ever after, with all that was
//! before it. What does not: a message that somebody was sent live is said before it is on disk, and so is the silence that tells a sender
//! that it waits for who is away; so a ping that is answered behind it promises nothing. Of what nothing promised, the last that was
//! written to somebody is lost, and nothing before it. How long before the end a ping behind a lost message was answered is measured.

mod books;
mod crowd;
mod cut;
mod judge;

use std::process::Command;
use std::time::Instant;

use spec_tests::chaos::{self, options, rounds};
use spec_tests::dice::Dice;
use spec_tests::kept::Door;
use spec_tests::server::{Scratch, Server};

use crate::books::{Receiver, SENDERS};
use crate::crowd::{Crowd, Numbers, Round};
use crate::judge::{First, Judge};

/// Messages of a round, in the middle of which the server is killed.
const POSTS: usize = 5000;

/// The accounts, made while the server runs.
fn settle(server: &Server) -> Result<Door, String> {
    let receivers = Receiver::ALL.into_iter().map(Receiver::name);
    chaos::settle(server, receivers.chain(SENDERS))
}

/// What each sender has written to each receiver after this round.
fn count(numbers: &mut Numbers, round: &Round) {
    for post in round.said.iter().flat_map(|said| &said.posts) {
        numbers.insert((post.from, post.to), post.number);
    }
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "seeds and figures are shown by --nocapture"
)]
fn what_was_promised_survives_sigkill() {
    let prepared = Server::prepare(Scratch::new().unwrap(), &options()).unwrap();
    let program = Command::new(prepared.binary());
    let mut server = prepared.begin(program).unwrap();
    let door = settle(&server).unwrap();
    let mut judge = Judge::default();
    let mut numbers = Numbers::new();
    for number in 0..rounds() {
        let seed = 0x5ee_d000 + number as u64;
        let mut dice = Dice::new(seed);
        let crowd = Crowd::begin(&door, seed, POSTS, &numbers).unwrap();
        let last = POSTS / 10 + dice.below(POSTS * 8 / 10);
        while crowd.posted() < last && !crowd.is_silent() {
            std::thread::yield_now();
        }
        crowd.over();
        let killed = Instant::now();
        server.kill().unwrap();
        let mut round = crowd.end().unwrap();
        round.killed = Some(killed);
        count(&mut numbers, &round);
        server.start_again().unwrap();
        let first = [First::Owed, First::Archive][dice.below(2)];
        judge.judge(&door, &round, first).unwrap();
        println!("seed {seed:#x}, killed behind {last}: {}", judge.figures);
        assert!(
            judge.faults.is_empty(),
            "seed {seed:#x}: {:#?}",
            judge.faults
        );
    }
    judge.whole(&door).unwrap();
    assert!(judge.faults.is_empty(), "{:#?}", judge.faults);
    server.stop().unwrap();
}
