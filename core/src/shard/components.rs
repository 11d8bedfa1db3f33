//! Components (XEP-0114): who serves which name of ours, and what is for it. A name is of one shard, `Placement::owner`, as an account is: its
//! component's stream is brought there before it says who it is, and what is for the name comes there from all shards.
//!
//! The protocol has no acknowledgement. `Choice:` a stanza is with a component when all of it is in the socket: then a session that sent it
//! hears that it was handled, and not before. What is not in the socket when the connection goes is returned, or given to the one that takes
//! its place.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

use super::Shard;
use super::connections::Role;
use crate::envelope::{Delivery, Receipt, To};
use crate::jid::{Domain, Jid};
use crate::limits::{COMPONENT_AHEAD_BYTES, COMPONENT_QUEUE_BYTES};
use crate::port::{Action, ComponentChange, ConnId, Note, Standing};
use crate::sasl::Verdict;
use crate::stanza::{Condition, Stanza};
use crate::stream::{Shown, Stream, Violation};
use crate::time::Now;

/// Those of a shard.
#[derive(Debug, Default)]
pub(super) struct Components {
    /// Who serves a name now.
    serving: BTreeMap<Domain, ConnId>,
    /// What is for each, also for those that are about to go: something of that may still be in no socket.
    queues: BTreeMap<ConnId, Queue>,
}

/// What is for one connection of a component, in order.
#[derive(Debug, Default)]
struct Queue {
    /// Written, and perhaps not in the socket.
    written: VecDeque<Written>,
    waiting: VecDeque<Post>,
    /// Of both.
    bytes: usize,
}

/// A stanza for a component.
#[derive(Debug)]
struct Post {
    stanza: Arc<Stanza>,
    /// To whom, if the server tells it to many. Nobody waits for that.
    to: Option<Jid>,
    receipt: Option<Receipt>,
}

#[derive(Debug)]
struct Written {
    post: Post,
    /// It is in the socket once this much of the whole output is.
    end: u64,
}

impl Components {
    /// How much is in memory.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn len(&self) -> usize {
        self.serving.len() + self.queues.len()
    }
}

impl Post {
    fn size(&self) -> usize {
        size_of::<Self>() + self.stanza.size()
    }
}

impl Queue {
    /// Gives back what has no room.
    fn push(&mut self, post: Post) -> Result<(), Post> {
        let bytes = self.bytes.saturating_add(post.size());
        if bytes > COMPONENT_QUEUE_BYTES {
            return Err(post);
        }
        self.bytes = bytes;
        self.waiting.push_back(post);
        Ok(())
    }

    fn take_waiting(&mut self) -> VecDeque<Post> {
        for post in &self.waiting {
            self.bytes = self.bytes.saturating_sub(post.size());
        }
        core::mem::take(&mut self.waiting)
    }
}

impl Shard {
    /// A component wants to serve a name: it is brought to the shard that owns it, and answered there.
    pub(super) fn component_arrived(&mut self, now: Now, conn: ConnId, name: &Domain) {
        self.bring_home(now, conn, name, Stream::welcome_component);
    }

    /// A component knows the secret of its name, or does not. `Choice:` a wrong one counts as a wrong password from its address does, and
    /// beyond as many of those nobody there is told whether a secret is right: a stream has one try, and its address would have any number
    /// of streams. It does not count for the name, or anybody could keep its component out.
    pub(super) fn component_shows(&mut self, now: Now, conn: ConnId, shown: Shown) {
        let Some(attempt) = self.attempt(conn, None) else {
            return;
        };
        let limits = &self.config.limits;
        match (self.throttle.verdict(now.mono, limits, &attempt), shown) {
            (Verdict::HoldUp, _) => self.fail(now, conn, Violation::HandshakeHeldUp),
            (Verdict::Answer, Shown::Right) => self.answered(now, conn, Stream::serve),
            (Verdict::Answer, Shown::Wrong) => {
                self.count_failure(now, conn, &attempt, None);
                self.fail(now, conn, Violation::Handshake);
            }
        }
    }

    /// It has shown that it is the one. `Choice:` it takes the place of one that is there, which is mostly one that is dead and does not know
    /// it; Prosody refuses the newer one, unless told.
    pub(super) fn component_serves(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        let Some(name) = connection.stream.account().map(|name| name.to_domain()) else {
            return self.fx.bug("a component without a name");
        };
        connection.role = Role::Component(name.clone());
        let standing = Standing::Member;
        self.act(conn, Action::Standing { conn, standing });
        self.look_again(now, conn);
        let before = self.components.serving.insert(name.clone(), conn);
        let mut queue = Queue::default();
        if let Some(before) = before.and_then(|before| self.components.queues.get_mut(&before)) {
            for post in before.take_waiting() {
                queue.bytes = queue.bytes.saturating_add(post.size());
                queue.waiting.push_back(post);
            }
        }
        self.components.queues.insert(conn, queue);
        self.note_component(conn, &name, ComponentChange::Connected);
        if let Some(before) = before {
            self.fail_now(now, before, Violation::Conflict);
        }
        self.write_component(conn);
    }

