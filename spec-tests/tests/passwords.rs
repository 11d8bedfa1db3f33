//! The real server on a host that keeps passwords, and what is left of them when it does no longer.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spec_tests::changes::Teller;
use spec_tests::client::{BindTo, Client, offered};
use spec_tests::server::{Scratch, Server, Setup, Stopped};
use spondee_core::entropy::Entropy;
use spondee_core::sasl::{DeriveParams, Hash, Mechanism, Plus, Provider};
use spondee_core::secret::Secret;

type Outcome = Result<(), String>;

const JULIET: &str = "juliet@localhost";
/// What each password holds: nothing else on the disk does.
const MARKER: &str = "QueenMab";
const PLAIN: &str = "authentication = \"internal_plain\"\ndefault_iteration_count = 4096\ndisable_sasl_mechanisms = []\n";
const HASHED: &str = "authentication = \"internal_hashed\"\ndefault_iteration_count = 4096\ndisable_sasl_mechanisms = []\n";

fn password(user: usize) -> String {
    // Of all lengths, so that rows are of all lengths, too.
    format!("{MARKER}{user}{}", "x".repeat(user * 37 % 400))
}

/// A server that keeps passwords and does not run yet, with Juliet and so many more users.
fn keeping(users: usize) -> Result<Stopped, String> {
    let scratch = Scratch::in_memory().map_err(|e| e.to_string())?;
    let place = Server::prepare(scratch, PLAIN)?;
    place.add_user(JULIET, &password(0))?;
    if users > 0 {
        let user = |n| format!("<user name='user{n}' password='{}'/>", password(n));
        let users: String = (1..=users).map(user).collect();
        let file = place.scratch().join("users.xml");
        let text = format!(
            "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'>{users}</host></server-data>"
        );
        fs::write(&file, text).map_err(|e| e.to_string())?;
        let file = file.display().to_string();
        place.command(&["user", "import", &file])?;
        fs::remove_file(file).map_err(|e| e.to_string())?;
    }
    Ok(place)
}

/// All mechanisms that a host has which keeps this.
fn all_of(provider: Provider) -> impl Iterator<Item = Mechanism> {
    let all = Mechanism::ALL.into_iter();
    all.filter(move |known| provider.has(*known) && *known != Mechanism::External)
}

fn start(place: Stopped) -> Result<Server, String> {
    let command = Command::new(place.binary());
    place.begin(command)
}

/// The configuration has this for the host from now on.
fn configure(scratch: &Path, from: &str, to: &str) -> Outcome {
    let file = scratch.join("spondee.toml");
    let text = fs::read_to_string(&file).map_err(|e| e.to_string())?;
    assert!(text.contains(from), "{text}");
    fs::write(&file, text.replace(from, to)).map_err(|e| e.to_string())
}

/// The host keeps keys from now on, while it runs.
fn switch(server: &Server) -> Outcome {
    configure(server.scratch(), PLAIN, HASHED)?;
    let told = Command::new("kill")
        .args(["-HUP", &server.id().to_string()])
        .status();
    assert!(told.map_err(|e| e.to_string())?.success());
    server.wait_for_log(&["configuration"])?;
    Ok(())
}

