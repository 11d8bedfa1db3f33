//! Options: what an administrator can say, each described where its feature reads it.
//!
//! A feature has a struct of its options and a function that reads it from a [`Source`]: name, place, default, bounds and words of an
//! option stand in the one call that asks for it. There is no other list. What a file may hold, what is said of a name that is none,
//! and the example with everything in it all come of what was asked for, so a feature asks for all of its options, whatever
//! the answers are.
//!
//! The core has no file format: a shell's source answers from its file, [`Unsaid`] from none. How a host's own section and what
//! stands above all sections go together is the source's business.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::rate::Rate;
use crate::secret::Secret;

/// What there is to say of an option beside its value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Description {
    /// As it is written. Prosody's where the meaning is the same.
    pub name: &'static str,
    /// Where it may stand.
    pub whose: Whose,
    /// For the administrator: what it does. Empty where the words of the one before speak of this one, too.
    pub words: &'static str,
    /// What the example shows as its value.
    pub shown: Shown,
}

/// Whose an option is, and with that where it may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whose {
    /// Above the sections: it is one for the whole server.
    Server,
    /// In the section of a host, or above the sections for all hosts that say nothing. With what a second host could have, if that
    /// is worth an example.
    Host(Option<&'static str>),
    /// In the section of a component alone.
    Component,
}

/// What an example shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shown {
    /// The default.
    Default,
    /// This, as it would be written: the default cannot be written down, or depends on the machine.
    Instead(&'static str),
}

/// An option of the whole server.
#[must_use]
pub const fn of_server(name: &'static str, words: &'static str) -> Description {
    Description {
        name,
        whose: Whose::Server,
        words,
        shown: Shown::Default,
    }
}

/// An option that each host can have for itself.
#[must_use]
pub const fn of_host(name: &'static str, words: &'static str) -> Description {
    Description {
        name,
        whose: Whose::Host(None),
        words,
        shown: Shown::Default,
    }
}

/// An option of a component.
#[must_use]
pub const fn of_component(name: &'static str, words: &'static str) -> Description {
    Description {
        name,
        whose: Whose::Component,
        words,
        shown: Shown::Default,
    }
}

impl Description {
    /// With this in the example in place of the default.
    #[must_use]
    pub const fn shown_as(self, value: &'static str) -> Self {
        Self {
            shown: Shown::Instead(value),
            ..self
        }
    }

    /// An option of hosts, with this as the value that the second host of the example has.
    #[must_use]
    pub const fn elsewhere(self, value: &'static str) -> Self {
        Self {
            whose: Whose::Host(Some(value)),
            ..self
        }
    }
}

/// After how long something is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expiry {
    /// After this time.
    After(Duration),
    /// It lasts.
    Never,
}

