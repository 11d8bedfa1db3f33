//! Dialback, as the receiving and as the authoritative server (XEP-0220 §2.2), and without dialling back (XEP-0344 §2.4).

use alloc::borrow::Cow;
use alloc::boxed::Box;

use super::{Pair, Purpose, Server, Talk, open};
use crate::federation::{
    Claim, NextStep, Outcome, Rule, Side, Unverified, Verdict, Verified, Whose,
};
use crate::jid::Domain;
use crate::limits::{DIALBACK_KEY_BYTES, S2S_CLAIMS, S2S_PAIRS, S2S_QUESTIONS};
use crate::stanza::{Condition, ErrorType};
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Element, ScanLimits, Writer};

/// What is said to a claim or a question. A condition need not be one of RFC 6120 §8.3.3 (XEP-0220 §2.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Valid,
    Invalid,
    Error(&'static str, ErrorType),
}

impl Answer {
    const fn error(condition: Condition) -> Self {
        Self::Error(condition.name(), condition.kind())
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Error(..) => "error",
        }
    }
}

/// Whom a claim or a question is about.
struct Asked {
    pair: Pair,
    /// Of `to`, which is where the answer is from in any case.
    whose: Whose,
}

impl Stream {
    /// `<db:result/>` (XEP-0220 §2.2.1).
    pub(super) fn on_claim(
        &mut self,
        cx: &mut Cx<'_>,
        mut talk: Talk,
        element: &Element,
    ) -> Option<Event> {
        let Asked { pair, whose } = match asked(cx, element) {
            Ok(asked) => asked,
            Err(violation) => {
                self.state = open(talk);
                return Some(self.fail(cx, violation));
            }
        };
        if talk.pairs.contains(&pair) {
            answer_claim(cx, &pair, Answer::Valid);
            self.state = open(talk);
            return None;
        }
        let verdict = talk.judge(cx, &pair, whose);
        if let Rule::Refused(_) = verdict.rule {
            return Some(self.refuse_claim(cx, talk, &pair, verdict));
        }
        if whose == Whose::Others {
            answer_claim(cx, &pair, Answer::error(Condition::ItemNotFound));
            self.state = open(talk);
            return None;
        }
        let text = element.text();
        let Some(key) = key(&text) else {
            answer_claim(cx, &pair, Answer::error(Condition::BadRequest));
            self.state = open(talk);
            return None;
        };
        let count = talk.pairs.len().saturating_add(talk.claims.len());
        if talk.claims.len() >= S2S_CLAIMS || count >= S2S_PAIRS {
            answer_claim(cx, &pair, Answer::error(Condition::ResourceConstraint));
            self.state = open(talk);
            return Some(Event::Judged(pair.judged(verdict, Outcome::Crowded)));
        }
        match verdict.step {
            NextStep::AcceptByCertificate => {
                Some(self.prove_peer(cx, talk, pair, verdict, Outcome::Certificate))
            }
            NextStep::DialBack => {
                let claim = Claim {
                    receiving: pair.ours,
                    originating: pair.theirs,
                    id: talk.id.clone(),
                    key: key.into(),
                };
                talk.claims.push(claim.clone());
                self.state = open(talk);
                Some(Event::Claimed(Box::new(claim)))
            }
            NextStep::StartTls
            | NextStep::Offer(_)
            | NextStep::External
            | NextStep::Dialback
            | NextStep::Refuse { .. } => {
                self.state = open(talk);
                Some(self.bug(cx, "a claim was judged like something else"))
            }
        }
    }

