//! XEP-0313: Message Archive Management, version 1.1.3, and XEP-0441, version 0.2.0: what the account's own sessions ask of its archive.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::{Account, Asked, Cx, Read, SessionKey, StoreRoom};
use crate::archive::{self, ARCHIVE, Flipped, Prefs, Query, Rest, Results, Scope, Wanted};
use crate::effects::Stored;
use crate::limits::{ARCHIVE_IDS, STORE_PAGE_ENTRIES};
use crate::stanza::{Condition, IqType, Kind, Stanza};
use crate::store::{self, Class, Entry, Op, Order, Page, Pick, Reply, StoreError};
use crate::xml::Node;

/// A query whose answer the store has.
#[derive(Debug)]
pub(crate) struct ArchiveRead {
    pub(super) by: SessionKey,
    asked: Arc<Stanza>,
    query: Query,
}

/// The same of the ends of an archive.
#[derive(Debug)]
pub(crate) struct MetadataRead {
    pub(super) by: SessionKey,
    asked: Arc<Stanza>,
}

impl Account {
    /// A request about the archive by one of the account's own sessions.
    pub(super) fn archive_out(&mut self, cx: &mut Cx<'_>, key: SessionKey, iq: &Arc<Stanza>) {
        let Some(payload) = iq.payload() else {
            return;
        };
        let done = match (iq.kind(), payload.name()) {
            (Kind::Iq(IqType::Set), "query") => self.query(cx, key, iq, &payload),
            (Kind::Iq(IqType::Get), "query") => {
                cx.answer(key, iq.result(archive::form).into());
                Ok(())
            }
            (Kind::Iq(IqType::Get), "metadata") => {
                self.ask_for_ends(cx, key, iq);
                Ok(())
            }
            (Kind::Iq(IqType::Get), "prefs") => self.get_prefs(cx, key, iq),
            (Kind::Iq(IqType::Set), "prefs") => self.set_prefs(cx, key, iq, &payload),
            (Kind::Iq(IqType::Set), "metadata") => Err(Condition::BadRequest),
            (Kind::Iq(IqType::Get | IqType::Set), _) => Err(Condition::FeatureNotImplemented),
            (Kind::Iq(_) | Kind::Message(_) | Kind::Presence(_), _) => Ok(()),
        };
        if let Err(condition) = done {
            cx.refuse(key, iq, condition);
        }
    }

    /// XEP-0313 §4.
    fn query(
        &self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        iq: &Arc<Stanza>,
        payload: &Node<'_>,
    ) -> Result<(), Condition> {
        let scope = Scope {
            ids: self.ids(cx),
            last: self.spool.last.unwrap_or(i64::MIN),
            page: cx.host.archive.max_results,
        };
        let query = Query::read(payload, scope)?;
        if self.has_enough_behind(key) {
            return Err(Condition::ResourceConstraint);
        }
        let ops = ops(&query, scope.last);
        let read = ArchiveRead {
            by: key,
            asked: Arc::clone(iq),
            query,
        };
        cx.read(Class::Page, ops, Read::Archive(Box::new(read)));
        Ok(())
    }

    /// The store has what was asked for.
    pub(super) fn archive_came(
        &mut self,
        cx: &mut Cx<'_>,
        read: ArchiveRead,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let ArchiveRead { by, asked, query } = read;
        let done = match outcome {
            Err(_) => Err(Condition::InternalServerError),
            // §4.1.3: "not present in the archive".
            Ok(replies) if replies.contains(&Reply::Missing) => Err(Condition::ItemNotFound),
            Ok(mut replies) => match replies.pop() {
                Some(Reply::Page(page)) => self.answer_page(cx, by, &asked, &query, page),
                Some(Reply::Count(count)) => {
                    cx.answer(by, counted(&asked, count).into());
                    Ok(())
                }
                _ => Err(Condition::InternalServerError),
            },
        };
        if let Err(condition) = done {
            cx.refuse(by, &asked, condition);
        }
    }

    fn answer_page(
        &mut self,
        cx: &mut Cx<'_>,
        by: SessionKey,
        asked: &Stanza,
        query: &Query,
        mut page: Page,
    ) -> Result<(), Condition> {
        // §4.3.2: "not present in the archive" any more.
        let is_gone = |anchor: &i64| page.oldest.is_none_or(|oldest| *anchor < oldest);
        if query.anchors.iter().any(is_gone) {
            return Err(Condition::ItemNotFound);
        }
        query.narrow(&mut page);
        let pick = match &query.wanted {
            Wanted::Page(pick) => pick,
            // Of those that are named.
            Wanted::Count(_) => {
                let count = u64::try_from(page.entries.len()).unwrap_or(u64::MAX);
                cx.answer(by, counted(asked, count).into());
                return Ok(());
            }
        };
        let mut xml = Vec::new();
        let mut ends_at = Vec::with_capacity(page.entries.len() + 1);
        let ids = self.ids(cx);
        let results = Results::new(&self.jid, asked.from(), query.queryid.as_deref());
        let mut write = |entry: &Entry| {
            let id = ids.text(entry.key);
            results.write(&mut xml, id, entry.key, &entry.payload.joined());
            ends_at.push((xml.len(), None));
        };
        match query.flipped {
            Flipped::No => page.entries.iter().for_each(&mut write),
            Flipped::Yes => page.entries.iter().rev().for_each(&mut write),
        }
        let ends = page.entries.first().zip(page.entries.last());
        let ends = ends.map(|(first, last)| (ids.text(first.key), ids.text(last.key)));
        let rest = match page.more {
            true => Rest::More,
            false => Rest::Nothing,
        };
        asked
            .result(|w| archive::fin(w, rest, ends, None))
            .write(&mut xml);
        ends_at.push((xml.len(), None));
        if let Some(seen) = seen(pick, &page)
            && let Some(session) = self.session(by)
        {
            // XEP-0313 §6.1.1: what waits and was received here need not be sent again.
            session.fetched.insert(seen);
        }
        let stored = Stored {
            xml: xml.into(),
            ends: ends_at,
        };
        cx.tell_page(by, stored);
        Ok(())
    }

