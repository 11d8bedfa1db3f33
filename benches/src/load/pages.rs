//! Sessions that read their archives in pages of 50 (XEP-0313, XEP-0059), each the next one as the last is there, and from the
//! beginning when they are through.
//!
//! Their accounts have them for themselves, because what is archived stays from run to run. First they are filled by messages that one of a
//! pair sends to the other, then each is read once, and must hold all of them, each once and in order. What is counted are the messages read.

use std::ops::Range;

use memchr::memmem;

use super::client::{Client, Security};
use super::company::PARALLEL;
use super::crowd::Crowd;
use super::report::Figure;
use super::target::{Progress, Running, Scenario, Stopwatch, batching};
use crate::scenarios::{RESOURCE, content, number_of, numbered_message};
use crate::scram::Account;

/// What each asks for.
pub(super) const PAGE: usize = 50;
/// Messages under way while archives are filled.
const WINDOW: usize = 10;

/// Which way they read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// From the oldest on.
    Forward,
    /// From the newest back.
    Back,
}

/// See the module.
#[derive(Debug)]
pub struct Pages {
    /// Pairs of accounts.
    pub readers: Range<usize>,
    /// Messages in the archive of each.
    pub archived: usize,
    /// Pages measured, over all readers; each archive is read once before.
    pub pages: usize,
    /// Which way.
    pub direction: Direction,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for Pages {
    fn name(&self) -> &'static str {
        match (self.direction, &self.security) {
            (Direction::Forward, Security::Clear) => "archive-forward-clear",
            (Direction::Forward, Security::StartTls(_)) => "archive-forward",
            (Direction::Back, Security::Clear) => "archive-back-clear",
            (Direction::Back, Security::StartTls(_)) => "archive-back",
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn is_apart(&self) -> bool {
        true
    }

    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let mut crowd = Crowd::new(accounts, running, self.security())?;
        let who = self.readers.clone().map(|one| (one, RESOURCE.to_owned()));
        let mut seats = crowd.sign_in(who, PARALLEL)?;
        seats.sort_by_key(|seat| crowd.account_of(*seat));
        let mut reading = Reading::new(&seats, self.direction);
        reading.read_once(&mut crowd, &seats)?;
        if reading.read < seats.len() * self.archived {
            progress.say("filling the archives");
            fill(&mut crowd, &seats, &reading.laps, self.archived)?;
            running.settle();
            reading = Reading::new(&seats, self.direction);
            reading.read_once(&mut crowd, &seats)?;
        }
        if reading.read != seats.len() * self.archived {
            let Self { archived, .. } = self;
            return Err(format!(
                "{} messages, not {archived} for each",
                reading.read
            ));
        }
        running.settle();
        let before = running.counters()?;
        let watch = Stopwatch::start(running);
        let read = reading.read_pages(&mut crowd, &seats, self.pages)?;
        let mut figures = watch.stop(read);
        let counted = running.counters()?.since(&before);
        figures.extend(batching(read, &counted));
        if let Some(reads) = counted.get("store_reads") {
            figures.push(Figure::new("per store read", read as f64 / reads as f64));
        }
        crowd.leave()?;
        Ok(figures)
    }
}

/// How many messages the archives of these sessions hold together.
pub(super) fn count(crowd: &mut Crowd<'_>, seats: &[usize]) -> Result<usize, String> {
    for seat in seats {
        crowd.client(*seat).send(&query("", "<max>0</max>"))?;
    }
    let (mut left, mut sum) = (seats.len(), 0);
    while left > 0 {
        crowd.turn(|client| {
            let counted = client.take_up_to_iq(|bytes| {
                let text = String::from_utf8_lossy(bytes);
                let count = content(&text, "count").and_then(|count| count.parse().ok());
                count.ok_or_else(|| format!("no count in {text}"))
            })?;
            if let Some(count) = counted {
                let count: usize = count;
                sum += count;
                left -= 1;
            }
            Ok(())
        })?;
    }
    Ok(sum)
}

/// The first of each pair sends to the second what is missing, behind what both archives have.
fn fill(
    crowd: &mut Crowd<'_>,
    seats: &[usize],
    laps: &[Lap],
    archived: usize,
) -> Result<(), String> {
    let last = seats.iter().copied().max().unwrap_or(0);
    // Of each receiver, by its number in the crowd: its sender, the address, and the number of the next message.
    let mut next = vec![None; last + 1];
    let mut left = 0;
    for pair in seats.chunks_exact(2) {
        let (from, to) = (pair[0], pair[1]);
        let [mut number, other] = [from, to].map(|seat| laps[seat].got);
        if number != other {
            return Err(format!(
                "archives of a pair hold {number} and {other} messages"
            ));
        }
        left += archived.saturating_sub(number);
        let address = crowd.address_of(to);
        for _ in 0..WINDOW.min(archived.saturating_sub(number)) {
            crowd
                .client(from)
                .send(&numbered_message(&address, number))?;
            number += 1;
        }
        next[to] = Some((from, address, number));
    }
    while left > 0 {
        let mut due = Vec::new();
        crowd.turn(|client| {
            let arrived = client.take_messages()?;
            left = left.saturating_sub(arrived);
            due.push((client.index(), arrived));
            Ok(())
        })?;
        for (to, arrived) in due {
            let Some((from, address, number)) = next.get_mut(to).and_then(Option::as_mut) else {
                continue;
            };
            for _ in 0..arrived.min(archived.saturating_sub(*number)) {
                crowd
                    .client(*from)
                    .send(&numbered_message(address, *number))?;
                *number += 1;
            }
        }
    }
    Ok(())
}

/// How far the readers are.
struct Reading {
    direction: Direction,
    /// Of each, by its number in the crowd.
    laps: Vec<Lap>,
    /// Messages, in all.
    read: usize,
}

/// One way through an archive.
#[derive(Clone, Copy, Debug, Default)]
struct Lap {
    /// Messages so far.
    got: usize,
    /// The number of the oldest so far.
    oldest: Option<usize>,
}

/// What there is to say of a page.
struct Page {
    messages: usize,
    next: Next,
}

enum Next {
    /// Nothing: it was the last.
    End,
    /// What lies behind this id, or before it.
    From(String),
}

impl Reading {
    fn new(seats: &[usize], direction: Direction) -> Self {
        let last = seats.iter().copied().max().unwrap_or(0);
        Self {
            direction,
            laps: vec![Lap::default(); last + 1],
            read: 0,
        }
    }

