//! One XML stream: from the header to the closing tag (RFC 6120 §4). What it is about in between stands below: `client`, `outgoing`.
//!
//! Knows nothing of accounts, sessions or other streams. What it cannot decide it asks for with an `Event` and then wants no
//! input until the answer; bytes that come meanwhile are held.

mod client;
mod close;
mod component;
mod deadline;
mod ground;
mod header;
mod limits;
mod outgoing;
mod rates;
mod server;
#[cfg(test)]
mod tests;
mod violation;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use self::client::{Awaited, Client};
use self::close::Closing;
use self::component::Component;
use self::outgoing::Outgoing;
use self::server::Server;
use crate::config::Config;
use crate::federation::VerifyAnswer;
use crate::federation::{Claim, Judged, Weighed};
use crate::jid::{BareJid, Domain, Resource};
use crate::limits::S2S_UNPROVEN_BYTES;
use crate::port::{AttemptError, Expected, Features, Listener, Secured, TlsInfo, TlsSide};
use crate::rate::Bucket;
use crate::sasl::{DeriveParams, Failure, SignIn};
use crate::secret::Secret;
use crate::sm::{LinkNonza, Nonza, Resume};
use crate::stanza::Stanza;
use crate::time::{Instant, Now};
use crate::xml::{Content, Element, ScanLimits, Scanner, Token};

pub(crate) use close::Ending;
pub(crate) use component::Shown;
pub(crate) use deadline::Expiry;
pub(crate) use ground::Cx;
pub(crate) use outgoing::{Purpose, Sought};
pub(crate) use server::PairShown;
pub(crate) use violation::Violation;

/// What a stream asks for or reports.
#[derive(Debug)]
pub(crate) enum Event {
    /// A component wants to serve this name: bring it to the shard that owns it, then `welcome_component`.
    Arrived(Domain),
    /// A component has shown that it knows the secret, or does not, which is not the last word: `serve`, or `fail`.
    Handshake(Shown),
    /// A server says that it is of this domain: bring its stream to the shard that owns that, then `welcome_server`.
    ServerArrived(Domain),
    /// On a stream that another server opened stanzas may go both ways from here on, between the domains that `both_ways` says.
    BothWays,
    /// It is the one: what is for its name is written to it.
    Serves,
    /// From here on what the client sends is the business of the account's owner.
    AtOwner,
    /// Bind this resource, or one of the server's choosing; then `bound` or `bind_refused` with the request.
    Bind {
        resource: Option<Resource>,
        request: Stanza,
    },
    /// Over: what is owed goes out, then the connection closes.
    Close,
    /// The last tag is sent; the peer's is awaited until the deadline. Without an ending that was told before.
    Closing(Option<Ending>),
    /// A server claims a domain by a key: ask whoever that domain says its servers are, then `claim_verified`. The stream goes on meanwhile.
    Claimed(Box<Claim>),
    /// As `Close`, by the peer in the middle of a sign-in.
    CutOff(Option<BareJid>),
    /// Derive keys from the password, then `derived`.
    Derive(DeriveParams, Secret),
    /// Ask a directory whether this is the account's password, then `judged`; or `hold_up`.
    Judge(BareJid, Secret),
    /// Look the credentials up, on the shard that owns the account, then `credentials`; or `hold_up`.
    Lookup(BareJid),
    /// A directory vouches for who has no account here yet: `hold_up`, or make it, and then as `Verified`.
    Newcomer(Box<SignIn>),
    /// The password for this account was right, which is not the last word: `prove` or `hold_up`.
    Proof(BareJid),
    /// The password for this account was wrong, or the name is none: `reject` or `hold_up`.
    Rejected(Option<BareJid>),
    /// Make this account, on the shard that owns it, by what `take_application` says; then `registered`.
    Register(BareJid),
    /// What the session says beside stanzas.
    Nonza(Nonza),
    /// A stream of ours has come to what its domain offers; the last tag is sent.
    Reached(Box<(Option<Secured>, Features, Option<Weighed>)>),
    /// What the session sent is answered with this, if anything may answer it.
    Refused(Option<Stanza>),
    /// Go on with this session, instead of a new one; then `resumed` or `not_resumed`.
    Resume(Resume),
    /// Start TLS; then `secured`. The bytes belong to TLS.
    Secure(TlsSide, Vec<u8>),
    /// A sign-in failed, to the account if one was named; the stream goes on, unless it `has_failed_enough`.
    SignInFailed(Option<BareJid>, Failure),
    /// As `Close`: the peer asked for TLS where it was not offered.
    StarttlsRefused,
    /// A stream of ours is proven: stanzas may be written to it.
    Linked,
    /// What the peer of a proven stream of ours says of what it was sent.
    LinkNonza(LinkNonza),
    /// A stream of ours has come so far that it may ask about keys, and prove who we are (`prove_us`).
    Ready,
    /// The peer of a stream of ours says whether a key is good.
    VerifyAnswered(Box<VerifyAnswer>),
    /// The last tag is sent, in order; the peer's is awaited until the deadline. What was decided of it, if that is why.
    Finished(Option<Box<Judged>>),
    /// A server has proven, or has not, that it speaks for a domain. The stream goes on.
    Judged(Box<Judged>),
    /// A stanza of a domain that its server has proven, `from` and `to` as it says.
    Remote(Arc<Stanza>, Option<u32>),
    /// What a server sent for a domain that it has proven is answered with this, if anything may answer it.
    RemoteRefused(Option<Stanza>, Option<u32>),
    /// A stanza of the session, `from` set.
    Stanza(Arc<Stanza>),
    /// Nothing can be offered at this host.
    NothingOffered(Domain, crate::sasl::OfferEmpty),
    /// What is known so far of a stream of ours that is to explain. It goes on.
    Weighed(Box<Weighed>),
    /// A stream of ours came to nothing. It is over, or the last tag is sent: see `is_over`.
    Unreached(AttemptError),
    /// Credentials were verified: `hold_up`, or the account's owner decides with `admitted` or `refused`.
    Verified(Box<SignIn>),
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    state: State,
    scan: Scanner,
    /// Bytes behind an element that waits for an answer: at most one read of the shell.
    held: Vec<u8>,
    /// The language of the client's stanzas (RFC 6120 §4.7.4).
    lang: Option<Arc<str>>,
    accepted: Instant,
    heard: Instant,
    bucket: Bucket,
    /// Bytes received before authentication.
    unauthenticated: u32,
    channel: Channel,
}

