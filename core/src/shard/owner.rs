//! An owner: an account and what it is about to do. It speaks after the disk.
//!
//! ```text
//!            a verified sign-in, a command      its data came              a call changed something kept
//!  (absent) -----------------------> Loading ---------> Ready <---------------------------> Committing
//!     ^                                 ^                 |    the batch took effect: what was held is said,
//!     |                                 |                 |    then the inbox runs
//!     +---- idle, deserted -------------|-----------------+
//!     +---- gone with its account ------|------- Leaving  |
//!                                       +-----------------+--- it did not: what was kept in memory is dropped
//! ```

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::inbox::{Inbox, Post};
use crate::account::{Account, Append, Asked, Read, Saying};
use crate::envelope::{Delivery, Receipt, Sent};
use crate::limits::KEPT_FED_BYTES;
use crate::rare::{Empty, Rare};
use crate::stanza::Stanza;
use crate::store::{Batch, Class, Entry, Op, Owed};
use crate::wait::Appended;
use crate::wait::Requester;

/// See the module.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) account: Account,
    pub(super) life: Life,
    pub(super) inbox: Rare<Inbox>,
    /// Which load of it this is, among all of its shard.
    pub(super) tenure: u64,
    /// Since when it is idle, by the count of those that became so.
    pub(super) idle: Option<u64>,
    /// With which of its connections it went on last.
    pub(super) turn: usize,
    /// Messages that go to the store at the end of the turn.
    pub(super) appends: Rare<Pending>,
    /// What goes to the store behind messages that it was offered.
    pub(super) line: Rare<Line>,
    /// The command that deletes it, once that has begun.
    pub(super) leave: Option<Box<LeaveTaking>>,
}

/// Messages that go to the store together.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub(super) entries: Vec<Entry>,
    /// Those that nobody has.
    pub(super) refused: Vec<Arc<Stanza>>,
    pub(super) owed: Owed,
    /// About how many bytes the entries take.
    pub(super) bytes: usize,
    /// Who hears of each that it is kept, or never will be.
    pub(super) receipts: Vec<Sent>,
}

/// What goes to the store one after the other: messages that it was too busy for are offered again, and nothing that was kept or asked
/// behind them may overtake them. Who saw what came behind a message would never look for it again.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Batches of messages that are with the store, or to be offered again.
    pub(super) offered: u32,
    pub(super) waiting: VecDeque<Waiting>,
    /// Of the messages that wait.
    bytes: usize,
}

/// One thing in the line.
#[derive(Debug)]
pub(super) enum Waiting {
    Messages(Box<Appended>),
    Question(Class, Vec<Op>, Box<Read>),
}

impl Line {
    /// Messages wait for those before them: together with the last that do, if one batch has room for both.
    pub(super) fn push(&mut self, appended: Box<Appended>) {
        self.bytes = self.bytes.saturating_add(appended.bytes);
        let rest = match self.waiting.back_mut() {
            Some(Waiting::Messages(last)) => last.join(appended),
            Some(Waiting::Question(..)) | None => Some(appended),
        };
        self.waiting.extend(rest.map(Waiting::Messages));
    }

    /// What is next.
    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let next = self.waiting.pop_front();
        if let Some(Waiting::Messages(appended)) = &next {
            self.bytes = self.bytes.saturating_sub(appended.bytes);
        }
        next
    }
}

impl Empty for Line {
    const NOTHING: &'static Self = &Self {
        offered: 0,
        waiting: VecDeque::new(),
        bytes: 0,
    };

    fn is_nothing(&self) -> bool {
        self.offered == 0 && self.waiting.is_empty()
    }
}

impl Empty for Pending {
    const NOTHING: &'static Self = &Self {
        entries: Vec::new(),
        refused: Vec::new(),
        owed: Owed {
            entries: 0,
            bytes: 0,
        },
        bytes: 0,
        receipts: Vec::new(),
    };

    fn is_nothing(&self) -> bool {
        self.entries.is_empty()
    }
}

