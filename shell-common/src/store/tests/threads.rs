//! What the threads do: order, groups, bounds, the end. A gate in the back end stands for a slow disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use spondee_core::arena::Arena;
use spondee_core::limits::{STORE_ALONE_BYTES, STORE_BATCH_BYTES, StoreCredit};
use spondee_core::port::Ticket;
use spondee_core::store::{Entry, Kept, Order, Payload, Pick};

use super::super::lanes::{Job, Lanes, Server};
use super::super::{Begun, Quiet, Store, StoreCounters, Tended};
use super::*;
use crate::limits::{STORE_GATHER_OPS, STORE_GROUP_BYTES, STORE_PATIENT_READS, STORE_WAKE_FOR};
use crate::mailbox::{Letter, Mailbox};

/// Each call of `apply` announces its batches, then waits for a word. Readers wait on words of their own.
#[derive(Debug)]
struct Gate {
    inner: Memory,
    entered: Sender<Vec<Batch>>,
    words: Arc<Mutex<Receiver<Word>>>,
    readers: Readers,
}

#[derive(Clone, Copy, Debug)]
enum Word {
    Go,
    LoseTrack,
    Panic,
}

#[derive(Clone, Debug)]
enum Readers {
    None,
    Gated(Sender<Vec<Batch>>, Arc<Mutex<Receiver<Word>>>),
}

/// The test's side of a gate.
struct Keeper {
    entered: Receiver<Vec<Batch>>,
    words: Sender<Word>,
}

impl Keeper {
    /// Waits until a group is being applied; the thread stands still then.
    fn group(&self) -> Vec<Batch> {
        self.entered.recv().unwrap()
    }

    fn say(&self, word: Word) {
        self.words.send(word).unwrap();
    }
}

type Locks = (Sender<Vec<Batch>>, Arc<Mutex<Receiver<Word>>>);

fn gate() -> (Locks, Keeper) {
    let (entered, entered_rx) = channel();
    let (words_tx, words) = channel();
    let keeper = Keeper {
        entered: entered_rx,
        words: words_tx,
    };
    ((entered, Arc::new(Mutex::new(words))), keeper)
}

impl Backend for Gate {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Result<Vec<Reply>, StoreError>> {
        // A back end that panicked is asked to roll back.
        if batches.is_empty() {
            return Vec::new();
        }
        let _ = self.entered.send(batches.to_vec());
        // A keeper that is gone lets everything pass.
        let word = self.words.lock().unwrap().recv();
        match word.unwrap_or(Word::Go) {
            Word::Go => self.inner.apply(batches),
            Word::LoseTrack => batches.iter().map(|_| Err(StoreError::Unknown)).collect(),
            Word::Panic => panic!("as the test wants"),
        }
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        let Readers::Gated(entered, words) = &self.readers else {
            return None;
        };
        Some(Box::new(Self {
            inner: self.inner.clone(),
            entered: entered.clone(),
            words: words.clone(),
            readers: Readers::None,
        }))
    }
}

fn gated() -> (Store, Keeper) {
    let ((entered, words), writer) = gate();
    let backend = Gate {
        inner: Memory::default(),
        entered,
        words,
        readers: Readers::None,
    };
    (Store::start(Box::new(backend), 1), writer)
}

fn gated_readers() -> (Store, Keeper, Keeper) {
    let ((entered, words), writer) = gate();
    let ((reader_entered, reader_words), reader) = gate();
    let backend = Gate {
        inner: Memory::default(),
        entered,
        words,
        readers: Readers::Gated(reader_entered, reader_words),
    };
    (Store::start(Box::new(backend), 1), writer, reader)
}

/// A mailbox that passes letters on as they were posted.
#[derive(Debug)]
struct Post(Mutex<Sender<Vec<Letter>>>);

impl Mailbox for Post {
    fn post(&self, letters: Vec<Letter>) {
        let _ = self.0.lock().unwrap().send(letters);
    }
}

/// One shard: its mailbox and its tickets, which count from 0.
pub(super) struct Shard {
    pub(super) mailbox: Arc<dyn Mailbox>,
    posts: Receiver<Vec<Letter>>,
    pub(super) tickets: Arena<Ticket, ()>,
}

