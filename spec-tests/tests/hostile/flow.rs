//! Who writes much, and who pays for it: a receiver who reads is not thrown off, a bystander is not refused, what nobody reads is
//! bounded for an account as a whole, and who sends faster than it may waits.

use std::thread;
use std::time::Duration;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::element::{CLIENT, Element};
use spec_tests::memory::{Ended, World, config};
use spec_tests::server::{Server, Setup};
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::limits::{FLOW_PATIENCE, Limits};
use spondee_core::rate::Rate;

use crate::stage::Outcome;

fn text_of(stanza: &Element, name: &str) -> String {
    let child = stanza.child(CLIENT, name);
    child.map_or_else(String::new, |child| {
        child.text().trim_start_matches('x').to_owned()
    })
}

const PING: &str = "<iq type='get' id='end'><ping xmlns='urn:xmpp:ping'/></iq>";

fn user(name: &str) -> (String, &'static str) {
    (format!("{name}@localhost"), "secret")
}

fn start(names: &[&str], options: &str) -> Result<Server, String> {
    let users: Vec<_> = names.iter().copied().map(user).collect();
    let users: Vec<_> = users
        .iter()
        .map(|(jid, password)| (jid.as_str(), *password))
        .collect();
    let setup = Setup {
        options,
        ..Setup::default()
    };
    Server::start_with(&users, setup)
}

/// A client that is signed in and bound, with its full address.
fn session(server: &Server, name: &str) -> Result<(Client, String), String> {
    let trust = server.trust()?;
    let mut client = Client::session(server.clear, "localhost", &trust, name, "secret")?;
    client.send(PING)?;
    let answer = client.next(PATIENCE)?;
    let jid = answer.attribute("to").ok_or("an answer to nobody")?;
    Ok((client, jid.to_owned()))
}

/// Writes all of it at once, then reads to the answer of a ping, and returns how much was refused.
fn pour(mut client: Client, flood: &str) -> Result<usize, String> {
    client.send(flood)?;
    client.send(PING)?;
    let mut refused = 0;
    loop {
        let answer = client.next(PATIENCE)?;
        match answer.attribute("id") {
            Some("end") => return Ok(refused),
            _ => refused += 1,
        }
    }
}

/// How often to try what depends on who runs when.
fn times(few: usize) -> usize {
    match std::env::var_os("SPONDEE_LONG") {
        Some(_) => 100,
        None => few,
    }
}

/// Two senders at full speed, 4.7 MB each, which is more than a session's queue together with what a socket takes; with one
/// thread on the same shard, with eight on others.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn a_receiver_that_reads_lives_while_two_write_at_full_speed() -> Outcome {
    const MESSAGES: usize = 15_000;
    for threads in [1, 8] {
        let options = format!("threads = {threads}\nlog_level = \"warn\"");
        let server = start(&["juliet", "romeo", "nurse"], &options)?;
        let body = "x".repeat(240);
        for run in 0..times(3) {
            let (mut juliet, to) = session(&server, "juliet")?;
            let flood = format!("<message to='{to}' type='chat'><body>{body}</body></message>");
            let flood = flood.repeat(MESSAGES);
            let senders: Vec<_> = ["romeo", "nurse"]
                .into_iter()
                .map(|name| {
                    let flood = flood.clone();
                    let (client, _) = session(&server, name)?;
                    Ok(thread::spawn(move || pour(client, &flood)))
                })
                .collect::<Result<_, String>>()?;
            let came = juliet.count("</message>", 2 * MESSAGES, PATIENCE)?;
            assert_eq!(came, 2 * MESSAGES, "run {run} with {threads} threads");
            for sender in senders {
                let refused = sender.join().map_err(|_| "a sender panicked")??;
                assert_eq!(refused, 0, "run {run} with {threads} threads");
            }
        }
        let pss = server.pss_kib()?;
        println!("{threads} threads: {pss} KiB of PSS afterwards");
        assert!(pss < 128 * 1024, "{pss} KiB");
    }
    Ok(())
}

