//! Crowds that write to the real server: two and ten at full speed to one who reads, two to one who drips or stops, presence with much
//! in it to hundreds, requests to subscribe as fast as they go; on one shard and across. Who waits, who ends, and what an honest pair
//! beside them notices.
//!
//! What happens is asserted; how fast is measured beside a calm server, in turns, and printed (`--nocapture`). It is judged only where
//! `SPONDEE_TIMED` is set, as in `crowd`.

#![expect(clippy::print_stdout, reason = "figures are there to be read")]

mod valve;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::{CLIENT, Element};
use spec_tests::server::{Server, Setup};
use spondee_core::limits::{FLOW_PATIENCE, Limits};

use self::valve::Valve;
use crate::stage::Outcome;

const PING: &str = "<iq type='get' id='end'><ping xmlns='urn:xmpp:ping'/></iq>";

/// Threads of the server, which are its shards.
const THREADS: [usize; 2] = [1, 4];

/// One scenario at a time: they would be each other's load. Those that wait most of the time do so beside the others, unless it is judged how
/// fast they are served.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_timed() -> bool {
    std::env::var_os("SPONDEE_TIMED").is_some()
}

fn start(names: &[String], threads: usize) -> Result<Server, String> {
    let options =
        format!("threads = {threads}\nlog_level = \"info\"\ndefault_iteration_count = 4096\n");
    let setup = Setup {
        options: &options,
        ..Setup::default()
    };
    let pair = HONEST.map(str::to_owned);
    let users: Vec<String> = names
        .iter()
        .chain(&pair)
        .map(|name| format!("{name}@localhost"))
        .collect();
    let users: Vec<_> = users.iter().map(|user| (user.as_str(), "secret")).collect();
    Server::start_with(&users, setup)
}

/// A client that is signed in and bound, with its full address.
fn session(server: &Server, name: &str) -> Result<(Client, String), String> {
    let trust = server.trust()?;
    let client = Client::session(server.clear, "localhost", &trust, name, "secret")?;
    named(client)
}

fn named(mut client: Client) -> Result<(Client, String), String> {
    client.send(PING)?;
    let answer = client.next(PATIENCE)?;
    let jid = answer.attribute("to").ok_or("an answer to nobody")?;
    Ok((client, jid.to_owned()))
}

fn join<T>(thread: JoinHandle<Result<T, String>>) -> Result<T, String> {
    thread.join().map_err(|_| "a thread panicked".to_owned())?
}

const HONEST: [&str; 2] = ["honest", "faithful"];

/// Two who talk to each other, as people do.
struct Pair {
    one: Client,
    other: Client,
    to: String,
}

impl Pair {
    fn new(server: &Server) -> Result<Self, String> {
        let (one, _) = session(server, HONEST[0])?;
        let (other, to) = session(server, HONEST[1])?;
        Ok(Self { one, other, to })
    }

    /// How long a message takes from one to the other.
    fn say(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        let to = &self.to;
        self.one.send(&format!(
            "<message to='{to}' type='chat'><body>hear</body></message>"
        ))?;
        let (_, body) = self.other.next_body(PATIENCE)?;
        match body.as_str() {
            "hear" => Ok(begun.elapsed()),
            _ => Err(format!("{body} came")),
        }
    }
}

/// What is seen of a server beside a crowd.
struct Beside {
    over: Arc<AtomicBool>,
    before: u64,
    peak: Arc<AtomicU64>,
    pairs: JoinHandle<Result<[Vec<Duration>; 2], String>>,
}

impl Beside {
    fn begin(server: &Server, calm: &Server) -> Result<Self, String> {
        let over = Arc::new(AtomicBool::new(false));
        let peak = Arc::new(AtomicU64::new(0));
        let mut pairs = [Pair::new(server)?, Pair::new(calm)?];
        let before = server.pss_kib()?;
        let end = Arc::clone(&over);
        let pairs = thread::spawn(move || {
            let mut took = [Vec::new(), Vec::new()];
            while !end.load(Ordering::Relaxed) {
                for (pair, took) in pairs.iter_mut().zip(&mut took) {
                    took.push(pair.say()?);
                }
                thread::sleep(Duration::from_millis(5));
            }
            Ok(took)
        });
        Ok(Self {
            over,
            before,
            peak,
            pairs,
        })
    }

