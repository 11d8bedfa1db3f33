use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::limits::Limits;
use crate::xml::{ScanLimits, Scanner, Token};

/// Reads a stanza as if it came over a stream with these attributes.
fn stanza_in(header: &str, xml: &str) -> Result<Stanza, ParseError> {
    let mut scanner = Scanner::new(ScanLimits::client(&Limits::default()));
    let header = format!(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'{header}>"
    );
    scanner.scan(&mut header.as_bytes()).unwrap();
    match scanner.scan(&mut xml.as_bytes()).unwrap() {
        Some(Token::Element(element)) => Stanza::parse(element, None),
        other => panic!("{xml}: {other:?}"),
    }
}

fn stanza(xml: &str) -> Stanza {
    stanza_in("", xml).unwrap()
}

fn written(stanza: &Stanza) -> String {
    let mut out = Vec::new();
    stanza.write(&mut out);
    String::from_utf8(out).unwrap()
}

/// RFC 6120 §8.3.1: "the value of the 'id' attribute MUST match".
#[test]
fn an_answer_has_the_very_id_of_the_question() {
    for id in [
        "'1'",
        "\"it's\"",
        "'&quot;\"&#x22;'",
        "'a\tb&#10;>'",
        "\"''''\"",
    ] {
        let request = format!("<iq type='get' id={id}><x xmlns='u'/></iq>");
        let request = stanza(&request);
        let id_is_kept = |answer: &Stanza| {
            assert_eq!(answer.id(), request.id());
            assert!(written(answer).contains(&format!(" id={id}")));
        };
        id_is_kept(&request.result(|_| {}));
        id_is_kept(&request.refusal(Condition::BadRequest, None).unwrap());
    }
    let Err(ParseError::Refuse(request, condition)) = stanza_in("", "<iq type='get'/>") else {
        panic!("an IQ without an id");
    };
    let error = request.refusal(condition, None).unwrap();
    assert_eq!(error.id().as_deref(), Some(""));
    let message = stanza("<message/>");
    let error = message.refusal(Condition::BadRequest, None).unwrap();
    assert_eq!(error.id(), None);
}

/// XEP-0191 §3.3. What nothing may answer (RFC 6120 §8.3.1, §8.2.3) has no refusal of this kind either.
#[test]
fn who_writes_to_somebody_blocked_is_told_so() {
    for (name, kind, attributes) in [
        ("message", "", " id='1'"),
        ("presence", " type='subscribe'", ""),
        ("iq", " type='set'", " id='1'"),
    ] {
        let sent = stanza(&format!(
            "<{name}{kind}{attributes} to='a@b'><x xmlns='u'/></{name}>"
        ));
        let refusal = sent.refusal_of_blocked().unwrap();
        assert_eq!(
            written(&refusal),
            format!(
                "<{name} from='a@b' type='error'{attributes}><error type='cancel'>\
                 <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
                 <blocked xmlns='urn:xmpp:blocking:errors'/></error></{name}>"
            )
        );
    }
    for xml in [
        "<iq type='result' id='1'/>",
        "<iq type='error' id='1'/>",
        "<message type='error'/>",
        "<presence type='error'/>",
    ] {
        assert_eq!(stanza(xml).refusal_of_blocked().map(|r| written(&r)), None);
    }
}

/// `limits::GROWTH`. What is written is held to it by `Stanza::write`.
#[test]
fn quotes_in_ids_and_addresses_do_not_multiply() {
    let many = |quote: &str, count: usize| quote.repeat(count);
    for (quote, mark) in [("'", "\""), ("\"", "'")] {
        let id = many(quote, 100_000);
        let to = format!("a@b/{}", many(quote, 1_000));
        let mut message = stanza(&format!(
            "<message id={mark}{id}{mark} to={mark}{to}{mark}/>"
        ));
        message.set_from(Jid::parse(&format!("a@b/{}", many(quote, 1_000))).unwrap());
        assert!(written(&message).len() < 102_100);
        let error = message.refusal(Condition::ServiceUnavailable, None);
        assert!(written(&error.unwrap()).len() < 102_300);
        assert_eq!(stanza(&written(&message)).to().unwrap().as_str(), to);
    }
    // Each of both kinds costs at most what it cost whoever wrote it.
    let both = "'\"".repeat(500);
    let to = both.replace('\'', "&#39;");
    let message = stanza(&format!("<message to='a@b/{to}'/>"));
    assert_eq!(message.to().unwrap().resource(), Some(&*both));
    assert_eq!(
        written(&message).len(),
        format!("<message to='a@b/{to}'/>").len()
    );
}

#[test]
fn text_is_forwarded_as_it_came_whatever_it_would_be_escaped() {
    for inside in ["<![CDATA[<<<<<>>>>>]]>", ">>>>>\"\"\"'''", "&#x3C;&#62;"] {
        let text = inside.repeat(1_000);
        for body in [
            format!("<body>{text}</body>"),
            format!("<c:body xmlns:c='jabber:client'>{text}</c:body>"),
        ] {
            let message = written(&stanza(&format!("<message>{body}</message>")));
            assert!(message.contains(&text) && message.len() <= body.len() + 40);
        }
    }
}

/// All that a header may declare, and everything else that the server adds.
#[test]
fn the_smallest_stanza_that_uses_all_of_its_header_keeps_within_growth() {
    let declarations: String = (0..14).map(|n| format!(" xmlns:b{n}='{n:037}'")).collect();
    let uses: String = (0..14).map(|n| format!(" b{n}:a=''")).collect();
    let mut message = stanza_in(&declarations, &format!("<message{uses}/>")).unwrap();
    message.lang = Lang::Stream("x".repeat(crate::limits::STREAM_LANG_BYTES).into());
    message.set_from(Jid::parse(&format!("a@b/{}", "r".repeat(1_023))).unwrap());
    assert!(written(&message).contains(&declarations));
}

/// What a client may send can be kept and read again: else a stranger whose request waits could make an account unreadable.
#[test]
fn whatever_a_stream_lets_in_comes_back_from_the_store() {
    let most = usize::from(Limits::default().attributes);
    let declared = usize::from(Limits::default().declarations);
    let attributes: String = (2..most).map(|n| format!(" a{n}=''")).collect();
    let declarations: String = (0..declared).map(|n| format!(" xmlns:d{n}='d'")).collect();
    let borrowed: String = (0..14).map(|n| format!(" xmlns:b{n}='{n}'")).collect();
    let uses: String = (0..14).map(|n| format!(" b{n}:a=''")).collect();
    for own in [
        attributes,
        declarations.clone(),
        format!("{declarations}{uses}"),
    ] {
        let xml = format!("<presence to='juliet@localhost' type='subscribe'{own}/>");
        let mut presence = stanza_in(&borrowed, &xml).unwrap();
        presence.lang = Lang::Stream("en".into());
        presence.set_from(Jid::parse("romeo@localhost").unwrap());
        let kept = presence.to_xml();
        let back = Stanza::from_xml(&kept).map(|back| back.to_xml());
        assert_eq!(back, Some(kept));
    }
}
