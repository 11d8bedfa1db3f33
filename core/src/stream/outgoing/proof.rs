//! What a link does (`linked.rs`): it may ask whether keys are good (XEP-0220 §2.1.3), which proves nothing of us and needs no
//! proof; when there is something to be sent it proves who we are, by EXTERNAL (XEP-0178 §3) or by dialback (XEP-0220 §2.1.1), as
//! `federation::decide` says; and then stanzas may be written to it. None come back on it but where both sides have agreed to that (`bidi.rs`).

use alloc::boxed::Box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::bidi;
use super::features::{cut, starttls};
use super::linked::{Linked, Management, Proof, UNTRIED, facts, methods};
use super::{Outgoing, Phase};
use crate::federation::{
    Claim, Method, Methods, NextStep, Refusal, StarttlsOffer, Tls, Tried, Try, Unverified, Verdict,
    Verified, VerifyAnswer, decide,
};
use crate::jid::Domain;
use crate::port::{AttemptError, PeerError, ProvenBy, Unproven};
use crate::sm::LinkNonza;
use crate::stream::client::misplaced;
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Element, Ns, Writer};

impl Outgoing {
    /// What comes of it that the peer says `<failure/>` to `<starttls/>` (RFC 6120 §5.4.2.2).
    pub(super) fn starttls_refused(&self, cx: &Cx<'_>) -> AttemptError {
        use super::Purpose;
        let (Purpose::Explain(ours) | Purpose::Link(ours), Phase::Starttls(offered)) =
            (&self.sought.purpose, &self.phase)
        else {
            return AttemptError::StarttlsRefused;
        };
        let tried = Tried {
            starttls: Try::Failed,
            ..UNTRIED
        };
        let methods = Methods {
            external: Method::Absent,
            dialback: Method::Absent,
        };
        let tls = Tls::Clear(*offered);
        let pair = (ours, &self.sought.domain);
        let verdict = decide(
            &cx.config.federation.rules,
            &facts(cx, pair, tls, (methods, tried)),
        );
        match verdict.rule.refusal() {
            Some(refusal) => AttemptError::Policy(refusal),
            None => AttemptError::StarttlsRefused,
        }
    }
}

impl Stream {
    /// Its features are here. The state was taken out of the stream.
    pub(super) fn begin_link(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        mut linked: Linked,
        features: &Element,
    ) -> Option<Event> {
        linked.methods = methods(features);
        linked.note_features(features);
        linked.both_ways = bidi::offered(cx, features);
        let offered = StarttlsOffer::from(starttls(features));
        let facts = linked.facts(cx, offered);
        let verdict = decide(&cx.config.federation.rules, &facts);
        if verdict.step == NextStep::StartTls {
            self.ask_for_tls(cx, outgoing, offered);
            return None;
        }
        if !verdict.may_verify() {
            return Some(self.refuse_link(cx, &outgoing, &verdict));
        }
        outgoing.phase = Phase::Linked(Box::new(linked));
        self.state = State::Outgoing(outgoing);
        Some(Event::Ready)
    }

    /// Comes to nothing by our own policy, which the peer is told.
    fn refuse_link(&mut self, cx: &mut Cx<'_>, outgoing: &Outgoing, verdict: &Verdict) -> Event {
        let refusal = verdict.rule.refusal().unwrap_or(Refusal::NoMethod);
        let failure = AttemptError::Policy(refusal);
        self.give_up(cx, outgoing, Some(Violation::Peer(refusal)), failure)
    }

    /// Proves who we are, since there is something to be sent. Does nothing if that is begun.
    pub(crate) fn prove_us(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        if !self.is_unbegun() {
            return None;
        }
        let State::Outgoing(outgoing) = &mut self.state else {
            return None;
        };
        let phase = core::mem::replace(&mut outgoing.phase, Phase::Connecting);
        match (core::mem::replace(&mut self.state, State::Closed), phase) {
            (State::Outgoing(outgoing), Phase::Linked(linked)) => self.go_on(cx, outgoing, linked),
            // Excluded above.
            (state, _) => {
                self.state = state;
                None
            }
        }
    }

