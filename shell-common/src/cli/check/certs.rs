//! `spondee check certs`: the certificate of each host as its clients meet it, with what to tell them and DNS.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use spondee_core::jid::Domain;
use spondee_core::port::{Listener, Opening};

use super::super::Console;
use super::super::args::Form;
use super::super::failure::Failure;
use super::super::source::Source;
use super::certificates::{self, Host};
use super::{ending, write_wrongs};
use crate::config::Settings;
use crate::tls::{Shown, now};

/// Prints what there is to say of these hosts, or of all. Changes nothing.
pub(in crate::cli) fn perform(
    source: &Source,
    hosts: &[Domain],
    form: Form,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut settings = source.load()?;
    if let Some(stranger) = hosts
        .iter()
        .find(|host| !settings.config.hosts.contains_key(*host))
    {
        return Err(Failure::Refused(format!(
            "the host {stranger} is not served: the configuration has no section [host.\"{stranger}\"]"
        )));
    }
    let wanted = |host: &Domain| hosts.is_empty() || hosts.contains(host);
    settings.config.hosts.retain(|host, _| wanted(host));
    let report = Report::of(&settings, source);
    match form {
        Form::Text => report.write(console.out)?,
        Form::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(io::Error::from)?;
            writeln!(console.out, "{text}")?;
        }
    }
    ending(report.faults.len())
}

#[derive(Debug, Serialize)]
struct Report {
    hosts: Vec<Entry>,
    faults: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    #[serde(flatten)]
    host: Host,
    /// `None` where there is no certificate that can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    /// Of the one beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_details: Option<Details>,
    /// Of those of direct TLS, where that has its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    direct_details: Vec<Details>,
}

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Details {
    #[serde(flatten)]
    shown: Shown,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file: Option<KeyFile>,
    /// Records for DNS.
    tlsa: Vec<String>,
}

#[derive(Debug, Serialize)]
struct KeyFile {
    file: PathBuf,
    /// In octal digits.
    mode: String,
}

impl KeyFile {
    fn of(file: &Path) -> Option<Self> {
        let mode = fs::metadata(file).ok()?.permissions().mode() & 0o7777;
        Some(Self {
            file: file.to_owned(),
            mode: format!("{mode:04o}"),
        })
    }
}

impl Details {
    pub(in crate::cli) fn of(
        shown: Shown,
        key: Option<&Path>,
        served: Option<(&Domain, &[u16])>,
    ) -> Self {
        let tlsa = served.map(|(host, ports)| shown.tlsa(host, ports));
        Self {
            key_file: key.and_then(KeyFile::of),
            tlsa: tlsa.unwrap_or_default(),
            shown,
        }
    }

    pub(in crate::cli) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for (word, line) in self.shown.lines() {
            row(out, word, &line)?;
            if let (Some(key), "key") = (&self.key_file, word) {
                let line = format!("{} (mode {})", key.file.display(), key.mode);
                row(out, "key file", &line)?;
            }
        }
        let mut word = "TLSA";
        for record in &self.tlsa {
            row(out, word, record)?;
            word = "";
        }
        Ok(())
    }
}

/// A word and what it stands for.
pub(in crate::cli) fn row(out: &mut dyn Write, word: &str, line: &str) -> io::Result<()> {
    writeln!(out, "  {word:<12} {line}")
}

/// Where a host's certificate is shown to clients, and where that of its direct TLS, if that has its own. First those with STARTTLS.
pub(in crate::cli) fn ports(settings: &Settings, direct: Direct) -> [Vec<u16>; 2] {
    let own = Listener::of_clients(Opening::Tls);
    let of = |is_own: bool| {
        let listen = settings.listen.iter();
        let listen = listen.filter(move |listen| (listen.listener == own) == is_own);
        let mut ports: Vec<u16> = Vec::new();
        for port in listen.map(|listen| listen.address.port()) {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
        ports
    };
    // Other servers are shown the host's own by whatever way.
    let (clear, tls) = (of(false), of(true));
    match direct {
        Direct::AsHost => [[clear, tls].concat(), Vec::new()],
        Direct::Own => [clear, tls],
    }
}

/// Whether direct TLS has a certificate of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Direct {
    AsHost,
    Own,
}

