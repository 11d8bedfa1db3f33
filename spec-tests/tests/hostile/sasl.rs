//! Sign-ins that must fail, and how: RFC 6120 §6.3 to §6.5, RFC 4616, RFC 5802.

use spec_tests::element::SASL;
use spec_tests::memory::tls_of;
use spec_tests::sasl::{Binding, Scram, Signed, decode, encode};
use spec_tests::talk::{Talk, bind_request, header, plain_auth};
use spondee_core::limits::{Limits, SASL_NEGOTIATIONS_MAX};
use spondee_core::port::Note;
use spondee_core::sasl::{Hash, Mechanism, Plus};

use crate::scene::{Scene, Stage, message};
use crate::stage::{Outcome, stream_error};

const SHA_256: Mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);
const SHA_256_PLUS: Mechanism = Mechanism::Scram(Hash::Sha256, Plus::Yes);
const NONCE: &str = "attackersnonce";

fn auth(mechanism: &str, initial: &str) -> String {
    format!("<auth xmlns='{SASL}' mechanism='{mechanism}'>{initial}</auth>")
}

fn response(data: &str) -> String {
    format!("<response xmlns='{SASL}'>{data}</response>")
}

/// One stream of an attacker who knows romeo's password.
struct Attempt<'a> {
    scene: &'a mut Scene,
    talk: Talk,
    sign_ins: usize,
}

impl<'a> Attempt<'a> {
    fn new(scene: &'a mut Scene) -> Result<Self, String> {
        let sign_ins = scene.sign_ins();
        let talk = scene.enter(Stage::Secure)?;
        Ok(Self {
            scene,
            talk,
            sign_ins,
        })
    }

    /// The condition with which the server answers this.
    fn failure(&mut self, element: &str) -> Result<String, String> {
        self.talk.send(&mut self.scene.world, element);
        let answer = self.talk.next(&mut self.scene.world)?;
        match answer.condition() {
            Some(condition) if answer.is(SASL, "failure") => Ok(condition.to_owned()),
            _ => Err(format!("expected a failure, not {answer}")),
        }
    }

    /// The challenge with which the server answers this, in base64.
    fn challenge(&mut self, element: &str) -> Result<String, String> {
        self.talk.send(&mut self.scene.world, element);
        let answer = self.talk.next(&mut self.scene.world)?;
        if answer.is(SASL, "challenge") {
            Ok(answer.text())
        } else {
            Err(format!("expected a challenge, not {answer}"))
        }
    }

    /// A SCRAM exchange up to the client's last message, not yet sent: that message, decoded.
    fn last_message(
        &mut self,
        mechanism: Mechanism,
        binding: Binding,
    ) -> Result<(String, Signed), String> {
        let scram = scram(mechanism, "romeo", binding)?;
        let challenge = self.challenge(&auth(mechanism.name(), &scram.first()))?;
        let (last, signed) = scram.respond(&challenge)?;
        Ok((decode(&last)?, signed))
    }

    /// Nobody was signed in: a stanza behind it ends the stream, and all is quiet.
    fn ends_as_a_stranger(mut self) -> Outcome {
        self.talk.send(&mut self.scene.world, &message("hello"));
        self.scene.ends(&mut self.talk, "not-authorized")?;
        assert_eq!(self.scene.sign_ins(), self.sign_ins);
        Ok(())
    }
}

fn scram(mechanism: Mechanism, user: &str, binding: Binding) -> Result<Scram, String> {
    Scram::new(mechanism, user, "secret", NONCE, binding).ok_or_else(|| "no SCRAM".to_owned())
}

#[test]
fn the_authzid_of_another_user_is_invalid() -> Outcome {
    let mut scene = Scene::new()?;
    for other in [
        "juliet@localhost",
        "juliet",
        "romeo@other.test",
        "romeo@localhost/orchard",
        "localhost",
        "@",
    ] {
        let mut attempt = Attempt::new(&mut scene)?;
        let plain = encode(format!("{other}\0romeo\0secret").as_bytes());
        assert_eq!(
            attempt.failure(&auth("PLAIN", &plain))?,
            "invalid-authzid",
            "{other}"
        );
        let first = encode(format!("n,a={other},n=romeo,r={NONCE}").as_bytes());
        assert_eq!(
            attempt.failure(&auth(SHA_256.name(), &first))?,
            "invalid-authzid",
            "{other}"
        );
        attempt.ends_as_a_stranger()?;
    }
    Ok(())
}

