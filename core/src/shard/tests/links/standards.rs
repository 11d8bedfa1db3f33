//! What the standards ask of a server that talks to others, where no other test shows it.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::confirm::from_b;
use super::{
    AT, Counts, DIALBACK, END, EXTERNAL, HEADER, Links, SUCCESS, certificate, chat, id_of,
};
use crate::federation::{RequireEncryption, SecureAuth};
use crate::port::{Chain, ConnectError, Lookup, Opening, Resolved, Service, Source};
use crate::testing::Door;
use crate::time::UnixTime;

const ROSTER: &str = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>";
const SUBSCRIBE: &str = "<presence type='subscribe' to='juliet@b.example/x'/>";
const APPROVED: &str = "<presence type='subscribed' from='juliet@b.example' to='user0@localhost'/>";

/// A contact elsewhere whom the user sees, and the link to its server.
fn befriended() -> Links {
    let mut links = Links::easy();
    links.client(ROSTER);
    links.client(SUBSCRIBE);
    links.link(0);
    links.ack(0, 1);
    from_b(&mut links, APPROVED);
    links.stage.heard(links.client);
    links.heard(0);
    links
}

/// RFC 6120 §3.3.
#[test]
fn who_is_not_there_is_looked_for_ever_more_seldom_and_at_random_times() {
    let mut links = Links::easy();
    let mut names = Vec::new();
    for n in 0..8 {
        let domain = format!("d{n}.example");
        let service = Service {
            priority: 0,
            weight: 0,
            port: 5269,
            target: domain.as_str().into(),
        };
        let address = format!("192.0.2.{}", 100 + n);
        let world = &mut links.stage.world;
        for (service, found) in [
            ("_xmpp-server", Resolved::Services(vec![service])),
            ("_xmpps-server", Resolved::NoData),
        ] {
            let name = format!("{service}._tcp.{domain}");
            world.publish(Lookup::Services(name.into()), found);
        }
        let found = Resolved::Addresses(vec![address.parse().unwrap()], Source::Dns);
        world.publish(Lookup::Addresses(domain.as_str().into()), found);
        links.client(&chat(&format!("juliet@{domain}"), "1"));
        names.push(address);
    }
    let mut tries: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
    for second in 0..580 {
        for (n, name) in names.iter().enumerate() {
            let all = links.stage.world.outgoing().iter();
            let count = all.filter(|(to, _)| to.ip() == name.parse::<core::net::IpAddr>().unwrap());
            if count.count() > tries[n].len() {
                tries[n].push(second);
            }
        }
        links.stage.world.advance(Duration::from_secs(1));
    }
    let waits = |at: usize| {
        let of = |tries: &Vec<usize>| Some(tries.get(at + 1)? - tries[at]);
        tries.iter().filter_map(of).collect::<Vec<_>>()
    };
    let mut first = waits(0);
    assert!(
        first.len() == 8 && first.iter().all(|wait| *wait <= 62),
        "{tries:?}"
    );
    let third = waits(2);
    assert!(third.iter().max() > first.iter().max(), "{tries:?}");
    first.sort_unstable();
    first.dedup();
    assert!(first.len() > 4, "{tries:?}");
    links.end();
}

/// RFC 6120 §4.3.2, §4.3.5.
#[test]
fn nothing_is_sent_before_what_is_mandatory_is_negotiated() {
    let mut links = Links::easy();
    links.send("1");
    let mut said = links.secure(0);
    said += &links.say(0, EXTERNAL);
    said += &links.say(0, SUCCESS);
    said += &links.say(0, HEADER);
    assert!(!said.contains("<message"), "{said}");
    let said = links.say(0, "<stream:features/>");
    assert!(said.contains("<body>1</body>"), "{said}");
    links.end();
}

