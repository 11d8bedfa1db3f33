//! Power cuts: from the traced system calls of a server come disks as it would leave them, and servers that are started on these.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use crate::dice::Dice;
use crate::disk::{Disk, Loss};
use crate::element::{Element, Item, Reader};
use crate::server::{Scratch, Server};
use crate::strace::{self, Moment};

/// Lines of a trace where the power may fail.
#[derive(Debug, Default)]
pub struct Places {
    /// Where something was synced.
    pub syncs: Vec<usize>,
    /// Where something was written.
    pub writes: Vec<usize>,
}

impl Places {
    /// Those of a trace from where something was said to a client for which `begins` holds.
    ///
    /// # Errors
    /// The trace cannot be read; so with all functions here.
    pub fn of(trace: &Path, begins: impl Fn(&[u8]) -> bool) -> Result<Self, String> {
        let mut places = Self::default();
        let mut begun = false;
        follow(trace, |moment| {
            match (moment.call, moment.result) {
                ("sendto", None) if !begun => begun = begins(&moment.bytes(1)?),
                ("fsync" | "fdatasync", Some(0)) if begun => places.syncs.push(moment.line),
                ("pwrite64", None) if begun => places.writes.push(moment.line),
                _ => {}
            }
            Ok(())
        })?;
        Ok(places)
    }
}

/// Reads a trace from its beginning.
///
/// # Errors
/// It cannot be read, or `each` says so.
pub fn follow(
    trace: &Path,
    mut each: impl FnMut(&Moment<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let file = BufReader::new(File::open(trace).map_err(|e| e.to_string())?);
    strace::read(file, |moment| each(&moment))
}

/// One cut.
#[derive(Debug)]
pub struct Cut {
    /// Where it was, and how to have it again.
    pub what: String,
    /// What decides what is left; without it nothing is that was not synced.
    seed: Option<u64>,
}

/// A disk that follows a trace, and where the power fails.
#[derive(Debug)]
pub struct Cuts {
    disk: Disk,
    worst: BTreeSet<usize>,
    random: BTreeSet<usize>,
    dice: Dice,
}

impl Cuts {
    /// At no line yet.
    #[must_use]
    pub const fn new(disk: Disk, seed: u64) -> Self {
        Self {
            disk,
            worst: BTreeSet::new(),
            random: BTreeSet::new(),
            dice: Dice::new(seed),
        }
    }

    /// Chooses so many lines to cut the power at.
    pub fn choose(&mut self, places: &Places, worst: usize, random: usize) {
        for (from, count, to) in [
            (&places.syncs, worst, &mut self.worst),
            (&places.writes, random, &mut self.random),
        ] {
            while to.len() < count.min(from.len()) {
                to.insert(from[self.dice.below(from.len())]);
            }
        }
    }

    /// Cuts it at the last sync, too.
    pub fn choose_last(&mut self, places: &Places) {
        self.worst.extend(places.syncs.last());
    }

    /// Whether the power fails in this moment, of which the disk knows nothing yet.
    pub fn due(&mut self, moment: &Moment<'_>) -> Option<Cut> {
        let line = moment.line;
        match (moment.call, moment.result) {
            ("fsync" | "fdatasync", Some(0)) if self.worst.contains(&line) => Some(Cut {
                what: format!("line {line}, all lost"),
                seed: None,
            }),
            ("pwrite64", None) if self.random.contains(&line) => {
                let seed = self.dice.roll();
                Some(Cut {
                    what: format!("line {line}, lost by seed {seed:#x}"),
                    seed: Some(seed),
                })
            }
            _ => None,
        }
    }

    /// The disk takes notice of this moment.
    ///
    /// # Errors
    /// See `Disk::observe`.
    pub fn observe(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        self.disk.observe(moment)
    }

    /// Starts a server with these options on what this cut leaves.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, cut: &Cut, options: &str) -> Result<Server, String> {
        let fault = |e: std::io::Error| e.to_string();
        let image = Scratch::in_memory().map_err(fault)?;
        let mut dice = cut.seed.map(Dice::new);
        let loss = dice.as_mut().map_or(Loss::All, Loss::Some);
        self.disk.image(loss, image.path()).map_err(fault)?;
        let prepared = Server::prepare(Scratch::in_memory().map_err(fault)?, options)?;
        fs::rename(image.path().join("data"), prepared.data()).map_err(fault)?;
        let program = Command::new(prepared.binary());
        prepared.begin(program)
    }
}

/// What a server wrote to its clients, read as they read it. `T` is what is known of each connection.
#[derive(Debug, Default)]
pub struct Wires<T> {
    wires: HashMap<i64, (Reader, T)>,
}

impl<T: Default> Wires<T> {
    /// Goes on with what was written in this moment, element by element.
    ///
    /// # Errors
    /// It is not well-formed, or `each` says so.
    pub fn observe(
        &mut self,
        moment: &Moment<'_>,
        mut each: impl FnMut(&mut T, &Element) -> Result<(), String>,
    ) -> Result<(), String> {
        let count = match (moment.call, moment.result) {
            ("sendto", Some(count @ 1..)) => usize::try_from(count).map_err(|e| e.to_string())?,
            ("close", None) => {
                self.wires.remove(&moment.number(0)?);
                return Ok(());
            }
            _ => return Ok(()),
        };
        let bytes = moment.bytes(1)?;
        let bytes = bytes.get(..count).unwrap_or_default();
        // The control socket's answers are none of this.
        if bytes.first() == Some(&b'{') {
            return Ok(());
        }
        let (reader, of) = self.wires.entry(moment.number(0)?).or_default();
        if bytes.starts_with(b"<?xml") {
            *reader = Reader::new();
        }
        reader.push(bytes);
        while let Some(item) = reader.next_item()? {
            if let Item::Element(element) = item {
                each(of, &element)?;
            }
        }
        Ok(())
    }
}
