//! Links: what is for another server finds its way there, proven as the policy wants it, or comes back.

mod bidi;
mod confirm;
mod explain;
mod kept;
mod standards;
mod verify;

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::stage::{Counts, Stage, chat, config};
use crate::archive::Policy;
use crate::federation::{
    AllowEncryption, Allowed, PolicyOptions, RequireEncryption, Rules, SecureAuth,
};
use crate::jid::Domain;
use crate::port::{
    CertificateName, CertificateNames, Chain, ConnectError, Lookup, LookupError, NameConstraints,
    Resolved, ServerCertificate, Service, Source, Verdict,
};
use crate::testing::{Door, Peer, World};
use crate::time::UnixTime;

const HEADER: &str = "<?xml version='1.0'?><stream:stream from='b.example' to='localhost' id='x1' version='1.0' \
     xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'>";
const STARTTLS: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\
     <dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const DIALBACK: &str =
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
const EXTERNAL: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
     <mechanism>EXTERNAL</mechanism></mechanisms><dialback xmlns='urn:xmpp:features:dialback'/>\
     </stream:features>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";
const END: &str = "</stream:stream>";
const AT: &str = "192.0.2.1:5269";

fn rules(secure_auth: SecureAuth, require: RequireEncryption) -> Rules {
    let rules = Rules::new(PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption: require,
        secure_auth,
        secure_domains: BTreeSet::new(),
        insecure_domains: BTreeSet::new(),
        allowed: Allowed::All,
        refused: [Domain::parse("refused.example").unwrap()].into(),
    });
    rules.unwrap()
}

fn certificate(chain: Chain) -> Box<ServerCertificate> {
    Box::new(ServerCertificate {
        verdict: Some(Verdict::Good),
        chain,
        names: CertificateNames {
            each: vec![CertificateName::Dns("b.example".into())],
            constraints: NameConstraints::None,
        },
        fingerprint: [0; 32],
    })
}

const VALID: Chain = Chain::Valid {
    until: UnixTime(i64::MAX),
};

/// A server that may talk to others, one of which is b.example.
struct Links {
    stage: Stage,
    romeo: String,
    client: Peer,
}

impl Links {
    fn new(secure_auth: SecureAuth, require: RequireEncryption, shards: u16) -> Self {
        Self::with(secure_auth, require, shards, Counts::No)
    }

    fn with(
        secure_auth: SecureAuth,
        require: RequireEncryption,
        shards: u16,
        counts: Counts,
    ) -> Self {
        let mut config = config(Policy::Never, shards);
        config.federation.rules = rules(secure_auth, require);
        let mut stage = Stage {
            world: World::new(config),
        };
        stage.world.server = Some(certificate(VALID));
        let service = Service {
            priority: 0,
            weight: 0,
            port: 5269,
            target: "x.example".into(),
        };
        stage.world.publish(
            Lookup::Services("_xmpp-server._tcp.b.example".into()),
            Resolved::Services(vec![service]),
        );
        stage.world.publish(
            Lookup::Services("_xmpps-server._tcp.b.example".into()),
            Resolved::NoData,
        );
        stage.world.publish(
            Lookup::Addresses("x.example".into()),
            Resolved::Addresses(vec!["192.0.2.1".parse().unwrap()], Source::Dns),
        );
        stage.world.set_door(AT.parse().unwrap(), Door::Opens);
        let romeo = stage.account(0, 0);
        let client = stage.session(&romeo, "r", counts);
        Self {
            stage,
            romeo,
            client,
        }
    }

    fn easy() -> Self {
        Self::new(SecureAuth::No, RequireEncryption::Yes, 1)
    }

    /// The client says this; what it hears.
    fn client(&mut self, words: &str) -> String {
        self.stage.write(self.client, words);
        self.stage.world.run();
        self.stage.heard(self.client)
    }

    fn send(&mut self, id: &str) -> String {
        self.client(&chat("juliet@b.example/x", id))
    }

