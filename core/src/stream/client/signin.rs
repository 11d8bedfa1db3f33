//! SASL (RFC 6120 §6): what an exchange asks for and says, on the wire and to the shard.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Awaited, Client, Found, Negotiation, Progress};
use crate::config::{Config, HostConfig};
use crate::jid::BareJid;
use crate::port::DeriveError;
use crate::sasl::{
    self, Credentials, Derives, Exchange, Failure, GUEST, Judgement, Mechanism, Provider,
    ScramKeys, SignIn, Step, admit, read_beside,
};
use crate::store::StoreError;
use crate::stream::{Cx, Event, State, Stream, record_hash};
use crate::xml::{Element, Ns, ScanLimits, Scanner, Writer};

/// Takes the data out of the state, if that is the one; leaves any other alone.
macro_rules! take {
    ($stream:expr, $progress:ident) => {
        match &$stream.state {
            State::Client(Client::SignIn(_, Progress::$progress(..))) => {
                match core::mem::replace(&mut $stream.state, State::Closed) {
                    State::Client(Client::SignIn(
                        negotiation,
                        Progress::$progress(whose, data),
                    )) => Some((negotiation, whose, data)),
                    _ => None, // excluded above
                }
            }
            _ => None,
        }
    };
}

impl Stream {
    pub(super) fn on_auth(
        &mut self,
        cx: &mut Cx<'_>,
        negotiation: Box<Negotiation>,
        element: &Element,
    ) -> Option<Event> {
        let name = element.attribute("mechanism").unwrap_or(Cow::Borrowed(""));
        let admitted = match cx.config.accounts(&negotiation.host) {
            Some(host) => admit(&host.sasl, host.provider, &negotiation.transport, &name),
            None => Err(Failure::TemporaryAuthFailure), // the host went away with a reload
        };
        // What was left out for some was left out for all.
        let offered = &negotiation.offer.mechanisms;
        let admitted = admitted.and_then(|mechanism| match offered.contains(&mechanism) {
            true => Ok(mechanism),
            false => Err(Failure::InvalidMechanism),
        });
        let started = admitted.and_then(|mechanism| {
            let initial = decode(&element.text())?;
            let context = context(cx, &negotiation);
            let initial = initial.as_deref();
            Ok(Exchange::begin(mechanism, initial, context, cx.entropy))
        });
        match started {
            Ok(step) => self.step(cx, negotiation, None, step),
            Err(failure) => self.sasl_failure(cx, negotiation, None, failure),
        }
    }

    pub(super) fn on_response(
        &mut self,
        cx: &mut Cx<'_>,
        negotiation: Box<Negotiation>,
        exchange: Option<(Option<Box<Found>>, Box<Exchange>)>,
        element: &Element,
    ) -> Option<Event> {
        let Some((found, exchange)) = exchange else {
            return self.sasl_failure(cx, negotiation, None, Failure::OutOfOrder);
        };
        match decode(&element.text()) {
            Ok(data) => {
                let context = context(cx, &negotiation);
                let step = exchange.respond(&data.unwrap_or_default(), context);
                self.step(cx, negotiation, found, step)
            }
            Err(failure) => {
                let account = found.map(|found| found.account);
                self.sasl_failure(cx, negotiation, account, failure)
            }
        }
    }

    /// What the store has of the account that is signing in, read after so many changes of credentials.
    pub(crate) fn credentials(
        &mut self,
        cx: &mut Cx<'_>,
        record: Result<Option<Bytes>, StoreError>,
        as_of: u64,
    ) -> Option<Event> {
        // Anything else: the stream failed while it waited.
        let (negotiation, account, lookup) = take!(self, Lookup)?;
        let secret = &cx.config.server_secret;
        let (credentials, record) = match &record {
            Err(_) => {
                let failure = Failure::TemporaryAuthFailure;
                return self.sasl_failure(cx, negotiation, Some(account), failure);
            }
            Ok(None) => (None, None),
            Ok(Some(record)) => match Credentials::from_record(record) {
                // A damaged record lets nobody in, and is no reason to say that the password is wrong.
                None => {
                    cx.fx.bug("a credentials record that cannot be read");
                    let failure = Failure::TemporaryAuthFailure;
                    return self.sasl_failure(cx, negotiation, Some(account), failure);
                }
                credentials => (credentials, Some(record_hash(secret, record))),
            },
        };
        let read = credentials
            .as_ref()
            .map(|credentials| &credentials.verifier);
        for beside in read_beside(provider(cx.config, &negotiation), read) {
            core::hint::black_box(record_hash(secret, &beside));
        }
        let context = context(cx, &negotiation);
        let step = lookup.found(credentials.as_ref(), context, cx.entropy);
        let found = Box::new(Found {
            account,
            record,
            as_of,
        });
        self.step(cx, negotiation, Some(found), step)
    }

