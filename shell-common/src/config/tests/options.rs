//! That there is one list of options: what is asked for. The roster's shows the way of each.

use std::time::Duration;

use spondee_core::options::{Expiry, Shown, Whose};
use toml::de::DeTable;

use super::super::options::{self, ASKED, Asked, fault_of, kind};
use super::super::reader::{Asks, Reader};
use super::super::value::Faults;
use super::*;

fn contacts(settings: &Settings, name: &str) -> usize {
    host(settings, name).roster.max_contacts
}

#[test]
fn a_roster_has_a_thousand_contacts_where_nothing_is_said() {
    let settings = read("[host.\"a.example\"]\n").unwrap();
    assert_eq!(contacts(&settings, "a.example"), 1000);
    assert!(EXAMPLE.contains("\nroster_max_contacts = 1000\n"));
}

#[test]
fn a_host_has_its_own_number_of_contacts_or_that_of_all() {
    let settings = read(
        "roster_max_contacts = 20\n\
         [host.\"a.example\"]\n\
         [host.\"b.example\"]\n\
         roster_max_contacts = 30\n",
    )
    .unwrap();
    assert_eq!(contacts(&settings, "a.example"), 20);
    assert_eq!(contacts(&settings, "b.example"), 30);
}

#[test]
fn a_host_has_its_own_contact_addresses_or_those_of_all() {
    let settings = read(
        "contact_info = { abuse = [\"mailto:abuse@a.example\"], status = \"https://a.example\" }\n\
         [host.\"a.example\"]\n\
         [host.\"b.example\"]\n\
         contact_info = { admin = [\"xmpp:admin@b.example\"] }\n\
         [host.\"c.example\"]\n\
         contact_info = {}\n\
         [host.\"d.example\".contact_info]\n\
         security = [\"mailto:security@d.example\"]\n",
    )
    .unwrap();
    let contacts = |name| format!("{:?}", host(&settings, name).contacts);
    for (name, address, other) in [
        ("a.example", "mailto:abuse@a.example", "admin"),
        ("a.example", "https://a.example", "admin"),
        ("b.example", "xmpp:admin@b.example", "abuse"),
        ("d.example", "mailto:security@d.example", "abuse"),
    ] {
        let contacts = contacts(name);
        assert!(contacts.contains(address), "{contacts}");
        assert!(!contacts.contains(other), "{contacts}");
    }
    assert!(host(&settings, "c.example").contacts.is_empty());
}

#[test]
fn a_host_has_its_own_time_for_sessions_that_lost_their_connections_or_that_of_all() {
    let settings = read(
        "smacks_hibernation_time = \"1 hour\"\n\
         smacks_max_unacked_stanzas = 5\n\
         smacks_location = \"[2001:db8::1]:5222\"\n\
         csi_queue_size = 20\n\
         [host.\"a.example\"]\n\
         [host.\"b.example\"]\n\
         smacks_hibernation_time = 0\n\
         smacks_max_queue_size = 500\n\
         smacks_location = \"xmpp2.b.example\"\n\
         csi_queue_size = 30\n",
    )
    .unwrap();
    let (a, b) = (host(&settings, "a.example"), host(&settings, "b.example"));
    assert_eq!(a.sm.hibernation, Duration::from_secs(3600));
    assert_eq!(b.sm.hibernation, Duration::ZERO);
    assert_eq!((a.sm.max_unacked, b.sm.max_unacked), (5, 5));
    assert_eq!((a.sm.max_queue, b.sm.max_queue), (5000, 500));
    assert_eq!((a.csi.max_held, b.csi.max_held), (20, 30));
    let location = |host: &HostConfig| host.sm.location.as_ref().map(|l| l.as_str().to_owned());
    assert_eq!(location(a).unwrap(), "[2001:db8::1]:5222");
    assert_eq!(location(b).unwrap(), "xmpp2.b.example");
    for line in [
        "smacks_hibernation_time = \"10 minutes\"",
        "smacks_max_ack_delay = \"1 minute\"",
        "#smacks_location = \"xmpp1.example.org:5222\"",
    ] {
        assert!(EXAMPLE.lines().any(|other| other == line), "{line}");
    }
}

#[test]
fn what_sessions_that_lost_their_connections_cannot_have_is_told_where_it_stands() {
    for (text, expected) in [
        (
            "smacks_location = \"2001:db8::1\"\n[host.\"a.example\"]\n",
            "spondee.toml:1: `smacks_location` holds \"2001:db8::1\", which is neither a name nor an address",
        ),
        (
            "smacks_location = 5222\n[host.\"a.example\"]\n",
            "spondee.toml:1: `smacks_location` must be text in quotes, such as \"xmpp1.example.org:5222\", not an integer",
        ),
        (
            "[host.\"a.example\"]\nsmacks_hibernation_time = \"2 weeks\"\n",
            "spondee.toml:2: `smacks_hibernation_time` must be from 0 to 604800 seconds",
        ),
        (
            "smacks_max_queue_size = 300\n[host.\"a.example\"]\nsmacks_max_unacked_stanzas = 300\n",
            "spondee.toml:3: `smacks_max_unacked_stanzas` (300) must be below `smacks_max_queue_size` (300)",
        ),
    ] {
        let faults = faults(text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(expected), "{faults:?}");
    }
}

