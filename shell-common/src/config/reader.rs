//! A file as the source of options. In the section of a host it answers from there, and where that says nothing from above the sections.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use spondee_core::options::{Description, Expiry, Item, Number, Source, Whose};
use spondee_core::rate::Rate;
use spondee_core::secret::Secret;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::example::{expiry_text, period_text, quoted, quoted_list};
use super::options::{Asked, Kind};
use super::rate;
use super::secret::{self, Found, Places};
use super::value::{Faults, choice, expiry, item, number, path, period, text, word};

/// What a file says, asked for option by option.
#[derive(Debug)]
pub(super) struct Reader<'a, 't, 'f> {
    /// What stands above the sections.
    server: &'a DeTable<'t>,
    asks: Asks<'a, 't>,
    pub(super) faults: &'a mut Faults<'f>,
    warnings: Vec<String>,
    part: &'static str,
    /// Everything that was asked for, where that is to be known.
    asked: Option<&'a mut Vec<Asked>>,
    places: Option<&'a Places>,
}

/// On whose behalf is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asks<'a, 't> {
    /// The server.
    Server,
    /// All hosts: what stands above the sections is looked at once, whatever sections there are.
    Hosts,
    /// One host, by its section. What is wrong above the sections has been told.
    Host(&'a DeTable<'t>),
    /// One component, by its section, in which alone its options stand; `None` for none, which asks for all of them.
    Component(Option<&'a DeTable<'t>>),
}

/// Whether what is wrong with a value is to be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wrong {
    Untold,
    /// It was when it was read for all hosts.
    Told,
}

/// What is wrong with a value: where, and what.
pub(super) type Wrongs = Vec<(Range<usize>, String)>;

impl<'a, 't, 'f> Reader<'a, 't, 'f> {
    pub(super) const fn new(server: &'a DeTable<'t>, faults: &'a mut Faults<'f>) -> Self {
        Self {
            server,
            asks: Asks::Server,
            faults,
            warnings: Vec::new(),
            part: "",
            asked: None,
            places: None,
        }
    }

    /// One that finds secrets in these places.
    pub(super) const fn with_secrets(mut self, places: &'a Places) -> Self {
        self.places = Some(places);
        self
    }

    /// One that remembers what it is asked for.
    pub(super) fn remembering(mut self, asked: &'a mut Vec<Asked>) -> Self {
        self.asked = Some(asked);
        self
    }

    /// From now on it is asked on behalf of these.
    pub(super) const fn on_behalf_of(&mut self, asks: Asks<'a, 't>) {
        self.asks = asks;
    }

    /// The warnings since this was called last.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Where relative paths start.
    pub(super) fn base(&self) -> PathBuf {
        let base = self.places.map(|places| places.base.clone());
        base.unwrap_or_default()
    }

    /// Text that names a file or directory.
    pub(super) fn path(&mut self, option: &Description, default: &str) -> String {
        self.remember(option, Kind::Text, || quoted(default));
        self.one(option, path).unwrap_or_else(|| default.to_owned())
    }

    /// A file, if there is one. A path that is not absolute starts at the directory of the configuration.
    pub(super) fn file(&mut self, option: &Description) -> Option<PathBuf> {
        self.remember(option, Kind::Text, String::new);
        let written = self.one(option, path)?;
        Some(match self.places {
            Some(places) => places.base.join(written),
            None => written.into(),
        })
    }

    /// Text that is made something of, or of which it is told what is wrong: that completes "`option` …".
    pub(super) fn parsed<T>(
        &mut self,
        option: &Description,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.remember(option, Kind::Text, || quoted(default));
        match self.one(option, |value| parse(&text(value)?)) {
            Some(parsed) => Some(parsed),
            None => parse(default).ok(),
        }
    }

    /// The same where there is none by default.
    pub(super) fn parsed_if_any<T>(
        &mut self,
        option: &Description,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.remember(option, Kind::Text, String::new);
        self.one(option, |value| parse(&text(value)?))
    }

