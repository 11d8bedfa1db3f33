use alloc::borrow::ToOwned as _;
use alloc::string::ToString as _;

use super::*;
use crate::jid::Domain;
use crate::sasl::{Derives, Offer, Provider, Status, Transport};

fn with<T>(host: &str, run: impl FnOnce(Context<'_>) -> T) -> T {
    run(Context {
        host: &Domain::parse(host).unwrap(),
        offer: &Offer::default(),
        transport: &Transport::Clear,
        server_secret: &[7; 32],
        rounds: 4096,
        former_rounds: &[],
        provider: Provider::Plain,
        derives: Derives::ForAll,
    })
}

fn kept(password: &str) -> Credentials {
    Credentials {
        status: Status::Enabled,
        verifier: Verifier::Password(Secret::new(password.into())),
    }
}

/// What a client of `user` answers to this nonce at a.example, as `written`, with what is between put in.
fn answer(user: &str, password: &str, written: fn(&[u8]) -> Cow<'_, [u8]>, nonce: &str) -> String {
    let response = Response {
        username: user.into(),
        realm: "a.example".into(),
        nonce: nonce.into(),
        cnonce: "c".into(),
        uri: "xmpp/a.example".into(),
        response: String::new(),
        authzid: None,
    };
    let session = response.session(&Secret::new(password.into()), written);
    let value = response.value(&session, "AUTHENTICATE");
    let value = str::from_utf8(value.expose()).unwrap().to_owned();
    format!(
        "charset=utf-8,username=\"{user}\",realm=\"a.example\",nonce=\"{nonce}\",nc=00000001,cnonce=\"c\",digest-uri=\"xmpp/a.example\",\
         response={value},qop=auth"
    )
}

fn challenged(nonce: &str) -> Challenged {
    Challenged {
        nonce: nonce.into(),
    }
}

#[test]
fn the_example_of_the_rfc_comes_out() {
    // RFC 2831 §4, which is of IMAP.
    let text = "charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",nc=00000001,cnonce=\"OA6MHXh6VqTrRk\",\
                digest-uri=\"imap/elwood.innosoft.com\",response=d388dad90d4bbd760a152321f2143af7,qop=auth";
    let response = Response::parse(text).unwrap();
    let session = response.session(&Secret::new(b"secret".to_vec()), latin1);
    let values = ["AUTHENTICATE", ""].map(|method| response.value(&session, method));
    assert_eq!(values[0].expose(), response.response.as_bytes());
    assert_eq!(values[1].expose(), b"ea40f60335c427b5527b84dbabcdfffd");
}

#[test]
fn a_challenge_names_the_host_and_a_nonce_of_its_own() {
    with("a.example", |cx| {
        let mut entropy = Entropy::new([1; 32]);
        let (challenge, first) = Challenged::begin(cx, &mut entropy);
        let (_, second) = Challenged::begin(cx, &mut entropy);
        assert_ne!(first.nonce, second.nonce);
        assert_eq!(
            String::from_utf8(challenge).unwrap(),
            format!(
                "realm=\"a.example\",nonce=\"{}\",qop=\"auth\",charset=utf-8,algorithm=md5-sess",
                first.nonce
            )
        );
    });
}

#[test]
fn who_knows_the_password_is_let_in_however_it_is_written() {
    for (user, password) in [
        ("juliet", "r0m30"),
        ("juliet", "r\u{f6}meo"),
        ("juli\u{e9}t", "r0m30"),
        ("juliet", "\u{440}\u{43e}\u{43c}\u{435}\u{43e}"),
    ] {
        for written in [latin1, utf8] {
            with("a.example", |cx| {
                let message = answer(user, password, written, "n");
                let asked = challenged("n").respond(message.as_bytes(), cx).unwrap();
                assert_eq!(asked.account().to_string(), format!("{user}@a.example"));
                let (proof, verified) = asked.found(Some(&kept(password)), cx).unwrap();
                assert!(proof.starts_with(b"rspauth=") && proof.len() == 40);
                assert_eq!(verified.mechanism(), Mechanism::DigestMd5);
                assert!(verified.outdated().is_none());
            });
        }
    }
}

#[test]
fn who_does_not_is_told_as_little_as_who_is_nobody() {
    with("a.example", |cx| {
        let keys = Credentials::hashed(Status::Enabled, Vec::new());
        let disabled = |password| Credentials {
            status: Status::Disabled,
            ..kept(password)
        };
        for (credentials, failure) in [
            (None, Failure::NotAuthorized),
            (Some(kept("romeo")), Failure::NotAuthorized),
            (Some(keys), Failure::NotAuthorized),
            (Some(disabled("romeo")), Failure::NotAuthorized),
            (Some(disabled("r0m30")), Failure::AccountDisabled),
        ] {
            let message = answer("juliet", "r0m30", utf8, "n");
            let asked = challenged("n").respond(message.as_bytes(), cx).unwrap();
            let refused = asked.found(credentials.as_ref(), cx).map(|_| ());
            assert_eq!(refused, Err(failure));
        }
    });
}

#[test]
fn a_response_to_another_challenge_realm_or_service_is_malformed() {
    with("a.example", |cx| {
        let message = answer("juliet", "r0m30", utf8, "n");
        let refused = |nonce: &str, from: &str, to: &str| {
            assert!(message.contains(from), "{from}");
            let message = message.replace(from, to);
            challenged(nonce)
                .respond(message.as_bytes(), cx)
                .map(|_| ())
        };
        assert_eq!(refused("n", "", ""), Ok(()));
        let malformed = Err(Failure::MalformedRequest);
        // What was answered before, and is said again to the next challenge.
        assert_eq!(refused("m", "", ""), malformed);
        let realm = "realm=\"a.example\"";
        assert_eq!(refused("n", realm, "realm=\"b.example\""), malformed);
        assert_eq!(refused("n", realm, "realm=\"\""), malformed);
        let uri = "xmpp/a.example";
        for other in [
            "imap/a.example",
            "xmpp/b.example",
            "xmpp",
            "xmpp/",
            "xmpp/a.example/b.example",
            "xmpp/x/a.example/y",
        ] {
            assert_eq!(refused("n", uri, other), malformed, "{other}");
        }
        for same in ["XMPP/A.example", "xmpp/machine/a.example"] {
            assert_eq!(refused("n", uri, same), Ok(()));
        }
        let authzid = |id: &str| refused("n", "qop=auth", &format!("authzid=\"{id}\""));
        assert_eq!(authzid("juliet@a.example"), Ok(()));
        assert_eq!(authzid("romeo@a.example"), Err(Failure::InvalidAuthzid));
        let name = refused("n", "\"juliet\"", "\"ju/liet\"");
        assert_eq!(name, Err(Failure::NotAuthorized));
    });
}
