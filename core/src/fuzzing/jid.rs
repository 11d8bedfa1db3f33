//! `jid`: what was prepared once is prepared, and every part of it stands on its own.

use alloc::format;

use crate::jid::{BareJid, Domain, Jid, Resource};

/// Longest part, in bytes (RFC 7622 §3.1).
const PART_BYTES: usize = 1023;

/// Parses text as an address and as each of its parts.
///
/// # Panics
/// If preparing is not idempotent, or the parts do not make up the whole.
pub fn jid(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(jid) = Jid::parse(text) {
        check_whole(&jid);
    }
    if let Ok(domain) = Domain::parse(text) {
        let again = Domain::parse(domain.as_str());
        assert_eq!(again.as_ref(), Ok(&domain), "domain");
        let host = BareJid::of_domain(&domain);
        assert_eq!(BareJid::parse(domain.as_str()), Ok(host.clone()));
        assert_eq!((host.local(), host.domain()), (None, domain.as_str()));
        check_part(domain.as_str());
    }
    if let Ok(resource) = Resource::parse(text) {
        let again = Resource::parse(resource.as_str());
        assert_eq!(again.as_ref(), Ok(&resource), "resource");
        check_part(resource.as_str());
    }
    let host = Domain::parse("a.example").expect("a domain");
    if let Ok(account) = BareJid::new(text, &host) {
        let local = account.local().expect("a localpart");
        assert_eq!(
            BareJid::new(local, &host).as_ref(),
            Ok(&account),
            "localpart"
        );
        assert_eq!(BareJid::parse(account.as_str()), Ok(account.clone()));
        assert_eq!(account.domain(), host.as_str());
        check_part(local);
    }
}

fn check_whole(jid: &Jid) {
    let again = Jid::parse(jid.as_str());
    assert_eq!(again.as_ref(), Ok(jid), "address");
    let parts = again.as_ref().map(|jid| (jid.local(), jid.resource()));
    assert_eq!(parts, Ok((jid.local(), jid.resource())), "parts");
    let bare = match jid.local() {
        Some(local) => format!("{local}@{}", jid.domain()),
        None => jid.domain().into(),
    };
    assert_eq!(jid.bare(), bare);
    assert_eq!(jid.to_bare().as_str(), bare);
    assert_eq!(BareJid::parse(&bare), Ok(jid.to_bare()));
    let domain = Domain::parse(jid.domain()).expect("a domain");
    assert_eq!(jid.to_bare().to_domain(), domain);
    match jid.resource() {
        None => assert_eq!(jid.as_str(), bare),
        Some(text) => {
            assert_eq!(jid.as_str(), format!("{bare}/{text}"));
            let resource = Resource::parse(text).expect("a resource");
            assert_eq!(jid.to_bare().with_resource(&resource), *jid);
            check_part(text);
        }
    }
    check_part(jid.domain());
    jid.local().into_iter().for_each(check_part);
}

/// Every part has its length, and only characters that XML can carry: it is written into attributes.
fn check_part(part: &str) {
    assert!((1..=PART_BYTES).contains(&part.len()), "{part:?}");
    for c in part.chars() {
        let is_char = matches!(c, '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(is_char, "{c:?} in an address");
    }
}
