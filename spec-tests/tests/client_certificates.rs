//! Clients that sign in by a certificate (SASL EXTERNAL, XEP-0178) to the server as it runs: whom it takes for whom, and that everybody else signs in as
//! before.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use spec_tests::ca::Authority;
use spec_tests::client::{BindTo, Client, PATIENCE, Trust, Versions, offered};
use spec_tests::element::{CLIENT, SASL};
use spec_tests::sasl::encode;
use spec_tests::server::{Scratch, Server};
use spondee_core::sasl::{Hash, Mechanism, Plus};

const PASSWORD: &str = "the lark and not the nightingale";
/// Trusts the authority.
const HOST: &str = "localhost";
/// Trusts it, too.
const SECOND: &str = "second.test";
/// Trusts nobody with saying who its clients are.
const OTHER: &str = "other.test";

/// A server of three hosts, and who signs certificates for its clients.
struct Place {
    server: Server,
    authority: Authority,
    strangers: Authority,
}

fn authority(scratch: &Path, name: &str) -> Authority {
    let directory = scratch.join(name);
    fs::create_dir(&directory).unwrap();
    Authority::new(&directory).unwrap()
}

impl Place {
    fn new() -> Self {
        let scratch = Scratch::new().unwrap();
        let authority_ = authority(scratch.path(), "clients");
        let strangers = authority(scratch.path(), "strangers");
        let hosts = format!(
            "c2s_ca_file = \"clients/ca.pem\"\n[host.\"{SECOND}\"]\nc2s_ca_file = \"clients/ca.pem\"\n[host.\"{OTHER}\"]\n"
        );
        let stopped = Server::prepare(scratch, &hosts).unwrap();
        let config = stopped.scratch().join("spondee.toml");
        let text = fs::read_to_string(&config).unwrap();
        let options =
            "log_level = \"debug\"\nsasl_failures_per_address = 0\nsasl_failures_per_account = 0\n";
        fs::write(&config, format!("{options}{text}")).unwrap();
        let certs = stopped.scratch().join("certs");
        for host in [SECOND, OTHER] {
            stopped.authority().issue(&certs, host).unwrap();
        }
        for account in ["juliet", "romeo", "tybalt"] {
            for host in [HOST, SECOND, OTHER] {
                stopped
                    .add_user(&format!("{account}@{host}"), PASSWORD)
                    .unwrap();
            }
        }
        stopped
            .command(&["user", "disable", "tybalt@localhost"])
            .unwrap();
        let command = Command::new(stopped.binary());
        Self {
            server: stopped.begin(command).unwrap(),
            authority: authority_,
            strangers,
        }
    }

    /// Trust of a client that shows this.
    fn showing(&self, shows: Option<&[String; 2]>) -> Trust {
        let trust = self.server.trust().unwrap();
        match shows {
            Some([certificate, key]) => trust.showing(certificate, key).unwrap(),
            None => trust,
        }
    }

    /// One of juliet's.
    fn juliet(&self) -> [String; 2] {
        self.authority
            .issue_client(&["juliet@localhost"], 30)
            .unwrap()
    }

    /// A client on a stream to `host` behind TLS, with what it is offered.
    fn secured(&self, way: Way, host: &str, name: &str, trust: &Trust) -> (Client, Vec<Mechanism>) {
        let Way(port, versions) = way;
        let address = match port {
            Port::StartTls => self.server.clear,
            Port::Direct => self.server.tls,
        };
        let client = Client::connect(address, host, trust).unwrap();
        let mut client = client.with_versions(versions).with_server_name(name);
        match port {
            Port::StartTls => {
                client.open().unwrap();
                client.starttls().unwrap();
            }
            Port::Direct => client.tls_first(&["xmpp-client"]).unwrap(),
        }
        let (_, features) = client.open().unwrap();
        (client, offered(&features))
    }

