//! A crowd that writes to people who are there, away, and coming and going, until the server is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::dice::Dice;
use spec_tests::element::{CLIENT, Element, Item};
use spec_tests::kept::{Door, MAM, Query, Seen, ask, enable_carbons, page, ping};

use crate::books::{About, Kind, Look, Post, Receiver, SENDERS, Said, bare};

/// An account's name and a resource.
pub(crate) type Device = (&'static str, &'static str);

/// What a device was sent, session by session.
pub(crate) type Heard = BTreeMap<Device, Vec<Vec<Seen>>>;

/// Ids and texts of entries of an archive, in order.
pub(crate) type Shown = Vec<(String, String)>;

/// A round of the crowd.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) said: Vec<Said>,
    pub(crate) heard: Heard,
    /// What devices that are never there saw in the archives of those who are away, in order.
    pub(crate) seen: BTreeMap<&'static str, Shown>,
    /// When the server was killed.
    pub(crate) killed: Option<Instant>,
}

/// What all of the crowd look at.
#[derive(Debug, Default)]
struct Square {
    posted: AtomicUsize,
    /// The server is going: streams may end from now on.
    over: AtomicBool,
}

type Thread<T> = JoinHandle<Result<T, String>>;

/// The crowd at work.
#[derive(Debug)]
pub(crate) struct Crowd {
    square: Arc<Square>,
    writers: Vec<Thread<Said>>,
    listeners: Vec<Thread<(Device, Vec<Seen>)>>,
    flitting: Thread<Vec<Vec<Seen>>>,
    lookers: Vec<Thread<(&'static str, Shown)>>,
}

/// How many messages each sender has written to each receiver.
pub(crate) type Numbers = BTreeMap<(usize, Receiver), usize>;

impl Crowd {
    /// All sign in, then they begin. Together they write about `posts` messages.
    pub(crate) fn begin(
        door: &Door,
        seed: u64,
        posts: usize,
        numbers: &Numbers,
    ) -> Result<Self, String> {
        let square = Arc::new(Square::default());
        let mut listeners = Vec::new();
        let watches = SENDERS.map(|name| (name, "watch"));
        let phones = [("there", "phone"), ("copies", "phone"), ("copies", "watch")];
        for at in phones.into_iter().chain(watches) {
            let mut client = door.device(at.0, at.1)?;
            match at.1 {
                "watch" => enable_carbons(&mut client)?,
                _ => available(&mut client)?,
            }
            let square = square.clone();
            listeners.push(std::thread::spawn(move || {
                listen(client, at.0, &square).map(|seen| (at, seen))
            }));
        }
        let flitting = {
            let (door, square) = (door.clone(), square.clone());
            std::thread::spawn(move || flit(&door, &square, Dice::new(seed ^ 0xf1)))
        };
        let mut lookers = Vec::new();
        for name in LOOKED_AT {
            let client = door.device(name, "archive")?;
            let square = square.clone();
            lookers.push(std::thread::spawn(move || {
                look_on(client, &square).map(|seen| (name, seen))
            }));
        }
        let mut writers = Vec::new();
        for (from, name) in SENDERS.into_iter().enumerate() {
            let mut writer = Writer {
                client: door.device(name, "desk")?,
                from,
                dice: Dice::new(seed.wrapping_add(from as u64)),
                numbers: numbers.clone(),
                said: Said::default(),
            };
            let square = square.clone();
            writers.push(std::thread::spawn(move || {
                let end = writer.write(&square, posts);
                ended(end, &square).map(|()| writer.said)
            }));
        }
        Ok(Self {
            square,
            writers,
            listeners,
            flitting,
            lookers,
        })
    }

    /// How many messages were written.
    pub(crate) fn posted(&self) -> usize {
        self.square.posted.load(Ordering::Relaxed)
    }

    /// Whether nobody writes any more.
    pub(crate) fn is_silent(&self) -> bool {
        self.writers.iter().all(JoinHandle::is_finished)
    }

    /// From now on it is no fault that a stream ends.
    pub(crate) fn over(&self) {
        self.square.over.store(true, Ordering::SeqCst);
    }

