//! The core imports nothing: its whole dependency tree is written down here, each crate with a word. And who embeds the shell on smol does not
//! get a second reactor with it.
//!
//! A crate that is not in the list fails the test, and so does one that is in the list and not in the tree. Before adding one,
//! look that nothing in its build opens sockets, files or threads, reads a clock or makes random numbers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Names and what each is for. The crates the core names itself come first, then what those bring along.
const ALLOWED: &[(&str, &str)] = &[
    ("base64", "SASL messages and stored keys as text"),
    ("bytes", "shared immutable payloads"),
    ("hashbrown", "hash maps without std's random state"),
    ("hmac", "SCRAM, entropy, fake salts"),
    ("idna", "domains (RFC 5891 as UTS 46 has it)"),
    ("memchr", "finding markup in text"),
    ("pbkdf2", "SCRAM's Hi()"),
    (
        "precis-profiles",
        "localparts and resources (RFC 8265, RFC 8266)",
    ),
    ("rxml", "names of XML; tests read with it as well"),
    ("serde", "the record of credentials"),
    ("serde_json", "the record of credentials"),
    ("md-5", "DIGEST-MD5"),
    ("sha1", "SCRAM-SHA-1"),
    ("sha2", "SCRAM-SHA-256, SCRAM-SHA-512, entropy"),
    ("siphasher", "placement and keyed maps"),
    ("stringprep", "passwords (SASLprep, RFC 4013)"),
    ("subtle", "comparing secrets in constant time"),
    ("zeroize", "wiping secrets"),
    // RustCrypto
    ("block-buffer", "digest"),
    ("cfg-if", "choosing an implementation at build time"),
    ("cmov", "ctutils"),
    (
        "cpufeatures",
        "asking the processor for its SHA instructions",
    ),
    ("crypto-common", "digest"),
    ("ctutils", "constant time"),
    ("digest", "traits of hashes"),
    ("hybrid-array", "arrays of a hash's length"),
    ("typenum", "hybrid-array"),
    // rxml
    ("castaway", "compact_str"),
    ("compact_str", "short names"),
    (
        "futures-core",
        "traits that rxml implements for its asynchronous reader",
    ),
    ("itoa", "numbers as text"),
    ("rustversion", "castaway"),
    ("ryu", "numbers as text"),
    ("rxml_validation", "names of XML"),
    ("static_assertions", "compact_str"),
    // Unicode tables and what reads them
    ("icu_collections", "idna"),
    ("icu_locale_core", "idna"),
    ("icu_normalizer", "idna"),
    ("icu_normalizer_data", "idna"),
    ("icu_properties", "idna"),
    ("icu_properties_data", "idna"),
    ("icu_provider", "idna"),
    ("idna_adapter", "idna"),
    ("litemap", "icu"),
    ("potential_utf", "icu"),
    ("precis-core", "classes of code points (RFC 8264)"),
    ("smallvec", "short lists"),
    ("stable_deref_trait", "icu"),
    ("tinystr", "icu"),
    ("tinyvec", "unicode-normalization"),
    ("unicode-bidi", "stringprep"),
    ("unicode-normalization", "precis-core, stringprep"),
    ("unicode-properties", "stringprep"),
    ("utf8_iter", "idna"),
    ("utf_types", "icu"),
    ("writeable", "icu"),
    ("yoke", "icu"),
    ("zerofrom", "icu"),
    ("zerotrie", "icu"),
    ("zerovec", "icu"),
    // Records
    ("serde_core", "serde"),
    ("zmij", "serde_json"),
    // Macros: they run in the compiler
    ("displaydoc", "icu"),
    ("proc-macro2", "macros"),
    ("quote", "macros"),
    ("serde_derive", "serde"),
    ("syn", "macros"),
    ("synstructure", "macros"),
    ("unicode-ident", "macros"),
    ("yoke-derive", "icu"),
    ("zerofrom-derive", "icu"),
    ("zerovec-derive", "icu"),
];

/// The names of the crates that this one is built with, its own among them.
fn tree(package: &str, edges: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--package", package, "--edges", edges])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_core_depends_on_nothing_that_is_not_written_down() {
    let tree = tree("spondee-core", "normal");
    let found: BTreeSet<&str> = tree
        .iter()
        .map(String::as_str)
        .filter(|name| *name != "spondee-core")
        .collect();
    let allowed: BTreeMap<&str, &str> = ALLOWED.iter().copied().collect();
    assert_eq!(allowed.len(), ALLOWED.len(), "a crate is listed twice");
    let unknown: Vec<_> = found
        .iter()
        .filter(|name| !allowed.contains_key(**name))
        .collect();
    assert!(unknown.is_empty(), "not written down: {unknown:?}");
    let gone: Vec<_> = allowed
        .keys()
        .filter(|name| !found.contains(**name))
        .collect();
    assert!(
        gone.is_empty(),
        "written down and not in the tree: {gone:?}"
    );
}

#[test]
fn the_shell_on_smol_has_neither_mio_nor_tokio() {
    let others = |package| -> Vec<String> {
        let is_other = |name: &String| name.split('-').any(|part| part == "mio" || part == "tokio");
        // Whoever depends on it builds this much of it, build scripts included.
        let tree = tree(package, "normal,build");
        tree.into_iter().filter(is_other).collect()
    };
    assert_eq!(others("spondee-smol"), [""; 0]);
    // They would be seen.
    assert_eq!(
        others("spondee-mio"),
        ["mio", "signal-hook-mio", "spondee-mio"]
    );
}

#[test]
fn the_core_has_neither_std_nor_unsafe_code() {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/lib.rs");
    let text = std::fs::read_to_string(lib).unwrap();
    for line in ["#![no_std]", "#![forbid(unsafe_code)]"] {
        assert!(text.lines().any(|have| have == line), "no {line}");
    }
    // std may be named for tests alone.
    let mut before = "";
    for line in text.lines() {
        assert!(
            line != "extern crate std;" || before == "#[cfg(any(test, feature = \"counting\"))]",
            "extern crate std where no test runs"
        );
        before = line;
    }
}
