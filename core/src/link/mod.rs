//! What is known of a remote domain, and what waits for it: one `Remote` for each, on the shard that owns the domain, with a `Pair` for each
//! domain of ours that has to do with it.
//!
//! ```text
//! Cold --stanza, question--> Opening --features--> Ready --proven--> Up --idle, closed--> Cold
//!                              |                     |                |  lost: what waits goes on waiting
//!                  no way there+---------------------+----------------+
//!                              v
//!                           Waiting (for now: the queue is kept, until each stanza's patience ends)
//!                           Refused (for good: the queue is bounced, and what comes until then)
//! ```
//!
//! A queue is first in, first out, whatever happens to the streams; only one stream at a time takes from it.

mod confirm;
mod disk;
mod kept;
mod newcomers;
mod queue;
mod verification;

use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use confirm::{Acked, Confirm, Question, Silence};
pub(crate) use disk::{Pace, Tail, Written};
pub(crate) use kept::{Kept, LINK_QUEUE, forget, next_remote, page, place_of, remote_of, survives};
pub(crate) use newcomers::{Admitted, NamedBy, Newcomers};
pub(crate) use queue::{Queue, Queued, Total, Urgency};
pub(crate) use verification::{Answered, Verifications};

use crate::arena::arena_key;
use crate::federation::RoundKey;
use crate::jid::Domain;
use crate::limits::{S2S_BACKOFF, S2S_BACKOFF_MAX, S2S_REFUSED_FOR, S2S_VERIFY_AGAIN};
use crate::port::{ConnId, LinkFailure};
use crate::sm::Counts;
use crate::time::Instant;

arena_key! {
    /// A remote domain, in the memory of its shard.
    pub(crate) RemoteKey;
}

/// A remote domain.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) domain: Domain,
    pub(crate) pairs: Pairs,
    pub(crate) verifications: Verifications,
    total: Total,
}

/// Those of a remote domain, by the domain of ours. Mostly there is one: a map's node has room for eleven.
#[derive(Debug, Default)]
pub(crate) struct Pairs(Vec<(Domain, Pair)>);

impl Pairs {
    fn at(&self, ours: &Domain) -> Result<usize, usize> {
        self.0.binary_search_by(|(of, _)| of.cmp(ours))
    }

    pub(crate) fn get(&self, ours: &Domain) -> Option<&Pair> {
        let at = self.at(ours).ok()?;
        self.0.get(at).map(|(_, pair)| pair)
    }

    pub(crate) fn get_mut(&mut self, ours: &Domain) -> Option<&mut Pair> {
        let at = self.at(ours).ok()?;
        self.0.get_mut(at).map(|(_, pair)| pair)
    }

    pub(crate) fn remove(&mut self, ours: &Domain) {
        self.0.retain(|(of, _)| of != ours);
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Domain> {
        self.0.iter().map(|(of, _)| of)
    }

    fn values(&self) -> impl Iterator<Item = &Pair> {
        self.0.iter().map(|(_, pair)| pair)
    }

    fn entry(&mut self, ours: &Domain, new: impl FnOnce() -> Pair) -> Option<&mut Pair> {
        let at = self.at(ours).unwrap_or_else(|at| {
            self.0.reserve_exact(1);
            self.0.insert(at, (ours.clone(), new()));
            at
        });
        self.0.get_mut(at).map(|(_, pair)| pair)
    }
}

/// One domain of ours and a remote one.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) way: Way,
    /// Where stanzas go by a stream that the other server opened: the one of ours beside it, by which keys are asked about. It is no further
    /// than `Ready`.
    pub(crate) aside: Way,
    pub(crate) queue: Queue,
    pub(crate) confirm: Confirm,
    /// Pings that were not answered, one after the other.
    pub(crate) unanswered: u8,
    /// The longest stanza that the peer takes, if it says so (XEP-0478).
    pub(crate) max_bytes: Option<u32>,
    /// Rounds that came to nothing, or to nothing that lasted, one after the other.
    failures: u32,
    /// Why there was no way at last.
    last_failure: Option<LinkFailure>,
    /// When the last stream was proven.
    up_since: Instant,
    /// When the last round came to nothing.
    failed_at: Instant,
}

