//! Keys that others have shown, asked about where their domain is.

use alloc::borrow::ToOwned as _;
use alloc::format;
use core::time::Duration;

use super::{AT, DIALBACK, Links, certificate, id_of};
use crate::federation::{RequireEncryption, SecureAuth};
use crate::port::{Chain, ConnectError, Opening};
use crate::testing::{Door, Peer};

/// b.example connects to this shard, and claims to be itself by this key.
pub(super) fn claim(links: &mut Links, shard: usize, key: &str) -> Peer {
    let peer = links.stage.world.connect_server_to(shard, Opening::Tls);
    links.stage.world.secure(peer);
    links.stage.write(
        peer,
        "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' \
         xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='localhost'>",
    );
    links.stage.world.run();
    links.stage.write(
        peer,
        &format!("<db:result from='b.example' to='localhost'>{key}</db:result>"),
    );
    links.stage.world.run();
    peer
}

#[test]
fn a_key_that_is_shown_is_asked_about_where_its_domain_is_and_believed_as_that_says() {
    for shards in [1, 3] {
        for (answer, expected) in [
            (
                "valid",
                "<db:result from='localhost' to='b.example' type='valid'/>",
            ),
            ("invalid", "type='invalid'/>"),
        ] {
            for shard in 0..usize::from(shards) {
                let mut links = Links::new(SecureAuth::No, RequireEncryption::Yes, shards);
                links.stage.world.server = Some(certificate(Chain::SelfSigned));
                let peer = claim(&mut links, shard, "k&lt;y");
                let heard = links.stage.heard(peer);
                assert!(!heard.contains("<db:result"), "{heard}");
                let id = id_of(&heard).to_owned();
                links.secure(0);
                let asked = links.say(0, DIALBACK);
                // It is not proven who we are: there is nothing to be sent.
                assert_eq!(
                    asked,
                    format!(
                        "<db:verify from='localhost' to='b.example' id='{id}'>k&lt;y</db:verify>"
                    )
                );
                let words = format!(
                    "<db:verify from='b.example' to='localhost' id='{id}' type='{answer}'/>"
                );
                assert_eq!(links.say(0, &words), "");
                let heard = links.stage.heard(peer);
                assert!(
                    heard.contains(expected),
                    "{shards} {shard} {answer}: {heard}"
                );
                // The same once more is no answer to anything.
                assert!(links.say(0, &words).contains("<stream:error>"));
                links.stage.world.hang_up(peer);
                links.end();
            }
        }
    }
}

#[test]
fn both_may_show_their_keys_at_once_since_questions_never_wait_for_a_proof() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    links.send("1");
    let peer = claim(&mut links, 0, "key");
    let id = id_of(&links.stage.heard(peer)).to_owned();
    links.secure(0);
    let said = links.say(0, DIALBACK);
    let (asked, shown) = (said.find("<db:verify"), said.find("<db:result"));
    assert!(asked.is_some() && asked < shown, "{said}");
    // They ask about ours first, as well.
    let (_, key) = said
        .split_once("<db:result from='localhost' to='b.example'>")
        .unwrap();
    let (key, _) = key.split_once('<').unwrap();
    links.stage.write(
        peer,
        &format!("<db:verify from='b.example' to='localhost' id='x1'>{key}</db:verify>"),
    );
    links.stage.world.run();
    let heard = links.stage.heard(peer);
    assert!(heard.contains("id='x1' type='valid'/>"), "{heard}");
    links.say(
        0,
        "<db:result from='b.example' to='localhost' type='valid'/>",
    );
    links.say(
        0,
        &format!("<db:verify from='b.example' to='localhost' id='{id}' type='valid'/>"),
    );
    let heard = links.stage.heard(peer);
    assert!(heard.contains("type='valid'"), "{heard}");
    links.stage.world.hang_up(peer);
    links.end();
}

#[test]
fn who_cannot_be_asked_is_not_believed_and_a_late_answer_is_no_fault() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    let peer = claim(&mut links, 0, "key");
    let id = id_of(&links.stage.heard(peer)).to_owned();
    links.secure(0);
    links.say(0, DIALBACK);
    links.stage.world.advance(Duration::from_secs(31));
    let heard = links.stage.heard(peer);
    assert!(heard.contains("<remote-server-timeout "), "{heard}");
    assert_eq!(
        links.say(
            0,
            &format!("<db:verify from='b.example' to='localhost' id='{id}' type='valid'/>")
        ),
        ""
    );
    assert_eq!(links.stage.heard(peer), "");
    links.stage.world.hang_up(peer);
    links.end();
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    let door = Door::Refuses(ConnectError::Refused);
    links.stage.world.set_door(AT.parse().unwrap(), door);
    let peer = claim(&mut links, 0, "key");
    let heard = links.stage.heard(peer);
    assert!(heard.contains("type='error'"), "{heard}");
    links.stage.world.hang_up(peer);
    links.end();
}

/// Seed 63 of the simulator: each tried while the other waited behind its own failures, and so for ever.
#[test]
fn who_shows_a_key_is_looked_for_although_it_could_not_be_reached_a_while_ago() {
    let mut links = Links::easy();
    links.stage.world.server = Some(certificate(Chain::SelfSigned));
    let at = AT.parse().unwrap();
    links
        .stage
        .world
        .set_door(at, Door::Refuses(ConnectError::Refused));
    links.send("1");
    links.stage.world.advance(Duration::from_secs(400));
    links.stage.world.set_door(at, Door::Opens);
    let so_far = links.connections();
    let _asker = claim(&mut links, 0, "key");
    assert_eq!(links.connections(), so_far + 1);
    links.end();
}
