//! An administrator's commands on the shard that owns the account.
//!
//! Commands on one account run one after another: each reads the record that the one before it wrote.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::inbox::{Errand, Item};
use super::owner::{LeaveTaking, Life};
use super::signin::{first_row, read_credentials};
use super::{NAMELESS, Shard};
use crate::account::{Account, AccountKey, Leave, SessionKey};
use crate::due::Due;
use crate::jid::BareJid;
use crate::limits::{COMMANDS_WAITING_MAX, LEAVE_AGAIN, LEAVE_TRIES};
use crate::options::Expiry;
use crate::port::{
    AccountChange, Action, Command, CommandError, CommandId, CommandReply, CommandResult,
    DeriveError, Note,
};
use crate::sasl::{
    CREDENTIALS, Credentials, Dates, DeriveParams, Hashes, Held, Provider, ScramKeys, Status,
    Tombstones, Verifier, get_tombstone, prepare_new_password, put_tombstone,
};
use crate::secret::Secret;
use crate::store::{Batch, Class, Expect, Op, Reply, Row, StoreError};
use crate::stream::{Violation, record_hash};
use crate::time::Now;
use crate::wait::{After, Change, CommandStep, CommandWait, Requester, Wait};

impl Shard {
    pub(super) fn command(&mut self, now: Now, id: CommandId, command: Command) {
        let by = Requester::Administrator(id);
        if let Command::List { host, after, limit } = command {
            self.list(now, by, &host, after, limit);
        } else if let Command::Erase { host } = command {
            self.erase(now, by, &host);
        } else if let Command::Links(task) = command {
            self.link_task(now, by, task);
        } else if let Command::Reach { domain, service } = command {
            self.reach(now, by, domain, service);
        } else {
            self.enlist(now, by, command);
        }
    }

    /// A command on an account: now, or behind those that came before.
    pub(super) fn enlist(&mut self, now: Now, by: Requester, command: Command) {
        let Some(account) = command.account().cloned() else {
            return self
                .fx
                .bug("a command that is about no account waits for one");
        };
        if self.config.accounts(account.domain()).is_none() || account.local().is_none() {
            return self.reply(now, by, Err(CommandError::NoSuchHost));
        }
        if self.is_guest(&account) && !matches!(command, Command::Disconnect { .. }) {
            return self.reply(now, by, Err(CommandError::Guests));
        }
        match self.commands.get_mut(account.as_str()) {
            Some(tasks) if tasks.waiting.len() < COMMANDS_WAITING_MAX => {
                tasks.waiting.push_back((by, command));
            }
            Some(_) => self.reply(now, by, Err(CommandError::Busy)),
            None => {
                self.commands.insert(account, Tasks::new(by));
                self.begin(now, by, command);
            }
        }
    }

    /// Whether somebody's command on this account is under way.
    pub(super) fn is_under_command(&self, account: &BareJid) -> bool {
        let tasks = self.commands.get(account.as_str());
        tasks.is_some_and(|tasks| tasks.by != Requester::Nobody || !tasks.waiting.is_empty())
    }

    fn begin(&mut self, now: Now, by: Requester, command: Command) {
        if let Command::Add { account, .. } | Command::Passwd { account, .. } = &command
            && self.is_judged_elsewhere(account)
        {
            return self.finish(now, by, account, Err(CommandError::Directory));
        }
        match command {
            Command::Add {
                account,
                password,
                tombstones,
            } => self.add(now, by, account, &password, tombstones),
            Command::Passwd { account, password } => match prepared(&password) {
                Ok(password) => {
                    self.keep_password(now, by, account, password, CommandStep::DeriveChange);
                }
                Err(error) => self.finish(now, by, &account, Err(error)),
            },
            Command::Delete { account } => self.change(by, account, Change::Delete),
            Command::Disconnect { account, resource } => {
                let batch = read_credentials(account.clone(), Class::Change);
                let step = CommandStep::Disconnect(resource);
                self.ask(by, Some(account), batch, step);
            }
            Command::Disable { account } => {
                self.change(by, account, Change::Status(Status::Disabled));
            }
            Command::Enable { account } => {
                self.change(by, account, Change::Status(Status::Enabled));
            }
            Command::Archive { account, task } => self.archive(by, account, task),
            Command::Import { account, step } => self.import(now, by, account, *step),
            // Never queued.
            Command::Erase { .. }
            | Command::Links(_)
            | Command::List { .. }
            | Command::Reach { .. } => {
                self.reply(now, by, Err(CommandError::Busy));
            }
            Command::Show { account } => {
                let batch = read_credentials(account.clone(), Class::Change);
                self.ask(by, Some(account), batch, CommandStep::Show);
            }
            Command::Upgrade { account } => {
                let batch = read_credentials(account.clone(), Class::Change);
                self.ask(by, Some(account), batch, CommandStep::Upgrade);
            }
        }
    }

