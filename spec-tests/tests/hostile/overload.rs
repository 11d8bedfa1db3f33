//! More changes of rosters than the disk takes: a crowd that asks for the next as soon as one is answered, with many under way, and an
//! honest client beside it. At the height of it the server is killed.
//!
//! With `SPONDEE_LONG` it is 200 clients for a minute. Figures are shown by `--nocapture`; how fast it was is not judged.

#![expect(clippy::print_stdout, reason = "figures are there to be read")]

mod book;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use spec_tests::client::{Client, PATIENCE};
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server};
use spec_tests::strace;

use self::book::{Book, MAX_CONTACTS, Pushes};
use crate::crowd::{ping, session};
use crate::stage::Outcome;

/// Requests under way for each client.
const WINDOW: usize = 16;

/// How long a sync takes where the disk is slow: a busy hard disk, or a volume in a network.
const SLOW: Duration = Duration::from_millis(50);

/// Commands at a time that add accounts.
const COMMANDS: usize = 4;

/// What the server may need for work that is under way: the caches and the log of its database.
const WORK_KIB: u64 = 12 * 1024;

/// And for each client of the crowd, whose requests are small.
const CLIENT_KIB: u64 = 32;

/// How much more it may take in the second half of a minute, when everything has been there once. In a few seconds it has not: caches are
/// still filling.
const GROWTH_KIB: u64 = 4 * 1024;

/// A run as long as this has a second half.
const SETTLED: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
struct Extent {
    clients: usize,
    time: Duration,
    /// Between two changes of the honest client.
    beat: Duration,
}

impl Extent {
    fn of_this_run() -> Self {
        match std::env::var_os("SPONDEE_LONG") {
            Some(_) => Self {
                clients: 200,
                time: Duration::from_secs(60),
                beat: Duration::from_secs(1),
            },
            None => Self {
                clients: 40,
                time: Duration::from_secs(4),
                beat: Duration::from_millis(200),
            },
        }
    }
}

/// What all threads know.
#[derive(Debug, Default)]
struct Height {
    answered: AtomicUsize,
    /// From now on connections may break.
    over: AtomicBool,
}

