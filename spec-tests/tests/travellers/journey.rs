//! The stage of all scenes, and what must be true behind each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spec_tests::kept::Entry;
use spec_tests::program::installed;
use spec_tests::proxy::Proxy;
use spec_tests::server::{Server, Setup};

use crate::partner::Partner;
use crate::traveller::{Came, GivesUp, Journal, Kind, PATIENCE, Traveller};

pub(crate) type Outcome = Result<(), String>;

pub(crate) const JULIET: (&str, &str) = ("juliet@localhost", "the lark, not the nightingale");
pub(crate) const ROMEO: (&str, &str) = ("romeo@localhost", "p\u{e0}ssw\u{f6}rd of R\u{f4}meo");
/// How server and traveller are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) gives_up: GivesUp,
    /// After so many seconds without an answer the server gives the connection up.
    pub(crate) ack_delay: u64,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            gives_up: GivesUp::Never,
            ack_delay: 60,
        }
    }
}

/// A server, the network in front of it, who travels and who does not.
pub(crate) struct Journey {
    pub(crate) server: Server,
    pub(crate) proxy: Proxy,
    pub(crate) juliet: Traveller,
    pub(crate) romeo: Partner,
    /// Messages that each has written.
    written: usize,
}

impl Journey {
    /// Plays a scene, where clients are installed.
    pub(crate) fn with(
        kind: Kind,
        setting: Setting,
        scene: impl FnOnce(&mut Self) -> Outcome,
    ) -> Outcome {
        let Some(installed) = installed("slixmpp, @xmpp/client and Smack on lines that are cut")
        else {
            return Ok(());
        };
        let options = format!(
            "smacks_max_ack_delay = {}\nsmacks_hibernation_time = 120\n",
            setting.ack_delay
        );
        let setup = Setup {
            options: &options,
            ..Setup::default()
        };
        let server = Server::start_with(&[JULIET, ROMEO], setup)?;
        let proxy = Proxy::start(server.clear)?;
        let gives_up = setting.gives_up;
        let juliet = Traveller::start(kind, &installed, &server, &proxy, JULIET, gives_up)?;
        let romeo = Partner::start(&server, ROMEO)?;
        let mut journey = Self {
            server,
            proxy,
            juliet,
            romeo,
            written: 0,
        };
        let outcome = scene(&mut journey);
        outcome.map_err(|why| format!("{why}\n--- the server's log\n{}---", journey.server.log()))
    }

    /// Both write at once, one to where she is and the other to who he is.
    pub(crate) fn talk(&mut self, count: usize) -> Outcome {
        let first = self.written;
        self.written += count;
        let there = self.juliet.journal.bound[0].clone();
        self.juliet.send(ROMEO.0, "lark", first, count)?;
        self.romeo.send(&there, "nightingale", first, count)
    }

    /// Waits until the server has given her connection up and waits for her.
    pub(crate) fn sleeps(&self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.server.command(&["user", "show", JULIET.0])?;
            if shown.contains("asleep") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("she never sleeps: {shown}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for her `count`th return.
    pub(crate) fn returns(&mut self, count: usize) -> Outcome {
        self.juliet.until(&format!("return {count}"), |journal| {
            journal.resumed.len() >= count
        })
    }

    /// All of it is at both ends, once and in order, over one session, and in both archives.
    pub(crate) fn arrives(&mut self) -> Outcome {
        let count = self.written;
        self.romeo.until(count)?;
        self.juliet
            .until("all that was written to her", |journal| {
                journal.came.len() >= count
            })?;
        self.juliet
            .until("acknowledgements", |journal| journal.acked.len() >= count)?;
        let mut juliet = Partner::reader(&self.server, JULIET)?;
        self.romeo.until_kept(2 * count)?;
        juliet.until_kept(2 * count)?;
        let journal = self.juliet.leave()?;
        are("what came to him", &self.romeo.bodies, &told("lark", count))?;
        are(
            "what came to her",
            &journal.bodies(),
            &told("nightingale", count),
        )?;
        // Some tell of it in any order.
        let (mut acked, mut all) = (journal.acked.clone(), told("lark", count));
        acked.sort_unstable();
        all.sort_unstable();
        are("what was acknowledged", &acked, &all)?;
        assert_eq!(journal.bound.len(), 1, "{:?}", journal.bound);
        assert_eq!(journal.refused, []);
        let there = &journal.bound[0];
        assert!(
            journal.resumed.iter().all(|jid| jid == there),
            "{there}: {:?}",
            journal.resumed
        );
        is_kept_once(&self.romeo.archive()?, count)?;
        let archive = juliet.archive()?;
        is_kept_once(&archive, count)?;
        is_known_as(&journal, &archive);
        Ok(())
    }
}

pub(crate) fn told(name: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{name} {number}"))
        .collect()
}

/// What an archive has of an account, in order.
pub(crate) fn of(archive: &[Entry], account: &str) -> Vec<String> {
    let by = |entry: &&Entry| entry.address("from").starts_with(&format!("{account}/"));
    archive.iter().filter(by).map(Entry::body).collect()
}

/// An archive has what both wrote, once, and of each in order.
pub(crate) fn is_kept_once(archive: &[Entry], count: usize) -> Outcome {
    for (name, from) in [("lark", JULIET.0), ("nightingale", ROMEO.0)] {
        let what = format!("what an archive has of {from}");
        are(&what, &of(archive, from), &told(name, count))?;
    }
    assert_eq!(archive.len(), 2 * count);
    Ok(())
}

/// That both are the same; where not, the first difference, and what is there too often or not at all.
pub(crate) fn are<T: AsRef<str>>(what: &str, those: &[T], wanted: &[String]) -> Outcome {
    let those: Vec<&str> = those.iter().map(AsRef::as_ref).collect();
    if those == *wanted {
        return Ok(());
    }
    let differs = |(one, other): (&&str, &String)| one != other;
    let first = those.iter().zip(wanted).position(differs);
    let first = first.unwrap_or_else(|| those.len().min(wanted.len()));
    let around = |from: usize| &those[from.saturating_sub(2)..(from + 5).min(those.len())];
    let times = |text: &String| those.iter().filter(|other| *other == text).count();
    let (missing, again): (Vec<&String>, Vec<&String>) = wanted
        .iter()
        .filter(|text| times(text) != 1)
        .partition(|text| times(text) == 0);
    Err(format!(
        "{what}: {} of {}; at {first} {:?}; missing {missing:?}; more than once {again:?}",
        those.len(),
        wanted.len(),
        around(first)
    ))
}

/// What came to her came with its id in her archive.
pub(crate) fn is_known_as(journal: &Journal, archive: &[Entry]) {
    let ids: BTreeMap<String, &str> = archive
        .iter()
        .map(|entry| (entry.body(), entry.id.as_str()))
        .collect();
    for Came { body, id, .. } in &journal.came {
        assert_eq!(id.as_deref(), ids.get(body).copied(), "{body}");
    }
}
