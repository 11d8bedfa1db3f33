//! Oracle: what every roster may be, as far as its user's devices and the administrator can know.
//!
//! Each contact is a place that is written and read. A request takes effect between the moment it was sent and the moment its answer, or
//! anything else that tells of it, was seen; one that was refused, never; one that was not answered, then or never. Every roster that
//! anybody is told must be one that these allow: so what was acknowledged, or seen by anybody, is there ever after, a crash or not.
//!
//! And each device keeps a copy as clients do, by pushes. A version names one roster, whoever has it and however it came by it: a push that
//! was lost, doubled, out of order or of what never was makes two of it.

mod acts;
mod book;
mod wish;

use std::collections::BTreeMap;

use spondee_core::port::{CommandError, CommandId, CommandResult};

use self::book::{Book, Outcome, Put, Reader, Write};
use self::wish::{Contact, Item, Roster, Wish, read_item, read_query, read_version};
pub(super) use self::wish::{EVERYBODY, ROSTER, Shares, Toward};
use super::Moment;
use super::accounts::NAMES;
use super::faults::{Credit, Faults, Struck};
use super::kept::Likely;
use crate::element::Element;

/// All rosters, and who asks for them.
#[derive(Debug)]
pub(super) struct Rosters {
    books: Vec<Book>,
    /// Not answered, by their ids.
    requests: BTreeMap<String, Request>,
    /// Those who got their roster.
    devices: BTreeMap<usize, Device>,
    /// How many contacts an account may have.
    most: usize,
}

#[derive(Clone, Debug)]
struct Request {
    by: usize,
    account: usize,
    number: u32,
    at: Moment,
    wish: Wish,
}

/// What a client knows.
#[derive(Debug)]
struct Device {
    account: usize,
    version: i64,
    copy: Roster,
    /// From then on it hears of every change.
    since: Moment,
}

impl Rosters {
    pub(super) fn new(most: usize) -> Self {
        Self {
            books: NAMES.iter().map(|_| Book::default()).collect(),
            requests: BTreeMap::new(),
            devices: BTreeMap::new(),
            most,
        }
    }

    /// Something this client might ask.
    fn wish(&self, random: &mut super::random::Random, account: usize, mark: &str) -> Wish {
        let versions: Vec<i64> = self.books[account].said.keys().copied().collect();
        Wish::any(random, mark, NAMES[account], &versions)
    }

    /// A client asks.
    fn asked(&mut self, at: Moment, id: String, request: Request) {
        let writes = match &request.wish {
            Wish::Set(jid, contact) => Some((*jid, Put::Set(contact.clone()))),
            Wish::Remove(jid) => Some((*jid, Put::Remove)),
            Wish::Get(_) | Wish::Bad(..) => None,
        };
        if let Some((jid, put)) = writes {
            let by = Some((request.by, request.number));
            let write = Write::new(at, id.clone(), Some(jid), put, by);
            self.books[request.account].writes.push(write);
        }
        self.requests.insert(id, request);
    }

    /// Whether this client still waits for an answer to something it asked before its stanza of this number.
    pub(super) fn waits(&self, client: usize, number: u32) -> bool {
        let before = |request: &Request| request.by == client && request.number < number;
        self.requests.values().any(before)
    }

    /// A client is answered.
    pub(super) fn answered(
        &mut self,
        now: Moment,
        client: usize,
        answer: &Element,
        faults: &Faults,
    ) -> Result<(), String> {
        let id = answer.attribute("id").unwrap_or_default();
        let Some(request) = self.requests.remove(id) else {
            return Ok(()); // of something else
        };
        let fail = |what: &str| Err(format!("client {client} got {answer}, {what}: {request:?}"));
        if request.by != client {
            return fail("which somebody else asked for");
        }
        let earlier = |other: &Request| other.by == client && other.number < request.number;
        if self.requests.values().any(earlier) {
            return fail("before what it asked first");
        }
        let error = answer.children().find(|child| child.name == "error");
        match error.and_then(Element::condition) {
            None => self.granted(now, id, &request, answer),
            Some(condition) => {
                if !self.may_refuse(now, &request, condition, faults) {
                    return fail("for no reason");
                }
                self.books[request.account].refused(id)
            }
        }
    }

