//! SASL as an XMPP server speaks it (RFC 6120 §6): which mechanisms are offered, and each exchange as a machine of its own.
//!
//! Works on decoded messages. Base64 and XML belong to the stream; looking up credentials and PBKDF2 belong to the shell: a
//! step that needs either says so and keeps what it has. Who may go on after how many failures: `throttle`.

mod anonymous;
#[cfg(any(test, feature = "testing"))]
pub mod client;
mod credentials;
mod decoy;
mod digest_md5;
mod directory;
mod downgrade;
mod exchange;
mod external;
mod failure;
mod hash;
mod identity;
mod mechanism;
mod options;
mod plain;
mod policy;
mod provider;
mod regulars;
mod scram;
mod standing;
mod tally;
#[cfg(test)]
mod tests;
mod throttle;
mod tombstone;
mod unfinished;

pub(crate) use anonymous::GUEST;
pub use credentials::{
    CREDENTIALS, Credentials, Dates, DeriveParams, Form, PasswordError, SALT_BYTES, ScramKeys,
    Status, Verifier, prepare_new_password, prepare_password,
};
pub use decoy::read_beside;
pub use directory::{Judge, Judgement};
pub use exchange::{Context, Derive, Derives, Exchange, Lookup, SignIn, Step, Verified};
pub use failure::{Failure, Subject};
pub use hash::Hash;
pub use mechanism::{Mechanism, Plus};
pub use policy::{
    ChannelBindings, Encryption, Offer, OfferEmpty, SaslPolicy, Transport, admit, offer,
};
pub use provider::Provider;
pub use tally::{Hashes, TALLIED, Tallies, Tally};
pub(crate) use throttle::Counts;
pub use throttle::{AddressPrint, Attempt, Limit, Reached, Throttle, Verdict};
pub use tombstone::{Held, TOMBSTONES, Tombstones};
pub(crate) use tombstone::{get_tombstone, put_tombstone, remove_tombstone};
pub use unfinished::IMPORTS;
pub(crate) use unfinished::{get_unfinished, import_of, put_unfinished, remove_unfinished};
