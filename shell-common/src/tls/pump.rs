//! One TLS connection without I/O, on either side: ciphertext in, plaintext and ciphertext out. Keeps no buffer while idle.
//!
//! Where we are the server, the hello is read twice: by rustls' `Acceptor`, which tells the host (SNI), then by the unbuffered connection with that host's
//! configuration. So the certificate is known, and with it `tls-server-end-point`. Knows nothing of sockets and XMPP.

mod hello;
mod session;
mod step;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;
use std::mem;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use spondee_core::jid::Domain;
use spondee_core::port::{Opening, TlsInfo};
use spondee_core::sasl::ChannelBindings;

use super::TlsHosts;
use super::judge::Judge;
use hello::{Asker, AwaitingHello, Hello};
use session::{Session, Write};
use step::shake;

pub use step::{Step, Taken};

/// A TLS connection.
pub struct Pump {
    state: State,
}

/// What one call of `receive` brought, beside the bytes it appended.
#[derive(Debug, Default)]
pub struct Received {
    /// The handshake completed in this call: to be told before the plaintext. On either side it is by what the peer sent.
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

/// A pump that asks begins as Handshaking, and never has a step that is dear.
///
/// ```text
/// AwaitingHello --hello--> Handshaking --both have Finished--> Running --close()--> Closing
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
    /// Waits for a client's hello. `fallback` is the host whose certificate serves a client that names none (STARTTLS: the stream's).
    /// With `Opening::Tls` the ALPN protocol must be `xmpp-client` where the client offers any (XEP-0368 §3).
    #[must_use]
    pub fn new(hosts: Arc<TlsHosts>, fallback: Option<Domain>, opening: Opening) -> Self {
        Self::waiting(AwaitingHello::new(hosts, fallback, opening, Asker::Client))
    }

    /// Waits for the hello of another server, which is asked for its certificate: whatever it shows, or if it shows none, the connection comes
    /// about, and `TlsInfo::server` says what is to be thought of it. The ALPN protocol is `xmpp-server`; else as `new`.
    pub(super) fn asked_by_server(
        hosts: Arc<TlsHosts>,
        fallback: Option<Domain>,
        opening: Opening,
        judge: Judge,
    ) -> Self {
        let asker = Asker::Server(Box::new(judge));
        Self::waiting(AwaitingHello::new(hosts, fallback, opening, asker))
    }

    fn waiting(waiting: AwaitingHello) -> Self {
        Self {
            state: State::AwaitingHello(Box::new(waiting)),
        }
    }

    /// Asks for TLS. The server's certificate is judged, and whatever it is the connection comes about: `TlsInfo::server` says.
    pub(super) fn asking(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        judge: Judge,
    ) -> Result<Self, TlsError> {
        let conn = UnbufferedClientConnection::new(config, name)?;
        let bindings = ChannelBindings {
            exporter: None,
            end_point: None,
        };
        let session = Box::new(Session::client(conn, judge));
        Ok(Self {
            state: State::Handshaking(session, bindings),
        })
    }

    /// Takes all of `incoming` (which it may decrypt in place), appends what it decrypts to `plain` and what it owes the
    /// peer to `out`.
    ///
    /// Where we ask (`Outgoing::pump`) we speak first: whoever puts the pump in place calls this once with nothing, and finds our hello in `out`.
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
                let sent = session.write(&Write::Data(plain), out);
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
            State::Running(mut session) => match session.write(&Write::CloseNotify, out) {
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
