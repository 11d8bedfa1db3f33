//! An account that comes from elsewhere (XEP-0227), step by step: nobody can sign in before the last.

use alloc::vec::Vec;

use super::Shard;
use super::commands::{change_of, prepared, store_error};
use super::signin::get_credentials;
use crate::jid::BareJid;
use crate::options::Expiry;
use crate::port::{CommandError, CommandReply, ImportStep, Imported, ImportedProof};
use crate::sasl::{
    CREDENTIALS, Credentials, Dates, Hashes, Held, IMPORTS, Status, TOMBSTONES, Tombstones,
    get_tombstone, get_unfinished, import_of, put_unfinished, remove_tombstone, remove_unfinished,
};
use crate::store::{Batch, Class, Expect, Flaw, Op, Reply, Row, StoreError, Table};
use crate::time::{Now, UnixTime};
use crate::wait::{After, CommandStep, ImportAsk, Requester};

impl Shard {
    pub(super) fn import(&mut self, now: Now, by: Requester, account: BareJid, step: ImportStep) {
        let (op, ask) = match step {
            ImportStep::Look(tombstones) => (get_credentials(), ImportAsk::Look(tombstones)),
            ImportStep::Begin(import, tombstones) => {
                (get_credentials(), ImportAsk::Begin(import, tombstones))
            }
            ImportStep::Keep(import, ops) if ops.iter().all(may_keep) && !ops.is_empty() => {
                (get_unfinished(), ImportAsk::Keep(import, ops))
            }
            ImportStep::Keep(..) => {
                return self.finish(now, by, &account, Err(CommandError::Store));
            }
            ImportStep::End(import, imported) => {
                (get_unfinished(), ImportAsk::End(import, imported))
            }
        };
        let mut batch = change_of(account.clone(), op);
        batch.ops.push(get_tombstone());
        self.ask(by, Some(account), batch, CommandStep::Import(ask));
    }

    /// What there is of the account, and what is known of its name.
    pub(super) fn import_read(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        ask: ImportAsk,
        replies: Vec<Reply>,
    ) {
        let mut rows = replies.into_iter().map(row);
        let (first, tombstone) = (rows.next().flatten(), rows.next().flatten());
        let begun = import_of(first.as_ref());
        match ask {
            ImportAsk::Look(tombstones) => {
                let free = self.is_to_be_had(now, &account, first, tombstone.as_ref(), tombstones);
                self.finish(now, by, &account, free.map(|()| CommandReply::Done));
            }
            ImportAsk::Begin(import, tombstones) => {
                match self.is_to_be_had(now, &account, first, tombstone.as_ref(), tombstones) {
                    Ok(()) => self.begin_import(now, by, account, import, tombstone),
                    Err(error) => self.finish(now, by, &account, Err(error)),
                }
            }
            ImportAsk::Keep(import, ops) if begun == Some(import) => {
                self.keep(now, by, account, import, ops);
            }
            ImportAsk::End(import, imported) if begun == Some(import) => {
                self.end_import(now, by, account, import, imported);
            }
            // Somebody else has taken the name.
            ImportAsk::Keep(..) | ImportAsk::End(..) => {
                self.finish(now, by, &account, Err(CommandError::Exists));
            }
        }
    }

    fn is_to_be_had(
        &self,
        now: Now,
        account: &BareJid,
        credentials: Option<Row>,
        tombstone: Option<&Row>,
        tombstones: Tombstones,
    ) -> Result<(), CommandError> {
        if credentials.is_some() {
            return Err(CommandError::Exists);
        }
        let host = self.config.accounts(account.domain());
        let expiry = host.map_or(Expiry::Never, |host| host.tombstone_expiry);
        let held = tombstone.and_then(|row| Held::by(row, expiry, now.wall));
        match (held, tombstones) {
            (Some(held), Tombstones::Heed) => Err(CommandError::Held(held)),
            (Some(_), Tombstones::Ignore) | (None, Tombstones::Heed | Tombstones::Ignore) => Ok(()),
        }
    }

