//! Messages that are kept, as somebody would have them who wishes others ill, and as a disk has them that is full or held by somebody
//! else: what is kept is bounded, who is refused is told, nobody else pays for it, and nothing is lost of which nobody was told.

mod bounds;
mod forms;
mod loops;
mod memory;
mod pages;
mod spool;
mod storage;
mod stumbles;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::{CLIENT, Element};
use spec_tests::kept::{Door, How, IN_CLEAR, Seen, ask, ping, ping_of};
use spec_tests::server::{Server, Setup};
use spec_tests::talk::same;

/// Every test tells what was not as expected by returning it.
type Outcome = Result<(), String>;

/// The least that is allowed, and nobody waits for TLS.
const OPTIONS: &str = "default_iteration_count = 4096\nlog_level = \"warn\"\n";

fn start(names: &[&str], options: &str) -> Result<(Server, Door), String> {
    let users: Vec<String> = names
        .iter()
        .map(|name| format!("{name}@localhost"))
        .collect();
    let users: Vec<_> = users.iter().map(|jid| (jid.as_str(), "secret")).collect();
    let options = format!("{IN_CLEAR}{OPTIONS}{options}");
    let setup = Setup {
        options: &options,
        ..Setup::default()
    };
    let server = Server::start_with(&users, setup)?;
    let door = Door::of(&server)?;
    Ok((server, door))
}

/// So much where there is time, and less where somebody waits for it.
fn long<T>(long: T, short: T) -> T {
    match std::env::var_os("SPONDEE_LONG") {
        Some(_) => long,
        None => short,
    }
}

fn message(to: &str, id: &str, body: &str) -> String {
    format!("<message type='chat' to='{to}' id='{id}'><body>{body}</body></message>")
}

/// Writes to somebody, a part at a time, and reads what comes back up to the answer to a ping behind each. The refusals.
fn write_all(client: &mut Client, stanzas: &[String]) -> Result<Vec<Element>, String> {
    let mut refused = Vec::new();
    for part in stanzas.chunks(200) {
        client.send(&part.concat())?;
        ask(client, "written", &ping("written"), |stanza| {
            refused.extend(refusal(stanza));
            Ok(())
        })?;
    }
    Ok(refused)
}

/// The stanza, if it refuses a message.
fn refusal(stanza: Element) -> Option<Element> {
    (stanza.is(CLIENT, "message") && stanza.attribute("type") == Some("error")).then_some(stanza)
}

fn condition(stanza: &Element) -> &str {
    let error = stanza.child(CLIENT, "error");
    error.and_then(Element::condition).unwrap_or_default()
}

fn id(stanza: &Element) -> &str {
    stanza.attribute("id").unwrap_or_default()
}

/// Asks a receiver's account for something: it has all that was written to it before, or refused it, once this is answered. What it refused.
fn settle(client: &mut Client, whom: &str) -> Result<Vec<Element>, String> {
    let mut refused = Vec::new();
    ask(client, "settled", &ping_of(whom, "settled"), |stanza| {
        refused.extend(refusal(stanza));
        Ok(())
    })?;
    Ok(refused)
}

/// Becomes available, and takes what it is owed, up to what another client sends it then.
fn come_back(client: &mut Client, at: &str, other: &mut Client) -> Result<Vec<Seen>, String> {
    client.send("<presence/>")?;
    let mut seen = Vec::new();
    let (account, _) = at.split_once('/').ok_or("a full address")?;
    ask(client, "here", &ping("here"), |stanza| {
        seen.extend(Seen::read(&stanza, account)?);
        Ok(())
    })?;
    other.send(&format!(
        "<message type='chat' to='{at}'><body>marker</body><no-store xmlns='urn:xmpp:hints'/></message>"
    ))?;
    loop {
        let stanza = client.next(PATIENCE)?;
        match Seen::read(&stanza, account)? {
            Some(message) if message.body == "marker" => return Ok(seen),
            message => seen.extend(message),
        }
    }
}

/// That these are the texts of all that somebody was owed.
fn owed(seen: &[Seen], bodies: &[String]) -> Outcome {
    if let Some(live) = seen.iter().find(|seen| seen.how != How::Owed) {
        return Err(format!("not what was owed: {live:?}"));
    }
    let came: Vec<_> = seen.iter().map(|seen| &seen.body).collect();
    same(&came, &bodies.iter().collect::<Vec<_>>())
}
