//! Certificates as a running server meets them: half renewed, joined by `cat`, or wrong for one host of two.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use sha2::Digest as _;
use spec_tests::ca::Authority;
use spec_tests::client::{Client, Trust};
use spec_tests::server::{Scratch, Server, Setup, Stopped};

const JULIET: (&str, &str) = ("juliet@localhost", "secret");

fn start(stopped: Stopped) -> Server {
    stopped.add_user(JULIET.0, JULIET.1).unwrap();
    let command = Command::new(stopped.binary());
    stopped.begin(command).unwrap()
}

fn reload(server: &Server) {
    let status = Command::new("kill")
        .args(["-HUP", &server.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

fn sign_in(server: &Server, trust: &Trust) -> Result<Client, String> {
    Client::session(server.clear, "localhost", trust, "juliet", "secret")
}

/// A renewal may have moved the old files away before the new ones are there, when the signal comes.
#[test]
fn certificates_that_are_away_at_a_reload_shut_nobody_out() {
    let server = start(Server::prepare(Scratch::new().unwrap(), "").unwrap());
    let trust = server.trust().unwrap();
    let certs = server.scratch().join("certs");
    let away = server.scratch().join("away");
    fs::rename(&certs, &away).unwrap();
    reload(&server);
    server
        .wait_for_log(&["ERROR", "host localhost", "has gone"])
        .unwrap();
    server
        .wait_for_log(&["ERROR", "it keeps the certificate it had"])
        .unwrap();
    server
        .wait_for_log(&["ERROR", "reloaded only in part"])
        .unwrap();
    sign_in(&server, &trust).unwrap();
    let mut direct = Client::connect_tls(server.tls, "localhost", &trust, &[]).unwrap();
    direct.open().unwrap();

    // Half of it is there: the certificate is new, the key is still the old one.
    fs::rename(&away, &certs).unwrap();
    let old_key = fs::read(certs.join("localhost.key")).unwrap();
    let fresh = server.scratch().join("fresh");
    fs::create_dir(&fresh).unwrap();
    let authority = Authority::new(&fresh).unwrap();
    authority.issue(&certs, "localhost").unwrap();
    let new_key = fs::read(certs.join("localhost.key")).unwrap();
    fs::write(certs.join("localhost.key"), old_key).unwrap();
    reload(&server);
    server.wait_for_log(&["ERROR", "does not belong"]).unwrap();
    sign_in(&server, &trust).unwrap();

    fs::write(certs.join("localhost.key"), new_key).unwrap();
    reload(&server);
    server
        .wait_for_log(&["configuration and certificates reloaded"])
        .unwrap();
    sign_in(&server, &Trust::pem(authority.pem()).unwrap()).unwrap();
}

#[test]
fn a_host_with_a_wrong_key_is_named_and_leaves_the_other_alone() {
    let host = "[host.\"b.example\"]\n";
    let stopped = Server::prepare(Scratch::new().unwrap(), host).unwrap();
    let certs = stopped.scratch().join("certs");
    let authority = Authority::new(stopped.scratch()).unwrap();
    authority.issue(&certs, "b.example").unwrap();
    fs::copy(certs.join("localhost.key"), certs.join("b.example.key")).unwrap();

    let fault = stopped.command(&["check", "config"]).unwrap_err();
    assert!(fault.contains("1 fault is to be mended"), "{fault}");
    let server = start(stopped);
    sign_in(&server, &server.trust().unwrap()).unwrap();
    let line = server.wait_for_log(&["ERROR", "host b.example"]).unwrap();
    for words in ["b.example.key", "does not belong", "nobody can sign in"] {
        assert!(line.contains(words), "{line}");
    }
    let mut other = Client::connect(server.clear, "b.example", &server.trust().unwrap()).unwrap();
    let (_, features) = other.open().unwrap();
    assert_eq!(
        features.child("urn:ietf:params:xml:ns:xmpp-tls", "starttls"),
        None
    );
    assert_eq!(
        features.child(spec_tests::element::SASL, "mechanisms"),
        None
    );
}

/// The client knows the root alone, so it needs the certificate in between.
#[test]
fn certificates_joined_without_a_line_end_are_all_sent() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let root = issue_by_two(&stopped.scratch().join("certs"));
    let said = stopped.command(&["check", "config"]).unwrap();
    assert!(!said.contains("warning"), "{said}");
    let server = start(stopped);
    sign_in(&server, &Trust::pem(&root).unwrap()).unwrap();
}

/// Writes the certificate of `localhost` and of the authority in between, and returns the root that stands above.
fn issue_by_two(certs: &Path) -> String {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let (root, key) = (authority("root"), KeyPair::generate().unwrap());
    let root_pem = root.self_signed(&key).unwrap().pem();
    let root = Issuer::new(root, key);
    let (between, key) = (authority("between"), KeyPair::generate().unwrap());
    let between_pem = between.signed_by(&key, &root).unwrap().pem();
    let between = Issuer::new(between, key);
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let own_pem = own.signed_by(&key, &between).unwrap().pem();
    let joined = format!("{}{between_pem}", own_pem.trim_end());
    assert!(joined.contains("-----END CERTIFICATE----------BEGIN CERTIFICATE-----"));
    fs::write(certs.join("localhost.crt"), joined).unwrap();
    // The file keeps the mode of the one it replaces.
    fs::write(certs.join("localhost.key"), key.serialize_pem()).unwrap();
    root_pem
}

/// What a user is told to compare is what a client gets.
#[test]
fn the_fingerprint_that_is_shown_is_that_of_the_certificate_that_is_served() {
    let server = start(Server::prepare(Scratch::new().unwrap(), "").unwrap());
    let shown = server.command(&["check", "certs", "localhost"]).unwrap();
    let mut tls = TcpStream::connect(server.tls).unwrap();
    let config = server.trust().unwrap().client_config().unwrap();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(config, name).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut tls).unwrap();
    }
    let served = &client.peer_certificates().unwrap()[0];
    let hash = sha2::Sha256::digest(served);
    let pairs: Vec<_> = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    assert!(shown.contains(&pairs.join(":")), "{shown}");
    assert!(shown.contains(&pairs.concat().to_lowercase()), "{shown}");
    let port = server.clear.port();
    let record = format!(
        "_{port}._tcp.localhost. IN TLSA 3 0 1 {}",
        pairs.concat().to_lowercase()
    );
    assert!(shown.contains(&record), "{shown}");
    let json = server.command(&["check", "certs", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["hosts"][0]["details"]["sha256"],
        pairs.concat().to_lowercase()
    );
    let stranger = server
        .command(&["check", "certs", "b.example"])
        .unwrap_err();
    assert!(stranger.contains("exit status: 1"), "{stranger}");
    assert!(
        stranger.contains("no section [host.\"b.example\"]"),
        "{stranger}"
    );
}

/// As certbot lays files out, and as its hook runs.
#[test]
fn a_renewal_that_is_imported_is_served_once_the_command_has_ended() {
    let server = start(Server::prepare(Scratch::new().unwrap(), "").unwrap());
    let live = server.scratch().join("live/localhost");
    fs::create_dir_all(&live).unwrap();
    let authority = Authority::new(&live).unwrap();
    authority.issue(&live, "localhost").unwrap();
    fs::rename(live.join("localhost.crt"), live.join("fullchain.pem")).unwrap();
    fs::rename(live.join("localhost.key"), live.join("privkey.pem")).unwrap();
    let from = server.scratch().join("live").display().to_string();
    let import = ["cert", "import", "localhost", "--from", &from];
    let said = server.command(&import).unwrap();
    for words in ["fullchain.pem was copied to", "the server has reloaded"] {
        assert!(said.contains(words), "{said}");
    }
    sign_in(&server, &Trust::pem(authority.pem()).unwrap()).unwrap();
    for name in ["localhost.crt", "localhost.key"] {
        let path = server.scratch().join("certs").join(name);
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = server.command(&import).unwrap();
    assert!(
        again.contains("already") && !again.contains("reloaded"),
        "{again}"
    );

    // The next one comes half.
    authority.issue(&live, "localhost").unwrap();
    fs::rename(live.join("localhost.crt"), live.join("fullchain.pem")).unwrap();
    fs::remove_file(live.join("localhost.key")).unwrap();
    let fault = server.command(&import).unwrap_err();
    assert!(fault.contains("exit status: 1"), "{fault}");
    assert!(fault.contains("not imported: localhost: "), "{fault}");
    assert!(fault.contains("does not belong"), "{fault}");
    sign_in(&server, &Trust::pem(authority.pem()).unwrap()).unwrap();
}

#[test]
fn a_certificate_is_made_shown_and_asked_for_by_its_host() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "[host.\"b.example\"]\n").unwrap();
    let made = stopped
        .command(&["cert", "generate", "b.example", "--days", "30"])
        .unwrap();
    assert!(
        made.contains("b.example.crt") && made.contains("no server runs"),
        "{made}"
    );
    let shown = stopped.command(&["cert", "show", "b.example"]).unwrap();
    assert!(
        shown.contains("names        b.example\n") && shown.contains("TLSA"),
        "{shown}"
    );
    let file = stopped
        .scratch()
        .join("certs/b.example.crt")
        .display()
        .to_string();
    let of_file = stopped.command(&["cert", "fingerprint", &file]).unwrap();
    assert_eq!(
        of_file,
        stopped
            .command(&["cert", "fingerprint", "b.example"])
            .unwrap()
    );
    let again = stopped
        .command(&["cert", "generate", "b.example"])
        .unwrap_err();
    assert!(again.contains("is there already"), "{again}");
    let asked = stopped.command(&["cert", "request", "b.example"]).unwrap();
    assert!(
        asked.contains("b.example.csr; give it to an authority"),
        "{asked}"
    );
    let none = stopped.command(&["cert", "show", "c.example"]).unwrap_err();
    assert!(
        none.contains("there is no certificate for c.example"),
        "{none}"
    );
}

