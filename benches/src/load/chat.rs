//! Pairs of sessions that answer each message with a message, with so many under way between the two.
//!
//! Each answer is written as its message arrives, in a write and a TLS record of its own: what the server gathers into one read
//! or write is its own doing, never the generator's.

use super::client::{Management, Security};
use super::crowd::Crowd;
use super::floor::Kind;
use super::pages::count;
use super::report::Figure;
use super::target::{Archive, Progress, Running, Scenario, Stopwatch, batching, crossing};
use crate::scenarios::{RESOURCE, chat_message};
use crate::scram::Account;

/// Sign-ins at a time before it begins.
const PARALLEL: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Chat {
    /// Pairs of accounts.
    pub pairs: usize,
    /// Messages under way in each pair.
    pub window: usize,
    /// Messages measured; a tenth more goes before.
    pub messages: usize,
    /// Whether each message is kept, for its sender and for its receiver.
    pub archive: Archive,
    /// Whether the sessions are under stream management. Each asks for an acknowledgement once in a window.
    pub management: Management,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

/// How far it is.
#[derive(Debug)]
struct Count {
    sent: usize,
    received: usize,
    total: usize,
}

impl Scenario for Chat {
    fn name(&self) -> &'static str {
        let is_clear = matches!(self.security, Security::Clear);
        match (self.archive, self.management) {
            (Archive::Off, Management::Off) if is_clear => "chat-clear",
            (Archive::Off, Management::Off) => "chat",
            (Archive::On, Management::Off) if is_clear => "chat-archived-clear",
            (Archive::On, Management::Off) => "chat-archived",
            (Archive::Off, Management::On(_)) if is_clear => "chat-sm-clear",
            (Archive::Off, Management::On(_)) => "chat-sm",
            (Archive::On, Management::On(_)) if is_clear => "chat-archived-sm-clear",
            (Archive::On, Management::On(_)) => "chat-archived-sm",
        }
    }

    fn archive(&self) -> Archive {
        self.archive
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn floors(&self) -> &'static [Kind] {
        match (self.archive, self.management) {
            (Archive::Off, Management::Off) => &[Kind::Relay, Kind::BatchedRelay],
            // They keep nothing, and count nothing.
            (Archive::On, _) | (Archive::Off, Management::On(_)) => &[],
        }
    }

    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let crowd = Crowd::new(accounts, running, self.security())?;
        let mut crowd = crowd.managed(self.management);
        if crowd.accounts() < 2 * self.pairs {
            return Err(format!("{} pairs need twice as many accounts", self.pairs));
        }
        let who = (0..2 * self.pairs).map(|account| (account, RESOURCE.to_owned()));
        // In the order of their accounts, or the pairs would be drawn anew in each run.
        let mut seats = crowd.sign_in(who, PARALLEL)?;
        seats.sort_by_key(|index| crowd.account_of(*index));
        let messages = self.messages_to_peers(&crowd, &seats);
        let held = self.archived(&mut crowd, &seats)?;
        let (before, asked) = (running.counters()?, crowd.requests(&seats));
        let mut figures = self.talk(&mut crowd, running, &seats, &messages, progress)?;
        let counted = running.counters()?.since(&before);
        let asked = crowd.requests(&seats) - asked;
        let total = self.total();
        // Every message was handled, and the server says so.
        crowd.agree(&seats)?;
        let hold = self.archived(&mut crowd, &seats)?;
        if self.archive == Archive::On && hold != held + 2 * total {
            return Err(format!("{total} messages made {held} entries {hold}"));
        }
        figures.extend(batching(total, &counted));
        figures.extend(crossing(total, &counted));
        if asked > 0 {
            figures.push(Figure::new("per request", total as f64 / asked as f64));
        }
        crowd.leave()?;
        Ok(figures)
    }
}

impl Chat {
    const fn warm_up(&self) -> usize {
        self.messages / 10
    }

    /// What is measured lies between a beginning and an end when all windows are full.
    const fn total(&self) -> usize {
        self.warm_up() + self.messages + self.pairs * self.window
    }

    /// How many messages the archives of all these hold.
    fn archived(&self, crowd: &mut Crowd<'_>, seats: &[usize]) -> Result<usize, String> {
        match self.archive {
            Archive::On => count(crowd, seats),
            Archive::Off => Ok(0),
        }
    }

    /// What each client writes, by its number in the crowd.
    fn messages_to_peers(&self, crowd: &Crowd<'_>, seats: &[usize]) -> Vec<Vec<u8>> {
        let mut messages = vec![Vec::new(); seats.len()];
        for pair in seats.chunks_exact(2) {
            for (one, other) in [(pair[0], pair[1]), (pair[1], pair[0])] {
                messages[one] = chat_message(&crowd.address_of(other));
            }
        }
        messages
    }

    fn talk(
        &self,
        crowd: &mut Crowd<'_>,
        running: &Running,
        seats: &[usize],
        messages: &[Vec<u8>],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let mut count = Count {
            sent: 0,
            received: 0,
            total: self.total(),
        };
        // Message by message over all pairs, not window by window.
        for _ in 0..self.window {
            for pair in seats.chunks_exact(2) {
                crowd.client(pair[0]).send(&messages[pair[0]])?;
                count.sent += 1;
            }
        }
        let mut watch = None;
        let mut figures = None;
        let end = self.warm_up() + self.messages;
        let step = (self.messages / 4).max(1);
        let mut told = self.warm_up() + step;
        while count.received < count.total {
            crowd.turn(|client| {
                let message = &messages[client.index()];
                let arrived = client.take_messages()?;
                count.received += arrived;
                let answers = arrived.min(count.total - count.sent);
                for _ in 0..answers {
                    client.send(message)?;
                }
                count.sent += answers;
                Ok(())
            })?;
            if watch.is_none() && count.received >= self.warm_up() {
                watch = Some((Stopwatch::start(running), count.received));
            }
            if let (Some((watch, from)), None) = (&watch, &figures)
                && count.received >= end
                && self.archive == Archive::Off
            {
                figures = Some(watch.stop(count.received - from));
            }
            if count.received >= told {
                progress.say(&format!("{} of {} messages", count.received, count.total));
                told += step;
            }
        }
        // What was delivered may not be on disk yet.
        if let (Some((watch, from)), Archive::On) = (&watch, self.archive) {
            figures = Some(watch.stop_settled(running, count.received - from));
        }
        figures.ok_or_else(|| "nothing was measured".to_owned())
    }
}