#[test]
fn malformed_base64_is_incorrect_encoding() -> Outcome {
    let mut scene = Scene::new()?;
    // The last is right but for its padding, which has bits in it that mean nothing.
    for malformed in [
        "*",
        "A",
        "AHJvbWVvAHNlY3JldA",
        "AHJvbWVvAHNlY3JldA===",
        "AHJv bWVvAHNlY3JldA==",
        "AHJvbWVvAHNlY3JldA==\n",
        " AHJvbWVvAHNlY3JldA==",
        "AHJvbWVvAHNlY3JldA==AAAA",
        "AHJvbWVvAHNlY3JldB==",
        "AHJvbWVv-HNlY3JldA==",
        "==",
    ] {
        let mut attempt = Attempt::new(&mut scene)?;
        let at_once = attempt.failure(&auth("PLAIN", malformed))?;
        assert_eq!(at_once, "incorrect-encoding", "{malformed:?}");
        attempt.last_message(SHA_256, Binding::Unsupported)?;
        let later = attempt.failure(&response(malformed))?;
        assert_eq!(later, "incorrect-encoding", "{malformed:?}");
        attempt.ends_as_a_stranger()?;
    }
    Ok(())
}

/// RFC 5802 §5.1: the nonce of the last message is ours, to the byte, however right the password is.
#[test]
fn a_changed_nonce_fails() -> Outcome {
    let mut scene = Scene::new()?;
    let changes: [fn(&str) -> String; 5] = [
        |nonce| format!("{nonce}x"),
        |nonce| nonce[..nonce.len() - 1].to_owned(),
        |nonce| nonce.replacen('a', "b", 1),
        |_| NONCE.to_owned(),
        |_| String::new(),
    ];
    for change in changes {
        let mut attempt = Attempt::new(&mut scene)?;
        let (last, _) = attempt.last_message(SHA_256, Binding::Unsupported)?;
        let nonce = part(&last, "r=")?;
        let changed = last.replace(&format!("r={nonce}"), &format!("r={}", change(nonce)));
        assert_ne!(changed, last);
        let failure = attempt.failure(&response(&encode(changed.as_bytes())))?;
        assert_eq!(failure, "malformed-request", "{changed}");
        attempt.ends_as_a_stranger()?;
    }
    // The client signs what it was told by somebody in between.
    let mut attempt = Attempt::new(&mut scene)?;
    let scram = scram(SHA_256, "romeo", Binding::Unsupported)?;
    let challenge = decode(&attempt.challenge(&auth(SHA_256.name(), &scram.first()))?)?;
    let forged = challenge.replacen(NONCE, &format!("{NONCE}0000"), 1);
    let (last, _) = scram.respond(&encode(forged.as_bytes()))?;
    assert_eq!(attempt.failure(&response(&last))?, "malformed-request");
    attempt.ends_as_a_stranger()
}

/// RFC 5802 §6: the client believes that there is no binding, where we offered it. Somebody has taken it out of our features.
#[test]
fn the_flag_y_fails_where_binding_was_offered() -> Outcome {
    let mut scene = Scene::new()?;
    for hash in Hash::ALL {
        let mut attempt = Attempt::new(&mut scene)?;
        let mechanism = Mechanism::Scram(hash, Plus::No);
        let scram = scram(mechanism, "romeo", Binding::ServerCannot)?;
        let failure = attempt.failure(&auth(mechanism.name(), &scram.first()))?;
        assert_eq!(failure, "malformed-request");
        attempt.ends_as_a_stranger()?;
    }
    Ok(())
}

#[test]
fn the_flags_n_and_y_fail_within_plus() -> Outcome {
    let mut scene = Scene::new()?;
    for hash in Hash::ALL {
        for binding in [Binding::Unsupported, Binding::ServerCannot] {
            let mut attempt = Attempt::new(&mut scene)?;
            let mechanism = Mechanism::Scram(hash, Plus::Yes);
            let scram = scram(mechanism, "romeo", binding)?;
            let failure = attempt.failure(&auth(mechanism.name(), &scram.first()))?;
            assert_eq!(failure, "malformed-request");
            attempt.ends_as_a_stranger()?;
        }
    }
    Ok(())
}

