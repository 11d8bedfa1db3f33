//! `check config`, the part of the certificates: what a start would say about them.

use std::path::PathBuf;

use serde::Serialize;
use spondee_core::jid::Domain;

use super::super::source::Source;
use crate::boot::certificates::Certificates;
use crate::config::Settings;
use crate::tls::{
    ClientAuth, HostPolicy, HostReport, HostState, Policies, Policy, Severity, Source as Certified,
};

/// What there is to say.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) hosts: Vec<Host>,
    pub(super) faults: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// A host and its certificate.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    pub(super) host: String,
    certificate: Certificate,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<PathBuf>,
    /// The file of its key.
    #[serde(skip)]
    pub(super) key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<String>,
    /// The one beside it, for clients whose signatures are of the other kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) second: Option<Second>,
    /// Those of direct TLS, where that has its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) direct: Vec<Second>,
    /// Others that would do as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_needed: Vec<PathBuf>,
    tls: Tls,
    /// Whose certificates sign its clients in.
    #[serde(skip_serializing_if = "Option::is_none")]
    c2s_ca_file: Option<PathBuf>,
}

/// A certificate beside that of a host.
#[derive(Debug, Serialize)]
pub(super) struct Second {
    pub(super) file: PathBuf,
    #[serde(skip)]
    pub(super) key: PathBuf,
    valid_until: String,
}

impl Second {
    fn of(source: &Certified) -> Self {
        Self {
            file: source.file.clone(),
            key: source.key.clone(),
            valid_until: source.valid_until.clone(),
        }
    }

    /// Those of direct TLS, where that has its own.
    fn of_direct(report: &HostReport) -> Vec<Self> {
        let state = report.direct.as_ref().map(|direct| &direct.state);
        let first = match state {
            Some(HostState::Found(source) | HostState::Kept(source)) => Some(source),
            Some(HostState::Missing { .. } | HostState::Unusable) | None => None,
        };
        let second = first.and_then(|first| first.second.as_deref());
        [first, second]
            .into_iter()
            .flatten()
            .map(Self::of)
            .collect()
    }
}

/// What TLS offers the clients of a host.
#[derive(Debug, Eq, PartialEq, Serialize)]
struct Tls {
    starttls: Offer,
    direct: Offer,
    /// To other servers that connect.
    servers: Offer,
}

#[derive(Debug, Eq, PartialEq, Serialize)]
struct Offer {
    versions: Vec<&'static str>,
    suites: Vec<&'static str>,
    groups: Vec<&'static str>,
    #[serde(skip)]
    line: String,
}

impl Offer {
    fn of(policy: &Policy) -> Self {
        Self {
            versions: policy.versions.names().to_vec(),
            suites: policy.suite_names().collect(),
            groups: policy.group_names().chain(policy.dhe_name()).collect(),
            line: policy.describe(),
        }
    }
}

impl Tls {
    fn of(policy: &HostPolicy) -> Self {
        Self {
            starttls: Offer::of(&policy.starttls),
            direct: Offer::of(&policy.direct),
            servers: Offer::of(&policy.servers),
        }
    }
}

/// What TLS offers, a line for all hosts that offer the same.
pub(super) fn offers(hosts: &[Host]) -> Vec<String> {
    let mut said: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for host in hosts {
        let Tls {
            starttls,
            direct,
            servers,
        } = &host.tls;
        let mut lines = match starttls == direct {
            true => vec![("TLS", starttls)],
            false => vec![("STARTTLS", starttls), ("direct TLS", direct)],
        };
        if servers != starttls {
            lines.push(("TLS for other servers", servers));
        }
        for (what, offer) in lines {
            let is_it = |(other, line, _): &&mut (&str, &str, Vec<&str>)| {
                *other == what && *line == offer.line
            };
            match said.iter_mut().find(is_it) {
                Some((_, _, hosts)) => hosts.push(&host.host),
                None => said.push((what, &offer.line, vec![&host.host])),
            }
        }
    }
    let line = |(what, line, of): (&str, &str, Vec<&str>)| {
        format!("{what} of {}: {line}", named(&of, hosts.len()))
    };
    said.into_iter().map(line).collect()
}

/// As many names as a line bears.
const NAMED_HOSTS: usize = 5;

