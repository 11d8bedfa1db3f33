//! Messages that wait for who is away (XEP-0160), and how they are told: to one session, in order, page by page, before what comes live.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::archive::ArchiveRead;
use super::choose::{Recipients, Unreached};
use super::redeliver::bounce;
use super::session::Telling;
use super::{Account, Addressed, Cx, Read, Saying, SessionKey};
use crate::archive::ARCHIVE;
use crate::effects::Stored;
use crate::jid::Jid;
use crate::limits::{
    CATCHING_UP_BYTES, CATCHING_UP_PAGES, CATCHING_UP_STANZAS, CATCHING_UP_TOLD_BYTES,
    FETCHED_RANGES, OFFERS, STORE_OWED_BYTES, STORE_PAGE_ENTRIES,
};
use crate::port::ConnId;
use crate::sm::Piece;
use crate::stanza::{self, Kind, Stanza, write_stored_message};
use crate::store::{Class, Entry, Kept, Op, Order, Owed, Page, Pick, Reply, StoreError};
use crate::time::Now;

/// What waits for the account.
#[derive(Debug, Default)]
pub(super) struct Offline {
    /// How much of it.
    pub(super) owed: Owed,
    /// Who is told it.
    claim: Option<Box<Claim>>,
}

/// A session that is told what waits.
#[derive(Debug)]
struct Claim {
    by: SessionKey,
    /// Up to here all of it is at the client.
    done: Option<i64>,
    /// The last key that was given out when the page was asked for: what is behind it was not read.
    last: Option<i64>,
    stage: Stage,
}

/// How far it has come.
#[derive(Debug)]
enum Stage {
    /// A page is being read; so often the store was too busy for it.
    Reading(u8),
    /// It is to be read again, having been asked for so often.
    Again(u8),
    /// One was written, up to this key, and is not with the client yet.
    Writing(Written),
}

#[derive(Clone, Copy, Debug)]
struct Written {
    upto: Option<i64>,
    owed: Owed,
    more: bool,
}

/// How messages reach a session.
#[derive(Debug, Default)]
pub(super) enum Delivery {
    /// At once.
    #[default]
    Live,
    /// Behind those that waited, which it is being told.
    CatchingUp(Box<Behind>),
}

/// What a session was to be told meanwhile, of whatever kind: it comes behind, so that nothing overtakes a message of its sender, and no page
/// of the archive what is in it. Only what the server answers comes at once.
#[derive(Debug, Default)]
pub(super) struct Behind {
    told: VecDeque<(Arc<Stanza>, Telling)>,
    /// How many of them are messages.
    messages: usize,
    bytes: usize,
    /// What it asked its archive. Who acknowledges nothing is read no further until it has the answer.
    pages: VecDeque<Answered>,
}

/// A question that was answered, and what the store said.
type Answered = (Box<ArchiveRead>, Result<Vec<Reply>, StoreError>);

/// Whether a session has room for what is to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Room {
    Some,
    /// It ends.
    None,
}

/// What a session has seen of the archive: ranges of keys, of which it was sent all that there is. What waits is not sent to it again, if it
/// is in one of them (XEP-0313 §6.1.1).
#[derive(Debug, Default)]
pub(super) struct Fetched(Vec<RangeInclusive<i64>>);

impl Fetched {
    /// Another range. One that was too much is forgotten: what is in it is sent once more.
    pub(super) fn insert(&mut self, range: RangeInclusive<i64>) {
        if let Some(last) = self.0.last_mut() {
            // Page after page, in either direction.
            if *range.start() <= last.end().saturating_add(1) && range.end() >= last.end() {
                *last = *last.start().min(range.start())..=*range.end();
                return;
            }
            if range.end().saturating_add(1) >= *last.start() && range.start() <= last.start() {
                *last = *range.start()..=*last.end().max(range.end());
                return;
            }
        }
        if self.0.len() >= FETCHED_RANGES {
            self.0.remove(0);
        }
        self.0.push(range);
    }

    pub(super) fn has(&self, key: i64) -> bool {
        self.0.iter().any(|range| range.contains(&key))
    }
}

impl Delivery {
    /// The session is over: what it was not told.
    pub(super) fn take_behind(&mut self) -> VecDeque<(Arc<Stanza>, Telling)> {
        match core::mem::take(self) {
            Self::CatchingUp(behind) => behind.told,
            Self::Live => VecDeque::new(),
        }
    }
}

impl Behind {
    /// Whether no more is to be put behind it.
    fn is_full(&self) -> bool {
        self.messages >= CATCHING_UP_STANZAS || self.bytes >= CATCHING_UP_BYTES
    }

