//! The store on a disk: `cargo bench -p benches --bench store`, below the directory that `TMPDIR` names. CPU of the thread that works, and
//! the time with the disk's.

#![expect(clippy::unwrap_used, reason = "a measurement ends by panicking")]
#![expect(clippy::print_stdout, reason = "this is a program for people")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use spondee_core::archive::ARCHIVE;
use spondee_core::catalog::CATALOG;
use spondee_core::jid::BareJid;
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::sasl::{CREDENTIALS, Credentials, Dates, Hash, ScramKeys, Status};
use spondee_core::secret::Secret;
use spondee_core::store::{
    Batch, Class, Entry, Expect, Field, Kept, Op, Order, Payload, Peer, Pick, Row, Table,
};
use spondee_shell_common::store::{Backend, History, Quiet, Sqlite, open_sqlite};

const ACCOUNTS: usize = 20_000;
const CONTACTS: usize = 50;
/// With contacts.
const OWNERS: usize = 2000;
/// Of a day.
const MICROSECONDS: i64 = 86_400_000_000;
const BODY: usize = 470;

fn main() {
    let directory = Directory::new();
    let mut sqlite = open_sqlite(&directory.0, History::Unknown).unwrap();
    println!("CPU and time, in microseconds");
    fill(&mut sqlite);
    let mut reader = sqlite.reader().unwrap();
    for (group, rounds) in [(1, 40_000), (64, 1000)] {
        let look_up = |n: usize| read(account(n % ACCOUNTS), Class::SignIn, get_credentials());
        let name = format!("look-up of credentials, {group} together");
        measure(&name, rounds, group, |round| {
            let batches = (0..group).map(|n| look_up((round * group + n) * 7919));
            apply(&mut *reader, &batches.collect::<Vec<_>>());
        });
    }
    for (group, rounds) in [(1, 10_000), (64, 200)] {
        let load = |n: usize| read(account(n % OWNERS), Class::Load, Op::Load);
        let name = format!("load with {CONTACTS} contacts, {group} together");
        measure(&name, rounds, group, |round| {
            let batches = (0..group).map(|n| load((round * group + n) * 7919));
            apply(&mut *reader, &batches.collect::<Vec<_>>());
        });
    }
    for owners in [100, 500] {
        for messages in [20, 100, 250] {
            appends(&mut sqlite, owners, messages);
        }
    }
    pages(&mut *reader);
}

/// Each message is one entry of its sender's and one of its receiver's archive, in batches of their own.
fn appends(sqlite: &mut Sqlite, owners: usize, messages: usize) {
    // Each time others, whose archives are empty.
    let base = (owners * 1000 + messages) * 1000;
    let mut key = 20_000 * MICROSECONDS;
    let name = format!("message archived twice, {owners} owners, {messages} together");
    measure(&name, 30_000 / messages, messages, |round| {
        let mut batches = Vec::with_capacity(2 * messages);
        for n in 0..messages {
            let sender = (round * messages + n) * 7919 % owners;
            let receiver = (sender + 1) % owners;
            for (owner, peer) in [(sender, receiver), (receiver, sender)] {
                key += 37;
                batches.push(append(base + owner, base + peer, key));
            }
        }
        apply(sqlite, &batches);
        sqlite.tend(Quiet::No);
    });
}

fn pages(reader: &mut dyn Backend) {
    let page = |n: usize, peer: Option<Peer>| {
        let pick = Box::new(Pick {
            kept: Kept::Archived,
            peer,
            ids: None,
            after: None,
            before: None,
            upto: i64::MAX,
            order: Order::Backward,
            limit: 50,
        });
        let log = ARCHIVE;
        read(account(ACCOUNTS + n), Class::Page, Op::Page { log, pick })
    };
    let peer = |n: usize| {
        let bare = bytes::Bytes::from(account(n).as_str().to_owned());
        Some(Peer {
            bare,
            resource: None,
        })
    };
    measure("page of 50", 5000, 1, |round| {
        apply(reader, &[page(round % 20, None)]);
    });
    measure("page of 50 by contact, 1 of 100", 5000, 1, |round| {
        apply(reader, &[page(round % 20, peer(7))]);
    });
    measure("page by a contact that is not there", 5000, 1, |round| {
        apply(reader, &[page(round % 20, peer(7777))]);
    });
}

