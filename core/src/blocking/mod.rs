//! The blocklist of an account (XEP-0191: Blocking Command, version 1.3): with whom its user wants no communication.
//!
//! Data and nothing else: loaded once, from rows; asked and changed in memory; what a change makes of the rows and what the user's
//! devices are to be told of it are values. Who may ask, what is refused and who hears of a change is not known here.

mod change;
mod options;
mod request;
mod rows;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::cmp::Ordering;
use core::fmt;

use memchr::{memchr, memchr_iter, memrchr};

pub use change::{Change, Push};
pub use options::BlockingOptions;
pub use request::{Set, get, set};
pub use rows::{BLOCKLIST, reads_about};

use crate::jid::{BareJid, Jid};
use crate::xml::{Ns, Writer};

/// Whom one account blocks.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Blocklist {
    /// In the order of their bytes, each once, and NUL behind each, which no address holds. Thousands of these are in memory at a
    /// time: one allocation, and none for the many who block nobody.
    addresses: Box<str>,
}

impl Blocklist {
    /// How many addresses are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        memchr_iter(END, self.addresses.as_bytes()).count()
    }

    /// Whether nobody is blocked.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// The addresses on it, in the order of their bytes.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.addresses.split_terminator(char::from(END))
    }

    /// Whether communication with this address is blocked.
    ///
    /// The order is that of XEP-0191 §6. What it calls `domain/resource` is an address without a localpart: "only that resource matches".
    /// So the third of its four is among the first.
    #[must_use]
    pub fn blocks(&self, jid: &Jid) -> bool {
        // Nearly everybody blocks nobody.
        !self.is_empty()
            && (self.contains(jid.as_str())
                || self.contains(jid.bare())
                || self.contains(jid.domain()))
    }

    /// Whether communication with all of a bare address is.
    #[must_use]
    pub fn blocks_bare(&self, jid: &BareJid) -> bool {
        !self.is_empty() && (self.contains(jid.as_str()) || self.contains(jid.domain()))
    }

    /// Writes what answers a request for the list into its result (XEP-0191 §3.2).
    pub fn result(&self, w: &mut Writer<'_>) {
        write(w, "blocklist", self.addresses());
    }

    /// Whether this very address is on it.
    fn contains(&self, address: &str) -> bool {
        let mut left = self.addresses.as_bytes();
        while !left.is_empty() {
            // The address in the middle.
            let (before, from) = left.split_at(left.len() / 2);
            let start = memrchr(END, before).map_or(0, |end| end + 1);
            let end = before.len() + memchr(END, from).unwrap_or(from.len());
            let middle = left.get(start..end).unwrap_or_default();
            left = match middle.cmp(address.as_bytes()) {
                Ordering::Equal => return true,
                Ordering::Less => left.get(end + 1..).unwrap_or_default(),
                Ordering::Greater => left.get(..start).unwrap_or_default(),
            };
        }
        false
    }
}

impl fmt::Debug for Blocklist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.addresses()).finish()
    }
}

/// What stands behind each address.
const END: u8 = 0;

/// An element with an item for each address.
fn write<'a>(w: &mut Writer<'_>, name: &'static str, addresses: impl Iterator<Item = &'a str>) {
    w.open(name).attribute("xmlns", Ns::Blocking.uri());
    for address in addresses {
        w.open("item").attribute("jid", address).close();
    }
    w.close();
}
