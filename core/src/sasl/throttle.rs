//! Failed sign-ins counted by address and by account, so that passwords cannot be guessed by making more connections: RFC 6120
//! §13.9.4 has a server limit the number of retries, and a stream's own limit ends with the stream.
//!
//! Accounts are counted by the shard that owns them, which decides on every attempt. Addresses are counted by every shard, which
//! tells the others of each failure, one way. What is on its way is missing in their counts, so a burst on all shards at once
//! gets at most as many answers from each as it would from one.
//!
//! Where an account signed in lately it is its own neighbour only: its failures there have a count of their own, of account and
//! address, in the place of the two others (`Throttle::usual`).
//!
//! Whoever is over the limit gets the same answer to every password (`Verdict::HoldUp`), hence no more from asking. Attempts held
//! up are not counted: otherwise a client that keeps trying would never come in again.
//!
//! Names and addresses are kept as hashes under the server's secret. All shards make the same ones, no name that a stranger
//! chose takes memory, and nobody outside can find two that share a count.

mod counts;

use core::hash::{BuildHasher as _, Hasher as _};
use core::net::IpAddr;

pub(crate) use counts::Counts;
use counts::Log;

use super::regulars::Regulars;
use crate::entropy::keyed_hash;
use crate::jid::BareJid;
use crate::limits::Limits;
use crate::map::Keyed;
use crate::time::Instant;

/// One shard's counts.
#[derive(Debug)]
pub struct Throttle {
    prints: Keyed,
    addresses: Counts,
    accounts: Counts,
    /// Of accounts at their usual addresses.
    usual: Counts,
    regulars: Regulars,
}

/// From where somebody tries to sign in, and as whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    address: u64,
    counted: Counted,
    /// `None` for a name that no account can have.
    account: Option<u64>,
}

/// An address as all shards name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AddressPrint(pub(crate) u64);

/// Whether an address is one of those whose failures are counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Counted {
    Yes,
    Exempt,
}

/// What is to become of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It goes on.
    Answer,
    /// It is answered late, and with the same words whatever the password.
    HoldUp,
}

/// What a failure led to that was not so before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reached {
    /// The address has used up its failures.
    pub address: Limit,
    /// The account has.
    pub account: Limit,
    /// The address to tell other shards of, if it counted there.
    pub news: Option<AddressPrint>,
}

/// See `Reached`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Limit {
    /// Not used up, or that has been said already.
    #[default]
    AsBefore,
    /// Just now.
    Reached,
}

impl Attempt {
    /// The address, if it is one of those that are counted.
    pub(crate) const fn counted_address(&self) -> Option<AddressPrint> {
        match self.counted {
            Counted::Yes => Some(AddressPrint(self.address)),
            Counted::Exempt => None,
        }
    }
}

impl Throttle {
    /// `server_secret` is the same for all shards; `key` is this one's own.
    #[must_use]
    pub fn new(server_secret: &[u8; 32], key: &Keyed) -> Self {
        let block = keyed_hash(server_secret, &[b"throttle"]);
        let mut prints = [0; 16];
        prints.copy_from_slice(block.split_at(16).0);
        Self {
            prints: Keyed::new(prints),
            addresses: Counts::new(key.clone()),
            accounts: Counts::new(key.clone()),
            usual: Counts::new(key.clone()),
            regulars: Regulars::new(key),
        }
    }

    /// Names an attempt. An unknown account has a name like any other.
    #[must_use]
    pub fn attempt(&self, limits: &Limits, from: IpAddr, account: Option<&BareJid>) -> Attempt {
        let exempt = limits.unlimited_addresses.iter();
        let counted = match exempt.into_iter().any(|network| network.contains(from)) {
            true => Counted::Exempt,
            false => Counted::Yes,
        };
        let address = match from.to_canonical() {
            IpAddr::V4(address) => self.print(&[4], &address.octets()),
            // The smallest network that is given out: whoever has it has all its addresses.
            IpAddr::V6(address) => self.print(&[6], address.octets().split_at(8).0),
        };
        Attempt {
            address,
            counted,
            account: account.map(|account| self.print(b"@", account.as_str().as_bytes())),
        }
    }

