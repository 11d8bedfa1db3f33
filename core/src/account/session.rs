//! A connected resource (RFC 6120 §7.1), how it comes about, and the one place that writes to its client.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::sync::Arc;

use super::carbons::Carbons;
use super::managed::{Line, Managed};
use super::offline::{Delivery, Fetched, Room};
use super::{Account, Addressed, Cx, Saying};
use crate::config::ConflictResolve;
use crate::csi::{Held, Room as Space, Urgency};
use crate::effects::{Effects, Reach, Routed};
use crate::jid::{Jid, Resource};
use crate::port::ConnId;
use crate::sm::{Due, Fate, Inbound};
use crate::stanza::{Condition, Kind, PresenceType, Stanza};
use crate::time::Instant;

/// Names a session of its account, and none that comes after it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct SessionKey(u64);

impl SessionKey {
    /// As a number, for who knows of accounts nothing but what they are called.
    pub(super) const fn number(self) -> u64 {
        self.0
    }

    pub(super) const fn of_number(number: u64) -> Self {
        Self(number)
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    /// What carries it. Nobody but `send` writes to that.
    pub(super) line: Line,
    /// Whether it has stream management, and may be resumed.
    pub(super) managed: Option<Box<Managed>>,
    /// Whether anybody looks at its client.
    pub(super) state: ClientState,
    pub(crate) jid: Jid,
    pub(super) presence: Presence,
    /// What it said of itself when it became unavailable, if it has.
    pub(super) farewell: Option<Box<str>>,
    /// In the roster: whether it is an interested resource (RFC 6121 §2.2).
    pub(super) roster: Interest,
    /// In the blocklist (XEP-0191 §3.3).
    pub(super) blocklist: Interest,
    /// Whether it gets copies (XEP-0280).
    pub(super) carbons: Carbons,
    /// How messages reach it.
    pub(super) delivery: Delivery,
    /// What it has seen of the archive.
    pub(super) fetched: Fetched,
    /// Of what waits, the keys of what it has copies of.
    pub(super) copied: BTreeSet<i64>,
    /// When it got its resource.
    pub(crate) since: Instant,
    /// Whom it sent directed presence and who must hear of its end (RFC 6121 §4.6.3).
    pub(super) directed: BTreeSet<Jid>,
    /// What became of what it sent, if it has stream management.
    pub(super) inbound: Option<Box<Inbound>>,
}

/// What a session has said of its availability (RFC 6121 §4.2).
#[derive(Debug)]
pub(super) enum Presence {
    /// A connected resource that has sent no presence, or has become unavailable.
    Unavailable,
    /// An available resource, with its priority and its last presence.
    Available(i8, Arc<Stanza>),
}

/// What a client has said of itself (XEP-0352).
#[derive(Debug)]
pub(super) enum ClientState {
    Active,
    /// Nobody looks at it: what does not wake it is held.
    Inactive(Box<Held<Telling>>, usize),
}

/// Something that a session is told.
#[derive(Clone, Debug)]
pub(crate) struct Telling {
    pub(super) to: Addressed,
    pub(super) fate: Fate,
}

impl Telling {
    /// For the first time.
    const fn now(fx: &Effects, to: Addressed, due: Due) -> Self {
        let at = fx.wall();
        let fate = Fate { due, at };
        Self { to, fate }
    }
}

/// What a session wants to hear of something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Interest {
    /// It has not asked for it.
    Nothing,
    /// It has, and is told of every change.
    Changes,
}

/// The outcome of a request to bind.
#[derive(Debug)]
pub(crate) enum Binding {
    /// Bound; an older session of that resource must go.
    Bound(Jid, Option<SessionKey>),
    /// Not bound.
    Refused(Condition),
}

impl Session {
    /// Writes a stanza to its client, or keeps it until that comes back.
    #[inline]
    fn send(&mut self, fx: &mut Effects, stanza: &Arc<Stanza>, told: &Telling) {
        let (to, reach) = match &told.to {
            Addressed::At(jid) => (Some(jid), Reach::Many),
            Addressed::Named => (stanza.to(), Reach::One),
            Addressed::Copy => (Some(&self.jid), Reach::One),
            Addressed::Own => (Some(&self.jid), Reach::Many),
        };
        match &mut self.line {
            Line::Here(conn) => fx.deliver(*conn, stanza, to, reach, &told.fate),
            Line::Asleep(asleep) => asleep.keep(fx, stanza, to, told.fate),
        }
    }

    /// Tells its client something now, or with what wakes that.
    #[inline]
    fn tell(&mut self, fx: &mut Effects, stanza: &Arc<Stanza>, told: &Telling) {
        match self.state {
            ClientState::Active => self.send(fx, stanza, told),
            ClientState::Inactive(..) => self.hold(fx, stanza, told),
        }
    }

