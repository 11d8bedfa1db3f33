//! A link between a core and a peer that are made up, so that everything that can happen to a connection can be had in any order. The tests
//! go through orders of their own, the fuzzer through others.

use std::collections::VecDeque;
use std::io::{Cursor, Read as _, Write as _};
use std::sync::{Arc, OnceLock};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use spondee_core::jid::Domain;
use spondee_core::port::{Closed, Opening, TlsInfo};

use super::{Above, Buffers, Fate, Finish, First, Layer, Link, Told, Wrote};
use crate::tls::{
    AnyCertificate, Policies, Pump, Step, TlsHosts, generate_development_certificate,
};

/// How a connection begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Accepted, with XML; TLS comes with `Event::Secure`.
    Clear,
    /// Accepted, with the hello of TLS.
    Tls,
    /// Opened by us.
    Connecting,
}

/// What can happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// The peer says so many bytes more, if it can.
    PeerSays(u8),
    /// The peer ends its side: in TLS with close_notify before.
    PeerEnds,
    /// The network breaks the connection.
    Breaks,
    /// The connection of ours is open.
    Opens,
    /// The core says so many bytes more.
    CoreSays(u8),
    /// The core wants TLS.
    Secure,
    /// The core closes.
    CoreCloses,
    /// The core does not want to hear more.
    Pauses,
    /// It does again.
    Resumes,
    /// The connection comes to another thread, and the core resumes there.
    Moves,
    /// The socket takes so many bytes of each write, and then no more until there is room.
    Narrows(u8),
    /// It takes all.
    Widens,
    /// The thread has a turn.
    Turns,
}

/// A link, what is above it and what is at the other end.
#[derive(Debug)]
pub struct Trial {
    link: Link,
    upper: Upper,
    peer: Peer,
    socket: Socket,
    buffers: Buffers,
    flow: Flow,
    /// What became of it.
    gone: Option<Closed>,
    log: Vec<Event>,
}

/// The core, made up.
#[derive(Debug, Default)]
struct Upper {
    /// All it said, and how much of it was taken.
    said: Vec<u8>,
    taken: usize,
    heard: Vec<u8>,
    /// How much had been heard when TLS came up.
    secured: Option<usize>,
    connected: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    Running,
    Paused,
}

/// The socket between them.
#[derive(Debug)]
struct Socket {
    inward: VecDeque<u8>,
    end: End,
    /// Bytes of each write that it takes.
    room: usize,
    shut: End,
    /// That it opens or breaks was told.
    outward: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    NotYet,
    Come,
    /// With an error.
    Broken,
}

/// The peer, made up.
#[derive(Debug)]
struct Peer {
    side: Side,
    /// All it said that is on its way or further.
    said: Vec<u8>,
    heard: Vec<u8>,
    end: End,
    /// How many bytes it heard in clear before it takes up TLS.
    tls_after: Option<usize>,
    notified: End,
}

enum Side {
    Clear,
    Tls(Box<ClientConnection>),
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clear => "Clear",
            Self::Tls(_) => "Tls",
        })
    }
}

impl Above for Upper {
    fn bytes(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
    }

    fn connected(&mut self) {
        self.connected += 1;
    }

    fn owed(&self) -> &[u8] {
        self.said.get(self.taken..).unwrap_or_default()
    }

    fn secured(&mut self, _: TlsInfo) {
        assert_eq!(self.secured, None, "TLS came up twice");
        self.secured = Some(self.heard.len());
    }

    fn sent(&mut self, count: usize) {
        self.taken += count;
        assert!(
            self.taken <= self.said.len(),
            "more was taken than was owed"
        );
    }

    fn step(&mut self, _: Step) {
        panic!("nothing here is dear");
    }

    fn tell(&self, _: Told<'_>) {}
}

impl Trial {
    /// One that begins so.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let pump = || Pump::new(Arc::clone(&ground().hosts), None, Opening::Tls);
        let (link, side) = match kind {
            Kind::Clear => (Link::accepted(), Side::Clear),
            Kind::Tls => (Link::accepted_tls(pump()), client()),
            Kind::Connecting => (Link::connecting(), Side::Clear),
        };
        Self {
            link,
            upper: Upper::default(),
            peer: Peer {
                side,
                said: Vec::new(),
                heard: Vec::new(),
                end: End::NotYet,
                tls_after: None,
                notified: End::NotYet,
            },
            socket: Socket {
                inward: VecDeque::new(),
                end: End::NotYet,
                room: usize::MAX,
                shut: End::NotYet,
                outward: Vec::new(),
            },
            buffers: Buffers::default(),
            flow: Flow::Running,
            gone: None,
            log: Vec::new(),
        }
    }

