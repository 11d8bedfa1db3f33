//! What an administrator can ask for.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::{ArchiveSize, ArchiveTask, ImportStep, LinkReply, LinkTask, Protocol, Reach};
use crate::jid::{BareJid, Domain, Resource};
use crate::sasl::{Form, Held, Status, Tombstones};
use crate::secret::Secret;
use crate::store::Erased;

/// The shell's name for one command under way.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommandId(pub u64);

/// A command. All but `Erase`, `Links`, `List` and `Reach` name an account and are for its owner's shard; those are for any, but for `Links`, which
/// says so itself.
#[derive(Clone, Debug)]
pub enum Command {
    /// Makes an account.
    Add {
        /// Its address, at a host of ours.
        account: BareJid,
        /// Its password as typed.
        password: Secret,
        /// Whether a name is taken that was deleted.
        tombstones: Tombstones,
    },
    /// Looks after the archive of an account.
    Archive {
        /// This account.
        account: BareJid,
        /// What is to be done.
        task: ArchiveTask,
    },
    /// Deletes the account and everything it keeps. Its sessions are closed with `not-authorized` first. Its name is held for
    /// `user_tombstone_expiry`.
    Delete {
        /// This account.
        account: BareJid,
    },
    /// Nobody may sign in until `Enable`. Its sessions are closed.
    Disable {
        /// This account.
        account: BareJid,
    },
    /// Ends sessions with `policy-violation`, whether they are connected or asleep. Who is put out may sign in again at once.
    Disconnect {
        /// Of this account.
        account: BareJid,
        /// The one of this resource; without it all of them.
        resource: Option<Resource>,
    },
    /// Undoes `Disable`.
    Enable {
        /// This account.
        account: BareJid,
    },
    /// One step towards leaving nothing readable of accounts that were deleted: see `store::Erased`.
    Erase {
        /// At a host of ours, on whose behalf it is done; it is done for all.
        host: Domain,
    },
    /// Brings an account here from elsewhere, step by step. One import at a time of an account, which the shell sees to.
    Import {
        /// Its address, at a host of ours.
        account: BareJid,
        /// This step.
        step: Box<ImportStep>,
    },
    /// Looks after links to other servers.
    Links(LinkTask),
    /// Accounts of one host in order.
    List {
        /// This host.
        host: Domain,
        /// Begin behind this account.
        after: Option<BareJid>,
        /// At most this many.
        limit: u32,
    },
    /// Sets a new password. Sessions of the account are closed with `reset`.
    Passwd {
        /// This account.
        account: BareJid,
        /// The password as typed.
        password: Secret,
    },
    /// Finds out whether and how a domain can be reached.
    Reach {
        /// This domain; nobody need serve it here.
        domain: Domain,
        /// As whom.
        service: Protocol,
    },
    /// What there is to know of an account, whether anybody is signed in to it or not.
    Show {
        /// This account.
        account: BareJid,
    },
    /// Where the password itself is kept, keys take its place. Nobody's session ends, and nothing else changes.
    Upgrade {
        /// This account.
        account: BareJid,
    },
}

impl Command {
    /// The account it is about.
    #[must_use]
    pub const fn account(&self) -> Option<&BareJid> {
        match self {
            Self::Add { account, .. }
            | Self::Archive { account, .. }
            | Self::Delete { account }
            | Self::Disable { account }
            | Self::Disconnect { account, .. }
            | Self::Enable { account }
            | Self::Import { account, .. }
            | Self::Passwd { account, .. }
            | Self::Show { account }
            | Self::Upgrade { account } => Some(account),
            Self::Erase { .. } | Self::Links(_) | Self::List { .. } | Self::Reach { .. } => None,
        }
    }
}

/// What came of a command.
pub type CommandResult = Result<CommandReply, CommandError>;

/// A command's success; given only when what it promises is on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CommandReply {
    /// How much an account has archived.
    Archive(ArchiveSize),
    /// Sessions were ended.
    Disconnected {
        /// So many.
        sessions: usize,
    },
    /// Done.
    Done,
    /// How far erasing has come.
    Erased(Erased),
    /// What there is to know of links, and what was done with them.
    Links(LinkReply),
    /// What was done to reach a domain, and whether it was.
    Reached(Box<Reach>),
    /// So many archived messages are gone.
    Trimmed {
        /// This many.
        messages: u32,
        /// Whether more are to go.
        more: bool,
    },
    /// What there is to know of the account.
    User(Box<UserDetails>),
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
    /// What is kept of its password.
    pub password: Form,
}

