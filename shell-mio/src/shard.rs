//! One thread: a poller, a shard of the core, and the turns that join them. Each turn reads up to a bound, hands all that came
//! to the core, then does once what the core asks for.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use spondee_core::arena::ArenaKey as _;
use spondee_core::envelope::Place;
use spondee_core::jid::Domain;
use spondee_core::port::{
    Action, Closed, ConnId, ConnectError, Input, Listener, LookupError, Opening, Resolved,
    Standing, TlsSide,
};
use spondee_core::sasl::Judgement;
use spondee_core::shard::Shard;
use spondee_core::time::{Instant, Now};
use spondee_shell_common::clock::Clock;
use spondee_shell_common::control::Control;
use spondee_shell_common::counters::Counters;
use spondee_shell_common::dns::{Busy, Names};
use spondee_shell_common::handshakes::{self, Handshakes};
use spondee_shell_common::ldap::{Directories, Unasked};
use spondee_shell_common::limits::shell::is_exhausted;
use spondee_shell_common::limits::shell::{
    ACCEPT_REST, ACCEPTS_PER_TURN, EVENTS, LINGER, READS_PER_TURN, ROOM_REST, TURN_BYTES,
    WRITES_PER_TURN,
};
use spondee_shell_common::listen;
use spondee_shell_common::mailbox::{Letter, Mailbox};
use spondee_shell_common::mesh::{Inbox, Mail, Mesh, Order, Parcel};
use spondee_shell_common::note;
use spondee_shell_common::permits::{Claim, Permits, Room};
use spondee_shell_common::rest::Left;
use spondee_shell_common::store::Store;
use spondee_shell_common::tls::{Outgoing, Pump, Step, Taken, TlsHosts};
use spondee_shell_common::work::Workers;

use crate::conn::{Buffers, Conn, Fate, Layer, Listed, Moved};

/// The poller's name for the thread's waker. Connections are named by their slot, listeners from the other end.
pub(crate) const WAKE: Token = Token(usize::MAX);

/// The shard with the time of the turn.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) shard: Shard,
    pub(crate) counters: Arc<Counters>,
    now: Now,
    actions: Actions,
    /// Of handshakes: to be taken by the thread that is there for them.
    pub(crate) steps: Vec<(ConnId, Step)>,
}

/// Whether the core may have something to do for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Actions {
    Drained,
    Due,
}

impl Core {
    /// Around a new shard.
    pub(crate) const fn new(shard: Shard, now: Now, counters: Arc<Counters>) -> Self {
        Self {
            shard,
            counters,
            now,
            actions: Actions::Due,
            steps: Vec::new(),
        }
    }

    /// Hands in one input.
    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.counters.inputs.add(1);
        self.actions = Actions::Due;
        self.shard.handle(self.now, input);
    }
}

/// One of the thread's listeners.
#[derive(Debug)]
struct Listening {
    socket: TcpListener,
    listener: Listener,
    queue: Queue,
}

/// What is known of a listener's queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Queue {
    /// Nothing there until the poller says so.
    Empty,
    /// There may be somebody.
    Waiting,
}

impl Listening {
    fn new((socket, listener): (StdListener, Listener)) -> Self {
        Self {
            socket: TcpListener::from_std(socket),
            listener,
            queue: Queue::Waiting,
        }
    }
}

/// What all threads share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) control: Control,
    pub(crate) permits: Arc<Permits>,
    pub(crate) store: Store,
    pub(crate) tls: Arc<TlsHosts>,
    pub(crate) workers: Workers,
    pub(crate) handshakes: Handshakes,
    pub(crate) directories: Directories,
    pub(crate) names: Names,
    pub(crate) outgoing: Outgoing,
}

/// One shard's thread.
#[derive(Debug)]
pub(crate) struct Thread {
    poll: Poll,
    events: Events,
    core: Core,
    mesh: Mesh<Moved>,
    inbox: Arc<Inbox<Moved>>,
    mailbox: Arc<dyn Mailbox>,
    shared: Shared,
    listeners: Vec<Listening>,
    /// Set while there are no descriptors to accept with.
    accept_at: Option<Instant>,
    /// By the index of their key.
    conns: Vec<Option<Conn>>,
    to_read: VecDeque<ConnId>,
    to_write: Vec<ConnId>,
    /// Connections told to close, with the moment their time is up: earliest first, since all get the same time.
    closing: VecDeque<(Instant, ConnId)>,
    /// Connections whose permits were revoked.
    evicted: Vec<ConnId>,
    /// Connections that wait for room on the way to their shard.
    moving: Vec<(ConnId, Place)>,
    /// Refusals, for the next turn.
    refused: Vec<Input<'static>>,
    buffers: Buffers,
    life: Life,
    /// How many parcels came.
    taken: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Running,
    /// It goes on until nothing is left to do.
    Stopping,
    Over,
}

