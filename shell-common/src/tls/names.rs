//! The names of cipher suites and groups: IANA's, OpenSSL's, and what is said of names that stand for something we do not have.

use rustls::{CipherSuite, NamedGroup};

use super::policy::{Dhe, Signature};

/// A cipher suite that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suite {
    pub(super) suite: CipherSuite,
    /// As it is shown, and as OpenSSL and Prosody call it.
    pub(super) name: &'static str,
    /// IANA's name, if that is another.
    iana: &'static str,
    /// What the certificate's key must sign with; TLS 1.3 leaves that open.
    pub(super) signature: Option<Signature>,
    pub(super) exchange: Exchange,
}

/// How a suite has keys agreed on.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Exchange {
    /// On an elliptic curve, or as the groups say (TLS 1.3).
    Ecdhe,
    /// In a finite field: dearer, so it comes last whatever order is given.
    Dhe,
}

const fn tls13(suite: CipherSuite, name: &'static str) -> Suite {
    Suite {
        suite,
        name,
        iana: name,
        signature: None,
        exchange: Exchange::Ecdhe,
    }
}

const fn tls12(
    suite: CipherSuite,
    signature: Signature,
    name: &'static str,
    iana: &'static str,
) -> Suite {
    Suite {
        suite,
        name,
        iana,
        signature: Some(signature),
        exchange: Exchange::Ecdhe,
    }
}

const fn dhe(suite: CipherSuite, name: &'static str, iana: &'static str) -> Suite {
    Suite {
        exchange: Exchange::Dhe,
        ..tls12(suite, Signature::Rsa, name, iana)
    }
}