    /// Whether something of this sender waits.
    fn has_of(&self, from: &str) -> bool {
        let is_of = |stanza: &Stanza| stanza.cause().is_some_and(|cause| cause.bare() == from);
        self.told.iter().any(|(stanza, _)| is_of(stanza))
    }

    /// One stanza more.
    pub(super) fn hold(&mut self, stanza: Arc<Stanza>, told: Telling) -> Room {
        self.bytes = self.bytes.saturating_add(stanza.size());
        if matches!(stanza.kind(), Kind::Message(_)) {
            self.messages = self.messages.saturating_add(1);
        }
        self.told.push_back((stanza, told));
        self.room()
    }

    // Messages are refused long before.
    const fn room(&self) -> Room {
        if self.bytes > CATCHING_UP_TOLD_BYTES {
            Room::None
        } else {
            Room::Some
        }
    }
}

impl Offline {
    /// Whether no more is taken.
    pub(super) const fn is_full(&self, most: u32) -> bool {
        self.owed.entries >= most || self.owed.bytes >= STORE_OWED_BYTES
    }
}

impl Account {
    /// The key of the next entry of its archive: time, but never back.
    pub(super) fn next_key(&mut self, now: Now) -> i64 {
        let clock = now.wall.0.saturating_mul(1000);
        let next = self
            .spool
            .last
            .map_or(clock, |last| last.saturating_add(1).max(clock));
        self.spool.last = Some(next);
        next
    }

    /// Whether a message is to wait: nobody is there, or the only one who is hears first what waited before.
    pub(super) fn owes(&self, from: &Jid, recipients: &Recipients) -> bool {
        match recipients {
            Recipients::Unreached(Unreached::Away) => true,
            Recipients::One(one) => {
                let session = self.session_by_key(*one);
                session.is_some_and(|session| match &session.delivery {
                    // Behind what its sender said before.
                    Delivery::CatchingUp(behind) => !behind.has_of(from.bare()),
                    Delivery::Live => false,
                })
            }
            Recipients::Each(_) | Recipients::Unreached(_) => false,
        }
    }

    /// Whether one of those who would get a message is still told what waited, and as much as may wait behind that does so already.
    pub(super) fn is_far_behind(&self, recipients: &Recipients, copies: &[SessionKey]) -> bool {
        if self.offline.claim.is_none() {
            return false;
        }
        let is_far = |key: &SessionKey| {
            let session = self.session_by_key(*key);
            session.is_some_and(|session| match &session.delivery {
                Delivery::CatchingUp(behind) => behind.is_full(),
                Delivery::Live => false,
            })
        };
        let chosen = match recipients {
            Recipients::One(one) => core::slice::from_ref(one),
            Recipients::Each(each) => each,
            Recipients::Unreached(_) => &[],
        };
        chosen.iter().chain(copies).any(is_far)
    }

    /// These sessions have a copy of what is owed: it is not for them any more.
    pub(super) fn remember_copies(&mut self, copies: &[SessionKey], key: Option<i64>) {
        let Some(key) = key else {
            return;
        };
        for copy in copies {
            if let Some(session) = self.session(*copy) {
                session.copied.insert(key);
            }
        }
    }

    /// A session is there to be told what waits, if anything does (XEP-0160 §2: "non-negative available presence").
    pub(super) fn claim(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        if self.offline.claim.is_some() || self.offline.owed.entries == 0 {
            return;
        }
        // Behind what it is told by this call.
        cx.catch_up(key);
        self.offline.claim = Some(Box::new(Claim {
            by: key,
            done: self.spool.done,
            last: None,
            stage: Stage::Reading(0),
        }));
        self.read_owed(cx, 0);
    }

    /// Somebody else than a session that is over, if anybody is there.
    fn claim_again(&mut self, cx: &mut Cx<'_>) {
        let next = self
            .sessions
            .iter()
            .find(|s| s.priority().is_some_and(|p| p >= 0));
        if let Some(next) = next.map(|session| session.key) {
            self.claim(cx, next);
        }
    }

    fn read_owed(&mut self, cx: &mut Cx<'_>, refused: u8) {
        let last = self.spool.last;
        let Some(claim) = &mut self.offline.claim else {
            return;
        };
        claim.last = last;
        claim.stage = Stage::Reading(refused);
        let (key, done) = (claim.by, claim.done);
        let pick = Pick {
            kept: Kept::Owed,
            peer: None,
            ids: None,
            after: done,
            before: None,
            upto: last.unwrap_or(i64::MIN),
            order: Order::Forward,
            limit: STORE_PAGE_ENTRIES,
        };
        let page = Op::Page {
            log: ARCHIVE,
            pick: Box::new(pick),
        };
        cx.read(Class::Page, [page].into(), Read::Owed(key));
    }

