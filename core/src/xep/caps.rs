//! XEP-0115: Entity Capabilities, version 1.6.0.
//!
//! Of hosts: what service discovery says of one is hashed, and the hash told in the features of each stream (§6.3), so that clients that
//! know it need not ask. Those of clients travel in their presence, which is nothing to the server.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::disco::Info;
use crate::config::Config;
use crate::jid::Domain;
use crate::xml::{Ns, Writer};

/// §4: "A URI that uniquely identifies a software application [..] at which a user could find further information".
const NODE: &str = env!("CARGO_PKG_REPOSITORY");

/// The capabilities of all hosts of one configuration.
#[derive(Debug, Default)]
pub(crate) struct Capabilities {
    verifications: BTreeMap<Domain, String>,
}

impl Capabilities {
    /// Of the hosts served by this configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let verifications = config.realms().map(|(name, host)| {
            let info = Info::of_host(config, Some(host));
            (name.clone(), verification(&info))
        });
        Self {
            verifications: verifications.collect(),
        }
    }

    /// §6.3: a stream feature that tells those of a host.
    pub(crate) fn write(&self, w: &mut Writer<'_>, host: &str) {
        if let Some(verification) = self.verifications.get(host) {
            w.open("c")
                .attribute("xmlns", Ns::Capabilities.uri())
                .attribute("hash", "sha-1")
                .attribute("node", NODE)
                .attribute("ver", verification)
                .close();
        }
    }
}

/// §6.2: the node of service discovery by which these capabilities are asked for.
pub(super) fn node(verification: &str) -> String {
    format!("{NODE}#{verification}")
}

/// §5.1.
pub(super) fn verification(info: &Info<'_>) -> String {
    STANDARD.encode(Sha1::digest(generate(info)))
}

/// §5.1: the string that is hashed.
fn generate(info: &Info<'_>) -> String {
    let Info {
        category,
        kind,
        name,
        features,
        contacts,
    } = info;
    let mut text = format!("{category}/{kind}//{name}<");
    let mut add = |part: &str| {
        text.push_str(part);
        text.push('<');
    };
    // In the order of their bytes: "i;octet".
    let mut features = features.clone();
    features.sort_unstable();
    features.iter().for_each(|feature| add(feature));
    if let Some(contacts) = contacts {
        add(Ns::ServerInfo.uri());
        // Fields are in order.
        for (field, values) in contacts.fields() {
            add(field);
            let mut values: Vec<&str> = values.collect();
            values.sort_unstable();
            values.into_iter().for_each(&mut add);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    /// The features of §5.2, in no order.
    fn exodus() -> Info<'static> {
        Info {
            category: "client",
            kind: "pc",
            name: "Exodus 0.9.1",
            features: vec![
                "http://jabber.org/protocol/muc",
                "http://jabber.org/protocol/disco#info",
                "http://jabber.org/protocol/disco#items",
                "http://jabber.org/protocol/caps",
            ],
            contacts: None,
        }
    }

    #[test]
    fn the_example_of_the_xep_comes_out() {
        let info = exodus();
        assert_eq!(
            generate(&info),
            "client/pc//Exodus 0.9.1<http://jabber.org/protocol/caps<http://jabber.org/protocol/disco#info<\
             http://jabber.org/protocol/disco#items<http://jabber.org/protocol/muc<"
        );
        assert_eq!(verification(&info), "QgayPKawpkPSDYmwT/WM94uAlu0=");
    }

    /// §9.3: "inclusion of the 'hash' attribute is REQUIRED".
    #[test]
    fn capabilities_name_their_hash() {
        let config = crate::config::of_localhost();
        let mut xml = Vec::new();
        let capabilities = Capabilities::of(&config);
        capabilities.write(&mut Writer::new(&mut xml), "localhost");
        let host = config.accounts("localhost");
        let ver = verification(&Info::of_host(&config, host));
        let expected = format!(
            "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='{NODE}' ver='{ver}'/>"
        );
        assert_eq!(xml, expected.as_bytes());
        capabilities.write(&mut Writer::new(&mut xml), "elsewhere");
        assert_eq!(xml, expected.as_bytes());
    }

    #[test]
    fn a_form_is_hashed_with_its_fields_and_values_in_order() {
        let contacts = super::super::contact_addresses::tests::some();
        let info = Info {
            contacts: Some(&contacts),
            features: vec!["b", "a"],
            ..exodus()
        };
        assert_eq!(
            generate(&info),
            "client/pc//Exodus 0.9.1<a<b<http://jabber.org/network/serverinfo<\
             abuse-addresses<mailto:abuse@example.org<xmpp:abuse@example.org<\
             support-addresses<https://example.org/help<"
        );
    }
}
