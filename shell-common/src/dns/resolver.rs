//! The stub resolver with sockets: it lacks nothing but a thread that may wait.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use spondee_core::port::Lookup;

use super::exchanges::{Exchanges, Heard};
use super::{Answer, Stub};

/// See the module. Whoever has it calls `ask`, takes all of `poll_answer`, and then waits.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) stub: Stub,
    exchanges: Exchanges,
}

impl Resolver {
    pub(super) fn new(stub: Stub) -> Self {
        Self {
            stub,
            exchanges: Exchanges::new(),
        }
    }

    /// See `Stub::ask`.
    pub(super) fn ask(&mut self, ticket: u64, lookup: &Lookup) {
        self.stub.ask(Instant::now(), ticket, lookup);
    }

    /// What was found out. What is to be sent is sent before, because that may fail, and be an answer.
    pub(super) fn poll_answer(&mut self) -> Option<Answer> {
        while let Some(transmit) = self.stub.poll_transmit() {
            if let Err(exchange) = self.exchanges.carry_out(transmit) {
                self.stub.failed(Instant::now(), exchange);
            }
        }
        self.stub.poll_answer()
    }

    /// Sleeps until there may be an answer, or the bell rings. At once back where neither can be.
    pub(super) fn wait(&mut self, bell: Option<BorrowedFd<'_>>) {
        let until = self.stub.poll_timeout();
        if until.is_none() && bell.is_none() {
            return;
        }
        for exchange in self.exchanges.wait(bell, until) {
            match self.exchanges.hear(exchange) {
                Heard::Nothing => {}
                Heard::Message(message) => {
                    self.stub.received(Instant::now(), exchange, &message);
                }
                Heard::Failed => self.stub.failed(Instant::now(), exchange),
            }
        }
        self.stub.tick(Instant::now());
    }
}