/// Copies of one long stanza to many take no more memory than one; so they must not fill the way of those who share it. With two
/// threads, one of the six is on the shard of who tells, and one of the two on the other.
#[test]
fn a_bystander_is_not_refused_for_what_another_tells_to_many() -> Outcome {
    let bystanders = ["a", "b", "c", "d", "e", "f"];
    let names = ["romeo", "juliet", "nurse"];
    let server = start(&[&names[..], &bystanders].concat(), "log_level = \"warn\"")?;
    let mut many = String::new();
    for n in 0..900 {
        many.push_str(&format!("<presence to='nobody{n}@localhost/x'/>"));
    }
    let status = "x".repeat(250_000);
    many.push_str(&format!(
        "<presence type='unavailable'><status>{status}</status></presence>"
    ));
    let (mut romeo, _) = session(&server, "romeo")?;
    let mut readers = [session(&server, "juliet")?, session(&server, "nurse")?];
    let mut writers: Vec<Client> = bystanders
        .into_iter()
        .map(|name| Ok(session(&server, name)?.0))
        .collect::<Result<_, String>>()?;
    let teller = thread::spawn(move || {
        for _ in 0..times(20) {
            romeo.send(&many)?;
        }
        pour(romeo, "")
    });
    let mut rounds = 0;
    while !teller.is_finished() {
        for writer in &mut writers {
            for (reader, to) in &mut readers {
                writer.send(&format!(
                    "<message to='{to}' type='chat'><body>x</body></message>"
                ))?;
                reader
                    .next_body(PATIENCE)
                    .map_err(|fault| format!("in round {rounds}: {fault}"))?;
            }
        }
        rounds += 1;
    }
    teller.join().map_err(|_| "the teller panicked")??;
    for writer in writers {
        assert_eq!(pour(writer, "")?, 0, "in {rounds} rounds");
    }
    Ok(())
}

fn world(change: impl FnOnce(&mut spondee_core::Config)) -> World {
    let mut config = config();
    change(&mut config);
    let mut world = World::new(config);
    for name in ["juliet", "romeo", "nurse"] {
        world.add_user(&user(name).0, "secret");
    }
    world
}

/// A bound for each session is none for who has many.
#[test]
fn an_account_whose_clients_do_not_read_keeps_no_more_than_an_account_may() -> Outcome {
    const ACCOUNT: usize = 300_000;
    let mut world = world(|config| {
        config.limits.session_queue_bytes = 100_000;
        config.limits.account_queue_bytes = ACCOUNT;
    });
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    let romeos: Vec<Talk> = (0..20)
        .map(|n| Talk::session(&mut world, "romeo@localhost", &format!("r{n}")))
        .collect::<Result<_, _>>()?;
    for romeo in &romeos {
        world.stop_taking(romeo.peer());
    }
    let body = "x".repeat(10_000);
    for n in (0..20).cycle().take(60) {
        let message = format!("<message to='romeo@localhost/r{n}'><body>{body}</body></message>");
        juliet.send(&mut world, &message);
        // Of those that still are sessions: the others owe no more, and are gone when their time is up.
        let open = romeos.iter().map(Talk::peer);
        let owed = open
            .filter(|peer| world.ended(*peer).is_none())
            .map(|peer| world.owed(peer));
        assert!(owed.sum::<usize>() < ACCOUNT + 20_000);
        world.advance(Limits::default().close);
    }
    let ended = romeos
        .iter()
        .filter(|romeo| world.ended(romeo.peer()) == Some(Ended::Closed));
    let ended = ended.count();
    assert!(
        (1..20).contains(&ended),
        "{ended}: the longest queues go, the others stay"
    );
    // Juliet is served.
    juliet.rest(&mut world)?;
    juliet.send(&mut world, PING);
    assert_eq!(juliet.next(&mut world)?.attribute("type"), Some("result"));
    Ok(())
}

