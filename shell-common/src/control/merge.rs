//! What several shards answer, as one answer.

use spondee_core::limits::LINKS_SHOWN;
use spondee_core::port::{LinkReply, LinksClosed};

/// Both are answers to the same.
pub(super) fn links(one: LinkReply, other: LinkReply) -> LinkReply {
    match (one, other) {
        (LinkReply::Closed(one), LinkReply::Closed(other)) => LinkReply::Closed(LinksClosed {
            links: one.links.saturating_add(other.links),
            streams: one.streams.saturating_add(other.streams),
            cleared: one.cleared.saturating_add(other.cleared),
        }),
        (LinkReply::Listed(mut links, more), LinkReply::Listed(others, more_of_others)) => {
            links.extend(others);
            let too_many = links.len() > LINKS_SHOWN;
            links.truncate(LINKS_SHOWN);
            LinkReply::Listed(links, more || more_of_others || too_many)
        }
        // Of one shard alone, or to something else.
        (one @ (LinkReply::Closed(_) | LinkReply::Explained(_) | LinkReply::Listed(..)), _) => one,
    }
}
