//! A server in memory, and clients who are signed in to it, for tests that look into its shards.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::account::{AccountKey, SessionKey};
use crate::archive::{ARCHIVE, Policy};
use crate::config::{Config, of_localhost};
use crate::jid::BareJid;
use crate::port::Opening;
use crate::sm::Inbound;
use crate::store::{Batch, Class, Kept, Op, Order, Pick, Reply, StoreError};
use crate::testing::{Peer, Step, StorePace, World};

/// A server, and clients who are signed in to it.
pub(super) struct Stage {
    pub(super) world: World,
}

/// Whether a session counts its stanzas.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Counts {
    No,
    Yes,
}

pub(super) const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
                      xmlns:stream='http://etherx.jabber.org/streams'>";

pub(super) fn config(policy: Policy, shards: u16) -> Config {
    let mut config = of_localhost();
    config.shards = shards;
    for host in config.accounts_mut() {
        host.archive.policy = policy;
        host.rounds = 1;
    }
    config
}

impl Stage {
    pub(super) fn new(policy: Policy, shards: u16) -> Self {
        let world = World::new(config(policy, shards));
        Self { world }
    }

    /// An account of this shard, the `n`th.
    pub(super) fn account(&mut self, shard: usize, n: usize) -> String {
        let names = (0..).map(|n| format!("user{n}@localhost"));
        let mut of_it = names.filter(|name| self.world.owner(name) == shard);
        let name = of_it.nth(n).unwrap();
        self.world.add_user(&name, "secret");
        name
    }

    /// A client connects, and what it says to sign in to an account.
    fn begin(&mut self, account: &str) -> (Peer, [String; 3]) {
        let shard = self.world.owner(account);
        let peer = self.world.connect_to(shard, Opening::Tls);
        let (user, _) = account.split_once('@').unwrap();
        let auth = STANDARD.encode(format!("\0{user}\0secret"));
        let auth = format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{auth}</auth>"
        );
        self.world.secure(peer);
        (peer, [HEADER.to_owned(), auth, HEADER.to_owned()])
    }

    /// A client signs in to an account, and has no resource yet.
    pub(super) fn sign_in(&mut self, account: &str) -> Peer {
        let (peer, words) = self.begin(account);
        for words in words {
            self.write(peer, &words);
            self.world.run();
        }
        self.world.take_received(peer);
        peer
    }

    /// The same, while others wait for the store.
    pub(super) fn sign_in_alone(&mut self, account: &str) -> Peer {
        let (peer, words) = self.begin(account);
        for words in words {
            self.send(peer, &words);
            while self.find_next_of(account).is_some() {
                self.commit(account);
            }
        }
        self.world.take_received(peer);
        peer
    }

    /// It has.
    pub(super) fn bind(&mut self, peer: Peer, resource: &str) -> String {
        let words = format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        );
        self.write(peer, &words);
        self.world.run();
        self.heard(peer)
    }

    /// A session of an account, from now on counted or not.
    pub(super) fn session(&mut self, account: &str, resource: &str, counts: Counts) -> Peer {
        let peer = self.sign_in(account);
        self.bind(peer, resource);
        if counts == Counts::Yes {
            self.write(peer, "<enable xmlns='urn:xmpp:sm:3'/>");
            self.world.run();
            self.heard(peer);
        }
        peer
    }

    /// A session that may be resumed, and its name.
    pub(super) fn resumable(&mut self, account: &str, resource: &str) -> (Peer, String) {
        let peer = self.session(account, resource, Counts::No);
        self.write(peer, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        self.world.run();
        let enabled = self.heard(peer);
        let (_, id) = enabled.split_once("id='").unwrap();
        (peer, id.split_once('\'').unwrap().0.to_owned())
    }

    /// Its client comes back, and has handled so many stanzas.
    pub(super) fn resume(&mut self, account: &str, previd: &str, h: u32) -> Peer {
        let peer = self.sign_in(account);
        let words = format!("<resume xmlns='urn:xmpp:sm:3' previd='{previd}' h='{h}'/>");
        self.write(peer, &words);
        peer
    }

    /// The same, available.
    pub(super) fn available(&mut self, account: &str, resource: &str) -> Peer {
        let peer = self.session(account, resource, Counts::No);
        self.write(peer, "<presence/>");
        self.world.run();
        self.world.take_received(peer);
        peer
    }

    pub(super) fn find(&mut self, peer: Peer) -> (usize, AccountKey, SessionKey) {
        let (shard, conn) = self.world.seat(peer).unwrap();
        let at = self.world.shard(shard);
        let account = at.member(conn).unwrap();
        let owner = at.owners.get(account).unwrap();
        (shard, account, owner.account.session_on(conn).unwrap())
    }

    pub(super) fn inbound(&mut self, peer: Peer) -> &mut Inbound {
        let (shard, account, session) = self.find(peer);
        let owner = self.world.shard(shard).owners.get_mut(account).unwrap();
        owner.account.inbound(session).unwrap()
    }

    pub(super) fn h(&mut self, peer: Peer) -> u32 {
        self.inbound(peer).h()
    }

    pub(super) fn write(&mut self, peer: Peer, xml: &str) {
        self.world.write(peer, xml.as_bytes());
    }

    /// Sends, and lets everything happen but what the store does.
    pub(super) fn send(&mut self, peer: Peer, xml: &str) {
        self.world.store_pace = StorePace::Slow;
        self.write(peer, xml);
        self.world.step_all_but_commits();
    }

    pub(super) fn heard(&mut self, peer: Peer) -> String {
        String::from_utf8(self.world.take_received(peer)).unwrap()
    }

    fn find_next_of(&self, account: &str) -> Option<usize> {
        let mut commits = self.world.commits().into_iter();
        commits.find(|index| {
            let batch = self.world.batch(*index);
            batch.is_some_and(|batch| batch.owner.as_str() == account)
        })
    }

    /// The batch of this account that the store has to answer next.
    pub(super) fn next_of(&self, account: &str) -> usize {
        self.find_next_of(account).unwrap()
    }

    /// That one is done.
    pub(super) fn commit(&mut self, account: &str) {
        let next = self.next_of(account);
        self.world.step(Step::Commit(next));
        self.world.step_all_but_commits();
    }

    /// That one comes to nothing.
    pub(super) fn fail(&mut self, account: &str, error: StoreError) {
        let next = self.next_of(account);
        self.world.fail(next, error);
        self.world.step_all_but_commits();
    }

    /// All is done that anybody waits for.
    pub(super) fn finish(&mut self) {
        self.world.store_pace = StorePace::Prompt;
        self.world.run();
    }

    /// The bodies of the messages that this account has on disk.
    pub(super) fn archive(&mut self, account: &str) -> Vec<String> {
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
    pub(super) fn no_bugs(&self) {
        assert_eq!(self.world.is_sound(), Ok(()));
    }
}

/// What the first message among all this says.
pub(super) fn body(xml: &str) -> Option<String> {
    let (_, rest) = xml.split_once("<body>")?;
    Some(rest.split_once("</body>")?.0.to_owned())
}

pub(super) fn chat(to: &str, id: &str) -> String {
    format!("<message to='{to}' type='chat' id='{id}'><body>{id}</body></message>")
}

/// An error for the message of this id.
pub(super) fn error_of(id: &str) -> String {
    format!("type='error' id='{id}'")
}
