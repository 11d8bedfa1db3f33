//! What is kept of a password: salted, iterated keys for each hash (RFC 5803), never the password.

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
    /// Keys, at most one set for each hash. Empty for an account without a password. Written for all of `Hash::ALL`.
    pub keys: Vec<ScramKeys>,
}

/// The table of credentials: one row for each account, looked up alone. Each hash has four columns, empty where the account has no
/// keys for it.
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
    ],
    loading: Loading::Alone,
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

    /// Of an account that is changed now.
    #[must_use]
    pub fn changed(row: &Row, now: UnixTime) -> Self {
        let created = match row.0.get(CREATED) {
            Some(Field::Time(us)) => Some(UnixTime(us.div_euclid(1000))),
            Some(
                Field::Absent | Field::Bytes(_) | Field::Int(_) | Field::Text(_) | Field::Xml(_),
            )
            | None => None,
        };
        let updated = Some(now);
        Self { created, updated }
    }
}

/// The place of `created` in a row: behind the status and four columns for each hash.
const CREATED: usize = 1 + 4 * Hash::ALL.len();

impl Credentials {
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
        Row(fields)
    }

    /// Whether the account of this row may sign in. A damaged row lets nobody in: that is what disabled means.
    #[must_use]
    pub fn status_of(row: &Row) -> Status {
        Self::from_row(row).map_or(Status::Disabled, |credentials| credentials.status)
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
        let status = match *status {
            ENABLED => Status::Enabled,
            DISABLED => Status::Disabled,
            _ => return None,
        };
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
        rest.is_empty().then_some(Self { status, keys })
    }

    /// The record that this makes.
    #[must_use]
    pub fn to_record(&self) -> Bytes {
        Self::record(&self.to_row(Dates::default()))
    }

    /// The keys under `hash`.
    #[must_use]
    pub fn keys_for(&self, hash: Hash) -> Option<&ScramKeys> {
        self.keys.iter().find(|keys| keys.hash == hash)
    }
}

// A record: a byte for the status; for each hash the iteration count (four bytes, the highest first; 0 if there are no keys), the
// length of the salt, the salt, StoredKey, ServerKey. It never leaves memory.
const DISABLED: u8 = 0;
const ENABLED: u8 = 1;

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

/// Such a record, of nobody: everything is zero, but for what makes it whole.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler")]
pub(super) const RECORD_OF_NOBODY: [u8; RECORD_BYTES] = {
    let mut record = [0; RECORD_BYTES];
    record[0] = ENABLED;
    let mut from = 1;
    let mut at = 0;
    while at < Hash::ALL.len() {
        [record[from + 2], record[from + 3]] = 10_000_u16.to_be_bytes();
        record[from + 4] = 16;
        from += 4 + 1 + SALT_BYTES + 2 * Hash::ALL[at].output_bytes();
        at += 1;
    }
    record
};
const _: () = assert!(SALT_BYTES == 16);

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

#[cfg(test)]
mod tests {
    use alloc::{format, vec};

    use super::*;

    fn credentials() -> Credentials {
        let mut entropy = Entropy::new([1; 32]);
        let password = Secret::new(b"pencil".to_vec());
        Credentials {
            status: Status::Enabled,
            keys: DeriveParams::for_new_password(7, &mut entropy)
                .iter()
                .map(|job| job.derive(&password))
                .collect(),
        }
    }

    fn row() -> Row {
        credentials().to_row(Dates::new(UnixTime(7)))
    }

    fn is_damaged(change: impl Fn(&mut Vec<Field>)) -> bool {
        let mut row = row();
        change(&mut row.0);
        Credentials::from_row(&row).is_none()
    }

    #[test]
    fn a_new_password_has_a_fresh_salt_for_each_hash() {
        let keys = credentials().keys;
        let hashes: Vec<Hash> = keys.iter().map(|keys| keys.hash).collect();
        assert_eq!(hashes, Hash::ALL);
        assert!(keys.iter().all(|keys| keys.salt.len() == SALT_BYTES));
        assert_ne!(keys[0].salt, keys[1].salt);
        for keys in &keys {
            assert_eq!(keys.stored_key.expose().len(), keys.hash.output_bytes());
            assert_eq!(keys.server_key.expose().len(), keys.hash.output_bytes());
        }
    }

