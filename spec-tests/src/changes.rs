//! Changes of accounts through the control socket, what must be there after them, and what is.
//!
//! A `Teller` makes changes and keeps the books of what was reported done. A `Ledger` is such books; each account is changed by
//! one connection only, so at most one change of it is neither reported done nor refused, and only that one may have taken
//! effect or not.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use spondee_core::jid::{BareJid, Domain};
use spondee_core::limits::LIST_MAX;
use spondee_core::sasl::{CREDENTIALS, Credentials, DeriveParams, Status};
use spondee_core::secret::Secret;
use spondee_core::store::{Batch, Class, Op, Reply};
use spondee_shell_common::store::{Backend as _, FILE_NAME, History, open_sqlite};

use crate::client::PATIENCE;
use crate::dice::Dice;

/// The host of all accounts here.
pub const HOST: &str = "localhost";

/// Accounts that one teller changes: so few that all kinds of change happen to each.
const ACCOUNTS: usize = 5;

/// A change of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// With this password.
    Add(String),
    /// And all it has.
    Delete,
    /// Nobody signs in.
    Disable,
    /// Its owner may sign in again.
    Enable,
    /// To this password.
    Passwd(String),
}

/// What an account is after changes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// What its owner signs in with.
    pub password: String,
    /// Whether that is allowed.
    pub status: Status,
}

impl Change {
    /// One line to the control socket.
    #[must_use]
    pub fn request(&self, account: &str) -> String {
        let request = match self {
            Self::Add(password) => {
                // Whoever was deleted before.
                json!({"command": "add", "account": account, "password": password, "tombstones": "ignore"})
            }
            Self::Delete => json!({"command": "delete", "account": account}),
            Self::Disable => json!({"command": "disable", "account": account}),
            Self::Enable => json!({"command": "enable", "account": account}),
            Self::Passwd(password) => {
                json!({"command": "passwd", "account": account, "password": password})
            }
        };
        format!("{request}\n")
    }

    /// The account and its change that a line asks for.
    #[must_use]
    pub fn parse(line: &str) -> Option<(String, Self)> {
        let request: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| Some(request.get(key)?.as_str()?.to_owned());
        let change = match text("command")?.as_str() {
            "add" => Self::Add(text("password")?),
            "delete" => Self::Delete,
            "disable" => Self::Disable,
            "enable" => Self::Enable,
            "passwd" => Self::Passwd(text("password")?),
            _ => return None,
        };
        Some((text("account")?, change))
    }

    /// What becomes of an account.
    fn of(&self, before: Option<&Account>) -> Option<Account> {
        let mut account = match (self, before) {
            (Self::Add(password), _) => Account {
                password: password.clone(),
                status: Status::Enabled,
            },
            (_, Some(account)) => account.clone(),
            (_, None) => return None,
        };
        match self {
            Self::Add(_) => {}
            Self::Delete => return None,
            Self::Disable => account.status = Status::Disabled,
            Self::Enable => account.status = Status::Enabled,
            Self::Passwd(password) => account.password.clone_from(password),
        }
        Some(account)
    }
}

/// What was reported about every account.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    /// As the last change reported done left it.
    done: Option<Account>,
    /// Asked for and not answered.
    open: Option<Change>,
}

impl Ledger {
    /// A change is asked for.
    pub fn begin(&mut self, account: &str, change: Change) {
        self.entries.entry(account.to_owned()).or_default().open = Some(change);
    }

    /// It was reported done.
    pub fn done(&mut self, account: &str) {
        let entry = self.entries.entry(account.to_owned()).or_default();
        if let Some(change) = entry.open.take() {
            entry.done = change.of(entry.done.as_ref());
        }
    }

    /// It was refused: nothing may have changed.
    pub fn refused(&mut self, account: &str) {
        self.entries.entry(account.to_owned()).or_default().open = None;
    }

    /// What was reported last of an account.
    #[must_use]
    pub fn account(&self, account: &str) -> Option<&Account> {
        self.entries.get(account)?.done.as_ref()
    }

