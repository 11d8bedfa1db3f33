//! Who may use which mechanism on which transport: a pure function of its inputs.

use alloc::vec::Vec;

use super::{Failure, Mechanism, Plus, Provider};
use crate::jid::{BareJid, Domain};

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

/// What the TLS connection can be bound to, as far as that is on offer.
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
    /// The same, and the client has shown a certificate that names these, at least one, and was signed by an authority of the host's.
    Certified(ChannelBindings, Vec<BareJid>),
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
pub fn offer(
    policy: &SaslPolicy,
    provider: Provider,
    transport: &Transport,
) -> Result<Offer, OfferEmpty> {
    let mechanisms: Vec<Mechanism> = Mechanism::ALL
        .into_iter()
        .filter(|mechanism| admit(policy, provider, transport, mechanism.name()).is_ok())
        .collect();
    if mechanisms.is_empty() {
        return Err(why_empty(policy, provider, transport));
    }
    // XEP-0440 §3: a client must take binding types without a mechanism that binds for an attack.
    let binds = mechanisms.iter().any(|mechanism| mechanism.binds());
    Ok(Offer {
        bindings: if binds {
            transport.bindings().collect()
        } else {
            Vec::new()
        },
        mechanisms,
    })
}

fn why_empty(policy: &SaslPolicy, provider: Provider, transport: &Transport) -> OfferEmpty {
    if *transport == Transport::Clear && policy.encryption == Encryption::Required {
        return OfferEmpty::EncryptionRequired;
    }
    let all_disabled = Mechanism::ALL
        .into_iter()
        .filter(|mechanism| provider.has(*mechanism) && transport.carries(*mechanism))
        .all(|mechanism| names(&policy.disable, mechanism.name()));
    if all_disabled {
        OfferEmpty::AllDisabled
    } else {
        OfferEmpty::AllInsecure
    }
}

/// The gate that `<auth mechanism='name'/>` passes, in Prosody's order: TLS missing though required, or the mechanism
/// insecure without it; disabled; not offered.
///
/// # Errors
/// `EncryptionRequired` or `InvalidMechanism`.
pub fn admit(
    policy: &SaslPolicy,
    provider: Provider,
    transport: &Transport,
    name: &str,
) -> Result<Mechanism, Failure> {
    if *transport == Transport::Clear
        && (policy.encryption == Encryption::Required || names(&policy.insecure, name))
    {
        return Err(Failure::EncryptionRequired);
    }
    if names(&policy.disable, name) {
        return Err(Failure::InvalidMechanism);
    }
    Mechanism::from_name(name)
        .filter(|mechanism| provider.has(*mechanism) && transport.carries(*mechanism))
        .ok_or(Failure::InvalidMechanism)
}

/// As written: `SCRAM-SHA-1` in a list does not mean `SCRAM-SHA-1-PLUS`.
pub(super) fn names(list: &[alloc::string::String], name: &str) -> bool {
    list.iter().any(|entry| entry == name)
}

impl Transport {
    /// The data of the binding type of this name, if the connection has it.
    pub(super) fn binding(&self, name: &str) -> Option<&[u8]> {
        let (Self::Tls(bindings) | Self::Certified(bindings, _)) = self else {
            return None;
        };
        let data = match name {
            TLS_EXPORTER => bindings.exporter.as_ref().map(<[u8; 32]>::as_slice),
            TLS_SERVER_END_POINT => bindings.end_point.as_deref(),
            _ => None,
        };
        // RFC 5802 §7: cbind-data is never empty.
        data.filter(|data| !data.is_empty())
    }

