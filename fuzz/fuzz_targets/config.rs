//! `spondee_shell_common::config`: any text is settings, or faults that name the file.
#![no_main]

use std::path::Path;

use spondee_shell_common::config::Settings;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = Settings::parse(text, Path::new("f"), Path::new("/d")) {
        assert!(!error.faults.is_empty());
        assert!(error.faults.iter().all(|fault| fault.starts_with("f:")));
    }
});
