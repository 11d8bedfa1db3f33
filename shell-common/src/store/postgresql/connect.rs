//! Connections: made, set up, asked in a pipeline.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Row, Statement};

use super::fields::Param;
use crate::limits::{
    POSTGRESQL_CONNECT, POSTGRESQL_GRACE, POSTGRESQL_IDLE_MS, POSTGRESQL_LOCK_MS,
    POSTGRESQL_STATEMENT_MS,
};

/// How long an answer is waited for.
const PATIENCE: Duration =
    Duration::from_millis(POSTGRESQL_STATEMENT_MS).saturating_add(POSTGRESQL_GRACE);

/// One connection, and what was prepared on it.
pub(super) struct Link {
    client: Client,
    prepared: HashMap<String, Statement>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// A statement and what it is given.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) sql: &'a str,
    pub(super) params: Vec<Param<'a>>,
}

impl<'a> Ask<'a> {
    pub(super) const fn new(sql: &'a str, params: Vec<Param<'a>>) -> Self {
        Self { sql, params }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server says so, and the connection goes on.
    Refused(tokio_postgres::Error),
    /// The connection does not go on, and what was asked may have been done or not.
    Lost(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(error) => f.write_str(&in_words(error)),
            Self::Lost(why) => f.write_str(why),
        }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let ends =
            |error: &tokio_postgres::error::DbError| matches!(error.severity(), "FATAL" | "PANIC");
        match error.as_db_error() {
            Some(said) if !ends(said) => Self::Refused(error),
            Some(_) | None => Self::Lost(in_words(&error)),
        }
    }
}

/// What it says, and what that comes of: the library names the kind alone.
pub(super) fn in_words(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", said.message(), said.code().code());
    }
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(why) = cause {
        words = format!("{words}: {why}");
        cause = why.source();
    }
    words
}

/// Why a connection could not be made.
#[derive(Debug)]
pub(super) enum NoLink {
    /// Later it may be.
    Away(String),
    /// Not before somebody has changed something.
    Refused(String),
}

impl NoLink {
    pub(super) fn into_words(self) -> String {
        match self {
            Self::Away(why) | Self::Refused(why) => why,
        }
    }
}

impl Link {
    /// Connects and sets up the session: `schema` is where all names are looked for.
    pub(super) fn open(runtime: &Runtime, config: &Config, schema: &str) -> Result<Self, NoLink> {
        let mut config = config.clone();
        config.connect_timeout(POSTGRESQL_CONNECT);
        runtime.block_on(async {
            let connected = timeout(POSTGRESQL_CONNECT, config.connect(NoTls)).await;
            let (client, connection) = match connected {
                Ok(Ok(connected)) => connected,
                Ok(Err(error)) => return Err(cannot_connect(&config, &error)),
                Err(_) => return Err(NoLink::Away(format!("{} does not answer", shown(&config)))),
            };
            // It ends with the client; who asks hears of its errors.
            tokio::spawn(async {
                let _ = connection.await;
            });
            let set_up = client.batch_execute(&session(schema)).await;
            set_up.map_err(|error| cannot_connect(&config, &error))?;
            let prepared = HashMap::new();
            Ok(Self { client, prepared })
        })
    }

    /// Whether it has ended, as far as the system knows: while nothing was asked nobody has looked.
    pub(super) fn is_lost(&self, runtime: &Runtime) -> bool {
        runtime.block_on(async {
            // The socket's news, then the connection, which reads them.
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
        });
        self.client.is_closed()
    }

    /// Words without parameters, one after another until one fails.
    pub(super) fn say(&self, runtime: &Runtime, words: &str) -> Result<(), Failure> {
        let said =
            runtime.block_on(async { timeout(PATIENCE, self.client.batch_execute(words)).await });
        match said {
            Ok(said) => Ok(said?),
            Err(_) => Err(Failure::Lost("the server does not answer".to_owned())),
        }
    }

