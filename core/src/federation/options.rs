//! What an administrator says of links to other servers.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::places::Places;
use super::rules::{
    AllowEncryption, Allowed, Contradiction, PolicyOptions, RequireEncryption, Rules, SecureAuth,
};
use crate::jid::Domain;
use crate::limits::{
    Network, S2S_CLOSE_TIMEOUT, S2S_CLOSE_TIMEOUTS, S2S_RETRY_FOR, S2S_RETRY_TIMES,
    S2S_SEND_QUEUE_SIZE, S2S_SEND_QUEUE_SIZES, S2S_STANZA_BYTES, S2S_STANZA_SIZES, S2S_TIMEOUT,
    S2S_TIMEOUTS,
};
use crate::options::{Item, Source, of_server};
use crate::secret::Secret;

/// `s2s_bidi`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bidi {
    /// Where both servers can, stanzas go both ways on one stream.
    Yes,
    /// Each sends on its own.
    No,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct FederationOptions {
    /// How much is needed of whom, and who may be talked to.
    pub rules: Rules,
    /// `s2s_bidi`: whether stanzas may go both ways on one stream (XEP-0288).
    pub bidi: Bidi,
    /// `dialback_secret`, where several servers of one domain share it; else it is made of the server's own.
    pub dialback_secret: Option<Secret>,
    /// `s2s_retry_for`: how long messages wait for a server that cannot be reached.
    pub retry_for: Duration,
    /// `s2s_send_queue_size`: how many stanzas wait for one.
    pub send_queue_size: usize,
    /// `s2s_stanza_size_limit`: the longest stanza that another server may send, in bytes.
    pub stanza_bytes: u32,
    /// `s2s_timeout`: how long a stream may take until it has proven somebody.
    pub timeout: Duration,
    /// `s2s_close_timeout`: how long a peer has for its closing tag.
    pub close_timeout: Duration,
    /// `s2s_private_networks`: addresses of no public network at which other servers may be all the same.
    pub private_networks: Vec<Network>,
    /// Where we listen for servers ourselves, as far as that names an address: nobody else is there. The shell says it.
    pub own: Vec<SocketAddr>,
}

