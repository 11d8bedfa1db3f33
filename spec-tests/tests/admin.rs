//! An administrator's commands and what they do to sessions, also while somebody is signing in.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod stage;

use std::time::Duration;

use spec_tests::element::{CLIENT, Element, SASL};
use spec_tests::memory::{Drain, Fate, Mesh, StorePace, World};
use spec_tests::sasl::{Binding, Scram};
use spec_tests::talk::{Talk, bind_request, header, plain_auth};
use spondee_core::config::Config;
use spondee_core::jid::{BareJid, Domain};
use spondee_core::limits::PASSWORD_BYTES;
use spondee_core::options::Expiry;
use spondee_core::port::{
    Command, CommandError, CommandReply, CommandResult, ImportStep, Imported, ImportedProof,
    Opening,
};
use spondee_core::roster::ROSTER_VERSION;
use spondee_core::sasl::{Hash, Held, Mechanism, Plus, Status, TOMBSTONES, Tombstones};
use spondee_core::secret::Secret;
use spondee_core::store::{Expect, Field, Op, Row, StoreError};
use spondee_core::time::UnixTime;
use stage::{CAST, Outcome, stream_error, world};

const ROMEO: &str = "romeo@localhost";

fn account(name: &str) -> BareJid {
    BareJid::parse(name).unwrap()
}

fn secret(password: &str) -> Secret {
    Secret::new(password.as_bytes().to_vec())
}

fn add(name: &str, password: &str) -> Command {
    Command::Add {
        account: account(name),
        password: secret(password),
        tombstones: Tombstones::Heed,
    }
}

fn add_again(name: &str, password: &str) -> Command {
    Command::Add {
        account: account(name),
        password: secret(password),
        tombstones: Tombstones::Ignore,
    }
}

fn passwd(password: &str) -> Command {
    Command::Passwd {
        account: account(ROMEO),
        password: secret(password),
    }
}

fn disable() -> Command {
    Command::Disable {
        account: account(ROMEO),
    }
}

fn enable() -> Command {
    Command::Enable {
        account: account(ROMEO),
    }
}

fn delete() -> Command {
    Command::Delete {
        account: account(ROMEO),
    }
}

const DONE: CommandResult = Ok(CommandReply::Done);

/// Tries to sign in by PLAIN, which is written in one go: the name of the answer, with the condition if it is a failure.
fn attempt(world: &mut World, name: &str, password: &str) -> Result<String, String> {
    let (user, host) = name.split_once('@').ok_or("no host")?;
    let mut talk = Talk::connect(world, Opening::Tls);
    talk.open(world, host)?;
    talk.send(world, &plain_auth(user, password));
    let answer = talk.next(world)?;
    world.hang_up(talk.peer());
    world.run();
    Ok(outcome(&answer))
}

fn outcome(answer: &Element) -> String {
    answer.condition().unwrap_or(&answer.name).to_owned()
}

#[test]
fn add_makes_an_account_that_can_sign_in() -> Outcome {
    let mut world = world(3, |_| {});
    assert_eq!(
        attempt(&mut world, "viola@localhost", "x")?,
        "not-authorized"
    );
    assert_eq!(world.command(add("viola@localhost", "x")), DONE);
    assert_eq!(attempt(&mut world, "viola@localhost", "x")?, "success");
    // Another host's accounts are others.
    assert_eq!(
        attempt(&mut world, "viola@other.test", "x")?,
        "not-authorized"
    );
    assert_eq!(world.command(add("viola@other.test", "y")), DONE);
    assert_eq!(attempt(&mut world, "viola@other.test", "y")?, "success");
    Ok(())
}