/// An account that is being deleted tells its contacts first.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaveTaking {
    /// Who waits for it.
    pub(super) by: Requester,
    /// How often contacts were told again.
    pub(super) again: u8,
}

/// Why an owner cannot stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Vanishing {
    /// There is no such account, or it is being deleted with all that it keeps.
    Nobody,
    /// What it keeps cannot be read.
    Unreadable,
}

/// What an owner can do.
#[derive(Debug)]
pub(super) enum Life {
    /// Its batch is with the store; nothing of it was said.
    Committing(Box<Commit>),
    /// It goes, and nobody can wait for it any more.
    Leaving(Vanishing),
    /// What it keeps is being read, or is to be read again after so many failures.
    Loading(u8),
    /// It acts at once.
    Ready,
}

/// What waits for the disk.
#[derive(Debug)]
pub(super) struct Commit {
    /// Its calls, in the order in which they were made.
    pub(super) calls: Vec<Call>,
    /// For another attempt, where the store was busy.
    pub(super) batch: Batch,
    /// How often it was offered.
    pub(super) offered: u8,
}

/// One call that waits for the disk.
#[derive(Debug)]
pub(super) struct Call {
    /// What it said.
    pub(super) held: Vec<Saying>,
    /// Messages that it keeps, unless it is made again.
    pub(super) appends: Vec<Append>,
    pub(super) otherwise: Otherwise,
}

/// What becomes of a call if its commit takes no effect.
#[derive(Debug)]
pub(super) enum Otherwise {
    /// It changed nothing itself: it is made again.
    Again(Post),
    /// Who asked is answered with an error.
    Refuse(Asked),
    /// It changed something that nobody asked for.
    Silent,
}

impl Call {
    /// Who would hear something by what it said and keeps.
    pub(super) fn receipts(&self) -> impl Iterator<Item = Sent> + '_ {
        let said = self.held.iter().filter_map(|saying| match saying {
            Saying::Handled(sent) => Some(*sent),
            Saying::Route(Delivery {
                receipt: Some(Receipt::Sent(sent)),
                ..
            }) => Some(*sent),
            Saying::Route(_)
            | Saying::Answer(..)
            | Saying::CatchUp(_)
            | Saying::Late(..)
            | Saying::Settle(_)
            | Saying::Stored(..)
            | Saying::Tell(..)
            | Saying::TellEach(..) => None,
        });
        said.chain(self.appends.iter().filter_map(|append| append.receipt))
    }
}

impl Owner {
    /// Whether so many messages are to be kept that nobody is to send more for now.
    pub(super) fn keeps_much(&self) -> bool {
        self.line.bytes >= KEPT_FED_BYTES
    }

    pub(super) fn new(account: Account) -> Self {
        Self {
            account,
            life: Life::Loading(0),
            inbox: Rare::default(),
            tenure: 0,
            idle: None,
            turn: 0,
            appends: Rare::default(),
            line: Rare::default(),
            leave: None,
        }
    }

    /// Whether calls can be made.
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.life, Life::Ready)
    }

    /// Whether a batch of it is with the store, or to be offered again.
    pub(super) const fn is_committing(&self) -> bool {
        matches!(self.life, Life::Committing(_))
    }

    /// Whether nothing of it is on its way to the disk, and nothing that its sessions sent is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_ready()
            && self.inbox.is_empty()
            && self.appends.entries.is_empty()
            && self.line.offered == 0
            && self.line.waiting.is_empty()
            && !self.account.has_unsettled()
    }

    /// Whether what comes must wait, because the owner cannot act or something else came before.
    pub(super) fn is_busy(&self) -> bool {
        match self.life {
            Life::Ready => !self.inbox.is_empty(),
            Life::Committing(_) | Life::Loading(_) => true,
            // Nobody is there any more who could wait.
            Life::Leaving(_) => false,
        }
    }
}
