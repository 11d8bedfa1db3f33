//! `user export` and `user import` beside servers that run: who was brought to another signs in there as before and finds what was said.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::{CLIENT, Element};
use spec_tests::server::{Server, Setup};

type Outcome = Result<(), String>;

const MAM: &str = "urn:xmpp:mam:2";
const RSM: &str = "http://jabber.org/protocol/rsm";
const FORWARD: &str = "urn:xmpp:forward:0";
const DELAY: &str = "urn:xmpp:delay";

/// Nothing here is too old, whatever day it is.
const KEPT: Setup<'_> = Setup {
    options: "archive_expires_after = \"never\"\ndefault_iteration_count = 4096\n",
    descriptors: None,
};

fn session(server: &Server, user: &str) -> Result<Client, String> {
    let password = format!("{user}'s \u{e9}");
    Client::session(server.clear, "localhost", &server.trust()?, user, &password)
}

fn accounts() -> Vec<(&'static str, &'static str)> {
    vec![
        ("juliet@localhost", "juliet's \u{e9}"),
        ("romeo@localhost", "romeo's \u{e9}"),
    ]
}

/// The bodies of the whole archive, in pages of 50, and when each came.
fn archive(client: &mut Client) -> Result<Vec<(String, String)>, String> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        client.send(&format!(
            "<iq type='set' id='q'><query xmlns='{MAM}'><set xmlns='{RSM}'><max>50</max>{after}</set></query></iq>"
        ))?;
        let fin = loop {
            let next = client.next(PATIENCE)?;
            if next.is(CLIENT, "iq") {
                break next;
            }
            if let Some(result) = next.child(MAM, "result") {
                all.push(said(result)?);
            }
        };
        let fin = fin.child(MAM, "fin").ok_or_else(|| fin.to_string())?;
        if fin.attribute("complete") == Some("true") {
            return Ok(all);
        }
        let last = fin.child(RSM, "set").and_then(|set| set.child(RSM, "last"));
        after = format!(
            "<after>{}</after>",
            last.map(Element::text).unwrap_or_default()
        );
    }
}

fn said(result: &Element) -> Result<(String, String), String> {
    let forwarded = result.child(FORWARD, "forwarded");
    let delay = forwarded.and_then(|forwarded| forwarded.child(DELAY, "delay"));
    let message = forwarded.and_then(|forwarded| forwarded.child(CLIENT, "message"));
    let stamp = delay.and_then(|delay| delay.attribute("stamp"));
    let body = message.and_then(|message| message.child(CLIENT, "body"));
    match (stamp, body) {
        (Some(stamp), Some(body)) => Ok((stamp.to_owned(), body.text())),
        _ => Err(result.to_string()),
    }
}

/// Romeo writes; Juliet hears the first half and is away for the second.
fn talk(server: &Server, count: usize) -> Outcome {
    let mut romeo = session(server, "romeo")?;
    let mut juliet = session(server, "juliet")?;
    juliet.send("<presence/><iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@localhost' name='R &amp; J'/></query></iq>")?;
    juliet.next_where(PATIENCE, |e| e.attribute("id") == Some("r"))?;
    for number in 0..count {
        if number == count / 2 {
            juliet.send("<presence type='unavailable'/><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")?;
            juliet.next_where(PATIENCE, |e| e.attribute("id") == Some("p"))?;
        }
        romeo.send(&format!("<message to='juliet@localhost' type='chat' id='m{number}'><body>number {number}</body></message>"))?;
        if number < count / 2 {
            juliet.next_body(PATIENCE)?;
        }
    }
    // Behind all of it.
    romeo.send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    romeo.next_where(PATIENCE, |e| e.attribute("id") == Some("p"))?;
    juliet.send("<iq type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    juliet.next_where(PATIENCE, |e| e.attribute("id") == Some("q"))?;
    juliet.close()?;
    romeo.close()
}

fn export(server: &Server, account: &str) -> Result<PathBuf, String> {
    let file = server.scratch().join(format!("{account}.xml"));
    let path = file.to_str().unwrap();
    server.command(&["user", "export", account, "--output", path])?;
    Ok(file)
}

#[test]
fn an_account_goes_from_a_server_that_runs_to_another_that_runs() -> Outcome {
    const COUNT: usize = 120;
    let one = Server::start_with(&accounts(), KEPT)?;
    talk(&one, COUNT)?;
    let before = archive(&mut session(&one, "juliet")?)?;
    assert_eq!(before.len(), COUNT);
    let file = export(&one, "juliet@localhost")?;
    let other = Server::start_with(&[], KEPT)?;
    let said = other.command(&["user", "import", file.to_str().unwrap()])?;
    assert_eq!(
        said,
        "juliet@localhost was imported: 1 contacts, 120 archived messages, 60 that wait\n"
    );
    // By SCRAM, with the password of before.
    let mut juliet = session(&other, "juliet")?;
    juliet.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>")?;
    let roster = juliet.next_where(PATIENCE, |e| e.attribute("id") == Some("r"))?;
    assert!(roster.to_string().contains("R &amp; J"), "{roster}");
    for number in COUNT / 2..COUNT {
        let message = juliet.next_where(PATIENCE, |e| e.is(CLIENT, "message"))?;
        let body = message.child(CLIENT, "body").map(Element::text);
        assert_eq!(body, Some(format!("number {number}")));
        let delays = message.children().filter(|child| child.is(DELAY, "delay"));
        assert_eq!(delays.count(), 1, "{message}");
    }
    assert_eq!(archive(&mut juliet)?, before);
    juliet.close()?;
    // Delivered once.
    let mut juliet = session(&other, "juliet")?;
    juliet.send("<presence/><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    let next = juliet.next_where(PATIENCE, |e| {
        e.is(CLIENT, "message") || e.attribute("id") == Some("p")
    })?;
    assert!(next.is(CLIENT, "iq"), "{next}");
    // It goes on from there.
    let mut again = session(&other, "juliet")?;
    again.send("<message to='juliet@localhost' type='chat'><body>to myself</body></message><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")?;
    again.next_where(PATIENCE, |e| e.attribute("id") == Some("p"))?;
    let after = archive(&mut again)?;
    assert_eq!(after.len(), COUNT + 1);
    assert!(after.is_sorted(), "{after:?}");
    let taken = other.command(&["user", "import", file.to_str().unwrap()]);
    assert!(
        taken
            .unwrap_err()
            .contains("juliet@localhost exist already")
    );
    Ok(())
}