/// The way from one to the other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Way {
    /// There is none, and nothing needs one.
    #[default]
    Cold,
    /// It is to be looked for once fewer others are.
    Turn,
    /// It is looked for.
    Opening(RoundKey),
    /// There is a stream, by which keys may be asked about, and on which it is not proven yet who we are.
    Ready(ConnId),
    /// Stanzas go by this stream.
    Up(ConnId),
    /// There was none, and it is looked for again then.
    Waiting(LinkFailure, Instant),
    /// There is none, and it is not looked for until then.
    Refused(LinkFailure, Instant),
}

/// What is to be done about a pair that has something to say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Need {
    /// A way is to be looked for.
    Open,
    /// It is to be proven who we are, on this stream.
    Prove(ConnId),
    /// This stream is to be written to.
    Write(ConnId),
    /// Nothing now.
    Wait,
}

impl Remote {
    /// `total` counts what waits for all.
    pub(crate) fn new(domain: Domain, total: Total) -> Self {
        Self {
            domain,
            pairs: Pairs::default(),
            verifications: Verifications::default(),
            total,
        }
    }

    /// The pair with this domain of ours. One that is new may have this on disk.
    pub(crate) fn pair(&mut self, ours: &Domain, tail: Tail) -> Option<&mut Pair> {
        let total = &self.total;
        self.pairs.entry(ours, || Pair::new(total.clone(), tail))
    }

    /// Whether nothing of it needs to be known.
    pub(crate) fn is_idle(&self) -> bool {
        self.verifications.is_empty() && self.pairs.values().all(Pair::is_idle)
    }

    /// When something of it is to be looked at.
    pub(crate) fn next(&self) -> Option<Instant> {
        let pairs = self.pairs.values().filter_map(Pair::next);
        pairs.chain(self.verifications.next()).min()
    }
}

impl Pair {
    fn new(total: Total, tail: Tail) -> Self {
        Self {
            way: Way::Cold,
            aside: Way::Cold,
            queue: Queue::new(total, tail),
            confirm: Confirm::default(),
            unanswered: 0,
            max_bytes: None,
            last_failure: None,
            failures: 0,
            up_since: Instant::default(),
            failed_at: Instant::default(),
        }
    }

    /// What is to be done, where something waits to be sent.
    pub(crate) const fn need(&self) -> Need {
        match &self.way {
            Way::Cold => Need::Open,
            Way::Ready(conn) => Need::Prove(*conn),
            Way::Up(conn) => Need::Write(*conn),
            Way::Turn | Way::Opening(_) | Way::Waiting(..) | Way::Refused(..) => Need::Wait,
        }
    }

    /// A stream of ours has come to its features.
    pub(crate) fn is_ready(&mut self, conn: ConnId) {
        let ready = Way::Ready(conn);
        match self.way {
            Way::Up(_) => self.aside = ready,
            Way::Cold
            | Way::Turn
            | Way::Opening(_)
            | Way::Ready(_)
            | Way::Waiting(..)
            | Way::Refused(..) => self.way = ready,
        }
    }

    /// Others are fewer: whether it waited for that.
    pub(crate) fn takes_turn(&mut self) -> bool {
        for way in [&mut self.way, &mut self.aside] {
            if *way == Way::Turn {
                *way = Way::Cold;
                return true;
            }
        }
        false
    }

    /// A stream is proven, whose peer says this.
    pub(crate) fn came_up(&mut self, now: Instant, counts: Counts, max_bytes: Option<u32>) {
        self.up_since = now;
        self.confirm = Confirm::new(counts, self.unanswered);
        self.max_bytes = max_bytes;
    }

