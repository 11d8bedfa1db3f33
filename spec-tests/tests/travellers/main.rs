//! Real clients on a journey: between them and the server is a network that cuts, swallows packets and strands connections. Each
//! client comes back by its own stream management (XEP-0198), and has lost nothing.
//!
//! What is shown: it did resume, and did not bind anew; every message is at both ends once and in order; both archives have each
//! once. Where the server lost the session, too, what had been acknowledged is not lost.
//!
//! They run as those of interop.rs do; `SPONDEE_LONG` swallows packets for a minute.
//!
//! # What these clients do
//!
//! All three enable stream management behind binding, with `resume='true'` and no `max`, answer `<r/>` at once, resume with the id of
//! their `<enabled/>`, also the second time, and after `<failed/>` bind and enable anew on the same connection. None looks at the `h`
//! of `<failed/>`, so what was handled and not acknowledged is there twice.
//!
//! | | slixmpp 1.17 | @xmpp/client 0.14 | Smack 4.5.0-beta5 |
//! |---|---|---|---|
//! | asks | behind each fifth stanza, not behind what it sends again | a quarter of a second behind the last stanza of a run; after 30 seconds of silence | behind each message and each fifth stanza, and behind what it sends again |
//! | acknowledges unasked | never | before it ends its stream | before it ends its stream |
//! | connects again | when its user says so | after a second | after 2 to 14 seconds, if its user wants that |
//! | gives up a silent connection | by pings, if its user wants that; writes `</stream:stream>` into it | 60 seconds after a request; writes `</stream:stream>` into it | never by itself |
//! | what the server had not handled, resumed | sends it as it was | sends it with a delay | sends it as it was |
//! | the same after `<failed/>` | forgets it | says that it failed | sends it as it was |
//! | loses by itself | what it had still to send when the connection broke | nothing seen | what is more than 500 not acknowledged |
//! | the connection breaks while it returns | resumes again | forgets the session where it breaks while it sends again | waits for its reply timeout before it tries again |
//!
//! Who writes `</stream:stream>` into a silent connection ends the session, if it arrives before the client has resumed it.

mod anew;
mod journey;
mod partner;
mod traveller;

use std::time::Duration;

use spec_tests::proxy::{Cut, Trouble, Ways};

use crate::anew::{End, finds_the_server_begun_anew};
use crate::journey::{Journey, Outcome, Setting};
use crate::traveller::{GivesUp, Kind};

/// Each way.
const MESSAGES: usize = 1000;
/// A client that does not answer is asleep after so many seconds.
const ACK_DELAY: u64 = 2;

/// For how long packets are swallowed at least; it is over when the server has given the connection up.
fn hole() -> Duration {
    match std::env::var_os("SPONDEE_LONG") {
        Some(_) => Duration::from_secs(60),
        None => Duration::ZERO,
    }
}

/// In the middle of what both write the connection is cut, by whom and how changes, and each time she comes back.
fn is_cut(kind: Kind) -> Outcome {
    Journey::with(kind, Setting::default(), |journey| {
        let cuts = [
            (10_000, Ways::Up, Cut::Reset),
            (20_000, Ways::Down, Cut::Close),
            (5_000, Ways::Up, Cut::Close),
            (30_000, Ways::Both, Cut::Reset),
        ];
        let part = MESSAGES / cuts.len();
        for (number, (bytes, ways, cut)) in (1..).zip(cuts) {
            journey
                .proxy
                .trouble_after(bytes, ways, Trouble::Cut(cut))?;
            journey.talk(part)?;
            journey.proxy.wait_for_troubles(number)?;
            journey.returns(number)?;
        }
        journey.arrives()
    })
}

/// The next cut is there before she has all that waited for her.
fn is_cut_while_it_returns(kind: Kind) -> Outcome {
    Journey::with(kind, Setting::default(), |journey| {
        let cut = Trouble::Cut(Cut::Reset);
        journey.proxy.trouble_after(10_000, Ways::Down, cut)?;
        journey.talk(MESSAGES)?;
        for number in 1..=4 {
            journey.proxy.wait_for_troubles(number)?;
            journey.proxy.trouble_after(40_000, Ways::Down, cut)?;
        }
        journey.returns(3)?;
        journey.arrives()
    })
}

