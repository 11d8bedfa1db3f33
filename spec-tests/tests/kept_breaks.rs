//! What somebody could break about messages that are kept: each told by itself.

use std::time::Duration;

use spec_tests::element::Element;
use spec_tests::memory::{Bounds, Peer, Step, StorePace, World, archiving};
use spec_tests::talk::Talk;
use spondee_core::archive::Policy;
use spondee_core::config::Config;
use spondee_core::jid::BareJid;
use spondee_core::limits::{ENDINGS_PER_TICK, StoreCredit};
use spondee_core::port::{Command, CommandId};
use spondee_core::store::{Class, Op, StoreError};

const ROMEO: &str = "romeo@localhost";
const JULIET: &str = "juliet@localhost";
const QUERY: &str = "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2'/></iq>";
const CARBONS: &str = "<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>";

/// Archives by this policy.
fn keeping(policy: Policy) -> Config {
    archiving(|archive| archive.policy = policy)
}

/// Both have an account, Romeo a session.
fn stage(config: Config) -> Result<(World, Talk), String> {
    let mut world = World::new(config);
    world.add_user(ROMEO, "secret");
    world.add_user(JULIET, "secret");
    let romeo = Talk::session(&mut world, ROMEO, "r")?;
    Ok((world, romeo))
}

/// Lets everything happen but what the store does.
fn until_the_store(world: &mut World) {
    world.step_all_but_commits();
    while world.tick_at_once() {
        world.step_all_but_commits();
    }
}

/// The next thing of the store's happens, and what comes of it.
fn store_once(world: &mut World) {
    if let Some(index) = world.commits().first().copied() {
        world.step(Step::Commit(index));
        until_the_store(world);
    }
}

fn ids(stanzas: &[Element]) -> Vec<&str> {
    let messages = stanzas.iter().filter(|stanza| stanza.name == "message");
    messages
        .filter_map(|stanza| stanza.attribute("id"))
        .collect()
}

fn message(to: &str, id: &str) -> String {
    format!("<message to='{to}' id='{id}' type='chat'><body>{id}</body></message>")
}

fn delete(world: &mut World, account: &str) {
    let account = BareJid::parse(account).expect("an address");
    world.post_command(CommandId(1_000_000), Command::Delete { account });
}

fn position(world: &World, which: impl Fn(&Op) -> bool) -> Option<usize> {
    (0..world.questions()).find(|index| {
        let batch = world.batch(*index);
        batch.is_some_and(|batch| batch.ops.iter().any(&which))
    })
}

/// The next messages that Juliet's account keeps meet this fate.
fn fail_append(world: &mut World, error: StoreError) -> Result<(), String> {
    until_the_store(world);
    for _ in 0..20 {
        let appends = |op: &Op| matches!(op, Op::Append { .. });
        let found = world.commits().into_iter().find(|index| {
            let batch = world.batch(*index);
            batch.is_some_and(|b| b.owner.as_str() == JULIET && b.ops.iter().any(appends))
        });
        if let Some(index) = found {
            world.fail(index, error);
            until_the_store(world);
            return Ok(());
        }
        store_once(world);
    }
    Err("nothing is kept".to_owned())
}

#[test]
fn what_was_to_be_kept_by_a_session_of_who_is_deleted_meanwhile_is_not() -> Result<(), String> {
    let (mut world, _romeo) = stage(keeping(Policy::Always))?;
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    let set = |name: &str, text: &str| {
        format!(
            "<iq type='set' id='{name}'><query xmlns='jabber:iq:private'><{name} xmlns='urn:x'>{text}</{name}></query></iq>"
        )
    };
    for name in ["a", "b"] {
        juliet.send(&mut world, &set(name, &"x".repeat(200_000)));
        assert_eq!(juliet.next(&mut world)?.attribute("type"), Some("result"));
    }
    world.store_pace = StorePace::Slow;
    world.write(juliet.peer(), set("c", "little").as_bytes());
    until_the_store(&mut world);
    delete(&mut world, JULIET);
    until_the_store(&mut world);
    world.run();
    Ok(())
}

