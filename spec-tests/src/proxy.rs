//! A network between clients and a server that a test has in its hand: it passes, cuts in the middle of what it carries, and
//! swallows.
//!
//! What it swallows it does not read: both sockets stay open and nothing moves, as behind a black hole. What waited flows on once it
//! passes again, as if TCP had sent it once more; of connections that are stranded it never does. A program of one thread, all orders
//! of a test are carried out before they return.

mod links;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use crate::client::PATIENCE;
use links::{Links, reset};

const LISTENER: Token = Token(0);
const ORDERS: Token = Token(1);

/// How both sockets of a connection end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// With the end of what was sent, as if the other side had closed.
    Close,
    /// With a reset.
    Reset,
}

/// Which ways something is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ways {
    /// What clients write.
    Up,
    /// What the server writes.
    Down,
    /// Both.
    Both,
}

/// What happens to every connection there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// It ends, at both sides.
    Cut(Cut),
    /// It is swallowed, and so are those that come, until the network passes again.
    Swallow(Ways),
}

/// What the proxy has done until now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Carried {
    /// Connections that were accepted.
    pub connections: usize,
    /// Those that are open.
    pub open: usize,
    /// Bytes of clients.
    pub up: usize,
    /// Bytes of the server.
    pub down: usize,
    /// Troubles that came when their bytes had passed.
    pub troubles: usize,
}

/// What becomes of those who connect, and of all that is open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Weather {
    Passes,
    Swallows(Ways),
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Trouble(Trouble),
    /// The same once so many bytes more have passed.
    After(usize, Ways, Trouble),
    Pass,
    Strand,
    Refuse,
    Tell,
    End,
}

/// How it went.
type Answer = Sender<Result<Carried, String>>;

