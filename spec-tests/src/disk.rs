//! A model of a disk that forgets what was not synced, driven by the system calls of a real process.
//!
//! As strict as POSIX allows: data is on disk once fsync(2) of its file has returned, and a name once fsync(2) of its directory
//! has. At any moment `image` builds what a power cut may leave behind. Calls that change files in a way this model does not know
//! are errors, so that nothing passes unseen. Knows nothing of databases.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::dice::Dice;
use crate::strace::Moment;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Everything below one directory.
#[derive(Debug)]
pub struct Disk {
    /// The directory, which itself is safe. Paths that are not below it do not matter.
    root: PathBuf,
    /// The first is the root.
    nodes: Vec<Node>,
    open: HashMap<i64, Open>,
    /// Changes that each thread waits to be synced.
    syncing: HashMap<u32, (usize, Vec<u64>)>,
    last_change: u64,
    /// See `synced`.
    synced: u64,
    /// Names of files whose syncs do nothing end like this.
    deaf: Option<&'static str>,
}

/// What a power cut leaves of the changes that were not synced.
#[derive(Debug)]
pub enum Loss<'a> {
    /// None of them.
    All,
    /// Some, in any order, writes torn at sectors, memory-mapped files filled with anything.
    Some(&'a mut Dice),
}

#[derive(Debug)]
enum Node {
    Directory {
        entries: BTreeMap<String, usize>,
        pending: Vec<Pending<Entry>>,
    },
    File {
        name: String,
        content: Vec<u8>,
        pending: Vec<Pending<Edit>>,
        access: Access,
    },
}

/// How a file is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Access {
    Calls,
    /// Through memory, which no trace shows: its content on disk may be anything.
    Memory,
}

/// A change that is not on disk yet.
#[derive(Debug)]
struct Pending<T> {
    number: u64,
    /// Who is in the call that makes it. A sync that began before its end does not cover it.
    caller: Option<u32>,
    what: T,
}

#[derive(Debug)]
enum Entry {
    Link(String, usize),
    Rename(String, String, usize),
    Unlink(String),
}

#[derive(Debug)]
enum Edit {
    Truncate(usize),
    Write(usize, Vec<u8>),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    node: usize,
    offset: usize,
}

