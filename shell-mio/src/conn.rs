//! One connection: its socket, its TLS, and what is pending in either direction. It holds no buffer while idle: reading,
//! decrypting and encrypting happen in the thread's.
//!
//! ```text
//!  Open ──Secure──> Secure ──all written──> Open, layer Handshake ──Finished──> layer Tls
//!   │                  │
//!   └──────Close───────┴──> Finish ──all encrypted──> Shut ──all written──> Drain ──peer's end──> gone
//! ```

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::mem;
use std::net::Shutdown;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use spondee_core::port::{Closed, ConnId, Input};
use spondee_core::shard::Detached;
use spondee_shell_common::counters::Counters;
use spondee_shell_common::limits::shell::{AHEAD_BYTES, READ_BYTES};
use spondee_shell_common::note;
use spondee_shell_common::permits::Permit;
use spondee_shell_common::tls::{Pump, Received, Taken, TlsError};

use crate::shard::Core;

/// The buffers of a thread.
#[derive(Debug)]
pub(crate) struct Buffers {
    read: Box<[u8]>,
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

/// A connection with its place among the open ones.
#[derive(Debug)]
pub(crate) struct Conn {
    id: ConnId,
    socket: TcpStream,
    layer: Layer,
    phase: Phase,
    flow: Flow,
    inward: Inward,
    outward: Outward,
    /// Ciphertext that the socket did not take yet.
    unwritten: Vec<u8>,
    /// Whether it stands in the thread's list of those to read.
    pub(crate) to_read: Listed,
    /// Whether it stands in the thread's list of those to write.
    pub(crate) to_write: Listed,
    pub(crate) permit: Permit,
}

/// A connection between two threads.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) conn: Conn,
    pub(crate) detached: Detached,
}

/// What the bytes of the socket are.
#[derive(Debug)]
pub(crate) enum Layer {
    /// XML.
    Clear,
    /// A TLS handshake.
    Handshake(Pump),
    /// TLS records.
    Tls(Pump),
}

#[derive(Debug)]
enum Phase {
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

/// Membership of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Listed {
    No,
    Yes,
}

/// What becomes of a connection after it was read or written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(crate) enum Fate {
    Stays,
    /// To be dropped, and the core told.
    Gone(Closed),
}

impl Conn {
    /// A connection just accepted.
    pub(crate) const fn new(id: ConnId, socket: TcpStream, layer: Layer, permit: Permit) -> Self {
        Self {
            id,
            socket,
            layer,
            phase: Phase::Open,
            flow: Flow::Running,
            // Most clients speak first, and the poller will say so.
            inward: Inward::Dry,
            outward: Outward::Ready,
            unwritten: Vec::new(),
            to_read: Listed::No,
            to_write: Listed::No,
            permit,
        }
    }

    /// Its name in the core.
    pub(crate) const fn id(&self) -> ConnId {
        self.id
    }

    /// A new name, on a new thread. The core says when to read; what the socket holds by then, registering it tells.
    pub(crate) fn rename(&mut self, id: ConnId) {
        self.id = id;
        self.flow = Flow::Paused;
        (self.to_read, self.to_write) = (Listed::No, Listed::No);
    }

