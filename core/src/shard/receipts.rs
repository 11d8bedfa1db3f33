//! What became of the stanzas of sessions with stream management: told by whoever answers for a part of it, once, to the session that sent it.
//!
//! A receipt goes with a message wherever that goes: to the receiver's shard, into an inbox, into a batch of messages. It comes back when the
//! message has come to its end there, whichever that is: on the disk, not on the disk and never to be, with a session, refused, of no
//! account. What is not on the disk yet holds it; what is offered or done again keeps it. So each is said once, and none before the disk.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Shard;
use crate::account::{AccountKey, SessionKey};
use crate::arena::ArenaKey as _;
use crate::due::Due;
use crate::envelope::{Place, Receipt, Sender, Sent};
use crate::limits::RECEIPTS_AGAIN;
use crate::port::ConnId;
use crate::sm::{Handled, Inbound};
use crate::stanza::{Condition, Stanza};
use crate::time::Now;

/// What is to be told to sessions.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// What could not be told to other shards. Bounded by what their sessions may have sent (`UNSETTLED_MAX`).
    returned: BTreeMap<Place, Vec<Sent>>,
    /// Sessions of ours whose clients are to hear in this turn that more is settled.
    due: Vec<(AccountKey, SessionKey)>,
    /// Servers of which the same is true.
    due_servers: Vec<ConnId>,
}

impl Shard {
    /// A stanza has come to its end here, and who sent it was told if that is due. Who told a contact something says it again, until that
    /// has it on disk.
    pub(super) fn done_with(&mut self, receipt: Option<Receipt>) {
        match receipt {
            Some(Receipt::Sent(sent)) => self.fx.handled(sent),
            Some(Receipt::Said(_)) | None => {}
        }
    }

    /// The same of all of these.
    pub(super) fn all_handled(&mut self, receipts: impl IntoIterator<Item = Sent>) {
        for sent in receipts {
            self.fx.handled(sent);
        }
    }

    /// Nothing comes of a stanza, which its sender is told, unless it says it again by itself.
    pub(super) fn refuse_unless_said(
        &mut self,
        stanza: &Stanza,
        condition: Condition,
        receipt: Option<Receipt>,
    ) {
        match receipt {
            Some(Receipt::Said(_)) => {}
            Some(Receipt::Sent(_)) | None => {
                self.refuse(stanza, condition);
                self.done_with(receipt);
            }
        }
    }

    /// A part of what a session of ours sent is done. One that is over need not know.
    pub(super) fn handled(&mut self, now: Now, sent: Sent) {
        let key = match sent.by {
            Sender::Session { account, .. } => AccountKey::from_key(account),
            Sender::Server(conn) => {
                return self.handled_remote(ConnId::from_key(conn), sent.number);
            }
        };
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        let Some((session, inbound)) = owner.account.inbound_of(sent) else {
            return;
        };
        let held_up = inbound.holds_up();
        match inbound.handled(sent.number) {
            Handled::Stray => self.fx.bug("a stanza has come to its end twice"),
            Handled::Waits => {}
            Handled::Moved => {
                if inbound.falls_due() {
                    self.receipts.due.push((key, session));
                }
                let (goes_on, settled) = (held_up && !inbound.holds_up(), inbound.is_settled());
                if let Some(conn) = owner.account.conn_of(session).filter(|_| goes_on) {
                    self.freed.push_back(conn);
                }
                if settled {
                    // Its client may have come back, and wait to hear so.
                    self.wake(now, key, session);
                    self.settle_end(now, key, session);
                }
            }
        }
    }

    /// Clients that wait for it hear how many of their stanzas are settled by now.
    #[inline]
    pub(super) fn acknowledge_all(&mut self) {
        // Asked for each action, and hardly ever so.
        if !self.receipts.due.is_empty() || !self.receipts.due_servers.is_empty() {
            self.acknowledge_those_due();
        }
    }

    /// A part of what another server sent is done. One that is gone need not know.
    fn handled_remote(&mut self, conn: ConnId, number: u32) {
        let connection = self.connections.get_mut(conn);
        let Some(inbound) = connection.and_then(|connection| connection.stream.counted()) else {
            return;
        };
        let held_up = inbound.holds_up();
        match inbound.handled(number) {
            Handled::Stray => self
                .fx
                .bug("a stanza of a server has come to its end twice"),
            Handled::Waits => {}
            Handled::Moved => {
                if inbound.falls_due() {
                    self.receipts.due_servers.push(conn);
                }
                if held_up && !inbound.holds_up() {
                    self.freed.push_back(conn);
                }
            }
        }
    }

    fn acknowledge_those_due(&mut self) {
        for conn in core::mem::take(&mut self.receipts.due_servers) {
            let connection = self.connections.get_mut(conn);
            let counted = connection.and_then(|connection| connection.stream.counted());
            if let Some(settled) = counted.and_then(Inbound::tell) {
                self.fx.acknowledge(conn, settled);
            }
        }
        for (key, session) in core::mem::take(&mut self.receipts.due) {
            let Some(owner) = self.owners.get_mut(key) else {
                continue;
            };
            let inbound = owner.account.inbound(session);
            let settled = inbound.and_then(|inbound| inbound.tell());
            if let (Some(settled), Some(conn)) = (settled, owner.account.conn_of(session)) {
                self.fx.acknowledge(conn, settled);
            }
        }
    }

    /// The way to another shard was full: its sessions hear of it a little later.
    pub(super) fn receipts_came_back(&mut self, now: Now, to: Place, receipts: Vec<Sent>) {
        let returned = self.receipts.returned.entry(to).or_default();
        returned.extend(receipts);
        self.timers.set(Due::Receipts(to), now.mono, RECEIPTS_AGAIN);
    }

    /// That while is over.
    pub(super) fn say_receipts_again(&mut self, to: Place) {
        let returned = self.receipts.returned.remove(&to);
        self.all_handled(returned.unwrap_or_default());
    }
}
