//! A file is read twice: all of it is judged before anything is changed, then accounts are brought here one after another, their credentials
//! last.
//!
//! An account whose import ends half way cannot be signed in to, and the next import begins it anew (`Command::Import`). Those before it are whole.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use spondee_core::config::Config;
use spondee_core::jid::BareJid;
use spondee_core::limits::{STORE_BATCH_BYTES, STORE_BATCH_OPS};
use spondee_core::port::ImportStep;
use spondee_core::sasl::Tombstones;
use spondee_core::store::Op;
use spondee_core::time::Now;

use super::account::{Account, Owed};
use super::reading::{Beginning, Read, Reading, Sink};
use super::report::Report;
use super::{At, Fault};
use crate::limits::pie::EARLY_BYTES;

/// Why an import ends.
#[derive(Debug)]
pub enum Trouble<E> {
    /// The file.
    File(Fault),
    /// Whoever brings accounts here.
    Desk(E),
}

impl<E> From<Fault> for Trouble<E> {
    fn from(fault: Fault) -> Self {
        Self::File(fault)
    }
}

/// Whether a name can be had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Name {
    /// It can.
    Free,
    /// There is such an account.
    Taken,
}

/// A file that was judged.
#[derive(Debug)]
pub struct Plan {
    file: PathBuf,
    now: Now,
    accounts: Vec<Planned>,
    /// What will not be brought along.
    pub report: Report,
}

/// One of its accounts.
#[derive(Debug)]
pub struct Planned {
    /// Its address.
    pub jid: BareJid,
    /// Whether there is one already.
    pub name: Name,
    /// What it has.
    pub sum: Sum,
    /// Ids of messages that wait and are archived, too.
    both: HashSet<String>,
    /// Messages that wait, where the file has them behind the archive.
    early: Option<Vec<Owed>>,
}

/// What an account has, in numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sum {
    /// Contacts.
    pub contacts: usize,
    /// Requests that wait for an answer.
    pub requests: usize,
    /// Addresses that are blocked.
    pub blocked: usize,
    /// Elements of private XML.
    pub private: usize,
    /// Cards: one or none.
    pub cards: usize,
    /// Archived messages.
    pub archived: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Messages that wait.
    pub waiting: usize,
}

impl Plan {
    /// Judges a file, then looks at each name in it.
    ///
    /// # Errors
    /// The first thing that is wrong with it, or what `look` says.
    pub fn of<E>(
        file: &Path,
        config: &Config,
        now: Now,
        look: &mut dyn FnMut(&BareJid) -> Result<Name, E>,
    ) -> Result<Self, Trouble<E>> {
        let mut plan = Self {
            file: file.to_owned(),
            now,
            accounts: Vec::new(),
            report: Report::default(),
        };
        let mut judge = Judge {
            seen: HashSet::new(),
            accounts: &mut plan.accounts,
            early: 0,
        };
        let mut report = Report::default();
        let judged = Reading::new(config, now, &mut report).run(file, &mut judge);
        judged.map_err(|trouble| match trouble {
            Trouble::File(fault) => Trouble::File(fault),
            Trouble::Desk(never) => match never {},
        })?;
        plan.report = report;
        if plan.accounts.is_empty() {
            let at = At {
                file: file.to_owned(),
                line: 0,
            };
            return Err(at.fault("there is no user in it").into());
        }
        for account in &mut plan.accounts {
            account.name = look(&account.jid).map_err(Trouble::Desk)?;
        }
        Ok(plan)
    }

    /// Its accounts, in the order of the file.
    #[must_use]
    pub fn accounts(&self) -> &[Planned] {
        &self.accounts
    }

    /// Brings those here whose names can be had. `import` is the number of this import; `done` hears of each account that is there.
    ///
    /// # Errors
    /// What went wrong; accounts that `done` has heard of are there, and no others.
    pub fn carry_out<E>(
        &self,
        config: &Config,
        import: i64,
        tombstones: Tombstones,
        step: &mut dyn FnMut(&BareJid, ImportStep) -> Result<(), E>,
        done: &mut dyn FnMut(&Planned),
    ) -> Result<(), Trouble<E>> {
        let mut bring = Bring {
            plan: &self.accounts,
            next: 0,
            import,
            tombstones,
            step,
            done,
        };
        // It was said before.
        let mut report = Report::default();
        Reading::new(config, self.now, &mut report).run(&self.file, &mut bring)
    }
}