    /// Whether the store is to be asked again in a while.
    pub(crate) fn reads_owed_again(&self) -> bool {
        let claim = self.offline.claim.as_ref();
        claim.is_some_and(|claim| matches!(claim.stage, Stage::Again(_)))
    }

    /// That while is over.
    pub(crate) fn read_owed_again(&mut self, cx: &mut Cx<'_>) {
        if let Some(claim) = &self.offline.claim
            && let Stage::Again(refused) = claim.stage
        {
            self.read_owed(cx, refused);
        }
    }

    /// A page of what waits came.
    pub(super) fn owed_came(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let claim = self.offline.claim.as_mut();
        let Some(claim) = claim.filter(|claim| claim.by == key) else {
            // That session is over.
            return;
        };
        if let (Stage::Reading(refused), Err(StoreError::Busy)) = (&claim.stage, &outcome)
            && *refused < OFFERS
        {
            claim.stage = Stage::Again(refused.saturating_add(1));
            return;
        }
        let Ok(Some(Reply::Page(page))) = outcome.map(|mut replies| replies.pop()) else {
            // It stays where it is, for the next who comes.
            return self.give_up(cx, key);
        };
        let (stored, written) = self.write_owed(cx, key, &page);
        if let Some(claim) = &mut self.offline.claim {
            claim.stage = Stage::Writing(written);
        }
        cx.tell_stored(key, stored);
    }

    /// What of a page goes to the client.
    fn write_owed(&self, cx: &Cx<'_>, key: SessionKey, page: &Page) -> (Stored, Written) {
        let session = self.session_by_key(key);
        let mut xml = Vec::new();
        let mut ends = Vec::new();
        let mut owed = Owed::default();
        for entry in &page.entries {
            owed.count(entry.payload.len());
            let again = self.told_before(cx, entry);
            let archived = match (&again, entry.kept) {
                (Some(again), _) => again.archived,
                (None, Kept::Both) => Some(entry.key),
                (None, Kept::Archived | Kept::Owed) => None,
            };
            let has = session.is_some_and(|session| {
                archived.is_some_and(|key| session.fetched.has(key))
                    || session.copied.contains(&entry.key)
            });
            if !has && !entry.payload.is_empty() {
                match again {
                    Some(again) => xml.extend_from_slice(&again.xml),
                    None => self.write_entry(cx, entry, &mut xml),
                }
                ends.push((xml.len(), Some(entry.key)));
            }
        }
        let written = Written {
            upto: page.entries.last().map(|entry| entry.key),
            owed,
            more: page.more,
        };
        let xml = xml.into();
        (Stored { xml, ends }, written)
    }

    /// With the time since when it waited (XEP-0160 §2, XEP-0203), and its id if it is in the archive.
    fn write_entry(&self, cx: &Cx<'_>, entry: &Entry, xml: &mut Vec<u8>) {
        let mut more = Vec::with_capacity(256);
        stanza::delay(&mut more, Some(self.jid.domain()), entry.key);
        if entry.kept.meets(Kept::Archived) {
            more.extend_from_slice(&self.stanza_id(cx, entry.key));
        }
        write_stored_message(&entry.payload.joined(), &more, xml);
    }

    /// A client has acknowledged what was owed, up to this key.
    pub(super) fn owed_acked(&mut self, cx: &mut Cx<'_>, key: SessionKey, upto: i64) {
        let claim = self.offline.claim.as_mut();
        if let Some(claim) = claim.filter(|claim| claim.by == key)
            && claim.done < Some(upto)
        {
            claim.done = Some(upto);
            self.mark_done(cx, Some(upto));
        }
    }

    /// Up to here nothing is owed any more.
    fn mark_done(&mut self, cx: &mut Cx<'_>, done: Option<i64>) {
        self.spool.done = done;
        self.keep_spool(cx);
        // What is not owed any more need not be kept from anybody.
        for session in self.sessions.iter_mut().filter(|s| !s.copied.is_empty()) {
            session.copied.retain(|key| Some(*key) > done);
        }
    }

    /// All that was written to a session is with its client.
    pub(crate) fn drained(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(claim) = self.offline.claim.as_mut().filter(|claim| claim.by == key) else {
            return;
        };
        let Stage::Writing(written) = claim.stage else {
            return;
        };
        let done = written.upto.or(claim.done);
        let (has_more, last) = (written.more, claim.last);
        if done != claim.done {
            claim.done = done;
            self.mark_done(cx, done);
        }
        let owed = &mut self.offline.owed;
        owed.entries = owed.entries.saturating_sub(written.owed.entries);
        owed.bytes = owed.bytes.saturating_sub(written.owed.bytes);
        // What came since it was asked for waits behind it.
        if has_more || owed.entries > 0 && last < self.spool.last {
            return self.read_owed(cx, 0);
        }
        self.offline.owed = Owed::default();
        self.offline.claim = None;
        self.go_live(cx, key);
    }

