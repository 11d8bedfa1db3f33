//! What clients do whose streams are managed: they count, ask, answer sooner or later, and lose their connections at any moment.

use std::time::Duration;

use spondee_core::limits::FLOW_PATIENCE;
use spondee_core::stanza::{Kind, MessageType};

use super::super::client::{Nature, Offer, Stage};
use super::super::csi::Csi;
use super::super::stanzas::{Question, Receipt, To, mark};
use super::super::{QUEUE_BYTES, Simulation};
use super::{Answers, Enabled, Heard, Managed, News, Pulse, SM, Sleep, TOKEN_LENGTH, Wanted, Will};
use crate::element::Element;

impl Simulation {
    /// A client has its resource: it may want its stream managed.
    pub(in super::super) fn may_manage(&mut self, index: usize) {
        let client = &self.clients[index];
        let wants = matches!(
            client.nature,
            Nature::Honest | Nature::Hasty | Nature::Forger
        );
        if wants && client.offer == Offer::Management && self.random.percent(self.sm.share) {
            self.enable(index);
        }
    }

    fn enable(&mut self, index: usize) {
        let how = self.random.pick(&[
            " resume='true'",
            " resume='true'",
            " resume='1'",
            " resume='true' max='30'",
            " resume='false'",
            "",
        ]);
        let resumes = how.contains("resume='true'") || how.contains("resume='1'");
        let wanted = match resumes {
            true => Wanted::Resumption,
            false => Wanted::Counting,
        };
        let managed = Managed::new(self.now, wanted);
        self.clients[index].managed = Some(Box::new(managed));
        self.say(index, &format!("<enable xmlns='{SM}'{how}/>"));
    }

    /// Those whose streams are managed and who are there.
    pub(super) fn managed(&self) -> Vec<usize> {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        let is_managed = |index: &usize| {
            let managed = self.clients[*index].managed.as_ref();
            managed.is_some_and(|managed| {
                managed.enabled == Enabled::Yes && managed.pulse == Pulse::Awake
            })
        };
        sessions.into_iter().filter(is_managed).collect()
    }

    /// A session asks, answers, or says whether anybody looks at it.
    pub(in super::super) fn manage(&mut self) {
        let sessions = self.sessions(|nature| nature != Nature::Deaf);
        let sessions: Vec<usize> = sessions
            .into_iter()
            .filter(|index| self.clients[*index].offer == Offer::Management)
            .collect();
        if sessions.is_empty() {
            return;
        }
        let index = self.random.pick(&sessions);
        if !self.managed().contains(&index) || self.random.percent(25) {
            return self.look(index);
        }
        match self.random.below(20) {
            0..=7 => self.ask(index),
            8..=12 => self.answer(index),
            13 if self.random.percent(10) => self.lie(index),
            _ => {
                self.speak_much(index);
                if self.random.percent(50) {
                    self.world.coalesce(self.clients[index].peer);
                }
            }
        }
    }

    /// Several stanzas in one breath, and what was handled of them.
    fn speak_much(&mut self, index: usize) {
        for _ in 0..=self.random.below(4) {
            match self.random.below(5) {
                0 => self.ask_for_contacts(index),
                1 => self.manage_subscription(index),
                _ => self.speak_as(index),
            }
            if self.random.percent(30) {
                self.ask(index);
            }
        }
    }

    /// It asks what was handled.
    pub(super) fn ask(&mut self, index: usize) {
        if let Some(managed) = &mut self.clients[index].managed {
            managed.asked = Some(managed.sent);
        }
        self.say(index, &format!("<r xmlns='{SM}'/>"));
    }

    /// It tells what it has got.
    pub(super) fn answer(&mut self, index: usize) {
        let words = self.answer_words(index);
        self.say(index, &words);
    }

    pub(super) fn answer_words(&mut self, index: usize) -> String {
        let mono = self.world.now().mono;
        let Some(managed) = &mut self.clients[index].managed else {
            return String::new();
        };
        if managed.enabled == Enabled::Asked {
            return String::new();
        }
        managed.told = managed.heard;
        if managed.owes_answer.take().is_some_and(|since| since < mono) {
            managed.hesitated = Some(mono);
        }
        format!("<a xmlns='{SM}' h='{}'/>", managed.heard)
    }

    /// It tells more than it can have got.
    fn lie(&mut self, index: usize) {
        if let Some(managed) = &mut self.clients[index].managed {
            managed.lied = true;
            let h = managed.heard + 100_000;
            self.say(index, &format!("<a xmlns='{SM}' h='{h}'/>"));
        }
    }

    /// What it says last: some tell once more what they have got.
    pub(in super::super) fn last_words(&mut self, index: usize, why: &str) -> String {
        let heard = matches!(why, "good-bye" | "system-shutdown");
        let managed = self.clients[index].managed.as_ref();
        let awake = managed.is_some_and(|managed| managed.pulse == Pulse::Awake);
        match heard && awake && self.random.percent(60) {
            true => self.answer_words(index),
            false => String::new(),
        }
    }

