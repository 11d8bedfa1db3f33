//! The resolver against name servers that say what they are told to.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use domain::base::iana::{Rcode, Rtype};
use domain::base::message_builder::{AnswerBuilder, AuthorityBuilder};
use domain::base::{Message, MessageBuilder, Serial, Ttl};
use domain::rdata::{A, Aaaa, Cname, Soa, Srv};
use spondee_core::port::{Lookup, LookupError, Resolved, Source};

use super::stub::{Exchange, Stub, Transmit};
use super::*;
use crate::limits::dns::{DNS_ALIASES, DNS_OTHER_FAMILY, DNS_QUESTIONS};

type Target = Vec<u8>;
type WireName = domain::base::Name<Vec<u8>>;

fn wire(text: &str) -> WireName {
    WireName::vec_from_str(text).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// One record of an answer.
#[derive(Clone, Copy)]
pub(super) enum Record {
    A(&'static str, [u8; 4]),
    Aaaa(&'static str, u16),
    Alias(&'static str, &'static str),
    Srv(&'static str, u16, &'static str),
    /// In the authority section: nothing for so many seconds.
    Denied(u32),
}

/// What a server answers to a query.
pub(super) fn reply(query: &[u8], rcode: Rcode, records: &[Record]) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut answer: AnswerBuilder<Target> = MessageBuilder::new_vec()
        .start_answer(&query, rcode)
        .unwrap();
    let ttl = Ttl::from_secs(300);
    for record in records {
        match record {
            Record::A(of, [a, b, c, d]) => {
                answer
                    .push((wire(of), ttl, A::from_octets(*a, *b, *c, *d)))
                    .unwrap();
            }
            Record::Aaaa(of, last) => {
                let address = format!("2001:db8::{last:x}").parse().unwrap();
                answer.push((wire(of), ttl, Aaaa::new(address))).unwrap();
            }
            Record::Alias(of, to) => {
                answer.push((wire(of), ttl, Cname::new(wire(to)))).unwrap();
            }
            Record::Srv(of, weight, target) => {
                let srv = Srv::new(1, *weight, 5222, wire(target));
                answer.push((wire(of), ttl, srv)).unwrap();
            }
            Record::Denied(_) => {}
        }
    }
    let mut authority: AuthorityBuilder<Target> = answer.authority();
    for record in records {
        if let Record::Denied(seconds) = record {
            let (root, ttl) = (wire("example"), Ttl::from_secs(*seconds));
            let soa = Soa::new(root.clone(), root.clone(), Serial(1), ttl, ttl, ttl, ttl);
            authority.push((root, ttl, soa)).unwrap();
        }
    }
    authority.finish()
}

pub(super) fn truncated(query: &[u8]) -> Vec<u8> {
    let mut bytes = reply(query, Rcode::NOERROR, &[]);
    bytes[2] |= 0b10;
    bytes
}

/// What is on its way to a server.
struct Sent {
    exchange: Exchange,
    server: SocketAddr,
    query: Vec<u8>,
    stream: bool,
}

impl Sent {
    fn rtype(&self) -> Rtype {
        Message::from_octets(&self.query[..])
            .unwrap()
            .qtype()
            .unwrap()
    }
}

struct Play {
    stub: Stub,
    now: Instant,
    closed: Vec<Exchange>,
}

impl Play {
    fn new() -> Self {
        Self::with(
            "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions timeout:1 attempts:2",
            "",
        )
    }

    fn with(resolv_conf: &str, hosts: &str) -> Self {
        let mut number = 0;
        let dice = move || {
            number += 257;
            number
        };
        let conf = ResolvConf::parse(resolv_conf);
        Self {
            stub: Stub::new(conf, Hosts::parse(hosts), Box::new(dice)),
            now: Instant::now(),
            closed: Vec::new(),
        }
    }

    fn addresses(&mut self, of: &str) {
        self.stub.ask(self.now, 1, &Lookup::Addresses(of.into()));
    }

    fn services(&mut self, of: &str) {
        self.stub.ask(self.now, 1, &Lookup::Services(of.into()));
    }

    fn sent(&mut self) -> Vec<Sent> {
        let mut all = Vec::new();
        while let Some(transmit) = self.stub.poll_transmit() {
            let (stream, (exchange, server, query)) = match transmit {
                Transmit::Datagram(exchange, server, query) => (false, (exchange, server, query)),
                Transmit::Stream(exchange, server, query) => (true, (exchange, server, query)),
                Transmit::Close(exchange) => {
                    self.closed.push(exchange);
                    continue;
                }
            };
            all.push(Sent {
                exchange,
                server,
                query,
                stream,
            });
        }
        all
    }

    /// The only query, or that of the two which asks for this.
    fn query(&mut self, rtype: Rtype) -> Sent {
        let sent = self.sent();
        sent.into_iter().find(|sent| sent.rtype() == rtype).unwrap()
    }

    fn answer(&mut self, sent: &Sent, rcode: Rcode, records: &[Record]) {
        let bytes = reply(&sent.query, rcode, records);
        self.stub.received(self.now, sent.exchange, &bytes);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.stub.tick(self.now);
    }

    fn outcome(&mut self) -> Option<Resolved> {
        let answer = self.stub.poll_answer()?;
        assert_eq!(answer.ticket, 1);
        Some(answer.resolved)
    }

    fn failure(&mut self) -> Option<Failure> {
        self.stub.poll_answer()?.failure
    }

    fn found(&mut self) -> Vec<String> {
        match self.outcome() {
            Some(Resolved::Addresses(addresses, Source::Dns)) => {
                addresses.iter().map(IpAddr::to_string).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn is_at_rest(&mut self) -> bool {
        self.sent().is_empty() && self.stub.poll_timeout().is_none()
    }
}

const HOST: &str = "a.example";

#[test]
fn both_families_are_asked_for_at_once_and_told_in_turn() {
    let mut play = Play::new();
    play.addresses(HOST);
    let sent = play.sent();
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0].query[..2], sent[1].query[..2], "one number twice");
    for sent in &sent {
        assert_eq!(sent.server, "192.0.2.1:53".parse().unwrap());
        let records: &[Record] = match sent.rtype() {
            Rtype::A => &[
                Record::A(HOST, [192, 0, 2, 7]),
                Record::A(HOST, [192, 0, 2, 8]),
            ],
            _ => &[Record::Aaaa(HOST, 7)],
        };
        play.answer(sent, Rcode::NOERROR, records);
    }
    assert_eq!(play.found(), ["2001:db8::7", "192.0.2.7", "192.0.2.8"]);
    assert!(play.is_at_rest());
    assert_eq!(play.closed.len(), 2);
}

#[test]
fn one_family_is_enough_after_a_moment_and_the_other_is_let_go() {
    let mut play = Play::new();
    play.addresses(HOST);
    let sent = play.query(Rtype::A);
    play.answer(&sent, Rcode::NOERROR, &[Record::A(HOST, [192, 0, 2, 7])]);
    assert_eq!(play.outcome(), None);
    play.pass(DNS_OTHER_FAMILY);
    assert_eq!(play.found(), ["192.0.2.7"]);
    assert!(play.is_at_rest());
}

#[test]
fn what_was_answered_is_not_asked_for_again_until_its_time_is_over() {
    let mut play = Play::new();
    for (wait, asked) in [(0, 2), (9, 0), (60, 1), (300, 2)] {
        play.now += Duration::from_secs(wait);
        play.addresses(HOST);
        let sent = play.sent();
        assert_eq!(sent.len(), asked, "after {wait} s more");
        for sent in sent {
            // What there is not is known for a shorter time.
            let records: &[Record] = match sent.rtype() {
                Rtype::A => &[Record::A(HOST, [192, 0, 2, 7])],
                _ => &[Record::Denied(60)],
            };
            play.answer(&sent, Rcode::NOERROR, records);
        }
        assert_eq!(play.found(), ["192.0.2.7"]);
    }
}

#[test]
fn a_silent_server_is_followed_by_the_next_and_all_are_asked_twice() {
    let mut play = Play::new();
    play.services(HOST);
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(play.query(Rtype::SRV).server.to_string());
        play.pass(Duration::from_secs(1));
    }
    assert_eq!(
        servers,
        [
            "192.0.2.1:53",
            "192.0.2.2:53",
            "192.0.2.1:53",
            "192.0.2.2:53"
        ]
    );
    assert_eq!(
        play.outcome(),
        Some(Resolved::Failed(LookupError::TimedOut))
    );
    assert!(play.is_at_rest());
}

#[test]
fn a_server_that_refuses_or_fails_is_followed_by_the_next_at_once() {
    let mut play = Play::new();
    play.services(HOST);
    let sent = play.query(Rtype::SRV);
    play.answer(&sent, Rcode::SERVFAIL, &[]);
    let sent = play.query(Rtype::SRV);
    assert_eq!(sent.server, "192.0.2.2:53".parse().unwrap());
    play.stub.failed(play.now, sent.exchange);
    let sent = play.query(Rtype::SRV);
    play.answer(&sent, Rcode::NOERROR, &[Record::Srv(HOST, 5, "x.example")]);
    let Some(Resolved::Services(services)) = play.outcome() else {
        panic!("not found");
    };
    assert_eq!((services[0].weight, services[0].port), (5, 5222));
    assert_eq!(&*services[0].target, "x.example");
    // Until all have.
    play.services("b.example");
    for _ in 0..4 {
        let sent = play.query(Rtype::SRV);
        play.answer(&sent, Rcode::REFUSED, &[]);
    }
    assert_eq!(play.failure(), Some(Failure::Refused("REFUSED".to_owned())));
}

#[test]
fn what_does_not_fit_is_asked_for_by_stream_of_the_same_server() {
    let mut play = Play::new();
    play.services(HOST);
    let first = play.query(Rtype::SRV);
    let bytes = truncated(&first.query);
    play.stub.received(play.now, first.exchange, &bytes);
    let second = play.query(Rtype::SRV);
    assert!(second.stream && !first.stream);
    assert_eq!(second.server, first.server);
    assert!(play.closed.contains(&first.exchange));
    play.answer(
        &second,
        Rcode::NOERROR,
        &[Record::Srv(HOST, 1, "x.example")],
    );
    assert!(matches!(play.outcome(), Some(Resolved::Services(_))));
}

#[test]
fn aliases_are_followed_in_the_answer_and_beyond() {
    let mut play = Play::new();
    play.addresses(HOST);
    for sent in play.sent() {
        let records: &[Record] = match sent.rtype() {
            // In any order, and what belongs to others is not taken.
            Rtype::A => &[
                Record::A("c.example", [192, 0, 2, 7]),
                Record::A("d.example", [192, 0, 2, 8]),
                Record::Alias("b.example", "c.example"),
                Record::Alias(HOST, "b.example"),
            ],
            _ => &[Record::Alias(HOST, "c.example")],
        };
        play.answer(&sent, Rcode::NOERROR, records);
    }
    let sent = play.query(Rtype::AAAA);
    assert!(
        reply(&sent.query, Rcode::NOERROR, &[])
            .windows(2)
            .any(|two| two == b"\x01c")
    );
    play.answer(&sent, Rcode::NOERROR, &[Record::Aaaa("c.example", 9)]);
    assert_eq!(play.found(), ["2001:db8::9", "192.0.2.7"]);
}

#[test]
fn aliases_without_end_come_to_one() {
    let mut play = Play::new();
    play.services(HOST);
    let names = [HOST, "b.example"];
    let mut asked = 0;
    while let Some(sent) = play.sent().pop() {
        let (of, to) = (names[asked % 2], names[(asked + 1) % 2]);
        play.answer(&sent, Rcode::NOERROR, &[Record::Alias(of, to)]);
        asked += 1;
        assert!(asked <= DNS_ALIASES + 1);
    }
    assert_eq!(play.failure(), Some(Failure::TooManyAliases));
    // All in one answer, too.
    play.services("c.example");
    let sent = play.query(Rtype::SRV);
    let circle = [
        Record::Alias("c.example", "d.example"),
        Record::Alias("d.example", "c.example"),
    ];
    play.answer(&sent, Rcode::NOERROR, &circle);
    assert!(play.stub.poll_timeout().is_some());
}

#[test]
fn no_name_no_data_and_no_service_are_told_apart() {
    for (rcode, records, expected) in [
        (Rcode::NXDOMAIN, vec![Record::Denied(60)], Resolved::NoName),
        (Rcode::NXDOMAIN, vec![], Resolved::NoName),
        (Rcode::NOERROR, vec![Record::Denied(60)], Resolved::NoData),
        (Rcode::NOERROR, vec![], Resolved::NoData),
        (
            Rcode::NOERROR,
            vec![Record::Srv(HOST, 0, ".")],
            Resolved::NoService,
        ),
    ] {
        let mut play = Play::new();
        play.services(HOST);
        let sent = play.query(Rtype::SRV);
        play.answer(&sent, rcode, &records);
        assert_eq!(play.outcome(), Some(expected));
    }
}

#[test]
fn what_is_no_answer_to_the_question_is_passed_over() {
    let mut play = Play::new();
    play.services(HOST);
    let sent = play.query(Rtype::SRV);
    let right = reply(
        &sent.query,
        Rcode::NOERROR,
        &[Record::Srv(HOST, 1, "x.example")],
    );
    let spoilt = |at: usize, bits: u8| {
        let mut bytes = right.clone();
        bytes[at] ^= bits;
        bytes
    };
    let wrong = [
        Vec::new(),
        sent.query.clone(),
        spoilt(0, 1),
        spoilt(1, 1),
        // Its flags, the number of questions, the name, the kind and the class.
        spoilt(2, 0x80),
        spoilt(2, 0x08),
        spoilt(5, 1),
        spoilt(13, 1),
        spoilt(24, 1),
        spoilt(26, 2),
    ];
    for bytes in &wrong {
        play.stub.received(play.now, sent.exchange, bytes);
        play.stub.received(play.now, Exchange(999), &right);
        assert_eq!(play.outcome(), None, "{bytes:?}");
    }
    for cut in 0..right.len() {
        play.stub.received(play.now, sent.exchange, &right[..cut]);
    }
    play.stub.received(play.now, sent.exchange, &right);
    assert!(matches!(play.outcome(), Some(Resolved::Services(_))));
    // By stream nothing else comes.
    play.services("b.example");
    let sent = play.query(Rtype::SRV);
    play.stub
        .received(play.now, sent.exchange, &truncated(&sent.query));
    let sent = play.query(Rtype::SRV);
    play.stub.received(play.now, sent.exchange, b"nonsense");
    assert_eq!(
        play.query(Rtype::SRV).server,
        "192.0.2.2:53".parse().unwrap()
    );
}

#[test]
fn the_hosts_file_goes_before_dns_and_some_names_are_never_asked_for() {
    let mut play = Play::with("", "192.0.2.7 a.example");
    let from_hosts = |text: &str| {
        let found = vec![text.parse().unwrap()];
        Some(Resolved::Addresses(found, Source::Hosts))
    };
    play.addresses("A.example.");
    assert_eq!(play.outcome(), from_hosts("192.0.2.7"));
    play.addresses("a.invalid");
    assert_eq!(play.outcome(), Some(Resolved::NoName));
    play.services("_xmpp-client._tcp.a.invalid");
    assert_eq!(play.outcome(), Some(Resolved::NoName));
    play.services("_xmpp-client._tcp.localhost");
    assert_eq!(play.outcome(), Some(Resolved::NoData));
    assert!(play.is_at_rest());
    // Of services it knows nothing.
    play.services(HOST);
    assert_eq!(play.sent().len(), 1);
}

#[test]
fn beyond_so_many_questions_no_more_is_asked() {
    let mut play = Play::new();
    for ticket in 0..=u64::try_from(DNS_QUESTIONS).unwrap() {
        let of = format!("n{ticket}.example").into();
        play.stub.ask(play.now, ticket, &Lookup::Services(of));
    }
    let answer = play.stub.poll_answer().unwrap();
    assert_eq!(answer.resolved, Resolved::Failed(LookupError::Busy));
    assert_eq!(answer.ticket, u64::try_from(DNS_QUESTIONS).unwrap());
    assert_eq!(play.sent().len(), DNS_QUESTIONS);
}

#[test]
fn a_name_is_absolute_and_of_letters_digits_hyphens_and_underscores() {
    for wrong in [
        "",
        ".",
        "..",
        "a..b",
        "a b",
        "a\\046b",
        "é.example",
        &"a.".repeat(200),
    ] {
        assert_eq!(Name::parse(wrong), None, "{wrong}");
    }
    assert_eq!(name("A.Example.").to_string(), "a.example");
    let service = name(HOST).service("_xmpp-client._tcp").unwrap();
    assert_eq!(service.to_string(), "_xmpp-client._tcp.a.example");
    let long = name(&vec!["a".repeat(60); 4].join("."));
    assert_eq!(long.service("_xmpp-client._tcp"), None);
}

proptest::proptest! {
    #[test]
    fn nothing_that_a_server_says_is_too_much(
        bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
        at in 0_usize..400,
        whole in proptest::bool::ANY,
    ) {
        let mut play = Play::new();
        play.services(HOST);
        let sent = play.query(Rtype::SRV);
        let records = [Record::Alias(HOST, "b.example"), Record::Srv("b.example", 1, "x.example")];
        let mut said = reply(&sent.query, Rcode::NOERROR, &records);
        let head = if whole { 2 } else { at.min(said.len()) };
        said.truncate(head);
        said.extend(&bytes);
        play.stub.received(play.now, sent.exchange, &said);
        play.sent();
    }
}

mod waiting {
    //! Over sockets, by UDP and TCP.

    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, UdpSocket};
    use std::thread;

    use super::super::wait::look_up_with;
    use super::*;

    #[test]
    fn a_command_waits_for_what_comes_by_datagram_and_by_stream() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = udp.local_addr().unwrap();
        let tcp = TcpListener::bind(server).unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            loop {
                let (count, from) = udp.recv_from(&mut buffer).unwrap();
                let query = &buffer[..count];
                let qtype = Message::from_octets(query).unwrap().qtype().unwrap();
                let bytes = match qtype {
                    Rtype::SRV => truncated(query),
                    Rtype::A => reply(query, Rcode::NOERROR, &[Record::A(HOST, [192, 0, 2, 7])]),
                    _ => reply(query, Rcode::NOERROR, &[]),
                };
                udp.send_to(b"noise", from).unwrap();
                udp.send_to(&bytes, from).unwrap();
            }
        });
        thread::spawn(move || {
            let (mut socket, _) = tcp.accept().unwrap();
            let mut length = [0; 2];
            socket.read_exact(&mut length).unwrap();
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            socket.read_exact(&mut query).unwrap();
            let bytes = reply(&query, Rcode::NOERROR, &[Record::Srv(HOST, 1, "x.example")]);
            let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
            socket.write_all(&[&length[..], &bytes].concat()).unwrap();
        });
        let mut conf = ResolvConf::parse("");
        conf.servers = vec![server];
        let stub = Stub::new(conf, Hosts::default(), Box::new(|| 7));
        let lookups = [
            Lookup::Addresses(HOST.into()),
            Lookup::Services(HOST.into()),
        ];
        let answers = look_up_with(stub, &lookups);
        let found = vec!["192.0.2.7".parse().unwrap()];
        assert_eq!(answers[0].resolved, Resolved::Addresses(found, Source::Dns));
        assert!(matches!(answers[1].resolved, Resolved::Services(_)));
    }
}
