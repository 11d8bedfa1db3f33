//! What people are shown of a certificate: names, times, chain, fingerprints as clients show them, records for DNS.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use spondee_core::jid::Domain;
use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::CertError;
use super::audit::date;
use super::certs::{Certificate, Facts, parse, same};
use super::file::shown;

/// A certificate, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) serial: String,
    /// The names that every client reads.
    pub(crate) names: Vec<String>,
    /// Those that only clients made for XMPP read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) xmpp_names: Vec<String>,
    pub(crate) valid_from: String,
    pub(crate) valid_until: String,
    pub(crate) term: Term,
    /// Negative once it is over.
    pub(crate) days_left: i64,
    pub(crate) key: String,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub(crate) sha256: String,
    /// SHA-1 of it, for old clients.
    pub(crate) sha1: String,
    /// SHA-256 of its public key.
    pub(crate) public_key_sha256: String,
    /// What is sent behind it.
    pub(crate) chain: Vec<Sent>,
}

/// A certificate that is sent behind a host's own.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sent {
    pub(crate) subject: String,
    pub(crate) valid_until: String,
    pub(crate) place: Place,
}

/// What it is there for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Place {
    /// It issued the one before it.
    Issuer,
    /// It issued none of them.
    Stranger,
}

/// How long it lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Term {
    Expired,
    NotYetValid,
    /// A day at most.
    Day,
    Week,
    Month,
    Longer,
}

const DAY: i64 = 24 * 60 * 60;

impl Term {
    pub(super) fn of(facts: &Facts, now: i64) -> Self {
        match facts.not_after.saturating_sub(now) {
            left if left < 0 => Self::Expired,
            _ if now < facts.not_before => Self::NotYetValid,
            left if left <= DAY => Self::Day,
            left if left <= 7 * DAY => Self::Week,
            left if left <= 31 * DAY => Self::Month,
            _ => Self::Longer,
        }
    }

    /// Completes "valid from … until …".
    const fn words(self) -> &'static str {
        match self {
            Self::Expired => ": it has expired",
            Self::NotYetValid => ": it is not valid yet",
            Self::Day => ": less than a day is left",
            Self::Week => ": less than a week is left",
            Self::Month => ": less than a month is left",
            Self::Longer => "",
        }
    }
}

impl Shown {
    /// The certificate in a file.
    ///
    /// # Errors
    /// There is none that can be read.
    pub(crate) fn of_file(path: &Path, now: i64) -> Result<Self, CertError> {
        let certificate = Certificate::read(path)?;
        Self::of(&certificate, now)
            .ok_or_else(|| CertError::new(path, "the certificate in this file cannot be read"))
    }

    /// `now` is in seconds since 1970.
    pub(super) fn of(certificate: &Certificate, now: i64) -> Option<Self> {
        let own_der = certificate.chain.first()?;
        let own = parse(own_der).ok()?;
        let facts = &certificate.facts;
        let behind = certificate.chain.iter().enumerate().skip(1);
        let chain = behind.filter_map(|(index, der)| {
            let place = match index < certificate.linked {
                true => Place::Issuer,
                false => Place::Stranger,
            };
            Some(Sent::of(&parse(der).ok()?, place))
        });
        Some(Self {
            subject: shown(&own.subject().to_string()),
            issuer: shown(&own.issuer().to_string()),
            serial: own.raw_serial_as_string(),
            names: facts.names.clone(),
            xmpp_names: facts.service_names.clone(),
            valid_from: date(facts.not_before),
            valid_until: date(facts.not_after),
            term: Term::of(facts, now),
            days_left: facts.not_after.saturating_sub(now).div_euclid(DAY),
            key: kind(own.public_key()),
            sha256: hex(&Sha256::digest(own_der)),
            sha1: hex(&Sha1::digest(own_der)),
            public_key_sha256: hex(&Sha256::digest(own.public_key().raw)),
            chain: chain.collect(),
        })
    }

    /// Records by which DNS says which certificate is the right one (RFC 6698; RFC 7671 §5.1): first the one that outlives a renewal
    /// with the same key.
    pub(crate) fn tlsa(&self, host: &Domain, ports: &[u16]) -> Vec<String> {
        // DNS has A-labels, as the certificate.
        let named = self.names.iter().find(|name| same(name, host.as_str()));
        let host = named.map_or(host.as_str(), String::as_str);
        let records = |port: &u16| {
            [(1, &self.public_key_sha256), (0, &self.sha256)].map(|(selector, hash)| {
                format!("_{port}._tcp.{host}. IN TLSA 3 {selector} 1 {hash}")
            })
        };
        ports.iter().flat_map(records).collect()
    }

    /// Lines for people, each behind its word.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut names = self.names.join(", ");
        if names.is_empty() {
            names.push_str("none");
        }
        if !self.xmpp_names.is_empty() {
            let _ = write!(names, "; for XMPP alone: {}", self.xmpp_names.join(", "));
        }
        let term = self.term.words();
        let days = match (self.term, self.days_left) {
            (Term::Longer, days) => format!(", {days} days left"),
            _ => String::new(),
        };
        let mut lines = vec![
            ("names", shown(&names)),
            ("subject", self.subject.clone()),
            ("issuer", self.issuer.clone()),
            (
                "valid",
                format!(
                    "from {} until {}{days}{term}",
                    self.valid_from, self.valid_until
                ),
            ),
            ("key", self.key.clone()),
        ];
        lines.extend(self.chain.iter().map(|sent| {
            let what = match sent.place {
                Place::Issuer => "",
                Place::Stranger => ": it issued none of the others",
            };
            let line = format!("{}, until {}{what}", sent.subject, sent.valid_until);
            ("sent with it", line)
        }));
        lines.extend(self.fingerprints());
        lines
    }

    /// In the forms in which clients show them: Gajim, then Conversations and those made of it, then profanity.
    pub(crate) fn fingerprints(&self) -> Vec<(&'static str, String)> {
        let [sha256, sha1] = [&self.sha256, &self.sha1].map(|hex| colons(hex));
        vec![
            ("SHA-256", sha256.to_uppercase()),
            ("", sha256),
            ("", self.sha256.clone()),
            ("SHA-1", sha1.to_uppercase()),
            ("", sha1),
            ("", self.sha1.clone()),
        ]
    }
}

impl Sent {
    fn of(certificate: &X509Certificate<'_>, place: Place) -> Self {
        Self {
            subject: shown(&certificate.subject().to_string()),
            valid_until: date(certificate.validity().not_after.timestamp()),
            place,
        }
    }
}

fn kind(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA, {} bits", rsa.key_size()),
        Ok(PublicKey::EC(point)) => match point.key_size() {
            bits @ (256 | 384) => format!("ECDSA, P-{bits}"),
            // The size of P-521 is counted in whole bytes.
            521..=528 => "ECDSA, P-521".to_owned(),
            bits => format!("ECDSA, {bits} bits"),
        },
        Ok(_) | Err(_) => {
            let algorithm = &key.algorithm.algorithm;
            match algorithm.to_id_string().as_str() {
                "1.3.101.112" => "Ed25519".to_owned(),
                "1.3.101.113" => "Ed448".to_owned(),
                other => format!("of the algorithm {other}"),
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Hexadecimal digits, each two behind a colon.
pub(crate) fn colons(hex: &str) -> String {
    let mut text = String::new();
    for (index, digit) in hex.chars().enumerate() {
        if index > 0 && index % 2 == 0 {
            text.push(':');
        }
        text.push(digit);
    }
    text
}
