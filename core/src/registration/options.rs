//! What an administrator can say of registration.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::jid::prep;
use crate::options::{Item, Source, Unsaid, of_host};

/// The options of registration at one host. How often it may be used is one for the whole server (`Limits`): an address is the same everywhere.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistrationOptions {
    /// `allow_registration`: who makes accounts.
    pub by: WhoRegisters,
    /// `registration_reserved_names`: what nobody can call an account of its own making.
    pub reserved: Vec<Reserved>,
}

/// `allow_registration`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhoRegisters {
    /// Administrators alone.
    Administrators,
    /// Anybody who can connect.
    Anybody,
}

/// A prepared localpart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reserved(Box<str>);

impl RegistrationOptions {
    /// What `from` says of them. Warns of what invites abuse.
    pub fn read(from: &mut impl Source) -> Self {
        let by = from.either(
            &of_host(
                "allow_registration",
                "Anybody can make accounts, from a client, without asking. Servers that allow it are found and used for spam within days; \
                 without it accounts are made with `spondee user add`.",
            )
            .elsewhere("true"),
            WhoRegisters::Administrators,
            [WhoRegisters::Anybody, WhoRegisters::Administrators],
        );
        let reserved = from.list(
            &of_host(
                "registration_reserved_names",
                "Names that nobody can register, because people would take their owner for the administrator. `spondee user add` can.",
            ),
            RESERVED,
        );
        if by == WhoRegisters::Anybody {
            from.warn(
                "anybody can make accounts: `allow_registration` is true, so that spammers can"
                    .into(),
            );
        }
        Self { by, reserved }
    }
}

impl Default for RegistrationOptions {
    fn default() -> Self {
        Self::read(&mut Unsaid)
    }
}

/// Of the names of RFC 2142 those that have to do with this service, and those that administrators have elsewhere.
const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "hostmaster",
    "noc",
    "postmaster",
    "root",
    "security",
    "support",
    "webmaster",
    "xmpp",
];

impl Reserved {
    /// Whether this is the name of an account.
    #[must_use]
    pub fn is(&self, local: Option<&str>) -> bool {
        local == Some(&*self.0)
    }
}

impl Item for Reserved {
    const WANTED: &'static str = "a list of names in quotes, such as \"admin\"";
    const NONE: &'static str = "no name of an account such as \"admin\"";

    fn read(text: &str) -> Option<Self> {
        let local = prep::localpart(text).ok()?;
        Some(Self(local.into()))
    }
}
