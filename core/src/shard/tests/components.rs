//! Components (XEP-0114): who may serve a name, what reaches one, and what becomes of that which does not.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use sha1::{Digest as _, Sha1};

use super::stage::{Counts, Stage, body, chat, config, error_of};
use crate::archive::Policy;
use crate::config::{ComponentConfig, Config, Host, TlsAvailable};
use crate::jid::Domain;
use crate::limits::COMPONENT_QUEUE_BYTES;
use crate::port::{ComponentChange, Note, Opening, Standing};
use crate::secret::Secret;
use crate::testing::{Ended, Peer, World};

const NAME: &str = "irc.localhost";
const HEADER: &str = "<stream:stream xmlns='jabber:component:accept' \
     xmlns:stream='http://etherx.jabber.org/streams' to='irc.localhost'>";

pub(super) fn component(secret: &str) -> Host {
    Host::Component(ComponentConfig {
        secret: Secret::new(secret.into()),
        tls: TlsAvailable::No,
    })
}

fn served(shards: u16) -> Config {
    let mut config = config(Policy::Never, shards);
    for name in [NAME, "sms.localhost"] {
        let name = Domain::parse(name).unwrap();
        config.hosts.insert(name, component("s3cret"));
    }
    config
}

fn stage(shards: u16) -> Stage {
    let world = World::new(served(shards));
    Stage { world }
}

fn shake(header: &str, secret: &str) -> String {
    let (_, rest) = header.split_once("id='").unwrap();
    let id = rest.split_once('\'').unwrap().0;
    let digest = Sha1::digest(format!("{id}{secret}"));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("<handshake>{hex}</handshake>")
}

impl Stage {
    fn says(&mut self, peer: Peer, xml: &str) -> String {
        self.write(peer, xml);
        self.world.run();
        self.heard(peer)
    }

    /// Whoever connects as a component, and our header.
    fn comes(&mut self, shard: usize, header: &str) -> (Peer, String) {
        let peer = self.world.connect_component_to(shard);
        let said = self.says(peer, header);
        (peer, said)
    }

    /// One that serves the name.
    pub(super) fn serves(&mut self, shard: usize) -> Peer {
        let (peer, header) = self.comes(shard, HEADER);
        let said = self.says(peer, &shake(&header, "s3cret"));
        assert_eq!(said, "<handshake/>");
        peer
    }

    fn told(&mut self) -> Vec<(String, ComponentChange)> {
        let notes = core::mem::take(&mut self.world.notes);
        let told = notes.into_iter().filter_map(|note| {
            let Note::Component { name, change, .. } = note else {
                return None;
            };
            Some((name.as_str().to_owned(), change))
        });
        told.collect()
    }
}

#[test]
fn who_knows_the_secret_serves_the_name_wherever_it_connects() {
    for (shards, shard) in [(1, 0), (3, 0), (3, 1), (3, 2)] {
        let mut stage = stage(shards);
        let (peer, header) = stage.comes(shard, HEADER);
        assert!(
            header.contains("xmlns='jabber:component:accept'"),
            "{header}"
        );
        assert!(header.contains("from='irc.localhost'"), "{header}");
        assert!(header.matches("version").count() == 1, "{header}");
        assert_eq!(stage.world.standing(peer), Standing::Stranger);
        let said = stage.says(peer, &shake(&header, "s3cret"));
        assert_eq!(said, "<handshake/>");
        assert_eq!(stage.world.standing(peer), Standing::Member);
        assert_eq!(stage.world.seat(peer).unwrap().0, stage.world.owner(NAME));
        let told = [(NAME.to_owned(), ComponentChange::Connected)];
        assert_eq!(stage.told(), told);
        stage.no_bugs();
    }
}

#[test]
fn who_does_not_know_it_is_turned_away() {
    let mut stage = stage(2);
    for secret in ["S3cret", ""] {
        let (peer, header) = stage.comes(0, HEADER);
        let said = stage.says(peer, &shake(&header, secret));
        assert!(said.contains("<not-authorized "), "{said}");
        assert!(said.ends_with("</stream:stream>"), "{said}");
        let told = [(NAME.to_owned(), ComponentChange::WrongSecret)];
        assert_eq!(stage.told(), told);
        assert_eq!(stage.says(peer, &shake(&header, "s3cret")), "");
    }
    stage.no_bugs();
}

