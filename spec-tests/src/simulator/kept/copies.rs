//! How a message comes to a client: live, from what was owed, as a copy, or out of the archive; and what it may carry then.

use super::super::accounts::NAMES;
use super::super::content::{CARBONS, ROOM, SIDS};
use super::super::stanzas::mark;
use super::MAM;
use crate::element::{CLIENT, Element};

const FORWARD: &str = "urn:xmpp:forward:0";
const DELAY: &str = "urn:xmpp:delay";

/// Characters of an archive's id.
const ID_LENGTH: usize = 22;

/// By which way.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in super::super) enum Way {
    /// As it was sent.
    Live,
    /// It had to wait for somebody.
    Spool,
    /// What another device got.
    Received,
    /// What another device sent.
    Sent,
    /// A result of a query.
    Result,
}

/// A message as a client got it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Arrival<'a> {
    pub(in super::super) way: Way,
    /// The message itself.
    pub(in super::super) message: &'a Element,
    /// Its id in the client's archive.
    pub(in super::super) id: Option<&'a str>,
    /// When it was kept, where that is said.
    pub(in super::super) stamp: Option<&'a str>,
    /// Of the query, or empty.
    pub(in super::super) query: &'a str,
}

impl<'a> Arrival<'a> {
    /// Reads a stanza that a client of `own` at `full` got; `None` if it is no message of somebody.
    ///
    /// # Errors
    /// It is not as a server writes it.
    pub(in super::super) fn read(
        stanza: &'a Element,
        own: &str,
        full: &str,
    ) -> Result<Option<Self>, String> {
        if !stanza.is(CLIENT, "message") {
            return Ok(None);
        }
        if let Some(result) = stanza.child(MAM, "result") {
            check_wrapper(stanza, own, full)?;
            let forwarded = result.child(FORWARD, "forwarded");
            let forwarded = forwarded.ok_or("a result with nothing in it")?;
            let message = forwarded.child(CLIENT, "message");
            let message = message.ok_or("a result without a message")?;
            let delay = forwarded.child(DELAY, "delay").ok_or("without a stamp")?;
            own_ids(message, own, 0)?;
            return Ok(Some(Self {
                way: Way::Result,
                message,
                id: Some(checked(result.attribute("id").unwrap_or_default())?),
                stamp: delay.attribute("stamp"),
                query: result.attribute("queryid").unwrap_or_default(),
            }));
        }
        for (name, way) in [("received", Way::Received), ("sent", Way::Sent)] {
            let Some(copy) = stanza.child(CARBONS, name) else {
                continue;
            };
            check_wrapper(stanza, own, full)?;
            let forwarded = copy.child(FORWARD, "forwarded");
            let message = forwarded.and_then(|forwarded| forwarded.child(CLIENT, "message"));
            let message = message.ok_or("a copy without a message")?;
            if message.attribute("type") != stanza.attribute("type") {
                return Err("a copy of another type".to_owned());
            }
            return Ok(Some(Self {
                way,
                message,
                id: own_ids(message, own, 1)?,
                stamp: None,
                query: "",
            }));
        }
        if mark(stanza).is_none() {
            return Ok(None);
        }
        let id = own_ids(stanza, own, 1)?;
        let mut last = stanza.children().collect::<Vec<_>>();
        let host = own.split('@').next_back();
        let delay = stanza
            .children()
            .find(|child| child.is(DELAY, "delay") && child.attribute("from") == host);
        // What a session left that died has its id already.
        let is_left = delay.is_some() && last.last().copied() == delay;
        if is_left {
            last.pop();
        }
        if id.is_some() && !last.pop().is_some_and(|child| child.is(SIDS, "stanza-id")) {
            return Err("whose id is not its last child".to_owned());
        }
        if delay.is_some() && !is_left && last.last().copied() != delay {
            return Err("whose delay stands elsewhere than last".to_owned());
        }
        Ok(Some(Self {
            way: if delay.is_some() {
                Way::Spool
            } else {
                Way::Live
            },
            message: stanza,
            id,
            stamp: delay.and_then(|delay| delay.attribute("stamp")),
            query: "",
        }))
    }

    /// The mark of the message.
    pub(in super::super) fn mark(&self) -> Option<&'a str> {
        mark(self.message)
    }
}

/// XEP-0280 §7, XEP-0313 §5: what is wrapped for a client comes from its own account.
fn check_wrapper(stanza: &Element, own: &str, full: &str) -> Result<(), String> {
    if stanza.attribute("from").is_some_and(|from| from != own) {
        return Err("which is somebody else's to send".to_owned());
    }
    if stanza.attribute("to") != Some(full) {
        return Err("which is for somebody else".to_owned());
    }
    Ok(())
}

/// The id that the archive of `own` gave to a message: at most `most`, and none that anybody else made.
fn own_ids<'a>(message: &'a Element, own: &str, most: usize) -> Result<Option<&'a str>, String> {
    let by_own = |child: &&Element| {
        let by = child.attribute("by").unwrap_or_default().to_lowercase();
        child.is(SIDS, "stanza-id") && by == own
    };
    let ids: Vec<&Element> = message.children().filter(by_own).collect();
    if ids.len() > most {
        return Err(format!("with {} ids of {own}", ids.len()));
    }
    let Some(id) = ids.first() else {
        return Ok(None);
    };
    checked(id.attribute("id").unwrap_or_default()).map(Some)
}

/// An id as the archive makes them.
fn checked(id: &str) -> Result<&str, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match id.len() == ID_LENGTH && id.chars().all(good) {
        true => Ok(id),
        false => Err(format!("with {id:?} for an id of the archive")),
    }
}

/// XEP-0359 §3: of ids that somebody else gave, who is not ours stays, and the sender's are removed where it sent.
pub(in super::super) fn check_others(
    message: &Element,
    sender: &str,
    own: &str,
    rooms: usize,
) -> Result<(), String> {
    let by = |who: &str| {
        let ids = message.children().filter(|child| {
            let by = child.attribute("by").unwrap_or_default().to_lowercase();
            child.is(SIDS, "stanza-id") && by == who
        });
        ids.count()
    };
    if sender != own && NAMES.contains(&sender) && by(sender) > 0 {
        return Err("with an id that the sender made".to_owned());
    }
    if by(ROOM) != rooms {
        return Err("without an id that a room gave".to_owned());
    }
    Ok(())
}
