//! `spondee serve`: with a configuration, or for development without one.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use spondee_core::port::Opening;

use super::failure::Failure;
use super::source::load;
use super::{Console, Serve};
use crate::boot::{boot, development};
use crate::config::{Settings, Wanted};
use crate::log;

/// Serves what a file says.
pub(super) fn configured(file: PathBuf, serve: Serve) -> Result<(), Failure> {
    let settings = load(&file, Wanted::Serving)?;
    log::start(settings.log_level).map_err(no_thread)?;
    warn_of_root();
    let booted = boot(settings, Some(file)).map_err(Failure::Unusable)?;
    serve(booted, &mut || {}).map_err(Failure::Unusable)
}

/// Serves `localhost` on loopback, and says so once it does.
pub(super) fn development(
    program: &str,
    directory: &Path,
    console: &mut Console<'_>,
    serve: Serve,
) -> Result<(), Failure> {
    let settings = Settings::development(directory);
    log::start(settings.log_level).map_err(no_thread)?;
    warn_of_root();
    let certificates = development::certificates(&settings).map_err(Failure::Unusable)?;
    let greeting = greeting(program, &settings, &certificates);
    let booted = boot(settings, None).map_err(Failure::Unusable)?;
    let mut greet = || {
        let written = console.out.write_all(greeting.as_bytes());
        // The server is of use also when nobody reads this.
        match written.and_then(|()| console.out.flush()) {
            Ok(()) | Err(_) => {}
        }
    };
    serve(booted, &mut greet).map_err(Failure::Unusable)
}

fn no_thread(error: io::Error) -> Failure {
    Failure::Unusable(format!("cannot start a thread for the log: {error}"))
}

/// `Choice:` root is warned, not turned away as by Prosody: in a container there is often nobody else, and the server needs no
/// privilege that it would have to drop.
fn warn_of_root() {
    if geteuid().is_root() {
        tracing::warn!(
            "running as root: whoever breaks into the server has the whole machine; give it a user of its own"
        );
    }
}

/// Five lines: what it did and what to do next.
fn greeting(program: &str, settings: &Settings, certificates: &[PathBuf]) -> String {
    let port = |opening| {
        let mut listen = settings.listen.iter();
        listen
            .find(|listen| listen.listener.opening == opening)
            .map_or(0, |listen| listen.address.port())
    };
    let (clear, direct) = (port(Opening::Clear), port(Opening::Tls));
    let hosts: Vec<_> = settings
        .config
        .hosts
        .keys()
        .map(|host| host.as_str())
        .collect();
    let hosts = hosts.join(", ");
    let data = settings.data_directory.display();
    let certificates: Vec<_> = certificates
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let certificates = certificates.join(", ");
    format!(
        "\
Serving {hosts} for development, to this machine only; everything is kept in {data}
Add users:  {program} user add juliet@{hosts}    (in this directory, from another terminal)
Connect:    as juliet@{hosts} to 127.0.0.1 port {clear} (STARTTLS) or {direct} (direct TLS)
Trust:      the client must trust the self-made certificate {certificates}
Stop:       Ctrl-C. For real hosts: {program} example-config > spondee.toml, then {program} --config spondee.toml
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_development_server_says_in_five_lines_what_to_do_next() {
        let settings = Settings::development(Path::new("/tmp/spondee-data"));
        let certificate = settings.certificates.join("localhost.crt");
        let greeting = greeting("./spondee", &settings, &[certificate]);
        assert_eq!(greeting.lines().count(), 5);
        for words in [
            "./spondee user add juliet@localhost",
            "127.0.0.1 port 5222",
            "/tmp/spondee-data/certs/localhost.crt",
            "./spondee --config spondee.toml",
            "Ctrl-C",
        ] {
            assert!(greeting.contains(words), "{greeting}");
        }
    }
}
