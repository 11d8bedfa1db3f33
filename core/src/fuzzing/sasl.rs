//! `sasl`: no message panics, and nobody signs in without the right password.
//!
//! The first byte chooses between messages made by the fuzzer, a client of ours with words of the fuzzer's, credentials records, what may
//! be said by DIGEST-MD5, and what may be said where a directory is asked.

use alloc::string::String;
use alloc::vec::Vec;

use super::cursor::Cursor;
use crate::entropy::Entropy;
use crate::jid::{BareJid, Domain};
use crate::sasl::client::{Binding, ClientFirst, ClientKeys, plain};
use crate::sasl::{
    ChannelBindings, Context, Credentials, DeriveParams, Derives, Exchange, Failure, Judgement,
    Mechanism, Offer, Plus, Provider, SaslPolicy, Status, Step, Transport, Verified, Verifier,
    offer, prepare_password,
};
use crate::secret::Secret;

const EXPORTER: [u8; 32] = [0xee; 32];
const END_POINT: [u8; 32] = [0xcc; 32];
const NAME: &str = "juliet";
const PASSWORD: &str = "r0m30";
/// Work for a worker is done here and now, so it must be little.
const ROUNDS: u32 = 1;
/// Kinds from here on: what a client of DIGEST-MD5 says.
const DIGEST: u8 = 0xfc;
/// The kind before them: what is said where a directory is asked.
const DIRECTORY: u8 = DIGEST - 1;
/// Between two messages of the fuzzer: no UTF-8, so that it is in none of them.
const END: u8 = 0xff;

/// Messages, words or a record.
///
/// # Panics
/// If somebody signs in who must not, or does not who must.
pub fn sasl(data: &[u8]) {
    let mut bytes = Cursor::new(data);
    let kind = bytes.byte();
    match kind % 3 {
        _ if kind >= DIGEST => digest(&mut bytes),
        _ if kind == DIRECTORY => strange_messages(&mut bytes, Provider::Ldap),
        0 => strange_messages(&mut bytes, Provider::Hashed),
        1 => honest_client(&mut bytes),
        _ => record(bytes.rest()),
    }
}

/// A host with one account, and a connection to it.
struct Server {
    host: Domain,
    offer: Offer,
    transport: Transport,
    account: BareJid,
    credentials: Credentials,
    entropy: Entropy,
    provider: Provider,
}

impl Server {
    /// `juliet`'s password is the prepared `password`.
    fn new(transport: Transport, password: &str, status: Status) -> Self {
        let host = Domain::parse("a.example").expect("a domain");
        let password = Secret::new(password.into());
        let mut entropy = Entropy::new([5; 32]);
        let jobs = DeriveParams::for_new_password(ROUNDS, &mut entropy);
        Self {
            offer: offer(&SaslPolicy::default(), Provider::Hashed, &transport).unwrap_or_default(),
            transport,
            account: BareJid::new(NAME, &host).expect("a localpart"),
            host,
            credentials: Credentials::hashed(
                status,
                jobs.iter().map(|job| job.derive(&password)).collect(),
            ),
            entropy,
            provider: Provider::Hashed,
        }
    }

    fn cx(&self) -> Context<'_> {
        Context {
            host: &self.host,
            offer: &self.offer,
            transport: &self.transport,
            server_secret: &[9; 32],
            rounds: ROUNDS,
            former_rounds: &[],
            provider: self.provider,
            derives: Derives::IfNeeded,
        }
    }

    fn begin(&mut self, mechanism: Mechanism, initial: Option<&[u8]>) -> Step {
        let mut entropy = Entropy::new(self.entropy.block("fuzz"));
        let step = Exchange::begin(mechanism, initial, self.cx(), &mut entropy);
        self.settle(step)
    }

    fn respond(&mut self, exchange: Exchange, message: &[u8]) -> Step {
        let step = exchange.respond(message, self.cx());
        self.settle(step)
    }

    /// Answers for the store and the workers until the client is concerned.
    fn settle(&mut self, mut step: Step) -> Step {
        loop {
            step = match step {
                Step::Lookup(account, lookup) => {
                    let known = (account == self.account).then_some(&self.credentials);
                    let mut entropy = Entropy::new(self.entropy.block("fuzz"));
                    lookup.found(known, self.cx(), &mut entropy)
                }
                Step::Derive(job, password, derive) => derive.derived(&job.derive(&password)),
                Step::Judge(password, judge) => {
                    judge.judged(match password.expose() == PASSWORD.as_bytes() {
                        true => Judgement::Right,
                        false => Judgement::Wrong,
                    })
                }
                Step::Challenge(..) | Step::Proof(..) | Step::Success(..) | Step::Failure(_) => {
                    return step;
                }
            };
        }
    }
}