/// While an account is being written, messages come to it.
#[test]
fn an_account_that_hears_much_is_exported_as_it_was_at_one_moment() -> Outcome {
    let server = Server::start_with(&accounts(), KEPT)?;
    let mut romeo = session(&server, "romeo")?;
    let mut juliet = session(&server, "juliet")?;
    juliet.send("<presence/>")?;
    let sender = std::thread::spawn(move || {
        for number in 0..600 {
            romeo.send(&format!(
                "<message to='juliet@localhost' type='chat'><body>number {number}</body></message>"
            ))?;
            juliet.next_body(PATIENCE)?;
        }
        Ok::<_, String>((romeo, juliet))
    });
    let mut counts = Vec::new();
    for round in 0.. {
        let over = sender.is_finished();
        let text = server.command(&["user", "export", "juliet@localhost"])?;
        // One that came before she was available waits for a moment, and is there twice.
        let archived = text.split_once("<archive").unwrap_or_default().1;
        let bodies: Vec<usize> = archived
            .split("<body>number ")
            .skip(1)
            .filter_map(|rest| rest.split('<').next()?.parse().ok())
            .collect();
        // From the first on, without a hole.
        assert!(
            bodies.iter().copied().eq(0..bodies.len()),
            "{round}: {bodies:?}"
        );
        assert!(text.ends_with("</server-data>\n"));
        counts.push(bodies.len());
        if over {
            break;
        }
    }
    let (_, mut juliet) = sender.join().unwrap()?;
    // What is read by way of the server is on the disk.
    assert_eq!(archive(&mut juliet)?.len(), 600);
    let text = server.command(&["user", "export", "juliet@localhost"])?;
    let archived = text.split_once("<archive").unwrap_or_default().1;
    counts.push(archived.matches("<body>").count());
    assert!(counts.is_sorted(), "{counts:?}");
    assert_eq!(counts.last(), Some(&600));
    Ok(())
}

/// An archive long enough that a server is killed in the middle of it.
fn long_file(directory: &std::path::Path, messages: usize) -> PathBuf {
    let mut text = String::from(
        "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='juliet' password='juliet&apos;s \u{e9}'>\
         <archive xmlns='urn:xmpp:pie:0#mam'>",
    );
    for number in 0..messages {
        let second = number % 60;
        let minute = number / 60 % 60;
        let hour = number / 3600;
        text.push_str(&format!(
            "<result xmlns='{MAM}' id='{number}'><forwarded xmlns='{FORWARD}'><delay xmlns='{DELAY}' stamp='2026-11-01T{hour:02}:{minute:02}:{second:02}Z'/>\
             <message xmlns='{CLIENT}' from='romeo@localhost/o' to='juliet@localhost' type='chat'><body>number {number} {}</body></message>\
             </forwarded></result>\n",
            "x".repeat(200)
        ));
    }
    text.push_str("</archive></user><user name='nurse' password='x'/></host></server-data>");
    let file = directory.join("long.xml");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_server_that_is_killed_while_it_takes_an_account_has_none_of_it_and_takes_it_again() -> Outcome
{
    const COUNT: usize = 6_000;
    let mut server = Server::start_with(&[], KEPT)?;
    let file = long_file(server.scratch(), COUNT);
    let import = ["user", "import", "--skip-existing", file.to_str().unwrap()];
    for wait in [30, 120, 300, 700] {
        let config = server.scratch().join("spondee.toml");
        let mut command = Command::new(spec_tests::server::binary()?);
        command.arg("--config").arg(config).args(import);
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        std::thread::sleep(std::time::Duration::from_millis(wait));
        server.kill()?;
        child.wait().map_err(|e| e.to_string())?;
        server.start_again()?;
        // There or not, and never half: what the command said does not matter.
        if server
            .command(&["user", "show", "juliet@localhost"])
            .is_ok()
        {
            assert_eq!(archive(&mut session(&server, "juliet")?)?.len(), COUNT);
            break;
        }
        assert!(session(&server, "juliet").is_err());
    }
    server.command(&import)?;
    let bodies = archive(&mut session(&server, "juliet")?)?;
    assert_eq!(bodies.len(), COUNT);
    let number = |at: usize| {
        bodies[at]
            .1
            .split(' ')
            .nth(1)
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    assert!((0..COUNT).all(|at| number(at) == at));
    server.command(&["user", "show", "nurse@localhost"])?;
    Ok(())
}
