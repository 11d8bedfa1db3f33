//! Loads servers and tells what they do with a second of their CPU time. See the crate's page.

mod work;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use benches::load::{
    By, Ejabberd, Floor, FloorArguments, ManyArguments, Progress, Prosody, Provider, Report,
    RushArguments, Scenario, Spondee, Storage, StrangersArguments, Target, measure_many, svg,
};
use benches::scram::Account;
use clap::{Parser, Subcommand, ValueEnum};
use spondee_shell_common::limits::shell::raise_descriptors;

use crate::work::Name;

/// What Spondee allows each account by default, as `--accounts` says.
const ACCOUNT_SESSIONS: usize = 50;

/// And of these without a connection.
const ACCOUNT_ASLEEP: usize = 10;

/// Starts servers with fresh data, loads them over loopback, and prints medians as Markdown tables.
///
/// Rates are for each second of CPU time of the server's whole process tree; those per second of wall time stand beside them.
#[derive(Debug, Parser)]
#[command(name = "load", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to measure.
    #[arg(value_enum, default_values = ["signin", "signin-clear", "roster", "roster-set", "chat", "idle", "idle-clear"])]
    scenarios: Vec<Name>,
    /// On which servers; they take turns. Prosody and ejabberd must be installed.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["spondee", "floor"])]
    target: Vec<Server>,
    /// How often each is measured, round by round.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Sign-ins of one run.
    #[arg(long, default_value_t = 2000)]
    sign_ins: usize,
    /// Sign-ins at a time.
    #[arg(long, default_value_t = 16)]
    parallel: usize,
    /// Changes of rosters of one run, over all accounts: as many of these as chat.
    #[arg(long, default_value_t = 10_000)]
    changes: usize,
    /// Pairs of chatting accounts.
    #[arg(long, default_value_t = 50)]
    pairs: usize,
    /// Messages under way in each pair.
    #[arg(long, default_value_t = 10)]
    window: usize,
    /// Messages of one run, over all pairs.
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// Messages of one run to people who are away, over as many as there are pairs.
    #[arg(long, default_value_t = 20_000)]
    stored: usize,
    /// Pages of one run, of 50 messages each.
    #[arg(long, default_value_t = 1000)]
    pages: usize,
    /// Messages in each archive that is read in pages.
    #[arg(long, default_value_t = 1000)]
    archived: usize,
    /// Accounts that read their archives, two for each conversation.
    #[arg(long, default_value_t = 20)]
    readers: usize,
    /// Messages in the one archive that is large.
    #[arg(long, default_value_t = 1_000_000)]
    big_messages: usize,
    /// Contacts of its owner.
    #[arg(long, default_value_t = 5000)]
    big_contacts: usize,
    /// Sign-ins and pages of it.
    #[arg(long, default_value_t = 200)]
    big_count: usize,
    /// Changes of presence of one run, each to 50 contacts.
    #[arg(long, default_value_t = 2000)]
    presences: usize,
    /// Changes of presence under way.
    #[arg(long, default_value_t = 1)]
    presence_window: usize,
    /// Idle sessions that have a roster, one for each of as many accounts more.
    #[arg(long, default_value_t = 1000)]
    rosters: usize,
    /// Idle sessions over sockets, and those that lose their connections and are resumed.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Idle sessions in process, once in all.
    #[arg(long, default_value_t = 100_000)]
    sessions_in_process: usize,
    /// Accounts to make. An account has 50 sessions at most.
    #[arg(long, default_value_t = 1000)]
    accounts: usize,
    /// Sign-ins, rosters and chat also with so many times the work and the connections: whether the cost of each stays the same.
    #[arg(long, value_delimiter = ',')]
    scale: Vec<usize>,
    /// Threads of Spondee.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What Spondee and Prosody keep of passwords; all but sign-ins are measured where they keep keys.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["hashed"])]
    provider: Vec<Provider>,
    /// By what clients sign in, where that is measured.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["scram"])]
    mechanism: Vec<By>,
    /// Where the peers keep messages.
    #[arg(long, value_enum, default_value = "own")]
    storage: Storage,
    /// The program to measure, instead of the one built from here.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// The same of the one on smol.
    #[arg(long)]
    smol_binary: Option<PathBuf>,
    /// An older program of Spondee: both take turns, and what the one does is divided by what the other did in the same round.
    #[arg(long)]
    before: Option<PathBuf>,
    /// Print every run as JSON instead of the tables.
    #[arg(long)]
    json: bool,
    /// Draw the figures that count into this file, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A floor's process: what a round starts for itself.
    #[command(hide = true)]
    Floor(FloorArguments),
    /// The process of the sessions in process.
    #[command(hide = true)]
    InProcess(ManyArguments),
    /// Everybody at once, where each sign-in is work for a worker: how long it takes, and what it takes of memory.
    Rush(RushArguments),
    /// No load: whether a stranger learns from how long refusals take who has an account, and what is kept of its password.
    Strangers(StrangersArguments),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Server {
    Spondee,
    /// The same on the smol executor.
    SpondeeSmol,
    Prosody,
    Ejabberd,
    /// What no server can do less than.
    Floor,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Floor(floor)) => floor.serve().map(|()| String::new()),
        Some(Command::InProcess(many)) => many.run(),
        Some(Command::Rush(rush)) => rush.run(),
        Some(Command::Strangers(strangers)) => strangers.run(),
        None => run(&arguments),
    };
    match done {
        Ok(text) => {
            // Whoever asked may have left.
            let _ = write!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "load: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<String, String> {
    arguments.check()?;
    let parties = arguments.parties();
    let count = parties.end();
    let mut accounts: Vec<Account> = (0..count)
        .map(|n| Account::new(&format!("user{n:04}"), &format!("password {n}")))
        .collect();
    Progress::new("load".to_owned()).say(&format!("making {count} accounts"));
    let targets = arguments.targets(&accounts)?;
    let mut report = Report::default();
    report.note(
        "SCRAM-SHA-256 where nothing else is said, TLS 1.3 and ECDSA P-256 everywhere".to_owned(),
    );
    let mut notes: Vec<_> = targets.iter().filter_map(|target| target.note()).collect();
    notes.dedup();
    notes.into_iter().for_each(|note| report.note(note));
    let scenarios = arguments.all(&parties);
    for round in 1..=arguments.runs {
        for (name, scenario) in &scenarios {
            let floors = arguments.floors(scenario.as_ref())?;
            let mut all: Vec<_> = targets.iter().chain(&floors).collect();
            // Who comes first is not always the same.
            if round % 2 == 0 {
                all.reverse();
            }
            for target in all
                .into_iter()
                .filter(|target| scenario.is_for(target.as_ref()))
            {
                let progress = Progress::new(format!("{name} {round}, {}", target.name()));
                // Of whom something is kept takes no part in anything else.
                let used = match scenario.is_apart() {
                    true => &mut accounts[..],
                    false => &mut accounts[..arguments.ordinary()],
                };
                let mut sample = scenario.run(target.as_ref(), used, &progress)?;
                progress.say(&sample.headline());
                sample.scenario.clone_from(name);
                report.add(sample);
            }
        }
    }
    if arguments.scenarios.iter().any(Name::is_in_process) {
        let progress = Progress::new("idle-in-process".to_owned());
        let sample = measure_many(arguments.sessions_in_process, &progress)?;
        progress.say(&sample.headline());
        report.add(sample);
    }
    if let Some(path) = &arguments.plot {
        std::fs::write(path, svg(&report)).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if arguments.json {
        return Ok(format!("{:#}\n", report.json()));
    }
    Ok(report.markdown())
}

impl Arguments {
    /// Everything that can be known to fail, before the server is built and anything is measured.
    fn check(&self) -> Result<(), String> {
        for server in &self.target {
            match server {
                Server::Spondee => Spondee::check(self.binary.as_deref())?,
                Server::SpondeeSmol => Spondee::check(self.smol_binary.as_deref())?,
                Server::Prosody => Prosody::check()?,
                Server::Ejabberd => drop(Ejabberd::check()?),
                Server::Floor => {}
            }
        }
        Spondee::check(self.before.as_deref())?;
        let is_wanted = |kind: fn(&Name) -> bool| self.scenarios.iter().any(kind);
        if !self.provider.contains(&Provider::Hashed) && is_wanted(|name| !name.is_sign_in()) {
            return Err(
                "all but sign-ins are measured where keys are kept: --provider hashed,plain"
                    .to_owned(),
            );
        }
        let pairs = self.scale.iter().copied().chain([1]).max().unwrap_or(1) * self.pairs;
        if is_wanted(Name::is_pairs) && pairs * 2 > self.accounts {
            return Err(format!("{pairs} pairs need twice as many accounts"));
        }
        // One for each session here and one in the server, which inherits the limit.
        let descriptors = raise_descriptors();
        let fit = |is_wanted: bool, sessions: usize, of_account: usize| {
            if is_wanted && descriptors < sessions.saturating_add(100) {
                return Err(format!(
                    "{sessions} sessions are more than the {descriptors} files this process may open"
                ));
            }
            if is_wanted && sessions > self.accounts.saturating_mul(of_account) {
                return Err(format!(
                    "{sessions} sessions are more than {of_account} for each account"
                ));
            }
            Ok(())
        };
        fit(is_wanted(Name::is_circle), self.rosters, usize::MAX)?;
        fit(is_wanted(Name::is_idle), self.sessions, ACCOUNT_SESSIONS)?;
        fit(is_wanted(Name::is_resume), self.sessions, ACCOUNT_ASLEEP)?;
        // It is written last of all.
        match self.plot.as_deref().and_then(Path::parent) {
            Some(directory) if !directory.as_os_str().is_empty() && !directory.is_dir() => {
                Err(format!("{}: no such directory", directory.display()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// All servers with these accounts, but for floors, which depend on the scenario.
    fn targets(&self, accounts: &[Account]) -> Result<Vec<Box<dyn Target>>, String> {
        let mut targets = Vec::new();
        for server in &self.target {
            for provider in &self.provider {
                targets.extend(self.prepare(*server, *provider, accounts)?);
            }
        }
        if let Some(before) = &self.before {
            for provider in &self.provider {
                let binary = Some(before.clone());
                let before = Spondee::prepare(binary, self.threads, *provider, accounts)?;
                targets.push(Box::new(before.before()));
            }
        }
        Ok(targets)
    }

    /// A server that keeps this of passwords; `None` where there is none.
    fn prepare(
        &self,
        server: Server,
        provider: Provider,
        accounts: &[Account],
    ) -> Result<Option<Box<dyn Target>>, String> {
        Ok(match (server, provider) {
            (Server::Spondee, _) => {
                let binary = self.binary.clone();
                let prepared = Spondee::prepare(binary, self.threads, provider, accounts)?;
                Some(Box::new(prepared))
            }
            (Server::SpondeeSmol, _) => {
                let binary = self.smol_binary.clone();
                let prepared = Spondee::prepare_smol(binary, self.threads, provider, accounts)?;
                Some(Box::new(prepared))
            }
            (Server::Prosody, _) => {
                let prepared = Prosody::prepare(accounts, self.storage, provider)?;
                Some(Box::new(prepared))
            }
            (Server::Ejabberd, Provider::Hashed) => {
                Some(Box::new(Ejabberd::prepare(accounts, self.storage)?))
            }
            (Server::Ejabberd, Provider::Plain) | (Server::Floor, _) => None,
        })
    }

    fn floors(&self, scenario: &dyn Scenario) -> Result<Vec<Box<dyn Target>>, String> {
        if !self.target.contains(&Server::Floor) {
            return Ok(Vec::new());
        }
        let boxed = |floor| -> Box<dyn Target> { Box::new(floor) };
        let kinds = scenario.floors().iter();
        kinds.map(|kind| Floor::prepare(*kind).map(boxed)).collect()
    }
}
