use std::fs;
use std::path::Path;

use super::*;

#[test]
fn replays_the_corpus_of_dns() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/dns");
    let mut replayed = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| dns(&bytes));
        assert!(outcome.is_ok(), "{}", path.display());
        replayed += 1;
    }
    assert!(replayed > 0);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_play(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        dns(&bytes);
    }
}