/// What protects the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Channel {
    /// Nothing.
    Clear,
    /// TLS.
    Tls,
}

/// Where a stream stands: what it is about with its kind of peer, or how far its end has come.
#[derive(Debug)]
enum State {
    /// A client's.
    Client(Client),
    /// Another server's.
    Server(Box<Server>),
    /// One of ours.
    Outgoing(Box<Outgoing>),
    /// A component's.
    Component(Component),
    /// Our closing tag is sent.
    Closing(Closing),
    /// Both tags are exchanged, or nothing more can be said.
    Closed,
}

/// What becomes of what the peer sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hearing {
    /// Its header is awaited.
    Header,
    /// Elements are.
    Elements,
    /// It waits for an answer to what came before.
    Later,
    /// It is TLS's.
    Tls,
    /// It is thrown away.
    Nothing,
}

impl State {
    const fn hearing(&self) -> Hearing {
        match self {
            Self::Client(client) => client.hearing(),
            Self::Server(server) => server.hearing(),
            Self::Outgoing(outgoing) => outgoing.hearing(),
            Self::Component(component) => component.hearing(),
            Self::Closing(Closing::Listening) => Hearing::Elements,
            Self::Closing(Closing::Deaf) | Self::Closed => Hearing::Nothing,
        }
    }
}

impl Stream {
    pub(crate) fn new(listener: Listener, now: Now, config: &Config) -> Self {
        let (state, content) = match listener.expected {
            Expected::Clients => {
                let client = Client::new(listener.opening);
                (State::Client(client), Content::Client)
            }
            Expected::Servers => {
                let server = Box::new(Server::new(listener.opening));
                (State::Server(server), Content::Server)
            }
            Expected::Components => (State::Component(Component::Header), Content::Component),
        };
        let mut stream = Self::of(state, content, now, config);
        if matches!(stream.state, State::Server(_)) {
            let limits = ScanLimits::unproven(&config.limits);
            stream.scan.set_limits(limits);
        }
        stream
    }

    /// One of ours, on a connection that is being opened; `connected` follows.
    pub(crate) fn outgoing(sought: Sought, now: Now, config: &Config) -> Self {
        let content = sought.content();
        let state = State::Outgoing(Box::new(Outgoing::new(sought)));
        Self::of(state, content, now, config)
    }