/// XEP-0227: from elsewhere, step by step.
#[test]
fn an_account_that_is_brought_here_is_there_with_the_last_step_and_not_before() -> Outcome {
    let mut world = world(3, |_| {});
    let viola = "viola@localhost";
    let step = |step| Command::Import {
        account: account(viola),
        step: Box::new(step),
    };
    let version = |number| Op::Put {
        table: &ROSTER_VERSION,
        row: Row(vec![Field::Int(number)]),
        expect: Expect::Anything,
    };
    let end = |import, status| {
        let imported = Imported {
            status,
            proof: ImportedProof::Password(secret("x")),
            created: None,
            updated: None,
        };
        step(ImportStep::End(import, imported))
    };
    let heed = Tombstones::Heed;
    assert_eq!(world.command(step(ImportStep::Look(heed))), DONE);
    assert_eq!(world.command(step(ImportStep::Begin(7, heed))), DONE);
    let keep = step(ImportStep::Keep(7, vec![version(1)]));
    assert_eq!(world.command(keep.clone()), DONE);
    assert_eq!(attempt(&mut world, viola, "x")?, "not-authorized");
    let show = Command::Show {
        account: account(viola),
    };
    assert_eq!(world.command(show), Err(CommandError::NoSuchUser));
    assert_eq!(world.command(end(7, Status::Disabled)), DONE);
    assert_eq!(attempt(&mut world, viola, "x")?, "account-disabled");
    // It is there, and nothing of it can be brought any more.
    for (late, why) in [
        (keep, CommandError::Exists),
        (end(7, Status::Enabled), CommandError::Exists),
        (step(ImportStep::Look(heed)), CommandError::Exists),
        (step(ImportStep::Begin(8, heed)), CommandError::Exists),
    ] {
        assert_eq!(world.command(late), Err(why));
    }
    // A name that is held is held against this, too, until somebody says otherwise.
    let delete = Command::Delete {
        account: account(viola),
    };
    assert_eq!(world.command(delete), DONE);
    let held = world.command(step(ImportStep::Begin(9, heed)));
    assert!(matches!(held, Err(CommandError::Held(_))), "{held:?}");
    let ignore = Tombstones::Ignore;
    assert_eq!(world.command(step(ImportStep::Begin(9, ignore))), DONE);
    // One that does not end leaves the name as it was.
    let held = world.command(add(viola, "y"));
    assert!(matches!(held, Err(CommandError::Held(_))), "{held:?}");
    assert_eq!(world.command(end(9, Status::Enabled)), DONE);
    assert_eq!(attempt(&mut world, viola, "x")?, "success");
    Ok(())
}

#[test]
fn who_was_signed_in_a_moment_ago_is_kept_out_and_let_in_as_anybody() -> Outcome {
    let mut world = world(3, |_| {});
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, "success");
    assert_eq!(world.command(disable()), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, "account-disabled");
    assert_eq!(world.command(enable()), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, "success");
    assert_eq!(world.command(passwd("other")), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, "not-authorized");
    assert_eq!(attempt(&mut world, ROMEO, "other")?, "success");
    assert_eq!(world.command(delete()), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "other")?, "not-authorized");
    assert_eq!(world.command(add_again(ROMEO, "new")), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "new")?, "success");
    Ok(())
}

/// RFC 8265 §4.2.2 for the password; the address is prepared before it comes here.
#[test]
fn add_is_refused_for_an_account_that_exists_a_bad_password_or_a_strange_host() -> Outcome {
    let mut world = world(3, |_| {});
    let longest = "x".repeat(PASSWORD_BYTES);
    let too_long = format!("{longest}x");
    for (command, error) in [
        (add("viola@localhost", &too_long), CommandError::Password),
        (passwd(&too_long), CommandError::Password),
        (add(ROMEO, "other"), CommandError::Exists),
        (add("ROMEO@LOCALHOST", "other"), CommandError::Exists),
        (add("viola@localhost", ""), CommandError::Password),
        (add("viola@localhost", "a\u{7}b"), CommandError::Password),
        (add("viola@localhost", "a\nb"), CommandError::Password),
        (add("viola@far.example", "x"), CommandError::NoSuchHost),
        (add("localhost", "x"), CommandError::NoSuchHost),
    ] {
        let name = format!("{command:?}");
        assert_eq!(world.command(command), Err(error), "{name}");
    }
    let bytes = Secret::new(vec![0xff, 0xfe]);
    let command = Command::Add {
        account: account("viola@localhost"),
        password: bytes,
        tombstones: Tombstones::Heed,
    };
    assert_eq!(world.command(command), Err(CommandError::Password));
    assert_eq!(world.command(add("cesario@localhost", &longest)), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "other")?, "not-authorized");
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, "success");
    assert_eq!(
        attempt(&mut world, "viola@localhost", "x")?,
        "not-authorized"
    );
    Ok(())
}

