//! LDAP: passwords that a directory verifies. A search finds the user's entry, a bind as that entry tells whether the password is right.
//!
//! It waits for the directory and is for threads on which that holds up nobody. The messages are our own over a small reader of BER:
//! ldap3 would bring tokio and two dozen crates more, and lber's reader goes as deep as its input has it.

mod ber;
mod connection;
mod desk;
mod filter;
mod message;
mod pool;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use spondee_core::secret::Secret;

use crate::tls::Roots;
use connection::{Connection, Failure};
use filter::Names;
use message::{
    INAPPROPRIATE_AUTHENTICATION, INSUFFICIENT_ACCESS, INVALID_CREDENTIALS, INVALID_NAME,
    NO_SUCH_OBJECT, SIZE_LIMIT_EXCEEDED, SUCCESS, Search, UNWILLING,
};
use pool::{Pool, Slot};

pub use desk::{Directories, Unasked};
pub use filter::Filter;
pub use server::{Security, Server};

/// How a host's users are found in a directory.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `ldap_server`.
    pub server: Server,
    /// The host, for `$host` in the filter.
    pub host: String,
    /// `ldap_rootdn` and `ldap_password`: who looks. `None` for nobody in particular.
    pub service: Option<Service>,
    /// `ldap_base`: below which entry is looked.
    pub base: String,
    /// `ldap_scope`: how far.
    pub scope: Scope,
    /// `ldap_filter`: for what.
    pub filter: Filter,
    /// The authorities of whose certificates one must be the server's, in PEM. `None` for the system's.
    pub authorities: Option<PathBuf>,
    /// How long a verification may take, all in all.
    pub patience: Duration,
}

/// Who looks for users.
#[derive(Clone, Debug)]
pub struct Service {
    /// The name of its entry.
    pub name: String,
    /// Its password.
    pub password: Secret,
}

/// How far is looked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// At the base alone.
    Base,
    /// At what is right below it.
    OneLevel,
    /// At it and all below.
    Subtree,
}

/// What a directory says of a password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is the user's.
    Right,
    /// It is not, or the user may not sign in.
    Wrong,
    /// Nothing is found by the filter. The answer takes as many round trips as to a wrong password.
    NoSuchUser,
    /// Nobody knows: the directory does not answer, or not what it was asked. The reason is for the log.
    Unreachable(String),
}

