//! Links to other servers: how they are proven, why there is none, and what authors are told of what therefore is not sent.

use alloc::boxed::Box;

use super::network::LookupError;
use super::reach::{AttemptError, Unproven, Unreached};
use super::rule::Refusal;
use crate::stanza::Condition;

/// By what a server has proven to the other which domain it speaks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProvenBy {
    /// SASL EXTERNAL (XEP-0178).
    External,
    /// Dialback (XEP-0220).
    Dialback,
}

/// Why there is no way to a remote domain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkFailure {
    /// It was not reached; and what became of the last that was tried.
    Unreached(Unreached, Option<Box<AttemptError>>),
    /// It was, and then the stream came to nothing.
    Broke(Box<AttemptError>),
}

impl LinkFailure {
    /// Whether it will be the same for some time, whatever is tried.
    #[must_use]
    pub fn is_for_good(&self) -> bool {
        match self {
            // An administrator's word is missing, or somebody's records are wrong.
            Self::Unreached(Unreached::Unsuccessful, Some(last))
                if matches!(**last, AttemptError::RefusedPlace(_)) =>
            {
                true
            }
            Self::Unreached(why, _) => match why {
                Unreached::NoAddresses
                | Unreached::NoService
                | Unreached::Policy(_)
                | Unreached::Unwelcome => true,
                Unreached::Unresolved(_)
                | Unreached::Unsuccessful
                | Unreached::TimedOut
                | Unreached::Stopped => false,
            },
            Self::Broke(error) => match **error {
                AttemptError::Policy(_) | AttemptError::Unproven(Unproven::Invalid) => true,
                AttemptError::Broke(_)
                | AttemptError::Ended(_)
                | AttemptError::Evicted
                | AttemptError::OtherHost(_)
                | AttemptError::Plaintext
                | AttemptError::Refused(_)
                | AttemptError::RefusedPlace(_)
                | AttemptError::StarttlsRefused
                | AttemptError::TimedOut(_)
                | AttemptError::Tls
                | AttemptError::Unconnected(_)
                | AttemptError::Unproven(Unproven::Error(_)) => false,
            },
        }
    }

    /// What decided on this side, if this side did.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Unreached(Unreached::Policy(refusal), _) => Some(*refusal),
            Self::Broke(error) => match &**error {
                AttemptError::Policy(refusal) => Some(*refusal),
                AttemptError::Broke(_)
                | AttemptError::Ended(_)
                | AttemptError::Evicted
                | AttemptError::OtherHost(_)
                | AttemptError::Plaintext
                | AttemptError::Refused(_)
                | AttemptError::RefusedPlace(_)
                | AttemptError::StarttlsRefused
                | AttemptError::TimedOut(_)
                | AttemptError::Tls
                | AttemptError::Unconnected(_)
                | AttemptError::Unproven(_) => None,
            },
            Self::Unreached(..) => None,
        }
    }

    /// The condition of what comes back: RFC 6120 §10.4.3, XEP-0220 §2.1.1.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let why = match self {
            Self::Unreached(why, _) => why,
            Self::Broke(error) if matches!(**error, AttemptError::Unproven(Unproven::Invalid)) => {
                return Condition::InternalServerError;
            }
            Self::Broke(_) => return Condition::RemoteServerTimeout,
        };
        match why {
            Unreached::NoAddresses
            | Unreached::NoService
            | Unreached::Unresolved(LookupError::Refused | LookupError::TimedOut)
            // For who asks, such a server is none.
            | Unreached::Policy(Refusal::NotAllowed | Refusal::Excluded) => {
                Condition::RemoteServerNotFound
            }
            Unreached::Unresolved(LookupError::Busy) => Condition::ResourceConstraint,
            Unreached::Policy(_)
            | Unreached::Unsuccessful
            | Unreached::Unwelcome
            | Unreached::TimedOut
            | Unreached::Stopped => Condition::RemoteServerTimeout,
        }
    }

    /// The text beside it: a sentence of ours, which names nobody and repeats nobody's words.
    #[must_use]
    pub fn bounce(&self) -> &'static str {
        const UNWELCOME: &str = "The other server does not communicate with this one";
        const UNREACHED: &str = "The other server could not be reached";
        if let Some(refusal) = self.refusal() {
            return refusal.bounce();
        }
        match self {
            Self::Unreached(why, _) => match why {
                Unreached::NoAddresses | Unreached::NoService => "There is no such server",
                Unreached::Unresolved(_) => "The other server could not be looked up",
                Unreached::Unwelcome => UNWELCOME,
                Unreached::Stopped => "This server is being stopped",
                Unreached::Policy(_) | Unreached::Unsuccessful | Unreached::TimedOut => UNREACHED,
            },
            Self::Broke(error) if matches!(**error, AttemptError::Refused(_)) => UNWELCOME,
            Self::Broke(error) if matches!(**error, AttemptError::Unproven(_)) => {
                Refusal::NoMethod.bounce()
            }
            Self::Broke(_) => UNREACHED,
        }
    }
}
