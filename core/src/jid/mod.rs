//! Addresses by RFC 7622: parsed, prepared once, compared as bytes ever after.
//!
//! An address is one shared string and the places of its separators, so that cloning it, cutting it and
//! asking a map by its bare form cost no allocation. What a part may hold is `prep`'s business; this
//! module knows only where parts begin and end.

mod classes;
pub mod prep;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{Hash, Hasher};

use memchr::memchr;

pub use prep::JidError;

use crate::options::Item;

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

/// In place of an offset. No address is so long: 3071 bytes at most (RFC 7622 §3.1).
const NO_PART: u16 = u16::MAX;

impl Domain {
    /// # Errors
    /// What RFC 7622 §3.2 forbids.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        Ok(Self(Arc::from(&*prep::domainpart(text)?)))
    }
    /// The prepared text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// As DNS and TLS have it: in A-labels (RFC 5890 §2.3.2.1). An address stays as it is.
    #[must_use]
    pub fn to_ascii(&self) -> Cow<'_, str> {
        prep::to_ascii(self.as_str())
    }
}

impl Resource {
    /// # Errors
    /// What RFC 7622 §3.4 forbids.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        Ok(Self(Arc::from(&*prep::resourcepart(text)?)))
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
        if text.contains('/') {
            return Err(JidError::Resource);
        }
        let Jid { text, at, .. } = Jid::parse(text)?;
        Ok(Self { text, at })
    }
    /// The account `local` at `domain`; prepares `local`.
    ///
    /// # Errors
    /// What RFC 7622 §3.3 forbids.
    pub fn new(local: &str, domain: &Domain) -> Result<Self, JidError> {
        let local = prep::localpart(local)?;
        Ok(Self {
            at: offset(local.len()),
            text: Arc::from(join(Some(&local), domain.as_str(), None)),
        })
    }
    /// What `as_str` gave.
    pub(crate) fn of_prepared(text: &str) -> Self {
        Self {
            at: memchr(b'@', text.as_bytes()).map_or(NO_PART, offset),
            text: Arc::from(text),
        }
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
        local(&self.text, self.at)
    }
    /// The domainpart.
    #[must_use]
    pub fn domain(&self) -> &str {
        domain(&self.text, self.at)
    }
    /// The domainpart as a value of its own.
    #[must_use]
    pub fn to_domain(&self) -> Domain {
        match self.at {
            NO_PART => Domain(self.text.clone()),
            _ => Domain(Arc::from(self.domain())),
        }
    }
    /// `local@domain`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
    /// This account's address with `resource`.
    #[must_use]
    pub fn with_resource(&self, resource: &Resource) -> Jid {
        Jid {
            text: Arc::from(join(None, &self.text, Some(resource.as_str()))),
            at: self.at,
            slash: offset(self.text.len()),
        }
    }
}

/// The address of an account.
impl Item for Domain {
    const WANTED: &'static str = "a list of domains in quotes";
    const NONE: &'static str =
        "no domain such as \"example.org\", of which each stands for itself alone";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl Item for BareJid {
    const WANTED: &'static str = "a list of addresses in quotes, such as \"bot@example.org\"";
    const NONE: &'static str = "no account's address such as \"bot@example.org\"";

    fn read(text: &str) -> Option<Self> {
        let account = Self::parse(text).ok();
        account.filter(|account| account.local().is_some())
    }
}

impl Jid {
    /// Splits, prepares and joins (RFC 7622 §3.1): from the first `/` on is the resource, before it up to the first `@` the
    /// localpart.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(text: &str) -> Result<Self, JidError> {
        let (bare, resource) = cut(text);
        let (local, domain) = match memchr(b'@', bare.as_bytes()) {
            Some(at) => (bare.get(..at), bare.get(at + 1..).unwrap_or_default()),
            None => (None, bare),
        };
        let local = local.map(prep::localpart).transpose()?;
        let domain = prep::domainpart(domain)?;
        let resource = resource.map(prep::resourcepart).transpose()?;

        let bare_bytes = local.as_ref().map_or(0, |local| local.len() + 1) + domain.len();
        let bytes = bare_bytes + resource.as_ref().map_or(0, |resource| resource.len() + 1);
        // Usually nothing had to change: one allocation. The length tells of a final dot taken off the domain.
        let is_prepared = bytes == text.len()
            && matches!(domain, Cow::Borrowed(_))
            && !matches!(local, Some(Cow::Owned(_)))
            && !matches!(resource, Some(Cow::Owned(_)));
        Ok(Self {
            at: local.as_ref().map_or(NO_PART, |local| offset(local.len())),
            slash: resource.as_ref().map_or(NO_PART, |_| offset(bare_bytes)),
            text: if is_prepared {
                Arc::from(text)
            } else {
                Arc::from(join(local.as_deref(), &domain, resource.as_deref()))
            },
        })
    }
    /// The localpart.
    #[must_use]
    pub fn local(&self) -> Option<&str> {
        local(&self.text, self.at)
    }
    /// The domainpart.
    #[must_use]
    pub fn domain(&self) -> &str {
        domain(self.bare(), self.at)
    }
    /// The resourcepart.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        // Behind `NO_PART` there is nothing, so that it needs no check.
        self.text.get(usize::from(self.slash) + 1..)
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
        BareJid {
            text: match self.slash {
                NO_PART => self.text.clone(),
                _ => Arc::from(self.bare()),
            },
            at: self.at,
        }
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

/// The bare address and what stands behind the first `/`.
fn cut(text: &str) -> (&str, Option<&str>) {
    memchr(b'/', text.as_bytes()).map_or((text, None), |slash| {
        (text.get(..slash).unwrap_or_default(), text.get(slash + 1..))
    })
}

fn join(local: Option<&str>, domain: &str, resource: Option<&str>) -> String {
    let beside = |part: &str| part.len() + 1;
    let bytes = local.map_or(0, beside) + domain.len() + resource.map_or(0, beside);
    let mut text = String::with_capacity(bytes);
    if let Some(local) = local {
        text.push_str(local);
        text.push('@');
    }
    text.push_str(domain);
    if let Some(resource) = resource {
        text.push('/');
        text.push_str(resource);
    }
    text
}

fn local(text: &str, at: u16) -> Option<&str> {
    text.get(..usize::from(at)).filter(|_| at != NO_PART)
}

/// The domainpart of a bare address.
fn domain(bare: &str, at: u16) -> &str {
    // Behind `NO_PART` there is nothing: then all of it is the domain.
    bare.get(usize::from(at) + 1..).unwrap_or(bare)
}

/// Where a separator stands. Prepared parts have at most 1023 bytes each, so it always fits.
fn offset(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(NO_PART)
}
