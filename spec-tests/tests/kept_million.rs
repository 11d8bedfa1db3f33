//! An account with thousands of contacts and a million messages (fewer, where somebody waits for it): what is asked for is found, and as
//! much is read for it as if there were a thousand. The figures are shown by `--nocapture`.

#![expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use spec_tests::client::{Client, PATIENCE};
use spec_tests::kept::{Door, Entry, IN_CLEAR, MAM, Page, Query, ask, forwards, page, ping_of};
use spec_tests::server::{Scratch, Server};
use spondee_shell_common::store::FILE_NAME;

type Outcome = Result<(), String>;

/// Messages that were really sent; all others are copies of them at other times.
const SENT: usize = 1000;
const CONTACTS: usize = 5000;
/// Who sent one of a hundred, and all others.
const RARE: &str = "tybalt@localhost";
const OFTEN: &str = "romeo@localhost";
const DAY: i64 = 86_400_000_000;

fn messages() -> usize {
    match std::env::var_os("SPONDEE_LONG") {
        Some(_) => 1_000_000,
        None => 20_000,
    }
}

fn options(host: &str) -> String {
    format!("default_iteration_count = 4096\n{IN_CLEAR}{host}")
}

/// Bytes that the server has read from files.
fn bytes_read(server: &Server) -> Result<u64, String> {
    let path = format!("/proc/{}/io", server.id());
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let count = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    count
        .and_then(|count| count.parse().ok())
        .ok_or_else(|| format!("{path}: no rchar"))
}

/// As a database has it.
fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// juliet's archive over a year, oldest first, and where its messages are in time.
struct Year {
    first: i64,
    step: i64,
    count: usize,
}

impl Year {
    fn key(&self, number: usize) -> i64 {
        self.first + size(number) * self.step
    }

    /// What a message says.
    const fn text(number: usize) -> usize {
        number % SENT
    }
}

/// Really sends a few messages, in the course of a session.
fn send(server: &Server) -> Outcome {
    let door = Door::of(server)?;
    let mut rare = door.device("tybalt", "x")?;
    let mut often = door.device("romeo", "x")?;
    let filler = "x".repeat(160);
    for number in 0..SENT {
        let client = if number % 100 == 50 {
            &mut rare
        } else {
            &mut often
        };
        let body = format!("<body>text {number} {filler}</body>");
        let thread =
            "<thread>4b1e3b1c</thread><active xmlns='http://jabber.org/protocol/chatstates'/>";
        client.send(&format!(
            "<message type='chat' to='juliet@localhost' id='{number}'>{body}{thread}</message>"
        ))?;
        settle(client)?;
    }
    // So that nothing is owed any more.
    let mut juliet = door.device("juliet", "x")?;
    juliet.send("<presence/>")?;
    for _ in 0..SENT {
        juliet.next_body(PATIENCE)?;
    }
    juliet.close()
}

/// Waits until juliet's account has it.
fn settle(client: &mut Client) -> Outcome {
    let request = ping_of("juliet@localhost", "settled");
    ask(client, "settled", &request, |stanza| {
        Err(format!("refused: {stanza}"))
    })
    .map(drop)
}

