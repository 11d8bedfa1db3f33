//! Sign-ins of people with contacts, half of whom are on line: connect, TLS or not, SCRAM-SHA-256, bind, get the roster, initial presence,
//! close. One is complete when the roster, the own presence and that of each contact on line have come; and each of these must hear of
//! every coming and going.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::client::{Client, Security};
use super::company::{CONTACTS, Company, GET, PARALLEL};
use super::counters::Counters;
use super::crowd::Crowd;
use super::heard::Heard;
use super::report::Figure;
use super::target::{Progress, Running, Scenario, Stopwatch, batching};
use crate::scenarios::RESOURCE;
use crate::scram::Account;

/// Of each user's contacts.
const ON_LINE: usize = CONTACTS / 2;

const INITIAL: &[u8] = b"<presence><priority>5</priority></presence>";

/// What came of what a session has asked for and said.
#[derive(Debug)]
struct Arrival {
    /// Its own full address.
    address: String,
    roster: Roster,
    echo: Echo,
    /// Contacts that it is still to hear of.
    missing: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Roster {
    Missing,
    Here,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Echo {
    Missing,
    Heard,
}

impl Arrival {
    /// Asks for the roster and says that it is there.
    fn begin(
        client: &mut Client,
        address: String,
        missing: impl Iterator<Item = usize>,
    ) -> Result<Self, String> {
        client.send(GET)?;
        client.send(INITIAL)?;
        Ok(Self {
            address,
            roster: Roster::Missing,
            echo: Echo::Missing,
            missing: missing.collect(),
        })
    }

    /// Passes over what else there is: pushes, questions about capabilities, other sessions of the account.
    fn hear(&mut self, heard: &Heard<'_>, contacts: Option<usize>) -> Result<(), String> {
        if heard.name == "iq" && heard.attribute("id") == Some("r1") {
            let (mutual, all) = heard.contacts();
            if contacts.is_some_and(|wanted| wanted != all || wanted != mutual.len()) {
                return Err(format!("{} contacts of {all}", mutual.len()));
            }
            self.roster = Roster::Here;
        }
        if heard.name == "presence" && heard.attribute("type").is_none() {
            if heard.attribute("from") == Some(&self.address) {
                self.echo = Echo::Heard;
            } else if let Some(contact) = heard.sender() {
                self.missing.remove(&contact);
            }
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.roster == Roster::Here && self.echo == Echo::Heard && self.missing.is_empty()
    }
}

/// These sessions ask for their rosters and say that they are there, and wait for the roster, their own presence and that of the accounts
/// that are to be on line. If it is said how many contacts each has, it must have them.
///
/// # Errors
/// The server does not play along.
pub(super) fn arrive(
    crowd: &mut Crowd<'_>,
    seats: &[usize],
    on_line: &[usize],
    contacts: Option<usize>,
) -> Result<(), String> {
    let mut arrivals = BTreeMap::new();
    for some in seats.chunks(PARALLEL) {
        for seat in some {
            let address = crowd.address_of(*seat);
            let missing = on_line.iter().copied();
            let arrival = Arrival::begin(crowd.client(*seat), address, missing)?;
            arrivals.insert(*seat, arrival);
        }
        while !arrivals.is_empty() {
            crowd.turn(|client| {
                let Some(arrival) = arrivals.get_mut(&client.index()) else {
                    return client.take_stanzas(|_| Ok(()));
                };
                client.take_stanzas(|heard| arrival.hear(heard, contacts))?;
                if arrival.is_complete() {
                    arrivals.remove(&client.index());
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// See the module.
#[derive(Debug)]
pub struct Arrivals {
    /// Who signs in, and whose contacts are on line.
    pub company: Company,
    /// In all.
    pub count: usize,
    /// At a time.
    pub parallel: usize,
    /// With STARTTLS or without TLS.
    pub security: Security,
}

impl Scenario for Arrivals {
    fn name(&self) -> &'static str {
        match self.security {
            Security::Clear => "signin-roster-clear",
            Security::StartTls(_) => "signin-roster",
        }
    }

    fn security(&self) -> Security {
        self.security.clone()
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
        let contacts: Vec<usize> = self.company.contacts.clone().take(ON_LINE).collect();
        let who = contacts.iter().map(|one| (*one, RESOURCE.to_owned()));
        let seats = crowd.sign_in(who, PARALLEL)?;
        arrive(&mut crowd, &seats, &[], None)?;
        let mut coming = Coming {
            users: self.company.users.clone().collect(),
            contacts,
            begun: 0,
            parallel: self.parallel,
        };
        // Nobody of them is in memory yet: each once.
        let users = coming.users.len();
        let before = running.counters()?;
        coming.sign_in_and_out(&mut crowd, users)?;
        let first = running.counters()?.since(&before);
        progress.say(&format!("{users} have been there"));
        coming.sign_in_and_out(&mut crowd, (self.count / 10).saturating_sub(users))?;
        let before = running.counters()?;
        let watch = Stopwatch::start(running);
        coming.sign_in_and_out(&mut crowd, self.count)?;
        let mut figures = watch.stop(self.count);
        let counted = running.counters()?.since(&before);
        figures.extend(batching(self.count, &counted));
        figures.extend(each("loads of the first", users, &first, "loads"));
        figures.extend(each("reads of the first", users, &first, "store_reads"));
        figures.extend(each("loads each", self.count, &counted, "loads"));
        figures.extend(each(
            "store reads each",
            self.count,
            &counted,
            "store_reads",
        ));
        Ok(figures)
    }
}

fn each(name: &'static str, units: usize, counted: &Counters, counter: &str) -> Option<Figure> {
    let count = counted.get(counter)?;
    Some(Figure::new(name, count as f64 / units as f64))
}

/// Who comes and goes.
struct Coming {
    /// Who is not there, the longest first.
    users: VecDeque<usize>,
    /// Who is there and hears of it.
    contacts: Vec<usize>,
    /// Of all laps.
    begun: usize,
    parallel: usize,
}

impl Coming {
    /// So many sign-ins, until every contact has heard of both ends of each.
    fn sign_in_and_out(&mut self, crowd: &mut Crowd<'_>, count: usize) -> Result<(), String> {
        let (mut begun, mut ended) = (0, 0);
        let mut arrivals: BTreeMap<usize, Arrival> = BTreeMap::new();
        let (mut came, mut went) = (0, 0);
        let told = count * self.contacts.len();
        while ended < count || came < told || went < told {
            while begun < count && begun - ended < self.parallel {
                let user = self.users.pop_front().ok_or("nobody is left to come")?;
                // The server may not be through with the last one of its account.
                let resource = format!("{RESOURCE}{}", self.begun);
                crowd.connect(user, &resource)?;
                begun += 1;
                self.begun += 1;
            }
            let tally = crowd.turn(|client| {
                let Some(arrival) = arrivals.get_mut(&client.index()) else {
                    return client.take_stanzas(|heard| {
                        if heard.name == "presence" && heard.sender().is_some() {
                            match heard.attribute("type") {
                                None => came += 1,
                                Some("unavailable") => went += 1,
                                Some(other) => return Err(format!("presence {other}")),
                            }
                        }
                        Ok(())
                    });
                };
                client.take_stanzas(|heard| arrival.hear(heard, Some(CONTACTS)))?;
                if arrival.is_complete() {
                    arrivals.remove(&client.index());
                    client.close()?;
                }
                Ok(())
            })?;
            for index in tally.bound {
                let address = crowd.address_of(index);
                let contacts = self.contacts.iter().copied();
                let arrival = Arrival::begin(crowd.client(index), address, contacts)?;
                arrivals.insert(index, arrival);
            }
            ended += tally.gone.len();
            self.users.extend(tally.gone);
        }
        if came > told || went > told {
            return Err(format!("{came} and {went} presences, not {told}"));
        }
        Ok(())
    }
}
