//! What an account keeps: read from the store in one go, and written back change by change.

use crate::store::Loaded;

/// All that decisions need.
#[derive(Debug)]
pub(crate) struct Kept {}

/// Rows that make no sense: a load that fails, so that nothing is ever written over what could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unreadable;

impl Kept {
    /// From what the store has.
    pub(crate) fn from_loaded(_: &Loaded) -> Result<Self, Unreadable> {
        Ok(Self {})
    }
}
