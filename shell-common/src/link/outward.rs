//! What goes out: what the core owes, by way of TLS, and what had to wait until it was written.

use std::mem;

use spondee_core::port::Closed;

use super::{Above, Buffers, Fate, First, Layer, Link, Outward, Phase, Start};
use crate::limits::shell::AHEAD_BYTES;

/// What one call for a write did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wrote {
    /// The socket took so many of the bytes. If that is not all, it is full until the poller says otherwise.
    Taken(usize),
    /// Nothing, for a reason that says nothing of the socket: it may be tried again at once.
    Interrupted,
    /// The connection is broken.
    Broken,
}

impl Link {
    /// Has `socket` write once, if there is anything to write and room for it, and goes on with what had to wait for that.
    pub fn flush(
        &mut self,
        above: &mut impl Above,
        buffers: &mut Buffers,
        socket: impl FnOnce(&[u8]) -> Wrote,
    ) -> Fate {
        if !self.is_blocked()
            && let Err(how) = self.write(above, &mut buffers.cipher, socket)
        {
            return Fate::Gone(how);
        }
        self.advance(above, buffers)
    }

    /// Before it is dropped because TLS failed: the alert. It is a courtesy: if the socket is full, it is not waited for.
    #[must_use]
    pub fn last_words(&self) -> &[u8] {
        &self.unwritten
    }

    fn write(
        &mut self,
        above: &mut impl Above,
        cipher: &mut Vec<u8>,
        socket: impl FnOnce(&[u8]) -> Wrote,
    ) -> Result<(), Closed> {
        if let Layer::Clear = self.layer {
            let owed = above.owed();
            let count = take(owed, &mut self.outward, socket)?;
            above.sent(count);
            return Ok(());
        }
        cipher.clear();
        cipher.append(&mut self.unwritten);
        self.encrypt(above, cipher)?;
        let count = take(cipher, &mut self.outward, socket)?;
        self.unwritten = cipher.get(count..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// Appends records of what the core owes, as far as a write may take it, and close_notify behind the last.
    fn encrypt(&mut self, above: &mut impl Above, cipher: &mut Vec<u8>) -> Result<(), Closed> {
        let last = self.is_last_write();
        if last {
            self.tell_unfinished(above);
        }
        let pump = match &mut self.layer {
            Layer::Clear => return Ok(()),
            // What the core owes cannot be encrypted before the handshake is done.
            Layer::Handshake(pump) => pump,
            Layer::Tls(pump) => {
                let owed = above.owed();
                let count = owed.len().min(AHEAD_BYTES.saturating_sub(cipher.len()));
                let complete = count == owed.len();
                if count > 0 {
                    let plain = owed.get(..count).unwrap_or_default();
                    pump.send(plain, cipher).map_err(|_| Closed::Tls)?;
                    above.sent(count);
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
            Phase::Connecting | Phase::Secure(_) | Phase::Shut | Phase::Drain => false,
        }
    }

    /// Goes on with what waited for the writing.
    fn advance(&mut self, above: &mut impl Above, buffers: &mut Buffers) -> Fate {
        let written = self.has_written_all(above);
        match mem::replace(&mut self.phase, Phase::Open) {
            // Choice: a peer that ended without `</stream:stream>` gets one attempt at what is still owed and no more. One that
            // said it is being closed by the core by now (RFC 6120 §4.4), which gets its time below.
            Phase::Open if self.is_over() => Fate::Gone(Closed::Eof),
            Phase::Open => Fate::Stays,
            Phase::Secure(start) if written => self.start_tls(*start, above, buffers),
            Phase::Finish | Phase::Shut if written && self.has_ended() => Fate::Gone(Closed::Eof),
            Phase::Finish | Phase::Shut if written => {
                self.phase = Phase::Drain;
                Fate::Shuts
            }
            Phase::Drain if self.has_ended() => Fate::Gone(Closed::Eof),
            unchanged @ (Phase::Connecting
            | Phase::Secure(_)
            | Phase::Finish
            | Phase::Shut
            | Phase::Drain) => {
                self.phase = unchanged;
                Fate::Stays
            }
        }
    }

    /// RFC 6120 §5.4.3.1: from here on there is no XML until the handshake is complete.
    fn start_tls(&mut self, start: Start, above: &mut impl Above, buffers: &mut Buffers) -> Fate {
        let Start {
            pump,
            mut behind,
            first,
        } = start;
        self.layer = Layer::Handshake(pump);
        if behind.is_empty() && first == First::Peer {
            return Fate::Stays;
        }
        let Buffers { plain, cipher, .. } = buffers;
        self.take_in(&mut behind, above, plain, cipher)
    }
}

/// One call: how much the socket took.
fn take(
    bytes: &[u8],
    outward: &mut Outward,
    socket: impl FnOnce(&[u8]) -> Wrote,
) -> Result<usize, Closed> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match socket(bytes) {
        Wrote::Taken(count) => {
            if count < bytes.len() {
                *outward = Outward::Blocked;
            }
            Ok(count)
        }
        Wrote::Interrupted => Ok(0),
        Wrote::Broken => Err(Closed::Reset),
    }
}
