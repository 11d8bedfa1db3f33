//! A running server, seen from its main thread: it starts a thread for each shard, answers signals, ends everything in order. How that thread
//! waits, and what the others wait with, is the shell's business.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::Waker;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use spondee_core::envelope::Place;
use spondee_core::envelope::placement::Placement;
use spondee_core::shard::Shard;

use crate::boot::{Booted, Reloaded};
use crate::clock::Clock;
use crate::control::Reloaded as Outcome;
use crate::counters::{Counters, Totals};
use crate::limits::shell::{self as limits, REST_LOOK, SHUTDOWN};
use crate::listen;
use crate::log;
use crate::mailbox::Mailbox;
use crate::mesh::{Inbox, Mesh, Order};
use crate::permits::Permits;
use crate::remedy;
use crate::rest::Rest;
use crate::seed;
use crate::signal::Signal;
use crate::thread::{Moved, Seat, Shared, Sockets};

/// How a shell's threads wait.
pub trait Shell: 'static {
    /// Sockets, and what tells when they are ready.
    type Sockets: Sockets;
    /// What a thread waits with.
    type Poller: Send + 'static;

    /// One of them, and what ends its waiting.
    ///
    /// # Errors
    /// What the system says.
    fn poller() -> io::Result<(Self::Poller, Waker)>;

    /// A thread's whole life: turns until it is told to end.
    ///
    /// # Errors
    /// It can wait no more.
    fn run(poller: Self::Poller, seat: Seat<Self::Sockets>) -> io::Result<()>;
}

type Connection<S> = Moved<<<S as Shell>::Sockets as Sockets>::Socket>;

/// What a server cannot start for, in a sentence for the administrator.
#[must_use]
pub fn cannot_start(error: &io::Error) -> String {
    format!("cannot start: {}", remedy::explain(error, "/".as_ref()))
}

/// A running server, seen from the main thread.
#[derive(Debug)]
pub struct Server<S: Shell> {
    booted: Booted,
    inboxes: Arc<[Arc<Inbox<Connection<S>>>]>,
    counters: Vec<Arc<Counters>>,
    permits: Arc<Permits>,
    threads: Vec<JoinHandle<()>>,
    ended: Receiver<String>,
    course: Course,
    addresses: Vec<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Course {
    Running,
    /// Streams are being closed, until then at the latest.
    Stopping(Instant),
}

/// What the main thread is to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// `Server::end`.
    End,
    /// Wait for a signal or its waker, for so long at most.
    Wait(Option<Duration>),
}

impl<S: Shell> Server<S> {
    /// Starts all threads. `waker` ends the waiting of the main one.
    ///
    /// # Errors
    /// A sentence for the administrator.
    pub fn start(booted: Booted, waker: Waker) -> Result<Self, String> {
        let config = Arc::clone(&booted.config);
        let shards = config.shards.max(1);
        let permits = permits(&booted, shards, waker.clone());
        let backlog = booted.reload.running().connections.backlog;
        let listeners = listen::open(&booted.listen, usize::from(shards), backlog)?;
        let first = listeners.iter().take(1).flatten();
        let addresses = first.filter_map(|(socket, _)| socket.local_addr().ok());
        let addresses = addresses.collect();
        let mut pollers = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..shards {
            let (poller, waker) = S::poller().map_err(|error| cannot_start(&error))?;
            inboxes.push(Arc::new(Inbox::new(waker, usize::from(shards))));
            pollers.push(poller);
        }
        let inboxes: Arc<[Arc<Inbox<Connection<S>>>]> = inboxes.into();
        let shared = shared(&booted, &permits);
        let (sender, ended) = mpsc::channel();
        let mut counters = Vec::new();
        let mut threads = Vec::new();
        for ((shard, poller), listeners) in (0..shards).zip(pollers).zip(listeners) {
            let place = Place { node: 0, shard };
            let seed = seed::fresh().map_err(|error| format!("no randomness: {error}"))?;
            let counted = Arc::new(Counters::default());
            let seat = Seat {
                shard: Shard::new(Arc::clone(&config), place, seed),
                counters: Arc::clone(&counted),
                mesh: Mesh::new(place, Arc::clone(&inboxes)),
                listeners,
                shared: shared.clone(),
            };
            let alarm = Alarm {
                shard,
                ended: sender.clone(),
                waker: waker.clone(),
            };
            counters.push(counted);
            let thread = spawn::<S>(poller, seat, alarm);
            threads.push(thread.map_err(|error| cannot_start(&error))?);
        }
        let server = Self {
            booted,
            inboxes,
            counters,
            permits,
            threads,
            ended,
            course: Course::Running,
            addresses,
        };
        server.open_control(waker)?;
        Ok(server)
    }

