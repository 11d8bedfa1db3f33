//! Cargo, called by a program that cargo runs itself.

use std::process::Command;

/// Cargo as a command line would call it, in this package.
///
/// Cargo tells the program that it runs about its own package. Some build scripts watch what is told: with it in sight, a build from
/// here and the next one from a command line would each undo the other's, and build nearly everything anew.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if is_about_a_package(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo
}

fn is_about_a_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_hears_nothing_of_the_package_of_who_calls_it() {
        // What cargo tells this test.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        let cargo = cargo();
        let taken = cargo.get_envs().filter(|(_, value)| value.is_none());
        let taken: Vec<_> = taken.map(|(name, _)| name.to_owned()).collect();
        for (name, _) in std::env::vars_os() {
            let about = is_about_a_package(&name.to_string_lossy());
            assert_eq!(taken.contains(&name), about, "{name:?}");
        }
    }
}
