//! Pumps that ask: against our own that are asked, and against rustls.

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};
use spondee_core::port::{CertificateName, Chain, Protocol, TlsClient, Verdict};

use super::*;
use crate::tls::made::{Authority, Certs, Made, params, self_made};
use crate::tls::policy::Versions;
use crate::tls::{HostPolicy, Outgoing, Policy};

const HOST: &str = "a.example";

/// We trust who issues certificates here, and nobody else.
struct Trusted {
    authority: Authority,
    outgoing: Outgoing,
    certs: Certs,
}

impl Trusted {
    fn new() -> Self {
        let (authority, certs) = (Authority::root("root"), Certs::new());
        certs.write("ca.pem", &authority.certificate);
        Self {
            outgoing: Outgoing::of_file(&certs.path("ca.pem")).unwrap(),
            authority,
            certs,
        }
    }

    /// Our server of `HOST` with a good certificate.
    fn hosts(&self, versions: Versions) -> Arc<TlsHosts> {
        self.certs
            .put(HOST, &self.authority.issue(&params(&[HOST], 60)));
        let policy = Policy {
            versions,
            ..Policy::default()
        };
        let mut policies = Policies::default();
        let host = HostPolicy {
            starttls: policy.clone(),
            direct: policy,
            ..HostPolicy::default()
        };
        policies.insert(domain(HOST), host);
        Arc::new(TlsHosts::load(self.certs.root(), &[domain(HOST)], &policies).tls)
    }

    fn ask(&self, name: &str, protocol: Option<Protocol>) -> Pump {
        let name = name.into();
        self.outgoing
            .pump(
                &TlsClient {
                    name,
                    protocol,
                    ours: None,
                },
                &TlsHosts::default(),
            )
            .unwrap()
    }
}

fn starttls(hosts: &Arc<TlsHosts>) -> Pump {
    Pump::new(Arc::clone(hosts), Some(domain(HOST)), Opening::Clear)
}

fn direct(hosts: &Arc<TlsHosts>) -> Pump {
    Pump::new(Arc::clone(hosts), None, Opening::Tls)
}

/// What it says before it has heard anything.
fn first_flight(pump: &mut Pump) -> Vec<u8> {
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    let received = pump.receive(&mut [], &mut plain, &mut out).unwrap();
    assert!(received.secured.is_none() && plain.is_empty() && !out.is_empty());
    out
}

/// What the two of ours know of each other, who asks first; or what is wrong, and for whom.
pub(super) fn meet(
    ours: &mut Pump,
    theirs: &mut Pump,
    piece: usize,
) -> Result<[TlsInfo; 2], String> {
    let mut flight = first_flight(ours);
    let (mut asking, mut asked) = (None, None);
    for _ in 0..6 {
        let taken = give(theirs, &flight, piece);
        let (answer, refused) = match taken {
            Ok(taken) => {
                asked = asked.or(taken.secured);
                (taken.out, None)
            }
            Err((error, alert)) => (alert, Some(error)),
        };
        let taken = give(ours, &answer, piece).map_err(|(error, _)| format!("we: {error}"))?;
        if let Some(error) = refused {
            return Err(format!("they: {error}"));
        }
        asking = asking.or(taken.secured);
        flight = taken.out;
        if let (Some(asking), Some(asked)) = (&asking, &asked) {
            return Ok([asking.clone(), asked.clone()]);
        }
    }
    panic!("the handshake does not end");
}

/// rustls' buffered server with a certificate, its bytes in memory.
struct Theirs(ServerConnection);

impl Theirs {
    fn with(
        made: &Made,
        versions: &[&'static SupportedProtocolVersion],
        protocol: Option<&str>,
    ) -> Self {
        let chain = CertificateDer::pem_slice_iter(made.certificate.as_bytes());
        let chain: Result<Vec<_>, _> = chain.collect();
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.unwrap(), key)
            .unwrap();
        let protocols = protocol.iter().map(|name| name.as_bytes().to_vec());
        config.alpn_protocols = protocols.collect();
        Self(ServerConnection::new(Arc::new(config)).unwrap())
    }

