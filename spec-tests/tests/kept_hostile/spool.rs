//! Who comes back to much that it is owed, and reads slowly or not at all.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use spec_tests::client::{BindTo, Client, PATIENCE};
use spec_tests::element::Item;
use spec_tests::kept::{Door, How, Seen, ask, ping};
use spec_tests::server::Server;
use spondee_core::sasl::{Hash, Mechanism, Plus};

use crate::{Outcome, come_back, id, long, message, same, settle, start, write_all};

const JULIET: &str = "juliet@localhost";

/// A session of juliet's whose system takes little at a time.
pub(crate) fn narrow(server: &Server, resource: &str) -> Result<Client, String> {
    narrow_as(server, "juliet", resource)
}

/// The same of somebody else's.
pub(crate) fn narrow_as(server: &Server, user: &str, resource: &str) -> Result<Client, String> {
    let fault = |e: std::io::Error| e.to_string();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).map_err(fault)?;
    socket.set_recv_buffer_size(16 * 1024).map_err(fault)?;
    socket.connect(&server.clear.into()).map_err(fault)?;
    let mut client = Client::over(TcpStream::from(socket), "localhost", &server.trust()?)?;
    client.open()?;
    let mechanism = Mechanism::Scram(Hash::Sha1, Plus::No);
    client.sign_in(user, "secret", mechanism, BindTo::Exporter)?;
    client.bind(Some(resource))?;
    Ok(client)
}

/// Somebody writes so many messages of this size to juliet, who is away.
pub(crate) fn owe(door: &Door, count: usize, size: usize) -> Outcome {
    let mut romeo = door.device("romeo", "orchard")?;
    let filler = "x".repeat(size);
    let stanzas: Vec<_> = (0..count)
        .map(|number| message(JULIET, "1", &format!("owed {number} {filler}")))
        .collect();
    let refused = write_all(&mut romeo, &stanzas)?;
    assert!(refused.is_empty(), "{:?}", refused.first());
    let refused = settle(&mut romeo, JULIET)?;
    assert!(refused.is_empty(), "{:?}", refused.first());
    romeo.close()
}

/// The first two words of a text: what it is, and its number.
fn words(seen: &Seen) -> String {
    let words: Vec<_> = seen.body.splitn(3, ' ').take(2).collect();
    words.join(" ")
}

fn numbered(what: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{what} {number}"))
        .collect()
}

/// What was owed first, all of it in order, then what came meanwhile.
#[test]
fn who_reads_slowly_is_sent_what_it_is_owed_before_what_others_write_meanwhile() -> Outcome {
    const OWED: usize = 3000;
    const LIVE: usize = 900;
    let (server, door) = start(&["romeo", "juliet", "nurse"], "")?;
    owe(&door, OWED, 10)?;
    let mut juliet = narrow(&server, "balcony")?;
    juliet.send("<presence/>")?;
    let mut seen = Vec::new();
    ask(&mut juliet, "here", &ping("here"), |stanza| {
        seen.extend(Seen::read(&stanza, JULIET)?);
        Ok(())
    })?;
    let mut writers = Vec::new();
    for name in ["romeo", "nurse"] {
        let mut client = door.device(name, "x")?;
        writers.push(thread::spawn(move || {
            let stanzas: Vec<_> = numbered(name, LIVE)
                .iter()
                .map(|text| message(JULIET, "1", text))
                .collect();
            write_all(&mut client, &stanzas)
        }));
    }
    while seen.len() < OWED + 2 * LIVE {
        let stanza = juliet.next(PATIENCE)?;
        seen.extend(Seen::read(&stanza, JULIET)?);
        if seen.len() % 250 == 0 {
            thread::sleep(Duration::from_millis(10));
        }
    }
    for writer in writers {
        let refused = writer.join().map_err(|_| "a client panicked")??;
        assert!(refused.is_empty(), "{:?}", refused.first());
    }
    let (owed, came) = seen.split_at(OWED);
    assert!(owed.iter().all(|seen| seen.how == How::Owed));
    same(
        &owed.iter().map(words).collect::<Vec<_>>(),
        &numbered("owed", OWED),
    )?;
    for name in ["romeo", "nurse"] {
        let from = format!("{name}@localhost/x");
        let of: Vec<_> = came
            .iter()
            .filter(|seen| seen.from == from)
            .map(words)
            .collect();
        same(&of, &numbered(name, LIVE))?;
    }
    let ids: BTreeSet<_> = seen.iter().filter_map(|seen| seen.id.as_ref()).collect();
    assert_eq!(ids.len(), seen.len(), "each has an id of its own");
    juliet.close()?;
    // Nothing is owed any more.
    let mut juliet = door.device("juliet", "balcony")?;
    let mut nurse = door.device("nurse", "y")?;
    let rest = come_back(&mut juliet, "juliet@localhost/balcony", &mut nurse)?;
    same(&rest, &[])
}

/// Others write to each other as if nothing were.
fn chat(door: &Door) -> Outcome {
    let mut nurse = door.device("nurse", "chat")?;
    let mut tybalt = door.device("tybalt", "chat")?;
    for number in 0..500 {
        nurse.send(&message("tybalt@localhost/chat", "1", &number.to_string()))?;
        let (_, body) = tybalt.next_body(PATIENCE)?;
        assert_eq!(body, number.to_string());
    }
    Ok(())
}

