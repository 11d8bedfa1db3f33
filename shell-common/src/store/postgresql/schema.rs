//! The tables: made, brought to the newest schema, under a lock that other servers wait for.
//!
//! The row `schema` of the table `meta` counts schemas. A change is one more entry of `MIGRATIONS`; entries that were released never change.
//! What is not there yet is made from its shape in the catalog behind the last entry, as with SQLite.

use spondee_core::store::Catalog;
use tokio::runtime::Runtime;
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use super::connect::{Ask, Failure, Link, shown};
use super::fields::Param;
use super::{mark, shapes};

/// What brings the database from version n to n + 1, beginning with nothing.
const MIGRATIONS: [&[&str]; 1] = [&[FIRST, mark::TABLE]];

/// Numbers of owners are never given again, so that what a deleted account left belongs to nobody who comes after. A purged owner has no
/// address any more and is emptied in steps. No table names it by REFERENCES: that would be a look-up and a lock for each row.
const FIRST: &str = "
    CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
    CREATE TABLE owner (
        id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        jid    text COLLATE \"C\" UNIQUE,
        domain text COLLATE \"C\"
    );
    CREATE INDEX owner_by_domain ON owner (domain, jid);
    CREATE INDEX owner_left ON owner (id) WHERE jid IS NULL;
";

/// `Spnd` in ASCII: whoever else uses locks in this database uses other numbers.
const LOCK: i64 = 0x5370_6e64;

/// The oldest version that is known to do all that is said to it.
const OLDEST: i64 = 130_000;

/// Looks whether the server can keep what it is given, then makes and migrates.
pub(super) fn open(
    runtime: &Runtime,
    link: &mut Link,
    config: &Config,
    catalog: &Catalog,
) -> Result<(), String> {
    let say = |failure: Failure| explain(config, &failure);
    check(runtime, link, config)?;
    let lock = Ask::new("SELECT pg_advisory_lock($1)", vec![Param::Number(LOCK)]);
    link.ask(runtime, &[lock]).map_err(say)?;
    let made = bring_up(runtime, link, config, catalog);
    let unlock = Ask::new("SELECT pg_advisory_unlock($1)", vec![Param::Number(LOCK)]);
    let unlocked = link.ask(runtime, &[unlock]).map_err(say);
    made?;
    unlocked.map(|_| ())
}

fn bring_up(
    runtime: &Runtime,
    link: &mut Link,
    config: &Config,
    catalog: &Catalog,
) -> Result<(), String> {
    let say = |failure: Failure| explain(config, &failure);
    let newest = MIGRATIONS.len();
    let version = version(runtime, link, config)?;
    if version > newest {
        return Err(format!(
            "{} has schema {version}, made by a newer version of Spondee; this one knows schemas up to {newest}: install that version \
             again",
            shown(config)
        ));
    }
    let steps = MIGRATIONS.iter().zip(1_usize..).skip(version);
    for (step, number) in steps {
        let mut words = format!("BEGIN; {}", step.concat());

        if number == newest {
            words += &shapes::make(catalog);
        }
        words += &format!(
            "INSERT INTO meta (name, value) VALUES ('schema', '{number}')
             ON CONFLICT (name) DO UPDATE SET value = excluded.value; COMMIT"
        );
        link.say(runtime, &words).map_err(|failure| {
            // What of it was done is undone.
            let _ = link.say(runtime, "ROLLBACK");
            say(failure)
        })?;
    }
    missing(runtime, link, config, catalog)
}

