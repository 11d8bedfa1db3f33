//! Stanza error conditions in the order of RFC 6120 §8.3.3.

macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident;)*) => {
        /// A defined condition (RFC 6120 §8.3.3) that we send or relay.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Condition {
            $($(#[$doc])* $name,)*
        }

        impl Condition {
            /// Every condition, in the order of the RFC.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The element's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// The error type that the RFC gives or recommends for it.
            #[must_use]
            pub const fn kind(self) -> ErrorType {
                match self {
                    $(Self::$name => ErrorType::$kind,)*
                }
            }
        }
    };
}

/// The `type` of an error (RFC 6120 §8.3.2): what the sender may do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorType {
    /// Retry after providing credentials.
    Auth,
    /// Do not retry.
    Cancel,
    /// Proceed: the condition was only a warning.
    Continue,
    /// Retry after changing the data sent.
    Modify,
    /// Retry after waiting.
    Wait,
}

impl ErrorType {
    /// The attribute's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Cancel => "cancel",
            Self::Continue => "continue",
            Self::Modify => "modify",
            Self::Wait => "wait",
        }
    }
}

conditions! {
    /// §8.3.3.1.
    BadRequest = "bad-request", Modify;
    /// §8.3.3.2.
    Conflict = "conflict", Cancel;
    /// §8.3.3.3.
    FeatureNotImplemented = "feature-not-implemented", Cancel;
    /// §8.3.3.4.
    Forbidden = "forbidden", Auth;
    /// §8.3.3.5.
    Gone = "gone", Cancel;
    /// §8.3.3.6.
    InternalServerError = "internal-server-error", Cancel;
    /// §8.3.3.7.
    ItemNotFound = "item-not-found", Cancel;
    /// §8.3.3.8.
    JidMalformed = "jid-malformed", Modify;
    /// §8.3.3.9.
    NotAcceptable = "not-acceptable", Modify;
    /// §8.3.3.10.
    NotAllowed = "not-allowed", Cancel;
    /// §8.3.3.11.
    NotAuthorized = "not-authorized", Auth;
    /// §8.3.3.12.
    PolicyViolation = "policy-violation", Modify;
    /// §8.3.3.13.
    RecipientUnavailable = "recipient-unavailable", Wait;
    /// §8.3.3.14.
    Redirect = "redirect", Modify;
    /// §8.3.3.15.
    RegistrationRequired = "registration-required", Auth;
    /// §8.3.3.16.
    RemoteServerNotFound = "remote-server-not-found", Cancel;
    /// §8.3.3.17.
    RemoteServerTimeout = "remote-server-timeout", Wait;
    /// §8.3.3.18.
    ResourceConstraint = "resource-constraint", Wait;
    /// §8.3.3.19.
    ServiceUnavailable = "service-unavailable", Cancel;
    /// §8.3.3.20.
    SubscriptionRequired = "subscription-required", Auth;
    /// §8.3.3.21.
    UndefinedCondition = "undefined-condition", Cancel;
    /// §8.3.3.22.
    UnexpectedRequest = "unexpected-request", Wait;
}
