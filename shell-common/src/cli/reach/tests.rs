//! What is shown of reaching a domain.

use serde_json::json;

use super::*;

fn parse(value: serde_json::Value) -> Reach {
    serde_json::from_value(value).unwrap()
}

fn text(reach: &Reach) -> String {
    let mut out = Vec::new();
    write(reach, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn reached(tls: serde_json::Value) -> Reach {
    parse(json!({
        "asked": [
            {"name": "_xmpps-client._tcp.example.org", "answer": "no-name"},
            {"name": "_xmpp-client._tcp.example.org", "answer": {"services": [
                {"priority": 5, "weight": 0, "port": 5222, "target": "xmpp.example.org"}]}},
            {"name": "xmpp.example.org", "answer": {"addresses": {"addresses": ["2001:db8::1", "192.0.2.1"], "source": "dns"}}},
        ],
        "attempts": [
            {"target": "xmpp.example.org", "address": "[2001:db8::1]:5222", "opening": "starttls", "outcome": {"unconnected": "refused"}},
            {"target": "xmpp.example.org", "address": "192.0.2.1:5222", "opening": "starttls", "outcome": "reached"},
        ],
        "outcome": {"reached": {
            "target": "xmpp.example.org", "address": "192.0.2.1:5222", "tls": tls, "mechanisms": ["SCRAM-SHA-1", "PLAIN"],
            "features": [{"name": "bidi\u{202e}", "namespace": "urn:xmpp:features:bidi"}]}},
    }))
}

fn tls(verdict: &str) -> serde_json::Value {
    let certificate = json!({"verdict": verdict, "sha256": "ab".repeat(32)});
    json!({"by": "required-starttls", "version": "1.3", "suite": "TLS_AES_128_GCM_SHA256", "certificate": certificate})
}

#[test]
fn all_that_was_asked_and_tried_is_shown_in_order() {
    let reach = reached(tls("good"));
    let shown = text(&reach);
    let expected = format!(
        "  asked        _xmpps-client._tcp.example.org: there is no such name
  asked        _xmpp-client._tcp.example.org: xmpp.example.org:5222 (priority 5, weight 0)
  asked        xmpp.example.org: 2001:db8::1, 192.0.2.1
  tried        [2001:db8::1]:5222 of xmpp.example.org, STARTTLS: no connection: nobody listens there
  tried        192.0.2.1:5222 of xmpp.example.org, STARTTLS: reached
  reached      192.0.2.1:5222 of xmpp.example.org
  TLS          TLS 1.3 with TLS_AES_128_GCM_SHA256 by STARTTLS, which it says is required
  certificate  good
  SHA-256      {}
  mechanisms   SCRAM-SHA-1, PLAIN
  feature      bidi\\u{{202e}} (urn:xmpp:features:bidi)
",
        ["AB"; 32].join(":")
    );
    assert_eq!(shown, expected);
    assert_eq!(wrong(&reach.outcome), None);
}

#[test]
fn whoever_is_reached_without_a_good_certificate_is_not_well_reached() {
    for (tls, why) in [
        (
            tls("expired"),
            "reached, but its certificate is refused: it has expired, or one above it",
        ),
        (
            json!(null),
            "reached, but without TLS, which it does not offer",
        ),
        (
            json!({"by": "direct-tls", "version": "1.2", "suite": "ECDHE-RSA-AES128-GCM-SHA256", "certificate": null}),
            "reached, but its server showed no certificate",
        ),
    ] {
        let wrong = wrong(&reached(tls).outcome).unwrap();
        assert_eq!(wrong, why);
    }
}

#[test]
fn what_was_not_tried_is_shown_with_the_option_that_would_allow_it() {
    let attempt = json!({"target": "a.example", "address": "10.0.0.1:5269", "opening": "starttls", "outcome": {"refused-place": "private"}});
    let shown = text(&parse(
        json!({"asked": [], "attempts": [attempt], "outcome": "unsuccessful"}),
    ));
    assert_eq!(
        shown,
        "  tried        10.0.0.1:5269 of a.example, STARTTLS: not tried: it is an address of a private network, where servers are looked for only \
         if `s2s_private_networks` allows it\n"
    );
}

#[test]
fn what_went_wrong_is_a_sentence_whatever_it_was() {
    for outcome in [
        json!("abandoned"),
        json!("overtaken"),
        json!({"broke": {"condition": "invalid-namespace", "text": null}}),
        json!({"ended": "connection"}),
        json!("evicted"),
        json!({"other-host": "z.example\n"}),
        json!("plaintext"),
        json!({"refused": {"condition": "", "text": "\u{7}no"}}),
        json!({"refused-place": "own"}),
        json!({"refused-place": "link-local"}),
        json!("starttls-refused"),
        json!({"timed-out": "features"}),
        json!("tls-failed"),
        json!({"unconnected": "exhausted"}),
    ] {
        let attempt = json!({"target": "a.example", "address": "192.0.2.1:5222", "opening": "direct-tls", "outcome": outcome});
        let asked = [
            json!({"name": "a.example", "answer": null}),
            json!({"name": "a.example", "answer": {"failed": "timed-out"}}),
            json!({"name": "a.example", "answer": "no-service"}),
            json!({"name": "a.example", "answer": "no-data"}),
        ];
        let reach = parse(json!({"asked": asked, "attempts": [attempt], "outcome": "timed-out"}));
        let shown = text(&reach);
        assert_eq!(shown.lines().count(), 5, "{shown}");
        assert!(!shown.contains('\u{7}'), "{shown}");
        assert_eq!(
            wrong(&reach.outcome).unwrap(),
            "not reached: it took too long"
        );
    }
}