    /// The names of the binding types it has, the strongest first.
    fn bindings(&self) -> impl Iterator<Item = &'static str> {
        [TLS_EXPORTER, TLS_SERVER_END_POINT]
            .into_iter()
            .filter(|name| self.binding(name).is_some())
    }

    /// Whom the client's certificate names.
    pub(super) fn certified(&self) -> &[BareJid] {
        match self {
            Self::Certified(_, named) => named,
            Self::Clear | Self::Tls(_) => &[],
        }
    }

    /// The same for a stream to this host: an authority vouches for no other.
    #[must_use]
    pub fn at(self, host: &Domain) -> Self {
        let Self::Certified(bindings, mut named) = self else {
            return self;
        };
        named.retain(|account| account.domain() == host.as_str());
        match named.is_empty() {
            true => Self::Tls(bindings),
            false => Self::Certified(bindings, named),
        }
    }

    /// Whether it has what the mechanism needs: RFC 5802 §4 has -PLUS where there is something to bind to, RFC 6120 §6.3.4 EXTERNAL where
    /// the client has shown who it is.
    fn carries(&self, mechanism: Mechanism) -> bool {
        match mechanism {
            Mechanism::External => !self.certified().is_empty(),
            Mechanism::Scram(_, Plus::Yes) => self.bindings().next().is_some(),
            Mechanism::Anonymous
            | Mechanism::DigestMd5
            | Mechanism::Plain
            | Mechanism::Scram(_, Plus::No) => true,
        }
    }
}

