//! One archive as its clients know it: entries in their order, and what a page of them may be.

use std::collections::BTreeMap;

/// A message as the archive has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) mark: String,
    /// With whom: the `to` of what went out, the `from` of what came in.
    pub(super) peer: String,
    pub(super) stamp: String,
}

/// Whether entries may have been removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Loss {
    None,
    Oldest(Oldest),
    /// All: the account was deleted. Or it was not, and only the oldest are gone.
    All(Oldest),
}

/// How many of the oldest an archive may let go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Oldest {
    /// So many are too old.
    pub(super) old: usize,
    /// Those that are more than this.
    pub(super) most: usize,
}

/// How far a reading went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Reach {
    /// All that there is.
    Whole,
    /// What lies behind the last entry that was known.
    News,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Archive {
    /// All entries that ever were, but those of an account that was deleted.
    pub(super) entries: Vec<Entry>,
    /// The first that is still there.
    pub(super) start: usize,
    places: BTreeMap<String, usize>,
}

/// What a query is about, and how much of it is wanted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ask {
    pub(super) with: Option<String>,
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
    pub(super) after_id: Option<String>,
    pub(super) before_id: Option<String>,
    pub(super) ids: Vec<String>,
    pub(super) after: Option<String>,
    /// With an empty one the last page is wanted.
    pub(super) before: Option<String>,
    pub(super) max: Option<usize>,
    pub(super) flipped: bool,
}

/// The end of an answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Fin {
    pub(super) complete: bool,
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
    pub(super) count: Option<usize>,
}

impl Ask {
    /// Whether everything in the archive is asked for, from some place on.
    pub(super) const fn is_plain(&self) -> bool {
        self.with.is_none()
            && self.start.is_none()
            && self.end.is_none()
            && self.after_id.is_none()
            && self.before_id.is_none()
            && self.before.is_none()
            && self.ids.is_empty()
    }

    /// The ids it names: those that must be there, and those that are compared.
    pub(super) fn names(&self) -> (Vec<&str>, Vec<&str>) {
        let must = self.ids.iter().chain(&self.after_id).chain(&self.before_id);
        let compared = self.after.iter().chain(&self.before);
        let compared = compared.filter(|id| !id.is_empty());
        (
            must.map(String::as_str).collect(),
            compared.map(String::as_str).collect(),
        )
    }

    fn fits(&self, entry: &Entry) -> bool {
        let with = self.with.as_ref().is_none_or(|with| {
            let bare = entry.peer.split('/').next() == Some(with.as_str());
            entry.peer == *with || !with.contains('/') && bare
        });
        let listed = self.ids.is_empty() || self.ids.contains(&entry.id);
        with && listed
            && self
                .start
                .as_ref()
                .is_none_or(|start| entry.stamp >= *start)
            && self.end.as_ref().is_none_or(|end| entry.stamp <= *end)
    }
}

impl Archive {
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// Those that are there as far as is known.
    pub(super) fn there(&self) -> &[Entry] {
        &self.entries[self.start..]
    }

    pub(super) fn last(&self) -> Option<&Entry> {
        self.there().last()
    }

    /// The account is gone, and all it had.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What was read of it at rest: it is what it was, with news behind. How many of the oldest are gone, and the news.
    ///
    /// # Errors
    /// It is something else.
    pub(super) fn read(
        &mut self,
        read: Vec<Entry>,
        reach: Reach,
        loss: Loss,
    ) -> Result<Vec<Entry>, String> {
        if let Some(pair) = read.windows(2).find(|pair| pair[0].stamp >= pair[1].stamp) {
            return Err(format!("has {:?} before {:?}", pair[0], pair[1]));
        }
        let news = match reach {
            Reach::News => read,
            Reach::Whole => self.compare(read, loss)?,
        };
        for entry in &news {
            if self.places.contains_key(&entry.id) {
                return Err(format!("has {entry:?} behind what came after it"));
            }
            if self.last().is_some_and(|last| last.stamp >= entry.stamp) {
                return Err(format!("has {entry:?} behind {:?}", self.last()));
            }
            self.places.insert(entry.id.clone(), self.entries.len());
            self.entries.push(entry.clone());
        }
        Ok(news)
    }

