//! The textual encoding of certificates and keys (RFC 7468), read so that nothing in a file is passed over: every block is
//! handed on, and what looks like a damaged one is an error that names its line.
//!
//! Text around the blocks is allowed, as many tools write some (RFC 7468 §5.2). BOM, CRLF, white space at either end of a line and
//! blocks joined without a line end between them, as `cat` leaves them, are read as what was meant.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// What stands between a BEGIN and an END line.
pub(super) struct Block {
    pub(super) label: String,
    /// The number of its BEGIN line.
    pub(super) line: usize,
    pub(super) der: Zeroizing<Vec<u8>>,
    pub(super) secrecy: Secrecy,
}

/// Whether the headers in front of the data say that it is encrypted, as OpenSSL once wrote keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Secrecy {
    Clear,
    Encrypted,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DASHES: &[u8] = b"-----";

/// The blocks of a file, in their order.
///
/// # Errors
/// What is damaged, with the number of the line. Never shows content, which may be a key.
pub(super) fn blocks(content: &[u8]) -> Result<Vec<Block>, String> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(
            "this text is in UTF-16, as some editors save it; save it as UTF-8 or ASCII".to_owned(),
        );
    }
    let content = content.strip_prefix(BYTE_ORDER_MARK).unwrap_or(content);
    // Lines end with LF, CRLF or CR; a CR in front of LF is white space at the end of a line.
    let end = match content.contains(&b'\n') {
        true => b'\n',
        false => b'\r',
    };
    let mut reader = Reader {
        blocks: Vec::new(),
        open: None,
        text: Zeroizing::new(Vec::with_capacity(content.len())),
    };
    for (index, line) in content.split(|byte| *byte == end).enumerate() {
        reader.line(index + 1, line)?;
    }
    match reader.open {
        None => Ok(reader.blocks),
        Some(open) => Err(format!(
            "the file is damaged: the block {} that begins in line {} is cut off; copy the file again, to its end",
            open.label, open.line
        )),
    }
}

struct Reader {
    blocks: Vec<Block>,
    open: Option<Open>,
    /// The data of the open block. With room for all there can be, so that no copy of a key stays behind where it grew.
    text: Zeroizing<Vec<u8>>,
}

/// A block whose END has not come yet.
struct Open {
    label: String,
    line: usize,
    secrecy: Secrecy,
}

/// A line `-----BEGIN LABEL-----` or `-----END LABEL-----`.
enum Boundary {
    Begin(String),
    End(String),
}

impl Reader {
    fn line(&mut self, number: usize, line: &[u8]) -> Result<(), String> {
        let mut rest = line;
        while let Some((before, boundary, after)) = boundary(rest) {
            self.text(number, before)?;
            match boundary {
                Boundary::Begin(label) => self.begin(number, label)?,
                Boundary::End(label) => self.end(number, &label)?,
            }
            rest = after;
        }
        self.text(number, rest)
    }

    fn begin(&mut self, number: usize, label: String) -> Result<(), String> {
        if let Some(open) = &self.open {
            return Err(format!(
                "the file is damaged: the block {} that begins in line {} has no END line before the next one begins in line \
                 {number}",
                open.label, open.line
            ));
        }
        self.text.clear();
        self.open = Some(Open {
            label,
            line: number,
            secrecy: Secrecy::Clear,
        });
        Ok(())
    }

    fn end(&mut self, number: usize, label: &str) -> Result<(), String> {
        let Some(open) = self.open.take() else {
            return Err(format!(
                "the file is damaged: line {number} ends a block {label} that has no BEGIN line"
            ));
        };
        if open.label != label {
            return Err(format!(
                "the file is damaged: line {} begins a block {}, and line {number} ends one of {label}",
                open.line, open.label
            ));
        }
        let Some(der) = decode(&self.text).filter(|der| !der.is_empty()) else {
            return Err(format!(
                "the file is damaged: the block {label} that begins in line {} is no whole Base64; copy the file again",
                open.line
            ));
        };
        self.blocks.push(Block {
            label: open.label,
            line: open.line,
            der,
            secrecy: open.secrecy,
        });
        Ok(())
    }

    /// What is no boundary.
    fn text(&mut self, number: usize, text: &[u8]) -> Result<(), String> {
        let text = text.trim_ascii();
        let Some(open) = &mut self.open else {
            return outside(number, text);
        };
        // Headers (RFC 1421) come before the data, in which there is no colon.
        if text.contains(&b':') && self.text.is_empty() {
            if contains(text, b"ENCRYPTED") {
                open.secrecy = Secrecy::Encrypted;
            }
            return Ok(());
        }
        for byte in text {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=' => {
                    self.text.push(*byte);
                }
                b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {}
                _ => {
                    return Err(format!(
                        "the file is damaged: line {number}, in a block {}, is no Base64; copy the file again",
                        open.label
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The first boundary in a line, with what stands before and behind it.
fn boundary(line: &[u8]) -> Option<(&[u8], Boundary, &[u8])> {
    let mut from = 0;
    while let Some(found) = find(line.get(from..)?, DASHES) {
        let start = from + found;
        let (before, rest) = line.split_at_checked(start)?;
        let rest = rest.get(DASHES.len()..)?;
        let (is_begin, label) = match (rest.strip_prefix(b"BEGIN "), rest.strip_prefix(b"END ")) {
            (Some(label), _) => (true, label),
            (None, Some(label)) => (false, label),
            // The dashes may go on: the last five count.
            (None, None) => {
                from = start + 1;
                continue;
            }
        };
        let length = find(label, DASHES)?;
        let (label, after) = label.split_at_checked(length)?;
        let label = String::from_utf8_lossy(label).trim().to_owned();
        let boundary = match is_begin {
            true => Boundary::Begin(label),
            false => Boundary::End(label),
        };
        return Some((before, boundary, after.get(DASHES.len()..)?));
    }
    None
}

/// Text around the blocks is for people, unless it looks like a part of one.
fn outside(number: usize, text: &[u8]) -> Result<(), String> {
    if is_broken_boundary(text) {
        return Err(format!(
            "line {number} looks like the beginning or end of a block, but is not: there must be exactly five hyphens (-) on both \
             sides of BEGIN or END and the kind of block"
        ));
    }
    let is_data = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let is_hexadecimal = text.iter().all(u8::is_ascii_hexdigit);
    // The length of a full line; a checksum in hexadecimal digits is as long.
    if text.len() >= 64 && text.iter().all(is_data) && !is_hexadecimal {
        return Err(format!(
            "the file is damaged: line {number} is the content of a block whose BEGIN line is missing"
        ));
    }
    Ok(())
}

fn is_broken_boundary(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_uppercase();
    // Word processors make other dashes of hyphens.
    let is_dash = |c: char| matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}');
    let inner = text.trim_start_matches(is_dash);
    let inner = inner.trim_end_matches(is_dash).trim();
    let dashed = text.starts_with(is_dash) || text.ends_with(is_dash);
    let named = ["BEGIN", "END"].iter().any(|word| inner.starts_with(word));
    let kinds = ["CERTIFICATE", "KEY", "PARAMETERS", "REQUEST"];
    dashed && named && kinds.iter().any(|kind| inner.ends_with(kind))
}

/// RFC 7468 §3 has parsers lenient about the end of the data.
fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let mut der = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = GeneralPurpose::new(&STANDARD, config)
        .decode_slice(text, &mut der)
        .ok()?;
    der.truncate(length);
    Some(der)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len())
        .position(|window| window == wanted)
}

pub(super) fn contains(text: &[u8], wanted: &[u8]) -> bool {
    find(text, wanted).is_some()
}