/// This server as the one that is looked at.
#[test]
fn the_tls_of_a_server_is_looked_at_from_outside() {
    let server = Server::start(&[]).unwrap();
    let clear = server.clear.to_string();
    let direct = server.tls.to_string();
    let ca = server.authority().path().display().to_string();
    let look = ["check", "tls", "localhost", "--connect"];
    for rest in [vec![clear.as_str()], vec![direct.as_str(), "--direct"]] {
        let trusted: Vec<_> = look
            .iter()
            .copied()
            .chain(rest.clone())
            .chain(["--ca-file", &ca])
            .collect();
        let said = server.command(&trusted).unwrap();
        for words in [
            "protocol     TLS 1.3\n",
            "key exchange X25519",
            "names        localhost\n",
            "A peer that verifies takes what is shown",
        ] {
            assert!(said.contains(words), "{said}");
        }
        // Nobody trusts a test's authority.
        let untrusted: Vec<_> = look.iter().copied().chain(rest).collect();
        let (code, said) = server.outcome(&untrusted).unwrap();
        assert_eq!(code, 3, "{said}");
        assert!(
            said.contains("fault: a peer that verifies refuses it"),
            "{said}"
        );
    }
    let json = [
        "check",
        "tls",
        "localhost",
        "--connect",
        &clear,
        "--ca-file",
        &ca,
        "--json",
    ];
    let json: serde_json::Value = serde_json::from_str(&server.command(&json).unwrap()).unwrap();
    assert_eq!(json["ways"][0]["opening"], "STARTTLS");
    assert_eq!(json["ways"][0]["certificate"]["term"], "longer");
}

