//! What the core keeps for other servers that say nothing more, counted by the allocator: 2,000 domains, each with a proven stream to us and a
//! proven one of ours to it, both idle; and 200 to which there is no way.
//!
//! TLS and sockets are the shell's, and not in these figures.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use spec_tests::memory::config;
use spondee_core::config::{Config, Host, HostConfig, TlsAvailable};
use spondee_core::envelope::Place;
use spondee_core::federation::{
    AllowEncryption, Allowed, PolicyOptions, RequireEncryption, Rules, SecureAuth,
};
use spondee_core::jid::Domain;
use spondee_core::limits::S2S_REQUEST_PATIENCE;
use spondee_core::port::{
    Action, CertificateName, CertificateNames, Chain, Closed, ConnId, Input, Listener, Lookup,
    NameConstraints, Opening, Resolved, ServerCertificate, Service, Source, TlsInfo, TlsVersion,
    Verdict,
};
use spondee_core::sasl::ChannelBindings;
use spondee_core::shard::Shard;
use spondee_core::store::{Op, Reply};
use spondee_core::time::{Instant, Now, UnixTime};

/// Domains.
const REMOTES: usize = 2000;

/// Of these, so many that all are known, and nothing waits for any, before the first is forgotten after a minute.
const UNREACHED: usize = 200;

/// Domains of ours that they speak with, in turn: what each names is counted by itself, and it may name 20 new ones in a minute.
const HOSTS: usize = 100;

/// Between one domain and the next: a shard lets all together name 600 new ones in a minute.
const APART: Duration = Duration::from_millis(110);

/// What a proven stream to us may take that says nothing more.
const PER_INBOUND: i64 = 1300;

/// The same of one of ours, with what is known of its domain.
const PER_OUTBOUND: i64 = 2400;

/// What both leave behind, of which there is nothing any more but the room that they had: tables do not shrink.
const PER_ROOM: i64 = 1160;

/// What a domain may take of which it is known that there is no way to it: a fifth more than it does.
const PER_REMOTE: i64 = 720;

/// Below this there is nothing.
const NOWHERE: &str = "nowhere.example";

const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
const STARTTLS: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const EXTERNAL: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
     <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const FEATURES: &str = "<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>";
const ENABLED: &str = "<enabled xmlns='urn:xmpp:sm:3'/>";
const CONFIRMED: &str = "<a xmlns='urn:xmpp:sm:3' h='1'/>";

/// What every other server says first.
fn header(Meeting { domain, host }: &Meeting) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         from='{domain}' to='{host}' id='x1' version='1.0'>"
    )
}

/// A domain of theirs, and the one of ours that it speaks with.
struct Meeting {
    domain: String,
    host: String,
}

impl Meeting {
    fn new(n: usize, parent: &str) -> Self {
        Self {
            domain: format!("d{n}.{parent}"),
            host: host(n % HOSTS),
        }
    }
}

fn host(n: usize) -> String {
    format!("h{n}.test")
}

fn federating() -> Config {
    let mut config = config();
    for n in 0..HOSTS {
        let name = Domain::parse(&host(n)).expect("a valid name");
        let options = HostConfig {
            tls: TlsAvailable::Yes,
            ..HostConfig::default()
        };
        config.hosts.insert(name, Host::Accounts(options));
    }
    config.federation.rules = Rules::new(PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption: RequireEncryption::Yes,
        secure_auth: SecureAuth::Yes,
        secure_domains: BTreeSet::new(),
        insecure_domains: BTreeSet::new(),
        allowed: Allowed::All,
        refused: BTreeSet::new(),
    })
    .expect("rules that agree with each other");
    config
}

/// A shell that knows where every domain is, and writes everything at once.
struct Shell {
    shard: Shard,
    now: Now,
    /// The connection that the shard wanted last.
    wanted: Option<ConnId>,
    /// What it said since it was last asked.
    said: Vec<u8>,
}

