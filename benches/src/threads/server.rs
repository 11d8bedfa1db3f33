//! A server without sockets: the threads, turns, ways and store of the real ones.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Wake, Waker};
use std::thread::{JoinHandle, Thread as Handle};
use std::time::{Duration, Instant};

use spec_tests::server::Scratch;
use spondee_core::envelope::Place;
use spondee_core::envelope::placement::Placement;
use spondee_core::port::{Listener, Opening};
use spondee_core::sasl::CREDENTIALS;
use spondee_core::shard::Shard;
use spondee_core::store::{Batch, Class, Expect, Op, Reply, StoreError};
use spondee_core::testing::Memory;
use spondee_shell_common::boot::{Booted, DataDirectory, boot};
use spondee_shell_common::config::Settings;
use spondee_shell_common::counters::Counters;
use spondee_shell_common::mesh::{Inbox, Mesh, Order};
use spondee_shell_common::permits::Permits;
use spondee_shell_common::seed;
use spondee_shell_common::serve::shared;
use spondee_shell_common::store::{Backend, Store};
use spondee_shell_common::thread::{Moved, Seat, Thread};

use super::client::{Errand, Talk, Tally, talk};
use super::measure::{Course, Probe, Stage};
use super::socket::{Again, Clients, Connection};
use crate::scenarios::{HOST, record};
use crate::scram::Account;

/// More than come.
const PLACES: usize = 100_000;

/// Where accounts are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keeping {
    /// In SQLite, on disk.
    Sqlite,
    /// In memory, behind the same queue and threads.
    Memory,
}

/// Who comes to a thread.
#[derive(Debug)]
pub(super) struct Guests {
    pub(super) queue: VecDeque<(Arc<Mutex<Account>>, Errand)>,
    pub(super) again: Again,
    /// How many at a time.
    pub(super) places: usize,
}

/// A running one.
#[derive(Debug)]
pub(super) struct Server {
    inboxes: Arc<[Arc<Inbox<Moved<Connection>>>]>,
    bells: Vec<Arc<Bell>>,
    threads: Vec<JoinHandle<()>>,
    booted: Booted,
    _scratch: Scratch,
}

/// One that waits for its guests.
#[derive(Debug)]
pub(super) struct Prepared {
    booted: Booted,
    scratch: Scratch,
    shards: u16,
}

impl Prepared {
    /// With these accounts.
    pub(super) fn new(shards: u16, keeping: Keeping, names: &[String]) -> Result<Self, String> {
        let scratch = Scratch::new().map_err(|e| e.to_string())?;
        let batches: Vec<Batch> = names.iter().map(|name| account(name)).collect();
        let settings = settings(scratch.path(), shards)?;
        let data = DataDirectory::open(&settings.data_directory)?;
        let mut sqlite = data.store()?;
        if keeping == Keeping::Sqlite {
            keep(&mut sqlite, &batches)?;
        }
        drop((sqlite, data));
        let mut booted = boot(settings, None)?;
        if keeping == Keeping::Memory {
            let mut kept = Kept::default();
            keep(&mut kept, &batches)?;
            booted.store.stop();
            booted.store = Store::start(Box::new(kept), shards);
        }
        Ok(Self {
            booted,
            scratch,
            shards,
        })
    }

    /// The shard of an account.
    pub(super) fn owner(&self, name: &str) -> usize {
        let placement = Placement::new(&self.booted.config.server_secret, self.shards);
        placement.owner(&format!("{name}@{HOST}")).shard.into()
    }

    /// Starts its threads, each with its guests. Each tells `probes` what it did once the course is over.
    pub(super) fn start(
        self,
        guests: Vec<Guests>,
        course: &Arc<Course>,
        probes: &Sender<Probe>,
    ) -> Result<Server, String> {
        let Self {
            booted,
            scratch,
            shards,
        } = self;
        let bells: Vec<Arc<Bell>> = guests.iter().map(|_| Arc::default()).collect();
        let inbox = |bell: &Arc<Bell>| {
            let waker = Waker::from(Arc::clone(bell));
            Arc::new(Inbox::new(waker, usize::from(shards)))
        };
        let inboxes: Arc<[Arc<Inbox<_>>]> = bells.iter().map(inbox).collect();
        let permits = Arc::new(Permits::new(PLACES, Waker::noop().clone()));
        let shared = shared(&booted, &permits);
        let mut threads = Vec::new();
        for ((shard, guests), bell) in (0..shards).zip(guests).zip(&bells) {
            let place = Place { node: 0, shard };
            let seed = seed::fresh().map_err(|e| e.to_string())?;
            let listener =
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
            let opening = Opening::Clear;
            let seat = Seat {
                shard: Shard::new(Arc::clone(&booted.config), place, seed),
                counters: Arc::new(Counters::default()),
                mesh: Mesh::new(place, Arc::clone(&inboxes)),
                listeners: vec![(listener, Listener::of_clients(opening))],
                shared: shared.clone(),
            };
            let (course, probes, bell) = (Arc::clone(course), probes.clone(), Arc::clone(bell));
            let thread = std::thread::Builder::new().name(format!("shard-{shard}"));
            let thread = thread.spawn(move || run(seat, guests, &bell, &course, &probes));
            threads.push(thread.map_err(|e| e.to_string())?);
        }
        Ok(Server {
            inboxes,
            bells,
            threads,
            booted,
            _scratch: scratch,
        })
    }
}

