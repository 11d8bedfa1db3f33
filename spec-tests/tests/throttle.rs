//! Sign-in failures are limited by address and by account, whichever way the attempts are made (RFC 6120 §6.4.5, §13.9.4), and
//! neither before nor after that does the server tell who has an account (§6.5.10).

mod stage;

use std::net::IpAddr;
use std::time::Duration;

use spec_tests::element::{Element, SASL};
use spec_tests::memory::World;
use spec_tests::sasl::{Binding, Scram, Signed};
use spec_tests::talk::{Talk, header, plain_auth};
use spondee_core::config::Config;
use spondee_core::envelope::placement::Placement;
use spondee_core::jid::BareJid;
use spondee_core::port::{Command, Note, Opening};
use spondee_core::sasl::{Hash, Mechanism, Plus, Provider, Status};
use stage::{Outcome, stream_error, world};

const HOME: &str = "192.0.2.1";
const ABROAD: &str = "198.51.100.1";
const SCRAM: Mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);

/// The delay of an answer that is held up, and how soon a failure is forgiven.
const DELAY: Duration = Duration::from_secs(5);
const FORGIVEN: Duration = Duration::from_secs(15);

fn from(address: &str) -> IpAddr {
    address.parse().expect("an address")
}

/// A stream to `localhost` under TLS.
fn stream(world: &mut World, address: &str, shard: usize) -> Result<Talk, String> {
    let mut talk = Talk::connect_from(world, from(address), shard, Opening::Tls);
    talk.open(world, "localhost")?;
    Ok(talk)
}

/// A client's side of SCRAM up to the challenge.
fn first(world: &mut World, talk: &mut Talk, user: &str, password: &str) -> Result<(), String> {
    let scram = scram(user, password)?.first();
    talk.send(
        world,
        &format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{scram}</auth>"),
    );
    Ok(())
}

fn scram(user: &str, password: &str) -> Result<Scram, String> {
    Scram::new(SCRAM, user, password, "nonce", Binding::Unsupported)
        .ok_or_else(|| "no SCRAM".to_owned())
}

/// Answers a challenge.
fn last(
    world: &mut World,
    talk: &mut Talk,
    user: &str,
    password: &str,
    challenge: &Element,
) -> Result<Signed, String> {
    if !challenge.is(SASL, "challenge") {
        return Err(format!("expected a challenge, not {challenge}"));
    }
    let (response, signed) = scram(user, password)?.respond(&challenge.text())?;
    talk.send(
        world,
        &format!("<response xmlns='{SASL}'>{response}</response>"),
    );
    Ok(signed)
}

/// What a sign-in comes to at once: `success`, the name of a failure, or `nothing`.
fn answer(world: &mut World, talk: &mut Talk) -> Result<String, String> {
    let Some(answer) = talk.rest(world)?.into_iter().next() else {
        return Ok("nothing".to_owned());
    };
    match answer.is(SASL, "failure") {
        true => Ok(answer.condition().unwrap_or("none").to_owned()),
        false => Ok(answer.name),
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Digest,
    Plain,
    Scram,
}

const WAYS: [Way; 3] = [Way::Digest, Way::Plain, Way::Scram];

/// A server on which one can sign in this way.
fn world_for(way: Way, shards: u16) -> World {
    world(shards, |config| match way {
        Way::Digest => keep_passwords(config),
        Way::Plain | Way::Scram => {}
    })
}

/// So that there is every way.
fn keep_passwords(config: &mut Config) {
    for host in config.accounts_mut() {
        host.provider = Provider::Plain;
        host.sasl.disable.clear();
    }
}

/// One sign-in on a stream of its own.
fn attempt(
    world: &mut World,
    (address, shard): (&str, usize),
    way: Way,
    (user, password): (&str, &str),
) -> Result<(Talk, String), String> {
    let mut talk = stream(world, address, shard)?;
    match way {
        Way::Digest => {
            let proof = talk.digest(world, user, password)?;
            let heard = talk.rest(world)?.into_iter().next();
            match heard {
                Some(heard) if heard.is(SASL, "challenge") => {
                    assert_eq!(heard.text(), proof);
                    talk.send(world, &format!("<response xmlns='{SASL}'/>"));
                }
                Some(failure) => {
                    let condition = failure.condition().unwrap_or("none").to_owned();
                    return Ok((talk, condition));
                }
                None => return Ok((talk, "nothing".to_owned())),
            }
        }
        Way::Plain => talk.send(world, &plain_auth(user, password)),
        Way::Scram => {
            first(world, &mut talk, user, password)?;
            match talk.rest(world)?.into_iter().next() {
                Some(challenge) => {
                    last(world, &mut talk, user, password, &challenge)?;
                }
                None => return Ok((talk, "nothing".to_owned())),
            }
        }
    }
    let answer = answer(world, &mut talk)?;
    Ok((talk, answer))
}

/// What each of many sign-ins by PLAIN, on streams of their own, comes to at once.
fn attempts<'a>(
    world: &mut World,
    of: impl IntoIterator<Item = (String, usize, &'a str, &'a str)>,
) -> Result<Vec<String>, String> {
    of.into_iter()
        .map(|(address, shard, user, password)| {
            let (talk, answer) = attempt(world, (&address, shard), Way::Plain, (user, password))?;
            world.hang_up(talk.peer());
            world.run();
            Ok(answer)
        })
        .collect()
}