impl Shard {
    pub(super) fn new() -> Self {
        let (sender, posts) = channel();
        Self {
            mailbox: Arc::new(Post(Mutex::new(sender))),
            posts,
            tickets: Arena::default(),
        }
    }

    fn submit(&mut self, store: &Store, owner: &str, ops: Vec<Op>) -> Result<(), StoreError> {
        let ticket = self.tickets.insert(());
        store.submit(&self.mailbox, ticket, batch(owner, ops))
    }

    /// The next post: numbers of the submissions with their outcomes.
    pub(super) fn post(&self) -> Vec<(usize, Result<Vec<Reply>, StoreError>)> {
        let letters = self.posts.recv().unwrap();
        letters.into_iter().map(read).collect()
    }
}

fn read(letter: Letter) -> (usize, Result<Vec<Reply>, StoreError>) {
    use spondee_core::arena::ArenaKey as _;
    match letter {
        Letter::Stored(ticket, outcome) => (ticket.key().index(), outcome),
        Letter::Census
        | Letter::Command(..)
        | Letter::Derived(..)
        | Letter::Evict(_)
        | Letter::Handshake(..)
        | Letter::Judged(..)
        | Letter::Resolved(..) => {
            panic!("{letter:?}")
        }
    }
}

pub(super) fn write() -> Vec<Op> {
    vec![put("k", "v", Expect::Anything)]
}

fn done() -> Result<Vec<Reply>, StoreError> {
    Ok(vec![Reply::Done])
}

fn value(text: &'static str) -> Result<Vec<Reply>, StoreError> {
    Ok(vec![Reply::Row(Some(note("k", text)))])
}

#[test]
fn what_queues_during_a_commit_is_one_commit_and_one_post() {
    let (store, writer) = gated();
    let mut shard = Shard::new();
    shard.submit(&store, "a@x.example", write()).unwrap();
    assert_eq!(writer.group().len(), 1, "an idle store does not wait");
    for n in 0..10 {
        let owner = format!("u{n}@x.example");
        shard.submit(&store, &owner, write()).unwrap();
    }
    writer.say(Word::Go);
    assert_eq!(shard.post(), [(0, done())]);
    assert_eq!(writer.group().len(), 10);
    writer.say(Word::Go);
    let numbers: Vec<_> = shard.post().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
    store.stop();
    let expected = StoreCounters {
        commits: 2,
        batches: 11,
        reads: 0,
        loads: 0,
    };
    assert_eq!(store.counters(), expected);
}

#[test]
fn each_mailbox_gets_its_own_answers() {
    let (store, writer) = gated();
    let (mut one, mut two) = (Shard::new(), Shard::new());
    one.submit(&store, "a@x.example", write()).unwrap();
    writer.group();
    one.submit(&store, "a@x.example", vec![get("k")]).unwrap();
    two.submit(&store, "b@x.example", write()).unwrap();
    one.submit(&store, "c@x.example", write()).unwrap();
    writer.say(Word::Go);
    writer.say(Word::Go);
    assert_eq!(one.post(), [(0, done())]);
    assert_eq!(one.post(), [(2, done()), (1, value("v"))]);
    assert_eq!(two.post(), [(0, done())]);
}

#[test]
fn a_read_does_not_overtake_its_owners_write() {
    let (store, writer, reader) = gated_readers();
    let mut shard = Shard::new();
    shard.submit(&store, "a@x.example", write()).unwrap();
    writer.group();
    shard.submit(&store, "a@x.example", vec![get("k")]).unwrap();
    // Another owner's read is served meanwhile.
    shard.submit(&store, "b@x.example", vec![get("k")]).unwrap();
    assert_eq!(reader.group()[0].owner, jid("b@x.example"));
    reader.say(Word::Go);
    assert_eq!(shard.post(), [(2, Ok(vec![Reply::Row(None)]))]);
    writer.say(Word::Go);
    assert_eq!(shard.post(), [(0, done())]);
    // The writer does not read for others.
    assert_eq!(reader.group()[0].owner, jid("a@x.example"));
    reader.say(Word::Go);
    assert_eq!(shard.post(), [(1, value("v"))]);
}

