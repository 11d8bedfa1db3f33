//! Version 6: who lacks keys, and whose password is kept, is found by indexes, which are made from what there is to count.

pub(super) const SCHEMA: &str = "";
