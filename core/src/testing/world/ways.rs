//! From shard to shard: envelopes, and connections that are brought to the owner of their account.

use alloc::string::String;
use alloc::vec::Vec;

use super::World;
use super::pipe::{Peer, Reading};
use super::policy::Mesh;
use super::steps::Lane;
use crate::envelope::{Body, Delivery, Envelope, Place, To};
use crate::jid::Jid;
use crate::port::{ConnId, Input};
use crate::stanza::Kind;

/// A stanza that came back because the way to its shard was full.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Returned {
    /// What it is.
    pub kind: Kind,
    /// Its `id`.
    pub id: Option<String>,
    /// From whom.
    pub from: Option<Jid>,
    /// To whom.
    pub to: Option<Jid>,
}

impl Returned {
    /// What a delivery says, once for each that it is for.
    fn of(delivery: &Delivery) -> impl Iterator<Item = Self> + '_ {
        let stanza = &delivery.stanza;
        let to = match &delivery.to {
            To::Named => stanza.to().into_iter().cloned().collect(),
            To::Each(each) => each.clone(),
        };
        to.into_iter().map(|to| Self {
            kind: stanza.kind(),
            id: stanza.id().map(|id| id.into_owned()),
            from: stanza.from().cloned(),
            to: Some(to),
        })
    }
}

impl World {
    /// Brings an envelope on its way, or back.
    ///
    /// # Panics
    /// A shard writes to itself.
    pub(super) fn send(&mut self, envelope: Envelope) {
        assert_ne!(envelope.from, envelope.to, "{envelope:?}");
        let (from, to) = (envelope.from, usize::from(envelope.to.shard));
        let way = Lane::Envelopes(from, to);
        let waiting = self
            .letters
            .iter()
            .filter(|(shard, input)| Lane::of(*shard, input) == way);
        if waiting.count() < self.lane_capacity {
            self.letters.push_back((to, Input::Delivered(envelope)));
        } else {
            let letter = self.sent_back(envelope);
            self.letters.push_back(letter);
        }
    }

    /// What becomes of an envelope that finds its way full.
    fn sent_back(&mut self, envelope: Envelope) -> (usize, Input<'static>) {
        match &envelope.body {
            Body::Deliver(deliveries) => {
                self.returned
                    .extend(deliveries.iter().flat_map(Returned::of));
            }
            Body::Go(_)
            | Body::Handled(_)
            | Body::Lacking(..)
            | Body::Registration(_)
            | Body::Settled(_)
            | Body::SignInFailed(_)
            | Body::Slow(_)
            | Body::Heard(_)
            | Body::Pong(_)
            | Body::Verify(_)
            | Body::Verified(_)
            | Body::Taken(_) => {}
        }
        let back = usize::from(envelope.from.shard);
        (back, Input::Undeliverable(envelope))
    }

    /// The stanzas that came back since this was last asked.
    pub fn take_returned(&mut self) -> Vec<Returned> {
        core::mem::take(&mut self.returned)
    }

    /// How many envelopes and answers are on their way.
    #[must_use]
    pub fn letters(&self) -> usize {
        self.letters.len()
    }

    /// The oldest letter arrives, or, if it is an envelope and its way is full, comes back at once.
    pub fn deliver(&mut self, way: Mesh) {
        let letter = match (self.letters.pop_front(), way) {
            (Some((_, Input::Delivered(envelope))), Mesh::Full) => Some(self.sent_back(envelope)),
            (letter, Mesh::Free | Mesh::Full) => letter,
        };
        if let Some((shard, input)) = letter {
            self.tell(shard, input);
        }
    }

    /// Takes a connection to its owner's shard; nothing is read from it until the owner says `Resume`.
    pub(super) fn hand_off(&mut self, shard: usize, conn: ConnId, to: Place) {
        let Some(peer) = self.peer(shard, conn) else {
            return;
        };
        self.pipes[peer.0].reading = Reading::Paused;
        match self.mesh {
            Mesh::Full => self.stuck.push((shard, conn, to)),
            Mesh::Free => drop(self.carry(shard, conn, to, peer)),
        }
    }

    /// How many connections wait to be brought to another shard.
    #[must_use]
    pub fn waiting_hand_offs(&self) -> usize {
        self.stuck.len()
    }

    /// Brings one of them, if it is still there; whose it is. What its shard has said of it must have been done: its name there
    /// dies.
    pub fn bring(&mut self, index: usize) -> Option<Peer> {
        let (shard, conn, to) = self.stuck.remove(index);
        let peer = self.peer(shard, conn)?;
        self.carry(shard, conn, to, peer)
    }

    fn carry(&mut self, shard: usize, old: ConnId, to: Place, peer: Peer) -> Option<Peer> {
        let to = usize::from(to.shard);
        let detached = self.logs[shard].detach(&mut self.shards[shard], old)?;
        self.handed_off += 1;
        self.seats.remove(shard, old);
        let conn = self.logs[to].attach(&mut self.shards[to], self.now, detached);
        self.seats.insert(to, conn, peer);
        // Whose place is needed on the way hears of it on arrival.
        for letter in &mut self.letters {
            if let (at, Input::Evict { conn: of }) = letter
                && (*at, *of) == (shard, old)
            {
                (*at, *of) = (to, conn);
            }
        }
        self.pipes[peer.0].seat = Some((to, conn));
        self.undrained.insert(to);
        Some(peer)
    }
}
