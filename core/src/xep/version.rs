//! XEP-0092: Software Version, version 1.1.

use super::{Answer, Asked};
use crate::xml::Ns;

/// XEP-0092 §2.
///
/// `Choice:` no `<os/>`. It is optional, and §5 wants a way to hide it: it helps attackers more than anybody else.
pub(super) fn version(asked: &Asked<'_>) -> Answer {
    let software = &asked.config.software;
    Answer::result(|w| {
        w.open("query")
            .attribute("xmlns", Ns::Version.uri())
            .leaf("name", &software.name)
            .leaf("version", &software.version)
            .close();
    })
}
