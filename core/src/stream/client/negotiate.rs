//! Between header and restart: STARTTLS (RFC 6120 §5), and whatever has a place beside it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Client, Found, Negotiation, Progress};
use crate::config::TlsAvailable;
use crate::port::{Protocol, TlsServer, TlsSide};
use crate::sasl::{Exchange, Failure, Transport};
use crate::sm::Nonza;
use crate::stanza::Condition;
use crate::stream::close::CLOSING_TAG;
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Element, Ns, Writer};

impl Stream {
    /// An element while TLS or SASL may be negotiated; `exchange` is the one under way, and with whom.
    pub(in crate::stream) fn on_negotiate(
        &mut self,
        cx: &mut Cx<'_>,
        negotiation: Box<Negotiation>,
        exchange: Option<(Option<Box<Found>>, Box<Exchange>)>,
        element: &Element,
    ) -> Option<Event> {
        match (element.ns(), element.name()) {
            (Ns::Tls, "starttls") => Some(self.on_starttls(cx, &negotiation)),
            // RFC 6120 §6.4.2: a new <auth/> discards the exchange under way.
            (Ns::Sasl, "auth") => self.on_auth(cx, negotiation, element),
            (Ns::Sasl, "response") => self.on_response(cx, negotiation, exchange, element),
            (Ns::Sasl, "abort") => {
                let account = exchange.and_then(|(found, _)| found.map(|found| found.account));
                self.sasl_failure(cx, negotiation, account, Failure::Aborted)
            }
            (Ns::Client, "iq") if exchange.is_none() => {
                self.on_early_request(cx, negotiation, element)
            }
            (Ns::Streams, "error") => Some(self.on_peer_error(cx, negotiation, exchange)),
            (Ns::StreamManagement, _) if Nonza::parse(element).is_some() => {
                self.state = State::Client(unchanged(negotiation, exchange));
                // XEP-0198 §3: "SHALL enforce this order and return a <failed/> element".
                Self::fail_nonza(cx, Condition::UnexpectedRequest, None);
                None
            }
            (ns, name) => {
                self.state = State::Client(unchanged(negotiation, exchange));
                Some(self.fail(cx, misplaced(ns, name)))
            }
        }
    }

    /// RFC 6120 §5.4.2.
    fn on_starttls(&mut self, cx: &mut Cx<'_>, negotiation: &Negotiation) -> Event {
        let tls = cx.config.accounts(&negotiation.host).map(|host| host.tls);
        if negotiation.transport != Transport::Clear || tls != Some(TlsAvailable::Yes) {
            cx.say(|out| {
                Writer::new(out)
                    .open("failure")
                    .attribute("xmlns", Ns::Tls.uri())
                    .close();
            });
            cx.say(|out| out.extend_from_slice(CLOSING_TAG));
            self.state = State::Closed;
            return Event::StarttlsRefused;
        }
        cx.say(|out| {
            Writer::new(out)
                .open("proceed")
                .attribute("xmlns", Ns::Tls.uri())
                .close();
        });
        self.state = State::Client(Client::Secure(negotiation.failures));
        // `poll` puts what stands behind into the event.
        let side = TlsServer {
            host: negotiation.host.clone(),
            protocol: Protocol::XmppClient,
        };
        Event::Secure(TlsSide::Server(side), Vec::new())
    }

    /// The peer gives up: RFC 6120 §4.9.1.1 asks us to close too.
    fn on_peer_error(
        &mut self,
        cx: &mut Cx<'_>,
        negotiation: Box<Negotiation>,
        exchange: Option<(Option<Box<Found>>, Box<Exchange>)>,
    ) -> Event {
        self.state = State::Client(unchanged(negotiation, exchange));
        self.on_end(cx)
    }
}

/// The state before an element that ends the stream: what is told of the end names who was signing in.
fn unchanged(
    negotiation: Box<Negotiation>,
    exchange: Option<(Option<Box<Found>>, Box<Exchange>)>,
) -> Client {
    match exchange {
        Some((found, exchange)) => Client::SignIn(negotiation, Progress::Exchange(found, exchange)),
        None => Client::Negotiate(negotiation),
    }
}

/// What an element breaks that has no place in the present phase.
pub(in crate::stream) fn misplaced(ns: Ns, name: &str) -> Violation {
    match (ns, name) {
        (Ns::Client, "iq" | "message" | "presence") => Violation::StanzaBeforeAuthentication,
        (Ns::Streams, _) => Violation::StreamElement,
        // RFC 6120 §4.8.3: the content of another kind of stream.
        (Ns::Server, _) => Violation::Namespace,
        _ => Violation::UnsupportedElement,
    }
}
