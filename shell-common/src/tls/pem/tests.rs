use proptest::prelude::*;

use super::*;

/// Label and content of each block.
fn read(text: &str) -> Vec<(String, Vec<u8>)> {
    let blocks = blocks(text.as_bytes()).unwrap();
    let pair = |block: Block| (block.label, block.der.to_vec());
    blocks.into_iter().map(pair).collect()
}

fn fault(text: &str) -> String {
    match blocks(text.as_bytes()) {
        Ok(_) => panic!("taken: {text}"),
        Err(fault) => fault,
    }
}

const ONE: &str = "-----BEGIN A-----\nAQID\n-----END A-----\n";
const TWO: &str = "-----BEGIN B-----\nBAUG\n-----END B-----\n";

fn both() -> Vec<(String, Vec<u8>)> {
    vec![
        ("A".to_owned(), vec![1, 2, 3]),
        ("B".to_owned(), vec![4, 5, 6]),
    ]
}

#[test]
fn reads_blocks_however_they_were_put_together() {
    let plain = format!("{ONE}{TWO}");
    for text in [
        plain.clone(),
        // As `cat` joins files without a final line end.
        format!("{}{TWO}", ONE.trim_end()),
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\r"),
        plain.replace('\n', " \t\n"),
        plain.replace('\n', "\n  "),
        plain.replace('\n', " "),
        plain.replace('\n', "\n\n"),
        format!("\u{feff}{plain}"),
        plain.trim_end().to_owned(),
        plain.replace("AQID", "AQ\nID"),
        format!(
            "Bag Attributes\n    friendlyName: x\nsubject=CN = a\n{ONE}---\nMore: -----\n{TWO}\nthe end\n"
        ),
        // The checksum of something, in hexadecimal digits.
        format!("{}\n{plain}", "0a".repeat(32)),
    ] {
        assert_eq!(read(&text), both(), "{text:?}");
    }
}

#[test]
fn tells_the_line_of_each_block() {
    let blocks = blocks(format!("text\n{}{TWO}", ONE.trim_end()).as_bytes()).unwrap();
    let lines: Vec<_> = blocks.iter().map(|block| block.line).collect();
    assert_eq!(lines, [2, 4]);
}

/// RFC 7468 §3: "`...AB=  =  is not good, but is valid`".
#[test]
fn is_lenient_about_the_end_of_the_data() {
    for data in ["AQ==", "AQ", "AQ=", "AQ= =", "AR=="] {
        let text = format!("-----BEGIN A-----\n{data}\n-----END A-----\n");
        assert_eq!(read(&text), [("A".to_owned(), vec![1])], "{data}");
    }
}

#[test]
fn headers_tell_that_a_block_is_encrypted() {
    let text = "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAQID\n-----END A-----\n";
    let read = blocks(text.as_bytes()).unwrap();
    assert_eq!(read[0].secrecy, Secrecy::Encrypted);
    assert_eq!(blocks(ONE.as_bytes()).unwrap()[0].secrecy, Secrecy::Clear);
}

#[test]
fn what_is_damaged_is_refused_with_its_line() {
    let long = "A".repeat(64) + "\u{2b}";
    for (text, words) in [
        (format!("{ONE}-----BEGIN B-----\nBAUG"), "line 4 is cut off"),
        (
            format!("{ONE}-----BEGIN B-----\n{TWO}"),
            "begins in line 4 has no END",
        ),
        (
            format!("{ONE}-----END B-----\n"),
            "line 4 ends a block B that has no BEGIN",
        ),
        (
            ONE.replace("END A", "END B"),
            "line 1 begins a block A, and line 3 ends one of B",
        ),
        (
            ONE.replace("AQID", "AQ!D"),
            "line 2, in a block A, is no Base64",
        ),
        (
            ONE.replace("AQID", "AQIDB"),
            "begins in line 1 is no whole Base64",
        ),
        (
            ONE.replace("AQID", ""),
            "begins in line 1 is no whole Base64",
        ),
        (
            format!("{ONE}----BEGIN CERTIFICATE-----\n"),
            "line 4 looks like",
        ),
        (
            format!("{ONE}\u{2014}BEGIN CERTIFICATE\u{2014}\n"),
            "line 4 looks like",
        ),
        (
            format!("{ONE}\u{2013} End private key \u{2013}\n"),
            "line 4 looks like",
        ),
        (
            format!("{ONE}-----BEGIN CERTIFICATE\n"),
            "line 4 looks like",
        ),
        (
            format!("{ONE}{long}\n"),
            "line 4 is the content of a block whose BEGIN line is missing",
        ),
        (
            "\u{fffd}".to_owned() + ONE.trim_start_matches('-'),
            "line 3 ends a block A",
        ),
    ] {
        let fault = fault(&text);
        assert!(fault.contains(words), "{text:?}: {fault}");
    }
    let utf16: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(ONE.bytes().flat_map(|b| [b, 0]))
        .collect();
    assert!(blocks(&utf16).is_err_and(|fault| fault.contains("UTF-16")));
}

#[test]
fn no_fault_shows_what_may_be_a_key() {
    let key = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0";
    for text in [
        format!("-----BEGIN A-----\n{key}"),
        format!("-----BEGIN A-----\n{key}!\n-----END A-----\n"),
        format!("-----BEGIN A-----\n{key}A\n-----END A-----\n"),
        format!("{key}\n-----END A-----\n"),
    ] {
        assert!(!fault(&text).contains(&key[..8]), "{text}");
    }
}

proptest! {
    /// Whatever a file holds, reading it ends, and nothing of a block that is whole is lost.
    #[test]
    fn every_block_is_read_or_the_file_refused(
        contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..5),
        between in prop::collection::vec("[-\\n\\r A-Za-z0-9:+/=]{0,40}", 6),
    ) {
        let mut text = String::new();
        for (content, between) in contents.iter().zip(&between) {
            text += between;
            let data = base64::engine::general_purpose::STANDARD.encode(content);
            text += &format!("-----BEGIN A-----{data}-----END A-----");
        }
        text += &between[5];
        if let Ok(blocks) = blocks(text.as_bytes()) {
            let read: Vec<_> = blocks.iter().map(|block| block.der.to_vec()).collect();
            prop_assert_eq!(read, contents);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = blocks(&bytes);
    }
}
