//! How clients come back to their sessions: while the old connection stands, in the middle of a burst, twice, too late, with a count that
//! cannot be, to the session of somebody else.

use spondee_core::port::Opening;
use spondee_core::sasl::Mechanism;

use super::super::accounts::NAMES;
use super::super::actions::CLIENTS_MAX;
use super::super::client::{Heard, Intent, MECHANISMS, Nature, Stage};
use super::super::faults::Served;
use super::super::{QUEUE_BYTES, Simulation, guesses};
use super::{Death, Pulse, SM, Will};
use crate::element::Element;

/// What a client says that comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct Return {
    /// To whose session.
    pub(super) former: usize,
    claim: Claim,
}

/// What it says of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Claim {
    /// That it got what it got.
    Exact,
    /// That it got less.
    Less,
    /// That it got more than there ever was.
    TooMuch,
    /// It is somebody else's.
    Stolen,
    /// It guesses.
    Guessed,
}

impl Simulation {
    /// Somebody comes back.
    pub(in super::super) fn come_back(&mut self) {
        if self.active.len() >= CLIENTS_MAX {
            return;
        }
        let asleep = self.sm.sleepers.iter().copied();
        let mut those: Vec<usize> = asleep
            .filter(|index| self.means_to_return(*index))
            .collect();
        match self.random.below(10) {
            // The old connection stands still.
            0..=1 => {
                let mut awake = self.managed();
                awake.retain(|index| self.has_token(*index));
                those = awake;
            }
            2 => {
                those = self
                    .sm
                    .dead
                    .iter()
                    .copied()
                    .filter(|index| self.has_token(*index))
                    .collect()
            }
            _ => {}
        }
        if those.is_empty() {
            return;
        }
        let former = self.random.pick(&those);
        let claim = match self.random.below(40) {
            0..=25 => Claim::Exact,
            26..=36 => Claim::Less,
            37 => Claim::TooMuch,
            38 => Claim::Stolen,
            _ => Claim::Guessed,
        };
        self.come_back_to(former, claim);
    }

    pub(super) fn return_to(&mut self, former: usize) {
        let claim = self.random.pick(&[Claim::Exact, Claim::Exact, Claim::Less]);
        self.come_back_to(former, claim);
    }

    pub(super) fn means_to_return(&self, index: usize) -> bool {
        let managed = self.clients[index].managed.as_ref();
        managed.is_some_and(|managed| match managed.pulse {
            Pulse::Asleep(sleep) => sleep.will == Will::Returns,
            Pulse::Awake | Pulse::Dead(_) => false,
        })
    }

    fn has_token(&self, index: usize) -> bool {
        let managed = self.clients[index].managed.as_ref();
        managed.is_some_and(|managed| managed.token.is_some())
    }

    fn come_back_to(&mut self, former: usize, claim: Claim) {
        let client = &self.clients[former];
        let (account, resource) = (client.account, client.resource.clone());
        let account = match claim {
            Claim::Stolen => (account + 1) % NAMES.len(),
            Claim::Exact | Claim::Less | Claim::TooMuch | Claim::Guessed => account,
        };
        let Some(password) = self.accounts.password(account) else {
            return;
        };
        let nature = self
            .random
            .pick(&[Nature::Honest, Nature::Honest, Nature::Hasty]);
        let resource = match self.random.percent(50) {
            true => resource,
            false => self.random.pick(&["a", "b", "c", "d"]).to_owned(),
        };
        let (mechanism, opening) = match nature == Nature::Hasty {
            true => (Mechanism::Plain, Opening::Tls),
            false => (
                self.random.pick(&MECHANISMS),
                self.random.pick(&[Opening::Clear, Opening::Tls]),
            ),
        };
        let address = guesses::home(&mut self.random);
        let returns = Some(Return { former, claim });
        self.connect_as(Intent {
            nature,
            account,
            password,
            resource,
            mechanism,
            opening,
            address,
            returns,
        });
    }

    /// Whose words a client may have to say again.
    pub(in super::super) fn former(&self, intent: &Intent) -> Option<usize> {
        let Return { former, claim } = intent.returns?;
        match claim {
            Claim::Exact | Claim::Less | Claim::TooMuch => Some(former),
            Claim::Stolen | Claim::Guessed => None,
        }
    }