impl FederationOptions {
    /// Defaults, but that nobody may be talked to.
    #[must_use]
    pub fn isolated() -> Self {
        Self {
            rules: Rules::isolated(),
            bidi: Bidi::Yes,
            dialback_secret: None,
            retry_for: S2S_RETRY_FOR,
            send_queue_size: S2S_SEND_QUEUE_SIZE,
            stanza_bytes: S2S_STANZA_BYTES,
            timeout: S2S_TIMEOUT,
            close_timeout: S2S_CLOSE_TIMEOUT,
            private_networks: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Where other servers may be.
    #[must_use]
    pub fn places(&self) -> Places {
        Places::Public {
            but: self.private_networks.clone(),
            own: self.own.clone(),
        }
    }

    /// What `from` says of it. Warns of what does nothing, or less than it seems.
    pub fn read(from: &mut impl Source) -> Self {
        let policy = policy(from);
        warn(&policy, from);
        let rules = Rules::new(policy.clone()).unwrap_or_else(|contradiction| {
            from.contradiction(
                &[ALLOW_ENCRYPTION, contradiction.option()],
                remedy(&contradiction, &policy),
            );
            Rules::isolated()
        });
        let private_networks = from.list(
            &of_server(
                "s2s_private_networks",
                "Addresses of no public network (loopback, 10.0.0.0/8, fc00::/7 and their like) are no other server's, whatever DNS says: anybody \
                 could have this machine look for servers in its own network. These networks are excepted, such as [\"10.1.0.0/16\"] for an \
                 intranet. What /etc/hosts says is always taken.",
            ),
            &[],
        );
        let dialback_secret = from.secret(
            &of_server(
                "dialback_secret",
                "Where several servers share one domain: the secret by which each confirms what another has said. It may stand here if others cannot \
                 read this file, or in another one, in a variable (`env`) or in a credential of the service (`credential`). Without it the server \
                 has its own.",
            )
            .shown_as("{ file = \"/etc/spondee/dialback_secret\" }"),
        );
        let bidi = from.either(
            &of_server(
                "s2s_bidi",
                "Where the other server can do it, too, stanzas go both ways on one connection (XEP-0288). False: each server opens one for what it \
                 sends itself, as in Prosody without `mod_s2s_bidi`.",
            ),
            Bidi::Yes,
            [Bidi::Yes, Bidi::No],
        );
        let mut options = Self {
            rules,
            bidi,
            dialback_secret,
            private_networks,
            ..Self::isolated()
        };
        options.read_bounds(from);
        options
    }

    fn read_bounds(&mut self, from: &mut impl Source) {
        self.timeout = from.period(
            &of_server(
                "s2s_timeout",
                "How long a connection with another server may take until that has shown who it is.",
            ),
            self.timeout,
            S2S_TIMEOUTS,
        );
        self.close_timeout = from.period(
            &of_server(
                "s2s_close_timeout",
                "How long to wait for another server to close its stream after we have closed ours.",
            ),
            self.close_timeout,
            S2S_CLOSE_TIMEOUTS,
        );
        self.retry_for = from.period(
            &of_server(
                "s2s_retry_for",
                "How long messages wait for a server that cannot be reached, before those who sent them are told so.",
            ),
            self.retry_for,
            S2S_RETRY_TIMES,
        );
        self.send_queue_size = from.number(
            &of_server(
                "s2s_send_queue_size",
                "How many stanzas may wait for one other server.",
            ),
            self.send_queue_size,
            S2S_SEND_QUEUE_SIZES,
        );
        self.stanza_bytes = from.number(
            &of_server(
                "s2s_stanza_size_limit",
                "The longest stanza another server may send, in bytes. At least 10000.",
            ),
            self.stanza_bytes,
            S2S_STANZA_SIZES,
        );
    }
}

const ALLOW_ENCRYPTION: &str = "s2s_allow_encryption";
const REQUIRE_ENCRYPTION: &str = "s2s_require_encryption";
const SECURE_AUTH: &str = "s2s_secure_auth";
const SECURE_DOMAINS: &str = "s2s_secure_domains";
const INSECURE_DOMAINS: &str = "s2s_insecure_domains";
const ALLOWED_DOMAINS: &str = "s2s_allowed_domains";
const REFUSED_DOMAINS: &str = "s2s_refused_domains";

/// One entry of `s2s_allowed_domains`.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Guest {
    Everybody,
    This(Domain),
}

impl Item for Guest {
    const WANTED: &'static str = "a list of domains in quotes, or \"*\"";
    const NONE: &'static str = "neither a domain such as \"example.org\", of which each stands for itself alone, nor \"*\"";

    fn read(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::Everybody),
            text => Domain::parse(text).ok().map(Self::This),
        }
    }
}

