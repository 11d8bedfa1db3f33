//! Links to other servers: which are proven, by what, and why others failed, and by whose decision.

use std::net::IpAddr;

use spondee_core::jid::Domain;
use spondee_core::port::{
    AttemptError, LinkFailure, LookupError, ProvenBy, TlsVersion, Unproven, Unreached,
};
use tracing::Level;

use crate::control::reaching::Became;
use crate::log::{Cause, Subject, may_write};

pub(super) fn proven(
    (ours, theirs): (&Domain, &Domain),
    peer: IpAddr,
    by: ProvenBy,
    tls: Option<TlsVersion>,
) {
    let peer = peer.to_canonical();
    let by = match by {
        ProvenBy::External => "EXTERNAL",
        ProvenBy::Dialback => "dialback",
    };
    let tls = match tls {
        None => "none",
        Some(TlsVersion::V1_2) => "1.2",
        Some(TlsVersion::V1_3) => "1.3",
    };
    tracing::info!(%peer, server = %theirs, host = %ours, by, tls, "link is up");
}

pub(super) fn failed((ours, theirs): (&Domain, &Domain), why: &LinkFailure) {
    if may_write(Level::INFO, Cause::Server, Subject::Failure) {
        let words = words(why);
        tracing::info!(server = %theirs, host = %ours, "no link, {words}");
    }
}

/// By whose decision, and why.
fn words(failure: &LinkFailure) -> String {
    if let Some(refusal) = failure.refusal() {
        return format!("by this server: {}", refusal.log());
    }
    let last = match failure {
        LinkFailure::Unreached(why, last) => match why {
            Unreached::NoAddresses => {
                return "by this server: DNS has no address for it".to_owned();
            }
            Unreached::NoService => {
                return "by its domain: DNS says that it has no such service".to_owned();
            }
            Unreached::Unresolved(error) => {
                let why = match error {
                    LookupError::Busy => "too many names are asked for",
                    LookupError::Refused => "name servers do not say",
                    LookupError::TimedOut => "no name server answers",
                };
                return format!("by this server: {why}");
            }
            Unreached::Stopped => return "by this server: it stops".to_owned(),
            Unreached::Policy(_)
            | Unreached::Unsuccessful
            | Unreached::Unwelcome
            | Unreached::TimedOut => last.as_deref(),
        },
        LinkFailure::Broke(error) => Some(&**error),
    };
    match last {
        None => "by this server: it took too long".to_owned(),
        Some(error) => format!("{}: {}", whose(error), Became::from(error.clone()).words()),
    }
}

/// Who decided.
const fn whose(error: &AttemptError) -> &'static str {
    match error {
        AttemptError::Ended(_)
        | AttemptError::Refused(_)
        | AttemptError::StarttlsRefused
        | AttemptError::Unproven(Unproven::Invalid | Unproven::Error(_)) => "by the other server",
        AttemptError::Broke(_)
        | AttemptError::Evicted
        | AttemptError::OtherHost(_)
        | AttemptError::Plaintext
        | AttemptError::Policy(_)
        | AttemptError::RefusedPlace(_)
        | AttemptError::TimedOut(_)
        | AttemptError::Tls
        | AttemptError::Unconnected(_) => "by this server",
    }
}