/// A directory that is asked.
pub struct Directory {
    settings: Settings,
    tls: Arc<ClientConfig>,
    pool: Pool,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("settings", &self.settings)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl Directory {
    /// A directory by these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// A sentence for the administrator: where TLS is wanted, the authorities cannot be read.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let wants_tls = match &settings.server {
            Server::Network { security, .. } => *security != Security::Clear,
            Server::Local(_) => false,
        };
        let roots = match (wants_tls, &settings.authorities) {
            (false, _) => Ok(Roots::none()),
            (true, Some(path)) => Roots::read(path),
            (true, None) => Roots::of_system(),
        };
        let roots = roots.map_err(|error| error.to_string())?;
        if wants_tls && roots.file.is_none() {
            return Err(
                "this machine has no list of authorities, by which a directory could be known: install ca-certificates, or name a file \
                 of the authority that issued the directory's certificate"
                    .to_owned(),
            );
        }
        let tls = roots.client()?;
        Ok(Self {
            settings,
            tls: Arc::new(tls),
            pool: Pool::default(),
        })
    }

    /// Whether this is the user's password. Waits for the directory, for `patience` at most.
    pub fn verify(&self, user: &str, password: &Secret) -> Verdict {
        // RFC 4513 §5.1.2: a bind without a password succeeds with some servers and proves nothing.
        if password.expose().is_empty() {
            return Verdict::Wrong;
        }
        if user.is_empty() {
            return Verdict::NoSuchUser;
        }
        let deadline = Instant::now() + self.settings.patience;
        self.ask(user, password, deadline)
            .unwrap_or_else(|failure| {
                let (Failure::Lost(why) | Failure::Refused(why)) = failure;
                Verdict::Unreachable(why)
            })
    }

    fn ask(&self, user: &str, password: &Secret, deadline: Instant) -> Result<Verdict, Failure> {
        let mut slot = self.pool.slot(deadline).map_err(Failure::Refused)?;
        if let Some(connection) = slot.take() {
            match self.converse(connection, user, password, deadline, &mut slot) {
                // It was closed while nobody looked.
                Err(Failure::Lost(_)) if Instant::now() < deadline => {}
                other => return other,
            }
        }
        let connection = Connection::open(&self.settings.server, &self.tls, deadline)?;
        self.converse(connection, user, password, deadline, &mut slot)
    }

    /// On one connection, which is kept if it can be used again.
    fn converse(
        &self,
        mut connection: Connection,
        user: &str,
        password: &Secret,
        deadline: Instant,
        slot: &mut Slot<'_>,
    ) -> Result<Verdict, Failure> {
        connection.give(deadline);
        let verdict = self.verdict(&mut connection, user, password);
        match &verdict {
            Ok(_) => slot.keep(connection),
            // Whoever it was bound as.
            Err(Failure::Refused(_)) => connection.close(),
            Err(Failure::Lost(_)) => {}
        }
        let server = &self.settings.server;
        verdict.map_err(|failure| match failure {
            Failure::Lost(why) => Failure::Lost(format!("{server}: {why}")),
            Failure::Refused(why) => Failure::Refused(format!("{server}: {why}")),
        })
    }

    fn verdict(
        &self,
        connection: &mut Connection,
        user: &str,
        password: &Secret,
    ) -> Result<Verdict, Failure> {
        self.become_service(connection)?;
        let found = self.find(connection, user)?;
        // Whoever is not found is tried as nobody, so that the answer does not come a round trip sooner.
        let (name, wrong) = match found {
            Some(entry) => (entry, Verdict::Wrong),
            None => (self.nobody(), Verdict::NoSuchUser),
        };
        let outcome = connection.bind(&name, password)?;
        match outcome.code {
            // Whatever the directory says of nobody.
            SUCCESS if wrong == Verdict::NoSuchUser => Ok(wrong),
            INVALID_NAME if wrong == Verdict::NoSuchUser => Ok(wrong),
            SUCCESS => Ok(Verdict::Right),
            // The entry has no password, is locked, or has gone meanwhile.
            INVALID_CREDENTIALS
            | INAPPROPRIATE_AUTHENTICATION
            | INSUFFICIENT_ACCESS
            | NO_SUCH_OBJECT
            | UNWILLING => Ok(wrong),
            _ => Err(Failure::Refused(format!(
                "the directory does not say whether a password is right: {}",
                outcome.describe()
            ))),
        }
    }

    /// The name of an entry that is not there. Whoever looks into the directory's log reads whose question it was.
    fn nobody(&self) -> String {
        let base = &self.settings.base;
        match base.is_empty() {
            true => NOBODY.to_owned(),
            false => format!("{NOBODY},{base}"),
        }
    }

    /// The last who was bound on this connection was a user.
    fn become_service(&self, connection: &mut Connection) -> Result<(), Failure> {
        let nobody = Secret::default();
        let (name, password) = match &self.settings.service {
            Some(service) => (service.name.as_str(), &service.password),
            None => ("", &nobody),
        };
        let outcome = connection.bind(name, password)?;
        match outcome.code {
            SUCCESS => Ok(()),
            _ => Err(Failure::Refused(match &self.settings.service {
                Some(service) => format!(
                    "the directory refuses {}, by whom users are looked for (`ldap_rootdn`, `ldap_password`): {}",
                    service.name,
                    outcome.describe()
                ),
                None => format!("{UNNAMED} ({})", outcome.describe()),
            })),
        }
    }

    /// The name of the user's entry.
    fn find(&self, connection: &mut Connection, user: &str) -> Result<Option<String>, Failure> {
        let Settings {
            host,
            base,
            scope,
            filter,
            patience,
            ..
        } = &self.settings;
        let search = Search {
            base,
            scope: *scope,
            filter,
            names: Names { user, host },
            seconds: u32::try_from(patience.as_secs()).unwrap_or(u32::MAX).max(1),
        };
        let (mut found, outcome) = connection.search(&search)?;
        match (outcome.code, found.pop(), found.is_empty()) {
            (SUCCESS, None, _) => Ok(None),
            // A bind without a name would be anybody's (RFC 4513 §5.1.1).
            (SUCCESS, Some(name), true) if name.is_empty() => Ok(None),
            (SUCCESS, Some(name), true) => Ok(Some(name)),
            (SUCCESS | SIZE_LIMIT_EXCEEDED, _, _) => Err(Failure::Refused(
                "`ldap_filter` finds more than one entry for a user, and nobody knows whose password to try: make it narrower".to_owned(),
            )),
            (INSUFFICIENT_ACCESS, _, _) => Err(Failure::Refused(match &self.settings.service {
                Some(service) => format!(
                    "the directory does not let {} look for users: give it the right to (`ldap_rootdn`)",
                    service.name
                ),
                None => UNNAMED.to_owned(),
            })),
            (NO_SUCH_OBJECT, _, _) => Err(Failure::Refused(format!(
                "there is no entry {base}, or not for who looks: see to `ldap_base` ({})",
                outcome.describe()
            ))),
            _ => Err(Failure::Refused(format!(
                "the directory does not look for users: {}",
                outcome.describe()
            ))),
        }
    }
}

/// Whom nobody is called.
const NOBODY: &str = "cn=nobody whom spondee was asked for";

/// Where nobody in particular asks.
const UNNAMED: &str = "the directory lets nobody look for users without a name: set `ldap_rootdn` and `ldap_password`";