    /// All accounts that were ever changed.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Takes over another's accounts.
    pub fn merge(&mut self, other: &Self) {
        self.entries.extend(other.entries.clone());
    }

    /// Compares with what is kept: a sentence for each account that is not as it was reported, nor as a change asked for since
    /// would have it.
    pub fn faults(&self, kept: &Kept, passwords: &mut Passwords) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |name: &str, entry: &Entry| {
            let found = kept.accounts.get(name);
            let is = |wanted: Option<&Account>| match (wanted, found) {
                (None, None) => true,
                (Some(wanted), Some(found)) => {
                    found.status == wanted.status && passwords.fits(found, &wanted.password)
                }
                (None, Some(_)) | (Some(_), None) => false,
            };
            let mut states = vec![entry.done.clone()];
            if let Some(change) = &entry.open {
                states.push(change.of(entry.done.as_ref()));
            }
            if !states.iter().map(Option::as_ref).any(is) {
                let status = found.map(|found| found.status);
                faults.push(format!("{name} is {status:?}, not one of {states:?}"));
            }
        };
        for (name, entry) in &self.entries {
            fault(name, entry);
        }
        for name in kept.accounts.keys() {
            if !self.entries.contains_key(name) {
                fault(name, &Entry::default());
            }
        }
        faults
    }

    /// After a crash: what was neither reported nor refused is as it is found.
    pub fn settle(&mut self, kept: &Kept, passwords: &mut Passwords) {
        for (name, entry) in &mut self.entries {
            let Some(change) = entry.open.take() else {
                continue;
            };
            let after = change.of(entry.done.as_ref());
            let took_effect = match (&after, kept.accounts.get(name)) {
                (None, found) => found.is_none(),
                (Some(_), None) => false,
                (Some(after), Some(found)) => {
                    found.status == after.status && passwords.fits(found, &after.password)
                }
            };
            if took_effect {
                entry.done = after;
            }
        }
    }
}

/// The accounts found in a data directory.
#[derive(Debug, Default)]
pub struct Kept {
    accounts: BTreeMap<String, Credentials>,
}

impl Kept {
    /// Opens the store as a server does, which repairs what a crash left, reads it all, and has SQLite examine the file. A
    /// directory or file that is not there keeps nothing.
    ///
    /// # Errors
    /// The store cannot be opened, or the file is damaged.
    pub fn read(data: &Path) -> Result<Self, String> {
        if !data.join(FILE_NAME).exists() {
            return Ok(Self::default());
        }
        let mut store = open_sqlite(data, History::Unknown)?;
        let host = Domain::parse(HOST).map_err(|e| format!("{e:?}"))?;
        let mut accounts = BTreeMap::new();
        let mut after = None;
        loop {
            let batch = Batch {
                owner: BareJid::of_domain(&host),
                tenure: 0,
                class: Class::Change,
                ops: vec![Op::Owners {
                    table: &CREDENTIALS,
                    after: after.take(),
                    limit: LIST_MAX,
                }],
            };
            let mut outcomes = store.apply(&[batch]);
            let Some(Ok([Reply::Owners(owners)])) = outcomes.first_mut().map(Result::as_deref_mut)
            else {
                return Err(format!("the store says {outcomes:?}"));
            };
            for (owner, row) in std::mem::take(owners) {
                let credentials = Credentials::from_row(&row)
                    .ok_or_else(|| format!("the row of {owner} is damaged"))?;
                accounts.insert(owner.to_string(), credentials);
                after = Some(owner);
            }
            if after.is_none() {
                break;
            }
        }
        drop(store);
        examine(&data.join(FILE_NAME))?;
        Ok(Self { accounts })
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Each name with what `spondee user list` shows of it.
    #[must_use]
    pub fn listed(&self) -> Vec<(String, Status)> {
        self.accounts
            .iter()
            .map(|(name, credentials)| (name.clone(), credentials.status))
            .collect()
    }
}

fn examine(file: &Path) -> Result<(), String> {
    let check = || -> rusqlite::Result<Vec<String>> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut statement = connection.prepare("PRAGMA integrity_check")?;
        let mut said: Vec<String> = statement
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
        let orphans = statement.query_map([], |row| row.get::<_, String>(0))?;
        for table in orphans {
            said.push(format!("an orphan in {}", table?));
        }
        Ok(said)
    };
    let said = check().map_err(|e| e.to_string())?;
    match said.as_slice() {
        [ok] if ok == "ok" => Ok(()),
        damage => Err(format!("{} is damaged: {damage:?}", file.display())),
    }
}

