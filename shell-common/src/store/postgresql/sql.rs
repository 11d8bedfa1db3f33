//! The statements, made once from what there is to keep.
//!
//! What reads names its owner by address, so that nothing is asked before: `OF` is looked up once a statement. What writes names it by the
//! number that the writer knows.

use spondee_core::limits::{STORE_LIST_BYTES, STORE_LIST_ROWS, STORE_LOAD_ROWS};
use spondee_core::store::{Catalog, Subset, Table};

use super::fields::is_number;
use super::log_sql::LogSql;
use crate::store::statements::Statements;

pub(super) type Sql = Statements<TableSql, LogSql>;

/// About one table. Parameters: the owner first, by address in what reads, then fields in their order, then what else is named.
#[derive(Debug)]
pub(super) struct TableSql {
    /// One row.
    pub(super) get: String,
    /// The same without a key, with another beside it: address, who stands in if there is no such owner, who is beside it if there is little in
    /// it, and if there is much. First comes which it is: 1 is the own, 2 that of who stands in, 3 the one beside; then whose.
    pub(super) get_unseen: String,
    /// Of the owner's number: whether there is a row of this key.
    pub(super) exists: String,
    pub(super) put: String,
    pub(super) delete: String,
    /// All rows, and one more than there may be.
    pub(super) load: String,
    /// By how many fields of the key are given.
    pub(super) by_prefix: Vec<PrefixSql>,
    /// Domain, address behind which, limit.
    pub(super) owners: String,
    pub(super) purge: String,
}

/// About the rows of one owner that share the beginning of their key.
#[derive(Debug)]
pub(super) struct PrefixSql {
    /// The limit comes last.
    pub(super) list: String,
    /// Behind a key, of which the fields after the prefix come before the limit. Behind the only row of a key there is nothing.
    pub(super) list_after: Option<String>,
    /// The first of them, at most `STORE_LIST_ROWS`: how many, and whether there are more.
    pub(super) delete: String,
}

/// The owner of an address.
pub(super) const OF: &str = "owner = (SELECT id FROM owner WHERE jid = $1)";
pub(super) const OWNER: &str = "SELECT id FROM owner WHERE jid = $1";
/// Addresses; addresses and domains of those who are made if they are not there.
pub(super) const FIND_OWNERS: &str = "WITH made AS (
        INSERT INTO owner (jid, domain)
        SELECT jid, domain FROM unnest($2::text[], $3::text[]) AS new (jid, domain)
        WHERE NOT EXISTS (SELECT 1 FROM owner WHERE owner.jid = new.jid)
        RETURNING id, jid
    ) SELECT id, jid FROM made
    UNION ALL SELECT id, jid FROM owner WHERE jid = ANY ($1::text[])";
pub(super) const LEAVE: &str = "UPDATE owner SET jid = NULL, domain = NULL WHERE id = $1";
pub(super) const LEFT: &str = "SELECT id FROM owner WHERE jid IS NULL LIMIT 1";
pub(super) const FORGET_OWNER: &str = "DELETE FROM owner WHERE id = $1";

impl Sql {
    pub(super) fn new(catalog: &Catalog) -> Self {
        Self::of(catalog, TableSql::new, LogSql::new, count_in)
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<&str> {
        let mut all = vec![OWNER, FIND_OWNERS, LEAVE, LEFT, FORGET_OWNER];
        all.extend(self.subsets());
        for (_, sql) in self.tables() {
            all.extend([&sql.get, &sql.get_unseen, &sql.exists].map(String::as_str));
            all.extend([&sql.put, &sql.delete].map(String::as_str));
            all.extend([&sql.load, &sql.owners, &sql.purge].map(String::as_str));
            for sql in &sql.by_prefix {
                all.extend([&sql.list, &sql.delete].map(String::as_str));
                all.extend(sql.list_after.as_deref());
            }
        }
        all.extend(self.logs().flat_map(|(_, sql)| sql.all()));
        all
    }
}

impl TableSql {
    fn new(table: Table) -> Self {
        let name = table.name;
        let keys: Vec<&str> = table.key.iter().map(|column| column.name).collect();
        let all: Vec<&str> = table.all().map(|column| column.name).collect();
        let fields = all.join(", ");
        let is_key = equal(&keys, 2);
        let by_key = in_order(&keys);
        let values: Vec<String> = (1..=all.len() + 1).map(|n| format!("${n}")).collect();
        let update: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("{0} = excluded.{0}", column.name))
            .collect();
        let conflict = match update.is_empty() {
            true => "NOTHING".to_owned(),
            false => format!("UPDATE SET {}", update.join(", ")),
        };
        let key = [&["owner"], &keys[..]].concat().join(", ");
        let columns = [&["owner"], &all[..]].concat().join(", ");
        let qualified: Vec<String> = all.iter().map(|name| format!("kept.{name}")).collect();
        Self {
            get: format!("SELECT {fields} FROM {name} WHERE {OF}{is_key}"),
            get_unseen: format!(
                "WITH own AS (
                    SELECT owner, {fields} FROM {name} WHERE owner = coalesce(({OWNER}), $2)
                ), beside AS (
                    SELECT owner, {fields} FROM {name} WHERE owner = (
                        SELECT CASE WHEN num_nulls({fields}) * 2 > {} THEN $3::bigint ELSE $4::bigint END FROM own
                    )
                ) SELECT CASE WHEN owner = ({OWNER}) THEN 1 ELSE 2 END::bigint, own.* FROM own
                UNION ALL SELECT 3::bigint, beside.* FROM beside",
                all.len()
            ),
            exists: format!("SELECT 1 FROM {name} WHERE owner = $1{is_key}"),
            put: format!(
                "INSERT INTO {name} ({columns}) VALUES ({}) ON CONFLICT ({key}) DO {conflict}",
                values.join(", "),
            ),
            delete: format!("DELETE FROM {name} WHERE owner = $1{is_key}"),
            load: format!(
                "SELECT {fields} FROM {name} WHERE {OF}{by_key} LIMIT {}",
                STORE_LOAD_ROWS + 1
            ),
            by_prefix: (0..=keys.len()).map(|n| PrefixSql::new(table, n)).collect(),
            // No address is empty, so behind the empty text is the beginning. The host itself is not below the host.
            owners: format!(
                "SELECT owner.jid, {} FROM owner JOIN {name} AS kept ON kept.owner = owner.id
                 WHERE owner.domain = $1 AND owner.jid > $2 AND owner.jid <> $1
                 ORDER BY owner.jid LIMIT $3",
                qualified.join(", "),
            ),
            purge: format!("DELETE FROM {name} WHERE owner = $1"),
        }
    }
}

