//! A stream of ours to a domain (RFC 6120 §4.2, §4.3, §5), up to its features below TLS. What it is for comes then: it was to find out whether and
//! how the domain can be reached, and is closed in order; or it is a link (`proof.rs`), which asks about keys, proves who we are and carries
//! stanzas. Whatever the peer says may be a lie, and costs no more than a stranger's.

mod explain;
mod features;
mod header;
mod linked;
mod proof;

use alloc::boxed::Box;
use alloc::vec::Vec;

use self::header::{From, Opened};
use self::linked::Linked;
use super::client::misplaced;
use super::close::{CLOSING_TAG, Closing};
use super::deadline::Deadline;
use super::{Cx, Event, Hearing, State, Stream, Violation};
use crate::federation::StarttlsOffer;
use crate::jid::Domain;
use crate::port::{
    AttemptError, Awaited, Opening, Protocol, Secured, SecuredBy, Starttls, TlsClient, TlsInfo,
    TlsSide,
};
use crate::time::UnixTime;
use crate::xml::{Content, Element, Ns, Writer};

/// Whom a stream of ours is to.
#[derive(Clone, Debug)]
pub(crate) struct Sought {
    pub(crate) domain: Domain,
    pub(crate) service: Protocol,
    pub(crate) opening: Opening,
    pub(crate) purpose: Purpose,
}

/// What a stream of ours is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// To find out how the domain is reached.
    Look,
    /// To find out what would come of a link from this domain of ours.
    Explain(Domain),
    /// To be a link from this domain of ours.
    Link(Domain),
}

impl Sought {
    pub(super) const fn content(&self) -> Content {
        match self.service {
            Protocol::XmppClient => Content::Client,
            Protocol::XmppServer => Content::Server,
        }
    }

    /// With whom TLS is to be.
    fn tls(&self) -> TlsSide {
        let name = self.domain.to_ascii();
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
        TlsSide::Client(Box::new(TlsClient {
            // XEP-0368 §3: SNI is the domain of the address, wherever its records led.
            name: bare.unwrap_or(&name).into(),
            protocol: match self.opening {
                Opening::Clear => None,
                Opening::Tls => Some(self.service),
            },
            ours: match &self.purpose {
                Purpose::Look => None,
                Purpose::Explain(ours) | Purpose::Link(ours) => Some(ours.clone()),
            },
        }))
    }
}

/// Where it stands.
///
/// ```text
///   Connecting --direct TLS--> Handshake --secured--> Header --> Features --> (reported, closing)
///       |                          ^                    ^            |
///       +-------clear--------------|--------------------+            | offered, and no TLS yet
///                                  +------- proceed ------- Starttls <+
/// ```
///
/// A link is `Linked` from its features on.
#[derive(Debug)]
pub(super) struct Outgoing {
    sought: Sought,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// There is no connection yet.
    Connecting,
    /// What comes now is TLS's.
    Handshake(SecuredBy),
    /// Our header is out.
    Header(Option<Secured>),
    /// The peer's header came.
    Features(Option<Secured>, Opened),
    /// `<starttls/>` is out, of which the peer said this.
    Starttls(StarttlsOffer),
    /// It is a link.
    Linked(Box<Linked>),
}

impl Outgoing {
    pub(super) const fn new(sought: Sought) -> Self {
        Self {
            sought,
            phase: Phase::Connecting,
        }
    }

    pub(super) const fn hearing(&self) -> Hearing {
        match &self.phase {
            Phase::Connecting => Hearing::Nothing,
            Phase::Handshake(_) => Hearing::Tls,
            Phase::Header(_) => Hearing::Header,
            Phase::Features(..) | Phase::Starttls(_) => Hearing::Elements,
            Phase::Linked(linked) => linked.hearing(),
        }
    }

    pub(super) const fn deadline(&self) -> Deadline {
        match &self.phase {
            Phase::Connecting => Deadline::Connection,
            Phase::Handshake(_) | Phase::Header(_) | Phase::Features(..) | Phase::Starttls(_) => {
                Deadline::Opening
            }
            Phase::Linked(linked) => linked.deadline(),
        }
    }

    pub(super) const fn awaited(&self) -> Awaited {
        match self.phase {
            Phase::Linked(_) => Awaited::Proof,
            Phase::Connecting => Awaited::Connection,
            Phase::Handshake(_) => Awaited::Tls,
            Phase::Header(_) => Awaited::Header,
            Phase::Features(..) => Awaited::Features,
            Phase::Starttls(_) => Awaited::Proceed,
        }
    }

