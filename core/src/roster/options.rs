//! What an administrator can say of rosters.

use crate::limits::{ROSTER_CONTACTS, ROSTER_REQUESTS};
use crate::options::{Source, Unsaid, of_host};

/// The options of rosters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RosterOptions {
    /// `roster_max_contacts`: how many contacts an account may have.
    pub max_contacts: usize,
    /// `roster_max_requests`: how many requests of others may wait for an account's answer.
    pub max_requests: usize,
}

impl RosterOptions {
    /// What `from` says of them.
    pub fn read(from: &mut impl Source) -> Self {
        Self {
            // `Choice:` Prosody and ejabberd have no such bound; the name is in the manner of Prosody's `pep_max_items` and
            // `push_max_devices`. Tigase calls it `max_roster_size`. The default is more than nearly anybody has; at usual lengths a
            // client that fetches it all is sent a tenth of a megabyte.
            max_contacts: from.number(
                &of_host(
                    "roster_max_contacts",
                    "How many contacts an account may have in its roster. Who has more keeps them, and can add none.",
                )
                .elsewhere("5000"),
                1000,
                ROSTER_CONTACTS,
            ),
            // RFC 6121 §3.1.3 has administrators limit them.
            max_requests: from.number(
                &of_host(
                    "roster_max_requests",
                    "How many requests to see its presence may wait for an account's answer. Further ones are dropped: their senders \
                     may ask again.",
                )
                .elsewhere("20"),
                100,
                ROSTER_REQUESTS,
            ),
        }
    }
}

impl Default for RosterOptions {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_within_bounds() {
        let RosterOptions {
            max_contacts,
            max_requests,
        } = RosterOptions::default();
        assert_eq!((max_contacts, max_requests), (1000, 100));
        assert!(ROSTER_CONTACTS.contains(&max_contacts));
        assert!(ROSTER_REQUESTS.contains(&max_requests));
    }
}