impl Shell {
    fn new() -> Self {
        let now = Now {
            mono: Instant(1_000_000),
            wall: UnixTime(1_800_000_000_000),
        };
        let mut shell = Self {
            shard: Shard::new(Arc::new(federating()), Place { node: 0, shard: 0 }, [1; 32]),
            now,
            wanted: None,
            said: Vec::new(),
        };
        // It looks for what was kept, and finds nothing.
        shell.tell(Input::Tick);
        shell
    }

    fn tell(&mut self, input: Input<'_>) {
        self.shard.handle(self.now, input);
        while let Some(action) = self.shard.poll_action() {
            if let Action::Flush { conn } | Action::Close { conn } = action {
                let said = self.shard.outgoing(conn);
                self.said.extend_from_slice(said);
                let count = said.len();
                self.shard.sent(conn, count);
            } else if let Action::Resolve { ticket, lookup } = action {
                let outcome = resolve(&lookup);
                self.shard
                    .handle(self.now, Input::Resolved { ticket, outcome });
            } else if let Action::Store { ticket, ref batch } = action
                && let [Op::List { .. }] = &batch.ops[..]
            {
                let (rows, more) = (Vec::new(), false);
                let outcome = Ok(vec![Reply::Rows { rows, more }]);
                self.shard
                    .handle(self.now, Input::Stored { ticket, outcome });
            } else if let Action::Connect { conn, .. } = action {
                self.wanted = Some(conn);
                self.shard.handle(self.now, Input::Connected { conn });
            }
        }
    }

    /// The other side says this; what it hears.
    fn say(&mut self, conn: ConnId, words: &str) -> String {
        let bytes = words.as_bytes();
        self.said.clear();
        self.tell(Input::Bytes { conn, bytes });
        String::from_utf8_lossy(&self.said).into_owned()
    }

    /// TLS is up, and the other side has shown a good certificate.
    fn secure(&mut self, conn: ConnId, domain: &str) {
        let tls = Box::new(TlsInfo {
            version: TlsVersion::V1_3,
            suite: "TLS_AES_128_GCM_SHA256",
            bindings: ChannelBindings {
                exporter: Some([1; 32]),
                end_point: Some(vec![2; 32]),
            },
            client: None,
            server: Some(Box::new(ServerCertificate {
                verdict: Some(Verdict::Good),
                chain: Chain::Valid {
                    until: UnixTime(i64::MAX),
                },
                names: CertificateNames {
                    each: vec![CertificateName::Dns(domain.into())],
                    constraints: NameConstraints::None,
                },
                fingerprint: [0; 32],
            })),
        });
        self.tell(Input::Secured { conn, tls });
    }

    /// A stream to us, proven.
    fn inbound(&mut self, meeting: &Meeting) -> ConnId {
        let peer: SocketAddr = ([192, 0, 2, 1], 4321).into();
        let listener = Listener::of_servers(Opening::Tls);
        let conn = self.shard.accept(self.now, listener, peer);
        self.secure(conn, &meeting.domain);
        self.say(conn, &header(meeting));
        let success = self.say(conn, AUTH);
        assert!(success.contains("<success"), "{success}");
        self.say(conn, &header(meeting));
        conn
    }

    /// It asks something on this stream.
    fn ask(&mut self, conn: ConnId, Meeting { domain, host }: &Meeting) {
        self.wait(APART);
        self.say(
            conn,
            &format!(
                "<iq type='get' id='v' from='u@{domain}' to='{host}'><query xmlns='jabber:iq:version'/></iq>"
            ),
        );
    }

    /// The same, and our answer goes out on a stream of ours, which is proven for it and then silent.
    fn outbound(&mut self, conn: ConnId, meeting: &Meeting) -> ConnId {
        self.ask(conn, meeting);
        let ours = self.wanted.take().expect("a connection is wanted");
        self.say(ours, &header(meeting));
        self.say(ours, STARTTLS);
        self.say(ours, PROCEED);
        self.secure(ours, &meeting.domain);
        self.say(ours, &header(meeting));
        let auth = self.say(ours, EXTERNAL);
        assert!(auth.contains("EXTERNAL"), "{auth}");
        self.say(ours, SUCCESS);
        self.say(ours, &header(meeting));
        let mut answer = self.say(ours, FEATURES);
        answer += &self.say(ours, ENABLED);
        assert!(answer.contains("type='result'"), "{answer}");
        self.say(ours, CONFIRMED);
        ours
    }

