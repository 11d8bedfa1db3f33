//! Where no other server is looked for: DNS says what strangers like, and could have this machine knock at doors of its own network.

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::federation::{RefusedPlace, Source};
use crate::limits::Network;

/// Where others may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Places {
    /// Anywhere: an administrator asks.
    Any,
    /// In the public network.
    Public {
        /// And in these (`s2s_private_networks`).
        but: Vec<Network>,
        /// We are here ourselves.
        own: Vec<SocketAddr>,
    },
}

impl Places {
    /// Why nobody else is looked for there, if that is so.
    #[must_use]
    pub fn refusal(&self, to: SocketAddr, source: Source) -> Option<RefusedPlace> {
        match self {
            Self::Any => None,
            Self::Public { but, own } => refusal(to, source, own, but),
        }
    }
}

/// Why nobody else is looked for there, if that is so. What the administrator says is taken, but that others are where we listen.
///
/// `Choice:` networks that stand in documents only, or are reserved, are not among those: nobody answers there.
#[must_use]
pub fn refusal(
    to: SocketAddr,
    source: Source,
    own: &[SocketAddr],
    private_networks: &[Network],
) -> Option<RefusedPlace> {
    let address = meant(to.ip());
    let is_ours = |own: &SocketAddr| own.port() == to.port() && own.ip().to_canonical() == address;
    if own.iter().any(is_ours) {
        return Some(RefusedPlace::Own);
    }
    let is_allowed = |network: &Network| network.contains(address) || network.contains(to.ip());
    if source == Source::Hosts || private_networks.iter().any(is_allowed) {
        return None;
    }
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    }
}

/// The address that a packet ends up at: that of IPv4 behind its form in IPv6, or behind a translator (64:ff9b::/96).
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let bits = u32::from(high) << 16 | u32::from(low);
                Ipv4Addr::from_bits(bits).into()
            }
            _ => v6.into(),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn of_v4(address: Ipv4Addr) -> Option<RefusedPlace> {
    let [first, second, ..] = address.octets();
    if address.is_loopback() {
        Some(RefusedPlace::Loopback)
    } else if first == 0 {
        Some(RefusedPlace::Unspecified)
    } else if address.is_private() {
        Some(RefusedPlace::Private)
    } else if first == 100 && second & 0b1100_0000 == 64 {
        Some(RefusedPlace::Shared)
    } else if address.is_link_local() {
        Some(RefusedPlace::LinkLocal)
    } else if address.is_multicast() {
        Some(RefusedPlace::Multicast)
    } else if address.is_broadcast() {
        Some(RefusedPlace::Broadcast)
    } else {
        None
    }
}

fn of_v6(address: Ipv6Addr) -> Option<RefusedPlace> {
    if address.is_loopback() {
        Some(RefusedPlace::Loopback)
    } else if address.is_unspecified() {
        Some(RefusedPlace::Unspecified)
    } else if address.is_unique_local() || is_of_site(address) {
        Some(RefusedPlace::Private)
    } else if address.is_unicast_link_local() {
        Some(RefusedPlace::LinkLocal)
    } else if address.is_multicast() {
        Some(RefusedPlace::Multicast)
    } else {
        None
    }
}

/// What was a private network's once (fec0::/10), and may be one's translator (64:ff9b:1::/48).
fn is_of_site(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    first & 0xffc0 == 0xfec0 || (first, second, third) == (0x64, 0xff9b, 1)
}

impl fmt::Display for RefusedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Own => {
                return f.write_str("this server itself listens there, so no other does");
            }
            Self::Loopback => "an address of this machine alone (loopback)",
            Self::Private => "an address of a private network",
            Self::Shared => "an address within a provider's network (100.64.0.0/10)",
            Self::LinkLocal => "an address of one link alone",
            Self::Unspecified => "no address of anybody",
            Self::Multicast => "an address of many (multicast)",
            Self::Broadcast => "an address of all (broadcast)",
        };
        write!(
            f,
            "it is {what}, where servers are looked for only if `s2s_private_networks` allows it"
        )
    }
}
