//! What the core asks for, done.

use std::net::SocketAddr;

use spondee_core::port::{
    Action, Closed, ConnId, ConnectError, Input, LookupError, Opening, Resolved, TlsSide,
};
use spondee_core::sasl::Judgement;

use super::conn::{Conn, why_not};
use super::conns::find;
use super::{Actions, Sockets, Thread};
use crate::dns::Busy;
use crate::ldap::Unasked;
use crate::link::{First, Link};
use crate::listen;
use crate::note;

impl<S: Sockets> Thread<S> {
    /// Does all the core asks for. Writing comes after it, so that a connection is written once for all that was handled.
    pub(super) fn carry_out(&mut self) {
        while let Some(action) = self.core.shard.poll_action() {
            self.core.counters.actions.add(1);
            self.act(action);
        }
        self.core.actions = Actions::Drained;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Answer { id, result } => self.shared.control.answer(id, result),
            Action::Close { conn } => self.close(conn),
            Action::Connect { conn, to } => self.connect(conn, to),
            Action::Flush { conn } => self.list_write(conn),
            Action::HandOff { conn, to } => {
                // Not read until it has arrived.
                self.pause(conn);
                self.moving.push((conn, to));
            }
            Action::Note(what) => note::log(&what),
            Action::Pause { conn } => self.pause(conn),
            Action::Resume { conn } => self.resume(conn),
            Action::Secure { conn, side, behind } => self.secure(conn, side, behind),
            Action::Send(envelope) => {
                self.core.counters.crossed.add(envelope.body.copies());
                if let Err(envelope) = self.mesh.send(envelope) {
                    self.refused.push(Input::Undeliverable(*envelope));
                }
            }
            Action::Standing { conn, standing } => self.stand(conn, standing),
            question @ (Action::Derive { .. }
            | Action::Judge { .. }
            | Action::Resolve { .. }
            | Action::Store { .. }) => {
                if let Some(refusal) = self.ask(question) {
                    self.refused.push(refusal);
                }
            }
        }
    }

    /// Asks whoever answers such questions. What the core is told if that is refused.
    fn ask(&self, question: Action) -> Option<Input<'static>> {
        let (mailbox, shared) = (&self.mailbox, &self.shared);
        match question {
            Action::Derive {
                ticket,
                password,
                jobs,
            } => {
                let asked = shared.workers.derive(mailbox, ticket, password, jobs);
                let keys = Err(asked.err()?);
                Some(Input::Derived { ticket, keys })
            }
            Action::Judge {
                ticket,
                account,
                password,
            } => {
                let asked = shared
                    .directories
                    .judge(mailbox, ticket, &account, password);
                let Unasked = asked.err()?;
                let judgement = Judgement::None;
                Some(Input::Judged { ticket, judgement })
            }
            Action::Resolve { ticket, lookup } => {
                let Busy = shared.names.resolve(mailbox, ticket, lookup).err()?;
                let outcome = Resolved::Failed(LookupError::Busy);
                Some(Input::Resolved { ticket, outcome })
            }
            Action::Store { ticket, batch } => {
                let outcome = Err(shared.store.submit(mailbox, ticket, batch).err()?);
                Some(Input::Stored { ticket, outcome })
            }
            Action::Answer { .. }
            | Action::Close { .. }
            | Action::Connect { .. }
            | Action::Flush { .. }
            | Action::HandOff { .. }
            | Action::Note(_)
            | Action::Pause { .. }
            | Action::Resume { .. }
            | Action::Secure { .. }
            | Action::Send(_)
            | Action::Standing { .. } => None,
        }
    }

    /// A connection of ours takes a place as one of theirs does. It is never chosen to make room.
    fn connect(&mut self, conn: ConnId, to: SocketAddr) {
        let opened = match self.shared.permits.take() {
            None => Err(ConnectError::Exhausted),
            Some(permit) => match self.sockets.connect(to) {
                Ok(socket) => Ok((socket, permit)),
                Err(error) => Err(why_not(&error)),
            },
        };
        match opened {
            Ok((socket, permit)) => {
                // What of that fails the connection itself tells.
                let _ = listen::prepare(&socket);
                self.admit(Conn::new(conn, socket, Link::connecting(), permit));
            }
            Err(why) => {
                let how = Closed::Unconnected(why);
                self.refused.push(Input::Closed { conn, how });
            }
        }
    }

    fn secure(&mut self, conn: ConnId, side: TlsSide, behind: Vec<u8>) {
        let (pump, first) = match side {
            TlsSide::Server(server) => {
                let pump = self.pump(Some(server.host), Opening::Clear, server.protocol);
                (Ok(pump), First::Peer)
            }
            TlsSide::Client(client) => {
                let pump = self.shared.outgoing.pump(&client, &self.shared.tls);
                (pump, First::We)
            }
        };
        match (pump, find(&mut self.conns, conn)) {
            (Ok(pump), Some(there)) => {
                there.link.secure(pump, behind, first);
                self.list_write(conn);
            }
            (Err(error), Some(_)) => {
                note::tls_failed(self.core.shard.peer(conn), &error.message);
                self.drop_conn(conn, Closed::Tls);
            }
            (_, None) => {}
        }
    }
}
