//! What waits for another server is on disk before anybody hears that it is in good hands, and goes on from there.

use super::*;
use crate::jid::BareJid;
use crate::link::{LINK_QUEUE, page};
use crate::store::{Batch, Class, Reply};
use crate::testing::StorePace;

const ASKED: &str = "<r xmlns='urn:xmpp:sm:3'/>";

impl Links {
    fn counted(shards: u16) -> Self {
        Self::with(SecureAuth::Yes, RequireEncryption::Yes, shards, Counts::Yes)
    }

    /// How many rows there are for the other server.
    fn rows(&mut self) -> usize {
        let replies = self.stage.world.disk().apply(&Batch {
            owner: BareJid::parse("localhost").unwrap(),
            tenure: 0,
            class: Class::Load,
            ops: vec![page(&Domain::parse("b.example").unwrap(), None, 512)],
        });
        match replies.unwrap().as_slice() {
            [Reply::Rows { rows, .. }] => rows.len(),
            other => panic!("{other:?}"),
        }
    }

    /// The server dies, and is started again; its client is back.
    fn crash(&mut self) {
        self.stage.world.crash();
        self.come_back();
    }

    fn come_back(&mut self) {
        self.client = self.stage.session(&self.romeo, "r", Counts::Yes);
    }

    /// Time passes until it connects once more than so often; which one that is.
    fn next_connection(&mut self, so_far: usize) -> usize {
        for _ in 0..60 {
            if self.connections() > so_far {
                break;
            }
            self.wait(Duration::from_secs(1));
        }
        so_far
    }

    fn wait(&mut self, wait: Duration) {
        self.stage.world.advance(wait);
    }

    fn h(&mut self) -> String {
        let heard = self.client(ASKED);
        let (_, h) = heard.split_once("h='").unwrap();
        h.split_once('\'').unwrap().0.to_owned()
    }
}

/// The places of messages in what was said.
fn places<const N: usize>(said: &str, ids: [&str; N]) -> [Option<usize>; N] {
    ids.map(|id| said.find(&format!("<body>{id}</body>")))
}

#[test]
fn what_waits_is_acknowledged_once_it_is_on_disk_and_goes_out_after_a_crash_before_what_is_newer() {
    for shards in [1, 3] {
        let mut links = Links::counted(shards);
        links.send("1");
        links.send("2");
        assert_eq!((links.h(), links.rows()), ("2".to_owned(), 2));
        links.crash();
        // Said before anybody has read what is on disk.
        links.send("3");
        links.wait(Duration::from_millis(60));
        let said = links.link(links.connections() - 1);
        let at = places(&said, ["1", "2", "3"]);
        assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{said}");
        links.ack(links.connections() - 1, 3);
        assert_eq!(links.rows(), 0);
        links.end();
    }
}

#[test]
fn over_a_link_that_is_well_nothing_is_written() {
    let mut links = Links::counted(1);
    links.send("0");
    links.link(0);
    links.ack(0, 1);
    assert_eq!(links.rows(), 0);
    links.send("1");
    links.wait(Duration::from_millis(1900));
    assert_eq!((links.h(), links.rows()), ("1".to_owned(), 0));
    links.ack(0, 2);
    links.wait(Duration::from_secs(10));
    assert_eq!((links.h(), links.rows()), ("2".to_owned(), 0));
    links.end();
}

#[test]
fn what_is_not_confirmed_within_two_seconds_is_on_disk_until_it_is() {
    let mut links = Links::counted(1);
    links.send("0");
    links.link(0);
    links.ack(0, 1);
    links.send("1");
    links.wait(Duration::from_secs(2));
    assert_eq!((links.h(), links.rows()), ("2".to_owned(), 1));
    links.ack(0, 2);
    assert_eq!(links.rows(), 0);
    // One that comes with a confirmation of an older one waits for its own.
    links.send("2");
    links.wait(Duration::from_secs(1));
    links.send("3");
    links.ack(0, 3);
    links.wait(Duration::from_millis(1500));
    assert_eq!(links.rows(), 0);
    links.wait(Duration::from_millis(600));
    assert_eq!(links.rows(), 1);
    links.ack(0, 4);
    links.end();
}

