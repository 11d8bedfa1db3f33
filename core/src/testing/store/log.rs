//! Logs in memory.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use crate::limits::STORE_PAGE_BYTES;
use crate::store::{Cut, Entry, Kept, Order, Owed, Page, Payload, Peer, Pick, Reply};

type Entries = BTreeMap<i64, Entry>;

pub(super) fn append(log: &mut Entries, entries: &[Entry]) {
    for entry in entries {
        let payload = entry.payload.joined();
        let parts = if payload.is_empty() {
            Vec::new()
        } else {
            vec![payload]
        };
        let payload = Payload(parts);
        let entry = Entry {
            payload,
            ..entry.clone()
        };
        log.insert(entry.key, entry);
    }
}

pub(super) fn page(log: Option<&Entries>, pick: &Pick) -> Reply {
    let entries = || log.into_iter().flatten().map(|(_, entry)| entry);
    let oldest = entries().next().map(|entry| entry.key);
    let wanted =
        |entry: &&Entry| is_picked(entry, pick.kept, pick.peer.as_ref()) && entry.key <= pick.upto;
    if let Some(ids) = &pick.ids {
        let found: Vec<&Entry> = entries()
            .filter(wanted)
            .filter(|entry| ids.contains(&entry.key))
            .collect();
        let mut ids = ids.clone();
        ids.sort_unstable();
        ids.dedup();
        if found.len() < ids.len() {
            return Reply::Missing;
        }
        let (entries, more) = cut(found.into_iter(), u32::MAX);
        return Reply::Page(Page {
            entries,
            oldest,
            more,
        });
    }
    let mut found: Vec<&Entry> = entries()
        .filter(wanted)
        .filter(|entry| pick.after.is_none_or(|after| entry.key > after))
        .filter(|entry| pick.before.is_none_or(|before| entry.key < before))
        .collect();
    if pick.order == Order::Backward {
        found.reverse();
    }
    let (mut entries, more) = cut(found.into_iter(), pick.limit);
    entries.sort_by_key(|entry| entry.key);
    Reply::Page(Page {
        entries,
        oldest,
        more,
    })
}

fn cut<'a>(found: impl Iterator<Item = &'a Entry>, limit: u32) -> (Vec<Entry>, bool) {
    let mut cut = Cut::new(limit, STORE_PAGE_BYTES);
    let mut entries = Vec::new();
    for entry in found {
        if !cut.takes(entry.weight()) {
            return (entries, true);
        }
        entries.push(entry.clone());
    }
    (entries, false)
}

pub(super) fn owed(log: &Entries, done: Option<i64>) -> Owed {
    let mut owed = Owed::default();
    for (key, entry) in log {
        let behind = done.is_none_or(|done| *key > done);
        if behind && entry.kept.meets(Kept::Owed) && !owed.count(entry.payload.len()) {
            break;
        }
    }
    owed
}

pub(super) fn count(
    log: Option<&Entries>,
    kept: Kept,
    peer: Option<&Peer>,
    within: impl Fn(i64) -> bool,
) -> Reply {
    let entries = log.into_iter().flatten().map(|(_, entry)| entry);
    let counted = entries.filter(|entry| is_picked(entry, kept, peer) && within(entry.key));
    Reply::Count(counted.count() as u64)
}

/// How many, and whether some are left. What `done` has passed is owed no more.
pub(super) fn trim(
    log: &mut Entries,
    before: i64,
    kept: Kept,
    done: Option<i64>,
    limit: u32,
) -> (u32, bool) {
    let old: Vec<i64> = log
        .range(..before)
        .filter(|(_, entry)| entry.kept.meets(kept))
        .map(|(key, _)| *key)
        .collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut entries = 0;
    for key in old.iter().take(limit) {
        let left = log
            .get(key)
            .and_then(|entry| entry.kept.left(kept, *key, done));
        match (left, log.get_mut(key)) {
            (Some(left), Some(entry)) => entry.kept = left,
            (_, _) => drop(log.remove(key)),
        }
        entries += 1;
    }
    (entries, old.len() > limit)
}

/// Entries up to `done` that are kept for nothing but delivery.
pub(super) fn forget_delivered(log: &mut Entries, done: i64, limit: u32) -> u32 {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let delivered = log
        .range(..=done)
        .filter(|(_, entry)| entry.kept == Kept::Owed);
    let delivered: Vec<i64> = delivered.map(|(key, _)| *key).take(limit).collect();
    for key in &delivered {
        log.remove(key);
    }
    u32::try_from(delivered.len()).unwrap_or(u32::MAX)
}

fn is_picked(entry: &Entry, kept: Kept, peer: Option<&Peer>) -> bool {
    let with = |peer: &Peer| {
        entry.peer == peer.bare && (peer.resource.is_none() || entry.resource == peer.resource)
    };
    entry.kept.meets(kept) && peer.is_none_or(with)
}
