//! Loading the certificates of all hosts: each host by itself, so that what is wrong with one leaves the others alone.
//!
//! When they are loaded again, a host never has less than before: a certificate that has gone or cannot be used is taken for a renewal
//! half way, not for a wish, and the host keeps what it had.

#[cfg(test)]
mod sets;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use spondee_core::jid::Domain;
use spondee_core::port::Opening;

use super::CertError;
use super::audit::{Remark, Severity, audit, date};
use super::certs::{Pair, Standing};
use super::clients::{Bundles, Trust};
use super::find::{Choice, Found};
use super::hosts::{About, HostTls, Reception, Served, TlsHosts};
use super::named::{Indices, Location};
use super::policy::{ClientAuth, HostPolicy, Policies, Signature, TermsOf};

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
    /// And about whom it trusts with saying who its clients are.
    pub authorities: Vec<Remark>,
    /// The same of its direct TLS, where the configuration names a certificate for that.
    pub direct: Option<ServiceReport>,
}

/// What there is for one service of a host.
#[derive(Debug)]
pub struct ServiceReport {
    /// Whether it has a certificate of its own.
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
    /// The one that is used beside it, for clients whose signatures are of the other kind, RSA or ECDSA.
    pub second: Option<Box<Self>>,
}

impl TlsHosts {
    /// Finds and loads a certificate and key for each host below `certificates`: first by the names in the certificates
    /// (`*.crt` and `*fullchain*.pem`, three levels deep), then `HOST.crt`, `HOST/fullchain.pem` and `HOST.pem`, then the
    /// same files of the parent domain if their wildcard covers the host. The key is looked for beside the certificate, then in
    /// its file. Where there is one whose key signs with RSA and one with ECDSA, each client is served with what it takes. What the
    /// policy of a host names goes before all that.
    #[must_use]
    pub fn load(certificates: &Path, hosts: &[Domain], policies: &Policies) -> Loaded {
        Self::default().reload(certificates, hosts, policies)
    }

    /// The same while these are in use.
    #[must_use]
    pub fn reload(&self, certificates: &Path, hosts: &[Domain], policies: &Policies) -> Loaded {
        let search = Search {
            indices: Indices::read(certificates),
            terms: TermsOf::default(),
            bundles: Bundles::default(),
            now: now(),
        };
        let mut tls = Self::default();
        let mut reports = Vec::new();
        for host in hosts {
            let mut policy = policies.of(host);
            let before = self.hosts.get(host);
            let any = before.or_else(|| self.direct.get(host));
            let trusted = search.trust(host, &mut policy, any);
            let (served, mut report) = search.settle(host, &policy, before);
            report.authorities = trusted;
            if let Some(location) = &policy.certificates.direct {
                let before = self.direct.get(host).or(before);
                let (served, direct) = search.settle_direct(host, location, &policy, before);
                report.direct = Some(direct);
                tls.direct
                    .extend(served.map(|served| (host.clone(), served)));
            }
            tls.hosts
                .extend(served.map(|served| (host.clone(), served)));
            reports.push(report);
        }
        Loaded {
            tls,
            unread: search.indices.unread_beside(hosts),
            hosts: reports,
        }
    }
}

struct Search {
    indices: Indices,
    terms: TermsOf,
    bundles: Bundles,
    now: i64,
}

/// The best certificate that can be used.
struct Usable {
    tls: HostTls,
    found: Rc<Found>,
    remarks: Vec<Remark>,
}

/// What another certificate of a host stands beside.
struct Beside<'a> {
    host: &'a Domain,
    policy: &'a HostPolicy,
    first: &'a HostTls,
    choice: &'a Choice,
}

impl HostState {
    /// This one is used, too.
    fn is_beside(&mut self, second: &About) {
        match self {
            Self::Found(source) | Self::Kept(source) => {
                source.spare.retain(|spare| *spare != second.file);
                source.second = Some(Box::new(second.source()));
            }
            Self::Missing { .. } | Self::Unusable => {}
        }
    }
}

impl HostReport {
    /// Says what is wrong with a certificate that was to be used before the one that is.
    fn is_instead_of(&mut self, faults: Vec<Remark>) {
        let instead = match &self.state {
            HostState::Found(source) | HostState::Kept(source) => Some(Remark::fault(format!(
                "{} is used instead",
                source.file.display()
            ))),
            HostState::Missing { .. } => {
                self.state = HostState::Unusable;
                None
            }
            HostState::Unusable => None,
        };
        self.remarks.splice(0..0, faults.into_iter().chain(instead));
    }
}