/// Somebody writes to her all the same: more than may wait for one session. What was refused.
fn write_on(door: &Door, count: usize) -> Result<BTreeSet<String>, String> {
    let mut nurse = door.device("nurse", "x")?;
    let filler = "y".repeat(4000);
    let live: Vec<_> = (0..count)
        .map(|number| {
            message(
                JULIET,
                &number.to_string(),
                &format!("live {number} {filler}"),
            )
        })
        .collect();
    let mut refused = Vec::new();
    for part in live.chunks(50) {
        refused.extend(write_all(&mut nurse, part)?);
    }
    refused.extend(settle(&mut nurse, JULIET)?);
    let refused = refused.iter();
    Ok(refused
        .map(|refusal| format!("live {}", id(refusal)))
        .collect())
}

/// All that lies in the sockets, up to their end.
fn drain(mut client: Client) -> Result<Vec<Seen>, String> {
    let mut seen = Vec::new();
    while let Ok(Item::Element(stanza)) = client.next_item(Duration::from_secs(2)) {
        seen.extend(Seen::read(&stanza, JULIET)?);
    }
    Ok(seen)
}

fn in_order(seen: &[Seen]) -> Outcome {
    for what in ["owed", "live"] {
        let of: Vec<usize> = seen
            .iter()
            .map(words)
            .filter_map(|text| text.strip_prefix(what)?.trim().parse().ok())
            .collect();
        if !of.is_sorted_by(|a, b| a < b) {
            return Err(format!("{what} out of order: {of:?}"));
        }
    }
    Ok(())
}

/// It has what a page takes, others go on, and who comes next gets the rest.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn who_reads_nothing_of_what_it_is_owed_fills_no_memory_and_loses_nothing() -> Outcome {
    const OWED: usize = 4000;
    const LIVE: usize = 2000;
    let (server, door) = start(&["romeo", "juliet", "nurse", "tybalt"], "")?;
    owe(&door, OWED, 3900)?;
    let before = server.pss_kib()?;
    let mut deaf = narrow(&server, "deaf")?;
    deaf.send("<presence/>")?;
    chat(&door)?;
    let meanwhile = server.pss_kib()?;
    assert!(
        meanwhile < before + 24 * 1024,
        "{before} KiB before, {meanwhile} then"
    );
    let refused = write_on(&door, LIVE)?;
    let then = server.pss_kib()?;
    println!(
        "{before} KiB before, {meanwhile} and {then} meanwhile; {} refused",
        refused.len()
    );
    assert!(
        then < before + 32 * 1024,
        "{before} KiB before, {then} then"
    );

    // She takes what lay in the sockets, is gone, and comes with another device.
    let first = drain(deaf)?;
    let mut juliet = door.device("juliet", "balcony")?;
    let mut tybalt = door.device("tybalt", "x")?;
    let second = come_back(&mut juliet, "juliet@localhost/balcony", &mut tybalt)?;
    println!(
        "{} of it lay in sockets, {} came then",
        first.len(),
        second.len()
    );
    in_order(&first)?;
    in_order(&second)?;
    let twice = first.iter().filter(|seen| second.contains(seen)).count();
    assert!(twice <= 256, "{twice} came to both");
    let got: BTreeSet<String> = first.iter().chain(&second).map(words).collect();
    let all = numbered("owed", OWED)
        .into_iter()
        .chain(numbered("live", LIVE));
    let lost: Vec<_> = all
        .filter(|text| !got.contains(text) && !refused.contains(text))
        .collect();
    assert!(
        lost.is_empty(),
        "{} lost, from {:?} on",
        lost.len(),
        lost.first()
    );
    let both: Vec<_> = got.intersection(&refused).collect();
    assert!(both.is_empty(), "delivered and refused: {both:?}");
    Ok(())
}

/// Two devices come at the same moment: each message goes to one of them.
#[test]
fn two_devices_that_come_at_once_share_nothing_that_was_owed() -> Outcome {
    const OWED: usize = 700;
    let (_server, door) = start(&["romeo", "juliet", "nurse"], "")?;
    for round in 0..long(30, 5) {
        owe(&door, OWED, 10)?;
        let mut devices = Vec::new();
        for resource in ["a", "b", "c"] {
            let mut client = door.device("juliet", resource)?;
            let mut other = door.device("nurse", resource)?;
            devices.push(thread::spawn(move || {
                let at = format!("{JULIET}/{resource}");
                let seen = come_back(&mut client, &at, &mut other)?;
                client.close()?;
                Ok::<_, String>(seen)
            }));
        }
        let mut all = Vec::new();
        for device in devices {
            let seen = device.join().map_err(|_| "a client panicked")??;
            let words: Vec<_> = seen.iter().map(words).collect();
            all.extend(words);
        }
        all.sort_unstable();
        let mut wanted = numbered("owed", OWED);
        wanted.sort_unstable();
        same(&all, &wanted).map_err(|fault| format!("round {round}: {fault}"))?;
    }
    Ok(())
}
