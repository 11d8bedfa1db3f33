//! ejabberd as a target, as Debian installs it: its modules, its TLS options, passwords as SCRAM keys in Mnesia. Without shapers
//! and without limits of sessions and of subscriptions (`mod_pres_counter`), which would measure its patience, and without what belongs to listeners it does not have here
//! (HTTP, MQTT, STUN).
//!
//! Its Erlang node is started without epmd, so all it does is done by its own process tree.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spec_tests::ca::Authority;
use spec_tests::server::{Scratch, free_addresses};

use super::client::Security;
use super::target::{
    Archive, Counting, Running, Setting, Storage, Target, debian_version, is_installed,
};
use crate::scenarios::HOST;
use crate::scram::{Account, Keys};

/// ejabberd's own default.
const ROUNDS: u32 = 4096;

/// Its processes collect their garbage when they have been idle for a while: 103 KiB for each session after 3 s are 57 after this.
const SETTLES_IN: Duration = Duration::from_secs(40);

/// Where Debian has its program.
const LIBRARIES: &str = "/usr/lib";

/// Where Debian has the tables that it must be given.
const TABLES: &str = "/usr/share/ejabberd/sql/lite.sql";

/// Debian's modules, but for those that need listeners of their own. `mod_mam` and `mod_offline` come behind.
const MODULES: &str = "\
modules:
  mod_adhoc: {}
  mod_admin_extra: {}
  mod_announce: {}
  mod_avatar: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_configure: {}
  mod_disco: {}
  mod_fail2ban: {}
  mod_last: {}
  mod_muc: {}
  mod_muc_admin: {}
  mod_ping: {}
  mod_privacy: {}
  mod_private: {}
  mod_pubsub:
    plugins:
      - flat
      - pep
  mod_push: {}
  mod_push_keepalive: {}
  mod_roster:
    versioning: true
  mod_s2s_dialback: {}
  mod_shared_roster: {}
  mod_sic: {}
  mod_stream_mgmt:
    resend_on_timeout: if_offline
  mod_vcard:
    search: false
  mod_vcard_xupdate: {}
  mod_version: {}
";

/// See the module.
#[derive(Debug)]
pub struct Ejabberd {
    scratch: Scratch,
    /// What `ERL_LIBS` must name.
    libraries: PathBuf,
    storage: Storage,
}

impl Ejabberd {
    /// Whether it is there; returns what `ERL_LIBS` must name.
    ///
    /// # Errors
    /// It is not installed, or not where Debian has it.
    pub fn check() -> Result<PathBuf, String> {
        if !is_installed("erl") {
            return Err("ejabberd is not installed".to_owned());
        }
        libraries().ok_or_else(|| "ejabberd is not where Debian has it".to_owned())
    }