    /// Everybody reads all there is, and looks at each message.
    fn read_once(&mut self, crowd: &mut Crowd<'_>, seats: &[usize]) -> Result<(), String> {
        for seat in seats {
            crowd.client(*seat).send(&self.direction.first())?;
        }
        let mut left = seats.len();
        while left > 0 {
            crowd.turn(|client| {
                let (direction, lap) = (self.direction, &mut self.laps[client.index()]);
                let taken = client.take_up_to_iq(|bytes| {
                    lap.look(bytes, direction)?;
                    Page::read(bytes, direction)
                })?;
                let Some(page) = taken else {
                    return Ok(());
                };
                self.read += page.messages;
                match page.next {
                    Next::From(id) => client.send(&direction.behind(&id)),
                    Next::End => {
                        left -= 1;
                        lap.end(client.account())
                    }
                }
            })?;
        }
        Ok(())
    }

    /// So many pages or some more, over all; how many messages.
    fn read_pages(
        &self,
        crowd: &mut Crowd<'_>,
        seats: &[usize],
        pages: usize,
    ) -> Result<usize, String> {
        let (mut asked, mut came, mut read) = (0, 0, 0);
        let direction = self.direction;
        let mut ask = |client: &mut Client, text: &[u8]| {
            if asked < pages {
                asked += 1;
                return client.send(text);
            }
            Ok(())
        };
        for seat in seats {
            ask(crowd.client(*seat), &direction.first())?;
        }
        while came < pages {
            crowd.turn(|client| {
                let taken = client.take_up_to_iq(|bytes| Page::read(bytes, direction))?;
                let Some(page) = taken else {
                    return Ok(());
                };
                came += 1;
                read += page.messages;
                match page.next {
                    Next::From(id) => ask(client, &direction.behind(&id)),
                    Next::End => ask(client, &direction.first()),
                }
            })?;
        }
        Ok(read)
    }
}

impl Lap {
    /// Each message of a page must be the next one.
    fn look(&mut self, page: &[u8], direction: Direction) -> Result<(), String> {
        let numbers = numbers(page)?;
        let first = match (direction, self.oldest) {
            (Direction::Forward, _) => self.got,
            (Direction::Back, Some(oldest)) => oldest.saturating_sub(numbers.len()),
            (Direction::Back, None) => numbers.first().copied().unwrap_or(0),
        };
        if !numbers.iter().copied().eq(first..first + numbers.len()) {
            return Err(format!("{numbers:?}, not the messages from {first} on"));
        }
        self.got += numbers.len();
        let oldest = self.oldest.into_iter().chain(numbers);
        self.oldest = oldest.min();
        Ok(())
    }

