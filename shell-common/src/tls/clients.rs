//! Certificates of clients: asked for where a host trusts authorities with that (`c2s_ca_file`), and looked at when the handshake is over.
//!
//! `Choice:` no handshake fails because an authority is unknown or a certificate has expired: that is as good as none, and whoever has a
//! password may sign in by that. What fails is a signature that does not belong to the certificate, or cannot be held against it, as with X.509
//! version 1, which webpki does not read.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::ClientCertificate;

use super::CertError;
use super::audit::{Remark, date};
use super::certs::{parse, xmpp_addresses};
use super::file::PemFile;
use super::policy::library;
use crate::limits::{
    CLIENT_AUTHORITY_NAMES_BYTES, CLIENT_CERTIFICATE_BYTES, CLIENT_CERTIFICATE_NAMES,
    CLIENT_CERTIFICATES,
};

/// The authorities in a file.
pub struct Authorities {
    pub(super) file: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
    /// What clients are told of them, to choose by.
    names: Vec<DistinguishedName>,
    /// Their names, as they are written.
    subjects: Vec<Vec<u8>>,
    algorithms: WebPkiSupportedAlgorithms,
    /// What holds a chain against them (RFC 5280 §6).
    chains: Arc<dyn ClientCertVerifier>,
}

/// Whom a host trusts with saying who its clients are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trust {
    host: Domain,
    authorities: Arc<Authorities>,
}

impl Authorities {
    /// Those in a file, and what is to be said of it: a sentence each.
    ///
    /// # Errors
    /// It cannot be read, or there is none in it.
    pub(super) fn read(path: &Path, now: i64) -> Result<(Self, Vec<String>), CertError> {
        let file = PemFile::read(path)?;
        if file.certificates.is_empty() {
            return Err(file.no_certificate());
        }
        let mut remarks = file.passed_over;
        let mut store = RootCertStore::empty();
        let mut certificates = Vec::new();
        for (line, der) in file.certificates {
            match take(&mut store, &der, now) {
                Ok(ended) => {
                    let said = |ended| format!("{}: in line {line} {ended}", path.display());
                    remarks.extend(ended.map(said));
                    certificates.push(der);
                }
                Err(why) => remarks.push(format!(
                    "{}: the certificate in line {line} is passed over: {why}",
                    path.display()
                )),
            }
        }
        if certificates.is_empty() {
            return Err(CertError::new(
                path,
                "none of the certificates in this file is an authority's; put those there that sign the certificates of clients",
            ));
        }
        let subject = |der: &CertificateDer<'_>| Some(parse(der).ok()?.subject().as_raw().to_vec());
        let subjects = certificates.iter().filter_map(subject).collect();
        let mut names = store.subjects();
        let bytes: usize = names.iter().map(|name| name.as_ref().len()).sum();
        if bytes > CLIENT_AUTHORITY_NAMES_BYTES {
            // RFC 8446 §4.2.4, RFC 5246 §7.4.4: without any the client chooses by itself.
            names.clear();
        }
        let provider = library::default_provider();
        let algorithms = provider.signature_verification_algorithms;
        let chains =
            WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::new(provider))
                .build()
                .map_err(|error| CertError::new(path, &error.to_string()))?;
        let authorities = Self {
            file: path.to_owned(),
            certificates,
            names,
            subjects,
            algorithms,
            chains,
        };
        Ok((authorities, remarks))
    }
}

/// Files of authorities, each read once for all hosts that name it.
#[derive(Debug, Default)]
pub(super) struct Bundles(RefCell<BTreeMap<PathBuf, Read>>);

type Read = Result<(Arc<Authorities>, Vec<String>), CertError>;

impl Bundles {
    /// Those in a file, or those that there were before if it cannot be used, and what is to be said of that.
    pub(super) fn get(
        &self,
        file: &Path,
        before: Option<&Arc<Trust>>,
        now: i64,
    ) -> (Option<Arc<Authorities>>, Vec<Remark>) {
        let mut known = self.0.borrow_mut();
        let read = known.entry(file.to_owned()).or_insert_with(|| {
            Authorities::read(file, now).map(|(read, remarks)| (Arc::new(read), remarks))
        });
        match (read, before) {
            (Ok((authorities, remarks)), _) => {
                let remarks = remarks.iter().cloned();
                (
                    Some(Arc::clone(authorities)),
                    remarks.map(Remark::warning).collect(),
                )
            }
            (Err(error), Some(before)) => {
                let fault = format!(
                    "`c2s_ca_file`: {error}; it keeps the authorities it had ({}); mend this and reload, or remove the option to ask \
                     clients for no certificate",
                    before.authorities.file.display()
                );
                (
                    Some(Arc::clone(&before.authorities)),
                    vec![Remark::fault(fault)],
                )
            }
            (Err(error), None) => {
                let fault = format!(
                    "`c2s_ca_file`: {error}; until this is mended nobody can sign in by certificate"
                );
                (None, vec![Remark::fault(fault)])
            }
        }
    }
}