    /// The other server, at the connection that was wanted after so many.
    fn peer(&self, at: usize) -> Peer {
        self.stage.world.outgoing()[at].1
    }

    fn connections(&self) -> usize {
        self.stage.world.outgoing().len()
    }

    fn heard(&mut self, at: usize) -> String {
        let peer = self.peer(at);
        self.stage.heard(peer)
    }

    /// It says this, and hears that.
    fn say(&mut self, at: usize, words: &str) -> String {
        let peer = self.peer(at);
        self.stage.write(peer, words);
        self.stage.world.run();
        self.heard(at)
    }

    /// Up to the features below TLS.
    fn secure(&mut self, at: usize) -> String {
        let header = self.heard(at);
        assert!(
            header.contains("from='localhost' to='b.example'"),
            "{header}"
        );
        assert!(header.contains("xmlns='jabber:server'"), "{header}");
        assert!(self.say(at, HEADER).is_empty());
        let starttls = self.say(at, STARTTLS);
        assert!(starttls.starts_with("<starttls"), "{starttls}");
        self.say(at, PROCEED);
        let peer = self.peer(at);
        self.stage.world.secure(peer);
        self.stage.world.run();
        let header = self.heard(at);
        assert!(header.contains("to='b.example'"), "{header}");
        self.say(at, HEADER)
    }

    /// Up to proven, by EXTERNAL, to a server that counts.
    fn link(&mut self, at: usize) -> String {
        let said = self.link_without(at, "<sm xmlns='urn:xmpp:sm:3'/>");
        let said = said
            .strip_prefix("<enable xmlns='urn:xmpp:sm:3'/>")
            .unwrap()
            .to_owned();
        assert_eq!(self.say(at, "<enabled xmlns='urn:xmpp:sm:3'/>"), "");
        said
    }

    /// It has so many stanzas; what it hears.
    fn ack(&mut self, at: usize, h: u32) -> String {
        self.say(at, &format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"))
    }

    /// The same, to one whose features are these.
    fn link_without(&mut self, at: usize, features: &str) -> String {
        self.secure(at);
        let auth = self.say(at, EXTERNAL);
        assert!(
            auth.contains("mechanism='EXTERNAL'>bG9jYWxob3N0</auth>"),
            "{auth}"
        );
        let header = self.say(at, SUCCESS);
        assert!(header.contains("to='b.example'"), "{header}");
        self.say(at, HEADER);
        self.say(
            at,
            &format!("<stream:features>{features}</stream:features>"),
        )
    }

    fn end(mut self) {
        self.stage.world.hang_up(self.client);
        self.stage.world.run();
        self.stage.world.shut_down();
        self.stage.world.advance(Duration::from_secs(20));
        assert!(self.stage.world.is_at_rest());
        self.stage.no_bugs();
    }
}

#[test]
fn what_is_for_another_server_goes_there_by_external_in_its_order() {
    for shards in [1, 3] {
        let mut links = Links::with(SecureAuth::Yes, RequireEncryption::Yes, shards, Counts::Yes);
        assert_eq!(links.send("1"), "");
        assert_eq!(links.send("2"), "");
        let first = links.link(0);
        assert!(
            first.starts_with("<message to='juliet@b.example/x' from='user"),
            "{first}"
        );
        let (one, two) = (first.find("<body>1</body>"), first.find("<body>2</body>"));
        assert!(one.is_some() && one < two, "{first}");
        assert!(first.ends_with(REQUEST), "{first}");
        // It is handled when it is on disk or there (XEP-0198 §4): while there was no link, it was kept.
        let asked = "<r xmlns='urn:xmpp:sm:3'/>";
        assert!(links.client(asked).contains("h='2'"));
        assert_eq!(links.ack(0, 1), "");
        assert_eq!(links.ack(0, 2), "");
        links.send("3");
        let third = links.heard(0);
        assert!(
            third.contains("<body>3</body>") && third.ends_with(REQUEST),
            "{third}"
        );
        assert!(links.client(asked).contains("h='2'"));
        links.ack(0, 3);
        assert!(links.stage.heard(links.client).contains("h='3'"));
        assert_eq!(links.connections(), 1);
        links.end();
    }
}

#[test]
fn who_has_no_certificate_is_told_our_key_and_believed_by_dialling_back() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.send("1");
    links.secure(0);
    let result = links.say(0, DIALBACK);
    let (start, key) = result.split_once('>').unwrap();
    assert_eq!(start, "<db:result from='localhost' to='b.example'");
    let key = key.strip_suffix("</db:result>").unwrap();
    let ours = links.stage.world.config().dialback_keys();
    let [theirs, us] = ["b.example", "localhost"].map(|name| Domain::parse(name).unwrap());
    assert!(ours.is_key(&theirs, &us, "x1", key));
    let sent = links.say(
        0,
        "<db:result from='b.example' to='localhost' type='valid'/>",
    );
    assert!(sent.contains("<body>1</body>"), "{sent}");
    links.end();
}

