//! How often strangers may make accounts, or try to: from each address, and all together.
//!
//! XEP-0077 tells by `conflict` who exists, so what is counted is every attempt that would be looked up, whatever comes of it. It is counted by the
//! shard that owns the name, which tells the others, as for failed sign-ins (`sasl::Throttle`): a burst on all shards at once gets at most
//! as much from each as it would from one.

use core::time::Duration;

use crate::limits::Limits;
use crate::map::Keyed;
use crate::sasl::{AddressPrint, Counts, Verdict};
use crate::time::Instant;

/// One shard's counts.
#[derive(Debug)]
pub(crate) struct Registrations {
    addresses: Counts,
    all: Counts,
}

/// The one key of what is counted together.
const EVERYBODY: u64 = 0;

impl Registrations {
    pub(crate) fn new(key: &Keyed) -> Self {
        Self {
            addresses: Counts::new(key.clone()),
            all: Counts::new(key.clone()),
        }
    }

    /// Whether somebody at this address, or at one that is not counted, may try now.
    pub(crate) fn verdict(
        &self,
        now: Instant,
        limits: &Limits,
        address: Option<AddressPrint>,
    ) -> Verdict {
        let (max, all) = (limits.registrations_per_address, limits.registrations);
        let by_address = address.is_some_and(|AddressPrint(address)| {
            let each = each(limits, max);
            self.addresses.is_spent(address, now, max, each)
        });
        let by_all = self.all.is_spent(EVERYBODY, now, all, each(limits, all));
        match by_address || by_all {
            true => Verdict::HoldUp,
            false => Verdict::Answer,
        }
    }

    /// One more attempt, here or on another shard.
    pub(crate) fn count(&mut self, now: Instant, limits: &Limits, address: Option<AddressPrint>) {
        let (max, all) = (limits.registrations_per_address, limits.registrations);
        if let Some(AddressPrint(address)) = address
            && max > 0
        {
            self.addresses.count(address, now, max, each(limits, max));
        }
        if all > 0 {
            self.all.count(EVERYBODY, now, all, each(limits, all));
        }
    }

    /// What they were worth has changed with the configuration.
    pub(crate) fn forgive_all(&mut self) {
        self.addresses.clear();
        self.all.clear();
    }
}

/// How soon one of `max` is forgiven: all of them in the period.
fn each(limits: &Limits, max: u32) -> Duration {
    limits.registration_period / max.max(1)
}
