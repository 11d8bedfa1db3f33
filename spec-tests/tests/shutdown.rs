//! A real server with a crowd of sessions that is told to stop, or of which a host is taken away: everybody hears why, and whoever
//! stays is served meanwhile. A thousand sessions, or as many as descriptors allow; with `SPONDEE_LONG` ten thousand.

#![expect(
    clippy::print_stdout,
    reason = "how long it took is shown by --nocapture"
)]

use std::fs;
use std::process::Command;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use spec_tests::client::{BindTo, Client, PATIENCE, Trust};
use spec_tests::element::{Item, STREAMS};
use spec_tests::kept::ping;
use spec_tests::server::{Scratch, Server};
use spondee_core::sasl::Mechanism;
use spondee_shell_common::limits::shell::raise_descriptors;

type Outcome = Result<(), String>;

const HOST: &str = "localhost";
const OTHER: &str = "other.test";
/// Sessions of one account: they tell each other that they come and go.
const SESSIONS: usize = 20;
/// Of this side: they sign in, and read.
const THREADS: usize = 4;
/// One session in so many has TLS, which costs a hundred times what the rest of a sign-in does here.
const SECURED: usize = 10;
/// Whoever signs in by DIGEST-MD5 has no keys derived, which would take all the time.
const OPTIONS: &str = "authentication = \"internal_plain\"\ndisable_sasl_mechanisms = []\nc2s_require_encryption = false\n";

fn sessions() -> usize {
    let wanted = match std::env::var_os("SPONDEE_LONG") {
        Some(_) => 10_000,
        None => 1_000,
    };
    // The server has as many, and some for itself.
    wanted.min(raise_descriptors().saturating_sub(500)) / SESSIONS * SESSIONS
}

/// A server with two hosts, and accounts at one of them that have so many sessions together.
fn server(host: &str, count: usize) -> Result<Server, String> {
    let scratch = Scratch::in_memory().map_err(|e| e.to_string())?;
    let stopped = Server::prepare(scratch, &format!("{OPTIONS}[host.\"{OTHER}\"]\n{OPTIONS}"))?;
    let certificates = stopped.scratch().join("certs");
    let issued = stopped.authority().issue(&certificates, OTHER);
    issued.map_err(|e| e.to_string())?;
    let command = Command::new(stopped.binary());
    let server = stopped.begin(command)?;
    for account in 0..count / SESSIONS {
        server.add_user(&format!("{}@{host}", name(account)), "secret")?;
    }
    Ok(server)
}

fn name(account: usize) -> String {
    format!("guest{account}")
}

fn session(server: &Server, trust: &Trust, host: &str, number: usize) -> Result<Client, String> {
    let user = name(number / SESSIONS);
    let mut client = match number.is_multiple_of(SECURED) {
        true => Client::connect_tls(server.tls, host, trust, &["xmpp-client"])?,
        false => Client::connect(server.clear, host, trust)?,
    };
    client.open()?;
    client.sign_in(&user, "secret", Mechanism::DigestMd5, BindTo::Unoffered)?;
    client.bind(Some(&format!("r{number}")))?;
    client.send("<presence/>")?;
    // Every third of them.
    if number.is_multiple_of(3) {
        client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")?;
    }
    Ok(client)
}

fn crowd(server: &Server, host: &str, count: usize) -> Result<Vec<Client>, String> {
    let trust = server.trust()?;
    let share = |thread: usize| {
        let numbers = (0..count).filter(move |number| number % THREADS == thread);
        let sessions = numbers.map(|number| session(server, &trust, host, number));
        sessions.collect::<Result<Vec<_>, _>>()
    };
    scope(|scope| {
        let share = &share;
        let shares: Vec<_> = (0..THREADS)
            .map(|thread| scope.spawn(move || share(thread)))
            .collect();
        let mut crowd = Vec::new();
        for share in shares {
            crowd.extend(share.join().map_err(|_| "a thread failed")??);
        }
        Ok(crowd)
    })
}

/// Reads to the end of the stream, which comes with this error, and says goodbye. When that was.
fn hear_the_end(mut client: Client, condition: &str) -> Result<Instant, String> {
    let mut error = None;
    loop {
        match client.next_item(PATIENCE)? {
            Item::Element(element) if element.is(STREAMS, "error") => {
                error = element.condition().map(str::to_owned);
            }
            Item::Close => break,
            Item::Element(_) => {}
            Item::Open(header) => return Err(format!("a second header: {header}")),
        }
    }
    if error.as_deref() != Some(condition) {
        return Err(format!("{error:?}, not {condition}"));
    }
    let heard = Instant::now();
    client.send("</stream:stream>")?;
    client.expect_end()?;
    Ok(heard)
}

