//! Preparation and enforcement of the three parts (RFC 7622 §3, RFC 8265), an ASCII fast path before each.
//!
//! Prepared text is a fixed point: preparing it again gives the same text, so that addresses can be
//! compared and stored as bytes. Text for which the tables of our dependencies do not hold to that is
//! refused. Cutting an address into parts is the business of the module above.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::fmt;
use core::net::Ipv6Addr;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use precis_profiles::precis_core::StringClass as _;
use precis_profiles::precis_core::profile::Rules as _;
use precis_profiles::{OpaqueString, UsernameCaseMapped};

use super::classes::{Freeform, Identifier};
use crate::work;

/// Bytes of each part after preparation (RFC 7622 §3.1).
const PART_BYTES: usize = 1023;

/// Bytes of each part before preparation: no longer text can shrink to `PART_BYTES`. The most a letter
/// shrinks is from seven bytes to two: a fullwidth `u` with two combining marks.
const RAW_BYTES: usize = 4 * PART_BYTES;

/// Bytes of a domain name's A-label form and of one label of it (RFC 1034 §3.1), which the limit of
/// RFC 7622 §3.2 does not lift.
const DNS_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// How many code points the rules of context (RFC 8264 §9.8, RFC 5892 appendix A) may look at in one
/// part. Each occurrence of such a code point looks at the whole part, so a hostile address would cost
/// the square of its length: milliseconds. 64 such code points among 64, or 20 among 200, are within it.
const CONTEXT_WORK: usize = 4 * 1024;

/// Which part of an address is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JidError {
    /// The domainpart is empty, too long or not a name or address.
    Domain,
    /// The localpart is empty, too long or holds what RFC 7622 §3.3 excludes.
    Local,
    /// The resourcepart is empty, too long or holds what OpaqueString excludes.
    Resource,
}

impl fmt::Display for JidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Domain => "the domain is not a domain name or IP address",
            Self::Local => {
                "the part before @ is empty, too long or has a character not allowed there"
            }
            Self::Resource => {
                "the part after / is empty, too long or has a character not allowed there"
            }
        })
    }
}

impl core::error::Error for JidError {}

/// Prepares a localpart: UsernameCaseMapped (RFC 8265 §3.3) less `"&'/:<>@`.
///
/// `Choice:` letters that Unicode has gained since the tables behind it (6.3, which are also IANA's for
/// PRECIS) are refused. Accounts are named by localparts: what is accepted once can never be mapped
/// otherwise, while what is refused today can be accepted later.
///
/// # Errors
/// `JidError::Local`.
pub fn localpart(text: &str) -> Result<Cow<'_, str>, JidError> {
    let prepared = match Ascii::of(text, &LOCAL) {
        Ascii::Prepared => Cow::Borrowed(text),
        Ascii::Upper => Cow::Owned(text.to_ascii_lowercase()),
        Ascii::Beyond => fixed_point(text, username)
            // RFC 7622 §3.3.1, again: width mapping can bring the excluded characters forth.
            .filter(|prepared| !prepared.contains(EXCLUDED))
            .ok_or(JidError::Local)?,
        Ascii::Forbidden => return Err(JidError::Local),
    };
    sized(prepared).ok_or(JidError::Local)
}

/// Prepares a domainpart: IDNA labels in lower case U-label form, IPv4, or bracketed IPv6.
///
/// `Choice:` "NR-LDH labels and U-labels" (RFC 7622 §8) is taken by its letter: no underscore, no hyphen
/// at either end of a label or at its third and fourth place, and no symbol that IDNA2008 excludes,
/// although UTS 46 would let it pass.
///
/// # Errors
/// `JidError::Domain`.
pub fn domainpart(text: &str) -> Result<Cow<'_, str>, JidError> {
    // RFC 7622 §3.2: before any other step.
    let text = text.strip_suffix('.').unwrap_or(text);
    let prepared = match Ascii::of(text, &DOMAIN) {
        // An IPv4 address is three dots and digits: nothing to do for it.
        Ascii::Prepared if are_nr_ldh(text) => Some(Cow::Borrowed(text)),
        Ascii::Upper if are_nr_ldh(text) => Some(Cow::Owned(text.to_ascii_lowercase())),
        Ascii::Prepared | Ascii::Upper | Ascii::Beyond => fixed_point(text, internationalized),
        Ascii::Forbidden => ipv6(text).map(Cow::Owned),
    };
    prepared.and_then(sized).ok_or(JidError::Domain)
}

