//! What an account may use during one call, and what the call leaves behind: values until it ends.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::session::Telling;
use super::{Read, SessionKey};
use crate::config::{Config, HostConfig};
use crate::effects::{Stored, Then};
use crate::entropy::Entropy;
use crate::envelope::{Delivery, Receipt, Sent, Settled, Told};
use crate::jid::{BareJid, Jid};
use crate::sm::Due;
use crate::stanza::{Condition, Stanza};
use crate::store::{Class, Entry, Op};
use crate::time::Now;

/// What an account may use during one call.
#[derive(Debug)]
pub(crate) struct Cx<'a> {
    pub(crate) now: Now,
    pub(crate) config: &'a Config,
    pub(crate) host: &'a HostConfig,
    pub(crate) entropy: &'a mut Entropy,
    pub(crate) spoken: &'a mut Spoken,
    /// Whether the store takes changes.
    pub(crate) store: StoreRoom,
}

/// Whether the shard has credit left with the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StoreRoom {
    /// It takes one more batch.
    Room,
    /// What would change something is to be refused before anything of it is said.
    Spent,
}

/// What a call said and changed.
#[derive(Debug, Default)]
pub(crate) struct Spoken {
    /// In the order it was said.
    pub(crate) said: Vec<Saying>,
    /// In the order it was changed.
    pub(crate) changes: Vec<Op>,
    /// What is to be on disk, too, and nobody waits for it.
    pub(crate) quiet: Vec<Op>,
    /// Messages to be kept: they silence nobody.
    pub(crate) appends: Vec<Append>,
    /// What the store is asked.
    pub(crate) reads: Vec<(Class, Vec<Op>, Read)>,
    /// Who asked for the changes.
    pub(crate) asked: Option<Asked>,
    /// Who wants to know what becomes of the stanza that the call is about.
    pub(crate) watch: Watch,
}

/// Who wants to know what becomes of a stanza.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Watch {
    #[default]
    Nobody,
    /// The session of this account that sent it. So many parts of it are elsewhere, beside the call itself.
    Out(Sent, u32),
    /// The session that sent it, for which the call answers, unless something that it leaves does.
    In(Sent),
}

/// Something an account says.
#[derive(Clone, Debug)]
pub(crate) enum Saying {
    /// To one of its sessions, about what that sent.
    Answer(SessionKey, Arc<Stanza>),
    /// To one of its sessions.
    Tell(SessionKey, Arc<Stanza>, Addressed, Due),
    /// To several of its sessions.
    TellEach(Vec<SessionKey>, Arc<Stanza>, Addressed, Due),
    /// From now on a session hears what waited before all else.
    CatchUp(SessionKey),
    /// What came while a session was told what had waited.
    Late(SessionKey, Arc<Stanza>, Box<Telling>),
    /// Stanzas of what is kept, as they are to be written.
    Stored(SessionKey, Stored, Then),
    /// To anybody else.
    Route(Delivery),
    /// To the account that wanted to know: what it told is on disk.
    Settle(Settled),
    /// To the session that wanted to know: a part of what it sent is done.
    Handled(Sent),
}

/// To which address a session is told something.
#[derive(Clone, Debug)]
pub(crate) enum Addressed {
    /// This one.
    At(Jid),
    /// Whom the stanza names.
    Named,
    /// The session's own: a copy of what one named.
    Copy,
    /// The session's own.
    Own,
}

/// A message to be kept.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    pub(crate) entry: Entry,
    /// What is refused if it cannot be kept: nobody has it.
    pub(crate) refused: Option<Arc<Stanza>>,
    /// Who hears that it is kept, or never will be.
    pub(crate) receipt: Option<Sent>,
}

/// The stanza that asked for a change, to be answered if that comes to nothing.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Of this session.
    pub(crate) by: SessionKey,
    /// The request.
    pub(crate) stanza: Arc<Stanza>,
}

impl Asked {
    /// What is said if nothing came of it.
    pub(crate) fn refusal(&self, condition: Condition) -> Option<Saying> {
        let error = self.stanza.refusal(condition, None)?;
        Some(Saying::Answer(self.by, error.into()))
    }
}

