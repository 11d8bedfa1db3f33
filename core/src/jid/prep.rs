//! Preparation and enforcement of the three parts (RFC 7622 §3, RFC 8265), an ASCII fast path before each.

use alloc::borrow::Cow;

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

/// Prepares a localpart: UsernameCaseMapped (RFC 8265 §3.3) less `"&'/:<>@`.
///
/// # Errors
/// `JidError::Local`.
pub fn localpart(text: &str) -> Result<Cow<'_, str>, JidError> {
    let _ = text;
    todo!()
}

/// Prepares a domainpart: IDNA labels in lower case U-label form, IPv4, or bracketed IPv6.
///
/// # Errors
/// `JidError::Domain`.
pub fn domainpart(text: &str) -> Result<Cow<'_, str>, JidError> {
    let _ = text;
    todo!()
}

/// Prepares a resourcepart: OpaqueString (RFC 8265 §4.2).
///
/// # Errors
/// `JidError::Resource`.
pub fn resourcepart(text: &str) -> Result<Cow<'_, str>, JidError> {
    let _ = text;
    todo!()
}
