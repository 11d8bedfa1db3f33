//! What the name server of a test says of each domain.

use super::plan::{Plan, Site, Ways};

/// The records of one server: its services, and the addresses of the host that has them. The host has another name than the domain, so
/// nobody comes through who looks for addresses alone.
#[must_use]
pub fn records(plan: &Plan, site: &Site) -> Vec<String> {
    let domain = &plan.domain;
    let service = |name: &str, priority: u16, port: u16| {
        format!("{name}._tcp.{domain}. 300 IN SRV {priority} 1 {port} host.{domain}.")
    };
    let kind = match site.servers.is_ipv4() {
        true => "A",
        false => "AAAA",
    };
    let address = site.servers.ip();
    let mut records = vec![format!("host.{domain}. 300 IN {kind} {address}")];
    if matches!(plan.ways, Ways::DirectTls | Ways::Both) {
        records.push(service("_xmpps-server", 1, site.direct.port()));
    }
    if matches!(plan.ways, Ways::StartTls | Ways::Both) {
        records.push(service("_xmpp-server", 2, site.servers.port()));
    }
    records
}
