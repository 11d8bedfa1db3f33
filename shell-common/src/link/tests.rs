use super::trial::{Event, Kind, Trial, play};

/// All orders of these.
fn orders(events: &[Event], each: &mut impl FnMut(&[Event])) {
    fn go(left: &mut Vec<Event>, chosen: &mut Vec<Event>, each: &mut impl FnMut(&[Event])) {
        if left.is_empty() {
            return each(chosen);
        }
        for index in 0..left.len() {
            let event = left.remove(index);
            chosen.push(event);
            go(left, chosen, each);
            chosen.pop();
            left.insert(index, event);
        }
    }
    go(&mut events.to_vec(), &mut Vec::new(), each);
}

/// Each order, with a turn behind each event, behind each second one, and none.
fn in_every_order(kind: Kind, before: &[Event], events: &[Event]) {
    let mut count = 0;
    orders(events, &mut |order| {
        for turns_every in [1, 2, usize::MAX] {
            let mut trial = Trial::new(kind);
            for event in before {
                trial.happens(*event);
            }
            for (number, event) in (1..).zip(order) {
                trial.happens(*event);
                if number % turns_every == 0 {
                    trial.happens(Turns);
                }
            }
            trial.end();
            count += 1;
        }
    });
    assert!(count > 0);
}

use Event::{
    Breaks, CoreCloses, CoreSays, Moves, Narrows, Opens, Pauses, PeerEnds, PeerSays, Resumes,
    Secure, Turns, Widens,
};

/// Behind these TLS is up.
const SHAKES_HANDS: [Event; 6] = [PeerSays(0), Turns, Turns, Turns, Turns, PeerSays(3)];

#[test]
fn in_clear_it_ends_in_every_order_of_close_end_pause_and_move() {
    let events = [
        PeerSays(5),
        PeerEnds,
        CoreSays(7),
        CoreCloses,
        Pauses,
        Resumes,
        Moves,
    ];
    in_every_order(Kind::Clear, &[], &events);
}

#[test]
fn in_tls_it_ends_in_every_order_of_close_end_pause_and_move() {
    let events = [
        PeerSays(5),
        PeerEnds,
        CoreSays(7),
        CoreCloses,
        Pauses,
        Moves,
    ];
    in_every_order(Kind::Tls, &SHAKES_HANDS, &events);
}

#[test]
fn in_the_middle_of_a_handshake_it_ends_in_every_order_of_close_end_pause_and_move() {
    for turns in 0..4 {
        let before = vec![Turns; turns];
        let before: Vec<Event> = [PeerSays(0)].into_iter().chain(before).collect();
        let events = [PeerEnds, CoreCloses, Pauses, Moves, PeerSays(2)];
        in_every_order(Kind::Tls, &before, &events);
    }
}

#[test]
fn starttls_comes_up_or_ends_in_every_order_of_what_may_come_between() {
    let events = [PeerSays(4), CoreSays(6), Secure, Pauses, Moves, PeerEnds];
    in_every_order(Kind::Clear, &[], &events);
    let events = [CoreSays(6), Secure, CoreCloses, Pauses, PeerEnds];
    in_every_order(Kind::Clear, &[Narrows(2)], &events);
}

#[test]
fn a_socket_that_takes_little_gets_everything_in_order() {
    let events = [Narrows(3), CoreSays(200), PeerSays(9), Widens, CoreCloses];
    in_every_order(Kind::Clear, &[], &events);
    in_every_order(Kind::Tls, &SHAKES_HANDS, &events);
}

#[test]
fn what_breaks_is_gone_whatever_else_was_under_way() {
    for (kind, before) in [(Kind::Clear, &[][..]), (Kind::Tls, &SHAKES_HANDS)] {
        let events = [
            Breaks,
            PeerSays(4),
            CoreSays(5),
            CoreCloses,
            Pauses,
            PeerEnds,
        ];
        in_every_order(kind, before, &events);
    }
}

#[test]
fn a_connection_of_ours_is_told_once_and_closed_at_once_before() {
    in_every_order(
        Kind::Connecting,
        &[],
        &[Opens, CoreSays(3), PeerSays(3), CoreCloses, PeerEnds],
    );
    in_every_order(Kind::Connecting, &[], &[Opens, Secure, PeerSays(3), Opens]);
}

#[test]
fn what_the_fuzzer_found_worth_keeping_plays() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/link");
    for entry in std::fs::read_dir(corpus).unwrap() {
        play(&std::fs::read(entry.unwrap().path()).unwrap());
    }
}

#[test]
fn any_events_come_to_an_end() {
    // A generator of Marsaglia's: the same bytes each time.
    let mut state = 0x9E37_79B9_u32;
    for _ in 0..2_000 {
        let bytes: Vec<u8> = (0..48)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state.to_le_bytes()[0]
            })
            .collect();
        play(&bytes);
    }
}
