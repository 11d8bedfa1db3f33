//! A few connections to a directory, kept while they are in use.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::connection::Connection;
use crate::limits::{LDAP_CONNECTIONS, LDAP_IDLE};

#[derive(Debug, Default)]
pub(super) struct Pool {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The one used last is last.
    idle: Vec<(Connection, Instant)>,
    busy: usize,
}

/// The right to have a connection. Given up when dropped.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Pool {
    /// Waits for a slot. One in use lately comes with it, if there is one.
    ///
    /// # Errors
    /// Why there was none in time.
    pub(super) fn slot(&self, deadline: Instant) -> Result<Slot<'_>, String> {
        let mut state = self.lock();
        while state.busy >= LDAP_CONNECTIONS {
            let now = Instant::now();
            if now >= deadline {
                return Err(format!(
                    "the directory is slow: all {LDAP_CONNECTIONS} connections to it wait for answers"
                ));
            }
            let waited = self.freed.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.busy += 1;
        let latest = state.idle.pop();
        let old = match &latest {
            // Then all are: servers close what nobody uses, and so do we.
            None => Vec::new(),
            Some((_, since)) if since.elapsed() < LDAP_IDLE => Vec::new(),
            Some(_) => std::mem::take(&mut state.idle),
        };
        drop(state);
        drop(old);
        let connection = latest
            .filter(|(_, since)| since.elapsed() < LDAP_IDLE)
            .map(|(connection, _)| connection);
        Ok(Slot {
            pool: self,
            connection,
        })
    }

    /// What is locked is consistent between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// The connection that came with it.
    pub(super) const fn take(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    /// This one can be used again.
    pub(super) fn keep(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.busy -= 1;
        if let Some(connection) = self.connection.take() {
            state.idle.push((connection, Instant::now()));
        }
        drop(state);
        self.pool.freed.notify_one();
    }
}
