//! What Prosody's manual says of security and of passwords, and no other test here shows from outside (docs/security.md, docs/passwords.md).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use spec_tests::ca::Authority;
use spec_tests::client::{BindTo, Client, PATIENCE, Trust, offered};
use spec_tests::element::TLS;
use spec_tests::server::{Scratch, Server, Stopped};
use spondee_core::sasl::{Hash, Mechanism, Plus};

const PASSWORD: &str = "Wherefore-Art-Thou";
const SCRAM: Mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);
const SCRAM_PLUS: Mechanism = Mechanism::Scram(Hash::Sha256, Plus::Yes);

/// A server with Juliet and these options of its host, which does not run yet.
fn prepared(options: &str) -> Stopped {
    let options = format!("default_iteration_count = 4096\n{options}");
    let stopped = Server::prepare(Scratch::new().unwrap(), &options).unwrap();
    stopped.add_user("juliet@localhost", PASSWORD).unwrap();
    stopped
}

fn start(options: &str) -> Server {
    let stopped = prepared(options);
    let command = Command::new(stopped.binary());
    stopped.begin(command).unwrap()
}

/// How far clients get that have no TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum InClear {
    /// Nothing but STARTTLS is offered, and nothing else is taken.
    Nothing,
    /// They sign in by what shows no password.
    Scram,
    /// They sign in, and show their password.
    Plain,
}

/// RFC 6120 §5.3.1: `<required/>` is said where it is so. What is not offered is not taken either.
#[test]
fn without_tls_a_host_takes_what_its_options_allow_and_offers_nothing_else() {
    for (options, expected) in [
        ("", InClear::Nothing),
        ("c2s_require_encryption = true\n", InClear::Nothing),
        (
            "c2s_require_encryption = true\nallow_unencrypted_plain_auth = true\n",
            InClear::Nothing,
        ),
        ("c2s_require_encryption = false\n", InClear::Scram),
        (
            "c2s_require_encryption = false\nallow_unencrypted_plain_auth = true\n",
            InClear::Plain,
        ),
    ] {
        let server = start(options);
        let trust = server.trust().unwrap();
        let connect = || {
            let mut client = Client::connect(server.clear, "localhost", &trust).unwrap();
            let (_, features) = client.open().unwrap();
            (client, features)
        };
        let (_, features) = connect();
        let starttls = features.child(TLS, "starttls").unwrap();
        let is_required = starttls.child(TLS, "required").is_some();
        assert_eq!(is_required, expected == InClear::Nothing, "{options}");
        let takes = |mechanism| match (expected, mechanism) {
            (InClear::Nothing, _) | (InClear::Scram, Mechanism::Plain) => false,
            (InClear::Scram | InClear::Plain, _) => true,
        };
        for mechanism in [Mechanism::Plain, SCRAM] {
            let (mut client, features) = connect();
            let is_offered = offered(&features).contains(&mechanism);
            assert_eq!(is_offered, takes(mechanism), "{options}: {features}");
            let signed_in = client.sign_in("juliet", PASSWORD, mechanism, BindTo::Unoffered);
            match takes(mechanism) {
                true => drop(signed_in.unwrap()),
                false => assert_eq!(signed_in.unwrap_err(), "failure: encryption-required"),
            }
        }
    }
}

/// RFC 6331: DIGEST-MD5 is there for who asks for it, where it can be. What is not offered is not taken.
#[test]
fn a_host_offers_what_it_keeps_credentials_for_and_was_not_told_to_leave_out() {
    let (hashed, plain) = ("", "authentication = \"internal_plain\"\n");
    let scram: Vec<Mechanism> = Hash::ALL
        .into_iter()
        .flat_map(|hash| [Plus::No, Plus::Yes].map(|plus| Mechanism::Scram(hash, plus)))
        .collect();
    let all = [&scram[..], &[Mechanism::Plain, Mechanism::DigestMd5]].concat();
    let usual = [&scram[..], &[Mechanism::Plain]].concat();
    for (kept, disabled, expected) in [
        (hashed, "", &usual),
        (plain, "", &usual),
        (hashed, "disable_sasl_mechanisms = []\n", &usual),
        (plain, "disable_sasl_mechanisms = []\n", &all),
        (
            hashed,
            "disable_sasl_mechanisms = [\"DIGEST-MD5\", \"PLAIN\"]\n",
            &scram,
        ),
    ] {
        let options = format!("{kept}{disabled}");
        let server = start(&options);
        let trust = server.trust().unwrap();
        for mechanism in &all {
            let mut client = Client::connect_tls(server.tls, "localhost", &trust, &[]).unwrap();
            let (_, features) = client.open().unwrap();
            let is_expected = expected.contains(mechanism);
            let is_offered = offered(&features).contains(mechanism);
            assert_eq!(is_offered, is_expected, "{options} {mechanism:?}");
            let signed_in = client.sign_in("juliet", PASSWORD, *mechanism, BindTo::Exporter);
            match is_expected {
                true => drop(signed_in.unwrap()),
                false => assert_eq!(signed_in.unwrap_err(), "failure: invalid-mechanism"),
            }
        }
    }
}