#[test]
fn who_tries_many_secrets_is_not_told_any_more_which_is_right() {
    for shards in [1, 2] {
        let mut config = served(shards);
        config.limits.sasl_failures_per_address = 4;
        config.limits.sasl_failure_forgiven_after = Duration::from_secs(15);
        let mut stage = Stage {
            world: World::new(config),
        };
        for n in 0..4 {
            let (peer, header) = stage.comes(n % usize::from(shards), HEADER);
            let said = stage.says(peer, &shake(&header, "wrong"));
            assert!(said.contains("<not-authorized "), "{n}: {said}");
        }
        stage.told();
        // Neither of another name, nor by the right secret, nor for a client by its password.
        for (header, secret) in [
            (HEADER.to_owned(), "wrong"),
            (HEADER.to_owned(), "s3cret"),
            (HEADER.replace("irc.", "sms."), "s3cret"),
        ] {
            let (peer, header) = stage.comes(0, &header);
            let said = stage.says(peer, &shake(&header, secret));
            assert!(said.contains("<policy-violation "), "{said}");
        }
        assert!(
            stage
                .told()
                .iter()
                .all(|(_, change)| *change == ComponentChange::HeldUp)
        );
        // What was held up was not counted, and one is forgiven in a while.
        stage.world.advance(Duration::from_secs(15));
        stage.serves(0);
        stage.no_bugs();
    }
}

#[test]
fn wrong_passwords_count_too_and_nothing_does_from_where_nobody_is_counted() {
    for (exempt, is_served) in [("192.0.2.0/24", false), ("127.0.0.0/8", true)] {
        let mut config = served(1);
        config.limits.sasl_failures_per_address = 1;
        config.limits.unlimited_addresses = [exempt.parse().unwrap()].into();
        let mut stage = Stage {
            world: World::new(config),
        };
        let client = stage
            .world
            .connect_from(Ipv4Addr::LOCALHOST.into(), 0, Opening::Tls);
        stage.world.secure(client);
        stage.says(client, super::stage::HEADER);
        let said = stage.says(
            client,
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>",
        );
        assert!(said.contains("<not-authorized/>"), "{said}");
        let (peer, header) = stage.comes(0, HEADER);
        let said = stage.says(peer, &shake(&header, "s3cret"));
        assert_eq!(said == "<handshake/>", is_served, "{said}");
    }
}

/// A command that lacks the secret never serves; if it did, nobody would come in by having none.
#[test]
fn nobody_comes_in_by_an_empty_secret() {
    let mut config = served(1);
    let name = Domain::parse(NAME).unwrap();
    config.hosts.insert(name, component(""));
    let mut stage = Stage {
        world: World::new(config),
    };
    let (peer, header) = stage.comes(0, HEADER);
    let said = stage.says(peer, &shake(&header, ""));
    assert!(said.contains("<not-authorized "), "{said}");
}

#[test]
fn a_header_names_a_component_of_ours_in_its_own_namespace() {
    for (header, condition) in [
        (HEADER.replace("irc.", "mail."), "host-unknown"),
        (HEADER.replace("irc.", ""), "host-unknown"),
        (HEADER.replace("irc.localhost", ""), "improper-addressing"),
        (
            HEADER.replace(" to='irc.localhost'", ""),
            "improper-addressing",
        ),
        (
            HEADER.replace("component:accept", "client"),
            "invalid-namespace",
        ),
        (
            HEADER.replace("component:accept", "server"),
            "invalid-namespace",
        ),
    ] {
        let mut stage = stage(2);
        let (peer, said) = stage.comes(0, &header);
        assert!(said.starts_with("<?xml"), "{said}");
        assert!(said.contains(&format!("<{condition} ")), "{header}: {said}");
        stage.write(peer, "</stream:stream>");
        stage.world.run();
        assert_eq!(stage.world.ended(peer), Some(Ended::Closed));
        stage.no_bugs();
    }
}

#[test]
fn nothing_is_heard_before_the_handshake() {
    for words in [
        "<message from='a@irc.localhost' to='user0@localhost'><body>x</body></message>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>",
        "<handshake xmlns='urn:x'/>",
    ] {
        let mut stage = stage(1);
        let (peer, _) = stage.comes(0, HEADER);
        let said = stage.says(peer, words);
        assert!(said.contains("<not-authorized "), "{words}: {said}");
        stage.no_bugs();
    }
    let mut stage = stage(1);
    let (peer, _) = stage.comes(0, HEADER);
    let said = stage.says(peer, &"<x>".repeat(20_000));
    assert!(said.contains("</stream:stream>"), "{said}");
}

