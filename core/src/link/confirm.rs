//! What is known of stanzas that were written to a remote domain: that they are there.
//!
//! A peer with stream management says so itself (XEP-0198). Who has none is asked something that every server answers, and answers in its order
//! (RFC 6120 §10.1): a ping (XEP-0199), whose result or error proves what was written before it. Who lets two of those pass is *mute*, perhaps
//! since it cannot come back to us: what its socket took is then all there is to know.

use alloc::boxed::Box;

use crate::limits::{S2S_ANSWER, S2S_ASK_AGAIN, S2S_LATE, S2S_PING_EVERY};
use crate::sm::Counts;
use crate::time::Instant;

/// How it is found out.
#[derive(Debug, Default)]
pub(crate) enum Confirm {
    /// The peer counts.
    Counted {
        /// So many it has said to have.
        acked: u32,
        asked: Asked,
        /// So many more were written before it began to count: they are there as soon as it says anything.
        before: usize,
    },
    /// It is pinged.
    Pinged {
        ping: Option<Ping>,
        /// When the last was sent.
        last: Option<Instant>,
    },
    /// Nobody says: what the socket took is there.
    #[default]
    Mute,
}

/// Whether the peer was asked how many it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asked {
    /// It was not since something was written, or has answered.
    No,
    /// Then, when so many were written in all.
    At(Instant, u32),
    /// It has answered, and not had all that it was asked about, which were so many. It is asked again then, unless it says more by itself.
    Again(Instant, u32),
    /// It was, and the time for its answer was over before anybody here looked, a machine that slept, or could read it. What it has said may not
    /// be read yet, so it has until then.
    Overslept(Instant),
}

/// A ping that is not answered.
#[derive(Debug)]
pub(crate) struct Ping {
    pub(crate) id: Box<str>,
    /// So many stanzas that are not confirmed were written before it.
    covers: usize,
    at: Instant,
}

/// What is to be written behind stanzas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Question {
    None,
    /// `<r/>`.
    Request,
    /// A ping.
    Ping,
}

/// What is to be thought of a peer, time having passed, with so many stanzas not confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Silence {
    /// Nothing.
    Fine,
    /// It is to be asked.
    Ask,
    /// It does not answer, and must: it is dead.
    Dead,
    /// It does not answer pings.
    Unanswered,
}

/// What an acknowledgement comes to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Acked {
    /// So many more are there.
    More(usize),
    /// More than were sent.
    TooHigh { sent: u32 },
    /// Nobody counts.
    Stray,
}

impl Asked {
    /// Whether the time for an answer is over.
    fn is_over(self, now: Instant) -> bool {
        match self {
            Self::At(at, _) => at + S2S_ANSWER <= now,
            Self::Overslept(until) => until <= now,
            Self::No | Self::Again(..) => false,
        }
    }
}

impl Confirm {
    /// Of a stream that is proven. Who did not answer pings before is not asked again.
    pub(crate) const fn new(counts: Counts, unanswered: u8) -> Self {
        match (counts, unanswered) {
            (Counts::Yes, _) => Self::Counted {
                acked: 0,
                asked: Asked::No,
                before: 0,
            },
            (Counts::No, 0 | 1) => Self::Pinged {
                ping: None,
                last: None,
            },
            (Counts::No, _) => Self::Mute,
        }
    }

    /// What is to be asked, where something is not confirmed.
    pub(crate) fn question(&mut self, now: Instant, unconfirmed: usize) -> Question {
        match self {
            Self::Counted {
                acked,
                asked,
                before,
            } => match asked {
                Asked::Again(at, _) if *at > now => Question::None,
                Asked::No | Asked::Again(..) => {
                    let unconfirmed = unconfirmed.saturating_sub(*before);
                    let unconfirmed = u32::try_from(unconfirmed).unwrap_or(u32::MAX);
                    *asked = Asked::At(now, acked.wrapping_add(unconfirmed));
                    Question::Request
                }
                Asked::At(..) | Asked::Overslept(_) => Question::None,
            },
            Self::Pinged { ping: None, last } if last.is_none_or(|l| l + S2S_PING_EVERY <= now) => {
                Question::Ping
            }
            Self::Pinged { .. } | Self::Mute => Question::None,
        }
    }

    /// A ping was written behind so many stanzas.
    pub(crate) fn pinged(&mut self, now: Instant, id: Box<str>, covers: usize) {
        if let Self::Pinged { ping, last } = self {
            *last = Some(now);
            *ping = Some(Ping {
                id,
                covers,
                at: now,
            });
        }
    }