    /// What was left there goes, but for what holds the name: it is taken with the last step only.
    fn begin_import(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        import: i64,
        held: Option<Row>,
    ) {
        let nobody = Credentials::hashed(Status::Disabled, Vec::new());
        // Insists that there is no such account; what stands behind it takes the row away again.
        let none = Op::Put {
            table: &CREDENTIALS,
            row: nobody.to_row(Dates::default()),
            expect: Expect::Absent,
        };
        let mut batch = change_of(account.clone(), none);
        batch.ops.push(Op::Purge);
        batch.ops.extend(held.map(|row| Op::Put {
            table: &TOMBSTONES,
            row,
            expect: Expect::Anything,
        }));
        batch
            .ops
            .push(put_unfinished(import, now.wall, Expect::Anything));
        self.ask(by, Some(account), batch, CommandStep::Imported);
    }

    fn keep(&mut self, now: Now, by: Requester, account: BareJid, import: i64, ops: Vec<Op>) {
        let mut batch = Batch {
            ops,
            ..empty(&account)
        };
        batch
            .ops
            .push(put_unfinished(import, now.wall, Expect::Present));
        // One operation alone may be longer than a batch. Nothing has changed since the row was read: what is asked of an account by an
        // administrator is done one after another.
        if batch.ops.len() == 2 && batch.check() == Err(Flaw::Size) {
            batch.ops.truncate(1);
        }
        self.ask(by, Some(account), batch, CommandStep::Imported);
    }

    pub(super) fn import_written(
        &mut self,
        now: Now,
        by: Requester,
        account: &BareJid,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let result = outcome.map(|_| CommandReply::Done).map_err(store_error);
        self.finish(now, by, account, result);
    }

    fn end_import(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        import: i64,
        imported: Imported,
    ) {
        let Imported {
            status,
            proof,
            created,
            updated,
        } = imported;
        let proof = match self.is_judged_elsewhere(&account) {
            // Whatever came with it is not what its user signs in by.
            true => ImportedProof::Keys(Vec::new()),
            false => proof,
        };
        match proof {
            ImportedProof::Keys(keys) => {
                let credentials = Credentials::hashed(status, keys);
                let dates = Dates { created, updated };
                self.admit_import(by, account, import, &credentials, dates);
            }
            ImportedProof::Password(password) => match prepared(&password) {
                Ok(password) => {
                    let dates = Dates {
                        created: created.or(Some(now.wall)),
                        updated: updated.or(Some(now.wall)),
                    };
                    let step = CommandStep::DeriveImport(import, status, dates);
                    self.keep_password(now, by, account, password, step);
                }
                Err(error) => self.finish(now, by, &account, Err(error)),
            },
        }
    }

    /// Credentials come last, and with them the row goes that says that they are missing.
    pub(super) fn admit_import(
        &mut self,
        by: Requester,
        account: BareJid,
        import: i64,
        credentials: &Credentials,
        dates: Dates,
    ) {
        let mut batch = empty(&account);
        batch.ops.extend([
            put_unfinished(import, UnixTime(0), Expect::Present),
            Op::Put {
                table: &CREDENTIALS,
                row: credentials.to_row(dates),
                expect: Expect::Absent,
            },
            remove_unfinished(),
            remove_tombstone(),
        ]);
        let lacked = Hashes::lacked_by(credentials);
        self.ask_for_change(by, account, batch, After::Added(lacked));
    }
}

fn empty(owner: &BareJid) -> Batch {
    Batch {
        owner: owner.clone(),
        tenure: 0,
        class: Class::Change,
        ops: Vec::new(),
    }
}

/// What another step or nobody writes is no part of an account that comes from elsewhere.
fn may_keep(op: &Op) -> bool {
    let ours = [&CREDENTIALS, &IMPORTS, &TOMBSTONES];
    let is_theirs = |(table, _, expect): (Table, &Row, Expect)| {
        expect == Expect::Anything && !ours.contains(&table)
    };
    matches!(op, Op::Append { .. }) || op.put().is_some_and(is_theirs)
}

fn row(reply: Reply) -> Option<Row> {
    match reply {
        Reply::Row(row) => row,
        Reply::Count(_)
        | Reply::Deleted { .. }
        | Reply::Done
        | Reply::Erased { .. }
        | Reply::Loaded(_)
        | Reply::Measured(_)
        | Reply::Missing
        | Reply::Owners(_)
        | Reply::Page(_)
        | Reply::Rows { .. }
        | Reply::Swept { .. }
        | Reply::Trimmed { .. } => None,
    }
}
