//! When places run out, who has not signed in makes room (`Input::Evict`): told so where a stream is open (RFC 6120 §4.9.3.17), and
//! closed without a wait. Who has signed in notices nothing.

use spec_tests::element::{SASL, TLS};
use spec_tests::memory::{Ended, Mesh, StorePace};
use spec_tests::talk::{Talk, plain_auth};
use spondee_core::port::Opening;

use crate::scene::{ROMEO, Scene, Stage, message};
use crate::stage::{Outcome, stream_error};

/// The place of this stranger is needed: it hears why, and its connection ends before any time has passed.
fn goes(scene: &mut Scene, stranger: &mut Talk) -> Outcome {
    scene.world.evict(stranger.peer());
    let condition = stream_error(&mut scene.world, stranger)?;
    assert_eq!(condition, "resource-constraint");
    assert_eq!(scene.world.ended(stranger.peer()), Some(Ended::Closed));
    scene.is_closed(stranger.peer())
}

#[test]
fn a_stranger_hears_why_and_is_closed_at_once() -> Outcome {
    let mut scene = Scene::new()?;
    for stage in [Stage::Clear, Stage::Secure] {
        let mut stranger = scene.enter(stage)?;
        goes(&mut scene, &mut stranger)?;
    }
    // One that has said nothing hears the server's header first (RFC 6120 §4.9.1.2).
    let mut silent = scene.enter(Stage::Fresh)?;
    scene.world.evict(silent.peer());
    silent.poll(&mut scene.world)?;
    goes(&mut scene, &mut silent)
}

#[test]
fn in_a_tls_handshake_there_are_no_words() -> Outcome {
    let mut scene = Scene::new()?;
    let direct = scene.world.connect(Opening::Tls);
    let mut upgrading = scene.enter(Stage::Clear)?;
    let starttls = format!("<starttls xmlns='{TLS}'/>");
    upgrading.send(&mut scene.world, &starttls);
    upgrading.next(&mut scene.world)?;
    for peer in [direct, upgrading.peer()] {
        scene.world.evict(peer);
        assert_eq!(scene.world.ended(peer), Some(Ended::Closed));
    }
    scene.is_closed(direct)?;
    scene.is_closed(upgrading.peer())
}

#[test]
fn in_the_middle_of_a_sign_in_one_is_still_a_stranger() -> Outcome {
    let mut scene = Scene::new()?;
    let mut exchange = scene.enter(Stage::Secure)?;
    let first = spec_tests::sasl::encode(b"n,,n=romeo,r=abcdefgh");
    let auth = format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>");
    exchange.send(&mut scene.world, &auth);
    assert!(exchange.next(&mut scene.world)?.is(SASL, "challenge"));
    goes(&mut scene, &mut exchange)?;

    // On two shards of three it waits for room on the way to the third; there it has heard already that its password is wrong.
    scene.world.mesh = Mesh::Full;
    let mut refused = 0;
    for _ in 0..3 {
        let mut leaving = scene.enter(Stage::Secure)?;
        leaving.send(&mut scene.world, &plain_auth("romeo", "wrong"));
        refused += leaving.rest(&mut scene.world)?.len();
        goes(&mut scene, &mut leaving)?;
    }
    assert_eq!(refused, 1);
    scene.world.mesh = Mesh::Free;

    // At any moment of it, while the store takes its time: it is thrown out or it is signed in, never both.
    let mut stayed = 0;
    for turns in 0..8 {
        let mut waiting = scene.enter(Stage::Secure)?;
        let before = scene.sign_ins();
        scene.world.store_pace = StorePace::Slow;
        let auth = plain_auth("romeo", "secret");
        scene.world.write(waiting.peer(), auth.as_bytes());
        scene.world.turns(turns);
        scene.world.evict(waiting.peer());
        scene.world.store_pace = StorePace::Prompt;
        if scene.world.ended(waiting.peer()).is_none() {
            stayed += 1;
            assert!(waiting.next(&mut scene.world)?.is(SASL, "success"));
            assert_eq!(scene.sign_ins(), before + 1);
            scene.leaves(waiting.peer())?;
        } else {
            let condition = stream_error(&mut scene.world, &mut waiting)?;
            assert_eq!(condition, "resource-constraint");
            assert_eq!(scene.sign_ins(), before);
            scene.is_closed(waiting.peer())?;
        }
    }
    assert!(0 < stayed && stayed < 8, "{stayed}");
    Ok(())
}

#[test]
fn who_has_signed_in_stays() -> Outcome {
    let mut scene = Scene::new()?;
    let mut romeo = scene.enter(Stage::SignedIn)?;
    scene.world.evict(romeo.peer());
    romeo.bind(&mut scene.world, "orchard")?;
    scene.world.evict(romeo.peer());
    romeo.send(&mut scene.world, &message("good morrow"));
    assert_eq!(romeo.rest(&mut scene.world)?, []);
    assert_eq!(scene.world.ended(romeo.peer()), None);
    let (world, juliet) = scene.juliet();
    let from = juliet.next(world)?.attribute("from").map(str::to_owned);
    assert_eq!(from, Some(format!("{ROMEO}/orchard")));
    scene.leaves(romeo.peer())
}

/// Its stream has ended with an error, and its closing tag is awaited: nobody waits for it when its place is needed.
#[test]
fn who_is_only_expected_to_close_goes_at_once() -> Outcome {
    let mut scene = Scene::new()?;
    for stage in [Stage::Secure, Stage::SignedIn, Stage::Session] {
        let mut romeo = scene.enter(stage)?;
        romeo.send(&mut scene.world, "<broken/>");
        stream_error(&mut scene.world, &mut romeo)?;
        assert_eq!(scene.world.ended(romeo.peer()), None);
        scene.world.evict(romeo.peer());
        assert_eq!(scene.world.ended(romeo.peer()), Some(Ended::Closed));
        scene.is_closed(romeo.peer())?;
    }
    Ok(())
}
