//! What an administrator says of links to other servers.

use alloc::vec::Vec;
use core::time::Duration;

use super::rules::Rules;
use crate::limits::{Network, S2S_CLOSE_TIMEOUT, S2S_RETRY_FOR, S2S_SEND_QUEUE_SIZE, S2S_TIMEOUT};
use crate::secret::Secret;

/// All of it.
#[derive(Clone, Debug)]
pub struct FederationOptions {
    /// How much is needed of whom, and who may be talked to.
    pub rules: Rules,
    /// `dialback_secret`, where several servers of one domain share it; else it is made of the server's own.
    pub dialback_secret: Option<Secret>,
    /// `s2s_retry_for`: how long messages wait for a server that cannot be reached.
    pub retry_for: Duration,
    /// `s2s_send_queue_size`: how many stanzas wait for one.
    pub send_queue_size: usize,
    /// `s2s_timeout`: how long a stream may take until it has proven somebody.
    pub timeout: Duration,
    /// `s2s_close_timeout`: how long a peer has for its closing tag.
    pub close_timeout: Duration,
    /// `s2s_private_networks`: addresses of no public network at which other servers may be all the same.
    pub private_networks: Vec<Network>,
}

impl FederationOptions {
    /// Defaults, but that nobody may be talked to.
    #[must_use]
    pub fn isolated() -> Self {
        Self {
            rules: Rules::isolated(),
            dialback_secret: None,
            retry_for: S2S_RETRY_FOR,
            send_queue_size: S2S_SEND_QUEUE_SIZE,
            timeout: S2S_TIMEOUT,
            close_timeout: S2S_CLOSE_TIMEOUT,
            private_networks: Vec::new(),
        }
    }
}
