//! The two enums a shell sees, and the names it uses in them.

mod action;
mod archive;
mod command;
mod import;
mod input;
mod network;
mod note;
mod reach;

pub use action::{Action, Standing};
pub use archive::{ArchiveSize, ArchiveTask};
pub use command::{
    Availability, Command, CommandError, CommandId, CommandReply, CommandResult, Contacts, Device,
    LastActivity, Line, Show, UserDetails, UserEntry,
};
pub use import::{ImportStep, Imported, ImportedProof};
pub use input::{
    ClientCertificate, Closed, ConnectError, DeriveError, Input, Listener, Opening, TlsInfo,
    TlsVersion,
};
pub use network::{
    CertificateName, CertificateNames, Chain, Lookup, LookupError, NameConstraints, Protocol,
    Resolved, ServerCertificate, Service, Source, TlsClient, TlsServer, TlsSide, Verdict,
};
pub use note::{
    AccountChange, CloseReason, Decider, Note, PeerJudged, PeerProof, PeerStanding, StreamError,
};
pub use reach::{
    Asked, Attempt, AttemptError, AttemptOutcome, Awaited, Feature, Features, PeerError, Reach,
    Reached, Secured, SecuredBy, Starttls, Target, Unreached,
};

use crate::arena::arena_key;

arena_key! {
    /// A connection of this shard. Dead once the shell said `Input::Closed` or took it by `detach`.
    pub ConnId;
    /// A question of this shard; its answer comes back under it.
    pub Ticket;
}
