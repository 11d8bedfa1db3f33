//! DHE in the groups of RFC 7919, which rustls has a place for and neither ring nor aws-lc-rs: the groups, and the suites of TLS 1.2 that
//! agree on keys in them. All else of a suite (encryption, hash, signature) is the library's.
//!
//! The exponentiation is crypto-bigint's, constant in time for the exponent. A key is used once, so what TLS 1.2 tells by the time that a
//! secret with leading zeros takes (the "Raccoon" attack) is of no use to anybody.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use rustls::crypto::{
    ActiveKeyExchange, CipherSuiteCommon, KeyExchangeAlgorithm, SharedSecret, SupportedKxGroup,
};
use rustls::ffdhe_groups::{self, FfdheGroup};
use rustls::{
    CipherSuite, Error, NamedGroup, PeerMisbehaved, ProtocolVersion, SupportedCipherSuite,
    SupportedProtocolVersion, Tls12CipherSuite,
};
use zeroize::Zeroizing;

use super::policy::library;

/// With which versions of TLS a group is taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    /// With 1.2 alone: of the groups of 1.3, rustls takes the client's first, and an elliptic curve is to go before.
    With12,
    /// With both.
    Always,
}

/// The group, as rustls wants it. `None` for one that is not of RFC 7919.
pub(super) fn group(name: NamedGroup, taken: Taken) -> Option<&'static dyn SupportedKxGroup> {
    let groups = match taken {
        Taken::With12 => &WITH_12,
        Taken::Always => &ALWAYS,
    };
    let group = groups.iter().find(|group| group.field.name == name)?;
    Some(group)
}

/// The suite of TLS 1.2 that agrees on keys by DHE. `None` for another.
pub(super) fn suite(name: CipherSuite) -> Option<SupportedCipherSuite> {
    let mut suites = SUITES.iter().flatten();
    let suite = suites.find(|suite| suite.common.suite == name)?;
    Some(SupportedCipherSuite::Tls12(suite))
}