#[test]
fn nobody_waits_for_a_session_that_does_not_count() {
    let mut links = Links::easy();
    links.send("1");
    assert_eq!(links.rows(), 1);
    links.link(0);
    links.ack(0, 1);
    links.send("2");
    links.wait(Duration::from_secs(20));
    assert_eq!(links.rows(), 0);
    links.ack(0, 2);
    links.end();
}

/// RFC 6120 §3.3 wants waits before one connects again; XEP-0203 §3 says what was late.
#[test]
fn a_server_that_stops_keeps_messages_and_says_later_since_when_they_wait() {
    for shards in [1, 3] {
        let mut links = Links::counted(shards);
        links.send("1");
        links.stage.world.shut_down();
        links.send("2");
        links.wait(Duration::from_secs(20));
        assert!(links.stage.world.is_at_rest());
        let heard = links.stage.heard(links.client);
        assert!(!heard.contains("<error"), "{heard}");
        assert_eq!(links.rows(), 1);
        links.stage.world.pass(Duration::from_secs(61));
        let so_far = links.connections();
        links.stage.world.crash();
        let at = links.next_connection(so_far);
        let said = links.link(at);
        let (delayed, _) = said.split_once("</message>").unwrap();
        assert!(delayed.contains("<body>1</body>"), "{said}");
        assert!(
            delayed.contains("<delay xmlns='urn:xmpp:delay' from='localhost' stamp='"),
            "{said}"
        );
        links.ack(at, 1);
        links.come_back();
        links.end();
    }
}

#[test]
fn a_message_that_finds_its_way_at_once_says_nothing_of_a_delay() {
    let mut links = Links::counted(1);
    links.send("1");
    links.wait(Duration::from_secs(5));
    let said = links.link(0);
    assert!(!said.contains("delay"), "{said}");
    links.ack(0, 1);
    links.end();
}

#[test]
fn what_cannot_be_kept_is_acknowledged_when_it_is_there_and_not_before() {
    let mut links = Links::counted(1);
    links.stage.world.store_pace = StorePace::Busy;
    links.send("1");
    assert_eq!((links.h(), links.rows()), ("0".to_owned(), 0));
    links.link(0);
    links.ack(0, 1);
    assert_eq!(links.h(), "1");
    // The disk is there again for the next.
    links.send("2");
    links.wait(Duration::from_secs(3));
    assert_eq!(links.h(), "1");
    links.stage.world.store_pace = StorePace::Prompt;
    links.wait(Duration::from_secs(6));
    assert_eq!((links.h(), links.rows()), ("2".to_owned(), 1));
    links.ack(0, 2);
    assert_eq!(links.rows(), 0);
    links.end();
}

#[test]
fn a_store_that_is_gone_holds_up_no_server_that_stops_and_acknowledges_nothing() {
    let mut links = Links::counted(1);
    links.stage.world.store_pace = StorePace::Busy;
    links.send("1");
    links.stage.world.shut_down();
    links.wait(Duration::from_secs(20));
    assert!(links.stage.world.is_at_rest());
    let heard = links.stage.heard(links.client);
    assert!(!heard.contains("h='1'"), "{heard}");
}

#[test]
fn what_waits_in_vain_comes_back_and_is_on_disk_no_more() {
    let mut links = Links::counted(1);
    links
        .stage
        .world
        .set_door(AT.parse().unwrap(), Door::Refuses(ConnectError::Refused));
    links.send("1");
    links.wait(Duration::from_secs(590));
    assert_eq!((links.h(), links.rows()), ("1".to_owned(), 1));
    links.wait(Duration::from_secs(20));
    let heard = links.stage.heard(links.client);
    assert!(heard.contains("remote-server-timeout"), "{heard}");
    assert_eq!(links.rows(), 0);
    links.end();
}

#[test]
fn what_was_kept_longer_than_its_patience_is_tried_once_more() {
    let mut links = Links::counted(1);
    links.send("1");
    // Nobody runs for a day.
    links.stage.world.pass(Duration::from_secs(86_400));
    links.crash();
    assert_eq!(links.rows(), 1);
    let said = links.link(links.connections() - 1);
    assert!(said.contains("<body>1</body>"), "{said}");
    links.ack(links.connections() - 1, 1);
    assert_eq!(links.rows(), 0);
    links.end();
}

