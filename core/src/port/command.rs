//! What an administrator can ask for.

use alloc::vec::Vec;

use crate::jid::{BareJid, Domain};
use crate::sasl::Status;
use crate::secret::Secret;

/// The shell's name for one command under way.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommandId(pub u64);

/// A command. All but `List` name an account and are for its owner's shard; `List` is for any.
#[derive(Clone, Debug)]
pub enum Command {
    /// Makes an account.
    Add {
        /// Its address, at a host of ours.
        account: BareJid,
        /// Its password as typed.
        password: Secret,
    },
    /// Deletes the account and everything it keeps. Its sessions are closed with `not-authorized` first.
    Delete {
        /// This account.
        account: BareJid,
    },
    /// Nobody may sign in until `Enable`. Its sessions are closed.
    Disable {
        /// This account.
        account: BareJid,
    },
    /// Undoes `Disable`.
    Enable {
        /// This account.
        account: BareJid,
    },
    /// Accounts of one host in order.
    List {
        /// This host.
        host: Domain,
        /// Begin behind this account.
        after: Option<BareJid>,
        /// At most this many.
        limit: u32,
    },
    /// Sets a new password. Other sessions of the account are closed with `reset`.
    Passwd {
        /// This account.
        account: BareJid,
        /// The password as typed.
        password: Secret,
    },
}

impl Command {
    /// The account it is about.
    #[must_use]
    pub const fn account(&self) -> Option<&BareJid> {
        match self {
            Self::Add { account, .. }
            | Self::Delete { account }
            | Self::Disable { account }
            | Self::Enable { account }
            | Self::Passwd { account, .. } => Some(account),
            Self::List { .. } => None,
        }
    }
}

/// What came of a command.
pub type CommandResult = Result<CommandReply, CommandError>;

/// A command's success; given only when what it promises is on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommandReply {
    /// Done.
    Done,
    /// Accounts in order; fewer than the limit means there are no more.
    Users(Vec<UserEntry>),
}

/// One line of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserEntry {
    /// The account.
    pub account: BareJid,
    /// Whether it may sign in.
    pub status: Status,
}

/// Why a command failed. Nothing of it took effect, but for `Unknown`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommandError {
    /// The workers or the store are too busy.
    Busy,
    /// There is such an account already.
    Exists,
    /// There is no room on the disk.
    Full,
    /// The host is not served here.
    NoSuchHost,
    /// There is no such account.
    NoSuchUser,
    /// This cannot be a new password: see `sasl::PasswordError`.
    Password,
    /// The store failed; the log says how.
    Store,
    /// The store failed in a way that leaves open whether it took effect.
    Unknown,
}
