//! All clients of a run, over one poller and in one thread.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::client::{Advanced, Arrived, Client, Dialogue, Management, Security, Severed};
use super::target::{By, Running};
use crate::scenarios::HOST;
use crate::scram::Account;

/// A server that is silent for so long has lost something.
const PATIENCE: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct Crowd<'a> {
    poll: Poll,
    events: Events,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    /// Who signs in.
    accounts: &'a mut [Account],
    address: SocketAddr,
    security: Security,
    dialogue: Dialogue,
    by: By,
    management: Management,
    scratch: Vec<u8>,
}

/// What a turn brought, besides stanzas.
#[derive(Debug, Default)]
pub struct Tally {
    /// Clients whose session began.
    pub bound: Vec<usize>,
    /// How many connections ended as they should.
    pub closed: usize,
    /// Whose they were.
    pub gone: Vec<usize>,
}

impl<'a> Crowd<'a> {
    /// Nobody yet.
    ///
    /// # Errors
    /// The system gives no poller.
    pub fn new(
        accounts: &'a mut [Account],
        running: &Running,
        security: Security,
    ) -> Result<Self, String> {
        Ok(Self {
            poll: Poll::new().map_err(|e| e.to_string())?,
            events: Events::with_capacity(256),
            clients: Vec::new(),
            free: Vec::new(),
            accounts,
            address: running.address(),
            security,
            dialogue: running.dialogue(),
            by: By::Scram,
            management: Management::Off,
            scratch: vec![0; 64 * 1024],
        })
    }

    /// Who sign in by this.
    #[must_use]
    pub const fn signing_in(mut self, by: By) -> Self {
        self.by = by;
        self
    }

    /// Whose sessions are under stream management, or not.
    #[must_use]
    pub const fn managed(mut self, management: Management) -> Self {
        self.management = management;
        self
    }

    /// How many accounts there are.
    #[must_use]
    pub const fn accounts(&self) -> usize {
        self.accounts.len()
    }

    /// One more client connects and signs in, to this account modulo their number.
    ///
    /// # Errors
    /// No connection can be made.
    pub fn connect(&mut self, account: usize, resource: &str) -> Result<(), String> {
        self.join(account, resource.to_owned(), None)
    }

    /// The client of a session that lost its connection comes back. As soon as it is bound again, what waited comes as well.
    ///
    /// # Errors
    /// No connection can be made.
    pub fn resume(&mut self, severed: Severed) -> Result<(), String> {
        self.join(severed.account, severed.resource.clone(), Some(severed))
    }

    /// Resets the connection of a session.
    ///
    /// # Errors
    /// It cannot be resumed.
    ///
    /// # Panics
    /// It is not there.
    pub fn cut(&mut self, index: usize) -> Result<Severed, String> {
        let client = self.clients[index].take().expect("a living client");
        self.free.push(index);
        client.cut()
    }

