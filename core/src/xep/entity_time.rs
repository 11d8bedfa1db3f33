//! XEP-0202: Entity Time, version 2.0.

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
