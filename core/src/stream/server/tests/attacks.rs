//! What a server might try.

use super::*;

#[test]
fn a_stanza_before_anything_is_proven_ends_the_stream() {
    for (needed, opening) in [
        (Needed::Nothing, Opening::Clear),
        (Needed::Tls, Opening::Clear),
        (Needed::Tls, Opening::Tls),
    ] {
        let mut stage = Stage::new(needed, opening);
        if opening == Opening::Tls {
            stage.secure(Some(good(&["a.example"])));
        }
        stage.hear(&header("a.example"));
        let heard = stage.hear(&message("romeo@a.example", "juliet@localhost"));
        assert_eq!(heard, ["not-authorized"]);
    }
    // What is claimed is not proven yet.
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let claim = stage.claim(&result("a.example", "localhost", "key"));
    let heard = stage.hear(&message("romeo@a.example", "juliet@localhost"));
    assert_eq!(heard, ["not-authorized"]);
    assert_eq!(stage.verify(&claim, Verified::Valid), "");
}

#[test]
fn a_stanza_of_another_domain_ends_the_stream() {
    for (from, to, condition) in [
        ("romeo@b.example", "juliet@localhost", "invalid-from"),
        ("romeo@x.a.example", "juliet@localhost", "invalid-from"),
        ("romeo@example", "juliet@localhost", "invalid-from"),
        ("nurse@localhost", "juliet@localhost", "invalid-from"),
        (
            "romeo@a.example",
            "juliet@elsewhere.example",
            "host-unknown",
        ),
        // It is ours, but nobody has said there that the server is who it says.
        ("romeo@a.example", "juliet@other.test", "host-unknown"),
        ("", "juliet@localhost", "improper-addressing"),
        ("@", "juliet@localhost", "improper-addressing"),
        ("romeo@a.example", "", "improper-addressing"),
        ("romeo@a.example", "@", "improper-addressing"),
    ] {
        let mut stage = Stage::signed_in(&["b.example"]);
        assert_eq!(stage.hear(&message(from, to)), [condition], "{from} {to}");
    }
    for stanza in [
        "<message to='juliet@localhost'/>",
        "<presence from='a.example'/>",
        "<iq type='get' id='1'><q xmlns='x'/></iq>",
    ] {
        let mut stage = Stage::signed_in(&[]);
        assert_eq!(stage.hear(stanza), ["improper-addressing"]);
    }
}

#[test]
fn a_wrong_key_is_called_invalid_and_ends_the_stream() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let claim = stage.claim(&result("a.example", "localhost", "wrong"));
    assert_eq!(
        stage.verify(&claim, Verified::Invalid),
        "finished, a.example to localhost: Unproven(Invalid)"
    );
    assert_eq!(
        stage.said(),
        "<db:result from='localhost' to='a.example' type='invalid'/></stream:stream>"
    );
    assert_eq!(stage.hear(&message("a.example", "localhost")), [""; 0]);
    assert_eq!(stage.hear("</stream:stream>"), ["closed"]);
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_stream() {
    for kind in ["valid", "invalid", "error", "x"] {
        for answer in [
            format!("<db:result from='a.example' to='localhost' type='{kind}'/>"),
            format!("<db:verify from='a.example' to='localhost' id='1' type='{kind}'/>"),
        ] {
            let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
            let claim = stage.claim(&result("a.example", "localhost", "key"));
            assert_eq!(stage.hear(&answer), ["not-authorized"]);
            assert!(stage.said().contains("Nobody has asked for this answer"));
            assert_eq!(stage.verify(&claim, Verified::Valid), "");
            let mut stage = Stage::signed_in(&[]);
            assert_eq!(stage.hear(&answer), ["not-authorized"]);
        }
    }
}

