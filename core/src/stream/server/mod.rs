//! A stream from another server (RFC 6120 §4, XEP-0220 §2): who it speaks for, proven for each domain, and stanzas of those alone.

mod bidi;
mod dialback;
mod external;
mod features;
mod header;
mod management;
mod shown;
mod stanzas;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

pub(super) use header::write_server_header;
pub(crate) use shown::PairShown;
pub(super) use stanzas::sender;

use self::bidi::{Arriving, BothWays};
use super::client::misplaced;
use super::close::CLOSING_TAG;
use super::deadline::Deadline;
use super::{Cx, Ending, Event, Hearing, State, Stream, Violation};
use crate::config::{Config, TlsAvailable};
use crate::federation::{
    Claim, Encryption, Facts, Judged, Method, Methods, NameMatch, Offer, Outcome, OwnCertificate,
    PeerCertificate, Refusal, Side, StarttlsOffer, Tls, Tried, Try, Verdict, Whose, decide,
    match_names,
};
use crate::jid::Domain;
use crate::limits::{S2S_QUESTIONS, S2S_SIGN_IN_FAILURES};
use crate::port::{
    Opening, Protocol, ServerCertificate, Starttls, TlsInfo, TlsServer, TlsSide, TlsVersion,
};
use crate::rate::Bucket;
use crate::sm::{Inbound, Nonza};
use crate::time::{Instant, UnixTime};
use crate::xml::{Content, Element, Ns, ScanLimits, Writer};

/// Where it stands.
///
/// ```text
///            clear                    direct TLS
///              |                          |
///              v         starttls         v
///   Header(First) ---> Open ----------> Secure
///        ^              | ^ |             |
///        |     EXTERNAL | | +- claims, questions, stanzas
///        |              v |               |
///        |   Header(AfterSasl)            | secured
///        +--------------------------------+
/// ```
#[derive(Debug)]
pub(super) enum Server {
    /// What comes is TLS's: it came first on the wire, or `<proceed/>` is sent. What a header said before that is remembered.
    Secure(Opening, Option<Names>),
    /// Its header is awaited.
    Header(Protection, Expected),
    /// It is here, and is answered where the domain is owned that it is from: stanzas may go both ways then.
    Arriving(Box<Arriving>),
    /// It was answered: any domain may be proven, and who has proven one sends stanzas.
    Open(Talk),
}

/// Which header is awaited.
#[derive(Debug)]
pub(super) enum Expected {
    /// The first.
    First,
    /// The one behind TLS; with what it said before.
    AfterTls(Names),
    /// The one behind SASL, which has proven this; and whether stanzas go both ways then.
    AfterSasl(Pair, BothWays),
}

/// Whom the header is to, and from whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Names {
    ours: Domain,
    from: Option<Domain>,
}

/// Who may send to whom, once it is proven.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Pair {
    ours: Domain,
    theirs: Domain,
}

/// What protects the stream, and what its peer has shown of itself.
#[derive(Debug)]
pub(super) enum Protection {
    Clear,
    Tls {
        version: TlsVersion,
        suite: &'static str,
        opening: Opening,
        certificate: Option<Box<ServerCertificate>>,
    },
}

/// A stream whose header was answered.
#[derive(Debug)]
pub(super) struct Talk {
    names: Names,
    protection: Protection,
    /// The id that we gave it.
    id: Box<str>,
    offer: Offer,
    sign_in: SignIn,
    /// Sign-ins that have failed.
    failures: u8,
    /// What is proven: `S2S_PAIRS` at most, with what is claimed.
    pairs: Vec<Pair>,
    /// What is claimed and asked about: `S2S_CLAIMS` at most.
    claims: Vec<Claim>,
    purpose: Purpose,
    /// The questions about keys that it has asked of late.
    questions: Bucket,
    both_ways: BothWays,
    /// The stanzas that came since stream management was enabled (XEP-0198), if it was.
    counted: Option<Box<Inbound>>,
}

