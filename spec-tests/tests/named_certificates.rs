//! Certificates that the configuration names, for a host or for its direct TLS, on a server that runs: who is shown which, what a reload
//! answers, and what commands say.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use spec_tests::ca::Authority;
use spec_tests::client::{BindTo, Client, Trust};
use spec_tests::server::{Scratch, Server, Stopped};
use spondee_core::sasl::{Hash, Mechanism, Plus};

const HOST: &str = "localhost";

/// Which certificate clients are shown: each has an authority of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Shown {
    /// That in the directory of certificates.
    Found,
    /// `own/localhost.crt`.
    Own,
    /// `direct/localhost.crt`.
    Direct,
    /// A renewal of either.
    New,
    Nothing,
}

use Shown::{Direct, Found, New, Nothing, Own};

const SHOWN: [Shown; 4] = [Found, Own, Direct, New];

/// A server's directory, and what its clients may trust.
struct Files {
    root: PathBuf,
    /// The configuration without the options of a row.
    config: String,
    authorities: [Authority; 4],
}

impl Files {
    fn of(stopped: &Stopped) -> Self {
        let root = stopped.scratch().to_owned();
        let authorities = ["certs", "own", "direct", "new"].map(|name| {
            let directory = root.join("authorities").join(name);
            fs::create_dir_all(&directory).unwrap();
            Authority::new(&directory).unwrap()
        });
        let config = fs::read_to_string(root.join("spondee.toml")).unwrap();
        let files = Self {
            root,
            config,
            authorities,
        };
        files.mend();
        files
    }

    /// All is there, and nothing is named.
    fn mend(&self) {
        for (directory, authority) in ["certs", "own", "direct", "renewed"]
            .into_iter()
            .zip(&self.authorities)
        {
            let directory = self.root.join(directory);
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir(&directory).unwrap();
            authority.issue(&directory, HOST).unwrap();
        }
        self.name("");
    }

    /// Has the configuration say this of the host.
    fn name(&self, options: &str) {
        let text = format!("{}{options}\n", self.config);
        fs::write(self.root.join("spondee.toml"), text).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.root.join(name)).unwrap();
    }

    /// Puts a file of the renewal in place of this one.
    fn renew(&self, directory: &str, ending: &str) {
        let name = format!("{HOST}.{ending}");
        let (from, to) = (self.root.join("renewed"), self.root.join(directory));
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }

    fn trust(&self, shown: Shown) -> Trust {
        let at = SHOWN.iter().position(|other| *other == shown).unwrap();
        Trust::pem(self.authorities[at].pem()).unwrap()
    }

    /// What clients are shown by STARTTLS and by direct TLS.
    fn shown(&self, clear: SocketAddr, tls: SocketAddr) -> [Shown; 2] {
        let starttls = |trust: &Trust| {
            let mut client = Client::connect(clear, HOST, trust).unwrap();
            client.open().unwrap();
            client.starttls().is_ok()
        };
        let direct = |trust: &Trust| Client::connect_tls(tls, HOST, trust, &[]).is_ok();
        let first = |shows: &dyn Fn(&Trust) -> bool| {
            let mut all = SHOWN.into_iter();
            all.find(|shown| shows(&self.trust(*shown)))
                .unwrap_or(Nothing)
        };
        [first(&starttls), first(&direct)]
    }
}

/// What the host's section says, what becomes of the files before a server reads it and after, what is shown by STARTTLS and direct TLS then,
/// the exit code of the last reload, and what that says.
type Row = (
    &'static str,
    fn(&Files),
    fn(&Files),
    [Shown; 2],
    i32,
    &'static str,
);

const RELOADED: &str = "the server has reloaded";

