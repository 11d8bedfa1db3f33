//! What the core tells the log: every failure once, with address, account and reason, and nothing of what is none.

mod stage;

use std::net::IpAddr;
use std::time::Duration;

use spec_tests::element::{CLIENT, SASL, STREAMS, TLS};
use spec_tests::memory::{StorePace, World};
use spec_tests::sasl::{Binding, Scram};
use spec_tests::talk::{Talk, header, plain_auth};
use spondee_core::jid::BareJid;
use spondee_core::port::{AccountChange, CloseReason, Command, Note, Opening};
use spondee_core::sasl::{Failure, Hash, Mechanism, Plus, Tombstones};
use spondee_core::secret::Secret;
use stage::{Outcome, stream_error, world};

const HOME: &str = "192.0.2.1";

fn jid(account: &str) -> BareJid {
    BareJid::parse(account).expect("an address")
}

fn home() -> IpAddr {
    HOME.parse().expect("an address")
}

fn connect(world: &mut World, opening: Opening) -> Talk {
    Talk::connect_from(world, home(), 0, opening)
}

/// A server of which nothing has been told yet.
fn quiet(shards: u16) -> World {
    let mut world = world(shards, |_| {});
    world.notes.clear();
    world
}

/// A stream to `localhost` under TLS.
fn stream(world: &mut World) -> Result<Talk, String> {
    let mut talk = connect(world, Opening::Tls);
    talk.open(world, "localhost")?;
    Ok(talk)
}

/// Up to the challenge.
fn begin(world: &mut World, talk: &mut Talk, user: &str) -> Outcome {
    let mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);
    let scram = Scram::new(mechanism, user, "secret", "nonce", Binding::Unsupported);
    let first = scram.ok_or("no SCRAM")?.first();
    talk.send(
        world,
        &format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>"),
    );
    Ok(())
}

/// The notes since this was last asked, in words. Connections are not named: they come in the order of what is done to them.
fn told(world: &mut World) -> Vec<String> {
    let notes = std::mem::take(&mut world.notes);
    notes.into_iter().map(words).collect()
}

fn words(note: Note) -> String {
    let who = |peer: IpAddr, account: Option<BareJid>| {
        assert_eq!(peer, home());
        account.map_or_else(
            || "nobody".to_owned(),
            |account| account.as_str().to_owned(),
        )
    };
    match note {
        Note::AccountChanged {
            account,
            change,
            by,
        } => {
            assert_eq!(by, None);
            format!("{change:?} {account}")
        }
        Note::AccountHeldUp { account, peer } => format!("held up {}", who(peer, Some(account))),
        Note::AddressHeldUp { peer } => format!("held up {}", who(peer, None)),
        Note::Bug(what) => format!("bug {what}"),
        Note::Bound { jid, .. } => format!("bound {}", jid.bare()),
        Note::Resumed { jid, .. } => format!("resumed {}", jid.bare()),
        Note::Closed {
            peer,
            account,
            reason,
            ..
        } => {
            let who = who(peer, account);
            match reason {
                CloseReason::Ended => format!("ended {who}"),
                CloseReason::Unheard => format!("unheard {who}"),
                CloseReason::Unresponsive => format!("unresponsive {who}"),
                CloseReason::Dismissed(error) => format!("dismissed {who} {}", error.condition),
                CloseReason::Failed(error) => format!("failed {who} {}", error.condition),
                CloseReason::Judged(error) => format!("judged {who} {}", error.condition),
                CloseReason::StarttlsRefused => format!("no TLS {who}"),
            }
        }
        Note::LinkProven { ours, theirs, .. } => format!("link {ours} to {theirs}"),
        Note::LinkTaken { ours, theirs, .. } => format!("link {ours} by {theirs}"),
        Note::LinkFailed { ours, theirs, .. } => format!("no link {ours} to {theirs}"),
        Note::LinkQueue { ours, theirs, .. } => format!("queue {ours} to {theirs}"),
        Note::Component { name, change, .. } => format!("component {name} {change:?}"),
        Note::Disconnected { account, sessions } => format!("{sessions} disconnected {account}"),
        Note::NothingOffered { host, peer, .. } => format!("nothing {host} {}", who(peer, None)),
        Note::PeerJudged { judged, .. } => {
            format!("judged {}: {:?}", judged.server, judged.standing)
        }
        Note::SignInCutOff { peer, account, .. } => format!("cut off {}", who(peer, account)),
        Note::SignInFailed {
            peer,
            account,
            failure,
            ..
        } => format!("refused {} {}", who(peer, account), failure.name()),
        Note::SignedIn { peer, account, .. } => format!("in {}", who(peer, Some(account))),
        Note::Unkept { account, messages } => format!("{messages} unkept {account}"),
        Note::KeysMissing { host, .. } => format!("keys missing {host}"),
        Note::Unreadable { account, .. } => format!("unreadable {account}"),
    }
}

