//! What to do when an answer comes: data, not a closure, so it prints, replays and has a size.
//!
//! A wait names things by generational keys only, so no answer reaches what took the place of the one that asked.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::account::{AccountKey, Read, SessionKey};
use crate::arena::arena_key;
use crate::envelope::{Receipt, Sent};
use crate::federation::RoundKey;
use crate::jid::{BareJid, Domain, Jid, Resource};
use crate::limits::{STORE_BATCH_BYTES, STORE_BATCH_OPS};
use crate::link::{RemoteKey, Written};
use crate::port::{ArchiveTask, CommandId, ConnId, Imported, Lookup};
use crate::sasl::{Dates, Hashes, SignIn, Status, Tombstones, Verifier};
use crate::secret::Secret;
use crate::stanza::Stanza;
use crate::store::{Batch, Op, Owed, Row};

/// One question under way.
#[derive(Debug)]
pub(crate) struct Question {
    /// What to do with the answer.
    pub(crate) wait: Wait,
    /// The credit that the store gives back with it, in bytes; `None` for questions to others.
    pub(crate) credit: Option<usize>,
}

impl Question {
    /// Whether nothing depends on the answer once all connections are gone: a directory may take its time, and the server is to end.
    pub(crate) const fn is_nobodys_any_more(&self) -> bool {
        matches!(self.wait, Wait::Judge(_))
    }
}

/// Who wants the answer.
#[derive(Debug)]
pub(crate) enum Wait {
    /// Somebody wants the card of an account that is somebody else's.
    Card(Box<(Arc<Stanza>, Jid)>),
    /// A host whose accounts are counted.
    Census(Domain),
    /// What an account has changed is with the store.
    Commit(AccountKey),
    /// An administrator's command.
    Command(Box<CommandWait>),
    /// A stream wants the credentials of who is signing in, after so many changes of any.
    Credentials(ConnId, u64),
    /// A stream wants keys derived from a password.
    Derive(ConnId),
    /// A stream wants a password judged by a directory.
    Judge(ConnId),
    /// An account is made of whom a directory knows.
    Newcomer(Box<Newcomer>),
    /// Messages are with the store.
    Append(Box<Appended>),
    /// What waits for another server is with the store.
    LinkKept(Box<LinkKept>),
    /// What was kept for another server is to be read.
    LinkRows(RemoteKey, Domain),
    /// The next server for which something was kept is looked for.
    LinkScan,
    /// Nobody waits for what went to the store.
    Quiet,
    /// Whoever reaches a domain wants this of DNS.
    Reach(RoundKey, Lookup),
    /// An account wants something that it does not have in memory.
    Read(AccountKey, Box<Read>),
    /// A step of looking for what is kept too long.
    Retention,
    /// An account wants its own data.
    Load(AccountKey),
    /// An account is in memory, and whoever sent this must not learn that from how soon it is answered.
    Pretence(Box<Pretence>),
}

/// A stanza that is answered as if its account had to be read first.
#[derive(Debug)]
pub(crate) struct Pretence {
    pub(crate) stanza: Arc<Stanza>,
    pub(crate) to: Jid,
    pub(crate) receipt: Option<Receipt>,
}

/// Somebody who signs in to an account that is being made for that.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) conn: ConnId,
    pub(crate) peer: IpAddr,
    pub(crate) sign_in: SignIn,
    /// How many changes of credentials the shard has made with this one.
    pub(crate) as_of: u64,
}

/// What waits for another server, of one domain of ours, and is to be on disk.
#[derive(Debug)]
pub(crate) struct LinkKept {
    pub(crate) key: RemoteKey,
    pub(crate) ours: Domain,
    pub(crate) written: Written,
}

/// Messages of an account that are to be on disk.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) account: AccountKey,
    /// For another attempt, where the store was busy.
    pub(crate) batch: Batch,
    /// How often it was offered.
    pub(crate) offered: u8,
    /// Messages that nobody has: their senders are told if they cannot be kept.
    pub(crate) refused: Vec<Arc<Stanza>>,
    /// How much that is.
    pub(crate) owed: Owed,
    /// About how many bytes all of them take.
    pub(crate) bytes: usize,
    /// Who hears of each that it is kept, or never will be.
    pub(crate) receipts: Vec<Sent>,
}

