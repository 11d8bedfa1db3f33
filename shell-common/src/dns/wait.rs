//! The resolver for who may wait: a command.

use std::path::Path;

use spondee_core::port::Lookup;

use super::files::text;
use super::resolver::Resolver;
use super::{Answer, Hosts, ResolvConf, Stub, number};
use crate::limits::dns::DNS_QUESTIONS;
use crate::seed;

/// Asks all of these, as many at once as may be, and waits for what comes of them: an answer for each, in their order.
#[must_use]
pub fn look_up(conf: &ResolvConf, lookups: &[Lookup]) -> Vec<Answer> {
    let hosts = Hosts::parse(&text(Path::new(HOSTS)));
    look_up_with(Stub::new(conf.clone(), hosts, Box::new(number)), lookups)
}

pub(super) const HOSTS: &str = "/etc/hosts";
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";

impl ResolvConf {
    /// That of this machine.
    #[must_use]
    pub fn of_system() -> Self {
        Self::parse(&text(Path::new(RESOLV_CONF)))
    }
}

/// A number from 0 to this one, both included, each as often as any other: the dice for `order`.
#[must_use]
pub fn roll(most: u32) -> u32 {
    // Without randomness all begin at the first target.
    let [a, b, c, d, e, f, g, h, ..] = seed::fresh().unwrap_or_default();
    let drawn = u64::from_ne_bytes([a, b, c, d, e, f, g, h]) % (u64::from(most) + 1);
    u32::try_from(drawn).unwrap_or(most)
}

/// The same with a resolver of one's own.
pub(super) fn look_up_with(stub: Stub, lookups: &[Lookup]) -> Vec<Answer> {
    let mut resolver = Resolver::new(stub);
    let mut unasked = (0..).zip(lookups);
    let mut answers: Vec<Answer> = Vec::with_capacity(lookups.len());
    let mut asked = 0;
    while answers.len() < lookups.len() {
        let room = DNS_QUESTIONS.saturating_sub(asked - answers.len());
        for (ticket, lookup) in unasked.by_ref().take(room) {
            resolver.ask(ticket, lookup);
            asked += 1;
        }
        let before = answers.len();
        answers.extend(std::iter::from_fn(|| resolver.poll_answer()));
        if answers.len() == before {
            resolver.wait(None);
        }
    }
    answers.sort_by_key(|answer| answer.ticket);
    answers
}
