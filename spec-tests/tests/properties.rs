//! Properties of the shards' contract, on whole sessions in memory.
//!
//! What clients write is made up; what the server writes must not depend on how the bytes are cut, when actions are drained, how
//! slow the store is or how many shards there are, and a log told again must give the same run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use spec_tests::element::{CLIENT, Item, Reader, escape};
use spec_tests::memory::{Drain, Peer, StorePace, World, config};
use spec_tests::talk::{bind_request, header, plain_auth};
use spondee_core::port::Opening;

const USERS: [&str; 3] = ["juliet", "romeo", "nurse"];

/// What one client writes after it is signed in, in order.
type Script = Vec<String>;

/// Text that needs escaping, and text that needs more than a byte a character.
fn text() -> impl Strategy<Value = String> {
    "[a-z <>&'\"\u{e9}\u{1f339}\n\r]{0,40}".prop_map(|text| escape(&text))
}

fn recipient() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("juliet@localhost".to_owned()),
        Just("romeo@localhost/r".to_owned()),
        Just("nurse@localhost/r".to_owned()),
        Just("nurse@localhost/none".to_owned()),
        Just("nobody@localhost".to_owned()),
        Just("localhost".to_owned()),
        Just("example.org".to_owned()),
        Just("@localhost".to_owned()),
    ]
}

fn stanza() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just(""),
        Just("type='chat'"),
        Just("type='headline'"),
        Just("type='error'"),
    ];
    prop_oneof![
        (recipient(), kind, text()).prop_map(|(to, kind, body)| {
            // Whether somebody is there for what is kept is asked of the store, whose answer may come before the next line or after it.
            let hint = "<no-store xmlns='urn:xmpp:hints'/>";
            format!("<message to='{to}' {kind}><body>{body}</body>{hint}</message>")
        }),
        (recipient(), text()).prop_map(|(to, id)| {
            format!("<iq type='get' to='{to}' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>")
        }),
        (-3i8..4).prop_map(|p| format!("<presence><priority>{p}</priority></presence>")),
        recipient().prop_map(|to| format!("<presence to='{to}'/>")),
        Just("<presence type='unavailable'/>".to_owned()),
        Just(" \n ".to_owned()),
        Just(
            "<c:message xmlns:c='jabber:client' to='juliet@localhost/r'><c:body/></c:message>"
                .to_owned()
        ),
        Just("<iq type='get' to='localhost'><x/></iq>".to_owned()),
    ]
}

/// Mostly stanzas, now and then something that ends the stream.
fn script() -> impl Strategy<Value = Script> {
    let end = prop_oneof![
        6 => Just(None),
        1 => Just(Some("</stream:stream>")),
        1 => Just(Some("<message><body></message>")),
        1 => Just(Some("<!-- -->")),
        1 => Just(Some("<x xmlns='urn:example:x'/>")),
    ];
    (prop::collection::vec(stanza(), 0..12), end).prop_map(|(mut script, end)| {
        script.extend(end.map(str::to_owned));
        script
    })
}

/// The whole of what a client on a TLS port writes: sign-in, binding and script, without waiting for an answer.
fn session(user: &str, script: &[String]) -> Vec<u8> {
    let mut bytes = header("localhost");
    bytes += &plain_auth(user, "secret");
    bytes += &header("localhost");
    bytes += &bind_request("r");
    bytes.extend(script.iter().map(String::as_str));
    bytes.into_bytes()
}

fn world(shards: u16) -> World {
    let mut config = config();
    config.shards = shards;
    let mut world = World::new(config);
    for user in USERS {
        world.add_user(&format!("{user}@localhost"), "secret");
    }
    world
}

/// Connects and writes, cut at these places; nothing happens until the world runs.
fn begin(world: &mut World, bytes: &[u8], cuts: &[Index]) -> Peer {
    let peer = world.connect(Opening::Tls);
    world.secure(peer);
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    for pair in places.windows(2) {
        if pair[0] < pair[1] {
            world.write(peer, &bytes[pair[0]..pair[1]]);
        }
    }
    peer
}

/// What a client was sent, as text, with the ids of its streams taken out: those differ from shard to shard.
fn received(world: &mut World, peer: Peer) -> String {
    let text = String::from_utf8(world.take_received(peer)).unwrap();
    let mut parts = text.split(" id='");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let header = out.ends_with("xml:lang='en'");
        let (id, rest) = part.split_once('\'').unwrap();
        out += &format!(" id='{}'{rest}", if header { "" } else { id });
    }
    out
}