#[test]
fn a_certificate_that_is_needed_and_not_good_ends_it_for_good_and_its_rule_is_in_the_bounce() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.send("1");
    links.secure(0);
    let refused = links.say(0, EXTERNAL);
    assert!(refused.contains("<not-authorized"), "{refused}");
    assert!(refused.ends_with(END), "{refused}");
    let bounce = links.stage.heard(links.client);
    assert!(bounce.contains("remote-server-timeout"), "{bounce}");
    assert!(
        bounce.contains("The certificate of the other server has signed itself"),
        "{bounce}"
    );
    assert!(!bounce.contains("b.example has") && bounce.contains("from='juliet@b.example/x'"));
    // Nothing is asked of the network for a while.
    assert!(links.send("2").contains("remote-server-timeout"));
    assert_eq!(links.connections(), 1);
    links.stage.world.advance(Duration::from_secs(61));
    links.send("3");
    assert_eq!(links.connections(), 2);
    links.end();
}

#[test]
fn who_cannot_encrypt_gets_nothing_unless_that_is_allowed() {
    let plain = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
    let mut links = Links::easy();
    links.send("1");
    links.heard(0);
    links.say(0, HEADER);
    assert!(links.say(0, plain).starts_with("<starttls"));
    links.say(
        0,
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>",
    );
    let bounce = links.stage.heard(links.client);
    assert!(
        bounce.contains("The other server has no encryption"),
        "{bounce}"
    );
    links.end();

    let mut links = Links::new(SecureAuth::No, RequireEncryption::No, 1);
    links.send("1");
    links.heard(0);
    links.say(0, HEADER);
    assert!(links.say(0, plain).starts_with("<db:result"));
    let sent = links.say(
        0,
        "<db:result from='b.example' to='localhost' type='valid'/>",
    );
    assert!(sent.contains("<body>1</body>"), "{sent}");
    links.end();
}

#[test]
fn who_does_not_believe_our_key_has_what_waited_returned() {
    for (answer, expected) in [
        ("type='invalid'/>", "internal-server-error"),
        (
            "type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
            "",
        ),
    ] {
        let mut links = Links::easy();
        links.send("1");
        links.secure(0);
        links.say(0, DIALBACK);
        links.say(
            0,
            &format!("<db:result from='b.example' to='localhost' {answer}"),
        );
        let bounce = links.stage.heard(links.client);
        assert!(bounce.contains(expected), "{answer}: {bounce}");
        assert_eq!(expected.is_empty(), bounce.is_empty(), "{bounce}");
        links.end();
    }
}

