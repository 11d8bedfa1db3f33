//! A stream of ours connects by name, TLS as client, to a listener of ours: a running server reaches a domain, which is its own.
//!
//! It needs unbound, so it runs as the tests of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use serde_json::Value;
use spec_tests::program::left_out;
use spec_tests::server::{Scratch, Server, free_addresses};
use spec_tests::unbound::Unbound;

/// A server that has `chat.example` and asks an unbound of which it is told, once its ports are known, what it knows.
fn server(records: impl FnOnce(u16, u16) -> Vec<String>) -> (Server, Unbound) {
    let stopped = Server::prepare(Scratch::new().unwrap(), "\n[host.\"chat.example\"]\n").unwrap();
    let certificates = stopped.scratch().join("certs");
    stopped
        .authority()
        .issue(&certificates, "chat.example")
        .unwrap();
    let [clear, tls] = stopped.addresses();
    let unbound = Unbound::start(&records(clear.port(), tls.port())).unwrap();
    let file = stopped.scratch().join("spondee.toml");
    let text = fs::read_to_string(&file).unwrap();
    let name_server = format!("name_server = \"{}\"\n", unbound.address());
    fs::write(&file, name_server + &text).unwrap();
    let binary = stopped.binary().to_owned();
    (stopped.begin(Command::new(binary)).unwrap(), unbound)
}

fn reach(server: &Server) -> (i32, Value) {
    let (code, said) = server
        .outcome(&["reach", "chat.example", "--json"])
        .unwrap();
    let json = said.find("\n}").map(|end| &said[..end + 2]);
    let json = serde_json::from_str(json.unwrap_or(&said));
    (code, json.unwrap_or_else(|error| panic!("{error}: {said}")))
}

/// Where both families have the name, nobody listens at one of them.
const ADDRESSES: [&str; 2] = [
    "xmpp.example. 300 IN A 127.0.0.1",
    "xmpp.example. 300 IN AAAA ::1",
];

fn with(service: &str, priority: u16, port: u16) -> String {
    format!("{service}._tcp.chat.example. 300 IN SRV {priority} 1 {port} xmpp.example.")
}

#[test]
fn by_direct_tls_with_the_name_and_the_protocol_that_the_listener_wants() {
    if left_out("unbound") {
        return;
    }
    let (server, _unbound) = server(|clear, tls| {
        let mut records = ADDRESSES.map(str::to_owned).to_vec();
        records.push(with("_xmpps-client", 1, tls));
        records.push(with("_xmpp-client", 2, clear));
        records
    });
    let (code, said) = reach(&server);
    // No authority of this machine's vouches for the certificate.
    assert_eq!(code, 1, "{said:#}");
    let reached = &said["outcome"]["reached"];
    assert_eq!(reached["tls"]["by"], "direct-tls", "{said:#}");
    assert_eq!(reached["tls"]["version"], "1.3", "{said:#}");
    assert_eq!(
        reached["tls"]["certificate"]["verdict"], "untrusted",
        "{said:#}"
    );
    assert_eq!(reached["address"], server.tls.to_string(), "{said:#}");
}

#[test]
fn by_starttls_where_the_first_target_does_not_answer() {
    if left_out("unbound") {
        return;
    }
    let (server, _unbound) = server(|clear, _| {
        let [gone] = free_addresses().unwrap();
        let mut records = ADDRESSES.map(str::to_owned).to_vec();
        records.push(with("_xmpps-client", 1, gone.port()));
        records.push(with("_xmpp-client", 2, clear));
        records
    });
    let (code, said) = reach(&server);
    assert_eq!(code, 1, "{said:#}");
    let reached = &said["outcome"]["reached"];
    assert_eq!(reached["tls"]["by"], "required-starttls", "{said:#}");
    assert_eq!(reached["tls"]["version"], "1.3", "{said:#}");
    assert_eq!(reached["address"], server.clear.to_string(), "{said:#}");
}

#[test]
fn a_domain_that_says_there_is_no_such_service_is_asked_no_further() {
    if left_out("unbound") {
        return;
    }
    let (server, _unbound) = server(|_, _| {
        ["_xmpps-client", "_xmpp-client"]
            .map(|service| format!("{service}._tcp.chat.example. 300 IN SRV 0 0 0 ."))
            .to_vec()
    });
    let (code, said) = reach(&server);
    assert_eq!(code, 1, "{said:#}");
    assert_eq!(said["outcome"], "no-service", "{said:#}");
    assert_eq!(said["attempts"], serde_json::json!([]), "{said:#}");
}