    /// What a client says that comes back. From here on it hears nothing of its old connection.
    pub(in super::super) fn ask_to_resume(&mut self, index: usize) -> String {
        let Some(Return { former, claim }) = self.clients[index].returns else {
            return String::new();
        };
        let is_own = !matches!(claim, Claim::Stolen | Claim::Guessed);
        let is_awake = self.managed().contains(&former);
        if is_own && is_awake {
            // Much may be on its way yet, both ways.
            for _ in 0..self.random.below(3) {
                self.speak_as(former);
            }
            self.deserted.push(self.clients[former].peer);
            self.sleeps(former);
        }
        let less = claim == Claim::Less;
        let Some(managed) = &mut self.clients[former].managed else {
            return String::new();
        };
        let is_dead = matches!(managed.pulse, Pulse::Dead(_));
        if is_own
            && !is_dead
            && let Some(before) = managed.attempt.replace(index)
        {
            managed.abandoned.push(before);
            self.note(format_args!("client {before} is left alone"));
        }
        let Some(managed) = &mut self.clients[former].managed else {
            return String::new();
        };
        if less && !is_dead && managed.again.is_empty() {
            let untold = usize::try_from(managed.heard - managed.told).unwrap_or(0);
            managed.forgets(self.random.below(untold + 1));
        }
        let token = managed.token.clone().unwrap_or_default();
        let (token, h) = match claim {
            Claim::Exact | Claim::Less => {
                if !is_dead {
                    managed.told = managed.heard;
                }
                (token, managed.heard)
            }
            Claim::TooMuch => (token, managed.heard + 100_000),
            Claim::Stolen => (token, managed.heard),
            Claim::Guessed => ("AAAAAAAAAAAAAAAAAAAAAA".to_owned(), 0),
        };
        format!("<resume xmlns='{SM}' previd='{token}' h='{h}'/>")
    }

    /// A client that asked for its former session does not wait for the answer.
    pub(in super::super) fn abandon(&mut self, index: usize) {
        let Some(Return { former, .. }) = self.clients[index].returns else {
            return;
        };
        if let Some(managed) = &mut self.clients[former].managed
            && managed.attempt == Some(index)
        {
            managed.attempt = None;
            managed.abandoned.push(index);
        }
    }

    /// Whether the session of this client may be resumed by a request that it left alone, or by one that comes before its good-bye is read.
    pub(in super::super) fn was_abandoned(&self, index: usize) -> bool {
        let managed = self.clients[index].managed.as_ref();
        let sought = managed
            .is_some_and(|managed| !managed.abandoned.is_empty() || managed.attempt.is_some());
        sought && self.is_kept_asleep(index)
    }

    /// Whether it said that it got more than there was.
    pub(in super::super) fn lied(&self, index: usize) -> bool {
        let client = &self.clients[index];
        let returns = client.returns;
        returns.is_some_and(|returns| returns.claim == Claim::TooMuch)
            || client.managed.as_ref().is_some_and(|managed| managed.lied)
    }

    fn is_latest(&self, index: usize, former: usize) -> bool {
        let managed = self.clients[former].managed.as_ref();
        managed.is_some_and(|managed| managed.attempt == Some(index))
    }

    /// The server lets it go on.
    pub(super) fn resumed(&mut self, index: usize, element: &Element) -> Result<(), String> {
        let fail = |what: &str| Err(format!("client {index} got {element}, {what}"));
        let Some(Return { former, claim }) = self.clients[index].returns else {
            return fail("and never asked for it");
        };
        if !matches!(claim, Claim::Exact | Claim::Less) {
            return fail("which it may not have");
        }
        let managed = self.clients[former].managed.as_ref();
        let Some(managed) = managed else {
            return fail("of a session that never was");
        };
        if element.attribute("previd") != managed.token.as_deref() {
            return fail("which is another session");
        }
        // It went on, and had ended when another asked, which read of that sooner.
        let was_left_alone = managed.abandoned.contains(&index);
        if let Pulse::Dead(death) = managed.pulse
            && !was_left_alone
        {
            return fail(&format!("though that session is over: {death:?}"));
        }
        if was_left_alone || !self.is_latest(index, former) || !self.means_to_return(former) {
            self.note(format_args!("client {index} was left alone"));
            self.give_up(index);
            self.clients[index].drop_unread();
            return Ok(());
        }
        let Some(h) = element.attribute("h").and_then(|h| h.parse().ok()) else {
            return fail("which counts nothing");
        };
        let jid = self.ledger.name(former).to_owned();
        let now = self.now;
        let (before, after) = self.clients.split_at_mut(index);
        let (old, new) = (&mut before[former], &mut after[0]);
        old.take_over(new);
        old.stage = Stage::Session(jid);
        new.stage = Stage::Moved(former);
        new.returns = None;
        let stale = new.peer;
        if let Some(managed) = &mut old.managed {
            managed.pulse = Pulse::Awake;
            managed.attempt = None;
            // It may have been lost.
            managed.asked = None;
        }
        if let Some(life) = self.ledger.life(former) {
            life.muted = Some(now);
        }
        self.active.remove(&index);
        self.active.insert(former);
        self.parted.remove(&former);
        self.ledger.parted.remove(&former);
        self.sm.sleepers.remove(&former);
        self.sm.stale.push((former, stale));
        self.counts.resumed += 1;
        self.handled(former, h, super::Heard::NotYet)
            .map_err(|fault| format!("client {index} got {element}, {fault}"))?;
        self.is_heard(former);
        self.send_again(former);
        Ok(())
    }

