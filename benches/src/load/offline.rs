//! Messages to people who are away, and what they find when they come.
//!
//! Nothing answers a message that is stored. So each sender asks for a sign of life (XEP-0199) behind every few messages, and goes on when
//! that is answered: what it sent before has been taken by then. The last of it may still be on its way to the disk, so the server's
//! CPU time is counted until it has settled. In the end everybody comes and must be sent all there is, each message once and in order.

use std::collections::BTreeMap;

use super::client::{Client, Security};
use super::company::PARALLEL;
use super::crowd::Crowd;
use super::report::Figure;
use super::target::{Archive, Progress, Running, Scenario, Stopwatch, batching, crossing};
use crate::scenarios::{RESOURCE, number_of, numbered_message};
use crate::scram::Account;

/// Messages behind which a sender asks.
const STEP: usize = 5;

const PING: &[u8] = b"<iq type='get' to='localhost' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";

/// Who writes to whom: the account behind its own.
struct Senders<'a, 'b> {
    crowd: &'a mut Crowd<'b>,
    seats: Vec<usize>,
    /// Of each, by its number in the crowd: whom it writes to, and the number of its next message.
    next: Vec<(String, usize)>,
    window: usize,
}

impl<'a, 'b> Senders<'a, 'b> {
    fn sign_in(crowd: &'a mut Crowd<'b>, senders: usize, window: usize) -> Result<Self, String> {
        if crowd.accounts() < 2 * senders {
            return Err(format!("{senders} senders need twice as many accounts"));
        }
        let who = (0..senders).map(|n| (2 * n, RESOURCE.to_owned()));
        let seats = crowd.sign_in(who, PARALLEL)?;
        let last = seats.iter().copied().max().unwrap_or(0);
        let mut next = vec![(String::new(), 0); last + 1];
        for seat in &seats {
            next[*seat].0 = crowd.bare_address(crowd.account_of(*seat) + 1);
        }
        Ok(Self {
            crowd,
            seats,
            next,
            window,
        })
    }

