//! What an administrator can say of stream management.

use alloc::boxed::Box;
use alloc::format;
use core::time::Duration;

use crate::jid::Domain;
use crate::limits::{
    SM_ACK_DELAY, SM_HIBERNATED_SESSIONS, SM_HIBERNATION, SM_OLD_SESSIONS, SM_QUEUE, SM_UNACKED,
};
use crate::options::{Item, Source, Unsaid, of_host};

/// The options of stream management.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SmOptions {
    /// `smacks_hibernation_time`: how long a session waits for its client to come back. Zero: not at all.
    pub hibernation: Duration,
    /// `smacks_max_unacked_stanzas`: with more than so many unacknowledged the client is asked.
    pub max_unacked: usize,
    /// `smacks_max_inactive_unacked_stanzas`: the same while nobody looks at it.
    pub max_inactive_unacked: usize,
    /// `smacks_max_queue_size`: how many unacknowledged stanzas are kept for one session.
    pub max_queue: usize,
    /// `smacks_max_hibernated_sessions`: how many sessions of an account may wait for their clients.
    pub max_hibernated: usize,
    /// `smacks_max_old_sessions`: of how many that are over it is remembered what was handled.
    pub max_old: usize,
    /// `smacks_max_ack_delay`: how long a client may take to answer.
    pub max_ack_delay: Duration,
    /// `smacks_location`: where clients are to come back.
    pub location: Option<Location>,
}

const UNACKED: &str = "smacks_max_unacked_stanzas";
const INACTIVE: &str = "smacks_max_inactive_unacked_stanzas";
const QUEUE: &str = "smacks_max_queue_size";

impl SmOptions {
    /// What `from` says of them.
    pub fn read(from: &mut impl Source) -> Self {
        let hibernation = from.period(
            &of_host(
                "smacks_hibernation_time",
                "How long a session waits for its client to come back when the connection is lost: a number of seconds, or text such as \
                 \"10 minutes\". To others it is there as before, and what comes for it is kept in memory. 0 ends it at once.",
            )
            .elsewhere("\"1 day\""),
            Duration::from_secs(10 * 60),
            SM_HIBERNATION,
        );
        let Unacked {
            asked_with,
            asked_inactive_with,
            max_queue,
        } = Unacked::read(from);
        Self {
            hibernation,
            max_unacked: asked_with,
            max_inactive_unacked: asked_inactive_with,
            max_queue,
            max_hibernated: from.number(
                &of_host(
                    "smacks_max_hibernated_sessions",
                    "How many sessions of one account may wait for their clients at a time. One more ends the one that has waited longest.",
                ),
                10,
                SM_HIBERNATED_SESSIONS,
            ),
            max_old: from.number(
                &of_host(
                    "smacks_max_old_sessions",
                    "Of how many sessions of one account that are over it is remembered how much of what the client sent was handled, so \
                     that one that comes back too late does not send all of it again.",
                ),
                10,
                SM_OLD_SESSIONS,
            ),
            // `Choice:` Prosody has half of it. Phones on slow networks need longer to wake up than their server thinks.
            max_ack_delay: from.period(
                &of_host(
                    "smacks_max_ack_delay",
                    "How long a client may take to acknowledge what it was asked about, if nothing else comes from it either. Then its \
                     connection is taken for lost.",
                ),
                Duration::from_secs(60),
                SM_ACK_DELAY,
            ),
            location: from.text(
                &of_host(
                    "smacks_location",
                    "Where clients are told to come back when they have lost their connection: a name or an address, with a port if it is \
                     not the usual one. Without it they come back as they came first.",
                )
                .shown_as("\"xmpp1.example.org:5222\""),
            ),
        }
    }
}

/// How many stanzas may be unacknowledged, and when a client is asked about them.
struct Unacked {
    asked_with: usize,
    asked_inactive_with: usize,
    max_queue: usize,
}