/// Who writes waits for who reads: nothing is lost, nobody is ended, on one shard and across.
#[test]
fn a_sender_waits_for_a_reader_and_goes_on_when_that_has_read() -> Outcome {
    const QUEUE: usize = 100_000;
    for shards in [1, 3] {
        let mut world = world(|config| {
            config.shards = shards;
            config.limits.session_queue_bytes = QUEUE;
        });
        let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
        let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
        let mut nurse = Talk::session(&mut world, "nurse@localhost", "kitchen")?;
        let body = "x".repeat(1000);
        let message =
            format!("<message to='romeo@localhost/orchard'><body>{body}</body></message>");
        let mut came = 0;
        for _ in 0..5 {
            world.stop_taking(romeo.peer());
            for _ in 0..100 {
                juliet.send(&mut world, &message);
                nurse.send(&mut world, &message);
            }
            assert!(world.owed(romeo.peer()) < QUEUE, "{shards} shards");
            // Both wait, but shorter than they might.
            juliet.send(&mut world, PING);
            assert_eq!(juliet.rest(&mut world)?, []);
            world.advance(FLOW_PATIENCE / 2);
            world.take_again(romeo.peer());
            world.run();
            came += romeo.rest(&mut world)?.len();
            assert_eq!(juliet.rest(&mut world)?.len(), 1, "the answer to her ping");
        }
        assert_eq!(came, 5 * 200, "{shards} shards");
        assert_eq!(nurse.rest(&mut world)?, []);
    }
    Ok(())
}

/// Presence that is told to many makes nobody wait, and ends nobody: whoever has much to read is told the last of it when there is room.
#[test]
fn who_tells_many_does_not_wait_and_who_is_slow_hears_the_last() -> Outcome {
    const TOLD: usize = 300;
    for shards in [1, 3] {
        let mut world = world(|config| {
            config.shards = shards;
            config.limits.session_queue_bytes = 100_000;
        });
        let mut garden = Talk::session(&mut world, "juliet@localhost", "garden")?;
        let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
        garden.send(&mut world, "<presence/>");
        garden.rest(&mut world)?;
        world.stop_taking(garden.peer());
        let status = "x".repeat(1000);
        for n in 0..TOLD {
            let status = format!("<presence><status>{status}{n}</status></presence>");
            juliet.send(&mut world, &status);
        }
        let message = "<message to='juliet@localhost/garden'><body>end</body></message>";
        juliet.send(&mut world, message);
        juliet.send(&mut world, PING);
        let heard = juliet.rest(&mut world)?;
        let answered = heard
            .iter()
            .any(|heard| heard.attribute("id") == Some("end"));
        assert!(answered, "she waits with {shards} shards");
        world.advance(FLOW_PATIENCE / 2);
        world.take_again(garden.peer());
        world.run();
        let heard = garden.rest(&mut world)?;
        assert!(heard.len() < TOLD / 2, "{} of {TOLD}", heard.len());
        let words: Vec<String> = heard
            .iter()
            .map(|heard| ["status", "body"].map(|name| text_of(heard, name)).concat())
            .collect();
        let [.., last, message] = words.as_slice() else {
            return Err(format!("{words:?}"));
        };
        // In the order in which she said it.
        assert_eq!([last.as_str(), message], [&(TOLD - 1).to_string(), "end"]);
    }
    Ok(())
}

/// Who names whom it tells, tells one: that waits for who is told, as a message does.
#[test]
fn who_directs_presence_at_one_who_does_not_read_waits_for_that_one() -> Outcome {
    let mut world = world(|config| config.limits.session_queue_bytes = 100_000);
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    world.stop_taking(romeo.peer());
    let status = "x".repeat(1000);
    let presence =
        format!("<presence to='romeo@localhost/orchard'><status>{status}</status></presence>");
    for _ in 0..200 {
        juliet.send(&mut world, &presence);
    }
    assert!(world.owed(romeo.peer()) < 60_000);
    juliet.send(&mut world, PING);
    assert_eq!(juliet.rest(&mut world)?.len(), 0);
    world.take_again(romeo.peer());
    world.run();
    assert_eq!(romeo.rest(&mut world)?.len(), 200);
    assert_eq!(juliet.rest(&mut world)?.len(), 1);
    Ok(())
}

