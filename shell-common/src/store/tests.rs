//! What both back ends must do, and what the threads in front of them must.

mod backends;
mod threads;
mod whole;

use bytes::Bytes;
use spondee_core::jid::BareJid;
use spondee_core::store::{Batch, Expect, Op, Table};

const MAP: Table = Table::Credentials;

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

fn batch(owner: &str, ops: Vec<Op>) -> Batch {
    Batch {
        owner: jid(owner),
        ops,
    }
}

fn put(key: &'static str, value: &'static str, expect: Expect) -> Op {
    Op::Put {
        map: MAP,
        key: Bytes::from(key),
        value: Bytes::from(value),
        expect,
    }
}

fn get(key: &'static str) -> Op {
    Op::Get {
        map: MAP,
        key: Bytes::from(key),
    }
}

fn list(after: &'static str, limit: u32) -> Op {
    Op::List {
        map: MAP,
        after: Bytes::from(after),
        limit,
    }
}

fn owners(after: Option<&str>, limit: u32) -> Op {
    Op::Owners {
        map: MAP,
        after: after.map(jid),
        limit,
    }
}