/// Prepares a resourcepart: OpaqueString (RFC 8265 §4.2).
///
/// `Choice:` symbols that Unicode has gained since 6.3, most emoji among them, are accepted although the
/// tables behind OpaqueString do not know them: the FreeformClass allows every symbol (RFC 8264 §4.3.1),
/// clients do name themselves so, and a resource is opaque to routing. Emoji made with U+200D or U+FE0F
/// stay refused, because RFC 8264 §9.8 and §9.13 exclude those two whatever the version of Unicode.
///
/// `Deviation:` RFC 7622 §3.5 lists a resourcepart with a leading space (example 18) as invalid. No rule
/// of OpaqueString says so, and RFC 7622 §3.4 makes that profile the rule: it is accepted.
///
/// # Errors
/// `JidError::Resource`.
pub fn resourcepart(text: &str) -> Result<Cow<'_, str>, JidError> {
    let prepared = match Ascii::of(text, &RESOURCE) {
        Ascii::Prepared => Some(Cow::Borrowed(text)),
        Ascii::Beyond => fixed_point(text, opaque),
        Ascii::Upper | Ascii::Forbidden => None,
    };
    prepared.and_then(sized).ok_or(JidError::Resource)
}

/// What a part is, looked at as ASCII.
enum Ascii {
    /// Prepared as it stands.
    Prepared,
    /// Prepared but for its upper case letters.
    Upper,
    /// Holds other characters than ASCII and no forbidden ASCII.
    Beyond,
    /// Empty, or holds ASCII that no mapping makes allowed.
    Forbidden,
}

/// What a byte may do in a part; a part is what all its bytes are together.
type Table = [u8; 256];
const KEEP: u8 = 1;
const UPPER: u8 = 2;
const BEYOND: u8 = 4;
const FORBID: u8 = 8;

/// RFC 7622 §3.3.1.
const EXCLUDED: [char; 8] = ['"', '&', '\'', '/', ':', '<', '>', '@'];

#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
static LOCAL: Table = {
    let mut table = table(b'!', b'~');
    let mut upper = b'A';
    while upper <= b'Z' {
        table[upper as usize] = UPPER;
        upper += 1;
    }
    let mut i = 0;
    while i < EXCLUDED.len() {
        table[EXCLUDED[i] as usize] = FORBID;
        i += 1;
    }
    table
};
#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
static DOMAIN: Table = {
    let mut table = table(b'-', b'z');
    let mut byte = b'-';
    while byte <= b'z' {
        table[byte as usize] = match byte {
            b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' => KEEP,
            b'A'..=b'Z' => UPPER,
            _ => FORBID,
        };
        byte += 1;
    }
    table
};
static RESOURCE: Table = table(b' ', b'~');

/// Keeps the bytes from `first` to `last`.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
const fn table(first: u8, last: u8) -> Table {
    let mut table = [FORBID; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte >= first as usize && byte <= last as usize {
            table[byte] = KEEP;
        } else if byte >= 0x80 {
            table[byte] = BEYOND;
        }
        byte += 1;
    }
    table
}

impl Ascii {
    fn of(text: &str, table: &Table) -> Self {
        #[expect(clippy::indexing_slicing, reason = "there is one for each byte")]
        let of = |byte: u8| table[usize::from(byte)];
        let seen = text.bytes().fold(0, |seen, byte| seen | of(byte));
        if text.is_empty() || seen & FORBID != 0 {
            Self::Forbidden
        } else if seen & BEYOND != 0 {
            Self::Beyond
        } else if seen & UPPER != 0 {
            Self::Upper
        } else {
            Self::Prepared
        }
    }
}

