//! The core's notes as log lines.

use spondee_core::port::Note;

/// Logs one note.
pub fn log(note: &Note) {
    let _ = note;
    todo!()
}
