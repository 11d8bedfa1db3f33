//! Stream management where the server is killed, is stopped, and where the disk forgets: what an `<a h/>` covered that its sender saw is
//! at its receiver, once, in order, and with nobody else.
//!
//! Everybody's connections break all the time, and more often right before and after the server comes to its end. Who finds its session
//! gone binds anew, sends again what was not acknowledged, and fetches what it may have missed. So at the end everything that was written
//! is everywhere. What may be there twice: what a writer sent again because a server that was killed could not say how much of it it had.
//! What may be sent twice by the server, with the same id: what a device that went had not acknowledged, and after a kill what was owed.

mod books;
mod crowd;
mod cut;
mod device;
mod judge;

use std::process::Command;
use std::time::{Duration, Instant};

use spec_tests::chaos::{self, options, rounds};
use spec_tests::dice::Dice;
use spec_tests::kept::Door;
use spec_tests::server::{Scratch, Server};

use crate::books::{Receiver, Round, SENDERS};
use crate::crowd::{Crowd, Numbers};
use crate::judge::{End, Judge};

/// Messages of a round, in the middle of which the server comes to its end.
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

/// A crowd, and the end of the server behind so many of its messages.
fn round(
    server: &mut Server,
    crowd: Crowd,
    last: usize,
    end: End,
    dice: &mut Dice,
) -> Result<Round, String> {
    while crowd.square.posted() < last && !crowd.is_silent() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let square = crowd.square.clone();
    square.storm();
    std::thread::sleep(Duration::from_millis(dice.below(30) as u64));
    square.turn();
    match end {
        End::Kill => {
            server.kill()?;
            square.killed();
        }
        End::Stop => server.stop()?,
    }
    server.start_again()?;
    square.turn();
    std::thread::sleep(Duration::from_millis(dice.below(200) as u64));
    square.calm();
    crowd.end()
}

/// Rounds on one server, each with a seed of its own.
#[expect(
    clippy::print_stdout,
    reason = "seeds and figures are shown by --nocapture"
)]
fn rounds_of(end: End, rounds: usize, first: u64) -> Result<(), String> {
    let scratch = Scratch::new().map_err(|e| e.to_string())?;
    let prepared = Server::prepare(scratch, &options())?;
    let program = Command::new(prepared.binary());
    let mut server = prepared.begin(program)?;
    let door = settle(&server)?;
    let mut judge = Judge::default();
    let mut numbers = Numbers::new();
    for number in 0..rounds {
        let seed = first + number as u64;
        let mut dice = Dice::new(seed);
        let begun = Instant::now();
        let crowd = Crowd::begin(&door, seed, POSTS, &numbers)?;
        let last = POSTS / 10 + dice.below(POSTS * 8 / 10);
        let round = round(&mut server, crowd, last, end, &mut dice);
        let round = round.map_err(|fault| format!("seed {seed:#x}: {fault}"))?;
        count(&mut numbers, &round);
        judge.judge(&door, &round, end)?;
        let (took, figures) = (begun.elapsed().as_secs(), &judge.figures);
        println!("seed {seed:#x}, {end:?} behind {last}, {took} s: {figures}");
        if !judge.faults.is_empty() {
            return Err(format!("seed {seed:#x}: {:#?}", judge.faults));
        }
    }
    server.stop()?;
    match server.log().contains("an error of this program") {
        true => Err("the server found a fault of its own".to_owned()),
        false => Ok(()),
    }
}

#[test]
fn what_was_acknowledged_survives_sigkill() -> Result<(), String> {
    rounds_of(End::Kill, rounds(), 0x5e5_0000)
}

/// After an orderly end everybody knows what was handled, and nothing is sent again that was.
#[test]
fn nothing_is_lost_or_doubled_by_an_orderly_stop() -> Result<(), String> {
    rounds_of(End::Stop, rounds().div_ceil(2), 0x570_0000)
}
