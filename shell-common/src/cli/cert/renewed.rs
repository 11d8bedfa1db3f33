//! What programs that renew certificates say of a renewal, in the environment of the hook that they run.

use std::ffi::OsString;
use std::path::PathBuf;

/// For each of them the variables that name the certificate with its chain, and its key, or the directory of both.
const PROGRAMS: [&[&str]; 4] = [
    // certbot: the directory below `live`.
    &["RENEWED_LINEAGE"],
    // lego 4, and lego 5.
    &["LEGO_CERT_PATH", "LEGO_CERT_KEY_PATH"],
    &["LEGO_HOOK_CERT_PATH", "LEGO_HOOK_CERT_KEY_PATH"],
    // acme.sh.
    &["CERT_FULLCHAIN_PATH", "CERT_KEY_PATH"],
];

/// The paths that the first of them names all of; none if this is no hook.
pub(in crate::cli) fn renewed(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let said = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let paths = |names: &&[&str]| names.iter().map(said).collect::<Option<Vec<_>>>();
    let first = PROGRAMS.iter().find_map(paths);
    first
        .unwrap_or_default()
        .into_iter()
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_names_what_it_renewed_in_its_own_way() {
        for (environment, expected) in [
            ("RENEWED_LINEAGE=/l/a RENEWED_DOMAINS=a.example", "/l/a"),
            (
                "LEGO_CERT_PATH=/a.crt LEGO_CERT_KEY_PATH=/a.key",
                "/a.crt /a.key",
            ),
            (
                "LEGO_HOOK_CERT_PATH=/a.crt LEGO_HOOK_CERT_KEY_PATH=/a.key",
                "/a.crt /a.key",
            ),
            (
                "CERT_PATH=/a.cer CERT_FULLCHAIN_PATH=/f.cer CERT_KEY_PATH=/a.key",
                "/f.cer /a.key",
            ),
            ("LEGO_CERT_PATH=/a.crt LEGO_CERT_KEY_PATH=", ""),
            ("PATH=/bin", ""),
        ] {
            let variable = |name: &str| {
                let mut variables = environment.split(' ').filter_map(|one| one.split_once('='));
                let found = variables.find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let expected: Vec<_> = expected.split_whitespace().map(PathBuf::from).collect();
            assert_eq!(renewed(variable), expected, "{environment}");
        }
    }
}
