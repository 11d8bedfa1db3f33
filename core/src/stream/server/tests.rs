//! What another server may say on a stream that it opened, and what nobody may.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::arena::Arena;
use crate::config::{Config, Host, HostConfig, TlsAvailable, of_localhost};
use crate::effects::Effects;
use crate::entropy::Entropy;
use crate::envelope::Place;
use crate::federation::{
    AllowEncryption, Allowed, Claim, DialbackKeys, Judged, Outcome, PolicyOptions,
    RequireEncryption, Rules, SecureAuth, Unverified, Verified,
};
use crate::jid::Domain;
use crate::port::{
    CertificateName, CertificateNames, Chain, ConnId, Listener, NameConstraints, Opening,
    ServerCertificate, TlsInfo, TlsVersion,
};
use crate::sasl::ChannelBindings;
use crate::stream::{Cx, Event, Expiry, Stream};
use crate::time::{Instant, Now, UnixTime};
use crate::xep::Capabilities;

mod attacks;
mod bounds;

const FEATURES_OF_DIALBACK: &str =
    "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";
const EXTERNAL: &str = "<mechanism>EXTERNAL</mechanism>";

/// How much is needed of servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Needed {
    Certificate,
    Tls,
    Nothing,
}

/// A stream and what surrounds it. `localhost` and `other.test` are ours.
struct Stage {
    stream: Stream,
    config: Config,
    entropy: Entropy,
    fx: Effects,
    conn: ConnId,
    now: Now,
    keys: DialbackKeys,
}

fn rules(needed: Needed) -> PolicyOptions {
    PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption: match needed {
            Needed::Certificate | Needed::Tls => RequireEncryption::Yes,
            Needed::Nothing => RequireEncryption::No,
        },
        secure_auth: match needed {
            Needed::Certificate => SecureAuth::Yes,
            Needed::Tls | Needed::Nothing => SecureAuth::No,
        },
        secure_domains: BTreeSet::new(),
        insecure_domains: BTreeSet::new(),
        allowed: Allowed::All,
        refused: BTreeSet::new(),
    }
}

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn header(from: &str) -> String {
    let from = match from {
        "" => String::new(),
        from => format!(" from='{from}'"),
    };
    format!(
        "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
         xmlns:stream='http://etherx.jabber.org/streams'{from} to='localhost' version='1.0'>"
    )
}

/// A certificate that an authority has signed, for these.
fn good(names: &[&str]) -> ServerCertificate {
    shown(
        Chain::Valid {
            until: UnixTime(1_900_000_000_000),
        },
        names,
    )
}

fn shown(chain: Chain, names: &[&str]) -> ServerCertificate {
    ServerCertificate {
        verdict: Some(crate::port::Verdict::Good),
        chain,
        names: CertificateNames {
            each: names
                .iter()
                .map(|name| CertificateName::Dns((*name).into()))
                .collect(),
            constraints: NameConstraints::None,
        },
        fingerprint: [1; 32],
    }
}

fn result(from: &str, to: &str, key: &str) -> String {
    format!("<db:result from='{from}' to='{to}'>{key}</db:result>")
}

fn auth(identity: &str) -> String {
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{identity}</auth>")
}

fn message(from: &str, to: &str) -> String {
    format!("<message from='{from}' to='{to}'><body>x</body></message>")
}

impl Stage {
    fn new(needed: Needed, opening: Opening) -> Self {
        Self::with(rules(needed), opening)
    }

    fn with(options: PolicyOptions, opening: Opening) -> Self {
        let mut config = of_localhost();
        let other = Host::Accounts(HostConfig::default());
        config.hosts.insert(domain("other.test"), other);
        for host in config.accounts_mut() {
            host.tls = TlsAvailable::Yes;
        }
        config.federation.rules = Rules::new(options).unwrap();
        let mut fx = Effects::new(Place { node: 0, shard: 0 }, &config.limits);
        let conn = Arena::<ConnId, ()>::default().insert(());
        fx.open(conn, Vec::new());
        let now = Now {
            mono: Instant(1_000_000_000_000),
            ..Now::default()
        };
        Self {
            stream: Stream::new(Listener::of_servers(opening), now, &config),
            keys: config.dialback_keys(),
            config,
            entropy: Entropy::new([0; 32]),
            fx,
            conn,
            now,
        }
    }