/// Who asks much and reads no answers waits for itself, and keeps nobody waiting who answers.
#[test]
fn who_does_not_read_answers_is_not_read_and_ends() -> Outcome {
    for to in ["", " to='juliet@localhost/balcony'"] {
        for shards in [1, 3] {
            let mut world = world(|config| {
                config.shards = shards;
                config.limits.session_queue_bytes = 100_000;
            });
            let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
            let romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
            world.stop_taking(romeo.peer());
            let id = "x".repeat(1000);
            let ask = format!("<iq type='get' id='{id}'{to}><ping xmlns='urn:xmpp:ping'/></iq>");
            let answer = format!("<iq type='result' id='{id}' to='romeo@localhost/orchard'/>");
            for _ in 0..300 {
                world.write(romeo.peer(), ask.as_bytes());
                world.run();
                for _ in juliet.rest(&mut world)? {
                    juliet.send(&mut world, &answer);
                }
            }
            assert!(world.owed(romeo.peer()) < 60_000, "{shards} shards");
            juliet.send(&mut world, PING);
            assert_eq!(juliet.rest(&mut world)?.len(), 1, "{shards} shards");
            world.advance(FLOW_PATIENCE + Limits::default().close);
            assert_eq!(world.ended(romeo.peer()), Some(Ended::Closed));
        }
    }
    Ok(())
}

/// What makes the queue of somebody long.
const MUCH: [&str; 4] = ["a message", "a request", "an answer", "presence"];

/// The like of it, from juliet, with a kilobyte in it.
fn much(what: &str) -> String {
    let (to, text) = ("to='romeo@localhost/orchard'", "x".repeat(1000));
    match what {
        "a message" => format!("<message {to}><body>{text}</body></message>"),
        "a request" => {
            format!("<iq type='get' id='{text}' {to}><ping xmlns='urn:xmpp:ping'/></iq>")
        }
        "an answer" => format!("<iq type='result' id='{text}' {to}/>"),
        _ => format!("<presence {to}><status>{text}</status></presence>"),
    }
}

/// Whatever comes, who takes a byte now and then does not read; nor who takes nothing; and who takes four kilobytes a second does.
#[test]
fn who_reads_is_told_by_how_much_whatever_it_is() -> Outcome {
    const QUEUE: usize = 2_000_000;
    for what in MUCH {
        for (bytes, every, reads) in [
            (0, 1, false),
            (1, 9, false),
            (1024, 1, false),
            (8 * 1024, 1, true),
        ] {
            let mut world = world(|config| config.limits.session_queue_bytes = QUEUE);
            let romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
            let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
            world.stop_taking(romeo.peer());
            let flood = much(what).repeat(QUEUE / 2 / 1000);
            juliet.send(&mut world, &flood);
            assert!(world.owed(romeo.peer()) > QUEUE / 2, "{what}");
            for second in 0..60_u64 {
                if second % every == 0 {
                    world.take(romeo.peer(), bytes);
                }
                world.advance(Duration::from_secs(1));
            }
            let ended = world.ended(romeo.peer());
            assert_eq!(
                ended.is_none(),
                reads,
                "{what}, {bytes} bytes every {every} seconds: {ended:?}"
            );
            assert_eq!(world.ended(juliet.peer()), None);
        }
    }
    Ok(())
}

/// A session with its address.
type Addressed = (Talk, String);

