//! What waits for those who were away: owed until some session got it, and to one only.

use std::collections::BTreeMap;

use super::super::Moment;
use super::super::stanzas::Lapse;
use super::Likely;

/// One message that waits for somebody.
#[derive(Clone, Debug)]
pub(super) struct Debt {
    /// Whether it does.
    pub(super) owed: Likely,
    /// Who sent it, and when.
    pub(super) from: String,
    pub(super) at: Moment,
    /// By the clock of the server.
    pub(super) stored: i64,
    /// Whether the archive has it too.
    pub(super) archived: Likely,
    /// Whether somebody has it and the store may not have heard: then it may come again, whoever has it.
    pub(super) noted: Noted,
    /// Whether it may be what a session left that died: told to each who is there.
    pub(super) left: Likely,
    /// Who got it from there, one after the other.
    pub(super) handed: Vec<usize>,
    /// Who has a copy of it.
    pub(super) copied: Vec<usize>,
    /// Who takes what is owed and may not have been told it because the store failed: it stays for the next who comes.
    pub(super) passed: Vec<usize>,
}

/// Whether the store was told that somebody has it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Noted {
    #[default]
    Surely,
    Perhaps,
}

/// The sessions of an account when all is at rest.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an answer to a question of its own"
)]
pub(super) struct Around {
    /// Those that are there and read.
    pub(super) there: Vec<usize>,
    /// Those of them that take what is owed.
    pub(super) takers: Vec<usize>,
    /// Those, there or gone, that acknowledge nothing: they have what was written to them.
    pub(super) silent: Vec<usize>,
    /// Whether one that reads no more may have taken something.
    pub(super) may_be_stuck: bool,
    /// Whether one is gone that may have taken something and not read it.
    pub(super) may_be_lost: bool,
    /// Those that took it, or may have.
    pub(super) may_have_taken: Vec<usize>,
    /// Whether the store may have failed.
    pub(super) store_failed: bool,
    /// Whether there may have been no such account.
    pub(super) may_have_gone: bool,
    /// What was stored before may be forgotten.
    pub(super) expired: i64,
}

/// What an account is owed, by the marks of messages.
#[derive(Debug, Default)]
pub(super) struct Debts(BTreeMap<String, Debt>);

