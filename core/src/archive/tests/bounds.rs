//! When an archive is counted, and what goes then: against a store in memory.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::archive::{ARCHIVE, ArchiveOptions, Bounds, Next, Spool};
use crate::jid::BareJid;
use crate::limits::{ARCHIVE_COUNTED_BYTES, ARCHIVE_COUNTED_MESSAGES, STORE_TRIM_ENTRIES};
use crate::store::{Batch, Class, Entry, Kept, Measured, Op, Payload, Reply};
use crate::testing::Memory;

fn options(max_messages: u64, max_bytes: u64) -> ArchiveOptions {
    ArchiveOptions {
        max_messages,
        max_bytes,
        ..ArchiveOptions::default()
    }
}

/// An owner that archives.
struct Owner {
    options: ArchiveOptions,
    bounds: Bounds,
    store: Memory,
    spool: Spool,
    last: i64,
    measures: usize,
    trims: usize,
}

const BODY: usize = 10;

impl Owner {
    fn new(options: ArchiveOptions) -> Self {
        let spool = Spool::default();
        Self {
            options,
            bounds: Bounds::new(&spool),
            store: Memory::default(),
            spool,
            last: 0,
            measures: 0,
            trims: 0,
        }
    }

    fn ask(&mut self, class: Class, op: Op) -> Reply {
        let batch = Batch {
            owner: BareJid::parse("a@x.example").unwrap(),
            tenure: 0,
            class,
            ops: vec![op],
        };
        assert_eq!(batch.check(), Ok(()));
        self.store.apply(&batch).unwrap().remove(0)
    }

    fn append(&mut self, kept: Kept) {
        self.last += 1;
        let entry = Entry {
            key: self.last,
            peer: Bytes::from_static(b"b@x.example"),
            resource: None,
            kept,
            payload: Payload(vec![Bytes::from(vec![b'x'; BODY])]),
        };
        let entries = vec![entry];
        self.ask(
            Class::Append,
            Op::Append {
                log: ARCHIVE,
                entries,
            },
        );
        if kept.meets(Kept::Archived) {
            self.bounds.appended(BODY);
        }
        if self.bounds.is_to_be_kept() {
            self.bounds.keep(&mut self.spool);
        }
    }

    /// One question to the store, if there is one.
    fn step(&mut self) -> bool {
        match self.bounds.next(&self.options, self.last) {
            None => return false,
            Some(Next::Measure(op)) => {
                self.measures += 1;
                let Reply::Measured(measured) = self.ask(Class::Page, op) else {
                    panic!("no measure");
                };
                self.bounds.measured(&measured);
            }
            Some(Next::Trim(op)) => {
                self.trims += 1;
                let Reply::Trimmed { entries, more: _ } = self.ask(Class::Upkeep, op) else {
                    panic!("no trim");
                };
                assert!(entries <= STORE_TRIM_ENTRIES);
                self.bounds.trimmed(entries);
            }
        }
        true
    }

    fn archived(&mut self) -> u64 {
        let count = Op::Count {
            log: ARCHIVE,
            kept: Kept::Archived,
            peer: None,
            after: None,
            before: None,
            upto: i64::MAX,
        };
        let Reply::Count(count) = self.ask(Class::Page, count) else {
            panic!("no count");
        };
        count
    }
}

#[test]
fn an_archive_never_has_more_than_a_sixteenth_too_much_and_is_seldom_counted() {
    for options in [options(160, u64::MAX), options(u64::MAX, 1600)] {
        let mut owner = Owner::new(options);
        for _ in 0..400 {
            owner.append(Kept::Archived);
            while owner.step() {}
            assert!(owner.archived() <= 170);
        }
        // One too much after 171, and after each eleven more.
        assert_eq!(owner.measures, 21);
        assert_eq!(owner.archived(), 160 + (400 - 171) % 11);
    }
}

#[test]
fn the_oldest_go_in_steps_and_what_is_owed_stays_until_it_is_delivered() {
    let mut owner = Owner::new(options(200, u64::MAX));
    for _ in 0..1300 {
        owner.append(Kept::Both);
    }
    assert!(owner.step());
    let mut steps = 0;
    while owner.step() {
        steps += 1;
    }
    assert_eq!((owner.measures, steps), (1, 3));
    assert_eq!(owner.archived(), 200);
    let end = owner.ask(Class::Load, Op::Load);
    let Reply::Loaded(loaded) = end else {
        panic!("{end:?}");
    };
    assert_eq!(loaded.end(ARCHIVE).unwrap().owed.entries, 1300);
}

#[test]
fn what_is_owed_only_does_not_count() {
    let mut owner = Owner::new(options(100, u64::MAX));
    for _ in 0..1000 {
        owner.append(Kept::Owed);
        assert!(!owner.step());
    }
}

