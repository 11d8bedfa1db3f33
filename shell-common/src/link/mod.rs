//! One connection without its socket: what the bytes on it are, which way they may go, and how it comes to its end. It holds no buffer
//! while idle: reading, decrypting and encrypting happen in the thread's.
//!
//! Whoever has the socket tells it what the poller says and what a read or a write did, and asks it what is due: to read, to write these bytes,
//! to shut the outgoing side, to drop the socket. What is above, the core, is `Above`. Knows nothing of sockets, pollers and executors.
//!
//! ```text
//!  Connecting ──connected──> Open ──Secure──> Secure ──all written──> Open, layer Handshake ──Finished──> layer Tls
//!       │                     │                  │
//!       │                     └──────Close───────┴──> Finish ──all encrypted──> Shut ──all written──> Drain ──peer's end──> gone
//!       └──Close──> gone
//! ```

mod inward;
mod outward;
#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "testing"))]
pub mod trial;

use spondee_core::port::{Closed, TlsInfo};

pub use self::outward::Wrote;
use crate::limits::shell::{AHEAD_BYTES, READ_BYTES};
use crate::tls::{Pump, Step};

/// What stands above a connection: the core, as far as it concerns this one.
pub trait Above {
    /// Plaintext of the peer. All of it is taken.
    fn bytes(&mut self, bytes: &[u8]);
    /// The connection that we wanted is open.
    fn connected(&mut self);
    /// What is to be written and is not encrypted yet.
    fn owed(&self) -> &[u8];
    /// TLS is up.
    fn secured(&mut self, tls: TlsInfo);
    /// The first `count` bytes of what was owed are taken.
    fn sent(&mut self, count: usize);
    /// A step of the handshake is to be taken elsewhere, and what comes of it told by `Link::resume_handshake`.
    fn step(&mut self, step: Step);
    /// For the log.
    fn tell(&self, what: Told<'_>);
}

/// What the log should hear.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told<'a> {
    /// What the peer has shown in TLS does not say who it is, and why.
    CertificatePassedOver(&'a str),
    /// TLS failed, and why.
    TlsFailed(&'a str),
}

/// The buffers of a thread.
#[derive(Debug)]
pub struct Buffers {
    /// What a read may take: `READ_BYTES`.
    pub read: Box<[u8]>,
    plain: Vec<u8>,
    cipher: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            read: vec![0; READ_BYTES].into_boxed_slice(),
            plain: Vec::new(),
            cipher: Vec::new(),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Link {
    layer: Layer,
    phase: Phase,
    flow: Flow,
    inward: Inward,
    outward: Outward,
    /// Ciphertext that the socket did not take yet.
    unwritten: Vec<u8>,
}

/// What the bytes of the socket are.
#[derive(Debug)]
enum Layer {
    /// XML.
    Clear,
    /// A TLS handshake.
    Handshake(Pump),
    /// TLS records.
    Tls(Pump),
}

#[derive(Debug)]
enum Phase {
    /// We want it, and it is not open yet.
    Connecting,
    Open,
    /// TLS follows when what was owed before is written. Until then nothing is read.
    Secure(Box<Start>),
    /// Told to close: what the core still owes is written first.
    Finish,
    /// Everything is encrypted, close_notify too, but not yet written.
    Shut,
    /// Our side is shut. What the peer still sends is read and forgotten: to close a socket that holds unread bytes resets the
    /// connection, and the stream error on its way to the peer would be lost.
    Drain,
}

/// What TLS starts with.
#[derive(Debug)]
struct Start {
    pump: Pump,
    /// Read already.
    behind: Vec<u8>,
    first: First,
}

/// Who says the first word of a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum First {
    /// The peer, which is the client.
    Peer,
    /// We are the client.
    We,
}

/// Whether the core wants input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    Running,
    Paused,
}

/// What is known of the socket's incoming side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Inward {
    /// Nothing there until the poller says so.
    Dry,
    /// There may be something.
    Ready,
    /// There may be something, and behind it the end, of which the poller will not tell again.
    Ending,
    /// The peer will send nothing more.
    Ended,
}

/// What is known of the socket's outgoing side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outward {
    Ready,
    /// Full until the poller says otherwise.
    Blocked,
}

/// What is to be done with the socket next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Fate {
    /// Nothing, until something happens or `wants_read` or `wants_write` say so.
    Stays,
    /// Its outgoing side is to be shut: nothing more will be written.
    Shuts,
    /// It is to be dropped, and the core told.
    Gone(Closed),
}

impl Link {
    /// A connection just accepted that begins with XML.
    #[must_use]
    pub const fn accepted() -> Self {
        Self::new(Layer::Clear, Phase::Open)
    }

    /// A connection just accepted that begins with the hello of TLS.
    #[must_use]
    pub const fn accepted_tls(pump: Pump) -> Self {
        Self::new(Layer::Handshake(pump), Phase::Open)
    }

    /// A connection of ours that is being opened.
    #[must_use]
    pub const fn connecting() -> Self {
        Self::new(Layer::Clear, Phase::Connecting)
    }