    fn of(state: State, content: Content, now: Now, config: &Config) -> Self {
        Self {
            state,
            scan: Scanner::of(content, ScanLimits::unauthenticated(&config.limits)),
            held: Vec::new(),
            lang: None,
            accepted: now.mono,
            heard: now.mono,
            bucket: Bucket::default(),
            unauthenticated: 0,
            channel: Channel::Clear,
        }
    }

    /// Counts what came. Before authentication there is a bound on the whole, and between `Secure` and `Secured` there is nothing
    /// to be heard.
    pub(crate) fn hear(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) -> Option<Event> {
        self.heard = cx.now.mono;
        self.pour(cx, bytes.len());
        let limits = &cx.config.limits;
        let bound = match &self.state {
            State::Client(client) if client.is_signed_in() => return None,
            State::Server(server) if server.is_proven() => return None,
            State::Outgoing(outgoing) if outgoing.is_proven() => return None,
            State::Component(component) if component.is_serving() => return None,
            State::Closing(_) | State::Closed => return None,
            // Right behind the word that proves us stanzas may come, in the same read: what counts is what came before that.
            State::Outgoing(outgoing) if outgoing.has_asked_for_stanzas() => limits
                .unauthenticated_stream_bytes
                .saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
            State::Client(_) | State::Outgoing(_) | State::Component(_) => {
                limits.unauthenticated_stream_bytes
            }
            State::Server(_) => S2S_UNPROVEN_BYTES,
        };
        if self.state.hearing() == Hearing::Tls && !bytes.iter().all(is_white_space) {
            // RFC 6120 §5.4.3.1: whoever speaks in the clear here would be believed below TLS, if anybody kept it. No shell hands
            // this over that carries out `Secure` at once, so it is closed without a word.
            if matches!(self.state, State::Outgoing(_)) {
                return Some(self.outgoing_overheard());
            }
            self.state = State::Closed;
            return Some(Event::Close);
        }
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.unauthenticated = self.unauthenticated.saturating_add(count);
        (self.unauthenticated > bound).then(|| self.fail(cx, Violation::UnauthenticatedBytes))
    }

