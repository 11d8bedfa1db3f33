//! What an administrator can say of rosters.

use crate::limits::ROSTER_CONTACTS;
use crate::options::{Source, Unsaid, of_host};

/// The options of rosters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RosterOptions {
    /// `roster_max_contacts`: how many contacts an account may have.
    pub max_contacts: usize,
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
        let RosterOptions { max_contacts } = RosterOptions::default();
        assert_eq!(max_contacts, 1000);
        assert!(ROSTER_CONTACTS.contains(&max_contacts));
    }
}
