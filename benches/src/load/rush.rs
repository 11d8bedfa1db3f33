//! Everybody at once, where each sign-in is work for a worker: how long it takes, who is sent away, and what it takes of memory.
//!
//! All have their challenge when it begins, and send their proofs within milliseconds. Who is told to try again later does so a
//! second later, all of them at once again. Without TLS: what is measured is what waits for the workers, not handshakes.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use spondee_shell_common::limits::shell::raise_descriptors;

use super::client::Security;
use super::process::pss_kib;
use super::ranks::Sorted;
use super::spondee::Spondee;
use super::target::{Archive, By, Progress, Provider, Running, SETTLES_IN, Setting, Target as _};
use crate::scenarios::{HEADER, auth, content, response};
use crate::scram::{Account, Proven};

/// All come from one address, which is nobody's fault here.
const OPTIONS: &str = "unlimited_addresses = [\"127.0.0.1\"]\n\
    sasl_failures_per_account = 0\n\
    allow_unencrypted_plain_auth = true\n";

const PATIENCE: Duration = Duration::from_secs(60);

/// Until those come again who were sent away.
const LATER: Duration = Duration::from_secs(1);

/// Nobody is sent away so often.
const ROUNDS: usize = 60;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Who comes, and where to.
#[derive(Debug, Args)]
pub struct RushArguments {
    /// At once.
    #[arg(long, default_value_t = 2000)]
    sign_ins: usize,
    /// Accounts they have in turns.
    #[arg(long, default_value_t = 100)]
    accounts: usize,
    /// What the server keeps of passwords. With "hashed", SCRAM needs no worker.
    #[arg(long, value_enum, default_value = "plain")]
    provider: Provider,
    /// By what they sign in.
    #[arg(long, value_enum, default_value = "scram")]
    mechanism: By,
    /// Threads of the server.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The program to measure, instead of the one built from here.
    #[arg(long)]
    binary: Option<PathBuf>,
}

impl RushArguments {
    /// Sends them all, until everybody is in. How it went, as Markdown.
    ///
    /// # Errors
    /// Somebody was refused otherwise than to come again, or left without an answer; with the server's log.
    pub fn run(&self) -> Result<String, String> {
        Spondee::check(self.binary.as_deref())?;
        let descriptors = raise_descriptors();
        if descriptors < self.sign_ins.saturating_add(100) {
            return Err(format!(
                "{} sign-ins are more than the {descriptors} files this process may open",
                self.sign_ins
            ));
        }
        let progress = Progress::new("rush".to_owned());
        progress.say(&format!("making {} accounts", self.accounts));
        let mut accounts: Vec<Account> = (0..self.accounts.max(1))
            .map(|n| Account::new(&format!("user{n:04}"), &format!("password {n}")))
            .collect();
        let server = Spondee::empty(self.binary.clone(), self.threads)?;
        let server = server.configured(OPTIONS).keeping(self.provider);
        server.add(&accounts)?;
        let running = server.start(&Setting {
            security: Security::Clear,
            archive: Archive::On,
        })?;
        let told = self.rush(&running, &mut accounts, &progress);
        told.map_err(|fault| running.explain(&fault))
    }

