//! Why there is no link: by whose decision, in words, and what authors are told of it. The log says the same.

use serde::{Deserialize, Serialize};
use spondee_core::port::{AttemptError, LinkFailure, LookupError, Unproven, Unreached};

use super::super::reach::Became;

/// `LinkFailure`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failure {
    pub(crate) by: Decider,
    /// The rule, if one of ours decided.
    pub(crate) rule: Option<String>,
    pub(crate) why: String,
    /// The error that authors get (RFC 6120 §8.3.3), and its text.
    pub(crate) condition: String,
    pub(crate) text: Option<String>,
}

/// Who decided.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Decider {
    ThisServer,
    OtherServer,
    /// What the domain says in DNS.
    Domain,
}

impl Decider {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::ThisServer => "by this server",
            Self::OtherServer => "by the other server",
            Self::Domain => "by its domain",
        }
    }
}

impl Failure {
    pub(super) fn of(failure: &LinkFailure) -> Self {
        let (by, why) = decided(failure);
        Self {
            by,
            rule: failure.refusal().map(|refusal| refusal.name().to_owned()),
            why,
            condition: failure.condition().name().to_owned(),
            text: failure.told().map(str::to_owned),
        }
    }
}

/// By whose decision, and why.
pub(crate) fn decided(failure: &LinkFailure) -> (Decider, String) {
    let here = |why: &str| (Decider::ThisServer, why.to_owned());
    if let Some(refusal) = failure.refusal() {
        return here(refusal.log());
    }
    let last = match failure {
        LinkFailure::Unreached(why, last) => match why {
            Unreached::NoAddresses => return here("DNS has no address for it"),
            Unreached::NoService => {
                let why = "DNS says that it has no such service";
                return (Decider::Domain, why.to_owned());
            }
            Unreached::Unresolved(error) => {
                return here(match error {
                    LookupError::Busy => "too many names are asked for",
                    LookupError::Refused => "name servers do not say",
                    LookupError::TimedOut => "no name server answers",
                });
            }
            Unreached::Stopped => return here("it stops"),
            Unreached::Policy(_)
            | Unreached::Unsuccessful
            | Unreached::Unwelcome
            | Unreached::TimedOut => last.as_deref(),
        },
        LinkFailure::Broke(error) => Some(&**error),
    };
    match last {
        None => here("it took too long"),
        Some(error) => (whose(error), Became::from(error.clone()).words()),
    }
}

/// Who decided.
const fn whose(error: &AttemptError) -> Decider {
    match error {
        AttemptError::Ended(_)
        | AttemptError::Refused(_)
        | AttemptError::StarttlsRefused
        | AttemptError::Unproven(Unproven::Invalid | Unproven::Error(_)) => Decider::OtherServer,
        AttemptError::Broke(_)
        | AttemptError::Evicted
        | AttemptError::OtherHost(_)
        | AttemptError::Plaintext
        | AttemptError::Policy(_)
        | AttemptError::RefusedPlace(_)
        | AttemptError::TimedOut(_)
        | AttemptError::Tls
        | AttemptError::Unconnected(_) => Decider::ThisServer,
    }
}
