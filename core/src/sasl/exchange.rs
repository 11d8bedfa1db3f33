//! One exchange from `<auth/>` to its end. The old state is consumed by each step.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{
    Credentials, DeriveParams, Failure, Hash, Judge, Mechanism, Offer, Plus, Provider, ScramKeys,
    Transport, anonymous, digest_md5, external, plain, scram,
};
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
    /// Iteration count that unknown users seem to have: the host's default, or one that it was before.
    pub rounds: u32,
    /// The ones before.
    pub former_rounds: &'a [u32],
    /// What the host keeps of passwords.
    pub provider: Provider,
    /// For whom a worker is asked after the client's proof.
    pub derives: Derives,
}

/// For whom a worker derives keys once the client has sent its proof in SCRAM. Where the password itself is kept there are none before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Derives {
    /// For everybody, whether there is such an account and whatever is kept of it: it takes as long for all.
    ForAll,
    /// For nobody who has keys.
    IfNeeded,
}

/// Waits for the client's next message.
#[derive(Debug)]
pub struct Exchange(Expected);

#[derive(Debug)]
enum Expected {
    /// The client is first, and has not begun yet.
    First(First),
    /// The client-final-message.
    ScramFinal(Box<scram::Challenged>),
    /// The digest-response.
    Digest(digest_md5::Challenged),
    /// That the client has seen that the server knows the password, too. All else is done.
    Nothing(Verified),
}

/// What the client is to begin with.
#[derive(Clone, Copy, Debug)]
enum First {
    External,
    Plain,
    Scram(Hash, Plus),
}

/// Waits for credentials. Wants no input meanwhile.
#[derive(Debug)]
pub struct Lookup(Asked);

#[derive(Debug)]
enum Asked {
    /// A guest: there are none.
    Anonymous(BareJid),
    Digest(digest_md5::Asked),
    External(external::Asked),
    Plain(plain::Asked),
    Scram(scram::Asked),
}

/// Waits for a worker. Wants no input meanwhile.
#[derive(Debug)]
pub struct Derive(Deriving);

#[derive(Debug)]
enum Deriving {
    Plain(plain::Deriving),
    Scram(Box<scram::Deriving>),
}

/// The proof that somebody knew the password of an enabled account. Only this module makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    account: BareJid,
    mechanism: Mechanism,
    outdated: Option<Secret>,
    vouched: Vouched,
}

/// Who says that it is so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Vouched {
    /// What is kept here, or the client's certificate; of guests nobody.
    Here,
    /// The host's directory.
    ByDirectory,
}

impl Verified {
    pub(super) const fn new(
        account: BareJid,
        mechanism: Mechanism,
        outdated: Option<Secret>,
    ) -> Self {
        Self {
            account,
            mechanism,
            outdated,
            vouched: Vouched::Here,
        }
    }

    pub(super) fn vouched_for(self, vouched: Vouched) -> Self {
        Self { vouched, ..self }
    }

    /// Whether the host's directory says so: then the account may not be there yet.
    #[must_use]
    pub const fn is_by_directory(&self) -> bool {
        matches!(self.vouched, Vouched::ByDirectory)
    }

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

    /// The password, if it is known and what is kept of it should be made anew.
    #[must_use]
    pub const fn outdated(&self) -> Option<&Secret> {
        self.outdated.as_ref()
    }
}

/// A sign-in of which all is proven, and which the account's owner lets in or not.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// To which account, and by which mechanism.
    pub verified: Verified,
    /// The hash of the credentials record that this was verified against.
    pub record: [u8; 32],
    /// How many changes of credentials the shard had made when that was read.
    pub as_of: u64,
}

#[cfg(test)]
impl SignIn {
    /// One for tests of what comes after it, of which nothing was proven.
    pub(crate) const fn made_up(account: BareJid, record: [u8; 32]) -> Self {
        Self {
            verified: Verified::new(account, Mechanism::Plain, None),
            record,
            as_of: 0,
        }
    }
}

/// What an exchange wants next.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge, then `respond` with the client's message.
    Challenge(Vec<u8>, Exchange),
    /// The same, which says that the password was right: whether anybody may be told now is to be asked first.
    Proof(Vec<u8>, Exchange),
    /// Look these credentials up, then `Lookup::found`.
    Lookup(BareJid, Lookup),
    /// Derive keys from the password, then `Derive::derived`.
    Derive(DeriveParams, Secret, Derive),
    /// Ask the host's directory whether this is the password of the account that was looked up, then `Judge::judged`.
    Judge(Secret, Judge),
    /// Signed in. The data goes into `<success/>`; `None` and empty data differ (RFC 6120 §6.4.6).
    Success(Verified, Option<Vec<u8>>),
    /// Over.
    Failure(Failure),
}