    fn granted(
        &mut self,
        now: Moment,
        id: &str,
        request: &Request,
        answer: &Element,
    ) -> Result<(), String> {
        let fail = |what: &str| {
            Err(format!(
                "client {} got {answer}, {what}: {request:?}",
                request.by
            ))
        };
        match &request.wish {
            Wish::Get(known) => {
                let query = answer.child(ROSTER, "query");
                self.read(now, request, known.as_deref(), query)
            }
            Wish::Bad(..) => fail("which must be refused"),
            Wish::Set(..) => self.books[request.account].done(id, now),
            Wish::Remove(jid) => {
                let possible = self.books[request.account].possible(jid, &reader(now, request));
                if possible.iter().all(|(value, _)| value.is_none()) {
                    return fail("though there was nothing to remove");
                }
                self.books[request.account].done(id, now)
            }
        }
    }

    /// Whether there is a reason to refuse that.
    fn may_refuse(&self, now: Moment, request: &Request, condition: &str, faults: &Faults) -> bool {
        let book = &self.books[request.account];
        let window = reader(now, request);
        let struck = |what| faults.struck_since(request.at, NAMES[request.account], what);
        let may_be = |jid: &str| book.possible(jid, &window);
        match (&request.wish, condition) {
            (Wish::Bad(_, wanted, _), condition) => *wanted == condition,
            (Wish::Get(_), _) => false,
            (Wish::Set(..) | Wish::Remove(_), "internal-server-error") => struck(Struck::Failed),
            (Wish::Set(..) | Wish::Remove(_), "resource-constraint") => {
                struck(Struck::Full) || struck(Struck::Busy) || faults.credit == Credit::Scarce
            }
            (Wish::Remove(jid), "item-not-found") => {
                may_be(jid).iter().any(|(value, _)| value.is_none())
            }
            (Wish::Set(jid, _), "policy-violation") => {
                let there = |other: &&&str| {
                    *other != jid && may_be(other).iter().any(|(value, _)| value.is_some())
                };
                let absent = may_be(jid).iter().any(|(value, _)| value.is_none());
                absent && EVERYBODY.iter().filter(there).count() >= self.most
            }
            (Wish::Set(..) | Wish::Remove(_), _) => false,
        }
    }

    /// A client is told its roster, or that it has it already.
    fn read(
        &mut self,
        now: Moment,
        request: &Request,
        known: Option<&str>,
        query: Option<&Element>,
    ) -> Result<(), String> {
        let Request { by, account, .. } = *request;
        let book = &mut self.books[account];
        let (version, roster) = match query {
            Some(query) => read_query(query)?,
            None => {
                let version = known.and_then(|known| known.parse().ok());
                let said = version.and_then(|version| Some((version, book.said.get(&version)?)));
                let Some((version, roster)) = said else {
                    return Err(format!(
                        "client {by} is told that it has version {known:?}, which never was"
                    ));
                };
                (version, roster.clone())
            }
        };
        let fail = |what: String| Err(format!("client {by} of {} {what}", NAMES[account]));
        if roster.len() > self.most {
            return fail(format!("has too many contacts: {roster:?}"));
        }
        if let Some(stranger) = roster.keys().find(|jid| !EVERYBODY.contains(&jid.as_str())) {
            return fail(format!("has a contact that nobody set: {stranger}"));
        }
        let reader = reader(now, request);
        for jid in EVERYBODY {
            if let Err(possible) = book.seen(jid, roster.get(jid), &reader) {
                return fail(format!(
                    "is told {:?} of {jid}, which may be {possible:?}",
                    roster.get(jid)
                ));
            }
        }
        if let Err(fault) = book.say(version, &roster) {
            return fail(fault);
        }
        let device = self.devices.entry(by).or_insert_with(|| Device {
            account,
            version,
            copy: Roster::new(),
            since: now,
        });
        if device.version > version {
            return fail(format!("goes back from {} to {version}", device.version));
        }
        device.version = version;
        device.copy = roster;
        Ok(())
    }

