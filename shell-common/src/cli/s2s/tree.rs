//! What is shown as a tree: each line, and below it, further in, what it is made of.

use std::io::{self, Write};

/// One line with what belongs to it.
#[derive(Debug)]
pub(super) struct Tree {
    line: String,
    below: Vec<Self>,
}

impl Tree {
    pub(super) fn of(line: impl Into<String>, below: Vec<Self>) -> Self {
        Self {
            line: line.into(),
            below,
        }
    }

    pub(super) fn leaf(line: impl Into<String>) -> Self {
        Self::of(line, Vec::new())
    }

    pub(super) fn push(&mut self, tree: Self) {
        self.below.push(tree);
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_in(out, 0)
    }

    fn write_in(&self, out: &mut dyn Write, depth: usize) -> io::Result<()> {
        writeln!(out, "{:1$}{2}", "", depth * 2, self.line)?;
        self.below
            .iter()
            .try_for_each(|below| below.write_in(out, depth + 1))
    }
}
