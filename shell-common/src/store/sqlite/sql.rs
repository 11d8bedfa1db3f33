//! The statements, made once from what there is to keep. `plan_test` looks at how SQLite carries each of them out.

use spondee_core::store::{Catalog, Kept, Log, Mark, Subset, Table};

use crate::store::statements::Statements;

pub(super) type Sql = Statements<TableSql, LogSql>;

/// About one table. Parameters: the owner first, then fields in their order, then what else is named.
#[derive(Debug)]
pub(super) struct TableSql {
    /// One row of the owner with this address.
    pub(super) get: String,
    /// The same without a key, or the row of another owner, whose number comes second, if there is no such owner; whose it is comes last.
    pub(super) get_unseen: String,
    /// Whether there is a row of this key.
    pub(super) exists: String,
    pub(super) put: String,
    pub(super) delete: String,
    /// All rows of an owner.
    pub(super) load: String,
    /// By the number of fields in the prefix.
    pub(super) by_prefix: Vec<PrefixSql>,
    /// Domain, address behind which, limit.
    pub(super) owners: String,
    /// All rows of an owner.
    pub(super) purge: String,
}

#[derive(Debug)]
pub(super) struct PrefixSql {
    /// Limit last.
    pub(super) list: String,
    /// The same behind a key, of which the fields after the prefix come before the limit.
    pub(super) list_after: Option<String>,
    /// The key of the row that many rows behind the first; how many comes last.
    pub(super) nth: String,
    /// All of them.
    pub(super) delete: String,
    /// Those before a key.
    pub(super) delete_before: Option<String>,
}

/// About one log.
#[derive(Debug)]
pub(super) struct LogSql {
    pub(super) append: String,
    pub(super) append_day: String,
    pub(super) blank: String,
    pub(super) oldest: String,
    pub(super) last: String,
    /// For each `Kept`.
    pub(super) by_kept: [KeptSql; 3],
    pub(super) days_forward: String,
    pub(super) days_backward: String,
    /// Owner, key before which, limit: what is kept for delivery only.
    pub(super) delivered: String,
    /// Up to where nothing is owed, if the log has such a mark.
    pub(super) done: Option<String>,
    /// Owner and key, if the log has a mark for it.
    pub(super) put_last: Option<String>,
    pub(super) forget: String,
    pub(super) forget_days: String,
    pub(super) keep_less: String,
    /// Bytes of the payloads that are owed: owner, key behind which, limit.
    pub(super) owed: String,
    /// Some entries of an owner, by their number.
    pub(super) some: String,
}

/// Owner; keys behind which and before which; then tag, peer and resource; the limit last.
#[derive(Debug)]
pub(super) struct KeptSql {
    pub(super) forward: String,
    pub(super) backward: String,
    pub(super) forward_with: String,
    pub(super) backward_with: String,
    pub(super) count: String,
    pub(super) count_with: String,
    /// Owner and key.
    pub(super) one: String,
    /// Owner, key before which, limit: what a trim may take.
    pub(super) old: String,
    /// Owner, key before which, limit: keys and bytes of payloads, from the newest.
    pub(super) sizes: String,
}

/// One row of this address, and those that are purged and not yet empty.
pub(super) const OWNER: &str = "SELECT id FROM owner WHERE jid = ?1";
pub(super) const NEW_OWNER: &str = "INSERT INTO owner (jid, domain) VALUES (?1, ?2)";
pub(super) const LEAVE: &str = "UPDATE owner SET jid = NULL, domain = NULL WHERE id = ?1";
pub(super) const LEFT: &str = "SELECT id FROM owner WHERE jid IS NULL LIMIT 1";
pub(super) const FORGET_OWNER: &str = "DELETE FROM owner WHERE id = ?1";
/// Domain, address to begin with, limit.
pub(super) const OWNERS: &str =
    "SELECT id, jid FROM owner WHERE domain = ?1 AND jid >= ?2 ORDER BY jid LIMIT ?3";

impl Sql {
    pub(super) fn new(catalog: &Catalog) -> Self {
        Self::of(catalog, TableSql::new, LogSql::new, count_in)
    }

