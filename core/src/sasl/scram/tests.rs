use super::*;
use crate::jid::Domain;
use crate::sasl::{Offer, Provider, Status, Transport};

/// A published exchange: password `pencil`, user `user`.
struct Example {
    hash: Hash,
    salt: &'static str,
    server_nonce: &'static str,
    client_first: &'static str,
    server_first: &'static str,
    client_final: &'static str,
    server_final: &'static str,
}

const EXAMPLES: [Example; 2] = [
    // RFC 5802 §5.
    Example {
        hash: Hash::Sha1,
        salt: "QSXCR+Q6sek8bf92",
        server_nonce: "3rfcNHYJY1ZVvWVs7j",
        client_first: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
                       p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    },
    // RFC 7677 §3.
    Example {
        hash: Hash::Sha256,
        salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
        server_nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    },
];

fn with_context<T>(test: impl FnOnce(Context<'_>) -> T) -> T {
    test(Context {
        host: &Domain::parse("example.com").unwrap(),
        offer: &Offer::default(),
        transport: &Transport::Clear,
        server_secret: &[0; 32],
        rounds: 10_000,
        former_rounds: &[],
        provider: Provider::Hashed,
        derives: Derives::IfNeeded,
    })
}

#[test]
fn the_published_examples_come_out_to_the_byte() {
    for example in EXAMPLES {
        let job = DeriveParams {
            hash: example.hash,
            salt: STANDARD.decode(example.salt).unwrap(),
            rounds: 4096,
        };
        let keys = alloc::vec![job.derive(&Secret::new(b"pencil".to_vec()))];
        let credentials = Credentials::hashed(Status::Enabled, keys);
        let first = example.client_first.as_bytes();
        let (challenge, challenged) = with_context(|cx| {
            let asked = Asked::read(example.hash, Plus::No, first, cx).unwrap();
            assert_eq!(asked.account().as_str(), "user@example.com");
            asked.found(Some(&credentials), cx, example.server_nonce)
        });
        assert_eq!(str::from_utf8(&challenge), Ok(example.server_first));
        let response = challenged.respond(example.client_final.as_bytes());
        let Ok(Response::Verified(verified, signature)) = response else {
            panic!("{response:?}");
        };
        assert_eq!(verified.account().as_str(), "user@example.com");
        assert_eq!(
            verified.mechanism(),
            Mechanism::Scram(example.hash, Plus::No)
        );
        assert_eq!(str::from_utf8(&signature), Ok(example.server_final));
    }
}

#[test]
fn extensions_are_ignored_and_part_of_what_is_signed() {
    let hash = Hash::Sha256;
    let salted = Secret::new(alloc::vec![7; hash.output_bytes()]);
    let client_key = hash.hmac(&salted, b"Client Key");
    let keys = ScramKeys {
        hash,
        salt: b"salt".to_vec(),
        rounds: 1,
        stored_key: hash.digest(&client_key),
        server_key: hash.hmac(&salted, b"Server Key"),
    };
    let (challenge, challenged) = with_context(|cx| {
        let asked = Asked::read(hash, Plus::No, b"n,,n=user,r=x,y=1", cx).unwrap();
        asked.challenge(keys.clone(), Standing::Enabled, Work::None, "yz")
    });
    assert_eq!(challenge, b"r=xyz,s=c2FsdA==,i=1");
    let without_proof = "c=biws,r=xyz,z=2=3";
    let auth_message = format!("n=user,r=x,y=1,r=xyz,s=c2FsdA==,i=1,{without_proof}");
    let signature = hash.hmac(&keys.stored_key, auth_message.as_bytes());
    let bytes = client_key.expose().iter().zip(signature.expose());
    let proof: Vec<u8> = bytes.map(|(key, signature)| key ^ signature).collect();
    let message = format!("{without_proof},p={}", STANDARD.encode(proof));
    assert!(challenged.respond(message.as_bytes()).is_ok());
}
