//! The certificate of a host: its chain, what it says of itself, and the private key that belongs to it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use spondee_core::jid::Domain;
use x509_parser::asn1_rs::{Any, FromDer as _, Oid, oid};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::chain::Order;
use super::file::{PemFile, shown};
use super::keys::Key;
use super::policy::Signature;

/// Why a certificate cannot be used, with advice.
#[derive(Clone, Debug)]
pub struct CertError {
    /// A sentence that names the file and says what to do.
    pub message: String,
}

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CertError {}

/// A chain out of a file, with what its first certificate says.
#[derive(Debug)]
pub(super) struct Certificate {
    /// The host's own certificate first, then as RFC 8446 §4.4.2 wants them.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// How many of them, from the first on, are each issued by the next.
    pub(super) linked: usize,
    pub(super) facts: Facts,
    /// What is to be said about the file: a sentence each.
    pub(super) remarks: Vec<String>,
}

/// What counts of a certificate when one is chosen for a host.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The names it is for, as every client reads them. Addresses are written as a domainpart is: `127.0.0.1`, `[::1]`.
    pub(super) names: Vec<String>,
    /// Those that only clients made for XMPP read.
    pub(super) service_names: Vec<String>,
    /// Seconds since 1970, the first at which it is valid.
    pub(super) not_before: i64,
    /// Seconds since 1970, the last at which it is valid.
    pub(super) not_after: i64,
}

/// Whether clients take a certificate, as far as name and time go: the better the less.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Standing {
    Good,
    /// It is for others.
    OtherNames,
    /// It has expired, or is not valid yet.
    OutOfTime,
}

impl Certificate {
    /// # Errors
    /// The file cannot be read, or what it holds cannot be used.
    pub(super) fn read(path: &Path) -> Result<Self, CertError> {
        let file = PemFile::read(path)?;
        if file.certificates.is_empty() {
            return Err(file.no_certificate());
        }
        let mut remarks = file.passed_over.clone();
        let mut written: Vec<(usize, CertificateDer<'static>)> = Vec::new();
        for (line, der) in file.certificates {
            match written.iter().find(|(_, other)| *other == der) {
                None => written.push((line, der)),
                Some((first, _)) => remarks.push(format!(
                    "{}: the certificate in line {line} is the one in line {first} again and is not sent twice; remove it",
                    path.display()
                )),
            }
        }
        let mut parsed = Vec::new();
        for (line, der) in &written {
            parsed.push(parse(der).map_err(|fault| {
                CertError::new(
                    path,
                    &format!("the certificate in line {line} is damaged: {fault}"),
                )
            })?);
        }
        let order = Order::of(&parsed);
        if !order.indices.is_sorted() {
            remarks.push(format!(
                "{}: the certificates stand in a wrong order and are sent in the right one; for other programs write the host's own \
                 first and behind each the one that issued it",
                path.display()
            ));
        }
        let own = order.indices.first().and_then(|own| parsed.get(*own));
        let Some(facts) = own.map(Facts::of) else {
            return Err(CertError::new(path, "there is no certificate in this file"));
        };
        let in_order = order.indices.iter().filter_map(|index| written.get(*index));
        Ok(Self {
            chain: in_order.map(|(_, der)| der.clone()).collect(),
            linked: order.linked,
            facts,
            remarks,
        })
    }
}

impl Certificate {
    /// What its key signs with, as far as it is known.
    pub(super) fn signature(&self) -> Option<Signature> {
        let own = parse(self.chain.first()?).ok()?;
        match own.public_key().parsed().ok()? {
            PublicKey::RSA(_) => Some(Signature::Rsa),
            PublicKey::EC(_) | PublicKey::Unknown(_) => Some(Signature::Ecdsa),
            PublicKey::DSA(_) | PublicKey::GostR3410(_) | PublicKey::GostR3410_2012(_) => None,
        }
    }

    /// What a peer has sent. `of` is how it is called.
    ///
    /// # Errors
    /// A sentence: it cannot be read.
    pub(super) fn sent(of: &str, chain: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let parsed: Result<Vec<_>, _> = chain.iter().map(|der| parse(der)).collect();
        let parsed = parsed.map_err(|fault| format!("{of} cannot be read: {fault}"))?;
        let own = parsed.first().ok_or_else(|| format!("{of} was not sent"))?;
        let facts = Facts::of(own);
        let order = Order::of(&parsed);
        let mut remarks = Vec::new();
        if !order.indices.is_sorted() {
            remarks.push(format!(
                "{of}: what is sent with it stands in a wrong order, which some peers refuse; each must be issued by the next"
            ));
        }
        // The first that is sent is the one that counts, whatever the others are.
        let (indices, linked) = match order.indices.first() {
            Some(0) => (order.indices, order.linked),
            Some(_) | None => ((0..chain.len()).collect(), 1),
        };
        Ok(Self {
            chain: indices
                .iter()
                .filter_map(|index| chain.get(*index).cloned())
                .collect(),
            linked,
            facts,
            remarks,
        })
    }
}

/// # Errors
/// Why it is no certificate.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err("something follows it inside its block".to_owned()),
        Err(error) => Err(format!("this is not an X.509 certificate ({error})")),
    }
}

