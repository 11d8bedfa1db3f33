//! What the server writes about entries of an archive.

use alloc::vec::Vec;

use super::id::Id;
use crate::jid::{BareJid, Jid};
use crate::stanza::{delay, write_stored_forwarded};
use crate::time::to_xep0082;
use crate::xml::{Ns, Writer, quote};

/// `<stanza-id/>` of an archive (XEP-0359 §3, XEP-0313 §3.5).
pub(crate) fn stanza_id(archive: &BareJid, id: Id) -> Vec<u8> {
    let mut xml = Vec::with_capacity(96 + archive.as_str().len());
    Writer::new(&mut xml)
        .open("stanza-id")
        .attribute("xmlns", Ns::StanzaIds.uri())
        .attribute("by", archive.as_str())
        .attribute("id", id.as_str())
        .close();
    xml
}

/// Writes entries as the results of one query (XEP-0313 §4.2).
pub(crate) struct Results {
    /// What stands before the id of each.
    head: Vec<u8>,
}

impl Results {
    /// Those of this archive, for whoever asked from this address.
    pub(crate) fn new(archive: &BareJid, to: Option<&Jid>, queryid: Option<&str>) -> Self {
        let mut head = Vec::with_capacity(256);
        head.extend_from_slice(b"<message from=");
        quote(&mut head, archive.as_str());
        if let Some(to) = to {
            head.extend_from_slice(b" to=");
            quote(&mut head, to.as_str());
        }
        head.extend_from_slice(b"><result xmlns='");
        head.extend_from_slice(Ns::Mam.uri().as_bytes());
        head.push(b'\'');
        if let Some(queryid) = queryid {
            head.extend_from_slice(b" queryid=");
            quote(&mut head, queryid);
        }
        head.extend_from_slice(b" id='");
        Self { head }
    }

    /// Appends the next: `stored` is what is kept of it, `us` when that was.
    pub(crate) fn write(&self, out: &mut Vec<u8>, id: Id, us: i64, stored: &[u8]) {
        out.reserve(self.head.len() + stored.len() + 256);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(id.as_str().as_bytes());
        out.extend_from_slice(b"'><forwarded xmlns='");
        out.extend_from_slice(Ns::Forward.uri().as_bytes());
        out.extend_from_slice(b"'>");
        delay(out, None, us);
        write_stored_forwarded(stored, out);
        out.extend_from_slice(b"</forwarded></result></message>");
    }
}

/// What there is beyond a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rest {
    /// More of what was asked for.
    More,
    /// It is complete.
    Nothing,
}

/// `<fin/>` (XEP-0313 §4.3). `ends` are the oldest and the newest of the page.
pub(crate) fn fin(w: &mut Writer<'_>, rest: Rest, ends: Option<(Id, Id)>, count: Option<u64>) {
    w.open("fin").attribute("xmlns", Ns::Mam.uri());
    if rest == Rest::Nothing {
        w.attribute("complete", "true");
    }
    w.open("set").attribute("xmlns", Ns::Rsm.uri());
    if let Some((first, last)) = ends {
        w.leaf("first", first.as_str()).leaf("last", last.as_str());
    }
    if let Some(count) = count {
        w.leaf("count", &alloc::format!("{count}"));
    }
    w.close().close();
}

/// `<metadata/>` (XEP-0313 §5): id and time of the oldest and the newest entry.
pub(crate) fn metadata(w: &mut Writer<'_>, ends: Option<[(Id, i64); 2]>) {
    w.open("metadata").attribute("xmlns", Ns::Mam.uri());
    if let Some(ends) = ends {
        for (name, (id, us)) in ["start", "end"].into_iter().zip(ends) {
            w.open(name)
                .attribute("id", id.as_str())
                .attribute("timestamp", &to_xep0082(us))
                .close();
        }
    }
    w.close();
}

/// The fields of a query (XEP-0313 §4.1.5).
pub(crate) fn form(w: &mut Writer<'_>) {
    w.open("query").attribute("xmlns", Ns::Mam.uri());
    w.open("x").attribute("xmlns", Ns::DataForms.uri());
    w.attribute("type", "form");
    w.open("field")
        .attribute("type", "hidden")
        .attribute("var", "FORM_TYPE")
        .leaf("value", Ns::Mam.uri())
        .close();
    for (name, kind) in [
        ("with", "jid-single"),
        ("start", "text-single"),
        ("end", "text-single"),
        ("before-id", "text-single"),
        ("after-id", "text-single"),
        ("include-groupchat", "boolean"),
    ] {
        w.open("field")
            .attribute("type", kind)
            .attribute("var", name)
            .close();
    }
    // "the server MUST include a <validate/> element that signals the list is open".
    w.open("field")
        .attribute("type", "list-multi")
        .attribute("var", "ids");
    w.open("validate")
        .attribute("xmlns", Ns::DataValidation.uri())
        .attribute("datatype", "xs:string")
        .open("open")
        .close()
        .close();
    w.close().close().close();
}
