//! One client's connection: signs in, then sends stanzas and counts those that come.
//!
//! As light as can be, so that one thread can load a server with several: it looks for the end tags it waits for and parses
//! nothing.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use memchr::{memchr, memmem};
use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion, SignatureScheme,
};
use socket2::SockRef;

use super::heard::Heard;
use super::managed::{ENABLE, Managed, REQUEST};
use super::target::By;
use crate::scenarios::{HEADER, HOST, STARTTLS, auth, bind, content, response};
use crate::scram::{Account, Proven};

const MESSAGE_END: &[u8] = b"</message>";
const IQ_END: &[u8] = b"</iq>";
const ROSTER_END: &[u8] = b"</query></iq>";
const RESULT: &[u8] = b"type='result'";

/// Whether a client starts TLS.
#[derive(Clone, Debug)]
pub enum Security {
    /// It stays in clear.
    Clear,
    /// STARTTLS, a full handshake each time.
    StartTls(Arc<ClientConfig>),
}

impl Security {
    /// STARTTLS with a client that believes every certificate: whether the server's is right is not measured, and checking it
    /// would cost the generator as much as the whole handshake costs the server.
    ///
    /// # Panics
    /// Never: the versions are known to the provider.
    #[must_use]
    pub fn start_tls() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider's own versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Self::StartTls(Arc::new(config))
    }
}

/// What a server makes of its clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialogue {
    /// XMPP.
    Xmpp,
    /// The same bytes for everybody, in the shape of XMPP: there is nothing to be verified.
    Canned,
    /// TLS from the first byte, and nothing in it.
    Handshake,
}

/// See the module.
#[derive(Debug)]
pub struct Client {
    socket: TcpStream,
    index: usize,
    tls: Option<Box<ClientConnection>>,
    /// Clear bytes the socket did not take.
    unsent: Vec<u8>,
    /// What came and is not yet understood.
    inbox: Vec<u8>,
    phase: Phase,
    security: Security,
    dialogue: Dialogue,
    /// An index into the crowd's accounts.
    account: usize,
    resource: String,
    nonce: String,
    by: By,
    management: Management,
    /// Under stream management.
    managed: Option<Box<Managed>>,
}

/// Whether sessions are under stream management.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Management {
    /// They are not.
    Off,
    /// They are, may be resumed, and ask for an acknowledgement behind every so many stanzas.
    On(u32),
}

/// A session that has lost its connection.
#[derive(Debug)]
pub struct Severed {
    /// An index into the crowd's accounts.
    pub(super) account: usize,
    /// Its resource.
    pub(super) resource: String,
    managed: Box<Managed>,
}

/// What it waits for.
#[derive(Debug)]
enum Phase {
    /// The end of a handshake behind which nothing comes.
    Handshake,
    /// Features of a stream without TLS that is to have it.
    FeaturesInClear,
    Proceed,
    FeaturesForSasl,
    Challenge,
    Success(Proven),
    /// The end of a sign-in by PLAIN, in which the server proves nothing.
    Accepted,
    FeaturesForBind,
    Bind,
    Enabled,
    Resumed,
    Bound,
    Closing,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Arrived {
    /// Nothing more for now.
    Nothing,
    /// Bytes.
    Some,
    /// The end of the connection.
    End,
}

/// What became of the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Advanced {
    /// A step of the sign-in, or none.
    On,
    /// The session has just begun.
    Bound,
    /// Stanzas for the scenario.
    Stanzas,
}

impl Client {
    pub(super) fn new(
        socket: TcpStream,
        index: usize,
        account: usize,
        resource: String,
        (security, dialogue, by, management): (Security, Dialogue, By, Management),
    ) -> Result<Self, String> {
        let phase = match (dialogue, &security) {
            (Dialogue::Handshake, _) => Phase::Handshake,
            (Dialogue::Xmpp | Dialogue::Canned, Security::Clear) => Phase::FeaturesForSasl,
            (Dialogue::Xmpp | Dialogue::Canned, Security::StartTls(_)) => Phase::FeaturesInClear,
        };
        let mut client = Self {
            socket,
            index,
            tls: None,
            unsent: Vec::new(),
            inbox: Vec::new(),
            phase,
            nonce: format!("generatedload{index:012}"),
            security,
            dialogue,
            account,
            resource,
            by,
            management,
            managed: None,
        };
        // The socket is not connected yet: both go out when it is writable.
        match dialogue {
            Dialogue::Handshake => client.start_tls()?,
            Dialogue::Xmpp | Dialogue::Canned => client.unsent = HEADER.to_vec(),
        }
        Ok(client)
    }

