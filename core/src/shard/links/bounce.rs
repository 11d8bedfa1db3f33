//! What becomes of stanzas for other servers: they are there, or their authors hear that they are not (RFC 6120 §10.4.3).

use crate::envelope::{Delivery, Receipt};
use crate::link::{Queued, Urgency};
use crate::port::LinkFailure;
use crate::shard::Shard;
use crate::stanza::Condition;

impl Shard {
    /// It is at the other server.
    pub(super) fn arrived(&mut self, queued: &Queued) {
        self.settle_unheard(&queued.stanza, queued.receipt);
    }

    /// It will not be.
    pub(super) fn bounce(&mut self, queued: &Queued, failure: &LinkFailure) {
        self.refuse_queued(queued, failure.condition(), failure.told());
    }

    /// The same, by this condition.
    pub(super) fn refuse_queued(
        &mut self,
        queued: &Queued,
        condition: Condition,
        text: Option<&str>,
    ) {
        // Nobody waits for what the server tells to many.
        if queued.urgency == Urgency::FanOut {
            return;
        }
        if let Some(error) = queued.stanza.refusal(condition, text) {
            self.fx.route(Delivery::named(error));
        }
        match queued.receipt {
            // What an account says about a subscription it says again another time.
            Some(Receipt::Said(_)) | None => {}
            Some(Receipt::Sent(sent)) => self.fx.handled(sent),
        }
    }
}
