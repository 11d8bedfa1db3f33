//! Crowds by their cost: how often the store is asked for sign-ins and for stanzas to whomever, and how much memory accounts take,
//! counted by the allocator. The figures are shown with `-- --nocapture`; `SPONDEE_STORM=50` makes crowds fifty times as large.

#![expect(clippy::print_stdout, reason = "figures are there to be read")]

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use spec_tests::memory::{Taking, World, config};
use spec_tests::talk::Talk;
use spondee_core::entropy::Entropy;
use spondee_core::jid::BareJid;
use spondee_core::limits::{ACCOUNT_IDLE, ACCOUNTS_IDLE_MAX};
use spondee_core::roster::{ROSTER, ROSTER_VERSION};
use spondee_core::sasl::{Credentials, Dates, DeriveParams, Status};
use spondee_core::secret::Secret;
use spondee_core::store::{Class, Expect, Field, Row};

type Outcome = Result<(), String>;

const SHARDS: u16 = 2;

/// Contacts of an account that has any.
const CONTACTS: usize = 50;

/// What an account may keep in memory that nobody is signed in to and that has nothing to keep.
const IDLE_ACCOUNT: i64 = 1024;

/// What each contact may take beside its text, as memory_of_rosters.rs has it.
const CONTACT: i64 = 20;

/// What may be left of a crowd that asked for whom there is not: tables that have grown.
const LEFT_OF_STRANGERS: i64 = 256 * 1024;

fn scale() -> usize {
    let scale = std::env::var("SPONDEE_STORM").ok();
    scale.and_then(|scale| scale.parse().ok()).unwrap_or(1)
}

/// What each shard asks once of each of the two hosts: what their accounts lack to sign in.
const COUNTED: usize = 2 * SHARDS as usize;

fn name(number: usize) -> String {
    format!("user{number}@localhost")
}

/// A server with so many accounts, all with the password `secret`.
fn world(accounts: usize) -> World {
    let mut config = config();
    config.shards = SHARDS;
    let password = Secret::new(b"secret".to_vec());
    let jobs = DeriveParams::for_new_password(16, &mut Entropy::new([1; 32]));
    let keys = jobs.iter().map(|job| job.derive(&password)).collect();
    let credentials = Credentials::hashed(Status::Enabled, keys);
    let row = credentials.to_row(Dates::default());
    let mut world = World::unrecorded(Arc::new(config));
    for number in 0..accounts {
        let account = BareJid::parse(&name(number)).expect("an address");
        world.keep_account(account, row.clone());
    }
    world
}

/// Address, name and group of a usual contact.
fn contact(number: usize) -> [String; 3] {
    [
        format!("capulet.{number:02}@example.org"),
        format!("Tybalt Capulet {number:02}"),
        "Friends".to_owned(),
    ]
}

/// The same server, where each account has contacts.
fn world_with_contacts(accounts: usize) -> World {
    let mut world = world(accounts);
    for number in 0..accounts {
        let account = BareJid::parse(&name(number)).expect("an address");
        for [jid, name, group] in (0..CONTACTS).map(contact) {
            let row = Row(vec![
                Field::text(&jid),
                Field::text(&name),
                Field::text("both"),
                Field::Absent,
                Field::Absent,
                Field::text(&format!("[\"{group}\"]")),
            ]);
            world.keep(account.clone(), &ROSTER, row, Expect::Absent);
        }
        let version = Row(vec![Field::Int(7)]);
        world.keep(account, &ROSTER_VERSION, version, Expect::Absent);
    }
    world
}

