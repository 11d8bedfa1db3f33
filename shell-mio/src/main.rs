//! The `spondee` binary: a thread per core, each with its own poller, its own shard of the core and its own listeners.

mod serve;
mod shard;
mod socket;

fn main() -> std::process::ExitCode {
    spondee_shell_common::signal::outlive_file_limit();
    spondee_shell_common::cli::run(serve::serve)
}
