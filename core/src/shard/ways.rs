//! What this shard has on its way to others, and by whose doing: who feeds a way that is full waits until it is not, and nobody else.
//! It is the shards that count, so that it is the same between threads and between nodes: who takes something in says so.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::Shard;
use crate::envelope::{Awaited, Body, Delivery, Feeding, Place, To};
use crate::jid::{BareJid, Jid};
use crate::limits::{FLOW_NEWS, WAY_ACCOUNT_BYTES, WAY_BYTES, WAY_TAKEN_BYTES};
use crate::port::ConnId;
use crate::time::{Instant, Now};

/// From where that comes which is handled now, and by whose doing it is what comes of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// A connection of ours.
    Connection(ConnId),
    /// An account that sent a stanza: what answers it is its doing.
    Sender,
    /// Something else, behind which who says something stands.
    Other,
}

/// By whose doing something is on its way: who is to wait.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Payer {
    /// A connection of ours, which sent it.
    Connection(ConnId),
    /// A session, or an account: it asked for it, or said it before the disk had it.
    Other(Jid),
}

/// Between two shards, in both directions.
#[derive(Debug, Default)]
struct Way {
    /// What was sent, in its order.
    loads: VecDeque<Load>,
    bytes: usize,
    /// What each account has of it.
    shares: BTreeMap<BareJid, usize>,
    /// Who was told to wait, with its account, and when.
    waiting: BTreeMap<Payer, (Jid, Instant)>,
    /// What came from there and is not yet said to be taken.
    taken: usize,
}

/// Bytes of an account.
#[derive(Debug)]
struct Load {
    of: Jid,
    bytes: usize,
}

impl Way {
    fn share(&self, account: &Jid) -> usize {
        self.shares.get(account.bare()).copied().unwrap_or_default()
    }

    /// Returns how much its account has now.
    fn add(&mut self, of: Jid, bytes: usize) -> usize {
        self.bytes = self.bytes.saturating_add(bytes);
        let share = match self.shares.get_mut(of.bare()) {
            Some(share) => {
                *share = share.saturating_add(bytes);
                *share
            }
            None => {
                self.shares.insert(of.to_bare(), bytes);
                bytes
            }
        };
        match self.loads.back_mut() {
            Some(last) if last.of.bare() == of.bare() => {
                last.bytes = last.bytes.saturating_add(bytes);
            }
            Some(_) | None => self.loads.push_back(Load { of, bytes }),
        }
        share
    }

    /// So many bytes are no longer on the way: those that were sent first, or last.
    fn remove(&mut self, mut bytes: usize, end: End) {
        while bytes > 0 {
            let load = match end {
                End::First => self.loads.front_mut(),
                End::Last => self.loads.back_mut(),
            };
            let Some(load) = load else {
                return;
            };
            let part = load.bytes.min(bytes);
            bytes = bytes.saturating_sub(part);
            self.bytes = self.bytes.saturating_sub(part);
            if let Some(share) = self.shares.get_mut(load.of.bare()) {
                *share = share.saturating_sub(part);
                if *share == 0 {
                    self.shares.remove(load.of.bare());
                }
            }
            load.bytes = load.bytes.saturating_sub(part);
            if load.bytes == 0 {
                match end {
                    End::First => self.loads.pop_front(),
                    End::Last => self.loads.pop_back(),
                };
            }
        }
    }

    /// Whether this one, whose account has so much, is to be told to wait: it was not, or has waited in vain.
    fn tells(&mut self, now: Instant, payer: &Payer, account: &Jid, share: usize) -> bool {
        if self.bytes <= WAY_BYTES / 2 && share <= WAY_ACCOUNT_BYTES {
            return false;
        }
        let told = self.waiting.get(payer);
        if told.is_some_and(|(_, told)| now.since(*told) < FLOW_NEWS) {
            return false;
        }
        self.waiting.insert(payer.clone(), (account.clone(), now));
        true
    }

