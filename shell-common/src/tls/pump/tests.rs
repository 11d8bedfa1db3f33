mod asking;
mod clients;
mod dhe;
mod servers;

use std::io::{Cursor, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
};
use sha2::{Digest as _, Sha256};
use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::TlsVersion;

use super::*;
use crate::limits::TLS_UNCONSUMED_BYTES;
use crate::tls::{Policies, generate_development_certificate};

static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// A directory that goes away with the test.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("spondee-tls-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

struct Server {
    directory: Scratch,
    hosts: Arc<TlsHosts>,
}

impl Server {
    fn with_hosts(names: &[&str]) -> Self {
        let directory = Scratch::new();
        let domains: Vec<_> = names.iter().map(|name| domain(name)).collect();
        for host in &domains {
            generate_development_certificate(&directory.0, host).unwrap();
        }
        let hosts = Arc::new(TlsHosts::load(&directory.0, &domains, &Policies::default()).tls);
        Self { directory, hosts }
    }

    fn certificate(&self, host: &str) -> CertificateDer<'static> {
        certificate(&self.directory.0, host)
    }

    /// As after `<starttls/>` on a stream to `host`.
    fn starttls(&self, host: &str) -> Pump {
        Pump::new(self.hosts.clone(), Some(domain(host)), Opening::Clear)
    }

    fn direct(&self) -> Pump {
        Pump::new(self.hosts.clone(), None, Opening::Tls)
    }

    fn client(&self, name: &str) -> Client {
        self.client_of(name, TLS13, &[])
    }

    /// A client that trusts all hosts' certificates.
    fn client_of(
        &self,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Client {
        let mut config = self.client_config(versions);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Client::new(config, name)
    }

    fn client_config(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        self.client_config_with(rustls::crypto::ring::default_provider(), versions)
    }

    fn client_config_with(
        &self,
        provider: rustls::crypto::CryptoProvider,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for entry in std::fs::read_dir(&self.directory.0).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "crt") {
                roots
                    .add(CertificateDer::from_pem_file(path).unwrap())
                    .unwrap();
            }
        }
        ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

fn certificate(directory: &Path, host: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(directory.join(format!("{host}.crt"))).unwrap()
}

/// rustls' buffered client, its bytes in memory.
struct Client(ClientConnection);

impl Client {
    fn new(config: ClientConfig, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        Self(ClientConnection::new(Arc::new(config), name).unwrap())
    }

    /// All it wants to send.
    fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Gives it ciphertext; what it decrypts.
    fn give(&mut self, bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut unread = Cursor::new(bytes);
        let mut plain = Vec::new();
        while unread.position() < bytes.len() as u64 {
            self.0.read_tls(&mut unread).unwrap();
            self.0.process_new_packets()?;
            // Ends with WouldBlock, or at the peer's close_notify.
            let _ = self.0.reader().read_to_end(&mut plain);
        }
        Ok(plain)
    }

    fn exporter(&self) -> [u8; 32] {
        self.0
            .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b""))
            .unwrap()
    }
}

/// Gives a pump bytes in pieces, each in a buffer of its own.
fn give(pump: &mut Pump, bytes: &[u8], piece: usize) -> Result<Taken, (TlsError, Vec<u8>)> {
    let mut taken = Taken::default();
    for bytes in bytes.chunks(piece) {
        let mut bytes = bytes.to_vec();
        let received = match pump.receive(&mut bytes, &mut taken.plain, &mut taken.out) {
            Ok(received) => received,
            Err(error) => return Err((error, taken.out)),
        };
        if let Some(secured) = received.secured {
            assert!(taken.secured.replace(secured).is_none(), "secured twice");
        }
        if let Some(ended) = received.ended {
            assert!(taken.ended.replace(ended).is_none(), "ended twice");
        }
    }
    Ok(taken)
}

#[derive(Debug, Default)]
struct Taken {
    plain: Vec<u8>,
    out: Vec<u8>,
    secured: Option<TlsInfo>,
    ended: Option<Ended>,
}

/// Runs the handshake, the client's bytes cut into pieces.
fn shake_hands(client: &mut Client, pump: &mut Pump, piece: usize) -> TlsInfo {
    for _ in 0..8 {
        let taken = give(pump, &client.take(), piece).unwrap();
        assert_eq!(client.give(&taken.out).unwrap(), b"");
        if let Some(secured) = taken.secured {
            assert!(!client.0.is_handshaking());
            return secured;
        }
    }
    panic!("the handshake does not end");
}

