//! `spondee user import`: through the control socket of a running server, else in process, as everything that changes accounts.

use std::path::Path;

use spondee_core::jid::BareJid;
use spondee_core::port::{Command, CommandError, ImportStep};

use super::super::Console;
use super::super::args::{Existing, Mode, Wish};
use super::super::failure::{Failure, refused};
use super::Office;
use crate::clock::Clock;
use crate::pie::{Name, Plan, Planned, Sum, Trouble};
use crate::seed;

/// Users that are named when there are more.
const USERS_SHOWN: usize = 20;

impl Office<'_> {
    pub(super) fn import(
        &mut self,
        file: &Path,
        wish: Wish,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let note = match wish.mode {
            Mode::Bring => self.begins()?,
            Mode::Look => None,
        };
        let config = self.settings.config.clone();
        let now = Clock::start().now();
        let plan = Plan::of(file, &config, now, &mut |account: &BareJid| {
            self.name(account, wish)
        });
        let plan = plan.map_err(|trouble| match trouble {
            Trouble::File(fault) => Failure::Refused(format!("nothing was imported: {fault}")),
            Trouble::Desk(failure) => failure,
        })?;
        let taken = plan
            .accounts()
            .iter()
            .filter(|account| account.name == Name::Taken);
        let taken: Vec<&Planned> = taken.collect();
        if let (Existing::Refuse, [_, ..]) = (wish.existing, &taken[..]) {
            return Err(Failure::Refused(exist(&taken)));
        }
        for account in &taken {
            writeln!(
                console.out,
                "{} exists already and stays as it is",
                account.jid
            )?;
        }
        if wish.mode == Mode::Look {
            for account in plan.accounts().iter().filter(|a| a.name == Name::Free) {
                writeln!(
                    console.out,
                    "{} would be imported: {}",
                    account.jid,
                    Words(&account.sum)
                )?;
            }
            return Ok(report(&plan, console)?);
        }
        self.bring(&plan, wish, console)?;
        report(&plan, console)?;
        match note {
            Some(note) => Ok(writeln!(console.err, "spondee: {note}")?),
            None => Ok(()),
        }
    }

    fn bring(&mut self, plan: &Plan, wish: Wish, console: &mut Console<'_>) -> Result<(), Failure> {
        let config = self.settings.config.clone();
        let seed = seed::fresh().map_err(|error| {
            Failure::Unusable(format!(
                "the operating system gives no random numbers: {error}"
            ))
        })?;
        let import = i64::from_be_bytes(*seed.first_chunk().unwrap_or(&[0; 8]));
        let mut written = Ok(());
        let mut step = |account: &BareJid, step: ImportStep| {
            let account = account.clone();
            self.step(&Command::Import {
                account,
                step: Box::new(step),
            })
        };
        let out = &mut *console.out;
        let mut done = |account: &Planned| {
            let said = writeln!(out, "{} was imported: {}", account.jid, Words(&account.sum));
            if let (Ok(()), Err(error)) = (&written, said) {
                written = Err(error);
            }
        };
        let brought = plan.carry_out(&config, import, wish.tombstones, &mut step, &mut done);
        brought.map_err(unfinished)?;
        Ok(written?)
    }

    fn step(&mut self, command: &Command) -> Result<(), Failure> {
        let result = self.call(command)?;
        result.map(drop).map_err(|error| refused(command, error))
    }

    /// Whether a name can be had. Where there is no data directory all can.
    fn name(&mut self, account: &BareJid, wish: Wish) -> Result<Name, Failure> {
        let directory = &self.settings.data_directory;
        if wish.mode == Mode::Look && !directory.try_exists().unwrap_or(true) {
            return Ok(Name::Free);
        }
        let look = Command::Import {
            account: account.clone(),
            step: Box::new(ImportStep::Look(wish.tombstones)),
        };
        match self.call(&look)? {
            Ok(_) => Ok(Name::Free),
            Err(CommandError::Exists) => Ok(Name::Taken),
            Err(error) => Err(refused(&look, error)),
        }
    }
}

/// Some may be there already.
fn unfinished(trouble: Trouble<Failure>) -> Failure {
    const WHAT_NOW: &str = "; users that were said to be imported are there, no other is; mend that, then run it again with --skip-existing";
    let failure = match trouble {
        Trouble::File(fault) => Failure::Refused(fault.to_string()),
        Trouble::Desk(failure) => failure,
    };
    match failure {
        Failure::Refused(what) => Failure::Refused(what + WHAT_NOW),
        Failure::Unusable(what) => Failure::Unusable(what + WHAT_NOW),
        other @ (Failure::Usage(_) | Failure::Unread) => other,
    }
}

fn exist(taken: &[&Planned]) -> String {
    let names = taken
        .iter()
        .take(USERS_SHOWN)
        .map(|account| account.jid.as_str());
    let names = names.collect::<Vec<_>>().join(", ");
    let more = match taken.len().saturating_sub(USERS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "nothing was imported: {names}{more} exist already; --skip-existing brings the others, and who is to be replaced must be deleted first \
         (`spondee user delete`, which tells contacts)"
    )
}

fn report(plan: &Plan, console: &mut Console<'_>) -> std::io::Result<()> {
    match plan.report.is_empty() {
        true => Ok(()),
        false => write!(
            console.err,
            "not brought along, or not as it is in the file:\n{}",
            plan.report
        ),
    }
}

/// What an account has, in words.
struct Words<'a>(&'a Sum);

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sum {
            contacts,
            requests,
            blocked,
            private,
            cards,
            archived,
            bytes: _,
            waiting,
        } = self.0;
        write!(
            f,
            "{contacts} contacts, {archived} archived messages, {waiting} that wait"
        )?;
        for (count, what) in [
            (requests, "requests"),
            (blocked, "blocked addresses"),
            (private, "elements of private XML"),
            (cards, "card"),
        ] {
            if *count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
