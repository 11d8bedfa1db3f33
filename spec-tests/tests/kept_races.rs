//! Races about messages that are kept, which seeds of the simulator found: each told by itself.

use spec_tests::element::Element;
use spec_tests::memory::{Bounds, StorePace, World, archiving};
use spec_tests::talk::Talk;
use spondee_core::config::Config;
use spondee_core::limits::{ENDINGS_PER_TICK, StoreCredit};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const QUERY: &str = "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'/></iq>";

/// Everything is archived, and so many messages wait at most.
fn keeping(max_offline: u32) -> Config {
    archiving(|archive| archive.max_offline = max_offline)
}

/// Both have an account, Romeo a session.
fn stage(config: Config) -> Result<(World, Talk), String> {
    let mut world = World::new(config);
    world.add_user(ROMEO, "secret");
    world.add_user(JULIET, "secret");
    let romeo = Talk::session(&mut world, ROMEO, "r")?;
    Ok((world, romeo))
}

fn ids(stanzas: &[Element]) -> Vec<&str> {
    let ids = stanzas.iter().filter_map(|stanza| stanza.attribute("id"));
    ids.collect()
}

#[test]
fn what_an_account_sends_in_the_turn_in_which_it_leaves_memory_is_kept() -> Result<(), String> {
    let bounds = Bounds {
        credit: StoreCredit::of_one(1),
        idle: 0,
        endings: ENDINGS_PER_TICK,
    };
    let mut world = World::with_bounds(keeping(10), 0, bounds);
    world.add_user(ROMEO, "secret");
    let romeo = Talk::session(&mut world, ROMEO, "r")?;
    let words =
        format!("<message to='{JULIET}' id='m'><body>Adieu</body></message></stream:stream>");
    world.write(romeo.peer(), words.as_bytes());
    world.run();
    let mut romeo = Talk::session(&mut world, ROMEO, "r")?;
    romeo.send(&mut world, QUERY);
    let [result, fin] = &romeo.rest(&mut world)?[..] else {
        return Err("not one result".to_owned());
    };
    assert!(result.to_string().contains("Adieu"), "{result}");
    assert_eq!(fin.attribute("id"), Some("page"));
    Ok(())
}

/// XEP-0313 §6.1.1: only "the archived copies of those messages" that a client has received need not be told again.
#[test]
fn who_asked_for_its_archive_before_a_message_came_is_told_it() -> Result<(), String> {
    let (mut world, mut romeo) = stage(keeping(10))?;
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    for id in ["before", "after"] {
        let words = format!("<message to='{JULIET}' id='{id}'><body>Hail</body></message>");
        romeo.send(&mut world, &words);
        if id == "before" {
            juliet.send(&mut world, QUERY);
            juliet.rest(&mut world)?;
        }
    }
    juliet.send(&mut world, "<presence/>");
    let told = juliet.rest(&mut world)?;
    let messages: Vec<Element> = told.into_iter().filter(|s| s.name == "message").collect();
    assert_eq!(ids(&messages), ["after"]);
    Ok(())
}

/// Juliet is being told the one message that may wait.
fn catching_up() -> Result<(World, Talk, Talk), String> {
    let (mut world, mut romeo) = stage(keeping(1))?;
    romeo.send(
        &mut world,
        &format!("<message to='{JULIET}' id='1'><body>x</body></message>"),
    );
    let juliet = Talk::session(&mut world, JULIET, "j")?;
    world.store_pace = StorePace::Slow;
    world.write(juliet.peer(), b"<presence/>");
    world.step_all_but_commits();
    Ok((world, romeo, juliet))
}

#[test]
fn who_is_told_what_waited_is_not_away_though_no_more_may_wait() -> Result<(), String> {
    let (mut world, mut romeo, mut juliet) = catching_up()?;
    let words = format!("<message to='{JULIET}/j' id='2'><body>y</body></message>");
    world.write(romeo.peer(), words.as_bytes());
    world.step_all_but_commits();
    world.run();
    assert_eq!(romeo.rest(&mut world)?, []);
    let told = juliet.rest(&mut world)?;
    let messages: Vec<Element> = told.into_iter().filter(|s| s.name == "message").collect();
    assert_eq!(ids(&messages), ["1", "2"]);
    Ok(())
}

/// Juliet has not taken the one message that waited, so that all else waits behind it.
fn taking_nothing() -> Result<(World, Talk, Talk), String> {
    let (mut world, mut romeo) = stage(keeping(1))?;
    let words = format!("<message to='{JULIET}' id='1'><body>x</body></message>");
    romeo.send(&mut world, &words);
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    world.stop_taking(juliet.peer());
    juliet.send(&mut world, "<presence/>");
    Ok((world, romeo, juliet))
}