/// Looks at everything and changes nothing.
struct Judge<'a> {
    seen: HashSet<BareJid>,
    accounts: &'a mut Vec<Planned>,
    /// Bytes of messages that wait and come behind their archives.
    early: usize,
}

impl Sink for Judge<'_> {
    type Error = Infallible;

    fn begin(&mut self, account: &mut Account) -> Result<Beginning, Trouble<Infallible>> {
        match self.seen.insert(account.jid.clone()) {
            true => Ok(Beginning::default()),
            false => {
                let jid = &account.jid;
                Err(account
                    .at
                    .fault(format!("{jid} is there a second time"))
                    .into())
            }
        }
    }

    fn keep(&mut self, _: &BareJid, _: Vec<Op>) -> Result<(), Trouble<Infallible>> {
        Ok(())
    }

    fn end(&mut self, account: &mut Account, read: Read) -> Result<(), Trouble<Infallible>> {
        let Read { sum, both, early } = read;
        for owed in early.iter().flatten() {
            self.early += owed.entry.weight();
        }
        if self.early > EARLY_BYTES {
            return Err(account
                .at
                .fault(format!(
                    "more than {EARLY_BYTES} bytes of messages that wait stand behind the archives of their users: put <offline-messages/> before \
                     <archive/>, or make a file for each host"
                ))
                .into());
        }
        self.accounts.push(Planned {
            jid: account.jid.clone(),
            // Looked at when all of the file is good.
            name: Name::Free,
            sum,
            both,
            early,
        });
        Ok(())
    }
}

/// Brings accounts here.
struct Bring<'a, E> {
    plan: &'a [Planned],
    next: usize,
    import: i64,
    tombstones: Tombstones,
    step: &'a mut dyn FnMut(&BareJid, ImportStep) -> Result<(), E>,
    done: &'a mut dyn FnMut(&Planned),
}

impl<E> Bring<'_, E> {
    fn brings(&self) -> Option<&Planned> {
        self.plan
            .get(self.next)
            .filter(|planned| planned.name == Name::Free)
    }

    fn keep_all(&mut self, account: &BareJid, ops: Vec<Op>) -> Result<(), Trouble<E>> {
        (self.step)(account, ImportStep::Keep(self.import, ops)).map_err(Trouble::Desk)
    }
}

impl<E> Sink for Bring<'_, E> {
    type Error = E;

    fn begin(&mut self, account: &mut Account) -> Result<Beginning, Trouble<E>> {
        let planned = self
            .plan
            .get(self.next)
            .filter(|planned| planned.jid == account.jid);
        let Some(planned) = planned else {
            return Err(account
                .at
                .fault("the file was changed while it was read")
                .into());
        };
        if planned.name == Name::Free {
            let begin = ImportStep::Begin(self.import, self.tombstones);
            (self.step)(&account.jid, begin).map_err(Trouble::Desk)?;
        }
        Ok(Beginning {
            both: planned.both.clone(),
            early: planned.early.clone(),
        })
    }

    fn keep(&mut self, account: &BareJid, ops: Vec<Op>) -> Result<(), Trouble<E>> {
        match self.brings() {
            Some(_) => self.keep_all(account, ops),
            None => Ok(()),
        }
    }

    fn end(&mut self, account: &mut Account, _: Read) -> Result<(), Trouble<E>> {
        if self.brings().is_some() {
            let mut ops = account.puts();
            while !ops.is_empty() {
                let mut weight = 0;
                let fits = ops.iter().take_while(|op| {
                    weight += op.weight();
                    weight <= STORE_BATCH_BYTES / 2
                });
                let count = fits.count().clamp(1, STORE_BATCH_OPS / 2).min(ops.len());
                let rest = ops.split_off(count);
                self.keep_all(&account.jid, ops)?;
                ops = rest;
            }
            let end = ImportStep::End(self.import, account.imported());
            (self.step)(&account.jid, end).map_err(Trouble::Desk)?;
            if let Some(planned) = self.plan.get(self.next) {
                (self.done)(planned);
            }
        }
        self.next += 1;
        Ok(())
    }
}