/// A running proxy. Its connections are reset when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    orders: Sender<(Order, Answer)>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// On a free port of loopback, in front of this server, which need not be there yet.
    ///
    /// # Errors
    /// What failed, in words; so with all functions here.
    pub fn start(server: SocketAddr) -> Result<Self, String> {
        let fault = |e: io::Error| e.to_string();
        let poll = Poll::new().map_err(fault)?;
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = listen(&poll, nowhere).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let waker = Arc::new(Waker::new(poll.registry(), ORDERS).map_err(fault)?);
        let (orders, came) = channel();
        let network = Network {
            poll,
            address,
            listener: Some(listener),
            server,
            links: Links::default(),
            weather: Weather::Passes,
            carried: Carried::default(),
        };
        Ok(Self {
            address,
            orders,
            waker,
            thread: Some(std::thread::spawn(move || network.run(&came))),
        })
    }

    /// Where clients connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Trouble now.
    ///
    /// # Errors
    /// The proxy is gone.
    pub fn trouble(&self, what: Trouble) -> Result<(), String> {
        self.tell(Order::Trouble(what)).map(drop)
    }

    /// Trouble once so many bytes more have passed in these ways, and not one further. It takes the place of one that has not come.
    ///
    /// # Errors
    /// The proxy is gone.
    pub fn trouble_after(&self, bytes: usize, ways: Ways, what: Trouble) -> Result<(), String> {
        self.tell(Order::After(bytes, ways, what)).map(drop)
    }

    /// Waits until this many troubles came of those that wait for bytes.
    ///
    /// # Errors
    /// They did not in time.
    pub fn wait_for_troubles(&self, count: usize) -> Result<(), String> {
        self.wait_until(&format!("{count} troubles"), |carried| {
            carried.troubles >= count
        })
    }

    /// Waits until what the proxy has done is as wanted.
    ///
    /// # Errors
    /// It was not in time.
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&Carried) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let carried = self.carried()?;
            if wanted(&carried) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("never {what}: {carried:?}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// From now on everything passes that is not stranded, and who connects is let in.
    ///
    /// # Errors
    /// The proxy is gone.
    pub fn pass(&self) -> Result<(), String> {
        self.tell(Order::Pass).map(drop)
    }

    /// What is open never passes again, and stays open at both sides; who connects from now on is let in. So it is where a client
    /// changes its network, or its address.
    ///
    /// # Errors
    /// The proxy is gone.
    pub fn strand(&self) -> Result<(), String> {
        self.tell(Order::Strand).map(drop)
    }

    /// Who connects from now on finds nobody, until the network passes again; what is open passes.
    ///
    /// # Errors
    /// The proxy is gone.
    pub fn refuse(&self) -> Result<(), String> {
        self.tell(Order::Refuse).map(drop)
    }

    /// What it has done.
    ///
    /// # Errors
    /// The proxy is gone.
    pub fn carried(&self) -> Result<Carried, String> {
        self.tell(Order::Tell)
    }

    fn tell(&self, order: Order) -> Result<Carried, String> {
        let gone = || "the proxy is gone".to_owned();
        let (answer, done) = channel();
        self.orders.send((order, answer)).map_err(|_| gone())?;
        self.waker.wake().map_err(|e| e.to_string())?;
        done.recv_timeout(PATIENCE).map_err(|_| gone())?
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended, which a test that still needs it was told.
        let _ = self.tell(Order::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread has.
#[derive(Debug)]
struct Network {
    poll: Poll,
    address: SocketAddr,
    /// Not there while it refuses.
    listener: Option<TcpListener>,
    server: SocketAddr,
    links: Links,
    weather: Weather,
    carried: Carried,
}

impl Network {
    fn run(mut self, orders: &Receiver<(Order, Answer)>) {
        let mut events = Events::with_capacity(64);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(e) if e.kind() != ErrorKind::Interrupted => return,
                Ok(()) | Err(_) => {}
            }
            self.accept();
            for (order, answer) in orders.try_iter() {
                // What came before the order is carried before it.
                self.carry();
                let ends = matches!(order, Order::End);
                let done = self.obey(order);
                self.carried.open = self.links.open();
                // Who asked may have lost patience.
                let _ = answer.send(done.map(|()| self.carried).map_err(|e| e.to_string()));
                if ends {
                    return;
                }
            }
            self.accept();
            self.carry();
        }
    }

    fn carry(&mut self) {
        while let Some(trouble) = self.links.carry(&mut self.carried) {
            self.befall(trouble);
        }
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Trouble(trouble) => self.befall(trouble),
            Order::After(bytes, ways, trouble) => self.links.arm(bytes, ways, trouble),
            Order::Pass => {
                self.let_in()?;
                self.links.flow();
            }
            Order::Strand => {
                self.let_in()?;
                self.links.strand();
            }
            Order::Refuse => self.listener = None,
            Order::Tell => {}
            Order::End => self.links.cut(Cut::Reset),
        }
        Ok(())
    }

    fn let_in(&mut self) -> io::Result<()> {
        self.weather = Weather::Passes;
        if self.listener.is_none() {
            self.listener = Some(listen(&self.poll, self.address)?);
        }
        Ok(())
    }

    fn befall(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Cut(cut) => self.links.cut(cut),
            Trouble::Swallow(ways) => {
                self.weather = Weather::Swallows(ways);
                self.links.swallow(ways);
            }
        }
    }

    /// Lets in whoever connects. A server that is not there resets who comes, as soon as that is known.
    fn accept(&mut self) {
        let swallowed = match self.weather {
            Weather::Passes => None,
            Weather::Swallows(ways) => Some(ways),
        };
        while let Some(Ok((client, _))) = self.listener.as_ref().map(TcpListener::accept) {
            self.carried.connections += 1;
            match TcpStream::connect(self.server) {
                Ok(server) => {
                    self.links
                        .add(self.poll.registry(), client, server, swallowed);
                }
                Err(_) => reset(&client),
            }
        }
    }
}

fn listen(poll: &Poll, address: SocketAddr) -> io::Result<TcpListener> {
    let mut listener = TcpListener::bind(address)?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    Ok(listener)
}