/// `id-on-xmppAddr` (RFC 6120 §13.7.1.4).
pub(super) const XMPP_ADDR: Oid<'static> = oid!(1.3.6.1.5.5.7.8.5);
/// `id-on-dnsSRV` (RFC 4985).
pub(super) const DNS_SRV: Oid<'static> = oid!(1.3.6.1.5.5.7.8.7);

impl Facts {
    fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut facts = Self {
            names: Vec::new(),
            service_names: Vec::new(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
        };
        // The common name names nobody today.
        if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
            for name in &alternative.value.general_names {
                facts.add(name);
            }
        }
        facts
    }

    /// RFC 6120 §13.7.1.2: DNS-ID, SRV-ID and XmppAddr. Other forms do not name a host for a client of XMPP.
    fn add(&mut self, name: &GeneralName<'_>) {
        if let GeneralName::DNSName(name) = name {
            self.names.push((*name).to_owned());
        } else if let GeneralName::IPAddress(octets) = name {
            self.names.extend(address(octets));
        } else if let GeneralName::OtherName(kind, value) = name {
            let text = other_name(value);
            if *kind == DNS_SRV {
                let service = text.and_then(|text| text.strip_prefix("_xmpp-client."));
                self.service_names.extend(service.map(str::to_owned));
            } else if *kind == XMPP_ADDR {
                self.service_names.extend(text.map(str::to_owned));
            }
        }
    }

    /// Whether a client that asks for `host` accepts this certificate by its names. A wildcard stands for one label.
    pub(super) fn names(&self, host: &Domain) -> bool {
        self.names.iter().any(|name| covers(name, host.as_str())) || self.names_as_service(host)
    }

    /// Whether a name that every client reads is exactly the host, without a wildcard.
    pub(super) fn names_exactly(&self, host: &Domain) -> bool {
        self.names.iter().any(|name| same(name, host.as_str()))
    }

    /// Whether a name that only clients made for XMPP read is the host.
    pub(super) fn names_as_service(&self, host: &Domain) -> bool {
        let mut names = self.service_names.iter();
        names.any(|name| same(name, host.as_str()))
    }

    pub(super) fn standing(&self, host: &Domain, now: i64) -> Standing {
        if !(self.not_before..=self.not_after).contains(&now) {
            return Standing::OutOfTime;
        }
        match self.names(host) {
            true => Standing::Good,
            false => Standing::OtherNames,
        }
    }
}

/// Whom a certificate names by `id-on-xmppAddr` (RFC 6120 §13.7.1.4), as it is written there.
pub(super) fn xmpp_addresses<'a>(
    certificate: &'a X509Certificate<'_>,
) -> impl Iterator<Item = &'a str> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = alternative.map(|alternative| alternative.value.general_names.iter());
    names.into_iter().flatten().filter_map(|name| {
        let GeneralName::OtherName(kind, value) = name else {
            return None;
        };
        other_name(value).filter(|_| *kind == XMPP_ADDR)
    })
}

/// The text inside `[0] EXPLICIT`.
pub(super) fn other_name(value: &[u8]) -> Option<&str> {
    let (_, tagged) = Any::from_der(value).ok()?;
    let (_, text) = Any::from_der(tagged.data).ok()?;
    std::str::from_utf8(text.data).ok()
}

fn address(octets: &[u8]) -> Option<String> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets)
            .ok()
            .map(|octets| Ipv4Addr::from(octets).to_string()),
        16 => <[u8; 16]>::try_from(octets)
            .ok()
            .map(|octets| format!("[{}]", Ipv6Addr::from(octets))),
        _ => None,
    }
}

fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => {
            host.parse::<Ipv4Addr>().is_err()
                && host
                    .split_once('.')
                    .is_some_and(|(_, rest)| same(parent, rest))
        }
        None => same(name, host),
    }
}

/// A certificate has A-labels, a prepared domainpart U-labels: compared after preparation.
pub(super) fn same(name: &str, host: &str) -> bool {
    Domain::parse(name).is_ok_and(|name| name.as_str() == host)
}

/// A certificate with its private key, and what is to be said of the key's file.
pub(super) struct Pair {
    pub(super) certified: CertifiedKey,
    pub(super) remarks: Vec<String>,
    /// Where the key was found: the file, and the line in it.
    pub(super) key: (PathBuf, usize),
}