impl Height {
    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

fn user(number: usize) -> String {
    format!("user{number}")
}

const HONEST: &str = "honest";

/// A server with the accounts of the crowd and the honest one.
fn start(clients: usize, command: impl FnOnce(Command) -> Command) -> Result<Server, String> {
    let options = format!("default_iteration_count = 4096\nroster_max_contacts = {MAX_CONTACTS}\n");
    let scratch = Scratch::new().map_err(|e| e.to_string())?;
    let prepared = Server::prepare(scratch, &options)?;
    let program = Command::new(prepared.binary());
    let server = prepared.begin(command(program))?;
    let users: Vec<_> = (0..clients).map(user).chain([HONEST.to_owned()]).collect();
    thread::scope(|scope| {
        let add = |some: &[String]| {
            let mut some = some.iter();
            some.try_for_each(|user| server.add_user(&format!("{user}@localhost"), "secret"))
        };
        let parts = users.chunks(users.len().div_ceil(COMMANDS));
        let adding: Vec<_> = parts.map(|some| scope.spawn(move || add(some))).collect();
        adding
            .into_iter()
            .try_for_each(|adding| adding.join().map_err(|_| "adding panicked")?)
    })?;
    Ok(server)
}

/// Asks for a roster, and hears of its changes from then on.
fn get(client: &mut Client) -> Result<book::Roster, String> {
    client.send("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")?;
    book::read(&client.next(PATIENCE)?)
}

/// What a client has in its book when it can go on no more: at the end nothing else is to be expected, before it is a fault.
fn ended(went: Outcome, height: &Height) -> Outcome {
    match went {
        Err(fault) if !height.is_over() => Err(fault),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// One of the crowd, until the server is gone.
fn press(mut client: Client, mut book: Book, height: &Height) -> Result<Book, String> {
    let mut go = || {
        for _ in 0..WINDOW {
            client.send(&book.ask())?;
        }
        loop {
            if book.hear(&client.next(PATIENCE)?)? {
                height.answered.fetch_add(1, Ordering::Relaxed);
                client.send(&book.ask())?;
            }
        }
    };
    ended(go(), height)?;
    Ok(book)
}

/// What the honest client waited for.
#[derive(Debug, Default)]
struct Waited {
    changes: Vec<Duration>,
    pings: Vec<Duration>,
}

/// One that changes its roster now and then, until the server is gone.
fn live(
    mut client: Client,
    mut book: Book,
    height: &Height,
    beat: Duration,
) -> Result<(Book, Waited), String> {
    let mut waited = Waited::default();
    let mut go = || {
        loop {
            let begun = Instant::now();
            client.send(&book.ask())?;
            book.hear(&client.next(PATIENCE)?)?;
            waited.changes.push(begun.elapsed());
            waited.pings.push(ping(&mut client)?);
            thread::sleep(beat);
        }
    };
    ended(go(), height)?;
    Ok((book, waited))
}

/// The median and the worst, in milliseconds.
fn summary(waited: &mut [Duration]) -> String {
    waited.sort();
    let ms = |time: Option<&Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    let (median, worst) = (waited.get(waited.len() / 2), waited.last());
    let count = waited.len();
    format!("{:.1} ms, at worst {:.1} of {count}", ms(median), ms(worst))
}

fn join<T>(thread: JoinHandle<Result<T, String>>) -> Result<T, String> {
    thread.join().map_err(|_| "a client panicked".to_owned())?
}

/// Lets the crowd press for this long, kills the server at the height of it, and compares what it kept with what it answered.
fn press_and_kill(mut server: Server, extent: Extent) -> Outcome {
    let height = Arc::new(Height::default());
    let mut clients = Vec::new();
    for number in 0..extent.clients {
        let mut client = session(&server, &user(number))?;
        let pushes = match number % 2 {
            0 => Pushes::None,
            _ => get(&mut client).map(|_| Pushes::Of(None))?,
        };
        clients.push((client, Book::new(number as u64, pushes)));
    }
    let honest = session(&server, HONEST)?;
    let before = server.pss_kib()?;

    let crowd: Vec<_> = clients
        .into_iter()
        .map(|(client, book)| {
            let height = Arc::clone(&height);
            thread::spawn(move || press(client, book, &height))
        })
        .collect();
    let honest = {
        let height = Arc::clone(&height);
        let book = Book::new(u64::MAX, Pushes::None);
        thread::spawn(move || live(honest, book, &height, extent.beat))
    };
    thread::sleep(extent.time / 2);
    let (first, middle) = (height.answered(), server.pss_kib()?);
    thread::sleep(extent.time / 2);
    let (all, after) = (height.answered(), server.pss_kib()?);
    height.over.store(true, Ordering::SeqCst);
    server.kill()?;

    let books: Vec<Book> = crowd.into_iter().map(join).collect::<Result<_, _>>()?;
    let (honest, mut waited) = join(honest)?;
    let half = extent.time.as_secs_f64() / 2.0;
    println!(
        "{} clients: {:.0} answers a second, then {:.0}; {}",
        extent.clients,
        first as f64 / half,
        (all - first) as f64 / half,
        outcomes(&books),
    );
    println!(
        "the honest client waits for a change {}; for a ping {}",
        summary(&mut waited.changes),
        summary(&mut waited.pings)
    );
    println!("PSS {before} KiB before, {middle} in the middle, {after} at the end");
    let least = books.iter().map(|book| book.done).min();
    assert!(least > Some(0), "somebody got nothing done");
    assert!(honest.done > 0);
    let most = before + WORK_KIB + CLIENT_KIB * extent.clients as u64;
    assert!(
        middle < most && after < most,
        "{middle}, {after} KiB, not {most}"
    );
    if extent.time >= SETTLED {
        assert!(after < middle + GROWTH_KIB, "{middle}, then {after} KiB");
    }

    server.start_again()?;
    let users = (0..extent.clients).map(user).chain([HONEST.to_owned()]);
    let mut ahead = 0;
    for (user, book) in users.zip(books.iter().chain([&honest])) {
        let found = get(&mut session(&server, &user)?)?;
        let found = book.judge(&found);
        ahead += found.map_err(|fault| format!("{user}: {fault}"))?;
    }
    println!("after the kill all of it is there, and {ahead} changes that were not answered");
    Ok(())
}

/// How many were done, and refused by condition.
fn outcomes(books: &[Book]) -> String {
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for (condition, count) in books.iter().flat_map(|book| &book.refused) {
        *refused.entry(condition).or_default() += count;
    }
    let done: usize = books.iter().map(|book| book.done).sum();
    format!("{done} done, refused {refused:?}")
}

#[test]
fn what_is_answered_at_the_height_of_an_overload_is_there_after_a_sigkill() -> Outcome {
    let extent = Extent::of_this_run();
    press_and_kill(start(extent.clients, |program| program)?, extent)
}

/// The same where each sync takes long.
#[test]
fn the_same_holds_on_a_slow_disk() -> Outcome {
    if left_out("an overload of a slow disk, which needs strace") {
        return Ok(());
    }
    let extent = Extent::of_this_run();
    let slow = format!("fsync,fdatasync:delay_enter={}", SLOW.as_micros());
    let server = start(extent.clients, |program| {
        let mut command = strace::failing(&slow);
        command.arg(program.get_program());
        command
    })?;
    press_and_kill(server, extent)
}
