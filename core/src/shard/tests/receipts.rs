//! What became of the stanzas of a session that counts them: each is settled once, and not before the disk has what it brought about.

mod chance;
mod ends;

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::account::SessionKey;
use crate::archive::{ARCHIVE, Policy};
use crate::config::{Config, Host, of_localhost};
use crate::envelope::Body;
use crate::jid::BareJid;
use crate::limits::{RECEIPTS_AGAIN, UNSETTLED_MAX};
use crate::port::{Action, Note, Opening};
use crate::sm::Inbound;
use crate::store::{Batch, Class, Kept, Op, Order, Pick, Reply, StoreError};
use crate::testing::{Peer, Step, StorePace, World};

/// A server, and clients who are signed in to it.
struct Stage {
    world: World,
}

/// Whether a session counts its stanzas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Counts {
    No,
    Yes,
}

const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

fn config(policy: Policy, shards: u16) -> Config {
    let mut config = of_localhost();
    config.shards = shards;
    for Host::Accounts(host) in config.hosts.values_mut() {
        host.archive.policy = policy;
        host.rounds = 1;
    }
    config
}

impl Stage {
    fn new(policy: Policy, shards: u16) -> Self {
        let world = World::new(config(policy, shards));
        Self { world }
    }

    /// An account of this shard, the `n`th.
    fn account(&mut self, shard: usize, n: usize) -> String {
        let names = (0..).map(|n| format!("user{n}@localhost"));
        let mut of_it = names.filter(|name| self.world.owner(name) == shard);
        let name = of_it.nth(n).unwrap();
        self.world.add_user(&name, "secret");
        name
    }

    /// A session of an account, from now on counted or not.
    fn session(&mut self, account: &str, resource: &str, counts: Counts) -> Peer {
        let world = &mut self.world;
        let shard = world.owner(account);
        let peer = world.connect_to(shard, Opening::Tls);
        let (user, _) = account.split_once('@').unwrap();
        let auth = STANDARD.encode(format!("\0{user}\0secret"));
        world.secure(peer);
        for words in [
            HEADER.to_owned(),
            format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{auth}</auth>"
            ),
            HEADER.to_owned(),
            format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <resource>{resource}</resource></bind></iq>"
            ),
        ] {
            world.write(peer, words.as_bytes());
            world.run();
        }
        world.take_received(peer);
        if counts == Counts::Yes {
            let (shard, account, session) = self.find(peer);
            let owner = self.world.shard(shard).owners.get_mut(account);
            owner.unwrap().account.count(session);
        }
        peer
    }

    /// The same, available.
    fn available(&mut self, account: &str, resource: &str) -> Peer {
        let peer = self.session(account, resource, Counts::No);
        self.write(peer, "<presence/>");
        self.world.run();
        self.world.take_received(peer);
        peer
    }

    fn find(&mut self, peer: Peer) -> (usize, crate::account::AccountKey, SessionKey) {
        let (shard, conn) = self.world.seat(peer).unwrap();
        let at = self.world.shard(shard);
        let account = at.member(conn).unwrap();
        let owner = at.owners.get(account).unwrap();
        (shard, account, owner.account.session_on(conn).unwrap())
    }

    fn inbound(&mut self, peer: Peer) -> &mut Inbound {
        let (shard, account, session) = self.find(peer);
        let owner = self.world.shard(shard).owners.get_mut(account).unwrap();
        owner.account.inbound(session).unwrap()
    }

    fn h(&mut self, peer: Peer) -> u32 {
        self.inbound(peer).h()
    }

    fn write(&mut self, peer: Peer, xml: &str) {
        self.world.write(peer, xml.as_bytes());
    }

    /// Sends, and lets everything happen but what the store does.
    fn send(&mut self, peer: Peer, xml: &str) {
        self.world.store_pace = StorePace::Slow;
        self.write(peer, xml);
        self.world.step_all_but_commits();
    }

    fn heard(&mut self, peer: Peer) -> String {
        String::from_utf8(self.world.take_received(peer)).unwrap()
    }

    /// The batch of this account that the store has to answer next.
    fn next_of(&self, account: &str) -> usize {
        let mut commits = self.world.commits().into_iter();
        let of_it = |index: &usize| {
            let batch = self.world.batch(*index);
            batch.is_some_and(|batch| batch.owner.as_str() == account)
        };
        commits.find(of_it).unwrap()
    }

    /// That one is done.
    fn commit(&mut self, account: &str) {
        let next = self.next_of(account);
        self.world.step(Step::Commit(next));
        self.world.step_all_but_commits();
    }

    /// That one comes to nothing.
    fn fail(&mut self, account: &str, error: StoreError) {
        let next = self.next_of(account);
        self.world.fail(next, error);
        self.world.step_all_but_commits();
    }

    /// All is done that anybody waits for.
    fn finish(&mut self) {
        self.world.store_pace = StorePace::Prompt;
        self.world.run();
    }

    /// The bodies of the messages that this account has on disk.
    fn archive(&mut self, account: &str) -> Vec<String> {
        let pick = Pick {
            kept: Kept::Both,
            peer: None,
            ids: None,
            after: None,
            before: None,
            upto: i64::MAX,
            order: Order::Forward,
            limit: 200,
        };
        let mut all = Vec::new();
        for kept in [Kept::Archived, Kept::Owed] {
            let pick = Pick {
                kept,
                ..pick.clone()
            };
            let batch = Batch {
                owner: BareJid::parse(account).unwrap(),
                tenure: 0,
                class: Class::Page,
                ops: vec![Op::Page {
                    log: ARCHIVE,
                    pick: pick.into(),
                }],
            };
            let replies = self.world.disk().apply(&batch).unwrap();
            let Some(Reply::Page(page)) = replies.first() else {
                panic!("{replies:?}");
            };
            for entry in &page.entries {
                let found = body(&String::from_utf8_lossy(&entry.payload.0.concat())).unwrap();
                if !all.contains(&found) {
                    all.push(found);
                }
            }
        }
        all
    }

    /// # Panics
    /// Something happened that cannot.
    fn no_bugs(&self) {
        let bug = |note: &&Note| matches!(note, Note::Bug(_));
        assert_eq!(self.world.notes.iter().find(bug), None);
    }
}