/// How far SASL has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SignIn {
    /// Nothing was said.
    Idle,
    /// It is asked whom the peer wants to be.
    Challenged,
}

/// What the peer has come for, as far as it has said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    /// To prove who it is, if that.
    Unknown,
    /// To ask whether a key is ours, so far.
    Questions,
}

impl Server {
    /// A connection was made.
    pub(super) const fn new(opening: Opening) -> Self {
        match opening {
            Opening::Clear => Self::Header(Protection::Clear, Expected::First),
            Opening::Tls => Self::Secure(opening, None),
        }
    }

    /// What becomes of what it sends.
    pub(super) const fn hearing(&self) -> Hearing {
        match self {
            Self::Secure(..) => Hearing::Tls,
            Self::Header(..) => Hearing::Header,
            Self::Arriving(_) => Hearing::Later,
            Self::Open(_) => Hearing::Elements,
        }
    }

    /// What its deadline is for.
    pub(super) const fn deadline(&self) -> Deadline {
        match self {
            Self::Secure(..) => Deadline::Handshake,
            Self::Header(Protection::Clear, _) => Deadline::Tls,
            Self::Header(Protection::Tls { .. }, _) | Self::Arriving(_) => Deadline::Proof,
            Self::Open(talk) => match (talk.pairs.is_empty(), talk.offer.starttls, talk.purpose) {
                (false, _, _) => Deadline::Quiet,
                (true, Some(Starttls::Required), _) => Deadline::Tls,
                (true, _, Purpose::Questions) => Deadline::Questions,
                (true, _, Purpose::Unknown) => Deadline::Proof,
            },
        }
    }

    /// Until when what it has shown is good, if it is.
    pub(super) fn certified_until(&self) -> Option<UnixTime> {
        let protection = match self {
            Self::Open(talk) => &talk.protection,
            Self::Header(protection, _) => protection,
            Self::Arriving(arriving) => &arriving.protection,
            Self::Secure(..) => return None,
        };
        match protection {
            Protection::Clear => None,
            Protection::Tls { certificate, .. } => certificate.as_ref()?.chain.valid_until(),
        }
    }

    /// Whether it has proven any domain.
    pub(super) const fn is_proven(&self) -> bool {
        match self {
            Self::Header(_, Expected::AfterSasl(..)) => true,
            Self::Open(talk) => !talk.pairs.is_empty(),
            Self::Header(_, Expected::First | Expected::AfterTls(_))
            | Self::Arriving(_)
            | Self::Secure(..) => false,
        }
    }

    /// How long it is not to be read, having asked about more keys than it may.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        match self {
            Self::Open(talk) => talk.questions.rest(now, &S2S_QUESTIONS),
            Self::Header(..) | Self::Arriving(_) | Self::Secure(..) => Duration::ZERO,
        }
    }

    /// Whether no more sign-ins may fail.
    pub(super) const fn has_failed_enough(&self) -> bool {
        match self {
            Self::Open(talk) => talk.failures >= S2S_SIGN_IN_FAILURES,
            Self::Header(..) | Self::Arriving(_) | Self::Secure(..) => false,
        }
    }

    /// Whether our opening tag is still to be sent.
    pub(super) const fn owes_header(&self) -> bool {
        match self {
            Self::Header(..) | Self::Arriving(_) => true,
            Self::Secure(..) | Self::Open(_) => false,
        }
    }

    /// Why something that it has proven would not be let be now, by what is known of it since.
    fn is_refused_now(&self, config: &Config) -> Option<Refusal> {
        let (protection, pairs) = match self {
            Self::Header(protection, Expected::AfterSasl(pair, _)) => {
                (protection, core::slice::from_ref(pair))
            }
            Self::Open(talk) => (&talk.protection, talk.pairs.as_slice()),
            Self::Header(_, Expected::First | Expected::AfterTls(_))
            | Self::Arriving(_)
            | Self::Secure(..) => {
                return None;
            }
        };
        pairs.iter().find_map(|pair| {
            let side = Side::Further(pair.theirs.clone());
            protection.decide(config, &pair.ours, side).rule.refusal()
        })
    }

    /// The domain of ours that its header is to.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Header(_, Expected::AfterSasl(pair, _)) => Some(pair.ours.as_str()),
            Self::Arriving(arriving) => Some(arriving.names.ours.as_str()),
            Self::Open(talk) => Some(talk.names.ours.as_str()),
            Self::Secure(_, names) => names.as_ref().map(|names| names.ours.as_str()),
            Self::Header(_, Expected::AfterTls(names)) => Some(names.ours.as_str()),
            Self::Header(_, Expected::First) => None,
        }
    }

    /// The domain that it says it is.
    pub(super) const fn peer(&self) -> Option<&Domain> {
        match self {
            Self::Header(_, Expected::AfterSasl(pair, _)) => Some(&pair.theirs),
            Self::Arriving(arriving) => arriving.names.from.as_ref(),
            Self::Open(talk) => talk.names.from.as_ref(),
            Self::Secure(_, Some(names)) | Self::Header(_, Expected::AfterTls(names)) => {
                names.from.as_ref()
            }
            Self::Secure(_, None) | Self::Header(_, Expected::First) => None,
        }
    }
}