    /// What waits cannot be read: live messages come all the same.
    fn give_up(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        self.offline.claim = None;
        self.go_live(cx, key);
    }

    fn go_live(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(session) = self.session(key) else {
            return;
        };
        session.copied = BTreeSet::new();
        let Delivery::CatchingUp(behind) = core::mem::take(&mut session.delivery) else {
            return;
        };
        for (stanza, told) in behind.told {
            if self.is_withheld(&stanza) {
                self.withhold(cx, &stanza, &told);
                continue;
            }
            // That it is over was told at once: nobody is seen behind that.
            if self.is_still_shown(&stanza, &told.to) {
                let late = Saying::Late(key, stanza, Box::new(told));
                cx.spoken.said.push(late);
            }
        }
        if let Some(conn) = self.conn_of(key).filter(|_| !behind.pages.is_empty()) {
            self.go_on(conn);
        }
        for (read, outcome) in behind.pages {
            self.archive_came(cx, *read, outcome);
        }
    }

    /// Whether it is from somebody who was blocked since it came, of which the session knows by then (XEP-0191 §3.3). What answers the
    /// user's own words is told.
    fn is_withheld(&self, stanza: &Stanza) -> bool {
        let is_answer = !stanza.kind().may_be_refused();
        // A copy is from the account itself.
        !is_answer && stanza.cause().is_some_and(|cause| self.blocks(cause))
    }

    /// Does with it as if the session were over that was to be told it.
    fn withhold(&mut self, cx: &mut Cx<'_>, stanza: &Arc<Stanza>, told: &Telling) {
        match stanza.kind() {
            // Nobody else has it, whether or not its session acknowledges.
            Kind::Iq(_) => bounce(cx, stanza),
            Kind::Message(_) | Kind::Presence(_) => {
                self.redeliver(cx, Piece::new(stanza, None, told.fate));
            }
        }
    }

    /// Whether what was held back may be told: presence of somebody that the account still sees, and all else.
    fn is_still_shown(&self, stanza: &Stanza, to: &Addressed) -> bool {
        match (stanza.kind(), to) {
            (Kind::Presence(kind), Addressed::At(to)) => self.is_shown(kind, stanza, to),
            (Kind::Iq(_) | Kind::Message(_) | Kind::Presence(_), _) => true,
        }
    }

    /// Whether a session is still told what waited.
    pub(super) fn is_catching_up(&self, key: SessionKey) -> bool {
        let session = self.session_by_key(key);
        session.is_some_and(|session| matches!(session.delivery, Delivery::CatchingUp(_)))
    }

    /// Whether so many answers wait for a session that it is given no more of them.
    pub(super) fn has_enough_behind(&self, key: SessionKey) -> bool {
        let session = self.session_by_key(key);
        session.is_some_and(|session| match &session.delivery {
            Delivery::CatchingUp(behind) => behind.pages.len() >= CATCHING_UP_PAGES,
            Delivery::Live => false,
        })
    }

    /// Puts the answer to a query behind what a session is still to be told. Gives back the connection that may go on: that it has what
    /// waited, its client says behind the query.
    pub(super) fn put_behind(
        &mut self,
        read: Box<ArchiveRead>,
        outcome: Result<Vec<Reply>, StoreError>,
    ) -> Option<ConnId> {
        let key = read.by;
        let acknowledges = self.is_managed(key);
        let Delivery::CatchingUp(behind) = &mut self.session(key)?.delivery else {
            return None;
        };
        behind.pages.push_back((read, outcome));
        let conn = self.conn_of(key).filter(|_| acknowledges)?;
        self.go_on(conn);
        Some(conn)
    }

    /// A session is over: what it was not told is for the next.
    pub(super) fn unclaim(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        if self
            .offline
            .claim
            .take_if(|claim| claim.by == key)
            .is_some()
        {
            self.claim_again(cx);
        }
    }

    /// Messages that were to wait are not on the disk.
    pub(crate) fn append_failed(&mut self, failed: Owed) {
        let owed = &mut self.offline.owed;
        owed.entries = owed.entries.saturating_sub(failed.entries);
        owed.bytes = owed.bytes.saturating_sub(failed.bytes);
    }
}
