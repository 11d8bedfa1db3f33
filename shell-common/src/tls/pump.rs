//! One server-side TLS connection without I/O: ciphertext in, plaintext and ciphertext out. Keeps no buffer while idle.
//!
//! The hello is read twice: by rustls' `Acceptor`, which tells the host (SNI), then by the unbuffered connection with that host's
//! configuration. So the certificate is known, and with it `tls-server-end-point`. Knows nothing of sockets and XMPP.

#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::mem;
use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::pki_types::UnixTime;
use rustls::server::{Acceptor, ClientHello, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use spondee_core::jid::Domain;
use spondee_core::port::{ClientCertificate, Opening, TlsInfo, TlsVersion};
use spondee_core::sasl::ChannelBindings;

use super::TlsHosts;
use super::binding::{take_exporter_secret, tls_exporter};
use super::clients::Trust;
use super::hosts::{Cost, Offered};
use crate::limits::TLS_UNCONSUMED_BYTES;

/// A server-side TLS connection.
pub struct Pump {
    state: State,
}

/// What one call of `receive` brought, beside the bytes it appended.
#[derive(Debug, Default)]
pub struct Received {
    /// The handshake completed in this call: to be told before the plaintext.
    pub secured: Option<TlsInfo>,
    /// Why the certificate that the client has shown by then is as good as none: for the debug log.
    pub passed_over: Option<String>,
    /// The peer sent close_notify: nothing more comes.
    pub ended: Option<Ended>,
}

/// The peer's orderly end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ended;

/// The connection is broken; an alert may stand in the output.
#[derive(Debug)]
pub struct TlsError {
    /// For the debug log.
    pub message: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self {
            message: error.to_string(),
        }
    }
}

impl TlsError {
    fn new(message: &str) -> Self {
        Self {
            message: message.to_owned(),
        }
    }
}

/// ```text
/// AwaitingHello --hello--> Handshaking --client's Finished--> Running --close()--> Closing
///       |                    |     ^                             |                    |
///       |     dear, and bytes|     |resume()                     |                    |
///       |                    v     |                             |                    |
///       |               Due --take_step()--> Away                |                    |
///       +-----------------------+------ any error ---------------+--------------------+--> Closed
/// ```
enum State {
    AwaitingHello(Box<AwaitingHello>),
    /// With the bindings known so far.
    Handshaking(Box<Session>, ChannelBindings),
    /// What came is to be taken elsewhere: it costs milliseconds.
    Due(Box<Step>),
    /// Somebody has the step.
    Away,
    Running(Box<Session>),
    /// We have sent close_notify and may still receive.
    Closing(Box<Session>),
    Closed,
}

impl fmt::Debug for Pump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::AwaitingHello(_) => "AwaitingHello",
            State::Handshaking(..) => "Handshaking",
            State::Due(_) => "Due",
            State::Away => "Away",
            State::Running(_) => "Running",
            State::Closing(_) => "Closing",
            State::Closed => "Closed",
        };
        f.debug_struct("Pump")
            .field("state", &state)
            .field("held", &self.held())
            .finish()
    }
}

impl Pump {
    /// Waits for a hello. `fallback` is the host whose certificate serves a client that names none (STARTTLS: the stream's).
    /// With `Opening::Tls` the ALPN protocol must be `xmpp-client` where the client offers any (XEP-0368 §3).
    #[must_use]
    pub fn new(hosts: Arc<TlsHosts>, fallback: Option<Domain>, opening: Opening) -> Self {
        Self {
            state: State::AwaitingHello(Box::new(AwaitingHello {
                acceptor: Acceptor::default(),
                seen: Vec::new(),
                hosts,
                fallback,
                opening,
            })),
        }
    }

