//! How a blocklist is kept: a row for each address.

use alloc::string::String;
use alloc::vec::Vec;

use super::Blocklist;
use super::change::add;
use crate::jid::Jid;
use crate::store::{
    BadRow, Column, Expect, Field, Kind, Loaded, Loading, Op, Puts, Row, Shape, Table,
};
use crate::time::Now;

/// Whom accounts block, and since when, which is for people to read.
pub static BLOCKLIST: Shape = Shape {
    name: "blocklist",
    key: &[Column::new("blocked", Kind::Text)],
    columns: &[Column::new("blocked_at", Kind::Time)],
    loading: Loading::Loaded,
    puts: Puts::Awaited,
};

const TABLE: Table = &BLOCKLIST;

impl Blocklist {
    /// What was kept. Bounds that were lowered since make nothing bad: whoever has more keeps it.
    ///
    /// # Errors
    /// The first row that no list of ours has. Somebody who is blocked must not come through because a row could not be read.
    pub fn from_loaded(loaded: &Loaded) -> Result<Self, BadRow> {
        let rows = loaded.rows(TABLE);
        let bytes = |row: &Row| row.0.first().map_or(0, Field::weight) + 1;
        // No more room than they take: this stays in memory for long.
        let mut addresses = String::with_capacity(rows.iter().map(bytes).sum());
        let mut last = "";
        for row in rows {
            let address = read(row)?;
            if address <= last {
                return Err(bad(Some(address), "rows out of order"));
            }
            add(&mut addresses, address);
            last = address;
        }
        Ok(Self {
            addresses: addresses.into_boxed_str(),
        })
    }
}

/// The address of a row.
fn read(row: &Row) -> Result<&str, BadRow> {
    let [Field::Text(text), Field::Time(_)] = &row.0[..] else {
        return Err(bad(None, "no address and when it was blocked"));
    };
    let Ok(address) = core::str::from_utf8(text) else {
        return Err(bad(None, "an address that is no text"));
    };
    match Jid::parse(address) {
        Ok(jid) if jid.as_str() == address => Ok(address),
        // It would match nobody.
        Ok(_) => Err(bad(Some(address), "an address that is not prepared")),
        Err(_) => Err(bad(Some(address), "no address")),
    }
}

/// Reads whether communication with this address is blocked: if a row is there of any of these, it is.
#[must_use]
pub fn reads_about(jid: &Jid) -> Vec<Op> {
    let addresses = [jid.as_str(), jid.bare(), jid.domain()];
    let reads = addresses.map(|address| Op::Get {
        table: TABLE,
        key: Row([Field::text(address)].into()),
    });
    reads.into()
}

pub(super) fn put(address: &Jid, now: Now) -> Op {
    let blocked_at = now.wall.0.saturating_mul(1000);
    Op::Put {
        table: TABLE,
        row: Row([Field::text(address.as_str()), Field::Time(blocked_at)].into()),
        expect: Expect::Anything,
    }
}

pub(super) fn delete(address: &Jid) -> Op {
    Op::Delete {
        table: TABLE,
        key: Row([Field::text(address.as_str())].into()),
    }
}

fn bad(address: Option<&str>, why: &'static str) -> BadRow {
    BadRow {
        table: TABLE,
        contact: address.map(Into::into),
        why,
    }
}
