//! Loads servers and tells what they do with a second of their CPU time. See the crate's page.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use benches::load::{
    Chat, Ejabberd, Floor, FloorArguments, Idle, Progress, Prosody, Report, Scenario, Security,
    SignIns, Spondee, Target,
};
use benches::scram::Account;
use clap::{Parser, Subcommand, ValueEnum};
use spondee_shell_common::limits::shell::raise_descriptors;

/// Starts servers with fresh data, loads them over loopback, and prints medians as Markdown tables.
///
/// Rates are for each second of CPU time of the server's whole process tree; those per second of wall time stand beside them.
#[derive(Debug, Parser)]
#[command(name = "load", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to measure.
    #[arg(value_enum, default_values = ["signin", "signin-clear", "chat", "idle"])]
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
    /// Pairs of chatting accounts.
    #[arg(long, default_value_t = 50)]
    pairs: usize,
    /// Messages under way in each pair.
    #[arg(long, default_value_t = 10)]
    window: usize,
    /// Messages of one run, over all pairs.
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// Idle sessions.
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Accounts to make. An account has 50 sessions at most.
    #[arg(long, default_value_t = 200)]
    accounts: usize,
    /// Threads of Spondee.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// The program to measure, instead of the one built from here.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Print every run as JSON instead of the tables.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A floor's process: what a round starts for itself.
    #[command(hide = true)]
    Floor(FloorArguments),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    Signin,
    SigninClear,
    Chat,
    ChatClear,
    Idle,
    IdleClear,
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
    // Two for each session, one here and one in the server, which inherits the limit.
    let descriptors = raise_descriptors();
    if descriptors <= arguments.sessions {
        return Err(format!(
            "{} sessions are more than the {descriptors} files this process may open",
            arguments.sessions
        ));
    }
    let count = arguments.accounts.max(1);
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
    let scenarios: Vec<_> = arguments
        .scenarios
        .iter()
        .map(|name| arguments.scenario(*name))
        .collect();
    for round in 1..=arguments.runs {
        for scenario in &scenarios {
            let floors = arguments.floors(scenario.as_ref())?;
            for target in targets.iter().chain(&floors) {
                let label = format!("{} {round}, {}", scenario.name(), target.name());
                let progress = Progress::new(label);
                let sample = scenario.run(target.as_ref(), &mut accounts, &progress)?;
                progress.say(&sample.headline());
                report.add(sample);
            }
        }
    }
    if arguments.json {
        return Ok(format!("{:#}\n", report.json()));
    }
    Ok(report.markdown())
}

impl Arguments {
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

    fn scenario(&self, name: Name) -> Box<dyn Scenario> {
        let sign_ins = |security| SignIns {
            count: self.sign_ins,
            parallel: self.parallel,
            security,
        };
        let chat = |security| Chat {
            pairs: self.pairs,
            window: self.window,
            messages: self.messages,
            security,
        };
        let idle = |security| Idle {
            sessions: self.sessions,
            security,
        };
        match name {
            Name::Signin => Box::new(sign_ins(Security::start_tls())),
            Name::SigninClear => Box::new(sign_ins(Security::Clear)),
            Name::Chat => Box::new(chat(Security::start_tls())),
            Name::ChatClear => Box::new(chat(Security::Clear)),
            Name::Idle => Box::new(idle(Security::start_tls())),
            Name::IdleClear => Box::new(idle(Security::Clear)),
        }
    }
}
