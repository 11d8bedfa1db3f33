//! Ending sessions of an account by an administrator's command: all of them, or the one of a resource.

use alloc::vec::Vec;

use super::Shard;
use super::inbox::Errand;
use crate::account::AccountKey;
use crate::jid::{BareJid, Resource};
use crate::port::{CommandError, CommandReply, Note};
use crate::store::Row;
use crate::stream::Violation;
use crate::time::Now;
use crate::wait::Requester;

impl Shard {
    /// The record is here: the owner is asked, behind all that came before. One that is not in memory has no session.
    pub(super) fn disconnect(
        &mut self,
        now: Now,
        by: Requester,
        account: &BareJid,
        row: Option<Row>,
        resource: Option<Resource>,
    ) {
        let is_known = row.is_some() || self.is_guest(account) && self.present(account).is_some();
        if !is_known {
            self.finish(now, by, account, Err(CommandError::NoSuchUser));
        } else if self.present(account).is_some() {
            self.send_errand(now, by, account, Errand::Disconnect(resource));
        } else {
            self.disconnected(now, by, account, resource.as_ref(), 0);
        }
    }

    /// The owner can act.
    pub(super) fn disconnect_owner(
        &mut self,
        now: Now,
        key: AccountKey,
        by: Requester,
        resource: Option<Resource>,
    ) {
        let Some(owner) = self.owners.get(key) else {
            return self.fx.bug("an account whose sessions are to end is gone");
        };
        let account = owner.account.jid().clone();
        let sessions = owner.account.sessions();
        let ended = match &resource {
            None => {
                let sessions = sessions.len();
                // With those that are asleep, and those that have signed in and have no resource yet.
                self.end_all(now, key, Violation::Disconnected);
                sessions
            }
            Some(resource) => {
                let name = Some(resource.as_str());
                let named = sessions.iter().filter(|s| s.jid.resource() == name);
                let ends: Vec<_> = named.map(|s| (s.key, s.conn())).collect();
                for (session, conn) in &ends {
                    match conn {
                        Some(conn) => self.fail_now(now, *conn, Violation::Disconnected),
                        None => self.run_die(now, key, *session),
                    }
                }
                ends.len()
            }
        };
        self.disconnected(now, by, &account, resource.as_ref(), ended);
    }

    /// So many are over.
    fn disconnected(
        &mut self,
        now: Now,
        by: Requester,
        account: &BareJid,
        resource: Option<&Resource>,
        sessions: usize,
    ) {
        let result = match (resource, sessions) {
            (Some(_), 0) => Err(CommandError::NoSuchSession),
            (Some(_) | None, _) => Ok(CommandReply::Disconnected { sessions }),
        };
        if sessions > 0 {
            self.fx.note(Note::Disconnected {
                account: account.clone(),
                sessions,
            });
        }
        self.finish(now, by, account, result);
    }
}
