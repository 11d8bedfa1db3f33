//! What was reported done survives: SIGKILL, and a power cut on a disk that forgets what was not synced.
//!
//! The real server changes accounts for several administrators at once. Its system calls, traced by strace, give the order in
//! which it wrote, synced and answered; from them a model disk builds what a power cut at that moment leaves, and the real store
//! opens it. strace is needed, so those tests run as those of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;

use serde_json::Value;
use spec_tests::changes::{Change, Kept, Ledger, Outcome, Passwords, Teller};
use spec_tests::client::PATIENCE;
use spec_tests::dice::Dice;
use spec_tests::disk::{Disk, Loss};
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server};
use spec_tests::strace::{self, Moment};

/// The least that is allowed: new keys are the slowest part of a change, and not what is tested.
const QUICK: &str = "default_iteration_count = 4096\n";

/// Connections to the control socket. It takes two more, for what else is asked.
const TELLERS: usize = 6;

/// Changes reported done in each test.
const CHANGES: usize = 1000;

fn tellers(seed: u64) -> Vec<Teller> {
    let name = |number| char::from(b'a' + u8::try_from(number).unwrap()).to_string();
    (0..TELLERS)
        .map(|number| Teller::new(&name(number), seed + number as u64))
        .collect()
}

fn merged(tellers: &[Teller]) -> Ledger {
    let mut ledger = Ledger::default();
    for teller in tellers {
        ledger.merge(&teller.ledger);
    }
    ledger
}