    /// It was through, and the first message was among what it read.
    fn end(&self, account: usize) -> Result<(), String> {
        match self.oldest {
            Some(0) | None => Ok(()),
            Some(oldest) => Err(format!("account {account}: message {oldest} is the oldest")),
        }
    }
}

/// Each message of a page is in one.
const RESULT: &[u8] = b"<result ";

/// The numbers of the messages on a page.
pub(super) fn numbers(page: &[u8]) -> Result<Vec<usize>, String> {
    let results = memmem::find_iter(page, RESULT);
    let numbers = results.map(|at| number_of(&page[at..]));
    let numbers: Option<Vec<usize>> = numbers.collect();
    numbers.ok_or_else(|| "a message without a number".to_owned())
}

impl Page {
    /// All up to the end of the answer.
    fn read(bytes: &[u8], direction: Direction) -> Result<Self, String> {
        let messages = memmem::find_iter(bytes, RESULT).count();
        let words = || String::from_utf8_lossy(bytes).into_owned();
        let at = memmem::rfind(bytes, b"<fin ").ok_or_else(words)?;
        let fin = std::str::from_utf8(&bytes[at..]).map_err(|e| e.to_string())?;
        let (tag, _) = fin.split_once('>').ok_or_else(words)?;
        if tag.contains("complete='true'") {
            let next = Next::End;
            return Ok(Self { messages, next });
        }
        let name = match direction {
            Direction::Forward => "last",
            Direction::Back => "first",
        };
        let id = content(fin, name).ok_or_else(words)?;
        let next = Next::From(id.to_owned());
        Ok(Self { messages, next })
    }
}

impl Direction {
    /// Asks for the first page.
    fn first(self) -> Vec<u8> {
        page(match self {
            Self::Forward => "",
            Self::Back => "<before/>",
        })
    }

    /// Asks for the next one.
    fn behind(self, id: &str) -> Vec<u8> {
        page(&match self {
            Self::Forward => format!("<after>{id}</after>"),
            Self::Back => format!("<before>{id}</before>"),
        })
    }
}

fn page(where_from: &str) -> Vec<u8> {
    query("", &format!("<max>{PAGE}</max>{where_from}"))
}

/// With a form or without.
pub(super) fn query(form: &str, set: &str) -> Vec<u8> {
    format!(
        "<iq type='set' id='q1'><query xmlns='urn:xmpp:mam:2' queryid='q1'>{form}\
         <set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query></iq>"
    )
    .into_bytes()
}