    /// Takes all of `incoming` (which it may decrypt in place), appends what it decrypts to `plain` and what it owes the
    /// peer to `out`.
    ///
    /// # Errors
    /// Anything TLS forbids, and an unknown host. What stands in `out` should still be written, then the socket closed.
    pub fn receive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        // An error leaves `Closed` behind.
        let (state, received) = match mem::replace(&mut self.state, State::Closed) {
            State::AwaitingHello(waiting) => {
                let stray = waiting.stray_white_space(incoming);
                let (_, incoming) = incoming.split_at_mut(stray);
                match waiting.receive(incoming, out)? {
                    Hello::Partial(waiting) => (State::AwaitingHello(waiting), Received::default()),
                    Hello::Complete(session, bindings, mut seen) => {
                        let bytes = if seen.is_empty() { incoming } else { &mut seen };
                        shake(session, bindings, bytes, plain, out)?
                    }
                }
            }
            State::Handshaking(session, bindings) => {
                shake(session, bindings, incoming, plain, out)?
            }
            State::Due(_) | State::Away => {
                return Err(TlsError::new(
                    "more came before a step of the handshake was taken",
                ));
            }
            State::Running(mut session) => {
                let ended = session.receive(incoming, plain, out)?;
                (
                    State::Running(session),
                    Received {
                        ended,
                        ..Received::default()
                    },
                )
            }
            State::Closing(mut session) => {
                let ended = session.receive(incoming, plain, out)?;
                (
                    State::Closing(session),
                    Received {
                        ended,
                        ..Received::default()
                    },
                )
            }
            State::Closed => return Err(TlsError::new("the TLS connection is closed")),
        };
        self.state = state;
        Ok(received)
    }

    /// Encrypts all of `plain` into `out`. Only after `secured`.
    ///
    /// # Errors
    /// The connection is broken or not up.
    pub fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        match &mut self.state {
            State::Running(session) => {
                let sent = session.write(Write::Data(plain), out);
                if sent.is_err() {
                    self.state = State::Closed;
                }
                sent
            }
            State::AwaitingHello(_) | State::Handshaking(..) | State::Due(_) | State::Away => {
                Err(TlsError::new("the TLS handshake is not complete"))
            }
            State::Closing(_) | State::Closed => Err(TlsError::new("the TLS connection is closed")),
        }
    }

    /// Appends close_notify, if the handshake got that far. After it nothing can be sent; what the peer still sends is taken.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        self.state = match mem::replace(&mut self.state, State::Closed) {
            State::Running(mut session) => match session.write(Write::CloseNotify, out) {
                Ok(()) => State::Closing(session),
                Err(_) => State::Closed,
            },
            State::Closing(session) => State::Closing(session),
            State::AwaitingHello(_)
            | State::Handshaking(..)
            | State::Due(_)
            | State::Away
            | State::Closed => State::Closed,
        };
    }

    /// A step that costs milliseconds, to be taken where nobody waits for it. Nothing must be received until `resume`.
    pub fn take_step(&mut self) -> Option<Step> {
        match mem::replace(&mut self.state, State::Away) {
            State::Due(step) => Some(*step),
            other @ (State::AwaitingHello(_)
            | State::Handshaking(..)
            | State::Away
            | State::Running(_)
            | State::Closing(_)
            | State::Closed) => {
                self.state = other;
                None
            }
        }
    }

    /// Whether a step is due, or taken elsewhere.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self.state, State::Due(_) | State::Away)
    }

    /// Goes on behind a step, as `receive` would have. What came of a connection that was closed meanwhile is forgotten.
    ///
    /// # Errors
    /// As for `receive`.
    pub fn resume(
        &mut self,
        taken: Taken,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Received, TlsError> {
        if !self.is_away() {
            return Ok(Received::default());
        }
        self.state = State::Closed;
        plain.extend_from_slice(&taken.plain);
        out.extend_from_slice(&taken.out);
        let (state, received) = taken.outcome?;
        self.state = state;
        Ok(received)
    }

    /// Whether the peer has asked for TLS or sent anything of a handshake, and that has not failed.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        match &self.state {
            State::AwaitingHello(waiting) => {
                waiting.opening == Opening::Clear || !waiting.seen.is_empty()
            }
            State::Handshaking(..)
            | State::Due(_)
            | State::Away
            | State::Running(_)
            | State::Closing(_) => true,
            State::Closed => false,
        }
    }

    /// Bytes of memory kept for input that is not complete yet: none while the connection is idle between records.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.state {
            State::AwaitingHello(waiting) => waiting.seen.capacity(),
            State::Handshaking(session, _) | State::Running(session) | State::Closing(session) => {
                session.tail.capacity()
            }
            State::Due(step) => step.session.tail.capacity() + step.bytes.capacity(),
            State::Away | State::Closed => 0,
        }
    }
}