#[test]
fn nothing_is_written_of_an_account_behind_its_deletion() -> Result<(), String> {
    let mut config = keeping(Policy::Always);
    for host in config.accounts_mut() {
        host.archive.max_messages = 10;
    }
    let (mut world, mut romeo) = stage(config)?;
    world.store_pace = StorePace::Slow;
    for n in 0..12 {
        romeo.send(&mut world, &message(JULIET, &n.to_string()));
    }
    for n in 12..20 {
        world.write(romeo.peer(), message(JULIET, &n.to_string()).as_bytes());
        until_the_store(&mut world);
    }
    let measures = |op: &Op| matches!(op, Op::Measure { .. });
    for _ in 0..100 {
        if position(&world, measures).is_none() {
            store_once(&mut world);
        }
    }
    if position(&world, measures).is_none() {
        return Err("nothing is measured".to_owned());
    }
    delete(&mut world, JULIET);
    until_the_store(&mut world);
    let mut held = None;
    for _ in 0..200 {
        let index = world.commits().into_iter().find(|index| {
            world
                .batch(*index)
                .is_some_and(|b| b.owner.as_str() == JULIET && b.ops.iter().any(measures))
        });
        if let Some(index) = index {
            // It may take long, and others do not wait for it.
            held = world.answer_of(index);
            until_the_store(&mut world);
            continue;
        }
        if position(&world, |op| matches!(op, Op::Purge)).is_some() && held.is_some() {
            let (shard, input) = held.take().unwrap();
            world.tell(shard, input);
            until_the_store(&mut world);
            let at = position(&world, |op| matches!(op, Op::Purge)).unwrap();
            let owner = world.batch(at).unwrap().owner.clone();
            for index in at + 1..world.questions() {
                let Some(batch) = world.batch(index) else {
                    continue;
                };
                if batch.owner == owner && !batch.is_read_only() {
                    return Err(format!("behind the purge: {batch:?}"));
                }
            }
            world.run();
            return Ok(());
        }
        store_once(&mut world);
    }
    Err("no purge".to_owned())
}

#[test]
fn a_message_for_which_the_store_was_busy_is_not_kept_for_who_was_deleted() -> Result<(), String> {
    let (mut world, romeo) = stage(keeping(Policy::Always))?;
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    juliet.send(&mut world, "<presence/>");
    world.store_pace = StorePace::Slow;
    world.write(romeo.peer(), message(JULIET, "m").as_bytes());
    fail_append(&mut world, StoreError::Busy)?;
    world.store_pace = StorePace::Prompt;
    delete(&mut world, JULIET);
    world.run();
    world.advance(Duration::from_secs(30));
    world.run();
    world.add_user(JULIET, "secret");
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    juliet.send(&mut world, QUERY);
    let told = juliet.rest(&mut world)?;
    assert_eq!(told.len(), 1, "{told:?}");
    Ok(())
}

#[test]
fn an_account_does_not_leave_memory_before_its_messages_are_on_disk() -> Result<(), String> {
    let bounds = Bounds {
        credit: StoreCredit::of_one(1),
        idle: 0,
        endings: ENDINGS_PER_TICK,
    };
    let mut world = World::with_bounds(keeping(Policy::Never), 0, bounds);
    world.add_user(ROMEO, "secret");
    world.add_user(JULIET, "secret");
    let mut romeo = Talk::session(&mut world, ROMEO, "r")?;
    world.store_pace = StorePace::Slow;
    world.write(romeo.peer(), message(JULIET, "1").as_bytes());
    fail_append(&mut world, StoreError::Busy)?;
    world.store_pace = StorePace::Prompt;
    world.run();
    romeo.send(&mut world, &message(JULIET, "2"));
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    juliet.send(&mut world, "<presence/>");
    let mut told = juliet.rest(&mut world)?;
    for _ in 0..10 {
        world.advance(Duration::from_secs(1));
        world.run();
        told.extend(juliet.rest(&mut world)?);
    }
    juliet.send(&mut world, "<presence/>");
    told.extend(juliet.rest(&mut world)?);
    assert_eq!(ids(&told), ["1", "2"]);
    assert_eq!(romeo.rest(&mut world)?, []);
    Ok(())
}