#[test]
fn commands_on_accounts_that_do_not_exist_say_so() {
    let mut world = world(3, |_| {});
    let nobody = || account("nobody@localhost");
    for command in [
        Command::Passwd {
            account: nobody(),
            password: secret("x"),
        },
        Command::Disable { account: nobody() },
        Command::Disconnect {
            account: nobody(),
            resource: None,
        },
        Command::Enable { account: nobody() },
        Command::Delete { account: nobody() },
    ] {
        let name = format!("{command:?}");
        assert_eq!(
            world.command(command),
            Err(CommandError::NoSuchUser),
            "{name}"
        );
    }
}

/// RFC 6120 §4.9.3.16: "security-critical features [..] have been renegotiated or changed".
#[test]
fn passwd_ends_the_sessions_and_only_the_new_password_works() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut other = Talk::session(&mut world, ROMEO, "garden")?;
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    assert_eq!(world.command(passwd("new")), DONE);
    for talk in [&mut romeo, &mut other] {
        assert_eq!(stream_error(&mut world, talk)?, "reset");
    }
    assert_eq!(juliet.rest(&mut world)?, []);
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, "not-authorized");
    assert_eq!(attempt(&mut world, ROMEO, "new")?, "success");
    let mut talk = Talk::connect(&mut world, Opening::Tls);
    talk.open(&mut world, "localhost")?;
    talk.sign_in(&mut world, ROMEO, "new")?;
    talk.bind(&mut world, "orchard")?;
    assert_eq!(world.command(passwd("")), Err(CommandError::Password));
    assert_eq!(talk.rest(&mut world)?, []);
    Ok(())
}

/// RFC 6120 §6.5.1: only who knows the password hears that the account is disabled.
#[test]
fn disable_puts_the_account_out_until_enable() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    let mut unbound = Talk::connect(&mut world, Opening::Tls);
    unbound.open(&mut world, "localhost")?;
    unbound.sign_in(&mut world, ROMEO, "secret")?;
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    romeo.send(&mut world, "<presence/>");
    romeo.rest(&mut world)?;
    assert_eq!(world.command(disable()), DONE);
    assert_eq!(stream_error(&mut world, &mut romeo)?, "not-authorized");
    assert_eq!(stream_error(&mut world, &mut unbound)?, "not-authorized");
    juliet.send(
        &mut world,
        "<message to='romeo@localhost' type='chat' id='1'/>",
    );
    assert_eq!(juliet.next(&mut world)?.attribute("type"), Some("error"));
    for _ in 0..2 {
        assert_eq!(attempt(&mut world, ROMEO, "wrong")?, "not-authorized");
        assert_eq!(attempt(&mut world, ROMEO, "secret")?, "account-disabled");
        // Once more is no mistake.
        assert_eq!(world.command(disable()), DONE);
    }
    let mut talk = Talk::connect(&mut world, Opening::Tls);
    talk.open(&mut world, "localhost")?;
    assert!(talk.sign_in(&mut world, ROMEO, "secret").is_err());
    for _ in 0..2 {
        assert_eq!(world.command(enable()), DONE);
        Talk::session(&mut world, ROMEO, "orchard")?;
    }
    Ok(())
}

/// A new password does not enable.
#[test]
fn passwd_of_a_disabled_account_leaves_it_disabled() -> Outcome {
    let mut world = world(3, |_| {});
    assert_eq!(world.command(disable()), DONE);
    assert_eq!(world.command(passwd("new")), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, "not-authorized");
    assert_eq!(attempt(&mut world, ROMEO, "new")?, "account-disabled");
    assert_eq!(world.command(enable()), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "new")?, "success");
    Ok(())
}

