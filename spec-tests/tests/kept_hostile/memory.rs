//! What somebody can make the server hold in memory by few words.

use std::fs;
use std::time::Duration;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::Item;
use spec_tests::kept::{Answer, Door, MAM, Query, archive_policy, ask, enable_carbons, ping};
use spec_tests::server::Server;

use crate::spool::{narrow, owe};
use crate::{Outcome, come_back, message, settle, start, write_all};

/// The most that the server ever had, in KiB.
fn most(server: &Server) -> Result<u64, String> {
    let path = format!("/proc/{}/status", server.id());
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.trim().parse().ok())
        .ok_or_else(|| format!("{path}: no VmHWM"))
}

/// Somebody's own archive, of so many messages of this size.
fn fill(door: &Door, count: usize, size: usize) -> Result<Client, String> {
    let mut mallory = door.device("mallory", "x")?;
    let mut victim = door.device("juliet", "x")?;
    archive_policy(&mut victim, "never")?;
    let filler = "x".repeat(size);
    for _ in 0..count {
        write_all(&mut mallory, &[message("juliet@localhost", "1", &filler)])?;
    }
    settle(&mut mallory, "juliet@localhost")?;
    Ok(mallory)
}

/// What is repeated with each of hundreds of entries is bounded.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn a_long_queryid_does_not_multiply() -> Outcome {
    let (server, door) = start(&["mallory", "juliet"], "max_archive_query_results = 256\n")?;
    let mut mallory = fill(&door, 256, 10)?;
    let before = most(&server)?;
    let name = "q".repeat(200_000);
    let request = format!(
        "<iq type='set' id='q'><query xmlns='{MAM}' queryid='{name}'><set xmlns='http://jabber.org/protocol/rsm'><max>256</max></set></query></iq>"
    );
    mallory.send(&request)?;
    mallory.send(&ping("end"))?;
    let mut bytes = 0;
    loop {
        let stanza = mallory.next(PATIENCE)?;
        bytes += stanza.to_string().len();
        if stanza.name == "error" {
            println!(
                "{stanza}; {bytes} bytes, {before} KiB before, {} at most",
                most(&server)?
            );
        }
        if stanza.attribute("id") == Some("end") {
            break;
        }
    }
    let after = most(&server)?;
    println!(
        "{} bytes asked, {bytes} came; {before} KiB before, {after} at most",
        request.len()
    );
    assert!(bytes < 4 << 20, "{bytes} bytes for {}", request.len());
    assert!(
        after < before + 16 * 1024,
        "{before} KiB before, {after} at most"
    );
    Ok(())
}

/// Fifty clients of one account that ask for as much as they may and read nothing of it take what one account may take.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn fifty_who_ask_for_pages_and_read_none_take_what_one_account_may() -> Outcome {
    let (server, door) = start(
        &["mallory", "juliet", "romeo"],
        "max_archive_query_results = 256\n",
    )?;
    let mallory = fill(&door, 12, 250_000)?;
    drop(mallory);
    let before = server.pss_kib()?;
    let request = Query::new().max(256).request("q").repeat(20);
    let mut deaf = Vec::new();
    for number in 0..49 {
        let mut client = crate::spool::narrow_as(&server, "mallory", &format!("d{number}"))?;
        client.send(&request)?;
        deaf.push(client);
    }
    let mut romeo = door.device("romeo", "x")?;
    let mut worst = 0;
    let mut left = 0;
    let most = before + 48 * 1024;
    // Streams that are told to end may take some seconds to do so, and longer on a busy machine.
    for round in 0..1_200 {
        ask(&mut romeo, "p", &ping("p"), |_| Ok(()))?;
        left = server.pss_kib()?;
        worst = worst.max(left);
        if round >= 300 && left < most {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{before} KiB before, {worst} at most, {left} left");
    // Two pages of each at most, and 16 MiB for one account at last.
    assert!(
        worst < before + 160 * 1024,
        "{before} KiB before, {worst} at most"
    );
    assert!(left < most, "{before} KiB before, {left} left");
    Ok(())
}

/// Copies to devices that read nothing are bounded like everything that an account leaves unread.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn copies_to_devices_that_read_nothing_are_bounded() -> Outcome {
    let (server, door) = start(&["mallory", "juliet", "romeo"], "")?;
    let mut deaf = Vec::new();
    for number in 0..49 {
        let mut client = crate::spool::narrow_as(&server, "juliet", &format!("d{number}"))?;
        enable_carbons(&mut client)?;
        deaf.push(client);
    }
    let before = server.pss_kib()?;
    let mut mallory = door.device("mallory", "x")?;
    let filler = "x".repeat(200_000);
    let mut worst = 0;
    for number in 0..60 {
        let stanza = message("juliet@localhost", &number.to_string(), &filler);
        write_all(&mut mallory, &[stanza])?;
        worst = worst.max(server.pss_kib()?);
    }
    let mut romeo = door.device("romeo", "x")?;
    ask(&mut romeo, "p", &ping("p"), |_| Ok(()))?;
    println!("{before} KiB before, {worst} at most");
    assert!(
        worst < before + 64 * 1024,
        "{before} KiB before, {worst} at most"
    );
    Ok(())
}