fn up(versions: &[&'static SupportedProtocolVersion]) -> (Server, Client, Pump) {
    let server = Server::with_hosts(&["a.example"]);
    let mut client = server.client_of("a.example", versions, &[]);
    let mut pump = server.starttls("a.example");
    shake_hands(&mut client, &mut pump, usize::MAX);
    (server, client, pump)
}

#[test]
fn secures_with_tls_1_3_and_both_bindings() {
    let server = Server::with_hosts(&["a.example"]);
    let mut client = server.client("a.example");
    let info = shake_hands(&mut client, &mut server.starttls("a.example"), usize::MAX);

    assert_eq!(info.version, TlsVersion::V1_3);
    assert_eq!(info.bindings.exporter, Some(client.exporter()));
    let expected = Sha256::digest(server.certificate("a.example")).to_vec();
    assert_eq!(info.bindings.end_point, Some(expected));
}

#[test]
fn takes_aes_128_except_from_who_prefers_chacha20() {
    let server = Server::with_hosts(&["a.example"]);
    let in_order = |versions, order: &[CipherSuite]| {
        let mut provider = rustls::crypto::ring::default_provider();
        let place = |suite| order.iter().position(|other| *other == suite);
        provider
            .cipher_suites
            .retain(|suite| place(suite.suite()).is_some());
        provider
            .cipher_suites
            .sort_by_key(|suite| place(suite.suite()));
        let mut client = Client::new(server.client_config_with(provider, versions), "a.example");
        shake_hands(&mut client, &mut server.starttls("a.example"), usize::MAX);
        client.0.negotiated_cipher_suite().unwrap().suite()
    };
    let (aes_256, aes_128, chacha) = (
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    );
    assert_eq!(in_order(TLS13, &[aes_256, chacha, aes_128]), aes_128);
    assert_eq!(in_order(TLS13, &[aes_256, chacha]), aes_256);
    assert_eq!(in_order(TLS13, &[chacha, aes_256, aes_128]), chacha);

    let (aes_256, aes_128, chacha) = (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    );
    assert_eq!(in_order(TLS12, &[aes_256, aes_128, chacha]), aes_128);
    assert_eq!(in_order(TLS12, &[chacha, aes_256, aes_128]), chacha);
}

/// The exporter's hash is the suite's: SHA-384 with the first, SHA-256 with the others.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn agrees_on_keys_by_x25519mlkem768_with_who_has_nothing_else() {
    use rustls::crypto::aws_lc_rs;
    let server = Server::with_hosts(&["a.example"]);
    let provider = rustls::crypto::CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    };
    let mut client = Client::new(server.client_config_with(provider, TLS13), "a.example");
    let mut pump = server.starttls("a.example");
    let info = shake_hands(&mut client, &mut pump, usize::MAX);
    let group = client.0.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
    assert_eq!(info.bindings.exporter, Some(client.exporter()));
}

#[test]
fn exports_with_each_suites_hash() {
    let server = Server::with_hosts(&["a.example"]);
    for suite in [
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
    ] {
        let mut provider = rustls::crypto::ring::default_provider();
        provider
            .cipher_suites
            .retain(|known| known.suite() == suite);
        let mut client = Client::new(server.client_config_with(provider, TLS13), "a.example");
        let info = shake_hands(&mut client, &mut server.starttls("a.example"), usize::MAX);
        assert_eq!(
            info.bindings.exporter,
            Some(client.exporter()),
            "with {suite:?}"
        );
    }
}

/// Two handshakes in turns on one thread: each gets its own exporter.
#[test]
fn exporters_of_interleaved_handshakes_do_not_mix() {
    let server = Server::with_hosts(&["a.example"]);
    let mut clients = [server.client("a.example"), server.client("a.example")];
    let mut pumps = [server.starttls("a.example"), server.starttls("a.example")];
    for (client, pump) in clients.iter_mut().zip(&mut pumps) {
        let flight = give(pump, &client.take(), usize::MAX).unwrap().out;
        client.give(&flight).unwrap();
    }
    for (client, pump) in clients.iter_mut().zip(&mut pumps) {
        let taken = give(pump, &client.take(), usize::MAX).unwrap();
        let exporter = taken.secured.unwrap().bindings.exporter;
        assert_eq!(exporter, Some(client.exporter()));
    }
    assert_ne!(clients[0].exporter(), clients[1].exporter());
}

