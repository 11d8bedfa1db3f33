//! What is seen on the wires between servers: which message went by which, and how far; who was proven before.

use std::collections::{BTreeMap, BTreeSet};

use spondee_core::federation::Bidi;
use spondee_core::testing::{Arrival, Carried};

use super::Simulation;
use super::sites::{Shown, Wants};

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Taps(BTreeMap<usize, Tap>);

/// One.
#[derive(Debug, Default)]
struct Tap {
    /// What each side has written.
    written: [Text; 2],
    /// What of it has arrived.
    arrived: [Text; 2],
    encrypted: bool,
    fate: Fate,
}

/// What became of one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Fate {
    #[default]
    Whole,
    /// The network broke it, or a server at one end died: what was written may not be there, and nobody knows.
    Lost,
}

/// What was seen in one direction.
#[derive(Debug, Default)]
struct Text {
    text: Vec<u8>,
    /// How far it was looked through.
    seen: usize,
    messages: BTreeSet<usize>,
}

impl Text {
    fn push(&mut self, bytes: &[u8]) {
        self.text.extend_from_slice(bytes);
        while let Some(at) = find(&self.text[self.seen..], b"<body>m") {
            let start = self.seen + at + b"<body>m".len();
            let Some(end) = find(&self.text[start..], b"</body>") else {
                self.seen += at;
                return;
            };
            let number = std::str::from_utf8(&self.text[start..start + end]);
            if let Some(number) = number.ok().and_then(|number| number.parse().ok()) {
                self.messages.insert(number);
            }
            self.seen = start + end;
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, what)
}

impl Taps {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn arrived(&mut self, carried: &Carried) {
        if let Arrival::Clear(bytes) | Arrival::Encrypted(bytes) = &carried.what {
            let tap = self.0.entry(carried.wire).or_default();
            // Who has ended the stream listens to nothing more.
            if find(&tap.written[1 - carried.side].text, b"</stream:stream>").is_some() {
                return;
            }
            tap.arrived[carried.side].push(bytes);
        }
    }

    /// The network broke this one.
    pub(super) fn lose(&mut self, wire: usize) {
        self.0.entry(wire).or_default().fate = Fate::Lost;
    }

    /// Whether this message was written to a connection that was lost then, or whose other side never said that it has it.
    pub(super) fn is_unsure(&self, message: usize) -> bool {
        let unsure = |tap: &Tap| {
            (0..2).any(|side| {
                tap.written[side].messages.contains(&message)
                    && (tap.fate == Fate::Lost || !tap.is_confirmed(side, message))
            })
        };
        self.0.values().any(unsure)
    }

    /// How many connections carried messages both ways.
    pub(super) fn both_ways(&self) -> usize {
        let is_both = |tap: &&Tap| tap.written.iter().all(|text| !text.messages.is_empty());
        self.0.values().filter(is_both).count()
    }
}

impl Taps {
    /// By which connections it went, for who looks at a failure.
    pub(super) fn ways(&self, message: usize) -> String {
        let sides = self
            .0
            .iter()
            .flat_map(|(wire, tap)| [(wire, tap, 0), (wire, tap, 1)]);
        let went =
            |(_, tap, side): &(&usize, &Tap, usize)| tap.written[*side].messages.contains(&message);
        let way = |(wire, tap, side): (&usize, &Tap, usize)| {
            let arrived = tap.arrived[side].messages.contains(&message);
            let (fate, confirmed) = (tap.fate, tap.is_confirmed(side, message));
            format!("; wire {wire} by {side}: arrived {arrived}, confirmed {confirmed}, {fate:?}")
        };
        sides.filter(went).map(way).collect()
    }
}

impl Tap {
    /// Whether the other side has said that it has this message of this one (XEP-0198 §4), and that has arrived.
    fn is_confirmed(&self, side: usize, message: usize) -> bool {
        let text = &self.written[side].text;
        // What was written before it counts was there before it began to.
        let counts: &[u8] = match side {
            0 => b"<enable ",
            _ => b"<enabled ",
        };
        let enabled = find(text, counts).unwrap_or_default();
        let body = format!("<body>m{message}</body>");
        let Some(at) = find(text, body.as_bytes()) else {
            return false;
        };
        let before = text.get(enabled..at).unwrap_or_default();
        let count: usize = STANZAS
            .iter()
            .map(|start| memchr::memmem::find_iter(before, start).count())
            .sum();
        let answers = &self.arrived[1 - side].text;
        let acks = memchr::memmem::find_iter(answers, b"<a xmlns='urn:xmpp:sm:3' h='");
        let Some(last) = acks.last() else {
            return false;
        };
        let digits = answers[last..].iter().skip_while(|b| !b.is_ascii_digit());
        // The namespace has one, too.
        let h: String = digits
            .skip(1)
            .skip_while(|b| !b.is_ascii_digit())
            .take_while(|b| b.is_ascii_digit())
            .map(|b| char::from(*b))
            .collect();
        h.parse().is_ok_and(|h: usize| h >= count)
    }
}

const STANZAS: [&[u8]; 3] = [b"<message ", b"<iq ", b"<presence "];

impl Simulation {
    /// Looks at what servers have written to each other.
    pub(super) fn tap(&mut self) -> Result<(), String> {
        for Carried { wire, side, what } in self.net.take_written() {
            let tap = self.taps.0.entry(wire).or_default();
            let bytes = match what {
                Arrival::Clear(bytes) => bytes,
                Arrival::Encrypted(bytes) => {
                    tap.encrypted = true;
                    bytes
                }
                Arrival::Hello => continue,
                Arrival::Eof => {
                    // What it had not read may have been what it waited for.
                    let [(opener, peer), _] = self.net.ends(wire);
                    if self.net.worlds[opener].has_dropped(peer) {
                        tap.fate = Fate::Lost;
                    }
                    continue;
                }
            };
            tap.written[side].push(&bytes);
            if is_stanza(&bytes) {
                self.judge_stanza(wire, side)?;
            }
        }
        Ok(())
    }

    /// Something is written to a wire that others will believe.
    fn judge_stanza(&self, wire: usize, side: usize) -> Result<(), String> {
        let Some(tap) = self.taps.0.get(&wire) else {
            return Ok(());
        };
        let [(opener, _), (other, _)] = self.net.ends(wire);
        let (from, to) = (&self.sites[opener], &self.sites[other]);
        let (a, b) = (&from.domain, &to.domain);
        if side == 1 {
            let is_asked = find(&tap.written[0].text, b"<bidi xmlns='urn:xmpp:bidi'").is_some();
            let is_wanted = [from, to].iter().all(|site| site.bidi == Bidi::Yes);
            if !is_asked || !is_wanted {
                return Err(format!("{b} sends a stanza back on a stream of {a}"));
            }
        }
        let answers = &tap.written[1].text;
        let external = find(
            answers,
            b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'",
        );
        let valid = find(answers, b"type='valid'");
        if external.or(valid).is_none() {
            return Err(format!("{a} sends a stanza to {b} without proof"));
        }
        let fits = |wants: Wants, shown: Shown| match wants {
            Wants::Certificate => tap.encrypted && shown == Shown::Good,
            Wants::Tls => tap.encrypted,
            Wants::Nothing => true,
        };
        match fits(from.wants, to.shown) && fits(to.wants, from.shown) {
            true => Ok(()),
            false => Err(format!(
                "{a} sends a stanza to {b} against the policy of one of them"
            )),
        }
    }
}

/// Whether a stanza begins in this.
fn is_stanza(bytes: &[u8]) -> bool {
    STANZAS.iter().any(|start| find(bytes, start).is_some())
}
