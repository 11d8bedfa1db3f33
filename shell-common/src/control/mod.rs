//! The control socket: JSON lines over a Unix socket in the data directory (0600). Commands go to the owner's shard.
//!
//! Each request is one line, and so is its answer; a connection may ask again after each answer. A line that is no request is
//! answered as malformed; one that is too long ends the connection.
//!
//! ```text
//! {"command":"add","account":"juliet@example.org","password":"…"}       {"result":"done"}
//! {"command":"add",…,"tombstones":"heed"}                  {"result":"held","deleted":1795316645678,"until":null}
//!     what is to be done if a user of this name was deleted: "heed" or "ignore", which takes the name all the same
//! {"command":"passwd","account":"juliet@example.org","password":"…"}    {"result":"error","error":"no-such-user"}
//! {"command":"disable","account":"juliet@example.org"}                  likewise "enable" and "delete"
//! {"command":"list","host":"example.org","after":"a@example.org","limit":100}
//!     {"result":"users","users":[{"account":"juliet@example.org","status":"enabled"}]}
//! {"command":"show","account":"juliet@example.org"}
//!     {"result":"user","user":{"status":"enabled","contacts":12,"subscriptions":{"both":8,"to":1,"from":2,"none":1},"requests":0,
//!     "blocked":0,"last_activity":null,"devices":[{"resource":"balcony","peer":"192.0.2.7:51234","connected_seconds":7500,"unread_bytes":0,
//!     "presence":{"priority":5,"show":"away","status":"Reading"},"asleep":null}]}}
//!     "asleep" of one that lost its connection: {"seconds":125,"seconds_left":475,"waiting_stanzas":12}
//! {"command":"disconnect","account":"juliet@example.org","resource":"phone"}      without a resource all sessions
//!     {"result":"disconnected","sessions":1}
//! {"command":"archive","account":"juliet@example.org","task":"measure"}      times are in microseconds since 1970-01-01T00:00:00Z
//!     {"result":"archive","size":{"messages":12,"bytes":3456,"oldest":1795316645678000,"newest":1795316645679000,"waiting":0}}
//! {"command":"archive","account":"juliet@example.org","task":{"trim":{"before":1795316645678000}}}      one step, to be asked for again
//!     {"result":"trimmed","messages":500,"more":true}
//! {"command":"erase","host":"example.org"}       one step towards leaving nothing of users that were deleted, to be asked for again
//!     {"result":"erased","left":"some"}          "held" by another program that reads the database; "nothing"
//! {"command":"reach","domain":"example.org","service":"client"}       "server": as another server would; whether it is reached and how
//!     {"result":"reached","reach":{"asked":[{"name":"_xmpps-client._tcp.example.org","answer":"no-name"}],"attempts":[{"target":"example.org",
//!     "address":"192.0.2.7:5222","opening":"starttls","outcome":"reached"}],"outcome":{"reached":{"target":"example.org","address":
//!     "192.0.2.7:5222","tls":{"by":"starttls","version":"1.3","certificate":{"verdict":"good","sha256":"…"}},"mechanisms":["SCRAM-SHA-1"],
//!     "features":[{"name":"mechanisms","namespace":"urn:ietf:params:xml:ns:xmpp-sasl"}]}}}}
//! {"command":"links","task":{"list":{}}}      of all shards; with {"domain":"example.org"} of that one alone, each with its "verdict"
//!     {"result":"links","links":{"listed":{"links":[{"direction":"out","both_ways":false,"ours":"example.org","theirs":"example.com","state":"up",
//!     "seconds":60,"seconds_left":null,"peer":"192.0.2.7:5269","method":"external","tls":{"version":"1.3","certificate":{"chain":{"valid":{"until":"…"}},
//!     "names":["example.com"],"sha256":"…"}},"queue":{"stanzas":0,"bytes":0,"unconfirmed":0},"failure":null}],"more":false}}}
//! {"command":"links","task":{"close":{"domain":"example.com"}}}     {"result":"links","links":{"closed":{"links":1,"streams":1,"cleared":0}}}
//! {"command":"links","task":{"explain":{"domain":"example.com","from":"example.org"}}}      what would come of a link (`wire/links.rs`)
//! {"command":"reload"}        read configuration and certificates again; the answer comes when that is done
//!     {"result":"reloaded","outcome":{"took":"whole"}}     "in-part" or "not", with "faults":["…"]
//! {"command":"import","account":"juliet@example.org","step":{"look":"heed"}}     a step of an import (`wire/import.rs`), for `user import`
//! ```
//!
//! Errors: `busy`, `exists`, `malformed`, `no-such-host`, `no-such-session`, `no-such-user`, `password`, `reaching`, `store`, `timeout`. Whoever can enter
//! the data directory is an administrator: there is no other check.

