//! What an administrator can say of private XML.

use crate::limits::PRIVATE_ITEMS;
use crate::options::{Source, Unsaid, of_host};

/// The options of private XML.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PrivateOptions {
    /// `private_storage_max_items`: how many elements an account may keep.
    pub max_items: usize,
}

impl PrivateOptions {
    /// What `from` says of them.
    pub fn read(from: &mut impl Source) -> Self {
        Self {
            // `Choice:` Prosody has no such bound. Clients keep bookmarks, notes about contacts and settings: some dozens.
            max_items: from.number(
                &of_host(
                    "private_storage_max_items",
                    "How many elements of private XML an account may keep. Who has more keeps them, and can add none.",
                ),
                1000,
                PRIVATE_ITEMS,
            ),
        }
    }
}

impl Default for PrivateOptions {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}