    /// Whether something is written and not confirmed.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.queue.unconfirmed() > 0
    }

    /// How soon what waits is to be on disk.
    pub(crate) const fn pace(&self) -> Pace {
        match self.way {
            Way::Up(_) => Pace::InTime,
            Way::Cold
            | Way::Turn
            | Way::Opening(_)
            | Way::Ready(_)
            | Way::Waiting(..)
            | Way::Refused(..) => Pace::AtOnce,
        }
    }

    /// Why there was no way at last.
    pub(crate) const fn last_failure(&self) -> Option<&LinkFailure> {
        self.last_failure.as_ref()
    }

    /// How long the last proven stream has lived.
    pub(crate) const fn lived(&self, now: Instant) -> Duration {
        now.since(self.up_since)
    }

    /// The remote domain has spoken to us, so it is there: whether it is to be looked for again at once.
    pub(crate) fn is_heard_of(&mut self) -> bool {
        let by_network = match &self.way {
            Way::Waiting(..) => true,
            Way::Refused(failure, _) => failure.refusal().is_none(),
            Way::Cold | Way::Turn | Way::Opening(_) | Way::Ready(_) | Way::Up(_) => false,
        };
        if by_network {
            self.way = Way::Cold;
        }
        by_network
    }

    /// A server claims to be of the remote domain, which is to be asked: it is looked for soon, unless it is a rule of ours that it is not.
    pub(crate) fn is_claimed(&mut self, now: Instant) {
        let soon = now.max(self.failed_at + S2S_VERIFY_AGAIN);
        match &mut self.way {
            Way::Waiting(_, until) => *until = soon.min(*until),
            Way::Refused(failure, _) if failure.refusal().is_none() && soon <= now => {
                self.way = Way::Waiting(failure.clone(), now);
            }
            Way::Cold
            | Way::Turn
            | Way::Opening(_)
            | Way::Ready(_)
            | Way::Up(_)
            | Way::Refused(..) => {}
        }
    }

    /// All is well: the next failure is the first.
    pub(crate) const fn is_well(&mut self) {
        self.failures = 0;
    }

    /// A round came to nothing, or what it led to. For how long nothing is tried: `share` is what was drawn, of 1,000.
    pub(crate) fn failed(&mut self, now: Instant, failure: LinkFailure, share: u32) {
        self.last_failure = Some(failure.clone());
        self.failed_at = now;
        let shift = self.failures.min(10);
        self.failures = self.failures.saturating_add(1);
        let doubled = |first: Duration| {
            let whole = first.saturating_mul(1_u32 << shift);
            whole.min(S2S_BACKOFF_MAX)
        };
        self.way = match failure.is_for_good() {
            true => Way::Refused(failure, now + doubled(S2S_REFUSED_FOR)),
            false => {
                // With jitter, so that not all who lost a server come back to it at once.
                let wait = doubled(S2S_BACKOFF).saturating_mul(share.min(1_000)) / 1_000;
                Way::Waiting(failure, now + wait.max(Duration::from_secs(1)))
            }
        };
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && match self.way {
                Way::Cold => true,
                Way::Turn
                | Way::Opening(_)
                | Way::Ready(_)
                | Way::Up(_)
                | Way::Waiting(..)
                | Way::Refused(..) => false,
            }
    }

    fn next(&self) -> Option<Instant> {
        let way = match &self.way {
            Way::Waiting(_, until) | Way::Refused(_, until) => Some(*until),
            Way::Cold | Way::Turn | Way::Opening(_) | Way::Ready(_) | Way::Up(_) => None,
        };
        let queue = match self.way {
            // What is written in time is answered for by the stream.
            Way::Up(_) => self.confirm.next(self.queue.unconfirmed()),
            Way::Cold
            | Way::Turn
            | Way::Opening(_)
            | Way::Ready(_)
            | Way::Waiting(..)
            | Way::Refused(..) => self.queue.gives_up(),
        };
        let disk = self.queue.next_disk(self.pace());
        [way, queue, disk].into_iter().flatten().min()
    }
}