    fn add(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        password: &Secret,
        tombstones: Tombstones,
    ) {
        let password = match prepared(password) {
            Ok(password) => password,
            Err(error) => return self.finish(now, by, &account, Err(error)),
        };
        match tombstones {
            Tombstones::Ignore => {
                self.keep_password(now, by, account, password, CommandStep::DeriveNew);
            }
            Tombstones::Heed => {
                let batch = change_of(account.clone(), get_tombstone());
                self.ask(by, Some(account), batch, CommandStep::Name(password));
            }
        }
    }

    /// What is known of a new account's name is here.
    fn name_known(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        password: Secret,
        tombstone: Option<&Row>,
    ) {
        let host = self.config.accounts(account.domain());
        let expiry = host.map_or(Expiry::Never, |host| host.tombstone_expiry);
        match tombstone.and_then(|row| Held::by(row, expiry, now.wall)) {
            Some(held) => self.finish(now, by, &account, Err(CommandError::Held(held))),
            None => self.keep_password(now, by, account, password, CommandStep::DeriveNew),
        }
    }

    /// What is kept of a new password: itself, where its host has it so. Otherwise a worker is asked for keys under every hash, so that the
    /// host can go on to offer them all.
    pub(super) fn keep_password(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        password: Secret,
        step: CommandStep,
    ) {
        let Some(host) = self.config.accounts(account.domain()) else {
            // It went with a reload while this waited behind another command.
            return self.finish(now, by, &account, Err(CommandError::NoSuchHost));
        };
        match host.provider {
            Provider::Anonymous => self.finish(now, by, &account, Err(CommandError::Guests)),
            Provider::Hashed => self.derive_for(now, by, account, password, step),
            // It became so with a reload.
            Provider::Ldap => self.finish(now, by, &account, Err(CommandError::Directory)),
            Provider::Plain => {
                self.verifier_made(now, by, account, step, Verifier::Password(password));
            }
        }
    }

    /// Asks a worker for keys under every hash.
    pub(super) fn derive_for(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        password: Secret,
        step: CommandStep,
    ) {
        let Some(host) = self.config.accounts(account.domain()) else {
            return self.finish(now, by, &account, Err(CommandError::NoSuchHost));
        };
        let jobs = DeriveParams::for_new_password(host.rounds, &mut self.entropy);
        let wait = CommandWait {
            by,
            account: Some(account),
            step,
        };
        self.derive_keys(password, jobs, Wait::Command(Box::new(wait)));
    }

    pub(super) fn command_derived(
        &mut self,
        now: Now,
        wait: CommandWait,
        keys: Result<Vec<ScramKeys>, DeriveError>,
    ) {
        let CommandWait {
            by,
            account: Some(account),
            step,
        } = wait
        else {
            return self.fx.bug("keys for a command that is about no account");
        };
        let Ok(keys) = keys else {
            return self.finish(now, by, &account, Err(CommandError::Busy));
        };
        self.verifier_made(now, by, account, step, Verifier::Keys(keys));
    }

    /// What is to be kept of a password is here.
    fn verifier_made(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        step: CommandStep,
        verifier: Verifier,
    ) {
        match step {
            CommandStep::DeriveNew => {
                let credentials = Credentials {
                    status: Status::Enabled,
                    verifier,
                };
                let row = credentials.to_row(Dates::new(now.wall));
                let lacked = Hashes::lacked_by(&credentials);
                self.write(by, account, row, Expect::Absent, After::Added(lacked));
            }
            CommandStep::DeriveChange => self.change(by, account, Change::Password(verifier)),
            CommandStep::DeriveImport(import, status, dates) => {
                let credentials = Credentials { status, verifier };
                self.admit_import(by, account, import, &credentials, dates);
            }
            CommandStep::DeriveRenewal(row) => {
                self.write_renewed(now, by, account, &row, verifier);
            }
            CommandStep::Archive(_)
            | CommandStep::Archived
            | CommandStep::Disconnect(_)
            | CommandStep::Erase
            | CommandStep::Import(_)
            | CommandStep::Imported
            | CommandStep::List
            | CommandStep::Name(_)
            | CommandStep::Read(_)
            | CommandStep::Renew(_)
            | CommandStep::Show
            | CommandStep::Upgrade
            | CommandStep::Write(_) => self.fx.bug("keys for a command that asked for none"),
        }
    }