    fn compare(&mut self, read: Vec<Entry>, loss: Loss) -> Result<Vec<Entry>, String> {
        let known = self.entries.len();
        let first = read.first().and_then(|entry| self.place(&entry.id));
        let first = first.unwrap_or(known);
        let gone = first.saturating_sub(self.start);
        let news = read.len().saturating_sub(known - first);
        let all = known - self.start + news;
        let allowed = match loss {
            Loss::None => 0,
            Loss::All(_) if gone > 0 && first == known => {
                self.clear();
                return Ok(read);
            }
            Loss::Oldest(Oldest { old, most }) | Loss::All(Oldest { old, most }) => {
                old.max(all.saturating_sub(most))
            }
        };
        if first < self.start {
            return Err(format!("has {:?} again", read.first()));
        }
        if gone > allowed {
            return Err(format!(
                "has lost {gone} of {:?} where {allowed} might go, and begins with {:?}",
                self.there(),
                read.first()
            ));
        }
        let mut read = read.into_iter();
        for entry in &self.entries[first..] {
            let now = read.next();
            if now.as_ref() != Some(entry) {
                return Err(format!("has {now:?} where {entry:?} was"));
            }
        }
        self.start = first;
        Ok(read.collect())
    }

    /// Whether this can be the answer to `ask` at a time when the first `least` entries were there for sure, and perhaps all; and
    /// from `earliest` on those that are gone by now.
    ///
    /// # Errors
    /// It cannot; what else it might be.
    pub(super) fn judge(
        &self,
        ask: &Ask,
        (earliest, least): (usize, usize),
        most: usize,
        (results, fin): (&[String], &Fin),
    ) -> Result<(), String> {
        let mut wanted = String::new();
        for start in earliest..=self.start.max(earliest) {
            for end in (least..=self.entries.len()).rev() {
                let page = self.page(ask, start.min(end)..end, most);
                let counts = ask.max == Some(0);
                if page.0 == results && (counts || page.1.complete == fin.complete) {
                    return self.judge_ends(results, fin);
                }
                if wanted.is_empty() {
                    wanted = format!("{page:?}");
                }
            }
        }
        Err(format!("{results:?} {fin:?}, and not {wanted}"))
    }

    fn judge_ends(&self, results: &[String], fin: &Fin) -> Result<(), String> {
        let mut order: Vec<&String> = results.iter().collect();
        order.sort_by_key(|id| self.place(id));
        let ends = (order.first(), order.last());
        if ends != (fin.first.as_ref().as_ref(), fin.last.as_ref().as_ref()) {
            return Err(format!("{results:?}, and its ends are {fin:?}"));
        }
        Ok(())
    }

