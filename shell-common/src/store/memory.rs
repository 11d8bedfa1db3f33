//! A back end in memory, for tests. The shortest statement of what a back end does; `Sqlite` is held to it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use spondee_core::jid::BareJid;
use spondee_core::store::{Batch, Expect, Op, Reply, StoreError, Table};

use super::Backend;

/// Keeps everything in maps. Clones and readers share them.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    owners: Arc<Mutex<Owners>>,
}

type Owners = BTreeMap<BareJid, Maps>;
type Maps = BTreeMap<Table, BTreeMap<Bytes, Bytes>>;

impl Backend for Memory {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Result<Vec<Reply>, StoreError>> {
        // Whole after a panic too: a batch works on a copy.
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        batches
            .iter()
            .map(|batch| apply(&mut owners, batch))
            .collect()
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        Some(Box::new(self.clone()))
    }
}

fn apply(owners: &mut Owners, batch: &Batch) -> Result<Vec<Reply>, StoreError> {
    let mut maps = owners.get(&batch.owner).cloned().unwrap_or_default();
    let mut replies = Vec::with_capacity(batch.ops.len());
    for op in &batch.ops {
        replies.push(match op {
            Op::Delete { map, key } => {
                if let Some(entries) = maps.get_mut(map) {
                    entries.remove(key);
                }
                Reply::Done
            }
            Op::Get { map, key } => {
                Reply::Value(maps.get(map).and_then(|entries| entries.get(key)).cloned())
            }
            Op::List { map, after, limit } => Reply::List(list(&maps, *map, after, *limit)),
            Op::Owners { map, after, limit } => {
                // What this batch did before is to be seen as well.
                let mut seen = owners.clone();
                seen.insert(batch.owner.clone(), maps.clone());
                Reply::Owners(list_owners(
                    &seen,
                    &batch.owner,
                    *map,
                    after.as_ref(),
                    *limit,
                ))
            }
            Op::Purge => {
                maps.clear();
                Reply::Done
            }
            Op::Put {
                map,
                key,
                value,
                expect,
            } => {
                let entries = maps.entry(*map).or_default();
                match (expect, entries.contains_key(key)) {
                    (Expect::Absent, true) | (Expect::Present, false) => {
                        return Err(StoreError::Conflict);
                    }
                    (Expect::Absent | Expect::Anything, false)
                    | (Expect::Anything | Expect::Present, true) => {}
                }
                entries.insert(key.clone(), value.clone());
                Reply::Done
            }
        });
    }
    if !batch.is_read_only() {
        owners.insert(batch.owner.clone(), maps);
    }
    Ok(replies)
}

fn list(maps: &Maps, map: Table, after: &Bytes, limit: u32) -> Vec<(Bytes, Bytes)> {
    let behind = (Bound::Excluded(after), Bound::Unbounded);
    maps.get(&map)
        .into_iter()
        .flat_map(|entries| entries.range::<Bytes, _>(behind))
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn list_owners(
    owners: &Owners,
    host: &BareJid,
    map: Table,
    after: Option<&BareJid>,
    limit: u32,
) -> Vec<(BareJid, Bytes)> {
    let behind = (
        after.map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded,
    );
    owners
        .range::<BareJid, _>(behind)
        .filter(|(owner, _)| owner.local().is_some() && owner.domain() == host.domain())
        .filter_map(|(owner, maps)| {
            let (_, first) = maps.get(&map)?.first_key_value()?;
            Some((owner.clone(), first.clone()))
        })
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .collect()
}
