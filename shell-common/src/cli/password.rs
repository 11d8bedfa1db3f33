//! A new password: typed twice without being shown, or the first line of standard input. Never an argument.

use spondee_core::jid::BareJid;
use spondee_core::limits::PASSWORD_BYTES;
use spondee_core::sasl::{PasswordError, prepare_new_password};
use spondee_core::secret::Secret;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::terminal::{Hidden, Line};
use super::{Console, Input};

/// Asks for the new password of an account.
///
/// # Errors
/// There is none, or it cannot be one.
pub(super) fn new_password(
    account: &BareJid,
    console: &mut Console<'_>,
) -> Result<Secret, Failure> {
    let Input::Terminal(terminal) = console.input else {
        let line = console.input.line(PASSWORD_BYTES, &[]).map_err(unread)?;
        return password(line);
    };
    let hidden = Hidden::begin(terminal).map_err(unread)?;
    let interrupts = hidden.interrupts();
    let mut ask = |question: &str| {
        write!(console.err, "{question}")?;
        console.err.flush()?;
        let line = console.input.line(PASSWORD_BYTES, &interrupts);
        match line.map_err(unread)? {
            line @ (Line::Read(_) | Line::TooLong) => password(line),
            // Ctrl-C or Ctrl-D: the cursor is still behind the question.
            Line::Interrupted | Line::End => {
                writeln!(console.err)?;
                password(Line::Interrupted)
            }
        }
    };
    let first = ask(&format!("New password for {account}: "))?;
    let second = ask("Once more: ")?;
    if first == second {
        Ok(first)
    } else {
        Err(Failure::Refused(
            "nothing was changed: these were two different passwords".into(),
        ))
    }
}

/// Judges it here already: so nobody types twice what is no password.
fn password(line: Line) -> Result<Secret, Failure> {
    let refused = |message: &str| Err(Failure::Refused(message.into()));
    let bytes = match line {
        Line::Read(bytes) => bytes,
        Line::Interrupted => return refused("interrupted; nothing was changed"),
        Line::TooLong => return Err(Failure::Refused(cannot_be(PasswordError::TooLong))),
        Line::End => {
            return refused(
                "there is no password on standard input; write it there as one line, or run this on a terminal",
            );
        }
    };
    match prepare_new_password(&bytes) {
        Ok(prepared) => {
            drop(Zeroizing::new(prepared));
            Ok(Secret::new(bytes.to_vec()))
        }
        Err(error) => Err(Failure::Refused(cannot_be(error))),
    }
}

fn cannot_be(error: PasswordError) -> String {
    match error {
        PasswordError::Empty => {
            "the password is empty; one character is the least, twelve and more are better".into()
        }
        PasswordError::Encoding => "this cannot be a password: it is not in UTF-8".into(),
        PasswordError::Prohibited => "this cannot be a password: it holds a character that clients cannot send alike, such as a \
             control character or an emoji; use letters, digits, signs and spaces"
            .into(),
        PasswordError::TooLong => {
            format!("the password is too long; {PASSWORD_BYTES} bytes are the most")
        }
    }
}

fn unread(error: std::io::Error) -> Failure {
    Failure::Unusable(format!("cannot read the password: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(bytes: &[u8]) -> Result<Secret, String> {
        password(Line::Read(Zeroizing::new(bytes.to_vec())))
            .map_err(|failure| failure.message().unwrap_or_default().to_owned())
    }

    #[test]
    fn a_password_is_passed_on_as_it_was_typed() {
        for typed in ["secret", " with spaces ", "pässwört", "\u{2168}"] {
            assert_eq!(judged(typed.as_bytes()), Ok(Secret::new(typed.into())));
        }
    }

    #[test]
    fn what_cannot_be_a_password_is_refused_with_the_reason() {
        for (typed, reason) in [
            (&b""[..], "empty"),
            (b"a\x07b", "control character"),
            (b"\xff", "UTF-8"),
        ] {
            let message = judged(typed).unwrap_err();
            assert!(message.contains(reason), "{message}");
        }
    }
}
