//! What is kept of a password: salted, iterated keys for each hash (RFC 5803), or, where an administrator wants it, the password.

#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Hash;
use crate::entropy::Entropy;
use crate::limits::PASSWORD_BYTES;
use crate::secret::Secret;
use crate::store::{Column, Field, Kind, Loading, Puts, Row, Shape};
use crate::time::UnixTime;

/// Bytes of a fresh salt, and of the fake ones that must look like them.
pub const SALT_BYTES: usize = 16;

/// Whether an account may sign in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It may.
    Enabled,
    /// Not until an administrator enables it again.
    Disabled,
}

/// The keys of one password under one hash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScramKeys {
    /// The hash they belong to; keys are as long as its output.
    pub hash: Hash,
    /// The salt, at least 16 bytes.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub rounds: u32,
    /// H(ClientKey).
    pub stored_key: Secret,
    /// ServerKey.
    pub server_key: Secret,
}

/// One PBKDF2 job: pure but slow, so a worker does it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeriveParams {
    /// The hash to use.
    pub hash: Hash,
    /// The salt.
    pub salt: Vec<u8>,
    /// The iteration count.
    pub rounds: u32,
}

impl DeriveParams {
    /// The jobs of a new password: one for each of `Hash::ALL`, each with a fresh salt. Every writer of credentials begins
    /// here, because a host offers all the hashes.
    #[must_use]
    pub fn for_new_password(rounds: u32, entropy: &mut Entropy) -> Vec<Self> {
        Hash::ALL
            .into_iter()
            .map(|hash| Self {
                hash,
                salt: entropy.bytes("salt", SALT_BYTES),
                rounds,
            })
            .collect()
    }

    /// Does the job: SaltedPassword and from it both keys (RFC 5802 §3). `password` is what `prepare_password` gave. Takes
    /// milliseconds: for workers only.
    #[must_use]
    pub fn derive(&self, password: &Secret) -> ScramKeys {
        let salted = self.hash.salted_password(password, &self.salt, self.rounds);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        ScramKeys {
            hash: self.hash,
            salt: self.salt.clone(),
            rounds: self.rounds,
            stored_key: self.hash.digest(&client_key),
            server_key: self.hash.hmac(&salted, b"Server Key"),
        }
    }
}

/// What the store keeps of one account's sign-in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credentials {
    /// Whether it may sign in.
    pub status: Status,
    /// By what.
    pub verifier: Verifier,
}

/// What a sign-in is held against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verifier {
    /// Keys, at most one set for each hash. Empty for an account without a password. Written for all of `Hash::ALL`.
    Keys(Vec<ScramKeys>),
    /// The password, as `prepare_password` made it.
    Password(Secret),
}

/// What is kept of a password, for people and programs to see.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Keys for every hash.
    Hashed,
    /// Keys for some hashes alone.
    PartlyHashed,
    /// The password itself.
    Plain,
    /// Whatever is kept, the host's directory is asked.
    Elsewhere,
    /// Nothing, or nothing that can be read: nobody can sign in.
    None,
}

/// The table of credentials: one row for each account, looked up alone. Each hash has four columns, empty where the account has no
/// keys for it. Where the password itself is kept, all of them are.
pub static CREDENTIALS: Shape = Shape {
    name: "credentials",
    key: &[],
    columns: &[
        Column::new("status", Kind::Text),
        Column::new("sha1_iterations", Kind::Int).optional(),
        Column::new("sha1_salt", Kind::Bytes).optional(),
        Column::new("sha1_stored", Kind::Bytes).optional(),
        Column::new("sha1_server", Kind::Bytes).optional(),
        Column::new("sha256_iterations", Kind::Int).optional(),
        Column::new("sha256_salt", Kind::Bytes).optional(),
        Column::new("sha256_stored", Kind::Bytes).optional(),
        Column::new("sha256_server", Kind::Bytes).optional(),
        Column::new("sha512_iterations", Kind::Int).optional(),
        Column::new("sha512_salt", Kind::Bytes).optional(),
        Column::new("sha512_stored", Kind::Bytes).optional(),
        Column::new("sha512_server", Kind::Bytes).optional(),
        Column::new("created", Kind::Time).optional(),
        Column::new("updated", Kind::Time).optional(),
        Column::new("password", Kind::Text).optional(),
    ],
    loading: Loading::Unseen,
    puts: Puts::Awaited,
};

