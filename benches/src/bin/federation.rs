//! Two servers that forward to each other, beside those of other makes: prints Markdown. See `benches::federation`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use benches::federation::{Flow, Links, Make, Measurement, Subject};
use benches::load::load_average;
use clap::Parser;

#[derive(Debug, Parser)]
#[command(
    about = "What messages from one server to another cost both, or the links that they go by, beside Prosody to Prosody and ejabberd to ejabberd",
    after_help = "Starts two servers of each make on loopback, with unbound as their name server and certificates of an authority of its own; \
        needs unbound, and for the peers Prosody with lua-unbound, and ejabberd with libnss-wrapper, all of Debian."
)]
struct Options {
    /// Whose servers.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Make::Spondee, Make::Prosody, Make::Ejabberd])]
    target: Vec<Make>,
    /// How often each, in turn, with fresh servers; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Seconds that count, of each run.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Seconds before them.
    #[arg(long, default_value_t = 3.0)]
    warm_up: f64,
    /// Pairs of accounts: half of them send from the first server to the second, half back.
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    /// Messages of a pair that are under way.
    #[arg(long, default_value_t = 50)]
    window: usize,
    /// Instead of messages: the second server has so many hosts, all of which are pinged at once, and links to and from them set up.
    #[arg(long, value_name = "HOSTS", value_parser = clap::value_parser!(u16).range(1..=300), conflicts_with_all = ["seconds", "warm_up", "pairs", "window"])]
    links: Option<u16>,
    /// Our program, instead of the one built from here.
    #[arg(long)]
    binary: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // Nobody may be listening, here and below.
    let say = |what: &str| drop(writeln!(std::io::stderr(), "federation: {what}"));
    let subject = match options.links {
        Some(hosts) => Subject::Links(Links {
            hosts: usize::from(hosts),
        }),
        None => Subject::Flow(Flow {
            pairs: options.pairs,
            window: options.window,
            warm_up: Duration::from_secs_f64(options.warm_up),
            lasts: Duration::from_secs_f64(options.seconds),
        }),
    };
    let measurement = Measurement {
        makes: options.target,
        runs: usize::from(options.runs),
        subject,
        binary: options.binary,
    };
    let before = load_average();
    match measurement.run(say) {
        Ok(table) => {
            let busy = format!(
                "load average {before:.1} before, {:.1} after",
                load_average()
            );
            drop(writeln!(std::io::stdout(), "{table}\n{busy}"));
            ExitCode::SUCCESS
        }
        Err(fault) => {
            say(&fault);
            ExitCode::FAILURE
        }
    }
}
