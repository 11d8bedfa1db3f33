//! Reaching a domain by streams of ours: what is tried, what is told of it, and that nothing stays.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::config::of_localhost;
use crate::jid::Domain;
use crate::limits::{CONNECT_PATIENCE, OPENING_PATIENCE, RACE_DELAY, REACHES, ROUND};
use crate::port::{
    AttemptError, AttemptOutcome, Awaited, Command, CommandError, CommandId, CommandReply,
    ConnectError, Input, Lookup, LookupError, Opening, Protocol, Reach, Reached, Resolved,
    SecuredBy, Service, Source, Starttls, TlsClient, TlsVersion, Unreached, Verdict,
};
use crate::testing::{Door, Ended, Peer, Resolver, World, tls_of};

const HEADER: &str = "<?xml version='1.0'?><stream:stream from='a.example' id='x' version='1.0' \
     xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const STARTTLS: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const FEATURES: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
     <mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism></mechanisms>\
     <bidi xmlns='urn:xmpp:features:bidi'/></stream:features>";
const END: &str = "</stream:stream>";

/// One shard, and a domain `a.example`, of which DNS says nothing yet.
struct Stage {
    world: World,
    ids: u64,
}

impl Stage {
    fn new() -> Self {
        let world = World::new(of_localhost());
        Self { world, ids: 0 }
    }

    /// With these records of `_xmpps-client` and `_xmpp-client`, all with the same address of each family.
    fn at(records: &[(&str, &[&str])]) -> Self {
        let mut stage = Self::new();
        for prefix in ["_xmpps-client", "_xmpp-client"] {
            let mut services = Vec::new();
            for (at, (name, addresses)) in records.iter().enumerate() {
                let target = name.trim_start_matches("tls:");
                if name.starts_with("tls:") == (prefix == "_xmpps-client") {
                    services.push(Service {
                        priority: u16::try_from(at).unwrap(),
                        weight: 0,
                        port: 5222,
                        target: target.into(),
                    });
                }
                let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
                stage.world.publish(
                    Lookup::Addresses(target.into()),
                    Resolved::Addresses(addresses, Source::Dns),
                );
            }
            if !services.is_empty() {
                let name = format!("{prefix}._tcp.a.example");
                let services = Resolved::Services(services);
                stage.world.publish(Lookup::Services(name.into()), services);
            }
        }
        stage
    }

    fn doors(mut self, doors: &[(&str, Door)]) -> Self {
        for (at, door) in doors {
            self.world.set_door(place(at), *door);
        }
        self
    }

    fn ask(&mut self, domain: &str) -> CommandId {
        self.ids += 1;
        let id = CommandId(self.ids);
        let domain = Domain::parse(domain).unwrap();
        let service = Protocol::XmppClient;
        self.world
            .post_command(id, Command::Reach { domain, service });
        self.world.run();
        id
    }

    /// What came of the only one that is under way.
    fn answer(&mut self) -> Option<Reach> {
        let (_, result) = self.world.take_answers().pop()?;
        match result {
            Ok(CommandReply::Reached(reach)) => Some(*reach),
            other => panic!("{other:?}"),
        }
    }

    fn reach(&mut self, domain: &str) -> Reach {
        self.ask(domain);
        self.answer().unwrap()
    }

    /// Who is at the other end of the connection that was wanted after so many.
    fn peer(&self, at: usize) -> Peer {
        self.world.outgoing()[at].1
    }

    /// Where connections were wanted.
    fn wanted(&self) -> Vec<String> {
        let outgoing = self.world.outgoing().iter();
        outgoing.map(|(to, _)| to.to_string()).collect()
    }

    /// The other side says this. What we said before.
    fn say(&mut self, at: usize, words: &str) -> String {
        let peer = self.peer(at);
        self.world.write(peer, words.as_bytes());
        self.world.run();
        self.heard(at)
    }

    fn heard(&mut self, at: usize) -> String {
        let peer = self.peer(at);
        String::from_utf8(self.world.take_received(peer)).unwrap()
    }

