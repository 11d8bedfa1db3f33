//! One account with thousands of contacts and a million messages of a year: what its sign-in costs, and a page from anywhere in its
//! archive.
//!
//! To send as many would take an hour, so they are written into the database of a server that does not run. What is asked goes over the
//! wire, and each page must hold exactly the messages that it should.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spondee_core::archive::{ARCHIVE, Spool};
use spondee_core::jid::BareJid;
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::store::{Batch, Class, Entry, Expect, Field, Kept, Op, Payload, Row, Table};
use spondee_core::time::{parse_xep0082, to_xep0082};
use spondee_shell_common::store::{Backend, History, Quiet, Tended, open_sqlite};

use super::arrive::arrive;
use super::client::Security;
use super::crowd::Crowd;
use super::pages::{PAGE, numbers, query};
use super::report::Figure;
use super::target::{Progress, Running, Scenario, Stopwatch, Target};
use crate::scenarios::{HOST, RESOURCE, content, numbered_message};
use crate::scram::Account;

/// With whom the messages are, in turn.
const PEERS: usize = 100;
/// From the first message to the last.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// In one batch.
const BATCH: usize = 500;
/// Beside the database when it is filled.
const MARK: &str = "filled";

/// See the module.
#[derive(Debug)]
pub struct Big {
    /// Whose account it is.
    pub account: usize,
    /// How many it has.
    pub contacts: usize,
    /// In its archive.
    pub messages: usize,
    /// What is measured.
    pub ask: Ask,
    /// How often.
    pub count: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ask {
    /// Its session, its roster, and that it is there.
    SignIn,
    /// A page behind a message in the middle, and the next one.
    Middle,
    /// A page from some time on.
    Time,
    /// A page of one contact from some time on.
    Contact,
    /// A page of somebody whose messages it does not have.
    Stranger,
}

impl Scenario for Big {
    fn name(&self) -> &'static str {
        match self.ask {
            Ask::SignIn => "big-signin",
            Ask::Middle => "big-middle",
            Ask::Time => "big-time",
            Ask::Contact => "big-contact",
            Ask::Stranger => "big-stranger",
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn is_apart(&self) -> bool {
        true
    }

    fn is_for(&self, target: &dyn Target) -> bool {
        target.data_directory().is_some()
    }

    fn prepare(
        &self,
        target: &dyn Target,
        accounts: &[Account],
        progress: &Progress,
    ) -> Result<(), String> {
        let directory = target.data_directory().ok_or("it has no such database")?;
        let mark = directory.join(MARK);
        if mark.exists() {
            return Ok(());
        }
        progress.say(&format!("writing {} messages", self.messages));
        let name = accounts[self.account].name();
        self.fill(&directory, name)?;
        std::fs::write(mark, "").map_err(|e| e.to_string())
    }

    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let mut crowd = Crowd::new(accounts, running, self.security())?;
        match self.ask {
            Ask::SignIn => self.sign_in(&mut crowd, running, progress),
            Ask::Middle | Ask::Time | Ask::Contact | Ask::Stranger => {
                self.page(&mut crowd, running)
            }
        }
    }
}

impl Big {
    /// From one message to the next, in microseconds.
    fn step(&self) -> i64 {
        let messages = u128::try_from(self.messages.max(1)).unwrap_or(1);
        i64::try_from(YEAR.as_micros() / messages).unwrap_or(i64::MAX)
    }

