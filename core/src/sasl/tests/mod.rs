//! Whole exchanges, client against server.

mod directory;
mod plain_host;
mod properties;
mod scram;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use super::client::{Binding, ClientFirst, ClientKeys, plain};
use super::*;
use crate::entropy::Entropy;
use crate::jid::{BareJid, Domain};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const EXPORTER: [u8; 32] = [0xee; 32];
const END_POINT: [u8; 48] = [0xcc; 48];
const ROUNDS: u32 = 3;

const BINDINGS: [Binding<'static>; 2] = [
    Binding::Used {
        name: "tls-exporter",
        data: &EXPORTER,
    },
    Binding::Used {
        name: "tls-server-end-point",
        data: &END_POINT,
    },
];

/// A host with its accounts, and one connection to it.
struct Server {
    host: Domain,
    offer: Offer,
    transport: Transport,
    accounts: BTreeMap<BareJid, Credentials>,
    provider: Provider,
    derives: Derives,
    entropy: Entropy,
    /// The jobs that were given to workers.
    jobs: Vec<DeriveParams>,
    /// The accounts that were looked up.
    lookups: Vec<String>,
    /// What the directory says, and what it was asked.
    judgement: Judgement,
    asked: Vec<Secret>,
}

impl Server {
    /// Over TLS with both bindings; `juliet` has the password `r0m30`.
    fn new() -> Self {
        let transport = Transport::Tls(ChannelBindings {
            exporter: Some(EXPORTER),
            end_point: Some(END_POINT.to_vec()),
        });
        let mut server = Self {
            host: Domain::parse("example.com").unwrap(),
            offer: offer(&SaslPolicy::default(), Provider::Hashed, &transport).unwrap(),
            transport,
            accounts: BTreeMap::new(),
            provider: Provider::Hashed,
            derives: Derives::IfNeeded,
            entropy: Entropy::new([5; 32]),
            jobs: Vec::new(),
            lookups: Vec::new(),
            judgement: Judgement::None,
            asked: Vec::new(),
        };
        server.set_password("juliet", "r0m30");
        server
    }

    fn set_password(&mut self, name: &str, password: &str) {
        let prepared = Secret::new(prepare_password(password).unwrap().into_bytes());
        let jobs = DeriveParams::for_new_password(ROUNDS, &mut self.entropy);
        let keys = jobs.iter().map(|job| job.derive(&prepared)).collect();
        let credentials = Credentials::hashed(Status::Enabled, keys);
        let account = identity::account(name, &self.host).unwrap();
        self.accounts.insert(account, credentials);
    }

    fn credentials(&mut self, name: &str) -> &mut Credentials {
        let account = BareJid::new(name, &self.host).unwrap();
        self.accounts.get_mut(&account).unwrap()
    }

    fn keys(&mut self, name: &str) -> &mut Vec<ScramKeys> {
        match &mut self.credentials(name).verifier {
            Verifier::Keys(keys) => keys,
            Verifier::Password(_) => panic!("a password"),
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
            derives: self.derives,
        }
    }

    fn begin(&mut self, mechanism: Mechanism, initial: Option<&[u8]>) -> Step {
        let mut entropy = Entropy::new(self.entropy.block("test"));
        let step = Exchange::begin(mechanism, initial, self.cx(), &mut entropy);
        self.settle(step)
    }

    fn respond(&mut self, exchange: Exchange, message: &[u8]) -> Step {
        let step = exchange.respond(message, self.cx());
        self.settle(step)
    }

    /// Answers look-ups and jobs until the client is concerned.
    fn settle(&mut self, mut step: Step) -> Step {
        loop {
            step = match step {
                Step::Lookup(account, lookup) => {
                    self.lookups.push(account.to_string());
                    let credentials = self.accounts.get(&account).cloned();
                    let mut entropy = Entropy::new(self.entropy.block("test"));
                    lookup.found(credentials.as_ref(), self.cx(), &mut entropy)
                }
                Step::Derive(job, password, derive) => {
                    self.jobs.push(job.clone());
                    derive.derived(&job.derive(&password))
                }
                Step::Judge(password, judge) => {
                    self.asked.push(password.clone());
                    judge.judged(self.judgement)
                }
                Step::Challenge(..) | Step::Proof(..) | Step::Success(..) | Step::Failure(_) => {
                    return step;
                }
            };
        }
    }

    fn challenge(&mut self, mechanism: Mechanism, first: &[u8]) -> (Vec<u8>, Exchange) {
        let Step::Challenge(challenge, exchange) = self.begin(mechanism, Some(first)) else {
            panic!("no challenge");
        };
        (challenge, exchange)
    }

