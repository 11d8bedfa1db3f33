//! Whether a database file is there and whole, by its lengths: SQLite itself takes a file that was cut inside its last page for a
//! whole one, takes an empty file for a new one, and fills with zeros what is missing where its log is written back.
//!
//! Only reads, before SQLite opens the file: that may remove the log, and with it what could still be saved. The formats are described in
//! SQLite's `btreeInt.h` (the header) and `wal.c` (the write-ahead log).

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::History;
use crate::remedy::explain;

/// # Errors
/// A sentence for the administrator: it is gone, cut off, or not a file.
pub(super) fn examine(path: &Path, history: History<'_>) -> Result<(), String> {
    let shown = path.display();
    let log = beside(path, "-wal");
    let failed = |error: io::Error| format!("cannot read {shown}: {}", explain(&error, path));
    let length = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(format!("{shown} is not a file: move it away"));
        }
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Ok(target) = fs::read_link(path) {
                return Err(format!(
                    "{shown} is a link to {}, which does not exist: put the database there, or remove the link",
                    target.display()
                ));
            }
            return missing(path, &log, history, "is gone");
        }
        Err(error) => return Err(failed(error)),
    };
    if length == 0 {
        return missing(path, &log, history, "is empty");
    }
    // What SQLite rolls back first may be of any length.
    if is_there(&beside(path, "-journal")) {
        return Ok(());
    }
    let cut = |length: u64, whole: u64| {
        Err(format!(
            "{shown} is cut off, it has {length} bytes and should have at least {whole}: restore it from a backup; what is left can be read with `sqlite3 {shown} \
             .recover`"
        ))
    };
    // Without a header SQLite takes it for a new one.
    if length < Header::LENGTH {
        return cut(length, Header::LENGTH);
    }
    // The log first: what another program writes back meanwhile is in the file then.
    let log = Log::read(&log).map_err(failed)?;
    let Some(header) = Header::read(path).map_err(failed)? else {
        return Ok(());
    };
    let length = fs::metadata(path).map_err(failed)?.len();
    let pages = log.as_ref().map_or(header.pages, |log| log.pages);
    match needed(&header, pages, log.as_ref(), length) {
        Some(whole) => cut(length, whole),
        None => Ok(()),
    }
}

/// How long a file would have to be that is too short.
fn needed(header: &Header, pages: u32, log: Option<&Log>, length: u64) -> Option<u64> {
    let size = u64::from(header.page_size);
    let whole = length / size;
    if pages == 0 {
        // Nothing says how many there should be; but they are whole.
        return (!length.is_multiple_of(size)).then(|| (whole + 1) * size);
    }
    // Never written, because SQLite locks a byte of it (`PENDING_BYTE_PAGE`).
    let locked = 0x4000_0000 / size + 1;
    let is_kept = |page: u64| {
        let number = u32::try_from(page).ok();
        page == locked || log.is_some_and(|log| number.is_some_and(|page| log.kept.contains(&page)))
    };
    let mut missing = (whole + 1..=u64::from(pages)).filter(|page| !is_kept(*page));
    // Only the first matters.
    missing.next().map(|_| u64::from(pages) * size)
}

/// There is no database. What is beside it tells whether there was one.
fn missing(path: &Path, log: &Path, history: History<'_>, how: &str) -> Result<(), String> {
    let (shown, directory) = (path.display(), path.parent().unwrap_or(path));
    let sign = match history {
        History::Used(sign) => sign,
        History::Unknown if is_there(log) => log,
        History::Unknown => return Ok(()),
    };
    Err(lost(&shown.to_string(), directory, sign, how))
}

/// What to do about a database that is lost.
pub(super) fn lost(shown: &str, directory: &Path, sign: &Path, how: &str) -> String {
    format!(
        "{shown} {how}, and {} shows that accounts were in it: restore it from a backup, together with the files in {} that begin with its \
         name; to begin anew without any account, remove {} and these files, too",
        sign.display(),
        directory.display(),
        sign.display()
    )
}

