//! Two threads against one: the server's own threads, turns, ways between them and store, without sockets. Clients are the other end of what
//! stands for a socket, and run on the thread that serves them, so two threads need no third core.
//!
//! What two threads do is compared with what one does, and with what two servers of one thread each do in the same process: what these
//! lack of twice is the machine's, and only what is beyond that is of the ways between threads.

mod client;
mod measure;
mod server;
mod socket;

use std::fmt::Write as _;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use self::client::Errand;
use self::measure::{Course, Probe, Stage};
pub use self::server::Keeping;
use self::server::{Guests, Prepared, Server};
use self::socket::Again;
use crate::load::Cpu;
use crate::scenarios::{HOST, PASSWORD, RESOURCE, chat_message};
use crate::scram::Account;

/// Before it counts.
const WARM: Duration = Duration::from_millis(500);
/// Until all have signed in.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Work {
    /// So many pairs, each with so many messages under way.
    Chat {
        /// How many.
        pairs: usize,
        /// Of each.
        window: usize,
    },
    /// Sign-ins by SCRAM-SHA-256, so many at a time.
    SignIn {
        /// How many accounts there are.
        accounts: usize,
        /// At a time.
        clients: usize,
        /// Where they are kept.
        keeping: Keeping,
    },
}

/// Who does it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Threads {
    /// One.
    One,
    /// Two of one server; so much of the work is with the other one's accounts.
    Two(Share),
    /// Two servers with one each, which share the process and nothing else.
    Apart,
}

/// How much of the work crosses from one thread to the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Share {
    /// Nothing.
    None,
    /// Every other pair or sign-in.
    Half,
    /// Everything.
    All,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    sum: Probe,
    /// CPU time of all else in the process: the store.
    others: Duration,
    threads: u32,
}

impl Work {
    /// Has it done, and counts for so long.
    ///
    /// # Errors
    /// What does not work, in words.
    pub fn measure(self, threads: Threads, long: Duration) -> Result<Outcome, String> {
        let course = Arc::new(Course::new());
        let (sender, probes) = channel();
        let servers = match threads {
            Threads::One => vec![self.prepare(1)?],
            Threads::Two(_) => vec![self.prepare(2)?],
            Threads::Apart => vec![self.prepare(1)?, self.prepare(1)?],
        };
        let count = match threads {
            Threads::One => 1,
            Threads::Two(_) | Threads::Apart => 2,
        };
        let mut running = Vec::new();
        for prepared in servers {
            let guests = match threads {
                Threads::One => self.guests(&prepared, 1, Share::None, 1),
                Threads::Two(share) => self.guests(&prepared, 2, share, 2),
                Threads::Apart => self.guests(&prepared, 1, Share::None, 2),
            };
            running.push(prepared.start(guests, &course, &sender)?);
        }
        let enter = |stage| {
            course.enter(stage);
            running.iter().for_each(Server::wake);
        };
        self.gather(&course)?;
        enter(Stage::Warm);
        std::thread::sleep(WARM);
        let before = Cpu::of_process(std::process::id());
        enter(Stage::Measure);
        std::thread::sleep(long);
        enter(Stage::Over);
        let mut sum: Option<Probe> = None;
        for _ in 0..count {
            let probe = probes.recv_timeout(PATIENCE).map_err(|e| e.to_string())?;
            sum = Some(sum.map_or(probe, |sum| sum.and(&probe)));
        }
        let all = Cpu::of_process(std::process::id()).since(&before);
        let sum = sum.ok_or("no thread")?;
        running.into_iter().try_for_each(Server::end)?;
        Ok(Outcome {
            sum,
            others: all.saturating_sub(sum.cpu),
            threads: count,
        })
    }

    fn prepare(self, shards: u16) -> Result<Prepared, String> {
        match self {
            Self::Chat { pairs, .. } => {
                Prepared::new(shards, Keeping::Memory, &names(8 * pairs.max(16)))
            }
            Self::SignIn {
                accounts, keeping, ..
            } => Prepared::new(shards, keeping, &names(accounts)),
        }
    }

