//! Whether a certificate is a domain's, by the names in it (RFC 6120 §13.7.1.2 and §13.7.2.1, RFC 9525 §6).
//!
//! The common name is no name (RFC 9525 §2), and an address is nobody's: no authority could say whose server is there.

use super::targets::literal;
use crate::federation::{CertificateName, CertificateNames, NameConstraints};
use crate::jid::Domain;

/// By which of its names a certificate is a domain's. The closest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum NameMatch {
    /// By an address of XMPP (`id-on-xmppAddr`, RFC 6120 §13.7.1.4).
    Xmpp,
    /// By the name of the service (SRVName, RFC 4985).
    Srv,
    /// By its name in DNS (dNSName).
    Dns,
    /// By none of them.
    Mismatch,
    /// By none: it has no name that counts.
    Nameless,
}

/// By which name a certificate is this domain's.
#[must_use]
pub fn match_names(domain: &Domain, names: &CertificateNames) -> NameMatch {
    let counting = || {
        names
            .each
            .iter()
            .filter(|name| counts(name, names.constraints))
    };
    if counting().next().is_none() {
        return NameMatch::Nameless;
    }
    let reference = domain.to_ascii();
    if literal(&reference).is_some() {
        return NameMatch::Mismatch;
    }
    let matches = counting().filter_map(|name| match_name(domain, &reference, name));
    matches.min().unwrap_or(NameMatch::Mismatch)
}

fn match_name(domain: &Domain, reference: &str, name: &CertificateName) -> Option<NameMatch> {
    match name {
        CertificateName::XmppAddr(text) => {
            // A prepared domain has neither a localpart nor a resource.
            let is_it = Domain::parse(text).is_ok_and(|named| named == *domain);
            is_it.then_some(NameMatch::Xmpp)
        }
        CertificateName::Srv(text) => {
            let is_it = service(text).is_some_and(|name| covers(name, reference));
            is_it.then_some(NameMatch::Srv)
        }
        CertificateName::Dns(name) => covers(name, reference).then_some(NameMatch::Dns),
    }
}

/// Who may vouch for some names only is held to that in dNSName alone, by what looks at paths: in the other forms it could name anybody.
const fn counts(name: &CertificateName, constraints: NameConstraints) -> bool {
    match constraints {
        NameConstraints::None => true,
        NameConstraints::Present => matches!(name, CertificateName::Dns(_)),
    }
}

/// The domain in a SRVName for servers (RFC 6120 §13.7.1.2.1). RFC 9525 §6.5: the service is compared whatever its case.
fn service(name: &str) -> Option<&str> {
    let (service, domain) = name.split_once('.')?;
    service
        .eq_ignore_ascii_case("_xmpp-server")
        .then_some(domain)
}