    /// Tells it with what wakes its client, if this does not.
    #[inline(never)]
    fn hold(&mut self, fx: &mut Effects, stanza: &Arc<Stanza>, told: &Telling) {
        let waits = Urgency::of(stanza, self.jid.bare()) == Urgency::Waits;
        if waits
            && let ClientState::Inactive(held, most) = &mut self.state
            && held.hold(Arc::clone(stanza), told.clone(), *most) == Space::Some
        {
            return;
        }
        self.flush(fx);
        if !waits {
            self.send(fx, stanza, told);
        }
    }

    /// Tells its client all that was held.
    pub(super) fn flush(&mut self, fx: &mut Effects) {
        if let ClientState::Inactive(held, _) = &mut self.state {
            for (stanza, told) in held.take_all() {
                self.send(fx, &stanza, &told);
            }
        }
    }

    /// Tells it behind what waited for it, unless it is the server's.
    #[inline(never)]
    fn tell_behind(&mut self, fx: &mut Effects, stanza: &Arc<Stanza>, told: &Telling) {
        match &mut self.delivery {
            Delivery::CatchingUp(behind) if !is_of_server(stanza) => {
                if behind.hold(Arc::clone(stanza), told.clone()) == Room::None {
                    self.overflow(fx);
                }
            }
            Delivery::CatchingUp(_) | Delivery::Live => self.tell(fx, stanza, told),
        }
    }

    /// The connection that carries it, if it is not asleep.
    pub(crate) const fn conn(&self) -> Option<ConnId> {
        match &self.line {
            Line::Here(conn) => Some(*conn),
            Line::Asleep(_) => None,
        }
    }

    /// What it last said of itself, if it is available.
    pub(super) const fn last_presence(&self) -> Option<&Arc<Stanza>> {
        match &self.presence {
            Presence::Available(_, presence) => Some(presence),
            Presence::Unavailable => None,
        }
    }

    /// The priority, if it is available.
    pub(super) const fn priority(&self) -> Option<i8> {
        match &self.presence {
            Presence::Available(priority, _) => Some(*priority),
            Presence::Unavailable => None,
        }
    }
}

impl Account {
    /// Its sessions; who came first is first.
    pub(crate) fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Binds a resource to an admitted connection (RFC 6120 §7.6, §7.7).
    pub(crate) fn bind(
        &mut self,
        cx: &mut Cx<'_>,
        conn: ConnId,
        wish: Option<Resource>,
    ) -> Binding {
        if !self.admitted.contains(&conn) {
            return Binding::Refused(Condition::NotAllowed);
        }
        let Some((resource, old)) = self.choose(cx, wish) else {
            return Binding::Refused(Condition::Conflict);
        };
        // RFC 6120 §7.6.2.1. Those that are asleep have a bound of their own.
        let others = self.sessions.iter().filter(|other| Some(other.key) != old);
        let sessions = others.filter(|other| other.conn().is_some()).count();
        if sessions >= cx.config.limits.sessions_per_account {
            return Binding::Refused(Condition::ResourceConstraint);
        }
        let jid = self.jid.with_resource(&resource);
        self.not_admitted(conn);
        // Most accounts have one: room for four of them would be the most that an idle one takes.
        self.sessions.reserve_exact(1);
        self.last_session = SessionKey(self.last_session.0.wrapping_add(1));
        self.sessions.push(Session {
            key: self.last_session,
            line: Line::Here(conn),
            managed: None,
            state: ClientState::Active,
            jid: jid.clone(),
            presence: Presence::Unavailable,
            farewell: None,
            roster: Interest::Nothing,
            blocklist: Interest::Nothing,
            carbons: Carbons::Off,
            delivery: Delivery::Live,
            fetched: Fetched::default(),
            copied: BTreeSet::new(),
            since: cx.now.mono,
            directed: BTreeSet::new(),
            inbound: None,
        });
        Binding::Bound(jid, old)
    }

    /// The resource, and the session that must give it up (RFC 6120 §7.7.2.2); `None` is a conflict.
    fn choose(
        &self,
        cx: &mut Cx<'_>,
        wish: Option<Resource>,
    ) -> Option<(Resource, Option<SessionKey>)> {
        let Some(wish) = wish else {
            return Some((random(cx)?, None));
        };
        let Some(old) = self.find(&wish) else {
            return Some((wish, None));
        };
        if self.is_asleep(old) {
            // Its client is back, and wants another: or it would have resumed this one.
            return Some((wish, Some(old)));
        }
        match cx.host.conflict {
            ConflictResolve::KickOld => Some((wish, Some(old))),
            ConflictResolve::KickNew => None,
            ConflictResolve::Random => Some((random(cx)?, None)),
            // One more number than there are sessions: one of them is free.
            ConflictResolve::Increment => (1..=self.sessions.len() + 1)
                .filter_map(|n| Resource::parse(&format!("{wish}#{n}")).ok())
                .find(|resource| self.find(resource).is_none())
                .map(|resource| (resource, None)),
        }
    }