/// Jobs of one owner, and who serves them.
pub(super) struct Play {
    pub(super) lanes: Lanes,
    mailbox: Arc<dyn Mailbox>,
    tickets: Arena<Ticket, ()>,
}

pub(super) const QUICK: Server = Server::Reader(0);
pub(super) const OTHER: Server = Server::Reader(1);

impl Play {
    pub(super) fn new() -> Self {
        let mut lanes = Lanes::new(2, 1);
        for server in [Server::Writer, QUICK, OTHER] {
            lanes.sleeps(server);
        }
        Self {
            lanes,
            mailbox: Shard::new().mailbox,
            tickets: Arena::default(),
        }
    }

    pub(super) fn submit(&mut self, owner: &str, class: Class, ops: Vec<Op>) -> Option<Server> {
        self.try_submit(owner, class, ops).unwrap()
    }

    fn try_submit(
        &mut self,
        owner: &str,
        class: Class,
        ops: Vec<Op>,
    ) -> Result<Option<Server>, StoreError> {
        let job = Job {
            mailbox: self.mailbox.clone(),
            ticket: self.tickets.insert(()),
            batch: Batch {
                class,
                ..batch(owner, ops)
            },
            begun: Begun::default(),
        };
        self.lanes.submit(job)
    }

    pub(super) fn take(&mut self, server: Server) -> Vec<Batch> {
        self.lanes
            .take(server)
            .into_iter()
            .map(|job| job.batch)
            .collect()
    }
}

#[test]
fn a_parked_read_goes_to_a_reader_when_the_write_before_it_is_answered() {
    let mut play = Play::new();
    let a = "a@x.example";
    assert_eq!(play.submit(a, Class::Change, write()), Some(Server::Writer));
    assert_eq!(play.submit(a, Class::SignIn, vec![get("k")]), None);
    assert_eq!(play.submit(a, Class::Change, write()), None);
    let written = play.take(Server::Writer);
    assert_eq!(written.len(), 1, "a write behind a read waits for it");
    assert_eq!(play.lanes.answered(&written), [QUICK]);
    let read = play.take(QUICK);
    // It is still awake: nobody must wake it.
    assert_eq!(play.lanes.answered(&read), []);
    assert_eq!(play.take(Server::Writer).len(), 1);
}

#[test]
fn reads_of_one_owner_are_answered_in_their_order_whichever_reader_is_quicker() {
    let mut play = Play::new();
    let a = "a@x.example";
    assert_eq!(play.submit(a, Class::SignIn, vec![get("k")]), Some(QUICK));
    assert_eq!(play.submit(a, Class::SignIn, vec![get("l")]), None);
    let first = play.take(QUICK);
    assert_eq!(play.take(OTHER).len(), 0, "the second waits for the first");
    assert_eq!(play.lanes.answered(&first), [], "who answered it goes on");
    assert_eq!(play.take(QUICK).len(), 1);
}

#[test]
fn another_reader_is_woken_for_many_rows_or_where_one_reads_long() {
    let sign_in = |play: &mut Play, n: usize| {
        let owner = format!("s{n}@x.example");
        play.submit(&owner, Class::SignIn, vec![get("k")])
    };
    let mut play = Play::new();
    assert_eq!(sign_in(&mut play, 0), Some(QUICK));
    assert_eq!(play.take(QUICK).len(), 1);
    for n in 1..=STORE_WAKE_FOR {
        assert_eq!(sign_in(&mut play, n), None);
    }
    assert_eq!(sign_in(&mut play, STORE_WAKE_FOR + 1), Some(OTHER));
    let mut play = Play::new();
    let load = play.submit("l@x.example", Class::Load, vec![Op::Load]);
    assert_eq!(load, Some(QUICK));
    assert_eq!(play.take(QUICK).len(), 1);
    assert_eq!(sign_in(&mut play, 0), Some(OTHER));
}

