//! An account as it is at one moment, for the control socket and for programs that read what the command line prints.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use spondee_core::port::{Availability, Contacts, Device, LastActivity, Line, Show, UserDetails};
use spondee_core::sasl::{Form, Status};

/// `UserDetails`.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Details {
    status: Status,
    password: Form,
    /// All in the roster.
    contacts: usize,
    subscriptions: Subscriptions,
    requests: usize,
    blocked: usize,
    /// `None` while a device is connected or asleep, or where nothing is known.
    last_activity: Option<Last>,
    devices: Vec<Connected>,
}

/// `Contacts`.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Subscriptions {
    both: usize,
    to: usize,
    from: usize,
    none: usize,
}

/// `LastActivity`, as in XEP-0012.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Last {
    seconds: u64,
    status: Option<String>,
}

/// `Device`.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Connected {
    resource: String,
    peer: SocketAddr,
    connected_seconds: u64,
    /// None while it is asleep.
    unread_bytes: usize,
    /// `None` is `Availability::Connected`.
    presence: Option<Presence>,
    /// `None` is `Line::Here`.
    #[serde(default)]
    asleep: Option<Asleep>,
}

/// `Line::Asleep`.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Asleep {
    seconds: u64,
    seconds_left: u64,
    waiting_stanzas: usize,
}

/// `Availability::Available`.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Presence {
    priority: i8,
    show: Option<Word>,
    status: Option<String>,
}

/// `Show`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Away,
    Chat,
    Dnd,
    Xa,
}

impl From<UserDetails> for Details {
    fn from(details: UserDetails) -> Self {
        let contacts = details.contacts;
        Self {
            status: details.status,
            password: details.password,
            contacts: contacts.count(),
            subscriptions: Subscriptions {
                both: contacts.both,
                to: contacts.to,
                from: contacts.from,
                none: contacts.none,
            },
            requests: contacts.requests,
            blocked: contacts.blocked,
            last_activity: details.last_activity.map(|last| Last {
                seconds: last.ago.as_secs(),
                status: last.status,
            }),
            devices: details.devices.into_iter().map(Connected::from).collect(),
        }
    }
}

impl From<Details> for UserDetails {
    fn from(details: Details) -> Self {
        let Subscriptions {
            both,
            to,
            from,
            none,
        } = details.subscriptions;
        Self {
            status: details.status,
            password: details.password,
            contacts: Contacts {
                none,
                to,
                from,
                both,
                requests: details.requests,
                blocked: details.blocked,
            },
            last_activity: details.last_activity.map(|last| LastActivity {
                ago: Duration::from_secs(last.seconds),
                status: last.status,
            }),
            devices: details.devices.into_iter().map(Device::from).collect(),
        }
    }
}

impl From<Device> for Connected {
    fn from(device: Device) -> Self {
        let (unread_bytes, asleep) = match device.line {
            Line::Here { unread } => (unread, None),
            Line::Asleep {
                lasted,
                left,
                waiting,
            } => {
                let asleep = Asleep {
                    seconds: lasted.as_secs(),
                    seconds_left: left.as_secs(),
                    waiting_stanzas: waiting,
                };
                (0, Some(asleep))
            }
        };
        Self {
            resource: device.resource,
            peer: device.peer,
            connected_seconds: device.connected.as_secs(),
            unread_bytes,
            asleep,
            presence: match device.availability {
                Availability::Connected => None,
                Availability::Available {
                    priority,
                    show,
                    status,
                } => Some(Presence {
                    priority,
                    show: show.map(Word::from),
                    status,
                }),
            },
        }
    }
}

impl From<Connected> for Device {
    fn from(connected: Connected) -> Self {
        Self {
            resource: connected.resource,
            peer: connected.peer,
            connected: Duration::from_secs(connected.connected_seconds),
            line: match connected.asleep {
                None => Line::Here {
                    unread: connected.unread_bytes,
                },
                Some(asleep) => Line::Asleep {
                    lasted: Duration::from_secs(asleep.seconds),
                    left: Duration::from_secs(asleep.seconds_left),
                    waiting: asleep.waiting_stanzas,
                },
            },
            availability: match connected.presence {
                None => Availability::Connected,
                Some(presence) => Availability::Available {
                    priority: presence.priority,
                    show: presence.show.map(Show::from),
                    status: presence.status,
                },
            },
        }
    }
}

impl From<Show> for Word {
    fn from(show: Show) -> Self {
        match show {
            Show::Away => Self::Away,
            Show::Chat => Self::Chat,
            Show::Dnd => Self::Dnd,
            Show::Xa => Self::Xa,
        }
    }
}

impl From<Word> for Show {
    fn from(word: Word) -> Self {
        match word {
            Word::Away => Self::Away,
            Word::Chat => Self::Chat,
            Word::Dnd => Self::Dnd,
            Word::Xa => Self::Xa,
        }
    }
}
