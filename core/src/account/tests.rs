//! What an account promises its shard: who gets what, and who comes in.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::choose::{Recipients, Unreached, choose};
use super::session::Presence;
use super::{Account, Admit, Binding, Cx, Spoken, StoreRoom};
use crate::arena::Arena;
use crate::config::{Config, HostConfig, Software};
use crate::entropy::Entropy;
use crate::federation::FederationOptions;
use crate::jid::{BareJid, Jid, Resource};
use crate::limits::Limits;
use crate::port::ConnId;
use crate::sasl::SignIn;
use crate::stanza::{IqType, Kind, MessageType, PresenceType, Stanza};
use crate::time::Now;

mod crossing;

const RECORD: [u8; 32] = [7; 32];
const SESSIONS_MAX: usize = 3;

fn jid() -> BareJid {
    BareJid::parse("juliet@localhost").unwrap()
}

fn sign_in(record: [u8; 32]) -> SignIn {
    SignIn::made_up(jid(), record)
}

/// As many connections.
fn connections<const COUNT: usize>() -> [ConnId; COUNT] {
    let mut arena = Arena::<ConnId, ()>::default();
    core::array::from_fn(|_| arena.insert(()))
}

/// An account with sessions of these resources, available with that priority or not.
fn with_sessions(sessions: &[(&str, Option<i8>)]) -> Account {
    let mut account = Account::new(jid(), Some(RECORD));
    let config = Config {
        hosts: BTreeMap::new(),
        limits: Limits::default(),
        federation: FederationOptions::isolated(),
        server_secret: [0; 32],
        shards: 1,
        software: Software {
            name: String::new(),
            version: String::new(),
        },
    };
    let mut cx = Cx {
        now: Now::default(),
        config: &config,
        host: &HostConfig::default(),
        entropy: &mut Entropy::new([0; 32]),
        spoken: &mut Spoken::default(),
        store: StoreRoom::Room,
    };
    for ((resource, priority), conn) in sessions.iter().zip(connections::<8>()) {
        assert_eq!(account.admit(conn, &sign_in(RECORD), 8), Admit::Welcome);
        let wish = Resource::parse(resource).ok();
        let bound = account.bind(&mut cx, conn, wish);
        assert!(matches!(bound, Binding::Bound(_, None)), "{bound:?}");
        if let (Some(priority), Some(session)) = (priority, account.sessions.last_mut()) {
            let kind = Kind::Presence(PresenceType::Available);
            let presence = Stanza::build(kind, None, Some(session.jid.clone()), None, |_| {});
            session.presence = Presence::Available(*priority, Arc::new(presence));
        }
    }
    account
}

/// What `choose` says: `O`, `E` and `S` as in RFC 6121 §8.5.4, `server`, or the resources that get it.
fn chosen(account: &Account, kind: Kind, to: &str) -> String {
    let to = Jid::parse(&format!("juliet@localhost{to}")).unwrap();
    let keys = match choose(&account.sessions, kind, &to) {
        Recipients::Unreached(Unreached::Away) => return "O".into(),
        Recipients::Unreached(Unreached::Refused) => return "E".into(),
        Recipients::Unreached(Unreached::Silent) => return "S".into(),
        Recipients::Unreached(Unreached::Server) => return "server".into(),
        Recipients::One(key) => [key].into(),
        Recipients::Each(keys) => keys,
    };
    let named = account.sessions.iter().filter(|s| keys.contains(&s.key));
    let names: Vec<_> = named.filter_map(|session| session.jid.resource()).collect();
    names.join(" ")
}