/// The files of what is in use.
fn files(served: Option<&Served>) -> Vec<&Path> {
    let both = served.into_iter().flat_map(Served::both);
    both.map(|tls| tls.about.file.as_path()).collect()
}

impl About {
    fn source(&self) -> Source {
        Source {
            file: self.file.clone(),
            key: self.key.clone(),
            valid_until: date(self.facts.not_after),
            spare: Vec::new(),
            second: None,
        }
    }
}

/// Candidates that cannot be used, each with its file or the directory it may be in.
type Failed = Vec<(PathBuf, CertError)>;

impl Search {
    /// Reads the authorities that a policy names. Of those that cannot be read a host keeps what it had.
    fn trust(
        &self,
        host: &Domain,
        policy: &mut HostPolicy,
        before: Option<&Served>,
    ) -> Vec<Remark> {
        let ClientAuth::File(file) = &policy.clients else {
            return Vec::new();
        };
        let before = before.and_then(Served::trust);
        let (authorities, remarks) = self.bundles.get(file, before, self.now);
        policy.clients = match authorities {
            Some(authorities) => ClientAuth::By(Arc::new(Trust::new(host.clone(), authorities))),
            None => ClientAuth::Off,
        };
        remarks
    }

    /// Decides what a host is served with: what its options name, else what is found in the directory.
    ///
    /// `Choice:` where what is named cannot be used at all, what is found is used instead, and the fault is told: it is a certificate of
    /// this host as well, and without one nobody could sign in.
    fn settle(
        &self,
        host: &Domain,
        policy: &HostPolicy,
        before: Option<&Served>,
    ) -> (Option<Served>, HostReport) {
        let told = match policy.certificates.direct {
            None => policy.clone(),
            Some(_) => policy.alone(Opening::Clear),
        };
        let named = policy.certificates.all.as_ref();
        let named = named.map(|location| self.named(host, location, [policy, &told], before));
        let faults = match named {
            Some(Ok((served, report))) => return (Some(served), report),
            Some(Err(faults)) => faults,
            None => Vec::new(),
        };
        let choice = self.indices.common.choices(host, self.now, &files(before));
        let (served, mut report) = self.settle_by(host, &choice, [policy, &told], before);
        if !faults.is_empty() {
            report.is_instead_of(faults);
        }
        (served, report)
    }

    /// Decides what its direct TLS is served with alone: what is named for that, if it can be used.
    fn settle_direct(
        &self,
        host: &Domain,
        location: &Location,
        policy: &HostPolicy,
        before: Option<&Served>,
    ) -> (Option<Served>, ServiceReport) {
        let told = policy.alone(Opening::Tls);
        match self.named(host, location, [policy, &told], before) {
            Ok((served, HostReport { state, remarks, .. })) => {
                (Some(served), ServiceReport { state, remarks })
            }
            Err(remarks) => {
                let state = HostState::Unusable;
                (None, ServiceReport { state, remarks })
            }
        }
    }

    /// What is in a place that the configuration names, or was when it was read last.
    ///
    /// # Errors
    /// Why that cannot be used, or why clients that were served by something else are better off with that.
    fn named(
        &self,
        host: &Domain,
        location: &Location,
        policies: [&HostPolicy; 2],
        before: Option<&Served>,
    ) -> Result<(Served, HostReport), Vec<Remark>> {
        let is_of_it = |served: &&Served| location.has(&served.first.about.file);
        let own = before.filter(is_of_it);
        let in_use = files(own);
        let choice = self.indices.choices(location, host, self.now, &in_use);
        if let (None, Some(before)) = (own, before) {
            let (usable, failed) = self.first_usable(&choice, host, policies[0]);
            if let Some(usable) = usable
                && self.is_worse(&usable, &failed, &before.first, host)
            {
                return Err(usable.remarks);
            }
        }
        let (served, mut report) = self.settle_by(host, &choice, policies, own);
        report.remarks.extend(location.remark());
        match served {
            Some(served) => Ok((served, report)),
            None => Err(report.remarks),
        }
    }