#[test]
fn delete_ends_everything_and_the_name_can_be_taken_again() -> Outcome {
    for pace in [StorePace::Prompt, StorePace::Slow] {
        let mut world = world(3, |_| {});
        world.store_pace = pace;
        let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
        assert_eq!(world.command(delete()), DONE);
        assert_eq!(stream_error(&mut world, &mut romeo)?, "not-authorized");
        assert_eq!(attempt(&mut world, ROMEO, "secret")?, "not-authorized");
        assert_eq!(world.command(delete()), Err(CommandError::NoSuchUser));
        assert_eq!(world.command(add_again(ROMEO, "again")), DONE);
        assert_eq!(attempt(&mut world, ROMEO, "secret")?, "not-authorized");
        assert_eq!(attempt(&mut world, ROMEO, "again")?, "success");
    }
    Ok(())
}

/// The answer to who wants a name that is held.
fn held(deleted: UnixTime, until: Option<UnixTime>) -> CommandResult {
    Err(CommandError::Held(Held { deleted, until }))
}

fn expiring(config: &mut Config, expiry: Expiry) {
    for host in config.accounts_mut() {
        host.tombstone_expiry = expiry;
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn days_behind(time: UnixTime, days: i64) -> UnixTime {
    UnixTime(time.0 + days * 86_400_000)
}

#[test]
fn the_name_of_who_was_deleted_is_held_and_nobody_elses() -> Outcome {
    let mut world = world(3, |_| {});
    assert_eq!(world.command(delete()), DONE);
    let deleted = world.now().wall;
    for _ in 0..2 {
        world.advance(1000 * DAY);
        assert_eq!(world.command(add(ROMEO, "new")), held(deleted, None));
        assert_eq!(attempt(&mut world, ROMEO, "new")?, "not-authorized");
        // It is on disk.
        world.crash();
    }
    assert_eq!(world.command(delete()), Err(CommandError::NoSuchUser));
    assert_eq!(world.command(add("viola@localhost", "x")), DONE);
    assert_eq!(world.command(add("romeo@other.test", "x")), DONE);
    let list = Command::List {
        host: Domain::parse("localhost").unwrap(),
        after: None,
        limit: 10,
    };
    let Ok(CommandReply::Users(users)) = world.command(list) else {
        return Err("no list".to_owned());
    };
    assert!(users.iter().all(|user| user.account.as_str() != ROMEO));
    Ok(())
}

#[test]
fn a_name_is_free_when_its_tombstone_has_expired() -> Outcome {
    let mut world = world(1, |config| expiring(config, Expiry::After(2 * DAY)));
    assert_eq!(world.command(delete()), DONE);
    let deleted = world.now().wall;
    let until = Some(days_behind(deleted, 2));
    world.advance(2 * DAY - Duration::from_millis(1));
    assert_eq!(world.command(add(ROMEO, "new")), held(deleted, until));
    world.advance(Duration::from_millis(1));
    assert_eq!(world.command(add(ROMEO, "new")), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "new")?, "success");
    no_tombstone(&mut world);
    Ok(())
}

#[test]
fn an_administrator_gives_a_name_again_all_the_same() -> Outcome {
    let mut world = world(1, |_| {});
    assert_eq!(world.command(delete()), DONE);
    assert_eq!(world.command(add_again(ROMEO, "new")), DONE);
    assert_eq!(attempt(&mut world, ROMEO, "new")?, "success");
    // Who exists is not made again, whatever is said of tombstones.
    for add in [add, add_again] {
        let exists = Err(CommandError::Exists);
        assert_eq!(world.command(add(ROMEO, "another")), exists);
    }
    no_tombstone(&mut world);
    Ok(())
}

/// What counts is the configuration of the day on which somebody wants the name.
#[test]
fn a_reload_holds_names_longer_or_lets_them_go() {
    let mut world = world(1, |_| {});
    let mut config = world.config().clone();
    assert_eq!(world.command(delete()), DONE);
    let deleted = world.now().wall;
    world.advance(5 * DAY);
    expiring(&mut config, Expiry::After(9 * DAY));
    world.reload(config.clone());
    let until = Some(days_behind(deleted, 9));
    assert_eq!(world.command(add(ROMEO, "new")), held(deleted, until));
    expiring(&mut config, Expiry::After(4 * DAY));
    world.reload(config.clone());
    assert_eq!(world.command(add(ROMEO, "new")), DONE);
    // Where names are free at once, nothing is kept of who was deleted.
    expiring(&mut config, Expiry::After(Duration::ZERO));
    world.reload(config);
    assert_eq!(world.command(delete()), DONE);
    no_tombstone(&mut world);
    assert_eq!(world.command(add(ROMEO, "new")), DONE);
}

/// In one batch: either somebody has the name, or it is held.
#[test]
fn a_deletion_that_fails_holds_no_name_and_one_that_is_lost_may() {
    for (fate, answer, add_is) in [
        (
            Fate::Failed(StoreError::Full),
            CommandError::Full,
            CommandError::Exists,
        ),
        (
            Fate::Failed(StoreError::Unknown),
            CommandError::Unknown,
            CommandError::Exists,
        ),
    ] {
        let mut world = world(1, |_| {});
        // The record is read, then what the account keeps.
        world.fates.extend([Fate::Kept, Fate::Kept, fate]);
        assert_eq!(world.command(delete()), Err(answer));
        assert_eq!(world.command(add(ROMEO, "new")), Err(add_is));
    }
    let mut world = world(1, |_| {});
    world.fates.extend([Fate::Kept, Fate::Kept, Fate::Lost]);
    assert_eq!(world.command(delete()), Err(CommandError::Unknown));
    let deleted = world.now().wall;
    assert_eq!(world.command(add(ROMEO, "new")), held(deleted, None));
}

/// Puts one there itself, which would fail if there were any.
fn no_tombstone(world: &mut World) {
    let row = Row(vec![Field::Time(0)]);
    world.keep(account(ROMEO), &TOMBSTONES, row, Expect::Absent);
}

#[test]
fn list_goes_through_the_accounts_of_one_host_page_by_page() {
    let mut world = world(3, |_| {});
    for name in ["anna", "bert", "zoe"] {
        assert_eq!(world.command(add(&format!("{name}@localhost"), "x")), DONE);
    }
    assert_eq!(world.command(disable()), DONE);
    let mut page = |host: &str, after: Option<&str>, limit| {
        let list = Command::List {
            host: Domain::parse(host).unwrap(),
            after: after.map(account),
            limit,
        };
        match world.command(list)? {
            CommandReply::Users(users) => Ok::<_, CommandError>(users),
            CommandReply::Archive(_)
            | CommandReply::Disconnected { .. }
            | CommandReply::Done
            | CommandReply::Erased(_)
            | CommandReply::Links(_)
            | CommandReply::Reached(_)
            | CommandReply::Trimmed { .. }
            | CommandReply::User(_) => panic!("no list"),
        }
    };
    let mut seen = Vec::new();
    loop {
        let last: Option<String> = seen.last().cloned();
        let users = page("localhost", last.as_deref(), 2).unwrap();
        for user in &users {
            let disabled = user.account.as_str() == ROMEO;
            assert_eq!(user.status == Status::Disabled, disabled, "{user:?}");
            seen.push(user.account.to_string());
        }
        if users.len() < 2 {
            break;
        }
    }
    let locals = ["anna", "bert", "juliet", "nurse", "romeo", "zoe"];
    assert_eq!(seen, locals.map(|local| format!("{local}@localhost")));
    let other = page("other.test", None, 10).unwrap();
    assert_eq!(other.len(), 1);
    assert_eq!(other[0].account.as_str(), "tybalt@other.test");
    // Behind an account that is not there, and with no sense of how many.
    assert_eq!(page("localhost", Some("k@localhost"), 10).unwrap().len(), 3);
    assert_eq!(page("localhost", None, 0).unwrap().len(), 1);
    assert_eq!(page("localhost", None, u32::MAX).unwrap().len(), 6);
    assert_eq!(
        page("far.example", None, 1).unwrap_err(),
        CommandError::NoSuchHost
    );
}

/// Each command reads what the one before it wrote: the last one wins, whatever the store's pace.
#[test]
fn commands_on_one_account_run_one_after_another() -> Outcome {
    for drain in [Drain::EachInput, Drain::EachTurn] {
        let mut world = world(3, |_| {});
        world.store_pace = StorePace::Slow;
        world.drain = drain;
        let answers = world.commands(vec![
            passwd("one"),
            disable(),
            passwd("two"),
            passwd(""),
            enable(),
            passwd("three"),
        ]);
        let bad = Err(CommandError::Password);
        assert_eq!(answers, [DONE, DONE, DONE, bad, DONE, DONE]);
        for old in ["secret", "one", "two"] {
            assert_eq!(attempt(&mut world, ROMEO, old)?, "not-authorized");
        }
        assert_eq!(attempt(&mut world, ROMEO, "three")?, "success");
        let answers = world.commands(vec![
            delete(),
            delete(),
            add_again(ROMEO, "four"),
            add(ROMEO, "five"),
            passwd("six"),
        ]);
        let (gone, exists) = (Err(CommandError::NoSuchUser), Err(CommandError::Exists));
        assert_eq!(answers, [DONE, gone, DONE, exists, DONE]);
        let answers = world.commands(vec![delete(), add(ROMEO, "seven")]);
        assert_eq!(answers, [DONE, held(world.now().wall, None)]);
        assert_eq!(world.command(add_again(ROMEO, "six")), DONE);
        assert_eq!(attempt(&mut world, ROMEO, "six")?, "success");
    }
    Ok(())
}

/// An administrator's script is served; one that runs away is told so.
#[test]
fn too_many_commands_on_one_account_are_busy() {
    let mut world = world(1, |_| {});
    world.store_pace = StorePace::Slow;
    let answers = world.commands((0..300).map(|_| enable()).collect());
    let done = answers.iter().take_while(|answer| **answer == DONE).count();
    assert!(done > 100, "{done}");
    assert!(
        answers[done..]
            .iter()
            .all(|answer| *answer == Err(CommandError::Busy))
    );
    assert!(done < 300);
    assert_eq!(world.command(enable()), DONE);
}

/// Makes a command, which is not to be copied for its password.
type Make = fn() -> Command;

/// What puts sessions out, and what the old password gives then.
const COMMANDS: [(Make, &str); 3] = [
    (disable, "account-disabled"),
    (delete, "not-authorized"),
    (|| passwd("new"), "not-authorized"),
];

/// How far sign-ins are when the command comes: across shards and over a slow store, the first is bound after twelve turns.
const INTERLEAVINGS: usize = 14;

/// No session outlives a command that forbids it, wherever the sign-in stands when the command comes: verified against the
/// old record, on its way to another shard, waiting for the account to load, admitted or bound.
#[test]
fn no_session_slips_through_while_a_command_runs() -> Outcome {
    for (command, afterwards) in COMMANDS {
        for shards in [1, 3] {
            for drain in [Drain::EachInput, Drain::EachTurn] {
                for turns in 0..INTERLEAVINGS {
                    let name =
                        format!("{:?}, {shards} shards, {drain:?}, {turns} turns", command());
                    race(command, shards, drain, turns, afterwards)
                        .map_err(|e| format!("{name}: {e}"))?;
                }
            }
        }
    }
    Ok(())
}

/// Sign-ins on every shard, `turns` turns of the server, the command, and then everything to its end.
fn race(command: Make, shards: u16, drain: Drain, turns: usize, afterwards: &str) -> Outcome {
    let mut world = world(shards, |_| {});
    world.store_pace = StorePace::Slow;
    world.drain = drain;
    let mut talks = Vec::new();
    for _ in 0..shards * 2 {
        let mut talk = Talk::connect(&mut world, Opening::Tls);
        talk.open(&mut world, "localhost")?;
        talks.push(talk);
    }
    // Half of the sign-ins begin before the command, half with it.
    let all = [
        plain_auth("romeo", "secret"),
        header("localhost"),
        bind_request("r"),
    ]
    .concat();
    let (early, late) = talks.split_at(talks.len() / 2);
    for talk in early {
        world.write(talk.peer(), all.as_bytes());
    }
    world.turns(turns);
    for talk in late {
        world.write(talk.peer(), all.as_bytes());
    }
    assert_eq!(world.command(command()), DONE);
    for talk in &talks {
        ends_outside(&mut world, talk)?;
    }
    let mut juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    juliet.send(
        &mut world,
        "<iq to='romeo@localhost/r' type='get' id='1'><x xmlns='x'/></iq>",
    );
    let answer = juliet.next(&mut world)?;
    let condition = answer.child(CLIENT, "error").and_then(Element::condition);
    assert_eq!(condition, Some("service-unavailable"), "{answer}");
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, afterwards);
    Ok(())
}