fn count(answers: &[String], what: &str) -> usize {
    answers.iter().filter(|answer| *answer == what).count()
}

#[test]
fn after_twenty_wrong_passwords_an_address_hears_the_same_of_any_and_late() -> Outcome {
    for way in WAYS {
        let mut world = world_for(way, 3);
        for n in 0..20 {
            // Whoever they are for, and on whichever shard.
            let user = format!("nobody{n}");
            let (_, answer) = attempt(&mut world, (HOME, n % 3), way, (&user, "wrong"))?;
            assert_eq!(answer, "not-authorized");
        }
        for (shard, password) in [(0, "secret"), (1, "secret"), (2, "wrong")] {
            let (mut talk, at_once) =
                attempt(&mut world, (HOME, shard), way, ("juliet", password))?;
            assert_eq!(at_once, "nothing", "{way:?} {password}");
            world.advance(DELAY - Duration::from_millis(200));
            assert_eq!(answer(&mut world, &mut talk)?, "nothing");
            world.advance(Duration::from_millis(300));
            assert_eq!(answer(&mut world, &mut talk)?, "temporary-auth-failure");
        }
        let (_, elsewhere) = attempt(&mut world, (ABROAD, 0), way, ("juliet", "secret"))?;
        assert_eq!(elsewhere, "success");
        world.advance(FORGIVEN);
        let (_, later) = attempt(&mut world, (HOME, 1), way, ("juliet", "secret"))?;
        assert_eq!(later, "success");
    }
    Ok(())
}

#[test]
fn after_twenty_wrong_passwords_for_an_account_strangers_hear_no_more_of_it() -> Outcome {
    for user in ["juliet", "nobody"] {
        let mut world = world(3, |_| {});
        let crowd = (0..30).map(|n| (format!("203.0.113.{n}"), n % 3, user, "wrong"));
        let answers = attempts(&mut world, crowd)?;
        assert_eq!(count(&answers, "not-authorized"), 20);
        assert_eq!(count(&answers, "nothing"), 10);
        let (_, right) = attempt(&mut world, (ABROAD, 0), Way::Scram, (user, "secret"))?;
        assert_eq!(right, "nothing");
        let (_, other) = attempt(&mut world, (ABROAD, 0), Way::Scram, ("romeo", "secret"))?;
        assert_eq!(other, "success");
        let notes = world.notes.iter();
        let held_up = notes.filter(|note| matches!(note, Note::AccountHeldUp { .. }));
        assert_eq!(held_up.count(), 1);
    }
    Ok(())
}

#[test]
fn attempts_begun_before_the_first_failure_count_as_well() -> Outcome {
    let mut world = world(1, |_| {});
    let mut talks = Vec::new();
    for _ in 0..60 {
        let mut talk = stream(&mut world, HOME, 0)?;
        first(&mut world, &mut talk, "juliet", "wrong")?;
        let challenge = talk.next(&mut world)?;
        talks.push((talk, challenge));
    }
    let mut answers = Vec::new();
    for (index, (talk, challenge)) in talks.iter_mut().enumerate() {
        // The last of them has it right, and will not know.
        let password = if index == 59 { "secret" } else { "wrong" };
        last(&mut world, talk, "juliet", password, challenge)?;
        answers.push(answer(&mut world, talk)?);
    }
    assert_eq!(count(&answers, "not-authorized"), 20);
    assert_eq!(count(&answers, "nothing"), 40);
    world.advance(DELAY);
    for (talk, _) in talks.iter_mut().skip(20) {
        assert_eq!(answer(&mut world, talk)?, "temporary-auth-failure");
    }
    Ok(())
}

