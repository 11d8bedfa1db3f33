//! Which namespace the stanzas of a stream are in.

use super::Ns;

/// The content namespace of a stream, by the kind of peer (RFC 6120 §4.8.2, XEP-0114). Elements that were scanned have one form whatever
/// it is: that of jabber:client, so that a stanza goes from any stream to any other as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// jabber:client.
    Client,
    /// jabber:server.
    Server,
    /// jabber:component:accept.
    Component,
}

impl Content {
    /// The namespace.
    #[must_use]
    pub const fn ns(self) -> Ns {
        match self {
            Self::Client => Ns::Client,
            Self::Server => Ns::Server,
            Self::Component => Ns::Component,
        }
    }

    /// Its name with quotes.
    pub(super) const fn quoted(self) -> &'static [u8] {
        match self {
            Self::Client => b"'jabber:client'",
            Self::Server => b"'jabber:server'",
            Self::Component => b"'jabber:component:accept'",
        }
    }

    /// Whether this name means the content namespace. jabber:client does everywhere, or an element that says so would have two forms.
    pub(super) fn is(self, uri: &[u8]) -> bool {
        uri == Ns::Client.uri().as_bytes() || self.is_other(uri)
    }

    /// Whether it does so and must be written as jabber:client.
    pub(super) fn is_other(self, uri: &[u8]) -> bool {
        match self {
            Self::Client => false,
            Self::Server | Self::Component => uri == self.ns().uri().as_bytes(),
        }
    }

    /// The namespace of an element that says it is in this one.
    pub(super) fn internal(self, ns: Ns) -> Ns {
        match self {
            Self::Client => ns,
            Self::Server | Self::Component if ns == self.ns() => Ns::Client,
            Self::Server | Self::Component => ns,
        }
    }
}