/// The file beside it whose name is longer by this.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    PathBuf::from(name)
}

fn is_there(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

/// What the first page says.
#[derive(Debug)]
struct Header {
    page_size: u32,
    /// 0 if it does not say.
    pages: u32,
}

impl Header {
    const LENGTH: u64 = 100;

    /// `None` for what is no database: SQLite says so.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut bytes = [0; 100];
        fill(&mut File::open(path)?, &mut bytes)?;
        if !bytes.starts_with(b"SQLite format 3\0") {
            return Ok(None);
        }
        let page_size = match number(&bytes, 16) >> 16 {
            1 => 65_536,
            size => size,
        };
        if !page_size.is_power_of_two() || page_size < 512 {
            return Ok(None);
        }
        // An old program may have written the pages and not their number; then these two differ.
        let counted = number(&bytes, 24) == number(&bytes, 92);
        Ok(Some(Self {
            page_size,
            pages: if counted { number(&bytes, 28) } else { 0 },
        }))
    }
}

/// What the write-ahead log holds.
#[derive(Debug)]
struct Log {
    /// Of the database after its last commit.
    pages: u32,
    /// Those that are in it.
    kept: BTreeSet<u32>,
}

impl Log {
    const HEADER: usize = 32;
    const FRAME: usize = 24;

    /// `None` if there is nothing in it that counts.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut file = match File::open(path) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut header = [0; Self::HEADER];
        fill(&mut file, &mut header)?;
        let order = match number(&header, 0) {
            0x377f_0682 => u32::from_le_bytes as fn([u8; 4]) -> u32,
            0x377f_0683 => u32::from_be_bytes,
            _ => return Ok(None),
        };
        let page_size = usize::try_from(number(&header, 8)).unwrap_or(0);
        let mut sum = Sum {
            order,
            parts: (0, 0),
        };
        sum.add(&header[..24]);
        if !page_size.is_power_of_two()
            || !(512..=65_536).contains(&page_size)
            || !sum.is_at(&header, 24)
        {
            return Ok(None);
        }
        let salt = [number(&header, 16), number(&header, 20)];
        let mut frame = vec![0; Self::FRAME + page_size];
        let (mut log, mut open) = (None, Vec::new());
        let mut kept = BTreeSet::new();
        while fill(&mut file, &mut frame)? == frame.len() {
            let (head, page) = frame.split_at(Self::FRAME);
            sum.add(&head[..8]);
            sum.add(page);
            let valid = salt == [number(head, 8), number(head, 12)] && sum.is_at(head, 16);
            if !valid || number(head, 0) == 0 {
                break;
            }
            open.push(number(head, 0));
            // What no commit follows does not count.
            if number(head, 4) > 0 {
                kept.extend(open.drain(..));
                log = Some(number(head, 4));
            }
        }
        Ok(log.map(|pages| Self { pages, kept }))
    }
}

/// The checksum of the log (`walChecksumBytes`), over all that was read so far.
#[derive(Debug)]
struct Sum {
    order: fn([u8; 4]) -> u32,
    parts: (u32, u32),
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let (mut first, mut second) = self.parts;
        for pair in bytes.as_chunks::<4>().0.as_chunks::<2>().0 {
            first = first
                .wrapping_add((self.order)(pair[0]))
                .wrapping_add(second);
            second = second
                .wrapping_add((self.order)(pair[1]))
                .wrapping_add(first);
        }
        self.parts = (first, second);
    }

    /// Whether it stands in these bytes.
    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        self.parts == (number(bytes, at), number(bytes, at + 4))
    }
}

/// Four bytes as they stand in all of these formats; 0 beyond the end.
fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    four.map_or(0, |four| u32::from_be_bytes(*four))
}

/// Reads until the buffer is full or the file ends. Tells how much was read.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut full = 0;
    while let Some(rest) = buffer.get_mut(full..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => full += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(full)
}
