//! What a shard's thread may wait for: its poller, and nothing else. The real server is traced by strace under load, while it
//! reloads, with more connections than there is room for, a disk that is slow and then full, a client of the control socket that
//! reads nothing, and a log that nobody reads. strace is needed, so this runs as interop.rs does; `-- --nocapture` prints the calls with their number.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod judge;

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use judge::Judge;
use spec_tests::client::{BindTo, Client, PATIENCE};
use spec_tests::element::SASL;
use spec_tests::pipe::Unread;
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server};
use spec_tests::slapd::Slapd;
use spec_tests::strace;
use spondee_core::sasl::{Hash, Mechanism, Plus};

const QUICK: &str = "default_iteration_count = 4096\n";
const SCRAM: Mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);
const USERS: [&str; 3] = ["juliet", "nurse", "romeo"];

/// How long each call takes that syncs a file: long enough for shards to have something else to do meanwhile.
const SYNC: Duration = Duration::from_millis(300);

fn opened(server: &Server) -> Client {
    let trust = server.trust().unwrap();
    let mut client = Client::connect_tls(server.tls, "localhost", &trust, &[]).unwrap();
    client.open().unwrap();
    client
}

fn signed_in(server: &Server, user: &str, mechanism: Mechanism) -> Client {
    let mut client = opened(server);
    client
        .sign_in(user, "secret", mechanism, BindTo::Exporter)
        .unwrap();
    client.bind(None).unwrap();
    client
}

