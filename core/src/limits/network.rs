//! A range of IP addresses, as an administrator names one: `192.0.2.0/24`.

use core::net::IpAddr;
use core::str::FromStr;

use crate::options::Item;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether this address lies in it. IPv4 in its IPv6 form is IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// What is no network: neither an address nor an address, `/` and a number of bits it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let most = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().map_err(|_| NotANetwork)?,
        };
        match bits <= most {
            true => Ok(Self { address, bits }),
            false => Err(NotANetwork),
        }
    }
}

impl Item for Network {
    const WANTED: &'static str = "a list of addresses or networks in quotes";
    const NONE: &'static str = "neither an IP address nor a network such as \"192.0.2.0/24\"";

    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_addresses_that_begin_like_it() {
        for (network, address, expected) in [
            ("192.0.2.0/24", "192.0.2.77", true),
            ("192.0.2.0/24", "::ffff:192.0.2.77", true),
            ("192.0.2.0/24", "192.0.3.1", false),
            ("192.0.2.128/25", "192.0.2.127", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
        ] {
            let parsed: Network = network.parse().unwrap();
            let address = address.parse().unwrap();
            assert_eq!(parsed.contains(address), expected, "{network} {address}");
        }
    }

    #[test]
    fn refuses_what_is_no_network() {
        for text in [
            "",
            "/",
            "192.0.2.0/33",
            "192.0.2.0/",
            "::/129",
            "localhost",
            "1.2.3/8",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork), "{text}");
        }
    }
}
