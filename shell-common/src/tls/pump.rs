//! One server-side TLS connection without I/O: ciphertext in, plaintext and ciphertext out. Keeps no buffer while idle.

use std::sync::Arc;

use spondee_core::jid::Domain;
use spondee_core::port::{Opening, TlsInfo};

use super::TlsHosts;

/// A server-side TLS connection.
#[derive(Debug)]
pub struct Pump {
    // the helper's: an enum of hello pending (Acceptor) and running (UnbufferedServerConnection), tail of a partial record
}

/// What one call of `receive` brought, beside the bytes it appended.
#[derive(Debug, Default)]
pub struct Received {
    /// The handshake completed in this call: to be told before the plaintext.
    pub secured: Option<TlsInfo>,
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

impl Pump {
    /// Waits for a hello. `fallback` is the host whose certificate serves a client that names none (STARTTLS: the stream's).
    /// With `Opening::Tls` the ALPN protocol must be `xmpp-client` where the client offers any (XEP-0368 §3).
    #[must_use]
    pub fn new(hosts: Arc<TlsHosts>, fallback: Option<Domain>, opening: Opening) -> Self {
        let _ = (hosts, fallback, opening);
        todo!()
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
        let _ = (incoming, plain, out);
        todo!()
    }

    /// Encrypts all of `plain` into `out`. Only after `secured`.
    ///
    /// # Errors
    /// The connection is broken or not up.
    pub fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        let _ = (plain, out);
        todo!()
    }

    /// Appends close_notify, if the handshake got that far.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        let _ = out;
        todo!()
    }
}
