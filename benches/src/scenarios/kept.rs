//! Messages that are kept: archived for both, stored for who is away, read again; and copies for other sessions. The store in memory that
//! the core's tests have is part of it.

use spondee_core::archive::Policy;
use spondee_core::testing::{Peer, World};

use super::{
    Account, CHAT_BYTES, PASSWORD, RESOURCE, Route, Taking, accept, address, chat_message, sign_in,
    told,
};

/// Messages in an archive of which a page is asked.
const ARCHIVED: usize = 500;
/// Of a page.
const PAGE: usize = 50;

const CARBONS: &[u8] = b"<iq type='set' id='c1'><enable xmlns='urn:xmpp:carbons:2'/></iq>";

const QUERY: &[u8] = b"<iq type='set' id='q1'><query xmlns='urn:xmpp:mam:2' queryid='q1'>\
    <set xmlns='http://jabber.org/protocol/rsm'><max>50</max><before/></set></query></iq>";

impl Route {
    /// Messages that are archived for their sender and for their receiver, who is on another shard.
    #[must_use]
    pub fn archived(count: usize) -> Self {
        Self::new(2, count, Policy::Always)
    }

    /// Messages to who is away, on another shard, archived or not.
    ///
    /// # Panics
    /// They are refused.
    #[must_use]
    pub fn offline(count: usize, policy: Policy) -> Self {
        let (mut route, receiver) = Self::between(2, 0, policy);
        route.input = chat_message(&receiver).repeat(count);
        let written = route.run();
        assert_eq!(written, 0, "the messages are refused");
        route
    }

    /// Messages of which another session of the sender gets a copy, and another one of the receiver.
    ///
    /// # Panics
    /// It does not.
    #[must_use]
    pub fn copied(count: usize) -> Self {
        let (mut route, receiver) = Self::between(2, 1, Policy::Never);
        let sender = route.sender.clone();
        for name in [sender.as_str(), receiver.as_str()] {
            let name = name.split('@').next().unwrap_or_default();
            let mut account = Account::new(name, PASSWORD);
            let peer = accept(&mut route.world, &address(name));
            sign_in(&mut route.world, peer, &mut account, "other");
            route.world.tell_bytes(peer, CARBONS);
            route.world.settle();
            route.world.set_taking(peer, Taking::Counted);
        }
        route.input = chat_message(&format!("{receiver}/{RESOURCE}")).repeat(count);
        let written = route.run();
        assert!(
            written > 3 * route.input.len(),
            "the copies do not arrive: {written}"
        );
        route
    }
}

/// A page of 50 messages from the end of an archive.
#[derive(Debug)]
pub struct Page {
    world: World,
    reader: Peer,
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    /// # Panics
    /// The archive is not filled.
    #[must_use]
    pub fn new() -> Self {
        let mut route = Route::archived(10);
        for _ in 1..ARCHIVED / 10 {
            route.run();
        }
        let Route { world, from, .. } = route;
        let mut page = Self {
            world,
            reader: from,
        };
        let written = page.run();
        assert!(written > PAGE * CHAT_BYTES, "no page: {written}");
        page
    }

    /// Asks for it, and returns how many bytes it has.
    pub fn run(&mut self) -> usize {
        told(&mut self.world, self.reader, QUERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archived_messages_arrive_again_and_again() {
        let mut route = Route::archived(3);
        let first = route.run();
        assert!(first > 3 * CHAT_BYTES);
        assert_eq!(route.run(), first);
    }

    #[test]
    fn who_sends_to_the_absent_hears_nothing() {
        for policy in [Policy::Always, Policy::Never] {
            let mut route = Route::offline(3, policy);
            assert_eq!(route.run(), 0);
        }
    }

    #[test]
    fn both_sides_have_copies() {
        let mut route = Route::copied(3);
        let first = route.run();
        assert!(first > 9 * CHAT_BYTES);
        assert_eq!(route.run(), first);
    }

    #[test]
    fn a_page_has_fifty_messages_each_time() {
        let mut page = Page::new();
        let first = page.run();
        assert!(first > PAGE * CHAT_BYTES);
        assert_eq!(page.run(), first);
    }
}