#[test]
fn passwords_under_way_to_a_worker_count_as_well() -> Outcome {
    let mut world = world(1, |_| {});
    let mut talks = Vec::new();
    for _ in 0..30 {
        talks.push(stream(&mut world, HOME, 0)?);
    }
    // All in one turn: every password is on its way before one is found wrong.
    for talk in &talks {
        world.write(talk.peer(), plain_auth("juliet", "wrong").as_bytes());
    }
    world.run();
    let mut answers = Vec::new();
    for talk in &mut talks {
        answers.push(answer(&mut world, talk)?);
    }
    assert_eq!(count(&answers, "not-authorized"), 20);
    assert_eq!(count(&answers, "nothing"), 10);
    Ok(())
}

#[test]
fn strangers_do_not_keep_the_owner_out_of_where_it_was_before() -> Outcome {
    let mut world = world_for(Way::Digest, 3);
    let owner = ("juliet", "secret");
    let (_, before) = attempt(&mut world, (HOME, 1), Way::Scram, owner)?;
    assert_eq!(before, "success");
    let crowd = (0..40).map(|n| (format!("203.0.113.{n}"), n % 3, "juliet", "wrong"));
    assert_eq!(count(&attempts(&mut world, crowd)?, "nothing"), 20);
    for shard in 0..3 {
        for way in WAYS {
            let (_, there) = attempt(&mut world, (HOME, shard), way, owner)?;
            assert_eq!(there, "success", "{way:?} on {shard}");
            let (_, elsewhere) = attempt(&mut world, (ABROAD, shard), way, owner)?;
            assert_eq!(elsewhere, "nothing", "{way:?} on {shard}");
        }
    }
    // Whoever shares that address with the owner has its twenty guesses, and no more.
    let neighbour = (0..30).map(|n| (HOME.to_owned(), n % 3, "juliet", "wrong"));
    let answers = attempts(&mut world, neighbour)?;
    assert_eq!(count(&answers, "not-authorized"), 20);
    Ok(())
}

/// Whichever shard owns the account, and whichever the client came to.
#[test]
fn other_names_do_not_keep_the_owner_out_of_a_shared_address() -> Outcome {
    let mut world = world_for(Way::Digest, 3);
    let owners = ["romeo", "juliet"];
    for (user, shard) in owners.into_iter().zip([1, 2]) {
        let (_, before) = attempt(&mut world, (HOME, shard), Way::Scram, (user, "secret"))?;
        assert_eq!(before, "success");
    }
    let names: Vec<String> = (0..25).map(|n| format!("nobody{n}")).collect();
    let made_up = names.iter().zip(0..);
    let made_up = made_up.map(|(name, n)| (HOME.to_owned(), n % 3, name.as_str(), "wrong"));
    let answers = attempts(&mut world, made_up)?;
    assert_eq!(count(&answers, "not-authorized"), 20);
    for shard in 0..3 {
        for way in WAYS {
            for user in owners {
                let owner = (user, "secret");
                let (_, there) = attempt(&mut world, (HOME, shard), way, owner)?;
                assert_eq!(there, "success", "{user} by {way:?} on {shard}");
            }
            // Who was never there and who does not exist.
            for stranger in ["nurse", "nobody99"] {
                let stranger = (stranger, "secret");
                let (_, there) = attempt(&mut world, (HOME, shard), way, stranger)?;
                assert_eq!(there, "nothing", "{stranger:?} by {way:?} on {shard}");
            }
        }
    }
    // A guesser behind it has twenty at each of the owners, as from anywhere, and is held up at each by itself.
    let guesses = (0..30).map(|n| (HOME.to_owned(), n % 3, "romeo", "wrong"));
    let answers = attempts(&mut world, guesses)?;
    assert_eq!(count(&answers, "not-authorized"), 20);
    for (user, outcome) in [("romeo", "nothing"), ("juliet", "success")] {
        let (_, right) = attempt(&mut world, (HOME, 0), Way::Scram, (user, "secret"))?;
        assert_eq!(right, outcome, "{user}");
    }
    world.advance(FORGIVEN);
    let (_, romeo) = attempt(&mut world, (HOME, 0), Way::Scram, ("romeo", "secret"))?;
    assert_eq!(romeo, "success");
    Ok(())
}

