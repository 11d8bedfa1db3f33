//! What says that a stanza is late (XEP-0203).

use alloc::vec::Vec;

use crate::time::to_xep0082;
use crate::xml::{Ns, Writer};

/// `<delay/>` (XEP-0203 §2): who kept it until now, since when, in microseconds.
pub(crate) fn delay(out: &mut Vec<u8>, from: Option<&str>, us: i64) {
    let mut w = Writer::new(out);
    w.open("delay").attribute("xmlns", Ns::Delay.uri());
    if let Some(from) = from {
        w.attribute("from", from);
    }
    w.attribute("stamp", &to_xep0082(us)).close();
}
