//! Version 4: the log has its mark, up to which nothing is owed any more. What was kept for nothing but delivery goes once the mark has
//! passed it, and is found by an index of its own: the other one holds what stays in the archive, too.

pub(super) const SCHEMA: &str = "
    CREATE INDEX archive_owed_only ON archive (owner, key) WHERE kept = 2;
";
