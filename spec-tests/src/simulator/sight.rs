//! Oracle: what each client sees of others' presence (RFC 6121 §4). Presence seen is presence said, in order; nobody sees who does not share it;
//! the end of it is told once; and at rest everybody who is to see it sees what was said last.

use std::collections::{BTreeMap, BTreeSet};

use super::Moment;

/// What a client last saw of a full address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Up {
    Yes,
    No,
    /// It told this client alone, or this account.
    Aside,
}

#[derive(Debug)]
struct Sight {
    up: Up,
    /// By what everybody was told.
    broadcast_up: Up,
    /// Who said it, if its own words came.
    by: Option<usize>,
    /// The highest number of what came of it.
    number: u32,
    /// Of that which it told everybody.
    broadcast: u32,
    /// Below this number, what it told everybody may have made room for what it told this client alone.
    replaced: u32,
    /// Who had the address before.
    past: BTreeSet<usize>,
}

/// Whether a client is available, by what it heard of itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Own {
    #[default]
    Connected,
    Available,
}

#[derive(Debug, Default)]
struct Watch {
    own: Own,
    sights: BTreeMap<String, Sight>,
    /// Accounts of which nobody can tell what it should see.
    void: BTreeSet<String>,
    /// Requests that came since it became available, by whom, and what it had of each.
    requests: BTreeMap<usize, BTreeSet<String>>,
    /// Those of them that wait for an answer, as far as it knows.
    waiting: BTreeSet<usize>,
    /// Whom it probed, and when last.
    probed: BTreeMap<usize, Moment>,
}

/// What kind of presence came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    /// What `by` said with this number, to everybody.
    Broadcast(usize, u32),
    /// The same, to this address.
    Directed(usize, u32),
    /// The server's own words.
    Bare,
}

/// What clients said of their availability, and to whom.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// The numbers of available presence to everybody, and to accounts.
    available: BTreeMap<usize, Vec<(u32, Option<String>)>>,
    /// The number of the last to everybody, available or not.
    pub(super) last: BTreeMap<usize, u32>,
    /// The number of the last to everybody of which it heard itself.
    heard: BTreeMap<usize, u32>,
}

impl Announced {
    pub(super) fn available(&mut self, by: usize, number: u32, to: Option<&str>) {
        let to = to.and_then(|to| to.split('/').next()).map(str::to_owned);
        self.available.entry(by).or_default().push((number, to));
    }

    /// Whether it said that it is available and did not hear that itself yet, as where it has much to read.
    fn is_behind(&self, by: usize) -> bool {
        let heard = self.heard.get(&by).copied().unwrap_or_default();
        let said = self.available.get(&by).into_iter().flatten();
        said.into_iter()
            .any(|(number, to)| *number > heard && to.is_none())
    }

    /// Whether it heard the last that it said of itself to everybody. While nobody looks at it, presence that it sends to itself takes the place
    /// of that.
    pub(super) fn has_heard_itself(&self, by: usize) -> bool {
        self.heard.get(&by) == self.last.get(&by)
    }

    /// Whether this client said behind `number` that it is available, to everybody or to this account.
    pub(super) fn behind(&self, by: usize, number: u32, account: &str) -> bool {
        let said = self.available.get(&by).into_iter().flatten();
        said.into_iter()
            .any(|(other, to)| *other > number && to.as_deref().is_none_or(|to| to == account))
    }
}

/// What is known around a presence that came.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an answer to a question of its own"
)]
pub(super) struct Around<'a> {
    /// Whose client got it, and whose presence it is: account numbers.
    pub(super) account: usize,
    pub(super) other: usize,
    /// Whether the one may share with the other now, as far as this client was told, or else as far as anybody can know.
    pub(super) shares: bool,
    /// As far as anybody can know.
    pub(super) may_share: bool,
    /// How many addresses of the client were sent directed presence by who may have this address.
    pub(super) directed: usize,
    /// Whether subscriptions between the two changed lately, or anything else that makes presence come and go.
    pub(super) stirred: bool,
    /// Clients that may have the address.
    pub(super) holders: &'a [usize],
    pub(super) own_name: &'a str,
    /// Whether the client was without a connection, or nobody looked at it: its own presence may come behind that of others.
    pub(super) muted: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Watches {
    watches: BTreeMap<usize, Watch>,
    pub(super) announced: Announced,
}