    const fn new(layer: Layer, phase: Phase) -> Self {
        Self {
            layer,
            phase,
            flow: Flow::Running,
            // Most clients speak first, and the poller will say so.
            inward: Inward::Dry,
            outward: Outward::Ready,
            unwritten: Vec::new(),
        }
    }

    /// The poller says that there is something to read.
    pub fn readable(&mut self) {
        if self.inward == Inward::Dry {
            self.inward = Inward::Ready;
        }
    }

    /// The poller says, for the last time, that there is something to read, perhaps, and the end or an error behind it.
    pub fn ending(&mut self) {
        if self.inward != Inward::Ended {
            self.inward = Inward::Ending;
        }
    }

    /// The poller says that there is room for a write.
    pub const fn writable(&mut self) {
        self.outward = Outward::Ready;
    }

    /// A read brought nothing: there is nothing until the poller says so.
    pub const fn emptied(&mut self) {
        self.inward = Inward::Dry;
    }

    /// A read found the peer's end.
    pub const fn ended(&mut self) {
        self.inward = Inward::Ended;
    }

    /// The connection of ours is open.
    pub fn connected(&mut self, above: &mut impl Above) {
        if let Phase::Connecting = self.phase {
            self.phase = Phase::Open;
            above.connected();
        }
    }

    /// Whether that it opens is waited for.
    #[must_use]
    pub const fn is_connecting(&self) -> bool {
        matches!(self.phase, Phase::Connecting)
    }

    /// It is another thread's now. The core says when to read; what the socket holds by then, its new poller tells.
    pub const fn moved(&mut self) {
        self.flow = Flow::Paused;
    }

    /// Stops reading.
    pub const fn pause(&mut self) {
        self.flow = Flow::Paused;
    }

    /// Reads again. Nothing decrypted is ever held back, and that the socket has something was noted while it was paused.
    pub const fn resume(&mut self) {
        self.flow = Flow::Running;
    }

    /// Starts TLS when everything owed is written. `behind` was read already and belongs to TLS.
    pub fn secure(&mut self, pump: Pump, behind: Vec<u8>, first: First) {
        if let (Phase::Open, Layer::Clear) = (&self.phase, &self.layer) {
            self.phase = Phase::Secure(Box::new(Start {
                pump,
                behind,
                first,
            }));
        }
    }

    /// Closes when everything owed is written.
    pub fn finish(&mut self) -> Finish {
        match self.phase {
            // There is nobody to say anything to.
            Phase::Connecting => Finish::AtOnce,
            Phase::Open | Phase::Secure(_) => {
                self.phase = Phase::Finish;
                Finish::InOrder
            }
            Phase::Finish | Phase::Shut | Phase::Drain => Finish::UnderWay,
        }
    }

    /// Whether it was told to close.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Open | Phase::Secure(_) => false,
            Phase::Finish | Phase::Shut | Phase::Drain => true,
        }
    }

    /// Whether the socket's incoming side is to be waited for: nothing is known to be there.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.inward == Inward::Dry
    }

    /// Whether the socket's outgoing side is to be waited for: it is full, or not open yet.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.outward == Outward::Blocked || self.is_connecting()
    }

    /// Whether the peer has ended, which `advance` acts upon.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.inward == Inward::Ended
    }

    /// Whether a read is due.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        let allowed = match self.phase {
            // Records of TLS itself come on top of what `encrypt` allows. A peer that provokes them without end and reads none
            // (key updates) is not heard until it reads.
            Phase::Open => {
                self.flow == Flow::Running
                    && self.unwritten.len() <= 2 * AHEAD_BYTES
                    && !self.is_away()
            }
            Phase::Drain => true,
            Phase::Connecting | Phase::Secure(_) | Phase::Finish | Phase::Shut => false,
        };
        allowed && matches!(self.inward, Inward::Ready | Inward::Ending)
    }

    /// Whether a write is due and has a chance.
    #[must_use]
    pub fn wants_write(&self, above: &impl Above) -> bool {
        !self.is_blocked() && !self.has_written_all(above)
    }

    /// Before it is dropped: says so in the log if that is in the middle of a TLS handshake.
    pub fn tell_unfinished(&self, above: &impl Above) {
        if let Layer::Handshake(pump) = &self.layer
            && pump.has_begun()
        {
            above.tell(Told::TlsFailed("the handshake was not completed"));
        }
    }

    /// Whether a step of its handshake is taken elsewhere.
    const fn is_away(&self) -> bool {
        match &self.layer {
            Layer::Handshake(pump) => pump.is_away(),
            Layer::Clear | Layer::Tls(_) => false,
        }
    }

    /// Whether the peer has ended and the core has taken in all it sent. While the core is paused, something of that may still
    /// wait in it for an answer, so its end waits too.
    fn is_over(&self) -> bool {
        self.inward == Inward::Ended && self.flow == Flow::Running
    }

    fn has_written_all(&self, above: &impl Above) -> bool {
        self.unwritten.is_empty()
            && (matches!(self.layer, Layer::Handshake(_)) || above.owed().is_empty())
    }
}

/// How a connection closes that was told to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finish {
    /// It was not open yet: it is to be dropped.
    AtOnce,
    /// What is owed goes first, and the peer has some time for its own end.
    InOrder,
    /// It was told before.
    UnderWay,
}