/// When an account was made and last changed, for people to see. Unknown for accounts of the first schema.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Dates {
    /// The first time it got a password.
    pub created: Option<UnixTime>,
    /// The last change of password or status.
    pub updated: Option<UnixTime>,
}

impl Dates {
    /// Of an account that is made now.
    #[must_use]
    pub const fn new(now: UnixTime) -> Self {
        Self {
            created: Some(now),
            updated: Some(now),
        }
    }

    /// As the row has them.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        let time = |at| match row.0.get(at) {
            Some(Field::Time(us)) => Some(UnixTime(us.div_euclid(1000))),
            Some(
                Field::Absent | Field::Bytes(_) | Field::Int(_) | Field::Text(_) | Field::Xml(_),
            )
            | None => None,
        };
        Self {
            created: time(CREATED),
            updated: time(UPDATED),
        }
    }

    /// Of an account that is changed now.
    #[must_use]
    pub fn changed(row: &Row, now: UnixTime) -> Self {
        Self {
            updated: Some(now),
            ..Self::of(row)
        }
    }
}

// Places in a row: behind the status and four columns for each hash.
const CREATED: usize = 1 + 4 * Hash::ALL.len();
const UPDATED: usize = CREATED + 1;
const PASSWORD: usize = UPDATED + 1;

impl Credentials {
    /// With keys; none for an account without a password.
    #[must_use]
    pub const fn hashed(status: Status, keys: Vec<ScramKeys>) -> Self {
        let verifier = Verifier::Keys(keys);
        Self { status, verifier }
    }

    /// Of an account whose password a directory has. By it nobody signs in where passwords are kept here.
    #[must_use]
    pub const fn without_password() -> Self {
        Self::hashed(Status::Enabled, Vec::new())
    }

    /// The row as kept.
    #[must_use]
    pub fn to_row(&self, dates: Dates) -> Row {
        let bytes = |secret: &Secret| Field::Bytes(Bytes::copy_from_slice(secret.expose()));
        let time = |time: Option<UnixTime>| {
            time.map_or(Field::Absent, |time| {
                Field::Time(time.0.saturating_mul(1000))
            })
        };
        let mut fields = Vec::with_capacity(CREDENTIALS.width());
        fields.push(Field::Text(Bytes::from_static(match self.status {
            Status::Disabled => b"disabled",
            Status::Enabled => b"enabled",
        })));
        for hash in Hash::ALL {
            match self.keys_for(hash) {
                Some(keys) => fields.extend([
                    Field::Int(keys.rounds.into()),
                    Field::Bytes(Bytes::copy_from_slice(&keys.salt)),
                    bytes(&keys.stored_key),
                    bytes(&keys.server_key),
                ]),
                None => fields.extend([const { Field::Absent }; 4]),
            }
        }
        fields.extend([time(dates.created), time(dates.updated)]);
        fields.push(match &self.verifier {
            Verifier::Keys(_) => Field::Absent,
            Verifier::Password(password) => Field::Text(Bytes::copy_from_slice(password.expose())),
        });
        Row(fields)
    }

    /// Whether the account of this row may sign in. A damaged row lets nobody in: that is what disabled means.
    #[must_use]
    pub fn status_of(row: &Row) -> Status {
        Self::from_row(row).map_or(Status::Disabled, |credentials| credentials.status)
    }

