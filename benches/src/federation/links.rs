//! Links that are set up all at once: accounts of the first server, which has one domain, ping the hosts of the second, which has many.
//!
//! A ping goes over a link from the first domain to the host, its answer over one from the host to the first domain: servers do not answer on
//! the stream on which they are asked, but by XEP-0288, which no server has here. So each answer proves two links.

use std::time::{Duration, Instant};

use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::Element;
use spec_tests::federation::World;
use spec_tests::federation::peer::Peer;
use spec_tests::federation::plan::{Program, host_below};

use super::outcome::{Outcome, Unit};
use crate::load::Cpu;

/// Hosts that one account pings: ours lets it name twenty new domains in a minute, and the first one names one more.
const OF_ACCOUNT: usize = 10;

/// Each ping leads to one there and one back.
const LINKS: usize = 2;

/// Servers with hundreds of hosts have something to do yet when they listen.
const SETTLES: Duration = Duration::from_secs(3);

/// How long all of it may take: more than one answer does.
const WITHIN: Duration = Duration::from_secs(3 * PATIENCE.as_secs());

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    /// Hosts of the second server, below its domain.
    pub hosts: usize,
}

impl Links {
    /// Accounts that it takes on the first server.
    #[must_use]
    pub const fn accounts(&self) -> usize {
        self.hosts.div_ceil(OF_ACCOUNT)
    }

    /// Between these servers, on the first of which there are these accounts.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn measure(&self, world: &World<2>, names: &[&str]) -> Result<Outcome, String> {
        let [first, second] = &world.peers;
        let mut clients = Vec::new();
        for name in names.iter().take(self.accounts()) {
            clients.push(first.sign_in(name)?.0);
        }
        std::thread::sleep(SETTLES);
        // What is done once in the life of a server is not what is measured.
        if let Some(client) = clients.first_mut() {
            client.send(&ping(second.domain()))?;
            expect_answer(client, Instant::now() + WITHIN)?;
        }
        let hosts: Vec<String> = (0..self.hosts)
            .map(|number| host_below(second.domain(), number))
            .collect();
        let parts = || hosts.chunks(OF_ACCOUNT);
        let ids = [first.id(), second.id()];
        let (begun, before) = (Instant::now(), ids.map(Cpu::of));
        for (client, part) in clients.iter_mut().zip(parts()) {
            let pings: String = part.iter().map(|host| ping(host)).collect();
            client.send(&pings)?;
        }
        for (client, part) in clients.iter_mut().zip(parts()) {
            for _ in part {
                expect_answer(client, begun + WITHIN)?;
            }
        }
        let (wall, after) = (begun.elapsed(), ids.map(Cpu::of));
        let count = LINKS * self.hosts;
        for peer in &world.peers {
            check(peer, self.hosts)?;
        }
        let cpu = after.iter().zip(&before);
        Ok(Outcome {
            unit: Unit::Links,
            count,
            cpu: cpu.map(|(after, before)| after.since(before)).sum(),
            wall,
        })
    }
}

fn ping(host: &str) -> String {
    format!("<iq type='get' to='{host}' id='{host}'><ping xmlns='urn:xmpp:ping'/></iq>")
}

fn expect_answer(client: &mut Client, deadline: Instant) -> Result<(), String> {
    let left = deadline.saturating_duration_since(Instant::now());
    let is_answer = |element: &Element| {
        let id = element.attribute("id");
        id.is_some() && id == element.attribute("from")
    };
    let answer = client.next_where(left, is_answer)?;
    match answer.attribute("type") {
        Some("result") => Ok(()),
        _ => Err(format!("a ping is not answered: {answer}")),
    }
}

/// Whether it has set up as many as is said, and by the method that is said: ours tells in its log. The others are without dialback, so that
/// EXTERNAL is all that is left to them, and log what is wrong alone.
fn check(peer: &Peer, count: usize) -> Result<(), String> {
    match peer.plan().program {
        Program::Prosody | Program::Ejabberd => return Ok(()),
        Program::Spondee(_) => {}
    }
    let log = peer.log();
    let up = log.lines().filter(|line| line.contains("link is up"));
    let (external, other): (Vec<&str>, Vec<&str>) = up.partition(|line| line.contains("EXTERNAL"));
    // And those of the first ping.
    match (external.len() == count + 1, other.first()) {
        (true, None) => Ok(()),
        (false, None) => Err(format!(
            "{} has {} links in place of {count}",
            peer.domain(),
            external.len()
        )),
        (_, Some(line)) => Err(format!("a link is proven otherwise: {line}")),
    }
}