    fn secure(&mut self, at: usize) {
        let peer = self.peer(at);
        self.world.secure(peer);
        self.world.run();
    }

    /// Nothing is left, once the other sides have had their time to close.
    fn end(mut self) {
        self.world.advance(Duration::from_secs(10));
        assert_eq!(self.world.residue(), vec![[0; 9]]);
        assert!(self.world.is_at_rest());
        self.world.is_sound().unwrap();
    }
}

fn place(at: &str) -> SocketAddr {
    at.parse().unwrap()
}

fn outcomes(reach: &Reach) -> Vec<AttemptOutcome> {
    let attempts = reach.attempts.iter();
    attempts.map(|attempt| attempt.outcome.clone()).collect()
}

fn failed(error: AttemptError) -> AttemptOutcome {
    AttemptOutcome::Failed(error)
}

#[test]
fn a_listener_of_ours_is_reached_by_both_kinds_of_tls() {
    for (opening, name, by, protocol) in [
        (
            Opening::Tls,
            "tls:b.example",
            SecuredBy::DirectTls,
            Some(Protocol::XmppClient),
        ),
        (
            Opening::Clear,
            "b.example",
            SecuredBy::Starttls(Starttls::Required),
            None,
        ),
    ] {
        let mut stage = Stage::at(&[(name, &["192.0.2.1"])]);
        // Nobody serves a.example here: a listener of ours has localhost.
        for service in ["_xmpps-client", "_xmpp-client"] {
            let of = |domain| Lookup::Services(format!("{service}._tcp.{domain}").into());
            let record = Service {
                priority: 0,
                weight: 0,
                port: 5222,
                target: "b.example".into(),
            };
            if (opening == Opening::Tls) == (service == "_xmpps-client") {
                let services = Resolved::Services(vec![record]);
                stage.world.publish(of("localhost"), services);
            }
        }
        let mut stage = stage.doors(&[("192.0.2.1:5222", Door::Listens(0, opening))]);
        let reach = stage.reach("localhost");
        assert_eq!(outcomes(&reach), [AttemptOutcome::Reached]);
        let Reached {
            at, tls, features, ..
        } = *reach.outcome.unwrap();
        assert_eq!(at, place("192.0.2.1:5222"));
        let tls = tls.unwrap();
        assert_eq!((tls.by, tls.version), (by, TlsVersion::V1_3));
        assert_eq!(tls.certificate.unwrap().verdict, Some(Verdict::Good));
        assert!(features.mechanisms.contains(&"SCRAM-SHA-1".into()));
        let asked = TlsClient {
            ours: None,
            name: "localhost".into(),
            protocol,
        };
        assert_eq!(stage.world.asked_of(stage.peer(0)), Some(&asked));
        stage.end();

        // Of who does not serve the domain we hear so.
        let mut stage = Stage::at(&[(name, &["192.0.2.1"])])
            .doors(&[("192.0.2.1:5222", Door::Listens(0, opening))]);
        let reach = stage.reach("a.example");
        let [AttemptOutcome::Failed(AttemptError::Refused(error))] = &outcomes(&reach)[..] else {
            panic!("{reach:?}");
        };
        assert_eq!(&*error.condition, "host-unknown");
        stage.end();
    }
}

