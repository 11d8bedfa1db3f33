//! What an account keeps, as a file of XEP-0227.
//!
//! It is read in pages and without a lock, whether the server runs or not: contacts, lists and how far the archive goes as of one moment, then
//! the archive up to there, of which nothing changes but that the oldest goes. So however slowly the file is taken, no transaction is
//! open meanwhile, and no more than a page is in memory.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spondee_core::archive::{ARCHIVE, Outward, Spool};
use spondee_core::blocking::BLOCKLIST;
use spondee_core::catalog::CATALOG;
use spondee_core::jid::BareJid;
use spondee_core::limits::{STORE_LIST_ROWS, STORE_PAGE_ENTRIES};
use spondee_core::private::PRIVATE;
use spondee_core::roster::{ROSTER_REQUESTS, ROSTER_VERSION, Roster};
use spondee_core::sasl::{CREDENTIALS, Credentials, Dates, ScramKeys, Status, Verifier};
use spondee_core::stanza::write_stored_forwarded;
use spondee_core::store::{
    Batch, Class, Entry, Field, Kept, Loaded, Loading, Op, Order, Page, Pick, Reply, Row,
    StoreError, Table,
};
use spondee_core::time::to_xep0082;
use spondee_core::vcard::VCARD;
use spondee_core::xml::Writer;

use super::message::word;
use super::table::{is_plain, text};
use super::{EXPORT, PIE, PIE_MAM, PIE_SCRAM};
use crate::store::Backend;

/// Why a file is not whole.
#[derive(Debug)]
pub enum ExportError {
    /// There is no such account.
    NoSuchUser,
    /// It was deleted meanwhile.
    Gone,
    /// Something of it cannot be read: a sentence.
    Bad(String),
    /// The store failed; the log says how.
    Store,
    /// It cannot be written.
    Io(io::Error),
}

impl From<io::Error> for ExportError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Exported {
    /// Archived messages.
    pub archived: u64,
    /// Messages that wait.
    pub waiting: u64,
}

/// Writes what `account` keeps. `secret` is the server's.
///
/// # Errors
/// See `ExportError`; what was written is no whole document then.
pub fn export(
    backend: &mut dyn Backend,
    account: &BareJid,
    secret: &[u8; 32],
    out: &mut dyn Write,
) -> Result<Exported, ExportError> {
    let mut export = Export {
        backend,
        account,
        outward: Outward::new(secret, account),
        out,
        xml: Vec::new(),
        exported: Exported::default(),
    };
    export.all()
}

struct Export<'a> {
    backend: &'a mut dyn Backend,
    account: &'a BareJid,
    outward: Outward,
    out: &'a mut dyn Write,
    /// What is to be written next.
    xml: Vec<u8>,
    exported: Exported,
}

/// Which entries of the archive.
#[derive(Clone, Copy)]
struct Part {
    kept: Kept,
    after: Option<i64>,
    upto: i64,
    /// Up to here nothing is owed any more.
    done: Option<i64>,
}