    /// Something happens. Behind the end of the connection nothing does.
    pub fn happens(&mut self, event: Event) {
        if self.gone.is_some() {
            return;
        }
        self.log.push(event);
        match event {
            Event::PeerSays(count) => self.peer_says(usize::from(count)),
            Event::PeerEnds => self.peer_ends(),
            Event::Breaks => {
                self.socket.end = End::Broken;
                self.link.ending();
                self.link.writable();
            }
            Event::Opens => {
                self.link.writable();
                self.link.connected(&mut self.upper);
            }
            Event::CoreSays(count) => self.core_says(usize::from(count)),
            Event::Secure => self.secure(),
            Event::CoreCloses => match self.link.finish() {
                Finish::AtOnce => self.gone = Some(Closed::Eof),
                Finish::InOrder | Finish::UnderWay => {}
            },
            Event::Pauses => {
                self.link.pause();
                self.flow = Flow::Paused;
            }
            Event::Resumes => self.resume(),
            Event::Moves => {
                self.link.moved();
                // Its new poller tells what there is.
                if !self.socket.inward.is_empty() {
                    self.link.readable();
                }
                if self.socket.end != End::NotYet {
                    self.link.ending();
                }
                self.link.writable();
                self.resume();
            }
            Event::Narrows(count) => self.socket.room = usize::from(count),
            Event::Widens => {
                self.socket.room = usize::MAX;
                self.link.writable();
            }
            Event::Turns => self.turn(),
        }
        self.hold();
    }

    fn resume(&mut self) {
        self.link.resume();
        self.flow = Flow::Running;
    }

    /// What a thread does in a turn.
    fn turn(&mut self) {
        if self.link.wants_read() {
            let fate = self.read();
            self.settle(fate);
        }
        if self.gone.is_some() {
            return;
        }
        let (socket, mut outward) = (&mut self.socket, Vec::new());
        let fate = self
            .link
            .flush(&mut self.upper, &mut self.buffers, |bytes| {
                if socket.end == End::Broken {
                    return Wrote::Broken;
                }
                assert_eq!(socket.shut, End::NotYet, "it writes behind its own end");
                let count = bytes.len().min(socket.room);
                outward.extend_from_slice(bytes.get(..count).unwrap_or_default());
                Wrote::Taken(count)
            });
        self.socket.outward.append(&mut outward);
        self.settle(fate);
        self.peer_hears();
    }

    fn read(&mut self) -> Fate {
        assert!(
            self.flow == Flow::Running || self.link.is_closing(),
            "it reads while the core is paused: {:?}",
            self.log
        );
        if self.socket.end == End::Broken {
            return Fate::Gone(Closed::Reset);
        }
        let space = self.buffers.read.len();
        let bytes: Vec<u8> = {
            let count = self.socket.inward.len().min(space);
            self.socket.inward.drain(..count).collect()
        };
        if bytes.is_empty() {
            match self.socket.end {
                End::NotYet => self.link.emptied(),
                End::Come | End::Broken => self.link.ended(),
            }
            return Fate::Stays;
        }
        if let Some(place) = self.buffers.read.get_mut(..bytes.len()) {
            place.copy_from_slice(&bytes);
        }
        self.link
            .received(bytes.len(), &mut self.upper, &mut self.buffers)
    }

    fn settle(&mut self, fate: Fate) {
        match fate {
            Fate::Stays => {}
            Fate::Shuts => self.socket.shut = End::Come,
            Fate::Gone(how) => self.gone = Some(how),
        }
    }

    fn core_says(&mut self, count: usize) {
        // As the core does: nothing behind its own end, and nothing while TLS is awaited.
        if self.link.is_closing() || (self.waits_for_tls()) {
            return;
        }
        let next = self.upper.said.len();
        self.upper.said.extend((next..next + count).map(letter));
    }

