//! What breaks the order of a stream: RFC 6120 §4.2, §4.4 and §4.9.3.1.

use spec_tests::element::{CLIENT, Item};
use spec_tests::talk::{Talk, header};
use spondee_core::port::Opening;

use crate::scene::{ROMEO, Scene, Stage, VICTIM, message};
use crate::stage::Outcome;

#[test]
fn a_second_stream_header_without_a_restart_ends_the_stream() -> Outcome {
    let mut scene = Scene::new()?;
    let whole = header("localhost");
    let (_, tag) = whole.split_once("?>").ok_or("no declaration")?;
    let behind = format!("{tag}{}", message("behind it"));
    scene.refuses(&Stage::OPEN, behind.as_bytes(), "bad-format")?;
    // With its own declaration it is one fault earlier.
    scene.refuses(&Stage::OPEN, whole.as_bytes(), "restricted-xml")
}

/// RFC 6120 §4.4: both ends are said, the connection closes, and what stands behind the tag was never there.
#[test]
fn nothing_is_processed_behind_the_end_of_the_stream() -> Outcome {
    let mut scene = Scene::new()?;
    for behind in [
        message("behind the end"),
        "<presence to='juliet@localhost/balcony'/>".to_owned(),
        "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>".to_owned(),
        header("localhost"),
        "<!DOCTYPE a>".to_owned(),
        "\0\u{1}<<<&".to_owned(),
        "</stream:stream>".to_owned(),
    ] {
        for stage in Stage::OPEN {
            for pieces in [1, 2] {
                let mut talk = scene.enter(stage)?;
                let (end, behind) = ("</stream:stream>", behind.as_str());
                if pieces == 1 {
                    let both = format!("{end}{behind}");
                    scene.world.write(talk.peer(), both.as_bytes());
                } else {
                    scene.world.write(talk.peer(), end.as_bytes());
                    scene.world.write(talk.peer(), behind.as_bytes());
                }
                scene.world.run();
                match talk.poll(&mut scene.world)? {
                    Some(Item::Close) => {}
                    other => return Err(format!("{stage:?}, {behind:?}: {other:?}")),
                }
                scene
                    .is_closed(talk.peer())
                    .map_err(|e| format!("{stage:?}, {behind:?}: {e}"))?;
            }
        }
    }
    Ok(())
}

/// Segments of one byte are unusual and not wrong: everything works.
#[test]
fn segments_of_one_byte_work() -> Outcome {
    let mut scene = Scene::new()?;
    for opening in [Opening::Clear, Opening::Tls] {
        let mut romeo = Talk::connect(&mut scene.world, opening);
        let dribble = |scene: &mut Scene, talk: &Talk, text: &str| {
            for byte in text.as_bytes().chunks(1) {
                scene.world.write(talk.peer(), byte);
                scene.world.run();
            }
        };
        if opening == Opening::Clear {
            dribble(&mut scene, &romeo, &header("localhost"));
            let both = [romeo.poll(&mut scene.world)?, romeo.poll(&mut scene.world)?];
            assert!(
                matches!(both, [Some(Item::Open(_)), Some(Item::Element(_))]),
                "{both:?}"
            );
            let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
            dribble(&mut scene, &romeo, starttls);
            assert_eq!(romeo.next(&mut scene.world)?.name, "proceed");
            scene.world.secure(romeo.peer());
            romeo.restart();
        }
        dribble(&mut scene, &romeo, &header("localhost"));
        romeo.poll(&mut scene.world)?;
        romeo.next(&mut scene.world)?;
        let auth = spec_tests::talk::plain_auth("romeo", "secret");
        dribble(&mut scene, &romeo, &auth);
        assert_eq!(romeo.next(&mut scene.world)?.name, "success");
        romeo.restart();
        dribble(&mut scene, &romeo, &header("localhost"));
        romeo.poll(&mut scene.world)?;
        romeo.next(&mut scene.world)?;
        dribble(
            &mut scene,
            &romeo,
            &spec_tests::talk::bind_request("orchard"),
        );
        assert_eq!(
            romeo.next(&mut scene.world)?.attribute("type"),
            Some("result")
        );
        let said = "<message to='juliet@localhost/balcony'><body>f\u{fc}nf &lt; 6</body></message>";
        dribble(&mut scene, &romeo, said);
        let (world, juliet) = scene.juliet();
        let arrived = juliet.next(world)?;
        assert_eq!(arrived.attribute("to"), Some(VICTIM));
        assert!(
            arrived
                .attribute("from")
                .is_some_and(|from| from.starts_with(ROMEO))
        );
        let body = arrived.child(CLIENT, "body").map(|body| body.text());
        assert_eq!(body.as_deref(), Some("f\u{fc}nf < 6"));
        dribble(&mut scene, &romeo, "</stream:stream>");
        assert_eq!(romeo.poll(&mut scene.world)?, Some(Item::Close));
        scene.is_closed(romeo.peer())?;
    }
    Ok(())
}