/// Who is answered may take all that was sent before for done; and who leaves has lost no refusal.
#[test]
fn what_the_server_refuses_is_said_before_what_it_answers_later() -> Result<(), String> {
    for kind in ["presence type='subscribe'", "presence", "message"] {
        let (mut world, _romeo, mut juliet) = taking_nothing()?;
        let name = kind.split(' ').next().unwrap_or_default();
        let to = match kind.contains("type") {
            // There is no subscription to oneself.
            true => JULIET,
            false => "@localhost",
        };
        let words = format!("<{kind} id='r' to='{to}'/>");
        juliet.send(&mut world, &words);
        let ping = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
        juliet.send(&mut world, ping);
        world.take_again(juliet.peer());
        world.run();
        let told = juliet.rest(&mut world)?;
        let is = |id| move |stanza: &Element| stanza.attribute("id") == Some(id);
        let refused = told.iter().position(is("r"));
        let answered = told.iter().position(is("p"));
        let is_error =
            |at: usize| told[at].name == name && told[at].attribute("type") == Some("error");
        assert!(refused.is_some_and(is_error), "{kind}: {told:?}");
        assert!(refused < answered, "{kind}: {told:?}");
    }
    Ok(())
}

/// XEP-0191 §3.3: she was told that he is blocked. What came before is in her archive.
#[test]
fn who_is_blocked_meanwhile_is_not_heard_behind_what_waited() -> Result<(), String> {
    let (mut world, mut romeo, mut juliet) = taking_nothing()?;
    let words = format!(
        "<message to='{JULIET}/j' id='2'><body>y</body></message>\
         <iq type='get' to='{JULIET}/j' id='3'><query xmlns='jabber:iq:version'/></iq>"
    );
    romeo.send(&mut world, &words);
    assert_eq!(romeo.rest(&mut world)?, []);
    let block = format!(
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{ROMEO}'/></block></iq>"
    );
    juliet.send(&mut world, &block);
    world.take_again(juliet.peer());
    world.run();
    let told = juliet.rest(&mut world)?;
    assert!(ids(&told).contains(&"b"), "{told:?}");
    let is_his = |stanza: &&Element| matches!(stanza.attribute("id"), Some("2" | "3"));
    assert_eq!(told.iter().find(is_his), None);
    // Who asks is answered.
    assert_eq!(ids(&romeo.rest(&mut world)?), ["3"]);
    juliet.send(&mut world, QUERY);
    let page = juliet.rest(&mut world)?;
    assert!(
        page.iter()
            .any(|result| result.to_string().contains("id='2'")),
        "{page:?}"
    );
    Ok(())
}

/// What the server itself says of a subscription comes at once, and presence behind what waited.
#[test]
fn who_ends_what_it_shared_is_not_seen_behind_that() -> Result<(), String> {
    let (mut world, mut romeo) = stage(keeping(10))?;
    let mut first = Talk::session(&mut world, JULIET, "first")?;
    first.send(
        &mut world,
        &format!("<presence type='subscribe' to='{ROMEO}'/>"),
    );
    romeo.send(&mut world, "<presence/>");
    romeo.send(
        &mut world,
        &format!("<presence type='subscribed' to='{JULIET}'/>"),
    );
    world.hang_up(first.peer());
    let words = format!("<message to='{JULIET}' id='1'><body>x</body></message>");
    romeo.send(&mut world, &words);
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    juliet.send(
        &mut world,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    // The page of what waited is written, and she does not take it yet.
    world.stop_taking(juliet.peer());
    juliet.send(&mut world, "<presence/>");
    romeo.send(
        &mut world,
        &format!("<presence type='unsubscribed' to='{JULIET}'/>"),
    );
    world.take_again(juliet.peer());
    world.run();
    let told = juliet.rest(&mut world)?;
    assert!(ids(&told).contains(&"1"), "{told:?}");
    let ends = |stanza: &Element| stanza.attribute("type") == Some("unsubscribed");
    let behind = told.iter().skip_while(|stanza| !ends(stanza));
    let behind: Vec<&Element> = behind.filter(|s| s.name == "presence").collect();
    assert!(behind.first().is_some_and(|first| ends(first)), "{told:?}");
    let is_seen = |stanza: &&&Element| stanza.attribute("type").is_none();
    assert_eq!(behind.iter().find(is_seen), None);
    Ok(())
}

/// What somebody says to his own account waits there, if anything else does, and so does what he says behind it.
#[test]
fn what_a_closed_connection_said_to_its_own_account_is_not_overtaken() -> Result<(), String> {
    let (mut world, mut other) = stage(keeping(10))?;
    let juliet = Talk::session(&mut world, JULIET, "j")?;
    let carbons = "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>";
    other.send(&mut world, carbons);
    other.send(&mut world, "<presence/>");
    other.rest(&mut world)?;
    let romeo = Talk::session(&mut world, ROMEO, "leaving")?;
    world.store_pace = StorePace::Slow;
    let words = format!(
        "<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query></iq>\
         <message to='{ROMEO}' type='chat' id='first'><body>x</body></message>\
         <message to='{JULIET}' type='chat' id='second'><body>y</body></message>"
    );
    world.write(romeo.peer(), words.as_bytes());
    world.hang_up(romeo.peer());
    world.step_all_but_commits();
    let words = format!("<message to='{ROMEO}' type='chat'><body>z</body></message>");
    world.write(juliet.peer(), words.as_bytes());
    world.step_all_but_commits();
    world.run();
    let told: Vec<String> = other
        .rest(&mut world)?
        .iter()
        .map(Element::to_string)
        .collect();
    let place = |id: &str| told.iter().position(|stanza| stanza.contains(id));
    let places = (place("id='first'"), place("id='second'"));
    assert!(
        matches!(places, (Some(first), Some(second)) if first < second),
        "{told:?}"
    );
    Ok(())
}