    /// Looks at how much memory it takes now.
    fn look(&self, server: &Server) -> Result<u64, String> {
        let now = server.pss_kib()?.saturating_sub(self.before);
        self.peak.fetch_max(now, Ordering::Relaxed);
        Ok(now)
    }

    /// Looks until it holds.
    fn look_until(
        &self,
        server: &Server,
        patience: Duration,
        mut holds: impl FnMut() -> bool,
    ) -> Outcome {
        let deadline = Instant::now() + patience;
        while !holds() {
            self.look(server)?;
            if Instant::now() > deadline {
                return Err("not in time".to_owned());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Tells what was seen. No message between honest people was lost or refused, whatever the crowd did.
    fn end(self, what: &str, server: &Server, most_kib: u64) -> Outcome {
        self.look(server)?;
        self.over.store(true, Ordering::Relaxed);
        let [mut crowded, mut calm] = join(self.pairs)?;
        let peak = self.peak.load(Ordering::Relaxed);
        let (crowded, calm) = (Times::of(&mut crowded), Times::of(&mut calm));
        println!(
            "{what}: an honest pair waits {crowded}, at a calm server {calm}; {peak} KiB more at most"
        );
        assert!(crowded.count > 0);
        assert!(peak < most_kib, "{what}: {peak} KiB");
        if is_timed() {
            let bound = calm.median * 20 + Duration::from_millis(20);
            assert!(crowded.median < bound, "{what}: {crowded}");
        }
        Ok(())
    }
}

/// How long something took.
struct Times {
    count: usize,
    median: Duration,
    most: Duration,
    worst: Duration,
}

impl Times {
    fn of(all: &mut [Duration]) -> Self {
        all.sort();
        let at = |index: usize| all.get(index).copied().unwrap_or_default();
        Self {
            count: all.len(),
            median: at(all.len() / 2),
            most: at(all.len() * 99 / 100),
            worst: at(all.len().saturating_sub(1)),
        }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let Self {
            count,
            median,
            most,
            worst,
        } = self;
        let (median, most, worst) = (ms(*median), ms(*most), ms(*worst));
        write!(
            f,
            "{median:.1} ms, 99 of 100 {most:.1}, {worst:.1} at worst of {count}"
        )
    }
}

/// What a sender saw.
#[derive(Debug, Default)]
struct Poured {
    sent: usize,
    /// The longest that it was not read.
    longest: Duration,
    refused: BTreeMap<String, usize>,
}

impl std::fmt::Display for Poured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            sent,
            longest,
            refused,
        } = self;
        let longest = longest.as_secs_f64();
        write!(
            f,
            "{sent} sent, waited {longest:.1} s at most, refused {refused:?}"
        )
    }
}

/// Sends `piece`, which holds so many, at full speed until `stop` or so often, and hears after each that the server has read it.
fn pour(
    mut client: Client,
    piece: &str,
    holds: usize,
    mut stop: impl FnMut(usize) -> bool,
) -> Result<Poured, String> {
    let mut poured = Poured::default();
    let mut times = 0;
    while !stop(times) {
        times += 1;
        let begun = Instant::now();
        client.send(piece)?;
        client.send(PING)?;
        poured.sent += holds;
        loop {
            let answer = client.next(2 * PATIENCE)?;
            match (answer.attribute("id"), answer.attribute("type")) {
                (Some("end"), _) => break,
                (_, Some("error")) => {
                    let error = answer.child(CLIENT, "error");
                    let condition = error.and_then(Element::condition);
                    let condition = condition.unwrap_or("none").to_owned();
                    *poured.refused.entry(condition).or_default() += 1;
                }
                _ => {}
            }
        }
        poured.longest = poured.longest.max(begun.elapsed());
    }
    Ok(poured)
}