#[test]
fn who_is_gone_has_no_pages_read_for_it() -> Result<(), String> {
    let (mut world, mut romeo) = stage(keeping(Policy::Always))?;
    romeo.send(&mut world, &message(JULIET, "m"));
    world.store_pace = StorePace::Slow;
    let before = world.asked(Class::Page);
    let mut many = QUERY.repeat(500);
    many.push_str(&message(JULIET, "last"));
    world.write(romeo.peer(), many.as_bytes());
    world.hang_up(romeo.peer());
    until_the_store(&mut world);
    if world.seat(romeo.peer()).is_some() {
        world.cut(romeo.peer());
    }
    until_the_store(&mut world);
    let asked = world.asked(Class::Page) - before;
    world.run();
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    juliet.send(&mut world, "<presence/>");
    let told = juliet.rest(&mut world)?;
    assert_eq!(ids(&told), ["m", "last"]);
    assert!(asked <= 2, "{asked} pages");
    Ok(())
}

/// A page of what waits is written to Juliet's first session, which takes nothing of it.
fn told_slowly(config: Config, count: usize) -> Result<(World, Talk, Talk), String> {
    let (mut world, mut romeo) = stage(config)?;
    for n in 0..count {
        romeo.send(&mut world, &message(JULIET, &n.to_string()));
    }
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    juliet.send(&mut world, CARBONS);
    juliet.rest(&mut world)?;
    world.stop_taking(juliet.peer());
    Ok((world, romeo, juliet))
}

#[test]
fn a_copy_behind_what_waited_is_no_delivery() -> Result<(), String> {
    let (mut world, mut romeo, juliet) = told_slowly(keeping(Policy::Never), 3)?;
    world.write(juliet.peer(), b"<presence/>");
    world.run();
    // It is told them still, and is not there for new ones.
    world.write(
        juliet.peer(),
        b"<presence><priority>-1</priority></presence>",
    );
    world.run();
    romeo.send(&mut world, &message(JULIET, "mid"));
    for n in 0..600 {
        romeo.send(&mut world, &message(JULIET, &format!("late{n}")));
    }
    // What was written first is taken, and what came of that, up to a later page.
    for _ in 0..2 {
        let owed = world.owed(juliet.peer());
        world.take(juliet.peer(), owed);
        world.run();
    }
    world.cut(juliet.peer());
    world.run();
    let first = world.take_received(juliet.peer());
    let mut juliet = Talk::session(&mut world, JULIET, "j2")?;
    juliet.send(&mut world, "<presence/>");
    let told = juliet.rest(&mut world)?;
    let second = ids(&told);
    let first = String::from_utf8_lossy(&first).into_owned();
    let lost: Vec<String> = ["0", "1", "2", "mid"]
        .into_iter()
        .map(str::to_owned)
        .chain((0..600).map(|n| format!("late{n}")))
        .filter(|id| !first.contains(&format!("id='{id}'")) && !second.contains(&id.as_str()))
        .collect();
    assert_eq!(lost, Vec::<String>::new());
    Ok(())
}

#[test]
fn what_comes_while_an_empty_page_is_read_is_told() -> Result<(), String> {
    let (mut world, romeo) = stage(keeping(Policy::Never))?;
    // Nobody knows what became of it: nothing, and it counts as waiting.
    world.store_pace = StorePace::Slow;
    world.write(romeo.peer(), message(JULIET, "1").as_bytes());
    fail_append(&mut world, StoreError::Unknown)?;
    world.store_pace = StorePace::Prompt;
    world.run();
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    world.store_pace = StorePace::Slow;
    world.write(juliet.peer(), b"<presence/>");
    until_the_store(&mut world);
    let words = message(JULIET, "2");
    // The page is read, and before its answer comes the next message does.
    let page = position(&world, |op| matches!(op, Op::Page { .. })).ok_or("no page")?;
    let (shard, input) = world.answer_of(page).ok_or("no answer")?;
    world.write(romeo.peer(), words.as_bytes());
    until_the_store(&mut world);
    world.tell(shard, input);
    until_the_store(&mut world);
    world.store_pace = StorePace::Prompt;
    world.run();
    let told = juliet.rest(&mut world)?;
    assert_eq!(ids(&told), ["2"]);
    Ok(())
}

