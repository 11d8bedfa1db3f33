//! `spondee user erase`: the account goes, and then nothing readable of it is left in the files of the database.

use std::thread;

use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::{Command, CommandError, CommandReply};
use spondee_core::store::Erased;

use super::super::Console;
use super::super::failure::{Failure, refused};
use super::{Office, confirm as ask, of_another_kind};
use crate::limits::{ERASE_AGAIN, ERASE_TRIES};

pub(super) fn confirm(account: &BareJid, console: &mut Console<'_>) -> Result<(), Failure> {
    let question = format!(
        "Delete {account} and everything the server keeps for it, and leave nothing of it in the database's files? [y/N] "
    );
    let without = format!("spondee user erase --yes {account}");
    ask(&question, "deleted", &without, console)
}

/// Says that it is done when nothing is left. Whoever was deleted before can still be erased.
pub(super) fn erase(
    office: &mut Office<'_>,
    account: BareJid,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let host = Domain::parse(account.domain()).map_err(|_| of_another_kind())?;
    let delete = Command::Delete {
        account: account.clone(),
    };
    let known = match office.call(&delete)? {
        Ok(_) => Ok(()),
        Err(CommandError::NoSuchUser) => Err(Failure::Refused(format!(
            "there is no user {account}; of users that were deleted before, nothing is left"
        ))),
        Err(error) => return Err(refused(&delete, error)),
    };
    if leave_nothing(office, &host)? == Left::Something {
        return Err(held_by_another(&account));
    }
    known?;
    let aside = office.aside();
    writeln!(
        console.out,
        "{account} was erased: nothing that the server kept for it is left in the database{aside}"
    )?;
    Ok(())
}

/// Whether anything is left that was deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::cli) enum Left {
    Nothing,
    /// Another program holds it.
    Something,
}

/// Goes on until nothing readable is left of what was deleted or written over.
pub(in crate::cli) fn leave_nothing(
    office: &mut Office<'_>,
    host: &Domain,
) -> Result<Left, Failure> {
    let erase = Command::Erase { host: host.clone() };
    let mut held = 0;
    loop {
        match office.call(&erase)? {
            Ok(CommandReply::Erased(Erased::All)) => return Ok(Left::Nothing),
            Ok(CommandReply::Erased(Erased::Some)) => held = 0,
            Ok(CommandReply::Erased(Erased::Held)) if held < ERASE_TRIES => {
                held += 1;
                thread::sleep(ERASE_AGAIN);
            }
            Ok(CommandReply::Erased(Erased::Held)) => return Ok(Left::Something),
            Ok(
                CommandReply::Archive(_)
                | CommandReply::Disconnected { .. }
                | CommandReply::Done
                | CommandReply::Links(_)
                | CommandReply::Reached(_)
                | CommandReply::Trimmed { .. }
                | CommandReply::User(_)
                | CommandReply::Users(_),
            ) => return Err(of_another_kind()),
            Err(error) => return Err(refused(&erase, error)),
        }
    }
}

fn held_by_another(account: &BareJid) -> Failure {
    Failure::Unusable(format!(
        "{account} is deleted, but what was written of it is still in the log of the database, because another program has been reading the \
         database all the while: end that, then run `spondee user erase {account}` again"
    ))
}
