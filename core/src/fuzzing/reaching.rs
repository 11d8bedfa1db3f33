//! What becomes of domains that are being reached: commands, DNS that says anything, connections that open, wait or do not, and servers that say
//! anything.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::cursor::Cursor;
use super::peer::{Side, Speech};
use super::world::World;
use crate::jid::Domain;
use crate::port::{
    Command, ConnectError, Lookup, LookupError, Protocol, Resolved, Service, Source,
};
use crate::testing::Door;

/// Who is reached; the last is its own place, and nobody is asked.
const DOMAINS: [&str; 3] = ["a.example", "c.example", "192.0.2.2"];
const TARGETS: [&str; 4] = ["d.example", "e.example", ".", ""];
const ADDRESSES: [&str; 5] = [
    "192.0.2.1",
    "192.0.2.2",
    "192.0.2.3",
    "2001:db8::1",
    "2001:db8::2",
];
const PORTS: [u16; 2] = [5222, 5269];
const ERRORS: [ConnectError; 4] = [
    ConnectError::Exhausted,
    ConnectError::Refused,
    ConnectError::TimedOut,
    ConnectError::Unreachable,
];

/// One step out of these.
pub(super) fn step(world: &mut World, bytes: &mut Cursor<'_>) {
    match bytes.below(10) {
        0 | 1 => {
            let domain = Domain::parse(bytes.pick(&DOMAINS)).expect("a domain");
            let service = bytes.pick(&[Protocol::XmppClient, Protocol::XmppServer]);
            world.command(Command::Reach { domain, service });
        }
        2 | 3 => publish(world, bytes),
        4 => {
            let at = place(bytes);
            let door = match bytes.below(3) {
                0 => Door::Waits,
                1 => Door::Opens,
                _ => Door::Refuses(bytes.pick(&ERRORS)),
            };
            world.set_door(at, door);
        }
        5 => {
            let at = server(world, bytes);
            world.open_door(at);
        }
        6 => {
            let (at, error) = (server(world, bytes), bytes.pick(&ERRORS));
            world.refuse(at, error);
        }
        7 | 8 => {
            let phrase = phrase(bytes);
            let at = server(world, bytes);
            if let Some(peer) = world.peers.get_mut(at) {
                peer.speech = Speech::Free;
            }
            world.say(at, phrase.as_bytes());
        }
        _ => {
            let at = bytes.below(world.peers.len());
            world.connect_falsely(at);
        }
    }
}

/// A server to which a shard connected, if there is any.
fn server(world: &World, bytes: &mut Cursor<'_>) -> usize {
    let servers = world.peers.iter().enumerate();
    let servers: Vec<_> = servers
        .filter(|(_, peer)| peer.side == Side::Server)
        .collect();
    let at = bytes.below(servers.len());
    servers.get(at).map_or(usize::MAX, |(at, _)| *at)
}

fn place(bytes: &mut Cursor<'_>) -> SocketAddr {
    SocketAddr::new(address(bytes), bytes.pick(&PORTS))
}

fn address(bytes: &mut Cursor<'_>) -> IpAddr {
    bytes.pick(&ADDRESSES).parse().expect("an address")
}

fn publish(world: &mut World, bytes: &mut Cursor<'_>) {
    let domain = bytes.pick(&DOMAINS);
    let lookup = match bytes.below(5) {
        0 => Lookup::Services(format!("_xmpps-client._tcp.{domain}").into()),
        1 => Lookup::Services(format!("_xmpp-client._tcp.{domain}").into()),
        2 => Lookup::Services(format!("_xmpp-server._tcp.{domain}").into()),
        3 => Lookup::Addresses(domain.into()),
        _ => Lookup::Addresses(bytes.pick(&TARGETS).into()),
    };
    let failed = [
        LookupError::Busy,
        LookupError::Refused,
        LookupError::TimedOut,
    ];
    let records = match lookup {
        Lookup::Addresses(_) => {
            let each = (0..=bytes.byte()).map(|_| address(bytes));
            Resolved::Addresses(each.take(40).collect(), Source::Dns)
        }
        Lookup::Services(_) => {
            let each = (0..=bytes.byte()).map(|_| Service {
                priority: u16::from(bytes.byte()),
                weight: u16::from(bytes.byte()) * 257,
                port: bytes.pick(&PORTS),
                target: bytes.pick(&TARGETS).into(),
            });
            Resolved::Services(each.take(40).collect())
        }
    };
    let outcome = match bytes.below(8) {
        0 => Resolved::NoName,
        1 => Resolved::NoData,
        2 => Resolved::Failed(bytes.pick(&failed)),
        3 if matches!(lookup, Lookup::Services(_)) => Resolved::NoService,
        _ => records,
    };
    world.publish(lookup, outcome);
}

/// What servers say, the truth among it.
fn phrase(bytes: &mut Cursor<'_>) -> String {
    let from = bytes.pick(&DOMAINS);
    let content = bytes.pick(&["jabber:client", "jabber:server", "u"]);
    let version = bytes.pick(&[" version='1.0'", " version='1.0'", " version='0.9'", ""]);
    let header = format!(
        "<?xml version='1.0'?><stream:stream xmlns='{content}' xmlns:stream='http://etherx.jabber.org/streams' id='x' from='{from}'{version}>"
    );
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
    let features = |inside: &str| format!("<stream:features>{inside}</stream:features>");
    let times = usize::from(bytes.byte());
    match bytes.below(12) {
        0 => header,
        1 => header + &features(starttls),
        2 => header + &features("<x xmlns='u'/>"),
        3 => features(starttls),
        4 => features(&"<p:x xmlns:p='u'/>".repeat(times)),
        5 => "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(),
        6 => "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>".to_owned(),
        7 => "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>".to_owned(),
        8 => "</stream:stream>".to_owned(),
        9 => " ".repeat(times * 40),
        10 => features(
            "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>",
        ),
        _ => {
            let said = bytes.take(times).to_vec();
            String::from_utf8(said).unwrap_or_else(|_| "<a>".repeat(times))
        }
    }
}
