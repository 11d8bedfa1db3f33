//! Entries as they leave the server in a file (XEP-0227, "Message Archive" and "Offline Messages").

use alloc::vec::Vec;

use super::Ids;
use super::write::stanza_id;
use crate::jid::BareJid;
use crate::stanza::{delay, write_stored_forwarded, write_stored_message};
use crate::store::{Entry, Kept};
use crate::xml::{Ns, Writer};

/// The archive of an account for whoever writes files.
#[derive(Debug)]
pub struct Outward {
    account: BareJid,
    ids: Ids,
}

impl Outward {
    /// That of this account; `secret` is the server's, of which ids are made.
    #[must_use]
    pub fn new(secret: &[u8; 32], account: &BareJid) -> Self {
        Self {
            account: account.clone(),
            ids: Ids::new(secret, account),
        }
    }

    /// Appends `<result/>` with an entry, as a client gets it, and with this behind what that has.
    pub fn result(&self, entry: &Entry, more: &[u8], out: &mut Vec<u8>) {
        let mut message = Vec::with_capacity(entry.payload.len() + 128);
        delay(&mut message, None, entry.key);
        write_stored_forwarded(&entry.payload.joined(), &mut message);
        let mut w = Writer::new(out);
        w.open("result")
            .attribute("xmlns", Ns::Mam.uri())
            .attribute("id", self.ids.text(entry.key).as_str());
        w.open("forwarded")
            .attribute("xmlns", Ns::Forward.uri())
            .raw(&message)
            .close();
        w.raw(more).close();
    }

    /// Appends a message that waits, as its receiver gets it.
    pub fn message(&self, entry: &Entry, out: &mut Vec<u8>) {
        let mut more = Vec::new();
        delay(&mut more, Some(self.account.domain()), entry.key);
        if entry.kept.meets(Kept::Archived) {
            more.extend(stanza_id(&self.account, self.ids.text(entry.key)));
        }
        let mut xml = Vec::new();
        write_stored_message(&entry.payload.joined(), &more, &mut xml);
        write_stored_forwarded(&xml, out);
    }
}
