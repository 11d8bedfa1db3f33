//! A client's side of stream management (XEP-0198): what it has sent and the server not acknowledged, and what it has handled itself.
//! Knows no sockets, so that it serves over real ones and in memory.

use std::collections::VecDeque;

use crate::element::{CLIENT, Element};

/// XEP-0198.
pub const SM: &str = "urn:xmpp:sm:3";

/// The request to acknowledge.
pub const REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";

/// Switches stream management on for a session that is to be resumed.
pub const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";

/// One session's counts. `T` is what the client remembers of a stanza that it sent.
#[derive(Clone, Debug)]
pub struct Acks<T> {
    /// Under which it can be resumed, if at all.
    id: Option<String>,
    /// What was sent and is not acknowledged.
    sent: VecDeque<T>,
    /// How many are.
    acknowledged: u32,
    /// How many stanzas came.
    handled: u32,
}

/// What an element of the server's is to these counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Came<T> {
    /// A message, presence or IQ. It is counted.
    Stanza,
    /// The server wants to know how much was handled.
    Request,
    /// The server has handled these now, in the order in which they were sent.
    Acknowledged(Vec<T>),
    /// None of this.
    Other,
}

/// What became of an attempt to resume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resumed<T> {
    /// The session goes on. The server has these; what is still unacknowledged is to be sent again.
    Yes(Vec<T>),
    /// It is over. The server said how many it had, which are these; the others it never had.
    Over(Vec<T>),
    /// It is not known, nor is what the server had of it.
    Unknown,
}

impl<T> Acks<T> {
    /// The counts of a session that begins with this answer to `<enable/>`.
    ///
    /// # Errors
    /// It is another answer; so with all functions here.
    pub fn enabled(answer: &Element) -> Result<Self, String> {
        if !answer.is(SM, "enabled") {
            return Err(format!("expected enabled, not {answer}"));
        }
        let id = answer.attribute("id").map(str::to_owned);
        if id.is_some() != (answer.attribute("resume") == Some("true")) {
            return Err(format!(
                "an id without resumption, or the reverse: {answer}"
            ));
        }
        Ok(Self {
            id,
            sent: VecDeque::new(),
            acknowledged: 0,
            handled: 0,
        })
    }

    /// Under which the session can be resumed.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How many stanzas came.
    #[must_use]
    pub const fn handled(&self) -> u32 {
        self.handled
    }

    /// Pretends that so many came.
    pub const fn forget_to(&mut self, handled: u32) {
        self.handled = handled;
    }

    /// How many stanzas the server has acknowledged.
    #[must_use]
    pub const fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// What was sent and not acknowledged.
    pub fn unacknowledged(&self) -> impl ExactSizeIterator<Item = &T> {
        self.sent.iter()
    }

    /// The same, of a session that is over.
    #[must_use]
    pub fn into_unacknowledged(self) -> Vec<T> {
        self.sent.into()
    }

    /// A stanza is written.
    pub fn send(&mut self, what: T) {
        self.sent.push_back(what);
    }

    /// The acknowledgement of all that came.
    #[must_use]
    pub fn answer(&self) -> String {
        acknowledge(self.handled)
    }

    /// The request to go on with this session.
    ///
    /// # Errors
    /// It is none that can be resumed.
    pub fn resume(&self) -> Result<String, String> {
        let id = self.id.as_deref().ok_or("it cannot be resumed")?;
        Ok(resume(id, self.handled))
    }

    /// An element came.
    ///
    /// # Errors
    /// The server acknowledges what was not sent, or takes back what it acknowledged.
    pub fn take(&mut self, element: &Element) -> Result<Came<T>, String> {
        match (element.ns.as_str(), element.name.as_str()) {
            (CLIENT, "message" | "presence" | "iq") => {
                self.handled = self.handled.wrapping_add(1);
                Ok(Came::Stanza)
            }
            (SM, "r") => Ok(Came::Request),
            (SM, "a") => self.settle(element).map(Came::Acknowledged),
            _ => Ok(Came::Other),
        }
    }

