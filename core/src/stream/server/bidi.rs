//! XEP-0288: Bidirectional Server-to-Server Connections, version 1.0.1, where the other server has opened the stream.
//!
//! What is for a remote domain waits on the shard that owns it. So a stream on which we are to write is there, too: it is brought there at its
//! header, once, before anything is offered on it.

use alloc::boxed::Box;

use super::header::Age;
use super::{Expected, Names, Protection, Server, Talk, open};
use crate::federation::{Bidi, Encryption, NextStep, Offer, Side};
use crate::jid::Domain;
use crate::sm::Counts;
use crate::stream::header::Version;
use crate::stream::limits::max_bytes;
use crate::stream::{Cx, Event, State, Stream, Violation};
use crate::xml::{Element, Ns, Writer};

/// Whether stanzas may go both ways on a stream that another server opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::stream) enum BothWays {
    /// It is not offered.
    No,
    Offered,
    /// It has asked for it, and takes stanzas of so many bytes, if it says so (XEP-0478 §3.2).
    Agreed(Option<u32>),
}

/// A stream whose header is answered on the shard that owns the domain which it is from.
#[derive(Debug)]
pub(in crate::stream) struct Arriving {
    pub(super) protection: Protection,
    pub(super) names: Names,
    pub(super) version: Version,
}

impl Stream {
    /// Its header is here, and says from whom: where that one's shard is it is answered. `None`: it is answered wherever it is.
    pub(super) fn arrive(&mut self, cx: &Cx<'_>, arriving: Arriving) -> Result<Event, Arriving> {
        let Some(from) = arriving.wants_both_ways(cx) else {
            return Err(arriving);
        };
        self.state = State::Server(Box::new(Server::Arriving(Box::new(arriving))));
        Ok(Event::ServerArrived(from))
    }

    /// The domain that such a stream says it is from, on its way to the shard that owns that.
    pub(crate) fn arriving_from(&self) -> Option<&Domain> {
        match self.server()? {
            Server::Arriving(arriving) => arriving.names.from.as_ref(),
            Server::Header(..) | Server::Secure(..) | Server::Open(_) => None,
        }
    }

    /// It is where it belongs.
    pub(crate) fn welcome_server(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Server(server) => match *server {
                Server::Arriving(arriving) => {
                    let first = (Expected::First, Age::Modern);
                    self.answer_header(cx, *arriving, BothWays::Offered, first)
                }
                other @ (Server::Header(..) | Server::Secure(..) | Server::Open(_)) => {
                    self.state = State::Server(Box::new(other));
                    Some(self.bug(cx, "a server is welcome twice"))
                }
            },
            // It has ended meanwhile.
            state @ (State::Client(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed) => {
                self.state = state;
                None
            }
        }
    }

    /// `<bidi/>` (XEP-0288 §2.2), before anything is proven.
    pub(super) fn on_bidi(
        &mut self,
        cx: &mut Cx<'_>,
        mut talk: Talk,
        element: &Element,
    ) -> Option<Event> {
        let is_offered = match talk.both_ways {
            BothWays::Offered | BothWays::Agreed(_) => talk.pairs.is_empty(),
            BothWays::No => false,
        };
        if is_offered {
            talk.both_ways = BothWays::Agreed(max_bytes(element.children()));
        }
        self.state = open(talk);
        (!is_offered).then(|| self.fail(cx, Violation::UnsupportedElement))
    }

    /// The two domains between which stanzas go both ways on a stream that another server opened, ours first.
    ///
    /// `Choice:` those that were proven first alone. For further ones XEP-0288 §2.2 lets us, too; but each remote domain has its shard, and
    /// this stream is on one.
    pub(crate) fn both_ways(&self) -> Option<(&Domain, &Domain)> {
        match self.server()? {
            Server::Open(talk) => match (talk.both_ways, talk.pairs.first()) {
                (BothWays::Agreed(_), Some(pair)) => Some((&pair.ours, &pair.theirs)),
                (BothWays::Agreed(_) | BothWays::Offered | BothWays::No, _) => None,
            },
            Server::Header(..) | Server::Secure(..) | Server::Arriving(_) => None,
        }
    }

    /// Whether that will be as soon as its new header is here: it has signed in.
    pub(crate) fn is_to_go_both_ways(&self) -> bool {
        match self.server() {
            Some(Server::Header(_, Expected::AfterSasl(_, both_ways))) => match both_ways {
                BothWays::Agreed(_) => true,
                BothWays::No | BothWays::Offered => false,
            },
            Some(
                Server::Header(_, Expected::First | Expected::AfterTls(_))
                | Server::Secure(..)
                | Server::Arriving(_)
                | Server::Open(_),
            )
            | None => false,
        }
    }

    /// Whether the server that opened it counts what it is sent, and the longest stanza that it takes.
    pub(in crate::stream) fn terms_of_theirs(&self) -> Option<(Counts, Option<u32>)> {
        match self.server()? {
            Server::Open(talk) => {
                let counts = match talk.counted {
                    Some(_) => Counts::Yes,
                    None => Counts::No,
                };
                match talk.both_ways {
                    BothWays::Agreed(max_bytes) => Some((counts, max_bytes)),
                    BothWays::No | BothWays::Offered => None,
                }
            }
            Server::Header(..) | Server::Secure(..) | Server::Arriving(_) => None,
        }
    }
}

impl Arriving {
    /// From whom it is, if it may be offered that stanzas go both ways.
    ///
    /// What we would send on it needs no verdict of its own: of a domain whose stream is let in nothing more is asked where we open one
    /// (`federation::decide`: rows I1 and F2 refuse what O2 does, I5 and F2 what O5 does, and A1 is one for all; and by keys we dial back to
    /// where DNS says its servers are, as a stream of ours would go there). `Deviation:` XEP-0288 §2.1 has it offered in the clear, too; but there
    /// a stream of ours might have found TLS (row O1).
    fn wants_both_ways(&self, cx: &Cx<'_>) -> Option<Domain> {
        let from = self.names.from.clone()?;
        let is_protected = match self.protection {
            Protection::Tls { .. } => true,
            Protection::Clear => cx.config.federation.rules.encryption() == Encryption::Forbidden,
        };
        if !is_protected || cx.config.federation.bidi == Bidi::No {
            return None;
        }
        let side = Side::In(Some(from.clone()));
        let verdict = self.protection.decide(cx.config, &self.names.ours, side);
        match verdict.step {
            NextStep::Offer(Offer { .. }) => Some(from),
            NextStep::StartTls
            | NextStep::External
            | NextStep::Dialback
            | NextStep::AcceptByCertificate
            | NextStep::DialBack
            | NextStep::Refuse { .. } => None,
        }
    }
}

/// XEP-0288 §2.1.
pub(super) fn write_feature(w: &mut Writer<'_>, both_ways: BothWays) {
    match both_ways {
        BothWays::Offered => {
            let xmlns = Ns::BidiFeature.uri();
            w.open("bidi").attribute("xmlns", xmlns).close();
        }
        BothWays::No | BothWays::Agreed(_) => {}
    }
}