    /// What a worker derived from the password.
    pub(crate) fn derived(
        &mut self,
        cx: &mut Cx<'_>,
        keys: Result<Vec<ScramKeys>, DeriveError>,
    ) -> Option<Event> {
        let (negotiation, found, derive) = take!(self, Derive)?;
        match keys.ok().and_then(|keys| keys.into_iter().next()) {
            Some(keys) => self.step(cx, negotiation, found, derive.derived(&keys)),
            None => {
                let account = found.map(|found| found.account);
                self.sasl_failure(cx, negotiation, account, Failure::TemporaryAuthFailure)
            }
        }
    }

    /// What a directory says of the password.
    pub(crate) fn judged(&mut self, cx: &mut Cx<'_>, judgement: Judgement) -> Option<Event> {
        let (negotiation, found, judge) = take!(self, Judge)?;
        self.step(cx, negotiation, Some(found), judge.judged(judgement))
    }

    /// The account's owner takes the session: `<success/>`, and the stream restarts (RFC 6120 §6.4.6).
    pub(crate) fn admitted(&mut self, cx: &mut Cx<'_>) {
        let Some((_, account, data)) = take!(self, Admit) else {
            return;
        };
        cx.say(|out| {
            let mut w = Writer::new(out);
            w.open("success").attribute("xmlns", Ns::Sasl.uri());
            if let Some(data) = &data {
                w.text(&encode(data));
            }
            w.close();
        });
        self.scan = Scanner::new(ScanLimits::client(&cx.config.limits));
        self.state = State::Client(Client::Header(Awaited::AfterSasl(account)));
    }

    /// The account's owner does not take the session.
    pub(crate) fn refused(&mut self, cx: &mut Cx<'_>, failure: Failure) -> Option<Event> {
        let (negotiation, account, _) = take!(self, Admit)?;
        self.sasl_failure(cx, negotiation, Some(account), failure)
    }

    fn step(
        &mut self,
        cx: &mut Cx<'_>,
        negotiation: Box<Negotiation>,
        found: Option<Box<Found>>,
        step: Step,
    ) -> Option<Event> {
        match step {
            Step::Challenge(data, exchange) => {
                cx.say(|out| {
                    let mut w = Writer::new(out);
                    w.open("challenge").attribute("xmlns", Ns::Sasl.uri());
                    // An empty challenge is an empty element; `=` is for the initial response and for success.
                    if !data.is_empty() {
                        w.text(&encode(&data));
                    }
                    w.close();
                });
                self.state = State::Client(Client::SignIn(
                    negotiation,
                    Progress::Exchange(found, Box::new(exchange)),
                ));
                None
            }
            Step::Proof(data, exchange) => {
                let Some(found) = found else {
                    self.state = State::Client(Client::Negotiate(negotiation));
                    return Some(self.bug(cx, "a proof, and nobody was looked up"));
                };
                let account = found.account.clone();
                let progress = Progress::Proof(found, Box::new((data, exchange)));
                self.state = State::Client(Client::SignIn(negotiation, progress));
                Some(Event::Proof(account))
            }
            Step::Lookup(account, lookup) => {
                let progress = Progress::Lookup(account.clone(), Box::new(lookup));
                self.state = State::Client(Client::SignIn(negotiation, progress));
                Some(Event::Lookup(account))
            }
            Step::Derive(params, password, derive) => {
                self.state =
                    State::Client(Client::SignIn(negotiation, Progress::Derive(found, derive)));
                Some(Event::Derive(params, password))
            }
            Step::Judge(password, judge) => {
                let Some(found) = found else {
                    self.state = State::Client(Client::Negotiate(negotiation));
                    return Some(self.bug(cx, "a password to be judged, and nobody was looked up"));
                };
                let account = found.account.clone();
                let progress = Progress::Judge(found, judge);
                self.state = State::Client(Client::SignIn(negotiation, progress));
                Some(Event::Judge(account, password))
            }
            Step::Success(verified, data) => {
                self.on_verified(cx, negotiation, found, verified, data)
            }
            Step::Failure(failure) => {
                let account = found.map(|found| found.account);
                if !failure.is_about_a_password() {
                    return self.sasl_failure(cx, negotiation, account, failure);
                }
                let progress = Progress::Reject(account.clone(), failure);
                self.state = State::Client(Client::SignIn(negotiation, progress));
                Some(Event::Rejected(account))
            }
        }
    }

    /// The right password may be called right.
    pub(crate) fn prove(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        let (negotiation, found, proof) = take!(self, Proof)?;
        let (data, exchange) = *proof;
        self.step(
            cx,
            negotiation,
            Some(found),
            Step::Challenge(data, exchange),
        )
    }

    /// The wrong password may be called wrong.
    pub(crate) fn reject(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        let (negotiation, account, failure) = take!(self, Reject)?;
        self.sasl_failure(cx, negotiation, account, failure)
    }