#[test]
fn clients_do_not_sign_in_to_a_component() {
    let mut stage = stage(1);
    let peer = stage.world.connect(Opening::Clear);
    let said = stage.says(peer, &super::stage::HEADER.replace("localhost", NAME));
    assert!(said.contains("<host-unknown "), "{said}");
}

#[test]
fn stanzas_go_both_ways_from_any_shard() {
    for (at, shard) in [(0, 0), (1, 2), (2, 1)] {
        let mut stage = stage(3);
        let juliet = stage.account(at, 0);
        let gateway = stage.serves(shard);
        let client = stage.available(&juliet, "j");
        stage.write(client, &chat("nurse@irc.localhost", "1"));
        stage.write(
            client,
            "<iq type='get' id='2' to='irc.localhost'><q xmlns='urn:q'/></iq>",
        );
        stage.world.run();
        let heard = stage.heard(gateway);
        assert_eq!(body(&heard).as_deref(), Some("1"), "{heard}");
        assert!(heard.contains(&format!("from='{juliet}/j'")), "{heard}");
        assert!(heard.contains("id='2'"), "{heard}");
        assert!(!heard.contains("jabber:client"), "{heard}");
        stage.says(
            gateway,
            &format!(
                "<iq type='result' id='2' from='irc.localhost' to='{juliet}/j'/>\
                 <message from='nurse@irc.localhost/x' to='{juliet}'><body>3</body></message>"
            ),
        );
        let heard = stage.heard(client);
        assert!(heard.contains("type='result'"), "{heard}");
        assert!(heard.contains("from='nurse@irc.localhost/x'"), "{heard}");
        assert_eq!(body(&heard).as_deref(), Some("3"));
        stage.no_bugs();
    }
}

#[test]
fn components_speak_with_each_other() {
    let mut stage = stage(3);
    let irc = stage.serves(0);
    let header = HEADER.replace("irc.", "sms.");
    let (sms, said) = stage.comes(1, &header);
    stage.says(sms, &shake(&said, "s3cret"));
    stage.says(
        irc,
        "<message from='a@irc.localhost' to='b@sms.localhost'><body>1</body></message>",
    );
    assert_eq!(body(&stage.heard(sms)).as_deref(), Some("1"));
}

#[test]
fn a_component_speaks_for_its_own_domain_alone_and_to_somebody() {
    for (addresses, condition) in [
        (
            "from='juliet@localhost' to='user0@localhost'",
            "invalid-from",
        ),
        (
            "from='a@sms.localhost' to='user0@localhost'",
            "invalid-from",
        ),
        (
            "from='a@x.irc.localhost' to='user0@localhost'",
            "invalid-from",
        ),
        ("to='user0@localhost'", "improper-addressing"),
        ("from='a@irc.localhost'", "improper-addressing"),
        ("from='a@irc.localhost' to='@'", "improper-addressing"),
    ] {
        let mut stage = stage(1);
        let gateway = stage.serves(0);
        let said = stage.says(gateway, &format!("<message {addresses}/>"));
        assert!(
            said.contains(&format!("<{condition} ")),
            "{addresses}: {said}"
        );
        stage.no_bugs();
    }
}

/// A gateway itself, without a localpart, is a contact like others.
#[test]
fn subscriptions_and_presence_reach_contacts_at_a_component() {
    for contact in ["irc.localhost", "nurse@irc.localhost"] {
        let mut stage = stage(3);
        let juliet = stage.account(1, 0);
        let gateway = stage.serves(0);
        let client = stage.available(&juliet, "j");
        stage.says(
            client,
            &format!("<presence type='subscribe' to='{contact}'/>"),
        );
        let heard = stage.heard(gateway);
        assert!(heard.contains("type='subscribe'"), "{heard}");
        stage.says(
            gateway,
            &format!(
                "<presence type='subscribed' from='{contact}' to='{juliet}'/>\
                 <presence type='subscribe' from='{contact}' to='{juliet}'/>"
            ),
        );
        stage.heard(client);
        stage.says(
            client,
            &format!("<presence type='subscribed' to='{contact}'/>"),
        );
        let heard = stage.heard(gateway);
        assert!(heard.contains("type='subscribed'"), "{heard}");
        assert!(heard.contains(&format!("from='{juliet}/j'")), "{heard}");
        stage.says(
            gateway,
            &format!("<presence from='{contact}' to='{juliet}'/>"),
        );
        assert!(stage.heard(client).contains(&format!("from='{contact}'")));
        stage.write(client, "</stream:stream>");
        stage.world.run();
        let heard = stage.heard(gateway);
        assert!(heard.contains("type='unavailable'"), "{heard}");
        let client = stage.session(&juliet, "k", Counts::No);
        stage.says(client, "<presence/>");
        let heard = stage.heard(gateway);
        assert!(heard.contains("type='probe'"), "{heard}");
        assert!(heard.contains(&format!("from='{juliet}/k'")), "{heard}");
        stage.no_bugs();
    }
}

