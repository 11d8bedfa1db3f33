//! How the server stands to its peers, to its floors and to its targets; and whether twice the work costs twice as much.

use std::fmt::Write as _;

use super::goals::{Better, goal};
use super::report::{Report, median, plain};
use super::target::Role;

/// What separates a scenario from its scale.
pub(super) const SCALED: &str = " ×";

/// One row for each scenario that was not scaled.
pub(super) fn summary(report: &Report) -> String {
    let scenarios = report.scenarios().into_iter();
    let scenarios: Vec<&str> = scenarios.filter(|name| !name.contains(SCALED)).collect();
    let mut peers: Vec<&str> = Vec::new();
    for row in scenarios.iter().flat_map(|name| report.rows(name)) {
        if row.role == Role::Peer && !peers.contains(&row.target) {
            peers.push(row.target);
        }
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "| work | unit | Spondee | {}× best peer | floor | to the floor | target | met |",
        peers
            .iter()
            .map(|peer| format!("{peer} | "))
            .collect::<String>()
    );
    let _ = writeln!(
        text,
        "|---|---|---:|{}---:|---:|---:|---|---|",
        "---:|".repeat(peers.len())
    );
    for scenario in scenarios {
        let unit = report.unit(scenario);
        let line = Line::of(report, scenario, &peers);
        let _ = writeln!(text, "| {scenario} | {unit} | {} |", line.0.join(" | "));
    }
    text
}

/// The cells behind the unit.
struct Line(Vec<String>);

impl Line {
    fn of(report: &Report, scenario: &str, peers: &[&str]) -> Self {
        let rows = &report.rows(scenario);
        let goal = goal(scenario);
        let by_name = |name: &str| rows.iter().find(|row| row.target == name);
        let own = rows.iter().find(|row| row.role == Role::Subject);
        let floor = goal.and_then(|goal| by_name(goal.floor.name()));
        let mut cells = vec![cell(own.map(|own| format!("**{}**", plain(own.median))))];
        cells.extend(
            peers
                .iter()
                .map(|peer| cell(by_name(peer).map(|row| plain(row.median)))),
        );
        let both = own.zip(goal);
        let best = goal.and_then(|goal| goal.best(rows));
        let advantage = both.zip(best);
        let advantage = advantage.map(|((own, goal), best)| goal.advantage(own.median, best));
        cells.push(cell(advantage.map(plain)));
        cells.push(cell(floor.map(|floor| plain(floor.median))));
        let share = both.zip(floor).map(|((own, goal), floor)| {
            let ratio = own.median / floor.median;
            match goal.better {
                Better::More => format!("{:.0} %", ratio * 100.0),
                Better::Less => format!("× {ratio:.1}"),
            }
        });
        cells.push(cell(share));
        cells.push(cell(goal.map(|goal| goal.words())));
        let met = both.and_then(|(own, goal)| goal.is_met(own.median, &goal.beside(report, rows)));
        cells.push(cell(
            met.map(|met| if met { "yes" } else { "no" }.to_owned()),
        ));
        Self(cells)
    }
}

fn cell(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// How the subject stands to what it was, round by round; empty if there is no such thing.
pub(super) fn pairs(report: &Report) -> String {
    ratios(report, "now / before", Role::Subject, Role::Before)
}

/// How the other shell stands to the subject, round by round; empty if it took no part.
pub(super) fn shells(report: &Report) -> String {
    ratios(report, "smol / mio", Role::Sibling, Role::Subject)
}

fn ratios(report: &Report, title: &str, one: Role, other: Role) -> String {
    let mut text = String::new();
    for scenario in report.scenarios() {
        let unit = report.unit(scenario);
        let (ones, others) = (
            report.runs(scenario, one, unit),
            report.runs(scenario, other, unit),
        );
        let mut ratios: Vec<f64> = ones.iter().zip(&others).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        if let (Some(least), Some(most)) = (ratios.first(), ratios.last())
            && let Some(middle) = median(&ratios)
        {
            let pairs = ratios.len();
            let _ = writeln!(
                text,
                "| {scenario} | {unit} | {pairs} | **{middle:.3}** ({least:.3}–{most:.3}) |"
            );
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\n| {title} | unit | pairs | ratio |\n|---|---|---:|---:|\n{text}")
}

/// CPU time for each unit of work beside that of a smaller load; empty if nothing was scaled.
pub(super) fn growth(report: &Report) -> String {
    const EACH: &str = "server us each";
    let mut text = String::new();
    for scenario in report.scenarios() {
        let Some((base, _)) = scenario.split_once(SCALED) else {
            continue;
        };
        for row in report.rows(scenario) {
            let each = report.median(scenario, row.target, EACH);
            let single = report.median(base, row.target, EACH);
            if let (Some(each), Some(single)) = (each, single) {
                let ratio = each / single;
                let _ = writeln!(
                    text,
                    "| {scenario} | {} | {} | {} | {ratio:.2} |",
                    row.target,
                    plain(single),
                    plain(each),
                );
            }
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\n| growth | target | us each at × 1 | us each | ratio |\n|---|---|---:|---:|---:|\n{text}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::report::{Figure, Sample};
    use super::*;

    fn report(samples: &[(&str, &'static str, Role, f64)]) -> Report {
        let mut report = Report::default();
        for (scenario, target, role, value) in samples {
            report.add(Sample {
                scenario: (*scenario).to_owned(),
                target,
                role: *role,
                figures: vec![
                    Figure::new("per CPU second", *value),
                    Figure::new("server us each", 1e6 / value),
                ],
            });
        }
        report
    }

    #[test]
    fn compares_with_the_best_peer_and_the_floor() {
        let report = report(&[
            ("signin", "Spondee", Role::Subject, 2600.0),
            ("signin", "Prosody", Role::Peer, 250.0),
            ("signin", "ejabberd", Role::Peer, 260.0),
            ("signin", "floor: same round trips", Role::Floor, 3200.0),
        ]);
        let text = summary(&report);
        let last = text.lines().last().unwrap();
        assert_eq!(
            last,
            "| signin | per CPU second | **2600** | 250 | 260 | 10.0 | 3200 | 81 % | \
             2500 and 80 % of the floor | yes |"
        );
    }

    #[test]
    fn a_pair_is_of_the_same_round() {
        let report = report(&[
            ("chat", "Spondee", Role::Subject, 1000.0),
            ("chat", "Spondee before", Role::Before, 2000.0),
            ("chat", "Spondee before", Role::Before, 400.0),
            ("chat", "Spondee", Role::Subject, 600.0),
            ("idle", "Spondee", Role::Subject, 5.0),
        ]);
        let text = pairs(&report);
        assert_eq!(
            text.lines().last(),
            Some("| chat | per CPU second | 2 | **1.000** (0.500–1.500) |")
        );
        assert_eq!(text.lines().count(), 4);
    }

    #[test]
    fn growth_is_the_ratio_of_what_each_costs() {
        let report = report(&[
            ("chat", "Spondee", Role::Subject, 1000.0),
            ("chat ×2", "Spondee", Role::Subject, 800.0),
        ]);
        assert_eq!(summary(&report).lines().count(), 3);
        let text = growth(&report);
        assert_eq!(
            text.lines().last(),
            Some("| chat ×2 | Spondee | 1000 | 1250 | 1.25 |")
        );
    }
}
