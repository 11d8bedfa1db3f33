//! What an administrator can say of blocklists.

use crate::limits::BLOCKLIST_ITEMS;
use crate::options::{Source, Unsaid, of_host};

/// The options of blocklists.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BlockingOptions {
    /// `blocklist_max_items`: how many addresses an account may block.
    pub max_items: usize,
}

impl BlockingOptions {
    /// What `from` says of them.
    pub fn read(from: &mut impl Source) -> Self {
        Self {
            // `Choice:` Prosody has no such bound; the name is in the manner of its `pep_max_items`. Who is bothered by a thousand is
            // better served by blocking domains.
            max_items: from.number(
                &of_host(
                    "blocklist_max_items",
                    "How many addresses an account may block. Who has more keeps them, and can add none.",
                ),
                1000,
                BLOCKLIST_ITEMS,
            ),
        }
    }
}

impl Default for BlockingOptions {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_within_bounds() {
        let BlockingOptions { max_items } = BlockingOptions::default();
        assert_eq!(max_items, 1000);
        assert!(BLOCKLIST_ITEMS.contains(&max_items));
    }
}
