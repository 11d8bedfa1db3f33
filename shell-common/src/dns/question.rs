//! What is asked, and what comes of it.

use std::fmt;
use std::net::IpAddr;

use super::{Name, Service};

/// What is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// The addresses of a name, of both families.
    Addresses(Name),
    /// The SRV records of a name, as `Name::service` makes it.
    Services(Name),
}

/// What came of a question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// As it was asked.
    pub ticket: u64,
    /// What.
    pub outcome: Outcome,
}

/// See `Answer`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// This, and where it was found.
    Found(Found, Source),
    /// There is no such name.
    NoName,
    /// There is, and it has no such records.
    NoData,
    /// Nobody could say.
    Failed(Failure),
}

/// Records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// Addresses, at least one, those of the two families in turn, IPv6 first (RFC 8305 §4).
    Addresses(Vec<IpAddr>),
    /// Services as they came, at least one. In which order they are tried `order` says.
    Services(Vec<Service>),
    /// The service is decidedly not there: the only record says `.` (RFC 2782, "Target").
    NoService,
}

/// Who said so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// A name server, or what one said before.
    Dns,
    /// `/etc/hosts`, or what everybody knows.
    Hosts,
}

/// Why there is no answer.
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
