//! Who asks for the archive again and again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use spec_tests::changes::Change;
use spec_tests::client::{Client, PATIENCE};
use spec_tests::kept::{Query, ask, page, ping};

use crate::{Outcome, message, settle, start, write_all};

/// Adds an account through the control socket.
pub(crate) fn add(control: &mut BufReader<UnixStream>, name: &str) -> Outcome {
    let request = Change::Add("secret".to_owned()).request(&format!("{name}@localhost"));
    let mut answer = String::new();
    control
        .get_mut()
        .write_all(request.as_bytes())
        .and_then(|()| control.read_line(&mut answer))
        .map_err(|e| e.to_string())?;
    match answer.contains("\"done\"") {
        true => Ok(()),
        false => Err(format!("{name}: {answer}")),
    }
}

/// Has queries waiting all the time, and counts the pages that come.
fn devour(mut client: Client, pages: &AtomicUsize, over: &AtomicBool) -> Outcome {
    const AHEAD: usize = 20;
    let request = Query::new().max(256).before("").request("more");
    client.send(&request.repeat(AHEAD))?;
    while !over.load(Ordering::Relaxed) {
        if client.count("</fin>", 1, PATIENCE)? == 0 {
            return Err("the server closed the stream of who asks much".to_owned());
        }
        pages.fetch_add(1, Ordering::Relaxed);
        client.send(&request)?;
    }
    Ok(())
}

/// What others ask for comes between the pages of those who ask without end: a few of theirs for one of ours, whatever the machine.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn who_asks_for_pages_without_end_does_not_keep_others_waiting() -> Outcome {
    const GREEDY: usize = 6;
    const ASKED: usize = 60;
    let (_server, door) = start(&["mallory", "romeo", "juliet"], "")?;
    let mut mallory = door.device("mallory", "x")?;
    let long = "x".repeat(300);
    let stanzas: Vec<_> = (0..1000)
        .map(|_| message("juliet@localhost", "1", &long))
        .collect();
    write_all(&mut mallory, &stanzas)?;
    settle(&mut mallory, "juliet@localhost")?;
    let mut romeo = door.device("romeo", "orchard")?;
    write_all(&mut romeo, &stanzas[..100])?;
    settle(&mut romeo, "juliet@localhost")?;

    let (pages, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let mut greedy = Vec::new();
    for number in 0..GREEDY {
        let client = door.device("mallory", &format!("x{number}"))?;
        let (pages, over) = (pages.clone(), over.clone());
        greedy.push(thread::spawn(move || devour(client, &pages, &over)));
    }
    while pages.load(Ordering::Relaxed) < 10 * GREEDY {
        thread::yield_now();
    }
    let begun = pages.load(Ordering::Relaxed);
    for _ in 0..ASKED {
        let own = page(&mut romeo, "own", &Query::new().max(5).before(""))?;
        assert_eq!(own.entries.len(), 5);
    }
    let asked = pages.load(Ordering::Relaxed);
    for _ in 0..ASKED {
        ask(&mut romeo, "ping", &ping("ping"), |_| Ok(()))?;
    }
    let pinged = pages.load(Ordering::Relaxed);
    // Somebody new comes in.
    for number in 0..5 {
        door.device("juliet", &format!("balcony{number}"))?
            .close()?;
    }
    over.store(true, Ordering::Relaxed);
    for client in greedy {
        client.join().map_err(|_| "a client panicked")??;
    }
    let (own, pings) = (asked - begun, pinged - asked);
    println!(
        "{GREEDY} without end: {own} pages of theirs meanwhile for {ASKED} of ours, {pings} for {ASKED} pings"
    );
    // First come, first served would be one of each for one of ours; what lies in sockets comes on top.
    assert!(own <= 4 * GREEDY * ASKED, "{own} pages for {ASKED}");
    assert!(pings <= 4 * GREEDY * ASKED, "{pings} pages for {ASKED}");
    Ok(())
}