    /// Each sends so many, and all are taken.
    fn send(&mut self, each: usize) -> Result<(), String> {
        let Self {
            crowd, next, seats, ..
        } = self;
        let goal: Vec<usize> = next.iter().map(|(_, number)| number + each).collect();
        let mut asked = 0;
        let mut step = |client: &mut Client| {
            let (to, number) = &mut next[client.index()];
            let end = goal[client.index()].min(*number + STEP);
            if *number == end {
                return Ok(0);
            }
            while *number < end {
                client.send(&numbered_message(to, *number))?;
                *number += 1;
            }
            client.send(PING)?;
            Ok::<usize, String>(1)
        };
        for _ in 0..(self.window / STEP).max(1) {
            for seat in &*seats {
                asked += step(crowd.client(*seat))?;
            }
        }
        while asked > 0 {
            crowd.turn(|client| {
                for _ in 0..client.take_results()? {
                    asked -= 1;
                    asked += step(client)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// How many each receiver has been sent, by its account.
    fn leave(self) -> Result<Owed, String> {
        let Self {
            crowd, seats, next, ..
        } = self;
        let owed = seats.iter();
        let owed = owed.map(|seat| (crowd.account_of(*seat) + 1, next[*seat].1));
        let owed = owed.collect();
        crowd.leave()?;
        Ok(owed)
    }
}

/// How many messages wait, by account.
type Owed = BTreeMap<usize, usize>;

/// Sessions of those for whom messages wait, who have not said that they are there.
fn receivers(crowd: &mut Crowd<'_>, owed: &Owed) -> Result<Vec<usize>, String> {
    let who = owed.keys().map(|one| (*one, RESOURCE.to_owned()));
    crowd.sign_in(who, PARALLEL)
}

/// They say that they are there, some at a time, and must be sent all that waits for them.
fn receive(crowd: &mut Crowd<'_>, seats: &[usize], owed: &Owed) -> Result<(), String> {
    let last = seats.iter().copied().max().unwrap_or(0);
    let mut got = vec![0; last + 1];
    let mut coming = seats.iter().copied();
    let mut waiting = 0;
    let mut left = seats.len();
    while left > 0 {
        while waiting < PARALLEL {
            let Some(seat) = coming.next() else {
                break;
            };
            crowd.client(seat).send(b"<presence/>")?;
            waiting += 1;
        }
        crowd.turn(|client| {
            let (index, account) = (client.index(), client.account());
            let all = owed.get(&account).copied().unwrap_or(0);
            let got = &mut got[index];
            let before = *got;
            client.take_each_message(|message| {
                let number = number_of(message);
                if number != Some(*got) {
                    return Err(format!("account {account}: {number:?}, not message {got}"));
                }
                *got += 1;
                Ok(())
            })?;
            if *got > all {
                return Err(format!("account {account}: {got} messages, not {all}"));
            }
            if before < all && *got == all {
                waiting -= 1;
                left -= 1;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Sends to those who are away.
#[derive(Debug)]
pub struct OfflineStored {
    /// Each with a receiver of its own.
    pub senders: usize,
    /// Messages under way of each.
    pub window: usize,
    /// Messages measured, over all senders; a tenth more goes before.
    pub messages: usize,
    /// Whether they are kept for the archives as well.
    pub archive: Archive,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for OfflineStored {
    fn name(&self) -> &'static str {
        match (self.archive, &self.security) {
            (Archive::Off, Security::Clear) => "offline-stored-clear",
            (Archive::Off, Security::StartTls(_)) => "offline-stored",
            (Archive::On, Security::Clear) => "offline-stored-archived-clear",
            (Archive::On, Security::StartTls(_)) => "offline-stored-archived",
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn archive(&self) -> Archive {
        self.archive
    }

    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let each = self.messages.div_ceil(self.senders.max(1));
        let mut crowd = Crowd::new(accounts, running, self.security())?;
        let mut senders = Senders::sign_in(&mut crowd, self.senders, self.window)?;
        senders.send(each.div_ceil(10))?;
        running.settle();
        let total = each * self.senders;
        let before = running.counters()?;
        let watch = Stopwatch::start(running);
        senders.send(each)?;
        let mut figures = watch.stop_settled(running, total);
        let counted = running.counters()?.since(&before);
        figures.extend(batching(total, &counted));
        figures.extend(crossing(total, &counted));
        let owed = senders.leave()?;
        progress.say("all are stored, and are asked for");
        let seats = receivers(&mut crowd, &owed)?;
        receive(&mut crowd, &seats, &owed)?;
        crowd.leave()?;
        Ok(figures)
    }
}

/// Comes back and is sent what was stored. The sign-ins go before.
#[derive(Debug)]
pub struct OfflineDelivered {
    /// Each with a sender of its own.
    pub receivers: usize,
    /// Messages that wait, over all receivers.
    pub messages: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for OfflineDelivered {
    fn name(&self) -> &'static str {
        match self.security {
            Security::Clear => "offline-delivered-clear",
            Security::StartTls(_) => "offline-delivered",
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let each = self.messages.div_ceil(self.receivers.max(1));
        let mut crowd = Crowd::new(accounts, running, self.security())?;
        let mut senders = Senders::sign_in(&mut crowd, self.receivers, 2 * STEP)?;
        senders.send(each)?;
        let owed = senders.leave()?;
        progress.say("all are stored");
        let seats = receivers(&mut crowd, &owed)?;
        running.settle();
        let total = each * self.receivers;
        let before = running.counters()?;
        let watch = Stopwatch::start(running);
        receive(&mut crowd, &seats, &owed)?;
        let mut figures = watch.stop_settled(running, total);
        let counted = running.counters()?.since(&before);
        figures.extend(batching(total, &counted));
        crowd.leave()?;
        Ok(figures)
    }
}
