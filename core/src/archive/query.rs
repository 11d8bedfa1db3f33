//! What a client asks of its archive (XEP-0313 §4, XEP-0059).

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::id::Ids;
use crate::jid::Jid;
use crate::limits::{ARCHIVE_IDS, ARCHIVE_QUERYID_BYTES};
use crate::stanza::Condition;
use crate::store::{Entry, Kept, Order, Page, Peer, Pick};
use crate::time::parse_xep0082;
use crate::xml::{Node, Ns};

/// A query, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Query {
    /// `queryid`, to be repeated.
    pub(crate) queryid: Option<Box<str>>,
    pub(crate) wanted: Wanted,
    pub(crate) flipped: Flipped,
    /// Keys that must be in the archive: of `before-id` and `after-id` (§4.1.3).
    pub(crate) present: Vec<i64>,
    /// Keys behind or before which the page is (XEP-0059 §2.2, §2.3).
    pub(crate) anchors: Vec<i64>,
}

/// What of the archive is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// A page.
    Page(Pick),
    /// How many there are (XEP-0059 §2.7).
    Count(Pick),
}

/// In which order a page is sent (XEP-0313 §4.3.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Flipped {
    No,
    Yes,
}

/// The archive that is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) ids: &'a Ids,
    /// The last key that was given out.
    pub(crate) last: i64,
    /// `max_archive_query_results`.
    pub(crate) page: u32,
}

impl Query {
    /// Reads a `<query/>`.
    ///
    /// # Errors
    /// What the client hears: `bad-request`, `feature-not-implemented` (§4.1.5 for fields, XEP-0059 for `<index/>`), `item-not-found`,
    /// `policy-violation` for too many ids.
    pub(crate) fn read(query: &Node<'_>, archive: Scope<'_>) -> Result<Self, Condition> {
        // §6.1.3: of archives of nodes, which there are none of.
        if query.attribute("node").is_some() {
            return Err(Condition::FeatureNotImplemented);
        }
        let mut read = Reading {
            archive,
            pick: Pick {
                kept: Kept::Archived,
                peer: None,
                ids: None,
                after: None,
                before: None,
                upto: archive.last,
                order: Order::Forward,
                limit: archive.page,
            },
            wanted: Wanted::Page,
            present: Vec::new(),
            anchors: Vec::new(),
        };
        let mut flipped = Flipped::No;
        for child in query.children() {
            match (child.ns(), child.name()) {
                (Ns::DataForms, "x") => read.form(&child)?,
                (Ns::Rsm, "set") => read.set(&child)?,
                (Ns::Mam, "flip-page") => flipped = Flipped::Yes,
                _ => {}
            }
        }
        read.settle_ids();
        let Reading {
            pick,
            wanted,
            present,
            anchors,
            ..
        } = read;
        let queryid = query.attribute("queryid");
        // It is repeated with each entry.
        if queryid
            .as_ref()
            .is_some_and(|id| id.len() > ARCHIVE_QUERYID_BYTES)
        {
            return Err(Condition::PolicyViolation);
        }
        Ok(Self {
            queryid: queryid.map(|id| id.into_owned().into_boxed_str()),
            wanted: wanted(pick),
            flipped,
            present,
            anchors,
        })
    }
}

impl Query {
    /// Leaves of a page of entries that were named what else is asked for: with whom, and how many.
    pub(crate) fn narrow(&self, page: &mut Page) {
        let (Wanted::Page(pick) | Wanted::Count(pick)) = &self.wanted;
        let Some(ids) = &pick.ids else {
            return;
        };
        page.entries.retain(|entry| ids.contains(&entry.key));
        if let Some(peer) = &pick.peer {
            let is_with = |entry: &Entry| {
                let resource = peer.resource.as_ref();
                entry.peer == peer.bare
                    && resource.is_none_or(|resource| entry.resource.as_ref() == Some(resource))
            };
            page.entries.retain(is_with);
        }
        let most = match &self.wanted {
            Wanted::Page(pick) => usize::try_from(pick.limit).unwrap_or(usize::MAX),
            Wanted::Count(_) => usize::MAX,
        };
        let beyond = page.entries.len().saturating_sub(most);
        if beyond > 0 {
            page.more = true;
            match pick.order {
                Order::Forward => page.entries.truncate(most),
                Order::Backward => {
                    page.entries.drain(..beyond);
                }
            }
        }
    }
}

struct Reading<'a> {
    archive: Scope<'a>,
    pick: Pick,
    /// A page, or the number, of what is picked.
    wanted: fn(Pick) -> Wanted,
    present: Vec<i64>,
    anchors: Vec<i64>,
}

