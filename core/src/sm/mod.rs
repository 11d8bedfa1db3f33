//! XEP-0198: Stream Management, version 1.6.3.

mod options;

pub use options::{Location, SmOptions};