#[test]
fn what_nobody_asked_ends_the_stream() {
    for words in [
        "<db:verify from='b.example' to='localhost' id='y' type='valid'/>",
        "<db:result from='b.example' to='localhost' type='valid'/>",
        "<db:result from='c.example' to='localhost' type='valid'/>",
        "<db:result from='b.example' to='localhost'>key</db:result>",
        "<db:verify from='b.example' to='localhost' id='y'>key</db:verify>",
        "<message from='a@b.example' to='user0@localhost'><body>x</body></message>",
    ] {
        let mut links = Links::easy();
        links.send("1");
        links.link(0);
        let end = links.say(0, words);
        assert!(end.contains("<stream:error>"), "{words}: {end}");
        assert!(end.ends_with(END), "{words}: {end}");
        links.end();
    }
}

#[test]
fn who_is_not_there_is_waited_for_and_then_it_comes_back() {
    let mut links = Links::easy();
    let door = Door::Refuses(ConnectError::Refused);
    links.stage.world.set_door(AT.parse().unwrap(), door);
    assert_eq!(links.send("1"), "");
    let request = "<iq type='get' id='q' to='b.example'><ping xmlns='urn:xmpp:ping'/></iq>";
    assert_eq!(links.client(request), "");
    links.stage.world.advance(Duration::from_secs(31));
    let bounce = links.stage.heard(links.client);
    assert!(
        bounce.contains("id='q'") && !bounce.contains("id='1'"),
        "{bounce}"
    );
    links.stage.world.set_door(AT.parse().unwrap(), Door::Opens);
    let before = links.connections();
    for _ in 0..300 {
        if links.connections() == before {
            links.stage.world.advance(Duration::from_secs(1));
        }
    }
    let at = links.connections() - 1;
    let sent = links.link(at);
    assert!(sent.contains("<body>1</body>"), "{sent}");
    links.end();
}

#[test]
fn nobody_waits_longer_than_the_option_says() {
    let mut links = Links::easy();
    let failed = Resolved::Failed(LookupError::TimedOut);
    for service in ["_xmpp-server", "_xmpps-server"] {
        let name = format!("{service}._tcp.b.example");
        let lookup = Lookup::Services(name.into());
        links.stage.world.publish(lookup, failed.clone());
    }
    links.send("1");
    links.stage.world.advance(Duration::from_secs(590));
    assert_eq!(links.stage.heard(links.client), "");
    links.stage.world.advance(Duration::from_secs(30));
    let bounce = links.stage.heard(links.client);
    assert!(bounce.contains("remote-server-not-found"), "{bounce}");
    links.end();
}

#[test]
fn a_name_that_is_none_comes_back_at_once_and_so_does_who_is_not_talked_to() {
    let mut links = Links::easy();
    for domain in ["nowhere.example", "refused.example"] {
        let bounce = links.client(&chat(&format!("juliet@{domain}"), "1"));
        assert!(
            bounce.contains("remote-server-not-found"),
            "{domain}: {bounce}"
        );
    }
    links.end();
}

#[test]
fn what_was_on_a_stream_that_broke_goes_by_the_next() {
    let mut links = Links::easy();
    links.send("1");
    links.link(0);
    links.ack(0, 1);
    links.stage.world.advance(Duration::from_secs(40));
    let peer = links.peer(0);
    links.stage.world.stop_taking(peer);
    links.send("2");
    links.stage.world.hang_up(peer);
    links.stage.world.run();
    assert_eq!(links.connections(), 2);
    let sent = links.link(1);
    assert!(
        sent.contains("<body>2</body>") && !sent.contains("<body>1</body>"),
        "{sent}"
    );
    links.end();
}

#[test]
fn a_link_that_says_nothing_for_an_hour_is_closed_in_order_and_opened_again() {
    let mut links = Links::easy();
    links.send("1");
    links.link(0);
    links.ack(0, 1);
    links.stage.world.advance(Duration::from_secs(3700));
    assert_eq!(links.heard(0), END);
    let said = links.client("<presence to='juliet@b.example'/>");
    assert!(!said.contains("error"), "{said}");
    assert_eq!(links.connections(), 2);
    links.end();
}