    /// Writes all of it.
    fn fill(&self, directory: &Path, name: &str) -> Result<(), String> {
        let mut sqlite = open_sqlite(directory, History::Unknown)?;
        let owner = BareJid::parse(&format!("{name}@{HOST}")).map_err(|e| e.to_string())?;
        let mut write = |class, ops| {
            let batch = Batch {
                owner: owner.clone(),
                tenure: 0,
                class,
                ops,
            };
            for outcome in sqlite.apply(&[batch]) {
                outcome.map_err(|e| format!("{e:?}"))?;
            }
            sqlite.tend(Quiet::No);
            Ok::<_, String>(())
        };
        for some in contacts(self.contacts).chunks(BATCH) {
            write(Class::Change, some.to_vec())?;
        }
        let version = put(&ROSTER_VERSION, Row(vec![Field::Int(7)]));
        write(Class::Change, vec![version])?;
        let begins = begin();
        let numbers: Vec<usize> = (0..self.messages).collect();
        let mut spool = Spool::default();
        for some in numbers.chunks(BATCH) {
            let entries: Vec<Entry> = some
                .iter()
                .map(|number| entry(&owner, *number, self.at(begins, *number)))
                .collect();
            for entry in &entries {
                spool.messages += 1;
                spool.bytes += u64::try_from(entry.payload.len()).unwrap_or(0);
                spool.last = Some(entry.key);
            }
            write(
                Class::Append,
                vec![Op::Append {
                    log: ARCHIVE,
                    entries,
                }],
            )?;
        }
        spool.done = spool.last;
        write(Class::Change, vec![spool.put()])?;
        while sqlite.tend(Quiet::Yes) == Tended::More {}
        Ok(())
    }

    /// When a message came.
    fn at(&self, begins: i64, number: usize) -> i64 {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        begins.saturating_add(self.step().saturating_mul(number))
    }

    fn sign_in(
        &self,
        crowd: &mut Crowd<'_>,
        running: &Running,
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let mut once = |n: usize| {
            let at = Instant::now();
            let resource = format!("{RESOURCE}{n}");
            let seats = crowd.sign_in([(self.account, resource)], 1)?;
            arrive(crowd, &seats, &[], Some(self.contacts))?;
            let took = at.elapsed();
            crowd.leave()?;
            Ok::<_, String>(took)
        };
        // A server that has just begun asks its store for what accounts lack: that is none of the sign-in's.
        running.settle();
        let before = running.counters()?;
        let first = once(0)?;
        let counted = running.counters()?.since(&before);
        progress.say("it has been there");
        let watch = Stopwatch::start(running);
        let mut times = Vec::new();
        for n in 1..=self.count {
            times.push(once(n)?);
        }
        let mut figures = watch.stop(self.count);
        figures.push(Figure::new("ms of the first", ms(first)));
        figures.extend(spread(times));
        for (name, counter) in [
            ("loads of the first", "loads"),
            ("reads of the first", "store_reads"),
        ] {
            let count = counted.get(counter).map(|count| count as f64);
            figures.extend(count.map(|count| Figure::new(name, count)));
        }
        Ok(figures)
    }

    fn page(&self, crowd: &mut Crowd<'_>, running: &Running) -> Result<Vec<Figure>, String> {
        let seats = crowd.sign_in([(self.account, RESOURCE.to_owned())], 1)?;
        let seat = seats.first().copied().ok_or("nobody is there")?;
        let begins = self.begins(crowd, seat)?;
        // The account is in memory before anything is measured; of this page only the middle one needs something.
        let middle = self.at(begins, self.messages / 2);
        let (_, mut behind) = ask(crowd, seat, &form(&field("start", &stamp(middle))), "")?;
        let before = running.counters()?;
        let watch = Stopwatch::start(running);
        let mut times = Vec::new();
        let mut next = self.messages / 2 + PAGE;
        for n in 0..self.count {
            let from = n * 7919 % (self.messages - PAGE * PEERS);
            let start = field("start", &stamp(self.at(begins, from)));
            let with = field("with", &peer(n % PEERS));
            let at = Instant::now();
            let (got, wanted): (_, Vec<usize>) = match self.ask {
                Ask::Middle => {
                    let (got, last) = ask(crowd, seat, "", &format!("<after>{behind}</after>"))?;
                    behind = last;
                    next += PAGE;
                    (got, (next - PAGE..next).collect())
                }
                Ask::Time => {
                    let (got, _) = ask(crowd, seat, &form(&start), "")?;
                    (got, (from..from + PAGE).collect())
                }
                Ask::Contact => {
                    let (got, _) = ask(crowd, seat, &form(&(with + &start)), "")?;
                    let of_peer = |number: &usize| number % PEERS == n % PEERS;
                    (got, (from..).filter(of_peer).take(PAGE).collect())
                }
                Ask::Stranger | Ask::SignIn => {
                    let with = field("with", &peer(PEERS + n));
                    (ask(crowd, seat, &form(&with), "")?.0, Vec::new())
                }
            };
            times.push(at.elapsed());
            if got != wanted {
                return Err(format!("messages {got:?}, not {wanted:?}"));
            }
        }
        let mut figures = watch.stop(self.count);
        figures.extend(spread(times));
        let counted = running.counters()?.since(&before);
        if let Some(reads) = counted.get("store_reads") {
            let each = reads as f64 / self.count as f64;
            figures.push(Figure::new("store reads each", each));
        }
        crowd.leave()?;
        Ok(figures)
    }

