//! What is shown of links.

use serde_json::{Value, json};

use super::explain::Report;
use super::tree::Tree;
use super::*;

fn shown(tree: &Tree) -> String {
    let mut out = Vec::new();
    tree.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn verdict(step: &str, rule: &str, why: &str) -> Value {
    json!({"step": step, "rule": rule, "why": why, "need": "certificate",
        "condition": (step == "refuse").then_some("not-authorized"), "trail": [
            {"rule": "secure-auth", "why": "a certificate is needed, as of all servers (`s2s_secure_auth`)", "saw": "in neither list"},
            {"rule": rule, "why": why, "saw": "offered"}]})
}

fn known(conclusion: &Value, failure: &Value) -> Report {
    let facts = |tls: Value, external: bool| {
        let methods: &[&str] = if external { &["external"] } else { &[] };
        json!({"from": "example.org", "own_certificate": "present", "whose": "others", "tls": tls,
            "methods": methods, "failed": []})
    };
    let certificate =
        json!({"chain": {"valid": {"until": "2027-01-02T03:04:05Z"}}, "names": "dns-name"});
    let up = json!({"up": {"version": "1.3", "opening": "starttls", "certificate": certificate}});
    let secured = json!({"by": "starttls", "version": "1.3", "suite": "TLS_AES_128_GCM_SHA256", "certificate": null});
    let starttls = "STARTTLS is offered and begun";
    let explained = json!({
        "from": "example.org",
        "reach": {
            "asked": [{"name": "_xmpp-server._tcp.example.com", "answer": "no-name"}],
            "attempts": [{"target": "example.com", "address": "192.0.2.1:5269", "opening": "starttls", "outcome": "reached"}],
            "outcome": {"reached": {"target": "example.com", "address": "192.0.2.1:5269", "tls": secured, "mechanisms": [], "features": []}}},
        "known": [
            {"attempt": 0, "facts": facts(json!({"clear": "offered"}), false), "verdict": verdict("starttls", "starttls-offered", starttls)},
            {"attempt": 0, "facts": facts(up, true), "verdict": verdict("external", "external", "by EXTERNAL")}],
        "conclusion": conclusion,
        "failure": failure,
    });
    Report {
        domain: "example.com".to_owned(),
        explained: serde_json::from_value(explained).unwrap(),
        links: Vec::new(),
        what_if: None,
    }
}

#[test]
fn what_would_be_done_is_shown_with_all_that_led_there() {
    let then = verdict("refuse", "no-method", "no method of authentication is left");
    let link =
        json!({"link": {"verdict": verdict("external", "external", "by EXTERNAL"), "then": then}});
    let report = known(&link, &Value::Null);
    let expected = "\
example.com, from example.org
  names
    _xmpp-server._tcp.example.com: there is no such name
  targets, in their order
    192.0.2.1:5269 of example.com, STARTTLS: reached
      in the clear, STARTTLS offered
        methods offered: none
        decided: STARTTLS is offered and begun
          a certificate is needed, as of all servers (`s2s_secure_auth`): in neither list
          STARTTLS is offered and begun: offered
      TLS 1.3 by STARTTLS, with TLS_AES_128_GCM_SHA256
        chain: valid until 2027-01-02T03:04:05Z
        names: it names the domain by dNSName
        methods offered: EXTERNAL
        decided: by EXTERNAL
          a certificate is needed, as of all servers (`s2s_secure_auth`): in neither list
          by EXTERNAL: offered
  result: a link, by EXTERNAL
    if that is not believed: no method of authentication is left
";
    assert_eq!(shown(&report.tree()), expected);
    assert_eq!(report.wrong(), None);
}

#[test]
fn who_is_refused_is_shown_with_what_each_side_is_told() {
    let why = "a certificate is needed, and this one has expired, or one above it has";
    let refused = json!({"refused": verdict("refuse", "certificate-expired", why)});
    let failure = json!({"by": "this-server", "rule": "certificate-expired", "why": why,
        "condition": "remote-server-timeout", "text": "The certificate of the other server has expired"});
    let report = known(&refused, &failure);
    let shown = shown(&report.tree());
    let end = "  \
  result: no link, by this server: a certificate is needed, and this one has expired, or one above it has
    authors are told: remote-server-timeout, \"The certificate of the other server has expired\"
    the other server is told: not-authorized
";
    assert!(shown.ends_with(end.trim_start_matches("  ")), "{shown}");
    assert_eq!(
        report.wrong().unwrap(),
        format!("no link, by this server: {why}")
    );
    let nobody = json!({"by": "domain", "rule": null, "why": "DNS says that it has no such service",
        "condition": "remote-server-not-found", "text": null});
    let report = known(&json!("unknown"), &nobody);
    let why = report.wrong().unwrap();
    assert_eq!(
        why,
        "no link, by its domain: DNS says that it has no such service"
    );
}

fn link(more: Value) -> Link {
    let mut link = json!({"direction": "out", "ours": "example.org", "theirs": "example.com", "state": "cold", "seconds": null,
        "seconds_left": null, "peer": null, "method": null, "tls": null,
        "queue": {"stanzas": 0, "bytes": 0, "unconfirmed": 0}, "failure": null});
    let (Value::Object(link_fields), Value::Object(more)) = (&mut link, more) else {
        panic!("no objects");
    };
    link_fields.extend(more);
    serde_json::from_value(link).unwrap()
}

#[test]
fn links_are_listed_as_they_are_and_nothing_of_another_servers_words_reaches_the_terminal() {
    let tls = json!({"version": "1.3", "suite": "TLS_AES_128_GCM_SHA256", "certificate": {"chain": "self-signed", "names": ["example.com", "\u{1b}[2J"], "sha256": "ab"}});
    let up = link(
        json!({"state": "up", "seconds": 7300, "peer": "192.0.2.1:5269", "method": "external", "tls": tls,
        "queue": {"stanzas": 3, "bytes": 900, "unconfirmed": 2}}),
    );
    let coming = link(
        json!({"direction": "in", "state": "up", "seconds": 10, "peer": "[2001:db8::1]:40000", "method": "dialback"}),
    );
    let waiting = link(
        json!({"state": "waiting", "seconds_left": 130, "failure": {"by": "other-server", "rule": null,
        "why": "it hung up while we waited for its stream features", "condition": "remote-server-timeout", "text": "The other server could not be reached"}}),
    );
    let mut out = Vec::new();
    let links = &[up, coming, waiting];
    list::write(&list::Listed { links, more: true }, &mut out).unwrap();
    let expected = "\
out  example.org to example.com: up for 2 h
  192.0.2.1:5269, TLS 1.3 with TLS_AES_128_GCM_SHA256, proven by EXTERNAL
  certificate: signed by itself, for example.com, \\u{1b}[2J
  queue: 3 stanzas of 900 bytes, 2 of them sent and not confirmed
in   example.com to example.org: up for 10 s
  [2001:db8::1]:40000, no TLS, proven by dialback
out  example.org to example.com: none, tried again in 2 min
  last error: by the other server: it hung up while we waited for its stream features
    authors are told: remote-server-timeout, \"The other server could not be reached\"
and more, which are not shown
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut out = Vec::new();
    let none = list::Listed {
        links: &[],
        more: false,
    };
    list::write(&none, &mut out).unwrap();
    assert_eq!(out, b"there are no links\n");
}

#[test]
fn what_was_closed_is_counted() {
    for (closed, words) in [
        ([0, 0, 0], "there was nothing to close"),
        (
            [1, 2, 0],
            "1 link closed, 2 streams of the other server closed",
        ),
        ([0, 0, 1], "1 link may be tried again at once"),
    ] {
        let [links, streams, cleared] = closed;
        let closed = Closed {
            links,
            streams,
            cleared,
        };
        assert_eq!(closed_words(closed), words);
    }
}
