//! The thread against name servers on this machine that say what they are told to.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Weak;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use domain::base::Message;
use domain::base::iana::{Rcode, Rtype};
use spondee_core::arena::Arena;
use spondee_core::port::Source;

use super::super::tests::{Record, reply, truncated};
use super::*;
use crate::scratch::Scratch;

const HOST: &str = "a.example";

/// A query, and by what it came.
struct Asked {
    query: Vec<u8>,
    from: SocketAddr,
    over: Over,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Over {
    Datagrams,
    Stream,
}

impl Asked {
    fn rtype(&self) -> Rtype {
        let message = Message::from_octets(&self.query[..]).unwrap();
        message.qtype().unwrap()
    }

    fn reply(&self, records: &[Record]) -> Vec<u8> {
        reply(&self.query, Rcode::NOERROR, records)
    }
}

/// A name server on a port of its own, by UDP and TCP. What it was asked.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Rtype>>>,
}

impl Server {
    /// It says what the script says to each query: any number of messages.
    fn start(script: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        // A port that is free for both.
        let (udp, address, tcp) = std::iter::repeat_with(|| {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = udp.local_addr().unwrap();
            (udp, address, TcpListener::bind(address))
        })
        .find_map(|(udp, address, tcp)| Some((udp, address, tcp.ok()?)))
        .unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&asked);
        let script = Arc::new(move |asked: &Asked| {
            note.lock().unwrap().push(asked.rtype());
            script(asked)
        });
        let by_stream = Arc::clone(&script);
        thread::spawn(move || datagrams(&udp, &*script));
        thread::spawn(move || streams(&tcp, &*by_stream));
        Self { address, asked }
    }

    /// One that knows `HOST`.
    fn usual() -> Self {
        Self::start(|asked| vec![asked.reply(usual(asked))])
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn usual(asked: &Asked) -> &'static [Record] {
    match asked.rtype() {
        Rtype::A => &[Record::A(HOST, [192, 0, 2, 7])],
        Rtype::AAAA => &[Record::Aaaa(HOST, 7)],
        _ => &[Record::Srv(HOST, 1, "x.example")],
    }
}

fn datagrams(socket: &UdpSocket, script: &dyn Fn(&Asked) -> Vec<Vec<u8>>) {
    let mut buffer = [0; 512];
    while let Ok((count, from)) = socket.recv_from(&mut buffer) {
        let asked = Asked {
            query: buffer[..count].to_vec(),
            from,
            over: Over::Datagrams,
        };
        for message in script(&asked) {
            // Who asked may be gone.
            let _sent = socket.send_to(&message, from);
        }
    }
}

/// Byte by byte.
fn streams(listener: &TcpListener, script: &dyn Fn(&Asked) -> Vec<Vec<u8>>) {
    while let Ok((mut socket, from)) = listener.accept() {
        socket.set_nodelay(true).unwrap();
        let mut length = [0; 2];
        socket.read_exact(&mut length).unwrap();
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        socket.read_exact(&mut query).unwrap();
        let asked = Asked {
            query,
            from,
            over: Over::Stream,
        };
        for message in script(&asked) {
            let length = u16::try_from(message.len()).unwrap().to_be_bytes();
            for byte in length.iter().chain(&message) {
                let _sent = socket.write_all(&[*byte]);
            }
        }
    }
}

#[derive(Debug)]
struct Collecting(Mutex<Sender<Letter>>);

impl Mailbox for Collecting {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            // The test may be over.
            let _sent = self.0.lock().unwrap().send(letter);
        }
    }
}

/// The thread, its files, and a shard that asks it.
struct Play {
    scratch: Scratch,
    names: Option<Names>,
    mailbox: Arc<dyn Mailbox>,
    letters: Receiver<Letter>,
    tickets: Arena<Ticket, ()>,
}

impl Play {
    fn with(servers: &[&Server]) -> Self {
        Self::with_dice(servers, number)
    }

    fn with_dice(servers: &[&Server], dice: fn() -> u16) -> Self {
        let scratch = Scratch::new();
        let (hosts, resolv_conf) = (scratch.path().join("hosts"), scratch.path().join("resolv"));
        fs::write(&resolv_conf, text(servers)).unwrap();
        let (sender, letters) = channel();
        Self {
            names: Some(Names::start_with(Files::at(&hosts, &resolv_conf), dice)),
            scratch,
            mailbox: Arc::new(Collecting(Mutex::new(sender))),
            letters,
            tickets: Arena::default(),
        }
    }

    fn resolv_conf(&self, text: &str) {
        fs::write(self.scratch.path().join("resolv"), text).unwrap();
    }

    fn hosts(&self, text: &str) {
        fs::write(self.scratch.path().join("hosts"), text).unwrap();
    }

    fn names(&self) -> &Names {
        self.names.as_ref().unwrap()
    }

    fn ask(&mut self, lookup: Lookup) -> Ticket {
        let ticket = self.tickets.insert(());
        let asked = self.names().resolve(&self.mailbox, ticket, lookup);
        assert_eq!(asked, Ok(()));
        ticket
    }