    fn is_offered(&self, host: &str, name: &str, trust: &Trust) -> bool {
        let (_, offered) = self.secured(WAYS[0], host, name, trust);
        offered.contains(&Mechanism::External)
    }

    fn reload(&self) -> (i32, String) {
        self.server.outcome(&["reload"]).unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
enum Port {
    StartTls,
    Direct,
}

#[derive(Clone, Copy, Debug)]
struct Way(Port, Versions);

const WAYS: [Way; 4] = [
    Way(Port::StartTls, Versions::Both),
    Way(Port::StartTls, Versions::Only12),
    Way(Port::Direct, Versions::Both),
    Way(Port::Direct, Versions::Only12),
];

/// What becomes of who asks for EXTERNAL.
#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    In(&'static str),
    Refused(&'static str),
    Unoffered,
}

use Outcome::{In, Refused, Unoffered};

const BY_PASSWORD: Mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);

/// Tries it, and then by password on the same stream if that did not sign in. What is not as expected is an error.
fn attempt(
    place: &Place,
    way: Way,
    host: &str,
    trust: &Trust,
    wanted: &str,
    expected: &Outcome,
) -> Result<(), String> {
    let (mut client, offered) = place.secured(way, host, host, trust);
    let is_first = offered.first() == Some(&Mechanism::External);
    let is_there = offered.contains(&Mechanism::External);
    // XEP-0178 §2: where it is, it is before all others.
    if is_first != is_there || is_there == (*expected == Unoffered) {
        return Err(format!("offered: {offered:?}"));
    }
    client.send(&format!(
        "<auth xmlns='{SASL}' mechanism='EXTERNAL'>{}</auth>",
        encode(wanted.as_bytes())
    ))?;
    let answer = client.sasl_answer("success");
    let condition = match expected {
        In(account) => {
            answer?;
            client.open()?;
            return end(client, account);
        }
        Refused(condition) => condition,
        Unoffered => "invalid-mechanism",
    };
    if answer != Err(format!("failure: {condition}")) {
        return Err(format!("{answer:?}, not {condition}"));
    }
    client.sign_in("juliet", PASSWORD, BY_PASSWORD, BindTo::Exporter)?;
    end(client, &format!("juliet@{host}"))
}

/// Looks who it is, and leaves.
fn end(mut client: Client, account: &str) -> Result<(), String> {
    let bound = client.bind(Some("balcony"))?;
    match bound == format!("{account}/balcony") {
        true => client.close(),
        false => Err(format!("signed in as {bound}")),
    }
}

/// What a client shows, and whom that names.
#[derive(Clone, Copy, Debug)]
enum Shows {
    Nothing,
    /// A certificate by the authority of the host.
    Ours(&'static [&'static str]),
    /// By one of which the host knows nothing.
    Strangers(&'static [&'static str]),
    /// By the first, ended yesterday.
    Expired(&'static [&'static str]),
}

use Shows::{Expired, Nothing, Ours, Strangers};

const JULIET: &[&str] = &["juliet@localhost"];
const BOTH: &[&str] = &["juliet@localhost", "romeo@localhost"];
const OF_TWO_HOSTS: &[&str] = &["juliet@localhost", "juliet@second.test"];

/// What is shown, on a stream to whom, which identity is asked for, and what comes of it.
type Row = (Shows, &'static str, &'static str, Outcome);

const TABLE: [Row; 14] = [
    (Ours(JULIET), HOST, "", In("juliet@localhost")),
    (
        Ours(JULIET),
        HOST,
        "juliet@localhost",
        In("juliet@localhost"),
    ),
    (
        Ours(JULIET),
        HOST,
        "romeo@localhost",
        Refused("invalid-authzid"),
    ),
    (Ours(BOTH), HOST, "romeo@localhost", In("romeo@localhost")),
    (Ours(BOTH), HOST, "", Refused("invalid-authzid")),
    (Ours(OF_TWO_HOSTS), SECOND, "", In("juliet@second.test")),
    (
        Ours(&["tybalt@localhost"]),
        HOST,
        "",
        Refused("account-disabled"),
    ),
    (
        Ours(&["nobody@localhost"]),
        HOST,
        "",
        Refused("not-authorized"),
    ),
    (Ours(&["juliet@other.test"]), HOST, "", Unoffered),
    (Ours(&[]), HOST, "", Unoffered),
    (Strangers(JULIET), HOST, "", Unoffered),
    (Expired(JULIET), HOST, "", Unoffered),
    (Nothing, HOST, "", Unoffered),
    (Ours(&["juliet@other.test"]), OTHER, "", Unoffered),
];

