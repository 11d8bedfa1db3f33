//! The messages of DNS (RFC 1035 §4), as far as a stub resolver needs them. `domain` reads and writes them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::PushError;
use domain::base::name::ParsedName;
use domain::base::{Message, MessageBuilder, ToName as _};
use domain::rdata::{A, Aaaa, Cname, Soa, Srv};
use spondee_core::port::Service;

use crate::limits::dns::{DNS_ALIASES, DNS_DATAGRAM_BYTES, DNS_RECORDS};

/// An absolute name, in lower case.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Name(domain::base::Name<Vec<u8>>);

impl Name {
    /// A name in A-labels (RFC 5890 §2.3.2.1), the dot at its end or not: letters, digits, `-` and `_`. `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_fit = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        if !text.bytes().all(is_fit) || text.trim_end_matches('.').is_empty() {
            return None;
        }
        let name = domain::base::Name::<Vec<u8>>::vec_from_str(text).ok()?;
        Some(Self(name.to_canonical_name()))
    }

    /// The name of a service below this one (RFC 2782): `_xmpp-client._tcp` and such. `None` if that is too long.
    #[must_use]
    pub fn service(&self, service: &str) -> Option<Self> {
        Self::parse(&format!("{service}.{self}"))
    }

    /// Whether it is this top level, or below it.
    pub(super) fn is_below(&self, top: &str) -> bool {
        let text = self.to_string();
        text.strip_suffix(top)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    fn of(parsed: &ParsedName<&[u8]>) -> Self {
        Self(parsed.to_canonical_name())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of record is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    const fn rtype(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
            Self::Srv => Rtype::SRV,
        }
    }
}

/// Records of one kind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Records {
    Addresses(Vec<IpAddr>),
    Services(Vec<Service>),
}

impl Records {
    fn is_empty(&self) -> bool {
        match self {
            Self::Addresses(addresses) => addresses.is_empty(),
            Self::Services(services) => services.is_empty(),
        }
    }
}

/// What an answer says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Read {
    /// There they are, good for so long.
    Records(Records, Duration),
    /// The name is another's, of which the answer says nothing.
    Alias(Name),
    /// There is no such name (RFC 2308 §2.1).
    NoName(Duration),
    /// There is, and it has nothing of this kind (RFC 2308 §2.2).
    NoData(Duration),
    /// It did not fit.
    Truncated,
    /// The server cannot or will not say; its code.
    Refused(String),
}

/// A question to a server that looks for the answer, with its number. Takes datagrams larger than 512 bytes (RFC 6891 §6.2.3).
pub(super) fn ask(id: u16, name: &Name, kind: Kind) -> Result<Vec<u8>, PushError> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut question = message.question();
    question.push((&name.0, kind.rtype()))?;
    let mut additional = question.additional();
    additional.opt(|opt| {
        opt.set_udp_payload_size(DNS_DATAGRAM_BYTES);
        Ok(())
    })?;
    Ok(additional.finish())
}

/// Reads what came. `None` if it is no answer to this question: anybody may send something.
pub(super) fn read(bytes: &[u8], (id, name, kind): (u16, &Name, Kind)) -> Option<Read> {
    let message = Message::from_octets(bytes).ok()?;
    let header = message.header();
    if header.id() != id || !header.qr() || header.opcode() != Opcode::QUERY {
        return None;
    }
    let asked = message.sole_question().ok()?;
    let is_it = asked.qtype() == kind.rtype()
        && asked.qclass() == Class::IN
        && Name::of(asked.qname()) == *name;
    if !is_it {
        return None;
    }
    if header.tc() {
        return Some(Read::Truncated);
    }
    match header.rcode() {
        Rcode::NOERROR | Rcode::NXDOMAIN => answer(&message, name, kind),
        other => Some(Read::Refused(other.to_string())),
    }
}

/// The records of the name, or of what its aliases lead to.
fn answer(message: &Message<&[u8]>, name: &Name, kind: Kind) -> Option<Read> {
    let (name, mut ttl) = follow(message, name)?;
    let records = match kind {
        Kind::A => Records::Addresses(records(message, &name, &mut ttl, |a: A| a.addr().into())?),
        Kind::Aaaa => Records::Addresses(records(message, &name, &mut ttl, |a: Aaaa| {
            a.addr().into()
        })?),
        Kind::Srv => {
            let service = |srv: Srv<ParsedName<&[u8]>>| Service {
                priority: srv.priority(),
                weight: srv.weight(),
                port: srv.port(),
                target: Name::of(srv.target()).to_string().into(),
            };
            Records::Services(records(message, &name, &mut ttl, service)?)
        }
    };
    if !records.is_empty() {
        return Some(Read::Records(records, ttl.unwrap_or_default()));
    }
    // A server that looks for answers follows aliases itself, and says what it found with a SOA or a code; one that says only that there
    // is an alias is asked for that.
    match (message.header().rcode(), denied(message)?, ttl) {
        (Rcode::NXDOMAIN, soa, _) => Some(Read::NoName(soa.unwrap_or_default())),
        (_, None, Some(_)) => Some(Read::Alias(name)),
        (_, soa, _) => Some(Read::NoData(soa.unwrap_or_default())),
    }
}

/// What the aliases of a name lead to in this answer, and for how long they do; nothing if there are none.
fn follow(message: &Message<&[u8]>, name: &Name) -> Option<(Name, Option<Duration>)> {
    let (mut name, mut ttl) = (name.clone(), None);
    for _ in 0..DNS_ALIASES {
        let alias = |cname: Cname<ParsedName<&[u8]>>| Name::of(cname.cname());
        let Some(next) = records(message, &name, &mut ttl, alias)?.pop() else {
            break;
        };
        name = next;
    }
    Some((name, ttl))
}

/// All records of a name and kind, each as `keep` makes it; `ttl` becomes the shortest of their times. `None` if the answer cannot be read.
fn records<'a, D, T>(
    message: &'a Message<&'a [u8]>,
    name: &Name,
    ttl: &mut Option<Duration>,
    keep: impl Fn(D) -> T,
) -> Option<Vec<T>>
where
    D: domain::base::rdata::ParseRecordData<'a, &'a [u8]>,
{
    let mut kept = Vec::new();
    for record in message.answer().ok()?.limit_to_in::<D>() {
        let record = record.ok()?;
        if Name::of(record.owner()) != *name || kept.len() >= DNS_RECORDS {
            continue;
        }
        let its = record.ttl().into_duration();
        *ttl = Some(ttl.map_or(its, |ttl| ttl.min(its)));
        kept.push(keep(record.into_data()));
    }
    Some(kept)
}

/// For how long it is so that there is nothing (RFC 2308 §5), if the answer says so. `None` if it cannot be read.
#[expect(clippy::option_option, reason = "unreadable is not unsaid")]
fn denied(message: &Message<&[u8]>) -> Option<Option<Duration>> {
    let mut authority = message
        .authority()
        .ok()?
        .limit_to_in::<Soa<ParsedName<&[u8]>>>();
    let Some(record) = authority.next() else {
        return Some(None);
    };
    let record = record.ok()?;
    let ttl = record.ttl().min(record.data().minimum());
    Some(Some(ttl.into_duration()))
}