/// One condition of RFC 6121 §8.5.4: what becomes of a normal message, one of a chat, of a groupchat, and a headline.
type Row<'a> = (&'a str, [&'a str; 4]);

fn hold(sessions: &[(&str, Option<i8>)], rows: &[Row<'_>]) {
    let account = with_sessions(sessions);
    for (to, expected) in rows {
        let kinds = [
            MessageType::Normal,
            MessageType::Chat,
            MessageType::Groupchat,
            MessageType::Headline,
        ];
        let found = kinds.map(|kind| chosen(&account, Kind::Message(kind), to));
        assert_eq!(&found, expected, "to {to:?} of {sessions:?}");
    }
}

/// O/E, O/E, E, S and for the full address S/E, O/E, S/E, S/E; what waits is refused where there is no account.
#[test]
fn a_message_for_nobody_is_refused_or_ignored() {
    let rows = [
        ("", ["O", "O", "E", "S"]),
        ("/balcony", ["E", "O", "E", "S"]),
    ];
    hold(&[], &rows);
    hold(&[("chamber", None)], &rows);
}

/// O/E, O/E, E, S; D for each; S/E, O/E, S/E, S/E.
#[test]
fn a_session_of_negative_priority_gets_what_names_it() {
    hold(
        &[("chamber", Some(-1))],
        &[
            ("", ["O", "O", "E", "S"]),
            ("/chamber", ["chamber", "chamber", "chamber", "chamber"]),
            ("/balcony", ["E", "O", "E", "S"]),
        ],
    );
}

/// D, D, E, D; D for each; S/E, D, S/E, S/E.
#[test]
fn the_one_session_gets_what_is_for_the_account() {
    hold(
        &[("chamber", Some(0))],
        &[
            ("", ["chamber", "chamber", "E", "chamber"]),
            ("/chamber", ["chamber", "chamber", "chamber", "chamber"]),
            ("/balcony", ["E", "chamber", "E", "S"]),
        ],
    );
}

/// M/A, M/A, E, A; D for each; S/E, M/A, S/E, S/E: of the two, M.
#[test]
fn of_several_sessions_the_most_available_get_messages_and_all_get_headlines() {
    hold(
        &[
            ("chamber", Some(1)),
            ("phone", Some(5)),
            ("orchard", Some(-1)),
            ("desk", None),
        ],
        &[
            ("", ["phone", "phone", "E", "chamber phone"]),
            ("/chamber", ["chamber", "chamber", "chamber", "chamber"]),
            ("/orchard", ["orchard", "orchard", "orchard", "orchard"]),
            ("/desk", ["desk", "desk", "desk", "desk"]),
            ("/balcony", ["E", "phone", "E", "S"]),
        ],
    );
    let equals = [("chamber", Some(1)), ("phone", Some(1))];
    let both = "chamber phone";
    hold(&equals, &[("", [both, both, "E", both])]);
}

/// RFC 6121 §8.5.2.1.2, §8.5.2.1.3, §8.5.3: what is no message, and errors, which are never answered.
#[test]
fn presence_reaches_who_is_available_and_the_server_answers_iqs() {
    let account = with_sessions(&[("chamber", Some(-1)), ("phone", Some(5)), ("desk", None)]);
    let available = Kind::Presence(PresenceType::Available);
    for (kind, bare, there, absent) in [
        (available, "chamber phone", "desk", "S"),
        (Kind::Presence(PresenceType::Error), "S", "desk", "S"),
        (Kind::Presence(PresenceType::Probe), "S", "S", "S"),
        (Kind::Presence(PresenceType::Subscribe), "S", "S", "S"),
        (Kind::Iq(IqType::Get), "server", "desk", "E"),
        (Kind::Iq(IqType::Result), "server", "desk", "S"),
        (Kind::Message(MessageType::Error), "S", "desk", "S"),
    ] {
        let found = ["", "/desk", "/balcony"].map(|to| chosen(&account, kind, to));
        assert_eq!(found, [bare, there, absent], "{kind:?}");
    }
}

#[test]
fn who_has_verified_waits_until_it_is_known_which_record_is_good() {
    let [first, second, third] = connections();
    let mut account = Account::new(jid(), None);
    assert!(account.asks());
    for conn in [first, second, third] {
        assert_eq!(
            account.admit(conn, &sign_in(RECORD), SESSIONS_MAX),
            Admit::Wait
        );
    }
    account.forget(second);
    let asked: Vec<_> = account
        .opened(Some(RECORD))
        .into_iter()
        .map(|(conn, _)| conn)
        .collect();
    assert_eq!(asked, [first, third]);
    assert!(account.is_deserted() && !account.asks());
    assert_eq!(
        account.admit(first, &sign_in(RECORD), SESSIONS_MAX),
        Admit::Welcome
    );
    assert!(!account.is_deserted());
}

#[test]
fn only_the_record_that_is_good_now_lets_anybody_in() {
    let [first, second, third] = connections();
    let mut account = Account::new(jid(), Some(RECORD));
    assert_eq!(
        account.admit(first, &sign_in([8; 32]), SESSIONS_MAX),
        Admit::Refuse
    );
    account.set_record([8; 32]);
    assert_eq!(
        account.admit(first, &sign_in(RECORD), SESSIONS_MAX),
        Admit::Refuse
    );
    assert_eq!(
        account.admit(second, &sign_in([8; 32]), SESSIONS_MAX),
        Admit::Welcome
    );
    account.shut();
    assert_eq!(
        account.admit(third, &sign_in([8; 32]), SESSIONS_MAX),
        Admit::Refuse
    );
    // A change of the password does not open what is shut.
    account.set_record(RECORD);
    assert_eq!(
        account.admit(third, &sign_in(RECORD), SESSIONS_MAX),
        Admit::Refuse
    );
}

#[test]
fn no_more_wait_than_there_may_be_sessions_and_twice_as_many_come_in() {
    let conns = connections::<8>();
    let mut account = Account::new(jid(), None);
    let admit = |account: &mut Account, conn| account.admit(conn, &sign_in(RECORD), SESSIONS_MAX);
    let asked = conns.map(|conn| admit(&mut account, conn));
    assert_eq!(
        asked.iter().filter(|a| **a == Admit::Wait).count(),
        SESSIONS_MAX
    );
    account.opened(Some(RECORD));
    let asked = conns.map(|conn| admit(&mut account, conn));
    assert_eq!(
        asked.iter().filter(|a| **a == Admit::Welcome).count(),
        2 * SESSIONS_MAX
    );
    assert_eq!(account.connections().len(), 2 * SESSIONS_MAX);
}
