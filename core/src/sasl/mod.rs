//! SASL as an XMPP server speaks it (RFC 6120 §6): which mechanisms are offered, and each exchange as a machine of its own.
//!
//! Works on decoded messages. Base64 and XML belong to the stream; looking up credentials and PBKDF2 belong to the shell: a
//! step that needs either says so and keeps what it has.

mod credentials;
mod exchange;
mod failure;
mod mechanism;
mod plain;
mod policy;
mod scram;

pub use credentials::{
    Credentials, DeriveParams, Hash, PasswordError, ScramKeys, Status, prepare_password,
};
pub use exchange::{Context, Derive, Exchange, Lookup, Step, Verified};
pub use failure::Failure;
pub use mechanism::{Mechanism, Plus};
pub use policy::{
    ChannelBindings, Encryption, Offer, OfferEmpty, SaslPolicy, Transport, admit, offer,
};