/// A device that has copies of what is owed, and is never there itself, is remembered as having them no longer than they are owed.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn who_has_copies_of_what_was_delivered_long_ago_is_not_remembered_for_it() -> Outcome {
    let (server, door) = start(&["romeo", "juliet", "nurse"], "")?;
    let mut watches = Vec::new();
    for number in 0..20 {
        let mut client = door.device("juliet", &format!("w{number}"))?;
        enable_carbons(&mut client)?;
        watches.push(client);
    }
    let mut nurse = door.device("nurse", "x")?;
    let mut figures = Vec::new();
    for round in 0..crate::long(30, 5) {
        owe(&door, 1000, 10)?;
        // And of what was sent to see that all had come.
        let wanted = 1000 + usize::from(round > 0);
        for watch in &mut watches {
            let came = watch.count("</forwarded>", wanted, PATIENCE)?;
            assert_eq!(came, wanted);
        }
        let mut juliet = door.device("juliet", "balcony")?;
        let seen = come_back(&mut juliet, "juliet@localhost/balcony", &mut nurse)?;
        assert_eq!(seen.len(), 1000);
        juliet.close()?;
        figures.push(server.pss_kib()?);
    }
    println!("{figures:?} KiB");
    let (first, last) = (figures[2], figures[figures.len() - 1]);
    assert!(last < first + 12 * 1024, "{figures:?} KiB");
    Ok(())
}

/// Somebody writes what is not kept to somebody who is still being told what waited: who writes too much waits, and ends nobody's session.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn a_flood_of_what_is_not_kept_does_not_end_the_session_of_who_catches_up() -> Outcome {
    let (server, door) = start(&["romeo", "juliet", "mallory"], "")?;
    owe(&door, 3000, 2000)?;
    let mut juliet = narrow(&server, "balcony")?;
    juliet.send("<presence/>")?;
    juliet.send(&ping("here"))?;
    let mut mallory = door.device("mallory", "x")?;
    let state = "<message type='chat' to='juliet@localhost/balcony'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
    let flood = std::thread::spawn(move || {
        let states = vec![state.to_owned(); 3000];
        write_all(&mut mallory, &states)
    });
    // She reads all the time, and not fast.
    let (mut owed, mut end) = (0, None);
    while owed < 3000 && end.is_none() {
        match juliet.next_item(PATIENCE) {
            Ok(Item::Element(stanza)) if stanza.name == "message" => {
                let delay = stanza.children().any(|child| child.name == "delay");
                owed += usize::from(delay);
                if owed % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            Ok(Item::Element(stanza)) if stanza.name != "error" => {}
            other => end = Some(other),
        }
    }
    let refused = flood.join().map_err(|_| "a client panicked")??;
    println!("{owed} came; {} refused; {end:?}", refused.len());
    assert!(end.is_none(), "behind {owed}: {end:?}");
    Ok(())
}

/// A query of who is gone by the time of the answer leaves nothing behind.
#[test]
fn queries_of_clients_that_are_gone_do_not_pile_up() -> Outcome {
    let (server, door) = start(&["mallory", "juliet"], "")?;
    let mut stays = fill(&door, 50, 10)?;
    let before = server.pss_kib()?;
    for number in 0..crate::long(2000, 200) {
        let mut client = door.device("mallory", "goes")?;
        client.send(&Query::new().max(50).request("q").repeat(3))?;
        drop(client);
        if number % 50 == 0 {
            let answer = spec_tests::kept::query(&mut stays, "s", &Query::new().max(1))?;
            assert!(matches!(answer, Answer::Page(_)));
        }
    }
    let after = server.pss_kib()?;
    assert!(
        after < before + 8 * 1024,
        "{before} KiB before, {after} after"
    );
    Ok(())
}
