//! Medians over repeated runs, as a Markdown table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::target::Role;

/// One number of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    name: &'static str,
    value: f64,
}

impl Figure {
    /// `name` says the unit.
    #[must_use]
    pub const fn new(name: &'static str, value: f64) -> Self {
        Self { name, value }
    }
}

/// One run of one scenario on one target. The first figure is the one that counts.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The scenario.
    pub scenario: &'static str,
    /// The target.
    pub target: &'static str,
    /// What it is compared as.
    pub role: Role,
    /// What was measured, in the order of the table's columns.
    pub figures: Vec<Figure>,
}

impl Sample {
    fn value(&self, name: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|figure| figure.name == name);
        figure.map(|figure| figure.value)
    }

    /// The figure that counts, with its name.
    #[must_use]
    pub fn headline(&self) -> String {
        let first = self.figures.first();
        first.map_or_else(String::new, |figure| {
            format!("{} {}", plain(figure.value), figure.name)
        })
    }
}

/// All runs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    samples: Vec<Sample>,
}

impl Report {
    /// One more run.
    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// A table for each scenario, a row for each target, medians in the cells; the first with its extremes.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for scenario in self.scenarios() {
            let names = self.columns(scenario);
            let _ = writeln!(text, "\n| {scenario} | {} | runs |", names.join(" | "));
            let _ = writeln!(text, "|---|{}---:|", "---:|".repeat(names.len()));
            for target in self.targets(scenario) {
                let runs = self.of(scenario, target).count();
                let cells: Vec<String> = names
                    .iter()
                    .enumerate()
                    .map(|(column, name)| self.cell(scenario, target, name, column))
                    .collect();
                let _ = writeln!(text, "| {target} | {} | {runs} |", cells.join(" | "));
            }
        }
        text
    }

    /// Every run with all its figures.
    #[must_use]
    pub fn json(&self) -> Value {
        let sample = |sample: &Sample| {
            let figures = sample.figures.iter();
            let figures: serde_json::Map<String, Value> = figures
                .map(|figure| (figure.name.to_owned(), json!(figure.value)))
                .collect();
            json!({"scenario": sample.scenario, "target": sample.target, "figures": figures})
        };
        Value::Array(self.samples.iter().map(sample).collect())
    }

    fn cell(&self, scenario: &str, target: &str, name: &str, column: usize) -> String {
        let mut values: Vec<f64> = self
            .of(scenario, target)
            .filter_map(|sample| sample.value(name))
            .collect();
        values.sort_by(f64::total_cmp);
        match (values.first(), values.last(), median(&values)) {
            (Some(least), Some(most), Some(median)) if column == 0 && values.len() > 1 => {
                format!("**{}** ({}–{})", plain(median), plain(*least), plain(*most))
            }
            (_, _, Some(median)) => plain(median),
            (_, _, None) => "–".to_owned(),
        }
    }

    fn of(&self, scenario: &str, target: &str) -> impl Iterator<Item = &Sample> {
        let samples = self.samples.iter();
        samples.filter(move |sample| sample.scenario == scenario && sample.target == target)
    }

    fn scenarios(&self) -> Vec<&'static str> {
        distinct(self.samples.iter().map(|sample| sample.scenario))
    }

    fn targets(&self, scenario: &str) -> Vec<&'static str> {
        let samples = self.samples.iter();
        let samples = samples.filter(|sample| sample.scenario == scenario);
        distinct(samples.map(|sample| sample.target))
    }

    fn columns(&self, scenario: &str) -> Vec<&'static str> {
        let samples = self.samples.iter();
        let samples = samples.filter(|sample| sample.scenario == scenario);
        let most = samples.max_by_key(|sample| sample.figures.len());
        let figures = most.map_or(&[][..], |sample| &sample.figures);
        figures.iter().map(|figure| figure.name).collect()
    }
}

/// In the order of first appearance.
fn distinct(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// The middle of a sorted list; of two in the middle the mean.
fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
}

/// Three digits at least, no more behind the point than they need.
fn plain(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(target: &'static str, value: f64) -> Sample {
        Sample {
            scenario: "chat",
            target,
            role: Role::Peer,
            figures: vec![Figure::new("per CPU second", value)],
        }
    }

    #[test]
    fn makes_a_table_of_medians() {
        let mut report = Report::default();
        for value in [1000.0, 3000.0, 1100.0] {
            report.add(sample("Spondee", value));
        }
        report.add(sample("Prosody", 50.0));
        let lines: Vec<String> = report.markdown().lines().map(str::to_owned).collect();
        assert_eq!(lines[1], "| chat | per CPU second | runs |");
        assert_eq!(lines[3], "| Spondee | **1100** (1000–3000) | 3 |");
        assert_eq!(lines[4], "| Prosody | 50.0 | 1 |");
        assert_eq!(report.json()[3]["figures"]["per CPU second"], 50.0);
    }

    #[test]
    fn the_median_of_two_is_their_mean() {
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }
}