    /// Waits until all have signed in who wait for each other.
    fn gather(self, course: &Course) -> Result<(), String> {
        let Self::Chat { pairs, .. } = self else {
            return Ok(());
        };
        let begun = Instant::now();
        while course.there() < 2 * pairs as u64 {
            if begun.elapsed() > PATIENCE {
                return Err(format!("only {} have signed in", course.there()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Who comes to each of a server's threads, if all that is done is done by `parts` of them.
    fn guests(self, server: &Prepared, threads: usize, share: Share, parts: usize) -> Vec<Guests> {
        match self {
            Self::Chat { pairs, window } => {
                let pairs = pairs / parts * threads;
                chatting(server, threads, share, pairs, window)
            }
            Self::SignIn {
                accounts, clients, ..
            } => signing_in(server, threads, share, accounts, clients / parts),
        }
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("user{n}")).collect()
}

/// Pairs of which each has a side that begins; both come to the threads of their accounts.
fn chatting(
    server: &Prepared,
    threads: usize,
    share: Share,
    pairs: usize,
    window: usize,
) -> Vec<Guests> {
    let mut names: Vec<Vec<String>> = vec![Vec::new(); threads];
    for name in self::names(8 * pairs.max(16)) {
        names[server.owner(&name)].push(name);
    }
    let mut guests: Vec<Guests> = (0..threads).map(|_| Guests::none(Again::No)).collect();
    for pair in 0..pairs {
        let one = pair % threads;
        let crosses = match share {
            Share::None => false,
            Share::Half => (pair / threads).is_multiple_of(2),
            Share::All => true,
        };
        let other = if crosses { (one + 1) % threads } else { one };
        let mut take = |thread: usize| names[thread].pop().expect("more names than pairs have");
        let (first, second) = (take(one), take(other));
        for (thread, name, peer, window) in
            [(one, &first, &second, window), (other, &second, &first, 0)]
        {
            let message = chat_message(&format!("{peer}@{HOST}/{RESOURCE}"));
            guests[thread].add(name, Errand::Chat { message, window });
            guests[thread].places += 1;
        }
    }
    guests
}

/// Each of so many at a time in its turn; who crosses connects to the thread that does not have the account.
fn signing_in(
    server: &Prepared,
    threads: usize,
    share: Share,
    accounts: usize,
    clients: usize,
) -> Vec<Guests> {
    let mut guests: Vec<Guests> = (0..threads).map(|_| Guests::none(Again::Yes)).collect();
    let mut seen = vec![0_usize; threads];
    for name in names(accounts) {
        let owner = server.owner(&name);
        seen[owner] += 1;
        let crosses = match share {
            Share::None => false,
            Share::Half => seen[owner].is_multiple_of(2),
            Share::All => true,
        };
        let thread = if crosses {
            (owner + 1) % threads
        } else {
            owner
        };
        guests[thread].add(&name, Errand::Leave);
    }
    for one in &mut guests {
        one.places = clients;
    }
    guests
}

impl Guests {
    fn none(again: Again) -> Self {
        Self {
            queue: [].into(),
            again,
            places: 0,
        }
    }

    fn add(&mut self, name: &str, errand: Errand) {
        let account = Arc::new(Mutex::new(Account::new(name, PASSWORD)));
        self.queue.push_back((account, errand));
    }
}

impl Outcome {
    /// What was done in a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.sum.per_second()
    }

    /// What was done in a second of the server's threads.
    #[must_use]
    pub fn per_cpu_second(&self) -> f64 {
        self.sum.per_cpu_second()
    }

    /// The names of `row`.
    #[must_use]
    pub fn header() -> String {
        let names = [
            "per second",
            "× one",
            "us each",
            "× one",
            "busy",
            "slept",
            "no core",
            "others",
            "per turn",
            "per read",
            "per write",
            "crossed",
            "moved",
            "per parcel",
            "per dispatch",
            "wakes per 1000",
            "sleeps per 1000",
        ];
        format!("{} |", names.join(" | "))
    }

    /// Everything, beside what one thread did.
    #[must_use]
    pub fn row(&self, one: &Self) -> String {
        let sum = &self.sum;
        let threads = f64::from(self.threads);
        let done = sum.done as f64;
        let per = |count: u64| match count {
            0 => "–".to_owned(),
            count => format!("{:.2}", done / count as f64),
        };
        let thousand = |count: u64| format!("{:.1}", count as f64 * 1000.0 / done);
        let percent = |long| format!("{:.0} %", sum.share(long) / threads * 100.0);
        let each = 1e6 / self.per_cpu_second();
        let mut row = String::new();
        let cells = [
            format!("**{:.0}**", self.per_second()),
            format!("{:.2}", self.per_second() / one.per_second()),
            format!("{each:.2}"),
            format!(
                "{:.2}",
                self.per_cpu_second().recip() * one.per_cpu_second()
            ),
            percent(sum.cpu),
            percent(sum.slept),
            percent(sum.queued),
            format!(
                "{:.2}",
                self.others.as_secs_f64() / sum.wall().as_secs_f64()
            ),
            per(sum.turns),
            per(sum.reads),
            per(sum.writes),
            format!("{:.2}", sum.crossed as f64 / done),
            format!("{:.2}", sum.moved as f64 / done),
            match sum.parcels {
                0 => "–".to_owned(),
                parcels => format!("{:.2}", (sum.crossed + sum.moved) as f64 / parcels as f64),
            },
            match sum.dispatches {
                0 => "–".to_owned(),
                count => format!("{:.2}", sum.parcels as f64 / count as f64),
            },
            thousand(sum.wakes),
            thousand(sum.sleeps),
        ];
        for cell in cells {
            let _ = write!(row, "{cell} | ");
        }
        row.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);

    #[test]
    fn messages_cross_where_pairs_are_apart_and_nowhere_else() {
        let chat = Work::Chat {
            pairs: 4,
            window: 10,
        };
        let crossed = |threads| chat.measure(threads, MOMENT).unwrap().sum.crossed;
        assert_eq!(crossed(Threads::One), 0);
        assert_eq!(crossed(Threads::Apart), 0);
        assert_eq!(crossed(Threads::Two(Share::None)), 0);
        assert!(crossed(Threads::Two(Share::All)) > 0);
    }

    #[test]
    fn who_signs_in_elsewhere_is_moved_there() {
        for keeping in [Keeping::Memory, Keeping::Sqlite] {
            let signs_in = Work::SignIn {
                accounts: 200,
                clients: 8,
                keeping,
            };
            let moved = |share| {
                let outcome = signs_in.measure(Threads::Two(share), MOMENT);
                outcome.unwrap().sum.moved
            };
            assert_eq!(moved(Share::None), 0);
            assert!(moved(Share::Half) > 0);
        }
    }
}
