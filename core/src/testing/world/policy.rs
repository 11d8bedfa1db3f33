//! What a world leaves to its user: when and how each thing happens that a shell does for the core.

use crate::limits::StoreCredit;
use crate::port::{ConnectError, Opening};
use crate::store::StoreError;

/// When a shard's actions are drained.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Drain {
    /// After each input.
    EachInput,
    /// Once all that came in a turn is handled.
    #[default]
    EachTurn,
}

/// When the store answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum StorePace {
    /// In the next turn.
    #[default]
    Prompt,
    /// When it is told to; in whole turns when nothing else can happen.
    Slow,
    /// At once, and always that it is too busy.
    Busy,
}

/// What becomes of one batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fate {
    /// It takes effect, and that is said.
    #[default]
    Kept,
    /// The same, but not before so many other things have happened.
    Delayed(u32),
    /// It takes no effect, and that is said. With `StoreError::Unknown`, nobody can know that it took none.
    Failed(StoreError),
    /// It takes effect, and nobody can know.
    Lost,
}

/// Whether connections can go from shard to shard.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mesh {
    /// At once.
    #[default]
    Free,
    /// Not now: the way is full.
    Full,
}

/// Whether there are workers to derive keys.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Workers {
    /// In the next turn.
    #[default]
    Free,
    /// When they are told to; in whole turns when nothing else can happen.
    Slow,
    /// All are busy: it is refused.
    Busy,
}

/// Whether there is a directory that judges passwords.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Directory {
    /// In the next turn.
    #[default]
    Prompt,
    /// When it is told to; in whole turns when nothing else can happen.
    Late,
    /// It cannot be reached, or too many wait for it: it is refused.
    Unreachable,
    /// Nothing is heard of it any more, against the contract.
    Silent,
}

/// When DNS answers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Resolver {
    /// In the next turn.
    #[default]
    Prompt,
    /// When it is told to; in whole turns when nothing else can happen.
    Late,
    /// Nothing is heard of it any more, against the contract.
    Silent,
}

/// What is at an address to which a shard connects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// Somebody whom the user plays, at once.
    Opens,
    /// The same, once it is told to open, or to refuse.
    Waits,
    /// Nobody.
    Refuses(ConnectError),
    /// A listener of this shard.
    Listens(usize, Opening),
}

/// When a connection that the core wants closed is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Closing {
    /// At once.
    #[default]
    AtOnce,
    /// When it is told to.
    WhenTold,
}

/// What is a client's TLS handshake.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Handshakes {
    /// One word of the client, and everything else fails it.
    #[default]
    Spoken,
    /// It is done when it is told to be, and whatever the client says in between comes behind it.
    WhenTold,
}

/// What a client takes of what the server writes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Taking {
    /// All that is there.
    #[default]
    All,
    /// All, and nobody looks at it.
    Counted,
    /// All, a half and then the rest.
    Halves,
    /// Nothing: it piles up.
    Nothing,
}

/// Whether it is kept what each shard was told.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Recording {
    /// Yes, to be told again.
    #[default]
    On,
    /// No: it takes memory, and time that is another's to be measured.
    Off,
}

/// Smaller bounds for each shard than a server has, so that they are reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Its credit with the store.
    pub credit: StoreCredit,
    /// Accounts that stay in memory although nobody is signed in to them.
    pub idle: usize,
    /// Streams that end in one turn, where many end for one reason.
    pub endings: usize,
}