    fn change(&mut self, by: Requester, account: BareJid, change: Change) {
        let batch = read_credentials(account.clone(), Class::Change);
        self.ask(by, Some(account), batch, CommandStep::Read(change));
    }

    pub(super) fn write(
        &mut self,
        by: Requester,
        account: BareJid,
        row: Row,
        expect: Expect,
        after: After,
    ) {
        let hash = || record_hash(&self.config.server_secret, &Credentials::record(&row));
        let after = match after {
            After::PasswordChanged(_) => After::PasswordChanged(hash()),
            After::Renewed(_) => After::Renewed(hash()),
            After::Added(_) | After::Deleted | After::Disabled | After::Enabled => after,
        };
        let put = Op::Put {
            table: &CREDENTIALS,
            row,
            expect,
        };
        let mut batch = change_of(account.clone(), put);
        match after {
            // What an import that did not end has left there belongs to nobody, and the tombstone is there with it.
            After::Added(_) => batch.ops.insert(0, Op::Purge),
            After::Deleted
            | After::Disabled
            | After::Enabled
            | After::PasswordChanged(_)
            | After::Renewed(_) => {}
        }
        self.ask_for_change(by, account, batch, after);
    }

    pub(super) fn ask(
        &mut self,
        by: Requester,
        account: Option<BareJid>,
        batch: Batch,
        step: CommandStep,
    ) {
        self.store(
            batch,
            Wait::Command(Box::new(CommandWait { by, account, step })),
        );
    }

    pub(super) fn ask_for_change(
        &mut self,
        by: Requester,
        account: BareJid,
        batch: Batch,
        after: After,
    ) {
        let wait = CommandWait {
            by,
            account: Some(account),
            step: CommandStep::Write(after),
        };
        self.change_credentials(batch, Wait::Command(Box::new(wait)));
    }

    pub(super) fn command_stored(
        &mut self,
        now: Now,
        wait: CommandWait,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let CommandWait { by, account, step } = wait;
        match (account, step) {
            (_, CommandStep::List) => {
                let result = outcome.map(|replies| self.users(replies));
                let result = result.map_err(read_error);
                self.reply(now, by, result);
            }
            (_, CommandStep::Erase) => {
                self.reply(now, by, super::archives::erased(outcome));
            }
            (Some(account), CommandStep::Archive(task)) => match outcome {
                Ok(replies) => self.archive_found(now, by, account, task, replies),
                Err(error) => self.finish(now, by, &account, Err(read_error(error))),
            },
            (Some(account), CommandStep::Archived) => {
                self.archive_done(now, by, &account, outcome);
            }
            (Some(account), CommandStep::Read(change)) => match outcome {
                Ok(replies) => {
                    self.apply(now, by, account, first_row(replies), change);
                }
                Err(error) => self.finish(now, by, &account, Err(read_error(error))),
            },
            (Some(account), CommandStep::Name(password)) => match outcome {
                Ok(replies) => {
                    self.name_known(now, by, account, password, first_row(replies).as_ref());
                }
                Err(error) => self.finish(now, by, &account, Err(read_error(error))),
            },
            (Some(account), CommandStep::Show) => match outcome {
                Ok(replies) => self.show(now, by, &account, first_row(replies)),
                Err(error) => self.finish(now, by, &account, Err(read_error(error))),
            },
            (Some(account), CommandStep::Renew(renewal)) => match outcome {
                Ok(replies) => self.renewal_read(now, by, account, renewal, replies),
                Err(error) => self.finish(now, by, &account, Err(read_error(error))),
            },
            (Some(account), CommandStep::Upgrade) => match outcome {
                Ok(replies) => self.upgrade_read(now, by, account, replies),
                Err(error) => self.finish(now, by, &account, Err(read_error(error))),
            },
            (Some(account), CommandStep::Disconnect(resource)) => match outcome {
                Ok(replies) => {
                    self.disconnect(now, by, &account, first_row(replies), resource);
                }
                Err(error) => self.finish(now, by, &account, Err(read_error(error))),
            },
            (Some(account), CommandStep::Write(after)) => {
                self.written(now, by, &account, after, outcome.err());
            }
            (Some(account), CommandStep::Import(ask)) => match outcome {
                Ok(replies) => self.import_read(now, by, account, ask, replies),
                Err(error) => self.finish(now, by, &account, Err(read_error(error))),
            },
            (Some(account), CommandStep::Imported) => {
                self.import_written(now, by, &account, outcome);
            }
            (
                Some(_),
                CommandStep::DeriveNew
                | CommandStep::DeriveChange
                | CommandStep::DeriveImport(..)
                | CommandStep::DeriveRenewal(_),
            )
            | (None, _) => {
                self.fx.bug("an answer that no command waits for");
            }
        }
    }

