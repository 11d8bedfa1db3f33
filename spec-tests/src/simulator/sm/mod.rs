//! Oracle: stream management (XEP-0198), as a client knows it. What the server has acknowledged is done, whatever crashes later; at rest all is
//! acknowledged. A session that comes back has all that was told it meanwhile, once and in order, and what it says that it has not got
//! comes again as it was. One that dies loses nothing: what it had not acknowledged is told somebody else, waits, or is refused.
//!
//! What a client counts stands here; what it does with it in `acts`, how it comes back in `returns`, what becomes of what a dead session
//! had in `deaths`, what must hold at rest in `rest`.

mod acts;
mod deaths;
mod rest;
mod returns;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use spondee_core::config::Config;
use spondee_core::sm::SmOptions;
use spondee_core::time::Instant;

pub(super) use self::returns::Return;
use super::random::Random;
use super::{Moment, QUEUE_BYTES};
use crate::memory::Peer;

/// The namespace of stream management.
pub(super) const SM: &str = "urn:xmpp:sm:3";

/// Characters of a token: 128 bits.
const TOKEN_LENGTH: usize = 22;

/// With so many unacknowledged a client is asked at which nobody looks.
const UNLOOKED: usize = 8;

/// So many sessions as ever sleep of one account in a run.
const MANY: usize = 10;

/// So many stanzas as ever wait for one.
const QUEUE: usize = 1000;

/// About what a stanza takes beside its text while it is not acknowledged.
const PIECE_BYTES: usize = 400;

/// How the streams of a run are managed.
#[derive(Debug)]
pub(super) struct Management {
    /// Of a hundred sessions so many want it.
    share: usize,
    hibernation: Duration,
    ack_delay: Duration,
    max_hibernated: usize,
    max_unacked: usize,
    /// How many stanzas are kept for one that does not acknowledge them.
    queue: usize,
    /// Whether so much is held back for who is not looked at that it comes all at once for another reason.
    pub(super) holds_back: bool,
    answers: Answers,
    /// Clients without a connection that may have a session.
    sleepers: BTreeSet<usize>,
    /// Those whose sessions are over.
    dead: Vec<usize>,
    /// Connections on which nothing comes through any more, and the server does not know.
    holes: Vec<Peer>,
    /// Old connections of sessions that were resumed.
    stale: Vec<(usize, Peer)>,
}

/// When clients answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answers {
    SoonerOrLater,
    AtOnce,
}

impl Management {
    pub(super) fn new(random: &mut Random, config: &mut Config) -> Self {
        let share = random.pick(&[0, 40, 80, 95]);
        let hibernation = random.pick(&[600, 600, 60, 5]);
        let max_hibernated = random.pick(&[MANY, MANY, 1]);
        let max_unacked = random.pick(&[0, 0, 3]);
        let held = random.pick(&[256, 256, 4]);
        let queue = random.pick(&[5000, 5000, 5000, 60]);
        for host in config.accounts_mut() {
            host.sm = SmOptions {
                hibernation: Duration::from_secs(hibernation),
                max_hibernated,
                max_unacked,
                max_inactive_unacked: max_unacked.max(UNLOOKED),
                max_queue: queue,
                ..SmOptions::default()
            };
            host.csi.max_held = held;
        }
        Self {
            share,
            hibernation: Duration::from_secs(hibernation),
            ack_delay: Duration::from_secs(60),
            max_hibernated,
            max_unacked,
            holds_back: held > 100,
            queue,
            answers: Answers::SoonerOrLater,
            sleepers: BTreeSet::new(),
            dead: Vec::new(),
            holes: Vec::new(),
            stale: Vec::new(),
        }
    }

    /// After so long nothing is left of those who went away.
    pub(super) fn patience(&self) -> Duration {
        self.hibernation + self.ack_delay + Duration::from_secs(120)
    }

    /// Whether any session wants it.
    pub(super) const fn is_wanted(&self) -> bool {
        self.share > 0
    }

