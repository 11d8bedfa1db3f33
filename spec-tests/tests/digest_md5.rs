//! DIGEST-MD5 (RFC 2831) against the real server over TLS: both prove themselves, and what was heard once is of no use.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use spec_tests::client::Client;
use spec_tests::element::SASL;
use spec_tests::sasl::{Digest, decode, digest_response, encode};
use spec_tests::server::{Server, Setup};

const PASSWORD: &str = "the lark, not the nightingale";
const WRONG: &str = "the nightingale, not the lark";
/// Where passwords are kept, and it is wanted. Wrong ones cost nothing: there are many of them.
const OPTIONS: &str = "authentication = \"internal_plain\"\n\
    disable_sasl_mechanisms = []\n\
    sasl_failures_per_address = 0\n\
    sasl_failures_per_account = 0\n";

fn plain() -> Server {
    let setup = Setup {
        options: OPTIONS,
        ..Setup::default()
    };
    Server::start_with(&[("juliet@localhost", PASSWORD)], setup).unwrap()
}

/// How often somebody signed in by it, as the server has it.
fn signed_in(server: &Server) -> usize {
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("signed in"));
    lines
        .filter(|line| line.contains(" mechanism=DIGEST-MD5 "))
        .count()
}

/// Up to the features that are there below TLS.
fn opened(server: &Server) -> Client {
    let trust = server.trust().unwrap();
    let mut client = Client::connect_tls(server.tls, "localhost", &trust, &[]).unwrap();
    client.open().unwrap();
    client
}

const JULIET: Digest<'_> = Digest {
    user: "juliet",
    password: PASSWORD,
    realm: "localhost",
    uri: "xmpp/localhost",
    authzid: None,
};

/// The challenge of DIGEST-MD5 that is next.
fn challenge(client: &mut Client) -> String {
    client
        .send(&format!("<auth xmlns='{SASL}' mechanism='DIGEST-MD5'/>"))
        .unwrap();
    client.sasl_answer("challenge").unwrap()
}

fn respond(client: &mut Client, response: &str) {
    client
        .send(&format!("<response xmlns='{SASL}'>{response}</response>"))
        .unwrap();
}

#[test]
fn a_response_of_digest_md5_is_good_once_and_for_its_own_challenge() {
    let mut server = plain();
    let mut client = opened(&server);
    let (response, proof) = JULIET
        .respond(&challenge(&mut client), "localhost")
        .unwrap();
    respond(&mut client, &response);
    assert_eq!(client.sasl_answer("challenge"), Ok(proof.clone()));
    client.send(&format!("<response xmlns='{SASL}'/>")).unwrap();
    client.sasl_answer("success").unwrap();

    // Whoever heard it says it again to the challenge that is next, here and on a connection of its own.
    let mut other = opened(&server);
    for _ in 0..2 {
        let (fresh, other_proof) = JULIET.respond(&challenge(&mut other), "localhost").unwrap();
        assert!(fresh != response && other_proof != proof);
        respond(&mut other, &response);
        let refused = other.sasl_answer("challenge").unwrap_err();
        assert_eq!(refused, "failure: malformed-request");
    }
    // As the next request with the nonce that it heard (RFC 2831 §2.2).
    challenge(&mut other);
    let second = decode(&response)
        .unwrap()
        .replace("nc=00000001", "nc=00000002");
    respond(&mut other, &encode(second.as_bytes()));
    let refused = other.sasl_answer("challenge").unwrap_err();
    assert_eq!(refused, "failure: malformed-request");
    server.stop().unwrap();
    assert_eq!(signed_in(&server), 1);
}

#[test]
fn the_proof_of_a_server_that_does_not_know_the_password_is_another() {
    let server = plain();
    let mut client = opened(&server);
    let said = challenge(&mut client);
    let (response, proof) = JULIET.respond(&said, "localhost").unwrap();
    let (_, impostor) = digest_response(&said, "localhost", "juliet", WRONG).unwrap();
    respond(&mut client, &response);
    let proven = client.sasl_answer("challenge").unwrap();
    assert_eq!(proven, proof);
    assert_ne!(proven, impostor);
}

#[test]
fn another_realm_service_or_identity_is_refused_before_the_password_counts() {
    let mut server = plain();
    let own = Some("juliet@localhost");
    let foreign = Some("romeo@localhost");
    let realm = |realm| Digest { realm, ..JULIET };
    let uri = |uri| Digest { uri, ..JULIET };
    let authzid = |authzid| Digest { authzid, ..JULIET };
    let mut wrong = authzid(own);
    wrong.password = WRONG;
    let mut nobody = JULIET;
    nobody.user = "nobody";
    for (digest, refused) in [
        (realm("example.org"), "malformed-request"),
        (realm(""), "malformed-request"),
        (uri("imap/localhost"), "malformed-request"),
        (uri("xmpp/example.org"), "malformed-request"),
        (authzid(foreign), "invalid-authzid"),
        (wrong, "not-authorized"),
        (nobody, "not-authorized"),
    ] {
        let mut client = opened(&server);
        let (response, _) = digest
            .respond(&challenge(&mut client), "localhost")
            .unwrap();
        respond(&mut client, &response);
        let answer = client.sasl_answer("challenge");
        assert_eq!(answer, Err(format!("failure: {refused}")), "{digest:?}");
    }
    // Its own identity may be said, and is part of what is proven.
    let mut client = opened(&server);
    let (response, proof) = authzid(own)
        .respond(&challenge(&mut client), "localhost")
        .unwrap();
    respond(&mut client, &response);
    assert_eq!(client.sasl_answer("challenge"), Ok(proof));
    drop(client);
    server.stop().unwrap();
    assert_eq!(signed_in(&server), 0);
}
