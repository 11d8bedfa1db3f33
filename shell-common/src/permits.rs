//! How many connections the process may hold, who holds them, and who goes first when they run low. Descriptors belong to the
//! process and connections move between threads, so this is the one table that threads share. It is locked for a moment when
//! a connection is accepted, finds its thread, signs in and closes, never in between.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use spondee_core::limits::Network;
use spondee_core::port::{ConnId, Standing};
use spondee_core::time::Instant;

use self::strangers::{First, Number, Strangers};
use crate::limits::shell::{
    ALONE, LAST_PERMITS, LAST_PERMITS_PART, PERMIT_RESERVE, PERMIT_RESERVE_PART,
};
use crate::mailbox::{Letter, Mailbox};

mod strangers;
#[cfg(test)]
mod tests;

/// How often the log tells of one address that it makes room for others.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// Counts connections up to a limit and rings when the last one is gone.
///
/// Choice: when permits run low, each new connection has a stranger revoked, one that has not signed in: the oldest of the address
/// that has most of them. So who fills the server with silent connections makes room with his own, and somebody from elsewhere
/// finds a place at once; who shares the address with him has as long to sign in as all the others there. Addresses behind one
/// proxy are one, and there the oldest goes. RFC 6120 §13.12 recommends limits by address and leaves this open.
#[derive(Debug)]
pub struct Permits {
    taken: AtomicUsize,
    limit: usize,
    members: AtomicUsize,
    /// From so many members on nobody is accepted.
    members_max: usize,
    empty: Waker,
    /// When a thread may next complain that there are none left, in the core's microseconds.
    complain_at: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_address: Addresses,
    strangers: Strangers<Stranger>,
    /// Strangers told to go that are not gone yet.
    revoked: BTreeSet<Number>,
    next: Number,
    /// Of which addresses the log has told lately. There are no more of them than seconds in `TOLD_FOR`.
    told: HashMap<IpAddr, Instant>,
}

/// `max_connections_per_address`.
#[derive(Debug, Default)]
struct Addresses {
    max: Option<usize>,
    unlimited: Vec<Network>,
    /// Connections accepted while there was a limit.
    taken: HashMap<IpAddr, usize>,
}

/// Who has not signed in.
#[derive(Debug)]
struct Stranger {
    since: Instant,
    /// Where it can be told to go. On its way to another thread it is told on arrival.
    tenant: Option<Tenant>,
}

#[derive(Debug)]
struct Tenant {
    mailbox: Arc<dyn Mailbox>,
    conn: ConnId,
}

/// One that is to go.
#[derive(Debug)]
struct Revoked {
    address: IpAddr,
    tenant: Option<Tenant>,
}

/// Whether there will be a permit soon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// Somebody was told to go.
    Coming,
    /// There are as many members as there may be, or the rest are alone at their address and have just come.
    None,
}