    /// What the row keeps of the password.
    #[must_use]
    pub fn form_of(row: &Row) -> Form {
        match Self::from_row(row).map(|credentials| credentials.verifier) {
            Some(Verifier::Password(_)) => Form::Plain,
            Some(Verifier::Keys(keys)) if keys.len() == Hash::ALL.len() => Form::Hashed,
            Some(Verifier::Keys(keys)) if !keys.is_empty() => Form::PartlyHashed,
            Some(Verifier::Keys(_)) | None => Form::None,
        }
    }

    /// Reads what `to_row` wrote. `None` is a damaged row: nobody is let in by it.
    #[must_use]
    pub fn from_row(row: &Row) -> Option<Self> {
        Self::from_record(&Self::record(row))
    }

    /// What a row says of sign-ins, in one piece: what streams read, and what tells whether the row has changed. A damaged row
    /// makes an empty record, by which nobody is let in.
    #[must_use]
    pub fn record(row: &Row) -> Bytes {
        Self::write_record(row).map_or_else(Bytes::new, Bytes::from)
    }

    fn write_record(row: &Row) -> Option<Vec<u8>> {
        let [Field::Text(status), fields @ ..] = &row.0[..] else {
            return None;
        };
        let mut record = Vec::with_capacity(RECORD_BYTES_MAX);
        record.push(match &status[..] {
            b"enabled" => ENABLED,
            b"disabled" => DISABLED,
            _ => return None,
        });
        let (keys, []) = fields.get(..CREATED - 1)?.as_chunks::<4>() else {
            return None;
        };
        match row.0.get(PASSWORD)? {
            Field::Absent => {}
            // Beside keys nobody could say which of the two counts.
            Field::Text(password) if !password.is_empty() => {
                if keys
                    .as_flattened()
                    .iter()
                    .any(|field| *field != Field::Absent)
                {
                    return None;
                }
                *record.first_mut()? |= PLAIN;
                record.extend_from_slice(password);
                return Some(record);
            }
            Field::Bytes(_) | Field::Int(_) | Field::Text(_) | Field::Time(_) | Field::Xml(_) => {
                return None;
            }
        }
        for (hash, keys) in Hash::ALL.into_iter().zip(keys) {
            match keys {
                [Field::Absent, Field::Absent, Field::Absent, Field::Absent] => {
                    record.extend(0_u32.to_be_bytes());
                }
                [
                    Field::Int(rounds),
                    Field::Bytes(salt),
                    Field::Bytes(stored),
                    Field::Bytes(server),
                ] if stored.len() == hash.output_bytes() && server.len() == hash.output_bytes() => {
                    let rounds = u32::try_from(*rounds).ok().filter(|rounds| *rounds > 0)?;
                    let length = u8::try_from(salt.len()).ok().filter(|length| *length > 0)?;
                    record.extend(rounds.to_be_bytes());
                    record.push(length);
                    record.extend_from_slice(salt);
                    record.extend_from_slice(stored);
                    record.extend_from_slice(server);
                }
                _ => return None,
            }
        }
        Some(record)
    }

    /// Reads a record. `None` is a damaged one: nobody is let in by it.
    #[must_use]
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let (status, mut rest) = record.split_first()?;
        let is_plain = *status & PLAIN != 0;
        let status = match *status & !PLAIN {
            ENABLED => Status::Enabled,
            DISABLED => Status::Disabled,
            _ => return None,
        };
        if is_plain {
            let password = Secret::new(rest.to_vec());
            let verifier = Verifier::Password(password);
            return (!rest.is_empty()).then_some(Self { status, verifier });
        }
        let mut keys = Vec::with_capacity(Hash::ALL.len());
        for hash in Hash::ALL {
            let (rounds, behind) = rest.split_first_chunk()?;
            rest = behind;
            let rounds = u32::from_be_bytes(*rounds);
            if rounds == 0 {
                continue;
            }
            let (length, behind) = rest.split_first()?;
            let (salt, behind) = behind.split_at_checked(usize::from(*length))?;
            let (stored, behind) = behind.split_at_checked(hash.output_bytes())?;
            let (server, behind) = behind.split_at_checked(hash.output_bytes())?;
            rest = behind;
            if salt.is_empty() {
                return None;
            }
            keys.push(ScramKeys {
                hash,
                salt: salt.to_vec(),
                rounds,
                stored_key: Secret::new(stored.to_vec()),
                server_key: Secret::new(server.to_vec()),
            });
        }
        rest.is_empty().then_some(Self::hashed(status, keys))
    }

    /// The record that this makes.
    #[must_use]
    pub fn to_record(&self) -> Bytes {
        Self::record(&self.to_row(Dates::default()))
    }

    /// The keys that are kept.
    #[must_use]
    pub fn keys(&self) -> &[ScramKeys] {
        match &self.verifier {
            Verifier::Keys(keys) => keys,
            Verifier::Password(_) => &[],
        }
    }

    /// The keys under `hash`.
    #[must_use]
    pub fn keys_for(&self, hash: Hash) -> Option<&ScramKeys> {
        self.keys().iter().find(|keys| keys.hash == hash)
    }
}

