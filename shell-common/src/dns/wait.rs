//! The resolver for who may wait: a command. Each exchange has a thread.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::{Exchange, Hosts, Outcome, Question, ResolvConf, Stub, Transmit};
use crate::limits::dns::{DNS_DATAGRAM_BYTES, DNS_FILE_BYTES, DNS_TIMEOUT_MAX};
use crate::seed;

/// What a thread has to tell: a message, or that there will be none.
type News = (Exchange, Option<Vec<u8>>);

/// Asks all of these at once, and waits for what comes of them.
#[must_use]
pub fn look_up(conf: &ResolvConf, questions: &[Question]) -> Vec<Outcome> {
    let hosts = Hosts::parse(&text(Path::new("/etc/hosts")));
    let stub = Stub::new(conf.clone(), hosts, Box::new(number));
    look_up_with(stub, questions)
}

impl ResolvConf {
    /// That of this machine.
    #[must_use]
    pub fn of_system() -> Self {
        Self::parse(&text(Path::new("/etc/resolv.conf")))
    }
}

/// A number from 0 to this one, both included, each as often as any other: the dice for `order`.
#[must_use]
pub fn roll(most: u32) -> u32 {
    let [a, b, c, d, e, f, g, h, ..] = random();
    let drawn = u64::from_ne_bytes([a, b, c, d, e, f, g, h]) % (u64::from(most) + 1);
    u32::try_from(drawn).unwrap_or(most)
}

/// The same with a resolver of one's own.
pub(super) fn look_up_with(mut stub: Stub, questions: &[Question]) -> Vec<Outcome> {
    let (tell, news) = mpsc::channel();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; questions.len()];
    for (ticket, question) in (0..).zip(questions) {
        stub.ask(Instant::now(), ticket, question.clone());
    }
    loop {
        while let Some(transmit) = stub.poll_transmit() {
            send(transmit, &tell);
        }
        while let Some(answer) = stub.poll_answer() {
            let place = usize::try_from(answer.ticket).ok();
            if let Some(outcome) = place.and_then(|place| outcomes.get_mut(place)) {
                *outcome = Some(answer.outcome);
            }
        }
        let Some(until) = stub.poll_timeout() else {
            break;
        };
        hear(&mut stub, &news, until);
    }
    let unasked = || Outcome::Failed(super::Failure::TimedOut);
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(unasked))
        .collect()
}

fn hear(stub: &mut Stub, news: &Receiver<News>, until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    match news.recv_timeout(left) {
        Ok((exchange, Some(message))) => stub.received(Instant::now(), exchange, &message),
        Ok((exchange, None)) => stub.failed(Instant::now(), exchange),
        Err(_) => stub.tick(Instant::now()),
    }
}

/// What a thread tells that was closed meanwhile, the resolver passes over.
fn send(transmit: Transmit, tell: &Sender<News>) {
    let tell = tell.clone();
    match transmit {
        Transmit::Datagram(exchange, server, query) => {
            thread::spawn(move || {
                let heard = |message: Vec<u8>| tell.send((exchange, Some(message))).is_ok();
                if by_datagram(server, &query, heard).is_err() {
                    let _told = tell.send((exchange, None));
                }
            });
        }
        Transmit::Stream(exchange, server, query) => {
            thread::spawn(move || {
                let _told = tell.send((exchange, by_stream(server, &query).ok()));
            });
        }
        // It ends by itself.
        Transmit::Close(_) => {}
    }
}

/// Anybody may send something to the port: the right one is behind it, perhaps.
fn by_datagram(
    server: SocketAddr,
    query: &[u8],
    mut heard: impl FnMut(Vec<u8>) -> bool,
) -> io::Result<()> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(query)?;
    let until = Instant::now() + DNS_TIMEOUT_MAX;
    let mut buffer = vec![0; usize::from(DNS_DATAGRAM_BYTES)];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        let count = socket.recv(&mut buffer)?;
        let message = buffer.get(..count).unwrap_or_default().to_vec();
        if !heard(message) {
            return Ok(());
        }
    }
}

fn by_stream(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let until = Instant::now() + DNS_TIMEOUT_MAX;
    let mut socket = TcpStream::connect_timeout(&server, left(until)?)?;
    socket.set_read_timeout(Some(left(until)?))?;
    socket.set_write_timeout(Some(left(until)?))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    socket.write_all(&[&length.to_be_bytes(), query].concat())?;
    let mut length = [0; 2];
    socket.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    socket.read_exact(&mut message)?;
    Ok(message)
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// A file that may be missing, or too long.
fn text(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        let _read = file.take(DNS_FILE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A number that nobody can guess.
fn number() -> u16 {
    let [a, b, ..] = random();
    u16::from_ne_bytes([a, b])
}

/// Without randomness all begin at the first target, and the port of a query is what is left to guess.
fn random() -> [u8; 32] {
    seed::fresh().unwrap_or_default()
}