    /// All of them.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<&str> {
        let mut all = vec![OWNER, NEW_OWNER, LEAVE, LEFT, FORGET_OWNER, OWNERS];
        all.extend(self.subsets());
        for (_, sql) in self.tables() {
            all.extend([&sql.get, &sql.get_unseen, &sql.exists].map(String::as_str));
            all.extend([&sql.put, &sql.delete].map(String::as_str));
            all.extend([&sql.load, &sql.owners, &sql.purge].map(String::as_str));
            for sql in &sql.by_prefix {
                all.extend([&sql.list, &sql.nth, &sql.delete].map(String::as_str));
                let some = [&sql.list_after, &sql.delete_before];
                all.extend(some.into_iter().flatten().map(String::as_str));
            }
        }
        for (_, sql) in self.logs() {
            all.extend([&sql.append, &sql.append_day, &sql.blank].map(String::as_str));
            all.extend([&sql.oldest, &sql.last, &sql.some, &sql.owed].map(String::as_str));
            all.extend([&sql.days_forward, &sql.days_backward].map(String::as_str));
            all.extend([&sql.forget, &sql.forget_days, &sql.keep_less].map(String::as_str));
            let marks = [&sql.done, &sql.put_last];
            all.extend(marks.into_iter().flatten().map(String::as_str));
            all.push(&sql.delivered);
            for sql in &sql.by_kept {
                all.extend([&sql.forward, &sql.backward, &sql.count].map(String::as_str));
                all.extend([&sql.forward_with, &sql.backward_with].map(String::as_str));
                all.extend([&sql.count_with, &sql.one, &sql.old, &sql.sizes].map(String::as_str));
            }
        }
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
        let values: Vec<String> = (1..=all.len() + 1).map(|n| format!("?{n}")).collect();
        let update: Vec<String> = table
            .columns
            .iter()
            .map(|column| format!("{0} = excluded.{0}", column.name))
            .collect();
        let conflict = [&["owner"], &keys[..]].concat().join(", ");
        let columns = [&["owner"], &all[..]].concat().join(", ");
        let qualified: Vec<String> = all.iter().map(|name| format!("kept.{name}")).collect();
        Self {
            get: format!("SELECT {fields} FROM {name} WHERE owner = ({OWNER}){is_key}"),
            get_unseen: format!(
                "SELECT {fields}, owner FROM {name} WHERE owner = coalesce(({OWNER}), ?2)"
            ),
            exists: format!("SELECT 1 FROM {name} WHERE owner = ?1{is_key}"),
            put: format!(
                "INSERT INTO {name} ({columns}) VALUES ({}) ON CONFLICT ({conflict}) DO UPDATE SET {}",
                values.join(", "),
                update.join(", "),
            ),
            delete: format!("DELETE FROM {name} WHERE owner = ?1{is_key}"),
            load: format!("SELECT {fields} FROM {name} WHERE owner = ?1{by_key}"),
            by_prefix: (0..=keys.len()).map(|n| PrefixSql::new(table, n)).collect(),
            // No address is empty, so behind the empty text is the beginning. The host itself is not below the host.
            owners: format!(
                "SELECT owner.jid, {} FROM owner CROSS JOIN {name} AS kept ON kept.owner = owner.id
                 WHERE owner.domain = ?1 AND owner.jid > ?2 AND owner.jid <> ?1
                 ORDER BY owner.jid LIMIT ?3",
                qualified.join(", "),
            ),
            purge: format!("DELETE FROM {name} WHERE owner = ?1"),
        }
    }
}

/// What a row of a subset is, and by that which index has them all.
pub(in crate::store) fn is_in(subset: &Subset) -> String {
    let empty = subset.empty.iter().map(|name| format!("{name} IS NULL"));
    let filled = subset.filled.iter();
    let filled: Vec<String> = filled.map(|name| format!("{name} IS NOT NULL")).collect();
    let parts: Vec<String> = empty
        .chain([format!("({})", filled.join(" OR "))])
        .collect();
    parts.join(" AND ")
}

fn count_in(subset: &Subset) -> String {
    let (name, table) = (subset.index(), subset.table.name);
    let condition = is_in(subset);
    // Those in the index first: there are few, and it has them all.
    format!(
        "SELECT count(*) FROM (
            SELECT 1 FROM {table} INDEXED BY {name} CROSS JOIN owner ON owner.id = {table}.owner
            WHERE {condition} AND owner.domain = ?1 AND owner.jid <> ?1 LIMIT ?2)"
    )
}

impl PrefixSql {
    fn new(table: Table, length: usize) -> Self {
        let name = table.name;
        let keys: Vec<&str> = table.key.iter().map(|column| column.name).collect();
        let fields: Vec<&str> = table.all().map(|column| column.name).collect();
        let fields = fields.join(", ");
        let (prefix, rest) = keys.split_at(length);
        let within = format!("FROM {name} WHERE owner = ?1{}", equal(prefix, 2));
        let by_key = in_order(rest);
        let behind = length + 2;
        let limit = behind + rest.len();
        let compare = |sign| {
            let places: Vec<String> = (behind..limit).map(|n| format!("?{n}")).collect();
            format!(" AND ({}) {sign} ({})", rest.join(", "), places.join(", "))
        };
        let some = |sql: String| (!rest.is_empty()).then_some(sql);
        let which = if keys.is_empty() {
            "1"
        } else {
            &keys.join(", ")
        };
        Self {
            list: format!("SELECT {fields} {within}{by_key} LIMIT ?{behind}"),
            list_after: some(format!(
                "SELECT {fields} {within}{}{by_key} LIMIT ?{limit}",
                compare(">")
            )),
            nth: format!("SELECT {which} {within}{by_key} LIMIT 1 OFFSET ?{behind}"),
            delete: format!("DELETE {within}"),
            delete_before: some(format!("DELETE {within}{}", compare("<"))),
        }
    }
}

