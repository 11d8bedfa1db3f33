//! One account's roster: what was written to it, and what may be read.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Moment;
use super::super::kept::Likely;
use super::wish::{Contact, Item, Roster};

/// What became of something that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It may have been done, or be done still.
    Open,
    Done,
    Refused,
}

/// What is to become of a contact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Put {
    /// It is to be so.
    Set(Contact),
    /// It is to go.
    Remove,
    /// It is to be there: one who is asked, or approved, comes into the roster without a name.
    Touch,
}

/// Something that was to change.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) id: String,
    /// Which contact; `None` is all of them.
    jid: Option<&'static str>,
    put: Put,
    /// The client that asked, and the number of its stanza.
    pub(super) by: Option<(usize, u32)>,
    from: Moment,
    /// Done by then, or never.
    until: Option<Moment>,
    pub(super) outcome: Outcome,
    /// Who was told.
    pub(super) pushed: BTreeSet<usize>,
}

/// A window of time in which somebody reads, and by which stanza.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) from: Moment,
    pub(super) to: Moment,
    pub(super) by: (usize, u32),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Book {
    /// What it was when nothing was under way.
    base: Roster,
    /// Since then.
    pub(super) writes: Vec<Write>,
    /// The page before this one, and when it was turned.
    past: Option<(Moment, Box<Self>)>,
    /// All versions that anybody was ever told of.
    pub(super) said: BTreeMap<i64, Roster>,
}

/// Who is in the roster without having been set.
static UNNAMED: Contact = Contact {
    name: String::new(),
    groups: Vec::new(),
};

/// What a contact may be, and the place of what makes it so.
pub(super) type Possible<'a> = Vec<(Option<&'a Contact>, Option<usize>)>;

impl Default for Book {
    fn default() -> Self {
        Self {
            base: Roster::new(),
            writes: Vec::new(),
            past: None,
            // A roster that was never changed is the same, whosever it is.
            said: BTreeMap::from([(0, Roster::new())]),
        }
    }
}

impl Write {
    pub(super) const fn new(
        from: Moment,
        id: String,
        jid: Option<&'static str>,
        put: Put,
        by: Option<(usize, u32)>,
    ) -> Self {
        Self {
            id,
            jid,
            put,
            by,
            from,
            until: None,
            outcome: Outcome::Open,
            pushed: BTreeSet::new(),
        }
    }

    /// It was done by now.
    pub(super) fn done(&mut self, now: Moment) {
        if self.outcome == Outcome::Open {
            self.outcome = Outcome::Done;
            self.until.get_or_insert(now);
        }
    }

    /// Whether it brings a contact into the roster as it is.
    pub(super) fn is_touch(&self) -> bool {
        self.put == Put::Touch
    }

    fn concerns(&self, jid: &str) -> bool {
        self.jid.is_none_or(|own| own == jid)
    }

    /// Whether it was done before `other`, if both were. What one client asks is done in the order in which it asks.
    fn is_before(&self, other: &Self) -> bool {
        let asked_first = match (self.by, other.by) {
            (Some((one, first)), Some((two, second))) => one == two && first < second,
            (None, _) | (_, None) => false,
        };
        asked_first || self.until.is_some_and(|until| until < other.from)
    }

    /// Whether all was done by the time somebody read.
    fn precedes(&self, reader: &Reader) -> bool {
        let (client, number) = reader.by;
        let asked_first = self.by.is_some_and(|(by, n)| by == client && n < number);
        asked_first || self.until.is_some_and(|until| until < reader.from)
    }

    /// Whether it cannot have been done by then.
    fn follows(&self, reader: &Reader) -> bool {
        let (client, number) = reader.by;
        self.from > reader.to || self.by.is_some_and(|(by, n)| by == client && n > number)
    }
}

impl Book {
    pub(super) fn write(&mut self, id: &str) -> Option<&mut Write> {
        self.writes.iter_mut().find(|write| write.id == id)
    }

    /// What made this contact so.
    pub(super) fn find(&mut self, jid: &str, contact: &Contact) -> Option<&mut Write> {
        let made = |write: &&mut Write| {
            write.concerns(jid) && matches!(&write.put, Put::Set(set) if set == contact)
        };
        self.writes.iter_mut().find(made)
    }

    /// Somebody was told that a contact without a name came to be. Whether anybody asked for that.
    pub(super) fn appeared(&mut self, jid: &str, now: Moment) -> bool {
        let touches = |write: &&mut Write| {
            write.concerns(jid) && write.put == Put::Touch && write.outcome != Outcome::Refused
        };
        let mut makers: Vec<&mut Write> = self.writes.iter_mut().filter(touches).collect();
        if let [only] = makers.as_mut_slice() {
            only.done(now);
        }
        !makers.is_empty()
    }

    /// What a user asked for that may have removed this contact.
    pub(super) fn removals(&self, jid: &str) -> impl Iterator<Item = &Write> {
        self.writes.iter().filter(move |write| {
            write.jid == Some(jid) && write.put == Put::Remove && write.outcome != Outcome::Refused
        })
    }

