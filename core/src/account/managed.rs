//! Sessions with stream management (XEP-0198): what carries them, how they fall asleep, come back, and what they are remembered by.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use subtle::ConstantTimeEq as _;

use super::ending::Ended;
use super::session::ClientState;
use super::{Account, Cx, Session, SessionKey};
use crate::effects::{Effects, Stored, Then};
use crate::jid::Jid;
use crate::limits::SM_ID_TOLD;
use crate::port::ConnId;
use crate::sm::{Acked, Fate, Old, Outbound, Piece, SmOptions, TooHigh, Wish};
use crate::stanza::Stanza;
use crate::time::Instant;

/// What carries a session.
#[derive(Debug)]
pub(super) enum Line {
    /// This connection.
    Here(ConnId),
    /// None: its client may come back.
    Asleep(Box<Asleep>),
}

/// A session without a connection.
#[derive(Debug)]
pub(super) struct Asleep {
    /// What its client has not acknowledged, and what waits for it.
    outbound: Box<Outbound>,
    since: Instant,
    /// Where its client was seen last.
    peer: SocketAddr,
    stage: Stage,
}

/// What becomes of a session that is asleep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// It waits for its client.
    Waits,
    /// Its client is back on this connection, and is answered when all that it sent before is settled.
    Wakes(ConnId),
    /// The server stops: what its client still acknowledges on this connection counts.
    Parts(ConnId),
}

/// A session with stream management.
#[derive(Debug)]
pub(super) struct Managed {
    resumption: Option<Resumption>,
}

/// How a session may be resumed.
#[derive(Debug)]
struct Resumption {
    /// Its name, which nobody can guess (XEP-0198 §5).
    id: String,
    /// For how long it waits.
    max: Duration,
}

/// What a client hears that wants stream management.
#[derive(Debug)]
pub(crate) enum Enabled {
    /// It has it, and its session may be resumed by this name within this time.
    Resumable(String, Duration),
    /// It has it.
    Counted,
    /// It has it already.
    Again,
}

/// Of a session that somebody wants to go on with.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is there, carried by this connection, if by any.
    There(SessionKey, Option<ConnId>),
    /// It is over; so many stanzas of its client were handled.
    Over(u32),
    /// It is over, and it is not known yet how many were.
    Ending(SessionKey),
    /// There was none, as far as is known.
    Nobody,
}

/// What there is to see of a session that is asleep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sleep {
    pub(crate) since: Instant,
    /// For how long it waits in all.
    pub(crate) max: Duration,
    pub(crate) peer: SocketAddr,
    /// How many stanzas wait.
    pub(crate) waiting: usize,
}

impl Asleep {
    /// Keeps a stanza until its client comes back.
    pub(super) fn keep(
        &mut self,
        fx: &mut Effects,
        stanza: &Arc<Stanza>,
        to: Option<&Jid>,
        fate: Fate,
    ) {
        self.put_by(fx, Piece::new(stanza, to, fate));
    }

    fn put_by(&mut self, fx: &mut Effects, piece: Piece) {
        let before = self.outbound.bytes();
        self.outbound.put_by(piece);
        fx.sleeping(before, self.outbound.bytes());
    }
}

impl Session {
    /// Whether it outlives its connection.
    fn is_resumable(&self) -> bool {
        let managed = self.managed.as_ref();
        managed.is_some_and(|managed| managed.resumption.is_some())
    }

    /// More waits for it than may.
    pub(super) fn overflow(&mut self, fx: &mut Effects) {
        match &mut self.line {
            Line::Here(conn) => fx.overflow(*conn),
            Line::Asleep(asleep) => {
                asleep.outbound.overflow();
                fx.sleeps_too_full();
            }
        }
    }

    /// Whether it is to end because more waits for it than may.
    fn is_overfull(&self) -> bool {
        match &self.line {
            Line::Here(_) => false,
            Line::Asleep(asleep) => asleep.outbound.is_full(),
        }
    }

    /// It is over: what its client never acknowledged, and what it was not told, in the order in which it was to be told.
    pub(super) fn take_unacknowledged(&mut self, outbound: Option<Box<Outbound>>) -> Vec<Piece> {
        let asleep = match &mut self.line {
            Line::Asleep(asleep) => Some(core::mem::take(&mut asleep.outbound)),
            Line::Here(_) => None,
        };
        let Some(outbound) = outbound.or(asleep) else {
            // Whoever acknowledges nothing has all that was written.
            return Vec::new();
        };
        let mut pieces: Vec<Piece> = outbound.into_pieces().into();
        let held = match &mut self.state {
            ClientState::Inactive(held, _) => Some(held.take_all()),
            ClientState::Active => None,
        };
        let behind = self.delivery.take_behind();
        let told = held.into_iter().flatten().chain(behind);
        pieces.extend(told.map(|(stanza, told)| Piece::new(&stanza, None, told.fate)));
        pieces
    }