fn transport(bytes: &mut Cursor<'_>) -> Transport {
    let choice = bytes.below(5);
    if choice == 4 {
        return Transport::Clear;
    }
    Transport::Tls(ChannelBindings {
        exporter: (choice & 1 == 0).then_some(EXPORTER),
        end_point: (choice & 2 == 0).then(|| END_POINT.into()),
    })
}

fn status(bytes: &mut Cursor<'_>) -> Status {
    bytes.pick(&[Status::Enabled, Status::Disabled])
}

/// One by which a password is proven.
fn mechanism(bytes: &mut Cursor<'_>, provider: Provider) -> Mechanism {
    let all = Mechanism::ALL.into_iter();
    let proves = |known: &Mechanism| provider.has(*known) && *known != Mechanism::External;
    let had: Vec<_> = all.filter(proves).collect();
    bytes.pick(&had)
}

/// One mechanism and the fuzzer's own messages.
fn strange_messages(bytes: &mut Cursor<'_>, provider: Provider) {
    let mechanism = mechanism(bytes, provider);
    let transport = transport(bytes);
    let status = status(bytes);
    let mut server = Server::new(transport, PASSWORD, status);
    server.provider = provider;
    let is_initial = bytes.byte().is_multiple_of(2);
    let mut last: &[u8] = if is_initial { bytes.until(END) } else { &[] };
    let mut step = server.begin(mechanism, is_initial.then_some(last));
    // No mechanism takes so many.
    for _ in 0..4 {
        step = match step {
            Step::Challenge(_, exchange) => {
                last = bytes.until(END);
                server.respond(exchange, last)
            }
            Step::Success(verified, _) => {
                assert_eq!(mechanism, Mechanism::Plain, "a proof by chance");
                assert!(provider.takes(&verified), "vouched for by another");
                // Who the directory knows may be anybody.
                if provider != Provider::Ldap {
                    assert_eq!(verified.account(), &server.account);
                }
                let is_disabled =
                    status == Status::Disabled && *verified.account() == server.account;
                assert!(!is_disabled, "disabled");
                assert!(says_password(last), "{last:?}");
                return;
            }
            Step::Failure(failure) => {
                let disabled = failure == Failure::AccountDisabled;
                assert!(!disabled || status == Status::Disabled && says_password(last));
                return;
            }
            Step::Proof(..) | Step::Lookup(..) | Step::Derive(..) | Step::Judge(..) => {
                panic!("settled")
            }
        };
    }
    panic!("an exchange without end");
}

/// Whether this is a message of PLAIN with the right password.
fn says_password(message: &[u8]) -> bool {
    let parts: Vec<&[u8]> = message.split(|byte| *byte == 0).collect();
    let [_, _, password] = parts.as_slice() else {
        return false;
    };
    core::str::from_utf8(password)
        .is_ok_and(|password| prepare_password(password).is_ok_and(|ready| ready == PASSWORD))
}

/// What a client of ours is told to do.
struct Attempt {
    mechanism: Mechanism,
    name: String,
    nonce: String,
    password: String,
    /// Which bit of the client-final-message is turned on its way.
    tampering: Option<(usize, u8)>,
}

