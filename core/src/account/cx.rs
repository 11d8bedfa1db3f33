//! What an account may use during one call, and what the call leaves behind: values until it ends.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::SessionKey;
use crate::config::{Config, HostConfig};
use crate::entropy::Entropy;
use crate::envelope::{Delivery, To};
use crate::jid::Jid;
use crate::stanza::Stanza;
use crate::time::Now;

/// What an account may use during one call.
#[derive(Debug)]
pub(crate) struct Cx<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) host: &'a HostConfig,
    pub(crate) entropy: &'a mut Entropy,
    /// What it says, in order.
    pub(crate) said: &'a mut Vec<Saying>,
}

/// Something an account says.
#[derive(Clone, Debug)]
pub(crate) enum Saying {
    /// To one of its sessions; addressed to whom the stanza names, or to this address.
    Tell(SessionKey, Arc<Stanza>, Option<Jid>),
    /// To anybody else.
    Route(Delivery),
}

impl Cx<'_> {
    /// To a session, as the stanza stands.
    pub(crate) fn tell(&mut self, session: SessionKey, stanza: Arc<Stanza>) {
        self.said.push(Saying::Tell(session, stanza, None));
    }

    /// To a session, addressed to `to`.
    pub(crate) fn tell_at(&mut self, session: SessionKey, stanza: Arc<Stanza>, to: Jid) {
        self.said.push(Saying::Tell(session, stanza, Some(to)));
    }

    /// To whom the stanza names.
    pub(crate) fn route(&mut self, stanza: Stanza) {
        self.said.push(Saying::Route(Delivery::named(stanza)));
    }

    /// To each of these, whatever the stanza names.
    pub(crate) fn fan_out(&mut self, stanza: Arc<Stanza>, to: Vec<Jid>) {
        if !to.is_empty() {
            let to = To::Each(to);
            self.said.push(Saying::Route(Delivery { stanza, to }));
        }
    }
}
