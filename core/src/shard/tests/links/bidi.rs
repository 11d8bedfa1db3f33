//! Stanzas that go both ways on one stream (XEP-0288), whoever has opened it.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::time::Duration;

use super::{
    AT, Counts, DIALBACK, END, EXTERNAL, HEADER, Links, REQUEST, SUCCESS, certificate, chat, id_of,
};
use crate::federation::{Bidi, RequireEncryption, Rules, SecureAuth};
use crate::jid::Domain;
use crate::limits::S2S_IDLE;
use crate::port::{
    CertificateName, Chain, ConnectError, Direction, LinkState, LinksClosed, Opening, Ways,
};
use crate::testing::{Door, Ended, Peer, StorePace};

const FEATURE: &str = "<bidi xmlns='urn:xmpp:features:bidi'/>";
const BIDI: &str = "<bidi xmlns='urn:xmpp:bidi'/>";
const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const THEIR_HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
     xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='localhost' version='1.0'>";
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
const MESSAGE: &str = "<message from='juliet@b.example/x' to='user0@localhost/r' type='chat'><body>back</body></message>";

/// The features of a server that has it.
fn offering() -> String {
    EXTERNAL.replace("<dialback", &format!("{FEATURE}<dialback"))
}

impl Links {
    /// A server says this on a stream of its own, and hears that.
    fn theirs(&mut self, peer: Peer, words: &str) -> String {
        self.stage.write(peer, words);
        self.stage.world.run();
        self.stage.heard(peer)
    }

    /// b.example opens a stream to this shard, asks for stanzas, and is about to prove itself.
    fn begun_by_b(&mut self, shard: usize) -> Peer {
        let peer = self.stage.world.connect_server_to(shard, Opening::Tls);
        self.stage.world.secure(peer);
        let said = self.theirs(peer, THEIR_HEADER);
        assert!(said.contains(FEATURE), "{said}");
        assert_eq!(self.theirs(peer, BIDI), "");
        peer
    }

    /// The same, and has: what it hears behind the features.
    fn opened_by_b(&mut self, shard: usize) -> (Peer, String) {
        let peer = self.begun_by_b(shard);
        assert!(self.theirs(peer, AUTH).starts_with("<success "));
        let said = self.theirs(peer, THEIR_HEADER);
        let (_, said) = said.split_once("</stream:features>").unwrap();
        (peer, said.to_owned())
    }

    /// Up to proven on a stream of ours whose peer offers it; what it hears then.
    fn link_both_ways(&mut self, at: usize) -> String {
        self.secure(at);
        let auth = self.say(at, &offering());
        assert!(
            auth.starts_with("<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288<"),
            "{auth}"
        );
        assert!(auth.contains("</bidi><auth "), "{auth}");
        self.say(at, SUCCESS);
        self.say(at, HEADER);
        let said = self.say(
            at,
            "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>",
        );
        let said = said.strip_prefix(ENABLE).unwrap().to_owned();
        assert_eq!(self.say(at, "<enabled xmlns='urn:xmpp:sm:3'/>"), "");
        said
    }
}

#[test]
fn what_is_for_who_has_opened_a_stream_goes_back_on_it() {
    for shards in [1, 3] {
        for shard in 0..usize::from(shards) {
            let mut links =
                Links::with(SecureAuth::Yes, RequireEncryption::Yes, shards, Counts::Yes);
            let (peer, said) = links.opened_by_b(shard);
            assert_eq!(said, "");
            let seat = links.stage.world.seat(peer).unwrap().0;
            assert_eq!(seat, links.stage.world.owner("b.example"));
            assert_eq!(
                links.theirs(peer, ENABLE),
                "<enabled xmlns='urn:xmpp:sm:3'/>"
            );
            links.send("1");
            let sent = links.stage.heard(peer);
            assert!(sent.contains("<body>1</body>"), "{sent}");
            assert!(sent.ends_with(REQUEST), "{sent}");
            assert_eq!(links.connections(), 0);
            // It says what it has, and what it sends itself is counted apart.
            let asked = "<r xmlns='urn:xmpp:sm:3'/>";
            assert!(links.client(asked).contains("h='0'"));
            assert_eq!(links.theirs(peer, "<a xmlns='urn:xmpp:sm:3' h='1'/>"), "");
            assert!(links.stage.heard(links.client).contains("h='1'"));
            let answer = links.theirs(peer, &format!("{MESSAGE}{asked}"));
            assert!(answer.contains("h='1'"), "{answer}");
            assert!(
                links
                    .stage
                    .heard(links.client)
                    .contains("<body>back</body>")
            );
            links.stage.world.hang_up(peer);
            links.end();
        }
    }
}

