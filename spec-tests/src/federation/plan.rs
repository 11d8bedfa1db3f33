//! What is wanted of a server before it runs: its program and name, what it shows, what it asks of others, how it is found.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use super::authority::Paper;
use crate::server::Shell;

/// Which server it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// As Debian has it.
    Prosody,
    /// As Debian has it.
    Ejabberd,
    /// Ours.
    Spondee(Shell),
}

/// What it does about TLS between servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encryption {
    /// There is none: no STARTTLS is offered nor asked for.
    Never,
    /// Where the other side has it.
    Offered,
    /// Nobody is spoken to without.
    Required,
}

/// What it takes as proof of who others are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// A certificate that it trusts alone: Prosody's and our `s2s_secure_auth`; ejabberd is then without dialback.
    Certificate,
    /// A certificate that it trusts, else dialback.
    CertificateOrDialback,
    /// Prosody and ejabberd without certificates of others that they could trust: dialback is all that is left.
    Dialback,
}

/// Which ways lead to it, by its records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ways {
    /// `_xmpp-server`: STARTTLS, or nothing.
    StartTls,
    /// `_xmpps-server` (XEP-0368 §3).
    DirectTls,
    /// Both, direct TLS first.
    Both,
}

/// Which addresses it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// One of its own below 127.
    V4,
    /// `::1`.
    V6,
}

/// A list of domains that the configuration has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum List {
    /// `s2s_secure_domains`, of ours and of Prosody.
    Secure,
    /// `s2s_insecure_domains`, of ours and of Prosody.
    Insecure,
    /// `s2s_allowed_domains`, of ours.
    Allowed,
    /// `s2s_refused_domains`, of ours.
    Refused,
}

impl List {
    /// The option.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Secure => "s2s_secure_domains",
            Self::Insecure => "s2s_insecure_domains",
            Self::Allowed => "s2s_allowed_domains",
            Self::Refused => "s2s_refused_domains",
        }
    }
}

/// How much a server writes down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Logging {
    /// Everything, stanzas too, for tests that read it; ours as it always does.
    All,
    /// What is wrong, as where it is measured.
    Warnings,
}

/// See the module. As made by `new` all is good: certificates of the authority, required of others, and TLS, by STARTTLS over IPv4.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which server.
    pub program: Program,
    /// Its domain, below `example`.
    pub domain: String,
    /// So many other hosts right below that one: `h0.DOMAIN`, `h1.DOMAIN` and so on, found at the same place and without accounts.
    pub below: usize,
    /// What it shows.
    pub paper: Paper,
    /// What it does about TLS.
    pub encryption: Encryption,
    /// What it asks of others.
    pub proof: Proof,
    /// Ways to it.
    pub ways: Ways,
    /// Addresses it has.
    pub family: Family,
    /// Lists, each of one domain; ejabberd has none of them.
    pub lists: Vec<(List, String)>,
    /// Modules of Prosody or ejabberd beside those it has, by name.
    pub modules: Vec<String>,
    /// Lines of configuration in its own language, for the whole server.
    pub more: String,
    /// What it logs.
    pub logging: Logging,
    /// Its program, if it is ours and shall not be the one that belongs to the tests.
    pub binary: Option<PathBuf>,
}

impl Plan {
    /// See above.
    #[must_use]
    pub fn new(program: Program, domain: &str) -> Self {
        Self {
            program,
            domain: domain.to_owned(),
            below: 0,
            paper: Paper::DnsOnly,
            encryption: Encryption::Required,
            proof: Proof::Certificate,
            ways: Ways::StartTls,
            family: Family::V4,
            lists: Vec::new(),
            modules: Vec::new(),
            more: String::new(),
            logging: Logging::All,
            binary: None,
        }
    }

    /// With so many hosts below its domain, and a certificate that is good for all of them.
    #[must_use]
    pub const fn hosting(mut self, below: usize) -> Self {
        self.below = below;
        self.paper = Paper::Wildcard;
        self
    }

    /// All that it serves: its domain, and the hosts below it.
    pub fn hosts(&self) -> impl Iterator<Item = String> {
        let below = (0..self.below).map(|number| host_below(&self.domain, number));
        std::iter::once(self.domain.clone()).chain(below)
    }

    /// With this certificate.
    #[must_use]
    pub const fn showing(mut self, paper: Paper) -> Self {
        self.paper = paper;
        self
    }

    /// With this of TLS.
    #[must_use]
    pub const fn encrypting(mut self, encryption: Encryption) -> Self {
        self.encryption = encryption;
        self
    }

    /// Asking this of others.
    #[must_use]
    pub const fn asking(mut self, proof: Proof) -> Self {
        self.proof = proof;
        self
    }

    /// Found this way.
    #[must_use]
    pub const fn by(mut self, ways: Ways) -> Self {
        self.ways = ways;
        self
    }

    /// At this address.
    #[must_use]
    pub const fn at(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// With this domain in this list.
    #[must_use]
    pub fn listing(mut self, list: List, domain: &str) -> Self {
        self.lists.push((list, domain.to_owned()));
        self
    }

    /// With this module, too.
    #[must_use]
    pub fn having(mut self, module: &str) -> Self {
        self.modules.push(module.to_owned());
        self
    }

    /// Logging little, and keeping no copy of a message: as one whose speed is measured.
    #[must_use]
    pub const fn quietly(mut self) -> Self {
        self.logging = Logging::Warnings;
        self
    }

    /// With this program, if it is ours.
    #[must_use]
    pub fn run_by(mut self, binary: PathBuf) -> Self {
        self.binary = Some(binary);
        self
    }

    /// With these lines of configuration, too.
    #[must_use]
    pub fn with(mut self, lines: &str) -> Self {
        self.more.push_str(lines);
        self.more.push('\n');
        self
    }
}

/// The name of one of them.
#[must_use]
pub fn host_below(domain: &str, number: usize) -> String {
    format!("h{number}.{domain}")
}

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// For clients, always by IPv4 and without TLS: they are not what is tested.
    pub clients: SocketAddr,
    /// For servers.
    pub servers: SocketAddr,
    /// For servers, by direct TLS.
    pub direct: SocketAddr,
}

impl Site {
    /// One where nobody listens yet.
    ///
    /// # Errors
    /// The system has no more ports.
    pub fn free(family: Family) -> std::io::Result<Self> {
        let own = own_address();
        let address = match family {
            Family::V4 => IpAddr::V4(own),
            Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        // All are held until all are found.
        let clients = TcpListener::bind((own, 0))?;
        let servers = TcpListener::bind((address, 0))?;
        let direct = TcpListener::bind((address, 0))?;
        Ok(Self {
            clients: clients.local_addr()?,
            servers: servers.local_addr()?,
            direct: direct.local_addr()?,
        })
    }
}

/// A loopback address for each server: some start seconds after their ports were found, when others may have them.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // None that ends as networks and broadcasts do, and not 127.0.0.1, where all else is.
    Ipv4Addr::new(127, high | 0x80, low, count % 254 + 1)
}