#[test]
fn what_is_no_server_of_the_domain_that_is_looked_at_is_said() {
    let server = Server::start(&[]).unwrap();
    let (clear, direct) = (server.clear.to_string(), server.tls.to_string());
    // Nobody listens where a listener has just gone.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = free.local_addr().unwrap().to_string();
    drop(free);
    let look = |rest: &[&str], words: &str| {
        let arguments = [&["check", "tls"], rest].concat();
        let (code, said) = server.outcome(&arguments).unwrap();
        assert!(code == 3 && said.contains(words), "{rest:?}: {code} {said}");
    };
    look(
        &["b.example", "--connect", &clear],
        "refuses the stream: host-unknown",
    );
    look(&["localhost", "--connect", &direct], "the connection broke");
    look(
        &["localhost", "--connect", &clear, "--direct"],
        "this is no TLS; is it the right port?",
    );
    look(
        &["localhost", "--connect", &gone],
        "no server of localhost was found",
    );
    // A port of clients is none of servers.
    look(
        &["localhost", "--connect", &clear, "--server"],
        "refuses the stream: invalid-namespace",
    );
}

/// Nobody tells the server: it looks at the files by itself.
#[test]
fn a_server_that_watches_takes_a_renewal_once_it_is_whole() {
    let options = "certificates_watch = \"1 second\"\n";
    let setup = Setup {
        options,
        ..Setup::default()
    };
    let server = Server::start_with(&[JULIET], setup).unwrap();
    let fresh = server.scratch().join("fresh");
    fs::create_dir(&fresh).unwrap();
    let authority = Authority::new(&fresh).unwrap();
    authority.issue(&fresh, "localhost").unwrap();
    let put = |name: &str| {
        let certs = server.scratch().join("certs");
        fs::rename(fresh.join(name), certs.join(name)).unwrap();
    };
    put("localhost.crt");
    let half = "certificates were changed, and not all can be used as they are";
    server
        .wait_for_log(&["WARN", half, "does not belong"])
        .unwrap();
    sign_in(&server, &server.trust().unwrap()).unwrap();
    put("localhost.key");
    server
        .wait_for_log(&["INFO", "certificate of localhost has changed"])
        .unwrap();
    sign_in(&server, &Trust::pem(authority.pem()).unwrap()).unwrap();
    assert_eq!(server.log().matches(half).count(), 1, "{}", server.log());
}

