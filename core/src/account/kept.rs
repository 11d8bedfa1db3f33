//! What an account keeps: read from the store in one go, and written back change by change.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::archive::{ARCHIVE, Prefs, Spool};
use crate::blocking::Blocklist;
use crate::jid::{BareJid, Jid};
use crate::roster::{Requests, Roster, Standing, State, Subscription, Unsaid};
use crate::sm::OldSessions;
use crate::store::{BadRow, Loaded, Op, Owed};
use crate::xep::Activity;

/// All that decisions need.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(super) roster: Roster,
    /// Requests that wait for an answer of the user.
    pub(super) requests: Requests,
    /// What contacts may not have heard.
    pub(super) unsaid: Unsaid,
    pub(super) blocklist: Blocklist,
    /// What is archived.
    pub(super) prefs: Prefs,
    /// How far the archive had come when it was read.
    pub(super) spool: Spool,
    /// What waited then.
    pub(super) owed: Owed,
    /// What the list was before a change that is not on disk yet.
    pub(super) blocklist_before: Option<Blocklist>,
    /// Sessions that are over.
    pub(super) old: OldSessions,
    /// The end of its last session.
    pub(super) past: Past,
    /// Contacts that see the account, or do not, by changes that are not on disk yet: what they do until then.
    turning: BTreeMap<BareJid, Sight>,
}

/// When an account's last session ended, and whether its row says so.
#[derive(Debug)]
pub(super) enum Past {
    /// That was before anything was kept of it.
    Unknown,
    OnDisk(Activity),
    /// It does when the account leaves memory: who comes back before that has no row put in vain.
    InMemory(Activity),
}

impl Past {
    pub(super) const fn activity(&self) -> Option<&Activity> {
        match self {
            Self::Unknown => None,
            Self::OnDisk(activity) | Self::InMemory(activity) => Some(activity),
        }
    }

    /// This was read where that was in memory: what that had no row of is still to be put.
    pub(super) const fn go_on_from(&mut self, before: &mut Self) {
        if matches!(before, Self::InMemory(_)) {
            core::mem::swap(self, before);
        }
    }

    /// What is to be put, from now on taken for put.
    pub(super) fn put(&mut self) -> Option<Op> {
        match core::mem::replace(self, Self::Unknown) {
            Self::InMemory(activity) => {
                let op = activity.put();
                *self = Self::OnDisk(activity);
                Some(op)
            }
            past @ (Self::Unknown | Self::OnDisk(_)) => {
                *self = past;
                None
            }
        }
    }
}

/// Whether a contact sees the account's presence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sight {
    /// It does.
    Seen,
    /// It does not.
    Hidden,
}

/// Whether what an account keeps is in memory.
#[derive(Debug, Default)]
pub(super) enum Keeping {
    /// It was not read yet.
    #[default]
    Nothing,
    /// It is what is on disk.
    Sound(Kept),
    /// It was, before a change that came to nothing. Nothing may be decided by it but who has seen the account's presence.
    Stale(Kept),
}

/// Whether an account that has this would be let in, for who brings it here from elsewhere.
///
/// # Errors
/// The first row that none of ours is.
pub fn check_loaded(loaded: &Loaded) -> Result<(), BadRow> {
    Kept::from_loaded(loaded).map(drop)
}

impl Kept {
    /// From what the store has. Rows that make no sense are a load that fails, so that nothing is ever written over what could not be
    /// read.
    pub(crate) fn from_loaded(loaded: &Loaded) -> Result<Self, BadRow> {
        Ok(Self {
            roster: Roster::from_loaded(loaded)?,
            requests: Requests::from_loaded(loaded)?,
            unsaid: Unsaid::from_loaded(loaded)?,
            blocklist: Blocklist::from_loaded(loaded)?,
            prefs: Prefs::from_loaded(loaded)?,
            spool: Spool::from_loaded(loaded)?,
            owed: loaded.end(ARCHIVE).map(|end| end.owed).unwrap_or_default(),
            blocklist_before: None,
            old: OldSessions::from_loaded(loaded),
            past: Activity::from_loaded(loaded).map_or(Past::Unknown, Past::OnDisk),
            turning: BTreeMap::new(),
        })
    }

    /// A change turns what a contact sees; until it is on disk, it is as before.
    pub(super) fn turn(&mut self, contact: &BareJid, before: Sight) {
        self.turning.entry(contact.clone()).or_insert(before);
    }

    /// Whether this contact has seen the account's presence, as far as anybody was told.
    pub(super) fn has_shown_to(&self, contact: &str) -> bool {
        match self.turning.get(contact) {
            Some(sight) => *sight == Sight::Seen,
            None => self.shows_to(contact),
        }
    }