    fn wait(&mut self, long: Duration) {
        let millis = i64::try_from(long.as_millis()).expect("a short while");
        self.now.mono = self.now.mono + long;
        self.now.wall = UnixTime(self.now.wall.0 + millis);
        self.tell(Input::Tick);
    }

    fn close(&mut self, conn: ConnId) {
        let how = Closed::Eof;
        self.tell(Input::Closed { conn, how });
    }
}

/// One server for all of them, behind STARTTLS.
fn resolve(lookup: &Lookup) -> Resolved {
    match lookup {
        Lookup::Services(name) | Lookup::Addresses(name) if name.ends_with(NOWHERE) => {
            Resolved::NoName
        }
        Lookup::Services(name) if name.starts_with("_xmpp-server.") => {
            Resolved::Services(vec![Service {
                priority: 0,
                weight: 0,
                port: 5269,
                target: "x.example".into(),
            }])
        }
        Lookup::Services(_) => Resolved::NoData,
        Lookup::Addresses(_) => Resolved::Addresses(vec![[192, 0, 2, 1].into()], Source::Dns),
    }
}

#[test]
fn two_thousand_servers_that_say_nothing_more_take_little_each() {
    let meetings: Vec<Meeting> = (0..REMOTES).map(|n| Meeting::new(n, "example")).collect();
    let mut shell = Shell::new();
    // What the first makes the shard allocate for good is no cost of the others.
    let before = Meeting::new(REMOTES, "example");
    let first = shell.inbound(&before);
    shell.outbound(first, &before);
    let residue = shell.shard.residue();
    let (mut inbound, mut outbound) = (Vec::with_capacity(REMOTES), Vec::with_capacity(REMOTES));
    let to_us = measure(|| inbound.extend(meetings.iter().map(|meeting| shell.inbound(meeting))));
    let of_ours = measure(|| {
        let each = inbound.iter().zip(&meetings);
        outbound.extend(each.map(|(conn, meeting)| shell.outbound(*conn, meeting)));
    });
    let gone = measure(|| {
        for conn in inbound.iter().chain(&outbound) {
            shell.close(*conn);
        }
    });
    assert_eq!(shell.shard.residue(), residue);
    let left = to_us.bytes_current + of_ours.bytes_current + gone.bytes_current;
    within("a stream to us", to_us.bytes_current, REMOTES, PER_INBOUND);
    within(
        "a stream of ours",
        of_ours.bytes_current,
        REMOTES,
        PER_OUTBOUND,
    );
    within(
        "room for both in tables, once they are gone",
        left,
        REMOTES,
        PER_ROOM,
    );
}

#[test]
fn a_domain_that_cannot_be_reached_has_a_small_fixed_cost() {
    let meetings: Vec<Meeting> = (0..UNREACHED).map(|n| Meeting::new(n, NOWHERE)).collect();
    let mut shell = Shell::new();
    let inbound: Vec<ConnId> = meetings
        .iter()
        .map(|meeting| shell.inbound(meeting))
        .collect();
    let known = measure(|| {
        for (conn, meeting) in inbound.iter().zip(&meetings) {
            shell.ask(*conn, meeting);
        }
        // Until nothing waits for any of them.
        shell.wait(S2S_REQUEST_PATIENCE);
    });
    assert_eq!(shell.wanted, None);
    // All are known: each is in two tables, and so is its stream to us.
    let [.., links, _, _, _] = shell.shard.residue();
    assert_eq!(links, 4 * UNREACHED);
    within(
        "a domain that cannot be reached",
        known.bytes_current,
        UNREACHED,
        PER_REMOTE,
    );
}

/// Of all together.
fn within(what: &str, all: i64, count: usize, bound: i64) {
    let each = all / count as i64;
    report(format_args!("{what}: {each} bytes"));
    assert!(each <= bound, "{what}: {each} bytes");
}

#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn report(what: std::fmt::Arguments<'_>) {
    println!("{what}");
}
