//! Where passwords themselves are kept: everybody is asked and answered alike.

use super::*;

impl Server {
    /// A host that keeps passwords, and has this one of `juliet`; `romeo` has keys of before.
    fn keeping(password: &str) -> Self {
        let mut server = Self::new();
        server.set_password("romeo", "r0m30");
        server.keep("juliet", password);
        server.provider = Provider::Plain;
        server.derives = Derives::ForAll;
        server
    }

    fn keep(&mut self, name: &str, password: &str) {
        let prepared = prepare_password(password).unwrap();
        let verifier = Verifier::Password(Secret::new(prepared.into_bytes()));
        self.credentials(name).verifier = verifier;
    }

    /// What the challenge shows beside the nonce.
    fn shown(&mut self, name: &str, hash: Hash) -> String {
        let first = ClientFirst::new(hash, Binding::Unsupported, None, name, "x").message();
        let (challenge, _) = self.challenge(Mechanism::Scram(hash, Plus::No), &first);
        let challenge = String::from_utf8(challenge).unwrap();
        challenge.split_once(',').unwrap().1.to_string()
    }
}

#[test]
fn a_password_that_is_kept_signs_in_by_every_mechanism() {
    for (provider, derives) in [
        (Provider::Plain, Derives::ForAll),
        (Provider::Hashed, Derives::ForAll),
        (Provider::Hashed, Derives::IfNeeded),
    ] {
        let mut server = Server::keeping("\u{2168}\u{a0}\u{aa}");
        (server.provider, server.derives) = (provider, derives);
        for attempt in attempts("juliet", "IX a") {
            let verified = server.scram(&attempt).unwrap();
            assert_eq!(verified.account().as_str(), "juliet@example.com");
        }
        server.plain(&plain("", "juliet", "I\u{ad}X a")).unwrap();
        for attempt in attempts("romeo", "r0m30") {
            server.scram(&attempt).unwrap();
        }
        server.plain(&plain("", "romeo", "r0m30")).unwrap();
    }
}

#[test]
fn a_wrong_password_is_not_authorized_however_near_it_is() {
    let mut server = Server::keeping("r0m30");
    for wrong in ["romeo", "r0m3", "r0m300", "R0m30", "no password"] {
        for attempt in attempts("juliet", wrong) {
            let refused = refusal(server.scram(&attempt));
            assert_eq!(refused, Some(Failure::NotAuthorized));
        }
        let refused = refusal(server.plain(&plain("", "juliet", wrong)));
        assert_eq!(refused, Some(Failure::NotAuthorized));
    }
}

#[test]
fn a_disabled_account_of_which_the_password_is_kept_is_told_so_after_it_alone() {
    tells_who_is_disabled_after_the_right_password_alone(Server::keeping("r0m30"));
}

#[test]
fn who_has_a_password_kept_looks_as_if_there_was_no_such_account() {
    let mut server = Server::keeping("r0m30");
    let juliet = BareJid::new("juliet", &server.host).unwrap();
    let kept = server.accounts[&juliet].clone();
    for hash in Hash::ALL {
        let shown = server.shown("juliet", hash);
        assert_eq!(shown, server.shown("juliet", hash), "the same each time");
        server.accounts.remove(&juliet);
        assert_eq!(shown, server.shown("juliet", hash));
        server.accounts.insert(juliet.clone(), kept.clone());
        server.keep("juliet", "another");
        assert_eq!(shown, server.shown("juliet", hash));
        // Who has keys shows no less and no more.
        assert_eq!(shown.len(), server.shown("romeo", hash).len());
        assert_ne!(shown, server.shown("romeo", hash));
    }
    let [one, two, three] = Hash::ALL.map(|hash| server.shown("juliet", hash));
    assert!(one != two && two != three && one != three);
}

#[test]
fn a_challenge_costs_no_worker_and_a_proof_the_same_job_for_all() {
    let mut server = Server::keeping("r0m30");
    for hash in Hash::ALL {
        for name in ["juliet", "romeo", "nobody"] {
            server.jobs.clear();
            server.shown(name, hash);
            assert_eq!(server.jobs, []);
            let attempt = Attempt {
                mechanism: Mechanism::Scram(hash, Plus::No),
                name,
                password: "guess",
                ..JULIET
            };
            let refused = refusal(server.scram(&attempt));
            assert_eq!(refused, Some(Failure::NotAuthorized));
            let [job] = server.jobs.as_slice() else {
                panic!("{:?}", server.jobs);
            };
            assert_eq!((job.hash, job.rounds), (hash, ROUNDS), "{name}");
            assert_eq!(job.salt.len(), SALT_BYTES);
        }
    }
    for name in ["juliet", "romeo", "nobody"] {
        server.jobs.clear();
        let _ = server.plain(&plain("", name, "guess"));
        let [job] = server.jobs.as_slice() else {
            panic!("{:?}", server.jobs);
        };
        assert_eq!((job.hash, job.rounds), (Hash::Sha512, ROUNDS), "{name}");
    }
}

#[test]
fn a_proof_that_cannot_be_read_is_refused_before_a_worker_is_asked() {
    let mut server = Server::keeping("r0m30");
    for name in ["juliet", "romeo", "nobody"] {
        let attempt = Attempt { name, ..JULIET };
        let refused = server.scram_with(&attempt, |message| message.replace("c=", "c=x"));
        assert_eq!(refusal(refused), Some(Failure::MalformedRequest));
    }
    assert_eq!(server.jobs, []);
}

#[test]
fn where_keys_are_kept_nobody_who_has_them_waits_for_a_worker() {
    let mut server = Server::new();
    for attempt in attempts("juliet", "r0m30") {
        server.scram(&attempt).unwrap();
    }
    assert_eq!(server.jobs, []);
}

#[test]
fn what_should_be_kept_otherwise_is_known_after_the_right_password_alone() {
    let outdated = |verified: Verified| {
        verified
            .outdated()
            .map(|password| password.expose().to_vec())
    };
    let mut server = Server::keeping("r0m30");
    // As it should be: a password where passwords are kept, keys for all hashes.
    assert_eq!(outdated(server.scram(&JULIET).unwrap()), None);
    let romeo = plain("", "romeo", "r0m30");
    assert_eq!(outdated(server.plain(&romeo).unwrap()), None);
    server.provider = Provider::Hashed;
    let juliet = plain("", "juliet", "r0m30");
    let password = Some(b"r0m30".to_vec());
    assert_eq!(outdated(server.scram(&JULIET).unwrap()), password);
    assert_eq!(outdated(server.plain(&juliet).unwrap()), password);
    // Keys tell no password: only PLAIN does.
    server.keys("romeo").pop();
    let attempt = Attempt {
        name: "romeo",
        ..JULIET
    };
    assert_eq!(outdated(server.scram(&attempt).unwrap()), None);
    assert_eq!(outdated(server.plain(&romeo).unwrap()), password);
}
