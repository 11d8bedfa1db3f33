//! Stanzas of our own making: answers, errors, presence on behalf of the dead.

use alloc::vec::Vec;

use super::parse::span_of;
use super::{Condition, ErrorType, IqType, Kind, Lang, Stanza, bytes_at};
use crate::jid::Jid;
use crate::xml::{Element, Ns, Writer};

impl Stanza {
    /// A new stanza; `payload` writes its children.
    #[must_use]
    pub fn build(
        kind: Kind,
        id: Option<&str>,
        from: Option<Jid>,
        to: Option<Jid>,
        payload: impl FnOnce(&mut Writer<'_>),
    ) -> Self {
        Self::write_new(kind, from, to, |writer| {
            if let Some(id) = id {
                writer.attribute("id", id);
            }
            payload(writer);
        })
    }

    /// An answer to this stanza, addressed back to its sender. Its `id` is copied as it stands: whatever the quotes, it becomes no
    /// longer by being escaped again.
    fn answer(
        &self,
        kind: Kind,
        without_id: Option<&[u8]>,
        payload: impl FnOnce(&mut Writer<'_>),
    ) -> Self {
        let own = self.id.map(|id| bytes_at(self.element.raw(), id));
        let (from, to) = (self.to.clone(), self.from.clone());
        Self::write_new(kind, from, to, |writer| {
            if let Some(id) = own.or(without_id) {
                writer.quoted_attribute("id", id);
            }
            payload(writer);
        })
    }

    /// A new stanza; `content` writes its `id` and its children.
    fn write_new(
        kind: Kind,
        from: Option<Jid>,
        to: Option<Jid>,
        content: impl FnOnce(&mut Writer<'_>),
    ) -> Self {
        let mut raw = Vec::with_capacity(256);
        let mut writer = Writer::new(&mut raw);
        writer.open(kind.element());
        content(&mut writer);
        writer.close();
        let element = Element::from_written(raw);
        let quoted = element
            .attributes()
            .find(|a| a.name == "id")
            .map(|a| a.quoted);
        let id = quoted.map(|quoted| span_of(element.raw(), quoted));
        Self {
            element,
            kind,
            to,
            from,
            id,
            lang: Lang::Unsaid,
            rest: Vec::new(),
            cause: None,
            found: None,
        }
    }

    /// The result of this request, addressed back to its sender (RFC 6120 §8.2.3).
    #[must_use]
    pub fn result(&self, payload: impl FnOnce(&mut Writer<'_>)) -> Self {
        self.answer(Kind::Iq(IqType::Result), None, payload)
    }

    /// The error that answers this stanza (RFC 6120 §8.3.1), or `None` where nothing may.
    ///
    /// `Choice:` without what it answers, which §8.3.1 lets us leave out: it would go to whoever sent it a second time.
    #[must_use]
    pub fn refusal(&self, condition: Condition, text: Option<&str>) -> Option<Self> {
        self.refused(|w| write_error(w, condition.kind(), condition, |w| write_text(w, text)))
    }

    /// The error that tells its sender that it has blocked whom this is for (XEP-0191 §3.3), or `None` where nothing may. Its type is
    /// that of the example, "cancel": to send something else would not help.
    #[must_use]
    pub fn refusal_of_blocked(&self) -> Option<Self> {
        self.refused(|w| {
            write_error(w, ErrorType::Cancel, Condition::NotAcceptable, |w| {
                let xmlns = Ns::BlockingErrors.uri();
                w.open("blocked").attribute("xmlns", xmlns).close();
            });
        })
    }

    fn refused(&self, error: impl FnOnce(&mut Writer<'_>)) -> Option<Self> {
        if !self.kind.may_be_refused() {
            return None;
        }
        // RFC 6120 §8.3.1: that of an IQ always has an id, empty if the IQ had none.
        let none = matches!(self.kind, Kind::Iq(_)).then_some(&b"''"[..]);
        let kind = self.kind.to_error();
        let mut error = self.answer(kind, none, error);
        error.element.caused_by(&self.element);
        Some(error)
    }
}

/// `<error/>` by RFC 6120 §8.3.2; `more` stands behind the condition.
fn write_error(
    w: &mut Writer<'_>,
    kind: ErrorType,
    condition: Condition,
    more: impl FnOnce(&mut Writer<'_>),
) {
    let xmlns = Ns::StanzaErrors.uri();
    w.open("error").attribute("type", kind.name());
    w.open(condition.name()).attribute("xmlns", xmlns).close();
    more(w);
    w.close();
}

fn write_text(w: &mut Writer<'_>, text: Option<&str>) {
    if let Some(text) = text {
        w.open("text")
            .attribute("xmlns", Ns::StanzaErrors.uri())
            .attribute("xml:lang", "en")
            .text(text)
            .close();
    }
}