/// Which files below a directory hold this.
fn holding(directory: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, bytes));
        } else if path.is_file() && memchr::memmem::find(&fs::read(&path).unwrap(), bytes).is_some()
        {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Neither in the database nor in its log, nor in that of the server when it says all there is to say. A host that keeps passwords shows that
/// it would be found.
#[test]
fn a_password_is_in_no_file_of_a_server_unless_its_host_keeps_passwords() {
    for (keeps, options) in [(false, ""), (true, "authentication = \"internal_plain\"\n")] {
        let stopped = prepared(options);
        let config = stopped.scratch().join("spondee.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("log_level = \"debug\"\n{text}")).unwrap();
        let command = Command::new(stopped.binary());
        let mut server = stopped.begin(command).unwrap();
        let trust = server.trust().unwrap();
        let other = "A-Rose-By-Any";
        for mechanism in [Mechanism::Plain, SCRAM, SCRAM_PLUS] {
            for (password, is_right) in [(PASSWORD, true), (other, false)] {
                let mut client = Client::connect_tls(server.tls, "localhost", &trust, &[]).unwrap();
                client.open().unwrap();
                let signed_in = client.sign_in("juliet", password, mechanism, BindTo::Exporter);
                assert_eq!(signed_in.is_ok(), is_right, "{mechanism:?}");
            }
        }
        let exported = server.scratch().join("export.xml").display().to_string();
        server
            .command(&["user", "export", "--output", &exported, "juliet@localhost"])
            .unwrap();
        let check = |server: &Server| {
            for word in [PASSWORD, other] {
                let found = [word.to_owned(), STANDARD.encode(word)].map(|word| {
                    let found = holding(server.scratch(), word.as_bytes());
                    found.len()
                });
                let is_kept = keeps && word == PASSWORD;
                assert_eq!(found.iter().sum::<usize>() > 0, is_kept, "{options} {word}");
            }
        };
        check(&server);
        server.stop().unwrap();
        check(&server);
    }
}

/// Somebody in between: a server for the client, whose certificate the client takes, and a client for the server. What it has
/// read of the client is in a file once one of them has ended.
fn in_between(scratch: &Path, server: SocketAddr, trust: &Trust) -> (SocketAddr, Trust) {
    let authority = Authority::new(scratch).unwrap();
    authority.issue(scratch, "localhost").unwrap();
    let certificate = fs::read(scratch.join("localhost.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(scratch.join("localhost.key")).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(&certificate).unwrap()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let (config, to_server) = (Arc::new(config), trust.client_config().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log = scratch.join("overheard");
    thread::spawn(move || {
        for socket in listener.incoming() {
            let near = ServerConnection::new(Arc::clone(&config)).unwrap();
            let name = "localhost".try_into().unwrap();
            let far = ClientConnection::new(Arc::clone(&to_server), name).unwrap();
            let near = StreamOwned::new(near, patient(socket.unwrap()));
            let far = StreamOwned::new(far, patient(TcpStream::connect(server).unwrap()));
            relay(near, far, &log);
        }
    });
    (address, Trust::pem(authority.pem()).unwrap())
}

/// A socket that is looked at from time to time.
fn patient(socket: TcpStream) -> TcpStream {
    socket
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    socket
}

/// Passes on what either says until one of them ends.
fn relay(
    mut near: StreamOwned<ServerConnection, TcpStream>,
    mut far: StreamOwned<ClientConnection, TcpStream>,
    log: &Path,
) {
    let mut overheard = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let mut bytes = [0; 4096];
        match near.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                overheard.extend_from_slice(&bytes[..count]);
                if far.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            Err(error) if is_nothing_yet(&error) => {}
            Err(_) => break,
        }
        match far.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) if near.write_all(&bytes[..count]).is_ok() => {}
            Err(error) if is_nothing_yet(&error) => {}
            Ok(_) | Err(_) => break,
        }
    }
    fs::write(log, overheard).unwrap();
}

fn is_nothing_yet(error: &io::Error) -> bool {
    [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind())
}

/// What comes of a sign-in by a client that has taken the certificate of somebody in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Caught {
    /// It fails: who is in between has neither session nor password.
    Noticed,
    /// Who is in between has a session.
    Session,
    /// And has read the password.
    Password,
}