/// RFC 6120 §6.4.6.
#[test]
fn behind_success_there_is_a_new_header_and_no_closing_tag() {
    let mut links = Links::easy();
    links.send("1");
    links.secure(0);
    links.say(0, EXTERNAL);
    let said = links.say(0, SUCCESS);
    assert!(
        said.starts_with("<?xml version='1.0'?><stream:stream ") && !said.contains(END),
        "{said}"
    );
    links.end();
}

/// RFC 6120 §6.3.3, §6.4.5, §6.5.
#[test]
fn any_failure_of_external_leads_to_dialback_or_to_the_end() {
    let odd = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><odd/></failure>";
    let mut links = Links::easy();
    links.send("1");
    links.secure(0);
    assert!(links.say(0, EXTERNAL).starts_with("<auth "));
    let said = links.say(0, odd);
    assert!(said.starts_with("<db:result "), "{said}");
    links.end();

    let mut links = Links::easy();
    links.send("1");
    links.secure(0);
    let alone = EXTERNAL.replace("<dialback xmlns='urn:xmpp:features:dialback'/>", "");
    links.say(0, &alone);
    let said = links.say(0, odd);
    assert!(said.ends_with(END), "{said}");
    links.end();

    // Nor is there any other mechanism that we would take.
    let mut links = Links::easy();
    links.send("1");
    links.secure(0);
    let said = links.say(0, &alone.replace("EXTERNAL", "PLAIN"));
    assert!(!said.contains("<auth") && said.ends_with(END), "{said}");
    links.end();
}

/// RFC 6120 §4.9.3.19.
#[test]
fn a_redirection_leads_nowhere() {
    let mut links = Links::easy();
    links.send("1");
    links.heard(0);
    let error = "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\
         192.0.2.66:5222</see-other-host></stream:error></stream:stream>";
    links.say(0, &format!("{HEADER}{error}"));
    links.stage.world.advance(Duration::from_secs(120));
    let all = links.stage.world.outgoing();
    assert!(all.len() > 1 && all.iter().all(|(to, _)| *to == AT.parse().unwrap()));
    links.end();
}

/// RFC 6120 §4.8.3, §8.1.1.2, §8.1.2.2, §10.3.
#[test]
fn stanzas_for_others_say_from_and_to_and_nothing_of_clients() {
    let mut links = befriended();
    from_b(
        &mut links,
        "<presence type='subscribe' from='juliet@b.example' to='user0@localhost'/>",
    );
    for words in [
        "<presence type='subscribed' to='juliet@b.example'/>",
        "<message to='juliet@b.example' xmlns='jabber:client'><body>x</body></message>",
        "<presence><status>here</status></presence>",
        "<iq type='get' id='q' to='b.example'><query xmlns='jabber:iq:version'/></iq>",
        "<presence to='nurse@b.example/y'/>",
        "<presence type='unavailable'/>",
    ] {
        links.client(words);
        let said = links.heard(0);
        let names = ["<message ", "<presence ", "<iq "];
        let stanzas = names
            .iter()
            .flat_map(|name| said.match_indices(name))
            .map(|(at, _)| said[at..].split('>').next().unwrap());
        let stanzas: Vec<&str> = stanzas.collect();
        assert!(!stanzas.is_empty(), "{words}: {said}");
        for tag in stanzas {
            assert!(tag.contains(" from='user0@localhost"), "{tag}");
            assert!(tag.contains(" to='") && tag.contains("b.example"), "{tag}");
        }
        assert!(!said.contains("jabber:client"), "{said}");
    }
    links.end();
}

/// RFC 6120 §10.1, §10.4.1.
#[test]
fn all_for_a_domain_goes_by_one_stream_in_its_order() {
    for shards in [1, 3] {
        let mut links = Links::with(SecureAuth::Yes, RequireEncryption::Yes, shards, Counts::No);
        let words = |from: usize| {
            let of = |n: usize| {
                let to = ["juliet@b.example", "juliet@b.example/x", "nurse@b.example"][n % 3];
                chat(to, &format!("n{n}"))
            };
            (from..from + 30).map(of).collect::<String>()
        };
        links.client(&words(0));
        let mut said = links.link(0);
        links.client(&words(30));
        said += &links.heard(0);
        let bodies = said.split("<body>").skip(1);
        let bodies = bodies.map(|body| body.split('<').next().unwrap().to_owned());
        let expected = (0..60).map(|n| format!("n{n}"));
        assert!(bodies.eq(expected), "{said}");
        assert_eq!(links.connections(), 1);
        links.end();
    }
}

