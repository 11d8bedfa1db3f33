//! One account on the shard that owns it: what it keeps, its sessions, and the rules for what they send and receive.
//!
//! What a call says and changes are values on its `Cx` until the call ends; knows nothing of streams, sockets or other accounts.

mod archive;
mod blocking;
mod bounds;
mod carbons;
mod choose;
mod cx;
mod deliver;
mod ending;
mod gate;
mod guest;
mod holders;
mod iq;
mod kept;
mod leave;
mod managed;
mod message;
mod offline;
mod pipeline;
mod presence;
mod private;
mod reads;
mod receipts;
mod redeliver;
mod registration;
mod roster;
mod session;
mod subscription;
#[cfg(test)]
mod tests;
mod vcard;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::OnceCell;

use crate::archive::{Bounds, Ids, Spool};
use crate::arena::arena_key;
use crate::blocking::Blocklist;
use crate::jid::BareJid;
use crate::port::{ConnId, Contacts};
use crate::rare::{Empty, Rare};
use crate::roster::Subscription;

use carbons::Copied;
pub(crate) use cx::{Addressed, Append, Asked, Cx, Saying, Spoken, StoreRoom, Watch};
pub(crate) use deliver::{Manner, brings_in, nobody};
use ending::Ending;
pub(crate) use gate::Admit;
use gate::Gate;
use holders::Holders;
pub(crate) use iq::answer;
use kept::Keeping;
pub(crate) use kept::Kept;
pub use kept::check_loaded;
pub(crate) use leave::Leave;
pub(crate) use managed::{Attention, Enabled, Found, Woken};
use offline::Offline;
pub(crate) use pipeline::Wish;
pub(crate) use reads::Read;
pub(crate) use session::{Binding, Session, SessionKey};
pub(crate) use vcard::asks_for_card;

arena_key! {
    /// Names an account in memory; dead once the account is dropped, whoever comes back under the same name.
    pub(crate) AccountKey;
}

/// An account in memory.
#[derive(Debug)]
pub(crate) struct Account {
    jid: BareJid,
    gate: Gate,
    /// What it keeps.
    kept: Keeping,
    /// Signed in, no resource yet.
    admitted: Vec<ConnId>,
    sessions: Vec<Session>,
    last_session: SessionKey,
    /// What clients call the entries of its archive; made when somebody asks, for most who sign in never do.
    ids: OnceCell<Box<Ids>>,
    /// How far its archive has come. Never back, whatever is read again.
    spool: Spool,
    /// How much there is of it.
    bounds: Bounds,
    /// What waits for somebody to be there.
    offline: Offline,
    seldom: Rare<Seldom>,
}

/// What few accounts have of, and that not for long.
#[derive(Debug, Default)]
struct Seldom {
    /// What the blocklist was before a change of which nobody was told, though it may be on disk: those who are blocked since then still
    /// take its sessions for available.
    untold: Option<Blocklist>,
    /// Contacts that saw its presence before such a change, and do not any more.
    unheard: Vec<BareJid>,
    /// Connections of sessions that wait for an answer of the store.
    asking: Vec<ConnId>,
    /// Messages of which there were copies.
    copied: Copied,
    /// Who has what, of messages that are to be acknowledged.
    holders: Holders,
    /// Sessions that are over, of which not all is settled.
    ending: Ending,
}

impl Empty for Seldom {
    const NOTHING: &'static Self = &Self {
        untold: None,
        unheard: Vec::new(),
        asking: Vec::new(),
        copied: Copied::NOTHING,
        holders: Holders::new(),
        ending: Ending::NOTHING,
    };

    fn is_nothing(&self) -> bool {
        self.untold.is_none()
            && self.unheard.is_empty()
            && self.asking.is_empty()
            && self.copied.is_empty()
            && self.holders.is_unused()
            && self.ending.is_empty()
    }
}

impl Account {
    /// An account of which nothing was read yet. `record` is the hash of its credentials, if it is known.
    pub(crate) fn new(jid: BareJid, record: Option<[u8; 32]>) -> Self {
        Self {
            jid,
            gate: record.map_or_else(|| Gate::Asking(Vec::new()), Gate::open),
            kept: Keeping::Nothing,
            admitted: Vec::new(),
            sessions: Vec::new(),
            last_session: SessionKey::default(),
            ids: OnceCell::new(),
            spool: Spool::default(),
            bounds: Bounds::default(),
            offline: Offline::default(),
            seldom: Rare::default(),
        }
    }

    pub(crate) const fn jid(&self) -> &BareJid {
        &self.jid
    }

    /// What clients call the entries of its archive.
    fn ids(&self, cx: &Cx<'_>) -> &Ids {
        let made = || Box::new(Ids::new(&cx.config.server_secret, &self.jid));
        self.ids.get_or_init(made)
    }

    /// What it keeps was read.
    pub(crate) fn keep(&mut self, mut kept: Kept) {
        let unheard = self.kept.unheard(&kept);
        if !unheard.is_empty() {
            self.seldom.make().unheard.extend(unheard);
        }
        if matches!(self.kept, Keeping::Nothing) {
            self.bounds = Bounds::new(&kept.spool);
        }
        self.spool = kept.spool.later(&self.spool);
        self.offline.owed = kept.owed;
        if let Some(before) = self.kept.last_mut() {
            kept.past.go_on_from(&mut before.past);
        }
        self.kept = Keeping::Sound(kept);
    }

    /// Who is in its roster, for people to see.
    pub(crate) fn contacts(&self) -> Contacts {
        let Some(kept) = self.kept.sound() else {
            return Contacts::default();
        };
        let mut contacts = Contacts {
            requests: kept.requests.contacts().count(),
            blocked: kept.blocklist.len(),
            ..Contacts::default()
        };
        for item in kept.roster.items() {
            let count = match item.subscription() {
                Subscription::None => &mut contacts.none,
                Subscription::To => &mut contacts.to,
                Subscription::From => &mut contacts.from,
                Subscription::Both => &mut contacts.both,
            };
            *count = count.saturating_add(1);
        }
        contacts
    }

    /// What was changed is on disk.
    pub(crate) fn settle_kept(&mut self) {
        self.kept.settle();
    }

    /// What is in memory is not what is on disk: it is to be read again.
    pub(crate) fn forget_kept(&mut self) {
        if let Some(untold) = self.kept.spoil() {
            self.seldom.make().untold = Some(untold);
        }
    }
}
