//! What a shard was told, kept so that it can be told again: a run is a list of inputs.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::policy::{Bounds, Recording};
use crate::config::Config;
use crate::envelope::Place;
use crate::port::{Action, ConnId, Input, Listener};
use crate::shard::{Detached, Shard};
use crate::time::Now;

/// An input that can be kept.
#[derive(Clone, Debug)]
pub enum Told {
    /// `Input::Bytes`, with bytes of its own.
    Bytes(ConnId, Vec<u8>),
    /// Every other.
    Other(Input<'static>),
}

impl Told {
    fn input(&self) -> Input<'_> {
        match self {
            Self::Bytes(conn, bytes) => Input::Bytes { conn: *conn, bytes },
            Self::Other(input) => input.clone(),
        }
    }
}

#[derive(Clone, Debug)]
enum Call {
    Accept(Now, Listener, SocketAddr),
    Handle(Now, Told),
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
    recording: Recording,
    bounds: Option<Bounds>,
    /// How many calls there were, kept or not.
    count: u64,
    calls: Vec<Call>,
    transcript: String,
}

impl Log {
    pub(super) const fn new(
        config: Arc<Config>,
        place: Place,
        seed: [u8; 32],
        recording: Recording,
    ) -> Self {
        Self {
            config,
            place,
            seed,
            recording,
            bounds: None,
            count: 0,
            calls: Vec::new(),
            transcript: String::new(),
        }
    }

    pub(super) const fn with_bounds(mut self, bounds: Option<Bounds>) -> Self {
        self.bounds = bounds;
        self
    }

    pub(super) fn start(&self) -> Shard {
        let mut shard = Shard::new(self.config.clone(), self.place, self.seed);
        if let Some(Bounds {
            credit,
            idle,
            endings,
        }) = self.bounds
        {
            shard.narrow(credit, idle, endings);
        }
        shard
    }

    /// How many calls there were.
    pub(super) const fn calls(&self) -> u64 {
        self.count
    }

    /// Everything the shard answered: actions in order and the bytes it owed. Empty if it is not kept.
    #[must_use]
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Tells a new shard the same again and returns what it answers. `None` if connections came from other shards: those
    /// cannot be kept in a list.
    #[must_use]
    pub fn replay(&self) -> Option<String> {
        let log = Self::new(self.config.clone(), self.place, self.seed, Recording::On);
        let mut log = log.with_bounds(self.bounds);
        let mut shard = log.start();
        for call in &self.calls {
            match call.clone() {
                Call::Accept(now, listener, peer) => {
                    log.accept(&mut shard, now, listener, peer);
                }
                Call::Handle(now, Told::Bytes(conn, bytes)) => {
                    log.bytes(&mut shard, now, conn, &bytes);
                }
                Call::Handle(now, Told::Other(input)) => log.handle(&mut shard, now, input),
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
                Call::Handle(now, told) => {
                    // The end of a connection comes when its bytes are out.
                    if matches!(told, Told::Other(Input::Closed { .. })) {
                        drain(&mut shard, &mut sent);
                    }
                    shard.handle(*now, told.input());
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
        self.keep(|| Call::Accept(now, listener, peer));
        let conn = shard.accept(now, listener, peer);
        self.note(|| format!("{conn:?}"));
        conn
    }

    pub(super) fn handle(&mut self, shard: &mut Shard, now: Now, input: Input<'static>) {
        self.keep(|| Call::Handle(now, Told::Other(input.clone())));
        shard.handle(now, input);
        self.note(|| format!("{:?}", shard.poll_timeout()));
    }

    pub(super) fn bytes(&mut self, shard: &mut Shard, now: Now, conn: ConnId, bytes: &[u8]) {
        self.keep(|| Call::Handle(now, Told::Bytes(conn, bytes.to_vec())));
        shard.handle(now, Input::Bytes { conn, bytes });
        self.note(|| format!("{:?}", shard.poll_timeout()));
    }

    pub(super) fn detach(&mut self, shard: &mut Shard, conn: ConnId) -> Option<Detached> {
        self.keep(|| Call::Detach(conn));
        shard.detach(conn)
    }

    pub(super) fn attach(&mut self, shard: &mut Shard, now: Now, detached: Detached) -> ConnId {
        self.keep(|| Call::Attach);
        shard.attach(now, detached)
    }

    pub(super) fn poll(&mut self, shard: &mut Shard) -> Option<Action> {
        let action = shard.poll_action();
        if action.is_some() {
            self.keep(|| Call::Poll);
            self.note(|| format!("{action:?}"));
        }
        action
    }

    pub(super) fn sent(&mut self, shard: &mut Shard, conn: ConnId, count: usize) {
        self.keep(|| Call::Sent(conn, count));
        self.note(|| String::from_utf8_lossy(shard.outgoing(conn)).into_owned());
        shard.sent(conn, count);
    }

    fn keep(&mut self, call: impl FnOnce() -> Call) {
        self.count += 1;
        if self.recording == Recording::On {
            self.calls.push(call());
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.recording == Recording::On {
            self.transcript.push_str(&what());
            self.transcript.push('\n');
        }
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
