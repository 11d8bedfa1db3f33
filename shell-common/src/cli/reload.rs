//! `spondee reload`: a server that runs reads its configuration and certificates again, and what came of it is said.

use super::Console;
use super::failure::Failure;
use super::source::Source;
use crate::config::Settings;
use crate::control::{self, CallError, Reloaded, socket_path};

pub(super) fn perform(source: &Source, console: &mut Console<'_>) -> Result<(), Failure> {
    let settings = source.load()?;
    match reload(&settings)? {
        Some(outcome) => say(outcome, console),
        None => Err(Failure::Unusable(
            "no server runs with this configuration that this user may speak to".to_owned(),
        )),
    }
}

/// The same after something was changed that a server reads when it starts, too: none need run.
pub(super) fn after(settings: &Settings, console: &mut Console<'_>) -> Result<(), Failure> {
    match reload(settings)? {
        Some(outcome) => say(outcome, console),
        None => Ok(writeln!(
            console.out,
            "no server runs that this user may speak to; one that is started takes it"
        )?),
    }
}

/// `None` if no server runs.
fn reload(settings: &Settings) -> Result<Option<Reloaded>, Failure> {
    let socket = socket_path(&settings.data_directory).map_err(Failure::Unusable)?;
    match control::reload(&socket) {
        Ok(outcome) => Ok(Some(outcome)),
        Err(CallError::NoServer) => Ok(None),
        Err(CallError::Lost(why)) => Err(Failure::Unusable(why)),
    }
}

fn say(outcome: Reloaded, console: &mut Console<'_>) -> Result<(), Failure> {
    match outcome {
        Reloaded::Whole => Ok(writeln!(console.out, "the server has reloaded")?),
        Reloaded::InPart { faults } => Err(Failure::Unusable(format!(
            "the server has reloaded in part, but for what is to be mended:\n{}",
            faults.join("\n")
        ))),
        Reloaded::Not { faults } => Err(Failure::Unusable(format!(
            "the server could not reload and goes on with what it had:\n{}",
            faults.join("\n")
        ))),
    }
}
