//! What is too much: RFC 6120 §4.9.3.14 and §13.12. The stream ends at the byte that is one too many.

use spec_tests::element::{CLIENT, STREAMS};
use spondee_core::limits::Limits;
use spondee_core::xml::{Element, ScanLimits, Scanner, Token};

use crate::scene::{Scene, Stage, VICTIM, message};
use crate::stage::Outcome;

/// Levels that would break anything that recurses over them.
const LEVELS: u16 = 10_000;

/// A stack on which so many calls inside each other have no room.
const SMALL_STACK: usize = 256 * 1024;

fn deep(levels: usize) -> String {
    format!("{}{}", "<a>".repeat(levels), "</a>".repeat(levels))
}

#[test]
fn ten_thousand_levels_end_the_stream_at_the_first_too_many() -> Outcome {
    let limits = Limits::default();
    let mut scene = Scene::new()?;
    let input = message(&deep(LEVELS.into()));
    scene.refuses(&Stage::OPEN, input.as_bytes(), "policy-violation")?;
    // The message and its body are levels too.
    let most = usize::from(limits.depth) - 2;
    let input = message(&"<a>".repeat(most + 1));
    let stages = [Stage::SignedIn, Stage::Session];
    scene.refuses(&stages, input.as_bytes(), "policy-violation")?;
    let most_of_strangers = usize::from(limits.unauthenticated_depth) - 2;
    let input = message(&"<a>".repeat(most_of_strangers + 1));
    scene.refuses(&Stage::STRANGER, input.as_bytes(), "policy-violation")?;

    let mut romeo = scene.enter(Stage::Session)?;
    romeo.send(&mut scene.world, &message(&deep(most)));
    assert_eq!(romeo.rest(&mut scene.world)?, []);
    let (world, juliet) = scene.juliet();
    juliet.next(world)?;
    scene.leaves(romeo.peer())
}

/// A server whose administrator allows them, on a stack without room for recursion: sent on, answered, refused, read back as
/// from an archive, compared, written and dropped.
#[test]
fn ten_thousand_levels_cost_no_stack_where_they_are_allowed() -> Outcome {
    let played = std::thread::Builder::new()
        .stack_size(SMALL_STACK)
        .spawn(|| relay_ten_thousand_levels().and_then(|relayed| read_back(&relayed)))
        .map_err(|e| e.to_string())?;
    played.join().map_err(|_| "it fell over".to_owned())?
}

fn relay_ten_thousand_levels() -> Result<Vec<u8>, String> {
    let mut scene = Scene::with(|config| {
        config.limits.depth = LEVELS + 3;
        config.limits.elements = u32::from(LEVELS) + 3;
    })?;
    let romeo = scene.enter(Stage::Session)?;
    let payload = format!("<x xmlns='urn:x'>{}</x>", deep(LEVELS.into()));
    for to in ["localhost", "romeo@localhost", "nobody@localhost"] {
        let request = format!("<iq type='get' id='deep' to='{to}'>{payload}</iq>");
        scene.world.write(romeo.peer(), request.as_bytes());
        scene.world.run();
        let answer = scene.world.take_received(romeo.peer());
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.contains("<service-unavailable "), "{answer}");
    }
    let sent = format!("<message to='{VICTIM}'>{payload}</message>");
    scene.world.write(romeo.peer(), sent.as_bytes());
    scene.world.run();
    let relayed = scene.juliets_bytes();
    assert!(
        String::from_utf8_lossy(&relayed).contains(&payload),
        "it does not arrive"
    );
    scene.leaves(romeo.peer())?;
    Ok(relayed)
}

fn read_back(relayed: &[u8]) -> Outcome {
    let limits = Limits {
        depth: LEVELS + 3,
        elements: u32::from(LEVELS) + 3,
        ..Limits::default()
    };
    let element = || -> Result<Element, String> {
        let mut scanner = Scanner::new(ScanLimits::client(&limits));
        let header = format!("<s:stream xmlns='{CLIENT}' xmlns:s='{STREAMS}'>");
        let fault = |e| format!("{e:?}");
        scanner.scan(&mut header.as_bytes()).map_err(fault)?;
        match scanner.scan(&mut &*relayed).map_err(fault)? {
            Some(Token::Element(element)) => Ok(element),
            other => Err(format!("no element, but {other:?}")),
        }
    };
    let (one, other) = (element()?, element()?);
    assert!(one == other);
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    let mut node = one.children().next().ok_or("it has no payload")?;
    let mut written = Vec::new();
    node.write_standalone(&mut written);
    assert!(written.len() > usize::from(LEVELS) * "<a></a>".len());
    let mut levels = 0;
    while let Some(inner) = node.children().next() {
        // Each look inside reads to its end, so that to go all the way down would cost the square.
        if levels == LEVELS / 50 {
            break;
        }
        node = inner;
        levels += 1;
    }
    assert_eq!(node.text(), "");
    Ok(())
}

