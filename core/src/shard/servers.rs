//! Streams that other servers opened: what they say is routed, and what they claim is asked about.

use alloc::sync::Arc;

use super::Shard;
use crate::federation::{Claim, Judged, Verified};
use crate::port::ConnId;
use crate::stanza::Stanza;
use crate::time::Now;

impl Shard {
    /// A server claims a domain by a key: who is asked about it says so some time later.
    pub(super) fn claimed(&mut self, now: Now, conn: ConnId, claim: Claim) {
        self.verify(now, conn, claim);
    }

    /// What the servers of a domain say to a key. The stream may be over.
    pub(super) fn verified_claim(
        &mut self,
        now: Now,
        conn: ConnId,
        claim: &Claim,
        verified: Verified,
    ) {
        self.answered(now, conn, |s, cx| s.claim_verified(cx, claim, verified));
    }

    /// A server has proven that it speaks for a domain, or has not.
    pub(super) fn judged_peer(&mut self, _now: Now, _conn: ConnId, _judged: Judged) {}

    /// A stanza of a domain that was proven.
    pub(super) fn from_remote(&mut self, _now: Now, _conn: ConnId, _stanza: Arc<Stanza>) {}
}