#[test]
fn an_address_that_is_silent_has_the_next_tried_after_a_quarter_of_a_second() {
    let mut stage = Stage::at(&[("b.example", &["192.0.2.1", "2001:db8::1"])]).doors(&[
        ("[2001:db8::1]:5222", Door::Waits),
        ("192.0.2.1:5222", Door::Opens),
    ]);
    stage.ask("a.example");
    assert_eq!(stage.wanted(), ["[2001:db8::1]:5222"]);
    stage.world.advance(RACE_DELAY - Duration::from_micros(1));
    assert_eq!(stage.wanted().len(), 1);
    stage.world.advance(Duration::from_micros(1));
    assert_eq!(stage.wanted().len(), 2);
    // The second wins, and the first is closed.
    assert_eq!(stage.world.ended(stage.peer(0)), Some(Ended::Closed));
    assert!(stage.heard(1).contains("to='a.example'"));
    stage.say(1, HEADER);
    assert_eq!(stage.say(1, FEATURES), END);
    let reach = stage.answer().unwrap();
    assert_eq!(
        outcomes(&reach),
        [AttemptOutcome::Overtaken, AttemptOutcome::Reached]
    );
    // In the clear: nothing else is there.
    let reached = reach.outcome.unwrap();
    assert_eq!(reached.tls, None);
    assert_eq!(
        reached.features.mechanisms,
        ["SCRAM-SHA-1", "PLAIN"].map(Into::into)
    );
    let all = reached.features.all.iter();
    let all: Vec<_> = all.map(|f| (&*f.name, &*f.namespace)).collect();
    assert_eq!(
        all,
        [
            ("mechanisms", "urn:ietf:params:xml:ns:xmpp-sasl"),
            ("bidi", "urn:xmpp:features:bidi")
        ]
    );
    assert_eq!(stage.world.ended(stage.peer(1)), None);
    stage.say(1, END);
    assert_eq!(stage.world.ended(stage.peer(1)), Some(Ended::Closed));
    stage.end();
}

#[test]
fn a_refused_address_has_the_next_tried_at_once_and_the_late_winner_is_closed() {
    let mut stage = Stage::at(&[("b.example", &["192.0.2.1", "192.0.2.2", "192.0.2.3"])]).doors(&[
        ("192.0.2.2:5222", Door::Waits),
        ("192.0.2.3:5222", Door::Waits),
    ]);
    stage.ask("a.example");
    assert_eq!(stage.wanted().len(), 2);
    stage.world.advance(RACE_DELAY);
    assert_eq!(stage.wanted().len(), 3);
    // Both at once: who is told first wins.
    let (first, second) = (stage.peer(1), stage.peer(2));
    stage.world.open_door(second);
    stage.world.open_door(first);
    stage.world.run();
    assert_eq!(stage.world.ended(first), Some(Ended::Closed));
    stage.say(2, HEADER);
    stage.say(2, FEATURES);
    let reach = stage.answer().unwrap();
    assert_eq!(
        outcomes(&reach),
        [
            failed(AttemptError::Unconnected(ConnectError::Refused)),
            AttemptOutcome::Overtaken,
            AttemptOutcome::Reached
        ]
    );
    stage.end();
}

#[test]
fn what_fails_below_the_connection_goes_on_to_the_next_target() {
    let mut stage = Stage::at(&[
        ("tls:b.example", &["192.0.2.1"]),
        ("c.example", &["192.0.2.2"]),
        ("d.example", &["192.0.2.3"]),
        ("e.example", &["192.0.2.4"]),
    ])
    .doors(&[
        ("192.0.2.1:5222", Door::Opens),
        ("192.0.2.2:5222", Door::Opens),
        ("192.0.2.3:5222", Door::Opens),
        ("192.0.2.4:5222", Door::Opens),
    ]);
    stage.ask("a.example");
    // No TLS is spoken where it should be.
    assert_eq!(stage.say(0, HEADER), "");
    assert_eq!(stage.world.ended(stage.peer(0)), Some(Ended::TlsFailed));
    // STARTTLS is offered and then refused.
    stage.say(1, HEADER);
    assert!(stage.say(1, STARTTLS).contains("<starttls"));
    let refusal = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>";
    assert_eq!(stage.say(1, refusal), END);
    // A header of something else.
    let other = HEADER.replace("jabber:client", "jabber:component:accept");
    let said = stage.say(2, &other);
    assert!(said.contains("<invalid-namespace"), "{said}");
    // Somebody else.
    let other = HEADER.replace("a.example", "z.example");
    stage.say(3, &other);
    stage.say(3, FEATURES);
    let reach = stage.answer().unwrap();
    assert_eq!(reach.outcome, Err(Unreached::Unsuccessful));
    let outcomes = outcomes(&reach);
    assert_eq!(outcomes[0], failed(AttemptError::Tls));
    assert_eq!(outcomes[1], failed(AttemptError::StarttlsRefused));
    let AttemptOutcome::Failed(AttemptError::Broke(error)) = &outcomes[2] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(error.condition, "invalid-namespace");
    assert_eq!(
        outcomes[3],
        failed(AttemptError::OtherHost("z.example".into()))
    );
    stage.end();
}

