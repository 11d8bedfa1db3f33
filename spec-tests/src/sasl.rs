//! The client's side of PLAIN, SCRAM and DIGEST-MD5 (RFC 4616, RFC 5802, RFC 7677, RFC 2831), strict, and able to cheat where a test asks for it.
//!
//! Written apart from the server's: each checks the other. Must not use `spondee_core::sasl` beyond the names of hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::digest::Digest as _;
use sha2::{Sha256, Sha512};
use spondee_core::sasl::{Hash, Mechanism, Plus};

/// What a client binds its sign-in to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Binding {
    /// It cannot (`n`).
    Unsupported,
    /// It could, and believes that the server cannot (`y`).
    ServerCannot,
    /// By a type with its data (`p=`).
    Bound(&'static str, Vec<u8>),
}

/// One sign-in by SCRAM.
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    password: String,
    gs2: String,
    binding: Vec<u8>,
    first_bare: String,
    nonce: String,
}

/// After the proof: knows what the server has to answer.
#[derive(Debug)]
pub struct Signed {
    verifier: String,
}

/// Base64 as RFC 6120 §6.4.2 wants it: an empty message is `=`.
#[must_use]
pub fn encode(message: &[u8]) -> String {
    if message.is_empty() {
        "=".to_owned()
    } else {
        STANDARD.encode(message)
    }
}

/// The content of `<challenge/>` or `<success/>`.
///
/// # Errors
/// It is not strict base64.
pub fn decode(text: &str) -> Result<String, String> {
    let bytes = if text == "=" {
        Vec::new()
    } else {
        STANDARD
            .decode(text)
            .map_err(|e| format!("{e}: {text:?}"))?
    };
    String::from_utf8(bytes).map_err(|e| e.to_string())
}

/// The one message of PLAIN (RFC 4616 §2).
#[must_use]
pub fn plain(user: &str, password: &str) -> String {
    encode(format!("\0{user}\0{password}").as_bytes())
}

/// One sign-in by DIGEST-MD5: what a client makes its response of.
#[derive(Clone, Copy, Debug)]
pub struct Digest<'a> {
    /// Who signs in.
    pub user: &'a str,
    /// With what.
    pub password: &'a str,
    /// Where the password is good: the host.
    pub realm: &'a str,
    /// `xmpp/` and the host.
    pub uri: &'a str,
    /// As whom, if that is to be said.
    pub authzid: Option<&'a str>,
}

impl Digest<'_> {
    /// What the client answers to a challenge of this host, and what the server then proves itself by: both in base64.
    ///
    /// # Errors
    /// The challenge is none of ours, in words.
    pub fn respond(&self, challenge: &str, host: &str) -> Result<(String, String), String> {
        let nonce = nonce(&decode(challenge)?, host)?;
        let Self {
            user,
            password,
            realm,
            uri,
            authzid,
        } = self;
        let cnonce = "clientnonce";
        let secret = Md5::digest(format!("{user}:{realm}:{password}"));
        let mut a1 = [&secret[..], format!(":{nonce}:{cnonce}").as_bytes()].concat();
        let mut said = String::new();
        if let Some(authzid) = authzid {
            a1.extend_from_slice(format!(":{authzid}").as_bytes());
            said = format!(",authzid=\"{authzid}\"");
        }
        let session = hex(&Md5::digest(a1));
        let value = |method: &str| {
            let what = hex(&Md5::digest(format!("{method}:{uri}")));
            let all = format!("{session}:{nonce}:00000001:{cnonce}:auth:{what}");
            hex(&Md5::digest(all))
        };
        let response = format!(
            "username=\"{user}\",realm=\"{realm}\",nonce=\"{nonce}\",cnonce=\"{cnonce}\",nc=00000001,qop=auth,digest-uri=\"{uri}\",response={},\
             charset=utf-8{said}",
            value("AUTHENTICATE")
        );
        let proof = format!("rspauth={}", value(""));
        Ok((encode(response.as_bytes()), encode(proof.as_bytes())))
    }
}

/// The nonce of a challenge as this host writes it.
fn nonce(challenge: &str, host: &str) -> Result<String, String> {
    let (_, behind) = challenge.split_once("nonce=\"").ok_or("no nonce")?;
    let (nonce, _) = behind.split_once('"').ok_or("a nonce without its end")?;
    let wanted =
        format!("realm=\"{host}\",nonce=\"{nonce}\",qop=\"auth\",charset=utf-8,algorithm=md5-sess");
    match challenge == wanted && nonce.len() >= 16 {
        true => Ok(nonce.to_owned()),
        false => Err(format!("no challenge of {host}: {challenge}")),
    }
}

