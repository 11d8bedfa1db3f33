//! What is slipped in around TLS: RFC 6120 §5.4.3.1, and passwords in the clear (§13.8.3).

use spec_tests::element::{Item, SASL, TLS};
use spec_tests::memory::Ended;
use spec_tests::sasl::encode;
use spec_tests::talk::{Talk, bind_request, header, plain_auth};
use spondee_core::port::Opening;
use spondee_core::sasl::Encryption;

use crate::scene::{Scene, Stage, message};
use crate::stage::Outcome;

/// All that a client does until its first message is out, as one text.
pub(crate) fn whole_sign_in() -> String {
    [
        header("localhost"),
        plain_auth("romeo", "secret"),
        header("localhost"),
        bind_request("orchard"),
        message("from the clear"),
    ]
    .concat()
}

pub(crate) fn starttls() -> String {
    format!("<starttls xmlns='{TLS}'/>")
}

/// Whoever sits in between puts a sign-in behind `<starttls/>`, in the same segment or the next, and lets the client's own
/// handshake follow: none of it may exist afterwards.
#[test]
fn a_whole_sign_in_pipelined_in_clear_behind_starttls_does_not_exist_afterwards() -> Outcome {
    let injected = whole_sign_in();
    for pieces in [
        vec![starttls() + &injected],
        vec![starttls(), injected.clone()],
        vec![starttls() + "\n" + &injected[..7], injected[7..].to_owned()],
        vec![header("localhost") + &starttls() + &injected],
    ] {
        let mut scene = Scene::new()?;
        let sign_ins = scene.sign_ins();
        let stage = if pieces[0].starts_with("<?xml") {
            Stage::Fresh
        } else {
            Stage::Clear
        };
        let mut talk = scene.enter(stage)?;
        for piece in &pieces {
            scene.world.write(talk.peer(), piece.as_bytes());
        }
        scene.world.secure(talk.peer());
        scene
            .world
            .write(talk.peer(), header("localhost").as_bytes());
        scene.world.run();
        if stage == Stage::Fresh {
            talk.poll(&mut scene.world)?;
            talk.next(&mut scene.world)?;
        }
        assert!(talk.next(&mut scene.world)?.is(TLS, "proceed"));
        assert_eq!(scene.world.ended(talk.peer()), Some(Ended::TlsFailed));
        scene.is_closed(talk.peer())?;
        assert_eq!(scene.sign_ins(), sign_ins);
    }
    Ok(())
}

#[test]
fn plain_without_tls_is_refused() -> Outcome {
    for encryption in [Encryption::Required, Encryption::Optional] {
        let mut scene = Scene::with(|config| {
            for host in config.accounts_mut() {
                host.sasl.encryption = encryption;
            }
        })?;
        let sign_ins = scene.sign_ins();
        let mut talk = Talk::connect(&mut scene.world, Opening::Clear);
        let features = talk.open(&mut scene.world, "localhost")?;
        let offered = features.child(SASL, "mechanisms");
        let has_plain = offered.is_some_and(|all| all.children().any(|m| m.text() == "PLAIN"));
        assert!(!has_plain, "{features}");
        // With the password in it, without, and with somebody else's.
        for auth in [
            plain_auth("romeo", "secret"),
            format!("<auth xmlns='{SASL}' mechanism='PLAIN'/>"),
            format!(
                "<auth xmlns='{SASL}' mechanism='plain'>{}</auth>",
                encode(b"\0romeo\0secret")
            ),
        ] {
            talk.send(&mut scene.world, &auth);
            let failure = talk.next(&mut scene.world)?;
            let expected = if auth.contains("'plain'") {
                ["invalid-mechanism", "encryption-required"]
            } else {
                ["encryption-required"; 2]
            };
            let condition = failure.condition().unwrap_or_default();
            assert!(expected.contains(&condition), "{auth}: {failure}");
        }
        scene.nothing_arrived()?;
        scene.leaves(talk.peer())?;
        assert_eq!(scene.sign_ins(), sign_ins);
    }
    Ok(())
}

/// TLS is offered once: a second `<starttls/>` below it ends the stream.
#[test]
fn tls_within_tls_is_refused() -> Outcome {
    let mut scene = Scene::new()?;
    let mut talk = scene.enter(Stage::Secure)?;
    talk.send(&mut scene.world, &(starttls() + &whole_sign_in()));
    assert!(talk.next(&mut scene.world)?.is(TLS, "failure"));
    assert_eq!(talk.poll(&mut scene.world)?, Some(Item::Close));
    scene.is_closed(talk.peer())
}
