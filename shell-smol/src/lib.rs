//! The Spondee XMPP server on the smol executor: the same core, storage, configuration and commands as the `spondee` binary of
//! shell-mio, for programs that are async themselves and want a server inside (see `Server`), and for systems that mio does not know.
//!
//! Each shard has a thread of its own, which is an executor with one task; the program's own executor is not kept busy.

mod bell;
mod embed;
mod serve;
mod shard;
mod socket;

pub use self::embed::{AskError, Server};
pub use self::serve::serve;
pub use spondee_core::jid::{BareJid, Domain};
pub use spondee_core::port::{Command, CommandError, CommandReply};
pub use spondee_shell_common::config::Settings;
