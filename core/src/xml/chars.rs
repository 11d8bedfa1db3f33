//! Bytes and characters: what XML 1.0 allows where, references decoded, line ends and attribute values normalised.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use super::XmlError;
use crate::work;

const NAME: u8 = 1;
const NAME_START: u8 = 2;
const SPACE: u8 = 4;
const PLAIN_NAME: u8 = 8;

/// Classes of ASCII. A colon is a name byte that begins no name (Namespaces in XML §4); bytes of other characters count as
/// names here and are judged when the name is complete.
static CLASS: [u8; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => NAME | NAME_START | PLAIN_NAME,
            b'0'..=b'9' | b'-' | b'.' => NAME | PLAIN_NAME,
            b':' => NAME,
            0x80.. => NAME | NAME_START,
            b' ' | b'\t' | b'\r' | b'\n' => SPACE,
            _ => 0,
        };
        byte += 1;
    }
    table
}

#[inline]
#[expect(clippy::indexing_slicing, reason = "there is one for each byte")]
fn class(byte: u8) -> u8 {
    CLASS[usize::from(byte)]
}

#[inline]
pub(super) fn is_name(byte: u8) -> bool {
    class(byte) & NAME != 0
}

#[inline]
pub(super) fn is_name_start(byte: u8) -> bool {
    class(byte) & NAME_START != 0
}

#[inline]
pub(super) fn is_space(byte: u8) -> bool {
    class(byte) & SPACE != 0
}

/// From `at` on, the first byte that is not white space, or the end.
#[inline]
pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|byte| is_space(*byte)) {
        at += 1;
    }
    at
}

/// Where the qualified name that begins at `at` ends and where its colon stands (counted from `at`, or 0), if it is plain ASCII
/// and its end is there.
#[inline]
pub(super) fn plain_name(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut end = plain_name_end(bytes, at);
    let mut colon = 0;
    if bytes.get(end) == Some(&b':') {
        let local = end + 1;
        colon = end - at;
        end = plain_name_end(bytes, local);
        bytes.get(local).filter(|byte| is_name_start(**byte))?;
    }
    bytes.get(end).filter(|byte| !is_name(**byte))?;
    Some((end, colon))
}

#[inline]
fn plain_name_end(bytes: &[u8], mut at: usize) -> usize {
    let plain = |byte: &u8| class(*byte) & PLAIN_NAME != 0;
    while bytes.get(at).is_some_and(plain) {
        at += 1;
    }
    at
}

/// From `at` on, the first byte that is `<`, `&`, `also`, a control or not ASCII, or the end. Eight bytes at a time.
#[inline]
pub(super) fn plain_run(bytes: &[u8], mut at: usize, also: u8) -> usize {
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let stops = stops(u64::from_le_bytes(*word), also);
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if !(0x20..0x80).contains(&byte) || byte == b'<' || byte == b'&' || byte == also {
            break;
        }
        at += 1;
    }
    at
}

/// The high bit of the first byte that ends a plain run, and perhaps of later ones: the borrow of a subtraction runs only
/// towards later bytes, so the lowest bit set is exact.
#[inline]
const fn stops(word: u64, also: u8) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let markup = zeros(word ^ (ONES * b'<' as u64)) | zeros(word ^ (ONES * b'&' as u64));
    (word | control | markup | zeros(word ^ (ONES * also as u64))) & HIGH
}

/// What stands at a byte that is not ASCII.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wide {
    /// A character of so many bytes.
    Char(usize),
    /// The beginning of one.
    Cut,
}

