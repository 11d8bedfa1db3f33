//! Medians over repeated runs, as Markdown tables and as JSON. How they compare is the summary's.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::summary::{growth, pairs, shells, summary};
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
    /// The scenario, with its scale if it was scaled.
    pub scenario: String,
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

/// The figure that counts, over all runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// Of which target.
    pub target: &'static str,
    /// What it is compared as.
    pub role: Role,
    /// The least of all runs.
    pub least: f64,
    /// The middle one.
    pub median: f64,
    /// The most of all runs.
    pub most: f64,
}

/// All runs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    samples: Vec<Sample>,
    notes: Vec<String>,
}

impl Report {
    /// One more run.
    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// Something that must be known to judge the figures, without its full stop.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The summary, then a table for each scenario, a row for each target, medians in the cells; the first with its extremes.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = summary(self);
        if !self.notes.is_empty() {
            let _ = writeln!(text, "\n{}.", self.notes.join(". "));
        }
        text.push_str(&pairs(self));
        text.push_str(&shells(self));
        text.push_str(&growth(self));
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
            json!({"scenario": sample.scenario.clone(), "target": sample.target, "figures": figures})
        };
        Value::Array(self.samples.iter().map(sample).collect())
    }

    fn cell(&self, scenario: &str, target: &str, name: &str, column: usize) -> String {
        let values = self.values(scenario, target, name);
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

    /// Scenarios in the order of their first runs.
    #[must_use]
    pub fn scenarios(&self) -> Vec<&str> {
        let samples = self.samples.iter();
        distinct(samples.map(|sample| sample.scenario.as_str()))
    }

    /// What the figure that counts is called.
    #[must_use]
    pub fn unit(&self, scenario: &str) -> &'static str {
        let columns = self.columns(scenario);
        columns.first().copied().unwrap_or_default()
    }

    /// The figure that counts, for each target.
    #[must_use]
    pub fn rows(&self, scenario: &str) -> Vec<Row> {
        let unit = self.unit(scenario);
        let rows = self.targets(scenario).into_iter().filter_map(|target| {
            let values = self.values(scenario, target, unit);
            Some(Row {
                target,
                role: self.of(scenario, target).next()?.role,
                least: *values.first()?,
                median: median(&values)?,
                most: *values.last()?,
            })
        });
        rows.collect()
    }

    /// A figure in all runs of whoever is this, in their order.
    pub(super) fn runs(&self, scenario: &str, role: Role, name: &str) -> Vec<f64> {
        let samples = self.samples.iter();
        let samples = samples.filter(|one| one.scenario == scenario && one.role == role);
        samples.filter_map(|sample| sample.value(name)).collect()
    }

    /// The median of any figure.
    #[must_use]
    pub(super) fn median(&self, scenario: &str, target: &str, name: &str) -> Option<f64> {
        median(&self.values(scenario, target, name))
    }

    /// In order of size.
    fn values(&self, scenario: &str, target: &str, name: &str) -> Vec<f64> {
        let samples = self.of(scenario, target);
        let mut values: Vec<f64> = samples.filter_map(|sample| sample.value(name)).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn targets(&self, scenario: &str) -> Vec<&'static str> {
        let mut targets = Vec::new();
        for sample in &self.samples {
            if sample.scenario == scenario && !targets.contains(&sample.target) {
                targets.push(sample.target);
            }
        }
        targets
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
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

/// The middle of a sorted list; of two in the middle the mean.
pub(super) fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
}

/// Three digits at least, no more behind the point than they need.
pub(super) fn plain(value: f64) -> String {
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
            scenario: "chat".to_owned(),
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
        let at = lines
            .iter()
            .position(|line| line == "| chat | per CPU second | runs |");
        let at = at.unwrap();
        assert_eq!(lines[at + 2], "| Spondee | **1100** (1000–3000) | 3 |");
        assert_eq!(lines[at + 3], "| Prosody | 50.0 | 1 |");
        assert_eq!(report.json()[3]["figures"]["per CPU second"], 50.0);
    }

    #[test]
    fn the_median_of_two_is_their_mean() {
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }
}
