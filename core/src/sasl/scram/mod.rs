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
    Context, Credentials, DeriveParams, Derives, Failure, Hash, Mechanism, Plus, ScramKeys,
    Verified, Verifier, decoy, downgrade, identity,
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
    /// The hash of what was offered.
    offered: Option<String>,
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
            offered: downgrade::hash(cx.offer, hash),
        })
    }

    /// Whom to look up.
    pub(super) const fn account(&self) -> &BareJid {
        &self.account
    }

    /// The server-first-message. An unknown user, or an account without keys for this hash, gets a steady salt of its own and
    /// learns nothing until the end; an account of which the password is kept has that salt in earnest.
    pub(super) fn found(
        self,
        credentials: Option<&Credentials>,
        cx: Context<'_>,
        server_nonce: &str,
    ) -> (Vec<u8>, Challenged) {
        let pretence = match cx.derives {
            Derives::ForAll => Work::Pretended,
            Derives::IfNeeded => Work::None,
        };
        // Made either way: whether it was needed should not show in the time.
        let decoy = decoy::keys(&self.account, self.hash, cx);
        let known = credentials.map(|credentials| (credentials, Standing::of(credentials.status)));
        let (keys, standing, work) = match known {
            Some((credentials, standing)) => match &credentials.verifier {
                Verifier::Password(password) => {
                    let is_outdated = credentials.is_outdated(cx.provider, cx.rounds);
                    let outdated = is_outdated.then(|| password.clone());
                    (decoy, standing, Work::Needed(password.clone(), outdated))
                }
                Verifier::Keys(_) => match credentials.keys_for(self.hash) {
                    Some(keys) => (keys.clone(), standing, pretence),
                    None => (decoy, Standing::Unknown, pretence),
                },
            },
            None => (decoy, Standing::Unknown, pretence),
        };
        self.challenge(keys, standing, work, server_nonce)
    }

    fn challenge(
        self,
        keys: ScramKeys,
        standing: Standing,
        work: Work,
        server_nonce: &str,
    ) -> (Vec<u8>, Challenged) {
        let nonce = format!("{}{server_nonce}", self.client_nonce);
        let salt = STANDARD.encode(&keys.salt);
        // XEP-0474 §6.1. Behind all that RFC 5802 §7 has: an extension, which clients that do not know it must let pass.
        let offered = match &self.offered {
            Some(hash) => format!(",h={hash}"),
            None => String::new(),
        };
        let server_first = format!("r={nonce},s={salt},i={}{offered}", keys.rounds);
        let challenged = Challenged {
            mechanism: Mechanism::Scram(self.hash, self.plus),
            account: self.account,
            binding: self.binding,
            first_messages: format!("{},{server_first},", self.first_bare),
            nonce,
            keys,
            standing,
            work,
        };
        (server_first.into_bytes(), challenged)
    }
}

/// What a worker has to do before a proof is judged.
///
/// `Choice:` it is asked when the proof is here and not for the challenge. So a challenge costs nobody anything and comes at once, of an
/// account, whatever is kept of it, and of none; and who only asks for challenges keeps no worker busy.
#[derive(Debug)]
enum Work {
    /// Nothing: there are keys.
    None,
    /// To derive keys of the password that is kept; and the password again, if it should be kept no longer.
    Needed(Secret, Option<Secret>),
    /// To derive keys that nobody needs, so that it takes as long as where they are needed.
    Pretended,
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
    mechanism: Mechanism,
    account: BareJid,
    binding: String,
    /// The AuthMessage up to the client-final-message-without-proof.
    first_messages: String,
    nonce: String,
    /// What the challenge shows, and what the proof is held against unless a worker's keys are.
    keys: ScramKeys,
    standing: Standing,
    work: Work,
}

/// What a client-final-message leads to.
#[derive(Debug)]
pub(super) enum Response {
    /// The server-final-message.
    Verified(Verified, Vec<u8>),
    /// First a worker derives keys of this password.
    Derive(DeriveParams, Secret, Deriving),
}

