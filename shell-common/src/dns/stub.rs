//! The stub resolver, without a socket (RFC 1034 §5.3.1).
//!
//! Each query to a server is an *exchange*, which has a socket of its own: its port is the kernel's choice, its number the dice's, so an answer
//! cannot be guessed (RFC 5452 §9.2). Servers are asked one after another; one that is silent, that fails or that refuses is followed by the next.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use spondee_core::port::{Lookup, Resolved, Service, Source};

use super::cache::{Cache, Said};
use super::hosts::{Hosts, Known};
use super::message::{self, Kind, Name, Read, Records};
use super::resolv_conf::ResolvConf;
use super::{Answer, Failure};
use crate::limits::dns::{DNS_ALIASES, DNS_OTHER_FAMILY, DNS_QUESTIONS};

/// One query to one server, with a socket of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Exchange(pub u64);

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Transmit {
    /// Send this from a new socket that is connected to the server, and take datagrams from it until `Close`.
    Datagram(Exchange, SocketAddr, Vec<u8>),
    /// Connect, send this behind its length in two bytes, and take one message of the same form (RFC 7766 §8).
    Stream(Exchange, SocketAddr, Vec<u8>),
    /// The socket is not needed any more.
    Close(Exchange),
}

/// See the module. Whoever drives it calls `ask`, `received`, `failed` and `tick`, and after each takes all of `poll_transmit` and `poll_answer`; it
/// calls `tick` when it is `poll_timeout`.
pub struct Stub {
    conf: ResolvConf,
    hosts: Hosts,
    cache: Cache,
    dice: Box<dyn FnMut() -> u16 + Send>,
    questions: BTreeMap<u64, Asked>,
    exchanges: BTreeMap<Exchange, Underway>,
    last: u64,
    transmits: VecDeque<Transmit>,
    answers: VecDeque<Answer>,
}

/// A question under way.
#[derive(Debug)]
struct Asked {
    searches: Vec<Search>,
    /// When the addresses of one family are enough.
    enough_at: Option<Instant>,
}

/// One name and kind.
#[derive(Debug)]
struct Search {
    /// What was asked for, for the cache, and where its aliases have led.
    asked: Name,
    name: Name,
    kind: Kind,
    aliases: usize,
    /// How many servers were asked, one more than once.
    tries: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Exchange),
    Done(Result<Said, Failure>),
}

/// What an exchange is for.
#[derive(Debug)]
struct Underway {
    ticket: u64,
    kind: Kind,
    server: SocketAddr,
    id: u16,
    over: Transport,
    until: Instant,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Transport {
    Datagrams,
    Stream,
}

impl fmt::Debug for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stub")
            .field("conf", &self.conf)
            .field("questions", &self.questions)
            .finish_non_exhaustive()
    }
}