impl Protection {
    /// As policy sees it, where the certificate is to be this domain's.
    fn tls(&self, domain: Option<&Domain>) -> Tls {
        match self {
            Self::Clear => Tls::Clear(StarttlsOffer::Absent),
            Self::Tls {
                version,
                suite: _,
                opening,
                certificate,
            } => {
                let certificate = match certificate {
                    None => PeerCertificate::None,
                    Some(shown) => PeerCertificate::Shown {
                        chain: shown.chain,
                        names: domain.map_or(NameMatch::Mismatch, |domain| {
                            match_names(domain, &shown.names)
                        }),
                    },
                };
                Tls::Up {
                    version: *version,
                    opening: *opening,
                    certificate,
                }
            }
        }
    }

    /// What policy says of who speaks on such a stream, to this domain of ours.
    fn decide(&self, config: &Config, ours: &Domain, side: Side) -> Verdict {
        let domain = side.domain();
        let whose = match domain.is_some_and(|domain| config.hosts.contains_key(domain)) {
            true => Whose::Ours,
            false => Whose::Others,
        };
        let facts = Facts {
            ours: ours.clone(),
            own: own_certificate(config, ours),
            whose,
            tls: self.tls(domain),
            methods: Methods {
                external: Method::Absent,
                dialback: Method::Absent,
            },
            tried: Tried {
                starttls: Try::Untried,
                external: Try::Untried,
                dialback: Try::Untried,
            },
            side,
        };
        decide(&config.federation.rules, &facts)
    }
}

/// Whether there is one that can be shown for this domain.
fn own_certificate(config: &Config, ours: &Domain) -> OwnCertificate {
    match config.tls_of(ours) {
        TlsAvailable::Yes => OwnCertificate::Present,
        TlsAvailable::No => OwnCertificate::Absent,
    }
}

impl Pair {
    /// What has come of it.
    fn judged(&self, verdict: Verdict, outcome: Outcome) -> Box<Judged> {
        Box::new(Judged {
            ours: self.ours.clone(),
            theirs: self.theirs.clone(),
            verdict,
            outcome,
        })
    }
}

impl Stream {
    /// TLS is up: all that was said before is void, but that who says now that it is another is no honest server. The state was taken out
    /// of the stream.
    pub(super) fn server_secured(
        &mut self,
        cx: &mut Cx<'_>,
        server: Server,
        tls: TlsInfo,
    ) -> Option<Event> {
        let (opening, names) = match server {
            Server::Secure(opening, names) => (opening, names),
            other @ (Server::Header(..) | Server::Arriving(_) | Server::Open(_)) => {
                self.state = State::Server(Box::new(other));
                return Some(self.bug(cx, "secured"));
            }
        };
        self.begin_anew(cx, Content::Server);
        self.scan
            .set_limits(ScanLimits::unproven(&cx.config.limits));
        let protection = Protection::Tls {
            version: tls.version,
            suite: tls.suite,
            opening,
            certificate: tls.server,
        };
        let expected = names.map_or(Expected::First, Expected::AfterTls);
        self.state = State::Server(Box::new(Server::Header(protection, expected)));
        None
    }

