//! What TLS offers by `tls_profile` and `ssl`, as clients meet it that are limited to a version, a suite or a group.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{ALL_KX_GROUPS, cipher_suite as suite, default_provider, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, RootCertStore,
    SupportedCipherSuite,
};
use spec_tests::ca::Authority;
use spec_tests::client::{Client, PATIENCE, Trust, Versions};
use spec_tests::program::{Program, left_out};
use spec_tests::server::{Scratch, Server, Stopped};

const TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
const TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// What a client offers.
#[derive(Clone)]
struct Offer {
    versions: &'static [&'static rustls::SupportedProtocolVersion],
    provider: CryptoProvider,
}

impl Offer {
    fn of(versions: &'static [&'static rustls::SupportedProtocolVersion]) -> Self {
        Self {
            versions,
            provider: default_provider(),
        }
    }

    fn suites(mut self, suites: &[SupportedCipherSuite]) -> Self {
        self.provider.cipher_suites = suites.to_vec();
        self
    }

    fn group(mut self, group: &'static dyn rustls::crypto::SupportedKxGroup) -> Self {
        self.provider.kx_groups = vec![group];
        self
    }
}

/// What was agreed on.
#[derive(Debug, PartialEq)]
struct Agreed {
    version: ProtocolVersion,
    suite: CipherSuite,
    group: NamedGroup,
}

type Connect = fn(SocketAddr, &str, &str, &Offer) -> Result<Agreed, String>;

/// A handshake on the port of direct TLS.
fn direct(address: SocketAddr, host: &str, ca: &str, offer: &Offer) -> Result<Agreed, String> {
    handshake(TcpStream::connect(address).unwrap(), host, ca, offer)
}

/// The same behind `<starttls/>`.
fn starttls(address: SocketAddr, host: &str, ca: &str, offer: &Offer) -> Result<Agreed, String> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let header = format!(
        "<stream:stream to='{host}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let ask = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    for (say, until) in [(header.as_str(), "</stream:features>"), (ask, "<proceed")] {
        socket.write_all(say.as_bytes()).unwrap();
        let (mut said, mut byte) = (String::new(), [0]);
        while !(said.contains(until) && said.ends_with('>')) {
            socket.read_exact(&mut byte).unwrap();
            said.push(char::from(byte[0]));
        }
    }
    handshake(socket, host, ca, offer)
}

fn handshake(mut socket: TcpStream, host: &str, ca: &str, offer: &Offer) -> Result<Agreed, String> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(offer.provider.clone()))
        .with_protocol_versions(offer.versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)
            .map_err(|error| error.to_string())?;
    }
    assert_eq!(tls.tls13_tickets_received(), 0);
    Ok(Agreed {
        version: tls.protocol_version().unwrap(),
        suite: tls.negotiated_cipher_suite().unwrap().suite(),
        group: tls.negotiated_key_exchange_group().unwrap().name(),
    })
}

/// A server with these lines above the sections, and these in that of `localhost`.
fn server(options: &str, own: &str) -> Server {
    begin(
        Server::prepare(Scratch::new().unwrap(), own).unwrap(),
        options,
    )
}

/// The same with an RSA key, which OpenSSL makes.
fn rsa_server(options: &str) -> Server {
    begin(rsa_stopped(), options)
}

fn rsa_stopped() -> Stopped {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    let certs = stopped.scratch().join("certs");
    let authority = stopped.authority();
    authority.issue_rsa(&certs, "localhost").unwrap();
    stopped
}

fn begin(stopped: Stopped, options: &str) -> Server {
    let config = stopped.scratch().join("spondee.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{options}\n{text}")).unwrap();
    let command = Command::new(stopped.binary());
    stopped.begin(command).unwrap()
}

/// The certificate of these servers has an ECDSA key.
const SUITES: [(SupportedCipherSuite, bool); 9] = [
    (suite::TLS13_AES_128_GCM_SHA256, true),
    (suite::TLS13_AES_256_GCM_SHA384, true),
    (suite::TLS13_CHACHA20_POLY1305_SHA256, true),
    (suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, true),
    (suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, true),
    (suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, true),
    (suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, false),
    (suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, false),
    (suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, false),
];

fn versions_of(
    suite: SupportedCipherSuite,
) -> &'static [&'static rustls::SupportedProtocolVersion] {
    match suite.tls13() {
        Some(_) => TLS13,
        None => TLS12,
    }
}