/// Where the values of options come from.
///
/// Each call gives the default where nothing is said, and where what is said is wrong, which the source notes.
pub trait Source {
    /// A heading of the example: what is asked for from now on stands below it.
    fn part(&mut self, title: &'static str);

    /// A whole number within bounds.
    fn number<T: Number>(
        &mut self,
        option: &Description,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> T;

    /// One of two things: what `true` stands for, and what `false` does.
    fn either<T: Copy + PartialEq>(
        &mut self,
        option: &Description,
        default: T,
        meanings: [T; 2],
    ) -> T;

    /// One of several words.
    fn word<T: Copy + PartialEq>(
        &mut self,
        option: &Description,
        default: T,
        words: &[(&'static str, T)],
    ) -> T {
        self.word_but(option, default, words, &[])
    }

    /// One of several words, and none of these others, each with what there is to say of it.
    fn word_but<T: Copy + PartialEq>(
        &mut self,
        option: &Description,
        default: T,
        words: &[(&'static str, T)],
        others: &[(&'static str, &'static str)],
    ) -> T;

    /// A time, in whole seconds.
    fn period(
        &mut self,
        option: &Description,
        default: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration;

    /// A time, in whole seconds, or none: what never comes to an end.
    fn expiry(
        &mut self,
        option: &Description,
        default: Expiry,
        bounds: RangeInclusive<Duration>,
    ) -> Expiry;

    /// One thing, or none.
    fn text<T: Item>(&mut self, option: &Description) -> Option<T>;

    /// Any number of things. The default is as it would be written.
    fn list<T: Item>(&mut self, option: &Description, default: &[&'static str]) -> Vec<T>;

    /// Any number of things under each of these names, in a table; nothing under a name that is not there.
    fn lists<T: Item>(
        &mut self,
        option: &Description,
        names: &[&'static str],
    ) -> Vec<(&'static str, Vec<T>)>;

    /// A secret, or none. It may be written there, or where it stands: in a file, in the environment, or where a service keeps its
    /// credentials. Empty where a command asks for one that only the service has; where the server itself asks, never.
    fn secret(&mut self, option: &Description) -> Option<Secret>;

    /// How fast connections of each of these kinds may send: an option that has a part for each kind, its name and who they are. Those
    /// without one send as fast as they can.
    fn rates<const N: usize>(
        &mut self,
        option: &Description,
        kinds: [(&'static str, &'static str); N],
    ) -> [Option<Rate>; N];

    /// These options cannot have their values together, says this sentence. For the source to tell where the first of them stands
    /// that was written; of one whose value was wrong and is not known, nothing is said.
    fn contradiction(&mut self, options: &[&'static str], sentence: String);

    /// What is not wrong, but hardly meant.
    fn warn(&mut self, sentence: String);
}

/// Numbers that an option can be.
pub trait Number: Copy + Display + PartialOrd + TryFrom<i64> {}

impl<T: Copy + Display + PartialOrd + TryFrom<i64>> Number for T {}

/// What is written as a text, alone or in a list.
pub trait Item: Sized {
    /// Completes "must be …".
    const WANTED: &'static str;
    /// Completes "holds "x", which is …".
    const NONE: &'static str;

    /// What the text says, if it says anything.
    fn read(text: &str) -> Option<Self>;
}

impl Item for String {
    const WANTED: &'static str = "text in quotes";
    const NONE: &'static str = "no text";

    fn read(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

/// The source in which nothing is said: every option has its default.
#[derive(Clone, Copy, Debug)]
pub struct Unsaid;

impl Source for Unsaid {
    fn part(&mut self, _: &'static str) {}

    fn number<T: Number>(&mut self, _: &Description, default: T, _: RangeInclusive<T>) -> T {
        default
    }

    fn either<T: Copy + PartialEq>(&mut self, _: &Description, default: T, _: [T; 2]) -> T {
        default
    }

    fn word_but<T: Copy + PartialEq>(
        &mut self,
        _: &Description,
        default: T,
        _: &[(&'static str, T)],
        _: &[(&'static str, &'static str)],
    ) -> T {
        default
    }

    fn period(
        &mut self,
        _: &Description,
        default: Duration,
        _: RangeInclusive<Duration>,
    ) -> Duration {
        default
    }

    fn expiry(&mut self, _: &Description, default: Expiry, _: RangeInclusive<Duration>) -> Expiry {
        default
    }

    fn text<T: Item>(&mut self, _: &Description) -> Option<T> {
        None
    }

    fn list<T: Item>(&mut self, _: &Description, default: &[&'static str]) -> Vec<T> {
        default.iter().filter_map(|item| T::read(item)).collect()
    }

    fn lists<T: Item>(
        &mut self,
        _: &Description,
        _: &[&'static str],
    ) -> Vec<(&'static str, Vec<T>)> {
        Vec::new()
    }

    fn secret(&mut self, _: &Description) -> Option<Secret> {
        None
    }

    fn rates<const N: usize>(
        &mut self,
        _: &Description,
        _: [(&'static str, &'static str); N],
    ) -> [Option<Rate>; N] {
        [None; N]
    }

    fn contradiction(&mut self, _: &[&'static str], _: String) {}

    fn warn(&mut self, _: String) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_said_everything_has_its_default() {
        let number = of_server("number", "A number.").shown_as("7");
        let list = of_host("list", "A list.").elsewhere("[]");
        let mut from = Unsaid;
        assert_eq!(from.number(&number, 5_u8, 0..=9), 5);
        assert_eq!(from.list::<String>(&list, &["a", "b"]), ["a", "b"]);
        let minute = Duration::from_secs(60);
        assert_eq!(from.period(&number, minute, minute..=minute), minute);
        let never = Expiry::Never;
        assert_eq!(from.expiry(&number, never, minute..=minute), never);
        assert_eq!(from.word(&list, 2, &[("one", 1), ("two", 2)]), 2);
        assert_eq!(from.either(&list, 'n', ['y', 'n']), 'n');
        assert_eq!(from.text::<String>(&list), None);
        assert_eq!(from.lists::<String>(&list, &["a"]), []);
        assert_eq!(from.secret(&list), None);
        assert_eq!(from.rates(&number, [("c2s", "clients")]), [None]);
    }

    #[test]
    fn a_description_keeps_what_it_was_told() {
        let option = of_host("list", "A list.").elsewhere("[1]").shown_as("[2]");
        assert_eq!(option.whose, Whose::Host(Some("[1]")));
        assert_eq!(option.shown, Shown::Instead("[2]"));
        assert_eq!((option.name, option.words), ("list", "A list."));
    }
}
