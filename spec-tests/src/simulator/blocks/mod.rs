//! Oracle: blocklists (XEP-0191). Each address of each list is a place that is written and read, as in rosters: what was acknowledged is there
//! ever after, what was not, then or never. And each device that asked for its list keeps a copy as clients do, by results and pushes, which
//! tells to the stanza from when on nothing may come from whom.

mod acts;

use std::collections::{BTreeMap, BTreeSet};

use super::Moment;
use super::accounts::NAMES;

/// The namespace of lists.
pub(super) const BLOCKING: &str = "urn:xmpp:blocking";

/// Whom clients block: accounts, resources, hosts and what is between them.
const LISTED: [&str; 12] = [
    "romeo@localhost",
    "juliet@localhost",
    "nurse@localhost",
    "tybalt@other.test",
    "paris@localhost",
    "romeo@localhost/a",
    "juliet@localhost/b",
    "nurse@localhost/c",
    "localhost",
    "localhost/a",
    "other.test",
    "somebody@remote.example",
];

/// Whether somebody is blocked in some span of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Blocked {
    No,
    Yes,
    Maybe,
}

/// What a client asks of its list.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Wish {
    Get,
    Block(Vec<&'static str>),
    Unblock(Vec<&'static str>),
    UnblockAll,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Open,
    Done,
    Refused,
}

/// One address is to be blocked or not, or all are not to be.
#[derive(Clone, Debug)]
struct Write {
    id: String,
    address: Option<&'static str>,
    blocked: bool,
    by: Option<(usize, u32)>,
    from: Moment,
    until: Option<Moment>,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
struct Request {
    by: usize,
    account: usize,
    at: Moment,
    wish: Wish,
}

#[derive(Debug, Default)]
struct List {
    /// What was read when all was at rest.
    base: BTreeSet<&'static str>,
    writes: Vec<Write>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    lists: BTreeMap<usize, List>,
    requests: BTreeMap<String, Request>,
    /// What clients know that asked.
    copies: BTreeMap<usize, BTreeSet<&'static str>>,
    /// When all was last at rest.
    rest: Moment,
}

/// Whether an address on a list is about this one (XEP-0191 §6).
fn is_about(listed: &str, jid: &str) -> bool {
    let bare = jid.split('/').next().unwrap_or_default();
    let domain = bare.split('@').next_back().unwrap_or_default();
    listed == jid || listed == bare || listed == domain
}

impl Write {
    fn concerns(&self, address: &str) -> bool {
        self.address.is_none_or(|own| own == address)
    }

    /// Whether it was done before `other`, if both were.
    fn is_before(&self, other: &Self) -> bool {
        let asked_first = match (self.by, other.by) {
            (Some((one, first)), Some((two, second))) => one == two && first < second,
            (None, _) | (_, None) => false,
        };
        asked_first || self.until.is_some_and(|until| until < other.from)
    }
}

impl List {
    /// Whether this very address may not be on it, and whether it may be, at some time in this span.
    fn possible(&self, address: &str, from: Moment, to: Moment) -> (bool, bool) {
        let writes = || {
            let writes = self.writes.iter();
            writes.filter(|write| write.concerns(address) && write.outcome != Outcome::Refused)
        };
        let over = |write: &Write| {
            write.outcome == Outcome::Done && write.until.is_some_and(|until| until < from)
        };
        let base = (!writes().any(over)).then(|| self.base.contains(address));
        let written = writes().filter(|write| {
            write.from <= to && !writes().any(|later| over(later) && write.is_before(later))
        });
        let values = base.into_iter().chain(written.map(|write| write.blocked));
        values.fold((false, false), |(no, yes), value| {
            (no || !value, yes || value)
        })
    }
}

impl Blocks {
    /// Whether the list of an account is about this address in a span of time.
    pub(super) fn standing(&self, account: usize, jid: &str, from: Moment, to: Moment) -> Blocked {
        let Some(list) = self.lists.get(&account) else {
            return Blocked::No;
        };
        // Never one's own.
        if jid.split('/').next() == Some(NAMES[account]) {
            return Blocked::No;
        }
        let mut all = Blocked::No;
        for address in LISTED.into_iter().filter(|listed| is_about(listed, jid)) {
            match list.possible(address, from, to) {
                (false, true) => return Blocked::Yes,
                (true, true) => all = Blocked::Maybe,
                (_, false) => {}
            }
        }
        all
    }

    /// Whether an account may block this address lately.
    pub(super) fn may_block(&self, account: usize, jid: &str) -> bool {
        self.standing(account, jid, self.rest, Moment::MAX) != Blocked::No
    }

    /// Whether it has blocked all of this account since all was last at rest.
    pub(super) fn firmly(&self, account: usize, other: usize) -> bool {
        self.standing(account, NAMES[other], self.rest, Moment::MAX) == Blocked::Yes
    }

    /// Whether one of two accounts may have blocked the other, or a resource of it, since all was last at rest.
    pub(super) fn between(&self, one: usize, two: usize) -> bool {
        let touches = |account: usize, other: usize| {
            let Some(list) = self.lists.get(&account) else {
                return false;
            };
            let name = NAMES[other];
            let of = |listed: &&str| is_about(listed, name) || is_about(name, listed);
            let mut those = LISTED.into_iter().filter(of);
            those.any(|address| list.possible(address, self.rest, Moment::MAX).1)
        };
        one != two && (touches(one, two) || touches(two, one))
    }

    /// A client asks.
    fn asked(&mut self, at: Moment, id: &str, request: Request, number: u32) {
        let (addresses, blocked): (Vec<Option<&'static str>>, bool) = match &request.wish {
            Wish::Get => (Vec::new(), false),
            Wish::Block(addresses) => (addresses.iter().copied().map(Some).collect(), true),
            Wish::Unblock(addresses) => (addresses.iter().copied().map(Some).collect(), false),
            Wish::UnblockAll => (vec![None], false),
        };
        let list = self.lists.entry(request.account).or_default();
        for address in addresses {
            list.writes.push(Write {
                id: id.to_owned(),
                address,
                blocked,
                by: Some((request.by, number)),
                from: at,
                until: None,
                outcome: Outcome::Open,
            });
        }
        self.requests.insert(id.to_owned(), request);
    }

    /// An account is to be deleted, with its list.
    pub(super) fn deleted(&mut self, at: Moment, account: usize, id: &str) {
        self.lists.entry(account).or_default().writes.push(Write {
            id: id.to_owned(),
            address: None,
            blocked: false,
            by: None,
            from: at,
            until: None,
            outcome: Outcome::Open,
        });
    }

    fn becomes(&mut self, now: Moment, id: &str, outcome: Outcome) {
        for list in self.lists.values_mut() {
            for write in list.writes.iter_mut().filter(|write| write.id == id) {
                if write.outcome == Outcome::Open {
                    write.outcome = outcome;
                    write.until.get_or_insert(now);
                }
            }
        }
    }

    /// What has this id was done, or surely was not.
    pub(super) fn settled(&mut self, now: Moment, id: &str, done: Option<bool>) {
        match done {
            Some(true) => self.becomes(now, id, Outcome::Done),
            Some(false) => self.becomes(now, id, Outcome::Refused),
            None => {}
        }
    }

    /// What was not done by now never will be.
    pub(super) fn settle(&mut self, now: Moment) {
        for list in self.lists.values_mut() {
            for write in &mut list.writes {
                write.until.get_or_insert(now);
            }
        }
    }

    /// The server died.
    pub(super) fn crash(&mut self, now: Moment) {
        self.settle(now);
        self.requests.clear();
        self.copies.clear();
    }

    /// A client reads its list.
    fn read(
        &mut self,
        client: usize,
        account: usize,
        at: Moment,
        now: Moment,
        items: BTreeSet<&'static str>,
    ) -> Result<(), String> {
        let list = self.lists.entry(account).or_default();
        for address in LISTED {
            let (no, yes) = list.possible(address, at, now);
            let listed = items.contains(address);
            if listed && !yes || !listed && !no {
                return Err(format!("of {address}: it may be {}: {list:?}", yes));
            }
        }
        self.copies.insert(client, items);
        Ok(())
    }

    /// A client that knows its list is told of a change.
    fn change(&mut self, client: usize, wish: &Wish) {
        let Some(copy) = self.copies.get_mut(&client) else {
            return;
        };
        match wish {
            Wish::Get => {}
            Wish::Block(addresses) => copy.extend(addresses),
            Wish::Unblock(addresses) => copy.retain(|address| !addresses.contains(address)),
            Wish::UnblockAll => copy.clear(),
        }
    }

    /// Whether something from there may come to a client, as far as the client itself was told.
    pub(super) fn may_come(&self, client: usize, account: usize, from: &str) -> bool {
        let own = from.split('/').next() == Some(NAMES[account]);
        let copy = self.copies.get(&client);
        own || !copy.is_some_and(|copy| copy.iter().any(|listed| is_about(listed, from)))
    }

    /// Everything is at rest. `witnesses` have just read the lists of their accounts, and `there` hear of every change.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        witnesses: &BTreeMap<usize, usize>,
        there: &BTreeMap<usize, Vec<usize>>,
    ) -> Result<(), String> {
        for (account, witness) in witnesses {
            let Some(read) = self.copies.get(witness).cloned() else {
                return Err(format!("client {witness} was not told its list"));
            };
            for client in there.get(account).into_iter().flatten() {
                let copy = self.copies.get(client);
                if copy.is_some_and(|copy| *copy != read) {
                    return Err(format!(
                        "client {client} was not told of all changes: it has {copy:?}, client {witness} {read:?}"
                    ));
                }
            }
            let list = self.lists.entry(*account).or_default();
            list.base = read;
            list.writes.clear();
        }
        self.rest = now;
        Ok(())
    }
}