    /// When the archive begins, as its first page says.
    fn begins(&self, crowd: &mut Crowd<'_>, seat: usize) -> Result<i64, String> {
        let client = crowd.client(seat);
        client.send(&query("", "<max>1</max>"))?;
        let page = answer(crowd)?;
        let at = page.split_once("stamp='").map(|(_, rest)| rest);
        let stamp = at.and_then(|rest| rest.split_once('\''));
        let (stamp, _) = stamp.ok_or("no message is there")?;
        if numbers(page.as_bytes())? != [0] {
            return Err("the first message is not the first".to_owned());
        }
        parse_xep0082(stamp).ok_or_else(|| format!("{stamp} is no time"))
    }
}

/// The numbers of the messages on a page, and the id of the last.
fn ask(
    crowd: &mut Crowd<'_>,
    seat: usize,
    form: &str,
    where_from: &str,
) -> Result<(Vec<usize>, String), String> {
    let max = format!("<max>{PAGE}</max>{where_from}");
    crowd.client(seat).send(&query(form, &max))?;
    let page = answer(crowd)?;
    let (_, fin) = page.rsplit_once("<fin ").ok_or_else(|| page.clone())?;
    let last = content(fin, "last").unwrap_or_default().to_owned();
    Ok((numbers(page.as_bytes())?, last))
}

/// All up to the end of the answer.
fn answer(crowd: &mut Crowd<'_>) -> Result<String, String> {
    let mut page = None;
    while page.is_none() {
        crowd.turn(|client| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string());
            page = client.take_up_to_iq(text)?;
            Ok(())
        })?;
    }
    page.ok_or_else(|| "no answer".to_owned())
}

fn form(fields: &str) -> String {
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>urn:xmpp:mam:2</value></field>{fields}</x>"
    )
}

fn field(name: &str, value: &str) -> String {
    format!("<field var='{name}'><value>{value}</value></field>")
}

fn stamp(us: i64) -> String {
    to_xep0082(us)
}

/// The middle one and the longest.
fn spread(mut times: Vec<Duration>) -> Vec<Figure> {
    times.sort();
    let at = |place: usize| times.get(place).copied().map_or(f64::NAN, ms);
    vec![
        Figure::new("ms, the middle one", at(times.len() / 2)),
        Figure::new("ms, the longest", at(times.len().saturating_sub(1))),
    ]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A year ago and some, in microseconds.
fn begin() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let begins = now.unwrap_or_default().saturating_sub(YEAR + YEAR / 365);
    i64::try_from(begins.as_secs()).map_or(0, |seconds| seconds * 1_000_000)
}

fn peer(number: usize) -> String {
    format!("capulet.{number:04}@{HOST}")
}

/// What puts them into the roster.
fn contacts(count: usize) -> Vec<Op> {
    let contact = |n| {
        Row(vec![
            Field::text(&peer(n)),
            Field::text("Tybalt Capulet"),
            Field::text("both"),
            Field::Absent,
            Field::Absent,
            Field::text("[\"Friends\"]"),
        ])
    };
    (0..count).map(|n| put(&ROSTER, contact(n))).collect()
}

fn put(table: Table, row: Row) -> Op {
    let expect = Expect::Anything;
    Op::Put { table, row, expect }
}

/// A message that was received, as it is kept.
fn entry(owner: &BareJid, number: usize, key: i64) -> Entry {
    let peer = peer(number % PEERS);
    let xml = numbered_message(owner.as_str(), number);
    let from = format!("<message from='{peer}/phone'");
    let rest = xml.get("<message".len()..).unwrap_or_default().to_vec();
    Entry {
        key,
        peer: peer.into(),
        resource: Some("phone".into()),
        kept: Kept::Archived,
        payload: Payload(vec![from.into(), rest.into()]),
    }
}
