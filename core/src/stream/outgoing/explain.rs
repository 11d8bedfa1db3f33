//! What is known of a stream of ours, and what `federation::decide` says of that: of one that is there to find out, and of a link.

use alloc::boxed::Box;

use super::features::{read, starttls};
use super::linked::{UNTRIED, facts, methods, up};
use super::{Outgoing, Phase};
use crate::federation::{Facts, NextStep, StarttlsOffer, Tls, Verdict, Weighed, decide};
use crate::jid::Domain;
use crate::port::{LinkTls, Secured};
use crate::stream::close::{CLOSING_TAG, Closing};
use crate::stream::{Cx, Event, State, Stream};
use crate::xml::Element;

impl Stream {
    /// Its features are here, in the clear or below TLS. The state was taken out of the stream.
    ///
    /// Where TLS is offered it is begun whatever the rules say: nothing is proven by it, and what it shows other rules may want to know.
    pub(super) fn weigh(
        &mut self,
        cx: &mut Cx<'_>,
        outgoing: Box<Outgoing>,
        (ours, secured): (&Domain, Option<Secured>),
        features: &Element,
    ) -> Event {
        let theirs = &outgoing.sought.domain;
        let offered = starttls(features);
        let tls = match &secured {
            None => Tls::Clear(offered.into()),
            Some(secured) => up(secured, theirs),
        };
        let facts = facts(cx, (ours, theirs), tls, (methods(features), UNTRIED));
        let weighed = Weighed::by(&cx.config.federation.rules, facts);
        let begins = offered.is_some() || weighed.verdict.step == NextStep::StartTls;
        if secured.is_none() && begins {
            self.ask_for_tls(cx, outgoing, StarttlsOffer::from(offered));
            return Event::Weighed(Box::new(weighed));
        }
        cx.say(|out| out.extend_from_slice(CLOSING_TAG));
        self.state = State::Closing(Closing::Listening);
        Event::Reached(Box::new((secured, read(features), Some(weighed))))
    }

    /// What protects a link, and what the rules say of it now.
    pub(crate) fn link_shown(&self, cx: &Cx<'_>) -> Option<(Option<LinkTls>, Verdict)> {
        let State::Outgoing(outgoing) = &self.state else {
            return None;
        };
        let Phase::Linked(linked) = &outgoing.phase else {
            return None;
        };
        let tls = linked.secured().map(|secured| LinkTls {
            version: secured.version,
            suite: secured.suite,
            certificate: secured.certificate.clone(),
        });
        // Behind the proof, what was tried for it says nothing of the peer.
        let facts = Facts {
            tried: UNTRIED,
            ..linked.facts(cx, StarttlsOffer::Absent)
        };
        Some((tls, decide(&cx.config.federation.rules, &facts)))
    }
}
