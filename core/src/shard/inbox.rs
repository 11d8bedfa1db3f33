//! What waits until its owner can act: everything that comes from elsewhere, and everything that ends, in the order in which it came.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use crate::account::Manner;
use crate::jid::Jid;
use crate::limits::{INBOX_BYTES, INBOX_STANZAS};
use crate::port::{CommandId, ConnId};
use crate::stanza::{Kind, PresenceType, Stanza};
use crate::stream::Violation;

/// One thing that waits.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A connection is gone. What it brought before is still in its stream, and comes first.
    Closed(ConnId),
    /// A command reaches its account.
    Command(CommandId, Errand),
    /// The stream on a connection is to end with this error.
    Fail(ConnId, Violation),
    /// A stanza for the account.
    Stanza(Post),
}

/// What a command wants of an account that is in memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Errand {
    /// All of it goes.
    Delete,
}

/// A stanza for an account.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) stanza: Arc<Stanza>,
    pub(super) to: Jid,
    pub(super) manner: Manner,
}

/// What became of a stanza that was to wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Placed {
    /// It waits.
    Waits,
    /// It has no room, and its sender can be told.
    Refuse,
    /// It has no room, and nobody misses it much.
    Dropped,
    /// It has no room, and must not be lost in silence: who would have heard of it must learn anew what there is.
    Lost,
}

/// Items in their order.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    items: VecDeque<Item>,
    stanzas: usize,
    bytes: usize,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Something that is no stanza. It has room always: connections and commands are bounded by themselves, and each ends once.
    pub(super) fn push(&mut self, item: Item) {
        if let Item::Fail(conn, _) = &item
            && self.ends(*conn)
        {
            // The first error is the one it ends with.
            return;
        }
        self.items.push_back(item);
    }

    /// Whether the stream on this connection will end with an error.
    fn ends(&self, conn: ConnId) -> bool {
        let ends = |item: &Item| matches!(item, Item::Fail(other, _) if *other == conn);
        self.items.iter().any(ends)
    }

    /// A stanza. Presence that tells no more than a later one of the same sender makes room for it.
    pub(super) fn post(&mut self, post: Post) -> Placed {
        let is_full = self.stanzas >= INBOX_STANZAS || self.bytes >= INBOX_BYTES;
        if is_full && !self.make_room(&post) {
            return without_room(&post);
        }
        self.count(&post);
        self.items.push_back(Item::Stanza(post));
        Placed::Waits
    }

    /// Takes presence out that `post` replaces: of the same sender, for the same address.
    fn make_room(&mut self, post: &Post) -> bool {
        if !is_announcement(post) {
            return false;
        }
        let replaced = self.items.iter().position(|item| match item {
            Item::Stanza(other) => {
                is_announcement(other)
                    && other.stanza.from() == post.stanza.from()
                    && other.to == post.to
            }
            Item::Closed(_) | Item::Command(..) | Item::Fail(..) => false,
        });
        let Some(Item::Stanza(replaced)) = replaced.and_then(|at| self.items.remove(at)) else {
            return false;
        };
        self.discount(&replaced);
        true
    }

    /// What comes next.
    pub(super) fn front(&self) -> Option<&Item> {
        self.items.front()
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        if let Item::Stanza(post) = &item {
            self.discount(post);
        }
        Some(item)
    }

    /// Puts back what was taken: it comes first again.
    pub(super) fn put_back(&mut self, item: Item) {
        if let Item::Stanza(post) = &item {
            self.count(post);
        }
        self.items.push_front(item);
    }

    fn count(&mut self, post: &Post) {
        self.stanzas = self.stanzas.saturating_add(1);
        self.bytes = self.bytes.saturating_add(post.stanza.size());
    }

    fn discount(&mut self, post: &Post) {
        self.stanzas = self.stanzas.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(post.stanza.size());
    }
}

fn without_room(post: &Post) -> Placed {
    match (post.stanza.kind(), post.manner) {
        // From strangers: contacts tell everybody alike.
        (
            Kind::Presence(
                PresenceType::Available
                | PresenceType::Unavailable
                | PresenceType::Probe
                | PresenceType::Error,
            ),
            Manner::Directed,
        ) => Placed::Dropped,
        (Kind::Presence(_), _) => Placed::Lost,
        (kind, _) if kind.may_be_refused() => Placed::Refuse,
        (Kind::Iq(_) | Kind::Message(_), _) => Placed::Lost,
    }
}

/// Whether it says how available its sender is, to everybody alike.
fn is_announcement(post: &Post) -> bool {
    let kind = post.stanza.kind();
    let available = PresenceType::Available;
    post.manner == Manner::FanOut
        && (kind == Kind::Presence(available) || kind == Kind::Presence(PresenceType::Unavailable))
}