mod client;
mod merge;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::HashMap;
use std::fs::Permissions;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::Duration;

use spondee_core::envelope::placement::Placement;
use spondee_core::port::{Command, CommandId, CommandReply, CommandResult, LinkTask};
use tracing::Level;
use zeroize::Zeroizing;

use crate::limits::{
    CONTROL_ANSWER, CONTROL_CONNECTIONS, CONTROL_IDLE, CONTROL_PATH_BYTES, CONTROL_REACH,
    CONTROL_REQUEST_BYTES,
};
use crate::log::{Cause, Subject, may_write};
use crate::mailbox::{Letter, Mailbox};
use crate::remedy::explain;

pub use client::{CallError, call, reload};
pub(crate) use client::{links, reach};
pub(crate) use wire::Details;
pub use wire::Reloaded;
pub(crate) use wire::links as linking;
pub(crate) use wire::reach as reaching;
use wire::{Answer, Asked, Refusal, Request};

/// The socket's name in a data directory.
pub const SOCKET_NAME: &str = "control.sock";

/// The socket in this data directory.
///
/// # Errors
/// A sentence for the administrator: the path is too long for a socket.
pub fn socket_path(data_directory: &Path) -> Result<PathBuf, String> {
    let path = data_directory.join(SOCKET_NAME);
    let bytes = path.as_os_str().len();
    if bytes <= CONTROL_PATH_BYTES {
        return Ok(path);
    }
    let room = CONTROL_PATH_BYTES - (bytes - data_directory.as_os_str().len());
    Err(format!(
        "the path of the data directory {} is too long: the control socket in it leaves room for {room} bytes; set a shorter \
         data_directory",
        data_directory.display()
    ))
}

/// The server's end. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Control {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// Apart from the rest, because shards' threads come here: held to look something up, never for a call of the system.
    pending: Mutex<HashMap<CommandId, SyncSender<CommandResult>>>,
    reloads: Mutex<Reloads>,
}

/// Who waits for a reload.
#[derive(Debug, Default)]
struct Reloads {
    waiting: Vec<SyncSender<Reloaded>>,
    /// Wakes who carries it out.
    bell: Option<Waker>,
}

/// A reload that was asked for.
#[derive(Debug)]
pub struct ReloadAsked(Vec<SyncSender<Reloaded>>);

impl ReloadAsked {
    /// Tells all who asked what came of it.
    pub fn answer(self, outcome: &Reloaded) {
        for sender in self.0 {
            // Whoever asked may have gone.
            let _ = sender.try_send(outcome.clone());
        }
    }
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Never used twice, so that a late answer reaches nobody.
    last_id: u64,
    /// Second handles of the open connections, to close them with.
    connections: HashMap<u64, UnixStream>,
}

#[derive(Debug)]
enum Phase {
    New,
    Serving,
    Stopped,
}

/// Where commands go.
#[derive(Debug)]
struct Shards {
    mailboxes: Vec<Arc<dyn Mailbox>>,
    placement: Placement,
}