    /// Its sleep, if it is asleep.
    pub(crate) fn sleep(&self) -> Option<Sleep> {
        let Line::Asleep(asleep) = &self.line else {
            return None;
        };
        let resumption = self.managed.as_ref()?.resumption.as_ref();
        Some(Sleep {
            since: asleep.since,
            max: resumption.map_or(Duration::ZERO, |resumption| resumption.max),
            peer: asleep.peer,
            waiting: asleep.outbound.len(),
        })
    }
}

impl Account {
    /// A client wants its stanzas counted, and counts ours (XEP-0198 §3).
    pub(crate) fn enable(&mut self, cx: &mut Cx<'_>, key: SessionKey, wish: Wish) -> Enabled {
        let longest = cx.host.sm.hibernation;
        let Some(session) = self.session(key) else {
            return Enabled::Again;
        };
        if session.managed.is_some() {
            return Enabled::Again;
        }
        let resumption = match wish {
            Wish::For(wished) if !longest.is_zero() => Some(Resumption {
                id: cx.entropy.id("stream management"),
                max: wished.map_or(longest, |wished| wished.min(longest)),
            }),
            Wish::For(_) | Wish::None => None,
        };
        let enabled = match &resumption {
            Some(Resumption { id, max }) => Enabled::Resumable(id.clone(), *max),
            None => Enabled::Counted,
        };
        session.managed = Some(Box::new(Managed { resumption }));
        session.inbound = Some(Box::default());
        enabled
    }

    /// A client asks how many of its stanzas were handled; nothing, if they are not counted.
    pub(crate) fn asked(&mut self, key: SessionKey) -> Option<u32> {
        let inbound = self.session(key)?.inbound.as_mut()?;
        Some(inbound.asked())
    }

    /// A client has acknowledged something.
    pub(crate) fn acked(&mut self, cx: &mut Cx<'_>, key: SessionKey, acked: Acked) {
        for number in acked.shared {
            self.seldom.make().holders.acked(number);
        }
        if let Some(upto) = acked.upto {
            self.owed_acked(cx, key, upto);
        }
    }

    /// How many stanzas a client may leave unacknowledged before it is asked.
    pub(crate) fn asks_over(&self, sm: &SmOptions, key: SessionKey) -> usize {
        let session = self.session_by_key(key);
        match session.map(|session| &session.state) {
            Some(ClientState::Inactive(..)) => sm.max_inactive_unacked,
            Some(ClientState::Active) | None => sm.max_unacked,
        }
    }

    /// A client says whether anybody looks at it (XEP-0352). Returns how many stanzas may be unacknowledged from now on.
    pub(crate) fn set_state(
        &mut self,
        cx: &Cx<'_>,
        key: SessionKey,
        state: Attention,
    ) -> Option<usize> {
        let session = self.session(key)?;
        session.state = match (state, &session.state) {
            (Attention::Inactive, ClientState::Active) => {
                ClientState::Inactive(Box::default(), cx.host.csi.max_held)
            }
            (Attention::Active, ClientState::Inactive(..)) => ClientState::Active,
            (Attention::Active, ClientState::Active)
            | (Attention::Inactive, ClientState::Inactive(..)) => return None,
        };
        Some(self.asks_over(&cx.host.sm, key))
    }
}

/// Whether anybody looks at a client, as that says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attention {
    Active,
    Inactive,
}

impl Account {
    /// Tells a session what was held because nobody looked at its client.
    pub(crate) fn flush(&mut self, fx: &mut Effects, key: SessionKey) {
        if let Some(session) = self.session(key) {
            session.flush(fx);
        }
    }

    /// Stanzas that are kept, as they are written, to one of its sessions.
    pub(super) fn tell_stored(
        &mut self,
        fx: &mut Effects,
        key: SessionKey,
        stored: &Stored,
        then: Then,
    ) {
        let Some(session) = self.session(key) else {
            return;
        };
        session.flush(fx);
        match &mut session.line {
            Line::Here(conn) => fx.deliver_stored(*conn, stored, then),
            Line::Asleep(asleep) => {
                for piece in stored.pieces(fx.wall()) {
                    asleep.put_by(fx, piece);
                }
            }
        }
    }

    /// Whether a session outlives its connection.
    pub(crate) fn is_resumable(&self, key: SessionKey) -> bool {
        let session = self.session_by_key(key);
        session.is_some_and(Session::is_resumable)
    }