impl Server {
    /// Has all threads look at the course.
    pub(super) fn wake(&self) {
        self.bells.iter().for_each(Wake::wake_by_ref);
    }

    /// Ends all threads.
    pub(super) fn end(self) -> Result<(), String> {
        for inbox in self.inboxes.iter() {
            inbox.order(Order::Stop);
        }
        for thread in self.threads {
            thread.join().map_err(|_| "a thread panicked".to_owned())?;
        }
        self.booted.workers.stop();
        self.booted.store.stop();
        Ok(())
    }
}

/// A thread's life.
fn run(seat: Seat<Clients>, guests: Guests, bell: &Bell, course: &Course, probes: &Sender<Probe>) {
    let _ = bell.0.set(std::thread::current());
    let counters = Arc::clone(&seat.counters);
    let inbox = Arc::clone(seat.mesh.inbox());
    let Guests {
        queue,
        again,
        places,
    } = guests;
    let clients = Clients {
        queue,
        again,
        places,
        slots: 0,
    };
    let listen = |_: &mut Clients, _, listener| Ok::<_, io::Error>(listener);
    let mut thread = Thread::new(seat, clients, listen).expect("it cannot fail");
    let mut stage = Stage::Gather;
    let mut told = 0;
    let (mut begun, mut slept) = (None, Slept::default());
    while !thread.is_over() {
        let there = Tally::now().there;
        course.arrived(there - told);
        told = there;
        let timeout = thread.timeout();
        if !thread.sockets().somebody_waits() && timeout != Some(Duration::ZERO) {
            slept.sleep(timeout);
        }
        thread.wakes();
        if thread.sockets().somebody_waits() {
            thread.somebody_waits(0);
        }
        let now = course.stage();
        if now != stage {
            stage = now;
            let state = || Probe::now(&counters, inbox.wakes(), (slept.times, slept.long));
            match stage {
                Stage::Gather => {}
                Stage::Warm => {
                    talk(Talk::Now);
                    for slot in 0..thread.sockets().slots {
                        thread.notice(slot, Connection::SAYS);
                    }
                }
                Stage::Measure => begun = Some(state()),
                Stage::Over => {
                    if let Some(begun) = begun.take() {
                        // Nobody listens if another thread has failed.
                        let _ = probes.send(state().since(&begun));
                    }
                }
            }
        }
        thread.turn();
    }
}

/// How often and how long a thread slept.
#[derive(Debug, Default)]
struct Slept {
    times: u64,
    long: Duration,
}

impl Slept {
    fn sleep(&mut self, timeout: Option<Duration>) {
        let begun = Instant::now();
        match timeout {
            Some(timeout) => std::thread::park_timeout(timeout),
            None => std::thread::park(),
        }
        self.times += 1;
        self.long += begun.elapsed();
    }
}

/// Wakes a thread, once it has begun.
#[derive(Debug, Default)]
struct Bell(OnceLock<Handle>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}

fn settings(directory: &Path, shards: u16) -> Result<Settings, String> {
    let (data, certificates) = (directory.join("data"), directory.join("certs"));
    fs::create_dir(&certificates).map_err(|e| e.to_string())?;
    let text = format!(
        "data_directory = {data:?}\n\
         certificates = {certificates:?}\n\
         interfaces = [\"127.0.0.1\"]\n\
         c2s_require_encryption = false\n\
         s2s_ports = []\n\
         s2s_allowed_domains = []\n\
         threads = {shards}\n\
         [host.\"{HOST}\"]\n\
         default_archive_policy = \"never\"\n"
    );
    Settings::parse(&text, Path::new("spondee.toml"), directory).map_err(|e| e.to_string())
}

/// What makes an account.
fn account(name: &str) -> Batch {
    let (owner, row) = record(name);
    Batch {
        owner,
        tenure: 0,
        class: Class::Change,
        ops: vec![Op::Put {
            table: &CREDENTIALS,
            row,
            expect: Expect::Absent,
        }],
    }
}

fn keep(backend: &mut dyn Backend, batches: &[Batch]) -> Result<(), String> {
    for outcome in backend.apply(batches) {
        outcome.map_err(|e| format!("{e:?}"))?;
    }
    Ok(())
}

/// Accounts in memory; readers share them.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Memory>>);

impl Backend for Kept {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Result<Vec<Reply>, StoreError>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        batches.iter().map(|batch| kept.apply(batch)).collect()
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        Some(Box::new(self.clone()))
    }
}