impl PrefixSql {
    fn new(table: Table, length: usize) -> Self {
        let name = table.name;
        let keys: Vec<&str> = table.key.iter().map(|column| column.name).collect();
        let (prefix, rest) = keys.split_at(length);
        let (is_prefix, by_key) = (equal(prefix, 2), in_order(rest));
        let behind = length + 2;
        let limit = behind + rest.len();
        let places: Vec<String> = (behind..limit).map(|n| format!("${n}")).collect();
        let after = format!("({}) > ({})", rest.join(", "), places.join(", "));
        let first = format!("WHERE {OF}{is_prefix}{by_key} LIMIT ${behind}");
        let later = format!("WHERE {OF}{is_prefix} AND {after}{by_key} LIMIT ${limit}");
        let within = format!("FROM {name} WHERE owner = $1{is_prefix}");
        Self {
            list: cut(table, rest, &first),
            list_after: (!rest.is_empty()).then(|| cut(table, rest, &later)),
            // What is asked beside the deletion sees what was there before.
            delete: format!(
                "WITH gone AS (
                    DELETE FROM {name} WHERE ctid = ANY (ARRAY (
                        SELECT ctid {within}{by_key} LIMIT {STORE_LIST_ROWS}
                    )) RETURNING 1
                ) SELECT (SELECT count(*) FROM gone), EXISTS (SELECT 1 {within} OFFSET {STORE_LIST_ROWS})"
            ),
        }
    }
}

/// Rows as far as an answer has room, or a few more, so that long ones do not come to be thrown away: behind the row at which it is full
/// comes one that tells that there are more.
fn cut(table: Table, rest: &[&str], which: &str) -> String {
    let name = table.name;
    let fields: Vec<&str> = table.all().map(|column| column.name).collect();
    let fields = fields.join(", ");
    if rest.is_empty() {
        return format!("SELECT {fields} FROM {name} {which}");
    }
    let sizes = table.all().filter(|column| !is_number(column));
    let sizes: Vec<String> = sizes
        .map(|column| format!("coalesce(octet_length({}), 0)", column.name))
        .chain(["0".to_owned()])
        .collect();
    let (sizes, by_key) = (sizes.join(" + "), in_order(rest));
    format!(
        "SELECT {fields} FROM (
            SELECT {fields}, sum({sizes}) OVER ({by_key} ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING) AS filled
            FROM (SELECT {fields} FROM {name} {which}) AS picked
        ) AS weighed WHERE coalesce(filled, 0) <= {STORE_LIST_BYTES}{by_key}"
    )
}

/// What a row of a subset is, and by that which index has them all.
pub(super) fn is_in(subset: &Subset) -> String {
    let empty = subset.empty.iter().map(|name| format!("{name} IS NULL"));
    let filled = subset.filled.iter();
    let filled: Vec<String> = filled.map(|name| format!("{name} IS NOT NULL")).collect();
    let parts: Vec<String> = empty
        .chain([format!("({})", filled.join(" OR "))])
        .collect();
    parts.join(" AND ")
}

fn count_in(subset: &Subset) -> String {
    let table = subset.table.name;
    let condition = is_in(subset);
    format!(
        "SELECT count(*) FROM (
            SELECT 1 FROM {table} JOIN owner ON owner.id = {table}.owner
            WHERE {condition} AND owner.domain = $1 AND owner.jid <> $1 LIMIT $2
        ) AS counted"
    )
}

/// Conditions on these columns, whose values begin with this parameter.
fn equal(columns: &[&str], first: usize) -> String {
    let terms = columns.iter().zip(first..);
    terms
        .map(|(name, n)| format!(" AND {name} = ${n}"))
        .collect()
}

fn in_order(columns: &[&str]) -> String {
    match columns {
        [] => String::new(),
        columns => format!(" ORDER BY {}", columns.join(", ")),
    }
}
