//! The command line before a person: passwords are not shown, asked for twice, and Ctrl-C leaves the terminal as it was.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use spondee_shell_common::cli::{Console, Input, Surroundings, main_with};

/// Reads what is asked and types the next answer.
struct Person<'a> {
    keyboard: OwnedFd,
    terminal: &'a File,
    answers: VecDeque<&'static [u8]>,
    read: String,
    /// Whether what was typed could be seen, for each question.
    shown: Vec<bool>,
}

impl Write for Person<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.read.push_str(std::str::from_utf8(bytes).unwrap());
        Ok(bytes.len())
    }

    /// A question is shown at once, so this is where each of them ends.
    fn flush(&mut self) -> io::Result<()> {
        if let Some(answer) = self.answers.pop_front() {
            self.shown.push(echoes(self.terminal));
            rustix::io::write(&self.keyboard, answer)?;
        }
        Ok(())
    }
}

fn echoes(terminal: &File) -> bool {
    let modes = tcgetattr(terminal).unwrap().local_modes;
    modes.contains(LocalModes::ECHO | LocalModes::ISIG)
}

/// What came of it.
struct Talk {
    code: u8,
    read: String,
    shown: Vec<bool>,
}

/// A development server's directory.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spondee-terminal-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Left over from a run that was killed.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Types the answers, each to one question.
    fn talk(&self, line: &str, answers: &[&'static [u8]]) -> Talk {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let name = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .unwrap();
        let mut person = Person {
            keyboard,
            terminal: &terminal,
            answers: answers.iter().copied().collect(),
            read: String::new(),
            shown: Vec::new(),
        };
        let console = Console {
            input: Input::Terminal(terminal.as_fd()),
            out: &mut io::sink(),
            err: &mut person,
            surroundings: Surroundings {
                config: None,
                system_config: self.0.join("no-such-file"),
                directory: self.0.clone(),
                renewed: Vec::new(),
            },
        };
        let args = line.split_whitespace().map(OsString::from);
        let code = main_with(args, console, |_, _| Ok(()));
        assert!(echoes(&terminal), "the terminal is left as it was");
        assert!(person.answers.is_empty(), "{}", person.read);
        Talk {
            code,
            read: person.read,
            shown: person.shown,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const ADD: &str = "spondee user add juliet@localhost";

#[test]
fn a_password_is_asked_for_twice_and_not_shown() {
    let place = Place::new();
    let talk = place.talk(ADD, &[b"secret\n", b"secret\n"]);
    assert_eq!(
        (talk.code, talk.shown),
        (0, vec![false, false]),
        "{}",
        talk.read
    );
    assert!(!talk.read.contains("secret"));
}

#[test]
fn two_different_passwords_are_refused() {
    let talk = Place::new().talk(ADD, &[b"secret\n", b"secert\n"]);
    assert_eq!(talk.code, 1);
    assert!(
        talk.read.contains("two different passwords"),
        "{}",
        talk.read
    );
}

#[test]
fn what_is_no_password_is_not_asked_for_again() {
    let talk = Place::new().talk(ADD, &[b"\n"]);
    assert_eq!(talk.code, 1);
    assert!(talk.read.contains("empty"), "{}", talk.read);
}

#[test]
fn keys_that_interrupt_change_nothing_and_leave_the_terminal_as_it_was() {
    let place = Place::new();
    for keys in [&b"sec\x03"[..], b"sec\x1c", b"\x04"] {
        for answers in [&[keys][..], &[b"secret\n", keys]] {
            let talk = place.talk(ADD, answers);
            assert_eq!(talk.code, 1);
            assert!(talk.read.contains("interrupted"), "{}", talk.read);
        }
    }
    assert!(!place.0.join("spondee-data").exists());
}

#[test]
fn a_deletion_is_asked_about_unless_told_not_to() {
    let place = Place::new();
    place.talk(ADD, &[b"secret\n", b"secret\n"]);
    let delete = "spondee user delete juliet@localhost";
    for answer in [&b"n\n"[..], b"\n", b"\x04"] {
        let talk = place.talk(delete, &[answer]);
        assert_eq!((talk.code, talk.shown), (1, vec![true]));
        assert!(talk.read.contains("nothing was deleted"), "{}", talk.read);
    }
    assert_eq!(place.talk(delete, &[b"y\n"]).code, 0);
    // The name is held, until it is taken all the same.
    let talk = place.talk(ADD, &[b"secret\n", b"secret\n"]);
    assert_eq!(talk.code, 1);
    let again = "`spondee user add --again juliet@localhost`";
    assert!(talk.read.contains(again), "{}", talk.read);
    let again = again.trim_matches('`');
    assert_eq!(place.talk(again, &[b"secret\n", b"secret\n"]).code, 0);
    assert_eq!(place.talk(&format!("{delete} --yes"), &[]).code, 0);
}
