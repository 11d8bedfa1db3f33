//! Oracle: clients that nobody looks at (XEP-0352). What comes to one that said so ends with something worth waking it for; what does not wake
//! stands before that. The table is written from what the server says of itself, apart from its own.

use spondee_core::stanza::{Kind, MessageType, PresenceType};

use super::Simulation;
use super::accounts::NAMES;
use super::client::Stage;
use super::scales::wrapped;
use super::stanzas::is_of;
use crate::element::{CLIENT, Element};

/// The namespace of client state indication.
pub(super) const CSI: &str = "urn:xmpp:csi:0";

/// Whether anybody looks at a client, as far as the server knows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Csi {
    #[default]
    Active,
    /// It said that nobody does, behind so many stanzas of its own.
    Asked(u32),
    /// The server has heard it.
    Inactive,
    /// It said that somebody does again, behind so many.
    Woken(u32),
}

impl Simulation {
    /// Somebody looks at a client, or looks away.
    pub(super) fn look(&mut self, index: usize) {
        let next = match self.clients[index].csi {
            Csi::Active | Csi::Woken(_) => Csi::Asked(self.clients[index].sent),
            Csi::Asked(_) | Csi::Inactive => Csi::Woken(self.clients[index].sent),
        };
        self.turn_to(index, next);
    }

    pub(super) fn turn_to(&mut self, index: usize, next: Csi) {
        let name = match next {
            Csi::Active | Csi::Woken(_) => "active",
            Csi::Asked(_) | Csi::Inactive => {
                self.counts.inactive += 1;
                "inactive"
            }
        };
        self.clients[index].csi = next;
        let now = self.now;
        if let Some(life) = self.ledger.life(index) {
            life.muted = Some(now);
        }
        self.say(index, &format!("<{name} xmlns='{CSI}'/>"));
    }

    /// A client is answered what it sent with this number: the server has heard what stood before.
    pub(super) fn heard_state(&mut self, index: usize, number: u32) {
        let client = &mut self.clients[index];
        match client.csi {
            Csi::Asked(before) if number > before => client.csi = Csi::Inactive,
            Csi::Woken(before) if number > before => client.csi = Csi::Active,
            Csi::Active | Csi::Asked(_) | Csi::Inactive | Csi::Woken(_) => {}
        }
    }

    /// A client gets something: where the server may think that nobody looks, presence before it may have made room for later.
    pub(super) fn may_be_muted(&mut self, index: usize) {
        let now = self.now;
        if self.clients[index].csi != Csi::Active
            && let Some(life) = self.ledger.life(index)
        {
            life.muted = Some(now);
        }
    }

    /// The last that came to a client is worth waking it, if nobody looks at it.
    pub(super) fn judge_waking(&self, index: usize, last: Option<&Element>) -> Result<(), String> {
        let client = &self.clients[index];
        let (Some(last), Csi::Inactive, Stage::Session(_)) = (last, client.csi, &client.stage)
        else {
            return Ok(());
        };
        let takes = client.peak < super::QUEUE_BYTES / 2;
        let own = NAMES[client.account];
        match takes && self.sm.holds_back && waits(last, own) {
            true => Err(format!("client {index}, at which nobody looks, got {last}")),
            false => Ok(()),
        }
    }
}

/// Whether a stanza surely wakes nobody.
fn waits(stanza: &Element, own: &str) -> bool {
    if is_of(stanza, Kind::Presence(PresenceType::Available))
        || is_of(stanza, Kind::Presence(PresenceType::Unavailable))
    {
        return true;
    }
    if !stanza.is(CLIENT, "message") {
        return false;
    }
    let message = wrapped(stanza).unwrap_or(stanza);
    let has = |ns: &str, name: &str| message.child(ns, name).is_some();
    if is_of(message, Kind::Message(MessageType::Headline)) {
        return true;
    }
    let is_error = is_of(message, Kind::Message(MessageType::Error));
    let is_of_user = message
        .attribute("from")
        .and_then(|from| from.split('/').next())
        == Some(own);
    // What waited is told whole.
    let waited = has("urn:xmpp:delay", "delay");
    let is_state = ["composing", "active"]
        .iter()
        .any(|state| has("http://jabber.org/protocol/chatstates", state));
    let is_receipt = has("urn:xmpp:receipts", "received");
    let is_marker = has("urn:xmpp:chat-markers:0", "displayed") && !is_of_user;
    !is_error && !waited && (is_state || is_receipt || is_marker)
}
