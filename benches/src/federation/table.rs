//! What came of all runs, as Markdown: medians, and how far apart the runs lie.

use std::fmt;

use super::Make;
use super::outcome::{Outcome, Unit};

/// See the module.
#[derive(Debug)]
pub struct Table {
    unit: Unit,
    makes: Vec<(Make, Vec<Outcome>)>,
}

/// The least, the middle and the most of something.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(outcomes: &[Outcome], figure: fn(&Outcome) -> f64) -> Option<Self> {
        let mut all: Vec<f64> = outcomes.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        Some(Self {
            least: *all.first()?,
            median: *all.get(all.len() / 2)?,
            most: *all.last()?,
        })
    }
}

impl Table {
    /// Of nothing yet.
    #[must_use]
    pub fn new(unit: Unit, makes: &[Make]) -> Self {
        Self {
            unit,
            makes: makes.iter().map(|make| (*make, Vec::new())).collect(),
        }
    }

    /// One run.
    pub fn add(&mut self, make: Make, outcome: Outcome) {
        for (of, outcomes) in &mut self.makes {
            if *of == make {
                outcomes.push(outcome);
            }
        }
    }

    fn median_of(&self, make: Make) -> Option<f64> {
        let (_, outcomes) = self.makes.iter().find(|(of, _)| *of == make)?;
        Some(Spread::of(outcomes, Outcome::per_cpu_second)?.median)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ours = self.median_of(Make::Spondee);
        let unit = self.unit.name();
        let (what, more) = match self.unit {
            Unit::Messages => ("from one to the other", ["", ""]),
            Unit::Links => (
                "pings to many hosts, two links each: there, and back for the answer",
                [" proven by | links |", "---|---:|"],
            ),
        };
        let [names, lines] = more;
        writeln!(
            f,
            "| {what} |{names} {unit} for each CPU second of both | least to most | Spondee does so many times as much | \
             CPU us each | {unit} a second |"
        )?;
        writeln!(f, "|---|{lines}---:|---:|---:|---:|---:|")?;
        for (make, outcomes) in &self.makes {
            let of = |figure| Spread::of(outcomes, figure);
            let (Some(by_cpu), Some(each), Some(by_wall)) = (
                of(Outcome::per_cpu_second),
                of(Outcome::micros),
                of(Outcome::per_second),
            ) else {
                continue;
            };
            let ratio =
                ours.map_or_else(String::new, |ours| format!("{:.1}", ours / by_cpu.median));
            let more = match self.unit {
                Unit::Messages => String::new(),
                // No server has another method here, see `links`.
                Unit::Links => format!(
                    " EXTERNAL | {} |",
                    outcomes.iter().map(|one| one.count).max().unwrap_or(0)
                ),
            };
            writeln!(
                f,
                "| {} |{more} {:.0} | {:.0} to {:.0} | {ratio} | {:.1} | {:.0} |",
                make.name(),
                by_cpu.median,
                by_cpu.least,
                by_cpu.most,
                each.median,
                by_wall.median,
            )?;
        }
        Ok(())
    }
}
