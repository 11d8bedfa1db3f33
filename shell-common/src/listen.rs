//! Listening sockets: one for each address and thread, among which the kernel spreads connections (SO_REUSEPORT).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use spondee_core::port::Listener;

use crate::config::Listen;

/// Opens the listeners of all threads, not blocking, with this much `backlog` each; port 0 becomes one free port for all of them.
///
/// # Errors
/// A sentence that names the address.
pub fn open(
    listen: &[Listen],
    threads: usize,
    backlog: i32,
) -> Result<Vec<Vec<(TcpListener, Listener)>>, String> {
    let mut all: Vec<Vec<_>> = (0..threads).map(|_| Vec::new()).collect();
    for Listen { address, listener } in listen {
        let fail = |error| format!("cannot listen on {address}: {error}");
        let address = probe(*address).map_err(fail)?;
        for one in &mut all {
            let socket = bind(address, Sharing::Threads).map_err(fail)?;
            socket.listen(backlog).map_err(fail)?;
            one.push((socket.into(), *listener));
        }
        tracing::info!("listening on {address}");
    }
    Ok(all)
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
    socket.set_keepalive(true)
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use spondee_core::port::Opening;

    use super::*;

    fn loopback(port: u16) -> Listen {
        Listen {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            listener: Listener {
                opening: Opening::Clear,
            },
        }
    }

    #[test]
    fn all_threads_share_one_port_and_a_second_server_is_refused() {
        let first = open(&[loopback(0)], 3, 16).unwrap();
        let ports: Vec<u16> = first
            .iter()
            .map(|one| one[0].0.local_addr().unwrap().port())
            .collect();
        assert_ne!(ports[0], 0);
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
        let error = open(&[loopback(ports[0])], 1, 16).unwrap_err();
        assert!(error.contains("cannot listen on 127.0.0.1:"), "{error}");
    }

    #[test]
    fn it_is_known_whether_somebody_waits_without_accepting_anybody() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(!is_waited_at(&listener));
        let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(is_waited_at(&listener));
        let (_socket, peer) = listener.accept().unwrap();
        assert_eq!(peer, caller.local_addr().unwrap());
        assert!(!is_waited_at(&listener));
    }
}