/// Who takes either gets ECDSA.
#[test]
fn with_a_certificate_of_each_kind_every_suite_is_agreed_on() {
    if left_out("a certificate with an RSA key, which openssl makes, beside one for ECDSA") {
        return;
    }
    let stopped = rsa_stopped();
    let certs = stopped.scratch().join("certs");
    for ending in ["crt", "key"] {
        let rsa = certs.join(format!("localhost.rsa.{ending}"));
        fs::rename(certs.join(format!("localhost.{ending}")), rsa).unwrap();
    }
    stopped.authority().issue(&certs, "localhost").unwrap();
    let server = begin(stopped, "");
    let ca = server.authority().pem();
    for (suite, _) in SUITES {
        let offer = Offer::of(versions_of(suite)).suites(&[suite]);
        for connect in [
            direct(server.tls, "localhost", ca, &offer),
            starttls(server.clear, "localhost", ca, &offer),
        ] {
            assert_eq!(connect.unwrap().suite, suite.suite());
        }
    }
    let shown = server.command(&["check", "certs"]).unwrap();
    for words in [
        ", beside it ",
        "key          ECDSA, P-256",
        "key          RSA, 2048 bits",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

#[test]
fn by_default_a_client_of_either_version_agrees_by_every_suite_and_group() {
    let server = server("", "");
    let ca = server.authority().pem();
    for (suite, fits) in SUITES {
        let offer = Offer::of(versions_of(suite)).suites(&[suite]);
        for connect in [
            direct(server.tls, "localhost", ca, &offer),
            starttls(server.clear, "localhost", ca, &offer),
        ] {
            assert_eq!(connect.is_ok(), fits, "{suite:?}: {connect:?}");
            if let Ok(agreed) = connect {
                assert_eq!(agreed.suite, suite.suite());
            }
        }
    }
    for versions in [TLS12, TLS13] {
        for group in ALL_KX_GROUPS {
            let offer = Offer::of(versions).group(*group);
            let agreed = direct(server.tls, "localhost", ca, &offer).unwrap();
            assert_eq!(agreed.group, group.name());
        }
    }
}

#[test]
fn a_modern_server_refuses_tls_1_2_by_its_name() {
    let server = server("tls_profile = \"modern\"", "");
    let ca = server.authority().pem();
    let both: [(Connect, SocketAddr); 2] = [(direct, server.tls), (starttls, server.clear)];
    for (connect, address) in both {
        let refused = connect(address, "localhost", ca, &Offer::of(TLS12));
        let fault = refused.unwrap_err();
        assert!(fault.contains("ProtocolVersion"), "{fault}");
        let agreed = connect(address, "localhost", ca, &Offer::of(TLS13)).unwrap();
        assert_eq!(agreed.version, ProtocolVersion::TLSv1_3);
    }
}

#[test]
fn suites_and_groups_that_were_named_are_all_there_is_in_the_order_given() {
    let server = server(
        "ssl = { ciphers = [\"ECDHE-ECDSA-CHACHA20-POLY1305\", \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\"], \
         ciphersuites = \"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256\", curveslist = [\"secp384r1\"] }",
        "",
    );
    let ca = server.authority().pem();
    let agree = |offer: &Offer| direct(server.tls, "localhost", ca, offer);
    // A client with another order in mind.
    let both = [
        suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    let agreed = agree(&Offer::of(TLS12).suites(&both)).unwrap();
    assert_eq!(
        agreed.suite,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    );
    assert_eq!(agreed.group, NamedGroup::secp384r1);
    let all = [
        suite::TLS13_CHACHA20_POLY1305_SHA256,
        suite::TLS13_AES_128_GCM_SHA256,
        suite::TLS13_AES_256_GCM_SHA384,
    ];
    let agreed = agree(&Offer::of(TLS13).suites(&all)).unwrap();
    assert_eq!(agreed.suite, CipherSuite::TLS13_AES_256_GCM_SHA384);
    for refused in [
        Offer::of(TLS12).suites(&[suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]),
        Offer::of(TLS13).suites(&[suite::TLS13_CHACHA20_POLY1305_SHA256]),
        Offer::of(TLS12).group(kx_group::X25519),
        Offer::of(TLS13).group(kx_group::SECP256R1),
    ] {
        let fault = agree(&refused).unwrap_err();
        assert!(fault.contains("HandshakeFailure"), "{fault}");
    }
}

#[test]
fn each_host_and_each_port_has_its_own() {
    let own = "c2s_direct_tls_ssl = { protocol = \"tlsv1_3\" }\n[host.\"b.example\"]\ntls_profile = \"modern\"\n";
    let stopped = Server::prepare(Scratch::new().unwrap(), own).unwrap();
    let other = stopped.scratch().join("other");
    fs::create_dir(&other).unwrap();
    let authority = Authority::new(&other).unwrap();
    authority
        .issue(&stopped.scratch().join("certs"), "b.example")
        .unwrap();
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command).unwrap();
    let (a, b) = (server.authority().pem(), authority.pem());
    let old = Offer::of(TLS12);
    starttls(server.clear, "localhost", a, &old).unwrap();
    direct(server.tls, "localhost", a, &old).unwrap_err();
    starttls(server.clear, "b.example", b, &old).unwrap_err();
    direct(server.tls, "b.example", b, &old).unwrap_err();
    direct(server.tls, "b.example", b, &Offer::of(TLS13)).unwrap();
}

#[test]
fn a_reload_changes_what_new_connections_get_and_leaves_the_others() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "").unwrap();
    stopped.add_user("juliet@localhost", "secret").unwrap();
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command).unwrap();
    let trust = server.trust().unwrap();
    let old = |trust: &Trust| {
        let client = Client::connect(server.clear, "localhost", trust).unwrap();
        let mut client = client.with_versions(Versions::Only12);
        client.open().unwrap();
        client.starttls().map(|()| client)
    };
    let mut before = old(&trust).unwrap();
    let config = server.scratch().join("spondee.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("tls_profile = \"modern\"\n{text}")).unwrap();
    let killed = Command::new("kill")
        .args(["-HUP", &server.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    server
        .wait_for_log(&["configuration and certificates reloaded"])
        .unwrap();
    let fault = old(&trust).unwrap_err();
    assert!(fault.contains("ProtocolVersion"), "{fault}");
    before.open().unwrap();
    Client::session(server.clear, "localhost", &trust, "juliet", "secret").unwrap();
}

#[test]
fn what_is_in_force_is_shown_by_check_config_and_what_is_broken_is_refused() {
    let stopped = Server::prepare(Scratch::new().unwrap(), "tls_profile = \"modern\"").unwrap();
    let said = stopped.command(&["check", "config"]).unwrap();
    let line = "TLS of localhost: TLS 1.3 with TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256; keys \
                agreed on in X25519, P-256, P-384\n";
    assert!(said.contains(line), "{said}");
    let old = Server::prepare(Scratch::new().unwrap(), "tls_profile = \"old\"").unwrap();
    for command in [&["check", "config"][..], &["serve"]] {
        let fault = old.command(command).unwrap_err();
        assert!(
            fault.contains("exit status: 3") || command[0] == "check",
            "{fault}"
        );
    }
    // Suites for a key that the host does not have.
    let rsa = "ssl = { ciphers = \"ECDHE-RSA-AES128-GCM-SHA256\" }";
    let stopped = Server::prepare(Scratch::new().unwrap(), rsa).unwrap();
    let said = stopped.command(&["check", "config"]).unwrap();
    assert!(
        said.contains("warning: host localhost: none of the `ciphers` goes with"),
        "{said}"
    );
}

/// What OpenSSL says that asks a server by these options, and whether it is content.
fn openssl(server: &Server, options: &str) -> (bool, String) {
    let mut command = Command::new("openssl");
    let address = format!("127.0.0.1:{}", server.clear.port());
    command
        .args(["s_client", "-connect", &address, "-starttls", "xmpp"])
        .args(["-xmpphost", "localhost", "-servername", "localhost"])
        .arg("-CAfile")
        .arg(server.authority().path())
        .args(["-verify_return_error", "-brief"])
        .args(options.split(' '));
    let mut openssl = Program::start(command).unwrap();
    let status = openssl.wait(PATIENCE).unwrap();
    (status.success(), openssl.seen().join("\n"))
}

/// OpenSSL as the other end: what it gets, and what it is refused.
#[test]
fn openssl_agrees_by_what_is_offered_and_by_nothing_else() {
    if left_out("openssl s_client against the profiles") {
        return;
    }
    let intermediate = server("", "");
    let aes256 = "ECDHE-ECDSA-AES256-GCM-SHA384";
    let tls12_aes256 = format!("-tls1_2 -cipher {aes256}");
    for (options, words) in [
        ("-tls1_2", "TLSv1.2"),
        ("-tls1_3", "TLSv1.3"),
        (tls12_aes256.as_str(), aes256),
        ("-tls1_3 -groups P-384", "secp384r1"),
    ] {
        let (is_content, said) = openssl(&intermediate, options);
        assert!(is_content && said.contains(words), "{options}: {said}");
    }
    let modern = server("tls_profile = \"modern\"", "");
    let (is_content, said) = openssl(&modern, "-tls1_3");
    assert!(is_content, "{said}");
    for (server, options) in [
        (&intermediate, "-tls1_3 -groups P-521"),
        (&intermediate, "-tls1_2 -cipher DHE:RSA:@SECLEVEL=0"),
        (&intermediate, "-tls1_1 -cipher ALL:@SECLEVEL=0"),
        (&intermediate, "-tls1 -cipher ALL:@SECLEVEL=0"),
        (&modern, "-tls1_2"),
    ] {
        let (is_content, said) = openssl(server, options);
        assert!(!is_content && said.contains("alert"), "{options}: {said}");
    }
}

/// By default there is no DHE; `dhparam` brings it, and elliptic curves go before it.
#[test]
fn openssl_agrees_by_dhe_where_dhparam_names_a_group_and_nowhere_else() {
    if left_out("openssl s_client by DHE") {
        return;
    }
    let (tls12, tls13) = (
        "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256",
        "-tls1_3 -groups ffdhe2048",
    );
    let without = rsa_server("");
    for options in [tls12, tls13] {
        let (is_content, said) = openssl(&without, options);
        assert!(
            !is_content && said.contains("handshake failure"),
            "{options}: {said}"
        );
    }
    let with = rsa_server("ssl = { dhparam = \"ffdhe2048\" }");
    let chacha = "-tls1_2 -cipher DHE-RSA-CHACHA20-POLY1305";
    let aes256 = "-tls1_2 -cipher DHE-RSA-AES256-GCM-SHA384";
    let (field, curve) = (
        "Server Temp Key: DH, 2048 bits",
        "Server Temp Key: X25519, 253 bits",
    );
    for (options, suite, key) in [
        (tls12, "DHE-RSA-AES128-GCM-SHA256", field),
        (aes256, "DHE-RSA-AES256-GCM-SHA384", field),
        (chacha, "DHE-RSA-CHACHA20-POLY1305", field),
        (tls13, "TLS_AES_128_GCM_SHA256", field),
        // OpenSSL's preferences the other way round.
        (
            "-tls1_2 -cipher DHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-RSA-AES256-GCM-SHA384",
            curve,
        ),
        (
            "-tls1_3 -groups ffdhe2048:X25519",
            "TLS_AES_128_GCM_SHA256",
            curve,
        ),
        ("-tls1_2", "ECDHE-RSA-AES128-GCM-SHA256", curve),
    ] {
        let (is_content, said) = openssl(&with, options);
        let suite = format!("Ciphersuite: {suite}");
        assert!(is_content && said.contains(&suite), "{options}: {said}");
        assert!(said.contains(key), "{options}: {said}");
    }
    // A group that is not the one named.
    let (is_content, said) = openssl(&with, "-tls1_3 -groups ffdhe3072");
    assert!(!is_content && said.contains("handshake failure"), "{said}");
}

/// A hello of TLS 1.2 that offers DHE alone, made by hand: nothing is computed for it.
fn hello_for_dhe() -> Vec<u8> {
    // Signature algorithms: RSA-PSS with SHA-256.
    let extensions = [0, 13, 0, 4, 0, 2, 8, 4];
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x9e, 1, 0, 0]);
    hello.push(u8::try_from(extensions.len()).unwrap());
    hello.extend(extensions);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.append(&mut hello);
    record
}

