//! Idle sessions without sockets: shards and TLS states in one process, a hundred thousand of them, which is more than a process
//! may have files for. The cost of each must be that of a session over a socket.
//!
//! The clients are another thread's, one after the other: what they take from the heap and give back does not lie between what
//! the server keeps.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use clap::Args;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use serde_json::{Value, json};
use spec_tests::ca::Authority;
use spec_tests::server::Scratch;
use spondee_core::jid::Domain;
use spondee_core::port::Opening;
use spondee_shell_common::tls::{Pump, TlsHosts};

use super::client::Security;
use super::process::{load_average, pss_kib};
use super::report::{Figure, Sample};
use super::target::{Progress, Role};
use crate::scenarios::{
    HEADER, HOST, Many, PASSWORD, RESOURCE, STARTTLS, auth, bind, content, message, response,
};
use crate::scram::Account;

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
        let clients = std::thread::spawn(move || {
            let line = Line {
                to_server,
                from_server,
            };
            (0..FIRST + sessions).try_for_each(|n| line.session(n, sessions, &config))
        });
        let mut server = Server::new(sessions)?;
        let own = std::process::id();
        let mut before = 0;
        for n in 0..FIRST + sessions {
            if n == FIRST {
                before = pss_kib(own)?;
            }
            // The clients' fault says more than that they are silent.
            if server.serve(n, sessions, &from_client, &to_client).is_err() {
                break;
            }
        }
        drop(to_client);
        let ended = clients.join();
        ended.map_err(|_| "the clients panicked".to_owned())??;
        let after = pss_kib(own)?;
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

fn account_of(n: usize, sessions: usize) -> usize {
    n % sessions.div_ceil(SESSIONS_OF_ACCOUNT).max(FIRST)
}

/// Shards, and what a shell keeps of each connection but for its socket.
struct Server {
    shards: Many,
    hosts: Arc<TlsHosts>,
    host: Domain,
    /// Kept for nothing but their memory.
    pumps: Vec<Pump>,
    plain: Vec<u8>,
}

impl Server {
    fn new(sessions: usize) -> Result<Self, String> {
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        Authority::new(scratch.path())
            .and_then(|authority| authority.issue(scratch.path(), HOST))
            .map_err(|e| e.to_string())?;
        let host = Domain::parse(HOST).map_err(|e| e.to_string())?;
        let hosts = TlsHosts::load(scratch.path(), std::slice::from_ref(&host));
        let accounts = sessions.div_ceil(SESSIONS_OF_ACCOUNT).max(FIRST);
        Ok(Self {
            shards: Many::new(SHARDS, (0..accounts).map(name)),
            hosts: Arc::new(hosts.map_err(|e| e.message)?),
            host,
            pumps: Vec::new(),
            plain: Vec::new(),
        })
    }

    /// One client's whole time: from its first bytes until it falls silent for ever.
    fn serve(
        &mut self,
        n: usize,
        sessions: usize,
        from: &Receiver<Option<Vec<u8>>>,
        to: &SyncSender<Vec<u8>>,
    ) -> Result<(), String> {
        let gone = |_| "the clients are gone".to_owned();
        let seat = self.shards.accept(&name(account_of(n, sessions)));
        let mut pump = None;
        loop {
            let Some(mut bytes) = from.recv().map_err(|_| gone(()))? else {
                self.pumps.extend(pump);
                return Ok(());
            };
            let mut out = Vec::new();
            match &mut pump {
                None => {
                    self.shards
                        .bytes(seat, &bytes, |said| out.extend_from_slice(said));
                    if bytes == STARTTLS.as_bytes() {
                        let hosts = Arc::clone(&self.hosts);
                        pump = Some(Pump::new(hosts, Some(self.host.clone()), Opening::Clear));
                    }
                }
                Some(pump) => {
                    self.plain.clear();
                    let received = pump.receive(&mut bytes, &mut self.plain, &mut out);
                    let received = received.map_err(|e| e.message)?;
                    if let Some(tls) = received.secured {
                        self.shards.secured(seat, tls);
                    }
                    let mut failed = None;
                    self.shards.bytes(seat, &self.plain, |said| {
                        failed = pump.send(said, &mut out).err();
                    });
                    if let Some(e) = failed {
                        return Err(e.message);
                    }
                }
            }
            to.send(out).map_err(|_| gone(()))?;
        }
    }
}

