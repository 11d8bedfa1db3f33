//! How many connections the process holds. Descriptors belong to the process and connections move between threads, so this is
//! the one number that threads share: an atomic step at accept and at close, none in between.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use spondee_core::limits::Network;
use spondee_core::time::Instant;

/// Counts connections up to a limit and rings when the last one is gone.
#[derive(Debug)]
pub struct Permits {
    taken: AtomicUsize,
    limit: usize,
    empty: Waker,
    /// When a thread may next complain that there are none left, in the core's microseconds.
    complain_at: AtomicU64,
    /// Looked at only while an address has a limit.
    by_address: Mutex<Addresses>,
    addresses_count: AtomicBool,
}

/// `max_connections_per_address`.
#[derive(Debug, Default)]
struct Addresses {
    max: Option<usize>,
    unlimited: Vec<Network>,
    /// Connections accepted while there was a limit.
    taken: HashMap<IpAddr, usize>,
}

impl Permits {
    /// `empty` is woken whenever the last permit becomes free.
    #[must_use]
    pub fn new(limit: usize, empty: Waker) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit,
            empty,
            complain_at: AtomicU64::new(0),
            by_address: Mutex::default(),
            addresses_count: AtomicBool::new(false),
        }
    }

    /// From now on an address has at most `max` permits, unless it is among the unlimited. Who is there stays.
    pub fn limit_addresses(&self, max: Option<usize>, unlimited: &[Network]) {
        let mut by_address = self.by_address();
        by_address.max = max;
        by_address.unlimited = unlimited.to_vec();
        self.addresses_count.store(max.is_some(), Ordering::Relaxed);
    }

    /// A permit, if there is one left.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Permit> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        // Given back by the drop if it is one too many.
        let permit = Permit {
            permits: Arc::clone(self),
            address: None,
        };
        (before < self.limit).then_some(permit)
    }

    /// Whether a log line about a lack of permits is due: one a second, whichever thread writes it.
    pub fn may_complain(&self, now: Instant) -> bool {
        let next = now + Duration::from_secs(1);
        let due = |at| (at <= now.0).then_some(next.0);
        self.complain_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .is_ok()
    }

    /// Whether there are no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.load(Ordering::Acquire) == 0
    }

    /// Nothing panics while it holds the lock.
    fn by_address(&self) -> MutexGuard<'_, Addresses> {
        self.by_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's permit, free again when dropped.
#[derive(Debug)]
pub struct Permit {
    permits: Arc<Permits>,
    /// Whose count it is in.
    address: Option<IpAddr>,
}

/// An address has all the permits it may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressFull;

impl Permit {
    /// Counts the permit at its address.
    ///
    /// # Errors
    /// The address has as many as it may: RFC 6120 §13.12 has the new connection go no further.
    pub fn assign(&mut self, peer: IpAddr) -> Result<(), AddressFull> {
        if !self.permits.addresses_count.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut by_address = self.permits.by_address();
        let Some(max) = by_address.max else {
            return Ok(());
        };
        if by_address.unlimited.iter().any(|one| one.contains(peer)) {
            return Ok(());
        }
        let address = network(peer);
        let taken = by_address.taken.entry(address).or_default();
        if *taken >= max {
            return Err(AddressFull);
        }
        *taken += 1;
        drop(by_address);
        self.address = Some(address);
        Ok(())
    }
}

/// An IPv4 address, or the first of an IPv6 /64: whoever has one of those has them all.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(address) = self.address
            && let Entry::Occupied(mut taken) = self.permits.by_address().taken.entry(address)
        {
            match *taken.get() {
                0 | 1 => drop(taken.remove()),
                more => *taken.get_mut() = more - 1,
            }
        }
        if self.permits.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.permits.empty.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_too_many_is_refused_and_a_dropped_one_is_free_again() {
        let permits = Arc::new(Permits::new(1, Waker::noop().clone()));
        let permit = permits.take();
        assert!(permit.is_some());
        assert!(permits.take().is_none());
        drop(permit);
        assert!(permits.is_empty());
        assert!(permits.take().is_some());
    }

    #[test]
    fn an_address_has_its_share_and_a_network_of_ipv6_is_one() {
        let permits = Arc::new(Permits::new(100, Waker::noop().clone()));
        let connect = |address: &str| {
            let mut permit = permits.take().unwrap();
            permit.assign(address.parse().unwrap()).map(|()| permit)
        };
        let early = connect("192.0.2.1").unwrap();
        permits.limit_addresses(Some(2), &["198.51.100.0/24".parse().unwrap()]);
        let first = connect("192.0.2.1").unwrap();
        let _second = connect("::ffff:192.0.2.1").unwrap();
        assert_eq!(connect("192.0.2.1").unwrap_err(), AddressFull);
        // Who came before the limit is not counted, nor missed.
        drop(early);
        assert_eq!(connect("192.0.2.1").unwrap_err(), AddressFull);
        drop(first);
        let _third = connect("192.0.2.1").unwrap();
        let _v6 = [
            connect("2001:db8::1").unwrap(),
            connect("2001:db8::ff:1").unwrap(),
        ];
        assert_eq!(connect("2001:db8::2").unwrap_err(), AddressFull);
        let _next = connect("2001:db8:0:1::2").unwrap();
        let _unlimited: Vec<_> = (0..5).map(|_| connect("198.51.100.9").unwrap()).collect();
        permits.limit_addresses(None, &[]);
        let _any: Vec<_> = (0..5).map(|_| connect("192.0.2.1").unwrap()).collect();
    }

    #[test]
    fn complaints_are_a_second_apart() {
        let permits = Permits::new(0, Waker::noop().clone());
        let said: Vec<bool> = [5, 999_999, 1_000_004, 1_000_005, 9_000_000]
            .into_iter()
            .map(|at| permits.may_complain(Instant(at)))
            .collect();
        assert_eq!(said, [true, false, false, true, true]);
    }
}
