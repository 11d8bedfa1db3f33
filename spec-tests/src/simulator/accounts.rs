//! Oracle: what every account may be, given which commands were given, answered, or cut off by a crash.
//!
//! A command that was answered has happened, whatever crashes later. One that a crash cut off may have happened. So an account
//! is a set of possibilities, and every sign-in and every session is held to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use spondee_core::jid::BareJid;
use spondee_core::limits::Limits;
use spondee_core::port::{Command, CommandError, CommandId, CommandReply, CommandResult};
use spondee_core::sasl::Tombstones;
use spondee_core::secret::Secret;

use super::Moment;
use super::faults::{Credit, Faults, Served, Struck};
use super::guesses::Guesses;
use super::kept::Likely;

/// The accounts of the play. The last does not exist at first.
pub(super) const NAMES: [&str; 5] = [
    "romeo@localhost",
    "juliet@localhost",
    "nurse@localhost",
    "tybalt@other.test",
    "paris@localhost",
];

/// What passwords are set to. The first is that of all who exist at first.
pub(super) const PASSWORDS: [&str; 3] = ["rosemary", "thyme", "rue"];

/// A password that no account ever has.
pub(super) const WRONG: &str = "hemlock";

/// What the store may have of an account.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Record {
    Absent,
    Enabled(&'static str),
    Disabled(&'static str),
}

/// What an administrator asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    Add(&'static str),
    Delete,
    Disable,
    Enable,
    Passwd(&'static str),
}

impl Order {
    /// What becomes of a record; `None` if the order is refused.
    const fn apply(self, record: Record) -> Option<Record> {
        match (self, record) {
            (Self::Add(password), Record::Absent) => Some(Record::Enabled(password)),
            (Self::Add(_), Record::Enabled(_) | Record::Disabled(_)) | (_, Record::Absent) => None,
            (Self::Delete, _) => Some(Record::Absent),
            (Self::Disable, Record::Enabled(password) | Record::Disabled(password)) => {
                Some(Record::Disabled(password))
            }
            (Self::Enable, Record::Enabled(password) | Record::Disabled(password)) => {
                Some(Record::Enabled(password))
            }
            (Self::Passwd(password), Record::Enabled(_)) => Some(Record::Enabled(password)),
            (Self::Passwd(password), Record::Disabled(_)) => Some(Record::Disabled(password)),
        }
    }

    /// The stream error that ends the account's sessions once it is done.
    const fn ends_sessions(self) -> Option<&'static str> {
        match self {
            Self::Delete | Self::Disable => Some("not-authorized"),
            Self::Passwd(_) => Some("reset"),
            Self::Add(_) | Self::Enable => None,
        }
    }
}

type Possible = BTreeSet<Record>;

#[derive(Debug)]
struct Account {
    /// What it may be, all commands so far answered.
    base: Possible,
    /// Given and not answered; they run one after another.
    pending: VecDeque<(CommandId, Order, Moment)>,
    /// What it may have been from each moment on.
    history: Vec<(Moment, Possible)>,
    /// Given and done, or perhaps done, with the moment they were given.
    orders: Vec<(Moment, Order)>,
    /// The same with those that failed: to delete ends the sessions first.
    tried: Vec<Tried>,
}

/// An order that was given.
#[derive(Debug)]
struct Tried {
    id: CommandId,
    order: Order,
    /// When it was answered or cut off, if it was.
    over: Option<Moment>,
}

impl Tried {
    /// Whether it was given since `moment`, or still ran then.
    fn runs_since(&self, moment: Moment) -> bool {
        self.over.is_none_or(|over| over >= moment)
    }
}

impl Account {
    fn new(record: Record) -> Self {
        let base = Possible::from([record]);
        Self {
            history: vec![(0, base.clone())],
            base,
            pending: VecDeque::new(),
            orders: Vec::new(),
            tried: Vec::new(),
        }
    }

    fn note(&mut self, at: Moment) {
        let mut possible = self.base.clone();
        for (_, order, _) in &self.pending {
            let after: Vec<Record> = possible.iter().filter_map(|r| order.apply(*r)).collect();
            possible.extend(after);
        }
        self.history.push((at, possible));
    }

