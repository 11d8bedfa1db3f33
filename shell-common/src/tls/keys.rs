//! Private keys: what kind one is, and what to do about a kind that cannot be used.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::SigningKey;
use x509_parser::asn1_rs::{Any, FromDer as _, Oid, Tag};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_DSA, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_PKCS1_RSASSAPSS, OID_SIG_ED448, OID_SIG_ED25519,
};
use zeroize::Zeroizing;

use super::bring::block;
use super::pem::{Block, Secrecy};

/// A private key as it stands in a file.
pub(super) struct Key {
    pub(super) form: Form,
    /// The line where it begins.
    pub(super) line: usize,
    der: Zeroizing<Vec<u8>>,
}

/// How a key is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// PKCS#8, for any algorithm.
    Pkcs8,
    /// PKCS#1, RSA alone.
    Pkcs1,
    /// SEC 1, elliptic curves alone.
    Sec1,
    /// DSA alone, as OpenSSL wrote it.
    Dsa,
    /// Behind a passphrase, in whichever form.
    Encrypted,
    /// As `ssh-keygen` writes it.
    OpenSsh,
    /// Something else that calls itself a private key.
    Other(String),
}

impl Form {
    /// The form that a block's label names, if it names a private key.
    pub(super) fn of(label: &str) -> Option<Self> {
        let kind = label.strip_suffix("PRIVATE KEY")?.trim_end();
        Some(match kind {
            "" => Self::Pkcs8,
            "RSA" => Self::Pkcs1,
            "EC" => Self::Sec1,
            "DSA" => Self::Dsa,
            "ENCRYPTED" => Self::Encrypted,
            "OPENSSH" => Self::OpenSsh,
            _ => Self::Other(label.to_owned()),
        })
    }
}

impl Form {
    fn label(&self) -> String {
        let kind = match self {
            Self::Pkcs8 => "",
            Self::Pkcs1 => "RSA ",
            Self::Sec1 => "EC ",
            Self::Dsa => "DSA ",
            Self::Encrypted => "ENCRYPTED ",
            Self::OpenSsh => "OPENSSH ",
            Self::Other(label) => return label.clone(),
        };
        format!("{kind}PRIVATE KEY")
    }
}

impl Key {
    pub(super) fn new(form: Form, block: Block) -> Self {
        let form = match block.secrecy {
            Secrecy::Clear => form,
            Secrecy::Encrypted => Form::Encrypted,
        };
        Self {
            form,
            line: block.line,
            der: block.der,
        }
    }

    /// As it is written, in a block of its own.
    pub(super) fn pem(&self) -> Zeroizing<String> {
        Zeroizing::new(block(&self.form.label(), &self.der))
    }

    /// The key, ready to sign.
    ///
    /// # Errors
    /// What kind of key it is and what to make instead.
    pub(super) fn signing(&self) -> Result<Arc<dyn SigningKey>, String> {
        let der: &[u8] = &self.der;
        let der = match &self.form {
            Form::Pkcs8 => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
            Form::Pkcs1 => PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)),
            Form::Sec1 => PrivateKeyDer::Sec1(PrivateSec1KeyDer::from(der)),
            Form::Dsa => return Err(Kind::Dsa.advice()),
            Form::Encrypted => return Err(ENCRYPTED.to_owned()),
            Form::OpenSsh => {
                return Err(format!("this is a key for SSH, not for TLS: {}", renewal()));
            }
            Form::Other(label) => {
                return Err(format!("a {label} is not supported: {}", renewal()));
            }
        };
        any_supported_type(&der).map_err(|_| self.kind().advice())
    }

    fn kind(&self) -> Kind {
        let kind = match &self.form {
            Form::Pkcs8 => pkcs8(&self.der),
            Form::Pkcs1 => rsa(&self.der),
            Form::Sec1 => ec(&self.der, None),
            Form::Dsa => Some(Kind::Dsa),
            Form::Encrypted | Form::OpenSsh | Form::Other(_) => None,
        };
        kind.unwrap_or(Kind::Unreadable)
    }
}

const ENCRYPTED: &str = "this key is protected by a passphrase, which a server cannot type; write one without by openssl \
     pkey -in FILE -out FILE.key";