impl Unacked {
    fn read(from: &mut impl Source) -> Self {
        let asked_with = from.number(
            &of_host(
                UNACKED,
                "A client is asked whether it has got what was sent when more stanzas than this are not acknowledged: 0 asks whenever something \
                 was sent. The second number is for clients that say that nobody looks at them.",
            ),
            0,
            SM_UNACKED,
        );
        let asked_inactive_with = from.number(&of_host(INACTIVE, ""), 256, SM_UNACKED);
        let max_queue = from.number(
            &of_host(
                QUEUE,
                "How many stanzas that its client has not acknowledged are kept for one session; they have at most 4 MiB. Whoever writes \
                 to it waits from half of them on; one too many ends it, and what was in it goes where messages go that wait for who is away.",
            )
            .elsewhere("1000"),
            5000,
            SM_QUEUE,
        );
        for (name, asks) in [(UNACKED, asked_with), (INACTIVE, asked_inactive_with)] {
            if asks >= max_queue {
                from.contradiction(
                    &[name, QUEUE],
                    format!(
                        "`{name}` ({asks}) must be below `{QUEUE}` ({max_queue}): the session would end before its client is asked"
                    ),
                );
            }
        }
        Self {
            asked_with,
            asked_inactive_with,
            max_queue,
        }
    }
}

impl Default for SmOptions {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}

/// Where a client is to connect: a domain or an address, with or without a port (XEP-0198 §3, RFC 6120 §4.9.3.19).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location(Box<str>);

impl Location {
    /// As it is written into `location`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Item for Location {
    const WANTED: &'static str = "text in quotes, such as \"xmpp1.example.org:5222\"";
    const NONE: &'static str = "neither a name nor an address such as \"xmpp1.example.org:5222\" or \"[2001:db8::1]:5222\"";

    fn read(text: &str) -> Option<Self> {
        is_location(text).then(|| Self(text.into()))
    }
}

fn is_location(text: &str) -> bool {
    // An IPv6 address stands in brackets.
    let host = text.find(']').map_or(0, |end| end + 1);
    let port = text.get(host..).and_then(|rest| rest.find(':'));
    let (host, port) = match port {
        Some(at) => text.split_at(host + at),
        None => (text, ":1"),
    };
    let digits = port.strip_prefix(':').unwrap_or_default();
    let is_port = digits.bytes().all(|byte| byte.is_ascii_digit())
        && digits.parse().is_ok_and(|port: u16| port > 0);
    Domain::parse(host).is_ok() && is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_bounds() {
        let SmOptions {
            hibernation,
            max_unacked,
            max_inactive_unacked,
            max_queue,
            max_hibernated,
            max_old,
            max_ack_delay,
            location,
        } = SmOptions::default();
        assert!(SM_HIBERNATION.contains(&hibernation) && hibernation == Duration::from_secs(600));
        assert!(SM_UNACKED.contains(&max_unacked) && max_unacked == 0);
        assert!(SM_UNACKED.contains(&max_inactive_unacked) && max_inactive_unacked == 256);
        assert!(SM_QUEUE.contains(&max_queue) && max_queue == 5000);
        assert!(SM_HIBERNATED_SESSIONS.contains(&max_hibernated) && max_hibernated == 10);
        assert!(SM_OLD_SESSIONS.contains(&max_old) && max_old == 10);
        assert!(SM_ACK_DELAY.contains(&max_ack_delay) && max_ack_delay == Duration::from_secs(60));
        assert_eq!(location, None);
    }

    #[test]
    fn a_location_is_a_name_or_an_address_with_or_without_a_port() {
        for good in [
            "example.org",
            "xmpp1.example.org:5222",
            "192.0.2.7",
            "192.0.2.7:5223",
            "[2001:db8::1]",
            "[2001:db8::1]:9222",
            "b\u{fc}cher.example:1",
        ] {
            assert_eq!(Location::read(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ":5222",
            "example.org:",
            "example.org:0",
            "example.org:65536",
            "example.org:+5222",
            "example.org:5222:1",
            "2001:db8::1",
            "[2001:db8::1",
            "[2001:db8::1]5222",
            "[192.0.2.7]:5222",
            "[example.org]:5222",
            "a b",
            "romeo@example.org",
            "xmpp:example.org",
        ] {
            assert!(Location::read(bad).is_none(), "{bad}");
        }
    }
}