/// The items of all streams of a connection, by who sent them: between two senders there is no order (house contract 8).
fn by_sender(received: &str) -> BTreeMap<String, Vec<String>> {
    let mut items: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for stream in received.split("<?xml").skip(1) {
        let mut reader = Reader::new();
        reader.push(format!("<?xml{stream}").as_bytes());
        while let Some(item) = reader.next_item().unwrap() {
            let sender = match &item {
                Item::Element(element) => element.attribute("from").unwrap_or_default(),
                Item::Open(_) | Item::Close => "",
            };
            items
                .entry(sender.to_owned())
                .or_default()
                .push(item.to_string());
        }
    }
    items
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// House contract 2: any cut of the same bytes gives the same events.
    #[test]
    fn any_cut_of_a_session_gives_the_same_answers(
        script in script(),
        cuts in prop::collection::vec(any::<Index>(), 0..60),
    ) {
        let bytes = session("juliet", &script);
        let run = |cuts: &[Index]| {
            let mut world = world(1);
            let peer = begin(&mut world, &bytes, cuts);
            world.run();
            let text = String::from_utf8(world.take_received(peer)).unwrap();
            (text, world.notes.clone(), world.ended(peer))
        };
        let whole = run(&[]);
        prop_assert!(whole.0.len() > 500, "no session: {}", whole.0);
        prop_assert_eq!(run(&cuts), whole);
    }

    /// House contract 1: handling many inputs and draining once equals draining after each, for each connection.
    #[test]
    fn draining_late_gives_each_connection_the_same_bytes(
        scripts in prop::collection::vec(script(), USERS.len()),
        cuts in prop::collection::vec(any::<Index>(), 0..20),
        every in 2usize..100,
    ) {
        let mut world = world(1);
        world.drain = Drain::EachInput;
        for (user, script) in USERS.iter().zip(&scripts) {
            begin(&mut world, &session(user, script), &cuts);
        }
        world.run();
        let log = &world.logs()[0];
        let at_once = log.replay_drained(1);
        prop_assert!(at_once.is_some());
        prop_assert_eq!(log.replay_drained(every), at_once);
    }

    /// A run is a list of inputs: told again, it gives the same actions and the same bytes.
    #[test]
    fn a_log_told_again_gives_the_same_run(
        scripts in prop::collection::vec(script(), USERS.len()),
        cuts in prop::collection::vec(any::<Index>(), 0..20),
    ) {
        let mut world = world(1);
        for (user, script) in USERS.iter().zip(&scripts) {
            begin(&mut world, &session(user, script), &cuts);
        }
        world.run();
        world.advance(std::time::Duration::from_secs(70));
        let log = &world.logs()[0];
        let again = log.replay().expect("one shard alone");
        prop_assert_eq!(again.as_str(), log.transcript());
    }

    /// House contract 4: detach and attach are invisible to the peer. Nobody leaves here before the answers are there: those
    /// of another shard take a turn more.
    #[test]
    fn a_hand_off_is_invisible_to_the_client(
        scripts in prop::collection::vec(prop::collection::vec(stanza(), 0..12), USERS.len()),
        cuts in prop::collection::vec(any::<Index>(), 0..20),
    ) {
        let run = |shards| {
            let mut world = world(shards);
            let peers: Vec<Peer> = USERS
                .iter()
                .zip(&scripts)
                .map(|(user, script)| {
                    let peer = begin(&mut world, &session(user, script), &cuts);
                    world.run();
                    peer
                })
                .collect();
            let received: Vec<_> = peers
                .iter()
                .map(|peer| by_sender(&received(&mut world, *peer)))
                .collect();
            (received, world.handed_off())
        };
        let (one, none) = run(1);
        let (several, some) = run(7);
        prop_assert_eq!(one, several);
        prop_assert!(none == 0 && some > 0, "{} hand-offs", some);
    }
}

/// House contract 2: what stands behind an element that waits for an answer waits too, and nothing of it is lost.
#[test]
fn auth_bind_and_a_hundred_stanzas_in_one_write_over_a_slow_store() {
    let stanzas: Script = (0..100)
        .map(|n| {
            format!("<iq type='get' to='localhost' id='{n}'><ping xmlns='urn:xmpp:ping'/></iq>")
        })
        .collect();
    for shards in [1, 5] {
        for pace in [StorePace::Prompt, StorePace::Slow] {
            let mut world = world(shards);
            world.store_pace = pace;
            let peer = begin(&mut world, &session("juliet", &stanzas), &[]);
            world.run();
            let ids = results(&world.take_received(peer));
            let wanted: Vec<String> = (0..100).map(|n| n.to_string()).collect();
            assert_eq!(ids, wanted, "{shards} shards, {pace:?}");
        }
    }
}

/// The ids of results on the last of three streams.
fn results(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let stream = text.rsplit("<?xml").next().unwrap();
    let mut reader = Reader::new();
    reader.push(format!("<?xml{stream}").as_bytes());
    let mut ids = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        if let Item::Element(iq) = item
            && iq.is(CLIENT, "iq")
            && iq.attribute("type") == Some("result")
            && iq.attribute("id") != Some("bind")
        {
            ids.push(iq.attribute("id").unwrap().to_owned());
        }
    }
    ids
}
