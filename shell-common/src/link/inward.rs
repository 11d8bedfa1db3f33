//! What comes in: from the socket by way of TLS to the core.

use std::mem;

use spondee_core::port::Closed;

use super::{Above, Buffers, Fate, Inward, Layer, Link, Phase, Told};
use crate::limits::shell::READ_BYTES;
use crate::tls::{Received, Taken, TlsError};

impl Link {
    /// Takes the first `count` bytes of `buffers.read`, which a read brought. What comes goes to the core, by way of TLS.
    pub fn received(
        &mut self,
        count: usize,
        above: &mut impl Above,
        buffers: &mut Buffers,
    ) -> Fate {
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
        let incoming = read.get_mut(..count).unwrap_or_default();
        if let Phase::Drain = self.phase {
            self.drain(incoming, plain, cipher);
            return Fate::Stays;
        }
        self.take_in(incoming, above, plain, cipher)
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
    pub(super) fn take_in(
        &mut self,
        incoming: &mut [u8],
        above: &mut impl Above,
        plain: &mut Vec<u8>,
        cipher: &mut Vec<u8>,
    ) -> Fate {
        let (Layer::Handshake(pump) | Layer::Tls(pump)) = &mut self.layer else {
            above.bytes(incoming);
            return Fate::Stays;
        };
        plain.clear();
        cipher.clear();
        let result = pump.receive(incoming, plain, cipher);
        if let Some(step) = pump.take_step() {
            above.step(step);
        }
        self.deciphered(result, above, plain, cipher)
    }

    /// What came of a step of its handshake.
    pub fn resume_handshake(
        &mut self,
        taken: Taken,
        above: &mut impl Above,
        buffers: &mut Buffers,
    ) -> Fate {
        let Layer::Handshake(pump) = &mut self.layer else {
            return Fate::Stays;
        };
        let Buffers { plain, cipher, .. } = buffers;
        plain.clear();
        cipher.clear();
        let result = pump.resume(taken, plain, cipher);
        self.deciphered(result, above, plain, cipher)
    }

    /// What TLS made of it: plaintext, and ciphertext of its own.
    fn deciphered(
        &mut self,
        result: Result<Received, TlsError>,
        above: &mut impl Above,
        plain: &[u8],
        cipher: &[u8],
    ) -> Fate {
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
                        above.tell(Told::CertificatePassedOver(&why));
                    }
                    above.secured(tls);
                }
                if received.ended.is_some() {
                    self.inward = Inward::Ended;
                }
            }
            Err(error) => {
                above.tell(Told::TlsFailed(&error.message));
                fate = Fate::Gone(Closed::Tls);
            }
        }
        // What stood in good records before a broken one counts, but nothing is believed before `Secured`.
        if let (Layer::Tls(_), false) = (&self.layer, plain.is_empty()) {
            above.bytes(plain);
        }
        fate
    }
}