    /// Something is for a component. It is of this shard.
    pub(super) fn send_component(&mut self, delivery: Delivery) {
        let Delivery {
            stanza,
            to,
            receipt,
        } = delivery;
        match to {
            To::Named => self.post_component(Post {
                stanza,
                to: None,
                receipt,
            }),
            To::Each(each) => {
                for to in each {
                    self.post_component(Post {
                        stanza: Arc::clone(&stanza),
                        to: Some(to),
                        receipt: None,
                    });
                }
            }
        }
    }

    fn post_component(&mut self, post: Post) {
        let Some(to) = post.to.as_ref().or_else(|| post.stanza.to()) else {
            return self.fx.bug("a stanza to nobody");
        };
        let Some(conn) = self.components.serving.get(to.domain()).copied() else {
            return self.return_post(&post, Condition::ServiceUnavailable);
        };
        let Some(queue) = self.components.queues.get_mut(&conn) else {
            return self.fx.bug("a component without a queue");
        };
        match queue.push(post) {
            Ok(()) => self.write_component(conn),
            Err(post) => self.return_post(&post, Condition::ResourceConstraint),
        }
    }

    /// Writes as much as its socket may have ahead.
    fn write_component(&mut self, conn: ConnId) {
        let Some(queue) = self.components.queues.get_mut(&conn) else {
            return;
        };
        let mut wrote = false;
        while self.fx.outgoing(conn).len() < COMPONENT_AHEAD_BYTES
            && let Some(post) = queue.waiting.pop_front()
        {
            self.fx.out(conn, |out| match &post.to {
                Some(to) => post.stanza.write_to(Some(to), out),
                None => post.stanza.write(out),
            });
            let end = self.fx.end(conn);
            queue.written.push_back(Written { post, end });
            wrote = true;
        }
        if wrote {
            self.fx.watch(conn);
        }
    }

    /// Its socket has taken all that was written.
    pub(super) fn component_drained(&mut self, conn: ConnId) {
        self.component_took(conn);
        self.write_component(conn);
    }

    /// What is in its socket has come to its end.
    fn component_took(&mut self, conn: ConnId) {
        let taken = self.fx.taken(conn);
        while let Some(queue) = self.components.queues.get_mut(&conn)
            && let Some(written) = queue.written.pop_front_if(|written| written.end <= taken)
        {
            let post = written.post;
            queue.bytes = queue.bytes.saturating_sub(post.size());
            self.settle_unheard(&post.stanza, post.receipt);
        }
    }

    /// Its stream is over. What was not written is returned, if nobody has taken its place; what was may still get there.
    pub(super) fn leave_component(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        let Role::Component(name) = &connection.role else {
            return;
        };
        let name = name.clone();
        connection.role = Role::Stranger;
        let standing = Standing::Stranger;
        self.act(conn, Action::Standing { conn, standing });
        let is_replaced = self.components.serving.get(&name) != Some(&conn);
        if !is_replaced {
            self.components.serving.remove(&name);
        }
        self.note_component(
            conn,
            &name,
            match is_replaced {
                true => ComponentChange::Replaced,
                false => ComponentChange::Gone,
            },
        );
        let queue = self.components.queues.get_mut(&conn);
        let waiting = queue.map(Queue::take_waiting).unwrap_or_default();
        for post in waiting {
            self.return_post(&post, Condition::ServiceUnavailable);
        }
    }

    /// Its connection is gone: what had not come into the socket whole has not come to it.
    pub(super) fn component_gone(&mut self, conn: ConnId) {
        self.leave_component(conn);
        self.component_took(conn);
        let Some(queue) = self.components.queues.remove(&conn) else {
            return;
        };
        for Written { post, .. } in queue.written {
            self.return_post(&post, Condition::ServiceUnavailable);
        }
    }

    /// It does not get there, which its author is told.
    fn return_post(&mut self, post: &Post, condition: Condition) {
        // Nobody waits for what the server tells to many.
        if post.to.is_some() {
            return;
        }
        self.refuse(&post.stanza, condition);
        match post.receipt {
            // What an account says about a subscription it says again another time.
            Some(Receipt::Said(_)) | None => {}
            Some(Receipt::Sent(sent)) => self.fx.handled(sent),
        }
    }

    /// For the log.
    pub(super) fn note_component(&mut self, conn: ConnId, name: &Domain, change: ComponentChange) {
        if let Some(peer) = self.peer(conn) {
            self.fx.note(Note::Component {
                conn,
                peer,
                name: name.clone(),
                change,
            });
        }
    }
}