#[test]
fn secures_with_tls_1_2_and_the_end_point_alone() {
    let server = Server::with_hosts(&["a.example"]);
    let mut client = server.client_of("a.example", TLS12, &[]);
    let info = shake_hands(&mut client, &mut server.starttls("a.example"), usize::MAX);

    assert_eq!(info.version, TlsVersion::V1_2);
    assert_eq!(info.bindings.exporter, None);
    let expected = Sha256::digest(server.certificate("a.example")).to_vec();
    assert_eq!(info.bindings.end_point, Some(expected));
}

#[test]
fn takes_a_handshake_and_data_byte_by_byte() {
    for versions in [TLS12, TLS13] {
        let server = Server::with_hosts(&["a.example"]);
        let mut client = server.client_of("a.example", versions, &[]);
        let mut pump = server.starttls("a.example");
        shake_hands(&mut client, &mut pump, 1);

        client.0.writer().write_all(b"<presence/>").unwrap();
        let taken = give(&mut pump, &client.take(), 1).unwrap();
        assert_eq!(taken.plain, b"<presence/>");
        assert_eq!(pump.held(), 0);
    }
}

#[test]
fn carries_a_hundred_kilobytes_both_ways() {
    let text: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for versions in [TLS12, TLS13] {
        for piece in [usize::MAX, 16 * 1024, 1500, 7] {
            let (_server, mut client, mut pump) = up(versions);
            client.0.set_buffer_limit(None);
            client.0.writer().write_all(&text).unwrap();
            let taken = give(&mut pump, &client.take(), piece).unwrap();
            assert!(taken.plain == text, "client to server in pieces of {piece}");
            assert_eq!(pump.held(), 0);

            let mut out = b"before".to_vec();
            pump.send(&text, &mut out).unwrap();
            assert_eq!(out.get(..6).unwrap(), b"before");
            let plain = client.give(out.get(6..).unwrap()).unwrap();
            assert!(plain == text, "server to client");
        }
    }
}

/// The client's Finished and its first data often come in one packet.
#[test]
fn tells_of_security_in_the_call_that_brings_the_first_data() {
    let server = Server::with_hosts(&["a.example"]);
    let mut client = server.client("a.example");
    let mut pump = server.direct();
    let flight = give(&mut pump, &client.take(), usize::MAX).unwrap().out;
    client.give(&flight).unwrap();
    client.0.writer().write_all(b"<stream:stream>").unwrap();

    let taken = give(&mut pump, &client.take(), usize::MAX).unwrap();
    assert!(taken.secured.is_some());
    assert_eq!(taken.plain, b"<stream:stream>");
}

#[test]
fn keeps_nothing_but_a_partial_record() {
    let (_server, mut client, mut pump) = up(TLS13);
    assert_eq!(pump.held(), 0);
    client.0.writer().write_all(b"<presence/>").unwrap();
    let record = client.take();
    let (first, second) = record.split_at(10);
    assert_eq!(give(&mut pump, first, usize::MAX).unwrap().plain, b"");
    assert_eq!(pump.held(), 10);
    let taken = give(&mut pump, second, usize::MAX).unwrap();
    assert_eq!(taken.plain, b"<presence/>");
    assert_eq!(pump.held(), 0);

    let mut out = Vec::new();
    pump.send(b"<presence/>", &mut out).unwrap();
    assert_eq!(pump.held(), 0);
}

#[test]
fn sends_while_a_partial_record_waits() {
    let (_server, mut client, mut pump) = up(TLS13);
    client.0.writer().write_all(b"<presence/>").unwrap();
    let record = client.take();
    let (first, second) = record.split_at(10);
    give(&mut pump, first, usize::MAX).unwrap();
    let mut out = Vec::new();
    pump.send(b"<message/>", &mut out).unwrap();
    assert_eq!(client.give(&out).unwrap(), b"<message/>");
    assert_eq!(give(&mut pump, second, 1).unwrap().plain, b"<presence/>");
}

