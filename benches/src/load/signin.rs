//! Sign-ins, one after another on parallel connections: connect, TLS or not, SCRAM-SHA-256 or PLAIN, bind, close.

use super::client::Security;
use super::crowd::Crowd;
use super::floor::Kind;
use super::report::Figure;
use super::target::{By, Progress, Provider, Running, Scenario, Stopwatch, batching};
use crate::scenarios::RESOURCE;
use crate::scram::Account;

/// See the module.
#[derive(Debug)]
pub struct SignIns {
    /// In all.
    pub count: usize,
    /// At a time.
    pub parallel: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
    /// By what; without TLS no password is sent.
    pub by: By,
    /// Where this is kept.
    pub provider: Provider,
}

impl Scenario for SignIns {
    fn name(&self) -> &'static str {
        match (&self.security, self.by, self.provider) {
            (Security::StartTls(_), By::Scram, Provider::Hashed) => "signin",
            (Security::StartTls(_), By::Scram, Provider::Plain) => "signin, passwords kept",
            (Security::StartTls(_), By::Plain, Provider::Hashed) => "signin by PLAIN",
            (Security::StartTls(_), By::Plain, Provider::Plain) => {
                "signin by PLAIN, passwords kept"
            }
            (Security::Clear, _, Provider::Hashed) => "signin-clear",
            (Security::Clear, _, Provider::Plain) => "signin-clear, passwords kept",
        }
    }

    fn provider(&self) -> Provider {
        self.provider
    }

    fn security(&self) -> Security {
        self.security.clone()
    }

    fn floors(&self) -> &'static [Kind] {
        match (&self.security, self.by) {
            // Those have the round trips of SCRAM.
            (_, By::Plain) => &[],
            (Security::Clear, By::Scram) => &[Kind::RoundTrips],
            (Security::StartTls(_), By::Scram) => &[Kind::Handshake, Kind::RoundTrips],
        }
    }

    fn measure(
        &self,
        running: &Running,
        accounts: &mut [Account],
        progress: &Progress,
    ) -> Result<Vec<Figure>, String> {
        let used = accounts.len().min(self.parallel * 2);
        let mut crowd = Crowd::new(&mut accounts[..used], running, self.security())?;
        crowd = crowd.signing_in(self.by);
        // The server's caches are warm, and the generator knows the accounts' keys.
        self.sign_in_and_out(
            &mut crowd,
            used.max(self.count / 10),
            &Progress::new(String::new()),
            usize::MAX,
        )?;
        let counters = running.counters()?;
        let watch = Stopwatch::start(running);
        self.sign_in_and_out(&mut crowd, self.count, progress, (self.count / 4).max(1))?;
        let mut figures = watch.stop(self.count);
        figures.push(Figure::new(
            "CPU seconds per 1000",
            1000.0 / watch.rate(self.count),
        ));
        figures.extend(batching(self.count, &running.counters()?.since(&counters)));
        Ok(figures)
    }
}

impl SignIns {
    fn sign_in_and_out(
        &self,
        crowd: &mut Crowd<'_>,
        count: usize,
        progress: &Progress,
        step: usize,
    ) -> Result<(), String> {
        let (mut begun, mut ended) = (0, 0);
        let mut told = step;
        while ended < count {
            while begun < count && begun - ended < self.parallel {
                crowd.connect(begun, RESOURCE)?;
                begun += 1;
            }
            let tally = crowd.turn(|_| Ok(()))?;
            for index in tally.bound {
                crowd.client(index).close()?;
            }
            ended += tally.closed;
            if ended >= told {
                progress.say(&format!("{ended} of {count} sign-ins"));
                told = told.saturating_add(step);
            }
        }
        Ok(())
    }
}
