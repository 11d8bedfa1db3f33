//! Sessions that have sent and received 4 KiB and then do nothing: what each keeps of the server's memory.

use std::collections::BTreeMap;

use super::arrive::arrive;
use super::client::{Management, Security};
use super::company::{Company, PARALLEL};
use super::crowd::Crowd;
use super::floor::Kind;
use super::process::pss_kib;
use super::report::Figure;
use super::target::{Progress, Running, SETTLES_IN, Scenario};
use crate::scenarios::{RESOURCE, message};
use crate::scram::Account;

/// What each session sends to itself and gets back.
const MESSAGES: usize = 4;
const MESSAGE_BYTES: usize = 1024;

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

        let seats = self.sign_in(&mut crowd)?;
        progress.say(&format!("{} sessions", seats.len()));
        Self::exchange(&mut crowd, &seats)?;
        // Nothing waits for an acknowledgement any more.
        crowd.agree(&seats)?;
        std::thread::sleep(running.settles_in());
        let after = pss_kib(running.id())?;
        progress.say(&format!("{after} KiB after"));
        let each = after.saturating_sub(before) as f64 / seats.len() as f64;
        let figures = vec![
            Figure::new("KiB per session", each),
            Figure::new("sessions", seats.len() as f64),
            Figure::new("KiB before", before as f64),
            Figure::new("KiB after", after as f64),
        ];
        // They do not take leave: the server is stopped next, and the peers would need a minute for it.
        Ok(figures)
    }
}

impl Idle {
    fn sign_in(&self, crowd: &mut Crowd<'_>) -> Result<Vec<usize>, String> {
        match &self.sessions {
            Sessions::Bare(sessions) => {
                let of = crowd.accounts();
                let who = (0..*sessions).map(|n| (n % of, format!("load{}", n / of)));
                crowd.sign_in(who, PARALLEL)
            }
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