const TABLE: [Row; 17] = [
    ("", |_| {}, |_| {}, [Found, Found], 0, RELOADED),
    (
        "certificate = \"own/localhost.crt\"",
        |_| {},
        |_| {},
        [Own, Own],
        0,
        RELOADED,
    ),
    (
        "certificate = \"own\"",
        |_| {},
        |_| {},
        [Own, Own],
        0,
        RELOADED,
    ),
    (
        "ssl = { certificate = \"own/localhost.crt\", key = \"own/a-key\" }",
        |files| {
            let own = files.root.join("own");
            fs::rename(own.join("localhost.key"), own.join("a-key")).unwrap();
        },
        |_| {},
        [Own, Own],
        0,
        RELOADED,
    ),
    (
        "c2s_direct_tls_certificate = \"direct/localhost.crt\"",
        |_| {},
        |_| {},
        [Found, Direct],
        0,
        RELOADED,
    ),
    (
        "certificate = \"own\"\nc2s_direct_tls_ssl = { certificate = \"direct/localhost.crt\" }",
        |_| {},
        |_| {},
        [Own, Direct],
        0,
        RELOADED,
    ),
    // A start of the server does the same: `a_start_serves_what_can_be_used_and_says_what_cannot`.
    (
        "certificate = \"nowhere.crt\"",
        |_| {},
        |_| {},
        [Found, Found],
        3,
        "nowhere.crt: there is no such file",
    ),
    (
        "certificate = \"own\"\nc2s_direct_tls_certificate = \"nowhere.crt\"",
        |_| {},
        |_| {},
        [Own, Own],
        3,
        "direct TLS is served with the certificate of the host instead",
    ),
    (
        "certificate = \"own/localhost.crt\"",
        |files| files.renew("own", "key"),
        |_| {},
        [Found, Found],
        3,
        "this key does not belong to the certificate",
    ),
    (
        "c2s_direct_tls_certificate = \"direct/localhost.crt\"",
        |files| files.renew("direct", "key"),
        |_| {},
        [Found, Found],
        3,
        "direct TLS: ",
    ),
    (
        "certificate = \"own/localhost.crt\"",
        |_| {},
        |files| {
            files.renew("own", "crt");
            files.renew("own", "key");
        },
        [New, New],
        0,
        RELOADED,
    ),
    (
        "certificate = \"own/localhost.crt\"",
        |_| {},
        |files| files.renew("own", "crt"),
        [Own, Own],
        3,
        "it keeps the certificate it had",
    ),
    (
        "certificate = \"own\"",
        |_| {},
        |files| fs::remove_dir_all(files.root.join("own")).unwrap(),
        [Own, Own],
        3,
        "it keeps the certificate it had",
    ),
    (
        "c2s_direct_tls_certificate = \"direct/localhost.crt\"",
        |_| {},
        |files| {
            files.renew("direct", "crt");
            files.renew("direct", "key");
        },
        [Found, New],
        0,
        RELOADED,
    ),
    (
        "c2s_direct_tls_certificate = \"direct/localhost.crt\"",
        |_| {},
        |files| files.remove("direct/localhost.crt"),
        [Found, Direct],
        3,
        "direct TLS: it keeps the certificate it had",
    ),
    // The one is renewed while the other is half.
    (
        "c2s_direct_tls_certificate = \"direct/localhost.crt\"",
        |_| {},
        |files| {
            files.renew("certs", "crt");
            files.renew("certs", "key");
            files.renew("direct", "key");
        },
        [New, Direct],
        3,
        "direct TLS: it keeps the certificate it had",
    ),
    // What is found is none of the host's business once something is named.
    (
        "certificate = \"own/localhost.crt\"",
        |_| {},
        |files| fs::write(files.root.join("certs/localhost.key"), "").unwrap(),
        [Own, Own],
        0,
        RELOADED,
    ),
];

#[test]
fn each_host_and_its_direct_tls_are_served_with_what_is_named_for_them() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let files = Files::of(&stopped);
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command).unwrap();
    for (options, first, then, expected, code, words) in TABLE {
        files.mend();
        let (ended, said) = server.outcome(&["reload"]).unwrap();
        assert_eq!(ended, 0, "before {options}: {said}");
        first(&files);
        files.name(options);
        server.outcome(&["reload"]).unwrap();
        then(&files);
        let (ended, said) = server.outcome(&["reload"]).unwrap();
        assert_eq!(ended, code, "{options}: {said}");
        assert!(said.contains(words), "{options}: {said}");
        let shown = files.shown(server.clear, server.tls);
        assert_eq!(shown, expected, "{options}: {said}");
    }
}

