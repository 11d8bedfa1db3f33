use std::fs;
use std::fs::Permissions;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use spondee_core::options::{Description, Source as _, of_server};
use toml::de::DeTable;

use super::*;
use crate::config::reader::Reader;
use crate::config::value::Faults;
use crate::scratch::Scratch;

/// An option as features will have them.
const OPTION: Description = of_server("door_password", "What opens the door.");

fn variable(name: &str) -> Option<OsString> {
    match name {
        "DOOR" => Some("from the environment\n".into()),
        "EMPTY" => Some("".into()),
        _ => None,
    }
}

fn places(base: &Path) -> Places {
    Places {
        variable,
        ..Places::without_file(base)
    }
}

/// What the option comes to, or the fault; and what was warned of.
fn asked(text: &str, places: &Places) -> (Result<Option<Secret>, String>, Vec<String>) {
    let table = DeTable::parse(text).unwrap();
    let mut faults = Faults::new(text);
    let mut reader = Reader::new(table.get_ref(), &mut faults).with_secrets(places);
    let secret = reader.secret(&OPTION);
    let warnings = reader.take_warnings();
    let result = match faults.is_empty() {
        true => Ok(secret),
        false => {
            assert_eq!(secret, None);
            let error = faults.into_error(Path::new("spondee.toml"), None);
            Err(error.faults.concat())
        }
    };
    (result, warnings)
}

fn secret(text: &str, places: &Places) -> Vec<u8> {
    let (secret, warnings) = asked(text, places);
    assert_eq!(warnings, [""; 0]);
    secret.unwrap().unwrap().expose().to_vec()
}

fn fault(text: &str, places: &Places) -> String {
    asked(text, places).0.unwrap_err()
}

fn write(path: &Path, contents: impl AsRef<[u8]>, mode: u32) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_secret_stands_in_the_configuration_a_file_the_environment_or_the_services_credentials() {
    let scratch = Scratch::new();
    let places = places(scratch.path());
    write(&scratch.path().join("door"), "of a file\r\n", 0o600);
    for (text, expected) in [
        ("door_password = ' as it stands\\n '", " as it stands\\n "),
        ("door_password = { file = \"door\" }", "of a file"),
        ("door_password = { env = \"DOOR\" }", "from the environment"),
    ] {
        assert_eq!(secret(text, &places), expected.as_bytes(), "{text}");
    }
    let absolute = format!("door_password.file = '{}/door'", scratch.path().display());
    assert_eq!(secret(&absolute, &places), b"of a file");
    assert_eq!(asked("", &places).0, Ok(None));
}

#[test]
fn of_what_an_editor_puts_behind_a_secret_one_end_of_a_line_is_taken_off() {
    let scratch = Scratch::new();
    for (written, expected) in [
        ("a b", "a b"),
        ("a b\n", "a b"),
        ("a b \n\n", "a b \n"),
        ("\u{e9}\r\n", "\u{e9}"),
    ] {
        write(&scratch.path().join("door"), written, 0o400);
        let read = secret(
            "door_password = { file = \"door\" }",
            &places(scratch.path()),
        );
        assert_eq!(read, expected.as_bytes());
    }
}

#[test]
fn a_file_that_others_can_read_is_refused_with_what_to_run() {
    let scratch = Scratch::new();
    let path = scratch.path().join("door");
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
        write(&path, "hunter2", mode);
        let fault = fault(
            "door_password = { file = \"door\" }",
            &places(scratch.path()),
        );
        let run = format!(
            "others can read it: `chmod 0600 {}` (its mode is 0{mode:o})",
            path.display()
        );
        assert!(fault.contains(&run), "{fault}");
        assert!(!fault.contains("hunter2"), "{fault}");
    }
}

#[test]
fn a_secret_in_a_configuration_that_others_can_read_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.path().join("spondee.toml");
    for (mode, is_refused) in [(0o644, true), (0o640, true), (0o600, false), (0o400, false)] {
        write(&path, "", mode);
        let metadata = fs::metadata(&path).unwrap();
        let places = Places::of(scratch.path(), &path, &metadata, Wanted::Serving);
        let (found, _) = asked("door_password = 'hunter2'", &places);
        assert_eq!(found.is_err(), is_refused, "{mode:o}");
        if let Err(fault) = found {
            let run = format!("others can read: `chmod 0600 {}`", path.display());
            assert!(fault.contains(&run), "{fault}");
            assert!(fault.contains("door_password = { file = "), "{fault}");
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        // Where it is may be known to everybody.
        write(&scratch.path().join("door"), "elsewhere", 0o600);
        assert_eq!(
            secret("door_password = { file = 'door' }", &places),
            b"elsewhere"
        );
    }
}

