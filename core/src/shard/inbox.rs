//! What waits until its owner can act: everything that comes from elsewhere, and everything that ends, in the order in which it came.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::account::{Manner, Read, SessionKey};
use crate::envelope::{Receipt, Told};
use crate::jid::{BareJid, Jid, Resource};
use crate::limits::{INBOX_BYTES, INBOX_FED, INBOX_FED_BYTES, INBOX_STANZAS};
use crate::port::ConnId;
use crate::rare::Empty;
use crate::sasl::{Form, Status};
use crate::sm::Acked;
use crate::stanza::{Kind, Stanza};
use crate::store::{Reply, StoreError};
use crate::stream::Violation;
use crate::wait::Requester;

/// One thing that waits.
#[derive(Debug)]
pub(super) enum Item {
    /// The client of a session has acknowledged something.
    Acked(SessionKey, Acked),
    /// A connection is gone. What it brought before is still in its stream, and comes first.
    Closed(ConnId),
    /// A command reaches its account.
    Command(Requester, Errand),
    /// A session that is asleep is over.
    Die(SessionKey),
    /// A session has taken all that was written to it.
    Drained(ConnId),
    /// The stream on a connection is to end with this error.
    Fail(ConnId, Violation),
    /// Nobody is at the other end of a connection.
    Lose(ConnId),
    /// All is settled that the client of a session sent which is over.
    Over(SessionKey),
    /// A contact has on disk what the account told it.
    Settled(BareJid, Told),
    /// The store has answered.
    Read(Box<Read>, Result<Vec<Reply>, StoreError>),
    /// A stanza for the account.
    Stanza(Post),
}

/// What a command wants of an account that is in memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Errand {
    /// All of it goes.
    Delete,
    /// Its sessions end, or the one of this resource.
    Disconnect(Option<Resource>),
    /// What it is; of this status and with this kept of its password, which its owner does not know.
    Show(Status, Form),
}

/// A stanza for an account.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) stanza: Arc<Stanza>,
    pub(super) to: Jid,
    pub(super) manner: Manner,
    pub(super) receipt: Option<Receipt>,
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
    /// Who was told to wait until it is empty.
    feeders: BTreeSet<Jid>,
}

impl Empty for Inbox {
    const NOTHING: &'static Self = &Self {
        items: VecDeque::new(),
        stanzas: 0,
        bytes: 0,
        feeders: BTreeSet::new(),
    };

    fn is_nothing(&self) -> bool {
        self.items.is_empty() && self.feeders.is_empty()
    }
}

impl Inbox {
    /// Whether who sent this is to wait now, because there is much to be done first.
    pub(super) fn holds_up(&mut self, feeder: &Jid) -> bool {
        self.is_fed() && self.put_off(feeder)
    }

    const fn is_fed(&self) -> bool {
        self.stanzas >= INBOX_FED || self.bytes >= INBOX_FED_BYTES
    }

    /// Who sent something is to wait. Whether that is new.
    pub(super) fn put_off(&mut self, feeder: &Jid) -> bool {
        self.feeders.insert(feeder.clone())
    }

    /// All that waits.
    pub(super) fn take_all(&mut self) -> Self {
        let feeders = core::mem::take(&mut self.feeders);
        let all = core::mem::take(self);
        self.feeders = feeders;
        all
    }

