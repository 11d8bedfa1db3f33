//! What memory cannot answer: a question to the store, and what to do with the answer. A value, one variant for each feature.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::archive::{ArchiveRead, MetadataRead};
use super::private::PrivateRead;
use super::vcard::VCardRead;
use super::{Account, Cx, Seldom, Session, SessionKey};
use crate::port::ConnId;
use crate::store::{Reply, StoreError};

/// What an account reads for itself.
#[derive(Debug)]
pub(crate) enum Read {
    /// A page of the archive, or how much there is of it, for a session that asked.
    Archive(Box<ArchiveRead>),
    /// Its ends, for a session that asked.
    Metadata(Box<MetadataRead>),
    /// How much there is of the archive, or that some of it went: what keeps it within its bounds.
    Bounds,
    /// Messages that wait, for a session that is there now.
    Owed(SessionKey),
    /// Private XML, for a session that asked or is about to keep more.
    Private(Box<PrivateRead>),
    /// The account's card, for a session that asked.
    VCard(Box<VCardRead>),
}

impl Read {
    /// The session that is read no further until there is an answer.
    const fn asker(&self) -> Option<SessionKey> {
        match self {
            Self::Archive(read) => Some(read.by),
            Self::Metadata(read) => Some(read.by),
            Self::Private(read) => Some(read.by),
            Self::VCard(read) => Some(read.by),
            Self::Bounds | Self::Owed(_) => None,
        }
    }

    /// The session that is to see the answer, if nothing else comes of it.
    fn shown_to(&self) -> Option<SessionKey> {
        match self {
            Self::Private(read) => Some(read.by).filter(|_| read.is_shown()),
            Self::Archive(_)
            | Self::Bounds
            | Self::Metadata(_)
            | Self::Owed(_)
            | Self::VCard(_) => self.asker(),
        }
    }
}

impl Account {
    /// A question goes to the store: who asks it waits.
    pub(crate) fn asks_store(&mut self, read: &Read) {
        if let Some(conn) = read.asker().and_then(|key| self.conn_of(key)) {
            self.hold(conn);
        }
    }

    /// The connection of the session for whose eyes alone something is read.
    pub(crate) fn shown_on(&self, read: &Read) -> Option<ConnId> {
        let session = read.shown_to()?;
        // Whoever comes back sees it then.
        match self.is_resumable(session) {
            true => None,
            false => self.conn_of(session),
        }
    }

    /// The session on a connection is read no further until `go_on`.
    pub(crate) fn hold(&mut self, conn: ConnId) {
        self.seldom.make().asking.push(conn);
    }

    /// It is read again, or is over.
    pub(crate) fn go_on(&mut self, conn: ConnId) {
        let goes_on = |seldom: &mut Seldom| seldom.asking.retain(|asking| *asking != conn);
        self.seldom.change(goes_on);
    }

    /// Whether the session on a connection waits for an answer, of the store or by way of it.
    pub(crate) fn is_asking(&self, conn: ConnId) -> bool {
        // Hardly ever is there any.
        !self.seldom.asking.is_empty() && self.seldom.asking.contains(&conn)
    }

    /// The store has answered. Gives back the connection that may go on.
    pub(crate) fn answered(
        &mut self,
        cx: &mut Cx<'_>,
        read: Read,
        outcome: Result<Vec<Reply>, StoreError>,
    ) -> Option<ConnId> {
        let asker = read.asker();
        match read {
            // XEP-0313: what a page shows must not come again behind it, live.
            Read::Archive(read) if self.is_catching_up(read.by) => {
                return self.put_behind(read, outcome);
            }
            Read::Archive(read) => self.archive_came(cx, *read, outcome),
            Read::Metadata(read) => self.metadata_came(cx, *read, outcome),
            Read::Bounds => self.bounds_came(cx, outcome),
            Read::Owed(key) => {
                self.owed_came(cx, key, outcome);
                return self.conn_of(key);
            }
            Read::Private(read) => Self::private_came(cx, *read, outcome),
            Read::VCard(read) => Self::vcard_came(cx, *read, outcome),
        }
        let conn = self.conn_of(asker?)?;
        self.go_on(conn);
        Some(conn)
    }

    /// The connection that carries a session.
    pub(crate) fn conn_of(&self, key: SessionKey) -> Option<ConnId> {
        self.session_by_key(key).and_then(Session::conn)
    }
}