impl Stub {
    /// One that asks these servers. `dice` gives numbers that nobody can guess.
    #[must_use]
    pub fn new(conf: ResolvConf, hosts: Hosts, dice: Box<dyn FnMut() -> u16 + Send>) -> Self {
        Self {
            conf,
            hosts,
            cache: Cache::new(),
            dice,
            questions: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            last: 0,
            transmits: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    /// From now on this goes before DNS.
    pub fn replace_hosts(&mut self, hosts: Hosts) {
        self.hosts = hosts;
    }

    /// From now on these servers are asked, also for what is under way. What others said is forgotten, for they may have known another network;
    /// nothing happens where these are the same.
    pub fn replace_servers(&mut self, now: Instant, conf: ResolvConf) {
        if conf == self.conf {
            return;
        }
        self.conf = conf;
        self.cache = Cache::new();
        let exchanges: Vec<Exchange> = self.exchanges.keys().copied().collect();
        for exchange in exchanges {
            let Some(Underway { ticket, kind, .. }) = self.close(exchange) else {
                continue;
            };
            if let Some(search) = self.search(ticket, kind) {
                search.tries = 0;
            }
            self.query_again(now, ticket, kind);
        }
    }

    /// Asks. The answer has the same ticket, which must not be under way already.
    pub fn ask(&mut self, now: Instant, ticket: u64, lookup: &Lookup) {
        let (name, kinds): (&str, &[Kind]) = match lookup {
            Lookup::Addresses(name) => (name, &[Kind::Aaaa, Kind::A]),
            Lookup::Services(name) => (name, &[Kind::Srv]),
        };
        // What cannot be a name is nobody's.
        let Some(name) = Name::parse(name) else {
            let answer = Answer::of(ticket, Resolved::NoName);
            return self.answers.push_back(answer);
        };
        let answer = match (self.hosts.find(&name), kinds) {
            // The hosts file knows nothing of services.
            (Some(Known::Addresses(_)), [Kind::Srv]) if name.is_below("localhost") => {
                Some(Answer::of(ticket, Resolved::NoData))
            }
            (Some(Known::Addresses(addresses)), [_, _]) => {
                let found = Resolved::Addresses(addresses, Source::Hosts);
                Some(Answer::of(ticket, found))
            }
            (Some(Known::Nothing), _) => Some(Answer::of(ticket, Resolved::NoName)),
            _ if self.questions.len() >= DNS_QUESTIONS => {
                Some(Answer::failed(ticket, Failure::TooManyQuestions))
            }
            _ => None,
        };
        if let Some(answer) = answer {
            return self.answers.push_back(answer);
        }
        let families = kinds
            .iter()
            .map(|kind| self.begin(now, ticket, &name, *kind));
        let asked = Asked {
            searches: families.collect(),
            enough_at: None,
        };
        self.questions.insert(ticket, asked);
        self.settle(now, ticket);
    }

    /// A message came on this socket, without the length that stands before it in a stream.
    pub fn received(&mut self, now: Instant, exchange: Exchange, bytes: &[u8]) {
        let Some(underway) = self.exchanges.get(&exchange) else {
            return;
        };
        let (ticket, kind, id, over) = (underway.ticket, underway.kind, underway.id, underway.over);
        let Some(search) = self.search(ticket, kind) else {
            return;
        };
        let asked = (id, &search.name, kind);
        let Some(read) = message::read(bytes, asked) else {
            // Not an answer to this: from a stream nothing else will come, from the network the right one may.
            if over == Transport::Stream {
                self.failed(now, exchange);
            }
            return;
        };
        match (read, over) {
            (Read::Truncated, Transport::Datagrams) => self.ask_by_stream(now, exchange),
            (Read::Truncated, Transport::Stream) => self.failed(now, exchange),
            (Read::Refused(code), _) => self.next_server(now, exchange, Failure::Refused(code)),
            (Read::Alias(name), _) => self.follow(now, exchange, name),
            (Read::Records(records, ttl), _) => {
                self.said(now, exchange, Said::Records(records), ttl);
            }
            (Read::NoName(ttl), _) => self.said(now, exchange, Said::NoName, ttl),
            (Read::NoData(ttl), _) => self.said(now, exchange, Said::NoData, ttl),
        }
    }

    /// This socket could not be had, or the server is not there.
    pub fn failed(&mut self, now: Instant, exchange: Exchange) {
        let failure = Failure::Refused("nothing that could be read".to_owned());
        self.next_server(now, exchange, failure);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        let late = |(exchange, underway): (&Exchange, &Underway)| {
            (underway.until <= now).then_some(*exchange)
        };
        let late: Vec<Exchange> = self.exchanges.iter().filter_map(late).collect();
        for exchange in late {
            self.next_server(now, exchange, Failure::TimedOut);
        }
        let enough = |(ticket, asked): (&u64, &Asked)| {
            asked
                .enough_at
                .is_some_and(|at| at <= now)
                .then_some(*ticket)
        };
        let enough: Vec<u64> = self.questions.iter().filter_map(enough).collect();
        for ticket in enough {
            self.settle(now, ticket);
        }
    }

    /// When `tick` is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let late = self.exchanges.values().map(|underway| underway.until);
        let enough = self.questions.values().filter_map(|asked| asked.enough_at);
        late.chain(enough).min()
    }

    /// What is to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What was found out.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    fn begin(&mut self, now: Instant, ticket: u64, name: &Name, kind: Kind) -> Search {
        let state = match self.cache.find(now, name, kind) {
            Some(said) => State::Done(Ok(said)),
            None => self.query(now, ticket, (name, kind), 0),
        };
        Search {
            asked: name.clone(),
            name: name.clone(),
            kind,
            aliases: 0,
            tries: 0,
            state,
        }
    }

