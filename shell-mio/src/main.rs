//! The `spondee` binary: a thread per core, each with its own poller, its own shard of the core and its own listeners.

mod conn;
mod serve;
mod shard;
mod signal;

fn main() -> std::process::ExitCode {
    signal::outlive_file_limit();
    spondee_shell_common::cli::run(serve::serve)
}