    /// The whole of SCRAM; the client checks the server.
    fn scram(&mut self, attempt: &Attempt<'_>) -> Result<Verified, Failure> {
        self.scram_with(attempt, |message| message)
    }

    /// The same with the client-final-message changed on its way.
    fn scram_with(
        &mut self,
        attempt: &Attempt<'_>,
        change: impl FnOnce(String) -> String,
    ) -> Result<Verified, Failure> {
        let Mechanism::Scram(hash, _) = attempt.mechanism else {
            panic!("not a mechanism of SCRAM");
        };
        let client = ClientFirst::new(
            hash,
            attempt.binding,
            attempt.authzid,
            attempt.name,
            "client+nonce",
        );
        let step = self.begin(attempt.mechanism, Some(&client.message()));
        let Step::Challenge(challenge, exchange) = step else {
            return outcome(step).map(|(verified, _)| verified);
        };
        let password = prepare_password(attempt.password).unwrap();
        let client = client
            .answer(&challenge, |params| ClientKeys::derive(params, &password))
            .unwrap();
        let message = change(String::from_utf8(client.message().to_vec()).unwrap());
        let step = self.respond(exchange, message.as_bytes());
        let (verified, data) = outcome(step)?;
        assert!(client.verify(&data.unwrap()));
        assert_eq!(verified.mechanism(), attempt.mechanism);
        Ok(verified)
    }

    fn plain(&mut self, message: &[u8]) -> Result<Verified, Failure> {
        let (verified, data) = outcome(self.begin(Mechanism::Plain, Some(message)))?;
        assert_eq!(data, None);
        assert_eq!(verified.mechanism(), Mechanism::Plain);
        Ok(verified)
    }
}

/// One client that signs in by SCRAM.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    mechanism: Mechanism,
    binding: Binding<'a>,
    authzid: Option<&'a str>,
    name: &'a str,
    password: &'a str,
}

const JULIET: Attempt<'static> = Attempt {
    mechanism: Mechanism::Scram(Hash::Sha1, Plus::No),
    binding: Binding::Unsupported,
    authzid: None,
    name: "juliet",
    password: "r0m30",
};

const JULIET_PLUS: Attempt<'static> = Attempt {
    mechanism: Mechanism::Scram(Hash::Sha256, Plus::Yes),
    binding: BINDINGS[0],
    ..JULIET
};

fn outcome(step: Step) -> Result<(Verified, Option<Vec<u8>>), Failure> {
    match step {
        Step::Success(verified, data) => Ok((verified, data)),
        Step::Failure(failure) => Err(failure),
        Step::Challenge(..)
        | Step::Proof(..)
        | Step::Lookup(..)
        | Step::Derive(..)
        | Step::Judge(..) => {
            panic!("{step:?}")
        }
    }
}

fn refusal(result: Result<Verified, Failure>) -> Option<Failure> {
    result.err()
}

/// Every SCRAM mechanism with every binding that fits it.
fn attempts<'a>(name: &'a str, password: &'a str) -> Vec<Attempt<'a>> {
    let mut attempts = Vec::new();
    for hash in Hash::ALL {
        let attempt = |plus, binding| Attempt {
            mechanism: Mechanism::Scram(hash, plus),
            binding,
            authzid: None,
            name,
            password,
        };
        attempts.push(attempt(Plus::No, Binding::Unsupported));
        attempts.extend(BINDINGS.map(|binding| attempt(Plus::Yes, binding)));
    }
    attempts
}

#[test]
fn the_right_password_signs_in_by_every_mechanism() {
    let mut server = Server::new();
    for attempt in attempts("juliet", "r0m30") {
        let verified = server.scram(&attempt).unwrap();
        assert_eq!(verified.account().as_str(), "juliet@example.com");
    }
    let verified = server.plain(&plain("", "juliet", "r0m30")).unwrap();
    assert_eq!(verified.account().as_str(), "juliet@example.com");
}

#[test]
fn names_and_passwords_are_prepared() {
    let mut server = Server::new();
    server.set_password("fu\u{df}ball", "\u{2168}\u{a0}\u{aa}");
    let name = "Fu\u{df}Ball";
    let verified = server.plain(&plain("", name, "IX a")).unwrap();
    assert_eq!(verified.account().as_str(), "fu\u{df}ball@example.com");
    for attempt in attempts(name, "I\u{ad}X a") {
        server.scram(&attempt).unwrap();
    }
}

