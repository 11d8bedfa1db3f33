//! Channel bindings of a server: tls-exporter (RFC 9266) and tls-server-end-point (RFC 5929 §4).
//!
//! rustls exports keying material from its buffered connections only. The unbuffered ones do tell a `KeyLog` their exporter
//! secret, on the thread that drives the handshake: it is caught in a slot of that thread, taken before the next connection
//! can use the thread, turned into the 32 bytes of the binding and wiped.

use std::cell::RefCell;

use rustls::crypto::tls13::{HkdfExpander, OkmBlock};
use rustls::{KeyLog, SupportedCipherSuite};
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512, Sha512_256};
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_HASH_SHA1, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512,
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA224WITHRSA,
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_DSA_WITH_SHA1, OID_SIG_ECDSA_WITH_SHA224, OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, Oid, asn1_rs::oid,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;

thread_local! {
    /// The exporter secret of the handshake this thread drives at the moment.
    static EXPORTER_SECRET: RefCell<Option<OkmBlock>> = const { RefCell::new(None) };
}

/// Catches the exporter secret for `take_exporter_secret` and wants no other.
#[derive(Debug)]
pub(super) struct ExporterSecret;

impl KeyLog for ExporterSecret {
    fn log(&self, label: &str, _client_random: &[u8], secret: &[u8]) {
        if self.will_log(label) {
            EXPORTER_SECRET.set(Some(OkmBlock::new(secret)));
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == "EXPORTER_SECRET"
    }
}

/// What rustls derived on this thread since the last call. The block wipes itself when dropped.
pub(super) fn take_exporter_secret() -> Option<OkmBlock> {
    EXPORTER_SECRET.take()
}

/// The 32 bytes of `tls-exporter` (RFC 9266): `TLS-Exporter("EXPORTER-Channel-Binding", "", 32)` by RFC 8446 §7.5.
/// `None` with a TLS 1.2 suite, for which the exporter is not offered.
pub(super) fn tls_exporter(secret: &OkmBlock, suite: SupportedCipherSuite) -> Option<[u8; 32]> {
    let suite = suite.tls13()?;
    let hash_of_nothing = suite.common.hash_provider.hash(&[]);
    let hash_length = u16::try_from(hash_of_nothing.as_ref().len()).ok()?;

    let mut derived = vec![0; usize::from(hash_length)];
    expand_label(
        &*suite.hkdf_provider.expander_for_okm(secret),
        b"EXPORTER-Channel-Binding",
        hash_of_nothing.as_ref(),
        &mut derived,
    )?;
    let derived = OkmBlock::new(&zeroize::Zeroizing::new(derived));

    let mut binding = [0; 32];
    expand_label(
        &*suite.hkdf_provider.expander_for_okm(&derived),
        b"exporter",
        hash_of_nothing.as_ref(),
        &mut binding,
    )?;
    Some(binding)
}

/// HKDF-Expand-Label (RFC 8446 §7.1).
fn expand_label(
    expander: &dyn HkdfExpander,
    label: &[u8],
    context: &[u8],
    output: &mut [u8],
) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let output_length = u16::try_from(output.len()).ok()?.to_be_bytes();
    let label_length = [u8::try_from(PREFIX.len() + label.len()).ok()?];
    let context_length = [u8::try_from(context.len()).ok()?];
    let info: [&[u8]; 6] = [
        &output_length,
        &label_length,
        PREFIX,
        label,
        &context_length,
        context,
    ];
    expander.expand_slice(&info, output).ok()
}