#[test]
fn a_wrong_number_of_contacts_is_told_where_it_stands() {
    for (text, expected) in [
        (
            "roster_max_contacts = 0\n[host.\"a.example\"]\n",
            "spondee.toml:1: `roster_max_contacts` must be a whole number from 1 to 10000, not 0",
        ),
        (
            "roster_max_contacts = 10\n[host.\"a.example\"]\n\nroster_max_contacts = \"many\"\n",
            "spondee.toml:4: `roster_max_contacts` must be a whole number from 1 to 10000, not a string",
        ),
        (
            "\nroster_max_contact = 10\n[host.\"a.example\"]\n",
            "spondee.toml:2: there is no option `roster_max_contact`; did you mean `roster_max_contacts`?",
        ),
        (
            "[host.\"a.example\"]\nroster_max_contcats = 10\n",
            "spondee.toml:2: there is no option `roster_max_contcats`; did you mean `roster_max_contacts`?",
        ),
        (
            "max_roster_size = 100\n[host.\"a.example\"]\n",
            "spondee.toml:1: `max_roster_size` is not an option here: use `roster_max_contacts`",
        ),
        (
            "roster_max_contacts\n[host.\"a.example\"]\n",
            "spondee.toml:1: not TOML: `roster_max_contacts` has no value: such as roster_max_contacts = 1000",
        ),
    ] {
        assert_eq!(faults(text), [expected], "{text}");
    }
}

#[test]
fn a_name_that_was_deleted_is_held_for_ever_or_for_a_time() {
    let expiry = |line: &str| {
        let settings = read(&format!("[host.\"a.example\"]\n{line}\n")).unwrap();
        host(&settings, "a.example").tombstone_expiry
    };
    let after = |seconds| Expiry::After(Duration::from_secs(seconds));
    assert_eq!(expiry(""), Expiry::Never);
    assert_eq!(expiry("user_tombstone_expiry = \"never\""), Expiry::Never);
    assert_eq!(expiry("user_tombstone_expiry = 0"), after(0));
    let year = after(365 * 86_400);
    for written in ["1y", "1 year", "365 d", "525600 minutes"] {
        assert_eq!(
            expiry(&format!("user_tombstone_expiry = \"{written}\"")),
            year
        );
    }
    assert_eq!(expiry("user_tombstone_expiry = \"2w\""), after(14 * 86_400));
    assert_eq!(expiry("user_tombstone_expiry = \"365 days\""), year);
    assert!(EXAMPLE.contains("\nuser_tombstone_expiry = \"never\"\n"));
    let is = "`user_tombstone_expiry` must be a number of seconds, or text such as \"2 minutes\", or \"never\"";
    for (value, expected) in [
        // Prosody's, which is for ever.
        ("false", format!("{is}, not a boolean")),
        ("\"for ever\"", is.to_owned()),
        (
            "\"6m\"",
            "`user_tombstone_expiry` may be minutes or months: write \"min\" or \"months\""
                .to_owned(),
        ),
        (
            "\"36501 days\"",
            "`user_tombstone_expiry` must be from 0 to 3153600000 seconds".to_owned(),
        ),
        (
            "never",
            "not TOML: text stands in quotes: user_tombstone_expiry = \"never\"".to_owned(),
        ),
    ] {
        let told = fault(&format!("user_tombstone_expiry = {value}\n"));
        assert_eq!(told, format!("spondee.toml:1: {expected}"));
    }
}

/// What is wrong above the sections is wrong once, however many hosts take it from there.
#[test]
fn what_is_wrong_for_all_hosts_is_told_once() {
    let mut text = "roster_max_contacts = 0\nunlimited_jids = [1]\n".to_owned();
    for host in 0..300 {
        text += &format!("[host.\"h{host}.example\"]\n");
    }
    let text = format!("{text}roster_max_contacts = 5\n");
    let error = Settings::parse(&text, Path::new("f"), Path::new("/etc")).unwrap_err();
    assert_eq!(error.faults.len(), 2, "{error}");
    let rest = error.rest.unwrap();
    assert_eq!(rest.doubtful, ["unlimited_jids", "roster_max_contacts"]);
    assert_eq!(contacts(&rest.settings, "h0.example"), 1000);
    assert_eq!(contacts(&rest.settings, "h299.example"), 5);
}

