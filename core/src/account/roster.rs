//! The roster of an account as its own sessions ask for it, change it and hear of changes (RFC 6121 §2).

use alloc::sync::Arc;

use super::session::Interest;
use super::{Account, Addressed, Asked, Cx, SessionKey, StoreRoom};
use crate::roster::{self, Change, Push};
use crate::stanza::{Condition, IqType, Kind, Stanza};

impl Account {
    /// A request for the roster by one of the account's own sessions, the only ones that may make it (RFC 6121 §2.1.5).
    pub(super) fn roster_out(&mut self, cx: &mut Cx<'_>, key: SessionKey, iq: Arc<Stanza>) {
        let done = match iq.kind() {
            Kind::Iq(IqType::Get) => self.get_roster(cx, key, &iq),
            Kind::Iq(IqType::Set) => self.set_roster(cx, key, &iq),
            // RFC 6121 §2.1.6: what devices say of a push. An error is ignored.
            Kind::Iq(IqType::Result | IqType::Error) | Kind::Message(_) | Kind::Presence(_) => {
                Ok(())
            }
        };
        if let Err(condition) = done {
            cx.refuse(key, &iq, condition);
        }
    }

    fn get_roster(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        iq: &Stanza,
    ) -> Result<(), Condition> {
        let payload = iq.payload().ok_or(Condition::BadRequest)?;
        let get = roster::get(&payload)?;
        // RFC 6121 §2.2: "if the server experiences trouble".
        let kept = self.kept.sound().ok_or(Condition::InternalServerError)?;
        let result = iq.result(|w| kept.roster.result(&get, w));
        cx.answer(key, result.into());
        // RFC 6121 §2.2: who asks for the roster is an "interested resource" from now on, available or not.
        if let Some(session) = self.session(key) {
            session.roster = Interest::Changes;
        }
        Ok(())
    }

    fn set_roster(
        &mut self,
        cx: &mut Cx<'_>,
        key: SessionKey,
        iq: &Arc<Stanza>,
    ) -> Result<(), Condition> {
        let payload = iq.payload().ok_or(Condition::BadRequest)?;
        let set = roster::set(&payload, &self.jid)?;
        if cx.store == StoreRoom::Spent {
            return Err(Condition::ResourceConstraint);
        }
        let kept = self
            .kept
            .sound_mut()
            .ok_or(Condition::InternalServerError)?;
        // RFC 6121 §2.5.2: contacts must hear that they are removed.
        let removes = set.removes();
        if removes && !kept.unsaid.has_room() {
            return Err(Condition::ResourceConstraint);
        }
        let max_contacts = cx.host.roster.max_contacts;
        let contact = set.contact().clone();
        let was = kept.state(contact.as_str());
        let Change { ops, push } = kept.roster.apply(set, cx.now, max_contacts)?;
        cx.change_each(ops);
        // The result first: whoever asked knows then what the push is of.
        cx.answer(key, iq.result(|_| {}).into());
        self.push_roster(cx, &push);
        if removes {
            self.part(cx, &contact, was);
        }
        cx.asked_by(Asked {
            by: key,
            stanza: Arc::clone(iq),
        });
        Ok(())
    }