#[test]
fn a_stream_that_has_proven_another_domain_than_it_is_from_is_used_by_the_shard_of_neither() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 3);
    let owner = |links: &Links, name: &str| links.stage.world.owner(name);
    let home = owner(&links, "b.example");
    let names = (0..).map(|n| format!("b{n}.example"));
    let other = names.into_iter().find(|name| owner(&links, name) != home);
    let other = other.unwrap();
    let mut both = certificate(super::VALID);
    both.names
        .each
        .push(CertificateName::Dns(other.as_str().into()));
    links.stage.world.server = Some(both);
    let peer = links.begun_by_b(0);
    let claim = format!("<db:result from='{other}' to='localhost'>key</db:result>");
    assert!(links.theirs(peer, &claim).contains("type='valid'"));
    let claim = "<db:result from='b.example' to='localhost'>key</db:result>";
    assert!(links.theirs(peer, claim).contains("type='valid'"));
    links.send("1");
    links.client(&chat(&format!("juliet@{other}"), "2"));
    assert_eq!(links.stage.heard(peer), "");
    assert_eq!(links.connections(), 1);
    links.stage.world.hang_up(peer);
    links.end();
}

#[test]
fn only_what_is_between_the_two_domains_that_were_proven_first_goes_that_way() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    let mut both = certificate(super::VALID);
    both.names
        .each
        .push(CertificateName::Dns("c.example".into()));
    links.stage.world.server = Some(both);
    let (peer, _) = links.opened_by_b(0);
    let claim = "<db:result from='c.example' to='localhost'>key</db:result>";
    assert!(links.theirs(peer, claim).contains("type='valid'"));
    let bounce = links.client(&chat("juliet@c.example", "1"));
    assert!(bounce.contains("remote-server-not-found"), "{bounce}");
    assert_eq!(links.stage.heard(peer), "");
    links.send("2");
    assert!(links.stage.heard(peer).contains("<body>2</body>"));
    links.stage.world.hang_up(peer);
    links.end();
}

#[test]
fn what_waits_for_a_way_takes_the_stream_that_comes_in_its_order() {
    // While one is looked for, and while it is not.
    for door in [Door::Waits, Door::Refuses(ConnectError::Refused)] {
        let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
        links.stage.world.set_door(AT.parse().unwrap(), door);
        links.send("1");
        links.send("2");
        let (peer, said) = links.opened_by_b(0);
        let (one, two) = (said.find("<body>1</body>"), said.find("<body>2</body>"));
        assert!(one.is_some() && one < two, "{said}");
        // It is not asked to count, and answers for what it has by a ping.
        let ping = format!(
            "<iq type='result' from='b.example' to='localhost' id='{}'/>",
            id_of(said.split_once("<iq ").unwrap().1)
        );
        links.theirs(peer, &ping);
        links.send("3");
        assert!(links.stage.heard(peer).contains("<body>3</body>"));
        assert_eq!(links.connections(), 1);
        links.stage.world.set_door(AT.parse().unwrap(), Door::Opens);
        links.stage.world.hang_up(peer);
        links.stage.world.run();
        // What it had not said that it has goes again.
        let sent = links.link(1);
        assert!(
            sent.contains("<body>3</body>") && !sent.contains("<body>2"),
            "{sent}"
        );
        links.end();
    }
}

