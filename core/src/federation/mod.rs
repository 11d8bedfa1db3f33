//! Other servers, purely: where they are, and what is needed of them.
//!
//! Finding the other side of a domain: which questions are asked of DNS, in which order the answers are tried, and what is done when one of them
//! fails (`Round`). Who drives it asks, connects, and says what became of it. It is the same for streams of clients and of servers
//! (`port::Protocol` says which), and for an administrator who wants to know.
//!
//! What is needed of who is there, or comes to us: `decide`, by what an administrator said and what is known of a stream.

mod claim;
mod explain;
mod facts;
mod failure;
mod key;
mod names;
mod network;
mod options;
mod places;
mod policy;
mod race;
mod reach;
mod round;
mod rule;
mod rules;
mod targets;
#[cfg(test)]
mod tests;

use crate::arena::arena_key;

pub use claim::{
    Claim, Decider, Judged, LinkProof, Outcome, PeerProof, PeerStanding, Unverified, Verified,
    VerifyAnswer,
};
pub use explain::{Conclusion, Weighed, conclude};
pub use facts::{
    Facts, Flaw, Method, Methods, OwnCertificate, PeerCertificate, Side, StarttlsOffer, Tls, Tried,
    Try, Whose,
};
pub use failure::{LinkFailure, ProvenBy};
pub use key::DialbackKeys;
pub use names::{NameMatch, match_names};
pub use network::{
    CertificateName, CertificateNames, Chain, ConnectError, Lookup, LookupError, NameConstraints,
    Opening, Protocol, Resolved, ServerCertificate, Service, Source, TlsClient, TlsServer, TlsSide,
    TlsVersion, Verdict as NamedVerdict,
};
pub use options::{Bidi, FederationOptions};
pub use places::{Places, refusal};
pub use policy::{Condition, Lasting, NextStep, Offer, Verdict, decide};
pub use reach::{
    Asked, Attempt, AttemptError, AttemptOutcome, Awaited, Feature, Features, PeerError, Reach,
    Reached, RefusedPlace, Secured, SecuredBy, Starttls, StreamError, Target, Unproven, Unreached,
};
pub use round::{Round, Step};
pub use rule::{Finding, Refusal, Rule, Saw};
pub use rules::{
    AllowEncryption, Allowed, Contradiction, Encryption, Listed, Need, Permission, PolicyOptions,
    RequireEncryption, Rules, SecureAuth,
};
pub use targets::{order, questions, roll, targets};

arena_key! {
    /// A round under way, with whoever drives it.
    pub RoundKey;
}
