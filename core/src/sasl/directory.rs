//! Passwords that a directory judges: none is kept here, and what is kept of an account says no more than whether it may sign in.
//!
//! Whether there is such an account is not asked of the directory: whoever it knows has one, from the first sign-in on.

use super::exchange::Vouched;
use super::standing::Standing;
use super::{Failure, Mechanism, Step, Verified};
use crate::jid::BareJid;

/// What a directory says of a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judgement {
    /// Nobody knows: the directory cannot be asked now, or does not say.
    None,
    /// It is the user's.
    Right,
    /// It is not, or there is no such user, or not one who may sign in.
    Wrong,
}

/// Waits for the directory. Wants no input meanwhile.
#[derive(Debug)]
pub struct Judge {
    account: BareJid,
    standing: Standing,
}

impl Judge {
    pub(super) const fn new(account: BareJid, standing: Standing) -> Self {
        Self { account, standing }
    }

    /// Goes on with what the directory says. Of an account that is disabled here that is told after the right password alone.
    #[must_use]
    pub fn judged(self, judgement: Judgement) -> Step {
        match (judgement, self.standing) {
            (Judgement::None, _) => Step::Failure(Failure::TemporaryAuthFailure),
            (Judgement::Wrong, _) => Step::Failure(Failure::NotAuthorized),
            (Judgement::Right, Standing::Disabled) => Step::Failure(Failure::AccountDisabled),
            (Judgement::Right, Standing::Enabled | Standing::Unknown) => {
                let verified = Verified::new(self.account, Mechanism::Plain, None);
                Step::Success(verified.vouched_for(Vouched::ByDirectory), None)
            }
        }
    }
}
