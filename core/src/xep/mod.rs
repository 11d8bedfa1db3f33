//! The extensions, one file each, and the requests that the server answers itself.
//!
//! Two tables: `INDEX` says which extensions there are (service discovery comes from it; the README's table is held to it), `REQUESTS` who
//! answers which payload. What stands here knows no sessions and keeps no state: it is told what it needs and gives back a payload
//! or a condition; who is asked, and the stanza around the answer, are the caller's business.

mod caps;
mod contact_addresses;
mod disco;
mod entity_time;
mod last_activity;
mod ping;
#[cfg(test)]
mod tests;
mod version;

use alloc::vec::Vec;

pub(crate) use caps::Capabilities;
pub use contact_addresses::{ContactAddresses, Uri};
pub use last_activity::ACTIVITY;
pub(crate) use last_activity::{Activity, Seen, bounded_status};

use crate::config::{Config, HostConfig};
use crate::stanza::{Condition, IqType};
use crate::time::Now;
use crate::xml::{Node, Ns, Writer};

/// One row of the index: an extension implemented here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Xep {
    /// Its number.
    pub number: u16,
    /// Its title.
    pub name: &'static str,
    /// The version that was implemented.
    pub version: &'static str,
    /// Where, from the root of the repository.
    pub file: &'static str,
    /// What service discovery says of it: nothing of what is seen before anybody can ask (ports, stream features).
    pub features: &'static [&'static str],
    /// Of whom it says so.
    pub bearer: Bearer,
}

/// Which of the server's own entities have a feature or answer a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bearer {
    /// Hosts only.
    Host,
    /// Hosts and the bare JIDs of their accounts, for who sees their presence.
    HostAndAccount,
    /// Hosts and the bare JIDs of their accounts, for their own sessions alone.
    HostAndOwn,
    /// The bare JIDs of accounts, for their own sessions alone.
    Own,
}

