//! What goes wrong: connections that break and stall, DNS, servers that stop and fall.

use spondee_core::port::ConnectError;

use super::Simulation;
use super::sites::{Dns, State};

impl Simulation {
    /// Something goes wrong, or right again.
    pub(super) fn trouble(&mut self) -> Result<(), String> {
        self.undisturbed = false;
        let site = self.random.below(self.sites.len());
        match self.random.below(100) {
            0..22 => self.cut(),
            22..32 => self.cut_half(),
            32..44 => self.stall(),
            44..60 => self.go_on(),
            60..68 => self.refuse_dial(),
            68..76 => self.dns_fails(site),
            76..80 => {
                self.counts.moves += 1;
                self.note(format_args!("site {site} has another address"));
                self.relocate(site);
            }
            80..84 => self.fall(site),
            84..88 => self.stop(site),
            _ => return self.restart(site),
        }
        Ok(())
    }

    fn wire(&mut self) -> Option<usize> {
        let live = self.net.live().to_vec();
        (!live.is_empty()).then(|| self.random.pick(&live))
    }

    fn cut(&mut self) {
        if let Some(wire) = self.wire() {
            self.counts.cuts += 1;
            self.note(format_args!("wire {wire} is cut"));
            self.taps.lose(wire);
            self.net.cut(wire);
        }
    }

    fn cut_half(&mut self) {
        if let Some(wire) = self.wire() {
            let side = self.random.below(2);
            self.counts.half_cuts += 1;
            self.note(format_args!("wire {wire} is cut, and side {side} knows"));
            self.taps.lose(wire);
            self.net.cut_side(wire, side);
        }
    }

    fn stall(&mut self) {
        if let Some(wire) = self.wire() {
            self.counts.stalls += 1;
            self.note(format_args!("wire {wire} stalls"));
            self.net.stall(wire);
        }
    }

    fn go_on(&mut self) {
        if let Some(wire) = self.wire() {
            self.note(format_args!("wire {wire} goes on"));
            self.net.go_on(wire);
        }
    }

    /// What is stalled goes on, and what is broken is known to be.
    pub(super) fn heal(&mut self) {
        self.net.heal();
    }

    fn refuse_dial(&mut self) {
        if self.net.dials() > 0 {
            let error = self.random.pick(&[
                ConnectError::Refused,
                ConnectError::TimedOut,
                ConnectError::Unreachable,
            ]);
            self.counts.refused_dials += 1;
            self.note(format_args!("a connection fails: {error:?}"));
            self.net.answer_dial(Some(error));
        }
    }

    fn dns_fails(&mut self, site: usize) {
        let dns = match self.sites[site].dns {
            Dns::Fine => {
                self.counts.dns_faults += 1;
                self.random.pick(&[Dns::Silent, Dns::Silent, Dns::NoName])
            }
            Dns::Silent | Dns::NoName => Dns::Fine,
        };
        self.note(format_args!("DNS of site {site}: {dns:?}"));
        self.sites[site].dns = dns;
        self.publish(site);
    }

    fn fall(&mut self, site: usize) {
        if self.sites[site].state == State::Down {
            return;
        }
        self.counts.crashes += 1;
        self.note(format_args!("site {site} falls"));
        self.sites[site].fell = Some(self.now);
        self.is_over(site);
    }

    fn stop(&mut self, site: usize) {
        if self.sites[site].state == State::Up {
            self.counts.stops += 1;
            self.note(format_args!("site {site} is to stop"));
            self.sites[site].state = State::Stopping;
            self.sites[site].ended = Some(self.now);
            self.lose_wires(site);
            self.net.worlds[site].post_shutdown();
        }
    }

    fn restart(&mut self, site: usize) -> Result<(), String> {
        match self.sites[site].state {
            State::Stopping if self.net.worlds[site].is_at_rest() => self.stopped(site),
            State::Down => {
                self.start(site);
                return self.sign_in_all();
            }
            State::Up | State::Stopping => {}
        }
        Ok(())
    }

    /// Its process has ended.
    pub(super) fn stopped(&mut self, site: usize) {
        self.note(format_args!("site {site} has stopped"));
        self.is_over(site);
    }

    fn is_over(&mut self, site: usize) {
        self.sites[site].state = State::Down;
        self.sites[site].ended = Some(self.now);
        self.lose_wires(site);
        self.net.fell(site);
    }

    /// What is under way to or from it, and not confirmed, nobody can be sure of.
    fn lose_wires(&mut self, site: usize) {
        for wire in self.net.live() {
            if self.net.ends(*wire).iter().any(|(at, _)| *at == site) {
                self.taps.lose(*wire);
            }
        }
    }

    pub(super) fn start(&mut self, site: usize) {
        self.note(format_args!("site {site} starts"));
        self.sites[site].state = State::Up;
        self.sites[site].started = self.net.worlds[0].now().mono;
        self.net.start(site);
    }
}