    /// What the server of a domain says to a key that was shown on this stream. `None` also if nobody waits for it any more: the stream is
    /// over, or was begun anew.
    pub(crate) fn claim_verified(
        &mut self,
        cx: &mut Cx<'_>,
        claim: &Claim,
        verified: Verified,
    ) -> Option<Event> {
        let State::Server(server) = &mut self.state else {
            return None;
        };
        let Server::Open(talk) = &mut **server else {
            return None;
        };
        let at = talk.claims.iter().position(|one| one == claim)?;
        talk.claims.remove(at);
        let State::Server(server) = core::mem::replace(&mut self.state, State::Closed) else {
            return None; // excluded above
        };
        let Server::Open(talk) = *server else {
            return None; // excluded above
        };
        let pair = Pair {
            ours: claim.receiving.clone(),
            theirs: claim.originating.clone(),
        };
        // Anew: a reload may have come in between.
        let verdict = talk.judge(cx, &pair, Whose::Ours);
        if let Rule::Refused(_) = verdict.rule {
            return Some(self.refuse_claim(cx, talk, &pair, verdict));
        }
        let outcome = Outcome::Unproven(verified);
        let answer = match verified {
            // It was shown another key that was good.
            _ if talk.pairs.contains(&pair) => {
                answer_claim(cx, &pair, Answer::Valid);
                self.state = open(talk);
                return None;
            }
            Verified::Valid => {
                return Some(self.prove_peer(cx, talk, pair, verdict, Outcome::Dialback));
            }
            Verified::Invalid if talk.pairs.is_empty() => {
                // XEP-0220 §2.2.1: it "MUST close the XML stream".
                answer_claim(cx, &pair, Answer::Invalid);
                return Some(self.finish(cx, Some(pair.judged(verdict, outcome))));
            }
            Verified::Invalid => Answer::error(Condition::Forbidden),
            Verified::Unknown(why) => unverified(why),
        };
        answer_claim(cx, &pair, answer);
        self.state = open(talk);
        Some(Event::Judged(pair.judged(verdict, outcome)))
    }

    /// From now on its stanzas are taken.
    fn prove_peer(
        &mut self,
        cx: &mut Cx<'_>,
        mut talk: Talk,
        pair: Pair,
        verdict: Verdict,
        outcome: Outcome,
    ) -> Event {
        answer_claim(cx, &pair, Answer::Valid);
        let bytes = cx.config.federation.stanza_bytes;
        let limits = ScanLimits::server(&cx.config.limits, bytes);
        self.scan.set_limits(limits);
        let judged = pair.judged(verdict, outcome);
        talk.pairs.push(pair);
        self.state = open(talk);
        Event::Judged(judged)
    }

    /// A rule is against it. Where nothing is proven the stream ends; else it lives (XEP-0220 §2.5).
    fn refuse_claim(
        &mut self,
        cx: &mut Cx<'_>,
        talk: Talk,
        pair: &Pair,
        verdict: Verdict,
    ) -> Event {
        self.refuse_by(cx, talk, pair, verdict, |cx, answer| {
            answer_claim(cx, pair, answer);
        })
    }

