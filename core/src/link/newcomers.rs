//! How many remote domains are looked for that nothing is known of yet: by each account, by whoever shows keys from one address, and in all.
//!
//! Each of them costs questions to DNS and connections to places that whoever names the domain has chosen. A domain with a link, or of which it is
//! known that there is none, costs nothing and is not counted.

use core::hash::BuildHasher as _;
use core::time::Duration;

use crate::limits::{S2S_NEW_DOMAINS, S2S_NEW_DOMAINS_OF_ACCOUNT, S2S_NEW_DOMAINS_OF_ADDRESS};
use crate::map::Keyed;
use crate::sasl::{AddressPrint, Counts};
use crate::time::Instant;

/// One shard's counts.
#[derive(Debug)]
pub(crate) struct Newcomers {
    key: Keyed,
    accounts: Counts,
    addresses: Counts,
    all: Counts,
}

/// Who names a domain.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NamedBy<'a> {
    /// An account, by its bare address.
    Account(&'a str),
    /// One of our hosts, which answers who has spoken to it: that one's own server is counted already.
    Host,
    /// Nobody now: something was kept for it.
    Kept,
    /// A server at this address, if it is one of those that are counted.
    Address(Option<AddressPrint>),
}

/// The one key of what is counted together.
const EVERYBODY: u64 = 0;

const MINUTE: Duration = Duration::from_secs(60);

/// How soon one of so many is forgiven: all of them in a minute.
fn each(max: u32) -> Duration {
    MINUTE / max.max(1)
}

impl Newcomers {
    pub(crate) fn new(key: &Keyed) -> Self {
        Self {
            key: key.clone(),
            accounts: Counts::new(key.clone()),
            addresses: Counts::new(key.clone()),
            all: Counts::new(key.clone()),
        }
    }

    /// One more, if it may be.
    pub(crate) fn admit(&mut self, now: Instant, by: NamedBy<'_>) -> Admitted {
        let (counts, key, max) = match by {
            NamedBy::Kept => return Admitted::Yes,
            NamedBy::Host => (&mut self.addresses, None, S2S_NEW_DOMAINS_OF_ADDRESS),
            NamedBy::Account(account) => {
                let key = self.key.hash_one(account);
                (&mut self.accounts, Some(key), S2S_NEW_DOMAINS_OF_ACCOUNT)
            }
            NamedBy::Address(address) => {
                let key = address.map(|AddressPrint(address)| address);
                (&mut self.addresses, key, S2S_NEW_DOMAINS_OF_ADDRESS)
            }
        };
        let all = S2S_NEW_DOMAINS;
        if self.all.is_spent(EVERYBODY, now, all, each(all)) {
            return Admitted::No;
        }
        if let Some(key) = key {
            if counts.is_spent(key, now, max, each(max)) {
                return Admitted::No;
            }
            counts.count(key, now, max, each(max));
        }
        self.all.count(EVERYBODY, now, all, each(all));
        Admitted::Yes
    }
}

/// Whether a domain may be looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Admitted {
    Yes,
    No,
}
