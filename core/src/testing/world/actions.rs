//! What the core wants done, and how it is done: the one place beside the shells.

use alloc::vec::Vec;

use super::World;
use super::pipe::{Arrival, Ended, Layer, Peer, Reading, is_white_space};
use super::policy::{Closing, Handshakes, Taking};
use crate::port::{Action, Closed, ConnId, Input, TlsSide};

impl World {
    /// Does what the core says, until it says nothing more. Whether it said anything.
    pub fn drain_all(&mut self) -> bool {
        let mut busy = false;
        loop {
            let mut quiet = true;
            for shard in 0..self.shards.len() {
                quiet &= !self.drain_shard(shard);
            }
            if quiet {
                return busy;
            }
            busy = true;
        }
    }

    pub(super) fn drain_shard(&mut self, shard: usize) -> bool {
        let mut busy = false;
        while let Some(action) = self.logs[shard].poll(&mut self.shards[shard]) {
            busy = true;
            self.carry_out(shard, action);
        }
        self.undrained.remove(&shard);
        busy
    }

    /// What a shard wants done, for a user that looks at it first and has it carried out then.
    pub fn poll_actions(&mut self, shard: usize) -> Vec<Action> {
        self.undrained.remove(&shard);
        core::iter::from_fn(|| self.logs[shard].poll(&mut self.shards[shard])).collect()
    }

    /// Does one thing that a shard wants done.
    pub fn carry_out(&mut self, shard: usize, action: Action) {
        match action {
            Action::Answer { id, result } => {
                self.answers.insert(id, result);
            }
            Action::Close { conn } => self.close(shard, conn),
            Action::Connect { conn, to } => self.open(shard, conn, to),
            Action::Derive {
                ticket,
                password,
                jobs,
            } => self.ask_workers(shard, ticket, password, jobs),
            Action::Flush { conn } => self.flush(shard, conn),
            Action::HandOff { conn, to } => self.hand_off(shard, conn, to),
            Action::Judge {
                ticket,
                account,
                password,
            } => self.ask_directory(shard, ticket, account, password),
            Action::Note(note) => self.notes.push(note),
            Action::Pause { conn } => self.set_reading(shard, conn, Reading::Paused),
            Action::Resolve { ticket, lookup } => self.ask_dns(shard, ticket, lookup),
            Action::Resume { conn } => self.set_reading(shard, conn, Reading::On),
            Action::Secure { conn, side, behind } => self.begin_tls(shard, conn, side, &behind),
            Action::Send(envelope) => self.send(*envelope),
            // Places never run out here: the user says who goes.
            Action::Standing { conn, standing } => {
                if let Some(peer) = self.peer(shard, conn) {
                    self.pipes[peer.0].standing = standing;
                }
            }
            Action::Store { ticket, batch } => self.ask_store(shard, ticket, batch),
        }
    }

    fn close(&mut self, shard: usize, conn: ConnId) {
        self.flush(shard, conn);
        let Some(peer) = self.peer(shard, conn) else {
            return;
        };
        self.flush_outside(peer);
        match self.closing {
            Closing::AtOnce => self.end(peer, Ended::Closed, Closed::Eof),
            Closing::WhenTold => {
                self.pipes[peer.0].ended.get_or_insert(Ended::Closed);
            }
        }
    }

    /// Writes what is owed to a client, as far as it takes it.
    pub(super) fn flush(&mut self, shard: usize, conn: ConnId) {
        let Some(peer) = self.peer(shard, conn) else {
            return;
        };
        match self.pipes[peer.0].taking {
            Taking::All | Taking::Counted => self.take(peer, usize::MAX),
            Taking::Halves => {
                let owed = self.shards[shard].outgoing(conn).len();
                self.take(peer, owed / 2);
                self.take(peer, owed - owed / 2);
            }
            Taking::Nothing => {}
        }
    }

    /// A client that takes nothing by itself takes this many bytes of what is owed.
    pub fn take(&mut self, peer: Peer, count: usize) {
        if let Some((shard, conn)) = self.pipes[peer.0].seat {
            let owed = self.shards[shard].outgoing(conn);
            let count = count.min(owed.len());
            let pipe = &mut self.pipes[peer.0];
            if let Some(outside) = &mut pipe.outside {
                if count > 0 {
                    outside.push_back(pipe.layer.arrival(&owed[..count]));
                }
            } else if let Some(link) = pipe.link {
                let layer = pipe.layer;
                self.pipes[link.0].pass_on(&owed[..count], layer);
            } else if pipe.taking != Taking::Counted {
                pipe.received.extend_from_slice(&owed[..count]);
            }
            self.taken += count;
            self.logs[shard].sent(&mut self.shards[shard], conn, count);
        }
    }

    fn begin_tls(&mut self, shard: usize, conn: ConnId, side: TlsSide, behind: &[u8]) {
        // Only when every byte queued before it is in the socket.
        self.flush(shard, conn);
        let Some(peer) = self.peer(shard, conn) else {
            return;
        };
        self.flush_outside(peer);
        self.pipes[peer.0].layer = Layer::Handshake;
        if self.handshakes == Handshakes::Spoken && !is_white_space(behind) {
            self.end(peer, Ended::TlsFailed, Closed::Tls);
        } else if let TlsSide::Client(asked) = side {
            self.say_hello(peer, *asked);
        }
    }

    fn set_reading(&mut self, shard: usize, conn: ConnId, reading: Reading) {
        if let Some(peer) = self.peer(shard, conn) {
            self.pipes[peer.0].reading = reading;
        }
    }

    /// The connection is over, and its shard will hear it.
    pub(super) fn end(&mut self, peer: Peer, ended: Ended, how: Closed) {
        let pipe = &mut self.pipes[peer.0];
        if pipe.ended.is_none() || pipe.seat.is_some() {
            pipe.tell_outside(Arrival::Eof);
        }
        pipe.ended.get_or_insert(ended);
        pipe.dropped |= !pipe.inbox.is_empty();
        pipe.inbox.clear();
        let link = pipe.link;
        if let Some((shard, conn)) = pipe.seat.take() {
            self.seats.remove(shard, conn);
            self.letters.push_back((shard, Input::Closed { conn, how }));
        }
        if let Some(link) = link {
            self.pipes[link.0].inbox.push_back(Arrival::Eof);
        }
    }
}