#[test]
fn what_is_missing_is_told_with_what_to_do() {
    let scratch = Scratch::new();
    let places = places(scratch.path());
    write(&scratch.path().join("empty"), "\n", 0o600);
    write(&scratch.path().join("long"), [b'x'; 4097], 0o600);
    let fifo = scratch.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for (text, words) in [
        (
            "{ file = 'none' }",
            "there is no such file: make it with nothing in it but the secret",
        ),
        ("{ file = 'empty' }", "and is empty"),
        ("{ file = 'long' }", "and is longer than 4096 bytes"),
        ("{ file = '.' }", "that is no file"),
        ("{ file = 'fifo' }", "that is no file"),
        ("{ file = 'empty/deeper' }", "is not a directory"),
        (
            "{ env = 'NONE' }",
            "which is not set: set it for the server (Environment=",
        ),
        ("{ env = 'EMPTY' }", "of the environment, and is empty"),
        ("{ env = '$DOOR' }", "without $"),
        (
            "{ credential = 'door' }",
            "add LoadCredential=door:PATH to the service",
        ),
        ("{ credential = '../door' }", "by its name alone"),
        ("''", "holds a secret that is empty"),
        ("7", "not an integer: door_password = { file ="),
        ("{ file = 7 }", "names no file: it must be text in quotes"),
        (
            "{ path = 'x' }",
            "cannot come from `path`: write where it is as file, env or credential",
        ),
        ("{ file = 'a', env = 'DOOR' }", "must say one place"),
        ("{}", "must say one place"),
    ] {
        let fault = fault(&format!("door_password = {text}"), &places);
        assert!(
            fault.starts_with("spondee.toml:1: `door_password` "),
            "{fault}"
        );
        assert!(fault.contains(words), "{text}: {fault}");
    }
}

/// systemd gives each service a directory of its own, with modes of its own.
#[test]
fn a_credential_is_a_file_of_the_services_whatever_its_mode() {
    let scratch = Scratch::new();
    write(&scratch.path().join("door"), "hunter2\n", 0o440);
    let of_service = Places {
        variable: |name| (name == CREDENTIALS).then(|| std::env::temp_dir().into()),
        ..places(scratch.path())
    };
    // The directory is not known when this is compiled.
    let name = scratch.path().file_name().unwrap().to_str().unwrap();
    let linked = format!("spondee-credential-{name}");
    let link = std::env::temp_dir().join(&linked);
    std::os::unix::fs::symlink(scratch.path().join("door"), &link).unwrap();
    let found = asked(
        &format!("door_password = {{ credential = '{linked}' }}"),
        &of_service,
    );
    fs::remove_file(&link).unwrap();
    assert_eq!(found.0.unwrap().unwrap().expose(), b"hunter2");
    let fault = fault(
        "door_password = { credential = 'no-such-door' }",
        &of_service,
    );
    assert!(
        fault.contains(
            "not among those that the service was given: add LoadCredential=no-such-door:PATH"
        ),
        "{fault}"
    );
}

/// `spondee user list` is not the service, and needs no door.
#[test]
fn a_command_is_warned_of_what_only_the_service_has() {
    let scratch = Scratch::new();
    let for_command = Places {
        wanted: Wanted::Command,
        ..places(scratch.path())
    };
    for text in ["{ env = 'NONE' }", "{ credential = 'door' }"] {
        let (found, warnings) = asked(&format!("door_password = {text}"), &for_command);
        assert_eq!(found, Ok(Some(Secret::default())));
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("`door_password` is "),
            "{warnings:?}"
        );
    }
    let fault = fault("door_password = { file = 'none' }", &for_command);
    assert!(fault.contains("no such file"), "{fault}");
}

#[test]
fn nothing_prints_a_secret() {
    let scratch = Scratch::new();
    let found = asked("door_password = 'hunter2'", &places(scratch.path()));
    assert!(!format!("{found:?}").contains("hunter2"));
    let text = "door_password = hunter2 \nldap_passwort = hunter2\n[host.a]\n";
    let error = crate::config::Settings::parse(text, Path::new("f"), Path::new("/")).unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("hunter2"), "{told}");
    assert!(told.contains("a secret stands in quotes"), "{told}");
}