#[test]
fn what_was_written_before_it_counts_is_there_once_it_says_anything() {
    let mut links = Links::with(SecureAuth::Yes, RequireEncryption::Yes, 1, Counts::Yes);
    // What is on disk would be handled before.
    links.stage.world.store_pace = StorePace::Busy;
    links.stage.world.set_door(AT.parse().unwrap(), Door::Waits);
    links.send("1");
    links.send("2");
    let (peer, said) = links.opened_by_b(0);
    assert!(said.contains("<ping "), "{said}");
    let enabled = links.theirs(peer, ENABLE);
    assert!(
        enabled.starts_with("<enabled xmlns='urn:xmpp:sm:3'/>"),
        "{enabled}"
    );
    assert!(enabled.ends_with(REQUEST), "{enabled}");
    links.send("3");
    links.stage.heard(peer);
    assert!(links.client(REQUEST).contains("h='0'"));
    // Of the two before nothing is counted; they were there before it said that it counts.
    links.theirs(peer, "<a xmlns='urn:xmpp:sm:3' h='0'/>");
    assert!(links.stage.heard(links.client).contains("h='2'"));
    links.theirs(peer, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    assert!(links.stage.heard(links.client).contains("h='3'"));
    let said = links.theirs(peer, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    assert!(said.contains("h='2' send-count='1'"), "{said}");
    links.end();
}

#[test]
fn where_both_connect_at_once_each_keeps_the_way_that_came_first() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    links.send("1");
    assert!(links.link_both_ways(0).contains("<body>1</body>"));
    let (peer, said) = links.opened_by_b(0);
    assert_eq!(said, "");
    links.send("2");
    assert!(links.heard(0).contains("<body>2</body>"));
    links.ack(0, 1);
    // They may use either of theirs.
    links.say(0, MESSAGE);
    assert!(
        links
            .stage
            .heard(links.client)
            .contains("<body>back</body>")
    );
    links.theirs(peer, MESSAGE);
    assert!(
        links
            .stage
            .heard(links.client)
            .contains("<body>back</body>")
    );
    // Once ours is lost, theirs is there.
    let ours = links.peer(0);
    links.stage.world.hang_up(ours);
    links.stage.world.run();
    let again = links.stage.heard(peer);
    assert!(
        again.contains("<body>2</body>") && !again.contains("<body>1"),
        "{again}"
    );
    links.send("3");
    assert!(links.stage.heard(peer).contains("<body>3</body>"));
    assert_eq!(links.connections(), 1);
    links.stage.world.hang_up(peer);
    links.end();
}

#[test]
fn a_lost_stream_of_theirs_is_followed_by_one_of_ours_and_nothing_is_overtaken() {
    let mut links = Links::with(SecureAuth::Yes, RequireEncryption::Yes, 1, Counts::Yes);
    let (peer, _) = links.opened_by_b(0);
    links.theirs(peer, ENABLE);
    for n in ["1", "2", "3"] {
        links.send(n);
    }
    links.theirs(peer, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    links.stage.world.hang_up(peer);
    links.stage.world.run();
    links.send("4");
    let sent = links.link(0);
    let at = |n: u32| sent.find(&format!("<body>{n}</body>"));
    assert_eq!(at(1), None, "{sent}");
    assert!(at(2).is_some() && at(2) < at(3) && at(3) < at(4), "{sent}");
    links.ack(0, 3);
    assert!(links.client(REQUEST).contains("h='4'"));
    links.end();
}

#[test]
fn what_it_says_last_is_heard_before_its_stream_is_lost() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    let (peer, _) = links.opened_by_b(0);
    links.theirs(peer, ENABLE);
    links.send("1");
    let said = links.theirs(peer, &format!("<a xmlns='urn:xmpp:sm:3' h='1'/>{END}"));
    assert!(said.ends_with(END), "{said}");
    assert_eq!(links.stage.world.ended(peer), Some(Ended::Closed));
    assert_eq!(links.connections(), 0);
    links.end();
}

#[test]
fn what_comes_back_on_a_stream_of_ours_is_routed_and_counted() {
    for shards in [1, 3] {
        let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, shards);
        links.send("1");
        assert!(links.link_both_ways(0).contains("<body>1</body>"));
        links.ack(0, 1);
        let request = "<iq type='get' id='v' from='b.example' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
        let said = links.say(0, &format!("{MESSAGE}{request}{REQUEST}"));
        assert!(
            links
                .stage
                .heard(links.client)
                .contains("<body>back</body>")
        );
        assert!(said.contains("<a xmlns='urn:xmpp:sm:3' h='2'/>"), "{said}");
        // The answer goes by the same stream, too.
        assert!(said.contains("type='result'"), "{said}");
        assert_eq!(links.connections(), 1);
        // A message that would have been too long before the proof.
        let long = MESSAGE.replace("back", &"x".repeat(100_000));
        links.say(0, &long);
        assert!(links.stage.heard(links.client).contains("xxx"));
        links.end();
    }
}

