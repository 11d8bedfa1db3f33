//! `/etc/resolv.conf` (resolv.conf(5)): who is asked, and how patiently.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::limits::dns::{
    DNS_ATTEMPTS, DNS_ATTEMPTS_MAX, DNS_SERVERS, DNS_TIMEOUT, DNS_TIMEOUT_MAX,
};

/// What the file says, as far as it concerns a stub resolver that asks for absolute names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ResolvConf {
    /// Who is asked, in this order. Never empty.
    pub servers: Vec<SocketAddr>,
    /// How long each is waited for.
    pub timeout: Duration,
    /// How often all are asked.
    pub attempts: u32,
}

impl ResolvConf {
    /// Reads the text of the file. What is not understood is passed over, as glibc does; without a server the one on this machine is asked.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self {
            servers: Vec::new(),
            timeout: DNS_TIMEOUT,
            attempts: DNS_ATTEMPTS,
        };
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // `Choice:` with a port behind it, which glibc passes over.
                    let server = words.next().and_then(|word| word.parse().ok());
                    conf.servers.extend(server.map(|NameServer(server)| server));
                }
                Some("options") => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        conf.servers.truncate(DNS_SERVERS);
        if conf.servers.is_empty() {
            conf.servers
                .push((IpAddr::V4(Ipv4Addr::LOCALHOST), PORT).into());
        }
        conf
    }

    /// One that asks this server alone.
    #[must_use]
    pub fn of(server: NameServer) -> Self {
        Self {
            servers: vec![server.0],
            timeout: DNS_TIMEOUT,
            attempts: DNS_ATTEMPTS,
        }
    }

    fn set(&mut self, option: &str) {
        let number = |text: &str| text.parse::<u32>().ok();
        match option.split_once(':') {
            Some(("timeout", value)) => {
                let seconds = number(value).map(|value| Duration::from_secs(value.max(1).into()));
                self.timeout = seconds.unwrap_or(self.timeout).min(DNS_TIMEOUT_MAX);
            }
            Some(("attempts", value)) => {
                let value = number(value).unwrap_or(self.attempts);
                self.attempts = value.clamp(1, DNS_ATTEMPTS_MAX);
            }
            _ => {}
        }
    }
}

/// A name server as people write it: an address, with a port behind it if it is not the usual one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NameServer(pub SocketAddr);

impl FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.parse::<SocketAddr>().ok();
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let server = whole.or_else(|| server(bare));
        let wrong = || {
            "a name server is an IP address, or one with a port: 192.0.2.1, [2001:db8::1]:5353"
                .to_owned()
        };
        server.map(Self).ok_or_else(wrong)
    }
}

const PORT: u16 = 53;

/// An address, perhaps with the name or number of an interface behind it (RFC 4007 §11).
fn server(text: &str) -> Option<SocketAddr> {
    match text.split_once('%') {
        None => Some((text.parse::<IpAddr>().ok()?, PORT).into()),
        Some((address, zone)) => {
            let address = address.parse().ok()?;
            let scope = match zone.parse() {
                Ok(number) => number,
                Err(_) => index_of(zone)?,
            };
            Some(std::net::SocketAddrV6::new(address, PORT, 0, scope).into())
        }
    }
}

/// The number of an interface, as the kernel tells it.
fn index_of(name: &str) -> Option<u32> {
    // A name is no path.
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let number = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Vec<String> {
        let conf = ResolvConf::parse(text);
        conf.servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_first_three_servers_are_asked_in_their_order() {
        let text = "# comment\n; another\nsearch example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1 # here\n\
                    nameserver nonsense\n  nameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        assert_eq!(
            servers(text),
            ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"]
        );
        assert_eq!(servers("nameserver fe80::1%2"), ["[fe80::1%2]:53"]);
        assert_eq!(servers("nameserver [::1]:5353"), ["[::1]:5353"]);
        assert_eq!(
            servers("nameserver fe80::1%../../x\nnameserver fe80::1%nosuch0"),
            ["127.0.0.1:53"]
        );
    }

    #[test]
    fn without_a_server_the_one_on_this_machine_is_asked() {
        assert_eq!(servers(""), ["127.0.0.1:53"]);
        assert_eq!(servers("options timeout:1"), ["127.0.0.1:53"]);
    }

    #[test]
    fn options_have_bounds() {
        let conf = |text| {
            let conf = ResolvConf::parse(text);
            (conf.timeout.as_secs(), conf.attempts)
        };
        assert_eq!(conf(""), (5, 2));
        assert_eq!(conf("options timeout:1 attempts:3 rotate"), (1, 3));
        assert_eq!(conf("options timeout:0 attempts:0"), (1, 1));
        assert_eq!(conf("options timeout:9999 attempts:99"), (30, 5));
        assert_eq!(conf("options timeout:x attempts:-1 ndots:2"), (5, 2));
    }
}
