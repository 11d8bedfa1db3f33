//! What can be measured, by the names of the command line, and which accounts take part in it.

use std::ops::Range;

use benches::load::{
    Archive, Arrivals, Ask, Big, By, Chat, Company, Direction, Idle, Management, OfflineDelivered,
    OfflineStored, Pages, PresenceChanges, Resumptions, RosterChanges, RosterSignIns, Scenario,
    Security, Sessions, SignIns,
};
use clap::ValueEnum;

use crate::Arguments;

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Name {
    Signin,
    SigninClear,
    /// Sign-ins that get a roster of 50 contacts.
    Roster,
    RosterClear,
    /// Changes of such rosters.
    RosterSet,
    RosterSetClear,
    /// Sign-ins that get a roster, say that they are there, and hear of the half of 50 contacts that is on line.
    SigninRoster,
    SigninRosterClear,
    /// Changes of presence of one who has 50 contacts on line.
    Presence,
    PresenceClear,
    /// Chat that is not archived.
    Chat,
    ChatClear,
    /// Chat that is archived for both.
    ChatArchived,
    ChatArchivedClear,
    /// Chat of sessions under stream management, not archived.
    ChatSm,
    ChatSmClear,
    /// The same, archived for both.
    ChatArchivedSm,
    ChatArchivedSmClear,
    /// Messages to those who are away, without an archive.
    OfflineStored,
    OfflineStoredClear,
    /// The same, archived for both.
    OfflineStoredArchived,
    OfflineStoredArchivedClear,
    /// Those come back.
    OfflineDelivered,
    OfflineDeliveredClear,
    /// An archive from its end to its beginning.
    ArchiveBack,
    ArchiveBackClear,
    /// From its beginning to its end.
    ArchiveForward,
    ArchiveForwardClear,
    /// Sign-ins of one with thousands of contacts and a million messages.
    BigSignin,
    /// Pages behind one in the middle of its archive.
    BigMiddle,
    /// Pages from some time on.
    BigTime,
    /// Pages of a contact from some time on.
    BigContact,
    /// Pages of somebody who never wrote.
    BigStranger,
    /// Sessions that all lose their connections, and are resumed.
    Resume,
    ResumeClear,
    Idle,
    IdleClear,
    /// Idle sessions with 50 contacts each.
    IdleRoster,
    IdleRosterClear,
    /// The same under stream management.
    IdleRosterSm,
    IdleRosterSmClear,
    /// Shards and TLS states of Spondee without sockets.
    IdleInProcess,
}

/// Accounts by their numbers. What is kept of all but the ordinary ones stays from run to run.
#[derive(Debug)]
pub(crate) struct Parties {
    company: Company,
    readers: Range<usize>,
    big: Range<usize>,
}

impl Parties {
    /// How many accounts there must be.
    pub(crate) const fn end(&self) -> usize {
        self.big.end
    }
}

impl Arguments {
    /// Accounts of the scenarios of which nothing is kept.
    pub(crate) fn ordinary(&self) -> usize {
        self.accounts.max(1)
    }

    pub(crate) fn parties(&self) -> Parties {
        let needs = |kind: fn(&Name) -> bool| self.scenarios.iter().any(kind);
        let ordinary = self.ordinary();
        let some = |is_needed, count| if is_needed { count } else { 0 };
        let company = if needs(Name::is_acquainted) {
            let circle = some(needs(Name::is_circle), self.rosters);
            Company::new(ordinary, 2 * self.parallel, circle)
        } else {
            Company::nobody(ordinary)
        };
        let first = company.end();
        let readers = some(needs(Name::is_pages), self.readers.next_multiple_of(2));
        let readers = first..first + readers;
        let big = readers.end..readers.end + some(needs(Name::is_big), 1);
        Parties {
            company,
            readers,
            big,
        }
    }

    /// Of sessions that ask for an acknowledgement once in a window.
    fn management(&self) -> Management {
        Management::On(u32::try_from(self.window).unwrap_or(u32::MAX))
    }

