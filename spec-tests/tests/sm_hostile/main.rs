//! Stream management (XEP-0198) and client state indication (XEP-0352), as somebody would have them who wishes others ill, and as networks
//! and disks have them: who does not acknowledge, sleeps or reads nothing is bounded, guessing finds nothing, nobody else pays, and
//! whatever happens to a session, each message of it is delivered once, or its sender is told.

mod account;
mod acks;
mod catching;
mod csi;
mod expiry;
mod guesses;
mod phone;
mod pingpong;
mod sleepers;
mod states;
mod storage;

use std::collections::BTreeSet;

use spec_tests::element::{CLIENT, Element};
use spec_tests::memory::World;
use spec_tests::talk::{Talk, same};
use spondee_core::config::Config;
use spondee_core::sm::SmOptions;

/// Every test tells what was not as expected by returning it.
type Outcome = Result<(), String>;

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const NURSE: &str = "nurse@localhost";
const MALLORY: &str = "mallory@localhost";

/// A server with four accounts.
fn world(config: Config) -> World {
    let mut world = World::new(config);
    for name in [ROMEO, JULIET, NURSE, MALLORY] {
        world.add_user(name, "secret");
    }
    world
}

/// The same with other options.
fn with(mut config: Config, change: impl Fn(&mut SmOptions)) -> Config {
    for host in config.accounts_mut() {
        change(&mut host.sm);
    }
    config
}

/// So much where there is time, and less where somebody waits for it.
fn long<T>(long: T, short: T) -> T {
    match std::env::var_os("SPONDEE_LONG") {
        Some(_) => long,
        None => short,
    }
}

fn message(to: &str, text: &str) -> String {
    format!("<message type='chat' to='{to}' id='{text}'><body>{text}</body></message>")
}

/// The same that is not kept for anybody (XEP-0334 §4.3).
fn fleeting(to: &str, text: &str) -> String {
    format!(
        "<message type='chat' to='{to}' id='{text}'><body>{text}</body><no-store xmlns='urn:xmpp:hints'/></message>"
    )
}

fn is_error(stanza: &Element) -> bool {
    stanza.attribute("type") == Some("error")
}

/// The texts of messages among these.
fn texts(stanzas: &[Element]) -> Vec<String> {
    let messages = stanzas.iter().filter(|stanza| !is_error(stanza));
    messages
        .filter_map(|stanza| stanza.child(CLIENT, "body"))
        .map(Element::text)
        .collect()
}

/// The ids of messages that are refused among these.
fn refused(stanzas: &[Element]) -> Vec<String> {
    let errors = stanzas.iter().filter(|stanza| is_error(stanza));
    errors
        .filter(|stanza| stanza.name == "message")
        .filter_map(|stanza| stanza.attribute("id"))
        .map(str::to_owned)
        .collect()
}

fn numbered(what: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("{what}{number}")).collect()
}

/// That these messages came, or were refused: each once, and none both.
fn once(sent: &[String], came: &[String], refused: &[String]) -> Outcome {
    let mut all: Vec<_> = came.iter().chain(refused).collect();
    all.sort_unstable();
    let twice = all.windows(2).find(|pair| pair[0] == pair[1]);
    if let Some(twice) = twice {
        let (came, refused) = (came.contains(twice[0]), refused.contains(twice[0]));
        return Err(format!(
            "{} twice; delivered: {came}, refused: {refused}",
            twice[0]
        ));
    }
    let all: BTreeSet<_> = all.into_iter().collect();
    let lost: Vec<_> = sent.iter().filter(|text| !all.contains(text)).collect();
    match lost.first() {
        Some(first) => Err(format!("{} lost, from {first} on", lost.len())),
        None if all.len() > sent.len() => Err("what nobody sent".to_owned()),
        None => Ok(()),
    }
}

/// That this session is there, whoever counts what it is sent.
fn answers(world: &mut World, talk: &mut Talk) -> Outcome {
    talk.send(
        world,
        "<iq type='get' id='alive'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    let mut seen = Vec::new();
    while let Some(item) = talk.poll(world)? {
        if let spec_tests::element::Item::Element(element) = item {
            if element.attribute("id") == Some("alive") {
                return Ok(());
            }
            seen.push(element);
        }
    }
    Err(format!("no answer, but {seen:?}"))
}
