//! What a stranger learns from how long answers take: whether there is an account of a name, and what is kept of its password.
//!
//! Sign-ins that fail, one after another in random order, over loopback and without TLS, of four kinds of names: with keys, with
//! a password that is kept, and two lots of nobody, which must be alike and show what the measurement is worth. On one host that
//! has both kinds of accounts, once as one that keeps passwords and once as one that keeps them no longer. One thread of the
//! server, so that it does not matter which name is whose; as many names of each kind, and of each step as many tries.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use memchr::memmem;
use socket2::SockRef;
use spec_tests::dice::Dice;
use spec_tests::sasl::{digest_response, plain};

use super::client::Security;
use super::ranks::Sorted;
use super::spondee::Spondee;
use super::target::{Archive, Progress, Provider, Setting, Target as _};
use crate::scenarios::{HEADER, HOST, auth, content, response};
use crate::scram::Account;

/// Nobody is held up, and all that there is may be tried without TLS, which would only add noise.
const OPTIONS: &str = "sasl_failures_per_address = 0\n\
    sasl_failures_per_account = 0\n\
    sasl_failures_per_stream = 5\n\
    allow_unencrypted_plain_auth = true\n\
    disable_sasl_mechanisms = []\n";

/// Fewer than the stream may have.
const TRIES_PER_STREAM: usize = 4;

/// Beyond so many standard deviations two kinds are told apart.
const TOLD_APART: f64 = 4.0;

const PATIENCE: Duration = Duration::from_secs(20);

/// What is tried, and how often.
#[derive(Debug, Args)]
pub struct StrangersArguments {
    /// Tries of each step and each kind of name.
    #[arg(long, default_value_t = 10_000)]
    tries: usize,
    /// Names of each kind.
    #[arg(long, default_value_t = 100)]
    names: usize,
    /// Threads of the server. With more than one it matters which thread has whose account, and names differ by that.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// What is drawn first, and from there on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program to measure, instead of the one built from here.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// What there is to be found out of a name.
const KINDS: [&str; 4] = ["keys", "password kept", "nobody", "nobody, others"];

/// What is timed.
const STEPS: [&str; 4] = [
    "PLAIN, to the refusal",
    "SCRAM-SHA-256, to the challenge",
    "SCRAM-SHA-256, from a wrong proof to the refusal",
    "DIGEST-MD5, from a wrong response to the refusal",
];

#[derive(Clone, Copy, Debug)]
enum Attempt {
    Plain,
    Scram,
    Digest,
}

/// Nanoseconds, by step and kind.
type Times = [[Vec<u64>; KINDS.len()]; STEPS.len()];

impl StrangersArguments {
    /// Tries everything on either kind of host. What it comes to, as Markdown.
    ///
    /// # Errors
    /// What the server did not do, with its log.
    pub fn run(&self) -> Result<String, String> {
        let progress = Progress::new("strangers".to_owned());
        progress.say(&format!("making {} accounts", 2 * self.names));
        Spondee::check(self.binary.as_deref())?;
        let mut server = Spondee::empty(self.binary.clone(), self.threads)?.configured(OPTIONS);
        for (kind, provider) in [Provider::Hashed, Provider::Plain].into_iter().enumerate() {
            server = server.keeping(provider);
            let accounts: Vec<Account> = (0..self.names)
                .map(|n| Account::new(&name(kind, n), &format!("password {n}")))
                .collect();
            server.add(&accounts)?;
        }
        let mut text = format!(
            "{} tries of each step and each of {} times {} names, {} thread(s) of the server, seed {}. Microseconds.\n",
            self.tries,
            KINDS.len(),
            self.names,
            self.threads,
            self.seed
        );
        for provider in [Provider::Plain, Provider::Hashed] {
            server = server.keeping(provider);
            let times = self.measure(&server, provider, &progress)?;
            tell(&mut text, provider, times);
        }
        Ok(text)
    }

