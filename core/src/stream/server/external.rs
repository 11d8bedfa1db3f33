//! SASL EXTERNAL between servers: the certificate says who the peer is (XEP-0178 §3, RFC 6120 §6).

use alloc::boxed::Box;

use super::{Expected, Pair, Server, SignIn, Talk, open};
use crate::federation::{Judged, Method, NextStep, Offer, Outcome, Rule, Side, Verdict};
use crate::jid::Domain;
use crate::sasl::Failure;
use crate::stream::client::decode;
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Content, Element, Ns, ScanLimits, Scanner, Writer};

impl Stream {
    pub(super) fn on_external(
        &mut self,
        cx: &mut Cx<'_>,
        mut talk: Talk,
        name: &str,
        element: &Element,
    ) -> Option<Event> {
        let before = core::mem::replace(&mut talk.sign_in, SignIn::Idle);
        let identity = match (name, before) {
            // RFC 6120 §6.4.2: a new <auth/> discards the exchange under way.
            ("auth", _) => match element.attribute("mechanism").as_deref() {
                Some("EXTERNAL") => decode(&element.text()),
                Some(_) | None => Err(Failure::InvalidMechanism),
            },
            // An empty response is an empty identity.
            ("response", SignIn::Challenged) => {
                decode(&element.text()).map(|said| Some(said.unwrap_or_default()))
            }
            ("response", SignIn::Idle) => Err(Failure::OutOfOrder),
            ("abort", _) => Err(Failure::Aborted),
            _ => {
                self.state = open(talk);
                return Some(self.fail(cx, Violation::UnsupportedElement));
            }
        };
        let Some(theirs) = talk.names.from.clone() else {
            // Who has not said who it is was offered nothing.
            self.state = open(talk);
            return Some(self.fail(cx, Violation::FromUnusable));
        };
        let ours = talk.names.ours.clone();
        // Anew: a reload may have come in between.
        let side = Side::In(Some(theirs.clone()));
        let verdict = talk.protection.decide(cx.config, &ours, side);
        let pair = Pair { ours, theirs };
        if let Rule::Refused(refusal) = verdict.rule {
            self.state = open(talk);
            let judged = pair.judged(verdict, Outcome::Refused);
            return Some(self.fail_by(cx, refusal, Some(judged)));
        }
        let is_offered = talk.pairs.is_empty() && offers(&verdict) && offered(&talk.offer);
        match identity {
            Err(failure) => Some(self.external_failed(cx, talk, &pair, verdict, failure)),
            Ok(_) if !is_offered => {
                let failure = Failure::InvalidMechanism;
                Some(self.external_failed(cx, talk, &pair, verdict, failure))
            }
            Ok(None) => {
                // RFC 6120 §6.4.2: an identity that is empty would be `=`. There is none yet, so it is asked for.
                cx.say(|out| {
                    let mut w = Writer::new(out);
                    w.open("challenge").attribute("xmlns", Ns::Sasl.uri());
                    w.close();
                });
                talk.sign_in = SignIn::Challenged;
                self.state = open(talk);
                None
            }
            Ok(Some(identity)) if is_identity(&identity, &pair.theirs) => {
                Some(self.signed_in_by_certificate(cx, talk, pair, verdict))
            }
            Ok(Some(_)) => {
                let failure = Failure::InvalidAuthzid;
                Some(self.external_failed(cx, talk, &pair, verdict, failure))
            }
        }
    }

    /// `<success/>`, and the stream restarts (RFC 6120 §6.4.6). Who answers for what was claimed meanwhile finds nobody.
    fn signed_in_by_certificate(
        &mut self,
        cx: &mut Cx<'_>,
        talk: Talk,
        pair: Pair,
        verdict: Verdict,
    ) -> Event {
        cx.say(|out| {
            let mut w = Writer::new(out);
            w.open("success").attribute("xmlns", Ns::Sasl.uri()).close();
        });
        let bytes = cx.config.federation.stanza_bytes;
        let limits = ScanLimits::server(&cx.config.limits, bytes);
        self.scan = Scanner::of(Content::Server, limits);
        let judged = pair.judged(verdict, Outcome::Certificate);
        let both_ways = talk.both_ways;
        let server = Server::Header(talk.protection, Expected::AfterSasl(pair, both_ways));
        self.state = State::Server(Box::new(server));
        Event::Judged(judged)
    }

    /// XEP-0178 §3: the stream goes on, with dialback.
    fn external_failed(
        &mut self,
        cx: &mut Cx<'_>,
        mut talk: Talk,
        pair: &Pair,
        verdict: Verdict,
        failure: Failure,
    ) -> Event {
        cx.say(|out| {
            let mut w = Writer::new(out);
            w.open("failure").attribute("xmlns", Ns::Sasl.uri());
            w.open(failure.name()).close().close();
        });
        talk.failures = talk.failures.saturating_add(1);
        self.state = open(talk);
        let judged: Box<Judged> = pair.judged(verdict, Outcome::NotSignedIn(failure.name()));
        Event::Judged(judged)
    }
}

fn offers(verdict: &Verdict) -> bool {
    matches!(&verdict.step, NextStep::Offer(offer) if offered(offer))
}

fn offered(offer: &Offer) -> bool {
    offer.external == Method::Offered
}

/// Whether that is whom the header names, or nobody in particular.
fn is_identity(said: &[u8], theirs: &Domain) -> bool {
    said.is_empty()
        || core::str::from_utf8(said)
            .is_ok_and(|said| Domain::parse(said).is_ok_and(|said| said == *theirs))
}
