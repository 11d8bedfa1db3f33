//! Our own server as a peer, with the options that it has for others.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::authority::{Authorities, Files};
use super::peer::{PASSWORD, Place};
use super::plan::{Encryption, Logging, Plan, Proof, Site, Ways};
use crate::server::{Scratch, Server, Shell};

/// Prepares it where it likes, and starts it. Its log is its harness's, and its clients come where that one listens.
///
/// # Errors
/// What failed, in words.
pub(super) fn start(
    shell: Shell,
    plan: &Plan,
    place: &Place<'_>,
    authorities: &Authorities,
) -> Result<Server, String> {
    if plan.encryption == Encryption::Never {
        return Err("ours is told of no way to do without TLS".to_owned());
    }
    let fault = |e: std::io::Error| e.to_string();
    let scratch = Scratch::new().map_err(fault)?;
    let hosts = hosts(plan);
    let stopped = match &plan.binary {
        Some(binary) => Server::prepare_binary(scratch, binary, &hosts)?,
        None => Server::prepare_shell(scratch, shell, &hosts)?,
    };
    let certificates = stopped.scratch().join("certs");
    let Files { both, .. } = authorities
        .issue(plan.paper, &plan.domain, &certificates)
        .map_err(fault)?;
    // It reads the two others.
    fs::remove_file(both).map_err(fault)?;
    let file = stopped.scratch().join("spondee.toml");
    let rest = fs::read_to_string(&file).map_err(fault)?;
    // Tests of other things have it talk to nobody.
    let alone = |line: &&str| line.starts_with("s2s_");
    let rest: String = rest
        .lines()
        .filter(|l| !alone(l))
        .flat_map(|l| [l, "\n"])
        .collect();
    fs::write(&file, options(plan, place) + &rest).map_err(fault)?;
    for account in place.accounts {
        stopped.add_user(&format!("{account}@{}", plan.domain), PASSWORD)?;
    }
    let binary = stopped.binary().to_owned();
    stopped.begin(Command::new(binary))
}

fn hosts(plan: &Plan) -> String {
    let keeping = match plan.logging {
        Logging::All => "",
        Logging::Warnings => "default_archive_policy = \"never\"\n",
    };
    let hosts = plan.hosts();
    hosts
        .map(|host| format!("\n[host.\"{host}\"]\n{keeping}"))
        .collect()
}

fn options(plan: &Plan, place: &Place<'_>) -> String {
    let Site {
        servers, direct, ..
    } = place.site;
    let ports = match plan.ways {
        Ways::StartTls => [servers.port().to_string(), String::new()],
        Ways::DirectTls => [String::new(), direct.port().to_string()],
        Ways::Both => [servers.port().to_string(), direct.port().to_string()],
    };
    let [servers_port, direct_port] = ports;
    let address = servers.ip();
    let mut text = format!(
        "name_server = \"{}\"\n\
         c2s_require_encryption = false\n\
         s2s_interfaces = [\"{address}\"]\n\
         s2s_ports = [{servers_port}]\n\
         s2s_direct_tls_interfaces = [\"{address}\"]\n\
         s2s_direct_tls_ports = [{direct_port}]\n\
         s2s_private_networks = [\"127.0.0.0/8\", \"::1/128\"]\n\
         s2s_require_encryption = {}\n\
         s2s_secure_auth = {}\n",
        place.resolver,
        plan.encryption == Encryption::Required,
        plan.proof == Proof::Certificate,
    );
    if plan.proof != Proof::Dialback {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "s2s_ca_file = {:?}", place.authority);
    }
    for (list, domain) in &plan.lists {
        // As above.
        let _ = writeln!(text, "{} = [{domain:?}]", list.option());
    }
    text + &plan.more
}