    /// As `contradiction`, for a host to which the options may come from above the sections.
    pub(super) fn contradiction_of_host(&mut self, options: &[&str], sentence: String) {
        if !options.iter().all(|option| self.faults.trusts(option)) {
            return;
        }
        let section = match self.asks {
            Asks::Host(section) => Some(section),
            Asks::Server | Asks::Hosts | Asks::Component(_) => None,
        };
        let own = options
            .iter()
            .find_map(|option| section.and_then(|section| section.get(*option)));
        let common = || options.iter().find_map(|option| self.server.get(*option));
        if let Some(value) = own.or_else(common) {
            self.faults.at(&value.span(), sentence);
        }
    }

    /// A number for which there is none by default.
    pub(super) fn number_if_any<T: Number>(
        &mut self,
        option: &Description,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        self.remember(option, Kind::Number, String::new);
        self.one(option, number(bounds))
    }

    /// Any number of numbers.
    pub(super) fn numbers<T: Number>(
        &mut self,
        option: &Description,
        default: Option<T>,
        bounds: RangeInclusive<T>,
    ) -> Vec<T> {
        self.remember(option, Kind::Numbers, || match default {
            Some(default) => format!("[{default}]"),
            None => "[]".to_owned(),
        });
        self.many(option, number(bounds))
            .unwrap_or_else(|| default.into_iter().collect())
    }

    /// A list for which there is none by default.
    pub(super) fn list_if_any<T: Item>(&mut self, option: &Description) -> Option<Vec<T>> {
        self.remember(option, Kind::Texts, String::new);
        self.many(option, item)
    }

    /// What is said for all hosts, and what the host itself says, of an option in which the one completes the other.
    pub(super) fn layers<T>(
        &mut self,
        option: &Description,
        kind: Kind,
        default: &str,
        read: impl Fn(&Spanned<DeValue<'t>>, &mut Wrongs) -> Option<T>,
    ) -> [Option<T>; 2] {
        self.remember(option, kind, || default.to_owned());
        let [(own, _), (common, wrong)] = self.places(option);
        let all = common.and_then(|value| self.try_place(option, value, wrong, &read).ok());
        let own = own.and_then(|value| self.try_place(option, value, Wrong::Untold, &read).ok());
        [all.flatten(), own.flatten()]
    }

    /// Doubts those of these options that are not there, if what is there may be meant to be them.
    pub(super) fn doubt_missing(&mut self, options: &[&str]) {
        if self.faults.has_known_names() {
            return;
        }
        for option in options {
            if !self.is_written(option) {
                self.faults.doubt(option);
            }
        }
    }

    /// Whether it stands above the sections.
    pub(super) fn is_written(&self, option: &str) -> bool {
        self.server.contains_key(option)
    }

    /// Where the option's value stands above the sections.
    pub(super) fn span(&self, option: &str) -> Range<usize> {
        self.server.get(option).map_or(0..0, Spanned::span)
    }

    /// Where this number stands in the option's value.
    pub(super) fn span_of(&self, option: &str, number: u16) -> Range<usize> {
        let whole = self.span(option);
        let items = self
            .server
            .get(option)
            .and_then(|value| value.get_ref().as_array());
        let is_it = |item: &&Spanned<DeValue<'_>>| {
            let integer = item.get_ref().as_integer();
            integer.is_some_and(|integer| {
                i64::from_str_radix(integer.as_str(), integer.radix()) == Ok(i64::from(number))
            })
        };
        items
            .and_then(|items| items.iter().find(is_it))
            .map_or(whole, Spanned::span)
    }

    fn remember(&mut self, option: &Description, kind: Kind, default: impl FnOnce() -> String) {
        if let Some(asked) = &mut self.asked {
            asked.push(Asked::new(self.part, *option, kind, &default()));
        }
    }

