//! The client's side of our mechanisms, for tests and load generators. Strict: it takes nothing that RFC 5802 does not allow.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{DeriveParams, Hash};
use crate::secret::Secret;

/// PLAIN's one message. `authzid` empty for none.
#[must_use]
pub fn plain(authzid: &str, name: &str, password: &str) -> Vec<u8> {
    format!("{authzid}\0{name}\0{password}").into_bytes()
}

/// What the client says of channel binding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Binding<'a> {
    /// `n`: cannot.
    Unsupported,
    /// `y`: could, but saw no -PLUS.
    NotOffered,
    /// `p=`: does. For -PLUS.
    Used {
        /// The type's name.
        name: &'a str,
        /// Its data.
        data: &'a [u8],
    },
}

/// What a client keeps of a password: with the same salt and rounds it serves again (RFC 5802 §5.1, `i`).
#[derive(Clone, Debug)]
pub struct ClientKeys {
    client_key: Secret,
    server_key: Secret,
}

impl ClientKeys {
    /// Derives them. `password` is what `prepare_password` gave.
    #[must_use]
    pub fn derive(params: &DeriveParams, password: &str) -> Self {
        let password = Secret::new(password.into());
        let hash = params.hash;
        let salted = hash.salted_password(&password, &params.salt, params.rounds);
        Self {
            client_key: hash.hmac(&salted, b"Client Key"),
            server_key: hash.hmac(&salted, b"Server Key"),
        }
    }
}

/// A client that has sent its first message.
#[derive(Clone, Debug)]
pub struct ClientFirst {
    hash: Hash,
    gs2_header: String,
    bare: String,
    nonce: String,
    binding: Vec<u8>,
}

impl ClientFirst {
    /// Begins as `name`, unescaped, with a nonce of the caller's.
    #[must_use]
    pub fn new(
        hash: Hash,
        binding: Binding<'_>,
        authzid: Option<&str>,
        name: &str,
        nonce: &str,
    ) -> Self {
        let (flag, data) = match binding {
            Binding::Unsupported => ("n".into(), Vec::new()),
            Binding::NotOffered => ("y".into(), Vec::new()),
            Binding::Used { name, data } => (format!("p={name}"), data.into()),
        };
        let authzid = authzid.map_or_else(String::new, |id| format!("a={}", escape(id)));
        Self {
            hash,
            gs2_header: format!("{flag},{authzid},"),
            bare: format!("n={},r={nonce}", escape(name)),
            nonce: nonce.into(),
            binding: data,
        }
    }

    /// The client-first-message.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        format!("{}{}", self.gs2_header, self.bare).into_bytes()
    }

    /// Answers the server-first-message; `keys` derives or remembers. `None` if the server's message is not one, or its nonce does
    /// not begin with ours and go on.
    pub fn answer(
        &self,
        server_first: &[u8],
        keys: impl FnOnce(&DeriveParams) -> ClientKeys,
    ) -> Option<ClientFinal> {
        let server_first = core::str::from_utf8(server_first).ok()?;
        let mut attributes = server_first.split(',');
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let salt = attributes.next()?.strip_prefix("s=")?;
        let rounds = attributes.next()?.strip_prefix("i=")?;
        let ours = nonce.strip_prefix(self.nonce.as_str());
        if ours.is_none_or(str::is_empty) || attributes.any(|more| more.starts_with("m=")) {
            return None;
        }
        let params = DeriveParams {
            hash: self.hash,
            salt: STANDARD.decode(salt).ok()?,
            rounds: rounds.parse().ok().filter(|rounds| *rounds > 0)?,
        };
        let keys = keys(&params);

        let binding = [self.gs2_header.as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(binding));
        let auth_message = format!("{},{server_first},{without_proof}", self.bare);
        let stored_key = self.hash.digest(&keys.client_key);
        let signature = self.hash.hmac(&stored_key, auth_message.as_bytes());
        let proof: Vec<u8> = keys
            .client_key
            .expose()
            .iter()
            .zip(signature.expose())
            .map(|(key, signature)| key ^ signature)
            .collect();
        let verifier = self.hash.hmac(&keys.server_key, auth_message.as_bytes());
        Some(ClientFinal {
            message: format!("{without_proof},p={}", STANDARD.encode(proof)),
            verifier: format!("v={}", STANDARD.encode(verifier.expose())),
        })
    }
}

/// A client that has sent its proof.
#[derive(Clone, Debug)]
pub struct ClientFinal {
    message: String,
    verifier: String,
}

impl ClientFinal {
    /// The client-final-message.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        self.message.as_bytes()
    }

    /// Whether the server-final-message proves that the server has the account's keys.
    #[must_use]
    pub fn verify(&self, server_final: &[u8]) -> bool {
        server_final == self.verifier.as_bytes()
    }
}

/// A `saslname` (RFC 5802 §5.1).
fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}
