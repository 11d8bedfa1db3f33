//! What is kept of a password: salted, iterated keys for each hash (RFC 5803), never the password.

use alloc::string::String;
use alloc::vec::Vec;

use crate::secret::Secret;

/// A hash function of SCRAM.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Hash {
    /// RFC 5802.
    Sha1,
    /// RFC 7677.
    Sha256,
    /// draft-melnikov-scram-sha-512.
    Sha512,
}

impl Hash {
    /// All of them: every account gets keys for each.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];
}

/// Whether an account may sign in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It may.
    Enabled,
    /// Not until an administrator enables it again.
    Disabled,
}

/// The keys of one password under one hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScramKeys {
    /// The hash they belong to; keys are as long as its output.
    pub hash: Hash,
    /// The salt, at least 16 bytes.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub rounds: u32,
    /// H(ClientKey).
    pub stored_key: Secret,
    /// ServerKey.
    pub server_key: Secret,
}

/// One PBKDF2 job: pure but slow, so a worker does it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeriveParams {
    /// The hash to use.
    pub hash: Hash,
    /// The salt.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub rounds: u32,
}

impl DeriveParams {
    /// Does the job: SaltedPassword and from it both keys (RFC 5802 §3). Takes milliseconds: for workers only.
    #[must_use]
    pub fn derive(&self, password: &Secret) -> ScramKeys {
        let _ = password;
        todo!()
    }
}

/// What the store keeps of one account's sign-in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credentials {
    /// Whether it may sign in.
    pub status: Status,
    /// Keys, at most one set for each hash. Empty for an account without a password.
    pub keys: Vec<ScramKeys>,
}

impl Credentials {
    /// The record as kept: one JSON object, binary values in base64.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads what `to_record` wrote. `None` is a damaged record: nobody is let in by it.
    #[must_use]
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let _ = record;
        todo!()
    }

    /// The keys under `hash`.
    #[must_use]
    pub fn keys_for(&self, hash: Hash) -> Option<&ScramKeys> {
        self.keys.iter().find(|keys| keys.hash == hash)
    }
}

/// Prepares a password as SCRAM has it (RFC 5802 §2.2: SASLprep).
///
/// # Errors
/// What SASLprep prohibits, and the empty password.
pub fn prepare_password(password: &str) -> Result<String, PasswordError> {
    let _ = password;
    todo!()
}

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PasswordError {
    /// Nothing is left of it.
    Empty,
    /// It holds a character that SASLprep prohibits.
    Prohibited,
}
