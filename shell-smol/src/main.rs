//! The `spondee-smol` binary: the server of shell-mio, on the smol executor.

fn main() -> std::process::ExitCode {
    spondee_shell_common::signal::outlive_file_limit();
    spondee_shell_common::cli::run(spondee_smol::serve)
}