/// What there is to know of a key before it is used.
#[derive(Debug, Eq, PartialEq)]
enum Kind {
    Rsa {
        bits: usize,
        exponent: Exponent,
        primes: Primes,
    },
    /// RSA that may sign in one way only.
    RsaPss,
    Ec(Curve, Point),
    Ed25519,
    Dsa,
    /// For agreeing on keys, not for signatures.
    Agreement(&'static str),
    /// A name, or an object identifier.
    Other(String),
    Unreadable,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Exponent {
    Small,
    Usual,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Primes {
    Two,
    More,
}

#[derive(Debug, Eq, PartialEq)]
enum Curve {
    P256,
    P384,
    /// A name, or an object identifier.
    Other(String),
    /// All its numbers instead of its name.
    Explicit,
    Missing,
}

/// The public half beside the private one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Point {
    Whole,
    Compressed,
    Missing,
}

/// What is taken, as `keys/tests.rs` tries.
const SUPPORTED: &str =
    "EC keys on P-256 or P-384, Ed25519 keys and RSA keys of 2048, 3072 or 4096 bits are";

fn renewal() -> String {
    format!(
        "{SUPPORTED}; make one by openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE.key, and have the \
         certificate issued anew for it"
    )
}

impl Kind {
    /// Why it cannot be used and what to do.
    fn advice(&self) -> String {
        let what = match self {
            Self::Rsa { bits, .. } if *bits < 2048 => {
                format!("an RSA key of {bits} bits is not safe any more and not supported")
            }
            Self::Rsa { bits, .. } if *bits > 4096 => {
                format!("an RSA key of {bits} bits is not supported")
            }
            Self::Rsa {
                exponent: Exponent::Small,
                ..
            } => "an RSA key with a public exponent below 65537 is not supported".to_owned(),
            Self::Rsa {
                primes: Primes::More,
                ..
            } => "an RSA key of more than two primes is not supported".to_owned(),
            Self::Rsa { bits, .. } => {
                format!("this RSA key of {bits} bits is damaged or of an unusual kind")
            }
            Self::RsaPss => "a key for RSASSA-PSS alone is not supported".to_owned(),
            Self::Ec(Curve::Other(name), _) => {
                format!("an EC key on the curve {name} is not supported")
            }
            Self::Ec(Curve::Explicit, _) => {
                return convert("this EC key spells out the parameters of its curve");
            }
            Self::Ec(Curve::Missing, _) => {
                "this EC key does not say on which curve it is".to_owned()
            }
            Self::Ec(Curve::P256 | Curve::P384, Point::Compressed) => {
                return convert("this EC key has its public half in compressed form");
            }
            Self::Ec(Curve::P256 | Curve::P384, Point::Missing) => {
                return convert("this EC key lacks its public half");
            }
            Self::Ec(Curve::P256 | Curve::P384, Point::Whole) => {
                "this EC key is damaged".to_owned()
            }
            Self::Ed25519 => "this Ed25519 key is damaged".to_owned(),
            Self::Dsa => "a DSA key is not supported".to_owned(),
            Self::Agreement(name) => format!("an {name} key cannot sign, as a server must"),
            Self::Other(name) => format!("a key of the kind {name} is not supported"),
            Self::Unreadable => "this private key is damaged".to_owned(),
        };
        format!("{what}: {}", renewal())
    }
}

/// A key that can be used once it is written differently.
fn convert(what: &str) -> String {
    format!(
        "{what}, which is not supported: write it anew by openssl ec -in FILE -conv_form uncompressed -param_enc named_curve \
         -out FILE.key; if the server then says that it does not belong to the certificate, have that issued anew for it"
    )
}

/// `PrivateKeyInfo` of PKCS#8.
fn pkcs8(der: &[u8]) -> Option<Kind> {
    let mut key = elements(sequence(der)?);
    let [_version, algorithm, content] = [key.next()?, key.next()?, key.next()?];
    let mut algorithm = elements(algorithm.data);
    let oid = algorithm.next()?.oid().ok()?;
    if oid == OID_KEY_TYPE_EC_PUBLIC_KEY {
        return ec(content.data, algorithm.next());
    }
    if oid == OID_PKCS1_RSAENCRYPTION {
        return rsa(content.data);
    }
    let known = [
        (OID_PKCS1_RSASSAPSS, Kind::RsaPss),
        (OID_SIG_ED25519, Kind::Ed25519),
        (OID_SIG_ED448, Kind::Other("Ed448".to_owned())),
        (OID_KEY_TYPE_DSA, Kind::Dsa),
    ];
    let known = known.into_iter().find(|(known, _)| *known == oid);
    Some(match (known, oid.to_id_string().as_str()) {
        (Some((_, kind)), _) => kind,
        (None, "1.3.101.110") => Kind::Agreement("X25519"),
        (None, "1.3.101.111") => Kind::Agreement("X448"),
        (None, "2.16.840.1.101.3.4.3.17") => Kind::Other("ML-DSA-44".to_owned()),
        (None, "2.16.840.1.101.3.4.3.18") => Kind::Other("ML-DSA-65".to_owned()),
        (None, "2.16.840.1.101.3.4.3.19") => Kind::Other("ML-DSA-87".to_owned()),
        (None, other) => Kind::Other(other.to_owned()),
    })
}

/// `RSAPrivateKey` (RFC 8017 §A.1.2).
fn rsa(der: &[u8]) -> Option<Kind> {
    let mut key = elements(sequence(der)?);
    let [version, modulus, exponent] = [key.next()?, key.next()?, key.next()?];
    let modulus = without_zeros(modulus.data);
    let first = modulus.first()?;
    let exponent = without_zeros(exponent.data);
    Some(Kind::Rsa {
        bits: modulus.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0),
        exponent: match exponent.len() {
            0..3 => Exponent::Small,
            _ => Exponent::Usual,
        },
        primes: match version.data {
            [0] => Primes::Two,
            _ => Primes::More,
        },
    })
}

/// `ECPrivateKey` of SEC 1. Inside PKCS#8 the parameters stand outside of it.
fn ec(der: &[u8], parameters: Option<Any<'_>>) -> Option<Kind> {
    let mut key = elements(sequence(der)?);
    let [_version, _private] = [key.next()?, key.next()?];
    let mut parameters = parameters;
    let mut point = Point::Missing;
    for element in key {
        match element.tag() {
            Tag(0) => parameters = elements(element.data).next().or(parameters),
            Tag(1) => point = point_of(element.data),
            _ => {}
        }
    }
    Some(Kind::Ec(curve(parameters), point))
}

fn point_of(public: &[u8]) -> Point {
    let bits = elements(public).next();
    // A bit string begins with the number of bits that do not count.
    match bits.and_then(|bits| bits.data.get(1).copied()) {
        Some(2 | 3) => Point::Compressed,
        Some(_) => Point::Whole,
        None => Point::Missing,
    }
}

fn curve(parameters: Option<Any<'_>>) -> Curve {
    let Some(parameters) = parameters else {
        return Curve::Missing;
    };
    match parameters.tag() {
        Tag::Oid => parameters
            .oid()
            .map_or(Curve::Missing, |oid| curve_named(&oid)),
        _ => Curve::Explicit,
    }
}

fn curve_named(oid: &Oid<'_>) -> Curve {
    if *oid == OID_EC_P256 {
        return Curve::P256;
    }
    if *oid == OID_NIST_EC_P384 {
        return Curve::P384;
    }
    if *oid == OID_NIST_EC_P521 {
        return Curve::Other("P-521 (secp521r1)".to_owned());
    }
    let id = oid.to_id_string();
    let known = [
        ("1.2.840.10045.3.1.1", "P-192 (secp192r1)"),
        ("1.3.132.0.33", "P-224 (secp224r1)"),
        ("1.3.132.0.10", "secp256k1"),
        ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
        ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
        ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
        ("1.2.156.10197.1.301", "SM2"),
    ];
    let known = known.into_iter().find(|(known, _)| *known == id);
    Curve::Other(known.map_or(id, |(_, name)| name.to_owned()))
}

/// The content of a sequence that is all of `der`.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (_, any) = Any::from_der(der).ok()?;
    (any.tag() == Tag::Sequence).then_some(any.data)
}

/// Elements one after another, up to the first that cannot be read.
fn elements(mut der: &[u8]) -> impl Iterator<Item = Any<'_>> {
    std::iter::from_fn(move || {
        let (rest, any) = Any::from_der(der).ok()?;
        der = rest;
        Some(any)
    })
}

fn without_zeros(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    integer.get(zeros..).unwrap_or_default()
}
