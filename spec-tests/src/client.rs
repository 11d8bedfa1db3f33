//! A strict little XMPP client over real sockets, blocking, for tests.
//!
//! It verifies certificates, checks every byte through the reference parser and the server's SCRAM signature, and fails with a
//! sentence at the first thing that is not as RFC 6120 has it. It never waits without a deadline.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned};
use sha2::digest::Digest as _;
use spondee_core::sasl::{Mechanism, Plus};

use crate::element::{BIND, CLIENT, Element, Item, Reader, SASL, STREAMS, TLS, escape};
use crate::sasl::{Binding, Scram, digest_response, encode, plain};

/// How long a test waits for one answer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a client trusts.
#[derive(Clone, Debug)]
pub struct Trust {
    roots: Arc<RootCertStore>,
    /// What the client shows of itself, where it is asked.
    shows: Option<Arc<SingleCertAndKey>>,
}

impl Trust {
    /// The certificates of this PEM text: an authority's, or a self-signed server's own.
    ///
    /// # Errors
    /// There is none, or one cannot be a root.
    pub fn pem(pem: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|e| e.to_string())?;
            roots.add(certificate).map_err(|e| e.to_string())?;
        }
        if roots.is_empty() {
            return Err("no certificate in the PEM text".to_owned());
        }
        Ok(Self {
            roots: Arc::new(roots),
            shows: None,
        })
    }

    /// The same of a client that shows these certificates, its own first, whatever authorities the server names.
    ///
    /// # Errors
    /// The PEM text is none.
    pub fn showing(&self, certificates: &str, key: &str) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
        let chain = chain.map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| e.to_string())?;
        let key = any_supported_type(&key).map_err(|e| e.to_string())?;
        let shows = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        Ok(Self {
            roots: self.roots.clone(),
            shows: Some(Arc::new(shows)),
        })
    }

    /// What a client with this trust says hello with, for tests that speak TLS themselves.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config(&Versions::Both, &[])
    }

    fn config(&self, versions: &Versions, alpn: &[&str]) -> Result<Arc<ClientConfig>, String> {
        let versions: &[&rustls::SupportedProtocolVersion] = match versions {
            Versions::Both => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Versions::Only12 => &[&rustls::version::TLS12],
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|e| e.to_string())?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        if let Some(shows) = &self.shows {
            config.client_auth_cert_resolver = shows.clone();
        }
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// Which versions of TLS a client offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Versions {
    /// 1.2 and 1.3.
    Both,
    /// 1.2 alone.
    Only12,
}

/// What a client binds its sign-in to, where its mechanism is a -PLUS, and what it says where it is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BindTo {
    /// `tls-exporter` (RFC 9266 §2).
    Exporter,
    /// `tls-server-end-point` (RFC 5929 §4).
    EndPoint,
    /// Nothing: it could, and was offered nothing to bind to.
    Unoffered,
    /// As if somebody sat in between: the right type with other data.
    Tampered(&'static str),
}

#[derive(Debug)]
enum Transport {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One connection to a server.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    trust: Trust,
    versions: Versions,
    host: String,
    /// Which host TLS asks for (SNI), if it is another.
    server_name: Option<String>,
    reader: Reader,
}

impl Client {
    /// Connects in the clear, for STARTTLS.
    ///
    /// # Errors
    /// What failed, in words; so with all functions here.
    pub fn connect(address: SocketAddr, host: &str, trust: &Trust) -> Result<Self, String> {
        let socket =
            TcpStream::connect_timeout(&address, PATIENCE).map_err(|e| format!("connect: {e}"))?;
        Self::over(socket, host, trust)
    }

