//! Where to listen: each interface with each port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use spondee_core::options::{Item, Source as _, of_server};
use spondee_core::port::{Listener, Opening};

use super::Listen;
use super::reader::Reader;

/// The options of one kind of port.
struct Ports {
    ports: &'static str,
    ports_words: &'static str,
    interfaces: &'static str,
    default: u16,
    opening: Opening,
}

const CLEAR: Ports = Ports {
    ports: "c2s_ports",
    ports_words: "Ports where a stream starts in clear and TLS is begun by STARTTLS.",
    interfaces: "c2s_interfaces",
    default: 5222,
    opening: Opening::Clear,
};

/// Choice: on by default, as Prosody's is not: direct TLS saves a client round trips and needs no further option.
const TLS: Ports = Ports {
    ports: "c2s_direct_tls_ports",
    ports_words: "Ports where TLS comes first (XEP-0368). An empty list switches them off. Prosody has none unless told.",
    interfaces: "c2s_direct_tls_interfaces",
    default: 5223,
    opening: Opening::Tls,
};

const INTERFACES: &str = "interfaces";

/// An address to listen on; `*` is all of IPv4, as in Prosody.
#[derive(Clone, Copy, Debug)]
struct Interface(IpAddr);

impl Item for Interface {
    const WANTED: &'static str = "a list of addresses in quotes";
    const NONE: &'static str = "no IP address, nor \"*\" (all of IPv4) or \"::\" (all of IPv6)";

    fn read(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self(Ipv4Addr::UNSPECIFIED.into())),
            text => text.parse().ok().map(Self),
        }
    }
}

/// All listening addresses.
pub(super) fn read(from: &mut Reader<'_, '_, '_>) -> Vec<Listen> {
    let everywhere: Vec<Interface> = from.list(
        &of_server(
            INTERFACES,
            "Addresses to listen on: \"*\" is all of IPv4, \"::\" all of IPv6.",
        ),
        &["*", "::"],
    );
    let clear = from.list_if_any(
        &of_server(
            CLEAR.interfaces,
            "The same for one kind of port alone. The default is `interfaces`.",
        )
        .shown_as("[\"192.0.2.1\", \"2001:db8::1\"]"),
    );
    let tls = from.list_if_any(&of_server(TLS.interfaces, "").shown_as("[\"*\", \"::\"]"));
    let mut all: Vec<Listen> = Vec::new();
    let mut twice: Vec<u16> = Vec::new();
    for (kind, interfaces) in [(CLEAR, clear), (TLS, tls)] {
        let interfaces = interfaces.as_ref().unwrap_or(&everywhere);
        let ports = from.numbers(
            &of_server(kind.ports, kind.ports_words),
            kind.default,
            1..=u16::MAX,
        );
        for port in ports {
            for Interface(address) in interfaces {
                let listen = Listen {
                    address: SocketAddr::new(*address, port),
                    listener: Listener::of_clients(kind.opening),
                };
                match all.iter().find(|other| other.address == listen.address) {
                    None => all.push(listen),
                    Some(other) if *other == listen || twice.contains(&port) => {}
                    Some(_) => twice.push(port),
                }
            }
        }
    }
    let options = [
        CLEAR.ports,
        TLS.ports,
        INTERFACES,
        CLEAR.interfaces,
        TLS.interfaces,
    ];
    if options.iter().all(|option| from.faults.trusts(option)) {
        for port in twice {
            clash(from, port);
        }
        if all.is_empty() {
            let written = options.into_iter().find(|option| from.is_written(option));
            let span = from.span(written.unwrap_or_default());
            let fault = "there is nothing to listen on: no port or no interface is left".to_owned();
            from.faults.at(&span, fault);
        }
    }
    all
}

/// A port that would have both kinds of clients. Told at an option that the file has: the other one may be at its default.
fn clash(from: &mut Reader<'_, '_, '_>, port: u16) {
    let what = |kind: &Ports| match kind.opening {
        Opening::Clear => "a stream starts in clear",
        Opening::Tls => "TLS comes first",
    };
    let has = |kind: &Ports| from.is_written(kind.ports);
    let (here, other) = if has(&TLS) {
        (TLS, CLEAR)
    } else {
        (CLEAR, TLS)
    };
    let remedy = match has(&other) {
        true => format!("take it out of `{}` or of `{}`", here.ports, other.ports),
        false => format!(
            "take it out here, or set `{}`, which is [{}] where nothing is said",
            other.ports, other.default
        ),
    };
    let fault = format!(
        "`{}` names port {port}, which `{}` has already, where {}: {remedy}",
        here.ports,
        other.ports,
        what(&other)
    );
    let span = from.span_of(here.ports, port);
    from.faults.at(&span, fault);
}
