//! What a turn leaves behind: actions for the shell, bytes owed to peers, stanzas still to be routed.
//!
//! The output of all connections lives here and not in their streams, so that an account can write to its sessions while it
//! knows nothing of streams.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::arena::ArenaKey as _;
use crate::jid::Jid;
use crate::limits::{SPARE_BUFFERS, SPARE_CAPACITY};
use crate::port::{Action, ConnId, Note};
use crate::stanza::Stanza;

/// Output of one connection.
#[derive(Debug)]
struct Out {
    conn: ConnId,
    bytes: Vec<u8>,
    flush: Flush,
}

/// Whether the shell knows that there is output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flush {
    Idle,
    Queued,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Effects {
    actions: VecDeque<Action>,
    outs: Vec<Option<Out>>,
    routes: VecDeque<Stanza>,
    overflowed: Vec<ConnId>,
    spare: Vec<Vec<u8>>,
    queue_bytes: usize,
}

impl Effects {
    /// `queue_bytes` is what a session's peer may leave unread.
    pub(crate) const fn new(queue_bytes: usize) -> Self {
        Self {
            actions: VecDeque::new(),
            outs: Vec::new(),
            routes: VecDeque::new(),
            overflowed: Vec::new(),
            spare: Vec::new(),
            queue_bytes,
        }
    }

    /// From now on, `queue_bytes` is what a session's peer may leave unread.
    pub(crate) const fn limit_queues(&mut self, queue_bytes: usize) {
        self.queue_bytes = queue_bytes;
    }

    /// Gives a new connection its output, with what it already owes.
    pub(crate) fn open(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let index = conn.key().index();
        if self.outs.len() <= index {
            self.outs.resize_with(index + 1, || None);
        }
        let owes = !bytes.is_empty();
        if let Some(slot) = self.outs.get_mut(index) {
            *slot = Some(Out {
                conn,
                bytes,
                flush: Flush::Idle,
            });
        }
        if owes {
            self.out(conn, |_| {});
        }
    }

    /// Takes the output of a connection that goes away.
    pub(crate) fn close(&mut self, conn: ConnId) -> Vec<u8> {
        match self.outs.get_mut(conn.key().index()) {
            Some(slot) if slot.as_ref().is_some_and(|out| out.conn == conn) => {
                slot.take().map(|out| out.bytes).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// Writes to a connection; queues one `Flush` for each drain. Does nothing for a dead one.
    pub(crate) fn out(&mut self, conn: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(Some(out)) = self.outs.get_mut(conn.key().index()) else {
            return;
        };
        if out.conn != conn {
            return;
        }
        if out.bytes.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            out.bytes = spare;
        }
        write(&mut out.bytes);
        if out.flush == Flush::Idle && !out.bytes.is_empty() {
            out.flush = Flush::Queued;
            self.actions.push_back(Action::Flush { conn });
        }
    }

    /// Writes a stanza to a session's peer.
    pub(crate) fn deliver(&mut self, conn: ConnId, stanza: &Stanza) {
        self.deliver_to(conn, stanza, stanza.to());
    }

    /// Writes a stanza addressed to `to`. Over the bound, the session is put down for closing instead.
    pub(crate) fn deliver_to(&mut self, conn: ConnId, stanza: &Stanza, to: Option<&Jid>) {
        let limit = self.queue_bytes;
        let mut full = false;
        self.out(conn, |bytes| {
            if bytes.len().saturating_add(stanza.size()) > limit {
                full = true;
            } else {
                stanza.write_to(to, bytes);
            }
        });
        if full && !self.overflowed.contains(&conn) {
            self.overflowed.push(conn);
        }
    }

    /// Bytes owed.
    pub(crate) fn outgoing(&self, conn: ConnId) -> &[u8] {
        match self.outs.get(conn.key().index()) {
            Some(Some(out)) if out.conn == conn => &out.bytes,
            _ => &[],
        }
    }

    /// Retires a prefix. An empty buffer goes back to the shard's pool: an idle connection keeps none.
    pub(crate) fn sent(&mut self, conn: ConnId, count: usize) {
        let Some(Some(out)) = self.outs.get_mut(conn.key().index()) else {
            return;
        };
        if out.conn != conn {
            return;
        }
        if count < out.bytes.len() {
            out.bytes.drain(..count);
            return;
        }
        let mut bytes = core::mem::take(&mut out.bytes);
        if self.spare.len() < SPARE_BUFFERS && bytes.capacity() <= SPARE_CAPACITY {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// A stanza, `from` and `to` set, to be routed before the turn's input is done with.
    pub(crate) fn route(&mut self, stanza: Stanza) {
        self.routes.push_back(stanza);
    }

    /// The next stanza to route.
    pub(crate) fn next_route(&mut self) -> Option<Stanza> {
        self.routes.pop_front()
    }

    /// The next session whose queue is full.
    pub(crate) fn next_overflowed(&mut self) -> Option<ConnId> {
        self.overflowed.pop()
    }

    /// Something for the shell to do.
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// Something for the log.
    pub(crate) fn note(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }

    /// Drains. A connection may be flushed again once its `Flush` was handed out.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        loop {
            let action = self.actions.pop_front()?;
            let Action::Flush { conn } = &action else {
                return Some(action);
            };
            // The connection may have been detached or closed since.
            if let Some(Some(out)) = self.outs.get_mut(conn.key().index())
                && out.conn == *conn
            {
                out.flush = Flush::Idle;
                return Some(action);
            }
        }
    }
}
