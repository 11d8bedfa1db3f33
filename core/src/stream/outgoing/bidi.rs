//! XEP-0288: Bidirectional Server-to-Server Connections, version 1.0.1, on a stream of ours: the peer may send on it what is from the domain that we
//! have sought, for the one in whose name we did.
//!
//! That it is that domain needs no proof of its own: the stream was opened to where DNS says that its servers are, as a dial-back would have been
//! (XEP-0220 §2.1.3), and where a certificate is needed of it the stream got no further without one (`federation::decide`, row O5).

use alloc::boxed::Box;
use core::iter;

use super::linked::{Linked, Management};
use super::{Outgoing, Phase};
use crate::federation::Bidi;
use crate::jid::Jid;
use crate::limits::{S2S_IDLE, S2S_STANZA_BYTES};
use crate::sm::Inbound;
use crate::stream::client::write_limits;
use crate::stream::server::sender;
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Element, Ns, ScanLimits, Writer};

/// Whether stanzas may come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BothWays {
    /// The peer has none of it, or we do not want it.
    No,
    Offered,
    /// It was asked for them.
    Asked,
}

/// What the peer's features say of it, where it is wanted.
pub(super) fn offered(cx: &Cx<'_>, features: &Element) -> BothWays {
    let mut children = features.children();
    let is_offered = children.any(|feature| feature.is(Ns::BidiFeature, "bidi"));
    match (is_offered, cx.config.federation.bidi) {
        (true, Bidi::Yes) => BothWays::Offered,
        (true, Bidi::No) | (false, _) => BothWays::No,
    }
}

impl Outgoing {
    /// Whether stanzas may come back on it once it is proven who we are.
    pub(in crate::stream) const fn has_asked_for_stanzas(&self) -> bool {
        match &self.phase {
            Phase::Linked(linked) => matches!(linked.both_ways, BothWays::Asked),
            Phase::Connecting
            | Phase::Handshake(_)
            | Phase::Header(_)
            | Phase::Features(..)
            | Phase::Starttls(_) => false,
        }
    }
}

impl Linked {
    /// It is about to be proven who we are: XEP-0288 §2.2 has us ask for it before that.
    ///
    /// `Choice:` so it is not asked for on a stream that is there to ask about keys alone: that one ends soon.
    pub(super) fn ask_for_both_ways(&mut self, cx: &mut Cx<'_>) {
        match self.both_ways {
            BothWays::Offered => self.both_ways = BothWays::Asked,
            BothWays::No | BothWays::Asked => return,
        }
        cx.say(|out| {
            let mut w = Writer::new(out);
            w.open("bidi").attribute("xmlns", Ns::Bidi.uri());
            // XEP-0478 §3.2.
            write_limits(&mut w, S2S_STANZA_BYTES, S2S_IDLE);
            w.close();
        });
    }

    /// Whether stanzas may come back on it now.
    const fn hears_stanzas(&self) -> bool {
        match self.both_ways {
            BothWays::Asked => self.is_proven(),
            BothWays::No | BothWays::Offered => false,
        }
    }

    /// Who sends this, if it may come back on this stream (RFC 6120 §8.1.1.2).
    fn sender(&self, cx: &Cx<'_>, element: &Element) -> Result<Jid, Violation> {
        if !self.hears_stanzas() {
            return Err(Violation::StanzaUnasked);
        }
        sender(cx, element, iter::once((&self.ours, &self.theirs)))
    }
}

impl Stream {
    /// A stanza on a link. The state was taken out of the stream.
    pub(super) fn on_returned_stanza(
        &mut self,
        cx: &mut Cx<'_>,
        mut outgoing: Box<Outgoing>,
        mut linked: Box<Linked>,
        element: Element,
    ) -> Option<Event> {
        let sender = linked.sender(cx, &element);
        let counted = linked.counted.as_mut().filter(|_| sender.is_ok());
        let number = counted.map(|counted| counted.begin());
        outgoing.phase = Phase::Linked(linked);
        self.state = State::Outgoing(outgoing);
        match sender {
            Ok(from) => self.on_stanza_from(cx, from, element, number),
            Err(violation) => Some(self.fail(cx, violation)),
        }
    }

    /// It is proven who we are: what comes back may be as long as a stanza.
    pub(super) fn hear_stanzas(&mut self, cx: &Cx<'_>, linked: &Linked) {
        if linked.hears_stanzas() {
            let bytes = cx.config.federation.stanza_bytes;
            self.scan
                .set_limits(ScanLimits::server(&cx.config.limits, bytes));
        }
    }

    /// Whether it is a stream of ours on which stanzas may come back.
    pub(crate) fn may_return(&self) -> bool {
        self.linked().is_some_and(Linked::hears_stanzas)
    }

    /// Whether it is a stream of ours on which nothing was done yet to prove who we are.
    pub(crate) fn is_unbegun(&self) -> bool {
        self.linked().is_some_and(Linked::is_unbegun)
    }

    /// Of a stream of ours that is a link.
    pub(super) fn linked(&self) -> Option<&Linked> {
        let State::Outgoing(outgoing) = &self.state else {
            return None;
        };
        match &outgoing.phase {
            Phase::Linked(linked) => Some(linked),
            Phase::Connecting
            | Phase::Handshake(_)
            | Phase::Header(_)
            | Phase::Features(..)
            | Phase::Starttls(_) => None,
        }
    }
}

impl Outgoing {
    /// What the peer has sent back since it counts what it sends, if it does.
    pub(in crate::stream) fn counted(&mut self) -> Option<&mut Inbound> {
        match &mut self.phase {
            Phase::Linked(linked) => linked.counted.as_deref_mut(),
            Phase::Connecting
            | Phase::Handshake(_)
            | Phase::Header(_)
            | Phase::Features(..)
            | Phase::Starttls(_) => None,
        }
    }

    /// Whether so much of that is not settled that the peer is to wait.
    pub(in crate::stream) fn waits_for_receipts(&self) -> bool {
        match &self.phase {
            Phase::Linked(linked) => linked.counted.as_ref().is_some_and(|c| c.holds_up()),
            Phase::Connecting
            | Phase::Handshake(_)
            | Phase::Header(_)
            | Phase::Features(..)
            | Phase::Starttls(_) => false,
        }
    }
}

/// XEP-0198 §4: what the peer sends counts from where it says that it counts.
pub(super) fn begin_to_count(linked: &mut Linked) {
    if linked.hears_stanzas()
        && linked.management == Management::Enabled
        && linked.counted.is_none()
    {
        linked.counted = Some(Box::default());
    }
}
