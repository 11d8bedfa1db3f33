//! What may be lost, may come twice, or be refused although it arrived: all of it, in one place, so that it can be taken away where servers promise
//! more.

use super::Simulation;
use super::book::Sent;

/// Why a message need not have come to a good end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Excuse {
    /// It was written to a connection that broke. For now what the socket took counts as arrived: to be removed once links are confirmed by
    /// stream management or pings, from when on it is sent again.
    Unconfirmed,
    /// The server of its sender fell while it waited there. For now it waits in memory: to be removed, for what was acknowledged, once queues of
    /// links are on disk.
    QueueForgotten,
    /// The server of its sender stopped: it is refused, and the session that would hear that is over.
    NobodyToTell,
    /// The server of its receiver stopped or fell with it in memory. To be removed once that acknowledges no more than what it has settled.
    ReceiverForgot,
}

impl Simulation {
    /// Why neither its receiver nor its sender need have heard of a message.
    pub(super) fn excuse(&self, number: usize, sent: &Sent) -> Option<Excuse> {
        let (from, to) = (self.users[sent.from].site, self.users[sent.to].site);
        let since = |moment: Option<u64>| moment.is_some_and(|at| at >= sent.at);
        if self.taps.is_unsure(number) {
            Some(Excuse::Unconfirmed)
        } else if since(self.sites[from].fell) {
            Some(Excuse::QueueForgotten)
        } else if since(self.sites[from].ended) {
            Some(Excuse::NobodyToTell)
        } else if since(self.sites[to].ended) {
            Some(Excuse::ReceiverForgot)
        } else {
            None
        }
    }

    /// Whether it may have come twice, or been refused although it came: it was written and never confirmed, or the session that had it ended
    /// before it said so.
    pub(super) fn may_repeat(&self, number: usize, sent: &Sent) -> bool {
        let to = self.users[sent.to].site;
        let ended = self.sites[to].ended;
        self.taps.is_unsure(number) || ended.is_some_and(|at| at >= sent.at)
    }
}