    fn rush(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<String, String> {
        let before = pss_kib(running.id())?;
        let is_over = AtomicBool::new(false);
        let (rounds, most) = std::thread::scope(|scope| {
            let memory = scope.spawn(|| most_memory(running.id(), &is_over));
            let rounds = self.rounds(running.address(), accounts, progress);
            is_over.store(true, Ordering::Relaxed);
            let most = memory.join().map_err(|_| "memory was not looked at")??;
            Ok::<_, String>((rounds?, most))
        })?;
        std::thread::sleep(SETTLES_IN);
        let after = pss_kib(running.id())?;
        let mut text = format!(
            "{} sign-ins at once by {} on \"{}\", {} threads of the server. Milliseconds from a client's last word to the answer.\n\n\
             | came | signed in | median | 99 % | most | sent away | median | 99 % | most |\n\
             |---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
            self.sign_ins,
            match self.mechanism {
                By::Scram => "SCRAM-SHA-256",
                By::Plain => "PLAIN",
            },
            self.provider.name(),
            self.threads
        );
        // Writing to a String cannot fail.
        for round in rounds {
            let (admitted, sent_away) = (round.admitted.len(), round.sent_away.len());
            let _ = write!(text, "| {} ", admitted + sent_away);
            for times in [round.admitted, round.sent_away] {
                let count = times.len();
                let times = Sorted::of(times);
                let ms = |permille| times.permille(permille) as f64 / 1e6;
                let _ = match count {
                    0 => write!(text, "| 0 | – | – | – "),
                    count => write!(
                        text,
                        "| {count} | {:.1} | {:.1} | {:.1} ",
                        ms(500),
                        ms(990),
                        ms(1000)
                    ),
                };
            }
            text.push_str("|\n");
        }
        let _ = writeln!(
            text,
            "\nPSS: {before} KiB before, {most} KiB at most, {after} KiB after."
        );
        Ok(text)
    }

    fn rounds(
        &self,
        address: SocketAddr,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Round>, String> {
        let mut rounds = Vec::new();
        let mut left = self.sign_ins;
        while left > 0 {
            if rounds.len() == ROUNDS {
                return Err(format!("{left} are not let in"));
            }
            if !rounds.is_empty() {
                std::thread::sleep(LATER);
            }
            let clients = (0..left)
                .map(|n| {
                    let index = n % accounts.len();
                    Comer::begin(address, n, &mut accounts[index], self.mechanism)
                })
                .collect::<Result<Vec<_>, _>>()?;
            let round = Round::of(clients)?;
            left = round.sent_away.len();
            progress.say(&format!(
                "{} are in, {left} sent away",
                round.admitted.len()
            ));
            rounds.push(round);
        }
        Ok(rounds)
    }
}

/// The most memory a process had until it was over, in KiB.
fn most_memory(id: u32, is_over: &AtomicBool) -> Result<u64, String> {
    let mut most = 0;
    while !is_over.load(Ordering::Relaxed) {
        most = most.max(pss_kib(id)?);
        std::thread::sleep(LOOK);
    }
    Ok(most)
}

/// One that is about to say its last word.
struct Comer {
    socket: TcpStream,
    inbox: Vec<u8>,
    last: String,
    /// What the server must prove itself by.
    proven: Option<Proven>,
    said_at: Option<Instant>,
}

impl Comer {
    fn begin(
        address: SocketAddr,
        number: usize,
        account: &mut Account,
        by: By,
    ) -> Result<Self, String> {
        let fault = |e: std::io::Error| e.to_string();
        let mut socket = std::net::TcpStream::connect(address).map_err(fault)?;
        socket.set_nodelay(true).map_err(fault)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
        ask(&mut socket, HEADER, "</stream:features>")?;
        let (last, proven) = match by {
            By::Plain => (auth("PLAIN", &account.plain()), None),
            By::Scram => {
                let nonce = format!("comesatonce{number:08}");
                let first = auth("SCRAM-SHA-256", &account.first(&nonce));
                let challenge = ask(&mut socket, first.as_bytes(), "</challenge>")?;
                let challenge = content(&challenge, "challenge").unwrap_or_default();
                let (answer, proven) = account.answer(&nonce, challenge)?;
                (response(&answer), Some(proven))
            }
        };
        socket.set_nonblocking(true).map_err(fault)?;
        Ok(Self {
            socket: TcpStream::from_std(socket),
            inbox: Vec::new(),
            last,
            proven,
            said_at: None,
        })
    }

    /// What the server makes of it, once that is there.
    fn answer(&mut self) -> Result<Option<Answer>, String> {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err("a connection ended without an answer".to_owned()),
                Ok(count) => self.inbox.extend_from_slice(&buffer[..count]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.to_string()),
            }
        }
        let heard = String::from_utf8_lossy(&self.inbox);
        if heard.contains("</failure>") {
            return match heard.contains("<temporary-auth-failure/>") {
                true => Ok(Some(Answer::SentAway)),
                false => Err(format!("a refusal: {heard}")),
            };
        }
        let Some(proven) = &self.proven else {
            let is_in = heard.contains("<success");
            return Ok(is_in.then_some(Answer::Admitted));
        };
        match content(&heard, "success") {
            Some(last) if proven.holds(last) => Ok(Some(Answer::Admitted)),
            Some(last) => Err(format!("the server does not know the password: {last}")),
            None => Ok(None),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Admitted,
    SentAway,
}

/// How long those took who came at once, in nanoseconds.
#[derive(Debug, Default)]
struct Round {
    admitted: Vec<u64>,
    sent_away: Vec<u64>,
}

impl Round {
    fn of(mut clients: Vec<Comer>) -> Result<Self, String> {
        let fault = |e: std::io::Error| e.to_string();
        let mut poll = Poll::new().map_err(fault)?;
        let mut events = Events::with_capacity(1024);
        for (index, client) in clients.iter_mut().enumerate() {
            let token = Token(index);
            poll.registry()
                .register(&mut client.socket, token, Interest::READABLE)
                .map_err(fault)?;
        }
        for client in &mut clients {
            client.said_at = Some(Instant::now());
            // A few hundred bytes into an empty buffer.
            let said = client.socket.write_all(client.last.as_bytes());
            said.map_err(fault)?;
        }
        let mut round = Self::default();
        while round.admitted.len() + round.sent_away.len() < clients.len() {
            poll.poll(&mut events, Some(PATIENCE)).map_err(fault)?;
            if events.is_empty() {
                return Err("somebody is left without an answer".to_owned());
            }
            for event in &events {
                let client = &mut clients[event.token().0];
                let Some(said_at) = client.said_at else {
                    continue;
                };
                let Some(answer) = client.answer()? else {
                    continue;
                };
                client.said_at = None;
                let times = match answer {
                    Answer::Admitted => &mut round.admitted,
                    Answer::SentAway => &mut round.sent_away,
                };
                times.push(u64::try_from(said_at.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
        }
        Ok(round)
    }
}

/// Says something, and waits for the end of the answer.
fn ask(socket: &mut std::net::TcpStream, said: &[u8], end: &str) -> Result<String, String> {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    socket.write_all(said).map_err(|e| e.to_string())?;
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Err(format!("the connection ended before {end}")),
            Ok(count) => heard.extend_from_slice(&buffer[..count]),
            Err(e) => return Err(format!("waiting for {end}: {e}")),
        }
        let text = String::from_utf8_lossy(&heard);
        if text.contains(end) {
            return Ok(text.into_owned());
        }
        if text.contains("</failure>") || text.contains("<stream:error") {
            return Err(format!("not {end} but {text}"));
        }
    }
}
