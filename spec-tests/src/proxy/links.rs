//! The connections of a proxy: what each carries, and how it ends.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::{Carried, Cut, Trouble, Ways};

/// One for all: whatever is ready, all is tried.
const LINK: Token = Token(2);
/// What is read at once, and held where the other side takes nothing.
const BUFFER: usize = 16 * 1024;

/// All that is open.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
    armed: Option<Armed>,
}

/// A trouble that waits for bytes to pass.
#[derive(Debug)]
struct Armed {
    left: usize,
    ways: Ways,
    trouble: Trouble,
}

#[derive(Debug)]
struct Link {
    client: TcpStream,
    server: TcpStream,
    up: Pipe,
    down: Pipe,
    flow: Flow,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flow {
    Passes,
    Swallowed(Ways),
    /// For ever, both ways.
    Stranded,
    /// The end was said to both sides; what they still say is read, so that it does not become a reset.
    Closing,
    Over,
}

/// What was read of one side and not taken by the other yet.
#[derive(Debug, Default)]
struct Pipe {
    held: Vec<u8>,
    end: End,
}

/// Where the end of a side is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum End {
    #[default]
    NotSeen,
    Seen,
    Passed,
}

impl Ways {
    fn has(self, way: Self) -> bool {
        self == Self::Both || self == way
    }
}

impl Links {
    pub(super) fn add(
        &mut self,
        registry: &Registry,
        mut client: TcpStream,
        mut server: TcpStream,
        swallowed: Option<Ways>,
    ) {
        let interest = Interest::READABLE | Interest::WRITABLE;
        for socket in [&mut client, &mut server] {
            // If it is broken already, to read it says so.
            let _ = socket.set_nodelay(true);
            let _ = registry.register(socket, LINK, interest);
        }
        self.links.push(Link {
            client,
            server,
            up: Pipe::default(),
            down: Pipe::default(),
            flow: swallowed.map_or(Flow::Passes, Flow::Swallowed),
        });
    }

    pub(super) fn open(&self) -> usize {
        let open = |link: &&Link| !matches!(link.flow, Flow::Closing | Flow::Over);
        self.links.iter().filter(open).count()
    }

    pub(super) fn arm(&mut self, left: usize, ways: Ways, trouble: Trouble) {
        self.armed = Some(Armed {
            left,
            ways,
            trouble,
        });
    }

    pub(super) fn cut(&mut self, cut: Cut) {
        for link in self.links.iter_mut().filter(|link| link.lives()) {
            match cut {
                Cut::Close => link.close(),
                Cut::Reset => link.reset(),
            }
        }
    }

    pub(super) fn swallow(&mut self, ways: Ways) {
        for link in self.links.iter_mut().filter(|link| link.lives()) {
            link.flow = Flow::Swallowed(ways);
        }
    }

    /// What was swallowed passes.
    pub(super) fn flow(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.lives()) {
            link.flow = Flow::Passes;
        }
    }

    pub(super) fn strand(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.lives()) {
            link.flow = Flow::Stranded;
        }
    }

    /// Carries what there is, up to a trouble that waited for it, which it returns.
    pub(super) fn carry(&mut self, carried: &mut Carried) -> Option<Trouble> {
        for link in &mut self.links {
            for way in [Ways::Up, Ways::Down] {
                let armed = self.armed.as_mut().filter(|armed| armed.ways.has(way));
                let allowed = armed.as_ref().map_or(usize::MAX, |armed| armed.left);
                let moved = link.carry(way, allowed);
                match way {
                    Ways::Down => carried.down += moved,
                    Ways::Up | Ways::Both => carried.up += moved,
                }
                if let Some(armed) = armed {
                    armed.left -= moved;
                }
                if let Some(armed) = self.armed.take_if(|armed| armed.left == 0) {
                    carried.troubles += 1;
                    return Some(armed.trouble);
                }
            }
        }
        self.links.retain(|link| link.flow != Flow::Over);
        None
    }
}

impl Link {
    /// Whether something can still become of it.
    const fn lives(&self) -> bool {
        matches!(self.flow, Flow::Passes | Flow::Swallowed(_))
    }

    fn close(&mut self) {
        self.flow = Flow::Closing;
        for socket in [&self.client, &self.server] {
            // What is no longer connected needs no end.
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    fn reset(&mut self) {
        self.flow = Flow::Over;
        reset(&self.client);
        reset(&self.server);
    }

    /// Moves so many bytes at most one way, until nothing comes or nothing is taken. How many were taken.
    fn carry(&mut self, way: Ways, allowed: usize) -> usize {
        let (from, to, pipe) = match way {
            Ways::Down => (&mut self.server, &mut self.client, &mut self.down),
            Ways::Up | Ways::Both => (&mut self.client, &mut self.server, &mut self.up),
        };
        let mut moved = 0;
        let done = match self.flow {
            Flow::Passes => pipe.carry(from, to, allowed, &mut moved),
            Flow::Swallowed(ways) if ways.has(way) => Ok(()),
            Flow::Swallowed(_) => pipe.carry(from, to, allowed, &mut moved),
            Flow::Stranded | Flow::Over => Ok(()),
            Flow::Closing => pipe.drain(from),
        };
        let ended = self.up.end == End::Passed && self.down.end == End::Passed;
        match done {
            Ok(()) if ended => self.flow = Flow::Over,
            Ok(()) => {}
            // A side that was reset, or is not there: so is the other.
            Err(_) => self.reset(),
        }
        moved
    }
}

impl Pipe {
    fn carry(
        &mut self,
        from: &mut TcpStream,
        to: &mut TcpStream,
        allowed: usize,
        moved: &mut usize,
    ) -> io::Result<()> {
        while *moved < allowed {
            while !self.held.is_empty() && *moved < allowed {
                let part = self.held.len().min(allowed - *moved);
                let Some(taken) = unblocked(to.write(&self.held[..part]))? else {
                    return Ok(());
                };
                self.held.drain(..taken);
                *moved += taken;
            }
            match self.end {
                End::NotSeen if !self.held.is_empty() => {}
                End::NotSeen => {
                    let mut buffer = [0; BUFFER];
                    match unblocked(from.read(&mut buffer))? {
                        None => return Ok(()),
                        Some(0) => self.end = End::Seen,
                        Some(came) => self.held.extend_from_slice(&buffer[..came]),
                    }
                }
                End::Seen => {
                    self.end = End::Passed;
                    return to.shutdown(Shutdown::Write);
                }
                End::Passed => return Ok(()),
            }
        }
        Ok(())
    }

    /// Reads to the end, which then counts as passed.
    fn drain(&mut self, from: &mut TcpStream) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        while self.end != End::Passed {
            match unblocked(from.read(&mut buffer))? {
                None => return Ok(()),
                Some(0) => self.end = End::Passed,
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// The next thing that this socket sends, once it is dropped, is a reset.
pub(super) fn reset(socket: &TcpStream) {
    // If it is broken already, there is nothing to say.
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}

/// `None` where one would have to wait.
fn unblocked(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(count) => Ok(Some(count)),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(None),
        Err(e) if e.kind() == ErrorKind::Interrupted => Ok(None),
        Err(e) => Err(e),
    }
}
