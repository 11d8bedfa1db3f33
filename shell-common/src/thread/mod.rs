//! One thread: a shard of the core, its connections, and the turns that join them. Each turn reads up to a bound, hands all that came
//! to the core, then does once what the core asks for.
//!
//! Everything but waiting is here. A shell brings the sockets (`Sockets`), waits for as long as `Thread::timeout` says or until one of them is
//! ready, tells which (`notice`, `somebody_waits`), and has a turn done.

mod accept;
mod act;
mod conn;
mod conns;
mod moves;
mod socket;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use spondee_core::envelope::Place;
use spondee_core::port::{ConnId, Input, Listener};
use spondee_core::shard::Shard;
use spondee_core::time::{Instant, Now};

use crate::clock::Clock;
use crate::control::Control;
use crate::counters::Counters;
use crate::dns::Names;
use crate::handshakes::Handshakes;
use crate::ldap::Directories;
use crate::limits::shell::{READS_PER_TURN, TURN_BYTES, WRITES_PER_TURN};
use crate::link::Buffers;
use crate::mailbox::{Letter, Mailbox};
use crate::mesh::{Inbox, Mail, Mesh, Order, Parcel};
use crate::permits::Permits;
use crate::rest::Left;
use crate::store::Store;
use crate::tls::{Outgoing, Step, TlsHosts};
use crate::work::Workers;

use self::accept::Listening;
use self::conn::{Conn, Listed};
pub use self::moves::Moved;
pub use self::socket::{Coming, Queue, Ready, Room, Socket, Sockets};

/// The shard with the time of the turn.
#[derive(Debug)]
struct Core {
    shard: Shard,
    counters: Arc<Counters>,
    now: Now,
    actions: Actions,
    /// Of handshakes: to be taken by the thread that is there for them.
    steps: Vec<(ConnId, Step)>,
}

/// Whether the core may have something to do for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Actions {
    Drained,
    Due,
}

impl Core {
    /// Hands in one input.
    fn input(&mut self, input: Input<'_>) {
        self.counters.inputs.add(1);
        self.actions = Actions::Due;
        self.shard.handle(self.now, input);
    }
}

/// What all threads share.
#[derive(Clone, Debug)]
pub struct Shared {
    /// One for all, since times travel between them.
    pub clock: Clock,
    /// Has the answers to commands.
    pub control: Control,
    /// Places for connections.
    pub permits: Arc<Permits>,
    /// Storage.
    pub store: Store,
    /// Certificates and what TLS offers.
    pub tls: Arc<TlsHosts>,
    /// PBKDF2.
    pub workers: Workers,
    /// Dear handshakes.
    pub handshakes: Handshakes,
    /// LDAP.
    pub directories: Directories,
    /// DNS.
    pub names: Names,
    /// TLS as a client.
    pub outgoing: Outgoing,
}

/// What a thread is made of, but for its sockets.
#[derive(Debug)]
pub struct Seat<S: Sockets> {
    /// The shard.
    pub shard: Shard,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// Its end of the ways between threads.
    pub mesh: Mesh<Moved<S::Socket>>,
    /// Not blocking.
    pub listeners: Vec<(std::net::TcpListener, Listener)>,
    /// See there.
    pub shared: Shared,
}

