//! From the names in a mechanism's messages to an account of the host.

use super::Failure;
use crate::jid::{BareJid, Domain};

/// The account a simple user name stands for: SASLprep (RFC 5802 §5.1), then preparation as a localpart.
///
/// # Errors
/// `NotAuthorized` for a name that no account can have. It needs no look-up to look like an unknown user: it tells nothing that
/// RFC 7622 does not.
pub(super) fn account(name: &str, host: &Domain) -> Result<BareJid, Failure> {
    let prepared = match stringprep::saslprep(name) {
        Ok(prepared) => prepared,
        // RFC 5802 §5.1 has names prepared as query strings, with unassigned code points allowed; the crate knows stored strings
        // only, where they are not. Choice: such a name goes to the preparation of localparts as it is. That one refuses whatever
        // else SASLprep refuses, and what SASLprep would have replaced.
        Err(_) if name.contains(stringprep::tables::unassigned_code_point) => name.into(),
        Err(_) => return Err(Failure::NotAuthorized),
    };
    BareJid::new(&prepared, host).map_err(|_| Failure::NotAuthorized)
}

/// Whether the authorization identity is none or the account itself, prepared before it is compared (RFC 6120 §6.3.8: a bare
/// JID). Nobody acts as somebody else.
///
/// # Errors
/// `InvalidAuthzid`.
pub(super) fn authorize(authzid: Option<&str>, account: &BareJid) -> Result<(), Failure> {
    match authzid.map(BareJid::parse) {
        None => Ok(()),
        Some(Ok(identity)) if identity == *account => Ok(()),
        Some(Ok(_) | Err(_)) => Err(Failure::InvalidAuthzid),
    }
}
