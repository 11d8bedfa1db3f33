//! At rest everybody signs in once more: so what was unsaid has been said, and somebody of each account has read all that there is to read.

use std::collections::{BTreeMap, BTreeSet};

use spondee_core::port::Opening;
use spondee_core::sasl::Mechanism;
use spondee_core::stanza::PresenceType;

use super::accounts::{NAMES, Order};
use super::client::{Intent, Nature};
use super::faults::{Credit, Served};
use super::subscriptions::{Pairing, View};
use super::{Simulation, guesses};

impl Simulation {
    /// Everybody signs in, and says and hears what there is.
    pub(super) fn sign_in_everybody(&mut self) -> Result<(), String> {
        self.witnesses.clear();
        if self.random.percent(75) {
            for account in 0..NAMES.len() {
                if self.accounts.may_be_disabled(account) {
                    self.give(account, Order::Enable);
                    self.exhaust()?;
                }
            }
        }
        for account in 0..NAMES.len() {
            for password in self.accounts.passwords(account) {
                let address = guesses::home(&mut self.random);
                let resource = format!("w{}", self.clients.len());
                let index = self.connect_as(Intent {
                    nature: Nature::Honest,
                    account,
                    password,
                    resource,
                    mechanism: Mechanism::Plain,
                    opening: Opening::Tls,
                    address,
                    returns: None,
                });
                self.exhaust()?;
                self.wait_for_held_up()?;
                self.wait_for_slowed()?;
                if self.clients[index].jid().is_some() {
                    self.witnesses.insert(account, index);
                    break;
                }
            }
        }
        // With little credit what is said again may find none.
        let rounds = match self.faults.credit {
            Credit::Ample => 2,
            Credit::Scarce => 4,
        };
        let witnesses: Vec<usize> = self.witnesses.values().copied().collect();
        for round in 0..rounds {
            for index in &witnesses {
                if round > 0 {
                    self.announce(*index, PresenceType::Unavailable, None);
                }
                self.read_roster(*index);
                self.announce(*index, PresenceType::Available, Some(-1));
                self.exhaust()?;
                self.wait_for_slowed()?;
            }
        }
        Ok(())
    }

    /// Everybody who signed in reads the list of its account.
    pub(super) fn read_blocklists(&mut self) -> Result<(), String> {
        for index in self.witnesses.clone().into_values() {
            if self.is_listening(index) {
                self.read_blocklist(index);
            }
        }
        self.exhaust()?;
        self.wait_for_slowed()
    }

    /// What the two sides of every subscription know, and who sees whom.
    pub(super) fn judge_contacts(&mut self) -> Result<(), String> {
        let mut views = BTreeMap::new();
        for (account, index) in self.witnesses.clone() {
            if !self.is_listening(index) {
                continue;
            }
            let requests = (0..NAMES.len()).filter(|other| self.watches.was_asked(index, *other));
            let view = View {
                roster: self.rosters.bonds(index),
                requests: requests.collect::<BTreeSet<usize>>(),
            };
            views.insert(account, view);
        }
        let mut stirred = BTreeSet::new();
        for one in 0..NAMES.len() {
            stirred.extend(
                (0..NAMES.len())
                    .filter(|two| self.stirred(one, *two))
                    .map(|two| (one, two)),
            );
        }
        let rest = self.ledger.rest_of_all;
        let hindered = |account: usize| {
            self.accounts.may_have_been_absent(account, rest)
                || self.faults.served(NAMES[account], rest) != Served::Yes
        };
        let (accounts, blocks) = (&self.accounts, &self.blocks);
        let pairing = |one: usize, two: usize| match (
            hindered(one) || hindered(two),
            blocks.between(one, two),
        ) {
            (true, _) => Pairing::Hindered,
            (false, true) => Pairing::Blocked,
            (false, false) => Pairing::Calm,
        };
        self.subscriptions
            .judge(&views, &|account| accounts.is_there(account), &pairing)?;
        for (account, view) in &views {
            for client in self.devices_of(*account) {
                let available = self.watches.own(client) == super::sight::Own::Available
                    && self.watches.announced.has_heard_itself(client);
                let asked = |other: &&usize| !self.watches.was_asked(client, **other);
                if let Some(other) = view.requests.iter().find(asked)
                    && available
                {
                    let other = NAMES[*other];
                    return Err(format!(
                        "client {client} was never told of the request of {other}"
                    ));
                }
            }
        }
        self.judge_sights(&|one, two| stirred.contains(&(one, two)))?;
        let witnesses = self
            .witnesses
            .iter()
            .map(|(account, index)| (*account, *index));
        let witnesses = witnesses
            .filter(|(_, index)| self.is_listening(*index))
            .collect();
        let there = (0..NAMES.len())
            .map(|account| (account, self.devices_of(account)))
            .collect();
        self.blocks.judge(self.now, &witnesses, &there)?;
        self.ledger.rest_of_all = self.now;
        Ok(())
    }

    /// Most of those who signed in to look leave again.
    pub(super) fn dismiss_witnesses(&mut self) {
        for index in self.witnesses.clone().into_values() {
            if self.is_listening(index) && self.random.percent(70) {
                self.leave_as(index);
            }
        }
    }

    fn is_listening(&self, index: usize) -> bool {
        self.devices_of(self.clients[index].account)
            .contains(&index)
    }
}