impl Watches {
    fn watch(&mut self, client: usize) -> &mut Watch {
        self.watches.entry(client).or_default()
    }

    /// The accounts whose requests this client has and nobody answered, as far as it knows.
    pub(super) fn requests(&self, client: usize) -> impl Iterator<Item = usize> {
        let watch = self.watches.get(&client);
        watch
            .into_iter()
            .flat_map(|watch| watch.waiting.iter().copied())
    }

    /// Whether this client was told so since it became available.
    pub(super) fn was_asked(&self, client: usize, other: usize) -> bool {
        let watch = self.watches.get(&client);
        watch.is_some_and(|watch| watch.requests.contains_key(&other))
    }

    pub(super) fn own(&self, client: usize) -> Own {
        self.watches
            .get(&client)
            .map(|watch| watch.own)
            .unwrap_or_default()
    }

    /// A request reaches a client.
    ///
    /// # Errors
    /// It is not available. Otherwise whether it did not have it yet.
    pub(super) fn asked(
        &mut self,
        client: usize,
        other: usize,
        mark: &str,
    ) -> Result<bool, String> {
        let is_behind = self.announced.is_behind(client);
        let watch = self.watch(client);
        if watch.own != Own::Available && !is_behind {
            return Err("though it is not available".to_owned());
        }
        watch.waiting.insert(other);
        Ok(watch
            .requests
            .entry(other)
            .or_default()
            .insert(mark.to_owned()))
    }

    /// It answers it, or hears that it is over.
    pub(super) fn answered(&mut self, client: usize, other: usize) {
        self.watch(client).waiting.remove(&other);
    }

    pub(super) fn probed(&mut self, now: Moment, client: usize, other: usize) {
        self.watch(client).probed.insert(other, now);
    }

    /// Whether it did.
    pub(super) fn has_probed(&self, client: usize, other: usize) -> bool {
        let watch = self.watches.get(&client);
        watch.is_some_and(|watch| watch.probed.contains_key(&other))
    }

    /// A client hears its own words.
    pub(super) fn echo(&mut self, client: usize, own: Own, number: u32) {
        self.announced.heard.insert(client, number);
        let watch = self.watch(client);
        if watch.own != own {
            watch.sights.clear();
            watch.void.clear();
            if own == Own::Connected {
                // Those that come before it hears that it is available count, too.
                watch.requests.clear();
                watch.waiting.clear();
            }
        }
        watch.own = own;
    }

    /// A client sees that `from` is available.
    pub(super) fn rises(
        &mut self,
        client: usize,
        from: &str,
        presence: Presence,
        around: &Around<'_>,
    ) -> Result<(), String> {
        let probed = self.has_probed(client, around.other);
        let watch = self.watch(client);
        match presence {
            Presence::Bare if around.directed > 0 && probed => {}
            Presence::Bare if around.may_share && probed => {}
            Presence::Bare => {
                return Err("which nobody asked for, or who asked may not know".to_owned());
            }
            Presence::Broadcast(..) if !(around.shares || probed && around.may_share) => {
                return Err("which is not shared with it".to_owned());
            }
            Presence::Broadcast(..) if watch.own != Own::Available && !probed && !around.muted => {
                return Err("though it is not available".to_owned());
            }
            Presence::Broadcast(..) | Presence::Directed(..) => {}
        }
        let sight = watch.sight(from);
        sight.note(presence)?;
        sight.may_replace(presence, around);
        sight.up = Up::Yes;
        if let Presence::Broadcast(..) = presence {
            sight.broadcast_up = Up::Yes;
        }
        Ok(())
    }

    /// A client sees that `from` is available no more.
    pub(super) fn sets(
        &mut self,
        client: usize,
        from: &str,
        presence: Presence,
        around: &Around<'_>,
    ) -> Result<(), String> {
        let announced = std::mem::take(&mut self.announced);
        let fault = self.watch(client).sets(from, presence, around, &announced);
        self.announced = announced;
        fault
    }

    /// Whether nobody can tell what it should see of an account.
    pub(super) fn is_void(&self, client: usize, account: &str) -> bool {
        let watch = self.watches.get(&client);
        watch.is_some_and(|watch| watch.void.contains(account))
    }