/// Makes a year of what was sent, and contacts.
fn multiply(database: &mut Connection, count: usize) -> rusqlite::Result<Year> {
    let now: i64 = database.query_row("SELECT unixepoch()", [], |row| row.get(0))?;
    let wanted = size(count);
    let year = Year {
        first: now * 1_000_000 - 365 * DAY,
        step: 364 * DAY / wanted,
        count,
    };
    let owner: i64 = database.query_row(
        "SELECT id FROM owner WHERE jid = 'juliet@localhost'",
        [],
        |row| row.get(0),
    )?;
    let transaction = database.transaction()?;
    transaction.execute(
        "CREATE TEMP TABLE sent AS SELECT row_number() OVER (ORDER BY key) - 1 AS number, tag, peer, resource, xml
            FROM archive WHERE owner = ?",
        [owner],
    )?;
    transaction.execute("CREATE UNIQUE INDEX temp.sent_number ON sent (number)", [])?;
    transaction.execute("DELETE FROM archive WHERE owner = ?", [owner])?;
    transaction.execute("DELETE FROM archive_day WHERE owner = ?", [owner])?;
    transaction.execute(
        "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < ?2)
            INSERT INTO archive (owner, key, tag, peer, resource, kept, xml)
            SELECT ?1, ?3 + n * ?4, tag, peer, resource, 1, xml FROM n JOIN sent ON sent.number = n % ?5",
        params![owner, wanted, year.first, year.step, size(SENT)],
    )?;
    transaction.execute(
        "INSERT INTO archive_day (owner, tag, day)
            SELECT DISTINCT owner, tag, key / ?2 FROM archive WHERE owner = ?1",
        params![owner, DAY],
    )?;
    transaction.execute(
        "UPDATE spool SET messages = ?2, last = ?3, done = ?3,
            bytes = (SELECT sum(length(xml)) FROM archive WHERE owner = ?1) WHERE owner = ?1",
        params![owner, wanted, year.key(count - 1)],
    )?;
    transaction.execute(
        "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < ?2)
            INSERT INTO roster (owner, contact, name, subscription)
            SELECT ?1, 'contact' || n || '@far.example', 'Contact ' || n, 'none' FROM n",
        params![owner, size(CONTACTS)],
    )?;
    transaction.execute(
        "INSERT INTO roster_version (owner, version) VALUES (?, 1)",
        [owner],
    )?;
    transaction.commit()?;
    Ok(year)
}

/// As XEP-0082 writes it.
fn stamp(database: &Connection, key: i64) -> rusqlite::Result<String> {
    database.query_row(
        "SELECT strftime('%Y-%m-%dT%H:%M:%S', ?1 / 1000000, 'unixepoch') || printf('.%06dZ', ?1 % 1000000)",
        [key],
        |row| row.get(0),
    )
}

/// The messages of a page, as `Year` numbers their texts.
fn texts(entries: &[Entry]) -> Result<Vec<usize>, String> {
    let text = |entry: &Entry| entry.body().split(' ').nth(1)?.parse().ok();
    let texts: Option<_> = entries.iter().map(text).collect();
    texts.ok_or_else(|| "a page with other texts".to_owned())
}

fn wanted(page: &Page, wanted: &[usize]) -> Outcome {
    let came = texts(&page.entries)?;
    match came == wanted {
        true => Ok(()),
        false => Err(format!("{came:?} came, not {wanted:?}")),
    }
}

/// A server over what was multiplied.
fn with_a_year(host_options: &str) -> Result<(Server, Year, Connection), String> {
    let fault = |e: rusqlite::Error| e.to_string();
    let scratch = Scratch::new().map_err(|e| e.to_string())?;
    let prepared = Server::prepare(scratch, &options(host_options))?;
    let program = Command::new(prepared.binary());
    let mut server = prepared.begin(program)?;
    for name in ["romeo", "juliet", "tybalt"] {
        server.add_user(&format!("{name}@localhost"), "secret")?;
    }
    send(&server)?;
    server.stop()?;
    let mut database = Connection::open(server.data().join(FILE_NAME)).map_err(fault)?;
    let begun = Instant::now();
    let year = multiply(&mut database, messages()).map_err(fault)?;
    println!("{} messages made in {:.1?}", year.count, begun.elapsed());
    server.start_again()?;
    Ok((server, year, database))
}

/// How often the same is asked for, at other places.
const TIMES: usize = 20;

/// Where questions are about: from a tenth of the year on.
struct Places {
    year: Year,
    stamps: Vec<String>,
    /// Of the message 25 behind each place.
    ids: Vec<String>,
}

/// What is asked for, in words; and of each place, how and what must come.
type Question = (
    &'static str,
    Box<dyn Fn(&Places, usize) -> (Query, Vec<usize>)>,
);