/// Seed 61 of the simulator: it was ended for what it had said "before authentication", and again whenever it was opened.
#[test]
fn much_may_come_back_in_one_read_with_what_proves_who_we_are() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.send("1");
    links.secure(0);
    let asked = links.say(
        0,
        &DIALBACK.replace("<dialback", &format!("{FEATURE}<dialback")),
    );
    assert!(asked.contains("<db:result "), "{asked}");
    let long = MESSAGE.replace("back", &"x".repeat(100_000));
    let valid = "<db:result from='b.example' to='localhost' type='valid'/>";
    links.say(0, &format!("{valid}{long}"));
    assert!(links.stage.heard(links.client).contains("xxx"));
    links.end();
}

#[test]
fn who_was_not_asked_for_stanzas_or_sends_those_of_others_is_told_so() {
    let refused = [
        (MESSAGE.replace("juliet@b", "juliet@c"), "<invalid-from "),
        (
            MESSAGE.replace("user0@localhost", "user0@elsewhere"),
            "<host-unknown ",
        ),
        (MESSAGE.replace("from=", "form="), "<improper-addressing "),
        (
            "<db:verify from='b.example' to='localhost' id='y'>key</db:verify>".to_owned(),
            "<not-authorized ",
        ),
        (
            "<db:result from='c.example' to='localhost'>key</db:result>".to_owned(),
            "<not-authorized ",
        ),
    ];
    for (words, condition) in refused {
        let mut links = Links::easy();
        links.send("1");
        links.link_both_ways(0);
        let said = links.say(0, &words);
        assert!(
            said.contains(condition) && said.ends_with(END),
            "{words}: {said}"
        );
        links.end();
    }
    let mut links = Links::easy();
    let mut config = links.stage.world.config().clone();
    config.federation.bidi = Bidi::No;
    links.stage.world.reload(config);
    links.send("1");
    links.secure(0);
    let said = links.say(0, &offering());
    assert!(said.starts_with("<auth "), "{said}");
    links.say(0, SUCCESS);
    links.say(0, HEADER);
    links.say(0, "<stream:features/>");
    let said = links.say(0, MESSAGE);
    assert!(said.contains("<not-authorized "), "{said}");
    links.end();
}

#[test]
fn nothing_may_come_back_before_it_is_proven_who_we_are() {
    let mut links = Links::easy();
    links.send("1");
    links.secure(0);
    links.say(0, &offering());
    let said = links.say(0, MESSAGE);
    assert!(said.contains("<not-authorized "), "{said}");
    links.end();
}

#[test]
fn a_stream_that_only_asks_about_keys_asks_for_nothing_to_come_back() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    let peer = super::verify::claim(&mut links, 0, "key");
    links.stage.heard(peer);
    links.secure(0);
    let said = links.say(
        0,
        &DIALBACK.replace("<dialback", &format!("{FEATURE}<dialback")),
    );
    assert!(said.starts_with("<db:verify "), "{said}");
    // There is something to be said now: before the key is shown it is asked for.
    links.send("1");
    let said = links.heard(0);
    assert!(
        said.starts_with("<bidi ") && said.contains("</bidi><db:result "),
        "{said}"
    );
    links.stage.world.hang_up(peer);
    links.end();
}

