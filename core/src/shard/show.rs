//! What there is to know of an account. It is asked of its owner, who alone knows its sessions; an account that is not in memory comes in
//! for it, whether it may sign in or not.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::vec::Vec;

use super::commands::change_of;
use super::inbox::Errand;
use super::{NAMELESS, Shard};
use crate::account::{AccountKey, Session};
use crate::jid::{BareJid, Domain};
use crate::limits::LIST_MAX;
use crate::port::{CommandError, CommandReply, Device, Line, UserDetails, UserEntry};
use crate::sasl::{CREDENTIALS, Credentials, Form, Status};
use crate::store::{Op, Reply, Row};
use crate::time::Now;
use crate::wait::{CommandStep, Requester};

impl Shard {
    /// The record is here: the owner is asked for the rest. Nothing changes the record until the command is answered.
    pub(super) fn show(&mut self, now: Now, by: Requester, account: &BareJid, row: Option<Row>) {
        let Some(row) = row else {
            return self.finish(now, by, account, Err(CommandError::NoSuchUser));
        };
        let status = Credentials::status_of(&row);
        let form = self.form_of(account, &row);
        self.send_errand(now, by, account, Errand::Show(status, form));
    }

    pub(super) fn list(
        &mut self,
        now: Now,
        by: Requester,
        host: &Domain,
        after: Option<BareJid>,
        limit: u32,
    ) {
        if self.config.accounts(host).is_none() {
            return self.reply(now, by, Err(CommandError::NoSuchHost));
        }
        let owners = Op::Owners {
            table: &CREDENTIALS,
            after,
            limit: limit.clamp(1, LIST_MAX),
        };
        let batch = change_of(BareJid::of_domain(host), owners);
        self.ask(by, None, batch, CommandStep::List);
    }

    /// Lines of a list.
    pub(super) fn users(&self, replies: Vec<Reply>) -> CommandReply {
        let mut users = Vec::new();
        for reply in replies {
            if let Reply::Owners(owners) = reply {
                users.extend(owners.into_iter().map(|(account, row)| UserEntry {
                    status: Credentials::status_of(&row),
                    password: self.form_of(&account, &row),
                    account,
                }));
            }
        }
        CommandReply::Users(users)
    }

    /// What is kept of an account's password, if that is of any meaning.
    fn form_of(&self, account: &BareJid, row: &Row) -> Form {
        match self.is_judged_elsewhere(account) {
            true => Form::Elsewhere,
            false => Credentials::form_of(row),
        }
    }

    /// Whether an account that is not there can come in. One that could not be read or deleted, and is in memory only because this command
    /// waited behind another, leaves it for that.
    pub(super) fn is_free(&mut self, account: &BareJid) -> bool {
        let Some(key) = self.by_name.get(account.as_str()).copied() else {
            return true;
        };
        let Some(owner) = self.owners.get(key) else {
            self.fx.bug(NAMELESS);
            return true;
        };
        let deserted = owner.account.is_deserted();
        if deserted {
            self.let_go(key);
        }
        deserted
    }

    /// The owner can answer: what is in memory is what is on disk.
    pub(super) fn show_owner(
        &mut self,
        now: Now,
        key: AccountKey,
        by: Requester,
        (status, password): (Status, Form),
    ) {
        let Some(owner) = self.owners.get(key) else {
            return self.fx.bug("an account that is to be shown is gone");
        };
        let sessions = owner.account.sessions();
        let devices = sessions.iter().filter_map(|s| self.device(now, s));
        let devices: Vec<_> = devices.collect();
        let is_whole = devices.len() == sessions.len();
        let details = UserDetails {
            status,
            password,
            contacts: owner.account.contacts(),
            last_activity: owner.account.last_activity(now),
            devices,
        };
        let account = owner.account.jid().clone();
        if !is_whole {
            self.fx.bug("a session without a resource or a connection");
        }
        let reply = CommandReply::User(Box::new(details));
        self.finish(now, by, &account, Ok(reply));
    }

    fn device(&self, now: Now, session: &Session) -> Option<Device> {
        let (peer, line) = match (session.conn(), session.sleep()) {
            (Some(conn), _) => {
                let unread = self.fx.outgoing(conn).len();
                (self.connections.get(conn)?.peer, Line::Here { unread })
            }
            (None, Some(sleep)) => {
                let lasted = now.mono.since(sleep.since);
                let line = Line::Asleep {
                    lasted,
                    left: sleep.max.saturating_sub(lasted),
                    waiting: sleep.waiting,
                };
                (sleep.peer, line)
            }
            (None, None) => return None,
        };
        Some(Device {
            resource: session.jid.resource()?.to_owned(),
            peer,
            connected: now.mono.since(session.since),
            availability: session.availability(),
            line,
        })
    }
}