impl Challenged {
    /// Checks the client-final-message and gives the server-final-message.
    ///
    /// # Errors
    /// `MalformedRequest`, also for a nonce or channel binding that is not this exchange's; `NotAuthorized`; `AccountDisabled`
    /// after the right proof.
    pub(super) fn respond(self, message: &[u8]) -> Result<Response, Failure> {
        let last = str::from_utf8(message)
            .ok()
            .and_then(ClientFinal::parse)
            .filter(|last| last.nonce == self.nonce && last.binding == self.binding)
            .ok_or(Failure::MalformedRequest)?;
        let proof = STANDARD
            .decode(last.proof)
            .map_err(|_| Failure::MalformedRequest)?;
        let proof = Proof {
            mechanism: self.mechanism,
            account: self.account,
            proof: Secret::new(proof),
            auth_message: format!("{}{}", self.first_messages, last.without_proof),
            standing: self.standing,
        };
        let job = |keys: &ScramKeys| DeriveParams {
            hash: keys.hash,
            salt: keys.salt.clone(),
            rounds: keys.rounds,
        };
        let (password, deriving) = match self.work {
            Work::None => {
                let (verified, signature) = proof.judge(&self.keys, None)?;
                return Ok(Response::Verified(verified, signature));
            }
            Work::Needed(password, outdated) => (password, Deriving::Needed(proof, outdated)),
            Work::Pretended => {
                // It costs what any other would.
                let password = Secret::new(proof.auth_message.as_bytes().to_vec());
                let deriving = Deriving::Pretended(proof, self.keys.clone());
                (password, deriving)
            }
        };
        Ok(Response::Derive(job(&self.keys), password, deriving))
    }
}

/// A proof that waits for a worker's keys.
#[derive(Debug)]
pub(super) enum Deriving {
    /// It is held against them. And the password, if it should be kept no longer.
    Needed(Proof, Option<Secret>),
    /// It is held against these, whatever comes.
    Pretended(Proof, ScramKeys),
}

impl Deriving {
    /// Gives the server-final-message.
    ///
    /// # Errors
    /// `NotAuthorized`; `AccountDisabled` after the right proof.
    pub(super) fn derived(self, keys: &ScramKeys) -> Result<(Verified, Vec<u8>), Failure> {
        match self {
            Self::Needed(proof, outdated) => proof.judge(keys, outdated),
            Self::Pretended(proof, keys) => proof.judge(&keys, None),
        }
    }
}

/// What a client sent, and what it is about.
#[derive(Debug)]
pub(super) struct Proof {
    mechanism: Mechanism,
    account: BareJid,
    proof: Secret,
    auth_message: String,
    standing: Standing,
}

impl Proof {
    fn judge(
        self,
        keys: &ScramKeys,
        outdated: Option<Secret>,
    ) -> Result<(Verified, Vec<u8>), Failure> {
        let claimed = self.claimed_key(keys);
        self.standing.judge(&claimed, &keys.stored_key)?;
        let signature = keys
            .hash
            .hmac(&keys.server_key, self.auth_message.as_bytes());
        let verifier = format!("v={}", STANDARD.encode(signature.expose()));
        let verified = Verified::new(self.account, self.mechanism, outdated);
        Ok((verified, verifier.into_bytes()))
    }

    /// RFC 5802 §3: the proof with the signature taken off is a ClientKey, and H of it the StoredKey of whoever made the proof.
    fn claimed_key(&self, keys: &ScramKeys) -> Secret {
        if self.proof.expose().len() != keys.hash.output_bytes() {
            return Secret::default();
        }
        let signature = keys
            .hash
            .hmac(&keys.stored_key, self.auth_message.as_bytes());
        let client_key = signature
            .expose()
            .iter()
            .zip(self.proof.expose())
            .map(|(signature, proof)| signature ^ proof);
        keys.hash.digest(&Secret::new(client_key.collect()))
    }
}

#[cfg(test)]
mod tests;