impl Cx<'_> {
    /// To a session, about what it sent: not behind what it is told besides.
    pub(crate) fn answer(&mut self, session: SessionKey, stanza: Arc<Stanza>) {
        self.spoken.said.push(Saying::Answer(session, stanza));
    }

    /// To a session, addressed to `to`.
    pub(crate) fn tell_at(&mut self, session: SessionKey, stanza: Arc<Stanza>, to: Addressed) {
        self.tell_due(session, stanza, to, Due::Nothing);
    }

    /// The same, of what must not be lost with the session.
    pub(crate) fn tell_due(
        &mut self,
        session: SessionKey,
        stanza: Arc<Stanza>,
        to: Addressed,
        due: Due,
    ) {
        let said = Saying::Tell(session, stanza, to, due);
        self.spoken.said.push(said);
    }

    /// To the session that sent `stanza`: nothing comes of it. Says nothing where nothing may answer.
    pub(crate) fn refuse(&mut self, session: SessionKey, stanza: &Stanza, condition: Condition) {
        if let Some(error) = stanza.refusal(condition, None) {
            self.answer(session, error.into());
        }
    }

    /// To several sessions.
    pub(crate) fn tell_each(
        &mut self,
        sessions: Vec<SessionKey>,
        stanza: Arc<Stanza>,
        to: Addressed,
    ) {
        self.tell_each_due(sessions, stanza, to, Due::Nothing);
    }

    /// The same, of what must not be lost with the sessions.
    pub(crate) fn tell_each_due(
        &mut self,
        sessions: Vec<SessionKey>,
        stanza: Arc<Stanza>,
        to: Addressed,
        due: Due,
    ) {
        if !sessions.is_empty() {
            let said = Saying::TellEach(sessions, stanza, to, due);
            self.spoken.said.push(said);
        }
    }

    /// To whom the stanza names.
    pub(crate) fn route(&mut self, stanza: impl Into<Arc<Stanza>>) {
        let delivery = Delivery::named(stanza);
        self.spoken.said.push(Saying::Route(delivery));
    }

    /// To whom the stanza names; that account is to say when it has it on disk.
    pub(crate) fn route_with(&mut self, stanza: Arc<Stanza>, receipt: Told) {
        let delivery = Delivery {
            receipt: Some(Receipt::Said(receipt)),
            ..Delivery::named(stanza)
        };
        self.spoken.said.push(Saying::Route(delivery));
    }

    /// To whom the stanza names, which the call is about; its session hears what became of it there, if it wants to know.
    pub(crate) fn send(&mut self, stanza: Arc<Stanza>) {
        let delivery = Delivery {
            receipt: self.part().map(Receipt::Sent),
            ..Delivery::named(stanza)
        };
        self.spoken.said.push(Saying::Route(delivery));
    }

    /// Something answers from now on for a part of what becomes of the stanza that the call is about, for whom it is.
    pub(crate) const fn part(&mut self) -> Option<Sent> {
        match self.spoken.watch {
            Watch::Nobody => None,
            Watch::Out(sent, parts) => {
                self.spoken.watch = Watch::Out(sent, parts.saturating_add(1));
                Some(sent)
            }
            Watch::In(sent) => {
                self.spoken.watch = Watch::Nobody;
                Some(sent)
            }
        }
    }

    /// What `contact` told `account`, which is called, will be on disk when this is said.
    pub(crate) fn settle(&mut self, account: &BareJid, contact: &BareJid, receipt: Told) {
        let settled = Settled {
            account: contact.clone(),
            contact: account.clone(),
            receipt,
        };
        self.spoken.said.push(Saying::Settle(settled));
    }

    /// A receipt that no other stanza has.
    pub(crate) fn receipt(&mut self) -> Told {
        let mut number = [0; 8];
        number.copy_from_slice(self.entropy.block("receipt").split_at(8).0);
        Told(u64::from_be_bytes(number))
    }

    /// To each of these, whatever the stanza names.
    pub(crate) fn fan_out(&mut self, stanza: Arc<Stanza>, to: Vec<Jid>) {
        if !to.is_empty() {
            let delivery = Delivery::each(stanza, to);
            self.spoken.said.push(Saying::Route(delivery));
        }
    }

    /// What the call has changed in memory, for the disk. Nobody hears what is said in this call, before or after, until it is there.
    pub(crate) fn change(&mut self, op: Op) {
        self.spoken.changes.push(op);
    }

    /// The same of several, in this order.
    pub(crate) fn change_each(&mut self, ops: impl IntoIterator<Item = Op>) {
        self.spoken.changes.extend(ops);
    }

    /// What the call has changed in memory, of a quiet table: it goes to the disk, and nobody waits for it.
    pub(crate) fn keep_quietly(&mut self, op: Op) {
        self.spoken.quiet.push(op);
    }

    /// A message to be kept, behind all that were before.
    pub(crate) fn append(&mut self, append: Append) {
        self.spoken.appends.push(append);
    }

    /// Asks the store, behind all that the account has written; `read` says what for.
    pub(crate) fn read(&mut self, class: Class, ops: Vec<Op>, read: Read) {
        self.spoken.reads.push((class, ops, read));
    }

    /// Stanzas that a session asked for, as they are to be written.
    pub(crate) fn tell_page(&mut self, session: SessionKey, stored: Stored) {
        let said = Saying::Stored(session, stored, Then::GoOn);
        self.spoken.said.push(said);
    }

    /// From now on a session hears what waited before all else.
    pub(crate) fn catch_up(&mut self, session: SessionKey) {
        self.spoken.said.push(Saying::CatchUp(session));
    }

    /// Stanzas that waited for a session, which says when it has them.
    pub(crate) fn tell_stored(&mut self, session: SessionKey, stored: Stored) {
        let said = Saying::Stored(session, stored, Then::Tell);
        self.spoken.said.push(said);
    }

    /// Whether what is for this address goes on its way at all: not what is for a host that has accounts itself, or where nobody may be talked to.
    pub(crate) fn is_routed(&self, to: &Jid) -> bool {
        let is_host = to.local().is_none() && self.config.accounts(to.domain()).is_some();
        !is_host && self.config.routes_to(to.domain())
    }

    /// Who is told if the changes of this call come to nothing.
    pub(crate) fn asked_by(&mut self, asked: Asked) {
        self.spoken.asked = Some(asked);
    }
}
