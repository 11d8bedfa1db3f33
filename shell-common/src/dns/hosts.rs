//! `/etc/hosts` (hosts(5)): what the administrator of this machine says of names, before anybody else is asked. And the names of which everybody
//! knows what they are (RFC 6761).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Name;
use crate::limits::dns::DNS_RECORDS;

/// The addresses of names.
#[derive(Clone, Debug, Default)]
pub struct Hosts(HashMap<Name, Vec<IpAddr>>);

/// What is known of a name without asking.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Known {
    Addresses(Vec<IpAddr>),
    /// There is no such name, and never will be.
    Nothing,
}

impl Hosts {
    /// Reads the text of the file. What is not understood is passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else {
                continue;
            };
            for name in words.filter_map(Name::parse) {
                let addresses = hosts.0.entry(name).or_default();
                if addresses.len() < DNS_RECORDS && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    pub(super) fn find(&self, name: &Name) -> Option<Known> {
        if let Some(addresses) = self.0.get(name) {
            return Some(Known::Addresses(addresses.clone()));
        }
        // RFC 6761 §6.3: never asked of anybody.
        if name.is_below("localhost") {
            let loopback = [
                IpAddr::V6(Ipv6Addr::LOCALHOST),
                IpAddr::V4(Ipv4Addr::LOCALHOST),
            ];
            return Some(Known::Addresses(loopback.to_vec()));
        }
        // RFC 6761 §6.4, RFC 7686 §2: an onion service is reached by other means, and its name is nobody's business.
        let nowhere = ["invalid", "onion"];
        nowhere
            .iter()
            .any(|top| name.is_below(top))
            .then_some(Known::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(hosts: &Hosts, name: &str) -> Option<Vec<String>> {
        match hosts.find(&Name::parse(name).unwrap())? {
            Known::Addresses(addresses) => {
                Some(addresses.iter().map(ToString::to_string).collect())
            }
            Known::Nothing => Some(Vec::new()),
        }
    }

    #[test]
    fn a_name_has_the_addresses_of_all_its_lines() {
        let hosts = Hosts::parse(
            "127.0.0.1 localhost\n192.0.2.1\tXMPP.example.org xmpp # comment\n2001:db8::1 xmpp.example.org\n\
             192.0.2.1 xmpp.example.org\nnonsense a.example\n192.0.2.9",
        );
        let expected = ["192.0.2.1", "2001:db8::1"].map(str::to_owned);
        assert_eq!(found(&hosts, "xmpp.example.org").unwrap(), expected);
        assert_eq!(found(&hosts, "Xmpp.Example.ORG.").unwrap(), expected);
        assert_eq!(found(&hosts, "xmpp").unwrap(), ["192.0.2.1"]);
        assert_eq!(found(&hosts, "a.example"), None);
        assert_eq!(found(&hosts, "localhost").unwrap(), ["127.0.0.1"]);
    }

    #[test]
    fn names_that_everybody_knows_are_never_asked_for() {
        let hosts = Hosts::default();
        assert_eq!(found(&hosts, "a.localhost").unwrap(), ["::1", "127.0.0.1"]);
        for nowhere in ["a.invalid", "invalid", "a.onion"] {
            assert_eq!(found(&hosts, nowhere).unwrap(), Vec::<String>::new());
        }
        assert_eq!(found(&hosts, "notlocalhost"), None);
    }
}
