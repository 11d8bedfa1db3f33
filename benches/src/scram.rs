//! The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), cheap: PBKDF2 is done once for each account.
//!
//! It trusts the server's format where a real client must not, but it does check the server's signature: a sign-in that is not
//! mutual is not the work to be measured.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sha2::digest::Digest as _;

/// An account, and what its password gave at the first sign-in.
#[derive(Debug)]
pub struct Account {
    name: String,
    password: String,
    /// One for each server it signs in to.
    keys: Vec<Keys>,
}

/// What SCRAM makes of a password, a salt and a number of rounds.
#[derive(Debug)]
pub struct Keys {
    salt: String,
    rounds: u32,
    client_key: [u8; 32],
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

/// Between the proof and the server's last message.
#[derive(Debug)]
pub struct Proven {
    /// What `<success/>` must hold.
    expected: String,
}

impl Account {
    /// `name` is a localpart that needs no escaping.
    #[must_use]
    pub fn new(name: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            keys: Vec::new(),
        }
    }

    /// The localpart.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// client-first-message in base64. The nonce need not be secret here, only new.
    #[must_use]
    pub fn first(&self, nonce: &str) -> String {
        STANDARD.encode(format!("n,,n={},r={nonce}", self.name))
    }

    /// The one message of PLAIN in base64.
    #[must_use]
    pub fn plain(&self) -> String {
        STANDARD.encode(format!("\0{}\0{}", self.name, self.password))
    }

    /// client-final-message in base64.
    ///
    /// # Errors
    /// The challenge is not one.
    pub fn answer(&mut self, nonce: &str, challenge: &str) -> Result<(String, Proven), String> {
        let bytes = STANDARD.decode(challenge).map_err(|e| e.to_string())?;
        let challenge = String::from_utf8(bytes).map_err(|e| e.to_string())?;
        let mut parts = challenge.split(',');
        let mut part = |name: &str| {
            let part = parts.next().and_then(|part| part.strip_prefix(name));
            part.ok_or_else(|| format!("no {name} in its place in {challenge:?}"))
        };
        let (both, salt) = (part("r=")?, part("s=")?);
        let rounds = part("i=")?.parse().map_err(|_| "no number of rounds")?;
        let name = self.name.clone();
        let keys = self.keys(salt, rounds)?;
        let bare = format!("c=biws,r={both}");
        let signed = format!("n={name},r={nonce},{challenge},{bare}");
        let signature = hmac(&keys.stored_key, signed.as_bytes());
        let mut proof = keys.client_key;
        for (byte, mask) in proof.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        let verifier = STANDARD.encode(hmac(&keys.server_key, signed.as_bytes()));
        let answer = STANDARD.encode(format!("{bare},p={}", STANDARD.encode(proof)));
        let expected = STANDARD.encode(format!("v={verifier}"));
        Ok((answer, Proven { expected }))
    }

    fn keys(&mut self, salt: &str, rounds: u32) -> Result<&Keys, String> {
        let known = |keys: &Keys| keys.salt == salt && keys.rounds == rounds;
        let at = match self.keys.iter().position(known) {
            Some(at) => at,
            None => {
                self.keys.push(Keys::derive(&self.password, salt, rounds)?);
                self.keys.len() - 1
            }
        };
        Ok(&self.keys[at])
    }
}

impl Keys {
    /// `salt` in base64. Takes milliseconds.
    ///
    /// # Errors
    /// The salt is not base64.
    pub fn derive(password: &str, salt: &str, rounds: u32) -> Result<Self, String> {
        let bytes = STANDARD.decode(salt).map_err(|e| e.to_string())?;
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &bytes, rounds);
        let client_key = hmac(&salted, b"Client Key");
        Ok(Self {
            salt: salt.to_owned(),
            rounds,
            client_key,
            stored_key: Sha256::digest(client_key).into(),
            server_key: hmac(&salted, b"Server Key"),
        })
    }
}

impl Keys {
    /// What a server keeps to check a client's proof.
    #[must_use]
    pub const fn stored_key(&self) -> &[u8; 32] {
        &self.stored_key
    }

    /// What a server signs with.
    #[must_use]
    pub const fn server_key(&self) -> &[u8; 32] {
        &self.server_key
    }
}

impl Proven {
    /// Whether this is the server's last message, in base64.
    #[must_use]
    pub fn holds(&self, last: &str) -> bool {
        self.expected == last
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3.
    #[test]
    fn computes_the_example_of_the_rfc_twice() {
        let mut account = Account::new("user", "pencil");
        let nonce = "rOprNGfwEbeRWgbNEkqO";
        let challenge = STANDARD.encode(
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        );
        for _ in 0..2 {
            let (answer, proven) = account.answer(nonce, &challenge).unwrap();
            let answer = String::from_utf8(STANDARD.decode(answer).unwrap()).unwrap();
            assert!(answer.ends_with("p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
            let last = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
            assert!(proven.holds(&STANDARD.encode(last)));
            assert!(!proven.holds(&STANDARD.encode("v=")));
        }
    }
}