#[test]
fn follows_the_clients_key_updates() {
    let (_server, mut client, mut pump) = up(TLS13);
    for text in [b"<a/>", b"<b/>", b"<c/>"] {
        client.0.refresh_traffic_keys().unwrap();
        client.0.writer().write_all(text).unwrap();
        assert_eq!(give(&mut pump, &client.take(), 3).unwrap().plain, text);
        let mut out = Vec::new();
        pump.send(text, &mut out).unwrap();
        assert_eq!(client.give(&out).unwrap(), text);
    }
    assert_eq!(pump.held(), 0);
}

#[test]
fn serves_the_host_the_client_names() {
    let server = Server::with_hosts(&["a.example", "b.example"]);
    for host in ["a.example", "b.example"] {
        let mut client = server.client(host);
        let info = shake_hands(&mut client, &mut server.direct(), usize::MAX);
        let expected = Sha256::digest(server.certificate(host)).to_vec();
        assert_eq!(info.bindings.end_point, Some(expected));
        assert_eq!(
            client.0.peer_certificates().unwrap(),
            [server.certificate(host)]
        );
    }
}

/// STARTTLS: the stream has named its host already.
#[test]
fn serves_the_streams_host_to_a_client_that_names_none() {
    let server = Server::with_hosts(&["a.example", "b.example"]);
    let mut config = server.client_config(TLS13);
    config.enable_sni = false;
    let mut client = Client::new(config, "b.example");
    let info = shake_hands(&mut client, &mut server.starttls("b.example"), usize::MAX);
    let expected = Sha256::digest(server.certificate("b.example")).to_vec();
    assert_eq!(info.bindings.end_point, Some(expected));
}

#[test]
fn serves_the_only_host_to_a_client_that_names_none() {
    let server = Server::with_hosts(&["a.example"]);
    let mut config = server.client_config(TLS13);
    config.enable_sni = false;
    let mut client = Client::new(config, "a.example");
    shake_hands(&mut client, &mut server.direct(), usize::MAX);
}

#[test]
fn refuses_an_unknown_name_among_several_hosts_with_an_alert() {
    let server = Server::with_hosts(&["a.example", "b.example"]);
    let mut client = server.client("c.example");
    let (error, alert) = give(&mut server.direct(), &client.take(), usize::MAX).unwrap_err();
    assert!(error.message.contains("c.example"), "{error}");
    assert_eq!(
        client.give(&alert).unwrap_err(),
        rustls::Error::AlertReceived(rustls::AlertDescription::UnrecognisedName)
    );
}

/// XEP-0368 §3.
#[test]
fn direct_tls_refuses_a_client_that_offers_only_other_protocols() {
    let server = Server::with_hosts(&["a.example"]);
    let mut client = server.client_of("a.example", TLS13, &["h2", "http/1.1"]);
    let (_, alert) = give(&mut server.direct(), &client.take(), usize::MAX).unwrap_err();
    assert_eq!(
        client.give(&alert).unwrap_err(),
        rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)
    );
}

#[test]
fn direct_tls_agrees_on_xmpp_client_and_starttls_on_no_protocol() {
    let server = Server::with_hosts(&["a.example"]);
    let mut client = server.client_of("a.example", TLS13, &["h2", "xmpp-client"]);
    shake_hands(&mut client, &mut server.direct(), usize::MAX);
    assert_eq!(client.0.alpn_protocol(), Some(&b"xmpp-client"[..]));

    let mut client = server.client_of("a.example", TLS13, &["h2", "xmpp-client"]);
    shake_hands(&mut client, &mut server.starttls("a.example"), usize::MAX);
    assert_eq!(client.0.alpn_protocol(), None);
}

/// What stands in clear behind `<starttls/>` reaches this, never the XML parser.
/// RFC 6120 §5.3.3 forbids it, and go-xmpp writes it.
#[test]
fn ignores_white_space_between_starttls_and_the_hello() {
    let server = Server::with_hosts(&["a.example"]);
    let mut pump = server.starttls("a.example");
    for stray in ["\n", " \t\r\n"] {
        let taken = give(&mut pump, stray.as_bytes(), 1).unwrap();
        assert!(taken.secured.is_none());
        assert_eq!(pump.held(), 0);
    }
    let mut client = server.client("a.example");
    shake_hands(&mut client, &mut pump, 7);

    let hello = server.client("a.example").take();
    let stray = [b"\n", hello.as_slice()].concat();
    assert!(give(&mut server.direct(), &stray, usize::MAX).is_err());
}

