//! Two threads against one, without sockets: prints Markdown. See `benches::threads`.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::process::ExitCode;
use std::time::Duration;

use benches::threads::{Keeping, Outcome, Share, Threads, Work};
use clap::{Parser, ValueEnum};

#[derive(Debug, Parser)]
#[command(about = "What two threads of a server do beside one, without sockets")]
struct Options {
    /// What is done.
    #[arg(value_enum, default_values_t = [Name::Chat, Name::SigninMemory, Name::Signin])]
    works: Vec<Name>,
    /// Who does it; all if nobody is named.
    #[arg(long, value_enum, value_delimiter = ',')]
    by: Vec<Who>,
    /// How often each, in turn; medians are printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Seconds that count, of each run.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Pairs who chat.
    #[arg(long, default_value_t = 50)]
    pairs: usize,
    /// Messages of a pair that are under way.
    #[arg(long, default_value_t = 10)]
    window: usize,
    /// Who sign in.
    #[arg(long, default_value_t = 2000)]
    accounts: usize,
    /// Of these, so many at a time.
    #[arg(long, default_value_t = 64)]
    clients: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Name {
    /// Messages that arrive.
    Chat,
    /// Sign-ins, from SQLite.
    Signin,
    /// Sign-ins, from memory behind the store's queue.
    SigninMemory,
}

/// Who does it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Who {
    One,
    Apart,
    Own,
    Half,
    Across,
}

impl Who {
    const ALL: [Self; 5] = [Self::One, Self::Apart, Self::Own, Self::Half, Self::Across];

    const fn threads(self) -> Threads {
        match self {
            Self::One => Threads::One,
            Self::Apart => Threads::Apart,
            Self::Own => Threads::Two(Share::None),
            Self::Half => Threads::Two(Share::Half),
            Self::Across => Threads::Two(Share::All),
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::One => "one thread",
            Self::Apart => "two servers of one",
            Self::Own => "two, nothing across",
            Self::Half => "two, half across",
            Self::Across => "two, all across",
        }
    }
}

impl Options {
    const fn work(&self, name: Name) -> Work {
        let keeping = match name {
            Name::Chat => {
                return Work::Chat {
                    pairs: self.pairs,
                    window: self.window,
                };
            }
            Name::Signin => Keeping::Sqlite,
            Name::SigninMemory => Keeping::Memory,
        };
        Work::SignIn {
            accounts: self.accounts,
            clients: self.clients,
            keeping,
        }
    }

    /// Round by round, so that a machine that is busy for a while is so for all.
    fn table(&self, name: Name) -> Result<String, String> {
        let who = match self.by.is_empty() {
            true => Who::ALL.to_vec(),
            false => self.by.clone(),
        };
        let long = Duration::from_secs_f64(self.seconds);
        let mut runs: Vec<Vec<Outcome>> = vec![Vec::new(); who.len()];
        for _ in 0..self.runs.max(1) {
            for (who, runs) in who.iter().zip(&mut runs) {
                runs.push(self.work(name).measure(who.threads(), long)?);
            }
        }
        for runs in &mut runs {
            runs.sort_by(|a, b| a.per_second().total_cmp(&b.per_second()));
        }
        let medians: Vec<Outcome> = runs
            .iter()
            .filter_map(|runs| runs.get(runs.len() / 2).copied())
            .collect();
        let Some(one) = medians.first() else {
            return Err("nothing was measured".to_owned());
        };
        let title = name.to_possible_value();
        let title = title.map_or_else(String::new, |value| value.get_name().to_owned());
        let header = Outcome::header();
        let mut text = format!(
            "| {title} | {header}\n|---|{}\n",
            "---:|".repeat(header.matches('|').count())
        );
        for (who, median) in who.iter().zip(&medians) {
            text.push_str(&format!("| {} | {}\n", who.label(), median.row(one)));
        }
        Ok(text)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    for name in &options.works {
        match options.table(*name) {
            Ok(table) => println!("{table}"),
            Err(fault) => {
                println!("threads: {fault}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