#[test]
fn a_sign_in_that_is_cut_off_is_told_wherever_it_stood() -> Outcome {
    let mut world = quiet(3);
    // Before the challenge is answered; the account need not exist.
    for user in ["juliet", "romeo", "nurse", "nobody"] {
        let mut talk = stream(&mut world)?;
        begin(&mut world, &mut talk, user)?;
        world.hang_up(talk.peer());
        world.run();
        let who = format!("{user}@localhost");
        assert_eq!(
            told(&mut world),
            [format!("cut off {who}"), format!("ended {who}")]
        );
    }
    // By the peer's own closing tag, or its stream error.
    let error = format!("<error xmlns='{STREAMS}'/>");
    for last in ["</stream:stream>", &error] {
        let mut talk = stream(&mut world)?;
        begin(&mut world, &mut talk, "juliet")?;
        talk.send(&mut world, last);
        assert_eq!(
            told(&mut world),
            ["cut off juliet@localhost", "ended nobody"]
        );
    }
    // While the store is asked.
    world.store_pace = StorePace::Slow;
    let talk = stream(&mut world)?;
    world.write(talk.peer(), plain_auth("juliet", "secret").as_bytes());
    world.turns(1);
    world.hang_up(talk.peer());
    world.run();
    assert_eq!(
        told(&mut world),
        ["cut off juliet@localhost", "ended juliet@localhost"]
    );
    Ok(())
}

#[test]
fn a_sign_in_that_is_over_cannot_be_cut_off() -> Outcome {
    let mut world = quiet(1);
    let mut talk = stream(&mut world)?;
    talk.send(&mut world, &plain_auth("juliet", "wrong"));
    world.hang_up(talk.peer());
    world.run();
    assert_eq!(
        told(&mut world),
        ["refused juliet@localhost not-authorized", "ended nobody"]
    );
    let talk = Talk::session(&mut world, "juliet@localhost", "balcony")?;
    world.notes.clear();
    world.hang_up(talk.peer());
    world.run();
    assert!(matches!(
        &world.notes[..],
        [Note::Closed { account: Some(account), reason: CloseReason::Ended, .. }] if *account == jid("juliet@localhost")
    ));
    Ok(())
}

#[test]
fn a_failed_sign_in_names_the_account_if_it_got_so_far() -> Outcome {
    let mut world = quiet(1);
    let mut talk = stream(&mut world)?;
    talk.send(
        &mut world,
        &format!("<auth xmlns='{SASL}' mechanism='NOPE'/>"),
    );
    begin(&mut world, &mut talk, "nobody")?;
    talk.send(&mut world, &format!("<abort xmlns='{SASL}'/>"));
    talk.send(&mut world, &plain_auth("juliet", "wrong"));
    // What was named before does not stick.
    talk.send(
        &mut world,
        &format!("<auth xmlns='{SASL}' mechanism='PLAIN'>=</auth>"),
    );
    assert_eq!(
        told(&mut world),
        [
            format!("refused nobody {}", Failure::InvalidMechanism.name()),
            format!("refused nobody@localhost {}", Failure::Aborted.name()),
            format!("refused juliet@localhost {}", Failure::NotAuthorized.name()),
            format!("refused nobody {}", Failure::MalformedRequest.name()),
        ]
    );
    Ok(())
}

#[test]
fn nothing_heard_is_no_failure_however_it_ends() -> Outcome {
    let mut world = quiet(1);
    for opening in [Opening::Clear, Opening::Tls] {
        let talk = connect(&mut world, opening);
        world.hang_up(talk.peer());
        world.run();
        assert_eq!(told(&mut world), ["unheard nobody"], "{opening:?}");
        connect(&mut world, opening);
        world.advance(Duration::from_secs(70));
        assert_eq!(told(&mut world), ["unheard nobody"], "{opening:?}");
    }
    Ok(())
}

