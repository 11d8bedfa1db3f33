//! The extensions, one file each, and the requests that the server answers itself.
//!
//! Two tables: `INDEX` says which extensions there are (service discovery comes from it; the README's table is held to it), `REQUESTS` who
//! answers which payload. What stands here knows no sessions and keeps no state: it is told what it needs and gives back a payload
//! or a condition; who is asked, and the stanza around the answer, are the caller's business.

mod disco;
mod entity_time;
mod ping;
#[cfg(test)]
mod tests;
mod version;

use alloc::vec::Vec;

use crate::config::Config;
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
    /// Hosts and the bare JIDs of their accounts.
    HostAndAccount,
}

/// The extensions, by number.
pub const INDEX: &[Xep] = &[
    Xep {
        number: 30,
        name: "Service Discovery",
        version: "2.5.0",
        file: "core/src/xep/disco.rs",
        features: &[Ns::DiscoInfo.uri(), Ns::DiscoItems.uri()],
        bearer: Bearer::HostAndAccount,
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
        number: 191,
        name: "Blocking Command",
        version: "1.3",
        file: "core/src/account/blocking.rs",
        features: &[Ns::Blocking.uri()],
        bearer: Bearer::Host,
    },
    Xep {
        number: 199,
        name: "XMPP Ping",
        version: "2.0.1",
        file: "core/src/xep/ping.rs",
        features: &[Ns::Ping.uri()],
        bearer: Bearer::HostAndAccount,
    },
    Xep {
        number: 202,
        name: "Entity Time",
        version: "2.0",
        file: "core/src/xep/entity_time.rs",
        features: &[Ns::Time.uri()],
        bearer: Bearer::Host,
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
        number: 440,
        name: "SASL Channel-Binding Type Capability",
        version: "1.0.0",
        file: "core/src/stream/client/features.rs",
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
        ns: Ns::Ping,
        element: "ping",
        bearer: Bearer::HostAndAccount,
        respond: ping::ping,
    },
    Request {
        ns: Ns::Time,
        element: "time",
        bearer: Bearer::Host,
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
pub(crate) enum Entity {
    /// A host of this server.
    Host,
    /// An account of this server, on whose behalf the server answers (RFC 6121 §8.5.2.1.3).
    Account(Asker),
}

/// Who asks an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asker {
    /// One of its own sessions, by its bare JID or without `to` (RFC 6120 §10.3.3).
    Owner,
    /// A contact that sees the account's presence.
    Contact,
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
    /// `Get` or `Set`. To answer a result or an error with a refusal writes nothing (`Stanza::refusal`).
    pub(crate) iq: IqType,
    /// The only child.
    pub(crate) payload: &'a Node<'a>,
    /// Who is asked.
    pub(crate) entity: Entity,
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
    const fn is(self, entity: Entity) -> bool {
        match (self, entity) {
            (Self::Host | Self::HostAndAccount, Entity::Host)
            | (Self::HostAndAccount, Entity::Account(_)) => true,
            (Self::Host, Entity::Account(_)) => false,
        }
    }
}

/// Answers a request that is addressed to the server itself or that it takes for an account.
///
/// Whether an account exists is not known here, and shows in nothing that a stranger is answered (RFC 6120 §13.11).
pub(crate) fn answer(asked: &Asked<'_>) -> Answer {
    match asked.entity {
        Entity::Account(Asker::Stranger) => return to_stranger(asked),
        Entity::Account(Asker::Contact) if !is_for_contacts(asked) => return to_stranger(asked),
        Entity::Account(Asker::Contact | Asker::Owner) | Entity::Host => {}
    }
    let ns = asked.payload.ns();
    let mut known = REQUESTS
        .iter()
        .filter(|request| request.ns == ns && request.bearer.is(asked.entity))
        .peekable();
    if known.peek().is_none() {
        // RFC 6120 §8.4.
        return Answer::Refuse(Condition::ServiceUnavailable);
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

/// Whether contacts learn more than strangers (XEP-0030 §8).
fn is_for_contacts(asked: &Asked<'_>) -> bool {
    asked.iq == IqType::Get && matches!(asked.payload.ns(), Ns::DiscoInfo | Ns::DiscoItems)
}

/// What an account answers to who shares no presence with it, and what is answered where there is none: the same.
fn to_stranger(asked: &Asked<'_>) -> Answer {
    // RFC 6121 §2.3.3: who is not authorized to set a roster hears so, whether there is such an account or not. `Deviation:` §8.5.1 wants
    // `service-unavailable` where there is none; either would tell.
    if asked.iq == IqType::Set && asked.payload.is(Ns::Roster, "query") {
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