    /// Whether a client counts what it is sent.
    pub(crate) fn is_managed(&self, key: SessionKey) -> bool {
        let session = self.session_by_key(key);
        session.is_some_and(|session| session.managed.is_some())
    }

    /// A session has lost its connection, and waits for its client; or it is `parting` on that, because the server stops.
    pub(crate) fn fall_asleep(
        &mut self,
        fx: &mut Effects,
        key: SessionKey,
        now: Instant,
        (outbound, peer): (Box<Outbound>, SocketAddr),
        parting: Option<ConnId>,
    ) {
        let Some(session) = self.session(key) else {
            return;
        };
        fx.sleeping(0, outbound.bytes());
        session.line = Line::Asleep(Box::new(Asleep {
            outbound,
            since: now,
            peer,
            stage: parting.map_or(Stage::Waits, Stage::Parts),
        }));
        // XEP-0352 §5.2: "always defaults to 'active' for new and resumed streams".
        session.flush(fx);
        session.state = ClientState::Active;
    }

    /// The connection that carries a session.
    pub(crate) fn carrier(&self, key: SessionKey) -> Option<ConnId> {
        self.session_by_key(key)?.conn()
    }

    /// Its sessions.
    pub(crate) fn keys(&self) -> Vec<SessionKey> {
        self.sessions.iter().map(|session| session.key).collect()
    }

    /// The sleep of a session, if it is there, and asleep.
    fn asleep(&self, key: SessionKey) -> Option<&Asleep> {
        match &self.session_by_key(key)?.line {
            Line::Asleep(asleep) => Some(asleep),
            Line::Here(_) => None,
        }
    }

    /// The connection on which a client may still acknowledge something, because the server stops.
    pub(crate) fn parts_on(&self, key: SessionKey) -> Option<ConnId> {
        match self.asleep(key)?.stage {
            Stage::Parts(conn) => Some(conn),
            Stage::Waits | Stage::Wakes(_) => None,
        }
    }

    /// Whether a session is there, and asleep.
    pub(crate) fn is_asleep(&self, key: SessionKey) -> bool {
        self.asleep(key).is_some()
    }

    /// What a session is resumed by.
    pub(crate) fn name_of(&self, key: SessionKey) -> Option<String> {
        let managed = self.session_by_key(key)?.managed.as_ref()?;
        Some(managed.resumption.as_ref()?.id.clone())
    }

    /// Bytes of what waits for a session that is asleep.
    pub(crate) fn waiting_bytes(&self, key: SessionKey) -> usize {
        self.asleep(key).map_or(0, |asleep| asleep.outbound.bytes())
    }

    /// For how long a session may sleep.
    pub(crate) fn longest_sleep(&self, key: SessionKey) -> Duration {
        let session = self.session_by_key(key);
        session
            .and_then(Session::sleep)
            .map_or(Duration::ZERO, |sleep| sleep.max)
    }

    /// Those of its sessions that are asleep; who fell asleep first is first.
    pub(crate) fn sleepers(&self) -> Vec<SessionKey> {
        let mut sleepers: Vec<_> = self
            .sessions
            .iter()
            .filter_map(|session| Some((session.sleep()?.since, session.key)))
            .collect();
        sleepers.sort();
        sleepers.into_iter().map(|(_, key)| key).collect()
    }

    /// Sessions that are asleep and for which more waits than may.
    pub(crate) fn overfull(&self) -> Vec<SessionKey> {
        let overfull = self.sessions.iter().filter(|session| session.is_overfull());
        overfull.map(|session| session.key).collect()
    }

    /// The session of this name (XEP-0198 §5).
    pub(crate) fn find_resumable(&self, previd: &str) -> Found {
        let named = |session: &&Session| {
            let managed = session.managed.as_ref();
            let resumption = managed.and_then(|managed| managed.resumption.as_ref());
            resumption.is_some_and(|resumption| is_same(&resumption.id, previd))
        };
        if let Some(session) = self.sessions.iter().find(named) {
            return Found::There(session.key, session.conn());
        }
        if let Some(key) = self.seldom.ending.find(previd) {
            return Found::Ending(key);
        }
        let kept = self.kept.sound();
        match kept.and_then(|kept| kept.old.handled(previd)) {
            Some(h) => Found::Over(h),
            None => Found::Nobody,
        }
    }

