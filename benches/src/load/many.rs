//! Idle sessions without sockets: shards and TLS states in one process, a hundred thousand of them, which is more than a process
//! may have files for. The cost of each must be that of a session over a socket.
//!
//! The clients are another thread's, one after the other: what they take from the heap and give back does not lie between what
//! the server keeps.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use clap::Args;
use rustls::ClientConfig;
use serde_json::{Value, json};

use super::client::Security;
use super::process::{load_average, pss_kib};
use super::report::{Figure, Sample};
use super::target::{Progress, Role};
use crate::scenarios::{HOST, PASSWORD, RESOURCE, message};
use crate::scram::Account;
use crate::secure::{Guest, Host, Talk};

/// Sessions before anything is measured: what they make the process load once is not the others' share.
const FIRST: usize = 16;
/// As many to an account as the idle sessions over sockets have by default.
const SESSIONS_OF_ACCOUNT: usize = 10;
const SHARDS: u16 = 2;
const MESSAGES: usize = 4;
const MESSAGE_BYTES: usize = 1024;

/// How the process is started.
#[derive(Debug, Args)]
pub struct ManyArguments {
    /// How many.
    #[arg(long)]
    sessions: usize,
}

/// Runs it in a process of its own.
///
/// # Errors
/// What it said.
pub fn measure_many(sessions: usize, progress: &Progress) -> Result<Sample, String> {
    progress.say(&format!("making {sessions} sessions"));
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new(own)
        .args(["in-process", "--sessions", &sessions.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("sessions in process: {}", output.status));
    }
    let said: Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    let names = ["KiB per session", "sessions", "KiB before", "KiB after"];
    let mut figures: Vec<Figure> = names
        .into_iter()
        .filter_map(|name| Some(Figure::new(name, said.get(name)?.as_f64()?)))
        .collect();
    figures.push(Figure::new("load average", load_average()));
    Ok(Sample {
        scenario: "idle-in-process".to_owned(),
        target: "Spondee",
        role: Role::Subject,
        figures,
    })
}

impl ManyArguments {
    /// Makes the sessions and returns the figures as JSON.
    ///
    /// # Errors
    /// A session does not come about.
    pub fn run(&self) -> Result<String, String> {
        let sessions = self.sessions;
        let (to_server, from_client) = sync_channel(1);
        let (to_client, from_server) = sync_channel(1);
        let Security::StartTls(config) = Security::start_tls() else {
            return Err("clients have no TLS".to_owned());
        };
        let accounts = sessions.div_ceil(SESSIONS_OF_ACCOUNT).max(FIRST);
        let account = move |n: usize| format!("user{}", n % accounts);
        let clients = std::thread::spawn(move || {
            let line = Line {
                to_server,
                from_server,
            };
            (0..FIRST + sessions).try_for_each(|n| line.session(n, &account(n), &config))
        });
        let mut host = Host::new(SHARDS, (0..accounts).map(account))?;
        let mut guests = Vec::new();
        let own = std::process::id();
        let mut before = 0;
        for n in 0..FIRST + sessions {
            if n == FIRST {
                before = pss_kib(own)?;
            }
            match serve(&mut host, &account(n), &from_client, &to_client) {
                Ok(guest) => guests.push(guest),
                // The clients' fault says more than that they are silent.
                Err(_) => break,
            }
        }
        drop(to_client);
        let ended = clients.join();
        ended.map_err(|_| "the clients panicked".to_owned())??;
        let after = pss_kib(own)?;
        if guests.len() < FIRST + sessions {
            return Err(format!("only {} sessions came about", guests.len()));
        }
        let each = after.saturating_sub(before) as f64 / sessions as f64;
        let figures = json!({
            "KiB per session": each,
            "sessions": sessions,
            "KiB before": before,
            "KiB after": after,
        });
        Ok(format!("{figures}\n"))
    }
}

/// One client's whole time on the server: from its first bytes until it falls silent for ever.
fn serve(
    host: &mut Host,
    account: &str,
    from: &Receiver<Option<Vec<u8>>>,
    to: &SyncSender<Vec<u8>>,
) -> Result<Guest, String> {
    let mut guest = host.accept(account);
    while let Some(bytes) = from.recv().map_err(|e| e.to_string())? {
        let answer = host.take(&mut guest, bytes)?;
        to.send(answer).map_err(|e| e.to_string())?;
    }
    Ok(guest)
}

/// The clients' way to the server: bytes there, bytes back.
struct Line {
    to_server: SyncSender<Option<Vec<u8>>>,
    from_server: Receiver<Vec<u8>>,
}

impl Line {
    /// Signs in, sends its messages to itself, and goes silent.
    fn session(&self, n: usize, account: &str, config: &Arc<ClientConfig>) -> Result<(), String> {
        let ask = |bytes| {
            let sent = self.to_server.send(Some(bytes));
            sent.map_err(|_| "the server is gone".to_owned())?;
            let answer = self.from_server.recv();
            answer.map_err(|_| "the server is gone".to_owned())
        };
        let resource = format!("{RESOURCE}{n}");
        let mut keys = Account::new(account, PASSWORD);
        let mut talk = Talk::sign_in(&mut keys, &resource, config, ask)?;
        let text = message(&format!("{account}@{HOST}/{resource}"), MESSAGE_BYTES);
        for _ in 0..MESSAGES {
            talk.say(&text, "</message>")?;
        }
        let sent = self.to_server.send(None);
        sent.map_err(|_| "the server is gone".to_owned())
    }
}