    fn join(
        &mut self,
        account: usize,
        resource: String,
        severed: Option<Severed>,
    ) -> Result<(), String> {
        let index = self.free.pop().unwrap_or(self.clients.len());
        let fault = |e: std::io::Error| format!("client {index}: {e}");
        let socket = Client::connect(self.address).map_err(fault)?;
        let account = account % self.accounts.len();
        let manner = (
            self.security.clone(),
            self.dialogue,
            self.by,
            self.management,
        );
        let mut client = Client::new(socket, index, account, resource, manner)?;
        if let Some(severed) = severed {
            client = client.resuming(severed);
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry
            .register(client.socket(), Token(index), interest)
            .map_err(fault)?;
        match self.clients.get_mut(index) {
            Some(seat) => *seat = Some(client),
            None => self.clients.push(Some(client)),
        }
        Ok(())
    }

    /// A client that is still there.
    ///
    /// # Panics
    /// It is not.
    pub fn client(&mut self, index: usize) -> &mut Client {
        self.clients[index].as_mut().expect("a living client")
    }

    /// The account it signed in to.
    #[must_use]
    pub fn account_of(&self, index: usize) -> usize {
        self.clients[index].as_ref().map_or(0, Client::account)
    }

    /// Its full address.
    #[must_use]
    pub fn address_of(&self, index: usize) -> String {
        let client = self.clients[index].as_ref();
        client.map_or_else(String::new, |client| client.address(self.accounts))
    }

    /// The bare address of an account.
    #[must_use]
    pub fn bare_address(&self, account: usize) -> String {
        format!("{}@{HOST}", self.accounts[account].name())
    }

    /// Clients that are there.
    pub fn living(&self) -> Vec<usize> {
        let living = self.clients.iter().flatten();
        living.map(Client::index).collect()
    }

    /// Waits for something, and does it. `stanzas` is called after each read that brought any.
    ///
    /// # Errors
    /// A client was not treated as it should be, or nothing happens any more.
    pub fn turn(
        &mut self,
        mut stanzas: impl FnMut(&mut Client) -> Result<(), String>,
    ) -> Result<Tally, String> {
        match self.poll.poll(&mut self.events, Some(PATIENCE)) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(Tally::default()),
            Err(e) => return Err(e.to_string()),
        }
        if self.events.is_empty() {
            return Err(format!("the server is silent for {} s", PATIENCE.as_secs()));
        }
        let mut tally = Tally::default();
        for event in &self.events {
            let index = event.token().0;
            // It may have ended in this very turn.
            let Some(client) = self.clients.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            if event.is_writable() {
                client.flush()?;
            }
            loop {
                match client.read(&mut self.scratch)? {
                    Arrived::Nothing => break,
                    Arrived::Some => match client.advance(self.accounts)? {
                        Advanced::On => {}
                        Advanced::Bound => {
                            tally.bound.push(index);
                            // Behind the answer there may be what waited for a session that was resumed.
                            if client.sort()? {
                                stanzas(client)?;
                            }
                        }
                        Advanced::Stanzas => stanzas(client)?,
                    },
                    Arrived::End => {
                        client.ended()?;
                        tally.closed += 1;
                        tally.gone.push(client.account());
                        self.clients[index] = None;
                        self.free.push(index);
                        break;
                    }
                }
            }
        }
        Ok(tally)
    }

    /// Signs in as many clients as `who` names by account and resource, at most `parallel` at a time. They stay.
    ///
    /// # Errors
    /// One is refused.
    pub fn sign_in(
        &mut self,
        who: impl IntoIterator<Item = (usize, String)>,
        parallel: usize,
    ) -> Result<Vec<usize>, String> {
        let mut who = who.into_iter();
        let mut bound = Vec::new();
        let mut under_way = 0;
        loop {
            while under_way < parallel {
                let Some((account, resource)) = who.next() else {
                    break;
                };
                self.connect(account, &resource)?;
                under_way += 1;
            }
            if under_way == 0 {
                return Ok(bound);
            }
            let tally = self.turn(|_| Ok(()))?;
            under_way -= tally.bound.len();
            bound.extend(tally.bound);
        }
    }

    /// Asks the server what it has handled of each of these, and waits until that is all they have sent; nothing if they are not under stream
    /// management.
    ///
    /// # Errors
    /// It does not say so, or something else comes.
    pub fn agree(&mut self, seats: &[usize]) -> Result<(), String> {
        let mut open = seats.to_vec();
        open.retain(|seat| !self.client(*seat).is_agreed());
        for seat in &open {
            self.client(*seat).ask()?;
        }
        while !open.is_empty() {
            self.turn(|client| client.take_stanzas(|_| Ok(())))?;
            open.retain(|seat| !self.client(*seat).is_agreed());
        }
        Ok(())
    }

    /// How often the server has asked these what came.
    #[must_use]
    pub fn requests(&self, seats: &[usize]) -> usize {
        let seats = seats.iter().filter_map(|seat| self.clients[*seat].as_ref());
        seats.map(Client::requests).sum()
    }

    /// All that are there leave, and are waited for.
    ///
    /// # Errors
    /// One is not let go.
    pub fn leave(&mut self) -> Result<(), String> {
        let living = self.living();
        let mut left = living.len();
        for index in living {
            self.client(index).close()?;
        }
        while left > 0 {
            left = left.saturating_sub(self.turn(|_| Ok(()))?.closed);
        }
        Ok(())
    }
}
