//! What a shard was told, kept so that it can be told again: a run is a list of inputs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use spondee_core::config::Config;
use spondee_core::envelope::{Envelope, Place};
use spondee_core::port::{
    Action, Closed, Command, CommandId, ConnId, DeriveError, Input, Listener, Ticket, TlsInfo,
};
use spondee_core::sasl::ScramKeys;
use spondee_core::shard::{Detached, Shard};
use spondee_core::store::{Reply, StoreError};
use spondee_core::time::Now;

/// An `Input` that owns what it holds.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants are those of Input")]
pub enum Event {
    Bytes(ConnId, Vec<u8>),
    Closed(ConnId, Closed),
    Command(CommandId, Command),
    Delivered(Envelope),
    Derived(Ticket, Result<Vec<ScramKeys>, DeriveError>),
    Evict(ConnId),
    Reload(Arc<Config>),
    Secured(ConnId, TlsInfo),
    Shutdown,
    Stored(Ticket, Result<Vec<Reply>, StoreError>),
    Tick,
    Undeliverable(Envelope),
}

impl Event {
    fn input(&self) -> Input<'_> {
        match self.clone() {
            Self::Bytes(conn, _) => Input::Bytes {
                conn,
                bytes: self.bytes(),
            },
            Self::Closed(conn, how) => Input::Closed { conn, how },
            Self::Command(id, command) => Input::Command { id, command },
            Self::Delivered(envelope) => Input::Delivered(envelope),
            Self::Derived(ticket, keys) => Input::Derived { ticket, keys },
            Self::Evict(conn) => Input::Evict { conn },
            Self::Reload(config) => Input::Reload(config),
            Self::Secured(conn, tls) => Input::Secured { conn, tls },
            Self::Shutdown => Input::Shutdown,
            Self::Stored(ticket, outcome) => Input::Stored { ticket, outcome },
            Self::Tick => Input::Tick,
            Self::Undeliverable(envelope) => Input::Undeliverable(envelope),
        }
    }

    const fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(_, bytes) => bytes.as_slice(),
            Self::Closed(..)
            | Self::Command(..)
            | Self::Delivered(_)
            | Self::Derived(..)
            | Self::Evict(_)
            | Self::Reload(_)
            | Self::Secured(..)
            | Self::Shutdown
            | Self::Stored(..)
            | Self::Tick
            | Self::Undeliverable(_) => &[],
        }
    }
}

#[derive(Clone, Debug)]
enum Call {
    Accept(Now, Listener, SocketAddr),
    Handle(Now, Event),
    Detach(ConnId),
    Attach,
    Poll,
    Sent(ConnId, usize),
}

/// One shard's run: every call, and what it answered.
#[derive(Debug)]
pub struct Log {
    config: Arc<Config>,
    place: Place,
    seed: [u8; 32],
    calls: Vec<Call>,
    transcript: String,
}

impl Log {
    pub(super) const fn new(config: Arc<Config>, place: Place, seed: [u8; 32]) -> Self {
        Self {
            config,
            place,
            seed,
            calls: Vec::new(),
            transcript: String::new(),
        }
    }

    pub(super) fn start(&self) -> Shard {
        Shard::new(self.config.clone(), self.place, self.seed)
    }

    /// How many calls there were.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether there were none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Everything the shard answered: actions in order and the bytes it owed.
    #[must_use]
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Tells a new shard the same again and returns what it answers. `None` if connections came from other shards: those
    /// cannot be kept in a list.
    #[must_use]
    pub fn replay(&self) -> Option<String> {
        let mut log = Self::new(self.config.clone(), self.place, self.seed);
        let mut shard = log.start();
        for call in &self.calls {
            match call.clone() {
                Call::Accept(now, listener, peer) => {
                    log.accept(&mut shard, now, listener, peer);
                }
                Call::Handle(now, event) => log.handle(&mut shard, now, event),
                Call::Detach(conn) => {
                    log.detach(&mut shard, conn);
                }
                Call::Attach => return None,
                Call::Poll => {
                    log.poll(&mut shard);
                }
                Call::Sent(conn, count) => log.sent(&mut shard, conn, count),
            }
        }
        Some(log.transcript)
    }

    /// Tells a new shard the same inputs again and drains it after each `every` of them; returns what each connection was
    /// sent. `None` as for `replay`.
    #[must_use]
    pub fn replay_drained(&self, every: usize) -> Option<BTreeMap<ConnId, Vec<u8>>> {
        let mut shard = self.start();
        let mut sent = BTreeMap::new();
        let mut pending = 0;
        for call in &self.calls {
            match call {
                Call::Accept(now, listener, peer) => {
                    shard.accept(*now, *listener, *peer);
                }
                Call::Handle(now, event) => {
                    // The end of a connection comes when its bytes are out.
                    if matches!(event, Event::Closed(..)) {
                        drain(&mut shard, &mut sent);
                    }
                    shard.handle(*now, event.input());
                }
                Call::Attach | Call::Detach(_) => return None,
                Call::Poll | Call::Sent(..) => continue,
            }
            pending += 1;
            if pending >= every {
                drain(&mut shard, &mut sent);
                pending = 0;
            }
        }
        drain(&mut shard, &mut sent);
        Some(sent)
    }

    pub(super) fn accept(
        &mut self,
        shard: &mut Shard,
        now: Now,
        listener: Listener,
        peer: SocketAddr,
    ) -> ConnId {
        self.calls.push(Call::Accept(now, listener, peer));
        let conn = shard.accept(now, listener, peer);
        self.note(format_args!("{conn:?}"));
        conn
    }

    pub(super) fn handle(&mut self, shard: &mut Shard, now: Now, event: Event) {
        shard.handle(now, event.input());
        self.note(format_args!("{:?}", shard.poll_timeout()));
        self.calls.push(Call::Handle(now, event));
    }

    pub(super) fn detach(&mut self, shard: &mut Shard, conn: ConnId) -> Option<Detached> {
        self.calls.push(Call::Detach(conn));
        shard.detach(conn)
    }

    pub(super) fn attach(&mut self, shard: &mut Shard, now: Now, detached: Detached) -> ConnId {
        self.calls.push(Call::Attach);
        shard.attach(now, detached)
    }

    pub(super) fn poll(&mut self, shard: &mut Shard) -> Option<Action> {
        let action = shard.poll_action();
        if action.is_some() {
            self.calls.push(Call::Poll);
            self.note(format_args!("{action:?}"));
        }
        action
    }

    pub(super) fn sent(&mut self, shard: &mut Shard, conn: ConnId, count: usize) {
        self.calls.push(Call::Sent(conn, count));
        let bytes = shard.outgoing(conn).to_vec();
        self.note(format_args!("{}", String::from_utf8_lossy(&bytes)));
        shard.sent(conn, count);
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.transcript, "{what}");
    }
}

fn drain(shard: &mut Shard, sent: &mut BTreeMap<ConnId, Vec<u8>>) {
    while let Some(action) = shard.poll_action() {
        if let Action::Flush { conn } | Action::Close { conn } = action {
            let bytes = shard.outgoing(conn).to_vec();
            shard.sent(conn, bytes.len());
            sent.entry(conn).or_default().extend(bytes);
        }
    }
}
