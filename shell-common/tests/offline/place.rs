//! A directory with a configuration, and command lines in it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use spondee_shell_common::boot::Booted;
use spondee_shell_common::cli::{Console, Input, Serve, Surroundings, main_with};

/// A directory with a configuration of two hosts, gone afterwards.
pub(crate) struct Place(pub(crate) PathBuf);

/// What a command line left behind.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spondee-cli-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Left over from a run that was killed.
        let _ = fs::remove_dir_all(&path);
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        let place = Self(path);
        place.configure(
            "data_directory = \"data\"\n\
             default_iteration_count = 4096\n\
             c2s_require_encryption = false\n\
             [host.\"example.org\"]\n\
             [host.\"example.net\"]\n",
        );
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.path("spondee.toml"), text).unwrap();
    }

    /// A command line with this configuration.
    pub(crate) fn run(&self, line: &str, input: &str) -> Outcome {
        let file = self.path("spondee.toml");
        self.run_with(line, input, Some(file), |_, _| Ok(()))
    }

    /// A command line in this directory with no configuration.
    pub(crate) fn run_bare(&self, line: &str, input: &str) -> Outcome {
        self.run_with(line, input, None, open)
    }

    pub(crate) fn run_with(
        &self,
        line: &str,
        input: &str,
        config: Option<PathBuf>,
        serve: Serve,
    ) -> Outcome {
        let (mut input, mut out, mut err) = (input.as_bytes(), Vec::new(), Vec::new());
        let console = Console {
            input: Input::Pipe(&mut input),
            out: &mut out,
            err: &mut err,
            surroundings: Surroundings {
                config,
                system_config: self.path("no-such-file"),
                directory: self.0.clone(),
                renewed: Vec::new(),
            },
        };
        let args = line.split_whitespace().map(OsString::from);
        let code = main_with(args, console, serve);
        Outcome {
            code,
            out: String::from_utf8(out).unwrap(),
            err: String::from_utf8(err).unwrap(),
        }
    }
}

/// Serves nobody, after its ports were opened.
#[expect(clippy::unnecessary_wraps, reason = "as `Serve` wants it")]
pub(crate) fn open(_: Booted, ready: &mut dyn FnMut()) -> Result<(), String> {
    ready();
    Ok(())
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Outcome {
    #[track_caller]
    pub(crate) fn is_done(&self) -> &Self {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn is_refused(&self, code: u8, advice: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(advice), "{self:?}");
    }
}
