//! What is kept of a password is made anew, as its host keeps passwords now: when the password is known to be right, or because an
//! administrator wants it. It is the same password, so nobody's session ends by it.
//!
//! It is one of the things that are done about an account one after another (`commands.rs`), so it never undoes a change; and it is one
//! batch, so that a row has the password or keys, whenever the process ends.

use alloc::vec::Vec;

use super::Shard;
use super::commands::Tasks;
use super::signin::{first_row, read_credentials};
use crate::jid::BareJid;
use crate::port::{CommandError, CommandReply};
use crate::sasl::{Credentials, Dates, Provider, SignIn, Verifier};
use crate::secret::Secret;
use crate::store::{Class, Expect, Reply, Row};
use crate::stream::record_hash;
use crate::time::Now;
use crate::wait::{After, CommandStep, Renewal, Requester};

impl Shard {
    /// Somebody has signed in, and what is kept of the password may be out of date. Nobody waits for it: what comes to nothing now, because
    /// there is much to do, no room on the disk or a command under way, is tried at the next sign-in.
    pub(super) fn renew(&mut self, sign_in: &SignIn) {
        let Some(password) = sign_in.verified.outdated() else {
            return;
        };
        let account = sign_in.verified.account();
        let is_busy = self.commands.contains_key(account.as_str()) || self.credit.is_spent();
        if is_busy || self.is_stopping() {
            return;
        }
        let by = Requester::Nobody;
        self.commands.insert(account.clone(), Tasks::new(by));
        let renewal = Renewal {
            password: password.clone(),
            record: sign_in.record,
        };
        let batch = read_credentials(account.clone(), Class::Change);
        self.ask(
            by,
            Some(account.clone()),
            batch,
            CommandStep::Renew(renewal),
        );
    }

    /// What is kept now is here.
    pub(super) fn renewal_read(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        renewal: Renewal,
        replies: Vec<Reply>,
    ) {
        let secret = &self.config.server_secret;
        // Another record may be of another password.
        let is_it = |row: &Row| record_hash(secret, &Credentials::record(row)) == renewal.record;
        match first_row(replies).filter(is_it) {
            Some(row) => self.make_keys(now, by, account, row, renewal.password),
            None => self.finish(now, by, &account, Ok(CommandReply::Done)),
        }
    }

    /// What is kept of the password that an administrator wants to be keys.
    pub(super) fn upgrade_read(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        replies: Vec<Reply>,
    ) {
        let host = self.config.accounts(account.domain());
        let provider = host.map(|host| host.provider);
        let result = match first_row(replies).map(|row| (Credentials::from_row(&row), row)) {
            Some((Some(credentials), row)) => match (credentials.verifier, provider) {
                (Verifier::Password(password), Some(Provider::Hashed)) => {
                    return self.make_keys(now, by, account, row, password);
                }
                (Verifier::Password(_), Some(Provider::Anonymous)) => Err(CommandError::Guests),
                (Verifier::Password(_), Some(Provider::Ldap)) => Err(CommandError::Directory),
                (Verifier::Password(_), Some(Provider::Plain)) => Err(CommandError::KeepsPasswords),
                (Verifier::Password(_), None) => Err(CommandError::NoSuchHost),
                (Verifier::Keys(_), _) => Ok(CommandReply::Done),
            },
            // A damaged row is not written over.
            Some((None, _)) => Err(CommandError::Store),
            None => Err(CommandError::NoSuchUser),
        };
        self.finish(now, by, &account, result);
    }

    fn make_keys(&mut self, now: Now, by: Requester, account: BareJid, row: Row, password: Secret) {
        let step = CommandStep::DeriveRenewal(row);
        self.derive_for(now, by, account, password, step);
    }

    /// Keys in place of the password, or of fewer or cheaper keys. The days of the account stay what they were: nobody has changed anything.
    pub(super) fn write_renewed(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        row: &Row,
        verifier: Verifier,
    ) {
        let Some(credentials) = Credentials::from_row(row) else {
            return self.finish(now, by, &account, Err(CommandError::Store));
        };
        let renewed = Credentials {
            verifier,
            ..credentials
        };
        let renewed = renewed.to_row(Dates::of(row));
        let after = After::Renewed([0; 32]);
        self.write(by, account, renewed, Expect::Present, after);
    }
}
