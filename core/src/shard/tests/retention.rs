//! What is kept too long, found and taken away by a shard to which nobody is connected.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{Now, Shard, asked, begun, jid};
use crate::archive::{ARCHIVE, Spool};
use crate::config::{Config, Host, of_localhost};
use crate::due::Due;
use crate::jid::{BareJid, Domain};
use crate::limits::{RETENTION_AGAIN, RETENTION_EVERY, RETENTION_FIRST, STORE_TRIM_ENTRIES};
use crate::options::Expiry;
use crate::port::{Input, Ticket};
use crate::store::{Batch, Class, Entry, Kept, Op, Order, Payload, Pick, Reply, StoreError};
use crate::testing::Memory;
use crate::time::{Instant, UnixTime};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// When the server starts, in days since 1970 and in microseconds.
const START: i64 = 20_000 * DAY;

/// A shard, its store, and a clock.
struct Server {
    shard: Shard,
    store: Memory,
    now: Instant,
}

impl Server {
    fn new(shard: u16, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = of_localhost();
        config.shards = 2;
        change(&mut config);
        let mut shard = begun(config, shard);
        shard.timers.stop(Due::Census);
        Self {
            shard,
            store: Memory::default(),
            now: Instant::default(),
        }
    }

    fn now(&self) -> Now {
        let us = i64::try_from(self.now.0).unwrap();
        Now {
            mono: self.now,
            wall: UnixTime((START + us) / 1000),
        }
    }

    fn keep(&mut self, owner: &str, entries: &[(i64, Kept)], done: Option<i64>) {
        let entry = |(key, kept): &(i64, Kept)| Entry {
            key: *key,
            peer: Bytes::from_static(b"b@x.example"),
            resource: None,
            kept: *kept,
            payload: Payload(vec![Bytes::from_static(b"<message/>")]),
        };
        for part in entries.chunks(500) {
            let spool = Spool {
                done,
                ..Spool::default()
            };
            let entries = part.iter().map(entry).collect();
            let batch = Batch {
                owner: jid(owner),
                tenure: 0,
                class: Class::Append,
                ops: vec![
                    Op::Append {
                        log: ARCHIVE,
                        entries,
                    },
                    spool.put(),
                ],
            };
            self.store.apply(&batch).unwrap();
        }
    }

    fn kept(&mut self, owner: &str) -> Vec<i64> {
        let pick = Pick {
            kept: Kept::Both,
            peer: None,
            ids: None,
            after: None,
            before: None,
            upto: i64::MAX,
            order: Order::Forward,
            limit: 200,
        };
        let batch = Batch {
            owner: jid(owner),
            tenure: 0,
            class: Class::Page,
            ops: vec![Op::Page {
                log: ARCHIVE,
                pick: pick.into(),
            }],
        };
        let reply = self.store.apply(&batch).unwrap().remove(0);
        let Reply::Page(page) = reply else {
            panic!("{reply:?}");
        };
        page.entries.iter().map(|entry| entry.key).collect()
    }

    /// The next thing that it asks of the store, now or when its time comes.
    fn next(&mut self) -> Option<(Batch, Ticket)> {
        if let Some((ticket, batch)) = asked(&mut self.shard).pop() {
            return Some((batch, ticket));
        }
        self.now = self.shard.poll_timeout()?;
        self.shard.handle(self.now(), Input::Tick);
        let (ticket, batch) = asked(&mut self.shard).pop()?;
        Some((batch, ticket))
    }

    /// One step.
    fn step(&mut self) -> Option<Batch> {
        let (batch, ticket) = self.next()?;
        let outcome = self.store.apply(&batch);
        self.now = self.now + Duration::from_millis(2);
        self.shard
            .handle(self.now(), Input::Stored { ticket, outcome });
        Some(batch)
    }

    /// All steps until it has nothing to do for a while.
    fn pass(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        loop {
            batches.push(self.step().unwrap());
            if self.shard.poll_timeout().is_some() {
                return batches;
            }
        }
    }
}

fn expiring(archived: Expiry, owed: Expiry) -> impl FnOnce(&mut Config) {
    move |config| {
        for host in config.accounts_mut() {
            host.archive.expires_after = archived;
            host.archive.offline_expires_after = owed;
        }
    }
}

const fn days(days: u64) -> Expiry {
    Expiry::After(Duration::from_secs(days * 24 * 60 * 60))
}

/// So many days before the start.
const fn ago(days: i64) -> i64 {
    START - days * DAY
}