impl Disk {
    /// An empty directory at `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            nodes: vec![Node::Directory {
                entries: BTreeMap::new(),
                pending: Vec::new(),
            }],
            open: HashMap::new(),
            syncing: HashMap::new(),
            last_change: 0,
            synced: 0,
            deaf: None,
        }
    }

    /// The same, where syncing files whose names end so does nothing: a disk that lies, to test a test.
    #[must_use]
    pub fn deaf_to(root: &Path, suffix: &'static str) -> Self {
        Self {
            deaf: Some(suffix),
            ..Self::new(root)
        }
    }

    /// Counts the syncs that made something safe. As long as it stays, so does what `Loss::All` leaves.
    #[must_use]
    pub const fn synced(&self) -> u64 {
        self.synced
    }

    /// The process has ended and another one begins: nothing is open, nothing is safer than before.
    pub fn next_process(&mut self) {
        self.open.clear();
        self.syncing.clear();
    }

    /// Takes notice of a call.
    ///
    /// # Errors
    /// It changes a file here in a way this model does not know.
    pub fn observe(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        match (moment.call, moment.result) {
            ("openat", Some(fd @ 0..)) => self.opened(moment, fd),
            ("close", None) => {
                self.open.remove(&moment.number(0)?);
                Ok(())
            }
            ("pwrite64", None) => {
                let offset = size(moment.number(3)?)?;
                self.write(moment, Some(offset))
            }
            ("write", None) => self.write(moment, None),
            ("pwrite64" | "write" | "ftruncate", Some(result)) => self.returned(moment, result),
            ("ftruncate", None) => {
                let length = size(moment.number(1)?)?;
                let Some(open) = self.descriptor(moment)? else {
                    return Ok(());
                };
                self.edit(open.node, Some(moment.thread), Edit::Truncate(length))
            }
            ("fsync" | "fdatasync", None) => self.sync_begins(moment),
            ("fsync" | "fdatasync", Some(0)) => {
                self.sync_ends(moment.thread);
                Ok(())
            }
            ("mkdir", Some(0)) => self.mkdir(&moment.text(0)?),
            ("mkdirat", Some(0)) => self.mkdir(&moment.text(1)?),
            ("unlink", Some(0)) => self.unlink(&moment.text(0)?),
            ("unlinkat", Some(0)) => self.unlink(&moment.text(1)?),
            ("rename", Some(0)) => self.rename(&moment.text(0)?, &moment.text(1)?),
            ("renameat" | "renameat2", Some(0)) => self.rename(&moment.text(1)?, &moment.text(3)?),
            ("mmap", Some(0..)) => self.mapped(moment),
            // Nothing to us: talk, looks, failures, and what the other half of a call has told.
            ("recvfrom" | "sendto", _) | (_, Some(..0)) => Ok(()),
            (
                "openat" | "close" | "mkdir" | "mkdirat" | "unlink" | "unlinkat" | "rename"
                | "renameat" | "renameat2" | "mmap",
                _,
            ) => Ok(()),
            (_, None) => self.known_elsewhere(moment),
            (_, Some(_)) => Ok(()),
        }
    }

    /// Builds below `target`, an empty directory, what a power cut now may leave.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn image(&self, mut loss: Loss<'_>, target: &Path) -> io::Result<()> {
        self.build(0, &mut loss, target)
    }

    fn build(&self, node: usize, loss: &mut Loss<'_>, target: &Path) -> io::Result<()> {
        match &self.nodes[node] {
            Node::Directory { entries, pending } => {
                let mut left = entries.clone();
                for change in pending {
                    if loss.keeps() {
                        change.what.apply(&mut left);
                    }
                }
                if node != 0 {
                    fs::DirBuilder::new().mode(0o700).create(target)?;
                }
                for (name, node) in left {
                    self.build(node, loss, &target.join(name))?;
                }
                Ok(())
            }
            Node::File {
                content,
                pending,
                access,
                ..
            } => {
                let mut left = content.clone();
                match (loss, access) {
                    (Loss::All, _) => {}
                    (Loss::Some(dice), Access::Memory) => {
                        left = (0..dice.below(9) * 4096)
                            .map(|_| dice.roll().to_le_bytes()[0])
                            .collect();
                    }
                    (Loss::Some(dice), Access::Calls) => {
                        for change in pending {
                            change.what.apply_partly(&mut left, dice);
                        }
                    }
                }
                fs::write(target, left)
            }
        }
    }

    fn opened(&mut self, moment: &Moment<'_>, fd: i64) -> Result<(), String> {
        let path = moment.text(1)?;
        let flags = moment.argument(2)?;
        let has = |flag: &str| flags.split('|').any(|one| one == flag);
        let Some((directory, name)) = self.parent(&path) else {
            // The root itself, or somewhere else.
            if Path::new(&path) == self.root {
                self.open.insert(fd, Open { node: 0, offset: 0 });
            } else {
                self.open.remove(&fd);
            }
            return Ok(());
        };
        let unknown = ["O_APPEND", "O_DSYNC", "O_SYNC", "O_DIRECT", "O_TMPFILE"];
        if let Some(flag) = unknown.into_iter().find(|flag| has(flag)) {
            return Err(format!("line {}: {flag} is not modelled", moment.line));
        }
        let node = match self.live(directory).get(&name) {
            Some(node) => *node,
            None if has("O_CREAT") => {
                let node = self.nodes.len();
                self.nodes.push(Node::File {
                    name: name.clone(),
                    content: Vec::new(),
                    pending: Vec::new(),
                    access: Access::Calls,
                });
                self.enter(directory, Entry::Link(name, node))?;
                node
            }
            // There before the model was: only read, or the next write shows that it was not.
            None => {
                self.open.remove(&fd);
                return match has("O_RDONLY") {
                    true => Ok(()),
                    false => Err(format!("line {}: {path} is not modelled", moment.line)),
                };
            }
        };
        if has("O_TRUNC") {
            self.edit(node, None, Edit::Truncate(0))?;
        }
        self.open.insert(fd, Open { node, offset: 0 });
        Ok(())
    }

    /// The node behind the first argument, if it is one of ours.
    fn descriptor(&self, moment: &Moment<'_>) -> Result<Option<Open>, String> {
        Ok(self.open.get(&moment.number(0)?).copied())
    }

    fn write(&mut self, moment: &Moment<'_>, at: Option<usize>) -> Result<(), String> {
        let fd = moment.number(0)?;
        let Some(open) = self.open.get_mut(&fd) else {
            return Ok(());
        };
        let data = moment.bytes(1)?;
        let offset = at.unwrap_or(open.offset);
        if at.is_none() {
            open.offset += data.len();
        }
        let node = open.node;
        self.edit(node, Some(moment.thread), Edit::Write(offset, data))
    }

    /// The call of a thread that changed a file is over: a sync that begins from now on covers it.
    fn returned(&mut self, moment: &Moment<'_>, result: i64) -> Result<(), String> {
        let Some(open) = self.descriptor(moment)? else {
            return Ok(());
        };
        let Node::File { pending, .. } = &mut self.nodes[open.node] else {
            return Ok(());
        };
        for change in pending.iter_mut() {
            if change.caller != Some(moment.thread) {
                continue;
            }
            change.caller = None;
            if let Edit::Write(_, data) = &change.what
                && usize::try_from(result) != Ok(data.len())
            {
                return Err(format!("line {}: a write was cut short", moment.line));
            }
        }
        Ok(())
    }

    fn sync_begins(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let Some(Open { node, .. }) = self.descriptor(moment)? else {
            return Ok(());
        };
        let covered = match &self.nodes[node] {
            Node::Directory { pending, .. } => pending.iter().map(|change| change.number).collect(),
            Node::File { name, .. } if self.deaf.is_some_and(|deaf| name.ends_with(deaf)) => {
                return Ok(());
            }
            Node::File { pending, .. } => pending
                .iter()
                .filter(|change| change.caller.is_none())
                .map(|change| change.number)
                .collect(),
        };
        self.syncing.insert(moment.thread, (node, covered));
        Ok(())
    }

    fn sync_ends(&mut self, thread: u32) {
        let Some((node, covered)) = self.syncing.remove(&thread) else {
            return;
        };
        self.synced += u64::from(!covered.is_empty());
        match &mut self.nodes[node] {
            Node::Directory { entries, pending } => {
                for change in take(pending, &covered) {
                    change.apply(entries);
                }
            }
            Node::File {
                content, pending, ..
            } => {
                for change in take(pending, &covered) {
                    change.apply(content);
                }
            }
        }
    }

    fn mkdir(&mut self, path: &str) -> Result<(), String> {
        let Some((directory, name)) = self.parent(path) else {
            return Ok(());
        };
        let node = self.nodes.len();
        self.nodes.push(Node::Directory {
            entries: BTreeMap::new(),
            pending: Vec::new(),
        });
        self.enter(directory, Entry::Link(name, node))
    }

    fn unlink(&mut self, path: &str) -> Result<(), String> {
        match self.parent(path) {
            Some((directory, name)) => self.enter(directory, Entry::Unlink(name)),
            None => Ok(()),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), String> {
        match (self.parent(from), self.parent(to)) {
            (Some((directory, from)), Some((other, to))) if directory == other => {
                let node = self.live(directory).get(&from).copied();
                let node = node.ok_or_else(|| format!("{from} is not modelled"))?;
                self.enter(directory, Entry::Rename(from, to, node))
            }
            (None, None) => Ok(()),
            _ => Err(format!("{from} to {to}: another directory is not modelled")),
        }
    }

    /// Memory that is written to and shared with a file.
    fn mapped(&mut self, moment: &Moment<'_>) -> Result<(), String> {
        let shared = moment.argument(3)?.contains("MAP_SHARED");
        if !shared || !moment.argument(2)?.contains("PROT_WRITE") {
            return Ok(());
        }
        let open = self.open.get(&moment.number(4)?);
        if let Some(Node::File { access, .. }) = open.and_then(|open| self.nodes.get_mut(open.node))
        {
            *access = Access::Memory;
        }
        Ok(())
    }

    /// Files that are written through memory.
    #[must_use]
    pub fn mapped_files(&self) -> Vec<&str> {
        let mapped = |node| match node {
            &Node::File {
                ref name,
                access: Access::Memory,
                ..
            } => Some(name.as_str()),
            Node::File { .. } | Node::Directory { .. } => None,
        };
        self.nodes.iter().filter_map(mapped).collect()
    }

    /// Any other call must not be about a file of ours.
    fn known_elsewhere(&self, moment: &Moment<'_>) -> Result<(), String> {
        let about = moment.arguments.iter().any(|argument| {
            let fd = argument.parse().ok();
            let path = argument.starts_with('"');
            fd.is_some_and(|fd: i64| self.open.contains_key(&fd)) && moment.call != "msync" || path
        });
        match about {
            true => Err(format!(
                "line {}: {} is not modelled",
                moment.line, moment.call
            )),
            false => Ok(()),
        }
    }

    fn edit(&mut self, node: usize, caller: Option<u32>, what: Edit) -> Result<(), String> {
        self.last_change += 1;
        let number = self.last_change;
        match &mut self.nodes[node] {
            Node::Directory { .. } => Err("a directory was written to".to_owned()),
            Node::File { pending, .. } => {
                pending.push(Pending {
                    number,
                    caller,
                    what,
                });
                Ok(())
            }
        }
    }

    fn enter(&mut self, directory: usize, what: Entry) -> Result<(), String> {
        self.last_change += 1;
        let number = self.last_change;
        match &mut self.nodes[directory] {
            Node::File { name, .. } => Err(format!("{name} is no directory")),
            Node::Directory { pending, .. } => {
                pending.push(Pending {
                    number,
                    caller: None,
                    what,
                });
                Ok(())
            }
        }
    }

    /// The directory of a path below the root, and its last name.
    fn parent(&self, path: &str) -> Option<(usize, String)> {
        let below = Path::new(path).strip_prefix(&self.root).ok()?;
        let name = below.file_name()?.to_str()?.to_owned();
        let mut node = 0;
        for part in below.parent()? {
            node = *self.live(node).get(part.to_str()?)?;
        }
        Some((node, name))
    }

    /// What the running system sees.
    fn live(&self, directory: usize) -> BTreeMap<String, usize> {
        let Node::Directory { entries, pending } = &self.nodes[directory] else {
            return BTreeMap::new();
        };
        let mut live = entries.clone();
        for change in pending {
            change.what.apply(&mut live);
        }
        live
    }
}

