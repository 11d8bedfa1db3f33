//! What the server is meant to reach.

use super::floor::Kind;
use super::report::Row;
use super::target::Role;

/// What one scenario is held to.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// Of the figure that counts.
    pub value: Option<f64>,
    /// Least share of the floor of the same run.
    pub share: Option<f64>,
    /// How many times better than the best peer of the same run.
    pub times: Option<f64>,
    /// Which floor.
    pub floor: Kind,
    /// Which way is better.
    pub better: Better,
}

/// Which of two figures is the better one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Better {
    /// A rate.
    More,
    /// A size.
    Less,
}

/// The goal of a scenario by its name; `None` if it has none.
#[must_use]
pub fn goal(scenario: &str) -> Option<Goal> {
    let rate = |value, share, floor| Goal {
        value,
        share,
        times: None,
        floor,
        better: Better::More,
    };
    let size = |value| Goal {
        value: Some(value),
        share: None,
        times: None,
        floor: Kind::Echo,
        better: Better::Less,
    };
    Some(match scenario {
        "signin" => rate(Some(2500.0), Some(0.8), Kind::RoundTrips),
        "signin-clear" => rate(None, Some(0.75), Kind::RoundTrips),
        // No floor does what they need, and what is to be reached is said of their peers.
        "roster" | "roster-clear" | "roster-set" | "roster-set-clear" => {
            rate(None, None, Kind::RoundTrips)
        }
        "signin-roster" => Goal {
            times: Some(10.0),
            ..rate(None, None, Kind::RoundTrips)
        },
        "signin-roster-clear" => rate(None, None, Kind::RoundTrips),
        "presence" => rate(Some(100_000.0), None, Kind::FanOut),
        "presence-clear" => rate(None, None, Kind::FanOut),
        "chat" => rate(Some(150_000.0), None, Kind::BatchedRelay),
        "chat-archived" => rate(Some(25_000.0), None, Kind::BatchedRelay),
        "offline-stored" => rate(Some(25_000.0), None, Kind::BatchedRelay),
        "offline-stored-archived" => rate(Some(12_000.0), None, Kind::BatchedRelay),
        "offline-delivered" => rate(Some(150_000.0), None, Kind::BatchedRelay),
        "archive-back" | "archive-forward" => rate(Some(100_000.0), None, Kind::BatchedRelay),
        "chat-archived-clear"
        | "offline-stored-clear"
        | "offline-stored-archived-clear"
        | "offline-delivered-clear"
        | "archive-back-clear"
        | "archive-forward-clear" => rate(None, None, Kind::BatchedRelay),
        "chat-clear" => rate(None, None, Kind::BatchedRelay),
        "idle" | "idle-in-process" => size(8.0),
        "idle-clear" => size(3.0),
        "idle-roster" => size(7.0),
        "big-signin" | "big-middle" | "big-time" | "big-contact" | "big-stranger" => {
            rate(None, None, Kind::RoundTrips)
        }
        _ => return None,
    })
}

impl Goal {
    /// In words, for the table.
    #[must_use]
    pub fn words(&self) -> String {
        let value = self.value.map(|value| match self.better {
            Better::More => format!("{value}"),
            Better::Less => format!("at most {value}"),
        });
        let share = self
            .share
            .map(|share| format!("{:.0} % of the floor", share * 100.0));
        let times = self.times.map(|times| format!("{times} × best peer"));
        let words: Vec<String> = value.into_iter().chain(share).chain(times).collect();
        if words.is_empty() {
            return "–".to_owned();
        }
        words.join(" and ")
    }

    /// What that makes of the medians of the floor and of the best peer: the figure to be reached; `None` if that cannot be said.
    #[must_use]
    pub fn wanted(&self, floor: Option<f64>, peer: Option<f64>) -> Option<f64> {
        let share = match self.share {
            Some(share) => Some(share * floor?),
            None => None,
        };
        let times = match self.times {
            Some(times) => Some(times * peer?),
            None => None,
        };
        let all = self.value.into_iter().chain(share).chain(times);
        all.reduce(f64::max)
    }

    /// Whether a median reaches it; `None` if that cannot be said.
    #[must_use]
    pub fn is_met(&self, own: f64, floor: Option<f64>, peer: Option<f64>) -> Option<bool> {
        let wanted = self.wanted(floor, peer)?;
        Some(match self.better {
            Better::More => own >= wanted,
            Better::Less => own <= wanted,
        })
    }

    /// The median of the best peer.
    #[must_use]
    pub fn best(&self, rows: &[Row]) -> Option<f64> {
        let peers = rows.iter().filter(|row| row.role == Role::Peer);
        peers.map(|peer| peer.median).reduce(match self.better {
            Better::More => f64::max,
            Better::Less => f64::min,
        })
    }

    /// How many times `own` is better than `other`.
    #[must_use]
    pub fn advantage(&self, own: f64, other: f64) -> f64 {
        match self.better {
            Better::More => own / other,
            Better::Less => other / own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_wants_all_it_names() {
        let signin = goal("signin").unwrap();
        assert_eq!(signin.words(), "2500 and 80 % of the floor");
        assert_eq!(signin.is_met(2600.0, Some(3000.0), None), Some(true));
        assert_eq!(signin.is_met(2600.0, Some(3500.0), None), Some(false));
        assert_eq!(signin.is_met(2400.0, Some(2500.0), None), Some(false));
        assert_eq!(signin.is_met(2600.0, None, None), None);
        let idle = goal("idle").unwrap();
        assert_eq!(idle.is_met(7.5, None, None), Some(true));
        assert!(idle.advantage(7.0, 70.0) > 9.9);
        assert!(goal("signin ×2").is_none());
        let roster = goal("signin-roster").unwrap();
        assert_eq!(roster.words(), "10 × best peer");
        assert_eq!(roster.is_met(2600.0, None, Some(250.0)), Some(true));
        assert_eq!(roster.is_met(2600.0, None, Some(270.0)), Some(false));
        assert_eq!(roster.is_met(2600.0, None, None), None);
    }
}