/// That of an empty database is 0.
fn version(runtime: &Runtime, link: &mut Link, config: &Config) -> Result<usize, String> {
    let say = |failure: Failure| explain(config, &failure);
    let tables = Ask::new(TABLES, Vec::new());
    let found = link.ask(runtime, &[tables]).map_err(say)?;
    let tables: Vec<String> = found
        .into_iter()
        .flatten()
        .filter_map(|row| row.try_get(0).ok())
        .collect();
    let has = |name: &str| tables.iter().any(|table| table == name);
    if tables.is_empty() {
        return Ok(0);
    }
    let foreign = || {
        format!(
            "{} holds tables of another program: give Spondee a database of its own",
            shown(config)
        )
    };
    if !has("meta") || !has("owner") {
        return Err(foreign());
    }
    let schema = Ask::new("SELECT value FROM meta WHERE name = 'schema'", Vec::new());
    let found = link.ask(runtime, &[schema]).map_err(say)?;
    let row = found.into_iter().flatten().next().ok_or_else(foreign)?;
    let value: String = row.try_get(0).map_err(|_| foreign())?;
    value.parse().map_err(|_| foreign())
}

const TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()";

/// Says which table of the catalog is gone.
fn missing(
    runtime: &Runtime,
    link: &mut Link,
    config: &Config,
    catalog: &Catalog,
) -> Result<(), String> {
    let tables = Ask::new(TABLES, Vec::new());
    let found = link.ask(runtime, &[tables]);
    let found = found.map_err(|failure| explain(config, &failure))?;
    let there: Vec<String> = found
        .into_iter()
        .flatten()
        .filter_map(|row| row.try_get(0).ok())
        .collect();
    let tables = catalog.tables.iter().map(|table| table.name);
    let mut names = tables.chain(catalog.logs.iter().map(|log| log.name));
    match names.find(|name| !there.iter().any(|table| table == name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "the table {name} is gone from {}: restore it from a backup",
            shown(config)
        )),
    }
}

/// Whether what is written there stays, and as it was written.
fn check(runtime: &Runtime, link: &mut Link, config: &Config) -> Result<(), String> {
    let shown = shown(config);
    let settings = Ask::new(
        "SELECT current_setting('server_version_num'), current_setting('server_encoding'),
            pg_is_in_recovery()::text, current_setting('fsync'), current_setting('full_page_writes'),
            current_setting('server_version')",
        Vec::new(),
    );
    let found = link.ask(runtime, &[settings]);
    let found = found.map_err(|failure| explain(config, &failure))?;
    let row = found.into_iter().flatten().next();
    let row = row.ok_or_else(|| format!("{shown} does not say how it is set up"))?;
    let setting = |number: usize| row.try_get::<_, String>(number).unwrap_or_default();
    if setting(0).parse().unwrap_or(0) < OLDEST {
        return Err(format!(
            "{shown} is served by PostgreSQL {}: version 13 or later is needed",
            setting(5)
        ));
    }
    if setting(1) != "UTF8" {
        return Err(format!(
            "{shown} has the encoding {}: make one with `createdb --encoding=UTF8 --template=template0 NAME`",
            setting(1)
        ));
    }
    if setting(2) != "false" {
        return Err(format!(
            "{shown} is a standby, which takes no writes: name the primary server"
        ));
    }
    for (number, name) in [(3, "fsync"), (4, "full_page_writes")] {
        if setting(number) != "on" {
            tracing::warn!(
                "{shown} is served with {name} = {}: when its machine loses power, everything may be lost; set it to on",
                setting(number)
            );
        }
    }
    Ok(())
}

fn explain(config: &Config, failure: &Failure) -> String {
    let shown = shown(config);
    let user = config.get_user().unwrap_or_default();
    let code = match failure {
        Failure::Refused(error) => error.code(),
        Failure::Lost(_) => None,
    };
    match code {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            format!("{shown} is being set up by another server: wait for that and try again")
        }
        Some(&SqlState::INSUFFICIENT_PRIVILEGE) => format!(
            "{user:?} may not make tables in {shown} ({failure}): let it own the database, by `ALTER DATABASE NAME OWNER TO {user}`"
        ),
        Some(&SqlState::DISK_FULL) => {
            format!("no room for {shown}: the disk is full, make room on it and try again")
        }
        _ => format!("cannot set up {shown}: {failure}"),
    }
}
