//! ANONYMOUS (RFC 4505, XEP-0175): whoever comes is a guest, under a name that nobody had before and that is worth nothing afterwards.

use alloc::format;
use alloc::string::String;
use core::str;

use super::{Failure, Mechanism, Verified};
use crate::entropy::Entropy;
use crate::jid::{BareJid, Domain};

/// RFC 4505 §2: a trace has at most so many characters.
const TRACE_CHARS: usize = 255;

/// What a guest's admission is held against, in the place of the hash of a record: there is none, and the name that goes with it was drawn
/// a moment ago.
pub(crate) const GUEST: [u8; 32] = [0; 32];

/// The account of somebody who wants to be a guest. What traces the client sends is looked at for its form alone (XEP-0175 §3: "MUST NOT
/// use it for any purpose other than tracing").
///
/// # Errors
/// `MalformedRequest` for a trace that is none.
pub(super) fn enter(
    trace: Option<&[u8]>,
    host: &Domain,
    entropy: &mut Entropy,
) -> Result<BareJid, Failure> {
    let trace = str::from_utf8(trace.unwrap_or_default()).map_err(|_| Failure::MalformedRequest)?;
    if trace.chars().take(TRACE_CHARS + 1).count() > TRACE_CHARS || trace.contains('\0') {
        return Err(Failure::MalformedRequest);
    }
    // A UUID is an address in any case; if it were none there would be no guest.
    BareJid::new(&uuid(entropy), host).map_err(|_| Failure::TemporaryAuthFailure)
}

/// The guest is in.
pub(super) const fn entered(account: BareJid) -> Verified {
    Verified::new(account, Mechanism::Anonymous, None)
}

/// XEP-0175 §3: "it is RECOMMENDED for the localpart to be a UUID". Of random bits (RFC 9562 §5.4).
fn uuid(entropy: &mut Entropy) -> String {
    let block = entropy.block("guest");
    let (half, _) = block.split_at(16);
    let bits = half
        .iter()
        .fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let bits = bits & !(0xf << 76) | 4 << 76;
    let bits = bits & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 96,
        bits >> 80 & 0xffff,
        bits >> 64 & 0xffff,
        bits >> 48 & 0xffff,
        bits & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(trace: Option<&[u8]>) -> Result<BareJid, Failure> {
        let host = Domain::parse("guests.example").unwrap();
        enter(trace, &host, &mut Entropy::new([7; 32]))
    }

    #[test]
    fn a_guest_has_a_name_of_random_bits() {
        let name = guest(None).unwrap();
        let name = name.local().unwrap();
        let parts: alloc::vec::Vec<&str> = name.split('-').collect();
        assert!(parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]));
        assert!(name.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
        assert!(parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]));
        let mut entropy = Entropy::new([7; 32]);
        assert_ne!(uuid(&mut entropy), uuid(&mut entropy));
    }

    #[test]
    fn a_trace_is_a_short_text_and_changes_nothing() {
        let name = guest(None);
        assert_eq!(guest(Some(b"sirhc")), name);
        assert_eq!(guest(Some(b"")), name);
        assert_eq!(guest(Some("\u{e9}".repeat(255).as_bytes())), name);
        for trace in ["\u{e9}".repeat(256).as_bytes(), b"\xff", b"a\0b"] {
            assert_eq!(guest(Some(trace)), Err(Failure::MalformedRequest));
        }
    }
}