/// The connection has been told that it is not or no longer signed in: by the end of the stream or by a failure.
fn ends_outside(world: &mut World, talk: &Talk) -> Outcome {
    let received = world.take_received(talk.peer());
    let text = String::from_utf8(received).map_err(|e| e.to_string())?;
    let ended = text.ends_with("</stream:stream>");
    let refused = text.contains("<failure") && !text.contains("<success");
    (ended || refused)
        .then_some(())
        .ok_or_else(|| format!("a sign-in ended with {text}"))
}

/// What was verified against a record that is no longer good is void, also where nobody is signed in and the account has to
/// be loaded: while a SCRAM exchange waits for its client, and while a connection waits for its way to the owner's shard.
#[test]
fn what_was_verified_before_a_command_is_void_after_it() -> Outcome {
    for (command, afterwards) in COMMANDS {
        let mut world = world(3, |_| {});
        let (mut talk, response) = half_signed_in(&mut world)?;
        assert_eq!(world.command(command()), DONE);
        talk.send(&mut world, &response);
        assert_eq!(outcome(&talk.next(&mut world)?), "temporary-auth-failure");
        talk.send(&mut world, &plain_auth("romeo", "secret"));
        assert_eq!(outcome(&talk.next(&mut world)?), afterwards);

        let mut world = stage::world(3, |_| {});
        world.mesh = Mesh::Full;
        let mut talks = Vec::new();
        for _ in 0..3 {
            let mut talk = Talk::connect(&mut world, Opening::Tls);
            talk.open(&mut world, "localhost")?;
            talk.send(&mut world, &plain_auth("romeo", "secret"));
            talks.push(talk);
        }
        assert_eq!(world.command(command()), DONE);
        world.mesh = Mesh::Free;
        world.run();
        assert_eq!(world.handed_off(), 2);
        for talk in &talks {
            ends_outside(&mut world, talk)?;
        }
    }
    Ok(())
}