impl Pair {
    /// Looks for the key of a certificate beside it, then in the file of the certificate itself.
    ///
    /// # Errors
    /// There is no key, none that can be used, or it belongs to another certificate.
    pub(super) fn read(
        certificate: &Certificate,
        certificate_path: &Path,
        key_path: &Path,
    ) -> Result<Self, CertError> {
        let inside = PemFile::read(certificate_path)?;
        let beside = match key_path.try_exists() {
            // A link that leads nowhere is read, too, to be told so.
            Ok(false) if !key_path.is_symlink() || !inside.keys.is_empty() => None,
            Ok(true) if key_path == certificate_path => None,
            // What may not be looked at is read, to be told why.
            Ok(_) | Err(_) => Some(PemFile::read(key_path)?),
        };
        let keys = || {
            let files = beside.iter().chain([&inside]);
            files.flat_map(|file| file.keys.iter().map(move |key| (file, key)))
        };
        if keys().next().is_none() {
            return Err(match &beside {
                Some(beside) => beside.no_key(),
                None => missing_key(certificate_path, key_path),
            });
        }
        let own = certificate.chain.first();
        let own = own.and_then(|own| parse(own).ok());
        let Some(own) = own else {
            return Err(inside.no_certificate());
        };
        let mut fault = None;
        for (file, key) in keys() {
            match belongs(key, own.public_key()) {
                Ok(signing) => {
                    return Ok(Self {
                        certified: CertifiedKey::new(certificate.chain.clone(), signing),
                        remarks: remarks(certificate, &inside, beside.as_ref(), (file, key)),
                        key: (file.path.clone(), key.line),
                    });
                }
                Err(unfit) => {
                    let error = unfit.error(&file.path, certificate_path);
                    fault.get_or_insert(error);
                }
            }
        }
        Err(fault.unwrap_or_else(|| missing_key(certificate_path, key_path)))
    }
}

/// Why a key is not the one of a certificate.
enum Unfit {
    Unsupported(String),
    Another,
    /// It is, but the certificate writes it down in a way that nobody understands.
    WrittenOtherwise,
}

fn belongs(key: &Key, public: &SubjectPublicKeyInfo<'_>) -> Result<Arc<dyn SigningKey>, Unfit> {
    let signing = key.signing().map_err(Unfit::Unsupported)?;
    let Some(own) = signing.public_key() else {
        return Err(Unfit::Another);
    };
    let own: &[u8] = own.as_ref();
    if own == public.raw {
        return Ok(signing);
    }
    let same = SubjectPublicKeyInfo::from_der(own)
        .is_ok_and(|(_, own)| own.subject_public_key.data == public.subject_public_key.data);
    Err(match same {
        true => Unfit::WrittenOtherwise,
        false => Unfit::Another,
    })
}

impl Unfit {
    fn error(&self, key: &Path, certificate: &Path) -> CertError {
        let certificate = certificate.display();
        let advice = match self {
            Self::Unsupported(advice) => advice.clone(),
            Self::Another => format!(
                "this key does not belong to the certificate {certificate}; a renewal may have replaced only one of them; put the \
                 two that belong together there"
            ),
            Self::WrittenOtherwise => format!(
                "this is the key of the certificate {certificate}, which describes it in a way that clients do not understand \
                 (such as all parameters of its curve instead of a name); have the certificate issued anew for this key"
            ),
        };
        CertError::new(key, &advice)
    }
}

fn missing_key(path: &Path, key: &Path) -> CertError {
    CertError::new(
        path,
        &format!(
            "the private key of this certificate is missing; it should be {}",
            key.display()
        ),
    )
}

/// What the files hold beside the key that is used.
fn remarks(
    certificate: &Certificate,
    inside: &PemFile,
    beside: Option<&PemFile>,
    used: (&PemFile, &Key),
) -> Vec<String> {
    let (file, key) = used;
    let mut remarks: Vec<String> = file.exposure().into_iter().collect();
    let path = file.path.display();
    if file.keys.len() > 1 {
        remarks.push(format!(
            "{path}: of the {} private keys in it, the one in line {} belongs to the certificate; remove the others",
            file.keys.len(),
            key.line
        ));
    }
    let Some(beside) = beside else {
        return remarks;
    };
    let is_beside = std::ptr::eq(file, beside);
    let unused = if is_beside { inside } else { beside };
    if !unused.keys.is_empty() {
        let other = unused.path.display();
        let belongs_here = if is_beside {
            "; a certificate is often readable by everybody"
        } else {
            ""
        };
        remarks.push(format!(
            "{other}: a private key in it is not used, the one in {path} is; remove it{belongs_here}"
        ));
    }
    remarks.extend(beside.passed_over.iter().cloned());
    let sent = |der: &CertificateDer<'static>| certificate.chain.contains(der);
    let lost: Vec<_> = beside
        .certificates
        .iter()
        .filter(|(_, der)| !sent(der))
        .collect();
    for (line, der) in lost {
        let subject = parse(der).map_or_else(
            |_| "a damaged one".to_owned(),
            |parsed| shown(&parsed.subject().to_string()),
        );
        remarks.push(format!(
            "{}: the certificate in line {line} ({subject}) is not used, only those in {} are sent; move it there or remove it",
            beside.path.display(),
            inside.path.display()
        ));
    }
    remarks
}
