//! The two enums a shell sees, and the names it uses in them.

mod action;
mod archive;
mod command;
mod import;
mod input;
mod links;
mod note;

pub use action::{Action, Standing};
pub use archive::{ArchiveSize, ArchiveTask};
pub use command::{
    Availability, Command, CommandError, CommandId, CommandReply, CommandResult, Contacts, Device,
    LastActivity, Line, Show, UserDetails, UserEntry,
};
pub use import::{ImportStep, Imported, ImportedProof};
pub use input::{ClientCertificate, Closed, DeriveError, Expected, Input, Listener, TlsInfo};
pub(crate) use links::last_error;
pub use links::{
    Direction, Explained, LinkReply, LinkShown, LinkState, LinkTask, LinkTls, LinksClosed,
    QueueShown, Ways,
};
pub use note::{AccountChange, CloseReason, ComponentChange, Note, PeerJudged, QueueTrouble};

pub use crate::federation::{
    Asked, Attempt, AttemptError, AttemptOutcome, Awaited, CertificateName, CertificateNames,
    Chain, ConnectError, Decider, Feature, Features, LinkFailure, LinkProof, Lookup, LookupError,
    NameConstraints, NamedVerdict as Verdict, Opening, PeerError, PeerProof, PeerStanding,
    Protocol, ProvenBy, Reach, Reached, RefusedPlace, Resolved, Secured, SecuredBy,
    ServerCertificate, Service, Source, Starttls, StreamError, Target, TlsClient, TlsServer,
    TlsSide, TlsVersion, Unproven, Unreached,
};

use crate::arena::arena_key;

arena_key! {
    /// A connection of this shard. Dead once the shell said `Input::Closed` or took it by `detach`.
    pub ConnId;
    /// A question of this shard; its answer comes back under it.
    pub Ticket;
}
