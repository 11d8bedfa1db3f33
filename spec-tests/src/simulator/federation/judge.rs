//! Oracle: what became of everything, once all is at rest.

use std::time::Duration;

use super::sites::{Dns, State};
use super::{Simulation, Weather};

/// More than the patience of messages, and all that was tried meanwhile.
const REST: Duration = Duration::from_secs(12 * 60);

/// Whoever manages a server's process gives it longer to stop.
const STOP_SECONDS: usize = 30;

/// In such steps, between which users answer.
const STEP: Duration = Duration::from_secs(20);

/// Links that nobody uses are over.
const IDLE: Duration = Duration::from_secs(2 * 3600);

impl Simulation {
    /// All that is broken heals, and everything under way comes to its end.
    pub(super) fn come_to_rest(&mut self) -> Result<(), String> {
        self.now += 1;
        self.note(format_args!("all comes to rest"));
        self.net.run();
        self.observe()?;
        self.let_stop()?;
        for site in 0..self.sites.len() {
            if self.sites[site].state == State::Stopping {
                self.stopped(site);
            }
            if self.sites[site].state == State::Down {
                self.start(site);
            }
            if self.sites[site].dns != Dns::Fine {
                self.sites[site].dns = Dns::Fine;
                self.publish(site);
            }
        }
        self.heal();
        self.wait(REST)
    }

    /// Servers that are to stop do so in order: they wait a while for what their clients still acknowledge.
    fn let_stop(&mut self) -> Result<(), String> {
        for _ in 0..STOP_SECONDS {
            let stopping = |site: &usize| self.sites[*site].state == State::Stopping;
            let mut stopping = (0..self.sites.len()).filter(stopping);
            if stopping.all(|site| self.net.worlds[site].is_at_rest()) {
                return Ok(());
            }
            self.net.advance(Duration::from_secs(1));
            self.observe()?;
        }
        Ok(())
    }

    /// Time passes, and users answer what they are asked.
    fn wait(&mut self, all: Duration) -> Result<(), String> {
        let mut waited = Duration::ZERO;
        self.observe()?;
        self.sign_in_all()?;
        while waited < all {
            self.net.advance(STEP);
            self.observe()?;
            self.sign_in_all()?;
            self.liar_answers();
            waited += STEP;
        }
        self.net.run();
        self.observe()
    }

    /// What became of what was sent since the last time.
    pub(super) fn judge(&mut self) -> Result<(), String> {
        let all = self.book.messages.len();
        for number in self.book.judged..all {
            let sent = self.book.messages[number].clone();
            let (came, back) = (sent.delivered, sent.bounced);
            let repeats = self.may_repeat(number, &sent);
            if came + back == 0 {
                match self.excuse(&sent) {
                    Some(excuse) => {
                        self.counts.lost += 1;
                        self.note(format_args!("m{number} is lost: {excuse:?}"));
                    }
                    None => {
                        let ways = self.taps.ways(number);
                        return Err(format!("m{number} is lost: {sent:?}{ways}"));
                    }
                }
            }
            if came + back > 1 && !repeats {
                let ways = self.taps.ways(number);
                return Err(format!(
                    "m{number} came {came} times and back {back} times{ways}"
                ));
            }
            if came > 1 {
                self.counts.twice += 1;
            }
            if came > 0 && back > 0 {
                self.counts.unsure += 1;
            }
        }
        self.book.judged = all;
        let all = self.book.requests.len();
        for number in self.book.requests_judged..all {
            let request = &self.book.requests[number];
            if request.undisturbed && self.undisturbed && request.answers != 1 {
                return Err(format!("q{number} has no answer: {request:?}"));
            }
        }
        self.book.requests_judged = all;
        Ok(())
    }

    /// Nothing stays of anything.
    pub(super) fn finale(&mut self) -> Result<(), String> {
        self.weather = Weather::Fair;
        self.note(format_args!("everybody leaves"));
        self.liar_leaves();
        self.wait(REST)?;
        self.judge()?;
        for user in 0..self.users.len() {
            self.leave(user);
        }
        self.net.advance(IDLE);
        self.observe()?;
        for (site, world) in self.net.worlds.iter().enumerate() {
            let residue = world.residue();
            if residue.iter().flatten().any(|count| *count != 0) {
                return Err(format!("site {site} keeps {residue:?}"));
            }
        }
        match self.net.live() {
            [] => Ok(()),
            live => Err(format!("wires {live:?} are not over")),
        }
    }
}