fn message(to: &str) -> String {
    let body = "x".repeat(240);
    format!("<message to='{to}' type='chat'><body>{body}</body></message>")
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// What waits for one session, for an account, and on the ways of all shards, with some for the heap.
fn most_kib() -> u64 {
    let limits = Limits::default();
    let bytes = 2 * limits.account_queue_bytes + 32 * 1024 * 1024;
    bytes as u64 / 1024
}

#[test]
fn who_reads_lives_and_loses_nothing_while_two_and_ten_write_at_full_speed() -> Outcome {
    let _alone = alone();
    const PIECE: usize = 1000;
    for threads in THREADS {
        for senders in [2, 10] {
            let crowd = names("sender", senders);
            let mut users = crowd.clone();
            users.push("juliet".to_owned());
            let (server, calm) = (start(&users, threads)?, start(&[], threads)?);
            let beside = Beside::begin(&server, &calm)?;
            let (mut juliet, to) = session(&server, "juliet")?;
            let piece = message(&to).repeat(PIECE);
            let pieces = 60 / senders;
            let pouring: Vec<_> = crowd
                .iter()
                .map(|name| {
                    let (client, _) = session(&server, name)?;
                    let piece = piece.clone();
                    Ok(thread::spawn(move || {
                        pour(client, &piece, PIECE, |times| times == pieces)
                    }))
                })
                .collect::<Result<_, String>>()?;
            let begun = Instant::now();
            let wanted = senders * pieces * PIECE;
            let reading = thread::spawn(move || juliet.count("</message>", wanted, PATIENCE));
            beside.look_until(&server, 6 * PATIENCE, || reading.is_finished())?;
            assert_eq!(join(reading)?, wanted, "{senders} on {threads} threads");
            let rate = wanted as f64 / begun.elapsed().as_secs_f64();
            let mut longest = Duration::ZERO;
            for poured in pouring {
                let poured = join(poured)?;
                assert_eq!(poured.refused, BTreeMap::new());
                longest = longest.max(poured.longest);
            }
            println!(
                "{senders} senders, {threads} threads: {rate:.0} messages a second, a piece of {PIECE} took {longest:.1?} at most"
            );
            beside.end(
                &format!("{senders} senders, {threads} threads"),
                &server,
                most_kib(),
            )?;
        }
    }
    Ok(())
}

/// Whether the server has ended a session of this account for what it left unread.
fn has_ended(server: &Server, name: &str) -> bool {
    let log = server.log();
    let account = format!("{name}@localhost");
    let mut lines = log.lines();
    lines.any(|line| line.contains(&account) && line.contains("Too much was left unread"))
}

/// `starve` where the server has one thread, and where it has several: beside each other, since both wait.
fn starve_each(what: &str, set: impl Fn(&Valve) + Sync) -> Outcome {
    if is_timed() {
        let _alone = alone();
        return THREADS.iter().try_for_each(|n| starve(what, *n, &set));
    }
    thread::scope(|scope| {
        let set = &set;
        let starving = THREADS.map(|threads| scope.spawn(move || starve(what, threads, set)));
        starving
            .into_iter()
            .try_for_each(|one| one.join().map_err(|_| "a thread panicked")?)
    })
}

/// Two write at full speed to one whose network is as `valve` has it, until it ends; then a second longer.
fn starve(what: &str, threads: usize, set: impl Fn(&Valve)) -> Outcome {
    let users = ["romeo", "nurse", "juliet"].map(str::to_owned);
    let (server, calm) = (start(&users, threads)?, start(&[], threads)?);
    let valve = Valve::to(server.clear)?;
    let trust = server.trust()?;
    let slow = Client::session(valve.address, "localhost", &trust, "juliet", "secret")?;
    let (_slow, to) = named(slow)?;
    let beside = Beside::begin(&server, &calm)?;
    set(&valve);
    let over = Arc::new(AtomicBool::new(false));
    const PIECE: usize = 200;
    let piece = message(&to).repeat(PIECE);
    let pouring: Vec<_> = ["romeo", "nurse"]
        .into_iter()
        .map(|name| {
            let (client, _) = session(&server, name)?;
            let (piece, over) = (piece.clone(), Arc::clone(&over));
            Ok(thread::spawn(move || {
                pour(client, &piece, PIECE, |_| over.load(Ordering::Relaxed))
            }))
        })
        .collect::<Result<_, String>>()?;
    let begun = Instant::now();
    beside.look_until(&server, 3 * PATIENCE, || has_ended(&server, "juliet"))?;
    let ended = begun.elapsed();
    thread::sleep(Duration::from_secs(1));
    over.store(true, Ordering::Relaxed);
    println!("{what}, {threads} threads: ended after {ended:.1?}");
    for poured in pouring {
        let poured = join(poured)?;
        println!("    a sender: {poured}");
        assert!(
            poured
                .refused
                .keys()
                .all(|why| why == "service-unavailable"),
            "{poured}: nobody is refused but for who is gone"
        );
        if is_timed() {
            assert!(poured.longest < FLOW_PATIENCE + Duration::from_secs(2));
        }
    }
    if is_timed() {
        assert!(ended < 2 * FLOW_PATIENCE, "{ended:?}");
    }
    beside.end(&format!("{what}, {threads} threads"), &server, most_kib())
}

#[test]
fn who_takes_a_byte_every_nine_seconds_does_not_read_and_holds_nobody_up_for_long() -> Outcome {
    starve_each("a byte every nine seconds", |valve| {
        valve.drip(1, Duration::from_secs(9));
    })
}

#[test]
fn who_stops_reading_ends_and_holds_nobody_up_for_long() -> Outcome {
    starve_each("a reader that stops", Valve::stop)
}

/// Who takes three times the rate that counts as reading lives, though two could write a thousand times as fast; they wait.
#[test]
fn who_reads_slowly_lives_and_those_who_write_wait() -> Outcome {
    let _alone = is_timed().then(alone);
    const TIME: Duration = Duration::from_secs(25);
    let threads = 2;
    let users = ["romeo", "nurse", "juliet"].map(str::to_owned);
    let (server, calm) = (start(&users, threads)?, start(&[], threads)?);
    let valve = Valve::to(server.clear)?;
    let trust = server.trust()?;
    let slow = Client::session(valve.address, "localhost", &trust, "juliet", "secret")?;
    let (_slow, to) = named(slow)?;
    let beside = Beside::begin(&server, &calm)?;
    valve.drip(12 * 1024, Duration::from_secs(1));
    let over = Arc::new(AtomicBool::new(false));
    let piece = message(&to).repeat(200);
    let pouring: Vec<_> = ["romeo", "nurse"]
        .into_iter()
        .map(|name| {
            let (client, _) = session(&server, name)?;
            let (piece, over) = (piece.clone(), Arc::clone(&over));
            Ok(thread::spawn(move || {
                pour(client, &piece, 200, |_| over.load(Ordering::Relaxed))
            }))
        })
        .collect::<Result<_, String>>()?;
    let end = Instant::now() + TIME;
    beside.look_until(&server, 2 * TIME, || Instant::now() > end)?;
    assert!(!has_ended(&server, "juliet"), "{}", server.log());
    over.store(true, Ordering::Relaxed);
    // Those who wait in the middle of a piece are let go.
    valve.open();
    for poured in pouring {
        let poured = join(poured)?;
        println!("    a sender: {poured}");
        assert_eq!(poured.refused, BTreeMap::new());
    }
    beside.end("12 KiB a second", &server, most_kib())
}

/// Each of 900 is sent presence, and what is said of its end has 250 KB, again and again. A hundred of them are there and read nothing, and
/// each of these could owe eight of them before anybody had to wait for it.
#[test]
fn presence_to_hundreds_is_charged_to_who_tells_it_and_holds_nobody_else_up() -> Outcome {
    let _alone = alone();
    const THERE: usize = 100;
    const TOLD: usize = 900;
    const TIME: Duration = Duration::from_secs(12);
    for threads in THREADS {
        let users = ["romeo", "juliet", "nurse"].map(str::to_owned);
        let (server, calm) = (start(&users, threads)?, start(&[], threads)?);
        let mut deaf = Vec::new();
        for n in 0..THERE {
            deaf.push(session(&server, ["juliet", "nurse"][n % 2])?);
        }
        let beside = Beside::begin(&server, &calm)?;
        let (client, _) = session(&server, "romeo")?;
        let mut piece = String::new();
        for (_, to) in &deaf {
            piece.push_str(&format!("<presence to='{to}'/>"));
        }
        for n in THERE..TOLD {
            piece.push_str(&format!("<presence to='nobody{n}@localhost/x'/>"));
        }
        let status = "x".repeat(250_000);
        piece.push_str(&format!(
            "<presence type='unavailable'><status>{status}</status></presence>"
        ));
        let over = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&over);
        let pouring =
            thread::spawn(move || pour(client, &piece, TOLD, |_| end.load(Ordering::Relaxed)));
        let until = Instant::now() + TIME;
        beside.look_until(&server, 2 * TIME, || Instant::now() > until)?;
        over.store(true, Ordering::Relaxed);
        // When they are gone, nothing is unread.
        drop(deaf);
        let poured = join(pouring)?;
        println!("presence to {TOLD}, {threads} threads: the teller: {poured}");
        assert_eq!(poured.refused, BTreeMap::new());
        // What one account may have unread on each shard, and some for the heap: not as much as a hundred may leave unread.
        let most = threads as u64 * 16 * 1024 + 64 * 1024;
        beside.end(
            &format!("presence to {TOLD}, {threads} threads"),
            &server,
            most,
        )?;
    }
    Ok(())
}