    fn answer(&self) -> (Ticket, Resolved) {
        match self.letters.recv().unwrap() {
            Letter::Resolved(ticket, resolved) => (ticket, resolved),
            letter @ (Letter::Census
            | Letter::Command(..)
            | Letter::Derived(..)
            | Letter::Evict(_)
            | Letter::Handshake(..)
            | Letter::Judged(..)
            | Letter::Stored(..)) => panic!("{letter:?}"),
        }
    }

    fn resolve(&mut self, lookup: Lookup) -> Resolved {
        let asked = self.ask(lookup);
        let (answered, resolved) = self.answer();
        assert_eq!(answered, asked);
        resolved
    }

    fn addresses(&mut self, of: &str) -> Resolved {
        self.resolve(Lookup::Addresses(of.into()))
    }

    fn services(&mut self, of: &str) -> Resolved {
        self.resolve(Lookup::Services(of.into()))
    }
}

fn text(servers: &[&Server]) -> String {
    let lines = servers
        .iter()
        .map(|one| format!("nameserver {}\n", one.address));
    format!("{}options timeout:1\n", lines.collect::<String>())
}

fn found(addresses: &[&str], source: Source) -> Resolved {
    let addresses: Vec<IpAddr> = addresses.iter().map(|one| one.parse().unwrap()).collect();
    Resolved::Addresses(addresses, source)
}

fn is_service(resolved: &Resolved) -> bool {
    matches!(resolved, Resolved::Services(services) if &*services[0].target == "x.example")
}

#[test]
fn addresses_of_both_families_and_services_are_found() {
    let server = Server::usual();
    let mut play = Play::with(&[&server]);
    let both = found(&["2001:db8::7", "192.0.2.7"], Source::Dns);
    assert_eq!(play.addresses(HOST), both);
    assert!(is_service(&play.services(HOST)));
}

#[test]
fn what_does_not_fit_comes_by_stream_in_any_pieces() {
    let server = Server::start(|asked| match asked.over {
        Over::Datagrams => vec![truncated(&asked.query)],
        Over::Stream => vec![asked.reply(usual(asked))],
    });
    let mut play = Play::with(&[&server]);
    assert!(is_service(&play.services(HOST)));
    assert_eq!(server.asked(), 2);
}

#[test]
fn a_server_that_is_silent_is_followed_by_the_next() {
    let (silent, talks) = (Server::start(|_| Vec::new()), Server::usual());
    let mut play = Play::with(&[&silent, &talks]);
    assert!(is_service(&play.services(HOST)));
    assert_eq!((silent.asked(), talks.asked()), (1, 1));
}

#[test]
fn a_server_that_is_not_there_is_followed_by_the_next() {
    let talks = Server::usual();
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let mut play = Play::with(&[&talks]);
    play.resolv_conf(&format!("nameserver {address}\n{}", text(&[&talks])));
    assert!(is_service(&play.services(HOST)));
}

#[test]
fn who_says_nothing_in_time_by_stream_is_followed_by_the_next() {
    let cuts = Server::start(|asked| match asked.over {
        Over::Datagrams => vec![truncated(&asked.query)],
        Over::Stream => Vec::new(),
    });
    let talks = Server::usual();
    let mut play = Play::with(&[&cuts, &talks]);
    assert!(is_service(&play.services(HOST)));
}

#[test]
fn what_has_a_wrong_number_or_comes_from_elsewhere_is_passed_over() {
    let server = Server::start(|asked| {
        let wrong = [Record::Srv(HOST, 1, "wrong.example")];
        let forged = asked.reply(&wrong);
        let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
        elsewhere.send_to(&forged, asked.from).unwrap();
        let mut guessed = forged;
        guessed[0] ^= 1;
        vec![
            b"noise".to_vec(),
            Vec::new(),
            guessed,
            asked.reply(usual(asked)),
        ]
    });
    let mut play = Play::with(&[&server]);
    assert!(is_service(&play.services(HOST)));
}

#[test]
fn what_was_answered_to_one_is_not_asked_for_another() {
    let server = Server::usual();
    let mut play = Play::with(&[&server]);
    for _ in 0..3 {
        assert!(is_service(&play.services(HOST)));
    }
    assert_eq!(server.asked(), 1);
}

#[test]
fn the_same_is_not_asked_twice_at_a_time() {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let server = Server::start(move |asked| {
        wait.lock().unwrap().recv().unwrap();
        vec![asked.reply(usual(asked))]
    });
    let mut play = Play::with(&[&server]);
    let asked: Vec<Ticket> = (0..5)
        .map(|_| play.ask(Lookup::Services(HOST.into())))
        .collect();
    // Behind those five: the thread has taken them when it answers this.
    let last = play.ask(Lookup::Services("a.invalid".into()));
    assert_eq!(play.answer(), (last, Resolved::NoName));
    go.send(()).unwrap();
    for ticket in asked {
        let (answered, resolved) = play.answer();
        assert!(answered == ticket && is_service(&resolved));
    }
    assert_eq!(server.asked(), 1);
}

