//! Asking the servers of a domain whether a key is theirs (XEP-0220 §2.1.3), for a stream of whichever shard.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::arena::ArenaKey as _;
use crate::due::Due;
use crate::envelope::{Asker, Body, Place};
use crate::federation::{Claim, Unverified, Verified, VerifyAnswer};
use crate::jid::Domain;
use crate::limits::{RECEIPTS_AGAIN, S2S_VERIFY_PATIENCE};
use crate::link::{Answered, NamedBy, RemoteKey, Way};
use crate::planted::{Fault, is_planted};
use crate::port::{AttemptError, ConnId, LinkFailure, Unreached};
use crate::sasl::AddressPrint;
use crate::shard::Shard;
use crate::stream::{Stream, Violation};
use crate::time::Now;

/// Answers that found no way to the shard that asked.
pub(super) type Returned = BTreeMap<Place, Vec<(Asker, Claim, Verified)>>;

impl Shard {
    /// Asks the servers of a domain whether a key is theirs; `verified_claim` follows, later.
    pub(in crate::shard) fn verify(&mut self, now: Now, conn: ConnId, claim: Claim) {
        let asker = Asker {
            place: self.place,
            conn: conn.key(),
        };
        let address = self.peer(conn).and_then(|peer| {
            let attempt = self.throttle.attempt(&self.config.limits, peer, None);
            attempt.counted_address()
        });
        let owner = self.placement.owner(claim.originating.as_str());
        match owner == self.place {
            true => self.verify_here(now, asker, claim, address),
            false => {
                let asked = Box::new((asker, claim, address));
                self.send(owner, Body::Verify(asked));
            }
        }
    }

    /// The same, for a domain of this shard; by a server at this address.
    pub(in crate::shard) fn verify_here(
        &mut self,
        now: Now,
        asker: Asker,
        claim: Claim,
        address: Option<AddressPrint>,
    ) {
        let ours = claim.receiving.clone();
        let by = NamedBy::Address(address);
        let Some(key) = self.remote_of(now, &claim.originating, by) else {
            return self.tell_asker(now, asker, claim, Verified::Unknown(Unverified::Busy));
        };
        let tail = self.links.restart.tail_of(&ours);
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let Some(pair) = remote.pair(&ours, tail) else {
            return;
        };
        pair.is_claimed(now.mono);
        if let Way::Refused(failure, _) = &pair.way {
            let why = unverified(failure);
            return self.tell_asker(now, asker, claim, Verified::Unknown(why));
        }
        let until = now.mono + S2S_VERIFY_PATIENCE;
        match remote.verifications.push(claim, asker, until) {
            // It may be looked for again at once.
            Ok(()) => self.remote_on(now, key),
            Err(claim) => {
                self.tell_asker(now, asker, claim, Verified::Unknown(Unverified::Busy));
            }
        }
    }

    /// Asks what was not asked, on this stream.
    pub(super) fn ask_about_all(&mut self, now: Now, key: RemoteKey, ours: &Domain, conn: ConnId) {
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        for claim in remote.verifications.ask_on(ours, conn) {
            self.with(now, conn, |_, cx| Stream::ask_about(cx, &claim));
        }
    }

    /// An answer.
    pub(in crate::shard) fn verify_answered(
        &mut self,
        now: Now,
        conn: ConnId,
        answer: &VerifyAnswer,
    ) {
        let link = self.link_on(conn);
        let found = link.as_ref().and_then(|(key, _)| {
            let remote = self.links.remotes.get_mut(*key)?;
            remote.verifications.answered(conn, answer)
        });
        let found = found.or_else(|| {
            let all = self.links.remotes.keys().into_iter();
            let mut all = all.filter(|_| is_planted(Fault::AnsweredAnywhere));
            all.find_map(|key| {
                let remote = self.links.remotes.get_mut(key)?;
                remote.verifications.answered(conn, answer)
            })
        });
        match found {
            Some(Answered::Asker(asker, claim)) => {
                self.tell_asker(now, asker, claim, answer.verified);
            }
            Some(Answered::Late) => {}
            // XEP-0220 §3.1: nobody asked, so nobody may be told.
            None => return self.fail_now(now, conn, Violation::Unsolicited),
        }
        if let Some((key, _)) = link {
            self.look_at_remote(key);
        }
    }

    /// Nobody will say anything about the keys that were shown to this domain of ours.
    pub(super) fn unverified(
        &mut self,
        now: Now,
        key: RemoteKey,
        ours: &Domain,
        failure: &LinkFailure,
    ) {
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let why = Verified::Unknown(unverified(failure));
        for (asker, claim) in remote.verifications.take_of(ours) {
            self.tell_asker(now, asker, claim, why);
        }
    }

    /// Nor will they who take too long.
    pub(super) fn verifications_expired(&mut self, now: Now, key: RemoteKey) {
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        for (asker, claim) in remote.verifications.expired(now.mono) {
            let why = Verified::Unknown(Unverified::TimedOut);
            self.tell_asker(now, asker, claim, why);
        }
    }

    /// Tells the stream to which a key was shown what is known of it.
    pub(in crate::shard) fn tell_asker(
        &mut self,
        now: Now,
        asker: Asker,
        claim: Claim,
        verified: Verified,
    ) {
        match asker.place == self.place {
            true => self.verified_claim(now, ConnId::from_key(asker.conn), &claim, verified),
            false => {
                let told = Box::new((asker, claim, verified));
                self.send(asker.place, Body::Verified(told));
            }
        }
    }

    /// The way to the shard of a stream was full: it is told a little later, since it waits.
    pub(in crate::shard) fn verified_came_back(
        &mut self,
        now: Now,
        told: (Asker, Claim, Verified),
    ) {
        let place = told.0.place;
        self.links.returned.entry(place).or_default().push(told);
        self.timers
            .set(Due::Verified(place), now.mono, RECEIPTS_AGAIN);
    }

    /// That while is over.
    pub(in crate::shard) fn say_verified_again(&mut self, now: Now, place: Place) {
        for (asker, claim, verified) in self.links.returned.remove(&place).unwrap_or_default() {
            self.tell_asker(now, asker, claim, verified);
        }
    }
}

/// As dialback has words for it (XEP-0220 §2.5).
fn unverified(failure: &LinkFailure) -> Unverified {
    if failure.refusal().is_some() {
        return Unverified::Unfit;
    }
    match failure {
        LinkFailure::Unreached(why, _) => match why {
            Unreached::NoAddresses | Unreached::NoService | Unreached::Unresolved(_) => {
                Unverified::NotFound
            }
            Unreached::TimedOut => Unverified::TimedOut,
            Unreached::Unwelcome => Unverified::Refused,
            Unreached::Policy(_) | Unreached::Unsuccessful | Unreached::Stopped => {
                Unverified::Unconnected
            }
        },
        LinkFailure::Broke(error) if matches!(**error, AttemptError::TimedOut(_)) => {
            Unverified::TimedOut
        }
        LinkFailure::Broke(error) if matches!(**error, AttemptError::Refused(_)) => {
            Unverified::Refused
        }
        LinkFailure::Broke(_) => Unverified::Unconnected,
    }
}
