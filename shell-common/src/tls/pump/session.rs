//! A connection behind the choice of its configuration: records in, records out.

use std::mem;
use std::sync::Arc;

use rustls::CommonState;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::UnixTime;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use spondee_core::port::{ClientCertificate, ServerCertificate};

use super::{Ended, TlsError};
use crate::limits::TLS_UNCONSUMED_BYTES;
use crate::tls::binding::tls_server_end_point;
use crate::tls::clients::Trust;
use crate::tls::hosts::Cost;
use crate::tls::judge::Judge;

/// A connection with a configuration.
pub(super) struct Session {
    conn: Conn,
    /// Input rustls is not done with: a partial record, or the records of a partial handshake message. Empty, without
    /// memory, while idle.
    pub(super) tail: Vec<u8>,
    incoming: Incoming,
    /// Of its handshake.
    pub(super) cost: Cost,
    /// Until then: what the peer's certificate is looked at for.
    pub(super) regard: Regard,
}

/// On which side we are.
enum Conn {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What a certificate is looked at for.
pub(super) enum Regard {
    Nothing,
    /// Who the client is, where somebody may say so.
    Client(Arc<Trust>),
    /// Which server it is.
    Server(Box<Judge>),
}

/// What was found in it.
pub(super) enum Found {
    Nothing,
    /// Who the client is, or why it is as good as none.
    Client(Result<ClientCertificate, String>),
    /// What is to be thought of the server, and its `tls-server-end-point` where it was asked.
    Server(ServerCertificate, Option<Vec<u8>>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Incoming {
    Open,
    /// The peer sent close_notify: what follows is not read.
    Ended,
}

pub(super) enum Write<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

impl Session {
    /// We are asked.
    pub(super) const fn server(
        conn: UnbufferedServerConnection,
        cost: Cost,
        regard: Regard,
    ) -> Self {
        Self::new(Conn::Server(conn), cost, regard)
    }

    /// We ask. What costs milliseconds is not offered.
    pub(super) fn client(conn: UnbufferedClientConnection, judge: Judge) -> Self {
        let regard = Regard::Server(Box::new(judge));
        Self::new(Conn::Client(conn), Cost::Cheap, regard)
    }

    const fn new(conn: Conn, cost: Cost, regard: Regard) -> Self {
        Self {
            conn,
            tail: Vec::new(),
            incoming: Incoming::Open,
            cost,
            regard,
        }
    }

    /// What was agreed on, as far as it is known.
    pub(super) fn common(&self) -> &CommonState {
        match &self.conn {
            Conn::Server(conn) => conn,
            Conn::Client(conn) => conn,
        }
    }

    /// Looks at the certificate that the peer has shown. Once, behind the handshake.
    pub(super) fn look(&mut self) -> Found {
        let regard = mem::replace(&mut self.regard, Regard::Nothing);
        let Some(shown) = self.common().peer_certificates() else {
            return Found::Nothing;
        };
        let now = UnixTime::now();
        match regard {
            Regard::Nothing => Found::Nothing,
            Regard::Client(trust) => Found::Client(trust.client(shown, now)),
            Regard::Server(judge) => match judge.judge(shown, now) {
                None => Found::Nothing,
                Some(judged) => {
                    let end_point = match &self.conn {
                        Conn::Client(_) => shown.first().and_then(|own| tls_server_end_point(own)),
                        Conn::Server(_) => None,
                    };
                    Found::Server(judged, end_point)
                }
            },
        }
    }

    fn take_records(
        &mut self,
        buffer: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Turn, TlsError> {
        match &mut self.conn {
            Conn::Server(conn) => take_records(conn, buffer, plain, out),
            Conn::Client(conn) => take_records(conn, buffer, plain, out),
        }
    }

    pub(super) fn write(&mut self, write: &Write<'_>, out: &mut Vec<u8>) -> Result<(), TlsError> {
        match &mut self.conn {
            Conn::Server(conn) => write_records(conn, &mut self.tail, write, out),
            Conn::Client(conn) => write_records(conn, &mut self.tail, write, out),
        }
    }

    pub(super) fn receive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Ended>, TlsError> {
        if self.incoming == Incoming::Ended {
            return Ok(None);
        }
        let turn = if self.tail.is_empty() {
            let turn = self.take_records(incoming, plain, out)?;
            self.tail = incoming.get(turn.used..).unwrap_or_default().to_vec();
            turn
        } else {
            let mut joined = mem::take(&mut self.tail);
            joined.extend_from_slice(incoming);
            let turn = self.take_records(&mut joined, plain, out)?;
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
}

/// What rustls has for each side apart, although it does the same.
trait Records {
    type Data;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

fn write_records(
    conn: &mut impl Records,
    tail: &mut Vec<u8>,
    write: &Write<'_>,
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    loop {
        // The tail goes along because rustls holds positions in it. All of it is known already, nothing new is found.
        let UnbufferedStatus { discard, state } = conn.process(tail);
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
        tail.drain(..discard.min(tail.len()));
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
    conn: &mut impl Records,
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
        let UnbufferedStatus { mut discard, state } = conn.process(rest);
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
fn encode_alert(conn: &mut impl Records, rest: &mut [u8], out: &mut Vec<u8>) {
    while let Ok(ConnectionState::EncodeTlsData(mut data)) = conn.process(rest).state {
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
