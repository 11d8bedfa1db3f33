//! The same crowd before a disk that forgets what was not synced: its traced system calls give the order in which the server wrote, synced
//! and acknowledged, and from them come disks as power cuts leave them, on which the server is started again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use spec_tests::acks::{SM, resume};
use spec_tests::chaos::{options, rounds};
use spec_tests::client::PATIENCE;
use spec_tests::cuts::{self, Cut, Cuts, Places, Wires};
use spec_tests::disk::Disk;
use spec_tests::element::{BIND, CLIENT, Element};
use spec_tests::kept::{Door, How, Seen};
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server};
use spec_tests::strace::{self, Moment};

use crate::books::{Device, Post, Receiver, Round, SENDERS, bare};
use crate::crowd::{Crowd, Numbers};
use crate::judge::{Figures, Judge, Wanted};
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
        std::thread::sleep(Duration::from_millis(1));
    }
    let round = crowd.end()?;
    server.stop()?;
    strace::wait_for_end(&trace)?;
    Ok(Traced {
        server,
        trace,
        round,
    })
}

/// What is known of a connection.
#[derive(Debug, Default)]
struct Wire {
    at: Option<Device>,
    /// The session, if it can be resumed.
    session: Option<String>,
}

/// Follows a trace, and starts the server on what power cuts at some of its lines would leave.
struct Following {
    cuts: Cuts,
    wires: Wires<Wire>,
    round: Round,
    /// Whose each session is.
    sessions: BTreeMap<String, Device>,
    /// How many stanzas of each session were acknowledged.
    acknowledged: HashMap<String, usize>,
    heard: HashMap<Device, Vec<Seen>>,
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
            sessions: BTreeMap::new(),
            acknowledged: HashMap::new(),
            heard: HashMap::new(),
            faults: Vec::new(),
            figures: Figures::default(),
            images: 0,
        }
    }

    fn observe(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        self.said(moment)?;
        if let Some(cut) = self.cuts.due(moment) {
            self.cut(&cut);
        }
        self.cuts.observe(moment)
    }

    fn said(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let Self {
            wires,
            sessions,
            acknowledged,
            heard,
            ..
        } = self;
        wires.observe(moment, |wire, stanza| {
            if let Some(at) = bound(stanza) {
                wire.at = Some(at);
            }
            if stanza.ns == SM {
                let id = stanza
                    .attribute("id")
                    .or_else(|| stanza.attribute("previd"));
                match (stanza.name.as_str(), id) {
                    ("enabled", Some(id)) => {
                        wire.session = Some(id.to_owned());
                        sessions.extend(wire.at.map(|at| (id.to_owned(), at)));
                    }
                    ("resumed", Some(id)) => {
                        wire.session = Some(id.to_owned());
                        wire.at = sessions.get(id).copied();
                    }
                    _ => {}
                }
                let h = stanza.attribute("h").and_then(|h| h.parse().ok());
                if let (Some(h), Some(session)) = (h, &wire.session) {
                    acknowledged.insert(session.clone(), h);
                }
                return Ok(());
            }
            if let Some(at) = wire.at {
                let seen = Seen::read(stanza, &bare(at.0))?;
                heard.entry(at).or_default().extend(seen);
            }
            Ok(())
        })
    }

    /// What an acknowledgement that was written covers.
    fn promised(&self) -> HashSet<String> {
        let sessions = self.round.said.iter().flat_map(|said| &said.sessions);
        let covered = sessions.flat_map(|(id, sent)| {
            let h = self.acknowledged.get(id).copied().unwrap_or(0);
            sent.get(..h).unwrap_or(sent)
        });
        covered.flatten().cloned().collect()
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
        let door = Door::of(&server)?;
        let mut promised = self.promised();
        promised.extend(self.resume(&door)?);
        judge.figures.promised += promised.len();
        let posts = self.round.posts();
        let mut owed = HashMap::new();
        for receiver in Receiver::ALL {
            let at = receiver.device();
            let seen = judge.take_all(&door, at)?;
            self.owed(judge, at, &seen, &posts);
            owed.insert(receiver, seen);
        }
        let archived = judge.archives(&door, &posts)?;
        for said in &self.round.said {
            let Some(first) = said.posts.first() else {
                continue;
            };
            let promises = Wanted::Promised(&promised);
            judge.archive(
                SENDERS[first.from],
                &archived,
                &said.posts,
                &self.round,
                promises,
            );
            for receiver in Receiver::ALL {
                let posts = said.posts.iter().filter(|post| post.to == receiver);
                let posts: Vec<Post> = posts.copied().collect();
                if receiver.is_archived() {
                    judge.archive(receiver.name(), &archived, &posts, &self.round, promises);
                    continue;
                }
                let owed: HashSet<_> = owed[&receiver].iter().map(|seen| &seen.body).collect();
                let bodies = posts.iter().map(Post::body);
                let lost = bodies.filter(|body| promised.contains(body) && !owed.contains(body));
                judge
                    .faults
                    .extend(lost.map(|body| format!("{body:?} was acknowledged and is not owed")));
            }
        }
        server.stop()
    }

    /// What comes to a device that comes back, in order, was not sent to it before as anything else.
    fn owed(&self, judge: &mut Judge, at: Device, seen: &[Seen], posts: &HashMap<String, Post>) {
        let mut last: HashMap<(usize, Receiver), usize> = HashMap::new();
        let heard = self.heard.get(&at).into_iter().flatten();
        let heard: HashMap<&str, &Option<String>> =
            heard.map(|seen| (seen.body.as_str(), &seen.id)).collect();
        for seen in seen {
            judge.figures.pushed += 1;
            let mut fault = |what: &str| judge.faults.push(format!("{at:?} {what}: {seen:?}"));
            let Some(post) = posts.get(&seen.body) else {
                fault("was sent what nobody wrote");
                continue;
            };
            let from = format!("{}/desk", bare(SENDERS[post.from]));
            if post.to.device() != at || seen.from != from || seen.how != How::Owed {
                fault("was sent what is not for it");
            }
            let before = last.insert((post.from, post.to), post.number);
            if before.is_some_and(|before| before >= post.number) {
                fault("was sent out of order");
            }
            match heard.get(seen.body.as_str()) {
                Some(id) if **id == seen.id => judge.figures.again += 1,
                Some(_) => fault("was sent again, under another id"),
                None => {}
            }
        }
    }

    /// Nobody can go on with what was there before; if the server says how much of it it had, that is a promise.
    fn resume(&self, door: &Door) -> Result<HashSet<String>, String> {
        let mut told = HashSet::new();
        for (id, at) in &self.sessions {
            let said = self
                .round
                .said
                .iter()
                .find_map(|said| said.sessions.get(id));
            let Some(sent) = said else {
                continue;
            };
            let mut client = door.signed_in(at.0)?;
            client.send(&resume(id, 0))?;
            let answer = client.next(PATIENCE)?;
            if !answer.is(SM, "failed") || answer.condition() != Some("item-not-found") {
                return Err(format!("{at:?} resumes {id}: {answer}"));
            }
            let h = answer.attribute("h").and_then(|h| h.parse().ok());
            let had = sent.get(..h.unwrap_or(0));
            let had = had.ok_or_else(|| format!("{at:?} sent {}: {answer}", sent.len()))?;
            told.extend(had.iter().flatten().cloned());
        }
        Ok(told)
    }
}

