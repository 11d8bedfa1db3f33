//! The server's own counters, from the line it logs on SIGUSR1.

use std::collections::BTreeMap;

/// Totals since the server started, by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Reads the last line of a log that holds them, `… counters: reads=7 writes=8 …`. Also says how many there are.
    #[must_use]
    pub fn last(log: &str) -> (usize, Option<Self>) {
        let lines = || log.lines().filter_map(|line| line.split_once("counters: "));
        let last = lines().next_back().map(|(_, line)| Self::parse(line));
        (lines().count(), last)
    }

    fn parse(line: &str) -> Self {
        let pairs = line.split_whitespace().filter_map(|pair| {
            let (name, sum) = pair.split_once('=')?;
            Some((name.to_owned(), sum.parse().ok()?))
        });
        Self(pairs.collect())
    }

    /// What was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let past = |name: &str| earlier.0.get(name).copied().unwrap_or(0);
        let pairs = self.0.iter();
        Self(
            pairs
                .map(|(name, sum)| (name.clone(), sum.saturating_sub(past(name))))
                .collect(),
        )
    }

    /// One number; `None` if this server does not count it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_last_line_and_takes_the_difference() {
        let log =
            "10:00 INFO counters: reads=7 writes=8\nINFO other\nINFO counters: reads=9 writes=8\n";
        let (count, last) = Counters::last(log);
        let (_, first) = Counters::last(log.lines().next().unwrap());
        let since = last.unwrap().since(&first.unwrap());
        assert_eq!(count, 2);
        assert_eq!(
            (since.get("reads"), since.get("writes")),
            (Some(2), Some(0))
        );
        assert_eq!(since.get("wakes"), None);
    }
}
