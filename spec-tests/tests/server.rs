//! Our own strict client against the real server: what no memory can show, because it needs TLS, sockets and a process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use spec_tests::client::{BindTo, Client, PATIENCE, Versions, offered};
use spec_tests::element::{CLIENT, Item, SASL, STREAMS};
use spec_tests::server::Server;
use spec_tests::talk::{bind_request, header, plain_auth};
use spondee_core::sasl::{Hash, Mechanism, Plus};

const JULIET: (&str, &str) = ("juliet@localhost", "secret");
const ROMEO: (&str, &str) = ("romeo@localhost", "p\u{e4}ss w\u{f6}rd");

/// A client behind STARTTLS, before SASL.
fn secured(server: &Server, versions: Versions) -> Client {
    let trust = server.trust().unwrap();
    let client = Client::connect(server.clear, "localhost", &trust).unwrap();
    let mut client = client.with_versions(versions);
    client.open().unwrap();
    client.starttls().unwrap();
    client
}

/// RFC 9266 §4, RFC 5929 §4, XEP-0440 §3: each mechanism with each type of binding.
#[test]
fn binds_sign_ins_to_the_channel_by_both_types() {
    let server = Server::start(&[JULIET]).unwrap();
    for hash in Hash::ALL {
        for bind_to in [BindTo::Exporter, BindTo::EndPoint] {
            let mut client = secured(&server, Versions::Both);
            let (_, features) = client.open().unwrap();
            let mechanism = Mechanism::Scram(hash, Plus::Yes);
            assert!(offered(&features).contains(&mechanism), "{features}");
            client
                .sign_in("juliet", "secret", mechanism, bind_to)
                .unwrap();
            assert_eq!(client.bind(Some("r")).unwrap(), "juliet@localhost/r");
            server
                .wait_for_log(&["signed in", "juliet@localhost", mechanism.name()])
                .unwrap();
            client.close().unwrap();
        }
    }
}

/// Clients would take `tls-unique` there, which is not to be had: neither mechanisms nor types are offered, together.
#[test]
fn offers_no_binding_below_tls_1_3_and_lets_in_who_says_so() {
    let server = Server::start(&[JULIET]).unwrap();
    let mut client = secured(&server, Versions::Only12);
    let (_, features) = client.open().unwrap();
    let types = features.child("urn:xmpp:sasl-cb:0", "sasl-channel-binding");
    assert!(types.is_none(), "{features}");
    let plus = |mechanism: &Mechanism| mechanism.binds();
    assert!(!offered(&features).iter().any(plus), "{features}");
    let mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);
    client
        .sign_in("juliet", "secret", mechanism, BindTo::Unoffered)
        .unwrap();
}

/// RFC 5802 §6: somebody in between has another channel, and does not get in with the right password.
#[test]
fn refuses_a_binding_to_another_channel() {
    let server = Server::start(&[JULIET]).unwrap();
    for kind in ["tls-exporter", "tls-server-end-point", "tls-unique"] {
        let mut client = secured(&server, Versions::Both);
        client.open().unwrap();
        let mechanism = Mechanism::Scram(Hash::Sha256, Plus::Yes);
        let outcome = client.sign_in("juliet", "secret", mechanism, BindTo::Tampered(kind));
        let failure = outcome.unwrap_err();
        assert!(
            ["failure: not-authorized", "failure: malformed-request"].contains(&failure.as_str()),
            "{kind}: {failure}"
        );
    }
    assert!(!server.log().contains("signed in"), "{}", server.log());
}

/// XEP-0368 §3: the protocol's name is agreed on where the client offers any, and another is refused.
#[test]
fn serves_direct_tls_with_and_without_the_protocols_name() {
    let server = Server::start(&[JULIET]).unwrap();
    let trust = server.trust().unwrap();
    for alpn in [&["xmpp-client"][..], &[]] {
        let mut client = Client::connect_tls(server.tls, "localhost", &trust, alpn).unwrap();
        client.open().unwrap();
        client
            .sign_in(
                "juliet",
                "secret",
                Mechanism::Scram(Hash::Sha1, Plus::No),
                BindTo::Exporter,
            )
            .unwrap();
        client.bind(None).unwrap();
        client.close().unwrap();
    }
    assert!(Client::connect_tls(server.tls, "localhost", &trust, &["h2"]).is_err());
}