    /// The next way to prove who we are, or none.
    fn go_on(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        mut linked: Box<Linked>,
    ) -> Option<Event> {
        let facts = linked.facts(cx, StarttlsOffer::Absent);
        let verdict = decide(&cx.config.federation.rules, &facts);
        match verdict.step {
            NextStep::External => {
                linked.ask_for_both_ways(cx);
                linked.proof = Proof::External;
                // XEP-0178 §3: some want the name here, some in the header; it is the same.
                // `Deviation:` RFC 6120 §6.3.8 has it only where it is another; that XEP asks for it for the sake of older servers.
                let authzid = STANDARD.encode(linked.ours.as_str());
                cx.say(|out| {
                    Writer::new(out)
                        .open("auth")
                        .attribute("xmlns", Ns::Sasl.uri())
                        .attribute("mechanism", "EXTERNAL")
                        .text(&authzid)
                        .close();
                });
            }
            NextStep::Dialback => {
                linked.ask_for_both_ways(cx);
                linked.proof = Proof::Dialback;
                let key = cx.dialback.key(&linked.theirs, &linked.ours, &linked.id);
                cx.say(|out| {
                    Writer::new(out)
                        .open("db:result")
                        .attribute("from", linked.ours.as_str())
                        .attribute("to", linked.theirs.as_str())
                        .text(&key)
                        .close();
                });
            }
            NextStep::StartTls
            | NextStep::Offer(_)
            | NextStep::AcceptByCertificate
            | NextStep::DialBack
            | NextStep::Refuse { .. } => {
                outgoing.phase = Phase::Linked(linked);
                return Some(self.refuse_link(cx, &outgoing, &verdict));
            }
        }
        outgoing.phase = Phase::Linked(linked);
        self.state = State::Outgoing(outgoing);
        None
    }

    /// Asks whether a key is good that somebody has shown for the peer's domain.
    pub(crate) fn ask_about(cx: &mut Cx<'_>, claim: &Claim) {
        cx.say(|out| {
            Writer::new(out)
                .open("db:verify")
                .attribute("from", claim.receiving.as_str())
                .attribute("to", claim.originating.as_str())
                .attribute("id", &claim.id)
                .text(&claim.key)
                .close();
        });
    }

    /// An element on a link. The state was taken out of the stream.
    pub(super) fn on_link_element(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        mut linked: Box<Linked>,
        element: Element,
    ) -> Option<Event> {
        match (linked.proof, element.ns(), element.name()) {
            (_, Ns::Client, "iq" | "message" | "presence") => {
                self.on_returned_stanza(cx, outgoing, linked, element)
            }
            (_, Ns::Dialback, "verify") => {
                outgoing.phase = Phase::Linked(linked);
                self.state = State::Outgoing(outgoing);
                Some(match verify_answer(&element) {
                    Some(answer) => Event::VerifyAnswered(Box::new(answer)),
                    // XEP-0220 §2.1.2: keys are shown and asked about on streams of who shows them.
                    None => self.fail(cx, Violation::Unsolicited),
                })
            }
            (Proof::Dialback, Ns::Dialback, "result") if is_of(&element, &linked) => {
                self.on_result(cx, outgoing, linked, &element)
            }
            (_, Ns::Dialback, _) => {
                outgoing.phase = Phase::Linked(linked);
                self.state = State::Outgoing(outgoing);
                Some(self.fail(cx, Violation::Unsolicited))
            }
            (Proof::External, Ns::Sasl, "success") => {
                self.begin_anew(cx, outgoing.sought.content());
                outgoing.sought.write_header(cx, linked.secured.as_ref());
                linked.proof = Proof::Header;
                outgoing.phase = Phase::Linked(linked);
                self.state = State::Outgoing(outgoing);
                None
            }
            (Proof::External, Ns::Sasl, "failure") => {
                linked.tried.external = Try::Failed;
                linked.proof = Proof::Unbegun;
                self.go_on(cx, outgoing, linked)
            }
            (Proof::Features, Ns::Streams, "features") => {
                linked.note_features(&element);
                Some(self.proven(cx, outgoing, linked))
            }
            (Proof::Done(_), Ns::StreamManagement, _) => {
                self.on_link_nonza(cx, outgoing, linked, &element)
            }
            (_, ns, name) => {
                outgoing.phase = Phase::Linked(linked);
                self.state = State::Outgoing(outgoing);
                Some(self.fail(cx, misplaced(ns, name)))
            }
        }
    }

