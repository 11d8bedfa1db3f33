//! Which iteration counts the passwords of each host have had, kept in the data directory beside the accounts.
//!
//! An account shows the count its password was set with to whoever asks (RFC 5802 §5.1). When an administrator changes
//! `default_iteration_count`, unknown users must go on to look like accounts old and new: the core has some of them show the
//! former counts.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use spondee_core::config::Config;

use crate::limits::FORMER_ROUNDS;
use crate::remedy::explain;

/// A line for each host: its name, then counts, the last one first.
pub(crate) const NAME: &str = "iteration_counts";
/// What the file is called until it is whole.
const NEW_NAME: &str = "iteration_counts.new";

/// Tells each host its former counts and notes the present one. For everybody who may set passwords, before any is set.
///
/// # Errors
/// A sentence for the administrator: the file cannot be read or written.
pub fn remember(directory: &Path, config: &mut Config) -> Result<(), String> {
    let path = directory.join(NAME);
    let before = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            let (shown, why) = (path.display(), explain(&error, &path));
            return Err(format!("cannot read {shown}: {why}"));
        }
    };
    let mut known = parse(&before);
    for (host, config) in config.realms_mut() {
        let counts = known.entry(host.as_str().to_owned()).or_default();
        counts.retain(|count| *count != config.rounds);
        counts.insert(0, config.rounds);
        counts.truncate(FORMER_ROUNDS + 1);
        config.former_rounds = counts.get(1..).unwrap_or_default().to_vec();
    }
    let after = text(&known);
    if after == before {
        return Ok(());
    }
    write(directory, &after).map_err(|error| {
        let (shown, why) = (path.display(), explain(&error, &path));
        format!("cannot write {shown}: {why}")
    })
}

/// What is no count is left out: the worst that comes of it is that an unknown user can be told from an old account.
fn parse(text: &str) -> BTreeMap<String, Vec<u32>> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let host = words.next()?.to_owned();
        let counts = words.filter_map(|word| word.parse().ok());
        Some((host, counts.collect()))
    };
    text.lines().filter_map(line).collect()
}

fn text(known: &BTreeMap<String, Vec<u32>>) -> String {
    let mut text = String::new();
    for (host, counts) in known {
        text.push_str(host);
        for count in counts {
            text.push(' ');
            text.push_str(&count.to_string());
        }
        text.push('\n');
    }
    text
}

/// Whole or not at all, also after a power cut.
fn write(directory: &Path, text: &str) -> io::Result<()> {
    let new = directory.join(NEW_NAME);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, directory.join(NAME))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use spondee_core::jid::Domain;

    use super::*;
    use crate::config::Settings;
    use crate::scratch::Scratch;

    /// The former counts of `localhost` when its count is this.
    fn former(directory: &Path, rounds: u32) -> Vec<u32> {
        let mut config = Settings::development(directory).config;
        let host = Domain::parse("localhost").unwrap();
        for entry in config.accounts_mut() {
            entry.rounds = rounds;
        }
        remember(directory, &mut config).unwrap();
        config.accounts(&host).unwrap().former_rounds.clone()
    }

    #[test]
    fn counts_are_remembered_the_last_first_and_a_few_of_them() {
        let scratch = Scratch::new();
        let directory = scratch.path();
        assert_eq!(former(directory, 5000), [0; 0]);
        assert_eq!(former(directory, 5000), [0; 0]);
        assert_eq!(former(directory, 6000), [5000]);
        assert_eq!(former(directory, 7000), [6000, 5000]);
        assert_eq!(former(directory, 5000), [7000, 6000]);
        for rounds in 8000..8100 {
            former(directory, rounds);
        }
        assert_eq!(former(directory, 9000).len(), FORMER_ROUNDS);
        assert!(!directory.join(NEW_NAME).exists());
    }

    #[test]
    fn a_host_that_is_gone_is_kept_for_its_return_and_nonsense_is_not() {
        let scratch = Scratch::new();
        fs::write(
            scratch.path().join(NAME),
            "gone.example 4096 x\n\nlocalhost -3 4097\n",
        )
        .unwrap();
        assert_eq!(former(scratch.path(), 5000), [4097]);
        let text = fs::read_to_string(scratch.path().join(NAME)).unwrap();
        assert_eq!(text, "gone.example 4096\nlocalhost 5000 4097\n");
    }
}