#[test]
fn a_client_is_whom_its_certificate_names_and_anybody_may_have_a_password() {
    let place = Place::new();
    for (shows, host, wanted, expected) in TABLE {
        let certificate = match shows {
            Nothing => None,
            Ours(names) => Some(place.authority.issue_client(names, 30).unwrap()),
            Strangers(names) => Some(place.strangers.issue_client(names, 30).unwrap()),
            Expired(names) => Some(place.authority.issue_client(names, -1).unwrap()),
        };
        let trust = place.showing(certificate.as_ref());
        for way in WAYS {
            let outcome = attempt(&place, way, host, &trust, wanted, &expected);
            let row = format!("{shows:?} to {host} as {wanted:?}, {way:?}");
            assert_eq!(outcome, Ok(()), "{row}");
        }
    }
    place
        .server
        .wait_for_log(&["signed in", "mechanism=EXTERNAL"])
        .unwrap();
}

#[test]
fn the_log_says_why_a_certificate_is_as_good_as_none() {
    let place = Place::new();
    for (certificate, why) in [
        (place.strangers.issue_client(JULIET, 30), "BadSignature"),
        (
            place.authority.issue_client(JULIET, -1),
            "certificate expired",
        ),
        (
            place.authority.issue_client(&["juliet@other.test"], 30),
            "it names no account of localhost",
        ),
    ] {
        let trust = place.showing(Some(&certificate.unwrap()));
        assert!(!place.is_offered(HOST, HOST, &trust));
        let words = [
            "DEBUG",
            "its certificate is as good as none: ",
            why,
            "peer=127.0.0.1",
        ];
        place.server.wait_for_log(&words).unwrap();
    }
}

/// OpenSSL writes down the identifier by number or by name, and it comes to the same (RFC 6120 §13.7.1.4).
#[test]
fn a_name_is_understood_however_the_identifier_was_written() {
    let place = Place::new();
    for identifier in ["id-on-xmppAddr", "1.3.6.1.5.5.7.8.5"] {
        let made = self_made(place.server.scratch(), identifier);
        let file = place.server.scratch().join("clients/ca.pem");
        fs::write(file, &made[2]).unwrap();
        assert_eq!(place.reload().0, 0);
        let [certificate, key, _] = made;
        let trust = place.showing(Some(&[certificate, key]));
        assert!(place.is_offered(HOST, HOST, &trust), "{identifier}");
    }
}

/// By OpenSSL, as the page on security has it: a certificate that names juliet by this identifier, its key, and the certificate of its authority.
fn self_made(scratch: &Path, identifier: &str) -> [String; 3] {
    let path = |name: &str| scratch.join(name).display().to_string();
    let openssl = |arguments: &[&str]| {
        let new = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-noenc",
        ];
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-days", "30"]).args(new);
        let made = command.args(arguments).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    let (ca, ca_key) = (path("own-ca.pem"), path("own-ca.key"));
    let (own, own_key) = (path("own.crt"), path("own.key"));
    let usage = "keyUsage=critical,keyCertSign,cRLSign";
    openssl(&[
        "-subj",
        "/CN=clients",
        "-addext",
        usage,
        "-keyout",
        &ca_key,
        "-out",
        &ca,
    ]);
    let names = format!("subjectAltName=otherName:{identifier};UTF8:juliet@localhost");
    let is_leaf = "basicConstraints=critical,CA:FALSE";
    let for_clients = "extendedKeyUsage=clientAuth";
    openssl(&[
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-subj",
        "/CN=juliet",
        "-addext",
        is_leaf,
        "-addext",
        for_clients,
        "-addext",
        &names,
        "-keyout",
        &own_key,
        "-out",
        &own,
    ]);
    [own, own_key, ca].map(|file| fs::read_to_string(file).unwrap())
}