#[test]
fn a_write_does_not_wait_for_a_page() {
    let mut play = Play::new();
    let a = "a@x.example";
    assert_eq!(play.submit(a, Class::Page, vec![get("k")]), Some(OTHER));
    assert_eq!(play.submit(a, Class::Change, write()), Some(Server::Writer));
    // But a page waits for the writes before it.
    assert_eq!(play.submit(a, Class::Page, vec![get("k")]), None);
    assert_eq!(play.take(OTHER).len(), 1);
    let written = play.take(Server::Writer);
    play.lanes.answered(&written);
    assert_eq!(play.take(OTHER).len(), 1);
}

#[test]
fn sign_ins_have_a_reader_of_their_own_and_go_first_at_the_other() {
    let mut play = Play::new();
    for n in 0..20 {
        let owner = format!("p{n}@x.example");
        play.submit(&owner, Class::Page, vec![get("k")]);
    }
    assert_eq!(play.take(QUICK).len(), 0);
    let sign_in = |play: &mut Play, n| {
        let owner = format!("s{n}@x.example");
        play.submit(&owner, Class::SignIn, vec![get("k")])
    };
    assert_eq!(sign_in(&mut play, 0), Some(QUICK));
    assert_eq!(play.take(QUICK).len(), 1);
    assert_eq!(sign_in(&mut play, 1), None, "both are awake");
    assert_eq!(sign_in(&mut play, 2), None);
    assert_eq!(play.take(OTHER).len(), 2, "before any page");
    assert_eq!(play.take(OTHER).len(), STORE_PATIENT_READS);
}

fn page() -> Vec<Op> {
    let pick = Pick {
        kept: Kept::Archived,
        peer: None,
        ids: None,
        after: None,
        before: None,
        upto: 9,
        order: Order::Forward,
        limit: 50,
    };
    let pick = Box::new(pick);
    vec![Op::Page { log: LOG, pick }]
}

#[test]
fn a_page_that_is_not_ready_goes_behind_the_others() {
    let mut play = Play::new();
    for owner in ["a@x.example", "b@x.example"] {
        play.submit(owner, Class::Page, page());
    }
    play.submit("c@x.example", Class::Change, vec![get("k")]);
    let mut first = play.lanes.take(OTHER);
    assert_eq!(first.len(), 1, "each page by itself");
    let first = first.remove(0);
    assert_eq!(first.batch.owner, jid("a@x.example"));
    play.lanes.put_back(first);
    let mut turn = || play.take(OTHER).remove(0).owner;
    assert_eq!(turn(), jid("b@x.example"));
    assert_eq!(turn(), jid("c@x.example"));
    assert_eq!(turn(), jid("a@x.example"));
}

/// Pages take three steps.
#[derive(Debug)]
struct Slow(Memory, u8);

impl Backend for Slow {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Result<Vec<Reply>, StoreError>> {
        self.0.apply(batches)
    }

    fn page(&mut self, batch: &Batch, _: &mut Begun) -> Option<Result<Vec<Reply>, StoreError>> {
        self.1 += 1;
        (self.1.is_multiple_of(3)).then(|| self.0.apply(std::slice::from_ref(batch)).remove(0))
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        Some(Box::new(Self(self.0.clone(), 0)))
    }
}

#[test]
fn every_page_is_answered_once_also_at_the_end() {
    let store = Store::start(Box::new(Slow(Memory::default(), 0)), 1);
    let mut shard = Shard::new();
    for number in 0..20 {
        let ticket = shard.tickets.insert(());
        let batch = Batch {
            class: Class::Page,
            ..batch(&format!("u{number}@x.example"), page())
        };
        store.submit(&shard.mailbox, ticket, batch).unwrap();
    }
    store.stop();
    let mut answers: Vec<_> = shard.posts.try_iter().flatten().map(read).collect();
    answers.sort_by_key(|(number, _)| *number);
    let numbers: Vec<_> = answers.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    assert!(answers.iter().all(|(_, outcome)| outcome.is_ok()));
}

#[test]
fn a_group_has_a_bound_in_bytes() {
    let mut play = Play::new();
    let long = || "x".repeat(STORE_GROUP_BYTES / 3);
    for n in 0..7 {
        let owner = format!("u{n}@x.example");
        let ops = vec![put("k", &long(), Expect::Anything)];
        play.submit(&owner, Class::Change, ops);
    }
    let groups: Vec<usize> = std::iter::repeat_with(|| play.take(Server::Writer).len())
        .take_while(|count| *count > 0)
        .collect();
    assert_eq!(groups, [2, 2, 2, 1]);
}