#[test]
fn a_key_used_again_is_asked_about_with_the_id_of_the_stream_it_is_shown_on() {
    let mut ids = Vec::new();
    for seed in 0..2 {
        let mut stage = Stage::new(Needed::Tls, Opening::Tls);
        stage.entropy = Entropy::new([seed; 32]);
        stage.secure(None);
        stage.hear(&header("a.example"));
        let claim = stage.claim(&result("a.example", "localhost", "key"));
        ids.push(claim.id);
    }
    assert_ne!(ids[0], ids[1]);
    // And who answers for the other stream does not answer for this one.
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let claim = stage.claim(&result("a.example", "localhost", "key"));
    let other = Claim {
        id: "other".into(),
        ..claim
    };
    assert_eq!(stage.verify(&other, Verified::Valid), "");
    assert!(!stage.stream.is_proven());
}

#[test]
fn who_is_not_ours_is_not_vouched_for() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", None);
    let key = stage
        .keys
        .key(&domain("a.example"), &domain("b.example"), "1");
    stage.hear(&format!(
        "<db:verify from='a.example' to='b.example' id='1'>{key}</db:verify>"
    ));
    assert!(stage.said().contains("<item-not-found "));
    stage.hear(&result("a.example", "b.example", "key"));
    assert_eq!(
        stage.said(),
        "<db:result from='b.example' to='a.example' type='error'><error type='cancel'>\
         <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>"
    );
    assert_eq!(
        stage.hear(&result("a.example", "localhost", "key")).len(),
        1
    );
}

#[test]
fn nobody_else_speaks_for_a_domain_of_ours() {
    for name in ["localhost", "other.test"] {
        let certificate = || Some(good(&["localhost", "other.test", "a.example"]));
        let mut stage = Stage::secured(Needed::Tls, certificate());
        let refused = format!("policy-violation, {name} to localhost: Refused");
        assert_eq!(stage.hear(&header(name)), [refused.as_str()]);
        assert!(stage.said().contains("This domain is served here"));
        let mut stage = Stage::below_tls(Needed::Tls, "a.example", certificate());
        assert_eq!(
            stage.hear(&result(name, "localhost", "key")),
            [refused.as_str()]
        );
        let mut stage = Stage::signed_in(&["localhost", "other.test"]);
        let heard = stage.hear(&result(name, "localhost", "key"));
        assert_eq!(heard, [format!("{name} to localhost: Refused")]);
        assert!(stage.said().contains("<policy-violation "));
        assert_eq!(
            stage.hear(&message(&format!("romeo@{name}"), "juliet@localhost")),
            ["invalid-from"]
        );
    }
}

#[test]
fn external_is_for_whom_the_header_names_and_where_it_is_offered() {
    // Of `b.example`, nothing at all, an empty name in other words.
    for identity in ["Yi5leGFtcGxl", "AA==", "YS5leGFtcGxlIA=="] {
        let names = ["a.example", "b.example"];
        let mut stage = Stage::below_tls(Needed::Tls, "a.example", Some(good(&names)));
        let heard = stage.hear(&auth(identity));
        assert_eq!(
            heard,
            ["a.example to localhost: NotSignedIn(\"invalid-authzid\")"]
        );
        assert!(stage.said().contains("<invalid-authzid/>"));
        // The stream goes on, with dialback or the right name.
        assert_eq!(
            stage.hear(&auth("=")),
            ["a.example to localhost: Certificate"]
        );
    }
    for (certificate, from) in [
        (None, "a.example"),
        (Some(good(&["b.example"])), "a.example"),
        (Some(shown(Chain::Untrusted, &["a.example"])), "a.example"),
    ] {
        let mut stage = Stage::below_tls(Needed::Tls, from, certificate);
        let heard = stage.hear(&auth("="));
        assert_eq!(
            heard,
            ["a.example to localhost: NotSignedIn(\"invalid-mechanism\")"]
        );
        let claim = stage.claim(&result("a.example", "localhost", "key"));
        stage.verify(&claim, Verified::Valid);
        assert!(stage.stream.is_proven());
    }
    let mut clear = Stage::new(Needed::Nothing, Opening::Clear);
    clear.hear(&header("a.example"));
    let heard = clear.hear(&auth("="));
    assert_eq!(
        heard,
        ["a.example to localhost: NotSignedIn(\"invalid-mechanism\")"]
    );
    // Who has not said who it is cannot be it.
    let mut nobody = Stage::below_tls(Needed::Tls, "", Some(good(&["a.example"])));
    assert_eq!(nobody.hear(&auth("YS5leGFtcGxl")), ["improper-addressing"]);
    // A password is nothing between servers.
    let mut plain = Stage::below_tls(Needed::Tls, "a.example", Some(good(&["a.example"])));
    let heard = plain.hear(&auth("AGEAYg==").replace("EXTERNAL", "PLAIN"));
    assert_eq!(
        heard,
        ["a.example to localhost: NotSignedIn(\"invalid-mechanism\")"]
    );
}

