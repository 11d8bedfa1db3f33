//! Sessions under stream management that all lose their connections at once, and come back: reset, connect, TLS or not, SCRAM-SHA-256,
//! `<resume/>`, and the message that waited for some.

use super::client::{Management, Security};
use super::company::PARALLEL;
use super::crowd::Crowd;
use super::report::Figure;
use super::target::{Archive, Progress, Running, Scenario, Stopwatch, batching};
use crate::scenarios::{RESOURCE, message, number_of, numbered_message};
use crate::scram::Account;

/// Stanzas behind which a session asks for an acknowledgement.
const EVERY: u32 = 5;

/// A message waits for each one of so many.
const WAITING: usize = 10;

/// See the module.
#[derive(Debug)]
pub struct Resumptions {
    /// How many, over all accounts.
    pub sessions: usize,
    /// Of these at a time, when they come back.
    pub parallel: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for Resumptions {
    fn name(&self) -> &'static str {
        match self.security {
            Security::Clear => "resume-clear",
            Security::StartTls(_) => "resume",
        }
    }

    /// What the messages cost is not what is asked.
    fn archive(&self) -> Archive {
        Archive::Off
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
        let crowd = Crowd::new(accounts, running, self.security())?;
        let mut crowd = crowd.managed(Management::On(EVERY));
        let sender = crowd.sign_in([(0, "sender".to_owned())], 1)?;
        let (seats, rate) = self.sign_in(&mut crowd, running)?;
        progress.say(&format!("{} sessions", seats.len()));
        said_to_themselves(&mut crowd, &seats)?;
        let before = running.counters()?;
        let watch = Stopwatch::start(running);
        self.cut_and_resume(&mut crowd, &seats, &sender, progress)?;
        let mut figures = watch.stop(self.sessions);
        let counted = running.counters()?.since(&before);
        figures.extend(rate.map(|rate| Figure::new("sign-ins per CPU second", rate)));
        figures.extend(batching(self.sessions, &counted));
        // They do not take leave, as those that idle do not.
        Ok(figures)
    }
}

impl Resumptions {
    /// All of them, and how many sign-ins there were for each second of CPU time, once the accounts were in memory.
    fn sign_in(
        &self,
        crowd: &mut Crowd<'_>,
        running: &Running,
    ) -> Result<(Vec<usize>, Option<f64>), String> {
        let accounts = crowd.accounts();
        let mut sign_in = |from: usize, to: usize| {
            let who = (from..to).map(|n| (n % accounts, resource(n)));
            crowd.sign_in(who, self.parallel)
        };
        let first = accounts.min(self.sessions);
        let mut seats = sign_in(0, first)?;
        let watch = Stopwatch::start(running);
        seats.extend(sign_in(first, self.sessions)?);
        let others = self.sessions - first;
        let rate = (others > 0).then(|| watch.rate(others));
        Ok((seats, rate))
    }

    fn cut_and_resume(
        &self,
        crowd: &mut Crowd<'_>,
        seats: &[usize],
        sender: &[usize],
        progress: &Progress,
    ) -> Result<(), String> {
        let mut severed = Vec::with_capacity(seats.len());
        let mut texts = Vec::with_capacity(seats.len());
        for seat in seats {
            let number = number(crowd.client(*seat).resource())?;
            if number % WAITING == 0 {
                texts.push(numbered_message(&crowd.address_of(*seat), number));
            }
            severed.push(crowd.cut(*seat)?);
        }
        let waiting = texts.len();
        for text in texts {
            for seat in sender {
                crowd.client(*seat).send(&text)?;
            }
        }
        crowd.agree(sender)?;
        progress.say("all have lost their connections");
        let mut got = vec![0; self.sessions];
        let (mut back, mut arrived, mut begun) = (0, 0, 0);
        let step = (self.sessions / 4).max(1);
        let mut told = step;
        let mut severed = severed.into_iter();
        while back < self.sessions || arrived < waiting {
            while begun - back < self.parallel
                && let Some(one) = severed.next()
            {
                crowd.resume(one)?;
                begun += 1;
            }
            let tally = crowd.turn(|client| {
                let own = number(client.resource());
                client.take_stanzas(|heard| {
                    let id = heard.attribute("id").unwrap_or_default();
                    let number = number_of(id.as_bytes());
                    if heard.name != "message" || number != own.as_ref().ok().copied() {
                        return Err(format!("{own:?} is sent {heard:?}"));
                    }
                    if let Some(got) = number.and_then(|number| got.get_mut(number)) {
                        *got += 1;
                        arrived += 1;
                    }
                    Ok(())
                })
            })?;
            back += tally.bound.len();
            if back >= told {
                progress.say(&format!("{back} of {} are back", self.sessions));
                told += step;
            }
        }
        let mut got = got.into_iter().enumerate();
        let is_wrong = |(number, got): &(usize, usize)| *got != usize::from(number % WAITING == 0);
        match got.find(is_wrong) {
            Some((number, got)) => Err(format!("session {number} was sent {got} messages")),
            None => Ok(()),
        }
    }
}

/// Each sends itself a message: there is something to be counted in both directions.
fn said_to_themselves(crowd: &mut Crowd<'_>, seats: &[usize]) -> Result<(), String> {
    for some in seats.chunks(PARALLEL) {
        for seat in some {
            let text = message(&crowd.address_of(*seat), 279);
            crowd.client(*seat).send(&text)?;
        }
        let mut left = some.len();
        while left > 0 {
            crowd.turn(|client| {
                left = left.saturating_sub(client.take_messages()?);
                Ok(())
            })?;
        }
    }
    crowd.agree(seats)
}

/// That of the session with this number.
fn resource(number: usize) -> String {
    format!("{RESOURCE}{number}")
}

/// The number of a session, by its resource.
fn number(resource: &str) -> Result<usize, String> {
    let number = resource.strip_prefix(RESOURCE);
    let number = number.and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("{resource} is none of the sessions that are cut"))
}