impl Debts {
    pub(super) fn add(&mut self, mark: String, debt: Debt) {
        self.0.insert(mark, debt);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many there are at least, and at most.
    pub(super) fn count(&self) -> (usize, usize) {
        let sure = |debt: &&Debt| debt.owed == Likely::Yes && debt.handed.is_empty();
        (self.0.values().filter(sure).count(), self.0.len())
    }

    /// A client gets it.
    pub(super) fn hand(&mut self, mark: &str, client: usize) -> Result<(), String> {
        let Some(debt) = self.0.get_mut(mark) else {
            return Err("which is not owed, or not any more".to_owned());
        };
        if debt.handed.contains(&client) || debt.copied.contains(&client) {
            return Err("which it has already".to_owned());
        }
        debt.handed.push(client);
        Ok(())
    }

    /// Whether a session that died may have left it: it came before what others got since.
    pub(super) fn is_left(&self, mark: &str) -> bool {
        let debt = self.0.get(mark);
        debt.is_some_and(|debt| debt.left != Likely::No)
    }

    /// A client is gone that had it.
    pub(super) fn lapses(&mut self, mark: &str, client: usize, lapse: Lapse) {
        if let Some(debt) = self
            .0
            .get_mut(mark)
            .filter(|debt| debt.handed.contains(&client))
        {
            debt.handed.retain(|holder| *holder != client);
            match lapse {
                Lapse::Unheard => {}
                Lapse::Perhaps => debt.owed = Likely::Maybe,
            }
        }
    }

    /// The server died.
    pub(super) fn crash(&mut self) {
        for debt in self.0.values_mut().filter(|debt| !debt.handed.is_empty()) {
            debt.owed = Likely::Maybe;
        }
    }

    /// Everything is at rest.
    ///
    /// # Errors
    /// Somebody has something twice, or not at all.
    pub(super) fn judge(
        &mut self,
        around: &Around,
        blocked: &dyn Fn(&str, Moment) -> bool,
        paged: &dyn Fn(&str, usize) -> bool,
    ) -> Result<(), String> {
        let mut fault = None;
        self.0.retain(|mark, debt| {
            // Who read it in the archive is not sent it again.
            let mut takers = around.may_have_taken.iter();
            let has_read = takers.any(|taker| paged(mark, *taker));
            let fate = debt.judge(around, blocked(&debt.from, debt.at).into(), has_read.into());
            fate.unwrap_or_else(|what| {
                fault.get_or_insert_with(|| format!("{mark}: {what}: {debt:?} {around:?}"));
                false
            })
        });
        fault.map_or(Ok(()), Err)
    }
}

impl Debt {
    /// Whether it stays, or may.
    fn judge(
        &mut self,
        around: &Around,
        blocked: Likely,
        has_read: Likely,
    ) -> Result<bool, &'static str> {
        let is_there = |client: &usize| around.there.contains(client);
        if around.store_failed && !self.handed.is_empty() {
            self.noted = Noted::Perhaps;
        }
        if self.noted == Noted::Perhaps {
            self.owed = Likely::Maybe;
            return Ok(true);
        }
        // Who is gone may have had it first and read it last.
        let holders = self.handed.iter().filter(|client| is_there(client)).count();
        if holders > 1 && self.left == Likely::No {
            return Err("two have it");
        }
        let has_it = holders > 0;
        // What a session left that died is not for others, if one of them has a copy; or had one that acknowledges nothing, and is gone, too.
        let left = self.left != Likely::No;
        let with_copy = self.copied.iter().any(|client| {
            let has = around.there.contains(client) || around.silent.contains(client);
            around.takers.contains(client) || left && has
        });
        let with_archive = has_read == Likely::Yes && self.archived != Likely::No;
        let doubt = blocked == Likely::Yes
            || around.store_failed
            || around.may_have_gone
            || around.may_be_stuck
            || around.may_be_lost
            || self.stored < around.expired;
        if has_it {
            return Ok(false);
        }
        if !around.takers.is_empty() {
            let excused = doubt || with_copy || with_archive;
            if self.owed == Likely::Yes && self.handed.is_empty() && !excused {
                return Err("nobody has it, though somebody takes what is owed");
            }
            self.owed = Likely::Maybe;
            if doubt {
                self.passed.extend(&around.takers);
            }
            let mut takers = around.takers.iter();
            return Ok(takers.all(|taker| self.passed.contains(taker)));
        }
        let taken_with = !self.copied.is_empty() || with_archive;
        if doubt || !self.handed.is_empty() || !around.may_have_taken.is_empty() && taken_with {
            self.owed = Likely::Maybe;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debts(handed: &[usize]) -> Debts {
        let mut debts = Debts::default();
        debts.add(
            "c1-1".into(),
            Debt {
                owed: Likely::Yes,
                from: "romeo@localhost/a".into(),
                at: 1,
                stored: 0,
                archived: Likely::Yes,
                noted: Noted::Surely,
                left: Likely::No,
                handed: handed.to_vec(),
                copied: Vec::new(),
                passed: Vec::new(),
            },
        );
        debts
    }

    fn judge(debts: &mut Debts, around: &Around) -> Result<(), String> {
        debts.judge(around, &|_, _| false, &|_, _| false)
    }

    #[test]
    fn one_gets_it_who_is_there_and_then_nobody() {
        let around = |there: &[usize]| Around {
            there: there.to_vec(),
            takers: there.to_vec(),
            ..Around::default()
        };
        assert!(judge(&mut debts(&[]), &around(&[4])).is_err());
        assert!(judge(&mut debts(&[4, 5]), &around(&[4, 5])).is_err());
        let mut given = debts(&[4, 5]);
        assert!(judge(&mut given, &around(&[5])).is_ok());
        assert!(given.hand("c1-1", 6).is_err());
    }

    #[test]
    fn it_waits_as_long_as_nobody_takes_it() {
        let mut waiting = debts(&[]);
        judge(&mut waiting, &Around::default()).unwrap();
        assert_eq!(waiting.count(), (1, 1));
        waiting.hand("c1-1", 4).unwrap();
        assert!(waiting.hand("c1-1", 4).is_err());
        judge(&mut waiting, &Around::default()).unwrap();
        assert_eq!(waiting.count(), (0, 1));
        assert!(waiting.hand("c1-1", 5).is_ok());
    }
}