    /// Decides by what there is: a certificate, and one of the other kind of signature beside it. The second policy is what is looked at
    /// for what does not go with their keys.
    fn settle_by(
        &self,
        host: &Domain,
        choice: &Choice,
        [policy, told]: [&HostPolicy; 2],
        before: Option<&Served>,
    ) -> (Option<Served>, HostReport) {
        let (first, mut report) =
            self.first(host, policy, before.map(|before| &before.first), choice);
        let second = first.as_ref().and_then(|first| {
            let beside = Beside {
                host,
                policy,
                first,
                choice,
            };
            self.second(&beside, before, &mut report)
        });
        let keys = [&first, &second].into_iter().flatten();
        let lacks: Option<Vec<_>> = keys.map(|tls| told.remark(tls.about.signature)).collect();
        // Where one of two goes with what TLS offers, nobody is shut out.
        report.remarks.extend(lacks.into_iter().flatten());
        let served = first.map(|first| Served { first, second });
        (served, report)
    }

    /// The best one.
    fn first(
        &self,
        host: &Domain,
        policy: &HostPolicy,
        before: Option<&Arc<HostTls>>,
        choice: &Choice,
    ) -> (Option<Arc<HostTls>>, HostReport) {
        let report = |state, remarks| HostReport {
            host: host.clone(),
            state,
            remarks,
            authorities: Vec::new(),
            direct: None,
        };
        let spare = |file: &Path| self.spare(choice, host, file);
        let (usable, failed) = self.first_usable(choice, host, policy);
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
                    second: None,
                });
                (Some(Arc::new(usable.tls)), report(state, remarks))
            }
            (None, Some(before)) => {
                let mut remarks = faults(Severity::Fault);
                if remarks.is_empty() {
                    let why = self.indices.common.absence(host);
                    remarks.push(Remark::fault(format!("its certificate has gone: {why}")));
                }
                let (tls, state) = self.keep(before, policy, &mut remarks);
                (Some(tls), report(state, remarks))
            }
            (None, None) if failed.is_empty() => {
                let why = self.indices.common.absence(host);
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
        let source = before.about.source();
        remarks.push(Remark::fault(format!(
            "it keeps the certificate it had ({}, valid until {}); mend this and reload (or restart, to do without)",
            source.file.display(),
            source.valid_until
        )));
        let tls = self.again(before, policy, remarks);
        (tls, HostState::Kept(source))
    }

    /// A certificate that is kept, by the policy of today.
    fn again(
        &self,
        before: &Arc<HostTls>,
        policy: &HostPolicy,
        remarks: &mut Vec<Remark>,
    ) -> Arc<HostTls> {
        match before.with_policy(policy, &self.terms) {
            Ok(tls) => Arc::new(tls),
            Err(error) => {
                remarks.push(Remark::fault(error.message));
                Arc::clone(before)
            }
        }
    }

    /// The best of the other kind of signature that clients accept, or the one there was if that cannot be used at the moment.
    fn second(
        &self,
        beside: &Beside<'_>,
        before: Option<&Served>,
        report: &mut HostReport,
    ) -> Option<Arc<HostTls>> {
        let Beside {
            host,
            policy,
            first,
            choice,
        } = *beside;
        let candidates = choice.candidates.iter().filter(|found| {
            let certificate = &found.certificate;
            found.path != first.about.file
                && certificate.facts.standing(host, self.now) == Standing::Good
                && certificate.signature() == Some(first.about.signature.other())
        });
        let mut failed: Failed = choice.faults.clone();
        for found in candidates {
            match self.load(found, host, policy) {
                Ok(usable) if usable.tls.about.reception == Reception::Accepted => {
                    report.remarks.extend(usable.remarks);
                    report.state.is_beside(&usable.tls.about);
                    return Some(Arc::new(usable.tls));
                }
                Ok(_) => {}
                Err(error) => {
                    let known = report
                        .remarks
                        .iter()
                        .any(|remark| remark.text == error.message);
                    if !known {
                        report.remarks.push(Remark::warning(error.message.clone()));
                    }
                    failed.push((found.path.clone(), error));
                }
            }
        }
        let before = before.into_iter().flat_map(Served::both).find(|before| {
            before.about.signature != first.about.signature
                && before.about.facts.standing(host, self.now) == Standing::Good
        })?;
        let file = &before.about.file;
        let kind = before.about.signature.name();
        if !failed.iter().any(|(path, _)| file.starts_with(path)) {
            report.remarks.push(Remark::warning(format!(
                "its certificate for {kind} ({}) has gone: clients that take no other are refused",
                file.display()
            )));
            return None;
        }
        report.remarks.push(Remark::fault(format!(
            "it keeps the certificate it had for {kind} ({}, valid until {}); mend this and reload (or restart, to do without)",
            file.display(),
            date(before.about.facts.not_after)
        )));
        let tls = self.again(before, policy, &mut report.remarks);
        report.state.is_beside(&tls.about);
        Some(tls)
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
