//! How much, and for how long.

use super::*;
use crate::limits::{
    DIALBACK_KEY_BYTES, S2S_CLAIMS, S2S_IDLE, S2S_PAIRS, S2S_STANZA_BYTES, S2S_UNPROVEN_BYTES,
    S2S_UNPROVEN_ELEMENT_BYTES,
};
use crate::rate::Rate;
use crate::stream::Violation;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn of_size(size: u32) -> String {
    let message = message("a.example", "localhost");
    let (front, rest) = message
        .split_once('x')
        .map(|_| message.split_at(message.len() - 17))
        .unwrap();
    let room = usize::try_from(size).unwrap() - message.len();
    format!("{front}{}{rest}", "x".repeat(room))
}

#[test]
fn an_element_is_small_before_anything_is_proven_and_large_then() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let heard = stage.hear(&of_size(S2S_UNPROVEN_ELEMENT_BYTES + 1));
    assert_eq!(heard, ["policy-violation"]);
    // By a key.
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let claim = stage.claim(&result("a.example", "localhost", "key"));
    stage.verify(&claim, Verified::Valid);
    // By a certificate, in SASL.
    for mut stage in [stage, Stage::signed_in(&[])] {
        assert_eq!(
            stage.hear(&of_size(S2S_STANZA_BYTES)),
            ["a.example to localhost"]
        );
        stage.said();
        assert_eq!(
            stage.hear(&of_size(S2S_STANZA_BYTES + 1)),
            ["policy-violation"]
        );
        assert!(stage.said().contains("<stanza-too-big "));
    }
}

#[test]
fn an_administrator_says_how_large_a_stanza_may_be() {
    let limited = |certificate: &[&str]| {
        let mut stage = Stage::secured(Needed::Tls, Some(good(certificate)));
        stage.config.federation.stanza_bytes = 20_000;
        stage.hear(&header("a.example"));
        let said = stage.said();
        assert!(said.contains("<max-bytes>20000</max-bytes>"), "{said}");
        stage
    };
    let mut external = limited(&["a.example"]);
    external.hear(&auth("="));
    external.hear(&header("a.example"));
    let mut claimed = limited(&["b.example"]);
    let claim = claimed.claim(&result("a.example", "localhost", "key"));
    claimed.verify(&claim, Verified::Valid);
    for mut stage in [external, claimed] {
        assert_eq!(stage.hear(&of_size(20_000)), ["a.example to localhost"]);
        assert_eq!(stage.hear(&of_size(20_001)), ["policy-violation"]);
    }
}

#[test]
fn all_that_comes_before_anything_is_proven_is_bounded() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let question = "<db:verify from='a.example' to='localhost' id='1'>x</db:verify>".repeat(64);
    let mut heard = Vec::new();
    let mut said = 0;
    while heard.is_empty() {
        heard = stage.hear(&question);
        stage.said();
        said += question.len();
    }
    assert_eq!(heard, ["policy-violation"]);
    let bound = usize::try_from(S2S_UNPROVEN_BYTES).unwrap();
    assert!(said <= bound + question.len(), "{said}");
    let mut proven = Stage::signed_in(&[]);
    for _ in 0..40 {
        proven.wait(MINUTE);
        assert_eq!(proven.hear(&question), [""; 0]);
        proven.said();
    }
}

#[test]
fn so_many_claims_are_asked_about_at_a_time() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let mut claims = Vec::new();
    for n in 0..S2S_CLAIMS {
        claims.push(stage.claim(&result(&format!("d{n}.example"), "localhost", "key")));
    }
    let heard = stage.hear(&result("x.example", "localhost", "key"));
    assert_eq!(heard, ["x.example to localhost: Crowded"]);
    assert!(stage.said().contains("<resource-constraint "));
    stage.verify(&claims[0], Verified::Valid);
    stage.claim(&result("x.example", "localhost", "key"));
}

#[test]
fn so_many_pairs_are_proven_on_a_stream() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", Some(good(&["*.example"])));
    for n in 0..S2S_PAIRS {
        let heard = stage.hear(&result(&format!("d{n}.example"), "localhost", "key"));
        assert_eq!(heard, [format!("d{n}.example to localhost: Certificate")]);
    }
    stage.said();
    let heard = stage.hear(&result("x.example", "localhost", "key"));
    assert_eq!(heard, ["x.example to localhost: Crowded"]);
    assert!(stage.said().contains("<resource-constraint "));
    assert_eq!(
        stage.hear(&message("d0.example", "localhost")),
        ["d0.example to localhost"]
    );
}