impl LogSql {
    fn new(log: Log) -> Self {
        let name = log.name;
        let by_kept = [Kept::Archived, Kept::Owed, Kept::Both];
        let days = |order| {
            format!(
                "SELECT day FROM {name}_day WHERE owner = ?1 AND tag = ?2 AND day >= ?3 AND day <= ?4
                 ORDER BY day {order}"
            )
        };
        let end =
            |order| format!("SELECT key FROM {name} WHERE owner = ?1 ORDER BY key {order} LIMIT 1");
        Self {
            append: format!(
                "INSERT INTO {name} (owner, key, tag, peer, resource, kept, xml)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
            ),
            append_day: format!(
                "INSERT OR IGNORE INTO {name}_day (owner, tag, day) VALUES (?1, ?2, ?3)"
            ),
            blank: format!("UPDATE {name} SET xml = NULL WHERE owner = ?1 AND key = ?2"),
            oldest: end("ASC"),
            last: end("DESC"),
            by_kept: by_kept.map(|kept| KeptSql::new(name, kept)),
            days_forward: days("ASC"),
            days_backward: days("DESC"),
            delivered: format!(
                "SELECT id, key, kept FROM {name} INDEXED BY {name}_owed_only
                 WHERE owner = ?1 AND key < ?2 AND kept = 2 ORDER BY key LIMIT ?3"
            ),
            done: log.done.map(|Mark { table, column }| {
                format!(
                    "SELECT {column} FROM {} WHERE owner = ?1 AND {column} IS NOT NULL",
                    table.name
                )
            }),
            put_last: log.last.map(|Mark { table, column }| {
                format!(
                    "INSERT INTO {} (owner, {column}) VALUES (?1, ?2)
                     ON CONFLICT (owner) DO UPDATE SET {column} = max(coalesce({column}, ?2), ?2)",
                    table.name
                )
            }),
            forget: format!("DELETE FROM {name} WHERE id = ?1"),
            forget_days: format!("DELETE FROM {name}_day WHERE owner = ?1 AND day < ?2"),
            owed: format!(
                "SELECT octet_length(xml) FROM {name} INDEXED BY {name}_owed
                 WHERE owner = ?1 AND key > ?2 AND kept >= 2 ORDER BY key LIMIT ?3"
            ),
            keep_less: format!("UPDATE {name} SET kept = ?2 WHERE id = ?1"),
            some: format!("SELECT id FROM {name} WHERE owner = ?1 LIMIT ?2"),
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
}

impl KeptSql {
    fn new(name: &str, kept: Kept) -> Self {
        // What is owed has an index of its own.
        let (index, only) = match kept {
            Kept::Archived => ("", " AND kept <> 2"),
            Kept::Owed => (" INDEXED BY {name}_owed", " AND kept >= 2"),
            Kept::Both => ("", ""),
        };
        let index = index.replace("{name}", name);
        let fields = "SELECT key, peer, resource, kept, xml";
        let between = "owner = ?1 AND key > ?2 AND key < ?3";
        let with = " AND tag = ?4 AND peer = ?5 AND (?6 IS NULL OR resource = ?6)";
        let page = |order| {
            format!(
                "{fields} FROM {name}{index} WHERE {between}{only} ORDER BY key {order} LIMIT ?4"
            )
        };
        let page_with = |order| {
            format!(
                "{fields} FROM {name} WHERE {between}{with}{only} ORDER BY key {order} LIMIT ?7"
            )
        };
        Self {
            forward: page("ASC"),
            backward: page("DESC"),
            forward_with: page_with("ASC"),
            backward_with: page_with("DESC"),
            count: format!("SELECT count(*) FROM {name}{index} WHERE {between}{only}"),
            count_with: format!("SELECT count(*) FROM {name} WHERE {between}{with}{only}"),
            one: format!("{fields} FROM {name} WHERE owner = ?1 AND key = ?2{only}"),
            old: format!(
                "SELECT id, key, kept FROM {name}{index} WHERE owner = ?1 AND key < ?2{only}
                 ORDER BY key LIMIT ?3"
            ),
            sizes: format!(
                "SELECT key, octet_length(xml) FROM {name}{index} WHERE owner = ?1 AND key < ?2{only}
                 ORDER BY key DESC LIMIT ?3"
            ),
        }
    }
}

/// Conditions on these columns, whose values begin with this parameter.
fn equal(columns: &[&str], first: usize) -> String {
    let number = first..;
    let terms = columns.iter().zip(number);
    terms
        .map(|(name, n)| format!(" AND {name} = ?{n}"))
        .collect()
}

fn in_order(columns: &[&str]) -> String {
    match columns {
        [] => String::new(),
        columns => format!(" ORDER BY {}", columns.join(", ")),
    }
}
