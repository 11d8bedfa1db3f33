//! The log: where lines go, and the core's notes as lines.
//!
//! The words of a line are an interface. Programs that ban addresses match `sign-in failed: … peer=…`, tests look for
//! `signed in account=… mechanism=…`.

use std::fmt;
use std::io::{self, IsTerminal as _};
#[cfg(test)]
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use spondee_core::port::{CloseReason, Note};
use spondee_core::sasl::OfferEmpty;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::LogLevel;

/// The environment variable that overrides the level: a filter of the crate `tracing-subscriber`, such as `debug`.
pub const FILTER: &str = "SPONDEE_LOG";

/// Sends the log to standard error, from `level` on. The first call counts: later ones do nothing.
pub fn init(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let default = || EnvFilter::default().add_directive(level.into());
    let (filter, fault) = match std::env::var(FILTER) {
        Ok(text) if !text.is_empty() => match text.parse() {
            Ok(filter) => (filter, None),
            Err(error) => (default(), Some(error)),
        },
        Ok(_) | Err(_) => (default(), None),
    };
    // The convention of https://no-color.org.
    let colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && !colourless)
        .with_target(false)
        // It would be told to standard error, which is what failed.
        .log_internal_errors(false)
        .try_init();
    if let (Ok(()), Some(error)) = (started, fault) {
        tracing::warn!(
            "{FILTER} is not understood, the level of the configuration counts: {error}"
        );
    }
}

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

/// Does `work` and takes the lines that would go to the log on this thread, from `level` on, without time and level.
#[cfg(test)]
pub(crate) fn capture<T>(level: LevelFilter, work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .with_target(false)
        .with_level(false)
        .without_time()
        .finish();
    let done = tracing::subscriber::with_default(subscriber, work);
    let text = String::from_utf8_lossy(&lines.lock()).into_owned();
    let lines = text.lines().map(|line| line.trim().to_owned());
    (done, lines.collect())
}

#[cfg(test)]
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

#[cfg(test)]
impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use spondee_core::arena::Arena;
    use spondee_core::jid::{BareJid, Domain};
    use spondee_core::port::ConnId;
    use spondee_core::sasl::{Failure, Mechanism};

    use super::*;

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
