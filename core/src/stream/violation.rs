//! Each way a stream ends with an error: one variant for each rule, mapped to the condition RFC 6120 §4.9.3 gives it.

use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use crate::federation::Refusal;
use crate::port::{ComponentChange, StreamError};
use crate::sm::TooHigh;
use crate::xml::{Ns, Writer, XmlError};

/// Why we end a stream with an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Violation {
    /// The account was deleted or disabled, or its last admission is void.
    AccountGone,
    /// A component says something before it has shown that it knows the secret.
    BeforeHandshake,
    /// More attempts to bind a resource than allowed (RFC 6120 §7.7.3).
    BindRetries,
    /// A program error of ours.
    Bug,
    /// A certificate that the stream rests on has expired (RFC 6120 §13.7.2.3).
    CertificateExpired,
    /// No component of this name may connect.
    ComponentUnknown,
    /// Another session took this one's resource (`conflict_resolve`).
    Conflict,
    /// A server says after a restart that it speaks for another domain, or to another.
    DomainsChanged,
    /// An administrator ended the session.
    ///
    /// `Choice:` of the conditions of RFC 6120 §4.9.3 none is made for it. `policy-violation` may say in its text whose policy it was
    /// (§4.9.3.14); `reset`, `not-authorized` and `conflict` would tell the client something of its keys, its account or its resource that is not
    /// so. ejabberd has the same.
    Disconnected,
    /// A stranger's connection, whose place another one needs.
    Evicted,
    /// A component sends in the name of another domain (XEP-0114).
    FromOfOthers,
    /// A stanza is from a domain that this server has not proven (RFC 6120 §8.1.2.2).
    FromUnproven,
    /// `from` of a server's header is no domain.
    FromUnusable,
    /// The first element is not a stream header.
    NotAStream,
    /// The client has acknowledged more stanzas than it was sent (XEP-0198 §6).
    HandledTooHigh(TooHigh),
    /// A component does not know the secret.
    Handshake,
    /// Whether a component knows the secret is not told: too many at its address did not.
    HandshakeHeldUp,
    /// The host is no longer served.
    HostGone,
    /// The host is not served here.
    HostUnknown,
    /// The way to the account's shard stayed full until the deadline.
    HandOffFull,
    /// Stream or content namespace (RFC 6120 §4.9.3.10).
    Namespace,
    /// The host has nothing to offer.
    NothingOffered,
    /// The password was changed elsewhere.
    PasswordChanged,
    /// By this rule, nobody talks to the peer, or not like this.
    Peer(Refusal),
    /// A server asks whether a key is ours, and not of which stream (XEP-0220 §2.1.2).
    QuestionWithoutId,
    /// The peer left more unread than the session's queue takes.
    QueueFull,
    /// Too many failed sign-ins, whatever they failed by (RFC 6120 §6.4.5).
    SaslFailures,
    /// A second stream header without a restart, or a stream element where none belongs.
    StreamElement,
    /// A stanza before sign-in and binding are complete (RFC 6120 §4.3.5).
    StanzaBeforeAuthentication,
    /// A stanza before the server has proven any domain (RFC 6120 §4.9.3.12).
    StanzaBeforeProof,
    /// A stanza came back on a stream of ours where none was asked for (XEP-0288), or before it was proven who we are.
    StanzaUnasked,
    /// A stanza of a server or a component without an address of whom it is from and to (RFC 6120 §8.1.1.2, §8.1.2.2).
    StanzaUnaddressed,
    /// The server stops.
    Shutdown,
    /// Negotiation took too long.
    Timeout,
    /// `to` is missing or no address.
    ToMissing,
    /// The host changed after authentication.
    ToChanged,
    /// A stanza is to a domain for which the server has not proven itself, or that is not ours any more (RFC 6120 §8.1.1.2).
    ToUnproven,
    /// More came for the account than could wait for the disk.
    InboxFull,
    /// More bytes before authentication than a sign-in takes.
    UnauthenticatedBytes,
    /// What the account keeps cannot be read, or nobody knows whether it was written.
    Store,
    /// An answer of dialback to what was not asked on this stream (XEP-0220 §3.1).
    ///
    /// `Choice:` the XEP wants it rejected and has no condition for it. What is claimed so is an authorization that nobody has given.
    Unsolicited,
    /// A first-level element we do not support.
    UnsupportedElement,
    /// No version, or a version below 1.0.
    Version,
    /// What the scanner refused.
    Xml(XmlError),
}

