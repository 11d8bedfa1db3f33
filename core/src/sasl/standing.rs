//! The last word on an attempt, the same for every mechanism.

use super::{Failure, Status};
use crate::secret::Secret;

/// How the account stands whose proof is about to be checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// It may sign in.
    Enabled,
    /// It may not, and is told so after the right proof only.
    Disabled,
    /// There is no such account, or it has no keys for the mechanism.
    Unknown,
}

impl Standing {
    /// Of an account that has keys.
    pub(super) const fn of(status: Status) -> Self {
        match status {
            Status::Enabled => Self::Enabled,
            Status::Disabled => Self::Disabled,
        }
    }

    /// The outcome. Compares in constant time the StoredKey that the proof leads to with the one that is kept.
    ///
    /// # Errors
    /// `NotAuthorized` or `AccountDisabled`.
    pub(super) fn judge(self, claimed: &Secret, kept: &Secret) -> Result<(), Failure> {
        match (self, claimed == kept) {
            (Self::Enabled, true) => Ok(()),
            (Self::Disabled, true) => Err(Failure::AccountDisabled),
            (Self::Enabled | Self::Disabled, false) | (Self::Unknown, _) => {
                Err(Failure::NotAuthorized)
            }
        }
    }
}