#[test]
fn what_proves_nothing_ends_the_handshake() {
    let place = Place::new();
    let many: Vec<_> = (0..600)
        .map(|n| format!("somebody-{n}@other.test"))
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let [juliet, _] = place.juliet();
    let [_, key_of_another] = place.juliet();
    for (what, shows) in [
        (
            "more than 16 KiB",
            place.authority.issue_client(&many, 30).unwrap(),
        ),
        ("X.509 version 1", OF_VERSION_1.map(str::to_owned)),
        ("without its key", [juliet, key_of_another]),
    ] {
        let trust = place.showing(Some(&shows));
        for versions in [Versions::Both, Versions::Only12] {
            let client = Client::connect(place.server.tls, HOST, &trust).unwrap();
            let mut client = client.with_versions(versions);
            // With TLS 1.3 a client is done before the server has seen its certificate.
            let ended = client.tls_first(&[]).and_then(|()| client.open().map(drop));
            assert!(ended.is_err(), "{what}, {versions:?}");
        }
    }
    let juliet = place.showing(Some(&place.juliet()));
    assert!(place.is_offered(HOST, HOST, &juliet));
}

/// A certificate as they were before there were extensions, and its key.
const OF_VERSION_1: [&str; 2] = [
    "-----BEGIN CERTIFICATE-----\n\
     MIIBHjCBxQIUUucelQHa3QqTocUSUnqCM381ijEwCgYIKoZIzj0EAwIwETEPMA0G\n\
     A1UEAwwGanVsaWV0MCAXDTI2MTEyNzAyNDkxOVoYDzIxMjYxMTAzMDI0OTE5WjAR\n\
     MQ8wDQYDVQQDDAZqdWxpZXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARMM1xN\n\
     CDZWcKjUcIoq7uWs0JacmWWlmBoQWz6EGYAbAVjwMiUvfghIT9JJQQ1c0Y61GMVo\n\
     fS5OQmj6naPrq8LuMAoGCCqGSM49BAMCA0gAMEUCIEvohc7IBXG9t6eSR2k5eD7g\n\
     +HyC14AtHTIojuvSPubGAiEAvwz3dterxPemofsuWOWSbhQZfHhq4MLiczqI/E2A\n\
     Nxg=\n\
     -----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\n\
     MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbPuzEm4EYcmZT7pA\n\
     BSV/mG2AMAa3UdOGgSgbC33UcYWhRANCAARMM1xNCDZWcKjUcIoq7uWs0JacmWWl\n\
     mBoQWz6EGYAbAVjwMiUvfghIT9JJQQ1c0Y61GMVofS5OQmj6naPrq8Lu\n\
     -----END PRIVATE KEY-----\n",
];

#[test]
fn an_authority_vouches_for_the_host_alone_that_tls_was_for() {
    let place = Place::new();
    let names = [
        "juliet@localhost",
        "juliet@second.test",
        "juliet@other.test",
    ];
    let shows = place.authority.issue_client(&names, 30).unwrap();
    let trust = place.showing(Some(&shows));
    for (name, host, is_offered) in [
        (HOST, HOST, true),
        (HOST, SECOND, false),
        (SECOND, HOST, false),
        (HOST, OTHER, false),
        (OTHER, HOST, false),
        (SECOND, SECOND, true),
    ] {
        let offered = place.is_offered(host, name, &trust);
        assert_eq!(offered, is_offered, "TLS for {name}, stream to {host}");
    }
}

