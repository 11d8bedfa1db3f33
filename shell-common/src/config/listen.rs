//! Where to listen: each interface with each port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use spondee_core::federation::FederationOptions;
use spondee_core::options::{Item, Source as _, of_server};
use spondee_core::port::{Expected, Listener, Opening};

use super::Listen;
use super::reader::Reader;
use super::sections::COMPONENT;

/// The options of one kind of port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) ports: &'static str,
    ports_words: &'static str,
    pub(crate) interfaces: &'static str,
    default: Option<u16>,
    listener: Listener,
}

const CLEAR: Ports = Ports {
    ports: "c2s_ports",
    ports_words: "Ports where a stream starts in clear and TLS is begun by STARTTLS.",
    interfaces: "c2s_interfaces",
    default: Some(5222),
    listener: Listener::of_clients(Opening::Clear),
};

/// Choice: on by default, as Prosody's is not: direct TLS saves a client round trips and needs no further option.
const TLS: Ports = Ports {
    ports: "c2s_direct_tls_ports",
    ports_words: "Ports where TLS comes first (XEP-0368). An empty list switches them off. Prosody has none unless told.",
    interfaces: "c2s_direct_tls_interfaces",
    default: Some(5223),
    listener: Listener::of_clients(Opening::Tls),
};

const SERVERS: Ports = Ports {
    ports: "s2s_ports",
    ports_words: "Ports where the servers of other domains connect. An empty list switches them off: then nobody there can answer by \
                  a connection of his own. Another port than 5269 is found by an SRV record of `_xmpp-server._tcp`.",
    interfaces: "s2s_interfaces",
    default: Some(5269),
    listener: Listener::of_servers(Opening::Clear),
};

/// `Choice:` off by default, as Prosody's: nobody comes there before DNS says so.
const SERVERS_TLS: Ports = Ports {
    ports: "s2s_direct_tls_ports",
    ports_words: "Ports where TLS comes first (XEP-0368), such as [5270]. Servers find them by an SRV record of `_xmpps-server._tcp` alone.",
    interfaces: "s2s_direct_tls_interfaces",
    default: None,
    listener: Listener::of_servers(Opening::Tls),
};

/// `Choice:` on loopback unless told otherwise, as Prosody's: the protocol has no TLS.
const COMPONENTS: Ports = Ports {
    ports: "component_ports",
    ports_words: "Ports where components connect (XEP-0114), such as gateways to other networks, once there is a section for one: see below.",
    interfaces: "component_interfaces",
    default: Some(5347),
    listener: Listener::of_components(),
};

impl Ports {
    /// The options by which there is such a listener.
    pub(crate) const fn of(listener: Listener) -> Self {
        match (listener.expected, listener.opening) {
            (Expected::Clients, Opening::Clear) => CLEAR,
            (Expected::Clients, Opening::Tls) => TLS,
            (Expected::Servers, Opening::Clear) => SERVERS,
            (Expected::Servers, Opening::Tls) => SERVERS_TLS,
            (Expected::Components, Opening::Clear | Opening::Tls) => COMPONENTS,
        }
    }
}

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

/// What the options of ports name: with each kind its addresses.
#[derive(Debug, Default)]
pub(super) struct Named {
    everywhere: Vec<Interface>,
    each: Vec<(Ports, Vec<SocketAddr>)>,
}

/// Where clients connect.
pub(super) fn clients(from: &mut Reader<'_, '_, '_>) -> Named {
    let everywhere: Vec<Interface> = from.list(
        &of_server(
            INTERFACES,
            "Addresses to listen on: \"*\" is all of IPv4, \"::\" all of IPv6.",
        ),
        &["*", "::"],
    );
    let mut named = Named {
        everywhere,
        each: Vec::new(),
    };
    named.read(from, [CLEAR, TLS]);
    named
}

impl Named {
    /// And where other servers do.
    pub(super) fn servers(&mut self, from: &mut Reader<'_, '_, '_>) {
        self.read(from, [SERVERS, SERVERS_TLS]);
    }

    /// And where components do.
    pub(super) fn components(&mut self, from: &mut Reader<'_, '_, '_>) {
        let interfaces: Vec<Interface> = from.list(
            &of_server(
                COMPONENTS.interfaces,
                "Addresses for them. A component speaks without TLS, so what it says and hears is for everybody to read who can listen on the way.",
            ),
            &["127.0.0.1", "::1"],
        );
        let addresses = addresses(from, COMPONENTS, &interfaces);
        // Nobody may come in there before.
        if !from.is_written(COMPONENT) {
            return;
        }
        let public = addresses.iter().find(|at| !at.ip().is_loopback());
        if let Some(public) = public {
            from.warn(format!(
                "components connect without TLS, and `{}` lets them do so at {}: whoever can listen on the way reads all of it. Let them connect \
                 on loopback, or by a tunnel",
                COMPONENTS.interfaces,
                public.ip()
            ));
        }
        self.each.push((COMPONENTS, addresses));
    }