    /// Asks the server whose turn it is.
    fn query(
        &mut self,
        now: Instant,
        ticket: u64,
        (name, kind): (&Name, Kind),
        tries: usize,
    ) -> State {
        let servers = &self.conf.servers;
        let Some(server) = servers.get(tries % servers.len().max(1)).copied() else {
            return State::Done(Err(Failure::TimedOut));
        };
        let id = (self.dice)();
        let Ok(bytes) = message::ask(id, name, kind) else {
            return State::Done(Err(Failure::unaskable()));
        };
        let exchange = self.exchange(Underway {
            ticket,
            kind,
            server,
            id,
            over: Transport::Datagrams,
            until: now + self.conf.timeout,
        });
        self.transmits
            .push_back(Transmit::Datagram(exchange, server, bytes));
        State::Waiting(exchange)
    }

    fn exchange(&mut self, underway: Underway) -> Exchange {
        self.last += 1;
        let exchange = Exchange(self.last);
        self.exchanges.insert(exchange, underway);
        exchange
    }

    fn search(&mut self, ticket: u64, kind: Kind) -> Option<&mut Search> {
        let asked = self.questions.get_mut(&ticket)?;
        asked.searches.iter_mut().find(|search| search.kind == kind)
    }

    fn close(&mut self, exchange: Exchange) -> Option<Underway> {
        let underway = self.exchanges.remove(&exchange)?;
        self.transmits.push_back(Transmit::Close(exchange));
        Some(underway)
    }

    /// RFC 7766 §5: what did not fit is asked for by TCP, of the same server.
    fn ask_by_stream(&mut self, now: Instant, exchange: Exchange) {
        let Some(underway) = self.close(exchange) else {
            return;
        };
        let (ticket, kind, server) = (underway.ticket, underway.kind, underway.server);
        let id = (self.dice)();
        let Some(search) = self.search(ticket, kind) else {
            return;
        };
        let Ok(bytes) = message::ask(id, &search.name, kind) else {
            search.state = State::Done(Err(Failure::unaskable()));
            return self.settle(now, ticket);
        };
        let next = self.exchange(Underway {
            id,
            over: Transport::Stream,
            until: now + self.conf.timeout,
            ..underway
        });
        self.transmits
            .push_back(Transmit::Stream(next, server, bytes));
        if let Some(search) = self.search(ticket, kind) {
            search.state = State::Waiting(next);
        }
    }

    /// This one did not help. The next does, unless all have been asked so often.
    fn next_server(&mut self, now: Instant, exchange: Exchange, failure: Failure) {
        let Some(Underway { ticket, kind, .. }) = self.close(exchange) else {
            return;
        };
        let attempts = usize::try_from(self.conf.attempts).unwrap_or(usize::MAX);
        let most = self.conf.servers.len().saturating_mul(attempts);
        let Some(search) = self.search(ticket, kind) else {
            return;
        };
        search.tries += 1;
        if search.tries < most {
            return self.query_again(now, ticket, kind);
        }
        search.state = State::Done(Err(failure));
        self.settle(now, ticket);
    }

    /// Asks the server whose turn it is for what a search has come to.
    fn query_again(&mut self, now: Instant, ticket: u64, kind: Kind) {
        let Some(search) = self.search(ticket, kind) else {
            return;
        };
        let (name, tries) = (search.name.clone(), search.tries);
        let state = self.query(now, ticket, (&name, kind), tries);
        if let Some(search) = self.search(ticket, kind) {
            search.state = state;
        }
        self.settle(now, ticket);
    }

