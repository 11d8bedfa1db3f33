//! Whom a certificate names, in the forms that count between servers (RFC 6120 §13.7.1.2.1).

use rustls::pki_types::CertificateDer;
use spondee_core::port::CertificateName;
use x509_parser::extensions::GeneralName;

use crate::limits::{SERVER_CERTIFICATE_NAMES, SERVER_CERTIFICATE_NAMES_BYTES};
use crate::tls::certs::{DNS_SRV, XMPP_ADDR, other_name, parse};

/// There are more than are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct TooMany;

/// As they are written there, in their order.
///
/// # Errors
/// There are too many.
pub(super) fn names(own: &CertificateDer<'_>) -> Result<Vec<CertificateName>, TooMany> {
    let mut names = Vec::new();
    let Ok(read) = parse(own) else {
        return Ok(names);
    };
    let alternative = read.subject_alternative_name().ok().flatten();
    let each = alternative.map(|alternative| alternative.value.general_names.iter());
    let mut bytes = 0;
    for (name, length) in each.into_iter().flatten().filter_map(name) {
        bytes += length;
        if names.len() == SERVER_CERTIFICATE_NAMES || bytes > SERVER_CERTIFICATE_NAMES_BYTES {
            return Err(TooMany);
        }
        names.push(name);
    }
    Ok(names)
}

/// One of them and its length, if it is of a form that counts.
fn name(name: &GeneralName<'_>) -> Option<(CertificateName, usize)> {
    let (form, text): (fn(Box<str>) -> CertificateName, _) =
        if let GeneralName::DNSName(name) = name {
            (CertificateName::Dns, *name)
        } else if let GeneralName::OtherName(kind, value) = name {
            let text = other_name(value)?;
            if *kind == DNS_SRV {
                (CertificateName::Srv, text)
            } else if *kind == XMPP_ADDR {
                (CertificateName::XmppAddr, text)
            } else {
                return None;
            }
        } else {
            return None;
        };
    Some((form(text.into()), text.len()))
}
