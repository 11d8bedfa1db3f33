//! Oracle: what is kept of messages, and who gets it. Each accepted message reaches each device that is to have it, or the store that owes
//! it, once; archives hold what they must and nothing else, in their order ever after; a message has one id, however it comes.
//!
//! What is expected of a message is told by its course (`judge.rs`) and its content (`content.rs`); what is there, by clients that read it.

mod acts;
mod archive;
mod asks;
mod carbons;
mod copies;
mod debts;
mod likely;
mod prefs;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) use self::archive::Reach;
use self::archive::{Archive, Ask, Entry, Fin};
use self::carbons::Carbons;
pub(super) use self::copies::Way;
use self::debts::{Around, Debt, Debts, Noted};
pub(super) use self::likely::Likely;
pub(super) use self::prefs::Policy;
use self::prefs::{Outcome, Place, Prefs};
use spondee_core::archive::ArchiveOptions;
use spondee_core::config::Config;
use spondee_core::options::Expiry;

use super::Moment;
use super::accounts::NAMES;
use super::random::Random;
use super::stanzas::{Lapse, Receipt, Sent};
use super::subscriptions::account_of;

/// The namespace of archives (XEP-0313).
pub(super) const MAM: &str = "urn:xmpp:mam:2";

/// What became of a message, as far as anybody can know at rest.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) sent: Sent,
    /// The server took it, and nothing on the sender's side refused it.
    pub(super) routed: Likely,
    /// The receiver's side took it, for those who are there or for later.
    pub(super) reached: Likely,
}

/// Whether the server goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    /// Everything came to its end.
    Rest,
    /// It stopped in order.
    Stop,
    /// It died, and what it had not written yet is gone.
    Crash,
}

/// What was said of how much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) policy: Policy,
    /// How many results a page has at most.
    pub(super) page: usize,
    /// How many messages may wait for somebody.
    pub(super) owed: usize,
    /// How many an archive may have.
    pub(super) archived: usize,
    /// How many milliseconds an archive keeps them, and what is owed.
    pub(super) archive_ms: i64,
    pub(super) owed_ms: i64,
}

/// What is expected of an archive.
#[derive(Clone, Debug)]
struct Due {
    archived: Likely,
    /// By the clock of the server.
    stored: i64,
    why: String,
}

/// A request that was asked and not judged.
#[derive(Debug)]
enum Request {
    Carbons,
    Query(Box<Query>),
    /// Since when.
    ReadPrefs(Moment),
    SetPrefs,
    Other,
}

/// A query of an archive.
#[derive(Clone, Debug)]
struct Query {
    id: String,
    by: usize,
    account: usize,
    ask: Ask,
    /// What the client had seen of the archive before.
    seen: usize,
    /// How many entries were known when all was last at rest, and the first of them.
    known: (usize, usize),
    results: Vec<Entry>,
    fin: Option<Result<Fin, String>>,
    /// How often the client had turned copies on and off before it asked.
    changes: usize,
}

/// What one client had of archives.
#[derive(Debug, Default)]
struct Knowledge {
    /// Ids in the order in which they were seen.
    seen: Vec<String>,
    /// Those that came as results.
    paged: BTreeSet<String>,
    /// The numbers of the last that each client sent and this one got from what was owed.
    spooled: BTreeMap<usize, u32>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) bounds: Bounds,
    /// Messages that archives or spools may have.
    past: BTreeMap<String, Sent>,
    /// The id of a message in the archive of an account, or that it has none.
    ids: BTreeMap<(usize, String), Option<String>>,
    archives: Vec<Archive>,
    /// Accounts that may have been deleted since anybody read their archives.
    deleted: BTreeSet<usize>,
    dues: Vec<BTreeMap<String, Due>>,
    debts: Vec<Debts>,
    prefs: Vec<Place>,
    /// As they were last read.
    last_read: BTreeMap<usize, Prefs>,
    carbons: BTreeMap<usize, Carbons>,
    requests: BTreeMap<String, Request>,
    /// Answered, and to be judged at rest.
    answered: Vec<Query>,
    clients: BTreeMap<usize, Knowledge>,
}

/// What is known of a session in the time that is judged.
pub(super) struct Session {
    pub(super) client: usize,
    pub(super) account: usize,
    /// Whether it was there all the time.
    pub(super) there: Likely,
}

/// What is known around what is kept.
pub(super) struct Circumstances<'a> {
    pub(super) now: Moment,
    pub(super) ending: Ending,
    /// Sessions since a moment.
    pub(super) sessions: &'a dyn Fn(Moment) -> Vec<Session>,
    /// Whether the store may have kept an account from anything since a moment.
    pub(super) store_failed: &'a dyn Fn(usize, Moment) -> bool,
    /// Whether there may have been no such account since a moment.
    pub(super) may_have_gone: &'a dyn Fn(usize, Moment) -> bool,
    /// Whether somebody was in the roster of an account from a moment on.
    pub(super) listed: &'a dyn Fn(usize, &str, Moment) -> Likely,
    /// Whether a session of an account may have died and left to others what it had.
    pub(super) may_leave: &'a dyn Fn(usize) -> bool,
    /// Whether an account may have blocked somebody since a moment: what waited for a session is not told it then.
    pub(super) may_block: &'a dyn Fn(usize, &str, Moment) -> bool,
}