/// RFC 5802 §5.1: an extension that is mandatory and that we do not know, in either message.
#[test]
fn a_mandatory_extension_fails() -> Outcome {
    let mut scene = Scene::new()?;
    let mut attempt = Attempt::new(&mut scene)?;
    for first in [
        format!("n,,m=x,n=romeo,r={NONCE}"),
        format!("n,,m=,n=romeo,r={NONCE}"),
    ] {
        let failure = attempt.failure(&auth(SHA_256.name(), &encode(first.as_bytes())))?;
        assert_eq!(failure, "malformed-request", "{first}");
    }
    let (last, _) = attempt.last_message(SHA_256, Binding::Unsupported)?;
    let extended = last.replacen(",p=", ",m=x,p=", 1);
    let failure = attempt.failure(&response(&encode(extended.as_bytes())))?;
    assert_eq!(failure, "malformed-request");
    attempt.ends_as_a_stranger()
}

/// With the right password, and a binding that is announced and then not there, another's, or not the one announced.
#[test]
fn a_missing_binding_fails() -> Outcome {
    let mut scene = Scene::new()?;
    type Change = fn(&[u8]) -> Vec<u8>;
    let changes: [(&str, Change); 4] = [
        ("tls-exporter", |_| Vec::new()),
        ("tls-exporter", |_| vec![0xee; 32]),
        ("tls-exporter", |exporter| exporter[..31].to_vec()),
        ("tls-server-end-point", |exporter| exporter.to_vec()),
    ];
    for (kind, change) in changes {
        let mut attempt = Attempt::new(&mut scene)?;
        let bindings = tls_of(attempt.talk.peer()).bindings;
        let exporter = bindings.exporter.ok_or("no exporter")?;
        let binding = Binding::Bound(kind, change(&exporter));
        let (last, _) = attempt.last_message(SHA_256_PLUS, binding)?;
        let failure = attempt.failure(&response(&encode(last.as_bytes())))?;
        assert_eq!(failure, "malformed-request", "{kind}");
        attempt.ends_as_a_stranger()?;
    }
    // No `c=` at all, an empty one, and the header alone.
    for missing in ["", "c=,", "c=biws,"] {
        let mut attempt = Attempt::new(&mut scene)?;
        let binding = Binding::Bound("tls-exporter", vec![0; 32]);
        let (last, _) = attempt.last_message(SHA_256_PLUS, binding)?;
        let bound = part(&last, "c=")?;
        let without = last.replacen(&format!("c={bound},"), missing, 1);
        let failure = attempt.failure(&response(&encode(without.as_bytes())))?;
        assert_eq!(failure, "malformed-request", "{without}");
        attempt.ends_as_a_stranger()?;
    }
    // A type that this connection does not have.
    let mut attempt = Attempt::new(&mut scene)?;
    let scram = scram(
        SHA_256_PLUS,
        "romeo",
        Binding::Bound("tls-unique", vec![7; 12]),
    )?;
    let failure = attempt.failure(&auth(SHA_256_PLUS.name(), &scram.first()))?;
    assert_eq!(failure, "malformed-request");
    attempt.ends_as_a_stranger()
}

/// What was overheard once is of no use: not on the same stream, and not on another.
#[test]
fn a_replayed_final_message_fails() -> Outcome {
    let mut scene = Scene::new()?;
    // Overheard: a whole exchange of romeo's, whose client and server then go on.
    let mut romeo = scene.enter(Stage::Secure)?;
    let first = scram(SHA_256, "romeo", Binding::Unsupported)?;
    let opening = auth(SHA_256.name(), &first.first());
    romeo.send(&mut scene.world, &opening);
    let challenge = romeo.next(&mut scene.world)?.text();
    let (last, _) = first.respond(&challenge)?;
    romeo.send(&mut scene.world, &response(&last));
    assert!(romeo.next(&mut scene.world)?.is(SASL, "success"));
    // Behind the success a stream header belongs, and no second last message.
    romeo.restart();
    romeo.send(&mut scene.world, &response(&last));
    romeo.poll(&mut scene.world)?;
    scene.ends(&mut romeo, "invalid-namespace")?;

    let mut attempt = Attempt::new(&mut scene)?;
    assert_ne!(attempt.challenge(&opening)?, challenge);
    assert_eq!(attempt.failure(&response(&last))?, "malformed-request");
    // The exchange is over, and a response answers nothing.
    assert_eq!(attempt.failure(&response(&last))?, "not-authorized");
    attempt.ends_as_a_stranger()
}

