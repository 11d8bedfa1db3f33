//! `spondee check tls`: what the TLS of any XMPP domain shows to clients and servers, and what a strict peer holds against it.

mod places;
mod way;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;

use serde::Serialize;
use spondee_core::jid::Domain;
use spondee_core::port::Opening;

use super::super::Console;
use super::super::args::{Form, Toward};
use super::super::failure::Failure;
use super::certs::row;
use super::{ending, write_wrongs};
use crate::dns::ResolvConf;
use crate::tls::{Agreed, Probed, Roots, Severity, Shown, now, probe};
use places::Places;
use way::{Obstacle, Peer, Way, port_of};

/// Connects, shakes hands and prints what came.
pub(in crate::cli) fn perform(
    domain: &Domain,
    toward: &Toward,
    form: Form,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let roots = match &toward.ca_file {
        Some(file) => Roots::read(file),
        None => Roots::of_system(),
    };
    let roots = roots.map_err(|error| Failure::Unusable(error.message))?;
    let report = Report::of(domain, toward, &roots);
    match form {
        Form::Text => report.write(console.out)?,
        Form::Json => {
            let text = serde_json::to_string_pretty(&report).map_err(io::Error::from)?;
            writeln!(console.out, "{text}")?;
        }
    }
    ending(report.fault_count())
}

/// The ways to look at: the one that flags or the port name, or all.
fn ways(toward: &Toward) -> Vec<Way> {
    let port = toward.connect.as_deref().and_then(port_of);
    if port.is_none() && !toward.direct && !toward.server {
        return Way::ALL.to_vec();
    }
    let usual = Way::ALL.into_iter().find(|way| Some(way.port()) == port);
    let mut way = usual.unwrap_or(Way::new(Peer::Client, Opening::Clear));
    if toward.direct {
        way.opening = Opening::Tls;
    }
    if toward.server {
        way.peer = Peer::Server;
    }
    vec![way]
}

#[derive(Debug, Serialize)]
struct Report {
    domain: String,
    /// The file of those who are trusted.
    authorities: Option<PathBuf>,
    ways: Vec<Seen>,
    faults: Vec<String>,
    /// What else there is to know.
    notes: Vec<String>,
}

/// What was seen on one way.
#[derive(Debug, Serialize)]
struct Seen {
    peer: Peer,
    opening: &'static str,
    #[serde(skip)]
    words: &'static str,
    /// Whom the SRV records of the domain name, in the order in which they were tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    srv: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    /// Why nothing was: nobody listens there.
    #[serde(skip_serializing_if = "Option::is_none")]
    nobody: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreed: Option<Agreed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<Shown>,
    faults: Vec<String>,
    warnings: Vec<String>,
}

impl Seen {
    fn of(way: Way, domain: &Domain, places: &Places, roots: &Roots) -> Self {
        let mut seen = Self {
            peer: way.peer,
            opening: match way.opening {
                Opening::Clear => "STARTTLS",
                Opening::Tls => "direct TLS",
            },
            words: way.words(),
            srv: match places {
                Places::Srv(places) => places.iter().map(places::Place::words).collect(),
                Places::Domain(_) | Places::Nowhere(_) | Places::Told(_) => Vec::new(),
            },
            address: None,
            nobody: None,
            agreed: None,
            certificate: None,
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        match way.reach(domain, places) {
            Ok((mut socket, address)) => {
                seen.address = Some(address);
                match probe(&mut socket, domain, way.alpn(), roots, now()) {
                    Ok(probed) => seen.take(probed),
                    Err(why) => seen.faults.push(why),
                }
            }
            Err(Obstacle::Nobody(why)) => seen.nobody = Some(why),
            Err(Obstacle::Stranger(why)) => seen.faults.push(why),
        }
        seen
    }

    fn take(&mut self, probed: Probed) {
        let Probed {
            agreed,
            shown,
            remarks,
        } = probed;
        for remark in remarks {
            match remark.severity {
                Severity::Fault => self.faults.push(remark.text),
                Severity::Warning => self.warnings.push(remark.text),
            }
        }
        self.agreed = agreed.map_err(|why| self.faults.push(why)).ok();
        self.certificate = shown;
    }

    /// `before` are the fingerprints of certificates that were shown already.
    fn write<'a>(&'a self, before: &mut Vec<&'a str>, out: &mut dyn Write) -> io::Result<()> {
        let words = self.words;
        match (&self.nobody, self.address) {
            (Some(why), _) => return writeln!(out, "{words}: {why}"),
            (None, Some(address)) => writeln!(out, "{words}, at {address}")?,
            (None, None) => writeln!(out, "{words}")?,
        }
        if !self.srv.is_empty() {
            row(out, "by SRV", &self.srv.join(", "))?;
        }
        if let Some(agreed) = &self.agreed {
            row(out, "protocol", agreed.version)?;
            row(out, "suite", &agreed.suite)?;
            row(out, "key exchange", &agreed.group)?;
        }
        match &self.certificate {
            Some(shown) if before.contains(&shown.sha256.as_str()) => {
                row(out, "certificate", "the one above")?;
            }
            Some(shown) => {
                for (word, line) in shown.lines() {
                    row(out, word, &line)?;
                }
                before.push(&shown.sha256);
            }
            None => {}
        }
        write_wrongs(out, &self.warnings, &self.faults)
    }
}