    #[test]
    fn a_row_has_a_column_for_each_value_and_reads_back() {
        let mut credentials = credentials();
        let row = row();
        assert!(row.fits(&CREDENTIALS));
        assert_eq!(row.0[0], Field::text("enabled"));
        assert_eq!(row.0[1], Field::Int(7));
        assert_eq!(row.0[13..], [Field::Time(7000), Field::Time(7000)]);
        assert_eq!(Credentials::from_row(&row), Some(credentials.clone()));
        credentials.status = Status::Disabled;
        credentials.keys.remove(1);
        let row = credentials.to_row(Dates::default());
        assert!(row.fits(&CREDENTIALS));
        assert_eq!(row.0[5..9], [const { Field::Absent }; 4]);
        assert_eq!(Credentials::from_row(&row), Some(credentials));
    }

    #[test]
    fn a_change_keeps_the_day_of_creation() {
        let dates = Dates::changed(&row(), UnixTime(9));
        assert_eq!(dates.created, Some(UnixTime(7)));
        assert_eq!(dates.updated, Some(UnixTime(9)));
        let unknown = Dates::changed(&credentials().to_row(Dates::default()), UnixTime(9));
        assert_eq!(unknown.created, None);
    }

    #[test]
    fn a_record_tells_passwords_and_status_apart_and_nothing_else() {
        let record = Credentials::record(&row());
        assert_eq!(record, credentials().to_record(), "whatever the dates");
        let mut disabled = credentials();
        disabled.status = Status::Disabled;
        assert_ne!(record, disabled.to_record());
        let mut other = credentials();
        other.keys[2].salt[0] ^= 1;
        assert_ne!(record, other.to_record());
    }

    #[test]
    fn a_damaged_row_or_record_lets_nobody_in() {
        assert!(!is_damaged(|_| ()));
        assert!(is_damaged(|row| row[0] = Field::text("maybe")));
        assert!(is_damaged(|row| row[0] = Field::Int(1)));
        assert!(is_damaged(|row| row[1] = Field::Int(0)));
        assert!(is_damaged(|row| row[1] = Field::Int(-1)));
        assert!(is_damaged(|row| row[1] = Field::Int(1 << 32)));
        assert!(is_damaged(|row| row[1] = Field::Absent));
        assert!(is_damaged(|row| row[2] = Field::Bytes(Bytes::new())));
        assert!(is_damaged(|row| row[2] = Field::text("salt")));
        assert!(is_damaged(|row| row[3] = Field::Bytes(vec![0; 3].into())));
        assert!(is_damaged(|row| row[4] = Field::Bytes(Bytes::new())));
        assert!(is_damaged(|row| row.truncate(5)));
        assert!(is_damaged(Vec::clear));
        let record = credentials().to_record();
        for end in 0..record.len() {
            assert!(Credentials::from_record(&record[..end]).is_none());
        }
        assert!(Credentials::from_record(&[&record[..], b"x"].concat()).is_none());
    }

    #[test]
    fn a_new_password_is_bounded_and_utf8() {
        let longest = "\u{e9}".repeat(PASSWORD_BYTES / 2);
        assert_eq!(
            prepare_new_password(longest.as_bytes()),
            Ok(longest.clone())
        );
        for (typed, error) in [
            ((longest + "x").as_bytes(), PasswordError::TooLong),
            (b"\xff\xfe", PasswordError::Encoding),
            (b"", PasswordError::Empty),
            ("\u{ad}".as_bytes(), PasswordError::Empty),
            (b"a\x07b", PasswordError::Prohibited),
        ] {
            assert_eq!(prepare_new_password(typed), Err(error));
        }
    }

    #[test]
    fn a_password_is_prepared_by_saslprep() {
        // The last is from the note in RFC 5802 §3.
        for (given, prepared) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("a\u{a0}b", "a b"),
            ("\u{bd}", "1\u{2044}2"),
        ] {
            assert_eq!(prepare_password(given).as_deref(), Ok(prepared));
        }
        for given in ["\u{7}", "\u{627}1", "\u{e000}", "a\0b", "\u{1f600}"] {
            assert_eq!(prepare_password(given), Err(PasswordError::Prohibited));
        }
        for given in ["", "\u{ad}"] {
            assert_eq!(prepare_password(given), Err(PasswordError::Empty));
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let printed = format!("{:?}", credentials());
        assert!(printed.contains("stored_key: Secret(..)"), "{printed}");
    }
}