    fn find(&self, resource: &Resource) -> Option<SessionKey> {
        self.session_of(resource.as_str())
            .map(|session| session.key)
    }

    /// The session of this name.
    pub(super) fn session(&mut self, key: SessionKey) -> Option<&mut Session> {
        let at = self.find_key(key)?;
        self.sessions.get_mut(at)
    }

    /// The same, to look at.
    pub(super) fn session_by_key(&self, key: SessionKey) -> Option<&Session> {
        self.sessions.get(self.find_key(key)?)
    }

    /// Where a session is: each is behind those that came before it.
    pub(super) fn find_key(&self, key: SessionKey) -> Option<usize> {
        // As many places behind the first as it came after it, unless some between them have gone.
        let first = self.sessions.first()?.key;
        let guess = usize::try_from(key.0.wrapping_sub(first.0)).ok()?;
        match self.sessions.get(guess) {
            Some(session) if session.key == key => Some(guess),
            Some(_) | None => self
                .sessions
                .binary_search_by_key(&key, |session| session.key)
                .ok(),
        }
    }

    /// The session on a connection.
    pub(crate) fn session_on(&self, conn: ConnId) -> Option<SessionKey> {
        let on = |session: &&Session| session.conn() == Some(conn);
        Some(self.sessions.iter().find(on)?.key)
    }

    /// Says something to its sessions; to those that are over, nothing. What is for others comes back.
    pub(crate) fn say(&mut self, fx: &mut Effects, saying: Saying) -> Option<Routed> {
        match saying {
            Saying::Answer(key, stanza) => self.answer(fx, key, &stanza),
            Saying::Tell(key, stanza, to, due) => {
                let told = Telling::now(fx, to, due);
                self.tell_each(fx, &[key], &stanza, &told);
            }
            Saying::TellEach(each, stanza, to, due) => {
                let told = Telling::now(fx, to, due);
                self.tell_each(fx, &each, &stanza, &told);
            }
            Saying::Late(key, stanza, told) => self.tell_late(fx, key, &stanza, &told),
            Saying::CatchUp(key) => {
                if let Some(session) = self.session(key) {
                    session.delivery = Delivery::CatchingUp(Box::default());
                }
            }
            Saying::Stored(key, stored, then) => self.tell_stored(fx, key, &stored, then),
            Saying::Route(delivery) => return Some(Routed::Stanza(delivery)),
            Saying::Settle(settled) => return Some(Routed::Settled(settled)),
            Saying::Handled(sent) => fx.handled(sent),
        }
        None
    }

    /// Tells a session what became of what it sent, not behind what it is told besides: who is answered takes for done what it sent before,
    /// and may leave.
    fn answer(&mut self, fx: &mut Effects, key: SessionKey, stanza: &Arc<Stanza>) {
        let told = Telling::now(fx, Addressed::Named, Due::Nothing);
        if let Some(session) = self.session(key) {
            session.tell(fx, stanza, &told);
        }
    }

    fn tell_each(
        &mut self,
        fx: &mut Effects,
        each: &[SessionKey],
        stanza: &Arc<Stanza>,
        told: &Telling,
    ) {
        for key in each {
            let Some(at) = self.find_key(*key) else {
                continue;
            };
            if let Due::Shared(number) = told.fate.due {
                self.seldom.make().holders.add(number);
            }
            let Some(session) = self.sessions.get_mut(at) else {
                continue;
            };
            match &mut session.delivery {
                Delivery::Live => session.tell(fx, stanza, told),
                Delivery::CatchingUp(_) => session.tell_behind(fx, stanza, told),
            }
        }
    }

    /// Tells a session what it was not told because it was told what waited before.
    pub(super) fn tell_late(
        &mut self,
        fx: &mut Effects,
        key: SessionKey,
        stanza: &Arc<Stanza>,
        told: &Telling,
    ) {
        if let Some(session) = self.session(key) {
            session.tell(fx, stanza, told);
        }
    }

    /// The session of a resource.
    pub(crate) fn session_of(&self, resource: &str) -> Option<&Session> {
        self.sessions
            .iter()
            .find(|session| session.jid.resource() == Some(resource))
    }
}

/// Whether it is an answer or a push of the server itself, for a host or an account; or what goes before a push of the roster.
fn is_of_server(stanza: &Stanza) -> bool {
    match stanza.kind() {
        Kind::Iq(_) => stanza.from().is_none_or(|from| from.resource().is_none()),
        Kind::Presence(kind) => matches!(
            kind,
            PresenceType::Subscribed | PresenceType::Unsubscribe | PresenceType::Unsubscribed
        ),
        Kind::Message(_) => false,
    }
}

/// RFC 6120 §7.6: a resource of the server's making is random.
fn random(cx: &mut Cx<'_>) -> Option<Resource> {
    Resource::parse(&cx.entropy.id("resource")).ok()
}
