//! The core's notes as log lines, and where the log goes: standard error, for journald or a file.
//!
//! A failed sign-in is one line with a fixed form, for tools that ban addresses. For fail2ban:
//! `failregex = sign-in failed from <HOST>: not-authorized`. No line holds a password.

use std::io::{IsTerminal as _, stderr};

use spondee_core::port::{CloseReason, Note};
use spondee_core::sasl::OfferEmpty;
use tracing_subscriber::EnvFilter;

use crate::config::LogLevel;

/// The variable that overrides `log_level`, as in `SPONDEE_LOG=debug` or `SPONDEE_LOG=info,rustls=debug`.
pub const LOG_VARIABLE: &str = "SPONDEE_LOG";

/// Logs one note.
pub fn log(note: &Note) {
    match note {
        Note::Bug(what) => tracing::error!("this is a bug in Spondee, please report it: {what}"),
        Note::Bound { conn: _, jid } => tracing::debug!("session began: {jid}"),
        Note::Closed { conn: _, reason } => match reason {
            CloseReason::Ended => tracing::debug!("connection ended"),
            CloseReason::Error(condition) => tracing::debug!("stream closed with {condition}"),
        },
        Note::NothingOffered { host, why } => match why {
            OfferEmpty::EncryptionRequired => tracing::debug!("{host}: nothing offered before TLS"),
            OfferEmpty::AllDisabled => tracing::warn!(
                "{host}: nobody can sign in, disable_sasl_mechanisms names every mechanism"
            ),
            OfferEmpty::AllInsecure => tracing::warn!(
                "{host}: nobody can sign in without TLS, every mechanism left is in insecure_sasl_mechanisms"
            ),
        },
        Note::SignInFailed {
            conn: _,
            peer,
            failure,
        } => tracing::info!(
            "sign-in failed from {}: {}",
            peer.to_canonical(),
            failure.name()
        ),
        Note::SignedIn {
            conn: _,
            account,
            mechanism,
        } => tracing::info!("signed in: {account} by {}", mechanism.name()),
    }
}

/// Starts logging to standard error. Of other people's code only warnings are shown.
///
/// # Errors
/// A sentence: `SPONDEE_LOG` cannot be read, or logging has been started before.
pub fn start(level: LogLevel) -> Result<(), String> {
    let filter = match std::env::var(LOG_VARIABLE) {
        Ok(directives) => EnvFilter::try_new(&directives)
            .map_err(|error| format!("{LOG_VARIABLE}={directives:?}: {error}"))?,
        Err(_) => EnvFilter::new(directives(level)),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .try_init()
        .map_err(|error| format!("cannot start the log: {error}"))
}

/// Directives match the beginnings of crates' names, so `spondee` is all of ours.
const fn directives(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "warn,spondee=info",
        LogLevel::Debug => "warn,spondee=debug",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use spondee_core::arena::Arena;
    use spondee_core::port::ConnId;
    use spondee_core::sasl::Failure;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(note: &Note, level: LogLevel) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(directives(level)))
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(subscriber, || log(note));
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_failed_sign_in_names_the_peer_in_a_fixed_form() {
        let mut arena: Arena<ConnId, ()> = Arena::default();
        let failed = |peer: &str, conn| Note::SignInFailed {
            conn,
            peer: peer.parse().unwrap(),
            failure: Failure::NotAuthorized,
        };
        for (peer, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            // What a socket for both families calls an IPv4 peer.
            ("::ffff:192.0.2.7", "192.0.2.7"),
        ] {
            let line = logged(&failed(peer, arena.insert(())), LogLevel::Info);
            let tail = format!("INFO sign-in failed from {shown}: not-authorized\n");
            assert!(line.ends_with(&tail), "{line}");
        }
    }

    #[test]
    fn a_level_hides_what_is_below_it() {
        let mut arena: Arena<ConnId, ()> = Arena::default();
        let note = Note::Closed {
            conn: arena.insert(()),
            reason: CloseReason::Error("host-unknown"),
        };
        assert_eq!(logged(&note, LogLevel::Info), "");
        assert!(logged(&note, LogLevel::Debug).contains("host-unknown"));
        assert!(logged(&Note::Bug("x"), LogLevel::Error).contains("ERROR"));
    }
}