/// A session that asks and is answered, all the time.
struct Pinger {
    answers: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Pinger {
    fn start(server: &Server, user: &str) -> Self {
        let mut client = signed_in(server, user, SCRAM);
        let (answers, ended) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counted, over) = (Arc::clone(&answers), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                client
                    .send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
                    .unwrap();
                assert_eq!(client.next(PATIENCE).unwrap().attribute("id"), Some("p"));
                counted.fetch_add(1, Ordering::Relaxed);
                // Leaves the machine to others, too.
                thread::sleep(Duration::from_millis(5));
            }
            client.close().unwrap();
        });
        Self {
            answers,
            ended,
            thread,
        }
    }

    /// Waits for answers to what was asked from now on.
    fn is_answered(&self) {
        let (before, deadline) = (
            self.answers.load(Ordering::Relaxed),
            Instant::now() + PATIENCE,
        );
        while self.answers.load(Ordering::Relaxed) < before + 3 {
            assert!(Instant::now() < deadline, "a session is not answered");
            assert!(!self.thread.is_finished(), "a session ended");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// Everything that strangers and others do, the most of it in vain.
fn load(server: &Server) {
    for user in USERS {
        for mechanism in [SCRAM, Mechanism::Plain] {
            signed_in(server, user, mechanism).close().unwrap();
        }
    }
    for _ in 0..4 {
        let mut client = opened(server);
        assert!(
            client
                .sign_in("romeo", "wrong", SCRAM, BindTo::Exporter)
                .is_err()
        );
        for _ in 0..4 {
            client
                .send(&format!("<auth xmlns='{SASL}' mechanism='NOPE'/>"))
                .unwrap();
            client.next(PATIENCE).unwrap();
        }
        drop(TcpStream::connect(server.clear).unwrap());
        let mut socket = TcpStream::connect(server.tls).unwrap();
        socket.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // However it is closed.
        let _ = socket.read_to_end(&mut Vec::new());
    }
}

/// More silent strangers than there is room for.
fn crowd(server: &Server) -> Vec<TcpStream> {
    let crowd = (0..150).map(|_| TcpStream::connect(server.clear).unwrap());
    crowd.collect()
}

fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill")
        .args([name, &server.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// A disk that takes no more, for as long as `work` takes.
fn with_full_disk(server: &Server, work: impl FnOnce()) {
    let wal = server.data().join("spondee.sqlite-wal");
    let length = fs::metadata(wal).unwrap().len().to_string();
    server.limit_files(&length).unwrap();
    work();
    server.limit_files("unlimited").unwrap();
}

/// A client of the control socket that asks as long as it can, and reads no answer.
fn deaf(server: &Server) -> UnixStream {
    let mut control = UnixStream::connect(server.data().join("control.sock")).unwrap();
    control.set_nonblocking(true).unwrap();
    let line = "{\"command\":\"list\",\"host\":\"localhost\",\"limit\":1000}\n".repeat(100);
    let (mut asked, mut rest) = (0, line.as_bytes());
    let deadline = Instant::now() + PATIENCE;
    let mut full = Instant::now();
    // Full for so long that the server's end is not just slow.
    while full.elapsed() < Duration::from_millis(500) {
        assert!(
            Instant::now() < deadline,
            "{asked} bytes of questions and no end"
        );
        match control.write(rest) {
            Ok(count) => {
                asked += count;
                full = Instant::now();
                rest = &rest[count..];
                if rest.is_empty() {
                    rest = line.as_bytes();
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
    control
}

/// The threads of both shards, when they have told their names.
fn shards(server: &Server) -> Vec<u32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shards = named_shards(server);
        if shards.len() == 2 {
            return shards;
        }
        assert!(Instant::now() < deadline, "{shards:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn named_shards(server: &Server) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.id())).unwrap();
    let shards = tasks.filter_map(|task| {
        let task = task.unwrap();
        let name = fs::read_to_string(task.path().join("comm")).unwrap();
        let number = task.file_name().to_string_lossy().parse().unwrap();
        name.starts_with("spondee-shard-").then_some(number)
    });
    shards.collect()
}

/// Listeners of TCP, which shards accept from, do not block. The control socket's does, and has a thread for it.
fn listeners_do_not_block(server: &Server) {
    let own = format!("/proc/{}", server.id());
    let tcp = fs::read_to_string(format!("{own}/net/tcp")).unwrap();
    // Column 3 is the state, 0A for one that listens; column 9 the inode (proc(5)).
    let listening = tcp.lines().filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        (columns.get(3) == Some(&"0A")).then(|| format!("socket:[{}]", columns[9]))
    });
    let listening: Vec<_> = listening.collect();
    let mut found = 0;
    for entry in fs::read_dir(format!("{own}/fd")).unwrap() {
        let entry = entry.unwrap();
        let what = fs::read_link(entry.path()).unwrap_or_default();
        if !listening.iter().any(|one| Path::new(one) == what) {
            continue;
        }
        let number = entry.file_name().to_string_lossy().into_owned();
        let info = fs::read_to_string(format!("{own}/fdinfo/{number}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
        assert_ne!(flags & 0o4000, 0, "{what:?} blocks");
        found += 1;
    }
    // Two addresses on two threads.
    assert_eq!(found, 4);
}

/// Judges all that a server did which has been told to stop.
fn observe(judge: &mut Judge, trace: &Path) {
    strace::wait_for_end(trace).unwrap();
    let lines = BufReader::new(File::open(trace).unwrap());
    strace::read(lines, |moment| {
        judge.observe(&moment);
        Ok(())
    })
    .unwrap();
    judge.end();
    tell(&judge.table());
}

fn tell(what: &str) {
    // For who looks; nothing depends on it.
    let _ = writeln!(std::io::stdout(), "{what}");
}

/// A server under strace whose log is this pipe, with descriptors for a hundred clients.
fn traced(trace: &Path) -> (Server, Unread) {
    let prepared = Server::prepare(Scratch::in_memory().unwrap(), QUICK).unwrap();
    for user in USERS {
        let account = format!("{user}@localhost");
        prepared.add_user(&account, "secret").unwrap();
    }
    let mut log = Unread::new(prepared.scratch()).unwrap();
    log.wait_for(&["in the way"]).unwrap();
    let strace = strace::watching(trace, "fsync,fdatasync", SYNC);
    let mut command = log.command(Path::new("sh"));
    command.args(["-c", "ulimit -n 200 && exec \"$@\"", "sh"]);
    command
        .arg(strace.get_program())
        .args(strace.get_args())
        .arg(prepared.binary());
    (prepared.begin(command).unwrap(), log)
}

/// A server under strace whose host asks a directory.
fn traced_with_directory(trace: &Path, slapd: &Slapd) -> Server {
    let scratch = Scratch::in_memory().unwrap();
    let prepared = Server::prepare(scratch, &slapd.options()).unwrap();
    let strace = strace::watching(trace, "fsync,fdatasync", Duration::ZERO);
    let mut command = Command::new(strace.get_program());
    command.args(strace.get_args()).arg(prepared.binary());
    prepared.begin(command).unwrap()
}

/// One trouble after the other. Two sessions are answered all the while.
fn trouble(server: &Server, log: &mut Unread) {
    let pingers = ["juliet", "nurse"].map(|user| Pinger::start(server, user));
    let answered = || pingers.iter().for_each(Pinger::is_answered);
    load(server);
    signal(server, "-HUP");
    log.wait_for(&["certificates reloaded"]).unwrap();
    answered();
    // Syncs are slow all the while.
    for word in ["disable", "enable"] {
        server.command(&["user", word, "romeo@localhost"]).unwrap();
    }
    with_full_disk(server, || {
        let refused = server.command(&["user", "disable", "romeo@localhost"]);
        assert!(refused.is_err());
        log.wait_for(&["storage failed"]).unwrap();
        signed_in(server, "romeo", SCRAM).close().unwrap();
        answered();
    });
    let crowd = crowd(server);
    log.wait_for(&["connections run low"]).unwrap();
    answered();
    drop(crowd);
    let deaf = deaf(server);
    server.command(&["user", "list"]).unwrap();
    answered();
    log.fill().unwrap();
    load(server);
    server.command(&["user", "list"]).unwrap();
    answered();
    for pinger in pingers {
        pinger.end();
    }
    drop(deaf);
}

#[test]
fn a_shard_waits_for_its_poller_alone() {
    if left_out("what a shard's thread calls, which needs strace") {
        return;
    }
    let scratch = Scratch::in_memory().unwrap();
    let trace = scratch.path().join("trace");
    let (mut server, mut log) = traced(&trace);
    let mut judge = Judge::new(shards(&server));
    listeners_do_not_block(&server);
    trouble(&server, &mut log);
    server.stop().unwrap();
    observe(&mut judge, &trace);
    tell(&format!(
        "{} waits for a lock; sent by shards during {:?}",
        judge.lock_waits, judge.sent_during
    ));
    assert!(judge.faults.is_empty(), "{:#?}", judge.faults);
    // The trace has the shards' calls in it, and those of the others that hang.
    for call in ["accept4", "epoll_wait", "recvfrom", "sendto", "futex"] {
        assert!(judge.count(call) > 20, "{call}\n{}", judge.table());
    }
    for kind in [
        "a sync of the disk",
        "a write to the log",
        "an answer of the control socket",
    ] {
        let sent = judge.sent_during.get(kind).copied().unwrap_or_default();
        assert!(sent > 0, "nothing was sent during {kind}");
    }
}

/// Neither for one that answers nor for one that is away or silent.
#[test]
fn a_shard_waits_for_no_directory() {
    if left_out("what a shard's thread calls while slapd is asked, which needs strace") {
        return;
    }
    let scratch = Scratch::in_memory().unwrap();
    let trace = scratch.path().join("trace");
    let mut slapd = Slapd::start("").unwrap();
    let mut server = traced_with_directory(&trace, &slapd);
    let mut judge = Judge::new(shards(&server));
    let mut juliet = signed_in(&server, "juliet", Mechanism::Plain);
    let mut ask = |password: &str, expected: Result<(), &str>| {
        let mut client = opened(&server);
        let came = client.sign_in("juliet", password, Mechanism::Plain, BindTo::Exporter);
        let came = came.map(drop);
        assert_eq!(came.as_ref().map_err(String::as_str).copied(), expected);
        juliet
            .send("<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
            .unwrap();
        assert_eq!(juliet.next(PATIENCE).unwrap().attribute("id"), Some("p"));
    };
    for _ in 0..10 {
        ask("secret", Ok(()));
        ask("wrong", Err("failure: not-authorized"));
    }
    signal(&server, "-HUP");
    server.wait_for_log(&["certificates reloaded"]).unwrap();
    ask("secret", Ok(()));
    slapd.kill().unwrap();
    for _ in 0..10 {
        ask("secret", Err("failure: temporary-auth-failure"));
    }
    slapd.stop_answering().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = opened(&server);
        let auth = spec_tests::talk::plain_auth("juliet", "secret");
        client.send(&auth).unwrap();
        waiting.push(client);
    }
    for client in &mut waiting {
        let failure = client.next(PATIENCE).unwrap();
        assert_eq!(failure.condition(), Some("temporary-auth-failure"));
    }
    server.stop().unwrap();
    observe(&mut judge, &trace);
    assert!(judge.faults.is_empty(), "{:#?}", judge.faults);
    for call in ["accept4", "epoll_wait", "recvfrom", "sendto"] {
        assert!(judge.count(call) > 20, "{call}\n{}", judge.table());
    }
}
