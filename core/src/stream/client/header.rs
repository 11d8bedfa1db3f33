//! What a client's headers are answered with: stream features.

use alloc::boxed::Box;

use super::registration::Made;
use super::{Awaited, Client, Failures, Negotiation};
use crate::jid::BareJid;
use crate::sasl::{Offer, Transport};
use crate::stream::header::{Addressed, Version};
use crate::stream::{Cx, Event, State, Stream, Violation};

impl Stream {
    /// Answers the first header, or the one after TLS: our header and what can be negotiated.
    pub(in crate::stream) fn open(
        &mut self,
        cx: &mut Cx<'_>,
        addressed: Addressed,
        transport: Transport,
        failures: Failures,
    ) -> Option<Event> {
        let Addressed { host, from } = addressed;
        self.write_header(cx, host.as_str(), from.as_ref(), Version::Ours);
        let mut negotiation = Box::new(Negotiation {
            transport: transport.at(&host),
            host,
            offer: Offer::default(),
            failures,
            made: Made::Nothing,
        });
        let nothing = self.write_features(cx, &mut negotiation);
        let host = negotiation.host.clone();
        self.state = State::Client(Client::Negotiate(negotiation));
        nothing.map(|why| Event::NothingOffered(host, why))
    }

    /// Answers the header after SASL.
    pub(in crate::stream) fn reopen(
        &mut self,
        cx: &mut Cx<'_>,
        addressed: &Addressed,
        account: BareJid,
    ) -> Option<Event> {
        if addressed.host.as_str() != account.domain() {
            self.state = State::Client(Client::Header(Awaited::AfterSasl(account)));
            return Some(self.fail(cx, Violation::ToChanged));
        }
        let (host, from) = (addressed.host.as_str(), addressed.from.as_ref());
        self.write_header(cx, host, from, Version::Ours);
        Self::write_bind_features(cx, host);
        self.state = State::Client(Client::Bind(account, 0));
        Some(Event::AtOwner)
    }
}