    /// Takes bytes off the front of `input` up to the next event; `None` when it has taken all, or wants none.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>, input: &mut &[u8]) -> Option<Event> {
        loop {
            match self.state.hearing() {
                Hearing::Elements => {}
                Hearing::Header if self.scan.held() == 0 => skip_white_space(input),
                Hearing::Header => {}
                Hearing::Later => return None,
                // White space behind `<starttls/>` does no harm where it is, and must not be kept for the stream below TLS.
                Hearing::Tls | Hearing::Nothing => *input = &[],
            }
            if input.is_empty() {
                return None;
            }
            let event = match self.scan.scan(input) {
                Ok(None) => return None,
                Ok(Some(Token::Header(header))) => self.on_header(cx, &header),
                Ok(Some(Token::Element(element))) => self.on_element(cx, element),
                Ok(Some(Token::End)) => Some(self.on_end(cx)),
                Err(error) => Some(self.fail(cx, Violation::Xml(error))),
            };
            match event {
                Some(Event::Secure(side, _)) => {
                    // RFC 6120 §5.4.3.1: what follows belongs to TLS, never to the parser.
                    let behind = core::mem::take(input).to_vec();
                    return Some(Event::Secure(side, behind));
                }
                Some(event) => return Some(event),
                None => {}
            }
        }
    }

    /// Keeps bytes for which it had no use yet.
    pub(crate) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Whether bytes are kept: then the shell should read no more.
    pub(crate) const fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Gives the kept bytes back, to be polled first.
    pub(crate) fn take_held(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.held)
    }

    /// Whether it waits for an answer.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self.state.hearing(), Hearing::Later | Hearing::Tls)
    }

    /// TLS is up: the stream starts anew and forgets what it heard before (RFC 6120 §5.4.3.3).
    pub(crate) fn secured(&mut self, cx: &mut Cx<'_>, tls: TlsInfo) -> Option<Event> {
        if matches!(self.state, State::Closed) {
            // Its end, of the same turn, has not come to the shell yet.
            return None;
        }
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Client(Client::Secure(failures)) => {
                self.begin_anew(cx, Content::Client);
                let transport = client::transport(tls);
                self.state = State::Client(Client::Header(Awaited::First(transport, failures)));
                None
            }
            State::Server(server) => self.server_secured(cx, *server, tls),
            State::Outgoing(outgoing) => self.outgoing_secured(cx, outgoing, tls),
            state
            @ (State::Client(_) | State::Component(_) | State::Closing(_) | State::Closed) => {
                self.state = state;
                Some(self.bug(cx, "secured"))
            }
        }
    }

    /// Forgets what was heard before TLS.
    fn begin_anew(&mut self, cx: &Cx<'_>, content: Content) {
        self.scan = Scanner::of(content, ScanLimits::unauthenticated(&cx.config.limits));
        self.lang = None;
        self.channel = Channel::Tls;
    }

    /// The client whose it is, while it lasts.
    const fn client(&self) -> Option<&Client> {
        match &self.state {
            State::Client(client) => Some(client),
            State::Server(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed => None,
        }
    }

    /// Whether its client has signed in, and the stream is not over.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.client().is_some_and(Client::is_signed_in)
    }

    /// Whether what its client sends now is the business of the account's owner.
    pub(crate) const fn is_at_owner(&self) -> bool {
        matches!(
            self.state,
            State::Client(Client::Bind(..) | Client::Established(_))
        )
    }

    /// Whether it carries a session.
    pub(crate) const fn is_established(&self) -> bool {
        matches!(self.state, State::Client(Client::Established(_)))
    }

    /// The server whose it is, while it lasts.
    const fn server(&self) -> Option<&Server> {
        match &self.state {
            State::Server(server) => Some(server),
            State::Client(_)
            | State::Outgoing(_)
            | State::Component(_)
            | State::Closing(_)
            | State::Closed => None,
        }
    }

    /// Whether its server has proven a domain, or it is that of a component that serves its name, and the stream is not over.
    pub(crate) fn is_proven(&self) -> bool {
        self.server().is_some_and(Server::is_proven) || self.is_serving()
    }

    /// The host it is to, as far as that is known and not void.
    pub(crate) fn host(&self) -> Option<&str> {
        match (self.server(), self.component()) {
            (Some(server), _) => server.host(),
            (None, Some(component)) => component.name().map(Domain::as_str),
            (None, None) => self.client()?.host(),
        }
    }

    /// The account it is of, or that a sign-in under way names; of a server's or a component's, the domain that its header names.
    pub(crate) fn account(&self) -> Option<BareJid> {
        match (self.server(), self.component()) {
            (Some(server), _) => server.peer().map(BareJid::of_domain),
            (None, Some(component)) => component.wanted().map(BareJid::of_domain),
            (None, None) => self.client()?.account(),
        }
    }

    /// Whether a sign-in is under way.
    pub(crate) const fn signs_in(&self) -> bool {
        matches!(self.state, State::Client(Client::SignIn(..)))
    }

    /// Whether nothing more is said, or waited for.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether the peer has said nothing at all, TLS aside.
    pub(crate) const fn is_unheard(&self) -> bool {
        self.unauthenticated == 0
    }

    fn on_element(&mut self, cx: &mut Cx<'_>, element: Element) -> Option<Event> {
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Client(client) => self.on_client_element(cx, client, element),
            State::Server(server) => self.on_server_element(cx, *server, element),
            State::Outgoing(outgoing) => self.on_peer_element(cx, outgoing, element),
            State::Component(component) => self.on_component_element(cx, component, element),
            State::Closing(closing) => {
                self.state = State::Closing(closing);
                // What is acknowledged behind our closing tag was there before it.
                let nonza = Nonza::parse(&element);
                nonza
                    .filter(|nonza| matches!(nonza, Nonza::Ack(Some(_))))
                    .map(Event::Nonza)
            }
            State::Closed => Some(self.bug(cx, "an element where none was wanted")),
        }
    }
}

/// `Deviation:` RFC 6120 §6.3.5 forbids white space during SASL, and in front of an XML declaration it is not well-formed; but
/// go-xmpp, and so go-sendxmpp, ends its response with a line, which comes before the header of the new stream.
fn skip_white_space(input: &mut &[u8]) {
    while let Some((_, rest)) = input.split_first().filter(|(byte, _)| is_white_space(byte)) {
        *input = rest;
    }
}

const fn is_white_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What identifies a credentials record, so that an admission can be refused if it changed meanwhile.
pub(crate) fn record_hash(secret: &[u8; 32], record: &Bytes) -> [u8; 32] {
    crate::entropy::keyed_hash(secret, &[b"record", record])
}