    /// Gives it what we say; what it says.
    fn exchange(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut unread = Cursor::new(bytes);
        while unread.position() < bytes.len() as u64 {
            self.0.read_tls(&mut unread).unwrap();
            // What it thinks of it stands in its alert.
            let _ = self.0.process_new_packets();
        }
        let mut out = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut out).unwrap();
        }
        out
    }

    fn shake(&mut self, ours: &mut Pump) -> Result<TlsInfo, String> {
        let mut flight = first_flight(ours);
        for _ in 0..6 {
            let said = self.exchange(&flight);
            let taken = give(ours, &said, usize::MAX).map_err(|(error, _)| error.message)?;
            flight = taken.out;
            if let Some(secured) = taken.secured {
                self.exchange(&flight);
                assert!(!self.0.is_handshaking());
                return Ok(secured);
            }
        }
        panic!("the handshake does not end");
    }
}

fn verdict(made: &Made, trusted: &Trusted, name: &str) -> Verdict {
    let judged = [TLS12, TLS13].map(|versions| {
        let mut ours = trusted.ask(name, None);
        let secured = Theirs::with(made, versions, None).shake(&mut ours);
        *secured.unwrap().server.unwrap()
    });
    let [of_12, of_13] = judged;
    assert_eq!(of_12, of_13);
    of_12.verdict.unwrap()
}

#[test]
fn both_sides_of_ours_agree_in_any_pieces_on_the_bindings_too() {
    let trusted = Trusted::new();
    for (versions, version) in [
        (Versions::From12, TlsVersion::V1_3),
        (Versions::Only12, TlsVersion::V1_2),
    ] {
        let hosts = trusted.hosts(versions);
        for piece in [1, 7, usize::MAX] {
            let mut ours = trusted.ask(HOST, None);
            let [asking, asked] = meet(&mut ours, &mut starttls(&hosts), piece).unwrap();
            assert_eq!(asking.version, version);
            assert_eq!(asking.bindings, asked.bindings);
            assert_eq!(
                asking.bindings.exporter.is_some(),
                version == TlsVersion::V1_3
            );
            assert!(asking.bindings.end_point.is_some());
            let of = certificate(trusted.certs.root(), HOST);
            let server = asking.server.as_deref().unwrap();
            assert_eq!(server.verdict, Some(Verdict::Good));
            assert!(matches!(server.chain, Chain::Valid { .. }));
            assert_eq!(server.names.each, [CertificateName::Dns(HOST.into())]);
            assert_eq!(server.fingerprint[..], Sha256::digest(&of)[..]);
            assert!(asking.client.is_none() && asked.server.is_none() && asked.client.is_none());
        }
    }
}

#[test]
fn data_and_close_notify_go_both_ways() {
    let trusted = Trusted::new();
    let text: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for versions in [Versions::From12, Versions::Only12] {
        let hosts = trusted.hosts(versions);
        for piece in [1500, usize::MAX] {
            for swap in [false, true] {
                let (mut ours, mut theirs) = (trusted.ask(HOST, None), starttls(&hosts));
                meet(&mut ours, &mut theirs, piece).unwrap();
                let (mut one, mut other) = if swap { (theirs, ours) } else { (ours, theirs) };
                let mut out = Vec::new();
                one.send(&text, &mut out).unwrap();
                one.close(&mut out);
                let taken = give(&mut other, &out, piece).unwrap();
                assert!(taken.plain == text && taken.ended == Some(Ended));
                out.clear();
                other.send(b"</stream:stream>", &mut out).unwrap();
                other.close(&mut out);
                let taken = give(&mut one, &out, piece).unwrap();
                assert_eq!(taken.plain, b"</stream:stream>");
                assert_eq!(taken.ended, Some(Ended));
                assert_eq!((one.held(), other.held()), (0, 0));
                assert!(one.send(b"more", &mut out).is_err());
            }
        }
    }
}

