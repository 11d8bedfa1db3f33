//! Listening sockets: one for each address and thread, among which the kernel spreads connections (SO_REUSEPORT).

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use spondee_core::port::Listener;

use crate::config::{Listen, Ports};
use crate::limits::shell::UNSENT_BYTES;
use crate::remedy::explain;

/// Opens the listeners of all threads, not blocking, with this much `backlog` each; port 0 becomes one free port for all of them.
///
/// Where the system lacks IPv6 or IPv4, `*`, `::` and the loopback addresses stand for what there is: what is missing is said, and
/// only a port that nothing is left of is a fault. An address that somebody chose must be there.
///
/// # Errors
/// Sentences that name the addresses and say what to do.
pub fn open(
    listen: &[Listen],
    threads: usize,
    backlog: i32,
) -> Result<Vec<Vec<(TcpListener, Listener)>>, String> {
    open_by(listen, threads, |address| {
        open_one(address, threads, backlog)
    })
}

fn open_by(
    listen: &[Listen],
    threads: usize,
    open_one: impl Fn(SocketAddr) -> io::Result<(SocketAddr, Vec<Socket>)>,
) -> Result<Vec<Vec<(TcpListener, Listener)>>, String> {
    let mut all: Vec<Vec<_>> = (0..threads).map(|_| Vec::new()).collect();
    let mut open: Vec<Listen> = Vec::new();
    let mut absent = Vec::new();
    let mut faults = Faults::default();
    for one in listen {
        match open_one(one.address) {
            Ok((address, sockets)) => {
                for (listeners, socket) in all.iter_mut().zip(sockets) {
                    listeners.push((socket.into(), one.listener));
                }
                open.push(*one);
                tracing::info!("listening on {address}");
            }
            Err(error) if stands_for_family(one.address, &error) => absent.push((*one, error)),
            Err(error) => faults.add(*one, &error),
        }
    }
    for (one, error) in absent {
        let is_other = |other: &Listen| {
            (other.address.port(), other.listener) == (one.address.port(), one.listener)
        };
        if open.iter().any(is_other) {
            let family = family(one.address);
            tracing::warn!(
                "not listening on {}: this system has no {family} there ({error})",
                one.address
            );
        } else {
            faults.add(one, &error);
        }
    }
    match faults.is_empty() {
        true => Ok(all),
        false => Err(faults.sentences()),
    }
}

/// A socket for each thread, and the address with its port filled in.
fn open_one(
    address: SocketAddr,
    threads: usize,
    backlog: i32,
) -> io::Result<(SocketAddr, Vec<Socket>)> {
    let address = probe(address)?;
    let mut sockets = Vec::new();
    for _ in 0..threads {
        let socket = bind(address, Sharing::Threads)?;
        prepare(&socket)?;
        socket.listen(backlog)?;
        sockets.push(socket);
    }
    Ok((address, sockets))
}

/// Whether the address is not one in particular but all, or this machine's own, of a family that the system lacks.
fn stands_for_family(address: SocketAddr, error: &io::Error) -> bool {
    let is_general = address.ip().is_unspecified() || address.ip().is_loopback();
    let lacks = matches!(
        Errno::from_io_error(error),
        // No such family in the kernel or for this process; or it is switched off.
        Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
    );
    is_general && lacks
}

const fn family(address: SocketAddr) -> &'static str {
    match address {
        SocketAddr::V4(_) => "IPv4",
        SocketAddr::V6(_) => "IPv6",
    }
}

/// Addresses that cannot be listened on, those for the same reason together.
#[derive(Debug, Default)]
struct Faults(Vec<(String, Vec<SocketAddr>)>);

impl Faults {
    fn add(&mut self, listen: Listen, error: &io::Error) {
        let advice = advice(listen, error);
        let mut known = self.0.iter_mut();
        match known.find(|(other, _)| *other == advice) {
            Some((_, addresses)) => addresses.push(listen.address),
            None => self.0.push((advice, vec![listen.address])),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn sentences(&self) -> String {
        let sentences = self.0.iter().map(|(advice, addresses)| {
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("cannot listen on {}: {advice}", addresses.join(" and "))
        });
        sentences.collect::<Vec<_>>().join("\n")
    }
}

/// What the system said and what to do about it.
fn advice(listen: Listen, error: &io::Error) -> String {
    let port = listen.address.port();
    let options = Ports::of(listen.listener);
    let ports = format!("`{}`", options.ports);
    let interfaces = format!("`interfaces` or `{}`", options.interfaces);
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => format!(
            "another program listens there; `ss -ltnp 'sport = :{port}'`, as root, shows which: stop it, or set another port in \
             {ports} of the configuration"
        ),
        Some(Errno::ACCESS) if port < 1024 => format!(
            "ports below 1024 are for privileged programs; set a higher port in {ports} of the configuration, or allow this \
             program to use them: AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit, or `setcap \
             cap_net_bind_service=+ep PROGRAM`"
        ),
        Some(Errno::ACCESS | Errno::PERM) => format!(
            "the system forbids it to this program ({error}): a sandbox, SELinux or AppArmor; allow it port {port}, or set another \
             in {ports} of the configuration"
        ),
        Some(Errno::ADDRNOTAVAIL) => format!(
            "no interface of this machine has this address, `ip address` shows those there are; correct {interfaces} in the \
             configuration (\"*\" is all of IPv4, \"::\" all of IPv6), or start the server once the address is there"
        ),
        Some(Errno::AFNOSUPPORT) => format!(
            "this system has no {}, or the process may not use it; take the address out of {interfaces} in the configuration",
            family(listen.address)
        ),
        Some(Errno::INVAL) if is_link_local(listen.address.ip()) => format!(
            "this address means something only together with an interface, which cannot be given here; take another one in \
             {interfaces} of the configuration"
        ),
        _ => explain(error, Path::new("/")),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// Whether others may bind the same address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sharing {
    Alone,
    Threads,
}

/// Binds alone for a moment: with SO_REUSEPORT two servers of one user would quietly share their clients. Returns the
/// address with its port filled in.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let bound = bind(address, Sharing::Alone)?.local_addr()?;
    bound
        .as_socket()
        .ok_or_else(|| io::Error::from(io::ErrorKind::AddrNotAvailable))
}

fn bind(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    // A restart must not wait for the connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    if sharing == Sharing::Threads {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // Each address is configured by itself, so that `0.0.0.0` and `::` can stand side by side.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// What every client's socket gets: no delay of small writes, and TCP's own keepalive (`c2s_tcp_keepalives`).
///
/// # Errors
/// The connection is broken already.
pub fn prepare(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    // Else the kernel would take megabytes for a client that does not read, and say that there is room again when a third of them is read:
    // whether it reads could not be told.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    socket.set_keepalive(true)
}

/// The same for one that was just accepted at a listener of `open`'s. On Linux it has all that from there (`sk_clone_lock`), which saves three
/// calls for each connection.
///
/// # Errors
/// As for `prepare`.
#[cfg_attr(
    any(target_os = "linux", target_os = "android"),
    expect(clippy::missing_const_for_fn, reason = "it is so on Linux alone")
)]
pub fn prepare_accepted(socket: &impl AsFd) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    prepare(socket)?;
    Ok(())
}

/// Whether somebody waits to be accepted at this listener. Only for when nobody can be: `accept` says so itself otherwise.
#[must_use]
pub fn is_waited_at(listener: &impl AsFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut look = [PollFd::new(listener, PollFlags::IN)];
    // If that cannot be told, it is taken for a yes.
    poll(&mut look, Some(&now)) != Ok(0)
}