/// One shard's thread.
#[derive(Debug)]
pub struct Thread<S: Sockets> {
    sockets: S,
    core: Core,
    mesh: Mesh<Moved<S::Socket>>,
    inbox: Arc<Inbox<Moved<S::Socket>>>,
    mailbox: Arc<dyn Mailbox>,
    shared: Shared,
    listeners: Vec<Listening<S::Listener>>,
    /// Set while there are no descriptors to accept with.
    accept_at: Option<Instant>,
    /// By the index of their key.
    conns: Vec<Option<Conn<S::Socket>>>,
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

impl<S: Sockets> Thread<S> {
    /// Everything set up, nothing done yet. `listen` makes a listener of the shell's of each of the `Seat`'s; readiness of the n-th is told by
    /// `somebody_waits(n)`.
    ///
    /// # Errors
    /// What `listen` says.
    pub fn new<E>(
        seat: Seat<S>,
        mut sockets: S,
        mut listen: impl FnMut(&mut S, usize, std::net::TcpListener) -> Result<S::Listener, E>,
    ) -> Result<Self, E> {
        let Seat {
            shard,
            counters,
            mesh,
            listeners,
            shared,
        } = seat;
        let inbox = Arc::clone(mesh.inbox());
        let mailbox = Arc::clone(&inbox) as Arc<dyn Mailbox>;
        shared.permits.add_thread(Arc::clone(&mailbox));
        let listeners: Result<Vec<_>, E> = listeners
            .into_iter()
            .enumerate()
            .map(|(index, (socket, listener))| {
                Ok(Listening::new(
                    listen(&mut sockets, index, socket)?,
                    listener,
                ))
            })
            .collect();
        let core = Core {
            shard,
            counters,
            now: shared.clock.now(),
            actions: Actions::Due,
            steps: Vec::new(),
        };
        Ok(Self {
            sockets,
            core,
            mesh,
            mailbox,
            inbox,
            shared,
            listeners: listeners?,
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
        })
    }

    /// Whether it was told to end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.life == Life::Over
    }

    /// What the shell brought.
    pub const fn sockets(&mut self) -> &mut S {
        &mut self.sockets
    }

    /// The n-th listener may have somebody in its queue.
    pub fn somebody_waits(&mut self, listener: usize) {
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.somebody_waits();
        }
    }

    /// The socket in this slot is ready. Whose it is by now, if anybody's, does not matter: to be told in vain does no harm.
    pub fn notice(&mut self, slot: usize, ready: Ready) {
        let Some(Some(conn)) = self.conns.get_mut(slot) else {
            return;
        };
        let id = conn.id();
        if let Some(how) = conn.notice(ready, &mut self.core) {
            self.drop_conn(id, how);
        }
        self.list(id);
    }

    /// The time from here on; to be said after waiting, before anything is told.
    pub fn wakes(&mut self) {
        self.core.now = self.shared.clock.now();
    }

    /// One turn, of all that was told since the last one.
    pub fn turn(&mut self) {
        if self.inbox.wake_up() {
            self.take_in();
        }
        for input in std::mem::take(&mut self.refused) {
            self.core.input(input);
        }
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

    /// How long there is nothing to do. Letters and parcels wake by the waker of the thread's inbox.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        let resting = self.accept_at.is_some();
        let busy = self.core.actions == Actions::Due
            || !self.refused.is_empty()
            || !self.to_write.is_empty()
            || !self.to_read.is_empty()
            || !resting && self.listeners.iter().any(Listening::is_waited_at);
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
                Mail::Letter(letter) => self.open(letter),
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

    fn open(&mut self, letter: Letter) {
        let input = match letter {
            Letter::Census => return self.take_census(),
            Letter::Evict(conn) => return self.evict(conn),
            Letter::Handshake(conn, taken) => return self.resume_handshake(conn, *taken),
            Letter::Command(id, command) => Input::Command { id, command },
            Letter::Derived(ticket, keys) => Input::Derived { ticket, keys },
            Letter::Judged(ticket, judgement) => Input::Judged { ticket, judgement },
            Letter::Resolved(ticket, outcome) => Input::Resolved { ticket, outcome },
            Letter::Stored(ticket, outcome) => Input::Stored { ticket, outcome },
        };
        self.core.input(input);
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
            let Some(conn) = conns::find(&mut self.conns, id) else {
                continue;
            };
            conn.to_read = Listed::No;
            if !conn.link.wants_read() {
                continue;
            }
            let fate = conn.read(&mut self.core, &mut self.buffers);
            let ended = conn.link.has_ended();
            self.settle(id, fate);
            if ended {
                self.list_write(id);
            }
        }
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
                if let Some(conn) = conns::find(&mut self.conns, id) {
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
}
