//! How many connections the process may hold, who holds them, and who goes first when they run low. Descriptors belong to the
//! process and connections move between threads, so this is what threads share: an atomic step at accept, sign-in and close.
//! Who strangers are is looked at only when more than half of the permits are taken. Then the table is locked for a moment when one
//! is accepted, comes to another thread, signs in and closes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use spondee_core::limits::Network;
use spondee_core::port::{ConnId, Standing};
use spondee_core::time::Instant;

use self::strangers::{First, Number, Strangers};
use crate::limits::shell::{
    ALONE, LAST_PERMITS, LAST_PERMITS_PART, MAKES_ROOM_TOLD, PERMIT_RESERVE, PERMIT_RESERVE_PART,
};
use crate::mailbox::{Letter, Mailbox};

mod strangers;
#[cfg(test)]
mod tests;

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
    next: AtomicU64,
    empty: Waker,
    /// When a thread may next complain that there are none left, in the core's microseconds.
    complain_at: AtomicU64,
    addresses_count: AtomicBool,
    /// How many there is room for: the limit, or as many as there were when the system gave no more.
    room: AtomicUsize,
    /// Whether strangers are put into the table.
    lists: AtomicBool,
    threads: Mutex<Vec<Arc<dyn Mailbox>>>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_address: Addresses,
    strangers: Strangers<Stranger>,
    /// Strangers told to go that are not gone yet.
    revoked: BTreeSet<Number>,
    /// Of which addresses the log has told lately: no more of them than `MAKES_ROOM_TOLD` has seconds.
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
    /// Where it is told to go. If it is on its way to another thread, it hears on arrival.
    mailbox: Arc<dyn Mailbox>,
    conn: ConnId,
}