    /// XEP-0313 §5.
    fn ask_for_ends(&self, cx: &mut Cx<'_>, key: SessionKey, iq: &Arc<Stanza>) {
        let page = |order| Op::Page {
            log: ARCHIVE,
            pick: Box::new(Pick {
                kept: store::Kept::Archived,
                peer: None,
                ids: None,
                after: None,
                before: None,
                upto: self.spool.last.unwrap_or(i64::MIN),
                order,
                limit: 1,
            }),
        };
        let ops = [page(Order::Forward), page(Order::Backward)];
        let read = MetadataRead {
            by: key,
            asked: Arc::clone(iq),
        };
        cx.read(Class::Page, ops.into(), Read::Metadata(Box::new(read)));
    }

    pub(super) fn metadata_came(
        &self,
        cx: &mut Cx<'_>,
        read: MetadataRead,
        outcome: Result<Vec<Reply>, StoreError>,
    ) {
        let MetadataRead { by, asked } = read;
        let Ok([Reply::Page(first), Reply::Page(last)]) = outcome.as_deref() else {
            return cx.refuse(by, &asked, Condition::InternalServerError);
        };
        let ends = first.entries.first().zip(last.entries.last());
        let ids = self.ids(cx);
        let ends = ends.map(|ends| [ends.0, ends.1].map(|entry| (ids.text(entry.key), entry.key)));
        cx.answer(by, asked.result(|w| archive::metadata(w, ends)).into());
    }

    /// XEP-0441 §2.1.
    fn get_prefs(
        &self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        iq: &Arc<Stanza>,
    ) -> Result<(), Condition> {
        let kept = self.kept.sound().ok_or(Condition::InternalServerError)?;
        let default = cx.host.archive.policy;
        let result = iq.result(|w| kept.prefs.write(w, default));
        cx.answer(key, result.into());
        Ok(())
    }

    fn set_prefs(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        iq: &Arc<Stanza>,
        payload: &Node<'_>,
    ) -> Result<(), Condition> {
        let prefs = Prefs::read(payload)?;
        if cx.store == StoreRoom::Spent {
            return Err(Condition::ResourceConstraint);
        }
        let kept = self
            .kept
            .sound_mut()
            .ok_or(Condition::InternalServerError)?;
        cx.change_each(prefs.replace());
        kept.prefs = prefs;
        let default = cx.host.archive.policy;
        // "The server then replies with the applied preferences".
        let result = iq.result(|w| kept.prefs.write(w, default));
        cx.answer(key, result.into());
        cx.asked_by(Asked {
            by: key,
            stanza: Arc::clone(iq),
        });
        Ok(())
    }
}

/// XEP-0059 §2.7.
fn counted(asked: &Stanza, count: u64) -> Stanza {
    let rest = match count {
        0 => Rest::Nothing,
        _ => Rest::More,
    };
    asked.result(|w| archive::fin(w, rest, None, Some(count)))
}

/// Of which keys a page has all that there is.
fn seen(pick: &Pick, page: &Page) -> Option<RangeInclusive<i64>> {
    if pick.peer.is_some() || pick.ids.is_some() {
        return None;
    }
    let first = pick.after.map_or(i64::MIN, |after| after.saturating_add(1));
    let last = pick
        .before
        .map_or(i64::MAX, |before| before.saturating_sub(1));
    let last = last.min(pick.upto);
    let ends = page.entries.first().zip(page.entries.last());
    match (page.more, pick.order, ends) {
        (false, ..) => Some(first..=last),
        (true, Order::Forward, Some((_, newest))) => Some(first..=newest.key),
        (true, Order::Backward, Some((oldest, _))) => Some(oldest.key..=last),
        (true, _, None) => None,
    }
}

/// What a query reads: first whether entries are there that it names.
fn ops(query: &Query, last: i64) -> Vec<Op> {
    let (Wanted::Page(pick) | Wanted::Count(pick)) = &query.wanted;
    let page = |pick: Pick| Op::Page {
        log: ARCHIVE,
        pick: Box::new(pick),
    };
    let named = |ids: &[i64]| {
        page(Pick {
            kept: pick.kept,
            peer: None,
            ids: Some(ids.to_vec()),
            after: None,
            before: None,
            upto: last,
            order: Order::Forward,
            limit: STORE_PAGE_ENTRIES,
        })
    };
    let mut ops: Vec<Op> = query.present.chunks(ARCHIVE_IDS).map(named).collect();
    match (&query.wanted, &pick.ids) {
        (_, Some(ids)) if ids.is_empty() => {}
        (_, Some(ids)) => ops.push(named(ids)),
        (Wanted::Page(pick), None) => ops.push(page(pick.clone())),
        (Wanted::Count(pick), None) => ops.push(Op::Count {
            log: ARCHIVE,
            kept: pick.kept,
            peer: pick.peer.clone(),
            after: pick.after,
            before: pick.before,
            upto: pick.upto,
        }),
    }
    ops
}
