//! PLAIN (RFC 4616): the password itself, checked by deriving keys from it as they were derived when it was set, or against the password
//! that is kept.

use core::str;

use super::standing::Standing;
use super::{
    Context, Credentials, DeriveParams, Failure, Hash, Judge, Mechanism, ScramKeys, Verified,
    Verifier, decoy, identity, prepare_password,
};
use crate::entropy::keyed_hash;
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

    /// What a directory is asked, whoever it is and whatever is kept of the account.
    pub(super) fn judged_elsewhere(self, credentials: Option<&Credentials>) -> (Secret, Judge) {
        let standing = credentials.map(|credentials| Standing::of(credentials.status));
        let standing = standing.unwrap_or(Standing::Unknown);
        (self.password, Judge::new(self.account, standing))
    }

    /// The job for a worker, under the strongest hash that the account has; an unknown user costs the same, and so does an account of
    /// which the password is kept, although nothing comes of its job.
    pub(super) fn found(
        self,
        credentials: Option<&Credentials>,
        cx: Context<'_>,
    ) -> (DeriveParams, Secret, Deriving) {
        let standing = credentials.map(|credentials| Standing::of(credentials.status));
        let verifier = credentials.map(|credentials| &credentials.verifier);
        let strongest = credentials.and_then(|credentials| {
            let keys = credentials.keys().iter();
            keys.max_by_key(|keys| keys.hash).cloned()
        });
        let has_any = strongest.is_some() || matches!(verifier, Some(Verifier::Password(_)));
        // Accounts have keys for all hashes, so the strongest is what most of them have here.
        let keys = strongest.unwrap_or_else(|| decoy::keys(&self.account, Hash::Sha512, cx));
        let job = DeriveParams {
            hash: keys.hash,
            salt: keys.salt,
            rounds: keys.rounds,
        };
        // Made either way: whether they were needed should not show in the time.
        let kept = match verifier {
            Some(Verifier::Password(kept)) => kept,
            Some(Verifier::Keys(_)) | None => &self.password,
        };
        let (claimed, kept) = (print(&self.password, cx), print(kept, cx));
        let against = match verifier {
            Some(Verifier::Password(_)) => Against::Password { claimed, kept },
            Some(Verifier::Keys(_)) | None => Against::Keys(keys.stored_key),
        };
        let is_outdated =
            credentials.is_some_and(|credentials| credentials.is_outdated(cx.provider, cx.rounds));
        let deriving = Deriving {
            account: self.account,
            against,
            standing: standing.filter(|_| has_any).unwrap_or(Standing::Unknown),
            outdated: is_outdated.then(|| self.password.clone()),
        };
        (job, self.password, deriving)
    }
}

/// Passwords are compared by these, so that neither their length nor how much of them is right shows in the time.
fn print(password: &Secret, cx: Context<'_>) -> Secret {
    Secret::new(keyed_hash(cx.server_secret, &[b"password|", password.expose()]).to_vec())
}

/// What the password is held against.
#[derive(Debug)]
enum Against {
    /// The StoredKey that is kept.
    Keys(Secret),
    /// The password that is kept.
    Password { claimed: Secret, kept: Secret },
}

/// Waits for a worker's keys.
#[derive(Debug)]
pub(super) struct Deriving {
    account: BareJid,
    against: Against,
    standing: Standing,
    outdated: Option<Secret>,
}

impl Deriving {
    /// Compares, in constant time.
    ///
    /// # Errors
    /// `NotAuthorized`, or `AccountDisabled` after the right password.
    pub(super) fn derived(self, keys: &ScramKeys) -> Result<Verified, Failure> {
        match &self.against {
            Against::Keys(kept) => self.standing.judge(&keys.stored_key, kept)?,
            Against::Password { claimed, kept } => self.standing.judge(claimed, kept)?,
        }
        Ok(Verified::new(self.account, Mechanism::Plain, self.outdated))
    }
}
