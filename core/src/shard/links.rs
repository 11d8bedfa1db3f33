//! Links to other servers.

use super::Shard;
use crate::federation::{Claim, Unverified, Verified};
use crate::port::ConnId;
use crate::time::Now;

impl Shard {
    /// Asks the servers of a domain whether a key is theirs; `verified_claim` follows, later.
    pub(super) fn verify(&mut self, now: Now, conn: ConnId, claim: Claim) {
        let verified = Verified::Unknown(Unverified::NotFound);
        self.verified_claim(now, conn, &claim, verified);
    }
}