    /// Where it listens, ports filled in.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it takes commands.
    #[must_use]
    pub fn control(&self) -> &Path {
        self.booted.control.path()
    }

    /// Lets commands in.
    fn open_control(&self, waker: Waker) -> Result<(), String> {
        let (control, config) = (&self.booted.control, &self.booted.config);
        control.ring_for_reloads(waker);
        let mailboxes = self.inboxes.iter();
        let mailboxes = mailboxes.map(|one| Arc::clone(one) as Arc<dyn Mailbox>);
        let placement = Placement::new(&config.server_secret, config.shards.max(1));
        control
            .serve(mailboxes.collect(), placement)
            .map_err(|error| format!("cannot open the control socket: {error}"))
    }

    /// Does what is due, as often as the main thread has waited.
    ///
    /// # Errors
    /// A sentence: the server is broken and must end at once. Nothing is waited for then: another thread may hang on the one that broke.
    pub fn look(&mut self) -> Result<Next, String> {
        if let Ok(how) = self.ended.try_recv() {
            return Err(how);
        }
        if let Some(asked) = self.booted.control.reload_asked() {
            asked.answer(&self.reload());
        }
        let now = Instant::now();
        match self.course {
            Course::Running => {
                if let Some(changed) = self.booted.reload.look(now) {
                    self.take(changed);
                }
                Ok(Next::Wait(self.booted.reload.until_look(Instant::now())))
            }
            Course::Stopping(deadline) => {
                let left = deadline.saturating_duration_since(now);
                if left.is_zero() {
                    tracing::warn!(
                        "not all came to its end within {} s, and is cut off",
                        SHUTDOWN.as_secs()
                    );
                    return Ok(Next::End);
                }
                if !self.permits.is_empty() {
                    return Ok(Next::Wait(Some(left)));
                }
                let threads = self.counters.iter().map(|one| &one.rest);
                match Rest::of_all(threads) {
                    true => Ok(Next::End),
                    // Nobody rings for that.
                    false => Ok(Next::Wait(Some(left.min(REST_LOOK)))),
                }
            }
        }
    }

