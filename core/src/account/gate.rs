//! Who may come in to an account: the password that was verified must be the one that is good now.

use alloc::vec::Vec;

use super::{Account, Session};
use crate::port::ConnId;
use crate::sasl::SignIn;

/// What decides on those who have verified credentials.
#[derive(Debug)]
pub(super) enum Gate {
    /// The record that is good now is being read; these wait for it.
    Asking(Vec<(ConnId, SignIn)>),
    /// The hash of the credentials record that is good now, and of another one if it was of the same password.
    Open([u8; 32], Option<[u8; 32]>),
    /// Nobody comes in any more: the account goes, or may not sign in.
    Shut,
}

impl Gate {
    /// For those who were verified against this record.
    pub(super) const fn open(record: [u8; 32]) -> Self {
        Self::Open(record, None)
    }
}

/// What an account says to somebody who has verified credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admit {
    /// Come in.
    Welcome,
    /// Wait until it is known which record is good.
    Wait,
    /// The credentials are no longer good, or the account is full or leaving.
    Refuse,
}

impl Account {
    /// A connection has proven to know the password of a record.
    pub(crate) fn admit(&mut self, conn: ConnId, sign_in: &SignIn, sessions_max: usize) -> Admit {
        // Some more than the sessions, because the old session of a resource goes when the new one binds.
        let awake = self.sessions.iter().filter_map(Session::conn).count();
        let full = self.admitted.len() + awake >= sessions_max.saturating_mul(2);
        match &mut self.gate {
            Gate::Asking(waiting) if waiting.len() < sessions_max => {
                waiting.push((conn, sign_in.clone()));
                Admit::Wait
            }
            Gate::Open(good, same)
                if (*good == sign_in.record || *same == Some(sign_in.record)) && !full =>
            {
                self.admitted.push(conn);
                Admit::Welcome
            }
            Gate::Asking(_) | Gate::Open(..) | Gate::Shut => Admit::Refuse,
        }
    }

    /// Whether it must still be read which record is good.
    pub(crate) const fn asks(&self) -> bool {
        matches!(self.gate, Gate::Asking(_))
    }

    /// The hash of the record that is good came, if the account may sign in. Who waited for it is to be asked for admission again.
    pub(crate) fn opened(&mut self, record: Option<[u8; 32]>) -> Vec<(ConnId, SignIn)> {
        let Gate::Asking(waiting) = &mut self.gate else {
            return Vec::new();
        };
        let waiting = core::mem::take(waiting);
        self.gate = record.map_or(Gate::Shut, Gate::open);
        waiting
    }

    /// From now on only this record is good.
    pub(crate) fn set_record(&mut self, record: [u8; 32]) {
        if let Gate::Open(..) = self.gate {
            self.gate = Gate::open(record);
        }
    }

    /// From now on this record is good. So is the one that was, which is of the same password: who was verified against it a moment ago
    /// comes in.
    pub(crate) fn set_same_record(&mut self, record: [u8; 32]) {
        if let Gate::Open(good, _) = self.gate {
            self.gate = Gate::Open(record, Some(good));
        }
    }

    /// Nobody comes in any more.
    pub(crate) fn shut(&mut self) {
        self.gate = Gate::Shut;
    }

    /// Whether nobody will come in any more.
    pub(crate) const fn is_shut(&self) -> bool {
        matches!(self.gate, Gate::Shut)
    }

    /// Every connection that is signed in or waiting to be.
    pub(crate) fn connections(&self) -> Vec<ConnId> {
        let waiting: &[(ConnId, SignIn)] = match &self.gate {
            Gate::Asking(waiting) => waiting,
            Gate::Open(..) | Gate::Shut => &[],
        };
        let sessions = self.sessions.iter().filter_map(Session::conn);
        let waiting = waiting.iter().map(|(conn, _)| *conn);
        sessions
            .chain(self.admitted.iter().copied())
            .chain(waiting)
            .collect()
    }

    /// Whether no connection is of it.
    pub(crate) fn is_deserted(&self) -> bool {
        let waits = match &self.gate {
            Gate::Asking(waiting) => !waiting.is_empty(),
            Gate::Open(..) | Gate::Shut => false,
        };
        !waits && self.sessions.is_empty() && self.admitted.is_empty()
    }

    /// A connection has a session now, or is gone.
    pub(super) fn not_admitted(&mut self, conn: ConnId) {
        self.admitted.retain(|admitted| *admitted != conn);
        if self.admitted.is_empty() {
            self.admitted = Vec::new();
        }
    }

    /// Forgets a connection that is not a session, or not for long.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.not_admitted(conn);
        self.go_on(conn);
        self.sleep_on(conn);
        if let Gate::Asking(waiting) = &mut self.gate {
            waiting.retain(|(waiting, _)| *waiting != conn);
        }
    }
}