#[test]
fn a_stream_that_fails_is_told_once_with_what_was_sent() -> Outcome {
    let mut world = quiet(1);
    let no_version = header("localhost").replace("' version='1.0'", "'");
    let elsewhere = header("elsewhere.test");
    for (bytes, condition) in [
        ("GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
        (&no_version, "unsupported-version"),
        (&elsewhere, "host-unknown"),
    ] {
        let mut talk = connect(&mut world, Opening::Clear);
        talk.send(&mut world, bytes);
        world.hang_up(talk.peer());
        world.run();
        assert_eq!(told(&mut world), [format!("failed nobody {condition}")]);
    }
    // Whoever has begun a stream and does not go on.
    stream(&mut world)?;
    world.advance(Duration::from_secs(70));
    assert_eq!(told(&mut world), ["failed nobody connection-timeout"]);
    // In the middle of a sign-in: whose it was is told.
    let mut talk = stream(&mut world)?;
    begin(&mut world, &mut talk, "juliet")?;
    talk.send(&mut world, "<message/>");
    assert_eq!(told(&mut world), ["failed juliet@localhost not-authorized"]);
    let mut talk = stream(&mut world)?;
    talk.sign_in(&mut world, "juliet@localhost", "secret")?;
    talk.bind(&mut world, "balcony")?;
    talk.send(&mut world, &format!("<nonsense xmlns='{CLIENT}'/>"));
    let sent = stream_error(&mut world, &mut talk)?;
    assert_eq!(sent, "unsupported-stanza-type");
    assert_eq!(
        told(&mut world),
        [
            "in juliet@localhost",
            "bound juliet@localhost",
            "failed juliet@localhost unsupported-stanza-type"
        ]
    );
    Ok(())
}

#[test]
fn starttls_where_there_is_none_is_told() -> Outcome {
    let mut world = quiet(1);
    let mut talk = stream(&mut world)?;
    talk.send(&mut world, &format!("<starttls xmlns='{TLS}'/>"));
    assert_eq!(told(&mut world), ["no TLS nobody"]);
    Ok(())
}

#[test]
fn what_the_server_was_told_to_do_is_nobodys_failure() -> Outcome {
    let mut world = quiet(1);
    let juliet = || jid("juliet@localhost");
    let enter = |world: &mut World| {
        let mut talk = stream(world)?;
        talk.sign_in(world, "juliet@localhost", "secret")?;
        talk.bind(world, "balcony")?;
        world.notes.clear();
        Ok::<_, String>(talk)
    };
    enter(&mut world)?;
    enter(&mut world)?;
    // The second took the first one's place.
    let mut third = stream(&mut world)?;
    third.sign_in(&mut world, "juliet@localhost", "secret")?;
    third.bind(&mut world, "balcony")?;
    assert_eq!(
        told(&mut world),
        [
            "in juliet@localhost",
            "dismissed juliet@localhost conflict",
            "bound juliet@localhost"
        ]
    );
    let password = || Secret::new(b"secret".to_vec());
    let account = juliet();
    for (command, change, condition) in [
        (
            Command::Passwd {
                account,
                password: password(),
            },
            AccountChange::PasswordSet,
            "reset",
        ),
        (
            Command::Disable { account: juliet() },
            AccountChange::Disabled,
            "not-authorized",
        ),
    ] {
        world
            .command(command)
            .map_err(|error| format!("{error:?}"))?;
        assert_eq!(
            told(&mut world),
            [
                format!("{change:?} juliet@localhost"),
                format!("dismissed juliet@localhost {condition}")
            ]
        );
        world
            .command(Command::Enable { account: juliet() })
            .map_err(|error| format!("{error:?}"))?;
        enter(&mut world)?;
    }
    world.shut_down();
    world.run();
    assert_eq!(
        told(&mut world),
        ["dismissed juliet@localhost system-shutdown"]
    );
    Ok(())
}

#[test]
fn each_change_of_an_account_is_told_when_it_is_kept() {
    let mut world = quiet(3);
    let account = || jid("mercutio@localhost");
    let password = || Secret::new(b"secret".to_vec());
    for (command, change) in [
        (
            Command::Add {
                account: account(),
                password: password(),
                tombstones: Tombstones::Heed,
            },
            Some(AccountChange::Added),
        ),
        (
            Command::Add {
                account: account(),
                password: password(),
                tombstones: Tombstones::Heed,
            },
            None,
        ),
        (
            Command::Passwd {
                account: account(),
                password: password(),
            },
            Some(AccountChange::PasswordSet),
        ),
        (
            Command::Disable { account: account() },
            Some(AccountChange::Disabled),
        ),
        (
            Command::Enable { account: account() },
            Some(AccountChange::Enabled),
        ),
        (
            Command::Delete { account: account() },
            Some(AccountChange::Deleted),
        ),
        (Command::Delete { account: account() }, None),
    ] {
        let result = world.command(command);
        assert_eq!(result.is_ok(), change.is_some());
        let expected = change.map(|change| format!("{change:?} mercutio@localhost"));
        assert_eq!(told(&mut world), Vec::from_iter(expected));
    }
}