    fn read(&mut self, from: &mut Reader<'_, '_, '_>, [clear, tls]: [Ports; 2]) {
        let of_clear = from.list_if_any(
            &of_server(
                clear.interfaces,
                "Addresses to listen on for one kind of port alone. The default is `interfaces`.",
            )
            .shown_as("[\"192.0.2.1\", \"2001:db8::1\"]"),
        );
        let of_tls = from.list_if_any(&of_server(tls.interfaces, "").shown_as("[\"*\", \"::\"]"));
        for (kind, interfaces) in [(clear, of_clear), (tls, of_tls)] {
            let interfaces = interfaces.as_ref().unwrap_or(&self.everywhere);
            let addresses = addresses(from, kind, interfaces);
            self.each.push((kind, addresses));
        }
    }

    /// All listening addresses. Those for servers only if there are other servers to talk to.
    pub(super) fn settle(
        mut self,
        from: &mut Reader<'_, '_, '_>,
        federation: &FederationOptions,
    ) -> Vec<Listen> {
        if federation.rules.are_isolated() {
            self.each
                .retain(|(kind, _)| kind.listener.expected != Expected::Servers);
        }
        let mut all: Vec<(Ports, SocketAddr)> = Vec::new();
        let mut twice: Vec<(u16, [Ports; 2])> = Vec::new();
        for (kind, addresses) in self.each {
            for address in addresses {
                let known = |port| twice.iter().any(|(other, _)| *other == port);
                match all.iter().find(|(_, other)| *other == address) {
                    None => all.push((kind, address)),
                    Some((other, _)) if other.ports == kind.ports || known(address.port()) => {}
                    Some((other, _)) => twice.push((address.port(), [*other, kind])),
                }
            }
        }
        let options = |kinds: &[Ports]| -> Vec<&str> {
            let own = kinds.iter().flat_map(|kind| [kind.ports, kind.interfaces]);
            [INTERFACES].into_iter().chain(own).collect()
        };
        let trusts = |from: &Reader<'_, '_, '_>, kinds: &[Ports]| {
            let options = options(kinds);
            options.iter().all(|option| from.faults.trusts(option))
        };
        for (port, kinds) in twice {
            if trusts(from, &kinds) {
                clash(from, port, kinds);
            }
        }
        let is_of_clients =
            |(kind, _): &(Ports, SocketAddr)| kind.listener.expected == Expected::Clients;
        if trusts(from, &[CLEAR, TLS]) && !all.iter().any(is_of_clients) {
            let options = [
                CLEAR.ports,
                TLS.ports,
                INTERFACES,
                CLEAR.interfaces,
                TLS.interfaces,
            ];
            let written = options.into_iter().find(|option| from.is_written(option));
            let span = from.span(written.unwrap_or_default());
            let fault =
                "there is nothing to listen on for clients: no port or no interface is left"
                    .to_owned();
            from.faults.at(&span, fault);
        }
        let listen = all.into_iter().map(|(kind, address)| Listen {
            address,
            listener: kind.listener,
        });
        listen.collect()
    }
}

/// Each interface with each port.
fn addresses(
    from: &mut Reader<'_, '_, '_>,
    kind: Ports,
    interfaces: &[Interface],
) -> Vec<SocketAddr> {
    let ports = from.numbers(
        &of_server(kind.ports, kind.ports_words),
        kind.default,
        1..=u16::MAX,
    );
    let addresses = ports.into_iter().flat_map(|port| {
        let each = interfaces.iter();
        each.map(move |Interface(address)| SocketAddr::new(*address, port))
    });
    addresses.collect()
}

/// A port that would have two kinds of peers. Told at an option that the file has: the other one may be at its default.
fn clash(from: &mut Reader<'_, '_, '_>, port: u16, [first, second]: [Ports; 2]) {
    let what = |kind: &Ports| match (kind.listener.expected, kind.listener.opening) {
        (Expected::Clients, Opening::Clear) => "a stream starts in clear",
        (Expected::Clients, Opening::Tls) => "TLS comes first",
        (Expected::Servers, Opening::Clear) => "other servers connect",
        (Expected::Servers, Opening::Tls) => "other servers connect by direct TLS",
        (Expected::Components, Opening::Clear | Opening::Tls) => "components connect",
    };
    let has = |kind: &Ports| from.is_written(kind.ports);
    let (here, other) = match has(&second) {
        true => (second, first),
        false => (first, second),
    };
    let remedy = match (has(&other), other.default) {
        (false, Some(default)) => format!(
            "take it out here, or set `{}`, which is [{default}] where nothing is said",
            other.ports
        ),
        (true, _) | (false, None) => {
            format!("take it out of `{}` or of `{}`", here.ports, other.ports)
        }
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
