//! Links to other servers: which are proven, by what, and why others failed, and by whose decision.

use std::net::IpAddr;

use spondee_core::jid::Domain;
use spondee_core::port::{LinkFailure, ProvenBy, QueueTrouble, TlsVersion};
use tracing::Level;

use crate::control::linking::decided;
use crate::log::{Cause, Subject, may_write};

pub(super) fn proven(
    (ours, theirs): (&Domain, &Domain),
    peer: IpAddr,
    by: ProvenBy,
    tls: Option<TlsVersion>,
) {
    let peer = peer.to_canonical();
    let by = match by {
        ProvenBy::External => "EXTERNAL",
        ProvenBy::Dialback => "dialback",
    };
    let tls = match tls {
        None => "none",
        Some(TlsVersion::V1_2) => "1.2",
        Some(TlsVersion::V1_3) => "1.3",
    };
    tracing::info!(%peer, server = %theirs, host = %ours, by, tls, "link is up");
}

pub(super) fn taken((ours, theirs): (&Domain, &Domain), peer: IpAddr) {
    let peer = peer.to_canonical();
    tracing::info!(%peer, server = %theirs, host = %ours, "link goes by a stream that the other server opened");
}

pub(super) fn failed((ours, theirs): (&Domain, &Domain), why: &LinkFailure) {
    if may_write(Level::INFO, Cause::Server, Subject::Failure) {
        let (by, words) = decided(why);
        let by = by.words();
        tracing::info!(server = %theirs, host = %ours, "no link, {by}: {words}");
    }
}

pub(super) fn queue((ours, theirs): (&Domain, &Domain), trouble: QueueTrouble) {
    if may_write(Level::ERROR, Cause::Server, Subject::Warning) {
        match trouble {
            QueueTrouble::Unkept(stanzas) => tracing::error!(
                server = %theirs, host = %ours, stanzas,
                "what waits for another server could not be kept on disk: it stays in memory"
            ),
            QueueTrouble::Unreadable(rows) => tracing::error!(
                server = %theirs, host = %ours, rows,
                "what was kept for another server cannot be read, and is not sent (table link_queue)"
            ),
        }
    }
}