    /// Those who need not wait any more.
    fn free(&mut self) -> Vec<Payer> {
        if self.waiting.is_empty() || self.bytes > WAY_BYTES / 4 {
            return Vec::new();
        }
        let mut free = Vec::new();
        let waiting = core::mem::take(&mut self.waiting);
        for (payer, (account, told)) in waiting {
            match self.share(&account) > WAY_ACCOUNT_BYTES / 2 {
                true => {
                    self.waiting.insert(payer, (account, told));
                }
                false => free.push(payer),
            }
        }
        free
    }
}

/// Of a way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    First,
    Last,
}

/// The ways to all shards that anything was ever sent to or came from.
#[derive(Debug, Default)]
pub(super) struct Ways(BTreeMap<Place, Way>);

impl Ways {
    /// A connection is gone, and waits for nothing.
    pub(super) fn forget(&mut self, conn: ConnId) {
        for way in self.0.values_mut() {
            if !way.waiting.is_empty() {
                way.waiting.remove(&Payer::Connection(conn));
            }
        }
    }
}

impl Shard {
    /// What is handled from now on comes from here; returns where it came from before.
    pub(super) const fn comes_from(&mut self, source: Source) -> Source {
        core::mem::replace(&mut self.source, source)
    }

    /// A stanza goes to another shard. If the way there is full, who sends it is to wait.
    ///
    /// What it says cannot be taken back any more, so it is sent all the same: of each session that waits, one stanza is beyond the bound.
    pub(super) fn send_on(&mut self, now: Now, to: Place, delivery: Delivery) {
        let stanza = &delivery.stanza;
        let of = match (self.source, &delivery.to) {
            (Source::Sender, To::Named) => stanza.to(),
            (Source::Sender, To::Each(each)) if each.len() == 1 => each.first(),
            (Source::Connection(_) | Source::Sender | Source::Other, _) => stanza.from(),
        };
        let payer = match self.source {
            Source::Connection(conn) => Some(Payer::Connection(conn)),
            Source::Sender | Source::Other => of.cloned().map(Payer::Other),
        };
        if let (Some(of), Some(payer)) = (of.cloned(), payer) {
            let way = self.ways.0.entry(to).or_default();
            let share = way.add(of.clone(), delivery.weight());
            if way.tells(now.mono, &payer, &of, share) {
                self.wait_for_way(now, to, payer);
            }
        }
        self.fx.send(to, delivery);
    }

    fn wait_for_way(&mut self, now: Now, to: Place, payer: Payer) {
        let awaited = Awaited::Way(to);
        match payer {
            Payer::Connection(conn) => self.hold_up(now, conn, (self.place, awaited)),
            Payer::Other(feeder) => self.tell_slow(now, Feeding { feeder, awaited }),
        }
    }

    /// Stanzas of so many bytes came from another shard, which is to know.
    pub(super) fn took(&mut self, from: Place, bytes: usize) {
        let way = self.ways.0.entry(from).or_default();
        way.taken = way.taken.saturating_add(bytes);
        if way.taken >= WAY_TAKEN_BYTES {
            let taken = core::mem::take(&mut way.taken);
            self.send(from, Body::Taken(taken));
        }
    }

    /// That did not get there: it is said with the next.
    pub(super) fn took_in_vain(&mut self, from: Place, bytes: usize) {
        let way = self.ways.0.entry(from).or_default();
        way.taken = way.taken.saturating_add(bytes);
    }

    /// Another shard has taken in what it was sent first.
    pub(super) fn taken(&mut self, to: Place, bytes: usize) {
        self.clear_way(to, bytes, End::First);
    }

    /// What was sent last came back.
    pub(super) fn came_back(&mut self, to: Place, bytes: usize) {
        self.clear_way(to, bytes, End::Last);
    }