/// Packets are swallowed in the middle of what both write, for longer than the server waits. It gives the connection up and keeps the
/// session; she learns of it when the network is there again.
fn is_swallowed(kind: Kind, ways: Ways) -> Outcome {
    let setting = Setting {
        ack_delay: ACK_DELAY,
        ..Setting::default()
    };
    Journey::with(kind, setting, |journey| {
        journey
            .proxy
            .trouble_after(30_000, Ways::Both, Trouble::Swallow(ways))?;
        journey.talk(MESSAGES)?;
        journey.proxy.wait_for_troubles(1)?;
        std::thread::sleep(hole());
        journey.sleeps()?;
        journey.proxy.pass()?;
        journey.returns(1)?;
        journey.arrives()
    })
}

/// She changes her network in the middle of what both write: what she had is silent for ever, and still stands at the server when she
/// comes.
fn changes_its_network(kind: Kind) -> Outcome {
    let setting = Setting {
        gives_up: GivesUp::AfterSeconds(2),
        ..Setting::default()
    };
    Journey::with(kind, setting, |journey| {
        let sockets = journey.server.sockets();
        for number in 1..=2 {
            journey
                .proxy
                .trouble_after(30_000, Ways::Both, Trouble::Swallow(Ways::Both))?;
            journey.talk(MESSAGES / 2)?;
            journey.proxy.wait_for_troubles(number)?;
            journey.proxy.strand()?;
            journey.returns(number)?;
            journey
                .server
                .wait_for_sockets(sockets)
                .map_err(|e| format!("the connection that was stranded: {e}"))?;
        }
        journey.arrives()
    })
}

#[test]
fn slixmpp_is_cut_in_the_middle_of_a_burst() -> Outcome {
    is_cut(Kind::Slixmpp)
}

#[test]
fn xmppjs_is_cut_in_the_middle_of_a_burst() -> Outcome {
    is_cut(Kind::Xmppjs)
}

#[test]
fn smack_is_cut_in_the_middle_of_a_burst() -> Outcome {
    is_cut(Kind::Smack)
}

/// The others do not survive that, see above.
#[test]
fn slixmpp_is_cut_again_while_it_returns() -> Outcome {
    is_cut_while_it_returns(Kind::Slixmpp)
}

#[test]
fn slixmpp_is_swallowed_both_ways() -> Outcome {
    is_swallowed(Kind::Slixmpp, Ways::Both)
}

#[test]
fn slixmpp_is_not_heard() -> Outcome {
    is_swallowed(Kind::Slixmpp, Ways::Up)
}

#[test]
fn slixmpp_hears_nothing() -> Outcome {
    is_swallowed(Kind::Slixmpp, Ways::Down)
}

#[test]
fn xmppjs_is_swallowed_both_ways() -> Outcome {
    is_swallowed(Kind::Xmppjs, Ways::Both)
}

#[test]
fn xmppjs_is_not_heard() -> Outcome {
    is_swallowed(Kind::Xmppjs, Ways::Up)
}

#[test]
fn smack_is_swallowed_both_ways() -> Outcome {
    is_swallowed(Kind::Smack, Ways::Both)
}

#[test]
fn smack_is_not_heard() -> Outcome {
    is_swallowed(Kind::Smack, Ways::Up)
}

#[test]
fn smack_changes_its_network() -> Outcome {
    changes_its_network(Kind::Smack)
}

#[test]
fn slixmpp_changes_its_network() -> Outcome {
    changes_its_network(Kind::Slixmpp)
}

#[test]
fn xmppjs_changes_its_network() -> Outcome {
    changes_its_network(Kind::Xmppjs)
}

#[test]
fn slixmpp_finds_the_server_stopped_and_begun_anew() -> Outcome {
    finds_the_server_begun_anew(Kind::Slixmpp, End::InOrder)
}

#[test]
fn slixmpp_finds_the_server_killed_and_begun_anew() -> Outcome {
    finds_the_server_begun_anew(Kind::Slixmpp, End::Killed)
}

#[test]
fn xmppjs_finds_the_server_stopped_and_begun_anew() -> Outcome {
    finds_the_server_begun_anew(Kind::Xmppjs, End::InOrder)
}

#[test]
fn xmppjs_finds_the_server_killed_and_begun_anew() -> Outcome {
    finds_the_server_begun_anew(Kind::Xmppjs, End::Killed)
}

#[test]
fn smack_finds_the_server_stopped_and_begun_anew() -> Outcome {
    finds_the_server_begun_anew(Kind::Smack, End::InOrder)
}

#[test]
fn smack_finds_the_server_killed_and_begun_anew() -> Outcome {
    finds_the_server_begun_anew(Kind::Smack, End::Killed)
}