#[test]
fn a_name_may_hold_characters_younger_than_saslprep() {
    // U+0221 came with Unicode 4.0; SASLprep is of 3.2.
    let mut server = Server::new();
    server.set_password("\u{221}", "r0m30");
    server
        .scram(&Attempt {
            name: "\u{221}",
            ..JULIET
        })
        .unwrap();
    // What SASLprep prohibits gains nothing by such company.
    for name in ["\u{221}\u{e000}", "\u{221}\u{7}", "\u{221}\u{ad}"] {
        let attempt = Attempt { name, ..JULIET };
        assert_eq!(
            refusal(server.scram(&attempt)),
            Some(Failure::NotAuthorized)
        );
    }
}

#[test]
fn a_wrong_password_is_not_authorized() {
    let mut server = Server::new();
    for attempt in attempts("juliet", "romeo") {
        let refused = refusal(server.scram(&attempt));
        assert_eq!(refused, Some(Failure::NotAuthorized));
    }
    let refused = refusal(server.plain(&plain("", "juliet", "romeo")));
    assert_eq!(refused, Some(Failure::NotAuthorized));
}

#[test]
fn a_mechanism_without_an_initial_response_begins_with_an_empty_challenge() {
    for mechanism in by_password() {
        let mut server = Server::new();
        let Step::Challenge(challenge, exchange) = server.begin(mechanism, None) else {
            panic!("no challenge");
        };
        assert!(challenge.is_empty());
        let first = match mechanism {
            Mechanism::Anonymous | Mechanism::DigestMd5 | Mechanism::External => {
                panic!("not by keys")
            }
            Mechanism::Plain => plain("", "juliet", "r0m30"),
            Mechanism::Scram(hash, Plus::No) => {
                ClientFirst::new(hash, Binding::Unsupported, None, "juliet", "x").message()
            }
            Mechanism::Scram(hash, Plus::Yes) => {
                ClientFirst::new(hash, BINDINGS[0], None, "juliet", "x").message()
            }
        };
        let step = server.respond(exchange, &first);
        assert!(
            matches!(step, Step::Challenge(..) | Step::Success(..)),
            "{step:?}"
        );
        assert_eq!(server.lookups, ["juliet@example.com"]);
    }
}

/// Those by which a password is proven where keys are kept.
fn by_password() -> impl Iterator<Item = Mechanism> {
    let all = Mechanism::ALL.into_iter();
    all.filter(|known| Provider::Hashed.has(*known) && *known != Mechanism::External)
}

#[test]
fn an_empty_initial_response_is_malformed() {
    for mechanism in by_password() {
        let step = Server::new().begin(mechanism, Some(b""));
        assert_eq!(outcome(step).unwrap_err(), Failure::MalformedRequest);
    }
}

#[test]
fn an_unknown_user_is_refused_at_the_end_like_a_wrong_password() {
    let mut server = Server::new();
    for attempt in attempts("nobody", "r0m30") {
        let refused = refusal(server.scram(&attempt));
        assert_eq!(refused, Some(Failure::NotAuthorized));
    }
    let refused = refusal(server.plain(&plain("", "nobody", "r0m30")));
    assert_eq!(refused, Some(Failure::NotAuthorized));
}

#[test]
fn an_unknown_user_gets_a_steady_salt_of_the_usual_length() {
    let mut server = Server::new();
    let mut salt = |name, hash| {
        let first = ClientFirst::new(hash, Binding::Unsupported, None, name, "x").message();
        let mechanism = Mechanism::Scram(hash, Plus::No);
        let (challenge, _) = server.challenge(mechanism, &first);
        let challenge = String::from_utf8(challenge).unwrap();
        let mut attributes = challenge.split(',').skip(1);
        let salt = attributes.next().unwrap().strip_prefix("s=").unwrap();
        assert_eq!(attributes.next(), Some("i=3"));
        assert!(attributes.next().is_some_and(|hash| hash.starts_with("h=")));
        let salt = STANDARD.decode(salt).unwrap();
        assert_eq!(salt.len(), SALT_BYTES);
        salt
    };
    let nobody = salt("nobody", Hash::Sha1);
    assert_eq!(nobody, salt("nobody", Hash::Sha1));
    assert_eq!(nobody, salt("NoBody", Hash::Sha1));
    assert_ne!(nobody, salt("nobody", Hash::Sha256));
    assert_ne!(nobody, salt("nobody2", Hash::Sha1));
    assert_ne!(nobody, salt("juliet", Hash::Sha1));
}

#[test]
fn plain_costs_an_unknown_user_the_same_job() {
    let mut server = Server::new();
    for name in ["juliet", "nobody", "nobody"] {
        let _ = server.plain(&plain("", name, "guess"));
    }
    let [real, fake, again] = server.jobs.as_slice() else {
        panic!("{:?}", server.jobs);
    };
    assert_eq!((real.hash, real.rounds), (Hash::Sha512, ROUNDS));
    assert_eq!((fake.hash, fake.rounds), (Hash::Sha512, ROUNDS));
    assert_eq!(real.salt.len(), fake.salt.len());
    assert_eq!(fake, again);
}

