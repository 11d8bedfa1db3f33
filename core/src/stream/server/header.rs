//! The headers of a stream from another server: what it says, and our answer (RFC 6120 §4.7).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::bidi::{Arriving, BothWays};
use super::{Expected, Names, Pair, Purpose, Server, SignIn, Talk, open};
use crate::federation::{Claim, Method, NextStep, Offer, Outcome, Refusal, Rule, Side, Verdict};
use crate::jid::Domain;
use crate::port::Starttls;
use crate::rate::Bucket;
use crate::stream::header::{Version, host_of, is_1_0_or_later, lang};
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Header, Ns, escape_attribute};

/// Whether the peer knows of stream features (RFC 6120 §4.7.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Age {
    /// Since 1.0.
    Modern,
    /// It has dialback alone.
    Old,
}

impl Stream {
    /// Its opening tag. The state was taken out of the stream.
    pub(in crate::stream) fn on_server_header(
        &mut self,
        cx: &mut Cx<'_>,
        server: Server,
        header: &Header,
    ) -> Option<Event> {
        let (protection, expected) = match server {
            Server::Header(protection, expected) => (protection, expected),
            other @ (Server::Open(_) | Server::Arriving(_) | Server::Secure(..)) => {
                self.state = State::Server(Box::new(other));
                return Some(self.fail(cx, Violation::StreamElement));
            }
        };
        let version = Version::answering(header.version.as_deref());
        let names = match check(cx, header, &expected) {
            Ok(names) => names,
            Err(violation) => {
                let server = Server::Header(protection, expected);
                self.state = State::Server(Box::new(server));
                // RFC 6120 §4.7.1: the response names one of our hosts; only without a known one is it empty (§4.9.1.3).
                let host = header.to.as_deref().and_then(host_of);
                let host = host.filter(|host| cx.config.hosts.contains_key(host));
                let from = host.as_ref().map_or("", Domain::as_str);
                return Some(self.fail_from(cx, from, version, violation));
            }
        };
        self.lang = lang(header);
        let age = match header.version.as_deref().is_some_and(is_1_0_or_later) {
            true => Age::Modern,
            false => Age::Old,
        };
        let arriving = Arriving {
            protection,
            names,
            version,
        };
        let arriving = match (age, &expected) {
            (Age::Modern, Expected::First | Expected::AfterTls(_)) => {
                match self.arrive(cx, arriving) {
                    Ok(event) => return Some(event),
                    Err(arriving) => arriving,
                }
            }
            (Age::Modern | Age::Old, _) => arriving,
        };
        self.answer_header(cx, arriving, BothWays::No, (expected, age))
    }

    /// Our own.
    pub(super) fn answer_header(
        &mut self,
        cx: &mut Cx<'_>,
        arriving: Arriving,
        both_ways: BothWays,
        (expected, age): (Expected, Age),
    ) -> Option<Event> {
        let Arriving {
            protection,
            names,
            version,
        } = arriving;
        let id = write_server_header(cx, names.ours.as_str(), names.from.as_ref(), version);
        let talk = Talk {
            both_ways,
            counted: None,
            names,
            protection,
            id: id.into_boxed_str(),
            offer: Offer {
                starttls: None,
                external: Method::Absent,
                dialback: Method::Offered,
            },
            sign_in: SignIn::Idle,
            failures: 0,
            pairs: Vec::<Pair>::new(),
            claims: Vec::<Claim>::new(),
            purpose: Purpose::Unknown,
            questions: Bucket::default(),
        };
        match expected {
            Expected::First | Expected::AfterTls(_) => self.welcome(cx, talk, age),
            Expected::AfterSasl(pair, both_ways) => {
                self.welcome_back(cx, Talk { both_ways, ..talk }, pair)
            }
        }
    }

    /// Our header is sent: what there is for whom the peer says it is.
    fn welcome(&mut self, cx: &mut Cx<'_>, mut talk: Talk, age: Age) -> Option<Event> {
        let Names { ours, from } = talk.names.clone();
        let verdict = talk
            .protection
            .decide(cx.config, &ours, Side::In(from.clone()));
        let offer = match (verdict.step, verdict.rule) {
            (NextStep::Offer(offer), _) => offer,
            (_, Rule::Refused(refusal)) => {
                return Some(self.turn_away(cx, talk, refusal, verdict));
            }
            (
                NextStep::StartTls
                | NextStep::External
                | NextStep::Dialback
                | NextStep::AcceptByCertificate
                | NextStep::DialBack
                | NextStep::Refuse { .. },
                _,
            ) => {
                self.state = open(talk);
                return Some(self.bug(cx, "a header was judged like a claim"));
            }
        };
        if age == Age::Old && offer.starttls == Some(Starttls::Required) {
            // Who knows no features cannot be offered anything, and there is nothing it may do as it is.
            let verdict = match from {
                Some(from) => talk.protection.decide(cx.config, &ours, Side::Claim(from)),
                None => verdict,
            };
            return Some(self.turn_away(cx, talk, Refusal::Unencrypted, verdict));
        }
        talk.offer = offer;
        if age == Age::Modern {
            Self::write_server_features(cx, &offer, talk.both_ways);
        }
        self.state = open(talk);
        None
    }

