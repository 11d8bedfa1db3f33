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
    /// XEP-0288 §2.2.
    Bidi = "urn:xmpp:bidi";
    /// XEP-0288 §2.1.
    BidiFeature = "urn:xmpp:features:bidi";
    /// RFC 6120 §7.4.
    Bind = "urn:ietf:params:xml:ns:xmpp-bind";
    /// XEP-0191.
    Blocking = "urn:xmpp:blocking";
    /// XEP-0191 §3.3.
    BlockingErrors = "urn:xmpp:blocking:errors";
    /// XEP-0115.
    Capabilities = "http://jabber.org/protocol/caps";
    /// XEP-0280.
    Carbons = "urn:xmpp:carbons:2";
    /// XEP-0333.
    ChatMarkers = "urn:xmpp:chat-markers:0";
    /// XEP-0085.
    ChatStates = "http://jabber.org/protocol/chatstates";
    /// RFC 6120 §4.8.2: the content namespace between clients and servers.
    Client = "jabber:client";
    /// XEP-0352.
    ClientState = "urn:xmpp:csi:0";
    /// XEP-0114: the content namespace between components and servers.
    Component = "jabber:component:accept";
    /// XEP-0249.
    Conference = "jabber:x:conference";
    /// XEP-0004.
    DataForms = "jabber:x:data";
    /// XEP-0122.
    DataValidation = "http://jabber.org/protocol/xdata-validate";
    /// XEP-0203.
    Delay = "urn:xmpp:delay";
    /// XEP-0220 §2.4.1.
    Dialback = "jabber:server:dialback";
    /// XEP-0220 §2.4.2.
    DialbackFeature = "urn:xmpp:features:dialback";
    /// XEP-0030 §3.
    DiscoInfo = "http://jabber.org/protocol/disco#info";
    /// XEP-0030 §4.
    DiscoItems = "http://jabber.org/protocol/disco#items";
    /// XEP-0380.
    Encryption = "urn:xmpp:eme:0";
    /// XEP-0297.
    Forward = "urn:xmpp:forward:0";
    /// XEP-0334.
    Hints = "urn:xmpp:hints";
    /// XEP-0353.
    JingleMessage = "urn:xmpp:jingle-message:0";
    /// XEP-0012 §2.
    LastActivity = "jabber:iq:last";
    /// What clients call XEP-0384 that implement its early versions.
    LegacyOmemo = "eu.siacs.conversations.axolotl";
    /// XEP-0478 §3.1.
    Limits = "urn:xmpp:stream-limits:0";
    /// XEP-0313.
    Mam = "urn:xmpp:mam:2";
    /// XEP-0313 §7.
    MamExtended = "urn:xmpp:mam:2#extended";
    /// XEP-0313 §7.
    MamGroupchatField = "urn:xmpp:mam:2#groupchat-field";
    /// XEP-0045 §7.8.2.
    MucUser = "http://jabber.org/protocol/muc#user";
    /// XEP-0384.
    Omemo = "urn:xmpp:omemo:2";
    /// XEP-0199.
    Ping = "urn:xmpp:ping";
    /// RFC 6121 §3.4.
    PreApproval = "urn:xmpp:features:pre-approval";
    /// XEP-0049 §2.
    Private = "jabber:iq:private";
    /// XEP-0444.
    Reactions = "urn:xmpp:reactions:0";
    /// XEP-0184.
    Receipts = "urn:xmpp:receipts";
    /// XEP-0077.
    Registration = "jabber:iq:register";
    /// XEP-0077 §8.
    RegistrationFeature = "http://jabber.org/features/iq-register";
    /// XEP-0424.
    Retraction = "urn:xmpp:message-retract:1";
    /// RFC 6121 §2.
    Roster = "jabber:iq:roster";
    /// RFC 6121 §2.6.1.
    RosterVersioning = "urn:xmpp:features:rosterver";
    /// XEP-0059.
    Rsm = "http://jabber.org/protocol/rsm";
    /// RFC 6120 §6.4.
    Sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
    /// XEP-0440.
    SaslChannelBinding = "urn:xmpp:sasl-cb:0";
    /// RFC 6120 §4.8.2: the content namespace between servers.
    Server = "jabber:server";
    /// XEP-0157 §3: the type of a form.
    ServerInfo = "http://jabber.org/network/serverinfo";
    /// RFC 3921 §3, kept for old clients.
    Session = "urn:ietf:params:xml:ns:xmpp-session";
    /// RFC 6120 §8.3.3.
    StanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas";
    /// XEP-0359.
    StanzaIds = "urn:xmpp:sid:0";
    /// RFC 6120 §4.9.3.
    StreamErrors = "urn:ietf:params:xml:ns:xmpp-streams";
    /// XEP-0198.
    StreamManagement = "urn:xmpp:sm:3";
    /// RFC 6120 §4.8.1.
    Streams = "http://etherx.jabber.org/streams";
    /// XEP-0202.
    Time = "urn:xmpp:time";
    /// RFC 6120 §5.4.
    Tls = "urn:ietf:params:xml:ns:xmpp-tls";
    /// XEP-0054.
    VCard = "vcard-temp";
    /// XEP-0092.
    Version = "jabber:iq:version";
    /// Bound to the prefix `xml` by XML Namespaces §3.
    Xml = "http://www.w3.org/XML/1998/namespace";
    /// Bound to the prefix `xmlns` by XML Namespaces §3.
    Xmlns = "http://www.w3.org/2000/xmlns/";
}
