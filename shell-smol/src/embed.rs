//! A server inside another program.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;

use smol::channel::{Receiver, Sender, bounded};
use spondee_core::jid::BareJid;
use spondee_core::port::{Command, CommandError, CommandReply};
use spondee_core::sasl::Tombstones;
use spondee_core::secret::Secret;
use spondee_shell_common::boot::boot;
use spondee_shell_common::cli::refusal;
use spondee_shell_common::config::Settings;
use spondee_shell_common::control::{CallError, call};
use spondee_shell_common::serve::{self, Next};
use spondee_shell_common::signal::Signal;

use crate::bell::Bell;
use crate::serve::wait;
use crate::shard::Smol;

/// A running server. Dropped, it stops as if it had been told to, and nobody waits for that.
///
/// It catches no signals and writes no log: both are the program's. What it has to say goes to the program's `tracing` subscriber.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    control: PathBuf,
    orders: Sender<Signal>,
    bell: Arc<Bell>,
    ended: Receiver<Result<(), String>>,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AskError {
    /// The server refused it, and a sentence that says what to do.
    Refused(CommandError, String),
    /// There is no answer, and why.
    Unanswered(String),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_, why) | Self::Unanswered(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for AskError {}

/// What the thread of a server tells once it runs.
struct Started {
    addresses: Vec<SocketAddr>,
    control: PathBuf,
}

impl Server {
    /// Starts one with these settings; as `spondee` itself with the file `Settings::load` reads, or with `Settings::development`. It can be
    /// reached when this returns. Of each data directory there can be one, in whichever program.
    ///
    /// # Errors
    /// A sentence for the administrator: why it cannot start.
    pub async fn start(settings: Settings) -> Result<Self, String> {
        let bell = Arc::new(Bell::default());
        let (orders, heard) = bounded(4);
        let (tell, started) = bounded(1);
        let (last, ended) = bounded(1);
        let own = Arc::clone(&bell);
        let thread = std::thread::Builder::new().name("spondee-main".to_owned());
        let spawned = thread.spawn(move || {
            let outcome = run(settings, &own, &tell, &heard);
            // Fails only when nobody waits for it.
            let _ = last.try_send(outcome);
        });
        spawned.map_err(|error| serve::cannot_start(&error))?;
        match started.recv().await {
            Ok(Started { addresses, control }) => Ok(Self {
                addresses,
                control,
                orders,
                bell,
                ended,
            }),
            Err(_) => Err(match ended.recv().await {
                Ok(Err(why)) => why,
                Ok(Ok(())) | Err(_) => "the thread of the server ended".to_owned(),
            }),
        }
    }

    /// Where it listens, ports filled in where the settings say 0.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Adds an account with this password.
    ///
    /// # Errors
    /// What the server says: there is one of that name, there is no such host, the password is not fit.
    pub async fn add_account(&self, account: BareJid, password: &str) -> Result<(), AskError> {
        let add = Command::Add {
            account,
            password: Secret::new(password.as_bytes().to_vec()),
            tombstones: Tombstones::Heed,
        };
        self.ask(add).await.map(drop)
    }

    /// Has any command of an administrator carried out.
    ///
    /// # Errors
    /// The server refused, and nothing of it took effect, or could not be asked.
    pub async fn ask(&self, command: Command) -> Result<CommandReply, AskError> {
        let control = self.control.clone();
        let called = smol::unblock(move || match call(&control, &command) {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(AskError::Refused(error, refusal(&command, error))),
            Err(CallError::NoServer) => {
                Err(AskError::Unanswered("the server has ended".to_owned()))
            }
            Err(CallError::Lost(why)) => Err(AskError::Unanswered(why)),
        });
        called.await
    }

    /// Reads the configuration file and certificates again, as on SIGHUP. What came of it stands in the log.
    pub fn reload(&self) {
        self.order(Signal::Reload);
    }

    /// Closes all streams in order, and ends; within ten seconds, whatever clients do.
    ///
    /// # Errors
    /// A sentence: what broke.
    pub async fn stop(self) -> Result<(), String> {
        self.order(Signal::Stop);
        self.ended().await
    }

    /// Until it ends by itself, which it does not unless something broke.
    ///
    /// # Errors
    /// A sentence: what broke.
    pub async fn ended(&self) -> Result<(), String> {
        let outcome = self.ended.recv().await;
        outcome.unwrap_or_else(|_| Err("the thread of the server ended".to_owned()))
    }

    fn order(&self, signal: Signal) {
        // If there is no room, the same has been ordered before.
        let _ = self.orders.try_send(signal);
        Waker::from(Arc::clone(&self.bell)).wake();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.order(Signal::Stop);
    }
}

/// The main thread of the server.
fn run(
    settings: Settings,
    bell: &Arc<Bell>,
    tell: &Sender<Started>,
    orders: &Receiver<Signal>,
) -> Result<(), String> {
    let booted = boot(settings, None)?;
    let mut server = serve::Server::<Smol>::start(booted, Waker::from(Arc::clone(bell)))?;
    let started = Started {
        addresses: server.addresses().to_vec(),
        control: server.control().to_owned(),
    };
    let _ = tell.try_send(started);
    smol::block_on(async {
        while let Next::Wait(left) = server.look()? {
            wait(bell, left).await;
            bell.silence();
            while let Ok(signal) = orders.try_recv() {
                // To be told twice is no reason to hurry.
                if signal != Signal::Stop || !server.is_stopping() {
                    server.obey(signal)?;
                }
            }
        }
        Ok::<(), String>(())
    })?;
    server.end();
    Ok(())
}