impl Control {
    /// For the socket at `path`; nothing listens yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            shared: Arc::new(Shared {
                path,
                state: Mutex::new(State {
                    phase: Phase::New,
                    last_id: 0,
                    connections: HashMap::new(),
                }),
                pending: Mutex::default(),
                reloads: Mutex::default(),
            }),
        }
    }

    /// The socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Listens and serves on a thread of its own; mailboxes are in order of shards. A socket left over from a server that was
    /// killed is replaced: the caller holds the data directory's lock.
    ///
    /// # Errors
    /// The socket cannot be made, or it serves or has been stopped already.
    pub fn serve(&self, mailboxes: Vec<Arc<dyn Mailbox>>, placement: Placement) -> io::Result<()> {
        let shards = Arc::new(Shards {
            mailboxes,
            placement,
        });
        let mut state = self.shared.lock();
        if !matches!(state.phase, Phase::New) {
            return Err(io::Error::other("the control socket was started before"));
        }
        let path = &self.shared.path;
        let say = |error: io::Error| io::Error::other(explain(&error, path));
        remove(path).map_err(say)?;
        let listener = UnixListener::bind(path).map_err(say)?;
        // Nobody else can enter the directory, so nobody connects between these two lines.
        std::fs::set_permissions(&self.shared.path, Permissions::from_mode(0o600))?;
        let shared = self.shared.clone();
        thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || accept(&shared, &listener, &shards))?;
        state.phase = Phase::Serving;
        Ok(())
    }

    /// From now on this is woken when somebody asks for a reload.
    pub fn ring_for_reloads(&self, bell: Waker) {
        self.shared.reloads().bell = Some(bell);
    }

    /// A reload that was asked for since the last call. Whoever asks from here on gets the next one: what it wants to be read may not be
    /// there yet.
    #[must_use]
    pub fn reload_asked(&self) -> Option<ReloadAsked> {
        let waiting = std::mem::take(&mut self.shared.reloads().waiting);
        (!waiting.is_empty()).then_some(ReloadAsked(waiting))
    }

    /// Passes a result to whoever asked. Never waits: there is room for the one answer to each question, and what comes of it
    /// on the way to the client is the affair of the client's thread.
    pub fn answer(&self, id: CommandId, result: CommandResult) {
        let asked = self.shared.pending().remove(&id);
        if let Some(sender) = asked {
            // Whoever asked may have gone: the command took effect all the same.
            let _ = sender.try_send(result);
        }
    }

    /// Removes the socket; open connections are closed. Harmless when repeated.
    pub fn stop(&self) {
        let mut state = self.shared.lock();
        let before = std::mem::replace(&mut state.phase, Phase::Stopped);
        // Behind the phase: from here on nobody asks.
        self.shared.pending().clear();
        self.shared.reloads().waiting.clear();
        for (_, connection) in state.connections.drain() {
            // It may be closed already.
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        if matches!(before, Phase::Serving) {
            // The thread that accepts sees the phase when it next accepts.
            let _ = UnixStream::connect(&self.shared.path);
            if let Err(error) = remove(&self.shared.path) {
                tracing::warn!("cannot remove {}: {error}", self.shared.path.display());
            }
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn accept(shared: &Arc<Shared>, listener: &UnixListener, shards: &Arc<Shards>) {
    for stream in listener.incoming() {
        if matches!(shared.lock().phase, Phase::Stopped) {
            return;
        }
        let admitted = stream.and_then(|stream| admit(shared, stream, shards));
        if let Err(error) = admitted {
            if may_write(Level::WARN, Cause::Server, Subject::Warning) {
                tracing::warn!("control socket: {error}");
            }
            // Without descriptors or memory `accept` fails again at once: not in a tight loop.
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Gives a connection its thread, if there are not too many.
fn admit(shared: &Arc<Shared>, stream: UnixStream, shards: &Arc<Shards>) -> io::Result<()> {
    stream.set_read_timeout(Some(CONTROL_IDLE))?;
    stream.set_write_timeout(Some(CONTROL_IDLE))?;
    let mut state = shared.lock();
    if state.connections.len() >= CONTROL_CONNECTIONS {
        drop(state);
        return write(&stream, &Answer::refused(Refusal::Busy));
    }
    state.last_id += 1;
    let number = state.last_id;
    state.connections.insert(number, stream.try_clone()?);
    drop(state);
    let seat = Seat {
        shared: shared.clone(),
        number,
    };
    let shards = shards.clone();
    thread::Builder::new()
        .name("control-connection".to_owned())
        .spawn(move || {
            // Silence, an end in the middle of a line: nobody is there to be told.
            let _ = converse(&seat.shared, &stream, &shards);
        })
        .map(drop)
}

/// A connection's place among those allowed. Dropped, it is free.
struct Seat {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Closed when the lock is free again.
        let connection = self.shared.lock().connections.remove(&self.number);
        drop(connection);
    }
}

/// One connection from first to last line.
fn converse(shared: &Shared, stream: &UnixStream, shards: &Shards) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        // Wiped after each request: it may hold a password.
        let mut line = Zeroizing::new(Vec::new());
        (&mut reader)
            .take(CONTROL_REQUEST_BYTES)
            .read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return match line.is_empty() {
                true => Ok(()),
                false => write(
                    stream,
                    &Answer::malformed("too long, or cut off".to_owned()),
                ),
            };
        }
        let answer = match Request::parse(&line) {
            Ok(Asked::Reload) => match reloaded(shared) {
                Some(answer) => answer,
                None => return Ok(()),
            },
            Ok(Asked::Command(command)) => match carry_out(shared, shards, command) {
                Some(answer) => answer,
                // Stopped: the connection is being closed.
                None => return Ok(()),
            },
            Err(detail) => Answer::malformed(detail),
        };
        write(stream, &answer)?;
    }
}

/// Waits for the owner's shard, or for all. `None` when the server stops meanwhile.
fn carry_out(shared: &Shared, shards: &Shards, command: Command) -> Option<Answer> {
    let place = match &command {
        Command::Links(LinkTask::Explain { domain, .. }) => shards.placement.owner(domain.as_str()),
        Command::Links(task @ (LinkTask::Close { .. } | LinkTask::List { .. })) => {
            return of_all(shared, shards, task);
        }
        Command::Erase { host: name }
        | Command::List { host: name, .. }
        | Command::Reach { domain: name, .. } => shards.placement.owner(name.as_str()),
        Command::Add { account, .. }
        | Command::Archive { account, .. }
        | Command::Delete { account }
        | Command::Disable { account }
        | Command::Disconnect { account, .. }
        | Command::Enable { account }
        | Command::Import { account, .. }
        | Command::Passwd { account, .. }
        | Command::Show { account }
        | Command::Upgrade { account } => shards.placement.owner(account.as_str()),
    };
    let mailbox = shards.mailboxes.get(usize::from(place.shard))?;
    ask(shared, &**mailbox, command)?.map_or_else(Some, |result| Some(result.into()))
}

/// Asks every shard, one after the other. Nothing of it waits for anything.
fn of_all(shared: &Shared, shards: &Shards, task: &LinkTask) -> Option<Answer> {
    let mut whole = None;
    for mailbox in &shards.mailboxes {
        let reply = match ask(shared, &**mailbox, Command::Links(task.clone()))? {
            Ok(Ok(CommandReply::Links(reply))) => reply,
            Ok(other) => return Some(other.into()),
            Err(answer) => return Some(answer),
        };
        whole = Some(match whole {
            None => reply,
            Some(before) => merge::links(before, reply),
        });
    }
    Some(Ok(CommandReply::Links(whole?)).into())
}

/// Asks one shard, and waits for what it says. `None` when the server stops meanwhile.
fn ask(
    shared: &Shared,
    mailbox: &dyn Mailbox,
    command: Command,
) -> Option<Result<CommandResult, Answer>> {
    let patience = patience(&command);
    let (sender, answer) = sync_channel(1);
    let mut state = shared.lock();
    if matches!(state.phase, Phase::Stopped) {
        return None;
    }
    state.last_id += 1;
    let id = CommandId(state.last_id);
    shared.pending().insert(id, sender);
    drop(state);
    mailbox.post(vec![Letter::Command(id, command)]);
    match answer.recv_timeout(patience) {
        Ok(result) => Some(Ok(result)),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            shared.pending().remove(&id);
            tracing::error!("a command was not answered");
            Some(Err(Answer::refused(Refusal::Timeout)))
        }
    }
}

/// How long the end of a command may take.
fn patience(command: &Command) -> Duration {
    match command {
        Command::Reach { .. } | Command::Links(LinkTask::Explain { .. }) => CONTROL_REACH,
        Command::Add { .. }
        | Command::Archive { .. }
        | Command::Delete { .. }
        | Command::Disable { .. }
        | Command::Disconnect { .. }
        | Command::Enable { .. }
        | Command::Erase { .. }
        | Command::Import { .. }
        | Command::Links(LinkTask::Close { .. } | LinkTask::List { .. })
        | Command::List { .. }
        | Command::Passwd { .. }
        | Command::Show { .. }
        | Command::Upgrade { .. } => CONTROL_ANSWER,
    }
}

/// Waits for who carries out reloads. `None` when the server stops meanwhile.
fn reloaded(shared: &Shared) -> Option<Answer> {
    let (sender, answer) = sync_channel(1);
    let mut reloads = shared.reloads();
    let Some(bell) = reloads.bell.clone() else {
        drop(reloads);
        return Some(Answer::malformed("this server does not reload".to_owned()));
    };
    reloads.waiting.push(sender);
    drop(reloads);
    bell.wake();
    match answer.recv_timeout(CONTROL_ANSWER) {
        Ok(outcome) => Some(Answer::Reloaded { outcome }),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => Some(Answer::refused(Refusal::Timeout)),
    }
}

fn write(mut stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

impl Shared {
    /// Nothing panics while it holds the lock, so a poisoned one still guards a whole state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As above.
    fn reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As above. Whoever has both takes `lock` first.
    fn pending(&self) -> MutexGuard<'_, HashMap<CommandId, SyncSender<CommandResult>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
