//! A crowd that writes to people who are there, away, and coming and going, over connections that break, while the server comes to an
//! end and is started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use spec_tests::client::PATIENCE;
use spec_tests::dice::Dice;
use spec_tests::kept::Door;

use crate::books::{Device, Heard, Kind, Post, Receiver, Round, SENDERS, Said};
use crate::device::{First, Known, Left, Life, Line, Tells, Trouble};

/// So many messages of one writer may be on their way, or on the disk's.
const WINDOW: usize = 150;

/// What all of the crowd look at.
#[derive(Debug, Default)]
pub(crate) struct Square {
    posted: AtomicUsize,
    /// Odd while the server comes to an end and is started again.
    ends: AtomicUsize,
    kills: AtomicUsize,
    stormy: AtomicBool,
    /// How often somebody became available.
    there: AtomicUsize,
    /// All that is written has been acknowledged.
    silent: AtomicBool,
}

impl Square {
    pub(crate) fn posted(&self) -> usize {
        self.posted.load(Ordering::SeqCst)
    }

    pub(crate) fn ends(&self) -> usize {
        self.ends.load(Ordering::SeqCst)
    }

    pub(crate) fn kills(&self) -> usize {
        self.kills.load(Ordering::SeqCst)
    }

    /// Whether the server has come to an end since then, or did so then.
    pub(crate) fn is_ended(&self, then: usize) -> bool {
        then % 2 == 1 || self.ends() != then
    }

    /// The server comes to an end from here on, or is there again.
    pub(crate) fn turn(&self) {
        self.ends.fetch_add(1, Ordering::SeqCst);
    }

    /// It was killed, and is not there again.
    pub(crate) fn killed(&self) {
        self.kills.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn is_stormy(&self) -> bool {
        self.stormy.load(Ordering::SeqCst)
    }

    /// Connections break all the time from now on.
    pub(crate) fn storm(&self) {
        self.stormy.store(true, Ordering::SeqCst);
    }

    /// They do so no more.
    pub(crate) fn calm(&self) {
        self.stormy.store(false, Ordering::SeqCst);
    }

    /// Somebody has said so.
    pub(crate) fn is_there(&self) {
        self.there.fetch_add(1, Ordering::SeqCst);
    }

    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::SeqCst)
    }
}

type Thread<T> = JoinHandle<Result<T, String>>;

/// How many messages each sender has written to each receiver.
pub(crate) type Numbers = BTreeMap<(usize, Receiver), usize>;

/// The crowd at work.
pub(crate) struct Crowd {
    pub(crate) square: Arc<Square>,
    writers: Vec<Thread<Said>>,
    listeners: Vec<Thread<(Device, Heard)>>,
}

impl Crowd {
    /// All sign in, then they begin. Together they write about `posts` messages.
    pub(crate) fn begin(
        door: &Door,
        seed: u64,
        posts: usize,
        numbers: &Numbers,
    ) -> Result<Self, String> {
        let square = Arc::new(Square::default());
        let mut dice = Dice::new(seed);
        let mut listeners = Vec::new();
        for (at, life, routine) in [
            (Receiver::There.device(), Life::Long, be_there as Routine),
            (Receiver::Copies.device(), Life::Long, be_there),
            (("copies", "watch"), Life::Long, watch),
            (("ann", "watch"), Life::Long, watch),
            (("ben", "watch"), Life::Long, watch),
            (("cal", "watch"), Life::Long, watch),
            (Receiver::Flits.device(), Life::Connection, flit),
            (Receiver::Sleeps.device(), Life::Short, sleep),
        ] {
            let mut line = Line::begin(door, &square, at, life, dice.roll())?;
            let square = square.clone();
            listeners.push(std::thread::spawn(move || {
                until_silence(&mut line, &square, routine)?;
                match line.strange.first() {
                    Some(strange) => Err(format!("{at:?} was sent {strange}")),
                    None => Ok((at, line.heard)),
                }
            }));
        }
        // What is for one device alone must not come before what is for all, and was there earlier.
        while square.there.load(Ordering::SeqCst) < 4 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(100));
        let mut writers = Vec::new();
        for (from, name) in SENDERS.into_iter().enumerate() {
            let mut writer = Writer {
                line: Line::begin(door, &square, (name, "desk"), Life::Long, dice.roll())?,
                from,
                numbers: numbers.clone(),
                said: Said::default(),
            };
            let square = square.clone();
            writers.push(std::thread::spawn(move || {
                writer.write(&square, posts)?;
                Ok(writer.end())
            }));
        }
        Ok(Self {
            square,
            writers,
            listeners,
        })
    }

    /// Whether nobody writes any more.
    pub(crate) fn is_silent(&self) -> bool {
        self.writers.iter().all(JoinHandle::is_finished)
    }

    /// Waits until all that was written is acknowledged and was heard.
    pub(crate) fn end(self) -> Result<Round, String> {
        let mut round = Round::default();
        let mut faults = Vec::new();
        for writer in self.writers {
            match join(writer) {
                Ok(said) => round.said.push(said),
                Err(fault) => faults.push(fault),
            }
        }
        self.square.silent.store(true, Ordering::SeqCst);
        for listener in self.listeners {
            match join(listener) {
                Ok((at, heard)) => {
                    round.heard.insert(at, heard);
                }
                Err(fault) => faults.push(fault),
            }
        }
        match faults.is_empty() {
            true => Ok(round),
            false => Err(faults.join("\n")),
        }
    }
}

