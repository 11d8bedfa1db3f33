//! What an account keeps: read from the store in one go, and written back change by change.

use crate::roster::{BadRow, Roster};
use crate::store::Loaded;

/// All that decisions need.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(super) roster: Roster,
}

impl Kept {
    /// From what the store has. Rows that make no sense are a load that fails, so that nothing is ever written over what could not be
    /// read.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Result<Self, BadRow> {
        Ok(Self {
            roster: Roster::from_loaded(loaded)?,
        })
    }
}
