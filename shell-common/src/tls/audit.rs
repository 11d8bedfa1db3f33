//! What clients will hold against the certificate of a host, said before they meet it, each with what to do.
//!
//! A certificate that clients refuse is served all the same: some are set to take it, and who is refused is told why.

#[cfg(test)]
mod tests;

use spondee_core::jid::Domain;
use x509_parser::asn1_rs::oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_SIG_DSA_WITH_SHA1,
};
use x509_parser::time::ASN1Time;

use super::certs::{Certificate, Facts, parse, same};
use super::chain::{Link, is_self_issued};
use super::file::shown;
use crate::limits::{CERTIFICATE_ENDS_SOON, CERTIFICATE_LAST_DAYS, CERTIFICATE_SHORT_LIVED};

/// Something to be said about a certificate: a sentence with its remedy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remark {
    /// How bad it is.
    pub severity: Severity,
    /// The sentence. It names the file.
    pub text: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// Clients are shut out.
    Fault,
    /// Some may be, or soon will be.
    Warning,
}

impl Remark {
    pub(super) const fn fault(text: String) -> Self {
        Self {
            severity: Severity::Fault,
            text,
        }
    }

    pub(super) const fn warning(text: String) -> Self {
        Self {
            severity: Severity::Warning,
            text,
        }
    }
}

/// Everything there is to say, `now` in seconds since 1970. `file` is how the certificate is called.
pub(super) fn audit(certificate: &Certificate, file: &str, host: &Domain, now: i64) -> Vec<Remark> {
    look(certificate, file, host, now, Chain::Unverified)
}

/// The same of one whose chain has been verified.
pub(super) fn audit_own(
    certificate: &Certificate,
    file: &str,
    host: &Domain,
    now: i64,
) -> Vec<Remark> {
    look(certificate, file, host, now, Chain::Verified)
}

/// Whether it is known that an authority vouches for a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Chain {
    Verified,
    Unverified,
}

fn look(
    certificate: &Certificate,
    file: &str,
    host: &Domain,
    now: i64,
    verified: Chain,
) -> Vec<Remark> {
    let chain: Vec<_> = certificate
        .chain
        .iter()
        .filter_map(|der| parse(der).ok())
        .collect();
    let Some((own, others)) = chain.split_first() else {
        return Vec::new();
    };
    let mut audit = Audit {
        file,
        remarks: Vec::new(),
    };
    audit.names(&certificate.facts, own, host);
    audit.time(&certificate.facts, own, now);
    audit.purpose(own);
    audit.promises(own);
    audit.signature("it", own);
    if verified == Chain::Verified {
        return audit.remarks;
    }
    audit.chain(own, others, certificate.linked);
    let linked = certificate.linked.saturating_sub(1);
    for issuer in others.iter().take(linked) {
        audit.issuer(issuer, now);
    }
    audit.remarks
}

struct Audit<'a> {
    file: &'a str,
    remarks: Vec<Remark>,
}