#[test]
fn refuses_clear_text_and_garbage_where_a_hello_should_be() {
    let server = Server::with_hosts(&["a.example"]);
    for garbage in [
        b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>".to_vec(),
        b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(),
        vec![0; 100],
        vec![0xff; 100],
        // A record of the right type and version whose content is no hello.
        [&[22, 3, 1, 0, 100][..], &[0xff; 100]].concat(),
    ] {
        for piece in [usize::MAX, 1] {
            let mut pump = server.starttls("a.example");
            give(&mut pump, &garbage, piece).unwrap_err();
            assert_eq!(pump.held(), 0);
            let mut out = Vec::new();
            assert!(pump.receive(&mut [], &mut Vec::new(), &mut out).is_err());
            assert!(pump.send(b"x", &mut out).is_err());
        }
    }
}

/// Records of one byte of a hello that claims to be long: their headers would fill memory.
#[test]
fn refuses_a_hello_that_never_ends() {
    let server = Server::with_hosts(&["a.example"]);
    let mut pump = server.starttls("a.example");
    let mut given = 0;
    let start = [22, 3, 1, 0, 4, 1, 0, 0xff, 0xf0];
    let mut record = start.to_vec();
    while give(&mut pump, &record, usize::MAX).is_ok() {
        given += record.len();
        assert!(given <= TLS_UNCONSUMED_BYTES);
        assert!(pump.held() <= 2 * TLS_UNCONSUMED_BYTES);
        record = [22, 3, 3, 0, 1, 7].repeat(100);
    }
    assert!(given > 1000);
}

#[test]
fn refuses_tls_1_1() {
    let server = Server::with_hosts(&["a.example"]);
    // A hello that offers version 0x0302 and one suite, without extensions.
    let mut body = vec![3, 2];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let mut hello = vec![
        22,
        3,
        1,
        0,
        (body.len() + 4) as u8,
        1,
        0,
        0,
        body.len() as u8,
    ];
    hello.extend(body);
    let (_, alert) = give(&mut server.direct(), &hello, usize::MAX).unwrap_err();
    assert_eq!(alert.first(), Some(&21), "an alert");
}

#[test]
fn a_tampered_record_ends_the_connection_with_an_alert() {
    let (_server, mut client, mut pump) = up(TLS13);
    client.0.writer().write_all(b"<presence/>").unwrap();
    let mut record = client.take();
    *record.last_mut().unwrap() ^= 1;
    let (_, alert) = give(&mut pump, &record, usize::MAX).unwrap_err();
    assert_eq!(
        client.give(&alert).unwrap_err(),
        rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac)
    );
    assert!(pump.send(b"x", &mut Vec::new()).is_err());
}

#[test]
fn tells_of_the_clients_close_notify_once_and_may_still_send() {
    for versions in [TLS12, TLS13] {
        let (_server, mut client, mut pump) = up(versions);
        client.0.writer().write_all(b"</stream:stream>").unwrap();
        client.0.send_close_notify();
        let taken = give(&mut pump, &client.take(), usize::MAX).unwrap();
        assert_eq!(taken.plain, b"</stream:stream>");
        assert_eq!(taken.ended, Some(Ended));
        // What comes behind it is not read.
        let after = give(&mut pump, b"garbage", 1).unwrap();
        assert_eq!(after.ended, None);
        assert_eq!(pump.held(), 0);

        let mut out = Vec::new();
        pump.send(b"</stream:stream>", &mut out).unwrap();
        assert_eq!(client.give(&out).unwrap(), b"</stream:stream>");
    }
}

#[test]
fn closes_with_close_notify_and_still_receives() {
    for versions in [TLS12, TLS13] {
        let (_server, mut client, mut pump) = up(versions);
        let mut out = Vec::new();
        pump.send(b"</stream:stream>", &mut out).unwrap();
        pump.close(&mut out);
        assert_eq!(client.give(&out).unwrap(), b"</stream:stream>");
        let mut rest = Vec::new();
        assert_eq!(client.0.reader().read_to_end(&mut rest).unwrap(), 0);

        assert!(pump.send(b"more", &mut out).is_err());
        let length = out.len();
        pump.close(&mut out);
        assert_eq!(out.len(), length, "only one close_notify");
        client.0.writer().write_all(b"late").unwrap();
        client.0.send_close_notify();
        let taken = give(&mut pump, &client.take(), usize::MAX).unwrap();
        assert_eq!(taken.plain, b"late");
        assert_eq!(taken.ended, Some(Ended));
    }
}

