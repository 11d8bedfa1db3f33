//! Rosters of 50 contacts: sign-ins that end with one, and changes of them. They are filled first, by the same requests that clients
//! make, so that every server can be measured.

use super::client::{Client, Security};
use super::company::{CONTACTS, GET, PARALLEL};
use super::crowd::Crowd;
use super::report::Figure;
use super::target::{Progress, Running, Scenario, Stopwatch, batching};
use crate::scenarios::RESOURCE;
use crate::scram::Account;

/// What makes a contact or renames it.
fn set(contact: usize, round: usize) -> String {
    format!(
        "<iq type='set' id='s{contact}-{round}'><query xmlns='jabber:iq:roster'>\
         <item jid='capulet.{contact:02}@example.org' name='Tybalt Capulet {round}'>\
         <group>Friends</group></item></query></iq>"
    )
}

/// Requests each client makes one after the other, the next one as the last is answered.
struct Requests {
    /// How many a client makes at most.
    each: usize,
    /// Of each, by its number in the crowd.
    made: Vec<usize>,
    begun: usize,
    answered: usize,
    wanted: usize,
}

impl Requests {
    /// The first of everybody; so many of each and so many in all. `make` gives the text of a client's request with this number.
    fn begin(
        crowd: &mut Crowd<'_>,
        seats: &[usize],
        (each, wanted): (usize, usize),
        make: fn(usize) -> String,
    ) -> Result<Self, String> {
        let last = seats.iter().copied().max().unwrap_or(0);
        let mut requests = Self {
            each,
            made: vec![0; last + 1],
            begun: 0,
            answered: 0,
            wanted,
        };
        for seat in seats {
            requests.next(crowd.client(*seat), make)?;
        }
        Ok(requests)
    }

    fn next(&mut self, client: &mut Client, make: fn(usize) -> String) -> Result<(), String> {
        let made = &mut self.made[client.index()];
        if self.begun == self.wanted || *made == self.each {
            return Ok(());
        }
        self.begun += 1;
        *made += 1;
        client.send(make(*made - 1).as_bytes())
    }

    fn turn(&mut self, crowd: &mut Crowd<'_>, make: fn(usize) -> String) -> Result<(), String> {
        let turned = crowd.turn(|client| {
            for _ in 0..client.take_results()? {
                self.answered += 1;
                self.next(client, make)?;
            }
            Ok(())
        });
        turned.map(drop)
    }

    const fn is_done(&self) -> bool {
        self.answered == self.wanted
    }
}

/// Gives each account that these clients are signed in to its contacts.
fn fill(crowd: &mut Crowd<'_>, seats: &[usize]) -> Result<(), String> {
    let make = |contact| set(contact % CONTACTS, 0);
    let wanted = (CONTACTS, seats.len() * CONTACTS);
    let mut requests = Requests::begin(crowd, seats, wanted, make)?;
    while !requests.is_done() {
        requests.turn(crowd, make)?;
    }
    Ok(())
}

/// A crowd of one session for each of these accounts, by their seats, each with its contacts.
fn filled<'a>(
    accounts: &'a mut [Account],
    running: &Running,
    security: Security,
) -> Result<(Crowd<'a>, Vec<usize>), String> {
    let who = (0..accounts.len()).map(|account| (account, RESOURCE.to_owned()));
    let mut crowd = Crowd::new(accounts, running, security)?;
    let seats = crowd.sign_in(who, PARALLEL)?;
    fill(&mut crowd, &seats)?;
    Ok((crowd, seats))
}

/// Sign-ins, one after another on parallel connections: connect, TLS or not, SCRAM-SHA-256, bind, get the roster, close.
#[derive(Debug)]
pub struct RosterSignIns {
    /// In all.
    pub count: usize,
    /// At a time.
    pub parallel: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for RosterSignIns {
    fn name(&self) -> &'static str {
        match self.security {
            Security::Clear => "roster-clear",
            Security::StartTls(_) => "roster",
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
        let used = accounts.len().min(self.parallel * 2);
        let (mut crowd, _) = filled(&mut accounts[..used], running, self.security())?;
        crowd.leave()?;
        progress.say("rosters are filled");
        self.sign_in_and_out(&mut crowd, used.max(self.count / 10))?;
        let before = running.counters()?;
        let watch = Stopwatch::start(running);
        self.sign_in_and_out(&mut crowd, self.count)?;
        let mut figures = watch.stop(self.count);
        let counted = running.counters()?.since(&before);
        figures.extend(batching(self.count, &counted));
        if let Some(reads) = counted.get("store_reads") {
            let each = reads as f64 / self.count as f64;
            figures.push(Figure::new("store reads each", each));
        }
        Ok(figures)
    }
}

impl RosterSignIns {
    fn sign_in_and_out(&self, crowd: &mut Crowd<'_>, count: usize) -> Result<(), String> {
        let (mut begun, mut ended) = (0, 0);
        while ended < count {
            while begun < count && begun - ended < self.parallel {
                // Who is slow keeps its resource when its account's turn comes again.
                let resource = format!("{RESOURCE}{}", begun / crowd.accounts());
                crowd.connect(begun, &resource)?;
                begun += 1;
            }
            let tally = crowd.turn(|client| match client.take_roster()? {
                Some(CONTACTS) => client.close(),
                Some(other) => Err(format!("{other} contacts, not {CONTACTS}")),
                None => Ok(()),
            })?;
            for index in tally.bound {
                crowd.client(index).send(GET)?;
            }
            ended += tally.closed;
        }
        Ok(())
    }
}

/// Sessions that rename one contact after the other, each the next one as the last is answered. They have asked for their roster, so that
/// they hear of each change.
#[derive(Debug)]
pub struct RosterChanges {
    /// Accounts, one session each.
    pub accounts: usize,
    /// Changes measured; a tenth more goes before.
    pub changes: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for RosterChanges {
    fn name(&self) -> &'static str {
        match self.security {
            Security::Clear => "roster-set-clear",
            Security::StartTls(_) => "roster-set",
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
        let used = accounts.len().min(self.accounts);
        let (mut crowd, seats) = filled(&mut accounts[..used], running, self.security())?;
        let mut waiting = seats.len();
        for seat in &seats {
            crowd.client(*seat).send(GET)?;
        }
        while waiting > 0 {
            crowd.turn(|client| {
                waiting -= usize::from(client.take_roster()?.is_some());
                Ok(())
            })?;
        }
        progress.say("rosters are filled");
        let figures = self.change(&mut crowd, running, &seats)?;
        crowd.leave()?;
        Ok(figures)
    }
}

impl RosterChanges {
    fn change(
        &self,
        crowd: &mut Crowd<'_>,
        running: &Running,
        seats: &[usize],
    ) -> Result<Vec<Figure>, String> {
        let make = |number| set(number % CONTACTS, 1 + number);
        let warm_up = self.changes / 10;
        // At the end of what is measured everybody still waits for an answer.
        let wanted = warm_up + self.changes + seats.len();
        let mut requests = Requests::begin(crowd, seats, (usize::MAX, wanted), make)?;
        while requests.answered < warm_up {
            requests.turn(crowd, make)?;
        }
        let counters = running.counters()?;
        let (watch, from) = (Stopwatch::start(running), requests.answered);
        while requests.answered < warm_up + self.changes {
            requests.turn(crowd, make)?;
        }
        let done = requests.answered - from;
        let mut figures = watch.stop(done);
        figures.extend(batching(done, &running.counters()?.since(&counters)));
        while !requests.is_done() {
            requests.turn(crowd, make)?;
        }
        Ok(figures)
    }
}
