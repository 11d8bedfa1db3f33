//! The headers of a component's stream: it says which name it wants to serve, and is answered by the shard that owns it.

use super::Component;
use crate::jid::Domain;
use crate::stream::header::lang;
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Header, Ns, escape_attribute};

impl Stream {
    /// Its opening tag. The state was taken out of the stream.
    pub(in crate::stream) fn on_component_header(
        &mut self,
        cx: &mut Cx<'_>,
        component: Component,
        header: &Header,
    ) -> Event {
        match component {
            Component::Header => {}
            other @ (Component::Unknown(_)
            | Component::Arriving(_)
            | Component::Handshake(..)
            | Component::Serving(_)) => {
                self.state = State::Component(other);
                return self.fail(cx, Violation::StreamElement);
            }
        }
        self.state = State::Component(Component::Header);
        let name = match wanted(header) {
            Ok(name) => name,
            Err(violation) => return self.fail(cx, violation),
        };
        if cx.config.component(&name).is_none() {
            self.state = State::Component(Component::Unknown(name));
            return self.fail(cx, Violation::ComponentUnknown);
        }
        self.lang = lang(header);
        self.state = State::Component(Component::Arriving(name.clone()));
        Event::Arrived(name)
    }

    /// It is where it belongs: our header, with the id for its handshake.
    pub(crate) fn welcome_component(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        let Some(name) = self.arriving().cloned() else {
            return Some(self.bug(cx, "a component that has not asked to come in"));
        };
        if cx.config.component(&name).is_none() {
            // So says a reload since.
            self.state = State::Component(Component::Unknown(name));
            return Some(self.fail(cx, Violation::ComponentUnknown));
        }
        let id = write_component_header(cx, name.as_str());
        self.state = State::Component(Component::Handshake(name, id));
        None
    }
}

/// Which name it wants to serve.
fn wanted(header: &Header) -> Result<Domain, Violation> {
    if header.ns != Ns::Streams {
        return Err(Violation::Namespace);
    }
    if header.name != "stream" {
        return Err(Violation::NotAStream);
    }
    // XEP-0114 §3: a client or a server that has come to the wrong port hears of it.
    if header.content != Ns::Component {
        return Err(Violation::Namespace);
    }
    let to = header.to.as_deref().ok_or(Violation::ToMissing)?;
    Domain::parse(to).map_err(|_| Violation::ToMissing)
}

/// Our opening tag; returns the id in it, which is never the same again. `Choice:` it has no version, as in XEP-0114: who sees 1.0 waits for
/// features.
pub(in crate::stream) fn write_component_header(
    cx: &mut Cx<'_>,
    from: &str,
) -> alloc::boxed::Box<str> {
    let id = cx.entropy.id("stream");
    cx.say(|out| {
        out.extend_from_slice(
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
              xmlns:stream='http://etherx.jabber.org/streams' id='",
        );
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"' from='");
        escape_attribute(out, from);
        out.extend_from_slice(b"'>");
    });
    id.into_boxed_str()
}
