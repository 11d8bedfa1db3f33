//! Where the servers of a domain may be, and in which order they are tried (RFC 6120 §3.2, RFC 2782, XEP-0368 §3).

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::entropy::Entropy;
use crate::federation::{
    Lookup, LookupError, Opening, Protocol, Resolved, Service, Target, Unreached,
};
use crate::limits::ROUND_TARGETS;

/// What is asked of DNS about a domain, at once: where direct TLS is spoken, and where STARTTLS is. `domain` is in A-labels.
#[must_use]
pub fn questions(domain: &str, service: Protocol) -> [Lookup; 2] {
    let (direct, starttls) = match service {
        Protocol::XmppClient => ("_xmpps-client", "_xmpp-client"),
        Protocol::XmppServer => ("_xmpps-server", "_xmpp-server"),
    };
    [direct, starttls].map(|name| Lookup::Services(format!("{name}._tcp.{domain}").into()))
}

/// The place that a domain is itself, if it is an address (RFC 7622 §3.2) or has no records.
pub(super) fn itself(domain: &str, service: Protocol) -> Target {
    Target {
        name: domain.into(),
        // RFC 6120 §3.2.2.
        port: match service {
            Protocol::XmppClient => 5222,
            Protocol::XmppServer => 5269,
        },
        opening: Opening::Clear,
    }
}

/// The address that a domain is, if it is one: of version 6 in brackets.
pub(super) fn literal(domain: &str) -> Option<IpAddr> {
    let bare = domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(domain).parse().ok()
}

/// Where to go, by what DNS said to `questions`: the records of both, priorities and weights mixed (XEP-0368 §3), as many as `ROUND_TARGETS`.
///
/// # Errors
/// There is nowhere to go.
pub fn targets(
    domain: &str,
    service: Protocol,
    direct: &Resolved,
    starttls: &Resolved,
    draw: &mut dyn FnMut(u32) -> u32,
) -> Result<Vec<Target>, Unreached> {
    let both = [(direct, Opening::Tls), (starttls, Opening::Clear)];
    let records: Vec<(&Service, Opening)> = both
        .into_iter()
        .flat_map(|(resolved, opening)| records(resolved).iter().map(move |one| (one, opening)))
        // Beside others `.` says nothing (RFC 2782, "Usage rules": it counts where it is the only one).
        .filter(|(record, _)| !matches!(&*record.target, "" | "."))
        .collect();
    if !records.is_empty() {
        let ordered = order(records, |(one, _)| (one.priority, one.weight), draw);
        let targets = ordered.into_iter().map(|(record, opening)| Target {
            name: record.target.clone(),
            port: record.port,
            opening,
        });
        return Ok(targets.take(ROUND_TARGETS).collect());
    }
    let said_no = [direct, starttls].contains(&&Resolved::NoService);
    match (failure(direct), failure(starttls)) {
        // RFC 6120 §3.2.1: who has had no response goes to the domain itself. But where one of the two has spoken, there are records.
        (None | Some(LookupError::TimedOut), None | Some(LookupError::TimedOut)) if !said_no => {
            Ok(vec![itself(domain, service)])
        }
        // XEP-0368 §5: the service "MUST NOT" be looked for at the addresses of the domain.
        (None, None) => Err(Unreached::NoService),
        (Some(LookupError::TimedOut) | None, Some(error)) | (Some(error), _) => {
            Err(Unreached::Unresolved(error))
        }
    }
}

fn records(resolved: &Resolved) -> &[Service] {
    match resolved {
        Resolved::Services(services) => services,
        Resolved::Addresses(..)
        | Resolved::NoService
        | Resolved::NoName
        | Resolved::NoData
        | Resolved::Failed(_) => &[],
    }
}

const fn failure(resolved: &Resolved) -> Option<LookupError> {
    match resolved {
        Resolved::Failed(error) => Some(*error),
        Resolved::Addresses(..)
        | Resolved::Services(_)
        | Resolved::NoService
        | Resolved::NoName
        | Resolved::NoData => None,
    }
}

/// Puts records into the order in which a client tries them (RFC 2782): by priority, and by chance among those of one priority, in proportion to
/// their weights. `rank` is both, of one record. `draw` gives a number from 0 to the one that it is given, both included, each as often as any other.
pub fn order<T>(
    mut records: Vec<T>,
    rank: impl Fn(&T) -> (u16, u16),
    draw: &mut dyn FnMut(u32) -> u32,
) -> Vec<T> {
    // RFC 2782, "Weight": those of weight 0 stand first, so that they are drawn now and then.
    records.sort_by_key(|record| {
        let (priority, weight) = rank(record);
        (priority, weight != 0)
    });
    let mut ordered = Vec::with_capacity(records.len());
    while let Some((priority, _)) = records.first().map(&rank) {
        let those = records.iter().map(&rank).take_while(|r| r.0 == priority);
        let sum = those.fold(0_u32, |sum, (_, weight)| {
            sum.saturating_add(u32::from(weight))
        });
        let drawn = draw(sum);
        let mut running = 0_u32;
        let place = records.iter().position(|record| {
            running = running.saturating_add(u32::from(rank(record).1));
            running >= drawn
        });
        ordered.push(records.remove(place.unwrap_or(0)));
    }
    ordered
}

/// A number from 0 to `most`.
pub fn roll(entropy: &mut Entropy, most: u32) -> u32 {
    let block = entropy.block("srv");
    let (half, _) = block.split_at(8);
    let number = half
        .iter()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    // Of 2^64 numbers a part in 2^32 too many are small: nobody notices.
    let reduced = number % (u64::from(most) + 1);
    u32::try_from(reduced).unwrap_or(most)
}

/// Addresses of both families in turn, IPv6 first (RFC 8305 §4), in whatever order they came, each once.
pub(super) fn in_turn(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let (mut six, mut four): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for address in addresses {
        let family = match address {
            IpAddr::V4(_) => &mut four,
            IpAddr::V6(_) => &mut six,
        };
        if !family.contains(address) {
            family.push(*address);
        }
    }
    let most = six.len().max(four.len());
    let pairs = (0..most).flat_map(|at| [six.get(at), four.get(at)]);
    pairs.flatten().copied().collect()
}

/// The question for a target's addresses.
pub(super) fn addresses_of(target: &Target) -> Lookup {
    let name: Box<str> = target.name.clone();
    Lookup::Addresses(name)
}
