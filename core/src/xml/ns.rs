//! The one table of namespaces the server understands.

macro_rules! namespaces {
    ($($(#[$doc:meta])* $name:ident = $uri:literal;)*) => {
        /// A namespace: one the server understands, or another. The name of another is kept to the byte in the element itself.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Ns {
            $($(#[$doc])* $name,)*
            /// Any namespace the server has no use for.
            Other,
            /// Elements in no namespace.
            None,
        }

        impl Ns {
            /// The row whose name is `uri`, to the byte (no case folding, no normalisation).
            #[must_use]
            pub fn from_uri(uri: &str) -> Self {
                match uri {
                    "" => Self::None,
                    $($uri => Self::$name,)*
                    _ => Self::Other,
                }
            }

            /// The namespace name; empty for `None` and `Other`.
            #[must_use]
            pub const fn uri(self) -> &'static str {
                match self {
                    $(Self::$name => $uri,)*
                    Self::Other | Self::None => "",
                }
            }
        }
    };
}

namespaces! {
    /// RFC 6120 §7.4.
    Bind = "urn:ietf:params:xml:ns:xmpp-bind";
    /// XEP-0191.
    Blocking = "urn:xmpp:blocking";
    /// XEP-0191 §3.3.
    BlockingErrors = "urn:xmpp:blocking:errors";
    /// RFC 6120 §4.8.2: the content namespace between clients and servers.
    Client = "jabber:client";
    /// XEP-0114: the content namespace between components and servers.
    Component = "jabber:component:accept";
    /// XEP-0030 §3.
    DiscoInfo = "http://jabber.org/protocol/disco#info";
    /// XEP-0030 §4.
    DiscoItems = "http://jabber.org/protocol/disco#items";
    /// XEP-0012 §2.
    LastActivity = "jabber:iq:last";
    /// XEP-0478 §3.1.
    Limits = "urn:xmpp:stream-limits:0";
    /// XEP-0199.
    Ping = "urn:xmpp:ping";
    /// RFC 6121 §3.4.
    PreApproval = "urn:xmpp:features:pre-approval";
    /// RFC 6121 §2.
    Roster = "jabber:iq:roster";
    /// RFC 6121 §2.6.1.
    RosterVersioning = "urn:xmpp:features:rosterver";
    /// RFC 6120 §6.4.
    Sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// XEP-0440.
    SaslChannelBinding = "urn:xmpp:sasl-cb:0";
    /// RFC 6120 §4.8.2: the content namespace between servers.
    Server = "jabber:server";
    /// RFC 3921 §3, kept for old clients.
    Session = "urn:ietf:params:xml:ns:xmpp-session";
    /// RFC 6120 §8.3.3.
    StanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// RFC 6120 §4.9.3.
    StreamErrors = "urn:ietf:params:xml:ns:xmpp-streams";
    /// RFC 6120 §4.8.1.
    Streams = "http://etherx.jabber.org/streams";
    /// XEP-0202.
    Time = "urn:xmpp:time";
    /// RFC 6120 §5.4.
    Tls = "urn:ietf:params:xml:ns:xmpp-tls";
    /// XEP-0092.
    Version = "jabber:iq:version";
    /// Bound to the prefix `xml` by XML Namespaces §3.
    Xml = "http://www.w3.org/XML/1998/namespace";
    /// Bound to the prefix `xmlns` by XML Namespaces §3.
    Xmlns = "http://www.w3.org/2000/xmlns/";
}
