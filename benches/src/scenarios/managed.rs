//! Sessions under stream management (XEP-0198), and those of clients that are inactive (XEP-0352).

use spondee_core::archive::Policy;
use spondee_core::port::Closed;
use spondee_core::testing::{Peer, World};

use super::{
    Account, Broadcast, CONTACTS, PASSWORD, RESOURCE, Route, Taking, accept, address, authenticate,
    chat_message, config, record, sign_in, told, world,
};

const ENABLE: &[u8] = b"<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
const REQUEST: &[u8] = b"<r xmlns='urn:xmpp:sm:3'/>";
const INACTIVE: &[u8] = b"<inactive xmlns='urn:xmpp:csi:0'/>";
const ACTIVE: &[u8] = b"<active xmlns='urn:xmpp:csi:0'/>";

/// Messages between two sessions under stream management, on two shards. The sender asks behind all of them, the receiver acknowledges all
/// of them; nothing is archived.
#[derive(Debug)]
pub struct Managed {
    route: Route,
    count: u32,
    /// What the receiver has got.
    received: u32,
}

impl Managed {
    /// # Panics
    /// They are not acknowledged.
    #[must_use]
    pub fn new(count: u32) -> Self {
        let (mut route, receiver) = Route::between(2, 1, Policy::Never);
        for peer in route.to.clone().into_iter().chain([route.from]) {
            enable(&mut route.world, peer);
            route.world.set_taking(peer, Taking::Counted);
        }
        let message = chat_message(&format!("{receiver}/{RESOURCE}"));
        let times = usize::try_from(count).expect("a few");
        route.input = [message.repeat(times), REQUEST.to_vec()].concat();
        route.world.set_taking(route.from, Taking::All);
        let mut managed = Self {
            route,
            count,
            received: 0,
        };
        let written = managed.run();
        assert!(written > managed.route.input.len(), "they do not arrive");
        let Route { world, from, .. } = &mut managed.route;
        let heard = String::from_utf8(world.take_received(*from)).expect("text");
        let all = format!("h='{count}'");
        assert!(heard.contains(&all), "{heard}");
        world.set_taking(*from, Taking::Counted);
        managed
    }

    /// Sends and acknowledges them, and returns how many bytes all get.
    pub fn run(&mut self) -> usize {
        let Self {
            route,
            count,
            received,
        } = self;
        let mut written = route.run();
        *received = received.wrapping_add(*count);
        let answer = format!("<a xmlns='urn:xmpp:sm:3' h='{received}'/>");
        for peer in &route.to {
            written += told(&mut route.world, *peer, answer.as_bytes());
        }
        written
    }
}

/// A session whose connection is reset and that is resumed on another one: TLS apart, a whole sign-in. The client's part of SCRAM is in it.
#[derive(Debug)]
pub struct Resume {
    world: World,
    account: Account,
    peer: Peer,
    request: String,
}

impl Default for Resume {
    fn default() -> Self {
        Self::new()
    }
}

impl Resume {
    /// Before the first time.
    #[must_use]
    pub fn new() -> Self {
        let mut account = Account::new("juliet", PASSWORD);
        let record = record(account.name());
        let mut world = world(&config(1, Policy::Always), [record].into_iter());
        let peer = accept(&mut world, &address(account.name()));
        sign_in(&mut world, peer, &mut account, RESOURCE);
        told(&mut world, peer, b"<presence/>");
        world.take_received(peer);
        let id = enable(&mut world, peer);
        Self {
            world,
            account,
            peer,
            request: format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"),
        }
    }

    /// Loses its connection, comes back, and says how many bytes it got for that.
    ///
    /// # Panics
    /// It is not resumed.
    pub fn run(&mut self) -> usize {
        let Self {
            world,
            account,
            peer,
            request,
        } = self;
        world.tell_closed(*peer, Closed::Reset);
        world.settle();
        *peer = accept(world, &address(account.name()));
        let before = world.taken();
        authenticate(world, *peer, account);
        told(world, *peer, request.as_bytes());
        let heard = String::from_utf8(world.take_received(*peer)).expect("text");
        assert!(heard.contains("<resumed"), "{heard}");
        if heard.contains("<r ") {
            told(world, *peer, b"<a xmlns='urn:xmpp:sm:3' h='0'/>");
        }
        world.notes.clear();
        world.taken() - before
    }
}

impl Broadcast {
    /// To contacts whose clients are inactive: it is held for each of them, in the place of the one before.
    ///
    /// # Panics
    /// It is not held.
    #[must_use]
    pub fn held() -> Self {
        let mut broadcast = Self::new();
        broadcast.everybody_says(INACTIVE);
        let written = broadcast.run();
        let own = 2 * broadcast.input.len() + 200;
        assert!(written < own, "the presence is not held: {written}");
        let written = broadcast.everybody_says(ACTIVE);
        let all = CONTACTS * broadcast.input.len();
        assert!(written > all, "the presence is lost: {written}");
        broadcast.everybody_says(INACTIVE);
        broadcast
    }

    /// How many bytes they get for it.
    fn everybody_says(&mut self, text: &[u8]) -> usize {
        let Self { world, to, .. } = self;
        to.iter().map(|peer| told(world, *peer, text)).sum()
    }
}

/// Puts a session under stream management; what names it.
fn enable(world: &mut World, peer: Peer) -> String {
    world.set_taking(peer, Taking::All);
    told(world, peer, ENABLE);
    let heard = String::from_utf8(world.take_received(peer)).expect("text");
    let id = heard
        .split_once(" id='")
        .and_then(|(_, rest)| rest.split_once('\''));
    id.expect("a session that can be resumed").0.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_acknowledged_again_and_again() {
        let mut managed = Managed::new(3);
        let first = managed.run();
        assert!(first > managed.route.input.len());
        assert!(managed.run().abs_diff(first) < 10);
    }

    #[test]
    fn a_session_is_resumed_again_and_again() {
        let mut resume = Resume::new();
        let first = resume.run();
        assert!(first > 1000);
        assert_eq!(resume.run(), first);
    }

    #[test]
    fn inactive_clients_hear_nothing() {
        let mut broadcast = Broadcast::held();
        let first = broadcast.run();
        assert_eq!(broadcast.run(), first);
    }
}
