//! XEP-0288 on a stream that another server opened: when it is offered, and what comes of it.

use super::*;
use crate::federation::Bidi;

const FEATURE: &str = "<bidi xmlns='urn:xmpp:features:bidi'/>";
const BIDI: &str = "<bidi xmlns='urn:xmpp:bidi'/>";
const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";

/// What it is offered whose header is from there.
fn offered(mut stage: Stage, from: &str) -> String {
    assert_eq!(stage.hear(&header(from)), [""; 0]);
    stage.said()
}

fn forbidden() -> PolicyOptions {
    PolicyOptions {
        allow_encryption: AllowEncryption::No,
        ..rules(Needed::Nothing)
    }
}

#[test]
fn it_is_offered_before_the_proof_to_who_says_who_it_is() {
    let good = || Some(good(&["a.example"]));
    for certificate in [good(), None] {
        let said = offered(Stage::secured(Needed::Tls, certificate), "a.example");
        assert!(said.contains(FEATURE), "{said}");
    }
    let unnamed = offered(Stage::secured(Needed::Tls, good()), "");
    assert!(!unnamed.contains(FEATURE), "{unnamed}");
    for needed in [Needed::Tls, Needed::Nothing] {
        let clear = offered(Stage::new(needed, Opening::Clear), "a.example");
        assert!(!clear.contains(FEATURE), "{clear}");
    }
    let without_tls = offered(Stage::with(forbidden(), Opening::Clear), "a.example");
    assert!(without_tls.contains(FEATURE), "{without_tls}");
    let mut stage = Stage::secured(Needed::Tls, good());
    stage.config.federation.bidi = Bidi::No;
    let unwanted = offered(stage, "a.example");
    assert!(!unwanted.contains(FEATURE), "{unwanted}");
    // RFC 6120 §4.7.5: who is older knows no features.
    let mut stage = Stage::secured(Needed::Tls, good());
    stage.hear(&header("a.example").replace(" version='1.0'", ""));
    assert!(!stage.said().contains("features>"));
}

#[test]
fn who_is_refused_is_refused_where_it_is() {
    let mut stage = Stage::secured(Needed::Certificate, None);
    let header = header("a.example");
    let event = {
        let mut input = header.as_bytes();
        stage.call(|s, cx| s.poll(cx, &mut input))
    };
    assert!(matches!(event, Some(Event::Closing(_))), "{event:?}");
}

#[test]
fn what_is_agreed_holds_once_the_stream_has_begun_anew() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", Some(good(&["a.example"])));
    let limits = "<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'>\
         <max-bytes>10000</max-bytes></limits></bidi>";
    assert_eq!(stage.hear(limits), [""; 0]);
    assert_eq!(stage.stream.both_ways(), None);
    assert_eq!(
        stage.hear(&auth("=")),
        ["a.example to localhost: Certificate"]
    );
    assert!(stage.stream.is_to_go_both_ways());
    assert_eq!(stage.stream.both_ways(), None);
    stage.said();
    assert_eq!(stage.hear(&header("a.example")), ["both ways"]);
    let said = stage.said();
    assert!(said.contains("<sm ") && !said.contains(FEATURE), "{said}");
    let pair = (&domain("localhost"), &domain("a.example"));
    assert_eq!(stage.stream.both_ways(), Some(pair));
    use crate::sm::Counts;
    assert_eq!(stage.stream.link_terms(), (Counts::No, Some(10_000)));
    assert_eq!(stage.hear(ENABLE), ["Enabled"]);
    assert_eq!(stage.stream.link_terms(), (Counts::Yes, Some(10_000)));
    assert_eq!(stage.hear("<a xmlns='urn:xmpp:sm:3' h='7'/>"), ["Ack(7)"]);
    assert_eq!(stage.hear("<a xmlns='urn:xmpp:sm:3'/>"), [""; 0]);
}

#[test]
fn it_is_for_the_first_pair_that_is_proven_alone() {
    let names = ["a.example", "b.example"];
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", Some(good(&names)));
    stage.hear(BIDI);
    stage.hear(&result("b.example", "localhost", "key"));
    stage.hear(&result("a.example", "localhost", "key"));
    let pair = (&domain("localhost"), &domain("b.example"));
    assert_eq!(stage.stream.both_ways(), Some(pair));
}

#[test]
fn who_asks_where_it_is_not_offered_or_when_it_is_too_late_is_told_that_nobody_knows_it() {
    let good = || Some(good(&["a.example"]));
    let unsupported = ["unsupported-stanza-type"];
    // In the wrong namespace, as some do.
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", good());
    assert_eq!(stage.hear(FEATURE), unsupported);
    let mut stage = Stage::below_tls(Needed::Tls, "", good());
    assert_eq!(stage.hear(BIDI), unsupported);
    let mut stage = Stage::signed_in(&[]);
    assert_eq!(stage.hear(BIDI), unsupported);
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", good());
    stage.hear(&result("a.example", "localhost", "key"));
    assert_eq!(stage.hear(BIDI), unsupported);
    // Twice is once.
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", good());
    assert_eq!(stage.hear(&BIDI.repeat(2)), [""; 0]);
}

#[test]
fn what_was_agreed_in_the_clear_is_void_below_tls() {
    let mut stage = Stage::new(Needed::Nothing, Opening::Clear);
    stage.hear(&header("a.example"));
    stage.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    stage.secure(Some(good(&["a.example"])));
    stage.hear(&header("a.example"));
    stage.hear(&result("a.example", "localhost", "key"));
    assert_eq!(stage.stream.both_ways(), None);
}

#[test]
fn who_is_on_its_way_is_told_why_it_ends() {
    use crate::stream::Violation;
    let mut stage = Stage::secured(Needed::Tls, None);
    let header = header("a.example");
    let mut input = header.as_bytes();
    let event = stage.call(|s, cx| s.poll(cx, &mut input));
    assert!(matches!(event, Some(Event::ServerArrived(_))), "{event:?}");
    assert_eq!(stage.said(), "");
    let event = stage.call(|s, cx| s.fail(cx, Violation::HandOffFull));
    assert_eq!(words(&event), "resource-constraint");
    let said = stage.said();
    assert!(said.starts_with("<?xml"), "{said}");
    assert!(said.ends_with("</stream:error></stream:stream>"), "{said}");
    assert!(stage.call(Stream::welcome_server).is_none());
}