/// RFC 6120 §10.1.
#[test]
fn what_another_server_routes_is_delivered_in_its_order() {
    for shards in [1, 3] {
        let mut links = Links::with(SecureAuth::Yes, RequireEncryption::Yes, shards, Counts::No);
        links.client("<presence/>");
        let mut names = (0..).map(|n| format!("user{n}@localhost"));
        let account = names.find(|name| links.stage.world.owner(name) == 0);
        let account = account.unwrap();
        let of = |n: usize| {
            let to = [account.clone(), format!("{account}/r")];
            format!(
                "<message type='chat' from='juliet@b.example/x' to='{}'><body>n{n}</body></message>",
                to[n % 2]
            )
        };
        from_b(&mut links, &(0..40).map(of).collect::<String>());
        let said = links.stage.heard(links.client);
        let bodies = said.split("<body>").skip(1);
        let bodies = bodies.map(|body| body.split('<').next().unwrap().to_owned());
        assert!(bodies.eq((0..40).map(|n| format!("n{n}"))), "{said}");
        links.end();
    }
}

/// RFC 6120 §8.3.3.17, §10.4.3.
#[test]
fn who_is_found_and_not_reached_is_waited_for_and_then_a_timeout() {
    let mut links = Links::easy();
    let door = Door::Refuses(ConnectError::Refused);
    links.stage.world.set_door(AT.parse().unwrap(), door);
    links.send("1");
    links.stage.world.advance(Duration::from_secs(620));
    let bounce = links.stage.heard(links.client);
    assert!(
        bounce.contains("<error type='wait'") && bounce.contains("<remote-server-timeout "),
        "{bounce}"
    );
    links.end();
}

/// RFC 6120 §10.4.3.
#[test]
fn what_another_server_sends_to_nobody_is_answered_with_an_error() {
    let mut links = Links::easy();
    from_b(
        &mut links,
        "<iq type='get' id='q' from='juliet@b.example/x' to='nobody@localhost/r'><q xmlns='x'/></iq>",
    );
    let said = links.link(0);
    assert!(
        said.contains("to='juliet@b.example/x'") && said.contains("<service-unavailable "),
        "{said}"
    );
    links.end();
}

/// RFC 6121 §3.1.2.
#[test]
fn a_request_that_was_not_taken_is_made_again_when_the_user_comes_back() {
    let mut links = Links::easy();
    let door = Door::Refuses(ConnectError::Refused);
    links.stage.world.set_door(AT.parse().unwrap(), door);
    links.client(ROSTER);
    links.client(SUBSCRIBE);
    links.stage.world.advance(Duration::from_secs(1300));
    links.client("<presence type='unavailable'/>");
    links.stage.world.set_door(AT.parse().unwrap(), Door::Opens);
    let before = links.connections();
    links.client("<presence/>");
    for _ in 0..900 {
        if links.connections() == before {
            links.stage.world.advance(Duration::from_secs(1));
        }
    }
    let said = links.link(before);
    let request = "<presence to='juliet@b.example' from='user0@localhost' type='subscribe'";
    assert!(said.contains(request), "{said}");
    links.end();
}

/// RFC 6121 §3.3.2.
#[test]
fn who_sees_a_contact_elsewhere_no_longer_tells_its_server() {
    let mut links = befriended();
    links.client("<presence type='unsubscribe' to='juliet@b.example/x'/>");
    let said = links.heard(0);
    let unsubscribe = "<presence to='juliet@b.example' from='user0@localhost' type='unsubscribe'";
    assert!(said.contains(unsubscribe), "{said}");
    links.end();
}