/// One that is to go.
#[derive(Debug)]
struct Revoked {
    address: IpAddr,
    stranger: Stranger,
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
            next: AtomicU64::new(0),
            complain_at: AtomicU64::new(0),
            addresses_count: AtomicBool::new(false),
            room: AtomicUsize::new(limit),
            lists: AtomicBool::new(false),
            threads: Mutex::default(),
            table: Mutex::default(),
        }
    }

    /// From now on an address has at most `max` permits, unless it is among the unlimited. Who is there stays.
    pub fn limit_addresses(&self, max: Option<usize>, unlimited: &[Network]) {
        let mut table = self.table();
        table.by_address.max = max;
        table.by_address.unlimited = unlimited.to_vec();
        self.addresses_count.store(max.is_some(), Ordering::Relaxed);
    }

    /// From now on a thread is told when permits become scarce (`Letter::Census`): then it matters who holds them, and it settles
    /// all who are there.
    pub fn add_thread(&self, mailbox: Arc<dyn Mailbox>) {
        locked(&self.threads).push(mailbox);
    }

    /// A permit, if there is one left.
    #[must_use]
    pub fn take(self: &Arc<Self>) -> Option<Permit> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit / 2 {
            self.list();
        }
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
        self.room.fetch_min(self.taken(), Ordering::Relaxed);
        if self.list() {
            // Who is there is only being looked up.
            return Room::Coming;
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

    /// Whether there are no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.load(Ordering::Acquire) == 0
    }

    /// From now on strangers are put into the table. `false` if they were before.
    fn list(&self) -> bool {
        if self.lists() || self.lists.swap(true, Ordering::Relaxed) {
            return false;
        }
        for mailbox in locked(&self.threads).iter() {
            mailbox.post(vec![Letter::Census]);
        }
        true
    }

    /// Permits are plentiful again, which is somewhat more than not scarce: the next census is far away.
    fn list_no_more(&self) {
        self.room.store(self.limit, Ordering::Relaxed);
        self.lists.store(false, Ordering::Relaxed);
    }

    fn lists(&self) -> bool {
        self.lists.load(Ordering::Relaxed)
    }

    fn members(&self) -> usize {
        self.members.load(Ordering::Relaxed)
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether the part of them is taken that is kept for who comes next.
    fn run_low(&self, table: &Table) -> bool {
        let left = self.limit.saturating_sub(self.members());
        let reserve = (left / PERMIT_RESERVE_PART).clamp(1, PERMIT_RESERVE);
        self.limit.saturating_sub(self.taken()) + table.revoked.len() < reserve
    }

    /// Tells the thread of a connection that it is to go, and the log of its address.
    fn tell(&self, now: Instant, revoked: Revoked) {
        let Revoked {
            address: peer,
            stranger: Stranger { mailbox, conn, .. },
        } = revoked;
        mailbox.post(vec![Letter::Evict(conn)]);
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
        locked(&self.table)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let stranger = self.strangers.remove(address, number)?;
        self.revoked.insert(number);
        Some(Revoked { address, stranger })
    }

    /// It is a stranger, and there.
    fn list(&mut self, holder: &Holder, mailbox: &Arc<dyn Mailbox>, conn: ConnId) {
        let stranger = Stranger {
            since: holder.since,
            mailbox: Arc::clone(mailbox),
            conn,
        };
        self.strangers
            .insert(holder.address, holder.number, stranger);
    }

    /// It is none, or gone.
    fn forget(&mut self, holder: &Holder) {
        if !self.revoked.remove(&holder.number) {
            self.strangers.remove(holder.address, holder.number);
        }
    }

    fn was_told(&mut self, now: Instant, address: IpAddr) -> bool {
        self.told.retain(|_, at| now.since(*at) < MAKES_ROOM_TOLD);
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
    listed: Listed,
    share: Share,
}

/// Whether it is in the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Listed {
    No,
    Yes,
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
    /// Gives it to a stranger at this address.
    ///
    /// # Errors
    /// The address has as many as it may: RFC 6120 §13.12 has the new connection go no further.
    pub fn assign(&mut self, now: Instant, peer: IpAddr) -> Result<(), AddressFull> {
        let address = network(peer);
        let share = if self.permits.addresses_count.load(Ordering::Relaxed) {
            self.permits.table().by_address.take(address, peer)?
        } else {
            Share::Uncounted
        };
        self.holder = Some(Holder {
            number: self.permits.next.fetch_add(1, Ordering::Relaxed),
            address,
            since: now,
            standing: Standing::Stranger,
            listed: Listed::No,
            share,
        });
        Ok(())
    }

    /// Its connection was accepted by the thread of this mailbox, under this name. If permits run low, another one is told to go.
    pub fn enter(&mut self, now: Instant, mailbox: &Arc<dyn Mailbox>, conn: ConnId) {
        // Nobody can have chosen it yet.
        let _ = self.settle(mailbox, conn);
        let Some(Holder {
            number,
            listed: Listed::Yes,
            ..
        }) = &self.holder
        else {
            return;
        };
        let mut table = self.permits.table();
        if self.permits.run_low(&table)
            && let Some(revoked) = table.revoke(now, Some(*number))
        {
            drop(table);
            self.permits.tell(now, revoked);
        }
    }

    /// Its connection has come to the thread of this mailbox, under this name, or a census is taken there.
    pub fn settle(&mut self, mailbox: &Arc<dyn Mailbox>, conn: ConnId) -> Claim {
        let Some(holder) = &mut self.holder else {
            return Claim::Good;
        };
        let to_list = holder.listed == Listed::Yes || self.permits.lists();
        if holder.standing == Standing::Member || !to_list {
            return Claim::Good;
        }
        let mut table = self.permits.table();
        if table.revoked.contains(&holder.number) {
            return Claim::Revoked;
        }
        holder.listed = Listed::Yes;
        table.list(holder, mailbox, conn);
        Claim::Good
    }

    /// Its connection has become a member, or a stranger again. A member is never chosen to go.
    pub fn stand(&mut self, standing: Standing, mailbox: &Arc<dyn Mailbox>, conn: ConnId) {
        let Some(holder) = &mut self.holder else {
            return;
        };
        match (std::mem::replace(&mut holder.standing, standing), standing) {
            (Standing::Stranger, Standing::Member) => {
                // Even if it was told to go: it signed in before it heard.
                if std::mem::replace(&mut holder.listed, Listed::No) == Listed::Yes {
                    self.permits.table().forget(holder);
                }
                self.permits.members.fetch_add(1, Ordering::Relaxed);
            }
            (Standing::Member, Standing::Stranger) => {
                self.permits.members.fetch_sub(1, Ordering::Relaxed);
                // Nobody can have chosen it yet.
                let _ = self.settle(mailbox, conn);
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
            if holder.standing == Standing::Member {
                self.permits.members.fetch_sub(1, Ordering::Relaxed);
            }
            if holder.listed == Listed::Yes {
                self.permits.table().forget(holder);
            }
            if holder.share == Share::Counted {
                self.permits.table().by_address.give_back(holder.address);
            }
        }
        let left = self.permits.taken.fetch_sub(1, Ordering::AcqRel) - 1;
        if left < self.permits.room.load(Ordering::Relaxed) / 8 * 3 && self.permits.lists() {
            self.permits.list_no_more();
        }
        if left == 0 {
            self.permits.empty.wake_by_ref();
        }
    }
}