    fn clear_way(&mut self, to: Place, bytes: usize, end: End) {
        let Some(way) = self.ways.0.get_mut(&to) else {
            return;
        };
        way.remove(bytes, end);
        let awaited = Awaited::Way(to);
        for payer in way.free() {
            match payer {
                Payer::Connection(conn) => self.free(conn, (self.place, awaited)),
                Payer::Other(feeder) => self.tell_go(Feeding { feeder, awaited }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;
    use crate::arena::Arena;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).unwrap()
    }

    fn bound(way: &mut Way, name: &str, bytes: usize) -> bool {
        let session = jid(name);
        let share = way.add(session.clone(), bytes);
        way.tells(Instant(0), &Payer::Other(session.clone()), &session, share)
    }

    #[test]
    fn what_is_on_its_way_counts_for_who_sent_it_until_it_is_taken() {
        let mut way = Way::default();
        let [romeo, nurse] = ["romeo@localhost/a", "nurse@localhost/b"].map(jid);
        for (of, bytes) in [(&romeo, 10), (&nurse, 20), (&romeo, 30), (&romeo, 5)] {
            way.add(of.clone(), bytes);
        }
        assert_eq!(
            (way.bytes, way.share(&romeo), way.share(&nurse)),
            (65, 45, 20)
        );
        way.remove(15, End::First);
        assert_eq!(
            (way.bytes, way.share(&romeo), way.share(&nurse)),
            (50, 35, 15)
        );
        way.remove(10, End::Last);
        assert_eq!(
            (way.bytes, way.share(&romeo), way.share(&nurse)),
            (40, 25, 15)
        );
        way.remove(1000, End::First);
        assert_eq!(way.bytes, 0);
        assert!(way.shares.is_empty() && way.loads.is_empty());
    }

    #[test]
    fn an_account_over_its_share_waits_alone_until_half_of_that_is_taken() {
        let mut way = Way::default();
        assert!(!bound(&mut way, "romeo@localhost/a", WAY_ACCOUNT_BYTES));
        assert!(bound(&mut way, "romeo@localhost/a", 1));
        assert!(bound(&mut way, "romeo@localhost/b", 1), "its other session");
        assert!(!bound(&mut way, "nurse@localhost/b", 1000));
        assert!(way.free().is_empty());
        way.remove(WAY_ACCOUNT_BYTES / 2 + 1, End::First);
        assert!(way.free().is_empty());
        way.remove(1, End::First);
        let romeo = |session| Payer::Other(jid(&format!("romeo@localhost/{session}")));
        assert_eq!(way.free(), vec![romeo("a"), romeo("b")]);
        assert!(way.free().is_empty());
    }

    #[test]
    fn over_half_of_a_way_all_wait_that_feed_it_until_a_quarter_is_left() {
        let mut way = Way::default();
        let each = WAY_ACCOUNT_BYTES / 2;
        let mut n = 0;
        while way.bytes + each <= WAY_BYTES / 2 {
            assert!(!bound(&mut way, &format!("romeo{n}@localhost/a"), each));
            n += 1;
        }
        let rest = WAY_BYTES / 2 - way.bytes;
        assert!(!bound(&mut way, "late@localhost/a", rest));
        assert!(bound(&mut way, "nurse@localhost/b", 1));
        way.remove(way.bytes - WAY_BYTES / 4 - 1, End::First);
        assert!(way.free().is_empty());
        way.remove(1, End::First);
        assert_eq!(way.free(), vec![Payer::Other(jid("nurse@localhost/b"))]);
    }

    #[test]
    fn who_has_waited_in_vain_waits_again_when_it_goes_on() {
        let mut way = Way::default();
        let romeo = jid("romeo@localhost/a");
        let payer = Payer::Other(romeo.clone());
        let share = way.add(romeo.clone(), WAY_ACCOUNT_BYTES + 1);
        assert!(way.tells(Instant(0), &payer, &romeo, share));
        assert!(!way.tells(Instant(0), &payer, &romeo, share));
        assert!(way.tells(Instant(0) + FLOW_NEWS, &payer, &romeo, share));
    }

    #[test]
    fn a_connection_that_is_gone_is_not_let_go() {
        let mut conns = Arena::<ConnId, ()>::default();
        let conn = conns.insert(());
        let (place, romeo) = (Place { node: 0, shard: 1 }, jid("romeo@localhost/a"));
        let mut ways = Ways::default();
        let way = ways.0.entry(place).or_default();
        let share = way.add(romeo.clone(), WAY_ACCOUNT_BYTES + 1);
        assert!(way.tells(Instant(0), &Payer::Connection(conn), &romeo, share));
        ways.forget(conn);
        let way = ways.0.entry(place).or_default();
        way.remove(way.bytes, End::First);
        assert!(way.free().is_empty());
    }
}
