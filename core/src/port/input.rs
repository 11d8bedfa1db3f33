//! What goes in.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{
    Command, CommandId, ConnId, ConnectError, Opening, Protocol, Resolved, ServerCertificate,
    Ticket, TlsVersion,
};
use crate::config::Config;
use crate::envelope::Envelope;
use crate::jid::BareJid;
use crate::sasl::{ChannelBindings, Judgement, ScramKeys};
use crate::store::{Reply, StoreError};

/// Everything that can happen to a shard. A run is a list of these with their times.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Plaintext from a peer, any amount, cut anywhere. All of it is taken. Between `Action::Secure` and `Secured` there is no
    /// plaintext: anything but white space closes the connection.
    Bytes {
        /// From this connection.
        conn: ConnId,
        /// Borrowed: what must be kept is copied.
        bytes: &'a [u8],
    },
    /// The connection is gone, by the peer or after `Action::Close`. The last word about it.
    Closed {
        /// This connection.
        conn: ConnId,
        /// How it ended.
        how: Closed,
    },
    /// An administrator's command. The shell hands it to the shard that owns the account named.
    Command {
        /// Named again in `Action::Answer`.
        id: CommandId,
        /// What to do.
        command: Command,
    },
    /// A connection that `Action::Connect` wanted is open.
    Connected {
        /// This connection.
        conn: ConnId,
    },
    /// From another shard.
    Delivered(Envelope),
    /// Answer to `Action::Derive`: one set of keys for each job, in order.
    Derived {
        /// The question.
        ticket: Ticket,
        /// The keys, or why there are none.
        keys: Result<Vec<ScramKeys>, DeriveError>,
    },
    /// The place of this connection is needed for another. A stranger's stream ends with `resource-constraint` and `Action::Close`
    /// follows at once, for which the shell need not wait long either; a member stays, and nothing follows.
    Evict {
        /// This connection.
        conn: ConnId,
    },
    /// Answer to `Action::Judge`.
    Judged {
        /// The question.
        ticket: Ticket,
        /// What the directory says, if it says anything.
        judgement: Judgement,
    },
    /// A new configuration. Streams to hosts that are gone are closed with `host-gone`.
    Reload(Arc<Config>),
    /// Answer to `Action::Resolve`.
    Resolved {
        /// The question.
        ticket: Ticket,
        /// What came of it.
        outcome: Resolved,
    },
    /// TLS is up. Comes once for a connection, after the peer's Finished and before the first bytes decrypted.
    Secured {
        /// This connection.
        conn: ConnId,
        /// What was negotiated.
        tls: Box<TlsInfo>,
    },
    /// The server is about to stop: every stream is closed with `system-shutdown`, new ones are refused with it.
    Shutdown,
    /// Answer to `Action::Store`: one reply for each operation.
    Stored {
        /// The question.
        ticket: Ticket,
        /// The replies, or why nothing took effect.
        outcome: Result<Vec<Reply>, StoreError>,
    },
    /// Time has passed: deadlines are looked at. Harmless at any time.
    Tick,
    /// There is no way to another shard: what was to go there is refused.
    Undeliverable(Envelope),
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closed {
    /// The peer closed its side, or we closed ours as told by `Action::Close`.
    Eof,
    /// The network broke it.
    Reset,
    /// It was never open, though `Action::Connect` wanted it.
    Unconnected(ConnectError),
    /// The TLS handshake or a record failed.
    Tls,
}

/// What was negotiated. Dropped when SASL ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsInfo {
    /// The version.
    pub version: TlsVersion,
    /// What the cipher suite is called.
    pub suite: &'static str,
    /// What SASL can bind to. Whether it may is not the shell's business.
    pub bindings: ChannelBindings,
    /// The client's certificate, if an authority signed it that the host trusts with that.
    pub client: Option<Box<ClientCertificate>>,
    /// The peer's certificate, where it is a server: `None` if it has shown none.
    pub server: Option<Box<ServerCertificate>>,
}

/// What a client's certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificate {
    /// Whom it names (`id-on-xmppAddr`, RFC 6120 §13.7.1.4): accounts of the host alone that trusts the authority.
    pub names: Vec<BareJid>,
}

/// Why a worker gave no keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeriveError {
    /// The workers' queue is full.
    Busy,
}

/// Where a connection was accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listener {
    /// What comes first on the wire.
    pub opening: Opening,
    /// Who is expected.
    pub expected: Expected,
}

/// Who connects at a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Clients.
    Clients,
    /// Other servers.
    Servers,
    /// Components (XEP-0114). They know no TLS, so that stands in front of nothing they say.
    Components,
}

impl Expected {
    /// As what they speak where TLS comes first, if it can.
    #[must_use]
    pub const fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Clients => Some(Protocol::XmppClient),
            Self::Servers => Some(Protocol::XmppServer),
            Self::Components => None,
        }
    }
}

impl Listener {
    /// For clients.
    #[must_use]
    pub const fn of_clients(opening: Opening) -> Self {
        Self {
            opening,
            expected: Expected::Clients,
        }
    }

    /// For servers.
    #[must_use]
    pub const fn of_servers(opening: Opening) -> Self {
        Self {
            opening,
            expected: Expected::Servers,
        }
    }

    /// For components.
    #[must_use]
    pub const fn of_components() -> Self {
        Self {
            opening: Opening::Clear,
            expected: Expected::Components,
        }
    }
}