#[test]
fn a_key_is_never_asked_about_on_a_stream_of_theirs() {
    let mut links = Links::easy();
    let (first, _) = links.opened_by_b(0);
    links.theirs(first, ENABLE);
    links.send("1");
    assert!(links.stage.heard(first).contains("<body>1</body>"));
    // Another of its servers has no certificate.
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    let second = super::verify::claim(&mut links, 0, "key");
    let id = id_of(&links.stage.heard(second)).to_owned();
    links.secure(0);
    let asked = links.say(0, DIALBACK);
    assert!(asked.starts_with("<db:verify "), "{asked}");
    assert!(!asked.contains("<db:result"), "{asked}");
    let answer = format!("<db:verify from='b.example' to='localhost' id='{id}' type='valid'/>");
    assert_eq!(links.say(0, &answer), "");
    assert!(links.stage.heard(second).contains("type='valid'"));
    assert_eq!(links.stage.heard(first), "");
    // Ours go the way that they went.
    links.send("2");
    assert!(links.stage.heard(first).contains("<body>2</body>"));
    // That one is lost: the one beside it is there.
    links.stage.world.hang_up(first);
    links.stage.world.run();
    let proof = links.heard(0);
    assert!(proof.starts_with("<db:result "), "{proof}");
    assert_eq!(links.connections(), 1);
    links.stage.world.hang_up(second);
    links.end();
}

#[test]
fn who_proves_itself_by_a_key_is_asked_about_on_a_stream_of_ours() {
    for shards in [1, 3] {
        let mut links = Links::new(SecureAuth::No, RequireEncryption::Yes, shards);
        links.stage.world.server = Some(certificate(Chain::SelfSigned));
        let peer = links.stage.world.connect_server_to(0, Opening::Tls);
        links.stage.world.secure(peer);
        let header = links.theirs(peer, THEIR_HEADER);
        let id = id_of(&header).to_owned();
        let claim = "<db:result from='b.example' to='localhost'>key</db:result>";
        assert_eq!(links.theirs(peer, &format!("{BIDI}{claim}")), "");
        links.secure(0);
        let asked = links.say(0, DIALBACK);
        assert!(asked.starts_with("<db:verify "), "{asked}");
        let answer = format!("<db:verify from='b.example' to='localhost' id='{id}' type='valid'/>");
        links.say(0, &answer);
        assert!(links.stage.heard(peer).contains("type='valid'"));
        links.send("1");
        let sent = links.stage.heard(peer);
        assert!(sent.contains("<body>1</body>"), "{sent}");
        // The one of ours has nothing to do any more, and is closed in its time.
        links.stage.world.advance(Duration::from_secs(95));
        assert_eq!(links.heard(0), END);
        links.stage.world.hang_up(peer);
        links.end();
    }
}

#[test]
fn where_nobody_can_be_asked_the_way_of_theirs_stays() {
    let mut links = Links::easy();
    let (first, _) = links.opened_by_b(0);
    links.theirs(first, ENABLE);
    links.send("1");
    links.theirs(first, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    let door = Door::Refuses(ConnectError::Refused);
    links.stage.world.set_door(AT.parse().unwrap(), door);
    let second = super::verify::claim(&mut links, 0, "key");
    let heard = links.stage.heard(second);
    assert!(heard.contains("type='error'"), "{heard}");
    links.send("2");
    assert!(links.stage.heard(first).contains("<body>2</body>"));
    links.stage.world.hang_up(first);
    links.stage.world.hang_up(second);
    links.end();
}

#[test]
fn a_stream_is_idle_when_neither_side_says_anything() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    let (peer, _) = links.opened_by_b(0);
    links.theirs(peer, ENABLE);
    links
        .stage
        .world
        .advance(S2S_IDLE - Duration::from_secs(10));
    links.send("1");
    assert!(links.stage.heard(peer).contains("<body>1</body>"));
    links.theirs(peer, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    links
        .stage
        .world
        .advance(S2S_IDLE - Duration::from_secs(10));
    assert_eq!(links.stage.heard(peer), "");
    links.theirs(peer, MESSAGE);
    links
        .stage
        .world
        .advance(S2S_IDLE - Duration::from_secs(10));
    assert_eq!(links.stage.heard(peer), "");
    links.stage.world.advance(Duration::from_secs(11));
    assert_eq!(links.stage.heard(peer), END);
    // What comes then needs another.
    links.send("2");
    assert_eq!(links.connections(), 1);
    links.theirs(peer, END);
    links.end();
}

#[test]
fn a_stream_of_both_is_listed_once_and_closed_in_order() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    let (peer, _) = links.opened_by_b(0);
    let shown = links.list(None);
    assert_eq!((shown.len(), shown[0].ways), (1, Ways::Both), "{shown:?}");
    links.theirs(peer, ENABLE);
    links.send("1");
    let shown = links.list(Some("b.example"));
    let [one] = &shown[..] else {
        panic!("{shown:?}");
    };
    assert_eq!((one.direction, one.ways), (Direction::In, Ways::Both));
    assert_eq!((one.state, one.queue.unconfirmed), (LinkState::Up, 1));
    assert!(one.peer.is_some() && one.tls.is_some() && one.verdict.is_some());
    assert_eq!(
        links.close(),
        LinksClosed {
            streams: 1,
            ..LinksClosed::default()
        }
    );
    assert!(links.stage.heard(peer).ends_with(END));
    links.theirs(peer, END);
    assert!(links.link_both_ways(0).contains("<body>1</body>"));
    let shown = links.list(None);
    let [one] = &shown[..] else {
        panic!("{shown:?}");
    };
    assert_eq!((one.direction, one.ways), (Direction::Out, Ways::Both));
    links.end();
}

