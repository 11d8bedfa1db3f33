//! XEP-0199: XMPP Ping, version 2.0.1.
//!
//! Pings to a host, and from a session to its own account (§4.2). To an account of somebody else they are refused as where there is none,
//! whoever asks: §4.4 has them go to clients, and §7 warns of what an answer would tell.

use alloc::vec::Vec;

use super::{Answer, Asked};

/// XEP-0199 §4.2: the result is empty.
pub(super) const fn ping(_: &Asked<'_>) -> Answer {
    Answer::Result(Vec::new())
}
