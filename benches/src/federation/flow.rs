//! Pairs of accounts, one on each server: half of them send from the first server to the second, the others back, each with so many messages
//! under way. A message that comes makes room for the next.
//!
//! One thread for each pair, which does nothing but read, count ends of messages, and write: each message in a write of its own, so that
//! what a server gathers is its own doing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use spec_tests::client::PATIENCE;
use spec_tests::federation::World;
use spec_tests::federation::peer::Peer;

use super::outcome::{Outcome, Unit};
use crate::load::Cpu;

const MESSAGE_END: &[u8] = b"</message>";

/// A hundred bytes.
const BODY: &str = "But soft, what light through yonder window breaks? It is the east, \
    and Juliet is the sun. Arise, so.";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Pairs of accounts.
    pub pairs: usize,
    /// Messages of a pair that are under way.
    pub window: usize,
    /// Before anything counts, once all links are up.
    pub warm_up: Duration,
    /// How long it is measured.
    pub lasts: Duration,
}

/// Both ends of a pair.
struct Pair {
    from: TcpStream,
    to: TcpStream,
    /// What the one writes.
    message: Vec<u8>,
}

impl Flow {
    /// Between these servers, on which there are these accounts.
    ///
    /// # Errors
    /// What failed, in words.
    pub fn measure(&self, world: &World<2>, names: &[&str]) -> Result<Outcome, String> {
        let [first, second] = &world.peers;
        let mut pairs = Vec::new();
        for (at, name) in names.iter().take(self.pairs).enumerate() {
            let (from, to) = match at % 2 {
                0 => (first, second),
                _ => (second, first),
            };
            let mut pair = Pair::begin(from, to, name)?;
            // What brings the link up is one message, not a window of them.
            pair.send(1)?;
            let deadline = Instant::now() + PATIENCE;
            while pair.receive(&mut Vec::new())? == 0 {
                if Instant::now() > deadline {
                    return Err(format!("nothing comes to {name} at {}", to.domain()));
                }
            }
            pairs.push(pair);
        }
        let (count, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let ids = [first.id(), second.id()];
        std::thread::scope(|scope| {
            let working: Vec<_> = pairs
                .into_iter()
                .map(|pair| scope.spawn(|| pair.work(self.window, &count, &is_over)))
                .collect();
            std::thread::sleep(self.warm_up);
            let mark = || (ids.map(Cpu::of), count.load(Ordering::Relaxed));
            let (begun, (before, from)) = (Instant::now(), mark());
            std::thread::sleep(self.lasts);
            let (wall, (after, to)) = (begun.elapsed(), mark());
            is_over.store(true, Ordering::Relaxed);
            for one in working {
                one.join().map_err(|_| "a client failed".to_owned())??;
            }
            let cpu = after.iter().zip(&before);
            Ok(Outcome {
                unit: Unit::Messages,
                count: to - from,
                cpu: cpu.map(|(after, before)| after.since(before)).sum(),
                wall,
            })
        })
    }
}

impl Pair {
    fn begin(from: &Peer, to: &Peer, name: &str) -> Result<Self, String> {
        let (from, _) = sign_in(from, name)?;
        let (to, address) = sign_in(to, name)?;
        to.set_read_timeout(Some(Duration::from_millis(100)))
            .map_err(|e| e.to_string())?;
        let message =
            format!("<message to='{address}' type='chat' id='m1'><body>{BODY}</body></message>");
        Ok(Self {
            from,
            to,
            message: message.into_bytes(),
        })
    }

    fn send(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let sent = self.from.write_all(&self.message);
            sent.map_err(|e| format!("send: {e}"))?;
        }
        Ok(())
    }

    /// How many messages have come. What of the last is still missing is kept in `unread`.
    fn receive(&mut self, unread: &mut Vec<u8>) -> Result<usize, String> {
        let mut buffer = [0; 16 * 1024];
        let count = match self.to.read(&mut buffer) {
            Ok(0) => return Err("the server closed the connection".to_owned()),
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(0),
            Err(e) => return Err(format!("read: {e}")),
        };
        unread.extend_from_slice(&buffer[..count]);
        let (mut messages, mut end) = (0, 0);
        for at in Finder::new(MESSAGE_END).find_iter(unread) {
            messages += 1;
            end = at + MESSAGE_END.len();
        }
        unread.drain(..end);
        Ok(messages)
    }

    fn work(
        mut self,
        window: usize,
        count: &AtomicUsize,
        is_over: &AtomicBool,
    ) -> Result<(), String> {
        let mut unread = Vec::new();
        let mut last = Instant::now();
        self.send(window)?;
        while !is_over.load(Ordering::Relaxed) {
            let came = self.receive(&mut unread)?;
            if came > 0 {
                last = Instant::now();
                count.fetch_add(came, Ordering::Relaxed);
                self.send(came)?;
            } else if last.elapsed() > PATIENCE {
                return Err("messages are lost".to_owned());
            }
        }
        Ok(())
    }
}

/// An available session, and its address.
fn sign_in(peer: &Peer, name: &str) -> Result<(TcpStream, String), String> {
    let (mut client, address) = peer.sign_in(name)?;
    client.send("<presence/><iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")?;
    client.next_where(PATIENCE, |element| {
        element.attribute("id") == Some("roster")
    })?;
    Ok((client.into_socket()?, address))
}