/// Which password fits which keys, remembered because finding out takes milliseconds.
#[derive(Debug, Default)]
pub struct Passwords {
    known: HashMap<(Vec<u8>, String), bool>,
}

impl Passwords {
    fn fits(&mut self, credentials: &Credentials, password: &str) -> bool {
        let mut mark = Vec::new();
        for keys in credentials.keys() {
            mark.extend_from_slice(keys.stored_key.expose());
            mark.extend_from_slice(keys.server_key.expose());
        }
        let known = self.known.entry((mark, password.to_owned()));
        *known.or_insert_with(|| {
            // The keys of one hash are enough: a record is one value, and wrong as a whole or not at all.
            credentials.keys().first().is_some_and(|keys| {
                let job = DeriveParams {
                    hash: keys.hash,
                    salt: keys.salt.clone(),
                    rounds: keys.rounds,
                };
                job.derive(&Secret::new(password.as_bytes().to_vec())) == *keys
            })
        })
    }
}

/// An administrator's script: one connection, one change after another, and its books.
#[derive(Debug)]
pub struct Teller {
    /// What was reported to it.
    pub ledger: Ledger,
    name: String,
    dice: Dice,
    passwords: usize,
}

/// What a change came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Reported done.
    Done,
    /// Refused, with this error.
    Refused(String),
}

impl Teller {
    /// With a name that tells its accounts from those of others.
    #[must_use]
    pub fn new(name: &str, seed: u64) -> Self {
        Self {
            ledger: Ledger::default(),
            name: name.to_owned(),
            dice: Dice::new(seed),
            passwords: 0,
        }
    }

    /// A connection to the control socket in a data directory, once a server listens there.
    ///
    /// # Errors
    /// None does in time.
    pub fn connect(data: &Path) -> io::Result<BufReader<UnixStream>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(data.join("control.sock")) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    return Ok(BufReader::new(stream));
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Asks for the next change and waits for the answer.
    ///
    /// # Errors
    /// The server is gone: the change took effect or not.
    pub fn step(&mut self, server: &mut BufReader<UnixStream>) -> io::Result<Outcome> {
        let (account, change) = self.choose();
        let request = change.request(&account);
        self.ledger.begin(&account, change);
        server.get_mut().write_all(request.as_bytes())?;
        let mut answer = String::new();
        server.read_line(&mut answer)?;
        if !answer.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let answer: Value = serde_json::from_str(&answer)?;
        if answer["result"] == "done" {
            self.ledger.done(&account);
            return Ok(Outcome::Done);
        }
        let error = answer["error"].as_str().unwrap_or_default();
        // Then it took effect or not.
        if error != "unknown" {
            self.ledger.refused(&account);
        }
        Ok(Outcome::Refused(error.to_owned()))
    }

    /// One that a sound server does. Those that need no keys are more frequent: they are quick, and then several end in one
    /// commit.
    fn choose(&mut self) -> (String, Change) {
        let number = self.dice.below(ACCOUNTS);
        let account = format!("{}{number}@{HOST}", self.name);
        let mut password = || {
            self.passwords += 1;
            format!("{} {}", self.name, self.passwords)
        };
        let change = match self.ledger.account(&account) {
            None => Change::Add(password()),
            Some(found) => match (self.dice.below(30), found.status) {
                (0, _) => Change::Delete,
                (1, _) => Change::Passwd(password()),
                (_, Status::Enabled) => Change::Disable,
                (_, Status::Disabled) => Change::Enable,
            },
        };
        (account, change)
    }
}
