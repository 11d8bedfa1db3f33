//! As much of BER as LDAP has (RFC 4511 §5.1): definite lengths alone, tags of one byte. Read by a cursor that never goes deeper than its
//! caller, so that no peer decides how much stack there is.

use zeroize::Zeroizing;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const SEQUENCE: u8 = 0x30;

/// Bytes that are wiped: there may be a password in them.
pub(super) type Bytes = Zeroizing<Vec<u8>>;

/// One element with this tag.
pub(super) fn element(tag: u8, contents: &[u8]) -> Bytes {
    let mut bytes = Zeroizing::new(Vec::with_capacity(contents.len() + 10));
    bytes.push(tag);
    let length = contents.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let significant = length.get(zeros..).unwrap_or_default();
    match significant {
        [] => bytes.push(0),
        [short @ 0..0x80] => bytes.push(*short),
        long => {
            // There are eight at most.
            bytes.push(0x80 | u8::try_from(long.len()).unwrap_or(0));
            bytes.extend_from_slice(long);
        }
    }
    bytes.extend_from_slice(contents);
    bytes
}

/// One that is made of others.
pub(super) fn made_of(tag: u8, parts: &[Bytes]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut contents = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        contents.extend_from_slice(part);
    }
    element(tag, &contents)
}

/// A number that is not negative.
pub(super) fn number(tag: u8, number: u32) -> Bytes {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take(3).take_while(|byte| **byte == 0).count();
    let mut contents = Vec::with_capacity(5);
    // Else it would be negative.
    if bytes.get(zeros).is_some_and(|first| *first >= 0x80) {
        contents.push(0);
    }
    contents.extend_from_slice(bytes.get(zeros..).unwrap_or_default());
    element(tag, &contents)
}

/// That something is so.
pub(super) fn yes() -> Bytes {
    element(BOOLEAN, &[0xff])
}

pub(super) fn text(text: &str) -> Bytes {
    element(OCTETS, text.as_bytes())
}

/// What is no BER, or not what was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Malformed;

/// Reads elements one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next element, `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        let Some((tag, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        let (length, rest) = match length(rest) {
            Length::Known(length, bytes) => (length, rest.get(bytes..).ok_or(Malformed)?),
            Length::Partial | Length::Malformed => return Err(Malformed),
        };
        let contents = rest.get(..length).ok_or(Malformed)?;
        self.0 = rest.get(length..).ok_or(Malformed)?;
        Ok(Some((*tag, contents)))
    }

    /// The next element, which has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next()? {
            Some((found, contents)) if found == tag => Ok(contents),
            Some(_) | None => Err(Malformed),
        }
    }

    /// The next element, a number.
    pub(super) fn number(&mut self, tag: u8) -> Result<u32, Malformed> {
        let contents = self.expect(tag)?;
        let (first, rest) = contents.split_first().ok_or(Malformed)?;
        if *first >= 0x80 || rest.len() > 4 || rest.len() == 4 && *first != 0 {
            return Err(Malformed);
        }
        Ok(contents
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u32::from(*byte)))
    }

    /// The next element, text.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let contents = self.expect(OCTETS)?;
        Ok(String::from_utf8_lossy(contents).into_owned())
    }
}

/// How long an element is, by what follows its tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Length {
    /// So many bytes, behind this many that say so.
    Known(usize, usize),
    /// More bytes are needed to know.
    Partial,
    Malformed,
}

pub(super) fn length(bytes: &[u8]) -> Length {
    let Some((first, rest)) = bytes.split_first() else {
        return Length::Partial;
    };
    if *first < 0x80 {
        return Length::Known(usize::from(*first), 1);
    }
    let count = usize::from(first & 0x7f);
    // Indefinite, or more than anybody sends.
    if count == 0 || count > 4 {
        return Length::Malformed;
    }
    match rest.get(..count) {
        Some(long) => {
            let length = long
                .iter()
                .fold(0, |sum: usize, byte| (sum << 8) | usize::from(*byte));
            Length::Known(length, 1 + count)
        }
        None => Length::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths_are_as_short_as_can_be() {
        for (value, bytes) in [
            (0, &[2, 1, 0][..]),
            (127, &[2, 1, 127]),
            (128, &[2, 2, 0, 128]),
            (256, &[2, 2, 1, 0]),
            (u32::MAX, &[2, 5, 0, 255, 255, 255, 255]),
        ] {
            assert_eq!(*number(INTEGER, value), bytes);
            assert_eq!(Reader(bytes).number(INTEGER), Ok(value));
        }
        assert_eq!(element(OCTETS, &[7; 127])[..2], [4, 127]);
        assert_eq!(element(OCTETS, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(OCTETS, &[7; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(*element(OCTETS, &[]), [4, 0]);
    }

    #[test]
    fn reads_what_it_writes() {
        let long = "x".repeat(70_000);
        let bytes = made_of(SEQUENCE, &[yes(), text(&long), number(ENUMERATED, 49)]);
        let mut outer = Reader(&bytes);
        let mut inner = Reader(outer.expect(SEQUENCE).unwrap());
        assert_eq!(inner.expect(BOOLEAN), Ok(&[255][..]));
        assert_eq!(inner.text(), Ok(long));
        assert_eq!(inner.number(ENUMERATED), Ok(49));
        assert_eq!((inner.next(), outer.next()), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_is_malformed() {
        let bytes = made_of(SEQUENCE, &[text("abc")]);
        for cut in 1..bytes.len() {
            assert_eq!(Reader(&bytes[..cut]).next(), Err(Malformed), "{cut}");
        }
        for bytes in [
            &[0x30, 0x80, 0, 0][..],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x30, 0x84, 255, 255, 255, 255, 0],
            &[0x30],
        ] {
            assert_eq!(Reader(bytes).next(), Err(Malformed), "{bytes:?}");
        }
        for number in [
            &[2, 0][..],
            &[2, 1, 0x80],
            &[2, 5, 1, 0, 0, 0, 0],
            &[4, 1, 1],
        ] {
            assert_eq!(Reader(number).number(INTEGER), Err(Malformed), "{number:?}");
        }
    }
}