#[test]
fn archives_and_what_waits_go_by_their_ages_and_nobody_is_loaded_for_it() {
    let mut server = Server::new(0, expiring(days(7), days(365)));
    let entries = [
        (ago(400), Kept::Archived),
        (ago(399), Kept::Owed),
        (ago(398), Kept::Both),
        (ago(30), Kept::Archived),
        (ago(29), Kept::Owed),
        (ago(28), Kept::Both),
        (ago(1), Kept::Archived),
        (ago(1) + 1, Kept::Owed),
        (ago(1) + 2, Kept::Both),
    ];
    server.keep("away", &entries, None);
    // Up to yesterday everything was delivered.
    server.keep("there", &entries, Some(ago(1) + 1));
    let batches = server.pass();
    for batch in &batches {
        assert_eq!(batch.class, Class::Upkeep);
        assert!(matches!(batch.ops[..], [Op::Sweep { .. }]), "{batch:?}");
    }
    assert_eq!(
        server.kept("away"),
        [ago(29), ago(28), ago(1), ago(1) + 1, ago(1) + 2]
    );
    assert_eq!(server.kept("there"), [ago(1), ago(1) + 2]);
}

#[test]
fn what_never_ends_stays_but_what_was_delivered_goes() {
    let mut server = Server::new(0, expiring(Expiry::Never, Expiry::Never));
    let entries = [
        (ago(4000), Kept::Archived),
        (ago(3999), Kept::Owed),
        (ago(3998), Kept::Both),
        (ago(3997), Kept::Owed),
    ];
    server.keep("juliet", &entries, Some(ago(3998)));
    assert_eq!(server.pass().len(), 1);
    assert_eq!(server.kept("juliet"), [ago(4000), ago(3998), ago(3997)]);
}

#[test]
fn each_host_has_ages_of_its_own() {
    let mut server = Server::new(0, |config| {
        let mut host = config.accounts_mut().next().cloned().unwrap();
        host.archive.expires_after = Expiry::Never;
        let elsewhere = Domain::parse("elsewhere.example").unwrap();
        config.hosts.insert(elsewhere, Host::Accounts(host));
    });
    let batches = server.pass();
    let owners: Vec<&str> = batches.iter().map(|batch| batch.owner.as_str()).collect();
    // What waits, what is archived.
    assert_eq!(owners, ["elsewhere.example", "localhost", "localhost"]);
}

#[test]
fn many_go_in_steps() {
    let mut server = Server::new(0, |_| {});
    let entries: Vec<_> = (0..2200).map(|n| (ago(30) + n, Kept::Archived)).collect();
    server.keep("juliet", &entries, None);
    let limits = server.pass().into_iter().map(|batch| match batch.ops[..] {
        [Op::Sweep { limit, .. }] => limit,
        _ => panic!("{batch:?}"),
    });
    let limits: Vec<u32> = limits.collect();
    // One for what waits, five for what is archived.
    assert_eq!(limits, [STORE_TRIM_ENTRIES; 6]);
    assert!(server.kept("juliet").is_empty());
}

#[test]
fn it_begins_a_while_after_the_start_and_comes_back_each_hour() {
    let mut server = Server::new(0, |_| {});
    assert_eq!(
        server.shard.poll_timeout(),
        Some(Instant::default() + RETENTION_FIRST)
    );
    for _ in 0..3 {
        server.pass();
        let next = server.shard.poll_timeout().unwrap();
        assert!(next >= server.now + RETENTION_EVERY);
        assert!(next <= server.now + RETENTION_EVERY + Duration::from_secs(1));
        assert!(server.shard.residue().iter().all(|left| *left == 0));
    }
}

#[test]
fn what_the_store_did_not_do_is_tried_again_later_from_the_beginning() {
    let mut server = Server::new(0, |_| {});
    let entries: Vec<_> = (0..1200).map(|n| (ago(30) + n, Kept::Archived)).collect();
    server.keep("juliet", &entries, None);
    for error in [StoreError::Failed, StoreError::Busy, StoreError::Full] {
        for _ in 0..2 {
            server.step().unwrap();
        }
        let (_, ticket) = server.next().unwrap();
        let at = server.now;
        let outcome = Err(error);
        server
            .shard
            .handle(server.now(), Input::Stored { ticket, outcome });
        let next = server.shard.poll_timeout().unwrap();
        assert!(next >= at + RETENTION_AGAIN);
    }
    server.pass();
    assert!(server.kept("juliet").is_empty());
}

#[test]
fn only_the_first_shard_does_it_and_not_while_the_server_stops() {
    let other = Server::new(1, |_| {});
    assert_eq!(other.shard.poll_timeout(), None);
    let mut server = Server::new(0, |_| {});
    server.shard.handle(server.now(), Input::Shutdown);
    assert!(server.next().is_none());
    assert_eq!(server.shard.poll_timeout(), None);
}

#[test]
fn a_host_that_went_with_a_reload_is_not_in_the_way() {
    let mut server = Server::new(0, |_| {});
    let (batch, ticket) = server.next().unwrap();
    let mut config = of_localhost();
    config.hosts.clear();
    server
        .shard
        .handle(server.now(), Input::Reload(Arc::new(config)));
    let outcome = server.store.apply(&batch);
    server
        .shard
        .handle(server.now(), Input::Stored { ticket, outcome });
    server.pass();
    // Nobody has an account: the next passes have nothing to do.
    assert!(server.next().is_none());
    let owner: BareJid = batch.owner;
    assert_eq!(owner.as_str(), "localhost");
}
