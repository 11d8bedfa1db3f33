//! SASL error conditions in the order of RFC 6120 §6.5.

/// Why an exchange failed: the element inside `<failure/>`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// §6.5.1: the client asked to stop.
    Aborted,
    /// §6.5.2: the account is disabled. Said only after the password was right.
    AccountDisabled,
    /// §6.5.3.
    CredentialsExpired,
    /// §6.5.4: TLS first.
    EncryptionRequired,
    /// §6.5.5: not strict base64.
    IncorrectEncoding,
    /// §6.5.6: another's authorization identity, or not one at all.
    InvalidAuthzid,
    /// §6.5.7: not offered.
    InvalidMechanism,
    /// §6.5.8: the mechanism's message cannot be read, or does not fit this exchange: wrong nonce, channel binding or its flag.
    /// Choice: Prosody's name for these. A client does not ask for another password on it, and in front of an attacker it should
    /// not.
    MalformedRequest,
    /// §6.5.9.
    MechanismTooWeak,
    /// §6.5.10: wrong password, unknown user, wrong proof: all alike.
    NotAuthorized,
    /// §6.5.10 by name: a response to no challenge. There was no password.
    OutOfOrder,
    /// §6.5.11: the store or the workers cannot answer now, or nobody gets an answer after so many failures.
    TemporaryAuthFailure,
}

/// What a failure is about: that decides where it counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// A password that was tried. Counts for the stream, the address and the account (`throttle`).
    Password,
    /// How the client goes about it: no password was looked at. Counts for the stream alone, and apart from passwords.
    Negotiation,
    /// The server, which does not say now what the password is worth. Counts for the stream.
    Server,
}

impl Failure {
    /// What it is about.
    #[must_use]
    pub const fn subject(self) -> Subject {
        match self {
            Self::AccountDisabled | Self::CredentialsExpired | Self::NotAuthorized => {
                Subject::Password
            }
            Self::Aborted
            | Self::EncryptionRequired
            | Self::IncorrectEncoding
            | Self::InvalidAuthzid
            | Self::InvalidMechanism
            | Self::MalformedRequest
            | Self::MechanismTooWeak
            | Self::OutOfOrder => Subject::Negotiation,
            Self::TemporaryAuthFailure => Subject::Server,
        }
    }

    /// Whether it tells something of a password that was tried: such failures are counted, and held up (`throttle`).
    #[must_use]
    pub const fn is_about_a_password(self) -> bool {
        matches!(self.subject(), Subject::Password)
    }

    /// The element's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aborted => "aborted",
            Self::AccountDisabled => "account-disabled",
            Self::CredentialsExpired => "credentials-expired",
            Self::EncryptionRequired => "encryption-required",
            Self::IncorrectEncoding => "incorrect-encoding",
            Self::InvalidAuthzid => "invalid-authzid",
            Self::InvalidMechanism => "invalid-mechanism",
            Self::MalformedRequest => "malformed-request",
            Self::MechanismTooWeak => "mechanism-too-weak",
            Self::NotAuthorized | Self::OutOfOrder => "not-authorized",
            Self::TemporaryAuthFailure => "temporary-auth-failure",
        }
    }
}
