//! Why there is no way to a remote domain, and what the authors are told of what therefore is not sent.

use crate::federation::Refusal;
use crate::port::{AttemptError, LookupError, Unproven, Unreached};
use crate::stanza::Condition;

/// See the module.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Failure {
    /// It was not reached.
    Unreached(Unreached),
    /// It was, and then the stream came to nothing.
    Broke(AttemptError),
}

impl Failure {
    /// Whether it will be the same for some time, whatever is tried.
    pub(crate) const fn is_for_good(&self) -> bool {
        match self {
            Self::Unreached(why) => match why {
                Unreached::NoAddresses
                | Unreached::NoService
                | Unreached::Policy(_)
                | Unreached::Unwelcome => true,
                Unreached::Unresolved(_)
                | Unreached::Unsuccessful
                | Unreached::TimedOut
                | Unreached::Stopped => false,
            },
            Self::Broke(error) => match error {
                AttemptError::Policy(_) | AttemptError::Unproven(Unproven::Invalid) => true,
                AttemptError::Broke(_)
                | AttemptError::Ended(_)
                | AttemptError::Evicted
                | AttemptError::OtherHost(_)
                | AttemptError::Plaintext
                | AttemptError::Refused(_)
                | AttemptError::StarttlsRefused
                | AttemptError::TimedOut(_)
                | AttemptError::Tls
                | AttemptError::Unconnected(_)
                | AttemptError::Unproven(Unproven::Error(_)) => false,
            },
        }
    }

    /// What decided on this side, if this side did.
    pub(crate) const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Unreached(Unreached::Policy(refusal))
            | Self::Broke(AttemptError::Policy(refusal)) => Some(*refusal),
            Self::Unreached(_) | Self::Broke(_) => None,
        }
    }

    /// The condition of what comes back: RFC 6120 §10.4.3, XEP-0220 §2.1.1.
    pub(crate) const fn condition(&self) -> Condition {
        match self {
            Self::Unreached(
                Unreached::NoAddresses
                | Unreached::NoService
                | Unreached::Unresolved(LookupError::Refused | LookupError::TimedOut)
                // For who asks, such a server is none.
                | Unreached::Policy(Refusal::NotAllowed | Refusal::Excluded),
            ) => Condition::RemoteServerNotFound,
            Self::Unreached(Unreached::Unresolved(LookupError::Busy)) => {
                Condition::ResourceConstraint
            }
            Self::Broke(AttemptError::Unproven(Unproven::Invalid)) => {
                Condition::InternalServerError
            }
            Self::Unreached(
                Unreached::Policy(_)
                | Unreached::Unsuccessful
                | Unreached::Unwelcome
                | Unreached::TimedOut
                | Unreached::Stopped,
            )
            | Self::Broke(_) => Condition::RemoteServerTimeout,
        }
    }

    /// The text beside it: a sentence of ours, which names nobody and repeats nobody's words.
    pub(crate) const fn bounce(&self) -> &'static str {
        if let Some(refusal) = self.refusal() {
            return refusal.bounce();
        }
        match self {
            Self::Unreached(Unreached::NoAddresses | Unreached::NoService) => {
                "There is no such server"
            }
            Self::Unreached(Unreached::Unresolved(_)) => "The other server could not be looked up",
            Self::Unreached(Unreached::Unwelcome) | Self::Broke(AttemptError::Refused(_)) => {
                "The other server does not communicate with this one"
            }
            Self::Broke(AttemptError::Unproven(_)) => Refusal::NoMethod.bounce(),
            Self::Unreached(Unreached::Stopped) => "This server is being stopped",
            Self::Unreached(
                Unreached::Policy(_) | Unreached::Unsuccessful | Unreached::TimedOut,
            )
            | Self::Broke(_) => "The other server could not be reached",
        }
    }
}