impl Places {
    fn new(year: Year, database: &Connection, client: &mut Client) -> Result<Self, String> {
        let mut places = Self {
            year,
            stamps: Vec::new(),
            ids: Vec::new(),
        };
        for time in 0..TIMES {
            let stamp = stamp(database, places.year.key(places.at(time)));
            let stamp = stamp.map_err(|e| e.to_string())?;
            let query = Query::new().field("start", &[&stamp]).max(26);
            let page = page(client, "places", &query)?;
            let last = page.entries.last().ok_or("nothing there")?;
            places.ids.push(last.id.clone());
            places.stamps.push(stamp);
        }
        Ok(places)
    }

    const fn at(&self, time: usize) -> usize {
        self.year.count / 10 + time * (self.year.count / 25)
    }

    fn texts(range: impl Iterator<Item = usize>) -> Vec<usize> {
        range.map(Year::text).collect()
    }

    /// Those of who wrote little from here on, or of who wrote much.
    fn of(&self, from: usize, rare: &str) -> Vec<usize> {
        let of = (from..self.year.count).filter(|number| (number % 100 == 50) == (rare == RARE));
        Self::texts(of.take(50))
    }
}

fn by_place() -> Vec<Question> {
    let fifty = || Query::new().max(50);
    vec![
        (
            "50 from a time on",
            Box::new(move |places, time| {
                let at = places.at(time);
                let query = fifty().field("start", &[&places.stamps[time]]);
                (query, Places::texts(at..at + 50))
            }),
        ),
        (
            "50 up to a time",
            Box::new(move |places, time| {
                let at = places.at(time);
                let query = fifty().field("end", &[&places.stamps[time]]).before("");
                (query, Places::texts(at - 49..=at))
            }),
        ),
        (
            "50 behind one",
            Box::new(move |places, time| {
                let at = places.at(time);
                let query = fifty().after(&places.ids[time]);
                (query, Places::texts(at + 26..at + 76))
            }),
        ),
        (
            "50 in front of one",
            Box::new(move |places, time| {
                let at = places.at(time);
                let query = fifty().before(&places.ids[time]);
                (query, Places::texts(at - 25..at + 25))
            }),
        ),
        (
            "the last 50",
            Box::new(move |places, _| {
                let count = places.year.count;
                (fifty().before(""), Places::texts(count - 50..count))
            }),
        ),
        (
            "20 by number",
            Box::new(move |places, _| {
                let ids: Vec<&str> = places.ids.iter().map(String::as_str).collect();
                let texts = (0..TIMES).map(|time| places.at(time) + 25);
                (fifty().field("ids", &ids), Places::texts(texts))
            }),
        ),
    ]
}

fn by_contact() -> Vec<Question> {
    let with = |who: &str| Query::new().max(50).field("with", &[who]);
    vec![
        (
            "the last 50 of one of a hundred",
            Box::new(move |places, _| {
                let texts = places.of(places.year.count - 5000, RARE);
                (with(RARE).before(""), texts)
            }),
        ),
        (
            "50 of it from a time on",
            Box::new(move |places, time| {
                let query = with(RARE).field("start", &[&places.stamps[time]]);
                (query, places.of(places.at(time), RARE))
            }),
        ),
        (
            "50 of nearly all from a time on",
            Box::new(move |places, time| {
                let query = with(OFTEN).field("start", &[&places.stamps[time]]);
                (query, places.of(places.at(time), OFTEN))
            }),
        ),
        (
            "of somebody who never wrote",
            Box::new(move |_, _| (with("nobody@far.example"), Vec::new())),
        ),
    ]
}