    /// Below TLS, where the peer has shown this, and not said anything.
    fn secured(needed: Needed, certificate: Option<ServerCertificate>) -> Self {
        let mut stage = Self::new(needed, Opening::Tls);
        stage.secure(certificate);
        stage
    }

    /// The same, behind the headers.
    fn below_tls(needed: Needed, from: &str, certificate: Option<ServerCertificate>) -> Self {
        let mut stage = Self::secured(needed, certificate);
        assert_eq!(stage.hear(&header(from)), [""; 0]);
        stage.said();
        stage
    }

    /// One that has proven `a.example` by EXTERNAL, with a certificate for these, too.
    fn signed_in(names: &[&str]) -> Self {
        let names: Vec<_> = names.iter().chain(&["a.example"]).copied().collect();
        let mut stage = Self::below_tls(Needed::Tls, "a.example", Some(good(&names)));
        assert_eq!(
            stage.hear(&auth("=")),
            ["a.example to localhost: Certificate"]
        );
        assert_eq!(stage.hear(&header("a.example")), [""; 0]);
        stage.said();
        stage
    }

    fn secure(&mut self, certificate: Option<ServerCertificate>) {
        let tls = TlsInfo {
            version: TlsVersion::V1_3,
            suite: "TLS_AES_128_GCM_SHA256",
            bindings: ChannelBindings::default(),
            client: None,
            server: certificate.map(Box::new),
        };
        assert!(self.call(|s, cx| s.secured(cx, tls)).is_none());
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Stream, &mut Cx<'_>) -> T) -> T {
        let mut cx = Cx {
            now: self.now,
            config: &self.config,
            entropy: &mut self.entropy,
            fx: &mut self.fx,
            conn: self.conn,
            capabilities: &Capabilities::of(&self.config),
            tallies: &crate::sasl::Tallies::default(),
            dialback: &self.keys,
        };
        call(&mut self.stream, &mut cx)
    }

    /// What comes of it, in words.
    fn hear(&mut self, text: &str) -> Vec<String> {
        self.events(text.as_bytes()).iter().map(words).collect()
    }

    fn events(&mut self, mut input: &[u8]) -> Vec<Event> {
        let bytes = input;
        let mut events: Vec<_> = self.call(|s, cx| s.hear(cx, bytes)).into_iter().collect();
        while let Some(event) = self.call(|s, cx| s.poll(cx, &mut input)) {
            events.push(event);
        }
        events
    }

    /// A claim that it makes is to be asked about.
    fn claim(&mut self, text: &str) -> Claim {
        match self.events(text.as_bytes()).pop() {
            Some(Event::Claimed(claim)) => *claim,
            other => panic!("{other:?}"),
        }
    }

    /// What its domain's server says.
    fn verify(&mut self, claim: &Claim, verified: Verified) -> String {
        let event = self.call(|s, cx| s.claim_verified(cx, claim, verified));
        event.as_ref().map_or_else(String::new, words)
    }

    /// What it has said since this was asked last.
    fn said(&mut self) -> String {
        let said = String::from_utf8(self.fx.outgoing(self.conn).to_vec()).unwrap();
        self.fx.sent(self.conn, said.len());
        said
    }

    /// The id in the header that it has just said.
    fn id(&mut self) -> String {
        let said = self.said();
        let (_, id) = said.split_once(" id='").unwrap();
        id.split_once('\'').unwrap().0.to_owned()
    }

    fn wait(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
    }

    /// How long it is not to be read.
    fn rest(&mut self) -> Duration {
        self.call(|s, cx| s.rest(cx))
    }

