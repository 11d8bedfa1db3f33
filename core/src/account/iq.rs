//! Requests that the server answers itself: for a host, or on behalf of an account.

use alloc::borrow::ToOwned;

use super::Account;
use crate::config::Config;
use crate::jid::Jid;
use crate::port::LastActivity;
use crate::stanza::{IqType, Kind, Stanza};
use crate::time::Now;
use crate::xep::{self, Answer, Asked, Asker, Entity, Seen};
use crate::xml::Ns;

/// The answer to an IQ addressed to a host of ours or to a bare account; `None` where nothing answers: a result or an error
/// that nobody asked for (RFC 6120 §10.3.3).
pub(crate) fn answer(now: Now, config: &Config, entity: Entity<'_>, iq: &Stanza) -> Option<Stanza> {
    let Kind::Iq(kind) = iq.kind() else {
        return None;
    };
    if !iq.kind().may_be_refused() {
        return None;
    }
    let payload = iq.payload()?;
    let asked = Asked {
        now,
        config,
        domain: iq.to().map(Jid::domain),
        host: iq.to().and_then(|to| config.accounts(to.domain())),
        iq: kind,
        payload: &payload,
        entity,
    };
    match xep::answer(&asked) {
        Answer::Result(payload) => Some(iq.result(|w| {
            w.raw(&payload);
        })),
        Answer::Refuse(condition) => iq.refusal(condition, None),
    }
}

/// Whether the answer to a request depends on who asks an account: what only its contacts may know.
pub(super) fn asks_of_account(iq: &Stanza) -> bool {
    iq.payload()
        .is_some_and(|payload| xep::is_for_contacts(&payload))
}

impl Account {
    /// Who asks the account.
    pub(super) fn asker(&self, iq: &Stanza) -> Asker<'_> {
        let Some(from) = iq.from() else {
            return Asker::Stranger;
        };
        if from.bare() == self.jid.as_str() {
            return Asker::Owner(self.seen());
        }
        match self.kept.sound() {
            // XEP-0191 §3.3: a contact that is blocked is none, also in how long its answer takes.
            Some(kept) if kept.shows_to(from.bare()) && !self.blocks(from) => {
                Asker::Contact(self.seen())
            }
            Some(_) | None => Asker::Stranger,
        }
    }

    /// Whether who sent this is known to be a stranger, or somebody who must see no more than one (XEP-0191 §3.3).
    pub(crate) fn is_stranger(&self, stanza: &Stanza) -> bool {
        self.kept.sound().is_some() && self.asker(stanza) == Asker::Stranger
    }

    /// When it was active last (XEP-0012 §3).
    fn seen(&self) -> Seen<'_> {
        if !self.sessions.is_empty() {
            return Seen::Connected;
        }
        let kept = self.kept.sound();
        let activity = kept.and_then(|kept| kept.past.activity());
        activity.map_or(Seen::Unknown, Seen::Left)
    }

    /// The same for people to see, unless somebody is there.
    pub(crate) fn last_activity(&self, now: Now) -> Option<LastActivity> {
        match self.seen() {
            Seen::Left(activity) => Some(LastActivity {
                ago: activity.passed(now.wall),
                status: activity.status.as_deref().map(ToOwned::to_owned),
            }),
            Seen::Connected | Seen::Unknown => None,
        }
    }

    /// Whether a session may get this request (XEP-0012 §4: who may not see the user's presence may not ask its clients, either).
    ///
    /// `Deviation:` §4 has `forbidden`. It hears what it would if no such resource was there, or there were no account (RFC 6120 §13.11).
    pub(super) fn may_ask(&self, iq: &Stanza) -> bool {
        let asks = iq.kind() == Kind::Iq(IqType::Get)
            && iq
                .payload()
                .is_some_and(|payload| payload.ns() == Ns::LastActivity);
        !asks || self.asker(iq) != Asker::Stranger
    }
}