/// What a household gets wrong at its own accounts does not add up to keep out who comes to visit.
#[test]
fn failures_at_home_do_not_count_for_the_neighbours() -> Outcome {
    let mut world = world(3, |_| {});
    for user in ["romeo", "juliet"] {
        let (_, before) = attempt(&mut world, (HOME, 0), Way::Scram, (user, "secret"))?;
        assert_eq!(before, "success");
        let wrong = (0..15).map(|n| (HOME.to_owned(), n % 3, user, "wrong"));
        let answers = attempts(&mut world, wrong)?;
        assert_eq!(count(&answers, "not-authorized"), 15);
    }
    for shard in 0..3 {
        let (_, visitor) = attempt(&mut world, (HOME, shard), Way::Plain, ("nurse", "secret"))?;
        assert_eq!(visitor, "success");
    }
    Ok(())
}

#[test]
fn an_account_of_ones_own_buys_no_more_guesses() -> Outcome {
    let mut world = world(3, |_| {});
    let mut answers = Vec::new();
    for n in 0..30 {
        let own = (ABROAD.to_owned(), n % 3, "romeo", "secret");
        let other = (ABROAD.to_owned(), n % 3, "juliet", "wrong");
        answers.extend(attempts(&mut world, [own, other])?);
    }
    assert_eq!(count(&answers, "not-authorized"), 20);
    Ok(())
}

#[test]
fn an_ipv6_network_is_one_address() -> Outcome {
    let mut world = world(2, |_| {});
    let names: Vec<String> = (0..25).map(|n| format!("nobody{n}")).collect();
    let hosts = names.iter().zip(0..).map(|(name, n)| {
        let address = format!("2001:db8:1:2:{n}::1");
        (address, n % 2, name.as_str(), "wrong")
    });
    assert_eq!(count(&attempts(&mut world, hosts)?, "not-authorized"), 20);
    for (address, expected) in [
        ("2001:db8:1:2::9", "nothing"),
        ("2001:db8:1:3::9", "success"),
    ] {
        let (_, answer) = attempt(&mut world, (address, 0), Way::Plain, ("juliet", "secret"))?;
        assert_eq!(answer, expected, "{address}");
    }
    Ok(())
}

#[test]
fn limits_change_with_a_reload() -> Outcome {
    let mut config = spec_tests::memory::config();
    config.shards = 2;
    let shards = config.shards;
    let mut world = world(shards, |_| {});
    let wrong = |count: usize| (0..count).map(|n| (HOME.to_owned(), n % 2, "juliet", "wrong"));
    let answers = attempts(&mut world, wrong(10))?;
    assert_eq!(count(&answers, "not-authorized"), 10);
    // What was counted counts under the new limit.
    config.limits.sasl_failures_per_address = 5;
    world.reload(config.clone());
    assert_eq!(count(&attempts(&mut world, wrong(2))?, "nothing"), 2);
    config.limits.unlimited_addresses = vec!["192.0.2.0/24".parse().map_err(|_| "no network")?];
    world.reload(config.clone());
    let answers = attempts(&mut world, wrong(30))?;
    assert_eq!(count(&answers, "not-authorized"), 10, "the account's own");
    config.limits.sasl_failures_per_account = 0;
    world.reload(config);
    let answers = attempts(&mut world, wrong(30))?;
    assert_eq!(count(&answers, "not-authorized"), 30);
    Ok(())
}

#[test]
fn what_is_written_behind_a_sign_in_that_is_held_up_waits_for_its_answer() -> Outcome {
    let mut world = world(1, |config| config.limits.sasl_failures_per_address = 1);
    attempts(&mut world, [(HOME.to_owned(), 0, "nobody", "wrong")])?;
    // Written all at once: taken one by one, each when the one before is answered.
    let mut talk = stream(&mut world, HOME, 0)?;
    talk.send(&mut world, &plain_auth("juliet", "secret").repeat(3));
    for _ in 0..3 {
        assert_eq!(answer(&mut world, &mut talk)?, "nothing");
        world.advance(DELAY + Duration::from_millis(100));
        assert_eq!(answer(&mut world, &mut talk)?, "temporary-auth-failure");
    }
    talk.send(&mut world, &plain_auth("juliet", "secret"));
    assert_eq!(answer(&mut world, &mut talk)?, "success");
    Ok(())
}

