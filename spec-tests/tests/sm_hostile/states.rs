//! Every element of stream management in every state of a stream, as often as anybody likes.

use spec_tests::acks::{ENABLE, SM};
use spec_tests::element::{Element, Item};
use spec_tests::memory::{World, config};
use spec_tests::talk::Talk;
use spondee_core::port::Opening;

use crate::phone::{Phone, signed_in};
use crate::{JULIET, Outcome, answers, world};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Opened,
    SignedIn,
    Bound,
    Enabled,
    EnabledForNow,
    Resumed,
}

const STATES: [State; 6] = [
    State::Opened,
    State::SignedIn,
    State::Bound,
    State::Enabled,
    State::EnabledForNow,
    State::Resumed,
];

const WITHOUT: &str = "<enable xmlns='urn:xmpp:sm:3'/>";
const RESUME: &str = "<resume xmlns='urn:xmpp:sm:3' previd='nothing' h='0'/>";
const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";
const ACK: &str = "<a xmlns='urn:xmpp:sm:3' h='0'/>";

/// A stream in this state.
fn stream(world: &mut World, state: State) -> Result<Talk, String> {
    match state {
        State::Opened => {
            let mut talk = Talk::connect(world, Opening::Tls);
            talk.open(world, "localhost")?;
            Ok(talk)
        }
        State::SignedIn => signed_in(world, JULIET),
        State::Bound => Talk::session(world, JULIET, "x"),
        State::Enabled => Ok(Phone::enter(world, JULIET, "x")?.talk),
        State::EnabledForNow => Ok(Phone::enter_with(world, JULIET, "x", WITHOUT)?.talk),
        State::Resumed => {
            let mut phone = Phone::enter(world, JULIET, "x")?;
            phone.cut(world);
            phone.resume(world)?;
            phone.come(world)?;
            Ok(phone.talk)
        }
    }
}

/// What comes of an element: `failed` with this condition, nothing, or another answer by its name.
fn outcome(state: State, element: &str) -> Option<&'static str> {
    match (state, element) {
        (State::Opened, _) => Some("unexpected-request"),
        (State::SignedIn, RESUME) => Some("item-not-found"),
        (State::SignedIn, _) => Some("unexpected-request"),
        (State::Bound, ENABLE | WITHOUT) => Some("enabled"),
        (State::Enabled | State::EnabledForNow | State::Resumed, REQUEST) => Some("a"),
        (State::Enabled | State::EnabledForNow | State::Resumed, ACK) => None,
        (State::Bound | State::Enabled | State::EnabledForNow | State::Resumed, _) => {
            Some("unexpected-request")
        }
    }
}

fn name(answer: &Element) -> String {
    match answer.is(SM, "failed") {
        true => answer.condition().unwrap_or_default().to_owned(),
        false => answer.name.clone(),
    }
}

/// The stream is as good as before.
fn goes_on(world: &mut World, talk: &mut Talk, state: State) -> Outcome {
    match state {
        State::Opened => {
            talk.sign_in(world, JULIET, "secret")?;
            talk.bind(world, "y")?;
        }
        State::SignedIn => {
            talk.bind(world, "y")?;
        }
        State::Bound | State::Enabled | State::EnabledForNow | State::Resumed => {}
    }
    answers(world, talk)
}

#[test]
fn every_element_in_every_state_is_answered_and_ends_nothing() -> Outcome {
    for state in STATES {
        for element in [ENABLE, WITHOUT, RESUME, REQUEST, ACK] {
            let mut world = world(config());
            let mut talk = stream(&mut world, state)?;
            let context = |fault: String| format!("{state:?}, {element}: {fault}");
            talk.send(&mut world, element);
            let came = talk.rest(&mut world).map_err(context)?;
            let came: Vec<_> = came.iter().map(name).collect();
            let wanted: Vec<_> = outcome(state, element).into_iter().collect();
            if came != wanted {
                return Err(context(format!("{came:?}, not {wanted:?}")));
            }
            goes_on(&mut world, &mut talk, state).map_err(context)?;
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// As often as somebody likes, in any order, and nothing grows by it.
#[test]
fn elements_without_end_in_every_state_are_answered_one_by_one() -> Outcome {
    for state in STATES {
        let mut world = world(config());
        let mut talk = stream(&mut world, state)?;
        let all = [RESUME, REQUEST, ACK].concat();
        let mut wanted = 0;
        for element in [RESUME, REQUEST, ACK] {
            wanted += usize::from(outcome(state, element).is_some());
        }
        let mut came = 0;
        // Strangers may say less.
        let times = if state == State::Opened { 1 } else { 50 };
        for _ in 0..times {
            talk.send(&mut world, &all.repeat(20));
            while let Some(item) = talk.poll(&mut world)? {
                match item {
                    Item::Element(element) if element.ns == SM => came += 1,
                    other @ (Item::Open(_) | Item::Element(_) | Item::Close) => {
                        return Err(format!("{state:?}: {other}"));
                    }
                }
            }
        }
        assert_eq!(came, times * 20 * wanted, "{state:?}");
        goes_on(&mut world, &mut talk, state)?;
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

#[test]
fn what_is_wrong_with_a_request_is_said_and_a_right_one_is_taken_then() -> Outcome {
    let mut world = world(config());
    let mut talk = signed_in(&mut world, JULIET)?;
    for wrong in [
        "",
        " previd='x'",
        " h='1'",
        " previd='x' h='y'",
        " previd='x' h='-1'",
        " previd='x' h='4294967296'",
    ] {
        talk.send(&mut world, &format!("<resume xmlns='{SM}'{wrong}/>"));
        assert_eq!(name(&talk.next(&mut world)?), "bad-request", "{wrong}");
    }
    talk.bind(&mut world, "x")?;
    for wrong in [
        " resume='maybe'",
        " resume=''",
        " resume='TRUE'",
        " max='0'",
        " max='-1'",
        " max='x'",
        " max='1.5'",
        " max=''",
    ] {
        talk.send(&mut world, &format!("<enable xmlns='{SM}'{wrong}/>"));
        assert_eq!(name(&talk.next(&mut world)?), "bad-request", "{wrong}");
    }
    let huge = "9".repeat(400);
    talk.send(
        &mut world,
        &format!("<enable xmlns='{SM}' resume='1' max='{huge}'/>"),
    );
    let enabled = talk.next(&mut world)?;
    assert_eq!(enabled.attribute("max"), Some("600"), "{enabled}");
    answers(&mut world, &mut talk)?;
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}

/// In the middle of a handshake of passwords, and half written at the end of a connection: whatever is said, nothing is left.
#[test]
fn elements_where_they_have_no_place_leave_nothing_behind() -> Outcome {
    use spec_tests::element::SASL;
    let mut world = world(config());
    let before = world.residue();
    for element in [
        ENABLE,
        RESUME,
        REQUEST,
        ACK,
        "<resume xmlns='urn:xmpp:sm:3' previd='",
    ] {
        let mut talk = Talk::connect(&mut world, Opening::Tls);
        talk.open(&mut world, "localhost")?;
        let first = spec_tests::sasl::encode(b"n,,n=juliet,r=abcdefgh");
        talk.send(
            &mut world,
            &format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{first}</auth>"),
        );
        talk.send(&mut world, element);
        world.hang_up(talk.peer());
        world.run();
        let mut talk = signed_in(&mut world, JULIET)?;
        talk.send(&mut world, element);
        world.hang_up(talk.peer());
        world.run();
    }
    world.advance(std::time::Duration::from_secs(3600));
    assert_eq!(world.residue(), before);
    assert_eq!(world.is_sound(), Ok(()));
    Ok(())
}