impl Thread {
    /// Everything set up, nothing registered yet.
    pub(crate) fn new(
        poll: Poll,
        core: Core,
        mesh: Mesh<Moved>,
        listeners: Vec<(StdListener, Listener)>,
        shared: Shared,
    ) -> Self {
        let inbox = Arc::clone(mesh.inbox());
        let mailbox = Arc::clone(&inbox) as Arc<dyn Mailbox>;
        shared.permits.add_thread(Arc::clone(&mailbox));
        Self {
            poll,
            events: Events::with_capacity(EVENTS),
            core,
            mesh,
            mailbox,
            inbox,
            shared,
            listeners: listeners.into_iter().map(Listening::new).collect(),
            accept_at: None,
            conns: Vec::new(),
            to_read: VecDeque::new(),
            to_write: Vec::new(),
            closing: VecDeque::new(),
            evicted: Vec::new(),
            moving: Vec::new(),
            refused: Vec::new(),
            buffers: Buffers::default(),
            life: Life::Running,
            taken: 0,
        }
    }

    /// Turns until told to stop.
    ///
    /// # Errors
    /// The poller failed.
    pub(crate) fn run(mut self) -> io::Result<()> {
        for (index, listening) in self.listeners.iter_mut().enumerate() {
            let token = Token(listener_token(index));
            self.poll
                .registry()
                .register(&mut listening.socket, token, Interest::READABLE)?;
        }
        while self.life != Life::Over {
            self.wait()?;
            self.core.counters.turns.add(1);
            self.accept();
            self.read();
            self.expire();
            self.carry_out();
            self.write();
            self.give_steps();
            self.drop_evicted();
            self.hand_off();
            self.core.counters.rest.sends(self.mesh.sent());
            let sent = self.mesh.dispatch();
            self.core.counters.parcels.add(sent.parcels);
            self.core.counters.dispatches.add(sent.batches);
            self.core.counters.rest.ends_turn(self.taken, self.left());
        }
        Ok(())
    }

    /// Whether anything is left to do before the end: what a session had that is over is to be on the disk.
    fn left(&self) -> Left {
        let rests = self.life == Life::Stopping
            && self.moving.is_empty()
            && self.refused.is_empty()
            && self.core.actions == Actions::Drained
            && self.core.shard.is_at_rest();
        match rests {
            true => Left::Nothing,
            false => Left::Something,
        }
    }

