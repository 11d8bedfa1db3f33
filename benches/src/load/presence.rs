//! One who changes its presence again and again before 50 contacts, all of them on line: how much each delivery costs.
//!
//! So many changes are under way, one by default: the next one is written when one has reached everybody. Each says its number, and everybody must get
//! all of them in order. What is counted are the deliveries to the contacts, not the one to the sender itself.

use std::collections::VecDeque;

use super::arrive::arrive;
use super::client::{Client, Dialogue, Security};
use super::company::{CONTACTS, Company, PARALLEL};
use super::crowd::Crowd;
use super::floor::Kind;
use super::report::Figure;
use super::target::{Progress, Running, Scenario, Stopwatch, batching, crossing};
use crate::scenarios::{RESOURCE, presence_change};
use crate::scram::Account;

/// See the module.
#[derive(Debug)]
pub struct PresenceChanges {
    /// Of whom the first user changes its presence.
    pub company: Company,
    /// Changes under way.
    pub window: usize,
    /// Changes measured; a tenth more goes before.
    pub changes: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for PresenceChanges {
    fn name(&self) -> &'static str {
        match self.security {
            Security::Clear => "presence-clear",
            Security::StartTls(_) => "presence",
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn floors(&self) -> &'static [Kind] {
        &[Kind::FanOut]
    }

    fn acquainted(&self) -> Vec<(usize, usize)> {
        self.company.pairs_of_users()
    }

    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let mut crowd = Crowd::new(accounts, running, self.security())?;
        let contacts: Vec<usize> = self.company.contacts.clone().collect();
        let user = self.company.users.start;
        let mut session = |account: &usize| (*account, RESOURCE.to_owned());
        let mut seats = crowd.sign_in(contacts.iter().map(&mut session), PARALLEL)?;
        let is_floor = running.dialogue() == Dialogue::Canned;
        if !is_floor {
            arrive(&mut crowd, &seats, &[], None)?;
        }
        let sender = crowd.sign_in([session(&user)], 1)?;
        if !is_floor {
            arrive(&mut crowd, &sender, &contacts, None)?;
        }
        let sender = sender.first().copied().ok_or("nobody is there")?;
        seats.push(sender);
        // A floor passes on what was written.
        let from = (!is_floor).then(|| crowd.address_of(sender));
        let before = running.counters()?;
        let mut changes = Changes::new(&seats, self.total(), from);
        let mut figures = self.change(&mut crowd, running, sender, &mut changes, progress)?;
        let counted = running.counters()?.since(&before);
        figures.extend(batching(changes.deliveries(), &counted));
        figures.extend(crossing(changes.deliveries(), &counted));
        crowd.leave()?;
        Ok(figures)
    }
}

impl PresenceChanges {
    const fn warm_up(&self) -> usize {
        self.changes / 10
    }

    /// At the end of what is measured as many are under way as at its beginning.
    const fn total(&self) -> usize {
        self.warm_up() + self.changes + self.window
    }

    fn change(
        &self,
        crowd: &mut Crowd<'_>,
        running: &Running,
        sender: usize,
        changes: &mut Changes,
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let mut watch = None;
        let mut figures = None;
        let end = self.warm_up() + self.changes;
        let step = (self.changes / 4).max(1);
        let mut told = self.warm_up() + step;
        while changes.everywhere < changes.total {
            while changes.sent < changes.total && changes.under_way() < self.window {
                let text = presence_change(changes.next());
                crowd.client(sender).send(&text)?;
            }
            crowd.turn(|client| changes.take(client))?;
            if watch.is_none() && changes.everywhere >= self.warm_up() {
                watch = Some((Stopwatch::start(running), changes.deliveries()));
            }
            if let (Some((watch, from)), None) = (&watch, &figures)
                && changes.everywhere >= end
            {
                figures = Some(watch.stop(changes.deliveries() - from));
            }
            if changes.everywhere >= told {
                progress.say(&format!(
                    "{} of {} changes",
                    changes.everywhere, changes.total
                ));
                told += step;
            }
        }
        figures.ok_or_else(|| "nothing was measured".to_owned())
    }
}

/// How far the changes are.
struct Changes {
    /// Whom they are from, as receivers see it.
    from: Option<String>,
    total: usize,
    sent: usize,
    /// How many have reached everybody.
    everywhere: usize,
    /// Of each that has not, whom it is still to reach.
    missing: VecDeque<usize>,
    /// By their numbers in the crowd, what each has got.
    got: Vec<usize>,
    receivers: usize,
    received: usize,
}

impl Changes {
    fn new(seats: &[usize], total: usize, from: Option<String>) -> Self {
        let last = seats.iter().copied().max().unwrap_or(0);
        Self {
            from,
            total,
            sent: 0,
            everywhere: 0,
            missing: VecDeque::new(),
            got: vec![0; last + 1],
            receivers: seats.len(),
            received: 0,
        }
    }

    const fn under_way(&self) -> usize {
        self.sent - self.everywhere
    }

    /// Those to contacts.
    const fn deliveries(&self) -> usize {
        self.received * CONTACTS / (CONTACTS + 1)
    }

    /// The number of the next one, which is sent now.
    fn next(&mut self) -> usize {
        self.missing.push_back(self.receivers);
        self.sent += 1;
        self.sent - 1
    }

    /// What a client got: the next ones, from whom they are.
    fn take(&mut self, client: &mut Client) -> Result<(), String> {
        let index = client.index();
        client.take_stanzas(|heard| {
            if heard.name != "presence" || heard.attribute("type").is_some() {
                return Ok(());
            }
            if let Some(from) = &self.from
                && heard.attribute("from") != Some(from)
            {
                return Ok(());
            }
            let Some((_, rest)) = heard.content.split_once("<status>Change ") else {
                return Ok(());
            };
            let number = rest
                .split('<')
                .next()
                .and_then(|number| number.parse().ok());
            let wanted = self.got[index];
            if number != Some(wanted) {
                return Err(format!("client {index}: {number:?}, not change {wanted}"));
            }
            let at = wanted.checked_sub(self.everywhere);
            let missing = at.and_then(|at| self.missing.get_mut(at));
            *missing.ok_or_else(|| format!("change {wanted} was not sent"))? -= 1;
            self.got[index] += 1;
            self.received += 1;
            while self.missing.front() == Some(&0) {
                self.missing.pop_front();
                self.everywhere += 1;
            }
            Ok(())
        })
    }
}
