//! What an administrator asks of archives, and of what deleted accounts have left.

use alloc::vec;
use alloc::vec::Vec;

use super::Shard;
use super::commands::store_error;
use super::signin::{first_row, read_credentials};
use crate::archive::ARCHIVE;
use crate::jid::{BareJid, Domain};
use crate::limits::STORE_TRIM_ENTRIES;
use crate::port::{ArchiveSize, ArchiveTask, CommandError, CommandReply, CommandResult};
use crate::store::{Amount, Batch, Class, Kept, Op, Reply, StoreError};
use crate::time::Now;
use crate::wait::{CommandStep, Requester};

impl Shard {
    /// There may be no such account.
    pub(super) fn archive(&mut self, by: Requester, account: BareJid, task: ArchiveTask) {
        let batch = read_credentials(account.clone(), Class::Change);
        self.ask(by, Some(account), batch, CommandStep::Archive(task));
    }

    /// Whether there is such an account is known.
    pub(super) fn archive_found(
        &mut self,
        now: Now,
        by: Requester,
        account: BareJid,
        task: ArchiveTask,
        replies: Vec<Reply>,
    ) {
        if first_row(replies).is_none() {
            return self.finish(now, by, &account, Err(CommandError::NoSuchUser));
        }
        if let Some(key) = self.by_name.get(account.as_str()) {
            // What was kept until now is counted, too.
            self.send_all(*key);
        }
        let (class, op) = match task {
            ArchiveTask::Measure => {
                let most = Amount {
                    entries: u64::MAX,
                    bytes: u64::MAX,
                };
                let measure = Op::Measure {
                    log: ARCHIVE,
                    kept: Kept::Archived,
                    most,
                    upto: i64::MAX,
                };
                (Class::Page, measure)
            }
            ArchiveTask::Trim(before) => {
                let trim = Op::Trim {
                    log: ARCHIVE,
                    before,
                    kept: Kept::Archived,
                    limit: STORE_TRIM_ENTRIES,
                };
                (Class::Upkeep, trim)
            }
        };
        let batch = batch_of(account.clone(), class, op);
        self.ask(by, Some(account), batch, CommandStep::Archived);
    }

    pub(super) fn archive_done(
        &mut self,
        now: Now,
        by: Requester,
        account: &BareJid,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let result = match outcome.as_deref() {
            Ok([Reply::Measured(measured)]) => Ok(CommandReply::Archive(ArchiveSize {
                messages: measured.whole.entries,
                bytes: measured.whole.bytes,
                oldest: measured.oldest,
                newest: measured.newest,
                waiting: measured.owed.entries,
            })),
            Ok([Reply::Trimmed { entries, more }]) => Ok(CommandReply::Trimmed {
                messages: *entries,
                more: *more,
            }),
            Ok(_) => Err(CommandError::Store),
            Err(error) => Err(store_error(*error)),
        };
        self.finish(now, by, account, result);
    }

    pub(super) fn erase(&mut self, now: Now, by: Requester, host: &Domain) {
        if self.config.accounts(host).is_none() {
            return self.reply(now, by, Err(CommandError::NoSuchHost));
        }
        let batch = batch_of(BareJid::of_domain(host), Class::Upkeep, Op::Erase);
        self.ask(by, None, batch, CommandStep::Erase);
    }
}

pub(super) fn erased(outcome: Result<Vec<Reply>, StoreError>) -> CommandResult {
    match outcome.as_deref() {
        Ok([Reply::Erased(erased)]) => Ok(CommandReply::Erased(*erased)),
        Ok(_) => Err(CommandError::Store),
        Err(error) => Err(store_error(*error)),
    }
}

fn batch_of(owner: BareJid, class: Class, op: Op) -> Batch {
    Batch {
        owner,
        tenure: 0,
        class,
        ops: vec![op],
    }
}