    fn measure(
        &self,
        server: &Spondee,
        provider: Provider,
        progress: &Progress,
    ) -> Result<Times, String> {
        let attempts: &[Attempt] = match provider {
            Provider::Plain => &[Attempt::Plain, Attempt::Scram, Attempt::Digest],
            // It needs passwords.
            Provider::Hashed => &[Attempt::Plain, Attempt::Scram],
        };
        let mut dice = Dice::new(self.seed);
        let mut deck = Vec::new();
        for attempt in attempts {
            for kind in 0..KINDS.len() {
                deck.extend((0..self.tries).map(|n| (*attempt, kind, n % self.names.max(1))));
            }
        }
        for n in (1..deck.len()).rev() {
            deck.swap(n, dice.below(n + 1));
        }
        let running = server.start(&Setting {
            security: Security::Clear,
            archive: Archive::On,
        })?;
        let mut times = Times::default();
        // What is tried first finds nothing where it is later: all names once, and forgotten.
        let warm = deck.len().min(KINDS.len() * self.names * attempts.len());
        let warm: Vec<_> = deck[..warm].to_vec();
        let all = warm.len() + deck.len();
        for (n, tries) in warm
            .chunks(TRIES_PER_STREAM)
            .chain(deck.chunks(TRIES_PER_STREAM))
            .enumerate()
        {
            if n == warm.len().div_ceil(TRIES_PER_STREAM) {
                times = Times::default();
            }
            let tried = Stranger::connect(running.address())
                .and_then(|mut stranger| stranger.tries(tries, &mut dice, &mut times));
            tried.map_err(|fault| running.explain(&fault))?;
            if n % (all / TRIES_PER_STREAM / 10).max(1) == 0 {
                let done = n * TRIES_PER_STREAM;
                progress.say(&format!("{}: {done} of {all}", provider.name()));
            }
        }
        Ok(times)
    }
}

/// Kinds take turns in the order of their names, so that none has a place of its own where names are looked up.
fn name(kind: usize, n: usize) -> String {
    format!("user{:06}", n * KINDS.len() + kind)
}

/// One connection.
struct Stranger {
    socket: TcpStream,
    inbox: Vec<u8>,
}

impl Stranger {
    fn connect(address: SocketAddr) -> Result<Self, String> {
        let fault = |e: std::io::Error| e.to_string();
        let socket = TcpStream::connect(address).map_err(fault)?;
        socket.set_nodelay(true).map_err(fault)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
        // It ends by a reset: so many connections one after another would use up all ports.
        let socket_ref = SockRef::from(&socket);
        socket_ref.set_linger(Some(Duration::ZERO)).map_err(fault)?;
        let mut stranger = Self {
            socket,
            inbox: Vec::new(),
        };
        stranger.ask(HEADER, "</stream:features>")?;
        Ok(stranger)
    }

    fn tries(
        &mut self,
        tries: &[(Attempt, usize, usize)],
        dice: &mut Dice,
        times: &mut Times,
    ) -> Result<(), String> {
        for (attempt, kind, n) in tries {
            let name = name(*kind, *n);
            let mut took = |step: usize, time: Duration| {
                times[step][*kind].push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            };
            match attempt {
                Attempt::Plain => {
                    let wrong = plain(&name, "a password that is wrong");
                    let wrong = auth("PLAIN", &wrong);
                    took(0, self.refused(wrong.as_bytes())?);
                }
                Attempt::Scram => {
                    let (challenged, refused) = self.scram(&name, dice)?;
                    took(1, challenged);
                    took(2, refused);
                }
                Attempt::Digest => {
                    let (challenge, _) =
                        self.ask(auth("DIGEST-MD5", "").as_bytes(), "</challenge>")?;
                    let challenge = content(&challenge, "challenge").unwrap_or_default();
                    let (answer, _) = digest_response(challenge, HOST, &name, "wrong")?;
                    took(3, self.refused(response(&answer).as_bytes())?);
                }
            }
        }
        Ok(())
    }