#[test]
fn a_write_waits_for_its_owners_earlier_reads_and_what_follows_waits_for_it() {
    let (store, writer, reader) = gated_readers();
    let mut shard = Shard::new();
    shard.submit(&store, "a@x.example", vec![get("k")]).unwrap();
    reader.group();
    shard.submit(&store, "a@x.example", vec![get("k")]).unwrap();
    shard.submit(&store, "a@x.example", write()).unwrap();
    shard.submit(&store, "a@x.example", vec![get("k")]).unwrap();
    // The writer is not held up by this owner.
    shard.submit(&store, "b@x.example", write()).unwrap();
    assert_eq!(writer.group()[0].owner, jid("b@x.example"));
    writer.say(Word::Go);
    assert_eq!(shard.post(), [(4, done())]);
    reader.say(Word::Go);
    reader.say(Word::Go);
    writer.say(Word::Go);
    let nothing = Ok(vec![Reply::Row(None)]);
    assert_eq!(shard.post(), [(0, nothing.clone())]);
    assert_eq!(shard.post(), [(1, nothing)]);
    assert_eq!(shard.post(), [(2, done())]);
    reader.say(Word::Go);
    assert_eq!(shard.post(), [(3, value("v"))]);
}

#[test]
fn a_list_of_owners_sees_every_write_answered_before() {
    let directory = Scratch::new();
    for database in databases(&directory) {
        let store = Store::start(database, 1);
        let mut shard = Shard::new();
        for owner in ["a@x.example", "b@x.example"] {
            shard.submit(&store, owner, vec![state("on")]).unwrap();
            shard.post();
        }
        shard
            .submit(&store, "x.example", vec![owners(None, 9)])
            .unwrap();
        let entry = |owner| (jid(owner), Row(vec![Field::text("on")]));
        let listed = Reply::Owners(vec![entry("a@x.example"), entry("b@x.example")]);
        assert_eq!(shard.post(), [(2, Ok(vec![listed]))]);
    }
}

#[test]
fn a_full_queue_says_busy_and_takes_more_when_answered() {
    let (store, writer) = gated();
    let mut shard = Shard::new();
    for _ in 0..StoreCredit::room_for(1).batches {
        shard.submit(&store, "a@x.example", write()).unwrap();
    }
    let refused = shard.submit(&store, "a@x.example", write());
    assert_eq!(refused, Err(StoreError::Busy));
    writer.say(Word::Go);
    shard.post();
    // Whoever has an answer finds room.
    shard.submit(&store, "a@x.example", write()).unwrap();
    drop(writer);
    store.stop();
}

#[test]
fn bytes_count_towards_the_bound_but_one_batch_always_fits() {
    let mut play = Play::new();
    let huge = "x".repeat(StoreCredit::room_for(1).bytes);
    let huge = vec![put("k", &huge, Expect::Anything)];
    play.submit("a@x.example", Class::Change, huge);
    let refused = play.try_submit("b@x.example", Class::Change, write());
    assert_eq!(refused, Err(StoreError::Busy));
    let batches = play.take(Server::Writer);
    play.lanes.make_room(&batches);
    assert!(
        play.try_submit("b@x.example", Class::Change, write())
            .is_ok()
    );
}

#[test]
fn a_shard_within_its_credit_finds_room_whatever_the_others_have_under_way() {
    let long = |bytes| vec![put("k", &"x".repeat(bytes), Expect::Anything)];
    let longest = long(STORE_ALONE_BYTES - 1024);
    for ops in [long(STORE_BATCH_BYTES - 1024), write()] {
        for shards in [1, 2, 7, 256] {
            let credit = StoreCredit::of_one(shards);
            let mut play = Play::new();
            play.lanes = Lanes::new(2, shards);
            let weight = batch("a@x.example", ops.clone()).weight();
            for shard in 0..shards {
                let (mut batches, mut bytes) = (0, 0);
                while batches < credit.batches && bytes < credit.bytes {
                    // The last is as long as any can be.
                    let last = batches + 1 == credit.batches || bytes + weight >= credit.bytes;
                    let ops = if last { &longest } else { &ops };
                    let owner = format!("u{batches}@s{shard}.example");
                    let taken = play.try_submit(&owner, Class::Change, ops.clone());
                    assert!(taken.is_ok(), "{shards} {shard} {batches}");
                    batches += 1;
                    bytes += weight;
                }
            }
        }
    }
}