/// The same for all of them; the last of those moments.
fn hear_all_ends(crowd: Vec<Client>, condition: &str) -> Result<Instant, String> {
    let mut shares: Vec<Vec<Client>> = Vec::new();
    shares.resize_with(THREADS, Vec::new);
    for (number, client) in crowd.into_iter().enumerate() {
        shares[number % THREADS].push(client);
    }
    let hear = |share: Vec<Client>| {
        let ends = share.into_iter();
        let ends = ends.map(|client| hear_the_end(client, condition));
        ends.collect::<Result<Vec<_>, _>>()
    };
    scope(|scope| {
        let hear = &hear;
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || hear(share)))
            .collect();
        let mut last = Instant::now();
        for thread in threads {
            let heard = thread.join().map_err(|_| "a thread failed")??;
            last = heard.into_iter().fold(last, Instant::max);
        }
        Ok(last)
    })
}

/// Tells the server to stop.
fn stop(server: &Server) -> Outcome {
    let id = server.id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status();
    let told = told.map_err(|e| e.to_string())?;
    match told.success() {
        true => Ok(()),
        false => Err(told.to_string()),
    }
}

/// What the log says where the server did not wait until all was done.
const CUT_OFF: &str = "is cut off";

#[test]
fn all_hear_that_the_server_stops_and_it_is_gone_as_soon_as_they_are() -> Outcome {
    let count = sessions();
    let mut server = server(HOST, count)?;
    let crowd = crowd(&server, HOST, count)?;
    let begun = Instant::now();
    stop(&server)?;
    let last = hear_all_ends(crowd, "system-shutdown")?;
    let status = server.wait_for_end()?;
    let took = begun.elapsed();
    println!(
        "{count} sessions: all had heard it after {:?}, the server was gone after {took:?}",
        last.duration_since(begun)
    );
    assert!(status.success(), "{status}");
    let log = server.log();
    assert!(!log.contains(CUT_OFF), "{log}");
    Ok(())
}

/// Clients that read and say nothing hold nobody up for ever, however many they are: the server is gone before the first of them goes, and has told
/// them why.
#[test]
fn a_crowd_that_answers_nothing_does_not_keep_the_server() -> Outcome {
    let count = sessions() / 4 / SESSIONS * SESSIONS;
    let mut server = server(HOST, count)?;
    let crowd = crowd(&server, HOST, count)?;
    let begun = Instant::now();
    stop(&server)?;
    let status = server.wait_for_end()?;
    println!(
        "{count} sessions: the server was gone after {:?}",
        begun.elapsed()
    );
    assert!(status.success(), "{status}");
    for mut client in crowd {
        let error = client.next_where(PATIENCE, |element| element.is(STREAMS, "error"))?;
        assert_eq!(error.condition(), Some("system-shutdown"));
    }
    Ok(())
}

#[test]
fn all_hear_that_their_host_is_gone_and_others_are_served_meanwhile() -> Outcome {
    let count = sessions();
    let mut server = server(OTHER, count)?;
    server.add_user(&format!("{}@{HOST}", name(0)), "secret")?;
    let crowd = crowd(&server, OTHER, count)?;
    let mut stays = session(&server, &server.trust()?, HOST, 0)?;
    let config = server.scratch().join("spondee.toml");
    let text = fs::read_to_string(&config).map_err(|e| e.to_string())?;
    let (text, _) = text
        .split_once(&format!("[host.\"{OTHER}\"]"))
        .ok_or("one host")?;
    fs::write(&config, text).map_err(|e| e.to_string())?;
    let begun = Instant::now();
    server.command(&["reload"])?;
    let (last, longest) = scope(|scope| {
        let ends = scope.spawn(move || hear_all_ends(crowd, "host-gone"));
        let mut longest = Duration::ZERO;
        while !ends.is_finished() {
            let asked = Instant::now();
            stays.send(&ping("p"))?;
            stays.next_where(PATIENCE, |answer| answer.attribute("id") == Some("p"))?;
            longest = longest.max(asked.elapsed());
            sleep(Duration::from_millis(1));
        }
        let last = ends.join().map_err(|_| "a thread failed")??;
        Ok::<_, String>((last, longest))
    })?;
    println!(
        "{count} sessions: all had heard it after {:?}; a ping took {longest:?} at most",
        last.duration_since(begun)
    );
    stays.close()?;
    server.stop()
}