    /// A client gets a stanza. Whether it is new to it.
    pub(in super::super) fn counts_in(
        &mut self,
        index: usize,
        stanza: &Element,
    ) -> Result<News, String> {
        self.may_be_muted(index);
        let Some(managed) = &mut self.clients[index].managed else {
            return Ok(News::Yes);
        };
        let mark = mark(stanza);
        let is_pressed = managed.is_pressed(self.sm.queue);
        let news = managed
            .gets(&stanza.to_string(), mark)
            .map_err(|fault| format!("client {index} got {stanza}, {fault}"))?;
        let now = self.now;
        if is_pressed && let Some(life) = self.ledger.life(index) {
            life.muted = Some(now);
        }
        if let (News::Yes, Some(mark)) = (news, mark) {
            self.ledger.unsure.insert((index, mark.to_owned()));
        }
        Ok(news)
    }

    /// What a client hears of the management of its stream.
    pub(in super::super) fn heard_of_management(
        &mut self,
        index: usize,
        element: &Element,
    ) -> Result<(), String> {
        self.note(format_args!("client {index} gets {element}"));
        self.trace.mix(&element.to_string());
        let fail = |what: &str| Err(format!("client {index} got {element}, {what}"));
        let resumes = matches!(self.clients[index].stage, Stage::Resume);
        match (element.name.as_str(), resumes) {
            ("resumed", true) => return self.resumed(index, element),
            ("failed", true) => return self.not_resumed(index, element),
            _ => {}
        }
        let mono = self.world.now().mono;
        let Some(managed) = &mut self.clients[index].managed else {
            return fail("and never asked for it");
        };
        match (element.name.as_str(), managed.enabled) {
            ("enabled", Enabled::Asked) => self.enabled(index, element),
            ("a", Enabled::Yes) => {
                let h = element.attribute("h").and_then(|h| h.parse().ok());
                let Some(h) = h else {
                    return fail("which counts nothing");
                };
                self.counts.acks += 1;
                self.handled(index, h, Heard::All)
                    .map_err(|fault| format!("client {index} got {element}, {fault}"))
            }
            ("r", Enabled::Yes) => {
                managed.owes_answer = Some(mono);
                // Nothing is said behind a closing tag.
                let there = matches!(self.clients[index].stage, Stage::Session(_));
                if !there {
                    return Ok(());
                }
                if self.sm.answers == Answers::AtOnce || self.random.percent(70) {
                    self.answer(index);
                }
                Ok(())
            }
            _ => fail("which nobody asked for"),
        }
    }

    fn enabled(&mut self, index: usize, element: &Element) -> Result<(), String> {
        let fail = |what: &str| Err(format!("client {index} got {element}, {what}"));
        let now = self.now;
        let Some(managed) = &mut self.clients[index].managed else {
            return fail("and never asked for it");
        };
        managed.enabled = Enabled::Yes;
        let resumes = matches!(element.attribute("resume"), Some("true" | "1"));
        if resumes != (managed.wanted == Wanted::Resumption) {
            return fail("which is not what it asked for");
        }
        if resumes {
            let token = element.attribute("id").unwrap_or_default();
            if token.len() != TOKEN_LENGTH {
                return fail("without an id");
            }
            let max = element.attribute("max").and_then(|max| max.parse().ok());
            let Some(max) = max.filter(|max| *max > 0) else {
                return fail("without a time");
            };
            managed.token = Some(token.to_owned());
            managed.time = Duration::from_secs(max);
            if managed.time > self.sm.hibernation {
                return fail("which is longer than anybody may sleep");
            }
        }
        self.counts.managed += 1;
        if let Some(life) = self.ledger.life(index) {
            life.managed = Some(now);
        }
        Ok(())
    }

    /// The server has handled so many of its stanzas.
    pub(super) fn handled(&mut self, index: usize, h: u32, heard: Heard) -> Result<(), String> {
        let Some(managed) = &mut self.clients[index].managed else {
            return Ok(());
        };
        for number in managed.acknowledged(h)? {
            let mark = format!("c{index}-{number}");
            if let Some(sent) = self.ledger.open.get_mut(&mark) {
                sent.receipt = Receipt::Handled;
            }
            if heard == Heard::All {
                self.was_done(index, number + 1);
            }
        }
        Ok(())
    }

    /// The server knows what a client has told.
    pub(in super::super) fn is_heard(&mut self, index: usize) {
        if let Some(managed) = &mut self.clients[index].managed {
            for mark in managed.assured(managed.told) {
                self.ledger.unsure.remove(&(index, mark));
            }
        }
    }