/// RFC 5802 §6, RFC 5929, RFC 9266: with channel binding the one TLS session is not the other.
#[test]
fn who_sits_between_two_tls_sessions_is_noticed_where_a_sign_in_is_bound_to_one() {
    let server = start("");
    let scratch = Scratch::new().unwrap();
    let real = server.trust().unwrap();
    let (address, fooled) = in_between(scratch.path(), server.tls, &real);
    // A client that looks whose certificate it is does not get so far.
    assert!(Client::connect_tls(address, "localhost", &real, &[]).is_err());
    for (mechanism, bind_to, expected) in [
        (SCRAM_PLUS, BindTo::Exporter, Caught::Noticed),
        (SCRAM_PLUS, BindTo::EndPoint, Caught::Noticed),
        // One that could bind and is told that the server cannot.
        (SCRAM, BindTo::Unoffered, Caught::Noticed),
        (SCRAM, BindTo::Exporter, Caught::Session),
        (Mechanism::Plain, BindTo::Exporter, Caught::Password),
    ] {
        let log = scratch.path().join("overheard");
        let _ = fs::remove_file(&log);
        let mut client = Client::connect_tls(address, "localhost", &fooled, &[]).unwrap();
        client.open().unwrap();
        let signed_in = client.sign_in("juliet", PASSWORD, mechanism, bind_to);
        let is_bound = signed_in.is_ok() && client.bind(None).is_ok();
        drop(client);
        let deadline = Instant::now() + PATIENCE;
        while !log.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        let overheard = fs::read(&log).unwrap();
        let password = STANDARD.encode(format!("\0juliet\0{PASSWORD}"));
        let has_password = memchr::memmem::find(&overheard, password.as_bytes()).is_some();
        let caught = match (is_bound, has_password) {
            (false, false) => Caught::Noticed,
            (true, false) => Caught::Session,
            (_, true) => Caught::Password,
        };
        assert_eq!(caught, expected, "{mechanism:?} {bind_to:?}");
    }
}

#[test]
fn data_that_others_can_reach_is_not_served() {
    let stopped = prepared("");
    for mode in [0o750, 0o705, 0o701] {
        fs::set_permissions(stopped.data(), fs::Permissions::from_mode(mode)).unwrap();
        let fault = stopped.command(&["serve"]).unwrap_err();
        assert!(fault.contains("chmod"), "{mode:o}: {fault}");
    }
    fs::set_permissions(stopped.data(), fs::Permissions::from_mode(0o700)).unwrap();
    let command = Command::new(stopped.binary());
    stopped.begin(command).unwrap();
}

/// Nobody is to believe that DANE or a database is used, because the configuration says so.
#[test]
fn options_of_what_is_not_there_yet_are_refused_and_not_passed_over() {
    for option in [
        "use_dane = true",
        "sql = { driver = \"PostgreSQL\", password = \"secret\" }",
    ] {
        let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
        let config = stopped.scratch().join("spondee.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{option}\n{text}")).unwrap();
        for command in [&["check", "config"][..], &["serve"]] {
            let (code, said) = stopped.outcome(command).unwrap();
            assert_eq!(code, 3, "{option}: {said}");
            assert!(said.contains("not supported yet"), "{option}: {said}");
        }
    }
}

/// Of whatever feature: here the password by which a directory is asked.
#[test]
fn a_secret_that_others_can_read_is_refused_wherever_it_stands() {
    let of_host = "authentication = \"ldap\"\nldap_server = \"ldap://127.0.0.1:1\"\nldap_tls = false\nldap_base = \"dc=example\"\n\
                   ldap_rootdn = \"cn=spondee\"\n";
    let said = |secret: &str, config_mode: u32, file_mode: u32| {
        let options = format!("{of_host}ldap_password = {secret}\n");
        let stopped = Server::prepare(Scratch::new().unwrap(), &options).unwrap();
        let file = stopped.scratch().join("secret");
        fs::write(&file, "do-not-print-this").unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&file, file_mode);
        set(&stopped.scratch().join("spondee.toml"), config_mode);
        let outcome = stopped.outcome(&["check", "config"]).unwrap();
        assert!(!outcome.1.contains("do-not-print-this"), "{}", outcome.1);
        if outcome.0 == 3 {
            assert!(stopped.command(&["serve"]).is_err(), "{secret}");
        }
        outcome
    };
    let (literal, file) = ("\"do-not-print-this\"", "{ file = \"secret\" }");
    for (secret, config_mode, file_mode, refused) in [
        (literal, 0o644, 0o600, Some("chmod")),
        (literal, 0o640, 0o600, Some("chmod")),
        (literal, 0o600, 0o644, None),
        (file, 0o644, 0o644, Some("chmod")),
        (file, 0o644, 0o600, None),
        ("{ env = \"SPONDEE_NO_SUCH_SECRET\" }", 0o644, 0o600, None),
        ("{ credential = \"no-such-secret\" }", 0o644, 0o600, None),
    ] {
        let (code, said) = said(secret, config_mode, file_mode);
        match refused {
            Some(words) => {
                assert_eq!(code, 3, "{secret} {config_mode:o} {file_mode:o}: {said}");
                assert!(said.contains(words), "{said}");
            }
            None => assert_eq!(code, 0, "{secret} {config_mode:o} {file_mode:o}: {said}"),
        }
    }
}