/// Of what one account sends, all together leave no more unread than all clients of one account may, and little more of each.
#[test]
fn what_one_account_has_in_all_queues_is_bounded() -> Outcome {
    const READERS: usize = 20;
    const BOUND: usize = 300_000;
    for to_many in [false, true] {
        for shards in [1, 3] {
            let mut world = world(|config| {
                config.shards = shards;
                config.limits.session_queue_bytes = 250_000;
                config.limits.account_queue_bytes = BOUND;
            });
            let mut readers = Vec::new();
            for n in 0..READERS {
                let account = format!("user{n}@localhost");
                world.add_user(&account, "secret");
                readers.push(Talk::session(&mut world, &account, "x")?);
            }
            let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
            let text = "x".repeat(9_000);
            for reader in &readers {
                world.stop_taking(reader.peer());
            }
            for round in 0..10 {
                for n in 0..READERS {
                    let to = format!("to='user{n}@localhost/x'");
                    let said = match to_many {
                        true => format!("<presence {to}/>"),
                        false => {
                            format!("<message {to}><body>{text}{round}</body></message>")
                        }
                    };
                    world.write(juliet.peer(), said.as_bytes());
                }
                if to_many {
                    let gone = format!(
                        "<presence type='unavailable'><status>{text}{round}</status></presence>"
                    );
                    world.write(juliet.peer(), gone.as_bytes());
                }
                world.run();
            }
            let owed = readers.iter().map(|reader| world.owed(reader.peer()));
            let owed: usize = owed.sum();
            // On each shard; and what is not counted of each, with what was on its way.
            let most = shards as usize * (BOUND + 20_000) + READERS * 20_000;
            assert!(owed < most, "{owed} with {shards} shards");
            assert!(owed < READERS * 10 * 9_000 * 3 / 4, "{owed}");
            juliet.send(&mut world, PING);
            assert_eq!(juliet.rest(&mut world)?, [], "she waits");
            for reader in &readers {
                world.take_again(reader.peer());
            }
            world.run();
            for reader in &mut readers {
                let heard = reader.rest(&mut world)?;
                let last = heard.last().ok_or("nothing")?;
                let said = ["status", "body"].map(|name| text_of(last, name)).concat();
                assert_eq!(said, "9", "{last}");
                if !to_many {
                    assert_eq!(heard.len(), 10);
                }
            }
        }
    }
    Ok(())
}

/// Sessions of twelve users on two shards, by where they are.
fn on_two_shards() -> Result<(World, [Vec<Addressed>; 2]), String> {
    let mut config = config();
    config.shards = 2;
    let mut world = World::new(config);
    let mut there = [Vec::new(), Vec::new()];
    for n in 0..12 {
        let account = format!("user{n}@localhost");
        world.add_user(&account, "secret");
        let talk = Talk::session(&mut world, &account, "x")?;
        let (shard, _) = world.seat(talk.peer()).ok_or("no seat")?;
        there[shard].push((talk, format!("{account}/x")));
    }
    match there.iter().all(|some| some.len() >= 3) {
        true => Ok((world, there)),
        false => Err("too few on one of them".to_owned()),
    }
}

/// What one account has on the way between two shards is bounded: it waits, loses nothing, and keeps up nobody beside it.
#[test]
fn who_feeds_a_way_that_is_full_waits_and_nobody_beside() -> Outcome {
    const MESSAGES: usize = 2000;
    let (mut world, [here, there]) = on_two_shards()?;
    let mut here = here.into_iter();
    let (Some((romeo, _)), Some((nurse, _)), Some((_, near))) =
        (here.next(), here.next(), here.next())
    else {
        return Err("nobody here".to_owned());
    };
    let mut there = there.into_iter();
    let (Some((mut juliet, far)), Some((mut friar, other))) = (there.next(), there.next()) else {
        return Err("nobody there".to_owned());
    };
    let body = "x".repeat(1000);
    let flood = format!("<message to='{far}'><body>{body}</body></message>").repeat(MESSAGES);
    world.write(romeo.peer(), flood.as_bytes());
    world.turns(1);
    assert!(!world.reads(romeo.peer()), "all of it is on its way");
    // Beside it, the same way and another.
    let body = "<body>hear</body></message>";
    let (mut turns, mut heard) = (0, Vec::new());
    world.write(
        nurse.peer(),
        format!("<message to='{other}'>{body}<message to='{near}'>{body}").as_bytes(),
    );
    while heard.is_empty() {
        world.turns(1);
        turns += 1;
        assert!(world.reads(nurse.peer()));
        heard = friar.rest(&mut world)?;
    }
    assert!(turns <= 3, "{turns}");
    world.run();
    assert_eq!(juliet.rest(&mut world)?.len(), MESSAGES);
    assert!(world.reads(romeo.peer()));
    let residue = world.residue();
    assert!(residue.iter().all(|residue| residue[6] == 0), "{residue:?}");
    Ok(())
}

