//! Who writes waits for who reads: a session whose queue is half full has those who feed it one to one read no more until it has
//! taken most of that. Whether it reads is told by how much it takes, not by a byte now and then, nor by who writes to it.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::late::Late;
use crate::jid::Jid;
use crate::limits::{FLOW_NEWS, FLOW_PATIENCE, FLOW_READ_BYTES, FLOW_UNHEARD, SM_ACK_AGAIN};
use crate::stanza::{Kind, PresenceType, Stanza};
use crate::time::Instant;

/// How many a stanza is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// Its sender named one address.
    One,
    /// The server tells everybody who is to know.
    Many,
}

/// Who is to wait for a session.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Feeder {
    /// The session itself: what it is owed are answers to what it sends.
    Itself,
    /// The session of this address, or all sessions of this account.
    Other(Jid),
}

/// By whose doing a queue grows.
#[derive(Debug)]
pub(super) enum Doing<'a> {
    /// The session's own.
    Own,
    /// The session's own, if it asked for this; else of who says so.
    Answer(&'a Jid),
    /// Of this session, or account.
    Other(&'a Jid),
    /// The server's.
    Server,
}

impl<'a> Doing<'a> {
    /// Of one who says this.
    pub(super) fn of(stanza: &'a Stanza, reach: Reach) -> Self {
        let from = stanza.cause().filter(|from| from.local().is_some());
        match (reach, stanza.kind(), from) {
            // Told to all sessions of one account, for whoever sent it.
            (
                _,
                Kind::Presence(
                    PresenceType::Subscribe
                    | PresenceType::Subscribed
                    | PresenceType::Unsubscribe
                    | PresenceType::Unsubscribed,
                ),
                Some(from),
            ) => Self::Other(from),
            (Reach::Many, ..) => Self::Server,
            // Nothing may answer it: it is an answer itself.
            (Reach::One, kind, from) if !kind.may_be_refused() => {
                match from.filter(|from| from.resource().is_some()) {
                    Some(from) => Self::Answer(from),
                    None => Self::Own,
                }
            }
            (Reach::One, _, from) => from.map_or(Self::Server, Self::Other),
        }
    }

    /// Whether others can bring it about that the queue is too long.
    pub(super) const fn is_foreign(&self) -> bool {
        match self {
            Self::Answer(_) | Self::Other(_) => true,
            Self::Own | Self::Server => false,
        }
    }
}

/// A session with more than half of its queue owed.
#[derive(Debug)]
pub(super) struct Pressure {
    since: Instant,
    /// Bytes taken since then.
    taken: usize,
    /// Whether it was heard when it was looked at last.
    hearing: Hearing,
    /// Who was told to wait, and when.
    feeders: BTreeMap<Feeder, Instant>,
    /// More than so much is too much.
    line: usize,
    /// What was told to many, for when there is room.
    pub(super) late: Late,
}

/// Whether all that a client has said was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hearing {
    Heard,
    /// It waits for somebody, and an acknowledgement may be behind that.
    Unheard,
}

/// Whether a session reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It does not.
    Ends,
    /// It has taken so much that nobody need wait.
    Relieved,
    /// It does, and is looked at again after so long.
    Reads(Duration),
}

impl Pressure {
    pub(super) const fn new(now: Instant, line: usize) -> Self {
        Self {
            since: now,
            taken: 0,
            hearing: Hearing::Heard,
            feeders: BTreeMap::new(),
            line,
            late: Late::new(),
        }
    }

    /// More than so much is too much, if it is less than was said before.
    pub(super) fn lower(&mut self, line: usize) {
        self.line = self.line.min(line);
    }

    pub(super) const fn line(&self) -> usize {
        self.line
    }

    /// Whether it is over when so much is owed: most is taken.
    pub(super) const fn is_over(&self, owed: usize) -> bool {
        owed <= self.line / 2
    }

    /// Whether it reads so far, or those who feed it may not have heard yet: what is on its way must have a place.
    pub(super) fn reads(&self, now: Instant) -> bool {
        let since = now.since(self.since);
        let seconds = usize::try_from(since.as_secs()).unwrap_or(usize::MAX);
        let rate = FLOW_READ_BYTES / 10;
        since < FLOW_NEWS || self.taken >= rate.saturating_mul(seconds)
    }

