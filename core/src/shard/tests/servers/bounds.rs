//! How much of them there may be, how fast, and for how long.

use core::time::Duration;

use super::*;
use crate::limits::S2S_STREAMS;
use crate::rate::Rate;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn of_too_many_streams_of_one_domain_the_longest_idle_is_closed_in_order() {
    let mut stage = stage(1);
    let before = stage.world.residue();
    let mut peers = Vec::new();
    for _ in 0..S2S_STREAMS {
        peers.push(stage.proven());
        stage.world.advance(SECOND);
    }
    // The first has spoken since.
    stage.server_says(peers[0], " ");
    stage.noted();
    let newest = stage.proven();
    for (at, peer) in peers.iter().enumerate() {
        let heard = stage.heard(*peer);
        match at {
            1 => assert_eq!(heard, "</stream:stream>"),
            _ => assert_eq!(heard, "", "{at}"),
        }
    }
    assert_eq!(stage.world.standing(peers[1]), Standing::Stranger);
    assert_eq!(stage.world.standing(newest), Standing::Member);
    assert_eq!(
        stage.noted(),
        ["a.example to localhost: Certificate", "nobody ended"]
    );
    // One that ends makes room.
    stage.server_says(peers[2], "</stream:stream>");
    let last = stage.proven();
    for peer in &peers[3..] {
        assert_eq!(stage.heard(*peer), "");
    }
    for peer in peers.into_iter().chain([newest, last]) {
        stage.world.hang_up(peer);
    }
    stage.world.run();
    stage.world.advance(S2S_IDLE);
    assert_eq!(stage.world.residue(), before);
    stage.no_bugs();
}

#[test]
fn one_that_goes_on_with_nothing_behind_its_sign_in_has_no_claim_to_its_place() {
    let mut stage = stage(1);
    let stuck = stage.server();
    let heard = stage.server_says(stuck, AUTH);
    assert!(heard.contains("<success "), "{heard}");
    for _ in 0..S2S_STREAMS {
        stage.world.advance(SECOND);
        stage.proven();
    }
    let heard = stage.heard(stuck);
    assert!(heard.contains("<resource-constraint "), "{heard}");
    stage.no_bugs();
}

#[test]
fn streams_to_another_domain_of_ours_are_counted_for_themselves() {
    let mut config = open_config(1);
    config
        .hosts
        .insert(Domain::parse("irc.localhost").unwrap(), component("s3cret"));
    let mut stage = stage_of(config);
    let first = stage.proven();
    for _ in 0..S2S_STREAMS {
        stage.world.advance(SECOND);
        stage.proven_to("irc.localhost");
    }
    assert_eq!(stage.heard(first), "");
}

#[test]
fn a_server_that_sends_faster_than_it_may_waits_and_loses_nothing() {
    let mut config = open_config(1);
    config.limits.s2s_rate = Some(Rate {
        bytes_per_second: 1000,
        burst: SECOND,
    });
    let mut stage = stage_of(config);
    let account = stage.account(0, 0);
    let juliet = stage.available(&account, "balcony");
    let peer = stage.proven();
    stage.world.advance(10 * SECOND);
    for n in 0..40 {
        stage.write(
            peer,
            &format!(
                "<message from='romeo@a.example/x' to='{account}' type='chat'><body>n{n}.</body></message>"
            ),
        );
    }
    stage.world.run();
    assert!(!stage.world.reads(peer));
    let mut heard = String::new();
    let mut waited = 0;
    while !stage.world.reads(peer) {
        assert!(waited < 10, "{heard}");
        waited += 1;
        stage.world.advance(SECOND);
        stage.world.run();
        heard.push_str(&stage.heard(juliet));
    }
    assert!(waited > 1, "{waited}");
    let bodies: Vec<_> = heard.match_indices("<body>n").collect();
    assert_eq!(bodies.len(), 40, "{heard}");
    assert!(heard.contains("n39."), "{heard}");
    stage.no_bugs();
}

#[test]
fn who_asks_about_too_many_keys_is_read_no_more_for_a_while() {
    let mut stage = stage(1);
    let peer = stage.server();
    let question = "<db:verify from='a.example' to='localhost' id='1'>x</db:verify>";
    stage.server_says(peer, &question.repeat(20));
    assert!(stage.world.reads(peer));
    stage.server_says(peer, &question.repeat(20));
    assert!(!stage.world.reads(peer));
    stage.write(peer, question);
    stage.world.run();
    assert_eq!(stage.heard(peer), "");
    stage.world.advance(SECOND);
    stage.world.run();
    assert!(stage.heard(peer).contains(" type='invalid'"));
    stage.world.advance(SECOND);
    stage.world.run();
    assert!(stage.world.reads(peer));
    stage.no_bugs();
}

#[test]
fn a_server_has_its_own_time_for_its_closing_tag() {
    let mut config = open_config(1);
    config.federation.close_timeout = 20 * SECOND;
    config.limits.close = SECOND;
    let mut stage = stage_of(config);
    let peer = stage.proven();
    stage.server_says(peer, "<message from='b.example' to='localhost'/>");
    stage.world.advance(19 * SECOND);
    stage.world.run();
    assert_eq!(stage.world.ended(peer), None);
    stage.world.advance(SECOND);
    stage.world.run();
    assert_eq!(stage.world.ended(peer), Some(Ended::Closed));
}