    /// The client of a session that is asleep has handled so many stanzas.
    ///
    /// # Errors
    /// There were not so many.
    pub(crate) fn acked_asleep(
        &mut self,
        fx: &mut Effects,
        key: SessionKey,
        h: u32,
    ) -> Result<Acked, TooHigh> {
        let Some(session) = self.session(key) else {
            return Ok(Acked::default());
        };
        let Line::Asleep(asleep) = &mut session.line else {
            return Ok(Acked::default());
        };
        let before = asleep.outbound.bytes();
        let acked = asleep.outbound.ack(h)?;
        fx.sleeping(before, asleep.outbound.bytes());
        Ok(acked)
    }

    /// The client of a session that is asleep is back on this connection. The one that waited to be answered until now comes back.
    pub(crate) fn call_back(&mut self, key: SessionKey, conn: ConnId) -> Option<ConnId> {
        let Line::Asleep(asleep) = &mut self.session(key)?.line else {
            return None;
        };
        match core::mem::replace(&mut asleep.stage, Stage::Wakes(conn)) {
            Stage::Wakes(earlier) => Some(earlier),
            Stage::Waits | Stage::Parts(_) => None,
        }
    }

    /// A session whose client is back and hears so now: all that it sent before is settled.
    pub(crate) fn wake(&mut self, fx: &mut Effects, key: SessionKey) -> Option<Woken> {
        let session = self.session(key)?;
        let Line::Asleep(asleep) = &session.line else {
            return None;
        };
        let Stage::Wakes(conn) = asleep.stage else {
            return None;
        };
        let inbound = session.inbound.as_ref()?;
        if !inbound.is_settled() {
            return None;
        }
        let h = inbound.h();
        let id = session.managed.as_ref()?.resumption.as_ref()?.id.clone();
        let jid = session.jid.clone();
        let Line::Asleep(asleep) = core::mem::replace(&mut session.line, Line::Here(conn)) else {
            return None;
        };
        self.not_admitted(conn);
        fx.sleeping(asleep.outbound.bytes(), 0);
        Some(Woken {
            conn,
            jid,
            id,
            h,
            outbound: asleep.outbound,
        })
    }

    /// The connection on which somebody waits for a session that is asleep.
    pub(crate) fn waker(&self, key: SessionKey) -> Option<ConnId> {
        match self.asleep(key)?.stage {
            Stage::Wakes(conn) => Some(conn),
            Stage::Waits | Stage::Parts(_) => None,
        }
    }

    /// Whether a session is asleep until its client comes back: it is not back, and the server goes on.
    pub(crate) fn waits_for_client(&self, key: SessionKey) -> bool {
        let asleep = self.asleep(key);
        asleep.is_some_and(|asleep| asleep.stage == Stage::Waits)
    }

    /// A connection is gone on which somebody waited for a session: that one sleeps on.
    pub(super) fn sleep_on(&mut self, conn: ConnId) {
        self.seldom.change(|seldom| seldom.ending.forget(conn));
        for session in &mut self.sessions {
            if let Line::Asleep(asleep) = &mut session.line
                && asleep.stage == Stage::Wakes(conn)
            {
                asleep.stage = Stage::Waits;
            }
        }
    }

    /// A session is over: what it is remembered by goes to the disk, once all is settled that its client sent.
    pub(super) fn remember(&mut self, cx: &mut Cx<'_>, session: &mut Session) {
        let resumption = session
            .managed
            .take()
            .and_then(|managed| managed.resumption);
        let (Some(Resumption { id, .. }), Some(inbound)) = (resumption, session.inbound.take())
        else {
            return;
        };
        let at = cx.now.wall;
        if !inbound.is_settled() {
            let ended = Ended {
                key: session.key,
                id,
                at,
                inbound,
                waker: None,
            };
            return self.seldom.make().ending.push(ended, cx.host.sm.max_old);
        }
        let old = Old {
            id: id.into_boxed_str(),
            ended: at,
            h: inbound.h(),
        };
        self.keep_old(cx, old);
    }

    pub(super) fn keep_old(&mut self, cx: &mut Cx<'_>, old: Old) {
        let most = cx.host.sm.max_old;
        if let Some(kept) = self.kept.sound_mut()
            && most > 0
        {
            for op in kept.old.insert(old, most) {
                cx.keep_quietly(op);
            }
        }
    }
}

/// A session that goes on.
#[derive(Debug)]
pub(crate) struct Woken {
    pub(crate) conn: ConnId,
    pub(crate) jid: Jid,
    pub(crate) id: String,
    /// So many stanzas of its client were handled.
    pub(crate) h: u32,
    pub(crate) outbound: Box<Outbound>,
}

/// Whether they are. Behind the first few characters, which tell the sessions of an account apart, in the same time whether or not they are:
/// those that are left cannot be guessed either.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.get(..SM_ID_TOLD) == other.get(..SM_ID_TOLD)
        && bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}
