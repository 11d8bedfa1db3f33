//! What is said of logs.
//!
//! A log has two indexes, (owner, key) and (owner, peer, key), and two partial ones of what is owed.

use spondee_core::limits::{STORE_OWED_ENTRIES, STORE_PAGE_BYTES};
use spondee_core::store::{Kept, Log, Mark, Order};

use super::sql::OF;

/// About one log. What reads has the owner's address first, what writes its number.
#[derive(Debug)]
pub(super) struct LogSql {
    /// Owners, keys, peers, resources, purposes and payloads of entries.
    pub(super) append: String,
    pub(super) blank: String,
    pub(super) oldest: String,
    pub(super) last: String,
    /// Bytes of the payloads that are owed, up to one more than are counted.
    pub(super) owed: String,
    /// For each `Kept`.
    by_kept: [KeptSql; 3],
    /// Domain, address to begin with, key before which, limit: owners, their oldest keys, and whether something delivered is left.
    pub(super) sweep: String,
    /// Owner and limit: what is kept for delivery only and was delivered. How many went.
    pub(super) delivered: String,
    /// Owner and limit: some entries, which go. How many.
    pub(super) forget: String,
}

/// Owner; keys behind which and before which; then peer and resource; the limit last.
#[derive(Debug)]
pub(super) struct KeptSql {
    forward: String,
    backward: String,
    forward_with: String,
    backward_with: String,
    pub(super) count: String,
    pub(super) count_with: String,
    /// Owner and keys.
    pub(super) some: String,
    /// Owner, key before which, limit: keys and bytes of payloads, from the newest.
    pub(super) sizes: String,
    /// Owner, key before which, limit: how many went or lost a bit, and whether there are more.
    pub(super) trim: String,
}

/// The key that nothing is before. As text: with its sign before it, it would be no `bigint`.
const NEVER: &str = "'-9223372036854775808'::bigint";

impl LogSql {
    pub(super) fn new(log: Log) -> Self {
        let name = log.name;
        let kinds = [Kept::Archived, Kept::Owed, Kept::Both];
        let end = |order| format!("SELECT key FROM {name} WHERE {OF} ORDER BY key {order} LIMIT 1");
        let done = done_of(log, "$1");
        let done_of_owner = done_of(log, "below.id");
        let done_of_address = done_of(log, "(SELECT id FROM owner WHERE jid = $1)");
        Self {
            append: format!(
                "INSERT INTO {name} (owner, key, peer, resource, kept, xml)
                 SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[])"
            ),
            blank: format!("UPDATE {name} SET xml = NULL WHERE owner = $1 AND key = $2"),
            oldest: end("ASC"),
            last: end("DESC"),
            owed: format!(
                "SELECT octet_length(xml)::bigint FROM {name} WHERE {OF} AND kept >= 2
                 AND key > {done_of_address} ORDER BY key LIMIT {}",
                STORE_OWED_ENTRIES + 1
            ),
            by_kept: kinds.map(|kept| KeptSql::new(log, kept)),
            sweep: format!(
                "SELECT id, jid,
                    coalesce((SELECT key FROM {name} WHERE owner = below.id ORDER BY key LIMIT 1) < $3, false),
                    EXISTS (SELECT 1 FROM {name} WHERE owner = below.id AND kept = 2 AND key <= {done_of_owner})
                 FROM (SELECT id, jid FROM owner WHERE domain = $1 AND jid >= $2 ORDER BY jid LIMIT $4) AS below
                 ORDER BY jid"
            ),
            delivered: {
                let within = format!("FROM {name} WHERE owner = $1 AND kept = 2 AND key <= {done}");
                let last = put_last(log);
                format!(
                    "WITH gone AS (
                        DELETE FROM {name} WHERE ctid = ANY (ARRAY (SELECT ctid {within} ORDER BY key LIMIT $2))
                        RETURNING key
                    ){last} SELECT count(*) FROM gone"
                )
            },
            forget: format!(
                "WITH gone AS (
                    DELETE FROM {name} WHERE ctid = ANY (ARRAY (
                        SELECT ctid FROM {name} WHERE owner = $1 LIMIT $2
                    )) RETURNING 1
                ) SELECT count(*) FROM gone"
            ),
        }
    }

    pub(super) const fn kept(&self, kept: Kept) -> &KeptSql {
        let [archived, owed, both] = &self.by_kept;
        match kept {
            Kept::Archived => archived,
            Kept::Owed => owed,
            Kept::Both => both,
        }
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<&str> {
        let mut all = vec![&self.append, &self.blank, &self.oldest, &self.last];
        all.extend([&self.owed, &self.sweep, &self.delivered, &self.forget]);
        for sql in &self.by_kept {
            all.extend([&sql.forward, &sql.backward, &sql.count, &sql.some]);
            all.extend([&sql.forward_with, &sql.backward_with, &sql.count_with]);
            all.extend([&sql.sizes, &sql.trim]);
        }
        all.into_iter().map(String::as_str).collect()
    }
}

