//! Every transcript, whole, byte by byte and on several shards, and a count of the errors that they show.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use spec_tests::script::{Act, Case, Cut, parse, run};
use spondee_core::stanza::Condition;

/// Stream errors that no client can cause, with the reason (RFC 6120 §4.9.3).
const NOT_BY_CLIENTS_STREAM: &[(&str, &str)] = &[
    (
        "bad-namespace-prefix",
        "any prefix will do (RFC 6120 §4.8.5); an unbound one is not-well-formed, as in §4.9.3.13",
    ),
    ("internal-server-error", "a fault of the server's own"),
    (
        "invalid-xml",
        "the server does not validate (RFC 6120 §11.4)",
    ),
    (
        "remote-connection-failed",
        "no sign-in depends on another server",
    ),
    ("see-other-host", "there is no redirection"),
    ("unsupported-feature", "sent by clients, see stream.xmpp"),
];

/// SASL errors that no client can cause, with the reason (RFC 6120 §6.5).
const NOT_BY_CLIENTS_SASL: &[(&str, &str)] = &[
    ("credentials-expired", "passwords do not expire"),
    (
        "mechanism-too-weak",
        "what is too weak is not offered: invalid-mechanism",
    ),
];

/// Stanza errors that no client can cause yet, with the reason (RFC 6120 §8.3.3).
const NOT_BY_CLIENTS_STANZA: &[(&str, &str)] = &[
    ("gone", "no forwarding addresses"),
    ("internal-server-error", "a fault of the server's own"),
    ("recipient-unavailable", "service-unavailable tells less"),
    ("redirect", "no redirection"),
    ("registration-required", "no rooms or gateways yet"),
    (
        "subscription-required",
        "service-unavailable tells less (XEP-0030 §8)",
    ),
    (
        "undefined-condition",
        "every refusal has a defined condition",
    ),
];

/// RFC 6120 §4.9.3.
const STREAM_CONDITIONS: &[&str] = &[
    "bad-format",
    "bad-namespace-prefix",
    "conflict",
    "connection-timeout",
    "host-gone",
    "host-unknown",
    "improper-addressing",
    "internal-server-error",
    "invalid-from",
    "invalid-namespace",
    "invalid-xml",
    "not-authorized",
    "not-well-formed",
    "policy-violation",
    "remote-connection-failed",
    "reset",
    "resource-constraint",
    "restricted-xml",
    "see-other-host",
    "system-shutdown",
    "undefined-condition",
    "unsupported-encoding",
    "unsupported-feature",
    "unsupported-stanza-type",
    "unsupported-version",
];

/// RFC 6120 §6.5.
const SASL_CONDITIONS: &[&str] = &[
    "aborted",
    "account-disabled",
    "credentials-expired",
    "encryption-required",
    "incorrect-encoding",
    "invalid-authzid",
    "invalid-mechanism",
    "malformed-request",
    "mechanism-too-weak",
    "not-authorized",
    "temporary-auth-failure",
];

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut open = vec![root.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory of transcripts") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        let name = path.strip_prefix(&root).expect("below the root");
        let text = fs::read_to_string(&path).expect("text");
        let read = parse(&name.display().to_string(), &text);
        cases.extend(read.unwrap_or_else(|fault| panic!("{fault}")));
    }
    assert!(cases.len() > 50, "only {} cases", cases.len());
    cases
}

fn run_all(cut: Cut, shards: u16) {
    let cases = cases();
    let faults: Vec<String> = cases
        .iter()
        .filter_map(|case| run(case, cut, shards).err())
        .collect();
    let (count, all) = (faults.len(), cases.len());
    assert!(
        faults.is_empty(),
        "{count} of {all}:\n{}",
        faults.join("\n")
    );
}

#[test]
fn hold_with_every_line_in_one_piece() {
    run_all(Cut::Whole, 1);
}

#[test]
fn hold_byte_by_byte() {
    run_all(Cut::Bytes, 1);
}

/// What clients see does not depend on which shard owns whom.
#[test]
fn hold_across_three_shards() {
    run_all(Cut::Whole, 3);
}

/// The conditions that transcripts expect: in short as `S! WORD CONDITION`, or as an element of `ns` in `S:`.
fn shown(word: &str, ns: &str) -> BTreeSet<String> {
    let mut shown = BTreeSet::new();
    for step in cases().into_iter().flat_map(|case| case.steps) {
        match step.act {
            Act::State(state) => {
                if let Some(condition) = state.strip_prefix(word) {
                    shown.insert(condition.trim().to_owned());
                }
            }
            Act::Expect(xml) | Act::ExpectAll(xml) => {
                let marked = format!(" xmlns='{ns}'/>");
                for before in xml.split(&marked) {
                    let name = before.rsplit('<').next().unwrap_or_default();
                    shown.insert(name.to_owned());
                }
                if let Some(inside) = xml.strip_prefix(&format!("<failure xmlns='{ns}'><")) {
                    let name = inside.split('/').next().unwrap_or_default();
                    shown.insert(name.to_owned());
                }
            }
            Act::Write(_) | Act::Order(_) => {}
        }
    }
    shown
}

fn assert_all_shown(all: &[&str], not_by_clients: &[(&str, &str)], shown: &BTreeSet<String>) {
    for condition in all {
        let excused = not_by_clients.iter().any(|(name, _)| name == condition);
        assert!(
            excused != shown.contains(*condition),
            "{condition}: {}",
            if excused {
                "is shown, so it is no longer excused"
            } else {
                "no transcript shows it"
            }
        );
    }
    for (name, _) in not_by_clients {
        assert!(all.contains(name), "{name} is no condition");
    }
}

#[test]
fn show_every_stream_error_that_a_client_can_cause() {
    let shown = shown("error ", "urn:ietf:params:xml:ns:xmpp-streams");
    assert_all_shown(STREAM_CONDITIONS, NOT_BY_CLIENTS_STREAM, &shown);
}

#[test]
fn show_every_sasl_error_that_a_client_can_cause() {
    let shown = shown("failure ", "urn:ietf:params:xml:ns:xmpp-sasl");
    assert_all_shown(SASL_CONDITIONS, NOT_BY_CLIENTS_SASL, &shown);
}

#[test]
fn show_every_stanza_error_that_a_client_can_cause() {
    let all: Vec<&str> = Condition::ALL.iter().map(|c| c.name()).collect();
    let shown = shown("\0", "urn:ietf:params:xml:ns:xmpp-stanzas");
    assert_all_shown(&all, NOT_BY_CLIENTS_STANZA, &shown);
}