    /// Those who have, and of whom this is so.
    pub(super) fn audience_of(&self, is_so: impl Fn(&Jid) -> bool) -> Vec<Jid> {
        let seen = self.seen_before().map(|contact| contact.clone().into());
        let mut audience: Vec<Jid> = seen.filter(&is_so).collect();
        audience.extend(self.subscribers_of(|contact| {
            !self.turning.contains_key(contact.bare()) && is_so(contact)
        }));
        audience
    }

    /// Contacts that saw the account's presence before changes that are not on disk yet, whether they do by these or not.
    fn seen_before(&self) -> impl Iterator<Item = &BareJid> {
        let turning = self.turning.iter();
        let seen = turning.filter(|(_, before)| **before == Sight::Seen);
        seen.map(|(contact, _)| contact)
    }

    /// Where a contact stands.
    pub(super) fn state(&self, contact: &str) -> State {
        let item = self.roster.item(contact);
        State {
            standing: item.map_or_else(Standing::default, |item| item.standing()),
            request: self.requests.of(contact),
        }
    }

    /// Whether this contact sees the account's presence (RFC 6121 §4.2.2).
    pub(super) fn shows_to(&self, contact: &str) -> bool {
        let item = self.roster.item(contact);
        item.is_some_and(|item| item.subscription().is_from())
    }

    /// Whether the account sees this contact's.
    pub(super) fn sees(&self, contact: &str) -> bool {
        let item = self.roster.item(contact);
        item.is_some_and(|item| item.subscription().is_to())
    }

    /// Who sees the account's presence, and is not blocked.
    pub(super) fn subscribers(&self) -> Vec<Jid> {
        self.subscribers_of(|contact| !self.blocks(contact))
    }

    /// Those of whom this is so who see the account's presence, or would if they were not blocked.
    pub(super) fn subscribers_of(&self, is_so: impl Fn(&Jid) -> bool) -> Vec<Jid> {
        self.contacts_of(Subscription::is_from, is_so)
    }

    /// Whose presence it sees, and has not blocked.
    pub(super) fn subscriptions(&self) -> Vec<Jid> {
        self.subscriptions_of(|contact| !self.blocks(contact))
    }

    /// Those of whom this is so whose presence it sees, or would if they were not blocked.
    pub(super) fn subscriptions_of(&self, is_so: impl Fn(&Jid) -> bool) -> Vec<Jid> {
        self.contacts_of(Subscription::is_to, is_so)
    }

    fn contacts_of(
        &self,
        stands: fn(Subscription) -> bool,
        is_so: impl Fn(&Jid) -> bool,
    ) -> Vec<Jid> {
        let items = self.roster.items();
        items
            .filter(|item| stands(item.subscription()))
            .map(|item| item.address().into())
            .filter(is_so)
            .collect()
    }

    /// Whether this address is on the blocklist, or what it belongs to.
    pub(super) fn blocks(&self, jid: &Jid) -> bool {
        self.blocklist.blocks(jid)
    }
}

impl Keeping {
    pub(super) const fn sound(&self) -> Option<&Kept> {
        match self {
            Self::Sound(kept) => Some(kept),
            Self::Nothing | Self::Stale(_) => None,
        }
    }

    pub(super) const fn sound_mut(&mut self) -> Option<&mut Kept> {
        match self {
            Self::Sound(kept) => Some(kept),
            Self::Nothing | Self::Stale(_) => None,
        }
    }

    /// What there is, if it may be out of date.
    pub(super) const fn last(&self) -> Option<&Kept> {
        match self {
            Self::Sound(kept) | Self::Stale(kept) => Some(kept),
            Self::Nothing => None,
        }
    }

    pub(super) const fn last_mut(&mut self) -> Option<&mut Kept> {
        match self {
            Self::Sound(kept) | Self::Stale(kept) => Some(kept),
            Self::Nothing => None,
        }
    }

    /// What is in memory is not what is on disk. Gives back what the blocklist was, if it was that which changed.
    pub(super) fn spoil(&mut self) -> Option<Blocklist> {
        match core::mem::take(self) {
            Self::Sound(mut kept) | Self::Stale(mut kept) => {
                let before = kept.blocklist_before.take();
                *self = Self::Stale(kept);
                before
            }
            Self::Nothing => None,
        }
    }

    /// What is in memory is on disk.
    pub(super) fn settle(&mut self) {
        if let Self::Sound(kept) = self {
            kept.blocklist_before = None;
            kept.turning.clear();
        }
    }

    /// Contacts that saw the account's presence before a change of which nobody was told, though it is on disk: `now` is what is.
    pub(super) fn unheard(&self, now: &Kept) -> Vec<BareJid> {
        let Self::Stale(kept) = self else {
            return Vec::new();
        };
        let seen = kept.seen_before();
        seen.filter(|contact| !now.shows_to(contact.as_str()))
            .cloned()
            .collect()
    }
}
