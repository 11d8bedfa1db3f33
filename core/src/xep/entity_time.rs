//! XEP-0202: Entity Time, version 2.0.
//!
//! Of a host, and to an account's own sessions of the account, on whose behalf the server answers (RFC 6121 §8.5.2.1.3). To others an account
//! has no clock: where its user is, no server knows.

use super::{Answer, Asked};
use crate::xml::Ns;

/// XEP-0202 §2.
///
/// `Choice:` the offset is always that of UTC. Where a server stands is nobody's business (§6), and the core knows no time zones. It is
/// written in numbers, as §2 calls it, which more clients read than `Z`.
pub(super) fn time(asked: &Asked<'_>) -> Answer {
    Answer::result(|w| {
        w.open("time")
            .attribute("xmlns", Ns::Time.uri())
            .leaf("tzo", "+00:00")
            .leaf("utc", &asked.now.wall.to_xep0082())
            .close();
    })
}