#[test]
fn a_reload_takes_other_authorities_and_ends_no_session() {
    let place = Place::new();
    let juliet = place.showing(Some(&place.juliet()));
    let (mut session, _) = place.secured(WAYS[0], HOST, HOST, &juliet);
    session
        .sign_in("juliet", "", Mechanism::External, BindTo::Unoffered)
        .unwrap();
    session.bind(Some("balcony")).unwrap();

    let file = place.server.scratch().join("clients/ca.pem");
    let of_strangers = fs::read_to_string(place.strangers.path()).unwrap();
    let theirs = place
        .strangers
        .issue_client(&["romeo@localhost"], 30)
        .unwrap();
    let theirs = place.showing(Some(&theirs));
    let offered = |place: &Place| [&juliet, &theirs].map(|who| place.is_offered(HOST, HOST, who));
    assert_eq!(offered(&place), [true, false]);

    fs::write(&file, "").unwrap();
    let (code, said) = place.reload();
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("it keeps the authorities it had"), "{said}");
    assert_eq!(offered(&place), [true, false]);

    fs::write(&file, of_strangers).unwrap();
    assert_eq!(place.reload(), (0, "the server has reloaded\n".to_owned()));
    assert_eq!(offered(&place), [false, true]);

    let config = place.server.scratch().join("spondee.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("c2s_ca_file = \"clients/ca.pem\"\n", ""),
    )
    .unwrap();
    assert_eq!(place.reload(), (0, "the server has reloaded\n".to_owned()));
    assert_eq!(offered(&place), [false, false]);

    session
        .send("<message to='juliet@localhost/balcony' id='still' type='chat'><body>still there</body></message>")
        .unwrap();
    let is_it = |stanza: &spec_tests::element::Element| {
        stanza.is(CLIENT, "message") && stanza.attribute("id") == Some("still")
    };
    session.next_where(PATIENCE, is_it).unwrap();
}

#[test]
fn a_file_of_authorities_that_is_bad_is_told_before_and_at_a_start() {
    let scratch = Scratch::new().unwrap();
    let stopped = Server::prepare(scratch, "c2s_ca_file = \"clients.pem\"\n").unwrap();
    stopped.add_user("juliet@localhost", PASSWORD).unwrap();
    let file = stopped.scratch().join("clients.pem");
    let leaf = stopped
        .authority()
        .issue_client(&["juliet@localhost"], 30)
        .unwrap();
    let rows: [(&str, Option<&str>, &str); 4] = [
        ("missing", None, "there is no such file"),
        ("empty", Some(""), "this file is empty"),
        (
            "something else",
            Some("hello\n"),
            "there is no certificate in this file",
        ),
        (
            "a client's own",
            Some(&leaf[0]),
            "none of the certificates in this file is an authority's",
        ),
    ];
    for (what, content, words) in rows {
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let (code, said) = stopped.outcome(&["check", "config"]).unwrap();
        assert_eq!(code, 3, "{what}: {said}");
        for words in ["host localhost: `c2s_ca_file`: ", "clients.pem", words] {
            assert!(said.contains(words), "{what}: {said}");
        }
    }
    // Passwords are as good as before.
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command).unwrap();
    server
        .wait_for_log(&["ERROR", "nobody can sign in by certificate"])
        .unwrap();
    let trust = server.trust().unwrap();
    Client::session(server.clear, HOST, &trust, "juliet", PASSWORD).unwrap();

    fs::copy(
        server.authority().path(),
        server.scratch().join("clients.pem"),
    )
    .unwrap();
    let (code, said) = server.outcome(&["check", "config"]).unwrap();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("clients may sign in by a certificate of an authority in /"),
        "{said}"
    );
    server.command(&["reload"]).unwrap();
    let trust = trust.showing(&leaf[0], &leaf[1]).unwrap();
    let mut client = Client::connect_tls(server.tls, HOST, &trust, &[]).unwrap();
    let (_, features) = client.open().unwrap();
    assert_eq!(offered(&features)[0], Mechanism::External);
}
