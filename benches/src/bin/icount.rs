//! Counts the instructions of the core's scenarios under callgrind and compares them with `benches/icount.txt`: unlike times, they are
//! the same on a busy machine.
//!
//! `cargo icount` fails if one of them has become dearer by more than three in a hundred; `cargo icount --write` sets a new baseline, for a
//! commit that says why.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use benches::scenarios::{Arrive, Broadcast, Managed, Page, Resume, Route, Scan, SignIn};
use clap::{Parser, ValueEnum};
use spondee_core::archive::Policy;

/// How much dearer a scenario may become before somebody must say why.
const TOLERANCE: f64 = 0.03;

/// Runs of a scenario in one count and in the other: what is paid once falls out of the difference.
const FEW: u32 = 20;
const MANY: u32 = 120;

#[derive(Debug, Parser)]
#[command(
    about = "Counts instructions of the core under callgrind and compares them with benches/icount.txt"
)]
struct Options {
    /// Make what is counted now the baseline.
    #[arg(long)]
    write: bool,
    /// Do it so often and end: what a count runs under valgrind.
    #[arg(long, num_args = 2, value_names = ["SCENARIO", "TIMES"], hide = true)]
    run: Option<Vec<String>>,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Scenario {
    /// A chat message through the scanner.
    Scan,
    /// A whole sign-in, without TLS and PBKDF2.
    SignIn,
    /// Ten messages in a read, from one session to another of the same shard.
    SameShard,
    /// The same to another shard.
    CrossShard,
    /// Ten messages to another shard, archived for both.
    Archived,
    /// Ten messages to another shard, of which another session of each side has a copy.
    Carbon,
    /// Ten messages to who is away, on another shard.
    OfflineStored,
    /// The same, archived for both.
    OfflineStoredArchived,
    /// A page of fifty messages, asked for and written.
    Page,
    /// One message to fifty sessions of another shard.
    FanOut,
    /// A presence to fifty contacts on two shards.
    Presence,
    /// The same to contacts whose clients are inactive.
    CsiHeld,
    /// Ten messages to another shard between sessions under stream management, asked for once and acknowledged by both sides.
    SmChat,
    /// A session that loses its connection and is resumed, without TLS and PBKDF2.
    Resume,
    /// A sign-in with the load of the account, its roster of fifty contacts, presence of and to the half of them, and the end of it.
    Arrive,
}

impl Scenario {
    fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn run(self, times: u32) {
        match self {
            Self::Scan => {
                let mut scan = Scan::chat();
                (0..times).for_each(|_| drop(black_box(scan.run())));
            }
            Self::SignIn => {
                let sign_in = SignIn::new();
                for _ in 0..times {
                    black_box(sign_in.run(&mut sign_in.server()));
                }
            }
            Self::SameShard => route(Route::same_shard(10), times),
            Self::CrossShard => route(Route::cross_shard(10), times),
            Self::Archived => route(Route::archived(10), times),
            Self::Carbon => route(Route::copied(10), times),
            Self::OfflineStored => route(Route::offline(10, Policy::Never), times),
            Self::OfflineStoredArchived => route(Route::offline(10, Policy::Always), times),
            Self::Page => {
                let mut page = Page::new();
                repeat(times, || page.run());
            }
            Self::FanOut => route(Route::fan_out(50), times),
            Self::Presence => {
                let mut broadcast = Broadcast::new();
                repeat(times, || broadcast.run());
            }
            Self::CsiHeld => {
                let mut broadcast = Broadcast::held();
                repeat(times, || broadcast.run());
            }
            Self::SmChat => {
                let mut managed = Managed::new(10);
                repeat(times, || managed.run());
            }
            Self::Resume => {
                let mut resume = Resume::new();
                repeat(times, || resume.run());
            }
            Self::Arrive => {
                let mut arrive = Arrive::new();
                repeat(times, || arrive.run());
            }
        }
    }
}

fn route(mut route: Route, times: u32) {
    repeat(times, || route.run());
}

fn repeat(times: u32, mut run: impl FnMut() -> usize) {
    for _ in 0..times {
        black_box(run());
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match &options.run {
        Some(run) => run_one(run),
        None => count_all().and_then(|counts| {
            let with = toolchain()?;
            if options.write {
                write_baseline(&counts, &with)?;
            }
            judge(&counts, &read_baseline()?, &with)
        }),
    };
    match done {
        Ok(code) => code,
        Err(fault) => {
            println!("icount: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run_one(run: &[String]) -> Result<ExitCode, String> {
    let [name, times] = run else {
        return Err("which scenario, and how often?".to_owned());
    };
    let scenario = Scenario::from_str(name, false)?;
    scenario.run(times.parse().map_err(|_| format!("{times} is no number"))?);
    Ok(ExitCode::SUCCESS)
}

fn count_all() -> Result<BTreeMap<String, f64>, String> {
    let mut counts = BTreeMap::new();
    for scenario in Scenario::value_variants() {
        let each = (count(*scenario, MANY)? - count(*scenario, FEW)?) / f64::from(MANY - FEW);
        counts.insert(scenario.name(), each.round());
    }
    Ok(counts)
}

fn write_baseline(counts: &BTreeMap<String, f64>, with: &str) -> Result<(), String> {
    let file = baseline_file();
    let mut text = format!("# {with}\n");
    for (name, count) in counts {
        writeln!(text, "{name} {count}").map_err(|e| e.to_string())?;
    }
    fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))
}

fn read_baseline() -> Result<String, String> {
    let file = baseline_file();
    fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))
}

fn judge(counts: &BTreeMap<String, f64>, baseline: &str, with: &str) -> Result<ExitCode, String> {
    let mut lines = baseline.lines();
    let made_with = lines.next().and_then(|line| line.strip_prefix("# "));
    let before: BTreeMap<&str, f64> = lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();
    println!("| scenario | instructions | before | |\n|---|---:|---:|---:|");
    let mut dearer = Vec::new();
    for (name, count) in counts {
        let Some(before) = before.get(name.as_str()) else {
            return Err(format!(
                "{name} is not in the baseline: run `cargo icount --write`"
            ));
        };
        let change = count / before - 1.0;
        println!("| {name} | {count} | {before} | {:+.1} % |", change * 100.0);
        if change > TOLERANCE {
            dearer.push(name.as_str());
        }
    }
    if made_with != Some(with) {
        println!(
            "Not judged: the baseline was counted with {}, these with {with}.",
            made_with.unwrap_or("something unknown")
        );
        return Ok(ExitCode::SUCCESS);
    }
    if dearer.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(format!(
        "dearer by more than {} %: {}. Find out why; if it must be so, `cargo icount --write` and say why in the commit",
        TOLERANCE * 100.0,
        dearer.join(", ")
    ))
}

/// Instructions of a whole process that runs the scenario so often.
///
/// The program is named from its own directory: its arguments are in its heap, and by a path longer than 24 bytes what lies behind them
/// moved, for which the allocator took up to 5 % of a scenario more.
fn count(scenario: Scenario, times: u32) -> Result<f64, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let (Some(directory), Some(name)) = (own.parent(), own.file_name()) else {
        return Err(format!("{}: no program", own.display()));
    };
    let output = Command::new("valgrind")
        .current_dir(directory)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(Path::new(".").join(name))
        .args(["--run", &scenario.name(), &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("valgrind: {e}; it is needed (`apt install valgrind`)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok());
    match (output.status.success(), collected) {
        (true, Some(count)) => Ok(count),
        (_, _) => Err(format!(
            "valgrind did not count {}: {said}",
            scenario.name()
        )),
    }
}

/// What the counts depend on besides the code.
fn toolchain() -> Result<String, String> {
    let first = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        let output = output.map_err(|e| format!("{program}: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        Ok::<_, String>(words.join(" "))
    };
    let rustc = first("rustc")?;
    let valgrind = first("valgrind")?;
    Ok(format!("{rustc}, {valgrind}, {}", std::env::consts::ARCH))
}

fn baseline_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("icount.txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(scan: f64) -> BTreeMap<String, f64> {
        [("scan".to_owned(), scan)].into()
    }

    #[test]
    fn what_is_dearer_fails_unless_the_baseline_is_of_another_toolchain() {
        let baseline = "# here\nscan 1000\n";
        assert!(judge(&counts(1029.0), baseline, "here").is_ok());
        assert!(judge(&counts(900.0), baseline, "here").is_ok());
        let fault = judge(&counts(1031.0), baseline, "here").unwrap_err();
        assert!(fault.contains("scan"), "{fault}");
        assert!(judge(&counts(1031.0), baseline, "elsewhere").is_ok());
        assert!(judge(&counts(1.0), "# here\n", "here").is_err());
    }

    #[test]
    fn every_scenario_runs_by_its_name() {
        for scenario in Scenario::value_variants() {
            run_one(&[scenario.name(), "1".to_owned()]).unwrap();
        }
    }
}