#[test]
fn files_that_change_are_read_again_and_the_same_servers_are_not_asked_again() {
    let (one, other) = (Server::usual(), Server::usual());
    let mut play = Play::with(&[&one]);
    play.services(HOST);
    // The same, in other words.
    play.resolv_conf(&format!("# again\n{}", text(&[&one])));
    play.services(HOST);
    assert_eq!((one.asked(), other.asked()), (1, 0));
    play.resolv_conf(&text(&[&other]));
    play.services(HOST);
    assert_eq!((one.asked(), other.asked()), (1, 1));
    play.hosts("192.0.2.1 a.example");
    let from_hosts = found(&["192.0.2.1"], Source::Hosts);
    assert_eq!(play.addresses(HOST), from_hosts);
    play.hosts("");
    let both = found(&["2001:db8::7", "192.0.2.7"], Source::Dns);
    assert_eq!(play.addresses(HOST), both);
}

#[test]
fn what_is_under_way_is_asked_of_the_servers_that_are_there_now() {
    let (silent, talks) = (Server::start(|_| Vec::new()), Server::usual());
    let mut play = Play::with(&[&silent]);
    play.resolv_conf(&format!("{}options timeout:30\n", text(&[&silent])));
    let asked = play.ask(Lookup::Services(HOST.into()));
    while silent.asked() == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    play.resolv_conf(&text(&[&talks]));
    // Whoever asks has the files looked at.
    play.ask(Lookup::Services("a.invalid".into()));
    let answers = [play.answer(), play.answer()];
    let mut answers = answers.iter().filter(|(ticket, _)| *ticket == asked);
    assert!(answers.all(|(_, resolved)| is_service(resolved)));
}

#[test]
fn what_is_no_name_is_nobodys() {
    let server = Server::usual();
    let mut play = Play::with(&[&server]);
    let long = "a.".repeat(300);
    for wrong in [
        "",
        ".",
        "..",
        "a b",
        "ä.example",
        "a\0b",
        "127.0.0.1/8",
        &long,
    ] {
        assert_eq!(play.addresses(wrong), Resolved::NoName, "{wrong:?}");
        assert_eq!(play.services(wrong), Resolved::NoName, "{wrong:?}");
    }
    assert_eq!(server.asked(), 0);
}

#[test]
fn a_panic_is_an_answer_and_the_thread_goes_on() {
    static ROLLED: AtomicU32 = AtomicU32::new(0);
    fn dice() -> u16 {
        assert!(ROLLED.fetch_add(1, Ordering::Relaxed) > 0, "on purpose");
        7
    }
    let server = Server::usual();
    let mut play = Play::with_dice(&[&server], dice);
    let failed = Resolved::Failed(LookupError::Refused);
    assert_eq!(play.services(HOST), failed);
    assert!(is_service(&play.services(HOST)));
}

/// Holds up the thread until the test lets it go.
#[derive(Debug)]
struct Holding {
    arrived: SyncSender<()>,
    released: Mutex<Receiver<()>>,
}

impl Mailbox for Holding {
    fn post(&self, _: Vec<Letter>) {
        self.arrived.send(()).unwrap();
        // Released by the end of the test.
        let _released = self.released.lock().unwrap().recv();
    }
}

#[test]
fn a_full_queue_is_busy_and_what_waits_is_answered_when_nobody_asks_any_more() {
    let server = Server::usual();
    let mut play = Play::with(&[&server]);
    let (arrived, arrivals) = sync_channel(0);
    let (release, released) = sync_channel(0);
    let holding: Arc<dyn Mailbox> = Arc::new(Holding {
        arrived,
        released: Mutex::new(released),
    });
    let lookup = || Lookup::Addresses("a.localhost".into());
    let ticket = play.tickets.insert(());
    play.names().resolve(&holding, ticket, lookup()).unwrap();
    arrivals.recv().unwrap();
    for _ in 0..DNS_QUEUE {
        play.ask(lookup());
    }
    let refused = play.names().resolve(&play.mailbox, ticket, lookup());
    assert_eq!(refused, Err(Busy));
    play.names = None;
    drop::<SyncSender<()>>(release);
    let failed = Resolved::Failed(LookupError::Refused);
    for _ in 0..DNS_QUEUE {
        assert_eq!(play.answer().1, failed);
    }
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let server = Server::start(|_| Vec::new());
    let mut play = Play::with(&[&server]);
    let asked = play.ask(Lookup::Services(HOST.into()));
    let queue: Weak<Queue> = Arc::downgrade(&play.names().0.0);
    let other = play.names.clone();
    play.names = None;
    assert!(other.is_some());
    drop(other);
    let failed = Resolved::Failed(LookupError::Refused);
    assert_eq!(play.answer(), (asked, failed));
    while queue.strong_count() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}
