//! The same crowd before a disk that forgets what was not synced: its traced system calls give the order in which the server wrote,
//! synced and answered, and from them come disks as power cuts leave them, on which the server is started again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use spec_tests::dice::Dice;
use spec_tests::disk::{Disk, Loss};
use spec_tests::element::{BIND, CLIENT, Element, Item, Reader};
use spec_tests::kept::{Door, Entry, MAM, Seen};
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server};
use spec_tests::strace::{self, Moment};

use crate::books::{Receiver, SENDERS, bare};
use crate::crowd::{Crowd, Device, Heard, Numbers, Round, Shown};
use crate::judge::{Figures, First, Judge};
use crate::{POSTS, options, rounds, settle};

/// A server's system calls from its first start on, and what its clients know.
struct Traced {
    server: Server,
    trace: PathBuf,
    round: Round,
}

fn traced(seed: u64) -> Result<Traced, String> {
    let scratch = Scratch::in_memory().map_err(|e| e.to_string())?;
    let prepared = Server::prepare(scratch, &options())?;
    let trace = prepared.scratch().join("trace");
    let mut command = strace::tracing(&trace);
    command.arg(prepared.binary());
    let mut server = prepared.begin(command)?;
    let door = settle(&server)?;
    let crowd = Crowd::begin(&door, seed, POSTS, &Numbers::new())?;
    while !crowd.is_silent() {
        std::thread::yield_now();
    }
    crowd.over();
    server.stop()?;
    let round = crowd.end()?;
    strace::wait_for_end(&trace)?;
    Ok(Traced {
        server,
        trace,
        round,
    })
}

/// What is looked at in a first reading of a trace.
#[derive(Debug, Default)]
struct Places {
    /// Lines where something was synced that may be judged by.
    syncs: Vec<usize>,
    /// Lines where something was written.
    writes: Vec<usize>,
}

fn places(trace: &Path) -> Result<Places, String> {
    let mut places = Places::default();
    let mut begun = false;
    let file = BufReader::new(File::open(trace).map_err(|e| e.to_string())?);
    strace::read(file, |moment| {
        match (moment.call, moment.result) {
            ("sendto", None) => begun |= !looks(&moment.bytes(1)?).is_empty(),
            ("fsync" | "fdatasync", Some(0)) if begun => places.syncs.push(moment.line),
            ("pwrite64", None) if begun => places.writes.push(moment.line),
            _ => {}
        }
        Ok(())
    })?;
    Ok(places)
}

/// The requests of writers that this answers.
fn looks(said: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(said);
    text.split(" id='")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('\'')?.0))
        .filter(|id| id.starts_with("look-"))
        .map(str::to_owned)
        .collect()
}

/// What was written to one socket.
#[derive(Debug, Default)]
struct Wire {
    reader: Reader,
    at: Option<Device>,
}

/// Follows a trace, and starts the server on what power cuts at some of its lines would leave.
struct Cuts {
    disk: Disk,
    round: Round,
    wires: HashMap<i64, Wire>,
    answered: HashSet<String>,
    heard: Heard,
    /// See `Round::seen`.
    seen: BTreeMap<&'static str, Shown>,
    worst: BTreeSet<usize>,
    random: BTreeSet<usize>,
    dice: Dice,
    faults: Vec<String>,
    figures: Figures,
    images: usize,
}

impl Cuts {
    fn new(disk: Disk, round: Round, seed: u64) -> Self {
        Self {
            disk,
            round,
            wires: HashMap::new(),
            answered: HashSet::new(),
            heard: Heard::new(),
            seen: BTreeMap::new(),
            worst: BTreeSet::new(),
            random: BTreeSet::new(),
            dice: Dice::new(seed),
            faults: Vec::new(),
            figures: Figures::default(),
            images: 0,
        }
    }

    /// Chooses so many lines to cut the power at.
    fn choose(&mut self, places: &Places, worst: usize, random: usize) {
        for (from, count, to) in [
            (&places.syncs, worst, &mut self.worst),
            (&places.writes, random, &mut self.random),
        ] {
            while to.len() < count.min(from.len()) {
                to.insert(from[self.dice.below(from.len())]);
            }
        }
    }

    fn follow(&mut self, trace: &Path) -> Result<(), String> {
        let file = BufReader::new(File::open(trace).map_err(|e| e.to_string())?);
        strace::read(file, |moment| self.observe(&moment))
    }

    fn observe(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        match (moment.call, moment.result) {
            // From here on it may have been read.
            ("sendto", None) => self.answered.extend(looks(&moment.bytes(1)?)),
            ("sendto", Some(count @ 1..)) => self.said(moment, count)?,
            ("close", None) => {
                self.wires.remove(&moment.number(0)?);
            }
            // The disk knows nothing of it yet.
            ("fsync" | "fdatasync", Some(0)) if self.worst.contains(&moment.line) => {
                self.cut(&format!("line {}, all lost", moment.line), Loss::All)?;
            }
            ("pwrite64", None) if self.random.contains(&moment.line) => {
                let seed = self.dice.roll();
                let what = format!("line {}, lost by seed {seed:#x}", moment.line);
                self.cut(&what, Loss::Some(&mut Dice::new(seed)))?;
            }
            _ => {}
        }
        self.disk.observe(moment)
    }

