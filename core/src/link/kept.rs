//! What of a queue is on disk: a row for each stanza whose sender was told that it is in good hands, or that would be lost with this server.
//!
//! Over a link that is well nothing is written: what is confirmed within two seconds needs no disk. What is not, and all that waits while there
//! is no way, is kept in the order of the queue (`disk.rs` says when). Its receipt is settled then, and its row goes when it is there or was
//! returned.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Queued, Urgency};
use crate::envelope::Receipt;
use crate::jid::Domain;
use crate::limits::S2S_REQUEST_PATIENCE;
use crate::stanza::{Kind, MessageType, PresenceType, Stanza};
use crate::store::{Column, Expect, Field, Kind as Holds, Loading, Op, Puts, Row, Shape, Table};
use crate::time::Now;

/// What waits for other servers. Its owner is the domain of ours that it is from.
pub(crate) static LINK_QUEUE: Shape = Shape {
    name: "link_queue",
    key: &[
        Column::new("remote", Holds::Text),
        Column::new("at", Holds::Time),
    ],
    columns: &[
        Column::new("gives_up", Holds::Time),
        Column::new("stanza", Holds::Xml),
    ],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};

const TABLE: Table = &LINK_QUEUE;

/// Whether a stanza is on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kept {
    No,
    /// It is being written, or nobody knows what became of that.
    Perhaps,
    Yes,
}

/// Whether a stanza outlives this server: its author thinks it said (RFC 6121 §8.5.2.2.1: messages are kept for who is away).
pub(crate) const fn survives(stanza: &Stanza) -> bool {
    match stanza.kind() {
        Kind::Message(MessageType::Chat | MessageType::Groupchat | MessageType::Normal)
        | Kind::Presence(
            PresenceType::Subscribe
            | PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed,
        ) => true,
        Kind::Iq(_)
        | Kind::Message(MessageType::Error | MessageType::Headline)
        | Kind::Presence(
            PresenceType::Available
            | PresenceType::Unavailable
            | PresenceType::Error
            | PresenceType::Probe,
        ) => false,
    }
}

impl Queued {
    pub(super) fn is_to_be_kept(&self) -> bool {
        self.kept == Kept::No && survives(&self.stanza)
    }

    /// Whether its sender is to hear soon that it is in good hands.
    pub(super) fn is_waited_for(&self) -> bool {
        matches!(self.receipt, Some(Receipt::Sent(_))) && self.is_to_be_kept()
    }

    /// Puts it down, for this domain.
    pub(super) fn put(&self, now: Now, remote: &Domain) -> Op {
        Op::Put {
            table: TABLE,
            row: self.row(now, remote),
            expect: Expect::Anything,
        }
    }

    fn row(&self, now: Now, remote: &Domain) -> Row {
        let patience = self.gives_up.since(now.mono).as_micros();
        let patience = i64::try_from(patience).unwrap_or(i64::MAX);
        let mut xml = Vec::with_capacity(self.stanza.size().saturating_add(128));
        self.write(&mut xml);
        let gives_up = now.wall.0.saturating_mul(1000).saturating_add(patience);
        let [remote, at] = key(remote, self.at);
        Row([remote, at, Field::Time(gives_up), Field::Xml(xml.into())].into())
    }

    /// What a row says, if it makes sense. It has half a minute at least: the server may have been away for longer than its patience, and
    /// nobody has tried yet.
    pub(super) fn of_row(now: Now, row: &Row, retry_for: Duration) -> Option<Self> {
        let [
            _,
            Field::Time(at),
            Field::Time(gives_up),
            Field::Xml(stanza),
        ] = &row.0[..]
        else {
            return None;
        };
        let left = gives_up.saturating_sub(now.wall.0.saturating_mul(1000));
        let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
        let patience = left.min(retry_for).max(S2S_REQUEST_PATIENCE);
        Some(Self {
            stanza: Stanza::from_whole_xml(stanza)?.into(),
            to: None,
            receipt: None,
            urgency: Urgency::Kept,
            at: *at,
            since: now.mono,
            gives_up: now.mono + patience,
            kept: Kept::Yes,
        })
    }
}

fn key(remote: &Domain, at: i64) -> [Field; 2] {
    [Field::text(remote.as_str()), Field::Time(at)]
}

/// Rows of one remote domain behind this place, so many.
pub(crate) fn page(remote: &Domain, behind: Option<i64>, limit: u32) -> Op {
    Op::List {
        table: TABLE,
        prefix: Row([Field::text(remote.as_str())].into()),
        after: behind.map(|at| Row(key(remote, at).into())),
        limit,
    }
}

/// The first row behind all of the remote domain that this one is for, or of all.
pub(crate) fn next_remote(behind: Option<&Row>) -> Op {
    let last = |row: &Row| {
        let remote = row.0.first().cloned().unwrap_or_else(|| Field::text(""));
        Row([remote, Field::Time(i64::MAX)].into())
    };
    Op::List {
        table: TABLE,
        prefix: Row::default(),
        after: behind.map(last),
        limit: 1,
    }
}

/// Which remote domain a row is for.
pub(crate) fn remote_of(row: &Row) -> Option<Domain> {
    let Some(Field::Text(remote)) = row.0.first() else {
        return None;
    };
    Domain::parse(core::str::from_utf8(remote).ok()?).ok()
}

/// The place of a row.
pub(crate) fn place_of(row: &Row) -> Option<i64> {
    match row.0.get(1) {
        Some(Field::Time(at)) => Some(*at),
        Some(Field::Absent | Field::Bytes(_) | Field::Int(_) | Field::Text(_) | Field::Xml(_))
        | None => None,
    }
}

/// Forgets these rows.
pub(crate) fn forget(remote: &Domain, places: &[i64]) -> Vec<Op> {
    let delete = |at: &i64| Op::Delete {
        table: TABLE,
        key: Row(key(remote, *at).into()),
    };
    places.iter().map(delete).collect()
}
