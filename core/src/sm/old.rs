//! Sessions that are over, by the ids that their clients have: a client that comes back too late learns how many of its stanzas were
//! handled, and sends no others again (XEP-0198 §5: "the server MAY also include a 'h' attribute").

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::store::{Column, Expect, Field, Kind, Loaded, Loading, Op, Puts, Row, Shape};
use crate::time::UnixTime;

/// Sessions of an account that are over, one row each.
pub static SM_OLD: Shape = Shape {
    name: "old_sessions",
    key: &[Column::new("id", Kind::Text)],
    columns: &[
        Column::new("ended", Kind::Time),
        Column::new("handled", Kind::Int),
    ],
    loading: Loading::Loaded,
    puts: Puts::Quiet,
};

/// One of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Old {
    pub(crate) id: Box<str>,
    pub(crate) ended: UnixTime,
    /// How many stanzas of its client were handled.
    pub(crate) h: u32,
}

/// Those of an account that are remembered; who ended first is first.
#[derive(Debug, Default)]
pub(crate) struct OldSessions(Vec<Old>);

impl OldSessions {
    /// What was kept. A row that makes no sense is as good as none: nothing hangs on it.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Self {
        let mut old: Vec<Old> = loaded.rows(&SM_OLD).iter().filter_map(Old::read).collect();
        old.sort_by_key(|old| old.ended);
        Self(old)
    }

    /// How many stanzas of a session were handled that is over.
    pub(crate) fn handled(&self, id: &str) -> Option<u32> {
        Some(self.0.iter().find(|old| *old.id == *id)?.h)
    }

    /// One more; the oldest go beyond `most`. Gives back what is to be on disk.
    pub(crate) fn insert(&mut self, old: Old, most: usize) -> Vec<Op> {
        let mut ops = vec![old.put()];
        self.0.push(old);
        let surplus = self.0.len().saturating_sub(most);
        ops.extend(self.0.drain(..surplus).map(|old| Op::Delete {
            table: &SM_OLD,
            key: Row(vec![Field::text(&old.id)]),
        }));
        ops
    }
}

impl Old {
    fn read(row: &Row) -> Option<Self> {
        let [Field::Text(id), Field::Time(us), Field::Int(h)] = &row.0[..] else {
            return None;
        };
        Some(Self {
            id: core::str::from_utf8(id).ok()?.to_owned().into_boxed_str(),
            ended: UnixTime(us.div_euclid(1000)),
            h: u32::try_from(*h).ok()?,
        })
    }

    fn put(&self) -> Op {
        let us = self.ended.0.saturating_mul(1000);
        Op::Put {
            table: &SM_OLD,
            row: Row(vec![
                Field::text(&self.id),
                Field::Time(us),
                Field::Int(self.h.into()),
            ]),
            expect: Expect::Anything,
        }
    }
}