/// Accounts, some with contacts, and twenty with a message each half minute for ten days.
fn fill(sqlite: &mut Sqlite) {
    let credentials = credentials();
    let numbers: Vec<usize> = (0..ACCOUNTS).collect();
    for some in numbers.chunks(500) {
        let add = |n: &usize| change(account(*n), vec![put(&CREDENTIALS, credentials.clone())]);
        apply(sqlite, &some.iter().map(add).collect::<Vec<_>>());
        sqlite.tend(Quiet::No);
    }
    let owners: Vec<usize> = (0..OWNERS).collect();
    for some in owners.chunks(20) {
        let add = |n: &usize| change(account(*n), roster(*n));
        apply(sqlite, &some.iter().map(add).collect::<Vec<_>>());
        sqlite.tend(Quiet::No);
    }
    for second in 0..28_800 {
        let key = 19_000 * MICROSECONDS + second * 30_000_000;
        let peer = usize::try_from(second).unwrap() * 7919 % 100;
        let add = |n: usize| append(ACCOUNTS + n, peer, key);
        apply(sqlite, &(0..20).map(add).collect::<Vec<_>>());
        sqlite.tend(Quiet::No);
    }
    while sqlite.tend(Quiet::Yes) != spondee_shell_common::store::Tended::Done {}
}

fn roster(owner: usize) -> Vec<Op> {
    let contact = |n: usize| {
        Row(vec![
            Field::text(account(owner + n).as_str()),
            Field::text("Juliet Capulet"),
            Field::text("both"),
            Field::Absent,
            Field::Absent,
            Field::text("[\"Friends\"]"),
        ])
    };
    let mut ops: Vec<Op> = (0..CONTACTS).map(|n| put(&ROSTER, contact(n))).collect();
    ops.push(put(&ROSTER_VERSION, Row(vec![Field::Int(1)])));
    ops
}

fn credentials() -> Row {
    let keys = Hash::ALL.map(|hash| ScramKeys {
        hash,
        salt: vec![1; 16],
        rounds: 10_000,
        stored_key: Secret::new(vec![2; hash.output_bytes()]),
        server_key: Secret::new(vec![3; hash.output_bytes()]),
    });
    let (status, keys) = (Status::Enabled, keys.into());
    Credentials::hashed(status, keys).to_row(Dates::default())
}

fn account(n: usize) -> BareJid {
    BareJid::parse(&format!("user{n:06}@example.org")).unwrap()
}

fn put(table: Table, row: Row) -> Op {
    let expect = Expect::Anything;
    Op::Put { table, row, expect }
}

fn get_credentials() -> Op {
    Op::Get {
        table: &CREDENTIALS,
        key: Row::default(),
    }
}

fn append(owner: usize, peer: usize, key: i64) -> Batch {
    let entry = Entry {
        key,
        peer: account(peer).as_str().to_owned().into(),
        resource: Some("phone".into()),
        kept: Kept::Archived,
        payload: Payload(vec![vec![b'x'; BODY].into()]),
    };
    let log = CATALOG.logs[0];
    let entries = vec![entry];
    Batch {
        class: Class::Append,
        ..change(account(owner), vec![Op::Append { log, entries }])
    }
}

fn read(owner: BareJid, class: Class, op: Op) -> Batch {
    Batch {
        class,
        ..change(owner, vec![op])
    }
}

fn change(owner: BareJid, ops: Vec<Op>) -> Batch {
    Batch {
        owner,
        tenure: 0,
        class: Class::Change,
        ops,
    }
}

fn apply(backend: &mut dyn Backend, batches: &[Batch]) {
    for outcome in backend.apply(batches) {
        outcome.unwrap();
    }
}

/// Of one of `each` that a round does.
fn measure(name: &str, rounds: usize, each: usize, mut run: impl FnMut(usize)) {
    let (cpu, time) = (cpu(), Instant::now());
    for round in 0..rounds {
        run(round);
    }
    let count = (rounds * each) as f64;
    let (cpu, time) = (self::cpu() - cpu, time.elapsed());
    println!(
        "{name:50} {:8.2} {:8.2}",
        cpu as f64 / 1000.0 / count,
        time.as_secs_f64() * 1e6 / count
    );
}

/// Nanoseconds of this thread.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = format!("spondee-bench-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        // What is left lies where the system clears up.
        let _ = std::fs::remove_dir_all(path);
    }
}