#[test]
fn a_response_to_no_challenge_and_an_abort_fail() {
    let mut stage = Stage::below_tls(Needed::Tls, "a.example", Some(good(&["a.example"])));
    for (said, failure) in [
        (
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>",
            "not-authorized",
        ),
        (
            "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            "aborted",
        ),
    ] {
        let heard = stage.hear(said);
        assert_eq!(
            heard,
            [format!(
                "a.example to localhost: NotSignedIn(\"{failure}\")"
            )]
        );
    }
    assert!(!stage.call(|s, cx| s.has_failed_enough(cx)));
    let heard = stage.hear(&auth("?"));
    assert_eq!(
        heard,
        ["a.example to localhost: NotSignedIn(\"incorrect-encoding\")"]
    );
    assert!(stage.call(|s, cx| s.has_failed_enough(cx)));
}

#[test]
fn what_stands_in_the_clear_behind_starttls_is_never_parsed() {
    let mut stage = Stage::new(Needed::Tls, Opening::Clear);
    stage.hear(&header("a.example"));
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let injected = format!("{starttls}{}", result("a.example", "localhost", "key"));
    let heard = stage.hear(&injected);
    let behind = injected.len() - starttls.len();
    assert_eq!(heard, [format!("TLS with {behind} bytes")]);
    // And what comes later is nobody's.
    stage.said();
    assert_eq!(
        stage.hear(&result("a.example", "localhost", "key")),
        ["closed"]
    );
    assert_eq!(stage.said(), "");
}

#[test]
fn domains_stay_what_they_were_when_the_stream_begins_anew() {
    for (from, to, outcome) in [
        ("b.example", "localhost", "improper-addressing"),
        ("a.example", "other.test", "improper-addressing"),
    ] {
        let again = header(from).replace("to='localhost'", &format!("to='{to}'"));
        let mut stage = Stage::new(Needed::Tls, Opening::Clear);
        stage.hear(&header("a.example"));
        stage.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        stage.secure(Some(good(&["a.example", "b.example"])));
        assert_eq!(stage.hear(&again), [outcome]);
        let names = good(&["a.example", "b.example"]);
        let mut stage = Stage::below_tls(Needed::Tls, "a.example", Some(names));
        stage.hear(&auth("="));
        assert_eq!(stage.hear(&again), [outcome]);
    }
    // Who did not say it in the clear says it below TLS.
    let mut stage = Stage::new(Needed::Tls, Opening::Clear);
    stage.hear(&header(""));
    stage.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    stage.secure(Some(good(&["a.example"])));
    assert_eq!(stage.hear(&header("a.example")), [""; 0]);
    assert!(stage.said().contains(EXTERNAL));
}

#[test]
fn where_tls_is_needed_nothing_is_claimed_or_asked_in_the_clear() {
    for said in [
        result("a.example", "localhost", "key"),
        result("a.example", "elsewhere.example", "key"),
        "<db:verify from='a.example' to='localhost' id='1'>x</db:verify>".to_owned(),
    ] {
        let mut stage = Stage::new(Needed::Tls, Opening::Clear);
        stage.hear(&header(""));
        stage.said();
        let heard = stage.hear(&said);
        assert!(
            heard[0].starts_with("policy-violation, a.example to "),
            "{heard:?}"
        );
        assert!(stage.said().contains("This server requires encryption"));
    }
}