    /// What the peer says of what it was sent.
    fn on_link_nonza(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        mut linked: Box<Linked>,
        element: &Element,
    ) -> Option<Event> {
        let counts = linked.management == Management::Enabled;
        let nonza = LinkNonza::parse(element).filter(|_| counts);
        let settled = match &nonza {
            // Where nothing may come back, nothing has.
            Some(LinkNonza::Request) => linked.counted.as_mut().map_or(0, |c| c.asked()),
            Some(LinkNonza::Enabled) => {
                bidi::begin_to_count(&mut linked);
                0
            }
            Some(LinkNonza::Ack(_) | LinkNonza::Failed) | None => 0,
        };
        outgoing.phase = Phase::Linked(linked);
        self.state = State::Outgoing(outgoing);
        match nonza {
            Some(LinkNonza::Request) => {
                cx.fx.acknowledge(cx.conn, settled);
                None
            }
            Some(nonza) => Some(Event::LinkNonza(nonza)),
            None => Some(self.fail(cx, Violation::UnsupportedElement)),
        }
    }

    /// The answer to our own claim.
    fn on_result(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        mut linked: Box<Linked>,
        element: &Element,
    ) -> Option<Event> {
        let kind = element.attribute("type");
        let unproven = match kind.as_deref() {
            Some("valid") => return Some(self.proven(cx, outgoing, linked)),
            Some("invalid") => Unproven::Invalid,
            Some("error") => Unproven::Error(dialback_error(element)),
            Some(_) | None => {
                outgoing.phase = Phase::Linked(linked);
                self.state = State::Outgoing(outgoing);
                return Some(self.fail(cx, Violation::Unsolicited));
            }
        };
        linked.tried.dialback = Try::Failed;
        outgoing.phase = Phase::Linked(linked);
        let failure = AttemptError::Unproven(unproven);
        Some(self.give_up(cx, &outgoing, None, failure))
    }

    fn proven(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        mut linked: Box<Linked>,
    ) -> Event {
        if linked.management == Management::Offered {
            linked.management = Management::Enabled;
            cx.say(|out| {
                let mut w = Writer::new(out);
                let xmlns = Ns::StreamManagement.uri();
                w.open("enable").attribute("xmlns", xmlns).close();
            });
        }
        linked.proof = Proof::Done(match linked.proof {
            Proof::Dialback => ProvenBy::Dialback,
            Proof::Unbegun | Proof::External | Proof::Header | Proof::Features | Proof::Done(_) => {
                ProvenBy::External
            }
        });
        self.hear_stanzas(cx, &linked);
        outgoing.phase = Phase::Linked(linked);
        self.state = State::Outgoing(outgoing);
        self.heard = cx.now.mono;
        Event::Linked
    }

    /// Closes a stream of ours in order: nothing more is said on it.
    pub(crate) fn finish_link(&mut self, cx: &mut Cx<'_>) {
        if matches!(self.state, State::Outgoing(_)) {
            cx.say(|out| out.extend_from_slice(crate::stream::close::CLOSING_TAG));
            self.forget_input();
            self.state = State::Closing(crate::stream::close::Closing::Listening);
        }
    }

    /// Something was written to it: it is not idle.
    pub(crate) const fn used(&mut self, cx: &Cx<'_>) {
        self.heard = cx.now.mono;
    }
}

/// Whether it is about the pair of the link.
fn is_of(element: &Element, linked: &Linked) -> bool {
    let is = |name, domain: &Domain| {
        let value = element.attribute(name);
        let value = value.and_then(|value| Domain::parse(&value).ok());
        value.as_ref() == Some(domain)
    };
    is("from", &linked.theirs) && is("to", &linked.ours)
}

/// What it says, if it is an answer.
fn verify_answer(element: &Element) -> Option<VerifyAnswer> {
    let domain = |name| Domain::parse(&element.attribute(name)?).ok();
    let verified = match &*element.attribute("type")? {
        "valid" => Verified::Valid,
        "invalid" => Verified::Invalid,
        "error" => Verified::Unknown(Unverified::Refused),
        _ => return None,
    };
    Some(VerifyAnswer {
        receiving: domain("to")?,
        originating: domain("from")?,
        id: (&*element.attribute("id")?).into(),
        verified,
    })
}

/// The condition of an error of dialback (XEP-0220 §2.5).
fn dialback_error(element: &Element) -> PeerError {
    let mut error = PeerError {
        condition: "".into(),
        text: None,
    };
    let mut children = element.children();
    let found = children.find(|child| child.name() == "error");
    for child in found.iter().flat_map(|error| error.children()) {
        match (child.ns(), child.name()) {
            (Ns::StanzaErrors, "text") => error.text = Some(cut(&child.text())),
            (Ns::StanzaErrors, name) if error.condition.is_empty() => error.condition = cut(name),
            _ => {}
        }
    }
    error
}
