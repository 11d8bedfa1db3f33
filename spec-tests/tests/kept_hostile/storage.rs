//! Disks that are full, read-only or held by somebody else while messages come for people who are away.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::Element;
use spec_tests::kept::{Door, IN_CLEAR, Query, ask, page, ping};
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server};
use spec_tests::strace;
use spondee_shell_common::store::FILE_NAME;

use crate::{Outcome, come_back, condition, id, message, owed, settle, write_all};

const JULIET: &str = "juliet@localhost";

fn prepared() -> Result<spec_tests::server::Stopped, String> {
    let scratch = Scratch::in_memory().map_err(|e| e.to_string())?;
    let prepared = Server::prepare(
        scratch,
        &format!("default_iteration_count = 4096\n{IN_CLEAR}"),
    )?;
    for name in ["romeo", "juliet", "nurse"] {
        prepared.add_user(&format!("{name}@localhost"), "secret")?;
    }
    Ok(prepared)
}

/// Somebody who writes one message after another, and knows of each what became of it.
struct Writer {
    client: Client,
    /// A device of the receiver's that is never there, and sees what is on the disk.
    archive: Client,
    written: usize,
    /// What was not refused.
    kept: Vec<String>,
}

impl Writer {
    fn new(door: &Door) -> Result<Self, String> {
        Ok(Self {
            client: door.device("romeo", "orchard")?,
            archive: door.device("juliet", "archive")?,
            written: 0,
            kept: Vec::new(),
        })
    }

    /// The condition with which it was refused.
    fn write(&mut self) -> Result<Option<String>, String> {
        let text = format!("text {}", self.written);
        self.written += 1;
        self.client.send(&message(JULIET, &text, &text))?;
        let refused = self.settle()?;
        match refused.as_slice() {
            [] => {
                self.kept.push(text);
                Ok(None)
            }
            [refusal] if id(refusal) == text => Ok(Some(condition(refusal).to_owned())),
            _ => Err(format!("{text}: {refused:?}")),
        }
    }

    /// Waits until all that was written is on the disk, or was refused.
    fn settle(&mut self) -> Result<Vec<Element>, String> {
        let mut refused = settle(&mut self.client, JULIET)?;
        page(&mut self.archive, "disk", &Query::new().max(1).before(""))?;
        refused.extend(settle(&mut self.client, JULIET)?);
        Ok(refused)
    }