/// RFC 6120 §6.4.5: the fifth ends the stream, so that a sixth is not even looked at, wrong or right.
#[test]
fn the_sixth_wrong_password_is_not_heard() -> Outcome {
    let failures = usize::from(Limits::default().sasl_failures);
    assert_eq!(failures, 5);
    let mut scene = Scene::new()?;
    for sixth in ["wrong", "secret"] {
        for at_once in [true, false] {
            let sign_ins = scene.sign_ins();
            let mut talk = scene.enter(Stage::Secure)?;
            let mut guesses = vec![plain_auth("romeo", "wrong"); failures];
            guesses.push(plain_auth("romeo", sixth));
            guesses.extend([header("localhost"), bind_request("x"), message("in")]);
            if at_once {
                scene.world.write(talk.peer(), guesses.concat().as_bytes());
            }
            for guess in guesses.iter().filter(|_| !at_once) {
                scene.world.write(talk.peer(), guess.as_bytes());
            }
            scene.world.run();
            for _ in 0..failures {
                let failure = talk.next(&mut scene.world)?;
                assert_eq!(failure.condition(), Some("not-authorized"), "{failure}");
            }
            assert_eq!(
                stream_error(&mut scene.world, &mut talk)?,
                "policy-violation"
            );
            scene.is_closed(talk.peer())?;
            assert_eq!(scene.sign_ins(), sign_ins);
        }
    }
    Ok(())
}

/// By every mechanism, and also where what fails for other reasons stands between them.
#[test]
fn wrong_passwords_of_all_mechanisms_count_together() -> Outcome {
    let mut scene = Scene::new()?;
    let mut attempt = Attempt::new(&mut scene)?;
    for user in ["romeo", "nobody"] {
        attempt.failure(&plain_auth(user, "wrong"))?;
        attempt.failure(&auth("CRAM-MD5", ""))?;
        let wrong = Scram::new(SHA_256, user, "wrong", NONCE, Binding::Unsupported);
        let wrong = wrong.ok_or("no SCRAM")?;
        let challenge = attempt.challenge(&auth(SHA_256.name(), &wrong.first()))?;
        let (last, _) = wrong.respond(&challenge)?;
        assert_eq!(attempt.failure(&response(&last))?, "not-authorized");
        attempt.failure(&auth(SHA_256.name(), "*"))?;
    }
    attempt.failure(&plain_auth("romeo", "wrong"))?;
    let Attempt {
        scene, mut talk, ..
    } = attempt;
    scene.ends(&mut talk, "policy-violation")
}

/// What a client does wrong before its password is looked at, each by its condition.
fn blunders() -> Vec<(String, &'static str)> {
    let first = |message: &str| encode(message.as_bytes());
    let plus = SHA_256_PLUS.name();
    let scram = SHA_256.name();
    vec![
        (auth("CRAM-MD5", ""), "invalid-mechanism"),
        (auth("", ""), "invalid-mechanism"),
        (auth("PLAIN", "*"), "incorrect-encoding"),
        (auth("PLAIN", "="), "malformed-request"),
        (
            auth("PLAIN", &first("juliet@localhost\0romeo\0secret")),
            "invalid-authzid",
        ),
        (
            auth(plus, &first("p=tls-unique,,n=romeo,r=x")),
            "malformed-request",
        ),
        (auth(plus, &first("n,,n=romeo,r=x")), "malformed-request"),
        (auth(scram, &first("y,,n=romeo,r=x")), "malformed-request"),
        (
            auth(scram, &first("n,,m=x,n=romeo,r=x")),
            "malformed-request",
        ),
        (
            auth(scram, &first("n,a=juliet,n=romeo,r=x")),
            "invalid-authzid",
        ),
        (format!("<abort xmlns='{SASL}'/>"), "aborted"),
        (response("="), "not-authorized"),
    ]
}