impl Report {
    fn of(settings: &Settings, source: &Source) -> Self {
        let checked = certificates::check(settings, source);
        let mut report = Self {
            hosts: Vec::new(),
            faults: checked.faults,
            warnings: checked.warnings,
        };
        for host in checked.hosts {
            let name = Domain::parse(&host.host).ok();
            let direct = match host.direct.is_empty() {
                true => Direct::AsHost,
                false => Direct::Own,
            };
            let [ports, direct_ports] = ports(settings, direct);
            let mut details = |file: &Path, key: Option<&Path>, ports: &[u16]| {
                let shown = Shown::of_file(file, now());
                // Somebody may have taken it away since.
                let shown = shown
                    .map_err(|error| report.faults.push(error.message))
                    .ok()?;
                let served = name.as_ref().map(|name| (name, ports));
                Some(Details::of(shown, key, served))
            };
            let first = host.file.as_ref();
            let second = host.second.as_ref();
            let direct = host.direct.iter();
            let entry = Entry {
                details: first.and_then(|file| details(file, host.key.as_deref(), &ports)),
                second_details: second
                    .and_then(|second| details(&second.file, Some(&second.key), &ports)),
                direct_details: direct
                    .filter_map(|own| details(&own.file, Some(&own.key), &direct_ports))
                    .collect(),
                host,
            };
            report.hosts.push(entry);
        }
        report
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for entry in &self.hosts {
            writeln!(out, "{}", entry.host.line())?;
            let of_all = [&entry.details, &entry.second_details];
            for details in of_all.into_iter().flatten() {
                details.write(out)?;
            }
            if !entry.direct_details.is_empty() {
                writeln!(out, " for direct TLS:")?;
            }
            for details in &entry.direct_details {
                details.write(out)?;
            }
        }
        write_wrongs(out, &self.warnings, &self.faults)?;
        if self.faults.is_empty() {
            writeln!(out, "The certificates can be used.")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::made::{Authority, Certs, params, self_made};

    fn report(certs: &Certs) -> Report {
        let text = format!("certificates = {:?}\n[host.\"a.example\"]\n", certs.root());
        let file = Path::new("spondee.toml");
        let settings = Settings::parse(&text, file, Path::new("/")).unwrap();
        Report::of(&settings, &Source::File(file.to_owned()))
    }

    fn text(report: &Report) -> String {
        let mut out = Vec::new();
        report.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_certificate_is_shown_with_its_key_file_its_fingerprints_and_its_records() {
        let certs = Certs::new();
        certs.put("a.example", &self_made(&params(&["a.example"], 60)));
        let report = report(&certs);
        let text = text(&report);
        let key = format!(
            "key file     {} (mode 0600)",
            certs.path("a.example.key").display()
        );
        for words in [
            "host a.example: has a certificate",
            "names        a.example\n",
            " days left\n",
            "SHA-256      ",
            "TLSA         _5222._tcp.a.example. IN TLSA 3 1 1 ",
            " _5223._tcp.a.example. IN TLSA 3 0 1 ",
            "The certificates can be used.",
            &key,
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let json = serde_json::to_value(&report).unwrap();
        let details = &json["hosts"][0]["details"];
        assert_eq!(details["term"], "longer");
        assert_eq!(details["key_file"]["mode"], "0600");
        assert_eq!(details["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(json["hosts"][0]["host"], "a.example");
    }

    #[test]
    fn a_host_without_a_certificate_is_told_what_it_lacks() {
        let report = report(&Certs::new());
        assert_eq!(report.faults.len(), 1);
        assert!(report.hosts[0].details.is_none());
        assert!(text(&report).contains("host a.example: has no certificate\nfault: "));
    }

    /// How bad something is that is said of a host.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Said {
        Nothing,
        Warning,
        Fault,
    }

    /// Puts one state of the files there.
    type State = fn(&Certs);

    const STATES: [(&str, State, Said, &str); 16] = [
        (
            "good",
            |certs| certs.put("a.example", &self_made(&params(&["a.example"], 60))),
            Said::Nothing,
            "days left",
        ),
        (
            "by a wildcard",
            |certs| certs.put("w", &self_made(&params(&["*.example"], 60))),
            Said::Nothing,
            "names        *.example",
        ),
        (
            "expired",
            |certs| certs.put("a", &self_made(&params(&["a.example"], -2))),
            Said::Fault,
            "it expired on",
        ),
        (
            "a day left",
            |certs| certs.put("a", &self_made(&params(&["a.example"], 1))),
            Said::Warning,
            "less than a day is left",
        ),
        (
            "a week left",
            |certs| certs.put("a", &self_made(&params(&["a.example"], 5))),
            Said::Warning,
            "less than a week is left",
        ),
        (
            "not yet valid",
            |certs| {
                let mut params = params(&["a.example"], 60);
                params.not_before += std::time::Duration::from_secs(3 * 24 * 60 * 60);
                certs.put("a", &self_made(&params));
            },
            Said::Fault,
            "look whether the clock of this machine is right",
        ),
        (
            "other names",
            |certs| certs.put("a.example", &self_made(&params(&["b.example"], 60))),
            Said::Fault,
            "it is for b.example, not for a.example",
        ),
        (
            "two labels below a wildcard",
            |certs| certs.put("a.example", &self_made(&params(&["*.a.example"], 60))),
            Said::Fault,
            "it is for *.a.example, not for a.example",
        ),
        (
            "another's key",
            |certs| {
                certs.put("a.example", &self_made(&params(&["a.example"], 60)));
                certs.write("a.example.key", &self_made(&params(&["a.example"], 60)).key);
            },
            Said::Fault,
            "this key does not belong to the certificate",
        ),
        (
            "no key",
            |certs| {
                certs.write(
                    "a.example.crt",
                    &self_made(&params(&["a.example"], 60)).certificate,
                )
            },
            Said::Fault,
            "the private key of this certificate is missing; it should be",
        ),
        (
            "issuer missing",
            |certs| {
                let between = Authority::root("root").intermediate(Authority::params("between"));
                certs.put("a", &between.issue(&params(&["a.example"], 60)));
            },
            Said::Warning,
            "append the intermediate certificate",
        ),
        (
            "wrong order",
            |certs| {
                let between = Authority::root("root").intermediate(Authority::params("between"));
                let own = between.issue(&params(&["a.example"], 60));
                certs.put("a", &own);
                certs.write(
                    "a.crt",
                    &format!("{}{}", between.certificate, own.certificate),
                );
            },
            Said::Warning,
            "stand in a wrong order and are sent in the right one",
        ),
        (
            "somebody else's behind it",
            |certs| {
                let own = self_made(&params(&["a.example"], 60));
                certs.put("a", &own);
                certs.write(
                    "a.crt",
                    &format!(
                        "{}{}",
                        own.certificate,
                        self_made(&params(&["b.example"], 60)).certificate
                    ),
                );
            },
            Said::Warning,
            "sent to every client all the same",
        ),
        (
            "key that others read",
            |certs| {
                certs.put("a.example", &self_made(&params(&["a.example"], 60)));
                fs::set_permissions(
                    certs.path("a.example.key"),
                    fs::Permissions::from_mode(0o644),
                )
                .unwrap();
            },
            Said::Warning,
            "every user of this machine can read this private key (its mode is 0644)",
        ),
        (
            "key that others write",
            |certs| {
                certs.put("a.example", &self_made(&params(&["a.example"], 60)));
                fs::set_permissions(
                    certs.path("a.example.key"),
                    fs::Permissions::from_mode(0o602),
                )
                .unwrap();
            },
            Said::Warning,
            "every user of this machine can replace this private key",
        ),
        (
            "nothing",
            |_| {},
            Said::Fault,
            "put a.example.crt and a.example.key there",
        ),
    ];

    #[test]
    fn each_state_of_a_certificate_is_said_with_what_to_do() {
        for (name, put, expected, words) in STATES {
            let certs = Certs::new();
            put(&certs);
            let report = report(&certs);
            let said = match (report.faults.is_empty(), report.warnings.is_empty()) {
                (false, _) => Said::Fault,
                (true, false) => Said::Warning,
                (true, true) => Said::Nothing,
            };
            let text = text(&report);
            assert_eq!(said, expected, "{name}: {text}");
            assert!(text.contains(words), "{name}: {text}");
        }
    }
}