fn name(account: usize) -> String {
    format!("user{account}")
}

/// The clients' way to the server: bytes there, bytes back.
struct Line {
    to_server: SyncSender<Option<Vec<u8>>>,
    from_server: Receiver<Vec<u8>>,
}

impl Line {
    fn ask(&self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let sent = self.to_server.send(Some(bytes));
        sent.map_err(|_| "the server is gone".to_owned())?;
        let answer = self.from_server.recv();
        answer.map_err(|_| "the server is gone".to_owned())
    }

    /// Signs in, sends its messages to itself, and goes silent.
    fn session(&self, n: usize, sessions: usize, config: &Arc<ClientConfig>) -> Result<(), String> {
        let account = name(account_of(n, sessions));
        self.ask(HEADER.to_vec())?;
        self.ask(STARTTLS.as_bytes().to_vec())?;
        let server = ServerName::try_from(HOST).map_err(|e| e.to_string())?;
        let tls = ClientConnection::new(Arc::clone(config), server);
        let mut talk = Talk {
            line: self,
            tls: tls.map_err(|e| e.to_string())?,
        };
        talk.say(HEADER, "</stream:features>")?;
        let nonce = format!("generatedload{n:012}");
        let mut keys = Account::new(&account, PASSWORD);
        let challenge = talk.say(auth(&keys.first(&nonce)).as_bytes(), "</challenge>")?;
        let challenge = content(&challenge, "challenge").ok_or("no challenge")?;
        let (answer, proven) = keys.answer(&nonce, challenge)?;
        let success = talk.say(response(&answer).as_bytes(), "</success>")?;
        if !content(&success, "success").is_some_and(|last| proven.holds(last)) {
            return Err(format!("no true signature in {success}"));
        }
        talk.say(HEADER, "</stream:features>")?;
        let resource = format!("{RESOURCE}{n}");
        talk.say(bind(&resource).as_bytes(), "</jid>")?;
        let text = message(&format!("{account}@{HOST}/{resource}"), MESSAGE_BYTES);
        for _ in 0..MESSAGES {
            talk.say(&text, "</message>")?;
        }
        let sent = self.to_server.send(None);
        sent.map_err(|_| "the server is gone".to_owned())
    }
}

/// A client under TLS.
struct Talk<'a> {
    line: &'a Line,
    tls: ClientConnection,
}

impl Talk<'_> {
    /// Says it and returns the answer, which must hold `awaited`.
    fn say(&mut self, bytes: &[u8], awaited: &str) -> Result<String, String> {
        let said = self.tls.writer().write_all(bytes);
        said.map_err(|e| e.to_string())?;
        let mut heard = String::new();
        while self.tls.wants_write() {
            let mut out = Vec::new();
            self.tls.write_tls(&mut out).map_err(|e| e.to_string())?;
            let answer = self.line.ask(out)?;
            let mut answer = &answer[..];
            while !answer.is_empty() {
                self.tls.read_tls(&mut answer).map_err(|e| e.to_string())?;
                self.tls.process_new_packets().map_err(|e| e.to_string())?;
            }
            let mut plain = Vec::new();
            // It ends with WouldBlock when all is read.
            let _ = self.tls.reader().read_to_end(&mut plain);
            heard.push_str(&String::from_utf8(plain).map_err(|e| e.to_string())?);
        }
        if heard.contains(awaited) {
            return Ok(heard);
        }
        Err(format!("no {awaited} in {heard}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_without_sockets_come_about() {
        let said = ManyArguments { sessions: 40 }.run().unwrap();
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["sessions"], 40);
        assert!(said["KiB after"].as_u64() >= said["KiB before"].as_u64());
    }
}