/// A page from anywhere takes the same: what is in it, and the way there.
#[test]
fn pages_of_a_year_are_found_by_number_contact_and_time() -> Outcome {
    let (server, year, database) = with_a_year("archive_expires_after = \"never\"\n")?;
    let begun = (bytes_read(&server)?, Instant::now());
    let mut client = Door::of(&server)?.device("juliet", "x")?;
    let roster = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>";
    let roster = ask(&mut client, "roster", roster, |_| Ok(()))?;
    let contacts = roster.children().next();
    let contacts = contacts.map(|query| query.children().count());
    assert_eq!(contacts, Some(CONTACTS));
    let read = (bytes_read(&server)? - begun.0) / 1024;
    let took = begun.1.elapsed();
    println!("signed in with {CONTACTS} contacts: {read} KiB read, {took:.1?}");

    let places = Places::new(year, &database, &mut client)?;
    for (what, question) in by_place().into_iter().chain(by_contact()) {
        let begun = bytes_read(&server)?;
        let (mut all, mut worst) = (Duration::ZERO, Duration::ZERO);
        for time in 0..TIMES {
            let (query, texts) = question(&places, time);
            let asked = Instant::now();
            let page = page(&mut client, "q", &query)?;
            all += asked.elapsed();
            worst = worst.max(asked.elapsed());
            wanted(&page, &texts).map_err(|fault| format!("{what}, {time}: {fault}"))?;
        }
        let read = (bytes_read(&server)? - begun) / TIMES as u64 / 1024;
        let mean = all / 20;
        println!("{what:32} {read:6} KiB read, {mean:9.1?}, at most {worst:9.1?}");
        // All of a million are an index of dozens of megabytes.
        assert!(read < 2048, "{what}: {read} KiB");
    }
    Ok(())
}

fn oldest(client: &mut Client) -> Result<String, String> {
    let request = format!("<iq type='get' id='ends'><metadata xmlns='{MAM}'/></iq>");
    let answer = ask(client, "ends", &request, |_| Ok(()))?;
    let ends = answer.child(MAM, "metadata");
    let start = ends.and_then(|ends| ends.child(MAM, "start"));
    let stamp = start.and_then(|start| start.attribute("timestamp"));
    stamp
        .map(str::to_owned)
        .ok_or_else(|| format!("no start: {answer}"))
}

/// While half of it goes, what is written is on the disk as soon as ever, and nothing goes that is to stay.
#[test]
fn the_old_half_goes_in_steps_and_nobody_waits_for_them() -> Outcome {
    let fault = |e: rusqlite::Error| e.to_string();
    // It takes minutes, however few there are: what is too much goes when nobody else has anything for the disk.
    if std::env::var_os("SPONDEE_LONG").is_none() {
        return Ok(());
    }
    let half = messages() / 2;
    let bounds = format!("archive_expires_after = \"never\"\narchive_max_messages = {half}\n");
    let (server, year, database) = with_a_year(&bounds)?;
    let door = Door::of(&server)?;
    let mut juliet = door.device("juliet", "x")?;
    juliet.send("<presence/>")?;
    let mut romeo = door.device("romeo", "y")?;
    // It goes, too: there is at least one new message when they are counted.
    let goes = stamp(&database, year.key(half)).map_err(fault)?;
    let mut waits = Vec::new();
    let begun = Instant::now();
    while oldest(&mut juliet)? <= goes {
        if begun.elapsed() > Duration::from_secs(300) {
            return Err(format!("{} is still there", oldest(&mut juliet)?));
        }
        let written = Instant::now();
        romeo.send(&format!(
            "<message type='chat' to='juliet@localhost' id='{0}'><body>new {0}</body></message>",
            waits.len()
        ))?;
        settle(&mut romeo)?;
        // What is read is behind it.
        oldest(&mut juliet)?;
        waits.push(written.elapsed());
    }
    let took = begun.elapsed();
    let new = waits.len();
    waits.sort_unstable();
    let at = |share: usize| waits.get(new * share / 1000).copied().unwrap_or_default();
    println!(
        "half of {} gone in {took:.1?}; {new} written meanwhile: on the disk in {:.1?} (half), {:.1?} (99 %), {:.1?} (at most)",
        year.count,
        at(500),
        at(990),
        waits.last().copied().unwrap_or_default()
    );
    let (left, _) = forwards(&mut juliet, None, &Query::new().max(256))?;
    let old = left
        .len()
        .checked_sub(new)
        .ok_or("what was written meanwhile is gone")?;
    let (old, fresh) = left.split_at(old);
    let first = year
        .count
        .checked_sub(old.len())
        .ok_or("more than there was")?;
    assert!(
        (half - half / 50..=half + half / 50).contains(&first),
        "{first} gone"
    );
    let page = Page {
        entries: old.to_vec(),
        ..Page::default()
    };
    wanted(&page, &Places::texts(first..year.count))?;
    assert_eq!(fresh.len(), new);
    Ok(())
}
