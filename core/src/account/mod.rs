//! One account on the shard that owns it: its sessions, and the rules for what they send and receive.
//!
//! What a call says is a value on its `Cx` until the call ends; knows nothing of streams, sockets or other accounts.

mod choose;
mod cx;
mod deliver;
mod iq;
mod pipeline;
mod presence;
mod session;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use crate::arena::arena_key;
use crate::jid::BareJid;
use crate::port::ConnId;

pub(crate) use cx::{Cx, Saying};
pub(crate) use deliver::{Manner, nobody};
pub(crate) use iq::answer;
pub(crate) use session::{Binding, Session, SessionKey};

arena_key! {
    /// Names an account in memory; dead once the account is dropped, whoever comes back under the same name.
    pub(crate) AccountKey;
}

/// An account somebody is signed in to, or about to be.
#[derive(Debug)]
pub(crate) struct Account {
    jid: BareJid,
    state: State,
    /// Signed in, no resource yet.
    admitted: Vec<ConnId>,
    sessions: Vec<Session>,
    last_session: SessionKey,
}

#[derive(Debug)]
enum State {
    /// Its data is being read; these wait for it, each with the record it verified against.
    Loading(Vec<(ConnId, [u8; 32])>),
    /// In memory. The hash of the credentials record that is good now.
    Ready([u8; 32]),
    /// Being deleted: nobody comes in until the purge is done and this key is dead.
    Leaving,
}

/// What an account says to somebody who has verified credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admit {
    /// Come in.
    Welcome,
    /// Wait until it is loaded.
    Wait,
    /// The credentials are no longer good, or the account is full or leaving.
    Refuse,
}

impl Account {
    /// An account that must still be loaded.
    pub(crate) fn loading(jid: BareJid) -> Self {
        Self {
            jid,
            state: State::Loading(Vec::new()),
            admitted: Vec::new(),
            sessions: Vec::new(),
            last_session: SessionKey::default(),
        }
    }

    /// An account whose credentials record has this hash.
    pub(crate) fn ready(jid: BareJid, record: [u8; 32]) -> Self {
        Self {
            jid,
            state: State::Ready(record),
            admitted: Vec::new(),
            sessions: Vec::new(),
            last_session: SessionKey::default(),
        }
    }

    pub(crate) const fn jid(&self) -> &BareJid {
        &self.jid
    }

    /// A connection has proven to know the password of `record`.
    pub(crate) fn admit(&mut self, conn: ConnId, record: [u8; 32], sessions_max: usize) -> Admit {
        // Some more than the sessions, because the old session of a resource goes when the new one binds.
        let full = self.admitted.len() + self.sessions.len() >= sessions_max.saturating_mul(2);
        match &mut self.state {
            State::Loading(waiting) if waiting.len() < sessions_max => {
                waiting.push((conn, record));
                Admit::Wait
            }
            State::Ready(good) if *good == record && !full => {
                self.admitted.push(conn);
                Admit::Welcome
            }
            State::Loading(_) | State::Ready(_) | State::Leaving => Admit::Refuse,
        }
    }

    /// Its data came: the hash of its record, if it may sign in. Who waited is to be asked for admission again.
    pub(crate) fn loaded(&mut self, record: Option<[u8; 32]>) -> Vec<(ConnId, [u8; 32])> {
        let State::Loading(waiting) = &mut self.state else {
            return Vec::new();
        };
        let waiting = core::mem::take(waiting);
        self.state = record.map_or(State::Leaving, State::Ready);
        waiting
    }

    /// From now on only this record is good.
    pub(crate) fn set_record(&mut self, record: [u8; 32]) {
        if let State::Ready(good) = &mut self.state {
            *good = record;
        }
    }

    /// Nobody comes in any more.
    pub(crate) fn leave(&mut self) {
        self.state = State::Leaving;
    }

    /// Every connection that is signed in or waiting to be.
    pub(crate) fn connections(&self) -> Vec<ConnId> {
        let waiting: &[(ConnId, [u8; 32])] = match &self.state {
            State::Loading(waiting) => waiting,
            State::Ready(_) | State::Leaving => &[],
        };
        let sessions = self.sessions.iter().map(Session::conn);
        let waiting = waiting.iter().map(|(conn, _)| *conn);
        sessions
            .chain(self.admitted.iter().copied())
            .chain(waiting)
            .collect()
    }

    /// Whether nothing keeps it in memory.
    pub(crate) fn is_idle(&self) -> bool {
        let loading = matches!(&self.state, State::Loading(_));
        !loading && self.sessions.is_empty() && self.admitted.is_empty()
    }

    /// Forgets a connection that is not a session.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.admitted.retain(|admitted| *admitted != conn);
        if let State::Loading(waiting) = &mut self.state {
            waiting.retain(|(waiting, _)| *waiting != conn);
        }
    }
}
