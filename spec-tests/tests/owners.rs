//! Owners of accounts in every state, and what can befall them there: nobody waits for ever, nothing is lost without a word.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use spec_tests::memory::{Fate, Peer, StorePace, World, config};
use spec_tests::talk::{Talk, bind_request, header, plain_auth};
use spondee_core::config::Config;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::limits::ACCOUNT_IDLE;
use spondee_core::port::{Command, CommandId, Opening};
use spondee_core::secret::Secret;
use spondee_core::store::StoreError;

type Outcome = Result<(), String>;

const JULIET: &str = "juliet@localhost";
const ROMEO: &str = "romeo@localhost";
const NURSE: &str = "nurse@localhost";

fn world_of(shards: u16, change: impl FnOnce(&mut Config)) -> World {
    let mut config = config();
    config.shards = shards;
    change(&mut config);
    let mut world = World::new(config);
    for user in [JULIET, ROMEO, NURSE] {
        world.add_user(user, "secret");
    }
    world
}

fn world(shards: u16) -> World {
    world_of(shards, |_| {})
}

fn set(id: &str) -> String {
    let item = format!("<item jid='{id}@example.com'/>");
    format!("<iq id='{id}' type='set'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
}

fn message(to: &str, id: &str, bytes: usize) -> String {
    let body = "x".repeat(bytes);
    format!("<message to='{to}' id='{id}' type='chat'><body>{body}</body></message>")
}

/// All that this client was written, well-formed or not.
fn told(world: &mut World, talk: &Talk) -> String {
    String::from_utf8(world.take_received(talk.peer())).unwrap()
}

/// Everything but the answers of the store.
fn let_all_but_the_store_happen(world: &mut World) {
    world.step_all_but_commits();
    while world.tick_at_once() {
        world.step_all_but_commits();
    }
}

/// Nobody is there any more, and nothing of anybody.
fn is_clean(world: &mut World, peers: &[Peer], when: &str) {
    for peer in peers {
        world.hang_up(*peer);
        world.run();
        world.cut(*peer);
        world.run();
    }
    world.advance(Duration::from_secs(30));
    world.advance(ACCOUNT_IDLE + Duration::from_secs(30));
    for residue in world.residue() {
        assert_eq!(residue, [0; 9], "{when}");
    }
    assert_eq!(world.is_sound(), Ok(()), "{}", when);
}

/// The network breaks behind a client that is not read, because another that it writes to does not read.
#[test]
fn what_came_before_a_close_is_done_by_who_waits_for_a_slow_reader() -> Outcome {
    for shards in [1, 3] {
        let mut world = world_of(shards, |config| config.limits.session_queue_bytes = 8000);
        let mut nurse = Talk::session(&mut world, NURSE, "n")?;
        let romeo = Talk::session(&mut world, ROMEO, "r")?;
        let juliet = Talk::session(&mut world, JULIET, "j")?;
        world.stop_taking(romeo.peer());
        // So much that she is slowed, and then the rest in one piece.
        let flood = message("romeo@localhost/r", "f", 5000);
        world.write(juliet.peer(), format!("{flood}{flood}").as_bytes());
        world.run();
        let rest = [
            flood,
            set("a"),
            message("nurse@localhost/n", "m", 1),
            set("b"),
        ]
        .concat();
        world.tell_bytes(juliet.peer(), rest.as_bytes());
        world.run();
        assert!(!world.reads(juliet.peer()), "she waits");
        world.cut(juliet.peer());
        world.run();
        assert!(told(&mut world, &nurse).contains("id='m'"), "{shards}");
        nurse.restart();
        let juliet = Talk::session(&mut world, JULIET, "j")?;
        world.write(
            juliet.peer(),
            b"<iq id='g' type='get'><query xmlns='jabber:iq:roster'/></iq>",
        );
        world.run();
        let roster = told(&mut world, &juliet);
        assert!(
            roster.contains("a@example.com") && roster.contains("b@example.com"),
            "{roster}"
        );
        is_clean(
            &mut world,
            &[juliet.peer(), romeo.peer(), nurse.peer()],
            "after it",
        );
    }
    Ok(())
}

/// Who sends an account more than it can take meanwhile does harm to nobody else.
#[test]
fn a_stranger_who_floods_an_account_that_waits_for_the_disk_ends_nobodys_session() -> Outcome {
    for shards in [1, 3] {
        for stanza in [
            "<iq type='result' to='juliet@localhost' id='1'/>",
            "<iq type='result' to='juliet@localhost/j' id='1'/>",
            "<message type='error' to='juliet@localhost/j' id='1'/>",
            "<presence type='subscribe' to='juliet@localhost'/>",
            "<message to='juliet@localhost/j' id='1'/>",
        ] {
            let mut world = world(shards);
            let juliet = Talk::session(&mut world, JULIET, "j")?;
            let romeo = Talk::session(&mut world, ROMEO, "r")?;
            let nurse = Talk::session(&mut world, NURSE, "n")?;
            world.store_pace = StorePace::Slow;
            world.write(juliet.peer(), set("a").as_bytes());
            let_all_but_the_store_happen(&mut world);
            for _ in 0..20 {
                world.write(romeo.peer(), stanza.repeat(100).as_bytes());
                let_all_but_the_store_happen(&mut world);
            }
            // What somebody else sends has a place.
            let answer = "<iq type='result' to='juliet@localhost/j' id='n'/>";
            world.write(nurse.peer(), answer.as_bytes());
            let_all_but_the_store_happen(&mut world);
            world.store_pace = StorePace::Prompt;
            world.run();
            assert_eq!(world.ended(juliet.peer()), None, "{shards}: {stanza}");
            let told = told(&mut world, &juliet);
            assert!(
                told.contains("id='n'") && !told.contains("<stream:error>"),
                "{stanza}: {told}"
            );
            assert_eq!(world.is_sound(), Ok(()), "{}", stanza);
        }
    }
    Ok(())
}

/// So nobody can be kept from signing in by answers that nobody asked for.
#[test]
fn who_signs_in_is_not_thrown_out_by_answers_to_nobody() -> Outcome {
    let senders: Vec<String> = (0..6).map(|n| format!("guest{n}@localhost")).collect();
    let mut world = world(1);
    let mut peers = Vec::new();
    for sender in &senders {
        world.add_user(sender, "secret");
        peers.push(Talk::session(&mut world, sender, "x")?.peer());
    }
    let juliet = put(&mut world, State::Loading)?.remove(0);
    let answers = "<iq type='result' to='juliet@localhost' id='1'/>".repeat(1000);
    for peer in peers {
        world.write(peer, answers.as_bytes());
        let_all_but_the_store_happen(&mut world);
    }
    world.run();
    let told = told(&mut world, &juliet);
    assert!(
        told.contains("<success") && !told.contains("<stream:error>"),
        "{told}"
    );
    assert_eq!(world.is_sound(), Ok(()), "{}", "after it");
    Ok(())
}

/// RFC 6121 §8.5.2.1.1: a session that ends is not chosen any more.
#[test]
fn what_waited_for_the_disk_goes_to_another_device_when_the_first_one_reads_nothing() -> Outcome {
    for slow in [false, true] {
        let mut world = world_of(1, |config| {
            config.limits.session_queue_bytes = 8000;
            config.limits.account_queue_bytes = 8000;
        });
        let phone = Talk::session(&mut world, JULIET, "phone")?;
        let tablet = Talk::session(&mut world, JULIET, "tablet")?;
        let romeo = Talk::session(&mut world, ROMEO, "r")?;
        let presence = "<presence><priority>1</priority></presence>";
        world.write(phone.peer(), presence.as_bytes());
        world.write(tablet.peer(), b"<presence/>");
        world.run();
        world.stop_taking(phone.peer());
        if slow {
            world.store_pace = StorePace::Slow;
        }
        world.write(tablet.peer(), set("a").as_bytes());
        let_all_but_the_store_happen(&mut world);
        told(&mut world, &tablet);
        for number in 0..20 {
            let words = message(JULIET, &format!("m{number:02}"), 1000);
            world.write(romeo.peer(), words.as_bytes());
            let_all_but_the_store_happen(&mut world);
        }
        world.store_pace = StorePace::Prompt;
        world.advance(Duration::from_secs(11));
        let last = told(&mut world, &tablet);
        let heard = (0..20)
            .filter(|n| last.contains(&format!("id='m{n:02}'")))
            .count();
        assert!(heard >= 12, "waiting: {slow}: {heard}");
        assert!(world.ended(tablet.peer()).is_none());
        assert_eq!(world.is_sound(), Ok(()), "{}", "after it");
    }
    Ok(())
}

/// Each writes to the next, who does not read, and has its end behind that: one that goes lets the one before it go.
#[test]
fn a_long_chain_of_slow_readers_ends_one_by_one() -> Outcome {
    const LONG: usize = 1500;
    let mut world = world_of(1, |config| config.limits.session_queue_bytes = 10_000);
    let mut chain = Vec::with_capacity(LONG);
    for number in 0..LONG {
        let name = format!("link{number}@localhost");
        world.add_user(&name, "secret");
        chain.push(Talk::session(&mut world, &name, "x")?.peer());
    }
    for (number, peer) in chain.iter().enumerate().skip(1) {
        world.stop_taking(*peer);
        let words = message(&format!("link{number}@localhost/x"), "1", 6000);
        let words = format!("{words}</stream:stream>");
        world.write(chain[number - 1], words.as_bytes());
        world.run();
        assert!(!world.reads(chain[number - 1]), "it waits");
    }
    world.cut(chain[LONG - 1]);
    world.run();
    for peer in &chain {
        assert!(world.ended(*peer).is_some());
    }
    is_clean(&mut world, &[], "after it");
    Ok(())
}

/// Where an account is when something befalls it.
#[derive(Clone, Copy, Debug)]
enum State {
    Ready,
    /// Its first load is with the store.
    Loading,
    /// A load failed; the next is due.
    LoadFailed,
    Committing,
    /// The store was busy; the batch is offered again soon.
    OfferingAgain,
    /// What it keeps is read again after a batch that failed.
    Undone,
    /// A session's connection is gone, and what it brought waits.
    CommittingAlone,
}

const STATES: [State; 7] = [
    State::Ready,
    State::Loading,
    State::LoadFailed,
    State::Committing,
    State::OfferingAgain,
    State::Undone,
    State::CommittingAlone,
];

/// What befalls it.
#[derive(Clone, Copy, Debug)]
enum Blow {
    Close,
    Cut,
    Shutdown,
    HostGone,
    Delete,
    Disable,
    Passwd,
    /// Another device binds the same resource.
    Conflict,
    Message,
    EndOfStream,
}

const BLOWS: [Blow; 10] = [
    Blow::Close,
    Blow::Cut,
    Blow::Shutdown,
    Blow::HostGone,
    Blow::Delete,
    Blow::Disable,
    Blow::Passwd,
    Blow::Conflict,
    Blow::Message,
    Blow::EndOfStream,
];

/// Puts her account there. Who of hers is connected, the first of whom is to act.
fn put(world: &mut World, state: State) -> Result<Vec<Talk>, String> {
    if let State::Loading | State::LoadFailed = state {
        let mut talk = Talk::connect(world, Opening::Tls);
        talk.open(world, "localhost")?;
        // Credentials are read, then all that it keeps.
        let load = match state {
            State::LoadFailed => Fate::Failed(StoreError::Failed),
            State::Ready
            | State::Loading
            | State::Committing
            | State::OfferingAgain
            | State::Undone
            | State::CommittingAlone => Fate::Delayed(1_000_000),
        };
        world.fates.extend([Fate::Kept, load]);
        let words = [
            plain_auth("juliet", "secret"),
            header("localhost"),
            bind_request("balcony") + &set("z"),
        ];
        for words in words {
            world.write(talk.peer(), words.as_bytes());
        }
        let_all_but_the_store_happen(world);
        let waits = matches!(state, State::Loading);
        assert_eq!(world.batches(), usize::from(waits), "{state:?}");
        return Ok(vec![talk]);
    }
    let balcony = Talk::session(world, JULIET, "balcony")?;
    let chamber = Talk::session(world, JULIET, "chamber")?;
    match state {
        State::Ready | State::Loading | State::LoadFailed => {}
        State::Committing | State::CommittingAlone => {
            world.fates.push_back(Fate::Delayed(1_000_000));
        }
        State::OfferingAgain => world.fates.push_back(Fate::Failed(StoreError::Busy)),
        State::Undone => {
            let failed = Fate::Failed(StoreError::Failed);
            world.fates.extend([failed, Fate::Delayed(1_000_000)]);
        }
    }
    if !matches!(state, State::Ready) {
        let rest = message("romeo@localhost/r", "behind", 10);
        world.write(balcony.peer(), format!("{}{rest}", set("a")).as_bytes());
        let_all_but_the_store_happen(world);
        world.write(chamber.peer(), set("b").as_bytes());
        let_all_but_the_store_happen(world);
    }
    let waits = !matches!(state, State::Ready | State::OfferingAgain);
    assert_eq!(world.batches(), usize::from(waits), "{state:?}");
    if matches!(state, State::CommittingAlone) {
        world.cut(balcony.peer());
        let_all_but_the_store_happen(world);
        return Ok(vec![chamber, balcony]);
    }
    Ok(vec![balcony, chamber])
}

fn strike(world: &mut World, blow: Blow, hers: &mut Vec<Talk>, romeo: &Talk) {
    let account = BareJid::parse(JULIET).unwrap();
    let first = hers[0].peer();
    let id = CommandId(77);
    match blow {
        Blow::Close => world.hang_up(first),
        Blow::Cut => world.cut(first),
        Blow::Shutdown => world.post_shutdown(),
        Blow::HostGone => {
            let mut fewer = world.config().clone();
            fewer.hosts.remove(&Domain::parse("localhost").unwrap());
            world.post_reload(fewer);
        }
        Blow::Delete => world.post_command(id, Command::Delete { account }),
        Blow::Disable => world.post_command(id, Command::Disable { account }),
        Blow::Passwd => {
            let password = Secret::new(b"other".to_vec());
            world.post_command(id, Command::Passwd { account, password });
        }
        Blow::Conflict => {
            let talk = Talk::connect(world, Opening::Tls);
            let auth = plain_auth("juliet", "secret");
            let bind = bind_request("balcony");
            let header = header("localhost");
            for words in [&header, &auth, &header, &bind] {
                world.write(talk.peer(), words.as_bytes());
            }
            hers.push(talk);
        }
        Blow::Message => {
            let words = message("juliet@localhost/chamber", "in", 10);
            world.write(romeo.peer(), words.as_bytes());
        }
        Blow::EndOfStream => world.write(first, b"</stream:stream>"),
    }
}

/// Two things in each state, one after the other; every other one with accounts on other shards.
#[test]
fn nobody_waits_for_ever_whatever_befalls_an_account_in_whichever_state() -> Outcome {
    let full = Fate::Failed(StoreError::Full);
    for state in STATES {
        for (shards, first) in [1, 3].into_iter().cycle().zip(BLOWS) {
            for (second, fate) in BLOWS
                .into_iter()
                .flat_map(|blow| [Fate::Kept, Fate::Lost, full].map(|fate| (blow, fate)))
            {
                befall(shards, state, [first, second], fate)?;
            }
        }
    }
    Ok(())
}

fn befall(shards: u16, state: State, blows: [Blow; 2], fate: Fate) -> Outcome {
    let when = format!("{shards}: {state:?}, {blows:?}, {fate:?}");
    let mut world = world(shards);
    let romeo = Talk::session(&mut world, ROMEO, "r")?;
    let mut hers = put(&mut world, state).map_err(|error| format!("{when}: {error}"))?;
    world.store_pace = StorePace::Slow;
    for blow in blows {
        strike(&mut world, blow, &mut hers, &romeo);
        let_all_but_the_store_happen(&mut world);
    }
    if let Some(next) = world.commits().first().copied() {
        world.doom(next, fate);
    }
    world.store_pace = StorePace::Prompt;
    world.run();
    world.advance(Duration::from_secs(30));
    let is_command = |blow: &Blow| matches!(blow, Blow::Delete | Blow::Disable | Blow::Passwd);
    let commands = blows.iter().any(is_command);
    assert_eq!(world.take_answers().is_empty(), !commands, "{when}");
    let is_end = |blow: &Blow| matches!(blow, Blow::Shutdown | Blow::HostGone);
    let ends = blows.iter().any(is_end);
    for talk in &hers {
        assert!(!ends || world.ended(talk.peer()).is_some(), "{when}");
    }
    let peers: Vec<_> = hers.iter().chain([&romeo]).map(Talk::peer).collect();
    is_clean(&mut world, &peers, &when);
    Ok(())
}