    /// A connection breaks in the middle of something, or nothing comes through any more.
    pub(in super::super) fn lose(&mut self) -> Result<(), String> {
        let mut those = self.managed();
        those.retain(|index| {
            let managed = self.clients[*index].managed.as_ref();
            managed.is_some_and(|managed| managed.is_resumable())
        });
        if those.is_empty() {
            return Ok(());
        }
        let index = self.random.pick(&those);
        if self.random.percent(50) {
            self.speak_much(index);
        }
        if self.random.percent(50) {
            self.speak_to(index);
        }
        if self.random.percent(20) {
            self.step();
        }
        let peer = self.clients[index].peer;
        self.counts.cuts += 1;
        match self.random.below(4) {
            0 => {
                self.note(format_args!("the connection of client {index} breaks"));
                self.world.cut(peer);
            }
            1 => {
                self.note(format_args!("the connection of client {index} ends"));
                self.world.hang_up(peer);
            }
            2 => {
                self.note(format_args!("nothing reaches client {index} any more"));
                self.world.stop_taking(peer);
                self.sm.holes.push(peer);
            }
            _ => {
                self.listen(index)?;
                self.note(format_args!("the connection of client {index} breaks"));
                self.world.cut(peer);
            }
        }
        if self.is_kept_asleep(index) {
            self.deserted.push(peer);
            self.sleeps(index);
        }
        Ok(())
    }

    /// Others write to a client.
    fn speak_to(&mut self, index: usize) {
        let Some(jid) = self.clients[index].jid().map(str::to_owned) else {
            return;
        };
        let others = self.sessions(|nature| nature == Nature::Honest);
        if others.is_empty() {
            return;
        }
        for _ in 0..=self.random.below(4) {
            let other = self.random.pick(&others);
            let kind = self.random.pick(&[MessageType::Normal, MessageType::Chat]);
            let to = match self.random.percent(70) {
                true => To::Full(jid.clone()),
                false => To::Bare(jid.split('/').next().unwrap_or_default().to_owned()),
            };
            self.send(other, Kind::Message(kind), to, Question::Unknown, None);
        }
    }

    /// Whether its session may go on without a connection.
    pub(in super::super) fn is_kept_asleep(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let there = matches!(client.stage, Stage::Session(_) | Stage::Leaving);
        let managed = client.managed.as_ref();
        there && managed.is_some_and(|managed| managed.may_sleep())
    }

    /// A client has no connection any more, and its session may be kept.
    pub(in super::super) fn sleeps(&mut self, index: usize) {
        let (now, mono) = (self.now, self.world.now().mono);
        let client = &mut self.clients[index];
        // The server may have seen it before.
        let since = match self.world.ended(client.peer) {
            Some(_) => client.wrote,
            None => mono,
        };
        let left = matches!(client.stage, Stage::Leaving);
        client.stage = Stage::Asleep;
        client.csi = Csi::Active;
        if let Some(managed) = &mut client.managed {
            let will = match left || managed.token.is_none() {
                true => Will::Left,
                false => Will::Returns,
            };
            managed.owes_answer = None;
            managed.pulse = Pulse::Asleep(Sleep {
                at: now,
                since,
                will,
            });
        }
        if let Some(life) = self.ledger.life(index) {
            life.muted = Some(now);
        }
        self.clients[index].drop_unread();
        self.note(format_args!("client {index} is without a connection"));
        self.counts.sleeps += 1;
        self.active.remove(&index);
        self.sm.sleepers.insert(index);
    }

    /// Whether the server may have closed its connection without a word: it had no answer, or no room.
    pub(in super::super) fn may_be_cut_off(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let silence = self.world.now().mono.since(client.wrote);
        let silence = silence.max(client.silence);
        let managed = client.managed.as_ref();
        managed.is_some_and(|managed| managed.pulse == Pulse::Awake)
            && (silence >= self.sm.ack_delay
                || client.peak >= QUEUE_BYTES / 2
                || self.sm.queue < super::QUEUE
                || self.flooded.contains(self.ledger.name(index)))
    }

    /// Whether a client that answers is not heard for so long that its connection is closed, with what it wrote last.
    pub(in super::super) fn may_be_silenced(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let silence = self.world.now().mono.since(client.wrote);
        client.managed.is_some() && silence.max(client.silence) >= self.sm.ack_delay
    }

    /// Whether more may be unacknowledged than is kept for it.
    pub(in super::super) fn may_lack_room(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let mono = self.world.now().mono;
        // Or what it wrote last, and with it what it has acknowledged, was on its way for too long.
        let late = mono.since(client.wrote) >= FLOW_PATIENCE;
        let managed = client.managed.as_ref();
        managed
            .is_some_and(|managed| self.sm.queue < super::QUEUE || managed.hesitates(mono) || late)
    }

    /// It finds that its connection is gone.
    pub(in super::super) fn loses_line(&mut self, index: usize) {
        if self.is_kept_asleep(index) {
            return self.sleeps(index);
        }
        let rest = self.ledger.rest;
        if let Some(life) = self.ledger.life(index) {
            life.ends(rest);
        }
        self.clients[index].stage = Stage::Over;
        self.active.remove(&index);
        self.dies(index, super::Death::Over);
    }
}
