//! A picture of a report: for each scenario a bar for each target, on a logarithmic scale, as SVG.

use std::fmt::Write as _;

use super::goals::goal;
use super::report::{Report, Row, plain};
use super::summary::SCALED;
use super::target::Role;

const WIDTH: f64 = 860.0;
/// Where the bars begin; in front of them stand the names.
const LEFT: f64 = 230.0;
/// Room behind the longest bar for its figure.
const RIGHT: f64 = 70.0;
const TITLE: f64 = 34.0;
const BAR: f64 = 22.0;
const AXIS: f64 = 30.0;

/// A logarithmic scale between two powers of ten.
#[derive(Clone, Copy, Debug)]
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let least = logs.clone().fold(f64::INFINITY, f64::min);
        let most = logs.fold(f64::NEG_INFINITY, f64::max);
        if least > most {
            return Self { low: 0, high: 1 };
        }
        // A bar as long as nothing could not be seen.
        let low = (least - 0.05).floor() as i32;
        Self {
            low,
            high: (most.ceil() as i32).max(low + 1),
        }
    }

    fn x(self, value: f64) -> f64 {
        let span = f64::from(self.high - self.low);
        let part = (value.max(f64::MIN_POSITIVE).log10() - f64::from(self.low)) / span;
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

/// The whole picture.
#[must_use]
pub fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut top = 10.0;
    for scenario in report.scenarios() {
        // The scaled ones are a matter of ratios, and have a table.
        if !scenario.contains(SCALED) {
            top += panel(&mut body, top, report, scenario);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{top}\" \
         viewBox=\"0 0 {WIDTH} {top}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

/// Returns its height. Writing to a String cannot fail.
fn panel(body: &mut String, top: f64, report: &Report, scenario: &str) -> f64 {
    let rows = &report.rows(scenario);
    let unit = report.unit(scenario);
    let wanted = goal(scenario).and_then(|goal| goal.wanted(&goal.beside(report, rows)));
    let values = rows.iter().flat_map(|row| [row.least, row.most]);
    let scale = Scale::over(values.chain(wanted));
    let bottom = top + TITLE + BAR * rows.len() as f64;
    let _ = writeln!(
        body,
        "<text x=\"10\" y=\"{:.1}\" font-size=\"14\" font-weight=\"bold\">{scenario}: {unit}</text>",
        top + 20.0
    );
    for power in scale.low..=scale.high {
        let value = 10f64.powi(power);
        let x = scale.x(value);
        let _ = writeln!(
            body,
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#dddddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666666\">{value}</text>",
            top + TITLE - 4.0,
            bottom + 14.0
        );
    }
    for (row, number) in rows.iter().zip(0u16..) {
        bar(body, scale, top + TITLE + BAR * f64::from(number), row);
    }
    if let Some(value) = wanted {
        let x = scale.x(value);
        let _ = writeln!(
            body,
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#c03030\" \
             stroke-dasharray=\"4 3\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#c03030\">target</text>",
            top + TITLE - 6.0,
            top + TITLE - 9.0
        );
    }
    bottom + AXIS - top
}

fn bar(body: &mut String, scale: Scale, y: f64, row: &Row) {
    let colour = match row.role {
        Role::Subject => "#2f6fb0",
        Role::Peer => "#c98a2b",
        Role::Before => "#7fa7cc",
        Role::Sibling => "#4fa08b",
        Role::Floor => "#9a9a9a",
    };
    let end = scale.x(row.median);
    let middle = y + BAR / 2.0;
    let (from, to) = (scale.x(row.least), scale.x(row.most));
    let _ = writeln!(
        body,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
         <line x1=\"{from:.1}\" y1=\"{middle:.1}\" x2=\"{to:.1}\" y2=\"{middle:.1}\" stroke=\"black\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        LEFT - 8.0,
        middle + 4.0,
        row.target,
        y + 3.0,
        (end - LEFT).max(1.0),
        BAR - 6.0,
        to.max(end) + 6.0,
        middle + 4.0,
        plain(row.median)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decade_is_as_long_as_another() {
        let scale = Scale::over([3.0, 2500.0].into_iter());
        assert_eq!((scale.low, scale.high), (0, 4));
        let length = |from: f64| scale.x(from * 10.0) - scale.x(from);
        assert!((length(1.0) - length(1000.0)).abs() < 1e-6);
        assert!((scale.x(1.0) - LEFT).abs() < 1e-6);
    }
}