#[test]
fn a_server_that_stops_returns_requests_that_wait_and_closes_its_links() {
    let mut links = Links::easy();
    let ask =
        "<iq type='get' to='juliet@b.example/x' id='1'><query xmlns='jabber:iq:version'/></iq>";
    links.client(ask);
    links.stage.world.shut_down();
    links.stage.world.advance(Duration::from_secs(20));
    assert!(links.stage.world.is_at_rest());
    let heard = links.stage.heard(links.client);
    assert!(heard.contains("remote-server-timeout"), "{heard}");
}

fn id_of(header: &str) -> &str {
    let (_, id) = header.split_once(" id='").unwrap();
    id.split_once('\'').unwrap().0
}

#[test]
fn what_an_administrator_changes_is_asked_of_the_links_that_there_are() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.send("1");
    links.secure(0);
    links.say(0, DIALBACK);
    links.say(
        0,
        "<db:result from='b.example' to='localhost' type='valid'/>",
    );
    let mut config = links.stage.world.config().clone();
    config.federation.rules = rules(SecureAuth::Yes, RequireEncryption::Yes);
    links.stage.world.reload(config);
    assert!(links.heard(0).contains("<not-authorized "));
    links.end();

    // A domain that is served here from now on.
    let mut links = Links::easy();
    links.send("1");
    let mut config = links.stage.world.config().clone();
    let host = config.hosts.values().next().unwrap().clone();
    config
        .hosts
        .insert(Domain::parse("b.example").unwrap(), host);
    links.stage.world.reload(config);
    let bounce = links.stage.heard(links.client);
    assert!(bounce.contains("<service-unavailable "), "{bounce}");
    links.end();
}

#[test]
fn who_names_domain_after_domain_has_to_wait_and_nobody_else() {
    let mut links = Links::easy();
    let mut refused = 0;
    for n in 0..40 {
        let heard = links.client(&chat(&format!("juliet@d{n}.example"), "x"));
        refused += heard.matches("<resource-constraint ").count();
    }
    assert_eq!(refused, 20);
    // Of what is known nobody has to wait.
    assert!(
        links
            .client(&chat("juliet@d1.example", "x"))
            .contains("remote-server-not-found")
    );
    let other = links.stage.account(0, 1);
    let other = links.stage.session(&other, "o", Counts::No);
    links.stage.write(other, &chat("juliet@e.example", "x"));
    links.stage.world.run();
    assert!(links.stage.heard(other).contains("remote-server-not-found"));
    links.stage.world.advance(Duration::from_secs(4));
    let heard = links.client(&chat("juliet@d39.example", "x"));
    assert!(heard.contains("remote-server-not-found"), "{heard}");
    links.stage.world.hang_up(other);
    links.stage.world.run();
    links.end();
}

#[test]
fn a_stream_ends_with_the_certificate_that_it_rests_on_and_another_is_opened() {
    let mut links = Links::easy();
    let until = UnixTime(links.stage.world.now().wall.0 + 60_000);
    links.stage.world.server = Some(certificate(Chain::Valid { until }));
    links.send("1");
    links.link(0);
    links.ack(0, 1);
    links.stage.world.advance(Duration::from_secs(50));
    assert_eq!(links.heard(0), "");
    links.send("2");
    links.heard(0);
    links.stage.world.advance(Duration::from_secs(11));
    let heard = links.heard(0);
    assert!(heard.contains("<reset "), "{heard}");
    links.stage.world.server = Some(certificate(VALID));
    let again = links.link(1);
    assert!(again.contains("<body>2</body>"), "{again}");
    links.end();
}

