//! Oracle: who may be held up after how many failed sign-ins, and who may not. Where an account has signed in since the server was
//! started, its own failures there are all that can hold it up, whatever is tried with other names or from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use spondee_core::limits::{Limits, SASL_REGULAR_ADDRESSES};

use super::Moment;
use super::random::Random;

/// Where clients come from: so few that they share them, and none of an account's is forgotten.
const HOMES: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3)),
];

const _: () = assert!(HOMES.len() <= SASL_REGULAR_ADDRESSES);

/// Sign-ins that perhaps failed, since the server was started, and those that did not.
#[derive(Debug)]
pub(super) struct Guesses {
    limits: Limits,
    started: Moment,
    by_account: BTreeMap<usize, u32>,
    by_address: BTreeMap<IpAddr, u32>,
    by_both: BTreeMap<(usize, IpAddr), u32>,
    /// Those with the right password since the last rest: what is ordered meanwhile can make it wrong.
    right: Vec<(usize, IpAddr)>,
    usual: BTreeSet<(usize, IpAddr)>,
    /// Those that are so since the last rest: who tried before may still be held up.
    fresh: BTreeSet<(usize, IpAddr)>,
}

impl Guesses {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            started: 0,
            by_account: BTreeMap::new(),
            by_address: BTreeMap::new(),
            by_both: BTreeMap::new(),
            right: Vec::new(),
            usual: BTreeSet::new(),
            fresh: BTreeSet::new(),
        }
    }

    /// A sign-in begins with the right password.
    pub(super) fn begin(&mut self, account: usize, address: IpAddr) {
        self.right.push((account, address));
    }

    /// The account is to be changed.
    pub(super) fn order(&mut self, account: usize) {
        for (whose, address) in std::mem::take(&mut self.right) {
            if whose == account {
                self.guess(account, address);
            } else {
                self.right.push((whose, address));
            }
        }
    }

    /// No sign-in is under way any more.
    pub(super) fn rest(&mut self) {
        self.right.clear();
        self.fresh.clear();
    }

    /// A sign-in begins with a password that is perhaps wrong.
    pub(super) fn guess(&mut self, account: usize, address: IpAddr) {
        *self.by_account.entry(account).or_default() += 1;
        *self.by_address.entry(address).or_default() += 1;
        *self.by_both.entry((account, address)).or_default() += 1;
    }

    /// A sign-in succeeded that began at `began`.
    pub(super) fn signed_in(&mut self, began: Moment, account: usize, address: IpAddr) {
        // Not with a server that died since.
        if began > self.started && self.usual.insert((account, address)) {
            self.fresh.insert((account, address));
        }
    }

    /// Whether sign-ins to this account from this address may be held up.
    pub(super) fn may_hold_up(&self, account: usize, address: IpAddr) -> bool {
        let Limits {
            sasl_failures_per_address: per_address,
            sasl_failures_per_account: per_account,
            ..
        } = self.limits;
        let spent = |count: Option<&u32>, limit: u32| count.is_some_and(|count| *count >= limit);
        let both = (account, address);
        if self.usual.contains(&both) && !self.fresh.contains(&both) {
            return spent(self.by_both.get(&both), per_address.min(per_account));
        }
        spent(self.by_address.get(&address), per_address)
            || spent(self.by_account.get(&account), per_account)
    }

    /// The server died, and all that it had counted with it.
    pub(super) fn crash(&mut self, at: Moment) {
        *self = Self {
            started: at,
            ..Self::new(self.limits.clone())
        };
    }
}

/// Limits of a run: often so low that they are reached.
pub(super) fn limit(random: &mut Random, limits: &mut Limits) {
    limits.sasl_failures_per_address = random.pick(&[20, 8, 3]);
    limits.sasl_failures_per_account = random.pick(&[20, 8, 3]);
}

/// Where a client comes from.
pub(super) fn home(random: &mut Random) -> IpAddr {
    random.pick(&HOMES)
}
