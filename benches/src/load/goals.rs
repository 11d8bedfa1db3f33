//! What the server is meant to reach.

use super::floor::Kind;
use super::report::{Report, Row};
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
    /// Another scenario of the same run, of which it is to do as much.
    pub like: Option<&'static str>,
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

/// Medians of the same run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    /// Of the floor.
    pub floor: Option<f64>,
    /// Of the best peer.
    pub peer: Option<f64>,
    /// Its own, of the scenario that it is to be like.
    pub like: Option<f64>,
}

/// The goal of a scenario by its name; `None` if it has none.
#[must_use]
pub fn goal(scenario: &str) -> Option<Goal> {
    let rate = |value, share, floor| Goal {
        value,
        share,
        times: None,
        like: None,
        floor,
        better: Better::More,
    };
    let size = |value| Goal {
        value: Some(value),
        share: None,
        times: None,
        like: None,
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
        "chat-archived" | "chat-archived-sm" => rate(Some(25_000.0), None, Kind::BatchedRelay),
        "offline-stored" => rate(Some(25_000.0), None, Kind::BatchedRelay),
        "offline-stored-archived" => rate(Some(12_000.0), None, Kind::BatchedRelay),
        "offline-delivered" => rate(Some(150_000.0), None, Kind::BatchedRelay),
        "archive-back" | "archive-forward" => rate(Some(100_000.0), None, Kind::BatchedRelay),
        "chat-sm"
        | "chat-sm-clear"
        | "chat-archived-clear"
        | "chat-archived-sm-clear"
        | "offline-stored-clear"
        | "offline-stored-archived-clear"
        | "offline-delivered-clear"
        | "archive-back-clear"
        | "archive-forward-clear" => rate(None, None, Kind::BatchedRelay),
        "chat-clear" => rate(None, None, Kind::BatchedRelay),
        "idle" | "idle-in-process" => size(8.0),
        "idle-clear" => size(3.0),
        "idle-roster" => size(7.0),
        "idle-roster-sm" => size(8.0),
        "resume" => Goal {
            like: Some("signin"),
            ..rate(None, None, Kind::RoundTrips)
        },
        "resume-clear" => Goal {
            like: Some("signin-clear"),
            ..rate(None, None, Kind::RoundTrips)
        },
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
        let like = self.like.map(|other| format!("as many as {other}"));
        let words = value.into_iter().chain(share).chain(times).chain(like);
        let words: Vec<String> = words.collect();
        if words.is_empty() {
            return "–".to_owned();
        }
        words.join(" and ")
    }

    /// What it is compared with in a report.
    #[must_use]
    pub fn beside(&self, report: &Report, rows: &[Row]) -> Beside {
        let floor = rows.iter().find(|row| row.target == self.floor.name());
        let others = self.like.map(|other| report.rows(other));
        let own = |rows: Vec<Row>| rows.into_iter().find(|row| row.role == Role::Subject);
        Beside {
            floor: floor.map(|row| row.median),
            peer: self.best(rows),
            like: others.and_then(own).map(|row| row.median),
        }
    }

    /// The figure to be reached; `None` if that cannot be said.
    #[must_use]
    pub fn wanted(&self, beside: &Beside) -> Option<f64> {
        let share = match self.share {
            Some(share) => Some(share * beside.floor?),
            None => None,
        };
        let times = match self.times {
            Some(times) => Some(times * beside.peer?),
            None => None,
        };
        let like = match self.like {
            Some(_) => Some(beside.like?),
            None => None,
        };
        let all = self.value.into_iter().chain(share).chain(times).chain(like);
        all.reduce(f64::max)
    }

    /// Whether a median reaches it; `None` if that cannot be said.
    #[must_use]
    pub fn is_met(&self, own: f64, beside: &Beside) -> Option<bool> {
        let wanted = self.wanted(beside)?;
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
        let nothing = Beside::default();
        let floor = |median| Beside {
            floor: Some(median),
            ..nothing
        };
        assert_eq!(signin.is_met(2600.0, &floor(3000.0)), Some(true));
        assert_eq!(signin.is_met(2600.0, &floor(3500.0)), Some(false));
        assert_eq!(signin.is_met(2400.0, &floor(2500.0)), Some(false));
        assert_eq!(signin.is_met(2600.0, &nothing), None);
        let idle = goal("idle").unwrap();
        assert_eq!(idle.is_met(7.5, &nothing), Some(true));
        assert!(idle.advantage(7.0, 70.0) > 9.9);
        assert!(goal("signin ×2").is_none());
        let roster = goal("signin-roster").unwrap();
        assert_eq!(roster.words(), "10 × best peer");
        let peer = |median| Beside {
            peer: Some(median),
            ..nothing
        };
        assert_eq!(roster.is_met(2600.0, &peer(250.0)), Some(true));
        assert_eq!(roster.is_met(2600.0, &peer(270.0)), Some(false));
        assert_eq!(roster.is_met(2600.0, &nothing), None);
        let resume = goal("resume").unwrap();
        assert_eq!(resume.words(), "as many as signin");
        let like = Beside {
            like: Some(2000.0),
            ..nothing
        };
        assert_eq!(resume.is_met(2100.0, &like), Some(true));
        assert_eq!(resume.is_met(1900.0, &like), Some(false));
        assert_eq!(resume.is_met(1900.0, &nothing), None);
    }
}