    /// It was answered. How many stanzas are there.
    pub(crate) fn ponged(&mut self, id: &str) -> usize {
        match self {
            Self::Pinged { ping, .. } => match ping.take() {
                Some(answered) if *answered.id == *id => answered.covers,
                other => {
                    *ping = other;
                    0
                }
            },
            Self::Counted { .. } | Self::Mute => 0,
        }
    }

    /// The peer has so many, of which so many are not known to be there.
    pub(crate) fn acked(&mut self, now: Instant, h: u32, unconfirmed: usize) -> Acked {
        let Self::Counted {
            acked,
            asked,
            before,
        } = self
        else {
            return Acked::Stray;
        };
        let more = h.wrapping_sub(*acked);
        let unconfirmed = unconfirmed.saturating_sub(*before);
        let unconfirmed = u32::try_from(unconfirmed).unwrap_or(u32::MAX);
        if more > unconfirmed {
            return Acked::TooHigh {
                sent: acked.wrapping_add(unconfirmed),
            };
        }
        // What was written since it was asked is asked about at once: a busy link would fill its window else, and wait.
        *asked = match *asked {
            Asked::At(_, written) | Asked::Again(_, written)
                if written.wrapping_sub(*acked) > more =>
            {
                Asked::Again(now + S2S_ASK_AGAIN, written)
            }
            Asked::No | Asked::At(..) | Asked::Again(..) | Asked::Overslept(_) => Asked::No,
        };
        *acked = h;
        let before = core::mem::take(before);
        usize::try_from(more).map_or(Acked::Stray, |more| {
            Acked::More(more.saturating_add(before))
        })
    }

    /// What the peer has said was not read: it has a little longer.
    pub(crate) fn was_not_read(&mut self, now: Instant) {
        if let Self::Counted { asked, .. } = self {
            *asked = Asked::Overslept(now + S2S_LATE);
        }
    }

    /// The peer counts from here on (XEP-0198 §4), so many being written and not confirmed.
    pub(crate) fn counts(&mut self, unconfirmed: usize) {
        match self {
            Self::Counted { .. } => {}
            Self::Pinged { .. } | Self::Mute => {
                *self = Self::Counted {
                    acked: 0,
                    asked: Asked::No,
                    before: unconfirmed,
                };
            }
        }
    }

    /// The peer has said that it does not count.
    pub(crate) fn does_not_count(&mut self, unanswered: u8) {
        *self = Self::new(Counts::No, unanswered);
    }

    /// What is to be thought of it now, where so many are not confirmed.
    pub(crate) fn silence(&mut self, now: Instant, unconfirmed: usize) -> Silence {
        match self {
            Self::Counted { asked, .. } if asked.is_over(now) => match *asked {
                Asked::At(at, _) if at + S2S_ANSWER + S2S_LATE < now => {
                    *asked = Asked::Overslept(now + S2S_LATE);
                    Silence::Fine
                }
                Asked::At(..) | Asked::Overslept(_) | Asked::No | Asked::Again(..) => Silence::Dead,
            },
            Self::Counted {
                asked: Asked::Again(at, _),
                ..
            } if unconfirmed > 0 && *at <= now => Silence::Ask,
            Self::Pinged { ping, .. }
                if ping
                    .as_ref()
                    .is_some_and(|ping| ping.at + S2S_ANSWER <= now) =>
            {
                *ping = None;
                Silence::Unanswered
            }
            Self::Pinged {
                ping: None,
                last: Some(last),
            } if unconfirmed > 0 && *last + S2S_PING_EVERY <= now => Silence::Ask,
            Self::Counted { .. } | Self::Pinged { .. } | Self::Mute => Silence::Fine,
        }
    }

    /// When `silence` is to be asked.
    pub(crate) fn next(&self, unconfirmed: usize) -> Option<Instant> {
        match self {
            Self::Counted { asked, .. } => match asked {
                Asked::At(at, _) => Some(*at + S2S_ANSWER),
                Asked::Again(at, _) => (unconfirmed > 0).then_some(*at),
                Asked::Overslept(until) => Some(*until),
                Asked::No => None,
            },
            Self::Pinged {
                ping: Some(ping), ..
            } => Some(ping.at + S2S_ANSWER),
            Self::Pinged { ping: None, last } => last
                .filter(|_| unconfirmed > 0)
                .map(|last| last + S2S_PING_EVERY),
            Self::Mute => None,
        }
    }

    /// Whether what the socket took is there.
    pub(crate) const fn is_mute(&self) -> bool {
        matches!(self, Self::Mute)
    }
}
