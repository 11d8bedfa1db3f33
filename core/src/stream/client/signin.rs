//! SASL (RFC 6120 §6): what an exchange asks for and says, on the wire and to the shard.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Admission, Awaited, Client, Negotiation, Progress};
use crate::config::{Config, HostConfig};
use crate::port::DeriveError;
use crate::sasl::{self, Credentials, Exchange, Failure, ScramKeys, Step, admit, pretend_to_read};
use crate::store::StoreError;
use crate::stream::{Cx, Event, State, Stream, record_hash};
use crate::xml::{Element, Ns, ScanLimits, Scanner, Writer};

/// Takes the data out of the state, if that is the one; leaves any other alone.
macro_rules! take {
    ($stream:expr, $progress:ident) => {
        match &$stream.state {
            State::Client(Client::SignIn(_, Progress::$progress(_))) => {
                match core::mem::replace(&mut $stream.state, State::Closed) {
                    State::Client(Client::SignIn(negotiation, Progress::$progress(data))) => {
                        Some((negotiation, data))
                    }
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
        mut negotiation: Box<Negotiation>,
        element: &Element,
    ) -> Option<Event> {
        negotiation.account = None;
        let name = element.attribute("mechanism").unwrap_or(Cow::Borrowed(""));
        let admitted = match cx.config.accounts(&negotiation.host) {
            Some(host) => admit(&host.sasl, &negotiation.transport, &name),
            None => Err(Failure::TemporaryAuthFailure), // the host went away with a reload
        };
        let started = admitted.and_then(|mechanism| {
            let initial = decode(&element.text())?;
            let context = context(cx.config, &negotiation);
            Ok(Exchange::begin(mechanism, initial.as_deref(), context))
        });
        match started {
            Ok(step) => self.step(cx, negotiation, step),
            Err(failure) => self.sasl_failure(cx, negotiation, failure),
        }
    }

    /// What the store has of the account that is signing in.
    pub(crate) fn credentials(
        &mut self,
        cx: &mut Cx<'_>,
        record: Result<Option<Bytes>, StoreError>,
    ) -> Option<Event> {
        // Anything else: the stream failed while it waited.
        let (mut negotiation, lookup) = take!(self, Lookup)?;
        let credentials = match &record {
            Err(_) => return self.sasl_failure(cx, negotiation, Failure::TemporaryAuthFailure),
            Ok(None) => {
                let hash = record_hash(&cx.config.server_secret, &pretend_to_read());
                core::hint::black_box(hash);
                None
            }
            Ok(Some(record)) => match Credentials::from_record(record) {
                // A damaged record lets nobody in, and is no reason to say that the password is wrong.
                None => {
                    cx.fx.note(crate::port::Note::Bug(
                        "a credentials record that cannot be read",
                    ));
                    return self.sasl_failure(cx, negotiation, Failure::TemporaryAuthFailure);
                }
                credentials => credentials,
            },
        };
        negotiation.record = record
            .ok()
            .flatten()
            .map(|record| record_hash(&cx.config.server_secret, &record));
        let context = context(cx.config, &negotiation);
        let step = lookup.found(credentials.as_ref(), context, cx.entropy);
        self.step(cx, negotiation, step)
    }

    /// What a worker derived from the password.
    pub(crate) fn derived(
        &mut self,
        cx: &mut Cx<'_>,
        keys: Result<Vec<ScramKeys>, DeriveError>,
    ) -> Option<Event> {
        let (negotiation, derive) = take!(self, Derive)?;
        match keys.ok().and_then(|keys| keys.into_iter().next()) {
            Some(keys) => self.step(cx, negotiation, derive.derived(&keys)),
            None => self.sasl_failure(cx, negotiation, Failure::TemporaryAuthFailure),
        }
    }

    /// The account's owner takes the session: `<success/>`, and the stream restarts (RFC 6120 §6.4.6).
    pub(crate) fn admitted(&mut self, cx: &mut Cx<'_>) {
        let Some((_, admission)) = take!(self, Admit) else {
            return;
        };
        let Admission { verified, data } = *admission;
        cx.fx.out(cx.conn, |out| {
            let mut w = Writer::new(out);
            w.open("success").attribute("xmlns", Ns::Sasl.uri());
            if let Some(data) = &data {
                w.text(&encode(data));
            }
            w.close();
        });
        self.scan = Scanner::new(ScanLimits::client(&cx.config.limits));
        let account = verified.account().clone();
        self.state = State::Client(Client::Header(Awaited::AfterSasl(account)));
    }

    /// The account's owner does not take the session.
    pub(crate) fn refused(&mut self, cx: &mut Cx<'_>, failure: Failure) -> Option<Event> {
        let (negotiation, _) = take!(self, Admit)?;
        self.sasl_failure(cx, negotiation, failure)
    }

    pub(super) fn step(
        &mut self,
        cx: &mut Cx<'_>,
        mut negotiation: Box<Negotiation>,
        step: Step,
    ) -> Option<Event> {
        match step {
            Step::Challenge(data, exchange) => {
                cx.fx.out(cx.conn, |out| {
                    let mut w = Writer::new(out);
                    w.open("challenge").attribute("xmlns", Ns::Sasl.uri());
                    // An empty challenge is an empty element; `=` is for the initial response and for success.
                    if !data.is_empty() {
                        w.text(&encode(&data));
                    }
                    w.close();
                });
                self.state =
                    State::Client(Client::SignIn(negotiation, Progress::Exchange(exchange)));
                None
            }
            Step::Lookup(account, lookup) => {
                negotiation.account = Some(account.clone());
                self.state = State::Client(Client::SignIn(negotiation, Progress::Lookup(lookup)));
                Some(Event::Lookup(account))
            }
            Step::Derive(params, password, derive) => {
                self.state = State::Client(Client::SignIn(negotiation, Progress::Derive(derive)));
                Some(Event::Derive(params, password))
            }
            Step::Success(verified, data) => self.on_verified(cx, negotiation, verified, data),
            Step::Failure(failure) if failure.is_about_a_password() => {
                let account = negotiation.account.clone();
                self.state = State::Client(Client::SignIn(negotiation, Progress::Reject(failure)));
                Some(Event::Rejected(account))
            }
            Step::Failure(failure) => self.sasl_failure(cx, negotiation, failure),
        }
    }

    /// The wrong password may be called wrong.
    pub(crate) fn reject(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        let (negotiation, failure) = take!(self, Reject)?;
        self.sasl_failure(cx, negotiation, failure)
    }

    /// The sign-in comes to nothing, whatever its outcome was or would have been; that is said when `patience` is over.
    pub(crate) fn hold_up(&mut self, cx: &Cx<'_>) {
        self.state = match core::mem::replace(&mut self.state, State::Closed) {
            // What was derived, compared or verified is dropped here.
            State::Client(Client::SignIn(
                negotiation,
                Progress::Lookup(_) | Progress::Admit(_) | Progress::Reject(_),
            )) => State::Client(Client::SignIn(negotiation, Progress::HeldUp(cx.now.mono))),
            state @ (State::Client(_) | State::Closing(_) | State::Closed) => state,
        };
    }

    /// The time of a sign-in that was held up is over.
    pub(in crate::stream) fn let_go(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        let (negotiation, _) = take!(self, HeldUp)?;
        self.sasl_failure(cx, negotiation, Failure::TemporaryAuthFailure)
    }

    fn on_verified(
        &mut self,
        cx: &mut Cx<'_>,
        negotiation: Box<Negotiation>,
        verified: sasl::Verified,
        data: Option<Vec<u8>>,
    ) -> Option<Event> {
        let account = verified.account().clone();
        let mechanism = verified.mechanism();
        let Some(record) = negotiation.record else {
            self.state = State::Client(Client::Negotiate(negotiation));
            return Some(self.bug(cx, "verified without a record"));
        };
        let admission = Box::new(Admission { verified, data });
        self.state = State::Client(Client::SignIn(negotiation, Progress::Admit(admission)));
        Some(Event::Verified {
            account,
            mechanism,
            record,
        })
    }

    /// RFC 6120 §6.4.5: says why, lets the client try again a few times, or by another mechanism.
    pub(super) fn sasl_failure(
        &mut self,
        cx: &mut Cx<'_>,
        mut negotiation: Box<Negotiation>,
        failure: Failure,
    ) -> Option<Event> {
        cx.fx.out(cx.conn, |out| {
            let mut w = Writer::new(out);
            w.open("failure").attribute("xmlns", Ns::Sasl.uri());
            w.open(failure.name()).close().close();
        });
        negotiation.failures.add(failure);
        negotiation.record = None;
        let account = negotiation.account.take();
        self.state = State::Client(Client::Negotiate(negotiation));
        Some(Event::SignInFailed(account, failure))
    }

    /// Whether no more sign-ins may fail on this stream: then it ends with `SaslFailures`.
    pub(crate) fn has_failed_enough(&self, cx: &Cx<'_>) -> bool {
        match &self.state {
            State::Client(Client::Negotiate(negotiation)) => {
                negotiation.failures.are_enough(&cx.config.limits)
            }
            State::Client(_) | State::Closing(_) | State::Closed => false,
        }
    }
}

pub(super) fn context<'a>(config: &'a Config, negotiation: &'a Negotiation) -> sasl::Context<'a> {
    let host = config.accounts(&negotiation.host);
    sasl::Context {
        host: &negotiation.host,
        offer: &negotiation.offer,
        transport: &negotiation.transport,
        server_secret: &config.server_secret,
        rounds: host.map_or(HostConfig::DEFAULT_ROUNDS, |host| host.rounds),
        former_rounds: host.map_or(&[], |host| &host.former_rounds),
    }
}

/// RFC 6120 §6.4.2: nothing, `=` for nothing in particular, or strict base64 (§6.3.5).
pub(super) fn decode(text: &str) -> Result<Option<Vec<u8>>, Failure> {
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