/// What the first message among all this says.
fn body(xml: &str) -> Option<String> {
    let (_, rest) = xml.split_once("<body>")?;
    Some(rest.split_once("</body>")?.0.to_owned())
}

fn chat(to: &str, id: &str) -> String {
    format!("<message to='{to}' type='chat' id='{id}'><body>{id}</body></message>")
}

/// An error for the message of this id.
fn error_of(id: &str) -> String {
    format!("type='error' id='{id}'")
}

/// XEP-0198 §4: not before both archives have it.
#[test]
fn a_message_is_settled_once_sender_and_receiver_have_it_on_disk() {
    for (shards, at) in [(1, 0), (3, 0), (3, 2)] {
        for receiver_first in [false, true] {
            let mut stage = Stage::new(Policy::Always, shards);
            let (romeo, juliet) = (stage.account(0, 0), stage.account(at, 1));
            let reader = stage.available(&juliet, "j");
            let sender = stage.session(&romeo, "r", Counts::Yes);
            stage.send(sender, &chat(&juliet, "1"));
            assert!(stage.heard(reader).contains("<body>1</body>"));
            assert_eq!(stage.h(sender), 0);
            let mut order = [&romeo, &juliet];
            if receiver_first {
                order.reverse();
            }
            stage.commit(order[0]);
            assert_eq!(stage.h(sender), 0, "{order:?}");
            stage.commit(order[1]);
            assert_eq!(stage.h(sender), 1, "{order:?}");
            assert!(stage.inbound(sender).is_settled());
            stage.no_bugs();
        }
    }
}

