//! How many lines an address may cause. What strangers do is told, and how often; but nobody can fill the log with it, or hide in
//! it what others did.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use crate::limits::log::{ADDRESSES, LINES_PER_ADDRESS, MINUTE};
use crate::permits::network;

/// What a line is about. Each has lines of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    /// A password that was refused: what programs that ban count.
    Password,
    /// Anything else that came to nothing.
    Failure,
    /// What the administrator should look at.
    Warning,
}

/// Who caused a line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    /// Somebody at this address.
    Peer(IpAddr),
    /// The server, perhaps on what somebody did.
    Server,
}

/// The lines of the present minute, by address.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When the minute is over. `None` while nothing is counted.
    ends: Option<Instant>,
    addresses: HashMap<IpAddr, Counts>,
    /// Of all addresses that the table had no room for.
    others: Counts,
    server: Counts,
}

/// Whether a line is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Write,
    /// It is the first of its minute, of whose end the thread must be told.
    WriteFirst,
    LeaveOut,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counts {
    password: u32,
    failure: u32,
    warning: u32,
}

impl Budget {
    /// When there may be something to tell.
    pub(super) const fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Counts a line.
    pub(super) fn weigh(&mut self, cause: Cause, subject: Subject, now: Instant) -> Verdict {
        let counts = match cause {
            Cause::Server => &mut self.server,
            Cause::Peer(peer) => {
                let peer = network(peer);
                let full = self.addresses.len() >= ADDRESSES;
                match full && !self.addresses.contains_key(&peer) {
                    true => &mut self.others,
                    false => self.addresses.entry(peer).or_default(),
                }
            }
        };
        let count = match subject {
            Subject::Password => &mut counts.password,
            Subject::Failure => &mut counts.failure,
            Subject::Warning => &mut counts.warning,
        };
        *count = count.saturating_add(1);
        if *count > LINES_PER_ADDRESS {
            return Verdict::LeaveOut;
        }
        match self.ends.replace(self.ends.unwrap_or(now + MINUTE)) {
            Some(_) => Verdict::Write,
            None => Verdict::WriteFirst,
        }
    }

    /// If the minute is over: what was left out in it, and the next one begins with the next line.
    pub(super) fn settle(&mut self, now: Instant) -> Vec<LeftOut> {
        match self.ends.is_some_and(|at| at <= now) {
            true => self.close(),
            false => Vec::new(),
        }
    }

    /// What was left out, whether the minute is over or not.
    pub(super) fn close(&mut self) -> Vec<LeftOut> {
        let Self {
            ends: _,
            addresses,
            others,
            server,
        } = std::mem::take(self);
        let addresses = addresses.into_iter().map(|(address, counts)| LeftOut {
            who: Who::Address(address),
            counts: counts.beyond(),
        });
        let rest = [(Who::Others, others), (Who::Server, server)];
        let rest = rest.map(|(who, counts)| LeftOut {
            who,
            counts: counts.beyond(),
        });
        let mut all: Vec<_> = addresses.chain(rest).collect();
        all.retain(|one| one.counts != Counts::default());
        all.sort_by_key(|one| one.who);
        all
    }
}