    /// Prepares what is new among them, so that nothing but the words themselves is sent by `ask`.
    pub(super) fn make_ready(
        &mut self,
        runtime: &Runtime,
        asks: &[Ask<'_>],
    ) -> Result<(), Failure> {
        runtime.block_on(async {
            match timeout(PATIENCE, self.prepare(asks)).await {
                Ok(prepared) => prepared,
                Err(_) => Err(Failure::Lost("the server does not answer".to_owned())),
            }
        })
    }

    /// Sends everything at once and waits for all answers: the first failure, or one list of rows for each.
    pub(super) fn ask(
        &mut self,
        runtime: &Runtime,
        asks: &[Ask<'_>],
    ) -> Result<Vec<Vec<Row>>, Failure> {
        runtime.block_on(async {
            match timeout(PATIENCE, self.ask_all(asks)).await {
                Ok(answers) => answers,
                Err(_) => Err(Failure::Lost("the server does not answer".to_owned())),
            }
        })
    }

    async fn ask_all(&mut self, asks: &[Ask<'_>]) -> Result<Vec<Vec<Row>>, Failure> {
        self.prepare(asks).await?;
        let mut statements = Vec::with_capacity(asks.len());
        for ask in asks {
            let statement = self.prepared.get(ask.sql);
            statements.push(statement.ok_or_else(|| Failure::Lost("not prepared".to_owned()))?);
        }
        let params: Vec<Vec<&(dyn ToSql + Sync)>> = asks
            .iter()
            .map(|ask| ask.params.iter().map(|param| param as _).collect())
            .collect();
        let queries = statements.iter().zip(&params);
        let answers = in_order(
            queries
                .map(|(statement, params)| self.client.query(*statement, params))
                .collect(),
        );
        // Behind a failure the others fail because of it.
        Ok(answers.await.into_iter().collect::<Result<_, _>>()?)
    }

    /// What is new among them.
    async fn prepare(&mut self, asks: &[Ask<'_>]) -> Result<(), Failure> {
        let mut new: Vec<&str> = Vec::new();
        for ask in asks {
            if !self.prepared.contains_key(ask.sql) && !new.contains(&ask.sql) {
                new.push(ask.sql);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let prepares = new.iter().map(|sql| self.client.prepare(sql)).collect();
        for (sql, statement) in new.iter().zip(in_order(prepares).await) {
            self.prepared.insert((*sql).to_owned(), statement?);
        }
        Ok(())
    }
}

/// Each is begun before the first is waited for, in this order: what is sent when a future is polled for the first time goes out together.
async fn in_order<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = Vec::with_capacity(futures.len());
    poll_fn(|context| {
        for future in &mut futures {
            outputs.push(match future.as_mut().poll(context) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            });
        }
        Poll::Ready(())
    })
    .await;
    let mut all = Vec::with_capacity(futures.len());
    for (future, output) in futures.into_iter().zip(outputs) {
        all.push(match output {
            Some(output) => output,
            None => future.await,
        });
    }
    all
}

/// What holds for all that is said on a connection.
///
/// Every statement finds its rows by an index, whatever the database knows of the tables at the moment: so none is planned anew, and none may
/// read a table from one end to the other because there was little in it when it was planned. What is said to be kept must be.
fn session(schema: &str) -> String {
    format!(
        "SET search_path = {schema}, pg_temp;
         SET standard_conforming_strings = on;
         SET client_min_messages = warning;
         SET default_transaction_isolation = 'read committed';
         SET statement_timeout = {POSTGRESQL_STATEMENT_MS};
         SET lock_timeout = {POSTGRESQL_LOCK_MS};
         SET idle_in_transaction_session_timeout = {POSTGRESQL_IDLE_MS};
         SET plan_cache_mode = force_generic_plan;
         SET enable_seqscan = off;
         SET enable_bitmapscan = off;
         SET jit = off;
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
    )
}

/// Where the database is, in words.
pub(super) fn shown(config: &Config) -> String {
    let database = config.get_dbname().or_else(|| config.get_user());
    let hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    format!(
        "the PostgreSQL database {:?} at {}",
        database.unwrap_or_default(),
        hosts.join(", ")
    )
}

fn cannot_connect(config: &Config, error: &tokio_postgres::Error) -> NoLink {
    let (shown, words) = (shown(config), in_words(error));
    let user = config.get_user().unwrap_or_default();
    match error.code() {
        Some(&SqlState::INVALID_PASSWORD | &SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
            NoLink::Refused(format!(
                "{shown} does not let {user:?} in: {words}; look at the name, the password and pg_hba.conf"
            ))
        }
        Some(&SqlState::INVALID_CATALOG_NAME) => NoLink::Refused(format!(
            "{shown} is not there: make it with `createdb --owner={user} --encoding=UTF8 --template=template0 NAME`"
        )),
        Some(_) => NoLink::Away(format!("cannot use {shown}: {words}")),
        None => NoLink::Away(format!(
            "cannot reach {shown}: {words}; look whether the database server runs and listens there"
        )),
    }
}
