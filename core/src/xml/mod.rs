//! XML streams as bytes: found, proven well-formed, read lazily and written, never turned into a tree.
//!
//! `scan` finds the top-level items of a stream in one resumable pass and proves them well-formed, namespace-well-formed and
//! within limits. What it hands out is an `Element`: validated bytes. Only `scan` (through `rewrite` for the rare forms) and
//! `write` make one, so nothing downstream checks again.

mod chars;
mod content;
mod declaration;
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub mod differential;
mod element;
mod error;
mod head;
mod item;
mod ns;
mod order;
mod pull;
mod rewrite;
mod scan;
mod scope;
mod stack;
mod tag;
#[cfg(test)]
mod tests;
mod write;

pub use content::Content;
pub use element::Element;
pub use error::{XmlClass, XmlError};
pub use head::{Attribute, Attributes};
pub use ns::Ns;
pub use pull::{Children, Node};
pub use scan::{Header, ScanLimits, Scanner, Token};
pub use write::{Writer, escape_attribute, escape_text, quote};
pub(crate) use write::{quote_plain, stands_for_itself};
