//! That there is one list of options: what is asked for.

use spondee_core::options::{Place, Shown};
use toml::de::DeTable;

use super::super::options::{self, ASKED, Asked, fault_of, kind};
use super::super::reader::{Asks, Reader};
use super::super::value::Faults;
use super::*;

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
            other.part == asked.part && other.option.place == asked.option.place
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
    let elsewhere = ASKED.iter().filter_map(|asked| match asked.option.place {
        Place::Host(Some(value)) => Some(format!("{} = {value}\n", asked.option.name)),
        Place::Host(None) | Place::Server => None,
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
    HostConfig::read(&mut reader);
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
        let begin = format!("spondee.toml:1: `{name}` must ");
        let told = fault(&wrong);
        assert!(told.starts_with(&begin), "{told}");

        let told = faults(&format!("[host.\"a.example\"]\n\n{wrong}"));
        let begin = match asked.option.place {
            Place::Host(_) => format!("spondee.toml:3: `{name}` must "),
            Place::Server => format!("spondee.toml:3: `{name}` is an option of the whole server"),
        };
        let told_once = told.iter().filter(|told| told.starts_with(&begin)).count();
        assert_eq!(told_once, 1, "{told:?}");
        assert_eq!(fault_of(name, options::Place::Server), None);
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
    let long = EXAMPLE.lines().filter(|line| line.chars().count() > 132);
    assert_eq!(long.count(), 0);
    assert!(EXAMPLE.contains("`install -d -m 0700 -o spondee /var/lib/spondee`"));
    let shown = ASKED.iter().filter(|asked| match asked.option.shown {
        Shown::Default => EXAMPLE.contains(&format!("\n{}\n", asked.line)),
        Shown::Instead(_) => EXAMPLE.contains(&format!("\n#{}\n", asked.line)),
    });
    assert_eq!(shown.count(), ASKED.len());
}