    fn said(&mut self, moment: &Moment<'_>, count: i64) -> Result<(), String> {
        let bytes = moment.bytes(1)?;
        let count = usize::try_from(count).map_err(|e| e.to_string())?;
        let bytes = bytes.get(..count).unwrap_or_default();
        // The control socket's answers are none of this.
        if bytes.first() == Some(&b'{') {
            return Ok(());
        }
        let wire = self.wires.entry(moment.number(0)?).or_default();
        if bytes.starts_with(b"<?xml") {
            wire.reader = Reader::new();
        }
        wire.reader.push(bytes);
        while let Some(item) = wire.reader.next_item()? {
            let Item::Element(stanza) = item else {
                continue;
            };
            if let Some(at) = bound(&stanza) {
                wire.at = Some(at);
                self.heard.entry(at).or_default().push(Vec::new());
            }
            let Some(at) = wire.at else {
                continue;
            };
            if stanza.is(CLIENT, "iq") {
                let id = stanza.attribute("id").filter(|id| id.starts_with("look-"));
                self.answered.extend(id.map(str::to_owned));
            }
            let query = stanza
                .child(MAM, "result")
                .and_then(|r| r.attribute("queryid"));
            if query == Some("next") {
                let entry = Entry::read(&stanza, "next")?.ok_or("no entry")?;
                let seen = self.seen.entry(at.0).or_default();
                seen.push((entry.id.clone(), entry.body()));
            }
            let session = self.heard.entry(at).or_default().last_mut();
            if let Some(session) = session {
                session.extend(Seen::read(&stanza, &bare(at.0))?);
            }
        }
        Ok(())
    }

    fn cut(&mut self, what: &str, loss: Loss<'_>) -> Result<(), String> {
        self.images += 1;
        let mut judge = Judge::default();
        let judged = self.judge(&mut judge, loss);
        let faults = judge.faults.into_iter().chain(judged.err());
        self.faults
            .extend(faults.map(|fault| format!("{what}: {fault}")));
        self.figures.add(&judge.figures);
        Ok(())
    }

    fn judge(&self, judge: &mut Judge, loss: Loss<'_>) -> Result<(), String> {
        let fault = |e: std::io::Error| e.to_string();
        let image = Scratch::in_memory().map_err(fault)?;
        self.disk.image(loss, image.path()).map_err(fault)?;
        let prepared = Server::prepare(Scratch::in_memory().map_err(fault)?, &options())?;
        fs::rename(image.path().join("data"), prepared.data()).map_err(fault)?;
        let program = Command::new(prepared.binary());
        let mut server = prepared.begin(program)?;
        let mut said = self.round.said.clone();
        for look in said.iter_mut().flat_map(|said| &mut said.looks) {
            look.answered = self.answered.contains(&look.id).then(Instant::now);
        }
        let round = Round {
            said,
            heard: self.heard.clone(),
            seen: self.seen.clone(),
            killed: None,
        };
        let door = Door::of(&server)?;
        judge.judge(&door, &round, First::Owed)?;
        judge.whole(&door)?;
        server.stop()
    }
}

/// The address that this stanza gives a session, if it is one of the crowd's.
fn bound(stanza: &Element) -> Option<Device> {
    let jid = stanza.child(BIND, "bind")?.child(BIND, "jid")?.text();
    let receivers = Receiver::ALL.into_iter().map(Receiver::name);
    let name = receivers
        .chain(SENDERS)
        .find(|name| jid.starts_with(&bare(name)))?;
    let resources = ["phone", "watch", "desk", "tablet", "archive"];
    let resource = resources.into_iter().find(|end| jid.ends_with(end))?;
    Some((name, resource))
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "seeds and figures are shown by --nocapture"
)]
fn what_was_promised_survives_a_power_cut() {
    if left_out("what a power cut leaves of messages, which needs strace") {
        return;
    }
    let seed = 0xc07_0000;
    let mut traced = traced(seed).unwrap();
    let root = traced.server.scratch().to_owned();
    let places = places(&traced.trace).unwrap();
    let (syncs, writes) = (places.syncs.len(), places.writes.len());
    println!("seed {seed:#x}: {syncs} syncs, {writes} writes");
    assert!(syncs > 50, "{syncs} syncs");

    let round = std::mem::take(&mut traced.round);
    let said = round.said.clone();
    let mut cuts = Cuts::new(Disk::new(&root), round, seed);
    cuts.choose(&places, rounds(), rounds());
    cuts.follow(&traced.trace).unwrap();
    println!("{} images: {}", cuts.images, cuts.figures);
    assert!(cuts.faults.is_empty(), "{:#?}", cuts.faults);
    let looks = said.iter().flat_map(|said| &said.looks);
    let unseen: Vec<_> = looks
        .filter(|look| look.answered.is_some() != cuts.answered.contains(&look.id))
        .collect();
    assert!(unseen.is_empty(), "not in the trace: {unseen:#?}");

    // The test of this test: where syncing the log does nothing, something must be missing.
    let round = Round {
        said,
        ..Round::default()
    };
    let mut cuts = Cuts::new(Disk::deaf_to(&root, "-wal"), round, seed);
    cuts.worst.extend(places.syncs.last());
    cuts.follow(&traced.trace).unwrap();
    assert_eq!(cuts.images, 1);
    assert!(!cuts.faults.is_empty());
}