    /// The option's value, by a reader that completes the sentence "`option` …" if it fails.
    fn one<T>(
        &mut self,
        option: &Description,
        read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        self.find(option, |value, wrongs| match read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(wrong) => {
                wrongs.push((value.span(), format!("`{}` {wrong}", option.name)));
                None
            }
        })
    }

    /// The option's values.
    fn many<T>(
        &mut self,
        option: &Description,
        read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.find(option, |value, wrongs| {
            Some(list(option.name, value, &read, wrongs))
        })
    }

    /// What is said, first by the host, then for all of them. What is wrong is noted, doubted and passed over: a list with a hole would
    /// be something else than was meant.
    fn find<T>(
        &mut self,
        option: &Description,
        read: impl Fn(&Spanned<DeValue<'t>>, &mut Wrongs) -> Option<T>,
    ) -> Option<T> {
        for (value, wrong) in self.places(option) {
            let Some(value) = value else { continue };
            if let Ok(found) = self.try_place(option, value, wrong, &read) {
                return found;
            }
        }
        None
    }

    /// Where an option may stand, the host's own section first.
    fn places(&self, option: &Description) -> [(Option<&'a Spanned<DeValue<'t>>>, Wrong); 2] {
        if let (Whose::Component, Asks::Component(section)) = (option.whose, self.asks) {
            let own = section.and_then(|section| section.get(option.name));
            return [(own, Wrong::Untold), (None, Wrong::Untold)];
        }
        let common = self.server.get(option.name);
        let (own, of_common) = match (option.whose, self.asks) {
            (Whose::Host(_), Asks::Host(section)) => (section.get(option.name), Wrong::Told),
            (Whose::Host(_), Asks::Server | Asks::Hosts | Asks::Component(_))
            | (Whose::Server, _) => (None, Wrong::Untold),
            // It stands nowhere else.
            (Whose::Component, _) => return [(None, Wrong::Untold), (None, Wrong::Untold)],
        };
        [(own, Wrong::Untold), (common, of_common)]
    }

    /// What is said in one place. An error if something is wrong with it, which is noted.
    fn try_place<T>(
        &mut self,
        option: &Description,
        value: &Spanned<DeValue<'t>>,
        wrong: Wrong,
        read: impl Fn(&Spanned<DeValue<'t>>, &mut Wrongs) -> Option<T>,
    ) -> Result<Option<T>, ()> {
        let mut wrongs = Wrongs::new();
        let found = read(value, &mut wrongs);
        if wrongs.is_empty() {
            return Ok(found);
        }
        if wrong == Wrong::Untold {
            self.faults.doubt(option.name);
            for (span, wrong) in wrongs {
                self.faults.at(&span, wrong);
            }
        }
        Err(())
    }
}

/// The values of an option. As in Prosody a single value is a list of one.
fn list<T>(
    name: &str,
    value: &Spanned<DeValue<'_>>,
    read: impl Fn(&DeValue<'_>) -> Result<T, String>,
    wrongs: &mut Wrongs,
) -> Vec<T> {
    let items: &[Spanned<DeValue<'_>>] = match value.get_ref().as_array() {
        Some(items) => items,
        None => std::slice::from_ref(value),
    };
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        match read(item.get_ref()) {
            Ok(item) => list.push(item),
            Err(wrong) => wrongs.push((item.span(), format!("`{name}` {wrong}"))),
        }
    }
    list
}

/// The lists of an option that is a table of them.
fn lists<T: Item>(
    name: &str,
    names: &[&'static str],
    value: &Spanned<DeValue<'_>>,
    wrongs: &mut Wrongs,
) -> Vec<(&'static str, Vec<T>)> {
    let Some(table) = value.get_ref().as_table() else {
        let first = names.first().copied().unwrap_or_default();
        let wrong = format!("`{name}` must be a table of lists: {name} = {{ {first} = [] }}");
        wrongs.push((value.span(), wrong));
        return Vec::new();
    };
    let mut found = Vec::new();
    for (key, value) in table {
        let key_name = key.get_ref().as_ref();
        match names.iter().find(|name| **name == key_name) {
            Some(known) => {
                let values = list(&format!("{name}.{known}"), value, item, wrongs);
                found.push((*known, values));
            }
            None => {
                let known = names.join(", ");
                let wrong = format!("there is no `{name}.{key_name}`; there are {known}");
                wrongs.push((key.span(), wrong));
            }
        }
    }
    found
}

impl Source for Reader<'_, '_, '_> {
    fn part(&mut self, title: &'static str) {
        self.part = title;
    }

    fn number<T: Number>(
        &mut self,
        option: &Description,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T {
        self.remember(option, Kind::Number, || default.to_string());
        self.one(option, number(bounds)).unwrap_or(default)
    }

    fn either<T: Copy + PartialEq>(
        &mut self,
        option: &Description,
        default: T,
        [if_true, if_false]: [T; 2],
    ) -> T {
        self.remember(option, Kind::Truth, || (default == if_true).to_string());
        self.one(option, choice(if_true, if_false))
            .unwrap_or(default)
    }

    fn word_but<T: Copy + PartialEq>(
        &mut self,
        option: &Description,
        default: T,
        words: &[(&'static str, T)],
        others: &[(&'static str, &'static str)],
    ) -> T {
        self.remember(option, Kind::Text, || {
            let word = words.iter().find(|(_, meaning)| *meaning == default);
            quoted(word.map_or("", |(word, _)| word))
        });
        self.one(option, word(words, others)).unwrap_or(default)
    }

    fn period(
        &mut self,
        option: &Description,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        self.remember(option, Kind::Period, || period_text(default));
        self.one(option, period(bounds)).unwrap_or(default)
    }

    fn expiry(
        &mut self,
        option: &Description,
        default: Expiry,
        bounds: RangeInclusive<Duration>,
    ) -> Expiry {
        self.remember(option, Kind::Expiry, || expiry_text(default));
        self.one(option, expiry(bounds)).unwrap_or(default)
    }

    fn text<T: Item>(&mut self, option: &Description) -> Option<T> {
        self.remember(option, Kind::Text, String::new);
        self.one(option, item)
    }

    fn list<T: Item>(&mut self, option: &Description, default: &[&'static str]) -> Vec<T> {
        self.remember(option, Kind::Texts, || quoted_list(default));
        self.many(option, item)
            .unwrap_or_else(|| default.iter().filter_map(|item| T::read(item)).collect())
    }

    fn lists<T: Item>(
        &mut self,
        option: &Description,
        names: &[&'static str],
    ) -> Vec<(&'static str, Vec<T>)> {
        self.remember(option, Kind::Table, String::new);
        let found = self.find(option, |value, wrongs| {
            Some(lists(option.name, names, value, wrongs))
        });
        found.unwrap_or_default()
    }

    fn secret(&mut self, option: &Description) -> Option<Secret> {
        self.remember(option, Kind::Secret, String::new);
        let places = self.places?;
        let found = self.find(option, |value, wrongs| {
            secret::read(option.name, value, places, wrongs)
        })?;
        match found {
            Found::Here(secret) => Some(secret),
            Found::Elsewhere(why) => {
                self.warn(format!("`{}` {why}", option.name));
                Some(Secret::default())
            }
        }
    }

    fn rates<const N: usize>(
        &mut self,
        option: &Description,
        kinds: [(&'static str, &'static str); N],
    ) -> [Option<Rate>; N] {
        self.remember(option, Kind::Table, String::new);
        let found = self.find(option, |value, wrongs| {
            rate::read(option.name, &kinds, value, wrongs)
        });
        found.unwrap_or([None; N])
    }

    fn contradiction(&mut self, options: &[&'static str], sentence: String) {
        if !options.iter().all(|option| self.faults.trusts(option)) {
            return;
        }
        let written = |option: &&'static str| match self.asks {
            Asks::Host(section) => section.get(*option),
            Asks::Component(section) => section.and_then(|section| section.get(*option)),
            Asks::Server | Asks::Hosts => self.server.get(*option),
        };
        // For a host of which no section says any of them, it has been told.
        if let Some(value) = options.iter().find_map(written) {
            self.faults.at(&value.span(), sentence);
        }
    }

    fn warn(&mut self, sentence: String) {
        match self.asks {
            Asks::Server | Asks::Host(_) | Asks::Component(_) => self.warnings.push(sentence),
            // Of each host by itself.
            Asks::Hosts => {}
        }
    }
}
