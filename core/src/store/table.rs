//! Tables: what a back end must know of one, and rows.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use bytes::Bytes;

/// A table is known by the shape that its feature keeps.
pub type Table = &'static Shape;

/// What a table looks like. Each row belongs to an owner; that is no column here.
#[derive(Clone, Copy)]
pub struct Shape {
    /// The table's name in the database.
    pub name: &'static str,
    /// What tells the rows of one owner apart, in the order in which they sort. Without any, each owner has one row.
    pub key: &'static [Column],
    /// The other columns.
    pub columns: &'static [Column],
    /// Whether `Op::Load` brings it.
    pub loading: Loading,
    /// Whether anybody waits for what is put.
    pub puts: Puts,
}

/// Whether a table comes when its owner is loaded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loading {
    /// No: it is read by itself.
    Alone,
    /// No, and nobody is to tell by the time that it takes to read it whether there is a row: a back end reads another in the place of one
    /// that is not there, as far as it has any of that host.
    Unseen,
    /// Yes, all of it.
    Loaded,
}

/// Whether somebody is told of a put, and so must not be told before it is on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Puts {
    /// Yes: it is a change.
    Awaited,
    /// No, it promises nothing to anybody: a mark of how far something has come. It travels with appends (`Class::Append`).
    Quiet,
}

/// One column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Column {
    /// Its name in the database.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be empty. A column of a key may not.
    pub need: Need,
}

impl Column {
    /// A column that is never empty.
    #[must_use]
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        let need = Need::Always;
        Self { name, kind, need }
    }

    /// The same, but it may be empty.
    #[must_use]
    pub const fn optional(self) -> Self {
        Self {
            need: Need::Sometimes,
            ..self
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Bytes that are no text. Views show them in hexadecimal.
    Bytes,
    /// A whole number.
    Int,
    /// UTF-8 without NUL, which PostgreSQL cannot hold.
    Text,
    /// Microseconds since 1970-01-01T00:00:00Z.
    Time,
    /// As `Text`, and well-formed.
    Xml,
}

/// Whether a column may be empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// It is not.
    Always,
    /// It may be.
    Sometimes,
}

impl Shape {
    /// The columns of the key, then the others: the order of a row's fields.
    pub fn all(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.key.iter().chain(self.columns)
    }

    /// How many fields a row has.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.key.len() + self.columns.len()
    }
}

/// The name says which it is: no two tables share one.
impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other) || self.name == other.name
    }
}

impl Eq for Shape {}

impl Ord for Shape {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name.cmp(other.name)
    }
}

impl PartialOrd for Shape {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// One field. Fields of one column have one order: numbers by value, everything else by bytes.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub enum Field {
    /// Nothing.
    Absent,
    /// Of `Kind::Bytes`.
    Bytes(Bytes),
    /// Of `Kind::Int`.
    Int(i64),
    /// Of `Kind::Text`.
    Text(Bytes),
    /// Of `Kind::Time`.
    Time(i64),
    /// Of `Kind::Xml`.
    Xml(Bytes),
}

impl Field {
    /// A text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// About how many bytes it takes. The same in every back end, because answers are cut by it.
    #[must_use]
    pub const fn weight(&self) -> usize {
        match self {
            Self::Absent => 0,
            Self::Int(_) | Self::Time(_) => 8,
            Self::Bytes(bytes) | Self::Text(bytes) | Self::Xml(bytes) => bytes.len(),
        }
    }

    /// Whether a column may hold it.
    #[must_use]
    pub fn fits(&self, column: &Column) -> bool {
        match (self, column.kind) {
            (Self::Absent, _) => column.need == Need::Sometimes,
            (Self::Bytes(_), Kind::Bytes)
            | (Self::Int(_), Kind::Int)
            | (Self::Time(_), Kind::Time) => true,
            (Self::Text(text), Kind::Text) | (Self::Xml(text), Kind::Xml) => is_text(text),
            (
                Self::Bytes(_) | Self::Int(_) | Self::Text(_) | Self::Time(_) | Self::Xml(_),
                Kind::Bytes | Kind::Int | Kind::Text | Kind::Time | Kind::Xml,
            ) => false,
        }
    }
}

/// What bytes hold is not for logs: keys of credentials are among them.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("-"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Int(number) => write!(f, "{number}"),
            Self::Time(us) => write!(f, "{us} us"),
            Self::Text(text) | Self::Xml(text) => write!(f, "{text:?}"),
        }
    }
}

/// UTF-8 without NUL.
pub(super) fn is_text(text: &[u8]) -> bool {
    core::str::from_utf8(text).is_ok() && !text.contains(&0)
}

/// The fields of a row, in the order of `Shape::all`; or those of a key.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Row(pub Vec<Field>);

impl Row {
    /// About how many bytes it takes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.0.iter().map(Field::weight).sum()
    }

    /// Whether it is one of this table.
    #[must_use]
    pub fn fits(&self, table: &Shape) -> bool {
        self.0.len() == table.width() && self.fits_columns(table.all())
    }

    /// Whether it is the key of one row.
    #[must_use]
    pub fn is_key(&self, table: &Shape) -> bool {
        self.0.len() == table.key.len() && self.fits_columns(table.key.iter())
    }

    /// Whether it is the beginning of a key: nothing or all of it included.
    #[must_use]
    pub fn is_prefix(&self, table: &Shape) -> bool {
        self.0.len() <= table.key.len() && self.fits_columns(table.key.iter())
    }

    fn fits_columns<'a>(&self, columns: impl Iterator<Item = &'a Column>) -> bool {
        self.0
            .iter()
            .zip(columns)
            .all(|(field, column)| field.fits(column))
    }
}

/// A row that makes no sense. What its owner keeps is not to be used: what cannot be read must not be written over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadRow {
    /// In this table.
    pub table: Table,
    /// Of this contact, if it is about one.
    pub contact: Option<Box<str>>,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            contact,
            why,
        } = self;
        match contact {
            Some(contact) => write!(f, "{table:?}, contact {contact:?}: {why}"),
            None => write!(f, "{table:?}: {why}"),
        }
    }
}

impl core::error::Error for BadRow {}
