//! An account that comes from elsewhere, in steps.

use alloc::vec::Vec;
use core::fmt;

use crate::sasl::{ScramKeys, Status, Tombstones};
use crate::secret::Secret;
use crate::store::Op;
use crate::time::UnixTime;

/// One step of `Command::Import`. A server that ends between two of them leaves no account: the next `Begin` of that name, or whoever else takes
/// it, forgets what was there.
#[derive(Clone)]
pub enum ImportStep {
    /// Whether the name can be had. Changes nothing.
    Look(Tombstones),
    /// The name is looked at, and what an import that did not end left there is forgotten. The number is that of this import, by which its other
    /// steps are known: those of one that was overtaken by another take no effect.
    Begin(i64, Tombstones),
    /// What the account keeps: puts and appends, at most as many and as much as a batch holds beside one row of ours, or one operation.
    Keep(i64, Vec<Op>),
    /// From now on there is such an account.
    End(i64, Imported),
}

/// How an account is signed in to.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Whether it may be.
    pub status: Status,
    /// By what.
    pub proof: ImportedProof,
    /// When it was made, if that is known.
    pub created: Option<UnixTime>,
    /// When its password or status was last changed, if that is known.
    pub updated: Option<UnixTime>,
}

/// What is known of a password.
#[derive(Clone, Debug)]
pub enum ImportedProof {
    /// Keys, at most one set for each hash; none for an account that nobody can sign in to.
    Keys(Vec<ScramKeys>),
    /// The password itself, as typed.
    Password(Secret),
}

/// What is kept is not for logs.
impl fmt::Debug for ImportStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look(tombstones) => f.debug_tuple("Look").field(tombstones).finish(),
            Self::Begin(_, tombstones) => f.debug_tuple("Begin").field(tombstones).finish(),
            Self::Keep(_, ops) => write!(f, "Keep({} operations)", ops.len()),
            Self::End(_, imported) => f.debug_tuple("End").field(imported).finish(),
        }
    }
}
