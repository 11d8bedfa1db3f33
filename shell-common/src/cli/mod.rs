//! The command line: `spondee [serve]`, `spondee user …`, `spondee check config`.

use std::process::ExitCode;

use crate::boot::Booted;

/// Parses the arguments and does what they say; `serve` runs a shell until it is told to stop.
pub fn run(serve: fn(Booted) -> Result<(), String>) -> ExitCode {
    let _ = serve;
    todo!()
}