#[test]
fn signs_in_with_a_name_and_password_that_are_not_ascii() {
    let name = "g\u{fc}nter@localhost";
    let server = Server::start(&[(name, "p\u{e4}ss w\u{f6}rd")]).unwrap();
    for mechanism in [
        Mechanism::Plain,
        Mechanism::Scram(Hash::Sha512, Plus::No),
        Mechanism::Scram(Hash::Sha1, Plus::Yes),
    ] {
        let mut client = secured(&server, Versions::Both);
        client.open().unwrap();
        client
            .sign_in(
                "g\u{fc}nter",
                "p\u{e4}ss w\u{f6}rd",
                mechanism,
                BindTo::EndPoint,
            )
            .unwrap();
        let jid = client.bind(Some("r")).unwrap();
        assert_eq!(jid, format!("{name}/r"));
    }
}

/// Whichever thread accepted them: the threads are two.
#[test]
fn sessions_reach_each_other_in_both_directions() {
    let server = Server::start(&[JULIET, ROMEO]).unwrap();
    let trust = server.trust().unwrap();
    let session = |(account, password): (&str, &str)| {
        let user = account.split('@').next().unwrap();
        let mut client =
            Client::session(server.clear, "localhost", &trust, user, password).unwrap();
        client.send("<presence/>").unwrap();
        let echo = client
            .next_where(PATIENCE, |e| e.name == "presence")
            .unwrap();
        (client, echo.attribute("to").unwrap().to_owned())
    };
    let (mut juliet, juliet_jid) = session(JULIET);
    let (mut romeo, romeo_jid) = session(ROMEO);
    for n in 0..20 {
        juliet
            .send(&format!(
                "<message to='{romeo_jid}'><body>{n}</body></message>"
            ))
            .unwrap();
        assert_eq!(
            romeo.next_body(PATIENCE).unwrap(),
            (juliet_jid.clone(), n.to_string())
        );
        romeo
            .send(&format!(
                "<message to='{juliet_jid}'><body>{n}</body></message>"
            ))
            .unwrap();
        assert_eq!(
            juliet.next_body(PATIENCE).unwrap(),
            (romeo_jid.clone(), n.to_string())
        );
    }
    juliet.close().unwrap();
    romeo.close().unwrap();
}

/// House contract 2, through sockets and the real store.
#[test]
fn takes_auth_bind_and_a_hundred_stanzas_in_one_write() {
    let server = Server::start(&[JULIET]).unwrap();
    let trust = server.trust().unwrap();
    let mut client = Client::connect_tls(server.tls, "localhost", &trust, &[]).unwrap();
    let mut bytes = header("localhost") + &plain_auth("juliet", "secret");
    bytes += &header("localhost");
    bytes += &bind_request("r");
    for n in 0..100 {
        bytes +=
            &format!("<iq type='get' to='localhost' id='{n}'><ping xmlns='urn:xmpp:ping'/></iq>");
    }
    client.send(&bytes).unwrap();

    let header = client.next_item(PATIENCE).unwrap();
    assert!(
        matches!(&header, Item::Open(e) if e.is(STREAMS, "stream")),
        "{header}"
    );
    assert!(client.next(PATIENCE).unwrap().is(STREAMS, "features"));
    assert!(client.next(PATIENCE).unwrap().is(SASL, "success"));
    client.restarted();
    let header = client.next_item(PATIENCE).unwrap();
    assert!(
        matches!(&header, Item::Open(e) if e.is(STREAMS, "stream")),
        "{header}"
    );
    assert!(client.next(PATIENCE).unwrap().is(STREAMS, "features"));
    assert_eq!(client.next(PATIENCE).unwrap().attribute("id"), Some("bind"));
    for n in 0..100 {
        let result = client.next(PATIENCE).unwrap();
        assert!(result.is(CLIENT, "iq"), "{result}");
        assert_eq!(result.attribute("id"), Some(n.to_string().as_str()));
    }
}

/// RFC 6120 §4.9.3.20.
#[test]
fn stops_with_system_shutdown_and_exit_code_zero() {
    let mut server = Server::start(&[JULIET]).unwrap();
    let trust = server.trust().unwrap();
    let mut client =
        Client::session(server.clear, "localhost", &trust, "juliet", "secret").unwrap();
    let stopper = std::thread::spawn(move || server.stop());
    let error = client.next(PATIENCE).unwrap();
    assert_eq!(error.condition(), Some("system-shutdown"), "{error}");
    assert_eq!(client.next_item(PATIENCE).unwrap(), Item::Close);
    client.send("</stream:stream>").unwrap();
    client.expect_end().unwrap();
    stopper.join().unwrap().unwrap();
}