impl Circumstances<'_> {
    /// Whether the server may have died before it had written what came of a stanza.
    fn may_be_lost(&self, sent: &Sent) -> bool {
        self.ending == Ending::Crash && sent.receipt != Receipt::Handled
    }
}

/// So many messages as ever wait for anybody in a run.
const MANY: usize = 100;

impl Kept {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            past: BTreeMap::new(),
            ids: BTreeMap::new(),
            archives: NAMES.iter().map(|_| Archive::default()).collect(),
            deleted: BTreeSet::new(),
            dues: NAMES.iter().map(|_| BTreeMap::new()).collect(),
            debts: NAMES.iter().map(|_| Debts::default()).collect(),
            prefs: NAMES.iter().map(|_| Place::new(bounds.policy)).collect(),
            last_read: BTreeMap::new(),
            carbons: BTreeMap::new(),
            requests: BTreeMap::new(),
            answered: Vec::new(),
            clients: BTreeMap::new(),
        }
    }

    /// Whether an account may be owed as much as it may, `more` messages that perhaps wait included.
    pub(super) fn may_be_full(&self, account: usize, more: usize) -> bool {
        self.debts[account].count().1 + more >= self.bounds.owed
    }

    /// A message is in an archive by this id, or is not; so it is for all who see it.
    fn learn(
        &mut self,
        account: usize,
        mark: &str,
        (way, id): (Way, Option<&str>),
    ) -> Result<(), String> {
        // It may wait for somebody for longer than the archive has it.
        if way == Way::Spool && id.is_none() && self.bounds.may_forget() {
            return Ok(());
        }
        let known = self.ids.entry((account, mark.to_owned()));
        let known = known.or_insert_with(|| id.map(str::to_owned));
        match known.as_deref() == id {
            true => Ok(()),
            false => Err(format!("with the id {id:?}, which was {known:?} before")),
        }
    }

    /// Whether a client has read a message in the archive.
    pub(super) fn has_read(&self, account: usize, mark: &str, client: usize) -> bool {
        let id = self.ids.get(&(account, mark.to_owned()));
        let known = self.clients.get(&client);
        id.and_then(Option::as_ref)
            .is_some_and(|id| known.is_some_and(|known| known.paged.contains(id)))
    }

    /// Whether a client has copies on, in some span of time.
    fn copies(&self, client: usize, from: Moment, to: Moment) -> Likely {
        let carbons = self.carbons.get(&client);
        carbons.map_or(Likely::No, |carbons| carbons.during(from, to))
    }

    /// What became of all that was sent since the last time.
    pub(super) fn judge(
        &mut self,
        courses: Vec<Course>,
        around: &Circumstances<'_>,
    ) -> Result<(), String> {
        for course in courses {
            self.judge_copies(&course, around)?;
            self.expect(&course, around);
            let kind = course.sent.kind;
            let content = &course.sent.content;
            if content.is_archived(kind) || content.is_owed(kind) {
                self.past.insert(course.sent.mark.clone(), course.sent);
            }
        }
        Ok(())
    }

    /// XEP-0280 §6, §7: who has copies on has each message that is to be copied, once.
    fn judge_copies(&self, course: &Course, around: &Circumstances<'_>) -> Result<(), String> {
        let sent = &course.sent;
        let (sender, receiver) = (account_of(sent.account()), sent.receiver());
        for session in (around.sessions)(sent.at) {
            let client = session.client;
            if client == sent.by || sent.is_with(client) {
                continue;
            }
            let side = if Some(session.account) == receiver {
                course
                    .reached
                    .and(sent.content.is_copied_to_receiver(sent.kind).into())
            } else if Some(session.account) == sender {
                course.routed.and(sent.content.is_copied(sent.kind).into())
            } else {
                continue;
            };
            let copies = self.copies(client, sent.at, around.now);
            if (around.may_block)(session.account, &sent.from, sent.at) {
                continue;
            }
            if side.and(copies).and(session.there) == Likely::Yes {
                return Err(format!("client {client} never got a copy: {course:?}"));
            }
        }
        Ok(())
    }

    /// What is expected of archives and of what is owed.
    fn expect(&mut self, course: &Course, around: &Circumstances<'_>) {
        let sent = &course.sent;
        let archived = Likely::from(sent.content.is_archived(sent.kind));
        let sender = account_of(sent.account());
        let peer = sent.target().to_owned();
        if let (Some(account), false) = (sender, sent.is_to_self()) {
            let archived = archived.and(course.routed);
            self.expect_at(account, &peer, archived, course, around);
        }
        let Some(account) = sent.receiver() else {
            return;
        };
        // XEP-0441: "For incoming messages, the server MUST use the value of the 'from' attribute".
        let peer = sent.from.clone();
        // What its own account refuses again may be there all the same.
        let took = match course.reached {
            Likely::No if sent.is_to_self() => course.routed.unless(true),
            reached @ (Likely::No | Likely::Maybe | Likely::Yes) => reached,
        };
        let archived = self.expect_at(account, &peer, archived.and(took), course, around);
        let owed = course.reached.and(sent.content.is_owed(sent.kind).into());
        let owed = owed.and(sent.delivered.is_empty().into());
        // Who got it and is gone may have said so; where one died, nobody can tell how much waited already.
        let left = (around.may_leave)(account);
        let owed = owed.unless(sent.may_have_come() || left && self.bounds.owed < MANY);
        if owed == Likely::No || !sent.lapsed.is_empty() && !sent.answers.is_empty() {
            return;
        }
        let doubt = around.may_be_lost(sent)
            || (around.store_failed)(account, sent.at)
            || (around.may_have_gone)(account, sent.at);
        let copied = sent.copied.iter().filter(|(_, way)| *way == Way::Received);
        let debt = Debt {
            owed: owed.unless(doubt),
            from: sent.from.clone(),
            at: sent.at,
            stored: sent.clock,
            archived,
            noted: Noted::Surely,
            left: left.into(),
            handed: sent.spooled.clone(),
            copied: copied.map(|(client, _)| *client).collect(),
            passed: Vec::new(),
        };
        self.debts[account].add(sent.mark.clone(), debt);
    }

    fn expect_at(
        &mut self,
        account: usize,
        peer: &str,
        archived: Likely,
        course: &Course,
        around: &Circumstances<'_>,
    ) -> Likely {
        let at = course.sent.at;
        let listed = |peer: &str| (around.listed)(account, peer, at);
        let allowed = self.prefs[account].allow(peer, (at, around.now), listed);
        let doubt = around.may_be_lost(&course.sent)
            || (around.store_failed)(account, at)
            || (around.may_have_gone)(account, at);
        let archived = archived.and(allowed).unless(doubt);
        let due = Due {
            archived,
            stored: course.sent.clock,
            why: format!("{course:?}, allowed: {allowed:?}"),
        };
        self.dues[account].insert(course.sent.mark.clone(), due);
        archived
    }

    /// An account is to be deleted, with all that it keeps.
    pub(super) fn deleted(&mut self, at: Moment, account: usize, id: &str) {
        let prefs = Prefs::new(self.bounds.policy);
        self.prefs[account].asked(at, id.to_owned(), None, prefs);
    }

    /// What has this id was done, or surely was not.
    pub(super) fn settled(&mut self, now: Moment, id: &str, done: Option<bool>) {
        let outcome = match done {
            Some(true) => Outcome::Done,
            Some(false) => Outcome::Refused,
            None => return,
        };
        for place in &mut self.prefs {
            place.becomes(now, id, outcome);
        }
    }

    /// A client is gone that had a message out of what was owed.
    pub(super) fn lapses(&mut self, account: usize, mark: &str, client: usize, lapse: Lapse) {
        self.debts[account].lapses(mark, client, lapse);
    }

    /// The server died.
    fn crash(&mut self, now: Moment) {
        self.carbons.clear();
        for debts in &mut self.debts {
            debts.crash();
        }
        for place in &mut self.prefs {
            place.settle(now);
        }
        self.requests.clear();
        // Copies come no more, but what was read was there.
        for query in &mut self.answered {
            query.changes = 0;
        }
    }
}