/// A session that has asked for its roster.
fn session_with_roster(world: &mut World, number: usize, resource: &str) -> Result<Talk, String> {
    let mut talk = Talk::session(world, &name(number), resource)?;
    talk.send(
        world,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    let result = talk.next(world)?;
    let query = result.child("jabber:iq:roster", "query");
    let contacts = query.map_or(0, |query| query.children().count());
    assert_eq!(contacts, CONTACTS);
    Ok(talk)
}

/// What the store was asked, by class.
fn asked(world: &World) -> [(Class, usize); 6] {
    let classes = [
        Class::Append,
        Class::Change,
        Class::Load,
        Class::Page,
        Class::SignIn,
        Class::Upkeep,
    ];
    classes.map(|class| match class {
        Class::Change => (class, world.asked(class) - COUNTED),
        Class::Append | Class::Load | Class::Page | Class::SignIn | Class::Upkeep => {
            (class, world.asked(class))
        }
    })
}

fn of(class: Class, asked: &[(Class, usize)]) -> usize {
    let all = asked.iter().filter(|(of, _)| *of == class);
    all.map(|(_, count)| count).sum()
}

/// One read for the credentials of each sign-in, wherever it arrives, and one load for each account; nothing is written. A
/// second session of an account finds it loaded.
#[test]
fn a_storm_of_sign_ins_reads_credentials_once_each_and_loads_each_account_once() -> Outcome {
    let accounts = 200 * scale();
    let mut world = world(accounts);
    for resource in ["a", "b"] {
        for number in 0..accounts {
            Talk::session(&mut world, &name(number), resource)?;
            world.notes.clear();
        }
    }
    let asked = asked(&world);
    println!(
        "{} sign-ins to {accounts} accounts: {asked:?}",
        2 * accounts
    );
    assert_eq!(of(Class::SignIn, &asked), 2 * accounts);
    assert_eq!(of(Class::Load, &asked), accounts);
    // Each shard has looked once for what was kept for other servers.
    let all: usize = asked.iter().map(|(_, count)| count).sum();
    let all = all - of(Class::Upkeep, &asked);
    assert_eq!(all, 3 * accounts, "{asked:?}");
    Ok(())
}

/// Each account signs in, has its roster, and loses its connection.
fn all_come_and_go(world: &mut World, accounts: usize) -> Outcome {
    for number in 0..accounts {
        let talk = session_with_roster(world, number, "a")?;
        world.hang_up(talk.peer());
        world.run();
        world.notes.clear();
    }
    Ok(())
}

/// The roster comes with the load, and whoever asks for it asks the store for nothing.
#[test]
fn a_storm_of_sign_ins_with_contacts_loads_each_account_once_and_keeps_what_is_bounded() -> Outcome
{
    let accounts = 200 * scale();
    let mut world = world_with_contacts(accounts);
    all_come_and_go(&mut world, accounts)?;
    let before = asked(&world);
    println!(
        "{accounts} sign-ins, each to an account of its own with {CONTACTS} contacts: {before:?}"
    );
    assert_eq!(of(Class::SignIn, &before), accounts);
    assert_eq!(of(Class::Load, &before), accounts);
    // The end of each session is put when its account leaves memory.
    let all: usize = before.iter().map(|(_, count)| count).sum();
    let all = all - of(Class::Upkeep, &before);
    assert_eq!(all, 2 * accounts, "{before:?}");
    // Once more: what the store in memory takes for a row of each is none of theirs.
    world.advance(ACCOUNT_IDLE + Duration::from_secs(1));
    assert_eq!(of(Class::Append, &asked(&world)), accounts);
    all_come_and_go(&mut world, accounts)?;
    // However many there were, no more stay than may; and what stays is given back.
    let idle = accounts.min(usize::from(SHARDS) * ACCOUNTS_IDLE_MAX);
    let gone = measure(|| world.advance(ACCOUNT_IDLE + Duration::from_secs(1)));
    let idle = i64::try_from(idle).unwrap_or(i64::MAX);
    let each = -gone.bytes_current / idle;
    let text: usize = (0..CONTACTS).flat_map(contact).map(|text| text.len()).sum();
    let contacts = i64::try_from(CONTACTS).unwrap_or(i64::MAX);
    let text = i64::try_from(text).unwrap_or(i64::MAX);
    println!("an idle account with {CONTACTS} contacts takes {each} bytes, {text} of them text");
    let most = IDLE_ACCOUNT + contacts * CONTACT + text;
    assert!((text..=most).contains(&each), "{gone:?}, not {most}");
    Ok(())
}

/// A message to nobody costs one load at most, presence none (RFC 6121 §8.5.1), and nothing of either stays.
#[test]
fn stanzas_to_names_that_do_not_exist_load_once_each_at_most_and_leave_nothing() -> Outcome {
    let stanzas = 2_000 * scale();
    let mut world = world(1);
    let talk = Talk::session(&mut world, &name(0), "a")?;
    world.set_taking(talk.peer(), Taking::Counted);
    let before = asked(&world);
    let mut flood = |what: &str| {
        for number in 0..stanzas {
            let to = format!("nobody{number}@localhost");
            let stanza = match what {
                "message" => format!("<message to='{to}'><body>hello</body></message>"),
                _ => format!("<presence to='{to}' type='unavailable'/>"),
            };
            world.write(talk.peer(), stanza.as_bytes());
            world.run();
        }
        world.notes.clear();
        asked(&world)
    };
    let mut after = before;
    let kept = measure(|| after = flood("presence"));
    println!(
        "{stanzas} presences to nobody: {after:?}, {} bytes stay",
        kept.bytes_current
    );
    assert_eq!(of(Class::Load, &after), of(Class::Load, &before));
    let kept = measure(|| after = flood("message"));
    println!(
        "{stanzas} messages to nobody: {after:?}, {} bytes stay",
        kept.bytes_current
    );
    assert!(of(Class::Load, &after) - of(Class::Load, &before) <= stanzas);
    assert_eq!(of(Class::SignIn, &after), of(Class::SignIn, &before));
    assert_eq!(of(Class::Change, &after), 0);
    assert!(kept.bytes_current < LEFT_OF_STRANGERS, "{kept:?}");
    Ok(())
}

/// What accounts take in memory while nobody is signed in to them: what is given back when they leave.
#[test]
fn an_account_that_is_loaded_and_idle_takes_little() -> Outcome {
    let accounts = 200 * scale().min(20);
    let mut world = world(accounts);
    // Once before: what the store in memory takes for a row of each is none of theirs.
    for round in 0..2 {
        for number in 0..accounts {
            let talk = Talk::session(&mut world, &name(number), "a")?;
            world.hang_up(talk.peer());
            world.run();
        }
        if round == 0 {
            world.advance(ACCOUNT_IDLE + Duration::from_secs(1));
        }
    }
    world.notes.clear();
    let gone = measure(|| world.advance(ACCOUNT_IDLE + Duration::from_secs(1)));
    let each = -gone.bytes_current / i64::try_from(accounts).unwrap_or(i64::MAX);
    println!("an idle account takes {each} bytes, of {accounts}");
    assert!((1..=IDLE_ACCOUNT).contains(&each), "{gone:?}");
    Ok(())
}

/// What a session adds, to whichever account: its connection, its stream and its place there, all of which it gives back.
#[test]
fn a_session_gives_back_what_it_takes() -> Outcome {
    let sessions = 200 * scale().min(20);
    let mut world = world(sessions);
    // What tables need is paid before anything is counted.
    let mut crowd = |from: usize| -> Result<(), String> {
        let mut peers = Vec::with_capacity(sessions);
        for number in 0..sessions {
            peers.push(Talk::session(&mut world, &name(number), "a")?.peer());
        }
        for peer in peers {
            world.hang_up(peer);
            world.run();
        }
        world.advance(ACCOUNT_IDLE + Duration::from_secs(from as u64));
        world.notes.clear();
        Ok(())
    };
    crowd(1)?;
    let mut outcome = Ok(());
    let kept = measure(|| outcome = crowd(2));
    outcome?;
    println!(
        "{sessions} sessions come and go: {} bytes stay",
        kept.bytes_current
    );
    // The clients' own ends are kept by the world.
    let ends = i64::try_from(sessions * 512).unwrap_or(i64::MAX);
    assert!(kept.bytes_current < ends, "{kept:?}");
    Ok(())
}
