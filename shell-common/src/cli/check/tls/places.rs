//! Where the servers of a domain are: what its SRV records say (RFC 6120 §3.2.1, XEP-0368 §3), or the domain itself where there are none (RFC 6120
//! §3.2.2).

use std::net::{IpAddr, SocketAddr};

use spondee_core::jid::Domain;
use spondee_core::port::{Lookup, Opening, Resolved, Service};

use super::way::{Peer, Way, port_of};
use crate::dns::{Answer, Name, ResolvConf, look_up, order, roll};
use crate::tls::to_ascii;

/// One place at which a server may be.
#[derive(Clone, Debug)]
pub(super) struct Place {
    name: Box<str>,
    port: u16,
    pub(super) addresses: Vec<SocketAddr>,
    /// Why there are none, if there is more to say than that.
    pub(super) why: Option<String>,
}

/// Where one way leads.
#[derive(Clone, Debug)]
pub(super) enum Places {
    /// To what `--connect` says: a host, with a port if it is not the usual one.
    Told(String),
    /// To these, in this order.
    Srv(Vec<Place>),
    /// There are no records of this service: to the domain itself.
    Domain(Place),
    /// Nowhere: the domain says so.
    Nowhere(String),
}

impl Places {
    /// The places of all ways, each asked for at once, and what else there is to know.
    pub(super) fn find(
        domain: &Domain,
        ways: &[Way],
        connect: Option<&str>,
        conf: &ResolvConf,
    ) -> (Vec<Self>, Vec<String>) {
        let told = |place: &str| {
            let told = ways
                .iter()
                .map(|way| Self::Told(with_port(place, way.port())));
            (told.collect(), Vec::new())
        };
        if let Some(place) = connect {
            return told(place);
        }
        let ascii = to_ascii(domain);
        // An address is its own place, and so is a name that is too long to have services.
        let name = Name::parse(&ascii).filter(|_| !is_address(&ascii));
        let services = |name: &Name| -> Option<Vec<Lookup>> {
            let services = ways.iter().map(|way| {
                let service = name.service(service(*way))?;
                Some(Lookup::Services(service.to_string().into()))
            });
            services.collect()
        };
        let Some((name, lookups)) =
            name.and_then(|name| Some((name.to_string(), services(&name)?)))
        else {
            return told(&ascii);
        };
        let answers = look_up(conf, &lookups);
        let mut notes = Vec::new();
        let mut places = Vec::with_capacity(ways.len());
        for (way, answer) in ways.iter().zip(answers) {
            let record = format!("{}.{name}", service(*way));
            places.push(match answer.resolved {
                Resolved::Services(services) => {
                    let targets = order(services, &mut roll);
                    Self::Srv(targets.iter().map(Place::of).collect())
                }
                Resolved::NoService => Self::Nowhere(format!("{record} says that there is none")),
                Resolved::Addresses(..) | Resolved::NoName | Resolved::NoData => {
                    Self::Domain(Place::itself(&name, way.port()))
                }
                Resolved::Failed(_) => {
                    notes.push(format!(
                        "{record}: {}; it is the addresses of {domain} itself that were taken. Where its SRV records name another server, \
                         name that by --connect HOST:PORT",
                        words(&answer)
                    ));
                    Self::Domain(Place::itself(&name, way.port()))
                }
            });
        }
        fill(&mut places, conf);
        (places, notes)
    }
}

/// Looks up the addresses of all places at once.
fn fill(places: &mut [Places], conf: &ResolvConf) {
    let mut all: Vec<&mut Place> = places
        .iter_mut()
        .flat_map(|places| match places {
            Places::Srv(places) => places.iter_mut().collect(),
            Places::Domain(place) => vec![place],
            Places::Told(_) | Places::Nowhere(_) => Vec::new(),
        })
        .collect();
    let lookups = all
        .iter()
        .map(|place| Lookup::Addresses(place.name.clone()));
    let answers = look_up(conf, &lookups.collect::<Vec<_>>());
    for (place, answer) in all.iter_mut().zip(answers) {
        let port = place.port;
        place.why = match answer.resolved {
            Resolved::Addresses(addresses, _) => {
                place.addresses = addresses.into_iter().map(|ip| (ip, port).into()).collect();
                None
            }
            Resolved::Failed(_) => Some(words(&answer)),
            Resolved::NoName => Some("there is no such name".to_owned()),
            Resolved::NoData | Resolved::Services(_) | Resolved::NoService => None,
        };
    }
}

/// Why nobody could say.
fn words(answer: &Answer) -> String {
    let words = answer.failure.as_ref().map(ToString::to_string);
    words.unwrap_or_default()
}

impl Place {
    /// `HOST:PORT`, as it is told.
    pub(super) fn words(&self) -> String {
        format!("{}:{}", self.name, self.port)
    }

    fn of(service: &Service) -> Self {
        Self::itself(&service.target, service.port)
    }

    fn itself(name: &str, port: u16) -> Self {
        Self {
            name: name.into(),
            port,
            addresses: Vec::new(),
            why: None,
        }
    }
}

/// RFC 7622 §3.2: a domain may be an IP address, of version 6 in brackets.
fn is_address(domain: &str) -> bool {
    let bare = domain.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
}

fn with_port(place: &str, port: u16) -> String {
    match port_of(place) {
        Some(_) => place.to_owned(),
        None => format!("{place}:{port}"),
    }
}

/// RFC 6120 §3.2.1, XEP-0368 §3.
const fn service(way: Way) -> &'static str {
    match (way.peer, way.opening) {
        (Peer::Client, Opening::Clear) => "_xmpp-client._tcp",
        (Peer::Client, Opening::Tls) => "_xmpps-client._tcp",
        (Peer::Server, Opening::Clear) => "_xmpp-server._tcp",
        (Peer::Server, Opening::Tls) => "_xmpps-server._tcp",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_own_place_and_nobody_is_asked() {
        let conf = ResolvConf::parse("nameserver 192.0.2.1\noptions timeout:1 attempts:1");
        for (domain, place) in [("127.0.0.1", "127.0.0.1:5222"), ("[::1]", "[::1]:5222")] {
            let domain = Domain::parse(domain).unwrap();
            let ways = [Way::new(Peer::Client, Opening::Clear)];
            let (places, notes) = Places::find(&domain, &ways, None, &conf);
            assert!(matches!(&places[..], [Places::Told(told)] if told == place));
            assert_eq!(notes, Vec::<String>::new());
        }
    }

    #[test]
    fn who_is_told_where_to_go_asks_nobody() {
        let conf = ResolvConf::parse("");
        let domain = Domain::parse("a.example").unwrap();
        let places = Places::find(&domain, &Way::ALL, Some("192.0.2.7"), &conf).0;
        let told = |places: &Places| match places {
            Places::Told(told) => told.clone(),
            Places::Domain(_) | Places::Nowhere(_) | Places::Srv(_) => String::new(),
        };
        let told: Vec<String> = places.iter().map(told).collect();
        let ports = [5222, 5223, 5269, 5270];
        assert_eq!(told, ports.map(|port| format!("192.0.2.7:{port}")));
    }
}
