//! PLAIN (RFC 4616): the password itself, checked by deriving keys from it as they were derived when it was set.

use core::str;

use super::standing::Standing;
use super::{
    Context, Credentials, DeriveParams, Failure, Hash, Mechanism, ScramKeys, Verified, decoy,
    identity, prepare_password,
};
use crate::jid::BareJid;
use crate::secret::Secret;

/// A message that was read; its account must be looked up.
#[derive(Debug)]
pub(super) struct Asked {
    account: BareJid,
    password: Secret,
}

impl Asked {
    /// Reads `[authzid] NUL authcid NUL password`.
    ///
    /// # Errors
    /// `MalformedRequest` for another form, an empty name and a password that is empty or cannot be one; `InvalidAuthzid`;
    /// `NotAuthorized` for a name that no account can have.
    pub(super) fn read(message: &[u8], cx: Context<'_>) -> Result<Self, Failure> {
        let message = str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
        let mut parts = message.split('\0');
        let (Some(authzid), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Failure::MalformedRequest);
        };
        if name.is_empty() {
            return Err(Failure::MalformedRequest);
        }
        let password = prepare_password(password).map_err(|_| Failure::MalformedRequest)?;
        let password = Secret::new(password.into_bytes());
        let account = identity::account(name, cx.host)?;
        identity::authorize(Some(authzid).filter(|id| !id.is_empty()), &account)?;
        Ok(Self { account, password })
    }

    /// Whom to look up.
    pub(super) const fn account(&self) -> &BareJid {
        &self.account
    }

    /// The job for a worker, under the strongest hash that the account has; an unknown user costs the same.
    pub(super) fn found(
        self,
        credentials: Option<&Credentials>,
        cx: Context<'_>,
    ) -> (DeriveParams, Secret, Deriving) {
        let strongest = credentials.and_then(|credentials| {
            let keys = credentials.keys.iter().max_by_key(|keys| keys.hash)?;
            Some((keys.clone(), Standing::of(credentials.status)))
        });
        // Accounts have keys for all hashes, so the strongest is what most of them have here.
        let (keys, standing) = strongest.unwrap_or_else(|| {
            let keys = decoy::keys(&self.account, Hash::Sha512, cx);
            (keys, Standing::Unknown)
        });
        let job = DeriveParams {
            hash: keys.hash,
            salt: keys.salt,
            rounds: keys.rounds,
        };
        let deriving = Deriving {
            account: self.account,
            stored_key: keys.stored_key,
            standing,
        };
        (job, self.password, deriving)
    }
}

/// Waits for a worker's keys.
#[derive(Debug)]
pub(super) struct Deriving {
    account: BareJid,
    stored_key: Secret,
    standing: Standing,
}

impl Deriving {
    /// Compares, in constant time.
    ///
    /// # Errors
    /// `NotAuthorized`, or `AccountDisabled` after the right password.
    pub(super) fn derived(self, keys: &ScramKeys) -> Result<Verified, Failure> {
        self.standing.judge(&keys.stored_key, &self.stored_key)?;
        Ok(Verified::new(self.account, Mechanism::Plain))
    }
}