/// Answers fill a way by the doing of who asks, who is where they go to.
#[test]
fn who_asks_more_than_the_way_back_takes_waits_and_not_who_answers() -> Outcome {
    let (mut world, [here, there]) = on_two_shards()?;
    let (romeo, _) = here.into_iter().next().ok_or("nobody")?;
    let (mut juliet, far) = there.into_iter().next().ok_or("nobody")?;
    let id = "x".repeat(4000);
    let ask = format!("<iq type='get' id='{id}' to='{far}x'><ping xmlns='urn:xmpp:ping'/></iq>");
    world.write(romeo.peer(), ask.repeat(1000).as_bytes());
    for _ in 0..200 {
        world.turns(1);
        assert!(world.reads(juliet.peer()));
    }
    juliet.send(&mut world, PING);
    assert_eq!(juliet.next(&mut world)?.attribute("type"), Some("result"));
    world.run();
    let mut romeo = romeo;
    assert_eq!(romeo.rest(&mut world)?.len(), 1000);
    Ok(())
}

const RATE: Rate = Rate {
    bytes_per_second: 1000,
    burst: Duration::from_secs(2),
};

/// How many of ten pings, 200 bytes each, are answered at once, and how many after each of these seconds.
fn answered(world: &mut World, talk: &mut Talk, seconds: usize) -> Result<Vec<usize>, String> {
    let status = "x".repeat(200 - "<iq type='get' id=''><ping xmlns='urn:xmpp:ping'/></iq>".len());
    let ping = format!("<iq type='get' id='{status}'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert_eq!(ping.len(), 200);
    let mut all = Vec::new();
    // Each in a segment of its own: what is not read waits in the network.
    for _ in 0..50 {
        world.write(talk.peer(), ping.as_bytes());
        world.turns(1);
    }
    world.run();
    all.push(talk.rest(world)?.len());
    for _ in 0..seconds {
        world.advance(Duration::from_secs(1));
        all.push(talk.rest(world)?.len());
    }
    Ok(all)
}

/// `limits`: a burst passes, then it goes on at the rate, and nothing is lost.
#[test]
fn who_sends_faster_than_it_may_waits_and_loses_nothing() -> Outcome {
    let mut world = world(|config| config.limits.c2s_rate = Some(RATE));
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    world.advance(Duration::from_secs(10));
    let answers = answered(&mut world, &mut romeo, 60)?;
    assert!((10..=11).contains(&answers[0]), "{answers:?}");
    assert_eq!(answers.iter().sum::<usize>(), 50, "{answers:?}");
    let last = answers.iter().rposition(|count| *count > 0).unwrap_or(0);
    // 10,000 bytes, of which 2,000 come at once.
    assert!((7..=10).contains(&last), "{answers:?}");
    Ok(())
}

/// Who waits is not deaf: the end of its stream is heard, and whoever must end it does.
#[test]
fn who_waits_for_its_rate_can_be_told_to_go() -> Outcome {
    let mut world = world(|config| config.limits.c2s_rate = Some(RATE));
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    world.advance(Duration::from_secs(10));
    answered(&mut world, &mut romeo, 0)?;
    world.shut_down();
    world.advance(Limits::default().close);
    assert!(world.ended(romeo.peer()).is_some());
    Ok(())
}

/// `unlimited_jids`, and a reload that takes the limit away.
#[test]
fn an_unlimited_account_and_who_is_no_longer_limited_do_not_wait() -> Outcome {
    let bot = BareJid::parse("nurse@localhost").map_err(|_| "no address")?;
    let mut world = world(|config| {
        config.limits.c2s_rate = Some(RATE);
        for host in config.accounts_mut() {
            host.unlimited_jids = vec![bot.clone()];
        }
    });
    let mut nurse = Talk::session(&mut world, "nurse@localhost", "kitchen")?;
    let mut romeo = Talk::session(&mut world, "romeo@localhost", "orchard")?;
    world.advance(Duration::from_secs(10));
    assert_eq!(answered(&mut world, &mut nurse, 0)?, [50]);
    let before = answered(&mut world, &mut romeo, 0)?[0];
    assert!(before < 20, "{before}");
    world.reload(config());
    world.advance(Duration::from_secs(10));
    assert_eq!(romeo.rest(&mut world)?.len(), 50 - before);
    assert_eq!(answered(&mut world, &mut romeo, 0)?, [50]);
    Ok(())
}
