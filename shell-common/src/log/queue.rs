//! Lines on their way to the thread that writes them. Who has a line to write never waits for who reads it: where there is no room
//! the line is dropped and counted, and the count is said in the place of what is missing.

use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;
use tracing_subscriber::fmt::format::Writer as Text;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::limits::log::{GATHER, QUEUE_BYTES, RETRY};

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The thread is rung.
    rung: Condvar,
    /// The thread has written everything.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    waiting: Vec<u8>,
    /// Lines that there was no room for, behind those that wait.
    lost: u64,
    thread: Thread,
    haste: Haste,
}

/// Whether somebody waits for the lines to be written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Haste {
    #[default]
    None,
    /// Until everything is.
    Flush,
}

/// The thread that writes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Thread {
    /// Is at work, and nothing came since it last looked.
    #[default]
    Busy,
    /// Something came, and it has not looked yet.
    Rung,
    /// Everything is written.
    Asleep,
}

/// What the thread has to write.
#[derive(Debug, Default)]
struct Taken {
    lines: Vec<u8>,
    lost: u64,
}

impl Queue {
    /// Appends whole lines, if there is room for all of them.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.lock();
        // What comes behind a gap waits until the gap is told: so that is told where it is.
        if state.lost > 0 || state.waiting.len() + lines.len() > QUEUE_BYTES {
            state.lost = state.lost.saturating_add(count(lines));
        } else {
            state.waiting.extend_from_slice(lines);
        }
        let half_full = state.waiting.len() >= QUEUE_BYTES / 2;
        self.ring(state);
        if half_full {
            self.rung.notify_one();
        }
    }

    /// Wakes the thread to look at what else it has to do.
    pub(super) fn nudge(&self) {
        self.ring(self.lock());
    }

    /// Waits until everything is written, or the time is over.
    pub(super) fn flush(&self, patience: Duration) {
        let unwritten = |state: &mut State| state.thread != Thread::Asleep;
        let mut state = self.lock();
        state.haste = Haste::Flush;
        self.rung.notify_one();
        // Whichever it was, there is nothing more to be done.
        let _ = self.written.wait_timeout_while(state, patience, unwritten);
    }

    /// Writes what comes, until `due` at the latest; then there may be something else to do.
    pub(super) fn serve(&self, writer: &mut Writer<impl Write>, due: Option<Instant>) {
        let Taken { lines, lost } = self.take(due);
        writer.write(&lines);
        writer.lost = writer.lost.saturating_add(lost);
        if lost > 0 {
            writer.tell_lost();
        }
    }

    fn take(&self, due: Option<Instant>) -> Taken {
        let mut state = self.lock();
        while state.thread != Thread::Rung {
            state.thread = Thread::Asleep;
            state.haste = Haste::None;
            self.written.notify_all();
            state = match due.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self
                    .rung
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    state.thread = Thread::Busy;
                    return Taken::default();
                }
                Some(left) => {
                    let waited = self.rung.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        // Lines that come in a row are written together: to wake this thread for each costs more than the line.
        let gathered_at = Instant::now() + GATHER;
        while state.haste == Haste::None && state.waiting.len() < QUEUE_BYTES / 2 {
            let left = gathered_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.rung.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.thread = Thread::Busy;
        Taken {
            lines: std::mem::take(&mut state.waiting),
            lost: std::mem::take(&mut state.lost),
        }
    }

    fn ring(&self, mut state: MutexGuard<'_, State>) {
        let before = std::mem::replace(&mut state.thread, Thread::Rung);
        drop(state);
        if before == Thread::Asleep {
            self.rung.notify_one();
        }
    }

    /// Held for as long as it takes to copy a line, never for a call of the system. Nothing panics meanwhile.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where lines end up, and what could not be written there.
#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    /// Lines that are missing behind the last one written.
    lost: u64,
    last: LastLine,
}

/// How the last line written ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LastLine {
    Whole,
    /// Writing failed in the middle of it.
    Cut,
}

impl<W: Write> Writer<W> {
    pub(super) const fn new(out: W) -> Self {
        Self {
            out,
            lost: 0,
            last: LastLine::Whole,
        }
    }

    /// Writes whole lines. Those that cannot be written, because the disk is full or nobody has the other end, are counted.
    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if self.lost > 0 {
            self.tell_lost();
        }
        if let Err(lost) = self.put(lines) {
            self.lost = self.lost.saturating_add(lost);
        }
    }

    /// Says how many lines are missing in this place.
    fn tell_lost(&mut self) {
        let told = line(
            Level::WARN,
            format_args!(
                "{} lines of the log are missing here: it could not be written, or nobody read it",
                self.lost
            ),
        );
        if self.put(told.as_bytes()).is_ok() {
            self.lost = 0;
        }
    }

    /// Writes all of it, or tells how many lines are lost.
    fn put(&mut self, lines: &[u8]) -> Result<(), u64> {
        if self.last == LastLine::Cut {
            write_all(&mut self.out, b"\n").map_err(|_| count(lines))?;
            self.last = LastLine::Whole;
        }
        write_all(&mut self.out, lines).map_err(|written| {
            let (done, left) = lines.split_at(written);
            if !done.is_empty() && !done.ends_with(b"\n") {
                self.last = LastLine::Cut;
            }
            count(left)
        })
    }
}

/// Writes all of it, or tells how much was written.
fn write_all(out: &mut impl Write, bytes: &[u8]) -> Result<(), usize> {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => return Err(written),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(RETRY),
            Err(_) => return Err(written),
        }
    }
    Ok(())
}

fn count(lines: &[u8]) -> u64 {
    let ends = lines.iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(ends).unwrap_or(u64::MAX)
}

/// A line in the form of the others, past what filters them.
pub(super) fn line(level: Level, text: fmt::Arguments<'_>) -> String {
    let mut line = String::new();
    // Neither can fail: a `String` takes everything, and a clock that is out of range shows as such.
    let _ = SystemTime.format_time(&mut Text::new(&mut line));
    let _ = writeln!(line, " {level:>5} {text}");
    line
}

/// Standard error without the lock of `std::io::Stderr`: whoever had that while nobody reads would keep all others out.
#[derive(Debug)]
pub(super) struct Unlocked;

impl Write for Unlocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(rustix::stdio::stderr(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
