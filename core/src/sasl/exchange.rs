//! One exchange from `<auth/>` to its end. The old state is consumed by each step.

use alloc::vec::Vec;

use super::{Credentials, DeriveParams, Failure, Mechanism, Offer, ScramKeys, Transport};
use crate::entropy::Entropy;
use crate::jid::{BareJid, Domain};
use crate::secret::Secret;

/// What an exchange must know of its stream.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The host the stream is to; accounts are looked up there.
    pub host: &'a Domain,
    /// What was offered: the `y` flag of GS2 fails where -PLUS was on offer (RFC 5802 §6).
    pub offer: &'a Offer,
    /// What -PLUS binds to.
    pub transport: &'a Transport,
    /// Keys the steady fake salts of unknown users.
    pub server_secret: &'a [u8; 32],
    /// Iteration count that unknown users seem to have: the host's default.
    pub rounds: u32,
}

/// Waits for the client's next message.
#[derive(Debug)]
pub struct Exchange {
    // the helper's: an enum of what each mechanism keeps between messages
}

/// Waits for credentials. Wants no input meanwhile.
#[derive(Debug)]
pub struct Lookup {}

/// Waits for a worker. Wants no input meanwhile.
#[derive(Debug)]
pub struct Derive {}

/// The proof that somebody knew the password of an enabled account. Only this module makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    account: BareJid,
    mechanism: Mechanism,
}

impl Verified {
    /// Whose credentials were verified.
    #[must_use]
    pub const fn account(&self) -> &BareJid {
        &self.account
    }

    /// By which mechanism.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }
}

/// What an exchange wants next.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge, then `respond` with the client's message.
    Challenge(Vec<u8>, Exchange),
    /// Look these credentials up, then `Lookup::found`.
    Lookup(BareJid, Lookup),
    /// Derive keys from the password, then `Derive::derived`.
    Derive(DeriveParams, Secret, Derive),
    /// Signed in. The data goes into `<success/>`; `None` and empty data differ (RFC 6120 §6.4.6).
    Success(Verified, Option<Vec<u8>>),
    /// Over.
    Failure(Failure),
}

impl Exchange {
    /// Begins with the initial response of `<auth/>`: `None` if there was none (RFC 6120 §6.4.2), empty for `=`.
    pub fn begin(mechanism: Mechanism, initial: Option<&[u8]>, cx: Context<'_>) -> Step {
        let _ = (mechanism, initial, cx);
        todo!()
    }

    /// Goes on with the decoded content of `<response/>`.
    pub fn respond(self, message: &[u8], cx: Context<'_>) -> Step {
        let _ = (message, cx);
        todo!()
    }
}

impl Lookup {
    /// Goes on with what the store has: `None` for an unknown user, who costs and looks the same.
    pub fn found(
        self,
        credentials: Option<&Credentials>,
        cx: Context<'_>,
        entropy: &mut Entropy,
    ) -> Step {
        let _ = (credentials, cx, entropy);
        todo!()
    }
}

impl Derive {
    /// Goes on with the worker's keys.
    pub fn derived(self, keys: &ScramKeys) -> Step {
        let _ = keys;
        todo!()
    }
}
