//! A resolver with questions, among name servers, networks and files that do what the bytes say.
//!
//! Each question is answered once, in the end; no more is under way than may be; time always moves on; and what is found is something.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use spondee_core::port::{Lookup, Resolved};

use crate::dns::{Exchange, Hosts, ResolvConf, Stub, Transmit};
use crate::limits::dns::{
    DNS_ALIASES, DNS_ATTEMPTS_MAX, DNS_QUESTIONS, DNS_RECORDS, DNS_SERVERS, DNS_SOCKETS,
};

/// Reads steps from the bytes, and takes them; then nobody says anything more, and all that was asked is answered.
pub fn dns(bytes: &[u8]) {
    let mut play = Play::new();
    let mut script = Script(bytes);
    while !script.0.is_empty() {
        play.step(&mut script);
        play.take();
    }
    play.end();
}

/// Reads decisions from bytes. At their end every decision is 0.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn pick(&mut self, among: &[&'static str]) -> &'static str {
        let at = self.below(among.len());
        among.get(at).copied().unwrap_or_default()
    }
}

const NAMES: [&str; 10] = [
    "a.example",
    "b.example",
    "_xmpp-server._tcp.a.example",
    "in-hosts.example",
    "a.localhost",
    "localhost",
    "a.invalid",
    "",
    ".",
    "no name",
];

const SERVERS: [&str; 4] = [
    "nameserver 192.0.2.1\nnameserver 192.0.2.2\noptions timeout:1 attempts:2",
    "nameserver 192.0.2.1\noptions timeout:5 attempts:1",
    "nameserver 192.0.2.3\nnameserver 2001:db8::1\nnameserver 192.0.2.1\noptions attempts:5 timeout:30",
    "",
];

const HOSTS: [&str; 2] = ["", "192.0.2.9 in-hosts.example\n2001:db8::9 a.example"];

struct Play {
    stub: Stub,
    now: Instant,
    last: u64,
    unanswered: BTreeSet<u64>,
    /// Exchanges under way with their queries.
    open: BTreeMap<Exchange, Vec<u8>>,
    begun: BTreeSet<Exchange>,
    /// How many exchanges there may have been.
    allowed: usize,
}

/// Of one question: two searches, each of which asks every server so often and once for each alias, by datagram and by stream.
const EXCHANGES: usize = 2 * 2 * (DNS_SERVERS * DNS_ATTEMPTS_MAX as usize + DNS_ALIASES + 1);