fn join<T>(thread: Thread<T>) -> Result<T, String> {
    thread.join().map_err(|_| "a client panicked")?
}

/// What a device does in one session, until it is over or there is nothing more to come.
type Routine = fn(&mut Line, &Square) -> Result<(), Trouble>;

fn until_silence(line: &mut Line, square: &Square, routine: Routine) -> Result<(), String> {
    loop {
        match routine(line, square) {
            Ok(()) => return Ok(()),
            Err(Trouble::Over) => {}
            Err(Trouble::Fault(fault)) => return Err(fault),
        }
    }
}

/// Reads as long as somebody writes, and then what is left. A word now and then.
fn listen(line: &mut Line, square: &Square) -> Result<(), Trouble> {
    while !square.is_silent() {
        line.next(Duration::from_millis(30))?;
        if line.dice.below(300) == 0 {
            line.confirm()?;
        }
    }
    line.settle()?;
    line.go(Tells::All)
}

fn be_there(line: &mut Line, square: &Square) -> Result<(), Trouble> {
    line.come_first_to(40)?;
    listen(line, square)
}

fn watch(line: &mut Line, square: &Square) -> Result<(), Trouble> {
    line.watch()?;
    listen(line, square)
}

/// Reads for a while.
fn stay(line: &mut Line, square: &Square) -> Result<(), Trouble> {
    let until = Instant::now() + Duration::from_millis(line.dice.below(400) as u64);
    while Instant::now() < until && !square.is_silent() {
        line.next(Duration::from_millis(10))?;
    }
    Ok(())
}

/// Comes, takes what there is for a while, and goes: in order or not, and tells what came or not.
fn flit(line: &mut Line, square: &Square) -> Result<(), Trouble> {
    line.come(First::Owed)?;
    stay(line, square)?;
    if square.is_silent() {
        line.settle()?;
        return line.go(Tells::All);
    }
    match line.dice.below(3) {
        0 => line.go(Tells::All)?,
        1 => line.go(Tells::Nothing)?,
        _ => line.cut(),
    }
    let away = line.dice.below(300) as u64;
    std::thread::sleep(Duration::from_millis(away));
    line.anew()?;
    Err(Trouble::Over)
}

/// Is cut, and comes back soon, late, or with another session.
fn sleep(line: &mut Line, square: &Square) -> Result<(), Trouble> {
    line.come_first_to(30)?;
    loop {
        stay(line, square)?;
        if square.is_silent() {
            line.settle()?;
            return line.go(Tells::All);
        }
        line.cut();
        let asleep = match line.dice.below(3) {
            0 => line.dice.below(100),
            1 => 900 + line.dice.below(300),
            _ => 1500 + line.dice.below(300),
        };
        std::thread::sleep(Duration::from_millis(asleep as u64));
        if line.dice.percent(20) {
            line.anew()?;
            return Err(Trouble::Over);
        }
        line.go_on()?;
    }
}