fn entry(key: i64) -> Entry {
    Entry {
        key,
        peer: Bytes::from_static(b"b@y.example"),
        resource: None,
        kept: Kept::Archived,
        payload: Payload(vec![Bytes::from_static(b"<message/>")]),
    }
}

pub(super) fn append(count: i64) -> Vec<Op> {
    let entries = (0..count).map(entry).collect();
    vec![Op::Append { log: LOG, entries }]
}

#[test]
fn appends_are_gathered_until_somebody_waits_or_there_are_enough() {
    let few = || {
        let mut play = Play::new();
        assert!(!play.lanes.may_gather(), "there is nothing");
        let woken = play.submit("a@x.example", Class::Append, append(2));
        assert_eq!(woken, Some(Server::Writer));
        assert!(play.lanes.may_gather());
        play.lanes.gathers();
        let woken = play.submit("b@x.example", Class::Append, append(2));
        assert_eq!(woken, None);
        assert!(play.lanes.may_gather());
        play
    };
    // A change takes them along.
    let mut play = few();
    let woken = play.submit("c@x.example", Class::Change, write());
    assert_eq!(woken, Some(Server::Writer));
    assert!(!play.lanes.may_gather());
    assert_eq!(play.take(Server::Writer).len(), 3);
    play.submit("d@x.example", Class::Append, append(1));
    assert!(play.lanes.may_gather(), "it begins anew");

    let mut play = few();
    let most = i64::try_from(STORE_GATHER_OPS).unwrap();
    assert_eq!(
        play.submit("c@x.example", Class::Append, append(most - 5)),
        None
    );
    let woken = play.submit("d@x.example", Class::Append, append(1));
    assert_eq!(woken, Some(Server::Writer));
    assert!(!play.lanes.may_gather());

    // Who signs in waits for the appends of its account.
    let mut play = few();
    assert_eq!(
        play.submit("c@x.example", Class::SignIn, vec![get("k")]),
        Some(QUICK)
    );
    assert!(play.lanes.may_gather());
    let woken = play.submit("a@x.example", Class::SignIn, vec![get("k")]);
    assert_eq!(woken, Some(Server::Writer));
    assert!(!play.lanes.may_gather());
    let written = play.take(Server::Writer);
    play.lanes.answered(&written);
    play.submit("d@x.example", Class::Append, append(1));
    assert!(play.lanes.may_gather());

    // The end does not wait.
    let mut play = few();
    play.lanes.stop();
    assert!(!play.lanes.may_gather());
}

#[test]
fn gathered_appends_are_answered_though_nothing_follows() {
    let directory = Scratch::new();
    for database in databases(&directory) {
        let store = Store::start(database, 1);
        let mut shard = Shard::new();
        for number in 0..20 {
            let entries = vec![entry(number)];
            let ops = vec![Op::Append { log: LOG, entries }];
            let ticket = shard.tickets.insert(());
            let batch = Batch {
                class: Class::Append,
                ..batch("a@x.example", ops)
            };
            store.submit(&shard.mailbox, ticket, batch).unwrap();
            assert_eq!(shard.post(), [(usize::try_from(number).unwrap(), done())]);
        }
        store.stop();
        assert_eq!(store.counters().commits, 20);
    }
}

