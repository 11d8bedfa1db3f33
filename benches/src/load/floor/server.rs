//! The floors' server: one thread, one poller.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;

use super::Kind;
use super::tls::Tls;
use crate::load::heard::number_of;
use crate::scenarios::{CHAT_BYTES, SignIn, content};

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;
const STREAM_END: &[u8] = b"</stream:stream>";

/// See the module.
#[derive(Debug)]
pub(super) struct Server {
    kind: Kind,
    config: Option<Arc<ServerConfig>>,
    /// Answers, one for each round trip of a sign-in.
    replies: Vec<Vec<u8>>,
    /// How many of them go before TLS begins.
    in_clear: usize,
    poll: Poll,
    listener: TcpListener,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    /// Connections by the number of their account.
    accounts: Vec<usize>,
    /// Connections with something in their outbox.
    due: Vec<usize>,
    buffers: Buffers,
}

/// The thread's, so that a connection has none while idle.
#[derive(Debug)]
struct Buffers {
    read: Vec<u8>,
    plain: Vec<u8>,
    cipher: Vec<u8>,
}

#[derive(Debug)]
struct Conn {
    socket: TcpStream,
    tls: Option<Box<Tls>>,
    /// Round trips done.
    step: usize,
    account: usize,
    /// Plaintext to be sent at the end of the turn.
    outbox: Vec<u8>,
    /// What the socket did not take.
    unwritten: Vec<u8>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Stays,
    /// The socket may hold more.
    ReadOn,
    Gone,
}

impl Server {
    pub(super) fn new(
        kind: Kind,
        port: u16,
        config: Option<Arc<ServerConfig>>,
    ) -> Result<Self, String> {
        let replies = SignIn::new().replies();
        let (mut all, in_clear) = match (kind, &config) {
            (Kind::Handshake, _) => (Vec::new(), 0),
            (_, Some(_)) => (replies.before_tls, 2),
            (_, None) => (Vec::new(), 0),
        };
        if kind != Kind::Handshake {
            all.extend(replies.after_tls);
        }
        let poll = Poll::new().map_err(|e| e.to_string())?;
        // As std binds it, with a queue long enough for all clients that sign in at a time.
        let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port).into())
            .map_err(|e| format!("port {port}: {e}"))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(|e| e.to_string())?;
        Ok(Self {
            kind,
            config,
            replies: all,
            in_clear,
            poll,
            listener,
            conns: Vec::new(),
            free: Vec::new(),
            accounts: Vec::new(),
            due: Vec::new(),
            buffers: Buffers {
                read: vec![0; READ_BYTES],
                plain: Vec::new(),
                cipher: Vec::new(),
            },
        })
    }

    pub(super) fn run(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(256);
        loop {
            match self.poll.poll(&mut events, None) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.to_string()),
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                    continue;
                }
                let index = event.token().0;
                if event.is_writable() {
                    self.flush(index);
                }
                while event.is_readable()
                    && match self.read(index)? {
                        Fate::ReadOn => true,
                        // Behind what was read is the end.
                        Fate::Stays => event.is_read_closed(),
                        Fate::Gone => false,
                    }
                {}
            }
            self.send_due()?;
        }
    }

    fn accept(&mut self) -> Result<(), String> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e.to_string()),
            };
            socket.set_nodelay(true).map_err(|e| e.to_string())?;
            let index = self.free.pop().unwrap_or(self.conns.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            registry
                .register(&mut socket, Token(index), interest)
                .map_err(|e| e.to_string())?;
            let mut conn = Conn {
                socket,
                tls: None,
                step: 0,
                account: 0,
                outbox: Vec::new(),
                unwritten: Vec::new(),
            };
            if self.in_clear == 0 {
                conn.begin_tls(self.config.as_ref())?;
            }
            match self.conns.get_mut(index) {
                Some(seat) => *seat = Some(conn),
                None => self.conns.push(Some(conn)),
            }
        }
    }

    fn flush(&mut self, index: usize) {
        if let Some(conn) = self.conns.get_mut(index).and_then(Option::as_mut)
            && !conn.unwritten.is_empty()
        {
            let unwritten = std::mem::take(&mut conn.unwritten);
            conn.write(&unwritten);
        }
    }

    /// Reads once and answers.
    fn read(&mut self, index: usize) -> Result<Fate, String> {
        let Some(conn) = self.conns.get_mut(index).and_then(Option::as_mut) else {
            return Ok(Fate::Gone);
        };
        let count = match conn.socket.read(&mut self.buffers.read) {
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Fate::Stays),
            Err(_) => 0,
        };
        let fate = if count == 0 {
            Fate::Gone
        } else {
            self.answer(index, count)?
        };
        if fate == Fate::Gone {
            self.conns[index] = None;
            self.free.push(index);
        } else if count == READ_BYTES {
            // A short read has emptied the socket.
            return Ok(Fate::ReadOn);
        }
        Ok(fate)
    }

    fn answer(&mut self, index: usize, count: usize) -> Result<Fate, String> {
        let Some(conn) = &mut self.conns[index] else {
            return Ok(Fate::Gone);
        };
        let Buffers {
            read,
            plain,
            cipher,
        } = &mut self.buffers;
        let read = &mut read[..count];
        let said: &[u8] = match &mut conn.tls {
            Some(tls) => {
                plain.clear();
                cipher.clear();
                if tls.receive(read, plain, cipher).is_err() {
                    return Ok(Fate::Gone);
                }
                if !cipher.is_empty() {
                    conn.write(cipher);
                }
                plain
            }
            None => read,
        };
        if said.is_empty() {
            return Ok(Fate::Stays);
        }
        let Some(reply) = self.replies.get(conn.step) else {
            return self.pass_on(index, count);
        };
        // Requests end in a bracket; of one cut in two the end is waited for.
        if !said.ends_with(b">") {
            return Ok(Fate::Stays);
        }
        if let Some(account) = account_in(said) {
            conn.account = account;
            if self.accounts.len() <= account {
                self.accounts.resize(account + 1, 0);
            }
            self.accounts[account] = index;
        }
        cipher.clear();
        match &mut conn.tls {
            Some(tls) => {
                tls.send(reply, cipher)?;
                conn.write(cipher);
            }
            None => conn.write(reply),
        }
        conn.step += 1;
        if conn.step == self.in_clear {
            conn.begin_tls(self.config.as_ref())?;
        }
        Ok(Fate::Stays)
    }

    /// Messages of one who has signed in, or the end of its stream.
    fn pass_on(&mut self, index: usize, count: usize) -> Result<Fate, String> {
        let Some(conn) = &mut self.conns[index] else {
            return Ok(Fate::Gone);
        };
        let Buffers {
            read,
            plain,
            cipher,
        } = &mut self.buffers;
        let said = match conn.tls {
            Some(_) => &plain[..],
            None => &read[..count],
        };
        if said.ends_with(STREAM_END) {
            cipher.clear();
            match &mut conn.tls {
                Some(tls) => {
                    tls.send(STREAM_END, cipher)?;
                    tls.close(cipher)?;
                    conn.write(cipher);
                }
                None => conn.write(STREAM_END),
            }
            return Ok(Fate::Gone);
        }
        let to = match self.kind {
            Kind::Echo => Some(index),
            Kind::FanOut => {
                fan_out(&mut self.conns, self.replies.len(), said, &mut self.due);
                None
            }
            // Accounts are pairs by their numbers.
            Kind::Handshake | Kind::RoundTrips | Kind::Relay | Kind::BatchedRelay => {
                self.accounts.get(conn.account ^ 1).copied()
            }
        };
        let Some(to) = to else {
            return Ok(Fate::Stays);
        };
        let Some(partner) = self.conns.get_mut(to).and_then(Option::as_mut) else {
            return Ok(Fate::Stays);
        };
        if self.kind == Kind::Relay {
            for message in said.chunks(CHAT_BYTES) {
                cipher.clear();
                partner.send(message, cipher)?;
            }
            return Ok(Fate::Stays);
        }
        if partner.outbox.is_empty() {
            self.due.push(to);
        }
        partner.outbox.extend_from_slice(said);
        Ok(Fate::Stays)
    }

    /// Writes what the turn left, once for each connection.
    fn send_due(&mut self) -> Result<(), String> {
        for index in self.due.drain(..) {
            let Some(conn) = self.conns.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            let mut outbox = std::mem::take(&mut conn.outbox);
            self.buffers.cipher.clear();
            conn.send(&outbox, &mut self.buffers.cipher)?;
            // Of a relay it will be full again at once; who echoes shall have none while idle.
            if self.kind != Kind::Echo {
                outbox.clear();
                conn.outbox = outbox;
            }
        }
        Ok(())
    }
}