    /// The same over a connection that is there.
    ///
    /// # Errors
    /// It is broken already.
    pub fn over(socket: TcpStream, host: &str, trust: &Trust) -> Result<Self, String> {
        socket.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Self {
            transport: Transport::Clear(socket),
            trust: trust.clone(),
            versions: Versions::Both,
            host: host.to_owned(),
            server_name: None,
            reader: Reader::new(),
        })
    }

    /// Connects with TLS first (XEP-0368 §3), ALPN as given.
    ///
    /// # Errors
    /// What failed.
    pub fn connect_tls(
        address: SocketAddr,
        host: &str,
        trust: &Trust,
        alpn: &[&str],
    ) -> Result<Self, String> {
        let mut client = Self::connect(address, host, trust)?;
        client.tls_first(alpn)?;
        Ok(client)
    }

    /// The same for one that is connected.
    ///
    /// # Errors
    /// What failed.
    pub fn tls_first(&mut self, alpn: &[&str]) -> Result<(), String> {
        self.handshake(alpn)
    }

    /// Offers only these versions of TLS.
    #[must_use]
    pub const fn with_versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Asks for another host in TLS (SNI) than in the header of the stream.
    #[must_use]
    pub fn with_server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.to_owned());
        self
    }

    /// Opens a stream and returns its header and features.
    ///
    /// # Errors
    /// What failed.
    pub fn open(&mut self) -> Result<(Element, Element), String> {
        self.reader = Reader::new();
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>",
            escape(&self.host)
        );
        self.send(&header)?;
        let header = match self.next_item(PATIENCE)? {
            Item::Open(header) if header.is(STREAMS, "stream") => header,
            other @ (Item::Open(_) | Item::Element(_) | Item::Close) => {
                return Err(format!("expected a stream header, not {other}"));
            }
        };
        let host = self.host.clone();
        for (name, value) in [("version", "1.0"), ("from", host.as_str())] {
            if header.attribute(name) != Some(value) {
                return Err(format!("{name} of the header is not {value:?}: {header}"));
            }
        }
        if header.attribute("id").is_none_or(str::is_empty) {
            return Err(format!("no id in the header: {header}"));
        }
        let features = self.next(PATIENCE)?;
        if features.is(STREAMS, "features") {
            Ok((header, features))
        } else {
            Err(format!("expected features, not {features}"))
        }
    }

    /// Negotiates STARTTLS (RFC 6120 §5.4) up to the finished handshake. `open` is next.
    ///
    /// # Errors
    /// What failed.
    pub fn starttls(&mut self) -> Result<(), String> {
        self.send(&format!("<starttls xmlns='{TLS}'/>"))?;
        let answer = self.next(PATIENCE)?;
        if !answer.is(TLS, "proceed") {
            return Err(format!("expected proceed, not {answer}"));
        }
        self.handshake(&[])
    }

    /// Signs in. Returns the features of the stream after it.
    ///
    /// # Errors
    /// What failed; a `<failure/>` is named as `failure: CONDITION`.
    pub fn sign_in(
        &mut self,
        user: &str,
        password: &str,
        mechanism: Mechanism,
        bind_to: BindTo,
    ) -> Result<Element, String> {
        if mechanism == Mechanism::DigestMd5 {
            return self.sign_in_by_digest(user, password);
        }
        let nonce = format!("n{}", NONCES.fetch_add(1, Ordering::Relaxed));
        let binding = match mechanism {
            Mechanism::Scram(_, Plus::Yes) => self.binding(bind_to)?,
            Mechanism::Scram(_, Plus::No) if bind_to == BindTo::Unoffered => Binding::ServerCannot,
            Mechanism::Scram(_, Plus::No)
            | Mechanism::Plain
            | Mechanism::DigestMd5
            | Mechanism::External
            | Mechanism::Anonymous => Binding::Unsupported,
        };
        let scram = Scram::new(mechanism, user, password, &nonce, binding);
        let first = match &scram {
            Some(scram) => scram.first(),
            None if mechanism == Mechanism::Anonymous => String::new(),
            None if mechanism == Mechanism::External => "=".to_owned(),
            None => plain(user, password),
        };
        self.send(&format!(
            "<auth xmlns='{SASL}' mechanism='{}'>{first}</auth>",
            mechanism.name()
        ))?;
        let Some(scram) = scram else {
            self.sasl_answer("success")?;
            return Ok(self.open()?.1);
        };
        let challenge = self.sasl_answer("challenge")?;
        let (response, signed) = scram.respond(&challenge)?;
        self.send(&format!("<response xmlns='{SASL}'>{response}</response>"))?;
        let last = self.sasl_answer("success")?;
        signed.verify(&last)?;
        Ok(self.open()?.1)
    }

    /// By DIGEST-MD5: the server proves itself, too (RFC 2831 §2.1.3), before it is told that this is enough.
    fn sign_in_by_digest(&mut self, user: &str, password: &str) -> Result<Element, String> {
        self.send(&format!("<auth xmlns='{SASL}' mechanism='DIGEST-MD5'/>"))?;
        let challenge = self.sasl_answer("challenge")?;
        let (response, proof) = digest_response(&challenge, &self.host, user, password)?;
        self.send(&format!("<response xmlns='{SASL}'>{response}</response>"))?;
        let proven = self.sasl_answer("challenge")?;
        if proven != proof {
            return Err(format!("the server does not know the password: {proven}"));
        }
        self.send(&format!("<response xmlns='{SASL}'/>"))?;
        self.sasl_answer("success")?;
        Ok(self.open()?.1)
    }

    /// Binds a resource and returns the full address (RFC 6120 §7.6, §7.7).
    ///
    /// # Errors
    /// What failed.
    pub fn bind(&mut self, resource: Option<&str>) -> Result<String, String> {
        let resource = resource.map_or_else(String::new, |name| {
            format!("<resource>{}</resource>", escape(name))
        });
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='{BIND}'>{resource}</bind></iq>"
        ))?;
        let answer = self.next(PATIENCE)?;
        let jid = answer
            .child(BIND, "bind")
            .and_then(|bind| bind.child(BIND, "jid"))
            .map(Element::text);
        match (answer.attribute("type"), jid) {
            (Some("result"), Some(jid)) => Ok(jid),
            _ => Err(format!("expected a bound address, not {answer}")),
        }
    }

    /// Everything up to a bound session over STARTTLS, by the strongest SCRAM without channel binding.
    ///
    /// # Errors
    /// What failed.
    pub fn session(
        address: SocketAddr,
        host: &str,
        trust: &Trust,
        user: &str,
        password: &str,
    ) -> Result<Self, String> {
        let mut client = Self::connect(address, host, trust)?;
        let (_, features) = client.open()?;
        if features.child(TLS, "starttls").is_none() {
            return Err(format!("no starttls in {features}"));
        }
        client.starttls()?;
        let (_, features) = client.open()?;
        let mechanism = offered(&features)
            .into_iter()
            .filter(|mechanism| matches!(mechanism, Mechanism::Scram(_, Plus::No)))
            .min_by_key(|mechanism| Mechanism::ALL.iter().position(|m| m == mechanism))
            .ok_or_else(|| format!("no SCRAM in {features}"))?;
        client.sign_in(user, password, mechanism, BindTo::Exporter)?;
        client.bind(None)?;
        Ok(client)
    }

    /// Sends XML as it stands.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self, xml: &str) -> Result<(), String> {
        let sent = match &mut self.transport {
            Transport::Clear(socket) => socket.write_all(xml.as_bytes()),
            Transport::Tls(tls) => tls.write_all(xml.as_bytes()).and_then(|()| tls.flush()),
        };
        sent.map_err(|e| format!("send: {e}"))
    }

    /// The server begins a new stream with what comes next. `open` does this by itself.
    ///
    /// Bytes of the new stream that arrived with the end of the old one are kept.
    pub fn restarted(&mut self) {
        let unread = self.reader.take_unread();
        self.reader = Reader::new();
        self.reader.push(&unread);
    }

    /// The next element of the stream.
    ///
    /// # Errors
    /// None came in time, the stream ended, or it is not well-formed.
    pub fn next(&mut self, patience: Duration) -> Result<Element, String> {
        match self.next_item(patience)? {
            Item::Element(element) => Ok(element),
            other @ (Item::Open(_) | Item::Close) => {
                Err(format!("expected an element, not {other}"))
            }
        }
    }

    /// The next element, `None` if none comes for so long.
    ///
    /// # Errors
    /// The stream ended, or is not well-formed.
    pub fn poll(&mut self, patience: Duration) -> Result<Option<Element>, String> {
        match self.next(patience) {
            Ok(element) => Ok(Some(element)),
            Err(said) if said == NOTHING_CAME => Ok(None),
            Err(said) => Err(said),
        }
    }

    /// The next element for which `wanted` holds; others are passed over.
    ///
    /// # Errors
    /// As `next`.
    pub fn next_where(
        &mut self,
        patience: Duration,
        mut wanted: impl FnMut(&Element) -> bool,
    ) -> Result<Element, String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let element = self.next(left)?;
            if wanted(&element) {
                return Ok(element);
            }
        }
    }

    /// The next message with a body: its sender and the body.
    ///
    /// # Errors
    /// As `next`.
    pub fn next_body(&mut self, patience: Duration) -> Result<(String, String), String> {
        let message = self.next_where(patience, |element| {
            element.is(CLIENT, "message") && element.child(CLIENT, "body").is_some()
        })?;
        let from = message.attribute("from").unwrap_or_default().to_owned();
        let body = message.child(CLIENT, "body").map(Element::text);
        Ok((from, body.unwrap_or_default()))
    }

    /// The connection itself, for who reads more than can be parsed: of one without TLS, whose server has said nothing that was not read.
    ///
    /// # Errors
    /// It has TLS.
    pub fn into_socket(self) -> Result<TcpStream, String> {
        match self.transport {
            Transport::Clear(socket) => Ok(socket),
            Transport::Tls(_) => Err("there is TLS around it".to_owned()),
        }
    }

    /// Closes the stream and waits for the server's own close and its end of the connection (RFC 6120 §4.4).
    ///
    /// # Errors
    /// Anything else came.
    pub fn close(mut self) -> Result<(), String> {
        self.send("</stream:stream>")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next_item(deadline.saturating_duration_since(Instant::now()))? {
                Item::Close => return self.expect_end(),
                Item::Element(_) => {}
                Item::Open(header) => return Err(format!("a second header: {header}")),
            }
        }
    }

    /// Waits for the server to close the connection.
    ///
    /// # Errors
    /// It said something more, or nothing in time.
    pub fn expect_end(&mut self) -> Result<(), String> {
        match self.read(Instant::now() + PATIENCE)? {
            0 => Ok(()),
            _ => Err("bytes behind the end of the stream".to_owned()),
        }
    }

    /// The next item of the stream, header and end included.
    ///
    /// # Errors
    /// None came in time, or the stream is not well-formed.
    pub fn next_item(&mut self, patience: Duration) -> Result<Item, String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(item) = self.reader.next_item()? {
                return Ok(item);
            }
            if self.read(deadline)? == 0 {
                return Err("the server closed the connection".to_owned());
            }
        }
    }

    /// Reads as fast as it can, parsing nothing, until `mark` has come so often, and returns how often it came: fewer only if the stream
    /// ended. What is left unparsed is lost.
    ///
    /// # Errors
    /// Nothing came for so long.
    pub fn count(
        &mut self,
        mark: &str,
        wanted: usize,
        patience: Duration,
    ) -> Result<usize, String> {
        let mut buffer = vec![0; 256 * 1024];
        let finder = memchr::memmem::Finder::new(mark);
        let (mut kept, mut count) = (0, 0);
        while count < wanted {
            let came = self.read_into(&mut buffer[kept..], Instant::now() + patience)?;
            if came == 0 {
                break;
            }
            let text = &buffer[..kept + came];
            count += finder.find_iter(text).count();
            // A mark may be cut; one that was counted is longer than what is kept.
            let tail = text.len().saturating_sub(mark.len() - 1);
            let tail = tail..text.len();
            kept = tail.len();
            buffer.copy_within(tail, 0);
        }
        Ok(count)
    }

    /// Reads what there is into the reader; zero at the end of the connection.
    fn read(&mut self, deadline: Instant) -> Result<usize, String> {
        let mut buffer = [0; 16 * 1024];
        let count = self.read_into(&mut buffer, deadline)?;
        self.reader.push(&buffer[..count]);
        Ok(count)
    }

    fn read_into(&mut self, buffer: &mut [u8], deadline: Instant) -> Result<usize, String> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(NOTHING_CAME.to_owned());
        }
        let socket = match &self.transport {
            Transport::Clear(socket) => socket,
            Transport::Tls(tls) => &tls.sock,
        };
        socket
            .set_read_timeout(Some(left))
            .map_err(|e| e.to_string())?;
        let count = match &mut self.transport {
            Transport::Clear(socket) => socket.read(buffer),
            Transport::Tls(tls) => tls.read(buffer),
        };
        match count {
            Ok(count) => Ok(count),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(NOTHING_CAME.to_owned())
            }
            Err(e) => Err(format!("read: {e}")),
        }
    }

    fn handshake(&mut self, alpn: &[&str]) -> Result<(), String> {
        let Transport::Clear(socket) = &self.transport else {
            return Err("TLS twice".to_owned());
        };
        if !self.reader.is_at_boundary() {
            return Err("bytes before the handshake".to_owned());
        }
        let mut socket = socket.try_clone().map_err(|e| e.to_string())?;
        socket
            .set_read_timeout(Some(PATIENCE))
            .map_err(|e| e.to_string())?;
        let name = self.server_name.as_ref().unwrap_or(&self.host);
        let name = ServerName::try_from(name.clone()).map_err(|e| e.to_string())?;
        let config = self.trust.config(&self.versions, alpn)?;
        let mut tls = ClientConnection::new(config, name).map_err(|e| e.to_string())?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)
                .map_err(|e| format!("TLS: {e}"))?;
        }
        self.transport = Transport::Tls(Box::new(StreamOwned::new(tls, socket)));
        Ok(())
    }

    fn binding(&self, bind_to: BindTo) -> Result<Binding, String> {
        let Transport::Tls(tls) = &self.transport else {
            return Err("no TLS to bind to".to_owned());
        };
        match bind_to {
            BindTo::Exporter => {
                if tls.conn.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
                    return Err("tls-exporter needs TLS 1.3".to_owned());
                }
                tls.conn
                    .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
                    .map(|data| Binding::Bound("tls-exporter", data.to_vec()))
                    .map_err(|e| e.to_string())
            }
            BindTo::EndPoint => {
                // The certificates of these tests are signed with ECDSA and SHA-256, so that is the hash (RFC 5929 §4.1).
                let certificate = tls
                    .conn
                    .peer_certificates()
                    .and_then(<[_]>::first)
                    .ok_or("no certificate")?;
                let hash = sha2::Sha256::digest(certificate).to_vec();
                Ok(Binding::Bound("tls-server-end-point", hash))
            }
            BindTo::Unoffered => Ok(Binding::ServerCannot),
            BindTo::Tampered(kind) => Ok(Binding::Bound(kind, vec![7; 32])),
        }
    }

    /// The text of the SASL element `name`, which is next.
    ///
    /// # Errors
    /// Something else came; a `<failure/>` is named as `failure: CONDITION`.
    pub fn sasl_answer(&mut self, name: &str) -> Result<String, String> {
        let answer = self.next(PATIENCE)?;
        if answer.is(SASL, name) {
            Ok(answer.text())
        } else if answer.is(SASL, "failure") {
            Err(format!("failure: {}", answer.condition().unwrap_or("none")))
        } else {
            Err(format!("expected {name}, not {answer}"))
        }
    }
}

/// What is said where nothing came.
const NOTHING_CAME: &str = "nothing came in time";

static NONCES: AtomicU64 = AtomicU64::new(1_000_000_000_000);

/// The mechanisms in stream features that we know.
#[must_use]
pub fn offered(features: &Element) -> Vec<Mechanism> {
    features
        .child(SASL, "mechanisms")
        .map(|mechanisms| {
            mechanisms
                .children()
                .filter_map(|mechanism| Mechanism::from_name(&mechanism.text()))
                .collect()
        })
        .unwrap_or_default()
}

/// An initial response as RFC 6120 §6.4.2 writes it, for tests that send their own.
#[must_use]
pub fn initial_response(mechanism: &str, message: &[u8]) -> String {
    format!(
        "<auth xmlns='{SASL}' mechanism='{mechanism}'>{}</auth>",
        encode(message)
    )
}
