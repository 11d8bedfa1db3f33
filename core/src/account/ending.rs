//! Sessions with resumption that are over though not all is settled that their clients sent: how much was handled is known, and remembered,
//! once that is. A client that was told less would send again what is under way.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::managed::is_same;
use super::{Account, Cx, Seldom, SessionKey};
use crate::port::ConnId;
use crate::sm::{Inbound, Old};
use crate::time::UnixTime;

/// Those of an account; who ended first is first.
#[derive(Debug, Default)]
pub(super) struct Ending(Vec<Ended>);

/// One of them.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) key: SessionKey,
    /// What it was to be resumed by.
    pub(super) id: String,
    pub(super) at: UnixTime,
    pub(super) inbound: Box<Inbound>,
    /// Its client is back on this connection, and is answered when all is settled.
    pub(super) waker: Option<ConnId>,
}

impl Ending {
    /// None.
    pub(super) const NOTHING: Self = Self(Vec::new());

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more; beyond `most` the first goes for which nobody waits.
    pub(super) fn push(&mut self, ended: Ended, most: usize) {
        self.0.push(ended);
        let mut surplus = self.0.len().saturating_sub(most);
        self.0.retain(|ended| {
            let goes = surplus > 0 && ended.waker.is_none();
            surplus = surplus.saturating_sub(usize::from(goes));
            !goes
        });
    }

    pub(super) fn inbound(&mut self, key: SessionKey) -> Option<&mut Inbound> {
        let ended = self.0.iter_mut().find(|ended| ended.key == key)?;
        Some(&mut ended.inbound)
    }

    pub(super) fn find(&self, id: &str) -> Option<SessionKey> {
        let ended = self.0.iter().find(|ended| is_same(&ended.id, id))?;
        Some(ended.key)
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        for ended in &mut self.0 {
            ended.waker.take_if(|waker| *waker == conn);
        }
    }

    fn take_settled(&mut self, key: SessionKey) -> Option<Ended> {
        let is_it = |ended: &Ended| ended.key == key && ended.inbound.is_settled();
        let at = self.0.iter().position(is_it)?;
        Some(self.0.remove(at))
    }
}

impl Account {
    /// Whether anything is under way that sessions sent which are over.
    pub(crate) fn has_unsettled(&self) -> bool {
        !self.seldom.ending.is_empty()
    }

    /// Whether this session is over, and all is settled that its client sent.
    pub(crate) fn has_ended(&self, key: SessionKey) -> bool {
        let mut ended = self.seldom.ending.0.iter();
        ended.any(|ended| ended.key == key && ended.inbound.is_settled())
    }

    /// The client of a session that is over is back on this connection, and waits to hear how many of its stanzas were handled. The one that
    /// waited for that until now comes back.
    pub(crate) fn await_end(&mut self, key: SessionKey, conn: ConnId) -> Option<ConnId> {
        let wait = |seldom: &mut Seldom| {
            let ended = seldom.ending.0.iter_mut().find(|ended| ended.key == key)?;
            ended.waker.replace(conn)
        };
        self.seldom.change(wait)?
    }

    /// That is so: it is remembered. Gives back who waits to hear it, and how many were.
    pub(crate) fn settle_end(&mut self, cx: &mut Cx<'_>, key: SessionKey) -> Option<(ConnId, u32)> {
        let take = |seldom: &mut Seldom| seldom.ending.take_settled(key);
        let ended = self.seldom.change(take)??;
        let h = ended.inbound.h();
        self.keep_old(
            cx,
            Old {
                id: ended.id.into_boxed_str(),
                ended: ended.at,
                h,
            },
        );
        Some((ended.waker?, h))
    }
}
