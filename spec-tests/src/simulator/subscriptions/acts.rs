//! How clients ask for subscriptions, grant and end them, and what they hear of it.

use spondee_core::stanza::{Kind, PresenceType};

use super::super::Simulation;
use super::super::accounts::NAMES;
use super::super::client::{Nature, Stage};
use super::super::content::Content;
use super::super::faults::{Credit, Served};
use super::super::lives::{Attention, Standing};
use super::super::rosters::{EVERYBODY, Shares, Toward};
use super::super::stanzas::{Question, Sent, To, mark};
use super::{Said, account_of, is_about_subscription};
use crate::element::{CLIENT, Element};

impl Simulation {
    /// A device asks for a subscription, or answers, or ends one, perhaps with something behind it in the same breath.
    pub(in super::super) fn befriend(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        for _ in 0..=self.random.below(3) {
            self.manage_subscription(index);
            if self.random.percent(20) {
                self.ask_for_contacts(index);
            }
        }
        if self.random.percent(50) {
            self.world.coalesce(self.clients[index].peer);
        }
    }

    /// Whatever it may say of a subscription.
    pub(in super::super) fn manage_subscription(&mut self, index: usize) {
        let waiting: Vec<usize> = self.watches.requests(index).collect();
        if !waiting.is_empty() && self.random.percent(60) {
            let other = self.random.pick(&waiting);
            let kind = match self.random.percent(75) {
                true => PresenceType::Subscribed,
                false => PresenceType::Unsubscribed,
            };
            self.say_of_subscription(index, kind, To::Bare(NAMES[other].to_owned()));
            return;
        }
        let kind = self.random.pick(&[
            PresenceType::Subscribe,
            PresenceType::Subscribe,
            PresenceType::Subscribe,
            PresenceType::Subscribe,
            PresenceType::Subscribed,
            PresenceType::Subscribed,
            PresenceType::Subscribed,
            PresenceType::Unsubscribe,
            PresenceType::Unsubscribed,
        ]);
        // Most of it between the same few, so that they race.
        let near = (self.clients[index].account + 1 + self.counts.crashes % 2) % NAMES.len();
        let other = match self.random.percent(60) {
            true => NAMES[near],
            false => self.random.pick(&EVERYBODY),
        };
        let to = match (self.random.below(20), other) {
            (0, _) => To::Malformed,
            (1, _) => To::Unsaid,
            (2..=3, _) => To::Full(format!("{other}/gone")),
            (_, "somebody@remote.example") => To::Remote,
            (_, host) if !host.contains('@') => To::Host(host.to_owned()),
            _ => To::Bare(other.to_owned()),
        };
        self.say_of_subscription(index, kind, to);
    }

    fn say_of_subscription(&mut self, index: usize, kind: PresenceType, to: To) {
        let what = (Kind::Presence(kind), to, Question::Unknown, None);
        self.send_with(index, what, Content::default(), None);
    }

    /// A client writes a stanza. Whether it is about a subscription.
    pub(in super::super) fn notes_subscription(&mut self, sent: &Sent) -> bool {
        let Kind::Presence(kind) = sent.kind else {
            return false;
        };
        if !is_about_subscription(kind) {
            return false;
        }
        self.counts.subscriptions += 1;
        let account = self.clients[sent.by].account;
        let to = match &sent.to {
            To::Unsaid | To::Malformed => None,
            To::Remote | To::Host(_) | To::Bare(_) | To::Full(_) => sent.to.address(),
        };
        let to = to.and_then(|to| to.split('/').next()).map(str::to_owned);
        let comes = matches!(kind, PresenceType::Subscribe | PresenceType::Subscribed);
        let known = EVERYBODY.iter().find(|jid| Some(**jid) == to.as_deref());
        if let Some(known) = known.filter(|known| comes && **known != NAMES[account]) {
            self.rosters
                .touched(self.now, account, known, (sent.by, sent.number));
        }
        let said = Said {
            account,
            by: sent.by,
            number: sent.number,
            kind,
            to,
            answers: Vec::new(),
        };
        self.subscriptions.sent(self.now, &sent.mark, said);
        true
    }

    /// What a client hears of subscriptions. Whether that was all there is to it.
    pub(in super::super) fn heard_of_subscriptions(
        &mut self,
        index: usize,
        stanza: &Element,
    ) -> Result<bool, String> {
        if !stanza.is(CLIENT, "presence") {
            return Ok(false);
        }
        let kind = stanza.attribute("type").and_then(PresenceType::from_name);
        let fault = match kind {
            Some(PresenceType::Error) => match stanza.attribute("id") {
                Some(id) if self.subscriptions.said.contains_key(id) => {
                    self.refused_subscription(index, id, stanza)
                }
                _ => return Ok(false),
            },
            Some(kind) if is_about_subscription(kind) => {
                self.told_of_subscription(index, kind, stanza)
            }
            Some(_) | None => return Ok(false),
        };
        fault.map_err(|fault| format!("client {index} got {stanza}, {fault}"))?;
        Ok(true)
    }

