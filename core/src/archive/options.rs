//! What an administrator can say of archives and of messages that wait.

use core::time::Duration;

use super::Policy;
use crate::limits::{
    ARCHIVE_BYTES, ARCHIVE_EXPIRY, ARCHIVE_MESSAGES, ARCHIVE_RESULTS, OFFLINE_MESSAGES,
};
use crate::options::{Expiry, Source, Unsaid, of_host};

/// The options of archives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ArchiveOptions {
    /// `default_archive_policy`: what is archived for who has not said anything.
    pub policy: Policy,
    /// `archive_expires_after`: how long messages stay.
    pub expires_after: Expiry,
    /// `archive_max_messages`: how many stay.
    pub max_messages: u64,
    /// `archive_max_bytes`: bytes of those that stay.
    pub max_bytes: u64,
    /// `max_archive_query_results`: how many one query gives.
    pub max_results: u32,
    /// `offline_max_messages`: how many messages wait for who is away.
    pub max_offline: u32,
    /// `offline_expires_after`: for how long.
    pub offline_expires_after: Expiry,
}

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl ArchiveOptions {
    /// What `from` says of them.
    pub fn read(from: &mut impl Source) -> Self {
        Self {
            policy: from.word(
                &of_host(
                    "default_archive_policy",
                    "Which messages are archived for users who have not chosen: \"always\" all of them, \"roster\" those with contacts, \
                     \"never\" none. Messages to who is away are kept until they are delivered in any case.",
                )
                .elsewhere("\"roster\""),
                Policy::Always,
                POLICIES,
            ),
            expires_after: from.expiry(
                &of_host(
                    "archive_expires_after",
                    "How long messages stay in the archive: a number of seconds, or text such as \"1 week\", or \"never\". Clients that are \
                     away for longer miss what was said meanwhile.",
                )
                .elsewhere("\"90 days\""),
                Expiry::After(WEEK),
                ARCHIVE_EXPIRY,
            ),
            max_messages: from.number(
                &of_host(
                    "archive_max_messages",
                    "How many messages stay in the archive of one user, however young. The oldest go first.",
                )
                .elsewhere("100000"),
                1_000_000,
                ARCHIVE_MESSAGES,
            ),
            max_bytes: from.number(
                &of_host(
                    "archive_max_bytes",
                    "How many bytes of messages stay in the archive of one user. The oldest go first.",
                )
                .elsewhere("104857600"),
                1024 * 1024 * 1024,
                ARCHIVE_BYTES,
            ),
            max_results: from.number(
                &of_host(
                    "max_archive_query_results",
                    "How many messages a client gets for one query of its archive; it asks again for more.",
                )
                .elsewhere("100"),
                50,
                ARCHIVE_RESULTS,
            ),
            max_offline: from.number(
                &of_host(
                    "offline_max_messages",
                    "How many messages wait for a user who is away. Senders of further ones are told that they cannot be delivered. \
                     Together they have at most 16 MiB.",
                )
                .elsewhere("1000"),
                5000,
                OFFLINE_MESSAGES,
            ),
            offline_expires_after: from.expiry(
                &of_host(
                    "offline_expires_after",
                    "How long messages wait for a user who is away: a number of seconds, or text such as \"1 year\", or \"never\".",
                )
                .elsewhere("\"90 days\""),
                Expiry::After(YEAR),
                ARCHIVE_EXPIRY,
            ),
        }
    }
}

impl ArchiveOptions {
    /// Of a host that is not served any more: nothing is kept for its accounts.
    #[must_use]
    pub(crate) fn nothing() -> Self {
        Self {
            policy: Policy::Never,
            max_offline: 0,
            ..Self::default()
        }
    }
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}

// Prosody has booleans beside the words.
const POLICIES: &[(&str, Policy)] = &[
    ("always", Policy::Always),
    ("never", Policy::Never),
    ("roster", Policy::Roster),
];
