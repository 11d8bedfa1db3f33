//! A client on a journey: a program that says in lines what happens to it, and what became of it all.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spec_tests::program::{Program, script};
use spec_tests::proxy::Proxy;
use spec_tests::server::Server;

/// Interpreters start slowly on a busy machine, and some clients wait a while before they connect again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whose client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Slixmpp,
    Xmppjs,
    Smack,
}

/// When a client gives up a connection that does not answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GivesUp {
    Never,
    AfterSeconds(u64),
}

/// A message that came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Came {
    pub(crate) from: String,
    pub(crate) body: String,
    /// In the archive of who got it.
    pub(crate) id: Option<String>,
}

/// Why a client did not get its session back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) condition: String,
    pub(crate) h: Option<u64>,
}

/// What a traveller has told.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) bound: Vec<String>,
    pub(crate) resumed: Vec<String>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) came: Vec<Came>,
    /// Texts of its own messages.
    pub(crate) acked: Vec<String>,
    /// How many of them before the last session of its own.
    pub(crate) acked_before: usize,
}

impl Journal {
    fn note(&mut self, line: &str) -> Result<(), String> {
        // Clients say a good deal that is no object.
        let Some(value) = serde_json::from_str::<Value>(line).ok() else {
            return Ok(());
        };
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let h = value.get("h");
        let h = h.and_then(|h| h.as_u64().or_else(|| h.as_str()?.parse().ok()));
        if let Some(why) = text("failed") {
            return Err(why);
        }
        if let Some(jid) = text("bound") {
            self.bound.push(jid);
            self.acked_before = self.acked.len();
        }
        self.resumed.extend(text("resumed"));
        self.refused
            .extend(text("refused").map(|condition| Refused { condition, h }));
        self.acked.extend(text("acked"));
        if let Some((from, body)) = text("from").zip(text("body")) {
            let id = text("id");
            self.came.push(Came { from, body, id });
        }
        Ok(())
    }

    /// What came, in order.
    pub(crate) fn bodies(&self) -> Vec<&str> {
        self.came.iter().map(|came| came.body.as_str()).collect()
    }
}

/// A running one.
#[derive(Debug)]
pub(crate) struct Traveller {
    program: Program,
    pub(crate) journal: Journal,
}

impl Traveller {
    /// Starts one that connects through the proxy, and waits until it is there.
    pub(crate) fn start(
        kind: Kind,
        installed: &Path,
        server: &Server,
        proxy: &Proxy,
        (account, password): (&str, &str),
        gives_up: GivesUp,
    ) -> Result<Self, String> {
        let ca = server.authority().path();
        let mut command = match kind {
            Kind::Slixmpp => {
                let mut command = Command::new(installed.join("venv/bin/python"));
                command.arg(script("slixmpp_traveller.py"));
                command
            }
            Kind::Xmppjs => {
                // Node finds packages next to the script, so the script runs from where they are installed.
                let mut command = Command::new(installed.join("node/bin/node"));
                command
                    .arg(installed.join("node/xmppjs_traveller.mjs"))
                    .env("NODE_EXTRA_CA_CERTS", ca);
                command
            }
            Kind::Smack => {
                let smack = installed.join("smack");
                let classes = format!("{0}/classes:{0}/lib/*", smack.display());
                let mut command = Command::new("java");
                command
                    .arg(format!("-Duser.home={}", server.scratch().display()))
                    .current_dir(server.scratch())
                    .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
                    .args(["-cp", &classes, "interop.Traveller"]);
                command
            }
        };
        let patience = match gives_up {
            GivesUp::Never => 0,
            GivesUp::AfterSeconds(seconds) => seconds,
        };
        command
            .args([&proxy.address().port().to_string(), account])
            .arg(patience.to_string())
            .arg(ca);
        let mut traveller = Self {
            program: Program::start(command)?,
            journal: Journal::default(),
        };
        traveller.program.say(password)?;
        traveller.until("is there", |journal| !journal.bound.is_empty())?;
        Ok(traveller)
    }

    /// Orders it to send so many messages, numbered from the first.
    pub(crate) fn send(
        &mut self,
        to: &str,
        name: &str,
        first: usize,
        count: usize,
    ) -> Result<(), String> {
        let order = json!({"to": to, "name": name, "first": first, "count": count});
        self.program.say(&order.to_string())
    }

    /// Reads what it says until this holds.
    pub(crate) fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&Journal) -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !holds(&self.journal) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.program.try_line(left) {
                Ok(Some(line)) => self.journal.note(&line)?,
                Ok(None) => return Err(format!("never: {what}: {}", self.story())),
                Err(why) => return Err(format!("{what}: {why}: {}", self.story())),
            }
        }
        Ok(())
    }

    /// What it told, for a person.
    fn story(&self) -> String {
        let seen = self.program.seen();
        let turns: Vec<&String> = seen
            .iter()
            .filter(|line| {
                !["{\"from\"", "{\"acked\""]
                    .iter()
                    .any(|start| line.starts_with(start))
            })
            .collect();
        let last = &seen[seen.len().saturating_sub(10)..];
        let Journal { came, acked, .. } = &self.journal;
        format!(
            "{} came, {} acknowledged; {turns:#?}; last {last:#?}",
            came.len(),
            acked.len()
        )
    }

    /// Ends its stream, and what it said to the end.
    pub(crate) fn leave(&mut self) -> Result<Journal, String> {
        self.program.say(&json!({"leave": true}).to_string())?;
        let known = self.program.seen().len();
        let status = self.program.wait(PATIENCE)?;
        for line in &self.program.seen()[known..] {
            self.journal.note(line)?;
        }
        match status.success() {
            true => Ok(std::mem::take(&mut self.journal)),
            false => Err(format!("{status}: {}", self.story())),
        }
    }
}