    pub(super) const fn take(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count);
    }

    /// Whether this one is to be told to wait: if it was not, or has waited in vain, or is another of that name.
    pub(super) fn tells(&mut self, now: Instant, feeder: Feeder) -> bool {
        let told = self.feeders.get(&feeder);
        if told.is_some_and(|told| now.since(*told) < FLOW_NEWS) {
            return false;
        }
        self.feeders.insert(feeder, now);
        true
    }

    /// Whether the session itself waits no longer: so little was not sent. What it has not acknowledged it says behind what it has said before,
    /// so it must be read.
    pub(super) fn frees_itself(&mut self, unsent: usize) -> bool {
        self.is_over(unsent) && self.feeders.remove(&Feeder::Itself).is_some()
    }

    /// Looks at what it has taken, as long as so much is owed, and so much was not sent.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        owed: usize,
        unsent: usize,
        hearing: Hearing,
    ) -> Verdict {
        let since = now.since(self.since);
        if self.is_over(owed) {
            return Verdict::Relieved;
        }
        if since < FLOW_PATIENCE {
            return Verdict::Reads(FLOW_PATIENCE.saturating_sub(since));
        }
        if self.taken < FLOW_READ_BYTES {
            // Once it is heard again, it has a while for its words to come.
            let before = core::mem::replace(&mut self.hearing, hearing);
            let unheard = [before, hearing].contains(&Hearing::Unheard);
            return match unheard && self.is_over(unsent) && since < FLOW_UNHEARD {
                true => Verdict::Reads(SM_ACK_AGAIN),
                false => Verdict::Ends,
            };
        }
        if owed <= self.line {
            return Verdict::Relieved;
        }
        self.since = now;
        // The network and the kernels between take what they take in pieces: what came early may count once more.
        self.taken = self
            .taken
            .saturating_sub(FLOW_READ_BYTES)
            .min(FLOW_READ_BYTES);
        self.feeders
            .retain(|_, told| now.since(*told) < FLOW_PATIENCE);
        Verdict::Reads(FLOW_PATIENCE)
    }

    /// Those who may go on, and what was told meanwhile.
    pub(super) fn into_parts(self) -> (BTreeMap<Feeder, Instant>, Late) {
        (self.feeders, self.late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: usize = 100_000;

    fn other(jid: &str) -> Feeder {
        Feeder::Other(Jid::parse(jid).unwrap())
    }

    #[test]
    fn each_feeder_is_told_once_and_again_only_if_it_does_not_wait() {
        let [romeo, nurse] = ["romeo@localhost/a", "nurse@localhost/b"].map(other);
        let start = Instant(5_000_000);
        let mut pressure = Pressure::new(start, LINE);
        assert!(pressure.tells(start, romeo.clone()));
        assert!(!pressure.tells(start, romeo.clone()));
        assert!(pressure.tells(start, nurse));
        assert!(pressure.tells(start, Feeder::Itself));
        let later = start + FLOW_PATIENCE;
        assert!(pressure.tells(later, romeo));
        assert_eq!(pressure.into_parts().0.len(), 3);
    }

    #[test]
    fn who_takes_less_than_the_rate_over_the_whole_time_does_not_read() {
        let start = Instant(5_000_000);
        let end = start + FLOW_PATIENCE;
        let mut pressure = Pressure::new(start, LINE);
        let (early, left) = (start + FLOW_PATIENCE / 4, FLOW_PATIENCE * 3 / 4);
        assert_eq!(
            pressure.judge(early, LINE + 1, 0, Hearing::Heard),
            Verdict::Reads(left)
        );
        pressure.take(FLOW_READ_BYTES);
        assert_eq!(
            pressure.judge(end, LINE + 1, 0, Hearing::Heard),
            Verdict::Reads(FLOW_PATIENCE)
        );
        // What was taken before is not taken again, and a little below the line is no more.
        pressure.take(FLOW_READ_BYTES - 1);
        assert_eq!(
            pressure.judge(end + FLOW_PATIENCE, LINE, 0, Hearing::Heard),
            Verdict::Ends
        );
        pressure.take(1);
        assert_eq!(
            pressure.judge(end + FLOW_PATIENCE, LINE, 0, Hearing::Heard),
            Verdict::Relieved
        );
    }

    #[test]
    fn what_is_taken_in_large_pieces_counts_for_the_time_between_and_no_longer() {
        let mut now = Instant(5_000_000);
        let mut pressure = Pressure::new(now, LINE);
        let mut judge = |taken| {
            pressure.take(taken);
            now = now + FLOW_PATIENCE;
            pressure.judge(now, LINE + 1, 0, Hearing::Heard)
        };
        let reads = Verdict::Reads(FLOW_PATIENCE);
        assert_eq!(judge(2 * FLOW_READ_BYTES), reads);
        assert_eq!(judge(0), reads);
        assert_eq!(judge(9 * FLOW_READ_BYTES), reads);
        assert_eq!(judge(0), reads);
        assert_eq!(judge(0), Verdict::Ends);
    }

    #[test]
    fn a_byte_now_and_then_is_no_reading() {
        let start = Instant(5_000_000);
        let mut pressure = Pressure::new(start, LINE);
        assert!(pressure.reads(start), "nobody may have heard yet");
        for second in 1..10 {
            pressure.take(1);
            let now = start + Duration::from_secs(second);
            assert!(!pressure.reads(now), "{second}");
        }
        pressure.take(FLOW_READ_BYTES);
        assert!(pressure.reads(start + FLOW_PATIENCE));
    }

    #[test]
    fn who_is_not_heard_is_not_judged_by_what_it_acknowledges_for_a_while() {
        let start = Instant(5_000_000);
        let again = Verdict::Reads(SM_ACK_AGAIN);
        let mut pressure = Pressure::new(start, LINE);
        let mut judge =
            |after, unsent, hearing| pressure.judge(start + after, LINE + 1, unsent, hearing);
        assert_eq!(judge(FLOW_PATIENCE, 0, Hearing::Unheard), again);
        // What it has said must come in first.
        assert_eq!(judge(FLOW_PATIENCE * 2, 0, Hearing::Heard), again);
        assert_eq!(judge(FLOW_PATIENCE * 2, 0, Hearing::Heard), Verdict::Ends);
        // Who does not take what is sent does not read, heard or not.
        assert_eq!(judge(FLOW_PATIENCE, LINE, Hearing::Unheard), Verdict::Ends);
        assert_eq!(judge(FLOW_UNHEARD, 0, Hearing::Unheard), Verdict::Ends);
    }

    #[test]
    fn a_session_waits_itself_only_for_what_is_not_sent() {
        let start = Instant(5_000_000);
        let mut pressure = Pressure::new(start, LINE);
        assert!(!pressure.frees_itself(0));
        assert!(pressure.tells(start, Feeder::Itself));
        assert!(!pressure.frees_itself(LINE));
        assert!(pressure.frees_itself(LINE / 2));
        assert!(!pressure.frees_itself(0), "once");
    }
}
