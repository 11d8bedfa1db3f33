//! What comes of a question. The words for what is asked and found are the core's: `Lookup` and `Resolved`.

use std::fmt;

use spondee_core::port::{LookupError, Resolved};

/// What came of a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// As it was asked.
    pub ticket: u64,
    /// What. Of a failure `failure` says more.
    pub resolved: Resolved,
    /// Why nobody could say, in words for people.
    pub failure: Option<Failure>,
}

/// Why nobody could say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// No name server answered in time.
    TimedOut,
    /// The last that answered had nothing to say: its code, or what was wrong.
    Refused(String),
    /// Aliases lead from name to name without end.
    TooManyAliases,
    /// So many questions are under way that this one was not asked.
    TooManyQuestions,
}

impl Answer {
    pub(super) const fn of(ticket: u64, resolved: Resolved) -> Self {
        Self {
            ticket,
            resolved,
            failure: None,
        }
    }

    pub(super) fn failed(ticket: u64, failure: Failure) -> Self {
        Self {
            ticket,
            resolved: Resolved::Failed(failure.kind()),
            failure: Some(failure),
        }
    }
}

impl Failure {
    /// Of a name that has no place in a message.
    pub(super) fn unaskable() -> Self {
        Self::Refused("nothing, since this name cannot be asked for".to_owned())
    }

    const fn kind(&self) -> LookupError {
        match self {
            Self::TimedOut => LookupError::TimedOut,
            Self::Refused(_) | Self::TooManyAliases => LookupError::Refused,
            Self::TooManyQuestions => LookupError::Busy,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no name server answered in time"),
            Self::Refused(why) => write!(f, "the name server said {why}"),
            Self::TooManyAliases => f.write_str("its aliases lead nowhere"),
            Self::TooManyQuestions => f.write_str("too many names are being looked up"),
        }
    }
}