#[test]
fn what_comes_behind_proceed_is_tls_and_nothing_said_before_is_believed() {
    // Below the shell's TLS it is garbage, and the attempt fails.
    let injected = format!("{PROCEED}{HEADER}{FEATURES}");
    let mut stage =
        Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    stage.say(0, HEADER);
    stage.say(0, STARTTLS);
    stage.say(0, &injected);
    let reach = stage.answer().unwrap();
    assert_eq!(outcomes(&reach), [failed(AttemptError::Tls)]);
    stage.end();

    // A read of its own, handed over against the contract, is not believed either.
    let mut stage =
        Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    stage.say(0, HEADER);
    stage.say(0, STARTTLS);
    stage.say(0, PROCEED);
    let peer = stage.peer(0);
    stage.world.tell_bytes(peer, HEADER.as_bytes());
    stage.world.run();
    let reach = stage.answer().unwrap();
    assert_eq!(outcomes(&reach), [failed(AttemptError::Plaintext)]);
    stage.end();

    // What was offered before TLS is not among what is told.
    let mut stage =
        Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    stage.say(0, HEADER);
    let starttls = STARTTLS.replace("</stream", "<early xmlns='x'/></stream");
    stage.say(0, &starttls);
    stage.say(0, PROCEED);
    stage.secure(0);
    let said = stage.heard(0);
    assert!(
        said.starts_with("<?xml version='1.0'?><stream:stream"),
        "{said}"
    );
    stage.say(0, HEADER);
    // STARTTLS again, below TLS, is not taken.
    let again = FEATURES.replace(
        "<bidi",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><bidi",
    );
    assert_eq!(stage.say(0, &again), END);
    let reached = stage.answer().unwrap().outcome.unwrap();
    let by = SecuredBy::Starttls(Starttls::Optional);
    assert_eq!(reached.tls.unwrap().by, by);
    let names: Vec<_> = reached.features.all.iter().map(|f| &*f.name).collect();
    assert_eq!(names, ["mechanisms", "starttls", "bidi"]);
    stage.end();
}

#[test]
fn a_peer_that_never_answers_has_its_time_and_no_more() {
    for (words, awaited) in [
        (None, Awaited::Connection),
        (Some(vec![]), Awaited::Header),
        (Some(vec![HEADER]), Awaited::Features),
        (Some(vec![HEADER, STARTTLS]), Awaited::Proceed),
        (Some(vec![HEADER, STARTTLS, PROCEED]), Awaited::Tls),
    ] {
        let door = match words {
            None => Door::Waits,
            Some(_) => Door::Opens,
        };
        let mut stage =
            Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", door)]);
        stage.ask("a.example");
        for words in words.iter().flatten() {
            stage.say(0, words);
        }
        let patience = match words {
            None => CONNECT_PATIENCE,
            Some(_) => OPENING_PATIENCE,
        };
        stage.world.advance(patience / 2);
        assert!(stage.answer().is_none());
        // A drip is no answer.
        stage.say(0, if words.is_some() { " " } else { "" });
        stage.world.advance(patience / 2 + Duration::from_secs(1));
        let reach = stage.answer().unwrap();
        assert_eq!(outcomes(&reach), [failed(AttemptError::TimedOut(awaited))]);
        stage.end();
    }
}

