//! How fast a peer may send, and for how long it is not read when it was faster.

use core::time::Duration;

use super::client::Client;
use super::{Cx, State, Stream};
use crate::config::Config;
use crate::rate::Rate;

impl Stream {
    /// So many bytes have come.
    pub(super) fn pour(&mut self, cx: &Cx<'_>, bytes: usize) {
        if let Some(rate) = self.rate(cx.config) {
            self.bucket.pour(cx.now.mono, rate, bytes);
        }
    }

    /// How long the peer is not to be read, having sent faster than it may.
    pub(crate) fn rest(&self, cx: &Cx<'_>) -> Duration {
        let asked = self.server().map(|server| server.rest(cx.now.mono));
        let asked = asked.unwrap_or_default();
        let Some(rate) = self.rate(cx.config) else {
            return asked;
        };
        match self.is_unlimited(cx.config) {
            true => asked,
            false => self.bucket.rest(cx.now.mono, rate).max(asked),
        }
    }

    /// What holds for who it is. Where we have ended, the closing tag is waited for.
    const fn rate<'a>(&self, config: &'a Config) -> Option<&'a Rate> {
        match &self.state {
            State::Client(_) => config.limits.c2s_rate.as_ref(),
            // What comes before it has proven anything is little, and would only be in the way of its proof.
            State::Server(server) if server.is_proven() => config.limits.s2s_rate.as_ref(),
            State::Server(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed => None,
        }
    }

    /// Whether its account may send as fast as it can.
    fn is_unlimited(&self, config: &Config) -> bool {
        let signed_in = self.client().and_then(Client::signed_in);
        signed_in.is_some_and(|account| {
            let host = self.host().and_then(|host| config.accounts(host));
            host.is_some_and(|host| {
                host.unlimited_jids
                    .iter()
                    .any(|one| one.as_str() == account)
            })
        })
    }
}