impl Export<'_> {
    fn all(&mut self) -> Result<Exported, ExportError> {
        let (credentials, loaded) = self.load()?;
        let (domain, name) = (
            self.account.domain(),
            self.account.local().unwrap_or_default(),
        );
        let mut w = Writer::new(&mut self.xml);
        w.raw(b"<?xml version='1.0' encoding='UTF-8'?>\n");
        let head = [("server-data", "xmlns", PIE), ("host", "jid", domain)];
        for (element, attribute, value) in head {
            w.open(element).attribute(attribute, value).text("\n");
        }
        w.open("user").attribute("name", name);
        write_credentials(&credentials, &mut w)?;
        write_roster(&loaded, &mut w)?;
        write_requests(&loaded, &mut w);
        write_blocklist(&loaded, &mut w);
        write_tables(&loaded, &mut w);
        self.flush()?;
        self.own_elements()?;
        let bad = |bad: spondee_core::store::BadRow| ExportError::Bad(bad.to_string());
        let spool = Spool::from_loaded(&loaded).map_err(bad)?;
        if let Some(upto) = loaded.end(ARCHIVE).map(|end| end.last) {
            let done = spool.done;
            self.offline(Part {
                kept: Kept::Owed,
                after: done,
                upto,
                done,
            })?;
            self.archive(Part {
                kept: Kept::Archived,
                after: None,
                upto,
                done,
            })?;
        }
        self.is_still_there(&credentials)?;
        self.xml
            .extend_from_slice(b"</user>\n</host>\n</server-data>\n");
        self.flush()?;
        self.out.flush()?;
        Ok(self.exported)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.xml)?;
        self.xml.clear();
        Ok(())
    }

    fn ask(&mut self, class: Class, ops: Vec<Op>) -> Result<Vec<Reply>, ExportError> {
        let batch = Batch {
            owner: self.account.clone(),
            tenure: 0,
            class,
            ops,
        };
        let replies = self.backend.apply(std::slice::from_ref(&batch)).pop();
        replies
            .unwrap_or(Err(StoreError::Failed))
            .map_err(|error| match error {
                StoreError::Busy
                | StoreError::Conflict
                | StoreError::Failed
                | StoreError::Fenced
                | StoreError::Full
                | StoreError::Unknown => ExportError::Store,
            })
    }

    /// All that is kept in memory of an account that is there, as of one moment.
    fn load(&mut self) -> Result<(Row, Loaded), ExportError> {
        let replies = self.ask(Class::Load, vec![get(&CREDENTIALS), Op::Load])?;
        match <[Reply; 2]>::try_from(replies) {
            Ok([Reply::Row(Some(row)), Reply::Loaded(loaded)]) => Ok((row, *loaded)),
            Ok([Reply::Row(None), _]) => Err(ExportError::NoSuchUser),
            Ok(_) | Err(_) => Err(ExportError::Store),
        }
    }

    /// Who was deleted while this was written has nothing any more, and nothing is not what there was.
    fn is_still_there(&mut self, before: &Row) -> Result<(), ExportError> {
        let created = |row: &Row| Dates::of(row).created;
        match self.ask(Class::SignIn, vec![get(&CREDENTIALS)])?.pop() {
            Some(Reply::Row(Some(row))) if created(&row) == created(before) => Ok(()),
            _ => Err(ExportError::Gone),
        }
    }

    /// What is read by itself: private XML, the card, and tables that come later.
    fn own_elements(&mut self) -> Result<(), ExportError> {
        let private = self.list(&PRIVATE)?;
        let mut w = Writer::new(&mut self.xml);
        if !private.is_empty() {
            w.open("query").attribute("xmlns", "jabber:iq:private");
            for row in &private {
                w.raw(bytes(row, 2));
            }
            w.close().text("\n");
        }
        self.flush()?;
        for row in self.list(&VCARD)? {
            self.xml.extend_from_slice(bytes(&row, 0));
            self.xml.push(b'\n');
        }
        let alone = CATALOG
            .tables
            .iter()
            .filter(|table| table.loading != Loading::Loaded);
        for table in alone.filter(|table| is_plain(table)) {
            let rows = self.list(table)?;
            write_table(table, &rows, &mut Writer::new(&mut self.xml));
        }
        Ok(self.flush()?)
    }

    /// All rows of a table. None has more than fits memory: each is bounded by what a client may keep.
    fn list(&mut self, table: Table) -> Result<Vec<Row>, ExportError> {
        let mut all: Vec<Row> = Vec::new();
        loop {
            let key = |row: &Row| Row(row.0.iter().take(table.key.len()).cloned().collect());
            let list = Op::List {
                table,
                prefix: Row::default(),
                after: all.last().map(key),
                limit: STORE_LIST_ROWS,
            };
            let Some(Reply::Rows { rows, more }) = self.ask(Class::Load, vec![list])?.pop() else {
                return Err(ExportError::Store);
            };
            all.extend(rows);
            if !more {
                return Ok(all);
            }
        }
    }

    /// XEP-0227, "Offline Messages": "starting with the oldest".
    fn offline(&mut self, part: Part) -> Result<(), ExportError> {
        let mut begun = Begun::No;
        self.pages(part, |export, entry| {
            // Nothing is left of it to deliver.
            if entry.payload.is_empty() {
                return;
            }
            if begun == Begun::No {
                begun = Begun::Yes;
                export.xml.extend_from_slice(b"<offline-messages>\n");
            }
            mark(
                "entry",
                entry,
                entry.kept,
                &mut Writer::new(&mut export.xml),
            );
            export.outward.message(entry, &mut export.xml);
            export.xml.push(b'\n');
            export.exported.waiting += 1;
        })?;
        if begun == Begun::Yes {
            self.xml.extend_from_slice(b"</offline-messages>\n");
        }
        Ok(self.flush()?)
    }

    /// XEP-0227, "Message Archive": "in chronological order (from oldest to newest)".
    fn archive(&mut self, part: Part) -> Result<(), ExportError> {
        let mut begun = Begun::No;
        self.pages(part, |export, entry| {
            if begun == Begun::No {
                begun = Begun::Yes;
                let head = format!("<archive xmlns='{PIE_MAM}'>\n");
                export.xml.extend_from_slice(head.as_bytes());
            }
            let owed = part.done.is_none_or(|done| entry.key > done);
            let kept = if owed { entry.kept } else { Kept::Archived };
            if entry.payload.is_empty() {
                mark("blank", entry, kept, &mut Writer::new(&mut export.xml));
            } else {
                let mut more = Vec::new();
                mark("entry", entry, kept, &mut Writer::new(&mut more));
                export.outward.result(entry, &more, &mut export.xml);
            }
            export.xml.push(b'\n');
            export.exported.archived += 1;
        })?;
        if begun == Begun::Yes {
            self.xml.extend_from_slice(b"</archive>\n");
        }
        Ok(self.flush()?)
    }

    fn pages(
        &mut self,
        part: Part,
        mut write: impl FnMut(&mut Self, &Entry),
    ) -> Result<(), ExportError> {
        let mut after = part.after;
        loop {
            let pick = Box::new(Pick {
                kept: part.kept,
                peer: None,
                ids: None,
                after,
                before: None,
                upto: part.upto,
                order: Order::Forward,
                limit: STORE_PAGE_ENTRIES,
            });
            let page = Op::Page { log: ARCHIVE, pick };
            let Some(Reply::Page(Page { entries, more, .. })) =
                self.ask(Class::Page, vec![page])?.pop()
            else {
                return Err(ExportError::Store);
            };
            for entry in &entries {
                write(self, entry);
            }
            self.flush()?;
            after = entries.last().map(|entry| entry.key).or(after);
            if !more || entries.is_empty() {
                return Ok(());
            }
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Begun {
    No,
    Yes,
}

fn get(table: Table) -> Op {
    let key = Row::default();
    Op::Get { table, key }
}

fn bytes(row: &Row, at: usize) -> &[u8] {
    match row.0.get(at) {
        Some(Field::Xml(bytes) | Field::Text(bytes) | Field::Bytes(bytes)) => bytes,
        Some(Field::Absent | Field::Int(_) | Field::Time(_)) | None => &[],
    }
}

fn string(row: &Row, at: usize) -> &str {
    std::str::from_utf8(bytes(row, at)).unwrap_or_default()
}

fn time(row: &Row, at: usize) -> Option<String> {
    match row.0.get(at) {
        Some(Field::Time(us)) => Some(to_xep0082(*us)),
        _ => None,
    }
}

/// What stands beside a message, so that it comes back to where it was.
fn mark(element: &'static str, entry: &Entry, kept: Kept, w: &mut Writer<'_>) {
    w.open(element)
        .attribute("xmlns", EXPORT)
        .attribute("key", &entry.key.to_string())
        .attribute("peer", &String::from_utf8_lossy(&entry.peer));
    if let Some(resource) = &entry.resource {
        w.attribute("resource", &String::from_utf8_lossy(resource));
    }
    w.attribute("kept", word(kept)).close();
}

/// Into the user's element, of which the tag is still open.
fn write_credentials(row: &Row, w: &mut Writer<'_>) -> Result<(), ExportError> {
    let credentials = Credentials::from_row(row);
    let damaged = || ExportError::Bad("its credentials are damaged".to_owned());
    let Credentials { status, verifier } = credentials.ok_or_else(damaged)?;
    let keys = match verifier {
        Verifier::Keys(keys) => keys,
        Verifier::Password(password) => {
            let password = std::str::from_utf8(password.expose()).map_err(|_| damaged())?;
            w.attribute("password", password);
            Vec::new()
        }
    };
    w.text("\n");
    w.open("account").attribute("xmlns", EXPORT).attribute(
        "status",
        match status {
            Status::Disabled => "disabled",
            Status::Enabled => "enabled",
        },
    );
    let Dates { created, updated } = Dates::of(row);
    for (name, time) in [("created", created), ("updated", updated)] {
        if let Some(time) = time {
            w.attribute(name, &time.to_xep0082());
        }
    }
    w.close().text("\n");
    for ScramKeys {
        hash,
        salt,
        rounds,
        stored_key,
        server_key,
    } in keys
    {
        w.open("scram-credentials")
            .attribute("xmlns", PIE_SCRAM)
            .attribute("mechanism", &format!("SCRAM-{}", hash.name()))
            .leaf("iter-count", &rounds.to_string())
            .leaf("salt", &STANDARD.encode(salt))
            .leaf("server-key", &STANDARD.encode(server_key.expose()))
            .leaf("stored-key", &STANDARD.encode(stored_key.expose()))
            .close()
            .text("\n");
    }
    Ok(())
}

fn write_roster(loaded: &Loaded, w: &mut Writer<'_>) -> Result<(), ExportError> {
    let roster = Roster::from_loaded(loaded);
    let roster = roster.map_err(|bad| ExportError::Bad(bad.to_string()))?;
    if !loaded.rows(&ROSTER_VERSION).is_empty() {
        roster.write(w);
        w.text("\n");
    }
    Ok(())
}

/// XEP-0227, "Incoming Subscription Requests", and since when they wait.
fn write_requests(loaded: &Loaded, w: &mut Writer<'_>) {
    for row in loaded.rows(&ROSTER_REQUESTS) {
        let mut xml = Vec::new();
        write_stored_forwarded(bytes(row, 2), &mut xml);
        w.raw(&xml).text("\n");
        since("requested", row, w);
    }
}

/// XEP-0227, "Privacy Lists": a blocklist is one that denies everything to addresses, and is the default.
fn write_blocklist(loaded: &Loaded, w: &mut Writer<'_>) {
    let rows = loaded.rows(&BLOCKLIST);
    if rows.is_empty() {
        return;
    }
    w.open("query").attribute("xmlns", "jabber:iq:privacy");
    w.open("default").attribute("name", "blocklist").close();
    w.open("list").attribute("name", "blocklist");
    for (row, order) in rows.iter().zip(1..) {
        w.open("item")
            .attribute("type", "jid")
            .attribute("value", string(row, 0))
            .attribute("action", "deny")
            .attribute("order", &format!("{order}"))
            .close();
    }
    let last = (rows.len() + 1).to_string();
    w.open("item")
        .attribute("action", "allow")
        .attribute("order", &last)
        .close();
    w.close().close().text("\n");
    for row in rows {
        since("blocked", row, w);
    }
}

/// Address and time of a row that begins with them.
fn since(element: &'static str, row: &Row, w: &mut Writer<'_>) {
    w.open(element)
        .attribute("xmlns", EXPORT)
        .attribute("jid", string(row, 0));
    if let Some(time) = time(row, 1) {
        w.attribute("since", &time);
    }
    w.close().text("\n");
}

fn write_tables(loaded: &Loaded, w: &mut Writer<'_>) {
    for (table, rows) in &loaded.tables {
        if is_plain(table) {
            write_table(table, rows, w);
        }
    }
}

fn write_table(table: Table, rows: &[Row], w: &mut Writer<'_>) {
    if rows.is_empty() {
        return;
    }
    w.open("table")
        .attribute("xmlns", EXPORT)
        .attribute("name", table.name);
    for row in rows {
        w.open("row");
        for (column, field) in table.all().zip(&row.0) {
            if let Some(value) = text(field) {
                w.leaf(column.name, &value);
            }
        }
        w.close();
    }
    w.close().text("\n");
}