impl Appended {
    /// Takes these behind its own, if one batch has room for both; otherwise gives them back.
    pub(crate) fn join(&mut self, mut more: Box<Self>) -> Option<Box<Self>> {
        let (
            [Op::Append { entries, .. }],
            [
                Op::Append {
                    entries: others, ..
                },
            ],
        ) = (&mut self.batch.ops[..], &mut more.batch.ops[..])
        else {
            return Some(more);
        };
        if entries.len() + others.len() > STORE_BATCH_OPS / 2
            || self.bytes + more.bytes > STORE_BATCH_BYTES / 2
            || self.batch.tenure != more.batch.tenure
        {
            return Some(more);
        }
        entries.append(others);
        self.refused.append(&mut more.refused);
        self.receipts.append(&mut more.receipts);
        self.owed.entries = self.owed.entries.saturating_add(more.owed.entries);
        self.owed.bytes = self.owed.bytes.saturating_add(more.owed.bytes);
        self.bytes = self.bytes.saturating_add(more.bytes);
        None
    }
}

arena_key! {
    /// Names what somebody asks of an account of its own.
    pub(crate) PetitionKey;
}

/// Who wants a command to be carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Requester {
    /// An administrator.
    Administrator(CommandId),
    /// Nobody: the server does it of itself.
    Nobody,
    /// Somebody who is connected.
    Petitioner(PetitionKey),
}

/// What somebody who is connected asks of an account of its own.
#[derive(Clone, Debug)]
pub(crate) struct Petition {
    pub(crate) conn: ConnId,
    pub(crate) peer: IpAddr,
    pub(crate) of: PetitionOf,
}

/// See `Petition`.
#[derive(Clone, Debug)]
pub(crate) enum PetitionOf {
    /// A session, of the account that it is of.
    Member(Member),
    /// A stranger, who wants one.
    Newcomer,
}

/// A session that asks something of its own account. It may have another connection when that is done, or none.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) account: AccountKey,
    pub(crate) session: SessionKey,
    /// What it sent.
    pub(crate) request: Arc<Stanza>,
    /// Who hears what became of that.
    pub(crate) receipt: Option<Sent>,
}

/// Where a command stands.
#[derive(Debug)]
pub(crate) struct CommandWait {
    pub(crate) by: Requester,
    /// `None` for a list.
    pub(crate) account: Option<BareJid>,
    pub(crate) step: CommandStep,
}

/// What a command waits for.
#[derive(Debug)]
pub(crate) enum CommandStep {
    /// Keys for a new account.
    DeriveNew,
    /// Keys for a new password.
    DeriveChange,
    /// What is known of the name of a new account, which is to have this password.
    Name(Secret),
    /// Whether there is an account with whose archive this is to be done.
    Archive(ArchiveTask),
    /// That it is done.
    Archived,
    /// The record of an account whose sessions are to end, or the one of this resource.
    Disconnect(Option<Resource>),
    /// A step of erasing.
    Erase,
    /// Keys for an account that comes from elsewhere, which then may sign in or not, and was made and changed then.
    DeriveImport(i64, Status, Dates),
    /// Keys in place of what this row keeps of the password.
    DeriveRenewal(Row),
    /// What is to be known before a step of an import.
    Import(ImportAsk),
    /// The commit of a step that is not the last.
    Imported,
    /// Accounts of a host.
    List,
    /// The record that is to be changed.
    Read(Change),
    /// The record of somebody who has signed in, of which the password is to be kept otherwise.
    Renew(Renewal),
    /// The record of an account that is to be shown.
    Show,
    /// The record of which the password is to be kept as keys.
    Upgrade,
    /// The commit.
    Write(After),
}

/// A password that was right.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) password: Secret,
    /// The hash of the record that it was right by.
    pub(crate) record: [u8; 32],
}

/// Which step of an import waits.
#[derive(Debug)]
pub(crate) enum ImportAsk {
    Begin(i64, Tombstones),
    End(i64, Imported),
    Keep(i64, Vec<Op>),
    Look(Tombstones),
}

/// How a record is to be changed.
#[derive(Debug)]
pub(crate) enum Change {
    Delete,
    Password(Verifier),
    Status(Status),
}

/// What the commit brings about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum After {
    /// There is a new account, which cannot sign in by these.
    Added(Hashes),
    /// Everything of the account is gone.
    Deleted,
    /// The account may not sign in: its sessions end.
    Disabled,
    /// It may sign in again.
    Enabled,
    /// The password is another: sessions end, with the hash of the new record for those to come.
    PasswordChanged([u8; 32]),
    /// The same password is kept otherwise; with the hash of the new record.
    Renewed([u8; 32]),
}
