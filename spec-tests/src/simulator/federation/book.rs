//! What users have sent, and what became of it.

use std::collections::BTreeMap;

use spondee_core::time::Instant;

use super::Moment;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) messages: Vec<Sent>,
    pub(super) requests: Vec<Request>,
    /// Who said each directed presence.
    pub(super) presences: Vec<usize>,
    /// The last number of each pair of users.
    last: BTreeMap<(usize, usize), usize>,
    /// Up to here all was judged.
    pub(super) judged: usize,
    pub(super) requests_judged: usize,
}

/// One message.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) at: Moment,
    /// By the clock of all.
    pub(super) when: Instant,
    /// To whom, as it was written.
    pub(super) address: String,
    pub(super) acknowledged: bool,
    pub(super) delivered: usize,
    pub(super) bounced: usize,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) from: usize,
    /// To whom, as it was written.
    pub(super) address: String,
    pub(super) answers: usize,
    /// Whether nothing bad had happened by then.
    pub(super) undisturbed: bool,
}

impl Book {
    /// A message has come for the first time; those of its pair come in order.
    pub(super) fn first(&mut self, number: usize) -> Result<(), String> {
        let sent = &self.messages[number];
        let last = self.last.entry((sent.from, sent.to)).or_default();
        // Numbers grow, so those of a pair do.
        if *last > number + 1 {
            return Err(format!(
                "m{number} comes behind m{} from user {} to user {}",
                *last - 1,
                sent.from,
                sent.to
            ));
        }
        *last = number + 1;
        Ok(())
    }
}