/// What the hosts of a run say of how much is kept: often so little that it is reached.
pub(super) fn bounds(random: &mut Random, config: &mut Config) -> Bounds {
    let policy = random.pick(&[
        Policy::Always,
        Policy::Always,
        Policy::Always,
        Policy::Roster,
        Policy::Never,
    ]);
    let page = random.pick(&[20, 20, 20, 4]);
    let owed = random.pick(&[100, 100, 100, 3]);
    let archived = random.pick(&[1_000_000, 1_000_000, 1_000_000, 16]);
    // Looked after each hour, and five minutes after the start.
    let minutes = |random: &mut Random| random.pick(&[None, None, None, Some(10)]);
    let (archive, offline) = (minutes(random), minutes(random));
    let expiry = |minutes: Option<u64>| match minutes {
        Some(minutes) => Expiry::After(Duration::from_secs(minutes * 60)),
        None => Expiry::Never,
    };
    for host in config.accounts_mut() {
        host.archive = ArchiveOptions {
            policy: policy.option(),
            max_results: page,
            max_messages: archived,
            max_offline: owed,
            expires_after: expiry(archive),
            offline_expires_after: expiry(offline),
            ..ArchiveOptions::default()
        };
    }
    let ms = |minutes: Option<u64>| {
        let ms = minutes.and_then(|minutes| i64::try_from(minutes * 60_000).ok());
        ms.unwrap_or(i64::MAX / 2)
    };
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Bounds {
        policy,
        page: count(page),
        owed: count(owed),
        archived: usize::try_from(archived).unwrap_or(usize::MAX),
        archive_ms: ms(archive),
        owed_ms: ms(offline),
    }
}