const TLS_EXPORTER: &str = "tls-exporter";
const TLS_SERVER_END_POINT: &str = "tls-server-end-point";

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use super::*;

    const NAMES: [&str; 9] = [
        "SCRAM-SHA-512-PLUS",
        "SCRAM-SHA-256-PLUS",
        "SCRAM-SHA-1-PLUS",
        "SCRAM-SHA-512",
        "SCRAM-SHA-256",
        "SCRAM-SHA-1",
        "PLAIN",
        "LOGIN",
        "plain",
    ];

    fn transports() -> [Transport; 5] {
        let tls = |exporter, end_point| {
            Transport::Tls(ChannelBindings {
                exporter,
                end_point,
            })
        };
        [
            Transport::Clear,
            tls(None, None),
            tls(Some([1; 32]), None),
            tls(None, Some(vec![2; 32])),
            tls(Some([1; 32]), Some(vec![2; 32])),
        ]
    }

    fn policies() -> Vec<SaslPolicy> {
        let lists: [&[&str]; 5] = [
            &[],
            &["DIGEST-MD5"],
            &["PLAIN", "LOGIN"],
            &["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"],
            &NAMES,
        ];
        let owned = |list: &[&str]| list.iter().map(|name| (*name).into()).collect();
        let mut policies = Vec::new();
        for encryption in [Encryption::Required, Encryption::Optional] {
            for disable in lists {
                for insecure in lists {
                    policies.push(SaslPolicy {
                        encryption,
                        disable: owned(disable),
                        insecure: owned(insecure),
                    });
                }
            }
        }
        policies
    }

    fn offered(policy: &SaslPolicy, transport: &Transport) -> Vec<&'static str> {
        let offer = offer(policy, Provider::Hashed, transport).unwrap();
        offer.mechanisms.iter().map(|m| m.name()).collect()
    }

    /// Written as the reference has it, against the code, which is written for the reader.
    #[test]
    fn the_gate_answers_as_the_table_says() {
        for policy in policies() {
            for transport in transports() {
                let clear = transport == Transport::Clear;
                let bindings = match &transport {
                    Transport::Clear => 0,
                    Transport::Tls(b) | Transport::Certified(b, _) => {
                        u8::from(b.exporter.is_some()) + u8::from(b.end_point.is_some())
                    }
                };
                for name in NAMES {
                    let listed = |list: &[String]| list.contains(&name.into());
                    let known = name != "LOGIN" && name != "plain";
                    let required = policy.encryption == Encryption::Required;
                    let expected = match (clear, required, listed(&policy.insecure)) {
                        (true, true, _) | (true, false, true) => Err(Failure::EncryptionRequired),
                        _ if listed(&policy.disable) => Err(Failure::InvalidMechanism),
                        _ if !known => Err(Failure::InvalidMechanism),
                        _ if name.ends_with("-PLUS") && bindings == 0 => {
                            Err(Failure::InvalidMechanism)
                        }
                        _ => Ok(name),
                    };
                    assert_eq!(
                        admit(&policy, Provider::Hashed, &transport, name).map(Mechanism::name),
                        expected,
                        "{name} under {policy:?} on {transport:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_is_offered_is_what_the_gate_admits_the_strongest_first() {
        for policy in policies() {
            for transport in transports() {
                let admitted: Vec<&str> = NAMES
                    .into_iter()
                    .filter(|name| admit(&policy, Provider::Hashed, &transport, name).is_ok())
                    .collect();
                match offer(&policy, Provider::Hashed, &transport) {
                    Ok(offer) => {
                        assert!(!admitted.is_empty());
                        assert!(offer.mechanisms.iter().map(|m| m.name()).eq(admitted));
                    }
                    Err(_) => assert!(admitted.is_empty(), "{admitted:?}"),
                }
            }
        }
    }

    #[test]
    fn binding_types_are_named_only_where_a_mechanism_binds() {
        let policy = SaslPolicy::default();
        let named: Vec<Vec<&str>> = transports()
            .iter()
            .skip(1)
            .map(|transport| {
                offer(&policy, Provider::Hashed, transport)
                    .unwrap()
                    .bindings
            })
            .collect();
        assert_eq!(
            named,
            [
                vec![],
                vec!["tls-exporter"],
                vec!["tls-server-end-point"],
                vec!["tls-exporter", "tls-server-end-point"],
            ]
        );
        let [.., both] = transports();
        let policy = SaslPolicy {
            disable: NAMES.iter().take(3).map(|name| (*name).into()).collect(),
            ..policy
        };
        assert_eq!(
            offer(&policy, Provider::Hashed, &both).unwrap().bindings,
            [""; 0]
        );
    }

    #[test]
    fn an_empty_binding_binds_nothing() {
        let transport = Transport::Tls(ChannelBindings {
            exporter: None,
            end_point: Some(vec![]),
        });
        let offer = offer(&SaslPolicy::default(), Provider::Hashed, &transport).unwrap();
        assert!(offer.mechanisms.iter().all(|mechanism| !mechanism.binds()));
        assert_eq!(offer.bindings, [""; 0]);
    }

    #[test]
    fn an_empty_offer_has_a_reason() {
        let [clear, tls, .., both] = transports();
        let mut policy = SaslPolicy::default();
        assert_eq!(
            offer(&policy, Provider::Hashed, &clear),
            Err(OfferEmpty::EncryptionRequired)
        );
        policy.disable = NAMES.iter().map(|name| (*name).into()).collect();
        assert_eq!(
            offer(&policy, Provider::Hashed, &clear),
            Err(OfferEmpty::EncryptionRequired)
        );
        assert_eq!(
            offer(&policy, Provider::Hashed, &both),
            Err(OfferEmpty::AllDisabled)
        );
        policy.encryption = Encryption::Optional;
        assert_eq!(
            offer(&policy, Provider::Hashed, &clear),
            Err(OfferEmpty::AllDisabled)
        );
        policy.insecure = policy.disable.split_off(3);
        assert_eq!(
            offer(&policy, Provider::Hashed, &clear),
            Err(OfferEmpty::AllInsecure)
        );
        assert_eq!(
            offered(&policy, &tls),
            ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]
        );
    }

    #[test]
    fn disabling_a_mechanism_leaves_its_plus_form() {
        let [.., both] = transports();
        let policy = SaslPolicy {
            disable: vec!["SCRAM-SHA-1".into()],
            ..SaslPolicy::default()
        };
        assert_eq!(
            offered(&policy, &both),
            [
                "SCRAM-SHA-512-PLUS",
                "SCRAM-SHA-256-PLUS",
                "SCRAM-SHA-1-PLUS",
                "SCRAM-SHA-512",
                "SCRAM-SHA-256",
                "PLAIN"
            ]
        );
    }
}