impl Permits {
    /// `empty` is woken whenever the last permit becomes free.
    #[must_use]
    pub fn new(limit: usize, empty: Waker) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit,
            members: AtomicUsize::new(0),
            members_max: limit - (limit / LAST_PERMITS_PART).min(LAST_PERMITS),
            empty,
            complain_at: AtomicU64::new(0),
            table: Mutex::default(),
        }
    }

    /// From now on an address has at most `max` permits, unless it is among the unlimited. Who is there stays.
    pub fn limit_addresses(&self, max: Option<usize>, unlimited: &[Network]) {
        let mut table = self.table();
        table.by_address.max = max;
        table.by_address.unlimited = unlimited.to_vec();
    }

    /// A permit, if there is one left.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Permit> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        // Given back by the drop if it is one too many.
        let permit = Permit {
            permits: Arc::clone(self),
            holder: None,
        };
        (before < self.limit && self.members() < self.members_max).then_some(permit)
    }

    /// For when there is none left, or the system gives no descriptor, and somebody waits.
    #[must_use]
    pub fn make_room(&self, now: Instant) -> Room {
        let mut table = self.table();
        if self.members() >= self.members_max {
            return Room::None;
        }
        if !table.revoked.is_empty() {
            return Room::Coming;
        }
        let Some(revoked) = table.revoke(now, None) else {
            return Room::None;
        };
        drop(table);
        self.tell(now, revoked);
        Room::Coming
    }

    /// Whether a log line about a lack of permits is due: one a second, whichever thread writes it.
    pub fn may_complain(&self, now: Instant) -> bool {
        let next = now + Duration::from_secs(1);
        let due = |at| (at <= now.0).then_some(next.0);
        self.complain_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, due)
            .is_ok()
    }

    /// Whether more than half of the permits are taken: then it matters who holds them.
    #[must_use]
    pub fn are_scarce(&self) -> bool {
        self.taken.load(Ordering::Relaxed) > self.limit / 2
    }

    /// Whether there are no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.load(Ordering::Acquire) == 0
    }

    fn members(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    /// Whether strangers have what they may of the permits that members leave. The rest is for new ones until a place is free.
    fn run_low(&self, table: &Table) -> bool {
        let left = self.limit.saturating_sub(self.members());
        let reserve = (left / PERMIT_RESERVE_PART).clamp(1, PERMIT_RESERVE);
        table.strangers.count() > left.saturating_sub(reserve)
    }

    /// Tells the thread of a connection that it is to go, and the log of its address.
    fn tell(&self, now: Instant, revoked: Revoked) {
        if let Some(Tenant { mailbox, conn }) = revoked.tenant {
            mailbox.post(vec![Letter::Evict(conn)]);
        }
        let peer = revoked.address;
        if self.table().was_told(now, peer) || !self.may_complain(now) {
            return;
        }
        self.table().told.insert(peer, now);
        tracing::warn!(
            %peer,
            "connections run low: who has not signed in makes room, the oldest of this address first"
        );
    }

    /// Nothing panics while it holds the lock.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Chooses who is to go. Not the `newcomer`, for whom it is done.
    fn revoke(&mut self, now: Instant, newcomer: Option<Number>) -> Option<Revoked> {
        let First {
            address,
            number,
            count,
        } = self.strangers.first()?;
        let stranger = self.strangers.get_mut(address, number)?;
        if Some(number) == newcomer || count == 1 && now.since(stranger.since) < ALONE {
            return None;
        }
        let tenant = self.strangers.remove(address, number)?.tenant;
        self.revoked.insert(number);
        Some(Revoked { address, tenant })
    }

    /// It is no stranger, or gone.
    fn forget(&mut self, address: IpAddr, number: Number) {
        if !self.revoked.remove(&number) {
            self.strangers.remove(address, number);
        }
    }

    fn was_told(&mut self, now: Instant, address: IpAddr) -> bool {
        self.told.retain(|_, at| now.since(*at) < TOLD_FOR);
        self.told.contains_key(&address)
    }
}

/// One connection's permit, free again when dropped.
#[derive(Debug)]
pub struct Permit {
    permits: Arc<Permits>,
    holder: Option<Holder>,
}

/// Whose it is.
#[derive(Debug)]
struct Holder {
    number: Number,
    address: IpAddr,
    since: Instant,
    standing: Standing,
    share: Share,
}

/// Whether it is in the count of its address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Share {
    Counted,
    Uncounted,
}

/// An address has all the permits it may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressFull;

/// Whether a connection may stay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Claim {
    /// It may.
    Good,
    /// It was chosen to make room: it is to be evicted.
    Revoked,
}

