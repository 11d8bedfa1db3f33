//! Version 5: a host may keep passwords themselves, in a column beside those of keys.

pub(super) const SCHEMA: &str = "
    ALTER TABLE credentials ADD COLUMN password TEXT;
";
