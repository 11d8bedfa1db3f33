//! What may be lost, may come twice, or be refused although it arrived: all of it, in one place, so that it can be taken away where servers promise
//! more.

use std::time::Duration;

use super::Simulation;
use super::book::Sent;

/// Why nobody need have heard of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Excuse {
    /// The server of its sender fell before it was on disk there: it was not acknowledged.
    QueueForgotten,
    /// It was acknowledged and came back, because it was refused for good or nobody was there for long: while the server of its sender fell or
    /// stopped, or its sender was away. Nobody heard that.
    ErrorForgotten,
    /// The session of its sender is over: it is refused, and nobody hears that.
    NobodyToTell,
}

/// A little less than messages wait (`s2s_retry_for`).
const PATIENCE: Duration = Duration::from_secs(500);

impl Simulation {
    /// Why neither its receiver nor its sender need have heard of a message.
    pub(super) fn excuse(&self, sent: &Sent) -> Option<Excuse> {
        let site = &self.sites[self.users[sent.from].site];
        let since = |moment: Option<u64>| moment.is_some_and(|at| at >= sent.at);
        if sent.acknowledged {
            let is_refused = !self.plan.is_sociable() || self.counts.dns_faults > 0;
            let there = self.sites[self.users[sent.to].site].started;
            let is_late = there.since(sent.when) > PATIENCE;
            let is_away = since(self.users[sent.from].left);
            (since(site.ended) && is_refused || is_away && is_late)
                .then_some(Excuse::ErrorForgotten)
        } else if since(site.fell) {
            Some(Excuse::QueueForgotten)
        } else if since(site.ended) || since(self.users[sent.from].left) {
            Some(Excuse::NobodyToTell)
        } else {
            None
        }
    }

    /// Whether it may have come twice, or been refused although it came: it was written and never confirmed, or the session that had it ended
    /// before it said so, or the server of its sender was over before it heard, or had on disk, that it was confirmed or returned.
    pub(super) fn may_repeat(&self, number: usize, sent: &Sent) -> bool {
        let to = &self.users[sent.to];
        let since = |moment: Option<u64>| moment.is_some_and(|at| at >= sent.at);
        let from = &self.sites[self.users[sent.from].site];
        self.taps.is_unsure(number)
            || since(to.left)
            || since(self.sites[to.site].ended)
            || since(from.ended)
    }
}
