//! An account that is to be deleted takes leave of its contacts, both ways, so that nobody who takes its name later inherits what they
//! see in it.

use alloc::vec::Vec;

use super::{Account, Cx};
use crate::jid::BareJid;
use crate::limits::{CALL_BYTES, LEAVE_TURN, STORE_BATCH_BYTES};
use crate::store::Op;

/// How far it has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leave {
    /// There are more.
    More,
    /// All have been told, and not all of them have it on disk.
    Waits,
    /// Nobody has anything of it any more.
    Taken,
}

impl Account {
    /// Takes leave of some contacts: as if the user had removed them (RFC 6121 §2.5) and refused the requests that wait.
    pub(crate) fn take_leave(&mut self, cx: &mut Cx<'_>) -> Leave {
        let Some(kept) = self.kept.sound() else {
            return Leave::Waits;
        };
        let items = kept.roster.items().map(|item| item.address());
        let contacts = items.chain(kept.requests.contacts().cloned());
        let contacts: Vec<BareJid> = contacts.take(LEAVE_TURN).collect();
        if contacts.is_empty() {
            return match kept.unsaid.is_empty() {
                true => Leave::Taken,
                false => Leave::Waits,
            };
        }
        for contact in contacts {
            let Some(kept) = self.kept.sound_mut() else {
                break;
            };
            let changed: usize = cx.spoken.changes.iter().map(Op::weight).sum();
            if changed + CALL_BYTES > STORE_BATCH_BYTES {
                break;
            }
            if !kept.unsaid.has_room() {
                return Leave::Waits;
            }
            let was = kept.state(contact.as_str());
            if let Some(change) = kept.roster.take(&contact, cx.now) {
                cx.change_each(change.ops);
            }
            self.part(cx, &contact, was);
        }
        Leave::More
    }
}