/// RFC 6120 §6.4.5 limits retries with credentials, and has a client go on to its next mechanism; but not without end.
#[test]
fn what_fails_without_a_password_counts_for_nothing_but_itself() -> Outcome {
    let mut scene = Scene::with(|config| {
        config.limits.sasl_failures_per_address = 0;
        config.limits.sasl_failures_per_account = 0;
    })?;
    let blunders = blunders();
    let most = usize::from(SASL_NEGOTIATIONS_MAX);
    for (blunder, condition) in &blunders {
        // Four wrong passwords, and still the right one is heard.
        let mut attempt = Attempt::new(&mut scene)?;
        for _ in 1..most {
            assert_eq!(&attempt.failure(blunder)?, condition, "{blunder}");
        }
        for _ in 1..Limits::default().sasl_failures {
            attempt.failure(&plain_auth("nobody", "wrong"))?;
        }
        assert_eq!(&attempt.failure(blunder)?, condition, "{blunder}");
        let Attempt {
            scene, mut talk, ..
        } = attempt;
        scene.ends(&mut talk, "policy-violation")?;
    }
    // The log can tell them apart.
    let mut attempt = Attempt::new(&mut scene)?;
    attempt.scene.world.notes.clear();
    for (blunder, condition) in &blunders {
        assert_eq!(&attempt.failure(blunder)?, condition, "{blunder}");
    }
    let told = |note: &&Note| matches!(note, Note::SignInFailed { .. });
    let about = |note: &&Note| matches!(note, Note::SignInFailed { failure, .. } if failure.is_about_a_password());
    let notes = &attempt.scene.world.notes;
    assert_eq!(notes.iter().filter(told).count(), blunders.len());
    assert_eq!(notes.iter().filter(about).count(), 0);
    attempt
        .talk
        .sign_in(&mut attempt.scene.world, "romeo@localhost", "secret")?;
    let peer = attempt.talk.peer();
    attempt.scene.leaves(peer)
}

#[test]
fn a_mechanism_that_was_not_offered_is_refused_whatever_its_payload() -> Outcome {
    let mut scene = Scene::with(|config| {
        for host in config.accounts_mut() {
            host.sasl.disable.push("SCRAM-SHA-1".to_owned());
        }
    })?;
    let sha_1 = Mechanism::Scram(Hash::Sha1, Plus::No);
    let good = scram(sha_1, "romeo", Binding::Unsupported)?.first();
    for payload in [good.as_str(), "", "=", "*"] {
        let mut attempt = Attempt::new(&mut scene)?;
        for name in ["SCRAM-SHA-1", "EXTERNAL", "ANONYMOUS", ""] {
            let failure = attempt.failure(&auth(name, payload))?;
            assert_eq!(failure, "invalid-mechanism", "{name} {payload}");
        }
        attempt.ends_as_a_stranger()?;
    }
    Ok(())
}

#[test]
fn a_second_sign_in_after_success_ends_the_stream() -> Outcome {
    let mut scene = Scene::new()?;
    let again = plain_auth("juliet", "secret");
    let stages = [Stage::SignedIn, Stage::Session];
    scene.refuses(&stages, again.as_bytes(), "unsupported-stanza-type")
}

/// A user there is not gets the same words at the same moments: a salt that stays, the same rounds, the same failure.
#[test]
fn an_unknown_user_looks_like_a_wrong_password() -> Outcome {
    let mut scene = Scene::new()?;
    let mut salts = Vec::new();
    for user in ["juliet", "nobody", "nobody"] {
        let mut attempt = Attempt::new(&mut scene)?;
        let plain = attempt.failure(&plain_auth(user, "wrong"))?;
        assert_eq!(plain, "not-authorized");
        let scram = Scram::new(SHA_256, user, "wrong", NONCE, Binding::Unsupported);
        let scram = scram.ok_or("no SCRAM")?;
        let challenge = attempt.challenge(&auth(SHA_256.name(), &scram.first()))?;
        let (last, _) = scram.respond(&challenge)?;
        let challenge = decode(&challenge)?;
        salts.push((
            part(&challenge, "s=")?.to_owned(),
            part(&challenge, "i=")?.to_owned(),
        ));
        assert_eq!(attempt.failure(&response(&last))?, "not-authorized");
        attempt.ends_as_a_stranger()?;
    }
    let [(known, rounds), unknown, again] = &salts[..] else {
        return Err("three attempts".to_owned());
    };
    assert_eq!(unknown, again);
    assert_eq!((known.len(), rounds), (unknown.0.len(), &unknown.1));
    assert_ne!(known, &unknown.0);
    Ok(())
}

/// The value of an attribute of a SCRAM message.
fn part<'a>(message: &'a str, name: &str) -> Result<&'a str, String> {
    message
        .split(',')
        .find_map(|part| part.strip_prefix(name))
        .ok_or_else(|| format!("no {name} in {message}"))
}
