//! Version 1: one table for everything, values as JSON under keys.

/// Owners are numbered, so that a row names its owner in a few bytes.
pub(super) const SCHEMA: &str = "
    CREATE TABLE owner (
        id     INTEGER PRIMARY KEY,
        jid    TEXT NOT NULL UNIQUE,
        domain TEXT NOT NULL
    ) STRICT;
    CREATE INDEX owner_by_domain ON owner (domain, jid);
    CREATE TABLE entry (
        id    INTEGER PRIMARY KEY,
        owner INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
        map   TEXT NOT NULL,
        key   BLOB NOT NULL,
        value ANY NOT NULL,
        UNIQUE (owner, map, key)
    ) STRICT;
    CREATE VIEW readable AS
        SELECT owner.jid, entry.map, CAST(entry.key AS TEXT) AS key, entry.value
        FROM entry JOIN owner ON owner.id = entry.owner;
";
