//! What is kept of a password: salted, iterated keys for each hash (RFC 5803), never the password.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Hash;
use crate::entropy::Entropy;
use crate::limits::PASSWORD_BYTES;
use crate::secret::Secret;

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

impl Credentials {
    /// The record as kept: one JSON object, binary values in base64.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        let record = Record {
            status: self.status,
            keys: self.keys.iter().map(KeysRecord::of).collect(),
        };
        // Writing strings and numbers to memory does not fail; an empty record would let nobody in.
        serde_json::to_vec(&record).unwrap_or_default()
    }

    /// Reads what `to_record` wrote. `None` is a damaged record: nobody is let in by it.
    #[must_use]
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let record: Record = serde_json::from_slice(record).ok()?;
        let mut keys: Vec<ScramKeys> = Vec::with_capacity(record.keys.len().min(Hash::ALL.len()));
        for entry in record.keys {
            let entry = entry.read()?;
            if keys.iter().any(|earlier| earlier.hash == entry.hash) {
                return None;
            }
            keys.push(entry);
        }
        Some(Self {
            status: record.status,
            keys,
        })
    }

    /// The keys under `hash`.
    #[must_use]
    pub fn keys_for(&self, hash: Hash) -> Option<&ScramKeys> {
        self.keys.iter().find(|keys| keys.hash == hash)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    status: Status,
    keys: Vec<KeysRecord>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeysRecord {
    hash: String,
    salt: String,
    rounds: u32,
    stored_key: String,
    server_key: String,
}

impl KeysRecord {
    fn of(keys: &ScramKeys) -> Self {
        Self {
            hash: keys.hash.name().into(),
            salt: STANDARD.encode(&keys.salt),
            rounds: keys.rounds,
            stored_key: STANDARD.encode(keys.stored_key.expose()),
            server_key: STANDARD.encode(keys.server_key.expose()),
        }
    }

    fn read(self) -> Option<ScramKeys> {
        let hash = Hash::from_name(&self.hash)?;
        let key = |text: &str| {
            let key = Secret::new(STANDARD.decode(text).ok()?);
            (key.expose().len() == hash.output_bytes()).then_some(key)
        };
        let salt = STANDARD.decode(&self.salt).ok()?;
        if salt.is_empty() || self.rounds == 0 {
            return None;
        }
        Some(ScramKeys {
            hash,
            salt,
            rounds: self.rounds,
            stored_key: key(&self.stored_key)?,
            server_key: key(&self.server_key)?,
        })
    }
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

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

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

    fn is_damaged(change: impl Fn(&mut serde_json::Value)) -> bool {
        let mut record = serde_json::from_slice(&credentials().to_record()).unwrap();
        change(&mut record);
        Credentials::from_record(record.to_string().as_bytes()).is_none()
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
    fn a_record_is_readable_json_and_reads_back() {
        let mut credentials = credentials();
        let text = String::from_utf8(credentials.to_record()).unwrap();
        assert!(
            text.starts_with(r#"{"status":"enabled","keys":[{"hash":"SHA-1","salt":""#),
            "{text}"
        );
        assert!(text.contains(r#","rounds":7,"stored_key":""#), "{text}");
        assert_eq!(
            Credentials::from_record(text.as_bytes()),
            Some(credentials.clone())
        );
        credentials.status = Status::Disabled;
        credentials.keys.clear();
        let record = credentials.to_record();
        assert_eq!(record, br#"{"status":"disabled","keys":[]}"#);
        assert_eq!(Credentials::from_record(&record), Some(credentials));
    }

    #[test]
    fn a_damaged_record_lets_nobody_in() {
        assert!(!is_damaged(|_| ()));
        assert!(is_damaged(|record| record["status"] = "maybe".into()));
        assert!(is_damaged(|record| record["more"] = 1.into()));
        assert!(is_damaged(|record| record["keys"][0]["hash"] = "MD5".into()));
        assert!(is_damaged(
            |record| record["keys"][0]["hash"] = "SHA-256".into()
        ));
        assert!(is_damaged(|record| record["keys"][0]["rounds"] = 0.into()));
        assert!(is_damaged(
            |record| record["keys"][0]["rounds"] = (-1).into()
        ));
        assert!(is_damaged(|record| record["keys"][0]["salt"] = "".into()));
        assert!(is_damaged(
            |record| record["keys"][0]["salt"] = "no base64".into()
        ));
        assert!(is_damaged(
            |record| record["keys"][0]["stored_key"] = "AAAA".into()
        ));
        assert!(is_damaged(
            |record| record["keys"][0]["server_key"] = "".into()
        ));
        assert!(is_damaged(
            |record| record["keys"][2]["hash"] = "SHA-1".into()
        ));
        assert!(is_damaged(|record| {
            let twice = record["keys"][0].clone();
            record["keys"].as_array_mut().unwrap().push(twice);
        }));
        let record = credentials().to_record();
        for end in 0..record.len() {
            assert!(Credentials::from_record(&record[..end]).is_none());
        }
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