/// The length rule of all three parts, "after any normalization and mapping".
fn sized(prepared: Cow<'_, str>) -> Option<Cow<'_, str>> {
    (1..=PART_BYTES)
        .contains(&prepared.len())
        .then_some(prepared)
}

/// Applies `enforce` and takes what comes out only if another time would change nothing.
///
/// The case mapping of precis-profiles knows letters that its tables do not: U+13A0 becomes U+AB70,
/// which it then refuses.
fn fixed_point<'a>(
    text: &'a str,
    enforce: impl for<'b> Fn(&'b str) -> Option<Cow<'b, str>>,
) -> Option<Cow<'a, str>> {
    if text.len() > RAW_BYTES || !context_is_bounded(text) {
        return None;
    }
    work::step(text.len());
    let once = sized(enforce(text)?)?;
    if once == text {
        return Some(Cow::Borrowed(text));
    }
    work::step(once.len());
    (context_is_bounded(&once) && enforce(&once)? == once).then_some(once)
}

/// Whether the rules of context stay within `CONTEXT_WORK`.
fn context_is_bounded(text: &str) -> bool {
    let ruled = text.chars().filter(|c| {
        matches!(
            c,
            '\u{b7}'
                | '\u{375}'
                | '\u{5f3}'
                | '\u{5f4}'
                | '\u{200c}'
                | '\u{200d}'
                | '\u{30fb}'
                | '\u{ff65}'
        ) || matches!(c, '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}')
    });
    ruled.count().saturating_mul(text.chars().count()) <= CONTEXT_WORK
}

/// UsernameCaseMapped (RFC 8265 §3.3.3), its rules in their order.
fn username(text: &str) -> Option<Cow<'_, str>> {
    let rules = UsernameCaseMapped::new();
    let narrow = rules.width_mapping_rule(text).ok()?;
    Identifier.allows(&*narrow).ok()?;
    let lower = rules.case_mapping_rule(narrow).ok()?;
    let composed = rules.normalization_rule(lower).ok()?;
    rules.directionality_rule(composed).ok()
}

/// OpaqueString (RFC 8265 §4.2.2), its rules in their order, over the symbols of today.
fn opaque(text: &str) -> Option<Cow<'_, str>> {
    let rules = OpaqueString::new();
    Freeform.allows(text).ok()?;
    let spaced = rules.additional_mapping_rule(text).ok()?;
    rules.normalization_rule(spaced).ok()
}

/// Whether all labels are NR-LDH labels (RFC 5890 §2.3.1), of letters, digits and hyphens as they are.
fn are_nr_ldh(text: &str) -> bool {
    text.len() <= DNS_BYTES
        && text.as_bytes().split(|&byte| byte == b'.').all(|label| {
            (1..=LABEL_BYTES).contains(&label.len())
                && label.first() != Some(&b'-')
                && label.last() != Some(&b'-')
                && label.get(2..4) != Some(b"--")
        })
}

/// UTS 46 to U-labels (the mapping of RFC 5892 and RFC 5895), and IDNA2008 upon what comes out.
///
/// An A-label has at least as many letters as its U-label, so a name has at most `DNS_BYTES` code points.
/// That is asked before mapping, at the price of names written longer by decomposition, because the cost
/// of Punycode grows with the square of the length.
fn internationalized(text: &str) -> Option<Cow<'_, str>> {
    if text.chars().count() > DNS_BYTES {
        return None;
    }
    let uts46 = Uts46::new();
    let (mapped, outcome) = uts46.to_unicode(text.as_bytes(), AsciiDenyList::STD3, Hyphens::Check);
    outcome.ok()?;
    uts46
        .to_ascii(
            mapped.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::Check,
            DnsLength::Verify,
        )
        .ok()?;
    // What RFC 5892 allows is what the IdentifierClass, built on its categories, allows of mapped text.
    mapped
        .split('.')
        .all(|label| Identifier.allows(label).is_ok())
        .then_some(mapped)
}

/// A prepared domainpart in A-labels. That it has them was seen when it was prepared.
pub(super) fn to_ascii(prepared: &str) -> Cow<'_, str> {
    let ascii = Uts46::new().to_ascii(
        prepared.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::Check,
        DnsLength::Verify,
    );
    ascii.unwrap_or(Cow::Borrowed(prepared))
}

/// `[::1]` in the canonical form of RFC 5952.
///
/// `Choice:` no zone identifiers (RFC 6874): a zone means something only within the host that wrote it.
fn ipv6(text: &str) -> Option<String> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let address: Ipv6Addr = inner.parse().ok()?;
    let mut canonical = String::with_capacity(text.len());
    canonical.push('[');
    canonical.push_str(&address.to_string());
    canonical.push(']');
    Some(canonical)
}