#[test]
fn where_nobody_is_connected_that_is_said_at_once() {
    let mut stage = stage(3);
    let juliet = stage.account(1, 0);
    let client = stage.session(&juliet, "j", Counts::Yes);
    stage.write(client, &chat("nurse@irc.localhost", "1"));
    stage.write(client, "<presence to='room@irc.localhost/j'/>");
    stage.write(client, "<iq type='result' id='3' to='irc.localhost'/>");
    stage.world.run();
    let heard = stage.heard(client);
    assert!(heard.contains(&error_of("1")), "{heard}");
    assert!(heard.contains("<service-unavailable "), "{heard}");
    assert!(!heard.contains("id='3'"), "{heard}");
    assert_eq!(stage.h(client), 3);
    stage.no_bugs();
}

/// The protocol has no acknowledgement: taken is what the socket took.
#[test]
fn a_stanza_is_handled_once_all_of_it_is_in_the_socket() {
    for shard in [0, 2] {
        let mut stage = stage(3);
        let juliet = stage.account(1, 0);
        let gateway = stage.serves(shard);
        let client = stage.session(&juliet, "j", Counts::Yes);
        stage.world.stop_taking(gateway);
        stage.write(client, &chat("nurse@irc.localhost", "1"));
        stage.write(client, &chat("nurse@irc.localhost", "2"));
        stage.world.run();
        assert_eq!(stage.h(client), 0);
        let first = stage.world.owed(gateway) / 2;
        stage.world.take(gateway, first + 1);
        stage.world.run();
        stage.world.take_again(gateway);
        stage.world.run();
        assert_eq!(stage.h(client), 2);
        assert!(stage.heard(gateway).contains("<body>2</body>"));
        stage.no_bugs();
    }
}

#[test]
fn what_is_not_in_the_socket_when_it_goes_is_returned() {
    let mut stage = stage(3);
    let juliet = stage.account(1, 0);
    let gateway = stage.serves(2);
    let client = stage.session(&juliet, "j", Counts::Yes);
    stage.world.stop_taking(gateway);
    let long = "x".repeat(40_000);
    for n in 0..6 {
        stage.write(
            client,
            &format!("<message to='a@irc.localhost' id='m{n}'><body>{long}</body></message>"),
        );
    }
    stage.world.run();
    // The first is there, half of the second.
    stage.world.take(gateway, 60_000);
    stage.world.run();
    stage.world.hang_up(gateway);
    stage.world.run();
    let heard = stage.heard(client);
    assert!(!heard.contains("id='m0'"), "{heard}");
    for n in 1..6 {
        assert!(heard.contains(&format!("id='m{n}'")), "m{n}");
    }
    assert_eq!(stage.h(client), 6);
    let told = [ComponentChange::Connected, ComponentChange::Gone];
    let heard: Vec<_> = stage.told().into_iter().map(|(_, change)| change).collect();
    assert_eq!(heard, told);
    stage.no_bugs();
}

#[test]
fn a_second_connection_takes_the_place_of_the_first_and_what_waits_for_it() {
    let mut stage = stage(3);
    let juliet = stage.account(1, 0);
    let first = stage.serves(2);
    let client = stage.session(&juliet, "j", Counts::Yes);
    stage.world.stop_taking(first);
    let long = "x".repeat(40_000);
    for n in 0..6 {
        stage.write(
            client,
            &format!("<message to='a@irc.localhost' id='m{n}'><body>{long}</body></message>"),
        );
    }
    stage.world.run();
    // One that only says that it is the one takes nothing.
    let (stranger, header) = stage.comes(1, HEADER);
    stage.says(stranger, &shake(&header, "guess"));
    let (second, header) = stage.comes(0, HEADER);
    let heard = stage.says(second, &shake(&header, "s3cret"));
    assert!(heard.starts_with("<handshake/><message "));
    for n in 2..6 {
        assert!(heard.contains(&format!("id='m{n}'")), "m{n}");
    }
    stage.world.take_again(first);
    stage.world.run();
    let before = stage.heard(first);
    assert!(before.contains("id='m1'") && !before.contains("id='m2'"));
    assert!(
        before.contains("<conflict "),
        "{}",
        &before[before.len() - 300..]
    );
    stage.write(client, &chat("a@irc.localhost", "7"));
    stage.world.run();
    assert_eq!(body(&stage.heard(second)).as_deref(), Some("7"));
    assert_eq!(stage.heard(client).matches("type='error'").count(), 0);
    assert_eq!(stage.h(client), 7);
    stage.no_bugs();
}