// A record: a byte for the status; for each hash the iteration count (four bytes, the highest first; 0 if there are no keys), the
// length of the salt, the salt, StoredKey, ServerKey. Or, if the first byte says so, the password. It never leaves memory.
const DISABLED: u8 = 0;
const ENABLED: u8 = 1;
const PLAIN: u8 = 2;

/// A record with salts as we make them and keys for every hash.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
pub(super) const RECORD_BYTES: usize = {
    let mut sum = 1;
    let mut at = 0;
    while at < Hash::ALL.len() {
        sum += 4 + 1 + SALT_BYTES + 2 * Hash::ALL[at].output_bytes();
        at += 1;
    }
    sum
};

/// Room for longer salts, too.
const RECORD_BYTES_MAX: usize = RECORD_BYTES + 64;

/// What nobody's row has of a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Blank {
    Keys,
    Nothing,
    Password,
}

/// A row as that of an account, of nobody: to have something to read.
pub(super) fn row_of_nobody(blank: Blank) -> Row {
    let zeros = |count: usize| Field::Bytes(core::iter::repeat_n(0, count).collect());
    let mut fields = Vec::with_capacity(CREDENTIALS.width());
    fields.push(Field::Text(Bytes::from_static(b"enabled")));
    for hash in Hash::ALL {
        match blank {
            Blank::Keys => fields.extend([
                Field::Int(10_000),
                zeros(SALT_BYTES),
                zeros(hash.output_bytes()),
                zeros(hash.output_bytes()),
            ]),
            Blank::Nothing | Blank::Password => fields.extend([const { Field::Absent }; 4]),
        }
    }
    fields.extend([Field::Time(0), Field::Time(0)]);
    fields.push(match blank {
        Blank::Password => Field::Text(Bytes::copy_from_slice(b"no password")),
        Blank::Keys | Blank::Nothing => Field::Absent,
    });
    Row(fields)
}

/// Prepares a password as SCRAM has it (RFC 5802 §2.2: SASLprep).
///
/// # Errors
/// What SASLprep prohibits, and the empty password.
pub fn prepare_password(password: &str) -> Result<String, PasswordError> {
    let prepared = stringprep::saslprep(password)
        .map_err(|_| PasswordError::Prohibited)?
        .into_owned();
    if prepared.is_empty() {
        return Err(PasswordError::Empty);
    }
    Ok(prepared)
}

/// Judges and prepares a new password, however it comes here. One that was set earlier is only prepared, so that a bound that
/// moves keeps nobody out.
///
/// # Errors
/// It cannot be a password.
pub fn prepare_new_password(typed: &[u8]) -> Result<String, PasswordError> {
    if typed.len() > PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    prepare_password(core::str::from_utf8(typed).map_err(|_| PasswordError::Encoding)?)
}

/// Why a text cannot be a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PasswordError {
    /// Nothing is left of it.
    Empty,
    /// It is not UTF-8.
    Encoding,
    /// It holds a character that SASLprep prohibits.
    Prohibited,
    /// It has more than `PASSWORD_BYTES`.
    TooLong,
}
