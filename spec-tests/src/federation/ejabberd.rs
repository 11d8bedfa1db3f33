//! ejabberd as a peer, with everything in its log, the streams too. Its Erlang node runs without epmd.
//!
//! It asks for services by Erlang's own resolver, which `ERL_INETRC` directs to the test's name server, and for addresses by the system's, which
//! `/etc` alone directs. There libnss-wrapper, preloaded, has it read a file of the test's in place of `/etc/hosts`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::peer::{PASSWORD, Place};
use super::plan::{Encryption, Logging, Plan, Proof, Ways};
use crate::client::PATIENCE;
use crate::server::free_addresses;

/// Where Debian has its program.
const LIBRARIES: &str = "/usr/lib";

/// It starts in several seconds, more where others build.
const STARTS_WITHIN: Duration = Duration::from_secs(3 * PATIENCE.as_secs());

/// Debian's modules, as far as they have to do with servers; `mod_s2s_dialback` comes behind.
const MODULES: &str = "\
modules:
  mod_adhoc: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_disco: {}
  mod_last: {}
  mod_offline: {}
  mod_ping: {}
  mod_privacy: {}
  mod_private: {}
  mod_roster:
    versioning: true
  mod_stream_mgmt:
    resend_on_timeout: if_offline
  mod_version: {}
";

/// Starts it, and waits until its accounts are there.
///
/// # Errors
/// What failed, in words.
pub(super) fn start(plan: &Plan, place: &Place<'_>) -> Result<Child, String> {
    let fault = |e: std::io::Error| format!("ejabberd: {e}");
    let libraries = libraries().ok_or("ejabberd is not where Debian has it")?;
    let path = |name: &str| place.directory.join(name);
    fs::create_dir(path("spool")).map_err(fault)?;
    fs::write(path("ejabberd.yml"), text(plan, place)).map_err(fault)?;
    let resolver = place.resolver.port();
    let inetrc = format!(
        "{{resolv_conf, \"\"}}.\n{{hosts_file, \"\"}}.\n{{lookup, [file, dns]}}.\n\
         {{host, {{127,0,0,1}}, [\"localhost\"]}}.\n{{nameserver, {{127,0,0,1}}, {resolver}}}.\n"
    );
    fs::write(path("inetrc"), inetrc).map_err(fault)?;
    let [unused] = free_addresses().map_err(fault)?;
    let output = File::create(path("output")).map_err(fault)?;
    let done = path("done");
    let child = Command::new("erl")
        .env("ERL_LIBS", libraries)
        .env("ERL_INETRC", path("inetrc"))
        .env("LD_PRELOAD", "libnss_wrapper.so")
        .env("NSS_WRAPPER_HOSTS", place.hosts)
        .env("HOME", place.directory)
        .env("EJABBERD_CONFIG_PATH", path("ejabberd.yml"))
        .env("EJABBERD_LOG_PATH", place.log)
        .env("EJABBERD_PID_PATH", path("pid"))
        .env("ERL_CRASH_DUMP", path("crash"))
        .env("ERL_CRASH_DUMP_BYTES", "0")
        .args(["-sname", &node(), "-start_epmd", "false"])
        .args(["-erl_epmd_port", &unused.port().to_string()])
        .args(["-mnesia", "dir", &format!("{:?}", path("spool"))])
        .args(["-noinput", "-s", "ejabberd", "-eval"])
        .arg(registering(plan, place.accounts, &done))
        .current_dir(place.directory)
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(fault)?)
        .stderr(output)
        .spawn()
        .map_err(fault)?;
    wait(child, place, &done)
}

/// One name for each: a test starts several, and tests run beside each other.
fn node() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("federation{}x{count}@localhost", std::process::id())
}

/// What makes the accounts, behind its start.
fn registering(plan: &Plan, accounts: &[&str], done: &std::path::Path) -> String {
    let domain = &plan.domain;
    let all = accounts.iter().map(|account| format!("<<\"{account}\">>"));
    let all: Vec<String> = all.collect();
    format!(
        "[ok = ejabberd_auth:try_register(User, <<\"{domain}\">>, <<\"{PASSWORD}\">>) || User <- [{}]], \
         ok = file:write_file({done:?}, \"\").",
        all.join(", ")
    )
}

fn wait(mut child: Child, place: &Place<'_>, done: &std::path::Path) -> Result<Child, String> {
    let deadline = Instant::now() + STARTS_WITHIN;
    while !done.exists() {
        let ended = child.try_wait().map_err(|e| e.to_string())?;
        if ended.is_some() || Instant::now() > deadline {
            // It may have ended.
            let _ended = child.kill().and_then(|()| child.wait());
            let said = fs::read_to_string(place.directory.join("output")).unwrap_or_default();
            let log = fs::read_to_string(place.log).unwrap_or_default();
            return Err(format!("ejabberd does not start: {said}\n{log}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(child)
}

fn text(plan: &Plan, place: &Place<'_>) -> String {
    let starttls = match plan.encryption {
        Encryption::Never => "false",
        Encryption::Offered => "optional",
        Encryption::Required => "required",
    };
    let level = match plan.logging {
        Logging::All => "debug",
        Logging::Warnings => "warning",
    };
    let mut text = format!(
        "loglevel: {level}\n\
         log_rotate_count: 0\n\
         hosts:\n{hosts}\
         certfiles:\n  - {both:?}\n\
         s2s_use_starttls: {starttls}\n\
         s2s_protocol_options:\n  - no_sslv3\n  - no_tlsv1\n  - no_tlsv1_1\n\
         auth_password_format: plain\n\
         disable_sasl_mechanisms:\n  - digest-md5\n  - X-OAUTH2\n\
         listen:\n  -\n    port: {clients}\n    ip: \"{own}\"\n    module: ejabberd_c2s\n    starttls: false\n",
        hosts = plan
            .hosts()
            .map(|host| format!("  - {host}\n"))
            .collect::<String>(),
        both = place.files.both,
        clients = place.site.clients.port(),
        own = place.site.clients.ip(),
    );
    let mut listen = |port: u16, tls: bool| {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "  -\n    port: {port}\n    ip: \"{}\"\n    module: ejabberd_s2s_in\n    tls: {tls}\n",
            place.site.servers.ip()
        );
    };
    if matches!(plan.ways, Ways::StartTls | Ways::Both) {
        listen(place.site.servers.port(), false);
    }
    if matches!(plan.ways, Ways::DirectTls | Ways::Both) {
        listen(place.site.direct.port(), true);
    }
    if plan.proof != Proof::Dialback {
        for option in ["ca_file", "s2s_cafile"] {
            // As above.
            let _ = writeln!(text, "{option}: {:?}", place.authority);
        }
    }
    text.push_str(&plan.more);
    text.push_str(MODULES);
    if plan.proof != Proof::Certificate {
        text.push_str("  mod_s2s_dialback: {}\n");
    }
    for module in &plan.modules {
        // As above.
        let _ = writeln!(text, "  {module}: {{}}");
    }
    text
}

/// `/usr/lib/MACHINE-linux-gnu`, wherever ejabberd lies.
fn libraries() -> Option<PathBuf> {
    let entries = fs::read_dir(LIBRARIES).ok()?.flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| {
        let inside = fs::read_dir(path).into_iter().flatten().flatten();
        let mut names = inside.map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with("ejabberd-"))
    })
}