/// Reads the character at `at`, whose first byte is 0x80 or more, by the table of RFC 3629 §4. Decides at the first byte that
/// decides, so that no cut changes the outcome.
pub(super) fn wide(bytes: &[u8], at: usize) -> Result<Wide, XmlError> {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(&first) = rest.first() else {
        return Ok(Wide::Cut);
    };
    let (len, second) = match first {
        0xC2..=0xDF => (2, 0x80..=0xBF),
        0xE0 => (3, 0xA0..=0xBF),
        0xE1..=0xEC | 0xEE | 0xEF => (3, 0x80..=0xBF),
        0xED => (3, 0x80..=0x9F), // no surrogates
        0xF0 => (4, 0x90..=0xBF),
        0xF1..=0xF3 => (4, 0x80..=0xBF),
        0xF4 => (4, 0x80..=0x8F),
        _ => return Err(XmlError::Utf8),
    };
    for index in 1..len {
        let Some(byte) = rest.get(index) else {
            return Ok(Wide::Cut);
        };
        let allowed = if index == 1 {
            second.clone()
        } else {
            0x80..=0xBF
        };
        if !allowed.contains(byte) {
            return Err(XmlError::Utf8);
        }
    }
    // U+FFFE and U+FFFF are no XML characters (XML 1.0 §2.2).
    if rest.starts_with(b"\xEF\xBF\xBE") || rest.starts_with(b"\xEF\xBF\xBF") {
        return Err(XmlError::Character);
    }
    Ok(Wide::Char(len))
}

/// The character of this number, where XML 1.0 §2.2 allows it.
pub(super) fn character(number: u32) -> Option<char> {
    char::from_u32(number).filter(|c| match c {
        '\t' | '\n' | '\r' => true,
        '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => false,
        _ => true,
    })
}

/// The predefined entities (XML 1.0 §4.6) as they stand behind `&`.
pub(super) const ENTITIES: [(&[u8], u8); 5] = [
    (b"amp;", b'&'),
    (b"lt;", b'<'),
    (b"gt;", b'>'),
    (b"quot;", b'"'),
    (b"apos;", b'\''),
];

/// Whether an attribute's value differs from its raw form.
pub(super) fn needs_decoding(raw: &[u8]) -> bool {
    memchr::memchr2(b'&', b'\t', raw).is_some() || memchr::memchr2(b'\n', b'\r', raw).is_some()
}

/// The value of an attribute between its quotes: references decoded, each white space character a space (XML 1.0 §3.3.3).
pub(super) fn attribute_value(raw: &[u8]) -> Cow<'_, str> {
    work::glance(raw.len());
    if !needs_decoding(raw) {
        return Cow::Borrowed(core::str::from_utf8(raw).unwrap_or_default());
    }
    work::step(raw.len());
    let mut value = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match byte {
            b'&' => rest = decode_reference(rest, &mut value),
            b'\r' => {
                rest = rest.strip_prefix(b"\n").unwrap_or(rest); // one line end (XML 1.0 §2.11)
                value.push(b' ');
            }
            b'\t' | b'\n' => value.push(b' '),
            byte => value.push(byte),
        }
    }
    Cow::Owned(alloc::string::String::from_utf8(value).unwrap_or_default())
}

/// Appends character data, references decoded, line ends normalised (XML 1.0 §2.11).
pub(super) fn decode_text(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr2(b'&', b'\r', rest) {
        let (plain, behind) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match behind.split_first() {
            Some((b'&', behind)) => decode_reference(behind, out),
            _ => line_end(behind, out),
        };
    }
    out.extend_from_slice(rest);
}

/// Appends the content of a CDATA section, line ends normalised.
pub(super) fn decode_cdata(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\r', rest) {
        let (plain, behind) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = line_end(behind, out);
    }
    out.extend_from_slice(rest);
}

/// Takes a line end off the front of `rest`, which begins with CR.
pub(super) fn line_end<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    out.push(b'\n');
    let behind = rest.get(1..).unwrap_or_default();
    behind.strip_prefix(b"\n").unwrap_or(behind)
}

/// Decodes the reference whose `&` stands before `rest`, and gives what is behind its `;`.
fn decode_reference<'a>(rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some(end) = memchr::memchr(b';', rest) else {
        return &[];
    };
    let (name, behind) = rest.split_at(end + 1);
    if let Some(&(_, byte)) = ENTITIES.iter().find(|(entity, _)| *entity == name) {
        out.push(byte);
    } else if let Some(c) = number(name).and_then(character) {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    behind
}

/// The number in `#85;` or `#x55;`.
fn number(name: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(b"#")?.strip_suffix(b";")?;
    let (digits, radix) = match digits.strip_prefix(b"x") {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    digits.iter().try_fold(0_u32, |number, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        number.checked_mul(radix)?.checked_add(digit)
    })
}
