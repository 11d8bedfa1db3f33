//! A sign-in to a host whose passwords a directory has: the directory is asked, and somebody whom it knows and nobody knew here gets an account.

use alloc::boxed::Box;
use alloc::vec;

use super::{OTHER_QUESTION, Shard};
use crate::jid::BareJid;
use crate::port::{AccountChange, Action, ConnId, Note, Ticket};
use crate::sasl::{CREDENTIALS, Credentials, Dates, Failure, Judgement, Provider, SignIn};
use crate::secret::Secret;
use crate::store::{Batch, Class, Expect, Op, StoreError};
use crate::time::Now;
use crate::wait::{Newcomer, Question, Wait};

impl Shard {
    /// Whether the passwords of this account's host are a directory's.
    pub(super) fn is_judged_elsewhere(&self, account: &BareJid) -> bool {
        let host = self.config.accounts(account.domain());
        host.is_some_and(|host| host.provider == Provider::Ldap)
    }

    /// Asks the directory.
    pub(super) fn judge(&mut self, now: Now, conn: ConnId, account: BareJid, password: Secret) {
        // Once more: thousands may have been looked up before the first failed, and many a directory locks who fails often.
        if self.weigh(now, conn, Some(&account)).is_none() {
            return;
        }
        let ticket = self.waits.insert(Question {
            wait: Wait::Judge(conn),
            credit: None,
        });
        self.fx.act(Action::Judge {
            ticket,
            account,
            password,
        });
    }

    pub(super) fn judged(&mut self, now: Now, ticket: Ticket, judgement: Judgement) {
        match self.waits.remove(ticket).map(|question| question.wait) {
            Some(Wait::Judge(conn)) => {
                self.answered(now, conn, |stream, cx| stream.judged(cx, judgement));
            }
            Some(
                Wait::Card(_)
                | Wait::Append(_)
                | Wait::Census(_)
                | Wait::Command(_)
                | Wait::Commit(_)
                | Wait::Credentials(..)
                | Wait::Derive(_)
                | Wait::LinkKept(_)
                | Wait::LinkRows(..)
                | Wait::LinkScan
                | Wait::Load(_)
                | Wait::Newcomer(_)
                | Wait::Pretence(_)
                | Wait::Quiet
                | Wait::Reach(..)
                | Wait::Read(..)
                | Wait::Retention,
            ) => self.fx.bug(OTHER_QUESTION),
            // It was answered before.
            None => {}
        }
    }

    /// The directory knows somebody of whom nothing is kept here: the account is made, and then admits who came.
    ///
    /// `Choice:` a name that was deleted here is not held against whom the directory knows by it. Who has which name is the directory's to say,
    /// and who is to stay out is disabled here, or not found there.
    pub(super) fn newcomer(&mut self, now: Now, conn: ConnId, sign_in: SignIn) {
        let account = sign_in.verified.account().clone();
        if self.weigh(now, conn, Some(&account)).is_none() {
            return;
        }
        let Some(peer) = self.peer(conn) else {
            return;
        };
        if self.credit.is_spent() {
            return self.not_taken(now, conn);
        }
        let put = Op::Put {
            table: &CREDENTIALS,
            row: Credentials::without_password().to_row(Dates::new(now.wall)),
            expect: Expect::Absent,
        };
        let batch = Batch {
            owner: account,
            tenure: 0,
            class: Class::Change,
            // What an import that did not end has left there belongs to nobody.
            ops: vec![Op::Purge, put],
        };
        let newcomer = Newcomer {
            conn,
            peer,
            as_of: self.changes.wrapping_add(1),
            sign_in,
        };
        self.change_credentials(batch, Wait::Newcomer(Box::new(newcomer)));
    }

    /// The account is made, or is not.
    pub(super) fn newcomer_kept(
        &mut self,
        now: Now,
        newcomer: Newcomer,
        error: Option<StoreError>,
    ) {
        let Newcomer {
            conn,
            peer,
            as_of,
            mut sign_in,
        } = newcomer;
        match error {
            None => {
                self.fx.note(Note::AccountChanged {
                    account: sign_in.verified.account().clone(),
                    change: AccountChange::Added,
                    by: Some(peer),
                });
                sign_in.as_of = as_of;
            }
            // Another device of its user was sooner. Whether the account is what this one expects is read anew.
            Some(StoreError::Conflict) => {}
            Some(
                StoreError::Busy
                | StoreError::Failed
                | StoreError::Fenced
                | StoreError::Full
                | StoreError::Unknown,
            ) => return self.not_taken(now, conn),
        }
        self.seek_admission(now, conn, &sign_in);
    }

    fn not_taken(&mut self, now: Now, conn: ConnId) {
        self.answered(now, conn, |stream, cx| {
            stream.refused(cx, Failure::TemporaryAuthFailure)
        });
    }
}
