//! What a request changes: memory, rows, and what devices are told.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::request::Wish;
use super::{BLOCKLIST, Blocklist, END, Set, rows, write};
use crate::jid::Jid;
use crate::limits::{BLOCKLIST_BYTES, STORE_LIST_ROWS};
use crate::stanza::Condition;
use crate::store::{Op, Row};
use crate::time::Now;
use crate::xml::Writer;

/// What becomes of a change in memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What is to be written, in one batch; nothing, if all was so already.
    pub ops: Vec<Op>,
    /// What every session is to hear that has asked for the list, once that is on disk.
    pub push: Push,
    /// What the list was until now: who is blocked now and was not, or the other way round, is to see what became of it.
    pub before: Blocklist,
    /// What came to the list or left it.
    pub changed: Vec<Jid>,
}

/// The payload of a push (XEP-0191 §3.3 to §3.5): the items of the request, prepared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Push {
    xml: Vec<u8>,
}

impl Push {
    /// Writes it into an IQ of type `set`.
    pub fn write(&self, w: &mut Writer<'_>) {
        w.raw(&self.xml);
    }

    fn new(name: &'static str, addresses: &[Jid]) -> Self {
        let mut xml = Vec::with_capacity(128);
        let addresses = addresses.iter().map(Jid::as_str);
        write(&mut Writer::new(&mut xml), name, addresses);
        Self { xml }
    }
}

impl Blocklist {
    /// Does what a request says. An error leaves everything as it was.
    ///
    /// Who blocks what is blocked, or unblocks what is not, hears of success as everybody else: XEP-0191 has no exception for it.
    ///
    /// # Errors
    /// `policy-violation` for one address or one byte too many: another request would do ("modify"), and waiting does not help.
    pub fn apply(&mut self, set: Set, now: Now, max_items: usize) -> Result<Change, Condition> {
        match set.wish {
            Wish::Block(addresses) => self.block(addresses, now, max_items),
            Wish::Unblock(addresses) => Ok(self.unblock(addresses)),
            Wish::UnblockAll => Ok(self.unblock_all()),
        }
    }

    fn block(
        &mut self,
        addresses: Vec<Jid>,
        now: Now,
        max_items: usize,
    ) -> Result<Change, Condition> {
        let push = Push::new("block", &addresses);
        let mut changed = addresses;
        changed.retain(|address| !self.contains(address.as_str()));
        let after = self.with(&changed);
        // Whoever has more, because a bound was lowered, keeps it and can add nothing.
        let too_many = after.len() > max_items || after.addresses.len() > BLOCKLIST_BYTES;
        if too_many && !changed.is_empty() {
            return Err(Condition::PolicyViolation);
        }
        Ok(Change {
            ops: changed.iter().map(|jid| rows::put(jid, now)).collect(),
            push,
            before: core::mem::replace(self, after),
            changed,
        })
    }

    fn unblock(&mut self, addresses: Vec<Jid>) -> Change {
        let push = Push::new("unblock", &addresses);
        let mut changed = addresses;
        changed.retain(|address| self.contains(address.as_str()));
        let after = self.without(&changed);
        Change {
            ops: changed.iter().map(rows::delete).collect(),
            push,
            before: core::mem::replace(self, after),
            changed,
        }
    }

    fn unblock_all(&mut self) -> Change {
        let before = core::mem::take(self);
        let all = Op::DeletePrefix {
            table: &BLOCKLIST,
            prefix: Row::default(),
        };
        // Each of these forgets so many rows at most.
        let pages = before.len().div_ceil(STORE_LIST_ROWS as usize);
        Change {
            ops: vec![all; pages],
            push: Push::new("unblock", &[]),
            changed: before.addresses().flat_map(Jid::parse).collect(),
            before,
        }
    }

    /// With some more, which are not on it.
    fn with(&self, more: &[Jid]) -> Self {
        let bytes = self.addresses.len() + bytes(more);
        let mut more = more.iter().map(Jid::as_str).peekable();
        let mut after = String::with_capacity(bytes);
        for address in self.addresses() {
            while let Some(earlier) = more.next_if(|next| *next < address) {
                add(&mut after, earlier);
            }
            add(&mut after, address);
        }
        for address in more {
            add(&mut after, address);
        }
        Self {
            addresses: after.into_boxed_str(),
        }
    }

    /// Without some, which are on it.
    fn without(&self, gone: &[Jid]) -> Self {
        let bytes = self.addresses.len().saturating_sub(bytes(gone));
        let mut after = String::with_capacity(bytes);
        for address in self.addresses() {
            let stays = gone.binary_search_by(|gone| gone.as_str().cmp(address));
            if stays.is_err() {
                add(&mut after, address);
            }
        }
        Self {
            addresses: after.into_boxed_str(),
        }
    }
}

/// How many bytes they take in a list.
fn bytes(addresses: &[Jid]) -> usize {
    let each = addresses.iter().map(|address| address.as_str().len() + 1);
    each.sum()
}

/// Behind all others.
pub(super) fn add(addresses: &mut String, address: &str) {
    addresses.push_str(address);
    addresses.push(char::from(END));
}
