//! Loads servers and tells what they do with a second of their CPU time. See the crate's page.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use benches::load::{
    Arrivals, Chat, Company, Ejabberd, Floor, FloorArguments, Idle, ManyArguments, PresenceChanges,
    Progress, Prosody, Report, RosterChanges, RosterSignIns, Scenario, Security, Sessions, SignIns,
    Spondee, Target, measure_many, svg,
};
use benches::scram::Account;
use clap::{Parser, Subcommand, ValueEnum};
use spondee_shell_common::limits::shell::raise_descriptors;

/// What Spondee allows each account by default, as `--accounts` says.
const ACCOUNT_SESSIONS: usize = 50;

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
    /// Changes of presence of one run, each to 50 contacts.
    #[arg(long, default_value_t = 2000)]
    presences: usize,
    /// Changes of presence under way.
    #[arg(long, default_value_t = 1)]
    presence_window: usize,
    /// Idle sessions that have a roster, one for each of as many accounts more.
    #[arg(long, default_value_t = 1000)]
    rosters: usize,
    /// Idle sessions over sockets.
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
    /// The program to measure, instead of the one built from here.
    #[arg(long)]
    binary: Option<PathBuf>,
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
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    Signin,
    SigninClear,
    /// Sign-ins that get a roster of 50 contacts.
    Roster,
    RosterClear,
    /// Changes of such rosters.
    RosterSet,
    RosterSetClear,
    /// Sign-ins that get a roster, say that they are there, and hear of the half of 50 contacts that is on line.
    SigninRoster,
    SigninRosterClear,
    /// Changes of presence of one who has 50 contacts on line.
    Presence,
    PresenceClear,
    Chat,
    ChatClear,
    Idle,
    IdleClear,
    /// Idle sessions with 50 contacts each.
    IdleRoster,
    IdleRosterClear,
    /// Shards and TLS states of Spondee without sockets.
    IdleInProcess,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Server {
    Spondee,
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
    let company = arguments.company();
    let count = company
        .as_ref()
        .map_or_else(|| arguments.ordinary(), Company::end);
    let mut accounts: Vec<Account> = (0..count)
        .map(|n| Account::new(&format!("user{n:04}"), &format!("password {n}")))
        .collect();
    Progress::new("load".to_owned()).say(&format!("making {count} accounts"));
    let targets = arguments
        .target
        .iter()
        .filter_map(|server| arguments.prepare(*server, &accounts).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    let mut report = Report::default();
    report.note("SCRAM-SHA-256, TLS 1.3 and ECDSA P-256 everywhere".to_owned());
    for note in targets.iter().filter_map(|target| target.note()) {
        report.note(note);
    }
    let scenarios = arguments.all(company.as_ref());
    for round in 1..=arguments.runs {
        for (name, scenario) in &scenarios {
            let floors = arguments.floors(scenario.as_ref())?;
            for target in targets.iter().chain(&floors) {
                let progress = Progress::new(format!("{name} {round}, {}", target.name()));
                // Who has contacts takes no part in anything else.
                let used = match scenario.acquainted().is_empty() {
                    true => &mut accounts[..arguments.ordinary()],
                    false => &mut accounts[..],
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
                Server::Prosody => Prosody::check()?,
                Server::Ejabberd => drop(Ejabberd::check()?),
                Server::Floor => {}
            }
        }
        let is_wanted = |kind: fn(&Name) -> bool| self.scenarios.iter().any(kind);
        let pairs = self.scale.iter().copied().chain([1]).max().unwrap_or(1) * self.pairs;
        if is_wanted(Name::is_chat) && pairs * 2 > self.accounts {
            return Err(format!("{pairs} pairs need twice as many accounts"));
        }
        // One for each session here and one in the server, which inherits the limit.
        let descriptors = raise_descriptors();
        if is_wanted(Name::is_idle) {
            if descriptors < self.sessions.saturating_add(100) {
                return Err(format!(
                    "{} sessions are more than the {descriptors} files this process may open",
                    self.sessions
                ));
            }
            if self.sessions > self.accounts * ACCOUNT_SESSIONS {
                return Err(format!(
                    "{} sessions are more than {ACCOUNT_SESSIONS} for each account",
                    self.sessions
                ));
            }
        }
        // It is written last of all.
        match self.plot.as_deref().and_then(Path::parent) {
            Some(directory) if !directory.as_os_str().is_empty() && !directory.is_dir() => {
                Err(format!("{}: no such directory", directory.display()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A server with these accounts; `None` for floors, which depend on the scenario.
    fn prepare(
        &self,
        server: Server,
        accounts: &[Account],
    ) -> Result<Option<Box<dyn Target>>, String> {
        Ok(match server {
            Server::Spondee => {
                let binary = self.binary.clone();
                let prepared = Spondee::prepare(binary, self.threads, accounts)?;
                Some(Box::new(prepared))
            }
            Server::Prosody => Some(Box::new(Prosody::prepare(accounts)?)),
            Server::Ejabberd => Some(Box::new(Ejabberd::prepare(accounts)?)),
            Server::Floor => None,
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

    /// Accounts of the scenarios without contacts.
    fn ordinary(&self) -> usize {
        self.accounts.max(1)
    }

    /// The accounts behind those, if any scenario needs them.
    fn company(&self) -> Option<Company> {
        let needs = |kind: fn(&Name) -> bool| self.scenarios.iter().any(kind);
        let circle = if needs(Name::is_circle) {
            self.rosters
        } else {
            0
        };
        needs(Name::is_acquainted).then(|| Company::new(self.ordinary(), 2 * self.parallel, circle))
    }

    /// All scenarios over sockets, by the names they have in the report.
    fn all(&self, company: Option<&Company>) -> Vec<(String, Box<dyn Scenario>)> {
        let mut all = Vec::new();
        for name in &self.scenarios {
            let acquainted = company.and_then(|company| self.acquainted(*name, company.clone()));
            let one = acquainted.or_else(|| self.scenario(*name, 1));
            all.extend(one.map(|one| (one.name().to_owned(), one)));
            for scale in self.scale.iter().filter(|scale| **scale > 1) {
                let scaled = self.scenario(*name, *scale).filter(|_| name.is_scaled());
                all.extend(scaled.map(|one| (format!("{} ×{scale}", one.name()), one)));
            }
        }
        all
    }

    /// A scenario with contacts.
    fn acquainted(&self, name: Name, company: Company) -> Option<Box<dyn Scenario>> {
        let arrivals = |company, security| Arrivals {
            company,
            count: self.sign_ins,
            parallel: self.parallel,
            security,
        };
        let changes = |company, security| PresenceChanges {
            company,
            window: self.presence_window.max(1),
            changes: self.presences,
            security,
        };
        let idle = |company, security| Idle {
            sessions: Sessions::WithRosters(company),
            security,
        };
        Some(match name {
            Name::SigninRoster => Box::new(arrivals(company, Security::start_tls())),
            Name::SigninRosterClear => Box::new(arrivals(company, Security::Clear)),
            Name::Presence => Box::new(changes(company, Security::start_tls())),
            Name::PresenceClear => Box::new(changes(company, Security::Clear)),
            Name::IdleRoster => Box::new(idle(company, Security::start_tls())),
            Name::IdleRosterClear => Box::new(idle(company, Security::Clear)),
            Name::Signin
            | Name::SigninClear
            | Name::Roster
            | Name::RosterClear
            | Name::RosterSet
            | Name::RosterSetClear
            | Name::Chat
            | Name::ChatClear
            | Name::Idle
            | Name::IdleClear
            | Name::IdleInProcess => return None,
        })
    }

    /// One without.
    fn scenario(&self, name: Name, scale: usize) -> Option<Box<dyn Scenario>> {
        let sign_ins = |security| SignIns {
            count: self.sign_ins * scale,
            parallel: self.parallel * scale,
            security,
        };
        let chat = |security| Chat {
            pairs: self.pairs * scale,
            window: self.window,
            messages: self.messages * scale,
            security,
        };
        let rosters = |security| RosterSignIns {
            count: self.sign_ins * scale,
            parallel: self.parallel * scale,
            security,
        };
        let changes = |security| RosterChanges {
            accounts: 2 * self.pairs * scale,
            changes: self.changes * scale,
            security,
        };
        let idle = |security| Idle {
            sessions: Sessions::Bare(self.sessions),
            security,
        };
        Some(match name {
            Name::Signin => Box::new(sign_ins(Security::start_tls())),
            Name::SigninClear => Box::new(sign_ins(Security::Clear)),
            Name::Roster => Box::new(rosters(Security::start_tls())),
            Name::RosterClear => Box::new(rosters(Security::Clear)),
            Name::RosterSet => Box::new(changes(Security::start_tls())),
            Name::RosterSetClear => Box::new(changes(Security::Clear)),
            Name::Chat => Box::new(chat(Security::start_tls())),
            Name::ChatClear => Box::new(chat(Security::Clear)),
            Name::Idle => Box::new(idle(Security::start_tls())),
            Name::IdleClear => Box::new(idle(Security::Clear)),
            Name::SigninRoster
            | Name::SigninRosterClear
            | Name::Presence
            | Name::PresenceClear
            | Name::IdleRoster
            | Name::IdleRosterClear
            | Name::IdleInProcess => return None,
        })
    }
}

impl Name {
    /// Whether it needs accounts with contacts.
    const fn is_acquainted(&self) -> bool {
        matches!(
            self,
            Self::SigninRoster
                | Self::SigninRosterClear
                | Self::Presence
                | Self::PresenceClear
                | Self::IdleRoster
                | Self::IdleRosterClear
        )
    }

    const fn is_circle(&self) -> bool {
        matches!(self, Self::IdleRoster | Self::IdleRosterClear)
    }

    const fn is_idle(&self) -> bool {
        matches!(self, Self::Idle | Self::IdleClear)
    }

    const fn is_chat(&self) -> bool {
        matches!(self, Self::Chat | Self::ChatClear)
    }

    const fn is_in_process(&self) -> bool {
        matches!(self, Self::IdleInProcess)
    }

    /// Whether `--scale` is about it.
    const fn is_scaled(self) -> bool {
        !self.is_idle() && !self.is_in_process()
    }
}