struct Writer {
    line: Line,
    from: usize,
    numbers: Numbers,
    said: Said,
}

impl Writer {
    fn write(&mut self, square: &Square, posts: usize) -> Result<(), String> {
        loop {
            match self.go_on(square, posts) {
                Ok(()) => return Ok(()),
                Err(Trouble::Over) => {}
                Err(Trouble::Fault(fault)) => return Err(fault),
            }
        }
    }

    fn go_on(&mut self, square: &Square, posts: usize) -> Result<(), Trouble> {
        self.send_again();
        while square.posted() < posts {
            let burst = 1 + self.line.dice.below(30);
            for _ in 0..burst {
                let post = self.compose();
                self.line.send(&post.xml(), Some(post));
            }
            square.posted.fetch_add(burst, Ordering::SeqCst);
            match self.line.dice.below(20) {
                0..10 => self.line.request(),
                // In the middle of what the server reads.
                10 => self.line.cut(),
                11 => self.line.confirm()?,
                _ => {}
            }
            let left = self.line.dice.below(WINDOW);
            if self.line.unacknowledged() >= WINDOW {
                self.line.request();
            }
            self.read_until(if self.line.unacknowledged() >= WINDOW {
                left
            } else {
                WINDOW
            })?;
        }
        self.line.request();
        self.read_until(0)?;
        self.line.go(Tells::All)
    }

    /// Until so many are unacknowledged at most. An answer that says less than all is followed by others, without a word.
    fn read_until(&mut self, left: usize) -> Result<(), Trouble> {
        let deadline = Instant::now() + 2 * PATIENCE;
        while self.line.unacknowledged() > left {
            let before = self.line.heard.resumed;
            self.line.next(Duration::from_millis(100))?;
            if self.line.heard.resumed != before {
                // The request went down with the old connection.
                self.line.request();
            }
            if Instant::now() > deadline {
                let count = self.line.unacknowledged();
                return Err(Trouble::Fault(format!(
                    "{}: {count} are never acknowledged",
                    SENDERS[self.from]
                )));
            }
        }
        // What came without being asked for.
        self.line.next(Duration::from_millis(1))?;
        Ok(())
    }

    /// What the server did not have, or may not have had, of the sessions before.
    fn send_again(&mut self) {
        for Left { posts, known } in std::mem::take(&mut self.line.left) {
            for post in posts {
                if known == Known::No {
                    *self.said.again.entry(post.body()).or_default() += 1;
                }
                // The one device may not be available yet, and would have this before what waits for it.
                let kind = match post.kind {
                    Kind::Full => Kind::Chat,
                    other @ (Kind::Chat | Kind::Normal | Kind::Private) => other,
                };
                let post = Post { kind, ..post };
                self.line.send(&post.xml(), Some(post));
            }
        }
        self.line.request();
    }

    fn compose(&mut self) -> Post {
        let is_first = self.line.is_first();
        let dice = &mut self.line.dice;
        let to = Receiver::ALL[dice.below(Receiver::ALL.len())];
        let is_there = is_first && matches!(to, Receiver::There | Receiver::Copies);
        let kind = match (dice.below(20), is_there) {
            (0..3, true) => Kind::Full,
            (3, _) => Kind::Private,
            (4..8, _) => Kind::Normal,
            _ => Kind::Chat,
        };
        let number = self.numbers.entry((self.from, to)).or_default();
        *number += 1;
        let post = Post {
            from: self.from,
            to,
            number: *number,
            kind,
        };
        self.said.posts.push(post);
        post
    }

    fn end(mut self) -> Said {
        let acknowledged = self.line.acknowledged.iter().map(Post::body);
        self.said.acknowledged.extend(acknowledged);
        for (id, sent) in std::mem::take(&mut self.line.sessions) {
            let sent = sent.into_iter().map(|post| post.map(|post| post.body()));
            self.said.sessions.insert(id, sent.collect());
        }
        self.said.strange = std::mem::take(&mut self.line.strange);
        self.said.cuts = self.line.heard.cuts;
        self.said
    }
}