    fn waits_for_tls(&self) -> bool {
        self.peer.tls_after.is_some() && self.upper.secured.is_none()
    }

    fn secure(&mut self) {
        let may = self.peer.tls_after.is_none()
            && matches!(self.peer.side, Side::Clear)
            && !self.link.is_closing()
            && !self.link.is_connecting()
            // A core hears all that was read before it says so.
            && self.upper.heard.len() == self.peer.said.len();
        if may {
            self.core_says(1);
            self.peer.tls_after = Some(self.upper.said.len());
            let host = Domain::parse(HOST).ok();
            let pump = Pump::new(Arc::clone(&ground().hosts), host, Opening::Clear);
            self.link.secure(pump, Vec::new(), First::Peer);
        }
    }

    fn peer_says(&mut self, count: usize) {
        let waits = self.peer.tls_after.is_some() && matches!(self.peer.side, Side::Clear);
        if self.peer.end != End::NotYet || waits || self.link.is_connecting() {
            return;
        }
        let next = self.peer.said.len();
        let bytes: Vec<u8> = (next..next + count).map(letter).collect();
        match &mut self.peer.side {
            Side::Clear => {
                self.peer.said.extend_from_slice(&bytes);
                self.arrive(&bytes);
            }
            Side::Tls(client) => {
                if !client.is_handshaking() && client.writer().write_all(&bytes).is_ok() {
                    self.peer.said.extend_from_slice(&bytes);
                }
                self.peer_writes();
            }
        }
    }

    fn peer_ends(&mut self) {
        if self.peer.end != End::NotYet || self.link.is_connecting() {
            return;
        }
        self.peer.end = End::Come;
        if let Side::Tls(client) = &mut self.peer.side {
            client.send_close_notify();
        }
        self.peer_writes();
        self.socket.end = match self.socket.end {
            End::NotYet => End::Come,
            unchanged @ (End::Come | End::Broken) => unchanged,
        };
        self.link.ending();
    }

    /// What TLS of the peer wants to be sent.
    fn peer_writes(&mut self) {
        let mut bytes = Vec::new();
        if let Side::Tls(client) = &mut self.peer.side {
            while client.wants_write() && client.write_tls(&mut bytes).is_ok() {}
        }
        self.arrive(&bytes);
    }

    fn arrive(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && self.socket.end != End::Broken {
            self.socket.inward.extend(bytes);
            self.link.readable();
        }
    }

    /// The peer takes what has come.
    fn peer_hears(&mut self) {
        let bytes = std::mem::take(&mut self.socket.outward);
        let mut rest = &bytes[..];
        if let Side::Clear = self.peer.side {
            let until = self.peer.tls_after.unwrap_or(usize::MAX);
            let count = rest.len().min(until.saturating_sub(self.peer.heard.len()));
            let (clear, behind) = rest.split_at(count);
            self.peer.heard.extend_from_slice(clear);
            rest = behind;
            if self.peer.heard.len() >= until && self.peer.end == End::NotYet {
                self.peer.side = client();
                self.peer_writes();
            }
        }
        if let Side::Tls(client) = &mut self.peer.side {
            let mut unread = Cursor::new(rest);
            while unread.position() < rest.len() as u64 {
                if client.read_tls(&mut unread).is_err() {
                    break;
                }
                let state = client
                    .process_new_packets()
                    .expect("records of ours are good");
                if state.peer_has_closed() {
                    self.peer.notified = End::Come;
                }
                // Ends with WouldBlock, or at close_notify.
                let _ = client.reader().read_to_end(&mut self.peer.heard);
            }
        } else {
            assert!(rest.is_empty(), "ciphertext before the peer knows of TLS");
        }
        if self.peer.end == End::NotYet {
            self.peer_writes();
        }
    }

    /// What holds at any time.
    fn hold(&self) {
        assert!(
            self.peer.said.starts_with(&self.upper.heard),
            "the core hears what the peer did not say: {:?}",
            self.log
        );
        assert!(
            self.upper.said.starts_with(&self.peer.heard),
            "the peer hears what the core did not say: {:?}",
            self.log
        );
        if let (Some(secured), Some(_)) = (self.upper.secured, self.peer.tls_after) {
            assert!(
                self.upper.heard.len() >= secured,
                "the core forgets: {:?}",
                self.log
            );
        }
        assert!(self.upper.connected <= 1, "it opens twice");
    }

