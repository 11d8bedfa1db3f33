//! What only SCRAM can get wrong: bindings, nonces and proofs.

use super::*;

#[test]
fn a_client_that_saw_no_plus_where_it_was_offered_is_refused() {
    let not_offered = Attempt {
        binding: Binding::NotOffered,
        ..JULIET
    };
    let mut server = Server::new();
    let refused = refusal(server.scram(&not_offered));
    assert_eq!(refused, Some(Failure::MalformedRequest));

    server.transport = Transport::Tls(ChannelBindings::default());
    server.offer = offer(&SaslPolicy::default(), Provider::Hashed, &server.transport).unwrap();
    server.scram(&not_offered).unwrap();
}

#[test]
fn the_flag_must_fit_the_mechanism() {
    let mut server = Server::new();
    for (attempt, binding) in [
        (JULIET, BINDINGS[0]),
        (JULIET_PLUS, Binding::Unsupported),
        (JULIET_PLUS, Binding::NotOffered),
    ] {
        let refused = refusal(server.scram(&Attempt { binding, ..attempt }));
        assert_eq!(refused, Some(Failure::MalformedRequest));
    }
    assert!(server.lookups.is_empty());
}

/// XEP-0474 §6.2: who is in between takes mechanisms out of what the client sees, and the hash that would tell, or puts another in its place.
#[test]
fn a_challenge_whose_hash_of_the_offer_was_changed_leads_to_no_proof() {
    for change in [None, Some("AAAA"), Some("")] {
        let mut server = Server::new();
        let mechanism = Mechanism::Scram(Hash::Sha1, Plus::No);
        let client = ClientFirst::new(Hash::Sha1, Binding::Unsupported, None, "juliet", "x");
        let (challenge, exchange) = server.challenge(mechanism, &client.message());
        let challenge = String::from_utf8(challenge).unwrap();
        let (before, hash) = challenge.split_once(",h=").unwrap();
        assert_eq!(STANDARD.decode(hash).unwrap().len(), 20);
        let heard = match change {
            None => before.to_string(),
            Some(hash) => format!("{before},h={hash}"),
        };
        let last = client.answer(heard.as_bytes(), |job| ClientKeys::derive(job, "r0m30"));
        let step = server.respond(exchange, last.unwrap().message());
        assert_eq!(outcome(step).unwrap_err(), Failure::NotAuthorized);
    }
}

#[test]
fn a_binding_type_that_the_connection_lacks_is_refused() {
    let mut server = Server::new();
    let refused = refusal(server.scram(&Attempt {
        binding: Binding::Used {
            name: "tls-unique",
            data: &EXPORTER,
        },
        ..JULIET_PLUS
    }));
    assert_eq!(refused, Some(Failure::MalformedRequest));

    // TLS 1.2: the end point only.
    server.transport = Transport::Tls(ChannelBindings {
        exporter: None,
        end_point: Some(END_POINT.to_vec()),
    });
    let [exporter, end_point] = BINDINGS.map(|binding| Attempt {
        binding,
        ..JULIET_PLUS
    });
    assert_eq!(
        refusal(server.scram(&exporter)),
        Some(Failure::MalformedRequest)
    );
    server.scram(&end_point).unwrap();
}

#[test]
fn a_tampered_binding_fails() {
    let mut server = Server::new();
    // Somebody between the ends has another channel to each.
    for (name, data) in [
        ("tls-exporter", &[0xef; 32][..]),
        ("tls-exporter", &[]),
        ("tls-exporter", &END_POINT),
        ("tls-server-end-point", &EXPORTER),
    ] {
        let refused = refusal(server.scram(&Attempt {
            binding: Binding::Used { name, data },
            ..JULIET_PLUS
        }));
        assert_eq!(refused, Some(Failure::MalformedRequest));
    }
    // The flag was changed on its way, and the client's `c=` tells.
    for header in ["y,,", "n,a=juliet@example.com,", "n,,x", "p=tls-exporter,,"] {
        let binding = STANDARD.encode(header);
        let refused = refusal(server.scram_with(&JULIET, |message| {
            message.replace("c=biws", &format!("c={binding}"))
        }));
        assert_eq!(refused, Some(Failure::MalformedRequest));
    }
}

#[test]
fn the_nonce_must_be_the_one_we_sent() {
    let mut server = Server::new();
    let changes: [fn(String) -> String; 4] = [
        |message| message.replace("r=client+nonce", "r=client+nonc"),
        |message| message.replace("r=client+nonce", "r=klient+nonce"),
        |message| message.replace(",p=", "x,p="),
        |message| {
            let (binding, rest) = message.split_once(",r=").unwrap();
            let (_, proof) = rest.split_once(",p=").unwrap();
            format!("{binding},r=client+nonce,p={proof}")
        },
    ];
    for change in changes {
        let refused = refusal(server.scram_with(&JULIET, change));
        assert_eq!(refused, Some(Failure::MalformedRequest));
    }
}

#[test]
fn every_exchange_has_a_nonce_of_its_own() {
    let mut server = Server::new();
    let first = b"n,,n=juliet,r=same";
    let (one, _) = server.challenge(JULIET.mechanism, first);
    let (other, _) = server.challenge(JULIET.mechanism, first);
    assert!(one.starts_with(b"r=same"));
    assert_ne!(one, other);
}

#[test]
fn the_proof_is_strict_base64_of_the_right_bytes() {
    let mut server = Server::new();
    let proof = |change: fn(Vec<u8>) -> Vec<u8>| {
        move |message: String| {
            let (rest, proof) = message.rsplit_once(",p=").unwrap();
            let proof = change(STANDARD.decode(proof).unwrap());
            format!("{rest},p={}", STANDARD.encode(proof))
        }
    };
    let changes: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |mut proof| {
            proof[0] ^= 1;
            proof
        },
        |proof| proof[..19].to_vec(),
        |proof| [proof, vec![0]].concat(),
        |_| Vec::new(),
    ];
    for change in changes {
        let refused = refusal(server.scram_with(&JULIET, proof(change)));
        assert_eq!(refused, Some(Failure::NotAuthorized));
    }
    let changes: [fn(String) -> String; 3] = [
        |message| message.replace(",p=", ",p= "),
        |message| message.trim_end_matches('=').into(),
        |message| format!("{message}="),
    ];
    for change in changes {
        let refused = refusal(server.scram_with(&JULIET, change));
        assert_eq!(refused, Some(Failure::MalformedRequest));
    }
}

#[test]
fn an_extension_put_into_the_last_message_breaks_the_proof() {
    let mut server = Server::new();
    let refused = refusal(server.scram_with(&JULIET, |message| message.replace(",p=", ",x=y,p=")));
    assert_eq!(refused, Some(Failure::NotAuthorized));
    let refused = refusal(server.scram_with(&JULIET, |message| message.replace(",p=", ",m=y,p=")));
    assert_eq!(refused, Some(Failure::MalformedRequest));
}

#[test]
fn a_proof_for_one_exchange_is_none_for_another() {
    let mut server = Server::new();
    let client = ClientFirst::new(Hash::Sha1, Binding::Unsupported, None, "juliet", "x");
    let (challenge, _) = server.challenge(JULIET.mechanism, &client.message());
    let (_, other) = server.challenge(JULIET.mechanism, &client.message());
    let last = client
        .answer(&challenge, |params| ClientKeys::derive(params, "r0m30"))
        .unwrap();
    let step = server.respond(other, last.message());
    assert_eq!(outcome(step).unwrap_err(), Failure::MalformedRequest);
}