    fn print(&self, kind: &[u8], name: &[u8]) -> u64 {
        let mut hasher = self.prints.build_hasher();
        hasher.write(kind);
        hasher.write(name);
        hasher.finish()
    }

    /// Whether an attempt goes on. To be asked of the account's owner, which knows its usual addresses; and again when the outcome
    /// is known: thousands may have begun before the first failed.
    #[must_use]
    pub fn verdict(&self, now: Instant, limits: &Limits, attempt: &Attempt) -> Verdict {
        let each = limits.sasl_failure_forgiven_after;
        let spent = |counts: &Counts, key, max| counts.is_spent(key, now, max, each);
        let held_up = if let Some(usual) = self.usual(attempt) {
            spent(&self.usual, usual, usual_limit(limits))
        } else {
            let by_address = || {
                let max = limits.sasl_failures_per_address;
                attempt.counted == Counted::Yes && spent(&self.addresses, attempt.address, max)
            };
            let by_account = || {
                let max = limits.sasl_failures_per_account;
                let account = attempt.account;
                account.is_some_and(|account| spent(&self.accounts, account, max))
            };
            by_address() || by_account()
        };
        match held_up {
            true => Verdict::HoldUp,
            false => Verdict::Answer,
        }
    }

    /// The name of account and address together, if the account signed in from there lately.
    ///
    /// Choice: others' failures do not keep the owner out, neither those for the account from elsewhere nor those for other
    /// names from there. Only its own count, so that whoever shares the address has as many guesses at it as anywhere. If there have
    /// been too many failures for other names, who tries the account's learns from the answer that it signed in from that very
    /// address lately; a name that no account has is never usual anywhere. An exempt address is nobody's: everybody is behind it.
    fn usual(&self, attempt: &Attempt) -> Option<u64> {
        let account = attempt.account?;
        let usual = attempt.counted == Counted::Yes && self.regulars.know(account, attempt.address);
        usual.then(|| self.print(&account.to_le_bytes(), &attempt.address.to_le_bytes()))
    }

    /// Counts a failure that was answered as such by another shard.
    pub fn told(&mut self, now: Instant, limits: &Limits, AddressPrint(address): AddressPrint) {
        let max = limits.sasl_failures_per_address;
        if max > 0 {
            let each = limits.sasl_failure_forgiven_after;
            self.addresses.add(address, now, max, each, Log::Told);
        }
    }

    /// Counts a failure that was answered as such. A success takes nothing back: whoever has an account
    /// could clear the count of an address with it.
    pub fn failed(&mut self, now: Instant, limits: &Limits, attempt: &Attempt) -> Reached {
        let each = limits.sasl_failure_forgiven_after;
        let mut reached = Reached::default();
        if let Some(usual) = self.usual(attempt) {
            let max = usual_limit(limits);
            if max > 0 {
                self.usual.add(usual, now, max, each, Log::Told);
            }
        } else if attempt.counted == Counted::Yes {
            reached.news = Some(AddressPrint(attempt.address));
            let max = limits.sasl_failures_per_address;
            if max > 0 {
                reached.address = self
                    .addresses
                    .add(attempt.address, now, max, each, Log::Silent);
            }
        }
        // Wherever it came from: an account that is guessed at from a usual address is no less guessed at.
        let max = limits.sasl_failures_per_account;
        if let Some(account) = attempt.account
            && max > 0
        {
            reached.account = self.accounts.add(account, now, max, each, Log::Silent);
        }
        reached
    }

    /// An account of this shard's signed in.
    pub fn signed_in(&mut self, now: Instant, attempt: &Attempt) {
        if let Some(account) = attempt.account {
            self.regulars.welcome(now, account, attempt.address);
        }
    }

    /// Forgets all failures: what they were worth has changed with the configuration.
    pub fn forgive_all(&mut self) {
        self.addresses.clear();
        self.accounts.clear();
        self.usual.clear();
    }
}

/// The limit of an account at a usual address: no higher than where either would be counted alone, and none only without both.
fn usual_limit(limits: &Limits) -> u32 {
    match (
        limits.sasl_failures_per_address,
        limits.sasl_failures_per_account,
    ) {
        (0, max) | (max, 0) => max,
        (by_address, by_account) => by_address.min(by_account),
    }
}

#[cfg(test)]
mod tests;
