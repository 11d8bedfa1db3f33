//! Where a stanza goes: to the server itself, an account here, another shard, or back (RFC 6120 §10).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Shard;
use crate::account::{Manner, answer};
use crate::config::Host;
use crate::envelope::{Body, Delivery, Place, Receipt, Settled, To};
use crate::jid::Jid;
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::time::Now;
use crate::xep::Entity;

impl Shard {
    /// Routes a stanza whose `from` is true.
    pub(super) fn route(&mut self, now: Now, delivery: Delivery) {
        match delivery.to {
            To::Named => self.route_named(now, delivery),
            To::Each(each) => self.fan_out(now, &delivery.stanza, each),
        }
    }

    fn route_named(&mut self, now: Now, delivery: Delivery) {
        let Some(to) = delivery.stanza.to() else {
            return self.fx.bug("a stanza to nobody");
        };
        match self.config.hosts.get(to.domain()) {
            Some(Host::Accounts(_)) => {}
            other @ (Some(Host::Component(_)) | None) => {
                let is_component = other.is_some();
                // A hash: of what goes to an account here it is that of the account alone.
                let owner = self.placement.owner(to.domain());
                return match (owner == self.place, is_component) {
                    (true, true) => self.send_component(delivery),
                    (true, false) => self.send_remote(now, delivery),
                    (false, _) => self.send_on(now, owner, delivery),
                };
            }
        }
        if to.local().is_none() {
            self.serve(now, &delivery.stanza);
            return self.settle_unheard(&delivery.stanza, delivery.receipt);
        }
        let owner = self.placement.owner(to.bare());
        match owner == self.place {
            true => {
                let Delivery {
                    stanza, receipt, ..
                } = &delivery;
                self.deliver_at(now, stanza, to, Manner::Directed, *receipt);
            }
            false => self.send_on(now, owner, delivery),
        }
    }

    /// Nobody keeps anything of a stanza: its sender need not say it again.
    pub(super) fn settle_unheard(&mut self, stanza: &Stanza, receipt: Option<Receipt>) {
        if let (Some(Receipt::Said(receipt)), Some(from), Some(to)) =
            (receipt, stanza.from(), stanza.to())
        {
            self.fx.settle(Settled {
                account: from.to_bare(),
                contact: to.to_bare(),
                receipt,
            });
        }
        self.done_with(receipt);
    }

    /// Tells the account that wanted to know.
    pub(super) fn route_settled(&mut self, now: Now, settled: Settled) {
        let owner = self.placement.owner(settled.account.as_str());
        match owner == self.place {
            true => self.settled(now, settled),
            false => {
                let body = Body::Settled(Box::new(settled));
                self.fx.send_behind(owner, body);
            }
        }
    }

    /// To each of these: one copy for each shard. A host is nobody's contact.
    fn fan_out(&mut self, now: Now, stanza: &Arc<Stanza>, each: Vec<Jid>) {
        let mut elsewhere: BTreeMap<Place, Vec<Jid>> = BTreeMap::new();
        for to in each {
            match self.config.hosts.get(to.domain()) {
                Some(Host::Accounts(_)) if to.local().is_none() => continue,
                Some(Host::Accounts(_)) => {}
                other @ (Some(Host::Component(_)) | None) => {
                    let is_component = other.is_some();
                    let owner = self.placement.owner(to.domain());
                    if owner != self.place {
                        elsewhere.entry(owner).or_default().push(to);
                        continue;
                    }
                    let delivery = Delivery::each(Arc::clone(stanza), [to].into());
                    match is_component {
                        true => self.send_component(delivery),
                        false => self.send_remote(now, delivery),
                    }
                    continue;
                }
            }
            let owner = self.placement.owner(to.bare());
            match owner == self.place {
                true => self.deliver_at(now, stanza, &to, Manner::FanOut, None),
                false => elsewhere.entry(owner).or_default().push(to),
            }
        }
        for (owner, each) in elsewhere {
            let delivery = Delivery::each(Arc::clone(stanza), each);
            self.send_on(now, owner, delivery);
        }
    }

    /// Tells another shard.
    pub(super) fn send(&mut self, to: Place, body: Body) {
        self.fx.send_body(to, body);
    }

    /// To accounts of this shard.
    pub(super) fn deliver(&mut self, now: Now, delivery: &Delivery) {
        let stanza = &delivery.stanza;
        match &delivery.to {
            To::Named => {
                if let Some(to) = stanza.to() {
                    self.deliver_here(now, stanza, to, Manner::Directed, delivery.receipt);
                }
            }
            To::Each(each) => {
                for to in each {
                    self.deliver_here(now, stanza, to, Manner::FanOut, None);
                }
            }
        }
    }

    fn deliver_here(
        &mut self,
        now: Now,
        stanza: &Arc<Stanza>,
        to: &Jid,
        manner: Manner,
        receipt: Option<Receipt>,
    ) {
        let is_served = self.config.accounts(to.domain()).is_some();
        if is_served && (self.reloads == 0 || self.placement.owner(to.bare()) == self.place) {
            return self.deliver_at(now, stanza, to, manner, receipt);
        }
        if !is_served && self.placement.owner(to.domain()) != self.place {
            // A shard sent it that had not heard yet that the host is gone. It would be sent to and fro until that has.
            if manner == Manner::Directed {
                self.refuse(stanza, Condition::RemoteServerNotFound);
                self.done_with(receipt);
            }
            return;
        }
        // It is for another server; or one that is served here since the last reload.
        let to = match manner {
            Manner::Directed => To::Named,
            Manner::FanOut => To::Each([to.clone()].into()),
        };
        let stanza = Arc::clone(stanza);
        self.fx.route(Delivery {
            stanza,
            to,
            receipt,
        });
    }

    /// The way to another shard is full: the sender is told (house contract 8).
    pub(super) fn undeliverable(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            if delivery.to == To::Named {
                let condition = Condition::ResourceConstraint;
                self.refuse_unless_said(&delivery.stanza, condition, delivery.receipt);
            }
        }
    }

    /// RFC 6120 §10.5.1, §10.5.2: the server itself handles what is addressed to a host of ours.
    fn serve(&mut self, now: Now, stanza: &Stanza) {
        let Some(to) = stanza.to() else {
            return self.fx.bug("a stanza to nobody");
        };
        match stanza.kind() {
            Kind::Iq(IqType::Result | IqType::Error) => self.heard_answer(now, stanza),
            Kind::Iq(_) if to.resource().is_none() => {
                if let Some(reply) = answer(now, &self.config, Entity::Host, stanza) {
                    self.fx.route(Delivery::named(reply));
                }
            }
            Kind::Iq(_) | Kind::Message(_) => self.refuse(stanza, Condition::ServiceUnavailable),
            // A host is nobody's contact.
            Kind::Presence(_) => {}
        }
    }

    pub(super) fn refuse(&mut self, stanza: &Stanza, condition: Condition) {
        if let Some(error) = stanza.refusal(condition, None) {
            self.fx.route(Delivery::named(error));
        }
    }
}
