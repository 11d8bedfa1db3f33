//! XEP-0114: Jabber Component Protocol, version 1.6, "accept".
//!
//! The stream of a component: another program, which serves a name of ours. It has neither TLS nor SASL nor features. Who knows the secret of
//! the name may send in the name of everybody there.

mod header;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

pub(super) use header::write_component_header;

use super::client::misplaced;
use super::deadline::Deadline;
use super::{Cx, Event, Hearing, State, Stream, Violation};
use crate::config::Config;
use crate::jid::{Domain, Jid};
use crate::limits::S2S_STANZA_BYTES;
use crate::secret::Secret;
use crate::stanza::{ParseError, Stanza};
use crate::xml::{Element, Ns, ScanLimits, Writer};

/// Where a component's stream stands.
#[derive(Debug)]
pub(super) enum Component {
    /// Its header is awaited.
    Header,
    /// It wants to serve this name, which is nobody's to serve.
    Unknown(Domain),
    /// It wants to serve this name, and is on its way to the shard that owns it.
    Arriving(Domain),
    /// Our header is sent, with this id: it is to show that it knows the secret.
    Handshake(Domain, Box<str>),
    /// It does: stanzas both ways.
    Serving(Domain),
}

/// What came of a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shown {
    /// It knows the secret.
    Right,
    /// It does not.
    Wrong,
}

impl Component {
    /// What becomes of what it sends.
    pub(super) const fn hearing(&self) -> Hearing {
        match self {
            Self::Header => Hearing::Header,
            Self::Unknown(_) | Self::Arriving(_) => Hearing::Later,
            Self::Handshake(..) | Self::Serving(_) => Hearing::Elements,
        }
    }

    /// Whether our opening tag is still to be sent.
    pub(super) const fn owes_header(&self) -> bool {
        match self {
            Self::Header | Self::Unknown(_) | Self::Arriving(_) => true,
            Self::Handshake(..) | Self::Serving(_) => false,
        }
    }

    /// What its deadline is for.
    pub(super) const fn deadline(&self) -> Deadline {
        match self {
            Self::Header | Self::Unknown(_) | Self::Arriving(_) | Self::Handshake(..) => {
                Deadline::Negotiation
            }
            Self::Serving(_) => Deadline::Idle,
        }
    }

    /// Whether it has shown who it is.
    pub(super) const fn is_serving(&self) -> bool {
        match self {
            Self::Serving(_) => true,
            Self::Header | Self::Unknown(_) | Self::Arriving(_) | Self::Handshake(..) => false,
        }
    }

    /// The name of ours that it serves, or wants to.
    pub(super) const fn name(&self) -> Option<&Domain> {
        match self {
            Self::Arriving(name) | Self::Handshake(name, _) | Self::Serving(name) => Some(name),
            Self::Header | Self::Unknown(_) => None,
        }
    }

    /// The same, also if there is no such name here.
    pub(super) const fn wanted(&self) -> Option<&Domain> {
        match self {
            Self::Unknown(name)
            | Self::Arriving(name)
            | Self::Handshake(name, _)
            | Self::Serving(name) => Some(name),
            Self::Header => None,
        }
    }
}

impl Stream {
    /// The component whose it is, while it lasts.
    pub(super) const fn component(&self) -> Option<&Component> {
        match &self.state {
            State::Component(component) => Some(component),
            State::Client(_)
            | State::Server(_)
            | State::Outgoing(_)
            | State::Closing(_)
            | State::Closed => None,
        }
    }

    /// Whether it is that of a component that serves its name.
    pub(crate) fn is_serving(&self) -> bool {
        self.component().is_some_and(Component::is_serving)
    }

    /// The name that a component wants to serve, if it is on its way to the shard that owns it.
    pub(crate) fn arriving(&self) -> Option<&Domain> {
        match self.component()? {
            Component::Arriving(name) => Some(name),
            Component::Header
            | Component::Unknown(_)
            | Component::Handshake(..)
            | Component::Serving(_) => None,
        }
    }