#[test]
fn a_stanza_over_the_limit_ends_the_stream() -> Outcome {
    let limits = Limits::default();
    let mut scene = Scene::new()?;
    let sized = |bytes: u32| message(&"x".repeat(bytes as usize - message("").len()));
    let over = sized(limits.c2s_stanza_bytes + 1);
    assert_eq!(over.len(), limits.c2s_stanza_bytes as usize + 1);
    let stages = [Stage::SignedIn, Stage::Session];
    scene.refuses(&stages, over.as_bytes(), "policy-violation")?;
    let over = sized(limits.unauthenticated_element_bytes + 1);
    scene.refuses(&Stage::STRANGER, over.as_bytes(), "policy-violation")?;

    let mut romeo = scene.enter(Stage::Session)?;
    romeo.send(&mut scene.world, &sized(limits.c2s_stanza_bytes));
    assert_eq!(romeo.rest(&mut scene.world)?, []);
    assert!(scene.juliets_bytes().len() > limits.c2s_stanza_bytes as usize);
    scene.leaves(romeo.peer())
}

/// Each begins something that never ends: the stream does, at the limit, and not before the server has seen that much.
#[test]
fn a_value_a_name_or_anything_else_that_never_ends_ends_the_stream() -> Outcome {
    let limits = Limits::default();
    let mut scene = Scene::new()?;
    for (begin, on) in [
        ("<message to='", "x"),
        ("<message", " "),
        ("<message ", "a"),
        ("<", "a"),
        ("<message><", "a"),
        ("<message>", "x"),
        ("<message>", "\u{20ac}"),
        ("<message><![CDATA[", "x"),
        ("<message><![CDATA[", "]"),
        ("<message></message", " "),
        ("<message xmlns:", "a"),
        ("<message xmlns='", "a"),
        ("<message>", "<a/>"),
    ] {
        for stage in Stage::OPEN {
            let limit = match stage {
                Stage::Fresh | Stage::Clear | Stage::Secure => limits.unauthenticated_element_bytes,
                Stage::SignedIn | Stage::Session => limits.c2s_stanza_bytes,
            };
            let endless = format!("{begin}{}", on.repeat(limit as usize / on.len() + 1));
            scene.refuses(&[stage], endless.as_bytes(), "policy-violation")?;
        }
    }
    // The header of a stream is no exception.
    let limit = limits.unauthenticated_element_bytes as usize;
    for (begin, on) in [
        ("<stream:stream to='", "x"),
        ("<stream:stream", " "),
        ("<stream:", "s"),
        ("<?xml version='1.0'?>", " "),
    ] {
        let endless = format!("{begin}{}", on.repeat(limit));
        scene.refuses(&[Stage::Fresh], endless.as_bytes(), "policy-violation")?;
    }
    let endless = format!("<?xml version='1.0'{}", " ".repeat(limit));
    scene.refuses(&[Stage::Fresh], endless.as_bytes(), "not-well-formed")
}

#[test]
fn many_attributes_declarations_or_elements_end_the_stream() -> Outcome {
    let limits = Limits::default();
    let mut scene = Scene::new()?;
    let many = |count: u32, one: &dyn Fn(u32) -> String| (0..count).map(one).collect::<String>();
    let attributes = |count: u32| format!("<a{}/>", many(count, &|n| format!(" a{n}=''")));
    let declarations = |count| format!("<a{}/>", many(count, &|n| format!(" xmlns:p{n}='{n}'")));
    for too_many in [
        attributes(u32::from(limits.attributes) + 1),
        declarations(u32::from(limits.declarations) + 1),
    ] {
        let input = message(&too_many);
        scene.refuses(&Stage::OPEN, input.as_bytes(), "policy-violation")?;
    }
    let elements = message(&"<a/>".repeat(limits.elements as usize));
    let stages = [Stage::SignedIn, Stage::Session];
    scene.refuses(&stages, elements.as_bytes(), "policy-violation")?;

    let mut romeo = scene.enter(Stage::Session)?;
    for most in [
        attributes(limits.attributes.into()),
        declarations(limits.declarations.into()),
        // The message and its body count.
        "<a/>".repeat(limits.elements as usize - 2),
    ] {
        romeo.send(&mut scene.world, &message(&most));
        assert_eq!(romeo.rest(&mut scene.world)?, []);
        let (world, juliet) = scene.juliet();
        juliet.next(world)?;
    }
    scene.leaves(romeo.peer())
}
