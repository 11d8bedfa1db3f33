//! XEP-0012: Last Activity, version 2.0.
//!
//! Of an account: when its last session ended and what it said then, for its contacts. Of a host: for how long the server has been
//! running.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec;
use core::time::Duration;

use super::{Answer, Asked, Asker, Entity};
use crate::limits::LAST_STATUS_BYTES;
use crate::stanza::Condition;
use crate::store::{Column, Expect, Field, Kind, Loaded, Loading, Op, Puts, Row, Shape};
use crate::time::{Instant, UnixTime};
use crate::xml::Ns;

/// When the last session of an account ended, one row each.
pub static ACTIVITY: Shape = Shape {
    name: "activity",
    key: &[],
    columns: &[
        Column::new("ended", Kind::Time),
        Column::new("status", Kind::Text).optional(),
    ],
    loading: Loading::Loaded,
    puts: Puts::Quiet,
};

/// The end of an account's last session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Activity {
    /// When it was.
    pub(crate) ended: UnixTime,
    /// "the status message of the last unavailable presence" (§3), if that session said one.
    pub(crate) status: Option<Box<str>>,
}

/// When an account was active last, as far as it is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Seen<'a> {
    /// A session is there.
    Connected,
    /// None is, and this was the end of the last.
    Left(&'a Activity),
    /// None is, and none was as far as is known.
    Unknown,
}

/// What a session said at last, as much of it as is kept.
pub(crate) fn bounded_status(mut status: String) -> Box<str> {
    status.truncate(status.floor_char_boundary(LAST_STATUS_BYTES));
    status.into_boxed_str()
}

impl Activity {
    /// A session has ended, and said this at last.
    pub(crate) const fn new(ended: UnixTime, status: Option<Box<str>>) -> Self {
        Self { ended, status }
    }

    /// What was kept. A row that makes no sense is as good as none: nothing hangs on it, and the next takes its place.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Option<Self> {
        let [Field::Time(us), status] = &loaded.rows(&ACTIVITY).first()?.0[..] else {
            return None;
        };
        let status = match status {
            Field::Text(text) => core::str::from_utf8(text).ok().map(Box::from),
            Field::Absent | Field::Bytes(_) | Field::Int(_) | Field::Time(_) | Field::Xml(_) => {
                None
            }
        };
        let ended = UnixTime(us.div_euclid(1000));
        Some(Self { ended, status })
    }

    /// How long ago it was; no time at all if a clock has gone back.
    pub(crate) fn passed(&self, now: UnixTime) -> Duration {
        let ms = u64::try_from(now.0.saturating_sub(self.ended.0));
        Duration::from_millis(ms.unwrap_or(0))
    }

    /// Puts it into the place of the one before.
    pub(crate) fn put(&self) -> Op {
        let status = self.status.as_deref();
        Op::Put {
            table: &ACTIVITY,
            row: Row(vec![
                Field::Time(self.ended.0.saturating_mul(1000)),
                status.map_or(Field::Absent, Field::text),
            ]),
            expect: Expect::Anything,
        }
    }
}

/// XEP-0012 §3 and §5.
///
/// `Choice:` where nothing is known, no number would be true: that is said as `service-unavailable`, which is what strangers hear, too.
pub(super) fn query(asked: &Asked<'_>) -> Answer {
    match asked.entity {
        // §5: "how long the host has been running since it was last (re-)started".
        Entity::Host => last(asked.now.mono.since(Instant(0)), None),
        Entity::Account(Asker::Owner(seen) | Asker::Contact(seen)) => match seen {
            // §3: "an empty <query/> element whose 'seconds' attribute is set to a value of '0'".
            Seen::Connected => last(Duration::ZERO, None),
            Seen::Left(activity) => {
                last(activity.passed(asked.now.wall), activity.status.as_deref())
            }
            Seen::Unknown => Answer::Refuse(Condition::ServiceUnavailable),
        },
        Entity::Account(Asker::Stranger) => Answer::Refuse(Condition::ServiceUnavailable),
    }
}

/// §2: "a REQUIRED 'seconds' attribute and OPTIONAL XML character data".
fn last(passed: Duration, status: Option<&str>) -> Answer {
    Answer::result(|w| {
        w.open("query")
            .attribute("xmlns", Ns::LastActivity.uri())
            .attribute("seconds", &passed.as_secs().to_string());
        if let Some(status) = status {
            w.text(status);
        }
        w.close();
    })
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn loaded(row: Row) -> Loaded {
        Loaded {
            tables: vec![(&ACTIVITY, vec![row])],
            ends: vec![],
        }
    }

    fn kept(activity: &Activity) -> Row {
        let put = activity.put();
        let Op::Put { row, expect, .. } = put else {
            panic!("{put:?}");
        };
        // It travels with appends.
        assert_eq!(expect, Expect::Anything);
        assert!(row.fits(&ACTIVITY));
        row
    }

    #[test]
    fn a_row_reads_back() {
        for status in [None, Some("Heading <Home> \u{1f3e0}".into())] {
            let activity = Activity::new(UnixTime(1_795_316_645_678), status);
            let row = kept(&activity);
            assert_eq!(Activity::from_loaded(&loaded(row)), Some(activity));
        }
        assert_eq!(Activity::from_loaded(&Loaded::default()), None);
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        let long = format!("x{}", "\u{e9}".repeat(LAST_STATUS_BYTES));
        let most = format!("x{}", "\u{e9}".repeat(LAST_STATUS_BYTES / 2 - 1));
        assert_eq!(&*bounded_status(long), most);
        assert_eq!(&*bounded_status(most.clone()), most);
    }

    #[test]
    fn a_row_that_makes_no_sense_is_none() {
        let text = Field::text("x");
        for row in [
            Row::default(),
            Row(vec![Field::Time(1)]),
            Row(vec![Field::Int(1), Field::Absent]),
            Row(vec![text.clone(), text]),
        ] {
            assert_eq!(Activity::from_loaded(&loaded(row)), None);
        }
        let row = Row(vec![Field::Time(1000), Field::Int(1)]);
        let activity = Activity::from_loaded(&loaded(row));
        assert_eq!(activity, Some(Activity::new(UnixTime(1), None)));
    }
}