/// An account as it is at one moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserDetails {
    /// Whether it may sign in.
    pub status: Status,
    /// What is kept of its password.
    pub password: Form,
    /// Who is in its roster, and who would like to be.
    pub contacts: Contacts,
    /// The end of its last session, if none is there and that is known.
    pub last_activity: Option<LastActivity>,
    /// Its resources, connected or asleep; who came first is first.
    pub devices: Vec<Device>,
}

/// Contacts by their subscription (RFC 6121 §2.1.2.5), each as seen from the account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Contacts {
    /// Neither sees the other's presence.
    pub none: usize,
    /// The account sees theirs.
    pub to: usize,
    /// They see the account's.
    pub from: usize,
    /// Both see the other's.
    pub both: usize,
    /// Whose request waits for an answer, in the roster or not.
    pub requests: usize,
    /// Addresses that are blocked, in the roster or not (XEP-0191).
    pub blocked: usize,
}

impl Contacts {
    /// All in the roster.
    #[must_use]
    pub const fn count(&self) -> usize {
        let Self {
            none,
            to,
            from,
            both,
            requests: _,
            blocked: _,
        } = self;
        none.saturating_add(*to)
            .saturating_add(*from)
            .saturating_add(*both)
    }
}

/// The end of an account's last session (XEP-0012).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LastActivity {
    /// So long ago.
    pub ago: Duration,
    /// What the session said at last, if anything.
    pub status: Option<String>,
}

/// A connected resource, or one that lost its connection and is waited for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Its name, which the client may have chosen.
    pub resource: String,
    /// From where it is connected, or was at last.
    pub peer: SocketAddr,
    /// For how long it has had its resource.
    pub connected: Duration,
    /// What it has said of its availability.
    pub availability: Availability,
    /// What carries it.
    pub line: Line,
}

/// Whether a connection carries a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Line {
    /// One does.
    Here {
        /// Bytes that wait until it reads.
        unread: usize,
    },
    /// It was lost, and the client may come back to its session (XEP-0198 §5).
    Asleep {
        /// For so long it has been.
        lasted: Duration,
        /// For so long at most it will be.
        left: Duration,
        /// Stanzas that wait for the client.
        waiting: usize,
    },
}

/// What a connected resource has said of its availability (RFC 6121 §4.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Availability {
    /// Nothing, or that it is unavailable.
    Connected,
    /// It is an available resource.
    Available {
        /// Who has the highest is sent what is for the account.
        priority: i8,
        /// In which way; `None` if it has not said, or not in one of the four words that there are.
        show: Option<Show>,
        /// In its own words, of which the first `STATUS_SHOWN_BYTES` are here; then follows an ellipsis.
        status: Option<String>,
    },
}

/// RFC 6121 §4.7.2.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Show {
    /// Away for a while.
    Away,
    /// Interested in chatting.
    Chat,
    /// Busy.
    Dnd,
    /// Away for longer.
    Xa,
}

impl Show {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Away, Self::Chat, Self::Dnd, Self::Xa];

    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Chat => "chat",
            Self::Dnd => "dnd",
            Self::Xa => "xa",
        }
    }
}

/// Why a command failed. Nothing of it took effect, but for `Unknown`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommandError {
    /// The workers or the store are too busy.
    Busy,
    /// A directory has the passwords of the host: they are set there, and accounts are made when their users come.
    Directory,
    /// There is such an account already.
    Exists,
    /// There is no room on the disk.
    Full,
    /// The host has guests, and no accounts.
    Guests,
    /// An account of this name was deleted, and its tombstone is heeded.
    Held(Held),
    /// The host keeps passwords themselves, which were to become keys.
    KeepsPasswords,
    /// The host is not served here.
    NoSuchHost,
    /// The account has no session of this resource.
    NoSuchSession,
    /// There is no such account.
    NoSuchUser,
    /// This cannot be a new password: see `sasl::PasswordError`.
    Password,
    /// As many domains are being reached as may be at a time.
    Reaching,
    /// The store failed; the log says how.
    Store,
    /// The store failed in a way that leaves open whether it took effect.
    Unknown,
}