#[test]
fn closing_before_the_handshake_says_nothing() {
    let server = Server::with_hosts(&["a.example"]);
    let mut pump = server.starttls("a.example");
    let mut out = Vec::new();
    assert!(pump.send(b"too early", &mut out).is_err());
    pump.close(&mut out);
    assert_eq!(out, b"");
}

#[test]
fn offers_no_session_tickets() {
    let server = Server::with_hosts(&["a.example"]);
    let config = server.client_config(TLS13);
    for _ in 0..2 {
        let mut client = Client::new(config.clone(), "a.example");
        let mut pump = server.starttls("a.example");
        shake_hands(&mut client, &mut pump, usize::MAX);
        assert_eq!(client.0.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(client.0.tls13_tickets_received(), 0);
    }
}

/// A hand-off moves it to the thread of the account's shard.
#[test]
fn can_move_to_another_thread() {
    let (_server, mut client, mut pump) = up(TLS13);
    let sent = std::thread::spawn(move || {
        let mut out = Vec::new();
        pump.send(b"<success/>", &mut out).unwrap();
        out
    });
    assert_eq!(client.give(&sent.join().unwrap()).unwrap(), b"<success/>");
}

/// A hello in records of 32 bytes: rustls joins them inside what the pump keeps for it.
#[test]
fn takes_a_hello_cut_into_many_records() {
    for versions in [TLS12, TLS13] {
        for piece in [usize::MAX, 1, 40] {
            let server = Server::with_hosts(&["a.example"]);
            let mut config = server.client_config(versions);
            config.max_fragment_size = Some(32);
            let mut client = Client::new(config, "a.example");
            let mut pump = server.starttls("a.example");
            shake_hands(&mut client, &mut pump, piece);
            client.0.writer().write_all(&[b'x'; 1000]).unwrap();
            let taken = give(&mut pump, &client.take(), piece).unwrap();
            assert_eq!(taken.plain, [b'x'; 1000]);
            assert_eq!(pump.held(), 0);
        }
    }
}

/// Damages one byte somewhere in what a client sends from its hello to its close.
fn damaged_run(versions: &[&'static SupportedProtocolVersion], piece: usize, at: usize, flip: u8) {
    let server = Server::with_hosts(&["a.example"]);
    let mut config = server.client_config(versions);
    config.max_fragment_size = Some(64);
    let mut client = Client::new(config, "a.example");
    let mut pump = server.starttls("a.example");
    let mut given = 0;
    for _ in 0..4 {
        if !client.0.is_handshaking() {
            client.0.writer().write_all(&[b'x'; 100]).unwrap();
        }
        let mut flight = client.take();
        if let Some(byte) = at.checked_sub(given).and_then(|at| flight.get_mut(at)) {
            *byte ^= flip;
        }
        given += flight.len();
        let (out, over) = match give(&mut pump, &flight, piece) {
            Ok(taken) => (taken.out, false),
            Err((_, alert)) => (alert, true),
        };
        assert!(pump.held() <= 2 * TLS_UNCONSUMED_BYTES);
        if client.give(&out).is_err() || over {
            break;
        }
    }
    let mut out = Vec::new();
    let _ = pump.send(b"x", &mut out);
    pump.close(&mut out);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(150))]

    #[test]
    fn no_damage_makes_it_panic(
        versions in proptest::prelude::prop::sample::select(vec![TLS12, TLS13]),
        piece in proptest::prop_oneof![
            proptest::prelude::Just(1_usize),
            2_usize..200,
            proptest::prelude::Just(usize::MAX)
        ],
        at in 0_usize..1500,
        flip in 1_u8..,
    ) {
        damaged_run(versions, piece, at, flip);
    }
}

#[test]
fn is_small_while_idle() {
    // What a connection without TLS would pay for the field, and what the session itself takes beside rustls' boxes.
    assert!(size_of::<Pump>() <= 96, "{}", size_of::<Pump>());
    assert!(size_of::<Session>() <= 1200, "{}", size_of::<Session>());
}