    /// The sign-in comes to nothing, whatever its outcome was or would have been; that is said when `patience` is over.
    pub(crate) fn hold_up(&mut self, cx: &Cx<'_>) {
        self.state = match core::mem::replace(&mut self.state, State::Closed) {
            // What was derived, compared or verified is dropped here.
            State::Client(Client::SignIn(
                negotiation,
                progress @ (Progress::Lookup(..)
                | Progress::Judge(..)
                | Progress::Proof(..)
                | Progress::Admit(..)
                | Progress::Reject(..)),
            )) => {
                let held_up = Progress::HeldUp(progress.account(), cx.now.mono);
                State::Client(Client::SignIn(negotiation, held_up))
            }
            state @ (State::Client(_)
            | State::Server(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed) => state,
        };
    }

    /// The time of a sign-in that was held up is over.
    pub(in crate::stream) fn let_go(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        let (negotiation, account, _) = take!(self, HeldUp)?;
        self.sasl_failure(cx, negotiation, account, Failure::TemporaryAuthFailure)
    }

    fn on_verified(
        &mut self,
        cx: &mut Cx<'_>,
        negotiation: Box<Negotiation>,
        found: Option<Box<Found>>,
        verified: sasl::Verified,
        data: Option<Vec<u8>>,
    ) -> Option<Event> {
        let Some(Found {
            account,
            record,
            as_of,
        }) = found
            .filter(|found| found.account == *verified.account())
            .map(|found| *found)
        else {
            self.state = State::Client(Client::Negotiate(negotiation));
            return Some(self.bug(cx, "verified, and nobody was looked up"));
        };
        if !provider(cx.config, &negotiation).takes(&verified) {
            // A reload came in between: what was shown is not what is asked for now.
            let failure = Failure::TemporaryAuthFailure;
            return self.sasl_failure(cx, negotiation, Some(account), failure);
        }
        let is_new = record.is_none() && verified.is_by_directory();
        let made = || {
            let record = Credentials::without_password().to_record();
            record_hash(&cx.config.server_secret, &record)
        };
        let guest = (verified.mechanism() == Mechanism::Anonymous).then_some(GUEST);
        let Some(record) = record.or(guest).or_else(|| is_new.then(made)) else {
            self.state = State::Client(Client::Negotiate(negotiation));
            return Some(self.bug(cx, "verified without a record"));
        };
        let progress = Progress::Admit(account, data);
        self.state = State::Client(Client::SignIn(negotiation, progress));
        let sign_in = Box::new(SignIn {
            verified,
            record,
            as_of,
        });
        Some(match is_new {
            true => Event::Newcomer(sign_in),
            false => Event::Verified(sign_in),
        })
    }

    /// RFC 6120 §6.4.5: says why, lets the client try again a few times, or by another mechanism.
    pub(super) fn sasl_failure(
        &mut self,
        cx: &mut Cx<'_>,
        mut negotiation: Box<Negotiation>,
        account: Option<BareJid>,
        failure: Failure,
    ) -> Option<Event> {
        cx.say(|out| {
            let mut w = Writer::new(out);
            w.open("failure").attribute("xmlns", Ns::Sasl.uri());
            w.open(failure.name()).close().close();
        });
        negotiation.failures.add(failure);
        self.state = State::Client(Client::Negotiate(negotiation));
        Some(Event::SignInFailed(account, failure))
    }

    /// Whether no more sign-ins may fail on this stream: then it ends with `SaslFailures`.
    pub(crate) fn has_failed_enough(&self, cx: &Cx<'_>) -> bool {
        match &self.state {
            State::Client(Client::Negotiate(negotiation)) => {
                negotiation.failures.are_enough(&cx.config.limits)
            }
            State::Server(server) => server.has_failed_enough(),
            State::Client(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed => false,
        }
    }
}

fn context<'a>(cx: &Cx<'a>, negotiation: &'a Negotiation) -> sasl::Context<'a> {
    let config = cx.config;
    let host = config.accounts(&negotiation.host);
    let provider = provider(config, negotiation);
    let tally = cx.tallies.of(&negotiation.host);
    sasl::Context {
        host: &negotiation.host,
        offer: &negotiation.offer,
        transport: &negotiation.transport,
        server_secret: &config.server_secret,
        rounds: host.map_or(HostConfig::DEFAULT_ROUNDS, |host| host.rounds),
        former_rounds: host.map_or(&[], |host| &host.former_rounds),
        provider,
        derives: match provider {
            // Whose password is still kept waits for a worker, and so do all.
            Provider::Hashed if tally.kept > 0 => Derives::ForAll,
            Provider::Anonymous | Provider::Hashed | Provider::Ldap => Derives::IfNeeded,
            Provider::Plain => Derives::ForAll,
        },
    }
}

fn provider(config: &Config, negotiation: &Negotiation) -> Provider {
    let host = config.accounts(&negotiation.host);
    host.map_or_else(Provider::default, |host| host.provider)
}

/// RFC 6120 §6.4.2: nothing, `=` for nothing in particular, or strict base64 (§6.3.5).
pub(in crate::stream) fn decode(text: &str) -> Result<Option<Vec<u8>>, Failure> {
    match text {
        "" => Ok(None),
        "=" => Ok(Some(Vec::new())),
        text => STANDARD
            .decode(text)
            .map(Some)
            .map_err(|_| Failure::IncorrectEncoding),
    }
}

fn encode(data: &[u8]) -> alloc::string::String {
    if data.is_empty() {
        "=".into()
    } else {
        STANDARD.encode(data)
    }
}