    /// Those who waited, once nothing is to be done any more.
    pub(super) fn let_go_on(&mut self) -> BTreeSet<Jid> {
        match self.items.is_empty() {
            true => core::mem::take(&mut self.feeders),
            false => BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many things wait.
    pub(super) fn len(&self) -> usize {
        self.items.len()
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
        let has_room = match is_full {
            true => self.make_room(&post),
            // Where one replaces the other, nobody has many.
            false => !self.is_hogged(&post) || self.make_room(&post) || is_announcement(&post),
        };
        if !has_room {
            let placed = without_room(&post);
            // By nobody's doing but its sender's.
            let by_itself = !is_full && placed == Placed::Lost;
            return if by_itself { Placed::Dropped } else { placed };
        }
        self.count(&post);
        self.items.push_back(Item::Stanza(post));
        Placed::Waits
    }

    /// Whether more than half is used, and a quarter by the account that sends this: the rest is for others.
    fn is_hogged(&self, post: &Post) -> bool {
        if self.stanzas < INBOX_STANZAS / 2 && self.bytes < INBOX_BYTES / 2 {
            return false;
        }
        let sender = post.stanza.from().map(Jid::bare);
        let (mut stanzas, mut bytes) = (0_usize, 0_usize);
        for item in &self.items {
            if let Item::Stanza(other) = item
                && other.stanza.from().map(Jid::bare) == sender
            {
                stanzas = stanzas.saturating_add(1);
                bytes = bytes.saturating_add(other.stanza.size());
            }
        }
        stanzas >= INBOX_STANZAS / 4 || bytes >= INBOX_BYTES / 4
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
            Item::Acked(..)
            | Item::Closed(_)
            | Item::Command(..)
            | Item::Die(_)
            | Item::Drained(_)
            | Item::Fail(..)
            | Item::Lose(_)
            | Item::Over(_)
            | Item::Read(..)
            | Item::Settled(..) => false,
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

    /// The stream on this connection ends before anything else is done, and with no other error.
    pub(super) fn fail_first(&mut self, conn: ConnId, violation: Violation) {
        self.items
            .retain(|item| !matches!(item, Item::Fail(other, _) if *other == conn));
        self.items.push_front(Item::Fail(conn, violation));
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
        // From strangers: contacts tell everybody alike. What manages a subscription is said again.
        (Kind::Presence(_), Manner::Directed) => Placed::Dropped,
        (Kind::Presence(_), Manner::FanOut) => Placed::Lost,
        (kind, _) if kind.may_be_refused() => Placed::Refuse,
        (Kind::Iq(_) | Kind::Message(_), _) => Placed::Lost,
    }
}

/// Whether it says how available its sender is, to everybody alike.
fn is_announcement(post: &Post) -> bool {
    post.manner == Manner::FanOut && post.stanza.announces().is_some()
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::arena::Arena;
    use crate::stanza::{IqType, MessageType, PresenceType};

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn post(kind: Kind, from: &str, manner: Manner) -> Post {
        let (from, to) = (jid(from), jid("juliet@localhost"));
        let stanza = Stanza::build(kind, None, Some(from), Some(to.clone()), |_| {});
        Post {
            stanza: Arc::new(stanza),
            to,
            manner,
            receipt: None,
        }
    }

    fn stanza_of(item: &Item) -> Option<&Stanza> {
        match item {
            Item::Stanza(post) => Some(&post.stanza),
            Item::Acked(..)
            | Item::Closed(_)
            | Item::Command(..)
            | Item::Die(_)
            | Item::Drained(_)
            | Item::Fail(..)
            | Item::Lose(_)
            | Item::Over(_)
            | Item::Read(..)
            | Item::Settled(..) => None,
        }
    }

    fn full() -> Inbox {
        let mut inbox = Inbox::default();
        let message = Kind::Message(MessageType::Chat);
        for n in 0..INBOX_STANZAS {
            let from = format!("guest{n}@localhost/x");
            assert_eq!(
                inbox.post(post(message, &from, Manner::Directed)),
                Placed::Waits
            );
        }
        inbox
    }

    #[test]
    fn everything_comes_out_in_the_order_in_which_it_came() {
        let mut inbox = Inbox::default();
        let mut conns = Arena::<ConnId, ()>::default();
        let conn = conns.insert(());
        let message = Kind::Message(MessageType::Chat);
        inbox.post(post(message, "romeo@localhost/1", Manner::Directed));
        inbox.push(Item::Closed(conn));
        inbox.post(post(message, "romeo@localhost/2", Manner::Directed));
        let first = inbox.pop().unwrap();
        inbox.put_back(first);
        let order: Vec<_> = core::iter::from_fn(|| inbox.pop())
            .map(|item| stanza_of(&item)?.from().cloned())
            .collect();
        let romeo = |n| Some(jid(&format!("romeo@localhost/{n}")));
        assert_eq!(order, [romeo(1), None, romeo(2)]);
        assert_eq!((inbox.stanzas, inbox.bytes), (0, 0));
    }

    #[test]
    fn a_stream_ends_once_and_with_its_first_error() {
        let mut inbox = Inbox::default();
        let mut conns = Arena::<ConnId, ()>::default();
        let conn = conns.insert(());
        inbox.push(Item::Fail(conn, Violation::Shutdown));
        inbox.push(Item::Fail(conn, Violation::Timeout));
        assert!(matches!(
            inbox.pop(),
            Some(Item::Fail(_, Violation::Shutdown))
        ));
        assert!(inbox.is_empty());
    }

    #[test]
    fn what_has_no_room_is_refused_if_anybody_can_be_told() {
        let from = "nurse@localhost/x";
        for (kind, manner, placed) in [
            (
                Kind::Message(MessageType::Chat),
                Manner::Directed,
                Placed::Refuse,
            ),
            (Kind::Iq(IqType::Get), Manner::Directed, Placed::Refuse),
            (Kind::Iq(IqType::Result), Manner::Directed, Placed::Lost),
            (
                Kind::Message(MessageType::Error),
                Manner::Directed,
                Placed::Lost,
            ),
            (
                Kind::Presence(PresenceType::Subscribe),
                Manner::Directed,
                Placed::Dropped,
            ),
            (
                Kind::Presence(PresenceType::Available),
                Manner::Directed,
                Placed::Dropped,
            ),
            (
                Kind::Presence(PresenceType::Unavailable),
                Manner::FanOut,
                Placed::Lost,
            ),
        ] {
            assert_eq!(full().post(post(kind, from, manner)), placed, "{kind:?}");
        }
    }

    #[test]
    fn whoever_fills_half_of_it_has_no_more_and_others_have() {
        for kind in [
            Kind::Message(MessageType::Chat),
            Kind::Iq(IqType::Result),
            Kind::Presence(PresenceType::Subscribe),
        ] {
            let mut inbox = Inbox::default();
            let mut placed = Vec::new();
            for n in 0..INBOX_STANZAS {
                let from = format!("romeo@localhost/{n}");
                placed.push(inbox.post(post(kind, &from, Manner::Directed)));
            }
            let waits = placed.iter().filter(|placed| **placed == Placed::Waits);
            assert_eq!(waits.count(), INBOX_STANZAS / 2);
            assert!(!placed.contains(&Placed::Lost));
            let other = post(kind, "nurse@localhost/x", Manner::Directed);
            assert_eq!(inbox.post(other), Placed::Waits);
        }
    }

    #[test]
    fn presence_makes_room_for_later_presence_of_its_sender() {
        let mut inbox = full();
        inbox.pop();
        let presence = |kind| post(Kind::Presence(kind), "nurse@localhost/x", Manner::FanOut);
        let (first, last) = (PresenceType::Available, PresenceType::Unavailable);
        assert_eq!(inbox.post(presence(first)), Placed::Waits);
        assert_eq!(inbox.post(presence(last)), Placed::Waits);
        let kinds: Vec<_> = core::iter::from_fn(|| inbox.pop())
            .filter_map(|item| Some(stanza_of(&item)?.kind()))
            .filter(|kind| matches!(kind, Kind::Presence(_)))
            .collect();
        assert_eq!(kinds, [Kind::Presence(last)]);
    }

    #[test]
    fn long_stanzas_fill_it_before_many_do() {
        let mut inbox = Inbox::default();
        let long = "x".repeat(INBOX_BYTES / 3);
        let mut placed = Vec::new();
        for n in 0..5 {
            let kind = Kind::Message(MessageType::Chat);
            let (from, to) = (
                jid(&format!("guest{n}@localhost/x")),
                jid("juliet@localhost"),
            );
            let stanza = Stanza::build(kind, None, Some(from), Some(to.clone()), |w| {
                w.open("body").text(&long).close();
            });
            placed.push(inbox.post(Post {
                stanza: Arc::new(stanza),
                to,
                manner: Manner::Directed,
                receipt: None,
            }));
        }
        assert_eq!(placed.iter().filter(|p| **p == Placed::Waits).count(), 3);
        assert_eq!(placed.last(), Some(&Placed::Refuse));
    }
}