    /// All was at rest.
    pub(super) const fn goes_on(&mut self) {
        self.answers = Answers::SoonerOrLater;
    }
}

/// A stanza that a client sent and the server has not acknowledged.
#[derive(Clone, Debug)]
struct Unhandled {
    /// The client's own number of it.
    number: u32,
    xml: String,
}

/// A stanza that a client got.
#[derive(Clone, Debug)]
struct Got {
    /// How many it had with this one.
    count: u32,
    text: String,
    mark: Option<String>,
}

/// Whether a session has a connection, as far as its client knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pulse {
    Awake,
    Asleep(Sleep),
    Dead(Death),
}

/// Since when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sleep {
    pub(super) at: Moment,
    /// By the clock.
    pub(super) since: Instant,
    pub(super) will: Will,
}

/// Whether the client means to come back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Will {
    Returns,
    /// It had said good-bye, which may have been lost.
    Left,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Death {
    /// The server went on without it.
    Over,
    /// The server died.
    Crash,
}

/// How far the server was asked for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Enabled {
    Asked,
    Yes,
}

/// Whether a client has heard what was answered to what is acknowledged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Heard {
    All,
    /// That may be on its way yet.
    NotYet,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    Counting,
    /// And that it may come back.
    Resumption,
}

/// Whether a stanza is new to a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum News {
    Yes,
    /// It came again, because the client said that it had not got it.
    No,
}

/// What a client knows of the management of its stream.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an answer to a question of its own"
)]
pub(super) struct Managed {
    enabled: Enabled,
    wanted: Wanted,
    /// By what.
    token: Option<String>,
    /// For how long.
    time: Duration,
    /// When it was enabled.
    pub(super) born: Moment,
    pub(super) pulse: Pulse,
    /// How many stanzas the client sent, and of how many the server has said that it has handled them.
    sent: u32,
    acked: u32,
    unhandled: VecDeque<Unhandled>,
    /// With how many sent it last asked.
    asked: Option<u32>,
    /// How many it got, of how many it has told, and of how many the server surely knows.
    heard: u32,
    told: u32,
    got: VecDeque<Got>,
    /// Since when the server asks and has no answer.
    owes_answer: Option<Instant>,
    /// When it last answered late.
    hesitated: Option<Instant>,
    /// What is to come once more.
    again: VecDeque<String>,
    /// It told more than it can have got.
    lied: bool,
    /// It had more to read than there is room for.
    pub(super) strained: bool,
    /// The connection on which it last asked to come back.
    attempt: Option<usize>,
    /// Those that it left alone.
    abandoned: Vec<usize>,
}

impl Managed {
    fn new(at: Moment, wanted: Wanted) -> Self {
        Self {
            enabled: Enabled::Asked,
            wanted,
            token: None,
            time: Duration::ZERO,
            lied: false,
            strained: false,
            born: at,
            pulse: Pulse::Awake,
            sent: 0,
            acked: 0,
            unhandled: VecDeque::new(),
            asked: None,
            heard: 0,
            told: 0,
            got: VecDeque::new(),
            owes_answer: None,
            hesitated: None,
            again: VecDeque::new(),
            attempt: None,
            abandoned: Vec::new(),
        }
    }

    /// Whether the server keeps it for a client that loses its connection.
    pub(super) fn is_resumable(&self) -> bool {
        self.token.is_some() && !matches!(self.pulse, Pulse::Dead(_))
    }

    /// The same, or perhaps.
    fn may_sleep(&self) -> bool {
        let asked = self.wanted == Wanted::Resumption && self.enabled == Enabled::Asked;
        self.is_resumable() || asked && !matches!(self.pulse, Pulse::Dead(_))
    }

    /// Whether the server may keep presence for later, merged: as where so much is unread, of `queue` stanzas at most.
    fn is_pressed(&self, queue: usize) -> bool {
        let bytes: usize = self
            .got
            .iter()
            .map(|got| got.text.len() + PIECE_BYTES)
            .sum();
        self.got.len() >= queue / 4 || bytes >= QUEUE_BYTES / 4
    }

