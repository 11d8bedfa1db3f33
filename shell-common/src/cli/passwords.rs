//! `spondee passwords upgrade`: passwords that are kept become keys, and then none of them can be read in the files of the database.

use spondee_core::jid::{BareJid, Domain};
use spondee_core::port::{Command, CommandError, CommandReply};
use spondee_core::sasl::{Form, Provider};

use super::Console;
use super::args::PasswordsTask;
use super::failure::{Failure, refused};
use super::source::Source;
use super::user::{Left, Office, leave_nothing, of_another_kind};
use crate::config::Settings;

pub(super) fn perform(
    task: PasswordsTask,
    source: &Source,
    settings: Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let PasswordsTask::Upgrade { host } = task;
    let one = host.is_some();
    let all = || {
        settings
            .config
            .realms()
            .map(|(host, _)| host.clone())
            .collect()
    };
    let hosts = host.map_or_else(all, |host| vec![host]);
    let mut hashed = Vec::new();
    let mut others = Vec::new();
    for host in hosts {
        let options = settings.config.accounts(host.as_str());
        match options.map(|options| options.provider) {
            Some(Provider::Plain) if one => return Err(kept_on(&host)),
            Some(Provider::Anonymous) if one => return Err(guests_on(&host)),
            Some(Provider::Ldap) if one => return Err(directory_of(&host)),
            Some(Provider::Plain) => others.push(format!(
                "{host} keeps passwords (`authentication`): they stay as they are"
            )),
            Some(Provider::Anonymous) => others.push(format!(
                "{host} has guests (`authentication`): whatever it kept before stays as it is"
            )),
            Some(Provider::Ldap) => others.push(format!(
                "{host} asks a directory (`authentication`): whatever it kept before stays as it is"
            )),
            Some(Provider::Hashed) | None => hashed.push(host),
        }
    }
    let mut office = Office::new(source, settings);
    for host in &hashed {
        office.serves(host.as_str())?;
        upgrade(&mut office, host, console)?;
    }
    for line in others {
        writeln!(console.out, "{line}")?;
    }
    Ok(())
}

/// All users of a host. Whoever was upgraded stays so, if it comes to an end in the middle.
fn upgrade(
    office: &mut Office<'_>,
    host: &Domain,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut after = None;
    let mut upgraded: u64 = 0;
    loop {
        let users = office.page(host, after)?;
        for user in &users {
            if user.password == Form::Plain && upgrade_one(office, &user.account)? {
                upgraded += 1;
            }
        }
        match users.into_iter().next_back() {
            Some(last) => after = Some(last.account),
            None => break,
        }
    }
    // Also where there was nothing to do: the last time may have ended before this.
    if leave_nothing(office, host)? == Left::Something {
        return Err(held_by_another(host));
    }
    let aside = office.aside();
    let passwords = match upgraded {
        0 => "no password was".to_owned(),
        1 => "1 password was".to_owned(),
        many => format!("{many} passwords were"),
    };
    writeln!(
        console.out,
        "{passwords} upgraded on {host}: keys are kept of all, and no password is left in the database{aside}"
    )?;
    Ok(())
}

/// Whether there still is such a user.
fn upgrade_one(office: &mut Office<'_>, account: &BareJid) -> Result<bool, Failure> {
    let command = Command::Upgrade {
        account: account.clone(),
    };
    match office.call(&command)? {
        Ok(CommandReply::Done) => Ok(true),
        Ok(
            CommandReply::Archive(_)
            | CommandReply::Disconnected { .. }
            | CommandReply::Erased(_)
            | CommandReply::Links(_)
            | CommandReply::Reached(_)
            | CommandReply::Trimmed { .. }
            | CommandReply::User(_)
            | CommandReply::Users(_),
        ) => Err(of_another_kind()),
        Err(CommandError::NoSuchUser) => Ok(false),
        Err(error) => Err(refused(&command, error)),
    }
}

fn kept_on(host: &Domain) -> Failure {
    Failure::Refused(format!(
        "nothing was changed: {host} keeps passwords; set its `authentication` to \"internal_hashed\" first, and have a server that runs read \
         its configuration again (SIGHUP)"
    ))
}

fn guests_on(host: &Domain) -> Failure {
    Failure::Refused(format!(
        "nothing was changed: {host} has guests and no accounts; where it had accounts before, set its `authentication` to \"internal_hashed\", \
         upgrade them, and set it back"
    ))
}

fn directory_of(host: &Domain) -> Failure {
    Failure::Refused(format!(
        "nothing was changed: {host} asks a directory and keeps no passwords; where it kept some before, set its `authentication` to \
         \"internal_hashed\", upgrade them, and set it back"
    ))
}

fn held_by_another(host: &Domain) -> Failure {
    Failure::Unusable(format!(
        "keys are kept of all passwords of {host}, but passwords are still in the log of the database, because another program has been \
         reading the database all the while: end that, then run `spondee passwords upgrade` again"
    ))
}