    pub(super) fn done(&mut self, id: &str, now: Moment) -> Result<(), String> {
        if let Some(write) = self.write(id) {
            write.done(now);
        }
        Ok(())
    }

    pub(super) fn refused(&mut self, id: &str) -> Result<(), String> {
        let Some(write) = self.write(id) else {
            return Ok(());
        };
        if write.outcome == Outcome::Done {
            return Err(format!("refused, and yet it was seen: {write:?}"));
        }
        write.outcome = Outcome::Refused;
        Ok(())
    }

    /// What a contact may have been to somebody who read.
    pub(super) fn possible(&self, jid: &str, reader: &Reader) -> Possible<'_> {
        let writes = || {
            let writes = self.writes.iter().enumerate();
            writes.filter(|(_, write)| write.concerns(jid) && write.outcome != Outcome::Refused)
        };
        let settled = |write: &Write| write.outcome == Outcome::Done && write.precedes(reader);
        let blind = |write: &Write| settled(write) && write.put != Put::Touch;
        let touch = |write: &Write| settled(write) && write.put == Put::Touch;
        let mut possible = Possible::new();
        // Where the last that was written left nobody, somebody may have come since.
        let mut left = false;
        if !writes().any(|(_, later)| blind(later)) {
            let base = self.base.get(jid).map(|item| &item.contact);
            left |= base.is_none();
            if base.is_some() || !writes().any(|(_, later)| touch(later)) {
                possible.push((base, None));
            }
        }
        for (at, write) in writes() {
            let then = |later: &Write| write.is_before(later);
            let over = writes().any(|(_, later)| blind(later) && then(later));
            if over || write.follows(reader) {
                continue;
            }
            match &write.put {
                Put::Set(contact) => possible.push((Some(contact), Some(at))),
                Put::Remove => {
                    left = true;
                    if !writes().any(|(_, later)| touch(later) && then(later)) {
                        possible.push((None, Some(at)));
                    }
                }
                Put::Touch => {}
            }
        }
        if left {
            let came = |write: &Write| write.put == Put::Touch && !write.follows(reader);
            let touches = writes().filter(|(_, write)| came(write));
            possible.extend(touches.map(|(at, _)| (Some(&UNNAMED), Some(at))));
        }
        possible
    }

    /// Somebody was told that a contact is so.
    ///
    /// # Errors
    /// What it may be.
    pub(super) fn seen(
        &mut self,
        jid: &str,
        item: Option<&Item>,
        reader: &Reader,
    ) -> Result<(), String> {
        let contact = item.map(|item| &item.contact);
        let possible = self.possible(jid, reader);
        let makers: Vec<Option<usize>> = possible
            .iter()
            .filter(|(value, _)| *value == contact)
            .map(|(_, at)| *at)
            .collect();
        match makers.as_slice() {
            [] => return Err(format!("{possible:?} by {:?}", self.writes)),
            // Whatever else made it so, this was done.
            [Some(at)] => {
                if let Some(write) = self.writes.get_mut(*at) {
                    write.done(reader.to);
                }
            }
            [..] => {}
        }
        Ok(())
    }

    /// Somebody was told of a version.
    pub(super) fn say(&mut self, version: i64, roster: &Roster) -> Result<(), String> {
        let said = self.said.entry(version).or_insert_with(|| roster.clone());
        if said == roster {
            return Ok(());
        }
        Err(format!("version {version} is {said:?} and {roster:?}"))
    }

    /// What a client that is interested since then was not told of.
    pub(super) fn missed(&self, client: usize, since: Moment) -> Option<&Write> {
        self.writes.iter().find(|write| {
            let done = write.outcome == Outcome::Done && matches!(write.put, Put::Set(_));
            done && write.from > since && !write.pushed.contains(&client)
        })
    }

    pub(super) fn settle(&mut self, now: Moment) {
        for write in &mut self.writes {
            write.until.get_or_insert(now);
        }
    }

    /// So it is.
    pub(super) fn turn_page(&mut self, now: Moment, roster: Roster) {
        let past = Self {
            base: std::mem::replace(&mut self.base, roster),
            writes: std::mem::take(&mut self.writes),
            past: None,
            said: BTreeMap::new(),
        };
        self.past = Some((now, Box::new(past)));
    }

    /// Whether a contact was in it all the time between two moments, for somebody who asked for nothing.
    pub(super) fn lists(&self, jid: &str, from: Moment, to: Moment) -> Likely {
        let reader = Reader {
            from,
            to,
            by: (usize::MAX, 0),
        };
        let past = self.past.as_ref().filter(|(turned, _)| from < *turned);
        let pages = std::iter::once(self).chain(past.map(|(_, book)| &**book));
        let listed = pages.flat_map(|book| book.possible(jid, &reader));
        Likely::agreed(listed.map(|(value, _)| value.is_some().into()))
    }
}