impl Conn {
    fn begin_tls(&mut self, config: Option<&Arc<ServerConfig>>) -> Result<(), String> {
        if let Some(config) = config {
            self.tls = Some(Box::new(Tls::new(Arc::clone(config))?));
        }
        Ok(())
    }

    /// In one write and, under TLS, one record.
    fn send(&mut self, plain: &[u8], cipher: &mut Vec<u8>) -> Result<(), String> {
        match &mut self.tls {
            Some(tls) => {
                tls.send(plain, cipher)?;
                self.write(cipher);
            }
            None => self.write(plain),
        }
        Ok(())
    }

    /// What the socket does not take waits. That it broke, reading tells.
    fn write(&mut self, bytes: &[u8]) {
        let count = if self.unwritten.is_empty() {
            self.socket.write(bytes).unwrap_or(0)
        } else {
            0
        };
        self.unwritten.extend_from_slice(&bytes[count..]);
    }
}

/// Puts it into the outbox of everybody who has done all round trips.
fn fan_out(conns: &mut [Option<Conn>], round_trips: usize, said: &[u8], due: &mut Vec<usize>) {
    for (index, conn) in conns.iter_mut().enumerate() {
        let Some(conn) = conn.as_mut().filter(|conn| conn.step == round_trips) else {
            continue;
        };
        if conn.outbox.is_empty() {
            due.push(index);
        }
        conn.outbox.extend_from_slice(said);
    }
}

/// The number at the end of the name that wants to sign in.
fn account_in(said: &[u8]) -> Option<usize> {
    let said = std::str::from_utf8(said).ok()?;
    let first = STANDARD.decode(content(said, "auth")?).ok()?;
    let first = String::from_utf8(first).ok()?;
    let (_, name) = first.split_once("n=")?;
    let (name, _) = name.split_once(',')?;
    number_of(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::auth;
    use crate::scram::Account;

    #[test]
    fn finds_the_account_in_its_first_message() {
        let first = Account::new("user0012", "secret").first("nonce");
        assert_eq!(
            account_in(auth("SCRAM-SHA-256", &first).as_bytes()),
            Some(12)
        );
        assert_eq!(account_in(b"<response>abc</response>"), None);
    }
}