/// A stranger asks and takes it back, a thousand times a second and more; whom it asks is there and reads.
#[test]
fn a_stranger_who_asks_and_takes_it_back_all_the_time_disturbs_nobody() -> Outcome {
    let _alone = alone();
    const TIMES: usize = 20;
    const PIECE: usize = 250;
    for threads in THREADS {
        let users = ["stranger", "juliet"].map(str::to_owned);
        let (server, calm) = (start(&users, threads)?, start(&[], threads)?);
        let (mut juliet, _) = session(&server, "juliet")?;
        juliet.send("<presence/>")?;
        juliet.next(PATIENCE)?;
        let beside = Beside::begin(&server, &calm)?;
        let (client, _) = session(&server, "stranger")?;
        let piece = "<presence type='subscribe' to='juliet@localhost'/>\
                     <presence type='unsubscribe' to='juliet@localhost'/>"
            .repeat(PIECE);
        let begun = Instant::now();
        let pouring =
            thread::spawn(move || pour(client, &piece, 2 * PIECE, |times| times == TIMES));
        beside.look_until(&server, 6 * PATIENCE, || pouring.is_finished())?;
        let poured = join(pouring)?;
        let rate = poured.sent as f64 / begun.elapsed().as_secs_f64();
        println!(
            "asking and taking it back, {threads} threads: {rate:.0} a second; the stranger: {poured}"
        );
        // She is there, and served.
        juliet.send(PING)?;
        let mut asked = 0;
        while juliet.next(PATIENCE)?.attribute("id") != Some("end") {
            asked += 1;
        }
        println!("    she was asked {asked} times");
        assert!(asked > 0);
        assert!(!has_ended(&server, "juliet"));
        beside.end(&format!("asking, {threads} threads"), &server, most_kib())?;
    }
    Ok(())
}
