//! The opening tags, theirs and ours (RFC 6120 §4.2, §4.7).

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::client::{Awaited, Client};
use super::{Cx, Event, State, Stream, Violation};
use crate::jid::{BareJid, Domain, Jid};
use crate::limits::STREAM_LANG_BYTES;
use crate::xml::{Header, Ns, escape_attribute};

impl Stream {
    pub(super) fn on_header(&mut self, cx: &mut Cx<'_>, header: &Header) -> Option<Event> {
        let awaited = match core::mem::replace(&mut self.state, State::Closed) {
            State::Client(Client::Header(awaited)) => awaited,
            State::Server(server) => return self.on_server_header(cx, *server, header),
            State::Outgoing(outgoing) => return self.on_peer_header(cx, outgoing, header),
            State::Component(component) => {
                return Some(self.on_component_header(cx, component, header));
            }
            state @ (State::Client(_) | State::Closing(_) | State::Closed) => {
                self.state = state;
                return Some(self.fail(cx, Violation::StreamElement));
            }
        };
        let account = match &awaited {
            Awaited::First(..) => None,
            Awaited::AfterSasl(account) => Some(account),
        };
        let addressed = match check(cx, header, account) {
            Ok(addressed) => addressed,
            Err(violation) => {
                self.state = State::Client(Client::Header(awaited));
                // RFC 6120 §4.7.1: the response names one of our hosts; only without a known one is it empty (§4.9.1.3).
                let host = header.to.as_deref().and_then(host_of);
                let host = host.filter(|host| cx.config.accounts(host).is_some());
                let from = host.as_ref().map_or("", Domain::as_str);
                let version = Version::answering(header.version.as_deref());
                return Some(self.fail_from(cx, from, version, violation));
            }
        };
        // `Choice:` what is longer, or has other characters than RFC 5646 §2.1, is no language (RFC 6120 §4.7.4) and not heard.
        self.lang = lang(header);
        match awaited {
            Awaited::First(transport, failures) => self.open(cx, addressed, transport, failures),
            Awaited::AfterSasl(account) => self.reopen(cx, &addressed, account),
        }
    }

    /// Our opening tag. `from` is empty where the error is that there is no such host (RFC 6120 §4.9.1.3).
    pub(super) fn write_header(
        &self,
        cx: &mut Cx<'_>,
        from: &str,
        to: Option<&BareJid>,
        version: Version,
    ) {
        let id = cx.entropy.id("stream");
        cx.say(|out| {
            out.extend_from_slice(
                b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
                  xmlns:stream='http://etherx.jabber.org/streams'",
            );
            version.write(out);
            out.extend_from_slice(b" xml:lang='en' id='");
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(b"' from='");
            escape_attribute(out, from);
            if let Some(to) = to {
                out.extend_from_slice(b"' to='");
                escape_attribute(out, to.as_str());
            }
            out.extend_from_slice(b"'>");
        });
    }
}

/// The language of what comes on a stream (RFC 6120 §4.7.4), if its header says one.
pub(super) fn lang(header: &Header) -> Option<Arc<str>> {
    let lang = header.lang.as_deref();
    let lang = lang.filter(|lang| lang.len() <= STREAM_LANG_BYTES && is_language(lang));
    lang.map(Into::into)
}

/// Letters, digits and hyphens: nothing that would have to be escaped in every stanza.
fn is_language(lang: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    lang.bytes().all(fits)
}

/// Whom a header is to, and from whom.
pub(super) struct Addressed {
    pub(super) host: Domain,
    pub(super) from: Option<BareJid>,
}

/// The host that an address is at. RFC 6120 §4.7.2 wants a domainpart and nothing else. `Choice:` whatever stands around it is not
/// used, so it ends nothing.
pub(super) fn host_of(to: &str) -> Option<Domain> {
    Jid::parse(to).ok().map(|to| to.to_bare().to_domain())
}

/// `account` is whose stream it is, after SASL.
fn check(cx: &Cx<'_>, header: &Header, account: Option<&BareJid>) -> Result<Addressed, Violation> {
    if header.ns != Ns::Streams {
        return Err(Violation::Namespace);
    }
    if header.name != "stream" {
        return Err(Violation::NotAStream);
    }
    // RFC 6120 §4.8.2: without a default content namespace, each stanza declares its own.
    if !matches!(header.content, Ns::Client | Ns::None | Ns::Streams) {
        return Err(Violation::Namespace);
    }
    if !header.version.as_deref().is_some_and(is_1_0_or_later) {
        return Err(Violation::Version);
    }
    let host = match (header.to.as_deref(), account) {
        (Some(to), _) => host_of(to).ok_or(Violation::ToMissing)?,
        // RFC 6120 §4.7.2: be liberal in accepting headers without `to`; here it is known whose stream it is.
        (None, Some(account)) => account.to_domain(),
        (None, None) => return Err(Violation::ToMissing),
    };
    if cx.config.accounts(&host).is_none() {
        return Err(Violation::HostUnknown);
    }
    // RFC 6120 §4.7.2: we answer to the bare address, whatever the client wrote behind it; where it wrote no address, to none.
    //
    // `Deviation:` RFC 6120 §6.4.6 wants a sign-in ended that is by another name than this. Clients say here what they like (the name
    // of their machine), and nothing is ever done in this name: who signs in is known by the credentials alone.
    let from = header.from.as_deref();
    let from = from.and_then(|from| Jid::parse(from).ok());
    Ok(Addressed {
        host,
        from: from.map(|from| from.to_bare()),
    })
}

/// RFC 6120 §4.7.5: two numbers, compared as numbers. A missing version means 0.9, which had neither TLS nor SASL.
pub(super) fn is_1_0_or_later(version: &str) -> bool {
    numbers(version).is_some_and(|(major, _)| !is_zero(major))
}

/// The digits in front of the dot and behind it.
fn numbers(version: &str) -> Option<(&str, &str)> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    version
        .split_once('.')
        .filter(|(major, minor)| digits(major) && digits(minor))
}

fn is_zero(number: &str) -> bool {
    number.trim_start_matches('0').is_empty()
}

/// What our header says as its version. RFC 6120 §4.7.5: the lower of both, and none to who says none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    /// 1.0, to who speaks that or later, or something else.
    Ours,
    /// 0 and this behind the dot: what a client speaks that is older.
    Older(u32),
    /// To who says none.
    Unsaid,
}

impl Version {
    pub(super) fn answering(said: Option<&str>) -> Self {
        let Some(said) = said else {
            return Self::Unsaid;
        };
        match numbers(said) {
            Some((major, minor)) if is_zero(major) => minor.parse().map_or(Self::Ours, Self::Older),
            Some(_) | None => Self::Ours,
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Ours => out.extend_from_slice(b" version='1.0'"),
            Self::Older(minor) => {
                out.extend_from_slice(format!(" version='0.{minor}'").as_bytes());
            }
            Self::Unsaid => {}
        }
    }
}