impl Violation {
    /// The condition's element name.
    #[must_use]
    pub(crate) const fn condition(self) -> &'static str {
        match self {
            Self::AccountGone
            | Self::BeforeHandshake
            | Self::Handshake
            | Self::StanzaBeforeAuthentication
            | Self::StanzaBeforeProof
            | Self::StanzaUnasked
            | Self::ToChanged
            | Self::Unsolicited => "not-authorized",
            Self::BindRetries
            | Self::Disconnected
            | Self::HandshakeHeldUp
            | Self::SaslFailures
            | Self::UnauthenticatedBytes => "policy-violation",
            Self::Bug | Self::Store => "internal-server-error",
            Self::Conflict => "conflict",
            Self::NotAStream | Self::QuestionWithoutId | Self::StreamElement => "bad-format",
            Self::DomainsChanged
            | Self::FromUnusable
            | Self::StanzaUnaddressed
            | Self::ToMissing => "improper-addressing",
            Self::FromOfOthers | Self::FromUnproven => "invalid-from",
            Self::HostGone => "host-gone",
            Self::ComponentUnknown | Self::HostUnknown | Self::ToUnproven => "host-unknown",
            Self::Peer(refusal) => match refusal.condition() {
                Some(condition) => condition.name(),
                None => "undefined-condition",
            },
            Self::Evicted | Self::HandOffFull | Self::InboxFull | Self::QueueFull => {
                "resource-constraint"
            }
            Self::Namespace => "invalid-namespace",
            Self::HandledTooHigh(_) | Self::NothingOffered => "undefined-condition",
            Self::CertificateExpired | Self::PasswordChanged => "reset",
            Self::Shutdown => "system-shutdown",
            Self::Timeout => "connection-timeout",
            Self::UnsupportedElement => "unsupported-stanza-type",
            Self::Version => "unsupported-version",
            Self::Xml(error) => error.class().condition(),
        }
    }

    /// A sentence for the person who debugs the peer.
    const fn text(self) -> Option<&'static str> {
        match self {
            Self::AccountGone => Some("The account was deleted or disabled"),
            Self::BeforeHandshake => Some("The handshake comes first"),
            Self::BindRetries => Some("Too many attempts to bind a resource"),
            Self::CertificateExpired => Some("The certificate has expired, or one above it"),
            Self::ComponentUnknown => Some("No component of this name is configured here"),
            Self::Conflict => Some("Replaced by new connection"),
            Self::Disconnected => Some("An administrator ended this session"),
            Self::DomainsChanged => Some("The domains of a stream cannot change"),
            Self::Evicted => Some("Too many connections"),
            Self::FromOfOthers => Some("A component sends stanzas from its own domain alone"),
            Self::FromUnproven => Some("Your server has not proven this domain on this stream"),
            Self::FromUnusable => Some("This stream has no usable 'from' attribute"),
            Self::Handshake => Some("The secret is wrong"),
            Self::HandshakeHeldUp => {
                Some("Too many have failed to sign in at this address: try again later")
            }
            Self::HandledTooHigh(_) => Some("More stanzas were acknowledged than were sent"),
            Self::InboxFull => Some("Too much came for the account at a time"),
            Self::NothingOffered => Some("No stream features to proceed with"),
            Self::PasswordChanged => Some("The password was changed"),
            Self::Peer(refusal) => Some(refusal.peer()),
            Self::QuestionWithoutId => Some("A key is verified for a stream, which has an id"),
            Self::QueueFull => Some("Too much was left unread"),
            Self::SaslFailures => Some("Too many failed sign-ins"),
            Self::StanzaBeforeAuthentication => Some("Sign in and bind a resource first"),
            Self::StanzaBeforeProof => Some("Prove a domain first"),
            Self::StanzaUnasked => Some("Stanzas to here need a stream of your own"),
            Self::StanzaUnaddressed => Some("Stanzas need usable 'from' and 'to' attributes here"),
            Self::Store => Some("The account cannot be read or written at the moment"),
            Self::ToChanged => Some("The host cannot change after authentication"),
            Self::ToMissing => Some("This stream has no usable 'to' attribute"),
            Self::ToUnproven => Some("Your server has not proven any domain to this one"),
            Self::Unsolicited => Some("Nobody has asked for this answer"),
            Self::UnauthenticatedBytes => Some("Too much data before authentication"),
            Self::Xml(XmlError::HeaderDeclarations) => {
                Some("The stream header declares too many or too long namespaces")
            }
            Self::Xml(XmlError::Growth) => {
                Some("Its namespaces would make this element too large for others")
            }
            Self::Bug
            | Self::NotAStream
            | Self::HostGone
            | Self::HostUnknown
            | Self::HandOffFull
            | Self::Namespace
            | Self::StreamElement
            | Self::Shutdown
            | Self::Timeout
            | Self::UnsupportedElement
            | Self::Version
            | Self::Xml(_) => None,
        }
    }

    /// What the log is told of a component that is turned away.
    pub(crate) const fn component_change(self) -> Option<ComponentChange> {
        if matches!(self, Self::ComponentUnknown) {
            Some(ComponentChange::Unknown)
        } else if matches!(self, Self::Handshake) {
            Some(ComponentChange::WrongSecret)
        } else if matches!(self, Self::HandshakeHeldUp) {
            Some(ComponentChange::HeldUp)
        } else {
            None
        }
    }

    /// As the log is told of it.
    pub(crate) const fn error(self) -> StreamError {
        StreamError {
            condition: self.condition(),
            text: self.text(),
        }
    }

    /// Whether the stream ends because the server was told so, or another session of the account took its place: no fault, and
    /// nobody to be looked for.
    pub(crate) const fn is_dismissal(self) -> bool {
        match self {
            Self::AccountGone
            | Self::CertificateExpired
            | Self::Conflict
            | Self::Disconnected
            | Self::HostGone
            | Self::PasswordChanged
            | Self::Shutdown => true,
            Self::BeforeHandshake
            | Self::BindRetries
            | Self::Bug
            | Self::ComponentUnknown
            | Self::DomainsChanged
            | Self::Evicted
            | Self::FromOfOthers
            | Self::FromUnproven
            | Self::FromUnusable
            | Self::HandledTooHigh(_)
            | Self::Handshake
            | Self::HandshakeHeldUp
            | Self::NotAStream
            | Self::HostUnknown
            | Self::HandOffFull
            | Self::InboxFull
            | Self::Namespace
            | Self::NothingOffered
            | Self::Peer(_)
            | Self::QuestionWithoutId
            | Self::QueueFull
            | Self::SaslFailures
            | Self::Store
            | Self::StreamElement
            | Self::StanzaBeforeAuthentication
            | Self::StanzaBeforeProof
            | Self::StanzaUnaddressed
            | Self::StanzaUnasked
            | Self::Timeout
            | Self::ToMissing
            | Self::ToChanged
            | Self::ToUnproven
            | Self::Unsolicited
            | Self::UnauthenticatedBytes
            | Self::UnsupportedElement
            | Self::Version
            | Self::Xml(_) => false,
        }
    }

    /// Appends `<stream:error/>` (RFC 6120 §4.9.2) for a stream whose prefix `stream` is ours.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let mut w = Writer::new(out);
        w.open("stream:error");
        w.open(self.condition())
            .attribute("xmlns", Ns::StreamErrors.uri())
            .close();
        if let Self::HandledTooHigh(TooHigh { h, sent }) = self {
            // In the order of XEP-0198 §6.
            w.open("handled-count-too-high")
                .attribute("xmlns", Ns::StreamManagement.uri())
                .attribute("h", &h.to_string())
                .attribute("send-count", &sent.to_string())
                .close();
            w.open("text").attribute("xmlns", Ns::StreamErrors.uri());
            let text = format!("You acknowledged {h} stanzas, but I only sent you {sent} so far.");
            w.attribute("xml:lang", "en").text(&text).close();
        } else if let Some(text) = self.text() {
            w.open("text").attribute("xmlns", Ns::StreamErrors.uri());
            w.attribute("xml:lang", "en").text(text).close();
        }
        // XEP-0478 leaves the condition of a stanza over the limit to others; Prosody's name for it.
        if self == Self::Xml(XmlError::TooBig) {
            w.open("stanza-too-big")
                .attribute("xmlns", "urn:xmpp:errors")
                .close();
        }
        w.close();
    }
}