/// Before the client's hello is complete.
struct AwaitingHello {
    /// Reads a copy of what comes.
    acceptor: Acceptor,
    /// All that came in earlier calls, for the connection.
    seen: Vec<u8>,
    hosts: Arc<TlsHosts>,
    fallback: Option<Domain>,
    opening: Opening,
}

enum Hello {
    Partial(Box<AwaitingHello>),
    /// The connection that reads the hello again, and all bytes to give it; none if they are those just received.
    Complete(Box<Session>, ChannelBindings, Vec<u8>),
}

impl AwaitingHello {
    /// How many bytes in front of a STARTTLS hello are white space.
    ///
    /// `Deviation:` RFC 6120 §5.3.3 forbids white space behind `<starttls/>`, but go-xmpp, and so go-sendxmpp, ends it with a
    /// line. It is thrown away: no record of TLS begins so, and nothing can hide in it.
    fn stray_white_space(&self, incoming: &[u8]) -> usize {
        if self.opening == Opening::Tls || !self.seen.is_empty() {
            return 0;
        }
        incoming
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count()
    }

    fn receive(mut self: Box<Self>, incoming: &[u8], out: &mut Vec<u8>) -> Result<Hello, TlsError> {
        let mut unread = incoming;
        while !unread.is_empty() {
            let read = self.acceptor.read_tls(&mut unread);
            if !read.is_ok_and(|count| count > 0) {
                return Err(TlsError::new("the client's hello is too large"));
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let (session, bindings) = self.begin(&accepted.client_hello(), out)?;
                    if !self.seen.is_empty() {
                        self.seen.extend_from_slice(incoming);
                    }
                    return Ok(Hello::Complete(session, bindings, self.seen));
                }
                Err((error, mut alert)) => {
                    // Writing to a Vec cannot fail.
                    let _ = alert.write_all(out);
                    return Err(error.into());
                }
            }
        }
        if self.seen.len() + incoming.len() > TLS_UNCONSUMED_BYTES {
            return Err(TlsError::new("the client's hello is too large"));
        }
        self.seen.extend_from_slice(incoming);
        Ok(Hello::Partial(self))
    }

    /// Chooses the host and with it the certificate.
    fn begin(
        &self,
        hello: &ClientHello<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(Box<Session>, ChannelBindings), TlsError> {
        let name = hello.server_name();
        let groups = hello.named_groups().unwrap_or_default();
        let offered = Offered {
            opening: self.opening,
            suites: hello.cipher_suites(),
            schemes: hello.signature_schemes(),
        };
        let Some(host) = self.hosts.choose(name, self.fallback.as_ref(), &offered) else {
            out.extend_from_slice(&UNRECOGNIZED_NAME);
            return Err(TlsError {
                message: format!(
                    "no certificate for {}",
                    name.unwrap_or("a client that names no host")
                ),
            });
        };
        let preference = host.preference(self.opening);
        let (config, cost) = preference.of(hello.cipher_suites(), groups);
        let session = Session {
            conn: UnbufferedServerConnection::new(Arc::clone(config))?,
            tail: Vec::new(),
            incoming: Incoming::Open,
            cost,
            trust: host.trust.clone(),
        };
        let bindings = ChannelBindings {
            exporter: None,
            end_point: host.end_point.clone(),
        };
        Ok((Box::new(session), bindings))
    }
}

/// The record of a fatal alert `unrecognized_name` (112): type, version, length, level, description. Written
/// here because rustls refuses a name only when it has a configuration, and then by another alert.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A step of a handshake that costs milliseconds: what the client sent, and the connection that takes it.
pub struct Step {
    session: Box<Session>,
    bindings: ChannelBindings,
    bytes: Vec<u8>,
}

/// What came of a step.
pub struct Taken {
    outcome: Result<(State, Received), TlsError>,
    plain: Vec<u8>,
    out: Vec<u8>,
}

