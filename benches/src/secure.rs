//! Sign-ins under TLS without sockets: shards with the server's own TLS pump on one side, a client of rustls on the other. Each
//! side is a function from bytes to bytes, so who measures can tell what either costs.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use spec_tests::ca::Authority;
use spec_tests::server::Scratch;
use spondee_core::jid::Domain;
use spondee_core::port::Opening;
use spondee_core::testing::Peer;
use spondee_shell_common::tls::{Policies, Pump, TlsHosts};

use crate::load::Security;
use crate::scenarios::{
    HEADER, HOST, Many, PASSWORD, RESOURCE, STARTTLS, auth, bind, content, response,
};
use crate::scram::Account;

/// A server without sockets.
pub struct Host {
    shards: Many,
    hosts: Arc<TlsHosts>,
    name: Domain,
    plain: Vec<u8>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// What a server keeps of a connection.
#[derive(Debug)]
pub struct Guest {
    peer: Peer,
    pump: Option<Pump>,
}

impl Host {
    /// With a certificate of its own and these accounts, all with [`PASSWORD`].
    ///
    /// # Errors
    /// The certificate cannot be made.
    pub fn new(shards: u16, accounts: impl Iterator<Item = String>) -> Result<Self, String> {
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        Authority::new(scratch.path())
            .and_then(|authority| authority.issue(scratch.path(), HOST))
            .map_err(|e| e.to_string())?;
        let name = Domain::parse(HOST).map_err(|e| e.to_string())?;
        let loaded = TlsHosts::load(
            scratch.path(),
            std::slice::from_ref(&name),
            &Policies::default(),
        );
        if !loaded.tls.has(&name) {
            return Err(format!("the certificate cannot be used: {loaded:?}"));
        }
        Ok(Self {
            shards: Many::new(shards, accounts),
            hosts: Arc::new(loaded.tls),
            name,
            plain: Vec::new(),
        })
    }

    /// Someone who will sign in to this account.
    pub fn accept(&mut self, account: &str) -> Guest {
        Guest {
            peer: self.shards.accept(account),
            pump: None,
        }
    }

    /// Takes what a client says, and returns the answer.
    ///
    /// # Errors
    /// TLS fails.
    pub fn take(&mut self, guest: &mut Guest, mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        let peer = guest.peer;
        let Some(pump) = &mut guest.pump else {
            let out = self.shards.bytes(peer, &bytes);
            if bytes == STARTTLS.as_bytes() {
                let hosts = Arc::clone(&self.hosts);
                guest.pump = Some(Pump::new(hosts, Some(self.name.clone()), Opening::Clear));
            }
            return Ok(out);
        };
        let mut out = Vec::new();
        self.plain.clear();
        let received = pump.receive(&mut bytes, &mut self.plain, &mut out);
        if let Some(tls) = received.map_err(|e| e.message)?.secured {
            self.shards.secured(peer, tls);
        }
        let said = self.shards.bytes(peer, &self.plain);
        if !said.is_empty() {
            pump.send(&said, &mut out).map_err(|e| e.message)?;
        }
        Ok(out)
    }

    /// The client is gone.
    pub fn close(&mut self, guest: &Guest) {
        self.shards.close(guest.peer);
    }
}

/// A client that has signed in. `A` brings bytes to the server and the answer back.
#[derive(Debug)]
pub struct Talk<A> {
    ask: A,
    tls: ClientConnection,
}

impl<A: FnMut(Vec<u8>) -> Result<Vec<u8>, String>> Talk<A> {
    /// STARTTLS, SCRAM-SHA-256, bind.
    ///
    /// # Errors
    /// The server refuses.
    pub fn sign_in(
        account: &mut Account,
        resource: &str,
        config: &Arc<ClientConfig>,
        mut ask: A,
    ) -> Result<Self, String> {
        ask(HEADER.to_vec())?;
        ask(STARTTLS.as_bytes().to_vec())?;
        let server = ServerName::try_from(HOST).map_err(|e| e.to_string())?;
        let tls = ClientConnection::new(Arc::clone(config), server);
        let tls = tls.map_err(|e| e.to_string())?;
        let mut talk = Self { ask, tls };
        talk.say(HEADER, "</stream:features>")?;
        let nonce = format!("generated{resource}");
        let challenge = talk.say(
            auth("SCRAM-SHA-256", &account.first(&nonce)).as_bytes(),
            "</challenge>",
        )?;
        let challenge = content(&challenge, "challenge").ok_or("no challenge")?;
        let (answer, proven) = account.answer(&nonce, challenge)?;
        let success = talk.say(response(&answer).as_bytes(), "</success>")?;
        if !content(&success, "success").is_some_and(|last| proven.holds(last)) {
            return Err(format!("no true signature in {success}"));
        }
        talk.say(HEADER, "</stream:features>")?;
        talk.say(bind(resource).as_bytes(), "</jid>")?;
        Ok(talk)
    }

    /// Says it and returns the answer, which must hold `awaited`.
    ///
    /// # Errors
    /// It does not.
    pub fn say(&mut self, bytes: &[u8], awaited: &str) -> Result<String, String> {
        let said = self.tls.writer().write_all(bytes);
        said.map_err(|e| e.to_string())?;
        let mut heard = String::new();
        while self.tls.wants_write() {
            let mut out = Vec::new();
            self.tls.write_tls(&mut out).map_err(|e| e.to_string())?;
            let answer = (self.ask)(out)?;
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

/// Whole sign-ins under TLS 1.3, one after the other, of which the server's part is timed.
#[derive(Debug)]
pub struct SecureSignIn {
    host: Host,
    config: Arc<ClientConfig>,
    account: Account,
    count: usize,
}

impl SecureSignIn {
    /// # Errors
    /// The server's certificate cannot be made.
    pub fn new() -> Result<Self, String> {
        let name = "juliet";
        let Security::StartTls(config) = Security::start_tls() else {
            return Err("clients have no TLS".to_owned());
        };
        Ok(Self {
            host: Host::new(1, std::iter::once(name.to_owned()))?,
            config,
            account: Account::new(name, PASSWORD),
            count: 0,
        })
    }

    /// Signs in once and goes; returns the time that the server's side took.
    ///
    /// # Errors
    /// The server refuses.
    pub fn run(&mut self) -> Result<Duration, String> {
        self.count += 1;
        let resource = format!("{RESOURCE}{}", self.count);
        let host = &mut self.host;
        let begun = Instant::now();
        let mut guest = host.accept(self.account.name());
        let mut spent = begun.elapsed();
        let ask = |bytes| {
            let begun = Instant::now();
            let answer = host.take(&mut guest, bytes);
            spent += begun.elapsed();
            answer
        };
        Talk::sign_in(&mut self.account, &resource, &self.config, ask)?;
        let begun = Instant::now();
        host.close(&guest);
        drop(guest);
        Ok(spent + begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_in_under_tls_again_and_again() {
        let mut scenario = SecureSignIn::new().unwrap();
        for _ in 0..60 {
            scenario.run().unwrap();
        }
    }
}