#[test]
fn what_a_peer_sends_is_bounded_as_a_strangers() {
    let long = format!("<stream:features><a>{}", "x".repeat(20_000));
    let deep = format!("<stream:features>{}", "<a>".repeat(20));
    let other = "<message><body>x</body></message>".to_owned();
    let junk = "<a>\u{1}</a>".to_owned();
    for (words, condition) in [
        (long, "policy-violation"),
        (deep, "policy-violation"),
        (other, "not-authorized"),
        (junk, "not-well-formed"),
    ] {
        let mut stage =
            Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
        stage.ask("a.example");
        stage.say(0, HEADER);
        let said = stage.say(0, &words);
        assert!(said.contains(condition), "{said}");
        assert!(said.ends_with(END), "{said}");
        let reach = stage.answer().unwrap();
        let [AttemptOutcome::Failed(AttemptError::Broke(error))] = &outcomes(&reach)[..] else {
            panic!("{reach:?}");
        };
        assert_eq!(error.condition, condition);
        stage.end();
    }
    // White space without end.
    let mut stage =
        Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    stage.say(0, HEADER);
    let said = stage.say(0, &" ".repeat(70_000));
    assert!(said.contains("policy-violation"), "{said}");
    stage.end();
}

#[test]
fn what_a_peer_says_is_told_as_far_as_anybody_reads() {
    let many = "<a xmlns='x'/>".repeat(300);
    let long = format!("<b xmlns='{}'/>", "é".repeat(3000));
    let words = format!("<stream:features>{long}{many}</stream:features>");
    let mut stage =
        Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    stage.say(0, HEADER);
    stage.say(0, &words);
    let reached = stage.answer().unwrap().outcome.unwrap();
    assert_eq!(reached.features.all.len(), 64);
    let namespace = &reached.features.all[0].namespace;
    assert_eq!(namespace.len(), 256 + "…".len());
    assert!(namespace.ends_with("é…"));
    stage.end();
}

#[test]
fn the_domain_itself_is_tried_where_dns_has_no_record() {
    let mut stage = Stage::new();
    let addresses = Resolved::Addresses(vec!["192.0.2.1".parse().unwrap()], Source::Hosts);
    stage
        .world
        .publish(Lookup::Addresses("a.example".into()), addresses);
    let reach = stage.reach("a.example");
    assert_eq!(stage.wanted(), ["192.0.2.1:5222"]);
    assert_eq!(reach.outcome, Err(Unreached::Unsuccessful));
    let said: Vec<_> = reach.asked.iter().map(|a| a.outcome.clone()).collect();
    assert_eq!(said[..2], [Some(Resolved::NoName), Some(Resolved::NoName)]);
    stage.end();

    for (outcome, why) in [
        (Resolved::NoService, Unreached::NoService),
        (
            Resolved::Failed(LookupError::Refused),
            Unreached::Unresolved(LookupError::Refused),
        ),
    ] {
        let mut stage = Stage::new();
        let name = "_xmpp-client._tcp.a.example".into();
        stage.world.publish(Lookup::Services(name), outcome);
        assert_eq!(stage.reach("a.example").outcome, Err(why));
        assert_eq!(stage.wanted(), Vec::<String>::new());
        stage.end();
    }
    let mut stage = Stage::new();
    let reach = stage.reach("a.example");
    assert_eq!(reach.outcome, Err(Unreached::NoAddresses));
    stage.end();
}

#[test]
fn a_server_that_stops_ends_it_at_once_with_an_answer() {
    for (door, words) in [
        (Door::Waits, vec![]),
        (Door::Opens, vec![]),
        (Door::Opens, vec![HEADER, STARTTLS, PROCEED]),
    ] {
        let mut stage =
            Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", door)]);
        stage.ask("a.example");
        for words in words {
            stage.say(0, words);
        }
        stage.heard(0);
        stage.world.shut_down();
        let reach = stage.answer().unwrap();
        assert_eq!(reach.outcome, Err(Unreached::Stopped));
        assert_eq!(outcomes(&reach), [AttemptOutcome::Abandoned]);
        // One that comes later is not begun.
        let reach = stage.reach("a.example");
        assert_eq!(reach.outcome, Err(Unreached::Stopped));
        assert_eq!(reach.attempts, []);
        stage.end();
    }
    // While DNS is asked, and never answers.
    let mut stage = Stage::new();
    stage.world.resolver = Resolver::Silent;
    stage.ask("a.example");
    stage.world.shut_down();
    assert_eq!(stage.answer().unwrap().outcome, Err(Unreached::Stopped));
    assert!(stage.world.is_at_rest());
    stage.end();
}