impl Step {
    /// Takes it, on whatever thread.
    #[must_use]
    pub fn take(mut self) -> Taken {
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let outcome = handshake(
            self.session,
            self.bindings,
            &mut self.bytes,
            &mut plain,
            &mut out,
        );
        Taken {
            outcome,
            plain,
            out,
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").finish_non_exhaustive()
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").finish_non_exhaustive()
    }
}

/// `handshake`, here and now or, if it is dear, as a step to be taken.
fn shake(
    session: Box<Session>,
    bindings: ChannelBindings,
    incoming: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(State, Received), TlsError> {
    match session.cost {
        Cost::Cheap => handshake(session, bindings, incoming, plain, out),
        Cost::Dear => {
            let step = Step {
                session,
                bindings,
                bytes: incoming.to_vec(),
            };
            Ok((State::Due(Box::new(step)), Received::default()))
        }
    }
}

/// `Session::receive` until the client's Finished.
fn handshake(
    mut session: Box<Session>,
    mut bindings: ChannelBindings,
    incoming: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(State, Received), TlsError> {
    let outcome = session.receive(incoming, plain, out);
    // Taken whatever the outcome, so that the thread's next handshake does not find it.
    let secret = take_exporter_secret();
    let ended = outcome?;

    // The secret comes with our own Finished, one flight before the client's.
    if let (Some(secret), Some(suite)) = (secret, session.conn.negotiated_cipher_suite()) {
        bindings.exporter = tls_exporter(&secret, suite);
    }
    if session.conn.is_handshaking() {
        let state = State::Handshaking(session, bindings);
        return Ok((
            state,
            Received {
                ended,
                ..Received::default()
            },
        ));
    }
    let version = match session.conn.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
        other => {
            return Err(TlsError {
                message: format!("negotiated {other:?}, which is not configured"),
            });
        }
    };
    let (client, passed_over) = match session.client() {
        None => (None, None),
        Some(Ok(client)) => (Some(Box::new(client)), None),
        Some(Err(why)) => (None, Some(why)),
    };
    let secured = Some(TlsInfo {
        version,
        bindings,
        client,
        server: None,
    });
    let received = Received {
        secured,
        passed_over,
        ended,
    };
    Ok((State::Running(session), received))
}

/// A connection with a configuration.
struct Session {
    conn: UnbufferedServerConnection,
    /// Input rustls is not done with: a partial record, or the records of a partial handshake message. Empty, without
    /// memory, while idle.
    tail: Vec<u8>,
    incoming: Incoming,
    /// Of its handshake.
    cost: Cost,
    /// Until then: who may say who the client is.
    trust: Option<Arc<Trust>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Incoming {
    Open,
    /// The peer sent close_notify: what follows is not read.
    Ended,
}

enum Write<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

impl Session {
    /// Who the client is, by the certificate that it has shown, or why that does not count.
    fn client(&mut self) -> Option<Result<ClientCertificate, String>> {
        let trust = self.trust.take()?;
        Some(trust.client(self.conn.peer_certificates()?, UnixTime::now()))
    }

    fn receive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Ended>, TlsError> {
        if self.incoming == Incoming::Ended {
            return Ok(None);
        }
        let turn = if self.tail.is_empty() {
            let turn = take_records(&mut self.conn, incoming, plain, out)?;
            self.tail = incoming.get(turn.used..).unwrap_or_default().to_vec();
            turn
        } else {
            let mut joined = mem::take(&mut self.tail);
            joined.extend_from_slice(incoming);
            let turn = take_records(&mut self.conn, &mut joined, plain, out)?;
            self.tail = match turn.used {
                0 => joined,
                used if used < joined.len() => joined.split_off(used),
                _ => Vec::new(),
            };
            turn
        };
        if turn.ended.is_some() {
            self.incoming = Incoming::Ended;
            self.tail = Vec::new();
        }
        if self.tail.len() > TLS_UNCONSUMED_BYTES {
            return Err(TlsError::new("too much of an unfinished TLS message"));
        }
        Ok(turn.ended)
    }

    fn write(&mut self, write: Write<'_>, out: &mut Vec<u8>) -> Result<(), TlsError> {
        loop {
            // The tail goes along because rustls holds positions in it. All of it is known already, nothing new is found.
            let UnbufferedStatus { discard, state } = self.conn.process_tls_records(&mut self.tail);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return match write {
                        Write::Data(plain) => encrypt(&mut traffic, plain, out),
                        Write::CloseNotify => append(out, CLOSE_NOTIFY_BYTES, |room| {
                            traffic.queue_close_notify(room)
                        }),
                    };
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                other @ (ConnectionState::ReadTraffic(_)
                | ConnectionState::ReadEarlyData(_)
                | ConnectionState::BlockedHandshake
                | ConnectionState::PeerClosed
                | ConnectionState::Closed
                | _) => {
                    return Err(TlsError {
                        message: format!("cannot send in state {other:?}"),
                    });
                }
            }
            self.tail.drain(..discard.min(self.tail.len()));
        }
    }
}

/// What `take_records` did.
struct Turn {
    /// Bytes of the buffer that are done with.
    used: usize,
    ended: Option<Ended>,
}

/// Lets rustls take all complete records from `buffer`. After an error an alert for the peer stands in `out`.
fn take_records(
    conn: &mut UnbufferedServerConnection,
    buffer: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<Turn, TlsError> {
    let mut turn = Turn {
        used: 0,
        ended: None,
    };
    loop {
        let rest = buffer.get_mut(turn.used..).unwrap_or_default();
        let UnbufferedStatus { mut discard, state } = conn.process_tls_records(rest);
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                let rest = buffer.get_mut(turn.used + discard..).unwrap_or_default();
                encode_alert(conn, rest, out);
                return Err(error.into());
            }
        };
        match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    discard += record.discard;
                    plain.extend_from_slice(record.payload);
                }
            }
            ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => turn.ended = Some(Ended),
            ConnectionState::BlockedHandshake
            | ConnectionState::WriteTraffic(_)
            | ConnectionState::Closed => {
                turn.used += discard;
                return Ok(turn);
            }
            // Not configured: rustls has refused it before.
            ConnectionState::ReadEarlyData(_) => {
                return Err(TlsError::new("early data is not accepted"));
            }
            other => {
                return Err(TlsError {
                    message: format!("rustls is in the unknown state {other:?}"),
                });
            }
        }
        turn.used += discard;
    }
}