#[test]
fn nobody_is_held_up_beyond_the_time_for_signing_in() -> Outcome {
    let mut world = world(1, |config| {
        config.limits.sasl_failures_per_address = 1;
        config.limits.sasl_failure_forgiven_after = Duration::from_secs(600);
    });
    attempts(&mut world, [(HOME.to_owned(), 0, "nobody", "wrong")])?;
    let mut talk = stream(&mut world, HOME, 0)?;
    world.advance(Duration::from_secs(57));
    talk.send(&mut world, &plain_auth("juliet", "secret"));
    world.advance(Duration::from_secs(4));
    assert_eq!(stream_error(&mut world, &mut talk)?, "connection-timeout");

    let mut patient = stream(&mut world, HOME, 0)?;
    for _ in 0..4 {
        patient.send(&mut world, &plain_auth("juliet", "secret"));
        world.advance(DELAY + Duration::from_millis(100));
        assert_eq!(answer(&mut world, &mut patient)?, "temporary-auth-failure");
    }
    patient.send(&mut world, &plain_auth("juliet", "secret"));
    world.advance(DELAY + Duration::from_millis(100));
    let failure = patient.next(&mut world)?;
    assert_eq!(failure.condition(), Some("temporary-auth-failure"));
    assert_eq!(stream_error(&mut world, &mut patient)?, "policy-violation");
    // Each of them is in the log, the last too: programs that ban addresses count them.
    let failed =
        |note: &&Note| matches!(note, Note::SignInFailed { peer, .. } if *peer == from(HOME));
    assert_eq!(world.notes.iter().filter(failed).count(), 1 + 5);
    Ok(())
}

/// A client that cannot agree on a mechanism keeps nobody out, itself least of all.
#[test]
fn what_fails_without_a_password_is_not_counted() -> Outcome {
    let mut world = world(3, |config| {
        config.limits.sasl_failures_per_address = 1;
        config.limits.sasl_failures_per_account = 1;
    });
    let unoffered = Scram::new(SCRAM, "juliet", "secret", "nonce", Binding::ServerCannot)
        .ok_or("no SCRAM")?
        .first();
    for n in 0..5 {
        let mut talk = stream(&mut world, HOME, n % 3)?;
        for _ in 0..6 {
            let auth = format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{unoffered}</auth>");
            talk.send(&mut world, &auth);
            assert_eq!(answer(&mut world, &mut talk)?, "malformed-request");
            // The name is looked up for these, and the client thinks better of it.
            first(&mut world, &mut talk, "juliet", "wrong")?;
            talk.next(&mut world)?;
            talk.send(&mut world, &format!("<abort xmlns='{SASL}'/>"));
            assert_eq!(answer(&mut world, &mut talk)?, "aborted");
        }
        talk.send(&mut world, &plain_auth("juliet", "secret"));
        assert_eq!(answer(&mut world, &mut talk)?, "success");
    }
    Ok(())
}

/// RFC 6120 §6.4.6: what the header says of who signs in costs nobody the sign-in, and tells nothing of the password.
#[test]
fn whoever_the_header_says_the_password_counts() -> Outcome {
    for (password, outcome) in [("secret", "success"), ("wrong", "not-authorized")] {
        let mut world = world(1, |_| {});
        let mut talk = Talk::connect_from(&mut world, from(HOME), 0, Opening::Tls);
        let other = header("localhost").replacen(" to=", " from='romeo@localhost' to=", 1);
        talk.send(&mut world, &other);
        talk.poll(&mut world)?;
        talk.next(&mut world)?;
        talk.send(&mut world, &plain_auth("juliet", password));
        assert_eq!(answer(&mut world, &mut talk)?, outcome);
    }
    Ok(())
}