#[test]
fn rules_that_change_hold_for_ours_on_a_stream_of_theirs() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    let (peer, _) = links.opened_by_b(0);
    links.theirs(peer, ENABLE);
    links.send("1");
    links.stage.heard(peer);
    let mut config = links.stage.world.config().clone();
    config.federation.rules = Rules::isolated();
    links.stage.world.reload(config);
    let heard = links.stage.heard(peer);
    assert!(
        heard.contains("<policy-violation ") && heard.ends_with(END),
        "{heard}"
    );
    let bounce = links.send("2");
    assert!(bounce.contains("remote-server-not-found"), "{bounce}");
    links.end();
}

#[test]
fn a_domain_that_comes_to_be_ours_takes_its_links_with_it() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    let (peer, _) = links.opened_by_b(0);
    links.theirs(peer, ENABLE);
    links.send("1");
    links.stage.heard(peer);
    let mut config = links.stage.world.config().clone();
    let host = config.hosts.values().next().unwrap().clone();
    config
        .hosts
        .insert(Domain::parse("b.example").unwrap(), host);
    links.stage.world.reload(config);
    let heard = links.stage.heard(peer);
    assert!(heard.contains("<stream:error>"), "{heard}");
    // There is nobody of that name.
    let bounce = links.stage.heard(links.client);
    assert!(bounce.contains("<service-unavailable "), "{bounce}");
    links.end();
}

/// RFC 6120 §4.7.4.
#[test]
fn what_comes_back_is_in_the_language_of_its_stream() {
    let mut links = Links::easy();
    links.send("1");
    links.secure(0);
    links.say(0, &offering());
    links.say(0, SUCCESS);
    links.say(0, &HEADER.replace(" id=", " xml:lang='de' id="));
    links.say(0, "<stream:features/>");
    links.say(0, MESSAGE);
    let heard = links.stage.heard(links.client);
    assert!(heard.contains("xml:lang='de'"), "{heard}");
    links.end();
}

#[test]
fn who_is_not_read_is_not_taken_for_dead() {
    use crate::link::{Acked, Confirm, Silence};
    use crate::sm;
    use crate::time::Instant;
    let at = |seconds| Instant::default() + Duration::from_secs(seconds);
    let mut confirm = Confirm::new(sm::Counts::Yes, 0);
    confirm.question(at(0), 1);
    assert_eq!(confirm.silence(at(61), 1), Silence::Dead);
    confirm.was_not_read(at(61));
    assert_eq!(confirm.silence(at(61), 1), Silence::Fine);
    assert!(confirm.next(1) > Some(at(61)));
    assert_eq!(confirm.acked(at(62), 1, 1), Acked::More(1));
    // It is asked again, of what comes then.
    confirm.question(at(63), 1);
    assert_eq!(confirm.silence(at(124), 1), Silence::Dead);
}

#[test]
fn nothing_is_left_of_streams_that_went_both_ways() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 3);
    let before = links.stage.world.residue();
    let peers = vec![
        links.opened_by_b(0).0,
        links.opened_by_b(1).0,
        links.begun_by_b(2),
    ];
    links.theirs(peers[0], ENABLE);
    links.send("1");
    links.theirs(peers[0], "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    for peer in peers {
        links.stage.world.hang_up(peer);
    }
    links.stage.world.run();
    assert_eq!(links.stage.world.residue(), before);
    links.end();
}