#[test]
fn a_clock_that_was_set_back_overtakes_nothing() {
    let mut links = Links::counted(1);
    links.send("1");
    links.stage.world.set_back(Duration::from_secs(3600));
    links.send("2");
    links.crash();
    links.send("3");
    links.crash();
    links.wait(Duration::from_secs(1));
    let said = links.link(links.connections() - 1);
    let at = places(&said, ["1", "2", "3"]);
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{said}");
    links.end();
}

#[test]
fn a_lost_link_sends_again_what_it_had_kept_and_nothing_twice_on_disk() {
    let mut links = Links::counted(1);
    links.send("1");
    links.link(0);
    links.wait(Duration::from_secs(3));
    assert_eq!(links.rows(), 1);
    let peer = links.peer(0);
    links.stage.world.hang_up(peer);
    links.stage.world.run();
    links.send("2");
    assert_eq!(links.rows(), 2);
    let again = links.next_connection(1);
    let said = links.link(again);
    let at = places(&said, ["1", "2"]);
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{said}");
    links.ack(again, 1);
    assert_eq!(links.rows(), 1);
    links.ack(again, 2);
    assert_eq!(links.rows(), 0);
    links.end();
}

#[test]
fn a_domain_that_becomes_ours_is_sent_what_was_kept_for_it() {
    let mut links = Links::counted(1);
    links.send("1");
    assert_eq!(links.rows(), 1);
    let mut config = links.stage.world.config().clone();
    let host = config.hosts.values().next().cloned().unwrap();
    config
        .hosts
        .insert(Domain::parse("b.example").unwrap(), host);
    links.stage.world.reload(config);
    links.stage.world.run();
    let heard = links.stage.heard(links.client);
    assert!(heard.contains("service-unavailable"), "{heard}");
    assert_eq!(links.rows(), 0);
    links.end();
}

#[test]
fn much_is_kept_and_read_again_in_parts() {
    let mut links = Links::counted(1);
    for n in 0..700 {
        let peer = links.client;
        links
            .stage
            .write(peer, &chat("juliet@b.example/x", &format!("{n}")));
    }
    links.stage.world.run();
    assert_eq!((links.h(), links.rows()), ("700".to_owned(), 512));
    assert_eq!(LINK_QUEUE.name, "link_queue");
    links.crash();
    links.wait(Duration::from_secs(1));
    let at = links.connections() - 1;
    let mut said = links.link(at);
    while links.rows() > 0 {
        let written = said.matches("<message ").count();
        said.push_str(&links.ack(at, u32::try_from(written).unwrap()));
    }
    let bodies: Vec<&str> = said
        .split("<body>")
        .skip(1)
        .filter_map(|rest| rest.split_once('<').map(|(body, _)| body))
        .collect();
    let all: Vec<String> = (0..700).map(|n| format!("{n}")).collect();
    assert_eq!(bodies, all);
    links.end();
}

/// Who wrote it was cut off by the restart, and could not hear it.
#[test]
fn what_is_refused_for_good_right_after_a_start_comes_back_half_a_minute_later() {
    let mut links = Links::counted(1);
    links.send("1");
    for service in [
        "_xmpp-server._tcp.b.example",
        "_xmpps-server._tcp.b.example",
    ] {
        links
            .stage
            .world
            .publish(Lookup::Services(service.into()), Resolved::NoName);
    }
    links
        .stage
        .world
        .publish(Lookup::Addresses("b.example".into()), Resolved::NoName);
    links.stage.world.crash();
    links.wait(Duration::from_secs(10));
    links.come_back();
    assert_eq!(links.rows(), 1);
    // What is said now needs not wait.
    assert!(links.send("2").contains("id='2'"));
    links.wait(Duration::from_secs(25));
    let heard = links.stage.heard(links.client);
    assert!(heard.contains("remote-server-not-found"), "{heard}");
    assert_eq!(links.rows(), 0);
    links.end();
}