    /// Our header is sent, after SASL.
    fn welcome_back(&mut self, cx: &mut Cx<'_>, mut talk: Talk, pair: Pair) -> Option<Event> {
        let both_ways = talk.both_ways;
        Self::write_server_features(cx, &talk.offer, both_ways);
        talk.pairs.push(pair);
        self.state = open(talk);
        match both_ways {
            BothWays::Agreed(_) => Some(Event::BothWays),
            BothWays::No | BothWays::Offered => None,
        }
    }

    /// Behind the headers, before features.
    fn turn_away(
        &mut self,
        cx: &mut Cx<'_>,
        talk: Talk,
        refusal: Refusal,
        verdict: Verdict,
    ) -> Event {
        let Names { ours, from } = talk.names.clone();
        self.state = open(talk);
        let pair = from.map(|theirs| Pair { ours, theirs });
        let judged = pair.map(|pair| pair.judged(verdict, Outcome::Refused));
        self.fail_by(cx, refusal, judged)
    }
}

/// Our opening tag; returns the id in it. RFC 6120 §4.7.3: it is "both unpredictable and non-repeating", or keys of dialback could be used
/// again.
pub(in crate::stream) fn write_server_header(
    cx: &mut Cx<'_>,
    from: &str,
    to: Option<&Domain>,
    version: Version,
) -> String {
    let id = cx.entropy.id("stream");
    cx.say(|out| {
        // XEP-0220 §2.4.1.
        out.extend_from_slice(
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
              xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'",
        );
        version.write(out);
        out.extend_from_slice(b" xml:lang='en' id='");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"' from='");
        escape_attribute(out, from);
        if let Some(to) = to {
            out.extend_from_slice(b"' to='");
            escape_attribute(out, to.as_str());
        }
        out.extend_from_slice(b"'>");
    });
    id
}

/// Who speaks to whom, if that may be. `Choice:` of the version nothing is asked: who has none, or an older one, has dialback.
fn check(cx: &Cx<'_>, header: &Header, expected: &Expected) -> Result<Names, Violation> {
    if header.ns != Ns::Streams {
        return Err(Violation::Namespace);
    }
    if header.name != "stream" {
        return Err(Violation::NotAStream);
    }
    // RFC 6120 §4.8.2: without a default content namespace, each stanza declares its own.
    if !matches!(header.content, Ns::Server | Ns::None | Ns::Streams) {
        return Err(Violation::Namespace);
    }
    let (before, from_before) = match expected {
        Expected::First => (None, None),
        Expected::AfterTls(names) => (Some(&names.ours), names.from.as_ref()),
        Expected::AfterSasl(pair, _) => (Some(&pair.ours), Some(&pair.theirs)),
    };
    let ours = match (header.to.as_deref(), expected) {
        (Some(to), _) => Domain::parse(to).map_err(|_| Violation::ToMissing)?,
        // RFC 6120 §4.7.2: be liberal in accepting headers without `to`; here it is known whose stream it is.
        (None, Expected::AfterSasl(pair, _)) => pair.ours.clone(),
        (None, Expected::First | Expected::AfterTls(_)) => return Err(Violation::ToMissing),
    };
    if !cx.config.hosts.contains_key(&ours) {
        return Err(Violation::HostUnknown);
    }
    let from = match (header.from.as_deref(), expected) {
        (Some(from), _) => Some(Domain::parse(from).map_err(|_| Violation::FromUnusable)?),
        (None, Expected::AfterSasl(pair, _)) => Some(pair.theirs.clone()),
        // RFC 6120 §4.7.1: what was said in the clear is not to be relied on.
        (None, Expected::First | Expected::AfterTls(_)) => None,
    };
    let has_changed = before.is_some_and(|before| *before != ours)
        || matches!((from_before, &from), (Some(before), Some(from)) if before != from);
    match has_changed {
        true => Err(Violation::DomainsChanged),
        false => Ok(Names { ours, from }),
    }
}