/// Each costs the server twelve milliseconds: they wait in a queue of their own, and what is too much for it is closed.
#[test]
fn strangers_who_ask_for_dhe_by_the_hundred_hold_up_nobody_else() {
    if left_out("a crowd that asks for DHE") {
        return;
    }
    let stopped = rsa_stopped();
    stopped.add_user("juliet@localhost", "secret").unwrap();
    let server = begin(stopped, "ssl = { dhparam = \"ffdhe8192\" }");
    let hello = hello_for_dhe();
    let mut crowd: Vec<TcpStream> = (0..600)
        .map(|_| {
            let mut socket = TcpStream::connect(server.tls).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.write_all(&hello).unwrap();
            socket
        })
        .collect();
    server
        .wait_for_log(&["too many handshakes by DHE wait already"])
        .unwrap();
    let trust = server.trust().unwrap();
    Client::session(server.clear, "localhost", &trust, "juliet", "secret").unwrap();
    // The first of them is served: a record of a handshake.
    let mut first = [0];
    crowd[0].read_exact(&mut first).unwrap();
    assert_eq!(first, [22]);
}

#[test]
fn dhparam_is_shown_by_check_config() {
    let own = "ssl = { dhparam = \"ffdhe3072\" }";
    let stopped = Server::prepare(Scratch::new().unwrap(), own).unwrap();
    let said = stopped.command(&["check", "config"]).unwrap();
    let line = "DHE-RSA-CHACHA20-POLY1305; keys agreed on in X25519, P-256, P-384, or in ffdhe3072 with who has none of these\n";
    assert!(said.contains(line), "{said}");
    assert!(said.contains("want an RSA key"), "{said}");
}
