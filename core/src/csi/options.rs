//! What an administrator can say of clients that nobody looks at.

use crate::limits::CSI_QUEUE;
use crate::options::{Source, Unsaid, of_host};

/// The options of client state indication.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CsiOptions {
    /// `csi_queue_size`: how many stanzas wait for an inactive client.
    pub max_held: usize,
}

impl CsiOptions {
    /// What `from` says of them.
    pub fn read(from: &mut impl Source) -> Self {
        Self {
            max_held: from.number(
                &of_host(
                    "csi_queue_size",
                    "How much a client that says that nobody looks at it is not told at once: presence of contacts, of each the last, and \
                     messages that show nothing, such as that somebody types. It spares the battery of phones. So many stanzas wait, of \
                     64 KiB together, until one comes that is worth waking the client for; one more, and it is told all of them. With 1 \
                     hardly anything waits.",
                )
                .elsewhere("100"),
                256,
                CSI_QUEUE,
            ),
        }
    }
}

impl Default for CsiOptions {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_within_bounds() {
        let CsiOptions { max_held } = CsiOptions::default();
        assert_eq!(max_held, 256);
        assert!(CSI_QUEUE.contains(&max_held));
    }
}
