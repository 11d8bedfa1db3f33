//! What an administrator is told of links: what would come of one, and how those stand that there are.

use alloc::vec::Vec;

use super::*;
use crate::federation::{Conclusion, NameMatch, NextStep, PeerCertificate, Refusal, Rule, Tls};
use crate::limits::S2S_REFUSED_FOR;
use crate::port::{
    Command, CommandError, CommandId, CommandReply, CommandResult, Direction, Explained,
    LinkFailure, LinkProof, LinkReply, LinkShown, LinkState, LinkTask, LinksClosed, Opening,
    Unreached,
};

impl Links {
    fn ask(&mut self, task: LinkTask) {
        self.stage
            .world
            .post_command(CommandId(1), Command::Links(task));
        self.stage.world.run();
    }

    fn answer(&mut self) -> CommandResult {
        self.stage.world.take_answers().pop().unwrap().1
    }

    fn explain(&mut self, domain: &str) {
        let [domain, ours] = [domain, "localhost"].map(|name| Domain::parse(name).unwrap());
        self.ask(LinkTask::Explain { domain, ours });
    }

    fn explained(&mut self) -> Explained {
        match self.answer() {
            Ok(CommandReply::Links(LinkReply::Explained(explained))) => *explained,
            other => panic!("{other:?}"),
        }
    }

    fn list(&mut self, domain: Option<&str>) -> Vec<LinkShown> {
        let domain = domain.map(|domain| Domain::parse(domain).unwrap());
        self.ask(LinkTask::List { domain });
        match self.answer() {
            Ok(CommandReply::Links(LinkReply::Listed(shown, false))) => shown,
            other => panic!("{other:?}"),
        }
    }

    fn close(&mut self) -> LinksClosed {
        let domain = Domain::parse("b.example").unwrap();
        self.ask(LinkTask::Close { domain });
        match self.answer() {
            Ok(CommandReply::Links(LinkReply::Closed(closed))) => closed,
            other => panic!("{other:?}"),
        }
    }
}

fn refused(explained: &Explained) -> Rule {
    match &explained.conclusion {
        Conclusion::Refused(verdict) => verdict.rule,
        other @ (Conclusion::Link(..) | Conclusion::Barred(_) | Conclusion::Unknown) => {
            panic!("{other:?}")
        }
    }
}

#[test]
fn what_would_prove_us_is_told_with_what_would_be_done_then_and_nothing_is_proven() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    links.explain("b.example");
    links.secure(0);
    assert_eq!(links.say(0, EXTERNAL), END);
    let explained = links.explained();
    let rules: Vec<Rule> = explained
        .known
        .iter()
        .map(|(_, w)| w.verdict.rule)
        .collect();
    assert_eq!(rules, [Rule::StarttlsOffered, Rule::External]);
    let (attempt, weighed) = &explained.known[1];
    assert_eq!(*attempt, 0);
    let Tls::Up {
        certificate: PeerCertificate::Shown { names, .. },
        ..
    } = weighed.facts.tls
    else {
        panic!("{weighed:?}");
    };
    assert_eq!(names, NameMatch::Dns);
    let Conclusion::Link(verdict, Some(then)) = &explained.conclusion else {
        panic!("{explained:?}");
    };
    assert_eq!(verdict.step, NextStep::External);
    assert_eq!(then.step, NextStep::Dialback);
    assert_eq!(explained.failure(), None);
    assert!(explained.reach.outcome.is_ok());
    assert!(links.list(None).is_empty());
    links.end();
}