/// Whether a name that was presented is the one in question, which is in lower-case A-labels (RFC 9525 §6.3).
fn covers(presented: &str, reference: &str) -> bool {
    match presented.strip_prefix("*.") {
        // Exactly one label. A `*` elsewhere is compared as it is, and no domain has one.
        Some(parent) => reference
            .split_once('.')
            .is_some_and(|(_, rest)| parent.eq_ignore_ascii_case(rest)),
        None => presented.eq_ignore_ascii_case(reference),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::CertificateName::{Dns, Srv, XmppAddr};
    use super::*;

    fn names(each: Vec<CertificateName>, constraints: NameConstraints) -> CertificateNames {
        CertificateNames { each, constraints }
    }

    /// Of a certificate with this name alone.
    fn by(name: CertificateName, domain: &str) -> NameMatch {
        let domain = Domain::parse(domain).unwrap();
        match_names(&domain, &names([name].into(), NameConstraints::None))
    }

    fn dns(name: &str) -> CertificateName {
        Dns(name.into())
    }

    fn srv(name: &str) -> CertificateName {
        Srv(name.into())
    }

    fn xmpp(name: &str) -> CertificateName {
        XmppAddr(name.into())
    }

    #[test]
    fn a_name_of_dns_is_compared_label_by_label_whatever_its_case() {
        for (name, domain, expected) in [
            ("a.example", "a.example", NameMatch::Dns),
            ("A.Example", "a.example", NameMatch::Dns),
            ("a.example", "A.EXAMPLE", NameMatch::Dns),
            ("b.example", "a.example", NameMatch::Mismatch),
            ("example", "a.example", NameMatch::Mismatch),
            ("a.example", "example", NameMatch::Mismatch),
            ("xa.example", "a.example", NameMatch::Mismatch),
            ("a.example.", "a.example", NameMatch::Mismatch),
            ("", "a.example", NameMatch::Mismatch),
            (".", "a.example", NameMatch::Mismatch),
        ] {
            assert_eq!(by(dns(name), domain), expected, "{name} {domain}");
        }
    }

    #[test]
    fn a_wildcard_is_the_whole_first_label_and_stands_for_one() {
        for (name, domain, expected) in [
            ("*.a.example", "chat.a.example", NameMatch::Dns),
            ("*.A.EXAMPLE", "chat.a.example", NameMatch::Dns),
            ("*.example", "xn--bcher-kva.example", NameMatch::Dns),
            ("*.a.example", "a.example", NameMatch::Mismatch),
            ("*.a.example", "x.chat.a.example", NameMatch::Mismatch),
            ("c*.a.example", "chat.a.example", NameMatch::Mismatch),
            ("*t.a.example", "chat.a.example", NameMatch::Mismatch),
            ("chat.*.example", "chat.a.example", NameMatch::Mismatch),
            ("*.*.example", "chat.a.example", NameMatch::Mismatch),
            ("**.a.example", "chat.a.example", NameMatch::Mismatch),
            ("*", "example", NameMatch::Mismatch),
            ("*.", "example", NameMatch::Mismatch),
        ] {
            assert_eq!(by(dns(name), domain), expected, "{name} {domain}");
        }
    }

    #[test]
    fn a_service_is_that_of_servers_and_has_wildcards_too() {
        for (name, domain, expected) in [
            ("_xmpp-server.a.example", "a.example", NameMatch::Srv),
            ("_XMPP-Server.A.example", "a.example", NameMatch::Srv),
            ("_xmpp-server.*.a.example", "chat.a.example", NameMatch::Srv),
            ("_xmpp-client.a.example", "a.example", NameMatch::Mismatch),
            ("_xmpps-server.a.example", "a.example", NameMatch::Mismatch),
            (
                "_xmpp-server._tcp.a.example",
                "a.example",
                NameMatch::Mismatch,
            ),
            ("_xmpp-server.b.example", "a.example", NameMatch::Mismatch),
            ("a.example", "a.example", NameMatch::Mismatch),
            ("_xmpp-server", "a.example", NameMatch::Mismatch),
        ] {
            assert_eq!(by(srv(name), domain), expected, "{name} {domain}");
        }
    }

    #[test]
    fn an_address_is_a_bare_domain_and_compared_when_prepared() {
        for (name, domain, expected) in [
            ("a.example", "a.example", NameMatch::Xmpp),
            ("A.Example", "a.example", NameMatch::Xmpp),
            (
                "b\u{fc}cher.example",
                "xn--bcher-kva.example",
                NameMatch::Xmpp,
            ),
            (
                "xn--bcher-kva.example",
                "b\u{fc}cher.example",
                NameMatch::Xmpp,
            ),
            ("juliet@a.example", "a.example", NameMatch::Mismatch),
            ("a.example/x", "a.example", NameMatch::Mismatch),
            ("*.a.example", "chat.a.example", NameMatch::Mismatch),
            ("b.example", "a.example", NameMatch::Mismatch),
        ] {
            assert_eq!(by(xmpp(name), domain), expected, "{name} {domain}");
        }
    }

    #[test]
    fn names_of_dns_are_compared_in_a_labels() {
        let expected = [
            ("xn--bcher-kva.example", NameMatch::Dns),
            ("XN--BCHER-KVA.example", NameMatch::Dns),
            // No dNSName is written so (RFC 5280 §4.2.1.6).
            ("b\u{fc}cher.example", NameMatch::Mismatch),
        ];
        for (name, expected) in expected {
            for domain in ["b\u{fc}cher.example", "xn--bcher-kva.example"] {
                assert_eq!(by(dns(name), domain), expected, "{name} {domain}");
            }
        }
    }

    #[test]
    fn an_address_of_the_network_is_nobodys() {
        for (domain, name) in [("192.0.2.1", "192.0.2.1"), ("[::1]", "[::1]")] {
            assert_eq!(by(dns(name), domain), NameMatch::Mismatch);
            assert_eq!(by(xmpp(name), domain), NameMatch::Mismatch);
        }
        assert_eq!(by(dns("*.0.2.1"), "192.0.2.1"), NameMatch::Mismatch);
    }

    #[test]
    fn what_names_most_closely_is_told_of_several() {
        let domain = Domain::parse("a.example").unwrap();
        let mut each = Vec::from([dns("b.example"), xmpp("b.example"), dns("*.example")]);
        for (more, expected) in [
            (None, NameMatch::Dns),
            (Some(srv("_xmpp-server.a.example")), NameMatch::Srv),
            (Some(xmpp("a.example")), NameMatch::Xmpp),
        ] {
            each.extend(more);
            let names = names(each.clone(), NameConstraints::None);
            assert_eq!(match_names(&domain, &names), expected);
        }
    }

    #[test]
    fn where_an_authority_is_constrained_only_names_of_dns_count() {
        let domain = Domain::parse("a.example").unwrap();
        let of = |each: &[CertificateName]| {
            match_names(&domain, &names(each.to_vec(), NameConstraints::Present))
        };
        let others = [xmpp("a.example"), srv("_xmpp-server.a.example")];
        assert_eq!(of(&others), NameMatch::Nameless);
        let [one, two] = others;
        let with = |name| of(&[one.clone(), two.clone(), dns(name)]);
        assert_eq!(with("b.example"), NameMatch::Mismatch);
        assert_eq!(with("a.example"), NameMatch::Dns);
    }

    #[test]
    fn who_has_no_name_has_none() {
        let domain = Domain::parse("a.example").unwrap();
        let none = names(Vec::new(), NameConstraints::None);
        assert_eq!(match_names(&domain, &none), NameMatch::Nameless);
    }
}