/// Appends the alert that rustls has queued with an error, if any.
///
/// The alert is the last thing a connection says. rustls must not be asked again after it: it would read on, and fail again.
fn encode_alert(conn: &mut UnbufferedServerConnection, rest: &mut [u8], out: &mut Vec<u8>) {
    while let Ok(ConnectionState::EncodeTlsData(mut data)) = conn.process_tls_records(rest).state {
        let start = out.len();
        if encode(&mut data, out).is_err() || out.get(start..).is_none_or(is_alert) {
            return;
        }
    }
}

/// A record that holds an alert: its type says so, or it is an encrypted record of TLS 1.3 that is too short for all else
/// (header 5, alert 2, type 1, tag 16).
fn is_alert(record: &[u8]) -> bool {
    const ALERT: u8 = 21;
    const ENCRYPTED_ALERT_BYTES: usize = 24;
    record.first() == Some(&ALERT) || record.len() == ENCRYPTED_ALERT_BYTES
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), TlsError> {
    let required = match data.encode(&mut []) {
        Ok(_) => return Ok(()),
        Err(EncodeError::InsufficientSize(error)) => error.required_size,
        Err(error @ EncodeError::AlreadyEncoded) => {
            return Err(TlsError {
                message: error.to_string(),
            });
        }
    };
    let start = out.len();
    out.resize(start + required, 0);
    let written = data
        .encode(out.get_mut(start..).unwrap_or_default())
        .map_err(|error| TlsError {
            message: error.to_string(),
        })?;
    out.truncate(start + written);
    Ok(())
}

/// Payload of a full record.
const RECORD_PAYLOAD: usize = 16 * 1024;
/// What a record adds to its payload: 22 bytes with TLS 1.3, 29 with TLS 1.2 and AES-GCM.
const RECORD_OVERHEAD: usize = 32;
/// A record with an alert in it.
const CLOSE_NOTIFY_BYTES: usize = RECORD_OVERHEAD + 2;

fn encrypt<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    // Record by record, so that the room made for it is still in the cache when it is filled.
    for piece in plain.chunks(RECORD_PAYLOAD) {
        append(out, piece.len() + RECORD_OVERHEAD, |room| {
            traffic.encrypt(piece, room)
        })?;
    }
    Ok(())
}

/// Makes room at the end of `out` and lets rustls write there; once more if it wants more room than guessed.
fn append(
    out: &mut Vec<u8>,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsError> {
    let start = out.len();
    let mut size = guess;
    loop {
        out.resize(start + size, 0);
        match write(out.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            // rustls names the size it needs, which a queued key update can make larger than guessed.
            Err(EncryptError::InsufficientSize(error)) if error.required_size > size => {
                size = error.required_size;
            }
            Err(error) => {
                out.truncate(start);
                return Err(TlsError {
                    message: error.to_string(),
                });
            }
        }
    }
}