    fn expire(&mut self) -> Expiry {
        self.call(|s, cx| s.expire(cx))
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "others do not come here")]
fn words(event: &Event) -> String {
    match event {
        Event::Claimed(claim) => format!(
            "{} claimed to {}: {}",
            claim.originating.as_str(),
            claim.receiving.as_str(),
            claim.key
        ),
        Event::Judged(judged) => judgement(judged),
        Event::Remote(stanza, _) => format!(
            "{} to {}",
            stanza.from().unwrap().as_str(),
            stanza.to().unwrap().as_str()
        ),
        Event::RemoteRefused(error, _) => {
            let mut out = Vec::new();
            error.as_ref().unwrap().write(&mut out);
            String::from_utf8(out).unwrap()
        }
        Event::Closing(Some(ending)) => match &ending.judged {
            Some(judged) => format!("{}, {}", ending.violation.condition(), judgement(judged)),
            None => ending.violation.condition().to_owned(),
        },
        Event::Finished(Some(judged)) => format!("finished, {}", judgement(judged)),
        Event::Finished(None) => "finished".to_owned(),
        Event::Secure(_, behind) => format!("TLS with {} bytes", behind.len()),
        Event::Close => "closed".to_owned(),
        Event::StarttlsRefused => "no TLS".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn judgement(judged: &Judged) -> String {
    format!(
        "{} to {}: {:?}",
        judged.theirs.as_str(),
        judged.ours.as_str(),
        judged.outcome
    )
}

#[test]
fn where_tls_is_needed_it_is_offered_alone_and_what_follows_is_its_own() {
    for needed in [Needed::Certificate, Needed::Tls] {
        let mut stage = Stage::new(needed, Opening::Clear);
        assert_eq!(stage.hear(&header("a.example")), [""; 0]);
        let said = stage.said();
        for part in [
            "xmlns='jabber:server' xmlns:db='jabber:server:dialback'",
            " version='1.0' ",
            " from='localhost' to='a.example'>",
            "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
             <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>16384</max-bytes>",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains("dialback'>") && !said.contains("EXTERNAL"));
        let heard = stage.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\x16\x03");
        assert_eq!(heard, ["TLS with 2 bytes"]);
        assert!(stage.said().starts_with("<proceed "));
        stage.secure(Some(good(&["a.example"])));
        assert_eq!(stage.hear(&header("a.example")), [""; 0]);
        let said = stage.said();
        assert!(
            said.contains(EXTERNAL) && said.contains(FEATURES_OF_DIALBACK),
            "{said}"
        );
        assert!(!said.contains("starttls"), "{said}");
    }
}

#[test]
fn a_certificate_proves_by_external_and_the_stream_begins_anew() {
    for identity in ["=", "YS5leGFtcGxl", "QS5FeGFtcGxl"] {
        let mut stage =
            Stage::below_tls(Needed::Certificate, "a.example", Some(good(&["a.example"])));
        let heard = stage.hear(&auth(identity));
        assert_eq!(heard, ["a.example to localhost: Certificate"]);
        assert_eq!(
            stage.said(),
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
        );
        assert_eq!(stage.hear(&header("a.example")), [""; 0]);
        let said = stage.said();
        assert!(
            said.contains(FEATURES_OF_DIALBACK) && !said.contains(EXTERNAL),
            "{said}"
        );
        assert!(
            said.contains("<max-bytes>524288</max-bytes><idle-seconds>3600<"),
            "{said}"
        );
        let heard = stage.hear(&message("romeo@a.example/x", "juliet@localhost"));
        assert_eq!(heard, ["romeo@a.example/x to juliet@localhost"]);
    }
}

#[test]
fn who_says_nothing_with_auth_is_asked() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", Some(good(&["*.example"])));
    assert_eq!(stage.hear(&auth("")), [""; 0]);
    assert_eq!(
        stage.said(),
        "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    );
    let heard = stage.hear("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    assert_eq!(heard, ["a.example to localhost: Certificate"]);
}

#[test]
fn a_key_proves_once_its_domains_server_says_so() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let claim = stage.claim(&result("a.example", "localhost", "\n  key\n"));
    assert_eq!((&*claim.key, claim.id.len()), ("key", 22));
    assert_eq!(stage.said(), "");
    let outcome = stage.verify(&claim, Verified::Valid);
    assert_eq!(outcome, "a.example to localhost: Dialback");
    assert_eq!(
        stage.said(),
        "<db:result from='localhost' to='a.example' type='valid'/>"
    );
    let heard = stage.hear(&message("a.example", "juliet@localhost/b"));
    assert_eq!(heard, ["a.example to juliet@localhost/b"]);
    // Once more, it is true at once.
    assert_eq!(
        stage.hear(&result("a.example", "localhost", "other")),
        [""; 0]
    );
    assert_eq!(
        stage.said(),
        "<db:result from='localhost' to='a.example' type='valid'/>"
    );
}

#[test]
fn the_id_that_a_key_is_for_is_that_of_the_last_header() {
    let mut stage = Stage::new(Needed::Tls, Opening::Clear);
    stage.hear(&header("a.example"));
    let first = stage.id();
    stage.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    stage.said();
    stage.secure(None);
    stage.hear(&header("a.example"));
    let id = stage.id();
    assert_ne!(first, id);
    let claim = stage.claim(&result("a.example", "localhost", "key"));
    assert_eq!(*claim.id, *id);
}

#[test]
fn a_good_certificate_proves_what_is_claimed_without_dialling_back() {
    // XEP-0344 §2.4. Also who has not said in its header who it is.
    for from in ["", "a.example"] {
        let names = ["a.example", "b.example"];
        let mut stage = Stage::below_tls(Needed::Certificate, from, Some(good(&names)));
        for (theirs, ours) in [("a.example", "localhost"), ("b.example", "other.test")] {
            let heard = stage.hear(&result(theirs, ours, "key"));
            assert_eq!(heard, [format!("{theirs} to {ours}: Certificate")]);
            let said = format!("<db:result from='{ours}' to='{theirs}' type='valid'/>");
            assert_eq!(stage.said(), said);
        }
        let heard = stage.hear(&message("b.example", "other.test"));
        assert_eq!(heard, ["b.example to other.test"]);
    }
}

#[test]
fn a_further_domain_is_judged_by_its_own_name_and_need() {
    let mut options = rules(Needed::Tls);
    options.secure_domains.insert(domain("c.example"));
    let mut stage = Stage::with(options, Opening::Tls);
    stage.secure(Some(good(&["a.example", "*.b.example"])));
    stage.hear(&header("a.example"));
    stage.hear(&result("a.example", "localhost", "key"));
    stage.said();
    let heard = stage.hear(&result("x.b.example", "localhost", "key"));
    assert_eq!(heard, ["x.b.example to localhost: Certificate"]);
    // The certificate is for others, and must be for it.
    let heard = stage.hear(&result("c.example", "localhost", "key"));
    assert_eq!(heard, ["c.example to localhost: Refused"]);
    // It is for others, and need not be.
    let claim = stage.claim(&result("d.example", "localhost", "key"));
    stage.said();
    assert_eq!(
        stage.verify(&claim, Verified::Invalid),
        "d.example to localhost: Unproven(Invalid)"
    );
    assert_eq!(
        stage.said(),
        "<db:result from='localhost' to='d.example' type='error'><error type='auth'>\
         <forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>"
    );
    // The stream lives.
    let heard = stage.hear(&message("a.example", "localhost"));
    assert_eq!(heard, ["a.example to localhost"]);
}

#[test]
fn each_claim_is_answered_for_itself_whatever_comes_first() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let a = stage.claim(&result("a.example", "localhost", "key"));
    let b = stage.claim(&result("b.example", "localhost", "key"));
    assert_eq!(
        stage.verify(&b, Verified::Valid),
        "b.example to localhost: Dialback"
    );
    assert_eq!(stage.hear(&message("b.example", "localhost")).len(), 1);
    stage.said();
    let why = Verified::Unknown(Unverified::TimedOut);
    stage.verify(&a, why);
    assert!(
        stage
            .said()
            .contains("to='a.example' type='error'><error type='wait'><remote-server-timeout ")
    );
    // An answer is taken once.
    assert_eq!(stage.verify(&a, Verified::Valid), "");
    assert_eq!(stage.said(), "");
}

#[test]
fn why_nobody_could_be_asked_is_said_and_the_stream_lives() {
    for (why, condition) in [
        (Unverified::NotFound, "remote-server-not-found"),
        (Unverified::Refused, "remote-server-not-found"),
        (Unverified::Unconnected, "remote-connection-failed"),
        (Unverified::TimedOut, "remote-server-timeout"),
        (Unverified::Unfit, "not-acceptable"),
        (Unverified::Busy, "resource-constraint"),
    ] {
        let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
        let claim = stage.claim(&result("a.example", "localhost", "key"));
        stage.verify(&claim, Verified::Unknown(why));
        let said = stage.said();
        assert!(said.contains(&format!("<{condition} xmlns=")), "{said}");
        let claim = stage.claim(&result("a.example", "localhost", "key"));
        stage.verify(&claim, Verified::Valid);
        assert!(stage.stream.is_proven());
    }
}

#[test]
fn the_same_claim_twice_is_answered_once_each() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let first = stage.claim(&result("a.example", "localhost", "key"));
    let second = stage.claim(&result("a.example", "localhost", "key"));
    stage.verify(&first, Verified::Valid);
    stage.verify(&second, Verified::Valid);
    assert_eq!(stage.said().matches("type='valid'").count(), 2);
    assert_eq!(stage.verify(&second, Verified::Valid), "");
}

#[test]
fn who_asks_whether_a_key_is_ours_hears_it_by_arithmetic() {
    let mut stage = Stage::below_tls(Needed::Tls, "", None);
    let key = stage
        .keys
        .key(&domain("a.example"), &domain("localhost"), "id&1");
    let ask = |to: &str, id: &str, key: &str| {
        format!("<db:verify from='a.example' to='{to}' id='{id}'>{key}</db:verify>")
    };
    for (asked, answer) in [
        (ask("localhost", "id&amp;1", &key), "type='valid'/>"),
        (ask("localhost", "id&amp;2", &key), "type='invalid'/>"),
        (ask("other.test", "id&amp;1", &key), "type='invalid'/>"),
        (ask("localhost", "id&amp;1", ""), "type='invalid'/>"),
        (
            ask("elsewhere.example", "id&amp;1", &key),
            "type='error'><error type='cancel'><item-not-found ",
        ),
    ] {
        assert_eq!(stage.hear(&asked), [""; 0]);
        let said = stage.said();
        assert!(
            said.starts_with("<db:verify from='") && said.contains(answer),
            "{said}"
        );
        assert!(said.contains(" to='a.example' id='id&amp;"), "{said}");
    }
}

#[test]
fn who_is_older_than_features_has_dialback_where_nothing_is_needed() {
    let old = header("a.example").replace(" version='1.0'", "");
    let mut stage = Stage::new(Needed::Nothing, Opening::Clear);
    assert_eq!(stage.hear(&old), [""; 0]);
    let said = stage.said();
    assert!(
        !said.contains("features") && !said.contains("version='1.0' "),
        "{said}"
    );
    let claim = stage.claim(&result("a.example", "localhost", "key"));
    stage.verify(&claim, Verified::Valid);
    assert!(stage.stream.is_proven());

    let mut stage = Stage::new(Needed::Tls, Opening::Clear);
    assert_eq!(
        stage.hear(&old),
        ["policy-violation, a.example to localhost: Refused"]
    );
    let said = stage.said();
    assert!(
        said.contains("This server requires encryption") && !said.contains("features"),
        "{said}"
    );
}

#[test]
fn where_nothing_is_needed_tls_is_offered_beside_dialback() {
    let mut stage = Stage::new(Needed::Nothing, Opening::Clear);
    stage.hear(&header("a.example"));
    let said = stage.said();
    assert!(
        said.contains("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        "{said}"
    );
    assert!(
        said.contains(FEATURES_OF_DIALBACK) && !said.contains(EXTERNAL),
        "{said}"
    );
    let claim = stage.claim(&result("a.example", "localhost", "key"));
    stage.said();
    // Who answers for what was claimed before TLS finds nobody.
    let heard = stage.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(heard, ["TLS with 0 bytes"]);
    stage.said();
    assert_eq!(stage.verify(&claim, Verified::Valid), "");
    stage.secure(None);
    stage.hear(&header("a.example"));
    assert_eq!(stage.verify(&claim, Verified::Valid), "");
    assert!(!stage.stream.is_proven());
}

#[test]
fn a_certificate_that_is_needed_and_bad_ends_the_stream_before_features() {
    let expired = Chain::Expired {
        on: UnixTime(1_700_000_000_000),
    };
    for (certificate, text) in [
        (None, "Your server has shown no certificate"),
        (
            Some(good(&["b.example"])),
            "Your server's certificate is not for this domain",
        ),
        (
            Some(shown(expired, &["a.example"])),
            "Your server's certificate has expired",
        ),
    ] {
        let mut stage = Stage::secured(Needed::Certificate, certificate);
        let heard = stage.hear(&header("a.example"));
        assert_eq!(heard, ["not-authorized, a.example to localhost: Refused"]);
        let said = stage.said();
        assert!(said.contains(text) && !said.contains("features"), "{said}");
        assert!(said.contains("from='localhost' to='a.example'>"), "{said}");
    }
}

#[test]
fn a_header_is_to_one_of_ours_and_in_the_namespace_of_servers() {
    for (from, to, condition) in [
        ("to='localhost'", "to='elsewhere.example'", "host-unknown"),
        (" to='localhost'", "", "improper-addressing"),
        ("to='localhost'", "to='@'", "improper-addressing"),
        (
            "from='a.example'",
            "from='romeo@a.example'",
            "improper-addressing",
        ),
        (
            "xmlns='jabber:server'",
            "xmlns='jabber:client'",
            "invalid-namespace",
        ),
        ("etherx.jabber.org", "example.org", "invalid-namespace"),
    ] {
        let mut stage = Stage::new(Needed::Tls, Opening::Clear);
        let text = header("a.example").replace(from, to);
        assert_eq!(stage.hear(&text), [condition], "{text}");
        let said = stage.said();
        assert!(
            said.starts_with("<?xml version='1.0'?><stream:stream xmlns='jabber:server'"),
            "{said}"
        );
        assert_eq!(
            said.contains(" from=''"),
            condition == "host-unknown" || to.is_empty() || to == "to='@'",
            "{said}"
        );
    }
}

#[test]
fn names_are_prepared_and_a_labels_are_understood() {
    let certificate = good(&["xn--bcher-kva.example"]);
    let mut stage = Stage::below_tls(
        Needed::Certificate,
        "xn--bcher-kva.example",
        Some(certificate),
    );
    let heard = stage.hear(&auth("="));
    assert_eq!(heard, ["b\u{fc}cher.example to localhost: Certificate"]);
    stage.hear(&header("B\u{dc}CHER.example").replace("localhost", "LOCALHOST"));
    for from in ["romeo@b\u{fc}cher.example", "romeo@xn--bcher-kva.example"] {
        let heard = stage.hear(&message(from, "juliet@LocalHost"));
        assert_eq!(heard, ["romeo@b\u{fc}cher.example to juliet@localhost"]);
    }
}

#[test]
fn a_stanza_that_makes_no_sense_is_answered_to_its_sender() {
    let mut stage = Stage::signed_in(&[]);
    let heard =
        stage.hear("<iq type='get' id='1' from='romeo@a.example/x' to='juliet@localhost'/>");
    assert_eq!(heard.len(), 1);
    for part in [
        "<iq to='romeo@a.example/x' from='juliet@localhost'",
        "type='error'",
        "<bad-request ",
    ] {
        assert!(heard[0].contains(part), "{heard:?}");
    }
    assert_eq!(stage.said(), "");
}

#[test]
fn the_language_of_the_stream_is_that_of_its_stanzas() {
    let mut stage = Stage::secured(Needed::Tls, Some(good(&["a.example"])));
    stage.hear(&header("a.example").replace(" version", " xml:lang='de' version"));
    stage.hear(&result("a.example", "localhost", "key"));
    let events = stage.events(message("a.example", "localhost").as_bytes());
    let Some(Event::Remote(stanza, _)) = events.first() else {
        panic!("{events:?}");
    };
    let mut out = Vec::new();
    stanza.write(&mut out);
    assert!(String::from_utf8(out).unwrap().contains(" xml:lang='de'"));
}

#[test]
fn the_outcome_is_the_same_however_bytes_are_cut() {
    let text = [
        header("a.example"),
        result("a.example", "localhost", "key"),
        message("romeo@a.example", "juliet@localhost"),
        result("b.example", "localhost", "key"),
        "<db:verify from='a.example' to='localhost' id='x'>y</db:verify>".to_owned(),
        message("romeo@b.example", "juliet@localhost"),
    ]
    .concat();
    let run = |size: usize| {
        let mut stage = Stage::secured(Needed::Tls, Some(good(&["a.example"])));
        let mut heard = Vec::new();
        for part in text.as_bytes().chunks(size) {
            heard.extend(stage.events(part).iter().map(words));
        }
        (heard, stage.said())
    };
    let whole = run(text.len());
    assert_eq!(
        whole.0,
        [
            "a.example to localhost: Certificate",
            "romeo@a.example to juliet@localhost",
            "b.example claimed to localhost: key",
            "invalid-from"
        ]
    );
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(run(size), whole, "{size}");
    }
}

#[test]
fn a_closing_tag_is_answered_and_so_is_an_error() {
    for end in [
        "</stream:stream>",
        "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    ] {
        let mut stage = Stage::signed_in(&[]);
        assert_eq!(stage.hear(end), ["closed"]);
        assert_eq!(stage.said(), "</stream:stream>");
    }
}

#[test]
fn outcomes_say_whether_they_prove() {
    for outcome in [Outcome::Certificate, Outcome::Dialback] {
        assert!(outcome.is_proven());
    }
    for outcome in [
        Outcome::Refused,
        Outcome::Crowded,
        Outcome::Unproven(Verified::Valid),
    ] {
        assert!(!outcome.is_proven(), "{}", "{outcome:?}");
    }
}