    /// All scenarios over sockets, by the names they have in the report.
    pub(crate) fn all(&self, parties: &Parties) -> Vec<(String, Box<dyn Scenario>)> {
        let mut all = Vec::new();
        for name in &self.scenarios {
            if name.is_sign_in() {
                all.extend(self.sign_ins(*name));
                continue;
            }
            let apart = self.apart(*name, parties);
            let one = apart.or_else(|| self.scenario(*name, 1));
            all.extend(one.map(|one| (one.name().to_owned(), one)));
            for scale in self.scale.iter().filter(|scale| **scale > 1) {
                let scaled = self.scenario(*name, *scale).filter(|_| name.is_scaled());
                all.extend(scaled.map(|one| (format!("{} ×{scale}", one.name()), one)));
            }
        }
        all
    }

    /// Sign-ins by each mechanism where each is kept, and scaled.
    fn sign_ins(&self, name: Name) -> Vec<(String, Box<dyn Scenario>)> {
        let mut all: Vec<(String, Box<dyn Scenario>)> = Vec::new();
        for (provider, by) in self
            .provider
            .iter()
            .flat_map(|provider| self.mechanism.iter().map(|by| (*provider, *by)))
        {
            // Without TLS nobody shows a password.
            if name == Name::SigninClear && by == By::Plain {
                continue;
            }
            let scales = self.scale.iter().copied().filter(|scale| *scale > 1);
            for scale in std::iter::once(1).chain(scales) {
                let one = SignIns {
                    count: self.sign_ins * scale,
                    parallel: self.parallel * scale,
                    security: name.security(),
                    by,
                    provider,
                };
                let name = match scale {
                    1 => one.name().to_owned(),
                    scale => format!("{} ×{scale}", one.name()),
                };
                all.push((name, Box::new(one)));
            }
        }
        all
    }

    /// A scenario with accounts of its own.
    fn apart(&self, name: Name, parties: &Parties) -> Option<Box<dyn Scenario>> {
        let company = || parties.company.clone();
        let arrivals = |security| Arrivals {
            company: company(),
            count: self.sign_ins,
            parallel: self.parallel,
            security,
        };
        let changes = |security| PresenceChanges {
            company: company(),
            window: self.presence_window.max(1),
            changes: self.presences,
            security,
        };
        let idle = |management, security| Idle {
            sessions: Sessions::WithRosters(company()),
            management,
            security,
        };
        let pages = |direction, security| self.pages(parties, direction, security);
        let big = |ask, security| self.big(parties, ask, security);
        let security = name.security();
        Some(match name {
            Name::BigSignin => Box::new(big(Ask::SignIn, security)),
            Name::BigMiddle => Box::new(big(Ask::Middle, security)),
            Name::BigTime => Box::new(big(Ask::Time, security)),
            Name::BigContact => Box::new(big(Ask::Contact, security)),
            Name::BigStranger => Box::new(big(Ask::Stranger, security)),
            Name::SigninRoster | Name::SigninRosterClear => Box::new(arrivals(security)),
            Name::Presence | Name::PresenceClear => Box::new(changes(security)),
            Name::IdleRoster | Name::IdleRosterClear => Box::new(idle(Management::Off, security)),
            Name::IdleRosterSm | Name::IdleRosterSmClear => {
                Box::new(idle(self.management(), security))
            }
            Name::ArchiveBack | Name::ArchiveBackClear => {
                Box::new(pages(Direction::Back, security))
            }
            Name::ArchiveForward | Name::ArchiveForwardClear => {
                Box::new(pages(Direction::Forward, security))
            }
            Name::Signin
            | Name::SigninClear
            | Name::Roster
            | Name::RosterClear
            | Name::RosterSet
            | Name::RosterSetClear
            | Name::Chat
            | Name::ChatClear
            | Name::ChatArchived
            | Name::ChatArchivedClear
            | Name::ChatSm
            | Name::ChatSmClear
            | Name::ChatArchivedSm
            | Name::ChatArchivedSmClear
            | Name::OfflineStored
            | Name::OfflineStoredClear
            | Name::OfflineStoredArchived
            | Name::OfflineStoredArchivedClear
            | Name::OfflineDelivered
            | Name::OfflineDeliveredClear
            | Name::Resume
            | Name::ResumeClear
            | Name::Idle
            | Name::IdleClear
            | Name::IdleInProcess => return None,
        })
    }

