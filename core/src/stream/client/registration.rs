//! XEP-0077 in a stream: accounts made before the sign-in, and what is told to who has removed its own.

use alloc::boxed::Box;

use super::negotiate::misplaced;
use super::{Client, Negotiation};
use crate::config::HostConfig;
use crate::registration::{Application, JOIN_DIRECTORY, WhoRegisters, apply_for, fields};
use crate::sasl::{Mechanism, Provider, Transport, admit};
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::stream::{Channel, Cx, Event, State, Stream};
use crate::xml::{Element, Ns};

/// An account that is being made.
#[derive(Debug)]
pub(in crate::stream) struct Registering {
    /// To be answered.
    request: Stanza,
    /// Until somebody has taken it.
    application: Option<Application>,
}

/// Whether an account was made on a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::stream) enum Made {
    Nothing,
    Account,
}

impl Stream {
    /// Whether who has not signed in may make an account at this host, over what protects the stream: it sends a password.
    pub(super) fn may_register(&self, cx: &Cx<'_>, host: &HostConfig) -> bool {
        host.registration.by == WhoRegisters::Anybody && self.may_send_passwords(cx, host)
    }

    /// Whether a session may send a password.
    pub(crate) fn may_carry_passwords(&self, cx: &Cx<'_>) -> bool {
        let host = self.host().and_then(|host| cx.config.accounts(host));
        host.is_some_and(|host| self.may_send_passwords(cx, host))
    }

    /// As PLAIN does (XEP-0077 §11: "SHOULD NOT be used unless the channel [..] has been secured").
    fn may_send_passwords(&self, _: &Cx<'_>, host: &HostConfig) -> bool {
        match self.channel {
            Channel::Tls => true,
            Channel::Clear => {
                let plain = Mechanism::Plain.name();
                admit(&host.sasl, host.provider, &Transport::Clear, plain).is_ok()
            }
        }
    }

    /// A request where TLS or SASL may be negotiated: about an account, or one that has no place here.
    pub(super) fn on_early_request(
        &mut self,
        cx: &mut Cx<'_>,
        negotiation: Box<Negotiation>,
        element: &Element,
    ) -> Option<Event> {
        let Some(request) = self.about_registration(&negotiation, element) else {
            self.state = State::Client(Client::Negotiate(negotiation));
            return Some(self.fail(cx, misplaced(element.ns(), element.name())));
        };
        match self.apply(cx, &negotiation, &request) {
            Ok(None) => {
                let answer = request.result(fields);
                cx.say(|out| answer.write(out));
                self.state = State::Client(Client::Negotiate(negotiation));
                None
            }
            Ok(Some(application)) => {
                let account = application.account.clone();
                let registering = Box::new(Registering {
                    request,
                    application: Some(application),
                });
                self.state = State::Client(Client::Register(negotiation, registering));
                Some(Event::Register(account))
            }
            Err(condition) => {
                let host = cx.config.accounts(&negotiation.host);
                let has_directory = host.is_some_and(|host| host.provider == Provider::Ldap);
                refuse(
                    cx,
                    &request,
                    condition,
                    has_directory.then_some(JOIN_DIRECTORY),
                );
                self.state = State::Client(Client::Negotiate(negotiation));
                None
            }
        }
    }

    /// A request to the host about registration, if this is one.
    fn about_registration(&self, negotiation: &Negotiation, element: &Element) -> Option<Stanza> {
        let request = Stanza::parse(element.clone(), self.lang.as_ref()).ok()?;
        let host = negotiation.host.as_str();
        let is_to_host = request.to().is_none_or(|to| to.as_str() == host);
        let asks = matches!(request.kind(), Kind::Iq(IqType::Get | IqType::Set));
        let is_about = request.payload()?.is(Ns::Registration, "query");
        (is_to_host && asks && is_about).then_some(request)
    }

    /// What is asked for: an account, or what is to be said to get one.
    fn apply(
        &self,
        cx: &Cx<'_>,
        negotiation: &Negotiation,
        request: &Stanza,
    ) -> Result<Option<Application>, Condition> {
        let host = cx.config.accounts(&negotiation.host);
        // XEP-0077 §3.1: who "does not support In-Band Registration".
        let Some(host) = host.filter(|host| self.may_register(cx, host)) else {
            return Err(Condition::ServiceUnavailable);
        };
        let payload = request.payload().ok_or(Condition::BadRequest)?;
        if request.kind() == Kind::Iq(IqType::Get) {
            return Ok(None);
        }
        // XEP-0077 §3.1.1: "attempts to register a second identity".
        if negotiation.made == Made::Account {
            return Err(Condition::NotAcceptable);
        }
        apply_for(&payload, &negotiation.host, host).map(Some)
    }

    /// Whether it waits for an account to be made.
    pub(crate) const fn registers(&self) -> bool {
        matches!(self.state, State::Client(Client::Register(..)))
    }

    /// What is wanted, once.
    pub(crate) fn take_application(&mut self) -> Option<Application> {
        match &mut self.state {
            State::Client(Client::Register(_, registering)) => registering.application.take(),
            State::Client(_)
            | State::Server(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed => None,
        }
    }

    /// The account is made, or is not: its user may sign in, or try again.
    pub(crate) fn registered(&mut self, cx: &mut Cx<'_>, outcome: Result<(), Condition>) {
        self.state = match core::mem::replace(&mut self.state, State::Closed) {
            State::Client(Client::Register(mut negotiation, registering)) => {
                let request = &registering.request;
                match outcome {
                    Ok(()) => {
                        negotiation.made = Made::Account;
                        let answer = request.result(|_| {});
                        cx.say(|out| answer.write(out));
                    }
                    Err(condition) => refuse(cx, request, condition, None),
                }
                State::Client(Client::Negotiate(negotiation))
            }
            // It has failed while it waited.
            state @ (State::Client(_)
            | State::Server(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed) => state,
        };
    }

    /// Its session is over, and what its client asked for is not done yet: it is heard no more.
    pub(crate) fn set_apart(&mut self) {
        self.state = match core::mem::replace(&mut self.state, State::Closed) {
            State::Client(Client::Established(jid)) => State::Client(Client::Apart(jid)),
            state @ (State::Client(_)
            | State::Server(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed) => state,
        };
    }

    /// Whether it was set apart.
    pub(crate) const fn is_apart(&self) -> bool {
        matches!(self.state, State::Client(Client::Apart(_)))
    }

    /// What is said to who was set apart.
    pub(crate) fn tell_apart(&self, cx: &mut Cx<'_>, stanza: &Stanza) {
        if self.is_apart() {
            cx.say(|out| stanza.write(out));
        }
    }
}

fn refuse(cx: &mut Cx<'_>, request: &Stanza, condition: Condition, text: Option<&str>) {
    if let Some(error) = request.refusal(condition, text) {
        cx.say(|out| error.write(out));
    }
}
