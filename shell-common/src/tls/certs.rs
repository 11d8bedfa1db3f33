//! Certificates and keys in PEM: read from their files and judged. What is wrong with a file is said as advice.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use spondee_core::jid::Domain;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use crate::limits::CERTIFICATE_FILE_BYTES;

/// Why a certificate cannot be used, with advice.
#[derive(Debug)]
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

impl CertError {
    pub(super) fn new(path: &Path, advice: &str) -> Self {
        Self {
            message: format!("{}: {advice}", path.display()),
        }
    }

    /// What the operating system said about a file or directory.
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let kind = error.kind();
        let advice = if kind == io::ErrorKind::PermissionDenied {
            "permission denied; let the user that runs the server read it, for example with chown"
        } else if kind == io::ErrorKind::NotFound {
            "there is no such file"
        } else if kind == io::ErrorKind::IsADirectory {
            "this is a directory, not a file"
        } else {
            return Self::new(path, &error.to_string());
        };
        Self::new(path, advice)
    }
}

/// A chain as it stands in a file, with what its first certificate says.
#[derive(Debug)]
pub(super) struct Certificate {
    /// The host's own certificate first.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The names it is for. Addresses are written as a domainpart is: `127.0.0.1`, `[::1]`.
    pub(super) names: Vec<String>,
    /// Seconds since 1970, the last at which it is valid.
    pub(super) not_after: i64,
}

impl Certificate {
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub(super) fn read(path: &Path) -> Result<Self, CertError> {
        let pem = read_file(path)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| CertError::new(path, &format!("damaged PEM: {error}")))?;
        let Some(first) = chain.first() else {
            return Err(CertError::new(path, wrong_kind_of_certificate(&pem)));
        };
        let (_, parsed) = X509Certificate::from_der(first).map_err(|error| {
            CertError::new(path, &format!("this is not an X.509 certificate: {error}"))
        })?;
        let names = names(&parsed);
        let not_after = parsed.validity().not_after.timestamp();
        Ok(Self {
            chain,
            names,
            not_after,
        })
    }

    /// Whether a client that asks for `host` accepts this certificate by its names. A wildcard stands for one label.
    pub(super) fn names(&self, host: &Domain) -> bool {
        self.names.iter().any(|name| covers(name, host.as_str()))
    }

    /// Whether a name is exactly the host, without a wildcard.
    pub(super) fn names_exactly(&self, host: &Domain) -> bool {
        self.names.iter().any(|name| same(name, host.as_str()))
    }
}

/// Subject alternative names only, and of them dNSName and iPAddress: what clients check. The common name names nobody today.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for name in &alternative.value.general_names {
        // Other forms do not name a host for a client of XMPP.
        if let GeneralName::DNSName(name) = name {
            names.push((*name).to_owned());
        } else if let GeneralName::IPAddress(octets) = name {
            names.extend(address(octets));
        }
    }
    names
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
fn same(name: &str, host: &str) -> bool {
    Domain::parse(name).is_ok_and(|name| name.as_str() == host)
}

/// The certificate with its key, checked to belong together.
///
/// # Errors
/// The key cannot be read, is no key, is of an unknown kind or belongs to another certificate.
pub(super) fn certified_key(
    certificate: &Certificate,
    certificate_path: &Path,
    key_path: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertError> {
    let key = read_key(key_path)?;
    CertifiedKey::from_der(certificate.chain.clone(), key, provider).map_err(|error| {
        let mismatch = rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch);
        let advice = if error == mismatch {
            format!(
                "this key does not belong to the certificate {}; a renewal may have replaced only one of them, or the file \
                 may begin with the authority's certificate instead of the host's own",
                certificate_path.display()
            )
        } else {
            format!("this key cannot be used: {error}")
        };
        CertError::new(key_path, &advice)
    })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertError> {
    let pem = read_file(path)?;
    warn_if_others_can_read(path);
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| CertError::new(path, wrong_kind_of_key(&pem)))
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, CertError> {
    let too_large = || CertError::new(path, "too large for a certificate or key");
    let file = fs::File::open(path).map_err(|error| CertError::io(path, &error))?;
    let size = file
        .metadata()
        .map_err(|error| CertError::io(path, &error))?
        .len();
    let room = usize::try_from(size.min(CERTIFICATE_FILE_BYTES)).map_err(|_| too_large())?;
    // With room for all of it, so that no copy of a key stays behind where the buffer grew.
    let mut content = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(CERTIFICATE_FILE_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|error| CertError::io(path, &error))?;
    if content.len() as u64 > CERTIFICATE_FILE_BYTES {
        return Err(too_large());
    }
    Ok(content)
}

fn warn_if_others_can_read(path: &Path) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    let mode = metadata.permissions().mode();
    if mode & 0o044 != 0 {
        tracing::warn!(
            key = %path.display(),
            mode = format!("{:04o}", mode & 0o7777),
            "other users of this machine can read this private key; run chmod 0600 on it"
        );
    }
}

fn wrong_kind_of_certificate(content: &[u8]) -> &'static str {
    if contains(content, "PRIVATE KEY-----") {
        "this is a private key, not a certificate; the two files may be swapped"
    } else if contains(content, "CERTIFICATE REQUEST-----") {
        "this is a request for a certificate; use the file the authority sent back"
    } else if content.first() == Some(&0x30) {
        "this is in DER form; convert it with openssl x509 -inform DER -in FILE -out FILE.crt"
    } else {
        "there is no certificate in this file (no line -----BEGIN CERTIFICATE-----)"
    }
}

fn wrong_kind_of_key(content: &[u8]) -> &'static str {
    if contains(content, "ENCRYPTED") {
        "this key is protected by a passphrase, which a server cannot type; write one without by openssl pkey -in FILE -out FILE.key"
    } else if contains(content, "PRIVATE KEY-----") {
        "damaged PEM, or a kind of private key that is not supported (PKCS#8, PKCS#1 and SEC1 are)"
    } else if contains(content, "CERTIFICATE-----") {
        "this is a certificate, not a private key; the two files may be swapped"
    } else if contains(content, "PUBLIC KEY-----") {
        "this is a public key; the private one is needed"
    } else if content.first() == Some(&0x30) {
        "this is in DER form; convert it with openssl pkey -inform DER -in FILE -out FILE.key"
    } else {
        "there is no private key in this file (no line -----BEGIN PRIVATE KEY-----)"
    }
}

fn contains(content: &[u8], text: &str) -> bool {
    content
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}
