//! What of that which was written to other servers is there.

use alloc::format;
use core::time::Duration;

use super::{Counts, Links, REQUEST, chat, id_of};
use crate::federation::{RequireEncryption, SecureAuth};
use crate::port::Opening;
use crate::testing::StorePace;

#[test]
fn who_says_nothing_of_what_it_has_is_dead_and_gets_it_again() {
    let mut links = Links::easy();
    links.send("1");
    links.link(0);
    links.stage.world.advance(Duration::from_secs(61));
    assert!(links.heard(0).contains("<connection-timeout "));
    let again = links.link(1);
    assert!(again.contains("<body>1</body>"), "{again}");
    links.end();
}

#[test]
fn who_has_more_than_it_was_sent_is_no_honest_server() {
    let mut links = Links::easy();
    links.send("1");
    links.link(0);
    let said = links.ack(0, 2);
    assert!(
        said.contains("<handled-count-too-high xmlns='urn:xmpp:sm:3' h='2' send-count='1'/>"),
        "{said}"
    );
    links.end();
}

/// b.example, proven by its certificate, says this on a stream of its own.
pub(super) fn from_b(links: &mut Links, words: &str) {
    let peer = links.stage.world.connect_server_to(0, Opening::Tls);
    links.stage.world.secure(peer);
    let header = "<stream:stream xmlns='jabber:server' version='1.0' \
         xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='localhost'>";
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    for words in [header, auth, header, words] {
        links.stage.write(peer, words);
        links.stage.world.run();
    }
    let heard = links.stage.heard(peer);
    assert!(
        heard.contains("<success ") && !heard.contains("<stream:error>"),
        "{heard}"
    );
    links.stage.world.hang_up(peer);
    links.stage.world.run();
}

#[test]
fn who_does_not_count_is_pinged_and_its_answer_proves_what_was_before_it() {
    for shards in [1, 3] {
        let mut links = Links::with(SecureAuth::Yes, RequireEncryption::Yes, shards, Counts::Yes);
        // What is on disk is handled before.
        links.stage.world.store_pace = StorePace::Busy;
        links.send("1");
        let said = links.link_without(0, "");
        let (message, ping) = said.split_once("</message>").unwrap();
        assert!(message.contains("<body>1</body>"), "{said}");
        assert!(
            ping.starts_with("<iq type='get' from='localhost' to='b.example' id='"),
            "{said}"
        );
        links.send("2");
        assert!(links.heard(0).ends_with("</message>"));
        let pong =
            |id: &str| format!("<iq type='result' from='b.example' to='localhost' id='{id}'/>");
        from_b(&mut links, &pong("another"));
        assert!(links.client("<r xmlns='urn:xmpp:sm:3'/>").contains("h='0'"));
        from_b(&mut links, &pong(id_of(ping)));
        assert!(links.stage.heard(links.client).contains("h='1'"));
        links.stage.world.advance(Duration::from_secs(6));
        let ping = links.heard(0);
        from_b(&mut links, &pong(id_of(&ping)));
        assert!(links.client("<r xmlns='urn:xmpp:sm:3'/>").contains("h='2'"));
        links.end();
    }
}

#[test]
fn who_answers_no_ping_is_believed_by_what_it_takes() {
    let mut links = Links::with(SecureAuth::Yes, RequireEncryption::Yes, 1, Counts::No);
    links.send("1");
    links.link_without(0, "");
    links.stage.world.advance(Duration::from_secs(200));
    let pings = links.heard(0);
    assert_eq!(pings.matches("<ping ").count(), 1, "{pings}");
    links.send("2");
    assert!(links.heard(0).ends_with("</message>"));
    assert_eq!(links.connections(), 1);
    links.end();
}