/// With TLS 1.2 the server says Finished last, so its first words may come with it.
#[test]
fn what_comes_with_the_end_of_the_handshake_is_told_behind_it() {
    let trusted = Trusted::new();
    let made = trusted.authority.issue(&params(&[HOST], 60));
    let mut theirs = Theirs::with(&made, TLS12, None);
    let mut ours = trusted.ask(HOST, None);
    let hello = theirs.exchange(&first_flight(&mut ours));
    let flight = give(&mut ours, &hello, usize::MAX).unwrap();
    assert!(flight.secured.is_none());
    theirs.0.writer().write_all(b"<stream:features/>").unwrap();
    let last = theirs.exchange(&flight.out);
    let taken = give(&mut ours, &last, usize::MAX).unwrap();
    assert!(taken.secured.is_some());
    assert_eq!(taken.plain, b"<stream:features/>");
}

#[test]
fn the_protocol_that_is_asked_for_is_the_one_or_none() {
    let trusted = Trusted::new();
    let made = trusted.authority.issue(&params(&[HOST], 60));
    let asked = Some(Protocol::XmppServer);
    for versions in [TLS12, TLS13] {
        for answered in [Some("xmpp-server"), None] {
            let mut ours = trusted.ask(HOST, asked);
            let mut theirs = Theirs::with(&made, versions, answered);
            theirs.shake(&mut ours).unwrap();
            let expected = answered.map(str::as_bytes);
            assert_eq!(theirs.0.alpn_protocol(), expected);
        }
        // One that knows others refuses.
        let mut theirs = Theirs::with(&made, versions, Some("http/1.1"));
        let refused = theirs.shake(&mut trusted.ask(HOST, asked)).unwrap_err();
        assert!(refused.contains("NoApplicationProtocol"), "{refused}");
        // Nobody was asked for one.
        let mut theirs = Theirs::with(&made, versions, Some("xmpp-server"));
        theirs.shake(&mut trusted.ask(HOST, None)).unwrap();
        assert_eq!(theirs.0.alpn_protocol(), None);
    }
    let hosts = trusted.hosts(Versions::From12);
    let mut ours = trusted.ask(HOST, Some(Protocol::XmppClient));
    assert!(meet(&mut ours, &mut direct(&hosts), 1).is_ok());
}

#[test]
fn who_answers_by_another_protocol_is_refused() {
    let trusted = Trusted::new();
    let made = trusted.authority.issue(&params(&[HOST], 60));
    let mut ours = trusted.ask(HOST, Some(Protocol::XmppServer));
    let mut theirs = Theirs::with(&made, TLS12, Some("xmpp-server"));
    // Its hello is in clear, and names it.
    let mut hello = theirs.exchange(&first_flight(&mut ours));
    let named = b"xmpp-server";
    let at = hello.windows(named.len()).position(|part| part == named);
    let at = at.unwrap();
    hello[at..at + named.len()].copy_from_slice(b"xmpp-client");
    let (error, alert) = give(&mut ours, &hello, usize::MAX).unwrap_err();
    assert!(
        error
            .message
            .contains("SelectedUnofferedApplicationProtocol"),
        "{error}"
    );
    assert!(!alert.is_empty());
    assert!(give(&mut ours, b"more", 1).is_err());
}

#[test]
fn a_certificate_is_judged_and_the_connection_comes_about_whatever_it_is() {
    let trusted = Trusted::new();
    let (authority, stranger) = (&trusted.authority, Authority::root("stranger"));
    let good = params(&[HOST], 60);
    for (made, name, expected) in [
        (authority.issue(&good), HOST, Verdict::Good),
        (authority.issue(&good), "b.example", Verdict::OtherName),
        (
            authority.issue(&params(&[HOST], -2)),
            HOST,
            Verdict::Expired,
        ),
        (self_made(&good), HOST, Verdict::SelfSigned),
        (stranger.issue(&good), HOST, Verdict::Untrusted),
        (
            authority.issue(&params(&["192.0.2.1"], 60)),
            "192.0.2.1",
            Verdict::Good,
        ),
        (
            authority.issue(&params(&["2001:db8::1"], 60)),
            "[2001:db8::1]",
            Verdict::Good,
        ),
        (authority.issue(&good), "192.0.2.1", Verdict::OtherName),
    ] {
        assert_eq!(verdict(&made, &trusted, name), expected, "{name}");
    }
}

