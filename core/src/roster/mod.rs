//! The roster of an account (RFC 6121 §2): its contacts, what a user calls them and where they stand with each other.
//!
//! Data and nothing else: loaded once, from rows; asked and changed in memory; what a change makes of the rows and what the user's
//! devices are to be told of it are values. Who may ask, which sessions are interested and when anything is said is not known here.

mod change;
mod item;
mod items;
mod options;
mod request;
mod requests;
mod rows;
mod subscription;
#[cfg(test)]
mod tests;
mod unsaid;
mod version;

pub use change::{Change, Push};
pub(crate) use item::Standing;
pub use item::{Approval, Ask, Groups, Item, Subscription};
use items::Items;
pub use options::RosterOptions;
pub use request::{Get, Set, get, set};
pub use requests::ROSTER_REQUESTS;
pub(crate) use requests::Requests;
pub use rows::{ROSTER, ROSTER_VERSION, imported_contact, imported_version};
pub(crate) use subscription::{Act, Inbound, Request, Route, State};
pub use unsaid::ROSTER_UNSAID;
pub(crate) use unsaid::{Gone, Unsaid};
pub use version::Version;

use crate::xml::{Ns, Writer};

/// The contacts of one account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Roster {
    version: Version,
    items: Items,
    /// What `ROSTER_BYTES` bounds: `Item::written` of all of them.
    written: usize,
}

impl Roster {
    /// Which version of it this is.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// How many contacts there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// How many bytes all of them take as they are sent, at most (`limits::ROSTER_BYTES`).
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.written
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The contacts, in the order of their addresses.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> + Clone {
        self.items.iter()
    }

    /// The contact of this bare address.
    #[must_use]
    pub fn item(&self, contact: &str) -> Option<Item<'_>> {
        self.items.get(self.find(contact).ok()?)
    }

    /// Writes what answers a roster get into its result: the whole roster (RFC 6121 §2.1.4), or nothing if the client has it already
    /// (§2.6.3).
    ///
    /// `Choice:` former versions are not kept, so that no other version than the last can be told from one that never was, and whoever
    /// has another gets it all, as §2.6.3 allows. A roster has a few kilobytes.
    pub fn result(&self, get: &Get, w: &mut Writer<'_>) {
        if get.known != Some(self.version) {
            self.write(w);
        }
    }

    /// Writes all of it, as whoever has no version of it gets it.
    pub fn write(&self, w: &mut Writer<'_>) {
        query(self.version, w);
        for item in self.items() {
            item.write(w);
        }
        w.close();
    }

    /// Where a contact is, or where it belongs.
    fn find(&self, contact: &str) -> Result<usize, usize> {
        self.items.find(contact)
    }
}

/// RFC 6121 §2.6.3: "the server SHOULD include the 'ver' attribute on all roster pushes and results", whatever the client said.
fn query(version: Version, w: &mut Writer<'_>) {
    w.open("query")
        .attribute("xmlns", Ns::Roster.uri())
        .attribute("ver", &version.to_text());
}