#[test]
fn a_stream_that_was_for_a_question_alone_is_closed_in_order_and_no_failure() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    let peer = verify::claim(&mut links, 0, "key");
    links.stage.heard(peer);
    links.secure(0);
    links.say(0, DIALBACK);
    links.stage.world.hang_up(peer);
    links.stage.world.run();
    links.stage.world.advance(Duration::from_secs(95));
    assert_eq!(links.heard(0), END);
    // Nothing is waited for.
    links.send("1");
    assert_eq!(links.connections(), 2);
    links.end();
}

#[test]
fn who_talks_to_us_is_there_and_is_not_waited_for_any_longer() {
    for shards in [1, 3] {
        let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, shards);
        let door = Door::Refuses(ConnectError::Refused);
        links.stage.world.set_door(AT.parse().unwrap(), door);
        links.send("1");
        assert_eq!(links.connections(), 1);
        links.stage.world.set_door(AT.parse().unwrap(), Door::Opens);
        links.send("2");
        assert_eq!(links.connections(), 1);
        confirm::from_b(
            &mut links,
            "<presence from='juliet@b.example' to='user0@localhost'/>",
        );
        assert_eq!(links.connections(), 2);
        let sent = links.link(1);
        assert!(
            sent.contains("<body>1</body>") && sent.contains("<body>2</body>"),
            "{sent}"
        );
        links.end();
    }
}

#[test]
fn contacts_elsewhere_hear_of_a_user_and_are_asked_where_they_are() {
    let mut links = Links::easy();
    links.client("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>");
    links.client("<presence type='subscribe' to='juliet@b.example'/>");
    links.link(0);
    links.ack(0, 1);
    confirm::from_b(
        &mut links,
        "<presence type='subscribed' from='juliet@b.example' to='user0@localhost'/>\
         <presence type='subscribe' from='juliet@b.example' to='user0@localhost'/>",
    );
    links.client("<presence type='subscribed' to='juliet@b.example'/>");
    let heard = links.heard(0);
    assert!(heard.contains("type='subscribed'"), "{heard}");
    assert!(
        heard.contains("<presence to='juliet@b.example' from='user0@localhost/r'"),
        "{heard}"
    );
    links.ack(0, 3);
    links.client("<presence type='unavailable'/>");
    let heard = links.heard(0);
    assert!(heard.contains("type='unavailable'"), "{heard}");
    links.client("<presence><status>back</status></presence>");
    let heard = links.heard(0);
    assert!(
        heard.contains("<status>back</status>") && heard.contains("type='probe'"),
        "{heard}"
    );
    // And the other way round.
    confirm::from_b(
        &mut links,
        "<presence type='probe' from='juliet@b.example/x' to='user0@localhost'/>",
    );
    let heard = links.heard(0);
    assert!(
        heard.contains("to='juliet@b.example/x'") && heard.contains("back"),
        "{heard}"
    );
    links.end();
}

#[test]
fn where_dns_leads_into_our_own_network_nobody_is_looked_for_unless_that_is_allowed() {
    let publish = |links: &mut Links| {
        let addresses = [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "169.254.1.1",
            "::ffff:192.168.1.1",
        ];
        let addresses = addresses.map(|address| address.parse().unwrap());
        links.stage.world.publish(
            Lookup::Addresses("x.example".into()),
            Resolved::Addresses(addresses.to_vec(), Source::Dns),
        );
    };
    let mut links = Links::easy();
    publish(&mut links);
    let bounce = links.send("1");
    assert!(bounce.contains("<remote-server-timeout "), "{bounce}");
    assert_eq!(links.connections(), 0);
    links.end();

    let mut links = Links::easy();
    let mut config = links.stage.world.config().clone();
    config.federation.private_networks = vec!["10.0.0.0/8".parse().unwrap()];
    links.stage.world.reload(config);
    publish(&mut links);
    links
        .stage
        .world
        .set_door("10.1.2.3:5269".parse().unwrap(), Door::Opens);
    assert_eq!(links.send("1"), "");
    assert_eq!(links.connections(), 1);
    links.end();
}