/// Who asks is told, by words and exit code.
#[test]
fn a_reload_that_is_asked_for_answers_what_came_of_it() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let (code, said) = stopped.outcome(&["reload"]).unwrap();
    assert!(
        code == 3 && said.contains("no server runs"),
        "{code} {said}"
    );
    let server = start(stopped);
    let (code, said) = server.outcome(&["reload"]).unwrap();
    assert!(
        code == 0 && said.contains("the server has reloaded"),
        "{code} {said}"
    );
    fs::remove_file(server.scratch().join("certs/localhost.key")).unwrap();
    let (code, said) = server.outcome(&["reload"]).unwrap();
    assert!(
        code == 3 && said.contains("reloaded in part"),
        "{code} {said}"
    );
    assert!(said.contains("it keeps the certificate it had"), "{said}");
    let file = server.scratch().join("spondee.toml");
    let whole = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{whole}no_such_option = 1\n")).unwrap();
    let (code, said) = server.outcome(&["reload"]).unwrap();
    assert!(
        code == 3 && said.contains("no_such_option"),
        "{code} {said}"
    );
}

/// As certbot, lego and acme.sh run hooks: what was renewed stands in the environment. What is for others is nobody's fault.
#[test]
fn the_hooks_of_certbot_lego_and_acme_sh_are_understood() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "[host.\"b.example\"]\n").unwrap();
    let authority = Authority::new(stopped.scratch()).unwrap();
    let import = |hook: &[(&str, &str)], arguments: &[&str]| {
        let mut command = Command::new(stopped.binary());
        let path = |name: &str| stopped.scratch().join(name);
        command.envs(hook.iter().map(|(name, file)| (name, path(file))));
        stopped.administer(command, &[&["cert", "import"], arguments].concat(), "")
    };
    let hooks: [&[(&str, &str)]; 4] = [
        &[("RENEWED_LINEAGE", "certbot")],
        &[
            ("LEGO_CERT_PATH", "lego/_.example.crt"),
            ("LEGO_CERT_KEY_PATH", "lego/_.example.key"),
        ],
        &[
            ("LEGO_HOOK_CERT_PATH", "lego/_.example.crt"),
            ("LEGO_HOOK_CERT_KEY_PATH", "lego/_.example.key"),
        ],
        &[
            ("CERT_FULLCHAIN_PATH", "acme/fullchain.cer"),
            ("CERT_KEY_PATH", "acme/b.example.key"),
        ],
    ];
    for (hook, [certificate, key]) in hooks.into_iter().zip([
        ["certbot/fullchain.pem", "certbot/privkey.pem"],
        ["lego/_.example.crt", "lego/_.example.key"],
        ["lego/_.example.crt", "lego/_.example.key"],
        ["acme/fullchain.cer", "acme/b.example.key"],
    ]) {
        for (host, words) in [
            ("b.example", "b.example.crt, its key to"),
            (
                "www.example",
                "nothing to import: what was renewed is for no host that is served",
            ),
        ] {
            authority.issue(stopped.scratch(), host).unwrap();
            for (ending, to) in [("crt", certificate), ("key", key)] {
                let to = stopped.scratch().join(to);
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::rename(stopped.scratch().join(format!("{host}.{ending}")), to).unwrap();
            }
            let said = import(hook, &[]).unwrap();
            assert!(said.contains(words), "{hook:?}: {said}");
        }
        // Who is named must be had.
        let fault = import(hook, &["b.example"]).unwrap_err();
        assert!(
            fault.contains("has certificates for www.example"),
            "{fault}"
        );
    }
    let fault = import(&[], &[]).unwrap_err();
    assert!(
        fault.contains("exit status: 2") && fault.contains("--from"),
        "{fault}"
    );
    let fault = import(&[("RENEWED_LINEAGE", "nowhere")], &[]).unwrap_err();
    assert!(fault.contains("nowhere: there is no such file"), "{fault}");
}

#[test]
fn a_port_in_use_is_refused_with_what_to_do() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let config = stopped.scratch().join("spondee.toml");
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = fs::read_to_string(&config).unwrap();
    let lines = text
        .lines()
        .map(|line| match line.starts_with("c2s_ports") {
            true => format!("c2s_ports = [{port}]\n"),
            false => format!("{line}\n"),
        });
    fs::write(&config, lines.collect::<String>()).unwrap();
    let fault = stopped.command(&["serve"]).unwrap_err();
    assert!(fault.contains("exit status: 3"), "{fault}");
    for words in [
        format!("cannot listen on 127.0.0.1:{port}: another program"),
        format!("ss -ltnp 'sport = :{port}'"),
        "`c2s_ports`".to_owned(),
    ] {
        assert!(fault.contains(&words), "{fault}");
    }
}