    /// Whether it was told to end.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        matches!(self.course, Course::Stopping(_))
    }

    /// Does what a signal asks for.
    ///
    /// # Errors
    /// The server is to end at once.
    pub fn obey(&mut self, signal: Signal) -> Result<(), String> {
        match (signal, self.course) {
            (Signal::Reload, _) => drop(self.reload()),
            (Signal::Report, _) => tracing::info!("{}", self.totals()),
            (Signal::Stop, Course::Stopping(_)) => {
                return Err("stopped at once by a second signal".to_owned());
            }
            (Signal::Stop, Course::Running) => {
                tracing::info!("stopping");
                self.booted.control.stop();
                self.order(&Order::Shutdown);
                self.course = Course::Stopping(Instant::now() + SHUTDOWN);
            }
        }
        Ok(())
    }

    /// Reads everything again, and says in the log and to who asked what came of it.
    fn reload(&mut self) -> Outcome {
        match self.booted.reload.again() {
            Ok(reloaded) => {
                let faults = self.take(reloaded);
                if faults.is_empty() {
                    tracing::info!("configuration and certificates reloaded");
                    return Outcome::Whole;
                }
                for fault in &faults {
                    tracing::error!("{fault}");
                }
                tracing::error!(
                    "reloaded only in part: what is said above is to be mended, all else has been taken over"
                );
                Outcome::InPart { faults }
            }
            Err(faults) => {
                for fault in &faults {
                    tracing::error!("not reloaded: {fault}");
                }
                Outcome::Not { faults }
            }
        }
    }

    /// Has all threads take over what was read. What is to be mended.
    fn take(&self, reloaded: Reloaded) -> Vec<String> {
        let Reloaded {
            config,
            tls,
            connections_per_address,
            faults,
        } = reloaded;
        let unlimited = &config.limits.unlimited_addresses;
        self.permits
            .limit_addresses(connections_per_address, unlimited);
        self.order(&Order::Reload(config, tls));
        faults
    }

    fn order(&self, order: &Order) {
        for inbox in self.inboxes.iter() {
            inbox.order(order.clone());
        }
    }

    fn totals(&self) -> Totals {
        let wakes = self.inboxes.iter().map(|inbox| inbox.wakes()).sum();
        let threads = self.counters.iter().map(AsRef::as_ref);
        Totals::new(threads, wakes, self.booted.store.counters())
    }

    /// Ends the threads, then what they used.
    pub fn end(mut self) {
        self.order(&Order::Stop);
        for thread in self.threads.drain(..) {
            // Whoever panics at this point has said so on its way out.
            let _ = thread.join();
        }
        self.booted.workers.stop();
        self.booted.store.stop();
        tracing::debug!("{}", self.totals());
        log::tell_left_out();
        tracing::info!("stopped");
    }
}

/// As many places as the system and the configuration have.
fn permits(booted: &Booted, shards: u16, waker: Waker) -> Arc<Permits> {
    let descriptors = limits::raise_descriptors();
    let limit = limits::connections(descriptors, usize::from(shards), booted.listen.len());
    let connections = booted.reload.running().connections;
    let limit = connections.max.map_or(limit, |max| max.min(limit));
    let permits = Permits::new(limit, waker);
    let unlimited = &booted.config.limits.unlimited_addresses;
    permits.limit_addresses(connections.per_address, unlimited);
    Arc::new(permits)
}

/// What all threads of a server share that has booted; its clock starts.
#[must_use]
pub fn shared(booted: &Booted, permits: &Arc<Permits>) -> Shared {
    Shared {
        clock: Clock::start(),
        control: booted.control.clone(),
        permits: Arc::clone(permits),
        store: booted.store.clone(),
        tls: Arc::clone(&booted.tls),
        workers: booted.workers.clone(),
        handshakes: booted.handshakes.clone(),
        directories: booted.directories.clone(),
        names: booted.names.clone(),
        outgoing: booted.outgoing.clone(),
    }
}

fn spawn<S: Shell>(
    poller: S::Poller,
    seat: Seat<S::Sockets>,
    alarm: Alarm,
) -> io::Result<JoinHandle<()>> {
    let name = format!("spondee-shard-{}", alarm.shard);
    thread::Builder::new().name(name).spawn(move || {
        let alarm = alarm;
        if let Err(error) = S::run(poller, seat) {
            tracing::error!("shard {} failed: {error}", alarm.shard);
        }
    })
}

/// Tells the main thread that a shard's thread ended, however it did. Before it is told to, that ends the process: no account of
/// that shard could be reached any more.
#[derive(Debug)]
struct Alarm {
    shard: u16,
    ended: Sender<String>,
    waker: Waker,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // Fails only when nobody listens any more.
        let _ = self.ended.send(format!("shard {} ended", self.shard));
        self.waker.wake_by_ref();
    }
}