    /// Whether it does not answer, or did not until a moment ago.
    fn hesitates(&self, now: Instant) -> bool {
        let late = |at: Instant| now.since(at) <= Duration::from_secs(1);
        self.owes_answer.is_some() || self.hesitated.is_some_and(late)
    }

    /// Its client sends a stanza.
    pub(super) fn sends(&mut self, number: u32, xml: &str) {
        self.sent = self.sent.wrapping_add(1);
        self.unhandled.push_back(Unhandled {
            number,
            xml: xml.to_owned(),
        });
    }

    /// Its client gets one.
    ///
    /// # Errors
    /// It was to come again, and another came.
    pub(super) fn gets(&mut self, text: &str, mark: Option<&str>) -> Result<News, String> {
        if self.enabled == Enabled::Asked {
            return Ok(News::Yes);
        }
        self.heard = self.heard.wrapping_add(1);
        match self.again.pop_front() {
            Some(before) if before == text => return Ok(News::No),
            Some(before) => return Err(format!("where this was to come again: {before}")),
            None => {}
        }
        self.got.push_back(Got {
            count: self.heard,
            text: text.to_owned(),
            mark: mark.map(str::to_owned),
        });
        Ok(News::Yes)
    }

    /// The server has handled so many. Gives back the numbers of those that are new.
    ///
    /// # Errors
    /// There were not so many, or more before.
    fn acknowledged(&mut self, h: u32) -> Result<Vec<u32>, String> {
        if h < self.acked || h > self.sent {
            let Self { acked, sent, .. } = self;
            return Err(format!("of {sent}, of which {acked} were handled before"));
        }
        let count = usize::try_from(h - self.acked).unwrap_or(0);
        self.acked = h;
        Ok(self
            .unhandled
            .drain(..count)
            .map(|one| one.number)
            .collect())
    }

    /// The server surely knows that so many came. Gives back the marks of those of which it may not have known.
    fn assured(&mut self, h: u32) -> Vec<String> {
        let count = self.got.partition_point(|got| got.count <= h);
        let sure = self.got.drain(..count);
        sure.filter_map(|got| got.mark).collect()
    }

    /// Its client says that it has got fewer, of those that it has not acknowledged: the others are to come again.
    fn forgets(&mut self, count: usize) {
        let kept = self.got.len() - count.min(self.got.len());
        let again = self.got.iter().skip(kept);
        self.again.extend(again.map(|got| got.text.clone()));
        let lost = u32::try_from(self.again.len()).unwrap_or(0);
        self.heard -= lost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn managed() -> Managed {
        Managed {
            enabled: Enabled::Yes,
            ..Managed::new(1, Wanted::Resumption)
        }
    }

    #[test]
    fn acknowledges_what_was_sent_once_and_never_back() {
        let mut managed = managed();
        for number in [7, 9, 10] {
            managed.sends(number, "<presence/>");
        }
        assert_eq!(managed.acknowledged(2), Ok(vec![7, 9]));
        assert_eq!(managed.acknowledged(2), Ok(vec![]));
        assert!(managed.acknowledged(1).is_err() && managed.acknowledged(4).is_err());
        assert_eq!(managed.acknowledged(3), Ok(vec![10]));
    }

    #[test]
    fn what_it_says_it_has_not_got_comes_again_as_it_was() {
        let mut managed = managed();
        for text in ["a", "b", "c"] {
            assert_eq!(managed.gets(text, Some(text)), Ok(News::Yes));
        }
        assert_eq!(managed.assured(1), ["a"]);
        managed.forgets(1);
        assert_eq!(managed.heard, 2);
        assert_eq!(managed.gets("c", None), Ok(News::No));
        assert_eq!(managed.gets("d", None), Ok(News::Yes));
        managed.forgets(1);
        assert!(managed.gets("e", None).is_err());
    }
}
