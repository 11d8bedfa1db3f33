//! The server's side of SCRAM, with and without channel binding (RFC 5802, RFC 7677). Knows neither XML nor the store.

mod message;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::message::{BindingFlag, ClientFinal, ClientFirst};
use super::standing::Standing;
use super::{
    Context, Credentials, Failure, Hash, Mechanism, Plus, ScramKeys, Verified, decoy, identity,
};
use crate::jid::BareJid;
use crate::secret::Secret;

/// A client-first-message that was read; its account must be looked up.
#[derive(Debug)]
pub(super) struct Asked {
    hash: Hash,
    plus: Plus,
    account: BareJid,
    /// What `c=` must say, in base64.
    binding: String,
    first_bare: String,
    client_nonce: String,
}

impl Asked {
    /// Reads the client-first-message.
    ///
    /// # Errors
    /// `MalformedRequest`, also for a channel binding flag that does not fit the mechanism or the offer; `InvalidAuthzid`;
    /// `NotAuthorized` for a name that no account can have.
    pub(super) fn read(
        hash: Hash,
        plus: Plus,
        message: &[u8],
        cx: Context<'_>,
    ) -> Result<Self, Failure> {
        let first = str::from_utf8(message)
            .ok()
            .and_then(ClientFirst::parse)
            .ok_or(Failure::MalformedRequest)?;
        let data = binding_data(plus, first.flag, cx).ok_or(Failure::MalformedRequest)?;
        let account = identity::account(&first.username, cx.host)?;
        identity::authorize(first.authzid.as_deref(), &account)?;
        Ok(Self {
            hash,
            plus,
            account,
            binding: STANDARD.encode([first.gs2_header.as_bytes(), data].concat()),
            first_bare: first.bare.into(),
            client_nonce: first.nonce.into(),
        })
    }

    /// Whom to look up.
    pub(super) const fn account(&self) -> &BareJid {
        &self.account
    }

    /// The server-first-message. An unknown user, or an account without keys for this hash, gets a steady salt of its own and
    /// learns nothing until the end.
    pub(super) fn found(
        self,
        credentials: Option<&Credentials>,
        cx: Context<'_>,
        server_nonce: &str,
    ) -> (Vec<u8>, Challenged) {
        let known = credentials.and_then(|credentials| {
            let keys = credentials.keys_for(self.hash)?;
            Some((keys.clone(), Standing::of(credentials.status)))
        });
        // Made either way: whether it was needed should not show in the time.
        let decoy = decoy::keys(&self.account, self.hash, cx);
        let (keys, standing) = known.unwrap_or((decoy, Standing::Unknown));
        self.challenge(keys, standing, server_nonce)
    }

    fn challenge(
        self,
        keys: ScramKeys,
        standing: Standing,
        server_nonce: &str,
    ) -> (Vec<u8>, Challenged) {
        let nonce = format!("{}{server_nonce}", self.client_nonce);
        let salt = STANDARD.encode(&keys.salt);
        let server_first = format!("r={nonce},s={salt},i={}", keys.rounds);
        let challenged = Challenged {
            hash: self.hash,
            plus: self.plus,
            account: self.account,
            binding: self.binding,
            first_messages: format!("{},{server_first},", self.first_bare),
            nonce,
            stored_key: keys.stored_key,
            server_key: keys.server_key,
            standing,
        };
        (server_first.into_bytes(), challenged)
    }
}

/// The data that `c=` must hold behind the GS2 header; `None` if the flag must fail (RFC 5802 §6).
fn binding_data<'a>(plus: Plus, flag: BindingFlag<'_>, cx: Context<'a>) -> Option<&'a [u8]> {
    match (plus, flag) {
        (Plus::No, BindingFlag::Unsupported) => Some(&[]),
        // The client did not see -PLUS. If it was on offer, somebody between us took it out.
        (Plus::No, BindingFlag::NotOffered) => {
            let offered = cx.offer.mechanisms.iter().any(|other| other.binds());
            (!offered).then_some(&[])
        }
        (Plus::Yes, BindingFlag::Used(name)) => cx.transport.binding(name),
        (Plus::No, BindingFlag::Used(_))
        | (Plus::Yes, BindingFlag::Unsupported | BindingFlag::NotOffered) => None,
    }
}

/// Waits for the client-final-message. Consumed by it, so no proof is tried twice.
#[derive(Debug)]
pub(super) struct Challenged {
    hash: Hash,
    plus: Plus,
    account: BareJid,
    binding: String,
    /// The AuthMessage up to the client-final-message-without-proof.
    first_messages: String,
    nonce: String,
    stored_key: Secret,
    server_key: Secret,
    standing: Standing,
}

impl Challenged {
    /// Checks the client-final-message and gives the server-final-message.
    ///
    /// # Errors
    /// `MalformedRequest`, also for a nonce or channel binding that is not this exchange's; `NotAuthorized`; `AccountDisabled`
    /// after the right proof.
    pub(super) fn respond(self, message: &[u8]) -> Result<(Verified, Vec<u8>), Failure> {
        let last = str::from_utf8(message)
            .ok()
            .and_then(ClientFinal::parse)
            .filter(|last| last.nonce == self.nonce && last.binding == self.binding)
            .ok_or(Failure::MalformedRequest)?;
        let proof = STANDARD
            .decode(last.proof)
            .map_err(|_| Failure::MalformedRequest)?;
        let auth_message = format!("{}{}", self.first_messages, last.without_proof);

        let claimed = self.claimed_key(&Secret::new(proof), &auth_message);
        self.standing.judge(&claimed, &self.stored_key)?;
        let signature = self.hash.hmac(&self.server_key, auth_message.as_bytes());
        let verifier = format!("v={}", STANDARD.encode(signature.expose()));
        let mechanism = Mechanism::Scram(self.hash, self.plus);
        Ok((
            Verified::new(self.account, mechanism),
            verifier.into_bytes(),
        ))
    }

    /// RFC 5802 §3: the proof with the signature taken off is a ClientKey, and H of it the StoredKey of whoever made the proof.
    fn claimed_key(&self, proof: &Secret, auth_message: &str) -> Secret {
        if proof.expose().len() != self.hash.output_bytes() {
            return Secret::default();
        }
        let signature = self.hash.hmac(&self.stored_key, auth_message.as_bytes());
        let client_key = signature
            .expose()
            .iter()
            .zip(proof.expose())
            .map(|(signature, proof)| signature ^ proof);
        self.hash.digest(&Secret::new(client_key.collect()))
    }
}

#[cfg(test)]
mod tests;
