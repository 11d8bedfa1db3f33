//! All that features keep, in one list.
//!
//! A table is added here and nowhere else: its feature owns the `Shape`, back ends make the table, its view for people and every
//! statement from it. Once a schema is released, one more table is one more version of the schema (`store/schema.rs` of
//! `shell-common`), so that an older program does not serve a database of which it does not know everything.

use crate::archive::{ARCHIVE, ARCHIVE_PREFS, ARCHIVE_RULE, SPOOL};
use crate::blocking::BLOCKLIST;
use crate::link::LINK_QUEUE;
use crate::private::PRIVATE;
use crate::roster::{ROSTER, ROSTER_REQUESTS, ROSTER_UNSAID, ROSTER_VERSION};
use crate::sasl::{CREDENTIALS, IMPORTS, TALLIED, TOMBSTONES};
use crate::sm::SM_OLD;
use crate::store::Catalog;
use crate::vcard::VCARD;
use crate::xep::ACTIVITY;

/// What a database of this version has.
pub static CATALOG: Catalog = Catalog {
    tables: &[
        &ACTIVITY,
        &ARCHIVE_PREFS,
        &ARCHIVE_RULE,
        &BLOCKLIST,
        &CREDENTIALS,
        &IMPORTS,
        &LINK_QUEUE,
        &PRIVATE,
        &ROSTER,
        &ROSTER_REQUESTS,
        &ROSTER_UNSAID,
        &ROSTER_VERSION,
        &SM_OLD,
        &SPOOL,
        &TOMBSTONES,
        &VCARD,
    ],
    logs: &[ARCHIVE],
    subsets: &TALLIED,
};