    /// Of the orders that run, these do no more.
    fn over(&mut self, at: Moment, which: impl Fn(&Tried) -> bool) {
        let running = self.tried.iter_mut().filter(|tried| tried.over.is_none());
        for tried in running.filter(|tried| which(tried)) {
            tried.over = Some(at);
        }
    }

    fn possible(&self, from: Moment, to: Moment) -> Possible {
        let first = self.history.partition_point(|(at, _)| *at <= from).max(1) - 1;
        self.history[first..]
            .iter()
            .take_while(|(at, _)| *at <= to)
            .flat_map(|(_, possible)| possible.iter().copied())
            .collect()
    }
}

/// All accounts.
#[derive(Debug)]
pub(super) struct Accounts {
    accounts: Vec<Account>,
    of_command: BTreeMap<CommandId, usize>,
    next: u64,
    guesses: Guesses,
}

impl Accounts {
    pub(super) fn new(limits: Limits) -> Self {
        let record = |index| match index + 1 == NAMES.len() {
            true => Record::Absent,
            false => Record::Enabled(PASSWORDS[0]),
        };
        Self {
            accounts: (0..NAMES.len()).map(record).map(Account::new).collect(),
            of_command: BTreeMap::new(),
            next: 1 << 32,
            guesses: Guesses::new(limits),
        }
    }

