//! The tables of RFC 6121 appendix A: what becomes of a subscription, and of the stanza that asks for it.
//!
//! Functions of values, seen from the user: an account's side of each pair. Who is told what, and what is written, is not known here.

use super::item::Standing;
use super::{Approval, Ask, Subscription};
use crate::stanza::PresenceType;

/// The four types of presence that manage subscriptions (RFC 6121 §3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// Asks to see the other's presence.
    Subscribe,
    /// Lets the other see one's own.
    Subscribed,
    /// Does not want to see it any more, or withdraws the request.
    Unsubscribe,
    /// Does not let the other see it any more, or refuses to.
    Unsubscribed,
}

/// Where user and contact stand (RFC 6121 appendix A.1): eighteen states with the approval, of which the appendix names nine.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct State {
    /// What the roster tells; that of a contact which is not in it is the default.
    pub(crate) standing: Standing,
    /// "Pending In".
    pub(crate) request: Request,
}

/// Whether the contact has asked to see the user's presence and waits for an answer. The roster does not tell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Request {
    /// It has not, or was answered.
    #[default]
    Nothing,
    /// It has.
    Waits,
}

/// Whether an outbound stanza goes to the contact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// It does.
    Routed,
    /// It stays: the contact need not know.
    Kept,
}

/// What becomes of an inbound stanza.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Inbound {
    /// The user's devices are told.
    Delivered,
    /// They are not.
    Ignored,
    /// They are not: the server answers with `subscribed`.
    Answered,
}

impl Act {
    /// What a presence of this type does to subscriptions, if anything.
    pub(crate) const fn of(kind: PresenceType) -> Option<Self> {
        match kind {
            PresenceType::Subscribe => Some(Self::Subscribe),
            PresenceType::Subscribed => Some(Self::Subscribed),
            PresenceType::Unsubscribe => Some(Self::Unsubscribe),
            PresenceType::Unsubscribed => Some(Self::Unsubscribed),
            PresenceType::Available
            | PresenceType::Error
            | PresenceType::Probe
            | PresenceType::Unavailable => None,
        }
    }

    /// The type of a presence that does so.
    pub(crate) const fn kind(self) -> PresenceType {
        match self {
            Self::Subscribe => PresenceType::Subscribe,
            Self::Subscribed => PresenceType::Subscribed,
            Self::Unsubscribe => PresenceType::Unsubscribe,
            Self::Unsubscribed => PresenceType::Unsubscribed,
        }
    }

    /// Whether it is about the sender's view of the other, and not about the other's of the sender.
    pub(super) const fn asks(self) -> bool {
        matches!(self, Self::Subscribe | Self::Unsubscribe)
    }

    /// Whether it is about the other's view of the sender.
    pub(super) const fn grants(self) -> bool {
        !self.asks()
    }
}

impl State {
    /// The user sends it (RFC 6121 appendix A.2, tables 2 to 5).
    #[must_use]
    pub(crate) const fn outbound(self, act: Act) -> (Self, Route) {
        let Self { standing, request } = self;
        let subscription = standing.subscription;
        let waits = matches!(request, Request::Waits);
        match act {
            Act::Subscribe if subscription.is_to() => (self, Route::Routed),
            Act::Subscribe => (self.asking(Ask::Subscribe), Route::Routed),
            Act::Unsubscribe => (self.without_to(), Route::Routed),
            Act::Subscribed if waits => (self.with_from(), Route::Routed),
            Act::Subscribed if subscription.is_from() => (self, Route::Kept),
            // RFC 6121 §3.4.2: before anybody asked.
            Act::Subscribed => (self.approving(Approval::Given), Route::Kept),
            Act::Unsubscribed if waits || subscription.is_from() => {
                (self.without_from(), Route::Routed)
            }
            // RFC 6121 §3.2.2: an approval goes, and nobody hears of it.
            Act::Unsubscribed => (self.approving(Approval::Missing), Route::Kept),
        }
    }

    /// The contact has sent it (RFC 6121 appendix A.3, tables 6 to 9).
    #[must_use]
    pub(crate) const fn inbound(self, act: Act) -> (Self, Inbound) {
        let Self { standing, request } = self;
        let subscription = standing.subscription;
        let waits = matches!(request, Request::Waits);
        match act {
            Act::Subscribe if subscription.is_from() => (self, Inbound::Answered),
            // `Choice:` the approval is used up by it (§3.4.2 leaves that open): the subscription says it from now on.
            Act::Subscribe if matches!(standing.approval, Approval::Given) => {
                (self.with_from(), Inbound::Answered)
            }
            Act::Subscribe if waits => (self, Inbound::Ignored),
            Act::Subscribe => {
                let request = Request::Waits;
                (Self { standing, request }, Inbound::Delivered)
            }
            Act::Unsubscribe if waits || subscription.is_from() => {
                // An approval is for who asks next, and stays.
                let approval = standing.approval;
                (self.without_from().approving(approval), Inbound::Delivered)
            }
            Act::Subscribed if matches!(standing.ask, Ask::Subscribe) => {
                let standing = Standing {
                    subscription: subscription.with_to(),
                    ask: Ask::Nothing,
                    ..standing
                };
                (Self { standing, request }, Inbound::Delivered)
            }
            Act::Unsubscribed if matches!(standing.ask, Ask::Subscribe) || subscription.is_to() => {
                (self.without_to(), Inbound::Delivered)
            }
            Act::Subscribed | Act::Unsubscribe | Act::Unsubscribed => (self, Inbound::Ignored),
        }
    }

    const fn asking(self, ask: Ask) -> Self {
        let Self { standing, request } = self;
        let standing = Standing { ask, ..standing };
        Self { standing, request }
    }

    const fn approving(self, approval: Approval) -> Self {
        let Self { standing, request } = self;
        let standing = Standing {
            approval,
            ..standing
        };
        Self { standing, request }
    }

    const fn without_to(self) -> Self {
        let Self { standing, request } = self;
        let standing = Standing {
            subscription: standing.subscription.without_to(),
            ask: Ask::Nothing,
            ..standing
        };
        Self { standing, request }
    }

    /// The request that waits is answered, and so is every other to come.
    const fn with_from(self) -> Self {
        self.answered(self.standing.subscription.with_from())
    }

    const fn without_from(self) -> Self {
        self.answered(self.standing.subscription.without_from())
    }

    const fn answered(self, subscription: Subscription) -> Self {
        let standing = Standing {
            subscription,
            approval: Approval::Missing,
            ..self.standing
        };
        let request = Request::Nothing;
        Self { standing, request }
    }

    /// The contact has refused or withdrawn what the user saw, before it heard of the request that is on its way to it: that one is still to
    /// be answered.
    #[must_use]
    pub(crate) const fn asking_anew(self) -> Self {
        self.without_to().asking(Ask::Subscribe)
    }
}

#[cfg(test)]
mod tests;
