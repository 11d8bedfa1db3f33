//! A client that comes back to its session instead of binding a resource (XEP-0198 §5).

use super::Client;
use crate::jid::Jid;
use crate::sm::{Nonza, failed};
use crate::stanza::Condition;
use crate::stream::{Cx, Event, State, Stream};

impl Stream {
    /// An element of stream management where a resource is to be bound.
    pub(super) fn on_nonza_at_bind(&mut self, cx: &mut Cx<'_>, nonza: Nonza) -> Option<Event> {
        let condition = match nonza {
            Nonza::Resume(Ok(resume)) => {
                if let State::Client(client) = &mut self.state
                    && let Client::Bind(account, refused) = client
                {
                    *client = Client::Resuming(account.clone(), *refused);
                    return Some(Event::Resume(resume));
                }
                return Some(self.bug(cx, "a session to go on with where none may be bound"));
            }
            Nonza::Resume(Err(condition)) => condition,
            // §3: "MUST NOT attempt to enable stream management until after it has completed Resource Binding".
            Nonza::Ack(_) | Nonza::Enable(_) | Nonza::Request => Condition::UnexpectedRequest,
            // XEP-0352 §4.2: "There is no reply from the server"; where there is no session, nothing is held.
            Nonza::Active | Nonza::Inactive => return None,
        };
        Self::fail_nonza(cx, condition, None);
        None
    }

    /// §6: "the server MUST return a <failed/> element".
    pub(crate) fn fail_nonza(cx: &mut Cx<'_>, condition: Condition, h: Option<u32>) {
        // As often as a client likes: who reads none of them asks no more.
        cx.fx.answer(cx.conn, |out| failed(out, condition, h));
    }

    /// The session of this address is this stream's from here on.
    pub(crate) fn resumed(&mut self, jid: Jid) {
        self.state = State::Client(Client::Established(jid));
    }

    /// There is no such session: the client may bind a resource (§5).
    pub(crate) fn not_resumed(&mut self, cx: &mut Cx<'_>, condition: Condition, h: Option<u32>) {
        if let State::Client(client) = &mut self.state
            && let Client::Resuming(account, refused) = client
        {
            *client = Client::Bind(account.clone(), *refused);
        }
        Self::fail_nonza(cx, condition, h);
    }
}