/// The address that this stanza gives a session, if it is one of the crowd's.
fn bound(stanza: &Element) -> Option<Device> {
    if !stanza.is(CLIENT, "iq") {
        return None;
    }
    let jid = stanza.child(BIND, "bind")?.child(BIND, "jid")?.text();
    let (account, resource) = jid.split_once('/')?;
    let receivers = Receiver::ALL.into_iter().map(Receiver::name);
    let name = receivers
        .chain(SENDERS)
        .find(|name| account == bare(name))?;
    let resources = ["phone", "watch", "desk", "tablet"];
    Some((name, resources.into_iter().find(|one| *one == resource)?))
}

/// The first word to somebody who writes.
fn begins(said: &[u8]) -> bool {
    let text = String::from_utf8_lossy(said);
    text.contains("<a xmlns='urn:xmpp:sm:3'")
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "seeds and figures are shown by --nocapture"
)]
fn what_was_acknowledged_survives_a_power_cut() {
    if left_out("what a power cut leaves of what was acknowledged, which needs strace") {
        return;
    }
    let seed = 0x5c0_0000;
    let mut traced = traced(seed).unwrap();
    let root = traced.server.scratch().to_owned();
    let places = Places::of(&traced.trace, begins).unwrap();
    let (syncs, writes) = (places.syncs.len(), places.writes.len());
    println!("seed {seed:#x}: {syncs} syncs, {writes} writes");
    assert!(syncs > 20, "{syncs} syncs");

    let round = std::mem::take(&mut traced.round);
    let mut cuts = Cuts::new(Disk::new(&root), seed);
    cuts.choose(&places, rounds(), rounds());
    let mut following = Following::new(cuts, round.clone());
    cuts::follow(&traced.trace, |moment| following.observe(moment)).unwrap();
    println!("{} images: {}", following.images, following.figures);
    assert!(following.faults.is_empty(), "{:#?}", following.faults);
    assert!(following.figures.promised > 0);
    let known: HashSet<_> = following.sessions.keys().collect();
    let writers = round.said.iter().flat_map(|said| said.sessions.keys());
    let unseen: Vec<_> = writers.filter(|id| !known.contains(id)).collect();
    assert!(unseen.is_empty(), "not in the trace: {unseen:?}");

    // The test of this test: where syncing the log does nothing, something must be missing.
    let mut cuts = Cuts::new(Disk::deaf_to(&root, "-wal"), seed);
    cuts.choose_last(&places);
    let mut following = Following::new(cuts, round);
    cuts::follow(&traced.trace, |moment| following.observe(moment)).unwrap();
    assert_eq!(following.images, 1);
    assert!(!following.faults.is_empty());
}