impl Play {
    fn new() -> Self {
        let mut number: u16 = 0;
        let dice = move || {
            number = number.wrapping_add(257);
            number
        };
        let conf = ResolvConf::parse(SERVERS.first().copied().unwrap_or_default());
        Self {
            stub: Stub::new(conf, Hosts::default(), Box::new(dice)),
            now: Instant::now(),
            last: 0,
            unanswered: BTreeSet::new(),
            open: BTreeMap::new(),
            begun: BTreeSet::new(),
            allowed: 0,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(9) {
            0 | 1 => {
                let name = script.pick(&NAMES).into();
                self.ask(&match script.below(2) {
                    0 => Lookup::Addresses(name),
                    _ => Lookup::Services(name),
                });
            }
            2..=4 => {
                let (exchange, query) = self.any(script);
                let message = reply(&query, script);
                self.stub.received(self.now, exchange, &message);
            }
            5 => {
                let (exchange, query) = self.any(script);
                let count = script.below(256);
                // The number is right, so that it is looked at.
                let number = query.get(..2).unwrap_or_default();
                let message = [number, script.take(count)].concat();
                self.stub.received(self.now, exchange, &message);
            }
            6 => {
                let (exchange, _) = self.any(script);
                self.stub.failed(self.now, exchange);
            }
            7 => {
                self.now += Duration::from_millis(50) * u32::from(script.byte());
                self.tick();
            }
            _ => {
                let hosts = Hosts::parse(script.pick(&HOSTS));
                self.stub.replace_hosts(hosts);
                let conf = ResolvConf::parse(script.pick(&SERVERS));
                // What is under way may begin again.
                self.allowed += EXCHANGES * self.unanswered.len();
                self.stub.replace_servers(self.now, conf);
            }
        }
    }

    fn ask(&mut self, lookup: &Lookup) {
        self.last += 1;
        self.unanswered.insert(self.last);
        self.allowed += EXCHANGES;
        self.stub.ask(self.now, self.last, lookup);
    }

    /// An exchange that is under way, or one that never was.
    fn any(&self, script: &mut Script<'_>) -> (Exchange, Vec<u8>) {
        let at = script.below(self.open.len() + 1);
        let open = self.open.iter().nth(at);
        let (exchange, query) = open.map_or((Exchange(u64::MAX), None), |(exchange, query)| {
            (*exchange, Some(query.clone()))
        });
        (exchange, query.unwrap_or_default())
    }

    /// Time has passed; whatever was due is done by then.
    fn tick(&mut self) {
        self.stub.tick(self.now);
        let next = self.stub.poll_timeout();
        assert!(next.is_none_or(|at| at > self.now), "time stands still");
    }

    /// What the resolver wants done and has found out.
    fn take(&mut self) {
        while let Some(transmit) = self.stub.poll_transmit() {
            match transmit {
                Transmit::Datagram(exchange, _, query) | Transmit::Stream(exchange, _, query) => {
                    assert!(self.begun.insert(exchange), "an exchange begins twice");
                    self.open.insert(exchange, query);
                }
                Transmit::Close(exchange) => {
                    let was_open = self.open.remove(&exchange).is_some();
                    assert!(was_open, "what is not open is closed");
                }
            }
            assert!(self.open.len() <= DNS_SOCKETS, "too many sockets");
            assert!(self.begun.len() <= self.allowed, "too many exchanges");
        }
        while let Some(answer) = self.stub.poll_answer() {
            let was_asked = self.unanswered.remove(&answer.ticket);
            assert!(was_asked, "an answer to nothing, or a second one");
            let is_failure = matches!(answer.resolved, Resolved::Failed(_));
            assert_eq!(is_failure, answer.failure.is_some());
            look_at(&answer.resolved);
        }
        assert!(self.unanswered.len() <= DNS_QUESTIONS, "too many questions");
        let families = 2 * self.unanswered.len();
        assert!(self.open.len() <= families, "a socket is for nobody");
    }

    /// Nobody says anything more.
    fn end(mut self) {
        let mut waits = 0;
        while let Some(at) = self.stub.poll_timeout() {
            self.now = self.now.max(at);
            self.tick();
            self.take();
            waits += 1;
            assert!(waits <= DNS_QUESTIONS * EXCHANGES, "there is no end");
        }
        self.take();
        assert_eq!(self.unanswered, BTreeSet::new(), "never answered");
        assert!(self.open.is_empty(), "a socket stays open");
    }
}

/// What is found is something, and no more than is of use.
fn look_at(resolved: &Resolved) {
    match resolved {
        Resolved::Addresses(addresses, _) => {
            assert!((1..=2 * DNS_RECORDS).contains(&addresses.len()));
        }
        Resolved::Services(services) => {
            assert!((1..=DNS_RECORDS).contains(&services.len()));
            let mut targets = services.iter().map(|service| &*service.target);
            assert!(targets.all(|target| target != "." && !target.is_empty()));
        }
        Resolved::NoService | Resolved::NoName | Resolved::NoData | Resolved::Failed(_) => {}
    }
}

const HEADER_BYTES: usize = 12;
/// A pointer to the name in the question (RFC 1035 §4.1.4).
const ASKED: [u8; 2] = [0xc0, 12];

/// What a name server says to a query, right in its form for the most part.
fn reply(query: &[u8], script: &mut Script<'_>) -> Vec<u8> {
    let name = query.iter().skip(HEADER_BYTES);
    let question = HEADER_BYTES + name.take_while(|byte| **byte != 0).count() + 5;
    let mut message = query.get(..question).unwrap_or(query).to_vec();
    if message.len() < HEADER_BYTES {
        return message;
    }
    let rcode = [0, 0, 0, 3, 2, 5].get(script.below(6)).copied();
    let truncated = if script.below(8) == 7 { 0b10 } else { 0 };
    message.splice(2..4, [0b1000_0001 | truncated, rcode.unwrap_or(0)]);
    let (answers, authority) = (script.below(5), script.below(2));
    let counts = [answers, authority, 0].map(|count| u8::try_from(count).unwrap_or(0));
    message.splice(6..12, counts.into_iter().flat_map(|count| [0, count]));
    for _ in 0..answers {
        record(&mut message, script);
    }
    for _ in 0..authority {
        soa(&mut message, script);
    }
    // Now and then it is damaged on its way.
    if script.below(4) == 3 {
        let (at, flip) = (script.below(message.len()), script.byte());
        if let Some(byte) = message.get_mut(at) {
            *byte ^= flip;
        }
        message.truncate(message.len() - script.below(4).min(message.len()));
    }
    message
}

fn record(message: &mut Vec<u8>, script: &mut Script<'_>) {
    write_name(message, script);
    let (rtype, data) = match script.below(5) {
        0 => (1, vec![192, 0, 2, script.byte()]),
        1 => (
            28,
            [&[0x20, 1, 0xd, 0xb8][..], &[script.byte(); 12]].concat(),
        ),
        2 => {
            let mut data = vec![0, script.byte(), 0, script.byte(), 20, script.byte()];
            write_name(&mut data, script);
            (33, data)
        }
        3 => {
            let mut data = Vec::new();
            write_name(&mut data, script);
            (5, data)
        }
        _ => {
            let count = script.below(64);
            (script.byte(), script.take(count).to_vec())
        }
    };
    write_record(message, rtype, script.byte(), &data);
}

/// There is nothing, for so long.
fn soa(message: &mut Vec<u8>, script: &mut Script<'_>) {
    message.push(0);
    let mut data = vec![0, 0];
    data.extend([0; 16]);
    data.extend([0, 0, 0, script.byte()]);
    write_record(message, 6, script.byte(), &data);
}

fn write_record(message: &mut Vec<u8>, rtype: u8, ttl: u8, data: &[u8]) {
    message.extend([0, rtype, 0, 1, 0, 0, 0, ttl]);
    let length = u16::try_from(data.len()).unwrap_or(0);
    message.extend(length.to_be_bytes());
    message.extend(data);
}

fn write_name(message: &mut Vec<u8>, script: &mut Script<'_>) {
    match script.below(8) {
        0..=4 => message.extend(ASKED),
        5 => message.push(0),
        6 => {
            let labels = script.pick(&NAMES).split('.');
            for label in labels.filter(|label| !label.is_empty()) {
                message.push(u8::try_from(label.len()).unwrap_or(0));
                message.extend(label.bytes());
            }
            message.push(0);
        }
        _ => {
            let count = script.below(64);
            message.extend(script.take(count));
        }
    }
}
