//! What the fuzzers' server is like: its hosts, accounts and policies.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use crate::config::{Config, ConflictResolve, Host, HostConfig, Software, TlsAvailable};
use crate::jid::{BareJid, Domain};
use crate::limits::Limits;
use crate::rate::Rate;
use crate::sasl::{Encryption, SaslPolicy};

/// The hosts. The first lets people in without TLS, the second does not.
pub(in crate::fuzzing) const HOSTS: [&str; 2] = ["a.example", "b.example"];
/// The accounts that are there at the beginning, and one that is not.
pub(in crate::fuzzing) const ACCOUNTS: [&str; 5] = [
    "u0@a.example",
    "u1@a.example",
    "u2@a.example",
    "u0@b.example",
    "nobody@a.example",
];
/// The password of all accounts, one that a command sets, and one that is always wrong.
pub(in crate::fuzzing) const PASSWORDS: [&str; 3] = ["pencil", "eraser", "wrong"];

const SECRET: [u8; 32] = [7; 32];
/// What may come on top: the last stanza's head, a stream error, a restarted stream's header and features.
pub(super) const QUEUE_SLACK: usize = 8 * 1024;

pub(in crate::fuzzing) fn account(at: usize) -> BareJid {
    let text = ACCOUNTS.get(at % ACCOUNTS.len()).copied();
    BareJid::parse(text.unwrap_or_default()).expect("an account")
}

/// A configuration out of 64.
pub(in crate::fuzzing) fn config(shards: u16, choice: u8, queue_bytes: usize) -> Config {
    let conflict = match choice & 3 {
        0 => ConflictResolve::KickOld,
        1 => ConflictResolve::KickNew,
        2 => ConflictResolve::Random,
        _ => ConflictResolve::Increment,
    };
    let host = |encryption, tls| HostConfig {
        sasl: SaslPolicy {
            encryption,
            disable: if choice & 16 == 0 {
                Vec::new()
            } else {
                vec!["SCRAM-SHA-1".into(), "PLAIN".into()]
            },
            insecure: Vec::new(),
        },
        tls,
        conflict,
        rounds: 1,
        ..HostConfig::default()
    };
    let tls = match choice & 8 {
        0 => TlsAvailable::Yes,
        _ => TlsAvailable::No,
    };
    let hosts = [
        Host::Accounts(host(Encryption::Optional, tls)),
        Host::Accounts(host(Encryption::Required, TlsAvailable::Yes)),
    ];
    let served = if choice & 4 == 0 { 2 } else { 1 };
    let mut limits = Limits {
        session_queue_bytes: queue_bytes,
        ..Limits::default()
    };
    if choice & 32 != 0 {
        limits.sessions_per_account = 1;
        limits.directed_presence = 1;
        limits.sasl_failures_per_address = 2;
        limits.sasl_failures_per_account = 1;
        limits.c2s_stanza_bytes = 500;
        limits.elements = 5;
        limits.account_queue_bytes = queue_bytes;
    }
    // Never where the same is to come out however the bytes are cut.
    if choice & 64 != 0 {
        limits.c2s_rate = Some(Rate {
            bytes_per_second: 20_000,
            burst: Duration::from_millis(50),
        });
    }
    Config {
        federation: crate::federation::FederationOptions::isolated(),
        hosts: HOSTS
            .into_iter()
            .map(|name| Domain::parse(name).expect("a domain"))
            .zip(hosts)
            .take(served)
            .collect(),
        limits,
        server_secret: SECRET,
        shards,
        software: Software {
            name: "Spondee".into(),
            version: "0".into(),
        },
    }
}