    fn written(
        &mut self,
        now: Now,
        by: Requester,
        account: &BareJid,
        after: After,
        error: Option<StoreError>,
    ) {
        let result = match error {
            None => {
                self.take_effect(now, by, account, after);
                Ok(CommandReply::Done)
            }
            Some(error) => {
                if error == StoreError::Unknown {
                    self.take_effect_perhaps(now, account, after);
                } else if matches!(after, After::Deleted) {
                    self.not_deleted(account);
                }
                Err(store_error(error))
            }
        };
        self.finish(now, by, account, result);
    }

    /// An account is still there, and leaves memory all the same.
    fn not_deleted(&mut self, account: &BareJid) {
        if let Some(key) = self.by_name.get(account.as_str()).copied() {
            self.put_last(key);
        }
    }

    /// The record is here: writes the changed one.
    fn apply(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        row: Option<Row>,
        change: Change,
    ) {
        let Some(row) = row else {
            return self.finish(now, by, &account, Err(CommandError::NoSuchUser));
        };
        if matches!(change, Change::Delete) {
            // What was said to it comes before its end, and contacts are told before it goes.
            return self.send_errand(now, by, &account, Errand::Delete);
        }
        let Some(mut credentials) = Credentials::from_row(&row) else {
            return self.finish(now, by, &account, Err(CommandError::Store));
        };
        let after = match change {
            Change::Delete => return,
            Change::Password(verifier) => {
                credentials.verifier = verifier;
                After::PasswordChanged([0; 32])
            }
            Change::Status(status) => {
                credentials.status = status;
                match status {
                    Status::Enabled => After::Enabled,
                    Status::Disabled => After::Disabled,
                }
            }
        };
        let row = credentials.to_row(Dates::changed(&row, now.wall));
        self.write(by, account, row, Expect::Present, after);
    }

    /// The owner of this account, if it is in memory and not about to leave it.
    pub(super) fn present(&self, account: &BareJid) -> Option<AccountKey> {
        let key = *self.by_name.get(account.as_str())?;
        let owner = self.owners.get(key)?;
        (!matches!(owner.life, Life::Leaving(_))).then_some(key)
    }