impl Audit<'_> {
    fn fault(&mut self, text: &str) {
        let text = format!("{}: {text}", self.file);
        self.remarks.push(Remark::fault(text));
    }

    fn warn(&mut self, text: &str) {
        let text = format!("{}: {text}", self.file);
        self.remarks.push(Remark::warning(text));
    }

    fn names(&mut self, facts: &Facts, own: &X509Certificate<'_>, host: &Domain) {
        if facts.names(host) {
            let mut others = facts.clone();
            others.service_names.clear();
            if !others.names(host) {
                self.warn(&format!(
                    "it names {host} only in a form made for XMPP, which many clients do not read; have it issued anew with the \
                     DNS name {host} in it"
                ));
            }
            return;
        }
        let common = common_names(own);
        if common.iter().any(|name| same(name, host.as_str())) && facts.names.is_empty() {
            self.fault(&format!(
                "it names {host} as its common name only, where clients do not look any more, so they refuse it; have it issued \
                 anew with the subject alternative name DNS:{host}"
            ));
        } else if facts.names.is_empty() {
            self.fault(&format!(
                "it names no host, so clients refuse it; have it issued anew with the subject alternative name DNS:{host}"
            ));
        } else {
            self.fault(&format!(
                "it is for {}, not for {host}, so clients refuse it; have one issued that names {host}",
                shown(&facts.names.join(", "))
            ));
        }
    }

    fn time(&mut self, facts: &Facts, own: &X509Certificate<'_>, now: i64) {
        let (from, until) = (facts.not_before, facts.not_after);
        let renewal = match is_self_issued(own) {
            true => {
                "make another (spondee cert generate does, once this one is moved away; a development server does by itself, when \
                 it starts or reloads)"
            }
            false => "renew it, and find out why it was not renewed by itself",
        };
        if until < now {
            return self.fault(&format!(
                "it expired on {}, so clients refuse it; {renewal}",
                date(until)
            ));
        }
        if now < from {
            return self.fault(&format!(
                "it is not valid before {}, so clients refuse it until then; look whether the clock of this machine is right (it \
                 says {})",
                date(from),
                date(now)
            ));
        }
        let left = until - now;
        let seconds =
            |period: std::time::Duration| i64::try_from(period.as_secs()).unwrap_or(i64::MAX);
        let lifetime = until - from;
        // Nothing renews a self-made one by itself, however short its life is.
        let renewed_often = lifetime <= seconds(CERTIFICATE_SHORT_LIVED) && !is_self_issued(own);
        let soon = match renewed_often {
            true => seconds(CERTIFICATE_LAST_DAYS).max(lifetime / 2),
            false => seconds(CERTIFICATE_ENDS_SOON),
        };
        if left <= soon {
            let days = left / (24 * 60 * 60);
            let days = match days {
                0 => "less than a day".to_owned(),
                1 => "a day".to_owned(),
                days => format!("{days} days"),
            };
            self.warn(&format!(
                "it expires on {}, in {days}; {renewal}",
                date(until)
            ));
        }
    }

    /// What the certificate says it may be used for.
    fn purpose(&mut self, own: &X509Certificate<'_>) {
        if let Ok(Some(usage)) = own.extended_key_usage()
            && !usage.value.server_auth
            && !usage.value.any
        {
            self.fault(
                "it is not for servers (its extended key usage lacks serverAuth), so clients refuse it; have one issued for a TLS \
                 server",
            );
        }
        // RFC 8446 §4.4.2.2: "the digitalSignature bit MUST be set if the Key Usage extension is present".
        if let Ok(Some(usage)) = own.key_usage()
            && !usage.value.digital_signature()
        {
            self.fault(
                "its key may not sign (its key usage lacks digitalSignature), as TLS needs, so clients refuse it; have it issued \
                 anew with digitalSignature",
            );
        }
        // RFC 6120 §13.7.1.1: an end entity's certificate MUST NOT say this. What OpenSSL makes without more options does.
        if own.is_ca() {
            self.warn(
                "it is an authority's (basicConstraints say CA:TRUE), which some clients refuse for a server; have it issued anew \
                 without (openssl req -x509 needs -addext basicConstraints=critical,CA:FALSE)",
            );
        }
    }

    /// RFC 7633 §3.3.2: a server should verify that it does what its certificate says it does.
    fn promises(&mut self, own: &X509Certificate<'_>) {
        let feature = oid!(1.3.6.1.5.5.7.1.24);
        if own.extensions().iter().any(|one| one.oid == feature) {
            self.warn(
                "it promises TLS features that this server does not have (\"must staple\"), so some clients refuse it; have it \
                 issued anew without",
            );
        }
    }

    /// RFC 8446 §4.4.2.4: MD5 MUST be refused, SHA-1 should be, but for certificates that clients trust by themselves.
    fn signature(&mut self, which: &str, certificate: &X509Certificate<'_>) {
        if is_self_issued(certificate) {
            return;
        }
        let algorithm = &certificate.signature_algorithm.algorithm;
        let sha1 = [
            OID_PKCS1_SHA1WITHRSA,
            OID_SIG_DSA_WITH_SHA1,
            oid!(1.2.840.10045.4.1), // ecdsa-with-SHA1
        ];
        if *algorithm == OID_PKCS1_MD5WITHRSAENC {
            self.fault(&format!(
                "{which} is signed with MD5, so clients refuse it; have it issued anew with SHA-256"
            ));
        } else if sha1.contains(algorithm) {
            self.warn(&format!(
                "{which} is signed with SHA-1, which most clients refuse; have it issued anew with SHA-256"
            ));
        }
    }

    /// Whether a client finds its way from the certificate to an authority.
    fn chain(&mut self, own: &X509Certificate<'_>, others: &[X509Certificate<'_>], linked: usize) {
        let is_namesake = |other: &X509Certificate<'_>| Link::between(own, other) == Link::NameOnly;
        let mut strangers: Vec<_> = others.iter().skip(linked.saturating_sub(1)).collect();
        if linked == 1 && !is_self_issued(own) {
            let issuer = shown(&own.issuer().to_string());
            let namesake = strangers.iter().any(|other| is_namesake(other));
            strangers.retain(|other| !is_namesake(other));
            // `Choice:` whether the issuer is a root that clients know already cannot be told from here, so it is no fault.
            self.warn(&match namesake {
                true => format!(
                    "its issuer ({issuer}) is not in the file: a certificate of that name is, but it did not sign this one; most \
                     clients refuse it; use the chain (fullchain) that came with this very certificate"
                ),
                false => format!(
                    "its issuer ({issuer}) is not in the file, so clients that do not know it refuse it; append the intermediate \
                     certificate, as authorities deliver it (fullchain), or the root if there is none between"
                ),
            });
        }
        let names: Vec<_> = strangers.iter().take(3).map(|other| name(other)).collect();
        if !names.is_empty() {
            let more = match strangers.len() - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.warn(&format!(
                "what else is in the file ({}{more}) did not issue it; it is sent to every client all the same; remove it if it is \
                 not meant to be",
                names.join("; ")
            ));
        }
    }

    fn issuer(&mut self, issuer: &X509Certificate<'_>, now: i64) {
        let name = name(issuer);
        let until = issuer.validity().not_after.timestamp();
        if until < now {
            self.warn(&format!(
                "the certificate of its issuer ({name}) expired on {}, so most clients refuse it; replace the chain by the one \
                 that the authority delivers today",
                date(until)
            ));
        }
        // RFC 6120 §13.7.1.1.
        if !issuer.is_ca() {
            self.warn(&format!(
                "its issuer ({name}) is no authority by its own certificate (no CA:TRUE), so clients refuse it; replace the chain \
                 by the one that the authority delivers"
            ));
        }
        self.signature(&format!("its issuer's certificate ({name})"), issuer);
    }
}

fn name(certificate: &X509Certificate<'_>) -> String {
    let common = common_names(certificate);
    match common.first() {
        Some(name) => shown(name),
        None => shown(&certificate.subject().to_string()),
    }
}

fn common_names<'a>(certificate: &'a X509Certificate<'_>) -> Vec<&'a str> {
    let names = certificate.subject().iter_common_name();
    names.filter_map(|name| name.as_str().ok()).collect()
}

/// The day, in UTC.
pub(crate) fn date(seconds: i64) -> String {
    ASN1Time::from_timestamp(seconds).map_or_else(
        |_| "a day beyond all calendars".to_owned(),
        |time| {
            let time = time.to_datetime();
            let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
            format!("{year}-{month:02}-{day:02}")
        },
    )
}