/// The extensions, by number.
pub const INDEX: &[Xep] = &[
    Xep {
        number: 12,
        name: "Last Activity",
        version: "2.0",
        file: "core/src/xep/last_activity.rs",
        features: &[Ns::LastActivity.uri()],
        bearer: Bearer::HostAndAccount,
    },
    Xep {
        number: 30,
        name: "Service Discovery",
        version: "2.5.0",
        file: "core/src/xep/disco.rs",
        features: &[Ns::DiscoInfo.uri(), Ns::DiscoItems.uri()],
        bearer: Bearer::HostAndAccount,
    },
    Xep {
        number: 49,
        name: "Private XML Storage",
        version: "1.2",
        file: "core/src/account/private.rs",
        features: &[Ns::Private.uri()],
        bearer: Bearer::HostAndOwn,
    },
    Xep {
        number: 54,
        name: "vcard-temp",
        version: "1.3.0",
        file: "core/src/account/vcard.rs",
        features: &[Ns::VCard.uri()],
        bearer: Bearer::HostAndAccount,
    },
    Xep {
        number: 59,
        name: "Result Set Management",
        version: "1.0",
        file: "core/src/archive/query.rs",
        features: &[Ns::Rsm.uri()],
        bearer: Bearer::Own,
    },
    Xep {
        number: 77,
        name: "In-Band Registration",
        version: "2.4",
        file: "core/src/account/registration.rs",
        features: &[Ns::Registration.uri()],
        bearer: Bearer::HostAndOwn,
    },
    Xep {
        number: 92,
        name: "Software Version",
        version: "1.1",
        file: "core/src/xep/version.rs",
        features: &[Ns::Version.uri()],
        bearer: Bearer::Host,
    },
    Xep {
        number: 114,
        name: "Jabber Component Protocol",
        version: "1.6",
        file: "core/src/stream/component/mod.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 115,
        name: "Entity Capabilities",
        version: "1.6.0",
        file: "core/src/xep/caps.rs",
        features: &[Ns::Capabilities.uri()],
        bearer: Bearer::Host,
    },
    Xep {
        number: 157,
        name: "Contact Addresses for XMPP Services",
        version: "1.1.1",
        file: "core/src/xep/contact_addresses.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 160,
        name: "Best Practices for Handling Offline Messages",
        version: "1.0.1",
        file: "core/src/account/offline.rs",
        features: &["msgoffline"],
        bearer: Bearer::Host,
    },
    Xep {
        number: 175,
        name: "Best Practices for Use of SASL ANONYMOUS",
        version: "1.2",
        file: "core/src/sasl/anonymous.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 178,
        name: "Best Practices for Use of SASL EXTERNAL with Certificates",
        version: "1.2",
        file: "core/src/sasl/external.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 191,
        name: "Blocking Command",
        version: "1.3",
        file: "core/src/account/blocking.rs",
        features: &[Ns::Blocking.uri()],
        bearer: Bearer::Host,
    },
    Xep {
        number: 198,
        name: "Stream Management",
        version: "1.6.3",
        file: "core/src/sm/mod.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 199,
        name: "XMPP Ping",
        version: "2.0.1",
        file: "core/src/xep/ping.rs",
        features: &[Ns::Ping.uri()],
        bearer: Bearer::HostAndOwn,
    },
    Xep {
        number: 202,
        name: "Entity Time",
        version: "2.0",
        file: "core/src/xep/entity_time.rs",
        features: &[Ns::Time.uri()],
        bearer: Bearer::HostAndOwn,
    },
    Xep {
        number: 203,
        name: "Delayed Delivery",
        version: "2.0",
        file: "core/src/stanza/delay.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 280,
        name: "Message Carbons",
        version: "1.0.1",
        file: "core/src/account/carbons.rs",
        features: &[Ns::Carbons.uri()],
        bearer: Bearer::HostAndOwn,
    },
    Xep {
        number: 297,
        name: "Stanza Forwarding",
        version: "1.0",
        file: "core/src/stanza/stored.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 313,
        name: "Message Archive Management",
        version: "1.1.3",
        file: "core/src/account/archive.rs",
        features: &[
            Ns::Mam.uri(),
            Ns::MamExtended.uri(),
            Ns::MamGroupchatField.uri(),
        ],
        bearer: Bearer::Own,
    },
    Xep {
        number: 334,
        name: "Message Processing Hints",
        version: "1.0.0",
        file: "core/src/archive/worth.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 352,
        name: "Client State Indication",
        version: "1.0.0",
        file: "core/src/csi/mod.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 359,
        name: "Unique and Stable Stanza IDs",
        version: "0.7.0",
        file: "core/src/account/message.rs",
        features: &[Ns::StanzaIds.uri()],
        bearer: Bearer::HostAndOwn,
    },
    Xep {
        number: 368,
        name: "SRV records for XMPP over TLS",
        version: "1.1.0",
        file: "shell-common/src/tls/hosts.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 424,
        name: "Message Retraction",
        version: "0.4.2",
        file: "core/src/archive/worth.rs",
        features: &[Ns::Retraction.uri()],
        bearer: Bearer::HostAndOwn,
    },
    Xep {
        number: 440,
        name: "SASL Channel-Binding Type Capability",
        version: "1.0.0",
        file: "core/src/stream/client/features.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 441,
        name: "Message Archive Management Preferences",
        version: "0.2.0",
        file: "core/src/archive/prefs.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 474,
        name: "SASL SCRAM Downgrade Protection",
        version: "0.5.0",
        file: "core/src/sasl/downgrade.rs",
        features: &[],
        bearer: Bearer::Host,
    },
    Xep {
        number: 478,
        name: "Stream Limits Advertisement",
        version: "0.2.0",
        file: "core/src/stream/client/features.rs",
        features: &[],
        bearer: Bearer::Host,
    },
];

/// A request that the server answers: an IQ of type `get` with this payload.
struct Request {
    ns: Ns,
    element: &'static str,
    bearer: Bearer,
    respond: fn(&Asked<'_>) -> Answer,
}

/// Who answers what.
const REQUESTS: &[Request] = &[
    Request {
        ns: Ns::DiscoInfo,
        element: "query",
        bearer: Bearer::HostAndAccount,
        respond: disco::info,
    },
    Request {
        ns: Ns::DiscoItems,
        element: "query",
        bearer: Bearer::HostAndAccount,
        respond: disco::items,
    },
    Request {
        ns: Ns::LastActivity,
        element: "query",
        bearer: Bearer::HostAndAccount,
        respond: last_activity::query,
    },
    Request {
        ns: Ns::Ping,
        element: "ping",
        bearer: Bearer::HostAndOwn,
        respond: ping::ping,
    },
    Request {
        ns: Ns::Time,
        element: "time",
        bearer: Bearer::HostAndOwn,
        respond: entity_time::time,
    },
    Request {
        ns: Ns::Version,
        element: "query",
        bearer: Bearer::Host,
        respond: version::version,
    },
];

/// Which entity is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Entity<'a> {
    /// A host of this server.
    Host,
    /// An account of this server, on whose behalf the server answers (RFC 6121 §8.5.2.1.3).
    Account(Asker<'a>),
}

/// Who asks an account, with what may be known of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asker<'a> {
    /// One of its own sessions, by its bare JID or without `to` (RFC 6120 §10.3.3).
    Owner(Seen<'a>),
    /// A contact that sees the account's presence.
    Contact(Seen<'a>),
    /// Anybody else.
    Stranger,
}

/// An IQ of type `get` or `set` to the server or to an account's bare JID.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    /// When.
    pub(crate) now: Now,
    /// The server's configuration.
    pub(crate) config: &'a Config,
    /// The domain that is named, if one is.
    pub(crate) domain: Option<&'a str>,
    /// The configuration of the host of that name.
    pub(crate) host: Option<&'a HostConfig>,
    /// `Get` or `Set`. To answer a result or an error with a refusal writes nothing (`Stanza::refusal`).
    pub(crate) iq: IqType,
    /// The only child.
    pub(crate) payload: &'a Node<'a>,
    /// Who is asked.
    pub(crate) entity: Entity<'a>,
}

/// What a request is answered with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// A result with this payload, for `Writer::raw`; empty for a result without one.
    Result(Vec<u8>),
    /// An error.
    Refuse(Condition),
}

