//! Names that unbound resolves: a private one, with a zone of its own, on a port of its own.
//!
//! It needs unbound, so it runs as the tests of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use spec_tests::ca::Authority;
use spec_tests::client::PATIENCE;
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server, free_addresses};
use spondee_shell_common::dns::{
    Found, Name, NameServer, Outcome, Question, ResolvConf, Source, look_up, order, roll,
};

/// A name server that runs. Ended when dropped.
struct Unbound {
    child: Child,
    address: SocketAddr,
    _scratch: Scratch,
}

impl Unbound {
    /// One that knows these records and nothing else.
    fn start(records: &[String]) -> Self {
        let scratch = Scratch::new().unwrap();
        let [address] = free_addresses().unwrap();
        let data: String = records
            .iter()
            .map(|record| format!("  local-data: '{record}'\n"))
            .collect();
        let config = format!(
            "server:\n  interface: 127.0.0.1@{}\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  \
             use-syslog: no\n  verbosity: 0\n  module-config: \"iterator\"\n  local-zone: \"example.\" static\n{data}\
             remote-control:\n  control-enable: no\n",
            address.port()
        );
        let file = scratch.path().join("unbound.conf");
        fs::write(&file, config).unwrap();
        let mut command = Command::new("/usr/sbin/unbound");
        command.arg("-d").arg("-c").arg(file);
        let child = command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut unbound = Self {
            child,
            address,
            _scratch: scratch,
        };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let ended = unbound.child.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "no unbound");
            std::thread::sleep(Duration::from_millis(20));
        }
        unbound
    }

    fn ask(&self, question: Question) -> Outcome {
        let conf = ResolvConf::of(NameServer(self.address));
        look_up(&conf, &[question]).remove(0)
    }

    fn addresses(&self, of: &str) -> Outcome {
        self.ask(Question::Addresses(Name::parse(of).unwrap()))
    }

    fn services(&self, of: &str) -> Outcome {
        self.ask(Question::Services(Name::parse(of).unwrap()))
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        // It is gone either way.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

#[test]
fn names_become_addresses_and_services_become_targets_in_their_order() {
    if left_out("unbound") {
        return;
    }
    let mut records: Vec<String> = [
        "a.example. 300 IN A 192.0.2.7",
        "a.example. 300 IN AAAA 2001:db8::7",
        "four.example. 300 IN A 192.0.2.8",
        "_xmpp-server._tcp.a.example. 300 IN SRV 20 5 5269 last.example.",
        "_xmpp-server._tcp.a.example. 300 IN SRV 10 5 5270 first.example.",
        "_xmpps-server._tcp.a.example. 300 IN SRV 0 0 0 .",
        "text.example. 300 IN TXT something",
    ]
    .map(str::to_owned)
    .to_vec();
    // More than fits into a datagram.
    records.extend((0..60).map(|n| {
        format!("_xmpp-server._tcp.many.example. 300 IN SRV 1 1 {n} a-rather-long-name-of-target-{n}.example.")
    }));
    let unbound = Unbound::start(&records);
    let found = |texts: &[&str]| {
        let addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Outcome::Found(Found::Addresses(addresses), Source::Dns)
    };
    assert_eq!(
        unbound.addresses("a.example"),
        found(&["2001:db8::7", "192.0.2.7"])
    );
    assert_eq!(unbound.addresses("four.example"), found(&["192.0.2.8"]));
    assert_eq!(unbound.addresses("text.example"), Outcome::NoData);
    assert_eq!(unbound.addresses("nobody.example"), Outcome::NoName);
    assert_eq!(
        unbound.services("_xmpps-server._tcp.a.example"),
        Outcome::Found(Found::NoService, Source::Dns)
    );
    let services = |of: &str| {
        let outcome = unbound.services(of);
        let Outcome::Found(Found::Services(services), Source::Dns) = outcome else {
            panic!("{outcome:?}");
        };
        order(services, &mut roll)
    };
    let targets: Vec<String> = services("_xmpp-server._tcp.a.example")
        .iter()
        .map(|service| format!("{}:{}", service.target, service.port))
        .collect();
    assert_eq!(targets, ["first.example:5270", "last.example:5269"]);
    // By TCP, and of those as many as are of use.
    assert_eq!(services("_xmpp-server._tcp.many.example").len(), 32);
}

#[test]
fn check_tls_goes_where_srv_records_lead() {
    if left_out("unbound") {
        return;
    }
    let scratch = Scratch::new().unwrap();
    let authority = Authority::new(scratch.path()).unwrap();
    let stopped = Server::prepare(Scratch::new().unwrap(), "\n[host.\"chat.example\"]\n").unwrap();
    let certificates = stopped.scratch().join("certs");
    authority.issue(&certificates, "chat.example").unwrap();
    let binary = stopped.binary().to_owned();
    let server = stopped.begin(Command::new(binary)).unwrap();
    let [gone] = free_addresses().unwrap();
    let unbound = Unbound::start(&[
        "xmpp.example. 300 IN A 127.0.0.1".to_owned(),
        format!(
            "_xmpp-client._tcp.chat.example. 300 IN SRV 1 1 {} xmpp.example.",
            gone.port()
        ),
        format!(
            "_xmpp-client._tcp.chat.example. 300 IN SRV 2 1 {} xmpp.example.",
            server.clear.port()
        ),
        format!(
            "_xmpps-client._tcp.chat.example. 300 IN SRV 1 1 {} xmpp.example.",
            server.tls.port()
        ),
        "_xmpp-server._tcp.chat.example. 300 IN SRV 0 0 0 .".to_owned(),
    ]);
    let (ask, ca) = (
        unbound.address.to_string(),
        authority.path().display().to_string(),
    );
    let check = |domain: &str| {
        let words = [
            "check",
            "tls",
            domain,
            "--name-server",
            &ask,
            "--ca-file",
            &ca,
        ];
        server.outcome(&words).unwrap()
    };
    let (code, said) = check("chat.example");
    assert_eq!(code, 0, "{said}");
    for words in [
        // The first of the two does not answer.
        format!("clients, STARTTLS, at {}\n", server.clear),
        format!(
            "by SRV       xmpp.example:{}, xmpp.example:{}\n",
            gone.port(),
            server.clear.port()
        ),
        format!("clients, direct TLS, at {}\n", server.tls),
        "servers, STARTTLS: _xmpp-server._tcp.chat.example says that there is none".to_owned(),
        "servers, direct TLS: chat.example:5270 has no address".to_owned(),
        "A peer that verifies takes what is shown".to_owned(),
    ] {
        assert!(said.contains(&words), "{words}\n{said}");
    }
    let (code, said) = check("nobody.example");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("there is no such name"), "{said}");
}