    fn refuse_by(
        &mut self,
        cx: &mut Cx<'_>,
        talk: Talk,
        pair: &Pair,
        verdict: Verdict,
        answer: impl FnOnce(&mut Cx<'_>, Answer),
    ) -> Event {
        let refusal = verdict.rule.refusal();
        let judged = pair.judged(verdict, Outcome::Refused);
        let is_first = talk.pairs.is_empty();
        self.state = open(talk);
        match refusal {
            None => self.bug(cx, "refused by no rule"),
            Some(refusal) if is_first => self.fail_by(cx, refusal, Some(judged)),
            Some(refusal) => {
                use crate::federation::Condition as Said;
                let condition = match refusal.condition() {
                    Some(Said::NotAuthorized) => Condition::NotAuthorized,
                    Some(Said::PolicyViolation) => Condition::PolicyViolation,
                    Some(Said::UnsupportedFeature) | None => Condition::NotAcceptable,
                };
                answer(cx, Answer::error(condition));
                Event::Judged(judged)
            }
        }
    }

    /// `<db:verify/>` (XEP-0220 §2.2.2): nothing is remembered of keys, they are computed again.
    pub(super) fn on_question(
        &mut self,
        cx: &mut Cx<'_>,
        mut talk: Talk,
        element: &Element,
    ) -> Option<Event> {
        // Each costs a hash and an answer, also one about nobody.
        talk.questions.pour(cx.now.mono, &S2S_QUESTIONS, 1);
        let Asked { pair, whose } = match asked(cx, element) {
            Ok(asked) => asked,
            Err(violation) => {
                self.state = open(talk);
                return Some(self.fail(cx, violation));
            }
        };
        let id = element.attribute("id").unwrap_or(Cow::Borrowed(""));
        if id.is_empty() || id.len() > DIALBACK_KEY_BYTES {
            self.state = open(talk);
            return Some(self.fail(cx, Violation::QuestionWithoutId));
        }
        let verdict = talk.judge(cx, &pair, whose);
        if let Rule::Refused(_) = verdict.rule {
            let event = self.refuse_by(cx, talk, &pair, verdict, |cx, answer| {
                answer_question(cx, &pair, &id, answer);
            });
            return Some(event);
        }
        let text = element.text();
        let answer = match (whose, key(&text)) {
            (Whose::Others, _) => Answer::error(Condition::ItemNotFound),
            (Whose::Ours, Some(key)) if cx.dialback.is_key(&pair.theirs, &pair.ours, &id, key) => {
                Answer::Valid
            }
            (Whose::Ours, Some(_) | None) => Answer::Invalid,
        };
        answer_question(cx, &pair, &id, answer);
        talk.purpose = Purpose::Questions;
        self.state = open(talk);
        None
    }
}

impl Talk {
    /// What policy says of this pair. Of a domain that is not ours, that is said as if it were about the one the header is to.
    fn judge(&self, cx: &Cx<'_>, pair: &Pair, whose: Whose) -> Verdict {
        let ours = match whose {
            Whose::Ours => &pair.ours,
            Whose::Others => &self.names.ours,
        };
        let theirs = pair.theirs.clone();
        let side = match self.pairs.is_empty() {
            true => Side::Claim(theirs),
            false => Side::Further(theirs),
        };
        self.protection.decide(cx.config, ours, side)
    }
}

/// Whom it is about. With a type it is an answer, and on this stream nobody asks.
fn asked(cx: &Cx<'_>, element: &Element) -> Result<Asked, Violation> {
    if element.attribute("type").is_some() {
        return Err(Violation::Unsolicited);
    }
    let domain = |name| {
        let value = element.attribute(name);
        value.and_then(|value| Domain::parse(&value).ok())
    };
    match (domain("to"), domain("from")) {
        (Some(ours), Some(theirs)) => Ok(Asked {
            whose: match cx.config.hosts.contains_key(&ours) {
                true => Whose::Ours,
                false => Whose::Others,
            },
            pair: Pair { ours, theirs },
        }),
        (Some(_) | None, _) => Err(Violation::StanzaUnaddressed),
    }
}

/// The key, if there is one that anybody could have made. White space around it is none of it, as in the examples of XEP-0220.
fn key(text: &str) -> Option<&str> {
    let key = text.trim_ascii();
    (!key.is_empty() && key.len() <= DIALBACK_KEY_BYTES).then_some(key)
}

/// XEP-0220 §2.5.
const fn unverified(why: Unverified) -> Answer {
    match why {
        Unverified::NotFound | Unverified::Refused => {
            Answer::error(Condition::RemoteServerNotFound)
        }
        Unverified::Unconnected => Answer::Error("remote-connection-failed", ErrorType::Wait),
        Unverified::TimedOut => Answer::error(Condition::RemoteServerTimeout),
        Unverified::Unfit => Answer::error(Condition::NotAcceptable),
        Unverified::Busy => Answer::error(Condition::ResourceConstraint),
    }
}

fn answer_claim(cx: &mut Cx<'_>, pair: &Pair, answer: Answer) {
    write_answer(cx, "db:result", pair, None, answer);
}

fn answer_question(cx: &mut Cx<'_>, pair: &Pair, id: &str, answer: Answer) {
    write_answer(cx, "db:verify", pair, Some(id), answer);
}

/// As often as a server likes: who reads none of them asks no more.
fn write_answer(
    cx: &mut Cx<'_>,
    name: &'static str,
    pair: &Pair,
    id: Option<&str>,
    answer: Answer,
) {
    cx.fx.answer(cx.conn, |out| {
        let mut w = Writer::new(out);
        w.open(name).attribute("from", pair.ours.as_str());
        w.attribute("to", pair.theirs.as_str());
        if let Some(id) = id {
            w.attribute("id", id);
        }
        w.attribute("type", answer.name());
        if let Answer::Error(condition, kind) = answer {
            w.open("error").attribute("type", kind.name());
            w.open(condition)
                .attribute("xmlns", crate::xml::Ns::StanzaErrors.uri());
            w.close().close();
        }
        w.close();
    });
}