#[test]
fn who_asks_is_told_once_a_turn_when_more_is_settled() {
    let mut stage = Stage::new(Policy::Always, 1);
    let (romeo, juliet) = (stage.account(0, 0), stage.account(0, 1));
    let sender = stage.session(&romeo, "r", Counts::Yes);
    stage.send(sender, &chat(&juliet, "1"));
    stage.send(sender, &(chat(&juliet, "2") + &chat(&juliet, "3")));
    assert_eq!(stage.inbound(sender).asked(), 0);
    assert_eq!(stage.heard(sender), "");
    stage.finish();
    let told = stage.heard(sender);
    assert!(told.ends_with("<a xmlns='urn:xmpp:sm:3' h='3'/>"), "{told}");
    assert!(told.matches("<a ").count() <= 2, "{told}");
    stage.send(sender, &chat(&juliet, "4"));
    stage.finish();
    assert_eq!((stage.h(sender), stage.heard(sender)), (4, String::new()));
}

#[test]
fn other_shards_tell_many_at_once_and_of_sessions_that_do_not_count_nothing() {
    for counts in [Counts::No, Counts::Yes] {
        let mut stage = Stage::new(Policy::Never, 2);
        let (romeo, juliet) = (stage.account(0, 0), stage.account(1, 0));
        let reader = stage.available(&juliet, "j");
        let sender = stage.session(&romeo, "r", counts);
        let words: Vec<String> = (0..10).map(|n| chat(&juliet, &format!("{n}"))).collect();
        stage.world.tell_bytes(sender, words.concat().as_bytes());
        stage.world.drain_all();
        while stage.world.letters() > 0 {
            let first = stage.world.steps();
            stage.world.step(first[0]);
        }
        let mut told = Vec::new();
        for action in stage.world.poll_actions(1) {
            if let Action::Send(envelope) = &action
                && let Body::Handled(handled) = &envelope.body
            {
                told.push(handled.len());
            }
            stage.world.carry_out(1, action);
        }
        stage.world.run();
        assert_eq!(stage.heard(reader).matches("<body>").count(), 10);
        match counts {
            Counts::No => assert!(told.is_empty()),
            Counts::Yes => {
                assert_eq!((told, stage.h(sender)), (vec![10], 10));
            }
        }
        stage.no_bugs();
    }
}

#[test]
fn too_much_that_is_not_settled_holds_its_session_up_and_nobody_else() {
    let mut stage = Stage::new(Policy::Always, 1);
    let (romeo, juliet) = (stage.account(0, 0), stage.account(0, 1));
    let sender = stage.session(&romeo, "r", Counts::Yes);
    let other = stage.session(&romeo, "o", Counts::Yes);
    stage.available(&juliet, "j");
    let all = u32::try_from(UNSETTLED_MAX + 100).unwrap();
    stage.world.store_pace = StorePace::Slow;
    let words: String = (0..all).map(|n| chat(&juliet, &format!("{n}"))).collect();
    stage.world.tell_bytes(sender, words.as_bytes());
    stage.world.step_all_but_commits();
    assert!(!stage.world.reads(sender));
    assert!(stage.inbound(sender).holds_up());
    let came = stage.inbound(sender).begin();
    assert_eq!(usize::try_from(came).unwrap(), UNSETTLED_MAX + 1);
    stage.inbound(sender).handled(came);
    stage.send(other, "<presence/>");
    assert_eq!(stage.h(other), 1);
    stage.finish();
    // The one that was made up here included.
    assert_eq!(stage.h(sender), all + 1);
    assert!(stage.world.reads(sender));
    stage.no_bugs();
}

#[test]
fn what_a_full_way_back_does_not_take_is_told_later() {
    let mut stage = Stage::new(Policy::Never, 2);
    let (romeo, juliet) = (stage.account(0, 0), stage.account(1, 0));
    stage.available(&juliet, "j");
    let sender = stage.session(&romeo, "r", Counts::Yes);
    stage
        .world
        .tell_bytes(sender, chat(&juliet, "1").as_bytes());
    stage.world.drain_all();
    stage.world.lane_capacity = 0;
    stage.world.run();
    assert_eq!(stage.h(sender), 0);
    // Once more in vain.
    stage.world.advance(RECEIPTS_AGAIN);
    assert_eq!(stage.h(sender), 0);
    stage.world.lane_capacity = usize::MAX;
    stage.world.run();
    assert_eq!(stage.h(sender), 0, "not before its time");
    stage.world.advance(RECEIPTS_AGAIN);
    assert_eq!(stage.h(sender), 1);
    stage.world.advance(Duration::from_secs(1));
    stage.no_bugs();
}