    fn told_of_subscription(
        &mut self,
        index: usize,
        kind: PresenceType,
        stanza: &Element,
    ) -> Result<(), String> {
        let account = self.clients[index].account;
        let from = stanza.attribute("from").unwrap_or_default();
        let Some(other) = account_of(from).filter(|other| *other != account) else {
            return Err("which is from nobody".to_owned());
        };
        let to = stanza.attribute("to").unwrap_or_default();
        // A full address stays as it was written (RFC 6121 §8.5.2.1.2).
        if to.split('/').next() != Some(NAMES[account]) {
            return Err("which is for somebody else".to_owned());
        }
        let said = mark(stanza).map(|mark| (mark, self.subscriptions.said.get(mark)));
        match said {
            Some((mark, Some(said))) => {
                let meant = said.kind == kind
                    && said.account == other
                    && said.to.as_deref() == Some(NAMES[account])
                    && stanza.attribute("id") == Some(mark);
                if !meant {
                    return Err(format!("which is another stanza: {said:?}"));
                }
            }
            Some((_, None)) => return Err("which nobody sent".to_owned()),
            None if kind == PresenceType::Subscribe => {
                return Err("without what came with it".to_owned());
            }
            None => {}
        }
        if let Some(mark) = mark(stanza) {
            let now = self.now;
            let those = self.subscriptions.events();
            for event in those.filter(|event| event.id == mark) {
                event.until.get_or_insert(now);
            }
        }
        if kind == PresenceType::Subscribe {
            let mark = mark(stanza).unwrap_or_default();
            let again = self.subscriptions.may_come_again(other, account)
                || self.blocks.between(account, other);
            let news = self.watches.asked(index, other, mark)?;
            // Its own presence between may not have come.
            let again = again || self.was_muted(index);
            return match news || again {
                true => Ok(()),
                false => Err("twice".to_owned()),
            };
        }
        self.watches.answered(index, other);
        let Some((toward, shares)) = self.rosters.told(index, from) else {
            return Err("and never asked for its roster".to_owned());
        };
        let (news, changes) = match kind {
            PresenceType::Subscribed => (toward == Toward::Asked, true),
            PresenceType::Unsubscribed => (toward != Toward::Nothing, true),
            // A request that was not in the roster may be withdrawn.
            PresenceType::Available
            | PresenceType::Error
            | PresenceType::Probe
            | PresenceType::Subscribe
            | PresenceType::Unavailable
            | PresenceType::Unsubscribe => (true, shares == Shares::Yes),
        };
        if !news {
            return Err(format!("which is no news to one that knows {toward:?}"));
        }
        if changes {
            let expected = (from.to_owned(), kind);
            if let Some(earlier) = self.subscriptions.expected.insert(index, expected) {
                return Err(format!("and no push behind {earlier:?}"));
            }
        }
        Ok(())
    }

    /// What a client said of a subscription is refused.
    fn refused_subscription(
        &mut self,
        index: usize,
        id: &str,
        stanza: &Element,
    ) -> Result<(), String> {
        let Some(said) = self.subscriptions.said.get_mut(id) else {
            return Ok(());
        };
        if said.by != index {
            return Err("which somebody else asked for".to_owned());
        }
        let error = stanza.child(CLIENT, "error");
        let condition = error
            .and_then(Element::condition)
            .unwrap_or_default()
            .to_owned();
        said.answers.push(condition.clone());
        let said = said.clone();
        if said.answers.len() > 1 {
            return Err(format!("a second answer: {said:?}"));
        }
        let own = NAMES[said.account];
        let rest = self.ledger.rest;
        let host = said.to.as_deref().and_then(|to| to.split('@').next_back());
        let excused = match condition.as_str() {
            "jid-malformed" => said.to.is_none(),
            "bad-request" => said.to.is_none(),
            "not-allowed" => said.to.as_deref() == Some(own),
            "remote-server-not-found" => match host {
                None | Some("localhost") => false,
                Some("other.test") => self.faults.served("@other.test", rest) != Served::Yes,
                Some(_) => true,
            },
            "not-acceptable" => said
                .to
                .as_deref()
                .is_some_and(|to| self.blocks.may_block(said.account, to)),
            "policy-violation" => self.rosters.may_be_full(),
            "internal-server-error" => self.faults.store_since(rest, own),
            "resource-constraint" => {
                self.faults.credit == Credit::Scarce || self.faults.store_since(rest, own)
            }
            _ => false,
        };
        if !excused {
            return Err(format!("for no reason: {said:?}"));
        }
        self.subscriptions.answered(self.now, id, Some(false));
        self.rosters.untouched(said.account, id)
    }

    /// At rest: what was sent of subscriptions was done, or refused, or may have been either.
    pub(in super::super) fn settle_subscriptions(&mut self) -> Result<(), String> {
        let now = self.now;
        let (lives, left, parted) = (&self.ledger.lives, &self.ledger.left, &self.ledger.parted);
        let (faults, rosters) = (&self.faults, &self.rosters);
        let there = |client: usize, at| {
            let life = lives.iter().find(|life| life.client == client);
            life.is_some_and(|life| matches!(life.during(at, now), Standing::Always(_)))
        };
        for (id, said) in &self.subscriptions.said {
            let unanswered = said.answers.is_empty() && there(said.by, self.ledger.rest);
            let due = said.to.as_deref() == Some(NAMES[said.account]);
            if due && unanswered && said.number > 0 {
                return Err(format!(
                    "client {} was never told of {id}: {said:?}",
                    said.by
                ));
            }
        }
        self.subscriptions.settle(&|client, account, at| {
            let quiet = faults.credit == Credit::Ample && !rosters.may_be_full();
            let gone = left.contains(&client) || parted.contains(&client);
            !faults.store_since(at, NAMES[account]) && (there(client, at) || gone && quiet)
        });
        for (client, jid) in self.subscriptions.waiting() {
            let mut lives = lives.iter();
            let reads =
                lives.any(|life| life.client == client && life.attention == Attention::Reads);
            let session = matches!(self.clients[client].stage, Stage::Session(_));
            if reads && session && self.world.ended(self.clients[client].peer).is_none() {
                return Err(format!("client {client} heard of {jid}, and no push came"));
            }
        }
        self.subscriptions.expected.clear();
        Ok(())
    }
}