    /// What the server has not handled is sent once more.
    fn send_again(&mut self, index: usize) {
        let Some(managed) = &mut self.clients[index].managed else {
            return;
        };
        let mut words: String = managed
            .unhandled
            .iter()
            .map(|one| one.xml.as_str())
            .collect();
        self.counts.resent += managed.unhandled.len();
        if self.random.percent(50) {
            if let Some(managed) = &mut self.clients[index].managed {
                managed.asked = Some(managed.sent);
            }
            words += &format!("<r xmlns='{SM}'/>");
        }
        self.say(index, &words);
    }

    /// The server does not.
    pub(super) fn not_resumed(&mut self, index: usize, element: &Element) -> Result<(), String> {
        let fail = |what: &str| Err(format!("client {index} got {element}, {what}"));
        let Some(Return { former, claim }) = self.clients[index].returns else {
            return fail("and never asked for it");
        };
        if element.condition() != Some("item-not-found") {
            return fail("which is no reason");
        }
        let h: Option<u32> = element.attribute("h").and_then(|h| h.parse().ok());
        self.counts.unresumed += 1;
        match claim {
            Claim::Stolen | Claim::Guessed if h.is_some() => return fail("of somebody else"),
            Claim::Stolen | Claim::Guessed => {}
            Claim::Exact | Claim::Less | Claim::TooMuch => {
                let managed = self.clients[former].managed.as_ref();
                let pulse = managed.map(|managed| managed.pulse);
                let is_dead = matches!(pulse, Some(Pulse::Dead(_)));
                if !is_dead && !self.is_latest(index, former) {
                    self.give_up(index);
                    return Ok(());
                }
                if !is_dead && let Err(why) = self.may_be_over(former) {
                    return fail(&format!("though nothing has ended it: {why}"));
                }
                if let Some(h) = h {
                    self.handled(former, h, super::Heard::NotYet)
                        .map_err(|fault| format!("client {index} got {element}, {fault}"))?;
                }
                if let Some(Pulse::Asleep(sleep)) = pulse {
                    if let Some(life) = self.ledger.life(former) {
                        life.ends(sleep.at);
                    }
                    self.dies(former, Death::Over);
                }
            }
        }
        self.clients[index].returns = None;
        if let Heard::Bind(words) = self.clients[index].bind() {
            self.wish(index);
            self.say(index, &words);
        }
        Ok(())
    }

    /// Whether anything may have ended a session whose client is asleep.
    fn may_be_over(&self, index: usize) -> Result<(), String> {
        let client = &self.clients[index];
        let (account, name) = (client.account, NAMES[client.account]);
        let Some(managed) = &client.managed else {
            return Ok(());
        };
        let Pulse::Asleep(sleep) = managed.pulse else {
            return Ok(());
        };
        let born = managed.born;
        let jid = self.ledger.name(index);
        let age = self.world.now().mono.since(sleep.since);
        let asleep = self.sm.sleepers.iter();
        let asleep = asleep.filter(|other| self.clients[**other].account == account);
        let excused = age >= managed.time
            || sleep.will == Will::Left
            || asleep.count() > self.sm.max_hibernated
            || self.sm.max_hibernated < super::MANY
            || self.sm.queue < super::QUEUE
            || self.faults.served(name, born) != Served::Yes
            || self.faults.reload_since(born) && name.ends_with("other.test")
            || self.faults.shutdown_since(born)
            || self.accounts.excuses(account, born, "reset")
            || self.accounts.excuses(account, born, "not-authorized")
            || self.ledger.was_taken(index, jid, born)
            || self.faults.store_since(born, name)
            || self.flooded.contains(jid)
            || client.peak >= QUEUE_BYTES / 2
            || managed.lied
            || managed.strained;
        match excused {
            true => Ok(()),
            false => Err(format!("asleep for {age:?}, {managed:?}")),
        }
    }
}