impl Counts {
    fn beyond(self) -> Self {
        let beyond = |count: u32| count.saturating_sub(LINES_PER_ADDRESS);
        Self {
            password: beyond(self.password),
            failure: beyond(self.failure),
            warning: beyond(self.warning),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Who {
    Address(IpAddr),
    Others,
    Server,
}

/// How many lines an address was not given.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct LeftOut {
    who: Who,
    counts: Counts,
}

/// The words must not be those of the lines that were left out: a program that bans would count them.
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("left out within a minute: ")?;
        let Counts {
            password,
            failure,
            warning,
        } = self.counts;
        let counts = [
            (password, "refused passwords"),
            (failure, "other failures"),
            (warning, "warnings"),
        ];
        let mut separator = "";
        for (count, of_what) in counts {
            if count > 0 {
                write!(f, "{separator}{count} more {of_what}")?;
                separator = ", ";
            }
        }
        match self.who {
            Who::Address(address @ IpAddr::V4(_)) => write!(f, " peer={address}"),
            Who::Address(address @ IpAddr::V6(_)) => write!(f, " peer={address}/64"),
            Who::Others => write!(f, " of addresses beyond the first {ADDRESSES}"),
            Who::Server => f.write_str(" of the server's own"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Cause {
        Cause::Peer(address.parse().unwrap())
    }

    fn written(budget: &mut Budget, cause: Cause, subject: Subject, times: u32) -> usize {
        let now = Instant::now();
        let weigh = |_| budget.weigh(cause, subject, now);
        let verdicts = (0..times).map(weigh);
        verdicts
            .filter(|verdict| *verdict != Verdict::LeaveOut)
            .count()
    }

    fn said(left_out: &[LeftOut]) -> Vec<String> {
        left_out.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_address_has_its_lines_and_one_that_says_how_many_more_there_were() {
        let mut budget = Budget::default();
        let noisy = peer("::ffff:192.0.2.1");
        assert_eq!(written(&mut budget, noisy, Subject::Failure, 800), 20);
        assert_eq!(
            written(&mut budget, peer("192.0.2.2"), Subject::Failure, 20),
            20
        );
        assert_eq!(
            said(&budget.close()),
            ["left out within a minute: 780 more other failures peer=192.0.2.1"]
        );
        assert_eq!(budget.close(), []);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut budget = Budget::default();
        let many = (0..30).map(|n| peer(&format!("2001:db8::{n:x}:1")));
        let lines: usize = many
            .map(|one| written(&mut budget, one, Subject::Password, 1))
            .sum();
        assert_eq!(lines, 20);
        assert_eq!(
            said(&budget.close()),
            ["left out within a minute: 10 more refused passwords peer=2001:db8::/64"]
        );
    }

    #[test]
    fn noise_hides_no_refused_password() {
        let mut budget = Budget::default();
        let noisy = peer("192.0.2.1");
        written(&mut budget, noisy, Subject::Failure, 100);
        written(&mut budget, noisy, Subject::Warning, 100);
        assert_eq!(written(&mut budget, noisy, Subject::Password, 23), 20);
        assert_eq!(
            said(&budget.close()),
            [
                "left out within a minute: 3 more refused passwords, 80 more other failures, 80 more warnings \
                 peer=192.0.2.1"
            ]
        );
    }

    #[test]
    fn a_minute_begins_with_its_first_line_and_ends_once() {
        let mut budget = Budget::default();
        let begun = Instant::now();
        let one = peer("192.0.2.1");
        let mut weigh = |at| budget.weigh(one, Subject::Failure, at);
        assert_eq!(weigh(begun), Verdict::WriteFirst);
        for _ in 1..LINES_PER_ADDRESS {
            assert_eq!(weigh(begun + MINUTE / 2), Verdict::Write);
        }
        assert_eq!(weigh(begun + MINUTE / 2), Verdict::LeaveOut);
        assert_eq!(budget.ends(), Some(begun + MINUTE));
        assert_eq!(budget.settle(begun + MINUTE / 2), []);
        assert_eq!(budget.settle(begun + MINUTE).len(), 1);
        assert_eq!(budget.ends(), None);
        let again = budget.weigh(one, Subject::Failure, begun + MINUTE);
        assert_eq!(again, Verdict::WriteFirst);
    }

    #[test]
    fn addresses_without_number_share_the_lines_of_one() {
        let mut budget = Budget::default();
        let total = u32::try_from(ADDRESSES).unwrap() + 500;
        let addresses = (0..total).map(|n| Cause::Peer(IpAddr::V4(n.into())));
        let lines: usize = addresses
            .map(|one| written(&mut budget, one, Subject::Failure, 1))
            .sum();
        assert_eq!(lines, ADDRESSES + 20);
        assert_eq!(budget.addresses.len(), ADDRESSES);
        // Who is in the table keeps its own.
        let first = Cause::Peer(IpAddr::V4(0.into()));
        assert_eq!(written(&mut budget, first, Subject::Failure, 19), 19);
        assert_eq!(
            said(&budget.close()),
            [
                "left out within a minute: 480 more other failures of addresses beyond the first 1024"
            ]
        );
    }

    #[test]
    fn the_server_has_lines_of_its_own() {
        let mut budget = Budget::default();
        let lines = written(&mut budget, Cause::Server, Subject::Warning, 21);
        assert_eq!(lines, 20);
        assert_eq!(
            said(&budget.close()),
            ["left out within a minute: 1 more warnings of the server's own"]
        );
    }
}
