//! Where a stanza goes: to the server itself, an account here, another shard, or back (RFC 6120 §10).

use alloc::boxed::Box;

use super::Shard;
use crate::account::{self, answer, deliver};
use crate::envelope::{Body, Envelope, Place};
use crate::port::Action;
use crate::stanza::{Condition, Kind, Stanza};
use crate::time::Now;
use crate::xep::Entity;

impl Shard {
    /// Routes a stanza whose `from` is true and whose `to` is set.
    pub(super) fn route(&mut self, now: Now, stanza: Stanza) {
        let Some(to) = stanza.to() else { return };
        if !self.config.hosts.contains_key(to.domain()) {
            // RFC 6120 §10.4.3. Links to other servers take their place here.
            return self.refuse(&stanza, Condition::RemoteServerNotFound);
        }
        if to.local().is_none() {
            return self.serve(now, &stanza);
        }
        let owner = self.placement.owner(to.bare());
        if owner == self.place {
            return self.deliver(now, &stanza);
        }
        self.send(owner, Body::Deliver(Box::new(stanza)));
    }

    /// Tells another shard.
    pub(super) fn send(&mut self, to: Place, body: Body) {
        self.fx.act(Action::Send(Box::new(Envelope {
            from: self.place,
            to,
            body,
        })));
    }

    /// To an account of this shard.
    pub(super) fn deliver(&mut self, now: Now, stanza: &Stanza) {
        let Some(to) = stanza.to() else { return };
        let Some(host) = self.config.hosts.get(to.domain()) else {
            // Sent by a shard that had not heard yet that the host is gone.
            return self.refuse(stanza, Condition::RemoteServerNotFound);
        };
        let account = self
            .by_name
            .get(to.bare())
            .and_then(|key| self.accounts.get_mut(*key));
        let mut cx = account::Cx {
            now,
            config: &self.config,
            host,
            entropy: &mut self.entropy,
            fx: &mut self.fx,
        };
        deliver(account, &mut cx, stanza);
    }

    /// The way to another shard is full: the sender is told (house contract 8).
    pub(super) fn undeliverable(&mut self, stanza: &Stanza) {
        self.refuse(stanza, Condition::ResourceConstraint);
    }

    /// RFC 6120 §10.5.1, §10.5.2: the server itself handles what is addressed to a host of ours.
    fn serve(&mut self, now: Now, stanza: &Stanza) {
        let Some(to) = stanza.to() else { return };
        match stanza.kind() {
            Kind::Iq(_) if to.resource().is_none() => {
                if let Some(reply) = answer(now, &self.config, Entity::Host, stanza) {
                    self.fx.route(reply);
                }
            }
            Kind::Iq(_) | Kind::Message(_) => self.refuse(stanza, Condition::ServiceUnavailable),
            // A host is nobody's contact.
            Kind::Presence(_) => {}
        }
    }

    fn refuse(&mut self, stanza: &Stanza, condition: Condition) {
        if let Some(error) = stanza.refusal(condition, None) {
            self.fx.route(error);
        }
    }
}