    /// RFC 6121 §2.1.6 and §2.3.2: to all interested resources, who set it included, without `from`: from the account itself.
    pub(super) fn push_roster(&self, cx: &mut Cx<'_>, push: &Push) {
        // What answers it is ignored, so that an id which no other push has is all that it needs.
        let id = push.version().to_text();
        let iq = Kind::Iq(IqType::Set);
        let stanza = Arc::new(Stanza::build(iq, Some(&id), None, None, |w| push.write(w)));
        cx.tell_each(self.interested(), stanza, Addressed::Own);
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::super::{Binding, Kept, Saying, Spoken};
    use super::*;
    use crate::arena::Arena;
    use crate::config::{Config, HostConfig, of_localhost};
    use crate::entropy::Entropy;
    use crate::jid::{BareJid, Resource};
    use crate::port::ConnId;
    use crate::store::Loaded;
    use crate::time::Now;

    /// An account with one session, and what surrounds it.
    struct Stage {
        account: Account,
        session: SessionKey,
        config: Config,
        host: HostConfig,
        entropy: Entropy,
    }

    impl Stage {
        fn new() -> Self {
            let jid = BareJid::parse("juliet@localhost").unwrap();
            let mut stage = Self {
                account: Account::new(jid, Some([0; 32])),
                session: SessionKey::default(),
                config: of_localhost(),
                host: HostConfig::default(),
                entropy: Entropy::new([0; 32]),
            };
            let conn = Arena::<ConnId, ()>::default().insert(());
            stage.account.admitted.push(conn);
            stage.call(StoreRoom::Room, |account, cx| {
                let wish = Resource::parse("balcony").ok();
                assert!(matches!(
                    account.bind(cx, conn, wish),
                    Binding::Bound(_, None)
                ));
            });
            stage.session = stage.account.session_on(conn).unwrap();
            stage.load();
            stage
        }

        fn load(&mut self) {
            let kept = Kept::from_loaded(&Loaded::default()).unwrap();
            self.account.keep(kept);
        }

        fn call(
            &mut self,
            store: StoreRoom,
            call: impl FnOnce(&mut Account, &mut Cx<'_>),
        ) -> Spoken {
            let mut spoken = Spoken::default();
            let mut cx = Cx {
                now: Now::default(),
                config: &self.config,
                host: &self.host,
                entropy: &mut self.entropy,
                spoken: &mut spoken,
                store,
            };
            call(&mut self.account, &mut cx);
            spoken
        }

        fn ask(&mut self, store: StoreRoom, kind: IqType, items: &str) -> Spoken {
            let iq = Stanza::build(Kind::Iq(kind), Some("1"), None, None, |w| {
                w.open("query").attribute("xmlns", "jabber:iq:roster");
                w.raw(items.as_bytes()).close();
            });
            let session = self.session;
            self.call(store, |account, cx| {
                account.outbound(cx, session, iq.into());
            })
        }
    }

    fn said(spoken: &Spoken) -> Vec<String> {
        let said = spoken.said.iter().map(|saying| match saying {
            Saying::Answer(_, stanza)
            | Saying::Tell(_, stanza, ..)
            | Saying::TellEach(_, stanza, ..) => {
                let mut out = Vec::new();
                stanza.write(&mut out);
                String::from_utf8(out).unwrap()
            }
            saying @ (Saying::Route(_)
            | Saying::Settle(_)
            | Saying::Handled(_)
            | Saying::CatchUp(_)
            | Saying::Late(..)
            | Saying::Stored(..)) => {
                panic!("{saying:?}")
            }
        });
        said.collect()
    }

    const ITEM: &str = "<item jid='nurse@example.com'/>";

    #[test]
    fn a_change_says_who_asked_and_the_result_comes_before_the_push() {
        let mut stage = Stage::new();
        stage.ask(StoreRoom::Room, IqType::Get, "");
        let spoken = stage.ask(StoreRoom::Room, IqType::Set, ITEM);
        let [result, push] = &said(&spoken)[..] else {
            panic!("{spoken:?}");
        };
        assert_eq!(result, "<iq type='result' id='1'/>");
        assert!(push.starts_with("<iq type='set' id='1'><query "), "{push}");
        assert_eq!(spoken.changes.len(), 2);
        assert_eq!(spoken.asked.unwrap().by, stage.session);
    }

    #[test]
    fn without_credit_a_set_is_refused_before_anything_is_done_and_a_get_is_not() {
        let mut stage = Stage::new();
        let spoken = stage.ask(StoreRoom::Spent, IqType::Set, ITEM);
        assert!(spoken.changes.is_empty() && spoken.asked.is_none());
        assert!(said(&spoken)[0].contains("<resource-constraint "));
        let spoken = stage.ask(StoreRoom::Spent, IqType::Get, "");
        assert!(said(&spoken)[0].contains("<query xmlns='jabber:iq:roster' ver='0'/>"));
    }

    /// RFC 6121 §2.2.
    #[test]
    fn a_roster_that_is_not_in_memory_is_neither_told_nor_changed() {
        let mut stage = Stage::new();
        stage.account.forget_kept();
        for (kind, item) in [(IqType::Get, ""), (IqType::Set, ITEM)] {
            let spoken = stage.ask(StoreRoom::Room, kind, item);
            assert!(spoken.changes.is_empty());
            assert!(said(&spoken)[0].contains("<internal-server-error "));
        }
        // Whoever did not get it does not hear of changes.
        stage.load();
        let spoken = stage.ask(StoreRoom::Room, IqType::Set, ITEM);
        assert_eq!(said(&spoken).len(), 1);
    }
}