#[test]
fn a_component_that_does_not_read_costs_its_own_senders_alone() {
    let mut stage = stage(2);
    let juliet = stage.account(1, 0);
    let romeo = stage.account(0, 0);
    let gateway = stage.serves(0);
    let client = stage.session(&juliet, "j", Counts::No);
    let reader = stage.available(&romeo, "r");
    stage.world.stop_taking(gateway);
    let long = "x".repeat(100_000);
    let message = format!("<message to='a@irc.localhost' id='m'><body>{long}</body></message>");
    for _ in 0..COMPONENT_QUEUE_BYTES / 100_000 + 5 {
        stage.write(client, &message);
        stage.world.run();
    }
    let heard = stage.heard(client);
    assert!(heard.contains("<resource-constraint "), "{}", heard.len());
    stage.says(client, &chat(&romeo, "2"));
    assert_eq!(body(&stage.heard(reader)).as_deref(), Some("2"));
    stage.world.take_again(gateway);
    stage.world.run();
    assert!(stage.heard(gateway).matches("id='m'").count() > 30);
    stage.says(client, &chat("a@irc.localhost", "3"));
    assert_eq!(body(&stage.heard(gateway)).as_deref(), Some("3"));
    stage.no_bugs();
}

/// A server that talks to no other says so to a component, too.
#[test]
fn what_it_says_to_nobody_comes_back() {
    let mut stage = stage(3);
    let gateway = stage.serves(0);
    let said = stage.says(
        gateway,
        "<message from='a@irc.localhost' to='b@other.example' id='1'><body>x</body></message>\
         <iq type='get' from='a@irc.localhost' to='nobody@localhost' id='2'><q xmlns='urn:q'/></iq>",
    );
    assert!(said.contains("<remote-server-not-found "), "{said}");
    assert!(said.contains("<service-unavailable "), "{said}");
    assert!(said.contains("to='a@irc.localhost'"), "{said}");
}

#[test]
fn its_host_lists_it() {
    let mut stage = stage(2);
    let juliet = stage.account(1, 0);
    let client = stage.session(&juliet, "j", Counts::No);
    let query = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let said = stage.says(
        client,
        &format!("<iq type='get' id='1' to='localhost'>{query}</iq>"),
    );
    for name in ["irc.localhost", "sms.localhost"] {
        assert!(said.contains(&format!("<item jid='{name}'/>")), "{said}");
    }
    let said = stage.says(
        client,
        &format!("<iq type='get' id='2' to='{juliet}'>{query}</iq>"),
    );
    assert!(!said.contains("<item"), "{said}");
}

#[test]
fn one_that_is_configured_no_more_goes_and_nothing_is_left() {
    let mut stage = stage(3);
    let gateway = stage.serves(1);
    let mut config = served(3);
    config.hosts.remove(NAME);
    stage.world.reload(config);
    stage.world.run();
    let heard = stage.heard(gateway);
    assert!(heard.contains("<host-gone "), "{heard}");
    stage.world.hang_up(gateway);
    stage.world.run();
    for residue in stage.world.residue() {
        assert_eq!((residue[0], residue[5]), (0, 0));
    }
    stage.no_bugs();
}

#[test]
fn one_that_has_gone_in_order_leaves_nothing_and_comes_again() {
    let mut stage = stage(3);
    for shard in 0..3 {
        let gateway = stage.serves(shard);
        assert_eq!(stage.says(gateway, "</stream:stream>"), "</stream:stream>");
        assert_eq!(stage.world.ended(gateway), Some(Ended::Closed));
    }
    let gateway = stage.serves(0);
    stage.world.shut_down();
    stage.world.run();
    assert!(stage.heard(gateway).contains("<system-shutdown "));
    stage.world.hang_up(gateway);
    stage.world.run();
    for residue in stage.world.residue() {
        assert_eq!((residue[0], residue[5]), (0, 0));
    }
    stage.no_bugs();
}
