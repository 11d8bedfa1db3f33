//! What went wrong around the server, and when: the excuses it may have.

use std::collections::{BTreeMap, BTreeSet};

use spondee_core::jid::BareJid;
use spondee_core::stanza::Kind;
use spondee_core::store::StoreError;

use super::Moment;
use crate::memory::Returned;

/// Whether a host is served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Served {
    #[default]
    Yes,
    No,
    /// It changed in the time that is looked at.
    Unsure,
}

/// How much the shards may have with the store at a time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Credit {
    #[default]
    Ample,
    /// So little that sign-ins are refused for want of it. Nothing else is: what is read of sessions waits.
    Scarce,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) credit: Credit,
    /// When all were last refused: by the store, by the workers.
    busy: Option<Moment>,
    /// What batches of this owner were last answered with, each for itself.
    batches: BTreeMap<(String, Struck), Moment>,
    reload: Option<Moment>,
    /// Whether the second host is served.
    pub(super) second_host: Served,
    shutdown: Option<Moment>,
    /// When everything was last at rest: what went wrong since may still be on its way.
    pub(super) rest: Moment,
    /// Stanzas that came back because a way was full: kind, id, sender, recipient.
    returned: BTreeSet<(String, String, String, String)>,
}

/// What became of a batch that was not kept.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Struck {
    Busy,
    Failed,
    Full,
    Unknown,
}

impl Struck {
    const ALL: [Self; 4] = [Self::Busy, Self::Failed, Self::Full, Self::Unknown];
}

impl Faults {
    pub(super) fn new(credit: Credit) -> Self {
        Self {
            credit,
            ..Self::default()
        }
    }

    /// The store or the workers refuse everybody.
    pub(super) const fn busy(&mut self, at: Moment) {
        self.busy = Some(at);
    }

    /// A batch of this owner is answered with an error.
    pub(super) fn batch(&mut self, at: Moment, owner: &BareJid, error: StoreError) {
        let struck = match error {
            StoreError::Busy => Struck::Busy,
            StoreError::Conflict | StoreError::Failed | StoreError::Fenced => Struck::Failed,
            StoreError::Full => Struck::Full,
            StoreError::Unknown => Struck::Unknown,
        };
        self.batches.insert((owner.to_string(), struck), at);
    }

    pub(super) const fn reload(&mut self, at: Moment, second_host: Served) {
        self.reload = Some(at);
        self.second_host = second_host;
    }

    /// Whether the host of an address is served.
    pub(super) fn served(&self, address: &str, since: Moment) -> Served {
        let second = address.split('@').next_back() == Some("other.test");
        match (second, self.reload_since(since)) {
            (false, _) => Served::Yes,
            (true, true) => Served::Unsure,
            (true, false) => self.second_host,
        }
    }

    pub(super) const fn shutdown(&mut self, at: Moment) {
        self.shutdown = Some(at);
    }

    pub(super) fn returned(&mut self, returned: Returned) {
        let Returned { kind, id, from, to } = returned;
        let jid =
            |jid: Option<spondee_core::jid::Jid>| jid.map_or_else(String::new, |j| j.to_string());
        self.returned
            .insert((name(kind), id.unwrap_or_default(), jid(from), jid(to)));
    }

    /// Whether that became of a batch of this owner.
    pub(super) fn struck_since(&self, moment: Moment, owner: &str, struck: Struck) -> bool {
        let since = |at: Moment| at >= moment.min(self.rest);
        let batch = self.batches.get(&(owner.to_owned(), struck)).copied();
        batch.is_some_and(since) || struck == Struck::Busy && self.busy.is_some_and(since)
    }

    /// Whether the store or the workers may have kept this owner from anything.
    pub(super) fn store_since(&self, moment: Moment, owner: &str) -> bool {
        let mut all = Struck::ALL.into_iter();
        all.any(|struck| self.struck_since(moment, owner, struck))
    }

    pub(super) fn reload_since(&self, moment: Moment) -> bool {
        self.reload.is_some_and(|at| at >= moment.min(self.rest))
    }

    pub(super) fn shutdown_since(&self, moment: Moment) -> bool {
        self.shutdown.is_some_and(|at| at >= moment)
    }

    /// Whether a stanza of this kind and id came back on its way from `from`.
    pub(super) fn came_back(&self, kind: Kind, id: &str, from: &str) -> bool {
        let wanted = name(kind);
        self.returned
            .iter()
            .any(|(kind, i, f, _)| *kind == wanted && i == id && f == from)
    }

    /// Whether an answer of the server to a stanza with this id came back on its way to `to`.
    pub(super) fn answer_came_back(&self, kind: Kind, id: &str, to: &str) -> bool {
        let wanted = name(kind);
        self.returned
            .iter()
            .any(|(kind, i, _, t)| *kind == wanted && i == id && t == to)
    }

    /// Whether presence from `from` to an address of `bare`, or what asks for it, came back.
    pub(super) fn presence_came_back(&self, from: &str, bare: &str) -> bool {
        let of = |jid: &str, bare: &str| jid.split('/').next() == Some(bare);
        self.returned.iter().any(|(kind, _, f, to)| {
            let told = f == from && of(to, bare);
            let asked = of(f, bare) && from.split('/').next() == to.split('/').next();
            kind.starts_with("Presence") && (told || asked)
        })
    }

    /// Whether unavailable presence from `from` to an address of `bare` came back.
    pub(super) fn farewell_came_back(&self, from: &str, bare: &str) -> bool {
        self.returned.iter().any(|(kind, _, f, to)| {
            kind == "Presence(Unavailable)" && f == from && to.split('/').next() == Some(bare)
        })
    }
}

fn name(kind: Kind) -> String {
    format!("{kind:?}")
}
