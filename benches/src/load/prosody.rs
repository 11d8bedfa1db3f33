//! Prosody as a target, as Debian installs it: its modules, epoll, passwords as SCRAM keys or as they are. Without `limits`, which would
//! measure its patience, without streams between servers, and with the generational garbage collector of Lua 5.4: with the
//! incremental one, its default, it does half as much for each second and takes two thirds of the memory for each session. With an
//! archive, which Debian leaves to the administrator, and as much room in it as ours has: it has 10,000 messages for each account by default.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spec_tests::ca::Authority;
use spec_tests::server::{Scratch, free_addresses};

use super::client::Security;
use super::target::{
    Archive, Counting, Provider, ROUNDS, Running, Setting, Storage, Target, debian_version,
    is_installed,
};
use crate::scenarios::HOST;
use crate::scram::{Account, Keys};

const MODULES: &str = "\"disco\"; \"roster\"; \"saslauth\"; \"tls\"; \"blocklist\"; \"bookmarks\"; \"carbons\"; \
    \"dialback\"; \"mam\"; \"pep\"; \"private\"; \"smacks\"; \"vcard4\"; \"vcard_legacy\"; \"csi_simple\"; \"invites\"; \
    \"invites_adhoc\"; \"invites_register\"; \"ping\"; \"register\"; \"time\"; \"uptime\"; \"version\"; \
    \"admin_adhoc\"; \"posix\";";

/// See the module.
#[derive(Debug)]
pub struct Prosody {
    scratch: Scratch,
    storage: Storage,
    provider: Provider,
}

impl Prosody {
    /// Whether it is there.
    ///
    /// # Errors
    /// It is not installed.
    pub fn check() -> Result<(), String> {
        match is_installed("prosody") {
            true => Ok(()),
            false => Err("prosody is not installed".to_owned()),
        }
    }

    /// With a data directory of its own in which these accounts exist. Their keys, or passwords, are written where Prosody keeps them: its own
    /// tool takes a good part of a second for each.
    ///
    /// # Errors
    /// It is not installed, or something cannot be written.
    pub fn prepare(
        accounts: &[Account],
        storage: Storage,
        provider: Provider,
    ) -> Result<Self, String> {
        Self::check()?;
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        let certificates = scratch.path().join("certs");
        let kept = scratch.path().join("data").join(HOST).join("accounts");
        fs::create_dir(&certificates)
            .and_then(|()| Authority::new(scratch.path())?.issue(&certificates, HOST))
            .and_then(|()| fs::create_dir_all(&kept))
            .map_err(|e| e.to_string())?;
        for account in accounts {
            let record = record(account, provider)?;
            fs::write(kept.join(format!("{}.dat", account.name())), record)
                .map_err(|e| e.to_string())?;
        }
        Ok(Self {
            scratch,
            storage,
            provider,
        })
    }
}

fn record(account: &Account, provider: Provider) -> Result<String, String> {
    if provider == Provider::Plain {
        let password = account.password();
        return Ok(format!(
            "return {{\n\t[\"password\"] = {password:?};\n}};\n"
        ));
    }
    let salt = format!("salt of {}", account.name());
    let keys = Keys::derive(account.password(), &STANDARD.encode(&salt), ROUNDS)?;
    Ok(format!(
        "return {{\n\t[\"iteration_count\"] = {ROUNDS};\n\t[\"salt\"] = {salt:?};\n\
         \t[\"server_key\"] = \"{}\";\n\t[\"stored_key\"] = \"{}\";\n}};\n",
        hex(keys.server_key()),
        hex(keys.stored_key()),
    ))
}

impl Target for Prosody {
    fn name(&self) -> &'static str {
        "Prosody"
    }

    fn note(&self) -> Option<String> {
        let version = debian_version("prosody");
        let storage = self.storage.words("files");
        Some(format!(
            "{version}, with Lua's generational collector, {storage}"
        ))
    }

    fn provider(&self) -> Option<Provider> {
        Some(self.provider)
    }

    fn start(&self, setting: &Setting) -> Result<Running, String> {
        let fault = |e: std::io::Error| e.to_string();
        let [address] = free_addresses().map_err(fault)?;
        let encryption = match setting.security {
            Security::Clear => "false",
            Security::StartTls(_) => "true",
        };
        let is_archived = setting.archive == Archive::On;
        let storage = match self.storage {
            Storage::Own => "",
            Storage::Sqlite => {
                "storage = { archive = \"sql\", offline = \"sql\" }\n\
                 sql = { driver = \"SQLite3\", database = \"messages.sqlite\" }\n"
            }
        };
        let directory = self.scratch.path();
        let config = format!(
            "run_as_root = true\n\
             data_path = {data:?}\n\
             pidfile = {pid:?}\n\
             certificates = {certificates:?}\n\
             modules_enabled = {{ {MODULES} }}\n\
             modules_disabled = {{ \"s2s\" }}\n\
             authentication = {authentication:?}\n\
             password_hash = \"SHA-256\"\n\
             interfaces = {{ \"127.0.0.1\" }}\n\
             c2s_ports = {{ {port} }}\n\
             c2s_direct_tls_ports = {{ }}\n\
             s2s_ports = {{ }}\n\
             http_ports = {{ }}\n\
             https_ports = {{ }}\n\
             c2s_require_encryption = {encryption}\n\
             network_settings = {{ tcp_backlog = 1024 }}\n\
             gc = {{ mode = \"generational\" }}\n\
             default_archive_policy = {is_archived}\n\
             storage_archive_item_limit = 1000000\n\
             {storage}\
             log = {{ warn = \"*console\" }}\n\
             VirtualHost \"{HOST}\"\n",
            authentication = self.provider.name(),
            data = directory.join("data"),
            pid = directory.join("pid"),
            certificates = directory.join("certs"),
            port = address.port(),
        );
        let path = directory.join("prosody.cfg.lua");
        fs::write(&path, config).map_err(fault)?;
        let log_path = directory.join("log");
        let log = File::create(&log_path).map_err(fault)?;
        let child = Command::new("prosody")
            .arg("--config")
            .arg(&path)
            .arg("-F")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(fault)?)
            .stderr(log)
            .spawn()
            .map_err(|e| format!("prosody: {e}"))?;
        Running::wait(child, address, log_path, Counting::Not)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
