//! XEP-0157: Contact Addresses for XMPP Services, version 1.1.1.
//!
//! Whom to turn to about a host, as its administrator says: a form in what service discovery says of it (XEP-0128).

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::options::{Item, Source, of_host};
use crate::xml::{Ns, Writer};

/// What `contact_info` may name, and the field of each (§4), in the order of bytes.
const FIELDS: [(&str, &str); 7] = [
    ("abuse", "abuse-addresses"),
    ("admin", "admin-addresses"),
    ("feedback", "feedback-addresses"),
    ("sales", "sales-addresses"),
    ("security", "security-addresses"),
    ("status", "status-addresses"),
    ("support", "support-addresses"),
];

/// `contact_info` of a host. Thousands of hosts say nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContactAddresses {
    /// Of `FIELDS`, in their order, those that have any.
    fields: Vec<(&'static str, Vec<Uri>)>,
}

/// An address of any kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Uri(Box<str>);

impl ContactAddresses {
    /// What `from` says of them.
    pub fn read(from: &mut impl Source) -> Self {
        let names = FIELDS.map(|(name, _)| name);
        let lists = from.lists(
            &of_host(
                "contact_info",
                "Whom to turn to about a host, by what: clients and other servers show these addresses to people. There are abuse, admin, \
                 feedback, sales, security, status and support, each with a list of URIs.",
            )
            .shown_as(
                "{ abuse = [\"mailto:abuse@example.org\", \"xmpp:abuse@example.org\"], admin = [\"mailto:xmpp@example.org\"] }",
            ),
            &names,
        );
        let mut contacts = Self::default();
        for (name, uris) in lists {
            for uri in uris {
                contacts.add(name, uri);
            }
        }
        contacts
    }

    /// One more address, by the name that `contact_info` has for it; `None` if it has no such name.
    pub fn add(&mut self, name: &str, uri: Uri) -> Option<()> {
        let (_, field) = FIELDS.into_iter().find(|(known, _)| *known == name)?;
        match self.fields.binary_search_by_key(&field, |(field, _)| field) {
            Ok(at) => self.fields.get_mut(at)?.1.push(uri),
            Err(at) => self.fields.insert(at, (field, alloc::vec![uri])),
        }
        Some(())
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields of the form, in the order of their names, and their values.
    pub(super) fn fields(
        &self,
    ) -> impl Iterator<Item = (&'static str, impl Iterator<Item = &str>)> {
        let fields = self.fields.iter();
        fields.map(|(name, uris)| (*name, uris.iter().map(|uri| &*uri.0)))
    }

    /// §3: the form.
    pub(super) fn write(&self, w: &mut Writer<'_>) {
        w.open("x")
            .attribute("xmlns", Ns::DataForms.uri())
            .attribute("type", "result");
        w.open("field")
            .attribute("var", "FORM_TYPE")
            .attribute("type", "hidden")
            .leaf("value", Ns::ServerInfo.uri())
            .close();
        for (name, values) in self.fields() {
            w.open("field").attribute("var", name);
            for value in values {
                w.leaf("value", value);
            }
            w.close();
        }
        w.close();
    }
}

/// §3: the values "SHOULD be valid URIs", those of status "MUST". What is none would be of no use to anybody.
impl Item for Uri {
    const WANTED: &'static str = "a list of URIs in quotes, such as \"mailto:abuse@example.org\"";
    const NONE: &'static str =
        "no URI such as \"mailto:abuse@example.org\" or \"xmpp:abuse@example.org\"";

    fn read(text: &str) -> Option<Self> {
        is_uri(text).then(|| Self(text.into()))
    }
}

/// Whether this is a URI (RFC 3986 §3, §3.1, §2) with something behind its scheme. Characters beyond ASCII may stand for themselves, as in
/// an IRI (RFC 3987 §2.2).
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let mut parts = rest.split('%');
    let plain = parts.next().unwrap_or_default();
    let escaped = |part: &str| {
        let mut chars = part.chars();
        let is_hex = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit());
        is_hex(chars.next()) && is_hex(chars.next()) && chars.all(stands_for_itself)
    };
    is_scheme && !rest.is_empty() && plain.chars().all(stands_for_itself) && parts.all(escaped)
}

fn stands_for_itself(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=".contains(c),
        false => c > '\u{a0}' && !c.is_whitespace() && !c.is_control(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::options::Unsaid;

    pub(in crate::xep) fn some() -> ContactAddresses {
        let mut some = ContactAddresses::default();
        for (name, uri) in [
            ("support", "https://example.org/help"),
            ("abuse", "xmpp:abuse@example.org"),
            ("abuse", "mailto:abuse@example.org"),
        ] {
            some.add(name, Uri::read(uri).unwrap()).unwrap();
        }
        some
    }

    #[test]
    fn there_are_none_by_default() {
        assert!(ContactAddresses::read(&mut Unsaid).is_empty());
    }

    #[test]
    fn names_and_fields_are_in_order() {
        assert!(FIELDS.is_sorted());
        for (name, field) in FIELDS {
            assert_eq!(field.strip_suffix("-addresses"), Some(name));
        }
    }

    /// §3, example 2.
    #[test]
    fn the_form_has_a_field_for_each_kind() {
        let mut xml = Vec::new();
        some().write(&mut Writer::new(&mut xml));
        assert_eq!(
            String::from_utf8(xml).unwrap(),
            "<x xmlns='jabber:x:data' type='result'>\
             <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>\
             <field var='abuse-addresses'><value>xmpp:abuse@example.org</value><value>mailto:abuse@example.org</value></field>\
             <field var='support-addresses'><value>https://example.org/help</value></field></x>"
        );
    }

    #[test]
    fn a_uri_has_a_scheme_and_nothing_that_must_be_escaped() {
        for good in [
            "mailto:abuse@example.org",
            "xmpp:admins@example.org?message;subject=Hello%20there",
            "https://example.org/help#top",
            "https://[2001:db8::1]:8080/",
            "https://b\u{fc}cher.example/",
            "tel:+1-816-555-1212",
        ] {
            assert!(is_uri(good), "{good}");
        }
        for bad in [
            "",
            "abuse@example.org",
            "mailto:",
            ":x",
            "1a:x",
            "a b:x",
            "mailto:a b@example.org",
            "http://example.org/%",
            "http://example.org/%2",
            "http://example.org/%2g",
            "http://example.org/<x>",
            "http://example.org/\u{7f}",
            "http://example.org/\u{a0}",
        ] {
            assert!(!is_uri(bad), "{bad}");
        }
    }
}
