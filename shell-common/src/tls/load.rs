//! Loading the certificates of all hosts: each host by itself, so that what is wrong with one leaves the others alone.
//!
//! When they are loaded again, a host never has less than before: a certificate that has gone or cannot be used is taken for a renewal
//! half way, not for a wish, and the host keeps what it had.

#[cfg(test)]
mod sets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use spondee_core::jid::Domain;

use super::CertError;
use super::audit::{Remark, Severity, audit, date};
use super::certs::{Pair, Standing};
use super::find::{Choice, Found, Index};
use super::hosts::{About, HostTls, Reception, TlsHosts};
use super::policy::{HostPolicy, Policies, Signature, TermsOf};

/// What a look for certificates brought.
#[derive(Debug)]
pub struct Loaded {
    /// For connections.
    pub tls: TlsHosts,
    /// Every host that was asked for.
    pub hosts: Vec<HostReport>,
    /// Files that cannot be read and are, as it seems, no host's: a sentence each.
    pub unread: Vec<String>,
}

/// What there is for one host.
#[derive(Debug)]
pub struct HostReport {
    /// The host.
    pub host: Domain,
    /// Whether it has a certificate.
    pub state: HostState,
    /// What is to be said about that.
    pub remarks: Vec<Remark>,
}

/// Whether a host has a certificate.
#[derive(Debug)]
pub enum HostState {
    /// One that was found.
    Found(Source),
    /// The one it had before, because what is there now cannot be used or is worse.
    Kept(Source),
    /// There is none.
    Missing {
        /// What there is instead.
        why: String,
    },
    /// There is one that cannot be used.
    Unusable,
}

/// Where a certificate comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its file.
    pub file: PathBuf,
    /// The file of its key.
    pub key: PathBuf,
    /// The day on which it ends.
    pub valid_until: String,
    /// Other certificates that clients would accept for this host. Which one is used: see `TlsHosts::load`.
    pub spare: Vec<PathBuf>,
}

impl TlsHosts {
    /// Finds and loads a certificate and key for each host below `certificates`: first by the names in the certificates
    /// (`*.crt` and `*fullchain*.pem`, three levels deep), then `HOST.crt`, `HOST/fullchain.pem` and `HOST.pem`, then the
    /// same files of the parent domain if their wildcard covers the host. The key is looked for beside the certificate, then in
    /// its file.
    #[must_use]
    pub fn load(certificates: &Path, hosts: &[Domain], policies: &Policies) -> Loaded {
        Self::default().reload(certificates, hosts, policies)
    }

    /// The same while these are in use.
    #[must_use]
    pub fn reload(&self, certificates: &Path, hosts: &[Domain], policies: &Policies) -> Loaded {
        let search = Search {
            index: Index::read(certificates),
            terms: TermsOf::default(),
            now: now(),
        };
        let mut table = BTreeMap::new();
        let mut reports = Vec::new();
        for host in hosts {
            let before = self.hosts.get(host);
            let (tls, report) = search.settle(host, &policies.of(host), before);
            if let Some(tls) = tls {
                table.insert(host.clone(), tls);
            }
            reports.push(report);
        }
        let unread = search.index.unread_beside(hosts);
        Loaded {
            tls: Self { hosts: table },
            unread: unread.map(|error| error.message.clone()).collect(),
            hosts: reports,
        }
    }
}

struct Search {
    index: Index,
    terms: TermsOf,
    now: i64,
}

/// The best certificate that can be used.
struct Usable {
    tls: HostTls,
    found: Rc<Found>,
    remarks: Vec<Remark>,
}

/// Candidates that cannot be used, each with its file or the directory it may be in.
type Failed = Vec<(PathBuf, CertError)>;

impl Search {
    /// Decides what a host is served with.
    fn settle(
        &self,
        host: &Domain,
        policy: &HostPolicy,
        before: Option<&Arc<HostTls>>,
    ) -> (Option<Arc<HostTls>>, HostReport) {
        let report = |state, remarks| HostReport {
            host: host.clone(),
            state,
            remarks,
        };
        let in_use = before.map(|before| before.about.file.as_path());
        let choice = self.index.choices(host, self.now, in_use);
        let spare = |file: &Path| self.spare(&choice, host, file);
        let (usable, failed) = self.first_usable(&choice, host, policy);
        let faults = |severity| -> Vec<Remark> {
            let texts = failed.iter().map(|(_, error)| error.message.clone());
            texts.map(|text| Remark { severity, text }).collect()
        };
        match (usable, before) {
            (Some(usable), Some(before)) if self.is_worse(&usable, &failed, before, host) => {
                let mut remarks = faults(Severity::Fault);
                remarks.extend(usable.remarks);
                let (tls, state) = self.keep(before, policy, &mut remarks);
                (Some(tls), report(state, remarks))
            }
            (Some(usable), _) => {
                let mut remarks = faults(Severity::Warning);
                let file = usable.found.path.clone();
                // What cannot be read below a directory may be nothing to this host.
                if failed.iter().any(|(path, _)| !path.is_dir()) {
                    remarks.push(Remark::warning(format!(
                        "{} is used instead",
                        file.display()
                    )));
                }
                remarks.extend(usable.remarks);
                let state = HostState::Found(Source {
                    valid_until: date(usable.tls.about.facts.not_after),
                    spare: spare(&file),
                    key: usable.tls.about.key.clone(),
                    file,
                });
                (Some(Arc::new(usable.tls)), report(state, remarks))
            }
            (None, Some(before)) => {
                let mut remarks = faults(Severity::Fault);
                if remarks.is_empty() {
                    let why = self.index.absence(host);
                    remarks.push(Remark::fault(format!("its certificate has gone: {why}")));
                }
                let (tls, state) = self.keep(before, policy, &mut remarks);
                (Some(tls), report(state, remarks))
            }
            (None, None) if failed.is_empty() => {
                let why = self.index.absence(host);
                (None, report(HostState::Missing { why }, Vec::new()))
            }
            (None, None) => (None, report(HostState::Unusable, faults(Severity::Fault))),
        }
    }