    /// The answer to `resume` came.
    ///
    /// # Errors
    /// It is none.
    pub fn take_resumed(&mut self, answer: &Element) -> Result<Resumed<T>, String> {
        if answer.is(SM, "resumed") && answer.attribute("previd") == self.id() {
            return self.settle(answer).map(Resumed::Yes);
        }
        if !answer.is(SM, "failed") || answer.condition() != Some("item-not-found") {
            return Err(format!("not an answer to resume {:?}: {answer}", self.id));
        }
        match answer.attribute("h") {
            Some(_) => self.settle(answer).map(Resumed::Over),
            None => Ok(Resumed::Unknown),
        }
    }

    /// Takes `h` of an element for how many the server has handled.
    fn settle(&mut self, element: &Element) -> Result<Vec<T>, String> {
        let h = element.attribute("h").and_then(|h| h.parse::<u32>().ok());
        let h = h.ok_or_else(|| format!("no h in {element}"))?;
        let news = h.wrapping_sub(self.acknowledged);
        let news = usize::try_from(news).map_err(|e| e.to_string())?;
        if news > self.sent.len() {
            let (acknowledged, sent) = (self.acknowledged, self.sent.len());
            return Err(format!(
                "{element}, where {acknowledged} were acknowledged and {sent} more sent"
            ));
        }
        self.acknowledged = h;
        Ok(self.sent.drain(..news).collect())
    }
}

/// The acknowledgement of so many.
#[must_use]
pub fn acknowledge(handled: u32) -> String {
    format!("<a xmlns='{SM}' h='{handled}'/>")
}

/// The request to go on with the session of this id, so much of which came.
#[must_use]
pub fn resume(id: &str, handled: u32) -> String {
    format!("<resume xmlns='{SM}' previd='{id}' h='{handled}'/>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::parse;

    fn book() -> Acks<u32> {
        let enabled = parse("<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>").unwrap();
        let mut book = Acks::enabled(&enabled).unwrap();
        (1..=5).for_each(|number| book.send(number));
        book
    }

    #[test]
    fn takes_what_is_acknowledged_and_nothing_more() {
        let mut book = book();
        let a = |h: u32| parse(&acknowledge(h)).unwrap();
        assert_eq!(book.take(&a(2)), Ok(Came::Acknowledged(vec![1, 2])));
        assert_eq!(book.take(&a(2)), Ok(Came::Acknowledged(vec![])));
        assert!(book.take(&a(6)).is_err());
        assert!(book.take(&a(1)).is_err());
        let resumed = "<resumed xmlns='urn:xmpp:sm:3' previd='x' h='4'/>";
        let resumed = book.take_resumed(&parse(resumed).unwrap());
        assert_eq!(resumed, Ok(Resumed::Yes(vec![3, 4])));
        assert_eq!(book.into_unacknowledged(), [5]);
    }

    #[test]
    fn counts_wrap() {
        let mut book = book();
        (book.acknowledged, book.handled) = (u32::MAX, u32::MAX);
        let a = book.take(&parse(&acknowledge(1)).unwrap());
        assert_eq!(a, Ok(Came::Acknowledged(vec![1, 2])));
        assert_eq!(book.take(&parse("<iq/>").unwrap()), Ok(Came::Stanza));
        assert_eq!(book.answer(), acknowledge(0));
    }

    #[test]
    fn tells_sessions_that_are_over_from_unknown_ones() {
        let failed = |h: &str| {
            let condition = "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
            parse(&format!(
                "<failed xmlns='urn:xmpp:sm:3'{h}>{condition}</failed>"
            ))
            .unwrap()
        };
        assert_eq!(book().take_resumed(&failed("")), Ok(Resumed::Unknown));
        let over = book().take_resumed(&failed(" h='1'"));
        assert_eq!(over, Ok(Resumed::Over(vec![1])));
    }
}
