//! Replays `fuzz/corpus`, and on demand makes up inputs for a while: what can be had without a fuzzer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::vec::Vec;
use std::{env, fs};

use super::*;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 5] = [
    ("jid", jid),
    ("sasl", sasl),
    ("scan", scan),
    ("shard", shard),
    ("stream", stream),
];

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target)
}

/// The inputs of a target with their names, in order.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

fn replay(target: &str) {
    let (_, run) = TARGETS
        .into_iter()
        .find(|(name, _)| *name == target)
        .unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty());
    for (path, bytes) in corpus {
        let outcome = std::panic::catch_unwind(|| run(&bytes));
        assert!(outcome.is_ok(), "{}", path.display());
    }
}

#[test]
fn replays_the_corpus_of_jid() {
    replay("jid");
}

#[test]
fn replays_the_corpus_of_sasl() {
    replay("sasl");
}

#[test]
fn replays_the_corpus_of_scan() {
    replay("scan");
}

#[test]
fn replays_the_corpus_of_shard() {
    replay("shard");
}

#[test]
fn replays_the_corpus_of_stream() {
    replay("stream");
}

/// A generator that needs no seed from outside (xorshift64).
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % below.max(1)
    }

    /// An input made of others: pieces moved, repeated, left out and damaged.
    fn mutate(&mut self, corpus: &[(PathBuf, Vec<u8>)]) -> Vec<u8> {
        let any = |noise: &mut Self| corpus[noise.next(corpus.len())].1.clone();
        let mut bytes = any(self);
        for _ in 0..=self.next(8) {
            let at = self.next(bytes.len() + 1);
            let end = (at + self.next(32)).min(bytes.len());
            match self.next(5) {
                0 => drop(bytes.drain(at..end)),
                1 => {
                    let piece = bytes[at..end].to_vec();
                    let to = self.next(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                2 => {
                    let other = any(self);
                    let from = self.next(other.len() + 1);
                    bytes.splice(at..end, other[from..].iter().copied());
                }
                3 => {
                    let byte = u8::try_from(self.next(256)).unwrap();
                    bytes.splice(at..at, [byte]);
                }
                _ => {
                    let bit = 1 << self.next(8);
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= bit;
                    }
                }
            }
        }
        bytes.truncate(4096);
        bytes
    }
}

/// For as many seconds as `FUZZ_SECONDS` says, every target in turn; a few inputs of each without it. `FUZZ_SEED` is a number.
#[test]
fn fuzz_for_a_while() {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = number("FUZZ_SECONDS").unwrap_or(0);
    let mut noise = Noise(number("FUZZ_SEED").unwrap_or(0x5eed_5eed).max(1));
    let corpora = TARGETS.map(|(name, run)| (name, run, corpus(name)));
    let start = Instant::now();
    let mut rounds = 0_u32;
    while rounds < 20 || start.elapsed() < Duration::from_secs(seconds) {
        for (name, run, corpus) in &corpora {
            let input = noise.mutate(corpus);
            let outcome = std::panic::catch_unwind(|| run(&input));
            assert!(outcome.is_ok(), "{name}: {}", input.escape_ascii());
        }
        rounds += 1;
    }
}
