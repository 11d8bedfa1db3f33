//! Two servers of one make that forward to each other, beside two of another: what a message from an account of the one to an account of the
//! other costs both, or what it costs to set up the links for that.
//!
//! The servers are those of `spec_tests::federation`: under names of their own on loopback, found by a name server of the test's, with
//! certificates of one authority that both require of each other, so that they prove themselves by EXTERNAL over STARTTLS. They log
//! warnings alone and keep no message. Clients have no TLS: what is measured is between the servers.
//!
//! `flow` is the messages, `links` the setting up, `table` what is told of them. Linux only: CPU time is read from /proc.

mod flow;
mod links;
mod outcome;
mod table;

use std::path::PathBuf;

use clap::ValueEnum;
use spec_tests::federation::World;
use spec_tests::federation::plan::{Plan, Program};
use spec_tests::server::Shell;

use crate::load::{Ejabberd, Prosody, Spondee, build};

pub use flow::Flow;
pub use links::Links;
pub use outcome::{Outcome, Unit};
pub use table::Table;

/// Of ours: no stream that carries both ways.
const ONE_WAY_EACH: &str = "s2s_bidi = false";

/// As the other measurements of it have it: its default, the incremental one, does half as much.
const GENERATIONAL: &str = "gc = { mode = \"generational\" }";

/// Whose servers they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Make {
    /// Ours.
    Spondee,
    /// As Debian has it.
    Prosody,
    /// As Debian has it.
    Ejabberd,
}

impl Make {
    /// As the table names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spondee => "Spondee",
            Self::Prosody => "Prosody",
            Self::Ejabberd => "ejabberd",
        }
    }
}

/// How much of what a server says last is shown with a fault.
const TAIL: usize = 2000;

/// What they do.
#[derive(Clone, Copy, Debug)]
pub enum Subject {
    /// Messages over links that are up.
    Flow(Flow),
    /// Links.
    Links(Links),
}

impl Subject {
    const fn unit(self) -> Unit {
        match self {
            Self::Flow(_) => Unit::Messages,
            Self::Links(_) => Unit::Links,
        }
    }

    const fn accounts(self) -> usize {
        match self {
            Self::Flow(flow) => flow.pairs,
            Self::Links(links) => links.accounts(),
        }
    }

    /// Hosts of the second server beside its domain.
    const fn hosts(self) -> usize {
        match self {
            Self::Flow(_) => 0,
            Self::Links(links) => links.hosts,
        }
    }

    /// What comes of it, or what failed, with the end of what each server logged.
    fn measure(self, world: &World<2>, names: &[&str]) -> Result<Outcome, String> {
        let outcome = match self {
            Self::Flow(flow) => flow.measure(world, names),
            Self::Links(links) => links.measure(world, names),
        };
        outcome.map_err(|fault| {
            let logs = world.peers.each_ref().map(|peer| {
                let log = peer.log();
                let from = log.floor_char_boundary(log.len().saturating_sub(TAIL));
                format!("\n--- {} has logged\n{}", peer.domain(), &log[from..])
            });
            fault + &logs.concat()
        })
    }
}

/// Who is measured, and how much.
#[derive(Debug)]
pub struct Measurement {
    /// Whose servers, in this order.
    pub makes: Vec<Make>,
    /// How often each, in turn.
    pub runs: usize,
    /// What they do.
    pub subject: Subject,
    /// Our program, if it is not to be built.
    pub binary: Option<PathBuf>,
}

impl Measurement {
    /// Everything, with `say` told how far it is.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn run(mut self, say: impl Fn(&str)) -> Result<Table, String> {
        self.prepare()?;
        let names: Vec<String> = (0..self.subject.accounts())
            .map(|n| format!("user{n}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut table = Table::new(self.subject.unit(), &self.makes);
        for run in 1..=self.runs {
            let mut makes = self.makes.clone();
            // Who comes first is not always the same.
            if run % 2 == 0 {
                makes.reverse();
            }
            for make in makes {
                let outcome = self.one(make, &names)?;
                say(&format!("{} {run}: {outcome}", make.name()));
                table.add(make, outcome);
            }
        }
        Ok(table)
    }

    fn one(&self, make: Make, names: &[&str]) -> Result<Outcome, String> {
        let [first, second] = ["a.example", "b.example"].map(|domain| self.plan(make, domain));
        let [first, second] = match (self.subject.hosts(), make) {
            (0, _) => [first, second],
            // The others open a stream for each way: ours would go back by the first.
            (below, Make::Spondee) => [
                first.with(ONE_WAY_EACH),
                second.with(ONE_WAY_EACH).hosting(below),
            ],
            (below, Make::Prosody | Make::Ejabberd) => [first, second.hosting(below)],
        };
        let world = World::begin_with([first, second], names)?;
        self.subject.measure(&world, names)
    }

    fn plan(&self, make: Make, domain: &str) -> Plan {
        let program = match make {
            Make::Spondee => Program::Spondee(Shell::Mio),
            Make::Prosody => Program::Prosody,
            Make::Ejabberd => Program::Ejabberd,
        };
        let plan = Plan::new(program, domain).quietly();
        match (make, &self.binary) {
            (Make::Spondee, Some(binary)) => plan.run_by(binary.clone()),
            (Make::Prosody, _) => plan.with(GENERATIONAL),
            (Make::Spondee | Make::Ejabberd, _) => plan,
        }
    }

    /// Everything that can be known to fail, before anything is measured.
    fn prepare(&mut self) -> Result<(), String> {
        for make in &self.makes {
            match make {
                Make::Spondee => Spondee::check(self.binary.as_deref())?,
                Make::Prosody => Prosody::check()?,
                Make::Ejabberd => drop(Ejabberd::check()?),
            }
        }
        if self.makes.contains(&Make::Spondee) && self.binary.is_none() {
            self.binary = Some(build(Shell::Mio)?);
        }
        Ok(())
    }
}
