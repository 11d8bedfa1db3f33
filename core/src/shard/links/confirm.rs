//! Finding out what of that which was written to other servers is there, and settling it.

use alloc::boxed::Box;

use crate::envelope::{Body, Pong};
use crate::jid::Domain;
use crate::link::{Acked, Question, RemoteKey, Silence, Way};
use crate::port::ConnId;
use crate::shard::Shard;
use crate::sm::{LinkNonza, TooHigh, write_request};
use crate::stanza::Stanza;
use crate::stream::Violation;
use crate::time::Now;
use crate::xml::{Ns, Writer};

impl Shard {
    /// A stream has taken all that was written to it. Where nobody says more, it is there.
    pub(super) fn taken_by_socket(&mut self, key: RemoteKey, ours: &Domain, conn: ConnId) {
        let pair = self.pair(key, ours);
        let is_mute = pair.is_some_and(|pair| pair.way == Way::Up(conn) && pair.confirm.is_mute());
        if is_mute {
            self.confirm(key, ours, usize::MAX);
        }
    }

    /// So many of the stanzas that were written are there.
    pub(super) fn confirm(&mut self, key: RemoteKey, ours: &Domain, count: usize) {
        for _ in 0..count {
            let Some(queued) = self.pair(key, ours).and_then(|pair| pair.queue.confirm()) else {
                return;
            };
            self.arrived(&queued);
        }
    }

    /// Asks, where something is not confirmed and nobody was asked.
    pub(super) fn ask_what_is_there(
        &mut self,
        now: Now,
        key: RemoteKey,
        ours: &Domain,
        conn: ConnId,
    ) {
        let Some(pair) = self.pair(key, ours).filter(|pair| pair.is_unconfirmed()) else {
            return;
        };
        match pair.confirm.question(now.mono, pair.queue.unconfirmed()) {
            Question::None => {}
            Question::Request => self.fx.out(conn, write_request),
            Question::Ping => self.ping(now, key, ours, conn),
        }
    }

    fn ping(&mut self, now: Now, key: RemoteKey, ours: &Domain, conn: ConnId) {
        let id = self.entropy.id("ping");
        let Some(remote) = self.links.remotes.get_mut(key) else {
            return;
        };
        let theirs = remote.domain.clone();
        if let Some(pair) = remote.pairs.get_mut(ours) {
            let covers = pair.queue.unconfirmed();
            pair.confirm.pinged(now.mono, id.as_str().into(), covers);
        }
        self.fx.out(conn, |out| {
            let mut w = Writer::new(out);
            w.open("iq")
                .attribute("type", "get")
                .attribute("from", ours.as_str())
                .attribute("to", theirs.as_str())
                .attribute("id", &id);
            w.open("ping").attribute("xmlns", Ns::Ping.uri()).close();
            w.close();
        });
    }

    /// A domain has answered something that was asked in the name of one of ours, by a result or by an error. It may be a ping.
    pub(in crate::shard) fn heard_answer(&mut self, now: Now, answer: &Stanza) {
        let (Some(from), Some(to), Some(id)) = (answer.from(), answer.to(), answer.id()) else {
            return;
        };
        if from.local().is_some() || from.resource().is_some() {
            return;
        }
        let theirs = from.to_bare().to_domain();
        if self.config.hosts.contains_key(&theirs) {
            return;
        }
        let owner = self.placement.owner(theirs.as_str());
        let pong = Pong {
            ours: to.to_bare().to_domain(),
            theirs,
            id: (&*id).into(),
        };
        match owner == self.place {
            true => self.ponged(now, &pong),
            false => self.send(owner, Body::Pong(Box::new(pong))),
        }
    }

    /// The same, on the shard of the domain that answered.
    pub(in crate::shard) fn ponged(&mut self, now: Now, pong: &Pong) {
        let Some(key) = self.links.by_domain.get(&pong.theirs).copied() else {
            return;
        };
        let Some(pair) = self.pair(key, &pong.ours) else {
            return;
        };
        let there = pair.confirm.ponged(&pong.id);
        if there > 0 {
            pair.unanswered = 0;
            self.confirm(key, &pong.ours, there);
            self.tend(now, key, &pong.ours);
        }
    }

    /// What the peer of a stream that carries ours says of what it was sent.
    pub(in crate::shard) fn link_nonza(&mut self, now: Now, conn: ConnId, nonza: LinkNonza) {
        let Some((key, ours)) = self.link_on(conn) else {
            return;
        };
        let Some(pair) = self
            .pair(key, &ours)
            .filter(|pair| pair.way == Way::Up(conn))
        else {
            return;
        };
        match nonza {
            LinkNonza::Request => {}
            LinkNonza::Enabled => pair.confirm.counts(pair.queue.unconfirmed()),
            LinkNonza::Failed => {
                let unanswered = pair.unanswered;
                pair.confirm.does_not_count(unanswered);
            }
            LinkNonza::Ack(h) => match pair.confirm.acked(now.mono, h, pair.queue.unconfirmed()) {
                Acked::More(there) => self.confirm(key, &ours, there),
                Acked::Stray => {}
                Acked::TooHigh { sent } => {
                    let violation = Violation::HandledTooHigh(TooHigh { h, sent });
                    return self.fail_now(now, conn, violation);
                }
            },
        }
        self.tend(now, key, &ours);
    }

    /// Time has passed for a pair whose peer may have been asked what it has.
    pub(super) fn hear_silence(&mut self, now: Now, key: RemoteKey, ours: &Domain) {
        let way = self.pair(key, ours).map(|pair| pair.way.clone());
        let Some(Way::Up(conn)) = way else {
            return;
        };
        let is_behind = self.is_behind(conn);
        let Some(pair) = self.pair(key, ours) else {
            return;
        };
        let unconfirmed = pair.queue.unconfirmed();
        match pair.confirm.silence(now.mono, unconfirmed) {
            // `tend` asks.
            Silence::Fine | Silence::Ask => {}
            Silence::Dead if is_behind => pair.confirm.was_not_read(now.mono),
            Silence::Dead => self.fail_now(now, conn, Violation::Timeout),
            Silence::Unanswered => {
                pair.unanswered = pair.unanswered.saturating_add(1);
                let unanswered = pair.unanswered;
                pair.confirm.does_not_count(unanswered);
                let has_taken = pair.confirm.is_mute() && self.fx.outgoing(conn).is_empty();
                if has_taken {
                    self.confirm(key, ours, usize::MAX);
                }
            }
        }
    }
}