#[test]
fn stopping_applies_what_is_queued_and_refuses_the_rest() {
    let (store, writer, reader) = gated_readers();
    let mut shard = Shard::new();
    shard.submit(&store, "b@x.example", vec![get("k")]).unwrap();
    reader.group();
    shard.submit(&store, "b@x.example", write()).unwrap();
    shard.submit(&store, "a@x.example", write()).unwrap();
    writer.group();
    shard.submit(&store, "c@x.example", write()).unwrap();
    let stopping = {
        let store = store.clone();
        std::thread::spawn(move || store.stop())
    };
    // Until `stop` has begun, submissions are taken; then they are refused.
    while shard.submit(&store, "d@x.example", write()).is_ok() {
        std::thread::yield_now();
    }
    drop((writer, reader));
    stopping.join().unwrap();
    let answers: Vec<_> = shard.posts.try_iter().flatten().map(read).collect();
    assert!(answers.iter().all(|(_, outcome)| outcome.is_ok()));
    for number in 0..4 {
        assert!(answers.iter().any(|(answered, _)| *answered == number));
    }
    let refused = shard.submit(&store, "a@x.example", write());
    assert_eq!(refused, Err(StoreError::Busy));
}

#[test]
fn a_back_end_that_panics_fails_its_group_and_is_asked_again() {
    let (store, writer) = gated();
    let mut shard = Shard::new();
    shard.submit(&store, "a@x.example", write()).unwrap();
    writer.group();
    writer.say(Word::Panic);
    assert_eq!(shard.post(), [(0, Err(StoreError::Failed))]);
    shard.submit(&store, "a@x.example", write()).unwrap();
    writer.group();
    writer.say(Word::Go);
    assert_eq!(shard.post(), [(1, done())]);
}

#[test]
fn batches_of_one_owner_are_answered_in_the_order_submitted() {
    let directory = Scratch::new();
    for database in databases(&directory) {
        let store = Store::start(database, 1);
        let mut shard = Shard::new();
        let rounds = 300;
        for n in 0..rounds {
            let ops = if n % 3 == 0 { write() } else { vec![get("k")] };
            shard.submit(&store, "a@x.example", ops).unwrap();
            let ops = if n % 5 == 0 { write() } else { vec![get("k")] };
            shard.submit(&store, "b@x.example", ops).unwrap();
        }
        store.stop();
        let answers: Vec<_> = shard.posts.try_iter().flatten().map(read).collect();
        assert_eq!(answers.len(), 2 * rounds);
        for owner in 0..2 {
            let numbers = answers.iter().map(|(number, _)| *number);
            let numbers: Vec<_> = numbers.filter(|number| number % 2 == owner).collect();
            assert!(numbers.is_sorted(), "{numbers:?}");
        }
        // After the first write every read finds it.
        let nothing = Ok(vec![Reply::Row(None)]);
        assert!(answers.iter().all(|(_, outcome)| *outcome != nothing));
    }
}

#[test]
fn when_nobody_can_know_what_is_kept_that_is_said_and_the_server_gives_up() {
    static GIVEN_UP: AtomicBool = AtomicBool::new(false);
    let ((entered, words), writer) = gate();
    let backend = Gate {
        inner: Memory::default(),
        entered,
        words,
        readers: Readers::None,
    };
    let store = Store::start_with(Box::new(backend), 1, || {
        GIVEN_UP.store(true, Ordering::SeqCst)
    });
    let mut shard = Shard::new();
    shard.submit(&store, "a@x.example", write()).unwrap();
    writer.group();
    writer.say(Word::LoseTrack);
    assert_eq!(shard.post(), [(0, Err(StoreError::Unknown))]);
    store.stop();
    assert!(GIVEN_UP.load(Ordering::SeqCst));
}

/// Fails to sync when nobody waits.
#[derive(Debug)]
struct Untended(Memory);

impl Backend for Untended {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Result<Vec<Reply>, StoreError>> {
        self.0.apply(batches)
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        None
    }

    fn tend(&mut self, _: Quiet) -> Tended {
        Tended::Unknown
    }
}

#[test]
fn a_sync_that_fails_when_nobody_waits_ends_the_server_too() {
    static GIVEN_UP: AtomicBool = AtomicBool::new(false);
    let backend = Untended(Memory::default());
    let store = Store::start_with(Box::new(backend), 1, || {
        GIVEN_UP.store(true, Ordering::SeqCst)
    });
    let mut shard = Shard::new();
    shard.submit(&store, "a@x.example", write()).unwrap();
    assert_eq!(shard.post(), [(0, done())]);
    store.stop();
    assert!(GIVEN_UP.load(Ordering::SeqCst));
}
