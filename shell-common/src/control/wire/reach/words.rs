//! What became of connections that we opened, in words.

use spondee_core::port::RefusedPlace;

use super::{Awaited, Became, Condition, Unconnected};
use crate::visible::visible;

impl Became {
    /// For people.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Abandoned => "given up with all of it".to_owned(),
            Self::Reached => "reached".to_owned(),
            Self::Overtaken => "another address was sooner".to_owned(),
            Self::Broke(error) => format!("what it sent is wrong: {}", condition(error)),
            Self::Ended(awaited) => {
                format!("it hung up while we waited for {}", awaited_words(*awaited))
            }
            Self::Evicted => "the server needed its place for somebody else".to_owned(),
            Self::OtherHost(host) => format!("it says that it is {}", visible(host)),
            Self::Plaintext => {
                "something came in the clear where TLS was to begin, and was not believed"
                    .to_owned()
            }
            Self::Policy(why) => format!("refused by us: {why}"),
            Self::Unproven(error) => {
                format!("it does not believe who we are: {}", condition(error))
            }
            Self::Refused(error) => format!("it will not have us: {}", condition(error)),
            Self::RefusedPlace(whose) => format!("not tried: {}", RefusedPlace::from(*whose)),
            Self::StarttlsRefused => "it offers TLS and then refuses it".to_owned(),
            Self::TimedOut(awaited) => {
                format!("{} did not come in time", awaited_words(*awaited))
            }
            Self::TlsFailed => "TLS failed".to_owned(),
            Self::Unconnected(error) => match error {
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
