//! Versions of a roster (RFC 6121 §2.6).

use alloc::string::{String, ToString as _};

use crate::time::Now;

/// A version of a roster. To clients it is opaque text; here it is a number that rises with each change.
///
/// Never do two different rosters of an account have the same one. So it follows the clock, in microseconds: an account that is deleted
/// and made again, or a database that comes back from a backup, goes on with numbers that were never told. The first, 0, is
/// that of a roster in which nothing was ever changed, which is the same empty one whenever the account was made.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version(pub(super) i64);

impl Version {
    /// That of the next change.
    #[must_use]
    pub(super) fn next(self, now: Now) -> Self {
        let clock = now.wall.0.saturating_mul(1000);
        Self(self.0.saturating_add(1).max(clock))
    }

    /// What `to_text` gave; anything else is none of ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let version = Self(text.parse().ok()?);
        // The same number in another spelling was not told by us.
        (version.to_text() == text).then_some(version)
    }

    /// The value of `ver`.
    #[must_use]
    pub fn to_text(self) -> String {
        self.0.to_string()
    }
}