    /// What it saw of an account is void, until it becomes available anew.
    pub(super) fn forget(&mut self, client: usize, account: &str) {
        let watch = self.watch(client);
        watch.void.insert(account.to_owned());
        watch
            .sights
            .retain(|from, _| from.split('/').next() != Some(account));
    }

    /// Whether what `from` told this client alone took the place of what it told everybody, `last`, before that was shown: it is the later
    /// word of the same address (XEP-0352).
    pub(super) fn was_told_since(&self, client: usize, from: &str, last: u32) -> bool {
        let watch = self.watches.get(&client);
        let sight = watch.and_then(|watch| watch.sights.get(from));
        sight.is_some_and(|sight| sight.replaced > last)
    }

    /// Those of an account that a client sees available, and the number of what they last told everybody.
    pub(super) fn seen(&self, client: usize, account: &str) -> BTreeMap<&str, u32> {
        let watch = self.watches.get(&client);
        let sights = watch.into_iter().flat_map(|watch| &watch.sights);
        let up = sights.filter(|(from, sight)| {
            sight.broadcast_up == Up::Yes && from.split('/').next() == Some(account)
        });
        up.map(|(from, sight)| (from.as_str(), sight.broadcast))
            .collect()
    }
}

impl Watch {
    fn sight(&mut self, from: &str) -> &mut Sight {
        self.sights.entry(from.to_owned()).or_insert(Sight {
            up: Up::Yes,
            broadcast_up: Up::No,
            by: None,
            number: 0,
            broadcast: 0,
            replaced: 0,
            past: BTreeSet::new(),
        })
    }

    fn sets(
        &mut self,
        from: &str,
        presence: Presence,
        around: &Around<'_>,
        announced: &Announced,
    ) -> Result<(), String> {
        let directed = matches!(presence, Presence::Directed(..));
        if !around.may_share && around.directed == 0 && !directed {
            return Err("which is not shared with it".to_owned());
        }
        let first = !self.sights.contains_key(from);
        let own = around.account == around.other;
        let sight = self.sight(from);
        let was = (sight.up, sight.by, sight.number);
        if presence != Presence::Bare || sight.by.is_some() {
            // Several of its addresses may be told, each for itself.
            if let Err(fault) = sight.note(presence)
                && around.directed < 2
                && !(own && around.directed > 0)
            {
                return Err(fault);
            }
        }
        let (up, by, number) = was;
        sight.may_replace(presence, around);
        if directed {
            sight.up = Up::Aside;
            return Ok(());
        }
        (sight.up, sight.broadcast_up) = (Up::No, Up::No);
        if first
            || up != Up::No
            || around.stirred
            || around.directed > 1
            || own && around.directed > 0
        {
            return Ok(());
        }
        // It was told so before. Has anybody said anything else meanwhile that it may have missed?
        let unseen = |holder: &usize| match by {
            Some(by) if by == *holder => announced.behind(by, number, around.own_name),
            _ => announced.behind(*holder, 0, around.own_name) && !sight.past.contains(holder),
        };
        if around.holders.iter().any(unseen) {
            return Ok(());
        }
        Err("once more".to_owned())
    }
}

impl Sight {
    /// Where nobody looks at the client, or it reads little, of each address the last word is kept (XEP-0352 §4).
    fn may_replace(&mut self, presence: Presence, around: &Around<'_>) {
        if let (Presence::Directed(_, number), true) = (presence, around.muted) {
            self.replaced = number;
        }
    }

    /// Somebody's own words come in their order.
    fn note(&mut self, presence: Presence) -> Result<(), String> {
        let (by, number) = match presence {
            Presence::Broadcast(by, number) | Presence::Directed(by, number) => (by, number),
            Presence::Bare => return Ok(()),
        };
        if self.by != Some(by) {
            if self.past.contains(&by) {
                return Err(format!("behind somebody who came after client {by}"));
            }
            self.past.extend(self.by.replace(by));
            (self.number, self.broadcast, self.replaced) = (0, 0, 0);
        }
        if matches!(presence, Presence::Broadcast(..)) {
            if number < self.broadcast {
                return Err(format!(
                    "behind what client {by} said later, {}",
                    self.broadcast
                ));
            }
            self.broadcast = number;
        }
        self.number = number.max(self.number);
        Ok(())
    }
}