/// The bytes of `tls-server-end-point` for a certificate in DER (RFC 5929 §4.1): its hash by the hash function of its
/// signature algorithm, by SHA-256 where that is MD5 or SHA-1. `None` where the binding is undefined, because the algorithm has
/// no hash function of its own (Ed25519) or more than one, and for hash functions we do not know.
pub(super) fn tls_server_end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(match hash_of_signature(&parsed.signature_algorithm)? {
        Hash::Sha224 => Sha224::digest(certificate).to_vec(),
        Hash::Sha256 => Sha256::digest(certificate).to_vec(),
        Hash::Sha384 => Sha384::digest(certificate).to_vec(),
        Hash::Sha512 => Sha512::digest(certificate).to_vec(),
        Hash::Sha512Of256 => Sha512_256::digest(certificate).to_vec(),
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512Of256,
}

fn hash_of_signature(algorithm: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    if algorithm.algorithm == OID_PKCS1_RSASSAPSS {
        return hash_of_pss(algorithm);
    }
    let known = [
        (OID_PKCS1_MD5WITHRSAENC, Hash::Sha256),
        (OID_PKCS1_SHA1WITHRSA, Hash::Sha256),
        (OID_SIG_DSA_WITH_SHA1, Hash::Sha256),
        (oid!(1.2.840.10045.4.1), Hash::Sha256), // ecdsa-with-SHA1
        (OID_PKCS1_SHA224WITHRSA, Hash::Sha224),
        (OID_PKCS1_SHA256WITHRSA, Hash::Sha256),
        (OID_PKCS1_SHA384WITHRSA, Hash::Sha384),
        (OID_PKCS1_SHA512WITHRSA, Hash::Sha512),
        (oid!(1.2.840.113549.1.1.16), Hash::Sha512Of256), // sha512-256WithRSAEncryption
        (OID_SIG_ECDSA_WITH_SHA224, Hash::Sha224),
        (OID_SIG_ECDSA_WITH_SHA256, Hash::Sha256),
        (OID_SIG_ECDSA_WITH_SHA384, Hash::Sha384),
        (OID_SIG_ECDSA_WITH_SHA512, Hash::Sha512),
    ];
    known
        .into_iter()
        .find(|(oid, _)| *oid == algorithm.algorithm)
        .map(|(_, hash)| hash)
}

/// RSASSA-PSS names two hash functions, the message's and the mask's: a single one only if they are the same.
fn hash_of_pss(algorithm: &AlgorithmIdentifier<'_>) -> Option<Hash> {
    let parameters = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
    let hash = parameters.hash_algorithm_oid();
    let mask = parameters.mask_gen_algorithm().ok()?;
    if mask.hash != *hash {
        return None;
    }
    let known: [(Oid<'_>, Hash); 4] = [
        (OID_HASH_SHA1, Hash::Sha256),
        (OID_NIST_HASH_SHA256, Hash::Sha256),
        (OID_NIST_HASH_SHA384, Hash::Sha384),
        (OID_NIST_HASH_SHA512, Hash::Sha512),
    ];
    known
        .into_iter()
        .find(|(oid, _)| oid == hash)
        .map(|(_, hash)| hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn self_signed(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn end_point_takes_the_hash_of_the_signature() {
        let p256 = self_signed(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(
            tls_server_end_point(&p256).unwrap(),
            Sha256::digest(&p256).to_vec()
        );
        let p384 = self_signed(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(
            tls_server_end_point(&p384).unwrap(),
            Sha384::digest(&p384).to_vec()
        );
    }

    /// RFC 5929 §4.1, third case.
    #[test]
    fn end_point_is_undefined_for_ed25519() {
        assert_eq!(
            tls_server_end_point(&self_signed(&rcgen::PKCS_ED25519)),
            None
        );
    }

    #[test]
    fn end_point_of_something_else_is_none() {
        assert_eq!(tls_server_end_point(b"no certificate"), None);
    }

    #[test]
    fn only_the_exporter_secret_is_caught_and_only_once() {
        let log = ExporterSecret;
        for label in [
            "CLIENT_RANDOM",
            "SERVER_TRAFFIC_SECRET_0",
            "CLIENT_TRAFFIC_SECRET_0",
        ] {
            assert!(!log.will_log(label));
            log.log(label, &[0; 32], &[1; 32]);
            assert!(take_exporter_secret().is_none());
        }
        log.log("EXPORTER_SECRET", &[0; 32], &[7; 48]);
        assert_eq!(take_exporter_secret().unwrap().as_ref(), &[7; 48]);
        assert!(take_exporter_secret().is_none());
    }

    #[test]
    fn md5_and_sha1_signatures_take_sha256() {
        for oid in [
            OID_PKCS1_MD5WITHRSAENC,
            OID_PKCS1_SHA1WITHRSA,
            oid!(1.2.840.10045.4.1),
        ] {
            let algorithm = AlgorithmIdentifier::new(oid, None);
            assert_eq!(hash_of_signature(&algorithm), Some(Hash::Sha256));
        }
    }
}