#[test]
fn a_name_is_sent_and_an_address_is_not() {
    let trusted = Trusted::new();
    let made = trusted.authority.issue(&params(&[HOST], 60));
    for (name, sent) in [(HOST, Some(HOST)), ("192.0.2.1", None), ("[::1]", None)] {
        let mut theirs = Theirs::with(&made, TLS13, None);
        theirs.shake(&mut trusted.ask(name, None)).unwrap();
        assert_eq!(theirs.0.server_name(), sent);
    }
    let long = "a".repeat(300);
    for name in ["", "a b", "ä.example", "a..example", &long] {
        let client = TlsClient {
            ours: None,
            name: name.into(),
            protocol: None,
        };
        assert!(
            trusted
                .outgoing
                .pump(&client, &TlsHosts::default())
                .is_err(),
            "{name}"
        );
    }
}

/// Whoever shakes hands has the certificate's key, whoever vouches for it.
#[test]
fn a_signature_by_another_key_is_refused() {
    let trusted = Trusted::new();
    let (shown, other) = (
        self_made(&params(&[HOST], 60)),
        self_made(&params(&[HOST], 60)),
    );
    for versions in [TLS12, TLS13] {
        let chain = vec![CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(other.key.as_bytes()).unwrap();
        let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
        let shows = rustls::sign::CertifiedKey::new(chain, key);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(shows));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        let mut theirs = Theirs(ServerConnection::new(Arc::new(config)).unwrap());
        let refused = theirs.shake(&mut trusted.ask(HOST, None)).unwrap_err();
        assert!(refused.contains("BadSignature"), "{refused}");
    }
}

#[test]
fn whoever_does_not_speak_tls_is_refused() {
    let trusted = Trusted::new();
    for garbage in [
        &b"<stream:error><host-unknown/></stream:error>"[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0; 100],
        &[22, 3, 3, 0xff, 0xff, 2, 0, 0, 1],
    ] {
        for piece in [1, usize::MAX] {
            let mut ours = trusted.ask(HOST, None);
            first_flight(&mut ours);
            assert!(give(&mut ours, garbage, piece).is_err(), "{garbage:?}");
            assert!(give(&mut ours, garbage, piece).is_err());
            assert!(ours.send(b"x", &mut Vec::new()).is_err());
        }
    }
}

#[test]
fn nothing_can_be_said_before_the_handshake_and_closing_says_nothing() {
    let trusted = Trusted::new();
    let mut ours = trusted.ask(HOST, None);
    assert!(ours.has_begun() && !ours.is_away() && ours.take_step().is_none());
    let mut out = Vec::new();
    assert!(ours.send(b"too early", &mut out).is_err());
    ours.close(&mut out);
    assert_eq!(out, b"");
}

/// Damages one byte somewhere in what a server says from its hello to its close.
fn damaged(versions: Versions, piece: usize, at: usize, flip: u8) {
    let trusted = Trusted::new();
    let hosts = trusted.hosts(versions);
    let (mut ours, mut theirs) = (trusted.ask(HOST, None), starttls(&hosts));
    let mut flight = first_flight(&mut ours);
    let mut given = 0;
    for _ in 0..4 {
        let Ok(said) = give(&mut theirs, &flight, usize::MAX) else {
            break;
        };
        let mut said = said.out;
        // A record of its own, where it may.
        let _ = theirs.send(b"<stream:features/>", &mut said);
        if let Some(byte) = at.checked_sub(given).and_then(|at| said.get_mut(at)) {
            *byte ^= flip;
        }
        given += said.len();
        match give(&mut ours, &said, piece) {
            Ok(taken) => flight = taken.out,
            Err(_) => break,
        }
        assert!(ours.held() <= 2 * TLS_UNCONSUMED_BYTES);
    }
    let mut out = Vec::new();
    let _ = ours.send(b"x", &mut out);
    ours.close(&mut out);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(100))]

    #[test]
    fn no_damage_makes_it_panic(
        versions in proptest::prelude::prop::sample::select(vec![Versions::Only12, Versions::From12]),
        piece in proptest::prop_oneof![
            proptest::prelude::Just(1_usize),
            2_usize..200,
            proptest::prelude::Just(usize::MAX)
        ],
        at in 0_usize..1500,
        flip in 1_u8..,
    ) {
        damaged(versions, piece, at, flip);
    }
}