impl Permit {
    /// Gives it to a stranger at this address. If permits run low, another one is told to go.
    ///
    /// # Errors
    /// The address has as many as it may: RFC 6120 §13.12 has the new connection go no further.
    pub fn assign(&mut self, now: Instant, peer: IpAddr) -> Result<(), AddressFull> {
        let address = network(peer);
        let mut table = self.permits.table();
        let share = table.by_address.take(address, peer)?;
        let number = table.next;
        table.next += 1;
        let stranger = Stranger {
            since: now,
            tenant: None,
        };
        table.strangers.insert(address, number, stranger);
        let revoked = if self.permits.run_low(&table) {
            table.revoke(now, Some(number))
        } else {
            None
        };
        drop(table);
        self.holder = Some(Holder {
            number,
            address,
            since: now,
            standing: Standing::Stranger,
            share,
        });
        if let Some(revoked) = revoked {
            self.permits.tell(now, revoked);
        }
        Ok(())
    }

    /// Its connection has come to the thread of this mailbox, under this name. There it will be told if it is to go.
    pub fn settle(&self, mailbox: &Arc<dyn Mailbox>, conn: ConnId) -> Claim {
        let Some(holder) = &self.holder else {
            return Claim::Good;
        };
        let mut table = self.permits.table();
        if table.revoked.contains(&holder.number) {
            return Claim::Revoked;
        }
        if let Some(stranger) = table.strangers.get_mut(holder.address, holder.number) {
            let mailbox = Arc::clone(mailbox);
            stranger.tenant = Some(Tenant { mailbox, conn });
        }
        Claim::Good
    }

    /// Its connection has become a member, or a stranger again. A member is never chosen to go.
    pub fn stand(&mut self, standing: Standing, mailbox: &Arc<dyn Mailbox>, conn: ConnId) {
        let Some(holder) = &mut self.holder else {
            return;
        };
        let before = std::mem::replace(&mut holder.standing, standing);
        let (address, number) = (holder.address, holder.number);
        match (before, standing) {
            (Standing::Stranger, Standing::Member) => {
                // Even if it was told to go: it signed in before it heard.
                self.permits.table().forget(address, number);
                self.permits.members.fetch_add(1, Ordering::Relaxed);
            }
            (Standing::Member, Standing::Stranger) => {
                let mailbox = Arc::clone(mailbox);
                let stranger = Stranger {
                    since: holder.since,
                    tenant: Some(Tenant { mailbox, conn }),
                };
                self.permits.members.fetch_sub(1, Ordering::Relaxed);
                let mut table = self.permits.table();
                table.strangers.insert(address, number, stranger);
            }
            (Standing::Stranger, Standing::Stranger) | (Standing::Member, Standing::Member) => {}
        }
    }
}

impl Addresses {
    /// Counts one more there, if it is to be counted.
    fn take(&mut self, address: IpAddr, peer: IpAddr) -> Result<Share, AddressFull> {
        let Some(max) = self.max else {
            return Ok(Share::Uncounted);
        };
        if self.unlimited.iter().any(|one| one.contains(peer)) {
            return Ok(Share::Uncounted);
        }
        let taken = self.taken.entry(address).or_default();
        if *taken >= max {
            return Err(AddressFull);
        }
        *taken += 1;
        Ok(Share::Counted)
    }

    fn give_back(&mut self, address: IpAddr) {
        if let Entry::Occupied(mut taken) = self.taken.entry(address) {
            match *taken.get() {
                0 | 1 => drop(taken.remove()),
                more => *taken.get_mut() = more - 1,
            }
        }
    }
}

/// An IPv4 address, or the first of an IPv6 /64: whoever has one of those has them all.
pub(crate) fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(holder) = &self.holder {
            let Holder {
                number, address, ..
            } = *holder;
            match holder.standing {
                Standing::Member => {
                    self.permits.members.fetch_sub(1, Ordering::Relaxed);
                }
                Standing::Stranger => self.permits.table().forget(address, number),
            }
            if holder.share == Share::Counted {
                self.permits.table().by_address.give_back(address);
            }
        }
        if self.permits.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.permits.empty.wake_by_ref();
        }
    }
}