/// Wherever it strikes, and the server starts again over what it left.
#[test]
fn nothing_reported_done_is_lost_by_sigkill() {
    let mut dice = Dice::new(0x5167);
    let mut passwords = Passwords::default();
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    let data = prepared.data();
    let program = Command::new(prepared.binary());
    let mut server = prepared.begin(program).unwrap();
    let mut tellers = tellers(1);
    let (mut done, mut kills) = (0, 0);
    while done < CHANGES {
        let target = 1 + dice.below(60);
        let (changed, reports) = round(&data, tellers, target, &mut server);
        tellers = changed;
        done += reports;
        kills += 1;

        // On a copy, so that it is the server that repairs the original.
        let copy = Scratch::in_memory().unwrap();
        for file in fs::read_dir(&data).unwrap() {
            let path = file.unwrap().path();
            if path.file_name().unwrap() != "control.sock" {
                fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        let kept = Kept::read(copy.path()).unwrap();
        let faults = merged(&tellers).faults(&kept, &mut passwords);
        assert!(faults.is_empty(), "kill {kills}: {faults:#?}");
        for teller in &mut tellers {
            teller.ledger.settle(&kept, &mut passwords);
        }
        server.start_again().unwrap();
        // Answered by the control socket, so that it is the server's word.
        Teller::connect(&data).unwrap();
        let list = server.command(&["user", "list", "--json"]).unwrap();
        let list: Vec<Value> = serde_json::from_str(&list).unwrap();
        let listed = list.iter().map(|row| {
            let status = serde_json::from_value(row["status"].clone()).unwrap();
            (row["jid"].as_str().unwrap().to_owned(), status)
        });
        assert_eq!(listed.collect::<Vec<_>>(), kept.listed(), "kill {kills}");
    }
    assert!(kills >= 24, "{kills} kills");
}

/// Changes in parallel until so many were reported done, then SIGKILL. Tells how many were.
fn round(
    data: &Path,
    tellers: Vec<Teller>,
    target: usize,
    server: &mut Server,
) -> (Vec<Teller>, usize) {
    let (sender, reports) = channel();
    let mut threads = Vec::new();
    for mut teller in tellers {
        let sender = sender.clone();
        // Before anybody begins: who is late would find no server.
        let mut server = Teller::connect(data).unwrap();
        threads.push(std::thread::spawn(move || {
            while let Ok(outcome) = teller.step(&mut server) {
                assert_eq!(outcome, Outcome::Done);
                sender.send(()).unwrap();
            }
            teller
        }));
    }
    drop(sender);
    for _ in 0..target {
        reports.recv_timeout(PATIENCE).unwrap();
    }
    server.kill().unwrap();
    let tellers = threads.into_iter().map(|thread| thread.join().unwrap());
    let tellers = tellers.collect();
    (tellers, target + reports.iter().count())
}

/// The trace of a server from its first start on an empty directory, through changes, to its end.
struct Traced {
    server: Server,
    trace: PathBuf,
}

fn traced_changes(seed: u64) -> Traced {
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    let (mut server, trace) = prepared.begin_traced().unwrap();
    let data = server.data();
    let threads: Vec<_> = tellers(seed)
        .into_iter()
        .map(|mut teller| {
            let data = data.clone();
            std::thread::spawn(move || {
                let mut server = Teller::connect(&data).unwrap();
                for _ in 0..CHANGES.div_ceil(TELLERS) {
                    assert_eq!(teller.step(&mut server).unwrap(), Outcome::Done);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    server.stop().unwrap();
    strace::wait_for_end(&trace).unwrap();
    Traced { server, trace }
}

/// Follows a trace and judges what power cuts would leave.
struct Audit {
    disk: Disk,
    ledger: Ledger,
    /// The account that the connection behind each descriptor has asked about.
    asked: HashMap<i64, String>,
    passwords: Passwords,
    dice: Dice,
    sampling: Sampling,
    answers: usize,
    /// Answers since the disk last changed.
    unchecked: usize,
    /// Commits that more than one answer waited for.
    groups: usize,
    images: Images,
    faults: Vec<String>,
}

/// How many of the possible images are judged.
#[derive(Clone, Copy, Debug)]
struct Sampling {
    /// Of a hundred moments at which the worst image has to hold an answer more.
    worst: usize,
    /// Of a hundred writes: an image that the next one would change.
    random: usize,
}

#[derive(Debug, Default)]
struct Images {
    worst: usize,
    random: usize,
}

impl Audit {
    fn new(disk: Disk, sampling: Sampling, seed: u64) -> Self {
        Self {
            disk,
            ledger: Ledger::default(),
            asked: HashMap::new(),
            passwords: Passwords::default(),
            dice: Dice::new(seed),
            sampling,
            answers: 0,
            unchecked: 0,
            groups: 0,
            images: Images::default(),
            faults: Vec::new(),
        }
    }

    fn follow(&mut self, trace: &Path) {
        let trace = BufReader::new(File::open(trace).unwrap());
        strace::read(trace, |moment| self.observe(&moment)).unwrap();
        self.judge_worst("the end");
    }

    fn observe(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        match (moment.call, moment.result) {
            ("recvfrom", Some(1..)) => self.heard(moment)?,
            // From here on it may have been read.
            ("sendto", None) => self.said(moment)?,
            ("fsync" | "fdatasync", Some(0)) => {
                self.judge_worst(&format!("line {}", moment.line));
            }
            ("pwrite64", None) if self.dice.percent(self.sampling.random) => {
                self.judge_random(moment.line);
            }
            _ => {}
        }
        self.disk.observe(moment)
    }

    fn heard(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let Ok(line) = moment.text(1) else {
            return Ok(());
        };
        if let Some((account, change)) = Change::parse(line.trim_end()) {
            self.ledger.begin(&account, change);
            self.asked.insert(moment.number(0)?, account);
        }
        Ok(())
    }

    fn said(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let Some(account) = self.asked.remove(&moment.number(0)?) else {
            return Ok(());
        };
        assert_eq!(moment.text(1)?, "{\"result\":\"done\"}\n");
        self.ledger.done(&account);
        self.answers += 1;
        self.unchecked += 1;
        Ok(())
    }

    /// Everything that was not synced is lost. As long as nothing more is synced, what is left stays the same, and so the
    /// last answer is the one to judge by.
    fn judge_worst(&mut self, place: &str) {
        if self.unchecked == 0 {
            return;
        }
        self.groups += usize::from(self.unchecked > 1);
        self.unchecked = 0;
        if !self.dice.percent(self.sampling.worst) {
            return;
        }
        self.images.worst += 1;
        let scratch = Scratch::in_memory().unwrap();
        self.disk.image(Loss::All, scratch.path()).unwrap();
        self.judge(&scratch, &format!("{place}, all lost"));
    }

    fn judge_random(&mut self, line: usize) {
        self.images.random += 1;
        let scratch = Scratch::in_memory().unwrap();
        let seed = self.dice.roll();
        let mut dice = Dice::new(seed);
        let loss = Loss::Some(&mut dice);
        self.disk.image(loss, scratch.path()).unwrap();
        self.judge(&scratch, &format!("line {line}, lost by seed {seed}"));
    }

    fn judge(&mut self, scratch: &Scratch, place: &str) {
        let faults = match Kept::read(&scratch.path().join("data")) {
            Ok(kept) => self.ledger.faults(&kept, &mut self.passwords),
            Err(fault) => vec![fault],
        };
        let faults = faults.into_iter().map(|fault| format!("{place}: {fault}"));
        self.faults.extend(faults);
    }
}

#[test]
fn nothing_reported_done_is_lost_by_a_power_cut() {
    if left_out("what a power cut leaves, which needs strace") {
        return;
    }
    let traced = traced_changes(2);
    let root = traced.server.scratch();
    let all = Sampling {
        worst: 100,
        random: 3,
    };
    let mut audit = Audit::new(Disk::new(root), all, 3);
    audit.follow(&traced.trace);
    let counts = format!(
        "{} answers, {} commits for several, {:?}",
        audit.answers, audit.groups, audit.images
    );
    assert!(audit.faults.is_empty(), "{counts}: {:#?}", audit.faults);
    assert!(audit.answers >= CHANGES, "{counts}");
    assert!(audit.groups >= 10 && audit.images.random >= 50, "{counts}");
    // No call tells what is written there; SQLite makes it anew after a crash.
    assert_eq!(audit.disk.mapped_files(), ["spondee.sqlite-shm"]);

    // The test of this test: where syncing the log does nothing, answers must be missing.
    let few = Sampling {
        worst: 5,
        random: 0,
    };
    let mut audit = Audit::new(Disk::deaf_to(root, "-wal"), few, 4);
    audit.follow(&traced.trace);
    let lost = audit.faults.len();
    assert!(lost > audit.images.worst, "only {lost}: {:?}", audit.images);
}

/// `spondee user` where no server runs: what it says is done is done.
#[test]
fn nothing_an_offline_command_reported_is_lost_by_a_power_cut() {
    if left_out("what a power cut leaves, which needs strace") {
        return;
    }
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    let mut disk = Disk::new(prepared.scratch());
    let (mut ledger, mut passwords) = (Ledger::default(), Passwords::default());
    let trace = prepared.scratch().join("trace");
    let (romeo, juliet) = ("romeo@localhost", "juliet@localhost");
    let typed = |password: &str| Change::Passwd(password.to_owned());
    for (word, account, change, input) in [
        ("add", romeo, Change::Add("one".to_owned()), "one\n"),
        ("add", juliet, Change::Add("two".to_owned()), "two\n"),
        ("passwd", romeo, typed("three"), "three\n"),
        ("disable", romeo, Change::Disable, ""),
        ("delete --yes", juliet, Change::Delete, ""),
        ("enable", romeo, Change::Enable, ""),
    ] {
        let mut command = strace::tracing(&trace);
        command.arg(prepared.binary());
        ledger.begin(account, change);
        let arguments: Vec<_> = ["user"].into_iter().chain(word.split(' ')).collect();
        prepared
            .administer(command, &[&arguments[..], &[account]].concat(), input)
            .unwrap();
        ledger.done(account);
        strace::wait_for_end(&trace).unwrap();
        let mut reported = 0;
        let lines = BufReader::new(File::open(&trace).unwrap());
        strace::read(lines, |moment| {
            // Standard output: the sentence that it was done.
            if moment.call == "write" && moment.result.is_none() && moment.number(0)? == 1 {
                reported += 1;
                let scratch = Scratch::in_memory().unwrap();
                disk.image(Loss::All, scratch.path()).unwrap();
                let kept = Kept::read(&scratch.path().join("data"))?;
                let faults = ledger.faults(&kept, &mut passwords);
                assert!(faults.is_empty(), "{word} {account}: {faults:#?}");
            }
            disk.observe(&moment)
        })
        .unwrap();
        assert_eq!(reported, 1, "{word} {account}");
        disk.next_process();
    }
}
