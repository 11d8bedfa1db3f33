//! Resource binding (RFC 6120 §7).

use super::Client;
use super::negotiate::misplaced;
use crate::jid::{BareJid, Jid, Resource};
use crate::sm::Nonza;
use crate::stanza::{Condition, IqType, Kind, ParseError, Stanza};
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Element, Ns};

impl Stream {
    pub(in crate::stream) fn on_bind(
        &mut self,
        cx: &mut Cx<'_>,
        account: BareJid,
        refused: u8,
        element: Element,
    ) -> Option<Event> {
        let (ns, is_iq) = (element.ns(), element.name() == "iq");
        let violation = misplaced(ns, element.name());
        self.state = State::Client(Client::Bind(account, refused));
        if ns == Ns::Streams && element.name() == "error" {
            return Some(self.on_end(cx));
        }
        if matches!(ns, Ns::StreamManagement | Ns::ClientState)
            && let Some(nonza) = Nonza::parse(&element)
        {
            return self.on_nonza_at_bind(cx, nonza);
        }
        // RFC 6120 §7.1: nothing but the request to bind. `Choice:` that includes stanzas to the server itself, which the
        // RFC would allow and no client sends.
        if ns != Ns::Client || !is_iq {
            return Some(self.fail(cx, violation));
        }
        let request = match Stanza::parse(element, self.lang.as_ref()) {
            Ok(request) => request,
            // `Choice:` nobody needs a `to` here, so one that is no address is none.
            Err(ParseError::Refuse(request, Condition::JidMalformed)) => *request,
            Err(ParseError::Refuse(request, condition)) => {
                return self.bind_refused(cx, &request, condition);
            }
            Err(ParseError::NotAStanza) => return Some(self.fail(cx, violation)),
        };
        let payload = request.payload();
        let Some(bind) =
            payload.filter(|p| p.is(Ns::Bind, "bind") && request.kind() == Kind::Iq(IqType::Set))
        else {
            return Some(self.fail(cx, Violation::StanzaBeforeAuthentication));
        };
        let wish = bind.children().find(|child| child.is(Ns::Bind, "resource"));
        let wish = wish.map(|node| node.text()).filter(|text| !text.is_empty());
        // RFC 6120 §7.7.2.1 wants a resource that cannot be processed brought into conformance. `Choice:` by one of ours.
        let resource = wish.and_then(|text| Resource::parse(&text).ok());
        Some(Event::Bind { resource, request })
    }

    /// The resource is bound: the stream is a session from here on.
    pub(crate) fn bound(&mut self, cx: &mut Cx<'_>, jid: Jid, request: &Stanza) {
        let result = request.result(|w| {
            w.open("bind").attribute("xmlns", Ns::Bind.uri());
            w.leaf("jid", jid.as_str()).close();
        });
        cx.say(|out| result.write(out));
        self.state = State::Client(Client::Established(jid));
    }

    /// The resource is not bound; the client may ask again (RFC 6120 §7.7.3).
    pub(crate) fn bind_refused(
        &mut self,
        cx: &mut Cx<'_>,
        request: &Stanza,
        condition: Condition,
    ) -> Option<Event> {
        if let Some(error) = request.refusal(condition, None) {
            cx.say(|out| error.write(out));
        }
        let State::Client(Client::Bind(_, refused)) = &mut self.state else {
            return Some(self.bug(cx, "a refusal to bind without a request"));
        };
        *refused = refused.saturating_add(1);
        // The first attempt is no retry.
        (*refused > cx.config.limits.bind_retries).then(|| self.fail(cx, Violation::BindRetries))
    }
}
