//! A network between a client and the server that can be made slow, or to stop, towards the client.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::crowd::fault;

/// How much comes through.
#[derive(Clone, Copy, Debug)]
enum Stand {
    Open,
    /// So many bytes, so often.
    Drip(usize, Duration),
    Shut,
}

/// One connection's way to the server.
#[derive(Debug)]
pub(super) struct Valve {
    /// Where the client connects.
    pub(super) address: SocketAddr,
    stand: Arc<Mutex<Stand>>,
}

impl Valve {
    /// To the server at this address. It lasts as long as its connection does.
    pub(super) fn to(server: SocketAddr) -> Result<Self, String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let stand = Arc::new(Mutex::new(Stand::Open));
        let seen = Arc::clone(&stand);
        thread::spawn(move || {
            let (client, _) = listener.accept()?;
            let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
            // What it does not read is not to wait here.
            socket.set_recv_buffer_size(32 * 1024)?;
            // As in a network: the loopback would have pieces of 64 KiB.
            socket.set_tcp_mss(1448)?;
            socket.connect(&server.into())?;
            let server = TcpStream::from(socket);
            server.set_nodelay(true)?;
            client.set_nodelay(true)?;
            let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
            thread::spawn(move || {
                // However it ends, it is over.
                let _ = std::io::copy(&mut from, &mut to);
                to.shutdown(Shutdown::Both)
            });
            towards_client(server, client, &seen)
        });
        Ok(Self { address, stand })
    }

    pub(super) fn drip(&self, bytes: usize, every: Duration) {
        self.set(Stand::Drip(bytes, every));
    }

    pub(super) fn stop(&self) {
        self.set(Stand::Shut);
    }

    pub(super) fn open(&self) {
        self.set(Stand::Open);
    }

    fn set(&self, stand: Stand) {
        *self.stand.lock().unwrap_or_else(PoisonError::into_inner) = stand;
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        self.open();
    }
}

fn towards_client(
    mut server: TcpStream,
    mut client: TcpStream,
    stand: &Mutex<Stand>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let (mut allowed, mut last) = (0, Instant::now());
    let mut is_clear = true;
    let look = Duration::from_millis(20);
    server.set_read_timeout(Some(look))?;
    loop {
        let now = *stand.lock().unwrap_or_else(PoisonError::into_inner);
        match now {
            Stand::Open => allowed = buffer.len(),
            Stand::Shut => allowed = 0,
            Stand::Drip(bytes, every) => {
                if is_clear || last.elapsed() >= every {
                    last = Instant::now();
                    allowed = bytes.min(buffer.len());
                }
            }
        }
        is_clear &= matches!(now, Stand::Open);
        if allowed == 0 {
            thread::sleep(look);
            continue;
        }
        match server.read(&mut buffer[..allowed]) {
            Ok(0) => return client.shutdown(Shutdown::Both),
            Ok(count) if is_clear => client.write_all(&buffer[..count])?,
            // The client looks no more: what counts is what was read.
            Ok(count) => allowed -= count,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => return Err(e),
        }
    }
}
