//! Keys that remote servers have shown to streams here, and that their domains' own servers are asked about (XEP-0220 §2.2).
//!
//! It is a table, never a wait: who asked goes on with all else, and is told what came of it. What is asked on one stream is answered on that
//! one alone.

use alloc::vec::Vec;

use crate::envelope::Asker;
use crate::federation::{Claim, VerifyAnswer};
use crate::jid::Domain;
use crate::limits::S2S_VERIFICATIONS;
use crate::planted::{Fault, is_planted};
use crate::port::ConnId;
use crate::time::Instant;

/// One key that is asked about.
#[derive(Clone, Debug)]
struct Verification {
    claim: Claim,
    asker: Asker,
    asked: Asked,
    /// When it is given up.
    until: Instant,
}

/// On which stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// On none yet.
    No,
    On(ConnId),
    /// It was given up: an answer is no fault, and nobody's any more.
    Late(ConnId),
}

/// What an answer is to.
#[derive(Debug)]
pub(crate) enum Answered {
    /// To this one's question.
    Asker(Asker, Claim),
    /// To one that was given up.
    Late,
}

/// All of one remote domain.
#[derive(Debug, Default)]
pub(crate) struct Verifications(Vec<Verification>);

impl Verifications {
    /// One more.
    ///
    /// # Errors
    /// Gives it back where there is no room.
    pub(crate) fn push(&mut self, claim: Claim, asker: Asker, until: Instant) -> Result<(), Claim> {
        if self.0.len() >= S2S_VERIFICATIONS {
            return Err(claim);
        }
        self.0.push(Verification {
            claim,
            asker,
            asked: Asked::No,
            until,
        });
        Ok(())
    }

    /// Those for this domain of ours that were not asked, which are asked on this stream now.
    pub(crate) fn ask_on(&mut self, ours: &Domain, conn: ConnId) -> Vec<Claim> {
        let of_it =
            |one: &&mut Verification| one.asked == Asked::No && one.claim.receiving == *ours;
        let asked = self.0.iter_mut().filter(of_it).map(|one| {
            one.asked = Asked::On(conn);
            one.claim.clone()
        });
        asked.collect()
    }

    /// What was asked on this stream and has this answer; none, if that was not asked.
    pub(crate) fn answered(&mut self, conn: ConnId, answer: &VerifyAnswer) -> Option<Answered> {
        let is_it = |one: &Verification| {
            (matches!(one.asked, Asked::On(on) | Asked::Late(on) if on == conn)
                || is_planted(Fault::AnsweredAnywhere))
                && one.claim.receiving == answer.receiving
                && one.claim.originating == answer.originating
                && one.claim.id == answer.id
        };
        let at = self.0.iter().position(is_it)?;
        let one = self.0.remove(at);
        Some(match one.asked {
            Asked::On(_) => Answered::Asker(one.asker, one.claim),
            Asked::No | Asked::Late(_) => Answered::Late,
        })
    }

    /// A stream is gone: what was asked on it can be asked on another.
    pub(crate) fn lose(&mut self, conn: ConnId) {
        self.0.retain(|one| one.asked != Asked::Late(conn));
        for one in &mut self.0 {
            if one.asked == Asked::On(conn) {
                one.asked = Asked::No;
            }
        }
    }

    /// Those for this domain of ours: nobody will answer them.
    pub(crate) fn take_of(&mut self, ours: &Domain) -> Vec<(Asker, Claim)> {
        let of_it = |one: &mut Verification| one.claim.receiving == *ours;
        let those = self.0.extract_if(.., of_it);
        let those = those.filter(|one| !matches!(one.asked, Asked::Late(_)));
        those.map(|one| (one.asker, one.claim)).collect()
    }

    /// Those whose time is over.
    pub(crate) fn expired(&mut self, now: Instant) -> Vec<(Asker, Claim)> {
        let mut expired = Vec::new();
        self.0.retain_mut(|one| {
            if now < one.until || matches!(one.asked, Asked::Late(_)) {
                return true;
            }
            expired.push((one.asker, one.claim.clone()));
            match one.asked {
                Asked::On(conn) => {
                    one.asked = Asked::Late(conn);
                    true
                }
                Asked::No | Asked::Late(_) => false,
            }
        });
        expired
    }

    /// When the first is given up.
    pub(crate) fn next(&self) -> Option<Instant> {
        let under_way = |one: &&Verification| !matches!(one.asked, Asked::Late(_));
        self.0.iter().filter(under_way).map(|one| one.until).min()
    }

    /// Whether something is to be asked for this domain of ours, or was and is not answered.
    pub(crate) fn concern(&self, ours: &Domain) -> bool {
        let under_way = |one: &Verification| !matches!(one.asked, Asked::Late(_));
        self.0
            .iter()
            .any(|one| under_way(one) && one.claim.receiving == *ours)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
