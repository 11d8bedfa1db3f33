//! From the steps of a file to accounts: what belongs to one is put together and handed on.

use std::collections::HashSet;
use std::path::Path;

use spondee_core::blocking::BLOCKLIST;
use spondee_core::config::{Config, HostConfig};
use spondee_core::jid::{BareJid, Domain};
use spondee_core::options::Expiry;
use spondee_core::private::PRIVATE;
use spondee_core::roster::{ROSTER, ROSTER_REQUESTS};
use spondee_core::store::Op;
use spondee_core::time::Now;
use spondee_core::vcard::VCARD;

use super::account::{Account, Owed};
use super::import::{Sum, Trouble};
use super::reader::{Pour, Reader};
use super::report::Report;
use super::walk::{Step, Walk};
use super::{At, Fault};

/// What becomes of accounts as they are read.
pub(super) trait Sink {
    type Error;

    /// One begins.
    fn begin(&mut self, account: &mut Account) -> Result<Beginning, Trouble<Self::Error>>;

    /// Some of it, as much as a batch.
    fn keep(&mut self, account: &BareJid, ops: Vec<Op>) -> Result<(), Trouble<Self::Error>>;

    /// All of it was read.
    fn end(&mut self, account: &mut Account, read: Read) -> Result<(), Trouble<Self::Error>>;
}

/// What is known of an account before it is read.
#[derive(Default)]
pub(super) struct Beginning {
    pub(super) both: HashSet<String>,
    pub(super) early: Option<Vec<Owed>>,
}

/// What was found out as it was read.
pub(super) struct Read {
    pub(super) sum: Sum,
    pub(super) both: HashSet<String>,
    pub(super) early: Option<Vec<Owed>>,
}

/// A file on its way.
pub(super) struct Reading<'a> {
    config: &'a Config,
    now: Now,
    report: &'a mut Report,
    host: Option<(Domain, &'a HostConfig)>,
    account: Option<Reader>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(config: &'a Config, now: Now, report: &'a mut Report) -> Self {
        Self {
            config,
            now,
            report,
            host: None,
            account: None,
        }
    }

    pub(super) fn run<S: Sink>(
        &mut self,
        file: &Path,
        sink: &mut S,
    ) -> Result<(), Trouble<S::Error>> {
        let mut walk = Walk::open(file)?;
        while let Some(step) = walk.next()? {
            self.step(step, sink)?;
        }
        Ok(())
    }

    fn step<S: Sink>(&mut self, step: Step, sink: &mut S) -> Result<(), Trouble<S::Error>> {
        match step {
            Step::Host { jid, at } => self.host = Some(self.served(&jid, &at)?),
            Step::User {
                name,
                password,
                others,
                at,
            } => {
                for other in others {
                    self.report
                        .add(format!("the attribute `{other}` of a user"), &at);
                }
                let mut account = self.named(&name, password, at)?;
                let beginning = sink.begin(&mut account)?;
                self.account = Some(Reader::new(account, beginning, self.cut()));
            }
            Step::Of(piece) => {
                if let Some(reader) = &mut self.account {
                    reader.account.take(&piece, self.report)?;
                }
            }
            Step::Begin(list, at) => {
                if let Some(reader) = &mut self.account {
                    reader.begin(list, &at)?;
                }
            }
            Step::Entry(piece) => {
                if let Some(reader) = &mut self.account {
                    reader.entry(&piece, self.now, self.report)?;
                    reader.pour(sink, Pour::Full)?;
                }
            }
            Step::UserEnd => {
                if let Some(reader) = self.account.take()
                    && let Some((_, host)) = self.host
                {
                    self.end(reader, host, sink)?;
                }
            }
            Step::Unknown { ns, name, at } => {
                self.report.add(
                    format!("<{name} xmlns='{ns}'/>, which has no meaning here"),
                    &at,
                );
            }
        }
        Ok(())
    }

    /// Archived messages before this do not stay.
    fn cut(&self) -> Option<i64> {
        let (_, host) = self.host.as_ref()?;
        match host.archive.expires_after {
            Expiry::After(period) => {
                let us = i64::try_from(period.as_micros()).unwrap_or(i64::MAX);
                Some(self.now.wall.0.saturating_mul(1000).saturating_sub(us))
            }
            Expiry::Never => None,
        }
    }

    fn served(&self, jid: &str, at: &At) -> Result<(Domain, &'a HostConfig), Fault> {
        let domain =
            Domain::parse(jid).map_err(|_| at.fault(format!("{jid:?} is no address of a host")))?;
        let host = self.config.accounts(domain.as_str());
        let host = host.ok_or_else(|| {
            at.fault(format!(
                "the host {domain} has no accounts here: add it to the configuration, or take it out of the file"
            ))
        })?;
        Ok((domain, host))
    }

    fn named(&self, name: &str, password: Option<String>, at: At) -> Result<Account, Fault> {
        let Some((domain, _)) = &self.host else {
            return Err(at.fault("a user of no host"));
        };
        let jid = BareJid::new(name, domain);
        let jid = jid.map_err(|_| at.fault(format!("{name:?} is no name of a user")))?;
        Ok(Account::new(jid, password, at, self.now))
    }

    fn end<S: Sink>(
        &mut self,
        mut reader: Reader,
        host: &HostConfig,
        sink: &mut S,
    ) -> Result<(), Trouble<S::Error>> {
        reader.settle();
        reader.pour(sink, Pour::All)?;
        let Reader {
            mut account,
            archive,
        } = reader;
        account.count_archive(archive.last, archive.count, archive.bytes);
        account.finish(host, self.report)?;
        let sum = Sum {
            contacts: account.count(&ROSTER),
            requests: account.count(&ROSTER_REQUESTS),
            blocked: account.count(&BLOCKLIST),
            private: account.count(&PRIVATE),
            cards: account.count(&VCARD),
            archived: archive.count,
            bytes: archive.bytes,
            waiting: archive.waiting,
        };
        self.tell_of_bounds(&account, host, &sum);
        let read = Read {
            sum,
            both: archive.both,
            early: archive.early,
        };
        sink.end(&mut account, read)
    }

    /// What will not stay for long.
    fn tell_of_bounds(&mut self, account: &Account, host: &HostConfig, sum: &Sum) {
        let archive = &host.archive;
        if sum.archived > archive.max_messages || sum.bytes > archive.max_bytes {
            self.report.add(
                "an archive of more than `archive_max_messages` or `archive_max_bytes` of the host allow, of which the oldest messages go soon",
                &account.at,
            );
        }
    }
}
