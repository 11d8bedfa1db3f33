//! The options of the server that are no business of the core.

use std::net::SocketAddr;
use std::path::PathBuf;

use spondee_core::federation::FederationOptions;
use spondee_core::limits::Limits;
use spondee_core::options::{Expiry, Source as _, of_server};
use spondee_core::port::Expected;

use super::reader::Reader;
use super::{Connections, Listen, LogLevel, default_threads, listen};
use crate::dns::NameServer;
use crate::limits::{
    CERTIFICATES_WATCH, CONNECTIONS, CONNECTIONS_PER_ADDRESS, TCP_BACKLOG, THREADS,
};

/// What a file says of the whole server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) data_directory: String,
    pub(super) certificates: String,
    pub(super) certificates_watch: Expiry,
    pub(super) threads: u16,
    pub(super) log_level: LogLevel,
    pub(super) name_server: Option<NameServer>,
    pub(super) peers: Peers,
}

/// What it says of clients and of other servers.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) listen: Vec<Listen>,
    pub(super) connections: Connections,
    pub(super) limits: Limits,
    pub(super) federation: FederationOptions,
    /// `s2s_ca_file`.
    pub(super) authorities: Option<PathBuf>,
}

const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

impl Server {
    pub(super) fn read(from: &mut Reader<'_, '_, '_>) -> Self {
        from.part("The server");
        let data_directory = from.path(
            &of_server(
                "data_directory",
                "Accounts, messages and the server's secret. Only the user that runs the server may enter this directory (mode 0700). \
                 The first start makes it, where that user may; else make it for that user: \
                 `install -d -m 0700 -o spondee /var/lib/spondee`. Keep it on a local disk.",
            ),
            "/var/lib/spondee",
        );
        let certificates = from.path(
            &of_server(
                "certificates",
                "Where certificates and keys are looked for: by the names in all *.crt and *fullchain*.pem files, three directories \
                 deep, then as HOST.crt, HOST/fullchain.pem or HOST.pem. A path that is not absolute starts at the directory of this \
                 file.",
            ),
            "certs",
        );
        let certificates_watch = from.expiry(
            &of_server(
                "certificates_watch",
                "How often the files there are looked at, to read those that have changed as a reload does, but the certificates alone: a \
                 number of seconds, or text such as \"1 minute\", or \"never\". What a host has is kept while what is there is half of a \
                 renewal.",
            ),
            Expiry::Never,
            CERTIFICATES_WATCH,
        );
        let threads = from.number(
            &of_server(
                "threads",
                "How many threads serve connections. The default is the number of processor cores.",
            )
            .shown_as("2"),
            default_threads(),
            THREADS,
        );
        let log_level = from.word(
            &of_server(
                "log_level",
                "What is logged: \"error\", \"warn\", \"info\" or \"debug\". Programs that ban addresses match \
                 `sign-in failed: [a-z-]+ peer=ADDRESS`, the words for a refused password and for nothing else.",
            ),
            LogLevel::Info,
            LOG_LEVELS,
        );
        let name_server = from.parsed_if_any(
            &of_server(
                "name_server",
                "Which name server is asked for the names of other servers, in place of those of /etc/resolv.conf: an address, with a port \
                 behind it if it is not 53. /etc/hosts goes before it in any case.",
            )
            .shown_as("\"127.0.0.1:5353\""),
            str::parse,
        );
        Self {
            data_directory,
            certificates,
            certificates_watch,
            threads,
            log_level,
            name_server,
            peers: Peers::read(from),
        }
    }
}

impl Peers {
    fn read(from: &mut Reader<'_, '_, '_>) -> Self {
        from.part("Where clients connect");
        let mut listen = listen::clients(from);
        let connections = Connections::read(from);
        let limits = Limits::read(from);
        from.part("Where components connect");
        listen.components(from);
        from.part("Other servers");
        let mut federation = FederationOptions::read(from);
        let authorities = from.file(
            &of_server(
                "s2s_ca_file",
                "Authorities, as PEM, that are trusted with saying who other servers are, in place of those that this machine trusts. A reload reads \
                 it again. A path that is not absolute starts at the directory of this file.",
            )
            .shown_as("\"servers-ca.pem\""),
        );
        listen.servers(from);
        let listen = listen.settle(from, &federation);
        federation.own = own(&listen);
        Self {
            listen,
            connections,
            limits,
            federation,
            authorities,
        }
    }
}

/// The addresses at which we listen for servers, as far as they are of one interface.
fn own(listen: &[Listen]) -> Vec<SocketAddr> {
    let is_own = |listen: &&Listen| {
        listen.listener.expected == Expected::Servers && !listen.address.ip().is_unspecified()
    };
    let own = listen.iter().filter(is_own);
    own.map(|listen| listen.address).collect()
}

impl Connections {
    fn read(from: &mut Reader<'_, '_, '_>) -> Self {
        let default = Self::default();
        let backlog = from.number(
            &of_server(
                "tcp_backlog",
                "How many connections may wait to be accepted. The kernel may allow less (net.core.somaxconn).",
            ),
            default.backlog,
            TCP_BACKLOG,
        );
        let max = from.number_if_any(
            &of_server(
                "max_connections",
                "How many connections there may be. The default is what the limit of open files allows. When they run low, each new \
                 one has another closed that has not signed in: the oldest from the address that has most of those; of IPv6, a /64 is \
                 one address, and so are all clients behind one proxy. Who has signed in stays. The last few, four at most, serve for \
                 signing in only.",
            )
            .shown_as("10000"),
            CONNECTIONS,
        );
        let per_address = from.number(
            &of_server(
                "max_connections_per_address",
                "How many there may be from one address at a time; of IPv6, a /64 is one address. 0 is any number: whole companies and \
                 mobile networks share one address.",
            ),
            default.per_address.unwrap_or(0),
            CONNECTIONS_PER_ADDRESS,
        );
        Self {
            max,
            per_address: (per_address > 0).then_some(per_address),
            backlog,
        }
    }
}