    /// The best candidate that can be used, and what is wrong with those before it.
    fn first_usable(
        &self,
        choice: &Choice,
        host: &Domain,
        policy: &HostPolicy,
    ) -> (Option<Usable>, Failed) {
        let mut failed = choice.faults.clone();
        for found in &choice.candidates {
            match self.load(found, host, policy) {
                Ok(usable) => return (Some(usable), failed),
                Err(error) => failed.push((found.path.clone(), error)),
            }
        }
        (None, failed)
    }

    fn load(
        &self,
        found: &Rc<Found>,
        host: &Domain,
        policy: &HostPolicy,
    ) -> Result<Usable, CertError> {
        let certificate = &found.certificate;
        let pair = Pair::read(certificate, &found.path, &found.key)?;
        let told = pair.remarks.iter().chain(&certificate.remarks);
        let mut remarks: Vec<_> = told.cloned().map(Remark::warning).collect();
        let file = found.path.display().to_string();
        remarks.extend(audit(certificate, &file, host, self.now));
        let is_fault = |remark: &Remark| remark.severity == Severity::Fault;
        let reception = match remarks.iter().any(is_fault) {
            true => Reception::Refused,
            false => Reception::Accepted,
        };
        let signature = Signature::of(&*pair.certified.key);
        let chain = certificate.chain.iter();
        let chain_sha256 = chain.fold(Sha256::new(), |hash, der| hash.chain_update(der));
        remarks.extend(policy.remark(signature));
        let about = About {
            file: found.path.clone(),
            key: pair.key.0,
            facts: certificate.facts.clone(),
            chain_sha256: chain_sha256.finalize().into(),
            reception,
            signature,
        };
        Ok(Usable {
            tls: HostTls::new(pair.certified, about, policy, &self.terms)?,
            found: Rc::clone(found),
            remarks,
        })
    }

    /// Whether a host is better off with what it has: clients would refuse the new certificate and not the old one, or the new one is
    /// only the next best, because the file that the old one came from cannot be used at the moment.
    fn is_worse(&self, new: &Usable, failed: &Failed, old: &HostTls, host: &Domain) -> bool {
        let replaced = failed
            .iter()
            .any(|(path, _)| old.about.file.starts_with(path));
        old.about.reception == Reception::Accepted
            && old.about.facts.standing(host, self.now) == Standing::Good
            && (new.tls.about.reception == Reception::Refused || replaced)
    }

    /// A host keeps the certificate it had, and this is said. What is said of its TLS counts all the same.
    fn keep(
        &self,
        before: &Arc<HostTls>,
        policy: &HostPolicy,
        remarks: &mut Vec<Remark>,
    ) -> (Arc<HostTls>, HostState) {
        let source = Source {
            file: before.about.file.clone(),
            key: before.about.key.clone(),
            valid_until: date(before.about.facts.not_after),
            spare: Vec::new(),
        };
        remarks.extend(policy.remark(before.about.signature));
        remarks.push(Remark::fault(format!(
            "it keeps the certificate it had ({}, valid until {}); mend this and reload (or restart, to do without)",
            source.file.display(),
            source.valid_until
        )));
        let tls = match before.with_policy(policy, &self.terms) {
            Ok(tls) => Arc::new(tls),
            Err(error) => {
                remarks.push(Remark::fault(error.message));
                Arc::clone(before)
            }
        };
        (tls, HostState::Kept(source))
    }

    /// Certificates that would do as well as the one in `file`. A second copy of that one is none.
    fn spare(&self, choice: &Choice, host: &Domain, file: &Path) -> Vec<PathBuf> {
        let candidates = choice.candidates.iter();
        let used = candidates.clone().find(|found| found.path == file);
        let used = used.and_then(|found| found.certificate.chain.first());
        candidates
            .filter(|found| found.certificate.facts.standing(host, self.now) == Standing::Good)
            .filter(|found| found.certificate.chain.first() != used)
            .map(|found| found.path.clone())
            .collect()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(0)
}