/// Nothing is there to keep: what is named and broken is told, and what else there is is served, other hosts too.
#[test]
fn a_start_serves_what_can_be_used_and_says_what_cannot() {
    for (options, harmed, expected, words) in [
        (
            "certificate = \"own/localhost.crt\"",
            "own/localhost.key",
            [Found, Found],
            "certs/localhost.crt is used instead",
        ),
        (
            "c2s_direct_tls_certificate = \"direct/localhost.crt\"",
            "direct/localhost.crt",
            [Found, Found],
            "direct TLS is served with the certificate of the host instead",
        ),
        (
            "c2s_direct_tls_certificate = \"direct/localhost.crt\"",
            "certs/localhost.crt",
            [Nothing, Direct],
            "nobody can sign in, because TLS is required and there is no certificate",
        ),
    ] {
        let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
        let files = Files::of(&stopped);
        files.name(&format!("{options}\n[host.\"b.example\"]"));
        files.remove(harmed);
        let certs = files.root.join("certs");
        files.authorities[0].issue(&certs, "b.example").unwrap();
        let (code, said) = stopped.outcome(&["check", "certs"]).unwrap();
        assert!(
            code == 3 && said.contains(words),
            "{options}: {code} {said}"
        );
        let (code, said) = stopped.outcome(&["check", "config"]).unwrap();
        assert!(
            code == 3 && said.contains(words),
            "{options}: {code} {said}"
        );
        if expected[0] == Nothing {
            let (code, said) = stopped.outcome(&["cert", "show", HOST]).unwrap();
            let but = "direct/localhost.crt for direct TLS";
            assert!(code == 1 && said.contains(but), "{code} {said}");
        }
        let command = Command::new(stopped.binary());
        let server = stopped.begin(command).unwrap();
        server.wait_for_log(&["ERROR", words]).unwrap();
        Client::connect_tls(server.tls, "b.example", &files.trust(Found), &[]).unwrap();
        if expected[0] == Nothing {
            let trust = files.trust(Direct);
            Client::connect_tls(server.tls, HOST, &trust, &[]).unwrap();
        } else {
            assert_eq!(files.shown(server.clear, server.tls), expected, "{options}");
        }
    }
}

/// `tls-server-end-point` is that of the certificate that this client was shown (RFC 5929 §4.1), and a -PLUS sign-in says so.
#[test]
fn a_sign_in_is_bound_to_the_certificate_that_was_shown_on_that_port() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let files = Files::of(&stopped);
    files.name("certificate = \"own\"\nc2s_direct_tls_certificate = \"direct/localhost.crt\"");
    stopped.add_user("juliet@localhost", "secret").unwrap();
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command).unwrap();
    let plus = Mechanism::Scram(Hash::Sha256, Plus::Yes);
    let mut starttls = Client::connect(server.clear, HOST, &files.trust(Own)).unwrap();
    starttls.open().unwrap();
    starttls.starttls().unwrap();
    let mut direct = Client::connect_tls(server.tls, HOST, &files.trust(Direct), &[]).unwrap();
    for client in [&mut starttls, &mut direct] {
        client.open().unwrap();
        client
            .sign_in("juliet", "secret", plus, BindTo::EndPoint)
            .unwrap();
        client.bind(None).unwrap();
    }
}