#[test]
fn who_must_not_be_talked_to_is_turned_away() {
    let mut options = rules(Needed::Tls);
    options.refused.insert(domain("b.example"));
    let mut stage = Stage::with(options.clone(), Opening::Clear);
    assert_eq!(
        stage.hear(&header("b.example")),
        ["policy-violation, b.example to localhost: Refused"]
    );
    let mut stage = Stage::with(options, Opening::Tls);
    stage.secure(Some(good(&["a.example", "b.example"])));
    stage.hear(&header("a.example"));
    stage.hear(&auth("="));
    stage.hear(&header("a.example"));
    stage.said();
    let heard = stage.hear(&result("b.example", "localhost", "key"));
    assert_eq!(heard, ["b.example to localhost: Refused"]);
    assert!(stage.said().contains("<policy-violation "));
    assert!(stage.stream.is_proven());
}

#[test]
fn a_domain_is_not_added_by_naming_it() {
    let mut stage = Stage::signed_in(&["b.example"]);
    // By the header of a stream that goes on, by a question, by a claim that is not decided.
    stage.hear("<db:verify from='b.example' to='localhost' id='1'>x</db:verify>");
    let claim = stage.claim(&result("c.example", "localhost", "key"));
    assert_eq!(
        stage.hear(&message("c.example", "localhost")),
        ["invalid-from"]
    );
    assert_eq!(stage.verify(&claim, Verified::Valid), "");
    let mut stage = Stage::signed_in(&["b.example"]);
    assert_eq!(
        stage.hear(&message("b.example", "localhost")),
        ["invalid-from"]
    );
}

#[test]
fn what_has_no_place_ends_the_stream() {
    for (said, condition) in [
        (
            "<db:other from='a.example' to='localhost'/>",
            "unsupported-stanza-type",
        ),
        (
            "<db:result to='localhost'>key</db:result>",
            "improper-addressing",
        ),
        (
            "<db:result from='a.example'>key</db:result>",
            "improper-addressing",
        ),
        (
            "<db:result from='romeo@a.example' to='localhost'>key</db:result>",
            "improper-addressing",
        ),
        (
            "<db:verify from='a.example' to='localhost'>key</db:verify>",
            "bad-format",
        ),
        ("<stream:features/>", "bad-format"),
        (
            "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            "unsupported-stanza-type",
        ),
        (
            "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            "unsupported-stanza-type",
        ),
        (
            "<bidi xmlns='urn:xmpp:features:bidi'/>",
            "unsupported-stanza-type",
        ),
    ] {
        for mut stage in [
            Stage::below_tls(Needed::Tls, "a.example", None),
            Stage::signed_in(&[]),
        ] {
            assert_eq!(stage.hear(said), [condition], "{said}");
        }
    }
}

#[test]
fn starttls_is_refused_where_it_is_not_offered() {
    let starttls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let mut below = Stage::below_tls(Needed::Tls, "a.example", None);
    assert_eq!(below.hear(starttls), ["no TLS"]);
    let mut proven = Stage::new(Needed::Nothing, Opening::Clear);
    proven.hear(&header("a.example"));
    let claim = proven.claim(&result("a.example", "localhost", "key"));
    proven.verify(&claim, Verified::Valid);
    assert_eq!(proven.hear(starttls), ["no TLS"]);
    let mut without = Stage::new(Needed::Nothing, Opening::Clear);
    for host in without.config.accounts_mut() {
        host.tls = TlsAvailable::No;
    }
    without.hear(&header("a.example"));
    assert!(!without.said().contains("starttls"));
    assert_eq!(without.hear(starttls), ["no TLS"]);
}