    /// Registers it for both directions, once for its life on this thread: the poller tells of edges.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(
            &mut self.socket,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Takes it from a thread's poller.
    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket)
    }

    /// Notes what the poller says.
    pub(crate) fn notice(&mut self, event: &Event) {
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            self.outward = Outward::Ready;
        }
        if self.inward == Inward::Ended {
            return;
        }
        if event.is_read_closed() || event.is_error() {
            self.inward = Inward::Ending;
        } else if event.is_readable() && self.inward == Inward::Dry {
            self.inward = Inward::Ready;
        }
    }

    /// Whether a read is due.
    pub(crate) fn wants_read(&self) -> bool {
        let allowed = match self.phase {
            // Records of TLS itself come on top of what `encrypt` allows. A peer that provokes them without end and reads none
            // (key updates) is not heard until it reads.
            Phase::Open => {
                self.flow == Flow::Running
                    && self.unwritten.len() <= 2 * AHEAD_BYTES
                    && !self.is_away()
            }
            Phase::Drain => true,
            Phase::Secure(_) | Phase::Finish | Phase::Shut => false,
        };
        allowed && matches!(self.inward, Inward::Ready | Inward::Ending)
    }

    /// Whether a step of its handshake is taken elsewhere.
    const fn is_away(&self) -> bool {
        match &self.layer {
            Layer::Handshake(pump) => pump.is_away(),
            Layer::Clear | Layer::Tls(_) => false,
        }
    }

    /// Whether a write is due and has a chance.
    pub(crate) fn wants_write(&self, core: &Core) -> bool {
        self.outward == Outward::Ready && !self.has_written_all(core)
    }

    /// Whether the peer has ended, which `flush` acts upon.
    pub(crate) fn has_ended(&self) -> bool {
        self.inward == Inward::Ended
    }

    /// Before it is closed: says so in the log if that is in the middle of a TLS handshake.
    pub(crate) fn tell_unfinished(&self, core: &Core) {
        if let Layer::Handshake(pump) = &self.layer
            && pump.has_begun()
        {
            note::tls_failed(core.shard.peer(self.id), "the handshake was not completed");
        }
    }

    /// Stops reading.
    pub(crate) const fn pause(&mut self) {
        self.flow = Flow::Paused;
    }

    /// Reads again. Nothing decrypted is ever held back, and that the socket has something was noted while it was paused.
    pub(crate) const fn resume(&mut self) {
        self.flow = Flow::Running;
    }

    /// Starts TLS when everything owed is written. `behind` was read already and belongs to TLS.
    pub(crate) fn secure(&mut self, pump: Pump, behind: Vec<u8>) {
        if let (Phase::Open, Layer::Clear) = (&self.phase, &self.layer) {
            self.phase = Phase::Secure(Box::new(Start { pump, behind }));
        }
    }

    /// Closes when everything owed is written. `false` if it was told before.
    pub(crate) fn finish(&mut self) -> bool {
        match self.phase {
            Phase::Open | Phase::Secure(_) => {
                self.phase = Phase::Finish;
                true
            }
            Phase::Finish | Phase::Shut | Phase::Drain => false,
        }
    }

    /// Whether it was told to close.
    pub(crate) const fn is_closing(&self) -> bool {
        match self.phase {
            Phase::Open | Phase::Secure(_) => false,
            Phase::Finish | Phase::Shut | Phase::Drain => true,
        }
    }

    /// Reads once. What comes goes to the core, by way of TLS.
    pub(crate) fn read(&mut self, core: &mut Core, buffers: &mut Buffers) -> Fate {
        let count = match self.socket.read(&mut buffers.read) {
            Ok(0) => {
                self.inward = Inward::Ended;
                return Fate::Stays;
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.inward = Inward::Dry;
                return Fate::Stays;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Fate::Stays,
            Err(_) => return Fate::Gone(Closed::Reset),
        };
        core.counters.reads.add(1);
        core.counters.read_bytes.add(count);
        // A short read has emptied the socket (epoll(7), "Do I need to continuously read/write"), and kqueue tells of what
        // comes later: one call saved for every message.
        if count < READ_BYTES && self.inward == Inward::Ready {
            self.inward = Inward::Dry;
        }
        let Buffers {
            read,
            plain,
            cipher,
        } = buffers;
        let incoming = &mut read[..count];
        if let Phase::Drain = self.phase {
            self.drain(incoming, plain, cipher);
            return Fate::Stays;
        }
        self.receive(incoming, core, plain, cipher)
    }

    /// Looks for nothing but the answer to our close_notify, which RFC 6120 §4.4 wants to be waited for.
    fn drain(&mut self, incoming: &mut [u8], plain: &mut Vec<u8>, cipher: &mut Vec<u8>) {
        if let Layer::Tls(pump) = &mut self.layer {
            plain.clear();
            cipher.clear();
            let received = pump.receive(incoming, plain, cipher);
            if received.is_ok_and(|received| received.ended.is_none()) {
                return;
            }
            self.inward = Inward::Ended;
        }
    }

    /// Bytes of the peer, from the socket or from behind `<starttls/>`.
    fn receive(
        &mut self,
        incoming: &mut [u8],
        core: &mut Core,
        plain: &mut Vec<u8>,
        cipher: &mut Vec<u8>,
    ) -> Fate {
        let conn = self.id;
        let (Layer::Handshake(pump) | Layer::Tls(pump)) = &mut self.layer else {
            let bytes = &*incoming;
            core.input(Input::Bytes { conn, bytes });
            return Fate::Stays;
        };
        plain.clear();
        cipher.clear();
        let result = pump.receive(incoming, plain, cipher);
        if let Some(step) = pump.take_step() {
            core.steps.push((conn, step));
        }
        self.received(result, core, plain, cipher)
    }

    /// What came of a step of its handshake.
    pub(crate) fn resume_handshake(
        &mut self,
        taken: Taken,
        core: &mut Core,
        buffers: &mut Buffers,
    ) -> Fate {
        let Layer::Handshake(pump) = &mut self.layer else {
            return Fate::Stays;
        };
        let Buffers { plain, cipher, .. } = buffers;
        plain.clear();
        cipher.clear();
        let result = pump.resume(taken, plain, cipher);
        self.received(result, core, plain, cipher)
    }

    /// What TLS made of it: plaintext, and ciphertext of its own.
    fn received(
        &mut self,
        result: Result<Received, TlsError>,
        core: &mut Core,
        plain: &[u8],
        cipher: &[u8],
    ) -> Fate {
        let conn = self.id;
        self.unwritten.extend_from_slice(cipher);
        let mut fate = Fate::Stays;
        match result {
            Ok(received) => {
                if let Some(tls) = received.secured {
                    self.layer = match mem::replace(&mut self.layer, Layer::Clear) {
                        Layer::Handshake(pump) => Layer::Tls(pump),
                        other @ (Layer::Clear | Layer::Tls(_)) => other,
                    };
                    if let Some(why) = received.passed_over {
                        note::certificate_passed_over(core.shard.peer(conn), &why);
                    }
                    let tls = Box::new(tls);
                    core.input(Input::Secured { conn, tls });
                }
                if received.ended.is_some() {
                    self.inward = Inward::Ended;
                }
            }
            Err(error) => {
                note::tls_failed(core.shard.peer(conn), &error.message);
                // The alert is a courtesy: if the socket is full, it is not waited for.
                let _ = self.socket.write(&self.unwritten);
                fate = Fate::Gone(Closed::Tls);
            }
        }
        // What stood in good records before a broken one counts, but nothing is believed before `Secured`.
        if let (Layer::Tls(_), false) = (&self.layer, plain.is_empty()) {
            core.input(Input::Bytes { conn, bytes: plain });
        }
        fate
    }

    /// Writes once, if the socket takes anything, and does what had to wait for that.
    pub(crate) fn flush(&mut self, core: &mut Core, buffers: &mut Buffers) -> Fate {
        if self.outward == Outward::Ready
            && let Err(how) = self.write(core, &mut buffers.cipher)
        {
            return Fate::Gone(how);
        }
        self.advance(core, buffers)
    }

    fn write(&mut self, core: &mut Core, cipher: &mut Vec<u8>) -> Result<(), Closed> {
        if let Layer::Clear = self.layer {
            let owed = core.shard.outgoing(self.id);
            let count = write_once(&mut self.socket, owed, &mut self.outward, &core.counters)?;
            core.shard.sent(self.id, count);
            return Ok(());
        }
        cipher.clear();
        cipher.append(&mut self.unwritten);
        self.encrypt(core, cipher)?;
        let count = write_once(&mut self.socket, cipher, &mut self.outward, &core.counters)?;
        self.unwritten = cipher.get(count..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// Appends records of what the core owes, as far as a write may take it, and close_notify behind the last.
    fn encrypt(&mut self, core: &mut Core, cipher: &mut Vec<u8>) -> Result<(), Closed> {
        let last = self.is_last_write();
        if last {
            self.tell_unfinished(core);
        }
        let pump = match &mut self.layer {
            Layer::Clear => return Ok(()),
            // What the core owes cannot be encrypted before the handshake is done.
            Layer::Handshake(pump) => pump,
            Layer::Tls(pump) => {
                let owed = core.shard.outgoing(self.id);
                let count = owed.len().min(AHEAD_BYTES.saturating_sub(cipher.len()));
                let complete = count == owed.len();
                if count > 0 {
                    let plain = owed.get(..count).unwrap_or_default();
                    pump.send(plain, cipher).map_err(|_| Closed::Tls)?;
                    core.shard.sent(self.id, count);
                }
                if !complete {
                    return Ok(());
                }
                pump
            }
        };
        if last {
            pump.close(cipher);
            if let Phase::Finish = self.phase {
                self.phase = Phase::Shut;
            }
        }
        Ok(())
    }

    /// Whether nothing can follow what the core owes now.
    fn is_last_write(&self) -> bool {
        match self.phase {
            Phase::Finish => true,
            Phase::Open => self.is_over(),
            Phase::Secure(_) | Phase::Shut | Phase::Drain => false,
        }
    }

    /// Whether the peer has ended and the core has taken in all it sent. While the core is paused, something of that may still
    /// wait in it for an answer, so its end waits too.
    fn is_over(&self) -> bool {
        self.inward == Inward::Ended && self.flow == Flow::Running
    }

    fn has_written_all(&self, core: &Core) -> bool {
        self.unwritten.is_empty()
            && (matches!(self.layer, Layer::Handshake(_))
                || core.shard.outgoing(self.id).is_empty())
    }

    /// Goes on with what waited for the writing.
    fn advance(&mut self, core: &mut Core, buffers: &mut Buffers) -> Fate {
        let written = self.has_written_all(core);
        match mem::replace(&mut self.phase, Phase::Open) {
            // Choice: a peer that ended without `</stream:stream>` gets one attempt at what is still owed and no more. One that
            // said it is being closed by the core by now (RFC 6120 §4.4), which gets its time below.
            Phase::Open if self.is_over() => return Fate::Gone(Closed::Eof),
            Phase::Open => {}
            Phase::Secure(start) if written => return self.start_tls(*start, core, buffers),
            Phase::Finish | Phase::Shut if written => {
                // Fails only if the connection is broken already, which the next read finds out.
                let _ = self.socket.shutdown(Shutdown::Write);
                if self.inward == Inward::Ended {
                    return Fate::Gone(Closed::Eof);
                }
                self.phase = Phase::Drain;
            }
            unchanged @ (Phase::Secure(_) | Phase::Finish | Phase::Shut | Phase::Drain) => {
                self.phase = unchanged;
            }
        }
        if let (Phase::Drain, Inward::Ended) = (&self.phase, self.inward) {
            return Fate::Gone(Closed::Eof);
        }
        Fate::Stays
    }

    /// RFC 6120 §5.4.3.1: from here on there is no XML until the handshake is complete.
    fn start_tls(&mut self, start: Start, core: &mut Core, buffers: &mut Buffers) -> Fate {
        let Start { pump, mut behind } = start;
        self.layer = Layer::Handshake(pump);
        if behind.is_empty() {
            return Fate::Stays;
        }
        let Buffers { plain, cipher, .. } = buffers;
        self.receive(&mut behind, core, plain, cipher)
    }
}

/// One call: how much the socket took.
fn write_once(
    socket: &mut TcpStream,
    bytes: &[u8],
    outward: &mut Outward,
    counters: &Counters,
) -> Result<usize, Closed> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let count = match socket.write(bytes) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(0),
        Err(_) => return Err(Closed::Reset),
    };
    counters.writes.add(1);
    counters.written_bytes.add(count);
    if count < bytes.len() {
        *outward = Outward::Blocked;
    }
    Ok(count)
}