/// XEP-0478 §4.
#[test]
fn what_is_longer_than_the_other_server_takes_comes_back_and_nothing_else() {
    let mut links = Links::easy();
    links.send("1");
    let limits = "<sm xmlns='urn:xmpp:sm:3'/><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>1000</max-bytes></limits>";
    links.link_without(0, limits);
    links.say(0, "<enabled xmlns='urn:xmpp:sm:3'/>");
    links.ack(0, 1);
    let bounce = links.client(&chat("juliet@b.example/x", &"long".repeat(300)));
    assert!(bounce.contains("<policy-violation "), "{bounce}");
    assert!(!bounce.contains(" by="), "{bounce}");
    links.send("2");
    let heard = links.heard(0);
    assert!(
        heard.contains("<body>2</body>") && !heard.contains("longlong"),
        "{heard}"
    );
    assert_eq!(links.ack(0, 2), "");
    links.end();
}

/// XEP-0198 §4, of what others send us.
#[test]
fn another_server_hears_what_is_settled_of_what_it_sent() {
    let mut links = Links::easy();
    let peer = links.stage.world.connect_server_to(0, Opening::Tls);
    links.stage.world.secure(peer);
    let header = "<stream:stream xmlns='jabber:server' version='1.0' \
         xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='localhost'>";
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
    let say = |links: &mut Links, words: &str| {
        links.stage.write(peer, words);
        links.stage.world.run();
        links.stage.heard(peer)
    };
    say(&mut links, header);
    let early = say(&mut links, "<enable xmlns='urn:xmpp:sm:3'/>");
    assert!(
        early.contains("<failed ") && early.contains("<unexpected-request "),
        "{early}"
    );
    say(&mut links, auth);
    assert!(say(&mut links, header).contains("<sm xmlns='urn:xmpp:sm:3'/>"));
    let enabled = say(&mut links, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert_eq!(enabled, "<enabled xmlns='urn:xmpp:sm:3'/>");
    let message = "<message from='juliet@b.example/x' to='user0@localhost' type='chat'><body>x</body></message>";
    let presence = "<presence from='juliet@b.example/x' to='user0@localhost'/>";
    let nonsense = "<presence type='odd' from='juliet@b.example/x' to='user0@localhost'/>";
    let words = format!("{message}{presence}{nonsense}{message}<r xmlns='urn:xmpp:sm:3'/>");
    let said = say(&mut links, &words);
    assert!(said.ends_with("h='4'/>"), "{said}");
    links.stage.world.hang_up(peer);
    links.stage.world.run();
    links.stage.world.advance(Duration::from_secs(70));
    links.end();
}

#[test]
fn a_contact_elsewhere_answers_before_its_server_says_that_it_has_the_request() {
    let mut links = Links::easy();
    links.client("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>");
    links.client("<presence type='subscribe' to='juliet@b.example'/>");
    let asked = links.link(0);
    assert!(
        asked.contains("<presence to='juliet@b.example' from='user0@localhost' type='subscribe'"),
        "{asked}"
    );
    from_b(
        &mut links,
        "<presence type='subscribed' from='juliet@b.example' to='user0@localhost'/>",
    );
    let heard = links.stage.heard(links.client);
    assert!(heard.contains("subscription='to'"), "{heard}");
    assert!(heard.contains("type='subscribed'"), "{heard}");
    links.ack(0, 1);
    from_b(
        &mut links,
        "<presence from='juliet@b.example/x' to='user0@localhost'/>",
    );
    let heard = links.stage.heard(links.client);
    assert!(heard.contains("from='juliet@b.example/x'"), "{heard}");
    links.end();
}

#[test]
fn a_busy_link_asks_again_as_soon_as_all_that_it_asked_about_is_there() {
    let mut links = Links::easy();
    links.send("1");
    links.link(0);
    for n in 2..5 {
        links.send(&format!("{n}"));
    }
    // Of four stanzas, of which the first was asked about.
    assert!(!links.heard(0).contains(REQUEST));
    assert_eq!(links.ack(0, 1), REQUEST);
    for n in 5..9 {
        links.send(&format!("{n}"));
    }
    links.heard(0);
    // Not all that it was asked about, and then all, while more was written.
    assert_eq!(links.ack(0, 3), "");
    assert_eq!(links.ack(0, 4), REQUEST);
    assert_eq!(links.ack(0, 8), "");
    links.end();
}
