//! The core's notes as lines of the log.
//!
//! The words of a line are an interface. Programs that ban addresses match `sign-in failed: … peer=…`, tests look for
//! `signed in account=… mechanism=…`.

use std::fmt;

use spondee_core::port::{CloseReason, Note};
use spondee_core::sasl::OfferEmpty;

/// Logs one note.
pub fn log(note: &Note) {
    match note {
        Note::AccountHeldUp { account } => tracing::warn!(
            %account,
            "too many failed sign-ins: for a while nobody signs in to this account from an unusual address"
        ),
        Note::AddressHeldUp { peer } => {
            let peer = peer.to_canonical();
            tracing::warn!(%peer, "too many failed sign-ins: for a while nobody signs in from this address");
        }
        Note::Bug(what) => tracing::error!(
            "an error of this program, please report it: {what}; the stream was closed"
        ),
        Note::Bound { conn, jid } => tracing::debug!(%jid, ?conn, "session began"),
        Note::Closed { conn, reason } => tracing::debug!(?conn, "closed: {}", Reason(*reason)),
        Note::NothingOffered { host, why } => {
            tracing::warn!(%host, "nobody can sign in like this: {}", advice(*why));
        }
        Note::SignInFailed {
            conn: _,
            peer,
            failure,
        } => {
            // IPv4 in its own form, also if it came in by an IPv6 socket: that is what a firewall bans.
            let peer = peer.to_canonical();
            tracing::info!(%peer, "sign-in failed: {}", failure.name());
        }
        Note::SignedIn {
            conn: _,
            account,
            mechanism,
        } => {
            let mechanism = mechanism.name();
            tracing::info!(%account, %mechanism, "signed in");
        }
    }
}

struct Reason(CloseReason);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            CloseReason::Ended => "ended",
            CloseReason::Error(condition) => condition,
        })
    }
}

const fn advice(why: OfferEmpty) -> &'static str {
    match why {
        OfferEmpty::EncryptionRequired => {
            "TLS is required, but the host has no certificate; run `spondee check config`"
        }
        OfferEmpty::AllDisabled => "disable_sasl_mechanisms names every mechanism there is",
        OfferEmpty::AllInsecure => {
            "without TLS, insecure_sasl_mechanisms and disable_sasl_mechanisms leave no mechanism"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use spondee_core::arena::Arena;
    use spondee_core::jid::{BareJid, Domain};
    use spondee_core::port::ConnId;
    use spondee_core::sasl::{Failure, Mechanism};

    use tracing::level_filters::LevelFilter;

    use super::*;
    use crate::log::capture;

    #[test]
    fn a_failed_sign_in_names_the_address_to_ban() {
        for (peer, written) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let note = Note::SignInFailed {
                conn: connection(),
                peer: peer.parse::<IpAddr>().unwrap(),
                failure: Failure::NotAuthorized,
            };
            let line = format!("sign-in failed: not-authorized peer={written}");
            assert_eq!(logged(LevelFilter::INFO, &note), [line]);
        }
    }

    #[test]
    fn a_sign_in_names_account_and_mechanism() {
        let note = Note::SignedIn {
            conn: connection(),
            account: BareJid::parse("juliet@example.org").unwrap(),
            mechanism: Mechanism::from_name("SCRAM-SHA-256").unwrap(),
        };
        let line = "signed in account=juliet@example.org mechanism=SCRAM-SHA-256";
        assert_eq!(logged(LevelFilter::INFO, &note), [line]);
    }

    #[test]
    fn a_bug_is_an_error_and_an_empty_offer_a_warning_with_its_cause() {
        assert_eq!(logged(LevelFilter::ERROR, &Note::Bug("seat")).len(), 1);
        let note = Note::NothingOffered {
            host: Domain::parse("example.org").unwrap(),
            why: OfferEmpty::EncryptionRequired,
        };
        assert_eq!(logged(LevelFilter::ERROR, &note), [""; 0]);
        let lines = logged(LevelFilter::WARN, &note);
        assert!(lines[0].contains("no certificate"), "{lines:?}");
    }

    #[test]
    fn the_end_of_a_connection_is_told_only_to_who_asks_for_everything() {
        let note = Note::Closed {
            conn: connection(),
            reason: CloseReason::Error("policy-violation"),
        };
        assert_eq!(logged(LevelFilter::INFO, &note), [""; 0]);
        let lines = logged(LevelFilter::DEBUG, &note);
        assert!(lines[0].contains("policy-violation"), "{lines:?}");
    }

    fn logged(level: LevelFilter, note: &Note) -> Vec<String> {
        capture(level, || log(note)).1
    }

    fn connection() -> ConnId {
        Arena::<ConnId, ()>::default().insert(())
    }
}