#[test]
fn a_key_is_no_longer_than_any_is() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    for key in [String::new(), "k".repeat(DIALBACK_KEY_BYTES + 1)] {
        assert_eq!(stage.hear(&result("a.example", "localhost", &key)), [""; 0]);
        assert!(stage.said().contains("<bad-request "));
    }
    stage.claim(&result(
        "a.example",
        "localhost",
        &"k".repeat(DIALBACK_KEY_BYTES),
    ));
    let id = "i".repeat(DIALBACK_KEY_BYTES + 1);
    let heard = stage.hear(&format!(
        "<db:verify from='a.example' to='localhost' id='{id}'>x</db:verify>"
    ));
    assert_eq!(heard, ["bad-format"]);
}

#[test]
fn each_state_has_its_deadline() {
    let (limits, timeout) = {
        let stage = Stage::new(Needed::Tls, Opening::Clear);
        (stage.config.limits, stage.config.federation.timeout)
    };
    let mut waits = Stage::new(Needed::Tls, Opening::Clear);
    waits.hear(&header("a.example"));
    let mut open = Stage::new(Needed::Nothing, Opening::Clear);
    open.hear(&header("a.example"));
    for (what, mut stage, expected) in [
        (
            "in the clear",
            Stage::new(Needed::Tls, Opening::Clear),
            limits.until_tls,
        ),
        ("in front of TLS", waits, limits.until_tls),
        ("beside TLS", open, timeout),
        (
            "shaking hands",
            Stage::new(Needed::Tls, Opening::Tls),
            limits.until_tls,
        ),
        (
            "below TLS",
            Stage::below_tls(Needed::Tls, "a.example", None),
            timeout,
        ),
        ("proven", Stage::signed_in(&[]), S2S_IDLE),
    ] {
        stage.wait(SECOND);
        assert_eq!(
            stage.call(|s, cx| s.patience(cx)),
            expected - SECOND,
            "{what}"
        );
    }
}

#[test]
fn silence_ends_a_stream_as_its_state_has_it() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let timeout = stage.config.federation.timeout;
    stage.wait(timeout);
    assert!(matches!(stage.expire(), Expiry::Fail(Violation::Timeout)));
    // Who only asks has done so.
    let mut stage = Stage::below_tls(Needed::Tls, "", None);
    stage.hear("<db:verify from='a.example' to='localhost' id='1'>x</db:verify>");
    stage.said();
    stage.wait(timeout);
    assert!(matches!(
        stage.expire(),
        Expiry::Said(Some(Event::Finished(None)))
    ));
    assert_eq!(stage.said(), "</stream:stream>");
    let mut stage = Stage::signed_in(&[]);
    stage.wait(S2S_IDLE - SECOND);
    stage.hear(" ");
    stage.wait(SECOND);
    assert!(matches!(stage.expire(), Expiry::Again(_)));
    stage.wait(S2S_IDLE - SECOND);
    assert!(matches!(
        stage.expire(),
        Expiry::Said(Some(Event::Finished(None)))
    ));
    assert_eq!(stage.said(), "</stream:stream>");
}

const SLOW: Option<Rate> = Some(Rate {
    bytes_per_second: 1024,
    burst: SECOND,
});

#[test]
fn the_rate_of_clients_does_not_hold_servers() {
    let mut stage = Stage::signed_in(&[]);
    stage.config.limits.c2s_rate = SLOW;
    for _ in 0..8 {
        stage.hear(&of_size(S2S_STANZA_BYTES));
    }
    assert_eq!(stage.rest(), Duration::ZERO);
}

#[test]
fn a_server_that_is_faster_than_it_may_be_is_waited_for_once_it_has_proven_something() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    stage.config.limits.s2s_rate = SLOW;
    let claim = stage.claim(&result(
        "a.example",
        "localhost",
        &format!("key{}", " ".repeat(10_000)),
    ));
    assert_eq!(stage.rest(), Duration::ZERO);
    stage.verify(&claim, Verified::Valid);
    stage.said();
    assert_eq!(
        stage.hear(&of_size(8 * 1024)),
        ["a.example to localhost"],
        "what came at once is taken"
    );
    assert_eq!(stage.rest(), 7 * SECOND);
    stage.wait(7 * SECOND);
    assert_eq!(stage.rest(), Duration::ZERO);
}

#[test]
fn so_many_questions_about_keys_are_answered_in_a_second() {
    let question = "<db:verify from='a.example' to='localhost' id='1'>x</db:verify>";
    for mut stage in [
        Stage::below_tls(Needed::Tls, "a.example", None),
        Stage::signed_in(&[]),
    ] {
        stage.hear(&question.repeat(20));
        assert_eq!(stage.rest(), Duration::ZERO);
        stage.hear(&question.repeat(10));
        assert_eq!(stage.said().matches(" type='invalid'").count(), 30);
        assert_eq!(stage.rest(), SECOND / 2);
        // Those about nobody count as well.
        stage.hear(&question.replace("localhost", "nobody.example").repeat(10));
        assert_eq!(stage.rest(), SECOND);
        stage.wait(SECOND);
        assert_eq!(stage.rest(), Duration::ZERO);
    }
}