    /// Until when what the peer of a link has shown is good, if it is.
    pub(super) fn certified_until(&self) -> Option<UnixTime> {
        match &self.phase {
            Phase::Linked(linked) => linked.certified_until(),
            Phase::Connecting
            | Phase::Handshake(_)
            | Phase::Header(_)
            | Phase::Features(..)
            | Phase::Starttls(_) => None,
        }
    }

    /// Whether it is a link, and has proven who we are.
    pub(super) fn is_proven(&self) -> bool {
        matches!(&self.phase, Phase::Linked(linked) if linked.is_proven())
    }

    /// Whether the peer can hear us: our header is out, and no handshake has taken its place.
    const fn can_speak(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Handshake(_) => false,
            Phase::Header(_) | Phase::Features(..) | Phase::Starttls(_) | Phase::Linked(_) => true,
        }
    }
}

impl Stream {
    /// There is a connection: TLS begins, or the stream.
    pub(crate) fn connected(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        let State::Outgoing(outgoing) = &mut self.state else {
            return Some(self.bug(cx, "connected"));
        };
        if !matches!(outgoing.phase, Phase::Connecting) {
            return Some(self.bug(cx, "connected twice"));
        }
        // From here on the peer has its time.
        self.accepted = cx.now.mono;
        self.heard = cx.now.mono;
        match outgoing.sought.opening {
            Opening::Tls => {
                outgoing.phase = Phase::Handshake(SecuredBy::DirectTls);
                Some(Event::Secure(outgoing.sought.tls(), Vec::new()))
            }
            Opening::Clear => {
                outgoing.phase = Phase::Header(None);
                outgoing.sought.write_header(cx, None);
                None
            }
        }
    }

    /// TLS is up: everything begins anew (RFC 6120 §5.4.3.3).
    pub(super) fn outgoing_secured(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        tls: TlsInfo,
    ) -> Option<Event> {
        let Phase::Handshake(by) = outgoing.phase else {
            self.state = State::Outgoing(outgoing);
            return Some(self.bug(cx, "secured"));
        };
        self.begin_anew(cx, outgoing.sought.content());
        let secured = Secured {
            by,
            version: tls.version,
            suite: tls.suite,
            certificate: tls.server,
        };
        outgoing.sought.write_header(cx, Some(&secured));
        outgoing.phase = Phase::Header(Some(secured));
        self.state = State::Outgoing(outgoing);
        None
    }

    /// An element of the peer's. The state was taken out of the stream.
    pub(super) fn on_peer_element(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        element: &Element,
    ) -> Option<Event> {
        Some(match (outgoing.phase, element.ns(), element.name()) {
            (phase, Ns::Streams, "error") => {
                // RFC 6120 §4.9.1.1: who hears of an error closes its stream, too.
                // `Deviation:` RFC 6120 §4.9.3.19: a redirection is an error like others, as records say where a server is.
                // Who does not know what it was asked for has none.
                let unknown = matches!(phase, Phase::Starttls(StarttlsOffer::Absent));
                outgoing.phase = phase;
                let refused = match unknown {
                    true => outgoing.starttls_refused(cx),
                    false => AttemptError::Refused(features::error(element)),
                };
                self.give_up(cx, &outgoing, None, refused)
            }
            (Phase::Features(secured, opened), Ns::Streams, "features") => {
                outgoing.phase = Phase::Features(None, Opened::default());
                return self.on_features(cx, outgoing, (secured, opened), element);
            }
            (Phase::Linked(linked), ..) => {
                outgoing.phase = Phase::Connecting;
                return self.on_link_element(cx, outgoing, linked, element);
            }
            (Phase::Starttls(starttls), Ns::Tls, "proceed") => {
                let tls = outgoing.sought.tls();
                outgoing.phase = Phase::Handshake(SecuredBy::Starttls(match starttls {
                    StarttlsOffer::Required => Starttls::Required,
                    StarttlsOffer::Offered | StarttlsOffer::Absent => Starttls::Optional,
                }));
                self.state = State::Outgoing(outgoing);
                // `poll` puts what stands behind into the event.
                Event::Secure(tls, Vec::new())
            }
            (phase @ Phase::Starttls(_), Ns::Tls, "failure") => {
                outgoing.phase = phase;
                let refused = outgoing.starttls_refused(cx);
                self.give_up(cx, &outgoing, None, refused)
            }
            (phase, ns, name) => {
                outgoing.phase = phase;
                self.state = State::Outgoing(outgoing);
                self.fail(cx, misplaced(ns, name))
            }
        })
    }