#[test]
fn a_place_that_is_needed_ends_it() {
    for door in [Door::Waits, Door::Opens] {
        let mut stage = Stage::at(&[
            ("b.example", &["192.0.2.1", "192.0.2.3"]),
            ("c.example", &["192.0.2.2"]),
        ])
        .doors(&[("192.0.2.1:5222", door), ("192.0.2.2:5222", Door::Opens)]);
        stage.ask("a.example");
        let peer = stage.peer(0);
        stage.world.evict(peer);
        let reach = stage.answer().unwrap();
        assert_eq!(reach.outcome, Err(Unreached::Unsuccessful));
        assert_eq!(outcomes(&reach), [failed(AttemptError::Evicted)]);
        assert_eq!(stage.world.ended(peer), Some(Ended::Closed));
        stage.end();
    }
}

#[test]
fn a_reload_leaves_it_alone() {
    let mut stage =
        Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    stage.world.reload(of_localhost());
    stage.say(0, HEADER);
    stage.say(0, FEATURES);
    assert!(stage.answer().unwrap().outcome.is_ok());
    stage.end();
}

#[test]
fn dns_that_never_answers_is_waited_for_as_long_as_a_round_takes() {
    let mut stage = Stage::new();
    stage.world.resolver = Resolver::Silent;
    stage.ask("a.example");
    stage.world.advance(ROUND - Duration::from_secs(1));
    assert!(stage.answer().is_none());
    stage.world.advance(Duration::from_secs(1));
    let reach = stage.answer().unwrap();
    assert_eq!(reach.outcome, Err(Unreached::TimedOut));
    assert!(reach.asked.iter().all(|asked| asked.outcome.is_none()));
    stage.end();
}

#[test]
fn answers_to_what_is_over_fall_on_the_floor() {
    let mut stage =
        Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    let (shard, conn) = stage.world.seat(stage.peer(0)).unwrap();
    let peer = stage.peer(0);
    stage.world.cut(peer);
    stage.world.run();
    let reach = stage.answer().unwrap();
    assert_eq!(
        outcomes(&reach),
        [failed(AttemptError::Ended(Awaited::Header))]
    );
    let tls = tls_of(peer).into();
    for input in [
        Input::Connected { conn },
        Input::Secured { conn, tls },
        Input::Evict { conn },
    ] {
        stage.world.tell(shard, input);
    }
    stage.world.tell_bytes(peer, HEADER.as_bytes());
    stage.world.run();
    stage.end();

    // A question of a round that is over.
    let mut stage = Stage::new();
    stage.world.resolver = Resolver::Late;
    let id = CommandId(7);
    let domain = Domain::parse("a.example").unwrap();
    let service = Protocol::XmppClient;
    stage
        .world
        .post_command(id, Command::Reach { domain, service });
    stage.world.settle();
    let (shard, answer) = stage.world.answer_of(0).unwrap();
    stage.world.tell(shard, Input::Shutdown);
    stage.world.tell(shard, answer.clone());
    stage.world.tell(shard, answer);
    stage.world.run();
    assert_eq!(stage.answer().unwrap().outcome, Err(Unreached::Stopped));
    stage.end();
}

#[test]
fn no_more_are_reached_at_a_time_than_may_be() {
    let mut stage = Stage::new();
    stage.world.resolver = Resolver::Silent;
    for _ in 0..REACHES {
        stage.ask("a.example");
    }
    assert_eq!(stage.world.take_answers(), []);
    let id = stage.ask("a.example");
    assert_eq!(
        stage.world.take_answers(),
        [(id, Err(CommandError::Reaching))]
    );
    stage.world.advance(ROUND);
    assert_eq!(stage.world.take_answers().len(), REACHES);
    stage.end();
}