impl Answer {
    fn result(payload: impl FnOnce(&mut Writer<'_>)) -> Self {
        let mut xml = Vec::new();
        payload(&mut Writer::new(&mut xml));
        Self::Result(xml)
    }
}

impl Bearer {
    const fn is(self, entity: Entity<'_>) -> bool {
        match (self, entity) {
            (Self::Host | Self::HostAndAccount | Self::HostAndOwn, Entity::Host)
            | (Self::HostAndAccount, Entity::Account(Asker::Contact(_)))
            | (
                Self::HostAndAccount | Self::HostAndOwn | Self::Own,
                Entity::Account(Asker::Owner(_)),
            ) => true,
            (Self::Own, Entity::Host)
            | (Self::Host, Entity::Account(_))
            | (_, Entity::Account(Asker::Stranger))
            | (Self::HostAndOwn | Self::Own, Entity::Account(Asker::Contact(_))) => false,
        }
    }
}

/// Answers a request that is addressed to the server itself or that it takes for an account.
///
/// Whether an account exists is not known here, and shows in nothing that a stranger is answered (RFC 6120 §13.11).
pub(crate) fn answer(asked: &Asked<'_>) -> Answer {
    let ns = asked.payload.ns();
    let mut known = REQUESTS
        .iter()
        .filter(|request| request.ns == ns && request.bearer.is(asked.entity))
        .peekable();
    if known.peek().is_none() {
        return match asked.entity {
            // RFC 6120 §8.4.
            Entity::Account(Asker::Owner(_)) | Entity::Host => {
                Answer::Refuse(Condition::ServiceUnavailable)
            }
            Entity::Account(Asker::Contact(_) | Asker::Stranger) => to_stranger(asked),
        };
    }
    match (
        known.find(|request| request.element == asked.payload.name()),
        asked.iq,
    ) {
        (Some(request), IqType::Get) => (request.respond)(asked),
        // `Choice:` RFC 6120 §8.3.3.10, "does not allow any entity to perform the action": none of these can be set.
        (Some(_), IqType::Set | IqType::Result | IqType::Error) => {
            Answer::Refuse(Condition::NotAllowed)
        }
        // RFC 6120 §8.3.3.3: "understands the namespace but does not recognize the element name".
        (None, _) => Answer::Refuse(Condition::FeatureNotImplemented),
    }
}

/// Whether contacts of an account hear something else than strangers to such a request: what only those may know who see its presence.
pub(crate) fn is_for_contacts(payload: &Node<'_>) -> bool {
    let ns = payload.ns();
    REQUESTS
        .iter()
        .any(|request| request.ns == ns && request.bearer == Bearer::HostAndAccount)
}

/// What an account answers to who does not see its presence, and what is answered where there is none: the same.
fn to_stranger(asked: &Asked<'_>) -> Answer {
    // RFC 6121 §2.3.3: who is not authorized to set a roster hears so, whether there is such an account or not. `Deviation:` §8.5.1 wants
    // `service-unavailable` where there is none; either would tell.
    if asked.iq == IqType::Set && asked.payload.is(Ns::Roster, "query") {
        return Answer::Refuse(Condition::Forbidden);
    }
    // XEP-0054 §3.2.
    if asked.iq == IqType::Set && asked.payload.is(Ns::VCard, "vCard") {
        return Answer::Refuse(Condition::Forbidden);
    }
    let items = asked.iq == IqType::Get && asked.payload.is(Ns::DiscoItems, "query");
    match items {
        // XEP-0030 §8: "MUST return an empty result set" if "the target entity does not exist" or the asker "is not authorized to
        // receive presence". `Deviation:` RFC 6121 §8.5.1 wants an error for every IQ to an account that does not exist.
        true => disco::no_items(asked),
        // RFC 6121 §8.5.1; for disco#info also XEP-0030 §8, authorized or not. `Choice:` every other request is refused in the same
        // way, or the answer would tell that there is such an account.
        false => Answer::Refuse(Condition::ServiceUnavailable),
    }
}