    /// An element of it. The state was taken out of the stream.
    pub(super) fn on_server_element(
        &mut self,
        cx: &mut Cx<'_>,
        server: Server,
        element: Element,
    ) -> Option<Event> {
        let talk = match server {
            Server::Open(talk) => talk,
            other @ (Server::Header(..) | Server::Arriving(_) | Server::Secure(..)) => {
                self.state = State::Server(Box::new(other));
                return Some(self.bug(cx, "an element where none was wanted"));
            }
        };
        match (element.ns(), element.name()) {
            (Ns::Client, "iq" | "message" | "presence") => self.on_peer_stanza(cx, talk, element),
            (Ns::Bidi, "bidi") => self.on_bidi(cx, talk, &element),
            (Ns::Dialback, "result") => self.on_claim(cx, talk, &element),
            (Ns::Dialback, "verify") => self.on_question(cx, talk, &element),
            (Ns::Tls, "starttls") => Some(self.on_server_starttls(cx, talk)),
            (Ns::Sasl, name) => self.on_external(cx, talk, name, &element),
            (Ns::Streams, "error") => {
                self.state = open(talk);
                Some(self.on_end(cx))
            }
            (Ns::StreamManagement, _) if let Some(nonza) = Nonza::parse(&element) => {
                self.on_server_nonza(cx, talk, &nonza)
            }
            (ns, name) => {
                self.state = open(talk);
                Some(self.fail(cx, misplaced(ns, name)))
            }
        }
    }

    /// RFC 6120 §5.4.2.
    ///
    /// `Choice:` where something is proven it is refused: what that was worth would be void below TLS (§5.4.3.3).
    fn on_server_starttls(&mut self, cx: &mut Cx<'_>, talk: Talk) -> Event {
        let is_possible = match talk.protection {
            Protection::Clear => {
                cx.config.federation.rules.encryption() != Encryption::Forbidden
                    && own_certificate(cx.config, &talk.names.ours) == OwnCertificate::Present
            }
            Protection::Tls { .. } => false,
        };
        if !is_possible || !talk.pairs.is_empty() {
            cx.say(|out| {
                let mut w = Writer::new(out);
                w.open("failure").attribute("xmlns", Ns::Tls.uri()).close();
            });
            cx.say(|out| out.extend_from_slice(CLOSING_TAG));
            self.state = State::Closed;
            return Event::StarttlsRefused;
        }
        cx.say(|out| {
            let mut w = Writer::new(out);
            w.open("proceed").attribute("xmlns", Ns::Tls.uri()).close();
        });
        let side = TlsServer {
            host: talk.names.ours.clone(),
            protocol: Protocol::XmppServer,
        };
        // Who answers for what was claimed meanwhile finds nobody.
        let server = Server::Secure(Opening::Clear, Some(talk.names));
        self.state = State::Server(Box::new(server));
        // `poll` puts what stands behind into the event.
        Event::Secure(TlsSide::Server(side), Vec::new())
    }

    /// Why something that its server has proven would not be let be now, if it would not.
    pub(crate) fn is_refused_now(&self, config: &Config) -> Option<Refusal> {
        self.server()?.is_refused_now(config)
    }

    /// Ends the stream by a rule.
    fn fail_by(&mut self, cx: &mut Cx<'_>, refusal: Refusal, judged: Option<Box<Judged>>) -> Event {
        let event = self.fail(cx, Violation::Peer(refusal));
        if let Event::Closing(Some(ending)) = event {
            return Event::Closing(Some(Ending { judged, ..ending }));
        }
        event
    }
}

fn open(talk: Talk) -> State {
    State::Server(Box::new(Server::Open(talk)))
}
