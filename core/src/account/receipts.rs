//! What became of the stanzas of the account's own sessions, where those have stream management.
//!
//! A stanza is begun in the call that it is handled in (`Watch::Out`), and that call is a part of what becomes of it: done when what it said
//! goes out, which is after the disk has what it changed. Each message to be kept and each receiver is another part, done once it has
//! come to an end, whichever (`shard/receipts.rs`).

use super::{Account, AccountKey, Cx, SessionKey, Watch};
use crate::arena::ArenaKey as _;
use crate::envelope::{Place, Sender, Sent};
use crate::port::ConnId;
use crate::sm::Inbound;

impl Account {
    /// One of its sessions has sent a stanza, which this call is about. `account` is itself, in the memory of the shard at this place.
    pub(crate) fn begin(
        &mut self,
        cx: &mut Cx<'_>,
        (place, account): (Place, AccountKey),
        key: SessionKey,
    ) {
        let session = self.session(key);
        if let Some(inbound) = session.and_then(|session| session.inbound.as_mut()) {
            let sent = Sent {
                by: Sender::Session {
                    account: account.key(),
                    session: key.number(),
                },
                number: inbound.begin(),
                place,
            };
            cx.spoken.watch = Watch::Out(sent, 0);
        }
    }

    /// What the session of a stanza has counted, as long as anybody wants to know.
    pub(crate) fn inbound_of(&mut self, sent: Sent) -> Option<(SessionKey, &mut Inbound)> {
        let key = match sent.by {
            Sender::Session { session, .. } => SessionKey::of_number(session),
            Sender::Server(_) => return None,
        };
        match self.find_key(key) {
            Some(at) => {
                let session = self.sessions.get_mut(at)?;
                Some((key, session.inbound.as_deref_mut()?))
            }
            None if self.seldom.ending.is_empty() => None,
            None => Some((key, self.seldom.make().ending.inbound(key)?)),
        }
    }

    /// What a session has counted, if it has stream management.
    pub(crate) fn inbound(&mut self, key: SessionKey) -> Option<&mut Inbound> {
        self.session(key)?.inbound.as_deref_mut()
    }

    /// Whether the session on a connection has sent so much of which nobody knows yet what became that it is to wait.
    pub(crate) fn waits_for_receipts(&self, conn: ConnId) -> bool {
        let mut sessions = self.sessions.iter();
        sessions.any(|session| {
            let inbound = session.inbound.as_ref();
            session.conn() == Some(conn) && inbound.is_some_and(|inbound| inbound.holds_up())
        })
    }
}