#[test]
fn a_disabled_account_is_told_so_only_after_the_right_password() {
    tells_who_is_disabled_after_the_right_password_alone(Server::new());
}

/// Whatever it keeps of passwords.
fn tells_who_is_disabled_after_the_right_password_alone(mut server: Server) {
    server.credentials("juliet").status = Status::Disabled;
    for (password, failure) in [
        ("r0m30", Failure::AccountDisabled),
        ("romeo", Failure::NotAuthorized),
    ] {
        for attempt in attempts("juliet", password) {
            assert_eq!(refusal(server.scram(&attempt)), Some(failure));
        }
        let refused = refusal(server.plain(&plain("", "juliet", password)));
        assert_eq!(refused, Some(failure));
    }
}

#[test]
fn an_account_without_keys_for_a_hash_is_like_an_unknown_user() {
    let mut server = Server::new();
    server
        .keys("juliet")
        .retain(|keys| keys.hash == Hash::Sha256);
    for attempt in attempts("juliet", "r0m30") {
        let refused = refusal(server.scram(&attempt));
        match attempt.mechanism {
            Mechanism::Scram(Hash::Sha256, _) => assert_eq!(refused, None),
            Mechanism::Anonymous
            | Mechanism::DigestMd5
            | Mechanism::External
            | Mechanism::Plain
            | Mechanism::Scram(..) => {
                assert_eq!(refused, Some(Failure::NotAuthorized));
            }
        }
    }
    server.plain(&plain("", "juliet", "r0m30")).unwrap();
    server.keys("juliet").clear();
    let refused = refusal(server.plain(&plain("", "juliet", "r0m30")));
    assert_eq!(refused, Some(Failure::NotAuthorized));
}

#[test]
fn a_name_that_no_account_can_have_is_not_authorized() {
    let mut server = Server::new();
    let long = "x".repeat(1024);
    for name in [
        "juliet@example.com",
        "a b",
        "\u{7}",
        "\u{ad}",
        long.as_str(),
    ] {
        let attempt = Attempt { name, ..JULIET };
        assert_eq!(
            refusal(server.scram(&attempt)),
            Some(Failure::NotAuthorized)
        );
        let refused = refusal(server.plain(&plain("", name, "r0m30")));
        assert_eq!(refused, Some(Failure::NotAuthorized));
    }
    assert!(server.lookups.is_empty());
}

#[test]
fn the_authorization_identity_is_none_or_the_accounts_own() {
    let mut server = Server::new();
    for own in ["juliet@example.com", "Juliet@EXAMPLE.com"] {
        let authzid = Some(own);
        server.scram(&Attempt { authzid, ..JULIET }).unwrap();
        server
            .scram(&Attempt {
                authzid,
                ..JULIET_PLUS
            })
            .unwrap();
        server.plain(&plain(own, "juliet", "r0m30")).unwrap();
    }
    for others in [
        "romeo@example.com",
        "juliet@example.net",
        "juliet@example.com/balcony",
        "example.com",
        "juliet",
        "@",
    ] {
        let attempt = Attempt {
            authzid: Some(others),
            ..JULIET
        };
        assert_eq!(
            refusal(server.scram(&attempt)),
            Some(Failure::InvalidAuthzid)
        );
        let refused = refusal(server.plain(&plain(others, "juliet", "r0m30")));
        assert_eq!(refused, Some(Failure::InvalidAuthzid));
    }
}

#[test]
fn plain_is_two_nuls_and_nothing_empty_but_the_authzid() {
    let mut server = Server::new();
    let messages: [&[u8]; 9] = [
        b"juliet",
        b"juliet\0r0m30",
        b"\0juliet\0r0m30\0",
        b"\0juliet\0r0m\x0030",
        b"\0\0r0m30",
        b"\0juliet\0",
        b"\0juliet\0\xc2\xad",
        b"\0juliet\0r0m30\xff",
        b"\0juliet\0r0m30\x07",
    ];
    for message in messages {
        let refused = refusal(server.plain(message));
        assert_eq!(refused, Some(Failure::MalformedRequest), "{message:?}");
    }
    assert!(server.jobs.is_empty());
}

#[test]
fn a_password_is_not_printed() {
    let server = Server::new();
    let message = plain("", "juliet", "r0m30");
    let step = Exchange::begin(
        Mechanism::Plain,
        Some(&message),
        server.cx(),
        &mut Entropy::new([0; 32]),
    );
    let printed = format!("{step:?}");
    assert!(
        printed.contains("juliet") && !printed.contains("r0m30"),
        "{printed}"
    );
}
