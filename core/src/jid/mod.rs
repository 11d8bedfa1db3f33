//! Addresses by RFC 7622: parsed, prepared once, compared as bytes ever after.

pub mod prep;

use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{Hash, Hasher};

pub use prep::JidError;

/// A prepared domainpart (RFC 7622 §3.2).
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Domain(Arc<str>);

/// A prepared resourcepart (RFC 7622 §3.4).
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Resource(Arc<str>);

/// An address without a resource: an account, a room or a domain.
#[derive(Clone)]
pub struct BareJid {
    text: Arc<str>,
    /// Byte offset of `@`; `NO_PART` if there is no localpart.
    at: u16,
}

/// An address with or without a resource. One shared string and two offsets; cloning costs a count.
#[derive(Clone)]
pub struct Jid {
    text: Arc<str>,
    at: u16,
    /// Byte offset of `/`; `NO_PART` if there is no resource.
    slash: u16,
}

const NO_PART: u16 = u16::MAX;

impl Domain {
    /// # Errors
    /// What RFC 7622 §3.2 forbids.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let _ = text;
        todo!()
    }
    /// The prepared text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Resource {
    /// # Errors
    /// What RFC 7622 §3.4 forbids.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let _ = text;
        todo!()
    }
    /// The prepared text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl BareJid {
    /// # Errors
    /// A part that RFC 7622 forbids, or a resource.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let _ = text;
        todo!()
    }
    /// The account `local` at `domain`; prepares `local`.
    ///
    /// # Errors
    /// What RFC 7622 §3.3 forbids.
    pub fn new(local: &str, domain: &Domain) -> Result<Self, JidError> {
        let _ = (local, domain);
        todo!()
    }
    /// The address of a host itself.
    #[must_use]
    pub fn of_domain(domain: &Domain) -> Self {
        Self {
            text: domain.0.clone(),
            at: NO_PART,
        }
    }
    /// The localpart.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        self.text
            .get(..usize::from(self.at))
            .filter(|_| self.at != NO_PART)
    }
    /// The domainpart.
    #[must_use]
    pub fn domain(&self) -> &str {
        todo!()
    }
    /// `local@domain`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// This account's address with `resource`.
    #[must_use]
    pub fn with_resource(&self, resource: &Resource) -> Jid {
        let _ = resource;
        todo!()
    }
}

impl Jid {
    /// Splits, prepares and joins (RFC 7622 §3.1): from the first `/` on is the resource, before it up to the first `@` the
    /// localpart.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let _ = text;
        todo!()
    }
    /// The localpart.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        todo!()
    }
    /// The domainpart.
    #[must_use]
    pub fn domain(&self) -> &str {
        todo!()
    }
    /// The resourcepart.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        todo!()
    }
    /// `local@domain` without allocating: what maps of accounts are asked by.
    #[must_use]
    pub fn bare(&self) -> &str {
        let end = usize::from(self.slash);
        self.text
            .get(..end)
            .filter(|_| self.slash != NO_PART)
            .unwrap_or(&self.text)
    }
    /// The bare address as a value of its own.
    #[must_use]
    pub fn to_bare(&self) -> BareJid {
        todo!()
    }
    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<BareJid> for Jid {
    fn from(bare: BareJid) -> Self {
        Self {
            text: bare.text,
            at: bare.at,
            slash: NO_PART,
        }
    }
}

impl Borrow<str> for BareJid {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Resource {
    fn borrow(&self) -> &str {
        &self.0
    }
}

macro_rules! text_identity {
    ($($name:ident),*) => {$(
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.text == other.text
            }
        }
        impl Eq for $name {}
        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> core::cmp::Ordering {
                self.text.cmp(&other.text)
            }
        }
        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.text.hash(state);
            }
        }
    )*};
}
text_identity!(BareJid, Jid);

macro_rules! text_display {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    )*};
}
text_display!(BareJid, Domain, Jid, Resource);

#[expect(
    dead_code,
    reason = "shape of what the parser builds; the jid slice uses it"
)]
fn join(local: Option<&str>, domain: &str, resource: Option<&str>) -> String {
    let _ = (local, domain, resource);
    todo!()
}