/// Each with the suite that is the same but for ECDHE.
const COUNTERPARTS: [(CipherSuite, CipherSuite); 3] = [
    (
        CipherSuite::TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        CipherSuite::TLS_DHE_RSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        CipherSuite::TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

static SUITES: LazyLock<[Option<Tls12CipherSuite>; 3]> = LazyLock::new(|| {
    COUNTERPARTS.map(|(name, counterpart)| {
        let known = library::ALL_CIPHER_SUITES.iter();
        let SupportedCipherSuite::Tls12(like) =
            known.copied().find(|known| known.suite() == counterpart)?
        else {
            return None;
        };
        Some(Tls12CipherSuite {
            common: CipherSuiteCommon {
                suite: name,
                hash_provider: like.common.hash_provider,
                confidentiality_limit: like.common.confidentiality_limit,
            },
            prf_provider: like.prf_provider,
            kx: KeyExchangeAlgorithm::DHE,
            sign: like.sign,
            aead_alg: like.aead_alg,
        })
    })
});

/// What is computed with.
struct Field {
    name: NamedGroup,
    group: FfdheGroup<'static>,
    /// Of a secret exponent. RFC 7919 §5.2 and appendix A: 225, 275, 325, 375 and 400 bits at least; these are whole bytes.
    exponent_bytes: usize,
    /// Made when it is first needed.
    modulus: OnceLock<BoxedMontyParams>,
}

const fn field(name: NamedGroup, group: FfdheGroup<'static>, exponent_bytes: usize) -> Field {
    Field {
        name,
        group,
        exponent_bytes,
        modulus: OnceLock::new(),
    }
}

static FIELDS: [Field; 5] = [
    field(NamedGroup::FFDHE2048, ffdhe_groups::FFDHE2048, 29),
    field(NamedGroup::FFDHE3072, ffdhe_groups::FFDHE3072, 35),
    field(NamedGroup::FFDHE4096, ffdhe_groups::FFDHE4096, 41),
    field(NamedGroup::FFDHE6144, ffdhe_groups::FFDHE6144, 47),
    field(NamedGroup::FFDHE8192, ffdhe_groups::FFDHE8192, 50),
];

static WITH_12: [Group; 5] = groups(Taken::With12);
static ALWAYS: [Group; 5] = groups(Taken::Always);

const fn groups(taken: Taken) -> [Group; 5] {
    [
        Group::new(&FIELDS[0], taken),
        Group::new(&FIELDS[1], taken),
        Group::new(&FIELDS[2], taken),
        Group::new(&FIELDS[3], taken),
        Group::new(&FIELDS[4], taken),
    ]
}

impl Field {
    /// Of the prime, and so of every number below it.
    const fn bytes(&self) -> usize {
        self.group.p.len()
    }

    fn modulus(&self) -> Result<&BoxedMontyParams, Error> {
        if let Some(modulus) = self.modulus.get() {
            return Ok(modulus);
        }
        let prime = Option::from(Odd::new(self.number(self.group.p)?));
        let prime = prime.ok_or_else(|| Error::General("a prime that is even".to_owned()))?;
        Ok(self
            .modulus
            .get_or_init(|| BoxedMontyParams::new_vartime(prime)))
    }

    /// A number of this field's size.
    fn number(&self, bytes: &[u8]) -> Result<BoxedUint, Error> {
        number(bytes, self.bytes())
    }

    /// `base` to the power of the secret, padded to the length of the prime.
    fn power(&self, base: &[u8], secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let base = BoxedMontyForm::new(self.number(base)?, self.modulus()?);
        let bits = u32::try_from(secret.len() * 8).unwrap_or(u32::MAX);
        let exponent = Zeroizing::new(number(secret, secret.len())?);
        let power = Zeroizing::new(base.pow_bounded_exp(&exponent, bits));
        let power = Zeroizing::new(power.retrieve());
        let bytes = Zeroizing::new(power.to_be_bytes().into_vec());
        let padding = bytes.len().saturating_sub(self.bytes());
        // The prime is whole words, so there is none.
        Ok(Zeroizing::new(
            bytes.get(padding..).unwrap_or_default().to_vec(),
        ))
    }

    /// RFC 7919 §5.1: 1 < Y < p-1.
    fn is_public(&self, share: &[u8]) -> Result<bool, Error> {
        if share.len() > self.bytes() {
            return Ok(false);
        }
        let (one, prime) = (self.number(&[1])?, self.number(self.group.p)?);
        let share = self.number(share)?;
        Ok(share > one && share < prime.wrapping_sub(one))
    }
}

fn number(bytes: &[u8], length: usize) -> Result<BoxedUint, Error> {
    let bits = u32::try_from(length * 8).unwrap_or(u32::MAX);
    BoxedUint::from_be_slice(bytes, bits).map_err(|error| Error::General(error.to_string()))
}

/// One of RFC 7919's groups.
struct Group {
    field: &'static Field,
    taken: Taken,
}

impl Group {
    const fn new(field: &'static Field, taken: Taken) -> Self {
        Self { field, taken }
    }

    fn begin(&self) -> Result<Exchange, Error> {
        let field = self.field;
        let mut secret = Zeroizing::new(vec![0; field.exponent_bytes]);
        getrandom::fill(&mut secret).map_err(|_| Error::FailedToGetRandomBytes)?;
        // RFC 7919 §5.2 takes it from the upper half.
        if let Some(first) = secret.first_mut() {
            *first |= 0x80;
        }
        let public = field.power(field.group.g, &secret)?.to_vec();
        Ok(Exchange {
            field,
            secret,
            public,
        })
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.field.name.fmt(f)
    }
}

impl SupportedKxGroup for Group {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(self.begin()?))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        Some(self.field.group)
    }

    fn name(&self) -> NamedGroup {
        self.field.name
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        match self.taken {
            Taken::With12 => version == ProtocolVersion::TLSv1_2,
            Taken::Always => true,
        }
    }
}

/// A key of ours, until the peer's is here.
struct Exchange {
    field: &'static Field,
    secret: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl Exchange {
    fn agree(&self, share: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        if !self.field.is_public(share)? {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        self.field.power(share, &self.secret)
    }
}

impl ActiveKeyExchange for Exchange {
    /// RFC 8446 §4.2.8.1 and §7.4.1: shares and the secret are as long as the prime.
    fn complete(self: Box<Self>, share: &[u8]) -> Result<SharedSecret, Error> {
        if share.len() != self.field.bytes() {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        Ok(SharedSecret::from(self.agree(share)?.as_slice()))
    }

    /// RFC 5246 §8.1.2: a share may be shorter, and the secret has no leading zeros.
    fn complete_for_tls_version(
        self: Box<Self>,
        share: &[u8],
        version: &SupportedProtocolVersion,
    ) -> Result<SharedSecret, Error> {
        if version.version != ProtocolVersion::TLSv1_2 {
            return self.complete(share);
        }
        let secret = self.agree(share)?;
        let zeros = secret.iter().take_while(|byte| **byte == 0).count();
        Ok(SharedSecret::from(secret.get(zeros..).unwrap_or_default()))
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        Some(self.field.group)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        self.field.name
    }
}
