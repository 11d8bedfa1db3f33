//! Delivery to an account: choosing among its sessions is one thing (`choose.rs`), sending another.

use alloc::sync::Arc;

use super::choose::{Recipients, Unreached, choose};
use super::iq::{answer, asks_of_account};
use super::{Account, Addressed, Cx, Watch};
use crate::archive::{Storing, Worth};
use crate::config::Config;
use crate::envelope::Receipt;
use crate::jid::Jid;
use crate::roster::Act;
use crate::sm::Due;
use crate::stanza::{Condition, IqType, Kind, MessageType, PresenceType, Stanza};
use crate::time::Now;
use crate::xep::{Asker, Entity};

/// How a stanza came to be for somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// Its sender named whom it is for, and is answered if that one cannot be reached.
    Directed,
    /// The server told everybody who is to know.
    FanOut,
}

impl Account {
    /// Delivers a stanza that is for this account, at `to`.
    pub(crate) fn deliver(
        &mut self,
        cx: &mut Cx<'_>,
        stanza: &Arc<Stanza>,
        to: &Jid,
        manner: Manner,
        receipt: Option<Receipt>,
    ) {
        let receipt = match receipt {
            Some(Receipt::Said(told)) => Some(told),
            Some(Receipt::Sent(sent)) => {
                cx.spoken.watch = Watch::In(sent);
                None
            }
            None => None,
        };
        if let Kind::Presence(kind) = stanza.kind()
            && let Some(act) = Act::of(kind)
        {
            return self.subscription_in(cx, act, stanza, receipt);
        }
        // XEP-0191 §3.3: before anything else is done with it.
        if self.blocks_sender(stanza) {
            return Self::answer_blocked(cx, stanza, to, manner);
        }
        if let Kind::Message(_) = stanza.kind() {
            return self.message_in(cx, stanza, to, manner);
        }
        if let Kind::Presence(kind) = stanza.kind() {
            if kind == PresenceType::Probe {
                return self.probed(cx, stanza, to);
            }
            if manner == Manner::FanOut && !self.is_shown(kind, stanza, to) {
                return;
            }
        }
        if stanza.kind() == Kind::Presence(PresenceType::Unavailable)
            && let Some(from) = stanza.from()
        {
            self.forget_directed(from, to.resource());
        }
        let addressed = || match manner {
            Manner::Directed => Addressed::Named,
            Manner::FanOut => Addressed::At(to.clone()),
        };
        let unreached = match choose(&self.sessions, stanza.kind(), to) {
            Recipients::One(_) if !self.may_ask(stanza) => Unreached::Refused,
            Recipients::One(session) => {
                let due = match (stanza.kind(), manner) {
                    // Who asks is to hear that nobody will answer.
                    (Kind::Iq(IqType::Get | IqType::Set), Manner::Directed) => {
                        self.due(&Recipients::One(session), &[])
                    }
                    (Kind::Iq(_) | Kind::Message(_) | Kind::Presence(_), _) => Due::Nothing,
                };
                return cx.tell_due(session, Arc::clone(stanza), addressed(), due);
            }
            Recipients::Each(each) => return cx.tell_each(each, Arc::clone(stanza), addressed()),
            Recipients::Unreached(unreached) => unreached,
        };
        let asker = self.asker(stanza);
        if let Some(reply) = reply(cx.now, cx.config, stanza, manner, unreached, asker) {
            cx.route(reply);
        }
    }

    /// Whether presence that its sender told all its subscribers is for this account. One that is none is told by mistake: a name that
    /// was deleted and made again does not inherit what others see in it. What a resource asked for when it became available is not for it
    /// any more if it is not.
    #[inline]
    pub(super) fn is_shown(&self, kind: PresenceType, presence: &Stanza, to: &Jid) -> bool {
        if kind != PresenceType::Available {
            return true;
        }
        let named = to.resource().map(|resource| self.session_of(resource));
        let is_there = named.is_none_or(|found| found.is_some_and(|s| s.priority().is_some()));
        let from = presence.from().map(Jid::bare);
        is_there
            && from.is_some_and(|from| {
                from == self.jid.as_str() || self.kept.sound().is_some_and(|kept| kept.sees(from))
            })
    }

    /// Whether it would matter to anybody that such a stanza is lost: an answer does to who asked, and nobody else.
    pub(crate) fn misses(&self, kind: Kind, to: &Jid) -> bool {
        match kind {
            Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(MessageType::Error) => {
                !matches!(choose(&self.sessions, kind, to), Recipients::Unreached(_))
            }
            Kind::Iq(_) | Kind::Message(_) | Kind::Presence(_) => true,
        }
    }
}

/// Whether an account must be in memory for this, so that it comes in for it. Whether there is such an account is not known here: names
/// cannot be told apart.
pub(crate) fn brings_in(stanza: &Stanza, to: &Jid, manner: Manner) -> bool {
    if manner == Manner::FanOut {
        return false;
    }
    match stanza.kind() {
        Kind::Presence(kind) => Act::of(kind).is_some(),
        Kind::Iq(IqType::Get) => to.resource().is_none() && asks_of_account(stanza),
        // Only for what would be kept: what is not is answered without a look at who there is.
        Kind::Message(_) => Worth::of(stanza).storing != Storing::Passing,
        Kind::Iq(IqType::Error | IqType::Result | IqType::Set) => false,
    }
}

/// What a stanza is answered with where nobody is signed in, whether or not there is such an account.
pub(crate) fn nobody(
    now: Now,
    config: &Config,
    stanza: &Stanza,
    to: &Jid,
    manner: Manner,
) -> Option<Stanza> {
    match choose(&[], stanza.kind(), to) {
        Recipients::One(_) | Recipients::Each(_) => None, // there are none
        Recipients::Unreached(unreached) => {
            reply(now, config, stanza, manner, unreached, Asker::Stranger)
        }
    }
}

pub(super) fn reply(
    now: Now,
    config: &Config,
    stanza: &Stanza,
    manner: Manner,
    unreached: Unreached,
    asker: Asker<'_>,
) -> Option<Stanza> {
    match (unreached, manner) {
        (Unreached::Silent, _) | (_, Manner::FanOut) => None,
        (Unreached::Away | Unreached::Refused, Manner::Directed) => {
            stanza.refusal(Condition::ServiceUnavailable, None)
        }
        (Unreached::Server, Manner::Directed) => {
            answer(now, config, Entity::Account(asker), stanza)
        }
    }
}