#[test]
fn the_count_goes_on_at_the_next_load() {
    let mut owner = Owner::new(options(160, u64::MAX));
    let mut loads = 0;
    while owner.measures == 0 {
        for _ in 0..10 {
            owner.append(Kept::Archived);
            while owner.step() {}
        }
        // It leaves memory, and comes back.
        if owner.bounds.is_unsaid() {
            owner.bounds.keep(&mut owner.spool);
        }
        owner.bounds = Bounds::new(&owner.spool);
        loads += 1;
    }
    assert_eq!(loads, 18);
}

#[test]
fn the_row_is_put_now_and_then() {
    let mut spool = Spool::default();
    let mut bounds = Bounds::new(&spool);
    assert!(!bounds.is_unsaid());
    for _ in 0..ARCHIVE_COUNTED_MESSAGES {
        assert!(!bounds.is_to_be_kept());
        bounds.appended(1);
        assert!(bounds.is_unsaid());
    }
    assert!(bounds.is_to_be_kept());
    bounds.keep(&mut spool);
    assert_eq!((spool.messages, spool.bytes), (64, 64));
    assert!(!bounds.is_to_be_kept() && !bounds.is_unsaid());
    bounds.appended(usize::try_from(ARCHIVE_COUNTED_BYTES).unwrap());
    assert!(bounds.is_to_be_kept());
}

#[test]
fn what_ages_took_is_found_out_and_then_known() {
    let mut owner = Owner::new(options(160, u64::MAX));
    for _ in 0..170 {
        owner.append(Kept::Archived);
    }
    let before = owner.last - 99;
    let mut more = true;
    while more {
        let sweep = Op::Trim {
            log: ARCHIVE,
            before,
            kept: Kept::Archived,
            limit: STORE_TRIM_ENTRIES,
        };
        let Reply::Trimmed { more: left, .. } = owner.ask(Class::Upkeep, sweep) else {
            panic!("no trim");
        };
        more = left;
    }
    owner.append(Kept::Archived);
    assert!(owner.step());
    assert!(!owner.step(), "there is room");
    assert!(owner.bounds.is_to_be_kept());
    owner.bounds.keep(&mut owner.spool);
    assert_eq!(owner.spool.messages, 101);
}

#[test]
fn what_comes_while_it_is_measured_counts() {
    let options = options(100, u64::MAX);
    let mut bounds = Bounds::new(&Spool::default());
    for _ in 0..107 {
        bounds.appended(BODY);
    }
    assert!(matches!(bounds.next(&options, 107), Some(Next::Measure(_))));
    for _ in 0..5 {
        bounds.appended(BODY);
        assert_eq!(bounds.next(&options, 112), None, "it is under way");
    }
    let mut measured = Measured::default();
    for key in (1..=107).rev() {
        let most = crate::store::Amount {
            entries: 100,
            bytes: u64::MAX,
        };
        measured.count(key, BODY, most);
    }
    bounds.measured(&measured);
    let Some(Next::Trim(Op::Trim { before, .. })) = bounds.next(&options, 112) else {
        panic!("nothing goes");
    };
    assert_eq!(before, 8);
    assert_eq!(bounds.next(&options, 112), None, "it is under way");
    bounds.trimmed(7);
    let mut spool = Spool::default();
    bounds.keep(&mut spool);
    assert_eq!(spool.messages, 105);
}

#[test]
fn what_failed_is_tried_again_some_time_later() {
    let options = options(1600, u64::MAX);
    let mut bounds = Bounds::new(&Spool::default());
    let mut asked = Vec::new();
    for key in 0..2000 {
        bounds.appended(BODY);
        if bounds.next(&options, key).is_some() {
            asked.push(key);
            bounds.failed(&options);
        }
    }
    assert_eq!(asked, [1700, 1801, 1902]);
    // A trim that failed, likewise.
    let mut owner = Owner::new(self::options(160, u64::MAX));
    for _ in 0..171 {
        owner.append(Kept::Archived);
    }
    assert!(owner.step());
    assert!(matches!(
        owner.bounds.next(&owner.options, 0),
        Some(Next::Trim(_))
    ));
    owner.bounds.failed(&owner.options);
    for _ in 0..11 {
        assert!(!owner.step());
        owner.append(Kept::Archived);
    }
    while owner.step() {}
    assert_eq!(owner.archived(), 160);
}

#[test]
fn what_was_not_yet_taken_away_counts_at_the_next_load() {
    let mut owner = Owner::new(options(200, u64::MAX));
    for _ in 0..2000 {
        owner.append(Kept::Archived);
    }
    assert!(owner.step() && owner.step());
    owner.bounds.keep(&mut owner.spool);
    assert_eq!(owner.spool.messages, 1500);
    owner.bounds = Bounds::new(&owner.spool);
    while owner.step() {}
    assert_eq!((owner.measures, owner.archived()), (2, 200));
}