    /// How long the challenge took, and then the refusal of a proof that is none.
    fn scram(&mut self, name: &str, dice: &mut Dice) -> Result<(Duration, Duration), String> {
        let nonce = format!("{:016x}", dice.roll());
        let first = auth(
            "SCRAM-SHA-256",
            &STANDARD.encode(format!("n,,n={name},r={nonce}")),
        );
        let (challenge, challenged) = self.ask(first.as_bytes(), "</challenge>")?;
        let challenge = content(&challenge, "challenge").unwrap_or_default();
        let challenge = STANDARD.decode(challenge).map_err(|e| e.to_string())?;
        let challenge = String::from_utf8_lossy(&challenge);
        let both = challenge
            .split(',')
            .find_map(|part| part.strip_prefix("r="));
        let both = both.ok_or_else(|| format!("no nonce in {challenge}"))?;
        let proof: Vec<u8> = (0..4).flat_map(|_| dice.roll().to_be_bytes()).collect();
        let last = format!("c=biws,r={both},p={}", STANDARD.encode(proof));
        let refused = self.refused(response(&STANDARD.encode(last)).as_bytes())?;
        Ok((challenged, refused))
    }

    fn refused(&mut self, said: &[u8]) -> Result<Duration, String> {
        let (answer, took) = self.ask(said, "</failure>")?;
        match answer.contains("<not-authorized/>") {
            true => Ok(took),
            false => Err(format!("another refusal: {answer}")),
        }
    }

    /// Says something, and waits for the end of the answer. The answer, and how long it took.
    fn ask(&mut self, said: &[u8], end: &str) -> Result<(String, Duration), String> {
        let mut buffer = [0; 4096];
        self.inbox.clear();
        let at = Instant::now();
        self.socket.write_all(said).map_err(|e| e.to_string())?;
        loop {
            let came = self.socket.read(&mut buffer);
            let took = at.elapsed();
            match came {
                Ok(count) if count > 0 => self.inbox.extend_from_slice(&buffer[..count]),
                Ok(_) => return Err("the server ended the connection".to_owned()),
                Err(e) => return Err(format!("waiting for {end}: {e}")),
            }
            let heard = String::from_utf8_lossy(&self.inbox);
            if memmem::find(&self.inbox, end.as_bytes()).is_some() {
                return Ok((heard.into_owned(), took));
            }
            if heard.contains("</failure>") {
                return Err(format!("not {end} but {heard}"));
            }
        }
    }
}

/// A table of times for each step, and which kinds are told apart by them.
fn tell(text: &mut String, provider: Provider, times: Times) {
    // Writing to a String cannot fail.
    for (step, times) in STEPS.into_iter().zip(times) {
        let times = times.map(Sorted::of);
        if times.iter().all(|times| times.median() == 0) {
            continue;
        }
        let _ = writeln!(
            text,
            "\n| {}: {step} | median | 5 % | 95 % | z against {} | {} | {} |\n|---|---:|---:|---:|---:|---:|---:|",
            provider.name(),
            KINDS[1],
            KINDS[2],
            KINDS[3],
        );
        let mut apart = Vec::new();
        for (n, kind) in KINDS.into_iter().enumerate() {
            let [low, median, high] = [50, 500, 950].map(|part| micros(times[n].permille(part)));
            let _ = write!(text, "| {kind} | {median:.1} | {low:.1} | {high:.1} ");
            for other in 1..KINDS.len() {
                if other <= n {
                    text.push_str("| ");
                    continue;
                }
                let z = times[n].z(&times[other]);
                let _ = write!(text, "| {z:.1} ");
                if z.abs() > TOLD_APART {
                    let by = micros(times[n].median()) - micros(times[other].median());
                    apart.push(format!(
                        "\"{kind}\" from \"{}\" by {by:+.1} µs at the median (z {z:.1})",
                        KINDS[other]
                    ));
                }
            }
            text.push_str("|\n");
        }
        let _ = match apart.is_empty() {
            true => writeln!(text, "\nNobody is told apart."),
            false => writeln!(text, "\nTold apart: {}.", apart.join("; ")),
        };
    }
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1e3
}
