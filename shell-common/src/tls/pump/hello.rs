//! The client's hello, which chooses the host and with it the certificate.

use std::mem;
use std::sync::Arc;

use rustls::server::{Acceptor, ClientHello, UnbufferedServerConnection};
use spondee_core::jid::Domain;
use spondee_core::port::{Opening, Protocol};
use spondee_core::sasl::ChannelBindings;

use super::TlsError;
use super::session::{Regard, Session};
use crate::limits::TLS_UNCONSUMED_BYTES;
use crate::tls::TlsHosts;
use crate::tls::hosts::{Begun, Offered};
use crate::tls::judge::Judge;

/// Before the client's hello is complete.
pub(super) struct AwaitingHello {
    /// Reads a copy of what comes.
    acceptor: Acceptor,
    /// All that came in earlier calls, for the connection.
    pub(super) seen: Vec<u8>,
    hosts: Arc<TlsHosts>,
    fallback: Option<Domain>,
    pub(super) opening: Opening,
    asker: Asker,
}

/// Who asks.
pub(super) enum Asker {
    Client,
    /// It may show its certificate, which is judged.
    Server(Box<Judge>),
}

pub(super) enum Hello {
    Partial(Box<AwaitingHello>),
    /// The connection that reads the hello again, and all bytes to give it; none if they are those just received.
    Complete(Box<Session>, ChannelBindings, Vec<u8>),
}

impl AwaitingHello {
    pub(super) fn new(
        hosts: Arc<TlsHosts>,
        fallback: Option<Domain>,
        opening: Opening,
        asker: Asker,
    ) -> Self {
        Self {
            acceptor: Acceptor::default(),
            seen: Vec::new(),
            hosts,
            fallback,
            opening,
            asker,
        }
    }

    /// How many bytes in front of a STARTTLS hello are white space.
    ///
    /// `Deviation:` RFC 6120 §5.3.3 forbids white space behind `<starttls/>`, but go-xmpp, and so go-sendxmpp, ends it with a
    /// line. It is thrown away: no record of TLS begins so, and nothing can hide in it.
    pub(super) fn stray_white_space(&self, incoming: &[u8]) -> usize {
        if self.opening == Opening::Tls || !self.seen.is_empty() {
            return 0;
        }
        incoming
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count()
    }

    pub(super) fn receive(
        mut self: Box<Self>,
        incoming: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Hello, TlsError> {
        let mut unread = incoming;
        while !unread.is_empty() {
            let read = self.acceptor.read_tls(&mut unread);
            if !read.is_ok_and(|count| count > 0) {
                return Err(TlsError::new("the client's hello is too large"));
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let mut seen = mem::take(&mut self.seen);
                    let (session, bindings) = self.begin(&accepted.client_hello(), out)?;
                    if !seen.is_empty() {
                        seen.extend_from_slice(incoming);
                    }
                    return Ok(Hello::Complete(session, bindings, seen));
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
        self,
        hello: &ClientHello<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(Box<Session>, ChannelBindings), TlsError> {
        let name = hello.server_name();
        let groups = hello.named_groups().unwrap_or_default();
        let begun = Begun {
            opening: self.opening,
            protocol: match &self.asker {
                Asker::Client => Protocol::XmppClient,
                Asker::Server(_) => Protocol::XmppServer,
            },
        };
        let offered = Offered {
            begun,
            suites: hello.cipher_suites(),
            schemes: hello.signature_schemes(),
        };
        let Some(host) = self.hosts.choose(name, self.fallback.as_ref(), &offered) else {
            out.extend_from_slice(&UNRECOGNIZED_NAME);
            return Err(TlsError {
                message: format!(
                    "no certificate for {}",
                    name.unwrap_or("somebody who names no host")
                ),
            });
        };
        let preference = host.preference(begun);
        let (config, cost) = preference.of(hello.cipher_suites(), groups);
        let conn = UnbufferedServerConnection::new(Arc::clone(config))?;
        let regard = match self.asker {
            Asker::Client => host.trust.clone().map_or(Regard::Nothing, Regard::Client),
            Asker::Server(judge) => Regard::Server(judge),
        };
        let session = Session::server(conn, cost, regard);
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