    /// The name is another's.
    fn follow(&mut self, now: Instant, exchange: Exchange, name: Name) {
        let Some(Underway { ticket, kind, .. }) = self.close(exchange) else {
            return;
        };
        let Some(search) = self.search(ticket, kind) else {
            return;
        };
        search.aliases += 1;
        search.name = name;
        if search.aliases <= DNS_ALIASES {
            return self.query_again(now, ticket, kind);
        }
        search.state = State::Done(Err(Failure::TooManyAliases));
        self.settle(now, ticket);
    }

    /// A server has answered.
    fn said(&mut self, now: Instant, exchange: Exchange, said: Said, ttl: Duration) {
        let Some(Underway { ticket, kind, .. }) = self.close(exchange) else {
            return;
        };
        let Some(search) = self.search(ticket, kind) else {
            return;
        };
        search.state = State::Done(Ok(said.clone()));
        let asked = search.asked.clone();
        self.cache.keep(now, (asked, kind), said, ttl);
        self.settle(now, ticket);
    }

    /// Answers a question if all is known that it waits for.
    fn settle(&mut self, now: Instant, ticket: u64) {
        let Some(asked) = self.questions.get_mut(&ticket) else {
            return;
        };
        let is_done = |search: &Search| matches!(search.state, State::Done(_));
        let has_some = |search: &Search| matches!(&search.state, State::Done(Ok(Said::Records(_))));
        if !asked.searches.iter().all(is_done) {
            let some = asked.searches.iter().any(has_some);
            match asked.enough_at {
                Some(at) if at <= now => {}
                Some(_) => return,
                None => {
                    asked.enough_at = some.then(|| now + DNS_OTHER_FAMILY);
                    return;
                }
            }
        }
        let Some(asked) = self.questions.remove(&ticket) else {
            return;
        };
        for search in &asked.searches {
            if let State::Waiting(exchange) = search.state {
                self.close(exchange);
            }
        }
        self.answers.push_back(answer(ticket, asked.searches));
    }
}

/// What the searches for a question come to: what one found counts more than what another did not.
fn answer(ticket: u64, searches: Vec<Search>) -> Answer {
    let (mut families, mut failure, mut name) = (Vec::new(), None, true);
    for search in searches {
        match search.state {
            State::Done(Ok(Said::Records(Records::Services(services)))) => {
                return Answer::of(ticket, offered(services));
            }
            State::Done(Ok(Said::Records(Records::Addresses(addresses)))) => {
                families.push(addresses);
            }
            State::Done(Ok(Said::NoName)) => name = false,
            State::Done(Ok(Said::NoData)) | State::Waiting(_) => {}
            State::Done(Err(why)) => failure = Some(why),
        }
    }
    let addresses = in_turn(families);
    match (addresses.is_empty(), failure) {
        (false, _) => Answer::of(ticket, Resolved::Addresses(addresses, Source::Dns)),
        (true, Some(failure)) => Answer::failed(ticket, failure),
        (true, None) if name => Answer::of(ticket, Resolved::NoData),
        (true, None) => Answer::of(ticket, Resolved::NoName),
    }
}

/// RFC 2782: a `.` says that there is no such service, where it is the only record.
fn offered(services: Vec<Service>) -> Resolved {
    let is_none = |service: &Service| &*service.target == ".";
    match services.iter().all(is_none) {
        true => Resolved::NoService,
        false => Resolved::Services(services.into_iter().filter(|s| !is_none(s)).collect()),
    }
}

/// One of each family after another (RFC 8305 §4).
fn in_turn(families: Vec<Vec<IpAddr>>) -> Vec<IpAddr> {
    let longest = families.iter().map(Vec::len).max().unwrap_or_default();
    let turn = |n: usize| {
        families
            .iter()
            .filter_map(move |family| family.get(n).copied())
    };
    (0..longest).flat_map(turn).collect()
}
