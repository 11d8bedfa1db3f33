//! Sessions that have sent and received 4 KiB and then do nothing: what each keeps of the server's memory.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::Security;
use super::crowd::Crowd;
use super::floor::Kind;
use super::process::pss_kib;
use super::report::Figure;
use super::target::{Progress, Running, Scenario};
use crate::scenarios::message;
use crate::scram::Account;

const PARALLEL: usize = 16;
/// What each session sends to itself and gets back.
const MESSAGES: usize = 4;
const MESSAGE_BYTES: usize = 1024;
/// Until a server has given back what it gives back.
const SETTLE: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub struct Idle {
    /// How many.
    pub sessions: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for Idle {
    fn name(&self) -> &'static str {
        match self.security {
            Security::Clear => "idle-clear",
            Security::StartTls(_) => "idle",
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn floors(&self) -> &'static [Kind] {
        &[Kind::Echo]
    }

    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let mut crowd = Crowd::new(accounts, running, self.security())?;
        // What the first clients make a server load once is not the sessions' share.
        crowd.sign_in((0..PARALLEL).map(|n| (n, "first".to_owned())), PARALLEL)?;
        crowd.leave()?;
        std::thread::sleep(SETTLE);
        let before = pss_kib(running.id())?;
        progress.say(&format!("{before} KiB before"));

        let of = crowd.accounts();
        let who = (0..self.sessions).map(|n| (n % of, format!("load{}", n / of)));
        let seats = crowd.sign_in(who, PARALLEL)?;
        progress.say(&format!("{} sessions", seats.len()));
        Self::exchange(&mut crowd, &seats)?;
        std::thread::sleep(SETTLE);
        let after = pss_kib(running.id())?;
        progress.say(&format!("{after} KiB after"));
        let each = after.saturating_sub(before) as f64 / self.sessions as f64;
        let figures = vec![
            Figure::new("KiB per session", each),
            Figure::new("sessions", self.sessions as f64),
            Figure::new("KiB before", before as f64),
            Figure::new("KiB after", after as f64),
        ];
        // They do not take leave: the server is stopped next, and the peers would need a minute for it.
        Ok(figures)
    }
}

impl Idle {
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
