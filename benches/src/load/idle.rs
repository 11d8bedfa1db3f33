//! Sessions that have sent and received 4 KiB and then do nothing: what each keeps of the server's memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::arrive::arrive;
use super::client::{Management, Security};
use super::company::{Company, PARALLEL};
use super::crowd::Crowd;
use super::floor::Kind;
use super::process::{Cpu, pss_kib};
use super::report::Figure;
use super::target::{Progress, Running, SETTLES_IN, Scenario};
use crate::scenarios::{RESOURCE, message};
use crate::scram::Account;

/// What each session sends to itself and gets back.
const MESSAGES: usize = 4;
const MESSAGE_BYTES: usize = 1024;
/// With how many sessions it is first looked how long a message takes.
const FEW: usize = 100;
/// Messages of which that is known.
const ONE_BY_ONE: usize = 2000;
/// How long it is looked what a server does that has nothing to do.
const REST: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Idle {
    /// How many, and whose.
    pub sessions: Sessions,
    /// Whether they are under stream management.
    pub management: Management,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

/// Whose sessions they are.
#[derive(Clone, Debug)]
pub enum Sessions {
    /// So many, of all accounts, which have no contacts.
    Bare(usize),
    /// One of each account in the circle. It has got its roster and said that it is there, and so have all its contacts.
    WithRosters(Company),
}

impl Scenario for Idle {
    fn name(&self) -> &'static str {
        let is_clear = matches!(self.security, Security::Clear);
        match (&self.sessions, self.management) {
            (Sessions::Bare(_), _) if is_clear => "idle-clear",
            (Sessions::Bare(_), _) => "idle",
            (Sessions::WithRosters(_), Management::Off) if is_clear => "idle-roster-clear",
            (Sessions::WithRosters(_), Management::Off) => "idle-roster",
            (Sessions::WithRosters(_), Management::On(_)) if is_clear => "idle-roster-sm-clear",
            (Sessions::WithRosters(_), Management::On(_)) => "idle-roster-sm",
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn floors(&self) -> &'static [Kind] {
        match self.sessions {
            Sessions::Bare(_) => &[Kind::Echo],
            Sessions::WithRosters(_) => &[],
        }
    }

    fn acquainted(&self) -> Vec<(usize, usize)> {
        match &self.sessions {
            Sessions::Bare(_) => Vec::new(),
            Sessions::WithRosters(company) => company.pairs_of_circle(),
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
        // What the first clients make a server load once is not the sessions' share.
        crowd.sign_in((0..PARALLEL).map(|n| (n, "first".to_owned())), PARALLEL)?;
        crowd.leave()?;
        std::thread::sleep(SETTLES_IN);
        let before = pss_kib(running.id())?;
        progress.say(&format!("{before} KiB before"));

        let seats = self.sign_in(&mut crowd, 0..FEW)?;
        let with_few = seats
            .first()
            .map(|one| late(&mut crowd, *one))
            .transpose()?;
        let seats = [seats, self.sign_in(&mut crowd, FEW..usize::MAX)?].concat();
        progress.say(&format!("{} sessions", seats.len()));
        Self::exchange(&mut crowd, &seats)?;
        // Nothing waits for an acknowledgement any more.
        crowd.agree(&seats)?;
        std::thread::sleep(running.settles_in());
        let after = pss_kib(running.id())?;
        progress.say(&format!("{after} KiB after"));
        let each = after.saturating_sub(before) as f64 / seats.len() as f64;
        let cpu = Cpu::of(running.id());
        std::thread::sleep(REST);
        let rest = Cpu::of(running.id()).since(&cpu).as_secs_f64() / REST.as_secs_f64();
        let with_all = seats
            .first()
            .map(|one| late(&mut crowd, *one))
            .transpose()?;
        let mut figures = vec![
            Figure::new("KiB per session", each),
            Figure::new("sessions", seats.len() as f64),
            Figure::new("KiB before", before as f64),
            Figure::new("KiB after", after as f64),
            Figure::new("CPU ms a second", rest * 1e3),
        ];
        if let (Some(few), Some(all)) = (with_few, with_all) {
            figures.push(Figure::new("p99 us with 100", few));
            figures.push(Figure::new("p99 us", all));
        }
        // They do not take leave: the server is stopped next, and the peers would need a minute for it.
        Ok(figures)
    }
}

impl Idle {
    /// Those of all sessions that are in this range; with rosters, all at once and first.
    fn sign_in(&self, crowd: &mut Crowd<'_>, which: Range<usize>) -> Result<Vec<usize>, String> {
        match &self.sessions {
            Sessions::Bare(sessions) => {
                let of = crowd.accounts();
                let who = which.start.min(*sessions)..which.end.min(*sessions);
                let who = who.map(|n| (n % of, format!("load{}", n / of)));
                crowd.sign_in(who, PARALLEL)
            }
            Sessions::WithRosters(_) if which.start > 0 => Ok(Vec::new()),
            Sessions::WithRosters(company) => {
                let who = company.circle.clone().map(|one| (one, RESOURCE.to_owned()));
                let seats = crowd.sign_in(who, PARALLEL)?;
                arrive(crowd, &seats, &[], None)?;
                Ok(seats)
            }
        }
    }

    /// One session after the other, message by message: as many sessions idle that were never busy together.
    fn exchange(crowd: &mut Crowd<'_>, seats: &[usize]) -> Result<(), String> {
        let mut left: BTreeMap<usize, usize> = BTreeMap::new();
        for some in seats.chunks(PARALLEL) {
            for index in some {
                let text = message(&crowd.address_of(*index), MESSAGE_BYTES);
                let client = crowd.client(*index);
                for _ in 0..MESSAGES {
                    client.send(&text)?;
                }
                left.insert(*index, MESSAGES);
            }
            while !left.is_empty() {
                crowd.turn(|client| {
                    let arrived = client.take_messages()?;
                    if let Some(count) = left.get_mut(&client.index()) {
                        *count = count.saturating_sub(arrived);
                        if *count == 0 {
                            left.remove(&client.index());
                        }
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    }
}

/// In microseconds, how long 99 in a hundred messages of a session to itself take at most, one after the other.
fn late(crowd: &mut Crowd<'_>, index: usize) -> Result<f64, String> {
    let text = message(&crowd.address_of(index), MESSAGE_BYTES);
    let mut took = Vec::with_capacity(ONE_BY_ONE);
    for _ in 0..ONE_BY_ONE {
        let began = Instant::now();
        crowd.client(index).send(&text)?;
        let mut arrived = 0;
        while arrived == 0 {
            crowd.turn(|client| {
                arrived += client.take_messages()?;
                Ok(())
            })?;
        }
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let p99 = took.get(ONE_BY_ONE * 99 / 100).copied().unwrap_or_default();
    Ok(p99.as_secs_f64() * 1e6)
}