/// A SCRAM exchange up to the challenge, and the response that would complete it.
fn half_signed_in(world: &mut World) -> Result<(Talk, String), String> {
    let mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);
    let scram = Scram::new(mechanism, "romeo", "secret", "nonce", Binding::Unsupported);
    let scram = scram.ok_or("no SCRAM")?;
    let mut talk = Talk::connect(world, Opening::Tls);
    talk.open(world, "localhost")?;
    let (name, first) = (mechanism.name(), scram.first());
    talk.send(
        world,
        &format!("<auth xmlns='{SASL}' mechanism='{name}'>{first}</auth>"),
    );
    let (response, _) = scram.respond(&talk.next(world)?.text())?;
    Ok((
        talk,
        format!("<response xmlns='{SASL}'>{response}</response>"),
    ))
}

/// RFC 6120 §6.5.10.
#[test]
fn a_busy_store_is_a_temporary_failure_and_changes_nothing() -> Outcome {
    let mut world = world(3, |_| {});
    let mut romeo = Talk::session(&mut world, ROMEO, "orchard")?;
    world.store_pace = StorePace::Busy;
    for password in ["secret", "wrong"] {
        assert_eq!(
            attempt(&mut world, ROMEO, password)?,
            "temporary-auth-failure"
        );
    }
    assert_eq!(
        attempt(&mut world, "nobody@localhost", "x")?,
        "temporary-auth-failure"
    );
    let list = Command::List {
        host: Domain::parse("localhost").unwrap(),
        after: None,
        limit: 1,
    };
    let busy = Err(CommandError::Busy);
    for command in [
        add("viola@localhost", "x"),
        passwd("new"),
        disable(),
        enable(),
        delete(),
        list,
    ] {
        let name = format!("{command:?}");
        assert_eq!(world.command(command), busy, "{name}");
    }
    assert_eq!(romeo.rest(&mut world)?, []);
    world.store_pace = StorePace::Prompt;
    assert_eq!(attempt(&mut world, ROMEO, "secret")?, "success");
    assert_eq!(
        attempt(&mut world, "viola@localhost", "x")?,
        "not-authorized"
    );
    assert_eq!(CAST[0], ROMEO);
    Ok(())
}
