//! Connections: what each client has written, what it takes, and where the server has it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use super::policy::Taking;
use crate::arena::ArenaKey as _;
use crate::port::{
    ConnId, Opening, Protocol, ServerCertificate, Standing, TlsClient, TlsInfo, TlsVersion,
};
use crate::sasl::ChannelBindings;

/// About what one read brings.
pub(super) const READ_BYTES: usize = 4096;

/// The other end of a connection: a client's, or that of a server to which a shard connected.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Peer(pub(super) usize);

impl Peer {
    /// How many connected before it.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}

/// How a connection ended, as its client sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    /// The server closed it.
    Closed,
    /// The client closed it.
    ByPeer,
    /// The TLS handshake failed.
    TlsFailed,
}

#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) seat: Option<(usize, ConnId)>,
    pub(super) reading: Reading,
    pub(super) layer: Layer,
    /// Whether it was read since its shard was drained.
    pub(super) turn: Turn,
    pub(super) standing: Standing,
    /// What the client has written and the server not yet read.
    pub(super) inbox: VecDeque<Arrival>,
    pub(super) taking: Taking,
    pub(super) received: Vec<u8>,
    pub(super) ended: Option<Ended>,
    pub(super) origin: Origin,
    /// The pipe that is the other side of this one, where both are of shards.
    pub(super) link: Option<Peer>,
    /// What its shard has written, where another world is to read it.
    pub(super) outside: Option<VecDeque<Arrival>>,
    /// Whether it ended before all that had come was read.
    pub(super) dropped: bool,
    /// Which certificate the other server shows on it, if not what all show.
    pub(super) shown: Option<Option<Box<ServerCertificate>>>,
}

/// Who wanted the connection.
#[derive(Debug)]
pub(super) enum Origin {
    /// Whoever is at the other end: a client, or a server.
    Accepted(Protocol),
    /// The shard; and with whom it wanted TLS.
    Opened(Option<TlsClient>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reading {
    On,
    Paused,
}

/// A connection is read once for each turn of its shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Turn {
    Fresh,
    Read,
}

/// The server's end of the security layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Layer {
    Clear,
    Handshake,
    Tls,
}

/// What comes by a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Bytes in the clear.
    Clear(Vec<u8>),
    /// One side's part of a TLS handshake.
    Hello,
    /// Bytes below TLS.
    Encrypted(Vec<u8>),
    /// Its end.
    Eof,
}

impl Layer {
    /// What is written on it.
    pub(super) fn arrival(self, bytes: &[u8]) -> Arrival {
        match self {
            Self::Tls => Arrival::Encrypted(bytes.to_vec()),
            Self::Clear | Self::Handshake => Arrival::Clear(bytes.to_vec()),
        }
    }
}

impl Pipe {
    pub(super) const fn new(seat: (usize, ConnId), opening: Opening) -> Self {
        Self {
            seat: Some(seat),
            reading: Reading::On,
            turn: Turn::Fresh,
            layer: match opening {
                Opening::Clear => Layer::Clear,
                Opening::Tls => Layer::Handshake,
            },
            standing: Standing::Stranger,
            inbox: VecDeque::new(),
            taking: Taking::All,
            received: Vec::new(),
            ended: None,
            origin: Origin::Accepted(Protocol::XmppClient),
            link: None,
            outside: None,
            dropped: false,
            shown: None,
        }
    }

    /// The client writes, below TLS if it has said hello.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let hello = |arrival: &Arrival| matches!(arrival, Arrival::Hello);
        let secured = self.layer == Layer::Tls || self.inbox.iter().any(hello);
        self.inbox.push_back(if secured {
            Arrival::Encrypted(bytes.to_vec())
        } else {
            Arrival::Clear(bytes.to_vec())
        });
    }

    /// The shard at the other side of it writes, below TLS if that is up there.
    pub(super) fn pass_on(&mut self, bytes: &[u8], layer: Layer) {
        self.inbox.push_back(layer.arrival(bytes));
    }

    /// Another world is to hear of this.
    pub(super) fn tell_outside(&mut self, arrival: Arrival) {
        if let Some(outside) = &mut self.outside {
            outside.push_back(arrival);
        }
    }

    /// What the client has written so far arrives together, to be read at once.
    pub(super) fn coalesce(&mut self) {
        let mut together: VecDeque<Arrival> = VecDeque::with_capacity(self.inbox.len());
        for arrival in self.inbox.drain(..) {
            match (together.back_mut(), arrival) {
                (Some(Arrival::Clear(bytes)), Arrival::Clear(more))
                | (Some(Arrival::Encrypted(bytes)), Arrival::Encrypted(more))
                    if bytes.len() < READ_BYTES =>
                {
                    bytes.extend(more);
                }
                (_, arrival) => together.push_back(arrival),
            }
        }
        self.inbox = together;
    }

    pub(super) fn is_readable(&self) -> bool {
        self.reading == Reading::On && self.turn == Turn::Fresh && !self.inbox.is_empty()
    }
}

/// Which client is behind a name, for each shard by the slot of the name.
#[derive(Debug, Default)]
pub(super) struct Seats(Vec<Vec<Option<(ConnId, Peer)>>>);

impl Seats {
    pub(super) fn insert(&mut self, shard: usize, conn: ConnId, peer: Peer) {
        let slot = conn.key().index();
        let shards = self.0.len().max(shard + 1);
        self.0.resize_with(shards, Vec::new);
        let seats = &mut self.0[shard];
        let slots = seats.len().max(slot + 1);
        seats.resize(slots, None);
        seats[slot] = Some((conn, peer));
    }

    pub(super) fn remove(&mut self, shard: usize, conn: ConnId) {
        let seats = self.0.get_mut(shard);
        if let Some(seat) = seats.and_then(|seats| seats.get_mut(conn.key().index())) {
            *seat = seat.filter(|(of, _)| *of != conn);
        }
    }

    pub(super) fn get(&self, shard: usize, conn: ConnId) -> Option<Peer> {
        let seat = self
            .0
            .get(shard)?
            .get(conn.key().index())
            .copied()
            .flatten();
        seat.filter(|(of, _)| *of == conn).map(|(_, peer)| peer)
    }

    /// In the order of shards and names.
    pub(super) fn iter(&self) -> impl Iterator<Item = Peer> + '_ {
        self.0.iter().flatten().flatten().map(|(_, peer)| *peer)
    }
}

pub(super) fn is_white_space(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| b" \t\r\n".contains(byte))
}

/// What a connection's TLS 1.3 can be bound to: different for each, known to the test.
#[must_use]
pub fn tls_of(peer: Peer) -> TlsInfo {
    let octet = u8::try_from(peer.0 % 256).unwrap_or(0);
    TlsInfo {
        version: TlsVersion::V1_3,
        suite: "TLS_AES_128_GCM_SHA256",
        bindings: ChannelBindings {
            exporter: Some([octet; 32]),
            end_point: Some(vec![0xce; 32]),
        },
        client: None,
        server: None,
    }
}