#[test]
fn every_option_is_asked_for_once_and_has_words() {
    for (at, asked) in ASKED.iter().enumerate() {
        let name = asked.option.name;
        let before = &ASKED[..at];
        assert!(
            before.iter().all(|other| other.option.name != name),
            "{name} twice"
        );
        let has_words = !asked.option.words.is_empty();
        // Those of the one before are for both.
        let shares = before.last().is_some_and(|other| {
            other.part == asked.part && other.option.whose == asked.option.whose
        });
        assert!(has_words || shares, "{name} has no words");
        assert!(!asked.part.is_empty(), "{name} has no place");
        assert_ne!(asked.line, format!("{name} = "), "{name} shows nothing");
    }
}

/// What a file may hold does not depend on what it holds, and only what is a host's is asked for on behalf of hosts.
#[test]
fn the_same_is_asked_for_whatever_the_answers_are() {
    let shown: String = ASKED
        .iter()
        .map(|asked| asked.line.clone() + "\n")
        .collect();
    let elsewhere = ASKED.iter().filter_map(|asked| match asked.option.whose {
        Whose::Host(Some(value)) => Some(format!("{} = {value}\n", asked.option.name)),
        Whose::Host(None) | Whose::Server | Whose::Component => None,
    });
    let own: String = elsewhere.collect();
    let (shown, own) = (
        DeTable::parse(&shown).unwrap(),
        DeTable::parse(&own).unwrap(),
    );
    let mut faults = Faults::new("");
    let mut asked = Vec::new();
    let mut reader = Reader::new(shown.get_ref(), &mut faults).remembering(&mut asked);
    file::ask(&mut reader);
    let names = |asked: &[Asked]| -> Vec<&str> { asked.iter().map(|a| a.option.name).collect() };
    assert_eq!(names(&asked), names(&ASKED));

    let mut asked_by_host = Vec::new();
    let mut reader = Reader::new(shown.get_ref(), &mut faults).remembering(&mut asked_by_host);
    reader.on_behalf_of(Asks::Host(own.get_ref()));
    ssl::read(&mut reader);
    HostConfig::read(&mut reader);
    crate::config::ldap::read(&mut reader, None);
    let of_hosts: Vec<&str> = options::of_hosts().collect();
    assert_eq!(names(&asked_by_host), of_hosts);
    assert!(faults.is_empty(), "{faults:?}");
}

/// No option takes a date: each says so where it stands, above the sections and in that of a host.
#[test]
fn every_option_is_read() {
    for asked in ASKED.iter() {
        let name = asked.option.name;
        let wrong = format!("{name} = 1979-05-27\n");
        if asked.option.whose == Whose::Component {
            let misplaced = fault(&wrong);
            assert!(misplaced.contains("one component"), "{misplaced}");
            let told = fault(&format!("[component.\"c.example\"]\n{wrong}"));
            assert!(
                told.starts_with(&format!("spondee.toml:2: `{name}` must ")),
                "{told}"
            );
            assert_eq!(fault_of(name, options::Section::Component), None);
            continue;
        }
        let begin = format!("spondee.toml:1: `{name}` must ");
        let told = fault(&wrong);
        assert!(told.starts_with(&begin), "{told}");

        let told = faults(&format!("[host.\"a.example\"]\n\n{wrong}"));
        let begin = match asked.option.whose {
            Whose::Host(_) => format!("spondee.toml:3: `{name}` must "),
            Whose::Server | Whose::Component => {
                format!("spondee.toml:3: `{name}` is an option of the whole server")
            }
        };
        let told_once = told.iter().filter(|told| told.starts_with(&begin)).count();
        assert_eq!(told_once, 1, "{told:?}");
        assert_eq!(fault_of(name, options::Section::Server), None);
        assert!(kind(name).is_some());
    }
}

#[test]
fn the_readme_shows_a_configuration_that_can_be_used() {
    let readme = include_str!("../../../../README.md");
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let text = block.split("```").next().unwrap();
        read(text).unwrap();
    }
}

#[test]
fn the_example_wraps_its_words_and_keeps_commands_whole() {
    // A value is one line, however long it is.
    let words = EXAMPLE.lines().filter(|line| line.starts_with('#'));
    let long = words.filter(|line| line.chars().count() > 132);
    assert_eq!(long.count(), 0);
    assert!(EXAMPLE.contains("`install -d -m 0700 -o spondee /var/lib/spondee`"));
    let shown = ASKED.iter().filter(|asked| match asked.option.shown {
        Shown::Default => EXAMPLE.contains(&format!("\n{}\n", asked.line)),
        Shown::Instead(_) => EXAMPLE.contains(&format!("\n#{}\n", asked.line)),
    });
    assert_eq!(shown.count(), ASKED.len());
}
