//! The same crowd before a disk that forgets what was not synced: its traced system calls give the order in which the server wrote,
//! synced and answered, and from them come disks as power cuts leave them, on which the server is started again.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::Instant;

use spec_tests::chaos::{options, rounds};
use spec_tests::cuts::{self, Cut, Cuts, Places, Wires};
use spec_tests::disk::Disk;
use spec_tests::element::{BIND, CLIENT, Element};
use spec_tests::kept::{Door, Entry, MAM, Seen};
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server};
use spec_tests::strace::{self, Moment};

use crate::books::{Receiver, SENDERS, bare};
use crate::crowd::{Crowd, Device, Heard, Numbers, Round, Shown};
use crate::judge::{Figures, First, Judge};
use crate::{POSTS, settle};

/// A server's system calls from its first start on, and what its clients know.
struct Traced {
    server: Server,
    trace: PathBuf,
    round: Round,
}

fn traced(seed: u64) -> Result<Traced, String> {
    let scratch = Scratch::in_memory().map_err(|e| e.to_string())?;
    let prepared = Server::prepare(scratch, &options())?;
    let (mut server, trace) = prepared.begin_traced()?;
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

/// Follows a trace, and starts the server on what power cuts at some of its lines would leave.
struct Following {
    cuts: Cuts,
    /// Whose each connection is.
    wires: Wires<Option<Device>>,
    round: Round,
    answered: HashSet<String>,
    heard: Heard,
    /// See `Round::seen`.
    seen: BTreeMap<&'static str, Shown>,
    faults: Vec<String>,
    figures: Figures,
    images: usize,
}

impl Following {
    fn new(cuts: Cuts, round: Round) -> Self {
        Self {
            cuts,
            wires: Wires::default(),
            round,
            answered: HashSet::new(),
            heard: Heard::new(),
            seen: BTreeMap::new(),
            faults: Vec::new(),
            figures: Figures::default(),
            images: 0,
        }
    }

    fn observe(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        if (moment.call, moment.result) == ("sendto", None) {
            // From here on it may have been read.
            self.answered.extend(looks(&moment.bytes(1)?));
        }
        self.said(moment)?;
        if let Some(cut) = self.cuts.due(moment) {
            self.cut(&cut);
        }
        self.cuts.observe(moment)
    }

    fn said(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let Self {
            wires,
            heard,
            answered,
            seen,
            ..
        } = self;
        wires.observe(moment, |device, stanza| {
            if let Some(at) = bound(stanza) {
                *device = Some(at);
                heard.entry(at).or_default().push(Vec::new());
            }
            let Some(at) = *device else {
                return Ok(());
            };
            if stanza.is(CLIENT, "iq") {
                let id = stanza.attribute("id").filter(|id| id.starts_with("look-"));
                answered.extend(id.map(str::to_owned));
            }
            let query = stanza
                .child(MAM, "result")
                .and_then(|r| r.attribute("queryid"));
            if query == Some("next") {
                let entry = Entry::read(stanza, "next")?.ok_or("no entry")?;
                let seen = seen.entry(at.0).or_default();
                seen.push((entry.id.clone(), entry.body()));
            }
            let session = heard.entry(at).or_default().last_mut();
            if let Some(session) = session {
                session.extend(Seen::read(stanza, &bare(at.0))?);
            }
            Ok(())
        })
    }

    fn cut(&mut self, cut: &Cut) {
        self.images += 1;
        let mut judge = Judge::default();
        let judged = self.judge(&mut judge, cut);
        let faults = judge.faults.into_iter().chain(judged.err());
        self.faults
            .extend(faults.map(|fault| format!("{}: {fault}", cut.what)));
        self.figures.add(&judge.figures);
    }

    fn judge(&self, judge: &mut Judge, cut: &Cut) -> Result<(), String> {
        let mut server = self.cuts.start(cut, &options())?;
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
    let places = Places::of(&traced.trace, |said| !looks(said).is_empty()).unwrap();
    let (syncs, writes) = (places.syncs.len(), places.writes.len());
    println!("seed {seed:#x}: {syncs} syncs, {writes} writes");
    assert!(syncs > 50, "{syncs} syncs");

    let round = std::mem::take(&mut traced.round);
    let said = round.said.clone();
    let mut cuts = Cuts::new(Disk::new(&root), seed);
    cuts.choose(&places, rounds(), rounds());
    let mut following = Following::new(cuts, round);
    cuts::follow(&traced.trace, |moment| following.observe(moment)).unwrap();
    println!("{} images: {}", following.images, following.figures);
    assert!(following.faults.is_empty(), "{:#?}", following.faults);
    let looks = said.iter().flat_map(|said| &said.looks);
    let unseen: Vec<_> = looks
        .filter(|look| look.answered.is_some() != following.answered.contains(&look.id))
        .collect();
    assert!(unseen.is_empty(), "not in the trace: {unseen:#?}");

    // The test of this test: where syncing the log does nothing, something must be missing.
    let round = Round {
        said,
        ..Round::default()
    };
    let mut cuts = Cuts::new(Disk::deaf_to(&root, "-wal"), seed);
    cuts.choose_last(&places);
    let mut following = Following::new(cuts, round);
    cuts::follow(&traced.trace, |moment| following.observe(moment)).unwrap();
    assert_eq!(following.images, 1);
    assert!(!following.faults.is_empty());
}
