//! What may be lost, may come twice, or be refused although it arrived: all of it, in one place, so that it can be taken away where servers promise
//! more.

use super::Simulation;
use super::book::Sent;

/// Why nobody need have heard of a message that was not acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Excuse {
    /// The server of its sender fell while it waited there, in memory. To be narrowed, once queues of links are on disk, to what had not come to
    /// the server yet.
    QueueForgotten,
    /// The session of its sender is over, perhaps because the server stopped: it is refused, and nobody hears that. Where a server stops, to be
    /// narrowed in the same way.
    NobodyToTell,
}

impl Simulation {
    /// Why neither its receiver nor its sender need have heard of a message.
    pub(super) fn excuse(&self, sent: &Sent) -> Option<Excuse> {
        if sent.acknowledged {
            return None;
        }
        let site = &self.sites[self.users[sent.from].site];
        let since = |moment: Option<u64>| moment.is_some_and(|at| at >= sent.at);
        if since(site.fell) {
            Some(Excuse::QueueForgotten)
        } else if since(site.ended) || since(self.users[sent.from].left) {
            Some(Excuse::NobodyToTell)
        } else {
            None
        }
    }

    /// Whether it may have come twice, or been refused although it came: it was written and never confirmed, or the session that had it ended
    /// before it said so.
    pub(super) fn may_repeat(&self, number: usize, sent: &Sent) -> bool {
        let to = &self.users[sent.to];
        let since = |moment: Option<u64>| moment.is_some_and(|at| at >= sent.at);
        self.taps.is_unsure(number) || since(to.left) || since(self.sites[to.site].ended)
    }
}