    /// A client is told of a change (RFC 6121 §2.1.6): of whom, and how things stand with that one. `last` is the number of the last stanza that it got from another client.
    #[expect(
        clippy::too_many_lines,
        reason = "one case after the other, each a few lines"
    )]
    pub(super) fn pushed(
        &mut self,
        now: Moment,
        client: usize,
        push: &Element,
        last: impl Fn(usize) -> u32,
    ) -> Result<(String, (Toward, Shares)), String> {
        let fail = |what: String| Err(format!("client {client} got {push}, {what}"));
        let Some(device) = self.devices.get_mut(&client) else {
            return fail("and never asked".to_owned());
        };
        let query = push.child(ROSTER, "query");
        let query = query.ok_or_else(|| format!("no roster push: {push}"))?;
        let mut items = query.children();
        let (Some(item), None) = (items.next(), items.next()) else {
            return fail("which has not one item".to_owned());
        };
        let (jid, item) = read_item(item)?;
        let version = read_version(query)?;
        if version <= device.version {
            return fail(format!("which is behind version {}", device.version));
        }
        let book = &mut self.books[device.account];
        let known = device.copy.get(&jid);
        match &item {
            // Its subscription changed.
            Some(item) if known.is_some_and(|known| known.contact == item.contact) => {}
            Some(item) if known.is_none() && item.contact == Contact::default() => {
                if !book.appeared(&jid, now) {
                    return fail("which nobody asked for".to_owned());
                }
            }
            Some(item) => {
                if known.map(Item::bond).unwrap_or_default() != item.bond() {
                    return fail(format!("which changes more than was asked: {known:?}"));
                }
                let Some(write) = book.find(&jid, &item.contact) else {
                    return fail("which nobody asked for".to_owned());
                };
                if write.outcome == Outcome::Refused {
                    return fail("which was refused".to_owned());
                }
                let own = write.by.is_some_and(|(by, _)| by == client);
                if own && self.requests.contains_key(&write.id) {
                    return fail("before the result".to_owned());
                }
                if write
                    .by
                    .is_some_and(|(by, number)| by != client && last(by) > number)
                {
                    return fail("behind what came after it".to_owned());
                }
                if !write.pushed.insert(client) {
                    return fail("twice".to_owned());
                }
                write.done(now);
            }
            None => {
                let requests = &self.requests;
                let mut removals = book.removals(&jid);
                let own = |write: &&Write| write.by.is_some_and(|(by, _)| by == client);
                let good = |write: &Write| !own(&write) || !requests.contains_key(&write.id);
                if !removals.any(good) {
                    return fail("which nobody asked for, or before the result".to_owned());
                }
                if known.is_none() {
                    return fail("of whom it never heard".to_owned());
                }
            }
        }
        let bond = item.as_ref().map(Item::bond).unwrap_or_default();
        match item {
            Some(item) => drop(device.copy.insert(jid.clone(), item)),
            None => drop(device.copy.remove(&jid)),
        }
        device.version = version;
        let said = book.say(version, &device.copy);
        said.map_err(|fault| format!("client {client} got {push}: {fault}"))?;
        Ok((jid, bond))
    }

    /// Whether somebody was in the roster of an account all the time from one moment to another.
    pub(super) fn lists(&self, account: usize, jid: &str, from: Moment, to: Moment) -> Likely {
        self.books[account].lists(jid, from, to)
    }

    /// A client asks for a contact, or approves it, which brings it into the roster.
    pub(super) fn touched(
        &mut self,
        at: Moment,
        account: usize,
        jid: &'static str,
        by: (usize, u32),
    ) {
        let id = format!("c{}-{}", by.0, by.1);
        let write = Write::new(at, id, Some(jid), Put::Touch, Some(by));
        self.books[account].writes.push(write);
    }

    /// That is refused.
    pub(super) fn untouched(&mut self, account: usize, id: &str) -> Result<(), String> {
        self.books[account].refused(id)
    }

    /// What a client that knows its roster has been told of a contact; `None` if it does not know it.
    pub(super) fn told(&self, client: usize, jid: &str) -> Option<(Toward, Shares)> {
        let device = self.devices.get(&client)?;
        Some(device.copy.get(jid).map(Item::bond).unwrap_or_default())
    }

    /// All that it was told.
    pub(super) fn bonds(&self, client: usize) -> BTreeMap<String, (Toward, Shares)> {
        let device = self.devices.get(&client);
        let items = device.into_iter().flat_map(|device| &device.copy);
        items
            .map(|(jid, item)| (jid.clone(), item.bond()))
            .collect()
    }

    /// Whether there may be no room for another contact.
    pub(super) const fn may_be_full(&self) -> bool {
        self.most < EVERYBODY.len()
    }

    /// An administrator asks for an account to be deleted, with all that it has.
    pub(super) fn deleted(&mut self, at: Moment, account: usize, id: CommandId) {
        let write = Write::new(at, command(id), None, Put::Remove, None);
        self.books[account].writes.push(write);
    }

    /// A command is answered.
    pub(super) fn command_answered(
        &mut self,
        now: Moment,
        id: CommandId,
        result: &CommandResult,
    ) -> Result<(), String> {
        let id = command(id);
        let of = |book: &&mut Book| book.writes.iter().any(|write| write.id == id);
        let book = self.books.iter_mut().find(of);
        match (book, result) {
            (None, _) | (_, Err(CommandError::Unknown)) => Ok(()),
            // Contacts are taken leave of first, some at a time: one that comes to nothing then has left what was not told yet.
            (_, Err(CommandError::Busy | CommandError::Full | CommandError::Store)) => Ok(()),
            (Some(book), Ok(_)) => book.done(&id, now),
            (Some(book), Err(_)) => book.refused(&id),
        }
    }

    /// All that this client asked was done: it closed its connection behind it, and nothing went wrong.
    pub(super) fn accepted(&mut self, now: Moment, client: usize) {
        // A contact too many, or no credit, is refused although nobody hears it.
        let may_be_full = self.may_be_full();
        let mut writes = self.books.iter_mut().flat_map(|book| &mut book.writes);
        if !may_be_full {
            writes
                .by_ref()
                .filter(|write| write.by.is_some_and(|(by, _)| by == client) && !write.is_touch())
                .for_each(|write| write.done(now));
        }
    }

    /// Nothing is under way any more: what has not happened by now never will.
    pub(super) fn settle(&mut self, now: Moment) {
        self.books.iter_mut().for_each(|book| book.settle(now));
    }

    /// The server died, and every connection with it.
    pub(super) fn crash(&mut self, now: Moment) {
        self.settle(now);
        self.devices.clear();
        self.requests.clear();
    }

    /// Everything is at rest, and this client has just read its roster: so it is. Whoever else is there must have the same.
    fn judge(&mut self, now: Moment, reader: usize, there: &[usize]) -> Result<(), String> {
        let Some(device) = self.devices.get(&reader) else {
            return Err(format!("client {reader} was not told its roster"));
        };
        let Device {
            account,
            version,
            copy,
            ..
        } = device;
        let book = &mut self.books[*account];
        for (client, other) in self
            .devices
            .iter()
            .filter(|(client, other)| other.account == *account && there.contains(*client))
        {
            if (other.version, &other.copy) != (*version, copy) {
                return Err(format!(
                    "client {client} was not told of all changes: it has {other:?}, client {reader} {device:?}"
                ));
            }
            if let Some(write) = book.missed(*client, other.since) {
                return Err(format!("client {client} was never told of {write:?}"));
            }
        }
        book.turn_page(now, copy.clone());
        Ok(())
    }
}

pub(super) fn command(id: CommandId) -> String {
    format!("command {}", id.0)
}

/// Who asked, from when to when.
const fn reader(now: Moment, request: &Request) -> Reader {
    Reader {
        from: request.at,
        to: now,
        by: (request.by, request.number),
    }
}