    /// An element of it. The state was taken out of the stream.
    pub(super) fn on_component_element(
        &mut self,
        cx: &mut Cx<'_>,
        component: Component,
        element: Element,
    ) -> Option<Event> {
        let is_error = element.ns() == Ns::Streams && element.name() == "error";
        match component {
            Component::Handshake(name, id) => {
                Some(match (element.ns(), element.name()) {
                    (Ns::Client, "handshake") => {
                        self.on_handshake(cx.config, name, &id, &element.text())
                    }
                    _ => {
                        self.state = State::Component(Component::Handshake(name, id));
                        match is_error {
                            true => self.on_end(cx),
                            // Nothing else is looked at, whatever it is.
                            false => self.fail(cx, Violation::BeforeHandshake),
                        }
                    }
                })
            }
            Component::Serving(name) => match (element.ns(), element.name()) {
                (Ns::Client, "iq" | "message" | "presence") => {
                    self.on_component_stanza(cx, name, element)
                }
                (ns, named) => {
                    let violation = misplaced(ns, named);
                    self.state = State::Component(Component::Serving(name));
                    Some(match is_error {
                        true => self.on_end(cx),
                        false => self.fail(cx, violation),
                    })
                }
            },
            other @ (Component::Header | Component::Unknown(_) | Component::Arriving(_)) => {
                self.state = State::Component(other);
                Some(self.bug(cx, "an element where none was wanted"))
            }
        }
    }

    /// XEP-0114 §3, "handshake".
    fn on_handshake(&mut self, config: &Config, name: Domain, id: &str, shown: &str) -> Event {
        let component = config.component(&name);
        let is_right = component.is_some_and(|component| knows(&component.secret, id, shown));
        self.state = State::Component(Component::Handshake(name, id.into()));
        Event::Handshake(match is_right {
            true => Shown::Right,
            false => Shown::Wrong,
        })
    }

    /// What it has shown is good, and worth something.
    pub(crate) fn serve(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        let name = match self.component() {
            Some(Component::Handshake(name, _)) => name.clone(),
            Some(
                Component::Header
                | Component::Unknown(_)
                | Component::Arriving(_)
                | Component::Serving(_),
            )
            | None => return Some(self.bug(cx, "a component that has not shown anything")),
        };
        // In its own namespace, which is that of the stream.
        cx.say(|out| {
            Writer::new(out).open("handshake").close();
        });
        // Prosody's default for components, for which there is no option.
        let limits = ScanLimits::server(&cx.config.limits, S2S_STANZA_BYTES);
        self.scan.set_limits(limits);
        self.state = State::Component(Component::Serving(name));
        Some(Event::Serves)
    }

    /// A stanza of it: XEP-0114 §3 has both addresses, and that it is from its domain, whoever is meant there.
    fn on_component_stanza(
        &mut self,
        cx: &mut Cx<'_>,
        name: Domain,
        element: Element,
    ) -> Option<Event> {
        let sender = sender(&name, &element);
        self.state = State::Component(Component::Serving(name));
        let from = match sender {
            Ok(from) => from,
            Err(violation) => return Some(self.fail(cx, violation)),
        };
        match Stanza::parse(element, self.lang.as_ref()) {
            Ok(mut stanza) => {
                stanza.set_from(from);
                Some(Event::Remote(Arc::new(stanza), None))
            }
            Err(ParseError::Refuse(mut stanza, condition)) => {
                stanza.set_from(from);
                Some(Event::RemoteRefused(stanza.refusal(condition, None), None))
            }
            Err(ParseError::NotAStanza) => Some(self.bug(cx, "a stanza that is none")),
        }
    }
}

/// Who sends this, if a component of this name may.
fn sender(name: &Domain, element: &Element) -> Result<Jid, Violation> {
    let address = |attribute| {
        let value = element.attribute(attribute);
        let jid = value.and_then(|value| Jid::parse(&value).ok());
        jid.ok_or(Violation::StanzaUnaddressed)
    };
    let (from, _to) = (address("from")?, address("to")?);
    match from.domain() == name.as_str() {
        true => Ok(from),
        false => Err(Violation::FromOfOthers),
    }
}

/// Whether this was made with the secret, for the stream of this id.
fn knows(secret: &Secret, id: &str, shown: &str) -> bool {
    // A command that reads the configuration may lack it (`Wanted::Command`). No server does.
    let is_there = !secret.expose().is_empty();
    is_there
        && handshake(secret, id)
            .as_bytes()
            .ct_eq(shown.as_bytes())
            .into()
}

/// What a component shows: SHA-1 of id and secret, in small hexadecimal digits.
fn handshake(secret: &Secret, id: &str) -> String {
    let digest = Sha1::new()
        .chain_update(id.as_bytes())
        .chain_update(secret.expose())
        .finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