#[test]
fn a_server_is_reached_as_a_server() {
    let mut stage = Stage::new().doors(&[("192.0.2.7:5269", Door::Opens)]);
    let domain = Domain::parse("192.0.2.7").unwrap();
    let service = Protocol::XmppServer;
    let command = Command::Reach { domain, service };
    stage.world.post_command(CommandId(1), command);
    stage.world.run();
    let said = stage.heard(0);
    assert!(said.contains("xmlns='jabber:server'"), "{said}");
    assert!(!said.contains("from="), "{said}");
    let header = HEADER
        .replace("jabber:client", "jabber:server")
        .replace("a.example", "192.0.2.7");
    stage.say(0, &header);
    stage.say(0, STARTTLS);
    stage.say(0, PROCEED);
    stage.secure(0);
    let said = stage.heard(0);
    assert!(said.contains("from='localhost'"), "{said}");
    let asked = stage.world.asked_of(stage.peer(0)).unwrap();
    assert_eq!(&*asked.name, "192.0.2.7");
    stage.say(0, &header);
    stage.say(
        0,
        "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>",
    );
    let reached = stage.answer().unwrap().outcome.unwrap();
    assert_eq!(&*reached.features.all[0].name, "dialback");
    stage.end();
}

#[test]
fn our_header_says_what_is_asked_of_who_begins_and_nothing_else() {
    let mut stage =
        Stage::at(&[("tls:b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    stage.secure(0);
    let said = stage.heard(0);
    assert_eq!(
        said,
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' \
         xml:lang='en' to='a.example'>"
    );
}

#[test]
fn a_stream_whose_response_is_of_a_lower_version_is_closed() {
    for version in ["", " version='0.9'"] {
        let mut stage =
            Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
        stage.ask("a.example");
        stage.heard(0);
        let said = stage.say(
            0,
            &HEADER.replace(" version='1.0' ", &format!("{version} ")),
        );
        assert!(said.contains("<unsupported-version"), "{said}");
        assert!(said.ends_with(END), "{said}");
        let reach = stage.answer().unwrap();
        assert_eq!(reach.outcome, Err(Unreached::Unsuccessful));
        stage.end();
    }
}

#[test]
fn a_stranger_that_is_said_to_be_connected_is_a_fault_of_the_shell() {
    let mut stage = Stage::new();
    let peer = stage.world.connect(Opening::Clear);
    let (shard, conn) = stage.world.seat(peer).unwrap();
    stage.world.tell(shard, Input::Connected { conn });
    stage.world.run();
    assert!(stage.world.is_sound().is_err());
}

#[test]
fn a_connection_that_is_open_is_not_opened_again() {
    let mut stage =
        Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
    stage.ask("a.example");
    let (shard, conn) = stage.world.seat(stage.peer(0)).unwrap();
    stage.world.tell(shard, Input::Connected { conn });
    stage.world.run();
    assert!(stage.world.is_sound().is_err());
    stage.say(0, HEADER);
    stage.say(0, FEATURES);
    assert!(stage.answer().unwrap().outcome.is_ok());
}

#[test]
fn it_makes_no_difference_how_a_server_cuts_what_it_says() {
    let reached = |cut: &dyn Fn(&mut Stage, &str)| {
        let mut stage =
            Stage::at(&[("b.example", &["192.0.2.1"])]).doors(&[("192.0.2.1:5222", Door::Opens)]);
        stage.ask("a.example");
        cut(&mut stage, &[HEADER, STARTTLS].concat());
        cut(&mut stage, PROCEED);
        stage.secure(0);
        cut(&mut stage, &[HEADER, FEATURES].concat());
        let reach = stage.answer().unwrap();
        assert!(reach.outcome.is_ok());
        // What comes behind is waited for, and does nothing.
        cut(&mut stage, &["<a/>", END, "<b"].concat());
        let said = stage.heard(0);
        stage.end();
        (reach, said)
    };
    let whole = reached(&|stage, words| {
        stage.world.write(stage.peer(0), words.as_bytes());
        stage.world.run();
    });
    let cut = reached(&|stage, words| {
        for byte in words.as_bytes() {
            stage.world.write(stage.peer(0), &[*byte]);
            stage.world.run();
        }
    });
    assert_eq!(whole, cut);
}