#[test]
fn why_a_link_is_refused_is_told_as_the_link_itself_fails() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.explain("b.example");
    links.secure(0);
    assert_eq!(links.say(0, EXTERNAL), END);
    let explained = links.explained();
    links.send("1");
    links.secure(1);
    assert!(links.say(1, EXTERNAL).contains("<not-authorized"));
    let [link] = &links.list(Some("b.example"))[..] else {
        panic!("one link");
    };
    let told = |failure: &LinkFailure| (failure.refusal(), failure.condition(), failure.told());
    let of_link = link.failure.as_ref().map(told);
    assert_eq!(explained.failure().as_ref().map(told), of_link);
    let rule = of_link.and_then(|(refusal, ..)| refusal).map(Rule::Refused);
    assert_eq!(Some(refused(&explained)), rule);
    let LinkState::Refused(left) = link.state else {
        panic!("{link:?}");
    };
    assert!(left <= S2S_REFUSED_FOR && !left.is_zero());
    links.end();
}

#[test]
fn who_has_no_encryption_is_known_by_what_it_says_to_who_asks_for_it() {
    let plain = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>";
    let mut links = Links::easy();
    links.explain("b.example");
    links.heard(0);
    links.say(0, HEADER);
    assert!(links.say(0, plain).starts_with("<starttls"));
    links.say(
        0,
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>",
    );
    let explained = links.explained();
    assert_eq!(refused(&explained), Rule::Refused(Refusal::StarttlsAbsent));
    assert_eq!(
        explained.reach.outcome,
        Err(Unreached::Policy(Refusal::StarttlsAbsent))
    );
    links.end();

    let mut links = Links::new(SecureAuth::No, RequireEncryption::No, 1);
    links.explain("b.example");
    links.heard(0);
    links.say(0, HEADER);
    assert_eq!(links.say(0, plain), END);
    let explained = links.explained();
    let Conclusion::Link(verdict, None) = &explained.conclusion else {
        panic!("{explained:?}");
    };
    assert_eq!(verdict.rule, Rule::DialbackInTheClear);
    links.end();
}

#[test]
fn who_is_not_talked_to_is_looked_at_and_barred() {
    let mut links = Links::easy();
    links.explain("refused.example");
    let explained = links.explained();
    assert_eq!(explained.conclusion, Conclusion::Barred(Refusal::Excluded));
    assert!(!explained.reach.asked.is_empty());
    links.explain("localhost");
    let explained = links.explained();
    assert_eq!(explained.conclusion, Conclusion::Barred(Refusal::OurDomain));
    assert!(explained.reach.asked.is_empty());
    let [domain, ours] = ["b.example", "c.example"].map(|name| Domain::parse(name).unwrap());
    links.ask(LinkTask::Explain { domain, ours });
    assert_eq!(links.answer(), Err(CommandError::NoSuchHost));
    links.end();
}

#[test]
fn a_domain_that_nobody_finds_is_explained_by_that() {
    let mut links = Links::easy();
    let door = Door::Refuses(ConnectError::Refused);
    links.stage.world.set_door(AT.parse().unwrap(), door);
    links.explain("b.example");
    let explained = links.explained();
    assert_eq!(explained.conclusion, Conclusion::Unknown);
    links.send("1");
    let shown = links.list(None);
    assert_eq!(explained.failure(), shown[0].failure);
    assert!(matches!(shown[0].state, LinkState::Waiting(_)), "{shown:?}");
    assert_eq!(shown[0].queue.stanzas, 1);
    links.end();
}

#[test]
fn a_link_is_listed_with_all_that_is_known_of_it_and_closed_in_order() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    links.send("1");
    links.link(0);
    let shown = links.list(None);
    let [link] = &shown[..] else {
        panic!("{shown:?}");
    };
    assert_eq!(link.direction, Direction::Out);
    assert_eq!(
        (link.ours.as_str(), link.theirs.as_str()),
        ("localhost", "b.example")
    );
    assert_eq!(link.state, LinkState::Up);
    assert_eq!(link.proof, Some(LinkProof::External));
    assert_eq!(link.peer, Some(AT.parse().unwrap()));
    let certificate = link.tls.as_ref().unwrap().certificate.as_ref().unwrap();
    assert_eq!(certificate.chain, VALID);
    assert_eq!(link.verdict, None);
    let shown = links.list(Some("b.example"));
    assert_eq!(shown[0].verdict.as_ref().unwrap().rule, Rule::External);
    assert!(links.list(Some("c.example")).is_empty());
    assert_eq!(
        links.close(),
        LinksClosed {
            links: 1,
            ..LinksClosed::default()
        }
    );
    assert_eq!(links.heard(0), END);
    links.say(0, END);
    // The peer had not said that it has the message: it goes once more.
    let shown = links.list(None);
    assert_eq!(shown[0].queue.stanzas, 1);
    assert_eq!(shown[0].queue.unconfirmed, 0);
    assert_eq!(shown[0].state, LinkState::Opening);
    links.end();
}