    fn pages(&self, parties: &Parties, direction: Direction, security: Security) -> Pages {
        Pages {
            readers: parties.readers.clone(),
            archived: self.archived,
            pages: self.pages,
            direction,
            security,
        }
    }

    fn big(&self, parties: &Parties, ask: Ask, security: Security) -> Big {
        Big {
            account: parties.big.start,
            contacts: self.big_contacts,
            messages: self.big_messages,
            ask,
            count: self.big_count,
            security,
        }
    }

    /// One without.
    fn scenario(&self, name: Name, scale: usize) -> Option<Box<dyn Scenario>> {
        let rosters = |security| RosterSignIns {
            count: self.sign_ins * scale,
            parallel: self.parallel * scale,
            security,
        };
        let changes = |security| RosterChanges {
            accounts: 2 * self.pairs * scale,
            changes: self.changes * scale,
            security,
        };
        let idle = |security| Idle {
            sessions: Sessions::Bare(self.sessions),
            management: Management::Off,
            security,
        };
        let resumptions = |security| Resumptions {
            sessions: self.sessions * scale,
            parallel: self.parallel * scale,
            security,
        };
        let security = name.security();
        Some(match name {
            Name::Roster | Name::RosterClear => Box::new(rosters(security)),
            Name::RosterSet | Name::RosterSetClear => Box::new(changes(security)),
            Name::Idle | Name::IdleClear => Box::new(idle(security)),
            Name::Resume | Name::ResumeClear => Box::new(resumptions(security)),
            Name::Chat
            | Name::ChatClear
            | Name::ChatArchived
            | Name::ChatArchivedClear
            | Name::ChatSm
            | Name::ChatSmClear
            | Name::ChatArchivedSm
            | Name::ChatArchivedSmClear
            | Name::OfflineStored
            | Name::OfflineStoredClear
            | Name::OfflineStoredArchived
            | Name::OfflineStoredArchivedClear
            | Name::OfflineDelivered
            | Name::OfflineDeliveredClear => self.messages(name, scale)?,
            Name::Signin
            | Name::SigninClear
            | Name::SigninRoster
            | Name::SigninRosterClear
            | Name::Presence
            | Name::PresenceClear
            | Name::ArchiveBack
            | Name::ArchiveBackClear
            | Name::ArchiveForward
            | Name::ArchiveForwardClear
            | Name::BigSignin
            | Name::BigMiddle
            | Name::BigTime
            | Name::BigContact
            | Name::BigStranger
            | Name::IdleRoster
            | Name::IdleRosterClear
            | Name::IdleRosterSm
            | Name::IdleRosterSmClear
            | Name::IdleInProcess => return None,
        })
    }

