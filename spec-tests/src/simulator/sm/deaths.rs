//! What becomes of what a session had that is over: what its client had got and not told is told again, to somebody else.

use spondee_core::stanza::Kind;

use super::super::client::Stage;
use super::super::ledger::Ledger;
use super::super::lives::Attention;
use super::super::stanzas::Lapse;
use super::super::{Moment, Simulation};
use super::{Death, Pulse};

impl Simulation {
    /// A session is over.
    pub(in super::super) fn dies(&mut self, index: usize, death: Death) {
        let client = &mut self.clients[index];
        let account = client.account;
        let Some(managed) = &mut client.managed else {
            return;
        };
        if matches!(managed.pulse, Pulse::Dead(_)) {
            return;
        }
        managed.pulse = Pulse::Dead(death);
        managed.attempt = None;
        let told = managed.told;
        let got = std::mem::take(&mut managed.got);
        if matches!(client.stage, Stage::Asleep) {
            client.stage = Stage::Over;
        }
        for got in got {
            let Some(mark) = got.mark else {
                continue;
            };
            let lapse = match death == Death::Crash || got.count <= told {
                true => Lapse::Perhaps,
                false => Lapse::Unheard,
            };
            self.counts.lapses += 1;
            self.ledger.lapses(index, &mark, lapse);
            self.kept.lapses(account, &mark, index, lapse);
        }
        let life = self.ledger.life(index);
        if let Some(life) = life {
            match death {
                // What it had in memory is gone.
                Death::Crash => life.managed = None,
                Death::Over if life.attention == Attention::Reads => {
                    self.ledger.read_out.insert(index);
                }
                Death::Over => {}
            }
        }
        self.sm.sleepers.remove(&index);
        self.sm.dead.push(index);
    }

    /// The server stops: every session is over.
    pub(in super::super) fn all_die(&mut self, death: Death) {
        for index in 0..self.clients.len() {
            self.dies(index, death);
        }
        self.sm.sleepers.clear();
        self.sm.holes.clear();
        self.sm.stale.clear();
    }
}

impl Ledger {
    /// A client is over that had got this.
    fn lapses(&mut self, client: usize, mark: &str, lapse: Lapse) {
        self.unsure.remove(&(client, mark.to_owned()));
        let Some(sent) = self.open.get_mut(mark) else {
            return;
        };
        let is_with = sent.delivered.contains(&client) || sent.spooled.contains(&client);
        if is_with && matches!(sent.kind, Kind::Message(_) | Kind::Iq(_)) {
            sent.delivered.retain(|other| *other != client);
            sent.spooled.retain(|other| *other != client);
            sent.lapsed.push((client, lapse));
        }
    }

    /// Whether another has the address of this client, or wishes for it, or got it since a moment.
    pub(super) fn was_taken(&self, index: usize, jid: &str, since: Moment) -> bool {
        let mut lives = self.lives.iter();
        lives.any(|life| life.client != index && life.may_be(jid))
            || self.was_bound_since(index, jid, since)
    }
}
