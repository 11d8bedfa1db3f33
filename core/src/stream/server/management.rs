//! Stream management (XEP-0198) for another server: what it sends is counted, and it hears how much of that is settled. Without resumption: what
//! its stream leaves open when it breaks, it sends again.

use alloc::boxed::Box;

use super::{Server, Talk, open};
use crate::sm::{Inbound, LinkNonza, Nonza, enabled};
use crate::stanza::Condition;
use crate::stream::{Cx, Event, State, Stream};

impl Stream {
    pub(super) fn on_server_nonza(
        &mut self,
        cx: &mut Cx<'_>,
        mut talk: Talk,
        nonza: &Nonza,
    ) -> Option<Event> {
        let said = match (nonza, talk.counted.as_mut()) {
            // XEP-0198 §3: after authentication, and once.
            (Nonza::Enable(Ok(_)), None) if !talk.pairs.is_empty() => {
                talk.counted = Some(Box::default());
                cx.fx.answer(cx.conn, |out| enabled(out, None));
                Ok(Some(LinkNonza::Enabled))
            }
            (Nonza::Request, Some(counted)) => {
                let settled = counted.asked();
                cx.fx.acknowledge(cx.conn, settled);
                Ok(None)
            }
            // It may have been sent something on its stream (XEP-0288).
            (Nonza::Ack(h), Some(_)) => Ok(h.map(LinkNonza::Ack)),
            (Nonza::Enable(Err(condition)), None) => Err(*condition),
            // XEP-0198 §5: there is nothing to go on with.
            (Nonza::Resume(_), None) if !talk.pairs.is_empty() => Err(Condition::ItemNotFound),
            (
                Nonza::Ack(_)
                | Nonza::Active
                | Nonza::Enable(_)
                | Nonza::Inactive
                | Nonza::Request
                | Nonza::Resume(_),
                _,
            ) => Err(Condition::UnexpectedRequest),
        };
        self.state = open(talk);
        match said {
            Ok(nonza) => nonza.map(Event::LinkNonza),
            Err(condition) => {
                Self::fail_nonza(cx, condition, None);
                None
            }
        }
    }

    /// What another server has sent since it wants that counted, if it does.
    pub(crate) fn counted(&mut self) -> Option<&mut Inbound> {
        match &mut self.state {
            State::Server(server) => match &mut **server {
                Server::Open(talk) => talk.counted.as_deref_mut(),
                Server::Header(..) | Server::Arriving(_) | Server::Secure(..) => None,
            },
            State::Outgoing(outgoing) => outgoing.counted(),
            State::Client(_) | State::Component(_) | State::Closing(_) | State::Closed => None,
        }
    }

    /// Whether so much of what another server has sent is not settled that it is to wait.
    pub(crate) fn waits_for_receipts(&self) -> bool {
        match &self.state {
            State::Server(server) => match &**server {
                Server::Open(talk) => talk.counted.as_ref().is_some_and(|c| c.holds_up()),
                Server::Header(..) | Server::Arriving(_) | Server::Secure(..) => false,
            },
            State::Outgoing(outgoing) => outgoing.waits_for_receipts(),
            State::Client(_) | State::Component(_) | State::Closing(_) | State::Closed => false,
        }
    }
}