impl Report {
    fn of(domain: &Domain, toward: &Toward, roots: &Roots) -> Self {
        let conf = toward
            .name_server
            .map_or_else(ResolvConf::of_system, ResolvConf::of);
        let ways = ways(toward);
        let (places, notes) = Places::find(domain, &ways, toward.connect.as_deref(), &conf);
        // A port that a firewall hides takes all of the patience there is: side by side they take it once.
        let ways: Vec<Seen> = thread::scope(|scope| {
            let ways = ways.iter().zip(&places);
            let looks: Vec<_> = ways
                .map(|(way, places)| scope.spawn(|| Seen::of(*way, domain, places, roots)))
                .collect();
            looks
                .into_iter()
                .filter_map(|look| look.join().ok())
                .collect()
        });
        let mut faults = Vec::new();
        if ways.iter().all(|seen| seen.nobody.is_some()) {
            faults.push(format!(
                "no server of {domain} was found; name it by --connect HOST:PORT"
            ));
        }
        Self {
            domain: domain.to_string(),
            authorities: roots.file.clone(),
            ways,
            faults,
            notes,
        }
    }

    fn fault_count(&self) -> usize {
        let of_ways = self.ways.iter().map(|seen| seen.faults.len());
        self.faults.len() + of_ways.sum::<usize>()
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.domain)?;
        let mut before = Vec::new();
        for seen in &self.ways {
            seen.write(&mut before, out)?;
        }
        for fault in &self.faults {
            writeln!(out, "fault: {fault}")?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        if let (0, Some(file)) = (self.fault_count(), &self.authorities) {
            writeln!(
                out,
                "A peer that verifies takes what is shown; the authorities are those of {}.",
                file.display()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toward(connect: Option<&str>, flags: &[&str]) -> Toward {
        Toward {
            connect: connect.map(str::to_owned),
            direct: flags.contains(&"--direct"),
            server: flags.contains(&"--server"),
            ca_file: None,
            name_server: None,
        }
    }

    #[test]
    fn all_ways_are_looked_at_unless_one_is_named() {
        let ports = |connect, flags: &[&str]| -> Vec<u16> {
            let ways = ways(&toward(connect, flags));
            ways.into_iter().map(Way::port).collect()
        };
        assert_eq!(ports(None, &[]), [5222, 5223, 5269, 5270]);
        assert_eq!(ports(Some("a.example"), &[]), [5222, 5223, 5269, 5270]);
        assert_eq!(ports(None, &["--direct"]), [5223]);
        assert_eq!(ports(None, &["--server"]), [5269]);
        assert_eq!(ports(Some("a.example"), &["--direct", "--server"]), [5270]);
        // What a port is usual for, and else what most are.
        assert_eq!(ports(Some("a.example:5223"), &[]), [5223]);
        assert_eq!(ports(Some("[::1]:5269"), &[]), [5269]);
        assert_eq!(ports(Some("a.example:443"), &[]), [5222]);
        assert_eq!(ports(Some("a.example:443"), &["--direct"]), [5223]);
    }

    #[test]
    fn a_domain_that_nobody_serves_is_one_fault_and_says_what_to_type() {
        let domain = Domain::parse("a.invalid").unwrap();
        let roots = Roots::none();
        let report = Report::of(&domain, &toward(None, &[]), &roots);
        assert_eq!(report.fault_count(), 1);
        let mut out = Vec::new();
        report.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for words in [
            "clients, STARTTLS: a.invalid:5222 has no address: there is no such name",
            "servers, direct TLS: a.invalid:5270 has no address: there is no such name",
            "fault: no server of a.invalid was found; name it by --connect HOST:PORT",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