/// What a client of DIGEST-MD5 answers to a challenge of this host, and what the server then proves itself by: both in base64.
///
/// # Errors
/// The challenge is none of ours, in words.
pub fn digest_response(
    challenge: &str,
    host: &str,
    user: &str,
    password: &str,
) -> Result<(String, String), String> {
    let digest = Digest {
        user,
        password,
        realm: host,
        uri: &format!("xmpp/{host}"),
        authzid: None,
    };
    digest.respond(challenge, host)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Scram {
    /// `None` for all others. The nonce need not be secret in a test, only new.
    #[must_use]
    pub fn new(
        mechanism: Mechanism,
        user: &str,
        password: &str,
        nonce: &str,
        binding: Binding,
    ) -> Option<Self> {
        let Mechanism::Scram(hash, plus) = mechanism else {
            return None;
        };
        let binding = match (plus, binding) {
            (Plus::No, Binding::Bound(..)) => Binding::Unsupported,
            (_, binding) => binding,
        };
        let (gs2, binding) = match binding {
            Binding::Unsupported => ("n,,".to_owned(), Vec::new()),
            Binding::ServerCannot => ("y,,".to_owned(), Vec::new()),
            Binding::Bound(kind, data) => (format!("p={kind},,"), data),
        };
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Some(Self {
            hash,
            password: password.to_owned(),
            gs2,
            binding,
            first_bare: format!("n={user},r={nonce}"),
            nonce: nonce.to_owned(),
        })
    }

    /// client-first-message, in base64.
    #[must_use]
    pub fn first(&self) -> String {
        encode(format!("{}{}", self.gs2, self.first_bare).as_bytes())
    }

    /// client-final-message for the server's first, both in base64.
    ///
    /// # Errors
    /// The server broke RFC 5802 §5.1, in words.
    pub fn respond(self, challenge: &str) -> Result<(String, Signed), String> {
        let challenge = decode(challenge)?;
        let part = |name: &str| {
            challenge
                .split(',')
                .find_map(|part| part.strip_prefix(name))
                .ok_or_else(|| format!("no {name} in {challenge:?}"))
        };
        let (nonce, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() < self.nonce.len() + 16 {
            return Err(format!("the server's nonce {nonce:?} is not an extension"));
        }
        let salt = STANDARD.decode(salt).map_err(|e| e.to_string())?;
        let rounds = rounds.parse::<u32>().map_err(|e| e.to_string())?;
        let mut bound = self.gs2.into_bytes();
        bound.extend(self.binding);
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(bound));
        let signed = format!("{},{challenge},{without_proof}", self.first_bare);

        let salted = salted_password(self.hash, self.password.as_bytes(), &salt, rounds);
        let client_key = hmac(self.hash, &salted, b"Client Key");
        let signature = hmac(
            self.hash,
            &digest(self.hash, &client_key),
            signed.as_bytes(),
        );
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = hmac(self.hash, &salted, b"Server Key");
        let verifier = STANDARD.encode(hmac(self.hash, &server_key, signed.as_bytes()));
        let message = format!("{without_proof},p={}", STANDARD.encode(proof));
        Ok((encode(message.as_bytes()), Signed { verifier }))
    }
}

impl Signed {
    /// Checks the server's last message, from `<success/>` (RFC 5802 §3: the client must).
    ///
    /// # Errors
    /// The server does not know the keys.
    pub fn verify(self, last: &str) -> Result<(), String> {
        let last = decode(last)?;
        if last == format!("v={}", self.verifier) {
            Ok(())
        } else {
            Err(format!("the server's signature is wrong: {last:?}"))
        }
    }
}

fn hmac(hash: Hash, key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    macro_rules! with {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).expect("any key will do");
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match hash {
        Hash::Sha1 => with!(Sha1),
        Hash::Sha256 => with!(Sha256),
        Hash::Sha512 => with!(Sha512),
    }
}

fn digest(hash: Hash, message: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => Sha1::digest(message).to_vec(),
        Hash::Sha256 => Sha256::digest(message).to_vec(),
        Hash::Sha512 => Sha512::digest(message).to_vec(),
    }
}

fn salted_password(hash: Hash, password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    match hash {
        Hash::Sha1 => pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password, salt, rounds).to_vec(),
        Hash::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, rounds).to_vec(),
        Hash::Sha512 => pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, rounds).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(hash: Hash, nonce: &str, challenge: &str) -> (String, Signed) {
        let scram = Scram::new(
            Mechanism::Scram(hash, Plus::No),
            "user",
            "pencil",
            nonce,
            Binding::Unsupported,
        )
        .unwrap();
        let (message, signed) = scram.respond(&encode(challenge.as_bytes())).unwrap();
        (decode(&message).unwrap(), signed)
    }

    /// RFC 5802 §5.
    #[test]
    fn computes_the_example_of_scram_sha_1() {
        let (message, signed) = example(
            Hash::Sha1,
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        );
        assert!(
            message.ends_with("p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="),
            "{message}"
        );
        signed
            .verify(&encode(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="))
            .unwrap();
    }

    /// RFC 7677 §3.
    #[test]
    fn computes_the_example_of_scram_sha_256() {
        let (message, signed) = example(
            Hash::Sha256,
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        );
        let proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert!(message.ends_with(proof), "{message}");
        signed
            .verify(&encode(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="))
            .unwrap();
        let (_, signed) = example(Hash::Sha256, "a", "r=aaaaaaaaaaaaaaaaaaaaaaaaa,s=YWE=,i=1");
        assert!(signed.verify(&encode(b"v=AAAA")).is_err());
    }
}
