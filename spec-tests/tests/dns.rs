//! Names that unbound resolves: a private one, with a zone of its own, on a port of its own.
//!
//! It needs unbound, so it runs as the tests of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use spec_tests::ca::Authority;
use spec_tests::client::PATIENCE;
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server, free_addresses};
use spec_tests::unbound::Unbound;
use spondee_core::arena::Arena;
use spondee_core::port::{Lookup, Resolved, Source, Ticket};
use spondee_shell_common::dns::{NameServer, Names, ResolvConf, look_up, order, roll};
use spondee_shell_common::mailbox::{Letter, Mailbox};

/// As a command asks.
fn by_command(unbound: &Unbound, lookup: Lookup) -> Resolved {
    let conf = ResolvConf::of(NameServer(unbound.address()));
    look_up(&conf, &[lookup]).remove(0).resolved
}

/// As a shard does.
fn by_thread(unbound: &Unbound, lookup: Lookup) -> Resolved {
    let names = Names::start(Some(NameServer(unbound.address())));
    let (sender, letters) = channel();
    let mailbox: Arc<dyn Mailbox> = Arc::new(Letters(Mutex::new(sender)));
    let ticket = Arena::<Ticket, ()>::default().insert(());
    names.resolve(&mailbox, ticket, lookup).unwrap();
    match letters.recv_timeout(PATIENCE).unwrap() {
        Letter::Resolved(of, resolved) if of == ticket => resolved,
        letter @ (Letter::Census
        | Letter::Command(..)
        | Letter::Derived(..)
        | Letter::Evict(_)
        | Letter::Handshake(..)
        | Letter::Judged(..)
        | Letter::Resolved(..)
        | Letter::Stored(..)) => panic!("{letter:?}"),
    }
}

/// A shard's mailbox.
#[derive(Debug)]
struct Letters(Mutex<Sender<Letter>>);

impl Mailbox for Letters {
    fn post(&self, letters: Vec<Letter>) {
        for letter in letters {
            self.0.lock().unwrap().send(letter).unwrap();
        }
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
    let unbound = Unbound::start(&records).unwrap();
    for ask in [by_command, by_thread] {
        holds(&|lookup| ask(&unbound, lookup));
    }
}

fn holds(ask: &dyn Fn(Lookup) -> Resolved) {
    let addresses = |of: &str| ask(Lookup::Addresses(of.into()));
    let found = |texts: &[&str]| {
        let addresses: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        Resolved::Addresses(addresses, Source::Dns)
    };
    assert_eq!(addresses("a.example"), found(&["2001:db8::7", "192.0.2.7"]));
    assert_eq!(addresses("four.example"), found(&["192.0.2.8"]));
    assert_eq!(addresses("text.example"), Resolved::NoData);
    assert_eq!(addresses("nobody.example"), Resolved::NoName);
    let none = ask(Lookup::Services("_xmpps-server._tcp.a.example".into()));
    assert_eq!(none, Resolved::NoService);
    let services = |of: &str| {
        let resolved = ask(Lookup::Services(of.into()));
        let Resolved::Services(services) = resolved else {
            panic!("{resolved:?}");
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
    ])
    .unwrap();
    let (ask, ca) = (
        unbound.address().to_string(),
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