impl Reading<'_> {
    /// §4.1: a form of type `submit`.
    fn form(&mut self, form: &Node<'_>) -> Result<(), Condition> {
        if form.attribute("type").as_deref() != Some("submit") {
            return Err(Condition::BadRequest);
        }
        let fields = || form.children().filter(|c| c.is(Ns::DataForms, "field"));
        let is_ours = fields().any(|field| {
            field.attribute("var").as_deref() == Some("FORM_TYPE")
                && value(&field).as_deref() == Some(Ns::Mam.uri())
        });
        if !is_ours {
            return Err(Condition::BadRequest);
        }
        for field in fields() {
            let var = field.attribute("var").ok_or(Condition::BadRequest)?;
            match &*var {
                "FORM_TYPE" => {}
                "ids" => self.ids(&field)?,
                name => {
                    // A field that is left empty says nothing (XEP-0004 §3.2).
                    let value = value(&field).filter(|value| !value.is_empty());
                    self.field(name, value.as_deref())?;
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, name: &str, value: Option<&str>) -> Result<(), Condition> {
        let known = matches!(
            name,
            "with" | "start" | "end" | "before-id" | "after-id" | "include-groupchat"
        );
        let Some(value) = value.filter(|_| known) else {
            return match known {
                true => Ok(()),
                // §4.1.5: "the server MUST respond with a 'feature-not-implemented' error".
                false => Err(Condition::FeatureNotImplemented),
            };
        };
        match name {
            "with" => {
                let jid = Jid::parse(value).map_err(|_| Condition::BadRequest)?;
                self.pick.peer = Some(peer(&jid));
            }
            // "equal to or later", "equal to or earlier".
            "start" => {
                let from = parse_xep0082(value).ok_or(Condition::BadRequest)?;
                self.behind(from.saturating_sub(1));
            }
            "end" => {
                let until = parse_xep0082(value).ok_or(Condition::BadRequest)?;
                self.before(until.saturating_add(1));
            }
            // XEP-0004 §3.2: `var` "uniquely identifies the field". Each is looked for.
            "after-id" | "before-id" if self.present.len() >= 2 => {
                return Err(Condition::BadRequest);
            }
            "after-id" => {
                let key = self.decode(value)?;
                self.present.push(key);
                self.behind(key);
            }
            "before-id" => {
                let key = self.decode(value)?;
                self.present.push(key);
                self.before(key);
            }
            // There are none in it, whatever is said.
            _ => match value {
                "0" | "1" | "false" | "true" => {}
                _ => return Err(Condition::BadRequest),
            },
        }
        Ok(())
    }

    fn ids(&mut self, field: &Node<'_>) -> Result<(), Condition> {
        let mut keys = Vec::new();
        for value in field.children().filter(|c| c.is(Ns::DataForms, "value")) {
            if keys.len() >= ARCHIVE_IDS {
                return Err(Condition::PolicyViolation);
            }
            keys.push(self.decode(value.text().trim())?);
        }
        if !keys.is_empty() {
            keys.sort_unstable();
            keys.dedup();
            self.pick.ids = Some(keys);
        }
        Ok(())
    }

    /// Entries that are named and not within what else is asked for must be there all the same (§4.1.3).
    fn settle_ids(&mut self) {
        let Some(ids) = &mut self.pick.ids else {
            return;
        };
        let (after, before) = (self.pick.after, self.pick.before);
        let is_within = |key: &i64| {
            after.is_none_or(|after| *key > after) && before.is_none_or(|before| *key < before)
        };
        self.present
            .extend(ids.iter().filter(|key| !is_within(key)));
        ids.retain(is_within);
    }

    /// XEP-0059 §2.
    fn set(&mut self, set: &Node<'_>) -> Result<(), Condition> {
        for child in set.children().filter(|child| child.ns() == Ns::Rsm) {
            let text = child.text();
            let text = text.trim();
            match child.name() {
                "max" => match text.parse::<u32>() {
                    Ok(0) => self.wanted = Wanted::Count,
                    Ok(max) => self.pick.limit = max.min(self.archive.page),
                    Err(_) => return Err(Condition::BadRequest),
                },
                // §2.6: "if the responding entity does not support" it.
                "index" => return Err(Condition::FeatureNotImplemented),
                "before" => {
                    // §2.5: without text, the last page.
                    self.pick.order = Order::Backward;
                    if !text.is_empty() {
                        let key = self.anchor(text)?;
                        self.before(key);
                    }
                }
                "after" if !text.is_empty() => {
                    let key = self.anchor(text)?;
                    self.behind(key);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// One that is of the future was not given out, or never reached the disk.
    fn anchor(&mut self, text: &str) -> Result<i64, Condition> {
        let key = self.decode(text)?;
        if key > self.archive.last {
            return Err(Condition::ItemNotFound);
        }
        self.anchors.push(key);
        Ok(key)
    }

    fn decode(&self, text: &str) -> Result<i64, Condition> {
        self.archive.ids.key(text).ok_or(Condition::ItemNotFound)
    }

    fn behind(&mut self, key: i64) {
        self.pick.after = Some(self.pick.after.map_or(key, |other| other.max(key)));
    }

    fn before(&mut self, key: i64) {
        self.pick.before = Some(self.pick.before.map_or(key, |other| other.min(key)));
    }
}

/// The first value of a field.
fn value(field: &Node<'_>) -> Option<alloc::string::String> {
    let value = field.children().find(|c| c.is(Ns::DataForms, "value"))?;
    Some(value.text().trim().to_owned())
}

/// Whom messages are with, for the store.
pub(crate) fn peer(jid: &Jid) -> Peer {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Peer {
        bare: bytes(jid.bare()),
        resource: jid.resource().map(bytes),
    }
}