    fn page(&self, ask: &Ask, there: std::ops::Range<usize>, most: usize) -> (Vec<String>, Fin) {
        let place = |id: &Option<String>| id.as_ref().and_then(|id| self.place(id));
        let behind = place(&ask.after).max(place(&ask.after_id));
        let before = [place(&ask.before), place(&ask.before_id)];
        let before = before.into_iter().flatten().min();
        let picked = |place: &usize| {
            behind.is_none_or(|behind| *place > behind)
                && before.is_none_or(|before| *place < before)
                && ask.fits(&self.entries[*place])
        };
        let all: Vec<usize> = there.filter(picked).collect();
        let count = ask.max.unwrap_or(most).min(most).min(all.len());
        let page = match ask.before {
            Some(_) => &all[all.len() - count..],
            None => &all[..count],
        };
        let mut page: Vec<String> = page.iter().map(|at| self.entries[*at].id.clone()).collect();
        if ask.flipped {
            page.reverse();
        }
        let fin = Fin {
            complete: count == all.len() && ask.max != Some(0),
            ..Fin::default()
        };
        (page, fin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: usize) -> Entry {
        Entry {
            id: format!("id{number}"),
            mark: format!("c1-{number}"),
            peer: ["juliet@localhost", "romeo@localhost/a"][number % 2].to_owned(),
            stamp: format!("2026-11-26T10:00:00.{number:06}Z"),
        }
    }

    fn archive(count: usize) -> Archive {
        let mut archive = Archive::default();
        let read = (0..count).map(entry).collect();
        archive.read(read, Reach::Whole, Loss::None).unwrap();
        archive
    }

    #[test]
    fn grows_at_its_end_and_nowhere_else() {
        let mut whole = archive(3);
        let news = whole.read((0..5).map(entry).collect(), Reach::Whole, Loss::None);
        assert_eq!(news.unwrap().len(), 2);
        let behind = whole.read(vec![entry(5)], Reach::News, Loss::None);
        assert_eq!(behind.unwrap().len(), 1);
        for wrong in [vec![0, 2, 1], vec![0, 1, 2, 3, 4], vec![1, 2, 3, 4, 5]] {
            let read = wrong.into_iter().map(entry).collect();
            assert!(whole.read(read, Reach::Whole, Loss::None).is_err());
        }
        assert!(whole.read(vec![entry(2)], Reach::News, Loss::None).is_err());
    }

    #[test]
    fn the_oldest_may_go_and_stay_away() {
        let mut whole = archive(4);
        let rest = || vec![entry(2), entry(3)];
        let oldest = |old, most| Loss::Oldest(Oldest { old, most });
        assert!(whole.read(rest(), Reach::Whole, oldest(1, 9)).is_err());
        assert!(whole.read(rest(), Reach::Whole, oldest(0, 3)).is_err());
        assert!(whole.read(rest(), Reach::Whole, oldest(0, 2)).is_ok());
        let all = (0..4).map(entry).collect();
        assert!(whole.read(all, Reach::Whole, oldest(9, 0)).is_err());
        let deleted = |old| Loss::All(Oldest { old, most: 9 });
        assert!(whole.read(Vec::new(), Reach::Whole, deleted(0)).is_ok());
        assert!(whole.there().is_empty());
    }

    #[test]
    fn what_may_have_been_deleted_may_as_well_have_grown_old() {
        let rest = || vec![entry(1), entry(2)];
        let deleted = |old| Loss::All(Oldest { old, most: 9 });
        assert!(archive(3).read(rest(), Reach::Whole, deleted(0)).is_err());
        assert!(archive(3).read(rest(), Reach::Whole, deleted(1)).is_ok());
    }

    #[test]
    fn a_page_is_of_what_was_there_when_it_was_asked_for() {
        let whole = archive(6);
        let ids = |numbers: &[usize]| -> Vec<String> {
            numbers.iter().map(|number| format!("id{number}")).collect()
        };
        let judge = |ask: &Ask, least, results: &[usize], complete| {
            let results = ids(results);
            let mut sorted = results.clone();
            sorted.sort();
            let fin = Fin {
                complete,
                first: sorted.first().cloned(),
                last: sorted.last().cloned(),
                count: None,
            };
            whole.judge(ask, (0, least), 50, (&results, &fin))
        };
        let all = Ask::default();
        assert!(judge(&all, 4, &[0, 1, 2, 3], true).is_ok());
        assert!(judge(&all, 5, &[0, 1, 2, 3], true).is_err());
        assert!(judge(&all, 4, &[0, 1, 3, 4], true).is_err());
        let two = Ask {
            max: Some(2),
            after: Some("id1".into()),
            flipped: true,
            ..Ask::default()
        };
        assert!(judge(&two, 6, &[3, 2], false).is_ok());
        assert!(judge(&two, 6, &[2, 3], false).is_err());
        let last = Ask {
            max: Some(2),
            before: Some(String::new()),
            with: Some("romeo@localhost".into()),
            ..Ask::default()
        };
        assert!(judge(&last, 6, &[3, 5], false).is_ok());
        assert!(judge(&last, 4, &[1, 3], true).is_ok());
        assert!(judge(&last, 4, &[1, 3], false).is_err());
    }
}