#[test]
fn closing_forgets_why_there_was_no_link() {
    let mut links = Links::new(SecureAuth::Yes, RequireEncryption::Yes, 1);
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.send("1");
    links.secure(0);
    links.say(0, EXTERNAL);
    assert_eq!(
        links.close(),
        LinksClosed {
            cleared: 1,
            ..LinksClosed::default()
        }
    );
    links.send("2");
    assert_eq!(links.connections(), 2);
    links.end();
}

#[test]
fn closing_sends_what_waits_by_a_new_link() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.send("1");
    links.secure(0);
    links.say(0, DIALBACK);
    assert_eq!(links.close().links, 1);
    assert_eq!(links.heard(0), END);
    links.secure(1);
    links.say(1, DIALBACK);
    let sent = links.say(
        1,
        "<db:result from='b.example' to='localhost' type='valid'/>",
    );
    assert!(sent.contains("<body>1</body>"), "{sent}");
    links.end();
}

const THEIR_HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
     xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='localhost' version='1.0'>";

/// What the rules say of it now is another matter: the certificate is good only since, or no longer.
#[test]
fn how_a_server_has_proven_a_domain_is_kept() {
    for (shown, answered, proof) in [
        (Some(certificate(VALID)), None, LinkProof::Certificate),
        (None, Some("valid"), LinkProof::Dialback),
    ] {
        let mut links = Links::easy();
        let peer = links.stage.world.connect_server(Opening::Tls);
        links.stage.world.show(peer, shown);
        links.stage.world.secure(peer);
        let claim = "<db:result from='b.example' to='localhost'>key</db:result>";
        links.stage.write(peer, &format!("{THEIR_HEADER}{claim}"));
        links.stage.world.run();
        let heard = links.stage.heard(peer);
        if let Some(answer) = answered {
            let id = heard.split_once(" id='").unwrap().1;
            let id = id.split_once('\'').unwrap().0.to_owned();
            links.secure(0);
            links.say(0, DIALBACK);
            links.say(
                0,
                &format!("<db:verify from='b.example' to='localhost' id='{id}' type='{answer}'/>"),
            );
        }
        let shown = links.list(None);
        let inbound = shown.iter().find(|one| one.direction == Direction::In);
        assert_eq!(inbound.unwrap().proof, Some(proof), "{shown:?}");
        links.end();
    }
}

#[test]
fn a_stream_of_another_server_is_listed_and_closed() {
    const AUTH: &str =
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    let mut links = Links::easy();
    let peer = links.stage.world.connect_server(Opening::Tls);
    links.stage.world.secure(peer);
    let say = |links: &mut Links, words: &str| {
        links.stage.write(peer, words);
        links.stage.world.run();
        links.stage.heard(peer)
    };
    say(&mut links, THEIR_HEADER);
    let shown = links.list(None);
    assert_eq!(shown[0].state, LinkState::Unproven, "{shown:?}");
    say(&mut links, AUTH);
    say(&mut links, THEIR_HEADER);
    let shown = links.list(None);
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(shown[0].direction, Direction::In);
    assert_eq!(shown[0].state, LinkState::Up);
    assert_eq!(shown[0].proof, Some(LinkProof::External));
    assert_eq!(
        links.close(),
        LinksClosed {
            streams: 1,
            ..LinksClosed::default()
        }
    );
    assert_eq!(say(&mut links, END), END);
    assert!(links.list(None).is_empty());
    links.end();
}