/// Puts a certificate among those that are trusted. Gives back what is to be said of its time.
///
/// # Errors
/// Why it is no authority's.
fn take(
    store: &mut RootCertStore,
    der: &CertificateDer<'static>,
    now: i64,
) -> Result<Option<String>, String> {
    let certificate = parse(der)?;
    if !certificate.is_ca() {
        return Err("it is no authority's (it is not made for signing others: CA:TRUE)".to_owned());
    }
    store.add(der.clone()).map_err(|error| error.to_string())?;
    let ends = certificate.validity().not_after.timestamp();
    Ok((ends < now).then(|| {
        format!(
            "stands an authority that ended on {}, and what it signed counts as long as that lasts; remove it if it is not to count",
            date(ends)
        )
    }))
}

impl Authorities {
    /// The certificates that lead from a client's to an authority by their names, each name once.
    ///
    /// `Choice:` webpki tries all that have the right name, in every order, and a signature for each. A stranger can make a chain in which all
    /// have the name of the authority: with four certificates and P-384 that was 17 ms of a shard's thread, and an honest one 2. So there is
    /// one way, and an authority ends it: one that took another key under the same name is in the file with both.
    fn way<'c>(
        &self,
        own: &CertificateDer<'_>,
        between: &'c [CertificateDer<'c>],
    ) -> Vec<CertificateDer<'c>> {
        let read = |der: &'c CertificateDer<'c>| Some((der, parse(der).ok()?));
        let between: Vec<_> = between.iter().filter_map(read).collect();
        let (mut way, mut seen) = (Vec::new(), Vec::<&[u8]>::new());
        let own = parse(own);
        let mut issuer = own.as_ref().ok().map(|own| own.issuer().as_raw());
        while let Some(name) = issuer {
            if seen.contains(&name) || self.subjects.iter().any(|known| known == name) {
                break;
            }
            seen.push(name);
            let mut named = between.iter();
            let next = named.find(|(_, parsed)| parsed.subject().as_raw() == name);
            way.extend(next.map(|(der, _)| (*der).clone()));
            issuer = next.map(|(_, parsed)| parsed.issuer().as_raw());
        }
        way
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("file", &self.file)
            .field("count", &self.certificates.len())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.certificates == other.certificates
    }
}

impl Eq for Authorities {}

/// What rustls asks during the handshake: nearly everything is taken there.
impl ClientCertVerifier for Authorities {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.names
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // rustls keeps them as long as the connection.
        let bytes: usize = others.iter().chain([own]).map(|der| der.len()).sum();
        match bytes > CLIENT_CERTIFICATE_BYTES {
            true => Err(CertificateError::ApplicationVerificationFailure.into()),
            false => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Trust {
    pub(super) const fn new(host: Domain, authorities: Arc<Authorities>) -> Self {
        Self { host, authorities }
    }

    pub(super) const fn authorities(&self) -> &Arc<Authorities> {
        &self.authorities
    }

    /// What the certificates come to that a client has shown, and proved to have the key of, if one of the authorities vouches for it.
    ///
    /// # Errors
    /// Why they come to nothing.
    pub(super) fn client(
        &self,
        shown: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertificate, String> {
        let Some((own, others)) = shown.split_first() else {
            return Err("there is none".to_owned());
        };
        if shown.len() > CLIENT_CERTIFICATES {
            return Err(format!(
                "{} came with it, and {} are looked at",
                others.len(),
                CLIENT_CERTIFICATES - 1
            ));
        }
        // RFC 6120 §13.7.2: its path, its time and that it is for clients, where it says what it is for.
        let way = self.authorities.way(own, others);
        let valid = self.authorities.chains.verify_client_cert(own, &way, now);
        valid.map_err(|error| error.to_string())?;
        Ok(ClientCertificate {
            names: self.accounts(own)?,
        })
    }

    /// The accounts of the host that a certificate names. Those of others are passed over: XEP-0178 §2 has certificates for several hosts.
    fn accounts(&self, own: &CertificateDer<'_>) -> Result<Vec<BareJid>, String> {
        let certificate = parse(own)?;
        let mut accounts = Vec::new();
        for address in xmpp_addresses(&certificate) {
            let Ok(account) = BareJid::parse(address) else {
                continue;
            };
            let is_ours = account.local().is_some() && account.domain() == self.host.as_str();
            if !is_ours || accounts.contains(&account) {
                continue;
            }
            if accounts.len() == CLIENT_CERTIFICATE_NAMES {
                return Err(format!(
                    "it names more than {CLIENT_CERTIFICATE_NAMES} accounts"
                ));
            }
            accounts.push(account);
        }
        match accounts.is_empty() {
            true => Err(format!(
                "it names no account of {} (id-on-xmppAddr)",
                self.host
            )),
            false => Ok(accounts),
        }
    }
}
