//! A name that was deleted is not given to somebody else at once: contacts, rooms and other servers would take the new one for the old.
//!
//! What is kept is when it was deleted. For how long that holds is asked when somebody wants the name, so that a changed
//! `user_tombstone_expiry` is good for all.

use alloc::vec;

use serde::{Deserialize, Serialize};

use crate::options::Expiry;
use crate::store::{Column, Expect, Field, Kind, Loading, Op, Puts, Row, Shape};
use crate::time::UnixTime;

/// When the account was deleted, one row each. It is there only while no such account is.
pub static TOMBSTONES: Shape = Shape {
    name: "tombstones",
    key: &[],
    columns: &[Column::new("deleted", Kind::Time)],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};

/// What is done about the tombstone of a name that is to be taken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tombstones {
    /// The name cannot be had before it expires.
    #[default]
    Heed,
    /// The name is taken all the same.
    Ignore,
}

/// A name that nobody can have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    /// When the account was deleted that had it.
    pub deleted: UnixTime,
    /// From when on it is free again; `None` is never.
    pub until: Option<UnixTime>,
}

impl Held {
    /// What the row says now; `None` if the name is free. A row that makes no sense holds the name: somebody must have had it.
    #[must_use]
    pub fn by(row: &Row, expiry: Expiry, now: UnixTime) -> Option<Self> {
        let deleted = match row.0[..] {
            [Field::Time(us)] => UnixTime(us.div_euclid(1000)),
            _ => UnixTime(0),
        };
        let until = match (expiry, &row.0[..]) {
            (Expiry::After(period), [Field::Time(_)]) => {
                let ms = i64::try_from(period.as_millis()).unwrap_or(i64::MAX);
                Some(UnixTime(deleted.0.saturating_add(ms)))
            }
            (Expiry::After(_) | Expiry::Never, _) => None,
        };
        let is_over = until.is_some_and(|until| until <= now);
        (!is_over).then_some(Self { deleted, until })
    }
}

/// Reads the tombstone of an account.
pub(crate) fn get_tombstone() -> Op {
    Op::Get {
        table: &TOMBSTONES,
        key: Row::default(),
    }
}

/// What goes behind everything of an account that is deleted; `None` where names are free at once, and nothing is to be remembered.
pub(crate) fn put_tombstone(expiry: Expiry, now: UnixTime) -> Option<Op> {
    let is_kept = match expiry {
        Expiry::After(period) => !period.is_zero(),
        Expiry::Never => true,
    };
    is_kept.then(|| Op::Put {
        table: &TOMBSTONES,
        row: Row(vec![Field::Time(now.0.saturating_mul(1000))]),
        expect: Expect::Anything,
    })
}

/// The name is taken.
pub(crate) fn remove_tombstone() -> Op {
    Op::Delete {
        table: &TOMBSTONES,
        key: Row::default(),
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const DAY_MS: i64 = 86_400_000;

    fn row(expiry: Expiry, deleted: UnixTime) -> Option<Row> {
        let put = put_tombstone(expiry, deleted)?;
        let Op::Put { row, .. } = put else {
            panic!("{put:?}");
        };
        Some(row)
    }

    #[test]
    fn a_name_is_held_until_its_time_is_over() {
        let expiry = Expiry::After(DAY);
        let deleted = UnixTime(1000);
        let row = row(expiry, deleted).unwrap();
        assert!(row.fits(&TOMBSTONES));
        let until = UnixTime(1000 + DAY_MS);
        let held = Held {
            deleted,
            until: Some(until),
        };
        for now in [0, 1000, 1000 + DAY_MS - 1] {
            assert_eq!(Held::by(&row, expiry, UnixTime(now)), Some(held));
        }
        assert_eq!(Held::by(&row, expiry, until), None);
    }

    /// An administrator may change it.
    #[test]
    fn what_counts_is_the_expiry_of_the_day_on_which_the_name_is_wanted() {
        let deleted = UnixTime(1000);
        let row = row(Expiry::Never, deleted).unwrap();
        let long_after = UnixTime(1000 * DAY_MS);
        let held = Held {
            deleted,
            until: None,
        };
        assert_eq!(Held::by(&row, Expiry::Never, long_after), Some(held));
        assert_eq!(Held::by(&row, Expiry::After(DAY), long_after), None);
        assert_eq!(Held::by(&row, Expiry::After(Duration::ZERO), deleted), None);
        let endless = Held::by(&row, Expiry::After(Duration::MAX), long_after).unwrap();
        assert_eq!(endless.until, Some(UnixTime(i64::MAX)));
    }

    #[test]
    fn nothing_is_remembered_where_names_are_free_at_once() {
        assert_eq!(row(Expiry::After(Duration::ZERO), UnixTime(1000)), None);
    }

    #[test]
    fn a_damaged_row_holds_its_name() {
        for row in [Row::default(), Row(vec![Field::Int(1)])] {
            let held = Held::by(&row, Expiry::After(DAY), UnixTime(i64::MAX)).unwrap();
            assert_eq!(held.until, None);
        }
    }
}
