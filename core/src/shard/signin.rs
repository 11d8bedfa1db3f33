//! A sign-in: the connection brought to its account's owner, credentials looked up, keys derived, admission.

use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::Shard;
use super::connections::Role;
use crate::account::{AccountKey, Admit};
use crate::envelope::{Body, Place};
use crate::jid::BareJid;
use crate::port::{Action, ConnId, Note, Standing};
use crate::sasl::{
    Attempt, CREDENTIALS, Credentials, DeriveParams, Failure, Limit, Reached, SignIn, Verdict,
};
use crate::secret::Secret;
use crate::store::{Batch, Class, Op, Reply, Row, StoreError};
use crate::stream::Violation;
use crate::time::Now;
use crate::wait::Wait;

/// Reads an account's credentials.
pub(super) fn read_credentials(owner: BareJid, class: Class) -> Batch {
    Batch {
        owner,
        tenure: 0,
        class,
        ops: vec![get_credentials()],
    }
}

pub(super) fn get_credentials() -> Op {
    Op::Get {
        table: &CREDENTIALS,
        key: Row::default(),
    }
}

/// The row of the single `Get` of a batch.
pub(super) fn first_row(replies: Vec<Reply>) -> Option<Row> {
    match replies.into_iter().next() {
        Some(Reply::Row(row)) => row,
        Some(
            Reply::Count(_)
            | Reply::Deleted { .. }
            | Reply::Done
            | Reply::Loaded(_)
            | Reply::Missing
            | Reply::Owners(_)
            | Reply::Page(_)
            | Reply::Rows { .. }
            | Reply::Erased(_)
            | Reply::Measured(_)
            | Reply::Swept { .. }
            | Reply::Trimmed { .. },
        )
        | None => None,
    }
}

/// The record that the row of a single `Get` of credentials makes.
pub(super) fn first_record(replies: Vec<Reply>) -> Option<Bytes> {
    first_row(replies).map(|row| Credentials::record(&row))
}

impl Shard {
    /// Reads the credentials of the account that a stream asks for, on the shard that owns it: here, or after a hand-off
    /// (house contract 4).
    pub(super) fn look_up(&mut self, now: Now, conn: ConnId, account: BareJid) {
        let to = self.placement.owner(account.as_str());
        if to != self.place {
            // Only the owner knows where the account usually signs in.
            if let Some(connection) = self.connections.get_mut(conn) {
                connection.role = Role::Leaving(account);
                self.fx.act(Action::HandOff { conn, to });
            }
            return;
        }
        // Before the store and a worker are troubled; what counts is the verdict on the outcome.
        if self.weigh(now, conn, Some(&account)).is_none() {
            return;
        }
        let as_of = self.changes;
        if self.credit.is_spent() {
            let busy = Err(StoreError::Busy);
            return self.answered(now, conn, |s, cx| s.credentials(cx, busy, as_of));
        }
        let batch = read_credentials(account, Class::SignIn);
        self.store(batch, Wait::Credentials(conn, as_of));
    }

    /// Sends a change of an account's credentials to the store: sign-ins under way must look again.
    pub(super) fn change_credentials(&mut self, batch: Batch, then: Wait) {
        self.changes = self.changes.wrapping_add(1);
        self.store(batch, then);
    }

    pub(super) fn derive(&mut self, conn: ConnId, params: DeriveParams, password: Secret) {
        self.derive_keys(password, vec![params], Wait::Derive(conn));
    }

    /// The right password, of which the client is told before its last word.
    pub(super) fn proven(&mut self, now: Now, conn: ConnId, account: &BareJid) {
        if self.weigh(now, conn, Some(account)).is_some() {
            self.answered(now, conn, |stream, cx| stream.prove(cx));
        }
    }

    /// A wrong password: counted, by account here and by address on every shard, and called wrong, unless nobody there is told.
    pub(super) fn rejected(&mut self, now: Now, conn: ConnId, account: Option<&BareJid>) {
        let Some(attempt) = self.weigh(now, conn, account) else {
            return;
        };
        self.count_failure(now, conn, &attempt, account);
        self.answered(now, conn, |stream, cx| stream.reject(cx));
    }

    /// A sign-in fails by what was shown for it.
    pub(super) fn count_failure(
        &mut self,
        now: Now,
        conn: ConnId,
        attempt: &Attempt,
        account: Option<&BareJid>,
    ) {
        let limits = &self.config.limits;
        let Reached {
            address: by_address,
            account: by_account,
            news,
        } = self.throttle.failed(now.mono, limits, attempt);
        if by_address == Limit::Reached
            && let Some(peer) = self.peer(conn)
        {
            self.fx.note(Note::AddressHeldUp { peer });
        }
        if by_account == Limit::Reached
            && let Some(account) = account.cloned()
            && let Some(peer) = self.peer(conn)
        {
            self.fx.note(Note::AccountHeldUp { account, peer });
        }
        if let Some(address) = news {
            self.tell_others(&Body::SignInFailed(address));
        }
    }

