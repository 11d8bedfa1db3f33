//! The main thread: starts a thread for each shard, answers signals, ends everything in order.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Wake, Waker};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use spondee_core::envelope::Place;
use spondee_core::envelope::placement::Placement;
use spondee_core::shard::Shard;
use spondee_shell_common::boot::{Booted, Reloaded};
use spondee_shell_common::clock::Clock;
use spondee_shell_common::control::Reloaded as Outcome;
use spondee_shell_common::counters::{Counters, Totals};
use spondee_shell_common::limits::shell::{self as limits, REST_LOOK, SHUTDOWN};
use spondee_shell_common::listen;
use spondee_shell_common::log;
use spondee_shell_common::mailbox::Mailbox;
use spondee_shell_common::mesh::{Inbox, Mesh, Order};
use spondee_shell_common::permits::Permits;
use spondee_shell_common::remedy;
use spondee_shell_common::rest::Rest;
use spondee_shell_common::seed;

use crate::conn::Moved;
use crate::shard::{Core, Shared, Thread, WAKE};
use crate::signal::{Signal, Signals};

const SIGNAL: Token = Token(0);

/// Runs the server until a signal ends it. Calls `ready` once it can be reached.
///
/// # Errors
/// A sentence for the administrator: why it could not start, or what broke.
pub(crate) fn serve(booted: Booted, ready: &mut dyn FnMut()) -> Result<(), String> {
    let poll = Poll::new().map_err(cannot_start)?;
    let signals = Signals::catch(poll.registry(), SIGNAL).map_err(cannot_start)?;
    let waker = bell(&poll).map_err(cannot_start)?;
    let mut server = Server::start(booted, waker)?;
    ready();
    let outcome = server.watch(poll, signals);
    // After a failure nothing is waited for: another thread may hang on the one that broke.
    outcome.map(|()| server.end())
}

fn cannot_start(error: io::Error) -> String {
    format!("cannot start: {}", remedy::explain(&error, "/".as_ref()))
}

/// A running server, seen from the main thread.
#[derive(Debug)]
struct Server {
    booted: Booted,
    inboxes: Arc<[Arc<Inbox<Moved>>]>,
    counters: Vec<Arc<Counters>>,
    permits: Arc<Permits>,
    threads: Vec<JoinHandle<()>>,
    ended: Receiver<String>,
}

impl Server {
    fn start(booted: Booted, waker: Waker) -> Result<Self, String> {
        let config = Arc::clone(&booted.config);
        let shards = config.shards.max(1);
        let descriptors = limits::raise_descriptors();
        let limit = limits::connections(descriptors, usize::from(shards), booted.listen.len());
        let connections = booted.reload.running().connections;
        let limit = connections.max.map_or(limit, |max| max.min(limit));
        let permits = Arc::new(Permits::new(limit, waker.clone()));
        permits.limit_addresses(connections.per_address, &config.limits.unlimited_addresses);
        let backlog = connections.backlog;
        let listeners = listen::open(&booted.listen, usize::from(shards), backlog)?;
        let mut polls = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..shards {
            let poll = Poll::new().map_err(cannot_start)?;
            let waker = bell(&poll).map_err(cannot_start)?;
            inboxes.push(Arc::new(Inbox::new(waker, usize::from(shards))));
            polls.push(poll);
        }
        let inboxes: Arc<[Arc<Inbox<Moved>>]> = inboxes.into();
        let shared = Shared {
            clock: Clock::start(),
            control: booted.control.clone(),
            permits: Arc::clone(&permits),
            store: booted.store.clone(),
            tls: Arc::clone(&booted.tls),
            workers: booted.workers.clone(),
            handshakes: booted.handshakes.clone(),
            directories: booted.directories.clone(),
            names: booted.names.clone(),
            outgoing: booted.outgoing.clone(),
        };
        let (sender, ended) = mpsc::channel();
        let mut counters = Vec::new();
        let mut threads = Vec::new();
        for ((shard, poll), listeners) in (0..shards).zip(polls).zip(listeners) {
            let place = Place { node: 0, shard };
            let seed = seed::fresh().map_err(|error| format!("no randomness: {error}"))?;
            let now = shared.clock.now();
            let counted = Arc::new(Counters::default());
            let core = Core::new(
                Shard::new(Arc::clone(&config), place, seed),
                now,
                Arc::clone(&counted),
            );
            let mesh = Mesh::new(place, Arc::clone(&inboxes));
            let thread = Thread::new(poll, core, mesh, listeners, shared.clone());
            let alarm = Alarm {
                shard,
                ended: sender.clone(),
                waker: waker.clone(),
            };
            counters.push(counted);
            threads.push(spawn(thread, alarm).map_err(cannot_start)?);
        }
        booted.control.ring_for_reloads(waker);
        let mailboxes = inboxes
            .iter()
            .map(|one| Arc::clone(one) as Arc<dyn Mailbox>);
        let placement = Placement::new(&config.server_secret, shards);
        booted
            .control
            .serve(mailboxes.collect(), placement)
            .map_err(|error| format!("cannot open the control socket: {error}"))?;
        Ok(Self {
            booted,
            inboxes,
            counters,
            permits,
            threads,
            ended,
        })
    }

    /// Until all streams are closed after a signal to stop, or their time is up.
    fn watch(&mut self, mut poll: Poll, mut signals: Signals) -> Result<(), String> {
        let mut events = Events::with_capacity(8);
        let mut deadline: Option<Instant> = None;
        loop {
            let mut left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(());
            }
            if deadline.is_some() && self.permits.is_empty() {
                let threads = self.counters.iter().map(|one| &one.rest);
                if Rest::of_all(threads) {
                    return Ok(());
                }
                // Nobody rings for that.
                left = left.map(|left| left.min(REST_LOOK));
            }
            if deadline.is_none() {
                left = self.booted.reload.until_look(Instant::now());
            }
            match poll.poll(&mut events, left) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot wait for signals: {error}")),
            }
            if let Ok(how) = self.ended.try_recv() {
                return Err(how);
            }
            if let Some(asked) = self.booted.control.reload_asked() {
                asked.answer(&self.reload());
            }
            if deadline.is_none()
                && let Some(changed) = self.booted.reload.look(Instant::now())
            {
                self.take(changed);
            }
            for signal in signals.pending() {
                match signal {
                    Signal::Reload => drop(self.reload()),
                    Signal::Report => tracing::info!("{}", self.totals()),
                    Signal::Stop if deadline.is_some() => {
                        return Err("stopped at once by a second signal".to_owned());
                    }
                    Signal::Stop => {
                        tracing::info!("stopping");
                        self.booted.control.stop();
                        self.order(&Order::Shutdown);
                        deadline = Some(Instant::now() + SHUTDOWN);
                    }
                }
            }
        }
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
    fn end(mut self) {
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

/// What wakes a poller.
fn bell(poll: &Poll) -> io::Result<Waker> {
    let bell = mio::Waker::new(poll.registry(), WAKE)?;
    Ok(Arc::new(Bell(bell)).into())
}

struct Bell(mio::Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Err(error) = self.0.wake() {
            tracing::error!("cannot wake a thread: {error}");
        }
    }
}

fn spawn(thread: Thread, alarm: Alarm) -> io::Result<JoinHandle<()>> {
    let name = format!("spondee-shard-{}", alarm.shard);
    thread::Builder::new().name(name).spawn(move || {
        let alarm = alarm;
        if let Err(error) = thread.run() {
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
