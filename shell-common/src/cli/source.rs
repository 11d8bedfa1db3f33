//! Which configuration counts.

use std::path::{Path, PathBuf};

use super::Surroundings;
use super::failure::Failure;
use crate::config::{Settings, Wanted};

/// Where settings come from.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// This file.
    File(PathBuf),
    /// There is none: a server for development, with its data in this directory.
    Development(PathBuf),
}

impl Source {
    /// The option, else the environment variable, else the system's file if it is there, else development.
    pub(super) fn find(option: Option<PathBuf>, surroundings: &Surroundings) -> Self {
        let system = || {
            let path = &surroundings.system_config;
            // What may not be looked at counts as there, so that reading it tells why.
            let there = path.try_exists().unwrap_or(true);
            there.then(|| path.clone())
        };
        option
            .or_else(|| surroundings.config.clone())
            .or_else(system)
            .map_or_else(
                || Self::Development(surroundings.directory.join("spondee-data")),
                Self::File,
            )
    }

    /// # Errors
    /// All that is wrong with the file.
    pub(super) fn load(&self) -> Result<Settings, Failure> {
        match self {
            Self::File(file) => load(file, Wanted::Command),
            Self::Development(directory) => Ok(Settings::development(directory)),
        }
    }
}

/// Reads a file.
///
/// # Errors
/// All that is wrong with it.
pub(super) fn load(file: &Path, wanted: Wanted) -> Result<Settings, Failure> {
    Settings::load_for(file, wanted)
        .map_err(|error| Failure::Unusable(format!("the configuration cannot be used\n{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_option_counts_before_the_environment_before_the_system_before_development() {
        let scratch = Scratch::new();
        let mut surroundings = Surroundings {
            config: Some("environment.toml".into()),
            system_config: scratch.path().join("system.toml"),
            directory: "here".into(),
            renewed: Vec::new(),
        };
        let find = |option: Option<&str>, surroundings: &Surroundings| {
            Source::find(option.map(PathBuf::from), surroundings)
        };
        std::fs::write(&surroundings.system_config, "").unwrap();
        let file = |path: &str| Source::File(path.into());
        assert_eq!(
            find(Some("option.toml"), &surroundings),
            file("option.toml")
        );
        assert_eq!(find(None, &surroundings), file("environment.toml"));
        surroundings.config = None;
        let system = Source::File(surroundings.system_config.clone());
        assert_eq!(find(None, &surroundings), system);
        std::fs::remove_file(&surroundings.system_config).unwrap();
        let development = Source::Development("here/spondee-data".into());
        assert_eq!(find(None, &surroundings), development);
    }
}