/// XEP-0012 §3: sessions that the server ended with itself, too.
#[test]
fn the_end_of_a_session_is_known_after_the_server_has_stopped() {
    let mut server = Server::start(&[JULIET]).unwrap();
    let trust = server.trust().unwrap();
    let sign_in = |server: &Server| {
        Client::session(server.clear, "localhost", &trust, "juliet", "secret").unwrap()
    };
    let mut first = sign_in(&server);
    let farewell = "<presence type='unavailable'><status>Good night</status></presence>";
    first.send(farewell).unwrap();
    first.close().unwrap();
    let show = |server: &Server| server.command(&["user", "show", "juliet@localhost"]);
    let told = show(&server).unwrap();
    let left = "no device is connected\nthe last one left ";
    assert!(told.contains(left), "{told}");
    assert!(
        told.ends_with(" ago\nits last status was: Good night\n"),
        "{told}"
    );
    // A crash may forget who left within the last minute (`ACCOUNT_IDLE`), a stop does not.
    server.stop().unwrap();
    assert!(show(&server).unwrap().ends_with("Good night\n"));
    server.start_again().unwrap();
    server.kill().unwrap();
    server.start_again().unwrap();
    assert!(show(&server).unwrap().ends_with("Good night\n"));
    // The next one says nothing at last.
    let second = sign_in(&server);
    server.stop().unwrap();
    drop(second);
    let told = show(&server).unwrap();
    assert!(told.contains(left) && told.ends_with(" ago\n"), "{told}");
}

/// The same commands while the server runs; what they do to sessions is felt at once.
#[test]
fn commands_reach_a_running_server() {
    let server = Server::start(&[JULIET]).unwrap();
    let trust = server.trust().unwrap();
    let sign_in = |user: &str| Client::session(server.clear, "localhost", &trust, user, "secret");
    assert!(sign_in("nurse").is_err());
    server.add_user("nurse@localhost", "secret").unwrap();
    let mut nurse = sign_in("nurse").unwrap();
    nurse
        .send("<presence><show>dnd</show><status>a\u{202e}b</status></presence>")
        .unwrap();
    // Told to itself: the server knows of it.
    nurse.next(PATIENCE).unwrap();
    let show = server.command(&["user", "show", "nurse@localhost"]);
    let show = show.unwrap();
    for line in [
        "nurse@localhost is enabled and has no contacts\nkeys of its password are kept\n1 device is connected:\n\n",
        "\n  address    127.0.0.1:",
        "\n  connected  for ",
        "\n  presence   available (dnd) with priority 0\n",
        "\n  status     a\\u{202e}b\n",
    ] {
        assert!(show.contains(line), "{show}");
    }
    server
        .command(&["user", "disable", "nurse@localhost"])
        .unwrap();
    let error = nurse.next(Duration::from_secs(10)).unwrap();
    assert_eq!(error.condition(), Some("not-authorized"), "{error}");
    assert_eq!(sign_in("nurse").unwrap_err(), "failure: account-disabled");
    let show = server.command(&["user", "show", "nurse@localhost"]);
    let lines = "nurse@localhost is disabled and has no contacts\nkeys of its password are kept\nno device is connected\nthe last one left ";
    let show = show.unwrap();
    assert!(show.starts_with(lines), "{show}");
    assert_eq!(show.lines().count(), 4, "{show}");
    server
        .command(&["user", "enable", "nurse@localhost"])
        .unwrap();
    let mut nurse = sign_in("nurse").unwrap();
    let disconnect = |more: &[&str]| {
        let words = [&["user", "disconnect", "nurse@localhost"], more].concat();
        server.command(&words)
    };
    let unknown = disconnect(&["no such"]).unwrap_err();
    let advice = "nurse@localhost has no session \"no such\"; `spondee user show nurse@localhost` shows which there are";
    assert!(unknown.contains(advice), "{unknown}");
    let one = "1 session of nurse@localhost was ended\n";
    assert_eq!(disconnect(&[]).unwrap(), one);
    let error = nurse.next(PATIENCE).unwrap();
    assert_eq!(error.condition(), Some("policy-violation"), "{error}");
    let none = "nurse@localhost has no session\n";
    assert_eq!(disconnect(&[]).unwrap(), none);
    server
        .command(&["user", "delete", "--yes", "nurse@localhost"])
        .unwrap();
    assert_eq!(sign_in("nurse").unwrap_err(), "failure: not-authorized");
}

/// The address is the client's word; the certificate is the server's. Without verification the test above would mean little.
#[test]
fn our_own_client_refuses_a_certificate_it_has_no_root_for() {
    let server = Server::start(&[]).unwrap();
    let other = Server::start(&[]).unwrap();
    let mut client = Client::connect(server.clear, "localhost", &other.trust().unwrap()).unwrap();
    client.open().unwrap();
    let fault = client.starttls().unwrap_err();
    assert!(fault.contains("certificate"), "{fault}");
}
