//! What a test's servers are told of names: by a name server of its own, and by a file for who asks none.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::plan::{Plan, Site, Ways};
use crate::unbound::Unbound;

/// See the module.
#[derive(Debug)]
pub struct Names {
    unbound: Unbound,
    hosts: PathBuf,
}

impl Names {
    /// Starts the name server, and writes the file into `directory`.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn begin(plans: &[Plan], sites: &[Site], directory: &Path) -> Result<Self, String> {
        let mut records = Vec::new();
        let mut lines = String::new();
        for (plan, site) in plans.iter().zip(sites) {
            records.extend(services(plan, site));
            let (address, host) = (site.servers.ip(), host(plan));
            let kind = match address.is_ipv4() {
                true => "A",
                false => "AAAA",
            };
            records.push(format!("{host}. 300 IN {kind} {address}"));
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{address} {host}");
        }
        let hosts = directory.join("hosts");
        fs::write(&hosts, lines).map_err(|e| e.to_string())?;
        Ok(Self {
            unbound: Unbound::start(&records)?,
            hosts,
        })
    }

    /// Where the name server is.
    #[must_use]
    pub const fn resolver(&self) -> SocketAddr {
        self.unbound.address()
    }

    /// The file, which has addresses alone.
    #[must_use]
    pub fn hosts(&self) -> &Path {
        &self.hosts
    }
}

/// It has another name than the domain, so nobody comes through who looks for addresses alone.
fn host(plan: &Plan) -> String {
    format!("host.{}", plan.domain)
}

fn services(plan: &Plan, site: &Site) -> Vec<String> {
    let of = |domain: String| services_of(&domain, plan, site);
    plan.hosts().flat_map(of).collect()
}

fn services_of(domain: &str, plan: &Plan, site: &Site) -> Vec<String> {
    let host = host(plan);
    let service = |name: &str, priority: u16, port: u16| {
        format!("{name}._tcp.{domain}. 300 IN SRV {priority} 1 {port} {host}.")
    };
    let direct = || service("_xmpps-server", 1, site.direct.port());
    let starttls = || service("_xmpp-server", 2, site.servers.port());
    match plan.ways {
        Ways::StartTls => vec![starttls()],
        Ways::DirectTls => vec![direct()],
        Ways::Both => vec![direct(), starttls()],
    }
}
