//! Prosody as a peer, with the modules that Debian enables, as far as they have to do with servers, and with everything in its log.
//!
//! It asks the test's name server by libunbound, so it needs `lua-unbound`: without it Prosody asks whom `/etc/resolv.conf` names.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use super::peer::{PASSWORD, Place};
use super::plan::{Encryption, List, Logging, Plan, Proof, Ways};

/// `mod_limits`, which is Debian's, too, would slow tests down.
const MODULES: &str = "\"disco\"; \"roster\"; \"saslauth\"; \"blocklist\"; \"carbons\"; \"pep\"; \"private\"; \"smacks\"; \
    \"vcard4\"; \"vcard_legacy\"; \"csi_simple\"; \"ping\"; \"time\"; \"uptime\"; \"version\"; \"posix\";";

/// Starts it. It runs as whoever runs the test.
///
/// # Errors
/// What failed, in words.
pub(super) fn start(plan: &Plan, place: &Place<'_>) -> Result<Child, String> {
    let fault = |e: std::io::Error| format!("prosody: {e}");
    let accounts = place
        .directory
        .join("data")
        .join(plan.domain.replace('.', "%2e"))
        .join("accounts");
    fs::create_dir_all(&accounts).map_err(fault)?;
    for account in place.accounts {
        let record = format!("return {{\n\t[\"password\"] = {PASSWORD:?};\n}};\n");
        fs::write(accounts.join(format!("{account}.dat")), record).map_err(fault)?;
    }
    let config = place.directory.join("prosody.cfg.lua");
    fs::write(&config, text(plan, place)).map_err(fault)?;
    let output = File::create(place.directory.join("output")).map_err(fault)?;
    Command::new("prosody")
        .arg("--config")
        .arg(&config)
        .arg("-F")
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(fault)?)
        .stderr(output)
        .spawn()
        .map_err(fault)
}

fn text(plan: &Plan, place: &Place<'_>) -> String {
    let modules = modules(plan);
    let level = match plan.logging {
        Logging::All => "debug",
        Logging::Warnings => "warn",
    };
    // Its default is dialback, too; without certificates it can trust, nothing else is left.
    let authority = match plan.proof {
        Proof::Certificate | Proof::CertificateOrDialback => {
            format!("cafile = {:?};", place.authority)
        }
        Proof::Dialback => String::new(),
    };
    let (direct, servers) = match plan.ways {
        Ways::StartTls => (String::new(), place.site.servers.port().to_string()),
        Ways::DirectTls => (place.site.direct.port().to_string(), String::new()),
        Ways::Both => (
            place.site.direct.port().to_string(),
            place.site.servers.port().to_string(),
        ),
    };
    format!(
        "run_as_root = true\n\
         data_path = {data:?}\n\
         pidfile = {pid:?}\n\
         plugin_paths = {{ }}\n\
         modules_enabled = {{ {modules} }}\n\
         unbound = {{ resolvconf = false, hoststxt = false, forward = \"127.0.0.1@{port}\", \
         options = {{ [\"do-not-query-localhost:\"] = \"no\" }} }}\n\
         authentication = \"internal_plain\"\n\
         allow_unencrypted_plain_auth = true\n\
         c2s_require_encryption = false\n\
         c2s_interfaces = {{ \"{own}\" }}\n\
         c2s_ports = {{ {clients} }}\n\
         c2s_direct_tls_ports = {{ }}\n\
         s2s_interfaces = {{ \"{address}\" }}\n\
         s2s_ports = {{ {servers} }}\n\
         s2s_direct_tls_interfaces = {{ \"{address}\" }}\n\
         s2s_direct_tls_ports = {{ {direct} }}\n\
         http_ports = {{ }}\n\
         https_ports = {{ }}\n\
         s2s_require_encryption = {encryption}\n\
         s2s_secure_auth = {secure}\n\
         log = {{ {level} = {log:?} }}\n\
         ssl = {{ {authority} capath = {nothing:?} }}\n\
         {lists}{more}\n\
         {hosts}",
        data = place.directory.join("data"),
        pid = place.directory.join("pid"),
        port = place.resolver.port(),
        clients = place.site.clients.port(),
        own = place.site.clients.ip(),
        address = place.site.servers.ip(),
        encryption = plan.encryption == Encryption::Required,
        secure = plan.proof == Proof::Certificate,
        log = place.log,
        lists = lists(plan),
        more = plan.more,
        hosts = hosts(plan, place),
        // Instead of the system's authorities: a directory that is not there.
        nothing = place.directory.join("nothing"),
    )
}

fn hosts(plan: &Plan, place: &Place<'_>) -> String {
    // Its key lies beside it. As a part of `ssl`, direct TLS would not find it.
    let certificate = &place.files.certificate;
    let hosts = plan.hosts();
    hosts
        .map(|host| format!("VirtualHost {host:?}\ncertificate = {certificate:?}\n"))
        .collect()
}

fn modules(plan: &Plan) -> String {
    let mut modules = MODULES.to_owned();
    for module in &plan.modules {
        // Writing to a String cannot fail.
        let _ = write!(modules, " \"{module}\";");
    }
    if plan.logging == Logging::All {
        modules.push_str(" \"stanza_debug\";");
    }
    if plan.encryption != Encryption::Never {
        modules.push_str(" \"tls\";");
    }
    let takes_dialback = |list: &(List, String)| list.0 == List::Insecure;
    if plan.proof != Proof::Certificate || plan.lists.iter().any(takes_dialback) {
        modules.push_str(" \"dialback\";");
    }
    modules
}

fn lists(plan: &Plan) -> String {
    let lists = plan.lists.iter();
    let lists = lists.map(|(list, domain)| format!("{} = {{ {domain:?} }}\n", list.option()));
    lists.collect()
}