    fn on_features(
        &mut self,
        cx: &mut Cx<'_>,
        outgoing: Box<Outgoing>,
        (secured, opened): (Option<Secured>, Opened),
        element: &Element,
    ) -> Option<Event> {
        if let From::Other(other) = opened.from {
            return Some(self.give_up(cx, &outgoing, None, AttemptError::OtherHost(other)));
        }
        if let Purpose::Link(ours) = &outgoing.sought.purpose {
            let linked = Linked::new(cx, &outgoing.sought, ours.clone(), secured, opened.id);
            return self.begin_link(cx, outgoing, linked, element);
        }
        if let Purpose::Explain(ours) = &outgoing.sought.purpose {
            let ours = ours.clone();
            return Some(self.weigh(cx, outgoing, (&ours, secured), element));
        }
        let offered = features::starttls(element);
        if let (None, Some(starttls)) = (&secured, offered) {
            let offered = StarttlsOffer::from(Some(starttls));
            self.ask_for_tls(cx, outgoing, offered);
            return None;
        }
        // Where TLS came first it is not begun again (XEP-0368 §3), whatever is offered.
        cx.say(|out| out.extend_from_slice(CLOSING_TAG));
        self.state = State::Closing(Closing::Listening);
        let features = features::read(element);
        Some(Event::Reached(Box::new((secured, features, None))))
    }

    fn ask_for_tls(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        offered: StarttlsOffer,
    ) {
        outgoing.phase = Phase::Starttls(offered);
        self.state = State::Outgoing(outgoing);
        cx.say(|out| {
            Writer::new(out)
                .open("starttls")
                .attribute("xmlns", Ns::Tls.uri())
                .close();
        });
    }

    /// Ends a stream of ours, for something that is wrong on this side of the line or on the other.
    pub(super) fn fail_outgoing(&mut self, cx: &mut Cx<'_>, violation: Violation) -> Event {
        let State::Outgoing(outgoing) = core::mem::replace(&mut self.state, State::Closed) else {
            return Event::Close;
        };
        let failure = if violation == Violation::Evicted {
            AttemptError::Evicted
        } else if violation == Violation::Timeout {
            AttemptError::TimedOut(outgoing.awaited())
        } else {
            AttemptError::Broke(violation.error())
        };
        self.give_up(cx, &outgoing, Some(violation), failure)
    }

    /// Plaintext where a handshake belongs (RFC 6120 §5.4.3.1).
    pub(super) fn outgoing_overheard(&mut self) -> Event {
        self.state = State::Closed;
        Event::Unreached(AttemptError::Plaintext)
    }

    /// The peer's closing tag, before we had what we wanted.
    pub(super) fn on_peer_end(&mut self, cx: &mut Cx<'_>) -> Event {
        let State::Outgoing(outgoing) = core::mem::replace(&mut self.state, State::Closed) else {
            return Event::Close;
        };
        let ended = match matches!(outgoing.phase, Phase::Starttls(StarttlsOffer::Absent)) {
            true => outgoing.starttls_refused(cx),
            false => AttemptError::Ended(outgoing.awaited()),
        };
        let event = self.give_up(cx, &outgoing, None, ended);
        self.state = State::Closed;
        event
    }

    fn give_up(
        &mut self,
        cx: &mut Cx<'_>,
        outgoing: &Outgoing,
        violation: Option<Violation>,
        failure: AttemptError,
    ) -> Event {
        self.forget_input();
        self.state = State::Closed;
        if outgoing.can_speak() {
            if let Some(violation) = violation {
                cx.say(|out| violation.write(out));
            }
            cx.say(|out| out.extend_from_slice(CLOSING_TAG));
            self.state = State::Closing(match violation {
                Some(Violation::Xml(_)) => Closing::Deaf,
                Some(_) | None => Closing::Listening,
            });
        }
        Event::Unreached(failure)
    }

    /// What is waited for from a peer that we connect to.
    pub(crate) fn awaited(&self) -> Option<Awaited> {
        match &self.state {
            State::Outgoing(outgoing) => Some(outgoing.awaited()),
            State::Client(_)
            | State::Server(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed => None,
        }
    }
}