/// A client that knows the mechanisms, with a name, a nonce and a password of the fuzzer's, which may be right.
fn honest_client(bytes: &mut Cursor<'_>) {
    let mechanism = mechanism(bytes, Provider::Hashed);
    let is_tampered = bytes.byte() % 2 == 1;
    let tampering = (usize::from(bytes.byte()), 1 << bytes.below(8));
    let is_right = bytes.byte().is_multiple_of(2);
    let status = status(bytes);
    let mut text = || String::from_utf8_lossy(bytes.until(END)).into_owned();
    let (password, name, nonce, wrong) = (text(), text(), text(), text());
    let Ok(password) = prepare_password(&password) else {
        return;
    };
    let mut server = Server::new(
        Transport::Tls(ChannelBindings {
            exporter: Some(EXPORTER),
            end_point: Some(END_POINT.into()),
        }),
        &password,
        status,
    );
    let attempt = Attempt {
        mechanism,
        name: if name.is_empty() { NAME.into() } else { name },
        nonce: if nonce.is_empty() { "n".into() } else { nonce },
        password: if is_right { password.clone() } else { wrong },
        // Of PLAIN there is nothing but the password.
        tampering: (is_tampered && mechanism != Mechanism::Plain).then_some(tampering),
    };
    let outcome = sign_in(&mut server, &attempt);
    let may = attempt.tampering.is_none()
        && status == Status::Enabled
        && prepare_password(&attempt.password).is_ok_and(|ready| ready == password);
    match outcome {
        Ok(verified) => {
            assert!(may, "{mechanism:?}");
            assert_eq!(verified.account(), &server.account);
        }
        Err(failure) => {
            let plainly = attempt.name == NAME && attempt.nonce == "n";
            assert!(!(may && plainly), "{mechanism:?}: {failure:?}");
        }
    }
}

fn sign_in(server: &mut Server, attempt: &Attempt) -> Result<Verified, Option<Failure>> {
    let binding = Binding::Used {
        name: "tls-exporter",
        data: &EXPORTER,
    };
    let (hash, binding) = match attempt.mechanism {
        Mechanism::Anonymous | Mechanism::DigestMd5 | Mechanism::External => return Err(None),
        Mechanism::Plain => {
            let message = plain("", &attempt.name, &attempt.password);
            return outcome(server.begin(Mechanism::Plain, Some(&message)));
        }
        Mechanism::Scram(hash, Plus::Yes) => (hash, binding),
        Mechanism::Scram(hash, Plus::No) => (hash, Binding::Unsupported),
    };
    let client = ClientFirst::new(hash, binding, None, &attempt.name, &attempt.nonce);
    let step = server.begin(attempt.mechanism, Some(&client.message()));
    let Step::Challenge(challenge, exchange) = step else {
        return outcome(step);
    };
    let prepared = prepare_password(&attempt.password).map_err(|_| None)?;
    let last = client
        .answer(&challenge, |params| ClientKeys::derive(params, &prepared))
        .ok_or(None)?;
    let mut message = last.message().to_vec();
    if let Some((at, bit)) = attempt.tampering {
        let at = at % message.len();
        if let Some(byte) = message.get_mut(at) {
            *byte ^= bit;
        }
    }
    let step = server.respond(exchange, &message);
    if let Step::Success(_, data) = &step {
        assert!(last.verify(data.as_deref().unwrap_or_default()));
    }
    outcome(step)
}

/// `None` is a failure of the client's own.
fn outcome(step: Step) -> Result<Verified, Option<Failure>> {
    match step {
        Step::Success(verified, _) => Ok(verified),
        Step::Failure(failure) => Err(Some(failure)),
        Step::Challenge(..)
        | Step::Proof(..)
        | Step::Lookup(..)
        | Step::Derive(..)
        | Step::Judge(..) => Err(None),
    }
}

/// Whatever answers a digest-challenge, with the nonce of that wherever the fuzzer wants it, nobody gets by a response that was not
/// calculated.
fn digest(bytes: &mut Cursor<'_>) {
    let mut server = Server::new(Transport::Clear, PASSWORD, Status::Enabled);
    server.provider = Provider::Plain;
    server.credentials.verifier = Verifier::Password(Secret::new(PASSWORD.into()));
    let Step::Challenge(challenge, exchange) = server.begin(Mechanism::DigestMd5, None) else {
        panic!("no challenge");
    };
    let challenge = String::from_utf8_lossy(&challenge);
    let mut quoted = challenge.split('"');
    let nonce = quoted.nth(3).expect("a nonce");
    let parts: Vec<&[u8]> = bytes.rest().split(|byte| *byte == END).collect();
    let message = parts.join(nonce.as_bytes());
    let step = server.respond(exchange, &message);
    assert!(matches!(step, Step::Failure(_)), "{step:?}");
}

/// A record from the store: read or refused, and written as it was read.
fn record(record: &[u8]) {
    if let Some(credentials) = Credentials::from_record(record) {
        let again = Credentials::from_record(&credentials.to_record());
        assert_eq!(again.as_ref(), Some(&credentials));
    }
}