/// All that shows of one run: what the server wrote, what it asked of the shell and when it wanted to be woken.
fn signs(user: &str, status: Status) -> Result<(Vec<String>, Vec<String>), String> {
    let mut world = world(2, |config| {
        keep_passwords(config);
        config.limits.sasl_failures_per_account = 4;
    });
    if status == Status::Disabled {
        let account = BareJid::parse(&format!("{user}@localhost")).map_err(|e| format!("{e:?}"))?;
        world
            .command(Command::Disable { account })
            .map_err(|error| format!("{error:?}"))?;
    }
    let before: Vec<usize> = world
        .logs()
        .iter()
        .map(|log| log.transcript().len())
        .collect();
    let mut written = Vec::new();
    for n in 0..10 {
        let way = WAYS[n % 3];
        let address = format!("203.0.113.{n}");
        let mut talk = stream(&mut world, &address, 0)?;
        match way {
            Way::Digest => drop(talk.digest(&mut world, user, "wrong")?),
            Way::Plain => talk.send(&mut world, &plain_auth(user, "wrong")),
            Way::Scram => {
                first(&mut world, &mut talk, user, "wrong")?;
                if let Some(challenge) = talk.rest(&mut world)?.into_iter().next() {
                    // Salts differ, and the nonces; nothing else may.
                    let text = spec_tests::sasl::decode(&challenge.text())?;
                    let shape = text.split(',').map(|part| match part.get(..2) {
                        Some("s=" | "r=") => format!("{}{}", &part[..2], part.len()),
                        Some(_) | None => part.to_owned(),
                    });
                    written.extend(shape);
                    last(&mut world, &mut talk, user, "wrong", &challenge)?;
                }
            }
        }
        let answers = talk.rest(&mut world)?;
        written.extend(answers.iter().map(Element::to_string));
        world.advance(DELAY + Duration::from_millis(100));
        let answers = talk.rest(&mut world)?;
        written.extend(answers.iter().map(Element::to_string));
        world.hang_up(talk.peer());
        world.run();
    }
    let mut asked = Vec::new();
    for (log, from) in world.logs().iter().zip(before) {
        let lines = log.transcript().get(from..).unwrap_or_default().lines();
        let lines = lines.filter_map(|line| line.strip_prefix("Some("));
        asked.extend(lines.map(|line| match line.starts_with("Instant") {
            true => line.to_owned(),
            // The kind of action; names and salts differ.
            false => line.split(['(', ' ', '{']).take(2).collect(),
        }));
    }
    Ok((written, asked))
}

#[test]
fn unknown_disabled_and_known_accounts_look_the_same_throughout() -> Outcome {
    // Of the same shard: that depends on the name alone.
    let placement = Placement::new(&spec_tests::memory::config().server_secret, 2);
    let shard = |user: &str| placement.owner(&format!("{user}@localhost"));
    let mut nobodies = (0..).map(|n| format!("nobody{n}"));
    let nobody = nobodies
        .find(|user| shard(user) == shard("juliet"))
        .ok_or("no name")?;
    let known = signs("juliet", Status::Enabled)?;
    assert_eq!(known, signs(&nobody, Status::Enabled)?);
    assert_eq!(known, signs("juliet", Status::Disabled)?);
    let (written, asked) = known;
    assert_eq!(
        written
            .iter()
            .filter(|line| line.contains("not-authorized"))
            .count(),
        4 + 3,
        "one more is forgiven each quarter of a minute: {written:?}"
    );
    assert!(asked.iter().any(|action| action.starts_with("Derive")));
    Ok(())
}

/// What a password was set with shows, so when the default changes some unknown users must go on to look like old accounts.
#[test]
fn an_account_older_than_the_default_iteration_count_is_not_told_by_it() -> Outcome {
    let mut world = world(2, |_| {});
    let mut config = spec_tests::memory::config();
    config.shards = 2;
    for host in config.accounts_mut() {
        host.former_rounds = vec![host.rounds];
        host.rounds *= 2;
    }
    world.reload(config);
    let mut counts = Vec::new();
    for n in 0..30 {
        let user = format!("nobody{n}");
        let user = if n == 0 { "juliet" } else { &user };
        let mut talk = stream(&mut world, HOME, n % 2)?;
        first(&mut world, &mut talk, user, "wrong")?;
        let challenge = spec_tests::sasl::decode(&talk.next(&mut world)?.text())?;
        counts.push(challenge.rsplit(",i=").next().map(str::to_owned));
    }
    let old = counts.iter().filter(|count| **count == counts[0]).count();
    assert!((5..25).contains(&old), "{counts:?}");
    Ok(())
}

/// A client that comes back, after a restart too, is asked for the same thing.
#[test]
fn an_unknown_user_has_the_same_salt_after_a_restart() -> Outcome {
    let challenge = |shard| -> Result<String, String> {
        let mut world = world(2, |_| {});
        let mut talk = stream(&mut world, HOME, shard)?;
        first(&mut world, &mut talk, "nobody", "wrong")?;
        let challenge = spec_tests::sasl::decode(&talk.next(&mut world)?.text())?;
        let salt = challenge.split(",s=").nth(1).ok_or("no salt")?;
        Ok(salt.to_owned())
    };
    let (one, two) = (challenge(0)?, challenge(1)?);
    assert_eq!(one, two);
    assert!(one.contains(",i=16,"), "{one}");
    Ok(())
}