#[test]
fn what_is_named_is_shown_by_every_command_that_shows_certificates() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let files = Files::of(&stopped);
    files.name("certificate = \"own\"\nc2s_direct_tls_certificate = \"direct/localhost.crt\"");
    let (own, direct) = ("own/localhost.crt", "direct/localhost.crt");
    let of_file = |name: &str| {
        let file = files.root.join(name).display().to_string();
        let said = stopped.command(&["cert", "fingerprint", &file]).unwrap();
        let lines = said.lines().skip(1);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for command in [
        &["check", "config"][..],
        &["check", "certs"],
        &["cert", "show", HOST],
        &["cert", "fingerprint", HOST],
    ] {
        let said = stopped.command(command).unwrap();
        for words in [own, "for direct TLS", direct] {
            assert!(said.contains(words), "{command:?}: {said}");
        }
        assert!(!said.contains("certs/localhost.crt"), "{command:?}: {said}");
        if command[1] != "config" {
            for line in [of_file(own), of_file(direct)].concat() {
                assert!(said.contains(line.trim()), "{command:?}: {said}");
            }
        }
    }
    // Each record for DNS stands at the port where that certificate is shown.
    let json = stopped.command(&["check", "certs", "--json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let records = |details: &serde_json::Value| details["tlsa"].to_string();
    let host = &json["hosts"][0];
    let port = |number: u16| format!("_{number}._tcp.");
    let text = fs::read_to_string(files.root.join("spondee.toml")).unwrap();
    let number = |option: &str| -> u16 {
        let line = text.lines().find(|line| line.starts_with(option)).unwrap();
        let digits = line.split(['[', ']']).nth(1).unwrap();
        digits.parse().unwrap()
    };
    let (clear, tls) = (number("c2s_ports"), number("c2s_direct_tls_ports"));
    let (of_host, of_direct) = (
        records(&host["details"]),
        records(&host["direct_details"][0]),
    );
    assert!(of_host.contains(&port(clear)) && !of_host.contains(&port(tls)));
    assert!(of_direct.contains(&port(tls)) && !of_direct.contains(&port(clear)));
}

#[test]
fn files_that_are_named_are_watched_as_those_of_the_directory_are() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let files = Files::of(&stopped);
    files.name("certificate = \"own/localhost.crt\"\nc2s_direct_tls_certificate = \"direct\"");
    let config = files.root.join("spondee.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("certificates_watch = 1\n{text}")).unwrap();
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command).unwrap();
    assert_eq!(files.shown(server.clear, server.tls), [Own, Direct]);
    for (directory, words) in [
        ("own", "certificate of localhost has changed"),
        (
            "direct",
            "certificate of localhost for direct TLS has changed",
        ),
    ] {
        files.renew(directory, "key");
        files.renew(directory, "crt");
        server.wait_for_log(&["INFO", words]).unwrap();
    }
    assert_eq!(files.shown(server.clear, server.tls), [New, New]);
}

/// A renewal goes where the server looks for it, or it is said why not.
#[test]
fn a_renewal_is_imported_to_the_file_that_is_named() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let files = Files::of(&stopped);
    let certs = files.root.join("certs");
    for ending in ["crt", "key"] {
        let from = certs.join(format!("{HOST}.{ending}"));
        fs::rename(from, certs.join(format!("named.{ending}"))).unwrap();
    }
    files.name("certificate = \"certs/named.crt\"");
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command).unwrap();
    let from = files.root.join("renewed").display().to_string();
    let import = ["cert", "import", HOST, "--from", &from];
    let said = server.command(&import).unwrap();
    assert!(said.contains("certs/named.crt, its key to"), "{said}");
    assert_eq!(files.shown(server.clear, server.tls), [New, New]);
    assert!(!certs.join("localhost.crt").exists());
    // Another program's file is left alone.
    files.name("certificate = \"own/localhost.crt\"");
    let fault = server.command(&import).unwrap_err();
    assert!(fault.contains("nothing is written outside"), "{fault}");
    // It is that program's hook that runs.
    let own = files.root.join("own").display().to_string();
    let hook = ["cert", "import", HOST, "--from", &own];
    let said = server.command(&hook).unwrap();
    assert!(said.contains("is what the configuration names"), "{said}");
    assert_eq!(files.shown(server.clear, server.tls), [Own, Own]);
}