impl Exchange {
    /// Begins with the initial response of `<auth/>`: `None` if there was none (RFC 6120 §6.4.2), empty for `=`.
    pub fn begin(
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        cx: Context<'_>,
        entropy: &mut Entropy,
    ) -> Step {
        let first = match mechanism {
            // XEP-0175 §4: nothing is asked of a client that says nothing.
            Mechanism::Anonymous => {
                return match anonymous::enter(initial, cx.host, entropy) {
                    Ok(guest) => Step::Lookup(guest.clone(), Lookup(Asked::Anonymous(guest))),
                    Err(failure) => Step::Failure(failure),
                };
            }
            // RFC 4422 §5.1: the server is first, so there is no initial response. Smack says that there is one, of no bytes.
            Mechanism::DigestMd5 if initial.is_some_and(|message| !message.is_empty()) => {
                return Step::Failure(Failure::MalformedRequest);
            }
            Mechanism::DigestMd5 => {
                let (challenge, challenged) = digest_md5::Challenged::begin(cx, entropy);
                return Step::Challenge(challenge, Self(Expected::Digest(challenged)));
            }
            Mechanism::External => First::External,
            Mechanism::Plain => First::Plain,
            Mechanism::Scram(hash, plus) => First::Scram(hash, plus),
        };
        let exchange = Self(Expected::First(first));
        match initial {
            Some(message) => exchange.respond(message, cx),
            // RFC 6120 §6.3.10: the longer way is open too. An empty challenge asks for what the client has to say first.
            None => Step::Challenge(Vec::new(), exchange),
        }
    }

    /// Goes on with the decoded content of `<response/>`.
    pub fn respond(self, message: &[u8], cx: Context<'_>) -> Step {
        let step = match self.0 {
            Expected::First(mechanism) => begun(mechanism, message, cx),
            Expected::ScramFinal(challenged) => challenged.respond(message).map(proven),
            Expected::Digest(challenged) => challenged.respond(message, cx).map(|asked| {
                let account = asked.account().clone();
                Step::Lookup(account, Lookup(Asked::Digest(asked)))
            }),
            Expected::Nothing(verified) if message.is_empty() => Ok(Step::Success(verified, None)),
            Expected::Nothing(_) => Err(Failure::MalformedRequest),
        };
        step.unwrap_or_else(Step::Failure)
    }
}

fn begun(first: First, message: &[u8], cx: Context<'_>) -> Result<Step, Failure> {
    let (account, asked) = match first {
        First::External => {
            let asked = external::Asked::read(message, cx)?;
            (asked.account().clone(), Asked::External(asked))
        }
        First::Plain => {
            let asked = plain::Asked::read(message, cx)?;
            (asked.account().clone(), Asked::Plain(asked))
        }
        First::Scram(hash, plus) => {
            let asked = scram::Asked::read(hash, plus, message, cx)?;
            (asked.account().clone(), Asked::Scram(asked))
        }
    };
    Ok(Step::Lookup(account, Lookup(asked)))
}

fn proven(response: scram::Response) -> Step {
    match response {
        scram::Response::Verified(verified, signature) => Step::Success(verified, Some(signature)),
        scram::Response::Derive(job, password, deriving) => {
            Step::Derive(job, password, Derive(Deriving::Scram(Box::new(deriving))))
        }
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
        match self.0 {
            Asked::Anonymous(guest) => Step::Success(anonymous::entered(guest), None),
            Asked::Digest(asked) => match asked.found(credentials, cx) {
                Ok((proof, verified)) => Step::Proof(proof, Exchange(Expected::Nothing(verified))),
                Err(failure) => Step::Failure(failure),
            },
            Asked::External(asked) => match asked.found(credentials) {
                Ok(verified) => Step::Success(verified, None),
                Err(failure) => Step::Failure(failure),
            },
            Asked::Plain(asked) if cx.provider == Provider::Ldap => {
                let (password, judge) = asked.judged_elsewhere(credentials);
                Step::Judge(password, judge)
            }
            Asked::Plain(asked) => {
                let (job, password, deriving) = asked.found(credentials, cx);
                Step::Derive(job, password, Derive(Deriving::Plain(deriving)))
            }
            Asked::Scram(asked) => {
                let (challenge, challenged) =
                    asked.found(credentials, cx, &entropy.id("scram nonce"));
                let expected = Expected::ScramFinal(Box::new(challenged));
                Step::Challenge(challenge, Exchange(expected))
            }
        }
    }
}

impl Derive {
    /// Goes on with the worker's keys.
    pub fn derived(self, keys: &ScramKeys) -> Step {
        let step = match self.0 {
            // PLAIN has no data to go with success.
            Deriving::Plain(deriving) => deriving
                .derived(keys)
                .map(|verified| Step::Success(verified, None)),
            Deriving::Scram(deriving) => deriving
                .derived(keys)
                .map(|(verified, signature)| Step::Success(verified, Some(signature))),
        };
        step.unwrap_or_else(Step::Failure)
    }
}