/// What is said of encryption, of proofs, and of who may be talked to.
fn policy(from: &mut impl Source) -> PolicyOptions {
    let allowed = from.list(
        &of_server(
            ALLOWED_DOMAINS,
            "Whose servers this one talks to: \"*\" is everybody. An empty list is nobody: no port is open for servers then, and none is looked \
             for. Each domain stands for itself alone, not for those below it.",
        ),
        &["*"],
    );
    let refused = from.list(
        &of_server(
            REFUSED_DOMAINS,
            "Whose servers it does not talk to, whoever is allowed.",
        ),
        &[],
    );
    let secure_auth = from.either(
        &of_server(
            SECURE_AUTH,
            "Other servers must have a certificate for their domain, by an authority that is trusted. Where this is false, a server without one \
             may show by dialback that it is where DNS says, which whoever can forge DNS or the network between can do as well. Prosody's own \
             default is false, and the configuration that comes with it says true.",
        ),
        SecureAuth::Yes,
        [SecureAuth::Yes, SecureAuth::No],
    );
    let insecure_domains = from.list(
        &of_server(
            INSECURE_DOMAINS,
            "Domains that may do by dialback all the same. Encryption is needed of them, if `s2s_require_encryption` is true.",
        ),
        &[],
    );
    let secure_domains = from.list(
        &of_server(
            SECURE_DOMAINS,
            "Only where `s2s_secure_auth` is false: domains that must have a certificate all the same.",
        ),
        &[],
    );
    let require_encryption = from.either(
        &of_server(
            REQUIRE_ENCRYPTION,
            "Nothing goes to other servers, or comes from them, without TLS.",
        ),
        RequireEncryption::Yes,
        [RequireEncryption::Yes, RequireEncryption::No],
    );
    let allow_encryption = from.either(
        &of_server(
            ALLOW_ENCRYPTION,
            "TLS is used where the other server has it. To set it to false is of use only to look at what goes between two servers; \
             `s2s_require_encryption` and `s2s_secure_auth` must be false with it.",
        ),
        AllowEncryption::Yes,
        [AllowEncryption::Yes, AllowEncryption::No],
    );
    let set = |list: Vec<Domain>| list.into_iter().collect::<BTreeSet<_>>();
    PolicyOptions {
        allow_encryption,
        require_encryption,
        secure_auth,
        secure_domains: set(secure_domains),
        insecure_domains: set(insecure_domains),
        allowed: of_guests(allowed),
        refused: set(refused),
    }
}

fn of_guests(guests: Vec<Guest>) -> Allowed {
    let mut those = BTreeSet::new();
    for guest in guests {
        match guest {
            Guest::Everybody => return Allowed::All,
            Guest::This(domain) => {
                those.insert(domain);
            }
        }
    }
    Allowed::Only(those)
}

/// What is wrong, and all that is to be written for it to be right.
fn remedy(contradiction: &Contradiction, policy: &PolicyOptions) -> String {
    let needed = [
        (
            policy.require_encryption == RequireEncryption::Yes,
            "`s2s_require_encryption = false`",
        ),
        (
            policy.secure_auth == SecureAuth::Yes,
            "`s2s_secure_auth = false`",
        ),
        (
            !policy.secure_domains.is_empty(),
            "`s2s_secure_domains = []`",
        ),
    ];
    let lines: Vec<_> = needed
        .into_iter()
        .filter_map(|(is_needed, line)| is_needed.then_some(line))
        .collect();
    format!(
        "{contradiction}; remove `{ALLOW_ENCRYPTION}`, or write {}, too",
        lines.join(" and ")
    )
}

/// What is not wrong, but does nothing, or less than it seems.
fn warn(policy: &PolicyOptions, from: &mut impl Source) {
    let both = policy.secure_domains.intersection(&policy.insecure_domains);
    for domain in both {
        from.warn(match policy.secure_auth {
            SecureAuth::Yes => format!(
                "{domain} is in both `{SECURE_DOMAINS}` and `{INSECURE_DOMAINS}`, and the second counts, since `{SECURE_AUTH}` is true: it needs no \
                 certificate; take it out of `{INSECURE_DOMAINS}` if it shall need one"
            ),
            SecureAuth::No => format!(
                "{domain} is in both `{SECURE_DOMAINS}` and `{INSECURE_DOMAINS}`, and the first counts, since `{SECURE_AUTH}` is false: it needs a \
                 certificate"
            ),
        });
    }
    let (idle, because) = match policy.secure_auth {
        SecureAuth::Yes => ((SECURE_DOMAINS, &policy.secure_domains), "true"),
        SecureAuth::No => ((INSECURE_DOMAINS, &policy.insecure_domains), "false"),
    };
    let (option, domains) = idle;
    if !domains.is_empty() {
        from.warn(format!(
            "`{option}` has no effect while `{SECURE_AUTH}` is {because}"
        ));
    }
    if let Allowed::Only(allowed) = &policy.allowed {
        for domain in allowed.intersection(&policy.refused) {
            from.warn(format!(
                "{domain} is in both `{ALLOWED_DOMAINS}` and `{REFUSED_DOMAINS}`: it is refused"
            ));
        }
    }
}