impl Loss<'_> {
    const fn keeps(&mut self) -> bool {
        match self {
            Self::All => false,
            Self::Some(dice) => dice.percent(50),
        }
    }
}

impl Entry {
    fn apply(&self, entries: &mut BTreeMap<String, usize>) {
        match self {
            Self::Link(name, node) => {
                entries.insert(name.clone(), *node);
            }
            Self::Rename(from, to, node) => {
                entries.remove(from);
                entries.insert(to.clone(), *node);
            }
            Self::Unlink(name) => {
                entries.remove(name);
            }
        }
    }
}

impl Edit {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Truncate(length) => content.resize(*length, 0),
            Self::Write(offset, data) => put(content, *offset, data),
        }
    }

    /// Whole, not at all, or some sectors of it.
    fn apply_partly(&self, content: &mut Vec<u8>, dice: &mut Dice) {
        match (dice.below(3), self) {
            (0, _) => {}
            (1, _) | (_, Self::Truncate(_)) => self.apply(content),
            (_, Self::Write(offset, data)) => {
                let mut rest = data.as_slice();
                let mut at = *offset;
                while !rest.is_empty() {
                    let (sector, behind) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if dice.percent(50) {
                        put(content, at, sector);
                    }
                    at += sector.len();
                    rest = behind;
                }
            }
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

fn take<T>(pending: &mut Vec<Pending<T>>, numbers: &[u64]) -> Vec<T> {
    let (taken, left) = std::mem::take(pending)
        .into_iter()
        .partition(|change: &Pending<T>| numbers.contains(&change.number));
    *pending = left;
    let taken: Vec<Pending<T>> = taken;
    taken.into_iter().map(|change| change.what).collect()
}

fn size(number: i64) -> Result<usize, String> {
    usize::try_from(number).map_err(|_| format!("{number} is no size"))
}
