//! Steps of a handshake, here and now or elsewhere.

use std::fmt;

use rustls::ProtocolVersion;
use spondee_core::port::{TlsInfo, TlsVersion};
use spondee_core::sasl::ChannelBindings;

use super::session::{Found, Session};
use super::{Received, State, TlsError};
use crate::tls::binding::{take_exporter_secret, tls_exporter};
use crate::tls::hosts::Cost;
use crate::tls::policy::Policy;

/// A step of a handshake that costs milliseconds: what the client sent, and the connection that takes it.
pub struct Step {
    pub(super) session: Box<Session>,
    bindings: ChannelBindings,
    pub(super) bytes: Vec<u8>,
}

/// What came of a step.
pub struct Taken {
    pub(super) outcome: Result<(State, Received), TlsError>,
    pub(super) plain: Vec<u8>,
    pub(super) out: Vec<u8>,
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
pub(super) fn shake(
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

/// `Session::receive` until both have said Finished.
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

    // The secret comes with the server's Finished, for a server one flight before the client's.
    if let (Some(secret), Some(suite)) = (secret, session.common().negotiated_cipher_suite()) {
        bindings.exporter = tls_exporter(&secret, suite);
    }
    if session.common().is_handshaking() {
        let state = State::Handshaking(session, bindings);
        return Ok((
            state,
            Received {
                ended,
                ..Received::default()
            },
        ));
    }
    let version = match session.common().protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::V1_3,
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
        other => {
            return Err(TlsError {
                message: format!("negotiated {other:?}, which is not configured"),
            });
        }
    };
    let (mut client, mut server, mut passed_over) = (None, None, None);
    match session.look() {
        Found::Nothing => {}
        Found::Client(Ok(found)) => client = Some(Box::new(found)),
        Found::Client(Err(why)) => passed_over = Some(why),
        Found::Server(judged, end_point) => {
            server = Some(Box::new(judged));
            // Where we are the server, it is ours and known.
            bindings.end_point = end_point.or(bindings.end_point);
        }
    }
    let suite = session.common().negotiated_cipher_suite();
    let suite = suite.and_then(|suite| Policy::name_of_suite(suite.suite()));
    let secured = Some(TlsInfo {
        version,
        // Only what has a name is offered.
        suite: suite.unwrap_or_default(),
        bindings,
        client,
        server,
    });
    let received = Received {
        secured,
        passed_over,
        ended,
    };
    Ok((State::Running(session), received))
}