    /// One about messages.
    fn messages(&self, name: Name, scale: usize) -> Option<Box<dyn Scenario>> {
        let chat = |archive, management, security| Chat {
            pairs: self.pairs * scale,
            window: self.window,
            messages: self.messages * scale,
            archive,
            management,
            security,
        };
        let stored = |archive, security| OfflineStored {
            senders: self.pairs * scale,
            window: self.window,
            messages: self.stored * scale,
            archive,
            security,
        };
        let delivered = |security| OfflineDelivered {
            receivers: self.pairs * scale,
            messages: self.stored * scale,
            security,
        };
        let security = name.security();
        Some(match name {
            Name::Chat | Name::ChatClear => Box::new(chat(Archive::Off, Management::Off, security)),
            Name::ChatArchived | Name::ChatArchivedClear => {
                Box::new(chat(Archive::On, Management::Off, security))
            }
            Name::ChatSm | Name::ChatSmClear => {
                Box::new(chat(Archive::Off, self.management(), security))
            }
            Name::ChatArchivedSm | Name::ChatArchivedSmClear => {
                Box::new(chat(Archive::On, self.management(), security))
            }
            Name::OfflineStored | Name::OfflineStoredClear => {
                Box::new(stored(Archive::Off, security))
            }
            Name::OfflineStoredArchived | Name::OfflineStoredArchivedClear => {
                Box::new(stored(Archive::On, security))
            }
            Name::OfflineDelivered | Name::OfflineDeliveredClear => Box::new(delivered(security)),
            Name::Signin
            | Name::SigninClear
            | Name::Roster
            | Name::RosterClear
            | Name::RosterSet
            | Name::RosterSetClear
            | Name::SigninRoster
            | Name::SigninRosterClear
            | Name::Presence
            | Name::PresenceClear
            | Name::ArchiveBack
            | Name::ArchiveBackClear
            | Name::ArchiveForward
            | Name::ArchiveForwardClear
            | Name::BigSignin
            | Name::BigMiddle
            | Name::BigTime
            | Name::BigContact
            | Name::BigStranger
            | Name::Resume
            | Name::ResumeClear
            | Name::Idle
            | Name::IdleClear
            | Name::IdleRoster
            | Name::IdleRosterClear
            | Name::IdleRosterSm
            | Name::IdleRosterSmClear
            | Name::IdleInProcess => return None,
        })
    }
}

impl Name {
    /// As its end says.
    fn security(self) -> Security {
        let value = self.to_possible_value();
        match value.is_some_and(|value| value.get_name().ends_with("-clear")) {
            true => Security::Clear,
            false => Security::start_tls(),
        }
    }

    /// Whether it needs accounts with contacts.
    const fn is_acquainted(&self) -> bool {
        matches!(
            self,
            Self::SigninRoster | Self::SigninRosterClear | Self::Presence | Self::PresenceClear
        ) || self.is_circle()
    }

    pub(crate) const fn is_circle(&self) -> bool {
        matches!(
            self,
            Self::IdleRoster | Self::IdleRosterClear | Self::IdleRosterSm | Self::IdleRosterSmClear
        )
    }

    const fn is_pages(&self) -> bool {
        matches!(
            self,
            Self::ArchiveBack
                | Self::ArchiveBackClear
                | Self::ArchiveForward
                | Self::ArchiveForwardClear
        )
    }

    const fn is_big(&self) -> bool {
        matches!(
            self,
            Self::BigSignin
                | Self::BigMiddle
                | Self::BigTime
                | Self::BigContact
                | Self::BigStranger
        )
    }

    pub(crate) const fn is_sign_in(&self) -> bool {
        matches!(self, Self::Signin | Self::SigninClear)
    }

    pub(crate) const fn is_idle(&self) -> bool {
        matches!(self, Self::Idle | Self::IdleClear)
    }

    pub(crate) const fn is_resume(&self) -> bool {
        matches!(self, Self::Resume | Self::ResumeClear)
    }

    /// Whether it needs pairs of accounts.
    pub(crate) const fn is_pairs(&self) -> bool {
        matches!(
            self,
            Self::Chat
                | Self::ChatClear
                | Self::ChatArchived
                | Self::ChatArchivedClear
                | Self::ChatSm
                | Self::ChatSmClear
                | Self::ChatArchivedSm
                | Self::ChatArchivedSmClear
                | Self::OfflineStored
                | Self::OfflineStoredClear
                | Self::OfflineStoredArchived
                | Self::OfflineStoredArchivedClear
                | Self::OfflineDelivered
                | Self::OfflineDeliveredClear
        )
    }

    pub(crate) const fn is_in_process(&self) -> bool {
        matches!(self, Self::IdleInProcess)
    }

    /// Whether `--scale` is about it.
    const fn is_scaled(self) -> bool {
        !self.is_idle() && !self.is_in_process()
    }
}
