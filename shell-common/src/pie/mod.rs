//! XEP-0227: Portable Import/Export Format for XMPP-IM Servers, version 1.1.
//!
//! `export` writes what an account keeps, `import` reads such files, ours and those of others. A file is read as a stream
//! (`file`, `walk`), and no more of it is in memory than one account without its archive.
//!
//! What the XEP has no element for stands in a namespace of our own, `EXPORT`: what tables without a form of their own hold, row by row, and beside a
//! message how it is kept. So an account comes back whole, and what another server would not understand it skips.

mod account;
mod export;
mod file;
mod import;
mod message;
mod reader;
mod reading;
mod report;
mod table;
mod walk;

use std::fmt;
use std::path::PathBuf;

pub use export::{ExportError, Exported, export};
pub use import::{Name, Plan, Planned, Sum, Trouble};
pub use report::Report;

/// The elements around everything.
const PIE: &str = "urn:xmpp:pie:0";
/// Archives.
const PIE_MAM: &str = "urn:xmpp:pie:0#mam";
/// Keys of passwords.
const PIE_SCRAM: &str = "urn:xmpp:pie:0#scram";
/// What is ours.
const EXPORT: &str = "https://github.com/spondee/spondee/export/0";

/// What is wrong with a file, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Here.
    pub at: At,
    /// A sentence.
    pub what: String,
}

/// A place in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct At {
    /// Which file.
    pub file: PathBuf,
    /// Which line; 0 is none in particular.
    pub line: u64,
}

impl At {
    fn fault(&self, what: impl Into<String>) -> Fault {
        Fault {
            at: self.clone(),
            what: what.into(),
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            0 => write!(f, "{file}"),
            line => write!(f, "{file}, line {line}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

impl std::error::Error for Fault {}