#[test]
fn one_query_does_not_read_many_pages() -> Result<(), String> {
    let (mut world, mut romeo) = stage(keeping(Policy::Always))?;
    for n in 0..3 {
        romeo.send(&mut world, &message(JULIET, &n.to_string()));
    }
    romeo.send(&mut world, QUERY);
    let told = romeo.rest(&mut world)?;
    let id = told[0]
        .children()
        .next()
        .and_then(|result| result.attribute("id"))
        .ok_or("no id")?
        .to_owned();
    world.store_pace = StorePace::Slow;
    let field = format!("<field var='after-id'><value>{id}</value></field>");
    let query = format!(
        "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>{}</x></query></iq>",
        field.repeat(3000)
    );
    world.write(romeo.peer(), query.as_bytes());
    until_the_store(&mut world);
    let ops: usize = (0..world.questions())
        .filter_map(|index| world.batch(index))
        .map(|b| b.ops.len())
        .sum();
    world.run();
    assert!(ops <= 3, "{ops} pages");
    Ok(())
}

#[test]
fn who_waited_for_an_account_that_leaves_memory_goes_on() -> Result<(), String> {
    let bounds = Bounds {
        credit: StoreCredit::of_one(1),
        idle: 0,
        endings: ENDINGS_PER_TICK,
    };
    let mut world = World::with_bounds(keeping(Policy::Always), 0, bounds);
    world.add_user(ROMEO, "secret");
    world.add_user(JULIET, "secret");
    let mut romeo = Talk::session(&mut world, ROMEO, "r")?;
    let juliet = Talk::session(&mut world, JULIET, "j")?;
    world.store_pace = StorePace::Slow;
    // Juliet waits for the disk.
    world.write(
        juliet.peer(),
        b"<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>J</FN></vCard></iq>",
    );
    until_the_store(&mut world);
    world.write(romeo.peer(), message(JULIET, "x").repeat(600).as_bytes());
    until_the_store(&mut world);
    assert!(!world.reads(romeo.peer()));
    world.cut(juliet.peer());
    until_the_store(&mut world);
    world.store_pace = StorePace::Prompt;
    world.run();
    assert!(world.reads(romeo.peer()));
    romeo.rest(&mut world)?;
    Ok(())
}

#[test]
fn who_is_there_is_told_what_waits_though_the_store_was_busy_once() -> Result<(), String> {
    let (mut world, mut romeo) = stage(keeping(Policy::Never))?;
    romeo.send(&mut world, &message(JULIET, "1"));
    let mut juliet = Talk::session(&mut world, JULIET, "j")?;
    world.store_pace = StorePace::Slow;
    world.write(juliet.peer(), b"<presence/>");
    until_the_store(&mut world);
    let page = position(&world, |op| matches!(op, Op::Page { .. })).ok_or("no page")?;
    world.fail(page, StoreError::Busy);
    world.store_pace = StorePace::Prompt;
    world.run();
    for _ in 0..20 {
        world.advance(Duration::from_secs(1));
        world.run();
    }
    romeo.send(&mut world, &message(JULIET, "2"));
    let told = juliet.rest(&mut world)?;
    assert_eq!(ids(&told), ["1", "2"]);
    Ok(())
}

