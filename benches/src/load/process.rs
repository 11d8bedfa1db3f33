//! What /proc says of a process and its descendants: CPU time and memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

/// CPU time a process tree has used so far, by thread.
#[derive(Clone, Debug, Default)]
pub struct Cpu {
    /// Nanoseconds of each living thread.
    threads: BTreeMap<(u32, u32), u64>,
    /// utime, stime, cutime and cstime of all living processes: coarse, but the dead are in it.
    ticks: u64,
}

impl Cpu {
    /// Of `root` and all its descendants, up to now.
    #[must_use]
    pub fn of(root: u32) -> Self {
        Self::of_all(&tree(root))
    }

    /// Of this process without its descendants, up to now.
    #[must_use]
    pub fn of_process(pid: u32) -> Self {
        Self::of_all(&[pid])
    }

    fn of_all(pids: &[u32]) -> Self {
        let mut cpu = Self::default();
        for &pid in pids {
            cpu.ticks += ticks(pid);
            for thread in numbers(&format!("/proc/{pid}/task")) {
                let path = format!("/proc/{pid}/task/{thread}/schedstat");
                let text = fs::read_to_string(path).unwrap_or_default();
                let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
                if let Some(ns) = ns {
                    cpu.threads.insert((pid, thread), ns);
                }
            }
        }
        cpu
    }

    /// What was used since `earlier`: to the nanosecond, unless a thread ended meanwhile and took its account with it. Then to
    /// the clock tick.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let ended = earlier
            .threads
            .keys()
            .any(|thread| !self.threads.contains_key(thread));
        if ended || self.threads.is_empty() {
            let ticks = self.ticks.saturating_sub(earlier.ticks);
            return Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64);
        }
        let used = self.threads.iter().map(|(thread, ns)| {
            let before = earlier.threads.get(thread).copied().unwrap_or(0);
            ns.saturating_sub(before)
        });
        Duration::from_nanos(used.sum())
    }
}

/// Proportional set size of a process and all its descendants, in KiB.
///
/// # Errors
/// It cannot be read: the process is gone, or somebody else's.
pub fn pss_kib(root: u32) -> Result<u64, String> {
    let mut sum = 0;
    for pid in tree(root) {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let mut lines = text.lines();
        let pss = lines.find_map(|line| line.strip_prefix("Pss:"));
        let pss = pss.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let pss = pss.and_then(|kib| kib.trim().parse::<u64>().ok());
        sum += pss.ok_or_else(|| format!("{path}: no Pss"))?;
    }
    Ok(sum)
}

/// The first of the three numbers: over the last minute.
#[must_use]
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|load| load.parse().ok());
    first.unwrap_or(f64::NAN)
}

/// The process and all its descendants.
fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = numbers("/proc")
        .filter_map(|pid| Some((pid, u32::try_from(*stat(pid)?.get(1)?).ok()?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let children = parents.iter().filter(|(_, of)| *of == parent);
        found.extend(children.map(|(pid, _)| *pid));
    }
    found
}

fn ticks(pid: u32) -> u64 {
    let stat = stat(pid).unwrap_or_default();
    stat.get(11..15).map_or(0, |times| times.iter().sum())
}

/// The fields of /proc/PID/stat behind the name, from the state on; what is no number is 0.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, spaces and parentheses included.
    let fields = text.rsplit_once(')')?.1.split_whitespace();
    Some(fields.map(|field| field.parse().unwrap_or(0)).collect())
}

/// The entries of a directory that are numbers.
fn numbers(path: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_its_own_work_and_its_children() {
        let id = std::process::id();
        let before = Cpu::of(id);
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        assert!(tree(id).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut sum = 0u64;
        while Cpu::of(id).since(&before) < Duration::from_millis(1) {
            sum = (0..100_000u64).fold(sum, |sum, n| sum.wrapping_mul(31).wrapping_add(n));
        }
        std::hint::black_box(sum);
        assert!(pss_kib(id).unwrap() > 100);
    }
}