    /// A sign-in has come to nothing, for whatever reason.
    pub(super) fn sign_in_failed(
        &mut self,
        now: Now,
        conn: ConnId,
        account: Option<BareJid>,
        failure: Failure,
    ) {
        if let Some(peer) = self.peer(conn) {
            self.fx.note(Note::SignInFailed {
                conn,
                peer,
                account,
                failure,
            });
        }
        if self.with(now, conn, |stream, cx| stream.has_failed_enough(cx)) == Some(true) {
            self.fail(now, conn, Violation::SaslFailures);
        }
    }

    /// The right password: worth as little as a wrong one where too many were wrong, so that nobody learns which it was.
    pub(super) fn verified(&mut self, now: Now, conn: ConnId, sign_in: &SignIn) {
        let account = sign_in.verified.account();
        if self.weigh(now, conn, Some(account)).is_some() {
            self.seek_admission(now, conn, sign_in);
        }
    }

    /// Names the attempt if it may go on. If not, its answer waits.
    pub(super) fn weigh(
        &mut self,
        now: Now,
        conn: ConnId,
        account: Option<&BareJid>,
    ) -> Option<Attempt> {
        let attempt = self.attempt(conn, account)?;
        match self
            .throttle
            .verdict(now.mono, &self.config.limits, &attempt)
        {
            Verdict::Answer => Some(attempt),
            Verdict::HoldUp => {
                self.with(now, conn, |stream, cx| stream.hold_up(cx));
                self.look_again(now, conn);
                None
            }
        }
    }

    pub(super) fn attempt(&self, conn: ConnId, account: Option<&BareJid>) -> Option<Attempt> {
        let peer = self.peer(conn)?;
        Some(self.throttle.attempt(&self.config.limits, peer, account))
    }

    pub(super) fn tell_others(&mut self, body: &Body) {
        for shard in 0..self.config.shards {
            let to = Place {
                shard,
                ..self.place
            };
            if to != self.place {
                self.send(to, body.clone());
            }
        }
    }

    /// Credentials are verified against a record: does the account still have it?
    pub(super) fn seek_admission(&mut self, now: Now, conn: ConnId, sign_in: &SignIn) {
        if self.connections.get(conn).is_none() {
            return;
        }
        let account = sign_in.verified.account();
        let current = sign_in.as_of == self.changes;
        let key = match self.by_name.get(account.as_str()) {
            Some(key) => *key,
            // A guest has no other.
            None => {
                let is_good = current || self.is_guest(account);
                self.bring_in(account.clone(), is_good.then_some(sign_in.record))
            }
        };
        self.stay(key);
        self.admit(now, conn, key, sign_in);
        self.drop_if_idle(now, key);
    }

    pub(super) fn admit(&mut self, now: Now, conn: ConnId, key: AccountKey, sign_in: &SignIn) {
        if self.ends_instead(now, conn) {
            return;
        }
        let sessions_max = self.config.limits.sessions_per_account;
        let (Some(owner), Some(connection)) =
            (self.owners.get_mut(key), self.connections.get_mut(conn))
        else {
            return;
        };
        match owner.account.admit(conn, sign_in, sessions_max) {
            Admit::Wait => connection.role = Role::Member(key),
            Admit::Welcome => {
                connection.role = Role::Member(key);
                let peer = connection.peer.ip();
                let account = owner.account.jid().clone();
                if let Some(attempt) = self.attempt(conn, Some(&account)) {
                    self.throttle.signed_in(now.mono, &attempt);
                }
                let is_guest = self.is_guest(&account);
                self.fx.note(Note::SignedIn {
                    conn,
                    peer,
                    account,
                    mechanism: sign_in.verified.mechanism(),
                });
                // A guest is nobody who could be missed: where places are short it leaves like a stranger.
                if !is_guest {
                    let standing = Standing::Member;
                    self.fx.act(Action::Standing { conn, standing });
                }
                self.with(now, conn, |stream, cx| stream.admitted(cx));
                // Behind `<success/>`, which does not wait for it.
                self.renew(sign_in);
                self.proceed(now, conn);
            }
            Admit::Refuse => {
                connection.role = Role::Stranger;
                // What was verified is void: the password was changed or the account left meanwhile. The next attempt
                // will hear which.
                self.answered(now, conn, |s, cx| {
                    s.refused(cx, Failure::TemporaryAuthFailure)
                });
            }
        }
    }
}