    /// A password it may have now, for those who mean well.
    pub(super) fn password(&self, account: usize) -> Option<&'static str> {
        self.accounts[account]
            .base
            .iter()
            .find_map(|record| match record {
                Record::Enabled(password) => Some(*password),
                Record::Absent | Record::Disabled(_) => None,
            })
    }

    /// All passwords that it may have now.
    pub(super) fn passwords(&self, account: usize) -> Vec<&'static str> {
        let records = self.accounts[account].base.iter();
        let enabled = records.filter_map(|record| match record {
            Record::Enabled(password) => Some(*password),
            Record::Absent | Record::Disabled(_) => None,
        });
        enabled.collect()
    }

    pub(super) fn may_be_disabled(&self, account: usize) -> bool {
        let mut records = self.accounts[account].base.iter();
        records.any(|record| matches!(record, Record::Disabled(_)))
    }

    /// Whether there is such an account, everything being at rest; `None` if nobody can tell.
    pub(super) fn is_there(&self, account: usize) -> Option<bool> {
        let base = &self.accounts[account].base;
        match (base.contains(&Record::Absent), base.len()) {
            (true, 1) => Some(false),
            (true, _) => None,
            (false, _) => Some(true),
        }
    }

    /// Whether there may have been none at some time since that moment.
    pub(super) fn may_have_been_absent(&self, account: usize, since: Moment) -> bool {
        let account = &self.accounts[account];
        account
            .possible(since, Moment::MAX)
            .contains(&Record::Absent)
    }

    /// Whether there was one all the time since that moment.
    pub(super) fn existed(&self, account: usize, since: Moment) -> Likely {
        let possible = self.accounts[account].possible(since, Moment::MAX);
        let there = possible.iter().map(|record| *record != Record::Absent);
        Likely::agreed(there.map(Likely::from))
    }

    /// An order is given.
    pub(super) fn order(
        &mut self,
        at: Moment,
        account: usize,
        order: Order,
    ) -> (CommandId, Command) {
        let id = CommandId(self.next);
        self.next += 1;
        self.of_command.insert(id, account);
        self.guesses.order(account);
        let entry = &mut self.accounts[account];
        entry.pending.push_back((id, order, at));
        entry.orders.push((at, order));
        let over = None;
        entry.tried.push(Tried { id, order, over });
        entry.note(at);
        (id, command(account, order))
    }

    /// It is answered.
    pub(super) fn answered(
        &mut self,
        at: Moment,
        id: CommandId,
        result: &CommandResult,
        faults: &Faults,
    ) -> Result<(), String> {
        let index = self
            .of_command
            .remove(&id)
            .ok_or("a command is answered twice")?;
        let account = &mut self.accounts[index];
        let name = NAMES[index];
        account.over(at, |tried| tried.id == id);
        // That is said at once, the others in turn.
        let at_once = *result == Err(CommandError::NoSuchHost);
        let place = account.pending.iter().position(|(other, ..)| *other == id);
        let waiting = place.filter(|place| at_once || *place == 0);
        let Some((_, order, given)) = waiting.and_then(|place| account.pending.remove(place))
        else {
            return Err(format!("a command on {name} is answered out of order"));
        };
        let before = account.base.clone();
        account.base = match result {
            Ok(CommandReply::Done) => before.iter().filter_map(|r| order.apply(*r)).collect(),
            Err(CommandError::Exists | CommandError::NoSuchUser) => before
                .iter()
                .copied()
                .filter(|r| order.apply(*r).is_none())
                .collect(),
            Err(CommandError::Busy) if faults.struck_since(given, name, Struck::Busy) => {
                before.clone()
            }
            Err(CommandError::Full) if faults.struck_since(given, name, Struck::Full) => {
                before.clone()
            }
            // It is read for that what the account keeps, of which contacts must hear.
            Err(CommandError::Store)
                if order == Order::Delete && faults.store_since(given, name) =>
            {
                before.clone()
            }
            // A read of which nobody can know has failed.
            Err(CommandError::Store)
                if faults.struck_since(given, name, Struck::Failed)
                    || faults.struck_since(given, name, Struck::Unknown) =>
            {
                before.clone()
            }
            Err(CommandError::Unknown) if faults.struck_since(given, name, Struck::Unknown) => {
                let after = before.iter().filter_map(|r| order.apply(*r));
                after.chain(before.iter().copied()).collect()
            }
            Err(CommandError::NoSuchHost) if faults.served(name, given) != Served::Yes => {
                before.clone()
            }
            Ok(
                CommandReply::Archive(_)
                | CommandReply::Disconnected { .. }
                | CommandReply::Erased(_)
                | CommandReply::Links(_)
                | CommandReply::Reached(_)
                | CommandReply::Trimmed { .. }
                | CommandReply::User(_)
                | CommandReply::Users(_),
            )
            | Err(_) => Possible::new(),
        };
        if account.base.is_empty() {
            return Err(format!(
                "{order:?} on {name}, {before:?}, was answered {result:?}"
            ));
        }
        if result.is_err() && *result != Err(CommandError::Unknown) {
            account.orders.retain(|(at, o)| (*at, *o) != (given, order));
        }
        account.note(at);
        Ok(())
    }

    /// The server died: what was not answered may have happened or not.
    pub(super) fn crash(&mut self, at: Moment) {
        self.of_command.clear();
        for account in &mut self.accounts {
            account.note(at);
            account.over(at, |_| true);
            if let Some((_, possible)) = account.history.last() {
                account.base = possible.clone();
            }
            account.pending.clear();
        }
        self.guesses.crash(at);
    }

    /// A sign-in begins.
    pub(super) fn begin(&mut self, index: usize, address: IpAddr, password: &str) {
        let account = &self.accounts[index];
        let sure = matches!(account.base.first(), Some(Record::Enabled(p)) if *p == password);
        if account.base.len() > 1 || !account.pending.is_empty() || !sure {
            self.guesses.guess(index, address);
        } else {
            self.guesses.begin(index, address);
        }
    }

    /// Whether sign-ins may be held up after so many failures.
    pub(super) fn may_be_held_up(&self, index: usize, address: IpAddr) -> bool {
        self.guesses.may_hold_up(index, address)
    }

    /// Nothing is under way: whether every order was answered.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.guesses.rest();
        for (name, account) in NAMES.iter().zip(&self.accounts) {
            if let Some((_, order, _)) = account.pending.front() {
                return Err(format!("{order:?} on {name} was never answered"));
            }
        }
        Ok(())
    }

    /// Whether an order is still to be answered.
    pub(super) fn is_awaited(&self) -> bool {
        !self.of_command.is_empty()
    }

    /// A sign-in succeeded that began at `began`.
    pub(super) fn signed_in(
        &mut self,
        (began, now): (Moment, Moment),
        index: usize,
        address: IpAddr,
        password: &str,
    ) -> Result<(), String> {
        self.guesses.signed_in(began, index, address);
        let account = &mut self.accounts[index];
        let possible = account.possible(began, now);
        let good = |record: &Record| matches!(record, Record::Enabled(p) if *p == password);
        let Some(record) = possible.iter().copied().find(good) else {
            let name = NAMES[index];
            return Err(format!(
                "{name} signed in with {password:?}, but is {possible:?}"
            ));
        };
        // After a crash: now it is known.
        let settled = account.pending.is_empty() && account.base.len() > 1;
        if settled && account.history.last().is_some_and(|(at, _)| *at < began) {
            account.base = Possible::from([record]);
            account.note(now);
        }
        Ok(())
    }

    /// A sign-in failed that began at `began`.
    pub(super) fn refused(
        &self,
        (began, now): (Moment, Moment),
        (index, address): (usize, IpAddr),
        password: &str,
        condition: &str,
        faults: &Faults,
    ) -> Result<(), String> {
        let account = &self.accounts[index];
        let possible = account.possible(began, now);
        let excused = match condition {
            "not-authorized" => possible.iter().any(|record| match record {
                Record::Absent => true,
                Record::Enabled(p) | Record::Disabled(p) => *p != password,
            }),
            "account-disabled" => possible.contains(&Record::Disabled(
                PASSWORDS
                    .into_iter()
                    .find(|p| *p == password)
                    .unwrap_or(WRONG),
            )),
            "temporary-auth-failure" => {
                faults.store_since(began, NAMES[index])
                    || self.may_be_held_up(index, address)
                    || faults.reload_since(began)
                    || faults.credit == Credit::Scarce
                    || !account.pending.is_empty()
                    || account.history.last().is_some_and(|(at, _)| *at >= began)
            }
            _ => false,
        };
        if excused {
            return Ok(());
        }
        let name = NAMES[index];
        Err(format!(
            "{name} with {password:?} was refused as {condition}, but is {possible:?}"
        ))
    }

    /// Whether a session that was signed in by `signed` may still be there, everything being at rest.
    pub(super) fn may_stay(
        &self,
        signed: Moment,
        index: usize,
        password: &str,
    ) -> Result<(), String> {
        let base = &self.accounts[index].base;
        let name = NAMES[index];
        let good = |record: &Record| matches!(record, Record::Enabled(p) if *p == password);
        if !base.iter().any(good) {
            return Err(format!(
                "a session of {name} with {password:?} goes on, but it is {base:?}"
            ));
        }
        match self.dismissal(index, signed) {
            Some(order) => Err(format!("a session of {name} goes on in spite of {order:?}")),
            None => Ok(()),
        }
    }

    /// A finished order since `moment` that ends sessions.
    fn dismissal(&self, index: usize, moment: Moment) -> Option<Order> {
        let ends = |(at, order): &&(Moment, Order)| *at > moment && order.ends_sessions().is_some();
        self.accounts[index]
            .orders
            .iter()
            .find(ends)
            .map(|(_, order)| *order)
    }

    /// Whether anything was ordered of this account since `moment`, or still ran then.
    pub(super) fn ordered_since(&self, index: usize, moment: Moment) -> bool {
        let account = &self.accounts[index];
        account.tried.iter().any(|tried| tried.runs_since(moment))
    }

    /// Whether an order given since `moment`, or still running then, ends sessions with this condition.
    pub(super) fn excuses(&self, index: usize, moment: Moment, condition: &str) -> bool {
        self.accounts[index]
            .tried
            .iter()
            .filter(|tried| tried.runs_since(moment))
            .any(|tried| tried.order.ends_sessions() == Some(condition))
    }
}

fn command(account: usize, order: Order) -> Command {
    let account = BareJid::parse(NAMES[account]).expect("an address");
    let secret = |password: &str| Secret::new(password.as_bytes().to_vec());
    match order {
        Order::Add(password) => Command::Add {
            account,
            password: secret(password),
            tombstones: Tombstones::Ignore,
        },
        Order::Delete => Command::Delete { account },
        Order::Disable => Command::Disable { account },
        Order::Enable => Command::Enable { account },
        Order::Passwd(password) => Command::Passwd {
            account,
            password: secret(password),
        },
    }
}