pub(super) fn named(of: &[&str], all: usize) -> String {
    if of.len() == all && all > 1 {
        return format!("all {all} hosts");
    }
    let names: Vec<_> = of.iter().take(NAMED_HOSTS).copied().collect();
    match of.len() - names.len() {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Certificate {
    /// It can be used.
    Found,
    /// It is used, but clients refuse it.
    Refused,
    Missing,
    /// It is there and cannot be used.
    Unusable,
}

/// Looks for the certificate of every host.
pub(super) fn check(settings: &Settings, source: &Source) -> Checked {
    let mut settings = settings.clone();
    let mut checked = Checked::default();
    if let Source::Development(_) = source {
        let directory = settings.certificates.clone();
        // The first start makes those that are missing.
        let hosts = &mut settings.config.hosts;
        let file = |host: &Domain| directory.join(format!("{host}.crt"));
        let missing = hosts.extract_if(.., |host, _| !file(host).try_exists().unwrap_or(true));
        let tls = settings.tls.clone();
        for (host, _) in missing {
            checked.warnings.push(format!(
                "host {host}: no certificate yet; the first start makes one in {}",
                directory.display()
            ));
            checked
                .hosts
                .push(Host::without(&host, Certificate::Missing, &tls));
        }
    }
    let certificates = Certificates::settle(&mut settings, None);
    let hosts = certificates.hosts.iter();
    let hosts = hosts.map(|report| Host::of(report, &settings.tls));
    checked.hosts.extend(hosts);
    for remark in certificates.sentences {
        match remark.severity {
            Severity::Fault => checked.faults.push(remark.text),
            Severity::Warning => checked.warnings.push(remark.text),
        }
    }
    checked
}

impl Host {
    fn of(report: &HostReport, tls: &Policies) -> Self {
        let host = &report.host;
        let mut faults = report.remarks.iter().map(|remark| remark.severity);
        let lacking = |certificate| Self {
            direct: Second::of_direct(report),
            ..Self::without(host, certificate, tls)
        };
        match &report.state {
            HostState::Found(source) | HostState::Kept(source) => Self {
                host: host.to_string(),
                certificate: match faults.any(|severity| severity == Severity::Fault) {
                    true => Certificate::Refused,
                    false => Certificate::Found,
                },
                file: Some(source.file.clone()),
                key: Some(source.key.clone()),
                valid_until: Some(source.valid_until.clone()),
                second: source.second.as_deref().map(Second::of),
                direct: Second::of_direct(report),
                not_needed: source.spare.clone(),
                c2s_ca_file: authorities(&tls.of(host)),
                tls: Tls::of(&tls.of(host)),
            },
            HostState::Missing { .. } => lacking(Certificate::Missing),
            HostState::Unusable => lacking(Certificate::Unusable),
        }
    }

    fn without(host: &Domain, certificate: Certificate, tls: &Policies) -> Self {
        Self {
            host: host.to_string(),
            certificate,
            file: None,
            key: None,
            valid_until: None,
            second: None,
            direct: Vec::new(),
            not_needed: Vec::new(),
            c2s_ca_file: authorities(&tls.of(host)),
            tls: Tls::of(&tls.of(host)),
        }
    }

    /// Whether it has a certificate that is accepted by who trusts its issuer.
    pub(super) fn has_accepted(&self) -> bool {
        self.certificate == Certificate::Found
    }

    /// A line for people.
    pub(super) fn line(&self) -> String {
        let host = &self.host;
        let certificate = match self.certificate {
            Certificate::Found => "has a certificate",
            Certificate::Refused => "has a certificate that clients refuse",
            Certificate::Missing => "has no certificate",
            Certificate::Unusable => "has a certificate that cannot be used",
        };
        let mut line = format!("host {host}: {certificate}");
        if let (Some(file), Some(until)) = (&self.file, &self.valid_until) {
            line.push_str(&format!(" ({}, valid until {until})", file.display()));
        }
        if let Some(second) = &self.second {
            let (file, until) = (second.file.display(), &second.valid_until);
            line.push_str(&format!(", beside it {file}, valid until {until}"));
        }
        for own in &self.direct {
            let (file, until) = (own.file.display(), &own.valid_until);
            line.push_str(&format!(", for direct TLS {file}, valid until {until}"));
        }
        for other in &self.not_needed {
            line.push_str(&format!("; {} is not needed", other.display()));
        }
        if let Some(file) = &self.c2s_ca_file {
            line.push_str(&format!(
                "; clients may sign in by a certificate of an authority in {}",
                file.display()
            ));
        }
        line
    }
}

/// The file of authorities that clients show certificates of, wherever it may be.
fn authorities(policy: &HostPolicy) -> Option<PathBuf> {
    match &policy.clients {
        ClientAuth::File(file) => Some(file.clone()),
        ClientAuth::Off | ClientAuth::By(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::tls::made::{Authority, Certs, params, self_made};

    fn checked(certs: &Certs) -> Checked {
        let text = format!("certificates = {:?}\n[host.\"a.example\"]\n", certs.root());
        let file = Path::new("spondee.toml");
        let settings = Settings::parse(&text, file, Path::new("/")).unwrap();
        check(&settings, &Source::File(file.to_owned()))
    }

    #[test]
    fn a_good_certificate_is_shown_with_its_file_and_its_end() {
        let certs = Certs::new();
        certs.put("a.example", &self_made(&params(&["a.example"], 60)));
        certs.put("older", &self_made(&params(&["a.example"], 50)));
        let checked = checked(&certs);
        assert!(checked.faults.is_empty() && checked.warnings.is_empty());
        let line = checked.hosts[0].line();
        let path = |name: &str| certs.path(name).display().to_string();
        let start = format!(
            "host a.example: has a certificate ({}, valid until 2",
            path("a.example.crt")
        );
        assert!(line.starts_with(&start), "{line}");
        let end = format!("; {} is not needed", path("older.crt"));
        assert!(line.ends_with(&end), "{line}");
        let json = serde_json::to_value(&checked.hosts[0]).unwrap();
        assert_eq!(json["certificate"], "found");
        assert_eq!(json["file"], path("a.example.crt"));
    }

    /// Each was approved once, or only seen as missing.
    #[test]
    fn what_clients_refuse_is_a_fault_and_what_they_may_refuse_a_warning() {
        let between = Authority::root("root").intermediate(Authority::params("between"));
        let issued = between.issue(&params(&["a.example"], 60));
        let alone = self_made(&params(&["a.example"], 60));
        for (made, state, severity, words) in [
            (
                self_made(&params(&["a.example"], -1)),
                "refused",
                "fault",
                "expired on",
            ),
            (
                self_made(&params(&["c.example"], 60)),
                "refused",
                "fault",
                "not for a.example",
            ),
            (
                self_made(&params(&["a.example"], 5)),
                "found",
                "warning",
                "it expires on",
            ),
            (issued, "found", "warning", "is not in the file"),
        ] {
            let certs = Certs::new();
            certs.put("a.example", &made);
            let checked = checked(&certs);
            let json = serde_json::to_value(&checked.hosts[0]).unwrap();
            assert_eq!(json["certificate"], state, "{words}");
            let (said, other) = match severity {
                "fault" => (&checked.faults, &checked.warnings),
                _ => (&checked.warnings, &checked.faults),
            };
            assert!(said[0].contains(words) && other.is_empty(), "{checked:?}");
            assert!(said[0].starts_with("host a.example: "), "{checked:?}");
        }
        let certs = Certs::new();
        certs.write("a.example.crt", &alone.certificate);
        let checked = checked(&certs);
        assert!(checked.hosts[0].line().ends_with("that cannot be used"));
        assert!(checked.faults[0].contains("private key of this certificate is missing"));
    }

    #[test]
    fn what_tls_offers_is_said_in_one_line_for_all_hosts_that_offer_the_same() {
        let text = "tls_profile = \"modern\"\n[host.\"a.example\"]\n[host.\"b.example\"]\n[host.\"c.example\"]\n\
                    c2s_direct_tls_ssl = { protocol = \"tlsv1_2\", ciphers = \"ECDHE-RSA-AES128-GCM-SHA256\" }\n";
        let file = Path::new("spondee.toml");
        let settings = Settings::parse(text, file, Path::new("/nonexistent")).unwrap();
        let checked = check(&settings, &Source::File(file.to_owned()));
        let lines = offers(&checked.hosts);
        let modern = Policy {
            versions: crate::tls::Versions::Only13,
            ..Policy::default()
        };
        let expected = [
            format!("TLS of a.example, b.example: {}", modern.describe()),
            format!("STARTTLS of c.example: {}", modern.describe()),
            "direct TLS of c.example: TLS 1.2 with ECDHE-RSA-AES128-GCM-SHA256; keys agreed on in X25519, P-256, P-384"
                .to_owned(),
        ];
        if cfg!(not(feature = "aws-lc-rs")) {
            assert_eq!(lines, expected);
        }
        let same = offers(&checked.hosts[..2]);
        assert!(
            same[0].starts_with("TLS of all 2 hosts: TLS 1.3 with TLS_AES"),
            "{same:?}"
        );
        let json = serde_json::to_value(&checked.hosts[2]).unwrap();
        assert_eq!(
            json["tls"]["direct"]["versions"],
            serde_json::json!(["1.2"])
        );
        assert_eq!(
            json["tls"]["starttls"]["suites"][0],
            "TLS_AES_128_GCM_SHA256"
        );
    }

    #[test]
    fn a_development_server_makes_what_is_missing() {
        let certs = Certs::new();
        let settings = Settings::development(certs.root());
        let checked = check(&settings, &Source::Development(certs.root().to_owned()));
        assert!(checked.faults.is_empty());
        assert!(checked.warnings[0].contains("the first start makes one"));
        assert_eq!(
            checked.hosts[0].line(),
            "host localhost: has no certificate"
        );
    }
}