/// Each way of writing a message that a stream allows.
const FORMS: [(&str, &str); 6] = [
    (
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:a='urn:a' xml:lang='de'>",
        "<message to='juliet@localhost' type='chat' id='m' a:b='c'><a:x a:y='1'/><body>t</body></message>",
    ),
    (
        "<stream:stream to='localhost' version='1.0' xmlns:c='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xml:lang='de'>",
        "<c:message xmlns='urn:other' to='juliet@localhost' type='chat' id='m'><x y='1'/><c:body>t</c:body></c:message>",
    ),
    (
        "<s:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' xmlns:stream='urn:stream'>",
        "<message to='juliet@localhost' type='chat' id='m' xmlns='jabber:client'><stream:x/><s:y/><body>t</body></message>",
    ),
    (
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        "<c:message xmlns:c='jabber:client' xmlns='urn:odd' to='juliet@localhost' type='chat' id='m'><x><y xmlns=''/><z/></x><c:body>t</c:body></c:message>",
    ),
    (
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        "<message to=\"juliet@localhost\" type='chat' id=\"m'>&lt;\" xml:lang='&quot;'><body xml:lang=\"'\">t</body><b xmlns:q='urn:q'><q:c/></b></message>",
    ),
    (
        "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        "<message to='juliet@localhost' type='chat' id='m'><stanza-id xmlns='urn:xmpp:sid:0' by='JULIET@localhost' id='x'/><q:stanza-id xmlns:q='urn:xmpp:sid:0' by='juliet@localhost' id='x'/><body>t</body><delay xmlns='urn:xmpp:delay' from='localhost' stamp='2000-01-01T00:00:00Z'/></message>",
    ),
];

#[test]
fn whatever_way_a_message_is_written_it_is_kept_and_copied_as_it_is() -> Result<(), String> {
    for (header, words) in FORMS {
        let mut world = World::new(keeping(Policy::Always));
        world.add_user(ROMEO, "secret");
        world.add_user(JULIET, "secret");
        let mut live = Talk::session(&mut world, JULIET, "live")?;
        live.send(&mut world, "<presence/>");
        let mut copy = Talk::session(&mut world, JULIET, "copy")?;
        copy.send(&mut world, CARBONS);
        let mut other = Talk::session(&mut world, ROMEO, "other")?;
        other.send(&mut world, CARBONS);
        for talk in [&mut live, &mut copy, &mut other] {
            talk.rest(&mut world)?;
        }
        let peer = signed_in(&mut world, header)?;
        world.write(peer, words.as_bytes());
        world.run();
        let got = live.next(&mut world)?;
        let copied = copy.next(&mut world)?;
        let sent = other.next(&mut world)?;
        live.send(&mut world, QUERY);
        let page = live.next(&mut world)?;
        world.shut_down();
        let forwarded = |stanza: &Element| {
            let forwarded = stanza
                .children()
                .next()
                .and_then(|c| c.child("urn:xmpp:forward:0", "forwarded").cloned());
            forwarded.and_then(|f| f.child("jabber:client", "message").cloned())
        };
        let (copied, sent, page) = (forwarded(&copied), forwarded(&sent), forwarded(&page));
        let bare = |stanza: &Element| {
            let kids = stanza
                .children()
                .filter(|c| !c.is("urn:xmpp:sid:0", "stanza-id"));
            kids.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(copied.as_ref().map(bare), Some(bare(&got)));
        assert_eq!(page.as_ref().map(bare), Some(bare(&got)));
        assert_eq!(
            page.as_ref().and_then(|p| p.attribute("id")),
            got.attribute("id")
        );
        assert!(sent.is_some());
    }
    Ok(())
}

fn signed_in(world: &mut World, header: &str) -> Result<Peer, String> {
    use spec_tests::talk::{bind_request, plain_auth};
    let peer = world.connect(spondee_core::port::Opening::Tls);
    world.secure(peer);
    world.write(peer, header.as_bytes());
    world.run();
    world.write(peer, plain_auth("romeo", "secret").as_bytes());
    world.run();
    world.write(peer, header.as_bytes());
    world.run();
    let bind = bind_request("odd");
    let bind = match header.contains("xmlns:c='jabber:client'") {
        true => bind.replace("<iq ", "<c:iq ").replace("</iq>", "</c:iq>"),
        false => bind,
    };
    world.write(peer, bind.as_bytes());
    world.run();
    let got = String::from_utf8_lossy(&world.take_received(peer)).into_owned();
    match got.contains("romeo@localhost/odd") {
        true => Ok(peer),
        false => Err(got),
    }
}