/// Which files of the data directory hold a password, in any case of letters.
fn found(data: &Path) -> Result<Vec<String>, String> {
    let word = MARKER.to_lowercase().into_bytes();
    let mut found = Vec::new();
    for file in fs::read_dir(data).map_err(|e| e.to_string())? {
        let file = file.map_err(|e| e.to_string())?;
        if !file.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let bytes = fs::read(file.path()).map_err(|e| e.to_string())?;
        let bytes = bytes.to_ascii_lowercase();
        if bytes.windows(word.len()).any(|part| part == word) {
            found.push(file.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

fn sign_in(server: &Server, user: &str, password: &str, mechanism: Mechanism) -> Outcome {
    let mut client = Client::connect_tls(server.tls, "localhost", &server.trust()?, &[])?;
    client.open()?;
    client.sign_in(user, password, mechanism, BindTo::Exporter)?;
    client.bind(None).map(drop)
}

fn by_scram() -> Mechanism {
    Mechanism::from_name("SCRAM-SHA-256").expect("a mechanism")
}

/// Everybody signs in, whatever is kept of whom.
fn all_sign_in(server: &Server, users: usize) -> Outcome {
    sign_in(server, "juliet", &password(0), by_scram())?;
    for n in 1..=users {
        let user = format!("user{n}");
        sign_in(server, &user, &password(n), by_scram()).map_err(|e| format!("{user}: {e}"))?;
    }
    Ok(())
}

#[test]
fn a_host_that_keeps_passwords_is_signed_in_to_by_every_mechanism_and_says_so() -> Outcome {
    let server = start(keeping(0)?)?;
    let log = server.wait_for_log(&["internal_plain"])?;
    assert!(
        log.contains("localhost") && log.contains("encrypt the disk"),
        "{log}"
    );
    for mechanism in all_of(Provider::Plain) {
        sign_in(&server, "juliet", &password(0), mechanism)
            .map_err(|e| format!("{}: {e}", mechanism.name()))?;
    }
    for mechanism in [Mechanism::DigestMd5, Mechanism::Plain, by_scram()] {
        for (user, password) in [("juliet", "wrong"), ("nobody", &password(0))] {
            let refused = sign_in(&server, user, password, mechanism);
            assert!(refused.is_err_and(|e| e.contains("not-authorized")));
        }
    }
    let shown = server.command(&["user", "show", JULIET])?;
    assert!(shown.contains("\nits password is kept\n"), "{shown}");
    let shown = server.command(&["user", "show", JULIET, "--json"])?;
    assert!(shown.contains("\"password\": \"plain\""), "{shown}");
    assert!(!found(&server.data())?.is_empty(), "the search finds it");
    let refused = server.command(&["passwords", "upgrade", "--host", "localhost"]);
    assert!(refused.is_err_and(|e| e.contains("keeps passwords")));
    Ok(())
}

#[test]
fn no_password_is_left_in_any_file_once_all_are_upgraded() -> Outcome {
    const USERS: usize = 150;
    let server = start(keeping(USERS)?)?;
    // A command that knows more than the server that runs.
    configure(server.scratch(), PLAIN, HASHED)?;
    let early = server.command(&["passwords", "upgrade"]);
    assert!(early.is_err_and(|e| e.contains("SIGHUP")));
    configure(server.scratch(), HASHED, PLAIN)?;
    switch(&server)?;
    // Who signs in is upgraded at once.
    sign_in(&server, "juliet", &password(0), by_scram())?;
    server.wait_for_log(&["password hashed", JULIET])?;
    let shown = server.command(&["user", "show", JULIET])?;
    assert!(
        shown.contains("\nkeys of its password are kept\n"),
        "{shown}"
    );
    assert!(!found(&server.data())?.is_empty());
    let said = server.command(&["passwords", "upgrade", "--host", "localhost"])?;
    assert!(
        said.starts_with(&format!("{USERS} passwords were upgraded on localhost")),
        "{said}"
    );
    assert_eq!(found(&server.data())?, [""; 0]);
    let again = server.command(&["passwords", "upgrade"])?;
    assert!(again.starts_with("no password was upgraded"), "{again}");
    for mechanism in all_of(Provider::Hashed) {
        sign_in(&server, "juliet", &password(0), mechanism)?;
    }
    all_sign_in(&server, 10)
}

#[test]
fn passwords_are_upgraded_without_a_server_as_well() -> Outcome {
    let place = keeping(30)?;
    configure(place.scratch(), PLAIN, HASHED)?;
    assert!(!found(&place.data())?.is_empty());
    let said = place.command(&["passwords", "upgrade"])?;
    assert!(
        said.contains("31 passwords were upgraded") && said.contains("no server runs"),
        "{said}"
    );
    assert_eq!(found(&place.data())?, [""; 0]);
    all_sign_in(&start(place)?, 30)
}

#[test]
fn a_server_that_is_killed_meanwhile_leaves_everybody_a_password_or_keys() -> Outcome {
    const USERS: usize = 40;
    let mut server = start(keeping(USERS)?)?;
    switch(&server)?;
    for pause in [20, 60, 120, 200] {
        let killed = thread::scope(|scope| {
            let upgrade = scope.spawn(|| server.command(&["passwords", "upgrade"]));
            thread::sleep(Duration::from_millis(pause));
            let killed = Command::new("kill")
                .args(["-KILL", &server.id().to_string()])
                .status();
            // It went through the server, or found that there is none and did it itself.
            let _ = upgrade.join();
            killed
        });
        assert!(killed.map_err(|e| e.to_string())?.success());
        server.wait_for_end()?;
        server.start_again()?;
        // Its control socket comes after its ports.
        Teller::connect(&server.data()).map_err(|e| e.to_string())?;
        for n in [0, 1, USERS / 2, USERS] {
            let account = match n {
                0 => JULIET.to_owned(),
                n => format!("user{n}@localhost"),
            };
            let shown = server.command(&["user", "show", &account])?;
            let is_whole = [
                "\nkeys of its password are kept\n",
                "\nits password is kept\n",
            ];
            assert!(
                is_whole.iter().any(|words| shown.contains(words)),
                "{shown}"
            );
        }
    }
    all_sign_in(&server, USERS)?;
    server.command(&["passwords", "upgrade"])?;
    assert_eq!(found(&server.data())?, [""; 0]);
    all_sign_in(&server, USERS)
}

#[test]
fn where_there_is_no_room_passwords_stay_and_everybody_signs_in() -> Outcome {
    let server = start(keeping(60)?)?;
    switch(&server)?;
    // So that SQLite's log is longer than what the server says meanwhile in its own.
    for word in ["disable", "enable", "disable", "enable"] {
        server.command(&["user", word, JULIET])?;
    }
    let log = fs::metadata(server.data().join("spondee.sqlite-wal"));
    let length = log.map_err(|e| e.to_string())?.len();
    server.limit_files(&length.to_string())?;
    let full = server.command(&["passwords", "upgrade"]);
    assert!(
        full.as_ref()
            .is_err_and(|e| e.contains("nothing was changed")),
        "{full:?}"
    );
    sign_in(&server, "juliet", &password(0), by_scram())?;
    let shown = server.command(&["user", "show", JULIET])?;
    assert!(shown.contains("\nits password is kept\n"), "{shown}");
    server.limit_files("unlimited")?;
    server.command(&["passwords", "upgrade"])?;
    assert_eq!(found(&server.data())?, [""; 0]);
    sign_in(&server, "juliet", &password(0), by_scram())
}

/// An account as another server has it, which kept keys under one hash.
fn of_prosody() -> String {
    let jobs = DeriveParams::for_new_password(4096, &mut Entropy::new([4; 32]));
    let job = jobs.iter().find(|job| job.hash == Hash::Sha1).expect("all");
    let keys = job.derive(&Secret::new(b"secret".to_vec()));
    let encode = |bytes: &[u8]| STANDARD.encode(bytes);
    format!(
        "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='romeo'>\
         <scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><iter-count>4096</iter-count><salt>{}</salt>\
         <server-key>{}</server-key><stored-key>{}</stored-key></scram-credentials></user></host></server-data>",
        encode(&keys.salt),
        encode(keys.server_key.expose()),
        encode(keys.stored_key.expose())
    )
}

#[test]
fn an_account_that_comes_with_keys_for_one_mechanism_is_offered_that_one_and_so_are_all() -> Outcome
{
    let mut server = Server::start_with(&[(JULIET, "secret")], Setup::default())?;
    let offers = |server: &Server| -> Result<Vec<Mechanism>, String> {
        let mut client = Client::connect(server.clear, "localhost", &server.trust()?)?;
        client.open()?;
        client.starttls()?;
        let (_, features) = client.open()?;
        Ok(offered(&features))
    };
    let all = offers(&server)?;
    assert!(all.contains(&Mechanism::Scram(Hash::Sha512, Plus::No)));
    let file = server.scratch().join("romeo.xml");
    fs::write(&file, of_prosody()).map_err(|e| e.to_string())?;
    server.command(&["user", "import", &file.display().to_string()])?;
    let is_left = |mechanism: &Mechanism| match mechanism {
        Mechanism::Scram(hash, _) => *hash == Hash::Sha1,
        Mechanism::Anonymous | Mechanism::DigestMd5 | Mechanism::External | Mechanism::Plain => {
            true
        }
    };
    let left: Vec<Mechanism> = all.iter().copied().filter(is_left).collect();
    for _ in 0..2 {
        assert_eq!(offers(&server)?, left);
        for user in ["juliet", "romeo"] {
            Client::session(server.clear, "localhost", &server.trust()?, user, "secret")?;
        }
        // Found again at the start, whoever was there to hear it.
        server.kill()?;
        server.start_again()?;
        server.wait_for_log(&["no keys for it", "SCRAM-SHA-512 (1 accounts)"])?;
    }
    // By PLAIN the server learns the password, and makes all keys of it; all are offered once they have been counted.
    let mut client = Client::connect(server.clear, "localhost", &server.trust()?)?;
    client.open()?;
    client.starttls()?;
    client.open()?;
    client.sign_in("romeo", "secret", Mechanism::Plain, BindTo::Exporter)?;
    server.wait_for_log(&["password hashed"])?;
    server.kill()?;
    server.start_again()?;
    assert_eq!(offers(&server)?, all);
    Ok(())
}