impl KeptSql {
    fn new(log: Log, kept: Kept) -> Self {
        let name = log.name;
        // Each has an index of its own, but for what is archived.
        let only = match kept {
            Kept::Archived => " AND kept <> 2",
            Kept::Owed => " AND kept >= 2",
            Kept::Both => "",
        };
        let between = format!("FROM {name} WHERE {OF} AND key > $2 AND key < $3{only}");
        let with = " AND peer = $4 AND ($5::text IS NULL OR resource = $5)";
        let page = |order| cut(&format!("{between} ORDER BY key {order} LIMIT $4"), order);
        let page_with = |order| {
            cut(
                &format!("{between}{with} ORDER BY key {order} LIMIT $6"),
                order,
            )
        };
        Self {
            forward: page("ASC"),
            backward: page("DESC"),
            forward_with: page_with("ASC"),
            backward_with: page_with("DESC"),
            count: format!("SELECT count(*) {between}"),
            count_with: format!("SELECT count(*) {between}{with}"),
            // All of them are wanted, but not all that they say.
            some: format!(
                "SELECT key, peer, resource, kept, CASE WHEN coalesce(filled, 0) <= {STORE_PAGE_BYTES} THEN xml END
                 FROM ({}) AS weighed ORDER BY key",
                weighed(
                    &format!("FROM {name} WHERE {OF} AND key = ANY ($2){only} ORDER BY key"),
                    "ASC"
                )
            ),
            sizes: format!(
                "SELECT key, octet_length(xml)::bigint FROM {name}
                 WHERE {OF} AND key < $2{only} ORDER BY key DESC LIMIT $3"
            ),
            trim: trim(log, kept, only),
        }
    }

    pub(super) const fn page(&self, order: Order) -> &String {
        match order {
            Order::Backward => &self.backward,
            Order::Forward => &self.forward,
        }
    }

    pub(super) const fn page_with(&self, order: Order) -> &String {
        match order {
            Order::Backward => &self.backward_with,
            Order::Forward => &self.forward_with,
        }
    }
}

/// Entries, and how much their payloads are before the last two of each.
fn weighed(which: &str, order: &str) -> String {
    format!(
        "SELECT key, peer, resource, kept, xml, sum(coalesce(octet_length(xml), 0)) OVER
            (ORDER BY key {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS filled
         FROM (SELECT key, peer, resource, kept, xml {which}) AS picked"
    )
}

/// Entries as far as a page has room, or a few more: behind the one at which it is full comes one that tells that there are more.
fn cut(which: &str, order: &str) -> String {
    format!(
        "SELECT key, peer, resource, kept, xml FROM ({}) AS weighed
         WHERE coalesce(filled, 0) <= {STORE_PAGE_BYTES} ORDER BY key {order}",
        weighed(which, order)
    )
}

/// Up to where nothing is owed to the owner of a number.
fn done_of(log: Log, owner: &str) -> String {
    match log.done {
        Some(Mark { table, column }) => format!(
            "coalesce((SELECT {column} FROM {} WHERE owner = {owner}), {NEVER})",
            table.name
        ),
        None => NEVER.to_owned(),
    }
}

/// If the last entry of the log is among those that are `gone`, its key stays behind.
fn put_last(log: Log) -> String {
    let name = log.name;
    let put = |Mark { table, column }| {
        let table = table.name;
        format!(
            ", mark AS (
                INSERT INTO {table} (owner, {column})
                SELECT $1, max(key) FROM gone HAVING count(*) > 0 AND NOT EXISTS (
                    SELECT 1 FROM {name} WHERE owner = $1 AND key > (SELECT max(key) FROM gone)
                )
                ON CONFLICT (owner) DO UPDATE SET {column} = greatest({table}.{column}, excluded.{column})
            )"
        )
    };
    log.last.map_or_else(String::new, put)
}

fn trim(log: Log, kept: Kept, only: &str) -> String {
    let name = log.name;
    let (done, last) = (done_of(log, "$1"), put_last(log));
    // What is left of three bits when these are taken: `Kept::left`.
    let (stays, owed) = (3 & !kept.bits(), Kept::Owed.bits());
    let within = format!("FROM {name} WHERE owner = $1 AND key < $2{only}");
    format!(
        "WITH due AS (
            SELECT key, (kept & {stays}) & CASE WHEN key <= {done} THEN ~{owed} ELSE 3 END AS rest
            {within} ORDER BY key LIMIT $3
        ), gone AS (
            DELETE FROM {name} USING due WHERE {name}.owner = $1 AND {name}.key = due.key AND rest = 0
            RETURNING {name}.key
        ), less AS (
            UPDATE {name} SET kept = rest FROM due
            WHERE {name}.owner = $1 AND {name}.key = due.key AND rest <> 0 RETURNING 1
        ){last} SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM less), EXISTS (SELECT 1 {within} OFFSET $3)"
    )
}