/// RFC 6121 §4.2.2, §4.3.
#[test]
fn contacts_elsewhere_are_probed_from_and_to_bare_addresses() {
    let mut links = befriended();
    links.client("<presence type='unavailable'/><presence/>");
    let said = links.heard(0);
    let (_, tag) = said
        .split_once("<presence to='juliet@b.example' from='user0@localhost'")
        .unwrap();
    assert!(tag.starts_with(" type='probe'"), "{said}");
    assert_eq!(said.matches("type='probe'").count(), 1, "{said}");
    // The answer, which is to the bare address, comes in.
    from_b(
        &mut links,
        "<presence from='juliet@b.example/x' to='user0@localhost'><show>away</show></presence>",
    );
    let heard = links.stage.heard(links.client);
    assert!(heard.contains("<show>away</show>"), "{heard}");
    // One that a client sends goes as it is.
    links.client("<presence type='probe' to='nurse@b.example'/>");
    let said = links.heard(0);
    assert!(
        said.contains("to='nurse@b.example'") && said.contains("type='probe'"),
        "{said}"
    );
    links.end();
}

/// XEP-0199 §4.3.
#[test]
fn another_server_that_pings_has_a_result() {
    let mut links = Links::easy();
    from_b(
        &mut links,
        "<iq type='get' id='p' from='b.example' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    let said = links.link(0);
    assert!(
        said.contains("type='result'") && said.contains("to='b.example'"),
        "{said}"
    );
    assert_eq!(id_of(&said), "p");
    links.end();
}

/// RFC 6120 §13.14.
#[test]
fn tls_comes_before_dialback_whatever_the_certificate() {
    let mut links = Links::new(SecureAuth::No, RequireEncryption::No, 1);
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.send("1");
    links.secure(0);
    assert!(links.say(0, DIALBACK).starts_with("<db:result "));
    links.end();
}

/// RFC 6120 §13.7.2.3.
#[test]
fn a_stream_of_another_server_ends_with_its_certificate() {
    let mut links = Links::easy();
    let until = UnixTime(links.stage.world.now().wall.0 + 60_000);
    links.stage.world.server = Some(certificate(Chain::Valid { until }));
    let peer = links.stage.world.connect_server_to(0, Opening::Tls);
    links.stage.world.secure(peer);
    let header = "<stream:stream xmlns='jabber:server' version='1.0' \
         xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='localhost'>";
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    for words in [header, auth, header] {
        links.stage.write(peer, words);
        links.stage.world.run();
    }
    assert!(links.stage.heard(peer).contains("<success "));
    links.stage.world.advance(Duration::from_secs(59));
    assert_eq!(links.stage.heard(peer), "");
    links.stage.world.advance(Duration::from_secs(2));
    let heard = links.stage.heard(peer);
    assert!(heard.contains("<reset "), "{heard}");
    links.end();
}

/// RFC 6120 §3.2.1, §4.7.2: DNS knows A-labels, and XMPP what they stand for.
#[test]
fn a_name_that_is_not_ascii_is_looked_up_by_its_a_labels_and_written_as_it_is() {
    let mut links = Links::easy();
    let service = Service {
        priority: 0,
        weight: 0,
        port: 5269,
        target: "x.example".into(),
    };
    for (service, found) in [
        ("_xmpp-server", Resolved::Services(vec![service])),
        ("_xmpps-server", Resolved::NoData),
    ] {
        let name = format!("{service}._tcp.xn--mnchen-3ya.example");
        let lookup = Lookup::Services(name.into());
        links.stage.world.publish(lookup, found);
    }
    for name in ["m\u{fc}nchen.example", "xn--mnchen-3ya.example"] {
        links.client(&chat(&format!("juliet@{name}"), "1"));
    }
    assert_eq!(links.connections(), 1);
    let header = links.heard(0);
    assert!(header.contains(" to='m\u{fc}nchen.example'"), "{header}");
    links.end();
}