    /// Brings a command to an account that there is. It comes into memory for that, unless it is about to leave.
    pub(super) fn send_errand(
        &mut self,
        now: Now,
        by: Requester,
        account: &BareJid,
        errand: Errand,
    ) {
        let key = match self.present(account) {
            Some(key) => key,
            None if self.is_free(account) => self.bring_in(account.clone(), None),
            None => return self.finish(now, by, account, Err(CommandError::Busy)),
        };
        self.stay(key);
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that a command is for is gone");
        };
        let waits = owner.is_busy();
        owner.inbox.make().push(Item::Command(by, errand));
        if !waits {
            self.drain(now, key);
        }
    }

    /// Nobody comes in and nobody stays while everything goes.
    pub(super) fn delete_owner(&mut self, now: Now, key: AccountKey, by: Requester) {
        let Some(owner) = self.owners.get_mut(key) else {
            return self.fx.bug("an account that is to be deleted is gone");
        };
        owner.account.shut();
        owner.leave = Some(Box::new(LeaveTaking { by, again: 0 }));
        self.set_apart(now, by);
        self.end_all(now, key, Violation::AccountGone);
        self.go_on_leaving(now, key);
    }

    /// An account that is being deleted, and can act, goes on telling its contacts; once all have it on disk everything goes.
    pub(super) fn go_on_leaving(&mut self, now: Now, key: AccountKey) {
        let Some(owner) = self.owners.get(key).filter(|owner| owner.is_ready()) else {
            return;
        };
        let Some(by) = owner.leave.as_ref().map(|leave| leave.by) else {
            return;
        };
        match self.in_account(now, key, Account::take_leave) {
            // It is told once it is on disk; then it goes on.
            Some(Leave::More) => {}
            Some(Leave::Waits) => self.timers.set(Due::Leave(key), now.mono, LEAVE_AGAIN),
            Some(Leave::Taken) => {
                let Some(owner) = self.owners.get_mut(key) else {
                    return self.fx.bug("an account that is to be deleted is gone");
                };
                owner.leave = None;
                let account = owner.account.jid().clone();
                self.timers.stop(Due::Leave(key));
                self.depart(now, key);
                self.purge(now, by, account);
            }
            None => self.fx.bug("an account that is being deleted is gone"),
        }
    }

    /// Not all contacts have it: they are told again, for a while. Then the administrator is, and the account stays, without contacts.
    pub(super) fn leave_again(&mut self, now: Now, key: AccountKey) {
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        let Some(leave) = &mut owner.leave else {
            return;
        };
        leave.again = leave.again.saturating_add(1);
        if leave.again >= LEAVE_TRIES {
            return self.leave_failed(now, key, CommandError::Busy);
        }
        if owner.is_busy() {
            return self.timers.set(Due::Leave(key), now.mono, LEAVE_AGAIN);
        }
        self.in_account(now, key, Account::say_again);
        self.go_on_leaving(now, key);
    }

    /// An account that was being deleted stays, with the contacts that are left.
    pub(super) fn leave_failed(&mut self, now: Now, key: AccountKey, why: CommandError) {
        self.timers.stop(Due::Leave(key));
        let Some(owner) = self.owners.get_mut(key) else {
            return;
        };
        if let Some(leave) = owner.leave.take() {
            let by = leave.by;
            let account = owner.account.jid().clone();
            self.finish(now, by, &account, Err(why));
        }
    }

    /// In one batch, so that a name is held as soon as nobody has it.
    fn purge(&mut self, now: Now, by: Requester, account: BareJid) {
        let host = self.config.accounts(account.domain());
        let expiry = host.map_or(Expiry::Never, |host| host.tombstone_expiry);
        let mut batch = change_of(account.clone(), Op::Purge);
        batch.ops.extend(put_tombstone(expiry, now.wall));
        self.ask_for_change(by, account, batch, After::Deleted);
    }

    /// The commit is done: the log and sessions learn of it.
    fn take_effect(&mut self, now: Now, by: Requester, account: &BareJid, after: After) {
        let change = match after {
            After::Added(_) => AccountChange::Added,
            After::Deleted => AccountChange::Deleted,
            After::Disabled => AccountChange::Disabled,
            After::Enabled => AccountChange::Enabled,
            After::PasswordChanged(_) => AccountChange::PasswordSet,
            After::Renewed(_) => AccountChange::KeysMade,
        };
        self.fx.note(Note::AccountChanged {
            account: account.clone(),
            change,
            by: self.petition(by).map(|petition| petition.peer),
        });
        match after {
            After::Added(lacked) => self.lacks_keys(account, lacked),
            After::Enabled => {}
            After::Deleted | After::Disabled => self.shut_out(now, account),
            After::PasswordChanged(record) => {
                if let Some(key) = self.by_name.get(account.as_str())
                    && let Some(owner) = self.owners.get_mut(*key)
                {
                    owner.account.set_record(record);
                }
                // Who changed it knows it, and is told so.
                let spared = self.petitioner(by).map(|member| member.session);
                self.dismiss(now, account, Violation::PasswordChanged, spared);
            }
            After::Renewed(record) => self.also_good(account, record),
        }
    }

    /// A record of the same password has taken the place of the one before: who was verified against either may come in.
    fn also_good(&mut self, account: &BareJid, record: [u8; 32]) {
        if let Some(key) = self.by_name.get(account.as_str())
            && let Some(owner) = self.owners.get_mut(*key)
        {
            owner.account.set_same_record(record);
        }
    }

    /// Nobody can know whether the commit is done: whoever would have to go goes, and signs in again by what is kept.
    fn take_effect_perhaps(&mut self, now: Now, account: &BareJid, after: After) {
        match after {
            After::Added(lacked) => self.lacks_keys(account, lacked),
            After::Enabled => {}
            After::Deleted | After::Disabled => self.shut_out(now, account),
            After::PasswordChanged(_) => {
                self.dismiss(now, account, Violation::PasswordChanged, None);
                self.shut_out(now, account);
            }
            After::Renewed(record) => self.also_good(account, record),
        }
    }

    /// Ends every stream of an account, those that wait for it to load included, and lets nobody in.
    fn shut_out(&mut self, now: Now, account: &BareJid) {
        // First, because a leaving account knows of nobody who waits.
        self.dismiss(now, account, Violation::AccountGone, None);
        let Some(key) = self.by_name.get(account.as_str()).copied() else {
            return;
        };
        // One that is merely kept in memory leaves it with the command.
        self.stay(key);
        if let Some(owner) = self.owners.get_mut(key) {
            owner.account.shut();
        }
    }

    /// Ends every stream of an account, but for the one of this session.
    fn dismiss(
        &mut self,
        now: Now,
        account: &BareJid,
        violation: Violation,
        spared: Option<SessionKey>,
    ) {
        let Some(key) = self.by_name.get(account.as_str()).copied() else {
            return;
        };
        let Some(owner) = self.owners.get(key) else {
            return self.fx.bug(NAMELESS);
        };
        // It may be asleep: who changed its password and lost its connection is still to hear so.
        let carrier = spared.and_then(|session| owner.account.carrier(session));
        for conn in owner.account.connections() {
            if Some(conn) != carrier {
                self.fail(now, conn, violation);
            }
        }
        // Also those whose connections are gone, which their account has not heard yet.
        let owner = self.owners.get(key);
        for session in owner.map(|owner| owner.account.keys()).unwrap_or_default() {
            if Some(session) != spared {
                self.die(now, key, session);
            }
        }
    }

    pub(super) fn reply(&mut self, now: Now, by: Requester, result: CommandResult) {
        match by {
            Requester::Administrator(id) => self.fx.act(Action::Answer { id, result }),
            Requester::Nobody => {}
            Requester::Petitioner(key) => self.answer_petition(now, key, &result),
        }
    }

    /// Answers, and begins the next command on that account.
    pub(super) fn finish(
        &mut self,
        now: Now,
        by: Requester,
        account: &BareJid,
        result: CommandResult,
    ) {
        self.reply(now, by, result);
        match self
            .commands
            .get_mut(account.as_str())
            .and_then(Tasks::next)
        {
            Some((by, command)) => self.begin(now, by, command),
            None => {
                self.commands.remove(account.as_str());
                if let Some(key) = self.by_name.get(account.as_str()).copied() {
                    self.drop_if_idle(now, key);
                }
            }
        }
    }
}