    /// Goes on until nothing happens by itself.
    fn rest(&mut self) {
        for _ in 0..64 {
            self.happens(Event::Turns);
        }
    }

    /// Lets it come to its end: nothing is in the way any more, and then both close. It has to be gone, and whoever could hear has heard all.
    pub fn end(mut self) {
        for event in [
            Event::Opens,
            Event::Resumes,
            Event::Widens,
            Event::PeerSays(0),
        ] {
            self.happens(event);
        }
        self.rest();
        let was_over = self.peer.end != End::NotYet || self.link.is_closing();
        let is_broken = self.socket.end == End::Broken;
        if self.gone.is_none() && !was_over && !is_broken {
            assert_eq!(self.upper.heard, self.peer.said, "{:?}", self.log);
            assert_eq!(self.peer.heard, self.upper.said, "{:?}", self.log);
        }
        // What was closed in the middle of a handshake cannot be said any more.
        let shakes_hands = matches!(self.link.layer, Layer::Handshake(_));
        let owed_in_vain =
            self.peer.end != End::NotYet || is_broken || self.waits_for_tls() || shakes_hands;
        self.happens(Event::CoreCloses);
        self.rest();
        if !owed_in_vain && self.gone.is_none() {
            assert_eq!(self.peer.heard, self.upper.said, "{:?}", self.log);
            assert_eq!(self.socket.shut, End::Come, "{:?}", self.log);
            if let Side::Tls(client) = &self.peer.side
                && !client.is_handshaking()
            {
                assert_eq!(
                    self.peer.notified,
                    End::Come,
                    "no close_notify: {:?}",
                    self.log
                );
            }
        }
        self.happens(Event::PeerEnds);
        self.rest();
        assert!(
            self.gone.is_some(),
            "it never ends: {:?} {:?}",
            self.link,
            self.log
        );
    }
}

/// Bytes that tell where they belong.
fn letter(index: usize) -> u8 {
    b'a' + u8::try_from(index % 23).unwrap_or_default()
}

const HOST: &str = "a.example";

/// What is made once: certificates take time.
struct Ground {
    hosts: Arc<TlsHosts>,
    client: Arc<ClientConfig>,
}

fn ground() -> &'static Ground {
    static GROUND: OnceLock<Ground> = OnceLock::new();
    GROUND.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("spondee-link-{}", std::process::id()));
        let host = Domain::parse(HOST).expect("a domain");
        std::fs::create_dir_all(&path).expect("a directory");
        generate_development_certificate(&path, &host).expect("a certificate");
        let loaded = TlsHosts::load(&path, &[host], &Policies::default());
        let _ = std::fs::remove_dir_all(&path);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider's versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        Ground {
            hosts: Arc::new(loaded.tls),
            client: Arc::new(client),
        }
    })
}

fn client() -> Side {
    let name = ServerName::try_from(HOST).expect("a name");
    let client = ClientConnection::new(Arc::clone(&ground().client), name);
    Side::Tls(Box::new(client.expect("a client")))
}

/// Reads events from bytes and plays them: for a fuzzer.
pub fn play(bytes: &[u8]) {
    let Some((kind, events)) = bytes.split_first() else {
        return;
    };
    let mut trial = Trial::new(match kind % 3 {
        0 => Kind::Clear,
        1 => Kind::Tls,
        _ => Kind::Connecting,
    });
    for byte in events.iter().take(256) {
        let count = byte >> 4;
        trial.happens(match byte & 15 {
            0 => Event::PeerSays(count),
            1 => Event::CoreSays(count),
            2 => Event::Secure,
            3 => Event::Pauses,
            4 => Event::Resumes,
            5 => Event::Moves,
            6 => Event::Narrows(count),
            7 => Event::Widens,
            8 => Event::Opens,
            9 if count == 15 => Event::Breaks,
            10 if count > 11 => Event::PeerEnds,
            11 if count > 11 => Event::CoreCloses,
            _ => Event::Turns,
        });
    }
    trial.end();
}