    /// Sleeps until something is due, then notes what came.
    fn wait(&mut self) -> io::Result<()> {
        let timeout = self.timeout();
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(error),
        }
        self.core.now = self.shared.clock.now();
        let mut noticed = Vec::new();
        for event in &self.events {
            let token = event.token();
            if token == WAKE {
                continue;
            }
            if let Some(listening) = self.listeners.get_mut(usize::MAX - 1 - token.0) {
                listening.queue = Queue::Waiting;
            } else if let Some(Some(conn)) = self.conns.get_mut(token.0) {
                conn.notice(event);
                noticed.push(conn.id());
            }
        }
        for id in noticed {
            self.list(id);
        }
        if self.inbox.wake_up() {
            self.take_in();
        }
        for input in std::mem::take(&mut self.refused) {
            self.core.input(input);
        }
        Ok(())
    }

    /// How long there is nothing to do.
    fn timeout(&self) -> Option<Duration> {
        let resting = self.accept_at.is_some();
        let busy = self.core.actions == Actions::Due
            || !self.refused.is_empty()
            || !self.to_write.is_empty()
            || !self.to_read.is_empty()
            || !resting && self.listeners.iter().any(|one| one.queue == Queue::Waiting);
        if busy || !self.inbox.may_sleep() {
            return Some(Duration::ZERO);
        }
        let closing = self.closing.front().map(|(at, _)| *at);
        let due = [self.core.shard.poll_timeout(), closing, self.accept_at];
        // Of the turn that ends: nothing here is due to the millisecond, and a look at the clock is not free.
        let now = self.core.now.mono;
        due.into_iter().flatten().min().map(|at| at.since(now))
    }

    /// Letters, orders and parcels.
    fn take_in(&mut self) {
        for mail in self.inbox.take_mail() {
            match mail {
                Mail::Letter(Letter::Command(id, command)) => {
                    self.core.input(Input::Command { id, command });
                }
                Mail::Letter(Letter::Derived(ticket, keys)) => {
                    self.core.input(Input::Derived { ticket, keys });
                }
                Mail::Letter(Letter::Census) => self.take_census(),
                Mail::Letter(Letter::Evict(conn)) => self.evict(conn),
                Mail::Letter(Letter::Handshake(conn, taken)) => self.resume_handshake(conn, *taken),
                Mail::Letter(Letter::Judged(ticket, judgement)) => {
                    self.core.input(Input::Judged { ticket, judgement });
                }
                Mail::Letter(Letter::Resolved(ticket, outcome)) => {
                    self.core.input(Input::Resolved { ticket, outcome });
                }
                Mail::Letter(Letter::Stored(ticket, outcome)) => {
                    self.core.input(Input::Stored { ticket, outcome });
                }
                Mail::Order(Order::Reload(config, tls)) => {
                    self.shared.tls = tls;
                    self.core.input(Input::Reload(config));
                }
                Mail::Order(Order::Shutdown) => {
                    // Closes them: nobody new is let in.
                    self.listeners.clear();
                    self.life = Life::Stopping;
                    self.core.input(Input::Shutdown);
                }
                Mail::Order(Order::Stop) => self.life = Life::Over,
            }
        }
        for parcel in self.mesh.collect() {
            self.taken = self.taken.wrapping_add(1);
            match parcel {
                Parcel::Envelope(envelope) => self.core.input(Input::Delivered(*envelope)),
                Parcel::Moved(moved) => self.attach(*moved),
            }
        }
    }

    fn attach(&mut self, moved: Moved) {
        let Moved { mut conn, detached } = moved;
        let id = self.core.shard.attach(self.core.now, detached);
        self.core.actions = Actions::Due;
        conn.rename(id);
        let claim = conn.permit.settle(&self.mailbox, id);
        self.admit(conn);
        match claim {
            Claim::Good => {}
            // Chosen when it was on its way, where it could not be told.
            Claim::Revoked => self.evict(id),
        }
        // Output that was not written at the other shard is not announced again.
        self.list_write(id);
    }

    /// Gives a connection its slot and registers it.
    fn admit(&mut self, mut conn: Conn) {
        let id = conn.id();
        let index = id.key().index();
        let registered = conn.register(self.poll.registry(), Token(index));
        if self.conns.len() <= index {
            self.conns.resize_with(index + 1, || None);
        }
        if let Some(slot) = self.conns.get_mut(index) {
            *slot = Some(conn);
        }
        if let Err(error) = registered {
            if self.shared.permits.may_complain(self.core.now.mono) {
                tracing::warn!("cannot watch a connection: {error}");
            }
            self.drop_conn(id, Closed::Reset);
        }
    }

    fn accept(&mut self) {
        if self.accept_at.is_some_and(|at| at > self.core.now.mono) {
            return;
        }
        self.accept_at = None;
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.accept_one(index) {
                    break;
                }
            }
        }
    }

    /// Whether to go on with this listener in this turn.
    fn accept_one(&mut self, index: usize) -> bool {
        let Some(listening) = self.listeners.get_mut(index) else {
            return false;
        };
        if listening.queue == Queue::Empty || self.accept_at.is_some() {
            return false;
        }
        let Some(mut permit) = self.shared.permits.take() else {
            self.make_room(index, "there are as many connections as max_connections and the limit of open files allow");
            return false;
        };
        match listening.socket.accept() {
            Ok((socket, peer)) => {
                let listener = listening.listener;
                if permit.assign(self.core.now.mono, peer.ip()).is_err() {
                    self.turn_away(peer);
                    return true;
                }
                if let Err(error) = listen::prepare(&socket) {
                    // The peer is gone already.
                    tracing::debug!("cannot set up a connection: {error}");
                    return true;
                }
                let id = self.core.shard.accept(self.core.now, listener, peer);
                self.core.actions = Actions::Due;
                self.core.counters.accepted.add(1);
                let layer = match listener.opening {
                    Opening::Clear => Layer::Clear,
                    Opening::Tls => Layer::Handshake(self.pump(None, Opening::Tls)),
                };
                permit.enter(self.core.now.mono, &self.mailbox, id);
                self.admit(Conn::new(id, socket, layer, permit));
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                listening.queue = Queue::Empty;
                false
            }
            Err(error) if is_exhausted(&error) => {
                drop(permit);
                self.make_room(index, &error.to_string());
                false
            }
            // A connection that broke before it was accepted.
            Err(_) => true,
        }
    }

    /// RFC 6120 §13.12: beyond the limit for its address a connection goes no further.
    fn turn_away(&self, peer: SocketAddr) {
        if self.shared.permits.may_complain(self.core.now.mono) {
            let peer = peer.ip().to_canonical();
            tracing::warn!(%peer, "turned away: as many connections as max_connections_per_address allows");
        }
    }

    /// There is no permit or no descriptor to accept with. If somebody waits for one, a stranger makes room.
    fn make_room(&mut self, index: usize, why: &str) {
        let Some(listening) = self.listeners.get_mut(index) else {
            return;
        };
        if !listen::is_waited_at(&listening.socket) {
            listening.queue = Queue::Empty;
            return;
        }
        let now = self.core.now.mono;
        match self.shared.permits.make_room(now) {
            Room::Coming => self.accept_at = Some(now + ROOM_REST),
            Room::None => self.rest(why),
        }
    }

    /// Choice: without descriptors clients wait in the listen queue for a while and then find a place or time out. To take
    /// each one only to close it would make them all come back at once.
    fn rest(&mut self, why: &str) {
        if self.shared.permits.may_complain(self.core.now.mono) {
            tracing::warn!("cannot accept connections for now: {why}");
        }
        self.accept_at = Some(self.core.now.mono + ACCEPT_REST);
    }

    /// Reads each connection whose turn it is once; what is left in its socket waits for the next turn, and so does who is not
    /// reached before enough has come.
    fn read(&mut self) {
        let before = self.core.counters.read_bytes.get();
        for _ in 0..self.to_read.len().min(READS_PER_TURN) {
            let came = self.core.counters.read_bytes.get().wrapping_sub(before);
            if came >= TURN_BYTES as u64 {
                return;
            }
            let Some(id) = self.to_read.pop_front() else {
                return;
            };
            let Some(conn) = find(&mut self.conns, id) else {
                continue;
            };
            conn.to_read = Listed::No;
            if !conn.wants_read() {
                continue;
            }
            let fate = conn.read(&mut self.core, &mut self.buffers);
            let ended = conn.has_ended();
            self.settle(id, fate);
            if ended {
                self.list_write(id);
            }
        }
    }

    /// Looks at the deadlines: the core's and those of connections being closed.
    fn expire(&mut self) {
        let now = self.core.now.mono;
        if self.core.shard.poll_timeout().is_some_and(|at| at <= now) {
            self.core.input(Input::Tick);
        }
        while let Some((at, id)) = self.closing.front().copied()
            && at <= now
        {
            self.closing.pop_front();
            self.drop_conn(id, Closed::Eof);
        }
    }

    /// Does all the core asks for. Writing comes after it, so that a connection is written once for all that was handled.
    fn carry_out(&mut self) {
        while let Some(action) = self.core.shard.poll_action() {
            self.core.counters.actions.add(1);
            self.act(action);
        }
        self.core.actions = Actions::Drained;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Answer { id, result } => self.shared.control.answer(id, result),
            Action::Close { conn } => self.close(conn),
            Action::Connect { conn, .. } => {
                let how = Closed::Unconnected(ConnectError::Exhausted);
                self.refused.push(Input::Closed { conn, how });
            }
            Action::Derive {
                ticket,
                password,
                jobs,
            } => {
                let workers = &self.shared.workers;
                if let Err(error) = workers.derive(&self.mailbox, ticket, password, jobs) {
                    let keys = Err(error);
                    self.refused.push(Input::Derived { ticket, keys });
                }
            }
            Action::Flush { conn } => self.list_write(conn),
            Action::HandOff { conn, to } => {
                // Not read until it has arrived.
                self.pause(conn);
                self.moving.push((conn, to));
            }
            Action::Judge {
                ticket,
                account,
                password,
            } => {
                let directories = &self.shared.directories;
                if let Err(Unasked) = directories.judge(&self.mailbox, ticket, &account, password) {
                    let judgement = Judgement::None;
                    self.refused.push(Input::Judged { ticket, judgement });
                }
            }
            Action::Note(what) => note::log(&what),
            Action::Pause { conn } => self.pause(conn),
            Action::Resolve { ticket, lookup } => {
                if let Err(Busy) = self.shared.names.resolve(&self.mailbox, ticket, lookup) {
                    let outcome = Resolved::Failed(LookupError::Busy);
                    self.refused.push(Input::Resolved { ticket, outcome });
                }
            }
            Action::Resume { conn } => self.resume(conn),
            Action::Secure { conn, side, behind } => {
                let pump = match side {
                    TlsSide::Server(host) => Ok(self.pump(Some(host), Opening::Clear)),
                    TlsSide::Client(client) => self.shared.outgoing.pump(&client),
                };
                let Ok(pump) = pump else {
                    return self.drop_conn(conn, Closed::Tls);
                };
                if let Some(conn) = find(&mut self.conns, conn) {
                    conn.secure(pump, behind);
                }
                self.list_write(conn);
            }
            Action::Send(envelope) => {
                self.core.counters.crossed.add(envelope.body.copies());
                if let Err(envelope) = self.mesh.send(envelope) {
                    self.refused.push(Input::Undeliverable(*envelope));
                }
            }
            Action::Standing { conn, standing } => self.stand(conn, standing),
            Action::Store { ticket, batch } => {
                let store = &self.shared.store;
                if let Err(error) = store.submit(&self.mailbox, ticket, batch) {
                    let outcome = Err(error);
                    self.refused.push(Input::Stored { ticket, outcome });
                }
            }
        }
    }

    fn close(&mut self, id: ConnId) {
        if let Some(conn) = find(&mut self.conns, id)
            && conn.finish()
        {
            self.closing.push_back((self.core.now.mono + LINGER, id));
            self.list_write(id);
            self.stand(id, Standing::Stranger);
        }
    }

    /// Permits have become scarce: now it matters who holds them.
    fn take_census(&mut self) {
        for conn in self.conns.iter_mut().flatten() {
            let id = conn.id();
            // Who was chosen before was told then.
            let _ = conn.permit.settle(&self.mailbox, id);
        }
    }

    fn stand(&mut self, id: ConnId, standing: Standing) {
        if let Some(conn) = find(&mut self.conns, id) {
            conn.permit.stand(standing, &self.mailbox, id);
        }
    }

    /// A connection is to make room: the core says what is still to be said to it.
    fn evict(&mut self, conn: ConnId) {
        self.core.input(Input::Evict { conn });
        self.evicted.push(conn);
    }

    /// What its socket took at once is all that an evicted connection hears. One that has signed in meanwhile was not told to close,
    /// and stays.
    ///
    /// Deviation: RFC 6120 §4.4 has us wait for its close_notify, but somebody waits for its place.
    fn drop_evicted(&mut self) {
        for id in std::mem::take(&mut self.evicted) {
            if find(&mut self.conns, id).is_some_and(|conn| conn.is_closing()) {
                self.drop_conn(id, Closed::Eof);
                // There is a place, with the next turn.
                self.accept_at = None;
            }
        }
    }

    fn pause(&mut self, id: ConnId) {
        if let Some(conn) = find(&mut self.conns, id) {
            conn.pause();
        }
    }

    fn resume(&mut self, id: ConnId) {
        let Some(conn) = find(&mut self.conns, id) else {
            return;
        };
        conn.resume();
        let ended = conn.has_ended();
        self.list(id);
        if ended {
            self.list_write(id);
        }
    }

    fn pump(&self, fallback: Option<Domain>, opening: Opening) -> Pump {
        Pump::new(Arc::clone(&self.shared.tls), fallback, opening)
    }

    /// Writes to each connection that has something to write, and goes on in rounds with those whose sockets take it: who reads
    /// is to find its queue empty when the next turn brings more.
    fn write(&mut self) {
        for _ in 0..WRITES_PER_TURN {
            if self.to_write.is_empty() {
                return;
            }
            let mut due = std::mem::take(&mut self.to_write);
            for id in due.drain(..) {
                if let Some(conn) = find(&mut self.conns, id) {
                    conn.to_write = Listed::No;
                    let fate = conn.flush(&mut self.core, &mut self.buffers);
                    self.settle(id, fate);
                }
            }
            // Those with more to write stand in the new list; keep the memory of the old one.
            due.append(&mut self.to_write);
            self.to_write = due;
        }
    }

    /// Gives away what of handshakes would take too long here.
    fn give_steps(&mut self) {
        for (id, step) in std::mem::take(&mut self.core.steps) {
            if find(&mut self.conns, id).is_none() {
                continue;
            }
            if let Err(handshakes::Busy) = self.shared.handshakes.take(&self.mailbox, id, step) {
                let peer = self.core.shard.peer(id);
                note::tls_failed(peer, "too many handshakes by DHE wait already");
                self.drop_conn(id, Closed::Tls);
            }
        }
    }

    fn resume_handshake(&mut self, id: ConnId, taken: Taken) {
        let Some(conn) = find(&mut self.conns, id) else {
            return;
        };
        let fate = conn.resume_handshake(taken, &mut self.core, &mut self.buffers);
        self.settle(id, fate);
        self.list_write(id);
    }

    /// Sends connections to their shards as far as there is room.
    fn hand_off(&mut self) {
        for (id, to) in std::mem::take(&mut self.moving) {
            if find(&mut self.conns, id).is_none() {
                continue;
            }
            if !self.mesh.has_room(to) {
                self.moving.push((id, to));
                continue;
            }
            self.core.actions = Actions::Due;
            // `None`: it is being closed instead.
            let Some(detached) = self.core.shard.detach(id) else {
                continue;
            };
            let Some(mut conn) = self.take(id) else {
                continue;
            };
            if let Err(error) = conn.deregister(self.poll.registry()) {
                if self.shared.permits.may_complain(self.core.now.mono) {
                    tracing::warn!("cannot give a connection away: {error}");
                }
                continue;
            }
            self.core.counters.moved.add(1);
            self.mesh.hand_off(to, Box::new(Moved { conn, detached }));
        }
    }

    fn settle(&mut self, id: ConnId, fate: Fate) {
        match fate {
            Fate::Stays => self.list(id),
            Fate::Gone(how) => self.drop_conn(id, how),
        }
    }

    /// Drops a connection; the core hears of it exactly once, since its slot is empty from then on.
    fn drop_conn(&mut self, id: ConnId, how: Closed) {
        if let Some(mut conn) = self.take(id) {
            // Closing the socket would do; a failure changes nothing.
            let _ = conn.deregister(self.poll.registry());
            conn.tell_unfinished(&self.core);
            drop(conn);
            self.core.input(Input::Closed { conn: id, how });
        }
    }

    fn take(&mut self, id: ConnId) -> Option<Conn> {
        self.conns
            .get_mut(id.key().index())?
            .take_if(|conn| conn.id() == id)
    }

    /// Puts a connection on the lists it belongs to.
    fn list(&mut self, id: ConnId) {
        let Some(conn) = find(&mut self.conns, id) else {
            return;
        };
        if conn.wants_read() && conn.to_read == Listed::No {
            conn.to_read = Listed::Yes;
            self.to_read.push_back(id);
        }
        if conn.wants_write(&self.core) {
            self.list_write(id);
        }
    }

    fn list_write(&mut self, id: ConnId) {
        if let Some(conn) = find(&mut self.conns, id)
            && conn.to_write == Listed::No
        {
            conn.to_write = Listed::Yes;
            self.to_write.push(id);
        }
    }
}

/// The connection that `id` names, unless its slot has a new tenant.
fn find(conns: &mut [Option<Conn>], id: ConnId) -> Option<&mut Conn> {
    conns
        .get_mut(id.key().index())?
        .as_mut()
        .filter(|conn| conn.id() == id)
}

const fn listener_token(index: usize) -> usize {
    usize::MAX - 1 - index
}