/// Those of TLS 1.3, AES-128 first (`Preference::of` says why).
pub(super) const TLS13: &[Suite] = &[
    tls13(
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
    ),
    tls13(
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
    ),
    tls13(
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
];

/// Those of TLS 1.2 that have forward secrecy and authenticated encryption. Those with DHE are there where `dhparam` names a group.
pub(super) const TLS12: &[Suite] = &[
    tls12(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Signature::Ecdsa,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ),
    tls12(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Signature::Ecdsa,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ),
    tls12(
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        Signature::Ecdsa,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    tls12(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Signature::Rsa,
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    ),
    tls12(
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Signature::Rsa,
        "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    ),
    tls12(
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        Signature::Rsa,
        "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    dhe(
        CipherSuite::TLS_DHE_RSA_WITH_AES_128_GCM_SHA256,
        "DHE-RSA-AES128-GCM-SHA256",
        "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    ),
    dhe(
        CipherSuite::TLS_DHE_RSA_WITH_AES_256_GCM_SHA384,
        "DHE-RSA-AES256-GCM-SHA384",
        "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    ),
    dhe(
        CipherSuite::TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "DHE-RSA-CHACHA20-POLY1305",
        "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
];

/// A group in which keys are agreed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) group: NamedGroup,
    /// As it is shown.
    pub(super) name: &'static str,
    /// What else it is called: by OpenSSL, by IANA.
    others: &'static [&'static str],
    /// Whether TLS 1.2 does not have it.
    pub(super) only_13: bool,
}

const GROUPS: &[Group] = &[
    #[cfg(feature = "aws-lc-rs")]
    Group {
        group: NamedGroup::X25519MLKEM768,
        name: POST_QUANTUM,
        others: &[],
        only_13: true,
    },
    Group {
        group: NamedGroup::X25519,
        name: "X25519",
        others: &[],
        only_13: false,
    },
    Group {
        group: NamedGroup::secp256r1,
        name: "P-256",
        others: &["prime256v1", "secp256r1"],
        only_13: false,
    },
    Group {
        group: NamedGroup::secp384r1,
        name: "P-384",
        others: &["secp384r1"],
        only_13: false,
    },
];

const POST_QUANTUM: &str = "X25519MLKEM768";

/// The groups of RFC 7919.
const DH_GROUPS: [(&str, NamedGroup); 5] = [
    ("ffdhe2048", NamedGroup::FFDHE2048),
    ("ffdhe3072", NamedGroup::FFDHE3072),
    ("ffdhe4096", NamedGroup::FFDHE4096),
    ("ffdhe6144", NamedGroup::FFDHE6144),
    ("ffdhe8192", NamedGroup::FFDHE8192),
];

/// What to write in `dhparam`.
pub(crate) const DH_GROUP: &str = "name a group of RFC 7919, which clients know and for which no file is made, \"ffdhe2048\", \"ffdhe3072\", \"ffdhe4096\", \"ffdhe6144\" or \
     \"ffdhe8192\" (the first will do), or write \"none\" for no DHE, which is the default";

/// What a group of DHE is called.
pub(super) fn dh_name(group: NamedGroup) -> &'static str {
    let mut known = DH_GROUPS.iter();
    let found = known.find(|(_, known)| *known == group);
    found.map_or("?", |(name, _)| name)
}

/// What `dhparam` says.
///
/// # Errors
/// What completes "`dhparam` …".
pub(crate) fn dhparam(text: &str) -> Result<Dhe, String> {
    let lower = text.trim().to_ascii_lowercase();
    if lower == "none" {
        return Ok(Dhe::Off);
    }
    if let Some((_, group)) = DH_GROUPS.iter().find(|(name, _)| *name == lower) {
        return Ok(Dhe::In(*group));
    }
    let what = if text.contains("-----BEGIN") {
        "holds parameters, and those made for one server are not taken".to_owned()
    } else if text.contains(['/', '.']) {
        format!("names a file (\"{text}\"), and parameters made for one server are not taken")
    } else {
        format!("cannot be \"{text}\"")
    };
    Err(format!("{what}; {DH_GROUP}"))
}

/// All groups, the first we would take first.
pub(super) fn groups() -> impl Iterator<Item = &'static Group> {
    GROUPS.iter()
}

/// The suite of TLS 1.2 that is called so.
///
/// # Errors
/// What completes "holds "NAME", which …".
pub(crate) fn suite_of_12(name: &str) -> Result<CipherSuite, String> {
    if let Some(suite) = find(TLS12, name) {
        return Ok(suite);
    }
    let upper = name.to_ascii_uppercase();
    let is_pattern = name.contains(['!', '+', '@', '='])
        || ["ALL", "DEFAULT", "HIGH", "MEDIUM", "LOW"].contains(&upper.as_str())
        || name.starts_with('-');
    let why = if find(TLS13, name).is_some() {
        return Err("is a suite of TLS 1.3: name it in `ciphersuites`".to_owned());
    } else if is_pattern {
        "is a pattern of OpenSSL's: name suites one by one"
    } else {
        "is no suite that is offered here, where all have forward secrecy and authenticated encryption"
    };
    Err(format!("{why}; there are {}", list(TLS12)))
}

/// The suite of TLS 1.3 that is called so.
///
/// # Errors
/// As above.
pub(crate) fn suite_of_13(name: &str) -> Result<CipherSuite, String> {
    find(TLS13, name).ok_or_else(|| match find(TLS12, name) {
        Some(_) => "is a suite of TLS 1.2: name it in `ciphers`".to_owned(),
        None => format!(
            "is no suite of TLS 1.3 that is offered here; there are {}",
            list(TLS13)
        ),
    })
}

/// The group that is called so.
///
/// # Errors
/// As above.
pub(crate) fn group(name: &str) -> Result<NamedGroup, String> {
    let is_it = |group: &&Group| {
        let mut names = group.others.iter().chain([&group.name]);
        names.any(|other| other.eq_ignore_ascii_case(name))
    };
    groups()
        .find(is_it)
        .map(|found| found.group)
        .ok_or_else(|| {
            let lower = name.to_ascii_lowercase();
            let why = if ["p-521", "secp521r1"].contains(&lower.as_str()) {
                "is not offered: no client needs it, and it is slow"
            } else if name.eq_ignore_ascii_case(POST_QUANTUM) {
                "needs a server that was built with the feature aws-lc-rs"
            } else if lower.starts_with("ffdhe") {
                "is a group of DHE: name it in `dhparam`"
            } else {
                "is not offered"
            };
            let names: Vec<_> = groups().map(|group| group.name).collect();
            format!("{why}; there are {}", names.join(", "))
        })
}

/// Whether the key of a certificate can sign for this suite.
pub(super) fn goes_with(suite: CipherSuite, key: Signature) -> bool {
    let mut known = TLS13.iter().chain(TLS12);
    known.any(|known| known.suite == suite && known.signature.is_none_or(|wanted| wanted == key))
}

fn find(suites: &[Suite], name: &str) -> Option<CipherSuite> {
    let is_it = |suite: &&Suite| {
        suite.name.eq_ignore_ascii_case(name) || suite.iana.eq_ignore_ascii_case(name)
    };
    suites.iter().find(is_it).map(|suite| suite.suite)
}

fn list(suites: &[Suite]) -> String {
    let names: Vec<_> = suites.iter().map(|suite| suite.name).collect();
    names.join(", ")
}