    /// With a directory of its own in which these accounts exist. Their records are written into its database in one go: its own
    /// command takes a good part of a second for each.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn prepare(accounts: &[Account], storage: Storage) -> Result<Self, String> {
        let libraries = Self::check()?;
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        let directory = scratch.path();
        fs::create_dir(directory.join("spool"))
            .and_then(|()| Authority::new(directory)?.issue(directory, HOST))
            .map_err(|e| e.to_string())?;
        let pem =
            ["crt", "key"].map(|kind| fs::read_to_string(directory.join(format!("{HOST}.{kind}"))));
        let [certificate, key] = pem;
        let both = certificate.and_then(|certificate| Ok(certificate + &key?));
        both.and_then(|both| fs::write(directory.join("both.pem"), both))
            .map_err(|e| e.to_string())?;
        fs::write(directory.join("accounts"), records(accounts)?).map_err(|e| e.to_string())?;
        let target = Self {
            scratch,
            libraries,
            storage,
        };
        if storage == Storage::Sqlite {
            make_tables(&target.database())?;
        }
        target.add()?;
        Ok(target)
    }

    fn add(&self) -> Result<(), String> {
        let path = self.scratch.path();
        let done = path.join("added");
        let program = format!(
            "{{ok, All}} = file:consult({accounts:?}), \
             [ok = mnesia:dirty_write({{passwd, {{User, <<\"{HOST}\">>}}, \
             {{scram, Stored, Server, Salt, sha256, {ROUNDS}}}}}) || {{User, Stored, Server, Salt}} <- All], \
             ok = file:write_file({done:?}, \"\").",
            accounts = path.join("accounts"),
        );
        let mut running = self.run(&Setting::PREPARING, &["-eval", &program])?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done.exists() {
            if Instant::now() > deadline || running.has_ended() {
                return Err(running.explain("ejabberd does not take its accounts"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn run(&self, setting: &Setting, more: &[&str]) -> Result<Running, String> {
        let fault = |e: std::io::Error| e.to_string();
        let [address, unused] = free_addresses().map_err(fault)?;
        let path = self.scratch.path();
        let file = path.join("ejabberd.yml");
        let config =
            config(path, address.port(), &setting.security) + &self.messages(setting.archive);
        fs::write(&file, config).map_err(fault)?;
        let log = path.join("log");
        let child = self.spawn(&file, &log, unused.port(), more)?;
        Running::wait(child, address, log, Counting::Not)
    }

    fn database(&self) -> PathBuf {
        self.scratch.path().join("messages.sqlite")
    }

    /// The end of its configuration, which begins among its modules. As many messages wait for each account as for ours.
    fn messages(&self, archive: Archive) -> String {
        let default = match archive {
            Archive::On => "always",
            Archive::Off => "never",
        };
        let (kind, more) = match self.storage {
            Storage::Own => ("mnesia", String::new()),
            Storage::Sqlite => (
                "sql",
                format!("sql_type: sqlite\nsql_database: {:?}\n", self.database()),
            ),
        };
        format!(
            "  mod_mam:\n    db_type: {kind}\n    assume_mam_usage: true\n    default: {default}\n  \
             mod_offline:\n    db_type: {kind}\n    access_max_user_messages: max_user_offline_messages\n{more}"
        )
    }

    /// What `ejabberdctl foreground` would start, with directories of our own.
    /// Nobody listens on the port `unused`.
    fn spawn(
        &self,
        config: &Path,
        log: &Path,
        unused: u16,
        more: &[&str],
    ) -> Result<Child, String> {
        let fault = |e: std::io::Error| format!("erl: {e}");
        let output = File::create(log).map_err(fault)?;
        let path = self.scratch.path();
        let node = format!("ejabberd{}@localhost", std::process::id());
        let unused = unused.to_string();
        Command::new("erl")
            .env("ERL_LIBS", &self.libraries)
            .env("HOME", path)
            .env("EJABBERD_CONFIG_PATH", config)
            .env("EJABBERD_LOG_PATH", path.join("ejabberd.log"))
            .env("EJABBERD_PID_PATH", path.join("pid"))
            .env("ERL_CRASH_DUMP", path.join("crash"))
            .env("ERL_CRASH_DUMP_BYTES", "0")
            .env("ERL_MAX_PORTS", "32000")
            .args([
                "-sname",
                &node,
                "-start_epmd",
                "false",
                "-erl_epmd_port",
                &unused,
            ])
            .args(["+K", "true", "+P", "250000"])
            .args(["-mnesia", "dir", &format!("{:?}", path.join("spool"))])
            .args(["-noinput", "-s", "ejabberd"])
            .args(more)
            .current_dir(path)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(fault)?)
            .stderr(output)
            .spawn()
            .map_err(fault)
    }
}

impl Target for Ejabberd {
    fn name(&self) -> &'static str {
        "ejabberd"
    }

    fn note(&self) -> Option<String> {
        let version = debian_version("ejabberd");
        Some(format!("{version}, {}", self.storage.words("Mnesia")))
    }

    fn start(&self, setting: &Setting) -> Result<Running, String> {
        Ok(self.run(setting, &[])?.settling_in(SETTLES_IN))
    }
}

fn config(path: &Path, port: u16, security: &Security) -> String {
    let starttls = match security {
        Security::Clear => "",
        Security::StartTls(_) => "    starttls_required: true\n    protocol_options: TLS_OPTIONS\n",
    };
    let certificate = path.join("both.pem");
    format!(
        "loglevel: warning\n\
         log_rotate_count: 0\n\
         hosts:\n  - {HOST}\n\
         certfiles:\n  - {certificate:?}\n\
         define_macro:\n  TLS_CIPHERS: \"HIGH:!aNULL:!eNULL:!3DES:@STRENGTH\"\n  TLS_OPTIONS:\n    - no_sslv3\n    \
         - no_tlsv1\n    - no_tlsv1_1\n    - cipher_server_preference\n    - no_compression\n\
         c2s_ciphers: TLS_CIPHERS\n\
         c2s_protocol_options: TLS_OPTIONS\n\
         listen:\n  -\n    port: {port}\n    ip: \"127.0.0.1\"\n    module: ejabberd_c2s\n    max_stanza_size: 262144\n    \
         shaper: none\n    access: all\n{starttls}\
         disable_sasl_mechanisms:\n  - digest-md5\n  - X-OAUTH2\n\
         auth_method: internal\n\
         auth_password_format: scram\n\
         auth_scram_hash: sha256\n\
         shaper_rules:\n  max_user_sessions: infinity\n  max_user_offline_messages: 5000\n\
         {MODULES}"
    )
}

/// It does not make its tables itself.
fn make_tables(database: &Path) -> Result<(), String> {
    let tables = File::open(TABLES).map_err(|e| format!("{TABLES}: {e}"))?;
    let made = Command::new("sqlite3")
        .arg(database)
        .stdin(tables)
        .stdout(Stdio::null())
        .status()
        .map_err(|e| format!("sqlite3: {e}"))?;
    match made.success() {
        true => Ok(()),
        false => Err(format!("sqlite3 {}: {made}", database.display())),
    }
}

/// The accounts as Erlang terms.
fn records(accounts: &[Account]) -> Result<String, String> {
    let mut text = String::new();
    for account in accounts {
        let salt = STANDARD.encode(format!("salt of {}", account.name()));
        let keys = Keys::derive(account.password(), &salt, ROUNDS)?;
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{{<<\"{}\">>, <<\"{}\">>, <<\"{}\">>, <<\"{salt}\">>}}.",
            account.name(),
            STANDARD.encode(keys.stored_key()),
            STANDARD.encode(keys.server_key()),
        );
    }
    Ok(text)
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