    /// One that goes on with a session.
    pub(super) fn resuming(mut self, severed: Severed) -> Self {
        self.managed = Some(severed.managed);
        self
    }

    /// Its connection is reset; what is left of its session.
    pub(super) fn cut(mut self) -> Result<Severed, String> {
        let mut managed = self.managed.take().ok_or("nobody could resume it")?;
        managed.cut();
        // What closes a socket that does not linger is a reset.
        let socket = SockRef::from(&self.socket);
        let set = socket.set_linger(Some(Duration::ZERO));
        set.map_err(|e| self.broken(&e))?;
        Ok(Severed {
            account: self.account,
            resource: self.resource,
            managed,
        })
    }

    pub(super) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpStream::connect(address)?;
        // Each stanza leaves as it is written, as with every chat client.
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    pub(super) const fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Its number in the crowd.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Its account's number.
    #[must_use]
    pub const fn account(&self) -> usize {
        self.account
    }

    /// Its own full address, given that account.
    #[must_use]
    pub fn address(&self, accounts: &[Account]) -> String {
        format!("{}@{HOST}/{}", accounts[self.account].name(), self.resource)
    }

    /// Its resource.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// Writes one stanza, or what belongs to a sign-in; under TLS as one record. What the socket does not take waits.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        if let (Some(managed), Phase::Bound) = (&mut self.managed, &self.phase)
            && managed.count_sent()
        {
            return self.write(&[bytes, REQUEST].concat());
        }
        self.write(bytes)
    }

    /// Asks what the server has handled, if it is under stream management.
    pub(super) fn ask(&mut self) -> Result<(), String> {
        match self.managed {
            Some(_) => self.write(REQUEST),
            None => Ok(()),
        }
    }

    /// Whether the server has said that it handled all that was sent, if it says such things.
    pub(super) fn is_agreed(&self) -> bool {
        self.managed
            .as_ref()
            .is_none_or(|managed| managed.is_agreed())
    }

    /// How often the server has asked what came.
    pub(super) fn requests(&self) -> usize {
        self.managed
            .as_ref()
            .map_or(0, |managed| managed.requests())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes).map_err(|e| e.to_string())?,
            None => self.unsent.extend_from_slice(bytes),
        }
        self.flush()
    }

    /// Ends the stream; the server answers and closes.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn close(&mut self) -> Result<(), String> {
        self.phase = Phase::Closing;
        match self.dialogue {
            Dialogue::Xmpp | Dialogue::Canned => {
                // XEP-0198 §4 recommends to say what came before the end.
                let last = self.managed.as_ref();
                let mut last = last.map_or_else(Vec::new, |managed| managed.acknowledgement());
                last.extend_from_slice(b"</stream:stream>");
                self.write(&last)
            }
            Dialogue::Handshake => {
                let shut = self.socket.shutdown(Shutdown::Write);
                shut.map_err(|e| self.broken(&e))
            }
        }
    }

    /// How many messages came since it was last asked.
    ///
    /// # Errors
    /// Something came that is no ordinary message.
    pub fn take_messages(&mut self) -> Result<usize, String> {
        let mut count = 0;
        let mut end = 0;
        for at in memmem::find_iter(&self.inbox, MESSAGE_END) {
            count += 1;
            end = at + MESSAGE_END.len();
        }
        if memmem::find(&self.inbox[..end], b"<error").is_some() {
            return Err(self.unexpected("a message refused"));
        }
        self.inbox.drain(..end);
        if count == 0 && memmem::find(&self.inbox, b"<stream:error").is_some() {
            return Err(self.unexpected("a stream error"));
        }
        Ok(count)
    }

    /// Takes every message that came whole since it was last asked; other stanzas between them are passed over.
    ///
    /// # Errors
    /// A message was refused, or the stream, or what `each` says.
    pub fn take_each_message(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        self.nothing_refused()?;
        let mut end = 0;
        for at in memmem::find_iter(&self.inbox, MESSAGE_END) {
            each(&self.inbox[end..at])?;
            end = at + MESSAGE_END.len();
        }
        self.inbox.drain(..end);
        Ok(())
    }

    /// Takes what came up to the end of the first iq and with it, if it came whole, and gives it to `take`.
    ///
    /// # Errors
    /// A request was refused, or the stream, or what `take` says.
    pub fn take_up_to_iq<T>(
        &mut self,
        take: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        self.nothing_refused()?;
        let Some(at) = memmem::find(&self.inbox, IQ_END) else {
            return Ok(None);
        };
        let end = at + IQ_END.len();
        let taken = take(&self.inbox[..end])?;
        self.inbox.drain(..end);
        Ok(Some(taken))
    }

    /// How many results of requests came since it was last asked. What else came, pushes among it, is passed over.
    ///
    /// # Errors
    /// A request was refused, or the stream.
    pub fn take_results(&mut self) -> Result<usize, String> {
        self.nothing_refused()?;
        let (mut count, mut end) = (0, 0);
        for at in memmem::find_iter(&self.inbox, RESULT) {
            count += 1;
            end = at + RESULT.len();
        }
        self.inbox.drain(..end);
        Ok(count)
    }

    /// How many contacts the roster has that came since it was last asked, if one came whole.
    ///
    /// # Errors
    /// The request was refused, or the stream.
    pub fn take_roster(&mut self) -> Result<Option<usize>, String> {
        self.nothing_refused()?;
        let Some(at) = memmem::find(&self.inbox, ROSTER_END) else {
            return Ok(None);
        };
        let contacts = memmem::find_iter(&self.inbox[..at], b"<item ").count();
        self.inbox.drain(..at + ROSTER_END.len());
        Ok(Some(contacts))
    }

    /// Takes every stanza that came whole since it was last asked.
    ///
    /// # Errors
    /// One is an error, or the stream ended with one, or what `each` says.
    pub fn take_stanzas(
        &mut self,
        mut each: impl FnMut(&Heard<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut end = 0;
        while let Some((heard, size)) = Heard::first(&self.inbox[end..])? {
            if heard.name == "stream:error" || heard.attribute("type") == Some("error") {
                return Err(self.unexpected("a refusal"));
            }
            each(&heard)?;
            end += size;
        }
        self.inbox.drain(..end);
        Ok(())
    }

    fn nothing_refused(&self) -> Result<(), String> {
        let said = |what: &[u8]| memmem::find(&self.inbox, what).is_some();
        match said(b"type='error'") || said(b"<stream:error") {
            true => Err(self.unexpected("a refusal")),
            false => Ok(()),
        }
    }

    /// Pushes what waits into the socket.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(e) if is_not_now(&e) => return Ok(()),
                Err(e) => return Err(self.broken(&e)),
            }
        }
        self.unsent = Vec::new();
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(e) if is_not_now(&e) => return Ok(()),
                Err(e) => return Err(self.broken(&e)),
            }
        }
        Ok(())
    }

    /// Reads once. `scratch` is the thread's.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Result<Arrived, String> {
        let inbox = match (&mut self.managed, &self.phase) {
            (Some(managed), Phase::Bound) => managed.raw(),
            (Some(_) | None, _) => &mut self.inbox,
        };
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(scratch) {
                Ok(0) => Ok(Arrived::End),
                Ok(count) => {
                    inbox.extend_from_slice(&scratch[..count]);
                    Ok(Arrived::Some)
                }
                Err(e) => self.failed(&e),
            };
        };
        match tls.read_tls(&mut self.socket) {
            Ok(0) => return Ok(Arrived::End),
            Ok(_) => {}
            Err(e) => return self.failed(&e),
        }
        let state = tls.process_new_packets().map_err(|e| e.to_string())?;
        let mut left = state.plaintext_bytes_to_read();
        while left > 0 {
            let count = tls.reader().read(scratch).map_err(|e| e.to_string())?;
            inbox.extend_from_slice(&scratch[..count]);
            left = left.saturating_sub(count.max(1));
        }
        self.flush()?;
        Ok(Arrived::Some)
    }

    /// Goes as far as what came allows.
    pub(super) fn advance(&mut self, accounts: &mut [Account]) -> Result<Advanced, String> {
        loop {
            let awaited: &[u8] = match &self.phase {
                Phase::FeaturesInClear | Phase::FeaturesForSasl | Phase::FeaturesForBind => {
                    b"</stream:features>"
                }
                Phase::Proceed => b"<proceed",
                Phase::Challenge => b"</challenge>",
                Phase::Success(_) => b"</success>",
                Phase::Accepted => b"<success",
                Phase::Bind => b"</iq>",
                Phase::Enabled => b"<enabled",
                Phase::Resumed => b"<resumed",
                Phase::Handshake if self.is_handshaking() => return Ok(Advanced::On),
                Phase::Handshake => {
                    self.phase = Phase::Bound;
                    return Ok(Advanced::Bound);
                }
                Phase::Bound => {
                    self.sort()?;
                    return Ok(Advanced::Stanzas);
                }
                Phase::Closing => {
                    self.inbox.clear();
                    return Ok(Advanced::On);
                }
            };
            let Some(at) = memmem::find(&self.inbox, awaited) else {
                return self.refused();
            };
            // `<proceed …/>` is short and comes whole; what follows it would be TLS.
            let end = if matches!(self.phase, Phase::Proceed) {
                self.inbox.len()
            } else if awaited.ends_with(b">") {
                at + awaited.len()
            } else if let Some(bracket) = memchr(b'>', &self.inbox[at..]) {
                at + bracket + 1
            } else {
                return Ok(Advanced::On);
            };
            let heard: Vec<u8> = self.inbox.drain(..end).collect();
            let heard = String::from_utf8(heard).map_err(|e| e.to_string())?;
            self.step(&heard, accounts)?;
            if let Phase::Bound = self.phase {
                if let Some(managed) = &mut self.managed {
                    managed.raw().append(&mut self.inbox);
                }
                return Ok(Advanced::Bound);
            }
        }
    }

    fn step(&mut self, heard: &str, accounts: &mut [Account]) -> Result<(), String> {
        let account = &mut accounts[self.account];
        let missing = |what: &str| format!("no {what} in {heard}");
        match std::mem::replace(&mut self.phase, Phase::Closing) {
            Phase::FeaturesInClear => {
                self.phase = Phase::Proceed;
                self.send(STARTTLS.as_bytes())
            }
            Phase::Proceed => {
                self.phase = Phase::FeaturesForSasl;
                self.secure()
            }
            Phase::FeaturesForSasl => self.authenticate(heard, account),
            Phase::Accepted => {
                self.phase = Phase::FeaturesForBind;
                self.send(HEADER)
            }
            Phase::Challenge => {
                let challenge = content(heard, "challenge").ok_or_else(|| missing("challenge"))?;
                let (answer, proven) = account.answer(&self.nonce, challenge)?;
                self.phase = Phase::Success(proven);
                self.send(response(&answer).as_bytes())
            }
            Phase::Success(proven) => {
                let last = content(heard, "success").ok_or_else(|| missing("success"))?;
                if self.dialogue == Dialogue::Xmpp && !proven.holds(last) {
                    return Err(missing("true signature"));
                }
                self.phase = Phase::FeaturesForBind;
                self.send(HEADER)
            }
            Phase::FeaturesForBind => {
                let former = self.managed.as_ref().map(|managed| managed.resume());
                let (phase, request) = match former {
                    Some(resume) => (Phase::Resumed, resume),
                    None => (Phase::Bind, bind(&self.resource)),
                };
                self.phase = phase;
                self.send(request.as_bytes())
            }
            Phase::Bind => {
                content(heard, "jid").ok_or_else(|| missing("address"))?;
                self.manage()
            }
            Phase::Enabled => {
                if let Management::On(every) = self.management {
                    self.managed = Some(Box::new(Managed::enabled(heard, every)?));
                }
                self.phase = Phase::Bound;
                Ok(())
            }
            Phase::Resumed => {
                let managed = self.managed.as_mut();
                managed.ok_or("nothing to be resumed")?.resumed(heard)?;
                self.phase = Phase::Bound;
                Ok(())
            }
            Phase::Handshake | Phase::Bound | Phase::Closing => Ok(()),
        }
    }

    fn authenticate(&mut self, heard: &str, account: &Account) -> Result<(), String> {
        let version = self.tls.as_ref().map(|tls| tls.protocol_version());
        if version.is_some_and(|version| version != Some(ProtocolVersion::TLSv1_3)) {
            return Err("TLS is not 1.3".to_owned());
        }
        let (mechanism, phase, first) = match self.by {
            By::Scram => {
                let first = account.first(&self.nonce);
                ("SCRAM-SHA-256", Phase::Challenge, first)
            }
            By::Plain => ("PLAIN", Phase::Accepted, account.plain()),
        };
        if !heard.contains(&format!("<mechanism>{mechanism}<")) {
            return Err(format!("no {mechanism} in {heard}"));
        }
        self.phase = phase;
        self.send(auth(mechanism, &first).as_bytes())
    }

    /// Has a resource; stream management comes next, if there is to be any.
    fn manage(&mut self) -> Result<(), String> {
        match self.management {
            Management::Off => {
                self.phase = Phase::Bound;
                Ok(())
            }
            Management::On(_) => {
                self.phase = Phase::Enabled;
                self.write(ENABLE)
            }
        }
    }

    /// Starts TLS; the next stream's header goes out right behind the handshake.
    fn secure(&mut self) -> Result<(), String> {
        self.start_tls()?;
        self.send(HEADER)
    }

    fn start_tls(&mut self) -> Result<(), String> {
        let Security::StartTls(config) = &self.security else {
            return Ok(());
        };
        let name = ServerName::try_from(HOST).map_err(|e| e.to_string())?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(|e| e.to_string())?;
        let mut tls = Box::new(tls);
        tls.set_buffer_limit(None);
        self.tls = Some(tls);
        Ok(())
    }

    /// Tells stanzas from what manages the stream, and answers that. Whether there are any.
    pub(super) fn sort(&mut self) -> Result<bool, String> {
        if let Some(managed) = &mut self.managed {
            let answers = managed.sort(&mut self.inbox)?;
            if !answers.is_empty() {
                self.write(&answers)?;
            }
        }
        Ok(!self.inbox.is_empty())
    }

    fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// What is awaited is not there: it may still come, unless the server said no.
    fn refused(&self) -> Result<Advanced, String> {
        let said = |what: &[u8]| memmem::find(&self.inbox, what).is_some();
        if said(b"<failure") || said(b"<failed") {
            return Err(self.unexpected("a refusal"));
        }
        self.nothing_refused()?;
        Ok(Advanced::On)
    }

    /// A read that failed.
    fn failed(&self, error: &io::Error) -> Result<Arrived, String> {
        if is_not_now(error) {
            Ok(Arrived::Nothing)
        } else if matches!(self.phase, Phase::Closing) {
            Ok(Arrived::End)
        } else {
            Err(self.broken(error))
        }
    }

    /// The server ended the connection: well only if the client asked for it.
    pub(super) fn ended(&self) -> Result<(), String> {
        if matches!(self.phase, Phase::Closing) {
            Ok(())
        } else {
            Err(self.unexpected("the end of the connection"))
        }
    }

    fn broken(&self, error: &io::Error) -> String {
        format!(
            "client {}, waiting for {:?}: {error}",
            self.index, self.phase
        )
    }

    fn unexpected(&self, what: &str) -> String {
        let heard = String::from_utf8_lossy(&self.inbox);
        format!(
            "client {}, waiting for {:?}: {what}: {heard}",
            self.index, self.phase
        )
    }
}

fn is_not_now(error: &io::Error) -> bool {
    // Not connected: the handshake of TCP is still under way.
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
    )
}

/// Believes everything.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ED25519,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PKCS1_SHA256,
        ]
    }
}
