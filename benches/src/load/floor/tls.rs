//! A server's side of TLS with nothing around it: rustls unbuffered, configured as the server configures it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};

use crate::scenarios::HOST;

/// What a record adds to its payload, with some to spare.
const RECORD_OVERHEAD: usize = 32;

/// With ring, without resumption, and with the certificate in `directory`.
pub(super) fn config(directory: &Path) -> Result<Arc<ServerConfig>, String> {
    let fault = |e: rustls::Error| e.to_string();
    let file = |kind: &str| directory.join(format!("{HOST}.{kind}"));
    let chain = CertificateDer::pem_file_iter(file("crt")).map_err(|e| e.to_string())?;
    let chain = chain
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::from_pem_file(file("key")).map_err(|e| e.to_string())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(fault)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// One connection.
pub(super) struct Tls {
    conn: UnbufferedServerConnection,
    /// The beginning of a record. Without memory while idle.
    tail: Vec<u8>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, String> {
        let conn = UnbufferedServerConnection::new(config).map_err(|e| e.to_string())?;
        Ok(Self {
            conn,
            tail: Vec::new(),
        })
    }

    /// Takes all of `incoming`, appends what it decrypts to `plain` and what it owes the client to `out`.
    pub(super) fn receive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        if self.tail.is_empty() {
            let used = self.take(incoming, plain, out)?;
            self.tail = incoming[used..].to_vec();
        } else {
            let mut joined = std::mem::take(&mut self.tail);
            joined.extend_from_slice(incoming);
            let used = self.take(&mut joined, plain, out)?;
            self.tail = joined[used..].to_vec();
        }
        Ok(())
    }

    fn take(
        &mut self,
        buffer: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let mut used = 0;
        loop {
            let status = self.conn.process_tls_records(&mut buffer[used..]);
            let UnbufferedStatus { mut discard, state } = status;
            match state.map_err(|e| e.to_string())? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|e| e.to_string())?;
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    let size = match data.encode(&mut []) {
                        Err(EncodeError::InsufficientSize(error)) => error.required_size,
                        Ok(_) | Err(EncodeError::AlreadyEncoded) => 0,
                    };
                    let start = out.len();
                    out.resize(start + size, 0);
                    data.encode(&mut out[start..]).map_err(|e| e.to_string())?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::BlockedHandshake
                | ConnectionState::WriteTraffic(_)
                | ConnectionState::PeerClosed
                | ConnectionState::Closed => return Ok(used + discard),
                other @ (ConnectionState::ReadEarlyData(_) | _) => {
                    return Err(format!("rustls is in state {other:?}"));
                }
            }
            used += discard;
        }
    }

    /// Appends one record (or more, of more than 16 KiB) with `plain` in it to `out`.
    pub(super) fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        self.write(plain.len() + RECORD_OVERHEAD, out, |traffic, room| {
            traffic.encrypt(plain, room)
        })
    }

    /// Appends close_notify.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        self.write(2 * RECORD_OVERHEAD, out, |traffic, room| {
            traffic.queue_close_notify(room)
        })
    }

    fn write(
        &mut self,
        room: usize,
        out: &mut Vec<u8>,
        encrypt: impl FnOnce(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), String> {
        let status = self.conn.process_tls_records(&mut []);
        let state = status.state.map_err(|e| e.to_string())?;
        let ConnectionState::WriteTraffic(mut traffic) = state else {
            return Err(format!("cannot write in state {state:?}"));
        };
        let start = out.len();
        out.resize(start + room, 0);
        let written = encrypt(&mut traffic, &mut out[start..]).map_err(|e| e.to_string())?;
        out.truncate(start + written);
        Ok(())
    }
}

type Traffic<'a> = rustls::unbuffered::WriteTraffic<'a, rustls::server::ServerConnectionData>;