    /// Until so many were kept, one after another.
    fn write_well(&mut self, count: usize) -> Outcome {
        let deadline = Instant::now() + 2 * PATIENCE;
        let mut well = 0;
        while well < count {
            if Instant::now() > deadline {
                return Err("the disk is well again, and the server is not".to_owned());
            }
            match self.write()? {
                None => well += 1,
                Some(_) => {
                    well = 0;
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
        Ok(())
    }
}

/// What was not refused is there, once the server was killed and started again, and nothing else.
fn all_there(server: &mut Server, door: &Door, kept: &[String]) -> Outcome {
    server.kill()?;
    server.start_again()?;
    let mut juliet = door.device("juliet", "balcony")?;
    let mut nurse = door.device("nurse", "x")?;
    let seen = come_back(&mut juliet, "juliet@localhost/balcony", &mut nurse)?;
    owed(&seen, kept)
}

/// A limit on the size of files, as a quota is.
#[test]
fn who_writes_to_somebody_away_is_told_that_the_disk_is_full_until_it_is_not() -> Outcome {
    let prepared = prepared()?;
    let program = Command::new(prepared.binary());
    let mut server = prepared.begin(program)?;
    let door = Door::of(&server)?;
    let mut writer = Writer::new(&door)?;
    for _ in 0..30 {
        assert_eq!(writer.write()?, None);
    }
    let wal = server.data().join(format!("{FILE_NAME}-wal"));
    let length = fs::metadata(wal).map_err(|e| e.to_string())?.len();
    server.limit_files(&length.to_string())?;
    let mut refused = 0;
    // A log that was folded into the database has room at its beginning.
    for _ in 0..2000 {
        if let Some(condition) = writer.write()? {
            // To SQLite this is a write that failed: of a disk it would know that it is full.
            assert_eq!(condition, "internal-server-error");
            refused += 1;
        }
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5);
    // Who is there is written to as ever.
    let mut nurse = door.device("nurse", "x")?;
    writer
        .client
        .send(&message("nurse@localhost/x", "live", "live"))?;
    assert_eq!(nurse.next_body(PATIENCE)?.1, "live");
    nurse.close()?;
    server.limit_files("unlimited")?;
    writer.write_well(30)?;
    all_there(&mut server, &door, &writer.kept)
}

/// Errors that come and go; calls are counted for each thread, so they hit the one that stores.
#[test]
fn errors_of_a_disk_lose_no_message_of_which_nobody_was_told() -> Outcome {
    if left_out("errors of a disk under messages, which need strace") {
        return Ok(());
    }
    for (fault, reason) in [
        ("pwrite64:error=ENOSPC:when=60..80", "resource-constraint"),
        (
            "pwrite64:error=EROFS:when=61..90+3",
            "internal-server-error",
        ),
    ] {
        let prepared = prepared()?;
        let mut command = strace::failing(fault);
        command.arg(prepared.binary());
        let mut server = prepared.begin(command)?;
        let door = Door::of(&server)?;
        let mut writer = Writer::new(&door)?;
        let (mut refused, mut after) = (0, 0);
        while after < 30 && writer.written < 2000 {
            match writer.write()? {
                Some(condition) => {
                    assert_eq!(condition, reason, "{fault}");
                    refused += 1;
                    after = 0;
                }
                None if refused > 0 => after += 1,
                None => {}
            }
        }
        assert!(refused > 0 && after == 30, "{fault}: {refused} refused");
        all_there(&mut server, &door, &writer.kept)?;
    }
    Ok(())
}

/// An administrator's `sqlite3` in a transaction: longer than the writer waits for it.
#[test]
fn a_database_that_somebody_holds_for_seconds_loses_nothing() -> Outcome {
    let prepared = prepared()?;
    let program = Command::new(prepared.binary());
    let mut server = prepared.begin(program)?;
    let door = Door::of(&server)?;
    let mut writer = Writer::new(&door)?;
    let fault = |e: rusqlite::Error| e.to_string();
    let held = Connection::open(server.data().join(FILE_NAME)).map_err(fault)?;
    held.execute_batch("BEGIN IMMEDIATE").map_err(fault)?;
    let begun = Instant::now();
    let mut refused = Vec::new();
    let mut texts = Vec::new();
    while begun.elapsed() < Duration::from_secs(8) {
        let part: Vec<String> = (0..20)
            .map(|number| format!("text {}", texts.len() + number))
            .collect();
        let stanzas: Vec<_> = part
            .iter()
            .map(|text| message(JULIET, text, text))
            .collect();
        texts.extend(part);
        refused.extend(write_all(&mut writer.client, &stanzas)?);
        // Who asks for nothing that is kept has its answer.
        let mut nurse = door.device("nurse", "x")?;
        ask(&mut nurse, "ping", &ping("ping"), |_| Ok(()))?;
        thread::sleep(Duration::from_millis(100));
    }
    held.execute_batch("COMMIT").map_err(fault)?;
    refused.extend(writer.settle()?);
    let reasons: Vec<_> = refused.iter().map(condition).collect();
    let allowed = ["resource-constraint", "internal-server-error"];
    assert!(
        reasons.iter().all(|reason| allowed.contains(reason)),
        "{reasons:?}"
    );
    let refused: Vec<_> = refused
        .iter()
        .map(|refusal| id(refusal).to_owned())
        .collect();
    texts.retain(|text| !refused.contains(text));
    assert!(!texts.is_empty());
    all_there(&mut server, &door, &texts)
}
