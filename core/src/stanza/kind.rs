//! The three stanzas and their types.

/// Which stanza, of which type.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// `<iq/>`.
    Iq(IqType),
    /// `<message/>`.
    Message(MessageType),
    /// `<presence/>`.
    Presence(PresenceType),
}

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl $name {
            /// The type of this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The attribute's value; for the type that is written by leaving the attribute out, its name in the RFC.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    )*};
}

types! {
    /// RFC 6120 §8.2.3.
    IqType {
        Error = "error",
        Get = "get",
        Result = "result",
        Set = "set",
    }
    /// RFC 6121 §5.2.2.
    MessageType {
        Chat = "chat",
        Error = "error",
        Groupchat = "groupchat",
        Headline = "headline",
        Normal = "normal",
    }
    /// RFC 6121 §4.7.1. `Available` is the absence of the attribute.
    PresenceType {
        Available = "available",
        Error = "error",
        Probe = "probe",
        Subscribe = "subscribe",
        Subscribed = "subscribed",
        Unavailable = "unavailable",
        Unsubscribe = "unsubscribe",
        Unsubscribed = "unsubscribed",
    }
}

impl Kind {
    /// The element's name.
    #[must_use]
    pub const fn element(self) -> &'static str {
        match self {
            Self::Iq(_) => "iq",
            Self::Message(_) => "message",
            Self::Presence(_) => "presence",
        }
    }

    /// What to write as `type`; `None` where the default says it (RFC 6121 §5.2.2 and §4.7.1).
    #[must_use]
    pub const fn type_attribute(self) -> Option<&'static str> {
        match self {
            Self::Iq(kind) => Some(kind.name()),
            Self::Message(MessageType::Normal) | Self::Presence(PresenceType::Available) => None,
            Self::Message(kind) => Some(kind.name()),
            Self::Presence(kind) => Some(kind.name()),
        }
    }

    /// The same stanza with type `error`.
    #[must_use]
    pub const fn to_error(self) -> Self {
        match self {
            Self::Iq(_) => Self::Iq(IqType::Error),
            Self::Message(_) => Self::Message(MessageType::Error),
            Self::Presence(_) => Self::Presence(PresenceType::Error),
        }
    }

    /// Whether an error may answer it: never an error (RFC 6120 §8.3.1), nor an IQ result.
    #[must_use]
    pub const fn may_be_refused(self) -> bool {
        !matches!(
            self,
            Self::Iq(IqType::Error | IqType::Result)
                | Self::Message(MessageType::Error)
                | Self::Presence(PresenceType::Error)
        )
    }
}
