//! The TOML syntax: keys with Prosody's names, unknown ones refused with line number and suggestion.
