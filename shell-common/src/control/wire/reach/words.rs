//! What became of connections that we opened, in words.

use spondee_core::port::RefusedPlace;

use super::{Awaited, Became, Condition, Unconnected};
use crate::visible::visible;

impl Became {
    /// For people.
    pub(crate) fn words(&self) -> String {
        match self {
            Became::Abandoned => "given up with all of it".to_owned(),
            Became::Reached => "reached".to_owned(),
            Became::Overtaken => "another address was sooner".to_owned(),
            Became::Broke(error) => format!("what it sent is wrong: {}", condition(error)),
            Became::Ended(awaited) => {
                format!("it hung up while we waited for {}", awaited_words(*awaited))
            }
            Became::Evicted => "the server needed its place for somebody else".to_owned(),
            Became::OtherHost(host) => format!("it says that it is {}", visible(host)),
            Became::Plaintext => {
                "something came in the clear where TLS was to begin, and was not believed"
                    .to_owned()
            }
            Became::Policy(why) => format!("refused by us: {why}"),
            Became::Unproven(error) => {
                format!("it does not believe who we are: {}", condition(error))
            }
            Became::Refused(error) => format!("it will not have us: {}", condition(error)),
            Became::RefusedPlace(whose) => format!("not tried: {}", RefusedPlace::from(*whose)),
            Became::StarttlsRefused => "it offers TLS and then refuses it".to_owned(),
            Became::TimedOut(awaited) => {
                format!("{} did not come in time", awaited_words(*awaited))
            }
            Became::TlsFailed => "TLS failed".to_owned(),
            Became::Unconnected(error) => match error {
                Unconnected::Exhausted => {
                    "no connection: this machine has no descriptor, port or memory for it"
                }
                Unconnected::Refused => "no connection: nobody listens there",
                Unconnected::TimedOut => "no connection: nobody answers",
                Unconnected::Unreachable => "no connection: there is no way there from here",
            }
            .to_owned(),
        }
    }
}

const fn awaited_words(awaited: Awaited) -> &'static str {
    match awaited {
        Awaited::Connection => "a connection",
        Awaited::Tls => "the end of the TLS handshake",
        Awaited::Header => "the header of its stream",
        Awaited::Features => "its stream features",
        Awaited::Proof => "its word that it believes who we are",
        Awaited::Proceed => "its word to begin TLS",
    }
}

fn condition(error: &Condition) -> String {
    let name = match error.condition.as_str() {
        "" => "an error without a name".to_owned(),
        name => visible(name),
    };
    match &error.text {
        Some(text) => format!("{name}, \"{}\"", visible(text)),
        None => name,
    }
}