/// What is done about an account, one thing after another.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Who wants what is under way.
    by: Requester,
    waiting: VecDeque<(Requester, Command)>,
}

impl Tasks {
    /// Something for this one is under way.
    pub(super) const fn new(by: Requester) -> Self {
        let waiting = VecDeque::new();
        Self { by, waiting }
    }

    fn next(&mut self) -> Option<(Requester, Command)> {
        let (by, command) = self.waiting.pop_front()?;
        self.by = by;
        Some((by, command))
    }
}

/// An administrator waits for it.
pub(super) fn change_of(owner: BareJid, op: Op) -> Batch {
    Batch {
        owner,
        tenure: 0,
        class: Class::Change,
        ops: vec![op],
    }
}

/// A new password as its keys are made of it.
pub(super) fn prepared(password: &Secret) -> Result<Secret, CommandError> {
    match prepare_new_password(password.expose()) {
        Ok(prepared) => Ok(Secret::new(prepared.into_bytes())),
        Err(_) => Err(CommandError::Password),
    }
}

/// What was only read has changed nothing, whatever became of it.
fn read_error(error: StoreError) -> CommandError {
    if error == StoreError::Unknown {
        return CommandError::Store;
    }
    store_error(error)
}

pub(super) const fn store_error(error: StoreError) -> CommandError {
    match error {
        StoreError::Busy => CommandError::Busy,
        StoreError::Conflict => CommandError::Exists,
        StoreError::Failed | StoreError::Fenced => CommandError::Store,
        StoreError::Full => CommandError::Full,
        StoreError::Unknown => CommandError::Unknown,
    }
}