    /// Waits until all have noticed that the server is gone.
    pub(crate) fn end(self) -> Result<Round, String> {
        let mut round = Round::default();
        for writer in self.writers {
            round.said.push(join(writer)?);
        }
        for listener in self.listeners {
            let (at, seen) = join(listener)?;
            round.heard.entry(at).or_default().push(seen);
        }
        for looker in self.lookers {
            let (name, seen) = join(looker)?;
            round.seen.insert(name, seen);
        }
        let sessions = join(self.flitting)?;
        round.heard.insert(("flits", "tablet"), sessions);
        Ok(round)
    }
}

fn join<T>(thread: Thread<T>) -> Result<T, String> {
    thread.join().map_err(|_| "a client panicked")?
}

/// An end that is none of the client's doing is a fault, unless the server is going.
fn ended(end: Result<(), String>, square: &Square) -> Result<(), String> {
    match end {
        Err(fault) if !square.over.load(Ordering::SeqCst) => Err(fault),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// It is, once this returns.
pub(crate) fn available(client: &mut Client) -> Result<(), String> {
    client.send("<presence/>")?;
    ask(client, "here", &ping("here"), |_| Ok(())).map(drop)
}

/// Reads until the stream ends.
fn listen(mut client: Client, name: &str, square: &Square) -> Result<Vec<Seen>, String> {
    let account = bare(name);
    let mut seen = Vec::new();
    loop {
        match client.next(PATIENCE) {
            Ok(stanza) => seen.extend(Seen::read(&stanza, &account)?),
            Err(fault) => return ended(Err(fault), square).map(|()| seen),
        }
    }
}

/// Whose archives are looked at all the time.
const LOOKED_AT: [&str; 3] = ["away", "copies", "flits"];

/// Pages through what comes to an archive. Ids and texts.
fn look_on(mut client: Client, square: &Square) -> Result<Shown, String> {
    let mut seen = Shown::new();
    // From the end of what was there before.
    let last = page(&mut client, "last", &Query::new().max(1).before(""));
    let mut after = last?.entries.pop().map(|entry| entry.id);
    loop {
        let next = match &after {
            Some(id) => Query::new().max(50).after(id),
            None => Query::new().max(50),
        };
        match page(&mut client, "next", &next) {
            Ok(page) => {
                let entries = page.entries.into_iter();
                seen.extend(entries.map(|entry| (entry.id.clone(), entry.body())));
                after = seen.last().map(|(id, _)| id.clone()).or(after);
            }
            Err(fault) => return ended(Err(fault), square).map(|()| seen),
        }
    }
}

/// Comes, takes what there is for a while, and goes in order.
fn flit(door: &Door, square: &Square, mut dice: Dice) -> Result<Vec<Vec<Seen>>, String> {
    let mut sessions = Vec::new();
    let account = bare("flits");
    loop {
        let mut seen = Vec::new();
        let end = visit(door, square, &mut dice, |stanza| {
            seen.extend(Seen::read(&stanza, &account)?);
            Ok(())
        });
        sessions.push(seen);
        ended(end, square)?;
        if square.over.load(Ordering::SeqCst) {
            return Ok(sessions);
        }
    }
}

fn visit(
    door: &Door,
    square: &Square,
    dice: &mut Dice,
    mut each: impl FnMut(Element) -> Result<(), String>,
) -> Result<(), String> {
    let until = square.posted.load(Ordering::Relaxed) + dice.below(400);
    while square.posted.load(Ordering::Relaxed) < until && !square.over.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    let mut client = door.device("flits", "tablet")?;
    client.send("<presence/>")?;
    // Sometimes it goes in the middle of what is owed.
    for number in 0..=dice.below(4) {
        let id = format!("visit{number}");
        ask(&mut client, &id, &ping(&id), &mut each)?;
    }
    client.send("</stream:stream>")?;
    loop {
        match client.next_item(PATIENCE)? {
            Item::Element(stanza) => each(stanza)?,
            Item::Close => return Ok(()),
            Item::Open(header) => {
                return Err(format!("a second header: {header}"));
            }
        }
    }
}

struct Writer {
    client: Client,
    from: usize,
    dice: Dice,
    numbers: Numbers,
    said: Said,
}

impl Writer {
    fn write(&mut self, square: &Square, posts: usize) -> Result<(), String> {
        while square.posted.load(Ordering::Relaxed) < posts {
            let burst = 1 + self.dice.below(40);
            let xml: String = (0..burst).map(|_| self.compose().xml()).collect();
            self.client.send(&xml)?;
            square.posted.fetch_add(burst, Ordering::Relaxed);
            if !self.dice.percent(30) {
                self.look()?;
            }
        }
        self.look()
    }

    fn compose(&mut self) -> Post {
        let to = Receiver::ALL[self.dice.below(Receiver::ALL.len())];
        let number = self.numbers.entry((self.from, to)).or_default();
        *number += 1;
        let kind = match (self.dice.below(20), to.is_there()) {
            (0, true) => Kind::Fleeting,
            (1..4, true) => Kind::Full,
            (4, _) => Kind::Private,
            (5..9, _) => Kind::Normal,
            _ => Kind::Chat,
        };
        let post = Post {
            from: self.from,
            to,
            number: *number,
            kind,
        };
        self.said.posts.push(post);
        post
    }

    /// Asks for something, and waits for the answer.
    fn look(&mut self) -> Result<(), String> {
        let id = format!("look-{}-{}", SENDERS[self.from], self.said.looks.len());
        let about = match self.dice.percent(70) {
            true => About::Ping,
            false => About::Own,
        };
        let request = match about {
            About::Ping => ping(&id),
            About::Own => Query::new().max(1).before("").request(&id),
        };
        self.said.looks.push(Look {
            id: id.clone(),
            about,
            behind: self.said.posts.len(),
            answered: None,
        });
        let strange = &mut self.said.strange;
        ask(&mut self.client, &id, &request, |stanza| {
            // Entries of its own archive.
            let result = stanza.child(MAM, "result");
            if stanza.is(CLIENT, "message") && result.is_none() {
                strange.push(stanza);
            }
            Ok(())
        })?;
        if let Some(look) = self.said.looks.last_mut() {
            look.answered = Some(Instant::now());
        }
        Ok(())
    }
}
