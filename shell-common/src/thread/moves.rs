//! Connections on their way from one thread to another.

use spondee_core::shard::Detached;

use super::conn::Conn;
use super::conns::find;
use super::{Actions, Sockets, Thread};
use crate::permits::Claim;

/// A connection between two threads.
#[derive(Debug)]
pub struct Moved<T> {
    conn: Conn<T>,
    detached: Detached,
}

impl<S: Sockets> Thread<S> {
    pub(super) fn attach(&mut self, moved: Moved<S::Socket>) {
        let Moved { mut conn, detached } = moved;
        let id = self.core.shard.attach(self.core.now, detached);
        self.core.actions = Actions::Due;
        conn.moved(id);
        let claim = conn.permit.settle(&self.mailbox, id);
        self.admit(conn);
        match claim {
            Claim::Good => {}
            // Chosen when it was on its way, where it could not be told.
            Claim::Revoked => self.evict(id),
        }
        // Output that was not written at the other shard is not announced again.
        self.list_write(id);
    }

    /// Sends connections to their shards as far as there is room.
    pub(super) fn hand_off(&mut self) {
        for (id, to) in std::mem::take(&mut self.moving) {
            if find(&mut self.conns, id).is_none() {
                continue;
            }
            if !self.mesh.has_room(to) {
                self.moving.push((id, to));
                continue;
            }
            self.core.actions = Actions::Due;
            // `None`: it is being closed instead.
            let Some(detached) = self.core.shard.detach(id) else {
                continue;
            };
            let Some(mut conn) = self.take(id) else {
                continue;
            };
            if let Err(error) = self.sockets.unwatch(&mut conn.socket) {
                if self.shared.permits.may_complain(self.core.now.mono) {
                    tracing::warn!("cannot give a connection away: {error}");
                }
                continue;
            }
            self.core.counters.moved.add(1);
            self.mesh.hand_off(to, Box::new(Moved { conn, detached }));
        }
    }
}
