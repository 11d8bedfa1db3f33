//! Who may use which mechanism on which transport: a pure function of its inputs.

use alloc::vec::Vec;

use super::{Failure, Mechanism};

/// `c2s_require_encryption`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encryption {
    /// SASL is neither offered nor accepted before TLS.
    Required,
    /// SASL without TLS is possible, less the insecure mechanisms.
    Optional,
}

/// The options of one host that bear on SASL, with Prosody's meaning.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SaslPolicy {
    /// `c2s_require_encryption`.
    pub encryption: Encryption,
    /// `disable_sasl_mechanisms`: names, compared as written; names of mechanisms we do not have are harmless.
    pub disable: Vec<alloc::string::String>,
    /// `insecure_sasl_mechanisms`, `allow_unencrypted_plain_auth` already applied: not without TLS.
    pub insecure: Vec<alloc::string::String>,
}

impl Default for SaslPolicy {
    fn default() -> Self {
        Self {
            encryption: Encryption::Required,
            disable: alloc::vec!["DIGEST-MD5".into()],
            insecure: alloc::vec!["PLAIN".into(), "LOGIN".into()],
        }
    }
}

/// What the TLS connection can be bound to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChannelBindings {
    /// `tls-exporter` (RFC 9266 §4): 32 bytes. With TLS 1.3 only.
    pub exporter: Option<[u8; 32]>,
    /// `tls-server-end-point` (RFC 5929 §4): the hash of the certificate the server used.
    pub end_point: Option<Vec<u8>>,
}

/// What protects the stream while SASL runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Transport {
    /// Nothing.
    Clear,
    /// TLS, with what it can be bound to.
    Tls(ChannelBindings),
}

/// What the stream features say of SASL.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Offer {
    /// Strongest first.
    pub mechanisms: Vec<Mechanism>,
    /// XEP-0440 §3: names of the binding types on offer; empty where no -PLUS mechanism is.
    pub bindings: Vec<&'static str>,
}

/// Why nothing is on offer: the log names it (Prosody closes with "No stream features to proceed with").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OfferEmpty {
    /// Not a fault: TLS comes first.
    EncryptionRequired,
    /// `disable_sasl_mechanisms` names them all.
    AllDisabled,
    /// Without TLS, `insecure_sasl_mechanisms` names all that are left.
    AllInsecure,
}

/// What a host offers on this transport.
///
/// # Errors
/// The reason for an empty offer.
pub fn offer(policy: &SaslPolicy, transport: &Transport) -> Result<Offer, OfferEmpty> {
    let _ = (policy, transport);
    todo!()
}

/// The gate that `<auth mechanism='name'/>` passes, in Prosody's order: TLS missing though required, or the mechanism
/// insecure without it; disabled; not offered.
///
/// # Errors
/// `EncryptionRequired` or `InvalidMechanism`.
pub fn admit(policy: &SaslPolicy, transport: &Transport, name: &str) -> Result<Mechanism, Failure> {
    let _ = (policy, transport, name);
    todo!()
}
